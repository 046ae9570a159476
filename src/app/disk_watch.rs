//! Free space of the session's disk, read every few seconds. Thread: disk-watch reads, because a dead disk can block
//! it; control asks.

use super::Wake;
use super::snapshot::THIS_DISK;
use crate::file_system::{free_bytes, mount_of};
use crate::limits;
use crate::mailbox::{Mailbox, Poster, mailbox};
use crossbeam_channel::RecvTimeoutError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const READ_INTERVAL: Duration = Duration::from_secs(3);

/// Free bytes and the disk's name; `None`: not known.
type FreeSpace = Option<(u64, String)>;

/// Control's side of the thread.
pub(super) struct DiskWatch {
    /// The folder to watch. Only the newest one counts, because the disk of an earlier one may hang.
    folders: Poster<Option<PathBuf>>,
    latest: Arc<Mutex<FreeSpace>>,
}

impl DiskWatch {
    /// Starts the thread. It waits until [`DiskWatch::watch`] names a folder.
    pub(super) fn start(wake: Wake) -> DiskWatch {
        let (folders, received) = mailbox();
        let latest = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&latest);
        let thread = std::thread::Builder::new()
            .name("disk-watch".to_owned())
            .stack_size(limits::HELPER_STACK_BYTES)
            .spawn(move || run(&received, &shared, &wake));
        drop(thread);
        DiskWatch { folders, latest }
    }

    /// Watches the disk of this folder from now on.
    pub(super) fn watch(&self, folder: Option<PathBuf>) {
        self.folders.post(folder);
    }

    /// The last reading. It does not wait: while the thread writes a new reading, the answer is `None`.
    pub(super) fn latest(&self) -> FreeSpace {
        self.latest.try_lock().ok().and_then(|latest| latest.clone())
    }
}

fn run(folders: &Mailbox<Option<PathBuf>>, latest: &Mutex<FreeSpace>, wake: &Wake) {
    let mut folder: Option<PathBuf> = None;
    loop {
        match folders.take(folder.is_some().then(|| Instant::now() + READ_INTERVAL)) {
            Ok(next) => folder = next,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = folder.as_ref().and_then(|folder| Some((free_bytes(folder)?, place_of(folder))));
        let Ok(mut latest) = latest.lock() else { return };
        // Wake an idle front end only for a change that it would show, not for tenths of a percent.
        let differs = match (&*latest, &now) {
            (Some((a, _)), Some((b, _))) => a.abs_diff(*b) > b / 500 + (16 << 20),
            (a, b) => a.is_some() != b.is_some(),
        };
        *latest = now;
        drop(latest);
        if differs {
            wake();
        }
    }
}

/// The last part of the mount point that holds the folder, "this disk" for the root and where the mount is not known.
fn place_of(folder: &Path) -> String {
    let name = mount_of(folder).and_then(|mount| mount.at.file_name().map(|name| name.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| THIS_DISK.to_owned())
}
