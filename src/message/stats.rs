//! Numbers of the disk side. Thread: butler, committers, read-ahead and control write, any thread reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The numbers that butler, committers and read-ahead publish, and two that control publishes. Maxima are those of the whole run.
#[derive(Debug, Default)]
pub struct DiskPublished {
    /// Butler: frames of lead of the take that has least. `u64::MAX` while no pass is recorded.
    pub lead_frames: AtomicU64,
    /// Butler: the least lead of this pass, in frames.
    pub lead_frames_min: AtomicU64,
    /// Butler: the lead that memory and the lock limit allow in this pass, in frames.
    pub lead_frames_aim: AtomicU64,
    /// Bytes of the spool in use: windows that are out, and spans that are not durable yet.
    pub spool_bytes: AtomicU64,
    /// The maximum of `spool_bytes`.
    pub spool_bytes_peak: AtomicU64,
    /// Butler: whether the machine or the limit of the spool refused memory at the last look.
    pub memory_refused: AtomicBool,
    /// Bytes of the spans that at least one committer still needs.
    pub backlog_bytes: AtomicU64,
    /// Number of those spans that are mapped. The kernel limits the mappings of a process.
    pub spans_mapped: AtomicU64,
    /// Bytes of takes that were written, silence included. Both replicas count.
    pub committed_bytes: AtomicU64,
    /// The longest write to a take of the session, in microseconds.
    pub commit_us_max: AtomicU64,
    /// The longest sync of the session's committer, in microseconds.
    pub sync_us_max: AtomicU64,
    /// Frames of the pass that a power cut would leave in every take of each replica, counted at its last sync; indexed by
    /// [`Replica::index`](super::replica::Replica::index). In `in-place` always 0.
    pub durable_frames: [AtomicU64; 2],
    /// Control: frames of the losses that it has listed. If as many as
    /// [`losses_reported`](super::published::Published::losses_reported), none is on its way.
    pub losses_listed: AtomicU64,
    /// Control: the frames of reported losses when all of them were listed in a session on a disk.
    pub losses_saved: AtomicU64,
    /// The longest time in which the butler made one window, in microseconds.
    pub supply_us_max: AtomicU64,
    /// Windows that were handed over unlocked.
    pub windows_unlocked: AtomicU64,
    /// Milliseconds of sound that fit on the disk of each replica, in free and in reserved blocks; indexed by
    /// [`Replica::index`](super::replica::Replica::index). 0: unknown.
    pub room_ms: [AtomicU64; 2],
    /// Read-ahead: frames of lead of the track that has least. `u64::MAX` while no track plays.
    pub play_lead_frames: AtomicU64,
}

impl DiskPublished {
    /// Whether memory is short: more than half of the spool's `spool_bytes_max` is in use, or the machine refuses more. The committer
    /// that is ahead then frees spans that the slower replica still needs, and enters them as gaps of the slower replica. The
    /// committer of the slower replica later fills its gaps from the other replica's file.
    pub fn is_spool_short(&self, spool_bytes_max: u64) -> bool {
        spool_bytes_max / 2 < self.spool_bytes.load(Relaxed) || self.memory_refused.load(Relaxed)
    }

    /// Raises `cell` to `value` if that is greater.
    pub fn raise(cell: &AtomicU64, value: u64) {
        cell.fetch_max(value, Relaxed);
    }
}
