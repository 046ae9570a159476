//! The drift between the clocks of capture and playback. Thread: audio.
//!
//! Two cards never run at exactly the same rate. The buffer of playback slowly fills or runs empty, and then output is
//! dropped or silent for a moment. The difference is measured long before, so that the user can be told.

use super::AlsaDevice;
use super::playback::skew;
use ::alsa::pcm::Frames;

/// The measurement since the last start or restart of either side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    readings: Option<Readings>,
    ppm: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Readings {
    first_ns: u64,
    first: Frames,
    last: Frames,
    /// The largest difference between two readings in a row. Counters that move in periods or in packets of USB stand
    /// still and then jump.
    step: Frames,
}

impl Drift {
    /// Forgets the readings, because a side was restarted or output was dropped. The last result stays.
    pub(super) fn restart(&mut self) {
        self.readings = None;
    }

    /// Parts per million by which capture is faster than playback, once that is certain.
    pub(super) fn ppm(self) -> Option<f64> {
        self.ppm
    }

    /// Adds a reading. A change of two steps and a millisecond may be jitter of the counters. Playback runs dry after a
    /// change of one period, so counters that move in small steps tell the drift before that.
    fn observe(&mut self, at_ns: u64, skew: Frames, rate_hz: u32) {
        let Some(readings) = &mut self.readings else {
            self.readings = Some(Readings { first_ns: at_ns, first: skew, last: skew, step: 0 });
            return;
        };
        readings.step = readings.step.max((skew - readings.last).abs());
        readings.last = skew;
        let (change, passed_ns) = (skew - readings.first, at_ns.saturating_sub(readings.first_ns));
        if 2 * readings.step + Frames::from(rate_hz / 1000) < change.abs() && 0 < passed_ns {
            self.ppm = Some(change as f64 * 1e15 / (passed_ns as f64 * f64::from(rate_hz)));
        }
    }
}

impl AlsaDevice {
    /// Reads how far capture is ahead of playback.
    pub(super) fn measure_drift(&mut self, now_ns: u64) {
        let (Some(capture), Some(playback)) = (&self.capture, &self.playback) else { return };
        if self.playback_failed || self.playback_gone || 0 < self.skip_frames || self.unmeasured.is_some() {
            self.drift.restart();
            return;
        }
        let Some(skew) = skew(capture, playback, self.prefill.frames()) else { return };
        self.drift.observe(now_ns, skew, self.facts.rate.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn the_drift_is_known_when_it_is_larger_than_the_jitter_and_survives_a_restart() {
        let mut drift = Drift::default();
        // 100 ppm of 48 kHz are 4.8 frames a second. The readings jitter by a frame.
        for second in 0..60_u64 {
            drift.observe(second * SECOND_NS, (second as f64 * 4.8) as Frames + second as Frames % 2, 48_000);
            assert_eq!(drift.ppm().is_some(), 13 <= second, "{second}");
        }
        assert!(drift.ppm().is_some_and(|ppm| (ppm - 100.0).abs() < 2.0), "{drift:?}");
        drift.restart();
        drift.observe(70 * SECOND_NS, 0, 48_000);
        assert!(drift.ppm().is_some_and(|ppm| (ppm - 100.0).abs() < 2.0), "{drift:?}");
    }

    #[test]
    fn one_jump_of_counters_that_move_in_periods_is_no_drift() {
        let mut drift = Drift::default();
        for second in 0..200_u64 {
            // 10 ppm of 48 kHz in whole periods of 64 frames; the first jump comes after 3 seconds.
            let skew = ((second as f64 + 130.3) * 0.48 / 64.0) as Frames * 64;
            drift.observe(second * SECOND_NS, skew, 48_000);
        }
        assert_eq!(drift.ppm(), None);
    }
}
