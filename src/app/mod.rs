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

use crate::app::snapshot::{Snapshot, Stage, Told};
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
use opener::{Opener, Plan};
use settings::{Kept, Settings};
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
pub struct Instruments<'a> {
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
    kept: Kept,
    settings: Arc<Settings>,
    told: Arc<Vec<Told>>,
    /// Events of earlier starts.
    earlier: Arc<Vec<Told>>,
    started: Instant,
    jobs: Jobs,
    room: DiskWatch,
    inhibitor: Inhibitor,
    input_watch: InputWatch,
    devices: Arc<Vec<crate::device::alsa::Listed>>,
    /// What is to be opened when the desk is free.
    next: Option<Plan>,
    transport: build_snapshot::Wishes,
    /// The session's folder, its title and the device's, while one is open or shown.
    place: build_snapshot::Place,
    last_report: Option<PassReport>,
    closing: bool,
    fresh: bool,
    saving_told: Option<u64>,
    waves: waves::Waves,
    /// Whether the watcher was given a view.
    watched: bool,
}

impl App {
    /// Begins to open what the options and the settings name. Waits for nothing but the settings' small file.
    pub fn start(options: Options) -> App {
        let (kept, settings, note) = Kept::load(options.config.clone());
        let wake: Wake = options.wake.clone().unwrap_or_else(|| Arc::new(|| {}));
        let mut app = App {
            state: OpenState::Empty(Stage::Opening),
            opener: Opener::new(Arc::clone(&wake)),
            kept,
            settings: Arc::new(settings),
            told: Arc::default(),
            earlier: Arc::default(),
            started: Instant::now(),
            jobs: Jobs::new(Arc::clone(&wake)),
            room: DiskWatch::start(Arc::clone(&wake)),
            inhibitor: Inhibitor::default(),
            input_watch: InputWatch::start(wake),
            devices: Arc::default(),
            next: None,
            transport: build_snapshot::Wishes::default(),
            place: build_snapshot::Place::default(),
            last_report: None,
            closing: false,
            fresh: true,
            saving_told: None,
            waves: waves::Waves::default(),
            watched: false,
            options,
        };
        if let Some(note) = note {
            app.tell(Severity::Caution, note);
        }
        let folder =
            app.options.session.clone().or_else(|| app.settings.last_session.clone().filter(|path| path.exists()));
        app.open(folder);
        app
    }

    /// Plans to open the session in `folder`, or a new one, as soon as what is open is closed.
    fn open(&mut self, folder: Option<PathBuf>) {
        let named = self.options.session.is_some() || folder.is_some();
        self.next = Some(Plan {
            folder,
            named,
            settings: Arc::clone(&self.settings),
            device: self.options.device.clone(),
            capture_path: self.options.capture_path,
            sessions: self.options.sessions.clone(),
        });
        self.turn_over();
    }

    /// Closes what is open, opens what is next; each on the opener's thread.
    fn turn_over(&mut self) {
        if self.opener.is_busy() {
            return;
        }
        if (self.next.is_some() || self.closing)
            && let OpenState::Open(_) = &self.state
        {
            let stage = if self.closing { Stage::Closing } else { Stage::Opening };
            if let OpenState::Open(control) = std::mem::replace(&mut self.state, OpenState::Empty(stage)) {
                self.input_watch.look_at(None);
                self.waves = waves::Waves::default();
                self.watched = false;
                self.place.hold(&control);
                // One that is opened again, with another device, stays.
                let again = self.next.as_ref().is_some_and(|plan| plan.folder.as_ref() == Some(&self.place.folder));
                let untouched = self.place.is_untouched(&control) && !again;
                self.opener.close(control, untouched.then(|| self.place.folder.clone()));
            }
            return;
        }
        if let Some(plan) = self.next.take()
            && !self.closing
        {
            self.state = OpenState::Empty(Stage::Opening);
            self.opener.open(plan);
        }
    }

    /// Takes what the threads have found. Call it before drawing, and when woken; it does not wait.
    pub fn poll(&mut self) {
        if self.options.end.as_ref().is_some_and(|end| end.load(Relaxed)) {
            self.shutdown();
        }
        while let Some(done) = self.opener.done() {
            self.fresh = true;
            match done {
                opener::Done::Opened(opened) => self.opened(*opened),
                opener::Done::Failed(failed) => self.failed(failed),
                opener::Done::Closed(notices) => {
                    for notice in notices {
                        self.notice(notice);
                    }
                    if let OpenState::Empty(stage) = &mut self.state {
                        *stage = if self.closing { Stage::Closing } else { Stage::Opening };
                    }
                }
                opener::Done::Listed(devices) => self.devices = Arc::new(devices),
                opener::Done::Restored(Ok(folder)) => self.open(Some(folder)),
                opener::Done::Restored(Err(reason)) => self.tell(Severity::Caution, reason),
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
                if let Some(told) = past_events::quiet(&event, self.started.elapsed()) {
                    self.fresh = true;
                    push(&mut self.told, told);
                }
            }
            match control.published().motion() {
                Motion::Rolling => self.transport.rolls = true,
                Motion::Stopped => self.transport.rolls = false,
                _ => {}
            }
            self.inhibitor.hold(control.is_recording());
            self.waves.follow(control);
            if control.folder() != self.place.folder {
                moved = Some(control.folder().to_path_buf());
            }
            if self.saving_told.is_some_and(|revision| revision <= control.saved_revision()) {
                self.saving_told = None;
                notices.push(Notice { severity: Severity::Info, text: "Saved".to_owned() });
            }
            for notice in notices {
                self.notice(notice);
            }
        }
        if let Some(folder) = moved {
            self.place.folder.clone_from(&folder);
            self.room.look_at(Some(folder.clone()));
            if self.place.read_only.is_none() {
                self.keep(|settings| settings.last_session = Some(folder));
            }
        }
        for (severity, text) in self.jobs.poll().into_iter().chain(self.kept.problems()).chain(self.inhibitor.problem())
        {
            self.tell(severity, text);
        }
        self.turn_over();
    }

    fn opened(&mut self, opened: opener::Opened) {
        let opener::Opened { mut control, title, read_only, made, notes, base } = opened;
        control.hear();
        let monitors = self.settings.monitors.unwrap_or(control.running().device.inputs > 2);
        control.set_monitoring(monitors);
        control.set_mirror(self.settings.mirror.as_deref());
        control.set_overflow(self.settings.overflow.as_deref());
        self.place = build_snapshot::Place::new(&mut control, title, read_only, made, base);
        self.input_watch.look_at(Some(Arc::clone(&control.running().published)));
        self.room.look_at(Some(control.folder().to_path_buf()));
        self.transport = build_snapshot::Wishes::default();
        self.last_report = None;
        self.earlier = Arc::new(past_events::earlier(&control.events()));
        self.state = OpenState::Open(control);
        for note in notes {
            self.tell(Severity::Caution, note);
        }
        if self.place.read_only.is_none() {
            let folder = self.place.folder.clone();
            self.keep(|settings| settings.last_session = Some(folder));
        }
    }

    fn failed(&mut self, failed: opener::Failed) {
        self.tell(Severity::Caution, failed.reason.clone());
        self.place = build_snapshot::Place::default();
        self.earlier = Arc::default();
        self.place.folder = failed.folder;
        if let Some(session) = failed.session {
            self.place.session = session;
        }
        self.state = OpenState::Empty(failed.stage);
    }

    fn keep(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = (*self.settings).clone();
        change(&mut settings);
        if settings != *self.settings {
            self.settings = Arc::new(settings);
            self.kept.save(&self.settings);
        }
    }

    /// Tells something that the app does not know by itself.
    pub fn tell(&mut self, severity: Severity, text: String) {
        if let OpenState::Open(control) = &mut self.state {
            control.keep_event(severity, &text);
        }
        self.notice(Notice { severity, text });
    }

    fn notice(&mut self, notice: Notice) {
        self.fresh = true;
        let told = Told {
            at: self.started.elapsed(),
            clock: jiff::Zoned::now().strftime("%H:%M:%S").to_string(),
            severity: notice.severity,
            text: notice.text,
            seen: false,
        };
        push(&mut self.told, told);
    }

    /// Whether a pass is prepared, recorded or finished.
    pub fn is_recording(&self) -> bool {
        matches!(&self.state, OpenState::Open(control) if control.is_recording())
    }

    /// Begins to close everything: a pass is ended first.
    pub fn shutdown(&mut self) {
        if !self.closing {
            self.closing = true;
            self.next = None;
            self.turn_over();
        }
    }

    /// Whether everything is on the disk and closed.
    pub fn is_closed(&self) -> bool {
        self.closing && !self.opener.is_busy() && matches!(self.state, OpenState::Empty(_)) && self.kept.is_saved()
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
                    || self.input_watch.hears()
                    || control.is_device_gone()
                    || self.waves.is_busy()
            }
            OpenState::Empty(_) => self.opener.is_busy(),
        };
        if std::mem::take(&mut self.fresh) || moves || self.jobs.is_busy() { Repaint::Moving } else { Repaint::Never }
    }

    /// What to look through now. The watcher works only while `residency` is looked at.
    pub fn instruments(&mut self, residency: bool) -> Instruments<'_> {
        let watcher = match &mut self.state {
            OpenState::Open(control) if residency || self.watched => control.watcher().ok(),
            _ => None,
        };
        self.watched |= watcher.is_some();
        if let Some(watcher) = watcher.filter(|_| !residency) {
            watcher.set_view(None);
            self.watched = false;
        }
        Instruments { waves: self.waves.store(), watcher: watcher.filter(|_| residency) }
    }

    /// How things stand. Peaks of meters are those since the last call.
    pub fn snapshot(&mut self) -> Snapshot {
        self.look()
    }
}

/// Adds to what was told; the oldest goes.
fn push(all: &mut Arc<Vec<Told>>, told: Told) {
    let all = Arc::make_mut(all);
    if all.len() >= NOTICES_MAX {
        all.remove(0);
    }
    all.push(told);
}

/// Which kept versions of a damaged session there are, latest first.
fn versions(folder: &std::path::Path) -> Vec<session_file::KeptVersion> {
    let mut versions = session_file::kept_versions(folder).unwrap_or_default();
    versions.reverse();
    versions
}
