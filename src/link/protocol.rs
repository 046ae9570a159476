//! Messages between a window and an engine, as bytes. Thread: link threads of both sides; pure but for reading and
//! writing a stream.
//!
//! Both sides first send a *greeting* of fixed form: a magic number, the version of the protocol, the program's version.
//! Then each message is a *frame*: four bytes of length, one byte of kind, and that many bytes. An engine reads small
//! frames only, see [`REQUEST_BYTES_MAX`], so a client cannot make it grow.

use crate::app::command::Command;
use crate::app::settings::Settings;
use crate::app::snapshot::{EngineFigures, EventEntry, Snapshot};
use crate::device::Listed;
use crate::diagnostics::doctor::Finding;
use crate::diagnostics::trace::Trace;
use crate::residency::KernelDeltas;
use crate::residency::disk_work::SeenWork;
use crate::residency::faults::SeenFault;
use crate::residency::rates::RatePoint;
use crate::residency::sample::{RowKey, Sample, View};
use crate::session::session_file::SESSION_BYTES_MAX;
use crate::session::{FOLDER_BYTES_MAX, POSITION_MAX};
use crate::time::FramePos;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the protocol. It changes with every change of a message or of a value in it.
pub const VERSION: u32 = 8;

/// Bytes of the largest message from a window to an engine.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Bytes of the largest message from an engine to a window: a session and what goes with it.
pub const ANSWER_BYTES_MAX: usize = SESSION_BYTES_MAX as usize + (16 << 20);

/// The first bytes of a greeting.
const MAGIC: [u8; 8] = *b"faultlss";

/// Bytes of a program's version in a greeting.
const PROGRAM_BYTES: usize = 32;

/// Bytes of a greeting.
const GREETING_BYTES: usize = MAGIC.len() + 4 + PROGRAM_BYTES;

/// Tracks of the largest stress test that a window may ask for.
const STRESS_TRACKS_MAX: usize = 4096;

/// Seconds of the longest stress that a window may ask for.
const STRESS_SECONDS_MAX: f64 = 86_400.0;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A [`Request`] or an [`Answer`].
    Message = 0,
    /// The bytes of `session.json`, for the snapshots that follow.
    Session = 1,
    /// The changes of the session that was sent last, see
    /// [`difference`](crate::session::session_file::difference).
    Difference = 2,
}

/// A message from a window to an engine.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Count this client as a window, and send it snapshots.
    Attach,
    /// Send the next snapshot as soon as more has changed than what lies in the live page. The window asks after it has
    /// drawn the last one.
    Next,
    Command(Command),
    /// End the pass, save everything, and end the engine, unless another window is attached.
    Close,
    /// End the pass, save everything, and end the engine.
    Stop,
    /// The window closes, and the recording continues.
    Leave,
    /// The window has read the last sample and takes another one.
    NextSample,
    /// Take residency samples of this view; `None`: no samples any more.
    View(Option<View>),
    /// Send the samples of the last minute.
    History,
    /// Tell the history of a page as of the last sample that is not later than `at`, in milliseconds of the ledger.
    Story {
        at: u64,
        key: RowKey,
        byte: u64,
    },
    /// Send the last minute as a trace.
    Trace,
    /// Send the change of the kernel's counters.
    KernelDeltas,
}

/// A message from an engine to a window.
#[derive(Debug, Deserialize)]
pub enum Answer {
    Facts(Facts),
    /// How far the recorder is from its end, as [`Phase`](crate::app::handle::Phase). It is sent at each change, without a request.
    Phase(u8),
    Update(Box<Update>),
    /// The recorder did not take a command.
    Refused,
    /// A residency sample. The last one of a history has `is_latest`.
    Sample {
        sample: Box<Sample>,
        is_latest: bool,
    },
    Story {
        at: u64,
        key: RowKey,
        byte: u64,
        lines: Vec<String>,
    },
    /// The engine takes no further client, for this reason.
    Full(String),
    /// The figures and page faults that the window does not have. They come before the samples that they belong to.
    Figures(Figures),
    /// The last minute; `None`: no session is open. Its parts are bounded, see [`crate::limits::WINDOW_EVENTS_MAX`] and its
    /// neighbours: less than 10 MiB.
    Trace(Option<Box<Trace>>),
    KernelDeltas(Box<KernelDeltas>),
    /// One byte follows, and with it the file of the [live page](crate::app::live). It comes once, before the first update.
    Page,
}

/// Figures, page faults and the work of others beside residency samples.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Whether they are the first ones of a session: those before belong to another clock.
    pub begins: bool,
    pub rates: Vec<RatePoint>,
    pub faults: Vec<SeenFault>,
    /// Why page faults are not attributed; `None` if they are.
    pub no_faults_because: Option<String>,
    /// Syncs and writeback by others.
    pub disk_work: Vec<SeenWork>,
    /// Why those are not known; `None` if they are. It is not known before the watcher's first figures.
    pub no_disk_work_because: Option<String>,
    /// The gaps in those, in words; `None`: there are none.
    pub disk_work_gaps: Option<String>,
}

/// An [`Answer`] that borrows what it has. The variants are the same, in the same order.
#[derive(Debug, Serialize)]
pub enum AnswerRef<'a> {
    Facts(&'a Facts),
    Phase(u8),
    Update(UpdateRef<'a>),
    Refused,
    Sample { sample: &'a Sample, is_latest: bool },
    Story { at: u64, key: RowKey, byte: u64, lines: Vec<String> },
    Full(String),
    Figures(&'a Figures),
    Trace(Option<&'a Trace>),
    KernelDeltas(&'a KernelDeltas),
    Page,
}

/// The facts by which a program finds the engine that it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Number of the engine's process.
    pub pid: u32,
    /// The session's folder, or the one that is being opened; empty if that is not known yet.
    #[serde(with = "crate::serial::path")]
    pub folder: PathBuf,
    /// The folder of the user's settings. Two engines with different ones belong to different homes.
    #[serde(with = "crate::serial::path")]
    pub settings: PathBuf,
    /// Whether a pass runs.
    pub records: bool,
    /// Number of windows that are attached.
    pub windows: usize,
    /// Whether the engine ends.
    pub ends: bool,
    /// Whether a terminal owns the recording, and the engine ends with it.
    pub is_of_terminal: bool,
}

/// The doctor's findings, see [`DoctorView`](crate::app::jobs::DoctorView).
pub type Findings = Option<Option<Vec<Finding>>>;

/// A snapshot for a window. Its large parts travel only when they have changed.
#[derive(Debug, Deserialize)]
pub struct Update {
    /// Commands of this window that were carried out before the snapshot was built.
    pub done: u64,
    /// Whether the window draws at once.
    pub is_change: bool,
    /// The snapshot without its large parts.
    pub snapshot: Snapshot,
    pub notices: Option<Vec<EventEntry>>,
    pub earlier: Option<Vec<EventEntry>>,
    pub devices: Option<Vec<Listed>>,
    pub settings: Option<Settings>,
    pub doctor: Option<Findings>,
}

/// An [`Update`] that borrows what it has. The fields are the same, in the same order.
#[derive(Debug, Serialize)]
pub struct UpdateRef<'a> {
    pub done: u64,
    pub is_change: bool,
    pub snapshot: &'a Snapshot,
    pub notices: Option<&'a [EventEntry]>,
    pub earlier: Option<&'a [EventEntry]>,
    pub devices: Option<&'a [Listed]>,
    pub settings: Option<&'a Settings>,
    pub doctor: Option<Option<Option<&'a [Finding]>>>,
}

impl<'a> UpdateRef<'a> {
    /// An update that brings a window with the snapshot `has` to `snapshot`. The session travels apart from it.
    pub fn between(has: Option<&Snapshot>, snapshot: &'a Snapshot, done: u64) -> Self {
        fn changed<'a, T>(has: Option<&Arc<T>>, now: &'a Arc<T>) -> Option<&'a T> {
            has.is_none_or(|has| !Arc::ptr_eq(has, now)).then_some(&**now)
        }
        let doctor = || snapshot.doctor.as_ref().map(|found| found.as_ref().map(|found| found.as_slice()));
        UpdateRef {
            done,
            is_change: has.is_none_or(|has| has.changes != snapshot.changes),
            snapshot,
            notices: changed(has.map(|has| &has.notices), &snapshot.notices).map(Vec::as_slice),
            earlier: changed(has.map(|has| &has.earlier), &snapshot.earlier).map(Vec::as_slice),
            devices: changed(has.map(|has| &has.devices), &snapshot.devices).map(Vec::as_slice),
            settings: changed(has.map(|has| &has.settings), &snapshot.settings),
            doctor: has.is_none_or(|has| has.doctor != snapshot.doctor).then(doctor),
        }
    }
}

impl Update {
    /// The snapshot with all its parts. Those that did not travel are those of the snapshot before. The live page has newer
    /// values of what it contains.
    pub fn over(self, before: &Snapshot) -> Snapshot {
        fn part<T>(new: Option<T>, before: &Arc<T>) -> Arc<T> {
            new.map_or_else(|| Arc::clone(before), Arc::new)
        }
        Snapshot {
            commands_done: self.done,
            session: Arc::clone(&before.session),
            notices: part(self.notices, &before.notices),
            earlier: part(self.earlier, &before.earlier),
            devices: part(self.devices, &before.devices),
            settings: part(self.settings, &before.settings),
            doctor: match self.doctor {
                Some(doctor) => doctor.map(|found| found.map(Arc::new)),
                None => before.doctor.clone(),
            },
            inputs: before.inputs.clone(),
            tracks: before.tracks.clone(),
            master: before.master,
            figures: EngineFigures { cycles: before.figures.cycles.clone(), ..self.snapshot.figures },
            ..self.snapshot
        }
    }
}

/// The reason why a message was not understood.
#[derive(Debug)]
pub enum LinkError {
    /// The stream ended between two messages.
    Ended,
    Io(io::Error),
    /// The engine takes no further client, for this reason. It works, and so do its other clients.
    Full(String),
    /// The engine has ended, and not everything is on the disk.
    NotSaved,
    /// The other side does not answer in time: the number of its process, if it is known.
    NoAnswer(Option<u32>),
    /// The other side is no Faultless.
    Stranger,
    /// The other side speaks another version of the protocol: its version and that of its program.
    OtherVersion(u32, String),
    /// A frame has more bytes than the limit.
    TooLarge(usize),
    /// The bytes are no message.
    Garbled,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Ended => f.write_str("the connection has ended"),
            LinkError::Io(error) => write!(f, "the connection failed: {error}"),
            LinkError::Full(reason) => f.write_str(reason),
            LinkError::NotSaved => f.write_str(
                "a disk is full or fails, or the recorder has failed; sound of the takes that is in memory is recovered, \
                 if you make room and start again before you switch the machine off",
            ),
            LinkError::NoAnswer(process) => {
                let number = process.map_or_else(String::new, |process| format!(", process {process},"));
                write!(f, "the recorder{number} does not answer; it is stopped or the machine is too busy; try again")
            }
            LinkError::Stranger => f.write_str("the program at the other end of the socket is not Faultless"),
            LinkError::OtherVersion(version, program) => write!(
                f,
                "the recorder that runs is Faultless {program} (protocol {version}), this program is {} (protocol \
                 {VERSION}); end that recording with the program that started it",
                env!("CARGO_PKG_VERSION")
            ),
            LinkError::TooLarge(bytes) => write!(f, "a message of {bytes} bytes is too large"),
            LinkError::Garbled => f.write_str("a message cannot be read"),
        }
    }
}

impl LinkError {
    /// The error with the number of the process on the other side.
    #[must_use]
    pub fn of_process(self, process: u32) -> LinkError {
        match self {
            LinkError::NoAnswer(_) => LinkError::NoAnswer(Some(process)),
            other => other,
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> LinkError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                LinkError::Ended
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LinkError::NoAnswer(None),
            _ => LinkError::Io(error),
        }
    }
}

/// The greeting of this program.
pub fn greeting() -> [u8; GREETING_BYTES] {
    let mut bytes = [0; GREETING_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let program = env!("CARGO_PKG_VERSION").as_bytes();
    let length = program.len().min(PROGRAM_BYTES);
    bytes[12..12 + length].copy_from_slice(&program[..length]);
    bytes
}

/// Reads the greeting of the other side, and refuses one that is not understood here.
pub fn read_greeting(from: &mut impl Read) -> Result<(), LinkError> {
    let mut bytes = [0; GREETING_BYTES];
    from.read_exact(&mut bytes)?;
    if bytes[..8] != MAGIC {
        return Err(LinkError::Stranger);
    }
    let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if version != VERSION {
        let program: String = String::from_utf8_lossy(&bytes[12..]).chars().filter(char::is_ascii_graphic).collect();
        return Err(LinkError::OtherVersion(version, program));
    }
    Ok(())
}

/// A frame with these bytes.
pub fn frame(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(5 + bytes.len());
    frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.push(kind as u8);
    frame.extend_from_slice(bytes);
    frame
}

/// A frame with this message. A message that cannot be written (a path in it cannot be, for example) is an error.
pub fn message(message: &impl Serialize) -> Result<Vec<u8>, LinkError> {
    // Space for the length, which is known at the end.
    let head = vec![0, 0, 0, 0, Kind::Message as u8];
    let mut bytes = postcard::to_extend(message, head).map_err(|_| LinkError::Garbled)?;
    let length = u32::try_from(bytes.len() - 5).map_err(|_| LinkError::TooLarge(bytes.len()))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Writes a frame.
pub fn send(to: &mut impl Write, frame: &[u8]) -> Result<(), LinkError> {
    Ok(to.write_all(frame)?)
}

/// Reads a frame of at most `limit` bytes into `bytes`. Takes no more memory than has arrived.
pub fn receive(from: &mut impl Read, limit: usize, bytes: &mut Vec<u8>) -> Result<Kind, LinkError> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if limit < length {
        return Err(LinkError::TooLarge(length));
    }
    let kind = match head[4] {
        0 => Kind::Message,
        1 => Kind::Session,
        2 => Kind::Difference,
        _ => return Err(LinkError::Garbled),
    };
    bytes.clear();
    if from.take(length as u64).read_to_end(bytes)? < length {
        return Err(LinkError::Ended);
    }
    Ok(kind)
}

/// Reads a message from the bytes of a frame. Bytes behind the message are an error.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LinkError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(LinkError::Garbled),
    }
}

/// Whether a window of this program could have given the command: positions are on the timeline, sizes are sizes. The
/// engine refuses any other.
pub fn is_possible(command: &Command) -> bool {
    let on_timeline = |at: &FramePos| at.0 <= POSITION_MAX;
    let both = |range: &Option<(FramePos, FramePos)>| {
        range.as_ref().is_none_or(|(from, to)| on_timeline(from) && on_timeline(to))
    };
    let short = |path: &Path| path.as_os_str().len() <= FOLDER_BYTES_MAX;
    match command {
        Command::Locate(at) => on_timeline(at),
        Command::Range(range) => both(range),
        Command::OpenSession(path) | Command::SetOverflowFolder(path) => short(path),
        Command::Export(request) => both(&request.range) && short(&request.to),
        Command::Stress(request) => {
            request.tracks <= STRESS_TRACKS_MAX && (0.0..=STRESS_SECONDS_MAX).contains(&request.seconds)
        }
        _ => true,
    }
}
