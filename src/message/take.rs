//! A take from its plan to its end, as the disk side knows it. Thread: control makes plans and ends, the disk side reads
//! them.

use super::replica::ReplicaPair;
use crate::format::TakeFormat;
use crate::time::{FramePos, Frames};
use crate::wav::header::Header;
use std::path::PathBuf;
use std::sync::Arc;

/// A take, among those that are open. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TakeKey(pub u64);

/// A pass, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassKey(pub u64);

/// A take that is about to be recorded.
#[derive(Clone, Debug)]
pub struct TakePlan {
    /// Its key.
    pub key: TakeKey,
    /// Its identity and its session's, kept in session and spool alike: a spool is believed only by them.
    pub identity: uuid::Uuid,
    /// See [`TakePlan::identity`].
    pub session: uuid::Uuid,
    /// The WAV file, which must not exist.
    pub path: PathBuf,
    /// Its header, without sound.
    pub header: Header,
    /// Its copy on another disk, if there is to be one.
    pub pair: Option<Arc<ReplicaPair>>,
}

impl TakePlan {
    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.header.frame_bytes()
    }

    /// Where the file before this one began, which had `frames` frames up to frame `from` of the pass.
    pub fn began_before(&self, from: Frames, frames: Frames) -> FramePos {
        debug_assert!(frames <= from);
        FramePos(self.header.bext.time_reference.saturating_sub(frames.0))
    }

    /// Bytes a second.
    pub fn speed(&self) -> u64 {
        u64::from(self.header.rate) * self.frame_bytes() as u64
    }

    /// How its samples are stored.
    pub fn format(&self) -> TakeFormat {
        self.header.format
    }
}

/// How a take ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakeEnd {
    /// Its length.
    pub frames: Frames,
    /// Where on the timeline it began.
    pub began: FramePos,
    /// The history in its header: what it went through and what it cost.
    pub history: String,
}
