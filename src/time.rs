//! Frames and positions as two types, because a length must not be mistaken for a position. Thread: any; pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A length in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frames(pub u64);

/// A position on the session's timeline or inside a take, in frames from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FramePos(pub u64);

/// Sample rate in hertz: frames a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleRate(pub u32);

impl Frames {
    /// The time that these frames last at `rate`.
    pub fn duration(self, rate: SampleRate) -> Duration {
        let rate = u64::from(rate.0.max(1));
        Duration::from_secs(self.0 / rate)
            + Duration::from_nanos(
                u64::try_from(u128::from(self.0 % rate) * 1_000_000_000 / u128::from(rate)).unwrap_or(0),
            )
    }

    /// The time that these frames last at `rate` in seconds, for display.
    pub fn seconds(self, rate: SampleRate) -> f64 {
        self.0 as f64 / f64::from(rate.0.max(1))
    }

    /// The time that these frames last, for a sentence: "1.3 ms", "85 ms", "2.5 s", "12 s".
    pub fn text(self, rate: SampleRate) -> String {
        match self.seconds(rate) {
            seconds if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
            seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
            seconds if seconds < 10.0 => format!("{seconds:.1} s"),
            seconds => format!("{seconds:.0} s"),
        }
    }
}

impl FramePos {
    /// The last position there is. As an end it means "never".
    pub const END: FramePos = FramePos(u64::MAX);

    /// Frames from `start` to this position; zero if `start` is later.
    pub fn since(self, start: FramePos) -> Frames {
        Frames(self.0.saturating_sub(start.0))
    }
}

impl SampleRate {
    /// The frames of `time`, rounded to the nearest.
    pub fn frames(self, time: Duration) -> Frames {
        let nanos = time.as_nanos() * u128::from(self.0) + 500_000_000;
        Frames(u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX))
    }
}

impl Add<Frames> for FramePos {
    type Output = FramePos;
    fn add(self, frames: Frames) -> FramePos {
        FramePos(self.0.saturating_add(frames.0))
    }
}

impl AddAssign<Frames> for FramePos {
    fn add_assign(&mut self, frames: Frames) {
        *self = *self + frames;
    }
}

impl Add for Frames {
    type Output = Frames;
    fn add(self, other: Frames) -> Frames {
        Frames(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Frames {
    fn add_assign(&mut self, other: Frames) {
        *self = *self + other;
    }
}

impl Sub for Frames {
    type Output = Frames;
    fn sub(self, other: Frames) -> Frames {
        Frames(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// Shows a duration as `h:mm:ss.mmm`, or as `m:ss.mmm` if it is shorter than an hour.
pub struct Clock(pub Duration);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0.as_secs(), self.0.subsec_millis());
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if h > 0 { write!(f, "{h}:{m:02}:{s:02}.{ms:03}") } else { write!(f, "{m}:{s:02}.{ms:03}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_time_round_trip_at_every_usual_rate() {
        for rate in [8_000, 44_100, 48_000, 96_000, 192_000] {
            let rate = SampleRate(rate);
            for frames in [0, 1, 63, 64, 44_099, 48_000 * 3600, 1 << 40] {
                assert_eq!(rate.frames(Frames(frames).duration(rate)), Frames(frames));
            }
        }
    }

    #[test]
    fn a_length_in_a_sentence_has_a_unit_and_two_digits_or_so() {
        let texts = [64, 480, 4096, 120_000, 600_000].map(|frames| Frames(frames).text(SampleRate(48_000)));
        assert_eq!(texts, ["1.3 ms", "10 ms", "85 ms", "2.5 s", "12 s"]);
    }

    #[test]
    fn a_clock_shows_hours_only_when_there_are_any() {
        assert_eq!(Clock(Duration::from_millis(61_005)).to_string(), "1:01.005");
        assert_eq!(Clock(Duration::from_secs(3_600)).to_string(), "1:00:00.000");
    }
}
