//! The drawing rate: thirty pictures a second while something moves, fewer where drawing costs much processor time,
//! none while nothing moves. Thread: ui.

use std::time::Duration;

/// Drawing rates in pictures per second.
const RATES: [u32; 4] = [30, 20, 15, 10];

/// Share of one processor above which the rate goes down. The whole process counts.
const SHARE_MAX: f64 = 0.50;
/// Share of one processor below which the rate goes up again.
const SHARE_MIN: f64 = 0.18;

/// Seconds of one measurement of the share.
const MEASURE_SECONDS: f64 = 1.5;

/// The present rate, and the measurement that decides about it.
#[derive(Debug, Default)]
pub struct Pace {
    /// Index into [`RATES`].
    step: usize,
    /// Start of the measurement: seconds, and processor time of the process.
    since: Option<(f64, Duration)>,
    /// Pictures of the measurement.
    frames: u32,
    /// Deadline of the next picture, in seconds.
    next: f64,
    /// The rate was raised and the share was too high again. The rate does not go up any more.
    may_not_rise: bool,
    /// The user knows that the rate went down.
    has_told: bool,
}

impl Pace {
    /// Present rate in pictures per second.
    pub fn rate(&self) -> u32 {
        RATES[self.step]
    }

    /// Time until the next picture, at `now` seconds. Deadlines are absolute, so that waiting errors do not add up.
    pub fn wait(&mut self, now: f64) -> Duration {
        let period = 1.0 / f64::from(self.rate());
        if self.next < now || self.next > now + period {
            // The deadline was missed, or nothing was drawn for a while: start a new series of deadlines.
            self.next = if now - self.next < period { self.next + period } else { now + period };
        }
        Duration::from_secs_f64((self.next - now).max(0.001))
    }

    /// Counts a picture that was drawn at `now` seconds. `spent` is the processor time of the process so far. Returns a
    /// message for the user if the rate went down for the first time.
    pub fn record_picture(&mut self, now: f64, spent: Duration) -> Option<String> {
        self.frames += 1;
        let Some((since, before)) = self.since else {
            self.since = Some((now, spent));
            self.frames = 0;
            return None;
        };
        let elapsed = now - since;
        if elapsed < MEASURE_SECONDS {
            return None;
        }
        let share = spent.saturating_sub(before).as_secs_f64() / elapsed;
        let drawn = f64::from(self.frames) / elapsed;
        self.since = Some((now, spent));
        self.frames = 0;
        if elapsed > MEASURE_SECONDS * 2.0 || drawn < 0.5 * f64::from(self.rate()) {
            // The window was idle most of the time. The share says nothing about the cost of a picture.
            return None;
        }
        if share > SHARE_MAX && self.step + 1 < RATES.len() {
            self.may_not_rise |= self.step > 0;
            self.step += 1;
            if std::mem::replace(&mut self.has_told, true) {
                return None;
            }
            let percent = (share * 100.0).round();
            let rate = self.rate();
            return Some(format!(
                "window: drawing in software took {percent} % of a processor; it draws {rate} times a second now. Recording is not affected"
            ));
        }
        if share < SHARE_MIN && self.step > 0 && !self.may_not_rise {
            self.step -= 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(pace: &mut Pace, from: f64, seconds: f64, share: f64) -> Vec<String> {
        let frames = (seconds * f64::from(pace.rate())) as u32;
        let spent = |at: f64| Duration::from_secs_f64(100.0 + at * share);
        (0..frames)
            .filter_map(|frame| {
                let at = from + f64::from(frame) / f64::from(pace.rate());
                pace.record_picture(at, spent(at))
            })
            .collect()
    }

    #[test]
    fn an_expensive_renderer_lowers_the_rate_and_reports_it() {
        let mut pace = Pace::default();
        let notes = draw(&mut pace, 0.0, 5.0, 0.9);
        assert!(pace.rate() == 10 && notes.len() == 1 && notes[0].contains("90 %"), "{notes:?}");
    }

    #[test]
    fn a_cheap_renderer_draws_thirty_times_a_second_and_says_nothing() {
        let mut pace = Pace::default();
        assert!(draw(&mut pace, 0.0, 10.0, 0.1).is_empty());
        assert_eq!(pace.rate(), 30);
    }

    #[test]
    fn pictures_come_at_a_steady_rate() {
        let (mut pace, mut now) = (Pace::default(), 10.0);
        for _ in 0..90 {
            // Each picture takes 9 ms to draw.
            now += 0.009;
            now += pace.wait(now).as_secs_f64();
        }
        assert!((now - 13.0).abs() < 0.1, "{now}");
    }
}
