//! The levels of a take's waveform. Each entry of a level covers four entries of the level below. Thread: one thread
//! grows a pyramid, any thread reads it.
//!
//! | level | frames per entry | where |
//! |---|---|---|
//! | base | 256 | blocks in the cache file; those of a growing take in memory until peaks-build has written them |
//! | 0 to 2 | 1024, 4096, 16,384 | blocks made from the cache file; in memory while the take grows or is built |
//! | 3 to 5 | 65,536, 262,144, 1,048,576 | in memory: 14 kB per hour and channel at 48 kHz |
//!
//! A take that grows or is built has all levels in memory: 0.9 MB per hour and channel.
//!
//! Minimum and maximum of an entry have 16 bits each. Eight bits would halve the memory, but every sound below -42 dB
//! would look alike in a tall track or a magnified waveform.
//!
//! Readers never wait. A level is a list of chunks of fixed size that never move, and entries are atomics. Everything
//! before [`Pyramid::frames`] is complete.

use super::block::Block;
use super::entry::{Entry, Extent, extend};
use crate::limits::{PEAK_BASE_FRAMES, PEAK_BLOCK_ENTRIES, PEAK_FRAMES_MAX, TAKE_CHANNEL_COUNT_MAX};
use crate::lock::lock;
use std::array;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

/// All levels above the base.
pub const LEVELS: usize = 6;

/// The finest level of a reduced pyramid. The levels below it are loaded in blocks.
pub(super) const REDUCED_FROM: usize = 3;

/// Entries of one level that make one entry of the next, as a power of two.
const STEP_BITS: u32 = 2;

/// Entries in a chunk. A small number, because even a take of one second has a chunk in every level.
const CHUNK_ENTRIES: usize = 256;

/// Directories of chunks. Each has twice as many chunks as the one before.
const DIRECTORIES: usize = 24;

const _: () = assert!(
    PEAK_FRAMES_MAX / (PEAK_BASE_FRAMES as u64 * 4) / (CHUNK_ENTRIES as u64) < (1 << DIRECTORIES) - 1,
    "the longest take has a chunk for its last entry"
);

/// Frames in one entry of a level.
pub const fn level_frames(level: usize) -> u64 {
    (PEAK_BASE_FRAMES as u64) << (STEP_BITS * (level as u32 + 1))
}

type Chunk = OnceLock<Box<[AtomicU32]>>;

/// The entries of one level of one channel. Chunks never move, so a reader needs no lock.
struct Level {
    directories: [OnceLock<Box<[Chunk]>>; DIRECTORIES],
}

impl Level {
    fn new() -> Level {
        Level { directories: array::from_fn(|_| OnceLock::new()) }
    }

    /// The directory of a chunk, and the chunk's index in it. Directory `n` holds 2^n chunks.
    fn chunk_at(chunk: u64) -> (usize, usize) {
        let directory = (chunk + 1).ilog2();
        (directory as usize, (chunk + 1 - (1 << directory)) as usize)
    }

    fn store(&self, at: u64, entry: Entry) {
        let (directory, chunk) = Level::chunk_at(at / CHUNK_ENTRIES as u64);
        let chunks =
            self.directories[directory].get_or_init(|| (0..1usize << directory).map(|_| Chunk::new()).collect());
        let entries = chunks[chunk].get_or_init(|| (0..CHUNK_ENTRIES).map(|_| AtomicU32::new(0)).collect());
        entries[(at % CHUNK_ENTRIES as u64) as usize].store(entry.pack(), Relaxed);
    }

    /// Bytes of the chunks and directories for that many entries.
    fn bytes(entries: usize) -> usize {
        let chunks = entries.div_ceil(CHUNK_ENTRIES);
        // Directories are as long as the next power of two.
        chunks * CHUNK_ENTRIES * size_of::<AtomicU32>() + (chunks + 1).next_power_of_two() * size_of::<Chunk>()
    }

    /// Merges the entries `first..end`. Entries that were never stored are skipped.
    fn fold(&self, first: u64, end: u64) -> Entry {
        let mut at = first;
        let mut all = Entry::NONE;
        while at < end {
            let (directory, chunk) = Level::chunk_at(at / CHUNK_ENTRIES as u64);
            let from = (at % CHUNK_ENTRIES as u64) as usize;
            let count = (CHUNK_ENTRIES - from).min((end - at).min(CHUNK_ENTRIES as u64) as usize);
            if let Some(entries) = self.directories[directory].get().and_then(|chunks| chunks[chunk].get()) {
                for bits in &entries[from..from + count] {
                    all = all.merge(Entry::unpack(bits.load(Relaxed)));
                }
            }
            at += count as u64;
        }
        all
    }
}

/// The waveform of a take. It is shared: one [`Grower`] adds to it while any thread reads it.
pub struct Pyramid {
    frames: AtomicU64,
    /// The finest level that is in memory: 0 or [`REDUCED_FROM`].
    finest: usize,
    channels: Box<[[Level; LEVELS]]>,
    /// Blocks of the base that are not in the cache file yet, with their indices, oldest first. A thread holds the lock
    /// only for a short time; the front end only tries to lock.
    resident: Mutex<VecDeque<(u64, Arc<Block>)>>,
}

impl Pyramid {
    /// Makes an empty pyramid of 1 or 2 `channels`.
    pub(super) fn new(channels: usize) -> Pyramid {
        assert!((1..=TAKE_CHANNEL_COUNT_MAX).contains(&channels));
        Pyramid {
            frames: AtomicU64::new(0),
            finest: 0,
            channels: (0..channels).map(|_| array::from_fn(|_| Level::new())).collect(),
            resident: Mutex::default(),
        }
    }

    /// Makes a pyramid from the lowest level, which the cache file holds. `entry(channel, n)` is called in order and
    /// returns entry n of that level. Returns None as soon as `entry` does.
    pub(super) fn from_lowest(
        channels: usize,
        frames: u64,
        mut entry: impl FnMut(usize, u64) -> Option<Entry>,
    ) -> Option<Pyramid> {
        let pyramid = Pyramid::new(channels);
        for (channel, levels) in pyramid.channels.iter().enumerate() {
            let mut sums = [Entry::NONE; LEVELS];
            for at in 0..frames.div_ceil(level_frames(0)) {
                let entry = entry(channel, at)?;
                levels[0].store(at, entry);
                carry_up(&levels[1..], &mut sums[1..], at, entry);
            }
            for (level, sum) in sums.iter().enumerate().skip(1) {
                if *sum != Entry::NONE {
                    levels[level].store((frames - 1) / level_frames(level), *sum);
                }
            }
        }
        pyramid.frames.store(frames, Release);
        Some(pyramid)
    }

    /// A copy without the levels below [`REDUCED_FROM`].
    #[must_use]
    pub(super) fn reduced(&self) -> Pyramid {
        let frames = self.frames();
        let reduced = Pyramid { finest: REDUCED_FROM, ..Pyramid::new(self.channels()) };
        for (from, to) in self.channels.iter().zip(&reduced.channels) {
            for level in REDUCED_FROM..LEVELS {
                for at in 0..frames.div_ceil(level_frames(level)) {
                    to[level].store(at, from[level].fold(at, at + 1));
                }
            }
        }
        reduced.frames.store(frames, Release);
        reduced
    }

    /// The finest level that is in memory.
    pub(super) fn finest(&self) -> usize {
        self.finest
    }

    /// Bytes of the levels in memory.
    pub(super) fn bytes(&self) -> usize {
        let frames = self.frames();
        let entries = |level| frames.div_ceil(level_frames(level)) as usize;
        let levels: usize = (self.finest..LEVELS).map(|level| Level::bytes(entries(level))).sum();
        self.channels() * (levels + size_of::<[Level; LEVELS]>())
    }

    /// Frames that all levels cover.
    pub fn frames(&self) -> u64 {
        self.frames.load(Acquire)
    }

    /// 1 or 2.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Merges the entries `first..end` of a level in memory.
    pub(super) fn fold(&self, channel: usize, level: usize, first: u64, end: u64) -> Entry {
        self.channels[channel][level].fold(first, end)
    }

    /// One entry of the lowest level in memory.
    pub(super) fn lowest(&self, channel: usize, at: u64) -> Entry {
        self.fold(channel, 0, at, at + 1)
    }

    /// A block of the base that is in memory. None also while another thread holds the lock: drawing never waits.
    pub(super) fn resident(&self, index: u64) -> Option<Arc<Block>> {
        let resident = self.resident.try_lock().ok()?;
        let first = resident.front()?.0;
        resident.get(index.checked_sub(first)? as usize).map(|(_, block)| Arc::clone(block))
    }

    /// Like [`Pyramid::resident`], but waits for the lock. For the worker threads.
    pub(super) fn resident_blocking(&self, index: u64) -> Option<Arc<Block>> {
        let resident = lock(&self.resident);
        resident.iter().find(|(at, _)| *at == index).map(|(_, block)| Arc::clone(block))
    }

    /// Drops the base blocks before block `end` from memory.
    pub(super) fn release(&self, end: u64) {
        let mut gone = Vec::new();
        let mut resident = lock(&self.resident);
        while resident.front().is_some_and(|(at, _)| *at < end) {
            gone.extend(resident.pop_front());
        }
        drop(resident);
    }
}

/// Adds an entry to the sums of the levels above it. Stores each sum that is complete, and clears it.
fn carry_up(levels: &[Level], sums: &mut [Entry], at: u64, entry: Entry) {
    let mut above = 0;
    for (level, sum) in levels.iter().zip(sums) {
        above += STEP_BITS;
        *sum = sum.merge(entry);
        if (at + 1).is_multiple_of(1 << above) {
            level.store(at >> above, *sum);
            *sum = Entry::NONE;
        }
    }
}

/// Adds samples to the end of a pyramid. A pyramid has only one grower.
pub struct Grower {
    pyramid: Arc<Pyramid>,
    frames: u64,
    /// For each channel the incomplete last entry of the base.
    partial: Vec<Extent>,
    /// For each channel and level the incomplete last entry, without `partial`.
    sums: Vec<[Entry; LEVELS]>,
    /// The index of the newest base block, and the block.
    block: Option<(u64, Arc<Block>)>,
}

impl Grower {
    /// Makes a grower with an empty pyramid of 1 or 2 `channels`.
    pub fn new(channels: usize) -> Grower {
        Grower {
            pyramid: Arc::new(Pyramid::new(channels)),
            frames: 0,
            partial: vec![Extent::NONE; channels],
            sums: vec![[Entry::NONE; LEVELS]; channels],
            block: None,
        }
    }

    pub fn pyramid(&self) -> &Arc<Pyramid> {
        &self.pyramid
    }

    /// Adds whole interleaved frames, full scale 1.0. Frames beyond [`PEAK_FRAMES_MAX`] are ignored.
    pub fn push(&mut self, samples: &[f32]) {
        let channels = self.partial.len();
        let frame_count = (PEAK_FRAMES_MAX - self.frames).min((samples.len() / channels) as u64) as usize;
        let mut samples = &samples[..frame_count * channels];
        while !samples.is_empty() {
            let base = self.frames / PEAK_BASE_FRAMES as u64;
            let missing = PEAK_BASE_FRAMES - (self.frames % PEAK_BASE_FRAMES as u64) as usize;
            let (piece, rest) = samples.split_at(samples.len().min(missing * channels));
            extend(&mut self.partial, piece);
            self.frames += (piece.len() / channels) as u64;
            self.store_base(base);
            if self.frames.is_multiple_of(PEAK_BASE_FRAMES as u64) {
                for (channel, partial) in self.partial.iter_mut().enumerate() {
                    let entry = Entry::of(*partial);
                    *partial = Extent::NONE;
                    carry_up(&self.pyramid.channels[channel], &mut self.sums[channel], base, entry);
                }
            }
            samples = rest;
        }
        self.publish_partial();
        self.pyramid.frames.store(self.frames, Release);
    }

    /// Stores `partial` as base entry `base`. Starts a new block where necessary.
    fn store_base(&mut self, base: u64) {
        let index = base / PEAK_BLOCK_ENTRIES as u64;
        let at = (base % PEAK_BLOCK_ENTRIES as u64) as usize;
        if self.block.as_ref().is_none_or(|(newest, _)| *newest != index) {
            let block = Arc::new(Block::entries(self.partial.len(), PEAK_BLOCK_ENTRIES));
            let mut resident = lock(&self.pyramid.resident);
            resident.push_back((index, Arc::clone(&block)));
            drop(resident);
            self.block = Some((index, block));
        }
        if let Some((_, block)) = &self.block {
            for (channel, partial) in self.partial.iter().enumerate() {
                block.set(channel, at, Entry::of(*partial));
            }
            block.set_len(at + 1);
        }
    }

    /// Stores the incomplete last entry of each level, so that readers see the newest frames at every zoom.
    fn publish_partial(&self) {
        let Some(last) = self.frames.checked_sub(1) else { return };
        let whole = self.frames.is_multiple_of(PEAK_BASE_FRAMES as u64);
        for (channel, sums) in self.sums.iter().enumerate() {
            let partial = if whole { Entry::NONE } else { Entry::of(self.partial[channel]) };
            for (level, sum) in sums.iter().enumerate() {
                let seen = sum.merge(partial);
                if seen != Entry::NONE {
                    self.pyramid.channels[channel][level].store(last / level_frames(level), seen);
                }
            }
        }
    }
}
