//! What several openings of one virtual device share: its clock, and what becomes of it while it is pulled. Thread: audio
//! (opening: control).

use super::script::Script;
use super::{DeviceError, DeviceSpec, monotonic};
use crate::time::{Frames, SampleRate};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Cards by the full name of the device, as a driver keeps them: for as long as the program runs.
static CARDS: Mutex<BTreeMap<String, Arc<VirtualCard>>> = Mutex::new(BTreeMap::new());

/// One card, in or out of its socket.
#[derive(Debug, Default)]
pub(super) struct VirtualCard {
    /// When its frame 0 was, in nanoseconds; 0: it was never started.
    epoch_ns: AtomicU64,
    /// It was taken away for good.
    is_gone: AtomicBool,
    /// How often it was pulled, and the frame at which it is plugged in again.
    pulls: AtomicU64,
    away_until: AtomicU64,
    /// Openings that were refused since it was pulled, because somebody else had it and because of its rate.
    refused_busy: AtomicU64,
    refused_rate: AtomicU64,
}

/// What a card has that came back; what is not given is as it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Returned {
    pub(super) inputs: Option<usize>,
    pub(super) period_frames: Option<usize>,
}

impl VirtualCard {
    /// The card of that name.
    pub(super) fn of(name: &str) -> Arc<VirtualCard> {
        let mut cards = CARDS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cards.entry(name.to_owned()).or_default())
    }

    /// Opens it, if it is there and free.
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
            return Err(DeviceError::Busy { name, holder: None });
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

    /// Starts it at `now`. Returns when its frame 0 was, and the frame that comes next. This is realtime-safe.
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

    /// When it is to be pulled next if it was started at `from`: the frame, and for how many. This is realtime-safe.
    pub(super) fn next_pull(&self, script: &Script, from: u64) -> Option<(u64, u64)> {
        script.pulls.get(self.pulls.load(Relaxed) as usize).map(|(after, away)| (from + after, *away))
    }

    /// Pulls it, until frame `until`. This is realtime-safe.
    pub(super) fn pull(&self, until: u64) {
        self.pulls.fetch_add(1, Relaxed);
        self.away_until.store(until, Relaxed);
    }

    /// Takes it away for good. This is realtime-safe.
    pub(super) fn remove(&self) {
        self.is_gone.store(true, Relaxed);
    }

    fn frame_at(&self, now: Duration, rate: SampleRate) -> Option<f64> {
        let epoch_ns = self.epoch_ns.load(Relaxed);
        let since = now.saturating_sub(Duration::from_nanos(epoch_ns));
        (epoch_ns != 0).then(|| since.as_secs_f64() * f64::from(rate.0))
    }
}
