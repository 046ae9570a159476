//! The store of all waveforms of a session, and its interface for the front end. Thread: control and the front end. The
//! store starts the threads peaks-build, peaks-live and peaks-read.
//!
//! No call waits for a disk. A take is loaded when it is drawn, and dropped when it is off the screen and memory is
//! needed for others. Missing blocks are requested, and the waveform is drawn coarser meanwhile.
//! [`PeakStore::generation`] changes when they have arrived.

use super::build::BuildWorker;
use super::cache;
use super::columns::{Column, Span, draw};
use super::live::LiveWorker;
use super::live_take::LiveTake;
use super::loaded_blocks::{BlockLookup, LoadedBlocks};
use super::pyramid::Pyramid;
use super::read::ReadWorker;
use super::shared::{LoadedBlock, ReadRequest, SharedStore, SharedTake, Stage};
use crate::limits::{
    CHANNEL_MESSAGES, PEAK_LEVEL_BYTES_MAX, PEAK_OPENS_MAX, PEAK_REQUESTS_MAX, TAKE_CHANNEL_COUNT_MAX,
};
use crate::session::names::PEAKS;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::thread::{Builder as Thread, JoinHandle};
use uuid::Uuid;

/// Stack of each thread. A small one will do, because the buffers are on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// The quality of the columns that [`PeakStore::columns`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// The columns are as fine as the zoom can show, up to the last known frame.
    Exact,
    /// A finer level, or more of the take, was requested and will follow.
    Coarse,
    /// The take or the channel has no waveform yet: all columns are empty.
    Missing,
}

/// How much of the waveform of a take is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaveformState {
    /// The request is in the queue.
    Waiting,
    /// peaks-build reads the WAV.
    Building {
        /// Frames that can be drawn.
        frames: u64,
        /// Frames of the take.
        total: u64,
    },
    /// The waveform grows while the take is recorded.
    Live,
    /// The waveform is complete.
    Ready,
    /// The WAV could not be read to its end. The part that was read can be drawn. After [`PeakStore::forget`] the take
    /// can be requested again.
    Failed {
        /// A sentence for the user: the file, the reason, what to do.
        reason: String,
    },
}

/// A take that is loaded, or will be.
struct LoadedTake {
    shared: Arc<SharedTake>,
    /// The pyramid at the last drawing. Updated when the lock is free.
    pyramid: Option<Arc<Pyramid>>,
    /// Number of the last drawing that used it.
    drawing: u64,
}

impl LoadedTake {
    fn new(shared: Arc<SharedTake>, drawing: u64) -> LoadedTake {
        LoadedTake { shared, pyramid: None, drawing }
    }

    fn bytes(&self) -> usize {
        size_of::<SharedTake>() + self.pyramid.as_ref().map_or(0, |pyramid| pyramid.bytes())
    }

    /// Whether the waveform can be loaded again from a file, or could not be made.
    fn can_be_dropped(&self) -> bool {
        matches!(self.shared.stage(), Stage::Ready | Stage::Failed) && !self.shared.is_being_saved()
    }
}

/// The waveforms of a session's takes. Dropping the store joins its threads; they first save the takes that have ended.
pub struct PeakStore {
    common: Arc<SharedStore>,
    takes: HashMap<Uuid, LoadedTake>,
    /// The WAV files of takes that are not loaded.
    known: HashMap<Uuid, PathBuf>,
    loaded_blocks: LoadedBlocks,
    last_serial: u64,
    /// Number of drawings of the whole picture so far.
    drawing: u64,
    /// The present picture needs more takes than fit. No take is loaded before the view moves.
    is_full: bool,
    /// Limit of the bytes of all levels.
    bytes_max: usize,
    /// The generation at which all levels were last found within the limit.
    within_limit_at: Option<u64>,
    /// None only during drop: the threads end when the channels close.
    ends: Option<Ends>,
    threads: Vec<JoinHandle<()>>,
}

/// The store's ends of the channels.
struct Ends {
    requests: Sender<ReadRequest>,
    live: Sender<Arc<SharedTake>>,
    loaded: Receiver<LoadedBlock>,
}

impl PeakStore {
    /// Starts the threads for a session's folder. The caller holds the session's lock. Cache files are in its folder
    /// `peaks`; where they cannot be written, waveforms are built each time. Fails if a thread cannot be started.
    pub fn start(folder: &Path) -> io::Result<PeakStore> {
        let common = Arc::new(SharedStore {
            peaks: folder.join(PEAKS),
            generation: AtomicU64::new(0),
            pending: AtomicUsize::new(0),
            opens: AtomicUsize::new(0),
            quit: AtomicBool::new(false),
        });
        let (requests, request_inbox) = bounded(CHANNEL_MESSAGES);
        let (live, live_inbox) = bounded(CHANNEL_MESSAGES);
        let (jobs, job_inbox) = bounded(CHANNEL_MESSAGES);
        let (load, loaded) = bounded(PEAK_REQUESTS_MAX);
        let mut store = PeakStore {
            common: Arc::clone(&common),
            takes: HashMap::new(),
            known: HashMap::new(),
            loaded_blocks: LoadedBlocks::default(),
            last_serial: 0,
            drawing: 0,
            is_full: false,
            bytes_max: PEAK_LEVEL_BYTES_MAX,
            within_limit_at: None,
            ends: Some(Ends { requests, live, loaded }),
            threads: Vec::with_capacity(3),
        };
        let build = BuildWorker::new(Arc::clone(&common), job_inbox);
        store.spawn("peaks-build", move || build.run())?;
        let live_worker = LiveWorker::new(Arc::clone(&common), live_inbox, jobs.clone());
        store.spawn("peaks-live", move || live_worker.run())?;
        let read = ReadWorker::new(common, request_inbox, jobs, load);
        store.spawn("peaks-read", move || read.run())?;
        Ok(store)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(Thread::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(run)?);
        Ok(())
    }

    /// Makes a finished take known, with the WAV at `wav`. It is loaded when it is drawn. A second call updates the path
    /// of the WAV, and loads a take again whose WAV could not be read: it may have had its other name. That is not
    /// necessary for a move between `audio` and `trash`. Returns whether the path is known; if not, call again.
    pub fn add(&mut self, take: Uuid, wav: &Path) -> bool {
        if let Some(held) = self.takes.get(&take) {
            if held.shared.stage() != Stage::Failed {
                return held.shared.try_move(wav);
            }
            self.forget(take);
        }
        self.known.insert(take, wav.to_owned());
        true
    }

    /// Loads the waveform of a finished take at once, from its cache file or built from the WAV at `wav`.
    pub fn request(&mut self, take: Uuid, wav: &Path) {
        self.add(take, wav);
        self.load(take);
    }

    /// Requests the waveform of a take that is known. If too much is requested already, a later call does it.
    fn load(&mut self, take: Uuid) {
        if self.is_full || PEAK_OPENS_MAX <= self.common.opens.load(Acquire) {
            return;
        }
        let Some(wav) = self.known.get(&take).cloned() else { return };
        let shared = self.shared(take, &wav, None);
        self.common.add_pending();
        self.common.opens.fetch_add(1, AcqRel);
        match self.ends.as_ref().map(|ends| ends.requests.try_send(ReadRequest::Open(Arc::clone(&shared)))) {
            Some(Ok(())) => {
                self.known.remove(&take);
                self.takes.insert(take, LoadedTake::new(shared, self.drawing));
            }
            _ => {
                self.common.opens.fetch_sub(1, AcqRel);
                self.common.remove_pending();
            }
        }
    }

    /// Limits the bytes of all levels to less than the default.
    #[cfg(test)]
    pub(super) fn limit_levels(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Begins a drawing of the whole picture, and drops takes if all need too much memory. `moved`: the picture shows
    /// something else than the last one.
    pub fn begin_drawing(&mut self, moved: bool) {
        self.loaded_blocks.begin_drawing(moved);
        self.is_full &= !moved;
        self.drop_takes(moved);
        self.drawing += 1;
    }

    /// Bytes of the levels of finished takes. Limited to [`PEAK_LEVEL_BYTES_MAX`].
    pub fn level_bytes(&mut self) -> usize {
        let mut bytes = 0;
        for held in self.takes.values_mut() {
            held.shared.try_refresh(&mut held.pyramid);
            bytes += if held.can_be_dropped() { held.bytes() } else { 0 };
        }
        bytes
    }

    /// Drops takes above the limit, the ones first whose last use is oldest. While the picture does not change, those
    /// that it shows stay.
    fn drop_takes(&mut self, moved: bool) {
        let generation = self.generation();
        if self.within_limit_at == Some(generation) {
            return;
        }
        let mut bytes = self.level_bytes();
        self.within_limit_at = (bytes <= self.bytes_max).then_some(generation);
        if bytes <= self.bytes_max {
            return;
        }
        // A little more than necessary, so that not every drawing has to look for takes.
        let wanted = self.bytes_max / 8 * 7;
        let unused = |held: &LoadedTake| held.can_be_dropped() && (moved || held.drawing < self.drawing);
        let mut unused: Vec<(u64, Uuid)> =
            self.takes.iter().filter(|(_, held)| unused(held)).map(|(id, held)| (held.drawing, *id)).collect();
        unused.sort_unstable();
        let mut serials = HashSet::new();
        for (_, take) in unused {
            if bytes <= wanted {
                break;
            }
            let Some(wav) = self.takes.get(&take).and_then(|held| held.shared.try_wav()) else { continue };
            if let Some(held) = self.takes.remove(&take) {
                bytes -= held.bytes();
                held.shared.forgotten.store(true, Release);
                serials.insert(held.shared.serial);
                self.known.insert(take, wav);
            }
        }
        self.loaded_blocks.forget(&serials);
        // The rest is on the screen. Takes that were recorded or built just now still have all of their levels.
        for held in self.takes.values_mut().filter(|held| held.can_be_dropped() && held.shared.saved.load(Acquire)) {
            if bytes <= wanted {
                break;
            }
            if let Some(pyramid) = held.pyramid.as_ref().filter(|pyramid| pyramid.finest() == 0) {
                let reduced = Arc::new(pyramid.reduced());
                if held.shared.try_set_pyramid(&reduced) {
                    bytes -= pyramid.bytes().saturating_sub(reduced.bytes());
                    held.pyramid = Some(reduced);
                }
            }
        }
        self.is_full = !moved && self.bytes_max < bytes;
    }

    /// Grows the waveform of a take while it is recorded. Does nothing if the take is known already.
    pub fn watch_live(&mut self, live: LiveTake) {
        self.known.remove(&live.take);
        if self.takes.contains_key(&live.take) || !(1..=TAKE_CHANNEL_COUNT_MAX).contains(&live.channels) {
            return;
        }
        let (take, wav) = (live.take, live.wav.clone());
        let shared = self.shared(take, &wav, Some(live));
        if let Some(ends) = &self.ends
            && ends.live.try_send(Arc::clone(&shared)).is_ok()
        {
            self.takes.insert(take, LoadedTake::new(shared, self.drawing));
        }
    }

    /// Ends a live take at `frames`. All of its sound is in its WAV: peaks-live reads the rest from there, and
    /// peaks-build saves the waveform. Does nothing for a take that is not live.
    pub fn finish(&mut self, take: Uuid, frames: u64) {
        if let Some(held) = self.takes.get(&take).filter(|held| held.shared.live.is_some()) {
            held.shared.final_frames.store(frames, Release);
        }
    }

    /// Drops the waveform of a take from memory, and does not load it again. Its cache file stays.
    pub fn forget(&mut self, take: Uuid) {
        self.known.remove(&take);
        if let Some(held) = self.takes.remove(&take) {
            held.shared.forgotten.store(true, Release);
            self.loaded_blocks.forget(&HashSet::from([held.shared.serial]));
        }
    }

    /// Fills `out` with columns of `frames_per_column` frames of a channel of a take, the first from frame `from_frame`
    /// of the take on. Columns outside the sound are [`Column::EMPTY`]. With less than one frame per column, a column
    /// shows the frame that contains it. A waveform that scrolls does not flicker if `from_frame` is a multiple of
    /// `frames_per_column`.
    pub fn columns(
        &mut self,
        take: Uuid,
        channel: usize,
        from_frame: f64,
        frames_per_column: f64,
        out: &mut [Column],
    ) -> Quality {
        self.span_columns(take, channel, &Span::new(from_frame, frames_per_column), out)
    }

    /// Like [`PeakStore::columns`], for the columns of `span`.
    pub fn span_columns(&mut self, take: Uuid, channel: usize, span: &Span, out: &mut [Column]) -> Quality {
        if !self.takes.contains_key(&take) {
            self.load(take);
        }
        let (Some(ends), Some(held)) = (&self.ends, self.takes.get_mut(&take)) else { return missing(out) };
        for loaded in ends.loaded.try_iter() {
            self.loaded_blocks.receive(loaded);
        }
        held.drawing = self.drawing;
        // The stage is read before the pyramid. If it changes in between, the columns are called coarse and drawn
        // again.
        let stage = held.shared.stage();
        held.shared.try_refresh(&mut held.pyramid);
        let Some(pyramid) = held.pyramid.as_ref().filter(|pyramid| channel < pyramid.channels()) else {
            return missing(out);
        };
        let mut finder = BlockLookup {
            loaded_blocks: &mut self.loaded_blocks,
            common: &self.common,
            take: &held.shared,
            pyramid,
            channel,
            requests: &ends.requests,
            last: Default::default(),
        };
        let exact = draw(pyramid, channel, span, out, &mut finder);
        if exact && !matches!(stage, Stage::Waiting | Stage::Building) { Quality::Exact } else { Quality::Coarse }
    }

    /// Changes when more can be drawn of any take.
    pub fn generation(&self) -> u64 {
        self.common.generation.load(Acquire)
    }

    /// Changes when more can be drawn of one take. 0 for a take that is not loaded.
    pub fn generation_of(&self, take: Uuid) -> u64 {
        self.takes.get(&take).map_or(0, |held| held.shared.generation.load(Acquire))
    }

    /// How much of a take's waveform is ready. None: it is not loaded.
    pub fn state_of(&self, take: Uuid) -> Option<WaveformState> {
        let held = self.takes.get(&take)?;
        let mut pyramid = held.pyramid.clone();
        held.shared.try_refresh(&mut pyramid);
        Some(match held.shared.stage() {
            Stage::Waiting => WaveformState::Waiting,
            Stage::Building => WaveformState::Building {
                frames: pyramid.map_or(0, |pyramid| pyramid.frames()),
                total: held.shared.total_frames.load(Acquire),
            },
            Stage::Live => WaveformState::Live,
            Stage::Ready => WaveformState::Ready,
            Stage::Failed => WaveformState::Failed { reason: held.shared.try_failure().unwrap_or_default() },
        })
    }

    /// Frames of a take that can be drawn.
    pub fn frames_of(&self, take: Uuid) -> u64 {
        let Some(held) = self.takes.get(&take) else { return 0 };
        let mut pyramid = held.pyramid.clone();
        held.shared.try_refresh(&mut pyramid);
        pyramid.map_or(0, |pyramid| pyramid.frames())
    }

    /// Whether a request is open. Takes that grow do not count.
    pub fn is_busy(&self) -> bool {
        self.common.pending.load(Acquire) > 0
    }

    /// Bytes of the blocks in memory, for zooms below 65,536 frames per column.
    pub fn loaded_bytes(&self) -> usize {
        self.loaded_blocks.bytes()
    }

    /// The path of a take's cache file.
    pub fn cache_path(&self, take: Uuid) -> PathBuf {
        cache::path_of(&self.common.peaks, take)
    }

    fn shared(&mut self, take: Uuid, wav: &Path, live: Option<LiveTake>) -> Arc<SharedTake> {
        self.last_serial += 1;
        Arc::new(SharedTake::new(take, self.last_serial, wav.to_owned(), live))
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

fn missing(out: &mut [Column]) -> Quality {
    out.fill(Column::EMPTY);
    Quality::Missing
}
