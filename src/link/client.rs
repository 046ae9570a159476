//! The window's side: a handle of an engine in another process. Thread: link reads; link-write writes; any thread may have
//! the handle, and never waits for the engine unless it asks to.
//!
//! When the engine dies, the thread link says so, starts another one on the same session, which recovers the takes, and
//! connects to it.

use super::answers::Waiting;
use super::death;
use super::place::Found;
use super::protocol::message;
use super::protocol::{self, Answer, Kind, LinkError, Request};
use super::requests::Requests;
use super::samples::RemoteSamples;
use super::start::{Connected, EngineStart, NoEngine};
use crate::app::Wake;
use crate::app::command::Command;
use crate::app::handle::Phase;
use crate::app::live::LiveReader;
use crate::app::snapshot::{Health, Snapshot, Stage};
use crate::control::Severity;
use crate::diagnostics::trace::Trace;
use crate::lock::lock;
use crate::residency::KernelDeltas;
use crate::session::Session;
use crate::session::session_file::{parse, with_difference};
use crate::window::shared_words::receive_file;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Requests that may wait for the engine. A user cannot give so many while the engine answers.
const REQUESTS_MAX: usize = 256;

/// Engines that may die within [`RESTART_SPAN`] before the window gives up.
const RESTARTS_MAX: usize = 3;

const RESTART_SPAN: Duration = Duration::from_secs(60);

/// Time in which an engine in which something moves writes the live page, and before it has sent it, answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Time for the engine to hear that the window leaves.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);

/// The intention of the window.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Intent {
    Stay = 0,
    Close = 1,
    Leave = 2,
}

/// A handle of an engine in another process. Clones share the link. When the last one is dropped, the link ends without a
/// word, as if the window had died.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    _end: Arc<LinkEnd>,
    over: Receiver<Infallible>,
}

/// Ends the link when the last handle is dropped.
struct LinkEnd(Arc<Shared>);

impl Drop for LinkEnd {
    fn drop(&mut self) {
        self.0.intent.store(Intent::Leave as u8, SeqCst);
        self.0.cut();
    }
}

/// The state that the threads of the link and the handles share.
pub(super) struct Shared {
    latest: Mutex<Arc<Snapshot>>,
    phase: AtomicU8,
    /// Whether the engine owes a snapshot.
    is_asking: AtomicBool,
    /// When the engine was asked for it.
    asked_at: Mutex<Instant>,
    is_refused: AtomicBool,
    intent: AtomicU8,
    closing_since: OnceLock<Instant>,
    wake: OnceLock<Wake>,
    requests: Mutex<Requests>,
    /// The live page of the present link; `None`: the engine has not sent it yet.
    live: Mutex<Option<Live>>,
    /// The connection of the present link.
    stream: Mutex<Option<UnixStream>>,
    pub(super) samples: Arc<RemoteSamples>,
    traces: Waiting<Option<Arc<Trace>>>,
    deltas: Waiting<KernelDeltas>,
}

/// The live page, and whether the engine writes it.
struct Live {
    reader: LiveReader,
    beat: u64,
    /// When the beat was seen first.
    beaten_at: Instant,
}

impl Shared {
    fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    fn phase(&self) -> Phase {
        Phase::of(self.phase.load(SeqCst))
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, SeqCst);
        self.wake();
    }

    fn intends(&self, intent: Intent) -> bool {
        self.intent.load(SeqCst) == intent as u8
    }

    /// Ends the connection.
    fn cut(&self) {
        if let Some(stream) = &*lock(&self.stream) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Sends a request if the engine is there and takes it. Does not wait.
    pub(super) fn request(&self, request: Request) -> bool {
        lock(&self.requests).send(request)
    }

    /// Commands that were given so far.
    fn given(&self) -> u64 {
        lock(&self.requests).commands
    }

    fn ask_next(&self) {
        if !self.is_asking.swap(true, SeqCst) {
            *lock(&self.asked_at) = Instant::now();
            if !self.request(Request::Next) {
                self.is_asking.store(false, SeqCst);
            }
        }
    }

    /// The newest state, with the values of the live page. Does not wait for the engine.
    fn look_live(&self) -> Arc<Snapshot> {
        // In this order everywhere.
        let mut live = lock(&self.live);
        let mut latest = lock(&self.latest);
        if let Some(live) = &mut *live {
            let beat = live.reader.beat();
            if beat != live.beat {
                (live.beat, live.beaten_at) = (beat, Instant::now());
            }
            if let Some(shown) = live.reader.over(&latest) {
                *latest = Arc::new(shown);
            }
        }
        Arc::clone(&latest)
    }

    fn show(&self, snapshot: Snapshot) {
        *lock(&self.latest) = Arc::new(snapshot);
        self.wake();
    }
}

impl Client {
    /// Starts the link, which finds or starts an engine. Does not wait for it. Fails if the system gives no thread.
    pub fn start(start: EngineStart) -> io::Result<Client> {
        let (alive, over) = bounded(0);
        let shared = Arc::new(Shared {
            latest: Mutex::new(Arc::new(Snapshot::empty())),
            phase: AtomicU8::new(Phase::Running as u8),
            is_asking: AtomicBool::new(false),
            asked_at: Mutex::new(Instant::now()),
            is_refused: AtomicBool::new(false),
            intent: AtomicU8::new(Intent::Stay as u8),
            closing_since: OnceLock::new(),
            wake: OnceLock::new(),
            requests: Mutex::default(),
            live: Mutex::default(),
            stream: Mutex::default(),
            samples: Arc::default(),
            traces: Waiting::default(),
            deltas: Waiting::default(),
        });
        shared.samples.connect(&shared);
        let link = Link {
            shared: Arc::clone(&shared),
            start,
            child: None,
            deaths: Vec::new(),
            session: None,
            base: 0,
            terminal: None,
        };
        std::thread::Builder::new().name("link".to_owned()).spawn(move || {
            let _alive: Sender<Infallible> = alive;
            link.run();
        })?;
        let end = Arc::new(LinkEnd(Arc::clone(&shared)));
        Ok(Client { shared, _end: end, over })
    }

    /// Sets what is called when there is something new to show.
    pub fn set_wake(&self, wake: Wake) {
        self.shared.wake.set(wake).ok();
    }

    /// Waits until the engine has sent something, at most for `limit`, so that the first picture shows it.
    pub fn wait_for_first(&self, limit: Duration) {
        let (first, until) = (self.look(), Instant::now() + limit);
        while Arc::ptr_eq(&first, &self.look()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Gives a command to the engine. Does not wait. `false`: it is not carried out, because the engine is not there or does
    /// not answer.
    #[must_use]
    pub fn apply(&self, command: Command) -> bool {
        let mut requests = lock(&self.shared.requests);
        let is_sent = requests.send(Request::Command(command));
        requests.commands += u64::from(is_sent);
        is_sent
    }

    /// Whether the engine has refused a command since the last call.
    pub fn take_refusal(&self) -> bool {
        self.shared.is_refused.swap(false, SeqCst)
    }

    /// Whether the engine works. An engine in which something moves writes the live page all the time.
    pub fn answers(&self) -> bool {
        let moves = self.look().moves;
        let since = match &*lock(&self.shared.live) {
            Some(live) => live.beaten_at,
            None if self.shared.is_asking.load(SeqCst) => *lock(&self.shared.asked_at),
            None => return true,
        };
        !moves || since.elapsed() <= ANSWER_LIMIT
    }

    /// The newest state. Asks the engine for its next change, unless it was asked already.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let latest = self.shared.look_live();
        self.shared.ask_next();
        latest
    }

    fn look(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.shared.latest))
    }

    /// Whether `snapshot` shows the effect of every command that was given.
    pub fn is_up_to_date(&self, snapshot: &Snapshot) -> bool {
        self.shared.given() <= snapshot.commands_done
    }

    /// Waits, at most for `limit`, until the engine has carried out every command given so far.
    pub fn settled(&self, limit: Duration) -> Arc<Snapshot> {
        let deadline = Instant::now() + limit;
        loop {
            let snapshot = self.snapshot();
            if self.is_up_to_date(&snapshot) || deadline < Instant::now() {
                return snapshot;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The residency samples that the engine sends.
    pub fn samples(&self) -> Arc<RemoteSamples> {
        Arc::clone(&self.shared.samples)
    }

    /// The last minute as a trace; `Some(None)` if no session is open, `None` if the engine does not answer in time. Waits.
    pub fn trace(&self, limit: Duration) -> Option<Option<Trace>> {
        let answer = self.shared.traces.add();
        let trace = self.shared.request(Request::Trace).then(|| answer.recv_timeout(limit).ok()).flatten()?;
        Some(trace.map(Arc::unwrap_or_clone))
    }

    /// The change of the kernel's counters; `None` if the engine does not answer in time. Waits.
    pub fn kernel_deltas(&self, limit: Duration) -> Option<KernelDeltas> {
        let answer = self.shared.deltas.add();
        self.shared.request(Request::KernelDeltas).then(|| answer.recv_timeout(limit).ok()).flatten()
    }

    /// How far the engine is from its end.
    pub fn phase(&self) -> Phase {
        self.shared.phase()
    }

    /// Begins to close everything. A pass that is on ends first, unless this window has not shown it. Does not wait.
    pub fn shutdown(&self) {
        self.shared.closing_since.get_or_init(Instant::now);
        // The link decides under the same lock what an end means that was asked for before it.
        let requests = lock(&self.shared.requests);
        if !self.shared.intends(Intent::Stay) {
            return;
        }
        let intent = if requests.has_unseen_recording { Intent::Leave } else { Intent::Close };
        self.shared.intent.store(intent as u8, SeqCst);
        requests.send(if intent == Intent::Leave { Request::Leave } else { Request::Close });
    }

    /// Whether the engine records, as far as this window has heard.
    pub fn records(&self) -> bool {
        // In this order: the first state of a link takes the place of the other.
        let is_unseen = { lock(&self.shared.requests).has_unseen_recording };
        is_unseen || self.look().transport.pass.is_some()
    }

    /// Closes the session in order. Returns whether everything is on the disk; `false` if `limit` has passed since somebody
    /// first asked to close, or the engine has failed. It waits.
    pub fn close_within(&self, limit: Duration) -> bool {
        self.shutdown();
        let deadline = *self.shared.closing_since.get_or_init(Instant::now) + limit;
        self.ends_before(deadline) && self.phase() == Phase::Closed
    }

    /// Leaves the engine, which records on. Waits a moment for the engine to hear it.
    pub fn leave(&self) {
        if self.shared.intent.swap(Intent::Leave as u8, SeqCst) != Intent::Leave as u8 {
            self.shared.request(Request::Leave);
        }
        if !self.ends_before(Instant::now() + LEAVE_LIMIT) {
            // The engine does not answer.
            self.shared.cut();
            self.ends_before(Instant::now() + LEAVE_LIMIT);
        }
    }

    /// Whether the window goes and lets the engine be.
    pub fn has_left(&self) -> bool {
        self.shared.intends(Intent::Leave)
    }

    fn ends_before(&self, deadline: Instant) -> bool {
        self.over.recv_deadline(deadline) == Err(RecvTimeoutError::Disconnected)
    }
}

/// The state of the thread link.
struct Link {
    shared: Arc<Shared>,
    start: EngineStart,
    /// The process of the engine, if this program has started it.
    child: Option<Child>,
    /// When engines died.
    deaths: Vec<Instant>,
    /// The session that the present engine has sent.
    session: Option<Arc<Session>>,
    /// Commands that were given before the present link.
    base: u64,
    /// How far the engine is from its end if a terminal owns it; `None`: windows own it.
    terminal: Option<Phase>,
}

/// How a link ended.
enum Outcome {
    /// In order: everything is saved, or the window goes.
    Over,
    /// In order: the recording of a terminal has ended, and the window stays.
    TerminalEnded,
    /// The engine is gone, or cannot be understood.
    Lost(LinkError),
}

impl Link {
    fn run(mut self) {
        let mut news: Option<(Severity, String)> = None;
        loop {
            let connected = match self.start.connect() {
                Ok(connected) => connected,
                Err(NoEngine::Full(reason)) => return self.not_attached(&reason),
                Err(NoEngine::Failed(reason)) => return self.fail(&reason),
            };
            let Connected { found, child } = connected;
            self.child = child;
            let outcome = match found.stream.try_clone() {
                Ok(to) => self.speak(found, to, news.take()),
                Err(error) => Outcome::Lost(LinkError::Io(error)),
            };
            lock(&self.shared.requests).close();
            *lock(&self.shared.live) = None;
            self.shared.is_asking.store(false, SeqCst);
            self.shared.traces.forget();
            self.shared.deltas.forget();
            let error = match outcome {
                Outcome::Over => return,
                Outcome::TerminalEnded => {
                    news = Some(death::terminal_event(self.terminal == Some(Phase::Closed)));
                    self.show_opening(Health::default());
                    continue;
                }
                Outcome::Lost(LinkError::Full(reason)) => return self.not_attached(&reason),
                Outcome::Lost(error) => error,
            };
            if self.shared.intends(Intent::Leave) {
                return self.shared.set_phase(Phase::Closed);
            }
            let reason = death::how_it_ended(self.child.as_mut(), &error);
            if self.shared.intends(Intent::Close) {
                return self.fail(&format!("{reason} before everything was saved; start again, and it is recovered"));
            }
            let now = Instant::now();
            self.deaths.retain(|at| now.duration_since(*at) < RESTART_SPAN);
            self.deaths.push(now);
            if RESTARTS_MAX < self.deaths.len() {
                return self.fail(&format!("{reason}, for the {}th time in a minute", self.deaths.len()));
            }
            let recorded = lock(&self.shared.latest).transport.pass.is_some();
            news = Some((Severity::Loss, death::event(&reason, recorded)));
            // Shows at once that the engine has died.
            self.show_opening(death::health(recorded));
        }
    }

    /// Attaches to the engine and takes what it sends, until the link ends. `news` becomes an event of the session.
    fn speak(&mut self, found: Found, to: UnixStream, news: Option<(Severity, String)>) -> Outcome {
        let Found { stream: mut from, facts } = found;
        self.terminal = facts.is_of_terminal.then_some(Phase::Running);
        self.session = None;
        let (requests, asked) = bounded(REQUESTS_MAX);
        let spawned = std::thread::Builder::new().name("link-write".to_owned()).spawn(move || write(to, &asked));
        if let Err(error) = spawned {
            return Outcome::Lost(LinkError::Io(error));
        }
        *lock(&self.shared.stream) = from.try_clone().ok();
        self.base = self.shared.given();
        for request in [Request::Attach, Request::Next] {
            requests.try_send(request).ok();
        }
        self.shared.is_asking.store(true, SeqCst);
        *lock(&self.shared.asked_at) = Instant::now();
        if let Some((severity, text)) = news
            && requests.try_send(Request::Command(Command::Notice(severity, text))).is_ok()
        {
            lock(&self.shared.requests).commands += 1;
        }
        self.open_requests(requests, facts.records);
        self.shared.samples.again();
        let mut bytes = Vec::new();
        loop {
            match self.take_answer(&mut from, &mut bytes) {
                Ok(()) if matches!(self.terminal, Some(Phase::Closed | Phase::Failed)) => {
                    return Outcome::TerminalEnded;
                }
                Ok(()) => {}
                Err(_) if matches!(self.shared.phase(), Phase::Closed | Phase::Failed) => return Outcome::Over,
                Err(error) => return Outcome::Lost(error),
            }
        }
    }

    /// Opens the way to the engine. The window may have asked for its end while there was no link.
    fn open_requests(&self, queue: Sender<Request>, records: bool) {
        let mut requests = lock(&self.shared.requests);
        (requests.queue, requests.has_unseen_recording) = (Some(queue), records);
        if self.shared.intends(Intent::Close) && records {
            self.shared.intent.store(Intent::Leave as u8, SeqCst);
        }
        if self.shared.intends(Intent::Close) {
            requests.send(Request::Close);
        } else if self.shared.intends(Intent::Leave) {
            requests.send(Request::Leave);
        }
    }

    fn take_answer(&mut self, from: &mut UnixStream, bytes: &mut Vec<u8>) -> Result<(), LinkError> {
        let shared = &self.shared;
        let session = match protocol::receive(from, protocol::ANSWER_BYTES_MAX, bytes)? {
            Kind::Message => None,
            Kind::Session => Some(parse(bytes)),
            Kind::Difference => Some(with_difference(self.session.as_ref().ok_or(LinkError::Garbled)?, bytes)),
        };
        if let Some(session) = session {
            // Shown with the update that follows.
            self.session = Some(Arc::new(session.map_err(|_| LinkError::Garbled)?));
            bytes.shrink_to(1 << 16);
            return Ok(());
        }
        match protocol::parse(bytes)? {
            Answer::Update(mut update) => {
                update.done = update.done.saturating_add(self.base);
                let is_change = update.is_change;
                // Both are held, because each picture replaces the snapshot by one with newer live values.
                let mut live = lock(&shared.live);
                let mut latest = lock(&shared.latest);
                let mut snapshot = update.over(&latest);
                if let Some(session) = &self.session {
                    snapshot.session = Arc::clone(session);
                }
                if self.start.session.as_ref() != Some(&snapshot.folder) && !snapshot.folder.as_os_str().is_empty() {
                    // A new engine opens the session that is open now.
                    self.start.session = Some(snapshot.folder.clone());
                }
                *latest = Arc::new(snapshot);
                if let Some(live) = &mut *live {
                    live.reader.refresh();
                }
                drop((latest, live));
                lock(&shared.requests).has_unseen_recording = false;
                shared.is_asking.store(false, SeqCst);
                if is_change {
                    shared.wake();
                }
            }
            Answer::Phase(phase) => match &mut self.terminal {
                // The window stays when the terminal's recording ends.
                Some(terminal) if shared.intends(Intent::Stay) => *terminal = Phase::of(phase),
                _ => shared.set_phase(Phase::of(phase)),
            },
            Answer::Refused => {
                shared.is_refused.store(true, SeqCst);
                shared.wake();
            }
            Answer::Sample { sample, is_latest } => shared.samples.push(*sample, is_latest),
            Answer::Story { at, key, byte, lines } => {
                shared.samples.tell(at, key, byte, lines);
                shared.wake();
            }
            Answer::Figures(figures) => shared.samples.add(figures),
            Answer::Trace(trace) => shared.traces.deliver(&trace.map(|trace| Arc::new(*trace))),
            Answer::KernelDeltas(deltas) => shared.deltas.deliver(&deltas),
            Answer::Page => {
                let reader = LiveReader::new(&receive_file(from)?)?;
                *lock(&shared.live) = Some(Live { beat: reader.beat(), reader, beaten_at: Instant::now() });
            }
            Answer::Full(reason) => return Err(LinkError::Full(reason)),
            Answer::Facts(_) => return Err(LinkError::Garbled),
        }
        Ok(())
    }

    /// Shows that another engine is being found or started.
    fn show_opening(&self, health: Health) {
        let latest = Arc::clone(&lock(&self.shared.latest));
        self.shared.show(Snapshot {
            stage: Stage::Opening,
            moves: true,
            health,
            inputs: Vec::new(),
            tracks: Vec::new(),
            master: Default::default(),
            commands_done: self.shared.given(),
            ..latest.failed("")
        });
        self.shared.samples.forget();
    }

    /// Shows that the engine takes no further window. The engine works, so nothing is started and nothing is recovered.
    fn not_attached(&self, reason: &str) {
        if !self.shared.intends(Intent::Stay) {
            // A window that has shown nothing has nothing to save.
            return self.shared.set_phase(Phase::Closed);
        }
        let latest = Arc::clone(&lock(&self.shared.latest));
        let health = death::not_attached(reason);
        self.shared.show(Snapshot { commands_done: u64::MAX, health, ..latest.failed(reason) });
        self.shared.set_phase(Phase::Failed);
    }

    /// Shows that there is no engine and that none can be started.
    fn fail(&self, reason: &str) {
        let latest = Arc::clone(&lock(&self.shared.latest));
        self.shared.show(Snapshot { commands_done: u64::MAX, ..latest.failed(reason) });
        self.shared.set_phase(Phase::Failed);
    }
}

/// Writes requests until the link ends.
fn write(mut to: UnixStream, requests: &Receiver<Request>) {
    while let Ok(request) = requests.recv() {
        let sent = message(&request).and_then(|bytes| protocol::send(&mut to, &bytes));
        if sent.is_err() {
            return;
        }
    }
}
