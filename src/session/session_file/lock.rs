//! The lock that keeps a second program from recording into a session. Thread: any that may wait for the disk.
//!
//! The kernel holds the lock, not the file. It ends with the program that holds it, however that ends, so a lock file
//! that was left behind locks nobody out.

use super::SessionError;
use super::folder::Folder;
use crate::session::names::LOCK_FILE;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// While this exists, no other program has the session open for recording.
#[derive(Debug)]
pub(super) enum Lock {
    /// A `flock` on the lock file. Closing the file ends it, so it is kept and never read.
    File { _file: Flock<File> },
    /// An abstract socket name derived from the lock file, for file systems without `flock`. Other programs of this
    /// computer see it; other computers do not.
    AbstractName { _name: UnixListener },
}

impl Lock {
    /// Takes the lock and writes the process number into the file.
    pub(super) fn acquire(folder: &Folder) -> Result<Lock, SessionError> {
        let mut file = folder.open_lock_file(LOCK_FILE).map_err(|error| match error {
            SessionError::Io { error, .. }
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                SessionError::ReadOnly { path: folder.path().into() }
            }
            other => other,
        })?;
        let named = name_of(&file);
        match Flock::lock(file.try_clone().map_err(|error| folder.io_error(LOCK_FILE, "dup", error))?, LOCK) {
            Ok(mut lock) => {
                note_holder(&mut lock);
                Ok(Lock::File { _file: lock })
            }
            Err((_, Errno::EWOULDBLOCK)) => Err(locked_error(folder, file)),
            Err((_, errno)) if is_locking_unsupported(errno) => {
                match named.and_then(|name| UnixListener::bind_addr(&name)) {
                    Ok(name) => {
                        note_holder(&mut file);
                        Ok(Lock::AbstractName { _name: name })
                    }
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(locked_error(folder, file)),
                    Err(error) => Err(folder.io_error(LOCK_FILE, "lock", error)),
                }
            }
            Err((_, errno)) => Err(folder.io(LOCK_FILE, "flock", errno)),
        }
    }

    /// Whether the lock keeps out other computers too, where they share the file system.
    pub(super) fn is_on_file(&self) -> bool {
        matches!(self, Lock::File { .. })
    }
}

const LOCK: FlockArg = FlockArg::LockExclusiveNonblock;

/// Whether a running program holds the lock. False where that cannot be known.
pub(super) fn is_taken(folder: &Folder) -> bool {
    let Ok(Some(file)) = folder.open_file(LOCK_FILE) else { return false };
    // A shared lock, so that two programs that check at once do not take each other for the recorder. It ends when
    // the file is closed.
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => {
            let silent = error.raw_os_error().is_some_and(|code| is_locking_unsupported(Errno::from_raw(code)));
            let bound = name_of(&file).and_then(|name| UnixListener::bind_addr(&name));
            silent && bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
        }
    }
}

/// Whether this is the error of a file system without `flock`.
fn is_locking_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::ENOLCK | Errno::EINVAL)
}

/// An abstract socket name for a file. It exists only while a socket is bound to it.
fn name_of(file: &File) -> io::Result<SocketAddr> {
    let stat = file.metadata()?;
    SocketAddr::from_abstract_name(format!("faultless-session-{:x}-{:x}", stat.dev(), stat.ino()))
}

fn locked_error(folder: &Folder, file: File) -> SessionError {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    let pid = read.ok().and_then(|_| text.trim().parse().ok());
    SessionError::Locked { path: folder.path().into(), pid }
}

/// Writes the process number. A full disk may refuse it; the lock holds all the same. A file with a second name is
/// left alone, because that name may be outside the folder.
fn note_holder(file: &mut File) {
    if !file.metadata().is_ok_and(|file| file.nlink() == 1) {
        return;
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).ok();
}
