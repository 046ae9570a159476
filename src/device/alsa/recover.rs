//! Diagnosis of a PCM that failed, and the start and restart of a pair of PCMs. Thread: audio.

use super::pcm::{Kind, errno, state};
use super::playback::captured_before;
use super::side::Side;
use super::transfer::Skip;
use super::{AlsaDevice, Check, Phase};
use crate::device::{LossCause, Wake};
use ::alsa::PCM;
use std::fmt;

/// Most restarts without a period in between. The device of a killed sound server accepts every restart and never
/// delivers anything.
const ATTEMPT_COUNT_MAX: u32 = 8;

/// Nanoseconds between the first two restarts; doubled for each further one.
const ATTEMPT_PAUSE_NS: u64 = 2_000_000;

/// Why a device counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The driver reported that the device is gone.
    Unplugged,
    /// The device runs, reports no error and delivers nothing.
    Stuck,
    /// The device delivered nothing after several restarts.
    RestartsFailed,
    /// Another program asked for the card by device reservation.
    AskedFor,
    /// The sound server replaced the source of the inputs by another one.
    SourceReplaced,
    /// A call failed with this error number, which a restart cannot fix.
    Failed(i32),
}

impl Gone {
    /// The reason as a sentence for the user.
    pub const fn text(self) -> &'static str {
        match self {
            Gone::Unplugged => "the device was unplugged or its driver went away",
            Gone::Stuck => "the device stopped delivering without reporting an error",
            Gone::AskedFor => "another program asked for the card, and nothing was being recorded",
            Gone::SourceReplaced => "the sound server took its source away",
            Gone::RestartsFailed => "the device was restarted several times and delivered nothing",
            Gone::Failed(libc::EIO) => "the device or its sound server failed (input/output error)",
            Gone::Failed(_) => "the device failed",
        }
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The fault of a PCM that should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An overrun or underrun, or somebody else stopped the PCM. A restart helps.
    Xrun,
    /// The machine was suspended. A restart helps.
    Suspend,
    /// A restart does not help.
    Gone(Gone),
}

/// The fault of `pcm`, or `None` if it runs. Asks the driver by `avail`, because `avail_update` may not reach it. A driver
/// that answers as if nothing were wrong is judged by `transfer_error`, the error of the last transfer of samples.
pub(super) fn diagnose(pcm: &PCM, transfer_error: Option<i32>) -> Option<Fault> {
    let avail = pcm.avail().map_err(|e| errno(&e));
    let state = pcm.state_raw();
    fault_of(state, avail).or_else(|| fault_of(state, Err(transfer_error?)))
}

/// The fault of a PCM in `state` whose last call gave `answer`: frames, or an error number.
fn fault_of(state: i32, answer: Result<i64, i32>) -> Option<Fault> {
    match (state, answer) {
        (state::DISCONNECTED, _) | (_, Err(libc::ENODEV | libc::ENXIO | libc::EBADF)) => {
            Some(Fault::Gone(Gone::Unplugged))
        }
        (state::SUSPENDED, _) | (_, Err(libc::ESTRPIPE)) => Some(Fault::Suspend),
        // EBADFD: the state does not fit the call, for example after the other side of a linked pair stopped.
        (state::XRUN, _) | (_, Err(libc::EPIPE | libc::EBADFD)) => Some(Fault::Xrun),
        (_, Err(libc::EAGAIN | libc::EINTR)) | (state::RUNNING, Ok(_)) => None,
        (_, Err(other)) => Some(Fault::Gone(Gone::Failed(other))),
        (_, Ok(_)) => Some(Fault::Xrun),
    }
}

/// Counts restarts since the last period, and knows when the next one is due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RestartAttempts {
    attempts: u32,
    next_ns: u64,
}

impl RestartAttempts {
    /// The device delivered a period: forgets earlier restarts.
    pub(super) fn reset(&mut self) {
        *self = RestartAttempts::default();
    }

    /// The time at which the next restart is due.
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Counts a restart at `now_ns`, however many there were. Returns whether there were too many already.
    pub(super) fn attempt_again(&mut self, now_ns: u64) -> bool {
        let too_many = ATTEMPT_COUNT_MAX <= self.attempts;
        self.attempts = self.attempts.min(ATTEMPT_COUNT_MAX - 1);
        let counted = self.attempt(now_ns);
        debug_assert!(counted);
        too_many
    }

    /// Counts a restart at `now_ns`. Returns `false` if there were too many already.
    #[must_use]
    pub(super) fn attempt(&mut self, now_ns: u64) -> bool {
        if ATTEMPT_COUNT_MAX <= self.attempts {
            return false;
        }
        self.next_ns = now_ns + (ATTEMPT_PAUSE_NS << self.attempts);
        self.attempts += 1;
        true
    }
}

impl AlsaDevice {
    /// The device is gone: stops both sides.
    pub(super) fn give_up(&mut self, reason: Gone) -> Check {
        self.phase = Phase::Gone(reason);
        for side in self.capture.iter().chain(self.playback.as_deref()) {
            side.pcm.drop().ok();
        }
        Check::Report(Wake::Gone)
    }

    /// Handles a fault of the pacing side.
    pub(super) fn fail(&mut self, fault: Fault) -> Check {
        self.phase = match fault {
            Fault::Xrun => Phase::Broken(LossCause::Xrun),
            Fault::Suspend => Phase::Broken(LossCause::Suspend),
            Fault::Gone(reason) => return self.give_up(reason),
        };
        self.restart_if_broken()
    }

    fn restart_if_broken(&mut self) -> Check {
        match self.phase {
            Phase::Broken(cause) => self.restart(cause),
            _ => Check::Nothing(None),
        }
    }

    /// Restarts the device if the next attempt is due.
    pub(super) fn restart(&mut self, cause: LossCause) -> Check {
        let now_ns = self.now_ns();
        if now_ns < self.restart_attempts.next_ns() {
            return Check::Nothing(Some(self.restart_attempts.next_ns()));
        }
        if !self.restart_attempts.attempt(now_ns) {
            return self.give_up(Gone::RestartsFailed);
        }
        if self.capture.is_none() {
            self.prefill.ran_dry(now_ns);
        }
        self.hand_over_server();
        let playback = if self.playback_gone { None } else { self.playback.as_deref_mut() };
        // The calls of a server's stream may wait for the server, and the inputs lose sound meanwhile.
        let is_server = playback.as_ref().is_some_and(|side| side.kind == Kind::Server);
        let order = if is_server { Order::CaptureFirst } else { Order::Together };
        match start_pair(self.capture.as_mut(), playback, self.prefill.frames(), self.facts.linked, order) {
            Ok(started) => {
                self.phase = Phase::Running;
                self.prefill.started(self.now_ns());
                self.drift.restart(self.facts.rate.0);
                self.blocks.restart();
                self.latency.restart(self.prefill.frames());
                (self.unmeasured, self.gap_reading) = (Some(self.unmeasured.unwrap_or(cause)), None);
                let are_away = self.playback.is_none() && self.outputs.is_some();
                self.playback_failed = self.playback_gone || are_away || started == Started::CaptureAlone;
                let before = match (&self.capture, &self.playback) {
                    (Some(capture), Some(playback)) if is_server && !self.playback_failed => {
                        captured_before(capture, playback, self.prefill.frames())
                    }
                    _ => 0,
                };
                self.skip = Skip::silent(before);
                self.progress_ns = self.now_ns();
                self.progress_count = self.position;
                Check::Nothing(None)
            }
            Err((_, libc::ENODEV | libc::ENXIO | libc::EBADF)) => self.give_up(Gone::Unplugged),
            Err((_, libc::EIO)) => self.give_up(Gone::Failed(libc::EIO)),
            Err(_) => Check::Nothing(Some(self.restart_attempts.next_ns())),
        }
    }
}

/// A call that failed, and its error number.
pub(super) type CallError = (&'static str, i32);

/// The sides that run after a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Started {
    All,
    /// Playback did not start.
    CaptureAlone,
}

/// The order in which a pair is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Both sides are made ready, then both are started.
    Together,
    /// Capture runs before anything is done with playback.
    CaptureFirst,
}

/// Stops both sides and starts them: together if `linked`, otherwise one after the other. Playback begins with
/// `prefill` frames of silence. A playback side that fails beside capture is no error, because the inputs must not wait
/// for the outputs.
pub(super) fn start_pair(
    capture: Option<&mut Side>,
    playback: Option<&mut Side>,
    prefill: usize,
    linked: bool,
    order: Order,
) -> Result<Started, CallError> {
    let (capture, playback) = match (capture, playback) {
        (Some(capture), Some(playback)) => (capture, playback),
        (Some(side), None) => {
            make_ready(&side.pcm)?;
            return start(&side.pcm).map(|()| Started::All);
        }
        (None, playback) => return playback.map_or(Ok(()), |side| start_filled(side, prefill)).map(|()| Started::All),
    };
    make_ready(&capture.pcm)?;
    let started = |playback: Result<(), CallError>| if playback.is_ok() { Started::All } else { Started::CaptureAlone };
    if order == Order::CaptureFirst {
        start(&capture.pcm)?;
        return Ok(started(start_filled(playback, prefill)));
    }
    if make_ready(&playback.pcm).and_then(|()| fill(playback, prefill)).is_err() {
        start(&capture.pcm)?;
        return Ok(Started::CaptureAlone);
    }
    // The sides are linked for the start only. If they stayed linked, an underrun of the small playback buffer would
    // also stop capture, and a dropout in playback would become a gap in the recording.
    let linked = linked && capture.pcm.link(&playback.pcm).is_ok();
    let together = start(&capture.pcm);
    if linked {
        // If unlinking fails, both sides stop together. That costs more, but is correct.
        capture.pcm.unlink().ok();
    }
    if linked && together.is_err() {
        // The other side may have refused.
        make_ready(&capture.pcm)?;
        start(&capture.pcm)?;
        return Ok(Started::CaptureAlone);
    }
    together?;
    Ok(started(if playback.pcm.state_raw() == state::RUNNING { Ok(()) } else { start(&playback.pcm) }))
}

/// Restarts playback while capture continues. The first try leaves the stream as it is: a sound server then keeps the
/// stream at its place, and the program's other streams lose nothing. A stream that is dropped leaves the server's graph,
/// which the server then arranges again.
pub(super) fn start_playback(side: &mut Side, prefill: usize) -> Result<(), CallError> {
    let is_dry = side.pcm.state_raw() == state::XRUN;
    if is_dry && side.pcm.prepare().is_ok() && fill(side, prefill).is_ok() && start(&side.pcm).is_ok() {
        return Ok(());
    }
    start_filled(side, prefill)
}

/// Stops `side` and starts it with `prefill` frames of silence.
pub(super) fn start_filled(side: &mut Side, prefill: usize) -> Result<(), CallError> {
    make_ready(&side.pcm)?;
    fill(side, prefill)?;
    start(&side.pcm)
}

fn make_ready(pcm: &PCM) -> Result<(), CallError> {
    if pcm.state_raw() == state::SUSPENDED {
        // Not every driver can resume. `prepare` is enough for the others.
        pcm.resume().ok();
    }
    // Fails if the PCM does not run, which is fine.
    pcm.drop().ok();
    pcm.prepare().map_err(|e| ("snd_pcm_prepare", errno(&e)))
}

pub(super) fn fill(side: &mut Side, prefill: usize) -> Result<(), CallError> {
    side.written = 0;
    match side.write_silence(prefill) {
        Ok(written) if written == prefill => Ok(()),
        Ok(_) => Err(("snd_pcm_writei", libc::EAGAIN)),
        Err(e) => Err(("snd_pcm_writei", e)),
    }
}

pub(super) fn start(pcm: &PCM) -> Result<(), CallError> {
    if pcm.state_raw() == state::RUNNING {
        return Ok(());
    }
    debug_assert_eq!(pcm.state_raw(), state::PREPARED);
    pcm.start().map_err(|e| ("snd_pcm_start", errno(&e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_answers_as_if_it_ran_is_judged_by_the_error_of_its_transfer() {
        assert_eq!(fault_of(state::RUNNING, Ok(64)), None);
        let judged = |errno| fault_of(state::RUNNING, Err(errno));
        assert_eq!(judged(libc::EIO), Some(Fault::Gone(Gone::Failed(libc::EIO))));
        assert_eq!(judged(libc::ENODEV), Some(Fault::Gone(Gone::Unplugged)));
        assert_eq!((judged(libc::EPIPE), judged(libc::ESTRPIPE)), (Some(Fault::Xrun), Some(Fault::Suspend)));
        assert_eq!((judged(libc::EAGAIN), judged(libc::EINTR)), (None, None));
    }

    #[test]
    fn restarts_are_limited_and_a_delivered_period_allows_them_again() {
        let mut restart_attempts = RestartAttempts::default();
        for n in 0..ATTEMPT_COUNT_MAX {
            assert!(restart_attempts.attempt(1000), "attempt {n}");
            assert_eq!(restart_attempts.next_ns(), 1000 + (ATTEMPT_PAUSE_NS << n));
        }
        assert!(!restart_attempts.attempt(1000));
        restart_attempts.reset();
        assert!(restart_attempts.attempt(0));
    }
}
