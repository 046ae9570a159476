//! The app of a recording that a terminal owns: `faultless record`. Windows can be attached to it, and go again. Thread:
//! control, which is the main thread of `faultless record`.
//!
//! The terminal opens the session and the device, and begins the pass. From then on both ends give commands: the terminal
//! to [`TerminalApp::control`], the windows through an [`AppHandle`]. The pass ends by either. The process ends with its
//! pass, so no window can open another session or another device in it.

use super::App;
use super::build_snapshot::SessionInfo;
use super::command::Command;
use super::control_loop::{ControlLoop, Prepared};
use super::handle::AppHandle;
use super::past_events;
use super::settings::DamagedFile;
use super::{OpenState, Options, Wake};
use crate::control::recording::PassReport;
use crate::control::report::Reading;
use crate::control::{Closed, Control, ControlError, Notice};
use crossbeam_channel::{Sender, bounded};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Time for an export that a window has begun to remove its files at the end.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

/// Notices and reports that the terminal has not shown yet, and whether a window has ended the recording.
#[derive(Default)]
pub(super) struct ForTerminal {
    pub(super) notices: VecDeque<Notice>,
    pub(super) reports: VecDeque<PassReport>,
    is_stopped: bool,
}

/// The app on the terminal's own thread. Nothing happens between two calls of [`TerminalApp::turn`].
pub struct TerminalApp {
    turns: ControlLoop,
    handle: AppHandle,
    /// Tells the handles, by its end, that everything is closed.
    _alive: Sender<Infallible>,
}

impl TerminalApp {
    /// An app in which `control` has its session and its device open. Reads the settings, which windows show, and waits
    /// only for that small file. `wake` is called on a thread of its own when something has changed. Fails if the system
    /// gives no thread.
    pub fn start(control: Box<Control>, wake: Wake) -> io::Result<TerminalApp> {
        let (prepared, commands, shared) = Prepared::new((None, DamagedFile::Leave), Some(wake))?;
        let (alive, over) = bounded(0);
        let turns = prepared.into_loop(|news, settings| {
            let mut app = App::empty(Options::default(), news, settings);
            app.adopt(control);
            app
        });
        Ok(TerminalApp { turns, handle: AppHandle { commands, shared, over }, _alive: alive })
    }

    /// A handle for windows.
    pub fn handle(&self) -> AppHandle {
        self.handle.clone()
    }

    /// The session and the device.
    pub fn control(&mut self) -> &mut Control {
        match &mut self.turns.app.state {
            OpenState::Open(control) => control,
            OpenState::Empty(_) => unreachable!("the terminal's session is open until close() takes it"),
        }
    }

    /// Waits until a window wants something, at most for `limit`; then lets control work.
    pub fn turn(&mut self, limit: Duration) {
        // A window that is attached shows each turn.
        let limit = if self.turns.shared.live.page().is_some() { limit.min(super::live::TURN) } else { limit };
        let until = Instant::now() + limit;
        let next =
            self.turns.app.poll_interval().filter(|_| !self.turns.app.has_begun()).map(|pause| Instant::now() + pause);
        self.turns.next_poll = Some(next.map_or(until, |next| next.min(until)));
        // The events of the disk threads can wait for the next turn. To wake for each costs more than it gives.
        self.turns.skips_disk_events = true;
        self.turns.turn();
    }

    /// The meters' peaks of all inputs since the last look. The next turn builds a new snapshot.
    pub fn input_peaks(&self) -> Vec<f32> {
        self.turns.shared.is_taken.store(true, SeqCst);
        self.turns.latest.inputs.iter().map(|meter| meter.peak).collect()
    }

    /// Recording time that the disk has room for, as windows show it. A thread of its own asks the disk.
    pub fn time_left(&self) -> Option<Duration> {
        let seconds = self.turns.latest.disk_space.as_ref()?.seconds;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The next notice that the terminal has not shown, the oldest first.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.for_terminal().notices.pop_front()
    }

    /// The report of a pass that has ended.
    pub fn take_report(&mut self) -> Option<PassReport> {
        self.for_terminal().reports.pop_front()
    }

    /// Whether a window or `faultless stop` has ended the recording.
    pub fn is_stopped(&self) -> bool {
        self.turns.app.closing || self.turns.app.terminal.as_ref().is_some_and(|terminal| terminal.is_stopped)
    }

    fn for_terminal(&mut self) -> &mut ForTerminal {
        self.turns.app.terminal.get_or_insert_default()
    }

    /// Closes the session and the device in order, and tells the windows. Waits for the last sound to be on the disk.
    /// Returns the reports and notices that the terminal has not taken, and why not everything is on the disk.
    pub fn close(mut self) -> Closed {
        let app = &mut self.turns.app;
        app.jobs.cancel_export();
        let ForTerminal { notices, reports, .. } = app.terminal.take().unwrap_or_default();
        let (mut reports, mut notices) = (Vec::from(reports), Vec::from(notices));
        if let Some(control) = app.take_control() {
            app.session_info.keep_session(&control);
            let folder = control.folder().to_path_buf();
            let Closed { reports: more_reports, notices: more_notices, unsaved } = control.end();
            reports.extend(more_reports);
            notices.extend(more_notices);
            app.unsaved.note(folder, unsaved);
        }
        let until = Instant::now() + EXPORT_LIMIT;
        while app.jobs.is_exporting() && Instant::now() < until {
            app.jobs.poll();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.turns.end();
        Closed { reports, notices, unsaved: self.turns.app.unsaved.reason() }
    }
}

impl App {
    /// Takes over a session and a device that a terminal has opened.
    pub(super) fn adopt(&mut self, mut control: Box<Control>) {
        let base = Reading::now(control.published(), false);
        let name = &control.running().device.name;
        let title = name.strip_prefix("alsa:").unwrap_or(name).to_owned();
        self.session_info = SessionInfo::new(&mut control, title, None, false, base);
        // The window's next start does not depend on what a terminal records.
        self.session_info.is_remembered = true;
        self.earlier = Arc::new(past_events::earlier(&control.events()));
        self.inhibitor.try_once();
        self.state = OpenState::Open(control);
        // The note about the settings is older than the terminal's queue.
        let notices = self.notices.iter().map(|entry| Notice { severity: entry.severity, text: entry.text.clone() });
        self.terminal = Some(ForTerminal { notices: notices.collect(), ..ForTerminal::default() });
    }

    /// Whether a pass runs that has its first frame.
    fn has_begun(&self) -> bool {
        matches!(&self.state, OpenState::Open(control) if control.pass_status().is_some_and(|pass| pass.has_begun()))
    }

    /// Notes for the terminal that a window has ended the recording.
    pub(super) fn stopped_for_terminal(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.is_stopped = true;
        }
    }

    /// Refuses a command that a window gives and that belongs to the terminal.
    pub(super) fn check_owner(&self, command: &Command) -> Result<(), ControlError> {
        let subject = match command {
            Command::Record if !self.is_recording() => "record",
            Command::NewSession => "new session",
            Command::OpenSession(_) | Command::RestoreVersion(_) => "open a session",
            Command::Reopen => "device",
            _ => return Ok(()),
        };
        if self.terminal.is_none() {
            return Ok(());
        }
        Err(ControlError::State(format!(
            "{subject}: this recording was started in a terminal by 'faultless record', and ends with it"
        )))
    }
}
