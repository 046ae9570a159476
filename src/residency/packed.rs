//! A residency sample in little memory, for the history of a minute: the cells of a row as runs, and what stays the same from
//! sample to sample only once. Thread: any.

use super::pool::Slots;
use super::sample::{Row, Sample};
use super::state::Cell;
use std::sync::Arc;

/// A sample. [`PackedSample::unpack`] gives it back as it was.
#[derive(Debug)]
pub(super) struct PackedSample {
    /// The sample without its rows.
    rest: Sample,
    rows: Box<[PackedRow]>,
}

#[derive(Debug)]
struct PackedRow {
    /// The parts that seldom change. The other numbers of this row are 0, and it has no cells.
    head: Arc<Row>,
    first_byte: u64,
    head_byte: u64,
    lead_byte: u64,
    slots: Option<Box<Slots>>,
    runs: Box<[Run]>,
}

/// Equal cells that follow each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    cell: Cell,
    count: u16,
}

impl PackedSample {
    /// Packs a sample. `before` is the one before it.
    pub(super) fn new(sample: &Sample, before: Option<&PackedSample>) -> PackedSample {
        let heads = before.map_or(&[][..], |before| &before.rows);
        let rows = sample.rows.iter().enumerate().map(|(at, row)| PackedRow::new(row, heads.get(at))).collect();
        let Sample { at, took_us, view, position, rows: _, figures } = *sample;
        PackedSample { rest: Sample { at, took_us, view, position, rows: Vec::new(), figures }, rows }
    }

    /// Makes the sample again.
    pub(super) fn unpack(&self) -> Sample {
        Sample { rows: self.rows.iter().map(PackedRow::unpack).collect(), ..self.rest.clone() }
    }

    /// When it was taken.
    pub(super) fn at(&self) -> super::ledger::Stamp {
        self.rest.at
    }

    /// Bytes of memory, without the parts that samples share.
    pub(super) fn bytes(&self) -> usize {
        let slots =
            |row: &PackedRow| row.slots.as_ref().map_or(0, |slots| size_of_val(&**slots) + size_of_val(&*slots.parts));
        let rows = self.rows.iter().map(|row| size_of_val(row) + size_of_val(&*row.runs) + slots(row));
        size_of_val(self) + rows.sum::<usize>()
    }
}

impl PackedRow {
    fn new(row: &Row, before: Option<&PackedRow>) -> PackedRow {
        let head = before.map(|before| &before.head).filter(|head| has_head(row, head));
        let head = head.map_or_else(|| Arc::new(head_of(row)), Arc::clone);
        let mut runs: Vec<Run> = Vec::new();
        for cell in &row.cells {
            match runs.last_mut() {
                Some(run) if run.cell == *cell && run.count < u16::MAX => run.count += 1,
                _ => runs.push(Run { cell: *cell, count: 1 }),
            }
        }
        let Row { first_byte, head_byte, lead_byte, .. } = *row;
        let slots = row.slots.clone().map(Box::new);
        PackedRow { head, first_byte, head_byte, lead_byte, slots, runs: runs.into_boxed_slice() }
    }

    fn unpack(&self) -> Row {
        let PackedRow { head, first_byte, head_byte, lead_byte, slots, runs } = self;
        let cells = runs.iter().flat_map(|run| std::iter::repeat_n(run.cell, usize::from(run.count))).collect();
        let slots = slots.as_deref().cloned();
        Row { first_byte: *first_byte, head_byte: *head_byte, lead_byte: *lead_byte, cells, slots, ..Row::clone(head) }
    }
}

fn head_of(row: &Row) -> Row {
    Row {
        first_byte: 0,
        head_byte: 0,
        lead_byte: 0,
        cells: Vec::new(),
        slots: None,
        key: row.key,
        path: Arc::clone(&row.path),
        ..*row
    }
}

/// Whether `head` is the head of `row`.
fn has_head(row: &Row, head: &Row) -> bool {
    let of = |row: &Row| (row.key, row.rate, row.frame_bytes, row.data_offset, row.start, row.head, row.bytes_per_cell);
    of(row) == of(head) && (Arc::ptr_eq(&row.path, &head.path) || row.path == head.path)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Stamp;
    use super::super::sample::{Pages, RowKey, SampleFigures, View};
    use super::super::state::{Kernel, PageState};
    use super::*;
    use crate::time::{FramePos, Frames};

    fn sample(at: u64) -> Sample {
        let row = |slot: usize| Row {
            key: RowKey::Slot(slot),
            path: Arc::new(format!("/music/{slot}.wav").into()),
            rate: 48_000,
            frame_bytes: 3,
            data_offset: 4096,
            start: FramePos(7),
            head: Frames(0),
            first_byte: 4096 * at,
            bytes_per_cell: 4096,
            cells: (0..200)
                .map(|cell| {
                    Cell::new(if cell < 120 { PageState::None } else { PageState::Locked }, Kernel::Mapped, cell == 9)
                })
                .collect(),
            slots: (slot == 3).then(|| Slots { slot_bytes: 4096 * at, parts: vec![None; 5] }),
            head_byte: 4096 * at + 5,
            lead_byte: 4096 * at + 8192,
        };
        Sample {
            at: Stamp(at),
            took_us: 300,
            view: View { cells: 200, pages: Pages::WholeFile, hz: 12 },
            position: at * 4000,
            rows: (0..24).map(row).collect(),
            figures: SampleFigures { lock_limit: 5, ..SampleFigures::default() },
        }
    }

    #[test]
    fn a_sample_comes_back_as_it_was_and_takes_a_third_of_the_memory_of_its_cells() {
        let (first, second) = (sample(1), sample(2));
        let packed = PackedSample::new(&first, None);
        let next = PackedSample::new(&second, Some(&packed));
        for (packed, sample) in [(&packed, &first), (&next, &second)] {
            assert_eq!(format!("{:?}", packed.unpack()), format!("{sample:?}"));
            assert_eq!(packed.at(), sample.at);
        }
        assert!(next.rows.iter().zip(&packed.rows).all(|(next, packed)| Arc::ptr_eq(&next.head, &packed.head)));
        assert!(next.bytes() < 24 * 200 / 2, "{}", next.bytes());
        let other = Sample { rows: second.rows.into_iter().rev().collect(), ..sample(3) };
        let changed = PackedSample::new(&other, Some(&next));
        assert_eq!(
            format!("{:?}", changed.unpack()),
            format!("{other:?}"),
            "rows that change their place have heads of their own"
        );
    }
}
