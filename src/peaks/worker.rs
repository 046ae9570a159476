//! What the store and its threads share: a take's state, and what is said between them. Thread: control and the face,
//! peaks-build, peaks-live, peaks-read.
//!
//! Locks here are held for the copy of a pointer or a path. The side that draws only tries them.

use super::block::{Block, Scale};
use super::pyramid::Pyramid;
use super::store::LiveTake;
use crate::lock::lock;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// How far a take is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    Waiting = 0,
    Building = 1,
    Live = 2,
    Ready = 3,
    Failed = 4,
}

/// A number that no take finishes with.
pub(super) const NOT_FINISHED: u64 = u64::MAX;

/// One take.
pub(super) struct Shared {
    pub(super) take: Uuid,
    /// Tells it from a take of the same name that was forgotten.
    pub(super) number: u64,
    pub(super) live: Option<LiveTake>,
    wav: Mutex<PathBuf>,
    pyramid: Mutex<Option<Arc<Pyramid>>>,
    pub(super) generation: AtomicU64,
    stage: AtomicU8,
    /// Frames of the WAV that is read.
    pub(super) of: AtomicU64,
    /// Frames with which a live take ends.
    pub(super) finish: AtomicU64,
    pub(super) forgotten: AtomicBool,
    /// The cache is whole and of this WAV.
    pub(super) saved: AtomicBool,
    /// Blocks that can be read from the unfinished cache.
    pub(super) part_blocks: AtomicU32,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(take: Uuid, number: u64, wav: PathBuf, live: Option<LiveTake>) -> Shared {
        let stage = if live.is_some() { Stage::Live } else { Stage::Waiting };
        Shared {
            take,
            number,
            live,
            wav: Mutex::new(wav),
            pyramid: Mutex::new(None),
            generation: AtomicU64::new(0),
            stage: AtomicU8::new(stage as u8),
            of: AtomicU64::new(0),
            finish: AtomicU64::new(NOT_FINISHED),
            forgotten: AtomicBool::new(false),
            saved: AtomicBool::new(false),
            part_blocks: AtomicU32::new(0),
            trouble: Mutex::new(None),
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

    /// It can't be drawn, or no further.
    pub(super) fn fail(&self, reason: String) {
        *lock(&self.trouble) = Some(reason);
        self.set_stage(Stage::Failed);
    }

    /// The reason, unless it is being written this moment.
    pub(super) fn try_trouble(&self) -> Option<String> {
        self.trouble.try_lock().ok()?.clone()
    }

    pub(super) fn wav(&self) -> PathBuf {
        lock(&self.wav).clone()
    }

    /// Another place for the file, unless the old one is being read this moment.
    pub(super) fn try_move(&self, to: &std::path::Path) {
        if let Ok(mut wav) = self.wav.try_lock()
            && *wav != *to
        {
            to.clone_into(&mut wav);
        }
    }

    pub(super) fn pyramid(&self) -> Option<Arc<Pyramid>> {
        lock(&self.pyramid).clone()
    }

    pub(super) fn set_pyramid(&self, pyramid: &Arc<Pyramid>) {
        let old = lock(&self.pyramid).replace(Arc::clone(pyramid));
        drop(old);
    }

    /// Brings `mine` up to date, unless it is being changed this moment.
    pub(super) fn try_refresh(&self, mine: &mut Option<Arc<Pyramid>>) {
        if let Ok(pyramid) = self.pyramid.try_lock()
            && let Some(newer) = &*pyramid
            && mine.as_ref().is_none_or(|mine| !Arc::ptr_eq(mine, newer))
        {
            *mine = Some(Arc::clone(newer));
        }
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Acquire)
    }
}

/// What all of them share.
pub(super) struct Common {
    /// The folder of the caches.
    pub(super) peaks: PathBuf,
    pub(super) generation: AtomicU64,
    /// Takes and blocks that are asked for and not there.
    pub(super) busy: AtomicUsize,
    pub(super) quit: AtomicBool,
}

impl Common {
    /// Something new can be drawn.
    pub(super) fn bump(&self, take: &Shared) {
        take.generation.fetch_add(1, AcqRel);
        self.generation.fetch_add(1, AcqRel);
    }

    pub(super) fn is_quitting(&self) -> bool {
        self.quit.load(Acquire)
    }

    pub(super) fn begin(&self) {
        self.busy.fetch_add(1, AcqRel);
    }

    pub(super) fn end(&self) {
        self.busy.fetch_sub(1, AcqRel);
    }
}

/// To peaks-read.
pub(super) enum Ask {
    /// Load the cache of a take, or have it built.
    Open(Arc<Shared>),
    /// Load a block.
    Block(Arc<Shared>, Scale, u64),
}

/// To peaks-build.
pub(super) enum Job {
    /// Build the waveform of a finished WAV.
    Build(Arc<Shared>),
    /// Write the blocks of a growing take that are whole.
    Flush(Arc<Shared>),
    /// Write what is left of a take that has ended.
    Save(Arc<Shared>),
}

/// A block that was asked for. None: it can't be read.
pub(super) struct Loaded {
    pub(super) number: u64,
    pub(super) scale: Scale,
    pub(super) index: u64,
    pub(super) block: Option<Arc<Block>>,
}
