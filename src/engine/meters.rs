//! Levels of the device's inputs: peak and mean square, every input in every period. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::convert::{self, PeakAndPower};
use crate::device::Input;
use crate::message::published::MeterCell;
use crate::time::SampleRate;

/// What one period's inputs measured. An input that is recorded is measured by the loop that copies it;
/// the others are read for their level alone.
pub struct InputMeters {
    inputs: Box<[PeakAndPower]>,
    weight: f32,
}

/// Seconds over which the mean square is taken.
const MEAN_SECONDS: f32 = 0.3;

/// One step of a one-pole over [`MEAN_SECONDS`].
pub fn smoothed_mean_square(before: f32, measured: PeakAndPower, weight: f32) -> f32 {
    if measured.frames == 0 {
        return before;
    }
    let frames = measured.frames as f32;
    let share = (weight * frames).min(1.0);
    let mean_square = before + (measured.square_sum / frames - before) * share;
    // Far below any converter's noise: keeps the decay out of denormal numbers.
    if mean_square.is_finite() && mean_square > 1e-15 { mean_square } else { 0.0 }
}

impl InputMeters {
    /// For `inputs` channels. Not realtime-safe.
    #[expect(clippy::disallowed_methods, reason = "made before the audio thread runs")]
    pub fn new(inputs: usize, rate: SampleRate) -> InputMeters {
        InputMeters {
            inputs: std::iter::repeat_n(PeakAndPower::default(), inputs).collect(),
            weight: 1.0 / (MEAN_SECONDS * rate.0.max(1) as f32),
        }
    }

    /// A period begins.
    pub fn begin(&mut self) {
        self.inputs.fill(PeakAndPower::default());
    }

    /// Adds what the loop that copied channel `channel` has measured.
    pub fn add(&mut self, channel: usize, measured: PeakAndPower) {
        if let Some(sum) = self.inputs.get_mut(channel) {
            // A channel that two takes share is counted once per frame all the same: mean over frames.
            *sum = sum.plus(measured);
        }
    }

    /// The period is over: measures what nobody copied, and publishes all.
    pub fn end(&mut self, input: &Input<'_>, cells: &[MeterCell]) {
        for (channel, (measured, cell)) in self.inputs.iter_mut().zip(cells).enumerate() {
            if channel < input.channels && (measured.frames as usize) < input.frames {
                *measured = convert::measure(input, channel);
            }
            cell.publish(measured.peak, smoothed_mean_square(cell.mean_square(), *measured, self.weight));
        }
    }
}
