//! What a face draws, taken once a frame. Thread: control makes it; nobody waits for it.

use super::jobs::{DoctorView, ExportView, StressView};
use super::settings::Settings;
use crate::control::Severity;
use crate::device::alsa::Listed;
use crate::histogram::Counts;
use crate::message::Motion;
use crate::session::session_file::KeptVersion;
use crate::session::{Session, TakeId, TrackId};
use crate::time::{FramePos, Frames, SampleRate};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whether a session and a device are open.
    pub stage: Stage,
    /// The session as it is now; an empty one while none is open.
    pub session: Arc<Session>,
    /// Changes whenever the session does.
    pub revision: u64,
    /// The session's folder.
    pub folder: PathBuf,
    /// What undo would take back, and redo do again.
    pub undo: Option<String>,
    /// See [`Snapshot::undo`].
    pub redo: Option<String>,
    /// Where the playhead is and what it does.
    pub transport: Transport,
    /// A level per device input.
    pub inputs: Vec<Meter>,
    /// A level per track, in the order of the session: its input while that is what it would record or is heard,
    /// its takes otherwise.
    pub tracks: Vec<Meter>,
    /// Left and right of the mix.
    pub master: [Meter; 2],
    /// The device that is open.
    pub device: DeviceView,
    /// The sentence under the transport.
    pub health: Health,
    /// The figures behind it.
    pub figures: EngineFigures,
    /// Room on the session's disk; `None` until it is known.
    pub disk_space: Option<DiskSpace>,
    /// What was told, the latest last; bounded.
    pub notices: Arc<Vec<EventEntry>>,
    /// What the session's flight recorder kept of earlier starts, the latest last; bounded.
    pub earlier: Arc<Vec<EventEntry>>,
    /// Devices that can be chosen; empty until they were looked for.
    pub devices: Arc<Vec<Listed>>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The doctor's findings: `None` before it was asked, `Some(None)` while it looks.
    pub doctor: DoctorView,
    /// The export.
    pub export: ExportView,
    /// The stress test.
    pub stress: StressView,
}

/// Whether a session and a device are open.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// On the way.
    Opening,
    /// Open.
    Open,
    /// Open, but nothing of it is written: why.
    ReadOnly(String),
    /// Being closed; the last sound is on its way to the disk.
    Closing,
    /// The session cannot be opened.
    NoSession {
        /// Why, and what to do.
        reason: String,
        /// Earlier versions that can be restored, the latest first.
        versions: Vec<KeptVersion>,
    },
    /// The device cannot be opened; the session is shown.
    NoDevice {
        /// Why, and what to do.
        reason: String,
    },
}

/// Where the playhead is and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// What it does.
    pub motion: Motion,
    /// The playhead.
    pub position: FramePos,
    /// Frames a second of the timeline.
    pub rate: SampleRate,
    /// The pass that is on.
    pub pass: Option<PassView>,
    /// The selected stretch.
    pub range: Option<(FramePos, FramePos)>,
    /// Whether playback repeats it.
    pub loops: bool,
    /// Whether recording begins and ends with it.
    pub punches: bool,
}

/// A pass that is prepared, recorded or finished.
#[derive(Clone, Debug, PartialEq)]
pub struct PassView {
    /// Which of the three.
    pub phase: PassPhase,
    /// Where it began.
    pub start: FramePos,
    /// Frames recorded.
    pub frames: Frames,
    /// The takes being recorded, and their tracks.
    pub takes: Arc<Vec<(TrackId, TakeId)>>,
    /// Stretches that were lost so far: place on the timeline and length.
    pub losses: Arc<Vec<(FramePos, Frames)>>,
}

/// Where a pass is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassPhase {
    /// Files and windows are being made.
    Preparing,
    /// It rolls in to the punch.
    Waiting,
    /// It records.
    Recording,
    /// The last of it is on its way to the disk.
    Finishing,
}

/// A level, full scale 1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Meter {
    /// The highest since the last snapshot.
    pub peak: f32,
    /// Root of the mean square over some 300 ms.
    pub rms: f32,
}

/// The device that is open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceView {
    /// Its name as `--device` takes it.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Frames a second.
    pub rate: u32,
    /// Inputs.
    pub inputs: usize,
    /// Outputs.
    pub outputs: usize,
    /// Frames of a period.
    pub period: usize,
    /// Milliseconds from its input to its output, as far as known from period and buffer.
    pub latency_ms: f32,
    /// Whether it is the built-in one.
    pub is_virtual: bool,
    /// Whether it is gone, and awaited.
    pub gone: bool,
}

/// The sentence under the transport.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// How bad it is.
    pub severity: Severity,
    /// The head of the sentence: "All is well.", "The device is gone."
    pub head: String,
    /// What follows, part by part: "24 tracks", "1.8 s lead", "0 frames lost".
    pub parts: Vec<String>,
    /// What to do, when there is something.
    pub advice: Option<String>,
    /// What a crash and a power cut would cost now.
    pub safety: Vec<String>,
}

/// Figures behind the sentence. Those of a pass while one is on, since the start otherwise.
#[derive(Clone, Debug, Default)]
pub struct EngineFigures {
    /// Faults of the audio thread that needed no disk.
    pub minor_faults: Option<u64>,
    /// Faults of the audio thread that waited for the disk.
    pub major_faults: Option<u64>,
    /// Xruns of the device.
    pub xruns: u64,
    /// Frames lost.
    pub frames_lost: u64,
    /// Frames of tracks that were not heard in time.
    pub frames_dropped: u64,
    /// Seconds of lead of the track that has least; `None` while nothing rolls.
    pub lead_s: Option<f64>,
    /// The least there was.
    pub lead_min_s: Option<f64>,
    /// Seconds of lead that are aimed at.
    pub lead_aim_s: f64,
    /// Cycle times.
    pub cycles: Option<Counts>,
    /// Microseconds of a period: what a cycle must not exceed.
    pub deadline_us: f64,
    /// Bytes locked, and the limit.
    pub locked_bytes: u64,
    /// See [`EngineFigures::locked_bytes`].
    pub locked_limit: u64,
    /// The longest commit, sync and supply, in microseconds.
    pub commit_us_max: u64,
    /// See [`EngineFigures::commit_us_max`].
    pub sync_us_max: u64,
    /// See [`EngineFigures::commit_us_max`].
    pub supply_us_max: u64,
    /// Bytes that wait for the disk.
    pub backlog_bytes: u64,
    /// Bytes that the spool holds, and may hold.
    pub spool_bytes: u64,
    /// See [`EngineFigures::spool_bytes`].
    pub spool_bytes_max: u64,
    /// Since the takes were last durable.
    pub durable_age: Option<Duration>,
    /// Class and priority of the audio thread.
    pub scheduling: String,
    /// `spool` or `in-place`.
    pub capture_path: String,
}

/// Room on the session's disk.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskSpace {
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Seconds that the armed tracks (all, if none is armed) can be recorded.
    pub seconds: f64,
    /// What to call the disk: its mount point's last part, or "/".
    pub disk: String,
}

/// Something that was told, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct EventEntry {
    /// Since the program's start.
    pub at: Duration,
    /// Local time of day, `hh:mm:ss`; of an earlier start the day and the minute.
    pub clock: String,
    /// How bad it is.
    pub severity: Severity,
    /// In words.
    pub text: String,
    /// Whether it was acknowledged.
    pub seen: bool,
}

impl Snapshot {
    /// Nothing is open yet.
    pub fn empty() -> Snapshot {
        let rate = SampleRate(48_000);
        let session = Session::new(uuid::Uuid::nil(), "", "", rate, crate::format::TakeFormat::S24);
        Snapshot {
            stage: Stage::Opening,
            session: Arc::new(session),
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
            health: Health::default(),
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
}
