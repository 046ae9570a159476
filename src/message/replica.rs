//! The two replicas of a take, session and mirror, and the state that their committers share. Thread: butler and both
//! committers.
//!
//! When more than half of the spool is in use, the committer that is ahead frees spans that the slower replica still
//! needs, and enters them as *gaps* of the slower replica. The butler does the same when a committer takes no commands.
//! The committer of the slower replica later fills its gaps from the other replica's file.

use super::offset::{FileByte, FileStart, SpoolByte};
use crate::lock::lock;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A folder that captured sound is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replica {
    /// The session folder.
    Session,
    /// The mirror folder, which contains the same takes, preferably on another disk.
    Mirror,
}

impl Replica {
    /// Index of the replica in arrays: 0 or 1.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The other replica.
    #[must_use]
    pub fn other(self) -> Replica {
        match self {
            Replica::Session => Replica::Mirror,
            Replica::Mirror => Replica::Session,
        }
    }
}

/// State of one take that both committers share. Offsets are those of the spool.
#[derive(Debug)]
pub struct ReplicaPair {
    /// The files of each replica, indexed by [`Replica::index`] like the fields below: where the sound of each begins,
    /// and its path.
    files: [Mutex<Vec<(FileStart, PathBuf)>>; 2],
    /// End of the durable sound of each replica. Gaps before it may exist.
    durable: [AtomicU64; 2],
    gaps: [Mutex<Vec<(SpoolByte, SpoolByte)>>; 2],
}

impl ReplicaPair {
    /// The state of a take whose two files contain no sound yet.
    pub fn new(session: PathBuf, mirror: PathBuf) -> ReplicaPair {
        let files = [session, mirror].map(|path| Mutex::new(vec![(FileStart::FIRST, path)]));
        ReplicaPair { files, durable: Default::default(), gaps: Default::default() }
    }

    /// The take continues in the file `path` of `replica`, from `start` on.
    pub fn continue_in(&self, replica: Replica, start: FileStart, path: PathBuf) {
        lock(&self.files[replica.index()]).push((start, path));
    }

    /// The file of `replica` that contains the sound at `at`, and the offset there.
    pub fn file_at(&self, replica: Replica, at: SpoolByte) -> Option<(PathBuf, FileByte)> {
        let files = lock(&self.files[replica.index()]);
        let (start, path) = files.iter().rev().find(|(start, _)| start.0 <= at)?;
        Some((path.clone(), start.to_file(at)))
    }

    /// Everything before `end` is durable in `replica`, except for its gaps.
    pub fn set_durable(&self, replica: Replica, end: SpoolByte) {
        self.durable[replica.index()].fetch_max(end.0, Relaxed);
    }

    /// The bytes from `start` to `end` are a gap of `replica` now.
    pub fn add_gap(&self, replica: Replica, start: SpoolByte, end: SpoolByte) {
        if end <= start {
            return;
        }
        let mut gaps = lock(&self.gaps[replica.index()]);
        match gaps.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => gaps.push((start, end)),
        }
    }

    /// The beginning of the first gap of `replica` that the other replica can fill now: at most `bytes_max` bytes, from
    /// one file.
    pub fn next_gap(&self, replica: Replica, bytes_max: u64) -> Option<(SpoolByte, SpoolByte)> {
        let there = SpoolByte(self.durable[replica.other().index()].load(Relaxed));
        let gaps = lock(&self.gaps[replica.index()]);
        let (start, end) = gaps.first().copied().filter(|(start, _)| *start < there)?;
        // The range must not reach past the end of the file that contains its beginning.
        let next = lock(&self.files[replica.other().index()]).iter().map(|file| file.0.0).find(|first| start < *first);
        Some((start, end.min(start + bytes_max).min(there).min(next.unwrap_or(end))))
    }

    /// The first byte that `replica` lacks.
    pub fn first_gap(&self, replica: Replica) -> Option<SpoolByte> {
        lock(&self.gaps[replica.index()]).iter().map(|gap| gap.0).min()
    }

    /// `replica` has the bytes up to `end` of its first gap.
    pub fn gap_filled(&self, replica: Replica, end: SpoolByte) {
        let mut gaps = lock(&self.gaps[replica.index()]);
        if let Some(first) = gaps.first_mut() {
            first.0 = end;
            if first.1 <= end {
                gaps.remove(0);
            }
        }
    }

    /// Number of bytes that `replica` lacks.
    pub fn missing_bytes(&self, replica: Replica) -> u64 {
        let gaps = lock(&self.gaps[replica.index()]);
        gaps.iter().map(|(start, end)| *end - *start).sum()
    }
}
