//! A folder that is held open, and the file operations in it. Thread: any that may wait for the disk.
//!
//! Every name is one component relative to the open folder, and no link is followed, so a session from another
//! computer cannot lead out of it. Special files are recognised before they are opened, and every file is opened
//! without waiting, so none can make the program wait for ever.

use super::SessionError;
use crate::file_system::{self, OpenError, open_regular_at};
use crate::host::disk;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// An open folder. It was a folder when it was opened and remains the same one, even if its path changes.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: OwnedFd,
    /// Whether a power cut can take names of files in it back to what they were before.
    has_volatile_names: AtomicBool,
}

/// Device, inode, size and time of the last write of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMark {
    file: (u64, u64),
    bytes: i64,
    modified: (i64, i64),
}

/// The result of [`Folder::move_to`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Done,
    /// There is no such file.
    Missing,
    /// Another file has the new name.
    NameTaken,
}

impl Folder {
    /// An open folder. Its names count as not durable: a program that had it before may have been killed before it synced the
    /// folder.
    fn of(path: PathBuf, dir: OwnedFd) -> Folder {
        Folder { path, dir, has_volatile_names: AtomicBool::new(true) }
    }

    /// Opens the folder of a session. The path may go through links.
    pub(super) fn open(path: &Path) -> Result<Folder, SessionError> {
        match disk::open_folder(path) {
            Ok(dir) => Ok(Folder::of(path.into(), dir)),
            Err(Errno::ENOENT) => Err(SessionError::Missing { path: path.into() }),
            Err(Errno::ENOTDIR) => {
                Err(SessionError::NotASession { path: path.into(), reason: "it is not a folder".into() })
            }
            Err(errno) => Err(SessionError::Io { path: path.into(), call: "open", error: errno.into() }),
        }
    }

    /// The same folder under the path that the kernel knows it by: absolute, without `..` and links. `session.json` can
    /// store only such a path.
    pub(super) fn resolved(self) -> Folder {
        let path = file_system::path_of(&self.dir).unwrap_or(self.path);
        Folder { path, ..self }
    }

    /// Opens a folder in this one. A link is refused.
    pub(super) fn subfolder(&self, name: &str) -> Result<Option<Folder>, SessionError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match disk::open_at(&self.dir, name, flags, Mode::empty()) {
            Ok(dir) => Ok(Some(Folder::of(self.path.join(name), dir))),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                Err(self.not_a_session(format!("{name} is a link or a file, not a folder")))
            }
            Err(errno) => Err(self.io(name, "open", errno)),
        }
    }

    /// Opens a folder in this one, and makes it first if it does not exist.
    pub(super) fn make_subfolder(&self, name: &str) -> Result<Folder, SessionError> {
        match disk::make_folder_at(&self.dir, name, Mode::from_bits_truncate(0o777)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(self.io(name, "mkdir", errno)),
        }
        self.subfolder(name)?.ok_or_else(|| self.io(name, "open", Errno::ENOENT))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A second descriptor of the same open folder.
    pub(super) fn duplicate(&self) -> Option<OwnedFd> {
        self.dir.try_clone().ok()
    }

    /// The file type behind a name; `None` if there is no such name.
    pub(super) fn kind(&self, name: &str) -> Result<Option<SFlag>, SessionError> {
        match disk::stat_at(&self.dir, name) {
            Ok(stat) => Ok(Some(SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.io(name, "stat", errno)),
        }
    }

    /// The time at which a file was last written. `None` if there is no file of that name.
    pub(super) fn modified(&self, name: &str) -> Result<Option<SystemTime>, SessionError> {
        let Some(mark) = self.mark(name)? else { return Ok(None) };
        let (seconds, nanoseconds) = mark.modified;
        Ok(u64::try_from(seconds).ok().and_then(|seconds| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or(0)))
        }))
    }

    /// A mark that changes when another program replaces or writes a file. `None` if there is no file of that name.
    pub(super) fn mark(&self, name: &str) -> Result<Option<FileMark>, SessionError> {
        match disk::stat_at(&self.dir, name) {
            Ok(stat) => Ok(Some(FileMark {
                file: (stat.st_dev, stat.st_ino),
                bytes: stat.st_size,
                modified: (stat.st_mtime, stat.st_mtime_nsec),
            })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.io(name, "stat", errno)),
        }
    }

    /// The names in this folder.
    pub(super) fn names(&self) -> Result<Vec<String>, SessionError> {
        let io = |error| SessionError::Io { path: self.path.clone(), call: "read folder", error };
        // The folder is read through its descriptor, because another program may have moved it.
        let names = disk::list(Path::new(&format!("/proc/self/fd/{}", self.dir.as_raw_fd()))).map_err(io)?;
        Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }

    /// Opens a regular file to read. `None` if there is no file of that name.
    pub(super) fn open_file(&self, name: &str) -> Result<Option<File>, SessionError> {
        match self.kind(name)? {
            None => return Ok(None),
            Some(SFlag::S_IFREG) => {}
            Some(_) => return Err(self.not_a_session(format!("{name} is a link or a special file"))),
        }
        self.open_regular(name, OFlag::O_RDONLY).map(Some)
    }

    /// Opens an existing regular file to read and write. `None` if there is no file of that name.
    pub(super) fn open_file_to_write(&self, name: &str) -> Result<Option<File>, SessionError> {
        if self.open_file(name)?.is_none() {
            return Ok(None);
        }
        self.open_regular(name, OFlag::O_RDWR).map(Some)
    }

    /// Opens a file to lock, and makes it first if it does not exist.
    pub(super) fn open_lock_file(&self, name: &str) -> Result<File, SessionError> {
        if self.kind(name)?.is_some_and(|kind| kind != SFlag::S_IFREG) {
            return Err(self.not_a_session(format!("{name} is a link or a special file")));
        }
        self.open_regular(name, OFlag::O_RDWR | OFlag::O_CREAT)
    }

    /// Opens a regular file. The callers have checked the name; the open file is checked again, because the name may
    /// mean another file by then.
    fn open_regular(&self, name: &str, access: OFlag) -> Result<File, SessionError> {
        let mode = Mode::from_bits_truncate(0o666);
        open_regular_at(&self.dir, name, access, mode).map_err(|error| match error {
            OpenError::Link => self.not_a_session(format!("{name} is a link")),
            OpenError::NotRegular => self.not_a_session(format!("{name} is a link or a special file")),
            OpenError::Open(error) => self.io_error(name, "open", error),
            OpenError::Stat(error) => self.io_error(name, "stat", error),
        })
    }

    /// Reads at most `bytes` bytes from the start of a file. `None` if there is no file of that name.
    pub(super) fn read_start(&self, name: &str, bytes: u64) -> Result<Option<Vec<u8>>, SessionError> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        disk::read_to_end(&file, bytes).map(Some).map_err(|error| self.io_error(name, "read", error))
    }

    /// Reads a whole file of at most `bytes_max` bytes. `None` if there is no file of that name.
    pub(super) fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, SessionError> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let size = file.metadata().map_err(|error| self.io_error(name, "stat", error))?.len();
        let too_large = |bytes| SessionError::TooLarge { path: self.path.join(name), bytes, bytes_max };
        if bytes_max < size {
            return Err(too_large(size));
        }
        let bytes = disk::read_to_end(&file, bytes_max + 1).map_err(|error| self.io_error(name, "read", error))?;
        if bytes_max < bytes.len() as u64 { Err(too_large(bytes.len() as u64)) } else { Ok(Some(bytes)) }
    }

    /// Writes a new file and waits until it is durable. A file of that name, left by a killed program, is removed
    /// first.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SessionError> {
        self.remove(name)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = disk::open_at(&self.dir, name, flags, Mode::from_bits_truncate(0o666))
            .map_err(|errno| self.io(name, "create", errno))?;
        let file = File::from(fd);
        disk::write_all_at(&file, bytes, 0).map_err(|error| self.io_error(name, "write", error))?;
        disk::sync_all(&file).map_err(|error| self.io_error(name, "fsync", error))
    }

    /// Extends a file to `bytes` bytes with blocks reserved for all of them, where the file system supports that.
    pub(super) fn reserve(&self, name: &str, bytes: u64) -> Result<(), SessionError> {
        let file = self.open_lock_file(name)?;
        let there = file.metadata().map_err(|error| self.io_error(name, "stat", error))?;
        if there.len() < bytes {
            disk::reserve(&file, 0, bytes).map_err(|errno| self.io(name, "fallocate", errno))?;
        }
        Ok(())
    }

    /// Gives `bytes` bytes of a reserve back to the disk. Returns whether the reserve had any.
    pub(super) fn shrink_reserve(&self, name: &str, bytes: u64) -> Result<bool, SessionError> {
        let Some(file) = self.open_file_to_write(name)? else { return Ok(false) };
        let there = file.metadata().map_err(|error| self.io_error(name, "stat", error))?.len();
        if there <= bytes {
            self.remove(name)?;
        } else {
            disk::set_length(&file, there - bytes).map_err(|error| self.io_error(name, "truncate", error))?;
        }
        Ok(there > 0)
    }

    /// Removes a file if it exists.
    pub(super) fn remove(&self, name: &str) -> Result<(), SessionError> {
        match disk::remove_at(&self.dir, name) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.io(name, "unlink", errno)),
        }
    }

    /// Renames a file in this folder. A file that has the new name is replaced.
    pub(super) fn replace(&self, from: &str, to: &str) -> Result<(), SessionError> {
        self.has_volatile_names.store(true, Relaxed);
        disk::rename_at((&self.dir, from), (&self.dir, to), true).map_err(|errno| self.io(to, "rename", errno))
    }

    /// Gives a file in this folder another name, and never replaces a file.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), SessionError> {
        disk::rename_at((&self.dir, from), (&self.dir, to), false).map_err(|errno| self.io(from, "rename", errno))
    }

    /// Gives a file a second name in another folder. Returns false if that name is taken.
    pub(super) fn link(&self, from: &str, to: &Folder, name: &str, bytes_max: u64) -> Result<bool, SessionError> {
        match disk::link_at((&self.dir, from), (&to.dir, name)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EMLINK | Errno::EXDEV | Errno::ENOSYS) => {
                // The file system has no hard links. A copy serves as well, because it gets its name when it is
                // complete.
                if to.kind(name)?.is_some() {
                    return Ok(false);
                }
                let bytes = self.read(from, bytes_max)?.unwrap_or_default();
                let part = ".part";
                to.write(part, &bytes)?;
                to.replace(part, name)?;
                Ok(true)
            }
            Err(errno) => Err(to.io(name, "link", errno)),
        }
    }

    /// Moves a file to another folder, or gives it another name in this one. Never replaces a file.
    pub(super) fn move_to(&self, name: &str, to: &Folder, new_name: &str) -> Result<Moved, SessionError> {
        let rename = |may_replace| disk::rename_at((&self.dir, name), (&to.dir, new_name), may_replace);
        let moved = match rename(false) {
            // The file system cannot do both in one step.
            Err(Errno::EINVAL | Errno::ENOSYS) if to.kind(new_name)?.is_some() => Err(Errno::EEXIST),
            Err(Errno::EINVAL | Errno::ENOSYS) => rename(true),
            other => other,
        };
        match moved {
            Ok(()) => Ok(Moved::Done),
            Err(Errno::ENOENT) => Ok(Moved::Missing),
            Err(Errno::EEXIST) => Ok(Moved::NameTaken),
            Err(errno) => Err(to.io(new_name, "rename", errno)),
        }
    }

    /// Waits until the names in this folder are durable.
    pub(super) fn sync(&self) -> Result<(), SessionError> {
        let failed = |errno: Errno| SessionError::Io { path: self.path.clone(), call: "fsync", error: errno.into() };
        disk::sync_folder(&self.dir).map_err(failed)?;
        self.has_volatile_names.store(false, Relaxed);
        Ok(())
    }

    /// Waits until the names in this folder are durable, if no sync has succeeded since a file got its name.
    pub(super) fn sync_new_names(&self) -> Result<(), SessionError> {
        if self.has_volatile_names.load(Relaxed) { self.sync() } else { Ok(()) }
    }

    /// The error for a link, a special file, or a folder that is no session's.
    pub(super) fn not_a_session(&self, reason: String) -> SessionError {
        SessionError::NotASession { path: self.path.clone(), reason }
    }

    pub(super) fn io(&self, name: &str, call: &'static str, errno: Errno) -> SessionError {
        self.io_error(name, call, errno.into())
    }

    pub(super) fn io_error(&self, name: &str, call: &'static str, error: std::io::Error) -> SessionError {
        SessionError::Io { path: self.path.join(name), call, error }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}
