//! The thread that owns the app, and the handle with which a front end uses it. Thread: control runs the app; any
//! thread may have a handle.
//!
//! ```text
//!   front end --- apply(): queue of commands, bounded ---> control: App by value
//!             <-- snapshot(): the newest Snapshot ---------
//! ```
//!
//! Neither side waits for the other. A front end that stands still, because its display hangs or its thread is stopped,
//! delays no command, no event and no step of a recording. Control wakes it through a thread of its own (`wake`),
//! because the toolkit's own locks may be held by the thread that hangs.
//!
//! Control works when a command, an event of a disk thread or a result of another thread comes, and now and then while
//! something moves ([`App::poll_interval`]). It builds a snapshot only when something has changed or when the front end
//! has taken the last one.

use super::command::Command;
use super::control_loop::{Prepared, Shared};
use super::live::LiveLease;
pub use super::phase::Phase;
use super::settings::DamagedFile;
use super::snapshot::Snapshot;
use super::{App, Options};
use crate::diagnostics::trace::Trace;
use crate::lock::lock;
use crate::residency::watcher::Watcher;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Time limit for closing at the end of the program. Shorter than the 90 seconds after which systemd kills a program.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(60);

/// A handle of the app. Clones share the app. When the last one is dropped, the app closes.
#[derive(Clone)]
pub struct AppHandle {
    pub(super) commands: Sender<Command>,
    pub(super) shared: Arc<Shared>,
    /// Disconnected when control's loop has ended.
    pub(super) over: Receiver<Infallible>,
}

impl AppHandle {
    /// Reads the settings and starts the thread control, which opens a session and a device. Waits only for the
    /// settings file, which is small. Fails if the system gives no thread.
    pub fn start(options: Options) -> io::Result<AppHandle> {
        let (prepared, commands, shared) =
            Prepared::new((options.config.clone(), DamagedFile::PutAside), options.wake.clone())?;
        let (alive, over) = bounded(0);
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let _alive: Sender<Infallible> = alive;
            prepared.into_loop(|news, settings| App::start(options, news, settings)).run();
        })?;
        Ok(AppHandle { commands, shared, over })
    }

    /// Gives a command to the app. Does not wait. `false`: the command is not carried out, because control has ended or
    /// does not answer.
    #[must_use]
    pub fn apply(&self, command: Command) -> bool {
        self.apply_numbered(command).is_some()
    }

    /// Gives a command to the app, as [`AppHandle::apply`] does. Returns the number of the command: it is carried out when
    /// as many are done. `None`: it is not carried out.
    pub fn apply_numbered(&self, command: Command) -> Option<u64> {
        // Queued and counted under one lock, so that the numbers are in the order of the queue. Nothing waits under it.
        let mut given = lock(&self.shared.given);
        self.commands.try_send(command).ok()?;
        *given += 1;
        Some(*given)
    }

    /// The newest state. Lets control build another one, which the next call gets. Does not wait for control.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let latest = Arc::clone(&lock(&self.shared.latest));
        self.shared.is_taken.store(true, SeqCst);
        self.shared.ring();
        latest
    }

    /// The newest state, for a thread that only looks. Control builds no other one for it.
    pub fn look(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.shared.latest))
    }

    /// Lets control write the live page for a window of another process, for as long as the lease lives. Fails if the
    /// system gives no memory.
    pub fn attach(&self) -> io::Result<LiveLease> {
        LiveLease::new(&self.shared)
    }

    /// Number of the commands that were given so far. A command that was given before this call is carried out when as many
    /// are done.
    pub fn given(&self) -> u64 {
        *lock(&self.shared.given)
    }

    /// Whether `snapshot` shows the effect of every command that was given.
    pub fn is_up_to_date(&self, snapshot: &Snapshot) -> bool {
        self.given() <= snapshot.commands_done
    }

    /// Waits, at most for `limit`, until control has carried out every command given so far. Returns a state that was
    /// built after that. For a caller that may wait, such as a test.
    pub fn settled(&self, limit: Duration) -> Arc<Snapshot> {
        let (before, given) = (self.snapshot(), self.given());
        let deadline = Instant::now() + limit;
        loop {
            let snapshot = self.snapshot();
            let is_new = !Arc::ptr_eq(&snapshot, &before) && given <= snapshot.commands_done;
            if is_new || self.has_ended() || deadline < Instant::now() {
                return snapshot;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The watcher of residency, which the front end tells what to sample; `None` while no session is open, and shortly
    /// after the first call, because control starts it.
    pub fn watcher(&self) -> Option<Arc<Watcher>> {
        if !self.shared.wants_watcher.swap(true, SeqCst) {
            self.shared.ring();
        }
        lock(&self.shared.watcher).clone()
    }

    /// The last minute of the open session. Waits for control, at most for `limit`. `None`: no session is open.
    pub fn trace(&self, limit: Duration) -> Option<Trace> {
        let answer = self.shared.traces.add();
        self.shared.ring();
        Some(answer.recv_timeout(limit).ok()?.gather())
    }

    /// How far the app is from its end.
    pub fn phase(&self) -> Phase {
        self.shared.phase()
    }

    /// Whether everything is closed and on the disk.
    pub fn is_closed(&self) -> bool {
        self.phase() == Phase::Closed
    }

    /// Begins to close everything. A pass that is on ends first. Does not wait.
    pub fn shutdown(&self) {
        self.shared.closing_since.get_or_init(Instant::now);
        self.shared.ring();
    }

    /// Closes the app in order: ends a recording, saves the session, joins the threads. Returns whether everything is
    /// on the disk; `false` if `limit` has passed since somebody first asked the app to close, or control has failed. It
    /// waits.
    pub fn close_within(&self, limit: Duration) -> bool {
        self.shutdown();
        let deadline = *self.shared.closing_since.get_or_init(Instant::now) + limit;
        self.over.recv_deadline(deadline) == Err(RecvTimeoutError::Disconnected) && self.is_closed()
    }

    fn has_ended(&self) -> bool {
        self.over.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Wake;
    use super::super::control_loop::COMMANDS_MAX;
    use super::*;
    use crate::app::DeviceWish;
    use crate::app::settings_change::SettingsChange;
    use crate::app::snapshot::{PassPhase, Stage};
    use crate::control::Severity;
    use crate::session::TakeState;
    use crate::session::session_file::open_read_only;
    use crate::time::{FramePos, Frames};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn options(home: &std::path::Path, device: &str) -> Options {
        Options {
            config: Some(home.join("config")),
            sessions: Some(home.join("sessions")),
            device: Some(DeviceWish { name: device.to_owned(), inputs: Some(2), ..DeviceWish::default() }),
            ..Options::default()
        }
    }

    /// Waits for a snapshot of which `so` is true.
    fn until(app: &AppHandle, what: &str, so: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let snapshot = app.snapshot();
            if so(&snapshot) {
                return snapshot;
            }
            assert!(Instant::now() < deadline, "{what}: {:?} {:?}", snapshot.stage, snapshot.notices);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts an app that records, and returns when it has half a second of sound.
    fn recording(options: Options) -> AppHandle {
        let app = AppHandle::start(options).unwrap();
        until(&app, "it is open", |snapshot| snapshot.stage == Stage::Open);
        assert!(app.apply(Command::Record));
        until(&app, "it records", |snapshot| {
            let pass = snapshot.transport.pass.as_ref();
            pass.is_some_and(|pass| pass.phase == PassPhase::Recording && 24_000 < pass.frames.0)
        });
        app
    }

    fn complete_takes(folder: &std::path::Path) -> usize {
        let session = open_read_only(folder).unwrap();
        let is_whole = |take: &&crate::session::Take| take.state == TakeState::Complete && 24_000 < take.frames.0;
        session.takes().iter().filter(is_whole).count()
    }

    #[test]
    fn a_panic_of_control_ends_the_pass_keeps_its_sound_and_is_shown() {
        let home = tempfile::tempdir().unwrap();
        let app = recording(options(home.path(), "virtual"));
        app.shared.panics.store(true, SeqCst);
        app.shared.ring();
        let shown = until(&app, "the failure is shown", |snapshot| matches!(snapshot.stage, Stage::Failed { .. }));
        assert!(shown.health.severity == Severity::Loss && shown.health.head == "The recorder has failed.");
        assert!(shown.notices.iter().any(|notice| notice.text.contains("control: it failed (as intended)")));
        let deadline = Instant::now() + PATIENCE;
        while app.phase() != Phase::Failed {
            assert!(Instant::now() < deadline, "{:?}", app.phase());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(complete_takes(&shown.folder), 2);
        assert!(!app.apply(Command::Record) && !app.close_within(PATIENCE), "nothing can be asked of it any more");
        // The session is free: the next start opens it.
        let app = AppHandle::start(Options { session: Some(shown.folder.clone()), ..options(home.path(), "virtual") });
        until(app.as_ref().unwrap(), "it opens", |snapshot| snapshot.stage == Stage::Open);
        assert!(app.unwrap().close_within(PATIENCE));
    }

    #[test]
    fn a_front_end_that_hangs_when_it_is_woken_delays_nothing() {
        let home = tempfile::tempdir().unwrap();
        let (thaw, frozen) = bounded::<()>(0);
        let wake: Wake = Arc::new(move || {
            frozen.recv().ok();
        });
        let app = recording(Options { wake: Some(wake), ..options(home.path(), "virtual") });
        let folder = app.snapshot().folder.clone();
        assert!(app.close_within(PATIENCE));
        assert_eq!(complete_takes(&folder), 2);
        drop(thaw);
    }

    /// The Events panel showed what happened before the session was open, and its file of events did not have it.
    #[test]
    fn what_happened_before_the_session_was_open_is_among_its_events() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("config")).unwrap();
        std::fs::write(home.path().join("config/settings.json"), "no settings").unwrap();
        let app = AppHandle::start(options(home.path(), "virtual")).unwrap();
        let open = until(&app, "it is open", |snapshot| snapshot.stage == Stage::Open);
        let aside = "it was put aside as";
        assert!(open.notices.iter().any(|notice| notice.text.contains(aside)), "{:?}", open.notices);
        // A session that nobody has changed would be removed.
        assert!(app.apply(Command::Marker) && app.close_within(PATIENCE));
        let events = std::fs::read_to_string(open.folder.join("events.jsonl")).unwrap();
        assert_eq!(events.matches(aside).count(), 1, "{events}");
    }

    /// Loop was shown as on, and the playback went on behind its end.
    #[test]
    fn a_loop_that_is_switched_on_during_a_recording_is_played_after_it() {
        let home = tempfile::tempdir().unwrap();
        let app = recording(options(home.path(), "virtual"));
        let end = FramePos(app.snapshot().transport.position.0 + 3 * 48_000);
        assert!(app.apply(Command::Range(Some((FramePos(0), end)))) && app.apply(Command::Loop(true)));
        assert!(app.settled(PATIENCE).transport.pass.is_some() && app.apply(Command::Stop));
        until(&app, "it has ended", |snapshot| snapshot.transport.pass.is_none());
        assert!(app.apply(Command::Play));
        let began = app.settled(PATIENCE).transport.position;
        assert!(began < end, "{began:?}");
        let looped = until(&app, "it comes to the end of the loop", |snapshot| {
            let at = snapshot.transport.position;
            at < began || end + Frames(24_000) < at
        });
        assert!(looped.transport.position < began, "{:?}", looped.transport.position);
        assert!(app.close_within(PATIENCE));
    }

    #[test]
    fn the_last_handle_that_is_dropped_ends_the_pass() {
        let home = tempfile::tempdir().unwrap();
        let app = recording(options(home.path(), "virtual"));
        let (folder, over) = (app.snapshot().folder.clone(), app.over.clone());
        drop(app);
        assert_eq!(over.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
        assert_eq!(complete_takes(&folder), 2);
    }

    #[test]
    fn commands_that_control_does_not_take_are_refused_above_the_bound() {
        let home = tempfile::tempdir().unwrap();
        let mut app = AppHandle::start(options(home.path(), "virtual")).unwrap();
        let (commands, taken) = bounded(COMMANDS_MAX);
        let control = std::mem::replace(&mut app.commands, commands);
        for _ in 0..COMMANDS_MAX {
            assert!(app.apply(Command::Undo));
        }
        assert!(!app.apply(Command::Stop));
        assert_eq!(app.given(), COMMANDS_MAX as u64, "a command that was refused does not count");
        assert_eq!(taken.len(), COMMANDS_MAX);
        drop(control);
    }

    /// The button "Use the sound server" said that there is no session.
    #[test]
    fn a_new_session_whose_device_is_in_use_is_begun_with_the_next_device() {
        let home = tempfile::tempdir().unwrap();
        let app = AppHandle::start(options(home.path(), "alsa:no-such-card")).unwrap();
        until(&app, "there is no device", |snapshot| matches!(snapshot.stage, Stage::NoDevice { .. }));
        let device = SettingsChange::Device(Some("virtual".to_owned()));
        assert!(app.apply(Command::Settings(vec![device, SettingsChange::Inputs(None)])) && app.apply(Command::Reopen));
        until(&app, "it opens", |snapshot| snapshot.stage == Stage::Open);
        assert!(app.close_within(PATIENCE));
    }

    /// An untouched session is removed at its end, and the next start looked for it in vain.
    #[test]
    fn a_new_session_is_the_last_one_from_its_first_change_on() {
        let home = tempfile::tempdir().unwrap();
        let app = AppHandle::start(options(home.path(), "virtual")).unwrap();
        let open = until(&app, "it is open", |snapshot| snapshot.stage == Stage::Open);
        assert_eq!(app.settled(PATIENCE).settings.last_session, None);
        assert!(app.apply(Command::Marker));
        let changed = until(&app, "it is remembered", |snapshot| snapshot.settings.last_session.is_some());
        assert_eq!(changed.settings.last_session.as_ref(), Some(&open.folder));
        assert!(app.close_within(PATIENCE));
    }

    #[test]
    fn an_app_with_nothing_to_do_does_nothing() {
        let home = tempfile::tempdir().unwrap();
        let app = AppHandle::start(options(home.path(), "alsa:no-such-card")).unwrap();
        until(&app, "there is no device", |snapshot| matches!(snapshot.stage, Stage::NoDevice { .. }));
        app.settled(PATIENCE);
        std::thread::sleep(Duration::from_millis(200));
        let turns = app.shared.turns.load(SeqCst);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(app.shared.turns.load(SeqCst) - turns, 0, "it sleeps");
    }
}
