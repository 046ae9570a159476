//! The folder for rehearsals: new, never inside a session of the user, removed at the end. Thread: the stress test's.

use super::StressError;
use crate::file_system::{Mount, mount_of};
use crate::session::names::SESSION_FILE;
use nix::sys::statvfs::statvfs;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The test's own folder. Dropping it removes the folders that it made.
pub(super) struct ScratchFolder {
    path: PathBuf,
    /// The folder that the user named, if it did not exist before.
    created: Option<PathBuf>,
    mount: Option<Mount>,
    keep: bool,
}

impl ScratchFolder {
    /// Makes a new folder in `scratch`, and `scratch` itself if it does not exist.
    pub(super) fn make(scratch: &Path, keep: bool) -> Result<ScratchFolder, StressError> {
        let at = |reason: String| StressError::Scratch { path: scratch.to_path_buf(), reason };
        let created = match fs::create_dir(scratch) {
            Ok(()) => Some(scratch.to_path_buf()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            Err(error) => return Err(at(format!("cannot be made: {error}; make the folder around it first"))),
        };
        let made = (|| {
            let absolute = scratch.canonicalize().map_err(|error| at(format!("cannot be opened: {error}")))?;
            if !absolute.is_dir() {
                return Err(at("is no folder; name one".to_owned()));
            }
            if let Some(session) = session_at(&absolute) {
                let reason =
                    format!("{} is a session; rehearse in an empty folder, never in one of yours", session.display());
                return Err(at(reason));
            }
            let name = jiff::Zoned::now().strftime("stress-%Y%m%d-%H%M%S").to_string();
            let path = absolute.join(format!("{name}-{}", std::process::id()));
            fs::create_dir(&path).map_err(|error| at(format!("no folder can be made in it: {error}")))?;
            Ok(ScratchFolder { mount: mount_of(&path), path, created: None, keep })
        })();
        match made {
            Ok(mut folder) => {
                folder.created = created;
                Ok(folder)
            }
            Err(error) => {
                if created.is_some() {
                    fs::remove_dir(scratch).ok();
                }
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn mount(&self) -> Option<&Mount> {
        self.mount.as_ref()
    }

    pub(super) fn file_system(&self) -> &str {
        self.mount.as_ref().map_or("unknown", |mount| &mount.kind)
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.file_system(), "tmpfs" | "ramfs")
    }

    pub(super) fn free_bytes(&self) -> u64 {
        statvfs(&self.path).map_or(0, |stat| stat.blocks_available() * stat.fragment_size())
    }

    /// Makes the folder for one rehearsal.
    pub(super) fn session(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.path.join(name);
        fs::create_dir(&folder).map_err(|error| format!("{}: cannot be made: {error}", folder.display()))?;
        Ok(folder)
    }

    /// Removes a rehearsal that was checked, so that the next one has its disk space.
    pub(super) fn remove(&self, folder: &Path) {
        if !self.keep && folder.starts_with(&self.path) {
            // Drop tries again.
            fs::remove_dir_all(folder).ok();
        }
        fs::remove_dir_all(load_folder(folder)).ok();
    }
}

/// The folder for the files of a stress. It lies beside the session, on the same file system.
pub(super) fn load_folder(session: &Path) -> PathBuf {
    session.with_extension("beside")
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // Nothing can be done about a failure. The folder's name tells the user what it is.
        fs::remove_dir_all(&self.path).ok();
        if let Some(created) = &self.created {
            fs::remove_dir(created).ok();
        }
    }
}

/// The session that `folder` is, is inside of, or contains directly.
fn session_at(folder: &Path) -> Option<PathBuf> {
    let is_session = |folder: &Path| folder.join(SESSION_FILE).symlink_metadata().is_ok();
    if let Some(around) = folder.ancestors().find(|around| is_session(around)) {
        return Some(around.to_path_buf());
    }
    let inside = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    inside.into_iter().find(|inside| is_session(inside))
}
