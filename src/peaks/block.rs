//! One block of a level that is too large to stay in memory: entries, or the samples themselves. Thread: one thread
//! fills a block, any thread reads it.

use super::entry::{Entry, Extent, extend};
use crate::format::FULL_SCALE;
use crate::limits::{PEAK_BASE_FRAMES, PEAK_BLOCK_ENTRIES, PEAK_FINE_FRAMES, PEAK_SAMPLE_FRAMES};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// The levels that are loaded in blocks, finest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scale {
    /// Single samples, read from the WAV or the spool.
    Sample,
    /// Entries of 16 frames, computed from samples on request.
    Fine,
    /// Entries of 256 frames, kept in the cache file. Where there is no cache, computed from samples on request.
    Base,
    /// Entries of 1024 frames: level 0 of the pyramid, kept in the cache file.
    Low,
    /// Entries of 4096 frames: level 1, computed from the one below.
    Mid,
    /// Entries of 16,384 frames: level 2, computed in the same way.
    High,
}

/// All scales, finest first.
pub(super) const SCALES: [Scale; 6] = [Scale::Sample, Scale::Fine, Scale::Base, Scale::Low, Scale::Mid, Scale::High];

impl Scale {
    /// Frames in one entry.
    pub(super) const fn frames(self) -> u64 {
        match self {
            Scale::Sample => 1,
            Scale::Fine => PEAK_FINE_FRAMES as u64,
            Scale::Base => PEAK_BASE_FRAMES as u64,
            Scale::Low => PEAK_BASE_FRAMES as u64 * 4,
            Scale::Mid => PEAK_BASE_FRAMES as u64 * 16,
            Scale::High => PEAK_BASE_FRAMES as u64 * 64,
        }
    }

    /// The level of a pyramid with these entries. None for the scales below all levels.
    pub(super) const fn level(self) -> Option<usize> {
        match self {
            Scale::Sample | Scale::Fine | Scale::Base => None,
            Scale::Low => Some(0),
            Scale::Mid => Some(1),
            Scale::High => Some(2),
        }
    }

    /// Entries in one block, per channel.
    pub(super) const fn block_entries(self) -> usize {
        match self {
            Scale::Sample => PEAK_SAMPLE_FRAMES,
            _ => PEAK_BLOCK_ENTRIES,
        }
    }

    /// Frames in one block.
    pub(super) const fn block_frames(self) -> u64 {
        self.block_entries() as u64 * self.frames()
    }
}

/// Entries or samples of all channels, [`Block::len`] of each channel. The block of a take that is being recorded
/// grows.
pub(super) struct Block {
    /// Channel after channel, `stride` values each: packed entries, or the bits of `f32` samples.
    values: Box<[AtomicU32]>,
    stride: usize,
    samples: bool,
    len: AtomicUsize,
    /// Frames from which the block was made. If the take has grown since, the last entry is out of date. `u64::MAX` for
    /// a block that grows with the take: its last entry is always up to date.
    frames: u64,
}

impl Block {
    /// Makes an empty block with space for `stride` entries of each channel.
    pub(super) fn entries(channels: usize, stride: usize) -> Block {
        Block::new(channels, stride, false)
    }

    fn new(channels: usize, stride: usize, samples: bool) -> Block {
        let values = (0..channels * stride).map(|_| AtomicU32::new(0)).collect();
        Block { values, stride, samples, len: AtomicUsize::new(0), frames: u64::MAX }
    }

    /// Makes a block of `scale` from interleaved `samples`. The block is as long as the samples reach.
    pub(super) fn from_samples(scale: Scale, channels: usize, samples: &[f32]) -> Block {
        let frames = samples.len() / channels;
        let per = scale.frames() as usize;
        let mut block = Block::new(channels, frames.div_ceil(per), scale == Scale::Sample);
        block.frames = frames as u64;
        if scale == Scale::Sample {
            for (at, frame) in samples.chunks_exact(channels).enumerate() {
                for (channel, sample) in frame.iter().enumerate() {
                    block.values[channel * block.stride + at].store(sample.to_bits(), Relaxed);
                }
            }
        } else {
            let mut extents = vec![Extent::NONE; channels];
            for (at, piece) in samples[..frames * channels].chunks(per * channels).enumerate() {
                extents.fill(Extent::NONE);
                extend(&mut extents, piece);
                for (channel, extent) in extents.iter().enumerate() {
                    block.set(channel, at, Entry::of(*extent));
                }
            }
        }
        block.set_len(block.stride);
        block
    }

    /// Entries of each channel that readers may use.
    pub(super) fn len(&self) -> usize {
        self.len.load(Acquire)
    }

    /// Whether the entries before `end` are up to date for a take that has `frames` frames from the block's start on.
    pub(super) fn covers(&self, scale: Scale, end: usize, frames: u64) -> bool {
        end <= self.len() && (end as u64 * scale.frames()).min(frames) <= self.frames
    }

    /// Publishes the first `len` entries to readers.
    pub(super) fn set_len(&self, len: usize) {
        self.len.store(len, Release);
    }

    pub(super) fn set(&self, channel: usize, at: usize, entry: Entry) {
        self.values[channel * self.stride + at].store(entry.pack(), Relaxed);
    }

    /// Entry `at` of a channel. Only for a block of entries, not of samples.
    pub(super) fn get(&self, channel: usize, at: usize) -> Entry {
        Entry::unpack(self.values[channel * self.stride + at].load(Relaxed))
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.values) + size_of::<Block>()
    }

    /// Lowest and highest value of the entries `first..end`, clamped to -1.0..1.0. `end` must not exceed
    /// [`Block::len`].
    pub(super) fn fold(&self, channel: usize, first: usize, end: usize) -> Extent {
        let values = &self.values[channel * self.stride..][first..end];
        if !self.samples {
            let entries = values.iter().map(|bits| Entry::unpack(bits.load(Relaxed)));
            return entries.fold(Entry::NONE, Entry::merge).extent();
        }
        let mut extent = Extent::NONE;
        for bits in values {
            let sample = f32::from_bits(bits.load(Relaxed));
            // Full scale and above is 1.0, as in the coarser levels. NaN is silence.
            let sample = match sample {
                x if FULL_SCALE <= x => 1.0,
                x if x <= -FULL_SCALE => -1.0,
                x if x.is_nan() => 0.0,
                x => x,
            };
            extent.add(sample);
        }
        extent
    }
}
