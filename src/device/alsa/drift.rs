//! The drift between the clocks of capture and playback. Thread: audio.
//!
//! Two cards never run at exactly the same rate. The buffer of playback slowly fills or runs empty, and then output is
//! skipped or silent for a moment. The difference is measured long before, so that the user can be told.

use super::AlsaDevice;
use super::pcm::Kind;
use super::playback::skew;
use super::side::Side;
use super::transfer::Skip;
use ::alsa::pcm::Frames;

/// Time from which on a change may count. Sound servers start their streams one after the other, and give the first blocks
/// at odd times.
const SETTLED_NS: u64 = 2_000_000_000;

/// Largest relative difference of two parts of a measurement that show the same drift.
const AGREEMENT: f64 = 0.25;

/// Largest drift of real clocks. A larger one is another rate of one of the sides. It counts when two measurements agree,
/// because a server may be out of step for a while.
const PPM_MAX: f64 = 25_000.0;

/// Milliseconds by which the outputs of a card may be late. Each millisecond that is skipped is heard, and output that is later
/// is heard as an echo.
const LATE_MS_MAX: Frames = 8;

/// The least time in which a measurement that a restart has ended shows another rate.
const FAR_NS: u64 = 1_000_000_000;

/// The measurement since the last start or restart of either side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    readings: Option<Readings>,
    /// The drift that the readings before the last restart showed, if they were too few, or the last one that was too large for
    /// real clocks.
    suspected: Option<f64>,
    ppm: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Readings {
    first_ns: u64,
    first: Frames,
    last_ns: u64,
    last: Frames,
    /// The largest difference between two readings in a row. Counters that move in periods or in packets of USB stand
    /// still and then jump.
    step: Frames,
    /// Time and drift when the change was half as large as one that counts.
    half: Option<(u64, f64)>,
}

impl Readings {
    fn passed_ns(&self) -> u64 {
        self.last_ns.saturating_sub(self.first_ns)
    }

    fn change(&self) -> Frames {
        self.last - self.first
    }

    fn ppm(&self, rate_hz: u32) -> f64 {
        self.change() as f64 * 1e15 / (self.passed_ns() as f64 * f64::from(rate_hz))
    }

    /// A change of two steps and a millisecond may be jitter of the counters.
    fn counts(&self, rate_hz: u32) -> bool {
        2 * self.step + Frames::from(rate_hz / 1000) < self.change().abs() && 0 < self.passed_ns()
    }
}

fn agree(one: f64, other: f64) -> bool {
    (one - other).abs() <= AGREEMENT * one.abs().max(other.abs())
}

/// Whether a drift of `ppm` is another rate, not that of real clocks.
pub(super) fn is_far(ppm: f64) -> bool {
    PPM_MAX < ppm.abs()
}

impl Drift {
    /// Forgets the readings, because a side was restarted or frames were skipped. The last result stays. A drift can be
    /// so large that playback restarts before two readings agree; the next readings then show it again, and it is reported.
    pub(super) fn restart(&mut self, rate_hz: u32) {
        let Some(readings) = self.readings.take().filter(|readings| readings.counts(rate_hz)) else { return };
        let ppm = readings.ppm(rate_hz);
        if is_far(ppm) && readings.passed_ns() < FAR_NS {
            return;
        }
        if self.suspected.replace(ppm).is_some_and(|before| agree(before, ppm)) {
            self.ppm = Some(ppm);
        }
    }

    /// Frames of output to skip, because playback is slower than capture and has fallen behind by more than it may and more
    /// than the counters jitter.
    fn late_frames(&self, rate_hz: u32) -> Option<usize> {
        let readings = self.readings.filter(|readings| SETTLED_NS <= readings.passed_ns())?;
        let late = readings.last - readings.step;
        let most = LATE_MS_MAX * Frames::from(rate_hz) / 1000;
        (most + readings.step < late).then_some(late as usize)
    }

    /// Parts per million by which capture is faster than playback, once that is certain.
    pub(super) fn ppm(self) -> Option<f64> {
        self.ppm
    }

    /// Adds a reading. Playback runs dry after a change of one period, so counters that move in small steps tell the drift
    /// before that. A drift grows all the time. What happened once, as at the start of a sound server's streams, does not:
    /// then the measurement begins again.
    fn observe(&mut self, at_ns: u64, skew: Frames, rate_hz: u32) {
        let Some(readings) = &mut self.readings else {
            let (first_ns, last_ns) = (at_ns, at_ns);
            self.readings = Some(Readings { first_ns, first: skew, last_ns, last: skew, step: 0, half: None });
            return;
        };
        readings.step = readings.step.max((skew - readings.last).abs());
        (readings.last, readings.last_ns) = (skew, at_ns);
        let (ppm, passed_ns) = (readings.ppm(rate_hz), readings.passed_ns());
        let jitter = 2 * readings.step + Frames::from(rate_hz / 1000);
        if readings.half.is_none() && jitter < 2 * readings.change().abs() && 0 < passed_ns {
            readings.half = Some((passed_ns, ppm));
        }
        let Some((half_ns, half_ppm)) = readings.half.filter(|_| readings.counts(rate_hz)) else { return };
        if passed_ns < SETTLED_NS || 10 * passed_ns < 16 * half_ns {
            return;
        }
        let is_certain = agree(half_ppm, ppm)
            && (!is_far(ppm) || self.suspected.replace(ppm).is_some_and(|before| agree(before, ppm)));
        if is_certain {
            self.ppm = Some(ppm);
        } else {
            self.readings = None;
        }
    }
}

impl AlsaDevice {
    /// Skips `frames` frames of output, by which outputs with a slower clock have fallen behind. Outputs that have played
    /// nothing since the last time are stuck, and so they are silent.
    pub(super) fn skip_late(&mut self, frames: usize) {
        let count = |side: &Side| side.pcm.avail_update().map_or(0, |room| side.written.wrapping_add_signed(room));
        let played = self.playback.as_deref().map_or(0, count);
        if std::mem::replace(&mut self.played_at_skip, played) == played {
            self.skip = Skip::silent(frames);
        } else {
            self.skip = Skip::late(frames);
            self.latency.skip(frames);
        }
    }

    /// Reads how far capture is ahead of playback. Skips output if the outputs of a card have become late by that; returns
    /// whether it does. The blocks of a sound server begin at odd times, so its outputs are late until its buffer is full.
    pub(super) fn measure_drift(&mut self, now_ns: u64) -> bool {
        let (Some(capture), Some(playback)) = (&self.capture, &self.playback) else { return false };
        let rate_hz = self.facts.rate.0;
        if self.playback_failed || self.playback_gone || !self.skip.is_over() || self.unmeasured.is_some() {
            self.drift.restart(rate_hz);
            return false;
        }
        let Some(skew) = skew(capture, playback, self.prefill.frames()) else { return false };
        self.drift.observe(now_ns, skew, rate_hz);
        let are_cards = [capture, playback].iter().all(|side| side.kind == Kind::Card);
        let Some(late) = self.drift.late_frames(rate_hz).filter(|_| are_cards) else { return false };
        self.drift.restart(rate_hz);
        self.skip_late(late);
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
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
        drift.restart(48_000);
        drift.observe(70 * SECOND_NS, 0, 48_000);
        assert!(drift.ppm().is_some_and(|ppm| (ppm - 100.0).abs() < 2.0), "{drift:?}");
    }

    /// A drift above 25,000 ppm was never reported.
    #[test]
    fn outputs_at_another_rate_are_certain_at_the_second_measurement() {
        // Playback runs at 44.1 kHz: its buffer fills up, and nothing restarts it. At 52 kHz it runs dry again and again.
        for (hz, restarts_at) in [(44_100, u64::MAX), (52_000, 9)] {
            let (mut drift, mut found) = (Drift::default(), None);
            for tick in 0..60_u64 {
                let since = if restarts_at < 60 { tick % (restarts_at + 1) } else { tick };
                if tick != 0 && since == 0 {
                    drift.restart(48_000);
                }
                drift.observe(tick * SECOND_NS / 5, (48_000 - hz) * since as Frames / 5, 48_000);
                found = found.or(drift.ppm().map(|ppm| (tick, ppm)));
            }
            let (tick, ppm) = found.unwrap();
            assert!((10..50).contains(&tick), "{hz}: {tick}");
            assert!((48_000.0 - ppm * 0.048 - hz as f64).abs() < 100.0, "{hz}: {ppm}");
        }
    }

    #[test]
    fn outputs_that_fall_behind_are_late_beyond_some_milliseconds_and_the_jitter() {
        for (jitter, expected) in [(1, 80..90), (200, 115..130)] {
            let mut drift = Drift::default();
            let late = (0..400_u64).find(|tick| {
                // 100 ppm of 48 kHz are 4.8 frames a second.
                let skew = (*tick as f64 * 4.8) as Frames + jitter * (*tick as Frames % 2);
                drift.observe(tick * SECOND_NS, skew, 48_000);
                drift.late_frames(48_000).is_some()
            });
            assert!(late.is_some_and(|late| expected.contains(&late)), "{jitter}: {late:?}");
        }
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

    /// A caution at the start of a recording named 5,000 to 25,000 ppm, and there was no drift.
    #[test]
    fn the_start_of_a_sound_servers_streams_is_no_drift() {
        // Playback begins later than capture, at once or over half a second, or blocks are left out for a second.
        let starts: [fn(u64) -> Frames; 4] = [
            |tick| if tick < 1 { 0 } else { 700 },
            |tick| 200 * tick.min(3) as Frames,
            |tick| -64 * tick.min(5) as Frames,
            |tick| if (7..40).contains(&tick) { 1_000 } else { 0 },
        ];
        for (case, start) in starts.into_iter().enumerate() {
            let mut drift = Drift::default();
            for tick in 0..300_u64 {
                drift.observe(tick * SECOND_NS / 5, start(tick) + tick as Frames % 2, 48_000);
                assert_eq!(drift.ppm(), None, "start {case}, reading {tick}");
            }
        }
    }

    #[test]
    fn a_drift_that_makes_playback_run_dry_within_two_seconds_is_told_at_the_second_time() {
        let mut drift = Drift::default();
        for round in 0..3_u64 {
            for tick in 0..9_u64 {
                // 1,000 ppm, read five times a second.
                drift.observe((round * 10 + tick) * SECOND_NS / 5, (tick * 48 / 5) as Frames, 48_000);
            }
            assert_eq!(drift.ppm().is_some(), 2 <= round);
            drift.restart(48_000);
        }
        assert!(drift.ppm().is_some_and(|ppm| (ppm - 1_000.0).abs() < 60.0), "{drift:?}");
    }
}
