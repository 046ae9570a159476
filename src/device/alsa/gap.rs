//! Exact readings of the frame counter, and the frames that a restart lost. Thread: audio.

use super::clock::nanos;
use super::pcm::{errno, state};
use super::{AlsaDevice, Check};
use crate::device::{LossCause, Wake};
use std::time::Duration;

/// Most readings of the frame counter for one exact count.
const EXACT_READINGS_MAX: u32 = 256;

/// Nanoseconds for which the frames lost by a restart are measured. Longer than a step of the counters that are known: a
/// tick of a slow kernel's timer has 4 ms, a block of a sound server up to 43 ms at 48 kHz.
const GAP_READINGS_NS: u64 = 45_000_000;

/// Nanoseconds by which a stamp of the driver may lie before the reading. An older one is not of this reading.
const STAMP_AGE_NS: u64 = 1_000_000;

/// Pause between two of these readings: 12 frames at 48 kHz.
const GAP_PAUSE_NS: u64 = 250_000;

impl AlsaDevice {
    /// Counts the frames lost between the last frame lent and the first frame after a restart. The counters of many cards
    /// advance in steps: of a packet, of a tick of a timer. One reading is late by as much as a step, so readings are
    /// made for a while, and the one furthest ahead counts. The input waits in the buffer meanwhile.
    pub(super) fn measure(&mut self, cause: LossCause, now_ns: u64) -> Check {
        let Some(reading) = self.read_exact_count(1) else {
            (self.fault_suspected, self.gap_reading) = (true, None);
            return Check::Nothing(None);
        };
        let per_ns = f64::from(self.facts.rate.0) / 1e9;
        let lead = |(at_ns, moved): (u64, u64)| moved as f64 - at_ns as f64 * per_ns;
        let (since_ns, best) = self.gap_reading.unwrap_or((now_ns, reading));
        let best = if lead(best) < lead(reading) { reading } else { best };
        if now_ns < since_ns + self.gap_readings_ns() && reading.1 < self.facts.buffer_frames as u64 / 4 {
            self.gap_reading = Some((since_ns, best));
            return Check::Nothing(Some(now_ns + GAP_PAUSE_NS));
        }
        self.gap_reading = None;
        let (at_ns, moved) = best;
        let count = self.clock.estimate(at_ns).max(self.position + moved);
        let frames = count - moved - self.position;
        self.position += frames;
        self.clock.resume(at_ns, count);
        self.unmeasured = None;
        self.progress_count = count;
        Check::Report(Wake::Lost { frames, cause })
    }

    /// Nanoseconds for which a gap is measured. Playback must not run dry meanwhile.
    fn gap_readings_ns(&self) -> u64 {
        match (&self.capture, &self.playback) {
            (Some(_), None) => GAP_READINGS_NS,
            (Some(_), Some(_)) if self.playback_gone => GAP_READINGS_NS,
            (Some(_), Some(_)) => GAP_READINGS_NS.min(self.time_to(self.prefill.frames() as u64 / 4)),
            (None, _) => 0,
        }
    }

    /// An exact reading: a time, and the frames beyond [`AlsaDevice::position`] at that time. Reads the counter for the
    /// time of `frames` frames and returns the reading furthest ahead. A single reading of a whole number is late by
    /// half a frame on average, and fifty gaps would add up to a shift. The time is the driver's own stamp. Where it has
    /// none, the time is read after the count, so that an interruption between the two never makes a reading seem too far
    /// ahead.
    pub(super) fn read_exact_count(&self, frames: u64) -> Option<(u64, u64)> {
        let per_ns = f64::from(self.facts.rate.0) / 1e9;
        let from_ns = self.now_ns();
        let (mut best, mut best_lead) = (None, f64::MIN);
        for _ in 0..EXACT_READINGS_MAX {
            let (at_ns, moved) = self.stamped_count().ok()?;
            let passed = at_ns.saturating_sub(from_ns) as f64 * per_ns;
            if best_lead < moved as f64 - passed {
                (best, best_lead) = (Some((at_ns, moved)), moved as f64 - passed);
            }
            if frames as f64 <= passed {
                break;
            }
        }
        best
    }

    /// The time and the frames beyond [`AlsaDevice::position`], as exactly as one reading can have them.
    fn stamped_count(&self) -> Result<(u64, u64), i32> {
        let from_ns = self.now_ns();
        // A device that does not run has no count; the other call says why.
        if let Some(side) = self.pacing().filter(|side| side.stamps && side.pcm.state_raw() == state::RUNNING) {
            let status = side.pcm.status().map_err(|e| errno(&e))?;
            let stamp = status.get_htstamp();
            let stamp = Duration::new(stamp.tv_sec.unsigned_abs(), stamp.tv_nsec.unsigned_abs() as u32);
            let at_ns = nanos(stamp.saturating_sub(self.origin));
            let moved = self.beyond_position(side, status.get_avail());
            let now_ns = self.now_ns();
            let is_of_this = from_ns.saturating_sub(STAMP_AGE_NS) <= at_ns && at_ns <= now_ns;
            return Ok((if is_of_this { at_ns } else { now_ns }, moved));
        }
        let moved = self.moved(true)?;
        Ok((self.now_ns(), moved))
    }
}
