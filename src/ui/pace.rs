//! How often the window draws: thirty times a second while something moves, less where drawing is dear, never while
//! nothing moves. Thread: ui.

use std::time::Duration;

/// Pictures a second, from the most to the least.
const RATES: [u32; 4] = [30, 20, 15, 10];

/// Parts of a processor that drawing may take before the rate is lowered, and below which it is raised again.
const SHARE_MAX: f64 = 0.50;
/// See [`SHARE_MAX`].
const SHARE_MIN: f64 = 0.18;

/// Seconds over which the cost is taken.
const MEASURE_SECONDS: f64 = 1.5;

/// See the module.
#[derive(Debug, Default)]
pub struct Pace {
    step: usize,
    since: Option<(f64, Duration)>,
    frames: u32,
    next: f64,
    /// Raising it again made it dear again: it stays.
    stays: bool,
}

impl Pace {
    /// Pictures a second now.
    pub fn rate(&self) -> u32 {
        RATES[self.step]
    }

    /// How long to wait for the next picture, at `now` seconds; absolute deadlines, so that the rate is met.
    pub fn wait(&mut self, now: f64) -> Duration {
        let period = 1.0 / f64::from(self.rate());
        if self.next < now || self.next > now + period {
            // Late, or at rest for a while: the beat begins anew.
            self.next = if now - self.next < period { self.next + period } else { now + period };
        }
        Duration::from_secs_f64((self.next - now).max(0.001))
    }

    /// A picture was drawn at `now` seconds, when the process had used `spent`. Returns what to tell when the rate changes.
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
            // Mostly at rest: says nothing about the cost of a picture.
            return None;
        }
        if share > SHARE_MAX && self.step + 1 < RATES.len() {
            self.stays |= self.step > 0;
            self.step += 1;
            let percent = (share * 100.0).round();
            let rate = self.rate();
            return Some(format!(
                "window: drawing in software took {percent} % of a processor; it draws {rate} times a second now. Recording is not affected"
            ));
        }
        if share < SHARE_MIN && self.step > 0 && !self.stays {
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
    fn a_dear_renderer_lowers_the_rate_and_says_so() {
        let mut pace = Pace::default();
        let notes = draw(&mut pace, 0.0, 5.0, 0.9);
        assert!(pace.rate() < 30 && notes[0].contains("90 %"), "{notes:?}");
    }

    #[test]
    fn a_cheap_renderer_draws_thirty_times_a_second_and_says_nothing() {
        let mut pace = Pace::default();
        assert!(draw(&mut pace, 0.0, 10.0, 0.1).is_empty());
        assert_eq!(pace.rate(), 30);
    }

    #[test]
    fn pictures_come_on_a_steady_beat() {
        let (mut pace, mut now) = (Pace::default(), 10.0);
        for _ in 0..90 {
            // Each picture takes 9 ms to draw.
            now += 0.009;
            now += pace.wait(now).as_secs_f64();
        }
        assert!((now - 13.0).abs() < 0.1, "{now}");
    }
}
