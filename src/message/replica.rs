//! The two replicas of a take, session and mirror, and the state that their committers share. Thread: butler and both
//! committers.
//!
//! When more than half of the spool is in use, the committer that is ahead frees spans that the slower replica still
//! needs, and enters them as *gaps* of the slower replica. The butler does the same when a committer takes no commands.
//! The committer of the slower replica later fills its gaps from the other replica's file.
//!
//! A gap ends in one way only: the committer writes its sound to the file that the gap lies in, makes that file
//! durable, and hands the [`FilledGap`] back. [`Gap::write_to`] refuses any other file.

use super::offset::{FileByte, FileStart, SpoolByte};
use crate::lock::lock;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

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

/// The open files of one replica of a take, each with the position of its sound in the take.
type OpenFiles = Vec<(FileStart, Arc<File>)>;

/// State of one take that both committers share. Offsets are those of the spool. Arrays are indexed by
/// [`Replica::index`].
#[derive(Debug)]
pub struct ReplicaPair {
    /// Path of the first file of each replica, as control planned it.
    first_paths: [PathBuf; 2],
    /// The open files of each replica, in order, and where the sound of each begins. Open files and not paths: another
    /// program may give the path to another file.
    files: [Mutex<OpenFiles>; 2],
    /// End of the durable sound of each replica. Gaps before it may exist.
    durable: [AtomicU64; 2],
    gaps: [Mutex<Vec<Range>>; 2],
    /// Whether the committer of the replica has ended the take: nothing more becomes durable there.
    ended: [AtomicBool; 2],
    /// Whether another program has cut a file of the replica short or written to it.
    changed: [AtomicBool; 2],
    /// The files of the replica into which it may have copied from a file of the other one after another program had changed that.
    copied_change: [Mutex<Vec<FileStart>>; 2],
    /// The copies that the other replica makes from the files of the replica.
    copies: [Mutex<Copies>; 2],
}

/// A copy from a file of a replica into a file of the other one. Each file is known by the position of its sound in the take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileCopy {
    from: FileStart,
    to: FileStart,
}

/// Copies from the files of a replica.
#[derive(Debug, Default)]
struct Copies {
    /// The copy that the other replica makes now.
    in_progress: Option<FileCopy>,
    /// The copies that it has made since the last look for changes found none.
    unchecked: Vec<FileCopy>,
}

/// The first byte of a range, and the byte after the last one.
type Range = (SpoolByte, SpoolByte);

/// A part of a gap that lies in one file of its own replica and in one file of the other replica.
#[derive(Debug)]
pub struct Gap {
    range: Range,
    /// The file of its own replica that it lies in.
    lies_in: FileStart,
    source: Arc<File>,
    /// Where the sound of the source begins in the take.
    source_start: FileStart,
    source_at: FileByte,
}

/// A gap whose sound was written to the file that the gap lies in. The range stays a gap until
/// [`ReplicaPair::gap_filled`], which the committer calls when that file is durable.
#[derive(Debug)]
pub struct FilledGap {
    range: Range,
}

impl Gap {
    /// Number of bytes that are missing.
    pub fn bytes(&self) -> u64 {
        self.range.1 - self.range.0
    }

    /// Calls `write` with the offset in the file that begins at `file`. Fails if the gap does not lie in that file.
    pub fn write_to(self, file: FileStart, write: impl FnOnce(FileByte) -> io::Result<()>) -> io::Result<FilledGap> {
        if self.lies_in != file {
            return Err(io::Error::other("the gap lies in another file of the take"));
        }
        write(file.to_file(self.range.0))?;
        Ok(FilledGap { range: self.range })
    }
}

impl FilledGap {
    /// Offset after the last byte.
    pub fn end(&self) -> SpoolByte {
        self.range.1
    }

    /// The part at and after `at`, if there is one.
    pub fn from(&self, at: SpoolByte) -> Option<(SpoolByte, SpoolByte)> {
        Some((self.range.0.max(at), self.range.1)).filter(|(start, end)| start < end)
    }
}

impl ReplicaPair {
    /// The state of a take whose two files contain no sound yet.
    pub fn new(session: PathBuf, mirror: PathBuf) -> ReplicaPair {
        ReplicaPair {
            first_paths: [session, mirror],
            files: Default::default(),
            durable: Default::default(),
            gaps: Default::default(),
            ended: Default::default(),
            changed: Default::default(),
            copied_change: Default::default(),
            copies: Default::default(),
        }
    }

    /// Path of the first file of `replica`, as control planned it.
    pub fn first_path(&self, replica: Replica) -> &Path {
        &self.first_paths[replica.index()]
    }

    /// From `start` on, the sound of `replica` is in `file`: the take begins or continues there. Sound of the file before
    /// that lies behind `start` counts no longer, because the new file does not contain it yet.
    pub fn continue_in(&self, replica: Replica, start: FileStart, file: Arc<File>) {
        // Under the lock, so that the other committer does not look for that sound in the new file.
        let mut files = lock(&self.files[replica.index()]);
        self.durable[replica.index()].fetch_min(start.0.0, Relaxed);
        if files.last().is_none_or(|(last, _)| last.0 < start.0) {
            files.push((start, file));
        } else if let Some(last) = files.last_mut() {
            // The file before contains no sound.
            *last = (start, file);
        }
    }

    /// Another program removed the file of `replica` that begins at `start`; `file` contains the same sound.
    pub fn replace_file(&self, replica: Replica, start: FileStart, file: &Arc<File>) {
        for (_, old) in lock(&self.files[replica.index()]).iter_mut().filter(|(begins, _)| *begins == start) {
            *old = Arc::clone(file);
        }
    }

    /// Everything before `end` is durable in `replica`, except for its gaps.
    pub fn set_durable(&self, replica: Replica, end: SpoolByte) {
        self.durable[replica.index()].fetch_max(end.0, Relaxed);
    }

    /// Another program has cut a file of `replica` short or written to it.
    pub fn note_changed(&self, replica: Replica) {
        self.changed[replica.index()].store(true, Relaxed);
    }

    /// Whether files of both replicas were changed. Each may have copied what was changed from the other one before that was
    /// found.
    pub fn are_both_changed(&self) -> bool {
        self.changed.iter().all(|changed| changed.load(Relaxed))
    }

    /// End of the durable sound of `replica`. Gaps before it may exist.
    pub fn durable_end(&self, replica: Replica) -> SpoolByte {
        SpoolByte(self.durable[replica.index()].load(Relaxed))
    }

    /// Whether `replica` has durable sound.
    pub fn has_sound(&self, replica: Replica) -> bool {
        SpoolByte::DATA < self.durable_end(replica)
    }

    /// The committer of `replica` has ended the take.
    pub fn set_ended(&self, replica: Replica) {
        self.ended[replica.index()].store(true, Relaxed);
    }

    /// Whether nothing more becomes durable in `replica`.
    pub fn has_ended(&self, replica: Replica) -> bool {
        self.ended[replica.index()].load(Relaxed)
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

    /// The first gap at or after `from` in the file of `replica` that begins at `file`, as far as the other replica can
    /// fill it now: at most `bytes_max` bytes. A gap of the other replica has no sound there, only zeros.
    pub fn next_gap(&self, replica: Replica, file: FileStart, from: SpoolByte, bytes_max: u64) -> Option<Gap> {
        // Together: a file that is added between the two does not have the sound that was durable before.
        let (files, there) = {
            let files = lock(&self.files[replica.other().index()]);
            (files.clone(), SpoolByte(self.durable[replica.other().index()].load(Relaxed)))
        };
        // Afterwards: a gap of the other replica is added before the sound behind it is durable.
        let found = self.gaps_of_one_alone(replica, file);
        let found = found.into_iter().map(|(start, end)| (start.max(from), end.min(there)));
        let (start, end) = found.filter(|(start, end)| start < end).min_by_key(|gap| gap.0)?;
        let (source_start, source) = files.iter().rev().find(|(first, _)| first.0 <= start)?.clone();
        // The range must not reach past the end of the file that contains its beginning.
        let source_end = files.iter().map(|file| file.0.0).find(|first| start < *first).unwrap_or(end);
        let range = (start, end.min(start + bytes_max).min(source_end));
        Some(Gap { range, lies_in: file, source, source_start, source_at: source_start.to_file(start) })
    }

    /// Calls `read` with the other replica's file that contains the sound of a gap of `replica`, and with the offset there.
    /// The next look for changes of that file learns of it.
    pub fn read_source(
        &self,
        replica: Replica,
        gap: &Gap,
        read: impl FnOnce(&File, FileByte) -> io::Result<()>,
    ) -> io::Result<()> {
        let copies = &self.copies[replica.other().index()];
        let copy = FileCopy { from: gap.source_start, to: gap.lies_in };
        lock(copies).in_progress = Some(copy);
        let result = read(&gap.source, gap.source_at);
        let mut copies = lock(copies);
        copies.in_progress = None;
        if result.is_ok() && !copies.unchecked.contains(&copy) {
            copies.unchecked.push(copy);
        }
        result
    }

    /// Calls `look`, which checks whether another program has changed the file of `replica` that begins at `file`. Returns the
    /// result, and whether the other replica may have copied from the file after the change.
    pub fn with_copies_checked<T>(
        &self,
        replica: Replica,
        file: FileStart,
        look: impl FnOnce() -> Option<T>,
    ) -> Option<(T, bool)> {
        let copies = &self.copies[replica.index()];
        // A copy that ends during the look is left for the next one.
        let checked: Vec<FileCopy> = lock(copies).unchecked.extract_if(.., |copy| copy.from == file).collect();
        let found = look()?;
        let copies = lock(copies);
        let unchecked = copies.in_progress.iter().chain(&copies.unchecked).filter(|copy| copy.from == file);
        let into: Vec<FileStart> = checked.iter().chain(unchecked).map(|copy| copy.to).collect();
        lock(&self.copied_change[replica.other().index()]).extend(&into);
        Some((found, !into.is_empty()))
    }

    /// Whether the file of `replica` that begins at `file` may have a copy from a file of the other one that another program had
    /// changed.
    pub fn has_copied_change(&self, replica: Replica, file: FileStart) -> bool {
        lock(&self.copied_change[replica.index()]).contains(&file)
    }

    /// Whether the file of `replica` that begins at `file` has gaps, and the other replica lacks the sound of all of them.
    pub fn is_in_neither(&self, replica: Replica, file: FileStart) -> bool {
        !self.gaps_in(replica, file).is_empty() && self.gaps_of_one_alone(replica, file).is_empty()
    }

    /// Whether `replica` lacks some of the bytes from `start` to `end`.
    pub fn lacks(&self, replica: Replica, start: SpoolByte, end: SpoolByte) -> bool {
        lock(&self.gaps[replica.index()]).iter().any(|gap| gap.0 < end && start < gap.1)
    }

    /// The first byte that the file of `replica` lacks that begins at `file`.
    pub fn first_gap(&self, replica: Replica, file: FileStart) -> Option<SpoolByte> {
        self.gaps_in(replica, file).into_iter().map(|gap| gap.0).min()
    }

    /// The file in which `filled` lies is durable: the range is no gap of `replica` any more.
    pub fn gap_filled(&self, replica: Replica, filled: &FilledGap) {
        let mut gaps = lock(&self.gaps[replica.index()]);
        *gaps = without(std::mem::take(&mut *gaps), filled.range);
    }

    /// Number of bytes that the file of `replica` lacks that begins at `file`.
    pub fn missing_bytes(&self, replica: Replica, file: FileStart) -> u64 {
        self.gaps_in(replica, file).into_iter().map(|(start, end)| end - start).sum()
    }

    /// The gaps of `replica` within the file that begins at `file`, without those of the other replica.
    fn gaps_of_one_alone(&self, replica: Replica, file: FileStart) -> Vec<Range> {
        let others = lock(&self.gaps[replica.other().index()]).clone();
        others.into_iter().fold(self.gaps_in(replica, file), without)
    }

    /// The gaps of `replica` within the file that begins at `file`.
    fn gaps_in(&self, replica: Replica, file: FileStart) -> Vec<Range> {
        let next = lock(&self.files[replica.index()]).iter().map(|it| it.0.0).find(|first| file.0 < *first);
        let gaps = lock(&self.gaps[replica.index()]);
        let within = gaps.iter().map(|&(start, end)| (start.max(file.0), next.map_or(end, |next| end.min(next))));
        within.filter(|(start, end)| start < end).collect()
    }
}

/// `ranges` without the bytes of `hole`.
fn without(ranges: Vec<Range>, (from, to): Range) -> Vec<Range> {
    let parts = ranges.into_iter().flat_map(|(start, end)| [(start, end.min(from)), (start.max(to), end)]);
    parts.filter(|(start, end)| start < end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gap was filled with the zeros of blocks that were reserved for the new file.
    #[test]
    fn a_gap_is_never_filled_from_a_file_that_began_a_moment_ago_and_has_no_sound_there_yet() {
        const TRIALS: usize = 3_000;
        let byte = |at: u64| SpoolByte(SpoolByte::DATA.0 + at);
        let [before, next, mirror] = [(); 3].map(|()| Arc::new(tempfile::tempfile().unwrap()));
        let pair = || {
            let pair = ReplicaPair::new("session.wav".into(), "mirror.wav".into());
            pair.continue_in(Replica::Session, FileStart::FIRST, Arc::clone(&before));
            pair.continue_in(Replica::Mirror, FileStart::FIRST, Arc::clone(&mirror));
            pair.set_durable(Replica::Session, byte(1000));
            pair.add_gap(Replica::Mirror, byte(600), byte(900));
            pair
        };
        let pairs: Vec<ReplicaPair> = (0..TRIALS).map(|_| pair()).collect();
        let looks_at = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (at, pair) in pairs.iter().enumerate() {
                    while looks_at.load(Relaxed) <= at as u64 {
                        std::thread::yield_now();
                    }
                    for _ in 0..at % 50 {
                        std::hint::spin_loop();
                    }
                    pair.continue_in(Replica::Session, FileStart(byte(500)), Arc::clone(&next));
                }
            });
            for (at, pair) in pairs.iter().enumerate() {
                looks_at.store(at as u64 + 1, Relaxed);
                while let Some(gap) = pair.next_gap(Replica::Mirror, FileStart::FIRST, byte(0), 1 << 20) {
                    assert!(Arc::ptr_eq(&gap.source, &before), "trial {at}: {:?}", gap.range);
                }
            }
        });
    }

    /// Each file was filled with the zeros that the other one had in place of the sound.
    #[test]
    fn a_gap_is_filled_only_where_the_other_replica_has_the_sound() {
        let pair = ReplicaPair::new("session.wav".into(), "mirror.wav".into());
        let (start, byte) = (FileStart(SpoolByte::DATA), |at: u64| SpoolByte(SpoolByte::DATA.0 + at));
        for replica in [Replica::Session, Replica::Mirror] {
            pair.continue_in(replica, start, Arc::new(tempfile::tempfile().unwrap()));
            pair.set_durable(replica, byte(900));
        }
        pair.add_gap(Replica::Session, byte(100), byte(300));
        pair.add_gap(Replica::Mirror, byte(200), byte(400));
        let next = |replica, from| pair.next_gap(replica, start, byte(from), 1 << 20).map(|gap| gap.range);
        assert_eq!(next(Replica::Session, 0), Some((byte(100), byte(200))));
        assert_eq!(next(Replica::Mirror, 0), Some((byte(300), byte(400))));
        assert_eq!((next(Replica::Session, 200), pair.is_in_neither(Replica::Session, start)), (None, false));
        pair.gap_filled(Replica::Session, &FilledGap { range: (byte(100), byte(200)) });
        assert!(pair.is_in_neither(Replica::Session, start) && !pair.is_in_neither(Replica::Mirror, start));
        assert!(
            pair.lacks(Replica::Session, byte(250), byte(260)) && !pair.lacks(Replica::Session, byte(300), byte(400))
        );
        assert_eq!(
            (pair.missing_bytes(Replica::Session, start), pair.missing_bytes(Replica::Mirror, start)),
            (100, 200)
        );
    }
}
