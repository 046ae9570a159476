//! Files in the page cache: which are meant, how to open them, and what the kernel says. Thread: any but audio; it may
//! wait for the disk.

use super::lane::Lane;
use super::process::OfFile;
use super::{FileLook, MappedLook, pages};
use crate::file_system::{Kind, OpenError, name_of, open_regular};
use crate::limits::PAGE_BYTES;
use crate::residency::scan::scan;
use crate::residency::state::Facts;
use crate::window::kernel_pages::{CacheStat, cachestat, mincore};
use crate::window::map::Mapping;
use nix::unistd::{AccessFlags, access};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a file that are mapped at once to ask `mincore` about them.
const MINCORE_BYTES: u64 = 1 << 30;

const PAGE: u64 = PAGE_BYTES as u64;

/// Note about a kernel without `cachestat`.
const NO_CACHESTAT: &str =
    "dirty and writeback are not known: this kernel has no cachestat; Linux 6.5 and later have it";

/// The files that a path means: itself, or the regular files of a folder by name.
pub(super) fn named(path: &Path, notes: &mut Vec<String>) -> Vec<PathBuf> {
    // A link to a folder is followed; a link among the files of a folder is left out.
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            notes.push(format!("{}: the folder cannot be listed: {error}", path.display()));
            return Vec::new();
        }
    };
    let regular = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut found: Vec<PathBuf> = regular.map(|entry| entry.path()).collect();
    found.sort();
    if found.is_empty() {
        notes.push(format!("{}: the folder has no files", path.display()));
    }
    found
}

/// Opens a file that the user named. The error is a sentence without the path.
pub(super) fn open(path: &Path) -> Result<File, String> {
    // The user may name a link; a pipe or a device is refused in any case.
    let target = path.canonicalize().map_err(|error| opening(&error))?;
    open_regular(&target).map_err(|error| match error {
        OpenError::Link | OpenError::NotRegular => "it is no regular file, so it has no pages to show".to_owned(),
        OpenError::Open(error) | OpenError::Stat(error) => opening(&error),
    })
}

fn opening(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read by this user; run as its owner, or with sudo".to_owned(),
        _ => format!("it cannot be opened: {error}"),
    }
}

/// The state of an open file, and of the mappings of it in a process.
pub(super) fn look(
    path: String,
    file: &File,
    cells: usize,
    of_process: Option<OfFile<'_>>,
    notes: &mut Vec<String>,
) -> FileLook {
    let size = match file.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) => return FileLook { path, problem: Some(opening(&error)), ..FileLook::default() },
    };
    let mut look = FileLook { path, file_system: name_of(file), size_bytes: size, ..FileLook::default() };
    // The lane of a mapped file shows only the mapped part. The whole of a long file would leave too few cells for that part.
    let mut lane = match of_process.as_ref().and_then(OfFile::range) {
        Some((from, to)) => Lane::over(from, to.min(size), cells),
        None => Lane::new(size, cells),
    };
    match cache_of(file, size, &mut lane) {
        Ok((stat, knows_dirty)) => {
            let bytes = |pages: u64| pages * PAGE;
            look.cached_bytes = Some(bytes(stat.cached));
            // The kernel does not write the pages of a file in memory, so it marks none of them.
            let is_in_memory = look.file_system.as_deref().is_some_and(|name| Kind::of(name) == Kind::Memory);
            if knows_dirty && !is_in_memory {
                (look.dirty_bytes, look.writeback_bytes) = (Some(bytes(stat.dirty)), Some(bytes(stat.writeback)));
            } else if is_in_memory {
                (look.dirty_bytes, look.writeback_bytes) = (Some(0), Some(0));
                let note = format!(
                    "{}: it is on {}, in memory only, so nothing of it is dirty or in writeback",
                    look.path,
                    look.file_system.as_deref().unwrap_or("tmpfs")
                );
                notes.push(note);
            } else {
                notes.push(NO_CACHESTAT.to_owned());
            }
            look.evicted_bytes = knows_dirty.then_some(bytes(stat.evicted));
        }
        Err(error) => notes.push(not_asked(&look.path, &error)),
    }
    if let Some(of_process) = of_process {
        look.mapped = Some(of_process.add_to(&mut lane, notes));
    }
    (look.first_byte, look.cell_bytes, look.cells) = (lane.first_byte, lane.cell_bytes, lane.letters());
    look
}

/// A mapping whose file cannot be opened.
pub(super) fn without_file(path: String, mapped: MappedLook, problem: String) -> FileLook {
    FileLook { path, problem: Some(problem), mapped: Some(mapped), ..FileLook::default() }
}

fn not_asked(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{path}: the kernel tells the page cache of a file only to its owner and to those who may write it; run as \
             its owner, or with sudo"
        ),
        _ => format!("{path}: this file system does not tell its page cache: {error}"),
    }
}

/// Asks the kernel about the whole file and about each cell. Also returns whether dirty pages are known.
fn cache_of(file: &File, size: u64, lane: &mut Lane) -> io::Result<(CacheStat, bool)> {
    match cachestat(file, 0, pages(size) * PAGE) {
        Ok(stat) => {
            let mut facts = vec![Facts::default(); lane.cells.len()];
            scan(file, lane.first_byte, lane.cell_bytes, &mut facts)?;
            lane.cells.iter_mut().zip(&facts).for_each(|(cell, facts)| cell.cache = facts.cache);
            Ok((stat, true))
        }
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok((cached_by_mincore(file, size, lane)?, false)),
        Err(error) => Err(error),
    }
}

/// Counts pages in memory by `mincore` over a mapping that nobody reads.
fn cached_by_mincore(file: &File, size: u64, lane: &mut Lane) -> io::Result<CacheStat> {
    if !may_ask(file)? {
        // `mincore` says "in memory" of every page that it may not tell about.
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut all = CacheStat::default();
    lane.cells.iter_mut().for_each(|cell| cell.cache = Some(CacheStat::default()));
    let end = pages(size) * PAGE;
    for from in (0..end).step_by(MINCORE_BYTES as usize) {
        let bytes = MINCORE_BYTES.min(end - from);
        let mapping = Mapping::of_captured(file, from, bytes as usize)?;
        let mut found = vec![0_u8; (bytes / PAGE) as usize];
        mincore(mapping.address(), &mut found)?;
        for (page, _) in found.iter().enumerate().filter(|(_, found)| *found & 1 != 0) {
            all.cached += 1;
            if let Some(cache) = lane.cell_at(from + page as u64 * PAGE).and_then(|cell| cell.cache.as_mut()) {
                cache.cached += 1;
            }
        }
    }
    Ok(all)
}

/// Whether the kernel tells this user which pages of a file are in memory.
fn may_ask(file: &File) -> io::Result<bool> {
    let owner = file.metadata()?.uid();
    let path = crate::file_system::path_of(file);
    Ok(owner == nix::unistd::geteuid().as_raw() || path.is_some_and(|path| access(&path, AccessFlags::W_OK).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cachestat_the_pages_in_memory_are_counted_by_mincore() {
        let program = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        file.set_len(20 * PAGE - 5).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[1; 3 * PAGE_BYTES], 4 * PAGE).unwrap();
        let mut lane = Lane::new(20 * PAGE - 5, 20);
        let stat = cached_by_mincore(&file, 20 * PAGE - 5, &mut lane).unwrap();
        assert_eq!((stat.cached, lane.letters().as_str()), (3, "....===............."));
    }

    #[test]
    fn a_refusal_says_what_is_needed() {
        let refused = not_asked("/x", &io::ErrorKind::PermissionDenied.into());
        assert!(refused.contains("owner") && refused.contains("sudo"), "{refused}");
    }
}
