//! Disk errors in plain words. Thread: committer.

use std::io;

/// The reason and the remedy for an error, without its number.
pub(super) fn describe(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => "the disk is full; delete or move files from it".to_owned(),
        Some(libc::EDQUOT) => "the quota is used up; delete or move files".to_owned(),
        Some(libc::EROFS) => "the file system is read-only; mount it for writing or record elsewhere".to_owned(),
        Some(libc::EACCES | libc::EPERM) => "no right to write here; choose a folder that is yours".to_owned(),
        Some(libc::EFBIG) => "no file may become that large here; record to another disk".to_owned(),
        Some(libc::EIO) => "the disk reports an error; record to another one".to_owned(),
        Some(libc::EEXIST) => "there is a file of that name already".to_owned(),
        _ => error.to_string(),
    }
}
