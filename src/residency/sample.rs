//! A residency sample: rows of cells, and figures. Thread: watcher makes it, a front end reads it.

use super::state::Cell;
use crate::message::published::Published;
use crate::message::stats::DiskPublished;
use crate::message::take::TakeKey;
use crate::residency::faults::{Fault, FaultLog, FaultPlace};
use crate::residency::ledger::{Ledger, Stamp};
use crate::residency::pool::Slots;
use crate::time::{FramePos, Frames};
use crate::window::budget::LockBudget;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// The data that a sampler reads.
#[derive(Clone, Debug)]
pub struct Sources {
    pub ledger: Arc<Ledger>,
    /// Numbers that the audio thread publishes.
    pub published: Arc<Published>,
    /// Numbers that the disk side publishes.
    pub disk: Arc<DiskPublished>,
    /// The budget of locked memory.
    pub budget: Arc<LockBudget>,
    /// The page faults of the audio thread.
    pub faults: Arc<FaultLog>,
}

/// The pages that a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pages {
    /// The pages around the record or play position.
    AroundHead {
        /// Milliseconds before the position.
        back_ms: u32,
        /// Milliseconds after the position.
        ahead_ms: u32,
    },
    /// All pages of the file.
    WholeFile,
    /// The slots of the spool of each take, in the order of its file.
    Pool,
}

/// A front end's request to the watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Largest number of cells in a row.
    pub cells: usize,
    pub pages: Pages,
    /// Samples in a second.
    pub hz: u32,
}

/// The take or slot that a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RowKey {
    /// A take that is recorded.
    Take {
        /// Identity of the take in the session.
        uuid: Uuid,
        key: TakeKey,
    },
    /// A slot that plays, by its index.
    Slot(usize),
}

/// One row of the map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub key: RowKey,
    /// Path of the file that it shows.
    #[serde(with = "crate::serial::shared_path")]
    pub path: Arc<PathBuf>,
    /// Sample rate in hertz.
    pub rate: u32,
    pub frame_bytes: usize,
    /// Offset in the file of the first byte of sound.
    pub data_offset: u64,
    /// Timeline position of the first frame behind `head`. 0 for a slot, which may play a file in many places.
    pub start: FramePos,
    /// Frames of the file that would lie before the timeline.
    pub head: Frames,
    /// Offset in the file of the first cell; whole pages.
    pub first_byte: u64,
    /// Bytes that a cell represents; whole pages.
    pub bytes_per_cell: u64,
    /// The cells, without a gap between them.
    pub cells: Vec<Cell>,
    /// The slots that the row shows; `None`: it shows a file. Bytes of cells are bytes of the pool then.
    pub slots: Option<Slots>,
    /// Offset in the file of the record or play position.
    pub head_byte: u64,
    /// Offset in the file of the end of the windows that are out.
    pub lead_byte: u64,
}

impl Row {
    /// The cell that contains offset `byte` of the file.
    pub fn cell_at(&self, byte: u64) -> Option<Cell> {
        let at = byte.checked_sub(self.first_byte)? / self.bytes_per_cell.max(1);
        self.cells.get(usize::try_from(at).ok()?).copied()
    }

    /// The byte of the row's file, or pool, that a fault hit; `None` if it hit other memory.
    pub fn byte_of(&self, fault: &Fault) -> Option<u64> {
        match (&fault.place, &self.key) {
            (FaultPlace::Capture { take, byte, .. }, RowKey::Take { uuid, .. }) if take == uuid => {
                self.slots.as_ref().map_or(Some(*byte), |slots| slots.pool_byte(*byte))
            }
            (FaultPlace::Playback { slot, file, byte, .. }, RowKey::Slot(own)) => {
                (slot == own && self.path.as_os_str() == file.as_str()).then_some(*byte)
            }
            _ => None,
        }
    }

    /// Whether the row shows a take that is recorded.
    pub fn is_recorded(&self) -> bool {
        matches!(self.key, RowKey::Take { .. })
    }

    /// Frames of lead: from the position to the end of the windows that are out.
    pub fn lead_frames(&self) -> u64 {
        self.lead_byte.saturating_sub(self.head_byte) / self.frame_bytes.max(1) as u64
    }
}

/// The numbers shown beside the rows. Maxima are those of the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleFigures {
    /// Faults of the audio thread that did not wait for the disk, since its start; `None`: unknown.
    pub minor_faults: Option<u64>,
    /// Faults of the audio thread that waited for the disk or for a locked page.
    pub major_faults: Option<u64>,
    /// Locked bytes according to the lock budget.
    pub locked_bytes_believed: u64,
    /// Locked bytes according to the kernel (`VmLck`), read every half second.
    pub locked_bytes_kernel: u64,
    /// Bytes that may be locked.
    pub lock_limit: u64,
    /// Whether two readings in succession found fewer bytes locked by the kernel than the lock budget contains.
    pub lock_disagrees: bool,
    /// Dirty bytes of the takes, read every half second. Counts the last 64 MiB of each take.
    pub dirty_bytes: u64,
    /// Bytes in writeback, counted like `dirty_bytes`.
    pub writeback_bytes: u64,
    /// Bytes in the page cache, counted like `dirty_bytes`.
    pub cached_bytes: u64,
    /// The longest write, in microseconds.
    pub commit_us_max: u64,
    /// The longest making of a window, in microseconds.
    pub supply_us_max: u64,
    /// The longest sync, in microseconds.
    pub sync_us_max: u64,
    /// Bytes that wait for the disk.
    pub backlog_bytes: u64,
    /// Bytes of the spool in use.
    pub spool_bytes: u64,
    /// Frames of lead of the take that has least; `None` while no take is recorded.
    pub lead_frames: Option<u64>,
    /// Frames of lead of the slot that has least; `None` while no slot plays.
    pub play_lead_frames: Option<u64>,
}

/// The result of one look at everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub at: Stamp,
    /// Duration of the sample in microseconds.
    pub took_us: u32,
    /// The view that was requested.
    pub view: View,
    /// The playhead, as a timeline frame.
    pub position: u64,
    /// Takes first, then slots.
    pub rows: Vec<Row>,
    pub figures: SampleFigures,
}

impl Sample {
    /// Number of cells in which ledger and kernel disagree.
    pub fn disagreements(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.disagrees()).count()
    }

    pub fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == *key)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of a take in 24 bit whose cells begin at `first_byte` of the file and have `bytes_per_cell` bytes each.
    pub(crate) fn row(key: RowKey, first_byte: u64, bytes_per_cell: u64, cells: Vec<Cell>) -> Row {
        Row {
            key,
            path: Arc::default(),
            rate: 48_000,
            frame_bytes: 3,
            data_offset: 4096,
            start: FramePos(0),
            head: Frames(0),
            first_byte,
            bytes_per_cell,
            cells,
            slots: None,
            head_byte: 9000,
            lead_byte: 16_384,
        }
    }

    /// A sample of one row, taken at `at_ms` of the ledger.
    pub(crate) fn sample(at_ms: u64, row: Row) -> Sample {
        let view = View { cells: row.cells.len(), pages: Pages::WholeFile, hz: 10 };
        let figures = SampleFigures::default();
        Sample { at: Stamp(at_ms), took_us: 0, view, position: 0, rows: vec![row], figures }
    }
}
