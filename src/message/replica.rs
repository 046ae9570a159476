//! The two files that a take is written to: the session's and the mirror's, and what each committer knows of the other's.
//! Thread: butler and both committers.

use super::offset::{FileByte, FileStart, SpoolByte};
use crate::lock::lock;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One of the places that sound is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replica {
    /// The session's folder.
    Session,
    /// The mirror: the same takes in another folder, better on another disk.
    Mirror,
}

impl Replica {
    /// 0 or 1.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Replica {
        match self {
            Replica::Session => Replica::Mirror,
            Replica::Mirror => Replica::Session,
        }
    }
}

/// What the two replicas of a take know of each other. Bytes are those of the spool.
#[derive(Debug)]
pub struct ReplicaPair {
    /// By [`Replica::index`], as what follows: the files, each with the first byte that is in it.
    files: [Mutex<Vec<(FileStart, PathBuf)>>; 2],
    /// End of what is durable in each, gaps aside.
    durable: [AtomicU64; 2],
    gaps: [Mutex<Vec<(SpoolByte, SpoolByte)>>; 2],
}

impl ReplicaPair {
    /// Of two files without sound.
    pub fn new(session: PathBuf, mirror: PathBuf) -> ReplicaPair {
        let files = [session, mirror].map(|path| Mutex::new(vec![(FileStart::FIRST, path)]));
        ReplicaPair { files, durable: Default::default(), gaps: Default::default() }
    }

    /// From byte `start` on `replica` is in another file.
    pub fn continued(&self, replica: Replica, start: FileStart, path: PathBuf) {
        lock(&self.files[replica.index()]).push((start, path));
    }

    /// The file of `replica` that has byte `at`, and the byte of it there.
    pub fn place(&self, replica: Replica, at: SpoolByte) -> Option<(PathBuf, FileByte)> {
        let files = lock(&self.files[replica.index()]);
        let (start, path) = files.iter().rev().find(|(start, _)| start.0 <= at)?;
        Some((path.clone(), start.to_file(at)))
    }

    /// Everything up to byte `end` is durable in `replica`, its gaps aside.
    pub fn durable(&self, replica: Replica, end: SpoolByte) {
        self.durable[replica.index()].fetch_max(end.0, Relaxed);
    }

    /// `replica` did not get the bytes from `start` to `end` while they were in memory: it has to get them from the other.
    pub fn miss(&self, replica: Replica, start: SpoolByte, end: SpoolByte) {
        if end <= start {
            return;
        }
        let mut gaps = lock(&self.gaps[replica.index()]);
        match gaps.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => gaps.push((start, end)),
        }
    }

    /// A stretch that `replica` has to get from the other, and that the other has: not longer than `bytes_max`.
    pub fn gap(&self, replica: Replica, bytes_max: u64) -> Option<(SpoolByte, SpoolByte)> {
        let there = SpoolByte(self.durable[replica.other().index()].load(Relaxed));
        let gaps = lock(&self.gaps[replica.index()]);
        let (start, end) = gaps.first().copied().filter(|(start, _)| *start < there)?;
        // Not past the end of the file that has its beginning.
        let next = lock(&self.files[replica.other().index()]).iter().map(|file| file.0.0).find(|first| start < *first);
        Some((start, end.min(start + bytes_max).min(there).min(next.unwrap_or(end))))
    }

    /// The first byte that `replica` lacks.
    pub fn first_gap(&self, replica: Replica) -> Option<SpoolByte> {
        lock(&self.gaps[replica.index()]).iter().map(|gap| gap.0).min()
    }

    /// `replica` has got the bytes up to `end` of its first gap.
    pub fn filled(&self, replica: Replica, end: SpoolByte) {
        let mut gaps = lock(&self.gaps[replica.index()]);
        if let Some(first) = gaps.first_mut() {
            first.0 = end;
            if first.1 <= end {
                gaps.remove(0);
            }
        }
    }

    /// Bytes that `replica` lacks.
    pub fn missing(&self, replica: Replica) -> u64 {
        let gaps = lock(&self.gaps[replica.index()]);
        gaps.iter().map(|(start, end)| *end - *start).sum()
    }
}
