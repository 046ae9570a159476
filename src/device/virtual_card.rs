//! The simulated card behind a built-in device that can be pulled: state that all openings of one device share.
//! Thread: audio (opening: opener, reconnect, control).

use super::script::Script;
use super::{DeviceError, DeviceSpec, monotonic};
use crate::time::{Frames, SampleRate};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The clock of a card.
#[derive(Clone, Copy, Debug)]
pub(super) struct CardClock {
    pub(super) rate: SampleRate,
    /// Parts per million by which it is faster than the machine's clock.
    pub(super) drift_ppm: i64,
}

impl CardClock {
    /// The time that so many frames take. This is realtime-safe.
    pub(super) fn duration(self, frames: u64) -> Duration {
        if self.drift_ppm == 0 {
            return Frames(frames).duration(self.rate);
        }
        let nanos = u128::from(frames) * 1_000_000_000_000_000 / self.per_million_seconds();
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The frames of `time`, rounded to the nearest. This is realtime-safe.
    pub(super) fn frames(self, time: Duration) -> u64 {
        if self.drift_ppm == 0 {
            return self.rate.frames(time).0;
        }
        let frames = (time.as_nanos() * self.per_million_seconds() + 500_000_000_000_000) / 1_000_000_000_000_000;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }

    /// Frames per second of the machine's clock. This is realtime-safe.
    pub(super) fn per_second(self) -> f64 {
        f64::from(self.rate.0) * (1.0 + self.drift_ppm as f64 * 1e-6)
    }

    /// Frames in a million seconds of the machine's clock.
    fn per_million_seconds(self) -> u128 {
        u128::from(self.rate.0.max(1)) * u128::from(1_000_000_i64.saturating_add(self.drift_ppm).max(1).unsigned_abs())
    }
}

/// Cards by the full name of the device. They live as long as the program, like the state of a real driver.
static CARDS: Mutex<BTreeMap<String, Arc<VirtualCard>>> = Mutex::new(BTreeMap::new());

/// A simulated card, plugged in or not.
#[derive(Debug, Default)]
pub(super) struct VirtualCard {
    /// Time of frame 0 in nanoseconds of the monotonic clock; 0 before the first start.
    epoch_ns: AtomicU64,
    /// Whether the card is gone for good.
    is_gone: AtomicBool,
    /// How often the card was pulled.
    pulls: AtomicU64,
    /// Frame at which the card is plugged in again.
    away_until: AtomicU64,
    /// Openings since the first pull that were refused because another program holds the card.
    refused_busy: AtomicU64,
    /// Openings since the first pull that were refused because of the rate.
    refused_rate: AtomicU64,
}

/// Properties of a card that came back. `None` where nothing changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Returned {
    pub(super) inputs: Option<usize>,
    pub(super) period_frames: Option<usize>,
}

impl VirtualCard {
    /// The card of the device called `name`.
    pub(super) fn of(name: &str) -> Arc<VirtualCard> {
        let mut cards = CARDS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cards.entry(name.to_owned()).or_default())
    }

    /// Opens the card, or refuses as the script orders.
    pub(super) fn open(&self, script: &Script, spec: &DeviceSpec) -> Result<Returned, DeviceError> {
        let name = spec.name.clone();
        let clock = CardClock { rate: spec.rate, drift_ppm: script.drift_ppm };
        let frame = self.frame_at(monotonic(), clock).unwrap_or(0.0);
        if self.is_gone.load(Relaxed) || frame < self.away_until.load(Relaxed) as f64 {
            return Err(DeviceError::Unknown { name, hint: "its plug was pulled".to_owned() });
        }
        if self.pulls.load(Relaxed) == 0 {
            return Ok(Returned::default());
        }
        if self.refused_busy.load(Relaxed) < script.busy {
            self.refused_busy.fetch_add(1, Relaxed);
            return Err(DeviceError::Busy { name, part: None, holder: None, instead: None });
        }
        if let Some((hz, times)) = script.returns_rate
            && self.refused_rate.load(Relaxed) < times
        {
            self.refused_rate.fetch_add(1, Relaxed);
            return Err(DeviceError::Unsupported {
                name,
                what: spec.rate.to_string(),
                offers: format!("it offers {hz} Hz"),
            });
        }
        if let (Some(wanted), Some(there)) = (spec.inputs, script.returns)
            && there < wanted
        {
            let (what, offers) = (format!("{wanted} inputs"), format!("it has {there}"));
            return Err(DeviceError::Unsupported { name, what, offers });
        }
        Ok(Returned { inputs: script.returns, period_frames: script.returns_period })
    }

    /// Starts the card at `now`. Returns the time of its frame 0, and the next frame. This is realtime-safe.
    pub(super) fn start(&self, now: Duration, clock: CardClock) -> (Duration, u64) {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.epoch_ns.compare_exchange(0, now_ns, Relaxed, Relaxed).ok();
        let epoch = Duration::from_nanos(self.epoch_ns.load(Relaxed));
        let mut frame = self.frame_at(now, clock).unwrap_or(0.0) as u64;
        while epoch + clock.duration(frame) < now {
            frame += 1;
        }
        (epoch, frame)
    }

    /// The next pull after a start at frame `from`: the frame, and for how many frames. This is realtime-safe.
    pub(super) fn next_pull(&self, script: &Script, from: u64) -> Option<(u64, u64)> {
        script.pulls.get(self.pulls.load(Relaxed) as usize).map(|(after, away)| (from + after, *away))
    }

    /// Unplugs the card until frame `until`. This is realtime-safe.
    pub(super) fn pull(&self, until: u64) {
        self.pulls.fetch_add(1, Relaxed);
        self.away_until.store(until, Relaxed);
    }

    /// Unplugs the card for good. This is realtime-safe.
    pub(super) fn remove(&self) {
        self.is_gone.store(true, Relaxed);
    }

    fn frame_at(&self, now: Duration, clock: CardClock) -> Option<f64> {
        let epoch_ns = self.epoch_ns.load(Relaxed);
        let since = now.saturating_sub(Duration::from_nanos(epoch_ns));
        (epoch_ns != 0).then(|| since.as_secs_f64() * clock.per_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_drifts_is_faster_or_slower_than_the_machine_by_so_many_millionths() {
        let clock = |drift_ppm| CardClock { rate: SampleRate(48_000), drift_ppm };
        let minute = Duration::from_secs(60);
        assert_eq!(clock(0).frames(minute), 2_880_000);
        assert_eq!(clock(100).frames(minute), 2_880_288);
        assert_eq!(clock(-100).frames(minute), 2_879_712);
        assert_eq!(clock(100).duration(2_880_288), minute);
        assert!(minute < clock(-100).duration(2_880_000));
    }
}
