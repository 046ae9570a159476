//! What a face asks for waveforms. Thread: control, or the face; its threads are peaks-build, peaks-live, peaks-read.
//!
//! No call waits. What is not there is asked for and drawn coarser meanwhile; [`PeakStore::generation`] tells when it
//! has come.

use super::build::Builder;
use super::cache;
use super::columns::{Column, draw};
use super::kept::{Finder, Kept};
use super::live::Live;
use super::pyramid::Pyramid;
use super::read::Reading;
use super::worker::{Ask, Common, Loaded, Shared, Stage};
use crate::format::TakeFormat;
use crate::limits::{CHANNEL_MESSAGES, PEAK_REQUESTS_MAX, TAKE_CHANNEL_COUNT_MAX};
use crate::session::names::PEAKS;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::thread::{Builder as Thread, JoinHandle};
use uuid::Uuid;

/// Stack of each thread: they hold buffers on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// A take that is being recorded.
#[derive(Clone)]
pub struct LiveTake {
    /// Its identity in the world.
    pub take: Uuid,
    /// Its WAV file, in the session's folder.
    pub wav: PathBuf,
    /// Its spool file, whose byte n is byte n of the WAV: for one without a name `/proc/self/fd/N`. None: `in-place`, the sound
    /// is in the WAV at once.
    pub spool: Option<PathBuf>,
    /// How it stores its samples.
    pub format: TakeFormat,
    /// 1 or 2.
    pub channels: usize,
    /// Frames a second.
    pub rate: u32,
    /// Byte of the WAV at which its sound starts.
    pub data_offset: u64,
    /// Frames of it that are recorded, asked some ten times a second from another thread; `u64::MAX`: not known now. If
    /// it ever counts frames of another take, the waveform is made anew when the take has ended.
    pub frames: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for LiveTake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTake").field("take", &self.take).field("wav", &self.wav).finish_non_exhaustive()
    }
}

/// How good the columns are that a face got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As good as the zoom can show, up to the end that is known.
    Exact,
    /// Something finer, or more of the take, is on its way.
    Coarse,
    /// Nothing is known of the take or the channel yet: all columns are empty.
    Missing,
}

/// How far the waveform of a take is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not been looked at yet.
    Waiting,
    /// It is being made from the WAV: so many frames of so many.
    Building {
        /// Frames that can be drawn.
        frames: u64,
        /// Frames of the take.
        of: u64,
    },
    /// It grows while the take is recorded.
    Live,
    /// It is whole.
    Ready,
    /// The WAV can't be read, or not to its end. What was read is drawn; [`PeakStore::forget`] lets it be wanted again.
    Failed {
        /// The file, the reason, what to do.
        reason: String,
    },
}

struct Held {
    shared: Arc<Shared>,
    /// As it was at the last drawing.
    pyramid: Option<Arc<Pyramid>>,
}

/// The waveforms of a session's takes. Dropping it ends its threads; takes that have been finished are saved first.
pub struct PeakStore {
    common: Arc<Common>,
    takes: HashMap<Uuid, Held>,
    kept: Kept,
    numbers: u64,
    /// None only while it is dropped.
    ends: Option<Ends>,
    threads: Vec<JoinHandle<()>>,
}

/// The store's ends of the channels.
struct Ends {
    asks: Sender<Ask>,
    live: Sender<Arc<Shared>>,
    loaded: Receiver<Loaded>,
}

impl PeakStore {
    /// Starts the threads for a session's folder, which is open for recording here and nowhere else. Caches are kept in
    /// its folder `peaks`; where they can't be, waveforms are made anew each time. Fails if a thread can't be made.
    pub fn start(folder: &Path) -> io::Result<PeakStore> {
        let common = Arc::new(Common {
            peaks: folder.join(PEAKS),
            generation: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            quit: AtomicBool::new(false),
        });
        let (asks, asked) = bounded(CHANNEL_MESSAGES);
        let (live, lives) = bounded(CHANNEL_MESSAGES);
        let (jobs, todo) = bounded(CHANNEL_MESSAGES);
        let (load, loaded) = bounded(PEAK_REQUESTS_MAX);
        let mut store = PeakStore {
            common: Arc::clone(&common),
            takes: HashMap::new(),
            kept: Kept::default(),
            numbers: 0,
            ends: Some(Ends { asks, live, loaded }),
            threads: Vec::with_capacity(3),
        };
        let builder = Builder::new(Arc::clone(&common), todo);
        store.spawn("peaks-build", move || builder.run())?;
        let growing = Live::new(Arc::clone(&common), lives, jobs.clone());
        store.spawn("peaks-live", move || growing.run())?;
        let reading = Reading::new(common, asked, jobs, load);
        store.spawn("peaks-read", move || reading.run())?;
        Ok(store)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(Thread::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run)?);
        Ok(())
    }

    /// Has the waveform of a finished take ready soon: from its cache, or made from the WAV at `wav` in the session's folder.
    /// Asking again costs nothing, and tells where the file is by now; in `audio` or `trash` it is found by itself.
    pub fn want(&mut self, take: Uuid, wav: &Path) {
        if let Some(held) = self.takes.get(&take) {
            return held.shared.try_move(wav);
        }
        let shared = self.shared(take, wav, None);
        self.common.begin();
        match self.ends.as_ref().map(|ends| ends.asks.try_send(Ask::Open(Arc::clone(&shared)))) {
            Some(Ok(())) => {
                self.takes.insert(take, Held { shared, pyramid: None });
            }
            // Thousands are waiting: the next call asks again.
            _ => self.common.end(),
        }
    }

    /// Draws a take while it is recorded. One that is known already is left as it is.
    pub fn watch_live(&mut self, live: LiveTake) {
        if self.takes.contains_key(&live.take) || !(1..=TAKE_CHANNEL_COUNT_MAX).contains(&live.channels) {
            return;
        }
        let (take, wav) = (live.take, live.wav.clone());
        let shared = self.shared(take, &wav, Some(live));
        if let Some(ends) = &self.ends
            && ends.live.try_send(Arc::clone(&shared)).is_ok()
        {
            self.takes.insert(take, Held { shared, pyramid: None });
        }
    }

    /// A take that is drawn live has ended with `frames`, and all of its sound is in its WAV. The rest is read from there,
    /// and the waveform is saved. For any other take nothing happens.
    pub fn finish(&mut self, take: Uuid, frames: u64) {
        if let Some(held) = self.takes.get(&take).filter(|held| held.shared.live.is_some()) {
            held.shared.finish.store(frames, Release);
        }
    }

    /// Gives up what is in memory of a take. Its cache stays.
    pub fn forget(&mut self, take: Uuid) {
        if let Some(held) = self.takes.remove(&take) {
            held.shared.forgotten.store(true, Release);
            self.kept.forget(held.shared.number);
        }
    }

    /// Fills `out` with columns of `frames_per_column` frames of a channel of a take, the first from frame `from_frame`
    /// of the take on. Columns before or beyond the sound are [`Column::EMPTY`]. Below one frame a column, the frame that
    /// goes on in it. A waveform that scrolls does not flicker if `from_frame` is a multiple of `frames_per_column`.
    pub fn columns(
        &mut self,
        take: Uuid,
        channel: usize,
        from_frame: f64,
        frames_per_column: f64,
        out: &mut [Column],
    ) -> Answer {
        let Some(ends) = &self.ends else { return missing(out) };
        for loaded in ends.loaded.try_iter() {
            self.kept.take(loaded);
        }
        let Some(held) = self.takes.get_mut(&take) else { return missing(out) };
        // Read before what is drawn: what comes in between is drawn next time.
        let stage = held.shared.stage();
        held.shared.try_refresh(&mut held.pyramid);
        let Some(pyramid) = held.pyramid.as_ref().filter(|pyramid| channel < pyramid.channels()) else {
            return missing(out);
        };
        let mut finder = Finder {
            kept: &mut self.kept,
            common: &self.common,
            take: &held.shared,
            pyramid,
            channel,
            asks: &ends.asks,
            last: Default::default(),
        };
        let exact = draw(pyramid, channel, (from_frame, frames_per_column), out, &mut finder);
        if exact && !matches!(stage, Stage::Waiting | Stage::Building) { Answer::Exact } else { Answer::Coarse }
    }

    /// Changes when anything new can be drawn.
    pub fn generation(&self) -> u64 {
        self.common.generation.load(Acquire)
    }

    /// Changes when anything new of one take can be drawn; 0 for a take that nobody wanted.
    pub fn generation_of(&self, take: Uuid) -> u64 {
        self.takes.get(&take).map_or(0, |held| held.shared.generation.load(Acquire))
    }

    /// How far a take is. None: nobody wanted it.
    pub fn state_of(&self, take: Uuid) -> Option<State> {
        let held = self.takes.get(&take)?;
        let mut pyramid = held.pyramid.clone();
        held.shared.try_refresh(&mut pyramid);
        Some(match held.shared.stage() {
            Stage::Waiting => State::Waiting,
            Stage::Building => State::Building {
                frames: pyramid.map_or(0, |pyramid| pyramid.frames()),
                of: held.shared.of.load(Acquire),
            },
            Stage::Live => State::Live,
            Stage::Ready => State::Ready,
            Stage::Failed => State::Failed { reason: held.shared.try_trouble().unwrap_or_default() },
        })
    }

    /// Frames of a take that can be drawn.
    pub fn frames_of(&self, take: Uuid) -> u64 {
        let Some(held) = self.takes.get(&take) else { return 0 };
        let mut pyramid = held.pyramid.clone();
        held.shared.try_refresh(&mut pyramid);
        pyramid.map_or(0, |pyramid| pyramid.frames())
    }

    /// Whether anything that was asked for is not there yet. Takes that grow do not count.
    pub fn is_busy(&self) -> bool {
        self.common.busy.load(Acquire) > 0
    }

    /// Bytes of the blocks that are kept for zooms below 1024 frames a column.
    pub fn kept_bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// The cache of a take.
    pub fn cache_path(&self, take: Uuid) -> PathBuf {
        cache::path_of(&self.common.peaks, take)
    }

    fn shared(&mut self, take: Uuid, wav: &Path, live: Option<LiveTake>) -> Arc<Shared> {
        self.numbers += 1;
        Arc::new(Shared::new(take, self.numbers, wav.to_owned(), live))
    }
}

impl Drop for PeakStore {
    fn drop(&mut self) {
        self.common.quit.store(true, Release);
        self.ends = None;
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

fn missing(out: &mut [Column]) -> Answer {
    out.fill(Column::EMPTY);
    Answer::Missing
}
