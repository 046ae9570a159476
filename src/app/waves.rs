//! Makes the takes of the session known to the peak store. Thread: the front end, which draws them.
//!
//! A snapshot is the only input, so the front end needs nothing of control to draw waveforms.

use super::snapshot::{PassPhase, PassView, Snapshot, Stage};
use crate::butler::spool::{SpoolPlace, path_of};
use crate::limits::DATA_OFFSET;
use crate::peaks::{LiveTake, NAMELESS_SPOOL, PeakStore};
use crate::reaper::{self, Ending};
use crate::session::{Take, TakeId, TakeState};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The request that the peak store has for a take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requested {
    /// The take is being recorded, and its waveform grows.
    Live,
    /// The take is finished.
    Whole,
}

/// A take that the peak store knows.
struct Known {
    requested: Requested,
    /// The file of the take. `None`: the store does not know its present name yet.
    file: Option<String>,
}

/// The frame count that peaks-live reads while no pass has one.
const UNKNOWN: u64 = u64::MAX;

/// The pass whose waveforms grow.
struct LivePass {
    /// Number of the pass in the session.
    number: u32,
    /// Its recorded frames, which peaks-live reads.
    frames: Arc<AtomicU64>,
}

/// The peak store of the session that is shown, and the takes that it knows.
#[derive(Default)]
pub struct Waves {
    store: Option<PeakStore>,
    /// Whether the system gave no threads for the store. The timeline then has no waveforms; everything else works.
    has_failed: bool,
    /// Stores that still save the waveforms of ended takes, and their folders.
    ending: Vec<(PathBuf, Ending)>,
    /// The session and the folder that the store reads. If the folder moves during a pass, the store changes after the
    /// pass.
    source: (Uuid, PathBuf),
    takes: HashMap<Uuid, Known>,
    revision: u64,
    recording: bool,
    /// Whether the store does not know the present name of a file yet.
    is_behind: bool,
    live: Option<LivePass>,
}

impl Waves {
    /// The store, once a session is shown.
    pub fn store(&mut self) -> Option<&mut PeakStore> {
        self.store.as_mut()
    }

    /// Whether waveforms are being built, or wait for an earlier store.
    pub fn is_busy(&self) -> bool {
        let waits = || self.ending.iter().any(|(folder, _)| *folder == self.source.1);
        self.store.as_ref().map_or_else(waits, PeakStore::is_busy)
    }

    /// Adds new takes of the session to the store, finishes takes whose recording has ended, and removes takes in the
    /// trash. The store loads a take when it is drawn. Does not wait.
    pub fn update(&mut self, snapshot: &Snapshot) {
        let pass = snapshot.transport.pass.as_ref().filter(|pass| pass.phase != PassPhase::Preparing);
        if let Some(live) = &self.live {
            let recorded = pass.filter(|pass| number_of(pass, snapshot) == Some(live.number));
            live.frames.store(recorded.map_or(UNKNOWN, |pass| pass.frames.0), Release);
        }
        let recording = pass.is_some();
        let source = (snapshot.session.id, snapshot.folder.clone());
        let moved = self.source != source && (!recording || self.source.0 != source.0);
        let has_store = self.store.is_some() || self.has_failed;
        let is_known = self.revision == snapshot.revision && !self.is_behind;
        if !moved && has_store && is_known && self.recording == recording {
            return;
        }
        self.is_behind = false;
        (self.revision, self.recording) = (snapshot.revision, recording);
        if moved {
            self.end_store();
            (self.source, self.has_failed) = (source, false);
        }
        if !self.may_start(&snapshot.stage) {
            return;
        }
        if self.store.is_none() {
            self.store = PeakStore::start(&snapshot.folder).ok();
            self.has_failed = self.store.is_none();
        }
        if let Some(pass) = pass
            && let Some(number) = number_of(pass, snapshot)
            && self.live.as_ref().is_none_or(|live| live.number != number)
        {
            self.live = Some(LivePass { number, frames: Arc::new(AtomicU64::new(pass.frames.0)) });
        }
        self.update_takes(snapshot, pass);
    }

    fn update_takes(&mut self, snapshot: &Snapshot, pass: Option<&PassView>) {
        let Some(store) = &mut self.store else { return };
        let is_live = |id: TakeId| pass.is_some_and(|pass| pass.takes.iter().any(|(_, take)| *take == id));
        for take in snapshot.session.takes() {
            if take.trashed {
                if self.takes.remove(&take.uuid).is_some() {
                    store.forget(take.uuid);
                }
                continue;
            }
            let recorded = take.state == TakeState::Recording;
            match self.takes.get_mut(&take.uuid) {
                None if recorded && is_live(take.id) => {
                    if let (Some(live), Some(pass)) = (&self.live, pass) {
                        store.watch_live(live_take(snapshot, pass, take, &live.frames));
                        let (requested, file) = (Requested::Live, Some(take.file.clone()));
                        self.takes.insert(take.uuid, Known { requested, file });
                    }
                }
                Some(known) if !recorded => {
                    // The file of a take can get another name when its pass ends.
                    if known.file.as_ref() != Some(&take.file) {
                        let is_known = store.add(take.uuid, &snapshot.folder.join(take.path()));
                        known.file = is_known.then(|| take.file.clone());
                        self.is_behind |= !is_known;
                    }
                    if known.requested == Requested::Live {
                        store.finish(take.uuid, take.frames.0);
                        known.requested = Requested::Whole;
                    }
                }
                None if !recorded => {
                    store.add(take.uuid, &snapshot.folder.join(take.path()));
                    let (requested, file) = (Requested::Whole, Some(take.file.clone()));
                    self.takes.insert(take.uuid, Known { requested, file });
                }
                _ => {}
            }
        }
    }

    /// Whether there is a store, or one may be started: a session is open, and no earlier store writes caches in its
    /// folder. Two stores of one folder would write the same files.
    fn may_start(&mut self, stage: &Stage) -> bool {
        self.ending.retain(|(_, ending)| !ending.is_over());
        let is_free = self.ending.iter().all(|(folder, _)| *folder != self.source.1);
        self.store.is_some() || (is_free && matches!(stage, Stage::Open | Stage::ReadOnly(_)))
    }

    /// Ends the store on a reaper thread: it first saves the waveforms of ended takes.
    fn end_store(&mut self) {
        if let Some(store) = self.store.take() {
            self.ending.push((self.source.1.clone(), reaper::end(move || drop(store))));
        }
        self.takes.clear();
        self.live = None;
    }

    /// Ends the store, and waits until it has saved the waveforms of ended takes, at most for `limit`. A waveform that
    /// is not saved is built again at the next start.
    pub fn close(&mut self, limit: Duration) {
        self.end_store();
        let deadline = Instant::now() + limit;
        for (_, ending) in self.ending.drain(..) {
            ending.wait(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// Number of the pass in the session.
fn number_of(pass: &PassView, snapshot: &Snapshot) -> Option<u32> {
    pass.takes.iter().find_map(|(_, take)| snapshot.session.take(*take)).map(|take| take.pass)
}

/// The description of a take that is being recorded, for the peak store.
fn live_take(snapshot: &Snapshot, pass: &PassView, take: &Take, frames: &Arc<AtomicU64>) -> LiveTake {
    let frames = Arc::clone(frames);
    LiveTake {
        take: take.uuid,
        wav: snapshot.folder.join(take.path()),
        spool: match &pass.spool {
            Some(SpoolPlace::Folder(folder)) => Some(path_of(folder, take.uuid)),
            // A spool in anonymous memory has no path. The waveform shows the sound when the committer has written it.
            Some(SpoolPlace::Memory) => Some(PathBuf::from(NAMELESS_SPOOL)),
            None => None,
        },
        format: take.format,
        channels: take.channels as usize,
        rate: take.rate.0,
        data_offset: DATA_OFFSET,
        // The audio thread stores the sound before it publishes the frame count, so every earlier frame is readable.
        frames: Arc::new(move || frames.load(Acquire)),
    }
}
