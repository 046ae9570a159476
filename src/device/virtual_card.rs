//! The simulated card behind a built-in device that can be pulled: state that all openings of one device share.
//! Thread: audio (opening: opener, reconnect, control).

use super::script::Script;
use super::{DeviceError, DeviceSpec, monotonic};
use crate::time::{Frames, SampleRate};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
        let frame = self.frame_at(monotonic(), spec.rate).unwrap_or(0.0);
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
    pub(super) fn start(&self, now: Duration, rate: SampleRate) -> (Duration, u64) {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.epoch_ns.compare_exchange(0, now_ns, Relaxed, Relaxed).ok();
        let epoch = Duration::from_nanos(self.epoch_ns.load(Relaxed));
        let mut frame = self.frame_at(now, rate).unwrap_or(0.0) as u64;
        while epoch + Frames(frame).duration(rate) < now {
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

    fn frame_at(&self, now: Duration, rate: SampleRate) -> Option<f64> {
        let epoch_ns = self.epoch_ns.load(Relaxed);
        let since = now.saturating_sub(Duration::from_nanos(epoch_ns));
        (epoch_ns != 0).then(|| since.as_secs_f64() * f64::from(rate.0))
    }
}
