//! One client as the engine sees it: what it has asked for, and the thread that answers. Thread: link-write of this
//! client writes; link-read of this client notes what it asks for.

use super::protocol::{self, AnswerRef, Figures, Kind, LinkError, Request, UpdateRef};
use crate::app::handle::{AppHandle, Phase};
use crate::app::live::LiveLease;
use crate::app::snapshot::Snapshot;
use crate::limits::RESIDENCY_HZ_MAX;
use crate::lock::lock;
use crate::residency::sample::{RowKey, Sample, View};
use crate::residency::watcher::Watcher;
use crate::session::session_file::{difference, to_bytes};
use crate::window::shared_words::send_file;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Questions about pages that may wait. A window asks for the page under the pointer.
const STORIES_MAX: usize = 16;

/// Cells of a row of samples, at most.
const CELLS_MAX: usize = 4096;

/// The shortest pause between looks for a new residency sample.
const SAMPLE_PAUSE: Duration = Duration::from_millis(40);

/// Time for control to name the sources of a trace.
const TRACE_LIMIT: Duration = Duration::from_secs(2);

/// A client as the threads that serve it share it.
pub(super) struct Client {
    stream: UnixStream,
    bell: Sender<()>,
    rung: Receiver<()>,
    pub(super) is_window: AtomicBool,
    /// Whether the app has changed since the last update.
    pub(super) is_changed: AtomicBool,
    wishes: Mutex<Wishes>,
    /// The phase that was sent to the client last.
    heard: AtomicU8,
    /// Whether the client is gone or goes.
    has_left: AtomicBool,
}

/// The requests of a client that are not answered yet.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a request of its own")]
struct Wishes {
    next: bool,
    refusals: usize,
    /// Commands of this client so far.
    given: u64,
    /// Of the commands that may not be carried out yet: their number, and how many of all clients are done then.
    open: VecDeque<(u64, u64)>,
    /// Commands that were carried out.
    done: u64,
    view: Option<View>,
    wants_sample: bool,
    wants_history: bool,
    stories: VecDeque<(u64, RowKey, u64)>,
    wants_trace: bool,
    wants_deltas: bool,
    /// The reason why the client is sent away.
    refused: Option<&'static str>,
    /// The last phase that the writer sends before it ends the link.
    last_phase: Option<Phase>,
}

impl Wishes {
    /// Notes which commands are carried out when `all` of all clients are. Returns whether there is another one.
    fn pop_done(&mut self, all: u64) -> bool {
        let before = self.done;
        while let Some((own, _)) = self.open.front().filter(|(_, number)| *number <= all) {
            self.done = *own;
            self.open.pop_front();
        }
        before < self.done
    }
}

impl Client {
    pub(super) fn new(stream: &UnixStream) -> io::Result<Client> {
        let (bell, rung) = bounded(1);
        Ok(Client {
            stream: stream.try_clone()?,
            bell,
            rung,
            is_window: AtomicBool::new(false),
            is_changed: AtomicBool::new(true),
            wishes: Mutex::default(),
            heard: AtomicU8::new(Phase::Running as u8),
            has_left: AtomicBool::new(false),
        })
    }

    pub(super) fn ring(&self) {
        // A full bell has rung already.
        self.bell.try_send(()).ok();
    }

    /// Whether the client knows the phase, or is not there to hear it.
    pub(super) fn has_heard(&self, phase: Phase) -> bool {
        self.has_left.load(SeqCst) || self.heard.load(SeqCst) == phase as u8
    }

    /// Counts a command that was given to the app, as the `all`th of all clients.
    pub(super) fn count_command(&self, all: u64, is_taken: bool) {
        let mut wishes = lock(&self.wishes);
        wishes.given += 1;
        wishes.refusals += usize::from(!is_taken);
        let entry = (wishes.given, all);
        wishes.open.push_back(entry);
        // The app's own queue has a bound, so the oldest were carried out.
        if 1024 < wishes.open.len() {
            wishes.open.pop_front();
        }
        drop(wishes);
        self.ring();
    }

    /// Sends the client away.
    pub(super) fn refuse(&self, reason: &'static str) {
        lock(&self.wishes).refused = Some(reason);
        self.ring();
        self.wait(|client| client.has_left.load(SeqCst));
    }

    /// Ends the link in order: the writer sends `phase` and nothing after it.
    pub(super) fn dismiss(&self, phase: Phase) {
        lock(&self.wishes).last_phase = Some(phase);
        self.ring();
        self.wait(|client| client.has_heard(phase));
    }

    /// Gives the writer a moment for its last words. The client may not read.
    fn wait(&self, is_done: impl Fn(&Client) -> bool) {
        for _ in 0..100 {
            if is_done(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the link.
    pub(super) fn leave(&self) {
        self.has_left.store(true, SeqCst);
        self.stream.shutdown(Shutdown::Both).ok();
        self.ring();
    }

    /// Notes a request that the writer answers.
    pub(super) fn note(&self, request: &Request) {
        let mut wishes = lock(&self.wishes);
        match request {
            Request::Next => {
                wishes.next = true;
                // Without a change and without a command of this client there is nothing to send. The next change wakes
                // the writer.
                if !self.is_changed.load(SeqCst) && wishes.open.is_empty() {
                    return;
                }
            }
            Request::NextSample => wishes.wants_sample = true,
            Request::View(view) => {
                let bounded =
                    |view: View| View { cells: view.cells.min(CELLS_MAX), hz: view.hz.min(RESIDENCY_HZ_MAX), ..view };
                wishes.view = view.map(bounded);
                wishes.wants_sample = true;
            }
            Request::History => wishes.wants_history = true,
            Request::Story { at, key, byte } => {
                if STORIES_MAX <= wishes.stories.len() {
                    wishes.stories.pop_front();
                }
                wishes.stories.push_back((*at, *key, *byte));
            }
            Request::Trace => wishes.wants_trace = true,
            Request::KernelDeltas => wishes.wants_deltas = true,
            Request::Attach | Request::Command(_) | Request::Close | Request::Stop | Request::Leave => {}
        }
        drop(wishes);
        self.ring();
    }
}

/// Answers a client until it is gone.
pub(super) fn write(app: &AppHandle, client: &Client, to: UnixStream) {
    let writer = Writer {
        app,
        client,
        to,
        live: None,
        has: None,
        view: None,
        watcher: None,
        sample: None,
        sent: Sent::default(),
    };
    // A client that cannot be written to is gone; its reader sees that too.
    writer.run().ok();
    client.leave();
}

struct Writer<'a> {
    app: &'a AppHandle,
    client: &'a Client,
    to: UnixStream,
    /// Control writes the live page for this client, which has it.
    live: Option<LiveLease>,
    /// The snapshot that the client has.
    has: Option<Arc<Snapshot>>,
    /// The view that the watcher has from this client.
    view: Option<View>,
    watcher: Option<Arc<Watcher>>,
    /// The sample that the client has.
    sample: Option<Arc<Sample>>,
    sent: Sent,
}

/// The figures that the client has.
#[derive(Default)]
struct Sent {
    /// The watcher of which they are.
    of: Option<Arc<Watcher>>,
    /// The last point of the figures.
    rates: Option<u64>,
    /// The number of the last page fault.
    faults: u64,
    /// The number of the last work of others, and whether the client knows why there is none.
    disk_work: u64,
    has_refusal: bool,
    /// The gaps in the work of others that the client knows.
    gaps: Option<String>,
}

impl Writer<'_> {
    fn run(mut self) -> Result<(), LinkError> {
        let mut pause = Some(Duration::ZERO);
        loop {
            let rung = match pause {
                Some(pause) => self.client.rung.recv_timeout(pause),
                None => self.client.rung.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if self.client.has_left.load(SeqCst) || rung == Err(RecvTimeoutError::Disconnected) {
                return Ok(());
            }
            let last = { lock(&self.client.wishes).last_phase };
            if let Some(phase) = last {
                self.tell_phase(phase)?;
                return Ok(());
            }
            let refused = { lock(&self.client.wishes).refused };
            if let Some(reason) = refused {
                return self.send(&AnswerRef::Full(reason.to_owned()));
            }
            self.answer_refusals()?;
            self.send_page()?;
            let phase = self.app.phase();
            if phase == Phase::Failed && self.has.is_some() {
                // The last state has the reason. It is sent even if the window has not asked for it: the engine ends after
                // the phase is sent.
                lock(&self.client.wishes).next = true;
            }
            self.send_update()?;
            self.tell_phase(phase)?;
            self.answer_questions()?;
            pause = self.send_residency()?;
        }
    }

    fn send(&mut self, answer: &AnswerRef<'_>) -> Result<(), LinkError> {
        protocol::send(&mut self.to, &protocol::message(answer)?)
    }

    fn tell_phase(&mut self, phase: Phase) -> Result<(), LinkError> {
        if self.client.heard.load(SeqCst) != phase as u8 {
            self.send(&AnswerRef::Phase(phase as u8))?;
            self.client.heard.store(phase as u8, SeqCst);
        }
        Ok(())
    }

    fn answer_refusals(&mut self) -> Result<(), LinkError> {
        let refusals = std::mem::take(&mut lock(&self.client.wishes).refusals);
        if 0 < refusals { self.send(&AnswerRef::Refused) } else { Ok(()) }
    }

    /// Sends the live page to a client that has become a window.
    fn send_page(&mut self) -> Result<(), LinkError> {
        if self.live.is_some() || !self.client.is_window.load(SeqCst) {
            return Ok(());
        }
        match self.app.attach() {
            Ok(live) => {
                self.send(&AnswerRef::Page)?;
                send_file(&self.to, live.file()?)?;
                self.live = Some(live);
                Ok(())
            }
            Err(error) => {
                self.send(&AnswerRef::Full(format!("the recorder has no memory for another window: {error}")))?;
                Err(error.into())
            }
        }
    }

    /// Sends a snapshot if the client has asked for one and more has changed than what lies in the live page, or a command
    /// of this client has been carried out.
    fn send_update(&mut self) -> Result<(), LinkError> {
        if !lock(&self.client.wishes).next {
            return Ok(());
        }
        // Cleared first: a change during the work below counts for the next update.
        let is_changed = self.client.is_changed.swap(false, SeqCst);
        let snapshot = self.app.look();
        let is_new = match &self.has {
            Some(has) => is_changed && !Arc::ptr_eq(has, &snapshot),
            None => true,
        };
        let done = {
            let mut wishes = lock(&self.client.wishes);
            // A command may be counted after the snapshot that shows its effect was sent. Without another update the
            // client would wait for it until something else changes.
            let is_done = wishes.pop_done(snapshot.commands_done);
            if !is_new && !is_done {
                return Ok(());
            }
            wishes.next = false;
            wishes.done
        };
        let has = self.has.as_deref();
        if has.is_none_or(|has| !Arc::ptr_eq(&has.session, &snapshot.session)) {
            let difference = has.map(|has| difference(&has.session, &snapshot.session)).transpose()?.flatten();
            let frame = match difference {
                Some(bytes) => protocol::frame(Kind::Difference, &bytes),
                None => protocol::frame(Kind::Session, &to_bytes(&snapshot.session)?),
            };
            protocol::send(&mut self.to, &frame)?;
        }
        let update = AnswerRef::Update(UpdateRef::between(has, &snapshot, done));
        let bytes = protocol::message(&update)?;
        protocol::send(&mut self.to, &bytes)?;
        self.has = Some(snapshot);
        Ok(())
    }

    /// Sends a trace and changes of the kernel's counters, if the client has asked for them.
    fn answer_questions(&mut self) -> Result<(), LinkError> {
        let (wants_trace, wants_deltas) = {
            let mut wishes = lock(&self.client.wishes);
            (std::mem::take(&mut wishes.wants_trace), std::mem::take(&mut wishes.wants_deltas))
        };
        if wants_trace {
            let trace = self.app.trace(TRACE_LIMIT);
            self.send(&AnswerRef::Trace(trace.as_ref()))?;
        }
        if wants_deltas {
            let watcher = self.app.watcher();
            if let Some(watcher) = &watcher {
                self.send_figures(watcher)?;
            }
            let deltas = watcher.map(|watcher| watcher.kernel_deltas()).unwrap_or_default();
            self.send(&AnswerRef::KernelDeltas(&deltas))?;
        }
        Ok(())
    }

    /// Sends the figures and page faults that the client does not have.
    fn send_figures(&mut self, watcher: &Arc<Watcher>) -> Result<(), LinkError> {
        let begins = self.sent.of.as_ref().is_none_or(|known| !Arc::ptr_eq(known, watcher));
        if begins {
            self.sent = Sent { of: Some(Arc::clone(watcher)), ..Sent::default() };
        }
        let refusal = watcher.disk_work_log().refusal();
        let figures = Figures {
            begins,
            rates: watcher.rates_after(self.sent.rates),
            faults: watcher.faults_after(self.sent.faults),
            no_faults_because: watcher.no_faults_because().filter(|_| begins).map(std::string::ToString::to_string),
            disk_work: watcher.disk_work_after(self.sent.disk_work),
            no_disk_work_because: refusal.filter(|_| !self.sent.has_refusal).map(std::string::ToString::to_string),
            disk_work_gaps: watcher.disk_work_log().gaps().map(|gaps| gaps.to_string()),
        };
        let has_work = !figures.disk_work.is_empty()
            || figures.no_disk_work_because.is_some()
            || figures.disk_work_gaps != self.sent.gaps;
        if !begins && figures.rates.is_empty() && figures.faults.is_empty() && !has_work {
            return Ok(());
        }
        self.send(&AnswerRef::Figures(&figures))?;
        self.sent.rates = figures.rates.last().map(|point| point.at_ms).or(self.sent.rates);
        self.sent.faults = figures.faults.last().map_or(self.sent.faults, |fault| fault.number);
        self.sent.disk_work = figures.disk_work.last().map_or(self.sent.disk_work, |work| work.number);
        self.sent.has_refusal |= figures.no_disk_work_because.is_some();
        self.sent.gaps = figures.disk_work_gaps;
        Ok(())
    }

    /// Sends samples and stories that the client has asked for. Returns when to look for the next sample.
    fn send_residency(&mut self) -> Result<Option<Duration>, LinkError> {
        let (view, wants_sample, wants_history, stories) = {
            let mut wishes = lock(&self.client.wishes);
            let stories = std::mem::take(&mut wishes.stories);
            (wishes.view, wishes.wants_sample, std::mem::take(&mut wishes.wants_history), stories)
        };
        if view.is_none() && self.view.is_none() && !wants_history && stories.is_empty() {
            return Ok(None);
        }
        let Some(watcher) = self.app.watcher() else { return Ok(Some(SAMPLE_PAUSE)) };
        // Half of the time between two samples of the view.
        let pause = view.map(|view| (Duration::from_millis(500) / view.hz.max(1)).max(SAMPLE_PAUSE));
        let is_new = self.watcher.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &watcher));
        if is_new || self.view != view {
            watcher.set_view(view);
            (self.view, self.watcher) = (view, Some(Arc::clone(&watcher)));
        }
        self.send_figures(&watcher)?;
        if wants_history {
            for sample in watcher.history() {
                self.send(&AnswerRef::Sample { sample: &sample, is_latest: false })?;
            }
        }
        for (at, key, byte) in stories {
            let samples = watcher.history();
            let sample = samples.iter().rev().find(|sample| sample.at.0 <= at);
            let lines = sample.map(|sample| watcher.page_story_at(sample, &key, byte)).unwrap_or_default();
            self.send(&AnswerRef::Story { at, key, byte, lines })?;
        }
        if view.is_none() {
            return Ok(None);
        }
        if let Some(sample) = watcher.latest().filter(|_| wants_sample)
            && self.sample.as_ref().is_none_or(|has| !Arc::ptr_eq(has, &sample))
        {
            lock(&self.client.wishes).wants_sample = false;
            self.send(&AnswerRef::Sample { sample: &sample, is_latest: true })?;
            self.sample = Some(sample);
        }
        Ok(pause)
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let (Some(watcher), Some(_)) = (&self.watcher, self.view) {
            // Nobody looks at the samples any more.
            watcher.set_view(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::command::Command;
    use crate::app::{DeviceWish, Options};
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// The commands that are done by the next update from the engine.
    fn next_done(from: &mut UnixStream) -> u64 {
        let mut bytes = Vec::new();
        loop {
            let kind = protocol::receive(from, protocol::ANSWER_BYTES_MAX, &mut bytes).unwrap();
            if kind == Kind::Message
                && let protocol::Answer::Update(update) = protocol::parse(&bytes).unwrap()
            {
                return update.done;
            }
        }
    }

    #[test]
    fn a_command_that_is_counted_after_its_effect_was_sent_is_done_in_another_update() {
        let home = tempfile::tempdir().unwrap();
        let device = DeviceWish { name: "virtual".to_owned(), inputs: Some(2), ..DeviceWish::default() };
        let options = Options {
            config: Some(home.path().join("config")),
            sessions: Some(home.path().join("sessions")),
            device: Some(device),
            ..Options::default()
        };
        let app = AppHandle::start(options).unwrap();
        let (engine, mut window) = UnixStream::pair().unwrap();
        window.set_read_timeout(Some(PATIENCE)).unwrap();
        let client = Client::new(&engine).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| write(&app, &client, engine));
            let number = app.apply_numbered(Command::Stop).unwrap();
            assert!(number <= app.settled(PATIENCE).commands_done);
            client.note(&Request::Next);
            assert_eq!(next_done(&mut window), 0);
            client.note(&Request::Next);
            client.count_command(number, true);
            assert_eq!(next_done(&mut window), 1);
            client.leave();
        });
        assert!(app.close_within(PATIENCE));
    }
}
