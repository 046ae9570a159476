//! The folder of the takes: its names, and their durability. Thread: committer.

use crate::host::disk;
use crate::message::take::TakePlan;
use std::io;
use std::path::Path;

/// Names of the files in the folder of a take.
pub(super) fn names_beside(plan: &TakePlan) -> Vec<String> {
    let names = plan.path.parent().map_or(Vec::new(), |folder| disk::list(folder).unwrap_or_default());
    names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Makes the names in a folder durable. A file system that cannot sync a folder is no error.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match disk::sync_folder_at(folder) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)) => Ok(()),
        result => result,
    }
}
