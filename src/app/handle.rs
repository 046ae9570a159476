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
pub use super::phase::Phase;
use super::settings::SettingsStore;
use super::snapshot::Snapshot;
use super::{App, Options, Wake};
use crate::control::{Notice, Severity};
use crate::limits;
use crate::lock::lock;
use crate::residency::watcher::Watcher;
use crossbeam_channel::{Receiver, RecvTimeoutError, Select, Sender, TryRecvError, bounded};
use std::any::Any;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Commands that may wait for control. A user cannot give so many while control answers. Where they do not fit,
/// [`AppHandle::apply`] refuses the command, and the front end shows that.
const COMMANDS_MAX: usize = 256;

/// Time limit for closing at the end of the program. Shorter than the 90 seconds after which systemd kills a program.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(60);

/// Pause before a snapshot is offered again that the front end just took another one from.
const PUBLISH_PAUSE: Duration = Duration::from_millis(1);

/// A handle of the app. Clones share the app. When the last one is dropped, the app closes.
#[derive(Clone)]
pub struct AppHandle {
    commands: Sender<Command>,
    shared: Arc<Shared>,
    /// Disconnected when control's thread has ended.
    over: Receiver<Infallible>,
}

/// The state that control and the handles share. Nobody holds a lock here for longer than it takes to copy a pointer.
struct Shared {
    latest: Mutex<Arc<Snapshot>>,
    watcher: Mutex<Option<Arc<Watcher>>>,
    wants_watcher: AtomicBool,
    /// Commands that were given so far.
    given: AtomicU64,
    /// Whether a front end took the latest snapshot.
    is_taken: AtomicBool,
    /// Whether another thread has a result for the app.
    has_news: AtomicBool,
    /// When a handle first asked the app to close.
    closing_since: OnceLock<Instant>,
    phase: AtomicU8,
    /// Wakes the thread of control for another turn.
    bell: Sender<()>,
    /// Whether the next turn panics.
    #[cfg(test)]
    panics: AtomicBool,
    /// Turns of control so far.
    #[cfg(test)]
    turns: AtomicU64,
}

impl Shared {
    fn ring(&self) {
        // A full bell has rung already.
        self.bell.try_send(()).ok();
    }

    fn phase(&self) -> Phase {
        Phase::of(self.phase.load(SeqCst))
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, SeqCst);
    }
}

impl AppHandle {
    /// Reads the settings and starts the thread control, which opens a session and a device. Waits only for the
    /// settings file, which is small. Fails if the system gives no thread.
    pub fn start(options: Options) -> io::Result<AppHandle> {
        let (bell, rung) = bounded(1);
        let (commands, given) = bounded(COMMANDS_MAX);
        let (alive, over) = bounded(0);
        let shared = Arc::new(Shared {
            latest: Mutex::new(Arc::new(Snapshot::empty())),
            watcher: Mutex::default(),
            wants_watcher: AtomicBool::new(false),
            given: AtomicU64::new(0),
            is_taken: AtomicBool::new(false),
            has_news: AtomicBool::new(false),
            closing_since: OnceLock::new(),
            phase: AtomicU8::new(Phase::Running as u8),
            bell,
            #[cfg(test)]
            panics: AtomicBool::new(false),
            #[cfg(test)]
            turns: AtomicU64::new(0),
        });
        let front_end = options.wake.clone().map(front_end_bell).transpose()?;
        let news: Wake = Arc::new({
            let shared = Arc::clone(&shared);
            move || {
                shared.has_news.store(true, SeqCst);
                shared.ring();
            }
        });
        let (store, settings, note) = SettingsStore::load(options.config.clone(), Arc::clone(&news));
        let settings = Arc::new(settings);
        // The first picture has the user's colours and zoom already.
        *lock(&shared.latest) = Arc::new(Snapshot { settings: Arc::clone(&settings), ..Snapshot::empty() });
        let handle = AppHandle { commands, shared: Arc::clone(&shared), over };
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let _alive: Sender<Infallible> = alive;
            let app = App::start(options, news, (store, settings, note));
            ControlThread::new(app, shared, given, rung, front_end).run();
        })?;
        Ok(handle)
    }

    /// Gives a command to the app. Does not wait. `false`: the command is not carried out, because control has ended or
    /// does not answer.
    #[must_use]
    pub fn apply(&self, command: Command) -> bool {
        // Counted first: control must not have carried out more than were given.
        self.shared.given.fetch_add(1, SeqCst);
        match self.commands.try_send(command) {
            Ok(()) => true,
            Err(_) => {
                self.shared.given.fetch_sub(1, SeqCst);
                false
            }
        }
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

    /// Number of the commands that were given so far. A command that was given before this call is carried out when as many
    /// are done.
    pub fn given(&self) -> u64 {
        self.shared.given.load(SeqCst)
    }

    /// Whether `snapshot` shows the effect of every command that was given.
    pub fn is_up_to_date(&self, snapshot: &Snapshot) -> bool {
        self.shared.given.load(SeqCst) <= snapshot.commands_done
    }

    /// Waits, at most for `limit`, until control has carried out every command given so far. Returns a state that was
    /// built after that. For a caller that may wait, such as a test.
    pub fn settled(&self, limit: Duration) -> Arc<Snapshot> {
        let (before, given) = (self.snapshot(), self.shared.given.load(SeqCst));
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

/// Starts the thread that wakes the front end. The toolkit may make its caller wait, and control may not wait. A full
/// bell has rung already.
fn front_end_bell(wake: Wake) -> io::Result<Sender<()>> {
    let (bell, rung) = bounded(1);
    std::thread::Builder::new().name("wake".to_owned()).stack_size(limits::HELPER_STACK_BYTES).spawn(move || {
        while rung.recv().is_ok() {
            wake();
        }
    })?;
    Ok(bell)
}

/// The state of the thread control.
struct ControlThread {
    app: App,
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    /// Whether every handle is gone, so that nobody else could end the app.
    is_alone: bool,
    /// Whether the next turn does not wake for events of the disk threads.
    skips_disk_events: bool,
    rung: Receiver<()>,
    front_end: Option<Sender<()>>,
    /// Commands that were carried out.
    done: u64,
    /// Whether a change is not in the latest snapshot yet.
    unpublished: bool,
    next_poll: Option<Instant>,
    /// The snapshot that was published last.
    latest: Arc<Snapshot>,
}

/// The reason why control woke.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Command,
    Bell,
    DiskEvent,
    Time,
}

impl ControlThread {
    fn new(
        app: App,
        shared: Arc<Shared>,
        commands: Receiver<Command>,
        rung: Receiver<()>,
        front_end: Option<Sender<()>>,
    ) -> ControlThread {
        ControlThread {
            app,
            shared,
            commands,
            is_alone: false,
            skips_disk_events: false,
            rung,
            front_end,
            done: 0,
            unpublished: true,
            next_poll: Some(Instant::now()),
            latest: Arc::new(Snapshot::empty()),
        }
    }

    /// Runs the app until it is closed.
    fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(false) => {}
                Ok(true) => break,
                Err(reason) => return self.fail(reason.as_ref()),
            }
        }
        *lock(&self.shared.latest) = Arc::clone(&self.latest);
        self.shared.set_phase(Phase::Closed);
        self.wake_front_end();
    }

    /// Waits for something to do, and does it. Returns whether the app is closed.
    fn turn(&mut self) -> bool {
        self.wait();
        #[cfg(test)]
        {
            self.shared.turns.fetch_add(1, SeqCst);
            assert!(!self.shared.panics.load(SeqCst), "as intended");
        }
        // Not more at once than the queue holds, so that events get their turn too.
        for _ in 0..COMMANDS_MAX {
            match self.commands.try_recv() {
                Ok(command) => self.app.apply(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.is_alone = true;
                    break;
                }
            }
            self.done += 1;
        }
        if self.is_alone || self.shared.closing_since.get().is_some() {
            self.app.shutdown();
            if self.shared.phase() == Phase::Running {
                self.shared.set_phase(Phase::Closing);
                self.unpublished = true;
            }
        }
        let has_news = self.shared.has_news.swap(false, SeqCst);
        self.app.poll();
        self.share_watcher();
        self.publish(has_news);
        self.app.is_closed()
    }

    fn wait(&mut self) {
        let woken = self.ready();
        if woken == Woken::Bell {
            self.rung.try_recv().ok();
        }
        // A channel whose senders have ended is ready without end. The next turn waits for the time instead.
        self.skips_disk_events = woken == Woken::DiskEvent && self.app.disk_events().is_some_and(Receiver::is_empty);
    }

    fn ready(&self) -> Woken {
        let mut select = Select::new();
        select.recv(&self.rung);
        let mut kinds = vec![Woken::Bell];
        if !self.is_alone {
            select.recv(&self.commands);
            kinds.push(Woken::Command);
        }
        if let Some(events) = self.app.disk_events().filter(|_| !self.skips_disk_events) {
            select.recv(events);
            kinds.push(Woken::DiskEvent);
        }
        let ready = match self.next_poll {
            Some(deadline) => select.ready_deadline(deadline).ok(),
            None => Some(select.ready()),
        };
        ready.and_then(|at| kinds.get(at).copied()).unwrap_or(Woken::Time)
    }

    /// Gives the front end the watcher of the open session, if it asked for one.
    fn share_watcher(&mut self) {
        if self.shared.wants_watcher.load(SeqCst) {
            // If the front end copies it just now, the next turn tries again.
            try_replace(&self.shared.watcher, self.app.watcher()).ok();
        }
    }

    /// Publishes a snapshot if something changed or the front end took the last one, and wakes the front end for a
    /// change.
    fn publish(&mut self, has_news: bool) {
        let moves = self.app.moves();
        let changed = self.app.take_changed() || has_news || moves != self.latest.moves || self.unpublished;
        let is_taken = self.shared.is_taken.swap(false, SeqCst);
        self.next_poll = self.app.poll_interval().map(|interval| Instant::now() + interval);
        if !changed && !is_taken {
            return;
        }
        self.unpublished = changed;
        let mut snapshot = self.app.snapshot();
        (snapshot.commands_done, snapshot.moves) = (self.done, moves);
        if !is_taken {
            // Building a snapshot resets the meters, and nobody has seen the last one.
            snapshot.keep_peaks(&self.latest);
        }
        let snapshot = Arc::new(snapshot);
        self.latest = Arc::clone(&snapshot);
        if try_replace(&self.shared.latest, snapshot).is_ok() {
            if std::mem::take(&mut self.unpublished) {
                self.wake_front_end();
            }
        } else {
            // The front end takes the one before just now.
            self.unpublished = true;
            self.next_poll = Some(Instant::now() + PUBLISH_PAUSE);
        }
    }

    /// Control has panicked. Says so first, because the rest may wait for a disk. Then ends the pass, which completes
    /// its takes, and closes everything. Should that panic too, the drop of control ends its threads, and the next
    /// start recovers the takes.
    fn fail(mut self, reason: &(dyn Any + Send)) {
        let text = reason.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| reason.downcast_ref::<String>().cloned()).unwrap_or_default();
        let text = format!("control: it failed ({text})").replace(char::is_control, " ");
        self.shared.set_phase(Phase::Failing);
        self.app.push_notice(Notice { severity: Severity::Loss, text: text.clone() });
        self.publish_failure(&text);
        if let Some(control) = self.app.take_control()
            && let Ok((reports, notices)) = catch_unwind(AssertUnwindSafe(|| control.close()))
        {
            let rate = self.latest.transport.rate;
            for report in reports {
                self.app.push_notice(Notice { severity: report.severity(), text: report.summary(rate) });
            }
            for notice in notices {
                self.app.push_notice(notice);
            }
        }
        self.publish_failure(&text);
        let ControlThread { app, shared, front_end, commands, .. } = self;
        catch_unwind(AssertUnwindSafe(|| drop(app))).ok();
        // From now on a command is refused.
        drop(commands);
        shared.set_phase(Phase::Failed);
        if let Some(bell) = front_end {
            bell.try_send(()).ok();
        }
    }

    fn publish_failure(&mut self, reason: &str) {
        let mut snapshot = self.latest.failed(reason);
        snapshot.notices = self.app.notices();
        snapshot.commands_done = u64::MAX;
        *lock(&self.shared.latest) = Arc::new(snapshot);
        self.wake_front_end();
    }

    fn wake_front_end(&self) {
        if let Some(bell) = &self.front_end {
            bell.try_send(()).ok();
        }
    }
}

/// Replaces the value, unless another thread holds it just now. Does not wait. Returns the old value, or the new one
/// that was not placed.
fn try_replace<T>(place: &Mutex<T>, value: T) -> Result<T, T> {
    match place.try_lock() {
        Ok(mut held) => Ok(std::mem::replace(&mut *held, value)),
        Err(TryLockError::Poisoned(held)) => Ok(std::mem::replace(&mut *PoisonError::into_inner(held), value)),
        Err(TryLockError::WouldBlock) => Err(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::DeviceWish;
    use crate::app::snapshot::{PassPhase, Stage};
    use crate::session::TakeState;
    use crate::session::session_file::open_read_only;

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
        assert_eq!(app.shared.given.load(SeqCst), COMMANDS_MAX as u64, "a command that was refused does not count");
        assert_eq!(taken.len(), COMMANDS_MAX);
        drop(control);
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
