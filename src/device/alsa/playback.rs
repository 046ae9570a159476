//! The playback side of a pair: keeps it in step with capture, restarts it, or gives it up. Thread: audio.

use super::pcm::{Kind, errno};
use super::recover::{Fault, diagnose, start_playback};
use super::side::Side;
use super::transfer::Skip;
use super::{AlsaDevice, Check, Phase};
use crate::device::{LossCause, Wake};
use ::alsa::pcm::Frames;

/// Wake threshold of playback to a sound server. PipeWire takes it for the block that the program delivers: with less
/// than the server's own block, a part of each block would be silence. It is the longest block of PipeWire.
const SERVER_BLOCK_FRAMES: usize = 2048;

/// The failure of outputs that are gone while the inputs run.
pub(super) const OUTPUTS_GONE: &str = "the outputs are gone and silent; the inputs continue; the outputs are opened again \
     when they are there and nothing is recorded";

/// The failure of outputs that are opened again during the recording.
pub(super) const OUTPUTS_AWAY: &str =
    "the outputs are gone and silent; the inputs continue; the outputs are opened again when they are back";

/// The failure of outputs that run dry at each restart.
pub(super) const OUTPUTS_LATE: &str =
    "the outputs are silent, because playback runs dry again and again; it is tried again, and capture continues";

/// Whether `failure`, of [`Device::failure`](crate::device::Device::failure), is one of the outputs alone. This is
/// realtime-safe.
pub fn is_outputs_failure(failure: &str) -> bool {
    [OUTPUTS_GONE, OUTPUTS_AWAY, OUTPUTS_LATE].contains(&failure)
}

/// Whether `failure` says that the outputs are gone until the whole device is opened again.
pub fn are_outputs_gone(failure: &str) -> bool {
    failure == OUTPUTS_GONE
}

impl AlsaDevice {
    /// Checks the playback side of a pair; restarts it or gives it up if it failed. `None`: nothing to report, the
    /// caller continues with capture. `period` is in frames, and `captured` frames wait in the capture ring.
    pub(super) fn check_playback(&mut self, period: u64, captured: u64) -> Option<Check> {
        if self.capture.is_none() || (self.playback_gone && self.outputs.is_none()) {
            return None;
        }
        let now_ns = self.now_ns();
        if self.playback.is_none() {
            self.adopt_playback();
        }
        if self.playback.is_none() {
            return self.tell_of_away_outputs(now_ns);
        }
        if self.is_playback_stuck(now_ns) {
            return self.reopen_playback();
        }
        let is_behind = self.capture.as_ref().is_some_and(|capture| falls_behind(captured, period, capture));
        let side = self.playback.as_mut()?;
        let room = side.pcm.avail_update().map_err(|e| errno(&e));
        if let (Ok(room), false) = (room, self.playback_failed) {
            if (period as i64) <= room || !self.skip.is_over() {
                return None;
            }
            let filled = (side.buffer_frames as i64 - room).max(0) as usize;
            if filled <= self.prefill.frames() + period as usize && !is_behind {
                // A buffer of two or three periods is full between two interrupts: wait for the next one.
                let short_ns = (period as i64 - room).max(0) as u64 * 1_000_000_000 / u64::from(self.facts.rate.0);
                return Some(Check::Nothing(Some(now_ns + short_ns)));
            }
            // The clock of playback is slower than that of capture, and its buffer is full. Skip output until the
            // buffer is filled as at the start. A buffer of two or three periods is never fuller, so skip a period.
            let frames = filled.saturating_sub(self.prefill.frames()).max(period as usize);
            self.skip_late(frames);
            return Some(Check::Report(Wake::PlaybackXrun));
        }
        let fault = diagnose(&side.pcm, None);
        // A side that had failed before is restarted alone: a restart of both would cost a gap in the recording each time.
        if fault == Some(Fault::Suspend) && !self.playback_failed && self.outputs.is_none() {
            self.phase = Phase::Broken(LossCause::Suspend);
            return None;
        }
        let is_gone = matches!(fault, Some(Fault::Gone(_)));
        if is_gone && self.outputs.is_some() {
            return self.reopen_playback();
        }
        if is_gone {
            self.outage_told = true;
            (self.playback_gone, self.playback_late, self.playback_failed) = (true, false, true);
            return Some(Check::Report(Wake::Changed));
        }
        if now_ns < self.playback_restart_attempts.next_ns() {
            self.playback_failed = true; // capture continues until the next attempt is due
            return None;
        }
        // A playback side that has not failed is restarted to bring it in step; its prefill was long enough. A card's was too
        // if the thread is behind: it gave no output while it was late, or while it waited for windows. A server delivers
        // more than two periods at once, so its captured frames do not tell.
        if fault == Some(Fault::Xrun) && !(is_behind && side.kind == Kind::Card) {
            self.prefill.ran_dry(now_ns);
        }
        if self.outputs.is_some() && side.kind == Kind::Server {
            return self.restart_by_thread(now_ns);
        }
        let (was_late, prefill) = (self.playback_late, self.prefill.frames());
        self.playback_late |= self.playback_restart_attempts.attempt_again(now_ns);
        self.playback_failed = start_playback(side, prefill).is_err();
        // Output for frames that were captured before the restart and are not fetched yet would be late: drop it.
        self.skip = Skip::silent(self.capture.as_ref().map_or(0, |capture| captured_before(capture, side, prefill)));
        self.prefill.started(self.now_ns());
        self.drift.restart(self.facts.rate.0);
        self.latency.restart(prefill);
        match (was_late, self.playback_late) {
            (false, true) => {
                self.outage_told = true;
                Some(Check::Report(Wake::Changed))
            }
            (true, _) => None,
            _ => Some(Check::Report(Wake::PlaybackXrun)),
        }
    }
}

/// Whether so many captured frames wait that capture must not wait for room in the playback buffer. In step, capture has a
/// period when playback has room for one. If playback is slower or stuck, capture would wait for it and lose frames.
fn falls_behind(captured: u64, period: u64, capture: &Side) -> bool {
    (2 * period).min(capture.buffer_frames as u64 / 2) < captured
}

/// Frames that `capture` held at the moment `playback` started with `prefill` frames.
pub(super) fn captured_before(capture: &Side, playback: &Side, prefill: usize) -> usize {
    skew(capture, playback, prefill).unwrap_or(0).max(0) as usize
}

/// Frames by which the counter of `capture` is ahead of that of `playback`, which was started with `prefill` frames. Both
/// counters are read now. The time since the start is the same in both and cancels out, so a late reading does no harm.
pub(super) fn skew(capture: &Side, playback: &Side, prefill: usize) -> Option<Frames> {
    let (mut skew, mut narrowest) = (None, Frames::MAX);
    for _ in 0..4 {
        let (first, room, second) = (capture.pcm.avail(), playback.pcm.avail(), capture.pcm.avail());
        let (Ok(first), Ok(room), Ok(second)) = (first, room, second) else { break };
        if second - first < narrowest {
            let played = prefill as Frames - (playback.buffer_frames as Frames - room);
            (skew, narrowest) = (Some(Frames::midpoint(first, second) - played), second - first);
        }
        if narrowest <= 1 {
            break;
        }
    }
    skew
}

/// Wake threshold of a playback side. Beside capture nobody waits for it; alone it paces the device.
pub(super) fn playback_wake(side: &Side, alone: bool, period: usize, prefill: usize) -> usize {
    match (side.kind, alone) {
        (Kind::Server, _) => SERVER_BLOCK_FRAMES.min(side.buffer_frames / 4).max(side.period_frames),
        (_, false) => period,
        // Paced by its whole buffer, output would be far ahead.
        (_, true) => side.buffer_frames - prefill + period,
    }
}
