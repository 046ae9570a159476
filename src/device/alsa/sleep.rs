//! The sleeps of the device's wait: until a descriptor is ready, or for a time. Thread: audio.

use super::pcm::{Kind, errno};
use super::{AlsaDevice, NEVER_BEGAN_NS, STUCK_NS};
use crate::time::Frames;
use ::alsa::poll::{Descriptors, Flags, poll};
use nix::poll::ppoll;
use nix::sys::time::TimeSpec;
use std::time::Duration;

/// Polls in a row that may return without a period. After that the thread sleeps, because a descriptor that is always
/// ready would make it spin.
const EMPTY_WAKE_COUNT_MAX: u32 = 4;

/// Shortest sleep in nanoseconds. A sleep until a time that has passed must not return at once: the caller's loop would spin.
pub(super) const PAUSE_NS_MIN: u64 = 250_000;

/// Sleeps for `ns` nanoseconds. `poll` would round them up to whole milliseconds.
fn pause(ns: u64) {
    let time = TimeSpec::from_duration(Duration::from_nanos(ns.max(PAUSE_NS_MIN)));
    // A signal may end the sleep early. The caller looks at the clock again.
    ppoll(&mut [], Some(time), None).ok();
}

impl AlsaDevice {
    /// Whether the device is waited for by the clock: playback without capture, where the wake threshold does not fit the
    /// prefill.
    pub(super) fn is_timed(&self) -> bool {
        let Some(side) = self.playback.as_ref().filter(|_| self.capture.is_none()) else { return false };
        side.kind == Kind::Server || self.prefill.has_grown()
    }

    /// Nanoseconds of `frames` frames.
    pub(super) fn frames_ns(&self, frames: u64) -> u64 {
        frames * 1_000_000_000 / u64::from(self.facts.rate.0.max(1))
    }

    /// The same, 1 to 5 ms.
    pub(super) fn time_to(&self, frames: u64) -> u64 {
        self.frames_ns(frames).clamp(1_000_000, 5_000_000)
    }

    /// Sleeps until `until_ns`, or with `on_device` until a descriptor of the device is ready.
    pub(super) fn sleep(&mut self, until_ns: u64, on_device: bool) {
        let left_ns = until_ns.saturating_sub(self.now_ns());
        self.sleeps += 1;
        if !on_device || EMPTY_WAKE_COUNT_MAX <= self.empty_wakes {
            self.empty_wakes = 0;
            pause(if on_device { left_ns.min(self.nap_ns()) } else { left_ns });
            return;
        }
        // Rounded up, and at least 1 ms also for a time that has passed: a timeout of 0 ms returns at once, and the caller's
        // loop would spin.
        let ms = i32::try_from(left_ns.div_ceil(1_000_000)).unwrap_or(i32::MAX).max(1);
        let Some(side) = self.capture.as_ref().or(self.playback.as_deref()) else { return };
        if side.pcm.fill(&mut self.fds).is_err() {
            self.fault_suspected = true;
            self.empty_wakes = EMPTY_WAKE_COUNT_MAX;
            return;
        }
        match poll(&mut self.fds, ms) {
            Ok(0) => {}
            Ok(_) => {
                self.empty_wakes += 1;
                // Required after every poll, because plugins clear their event in it.
                let flags = side.pcm.revents(&self.fds);
                self.fault_suspected |=
                    flags.map_or(true, |flags| flags.intersects(Flags::ERR | Flags::HUP | Flags::NVAL));
            }
            Err(e) => self.fault_suspected |= errno(&e) != libc::EINTR,
        }
    }

    /// Sleeps for a short time, whatever the device does.
    pub(super) fn nap(&mut self) {
        self.sleeps += 1;
        pause(self.nap_ns());
    }

    /// After a wait: if it slept, the frames that are ready beyond those at which the driver wakes the thread show how late
    /// it ran.
    pub(super) fn measure_lateness(&mut self, has_slept: bool) {
        let frames = self.ready_frames.saturating_sub(self.wake_frames);
        let is_known = has_slept && self.wake_frames > 0;
        self.late = if is_known { Frames(frames).duration(self.facts.rate) } else { Duration::ZERO };
    }

    /// Nanoseconds of a short sleep: a quarter of a period, 1 to 5 ms.
    fn nap_ns(&self) -> u64 {
        (self.period_ns() / 4).clamp(1_000_000, 5_000_000)
    }

    pub(super) fn frames_since_start(&self, now_ns: u64) -> f64 {
        now_ns.saturating_sub(self.started_ns) as f64 * f64::from(self.facts.rate.0) / 1e9
    }

    /// Frames by which a device with a clock may be ahead: old frames of a sound server, and prefilled playback.
    pub(super) fn burst_frames(&self) -> f64 {
        (self.prefill.frames() + 2 * self.facts.period_frames) as f64 + f64::from(self.facts.rate.0) * 0.1
    }

    pub(super) fn stuck_after_ns(&self) -> u64 {
        (if self.progress_count == 0 { NEVER_BEGAN_NS } else { STUCK_NS }) + self.period_ns() * 4
    }

    pub(super) fn period_ns(&self) -> u64 {
        self.frames_ns(self.facts.period_frames as u64)
    }
}
