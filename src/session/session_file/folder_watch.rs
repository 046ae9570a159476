//! The present path of an open session's folder, which other programs may move or remove. Thread: any; no call waits
//! for the disk.

use crate::file_system;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A change that another program has made to a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderChange {
    /// The folder has this path now.
    Moved(PathBuf),
    /// The folder was removed. Files in it that are open can still be used, but have no name.
    Removed,
}

/// An open folder and the path that it had at the last call.
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

    /// The change since the last call. After a removal there are no further changes.
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
