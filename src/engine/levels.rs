//! Levels of the device's inputs: peak and mean square, every input in every period. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::convert::{self, Level};
use crate::device::Input;
use crate::message::published::MeterCell;
use crate::time::SampleRate;

/// What one period's inputs measured. An input that is recorded is measured by the loop that copies it;
/// the others are read for their level alone.
pub struct InputLevels {
    levels: Box<[Level]>,
    weight: f32,
}

/// Seconds over which the mean square is taken.
const MEAN_SECONDS: f32 = 0.3;

/// One step of a one-pole over [`MEAN_SECONDS`].
pub fn mean(before: f32, level: Level, weight: f32) -> f32 {
    if level.frames == 0 {
        return before;
    }
    let frames = level.frames as f32;
    let share = (weight * frames).min(1.0);
    let mean = before + (level.square_sum / frames - before) * share;
    // Far below any converter's noise: keeps the decay out of denormal numbers.
    if mean.is_finite() && mean > 1e-15 { mean } else { 0.0 }
}

impl InputLevels {
    /// For `inputs` channels. Not realtime-safe.
    #[expect(clippy::disallowed_methods, reason = "made before the audio thread runs")]
    pub fn new(inputs: usize, rate: SampleRate) -> InputLevels {
        InputLevels {
            levels: std::iter::repeat_n(Level::default(), inputs).collect(),
            weight: 1.0 / (MEAN_SECONDS * rate.0.max(1) as f32),
        }
    }

    /// A period begins.
    pub fn begin(&mut self) {
        self.levels.fill(Level::default());
    }

    /// Adds what the loop that copied channel `channel` has measured.
    pub fn add(&mut self, channel: usize, level: Level) {
        if let Some(sum) = self.levels.get_mut(channel) {
            // A channel that two takes share is counted once per frame all the same: mean over frames.
            *sum = sum.plus(level);
        }
    }

    /// The period is over: measures what nobody copied, and publishes all.
    pub fn end(&mut self, input: &Input<'_>, cells: &[MeterCell]) {
        for (channel, (level, cell)) in self.levels.iter_mut().zip(cells).enumerate() {
            if channel < input.channels && (level.frames as usize) < input.frames {
                *level = convert::measure(input, channel);
            }
            cell.publish(level.peak, mean(cell.mean_square(), *level, self.weight));
        }
    }
}
