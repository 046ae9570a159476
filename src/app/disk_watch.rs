//! Room on the session's disk: asked now and then by a thread that a dead disk may hold up. Thread: room, and control
//! asks.

use super::Wake;
use crate::file_system::{free_bytes, mount_of};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);

/// Bytes that are free, and what to call the disk.
type Found = Option<(u64, String)>;

/// See the module.
pub(super) struct DiskWatch {
    told: Sender<Option<PathBuf>>,
    found: Arc<Mutex<Found>>,
}

impl DiskWatch {
    /// Begins to look, at nothing.
    pub(super) fn start(wake: Wake) -> DiskWatch {
        let (told, folders) = bounded(8);
        let found = Arc::new(Mutex::new(None));
        let here = Arc::clone(&found);
        let looking = std::thread::Builder::new().name("room".to_owned()).spawn(move || look(&folders, &here, &wake));
        drop(looking);
        DiskWatch { told, found }
    }

    /// Which folder's disk to look at.
    pub(super) fn look_at(&self, folder: Option<PathBuf>) {
        self.told.try_send(folder).ok();
    }

    /// What was found last. Does not wait: while it is being changed, nothing is known for a moment.
    pub(super) fn found(&self) -> Found {
        self.found.try_lock().ok().and_then(|found| found.clone())
    }
}

fn look(folders: &Receiver<Option<PathBuf>>, found: &Mutex<Found>, wake: &Wake) {
    let mut folder: Option<PathBuf> = None;
    loop {
        let next = if folder.is_some() {
            folders.recv_timeout(LOOK)
        } else {
            folders.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match next {
            Ok(next) => folder = next,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = folder.as_ref().and_then(|folder| Some((free_bytes(folder)?, place_of(folder))));
        let Ok(mut before) = found.lock() else { return };
        // A window that rests is woken for what it would show: tenths of a percent are not.
        let differs = match (&*before, &now) {
            (Some((a, _)), Some((b, _))) => a.abs_diff(*b) > b / 500 + (16 << 20),
            (a, b) => a.is_some() != b.is_some(),
        };
        *before = now;
        drop(before);
        if differs {
            wake();
        }
    }
}

/// The last part of the mount point that holds the folder, "this disk" for the root and where the mount is not known.
fn place_of(folder: &Path) -> String {
    let name = mount_of(folder).and_then(|mount| mount.at.file_name().map(|name| name.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "this disk".to_owned())
}
