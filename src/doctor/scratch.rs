//! A file that is tried out and removed. Thread: control, and the disk probe's helper.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A new, empty file of our own in a folder. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) file: File,
    path: PathBuf,
}

impl Scratch {
    /// Makes it: for us alone, never over or through something that is there.
    pub(super) fn new(folder: &Path) -> io::Result<Scratch> {
        let path = folder.join(format!(".faultless-doctor-{}", uuid::Uuid::new_v4()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Scratch { file, path })
    }

    /// Opens the same file again, past the page cache.
    pub(super) fn direct(&self) -> io::Result<File> {
        OpenOptions::new().write(true).custom_flags(nix::libc::O_DIRECT).open(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a file that does not go, and its name says whose it is.
        std::fs::remove_file(&self.path).ok();
    }
}
