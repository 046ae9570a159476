//! The sample loop in tiles: up to 16 neighbouring channels of interleaved device memory, 64 frames at a time. Thread:
//! audio.
//!
//! A row of 16 channels of one frame is one cache line. [`Tile::fill`] measures each row as it lies (peaks and squares
//! are vectors of channels) and scatters it into lanes of 64 frames, 4 KiB in the first-level cache. [`Tile::pack`] then
//! converts a lane straight into the take's window. So each cache line of the device's memory is read once, and each
//! line of a window is written whole. A loop that takes the channels one by one touches the same lines once for each
//! channel.
//!
//! The bytes that a take gets are those of [`record`](super::record), which tests compare. The sum of the squares is
//! added in another order.
#![forbid(unsafe_code)]
#![expect(clippy::inline_always, reason = "what is not inlined into a job is not compiled for its instructions")]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::{F32, OVER_PEAK, PeakAndPower, ReadSample, S16, S24, S24In3, S32, Sample};
use crate::device::Input;
use crate::format::{DeviceFormat, TakeFormat};
use crate::instructions::{Instructions, Job};
use crate::limits::TAKE_CHANNEL_COUNT_MAX;
use std::marker::PhantomData;
use std::ops::Range;

/// Channels of the widest tile.
pub const TILE_CHANNELS: usize = 16;

/// Frames of the longest tile.
pub const TILE_FRAMES: usize = 64;

/// Device channels from which on the rows of the next tile are fetched ahead. With fewer channels they lie in the cache
/// lines that this tile reads anyway.
const FETCH_AHEAD_CHANNELS: usize = 64;

/// How the channels of a period come into the takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleLoop {
    /// Each take reads its channels by itself. For planar memory, and to compare with.
    ByTake,
    /// In tiles, with these instructions.
    ByTile(Instructions),
}

impl SampleLoop {
    /// The fastest loop of this processor. This is not realtime-safe: it may ask the processor.
    pub fn fastest() -> SampleLoop {
        SampleLoop::ByTile(Instructions::of_this_processor())
    }

    /// The instructions with which `input` is read in tiles; `None`: its channels do not lie side by side, or this is not
    /// wanted. This is realtime-safe.
    pub fn tiles_of(self, input: &Input<'_>) -> Option<Instructions> {
        match self {
            SampleLoop::ByTile(instructions) if input.channel_step == input.format.bytes() => Some(instructions),
            _ => None,
        }
    }
}

/// The channels of the tile that begins with channel `first` of a device with `channels` channels: 16 of them, and near
/// the end 8, 4, 2 or 1. This is realtime-safe.
pub fn tile_from(first: usize, channels: usize) -> Range<usize> {
    let left = channels.saturating_sub(first);
    let width = if TILE_CHANNELS <= left { TILE_CHANNELS } else { (left + 1).next_power_of_two() / 2 };
    first..first + width
}

/// Samples of one channel, as the bits of an `i32` or an `f32`.
type LaneBits = [u32; TILE_FRAMES];

/// Frames of neighbouring channels, channel by channel, and their measurement.
#[repr(align(64))]
pub struct Tile {
    lanes: [LaneBits; TILE_CHANNELS],
    /// Two lanes frame by frame, for a stereo take.
    woven: [u32; TILE_FRAMES * TAKE_CHANNEL_COUNT_MAX],
    measured: Measured,
    frames: usize,
    format: DeviceFormat,
}

/// Measurements of neighbouring channels, side by side.
#[derive(Clone, Copy)]
struct Measured {
    peak: [f32; TILE_CHANNELS],
    square_sum: [f32; TILE_CHANNELS],
}

impl Measured {
    const NONE: Measured = Measured { peak: [0.0; TILE_CHANNELS], square_sum: [0.0; TILE_CHANNELS] };

    fn of(&self, lane: usize, frames: usize) -> PeakAndPower {
        let (peak, square_sum) = (self.peak[lane], self.square_sum[lane]);
        let (peak, square_sum) = if square_sum.is_finite() { (peak, square_sum) } else { (OVER_PEAK, 0.0) };
        PeakAndPower { peak, square_sum, frames: frames as u32 }
    }
}

impl Default for Tile {
    /// An empty tile. This is realtime-safe.
    fn default() -> Tile {
        Tile {
            lanes: [[0; TILE_FRAMES]; TILE_CHANNELS],
            woven: [0; TILE_FRAMES * TAKE_CHANNEL_COUNT_MAX],
            measured: Measured::NONE,
            frames: 0,
            format: DeviceFormat::S32,
        }
    }
}

impl Tile {
    /// Reads `frames` frames, at most [`TILE_FRAMES`], of `channels` from frame `from` of `input` on, and measures them.
    /// `channels` is a range of [`tile_from`], and `input` is interleaved. Frames that the input lacks are silence. This
    /// is realtime-safe.
    pub fn fill(
        &mut self,
        instructions: Instructions,
        input: &Input<'_>,
        channels: Range<usize>,
        from: usize,
        frames: usize,
    ) {
        (self.frames, self.format) = (frames.min(TILE_FRAMES), input.format);
        let rows = Rows::of(input, channels, from, self.frames);
        let sink = Scatter { lanes: &mut self.lanes };
        self.measured = read_rows(instructions, rows, sink);
    }

    /// Frames of the tile. This is realtime-safe.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Peak and power of channel `lane` of the tile. This is realtime-safe.
    pub fn measured(&self, lane: usize) -> PeakAndPower {
        self.measured.of(lane, self.frames)
    }

    /// Converts frames from frame `from` of the tile on into the take's memory `to`, as many as it holds. `lanes` are the
    /// take's channels, counted from the tile's first one. This is realtime-safe.
    pub fn pack(
        &mut self,
        instructions: Instructions,
        lanes: &[usize],
        from: usize,
        format: TakeFormat,
        to: &mut [u8],
    ) {
        let frames = from..self.frames;
        let float = self.format == DeviceFormat::F32;
        let samples = match lanes {
            [lane] => &self.lanes[*lane][frames],
            [left, right] => {
                let (left, right) = (&self.lanes[*left][frames.clone()], &self.lanes[*right][frames]);
                let (woven, _) = self.woven.as_chunks_mut::<2>();
                for ((frame, left), right) in woven.iter_mut().zip(left).zip(right) {
                    *frame = [*left, *right];
                }
                &self.woven[..2 * left.len()]
            }
            _ => return,
        };
        if float {
            instructions.run(Pack::<f32> { samples, format, to, sample: PhantomData });
        } else {
            instructions.run(Pack::<i32> { samples, format, to, sample: PhantomData });
        }
    }
}

/// Measures the channels from `first` on over all of `input`, which is interleaved, into those places of `to` that are
/// `wanted`. The channels are a range of [`tile_from`], and `to` is as long. This is realtime-safe.
pub fn measure(
    instructions: Instructions,
    input: &Input<'_>,
    first: usize,
    to: &mut [PeakAndPower],
    wanted: impl Fn(&PeakAndPower) -> bool,
) {
    let mut sums = [PeakAndPower::default(); TILE_CHANNELS];
    for from in (0..input.frames).step_by(TILE_FRAMES) {
        let frames = (input.frames - from).min(TILE_FRAMES);
        let rows = Rows::of(input, first..first + to.len(), from, frames);
        let measured = read_rows(instructions, rows, Forget);
        for (lane, sum) in sums[..to.len()].iter_mut().enumerate() {
            *sum = sum.plus(measured.of(lane, frames));
        }
    }
    for (place, sum) in to.iter_mut().zip(sums).filter(|(place, _)| wanted(place)) {
        *place = sum;
    }
}

/// Reads one byte of each row of the tile from channel `channel` on, so that the rows are on their way into the cache
/// before their tile is filled. This is realtime-safe.
pub fn fetch_ahead(input: &Input<'_>, channel: usize, from: usize, frames: usize) {
    if input.channels < FETCH_AHEAD_CHANNELS || input.channels <= channel {
        return;
    }
    let start = channel * input.channel_step + from * input.frame_step;
    for row in input.bytes.get(start..).unwrap_or(&[]).chunks(input.frame_step).take(frames.min(TILE_FRAMES)) {
        std::hint::black_box(row[0]);
    }
}

/// Rows of a tile in the device's memory.
struct Rows<'a> {
    /// Memory from the first channel of the tile in its first frame on.
    bytes: &'a [u8],
    /// Bytes from one row to the next.
    step: usize,
    width: usize,
    frames: usize,
    format: DeviceFormat,
}

impl<'a> Rows<'a> {
    fn of(input: &Input<'a>, channels: Range<usize>, from: usize, frames: usize) -> Rows<'a> {
        let start = channels.start * input.channel_step + from * input.frame_step;
        let bytes = input.bytes.get(start..).unwrap_or(&[]);
        Rows { bytes, step: input.frame_step, width: channels.len(), frames, format: input.format }
    }
}

/// Receives the rows of a tile.
trait RowSink {
    fn row<S: Sample, const W: usize>(&mut self, at: usize, row: &[S; W]);
}

/// Scatters each row into the lanes.
struct Scatter<'a> {
    lanes: &'a mut [LaneBits; TILE_CHANNELS],
}

impl RowSink for Scatter<'_> {
    #[inline(always)]
    fn row<S: Sample, const W: usize>(&mut self, at: usize, row: &[S; W]) {
        for (lane, sample) in self.lanes.iter_mut().zip(row) {
            lane[at] = sample.to_bits();
        }
    }
}

/// For rows that are only measured.
struct Forget;

impl RowSink for Forget {
    #[inline(always)]
    fn row<S: Sample, const W: usize>(&mut self, _: usize, _: &[S; W]) {}
}

/// Reads rows of `W` channels, whose samples have `N` bytes.
struct ReadRows<'a, const N: usize, const W: usize, R, T> {
    rows: Rows<'a>,
    sink: T,
    measured: &'a mut Measured,
    read: PhantomData<R>,
}

impl<const N: usize, const W: usize, R: ReadSample<N>, T: RowSink> Job for ReadRows<'_, N, W, R, T> {
    #[inline(always)]
    fn run(mut self) {
        let (mut peak, mut square_sum) = ([0.0_f32; W], [0.0_f32; W]);
        for at in 0..self.rows.frames.min(TILE_FRAMES) {
            let mut row = [R::ZERO; W];
            let from = at * self.rows.step;
            if let Some(bytes) = self.rows.bytes.get(from..from + N * W) {
                for (sample, bytes) in row.iter_mut().zip(bytes.as_chunks::<N>().0) {
                    *sample = R::read(*bytes);
                }
            }
            for ((sample, peak), sum) in row.iter().zip(&mut peak).zip(&mut square_sum) {
                let value = sample.float();
                let size = value.abs();
                *peak = if *peak < size { size } else { *peak };
                *sum += value * value;
            }
            self.sink.row(at, &row);
        }
        self.measured.peak[..W].copy_from_slice(&peak);
        self.measured.square_sum[..W].copy_from_slice(&square_sum);
    }
}

fn read_rows(instructions: Instructions, rows: Rows<'_>, sink: impl RowSink) -> Measured {
    match rows.format {
        DeviceFormat::S16 => read_rows_as::<2, S16>(instructions, rows, sink),
        DeviceFormat::S24 => read_rows_as::<4, S24>(instructions, rows, sink),
        DeviceFormat::S24In3 => read_rows_as::<3, S24In3>(instructions, rows, sink),
        DeviceFormat::S32 => read_rows_as::<4, S32>(instructions, rows, sink),
        DeviceFormat::F32 => read_rows_as::<4, F32>(instructions, rows, sink),
    }
}

fn read_rows_as<const N: usize, R: ReadSample<N>>(
    instructions: Instructions,
    rows: Rows<'_>,
    sink: impl RowSink,
) -> Measured {
    let mut all = Measured::NONE;
    let (measured, read) = (&mut all, PhantomData::<R>);
    match rows.width {
        16 => instructions.run(ReadRows::<N, 16, _, _> { rows, sink, measured, read }),
        8 => instructions.run(ReadRows::<N, 8, _, _> { rows, sink, measured, read }),
        4 => instructions.run(ReadRows::<N, 4, _, _> { rows, sink, measured, read }),
        2 => instructions.run(ReadRows::<N, 2, _, _> { rows, sink, measured, read }),
        _ => instructions.run(ReadRows::<N, 1, _, _> { rows, sink, measured, read }),
    }
    all
}

/// Converts samples and writes them one after the other.
struct Pack<'a, S> {
    samples: &'a [u32],
    format: TakeFormat,
    to: &'a mut [u8],
    sample: PhantomData<S>,
}

impl<S: Sample> Job for Pack<'_, S> {
    #[inline(always)]
    fn run(self) {
        match self.format {
            TakeFormat::S16 => {
                for (out, bits) in self.to.as_chunks_mut().0.iter_mut().zip(self.samples) {
                    *out = S::from_bits(*bits).s16().to_le_bytes();
                }
            }
            TakeFormat::S24 => pack_s24::<S>(self.samples, self.to),
            TakeFormat::F32 => {
                for (out, bits) in self.to.as_chunks_mut().0.iter_mut().zip(self.samples) {
                    *out = S::from_bits(*bits).float().to_le_bytes();
                }
            }
        }
    }
}

/// Eight samples become three words; the last seven and fewer are written one by one.
#[inline(always)]
fn pack_s24<S: Sample>(samples: &[u32], to: &mut [u8]) {
    let (groups, rest) = samples.as_chunks::<8>();
    let whole = groups.len().min(to.len() / 24) * 24;
    let (words, bytes) = to.split_at_mut(whole);
    for (out, group) in words.as_chunks_mut::<24>().0.iter_mut().zip(groups) {
        let mut low = [0_u64; 8];
        for (low, bits) in low.iter_mut().zip(group) {
            *low = u64::from(S::from_bits(*bits).s24() as u32 & 0x00FF_FFFF);
        }
        let [a, b, c, d, e, f, g, h] = low;
        let words = [a | b << 24 | c << 48, c >> 16 | d << 8 | e << 32 | f << 56, f >> 8 | g << 16 | h << 40];
        for (out, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *out = word.to_le_bytes();
        }
    }
    let left = samples.get(whole / 3..).unwrap_or(rest);
    for (out, bits) in bytes.as_chunks_mut::<3>().0.iter_mut().zip(left) {
        let [a, b, c, _] = S::from_bits(*bits).s24().to_le_bytes();
        *out = [a, b, c];
    }
}
