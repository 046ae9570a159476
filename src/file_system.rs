//! What a folder stands on: its file system by name, what its kind is known for, and a trial of what a session needs of it.
//! Thread: any that may wait for the disk.

use crate::limits::PAGE_BYTES;
use crate::rt::process;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of the largest file on FAT.
pub const FAT_FILE_BYTES_MAX: u64 = u32::MAX as u64;

/// What a file system is, as far as takes are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is known against it.
    Plain,
    /// Memory.
    Memory,
    /// FAT: files end at 4 GiB, and there is no journal.
    Fat,
    /// exFAT: no journal.
    Exfat,
    /// Across a network.
    Network,
    /// Served by another program of this machine.
    Served,
    /// Stands before another file system.
    Layered,
}

impl Kind {
    /// By the name that the kernel has for it.
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

/// The type of the file system that an open folder lies on, as it is mounted.
pub fn name_of(folder: impl AsFd) -> Option<String> {
    let number = folder.as_fd().as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok();
    let mount = info.as_deref().and_then(|info| info.lines().find_map(|line| line.strip_prefix("mnt_id:")));
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    mount.and_then(|mount| mounted_as(&String::from_utf8_lossy(&mounts), mount.trim())).or_else(|| by_magic(folder))
}

/// The same for a path.
pub fn name_at(path: &Path) -> Option<String> {
    name_of(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?)
}

/// The type of a mount by its number.
/// A line: `ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAGS..] - TYPE SOURCE OPTIONS` (proc(5)).
fn mounted_as(mountinfo: &str, mount: &str) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (before.split(' ').next() == Some(mount)).then(|| after.split(' ').next().map(str::to_owned))?
    })
}

/// Where `/proc` does not say: the number that statfs(2) lists.
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

/// Where an open folder is now, by the kernel's own word: that costs no look at the disk. `None`: it cannot be said.
pub fn path_of(folder: impl AsFd) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd())).ok().filter(|path| path.is_absolute())
}

/// What the kernel adds to the path of a folder that was removed.
const REMOVED: &[u8] = b" (deleted)";

/// The path without the kernel's remark that the folder was removed; `None`: it has none.
pub fn removed_from(path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().to_owned().into_vec();
    let was = bytes.strip_suffix(REMOVED)?;
    // It may really be called so.
    path.symlink_metadata().is_err().then(|| PathBuf::from(std::ffi::OsString::from_vec(was.to_vec())))
}

/// Why a session cannot live on a file system.
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

/// The file that is tried out. Nobody else's: the session is locked or new. A program that is killed meanwhile leaves it.
pub const TRIAL_FILE: &str = ".faultless-trial";

/// Tries what takes and sessions need, on a small file: written out of order and over again, cut, read back, made
/// durable, and made only once. What a full or dead disk refuses is no flaw of the file system: whoever needs it will
/// hear of it.
pub fn trial(folder: impl AsFd) -> Result<(), Flaw> {
    let folder = folder.as_fd();
    unlinkat(folder, TRIAL_FILE, UnlinkatFlags::NoRemoveDir).ok();
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let make = || openat(folder, TRIAL_FILE, flags, Mode::from_bits_truncate(0o600)).map(File::from);
    let tried = match make() {
        Ok(file) => try_file(&file).and_then(|()| match make() {
            Err(Errno::EEXIST) => Ok(()),
            _ => Err(Flaw { what: "it makes a file a second time", reason: "where it was told not to".to_owned() }),
        }),
        // Whoever has to make a file there will say it better.
        Err(_) => Ok(()),
    };
    unlinkat(folder, TRIAL_FILE, UnlinkatFlags::NoRemoveDir).ok();
    tried
}

fn try_file(file: &File) -> Result<(), Flaw> {
    const PAGE: u64 = PAGE_BYTES as u64;
    let (first, second) = ([1_u8; PAGE_BYTES], [2_u8; PAGE_BYTES]);
    let written = file
        .write_all_at(&first, 0)
        .and_then(|()| file.write_all_at(&second, 2 * PAGE))
        .and_then(|()| file.write_all_at(&second, 0))
        .and_then(|()| file.write_all_at(&first, PAGE));
    if let Err(error) = written {
        return flaw("files there cannot be written out of order", &error);
    }
    if let Err(error) = file.set_len(PAGE + 1) {
        return flaw("files there cannot be cut", &error);
    }
    if let Err(error) = file.sync_data() {
        return flaw("files there cannot be made durable", &error);
    }
    let mut found = vec![0; 2 * PAGE_BYTES];
    let length = file.metadata().map(|stat| stat.len());
    match file.read_at(&mut found, 0).and_then(|bytes| Ok((bytes, length?))) {
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

/// A refusal of the kind; what is the moment's is passed over.
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
    let stat = statvfs(path).ok()?;
    if stat.blocks() == 0 {
        // A tmpfs mounted without a size limit reports no blocks; free memory is its limit. Any other file system that
        // reports no blocks does not know its size.
        let is_tmpfs = statfs(path).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC);
        return process::memory_available().ok().filter(|_| is_tmpfs);
    }
    Some(stat.blocks_available() * stat.fragment_size())
}

/// Whether a file system refuses to make a file longer without writing to it.
pub fn grows_by_writes(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::EPERM | nix::libc::EINVAL | nix::libc::ENOSYS | nix::libc::EOPNOTSUPP)
    )
}

/// Gives a file a length, with zeros at its end where it was shorter.
pub fn set_length(file: &File, end: u64) -> io::Result<()> {
    const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
    match file.set_len(end) {
        Err(error) if grows_by_writes(&error) => {
            let mut at = file.metadata()?.len();
            if end <= at {
                return Err(error);
            }
            while at < end {
                let bytes = (end - at).min(ZEROS.len() as u64) as usize;
                file.write_all_at(&ZEROS[..bytes], at)?;
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

    const MOUNTS: &str = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                          30 22 0:5 / /home rw shared:3 - btrfs /dev/sdb rw\n\
                          31 30 0:6 / /home/My\\040Stick rw - vfat /dev/sdc1 rw\n";

    #[test]
    fn a_mount_is_found_by_its_number() {
        assert_eq!(mounted_as(MOUNTS, "31").as_deref(), Some("vfat"));
        assert_eq!(mounted_as(MOUNTS, "22").as_deref(), Some("ext4"));
        assert_eq!(mounted_as(MOUNTS, "1"), None);
        assert_eq!(mounted_as("", "22"), None);
    }

    #[test]
    fn the_kernel_names_the_file_system_of_any_folder() {
        assert_eq!(name_at(Path::new("/proc")).as_deref(), Some("proc"));
        assert_eq!(name_at(Path::new("/nowhere/at/all")), None);
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
    fn an_ordinary_folder_stands_the_trial_and_is_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TRIAL_FILE), "of a program that was killed").unwrap();
        let dir = File::open(folder.path()).unwrap();
        trial(&dir).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // Where nothing can be made at all, another will say so.
        trial(File::open("/proc/self").unwrap()).unwrap();
    }

    #[test]
    fn a_folder_is_found_again_under_another_name_and_known_to_be_gone() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (place.path().join("one"), place.path().join("other (deleted)"));
        fs::create_dir(&one).unwrap();
        let dir = File::open(&one).unwrap();
        assert_eq!(path_of(&dir), Some(one.clone()));
        fs::rename(&one, &other).unwrap();
        let now = path_of(&dir).unwrap();
        assert_eq!((&now, removed_from(&now)), (&other, None));
        fs::remove_dir(&other).unwrap();
        assert_eq!(removed_from(&path_of(&dir).unwrap()), Some(other));
    }
}
