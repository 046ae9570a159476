//! Helpers of the probes: a scratch file, and a call with a time limit. Thread: control, and one helper for each call
//! that may hang.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// A new, empty file. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) file: File,
    /// The path; `None` if the file has no name.
    name: Option<PathBuf>,
}

impl Scratch {
    /// Makes a private file in `folder`. It never replaces a file or follows a symlink. If the file system allows it,
    /// the file has no name, so that the kernel removes it however the program ends.
    pub(super) fn new(folder: &Path) -> io::Result<Scratch> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        if let Ok(file) = options.clone().custom_flags(nix::libc::O_TMPFILE).open(folder) {
            return Ok(Scratch { file, name: None });
        }
        let path = folder.join(format!(".faultless-doctor-{}", uuid::Uuid::new_v4()));
        let file = options.create_new(true).open(&path)?;
        Ok(Scratch { file, name: Some(path) })
    }

    /// Opens the same file again with `O_DIRECT`.
    pub(super) fn o_direct(&self) -> io::Result<File> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        OpenOptions::new().write(true).custom_flags(nix::libc::O_DIRECT).open(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = &self.name {
            // Nothing can be done about a failure. The file's name tells the user what it is.
            std::fs::remove_file(path).ok();
        }
    }
}

/// Runs `probe` on a thread of its own and waits for at most `timeout`. A thread that hangs in the kernel cannot be
/// ended, so it is left behind.
pub(super) fn with_timeout<T: Send + 'static>(
    timeout: Duration,
    probe: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answers) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("doctor".to_owned()).spawn(move || {
        // After the timeout nobody receives the answer.
        answer.send(probe()).ok();
    })?;
    match answers.recv_timeout(timeout) {
        Ok(found) => found,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(io::Error::other(format!("it did not answer within {} s", timeout.as_secs_f64())))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(io::Error::other("the trial panicked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_hangs_or_panics_is_an_error() {
        let short = Duration::from_millis(20);
        let hang = with_timeout(short, || {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        });
        assert_eq!(hang.unwrap_err().to_string(), "it did not answer within 0.02 s");
        assert!(with_timeout(Duration::from_secs(5), || -> io::Result<()> { panic!("planted") }).is_err());
        assert_eq!(with_timeout(Duration::from_secs(5), || Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_scratch_file_is_private_and_removed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        assert_eq!(scratch.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(scratch);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
