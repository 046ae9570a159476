//! Outputs on another card than the inputs, or of a sound server: a thread restarts them and opens them again while the
//! inputs run. Thread: outputs; audio gives it sides and takes them back.
//!
//! Closing, opening and filling a PCM allocates, and a sound server's PCM may wait for the server in each call. So the audio
//! thread puts a side that failed into a ring of one place and continues without outputs. The thread puts the side that is ready
//! into another one. A side of a card is not started: the audio thread does that, in step with the inputs. A side of a server
//! runs already, because its start may wait too.

use super::arrival::Attempts;
use super::delays::unreported_frames;
use super::name::lasting;
use super::open::{open_reserved_outputs, prefill_of};
use super::pcm::{Kind, quiet, state};
use super::playback::{playback_wake, skew};
use super::prefill::Prefill;
use super::recover::{fill, start, start_playback};
use super::side::Side;
use super::transfer::Skip;
use super::{AlsaDevice, Check, NEVER_BEGAN_NS, STUCK_NS};
use crate::device::{DeviceSpec, Wake};
use crate::window::process;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause between two looks at the ring while the outputs play.
const RING_PAUSE: Duration = Duration::from_millis(20);

/// Time that closing the device waits for the thread. A driver or a server may hold it up.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Stack of the thread. A driver's library runs on it.
const STACK_BYTES: usize = 2 << 20;

/// The thread and the rings to it. Dropping this ends the thread and waits for it, at most [`END_PATIENCE`].
pub(super) struct Outputs {
    failed: Producer<Failed>,
    ready: Consumer<Ready>,
    /// Dropping the sender ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A side for the thread.
enum Failed {
    /// A server's side that is to be restarted with this number of frames of silence.
    Restart(Box<Side>, usize),
    /// A side that is to be closed, and opened again.
    Reopen(Box<Side>),
}

/// A side for the audio thread: filled, and running if it is a server's.
struct Ready {
    side: Box<Side>,
    /// The prefill of a side that was opened again; a restarted one has that of before.
    prefill: Option<Prefill>,
}

/// The outputs to open.
struct Wanted {
    spec: DeviceSpec,
    pcm: String,
    /// Frames of the period of the inputs.
    period: usize,
}

impl Outputs {
    /// Starts the thread for `outputs` channels of the PCM `pcm`, beside inputs with periods of `period` frames. With
    /// `are_away` it opens them at once. `None` if the system gives no thread.
    pub(super) fn follow(
        spec: &DeviceSpec,
        pcm: &str,
        outputs: usize,
        period: usize,
        are_away: bool,
    ) -> Option<Outputs> {
        let (failed, of_audio) = RingBuffer::new(1);
        let (to_audio, ready) = RingBuffer::new(1);
        let (stop, stopped) = bounded(0);
        // The card may come back with another number.
        let spec = DeviceSpec { outputs: Some(outputs), ..spec.clone() };
        let wanted = Wanted { spec, pcm: lasting(pcm), period };
        let thread = std::thread::Builder::new().name("outputs".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn(move || run(&wanted, of_audio, to_audio, &stopped, are_away)).ok()?;
        Some(Outputs { failed, ready, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + END_PATIENCE;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            // A panic of the thread loses nothing but the outputs.
            thread.join().ok();
        }
    }
}

/// The body of the thread.
fn run(
    wanted: &Wanted,
    mut failed: Consumer<Failed>,
    mut ready: Producer<Ready>,
    stopped: &Receiver<()>,
    are_away: bool,
) {
    let _quiet = quiet();
    if are_away {
        open_when_there(wanted, &mut ready, stopped);
    }
    while stopped.recv_timeout(RING_PAUSE) == Err(RecvTimeoutError::Timeout) {
        match failed.pop() {
            Ok(Failed::Restart(mut side, prefill)) => {
                // Without dropping the stream, if it ran dry: a stream that is dropped leaves the server's graph, and the inputs
                // lose sound.
                if start_playback(&mut side, prefill).is_ok() {
                    hand_over(Ready { side, prefill: None }, &mut ready);
                } else {
                    drop(side);
                    open_when_there(wanted, &mut ready, stopped);
                }
            }
            Ok(Failed::Reopen(side)) => {
                drop(side);
                open_when_there(wanted, &mut ready, stopped);
            }
            Err(_) => {}
        }
    }
}

fn hand_over(side: Ready, ready: &mut Producer<Ready>) {
    // The ring has room: the audio thread has no side that it could give before it has taken this one.
    ready.push(side).ok();
}

/// Opens the outputs as soon as they are there, and gives them to the audio thread.
fn open_when_there(wanted: &Wanted, ready: &mut Producer<Ready>, stopped: &Receiver<()>) {
    let mut attempts = Attempts::first(&format!("alsa:-,{}", wanted.pcm));
    loop {
        if let Some(side) = open(wanted) {
            // A server's side runs already. `attempts` is dropped after this: its program takes up to a second to end, and
            // the side would run dry meanwhile.
            return hand_over(side, ready);
        }
        if !attempts.await_next(stopped, true) {
            return;
        }
    }
}

/// Opens the outputs and fills them.
fn open(wanted: &Wanted) -> Option<Ready> {
    let Wanted { spec, pcm, period } = wanted;
    let mut side = open_reserved_outputs(spec, Some(pcm), &mut Vec::new()).ok()?.side()?;
    let prefill = prefill_of(&side, spec.rate, *period, false);
    side.set_wake(&spec.name, playback_wake(&side, false, *period, prefill.frames())).ok()?;
    fill(&mut side, prefill.frames()).ok()?;
    // The side is new memory. Touch every page now, so that the audio thread does not fault on it.
    process::populate();
    if side.kind == Kind::Server {
        start(&side.pcm).ok()?;
    }
    Some(Ready { side, prefill: Some(prefill) })
}

impl AlsaDevice {
    /// Takes the side that the thread has made ready, and brings it in step with the inputs.
    pub(super) fn adopt_playback(&mut self) {
        let Some(Ok(Ready { mut side, prefill })) = self.outputs.as_mut().map(|outputs| outputs.ready.pop()) else {
            return;
        };
        if side.kind != Kind::Server && start(&side.pcm).is_err() {
            self.give_to_thread(Failed::Reopen(side));
            return;
        }
        let now_ns = self.now_ns();
        if let Some(prefill) = prefill {
            self.prefill = prefill;
            self.playback_restart_attempts.reset();
        }
        self.prefill.started(now_ns);
        let frames = self.prefill.frames();
        let ahead = self.capture.as_ref().and_then(|capture| skew(capture, &side, frames)).unwrap_or(0);
        // Output for frames that were captured before the start would be late. A server's stream has run for some time and
        // has played more than was captured since: silence in the place of that brings it in step.
        let behind = ahead.min(0).unsigned_abs() as usize;
        self.playback_failed = side.write_silence(behind) != Ok(behind);
        self.skip = Skip::silent(ahead.max(0) as usize);
        (self.playback_gone, self.playback_late) = (false, false);
        self.playback_progress = (now_ns, 0);
        self.drift.restart(self.facts.rate.0);
        self.latency.set_unreported(unreported_frames(self.capture.as_ref().map(|side| side.delay), Some(side.delay)));
        self.latency.restart(frames);
        self.playback = Some(side);
    }

    /// Gives a server's stream to the thread before the inputs are restarted: each of its calls may wait for the server.
    pub(super) fn hand_over_server(&mut self) {
        if self.outputs.is_some()
            && let Some(side) = self.playback.take_if(|side| side.kind == Kind::Server)
        {
            self.give_to_thread(Failed::Restart(side, self.prefill.frames()));
        }
    }

    /// The outputs are gone: the thread closes them and opens them again.
    pub(super) fn reopen_playback(&mut self) -> Option<Check> {
        let side = self.playback.take()?;
        self.give_to_thread(Failed::Reopen(side));
        Some(self.outputs_are_away())
    }

    /// No side is here. Tells of that once, when the thread has had the outputs for longer than a restart takes.
    pub(super) fn tell_of_away_outputs(&mut self, now_ns: u64) -> Option<Check> {
        let is_long = STUCK_NS < now_ns.saturating_sub(self.playback_progress.0);
        if self.outputs.is_none() || self.playback_gone || !is_long {
            return None;
        }
        Some(self.outputs_are_away())
    }

    fn outputs_are_away(&mut self) -> Check {
        (self.playback_gone, self.playback_late, self.outage_told) = (true, false, true);
        Check::Report(Wake::Changed)
    }

    /// A server's outputs ran dry or are out of step: the thread restarts them. After many restarts in a row it opens them
    /// again, because a stream whose server was started again accepts restarts and plays nothing.
    pub(super) fn restart_by_thread(&mut self, now_ns: u64) -> Option<Check> {
        if self.playback_restart_attempts.attempt_again(now_ns) {
            return self.reopen_playback();
        }
        let side = self.playback.take()?;
        self.give_to_thread(Failed::Restart(side, self.prefill.frames()));
        Some(Check::Report(Wake::PlaybackXrun))
    }

    /// Whether the outputs run and have played nothing for so long that a restart does not help. Only for outputs that can be
    /// opened again while the inputs run.
    pub(super) fn is_playback_stuck(&mut self, now_ns: u64) -> bool {
        let Some(side) = self.playback.as_ref().filter(|_| self.outputs.is_some()) else { return false };
        let Ok(room) = side.pcm.avail_update() else { return false };
        // Written frames take room; frames that are played give it back.
        let count = side.written.wrapping_add_signed(room);
        if self.playback_progress.1 != count || side.pcm.state_raw() != state::RUNNING {
            self.playback_progress = (now_ns, count);
            return false;
        }
        let has_begun = (side.buffer_frames as u64) < count;
        let limit_ns = if has_begun { STUCK_NS } else { NEVER_BEGAN_NS } + 4 * self.period_ns();
        limit_ns < now_ns.saturating_sub(self.playback_progress.0)
    }

    /// Puts a side into the ring to the thread. Without room, which the rings do not allow to happen, the side stays.
    fn give_to_thread(&mut self, failed: Failed) {
        // A side that the thread has just made ready and that does not start belongs to the same outage.
        if !self.playback_failed {
            self.playback_progress = (self.now_ns(), 0);
        }
        self.playback_failed = true;
        self.skip = Skip::default();
        let pushed = self.outputs.as_mut().map(|outputs| outputs.failed.push(failed));
        if let Some(Err(PushError::Full(Failed::Restart(side, _) | Failed::Reopen(side)))) = pushed {
            self.playback = Some(side);
        }
    }
}
