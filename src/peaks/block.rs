//! One piece of a waveform finer than what is in memory for good: entries, or the samples themselves. Thread: the one
//! that fills it, any that reads.

use super::entry::{Entry, Extent, FULL_SCALE, extend};
use crate::limits::{PEAK_BASE_FRAMES, PEAK_BLOCK_ENTRIES, PEAK_FINE_FRAMES, PEAK_SAMPLE_FRAMES};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// The levels below those in memory, finest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scale {
    /// Samples.
    Sample,
    /// Worked out from samples when asked for.
    Fine,
    /// Kept in the cache.
    Base,
}

/// All of them, finest first.
pub(super) const SCALES: [Scale; 3] = [Scale::Sample, Scale::Fine, Scale::Base];

impl Scale {
    /// Frames of one entry.
    pub(super) const fn frames(self) -> u64 {
        match self {
            Scale::Sample => 1,
            Scale::Fine => PEAK_FINE_FRAMES as u64,
            Scale::Base => PEAK_BASE_FRAMES as u64,
        }
    }

    /// Entries of one block.
    pub(super) const fn block_entries(self) -> usize {
        match self {
            Scale::Sample => PEAK_SAMPLE_FRAMES,
            Scale::Fine | Scale::Base => PEAK_BLOCK_ENTRIES,
        }
    }

    /// Frames of one block.
    pub(super) const fn block_frames(self) -> u64 {
        self.block_entries() as u64 * self.frames()
    }
}

/// Entries or samples of all channels, as many as [`Block::len`] says of each. It may still grow.
pub(super) struct Block {
    /// Channel after channel, `stride` each: packed entries, or the bits of samples.
    values: Box<[AtomicU32]>,
    stride: usize,
    samples: bool,
    len: AtomicUsize,
    /// Frames that the last entry was made with, all before it included; no limit where it grows with the take.
    frames: u64,
}

impl Block {
    /// Room for `stride` entries of each channel; none are there yet.
    pub(super) fn entries(channels: usize, stride: usize) -> Block {
        Block::new(channels, stride, false)
    }

    fn new(channels: usize, stride: usize, samples: bool) -> Block {
        let values = (0..channels * stride).map(|_| AtomicU32::new(0)).collect();
        Block { values, stride, samples, len: AtomicUsize::new(0), frames: u64::MAX }
    }

    /// Interleaved `samples` as a block of `scale`, as far as they go.
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

    /// Entries of each channel that are there.
    pub(super) fn len(&self) -> usize {
        self.len.load(Acquire)
    }

    /// Whether entry `end - 1` and all before it are what they are in a take that has `frames` from here on.
    pub(super) fn covers(&self, scale: Scale, end: usize, frames: u64) -> bool {
        end <= self.len() && (end as u64 * scale.frames()).min(frames) <= self.frames
    }

    /// Lets readers see the first `len` entries.
    pub(super) fn set_len(&self, len: usize) {
        self.len.store(len, Release);
    }

    /// Stores one entry.
    pub(super) fn set(&self, channel: usize, at: usize, entry: Entry) {
        self.values[channel * self.stride + at].store(entry.pack(), Relaxed);
    }

    /// One entry of a block of entries.
    pub(super) fn get(&self, channel: usize, at: usize) -> Entry {
        Entry::unpack(self.values[channel * self.stride + at].load(Relaxed))
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.values) + size_of::<Block>()
    }

    /// Lowest and highest of the entries `first..end`, within -1.0 and 1.0. They are there.
    pub(super) fn fold(&self, channel: usize, first: usize, end: usize) -> Extent {
        let values = &self.values[channel * self.stride..][first..end];
        if !self.samples {
            let entries = values.iter().map(|bits| Entry::unpack(bits.load(Relaxed)));
            return entries.fold(Entry::NONE, Entry::merge).extent();
        }
        let mut extent = Extent::NONE;
        for bits in values {
            let sample = f32::from_bits(bits.load(Relaxed));
            // Full scale and beyond is 1.0, as in the levels above; NaN is silence.
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
