//! What a look at everything found: rows of cells, and figures. Thread: watcher makes it, a face reads it.

use super::state::Cell;
use crate::message::disk::{DiskPublished, TakeKey};
use crate::message::published::Published;
use crate::residency::ledger::{Ledger, Stamp};
use crate::time::FramePos;
use crate::window::budget::LockBudget;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What the disk side believes.
    pub ledger: Arc<Ledger>,
    /// The audio thread's numbers.
    pub published: Arc<Published>,
    /// The disk side's numbers.
    pub disk: Arc<DiskPublished>,
    /// Locked memory.
    pub budget: Arc<LockBudget>,
}

/// Which pages a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Those around the record or play position.
    AroundHead {
        /// Milliseconds behind it.
        back_ms: u32,
        /// Milliseconds ahead of it.
        ahead_ms: u32,
    },
    /// All of them.
    WholeFile,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Cells of a row at the most.
    pub cells: usize,
    /// Which pages.
    pub pages: Pages,
    /// Samples a second.
    pub hz: u32,
}

/// Whose row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// A take that is being recorded.
    Take {
        /// As the session knows it.
        uuid: Uuid,
        /// Among those that are open.
        key: TakeKey,
    },
    /// A slot that plays.
    Slot(usize),
}

/// One track's row of the map.
#[derive(Clone, Debug)]
pub struct Row {
    /// Whose.
    pub key: RowKey,
    /// The file that it shows.
    pub path: Arc<PathBuf>,
    /// Frames a second.
    pub rate: u32,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Byte of the file where its sound begins.
    pub data_offset: u64,
    /// Where on the timeline its sound begins; for a slot, which may play a file in many places, 0.
    pub start: FramePos,
    /// Byte of the file where the first cell begins; whole pages.
    pub first_byte: u64,
    /// Bytes that a cell stands for; whole pages.
    pub bytes_per_cell: u64,
    /// The cells, without a gap.
    pub cells: Vec<Cell>,
    /// Byte of the file that the record or play position has come to.
    pub head_byte: u64,
    /// Byte of the file up to which windows are out.
    pub lead_byte: u64,
}

impl Row {
    /// The cell that byte `byte` of the file lies in.
    pub fn cell_at(&self, byte: u64) -> Option<Cell> {
        let at = byte.checked_sub(self.first_byte)? / self.bytes_per_cell.max(1);
        self.cells.get(usize::try_from(at).ok()?).copied()
    }

    /// Whether the take is being recorded.
    pub fn is_recorded(&self) -> bool {
        matches!(self.key, RowKey::Take { .. })
    }

    /// Frames of lead: from the position to the end of the windows that are out.
    pub fn lead_frames(&self) -> u64 {
        self.lead_byte.saturating_sub(self.head_byte) / self.frame_bytes.max(1) as u64
    }
}

/// Numbers beside the rows. Maxima are of the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleFigures {
    /// Faults of the audio thread without the disk, since it was started; `None`: not known.
    pub minor_faults: Option<u64>,
    /// Those that waited for the disk.
    pub major_faults: Option<u64>,
    /// Bytes that the program believes are locked.
    pub locked_bytes_believed: u64,
    /// Bytes that the kernel says are locked (`VmLck`), as of the last half second.
    pub locked_bytes_kernel: u64,
    /// Bytes that may be locked.
    pub lock_limit: u64,
    /// Whether the kernel has locked less than is believed, in two readings one after the other.
    pub lock_disagrees: bool,
    /// Bytes of the takes, at most 64 MiB behind each end, that are dirty, as of the last half second.
    pub dirty_bytes: u64,
    /// The same in writeback.
    pub writeback_bytes: u64,
    /// The same in the page cache.
    pub cached_bytes: u64,
    /// Microseconds of the longest commit.
    pub commit_us_max: u64,
    /// Microseconds that the longest making of a window took.
    pub supply_us_max: u64,
    /// Microseconds of the longest sync.
    pub sync_us_max: u64,
    /// Bytes that wait for the disk.
    pub backlog_bytes: u64,
    /// Bytes in the spool.
    pub spool_bytes: u64,
    /// Frames of lead of the take that has least; `None` while none is recorded.
    pub lead_frames: Option<u64>,
    /// Frames that are ready for the slot that has least; `None` while none plays.
    pub play_lead_frames: Option<u64>,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When.
    pub at: Stamp,
    /// Microseconds that it took.
    pub took_us: u32,
    /// What was asked for.
    pub view: View,
    /// The playhead, a timeline frame.
    pub position: u64,
    /// Takes first, then slots.
    pub rows: Vec<Row>,
    /// Numbers.
    pub figures: SampleFigures,
}

impl Sample {
    /// Cells in which ledger entry and kernel disagree.
    pub fn disagreements(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.disagrees()).count()
    }

    /// The row of a key.
    pub fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == *key)
    }
}
