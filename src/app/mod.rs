//! The state behind the GUI: the open session and device, settings, jobs and notices. Thread: control.
//!
//! A front end has an [`AppHandle`](handle::AppHandle), and the thread control owns the [`App`]. Commands come in
//! ([`App::apply`]), snapshots go out ([`App::snapshot`]). Both are plain values. Work that can wait for a disk, a driver
//! or a bus has a thread of its own, and [`App::poll`] collects its results. Only the drop of the app waits, for the last
//! save of the settings.

mod apply;
mod build_snapshot;
pub mod command;
mod control_loop;
mod disk_watch;
pub mod handle;
mod health;
mod inhibit;
pub mod jobs;
mod kernel_facts;
pub mod live;
mod made;
pub mod naming;
mod opener;
mod past_events;
mod peak_hold;
mod phase;
pub mod report;
mod sessions;
pub mod settings;
pub mod settings_change;
pub mod snapshot;
pub mod terminal;
mod trace_requests;
pub mod waves;

use crate::app::snapshot::{EventEntry, Made, Snapshot, Stage};
use crate::butler::capabilities::CapturePath;
use crate::control::{Control, Notice, Severity};
use crate::device::NO_PLAYBACK;
use crate::diagnostics::trace::{Trace, TraceSources};
use crate::message::Motion;
use crate::message::disk::DiskEvent;
use crate::message::published::Published;
use crate::peaks::PeakStore;
use crate::residency::watcher::{ResidencySamples, Watcher};
use build_snapshot::{SessionInfo, TransportRequests};
use crossbeam_channel::Receiver;
use disk_watch::DiskWatch;
use inhibit::Inhibitor;
use jobs::Jobs;
use opener::{OpenRequest, Opener};
use report::ReportFigures;
use settings::{Settings, SettingsStore};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use terminal::ForTerminal;

/// Wakes another thread: control when a task has a result, the front end when there is something new to show.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How to start an app. The settings decide every field that is `None`.
#[derive(Clone, Default)]
pub struct Options {
    /// The session's folder; `None`: the last session, or a new one.
    pub session: Option<PathBuf>,
    /// The device for this start only.
    pub device: Option<DeviceWish>,
    /// The capture path for this start only.
    pub capture_path: Option<CapturePath>,
    /// The folder of the settings file; `None`: the user's configuration folder.
    pub config: Option<PathBuf>,
    /// The folder for new sessions.
    pub sessions: Option<PathBuf>,
    /// Wakes the front end. A thread of its own calls it, so it may wait.
    pub wake: Option<Wake>,
    /// The program that runs the stress test; `None`: this one. Tests set it.
    pub program: Option<PathBuf>,
}

/// A device that the command line names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceWish {
    /// The name; empty: the device of the settings.
    pub name: String,
    /// Sample rate of new sessions, in Hz.
    pub rate: Option<u32>,
    /// Frames in a period.
    pub period: Option<usize>,
    /// Number of inputs to open.
    pub inputs: Option<usize>,
    /// The input signal of the built-in device.
    pub signal: Option<String>,
}

/// Data that the front end reads in place, because a snapshot of it would be too large.
#[derive(Default)]
pub struct LiveSources<'a> {
    pub waves: Option<&'a mut PeakStore>,
    /// The residency samples, once a session is open.
    pub watcher: Option<&'a dyn ResidencySamples>,
    /// Questions to the recorder; `None` in pictures without one.
    pub questions: Option<Arc<dyn Questions>>,
}

/// Questions to the recorder whose answers take a moment. A thread that may wait asks them.
pub trait Questions: Send + Sync {
    /// The last minute as a trace, or the reason why there is none.
    fn trace(&self) -> Result<Trace, String>;

    /// The figures for a report. Without an answer there are those that have come before.
    fn figures(&self) -> ReportFigures;
}

enum OpenState {
    /// Nothing is open; the stage says why.
    Empty(Stage),
    /// A session and a device are open.
    Open(Box<Control>),
}

/// Notices that are kept for the Events panel.
const NOTICES_MAX: usize = 500;

/// Notices that are kept for the events of the next session that opens.
const UNKEPT_MAX: usize = 64;

/// Interval of polls while a pass is being prepared. Its steps wait for each other.
const PREPARING_POLL: Duration = Duration::from_millis(5);
/// Interval of polls while something moves.
const MOVING_POLL: Duration = Duration::from_millis(20);
/// Interval of polls while a session is open and nothing moves: somebody may play, the device may go.
const IDLE_POLL: Duration = Duration::from_millis(150);

/// RMS above which an input counts as sounding; full scale is 1.0. Below it a meter shows nothing.
const AUDIBLE_RMS: f32 = 1e-3;
/// Time for which an input counts as sounding after it was last loud.
const AUDIBLE_HOLD: Duration = Duration::from_millis(300);

/// The open session and device with everything around them.
pub struct App {
    state: OpenState,
    opener: Opener,
    options: Options,
    settings_store: SettingsStore,
    settings: Arc<Settings>,
    notices: Arc<Vec<EventEntry>>,
    /// Events of earlier starts.
    earlier: Arc<Vec<EventEntry>>,
    started: Instant,
    jobs: Jobs,
    disk_watch: DiskWatch,
    inhibitor: Inhibitor,
    /// When an input was loud last.
    heard_at: Option<Instant>,
    devices: Arc<Vec<crate::device::Listed>>,
    /// The place of a new session for which no device could be opened. It is begun with the next device.
    not_begun: Option<PathBuf>,
    /// To be opened as soon as the session that is open now is closed.
    next_open: Option<OpenRequest>,
    transport: TransportRequests,
    session_info: SessionInfo,
    closing: bool,
    /// The sessions of this run that are closed and not on the disk as a whole.
    unsaved: sessions::Unsaved,
    /// Whether something has changed since the last call of [`App::take_changed`].
    changed: bool,
    save_to_announce: Option<u64>,
    /// The answer to the last command.
    answers: apply::Answers,
    /// The recording that ended last.
    made: Option<Made>,
    /// The folder whose disk is watched.
    watched: PathBuf,
    /// Notices that came while no session was open. They become events of the next one.
    unkept: Vec<(Severity, String)>,
    /// Notices and reports for the terminal that owns the recording; `None`: windows own everything.
    terminal: Option<ForTerminal>,
}

impl App {
    /// Begins to open a session and a device. `wake` is called when [`App::poll`] has something to collect. `settings`:
    /// the settings, their file, and a note for the user.
    fn start(options: Options, wake: Wake, settings: (SettingsStore, Arc<Settings>, Option<String>)) -> App {
        let mut app = App::empty(options, wake, settings);
        match app.options.session.clone() {
            Some(folder) => app.open(Some(folder)),
            None => app.open_with(app.settings.last_session.clone(), true),
        }
        app
    }

    /// An app in which nothing is open.
    fn empty(options: Options, wake: Wake, settings: (SettingsStore, Arc<Settings>, Option<String>)) -> App {
        let (settings_store, settings, note) = settings;
        let mut app = App {
            state: OpenState::Empty(Stage::Opening),
            opener: Opener::new(Arc::clone(&wake)),
            settings_store,
            settings,
            notices: Arc::default(),
            earlier: Arc::default(),
            started: Instant::now(),
            jobs: Jobs::new(Arc::clone(&wake)),
            disk_watch: DiskWatch::start(wake),
            inhibitor: Inhibitor::default(),
            heard_at: None,
            devices: Arc::default(),
            not_begun: None,
            next_open: None,
            transport: TransportRequests::default(),
            session_info: SessionInfo::default(),
            closing: false,
            unsaved: sessions::Unsaved::default(),
            changed: true,
            save_to_announce: None,
            answers: apply::Answers::default(),
            made: None,
            watched: PathBuf::new(),
            unkept: Vec::new(),
            terminal: None,
            options,
        };
        if let Some(note) = note {
            app.notify(Severity::Caution, note);
        }
        app
    }

    /// Collects the results of all threads. Call it after a wake and after [`App::poll_interval`]. It does not wait.
    pub fn poll(&mut self) {
        while let Some(event) = self.opener.next_event() {
            self.changed = true;
            self.handle_opener_event(event);
        }
        self.poll_control();
        self.follow_folder();
        for (severity, text) in self.jobs.poll().into_iter().chain(self.settings_store.problems()) {
            self.notify(severity, text);
        }
        if let Some(text) = self.inhibitor.problem() {
            self.notify_in_line("The computer may fall asleep.", text);
        }
        self.open_or_close_next();
    }

    /// Lets control work, and takes its notices, reports and events.
    fn poll_control(&mut self) {
        let OpenState::Open(control) = &mut self.state else { return };
        control.poll();
        let mut notices: Vec<Notice> = std::iter::from_fn(|| control.take_notice()).collect();
        let mut reports = Vec::new();
        while let Some(report) = control.take_report() {
            (self.transport.replays, self.transport.last_pass) = (true, Some(report.pass));
            self.made = made::made(control.session(), control.folder(), &report);
            let summary = report.summary(control.running().device.rate);
            reports.push((report.severity(), summary, report.headline()));
            if let Some(terminal) = &mut self.terminal {
                terminal.reports.push_back(report);
            }
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.notices.extend(notices.iter().cloned());
        }
        if control.pass_status().is_some_and(|pass| pass.has_begun() && !pass.has_ended()) {
            self.made = None;
        }
        let mut not_begun = None;
        match control.pass_status() {
            Some(pass) => self.transport.begins &= !pass.has_begun() || pass.has_ended(),
            // The pass is gone, and it has no report: it had no frame.
            None if std::mem::take(&mut self.transport.begins) && reports.is_empty() => {
                let reason = notices.iter().rfind(|notice| notice.severity == Severity::Loss);
                not_begun = reason.map(|reason| format!("Nothing is recorded. {}", reason.text));
            }
            None => {}
        }
        while let Some(event) = control.take_event() {
            self.changed = true;
            push(&mut self.notices, past_events::unannounced(&event, self.started.elapsed()));
        }
        match control.published().motion() {
            Motion::Rolling => self.transport.rolls = true,
            Motion::Stopped => self.transport.rolls = false,
            Motion::Stopping | Motion::DeclickToLocate | Motion::WaitingForData => {}
        }
        self.inhibitor.set_active(control.is_recording());
        if self.save_to_announce.is_some_and(|revision| revision <= control.saved_revision()) {
            self.save_to_announce = None;
            notices.push(Notice { severity: Severity::Info, text: "Saved".to_owned() });
        }
        for notice in notices {
            self.push_notice(notice);
        }
        if let Some(text) = not_begun {
            self.refuse(text, None);
        }
        for (severity, text, headline) in reports {
            self.push_entry(Notice { severity, text }, headline);
        }
    }

    /// Stores the settings with a change.
    fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = (*self.settings).clone();
        change(&mut settings);
        if settings != *self.settings {
            self.settings = Arc::new(settings);
            self.settings_store.save(&self.settings);
        }
    }

    /// Records an event of the session. While none is open, keeps it for the next one that opens.
    fn keep_event(&mut self, severity: Severity, text: &str) {
        match &mut self.state {
            OpenState::Open(control) => control.keep_event(severity, text),
            OpenState::Empty(_) if self.unkept.len() < UNKEPT_MAX => self.unkept.push((severity, text.to_owned())),
            OpenState::Empty(_) => {}
        }
    }

    /// Shows a notice and records it as an event of the session.
    pub fn notify(&mut self, severity: Severity, text: String) {
        self.keep_event(severity, &text);
        self.push_notice(Notice { severity, text });
    }

    /// Shows a caution in the health line, too, until the user has read it.
    fn notify_in_line(&mut self, headline: &str, text: String) {
        self.keep_event(Severity::Caution, &text);
        self.push_entry(Notice { severity: Severity::Caution, text }, Some(headline.to_owned()));
    }

    fn push_notice(&mut self, notice: Notice) {
        let headline = (notice.text == NO_PLAYBACK).then(|| "Nothing is heard: no outputs.".to_owned());
        self.push_entry(notice, headline);
    }

    fn push_entry(&mut self, notice: Notice, headline: Option<String>) {
        self.changed = true;
        let entry = EventEntry {
            at: self.started.elapsed(),
            clock: jiff::Zoned::now().strftime("%H:%M:%S").to_string(),
            severity: notice.severity,
            text: notice.text,
            seen: false,
            headline,
        };
        push(&mut self.notices, entry);
    }

    /// Whether a pass is being prepared, recorded or finished.
    pub fn is_recording(&self) -> bool {
        matches!(&self.state, OpenState::Open(control) if control.is_recording())
    }

    /// Begins to close everything. Closing ends a pass first, and cancels an export, which then removes its files.
    pub fn shutdown(&mut self) {
        if !self.closing {
            self.closing = true;
            self.next_open = None;
            self.jobs.cancel_export();
            self.open_or_close_next();
        }
    }

    /// Whether everything is closed and on the disk.
    pub fn is_closed(&self) -> bool {
        self.closing
            && !self.opener.is_busy()
            && matches!(self.state, OpenState::Empty(_))
            && !self.jobs.is_exporting()
            && self.settings_store.is_saved()
    }

    /// Whether something moves on the screen without further changes: the playhead, a meter, the progress of a task.
    fn moves(&mut self) -> bool {
        let moves = match &self.state {
            OpenState::Open(control) => {
                if is_audible(control.published()) {
                    self.heard_at = Some(Instant::now());
                }
                control.is_recording()
                    || control.published().motion() != Motion::Stopped
                    || control.is_device_gone()
                    || self.heard_at.is_some_and(|at| at.elapsed() < AUDIBLE_HOLD)
            }
            OpenState::Empty(_) => self.opener.is_busy(),
        };
        moves || self.jobs.is_busy()
    }

    /// Whether something has changed since the last call.
    fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Time until the next poll, if nothing else asks for one; `None`: whatever happens next wakes control.
    fn poll_interval(&self) -> Option<Duration> {
        match &self.state {
            OpenState::Open(control) => Some(match control.pass_status() {
                Some(pass) if !pass.has_begun() => PREPARING_POLL,
                Some(_) => MOVING_POLL,
                None if control.published().motion() != Motion::Stopped || control.is_device_gone() => MOVING_POLL,
                None if self.heard_at.is_some_and(|at| at.elapsed() < AUDIBLE_HOLD) => MOVING_POLL,
                None => IDLE_POLL,
            }),
            OpenState::Empty(_) => self.closing.then_some(MOVING_POLL),
        }
    }

    /// The events of the disk threads of the open session. Control wakes when there is one.
    fn disk_events(&self) -> Option<&Receiver<DiskEvent>> {
        match &self.state {
            OpenState::Open(control) => Some(control.running().disk_event_queue()),
            OpenState::Empty(_) => None,
        }
    }

    fn notices(&self) -> Arc<Vec<EventEntry>> {
        Arc::clone(&self.notices)
    }

    /// Takes the open session out of an app that has failed.
    fn take_control(&mut self) -> Option<Box<Control>> {
        match std::mem::replace(&mut self.state, OpenState::Empty(Stage::Closing)) {
            OpenState::Open(control) => Some(control),
            OpenState::Empty(_) => None,
        }
    }

    /// The watcher of residency, which the front end tells what to sample. The first call starts its thread.
    pub fn watcher(&mut self) -> Option<Arc<Watcher>> {
        match &mut self.state {
            OpenState::Open(control) => control.watcher().ok(),
            OpenState::Empty(_) => None,
        }
    }

    /// The sources of a trace; `None` while no session is open.
    fn trace_sources(&self) -> Option<TraceSources> {
        match &self.state {
            OpenState::Open(control) => Some(TraceSources::of(control)),
            OpenState::Empty(_) => None,
        }
    }

    /// The state to draw. Meter peaks are the highest since the last call.
    pub fn snapshot(&mut self) -> Snapshot {
        self.build_snapshot()
    }
}

/// Whether an input sounds now.
fn is_audible(published: &Published) -> bool {
    published.inputs.iter().any(|cell| cell.rms() > AUDIBLE_RMS)
}

/// Appends an entry and drops the oldest above [`NOTICES_MAX`].
fn push(entries: &mut Arc<Vec<EventEntry>>, entry: EventEntry) {
    let entries = Arc::make_mut(entries);
    if entries.len() >= NOTICES_MAX {
        entries.remove(0);
    }
    entries.push(entry);
}
