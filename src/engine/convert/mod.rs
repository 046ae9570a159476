//! The sample loops: device memory to take, device memory to float, take to float, float to device. Thread:
//! audio.
//!
//! Interleaved device memory comes into the takes in tiles of 16 channels ([`tile`]); planar memory, and a stereo take
//! whose channels lie in two tiles, channel by channel ([`record`]).
//!
//! Full scale is 1.0 in float and 2^31 in the integers that all integer formats are widened to. A conversion to a
//! format with enough bits is exact (24 bits and less to float and back). A conversion to fewer bits rounds to the
//! nearest value and clamps. Denormals and NaN are stored unchanged in float takes; NaN is measured as an over.
#![forbid(unsafe_code)]
#![expect(clippy::inline_always, reason = "a sample loop that calls per sample is three times as slow")]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod tile;

use crate::device::{Input, Output};
use crate::format::{DeviceFormat, TakeFormat};
use std::marker::PhantomData;

/// Peak and power of some samples of one channel. Full scale is 1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeakAndPower {
    /// Largest absolute value.
    pub peak: f32,
    /// Sum of the squares.
    pub square_sum: f32,
    /// Number of samples.
    pub frames: u32,
}

impl PeakAndPower {
    /// The measurement of the samples of both. This is realtime-safe.
    #[must_use]
    pub fn plus(self, other: PeakAndPower) -> PeakAndPower {
        PeakAndPower {
            peak: self.peak.max(other.peak),
            square_sum: self.square_sum + other.square_sum,
            frames: self.frames + other.frames,
        }
    }
}

/// The peak that a meter shows for a sample that is not a number, infinite or absurdly large: an over of 12 dB.
pub const OVER_PEAK: f32 = 4.0;

const FULL: f32 = 2_147_483_648.0;

/// A sample between two formats: `i32` or `f32`. Integers stay integers until a float is needed.
trait Sample: Copy {
    fn float(self) -> f32;
    fn s16(self) -> i16;
    fn s24(self) -> i32;
    fn to_bits(self) -> u32;
    fn from_bits(bits: u32) -> Self;
}

impl Sample for i32 {
    #[inline(always)]
    fn float(self) -> f32 {
        self as f32 * (1.0 / FULL)
    }
    #[inline(always)]
    fn s16(self) -> i16 {
        // `saturating_add(1 << 15) >> 16`. Plain x86-64 has no vector instruction for that addition.
        ((self >> 16) + (self >> 15 & 1)).min(32_767) as i16
    }
    #[inline(always)]
    fn s24(self) -> i32 {
        ((self >> 8) + (self >> 7 & 1)).min(8_388_607)
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        self.cast_unsigned()
    }
    #[inline(always)]
    fn from_bits(bits: u32) -> i32 {
        bits.cast_signed()
    }
}

/// Nearest integer, ties away from zero, clamped; 0 for NaN.
#[inline(always)]
fn nearest(value: f32, min: i32, max: i32) -> i32 {
    // `as` truncates and saturates; `f32::round` is a library call on plain x86-64.
    ((value + 0.5_f32.copysign(value)) as i32).clamp(min, max)
}

impl Sample for f32 {
    #[inline(always)]
    fn float(self) -> f32 {
        self
    }
    #[inline(always)]
    fn s16(self) -> i16 {
        nearest(self * 32_768.0, -32_768, 32_767) as i16
    }
    #[inline(always)]
    fn s24(self) -> i32 {
        nearest(self * 8_388_608.0, -8_388_608, 8_388_607)
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        self.to_bits()
    }
    #[inline(always)]
    fn from_bits(bits: u32) -> f32 {
        f32::from_bits(bits)
    }
}

/// How one sample is read from `N` bytes.
trait ReadSample<const N: usize> {
    type Sample: Sample;
    const ZERO: Self::Sample;
    fn read(bytes: [u8; N]) -> Self::Sample;
}

/// How one sample is written to `N` bytes.
trait WriteSample<const N: usize> {
    fn write<S: Sample>(sample: S) -> [u8; N];
}

struct S16;
struct S24;
struct S24In3;
struct S32;
struct F32;

impl ReadSample<2> for S16 {
    type Sample = i32;
    const ZERO: i32 = 0;
    #[inline(always)]
    fn read(b: [u8; 2]) -> i32 {
        i32::from(i16::from_le_bytes(b)) << 16
    }
}

impl ReadSample<4> for S24 {
    type Sample = i32;
    const ZERO: i32 = 0;
    #[inline(always)]
    fn read(b: [u8; 4]) -> i32 {
        i32::from_le_bytes(b) << 8
    }
}

impl ReadSample<3> for S24In3 {
    type Sample = i32;
    const ZERO: i32 = 0;
    #[inline(always)]
    fn read(b: [u8; 3]) -> i32 {
        i32::from_le_bytes([0, b[0], b[1], b[2]])
    }
}

impl ReadSample<4> for S32 {
    type Sample = i32;
    const ZERO: i32 = 0;
    #[inline(always)]
    fn read(b: [u8; 4]) -> i32 {
        i32::from_le_bytes(b)
    }
}

impl ReadSample<4> for F32 {
    type Sample = f32;
    const ZERO: f32 = 0.0;
    #[inline(always)]
    fn read(b: [u8; 4]) -> f32 {
        f32::from_le_bytes(b)
    }
}

impl WriteSample<2> for S16 {
    #[inline(always)]
    fn write<S: Sample>(sample: S) -> [u8; 2] {
        sample.s16().to_le_bytes()
    }
}

impl WriteSample<3> for S24In3 {
    #[inline(always)]
    fn write<S: Sample>(sample: S) -> [u8; 3] {
        let [a, b, c, _] = sample.s24().to_le_bytes();
        [a, b, c]
    }
}

impl WriteSample<4> for S24 {
    #[inline(always)]
    fn write<S: Sample>(sample: S) -> [u8; 4] {
        sample.s24().to_le_bytes()
    }
}

impl WriteSample<4> for S32 {
    #[inline(always)]
    fn write<S: Sample>(sample: S) -> [u8; 4] {
        // From a float: 2^31 - 128 is the largest below full scale; `as` saturates.
        ((sample.float() * FULL) as i32).to_le_bytes()
    }
}

impl WriteSample<4> for F32 {
    #[inline(always)]
    fn write<S: Sample>(sample: S) -> [u8; 4] {
        sample.float().to_le_bytes()
    }
}

/// A channel of a take's interleaved memory.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// Channel of the take, counted from 0.
    pub channel: usize,
    /// Channels of the take.
    pub channels: usize,
}

/// Frames that a sample loop handles as one group: read one by one with their stride, then measured and written with
/// vector instructions.
const GROUP_FRAMES: usize = 8;

/// [`GROUP_FRAMES`] measurements side by side, so that the compiler can use vector instructions.
struct Accumulators {
    peak: [f32; GROUP_FRAMES],
    square_sum: [f32; GROUP_FRAMES],
}

impl Accumulators {
    const NONE: Accumulators = Accumulators { peak: [0.0; GROUP_FRAMES], square_sum: [0.0; GROUP_FRAMES] };

    #[inline(always)]
    fn add_group(&mut self, values: &[f32; GROUP_FRAMES]) {
        for ((peak, sum), value) in self.peak.iter_mut().zip(&mut self.square_sum).zip(values) {
            let size = value.abs();
            *peak = if *peak < size { size } else { *peak };
            *sum += value * value;
        }
    }

    #[inline(always)]
    fn add_one(&mut self, value: f32) {
        let size = value.abs();
        self.peak[0] = if self.peak[0] < size { size } else { self.peak[0] };
        self.square_sum[0] += value * value;
    }

    #[inline(always)]
    fn total(&self, frames: usize) -> PeakAndPower {
        let peak = self.peak.iter().fold(0.0, |max, peak| if max < *peak { *peak } else { max });
        let square_sum: f32 = self.square_sum.iter().sum();
        let (peak, square_sum) = if square_sum.is_finite() { (peak, square_sum) } else { (OVER_PEAK, 0.0) };
        PeakAndPower { peak, square_sum, frames: frames as u32 }
    }
}

/// Receives the samples that a loop reads. A trait and not a closure, so that it is inlined into the loop and a group
/// stays in registers.
trait Sink<S: Sample> {
    /// A whole group; its first sample is sample `at` of the loop.
    fn group(&mut self, at: usize, samples: [S; GROUP_FRAMES]);
    /// A single sample, sample `at` of the loop.
    fn one(&mut self, at: usize, sample: S);
}

/// Reads at most `frames` samples that are `step` bytes apart, and passes them to `sink`. Returns how many were read.
#[inline(always)]
fn read_all<const N: usize, R: ReadSample<N>>(
    from: &[u8],
    step: usize,
    frames: usize,
    sink: &mut impl Sink<R::Sample>,
) -> usize {
    let mut at = 0;
    for group in from.chunks_exact(step * GROUP_FRAMES).take(frames / GROUP_FRAMES) {
        let read = |lane: usize| group[lane * step..].first_chunk::<N>().map_or(R::ZERO, |bytes| R::read(*bytes));
        sink.group(at, [read(0), read(1), read(2), read(3), read(4), read(5), read(6), read(7)]);
        at += GROUP_FRAMES;
    }
    while at < frames
        && let Some(bytes) = from.get(at * step..).and_then(|rest| rest.first_chunk::<N>())
    {
        sink.one(at, R::read(*bytes));
        at += 1;
    }
    at
}

/// Measures the samples and writes them to one channel of a take.
struct RecordSink<'a, const M: usize, W> {
    measured: Accumulators,
    out: &'a mut [[u8; M]],
    lane: Lane,
    write: PhantomData<W>,
}

impl<const M: usize, W: WriteSample<M>, S: Sample> Sink<S> for RecordSink<'_, M, W> {
    #[inline(always)]
    fn group(&mut self, at: usize, samples: [S; GROUP_FRAMES]) {
        self.measured.add_group(&samples.map(Sample::float));
        if self.lane.channels == 1 {
            for (out, sample) in self.out[at..at + GROUP_FRAMES].iter_mut().zip(samples) {
                *out = W::write(sample);
            }
        } else {
            let from = at * self.lane.channels + self.lane.channel;
            for (out, sample) in self.out[from..].iter_mut().step_by(self.lane.channels).zip(samples) {
                *out = W::write(sample);
            }
        }
    }

    #[inline(always)]
    fn one(&mut self, at: usize, sample: S) {
        self.measured.add_one(sample.float());
        self.out[at * self.lane.channels + self.lane.channel] = W::write(sample);
    }
}

/// Measures the samples.
struct MeasureSink(Accumulators);

impl<S: Sample> Sink<S> for MeasureSink {
    #[inline(always)]
    fn group(&mut self, _: usize, samples: [S; GROUP_FRAMES]) {
        self.0.add_group(&samples.map(Sample::float));
    }

    #[inline(always)]
    fn one(&mut self, _: usize, sample: S) {
        self.0.add_one(sample.float());
    }
}

/// Stores the samples as floats.
struct FloatSink<'a>(&'a mut [f32]);

impl<S: Sample> Sink<S> for FloatSink<'_> {
    #[inline(always)]
    fn group(&mut self, at: usize, samples: [S; GROUP_FRAMES]) {
        self.0[at..at + GROUP_FRAMES].copy_from_slice(&samples.map(Sample::float));
    }

    #[inline(always)]
    fn one(&mut self, at: usize, sample: S) {
        self.0[at] = sample.float();
    }
}

#[inline(always)]
fn copy<const N: usize, const M: usize, R: ReadSample<N>, W: WriteSample<M>>(
    from: &[u8],
    step: usize,
    to: &mut [u8],
    lane: Lane,
) -> PeakAndPower {
    let (out, _) = to.as_chunks_mut::<M>();
    let frames_max = out.len() / lane.channels;
    let mut record = RecordSink::<M, W> { measured: Accumulators::NONE, out, lane, write: PhantomData };
    let frames = read_all::<N, R>(from, step, frames_max, &mut record);
    record.measured.total(frames)
}

#[inline(always)]
fn copy_as<const N: usize, R: ReadSample<N>>(
    from: &[u8],
    step: usize,
    format: TakeFormat,
    to: &mut [u8],
    lane: Lane,
) -> PeakAndPower {
    match format {
        TakeFormat::S16 => copy::<N, 2, R, S16>(from, step, to, lane),
        TakeFormat::S24 => copy::<N, 3, R, S24In3>(from, step, to, lane),
        TakeFormat::F32 => copy::<N, 4, R, F32>(from, step, to, lane),
    }
}

/// Copies device channel `channel` of `input`, from frame `from` on, to channel `lane` of the take's memory `to`: as
/// many frames as `to` holds. Converts and measures in the same loop. A channel that the device lacks leaves `to`
/// unchanged. This is realtime-safe.
pub fn record(
    input: &Input<'_>,
    from: usize,
    channel: usize,
    format: TakeFormat,
    to: &mut [u8],
    lane: Lane,
) -> PeakAndPower {
    let start = channel * input.channel_step + from * input.frame_step;
    if channel >= input.channels || input.bytes.len() <= start {
        return PeakAndPower::default();
    }
    let (bytes, step) = (&input.bytes[start..], input.frame_step);
    match input.format {
        DeviceFormat::S16 => copy_as::<2, S16>(bytes, step, format, to, lane),
        DeviceFormat::S24 => copy_as::<4, S24>(bytes, step, format, to, lane),
        DeviceFormat::S24In3 => copy_as::<3, S24In3>(bytes, step, format, to, lane),
        DeviceFormat::S32 => copy_as::<4, S32>(bytes, step, format, to, lane),
        DeviceFormat::F32 => copy_as::<4, F32>(bytes, step, format, to, lane),
    }
}

#[inline(always)]
fn read_channel<T: Sink<i32> + Sink<f32>>(
    input: &Input<'_>,
    from: usize,
    channel: usize,
    frames: usize,
    sink: &mut T,
) -> usize {
    let start = channel * input.channel_step + from * input.frame_step;
    if channel >= input.channels || input.bytes.len() <= start {
        return 0;
    }
    let (bytes, step) = (&input.bytes[start..], input.frame_step);
    match input.format {
        DeviceFormat::S16 => read_all::<2, S16>(bytes, step, frames, sink),
        DeviceFormat::S24 => read_all::<4, S24>(bytes, step, frames, sink),
        DeviceFormat::S24In3 => read_all::<3, S24In3>(bytes, step, frames, sink),
        DeviceFormat::S32 => read_all::<4, S32>(bytes, step, frames, sink),
        DeviceFormat::F32 => read_all::<4, F32>(bytes, step, frames, sink),
    }
}

/// Peak and power of device channel `channel` over all of `input`. This is realtime-safe.
pub fn measure(input: &Input<'_>, channel: usize) -> PeakAndPower {
    let mut measure = MeasureSink(Accumulators::NONE);
    let frames = read_channel(input, 0, channel, input.frames, &mut measure);
    measure.0.total(frames)
}

/// Fills `to` with device channel `channel` of `input`, from frame `from` on, as floats. Frames that the input lacks
/// are silence. This is realtime-safe.
pub fn read_input(input: &Input<'_>, from: usize, channel: usize, to: &mut [f32]) {
    let frames = to.len();
    let read = read_channel(input, from, channel, frames, &mut FloatSink(to));
    to[read..].fill(0.0);
}

/// Fills `to` with channel `lane` of a take as floats. `bytes` are whole frames of the take. Where `bytes` is shorter,
/// the rest of `to` is left unchanged. This is realtime-safe.
pub fn decode(bytes: &[u8], format: TakeFormat, lane: Lane, to: &mut [f32]) {
    let step = format.bytes() * lane.channels;
    let bytes = bytes.get(lane.channel * format.bytes()..).unwrap_or(&[]);
    let (frames, mut floats) = (to.len(), FloatSink(to));
    match format {
        TakeFormat::S16 => read_all::<2, S16>(bytes, step, frames, &mut floats),
        TakeFormat::S24 => read_all::<3, S24In3>(bytes, step, frames, &mut floats),
        TakeFormat::F32 => read_all::<4, F32>(bytes, step, frames, &mut floats),
    };
}

#[inline(always)]
fn write_strided<const M: usize, W: WriteSample<M>>(from: &[f32], to: &mut [u8], step: usize) {
    for (value, frame) in from.iter().zip(to.chunks_mut(step)) {
        if let Some(out) = frame.first_chunk_mut::<M>() {
            *out = W::write(*value);
        }
    }
}

/// Writes `from` to channel `channel` of the output, from frame `at` on. This is realtime-safe.
pub fn play_out(from: &[f32], output: &mut Output<'_>, at: usize, channel: usize) {
    let start = channel * output.channel_step + at * output.frame_step;
    let (step, format) = (output.frame_step, output.format);
    let Some(to) = output.bytes.get_mut(start..).filter(|_| channel < output.channels) else { return };
    match format {
        DeviceFormat::S16 => write_strided::<2, S16>(from, to, step),
        DeviceFormat::S24 => write_strided::<4, S24>(from, to, step),
        DeviceFormat::S24In3 => write_strided::<3, S24In3>(from, to, step),
        DeviceFormat::S32 => write_strided::<4, S32>(from, to, step),
        DeviceFormat::F32 => write_strided::<4, F32>(from, to, step),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run on a thread of their own")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MONO: Lane = Lane { channel: 0, channels: 1 };
    const DEVICES: [DeviceFormat; 5] =
        [DeviceFormat::S16, DeviceFormat::S24, DeviceFormat::S24In3, DeviceFormat::S32, DeviceFormat::F32];

    /// 24-bit integers in the memory layout of a device of `format`.
    fn device_bytes(format: DeviceFormat, values: &[i32]) -> Vec<u8> {
        let lay = |v: &i32| match format {
            DeviceFormat::S16 => ((v >> 8) as i16).to_le_bytes().to_vec(),
            DeviceFormat::S24 => (v & 0x00FF_FFFF).to_le_bytes().to_vec(),
            DeviceFormat::S24In3 => v.to_le_bytes()[..3].to_vec(),
            DeviceFormat::S32 => (v << 8).to_le_bytes().to_vec(),
            DeviceFormat::F32 => (*v as f32 / 8_388_608.0).to_le_bytes().to_vec(),
        };
        values.iter().flat_map(lay).collect()
    }

    fn s24(bytes: &[u8]) -> Vec<i32> {
        bytes.chunks(3).map(|b| i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8).collect()
    }

    proptest! {
        #[test]
        fn twenty_four_bits_pass_every_device_and_take_format_unchanged(
            values in prop::collection::vec(-8_388_608..=8_388_607_i32, 1..50),
        ) {
            for device in DEVICES {
                let values: Vec<i32> = match device {
                    DeviceFormat::S16 => values.iter().map(|v| v & !0xFF).collect(),
                    _ => values.clone(),
                };
                let bytes = device_bytes(device, &values);
                let input = Input::interleaved(&bytes, device, 1);
                let mut out = vec![0; values.len() * 3];
                record(&input, 0, 0, TakeFormat::S24, &mut out, MONO);
                prop_assert_eq!(&s24(&out), &values);
                let mut out = vec![0; values.len() * 4];
                let measured = record(&input, 0, 0, TakeFormat::F32, &mut out, MONO);
                let mut floats = vec![0.0; values.len()];
                decode(&out, TakeFormat::F32, MONO, &mut floats);
                let back: Vec<i32> = floats.iter().map(|f| (f * 8_388_608.0) as i32).collect();
                prop_assert_eq!(&back, &values);
                prop_assert_eq!(measured.peak, floats.iter().fold(0.0, |a: f32, f| a.max(f.abs())));
                prop_assert_eq!(measured, measure(&input, 0));
            }
        }

        #[test]
        fn samples_of_a_take_are_played_unchanged(
            values in prop::collection::vec(-8_388_608..=8_388_607_i32, 1..50),
        ) {
            let bytes = device_bytes(DeviceFormat::S24In3, &values);
            let mut floats = vec![0.0; values.len()];
            decode(&bytes, TakeFormat::S24, MONO, &mut floats);
            for device in DEVICES.into_iter().filter(|d| *d != DeviceFormat::S16) {
                let mut out = vec![0xAA; values.len() * device.bytes()];
                play_out(&floats, &mut Output::interleaved(&mut out, device, 1), 0, 0);
                let input = Input::interleaved(&out, device, 1);
                let mut back = vec![0; values.len() * 3];
                record(&input, 0, 0, TakeFormat::S24, &mut back, MONO);
                prop_assert_eq!(&s24(&back), &values);
            }
        }

        #[test]
        fn any_float_is_stored_clamped_and_never_wraps(value in any::<f32>()) {
            let bytes = value.to_le_bytes();
            let input = Input::interleaved(&bytes, DeviceFormat::F32, 1);
            let mut out = [0; 3];
            let measured = record(&input, 0, 0, TakeFormat::S24, &mut out, MONO);
            let stored = s24(&out)[0];
            if value >= 1.0 { prop_assert_eq!(stored, 8_388_607) }
            if value <= -1.0 { prop_assert_eq!(stored, -8_388_608) }
            if value.is_nan() { prop_assert_eq!(stored, 0) }
            prop_assert!(measured.square_sum.is_finite());
        }
    }

    #[test]
    fn each_channel_of_planar_and_interleaved_memory_reaches_its_own_lane() {
        let values: Vec<i32> = (0..12).map(|v| v * 1000).collect();
        let bytes = device_bytes(DeviceFormat::S32, &values);
        let interleaved = Input::interleaved(&bytes, DeviceFormat::S32, 3);
        let planar = Input { frame_step: 4, channel_step: 16, ..interleaved };
        for (input, want) in [(interleaved, [2, 5, 8, 11]), (planar, [8, 9, 10, 11])] {
            let mut out = vec![0; 4 * 6];
            record(&input, 0, 2, TakeFormat::S24, &mut out, Lane { channel: 1, channels: 2 });
            let right: Vec<i32> = s24(&out).chunks(2).map(|f| f[1] / 1000).collect();
            assert_eq!(right, want);
            assert!(s24(&out).chunks(2).all(|f| f[0] == 0), "the other lane is untouched");
        }
    }

    #[test]
    fn integers_round_as_if_half_a_step_were_added_without_overflow() {
        let edges = [i32::MIN, i32::MAX, 0, 1 << 15, 1 << 7, -(1 << 15), -(1 << 7), i32::MAX << 7, i32::MAX << 15];
        let near = edges.into_iter().flat_map(|edge| (-300..300).map(move |by| edge.wrapping_add(by)));
        for value in near.chain((i32::MIN..i32::MAX - 10_007).step_by(10_007)) {
            assert_eq!(Sample::s24(value), value.saturating_add(1 << 7) >> 8, "{value}");
            assert_eq!(i32::from(Sample::s16(value)), value.saturating_add(1 << 15) >> 16, "{value}");
        }
    }

    #[test]
    fn thirty_two_bits_round_to_the_nearest_of_fewer() {
        let bytes: Vec<u8> = [0x17F, 0x180, -0x180, i32::MAX].iter().flat_map(|v: &i32| v.to_le_bytes()).collect();
        let mut out = [0; 12];
        record(&Input::interleaved(&bytes, DeviceFormat::S32, 1), 0, 0, TakeFormat::S24, &mut out, MONO);
        assert_eq!(s24(&out), [1, 2, -1, 8_388_607]);
    }

    #[test]
    fn an_input_that_the_device_does_not_have_is_left_alone() {
        let mut out = [7; 6];
        let measured = record(&Input::none(2), 0, 0, TakeFormat::S24, &mut out, MONO);
        assert_eq!((measured, out), (PeakAndPower::default(), [7; 6]));
    }
}
