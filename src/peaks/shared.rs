//! State and messages that the store and its threads share. Thread: control and the front end, peaks-build, peaks-live,
//! peaks-read.
//!
//! A thread holds a lock here only while it copies a pointer or a path. The front end only tries to lock, so it never
//! waits.

use super::block::{Block, Scale};
use super::live_take::LiveTake;
use super::pyramid::Pyramid;
use crate::lock::lock;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// The state of a waveform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    Waiting = 0,
    Building = 1,
    Live = 2,
    Ready = 3,
    Failed = 4,
}

/// The value of [`SharedTake::final_frames`] while the length of the take is open.
pub(super) const NOT_FINISHED: u64 = u64::MAX;

/// One take whose waveform was requested.
pub(super) struct SharedTake {
    pub(super) take: Uuid,
    /// Unique in the store. A take that was forgotten and requested again gets a new one, so that blocks that were
    /// requested for the old one are not confused with it.
    pub(super) serial: u64,
    pub(super) live: Option<LiveTake>,
    wav: Mutex<PathBuf>,
    pyramid: Mutex<Option<Arc<Pyramid>>>,
    pub(super) generation: AtomicU64,
    stage: AtomicU8,
    /// Frames of the WAV from which the waveform is built.
    pub(super) total_frames: AtomicU64,
    /// The length of a live take in frames, once it has ended; [`NOT_FINISHED`] before.
    pub(super) final_frames: AtomicU64,
    pub(super) forgotten: AtomicBool,
    /// The cache file is complete and matches the WAV.
    pub(super) saved: AtomicBool,
    /// peaks-build has yet to write the cache file of a take that was recorded.
    pub(super) being_saved: AtomicBool,
    /// Blocks that can be read from the unfinished cache file.
    pub(super) part_file_blocks: AtomicU32,
    failure: Mutex<Option<String>>,
}

impl SharedTake {
    pub(super) fn new(take: Uuid, serial: u64, wav: PathBuf, live: Option<LiveTake>) -> SharedTake {
        let stage = if live.is_some() { Stage::Live } else { Stage::Waiting };
        SharedTake {
            take,
            serial,
            live,
            wav: Mutex::new(wav),
            pyramid: Mutex::new(None),
            generation: AtomicU64::new(0),
            stage: AtomicU8::new(stage as u8),
            total_frames: AtomicU64::new(0),
            final_frames: AtomicU64::new(NOT_FINISHED),
            forgotten: AtomicBool::new(false),
            saved: AtomicBool::new(false),
            being_saved: AtomicBool::new(false),
            part_file_blocks: AtomicU32::new(0),
            failure: Mutex::new(None),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Acquire) {
            0 => Stage::Waiting,
            1 => Stage::Building,
            2 => Stage::Live,
            3 => Stage::Ready,
            _ => Stage::Failed,
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Release);
    }

    /// Ends the work on the take. What was built so far can still be drawn.
    pub(super) fn fail(&self, reason: String) {
        *lock(&self.failure) = Some(reason);
        self.set_stage(Stage::Failed);
    }

    /// The reason of a failure. None also while another thread holds the lock.
    pub(super) fn try_failure(&self) -> Option<String> {
        self.failure.try_lock().ok()?.clone()
    }

    pub(super) fn wav(&self) -> PathBuf {
        lock(&self.wav).clone()
    }

    /// The path of the WAV. None if another thread holds the lock.
    pub(super) fn try_wav(&self) -> Option<PathBuf> {
        Some(self.wav.try_lock().ok()?.clone())
    }

    /// Changes the path of the WAV, unless another thread holds the lock. Returns whether it has the path.
    pub(super) fn try_move(&self, new_path: &std::path::Path) -> bool {
        let Ok(mut wav) = self.wav.try_lock() else { return false };
        if *wav != *new_path {
            new_path.clone_into(&mut wav);
        }
        true
    }

    pub(super) fn pyramid(&self) -> Option<Arc<Pyramid>> {
        lock(&self.pyramid).clone()
    }

    pub(super) fn set_pyramid(&self, pyramid: &Arc<Pyramid>) {
        let old = lock(&self.pyramid).replace(Arc::clone(pyramid));
        drop(old);
    }

    /// Changes the pyramid, unless another thread holds the lock. Returns whether it did.
    pub(super) fn try_set_pyramid(&self, pyramid: &Arc<Pyramid>) -> bool {
        let Ok(mut held) = self.pyramid.try_lock() else { return false };
        let old = held.replace(Arc::clone(pyramid));
        drop(held);
        drop(old);
        true
    }

    /// Updates `mine` to the current pyramid, unless another thread holds the lock.
    pub(super) fn try_refresh(&self, mine: &mut Option<Arc<Pyramid>>) {
        if let Ok(pyramid) = self.pyramid.try_lock()
            && let Some(newer) = &*pyramid
            && mine.as_ref().is_none_or(|mine| !Arc::ptr_eq(mine, newer))
        {
            *mine = Some(Arc::clone(newer));
        }
    }

    pub(super) fn is_being_saved(&self) -> bool {
        self.being_saved.load(Acquire)
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Acquire)
    }
}

/// State of the whole store.
pub(super) struct SharedStore {
    /// The folder of the cache files.
    pub(super) peaks: PathBuf,
    pub(super) generation: AtomicU64,
    /// Requested takes and blocks that are not ready.
    pub(super) pending: AtomicUsize,
    /// Requested takes for which peaks-read has not looked yet.
    pub(super) opens: AtomicUsize,
    pub(super) quit: AtomicBool,
}

impl SharedStore {
    /// Tells the front end, which compares generations, that more of the take can be drawn.
    pub(super) fn mark_changed(&self, take: &SharedTake) {
        take.generation.fetch_add(1, AcqRel);
        self.generation.fetch_add(1, AcqRel);
    }

    pub(super) fn is_quitting(&self) -> bool {
        self.quit.load(Acquire)
    }

    pub(super) fn add_pending(&self) {
        self.pending.fetch_add(1, AcqRel);
    }

    pub(super) fn remove_pending(&self) {
        self.pending.fetch_sub(1, AcqRel);
    }
}

/// A request to peaks-read.
pub(super) enum ReadRequest {
    /// Load the cache of a take, or have it built.
    Open(Arc<SharedTake>),
    /// Load a block.
    Block(Arc<SharedTake>, Scale, u64),
}

/// A request to peaks-build.
pub(super) enum BuildJob {
    /// Build the waveform of a finished WAV.
    Build(Arc<SharedTake>),
    /// Write the complete blocks of a growing take.
    Flush(Arc<SharedTake>),
    /// Write the remaining blocks of a take that has ended, and finish its cache file.
    Save(Arc<SharedTake>),
}

/// The answer of peaks-read to [`ReadRequest::Block`].
pub(super) struct LoadedBlock {
    pub(super) serial: u64,
    pub(super) scale: Scale,
    pub(super) index: u64,
    /// None: the block could not be read.
    pub(super) block: Option<Arc<Block>>,
}
