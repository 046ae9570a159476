//! The file system under a folder: its name, its kind, the mount table, and a test of what a session needs. Thread:
//! any that may wait for the disk; the module owns nothing.

mod mounts;
mod open;

pub use mounts::{Mount, is_missing_above, is_mounted, mount_of, resolved};
pub use open::{OpenError, open_regular, open_regular_at};

use crate::host::{self, disk};
use crate::limits::PAGE_BYTES;
use crate::rt::process;
use mounts::mount_by_id;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::Mode;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::Whence;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of the largest file on FAT.
pub const FAT_FILE_BYTES_MAX: u64 = u32::MAX as u64;

/// The kind of a file system, as far as it matters to takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No disadvantage is known.
    Plain,
    /// Files are in memory and end with it.
    Memory,
    /// FAT: a file ends at 4 GiB, and there is no journal.
    Fat,
    /// exFAT: there is no journal.
    Exfat,
    /// The disk is in another computer.
    Network,
    /// Another program on this computer serves it.
    Served,
    /// The file system passes files on to another one.
    Layered,
}

impl Kind {
    /// The kind of the file system with this kernel name.
    pub fn of(name: &str) -> Kind {
        match name {
            "tmpfs" | "ramfs" => Kind::Memory,
            "vfat" | "msdos" | "fuse.fusefat" | "fuse.vfat" => Kind::Fat,
            "exfat" | "fuse.exfat" | "fuse.exfat-fuse" => Kind::Exfat,
            "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "ceph" | "afs" | "coda" | "ncpfs" | "fuse.sshfs"
            | "fuse.rclone" | "fuse.s3fs" | "fuse.davfs" | "fuse.davfs2" | "fuse.glusterfs" | "fuse.ceph-fuse"
            | "fuse.ceph" | "fuse.curlftpfs" | "fuse.gvfsd-fuse" | "fuse.smbnetfs" | "fuse.juicefs"
            | "fuse.gcsfuse" | "fuse.mount-s3" | "fuse.kio-fuse" => Kind::Network,
            "virtiofs" | "overlay" | "ecryptfs" | "aufs" | "fuse.fuse-overlayfs" => Kind::Layered,
            name if name == "fuse" || name == "fuseblk" || name.starts_with("fuse.") => Kind::Served,
            _ => Kind::Plain,
        }
    }
}

/// The name of the file system that an open folder is on, from the mount table, or from its magic number if the table
/// does not have it.
pub fn name_of(folder: impl AsFd) -> Option<String> {
    if host::is_simulated() {
        return Some("ext4".to_owned());
    }
    let number = folder.as_fd().as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok();
    let id = info.as_deref().and_then(|info| info.lines().find_map(|line| line.strip_prefix("mnt_id:")));
    id.and_then(|id| mount_by_id(id.trim())).map(|mount| mount.kind).or_else(|| by_magic(folder))
}

/// Part of the name of a file that another program had put into the place of a take.
const OF_ANOTHER_PROGRAM: &str = " (of another program ";

/// A new name for the file of another program. Its present name, which has this stem, is the name of a take. The caller tries
/// the numbers from 1 on until a name is free.
pub fn name_for_other(stem: &OsStr, number: u32) -> OsString {
    let mut name = stem.to_owned();
    name.push(format!("{OF_ANOTHER_PROGRAM}{number}).wav"));
    name
}

/// The name of the file in which a copy of the file `name` grows until it takes that name.
pub fn name_of_part(name: &OsStr) -> OsString {
    let mut part = OsString::from(".");
    part.push(name);
    part.push(".part");
    part
}

/// Whether a file name is one of [`name_for_other`].
pub fn is_name_for_other(name: &str) -> bool {
    name.contains(OF_ANOTHER_PROGRAM)
}

/// Whether a file that is removed while it is open has no name any more. NFS and FUSE rename it instead.
pub fn keeps_no_removed_name(file: impl AsFd) -> bool {
    is_on_known_file_system(file)
}

/// Whether the file system says of this file which parts were never written. `false` if that is not known: the file has no hole
/// with data behind it, and the file system is none of those that are known to track holes. A hole at the end proves nothing:
/// NTFS only knows how far a file was written.
pub fn knows_holes(file: &File) -> bool {
    let first_hole = || disk::seek(file, 0, Whence::SeekHole);
    let has_hole = || first_hole().is_ok_and(|hole| disk::seek(file, hole, Whence::SeekData).is_ok());
    disk::may_have_holes(file) && (has_hole() || is_on_known_file_system(file))
}

/// Whether the file is on one of the file systems that keep no name of a removed file and track holes.
fn is_on_known_file_system(file: impl AsFd) -> bool {
    matches!(by_magic(file).as_deref(), Some("ext4" | "xfs" | "btrfs" | "f2fs" | "tmpfs"))
}

/// The name of the file system that a path is on.
pub fn name_at(path: &Path) -> Option<String> {
    name_of(disk::open_at(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?)
}

/// The name that belongs to the magic number of statfs(2).
fn by_magic(folder: impl AsFd) -> Option<String> {
    const NAMES: [(i64, &str); 14] = [
        (0xEF53, "ext4"),
        (0x5846_5342, "xfs"),
        (0x9123_683E, "btrfs"),
        (0xF2F5_2010, "f2fs"),
        (0x0102_1994, "tmpfs"),
        (0x794C_7630, "overlay"),
        (0x6969, "nfs"),
        (0x6573_5546, "fuse"),
        (0x4D44, "vfat"),
        (0x2011_BAB0, "exfat"),
        (0x7366_746E, "ntfs3"),
        (0x2FC1_2FC1, "zfs"),
        (0xCA45_1A4E, "bcachefs"),
        (0xFF53_4D42, "cifs"),
    ];
    #[allow(clippy::unnecessary_cast)]
    let magic = nix::sys::statfs::fstatfs(folder).ok()?.filesystem_type().0 as i64;
    NAMES.iter().find(|(number, _)| *number == magic).map(|(_, name)| (*name).to_owned())
}

/// The present path of an open folder. The kernel answers from memory, so this does not wait for the disk. `None`:
/// the kernel does not say.
pub fn path_of(folder: impl AsFd) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd())).ok().filter(|path| path.is_absolute())
}

/// Whether a path leads to something. `false` only if the system says that nothing is there. After any other error the
/// answer is `true`. Waits for the disk.
pub fn is_there(path: &Path) -> bool {
    let is_absence = |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    !fs::symlink_metadata(path).is_err_and(is_absence)
}

/// The suffix that the kernel adds to the path of a removed folder.
const REMOVED: &[u8] = b" (deleted)";

/// The path that a removed folder had, without the kernel's suffix. `None` if the folder was not removed.
pub fn path_before_removal(path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().to_owned().into_vec();
    let was = bytes.strip_suffix(REMOVED)?;
    // A folder may really have a name with this ending.
    disk::link_metadata(path).is_err().then(|| PathBuf::from(OsString::from_vec(was.to_vec())))
}

/// The reason why a session cannot be on a file system.
#[derive(Debug)]
pub struct Flaw {
    what: &'static str,
    reason: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.reason)
    }
}

/// The beginning of the name of the file on which [`trial`] works. The number of the process and the number of the trial
/// follow, because two programs, or two threads, may test one folder at once. A program that is killed during the trial
/// leaves its file behind; a later trial in the folder removes it.
pub const TRIAL_FILE: &str = ".faultless-trial";

/// Trials of this process so far.
static TRIALS: AtomicU64 = AtomicU64::new(0);

fn trial_name() -> String {
    // The trace of a simulation has the names of files and must be the same in every process.
    if host::is_simulated() {
        return TRIAL_FILE.to_owned();
    }
    format!("{TRIAL_FILE}.{}.{}", std::process::id(), TRIALS.fetch_add(1, Relaxed))
}

/// Removes the files that trials of killed programs left in the folder: those whose process is gone.
fn remove_left_trials(folder: impl AsFd) {
    let folder = folder.as_fd();
    disk::remove_at(folder, TRIAL_FILE).ok();
    if host::is_simulated() {
        return;
    }
    // Through the descriptor, because another program may have moved the folder.
    let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
    for name in disk::list(Path::new(&path)).unwrap_or_default() {
        let numbers = name.to_str().and_then(|name| name.strip_prefix(TRIAL_FILE)?.strip_prefix('.'));
        let process = numbers.and_then(|numbers| numbers.split('.').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| disk::metadata(Path::new(&format!("/proc/{process}"))).is_err()) {
            disk::remove_at(folder, Path::new(&name)).ok();
        }
    }
}

/// Tests on a small file what takes and sessions need: writing out of order and over old bytes, cutting, reading
/// back, making durable, and making a file only if it does not exist. Errors of a full or failing disk are no flaw of
/// the file system; the code that needs the disk will report them.
pub fn trial(folder: impl AsFd) -> Result<(), Flaw> {
    let folder = folder.as_fd();
    remove_left_trials(folder);
    let name = trial_name();
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let make = || disk::open_at(folder, &name, flags, Mode::from_bits_truncate(0o600)).map(File::from);
    let tried = match make() {
        Ok(file) => try_file(&file).and_then(|()| match make() {
            Err(Errno::EEXIST) => Ok(()),
            // A program on another computer, which does not see this process, has removed the file as left behind.
            Ok(_) if file.metadata().is_ok_and(|found| found.nlink() == 0) => Ok(()),
            _ => Err(Flaw { what: "it makes a file a second time", reason: "where it was told not to".to_owned() }),
        }),
        // The code that makes files in this folder reports this error with more detail.
        Err(_) => Ok(()),
    };
    disk::remove_at(folder, &name).ok();
    tried
}

fn try_file(file: &File) -> Result<(), Flaw> {
    const PAGE: u64 = PAGE_BYTES as u64;
    let (first, second) = ([1_u8; PAGE_BYTES], [2_u8; PAGE_BYTES]);
    let pages = [(&first, 0), (&second, 2 * PAGE), (&second, 0), (&first, PAGE)];
    let written = pages.into_iter().try_for_each(|(page, at)| disk::write_all_at(file, page, at));
    if let Err(error) = written {
        return flaw("files there cannot be written out of order", &error);
    }
    if let Err(error) = disk::set_length(file, PAGE + 1) {
        return flaw("files there cannot be cut", &error);
    }
    if let Err(error) = disk::sync_data(file) {
        return flaw("files there cannot be made durable", &error);
    }
    let mut found = vec![0; 2 * PAGE_BYTES];
    let length = file.metadata().map(|stat| stat.len());
    match disk::read_at(file, &mut found, 0).and_then(|bytes| Ok((bytes, length?))) {
        Ok((bytes, length)) if bytes == PAGE_BYTES + 1 && length == PAGE + 1 => {}
        Ok((bytes, length)) => {
            let reason = format!("{bytes} bytes and a length of {length} in place of {}", PAGE + 1);
            return Err(Flaw { what: "files there do not keep what is written", reason });
        }
        Err(error) => return flaw("files there cannot be read while they are written", &error),
    }
    if found[..PAGE_BYTES] != second || found[PAGE_BYTES] != first[0] {
        let reason = "other bytes came back".to_owned();
        return Err(Flaw { what: "files there do not keep what is written", reason });
    }
    Ok(())
}

/// A flaw, unless the error is one of a full, read-only or failing disk.
fn flaw(what: &'static str, error: &io::Error) -> Result<(), Flaw> {
    let of_the_moment = matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::FileTooLarge
    ) || error.raw_os_error() == Some(Errno::EIO as i32);
    if of_the_moment { Ok(()) } else { Err(Flaw { what, reason: error.to_string() }) }
}

/// Bytes that a user without privileges can still write on the file system of `path`. `None`: the file system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    if let Some(answer) = host::free_bytes(path) {
        return answer;
    }
    let stat = statvfs(path).ok()?;
    if stat.blocks() == 0 {
        // A tmpfs mounted without a size limit reports no blocks; free memory is its limit. Any other file system that
        // reports no blocks does not know its size.
        let is_tmpfs = statfs(path).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC);
        return process::memory_available().ok().filter(|_| is_tmpfs);
    }
    Some(stat.blocks_available() * stat.fragment_size())
}

/// Makes a folder and the missing folders above it, and makes their names durable: on a file system without a journal a power
/// cut could cost a new folder with everything in it. After an error no folder was made.
pub fn make_durable_folders(path: &Path) -> io::Result<()> {
    // A folder that the disk says nothing about may be missing too.
    let found = |folder: &Path| disk::link_metadata(folder).err().map(|error| error.kind());
    let named = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    let missing: Vec<(io::ErrorKind, &Path)> = named.map_while(|folder| Some((found(folder)?, folder))).collect();
    let made =
        disk::make_folders(path).and_then(|()| missing.iter().rev().try_for_each(|(_, folder)| sync_name(folder)));
    made.inspect_err(|_| {
        for (_, folder) in missing.iter().filter(|(error, _)| *error == io::ErrorKind::NotFound) {
            disk::remove_folder(folder).ok();
        }
    })
}

/// Makes the name of a folder durable. Where this user may not open the folder above, its file system does that in its own time.
fn sync_name(folder: &Path) -> io::Result<()> {
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match disk::open_folder(above) {
        Ok(above) => Ok(disk::sync_folder(above)?),
        Err(Errno::EACCES | Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the error means that the file system cannot extend a file without writing to it.
pub fn is_growth_refused(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::EPERM | nix::libc::EINVAL | nix::libc::ENOSYS | nix::libc::EOPNOTSUPP)
    )
}

/// Sets the length of a file. A file that grows gets zeros at its end; where the file system cannot extend it, they
/// are written.
pub fn set_length(file: &File, end: u64) -> io::Result<()> {
    const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
    match disk::set_length(file, end) {
        Err(error) if is_growth_refused(&error) => {
            let mut at = file.metadata()?.len();
            if end <= at {
                return Err(error);
            }
            while at < end {
                let bytes = (end - at).min(ZEROS.len() as u64) as usize;
                disk::write_all_at(file, &ZEROS[..bytes], at)?;
                at += bytes as u64;
            }
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::disk::{DiskCall, Proceed};
    use crate::host::refusing::{refusing, without_holes};
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    #[test]
    fn the_kernel_names_the_file_system_of_any_folder() {
        assert_eq!(name_at(Path::new("/proc")).as_deref(), Some("proc"));
        assert_eq!(name_at(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn a_file_knows_its_holes_by_its_file_system_or_by_a_hole_and_not_where_the_disk_has_none() {
        let file = tempfile::tempfile().unwrap();
        disk::write_all_at(&file, &[1; PAGE_BYTES], 0).unwrap();
        assert!(knows_holes(&file) || !keeps_no_removed_name(&file));
        file.set_len(1 << 20).unwrap();
        assert!(knows_holes(&file) || !keeps_no_removed_name(&file), "the hole at the end proves nothing");
        disk::write_all_at(&file, &[1], (1 << 20) - 1).unwrap();
        assert!(knows_holes(&file));
        let installed = without_holes(|_| true);
        assert!(!knows_holes(&file));
        assert_eq!(disk::seek(&file, 5, Whence::SeekHole), Ok(1 << 20));
        assert_eq!(disk::seek(&file, 5, Whence::SeekData), Ok(5));
        assert_eq!(disk::seek(&file, 1 << 20, Whence::SeekData), Err(Errno::ENXIO));
        drop(installed);
    }

    #[test]
    fn every_kind_is_known_by_its_name() {
        let kinds = [
            ("ext4", Kind::Plain),
            ("btrfs", Kind::Plain),
            ("tmpfs", Kind::Memory),
            ("vfat", Kind::Fat),
            ("exfat", Kind::Exfat),
            ("nfs4", Kind::Network),
            ("fuse.sshfs", Kind::Network),
            ("fuse.bindfs", Kind::Served),
            ("fuseblk", Kind::Served),
            ("overlay", Kind::Layered),
        ];
        for (name, kind) in kinds {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn an_ordinary_folder_passes_the_trial_and_is_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        // No process has a number of ten digits.
        for name in [TRIAL_FILE.to_owned(), format!("{TRIAL_FILE}.4000000000.0")] {
            fs::write(folder.path().join(name), "of a program that was killed").unwrap();
        }
        let dir = File::open(folder.path()).unwrap();
        trial(&dir).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // Where no file can be made, the trial finds no flaw.
        trial(File::open("/proc/self").unwrap()).unwrap();
    }

    /// A sync inside a new mirror made the names of its files durable, and not its own.
    #[test]
    fn the_names_of_folders_that_are_made_are_durable_or_no_folder_is_made() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        let (fails, synced) = (Rc::new(Cell::new(true)), Rc::new(RefCell::new(Vec::new())));
        let (judged_fails, judged_synced) = (Rc::clone(&fails), Rc::clone(&synced));
        let installed = refusing(move |call| {
            let DiskCall::SyncFolder { folder } = call else { return Proceed::Go };
            if judged_fails.get() {
                return Proceed::Fail(Errno::EIO);
            }
            judged_synced.borrow_mut().extend(path_of(folder));
            Proceed::Go
        });
        let path = place.join("a/b/c");
        assert!(make_durable_folders(&path).is_err());
        assert!(!place.join("a").exists());
        fails.set(false);
        make_durable_folders(&path).unwrap();
        assert_eq!(*synced.borrow(), [place.clone(), place.join("a"), place.join("a/b")]);
        make_durable_folders(&path).unwrap();
        assert_eq!(synced.borrow().len(), 3, "nothing is new");
        assert!(path.is_dir());
        drop(installed);
    }

    #[test]
    fn many_trials_of_one_folder_at_once_find_no_flaw_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let dir = File::open(folder.path()).unwrap();
                    for _ in 0..50 {
                        trial(&dir).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_of_a_trial_that_another_program_makes_now_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        // Process 1 runs always.
        let other = folder.path().join(format!("{TRIAL_FILE}.1.0"));
        fs::write(&other, "").unwrap();
        trial(File::open(folder.path()).unwrap()).unwrap();
        assert!(other.exists());
    }

    #[test]
    fn a_path_is_resolved_as_far_as_it_exists() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().canonicalize().unwrap();
        fs::create_dir(real.join("inner")).unwrap();
        std::os::unix::fs::symlink(real.join("inner"), real.join("link")).unwrap();
        assert_eq!(resolved(&real.join("link/new/song")), real.join("inner/new/song"));
        assert_eq!(resolved(&real.join("inner/../inner")), real.join("inner"));
        let missing = |path: &str| is_missing_above(&real.join(path));
        assert_eq!(["new", "link/new", "new/song"].map(missing), [false, false, true]);
        // A file above is another error, which the call that makes the folder reports.
        fs::write(real.join("file"), "").unwrap();
        assert!(!missing("file/new"));
    }

    #[test]
    fn a_renamed_folder_is_found_and_a_removed_one_recognised() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (place.path().join("one"), place.path().join("other (deleted)"));
        fs::create_dir(&one).unwrap();
        let dir = File::open(&one).unwrap();
        assert_eq!(path_of(&dir), Some(one.clone()));
        fs::rename(&one, &other).unwrap();
        let now = path_of(&dir).unwrap();
        assert_eq!((&now, path_before_removal(&now)), (&other, None));
        fs::remove_dir(&other).unwrap();
        assert_eq!(path_before_removal(&path_of(&dir).unwrap()), Some(other));
    }
}
