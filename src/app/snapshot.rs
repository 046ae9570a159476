//! The snapshot: the state that the front end draws, as plain values. Thread: control builds one when something has
//! changed or the last one was taken; any thread may read it.
//!
//! A window in another process gets the meters, the playhead and the counters from the [live page](super::live), and the
//! rest as a message when it has changed.

use super::jobs::{DoctorView, ExportView, StressView};
use super::settings::Settings;
use crate::butler::spool::SpoolPlace;
use crate::control::Severity;
pub use crate::control::recording::PassPhase;
use crate::device::Listed;
use crate::histogram::Counts;
use crate::message::Motion;
use crate::session::session_file::KeptVersion;
use crate::session::{Session, TakeId, TrackId};
use crate::time::{FramePos, Frames, SampleRate};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The whole state that the front end draws.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Commands that were carried out before the snapshot was built.
    pub commands_done: u64,
    /// Whether the next snapshot differs although nothing changes: the playhead rolls, a meter moves, a job runs.
    pub moves: bool,
    /// Changes so far that a front end draws at once.
    pub changes: u64,
    /// Number of the present set of inputs, tracks and takes. Values of the [live page](super::live) belong to one set.
    pub shape: u64,
    /// Whether a session and a device are open.
    pub stage: Stage,
    /// The session; while none is open, the last one or an empty one.
    #[serde(skip, default = "empty_session")]
    pub session: Arc<Session>,
    /// Changes whenever the session does.
    pub revision: u64,
    /// The session's folder.
    #[serde(with = "crate::serial::path")]
    pub folder: PathBuf,
    /// The label of the change that undo reverts; `None`: there is nothing to undo.
    pub undo: Option<String>,
    /// The label of the change that redo repeats.
    pub redo: Option<String>,
    pub transport: Transport,
    /// One meter for each device input.
    #[serde(skip)]
    pub inputs: Vec<Meter>,
    /// One meter for each track, in the order of the session. It shows the input while the track records or monitors
    /// it, and the takes otherwise.
    #[serde(skip)]
    pub tracks: Vec<Meter>,
    /// Meters of the mix, left and right.
    #[serde(skip)]
    pub master: [Meter; 2],
    /// The device that is open.
    pub device: DeviceView,
    pub health: Health,
    /// The command that was refused last, until another command is carried out.
    pub refusal: Option<Refusal>,
    /// The effect of the last command, if the user may not see it, until another command is carried out.
    pub note: Option<Note>,
    /// The recording that ended last, until the next one begins.
    pub made: Option<Made>,
    pub figures: EngineFigures,
    /// Free space of the session's disk; `None` until it has been read.
    pub disk_space: Option<DiskSpace>,
    /// Notices of this start, the latest last; their number is limited.
    #[serde(skip)]
    pub notices: Arc<Vec<EventEntry>>,
    /// Events of earlier starts from the session's flight recorder, the latest last; their number is limited.
    #[serde(skip)]
    pub earlier: Arc<Vec<EventEntry>>,
    /// Devices that can be chosen; empty until they have been listed.
    #[serde(skip)]
    pub devices: Arc<Vec<Listed>>,
    #[serde(skip)]
    pub settings: Arc<Settings>,
    /// The doctor's findings: `None` before the first examination, `Some(None)` during one.
    #[serde(skip)]
    pub doctor: DoctorView,
    pub export: ExportView,
    pub stress: StressView,
}

/// Whether a session and a device are open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stage {
    Opening,
    Open,
    /// Open for playback only, for this reason.
    ReadOnly(String),
    /// Closing. The last sound is being written to the disk.
    Closing,
    /// The session cannot be opened.
    NoSession {
        /// Why, and what to do.
        reason: String,
        /// Kept versions that can be restored, the latest first.
        versions: Vec<KeptVersion>,
    },
    /// The device cannot be opened. The session is shown without it.
    NoDevice {
        /// Why, and what to do.
        reason: String,
        /// The device of a sound server that can be used in its place.
        instead: Option<String>,
    },
    /// Control has failed. Nothing is open any more; the window can only be closed.
    Failed {
        /// A sentence that names the thread.
        reason: String,
    },
}

/// The playhead, the running pass and the transport's switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transport {
    pub motion: Motion,
    /// The playhead's position.
    pub position: FramePos,
    /// The timeline's sample rate.
    pub rate: SampleRate,
    pub pass: Option<PassView>,
    /// The selected range: from, until.
    pub range: Option<(FramePos, FramePos)>,
    /// Whether playback loops over the selected range.
    pub loops: bool,
    /// Whether recording punches in and out at the selected range.
    pub punches: bool,
}

/// A pass that is being prepared, recorded or finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassView {
    pub phase: PassPhase,
    /// The position on the timeline of the first frame behind `head`.
    pub start: FramePos,
    /// Frames at the beginning of the takes that would lie before the timeline.
    pub head: Frames,
    /// Frames recorded so far.
    pub frames: Frames,
    /// The takes being recorded, and their tracks.
    #[serde(with = "crate::serial::shared")]
    pub takes: Arc<Vec<(TrackId, TakeId)>>,
    /// Losses so far: position on the timeline and length.
    #[serde(with = "crate::serial::shared")]
    pub losses: Arc<Vec<(FramePos, Frames)>>,
    /// Where the spool files of the takes are; `None`: sound goes directly into the WAV files.
    pub spool: Option<SpoolPlace>,
}

/// A meter's values; full scale is 1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meter {
    /// The highest absolute sample since the last snapshot.
    pub peak: f32,
    /// Root mean square over some 300 ms.
    pub rms: f32,
}

/// All meters at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Meters {
    pub(super) inputs: Vec<Meter>,
    pub(super) tracks: Vec<Meter>,
    pub(super) master: [Meter; 2],
}

impl Meters {
    /// Raises the peaks to those of `other`. Peaks of other inputs or tracks have no effect.
    pub(super) fn raise_peaks(&mut self, other: &Meters) {
        raise(&mut self.inputs, &other.inputs);
        raise(&mut self.tracks, &other.tracks);
        raise(&mut self.master, &other.master);
    }
}

fn raise(meters: &mut [Meter], others: &[Meter]) {
    if meters.len() == others.len() {
        meters.iter_mut().zip(others).for_each(|(meter, other)| meter.peak = meter.peak.max(other.peak));
    }
}

/// The device that is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceView {
    /// The name as `--device` takes it.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// Sample rate in Hz.
    pub rate: u32,
    pub inputs: usize,
    pub outputs: usize,
    /// Frames in a period.
    pub period: usize,
    /// Milliseconds from input to output, estimated as two periods.
    pub latency_ms: f32,
    /// Whether it is the built-in device.
    pub is_virtual: bool,
    /// Whether the device has gone and the program waits for it to return.
    pub gone: bool,
    /// The name under which the settings keep its offset, see [`Settings::offsets`].
    pub offset_key: String,
    /// Why takes that are recorded to playback may be too early or too late, and what to do about it. `None`: they lie where the
    /// user hears the playback, as far as is known.
    pub placing: Option<String>,
}

/// The health line under the transport.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub severity: Severity,
    /// The first sentence: "All is well.", "The device is gone."
    pub head: String,
    /// Figures that follow the head: "24 tracks", "1.8 s lead", "0 frames lost".
    pub parts: Vec<String>,
    /// Advice for the user, if there is any.
    pub advice: Option<String>,
    /// The button that does what the advice says.
    pub cure: Option<Cure>,
    /// The sound that a crash and a power cut would cost now, one sentence each.
    pub safety: Vec<String>,
}

/// The first words of the event about a recorder that has died. The window writes it, and the health line adds to it what
/// the next recorder has recovered.
pub const RECORDER_ENDED: &str = "The recorder ended unexpectedly";

/// The headline of the notice about a recording that was recovered at the start.
pub const WAS_CUT_OFF: &str = "A recording was cut off.";

/// A button next to an advice, by its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cure {
    /// Choose the folder in which takes continue.
    ChooseOverflowFolder,
    ChooseDevice,
    /// Open another session.
    OpenSession,
    /// Open this device of a sound server, because a program holds the card.
    UseDevice(String),
    /// Record the tracks whose inputs the device has, and no others. The number is that of these inputs.
    UseInputs(usize),
    /// Let the doctor examine the machine.
    Examine,
    /// Show the kept versions of the session.
    ShowVersions,
    SwitchLoopOff,
    /// The user has read it.
    Acknowledge,
}

impl Cure {
    /// Text of the button.
    pub fn label(&self) -> String {
        match self {
            Cure::ChooseOverflowFolder => "Choose another disk\u{2026}".to_owned(),
            Cure::ChooseDevice => "Choose a device\u{2026}".to_owned(),
            Cure::OpenSession => "Open a session\u{2026}".to_owned(),
            Cure::UseDevice(_) => "Use the sound server".to_owned(),
            Cure::UseInputs(1) => "Use this input".to_owned(),
            Cure::UseInputs(inputs) => format!("Use these {inputs} inputs"),
            Cure::Examine => "Open Doctor".to_owned(),
            Cure::ShowVersions => "Show versions".to_owned(),
            Cure::SwitchLoopOff => "Switch Loop off".to_owned(),
            Cure::Acknowledge => "OK".to_owned(),
        }
    }
}

/// A command that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Counts refusals and notes of this start together, so that the same sentence can be shown again.
    pub number: u64,
    /// A sentence: the thing, the reason, what to do.
    pub text: String,
    pub cure: Option<Cure>,
}

/// The effect of a command that the user may not see: an undo, or a removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Counts notes and refusals of this start together.
    pub number: u64,
    pub text: String,
}

/// A recording that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Number of the pass in the session.
    pub pass: u32,
    /// Number of its files.
    pub files: usize,
    /// Length of the recording.
    pub frames: Frames,
    /// The folder of the first file.
    #[serde(with = "crate::serial::path")]
    pub folder: PathBuf,
    /// The other folder in which takes continued, as text. Empty if there is none.
    pub continued_in: String,
    /// All takes of the pass, those that continued in other files included.
    pub takes: Vec<TakeId>,
    /// The outcome: what was lost, in a sentence. Empty if nothing was.
    pub trouble: String,
}

/// Figures of engine, butler and disk. They count from the start of the running pass, or, without a pass, from the
/// opening of the device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EngineFigures {
    /// Page faults of the audio thread that needed no disk; `None`: the kernel has not reported them.
    pub minor_faults: Option<u64>,
    /// Page faults of the audio thread that waited for the disk or for a locked page.
    pub major_faults: Option<u64>,
    /// Xruns of the device.
    pub xruns: u64,
    /// Recorded frames that were lost.
    pub frames_lost: u64,
    /// Frames of tracks that playback did not have in time.
    pub frames_dropped: u64,
    /// Seconds of lead of the track that has least; `None` while nothing rolls.
    pub lead_s: Option<f64>,
    /// The shortest lead of the running pass.
    pub lead_min_s: Option<f64>,
    /// The lead that the butler aims at.
    pub lead_aim_s: f64,
    /// Cycle times of the audio thread.
    #[serde(skip)]
    pub cycles: Option<Arc<Counts>>,
    /// Microseconds of a period. A cycle must not take longer.
    pub deadline_us: f64,
    /// Bytes of memory that are locked.
    pub locked_bytes: u64,
    /// Bytes of memory that may be locked.
    pub locked_limit: u64,
    /// The longest commit of a window.
    pub commit_us_max: u64,
    /// The longest sync.
    pub sync_us_max: u64,
    /// The longest supply of a window.
    pub supply_us_max: u64,
    /// Bytes that wait for the disk.
    pub backlog_bytes: u64,
    /// Bytes that the spool holds.
    pub spool_bytes: u64,
    /// Bytes that the spool may hold.
    pub spool_bytes_max: u64,
    /// The newest sound of the recording that a power cut would cost.
    pub durable_age: Option<Duration>,
    /// Scheduling class and priority of the audio thread.
    pub scheduling: String,
    /// `spool` or `in-place`.
    pub capture_path: String,
}

impl EngineFigures {
    /// Whether everything but the counters is the same.
    fn is_like(&self, other: &EngineFigures) -> bool {
        (&self.scheduling, &self.capture_path) == (&other.scheduling, &other.capture_path)
            && (self.lead_aim_s, self.deadline_us) == (other.lead_aim_s, other.deadline_us)
            && (self.locked_limit, self.spool_bytes_max) == (other.locked_limit, other.spool_bytes_max)
    }
}

/// The name of a disk that has none of its own.
pub const THIS_DISK: &str = "this disk";

/// Free space of the session's disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskSpace {
    pub free_bytes: u64,
    /// Recording time for the armed tracks, or for all tracks if none is armed.
    pub seconds: f64,
    /// The disk's name on the screen: the last component of its mount point, or "this disk".
    pub disk: String,
}

/// One entry of the Events panel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventEntry {
    /// Time since the program's start; zero for an entry of an earlier start.
    pub at: Duration,
    /// Local time of day, `hh:mm:ss`; for an entry of an earlier start, day and minute.
    pub clock: String,
    pub severity: Severity,
    pub text: String,
    /// Whether the user has acknowledged it.
    pub seen: bool,
    /// The first words of the health line, which shows this entry until it is acknowledged. `None`: it does not.
    pub headline: Option<String>,
}

/// A session without tracks, for a snapshot that has none of its own yet.
fn empty_session() -> Arc<Session> {
    let rate = SampleRate(48_000);
    Arc::new(Session::new(uuid::Uuid::nil(), "", "", rate, crate::format::TakeFormat::S24))
}

impl Snapshot {
    /// The snapshot of an app in which nothing is open yet.
    pub fn empty() -> Snapshot {
        let rate = SampleRate(48_000);
        Snapshot {
            commands_done: 0,
            moves: true,
            changes: 0,
            shape: 0,
            stage: Stage::Opening,
            session: empty_session(),
            revision: 0,
            folder: PathBuf::new(),
            undo: None,
            redo: None,
            transport: Transport {
                motion: Motion::Stopped,
                position: FramePos(0),
                rate,
                pass: None,
                range: None,
                loops: false,
                punches: false,
            },
            inputs: Vec::new(),
            tracks: Vec::new(),
            master: [Meter::default(); 2],
            device: DeviceView::default(),
            health: Health { head: "Opening.".to_owned(), ..Health::default() },
            refusal: None,
            note: None,
            made: None,
            figures: EngineFigures::default(),
            disk_space: None,
            notices: Arc::default(),
            earlier: Arc::default(),
            devices: Arc::default(),
            settings: Arc::default(),
            doctor: None,
            export: ExportView::default(),
            stress: StressView::default(),
        }
    }

    pub(super) fn meters(&self) -> Meters {
        Meters { inputs: self.inputs.clone(), tracks: self.tracks.clone(), master: self.master }
    }

    pub(super) fn set_meters(&mut self, meters: Meters) {
        (self.inputs, self.tracks, self.master) = (meters.inputs, meters.tracks, meters.master);
    }

    /// Whether a window that has `other` has everything of this snapshot but what travels in the
    /// [live page](super::live).
    pub(super) fn is_like(&self, other: &Snapshot) -> bool {
        let Snapshot {
            commands_done,
            moves,
            changes: _,
            shape,
            stage,
            session,
            revision,
            folder,
            undo,
            redo,
            transport,
            inputs: _,
            tracks: _,
            master: _,
            device,
            health,
            refusal,
            note,
            made,
            figures,
            disk_space,
            notices,
            earlier,
            devices,
            settings,
            doctor,
            export,
            stress,
        } = other;
        let still = |transport: &Transport| {
            let pass = transport.pass.clone().map(|pass| PassView { frames: Frames(0), ..pass });
            Transport { motion: Motion::Stopped, position: FramePos(0), pass, ..transport.clone() }
        };
        let disk = |space: &Option<DiskSpace>| space.as_ref().map(|space| space.disk.clone());
        (self.commands_done, self.moves, self.shape, self.revision) == (*commands_done, *moves, *shape, *revision)
            && Arc::ptr_eq(&self.session, session)
            && Arc::ptr_eq(&self.notices, notices)
            && Arc::ptr_eq(&self.earlier, earlier)
            && Arc::ptr_eq(&self.devices, devices)
            && Arc::ptr_eq(&self.settings, settings)
            && (&self.stage, &self.folder, &self.undo, &self.redo) == (stage, folder, undo, redo)
            && still(&self.transport) == still(transport)
            && (&self.device, &self.health, &self.made) == (device, health, made)
            && (&self.refusal, &self.note) == (refusal, note)
            && self.figures.is_like(figures)
            && disk(&self.disk_space) == disk(disk_space)
            && (&self.doctor, &self.export, &self.stress) == (doctor, export, stress)
    }

    /// The state after everything was closed and not everything is on the disk, for `reason`: nothing runs any more.
    pub(crate) fn unsaved(&self, reason: &str) -> Snapshot {
        Snapshot { health: super::health::unsaved(reason), ..self.failed(reason) }
    }

    /// The state after control has failed for `reason`: nothing runs any more.
    pub(crate) fn failed(&self, reason: &str) -> Snapshot {
        let stage = Stage::Failed { reason: reason.to_owned() };
        Snapshot {
            health: super::health::failed(reason),
            stage,
            moves: false,
            transport: Transport { motion: Motion::Stopped, pass: None, ..self.transport.clone() },
            ..self.clone()
        }
    }
}
