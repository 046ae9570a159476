//! Estimates a device's frame count at any time from readings of the count. Pure. Thread: audio.
//!
//! A device that overran, was suspended or was starved by its server does not say how many frames it lost. This clock
//! computes it. The caller passes readings: the device's frame count at a known time. The clock extrapolates the count
//! to any other time. A reading may be late, never early, and a late reading makes the count too small for its time. So
//! of many readings the one furthest ahead is the most exact, and each half second keeps only that one.

use super::pcm::RATES;
use std::time::Duration;

/// Length of an interval, of which only the reading furthest ahead is kept.
const INTERVAL_NS: u64 = 500_000_000;

/// Nanoseconds of readings before the measured rate replaces the nominal one.
const LEARN_NS: u64 = 5_000_000_000;

/// Nanoseconds for which a deficit must stay constant before it counts as a loss.
const LOSS_CONFIRM_NS: u64 = 250_000_000;

/// Readings that must agree on a loss.
const LOSS_CONFIRM_READINGS: u32 = 4;

/// Largest relative error of a real clock. A larger one means that somebody set another rate.
const RATE_ERROR_MAX: f64 = 0.02;

/// Length of a span over which the rate is checked. Two spans in a row must be wrong, because a server that loses sound
/// is slow for a while too.
const SPAN_NS: u64 = 2_000_000_000;

/// A span is longer where the count moves in long steps: as long as this many steps, so that a step at its end is 2 % of it.
const SPAN_STEPS: f64 = 50.0;

/// Length of a span in any case. A step can be the time for which a busy program made no reading.
const SPAN_NS_MAX: u64 = 10_000_000_000;

/// Largest relative difference of two spans that show the same wrong rate.
const SPAN_ERROR_MAX: f64 = 0.01;

/// The device's frame count was at least `count` at `at_ns` nanoseconds after the caller's origin.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    at_ns: u64,
    count: u64,
}

/// A deficit of the frame count that may be a loss.
#[derive(Clone, Copy, Debug)]
struct SuspectedLoss {
    since_ns: u64,
    readings: u32,
    least: f64,
    most: f64,
    /// Smallest deficit in the second half of the time, when a loss that came in pieces is complete.
    least_late: f64,
}

/// The estimate of a device's frame count. Owns no heap memory.
#[derive(Clone, Debug)]
pub(super) struct FrameClock {
    nominal_per_ns: f64,
    per_ns: f64,
    /// Deficits up to this many frames are jitter of the readings.
    jitter_frames: f64,
    /// Start of the rate measurement: the best reading of the second interval.
    origin: Option<Reading>,
    /// Intervals closed since [`FrameClock::begin`].
    intervals: u32,
    interval_from_ns: u64,
    best: Reading,
    best_before: Option<Reading>,
    /// Whether the device has delivered a frame. Before that, `best` is the time of the start call.
    has_reading: bool,
    suspected_loss: Option<SuspectedLoss>,
    /// Start of the current span of the rate check.
    span_from: Reading,
    /// The count of the last reading, and the largest difference between two readings in a row of the span. A sound server
    /// moves the count by its whole block, which is 85 ms in the worst case.
    last_count: u64,
    span_step: u64,
    /// The rate of the previous span in Hz, if it was wrong.
    off_hz: Option<f64>,
    wrong_rate: Option<&'static str>,
    /// The last span had the right rate.
    has_right_rate: bool,
}

impl FrameClock {
    /// A clock for a device at `rate_hz` with a period of `period_frames`.
    pub(super) fn new(rate_hz: u32, period_frames: usize) -> Self {
        let per_ns = f64::from(rate_hz) / 1e9;
        let jitter_frames = (period_frames as f64 * 1.5).max(f64::from(rate_hz) * 0.005);
        let best = Reading { at_ns: 0, count: 0 };
        FrameClock {
            nominal_per_ns: per_ns,
            per_ns,
            jitter_frames,
            origin: None,
            intervals: 0,
            interval_from_ns: 0,
            best,
            best_before: None,
            has_reading: false,
            suspected_loss: None,
            span_from: best,
            last_count: 0,
            span_step: 0,
            off_hz: None,
            wrong_rate: None,
            has_right_rate: false,
        }
    }

    /// The device starts with count 0.
    pub(super) fn begin(&mut self, at_ns: u64) {
        (self.per_ns, self.origin, self.intervals) = (self.nominal_per_ns, None, 0);
        self.restart_intervals(Reading { at_ns, count: 0 });
        (self.has_reading, self.wrong_rate, self.has_right_rate) = (false, None, false);
    }

    /// The device was restarted, and its count is now `count`. The measured rate stays valid.
    pub(super) fn resume(&mut self, at_ns: u64, count: u64) {
        self.restart_intervals(Reading { at_ns, count });
        self.has_reading = true;
    }

    /// The count at `at_ns`. Exact for times near or after the last two intervals.
    pub(super) fn estimate(&self, at_ns: u64) -> u64 {
        let count = self.expect(at_ns);
        if count <= 0.0 { 0 } else { count.round() as u64 }
    }

    /// Frames that the device should have counted beyond `count` at `at_ns`. Negative if it is ahead.
    pub(super) fn deficit(&self, at_ns: u64, count: u64) -> f64 {
        self.expect(at_ns) - count as f64
    }

    /// Adds a reading. Returns the frames of a loss that the device did not report, once the loss is certain. The
    /// caller adds them to its count, so that the next reading fits again.
    pub(super) fn observe(&mut self, at_ns: u64, count: u64) -> Option<u64> {
        let reading = Reading { at_ns, count };
        if !self.has_reading && count == 0 {
            return None;
        }
        if !self.has_reading {
            // Some sound servers begin long after the start call. The estimate begins with the first frame.
            self.restart_intervals(reading);
            self.has_reading = true;
            return None;
        }
        self.judge_rate(reading);
        let deficit = self.expect(at_ns) - count as f64;
        if self.jitter_frames < deficit {
            // Intervals do not advance meanwhile: a suspected reading must not become the reference.
            return self.check_loss(reading, deficit);
        }
        self.suspected_loss = None;
        if self.lead(self.best) < self.lead(reading) {
            self.best = reading;
        }
        if INTERVAL_NS <= at_ns.saturating_sub(self.interval_from_ns) {
            self.close_interval(reading);
        }
        None
    }

    /// The most exact reading (its time and count) and the frames per second from there on.
    pub(super) fn reckon(&self) -> (u64, u64, f64) {
        let ahead = self.ahead();
        (ahead.at_ns, ahead.count, self.per_ns * 1e9)
    }

    /// The start of a sentence for the user if the device runs at another rate than requested; `None` while it runs at its own.
    pub(super) fn wrong_rate(&self) -> Option<&'static str> {
        self.wrong_rate
    }

    /// Whether the device is known to run at the requested rate.
    pub(super) fn has_right_rate(&self) -> bool {
        self.has_right_rate
    }

    fn judge_rate(&mut self, reading: Reading) {
        self.span_step = self.span_step.max(reading.count.saturating_sub(self.last_count));
        self.last_count = reading.count;
        let span_ns = reading.at_ns.saturating_sub(self.span_from.at_ns);
        let steps_ns = SPAN_STEPS * self.span_step as f64 / self.nominal_per_ns;
        if span_ns < SPAN_NS || (span_ns < SPAN_NS_MAX && (span_ns as f64) < steps_ns) {
            return;
        }
        let hz = reading.count.saturating_sub(self.span_from.count) as f64 * 1e9 / span_ns as f64;
        // The first or the last reading may come right before a step of the count.
        let step_hz = self.span_step as f64 * 1e9 / span_ns as f64;
        let is_off = |from: f64, most: f64| most < (hz - from).abs();
        let nominal = self.nominal_per_ns * 1e9;
        self.has_right_rate = !is_off(nominal, RATE_ERROR_MAX * nominal + step_hz);
        if self.has_right_rate {
            (self.off_hz, self.wrong_rate) = (None, None);
        } else {
            if let Some(before) = self.off_hz.filter(|before| !is_off(*before, SPAN_ERROR_MAX * before + 2.0 * step_hz))
            {
                self.wrong_rate = Some(runs_at(f64::midpoint(hz, before)));
            }
            self.off_hz = Some(hz);
            (self.per_ns, self.origin) = (self.nominal_per_ns, None);
        }
        (self.span_from, self.span_step) = (reading, 0);
    }

    /// The measured frames per second; the nominal rate until the measurement is long enough.
    #[cfg(test)]
    fn rate_hz(&self) -> f64 {
        self.per_ns * 1e9
    }

    fn expect(&self, at_ns: u64) -> f64 {
        let ahead = self.ahead();
        // `at_ns` may be a few microseconds before the reading, so the difference is signed.
        ahead.count as f64 + (at_ns as f64 - ahead.at_ns as f64) * self.per_ns
    }

    /// The reading furthest ahead in the last two intervals.
    fn ahead(&self) -> Reading {
        match self.best_before {
            Some(before) if self.lead(self.best) < self.lead(before) => before,
            _ => self.best,
        }
    }

    fn lead(&self, reading: Reading) -> f64 {
        reading.count as f64 - reading.at_ns as f64 * self.per_ns
    }

    fn restart_intervals(&mut self, reading: Reading) {
        (self.best, self.best_before, self.interval_from_ns) = (reading, None, reading.at_ns);
        (self.suspected_loss, self.span_from, self.off_hz) = (None, reading, None);
        (self.last_count, self.span_step) = (reading.count, 0);
    }

    fn close_interval(&mut self, newest: Reading) {
        let best = self.ahead();
        self.intervals = self.intervals.saturating_add(1);
        match self.origin {
            None if 2 <= self.intervals => self.origin = Some(best),
            Some(origin) if LEARN_NS <= best.at_ns.saturating_sub(origin.at_ns) => {
                let measured = (best.count - origin.count) as f64 / (best.at_ns - origin.at_ns) as f64;
                if (measured - self.nominal_per_ns).abs() <= self.nominal_per_ns * RATE_ERROR_MAX {
                    self.per_ns = measured;
                } else {
                    // Somebody set another rate. Discard the measurement and begin a new one.
                    (self.per_ns, self.origin) = (self.nominal_per_ns, None);
                }
            }
            _ => {}
        }
        (self.best_before, self.best, self.interval_from_ns) = (Some(self.best), newest, newest.at_ns);
    }

    fn check_loss(&mut self, reading: Reading, deficit: f64) -> Option<u64> {
        let fresh =
            SuspectedLoss { since_ns: reading.at_ns, readings: 1, least: deficit, most: deficit, least_late: deficit };
        let mut suspected_loss = self.suspected_loss.unwrap_or(fresh);
        (suspected_loss.least, suspected_loss.most) =
            (suspected_loss.least.min(deficit), suspected_loss.most.max(deficit));
        suspected_loss.readings += 1;
        if suspected_loss.least + self.jitter_frames < suspected_loss.most {
            // The deficit still grows, so the device does not run or the loss continues. Decide when it has ended.
            suspected_loss = fresh;
        }
        let age_ns = reading.at_ns.saturating_sub(suspected_loss.since_ns);
        suspected_loss.least_late =
            if age_ns < LOSS_CONFIRM_NS / 2 { f64::MAX } else { suspected_loss.least_late.min(deficit) };
        if age_ns < LOSS_CONFIRM_NS || suspected_loss.readings < LOSS_CONFIRM_READINGS {
            self.suspected_loss = Some(suspected_loss);
            return None;
        }
        let lost = suspected_loss.least_late.round() as u64;
        self.resume(reading.at_ns, reading.count + lost);
        Some(lost)
    }
}

/// The start of a sentence for the user about a card that runs at `hz` instead of the requested rate. The audio thread cannot
/// format text, so there is a constant for each usual rate.
fn runs_at(hz: f64) -> &'static str {
    macro_rules! sentence {
        ($($rate:literal)*) => {
            match RATES.into_iter().find(|rate| (hz - f64::from(*rate)).abs() < 0.01 * hz) {
                $(Some($rate) => concat!("its clock runs at ", $rate, " Hz, not at the session's rate"),)*
                _ => "its clock does not run at the session's rate",
            }
        };
    }
    sentence!(8000 11025 16000 22050 32000 44100 48000 64000 88200 96000 176_400 192_000 352_800 384_000)
}

/// Nanoseconds of `time`, limited to `u64`.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 48_000;
    const PERIOD: usize = 64;

    /// A device whose clock is off by `ppm`.
    struct Device {
        ppm: f64,
        lost: u64,
    }

    impl Device {
        fn true_count(&self, at_ns: u64) -> u64 {
            (at_ns as f64 / 1e9 * f64::from(RATE) * (1.0 + self.ppm / 1e6)) as u64
        }

        /// The count that a reading at `at_ns` finds, `lag_ns` late and without silently lost frames.
        fn count(&self, at_ns: u64, lag_ns: u64) -> u64 {
            self.true_count(at_ns.saturating_sub(lag_ns)) - self.lost
        }
    }

    #[test]
    fn a_slow_start_of_a_sound_server_is_no_loss() {
        let mut clock = FrameClock::new(RATE, PERIOD);
        clock.begin(0);
        for ms in 140..2000_u64 {
            assert_eq!(clock.observe(ms * 1_000_000, (ms - 140) * 48 + 1), None, "at {ms} ms");
        }
        assert_eq!(clock.estimate(2_000_000_000), 1860 * 48 + 1);
    }

    #[test]
    fn a_device_that_pauses_lost_the_frames_of_the_pause() {
        let mut clock = FrameClock::new(RATE, PERIOD);
        clock.begin(0);
        let (mut lost, mut count) = (0, 0);
        for ms in 0..4000_u64 {
            count += if (1000..1800).contains(&ms) { 0 } else { 48 };
            if let Some(frames) = clock.observe(ms * 1_000_000, count + lost) {
                lost += frames;
            }
        }
        assert!((lost as i64 - 800 * 48).abs() <= 48, "{lost}");
    }

    #[test]
    fn a_clock_at_another_rate_is_reported_until_it_is_set_back() {
        for (hz, sentence) in [(44_100, "44100 Hz"), (96_000, "96000 Hz"), (52_000, "not run at the session's rate")] {
            let mut clock = FrameClock::new(RATE, PERIOD);
            clock.begin(0);
            let (mut count, mut lost) = (0_u64, 0);
            let mut found_ms = None;
            for ms in 0..20_000_u64 {
                count += if (3000..12_000).contains(&ms) { hz / 1000 } else { 48 };
                lost += clock.observe(ms * 1_000_000, count + lost).unwrap_or(0);
                if let (Some(text), None) = (clock.wrong_rate(), found_ms) {
                    assert!(text.contains(sentence), "{text}");
                    found_ms = Some(ms);
                }
            }
            assert!(found_ms.is_some_and(|ms| (5000..10_000).contains(&ms)), "{hz}: {found_ms:?}");
            assert_eq!(clock.wrong_rate(), None, "{hz}");
        }
    }

    #[test]
    fn neither_losses_of_a_server_nor_a_late_program_are_a_wrong_rate() {
        let mut clock = FrameClock::new(RATE, PERIOD);
        clock.begin(0);
        let (mut count, mut lost) = (0_u64, 0);
        for ms in 0..30_000_u64 {
            // A fifth of a second is lost every three.
            count += if ms % 3000 < 200 { 0 } else { 48 };
            // For half a second in seven there is no reading.
            if ms % 7000 < 6500 {
                lost += clock.observe(ms * 1_000_000, count + lost).unwrap_or(0);
            }
            assert_eq!(clock.wrong_rate(), None, "at {ms} ms");
        }
        assert!(80_000 < lost, "{lost}");
    }

    /// A block of 4,096 frames is 4 % of two seconds, and was reported as a wrong rate.
    #[test]
    fn the_long_blocks_of_a_server_are_no_wrong_rate_and_hide_none() {
        for block in [2048, 4096, 8192] {
            for (hz, sentence) in [(48_000_u64, None), (44_100, Some("44100 Hz")), (96_000, Some("96000 Hz"))] {
                let mut clock = FrameClock::new(RATE, 1024);
                clock.begin(0);
                let mut found = None;
                // The readings come a period apart and not in step with the blocks.
                for at_ms in (0..60_000_u64).step_by(21) {
                    let count = at_ms * hz / 1000 / block * block;
                    clock.observe(at_ms * 1_000_000, count);
                    found = found.or(clock.wrong_rate());
                }
                match sentence {
                    None => assert_eq!(found, None, "{block}"),
                    Some(sentence) => assert!(found.is_some_and(|text| text.contains(sentence)), "{block}: {found:?}"),
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_count_after_a_gap_is_known(
            ppm in -300.0..300.0_f64,
            lags in prop::collection::vec(0_u64..1_300_000, 64),
            seconds in 1_u64..40,
            gap_ms in 1_u64..2000,
        ) {
            let device = Device { ppm, lost: 0 };
            let mut clock = FrameClock::new(RATE, PERIOD);
            clock.begin(0);
            let mut at_ns = 0;
            for n in 0.. {
                at_ns = n * 1_333_333;
                if seconds * 1_000_000_000 < at_ns { break }
                prop_assert_eq!(clock.observe(at_ns, device.count(at_ns, lags[n as usize % lags.len()])), None);
            }
            let then_ns = at_ns + gap_ms * 1_000_000;
            let error = clock.estimate(then_ns) as f64 - device.true_count(then_ns) as f64;
            // A period; and until the rate is measured, its error over the gap and the intervals.
            let unlearned = if seconds < 8 { ppm.abs() } else { 60.0 } / 1e6 * f64::from(RATE) * (gap_ms as f64 / 1e3 + 1.5);
            // No reading was nearer to its frame than `least_lag`. A rate measured over a few seconds contains their
            // jitter.
            let least_lag = lags.iter().min().map_or(0.0, |lag| *lag as f64 * f64::from(RATE) / 1e9);
            let jitter = if seconds < 8 { PERIOD as f64 / 4.0 } else { 0.0 };
            prop_assert!(error.abs() <= 3.0 + least_lag + jitter + unlearned, "{} frames off after {} s", error, seconds);
        }

        #[test]
        fn a_silent_loss_is_found_and_counted(
            ppm in -200.0..200.0_f64,
            lags in prop::collection::vec(0_u64..1_300_000, 64),
            loss in 400_u64..100_000,
        ) {
            let mut device = Device { ppm, lost: 0 };
            let mut clock = FrameClock::new(RATE, PERIOD);
            clock.begin(0);
            let mut found = 0;
            for n in 0..6000_u64 {
                let at_ns = n * 1_333_333;
                // A loss lasts as long as its frames: the count stops and never steps back.
                let stopped = device.true_count(2_000_000_000);
                let lag_ns = lags[n as usize % lags.len()];
                device.lost = device.true_count(at_ns.saturating_sub(lag_ns)).saturating_sub(stopped).min(loss);
                if let Some(frames) = clock.observe(at_ns, device.count(at_ns, lag_ns) + found) {
                    found += frames;
                }
            }
            prop_assert!((found as f64 - loss as f64).abs() <= 70.0, "found {} of {}", found, loss);
        }

        #[test]
        fn drift_is_learned(ppm in -1000.0..1000.0_f64) {
            let device = Device { ppm, lost: 0 };
            let mut clock = FrameClock::new(RATE, PERIOD);
            clock.begin(0);
            for n in 0..20_000_u64 {
                prop_assert_eq!(clock.observe(n * 1_333_333, device.count(n * 1_333_333, 0)), None);
            }
            let error_ppm = (clock.rate_hz() / f64::from(RATE) - 1.0) * 1e6 - ppm;
            prop_assert!(error_ppm.abs() < 10.0, "{}", error_ppm);
        }
    }
}
