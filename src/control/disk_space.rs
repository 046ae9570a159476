//! Warnings before the disk of the session or of the mirror is full. Thread: control.
//!
//! The committers publish how many milliseconds of the present recording their disk has room for.

use super::Control;
use super::mirror::PassMirror;
use crate::message::replica::Replica;
use crate::time::Clock;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Each warning comes when the disk has room for less than this many seconds of recording.
const WARNING_SECONDS: [u64; 3] = [600, 120, 30];

impl Control {
    /// Warns once at each step of [`WARNING_SECONDS`], for each disk. A disk that gets free space again is warned of
    /// again.
    pub(super) fn warn_of_full_disks(&mut self) {
        let continues_in = self.continues_in().map(Path::to_owned);
        let Some(run) = self.pass.as_mut().filter(|run| run.start_reading().is_some()) else { return };
        let mut warnings = Vec::new();
        for replica in [Replica::Session, Replica::Mirror] {
            let room_ms = self.running.disk.room_ms[replica.index()].load(Relaxed);
            let low = WARNING_SECONDS.iter().filter(|seconds| room_ms > 0 && room_ms < **seconds * 1000).count();
            if std::mem::replace(&mut run.space_warnings[replica.index()], low) < low {
                let left = Clock(Duration::from_millis(room_ms));
                let folder = match (replica, &run.mirror) {
                    (Replica::Mirror, PassMirror::Active(mirror)) => &mirror.folder,
                    // The committer publishes the room of the disk that gets the sound now.
                    _ => continues_in.as_ref().unwrap_or(&self.folder),
                };
                let folder = folder.display();
                warnings.push(format!(
                    "{folder}: the disk has room for {left} more of this recording; make room, or name another folder"
                ));
            }
        }
        for text in warnings {
            self.caution(text);
        }
    }
}
