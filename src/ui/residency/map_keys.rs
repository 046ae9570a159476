//! The keys of the residency map: arrows move the pinned page from cell to cell, Page Up and Page Down from one cell with page
//! faults to another, and Enter pins or closes the card. Thread: ui.

use super::{ResidencyState, fault_marks};
use crate::residency::faults::SeenFault;
use crate::residency::sample::{RowKey, Sample};
use egui::{EventFilter, Key, PointerButton, Response, Ui};

/// The index of a row, and that of a cell in it.
type Place = (usize, usize);

/// Moves the pinned page by the keys that were pressed, if the map has the focus. A request for the next page fault gives it
/// the focus.
pub(super) fn steer(ui: &Ui, response: &Response, state: &mut ResidencyState, sample: &Sample) {
    let asks = std::mem::take(&mut state.asks_for_fault);
    if asks {
        response.request_focus();
        // In a low window the map can be out of sight.
        response.scroll_to_me(None);
    } else if !response.has_focus() {
        return;
    }
    let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    let [left, right, up, down, before, after] = ui.input(|input| {
        [Key::ArrowLeft, Key::ArrowRight, Key::ArrowUp, Key::ArrowDown, Key::PageUp, Key::PageDown]
            .map(|key| input.num_presses(key))
    });
    let enters = response.clicked() && !response.clicked_by(PointerButton::Primary);
    let at = state.pinned.and_then(|(key, byte)| place_of(sample, &key, byte));
    let moved = (right as i64 - left as i64, down as i64 - up as i64);
    let to = if asks && state.pinned.is_none() {
        // A live map moves: the latest fault is the one that stays in it for the longest time.
        latest_fault(&state.faults, sample)
    } else if asks || 0 < after {
        next_marked(&marked(&state.faults, sample), at, true)
    } else if 0 < before {
        next_marked(&marked(&state.faults, sample), at, false)
    } else if enters && state.pinned.is_some() {
        state.pinned = None;
        None
    } else if enters {
        latest_fault(&state.faults, sample).or_else(|| head(sample))
    } else if moved == (0, 0) {
        None
    } else {
        at.map_or_else(|| head(sample), |at| Some(beside(sample, at, moved)))
    };
    if let Some(page) = to.and_then(|to| page_in(&state.faults, sample, to)) {
        state.pinned = Some(page);
    }
}

/// The cell that contains a byte of a row, or the nearest one if the byte has left the map.
fn place_of(sample: &Sample, key: &RowKey, byte: u64) -> Option<Place> {
    let index = sample.rows.iter().position(|row| row.key == *key)?;
    let row = sample.rows.get(index)?;
    let cell = byte.saturating_sub(row.first_byte) / row.bytes_per_cell.max(1);
    Some((index, (cell as usize).min(row.cells.len().checked_sub(1)?)))
}

/// The cell of the record or play position in the first row.
fn head(sample: &Sample) -> Option<Place> {
    let row = sample.rows.first()?;
    place_of(sample, &row.key, row.head_byte)
}

/// The cell that is `right` cells to the right of another one and `down` rows below it, within the map.
fn beside(sample: &Sample, (row, cell): Place, (right, down): (i64, i64)) -> Place {
    let within =
        |at: usize, by: i64, number: usize| at.saturating_add_signed(by as isize).min(number.saturating_sub(1));
    let row = within(row, down, sample.rows.len());
    (row, within(cell, right, sample.rows.get(row).map_or(0, |row| row.cells.len())))
}

/// The cells with page faults, row by row.
fn marked(faults: &[SeenFault], sample: &Sample) -> Vec<Place> {
    let cells =
        |(index, row)| fault_marks::cells(faults, row, sample).into_iter().map(move |cell| (index, cell as usize));
    sample.rows.iter().enumerate().flat_map(cells).collect()
}

/// The cell with page faults after the cell `at`, or before it. Behind the last one comes the first one.
fn next_marked(marked: &[Place], at: Option<Place>, is_after: bool) -> Option<Place> {
    let found = match (at, is_after) {
        (Some(at), true) => marked.iter().find(|place| at < **place),
        (Some(at), false) => marked.iter().rev().find(|place| **place < at),
        (None, _) => None,
    };
    let end = if is_after { marked.first() } else { marked.last() };
    found.or(end).copied()
}

/// The cell of the latest fault.
fn latest_fault(faults: &[SeenFault], sample: &Sample) -> Option<Place> {
    let of_row =
        |(index, row)| fault_marks::of_row(faults, row, sample).map(move |(byte, seen)| (seen.number, index, byte));
    let mut all: Vec<(u64, usize, u64)> = sample.rows.iter().enumerate().flat_map(of_row).collect();
    all.retain(|(_, index, byte)| sample.rows.get(*index).is_some_and(|row| row.cell_at(*byte).is_some()));
    let (_, index, byte) = all.into_iter().max()?;
    place_of(sample, &sample.rows.get(index)?.key, byte)
}

/// The page that stands for a cell: that of its latest fault, or its first one.
fn page_in(faults: &[SeenFault], sample: &Sample, (index, cell): Place) -> Option<(RowKey, u64)> {
    let row = sample.rows.get(index)?;
    let first = row.first_byte + cell as u64 * row.bytes_per_cell;
    let bytes = first..first + row.bytes_per_cell.max(1);
    let faulty = fault_marks::of_row(faults, row, sample).filter(|(byte, _)| bytes.contains(byte)).last();
    let byte = faulty.map_or(first, |(byte, _)| byte);
    Some((row.key, byte - byte % crate::limits::PAGE_BYTES as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::take::TakeKey;
    use crate::residency::faults::FaultPlace;
    use crate::residency::faults::tests::fault;
    use crate::residency::ledger::Stamp;
    use crate::residency::sample::tests::{row, sample};
    use crate::residency::state::{Cell, Kernel, PageState};
    use std::sync::Arc;
    use uuid::Uuid;

    fn key(take: u128) -> RowKey {
        RowKey::Take { uuid: Uuid::from_u128(take), key: TakeKey(take as u64) }
    }

    /// Two rows of four cells with two pages each, from page 2 of the file on.
    fn two_rows() -> Sample {
        let cells = || vec![Cell::new(PageState::Locked, Kernel::Mapped, false); 4];
        let mut sample = sample(100_000, row(key(1), 8192, 8192, cells()));
        sample.rows.push(row(key(2), 8192, 8192, cells()));
        sample
    }

    fn seen(number: u64, take: u128, byte: u64) -> SeenFault {
        let take = Uuid::from_u128(take);
        let place = FaultPlace::Capture { take, file: "/a.wav".to_owned(), page: byte / 4096, byte, locked: true };
        SeenFault { number, at: Stamp(99_000), fault: Arc::new(fault(0, place)) }
    }

    #[test]
    fn the_next_cell_with_faults_is_that_of_the_same_row_then_of_the_next_one_and_then_the_first_again() {
        let sample = two_rows();
        let faults = [seen(1, 1, 9000), seen(2, 1, 17_000), seen(3, 2, 30_000)];
        let marked = marked(&faults, &sample);
        assert_eq!(marked, [(0, 0), (0, 1), (1, 2)]);
        assert_eq!(next_marked(&marked, None, true), Some((0, 0)));
        assert_eq!(next_marked(&marked, Some((0, 0)), true), Some((0, 1)));
        assert_eq!(next_marked(&marked, Some((0, 3)), true), Some((1, 2)));
        assert_eq!(next_marked(&marked, Some((1, 2)), true), Some((0, 0)));
        assert_eq!(next_marked(&marked, Some((0, 0)), false), Some((1, 2)));
        assert_eq!(next_marked(&[], Some((0, 0)), true), None);
        assert_eq!(latest_fault(&faults, &sample), Some((1, 2)));
    }

    #[test]
    fn a_cell_with_faults_is_shown_by_the_page_of_its_latest_fault() {
        let sample = two_rows();
        let faults = [seen(1, 1, 17_000), seen(2, 1, 21_000)];
        assert_eq!(page_in(&faults, &sample, (0, 1)), Some((key(1), 20_480)));
        assert_eq!(page_in(&faults, &sample, (0, 2)), Some((key(1), 24_576)));
    }

    #[test]
    fn the_arrow_keys_stay_within_the_map() {
        let sample = two_rows();
        assert_eq!(beside(&sample, (0, 0), (-1, -1)), (0, 0));
        assert_eq!(beside(&sample, (0, 3), (1, 1)), (1, 3));
        assert_eq!(place_of(&sample, &key(2), 0), Some((1, 0)), "a page that has left the map at the left");
        assert_eq!(place_of(&sample, &key(2), 1 << 30), Some((1, 3)));
        assert_eq!(place_of(&sample, &key(3), 9000), None);
    }
}
