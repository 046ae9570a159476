//! The states of a pass, from the command to its report. Thread: control. Pure: it reads no clock, sends nothing and
//! waits for nothing. The time and every fact come with an event; everything that is to be done is a returned effect.
//!
//! ```text
//!   Opening ---> Preparing ---> AwaitingSave ---> Rolling ---> Finishing ---> Ended
//!      |             |                |                            ^
//!      |             +----------------+-- refused, stopped --------+
//!      +-- no files: Ended             a butler or committer that failed ends every state
//! ```
//!
//! | state | the pass waits for |
//! |---|---|
//! | `Opening` | the WAV files, of the mirror too, and the session in memory that lists them |
//! | `Preparing` | the windows that the butler makes |
//! | `AwaitingSave` | a durable session that lists the takes: recovery finds no sound without it; a device that is reopened |
//! | `Rolling` | the audio thread, which has the pass |
//! | `Finishing` | the committers, which write the last sound; then the new names of the files, if tracks were renamed |
//!
//! `F` are the files and `W` the windows: the machine hands them on and looks into neither.

use crate::time::{FramePos, Frames};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The longest that a pass waits for the mirror's files to be created before it begins without them.
pub(super) const MIRROR_OPEN_TIME_MAX: Duration = Duration::from_secs(3);
/// The longest that a pass whose own takes are finished waits for the mirror's takes.
pub(super) const MIRROR_FINISH_TIME_MAX: Duration = Duration::from_secs(20);
/// The longest that a pass waits for the new names of its files. They can come later, too.
pub(super) const NAMING_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest that a pass waits while the session that lists its takes cannot be saved.
pub(super) const UNSAVED_TIME_MAX: Duration = Duration::from_secs(3);
/// How often new names are chosen for the files of a pass.
pub(super) const NAME_COLLISIONS_MAX: u32 = 8;

/// Length, losses and start of a pass at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Ended {
    pub(in crate::control) frames: Frames,
    pub(in crate::control) lost: Frames,
    pub(in crate::control) xruns: u32,
    pub(in crate::control) playback_xruns: u32,
    pub(in crate::control) began: FramePos,
}

/// The phases of a pass for a front end, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PassPhase {
    /// Files and windows are being made, and the session that lists them is being saved.
    Preparing,
    /// The audio thread has the pass and has recorded nothing yet: the pre-roll runs, up to the punch-in.
    Waiting,
    Recording,
    /// Recording has ended and the last sound is being written to the disk.
    Finishing,
}

/// An input of the machine.
#[derive(Debug)]
pub(in crate::control) enum Event<F, W> {
    /// The committer has created the WAV files.
    FilesCreated(F),
    /// The committer could not create them. `names_taken`: other files have their names.
    FilesRefused { reason: String, names_taken: bool },
    /// The session in memory lists the takes from this revision on.
    Listed(u64),
    /// The mirror's files are created, or refused.
    MirrorSettled,
    /// The butler has made the windows.
    WindowsReady(W),
    /// The butler could not make them.
    WindowsRefused(String),
    /// The pass is to end.
    Stop,
    /// The audio thread has recorded the first frame, at this position of the timeline.
    Began(FramePos),
    /// The audio thread has recorded the last frame and given every window back.
    AudioEnded(Ended),
    /// All takes of the session, not of the mirror, are finished.
    TakesFinished,
    /// No file of the pass needs a new name.
    NamesFit,
    /// The butler or the committer of this name has failed.
    ThreadFailed(String),
    /// Time has passed.
    Tick(Facts),
}

/// The facts that control observes without an event.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Facts {
    pub(in crate::control) now: Instant,
    /// The last revision of the session that recovery would find after a kill.
    pub(in crate::control) recoverable: u64,
    /// The last revision that the saver has tried; `u64::MAX` if it cannot try any more.
    pub(in crate::control) tried: u64,
    /// If the audio thread has ended: the pass as far as it was recorded.
    pub(in crate::control) audio_thread_ended: Option<Ended>,
    /// Whether the mirror has every take, or is not used.
    pub(in crate::control) is_mirror_finished: bool,
    /// Whether no file is being renamed.
    pub(in crate::control) are_files_named: bool,
    /// Whether the device is being opened again for its outputs, which takes a moment.
    pub(in crate::control) is_device_reopening: bool,
}

/// Something that control is to do.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::control) enum Effect<F, W> {
    /// Save the session, which lists the takes. Answer with [`Event::Listed`].
    Save,
    /// Record without the mirror.
    GiveUpMirror,
    /// Let the butler make windows for these files.
    Prepare(F),
    /// Give the pass to the audio thread.
    SendRecord(W),
    /// Let the audio thread end the pass.
    SendStop,
    /// The pass begins at another position of the timeline than the session's takes.
    MoveTakes(FramePos),
    /// Let the butler and the committers finish the takes.
    Finish(Ended),
    /// Place the finished takes on their tracks, and save.
    PlaceTakes,
    /// Give the files of the takes the present names of their tracks. Answer with [`Event::NamesFit`] if all have them.
    NameFiles,
    /// Tell the user.
    Notify(Problem),
    /// Forget the takes, which have no file, and begin again with other names.
    OpenAgain,
    /// Forget the takes, which have no file, and tell the user why.
    Forget(String),
    /// The pass is over: report it.
    Report(Ended),
    /// Nobody can finish the takes: leave them to the next start.
    Abandon,
}

/// A message for the user.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::control) enum Problem {
    /// The windows could not be made, for this reason.
    NoWindows(String),
    /// The session that lists the takes cannot be saved.
    Unsaved,
    /// The thread of this name has failed.
    ThreadFailed(String),
}

#[derive(Debug)]
enum State<F, W> {
    Opening(Opening<F>),
    Preparing {
        listed_by: u64,
    },
    AwaitingSave {
        windows: W,
        listed_by: u64,
        /// Since when the session could not be saved.
        unsaved_since: Option<Instant>,
    },
    Rolling {
        is_stop_sent: bool,
        has_begun: bool,
    },
    Finishing {
        ended: Ended,
        has_rolled: bool,
        waits_for: WaitsFor,
    },
    Ended,
}

/// The work that a pass waits for at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    /// The takes of the session.
    Takes,
    /// The takes of the mirror, since this moment.
    Mirror { since: Option<Instant> },
    /// The names of the files, since this moment.
    Names { since: Instant },
}

/// The answers that [`State::Opening`] has so far.
#[derive(Debug)]
struct Opening<F> {
    files: Option<F>,
    listed_by: Option<u64>,
    /// Since when the pass waits for the mirror's files; `None`: it does not.
    mirror_since: Option<Instant>,
}

/// A pass as control follows it.
#[derive(Debug)]
pub(in crate::control) struct Machine<F, W> {
    state: State<F, W>,
    /// Position of the first frame: a guess of the command until the audio thread reports it.
    start: FramePos,
    /// Whether the user stopped the pass before the audio thread had it.
    is_stopped: bool,
    /// How often the files could not be created because other files had their names.
    name_collisions: u32,
}

type Step<F, W> = (State<F, W>, Vec<Effect<F, W>>);

#[expect(clippy::needless_pass_by_value, reason = "an event is used up by the state that takes it")]
impl<F, W> Machine<F, W> {
    /// A pass whose files are being created. `mirror_since`: the moment from which on it waits for a mirror.
    pub(in crate::control) fn new(start: FramePos, mirror_since: Option<Instant>, name_collisions: u32) -> Self {
        let opening = Opening { files: None, listed_by: None, mirror_since };
        Machine { state: State::Opening(opening), start, is_stopped: false, name_collisions }
    }

    /// Takes an event, and returns what is to be done, in order.
    pub(in crate::control) fn on(&mut self, event: Event<F, W>) -> Vec<Effect<F, W>> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        let (state, effects) = self.next(state, event);
        self.state = state;
        effects
    }

    /// The phase for a front end. `is_recording`: the audio thread has published frames of the pass, which it does
    /// before its event arrives.
    pub(in crate::control) fn phase(&self, is_recording: bool) -> PassPhase {
        match self.state {
            State::Opening(_) | State::Preparing { .. } | State::AwaitingSave { .. } => PassPhase::Preparing,
            State::Rolling { has_begun, .. } if has_begun || is_recording => PassPhase::Recording,
            State::Rolling { .. } => PassPhase::Waiting,
            State::Finishing { .. } | State::Ended => PassPhase::Finishing,
        }
    }

    /// Position of the first frame, a guess until the audio thread has recorded it.
    pub(in crate::control) fn start(&self) -> FramePos {
        self.start
    }

    /// Whether the audio thread has, or had, the pass.
    pub(in crate::control) fn has_rolled(&self) -> bool {
        matches!(self.state, State::Rolling { .. } | State::Finishing { has_rolled: true, .. })
    }

    /// Whether the audio thread has reported the first frame, so that [`Machine::start`] is no guess.
    pub(in crate::control) fn has_begun(&self) -> bool {
        matches!(self.state, State::Rolling { has_begun: true, .. })
    }

    /// Whether the audio thread has the pass.
    pub(in crate::control) fn is_rolling(&self) -> bool {
        matches!(self.state, State::Rolling { .. })
    }

    /// The end of the pass; `None` before its last frame.
    pub(in crate::control) fn ended(&self) -> Option<&Ended> {
        match &self.state {
            State::Finishing { ended, .. } => Some(ended),
            _ => None,
        }
    }

    fn next(&mut self, state: State<F, W>, event: Event<F, W>) -> Step<F, W> {
        match (state, event) {
            (State::Ended, _) => (State::Ended, Vec::new()),
            (state, Event::ThreadFailed(name)) => thread_failed(state, name),
            (State::Opening(opening), event) => self.opening(opening, event),
            (State::Preparing { listed_by }, event) => self.preparing(listed_by, event),
            (State::AwaitingSave { windows, listed_by, unsaved_since }, event) => {
                awaiting_save(windows, listed_by, unsaved_since, event)
            }
            (State::Rolling { is_stop_sent, has_begun }, event) => self.rolling(is_stop_sent, has_begun, event),
            (State::Finishing { ended, has_rolled, waits_for }, event) => {
                finishing(ended, has_rolled, waits_for, event)
            }
        }
    }

    fn opening(&mut self, mut opening: Opening<F>, event: Event<F, W>) -> Step<F, W> {
        let mut effects = Vec::new();
        match event {
            Event::FilesCreated(files) => {
                opening.files = Some(files);
                effects.push(Effect::Save);
            }
            Event::FilesRefused { names_taken: true, .. }
                if self.name_collisions < NAME_COLLISIONS_MAX && !self.is_stopped =>
            {
                return (State::Ended, vec![Effect::OpenAgain]);
            }
            Event::FilesRefused { reason, .. } => return (State::Ended, vec![Effect::Forget(reason)]),
            Event::Listed(revision) if opening.files.is_some() => opening.listed_by = Some(revision),
            Event::MirrorSettled => opening.mirror_since = None,
            Event::Stop => {
                self.is_stopped = true;
                effects.extend(opening.mirror_since.take().map(|_| Effect::GiveUpMirror));
            }
            Event::Tick(facts) if opening.files.is_some() => {
                let late =
                    opening.mirror_since.take_if(|since| MIRROR_OPEN_TIME_MAX <= facts.now.duration_since(*since));
                effects.extend(late.map(|_| Effect::GiveUpMirror));
            }
            Event::Listed(_)
            | Event::WindowsReady(_)
            | Event::WindowsRefused(_)
            | Event::Began(_)
            | Event::AudioEnded(_)
            | Event::TakesFinished
            | Event::NamesFit
            | Event::ThreadFailed(_)
            | Event::Tick(_) => {}
        }
        match opening {
            Opening { files: Some(files), listed_by: Some(listed_by), mirror_since: None } => {
                effects.push(Effect::Prepare(files));
                (State::Preparing { listed_by }, effects)
            }
            opening => (State::Opening(opening), effects),
        }
    }

    fn preparing(&mut self, listed_by: u64, event: Event<F, W>) -> Step<F, W> {
        match event {
            // The windows are dropped: the audio thread never had them.
            Event::WindowsReady(_) if self.is_stopped => without_a_frame(Vec::new()),
            Event::WindowsReady(windows) => {
                (State::AwaitingSave { windows, listed_by, unsaved_since: None }, Vec::new())
            }
            Event::WindowsRefused(reason) => without_a_frame(vec![Effect::Notify(Problem::NoWindows(reason))]),
            Event::Stop => {
                self.is_stopped = true;
                (State::Preparing { listed_by }, Vec::new())
            }
            Event::FilesCreated(_)
            | Event::FilesRefused { .. }
            | Event::Listed(_)
            | Event::MirrorSettled
            | Event::Began(_)
            | Event::AudioEnded(_)
            | Event::TakesFinished
            | Event::NamesFit
            | Event::ThreadFailed(_)
            | Event::Tick(_) => (State::Preparing { listed_by }, Vec::new()),
        }
    }

    fn rolling(&mut self, is_stop_sent: bool, has_begun: bool, event: Event<F, W>) -> Step<F, W> {
        match event {
            Event::Stop => {
                let effects = if is_stop_sent { Vec::new() } else { vec![Effect::SendStop] };
                (State::Rolling { is_stop_sent: true, has_begun }, effects)
            }
            Event::Began(at) => (State::Rolling { is_stop_sent, has_begun: true }, self.moved_to(at)),
            // `Began` can be missing: the audio thread drops an event if its queue is full.
            Event::AudioEnded(ended) | Event::Tick(Facts { audio_thread_ended: Some(ended), .. }) => {
                let effects = if ended.frames > Frames(0) { self.moved_to(ended.began) } else { Vec::new() };
                finish(ended, true, effects)
            }
            Event::FilesCreated(_)
            | Event::FilesRefused { .. }
            | Event::Listed(_)
            | Event::MirrorSettled
            | Event::WindowsReady(_)
            | Event::WindowsRefused(_)
            | Event::TakesFinished
            | Event::NamesFit
            | Event::ThreadFailed(_)
            | Event::Tick(_) => (State::Rolling { is_stop_sent, has_begun }, Vec::new()),
        }
    }

    fn moved_to(&mut self, at: FramePos) -> Vec<Effect<F, W>> {
        let before = std::mem::replace(&mut self.start, at);
        if before == at { Vec::new() } else { vec![Effect::MoveTakes(at)] }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an event is used up by the state that takes it")]
fn awaiting_save<F, W>(
    windows: W,
    listed_by: u64,
    mut unsaved_since: Option<Instant>,
    event: Event<F, W>,
) -> Step<F, W> {
    match event {
        Event::Stop => return without_a_frame(Vec::new()),
        // The pass would begin with silence.
        Event::Tick(facts) if listed_by <= facts.recoverable && facts.is_device_reopening => {}
        Event::Tick(facts) if listed_by <= facts.recoverable => {
            let rolling = State::Rolling { is_stop_sent: false, has_begun: false };
            return (rolling, vec![Effect::SendRecord(windows)]);
        }
        Event::Tick(facts) if listed_by <= facts.tried => {
            let since = *unsaved_since.get_or_insert(facts.now);
            if UNSAVED_TIME_MAX <= facts.now.duration_since(since) {
                return without_a_frame(vec![Effect::Notify(Problem::Unsaved)]);
            }
        }
        Event::FilesCreated(_)
        | Event::FilesRefused { .. }
        | Event::Listed(_)
        | Event::MirrorSettled
        | Event::WindowsReady(_)
        | Event::WindowsRefused(_)
        | Event::Began(_)
        | Event::AudioEnded(_)
        | Event::TakesFinished
        | Event::NamesFit
        | Event::ThreadFailed(_)
        | Event::Tick(_) => {}
    }
    (State::AwaitingSave { windows, listed_by, unsaved_since }, Vec::new())
}

fn finishing<F, W>(ended: Ended, has_rolled: bool, mut waits_for: WaitsFor, event: Event<F, W>) -> Step<F, W> {
    let mut effects = Vec::new();
    match (event, waits_for) {
        (Event::TakesFinished, WaitsFor::Takes) => {
            waits_for = WaitsFor::Mirror { since: None };
            effects.push(Effect::PlaceTakes);
        }
        (Event::Tick(facts), WaitsFor::Mirror { since }) => {
            let since = since.unwrap_or(facts.now);
            waits_for = WaitsFor::Mirror { since: Some(since) };
            if facts.is_mirror_finished || MIRROR_FINISH_TIME_MAX < facts.now.duration_since(since) {
                waits_for = WaitsFor::Names { since: facts.now };
                effects.push(Effect::NameFiles);
            }
        }
        (Event::NamesFit, WaitsFor::Names { .. }) => return (State::Ended, vec![Effect::Report(ended)]),
        (Event::Tick(facts), WaitsFor::Names { since })
            if facts.are_files_named || NAMING_TIME_MAX < facts.now.duration_since(since) =>
        {
            return (State::Ended, vec![Effect::Report(ended)]);
        }
        (
            Event::FilesCreated(_)
            | Event::FilesRefused { .. }
            | Event::Listed(_)
            | Event::MirrorSettled
            | Event::WindowsReady(_)
            | Event::WindowsRefused(_)
            | Event::Stop
            | Event::Began(_)
            | Event::AudioEnded(_)
            | Event::TakesFinished
            | Event::NamesFit
            | Event::ThreadFailed(_)
            | Event::Tick(_),
            _,
        ) => {}
    }
    (State::Finishing { ended, has_rolled, waits_for }, effects)
}

/// Nobody can finish takes without the butler and the committer. Their sound stays in the spool for a recovery.
#[expect(clippy::needless_pass_by_value, reason = "a state is used up by the next one")]
fn thread_failed<F, W>(state: State<F, W>, name: String) -> Step<F, W> {
    let mut effects = Vec::new();
    match state {
        State::Finishing { ended, waits_for: WaitsFor::Mirror { .. } | WaitsFor::Names { .. }, .. } => {
            return (State::Ended, vec![Effect::Report(ended), Effect::Notify(Problem::ThreadFailed(name))]);
        }
        State::Rolling { is_stop_sent: false, .. } => effects.push(Effect::SendStop),
        State::Finishing { .. } => effects.push(Effect::PlaceTakes),
        State::Opening(_)
        | State::Preparing { .. }
        | State::AwaitingSave { .. }
        | State::Rolling { .. }
        | State::Ended => {}
    }
    effects.extend([Effect::Abandon, Effect::Notify(Problem::ThreadFailed(name))]);
    (State::Ended, effects)
}

fn finish<F, W>(ended: Ended, has_rolled: bool, mut effects: Vec<Effect<F, W>>) -> Step<F, W> {
    effects.push(Effect::Finish(ended));
    (State::Finishing { ended, has_rolled, waits_for: WaitsFor::Takes }, effects)
}

/// Ends a pass that the audio thread never had. Its files exist and become takes without a frame.
fn without_a_frame<F, W>(effects: Vec<Effect<F, W>>) -> Step<F, W> {
    finish(Ended::default(), false, effects)
}

#[cfg(test)]
mod tests;
