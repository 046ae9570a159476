//! Waiting with a deadline: for programs, threads and unmounts. A disk that is dead must not hold a test for ever.
//! Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a helper may take: mount, umount, losetup.
pub(crate) const HELPER: Duration = Duration::from_secs(20);

/// How long a process that was killed may take. One that waits for a dead disk is left alone after that.
const KILLED: Duration = Duration::from_secs(5);

const LOOK: Duration = Duration::from_millis(5);

/// Waits for the end of a process. `None`: it has not ended after `patience`.
pub(crate) fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if until < Instant::now() {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

/// Kills a process. One that waits for a dead disk may outlive that; it is named and left alone.
pub(crate) fn kill(child: &mut Child) {
    // It may have ended already.
    child.kill().ok();
    if ended(child, KILLED).is_none() {
        eprintln!("process {} cannot be ended: it waits for a disk", child.id());
    }
}

/// Runs a helper program to its end. The error says that it cannot be started or has not ended after `patience`.
pub(crate) fn finished(command: &mut Command, patience: Duration) -> Result<Output, String> {
    let mut files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
    let [out, err] = files.each_ref().map(|file| file.try_clone().unwrap());
    let shown = format!("{command:?}");
    let spawned = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
    let mut child = spawned.map_err(|error| format!("{shown}: {error}"))?;
    let Some(status) = ended(&mut child, patience) else {
        kill(&mut child);
        return Err(format!("{shown}: not done after {patience:?}"));
    };
    let [stdout, stderr] = files.each_mut().map(|file| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    });
    Ok(Output { status, stdout, stderr })
}

/// Runs a helper program that says nothing of interest. Whether it did its work.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    finished(command, HELPER).is_ok_and(|output| output.status.success())
}

/// Joins a thread. Panics when it has not ended after `patience`, because `JoinHandle::join` would wait for ever.
#[track_caller]
pub(crate) fn joined<T>(thread: JoinHandle<T>, patience: Duration) -> T {
    let until = Instant::now() + patience;
    while !thread.is_finished() {
        assert!(Instant::now() < until, "a thread has not ended after {patience:?}");
        std::thread::sleep(LOOK);
    }
    thread.join().unwrap()
}

/// Whether something is mounted on a folder, by the kernel's table. `mountpoint` asks the file system itself: one that was
/// shut down answers with an error, and `mountpoint` says that nothing is mounted.
pub(crate) fn is_mounted(folder: &Path) -> bool {
    let (parent, name) = (folder.parent().unwrap(), folder.file_name().unwrap());
    let whole = parent.canonicalize().unwrap_or_else(|_| parent.to_owned()).join(name);
    fs::read("/proc/self/mountinfo").unwrap().split(|byte| *byte == b'\n').any(|line| {
        line.split(|byte| *byte == b' ').nth(4).is_some_and(|point| plain(point).as_os_str() == whole.as_os_str())
    })
}

/// The kernel writes a blank of a path as `\040`.
fn plain(point: &[u8]) -> PathBuf {
    let text = OsString::from_vec(point.to_vec());
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(at) = rest.windows(4).position(|four| four == br"\040") {
        bytes.extend_from_slice(&rest[..at]);
        bytes.push(b' ');
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest);
    PathBuf::from(OsString::from_vec(bytes))
}

/// Unmounts what is mounted on a folder when its users have left. What stays in use is detached: it is unmounted when its
/// users end.
pub(crate) fn unmount(folder: &Path) {
    let until = Instant::now() + Duration::from_secs(10);
    while is_mounted(folder) {
        if until < Instant::now() {
            eprintln!("{}: still in use; detached", folder.display());
            succeeds(Command::new("umount").arg("-l").arg(folder));
            return;
        }
        if !succeeds(Command::new("umount").arg(folder)) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_does_not_end_is_ended() {
        let from = Instant::now();
        let late = finished(Command::new("sleep").arg("50"), Duration::from_millis(100)).unwrap_err();
        assert!(late.contains("not done") && from.elapsed() < KILLED, "{late}");
        assert_eq!(finished(Command::new("echo").arg("words"), HELPER).unwrap().stdout, b"words\n");
        assert!(!succeeds(&mut Command::new("/nowhere/at/all")) && !succeeds(&mut Command::new("false")));
    }

    #[test]
    fn a_mount_is_known_by_the_kernels_table() {
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self")) && !is_mounted(Path::new("/nowhere/at/all")));
        assert_eq!(plain(br"/mnt/my\040disk\040"), Path::new("/mnt/my disk "));
    }
}
