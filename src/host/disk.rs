//! Calls that ask or change a disk. Thread: any that may wait for the disk; the module owns nothing.
//!
//! Control, the disk threads, the session's file and recovery make every such call through a function of this file. On a
//! simulated machine the host sees the call first: it may delay it, cut it short or refuse it. `tests/it/tidy/machine.rs`
//! refuses the system's own calls elsewhere.
//!
//! Calls that the kernel answers from memory are not here: the state of an open file, the path of an open folder, `/proc`.

use super::{Host, host, is_simulated};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, OFlag, RenameFlags};
use nix::sys::stat::{FileStat, Mode};
use nix::unistd::{UnlinkatFlags, Whence};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A name on a disk.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// The open folder that `path` is relative to. `None`: the working folder.
    pub folder: Option<BorrowedFd<'a>>,
    /// The path from that folder on.
    pub path: &'a Path,
}

impl Name<'_> {
    /// The whole path. An open folder has the path that the kernel knows now.
    pub fn resolved(&self) -> PathBuf {
        let folder = self.folder.map(|folder| std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())));
        folder.and_then(Result::ok).map_or_else(|| self.path.to_owned(), |folder| folder.join(self.path))
    }
}

/// A call that asks or changes a disk.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are the arguments of the call")]
pub enum DiskCall<'a> {
    /// Makes a file that must not exist, or with `may_exist` opens an existing one.
    Create {
        name: Name<'a>,
        may_exist: bool,
    },
    /// Opens a file or a folder that exists.
    Open {
        name: Name<'a>,
    },
    Write {
        file: BorrowedFd<'a>,
        offset: u64,
        parts: &'a [IoSlice<'a>],
    },
    /// Reads, or looks for data or a hole.
    Read {
        file: BorrowedFd<'a>,
        offset: u64,
        bytes: u64,
    },
    /// Makes the bytes of a file durable.
    SyncData {
        file: BorrowedFd<'a>,
    },
    /// Makes the bytes and the attributes of a file durable.
    SyncAll {
        file: BorrowedFd<'a>,
    },
    /// Makes the names in a folder durable.
    SyncFolder {
        folder: BorrowedFd<'a>,
    },
    SetLength {
        file: BorrowedFd<'a>,
        bytes: u64,
    },
    /// Reserves blocks, and makes the file longer if it is shorter.
    Reserve {
        file: BorrowedFd<'a>,
        offset: u64,
        bytes: u64,
    },
    /// Frees the blocks of a range.
    Punch {
        file: BorrowedFd<'a>,
        offset: u64,
        bytes: u64,
    },
    Rename {
        from: Name<'a>,
        to: Name<'a>,
        may_replace: bool,
    },
    Link {
        from: Name<'a>,
        to: Name<'a>,
    },
    Remove {
        name: Name<'a>,
    },
    /// Makes a folder, and with `above` the missing folders above it.
    MakeFolder {
        name: Name<'a>,
        above: bool,
    },
    RemoveFolder {
        name: Name<'a>,
    },
    /// Reads the names in a folder.
    List {
        name: Name<'a>,
    },
    /// Asks for the kind and the attributes behind a name.
    Stat {
        name: Name<'a>,
    },
    /// Locks a file, or fails at once.
    Lock {
        file: BorrowedFd<'a>,
    },
}

/// The host's decision about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proceed {
    /// The call goes to the system.
    Go,
    /// A write or a read goes to the system with so many bytes at most. Of a look for a hole, 0 says that the disk has none.
    Short(usize),
    /// The call fails and has no effect.
    Fail(Errno),
}

/// The outcome of a call that went to the system.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The call succeeded.
    Done,
    /// The call wrote or read so many bytes.
    Bytes(usize),
    /// The call opened or made this file or folder.
    Opened(BorrowedFd<'a>),
    /// The system refused it.
    Failed(&'a io::Error),
}

/// Asks the host about a call. `Ok`: the host, to be told the outcome, and the most bytes that may be moved.
fn ask(call: &DiskCall<'_>) -> io::Result<(Option<Rc<dyn Host>>, usize)> {
    let Some(host) = host() else { return Ok((None, usize::MAX)) };
    match host.before(call) {
        Proceed::Go => Ok((Some(host), usize::MAX)),
        Proceed::Short(bytes) => Ok((Some(host), bytes)),
        Proceed::Fail(errno) => Err(errno.into()),
    }
}

/// Makes a call. `of` turns its result into what the host sees of it.
fn make<T>(
    call: &DiskCall<'_>,
    real: impl FnOnce(usize) -> io::Result<T>,
    of: impl FnOnce(&T) -> Outcome<'_>,
) -> io::Result<T> {
    let (host, bytes_max) = ask(call)?;
    let result = real(bytes_max);
    if let Some(host) = host {
        host.after(call, result.as_ref().map_or_else(Outcome::Failed, of));
    }
    result
}

fn simple<T>(call: &DiskCall<'_>, real: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    make(call, |_| real(), |_| Outcome::Done)
}

fn opening<T: AsFd>(call: &DiskCall<'_>, real: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    make(call, |_| real(), |file| Outcome::Opened(file.as_fd()))
}

pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn at(path: &Path) -> Name<'_> {
    Name { folder: None, path }
}

fn name<'a>(folder: BorrowedFd<'a>, path: &'a Path) -> Name<'a> {
    let is_working_folder = folder.as_raw_fd() == AT_FDCWD.as_raw_fd();
    Name { folder: (!is_working_folder).then_some(folder), path }
}

/// Makes a file that must not exist (`O_EXCL`), and opens it with `options`.
pub fn create(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let call = DiskCall::Create { name: at(path), may_exist: false };
    opening(&call, || options.clone().create_new(true).open(path))
}

/// Opens a file or a folder that exists. `options` must not make one.
pub fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    opening(&DiskCall::Open { name: at(path) }, || options.open(path))
}

/// Opens a file or a folder, or makes a file if `flags` say so. `path` is relative to `folder`.
pub fn open_at(folder: impl AsFd, path: impl AsRef<Path>, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    let (folder, path) = (folder.as_fd(), path.as_ref());
    let name = name(folder, path);
    let call = match flags.contains(OFlag::O_CREAT) {
        true => DiskCall::Create { name, may_exist: !flags.contains(OFlag::O_EXCL) },
        false => DiskCall::Open { name },
    };
    opening(&call, || Ok(nix::fcntl::openat(folder, path, flags, mode)?)).map_err(|error| errno(&error))
}

/// Opens a folder by its path.
pub fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    open_at(AT_FDCWD, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Writes `parts` one after the other from `offset` on. Returns the number of bytes, which may be smaller.
pub fn write_parts_at(file: impl AsFd, parts: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
    let file = file.as_fd();
    let write = |bytes_max: usize| Ok(real_write(file, parts, offset, bytes_max)?);
    make(&DiskCall::Write { file, offset, parts }, write, |bytes| Outcome::Bytes(*bytes)).map_err(|error| errno(&error))
}

/// The system's own call, for at most `bytes_max` bytes.
pub(super) fn real_write(
    file: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    offset: u64,
    bytes_max: usize,
) -> Result<usize, Errno> {
    if bytes_max == usize::MAX {
        return nix::sys::uio::pwritev(file, parts, offset as i64);
    }
    let mut left = bytes_max;
    let cut = parts.iter().map_while(|part| {
        let bytes = part.len().min(left);
        left -= bytes;
        (bytes > 0).then(|| IoSlice::new(&part[..bytes]))
    });
    let cut: Vec<IoSlice<'_>> = cut.collect();
    nix::sys::uio::pwritev(file, &cut, offset as i64)
}

/// The system's own call.
pub(super) fn real_sync(file: BorrowedFd<'_>) -> Result<(), Errno> {
    loop {
        match nix::unistd::fdatasync(file) {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Stores a word of a file through a mapping of it: `place` is the word at `offset`. Other processes see the whole word or the
/// one before. Only for files in memory: on a simulated machine this counts as a write.
pub fn store_word(file: &File, offset: u64, place: &AtomicU64, word: u64) -> io::Result<()> {
    let bytes = word.to_ne_bytes();
    let call = DiskCall::Write { file: file.as_fd(), offset, parts: &[IoSlice::new(&bytes)] };
    let store = |_| {
        place.store(word, Ordering::Release);
        Ok(bytes.len())
    };
    make(&call, store, |bytes| Outcome::Bytes(*bytes)).map(drop)
}

/// Writes all bytes from `offset` on.
pub fn write_all_at(file: impl AsFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match write_parts_at(&file, &[IoSlice::new(bytes)], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => (bytes, offset) = (&bytes[written..], offset + written as u64),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Reads from `offset` on. Returns the number of bytes, which may be smaller.
pub fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let call = DiskCall::Read { file: file.as_fd(), offset, bytes: bytes.len() as u64 };
    let read = |bytes_max: usize| {
        let length = bytes.len().min(bytes_max);
        file.read_at(&mut bytes[..length], offset)
    };
    make(&call, read, |bytes| Outcome::Bytes(*bytes))
}

/// Fills `bytes` from `offset` on.
pub fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match read_at(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => (bytes, offset) = (&mut bytes[read..], offset + read as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `bytes` is full or the file ends. Returns the number of bytes. One read stops before a bad block without an
/// error; the next one names it.
pub fn read_available(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match read_at(file, &mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads from the beginning to the end, at most `bytes_max` bytes.
pub fn read_to_end(file: &File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let call = DiskCall::Read { file: file.as_fd(), offset: 0, bytes: bytes_max };
    let read = || {
        let mut bytes = Vec::with_capacity(file.metadata()?.len().min(bytes_max) as usize);
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    make(&call, |_| read(), |bytes: &Vec<u8>| Outcome::Bytes(bytes.len()))
}

/// Reads a file from its beginning on.
pub struct Reading<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Reading<'a> {
    /// A reading of `file`.
    pub fn of(file: &'a File) -> Reading<'a> {
        Reading { file, at: 0 }
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reading<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(bytes) => self.at.checked_add_signed(bytes),
            SeekFrom::End(bytes) => self.file.metadata()?.len().checked_add_signed(bytes),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Announces that the bytes of a file are about to be read through a mapping.
pub fn will_read(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    ask(&DiskCall::Read { file: file.as_fd(), offset, bytes }).map(drop)
}

/// The next data or the next hole from `offset` on. A simulated disk without holes answers as the kernel does for such a file
/// system: the whole file is data.
pub fn seek(file: &File, offset: u64, whence: Whence) -> Result<u64, Errno> {
    let call = DiskCall::Read { file: file.as_fd(), offset, bytes: 0 };
    let seek = |bytes_max: usize| {
        if bytes_max > 0 {
            return Ok(nix::unistd::lseek(file, offset as i64, whence)? as u64);
        }
        let end = file.metadata()?.len();
        match whence {
            _ if end <= offset => Err(Errno::ENXIO.into()),
            Whence::SeekHole => Ok(end),
            _ => Ok(offset),
        }
    };
    make(&call, seek, |_| Outcome::Done).map_err(|error| errno(&error))
}

/// Whether the disk of a file can have holes. Only a simulated disk says no.
pub fn may_have_holes(file: &File) -> bool {
    !is_simulated() || ask(&DiskCall::Read { file: file.as_fd(), offset: 0, bytes: 0 }).is_ok_and(|(_, max)| max > 0)
}

/// Makes the bytes of a file durable.
pub fn sync_data(file: impl AsFd) -> io::Result<()> {
    let file = file.as_fd();
    simple(&DiskCall::SyncData { file }, || Ok(real_sync(file)?))
}

/// Makes the bytes and the attributes of a file durable.
pub fn sync_all(file: &File) -> io::Result<()> {
    simple(&DiskCall::SyncAll { file: file.as_fd() }, || file.sync_all())
}

/// Makes the names in an open folder durable. A file system that cannot sync a folder is no error.
pub fn sync_folder(folder: impl AsFd) -> Result<(), Errno> {
    let folder = folder.as_fd();
    let synced = simple(&DiskCall::SyncFolder { folder }, || Ok(nix::unistd::fsync(folder)?));
    match synced.map_err(|error| errno(&error)) {
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(()),
        result => result,
    }
}

/// Makes the names in the folder `path` durable.
pub fn sync_folder_at(path: &Path) -> io::Result<()> {
    Ok(sync_folder(open_folder(path)?)?)
}

/// Sets the length of a file.
pub fn set_length(file: &File, bytes: u64) -> io::Result<()> {
    simple(&DiskCall::SetLength { file: file.as_fd(), bytes }, || file.set_len(bytes))
}

/// Reserves blocks of the disk for a range of a file.
pub fn reserve(file: &File, offset: u64, bytes: u64) -> Result<(), Errno> {
    let call = DiskCall::Reserve { file: file.as_fd(), offset, bytes };
    let real = || match is_simulated() {
        // A simulated disk counts the blocks itself. Memory for blocks that are never written would cost it time.
        true => file.set_len(file.metadata()?.len().max(offset + bytes)),
        false => Ok(nix::fcntl::fallocate(file, FallocateFlags::empty(), offset as i64, bytes as i64)?),
    };
    simple(&call, real).map_err(|error| errno(&error))
}

/// Frees the blocks of a range; the length of the file does not change.
pub fn punch(file: &File, offset: u64, bytes: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let call = DiskCall::Punch { file: file.as_fd(), offset, bytes };
    simple(&call, || Ok(nix::fcntl::fallocate(file, flags, offset as i64, bytes as i64)?))
        .map_err(|error| errno(&error))
}

/// Renames a file. With `may_replace`, a file that has the new name is replaced; otherwise the error is `EEXIST`, or
/// `EINVAL` where the file system cannot do both in one step.
pub fn rename_at(
    (from_folder, from): (impl AsFd, impl AsRef<Path>),
    (to_folder, to): (impl AsFd, impl AsRef<Path>),
    may_replace: bool,
) -> Result<(), Errno> {
    let (from_folder, to_folder, from, to) = (from_folder.as_fd(), to_folder.as_fd(), from.as_ref(), to.as_ref());
    let call = DiskCall::Rename { from: name(from_folder, from), to: name(to_folder, to), may_replace };
    let real = || match may_replace {
        true => nix::fcntl::renameat(from_folder, from, to_folder, to),
        false => nix::fcntl::renameat2(from_folder, from, to_folder, to, RenameFlags::RENAME_NOREPLACE),
    };
    simple(&call, || Ok(real()?)).map_err(|error| errno(&error))
}

/// Gives a file a second name.
pub fn link_at(
    (from_folder, from): (impl AsFd, impl AsRef<Path>),
    (to_folder, to): (impl AsFd, impl AsRef<Path>),
) -> Result<(), Errno> {
    let (from_folder, to_folder, from, to) = (from_folder.as_fd(), to_folder.as_fd(), from.as_ref(), to.as_ref());
    let call = DiskCall::Link { from: name(from_folder, from), to: name(to_folder, to) };
    simple(&call, || Ok(nix::unistd::linkat(from_folder, from, to_folder, to, AtFlags::empty())?))
        .map_err(|error| errno(&error))
}

/// Removes a name of a file.
pub fn remove_at(folder: impl AsFd, path: impl AsRef<Path>) -> Result<(), Errno> {
    let (folder, path) = (folder.as_fd(), path.as_ref());
    let call = DiskCall::Remove { name: name(folder, path) };
    simple(&call, || Ok(nix::unistd::unlinkat(folder, path, UnlinkatFlags::NoRemoveDir)?))
        .map_err(|error| errno(&error))
}

/// Removes a name of a file.
pub fn remove(path: &Path) -> io::Result<()> {
    Ok(remove_at(AT_FDCWD, path)?)
}

/// Makes a folder.
pub fn make_folder_at(folder: impl AsFd, path: impl AsRef<Path>, mode: Mode) -> Result<(), Errno> {
    let (folder, path) = (folder.as_fd(), path.as_ref());
    let call = DiskCall::MakeFolder { name: name(folder, path), above: false };
    simple(&call, || Ok(nix::sys::stat::mkdirat(folder, path, mode)?)).map_err(|error| errno(&error))
}

/// Makes a folder that is closed to other users.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    Ok(make_folder_at(AT_FDCWD, path, Mode::S_IRWXU)?)
}

/// Makes a folder and the missing folders above it. Their names need not be durable: see
/// [`crate::file_system::make_durable_folders`].
pub fn make_folders(path: &Path) -> io::Result<()> {
    let call = DiskCall::MakeFolder { name: at(path), above: true };
    simple(&call, || DirBuilder::new().recursive(true).create(path))
}

/// Removes an empty folder.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    simple(&DiskCall::RemoveFolder { name: at(path) }, || std::fs::remove_dir(path))
}

/// The names in a folder, sorted.
pub fn list(path: &Path) -> io::Result<Vec<OsString>> {
    simple(&DiskCall::List { name: at(path) }, || {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    })
}

/// The attributes behind a name, of a link itself.
pub fn stat_at(folder: impl AsFd, path: impl AsRef<Path>) -> Result<FileStat, Errno> {
    let (folder, path) = (folder.as_fd(), path.as_ref());
    let call = DiskCall::Stat { name: name(folder, path) };
    simple(&call, || Ok(nix::sys::stat::fstatat(folder, path, AtFlags::AT_SYMLINK_NOFOLLOW)?))
        .map_err(|error| errno(&error))
}

/// The attributes behind a path. Follows links.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    simple(&DiskCall::Stat { name: at(path) }, || std::fs::metadata(path))
}

/// The attributes behind a path, of a link itself.
pub fn link_metadata(path: &Path) -> io::Result<Metadata> {
    simple(&DiskCall::Stat { name: at(path) }, || std::fs::symlink_metadata(path))
}

/// Locks a file for this program alone (`flock`). Does not wait for another program.
pub fn try_lock(file: &File) -> Result<(), TryLockError> {
    lock_with(file, File::try_lock)
}

/// Locks a file against a program that wants it alone (`flock`). Does not wait for another program.
pub fn try_lock_shared(file: &File) -> Result<(), TryLockError> {
    lock_with(file, File::try_lock_shared)
}

fn lock_with(file: &File, real: fn(&File) -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    // An io::Error cannot hold a `TryLockError` and come out again, so the result passes through beside it.
    let mut result = Ok(());
    let call = DiskCall::Lock { file: file.as_fd() };
    let asked = simple(&call, || match real(file) {
        Err(TryLockError::Error(error)) => Err(error),
        other => {
            result = other;
            Ok(())
        }
    });
    asked.map_err(TryLockError::Error).and(result)
}
