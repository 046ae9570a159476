//! A take as the disk side knows it: key, plan and end. Thread: control makes plans and ends, the disk side reads them.

use super::replica::ReplicaPair;
use crate::format::TakeFormat;
use crate::time::{FramePos, Frames};
use crate::wav::header::Header;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Identifies a take among those that are open. Control never uses a key twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TakeKey(pub u64);

/// Identifies a pass among those that are open. Control never uses a key twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassKey(pub u64);

/// A take that is going to be recorded.
#[derive(Clone, Debug)]
pub struct TakePlan {
    /// Key of the take in commands and events.
    pub key: TakeKey,
    /// Identity of the take. Session and spool both contain it and the session's: recovery accepts a spool file only if
    /// both match.
    pub identity: uuid::Uuid,
    /// Identity of the session.
    pub session: uuid::Uuid,
    /// The WAV file to create. It must not exist.
    pub path: PathBuf,
    /// The WAV header, with a length of 0.
    pub header: Header,
    /// State that the session's and the mirror's committer share; `None` without a mirror.
    pub pair: Option<Arc<ReplicaPair>>,
    /// Frames at the beginning of the file that would lie before the timeline. The time reference of the header is then 0
    /// and belongs to the frame behind them.
    pub head: Frames,
}

impl TakePlan {
    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.header.frame_bytes()
    }

    /// Bytes of sound in a second.
    pub fn speed(&self) -> u64 {
        u64::from(self.header.rate) * self.frame_bytes() as u64
    }

    /// Sample format of the take.
    pub fn format(&self) -> TakeFormat {
        self.header.format
    }
}

/// The next file of a take whose disk refuses it, and the frame at which that file begins: one value, because a file
/// that is listed at one frame and begins at another one plays at the wrong time. Control lists the file in the session
/// at this frame; the committer continues in the file at this frame or not at all.
#[derive(Clone, Debug)]
pub struct ContinuationPlan {
    /// Frame of the pass at which the file begins.
    pub from: Frames,
    /// The file and its header. Its key is that of the take that continues.
    pub take: TakePlan,
    /// The copy of the session in the folder of the file, if that is another folder than the session's own. Without it, a
    /// recovery takes no sound from there.
    pub copy: Option<PathBuf>,
}

impl ContinuationPlan {
    /// Timeline position at which the sound of the file begins.
    pub fn began(&self) -> FramePos {
        FramePos(self.take.header.bext.time_reference)
    }
}

/// The end of a take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakeEnd {
    /// Length of the take.
    pub frames: Frames,
    /// Timeline position at which the first frame was recorded.
    pub began: FramePos,
    /// Frames by which the sound belongs earlier.
    pub latency: Frames,
    /// The coding history for the WAV header: losses, and what the recording cost.
    pub history: String,
}
