//! The loop of control: commands in, turns of the app, snapshots out. Thread: control; any thread may have the shared state.

use super::command::Command;
use super::live::{self, LiveShare, Looks};
use super::peak_hold::PeakHold;
use super::phase::Phase;
use super::settings::{DamagedFile, Settings, SettingsStore};
use super::snapshot::Snapshot;
use super::trace_requests::TraceRequests;
use super::{App, Wake};
use crate::control::{Notice, Severity};
use crate::limits;
use crate::lock::lock;
use crate::residency::watcher::Watcher;
use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, bounded};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Pause before a snapshot is offered again that the front end just took another one from.
const PUBLISH_PAUSE: Duration = Duration::from_millis(1);

/// Commands that may wait for control. A user cannot give so many while control answers. Where they do not fit,
/// [`AppHandle::apply`](super::handle::AppHandle::apply) refuses the command, and the front end shows that.
pub(super) const COMMANDS_MAX: usize = 256;

/// The state that control and the handles share. Nobody holds a lock here for longer than it takes to copy a pointer.
pub(super) struct Shared {
    pub(super) latest: Mutex<Arc<Snapshot>>,
    pub(super) watcher: Mutex<Option<Arc<Watcher>>>,
    pub(super) wants_watcher: AtomicBool,
    pub(super) traces: TraceRequests,
    /// The page that windows of other processes read, and their number.
    pub(super) live: LiveShare,
    /// Commands that were given so far.
    pub(super) given: Mutex<u64>,
    /// Whether a front end took the latest snapshot.
    pub(super) is_taken: AtomicBool,
    /// Whether another thread has a result for the app.
    pub(super) has_news: AtomicBool,
    /// When a handle first asked the app to close.
    pub(super) closing_since: OnceLock<Instant>,
    pub(super) phase: AtomicU8,
    /// Wakes the thread of control for another turn.
    pub(super) bell: Sender<()>,
    /// Whether the next turn panics.
    #[cfg(test)]
    pub(super) panics: AtomicBool,
    /// Turns of control so far.
    #[cfg(test)]
    pub(super) turns: AtomicU64,
}

impl Shared {
    /// The state at the start. `bell` wakes the thread of control.
    fn new(bell: Sender<()>) -> Shared {
        Shared {
            latest: Mutex::new(Arc::new(Snapshot::empty())),
            watcher: Mutex::default(),
            wants_watcher: AtomicBool::new(false),
            traces: TraceRequests::default(),
            live: LiveShare::default(),
            given: Mutex::default(),
            is_taken: AtomicBool::new(false),
            has_news: AtomicBool::new(false),
            closing_since: OnceLock::new(),
            phase: AtomicU8::new(Phase::Running as u8),
            bell,
            #[cfg(test)]
            panics: AtomicBool::new(false),
            #[cfg(test)]
            turns: AtomicU64::new(0),
        }
    }

    pub(super) fn ring(&self) {
        // A full bell has rung already.
        self.bell.try_send(()).ok();
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::of(self.phase.load(SeqCst))
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, SeqCst);
    }
}

/// The queues and the settings of an app that is about to start.
pub(super) struct Prepared {
    settings: (SettingsStore, Arc<Settings>, Option<String>),
    news: Wake,
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    rung: Receiver<()>,
    front_end: Option<Sender<()>>,
}

impl Prepared {
    /// Reads the settings file, which is small, and waits only for that. `config`: its folder, and what happens to a file
    /// that holds no settings. `wake` wakes the front end.
    /// Returns also what a handle needs: the queue of commands and the shared state. Fails if the system gives no thread.
    pub(super) fn new(
        config: (Option<PathBuf>, DamagedFile),
        wake: Option<Wake>,
    ) -> io::Result<(Prepared, Sender<Command>, Arc<Shared>)> {
        let (bell, rung) = bounded(1);
        let (sender, commands) = bounded(COMMANDS_MAX);
        let shared = Arc::new(Shared::new(bell));
        let front_end = wake.map(front_end_bell).transpose()?;
        let news: Wake = Arc::new({
            let shared = Arc::clone(&shared);
            move || {
                shared.has_news.store(true, SeqCst);
                shared.ring();
            }
        });
        let (store, settings, note) = SettingsStore::load(config.0, config.1, Arc::clone(&news));
        let settings = Arc::new(settings);
        // The first picture has the user's colours and zoom already.
        *lock(&shared.latest) = Arc::new(Snapshot { settings: Arc::clone(&settings), ..Snapshot::empty() });
        let settings = (store, settings, note);
        Ok((Prepared { settings, news, shared: Arc::clone(&shared), commands, rung, front_end }, sender, shared))
    }

    /// The loop of the app that `make` makes of the function that wakes control and of the settings.
    pub(super) fn into_loop(
        self,
        make: impl FnOnce(Wake, (SettingsStore, Arc<Settings>, Option<String>)) -> App,
    ) -> ControlLoop {
        let Prepared { settings, news, shared, commands, rung, front_end } = self;
        ControlLoop {
            app: make(news, settings),
            shared,
            commands,
            is_alone: false,
            skips_disk_events: false,
            rung,
            front_end,
            done: 0,
            unpublished: true,
            next_poll: Some(Instant::now()),
            peaks: PeakHold::default(),
            looks: Looks::default(),
            changes: 0,
            latest: Arc::new(Snapshot::empty()),
        }
    }
}

/// The app with the queues by which handles reach it.
pub(super) struct ControlLoop {
    pub(super) app: App,
    pub(super) shared: Arc<Shared>,
    commands: Receiver<Command>,
    /// Whether every handle is gone, so that nobody else could end the app.
    is_alone: bool,
    /// Whether the next turn does not wake for events of the disk threads.
    pub(super) skips_disk_events: bool,
    rung: Receiver<()>,
    front_end: Option<Sender<()>>,
    /// Commands that were carried out.
    done: u64,
    /// Whether a change is not in the latest snapshot yet.
    unpublished: bool,
    pub(super) next_poll: Option<Instant>,
    peaks: PeakHold,
    looks: Looks,
    /// Changes so far that a front end draws at once.
    changes: u64,
    /// The snapshot that was published last.
    pub(super) latest: Arc<Snapshot>,
}

/// The reason why control woke.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Command,
    Bell,
    DiskEvent,
    Time,
}

impl ControlLoop {
    /// Runs the app until it is closed.
    pub(super) fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(false) => {}
                Ok(true) => break,
                Err(reason) => return self.fail(reason.as_ref()),
            }
        }
        self.end();
    }

    /// Tells the front ends that everything is closed, and on the disk or why not.
    pub(super) fn end(&self) {
        if let Some(reason) = self.app.unsaved.reason() {
            self.publish_last(self.latest.unsaved(&reason));
            self.shared.set_phase(Phase::Failed);
        } else {
            *lock(&self.shared.latest) = Arc::clone(&self.latest);
            self.shared.set_phase(Phase::Closed);
        }
        self.wake_front_end();
    }

    /// Waits for something to do, and does it. Returns whether the app is closed.
    pub(super) fn turn(&mut self) -> bool {
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
        self.shared.traces.answer(|| self.app.trace_sources());
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
    /// change. While a window of another process is attached, writes the live page, and looks now and then at what
    /// changes rarely.
    fn publish(&mut self, has_news: bool) {
        let (now, shared) = (Instant::now(), Arc::clone(&self.shared));
        let (moves, page) = (self.app.moves(), shared.live.page());
        let changed = self.app.take_changed() || has_news || moves != self.latest.moves || self.unpublished;
        let is_taken = shared.is_taken.swap(false, SeqCst);
        let interval = self.app.poll_interval();
        let interval =
            if page.is_some() && moves { interval.min(Some(live::TURN)).or(Some(live::TURN)) } else { interval };
        self.next_poll = interval.map(|interval| now + interval);
        let live = page.map(|page| (page, self.app.live()));
        if let Some((_, (_, meters))) = &live {
            self.peaks.note(meters);
        }
        if changed || is_taken || (live.is_some() && self.looks.is_due(&self.app.shape(), moves, now)) {
            self.publish_snapshot(changed, is_taken, moves);
        }
        if let Some((page, (playhead, meters))) = live {
            page.write(&playhead, &meters, &self.latest);
        }
    }

    /// Builds a snapshot and publishes it.
    fn publish_snapshot(&mut self, changed: bool, is_taken: bool, moves: bool) {
        let now = Instant::now();
        self.changes += u64::from(changed);
        let mut snapshot = self.app.snapshot();
        (snapshot.commands_done, snapshot.moves, snapshot.changes) = (self.done, moves, self.changes);
        snapshot.shape = self.looks.look(self.app.shape(), now);
        self.peaks.hold(&mut snapshot, is_taken, now);
        // A window of another process gets a snapshot only when it is woken.
        let is_shown = self.shared.live.page().is_some();
        let wakes = changed || (is_shown && !snapshot.is_like(&self.latest));
        let snapshot = Arc::new(snapshot);
        self.latest = Arc::clone(&snapshot);
        self.unpublished = wakes;
        if try_replace(&self.shared.latest, snapshot).is_ok() {
            if std::mem::take(&mut self.unpublished) {
                self.wake_front_end();
            }
        } else {
            // The front end takes the one before just now.
            self.unpublished = true;
            self.next_poll = Some(now + PUBLISH_PAUSE);
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
        let ControlLoop { app, shared, front_end, commands, .. } = self;
        catch_unwind(AssertUnwindSafe(|| drop(app))).ok();
        // From now on a command is refused.
        drop(commands);
        shared.set_phase(Phase::Failed);
        if let Some(bell) = front_end {
            bell.try_send(()).ok();
        }
    }

    fn publish_failure(&mut self, reason: &str) {
        self.publish_last(self.latest.failed(reason));
    }

    fn publish_last(&self, mut snapshot: Snapshot) {
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

/// Replaces the value, unless another thread holds it just now. Does not wait. Returns the old value, or the new one
/// that was not placed.
fn try_replace<T>(place: &Mutex<T>, value: T) -> Result<T, T> {
    match place.try_lock() {
        Ok(mut held) => Ok(std::mem::replace(&mut *held, value)),
        Err(TryLockError::Poisoned(held)) => Ok(std::mem::replace(&mut *PoisonError::into_inner(held), value)),
        Err(TryLockError::WouldBlock) => Err(value),
    }
}
