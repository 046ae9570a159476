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
    /// Time and skew of the first reading.
    from: Option<(u64, Frames)>,
    ppm: Option<f64>,
}

impl Drift {
    /// Forgets the first reading, because a side was restarted or output was dropped. The last result stays.
    pub(super) fn restart(&mut self) {
        self.from = None;
    }

    /// Parts per million by which capture is faster than playback, once that is certain.
    pub(super) fn ppm(self) -> Option<f64> {
        self.ppm
    }

    /// Adds a reading. A change of up to `jitter` frames may be jitter of the counters.
    fn observe(&mut self, at_ns: u64, skew: Frames, jitter: Frames, rate_hz: u32) {
        let Some((from_ns, first)) = self.from else {
            self.from = Some((at_ns, skew));
            return;
        };
        let (change, passed_ns) = (skew - first, at_ns.saturating_sub(from_ns));
        if jitter < change.abs() && 0 < passed_ns {
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
        let rate_hz = self.facts.rate.0;
        // A period, and a millisecond: the step of counters that move in periods or in packets of USB.
        let jitter = self.facts.period_frames.max(playback.period_frames) as Frames + Frames::from(rate_hz / 1000);
        self.drift.observe(now_ns, skew, jitter, rate_hz);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drift_is_known_when_it_is_larger_than_the_jitter_and_survives_a_restart() {
        let mut drift = Drift::default();
        // 100 ppm of 48 kHz are 4.8 frames a second.
        for second in 0..60_u64 {
            drift.observe(second * 1_000_000_000, (second as f64 * 4.8) as Frames + second as Frames % 2, 112, 48_000);
            assert_eq!(drift.ppm().is_some(), 24 <= second, "{second}");
        }
        assert!(drift.ppm().is_some_and(|ppm| (ppm - 100.0).abs() < 2.0), "{drift:?}");
        drift.restart();
        drift.observe(70_000_000_000, 0, 112, 48_000);
        assert!(drift.ppm().is_some_and(|ppm| (ppm - 100.0).abs() < 2.0), "{drift:?}");
    }
}
