//! The part of the program that a front end talks to. It owns the session, the pass that is being recorded, and the
//! control ends of all queues. Thread: control.
//!
//! A command arrives as a method call: the front end calls [`Control::record`], [`Control::edit`], [`Control::locate`]
//! and so on. The method changes the session, sends a message to another thread, or both, and returns without waiting
//! for the answer.
//!
//! An answer arrives as an event. The front end calls [`Control::poll`] in its loop; `poll` drains the events of the
//! audio thread and of the disk threads and carries out what they make possible. The front end then fetches results:
//! notices with [`Control::take_notice`], reports of passes with [`Control::take_report`], events without a notice with
//! [`Control::take_event`], and the present state with `session`, `pass_status`, `published` and similar getters.
//!
//! ```text
//!   front end --- record(), edit(), locate() ---> control --- AudioCommand ----------------> audio thread
//!                                                         --- ButlerCommand, CommitCommand -> butler, committers
//!                                                         --- ReaderCommand ---------------> read-ahead
//!                                                         --- session ---------------------> session saver
//!   front end <-- take_notice(), take_report() -- control <-- AudioEvent, DiskEvent -------- all of them
//! ```
//!
//! [`Control::open`] and [`Control::close`] wait for the disk. Everything else is meant to return at once. The section
//! "Threads" of `ARCHITECTURE.md` lists the exceptions.
//!
//! | file | content |
//! |---|---|
//! | `setup` | from a user's choices to a device, a memory limit and a spool |
//! | `answers` | what an event of another thread changes, and the notice for it |
//! | `recovered` | the recovery when a session is opened, and its notices |
//! | `recording` | a pass from the command to its report, as a state machine |
//! | `report` | readings of the audio thread's counters, and the difference of two |
//! | `document` | the session in memory and the number of its content |
//! | `edit` | changes of the session that can be undone |
//! | `monitoring`, `playback` | which tracks play, with which gains, from where |
//! | `companion` | folders with a copy of session.json and a saver of their own |
//! | `companion_place` | where such a folder may be |
//! | `adopted_copy` | takes that only the copy in such a folder lists |
//! | `mirror` | the second replica of every take |
//! | `overflow` | continuation of takes in another file when a disk is full or fails |
//! | `disk_space` | warnings before a disk is full |
//! | `saving` | each revision to the savers, and saves that fail |
//! | `session_saver` | the thread that writes session.json |
//! | `session_folder` | warnings about the file system; the folder moved or removed by another program |
//! | `reconnect` | a device that is gone is opened again |
//! | `outputs_watch` | a device whose outputs alone are gone is opened again while nothing is recorded |
//! | `source` | the source of the inputs that a sound server takes away |
//! | `system_sleep` | whether the machine slept |
//! | `take_names` | files that get the present names of their tracks at the end of a pass |
//! | `events` | what goes to the flight recorder |
//! | `close` | the end of everything, and what is not on the disk then |

mod adopted_copy;
mod answers;
pub(crate) mod close;
mod companion;
pub mod companion_place;
mod disk_space;
mod document;
pub mod edit;
mod events;
mod mirror;
mod monitoring;
mod outputs_watch;
mod overflow;
pub mod playback;
mod reconnect;
pub mod recording;
mod recovered;
mod repeats;
pub mod report;
mod saving;
mod session_folder;
pub mod session_saver;
pub mod setup;
mod source;
mod system_sleep;
mod take_names;

use crate::device::{self, Device, DeviceError, DeviceSpec};
use crate::flight::record::Kind;
use crate::format::TakeFormat;
use crate::host::{self, disk};
use crate::message::AudioCommand;
use crate::message::published::Published;
use crate::message::spool_file::MemoryFiles;
use crate::residency::disk_work::DiskWork;
use crate::residency::rates::RatePoint;
use crate::residency::sample::Sources;
use crate::residency::watcher::Watcher;
use crate::session::names::SESSION_FILE;
use crate::session::session_file::{OpenSession, SessionError, folder_of, open_read_only};
use crate::session::{Session, TakeId, TrackId};
use crate::threads::{self, Threads, ThreadsError, ThreadsSetup};
use crate::time::{FramePos, SampleRate};
use companion::Companions;
use playback::Players;
use recording::{PassReport, RecordingPass};
use recovered::Recovered;
use report::Reading;
use session_saver::SessionSaver;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub use crate::flight::record::Severity;
pub use close::Closed;
pub use saving::SaveState;

/// A message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    /// A sentence: the thing, the reason, what to do.
    pub text: String,
}

/// Why a command was refused or a session could not be opened.
#[derive(Debug)]
pub enum ControlError {
    Session(SessionError),
    Device(DeviceError),
    /// The threads could not be started.
    Run(ThreadsError),
    /// The kernel refused something that is no fault of the session or the device.
    Kernel(io::Error),
    /// The command does not fit the present state. The text names the command, the reason, and what to do.
    State(String),
    /// The session was recovered, and could not be opened after that. The next start does not repeat these notices.
    Recovered {
        error: Box<ControlError>,
        notices: Vec<Notice>,
    },
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::Session(error) => error.fmt(f),
            ControlError::Device(error) => error.fmt(f),
            ControlError::Run(error) => error.fmt(f),
            ControlError::Kernel(error) => error.fmt(f),
            ControlError::State(reason) => f.write_str(reason),
            ControlError::Recovered { error, .. } => error.fmt(f),
        }
    }
}

impl std::error::Error for ControlError {}

/// The purpose of opening a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Record and play. The session is created if it does not exist, locked against other programs, and saved.
    Record,
    /// Play only. Nothing is written, so the folder may be read-only, or another program may be recording into it.
    Play,
}

/// Everything that [`Control::open`] needs.
pub struct Setup {
    /// The session's folder, or its `session.json`.
    pub folder: PathBuf,
    pub purpose: Purpose,
    pub device: DeviceSpec,
    /// Sample format of new takes.
    pub format: TakeFormat,
    /// Memory limits, capture path, sync interval.
    pub run: ThreadsSetup,
}

/// An open session with its device and threads. See the module's documentation for the flow of commands and answers.
pub struct Control {
    running: Threads,
    session: document::Document,
    folder: PathBuf,
    /// `None`: the session was opened to be played only.
    saver: Option<SessionSaver>,
    companions: Companions,
    players: Players,
    pass: Option<RecordingPass>,
    reports: VecDeque<PassReport>,
    notices: VecDeque<Notice>,
    /// The first notices, which tell what was recovered when the session was opened.
    recovery_notices: usize,
    format: TakeFormat,
    next_key: u64,
    /// Files of takes of this run that are not whole on the disk, and why. The next start recovers them.
    troubled_takes: Vec<(TakeId, String)>,
    undo_steps: edit::UndoSteps,
    /// Files in memory of takes that are finished, and the first revision of the session that lists the take as complete.
    /// They are removed when that revision is durable.
    finished_memory: Vec<(u64, MemoryFiles)>,
    save_pace: saving::SavePace,
    /// The revision of the session in which a loss was listed last.
    losses_listed_in: u64,
    save_watch: saving::SaveWatch,
    /// Whether tracks play, and their players follow the session.
    playback_enabled: bool,
    /// Whether armed tracks with `Monitor::Auto` let their input through while recording and while stopped.
    auto_monitoring: bool,
    /// Whether regions or paths changed since the players were loaded.
    players_outdated: bool,
    lost_device: Option<reconnect::LostDevice>,
    outputs_watch: outputs_watch::OutputsWatch,
    system_sleep: system_sleep::SystemSleep,
    latency_rest: recording::LatencyRest,
    spec: DeviceSpec,
    /// Inputs that the device has now. It may have come back with fewer.
    present_inputs: usize,
    disk_trouble: Option<String>,
    /// Names of the files that were in the session's folder when it was opened. No new take gets one of these names.
    file_names_found: Vec<String>,
    /// Files that are being renamed.
    naming: take_names::NamingJobs,
    watched_folder: session_folder::WatchedFolder,
    watcher: Option<Arc<Watcher>>,
    event_log: events::EventLog,
    repeats: repeats::Repeats,
    /// Frames by which takes are placed earlier than the device tells, as the user has set it.
    latency_offset: i64,
    /// The wrong rate at which the device runs now, as the device says it.
    wrong_rate: Option<&'static str>,
}

impl Control {
    /// Opens or creates the session, opens the device, starts the threads. Recovers passes that were cut off. Waits for
    /// the disk.
    pub fn open(setup: Setup) -> Result<Control, ControlError> {
        crate::window::page_bytes_check().map_err(ControlError::Kernel)?;
        // The device first: a missing device must not leave an empty session behind.
        let mut spec = setup.device.clone();
        let device = device::open(&spec).map_err(ControlError::Device)?;
        spec.name = device::lasting_name(&spec.name);
        let rate = device.facts().rate;
        let (mut store, mut session) = match setup.purpose {
            Purpose::Record => open_session(&setup, rate).map(|(store, session)| (Some(store), session))?,
            Purpose::Play => (None, open_read_only(&setup.folder).map_err(ControlError::Session)?),
        };
        // Before the recovery: its notices come once, and an error would be in their place.
        if session.rate() != rate {
            return Err(ControlError::State(format!(
                "{}: the session has {} and the device {rate}; open the device with the session's rate",
                setup.folder.display(),
                session.rate()
            )));
        }
        let recovered = Recovered::of(&setup.folder, store.as_mut(), &mut session);
        let notices = recovered.notices.clone();
        Control::start(setup, (device, spec), (store, session), notices).map_err(|error| recovered.not_opened(error))
    }

    /// Starts the threads for a session that was recovered, with these notices.
    fn start(
        setup: Setup,
        (device, spec): (Box<dyn Device>, DeviceSpec),
        (store, session): (Option<OpenSession>, Session),
        notices: Vec<Notice>,
    ) -> Result<Control, ControlError> {
        let (rate, recovered) = (device.facts().rate, notices.len());
        let mut notices = VecDeque::from(notices);
        let capabilities = setup.run.capabilities.notes.iter().chain(&device.facts().notes);
        notices.extend(capabilities.map(|text| Notice { severity: Severity::Caution, text: text.clone() }));
        // Absolute, because the spool keeps the path of its take and recovery may run in another working folder.
        let absolute = || std::path::absolute(folder_of(&setup.folder));
        let folder = store.as_ref().map_or_else(absolute, OpenSession::resolved_path).map_err(ControlError::Kernel)?;
        if let Some(store) = &store {
            notices.extend(session_folder::notices(store, &folder, setup.format, rate));
        }
        let watched_folder = session_folder::WatchedFolder::of(store.as_ref());
        let file_names_found = store.as_ref().and_then(|store| store.file_names().ok()).unwrap_or_default();
        let saver = store.map(SessionSaver::start).transpose().map_err(ControlError::Kernel)?;
        let mut event_log = events::EventLog::start(&folder, saver.is_some() && !host::is_simulated());
        let running = threads::start(device, setup.run).map_err(ControlError::Run)?;
        if let Some(reason) = running.scheduling.reason() {
            let fix = running.scheduling.fix().map_or_else(String::new, |fix| format!("; to change that: {fix}"));
            let text =
                format!("audio thread: no real-time scheduling ({reason}), a busy machine can make it late{fix}");
            notices.push_back(Notice { severity: Severity::Caution, text });
        }
        event_log.opened(&folder, &running, recovered, notices.iter());
        let present_inputs = running.device.inputs;
        Ok(Control {
            running,
            session: document::Document::new(session),
            folder,
            saver,
            companions: Companions::default(),
            players: Players::default(),
            pass: None,
            reports: VecDeque::new(),
            notices,
            recovery_notices: recovered,
            format: setup.format,
            next_key: 1,
            troubled_takes: Vec::new(),
            undo_steps: edit::UndoSteps::default(),
            finished_memory: Vec::new(),
            save_pace: saving::SavePace::default(),
            losses_listed_in: 0,
            save_watch: saving::SaveWatch::default(),
            playback_enabled: false,
            auto_monitoring: true,
            players_outdated: false,
            lost_device: None,
            outputs_watch: outputs_watch::OutputsWatch::default(),
            system_sleep: system_sleep::SystemSleep::default(),
            latency_rest: recording::LatencyRest::default(),
            spec,
            present_inputs,
            disk_trouble: None,
            file_names_found,
            naming: take_names::NamingJobs::default(),
            watched_folder,
            watcher: None,
            event_log,
            repeats: repeats::Repeats::default(),
            latency_offset: 0,
            wrong_rate: None,
        })
    }

    /// The session as it is now.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// A snapshot of the session. Calls between two changes return the same `Arc`.
    pub fn shared(&mut self) -> Arc<Session> {
        self.session.snapshot()
    }

    /// Number of the session's present content. The caller redraws when it differs from the one that was drawn.
    pub fn revision(&self) -> u64 {
        self.session.revision()
    }

    /// Whether the session was opened to be played only.
    pub fn is_read_only(&self) -> bool {
        self.saver.is_none()
    }

    /// The session's folder, absolute. Changes when another program moves the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sample format of new takes.
    pub fn format(&self) -> TakeFormat {
        self.format
    }

    /// The threads, their published numbers, and the scheduling and memory that they were granted.
    pub fn running(&self) -> &Threads {
        &self.running
    }

    /// The watcher that samples the residency of windows. The first call starts its thread.
    pub fn watcher(&mut self) -> io::Result<Arc<Watcher>> {
        let watcher = match &self.watcher {
            Some(watcher) => Arc::clone(watcher),
            None => Arc::new(Watcher::start(Sources {
                ledger: Arc::clone(&self.running.ledger),
                published: Arc::clone(&self.running.published),
                disk: Arc::clone(&self.running.disk),
                budget: Arc::clone(&self.running.budget),
                faults: Arc::clone(&self.running.faults),
            })?),
        };
        self.watcher = Some(Arc::clone(&watcher));
        Ok(watcher)
    }

    /// Figures over the last minute in which something rolled; none without the watcher.
    pub fn rates(&self) -> Vec<RatePoint> {
        self.watcher.as_ref().map(|watcher| watcher.rates_after(None)).unwrap_or_default()
    }

    /// Syncs and writeback by others from `from_ns` of the monotonic clock on, and the number of the kernel's records that were
    /// lost; or why they are not known.
    pub fn disk_work(&self, from_ns: u64) -> Result<(Vec<Arc<DiskWork>>, u64), String> {
        let Some(watcher) = &self.watcher else { return Err("no watcher is running".to_owned()) };
        let log = watcher.disk_work_log();
        log.refusal().map_or_else(|| Ok((log.since(from_ns), log.lost())), |reason| Err(reason.to_string()))
    }

    /// Why syncs by others on the file systems of the takes are not seen.
    pub fn disk_work_unseen(&self) -> Option<String> {
        self.watcher.as_ref()?.disk_work_log().unseen().map(|reason| reason.to_string())
    }

    /// The numbers that the audio thread publishes.
    pub fn published(&self) -> &Published {
        &self.running.published
    }

    /// Arms one mono track for each device channel below `inputs` and disarms all other tracks. Adds the tracks that
    /// are missing. This is no step of undo, and it does not save the session.
    pub fn arm_inputs(&mut self, inputs: usize) -> Result<(), ControlError> {
        for input in 0..inputs as u32 {
            let has = self.session.tracks().iter().any(|track| track.inputs() == [input]);
            if !has {
                let name = format!("In {}", input + 1);
                self.session.add_track(&name, &[input]).map_err(|error| ControlError::State(error.to_string()))?;
            }
        }
        let ids: Vec<TrackId> = self.session.track_ids().collect();
        let mut wanted: Vec<u32> = (0..inputs as u32).collect();
        for id in ids {
            if let Some(track) = self.session.track_mut(id) {
                let at = wanted.iter().position(|input| track.inputs() == [*input]);
                track.armed = at.is_some();
                if let Some(at) = at {
                    wanted.swap_remove(at);
                }
            }
        }
        Ok(())
    }

    /// Adds one unarmed mono track for each device channel below `inputs` and saves the session. Meant for a session
    /// without tracks. This is no step of undo.
    pub fn make_tracks(&mut self, inputs: usize) -> Result<(), ControlError> {
        for input in 0..inputs.min(crate::limits::TRACK_COUNT_MAX) as u32 {
            let made = self.session.add_track(&format!("In {}", input + 1), &[input]);
            made.map_err(|error| ControlError::State(error.to_string()))?;
        }
        self.save();
        Ok(())
    }

    /// Starts to play from the playhead. A loop that was set during a pass, which no locate may end, is in force from now on.
    pub fn roll(&mut self) {
        if self.players.is_loop_outdated() && !self.is_recording() {
            self.locate_to_playhead();
        }
        self.send(AudioCommand::Roll);
    }

    /// Moves the playhead. A rolling transport continues to roll from there. Refused while recording.
    pub fn locate(&mut self, to: FramePos) -> Result<(), ControlError> {
        if self.is_recording() {
            return Err(ControlError::State("locate: a pass is being recorded; stop it first".to_owned()));
        }
        self.players.locate(&mut self.running, to);
        Ok(())
    }

    /// Whether the audio thread has taken the last locate and the read-ahead has filled windows for it.
    pub fn is_ready_to_roll(&self) -> bool {
        self.players.epoch() == self.published().epoch.load(Relaxed)
            && self.players.epoch() == self.published().ready_epoch.load(Relaxed)
    }

    /// Whether a pass is being prepared, recorded or finished.
    pub fn is_recording(&self) -> bool {
        self.pass.is_some()
    }

    /// The reading of the counters when the pass was sent to the audio thread; `None` before that and without a pass.
    pub fn pass_reading(&self) -> Option<&Reading> {
        self.pass.as_ref().and_then(RecordingPass::start_reading)
    }

    /// The report of the next finished pass, the oldest first.
    pub fn take_report(&mut self) -> Option<PassReport> {
        self.reports.pop_front()
    }

    /// The next notice to show, the oldest first.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.recovery_notices = self.recovery_notices.saturating_sub(1);
        self.notices.pop_front()
    }

    /// The next notice about the recovery when the session was opened. Only before the first other notice was taken.
    pub fn take_recovery_notice(&mut self) -> Option<Notice> {
        self.recovery_notices = self.recovery_notices.checked_sub(1)?;
        self.notices.pop_front()
    }

    /// Handles the events of all threads and carries out the steps that they or the passing of time make possible. Call
    /// it often: a pass begins, ends and continues in the overflow folder only through this call.
    pub fn poll(&mut self) {
        // Commands that found no room before: their order is the order in which they were given.
        self.running.flush();
        // Events first: every step below acts on the state that they set. The order of the two queues is free. The disk
        // side finishes a take only after control has handled `PassEnded` and sent the butler `Finish`.
        self.handle_audio_events();
        while let Some(event) = self.running.next_disk_event() {
            self.on_disk_event(event);
        }
        // Before takes continue: an overflow folder that has just opened is listed in the session first.
        self.poll_companions();
        // Before takes continue: the path of a continuation is made from the present path of the session's folder.
        self.check_folder(false);
        // Neither the saver nor a thread that has ended nor a disk that hangs sends an event: the pass looks at them.
        self.watch_latency();
        // Before the pass looks whether its files have their names.
        self.poll_naming();
        self.poll_pass();
        self.continue_refused_takes();
        self.warn_of_full_disks();
        // Before the device that is gone is replaced: its last notices about the source are still to be read.
        self.poll_source();
        self.poll_reconnect();
        self.poll_outputs();
        device::keep_cards(self.is_recording());
        if let Some(text) = self.system_sleep.poll() {
            self.caution(text);
        }
        // After the end of a pass: players are not loaded while a pass is on, and its takes are to play from now on.
        self.update_playback();
        self.players.keep_up(&self.running.published);
        // After everything that changes the session.
        self.poll_saver();
        self.publish_saved_losses();
        self.remove_finished_memory();
        // Independent of the steps above: it reads what the disk side publishes.
        self.check_margins();
        // After the events, so that those of this poll are counted.
        self.show_repeats();
    }

    fn handle_audio_events(&mut self) {
        while let Some(event) = self.running.next_audio_event() {
            self.on_audio_event(event);
        }
    }

    /// The problem that the session's disk has now, as a sentence. `None` if it has none.
    pub fn trouble(&self) -> Option<&str> {
        self.disk_trouble.as_deref()
    }

    fn send(&mut self, command: AudioCommand) {
        // If the audio thread is gone, `poll_pass` ends the pass.
        self.running.audio.send(command).ok();
    }

    fn info(&mut self, text: String) {
        self.notify(Kind::Notice, Severity::Info, text, &[]);
    }

    fn caution(&mut self, text: String) {
        self.notify(Kind::Notice, Severity::Caution, text, &[]);
    }

    fn loss(&mut self, text: String) {
        self.notify(Kind::Notice, Severity::Loss, text, &[]);
    }
}

fn open_session(setup: &Setup, rate: SampleRate) -> Result<(OpenSession, Session), ControlError> {
    match OpenSession::open(&setup.folder) {
        // The folder contains `session.json` but is not a valid session (for example `audio` is a symlink). Do not
        // create a session over it.
        Err(refused @ SessionError::NotASession { .. }) if is_there(&folder_of(&setup.folder).join(SESSION_FILE)) => {
            Err(refused)
        }
        Err(SessionError::Missing { .. } | SessionError::NotASession { .. }) => {
            let name = setup
                .folder
                .file_name()
                .map_or_else(|| "Session".to_owned(), |name| name.to_string_lossy().into_owned());
            OpenSession::create(&setup.folder, &name, rate, setup.format)
        }
        other => other.and_then(|(store, session)| store.trial().map(|()| (store, session))),
    }
    .map_err(ControlError::Session)
}

fn is_there(path: &Path) -> bool {
    disk::link_metadata(path).is_ok()
}
