//! Sessions and devices that are opened and closed one after the other. Thread: control. The opener's threads wait for disks
//! and drivers.

use super::build_snapshot::{SessionInfo, TransportRequests};
use super::opener::{self, OpenRequest, OpenerEvent};
use super::snapshot::{Stage, WAS_CUT_OFF};
use super::{App, OpenState, past_events};
use crate::control::{Notice, Severity};
use std::path::PathBuf;
use std::sync::Arc;

/// The sessions of this run that are closed and not on the disk as a whole, and why.
#[derive(Default)]
pub(super) struct Unsaved(Vec<(PathBuf, String)>);

impl Unsaved {
    /// The session in `folder` is not on the disk as a whole, for this reason; or it is.
    pub(super) fn note(&mut self, folder: PathBuf, reason: Option<String>) {
        self.0.retain(|(other, _)| *other != folder);
        self.0.extend(reason.map(|reason| (folder, reason)));
    }

    /// Why not everything is on the disk, all sessions one after the other. `None`: everything is.
    pub(super) fn reason(&self) -> Option<String> {
        let reasons: Vec<&str> = self.0.iter().map(|(_, reason)| reason.as_str()).collect();
        (!reasons.is_empty()).then(|| reasons.join(". "))
    }
}

impl App {
    /// Opens the session in `folder`, or a new one, as soon as the one that is open now is closed.
    pub(super) fn open(&mut self, folder: Option<PathBuf>) {
        self.open_with(folder, false);
    }

    /// `may_be_missing`: whether a new session is made if the folder is not there.
    pub(super) fn open_with(&mut self, folder: Option<PathBuf>, may_be_missing: bool) {
        self.next_open = Some(OpenRequest {
            may_begin: folder.is_some() && (folder == self.options.session || folder == self.not_begun),
            folder,
            may_be_missing,
            settings: Arc::clone(&self.settings),
            device: self.options.device.clone(),
            capture_path: self.options.capture_path,
            sessions: self.options.sessions.clone(),
        });
        self.open_or_close_next();
    }

    /// Closes the open session if another is to be opened or the app closes; then opens the next one. Each is done on
    /// a thread of the opener.
    pub(super) fn open_or_close_next(&mut self) {
        // A terminal closes its session itself.
        if self.opener.is_busy() || self.terminal.is_some() {
            return;
        }
        if (self.next_open.is_some() || self.closing)
            && let OpenState::Open(_) = &self.state
        {
            self.follow_folder();
            let stage = if self.closing { Stage::Closing } else { Stage::Opening };
            if let OpenState::Open(control) = std::mem::replace(&mut self.state, OpenState::Empty(stage)) {
                self.session_info.keep_session(&control);
                // A session that is reopened with another device must not be removed, even if it is untouched.
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

    pub(super) fn handle_opener_event(&mut self, event: OpenerEvent) {
        match event {
            OpenerEvent::Opened(opened) => self.opened(*opened),
            OpenerEvent::Failed(failed) => self.failed(*failed),
            OpenerEvent::Closed(notices, unsaved) => {
                for notice in notices {
                    self.push_notice(notice);
                }
                self.unsaved.note(self.session_info.folder.clone(), unsaved);
                if let OpenState::Empty(stage) = &mut self.state {
                    *stage = if self.closing { Stage::Closing } else { Stage::Opening };
                }
            }
            OpenerEvent::Listed(devices) => self.devices = Arc::new(devices),
            OpenerEvent::Restored(Ok((folder, unlisted))) => self.open_restored(folder, unlisted),
            OpenerEvent::Restored(Err(reason)) => self.notify(Severity::Caution, reason),
        }
    }

    /// Follows the session's folder if it was moved while the session is open. Watches the disk that takes the sound.
    /// Remembers the session as the last one. A new one that nobody has changed is removed at its end, so it is remembered
    /// from its first change on.
    pub(super) fn follow_folder(&mut self) {
        let OpenState::Open(control) = &self.state else { return };
        let takes_sound = control.continues_in().unwrap_or(control.folder());
        if takes_sound != self.watched {
            self.watched = takes_sound.to_path_buf();
            self.disk_watch.watch(Some(self.watched.clone()));
        }
        let is_kept = !self.session_info.is_untouched(control);
        let is_known = self.session_info.is_remembered || !is_kept;
        if control.folder() == self.session_info.folder && is_known {
            return;
        }
        let folder = control.folder().to_path_buf();
        self.session_info.folder.clone_from(&folder);
        self.session_info.is_remembered = is_kept;
        if self.session_info.read_only.is_none() && is_kept {
            self.change_settings(|settings| settings.last_session = Some(folder));
        }
    }

    fn opened(&mut self, opened: opener::Opened) {
        let opener::Opened { mut control, title, read_only, is_new, notes, base } = opened;
        control.enable_playback();
        let monitors = self.settings.monitors.unwrap_or(control.running().device.inputs > 2);
        control.set_monitoring(monitors);
        control.set_latency_offset(self.settings.offset_of(&control.offset_key()));
        control.set_mirror(self.settings.mirror.as_deref());
        control.set_overflow(self.settings.overflow.as_deref());
        // The watcher keeps figures from now on, whether or not a panel shows them. Without its thread there are none.
        control.watcher().ok();
        // At its end the session says again what is not on the disk.
        self.unsaved.note(control.folder().to_owned(), None);
        self.session_info = SessionInfo::new(&mut control, title, read_only, is_new, base);
        self.watched = PathBuf::new();
        (self.answers, self.made) = (self.answers.cleared(), None);
        self.inhibitor.try_once();
        self.transport = TransportRequests::default();
        self.earlier = Arc::new(past_events::earlier(&control.events()));
        let recovered: Vec<Notice> = std::iter::from_fn(|| control.take_recovery_notice()).collect();
        self.state = OpenState::Open(control);
        for (severity, text) in std::mem::take(&mut self.unkept) {
            self.keep_event(severity, &text);
        }
        for notice in recovered {
            self.push_entry(notice, Some(WAS_CUT_OFF.to_owned()));
        }
        for note in notes {
            if note.contains("test tones") {
                self.notify_in_line("Test tones, no sound card.", note);
            } else if note.contains("the last session is not there") {
                self.notify_in_line("The last session is not there.", note);
            } else {
                self.notify(Severity::Caution, note);
            }
        }
        self.follow_folder();
    }

    fn failed(&mut self, failed: opener::Failed) {
        for notice in failed.recovered {
            self.push_entry(notice, Some(WAS_CUT_OFF.to_owned()));
        }
        self.notify(Severity::Caution, failed.reason.clone());
        if failed.session.is_some() {
            // If a session cannot be read, its entry stays as it was.
            self.unsaved.note(failed.folder.clone(), failed.unsaved);
        }
        self.session_info = SessionInfo::default();
        self.earlier = Arc::default();
        self.not_begun = failed.is_new.then(|| failed.folder.clone());
        self.session_info.folder = failed.folder;
        if let Some(session) = failed.session {
            self.session_info.session = session;
        }
        self.state = OpenState::Empty(failed.stage);
    }
}

#[cfg(test)]
mod tests {
    use crate::app::command::Command;
    use crate::app::handle::{AppHandle, Phase};
    use crate::app::snapshot::{Snapshot, Stage};
    use crate::app::terminal::TerminalApp;
    use crate::app::{DeviceWish, Options};
    use crate::control::Purpose;
    use crate::control::close::tests::CutOff;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn options(home: &Path, session: &Path, device: &str) -> Options {
        Options {
            config: Some(home.join("config")),
            sessions: Some(home.join("sessions")),
            session: Some(session.to_owned()),
            device: Some(DeviceWish { name: device.to_owned(), inputs: Some(2), ..DeviceWish::default() }),
            ..Options::default()
        }
    }

    fn until(app: &AppHandle, so: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let snapshot = app.snapshot();
            if so(&snapshot) {
                return snapshot;
            }
            assert!(Instant::now() < deadline, "{:?} {:?}", snapshot.stage, snapshot.notices);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn open(app: &AppHandle, folder: &Path) {
        assert!(app.apply(Command::OpenSession(folder.to_owned())));
        until(app, |snapshot| snapshot.stage == Stage::Open && snapshot.folder == folder);
    }

    /// Ends the app. Returns its last health line.
    fn close(app: &AppHandle) -> (Phase, String) {
        app.close_within(PATIENCE);
        (app.phase(), app.snapshot().health.advice.clone().unwrap_or_default())
    }

    /// The second session took the place of the first one, whose sound was then in memory only and which nobody named.
    #[test]
    fn the_end_names_each_session_of_the_run_that_is_in_memory_only_and_none_that_was_recovered_since() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().canonicalize().unwrap();
        let [first, second, third] = ["first", "second", "third"].map(|name| CutOff::new(&place, name));
        let app = AppHandle::start(options(&place, &first.folder, "virtual")).unwrap();
        until(&app, |snapshot| snapshot.stage == Stage::Open);
        open(&app, &second.folder);
        open(&app, &third.folder);
        second.lose_memory();
        open(&app, &second.folder);
        let (phase, advice) = close(&app);
        assert_eq!(phase, Phase::Failed, "{advice}");
        let is_named = [&first, &second, &third].map(|it| advice.contains(&*it.folder.to_string_lossy()));
        assert_eq!(is_named, [true, false, true], "{advice}");
    }

    #[test]
    fn a_session_whose_takes_are_in_memory_is_not_saved_when_its_device_is_not_there() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().canonicalize().unwrap();
        let cut_off = CutOff::new(&place, "evening");
        let app = AppHandle::start(options(&place, &cut_off.folder, "alsa:no-such-card")).unwrap();
        until(&app, |snapshot| matches!(snapshot.stage, Stage::NoDevice { .. }));
        let (phase, advice) = close(&app);
        assert!(phase == Phase::Failed && advice.contains("1 take is not whole on the disk"), "{phase:?} {advice}");
    }

    #[test]
    fn a_recording_in_a_terminal_says_at_its_end_that_an_earlier_take_is_in_memory_only() {
        let home = tempfile::tempdir().unwrap();
        let cut_off = CutOff::new(home.path(), "evening");
        let app = TerminalApp::start(Box::new(cut_off.open(Purpose::Record)), Arc::new(|| ())).unwrap();
        let unsaved = app.close().unsaved.unwrap_or_default();
        assert!(unsaved.contains("1 take is not whole on the disk"), "{unsaved}");
    }
}
