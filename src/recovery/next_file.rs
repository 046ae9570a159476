//! The files in which takes went on, as their spool files name them. Thread: any that may wait for the disk.
//!
//! A take whose disk fails goes on in another folder. The disk that failed may accept no session.json that lists the new
//! file, so that its list of takes proves nothing about the takes that are not in it. The spool file names the file.

use super::evidence::{FoundSpool, SpoolFolder, files_named};
use crate::butler::spool::NextFile;
use crate::host::disk;
use crate::session::Session;
use crate::session::session_file::other_name;
use std::io::ErrorKind;
use std::path::Path;

/// Lists in the session the folders in which its takes went on, if it does not know the takes there. Returns whether one is new.
pub(super) fn list_folders(session: &mut Session, folders: &[SpoolFolder]) -> bool {
    let mut is_changed = false;
    for folder in folders {
        for path in files_named(folder, "spool") {
            let Ok(spool) = FoundSpool::open_of(&path, folder.owner) else { continue };
            if let Some(next) = unlisted(session, &spool)
                && let Some(text) = next.folder.to_str()
            {
                is_changed |= session.remember_overflow_folder(text.to_owned());
            }
        }
    }
    is_changed
}

/// The overflow folders of the session that are not there. Without memory, nothing else says whether takes went on in them.
pub(super) fn absent_folders(session: &Session) -> Vec<&str> {
    let is_absent =
        |path: &str| disk::metadata(Path::new(path)).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let folders = session.overflow_folders().iter().map(String::as_str);
    folders.filter(|path| is_absent(path) && is_absent(&other_name(path, session.id))).collect()
}

/// The file in which the take of the spool went on, if the session does not list it.
pub(super) fn unlisted(session: &Session, spool: &FoundSpool) -> Option<NextFile> {
    let next = spool.next_file().filter(|_| spool.identity.session == session.id)?;
    (!session.takes().iter().any(|take| take.uuid == next.take)).then_some(next)
}
