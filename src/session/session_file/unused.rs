//! Whether a folder is free for a new session. Thread: any that may wait for the disk; the module owns nothing.

use super::SessionError;
use super::folder::Folder;
use crate::file_system;
use crate::session::names::{FOLDERS, LOCK_FILE, NEW_ADDED_TAKES_FILE, NEW_SESSION_FILE, RESERVE_FILE};

/// Names that file systems and desktops make by themselves at the top of a disk or in every folder that they show.
const DESKTOP_NAMES: [&str; 9] = [
    "lost+found",
    ".directory",
    ".DS_Store",
    ".Trashes",
    ".Spotlight-V100",
    ".fseventsd",
    "System Volume Information",
    "desktop.ini",
    "Thumbs.db",
];

/// The beginning of the name of a desktop's trash at the top of a disk. The number of the user follows.
const DESKTOP_TRASH: &str = ".Trash-";

/// Refuses a folder in which any file would be in the way of a new session.
pub(super) fn unused_check(folder: &Folder) -> Result<(), SessionError> {
    for name in folder.names()? {
        let ours = match name.as_str() {
            LOCK_FILE | NEW_SESSION_FILE | NEW_ADDED_TAKES_FILE | RESERVE_FILE => true,
            name if name.starts_with(file_system::TRIAL_FILE) => true,
            name if DESKTOP_NAMES.contains(&name) || name.starts_with(DESKTOP_TRASH) => true,
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
