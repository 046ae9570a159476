//! Whether a folder is free for a new session. Thread: any that may wait for the disk; the module owns nothing.

use super::SessionError;
use super::folder::Folder;
use crate::file_system;
use crate::session::names::{FOLDERS, LOCK_FILE, NEW_ADDED_TAKES_FILE, NEW_SESSION_FILE, RESERVE_FILE};

/// Names that file systems, desktops and programs that synchronize folders make by themselves, at the top of a disk or in every
/// folder that they show. Some systems write the same name in capital letters.
const DESKTOP_NAMES: [&str; 17] = [
    "lost+found",
    ".directory",
    ".hidden",
    ".Trash",
    ".DS_Store",
    ".localized",
    ".Trashes",
    ".Spotlight-V100",
    ".fseventsd",
    ".TemporaryItems",
    ".DocumentRevisions-V100",
    "System Volume Information",
    "$RECYCLE.BIN",
    "desktop.ini",
    "Thumbs.db",
    ".stfolder",
    ".stversions",
];

/// Beginnings of such names: a desktop's trash at the top of a disk, which the number of the user follows, and what macOS keeps
/// of a file on a foreign disk.
const DESKTOP_BEGINNINGS: [&str; 2] = [".Trash-", "._"];

fn is_of_desktop(name: &str) -> bool {
    DESKTOP_NAMES.iter().any(|other| other.eq_ignore_ascii_case(name))
        || DESKTOP_BEGINNINGS.iter().any(|begin| name.starts_with(begin))
}

/// Refuses a folder in which any file would be in the way of a new session.
pub(super) fn unused_check(folder: &Folder) -> Result<(), SessionError> {
    for name in folder.names()? {
        let ours = match name.as_str() {
            LOCK_FILE | NEW_SESSION_FILE | NEW_ADDED_TAKES_FILE | RESERVE_FILE => true,
            name if name.starts_with(file_system::TRIAL_FILE) => true,
            name if is_of_desktop(name) => true,
            name if FOLDERS.contains(&name) => match folder.subfolder(name)? {
                Some(subfolder) => subfolder.names()?.is_empty(),
                None => true,
            },
            _ => false,
        };
        if !ours {
            return Err(SessionError::Exists { path: folder.path().into() });
        }
    }
    Ok(())
}
