//! Writes the files of a plan, all of them or none. Thread: export, or main in `faultless export`.

use super::error::ExportError;
use super::plan::{Content, PlannedFile};
use super::sink::{RunProgress, Sink};
use super::source::{self, Checked};
use super::{Exported, Outcome, Progress, mixdown, second_reader, stem};
use crate::session::names::{AUDIO, HISTORY, PEAKS, TRASH};
use crate::wav::write::{Existing, remove_abandoned};
use nix::sys::statvfs::statvfs;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Folders of a session into which an export must not write.
const OWN_FOLDERS: [&str; 4] = [AUDIO, TRASH, PEAKS, HISTORY];

/// Writes the files of a plan, one after the other, each under a temporary name until it is complete. Calls `progress`
/// and checks `cancel` about three times per second of sound. First removes the half files that killed exports have left
/// in the target folder.
///
/// On an error or when cancelled, it removes the files and folders that it has created. Files that it has replaced
/// stay.
pub fn run(
    files: &[PlannedFile],
    progress: &mut dyn FnMut(Progress<'_>),
    cancel: &AtomicBool,
) -> Result<Outcome, ExportError> {
    let Checked { files: with_notes, problems } = source::check(files)?;
    let (files, notes): (Vec<PlannedFile>, Vec<Vec<String>>) = with_notes.into_iter().unzip();
    let files = files.as_slice();
    let mut created = CreatedFiles::default();
    for planned in files {
        created.folder(folder_of(&planned.path))?;
        own_folder_check(planned)?;
        remove_abandoned(folder_of(&planned.path));
        free_space_check(files, planned)?;
        if planned.existing == Existing::Keep && planned.path.symlink_metadata().is_ok() {
            return Err(ExportError::Exists { path: planned.path.clone() });
        }
    }
    let frames_total = files.iter().map(|planned| planned.frames).sum();
    let mut progress =
        RunProgress { report: progress, cancel, file_index: 0, file_count: files.len(), frames: 0, frames_total };
    let mut exported = Vec::with_capacity(files.len());
    for (file_index, (planned, notes)) in files.iter().zip(notes).enumerate() {
        progress.file_index = file_index;
        exported.push(write(planned, notes, &mut progress, &mut created)?);
    }
    created.keep();
    Ok(Outcome { files: exported, problems })
}

fn write(
    planned: &PlannedFile,
    mut notes: Vec<String>,
    progress: &mut RunProgress<'_>,
    created: &mut CreatedFiles,
) -> Result<Exported, ExportError> {
    let mut sink = Sink::open(planned, progress)?;
    match &planned.content {
        Content::Stem { segments, .. } => stem::write(&planned.folder, segments, planned.frames, &mut sink)?,
        Content::Mix(tracks) => {
            notes.extend(mixdown::write(&planned.folder, tracks, planned.frames, &mut sink)?);
        }
    }
    let replaced = planned.path.symlink_metadata().is_ok();
    let measured = sink.finish()?;
    let file = fs::symlink_metadata(&planned.path).map_err(io(&planned.path, "look at it"))?;
    if !replaced {
        created.files.push((planned.path.clone(), CreatedFiles::stamp(&file)));
    }
    second_reader::check(planned, file.len())?;
    notes.extend(measured.no_numbers_text());
    Ok(Exported {
        file: planned.path.clone(),
        track: planned.track(),
        channels: planned.channels(),
        frames: planned.frames,
        format: planned.format(),
        bytes: file.len(),
        dithered: measured.dithered,
        over_full_scale: measured.over_full_scale,
        peak_dbfs: measured.peak_dbfs(),
        notes,
    })
}

/// Identity of a file, time of its last change in seconds and nanoseconds, and its size. The identity alone is not
/// enough, because file systems use inode numbers again.
type FileStamp = (Identity, i64, i64, u64);

/// The files and folders created so far. Drop removes them, unless [`CreatedFiles::keep`] was called.
#[derive(Default)]
struct CreatedFiles {
    files: Vec<(PathBuf, FileStamp)>,
    /// Folders that the export has made, the outermost first.
    folders: Vec<PathBuf>,
}

impl CreatedFiles {
    /// Creates a folder and its parents, as far as they do not exist.
    fn folder(&mut self, path: &Path) -> Result<(), ExportError> {
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !exists(path)).collect();
        for path in missing.into_iter().rev() {
            match fs::create_dir(path) {
                Ok(()) => self.folders.push(path.to_owned()),
                // Another program has created the folder meanwhile, or the path contains `..`.
                Err(_) if path.is_dir() => {}
                Err(error) => return Err(io(path, "make this folder")(error)),
            }
        }
        if path.is_dir() {
            return Ok(());
        }
        Err(io(path, "write here")(std::io::ErrorKind::NotADirectory.into()))
    }

    fn stamp(file: &Metadata) -> FileStamp {
        (identity(file), file.ctime(), file.ctime_nsec(), file.len())
    }

    fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for CreatedFiles {
    fn drop(&mut self) {
        for (path, stamp) in &self.files {
            // Remove only our own file: another program may have put a different file under the name.
            if fs::symlink_metadata(path).is_ok_and(|file| CreatedFiles::stamp(&file) == *stamp) {
                fs::remove_file(path).ok();
            }
        }
        for path in self.folders.iter().rev() {
            // This fails for a folder into which another program has put a file. Such a folder stays.
            fs::remove_dir(path).ok();
        }
    }
}

/// Refuses a target folder that is, or lies in, one of the session's own folders.
fn own_folder_check(planned: &PlannedFile) -> Result<(), ExportError> {
    let to = folder_of(&planned.path);
    let session = source::folder_of(&planned.folder);
    let own: Vec<Identity> =
        OWN_FOLDERS.iter().filter_map(|name| Some(identity(&fs::metadata(session.join(name)).ok()?))).collect();
    let canonical = fs::canonicalize(to).map_err(io(to, "find it"))?;
    let is_own = |path: &Path| fs::metadata(path).is_ok_and(|folder| own.contains(&identity(&folder)));
    if canonical.ancestors().any(is_own) {
        return Err(ExportError::OwnFolder { path: to.to_owned() });
    }
    Ok(())
}

/// Refuses an export that needs more than the free space of its disk, before it fills the disk. A session may place one
/// second of sound at the end of a very long timeline.
fn free_space_check(files: &[PlannedFile], planned: &PlannedFile) -> Result<(), ExportError> {
    let folder = folder_of(&planned.path);
    let same_folder = files.iter().filter(|other| folder_of(&other.path) == folder);
    let needed = same_folder.map(PlannedFile::sound_bytes).fold(0, u64::saturating_add);
    match statvfs(folder) {
        // A file system that does not know its size reports 0 blocks.
        Ok(stat) if stat.blocks() > 0 => {
            let free = stat.blocks_available().saturating_mul(stat.fragment_size());
            if needed <= free { Ok(()) } else { Err(ExportError::NoRoom { path: folder.to_owned(), needed, free }) }
        }
        _ => Ok(()),
    }
}

/// Device and inode number. They identify a file under any name.
type Identity = (u64, u64);

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino())
}

fn exists(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.symlink_metadata().is_ok()
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn io<'a>(path: &'a Path, doing: &'static str) -> impl Fn(std::io::Error) -> ExportError + use<'a> {
    move |error| ExportError::Io { path: path.to_owned(), doing, error }
}
