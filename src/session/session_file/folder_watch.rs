//! Where the folder of an open session is now: other programs may move or remove it. Thread: any; nobody waits for the disk.

use crate::file_system;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What became of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderChange {
    /// It has another name, or lies elsewhere.
    Moved(PathBuf),
    /// It was removed. What is open in it goes on, without a name.
    Removed,
}

/// An open folder, and where it was when that was last asked.
#[derive(Debug)]
pub struct FolderWatch {
    folder: OwnedFd,
    last: PathBuf,
    removed: bool,
}

impl FolderWatch {
    pub(super) fn of(folder: OwnedFd) -> Option<FolderWatch> {
        let last = file_system::path_of(&folder)?;
        Some(FolderWatch { folder, last, removed: false })
    }

    /// What has become of it since the last call.
    pub fn changed(&mut self) -> Option<FolderChange> {
        let now = file_system::path_of(&self.folder)?;
        if now == self.last || self.removed {
            return None;
        }
        self.removed = file_system::path_before_removal(&now).is_some();
        self.last = now;
        Some(if self.removed { FolderChange::Removed } else { FolderChange::Moved(self.last.clone()) })
    }
}
