//! Meters of the device's inputs: peak and mean square of every input in every period. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::convert::tile::{self, SampleLoop, tile_from};
use super::convert::{self, PeakAndPower};
use crate::device::Input;
use crate::message::published::MeterCell;
use crate::time::SampleRate;

/// Peak and power of every input in the current period. The loop that records an input also measures it; inputs that
/// are not recorded are read once more.
pub struct InputMeters {
    inputs: Box<[PeakAndPower]>,
    weight: f32,
}

/// Time constant of the mean square, in seconds.
const MEAN_SECONDS: f32 = 0.3;

/// The weight of one frame in the mean square at `rate`. This is realtime-safe.
pub fn frame_weight(rate: SampleRate) -> f32 {
    1.0 / (MEAN_SECONDS * rate.0.max(1) as f32)
}

/// The next mean square of a meter: a one-pole low pass with `weight` per frame, from `before` and the new measurement.
/// This is realtime-safe.
pub fn smoothed_mean_square(before: f32, measured: PeakAndPower, weight: f32) -> f32 {
    if measured.frames == 0 {
        return before;
    }
    let frames = measured.frames as f32;
    let share = (weight * frames).min(1.0);
    let mean_square = before + (measured.square_sum / frames - before) * share;
    // 1e-15 is far below the noise of any converter. Zero below it keeps the decay out of slow denormal numbers.
    if mean_square.is_finite() && mean_square > 1e-15 { mean_square } else { 0.0 }
}

impl InputMeters {
    /// Meters for `inputs` channels at `rate`. This is not realtime-safe: it allocates.
    #[expect(clippy::disallowed_methods, reason = "made before the audio thread runs")]
    pub fn new(inputs: usize, rate: SampleRate) -> InputMeters {
        InputMeters {
            inputs: std::iter::repeat_n(PeakAndPower::default(), inputs).collect(),
            weight: frame_weight(rate),
        }
    }

    /// Begins a period: forgets the previous one. This is realtime-safe.
    pub fn begin(&mut self) {
        self.inputs.fill(PeakAndPower::default());
    }

    /// Adds the measurement of device channel `channel`; channels that the device lacks are ignored. This is
    /// realtime-safe.
    pub fn add(&mut self, channel: usize, measured: PeakAndPower) {
        if let Some(sum) = self.inputs.get_mut(channel) {
            // Two takes may record one channel. The mean is right all the same: frames are summed as well as squares.
            *sum = sum.plus(measured);
        }
    }

    /// Ends a period: measures the inputs that no take recorded in full, and publishes all. This is realtime-safe.
    pub fn end(&mut self, sample_loop: SampleLoop, input: &Input<'_>, cells: &[MeterCell]) {
        self.measure_rest(sample_loop, input);
        for (measured, cell) in self.inputs.iter().zip(cells) {
            cell.publish(measured.peak, smoothed_mean_square(cell.mean_square(), *measured, self.weight));
        }
    }

    fn measure_rest(&mut self, sample_loop: SampleLoop, input: &Input<'_>) {
        let is_short = |measured: &PeakAndPower| (measured.frames as usize) < input.frames;
        let channels = input.channels.min(self.inputs.len());
        let Some(instructions) = sample_loop.tiles_of(input) else {
            for (channel, measured) in self.inputs[..channels].iter_mut().enumerate() {
                if is_short(measured) {
                    *measured = convert::measure(input, channel);
                }
            }
            return;
        };
        let mut first = 0;
        while first < channels {
            let tile = tile_from(first, channels);
            first = tile.end;
            let inputs = &mut self.inputs[tile.clone()];
            if inputs.iter().any(is_short) {
                tile::measure(instructions, input, tile.start, inputs, is_short);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests run on a thread of their own")]
mod tests {
    use super::*;

    /// The meters of tracks and buses had the weight for 48 kHz at every rate.
    #[test]
    fn a_meter_rises_in_the_same_time_at_every_rate() {
        for rate in [44_100, 48_000, 96_000, 192_000] {
            let mut mean_square = 0.0;
            // 300 ms of full scale in periods of 1 ms.
            for _ in 0..300 {
                let frames = rate / 1000;
                let measured = PeakAndPower { peak: 1.0, square_sum: frames as f32, frames };
                mean_square = smoothed_mean_square(mean_square, measured, frame_weight(SampleRate(rate)));
            }
            assert!((0.62..0.65).contains(&mean_square), "{rate} Hz: {mean_square}");
        }
    }
}
