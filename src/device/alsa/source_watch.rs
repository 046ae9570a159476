//! Watches whether the inputs still get the sound of their source. Thread: source-watch ([`SourceWatch::is_gone`]: audio;
//! [`SourceNews::take`]: control).
//!
//! A program's stream on a sound server runs on when its source is gone. JACK gives silence. PipeWire and PulseAudio give
//! the sound of another source. None of them reports an error. So a thread asks the server what the inputs are connected
//! to, each second while something is recorded.
//!
//! A source that the user has named must not be replaced by another one. If it is, the device is given up and searched for
//! by its name, and the time until then is silence that is listed as lost. Where the user has left the choice to the server,
//! its new choice is recorded, and said.

use super::graph::{SoundServer, Source, named};
use super::jack_watch::JackWatch;
use super::reserve::is_recording;
use crate::lock::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time between two looks at [`is_recording`].
const PACE: Duration = Duration::from_millis(250);

/// Time between two questions while something is recorded, and before the first one.
const PAUSE_RECORDING: Duration = Duration::from_secs(1);

/// Time between two questions while nothing is recorded.
const PAUSE_IDLE: Duration = Duration::from_secs(5);

/// Questions without an answer after which no more are asked: the server's program is not installed.
const BLIND_LOOKS_MAX: u32 = 5;

/// A sentence about the source of the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNotice {
    /// A sentence for the screen.
    pub text: String,
    /// Whether inputs get something else than the sound that is wanted from now on.
    pub is_loss: bool,
}

impl SourceNotice {
    pub(super) fn lost(text: String) -> SourceNotice {
        SourceNotice { text, is_loss: true }
    }

    pub(super) fn back(text: String) -> SourceNotice {
        SourceNotice { text, is_loss: false }
    }
}

/// News of the source of a device's inputs, for control.
#[derive(Debug, Default)]
pub struct SourceNews {
    waiting: Mutex<Vec<SourceNotice>>,
    /// Inputs that are silent since an earlier look, as sentences.
    silent: Mutex<Vec<String>>,
    is_gone: AtomicBool,
}

impl SourceNews {
    /// The sentences since the last call.
    pub fn take(&self) -> Vec<SourceNotice> {
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// The inputs that are silent as of the last look, as sentences.
    pub fn silent(&self) -> Vec<String> {
        lock(&self.silent).clone()
    }
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
    /// The sources at the last look.
    before: Vec<Source>,
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
        let news = Arc::new(SourceNews::default());
        let (end, ended) = channel();
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

/// The body of the thread.
fn watch(mut watched: Watched, news: &SourceNews, ended: &Receiver<()>) {
    // The first question comes early: a source that changes later is compared with its answer.
    let mut rested = PAUSE_IDLE.saturating_sub(PAUSE_RECORDING);
    let mut blind_looks = 0;
    while ended.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
        rested += PACE;
        if rested < if is_recording() { PAUSE_RECORDING } else { PAUSE_IDLE } {
            continue;
        }
        rested = Duration::ZERO;
        let looked = match &mut watched {
            Watched::Jack(jack) => jack.look().map(|notices| (notices, false)),
            Watched::Stream(stream) => stream.look(),
        };
        let Some((mut notices, is_gone)) = looked else {
            blind_looks += 1;
            if BLIND_LOOKS_MAX <= blind_looks {
                return;
            }
            continue;
        };
        blind_looks = 0;
        if let Watched::Jack(jack) = &watched {
            *lock(&news.silent) = jack.silent();
        }
        lock(&news.waiting).append(&mut notices);
        if is_gone {
            news.is_gone.store(true, Ordering::Relaxed);
            return;
        }
    }
}

impl StreamWatch {
    pub(super) fn new(server: SoundServer, pcm: &str) -> StreamWatch {
        StreamWatch { server, named: named(pcm).map(|(_, name)| name.to_owned()), before: Vec::new() }
    }

    /// Asks the server. The notices, and whether the source that the user has named was replaced. `None`: the server does
    /// not answer or does not know the stream.
    fn look(&mut self) -> Option<(Vec<SourceNotice>, bool)> {
        let sources = self.server.sources_of(std::process::id())?;
        Some(self.judge(sources))
    }

    fn judge(&mut self, sources: Vec<Source>) -> (Vec<SourceNotice>, bool) {
        // A stream without a source gets no frames, and the device notices that.
        if sources.is_empty() {
            return (Vec::new(), false);
        }
        let before = std::mem::replace(&mut self.before, sources);
        let server = self.server.name();
        if let Some(named) = &self.named {
            if self.before.iter().any(|source| source.is_named(named)) {
                return (Vec::new(), false);
            }
            let (was, now) = distinct(&before, &self.before);
            let was = if before.is_empty() { named.clone() } else { was };
            let text =
                format!("{server} took the source {was} away and gave the inputs the sound of {now} for a moment");
            return (vec![SourceNotice::lost(text)], true);
        }
        if before.is_empty() || before.iter().any(|source| self.before.contains(source)) {
            return (Vec::new(), false);
        }
        let (was, now) = distinct(&before, &self.before);
        let text = format!("{server} moved the inputs to another source: they record {now}, no longer {was}");
        (vec![SourceNotice::lost(text)], false)
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

    fn judged(watch: &mut StreamWatch, sources: &[&str]) -> (Option<String>, bool) {
        let sources = sources.iter().map(|name| Source::for_test(name)).collect();
        let (notices, is_gone) = watch.judge(sources);
        (notices.into_iter().next().map(|notice| notice.text), is_gone)
    }

    #[test]
    fn a_named_source_that_the_server_replaces_is_gone() {
        let mut watch = StreamWatch::new(SoundServer::PipeWire, "pipewire:NODE=umc,CHANNELS=8");
        for same in [&["umc"][..], &["umc", "webcam"], &[]] {
            assert_eq!(judged(&mut watch, same), (None, false));
        }
        let text = "PipeWire took the source The umc and The webcam away and gave the inputs the sound of The other for a moment";
        assert_eq!(judged(&mut watch, &["other"]), (Some(text.to_owned()), true));
    }

    #[test]
    fn a_server_that_chooses_another_source_is_followed_and_said_once() {
        let mut watch = StreamWatch::new(SoundServer::PipeWire, "default");
        assert_eq!(judged(&mut watch, &["umc"]), (None, false));
        assert_eq!(judged(&mut watch, &[]), (None, false));
        let text = "PipeWire moved the inputs to another source: they record The webcam, no longer The umc";
        assert_eq!(judged(&mut watch, &["webcam"]), (Some(text.to_owned()), false));
        assert_eq!(judged(&mut watch, &["webcam"]), (None, false));
    }

    #[test]
    fn a_watch_ends_with_its_device() {
        let news = SourceNews::default();
        let (end, ended) = channel();
        drop(end);
        watch(Watched::Stream(StreamWatch::new(SoundServer::PipeWire, "default")), &news, &ended);
        assert!(news.take().is_empty());
    }
}
