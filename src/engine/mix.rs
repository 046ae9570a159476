//! The mix: adds tracks to the two buses with gain ramps, and writes the buses to the outputs. Thread: audio; the
//! export uses [`Buses`] too, so that a mixdown sounds like playback.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::convert::{self, OVER_PEAK, PeakAndPower};
use super::transport::Ramp;
use crate::device::Output;
use crate::format::TakeFormat;
use crate::limits::{BLOCK_FRAMES_MAX, DECLICK_FRAMES};
use crate::message::published::MeterCell;
use crate::mixer::PanGains;
use crate::window::playback::Edges;

/// Channels of the mix: 0 is left, 1 is right.
pub const BUS_COUNT: usize = 2;

/// Some frames of a take, as they lie in [`Buses::bytes_mut`].
#[derive(Clone, Copy, Debug)]
pub struct TakeSound {
    /// Format of a sample.
    pub format: TakeFormat,
    /// Channels of the take: 1 or 2.
    pub channels: usize,
    /// The first frame, between the edges of its region.
    pub edges: Edges,
}

/// The left and the right bus for one block of at most [`BLOCK_FRAMES_MAX`] frames, with scratch memory.
pub struct Buses {
    sums: [[f32; BLOCK_FRAMES_MAX]; BUS_COUNT],
    /// A single channel of a track before it is added to the buses.
    scratch: [f32; BLOCK_FRAMES_MAX],
    /// Bytes of a take, copied out of its window.
    bytes: [u8; BLOCK_FRAMES_MAX * 8],
}

impl Default for Buses {
    fn default() -> Self {
        Buses {
            sums: [[0.0; BLOCK_FRAMES_MAX]; BUS_COUNT],
            scratch: [0.0; BLOCK_FRAMES_MAX],
            bytes: [0; BLOCK_FRAMES_MAX * 8],
        }
    }
}

impl Buses {
    /// Sets the first `frames` frames of both buses to silence. This is realtime-safe.
    pub fn clear(&mut self, frames: usize) {
        for sum in &mut self.sums {
            sum[..frames].fill(0.0);
        }
    }

    /// Scratch memory for `bytes` bytes of a take, which [`Buses::add_bytes`] decodes. This is realtime-safe.
    pub fn bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
        &mut self.bytes[..bytes]
    }

    /// Decodes `frames` frames of `sound` from [`Buses::bytes_mut`] and adds them to the buses from frame `at` on. The
    /// gains `now` move one step a frame towards `to`, so that a moved fader does not click. Returns peak and power
    /// after gain. This is realtime-safe.
    pub fn add_bytes(
        &mut self,
        sound: TakeSound,
        at: usize,
        frames: usize,
        now: &mut PanGains,
        to: &PanGains,
    ) -> PeakAndPower {
        let TakeSound { format, channels, edges } = sound;
        let mut measured = PeakAndPower::default();
        let bytes = frames * channels * format.bytes();
        for channel in 0..channels {
            let lane = convert::Lane { channel, channels };
            convert::decode(&self.bytes[..bytes], format, lane, &mut self.scratch[..frames]);
            edges.fade(&mut self.scratch[..frames]);
            measured = measured.plus(self.add_lane(at, frames, &mut now[channel], to[channel]));
        }
        measured
    }

    /// Lets `fill` write `frames` samples of one channel, and adds them with gains that move from `now` to `to`.
    /// Returns peak and power after gain. This is realtime-safe. `fill` must be so too.
    pub fn add_with(
        &mut self,
        frames: usize,
        now: &mut [f32; 2],
        to: [f32; 2],
        fill: impl FnOnce(&mut [f32]),
    ) -> PeakAndPower {
        fill(&mut self.scratch[..frames]);
        self.add_lane(0, frames, now, to)
    }

    fn add_lane(&mut self, at: usize, frames: usize, now: &mut [f32; 2], to: [f32; 2]) -> PeakAndPower {
        let mut measured = PeakAndPower { frames: frames as u32, ..PeakAndPower::default() };
        let all_sound = keep_audible(&mut self.scratch[..frames]);
        let scratch = &self.scratch[..frames];
        for (sum, (now, to)) in self.sums.iter_mut().zip(now.iter_mut().zip(&to)) {
            if *now == 0.0 && *to == 0.0 {
                continue;
            }
            let mut bus = PeakAndPower { peak: if all_sound { 0.0 } else { OVER_PEAK }, ..PeakAndPower::default() };
            for (out, value) in sum[at..at + frames].iter_mut().zip(scratch) {
                let given = value * *now;
                *out += given;
                bus.peak = bus.peak.max(given.abs());
                bus.square_sum += given * given;
                *now = step_towards(*now, *to);
            }
            measured.peak = measured.peak.max(bus.peak);
            measured.square_sum += bus.square_sum;
        }
        measured
    }

    /// Multiplies both buses by `ramp`: fades them in or out. This is realtime-safe.
    pub fn declick(&mut self, ramp: Ramp, frames: usize) {
        if ramp.step == 0.0 && ramp.gain == 1.0 {
            return;
        }
        for sum in &mut self.sums {
            let mut gain = ramp.gain;
            for value in &mut sum[..frames] {
                *value *= gain;
                gain = (gain + ramp.step).clamp(0.0, 1.0);
            }
        }
    }

    /// Publishes peak and mean square of both buses; `weight` is the weight of a frame. This is realtime-safe.
    pub fn publish(&self, frames: usize, cells: &[MeterCell; BUS_COUNT], weight: f32) {
        for (sum, cell) in self.sums.iter().zip(cells) {
            let (mut peak, mut square_sum) = (0.0_f32, 0.0);
            for value in &sum[..frames] {
                peak = peak.max(value.abs());
                square_sum += value * value;
            }
            let measured = PeakAndPower { peak, square_sum, frames: frames as u32 };
            cell.publish(peak, super::meters::smoothed_mean_square(cell.mean_square(), measured, weight));
        }
    }

    /// The first `frames` samples of bus `bus`. This is realtime-safe.
    pub fn sum(&self, bus: usize, frames: usize) -> &[f32] {
        &self.sums[bus][..frames]
    }

    /// Writes the buses to the device from its frame `at` on: left and right to its first two channels, their sum to a
    /// single channel, silence to all further channels. This is realtime-safe.
    pub fn play_out(&mut self, output: &mut Output<'_>, at: usize, frames: usize) {
        if output.channels == 1 {
            let [left, right] = &mut self.sums;
            for (left, right) in left[..frames].iter_mut().zip(&right[..frames]) {
                *left = (*left + right) * std::f32::consts::FRAC_1_SQRT_2;
            }
        }
        self.scratch[..frames].fill(0.0);
        for channel in 0..output.channels {
            let from = self.sums.get(channel).unwrap_or(&self.scratch);
            convert::play_out(&from[..frames], output, at, channel);
        }
    }
}

/// Smallest and largest absolute value of a sample that the mix adds. Smaller ones are far below any converter, and
/// lead to denormal numbers, which cost the processor a third more time. Larger ones are no sound, and their sum could
/// be infinite.
const AUDIBLE: std::ops::RangeInclusive<f32> = 1e-30..=1e30;

/// Whether a sample is no sound: not a number, infinite, or so large that the mix cannot add it. This is realtime-safe.
pub fn is_no_sound(sample: f32) -> bool {
    // The comparison is false for a NaN.
    let is_sound = sample.abs() <= *AUDIBLE.end();
    !is_sound
}

/// Replaces samples that the mix cannot add by silence. One of them would make the whole mix silent or not a number: a
/// plugin or a sound server can put them into an input or a take, and the take keeps them as they are. Returns whether
/// every sample was a sound.
fn keep_audible(samples: &mut [f32]) -> bool {
    let (least, most) = (*AUDIBLE.start(), *AUDIBLE.end());
    let mut overs = 0_u32;
    for sample in samples {
        let size = sample.abs();
        // Both comparisons are false for a NaN.
        let (large_enough, small_enough) = (least <= size, size <= most);
        overs += u32::from(!small_enough);
        *sample = if large_enough & small_enough { *sample } else { 0.0 };
    }
    overs == 0
}

fn step_towards(now: f32, to: f32) -> f32 {
    const STEP: f32 = 1.0 / DECLICK_FRAMES as f32;
    if now < to { (now + STEP).min(to) } else { (now - STEP).max(to) }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run on a thread of their own")]
mod tests {
    use super::*;
    use crate::mixer::pan_gains;

    #[test]
    fn a_gain_ramp_does_not_depend_on_the_block_size() {
        let whole = ramped(&[512]);
        assert_eq!(whole, ramped(&[64; 8]));
        assert_eq!(whole, ramped(&[1, 300, 211]));
        assert!((whole[511] - 1.0).abs() < f32::EPSILON);
    }

    fn ramped(blocks: &[usize]) -> Vec<f32> {
        let (mut buses, mut now, mut out) = (Buses::default(), [0.0, 0.0], Vec::new());
        for frames in blocks {
            buses.clear(*frames);
            buses.add_with(*frames, &mut now, [1.0, 0.0], |lane| lane.fill(1.0));
            out.extend_from_slice(buses.sum(0, *frames));
        }
        out
    }

    /// One such sample made the sum of all tracks silent or not a number.
    #[test]
    fn a_sample_that_is_no_number_is_silence_in_the_mix_and_an_over_on_its_meter() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-40, -1e-31] {
            let (mut buses, mut now) = (Buses::default(), [1.0, 1.0]);
            buses.clear(4);
            let measured =
                buses.add_with(4, &mut now, [1.0, 1.0], |lane| lane.copy_from_slice(&[0.5, bad, -0.5, 0.25]));
            buses.add_with(4, &mut now, [1.0, 1.0], |lane| lane.fill(0.125));
            assert_eq!(buses.sum(0, 4), [0.625, 0.125, -0.375, 0.375], "{bad}");
            assert!(measured.square_sum.is_finite());
            assert_eq!(1.0 < measured.peak, bad.is_nan() || 1.0 <= bad.abs(), "{bad}: {measured:?}");
        }
    }

    #[test]
    fn bytes_of_a_take_are_added_at_their_frame_and_bus() {
        let (mut buses, mut now) = (Buses::default(), pan_gains(0.0, -1.0, 1));
        let to = now;
        buses.clear(8);
        let sound = TakeSound { format: TakeFormat::S16, channels: 1, edges: Edges::NONE };
        buses.bytes_mut(4).copy_from_slice(&[0, 64, 0, 192]);
        let measured = buses.add_bytes(sound, 3, 2, &mut now, &to);
        assert_eq!(buses.sum(0, 8), [0.0, 0.0, 0.0, 0.5, -0.5, 0.0, 0.0, 0.0]);
        assert_eq!(buses.sum(1, 8), [0.0; 8]);
        assert!((measured.peak - 0.5).abs() < f32::EPSILON);
    }
}
