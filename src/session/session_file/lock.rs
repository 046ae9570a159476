//! The lock that keeps a second program from recording into a session. Thread: any that may wait for the disk.
//!
//! The kernel holds the lock, not the file. It ends with the program that holds it, however that ends, so a lock file
//! that was left behind locks nobody out.

use super::folder::Folder;
use super::{SessionError, folder_of};
use crate::host::{self, disk};
use crate::session::names::LOCK_FILE;
use nix::errno::Errno;
use std::fs::{File, TryLockError};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::time::Duration;

/// Time for a program that is ending to give the lock back. Its memory is unlocked and unmapped meanwhile.
const ENDING_LIMIT: Duration = Duration::from_secs(5);

/// While this exists, no other program has the session open for recording.
#[derive(Debug)]
pub(super) enum Lock {
    /// A `flock` on the lock file. Closing the file ends it, so it is kept and never read.
    File { _file: File },
    /// An abstract socket name derived from the lock file, for file systems without `flock`. Other programs of this
    /// computer see it; other computers do not.
    AbstractName { _name: UnixListener },
}

impl Lock {
    /// Takes the lock and writes the process number into the file.
    pub(super) fn acquire(folder: &Folder) -> Result<Lock, SessionError> {
        let file = folder.open_lock_file(LOCK_FILE).map_err(|error| match error {
            SessionError::Io { error, .. }
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                SessionError::ReadOnly { path: folder.path().into() }
            }
            other => other,
        })?;
        let named = name_of(&file);
        match lock_after_an_ending_program(&file) {
            Ok(()) => {
                note_holder(&file);
                Ok(Lock::File { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(locked_error(folder, &file)),
            Err(TryLockError::Error(error)) if is_locking_unsupported(&error) => {
                match named.and_then(|name| UnixListener::bind_addr(&name)) {
                    Ok(name) => {
                        note_holder(&file);
                        Ok(Lock::AbstractName { _name: name })
                    }
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(locked_error(folder, &file)),
                    Err(error) => Err(folder.io_error(LOCK_FILE, "lock", error)),
                }
            }
            Err(TryLockError::Error(error)) => Err(folder.io_error(LOCK_FILE, "flock", error)),
        }
    }

    /// Whether the lock keeps out other computers too, where they share the file system.
    pub(super) fn is_on_file(&self) -> bool {
        matches!(self, Lock::File { .. })
    }
}

/// Takes the lock. A program that is being killed closes its files one after the other. So somebody can learn of its end, as a
/// window does, before it gives the lock back: this waits for it.
fn lock_after_an_ending_program(file: &File) -> Result<(), TryLockError> {
    let begun = host::now();
    loop {
        let locked = disk::try_lock(file);
        let is_held = matches!(locked, Err(TryLockError::WouldBlock));
        match pid_in(file).filter(|_| is_held && host::elapsed(begun) < ENDING_LIMIT).map(is_ending) {
            None | Some(Some(false)) => return locked,
            Some(Some(true)) => host::sleep(Duration::from_millis(5)),
            // It has ended a moment ago, or is a process of another computer.
            Some(None) => return disk::try_lock(file),
        }
    }
}

/// Whether a process is ending. `None`: there is no such process.
fn is_ending(pid: u32) -> Option<bool> {
    /// `PF_EXITING` in the kernel's `include/linux/sched.h`.
    const EXITING: u64 = 4;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses and may have any characters. proc(5): state, 5 numbers, flags.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let flags = fields.get(6).and_then(|flags| flags.parse::<u64>().ok()).unwrap_or(0);
    Some(flags & EXITING != 0 || matches!(fields.first(), Some(&("Z" | "X"))))
}

/// Whether a running program holds the lock. False where that cannot be known.
pub(super) fn is_taken(folder: &Folder) -> bool {
    let Ok(Some(file)) = folder.open_file(LOCK_FILE) else { return false };
    // A shared lock, so that two programs that check at once do not take each other for the recorder. It ends when
    // the file is closed.
    match disk::try_lock_shared(&file) {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => {
            let silent = is_locking_unsupported(&error);
            let bound = name_of(&file).and_then(|name| UnixListener::bind_addr(&name));
            silent && bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
        }
    }
}

/// The running program that has a session open for recording, by the number of its process. `None`: there is none, or the
/// lock file does not name it.
pub fn holder(path: &Path) -> Option<u32> {
    let folder = Folder::open(folder_of(path)).ok()?;
    let file = folder.open_file(LOCK_FILE).ok()??;
    is_taken(&folder).then(|| pid_in(&file)).flatten()
}

/// Whether this is the error of a file system without `flock`.
fn is_locking_unsupported(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::ENOLCK | Errno::EINVAL))
}

/// An abstract socket name for a file. It exists only while a socket is bound to it.
fn name_of(file: &File) -> io::Result<SocketAddr> {
    let stat = file.metadata()?;
    SocketAddr::from_abstract_name(format!("faultless-session-{:x}-{:x}", stat.dev(), stat.ino()))
}

fn locked_error(folder: &Folder, file: &File) -> SessionError {
    SessionError::Locked { path: folder.path().into(), pid: pid_in(file) }
}

/// The process number in a lock file.
fn pid_in(file: &File) -> Option<u32> {
    let mut text = [0; 32];
    // The position of the file stays where it is: a lock that is waited for is read again.
    let bytes = disk::read_at(file, &mut text, 0).ok()?;
    std::str::from_utf8(&text[..bytes]).ok()?.trim().parse().ok()
}

/// Writes the process number. A full disk may refuse it; the lock holds all the same. A file with a second name is
/// left alone, because that name may be outside the folder.
fn note_holder(file: &File) {
    if !file.metadata().is_ok_and(|file| file.nlink() == 1) {
        return;
    }
    let text = format!("{}\n", std::process::id());
    disk::set_length(file, 0).and_then(|()| disk::write_all_at(file, text.as_bytes(), 0)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_killed_is_ending_and_a_running_one_is_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!([std::process::id(), child.id()].map(is_ending), [Some(false); 2]);
        child.kill().unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while is_ending(child.id()) != Some(true) {
            assert!(std::time::Instant::now() < until, "it is a zombie now");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait().unwrap();
        assert_eq!(is_ending(child.id()), None);
    }
}
