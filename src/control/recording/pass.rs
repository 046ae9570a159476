//! The data of a pass and of its takes. Thread: control.

use super::continuation::Placement;
use super::latency::PassLatency;
use super::losses::{AbsentInputs, ReportedLosses};
use super::machine::{Machine, PassPhase};
use crate::control::Control;
use crate::control::mirror::PassMirror;
use crate::control::overflow::{EarlierFile, Listing};
use crate::control::report::{AudioReport, Reading};
use crate::device::SourceNotice;
use crate::message::published::NO_PASS;
use crate::message::spool_file::ProgressFile;
use crate::message::take::{PassKey, TakePlan};
use crate::message::{Pass, PassRange};
use crate::session::{Session, TakeId, TrackId};
use crate::time::{FramePos, Frames};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

/// The state machine with the files and the windows of a pass.
pub(super) type PassMachine = Machine<Vec<Arc<File>>, Box<Pass>>;
/// An event of that machine.
pub(super) type PassEvent = super::machine::Event<Vec<Arc<File>>, Box<Pass>>;
/// An effect of that machine.
pub(super) type PassEffect = super::machine::Effect<Vec<Arc<File>>, Box<Pass>>;

/// A pass as the command asked for it.
#[derive(Clone)]
pub(super) struct PassRequest {
    /// The tracks that are recorded, and their inputs.
    pub(super) tracks: Vec<(TrackId, Vec<u32>)>,
    /// The range that the audio thread records. A punch is recorded later by the latency of the pass, because its sound is
    /// placed earlier by as much.
    pub(super) range: PassRange,
    /// The part of the timeline that a punch replaces.
    pub(super) punch: Option<(FramePos, FramePos)>,
    pub(super) latency: PassLatency,
    /// Where the transport goes if it passes the punch-in before the audio thread has the pass. `None`: the pass begins
    /// now, or the transport waits before the punch-in.
    pub(super) pre_roll_from: Option<FramePos>,
    /// How often the files could not be created because other files had their names.
    pub(super) name_collisions: u32,
}

/// A pass from the command until all its takes are finished.
pub struct RecordingPass {
    pub(in crate::control) key: PassKey,
    pub(super) machine: PassMachine,
    pub(super) request: PassRequest,
    pub(in crate::control) takes: Vec<RecordingTake>,
    pub(in crate::control) mirror: PassMirror,
    /// The last notice about continuations. All takes of a pass share one.
    pub(in crate::control) continuation_notice: String,
    /// By replica: how many steps of `WARNING_SECONDS` the disk's free space is below.
    pub(in crate::control) space_warnings: [usize; 2],
    /// The file of the progress page, once the butler has made it.
    pub(super) progress_file: Option<Arc<ProgressFile>>,
    /// The counters when the pass was sent to the audio thread.
    pub(super) start_reading: Option<Reading>,
    /// The work of the audio thread for the pass, once it has ended.
    pub(super) audio_report: Option<AudioReport>,
    pub(super) losses: ReportedLosses,
    pub(super) absent_inputs: AbsentInputs,
    /// Sentences about the source of the inputs that a sound server took away.
    pub(in crate::control) source_losses: Vec<SourceNotice>,
    /// Whether the notice about inputs that were silent before the pass was shown at its start.
    pub(in crate::control) has_told_of_silence: bool,
    pub(in crate::control) latency: PassLatency,
}

/// The present state of a pass, for a front end.
pub struct PassStatus {
    /// The phase of the pass.
    pub phase: PassPhase,
    /// Whether the audio thread has, or had, the pass.
    pub is_ready: bool,
    /// Where on the timeline the sound of the pass begins; a guess until the first frame was recorded.
    pub start: FramePos,
    /// Frames at the beginning of the takes that would lie before the timeline.
    pub head: Frames,
    /// Frames recorded so far.
    pub frames: Frames,
    /// The takes and their tracks. A take that continued in other files is its first file.
    pub takes: Vec<(TrackId, TakeId)>,
    /// The first lost ranges of the timeline.
    pub losses: Vec<(FramePos, Frames)>,
}

/// A take of the pass: one track's sound, in one file or, after a continuation, in several. The session lists each file
/// as a take.
pub(in crate::control) struct RecordingTake {
    /// The session's take for the present file.
    pub(in crate::control) id: TakeId,
    /// As sent to the committer; `plan.path` is the present file.
    pub(in crate::control) plan: TakePlan,
    pub(in crate::control) inputs: Vec<usize>,
    /// Frames lost by the device and by this take alone.
    pub(in crate::control) lost: Frames,
    pub(in crate::control) finished: bool,
    /// The problem of the present file.
    pub(in crate::control) trouble: Option<String>,
    /// The files before the present one, the oldest first.
    pub(in crate::control) earlier_files: Vec<EarlierFile>,
    /// Where the sound of the take goes.
    pub(in crate::control) placement: Placement<Listing>,
}

impl RecordingTake {
    /// A take that begins now, in its first file.
    pub(in crate::control) fn new(id: TakeId, plan: TakePlan, inputs: Vec<usize>) -> RecordingTake {
        RecordingTake {
            id,
            plan,
            inputs,
            lost: Frames(0),
            finished: false,
            trouble: None,
            earlier_files: Vec::new(),
            placement: Placement::default(),
        }
    }
}

impl PassStatus {
    /// Whether the first frame was recorded.
    pub fn has_begun(&self) -> bool {
        PassPhase::Recording <= self.phase
    }

    /// Whether the last frame was recorded.
    pub fn has_ended(&self) -> bool {
        self.phase == PassPhase::Finishing
    }
}

impl RecordingPass {
    /// The counters when the pass was sent to the audio thread.
    pub fn start_reading(&self) -> Option<&Reading> {
        self.start_reading.as_ref()
    }

    /// The name of the track that a capture belongs to.
    pub fn take_name(&self, capture: usize, session: &Session) -> String {
        self.takes.get(capture).map_or_else(String::new, |take| track_name(session, take.id))
    }
}

pub(in crate::control) fn take_description(track: &str, number: u32) -> String {
    format!("{track} take {number}")
}

pub(in crate::control) fn track_name(session: &Session, take: TakeId) -> String {
    let track = session.take(take).and_then(|take| session.track(take.track));
    track.map_or_else(|| "a track that was removed".to_owned(), |track| track.name().to_owned())
}

impl Control {
    /// The present state of the pass; `None` if none is on.
    pub fn pass_status(&self) -> Option<PassStatus> {
        let run = self.pass.as_ref()?;
        // The reader of the count also reads the recorded sound itself, to draw it.
        let recorded = Some(self.published().pass_frames.load(Acquire)).filter(|frames| *frames != NO_PASS);
        let place = run.takes.first().and_then(|take| Some(self.session.take(take.first_file())?.place()));
        let tracks = run.takes.iter().filter_map(|take| {
            let first = take.first_file();
            Some((self.session.take(first)?.track, first))
        });
        let ended = run.machine.ended().map(|ended| ended.frames);
        Some(PassStatus {
            phase: run.machine.phase(recorded.is_some()),
            is_ready: run.machine.has_rolled(),
            start: place.map_or(run.machine.start(), |place| place.start),
            head: Frames(place.map_or(0, |place| place.take_start.0)),
            frames: ended.or(recorded.map(Frames)).unwrap_or_default(),
            takes: tracks.collect(),
            losses: run.losses.shown.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::message::take::TakeKey;
    use crate::session::tests::recording;
    use crate::time::SampleRate;
    use crate::wav::header::Header;
    use uuid::Uuid;

    impl RecordingTake {
        /// A session with one take of input 0, which is being recorded.
        pub(in crate::control) fn example() -> (Session, RecordingTake) {
            let started = "2026-01-02T03:04:05+00:00";
            let (rate, format) = (SampleRate(48_000), TakeFormat::S24);
            let mut session = Session::new(Uuid::from_u128(1), "Test", started, rate, format);
            let track = session.add_track("Kick", &[0]).unwrap();
            let id = recording(&mut session, track, FramePos(0));
            let plan = TakePlan {
                key: TakeKey(1),
                identity: session.take(id).unwrap().uuid,
                session: session.id,
                path: "/own/audio/t.wav".into(),
                header: Header::new(1, rate.0, format),
                pair: None,
                head: Frames(0),
            };
            (session, RecordingTake::new(id, plan, vec![0]))
        }
    }
}
