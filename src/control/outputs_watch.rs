//! Outputs that are gone while the inputs run, where both are of one card or one stream of a server: opens the device again when
//! the outputs are there and no other program holds them. Thread: control; the thread outputs-watch looks for them.
//!
//! Outputs on another card than the inputs come back by themselves (`device::alsa`). Here the whole device is opened,
//! which interrupts its inputs, so this waits until nothing is recorded. An attempt that brings outputs that fail soon interrupts
//! them in vain, so the pause before each further attempt is longer.

use super::Control;
use crate::device;
use crate::host::{self, Thread};
use crate::message::AudioCommand;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::time::{Duration, Instant};

/// Pause before the first look for the outputs.
const PAUSE_FIRST: Duration = Duration::from_millis(500);

/// The longest pause before the first look. The pause is doubled after each attempt in vain.
const PAUSE_MAX: Duration = Duration::from_secs(256);

/// Outputs that fail within this time after an attempt were opened in vain.
const LASTING: Duration = Duration::from_secs(60);

/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(640);

/// Stack of the thread. A driver's library runs on it.
const STACK_BYTES: usize = 2 << 20;

/// Control's state of outputs that are gone.
#[derive(Default)]
pub(super) struct OutputsWatch {
    state: State,
    /// Attempts in a row that were in vain.
    failures: u32,
    /// The last attempt.
    attempted: Option<Instant>,
    /// When the audio thread was asked for the device that has not delivered since.
    reopening: Option<Instant>,
}

#[derive(Default)]
enum State {
    /// The device has its outputs, or is gone as a whole.
    #[default]
    Idle,
    /// The outputs are gone.
    Away,
    /// The outputs are gone, and a thread looks for them.
    Looking(Look),
    /// The audio thread is to give the device back.
    Released,
}

/// The thread that looks for the outputs. Dropping this ends it and does not wait.
struct Look {
    is_there: Receiver<()>,
    /// Dropping the sender ends the thread.
    stop: Sender<()>,
    thread: Thread,
}

/// Time in which the audio thread gives the device back, a driver opens it, and it delivers.
const ANSWER_MAX: Duration = Duration::from_secs(1);

impl Look {
    fn start(name: String, first: Duration) -> Option<Look> {
        let (sender, is_there) = bounded(1);
        let (stop, stopped) = bounded::<()>(0);
        let thread = host::spawn("outputs-watch", STACK_BYTES, move || {
            let mut pause = first;
            while host::receive_timeout(&stopped, pause) == Err(RecvTimeoutError::Timeout) {
                pause = LOOK_PAUSE;
                if device::is_free(&name, false) {
                    sender.try_send(()).ok();
                    return;
                }
            }
        });
        Some(Look { is_there, stop, thread: thread.ok()? })
    }
}

impl OutputsWatch {
    /// The outputs are gone, and the inputs run.
    pub(super) fn outputs_are_away(&mut self, now: Instant) {
        let in_vain = self.attempted.take().is_some_and(|attempted| now < attempted + LASTING);
        self.failures = if in_vain { self.failures.saturating_add(1) } else { 0 };
        self.state = State::Away;
    }

    /// Whether the audio thread gives the device back because this asked for it.
    pub(super) fn is_released(&self) -> bool {
        matches!(self.state, State::Released)
    }

    /// Whether the device is being opened again and has not delivered yet. A device that does not deliver within
    /// [`ANSWER_MAX`] is not waited for.
    pub(super) fn is_reopening(&self, now: Instant) -> bool {
        self.reopening.is_some_and(|since| now < since + ANSWER_MAX)
    }

    /// The device that was opened again delivers.
    pub(super) fn device_delivers(&mut self) {
        self.reopening = None;
    }

    /// The device was opened again.
    pub(super) fn device_opened(&mut self) {
        self.state = State::Idle;
    }

    /// Pause before the first look.
    fn pause(&self) -> Duration {
        PAUSE_FIRST.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX)
    }

    /// Whether it is time to open the device again. `may_look`: nothing is recorded, and the device is there.
    fn poll(&mut self, may_look: bool, name: &str) -> bool {
        match &self.state {
            State::Away if may_look => {
                self.state = Look::start(name.to_owned(), self.pause()).map_or(State::Away, State::Looking);
            }
            State::Looking(_) if !may_look => self.state = State::Away,
            // The audio thread keeps the device if a pass has begun before it read the request.
            State::Released if !may_look && self.attempted.is_none_or(|at| at + ANSWER_MAX < host::now()) => {
                self.state = State::Away;
            }
            State::Looking(look) if look.is_there.try_recv().is_ok() => {
                self.release(host::now());
                return true;
            }
            _ => {}
        }
        false
    }

    fn release(&mut self, now: Instant) {
        (self.state, self.attempted, self.reopening) = (State::Released, Some(now), Some(now));
    }

    /// Ends the search and waits for its thread: it must not hold the device when another session opens it.
    pub(super) fn finish(&mut self) {
        if let State::Looking(Look { stop, thread, .. }) = std::mem::take(&mut self.state) {
            drop(stop);
            // A panic of the thread loses nothing but the attempt.
            thread.join().ok();
        }
    }
}

impl Control {
    /// Asks the audio thread for the device when its outputs are there again and nothing is recorded.
    pub(super) fn poll_outputs(&mut self) {
        let may_look = !self.is_recording() && self.lost_device.is_none();
        if self.outputs_watch.poll(may_look, &self.spec.name) {
            self.send(AudioCommand::ReleaseDevice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_in_vain_makes_the_next_pause_longer() {
        let (mut watch, now) = (OutputsWatch::default(), host::now());
        watch.outputs_are_away(now);
        assert_eq!(watch.pause(), PAUSE_FIRST);
        for attempt in 1..12 {
            watch.release(now);
            watch.device_opened();
            assert!(matches!(watch.state, State::Idle));
            watch.outputs_are_away(now);
            assert!(matches!(watch.state, State::Away));
            assert_eq!(watch.pause(), (PAUSE_FIRST * 2_u32.pow(attempt)).min(PAUSE_MAX));
        }
        watch.release(now);
        watch.device_opened();
        watch.outputs_are_away(now + LASTING);
        assert_eq!(watch.pause(), PAUSE_FIRST);
    }

    #[test]
    fn a_device_that_is_released_is_waited_for_until_it_delivers_and_for_a_second_at_most() {
        let (mut watch, now) = (OutputsWatch::default(), host::now());
        assert!(!watch.is_reopening(now));
        watch.release(now);
        assert!(watch.is_reopening(now) && !watch.is_reopening(now + ANSWER_MAX));
        // A recording that began here began with silence: the device was found, and had delivered nothing.
        watch.device_opened();
        assert!(watch.is_reopening(now) && !watch.is_reopening(now + ANSWER_MAX));
        watch.outputs_are_away(now);
        assert!(watch.is_reopening(now), "it may come back without its outputs");
        watch.device_delivers();
        assert!(!watch.is_reopening(now));
    }
}
