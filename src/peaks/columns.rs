//! Computes the columns of a waveform on the screen from its levels. Thread: any that draws. Pure.

use super::block::{SCALES, Scale};
use super::entry::Extent;
use super::pyramid::{LEVELS, Pyramid, REDUCED_FROM, level_frames};

/// The lowest and highest sample in one column of the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// -1.0 to `max`. Above `max` if the column is empty.
    pub min: f32,
    /// `min` to 1.0. Below `min` if the column is empty.
    pub max: f32,
}

impl Column {
    /// A column before the start or behind the end of the sound.
    pub const EMPTY: Column = Column { min: f32::INFINITY, max: f32::NEG_INFINITY };

    /// Whether there is nothing to draw.
    pub fn is_empty(self) -> bool {
        self.max < self.min
    }

    /// Whether a sample is at full scale, or above it in a float take.
    pub fn is_clipped(self) -> bool {
        !self.is_empty() && (1.0 <= self.max || self.min <= -1.0)
    }
}

impl From<Extent> for Column {
    fn from(extent: Extent) -> Column {
        Column { min: extent.min, max: extent.max }
    }
}

/// The frames that columns show.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The frame at the left edge of the first column. It has a fraction if the columns are aligned to something else
    /// than the take.
    pub from: f64,
    /// The width of a column in frames.
    pub frames_per_column: f64,
    /// The widest entries in frames from which columns are made: the width of a column, or less.
    pub detail: f64,
    /// The first frame that counts, and the one behind the last. Columns outside are empty.
    pub within: (f64, f64),
}

impl Span {
    /// Columns of all frames of a take.
    pub fn new(from: f64, frames_per_column: f64) -> Span {
        let within = (f64::NEG_INFINITY, f64::INFINITY);
        Span { from, frames_per_column, detail: frames_per_column, within }
    }
}

/// Access to the levels that are loaded in blocks.
pub(super) trait FinerLevels {
    /// Lowest and highest value of the entries `first..end` of `scale`; the range has at least one. None if they are
    /// not in memory.
    fn fold(&mut self, scale: Scale, first: u64, end: u64) -> Option<Extent>;
}

/// Fills `out` with the columns of `span`.
///
/// Columns are made from the coarsest level whose entries are not wider than the detail, or from the next coarser
/// level that is in memory. Each entry belongs to one column, the one in which it starts. A column in which no entry starts
/// shows the entry that contains it. Returns whether every column came from the level that fits.
pub(super) fn draw(
    pyramid: &Pyramid,
    channel: usize,
    span: &Span,
    out: &mut [Column],
    finer: &mut impl FinerLevels,
) -> bool {
    let Span { from, frames_per_column, detail, within } = *span;
    let frames = pyramid.frames();
    // A take that has just begun has no frame yet, and its first column may begin before it.
    let nothing = frames == 0 || channel >= pyramid.channels();
    if nothing || !from.is_finite() || !frames_per_column.is_finite() || frames_per_column <= 0.0 {
        out.fill(Column::EMPTY);
        return true;
    }
    let finest = SCALES.iter().rposition(|scale| scale.frames() as f64 <= detail).unwrap_or(0);
    let level = (0..LEVELS).rposition(|level| level_frames(level) as f64 <= detail).unwrap_or(0);
    let mut exact = true;
    for (at, column) in out.iter_mut().enumerate() {
        let span = (from + at as f64 * frames_per_column, from + (at + 1) as f64 * frames_per_column);
        let span = (span.0.max(within.0), span.1.min(within.1));
        if span.1 <= 0.0 || frames as f64 <= span.0 || span.1 <= span.0 {
            *column = Column::EMPTY;
            continue;
        }
        let mut found = None;
        if level < REDUCED_FROM {
            for scale in &SCALES[finest..] {
                let (first, end) = entries(span, scale.frames(), frames);
                found = finer.fold(*scale, first, end);
                if found.is_some() {
                    break;
                }
                exact = false;
            }
        }
        *column = Column::from(found.unwrap_or_else(|| {
            let level = level.max(pyramid.finest());
            let (first, end) = entries(span, level_frames(level), frames);
            pyramid.fold(channel, level, first, end).extent()
        }));
    }
    exact
}

/// The entries of `per` frames that start between `from` and `to`, in a take of `frames` frames. If no entry starts
/// there, the entry that contains `from`. The caller ensures that `from` is before the end of the take and `to` behind
/// its start.
fn entries((from, to): (f64, f64), per: u64, frames: u64) -> (u64, u64) {
    let count = frames.div_ceil(per);
    let first = (from.max(0.0) / per as f64).ceil() as u64;
    let end = ((to / per as f64).ceil() as u64).min(count);
    if first < end {
        return (first, end);
    }
    let containing = ((from.max(0.0) / per as f64) as u64).min(count - 1);
    (containing, containing + 1)
}

/// The finer levels that the pyramid itself holds: its levels, and base blocks of a take that is being recorded.
pub(super) struct ResidentBlocks<'a> {
    pub(super) pyramid: &'a Pyramid,
    pub(super) channel: usize,
}

impl FinerLevels for ResidentBlocks<'_> {
    fn fold(&mut self, scale: Scale, first: u64, end: u64) -> Option<Extent> {
        if let Some(level) = scale.level() {
            return (self.pyramid.finest() <= level)
                .then(|| self.pyramid.fold(self.channel, level, first, end).extent());
        }
        if scale != Scale::Base {
            return None;
        }
        fold_blocks(scale, first, end, |index, first, end| {
            let block = self.pyramid.resident(index)?;
            (end <= block.len()).then(|| block.fold(self.channel, first, end))
        })
    }
}

/// Merges the entries `first..end`, block by block. `fold` gets the index of a block and a range of entries in it.
pub(super) fn fold_blocks(
    scale: Scale,
    first: u64,
    end: u64,
    mut fold: impl FnMut(u64, usize, usize) -> Option<Extent>,
) -> Option<Extent> {
    let size = scale.block_entries() as u64;
    let mut all = Extent::NONE;
    let mut at = first;
    while at < end {
        let (index, from) = (at / size, at % size);
        let to = (from + end - at).min(size);
        all.merge(fold(index, from as usize, to as usize)?);
        at += to - from;
    }
    Some(all)
}

impl Pyramid {
    /// Fills `out` with columns of `frames_per_column` frames of `channel`, the first from frame `from_frame` on. Uses
    /// only the levels in memory, and entries of 256 frames while the take is growing. Columns outside the sound are
    /// [`Column::EMPTY`]. Returns false if a finer level would look different.
    pub fn columns(&self, channel: usize, from_frame: f64, frames_per_column: f64, out: &mut [Column]) -> bool {
        let mut blocks = ResidentBlocks { pyramid: self, channel };
        draw(self, channel, &Span::new(from_frame, frames_per_column), out, &mut blocks)
    }
}
