//! A take's lowest and highest samples, level over level, growing at its end while others read. Thread: the one that
//! grows it, any that reads.
//!
//! | level | frames an entry | where |
//! |---|---|---|
//! | base | 256 | blocks of the cache; those of a growing take in memory until they are written |
//! | 0 to 5 | 1024, 4096, ... 1,048,576 | in memory: 0.9 MB per hour of 48 kHz and channel |
//!
//! An entry is 16 bits each way. Eight bits would halve the memory, but draw everything below -42 dB alike as soon as
//! a track is made tall or its waveform is magnified. Rounding goes outward, so that silence alone is zero, and full
//! scale has a code of its own, so that clipping can be told at any zoom.
//!
//! Nothing here waits: levels are lists of fixed chunks that are never moved, and entries are atomics. What a reader
//! sees up to [`Pyramid::frames`] is complete.

use super::block::Block;
use super::entry::{Entry, Extent, extend};
use crate::limits::{PEAK_BASE_FRAMES, PEAK_BLOCK_ENTRIES, PEAK_FRAMES_MAX, TAKE_CHANNEL_COUNT_MAX};
use std::array;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Levels in memory.
pub const LEVELS: usize = 6;

/// Entries of one level that make one of the next.
const STEP_BITS: u32 = 2;

/// Entries of a chunk: small, since a take of a second has a chunk in every level.
const CHUNK_ENTRIES: usize = 256;

/// Directories of chunks, each twice the one before.
const DIRECTORIES: usize = 24;

const _: () = assert!(
    PEAK_FRAMES_MAX / (PEAK_BASE_FRAMES as u64 * 4) / (CHUNK_ENTRIES as u64) < (1 << DIRECTORIES) - 1,
    "the longest take has a place for its last entry"
);

/// Frames of one entry of a level in memory.
pub const fn level_frames(level: usize) -> u64 {
    (PEAK_BASE_FRAMES as u64) << (STEP_BITS * (level as u32 + 1))
}

type Chunk = OnceLock<Box<[AtomicU32]>>;

/// The entries of one level of one channel. Chunks stay where they are, so a reader needs no lock.
struct Level {
    directories: [OnceLock<Box<[Chunk]>>; DIRECTORIES],
}

impl Level {
    fn new() -> Level {
        Level { directories: array::from_fn(|_| OnceLock::new()) }
    }

    /// Directory `n` holds 2^n chunks.
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

    /// All of `first..end` in one; what was never stored is none.
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

/// What is known of a take's sound. Shared: its one [`Grower`] adds to it while anybody reads.
pub struct Pyramid {
    frames: AtomicU64,
    channels: Box<[[Level; LEVELS]]>,
    /// Blocks of the base that are not in the cache yet, oldest first. Locked for moments; a reader only tries.
    resident: Mutex<VecDeque<(u64, Arc<Block>)>>,
}

impl Pyramid {
    /// Of no sound yet, 1 or 2 `channels`.
    pub(super) fn new(channels: usize) -> Pyramid {
        assert!((1..=TAKE_CHANNEL_COUNT_MAX).contains(&channels));
        Pyramid {
            frames: AtomicU64::new(0),
            channels: (0..channels).map(|_| array::from_fn(|_| Level::new())).collect(),
            resident: Mutex::default(),
        }
    }

    /// Built again from what the cache keeps: `entry(channel, n)` gives the lowest level in memory, called in order.
    /// None as soon as that gives none.
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

    /// Frames that are in it, with everything above them.
    pub fn frames(&self) -> u64 {
        self.frames.load(Acquire)
    }

    /// 1 or 2.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// The entries `first..end` of a level in one.
    pub(super) fn fold(&self, channel: usize, level: usize, first: u64, end: u64) -> Entry {
        self.channels[channel][level].fold(first, end)
    }

    /// One entry of the lowest level in memory.
    pub(super) fn lowest(&self, channel: usize, at: u64) -> Entry {
        self.fold(channel, 0, at, at + 1)
    }

    /// A block of the base that is in memory. None also while it is locked: nobody waits for a picture.
    pub(super) fn resident(&self, index: u64) -> Option<Arc<Block>> {
        let resident = self.resident.try_lock().ok()?;
        let first = resident.front()?.0;
        resident.get(index.checked_sub(first)? as usize).map(|(_, block)| Arc::clone(block))
    }

    /// The same for a worker, who may wait for the moment.
    pub(super) fn resident_blocking(&self, index: u64) -> Option<Arc<Block>> {
        let resident = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        resident.iter().find(|(at, _)| *at == index).map(|(_, block)| Arc::clone(block))
    }

    /// Gives up the blocks of the base before block `end`.
    pub(super) fn release(&self, end: u64) {
        let mut gone = Vec::new();
        let mut resident = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        while resident.front().is_some_and(|(at, _)| *at < end) {
            gone.extend(resident.pop_front());
        }
        drop(resident);
    }
}

/// Stores what an entry adds to the levels above it, and forgets the sums that are complete.
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

/// Adds sound to the end of a pyramid. There is one for each.
pub struct Grower {
    pyramid: Arc<Pyramid>,
    frames: u64,
    /// What is known of the base entry that is not whole.
    partial: Vec<Extent>,
    /// What is known of the entries above it that are not whole.
    sums: Vec<[Entry; LEVELS]>,
    /// The newest block of the base and its number.
    block: Option<(u64, Arc<Block>)>,
}

impl Grower {
    /// A pyramid of `channels` without sound, 1 or 2.
    pub fn new(channels: usize) -> Grower {
        Grower {
            pyramid: Arc::new(Pyramid::new(channels)),
            frames: 0,
            partial: vec![Extent::NONE; channels],
            sums: vec![[Entry::NONE; LEVELS]; channels],
            block: None,
        }
    }

    /// What it grows.
    pub fn pyramid(&self) -> &Arc<Pyramid> {
        &self.pyramid
    }

    /// Adds whole frames, interleaved, full scale at 1.0. What lies beyond [`PEAK_FRAMES_MAX`] is left out.
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

    /// Stores what is known of base entry `base`.
    fn store_base(&mut self, base: u64) {
        let index = base / PEAK_BLOCK_ENTRIES as u64;
        let at = (base % PEAK_BLOCK_ENTRIES as u64) as usize;
        if self.block.as_ref().is_none_or(|(newest, _)| *newest != index) {
            let block = Arc::new(Block::entries(self.partial.len(), PEAK_BLOCK_ENTRIES));
            let mut resident = self.pyramid.resident.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Lets entries above the base that are not whole be seen as far as they go.
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
