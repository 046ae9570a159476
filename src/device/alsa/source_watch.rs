//! Watches whether the inputs still get the sound of their source. Thread: source-watch ([`SourceWatch::is_gone`]: audio;
//! [`SourceNews::take`]: control).
//!
//! A program's stream on a sound server runs on when its source is gone. JACK gives silence. PipeWire and PulseAudio give
//! the sound of another source. None of them reports an error to the stream. So a thread reads the server's events, and asks
//! what the inputs are connected to when there was one. Where no events can be read, it asks now and then.
//!
//! A source that the user has named must not be replaced by another one. If it is, the device is given up and searched for
//! by its name, and the time until then is silence that is listed as lost. Where the user has left the choice to the server,
//! its new choice is recorded, and said.

use super::graph::{SoundServer, Source, named};
use super::jack_watch::JackWatch;
use super::question_pace::{Answered, QuestionPace};
use super::reserve::is_recording;
use super::server_events::{EventServer, Interest, STARTS_MAX, ServerEvents};
use crate::lock::lock;
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Time between two looks at [`is_recording`] while no events are read.
const RECORDING_PACE: Duration = Duration::from_secs(1);

/// Time between two starts of it.
const START_PAUSE: Duration = Duration::from_secs(10);

/// A sentence about the source of the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNotice {
    /// A sentence for the screen.
    pub text: String,
    /// Whether inputs get something else than the sound that is wanted from now on.
    pub is_loss: bool,
    /// The inputs that it is about; `None`: all of the device.
    pub inputs: Option<Vec<usize>>,
}

impl SourceNotice {
    pub(super) fn lost(text: String) -> SourceNotice {
        SourceNotice { text, is_loss: true, inputs: None }
    }

    pub(super) fn back(text: String) -> SourceNotice {
        SourceNotice { text, is_loss: false, inputs: None }
    }

    /// Whether it is about one of `inputs`.
    pub fn concerns(&self, inputs: &[usize]) -> bool {
        self.inputs.as_ref().is_none_or(|own| inputs.iter().any(|input| own.contains(input)))
    }
}

/// News of the source of a device's inputs, for control.
#[derive(Debug, Default)]
pub struct SourceNews {
    waiting: Mutex<Vec<SourceNotice>>,
    /// Sentences about the inputs that are silent since an earlier look.
    silent: Mutex<Vec<SourceNotice>>,
    /// The sources at the last look.
    sources: Mutex<Vec<Source>>,
    /// The server that chooses the source, because the user has named none.
    chooser: Option<SoundServer>,
    is_gone: AtomicBool,
}

impl SourceNews {
    /// The sentences since the last call.
    pub fn take(&self) -> Vec<SourceNotice> {
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// Sentences about the inputs that are silent as of the last look.
    pub fn silent(&self) -> Vec<SourceNotice> {
        lock(&self.silent).clone()
    }

    /// These are the news of the device that replaces the one of `earlier`. A server that chooses another source while the
    /// device is away has moved the inputs too.
    pub fn continue_from(&self, earlier: &SourceNews) {
        let (Some(server), before) = (self.chooser, lock(&earlier.sources).clone()) else { return };
        let mut sources = lock(&self.sources);
        if sources.is_empty() {
            *sources = before;
        } else {
            lock(&self.waiting).extend(moved(server, &before, &sources));
        }
    }

    /// Notes the sources of a look. Returns those of the look before, and a notice if the server has chosen others.
    fn see(&self, now: Vec<Source>) -> (Vec<Source>, Option<SourceNotice>) {
        let mut sources = lock(&self.sources);
        let before = std::mem::replace(&mut *sources, now);
        let notice = self.chooser.and_then(|server| moved(server, &before, &sources));
        (before, notice)
    }
}

/// A notice if none of the sources `before` is among those of `now`. The names are compared: a source that was away has another
/// number.
fn moved(server: SoundServer, before: &[Source], now: &[Source]) -> Option<SourceNotice> {
    let is_there = |source: &Source| now.iter().any(|other| other.name == source.name);
    if before.is_empty() || before.iter().any(is_there) {
        return None;
    }
    let ((was, now), server) = (distinct(before, now), server.name());
    let text = format!("{server} moved the inputs to another source: they record {now}, no longer {was}");
    Some(SourceNotice::lost(text))
}

/// The sound that is watched.
#[derive(Clone, Debug)]
pub(super) enum Watched {
    Jack(JackWatch),
    Stream(StreamWatch),
}

/// A stream of PipeWire or PulseAudio.
#[derive(Clone, Debug)]
pub(super) struct StreamWatch {
    server: SoundServer,
    /// The source that the user has named.
    named: Option<String>,
}

/// The watch over an open device. Dropping it ends the thread and does not wait.
pub(super) struct SourceWatch {
    pub(super) news: Arc<SourceNews>,
    /// Dropping the sender ends the thread.
    _end: Sender<()>,
}

impl SourceWatch {
    /// Starts the thread; `None` if the system gives none.
    pub(super) fn start(watched: Watched) -> Option<SourceWatch> {
        let news = Arc::new(SourceNews { chooser: watched.chooser(), ..SourceNews::default() });
        let (end, ended) = bounded(0);
        let of_thread = Arc::clone(&news);
        let thread = std::thread::Builder::new().name("source-watch".to_owned());
        thread.spawn(move || watch(watched, &of_thread, &ended)).ok()?;
        Some(SourceWatch { news, _end: end })
    }

    /// Whether the inputs get the sound of another source than the one that the user has named. This is realtime-safe.
    pub(super) fn is_gone(&self) -> bool {
        self.news.is_gone.load(Ordering::Relaxed)
    }
}

/// The events of a server, as long as they can be read.
struct Feed {
    server: EventServer,
    running: Option<ServerEvents>,
    starts: u32,
    started: Instant,
}

/// The end of a wait.
enum Wait {
    Over,
    Event,
    /// The program that prints the events has ended.
    EventsEnded,
    DeviceClosed,
}

impl Feed {
    fn start(server: EventServer) -> Feed {
        Feed { server, running: ServerEvents::start(server, Interest::Connections), starts: 1, started: Instant::now() }
    }

    /// Starts the program again, if it has ended and it is time. A program that ends again and again is left alone.
    fn start_again(&mut self) -> bool {
        let now = Instant::now();
        if self.running.is_some() || STARTS_MAX <= self.starts || now < self.started + START_PAUSE {
            return false;
        }
        self.starts += 1;
        self.started = now;
        self.running = ServerEvents::start(self.server, Interest::Connections);
        self.running.is_some()
    }

    /// Ends the program for good.
    fn give_up(&mut self) {
        self.starts = STARTS_MAX;
        self.running = None;
    }

    fn wait(&self, ended: &Receiver<()>, limit: Duration) -> Wait {
        let none = never();
        let received = self.running.as_ref().map_or(&none, ServerEvents::received);
        select! {
            recv(ended) -> _ => Wait::DeviceClosed,
            recv(received) -> event => if event.is_ok() { Wait::Event } else { Wait::EventsEnded },
            default(limit) => Wait::Over,
        }
    }
}

/// The body of the thread.
fn watch(mut watched: Watched, news: &SourceNews, ended: &Receiver<()>) {
    let mut feed = Feed::start(watched.server());
    let mut pace = QuestionPace::new(Instant::now(), feed.running.is_some());
    loop {
        pace.set_records(is_recording());
        let rest = pace.due().saturating_duration_since(Instant::now());
        let limit = if feed.running.is_some() { rest } else { rest.min(RECORDING_PACE) };
        match feed.wait(ended, limit) {
            Wait::DeviceClosed => return,
            Wait::Event => pace.event(Instant::now()),
            Wait::EventsEnded => {
                feed.running = None;
                pace.set_has_events(false);
            }
            Wait::Over => {}
        }
        if Instant::now() < pace.due() {
            continue;
        }
        if pace.is_deaf() {
            feed.give_up();
            pace.set_has_events(false);
        }
        let announced = pace.begin();
        let looked = watched.look(news);
        let answered = looked.as_ref().map_or(Answered::Nothing, Look::answered);
        pace.end(Instant::now(), announced, answered);
        let Some(mut look) = looked else { continue };
        if let Watched::Jack(jack) = &watched {
            *lock(&news.silent) = jack.silent();
        }
        lock(&news.waiting).append(&mut look.notices);
        if look.is_gone {
            news.is_gone.store(true, Ordering::Relaxed);
            return;
        }
        // A server that answers is there, so its events may be too.
        if feed.start_again() {
            pace.set_has_events(true);
        }
    }
}

/// The answer of a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) notices: Vec<SourceNotice>,
    /// The source that the user has named was replaced.
    pub(super) is_gone: bool,
    /// Ports were connected again, or it was tried. The next look shows whether it worked.
    pub(super) has_connected: bool,
}

impl Look {
    fn answered(&self) -> Answered {
        match (self.notices.is_empty(), self.has_connected) {
            (_, true) => Answered::Unsettled,
            (false, false) => Answered::Changed,
            (true, false) => Answered::Same,
        }
    }
}

impl Watched {
    fn server(&self) -> EventServer {
        match self {
            Watched::Jack(_) => EventServer::Jack,
            Watched::Stream(StreamWatch { server: SoundServer::PipeWire, .. }) => EventServer::PipeWire,
            Watched::Stream(StreamWatch { server: SoundServer::PulseAudio, .. }) => EventServer::PulseAudio,
        }
    }

    /// The server that chooses the source; `None` if the user has named it.
    fn chooser(&self) -> Option<SoundServer> {
        match self {
            Watched::Stream(StreamWatch { server, named: None }) => Some(*server),
            Watched::Stream(_) | Watched::Jack(_) => None,
        }
    }

    fn look(&mut self, news: &SourceNews) -> Option<Look> {
        match self {
            Watched::Jack(jack) => jack.look(),
            Watched::Stream(stream) => stream.look(news),
        }
    }
}

impl StreamWatch {
    pub(super) fn new(server: SoundServer, pcm: &str) -> StreamWatch {
        StreamWatch { server, named: named(pcm).map(|(_, name)| name.to_owned()) }
    }

    /// Asks the server. `None`: the server does not answer or does not know the stream.
    fn look(&self, news: &SourceNews) -> Option<Look> {
        let sources = self.server.sources_of(std::process::id())?;
        let (notices, is_gone) = self.judge(&sources, news);
        Some(Look { notices, is_gone, has_connected: false })
    }

    /// The notices, and whether the source that the user has named was replaced.
    fn judge(&self, sources: &[Source], news: &SourceNews) -> (Vec<SourceNotice>, bool) {
        // A stream without a source gets no frames, and the device notices that.
        if sources.is_empty() {
            return (Vec::new(), false);
        }
        let (before, notice) = news.see(sources.to_vec());
        let Some(named) = &self.named else { return (notice.into_iter().collect(), false) };
        if sources.iter().any(|source| source.is_named(named)) {
            return (Vec::new(), false);
        }
        let ((was, now), server) = (distinct(&before, sources), self.server.name());
        let was = if before.is_empty() { named.clone() } else { was };
        let text = format!("{server} took the source {was} away and gave the inputs the sound of {now} for a moment");
        (vec![SourceNotice::lost(text)], true)
    }
}

/// The titles of two sets of sources, or their names if the titles are the same.
fn distinct(one: &[Source], other: &[Source]) -> (String, String) {
    let listed =
        |sources: &[Source], text: fn(&Source) -> &str| sources.iter().map(text).collect::<Vec<_>>().join(" and ");
    let titles = [one, other].map(|sources| listed(sources, |source| &source.title));
    let [one, other] = if titles[0] == titles[1] {
        [one, other].map(|sources| listed(sources, |source| &source.name))
    } else {
        titles
    };
    (one, other)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn news_of(watch: &StreamWatch) -> SourceNews {
        SourceNews { chooser: Watched::Stream(watch.clone()).chooser(), ..SourceNews::default() }
    }

    fn judged(watch: &StreamWatch, news: &SourceNews, sources: &[&str]) -> (Option<String>, bool) {
        let sources: Vec<Source> = sources.iter().map(|name| Source::for_test(name)).collect();
        let (notices, is_gone) = watch.judge(&sources, news);
        (notices.into_iter().next().map(|notice| notice.text), is_gone)
    }

    #[test]
    fn a_named_source_that_the_server_replaces_is_gone() {
        let watch = StreamWatch::new(SoundServer::PipeWire, "pipewire:NODE=umc,CHANNELS=8");
        let news = news_of(&watch);
        for same in [&["umc"][..], &["umc", "webcam"], &[]] {
            assert_eq!(judged(&watch, &news, same), (None, false));
        }
        let text = "PipeWire took the source The umc and The webcam away and gave the inputs the sound of The other for a moment";
        assert_eq!(judged(&watch, &news, &["other"]), (Some(text.to_owned()), true));
    }

    #[test]
    fn a_server_that_chooses_another_source_is_followed_and_said_once() {
        let watch = StreamWatch::new(SoundServer::PipeWire, "default");
        let news = news_of(&watch);
        assert_eq!(judged(&watch, &news, &["umc"]), (None, false));
        assert_eq!(judged(&watch, &news, &[]), (None, false));
        assert_eq!(judged(&watch, &news, &["webcam"]), (Some(MOVED.to_owned()), false));
        assert_eq!(judged(&watch, &news, &["webcam"]), (None, false));
    }

    const MOVED: &str = "PipeWire moved the inputs to another source: they record The webcam, no longer The umc";

    /// A device that was opened again knew no earlier source, so another one was recorded and nothing was said.
    #[test]
    fn another_source_after_an_outage_is_said_whether_the_first_look_comes_before_the_handover_or_after_it() {
        let watch = StreamWatch::new(SoundServer::PipeWire, "default");
        for (source, said) in [("webcam", Some(MOVED.to_owned())), ("umc", None)] {
            for looks_before in [false, true] {
                let (earlier, later) = (news_of(&watch), news_of(&watch));
                judged(&watch, &earlier, &["umc"]);
                if looks_before {
                    assert_eq!(judged(&watch, &later, &[source]), (None, false));
                }
                later.continue_from(&earlier);
                let at_look = judged(&watch, &later, &[source]).0;
                let at_handover = later.take().into_iter().next().map(|notice| notice.text);
                assert_eq!(at_handover.or(at_look), said, "{source}, {looks_before}");
                assert_eq!(judged(&watch, &later, &[source]), (None, false));
            }
        }
    }

    #[test]
    fn a_watch_ends_with_its_device() {
        let news = SourceNews::default();
        let (end, ended) = bounded(0);
        drop(end);
        watch(Watched::Stream(StreamWatch::new(SoundServer::PipeWire, "default")), &news, &ended);
        assert!(news.take().is_empty());
    }
}
