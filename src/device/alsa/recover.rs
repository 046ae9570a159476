//! What went wrong with a PCM, and how a pair is started again. Thread: audio.

use super::pcm::{errno, state};
use super::side::Side;
use ::alsa::PCM;
use std::fmt;

/// Attempts to start a device again between two periods that it delivered. A killed sound server
/// accepts every attempt and delivers nothing, for ever.
const ATTEMPT_COUNT_MAX: u32 = 8;

/// Nanoseconds between the first two attempts; doubled for each further one.
const ATTEMPT_PAUSE_NS: u64 = 2_000_000;

/// Why a device counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The driver said so.
    Unplugged,
    /// It runs, reports no error and delivers nothing.
    Stuck,
    /// It was started again and again and did not deliver.
    RestartsFailed,
    /// A call failed with this error number, which has no cure.
    Failed(i32),
}

impl Gone {
    /// The reason in plain words.
    pub const fn text(self) -> &'static str {
        match self {
            Gone::Unplugged => "the device was unplugged or its driver went away",
            Gone::Stuck => "the device stopped delivering without reporting an error",
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

/// What is wrong with a PCM that should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Over- or underrun, or stopped by someone else: start it again.
    Xrun,
    /// The machine slept.
    Suspend,
    /// No cure.
    Gone(Gone),
}

/// What is wrong with `pcm`, asked of the driver itself: `avail` reaches it where `avail_update` may not.
/// `None`: nothing is.
pub(super) fn diagnose(pcm: &PCM) -> Option<Fault> {
    let avail = pcm.avail().map_err(|e| errno(&e));
    let state = pcm.state_raw();
    match (state, avail) {
        (state::DISCONNECTED, _) | (_, Err(libc::ENODEV | libc::ENXIO | libc::EBADF)) => {
            Some(Fault::Gone(Gone::Unplugged))
        }
        (state::SUSPENDED, _) | (_, Err(libc::ESTRPIPE)) => Some(Fault::Suspend),
        // EBADFD: the state does not fit the call, as after the other side of a linked pair was stopped.
        (state::XRUN, _) | (_, Err(libc::EPIPE | libc::EBADFD)) => Some(Fault::Xrun),
        (_, Err(libc::EAGAIN | libc::EINTR)) | (state::RUNNING, Ok(_)) => None,
        (_, Err(other)) => Some(Fault::Gone(Gone::Failed(other))),
        (_, Ok(_)) => Some(Fault::Xrun),
    }
}

/// Attempts without success, and when the next is due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RestartAttempts {
    attempts: u32,
    next_ns: u64,
}

impl RestartAttempts {
    /// The device delivered.
    pub(super) fn reset(&mut self) {
        *self = RestartAttempts::default();
    }

    /// When the next attempt is due.
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Counts an attempt at `now_ns`; `false` when there were enough.
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

/// A call that failed, and its error number.
pub(super) type CallError = (&'static str, i32);

/// Stops what runs, and starts both sides as one where `linked`, otherwise one after the other.
/// Playback begins with `prefill` frames of silence.
pub(super) fn start_pair(
    capture: Option<&mut Side>,
    mut playback: Option<&mut Side>,
    prefill: usize,
    linked: bool,
) -> Result<(), CallError> {
    if let Some(side) = &capture {
        make_ready(&side.pcm)?;
    }
    if let Some(side) = &mut playback {
        make_ready(&side.pcm)?;
        fill(side, prefill)?;
    }
    let Some(capture) = capture else {
        return playback.map_or(Ok(()), |side| start(&side.pcm));
    };
    let Some(playback) = playback else { return start(&capture.pcm) };
    // Linked for the start only. Linked for good, the shallow playback buffer running dry would stop
    // the deep capture buffer too, and a dropout that is only heard would become one that is recorded.
    let linked = linked && capture.pcm.link(&playback.pcm).is_ok();
    let started = start(&capture.pcm);
    if linked {
        // A refused unlink leaves them stopping as one: dearer, not wrong.
        capture.pcm.unlink().ok();
    }
    started?;
    if playback.pcm.state_raw() == state::RUNNING { Ok(()) } else { start(&playback.pcm) }
}

/// Starts playback again while capture goes on.
pub(super) fn start_playback(side: &mut Side, prefill: usize) -> Result<(), CallError> {
    make_ready(&side.pcm)?;
    fill(side, prefill)?;
    start(&side.pcm)
}

fn make_ready(pcm: &PCM) -> Result<(), CallError> {
    if pcm.state_raw() == state::SUSPENDED {
        // Not every driver resumes; prepare does for those that don't.
        pcm.resume().ok();
    }
    // Fails where nothing runs, which is what is wanted.
    pcm.drop().ok();
    pcm.prepare().map_err(|e| ("snd_pcm_prepare", errno(&e)))
}

fn fill(side: &mut Side, prefill: usize) -> Result<(), CallError> {
    match side.write_silence(prefill) {
        Ok(written) if written == prefill => Ok(()),
        Ok(_) => Err(("snd_pcm_writei", libc::EAGAIN)),
        Err(e) => Err(("snd_pcm_writei", e)),
    }
}

fn start(pcm: &PCM) -> Result<(), CallError> {
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
    fn patience_ends_and_a_delivered_period_restores_it() {
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
