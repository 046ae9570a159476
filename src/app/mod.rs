//! What the window stands on: a session, a device and everything beside them, opened, changed and closed while the
//! window goes on drawing. Thread: control.
//!
//! Nothing here waits: what may (a disk, a driver, a bus) is done by a thread of its own, and [`App::poll`] takes
//! what it has found.

mod apply;
mod build_snapshot;
pub mod command;
mod disk_watch;
mod health;
mod inhibit;
mod input_watch;
pub mod jobs;
pub mod naming;
mod opener;
mod past_events;
pub mod report;
pub mod settings;
pub mod snapshot;
mod waves;

use crate::app::snapshot::{EventEntry, Snapshot, Stage};
use crate::butler::capabilities::CapturePath;
use crate::control::pass::PassReport;
use crate::control::{Control, Notice, Severity};
use crate::message::Motion;
use crate::peaks::PeakStore;
use crate::residency::watcher::Watcher;
use crate::session::session_file;
use disk_watch::DiskWatch;
use inhibit::Inhibitor;
use input_watch::InputWatch;
use jobs::Jobs;
use opener::{OpenRequest, Opener};
use settings::{Settings, SettingsStore};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Called from any thread when something came that a face would want to show.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How an app is started. What is not given is as the settings say.
#[derive(Clone, Default)]
pub struct Options {
    /// The session; `None`: the last one, or a new one.
    pub session: Option<PathBuf>,
    /// A device for this time only.
    pub device: Option<DeviceWish>,
    /// A capture path for this time only.
    pub capture_path: Option<CapturePath>,
    /// The folder for the settings, in place of the user's own.
    pub config: Option<PathBuf>,
    /// The folder for new sessions, in place of the settings'.
    pub sessions: Option<PathBuf>,
    /// Raised from outside to have everything ended: a signal.
    pub end: Option<Arc<AtomicBool>>,
    /// See [`Wake`].
    pub wake: Option<Wake>,
    /// The program that runs the stress test, in place of this one.
    pub program: Option<PathBuf>,
}

/// A device that was named at the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceWish {
    /// Its name; empty: the one of the settings.
    pub name: String,
    /// Frames a second of new sessions.
    pub rate: Option<u32>,
    /// Frames of a period.
    pub period: Option<usize>,
    /// Inputs.
    pub inputs: Option<usize>,
    /// What the built-in device hears.
    pub signal: Option<String>,
}

/// Whether a face has something new to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaint {
    /// Nothing moves; the wake comes when something does.
    Never,
    /// Something moves.
    Moving,
}

/// What a face looks through, beside the snapshot.
#[derive(Default)]
pub struct LiveSources<'a> {
    /// Waveforms.
    pub waves: Option<&'a mut PeakStore>,
    /// Which pages are where.
    pub watcher: Option<&'a Watcher>,
}

/// What is open.
enum OpenState {
    /// Nothing, for this reason; or not yet.
    Empty(Stage),
    /// A session and a device.
    Open(Box<Control>),
}

/// Notices that are kept.
const NOTICES_MAX: usize = 500;

/// See the module.
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
    input_watch: InputWatch,
    devices: Arc<Vec<crate::device::alsa::Listed>>,
    /// What is to be opened when the desk is free.
    next_open: Option<OpenRequest>,
    transport: build_snapshot::TransportRequests,
    /// The session's folder, its title and the device's, while one is open or shown.
    session_info: build_snapshot::SessionInfo,
    last_report: Option<PassReport>,
    closing: bool,
    needs_repaint: bool,
    save_to_announce: Option<u64>,
    waves: waves::Waves,
    /// Whether the watcher was given a view.
    watcher_has_view: bool,
}

impl App {
    /// Begins to open what the options and the settings name. Waits for nothing but the settings' small file.
    pub fn start(options: Options) -> App {
        let (settings_store, settings, note) = SettingsStore::load(options.config.clone());
        let wake: Wake = options.wake.clone().unwrap_or_else(|| Arc::new(|| {}));
        let mut app = App {
            state: OpenState::Empty(Stage::Opening),
            opener: Opener::new(Arc::clone(&wake)),
            settings_store,
            settings: Arc::new(settings),
            notices: Arc::default(),
            earlier: Arc::default(),
            started: Instant::now(),
            jobs: Jobs::new(Arc::clone(&wake)),
            disk_watch: DiskWatch::start(Arc::clone(&wake)),
            inhibitor: Inhibitor::default(),
            input_watch: InputWatch::start(wake),
            devices: Arc::default(),
            next_open: None,
            transport: build_snapshot::TransportRequests::default(),
            session_info: build_snapshot::SessionInfo::default(),
            last_report: None,
            closing: false,
            needs_repaint: true,
            save_to_announce: None,
            waves: waves::Waves::default(),
            watcher_has_view: false,
            options,
        };
        if let Some(note) = note {
            app.notify(Severity::Caution, note);
        }
        let folder =
            app.options.session.clone().or_else(|| app.settings.last_session.clone().filter(|path| path.exists()));
        app.open(folder);
        app
    }

    /// Plans to open the session in `folder`, or a new one, as soon as what is open is closed.
    fn open(&mut self, folder: Option<PathBuf>) {
        let named = self.options.session.is_some() || folder.is_some();
        self.next_open = Some(OpenRequest {
            folder,
            named,
            settings: Arc::clone(&self.settings),
            device: self.options.device.clone(),
            capture_path: self.options.capture_path,
            sessions: self.options.sessions.clone(),
        });
        self.open_or_close_next();
    }

    /// Closes what is open, opens what is next; each on the opener's thread.
    fn open_or_close_next(&mut self) {
        if self.opener.is_busy() {
            return;
        }
        if (self.next_open.is_some() || self.closing)
            && let OpenState::Open(_) = &self.state
        {
            let stage = if self.closing { Stage::Closing } else { Stage::Opening };
            if let OpenState::Open(control) = std::mem::replace(&mut self.state, OpenState::Empty(stage)) {
                self.input_watch.watch(None);
                self.waves = waves::Waves::default();
                self.watcher_has_view = false;
                self.session_info.keep_session(&control);
                // One that is opened again, with another device, stays.
                let again = self
                    .next_open
                    .as_ref()
                    .is_some_and(|request| request.folder.as_ref() == Some(&self.session_info.folder));
                let untouched = self.session_info.is_untouched(&control) && !again;
                self.opener.close(control, untouched.then(|| self.session_info.folder.clone()));
            }
            return;
        }
        if let Some(request) = self.next_open.take()
            && !self.closing
        {
            self.state = OpenState::Empty(Stage::Opening);
            self.opener.open(request);
        }
    }

    /// Takes what the threads have found. Call it before drawing, and when woken; it does not wait.
    pub fn poll(&mut self) {
        if self.options.end.as_ref().is_some_and(|end| end.load(Relaxed)) {
            self.shutdown();
        }
        while let Some(done) = self.opener.next_event() {
            self.needs_repaint = true;
            match done {
                opener::OpenerEvent::Opened(opened) => self.opened(*opened),
                opener::OpenerEvent::Failed(failed) => self.failed(failed),
                opener::OpenerEvent::Closed(notices) => {
                    for notice in notices {
                        self.push_notice(notice);
                    }
                    if let OpenState::Empty(stage) = &mut self.state {
                        *stage = if self.closing { Stage::Closing } else { Stage::Opening };
                    }
                }
                opener::OpenerEvent::Listed(devices) => self.devices = Arc::new(devices),
                opener::OpenerEvent::Restored(Ok(folder)) => self.open(Some(folder)),
                opener::OpenerEvent::Restored(Err(reason)) => self.notify(Severity::Caution, reason),
            }
        }
        let mut moved = None;
        if let OpenState::Open(control) = &mut self.state {
            control.poll();
            let mut notices = Vec::new();
            while let Some(notice) = control.take_notice() {
                notices.push(notice);
            }
            while let Some(report) = control.take_report() {
                notices.push(build_snapshot::told_of(&report, control.running().device.rate));
                self.last_report = Some(report);
            }
            while let Some(event) = control.take_event() {
                if let Some(entry) = past_events::unannounced(&event, self.started.elapsed()) {
                    self.needs_repaint = true;
                    push(&mut self.notices, entry);
                }
            }
            match control.published().motion() {
                Motion::Rolling => self.transport.rolls = true,
                Motion::Stopped => self.transport.rolls = false,
                _ => {}
            }
            self.inhibitor.hold(control.is_recording());
            self.waves.follow(control);
            if control.folder() != self.session_info.folder {
                moved = Some(control.folder().to_path_buf());
            }
            if self.save_to_announce.is_some_and(|revision| revision <= control.saved_revision()) {
                self.save_to_announce = None;
                notices.push(Notice { severity: Severity::Info, text: "Saved".to_owned() });
            }
            for notice in notices {
                self.push_notice(notice);
            }
        }
        if let Some(folder) = moved {
            self.session_info.folder.clone_from(&folder);
            self.disk_watch.watch(Some(folder.clone()));
            if self.session_info.read_only.is_none() {
                self.change_settings(|settings| settings.last_session = Some(folder));
            }
        }
        for (severity, text) in
            self.jobs.poll().into_iter().chain(self.settings_store.problems()).chain(self.inhibitor.problem())
        {
            self.notify(severity, text);
        }
        self.open_or_close_next();
    }

    fn opened(&mut self, opened: opener::Opened) {
        let opener::Opened { mut control, title, read_only, made, notes, base } = opened;
        control.hear();
        let monitors = self.settings.monitors.unwrap_or(control.running().device.inputs > 2);
        control.set_monitoring(monitors);
        control.set_mirror(self.settings.mirror.as_deref());
        control.set_overflow(self.settings.overflow.as_deref());
        self.session_info = build_snapshot::SessionInfo::new(&mut control, title, read_only, made, base);
        self.input_watch.watch(Some(Arc::clone(&control.running().published)));
        self.disk_watch.watch(Some(control.folder().to_path_buf()));
        self.transport = build_snapshot::TransportRequests::default();
        self.last_report = None;
        self.earlier = Arc::new(past_events::earlier(&control.events()));
        self.state = OpenState::Open(control);
        for note in notes {
            self.notify(Severity::Caution, note);
        }
        if self.session_info.read_only.is_none() {
            let folder = self.session_info.folder.clone();
            self.change_settings(|settings| settings.last_session = Some(folder));
        }
    }

    fn failed(&mut self, failed: opener::Failed) {
        self.notify(Severity::Caution, failed.reason.clone());
        self.session_info = build_snapshot::SessionInfo::default();
        self.earlier = Arc::default();
        self.session_info.folder = failed.folder;
        if let Some(session) = failed.session {
            self.session_info.session = session;
        }
        self.state = OpenState::Empty(failed.stage);
    }

    fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = (*self.settings).clone();
        change(&mut settings);
        if settings != *self.settings {
            self.settings = Arc::new(settings);
            self.settings_store.save(&self.settings);
        }
    }

    /// Tells something that the app does not know by itself.
    pub fn notify(&mut self, severity: Severity, text: String) {
        if let OpenState::Open(control) = &mut self.state {
            control.keep_event(severity, &text);
        }
        self.push_notice(Notice { severity, text });
    }

    fn push_notice(&mut self, notice: Notice) {
        self.needs_repaint = true;
        let entry = EventEntry {
            at: self.started.elapsed(),
            clock: jiff::Zoned::now().strftime("%H:%M:%S").to_string(),
            severity: notice.severity,
            text: notice.text,
            seen: false,
        };
        push(&mut self.notices, entry);
    }

    /// Whether a pass is prepared, recorded or finished.
    pub fn is_recording(&self) -> bool {
        matches!(&self.state, OpenState::Open(control) if control.is_recording())
    }

    /// Begins to close everything: a pass is ended first.
    pub fn shutdown(&mut self) {
        if !self.closing {
            self.closing = true;
            self.next_open = None;
            self.open_or_close_next();
        }
    }

    /// Whether everything is on the disk and closed.
    pub fn is_closed(&self) -> bool {
        self.closing
            && !self.opener.is_busy()
            && matches!(self.state, OpenState::Empty(_))
            && self.settings_store.is_saved()
    }

    /// Whether the end was asked for.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether there is something new to draw, and whether it goes on by itself.
    pub fn wants_repaint(&mut self) -> Repaint {
        let moves = match &self.state {
            OpenState::Open(control) => {
                control.is_recording()
                    || control.published().motion() != Motion::Stopped
                    || self.input_watch.is_audible()
                    || control.is_device_gone()
                    || self.waves.is_busy()
            }
            OpenState::Empty(_) => self.opener.is_busy(),
        };
        if std::mem::take(&mut self.needs_repaint) || moves || self.jobs.is_busy() {
            Repaint::Moving
        } else {
            Repaint::Never
        }
    }

    /// What to look through now. The watcher works only while `residency` is looked at.
    pub fn live_sources(&mut self, residency: bool) -> LiveSources<'_> {
        let watcher = match &mut self.state {
            OpenState::Open(control) if residency || self.watcher_has_view => control.watcher().ok(),
            _ => None,
        };
        self.watcher_has_view |= watcher.is_some();
        if let Some(watcher) = watcher.filter(|_| !residency) {
            watcher.set_view(None);
            self.watcher_has_view = false;
        }
        LiveSources { waves: self.waves.store(), watcher: watcher.filter(|_| residency) }
    }

    /// How things stand. Peaks of meters are those since the last call.
    pub fn snapshot(&mut self) -> Snapshot {
        self.build_snapshot()
    }
}

/// Adds to what was told; the oldest goes.
fn push(all: &mut Arc<Vec<EventEntry>>, entry: EventEntry) {
    let all = Arc::make_mut(all);
    if all.len() >= NOTICES_MAX {
        all.remove(0);
    }
    all.push(entry);
}

/// Which kept versions of a damaged session there are, latest first.
fn versions(folder: &std::path::Path) -> Vec<session_file::KeptVersion> {
    let mut versions = session_file::kept_versions(folder).unwrap_or_default();
    versions.reverse();
    versions
}
