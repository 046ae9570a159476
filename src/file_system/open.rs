//! Opening a file that somebody else may have made: a regular file, reached through no link. Thread: any that may wait
//! for the disk. The module owns nothing.
//!
//! A session may come from another computer. A link in it may lead out of its folder, and opening a pipe may never
//! return. So both functions refuse a link, open without waiting, and check the open file, not its name.

use crate::host::disk;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::sys::stat::Mode;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why a file was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The name is a link.
    Link,
    /// The name is a folder, a pipe or a device.
    NotRegular,
    /// The system refused to open it. A socket is refused with `ENXIO`.
    Open(io::Error),
    /// The system refused to say what was opened.
    Stat(io::Error),
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> io::Error {
        match error {
            OpenError::Link => Errno::ELOOP.into(),
            OpenError::NotRegular => io::ErrorKind::InvalidInput.into(),
            OpenError::Open(error) | OpenError::Stat(error) => error,
        }
    }
}

/// Opens a regular file to read.
pub fn open_regular(path: &Path) -> Result<File, OpenError> {
    checked(disk::open(OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK), path))
}

/// Opens a regular file in an open folder. `access` says how, and whether to make it: `mode` is that of a new file.
pub fn open_regular_at(folder: impl AsFd, name: &str, access: OFlag, mode: Mode) -> Result<File, OpenError> {
    let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    checked(disk::open_at(folder, name, flags, mode).map(File::from).map_err(io::Error::from))
}

fn checked(opened: io::Result<File>) -> Result<File, OpenError> {
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(nix::libc::ELOOP) => OpenError::Link,
        _ => OpenError::Open(error),
    })?;
    let stat = file.metadata().map_err(OpenError::Stat)?;
    if stat.is_file() { Ok(file) } else { Err(OpenError::NotRegular) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_else_holds_the_thread() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "sound").unwrap();
        symlink(path("file"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        let dir = File::open(folder.path()).unwrap();
        for name in ["file", "link", "pipe", "socket", ".", "none"] {
            let by_path = open_regular(&path(name));
            let in_folder = open_regular_at(&dir, name, OFlag::O_RDONLY, Mode::empty());
            for opened in [by_path, in_folder] {
                match (name, opened) {
                    ("file", Ok(_))
                    | ("link", Err(OpenError::Link))
                    | ("pipe" | ".", Err(OpenError::NotRegular))
                    | ("socket", Err(OpenError::Open(_))) => {}
                    ("none", Err(OpenError::Open(error))) if error.kind() == io::ErrorKind::NotFound => {}
                    (name, other) => panic!("{name}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn the_errors_are_those_of_the_system() {
        assert_eq!(io::Error::from(OpenError::Link).raw_os_error(), Some(nix::libc::ELOOP));
        assert_eq!(io::Error::from(OpenError::NotRegular).kind(), io::ErrorKind::InvalidInput);
    }
}
