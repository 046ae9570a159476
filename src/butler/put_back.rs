//! A file that another program removed or replaced while it was open is put back under its name. Thread: committer.
//!
//! An editor saves, and a sync client updates, by renaming a new file over the old one. The old file then has no name,
//! and the kernel frees it when it is closed. The open file is copied, and the copy takes the name that the session
//! lists. A file that has that name meanwhile keeps its content and gets another name.
//!
//! A program that is killed during the copy leaves it under its own name, as the only file with the sound:
//! `recovery::part_files` finds it.

use crate::file_system;
use crate::host::disk;
use nix::errno::Errno;
use nix::unistd::Whence;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 1 << 20;

/// Names that are tried for the file of the other program.
const NAME_COUNT_MAX: u32 = 1000;

/// A file that was put back.
pub(super) struct PutBack {
    /// The copy, open to read and write.
    pub(super) file: File,
    /// The path of the copy, which is the one that the file had before.
    pub(super) path: PathBuf,
    /// The path that the file of the other program has now, if it had taken the name.
    pub(super) moved_aside: Option<PathBuf>,
    /// Whether the folder was made durable. Otherwise a power cut can take the name.
    pub(super) has_durable_name: bool,
}

impl PutBack {
    /// The message for the user.
    pub(super) fn text(&self) -> String {
        let path = self.path.display();
        match &self.moved_aside {
            None => format!("{path}: another program removed it; it is put back, whole"),
            Some(other) => format!(
                "{path}: another program replaced it; it is put back, whole, and the other file is {} now; \
                 do not save takes in other programs while they are recorded",
                other.display()
            ),
        }
    }
}

/// Whether the name of an open file was removed or leads to another file now. The kernel frees such a file when it is
/// closed, unless it has a second name.
pub(super) fn is_removed(file: &File) -> bool {
    let Ok(found) = file.metadata() else { return false };
    let Some(path) = file_system::path_of(file) else { return found.nlink() == 0 };
    let name = path.file_name().unwrap_or_default().as_bytes();
    // NFS and FUSE give a removed file that is open a hidden name.
    if name.starts_with(b".nfs") || name.starts_with(b".fuse_hidden") {
        return true;
    }
    let leads_here = |name: &Path| {
        disk::link_metadata(name).is_ok_and(|there| (there.dev(), there.ino()) == (found.dev(), found.ino()))
    };
    let was = without_removed_suffix(&path);
    was != path && !leads_here(&was) && !leads_here(&path)
}

/// The message for the user if another program has renamed an open file, which has the name `name` in the session.
pub(super) fn renamed_text(file: &File, name: &Path) -> Option<String> {
    let now = file_system::path_of(file).filter(|now| now.file_name() != name.file_name())?;
    Some(format!(
        "{}: another program renamed it; the take is whole in {}, and the next opening of the session finds it there",
        name.display(),
        now.display()
    ))
}

/// Copies the first `bytes` bytes of a removed file to a file of the name that it had; `name` if the kernel does not
/// say. The copy is durable; its name need not be. `None`: the file still has a name, or its folder was removed as well
/// and `make_folder` is false.
pub(super) fn put_back(file: &File, name: &Path, bytes: u64, make_folder: bool) -> io::Result<Option<PutBack>> {
    if !is_removed(file) {
        return Ok(None);
    }
    let before = file_system::path_of(file).map(|now| without_removed_suffix(&now));
    // Another program may have moved the folder: the name is the planned one, the folder the one that the kernel knows.
    let known = before.as_deref().and_then(Path::parent).or(name.parent());
    let folder = known.ok_or(io::ErrorKind::NotFound)?.to_owned();
    let name = name.file_name().ok_or(io::ErrorKind::NotFound)?;
    if make_folder {
        file_system::make_durable_folders(&folder)?;
    } else if !disk::metadata(&folder).is_ok_and(|found| found.is_dir()) {
        return Ok(None);
    }
    let part = folder.join(file_system::name_of_part(name));
    // The copy of a program that was killed.
    disk::remove(&part).ok();
    let copy = disk::create(OpenOptions::new().read(true).write(true).mode(0o666), &part)?;
    let named = copy_sound(file, &copy, bytes)
        .and_then(|()| disk::sync_all(&copy))
        .and_then(|()| take_name(&folder, &part, name))
        .inspect_err(|_| {
            // An incomplete copy must not take blocks of a disk that may be full.
            disk::remove(&part).ok();
        })?;
    let has_durable_name = disk::sync_folder_at(&folder).is_ok();
    Ok(Some(PutBack { file: copy, path: folder.join(name), moved_aside: named, has_durable_name }))
}

/// The path without the suffix that the kernel adds for a removed file. Unlike for a folder, another file may have the
/// name with the suffix.
fn without_removed_suffix(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)))
}

/// Gives `part` the name `name` in `folder`. A file that has the name gets another one. Returns its path.
pub(super) fn take_name(folder: &Path, part: &Path, name: &OsStr) -> io::Result<Option<PathBuf>> {
    let path = folder.join(name);
    if rename_to_free_name(part, &path)? {
        return Ok(None);
    }
    let stem = Path::new(name).file_stem().unwrap_or(name);
    for number in 1..=NAME_COUNT_MAX {
        let aside = folder.join(file_system::name_for_other(stem, number));
        if rename_to_free_name(&path, &aside)? {
            return match rename_to_free_name(part, &path)? {
                true => Ok(Some(aside)),
                // The other program has replaced it once more. The next sync tries again.
                false => Err(io::ErrorKind::AlreadyExists.into()),
            };
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Renames a file, unless there is a file of the new name. Returns whether it did.
fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<bool> {
    use nix::fcntl::AT_FDCWD;
    let rename = |may_replace| disk::rename_at((AT_FDCWD, from), (AT_FDCWD, to), may_replace);
    match rename(false) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        // The file system cannot do both in one step.
        Err(Errno::EINVAL | Errno::ENOSYS) if disk::link_metadata(to).is_ok() => Ok(false),
        Err(Errno::EINVAL | Errno::ENOSYS) => Ok(rename(true).map(|()| true)?),
        Err(errno) => Err(errno.into()),
    }
}

/// Copies the first `bytes` bytes. Holes stay holes: recovery fills them from the mirror.
fn copy_sound(from: &File, to: &File, bytes: u64) -> io::Result<()> {
    let end = from.metadata()?.len().min(bytes);
    disk::set_length(to, end)?;
    let (mut piece, mut at) = (vec![0; PIECE_BYTES], 0);
    while at < end {
        let data = match disk::seek(from, at, Whence::SeekData) {
            Ok(data) => data,
            Err(Errno::ENXIO) => break,
            Err(_) => at,
        };
        let hole = disk::seek(from, data, Whence::SeekHole).unwrap_or(end).min(end);
        at = data;
        while at < hole {
            let piece = &mut piece[..(hole - at).min(PIECE_BYTES as u64) as usize];
            disk::read_exact_at(from, piece, at)?;
            disk::write_all_at(to, piece, at)?;
            at += piece.len() as u64;
        }
    }
    Ok(())
}
/// Keeps a file without a name open until the program ends, because closing it would free its sound. Returns where it can be
/// copied from. `None`: it has a name.
pub(super) fn keep_if_removed(file: &Arc<File>) -> Option<String> {
    if !is_removed(file) {
        return None;
    }
    let number = file.as_raw_fd();
    std::mem::forget(Arc::clone(file));
    Some(format!("another program removed it; until this program ends, copy /proc/{}/fd/{number}", std::process::id()))
}
