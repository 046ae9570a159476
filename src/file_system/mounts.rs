//! The mount table of the kernel, `/proc/self/mountinfo`: the only parser of it; and where a path really is. Thread: any;
//! the kernel answers from memory about the table, and paths may wait for the disk. The module owns nothing.
//!
//! The table may lack the mount of a folder: in a chroot it does not list the root folder's mount. Every function then
//! returns `None`, and its caller calls the mount unknown and continues.

use crate::host;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The folder it is mounted on.
    pub at: PathBuf,
    /// The type of file system by the kernel's name, for example `ext4` or `fuse.sshfs`.
    pub kind: String,
    /// The device, network share or label that is mounted.
    pub source: String,
    /// The options of the mount, and those of the file system, separated by commas.
    pub options: String,
}

/// The mount that holds `path`: the one with the longest mount point. `None` if `path` does not exist or the table has
/// no mount for it.
pub fn mount_of(path: &Path) -> Option<Mount> {
    let resolved = path.canonicalize().ok()?;
    mount_holding(&table()?, &resolved)
}

/// The absolute path without `..` and links, as far as it exists. The rest is as it was named. May wait for the disk.
pub fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // The places of a simulation have neither.
    if host::is_simulated() {
        return path;
    }
    let mut existing =
        path.ancestors().filter_map(|above| Some((above.canonicalize().ok()?, path.strip_prefix(above).ok()?)));
    existing.next().map_or_else(|| path.clone(), |(real, rest)| real.join(rest))
}

/// Whether the folder in which `path` lies does not exist. May wait for the disk.
pub fn is_missing_above(path: &Path) -> bool {
    if host::is_simulated() {
        return false;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let above = path.parent().map(Path::canonicalize);
    above.is_some_and(|above| above.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
}

/// The mount with this number, which `/proc/self/fdinfo` shows as `mnt_id` for an open file.
pub(super) fn mount_by_id(id: &str) -> Option<Mount> {
    mount_with_id(&table()?, id)
}

/// Whether a file system with this device number (`MAJOR:MINOR`) is mounted anywhere that this program can see, also
/// under another mount. `None`: the kernel does not say.
pub fn is_mounted(device: &str) -> Option<bool> {
    Some(has_device(&table()?, device))
}

fn has_device(table: &str, device: &str) -> bool {
    table.lines().any(|line| line.split(' ').nth(2) == Some(device))
}

fn table() -> Option<String> {
    if host::is_simulated() {
        return None;
    }
    // A mount point may be any bytes; one that is not UTF-8 does not hide the others.
    fs::read("/proc/self/mountinfo").ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn mount_with_id(table: &str, id: &str) -> Option<Mount> {
    mounts(table).find_map(|(found, mount)| (found == id).then_some(mount))
}

/// The mount with the longest mount point above `path`. Of several on the same folder the last one counts, because it
/// covers the others.
fn mount_holding(table: &str, path: &Path) -> Option<Mount> {
    let holding = mounts(table).map(|(_, mount)| mount).filter(|mount| path.starts_with(&mount.at));
    holding.max_by_key(|mount| mount.at.as_os_str().len())
}

/// The mounts of a table with their numbers. Lines that do not have the format of proc(5) are left out.
fn mounts(table: &str) -> impl Iterator<Item = (&str, Mount)> {
    table.lines().filter_map(mount_in)
}

/// Parses one line: `ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAGS..] - TYPE SOURCE OPTIONS` (proc(5)).
fn mount_in(line: &str) -> Option<(&str, Mount)> {
    let (left, right) = line.split_once(" - ")?;
    let (mut left, mut right) = (left.split(' '), right.split(' '));
    let id = left.next()?;
    let at = PathBuf::from(unescaped(left.nth(3)?));
    let own = left.next().unwrap_or_default();
    let (kind, source) = (right.next()?.to_owned(), unescaped(right.next()?));
    let options = right.next().map_or_else(|| own.to_owned(), |of_system| format!("{own},{of_system}"));
    Some((id, Mount { at, kind, source, options }))
}

/// Undoes the kernel's escapes: it writes space, tab, newline and backslash as `\040` and so on.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|code| std::str::from_utf8(code).ok());
        let value = code.filter(|_| *first == b'\\').and_then(|code| u8::from_str_radix(code, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[3..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                         30 22 0:5 / /home rw shared:3 - btrfs /dev/sdb rw\n\
                         31 30 7:0 / /home/My\\040Stick rw - xfs /dev/loop0 rw\n\
                         32 30 7:1 / /home/My\\040Stick rw shared:4 - vfat //host/a\\011b\\134c rw\n";

    #[test]
    fn a_mount_is_found_by_its_number() {
        let kind = |id| mount_with_id(TABLE, id).map(|mount| mount.kind);
        assert_eq!(kind("31").as_deref(), Some("xfs"));
        assert_eq!(mount_with_id(TABLE, "31").map(|mount| mount.options).as_deref(), Some("rw,rw"));
        assert_eq!(kind("22").as_deref(), Some("ext4"));
        assert_eq!(kind("1"), None);
        assert_eq!(mount_with_id("", "22"), None);
    }

    #[test]
    fn the_longest_mount_point_holds_a_path_and_of_two_on_one_folder_the_last() {
        let source = |path| mount_holding(TABLE, Path::new(path)).map(|mount| mount.source);
        assert_eq!(source("/home/My Stick/session").as_deref(), Some("//host/a\tb\\c"));
        assert_eq!(source("/home/My Stick2").as_deref(), Some("/dev/sdb"));
        assert_eq!(source("/mnt/other").as_deref(), Some("/dev/sda1"));
    }

    #[test]
    fn a_table_without_the_root_folder_has_no_mount_for_it() {
        let chroot = "31 30 7:0 / /home rw - xfs /dev/loop0 rw\nno line of a mount table\n";
        assert_eq!(mount_holding(chroot, Path::new("/srv/session")), None);
        assert_eq!(mount_holding(chroot, Path::new("/home/session")).map(|mount| mount.kind).as_deref(), Some("xfs"));
        assert_eq!(mount_holding("", Path::new("/home")), None);
    }
}
