//! Waveforms of regions that are only a few columns wide. Thread: ui.
//!
//! Several of them can lie in one column. The column then shows the lowest and highest sample of all of them, each read
//! from exactly the frames that its region plays there.

use super::waves::Grid;
use crate::peaks::{Column, PeakStore, Quality, Span};
use crate::session::{Region, Take};

/// Columns below which a region is short: it may share a column with others.
const SHORT_COLUMNS: f64 = 8.0;

/// Parts of a column to which the frames of a region are read exactly. Finer reading would not be visible, and would
/// load much of each take from the disk.
const PARTS: f64 = 4.0;

/// The sound of all regions in a column.
#[derive(Clone, Copy)]
pub(super) struct ShortColumn {
    sides: [Column; 2],
    /// 1 or 2. 0 if no region is there.
    channels: u8,
    /// Whether one of the regions is not muted.
    pub(super) audible: bool,
}

impl ShortColumn {
    const EMPTY: ShortColumn = ShortColumn { sides: [Column::EMPTY; 2], channels: 0, audible: false };

    /// The columns of the channels.
    pub(super) fn sides(&self) -> &[Column] {
        &self.sides[..usize::from(self.channels)]
    }
}

/// The columns of the short regions of one track.
#[derive(Default)]
pub(super) struct ShortRegions {
    columns: Vec<ShortColumn>,
    /// The first column with a region, and the one behind the last.
    used: (usize, usize),
}

impl ShortRegions {
    pub(super) fn is_short(region: &Region, frames_per_column: f64) -> bool {
        (region.length.0 as f64) < SHORT_COLUMNS * frames_per_column
    }

    /// Removes all regions. There are `width` columns.
    pub(super) fn clear(&mut self, width: usize) {
        if self.columns.len() == width {
            let (from, to) = self.used;
            self.columns[from.min(to)..to].fill(ShortColumn::EMPTY);
        } else {
            self.columns.clear();
            self.columns.resize(width, ShortColumn::EMPTY);
        }
        self.used = (width, 0);
    }

    /// Adds a region. Returns the lowest quality of its columns.
    pub(super) fn add(&mut self, region: &Region, take: &Take, grid: &Grid, peaks: &mut PeakStore) -> Quality {
        let per = grid.frames_per_column;
        let (start, end) = (region.start.0 as f64, region.end().0 as f64);
        let first = (start / per - grid.first).floor().max(0.0);
        let last = (end / per - grid.first).ceil().min(self.columns.len() as f64);
        if last <= first {
            return Quality::Exact;
        }
        let mut columns = [Column::EMPTY; SHORT_COLUMNS as usize + 2];
        let used = first as usize..(last as usize).min(first as usize + columns.len());
        let columns = &mut columns[..used.len()];
        let first_frame = region.take_start.0 as f64;
        let span = Span {
            from: (grid.first + first) * per - start + first_frame,
            frames_per_column: per,
            detail: per / PARTS,
            within: (first_frame, first_frame + region.length.0 as f64),
        };
        let mut quality = Quality::Exact;
        let channels = take.channels.clamp(1, 2) as usize;
        for channel in 0..channels {
            let own = peaks.span_columns(take.uuid, channel, &span, columns);
            quality = if own == Quality::Exact { quality } else { own };
            for (slot, column) in self.columns[used.clone()].iter_mut().zip(&*columns) {
                slot.add(channel, channels, *column);
                slot.audible |= !region.muted;
            }
        }
        self.used = (self.used.0.min(used.start), self.used.1.max(used.end));
        quality
    }

    /// The columns with sound, in order.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, &ShortColumn)> {
        let (from, to) = self.used;
        (from..to).map(|x| (x, &self.columns[x])).filter(|(_, column)| column.channels > 0)
    }
}

impl ShortColumn {
    /// Adds a channel of a region. A mono region beside a stereo one is in both channels.
    fn add(&mut self, channel: usize, channels: usize, column: Column) {
        if self.channels == 1 && channels == 2 && channel == 0 {
            self.sides[1] = self.sides[0];
        }
        self.channels = self.channels.max(channels as u8);
        let all = if channels == 1 { 0..usize::from(self.channels) } else { channel..channel + 1 };
        for side in &mut self.sides[all] {
            side.min = side.min.min(column.min);
            side.max = side.max.max(column.max);
        }
    }
}
