//! Warnings that a disk will be full soon. Thread: control.

use super::Control;
use super::mirror::PassMirror;
use crate::message::replica::Replica;
use crate::time::Clock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Seconds of room at which it is told that the disk will be full, one after the other.
const WARNING_SECONDS: [u64; 3] = [600, 120, 30];

impl Control {
    /// Says, once for each of [`WARNING_SECONDS`], how long a disk will hold what is recorded.
    pub(super) fn warn_of_full_disks(&mut self) {
        let Some(run) = self.pass.as_mut().filter(|run| run.start_reading().is_some()) else { return };
        let mut warnings = Vec::new();
        for replica in [Replica::Session, Replica::Mirror] {
            let room_ms = self.running.disk.room_ms[replica.index()].load(Relaxed);
            let low = WARNING_SECONDS.iter().filter(|seconds| room_ms > 0 && room_ms < **seconds * 1000).count();
            if std::mem::replace(&mut run.space_warnings[replica.index()], low) < low {
                let left = Clock(Duration::from_millis(room_ms));
                let folder = match (replica, &run.mirror) {
                    (Replica::Mirror, PassMirror::Active(mirror)) => mirror.folder.display().to_string(),
                    _ => self.folder.display().to_string(),
                };
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
