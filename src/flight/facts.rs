//! What a reader of events must know of the machine. Thread: whoever may wait for the disk.

use nix::sys::utsname::uname;
use std::fs;
use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub at: PathBuf,
    /// What kind.
    pub kind: String,
    /// What is mounted there.
    pub source: String,
}

/// The kernel's release.
pub fn kernel() -> String {
    uname().map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned())
}

/// The mount that a path lies on.
pub fn mount_of(path: &Path) -> Option<Mount> {
    let whole = path.canonicalize().ok()?;
    mount_in(&fs::read_to_string("/proc/self/mountinfo").ok()?, &whole)
}

/// The same, from the text of `mountinfo`: the last of the deepest, since mounts cover each other.
fn mount_in(mounts: &str, path: &Path) -> Option<Mount> {
    let all = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let at = PathBuf::from(unescaped(left.split(' ').nth(4)?));
        let mut right = right.split(' ');
        Some(Mount { at, kind: right.next()?.to_owned(), source: unescaped(right.next()?) })
    });
    all.filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.as_os_str().len())
}

/// The kernel writes space, tab, newline and backslash as `\040` and so on.
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

    #[test]
    fn the_deepest_mount_counts_and_of_two_on_each_other_the_upper_one() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 7:0 / /mnt/my\\040disk rw - xfs /dev/loop0 rw\n\
                      3 1 7:1 / /mnt/my\\040disk rw shared:4 - btrfs /dev/loop1 rw\n";
        let found = mount_in(mounts, Path::new("/mnt/my disk/session")).unwrap();
        assert_eq!((found.kind.as_str(), found.source.as_str()), ("btrfs", "/dev/loop1"));
        assert_eq!(mount_in(mounts, Path::new("/mnt/other")).unwrap().source, "/dev/sda1");
    }
}
