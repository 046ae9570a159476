//! Numbers of the disk side: butler, committers and read-ahead write, any thread reads. Thread: any but audio.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers of the disk side.
#[derive(Debug, Default)]
pub struct DiskPublished {
    /// Frames of lead of the take that has least, now. `u64::MAX` while none is recorded.
    pub lead_frames: AtomicU64,
    /// The least that ever was in this pass.
    pub lead_frames_min: AtomicU64,
    /// What is aimed at in this pass: the lead that memory and locks allow.
    pub lead_frames_aim: AtomicU64,
    /// Bytes that windows and what waits for the disk hold in the spool.
    pub spool_bytes: AtomicU64,
    /// The most that it ever was.
    pub spool_bytes_peak: AtomicU64,
    /// Bytes that wait for the disk.
    pub backlog_bytes: AtomicU64,
    /// Spans among them that are mapped: the kernel allows only so many mappings.
    pub spans_mapped: AtomicU64,
    /// Bytes of takes that went the way to the disk, silence included.
    pub committed_bytes: AtomicU64,
    /// The longest write of one run, in microseconds.
    pub commit_us_max: AtomicU64,
    /// The longest durable header, in microseconds.
    pub sync_us_max: AtomicU64,
    /// Takes whose sound up to now is durable as of this many milliseconds after the program's start.
    pub durable_ms: AtomicU64,
    /// The longest that the butler needed to make one window, in microseconds.
    pub supply_us_max: AtomicU64,
    /// Capture windows that went out unlocked.
    pub windows_unlocked: AtomicU64,
    /// Milliseconds of sound for which the disk of each copy has room, by [`super::replica::Replica::index`]: what is free, and what is reserved.
    /// 0: not known.
    pub room_ms: [AtomicU64; 2],
    /// Bytes that wait for the mirror's disk.
    pub mirror_backlog_bytes: AtomicU64,
    /// Frames that are ready for the track that has least, in playback. `u64::MAX` while none plays.
    pub play_lead_frames: AtomicU64,
}

impl DiskPublished {
    /// Raises a maximum.
    pub fn raise(cell: &AtomicU64, value: u64) {
        cell.fetch_max(value, Relaxed);
    }
}
