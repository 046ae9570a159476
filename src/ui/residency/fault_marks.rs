//! Page faults in the residency map: a mark on the cell of each, and its story beside that of the page. Thread: ui.

use crate::limits::{PAGE_BYTES, RESIDENCY_HISTORY_MS};
use crate::residency::faults::{FaultCause, FaultKind, SeenFault};
use crate::residency::sample::{Row, Sample};
use crate::ui::format::grouped;
use std::ops::Range;

/// The faults of a row as of a sample, each with its byte.
pub(super) fn of_row<'a>(
    faults: &'a [SeenFault],
    row: &'a Row,
    sample: &'a Sample,
) -> impl Iterator<Item = (u64, &'a SeenFault)> {
    let is_shown = |fault: &&SeenFault| {
        fault.at <= sample.at && fault.at.age_ms(sample.at).is_some_and(|age| age <= RESIDENCY_HISTORY_MS)
    };
    faults.iter().filter(is_shown).filter_map(|fault| Some((row.byte_of(&fault.fault)?, fault)))
}

/// The cells of a row that have faults, in order.
pub(super) fn cells(faults: &[SeenFault], row: &Row, sample: &Sample) -> Vec<u64> {
    let cell = |byte: u64| byte.checked_sub(row.first_byte).map(|offset| offset / row.bytes_per_cell.max(1));
    let mut cells: Vec<u64> = of_row(faults, row, sample).filter_map(|(byte, _)| cell(byte)).collect();
    cells.retain(|cell| *cell < row.cells.len() as u64);
    cells.sort_unstable();
    cells.dedup();
    cells
}

/// The bytes of the cell that contains `byte`. A page that has left the map at the left has a cell there too.
fn cell_of(row: &Row, byte: u64) -> Range<u64> {
    let size = row.bytes_per_cell.max(1);
    let first = match byte.checked_sub(row.first_byte) {
        Some(offset) => row.first_byte + offset / size * size,
        None => row.first_byte.saturating_sub((row.first_byte - byte).div_ceil(size) * size),
    };
    first..first + size
}

/// The last `most` faults of the cell that contains `byte`, three lines for each: when and how, where, and by which code. The
/// first line says how many there are.
pub(super) fn story(faults: &[SeenFault], row: &Row, byte: u64, sample: &Sample, most: usize) -> Vec<String> {
    let cell = cell_of(row, byte);
    let found: Vec<_> = of_row(faults, row, sample).filter(|(byte, _)| cell.contains(byte)).collect();
    let mut lines = Vec::new();
    if found.is_empty() {
        return lines;
    }
    let number = if found.len() == 1 { "1 page fault".to_owned() } else { format!("{} page faults", found.len()) };
    lines.push(format!("{number} of the audio thread here"));
    for (byte, seen) in found.iter().rev().take(most) {
        let fault = &seen.fault;
        let ago = seen.at.age_ms(sample.at).unwrap_or(0) as f64 / 1000.0;
        let cost = fault.cost_us.map_or_else(|| "cost not known".to_owned(), |us| format!("{us:.1} µs"));
        // Kernel traces have the seconds of the monotonic clock.
        let (seconds, micros) = (fault.at_ns / 1_000_000_000, fault.at_ns / 1000 % 1_000_000);
        lines.push(format!("{ago:.1} s ago, {}, {cost} (monotonic {seconds}.{micros:06})", kind(fault.kind)));
        let page = grouped(byte / PAGE_BYTES as u64);
        let (byte, address, cause) = (grouped(*byte), fault.address, cause(fault.cause));
        lines.push(format!("page {page}, byte {byte} at {address:#x}: {cause}"));
        let by = if fault.in_kernel { "in a system call of" } else { "by" };
        lines.push(format!("{by} {}, instruction {:#x}", fault.code, fault.instruction));
    }
    lines
}

fn kind(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Minor => "minor: no disk",
        FaultKind::Major => "major: it waited for the disk or for a locked page",
        FaultKind::Refused => "there was no page",
    }
}

fn cause(cause: FaultCause) -> &'static str {
    match cause {
        FaultCause::NotPresent => "not in the page table",
        FaultCause::WriteProtected => "write-protected (inferred)",
        FaultCause::NotPresentOrCopied => "not in the page table, or copied on write",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::take::TakeKey;
    use crate::residency::faults::tests::fault;
    use crate::residency::faults::{Fault, FaultPlace};
    use crate::residency::ledger::Stamp;
    use crate::residency::sample::RowKey;
    use crate::residency::sample::tests::{row, sample};
    use crate::residency::state::{Cell, Kernel, PageState};
    use std::sync::Arc;
    use uuid::Uuid;

    const TAKE: Uuid = Uuid::from_u128(7);

    fn seen(number: u64, at: u64, place: FaultPlace) -> SeenFault {
        let fault = Fault {
            at_ns: at * 1_000_000 + 7000,
            address: 0x7f00_0000_1000,
            instruction: 0x5500,
            code: "engine::convert (tile.rs:80)".to_owned(),
            ..fault(0, place)
        };
        SeenFault { number, at: Stamp(at), fault: Arc::new(fault) }
    }

    fn in_take(number: u64, at: u64, take: Uuid, byte: u64) -> SeenFault {
        let place = FaultPlace::Capture { take, file: "/a.wav".to_owned(), page: byte / 4096, byte, locked: true };
        seen(number, at, place)
    }

    #[test]
    fn a_cell_with_faults_is_marked_and_tells_them_the_latest_first() {
        let locked = vec![Cell::new(PageState::Locked, Kernel::Mapped, false); 4];
        let row = row(RowKey::Take { uuid: TAKE, key: TakeKey(1) }, 8192, 8192, locked);
        let sample = sample(100_000, row.clone());
        let faults = [
            in_take(1, 30_000, TAKE, 17_000),
            in_take(2, 90_000, TAKE, 17_000),
            in_take(3, 99_000, TAKE, 21_000),
            in_take(4, 99_500, TAKE, 90_000),
            in_take(5, 99_500, Uuid::nil(), 17_000),
            seen(6, 99_500, FaultPlace::Heap),
            in_take(7, 100_500, TAKE, 9000),
        ];
        assert_eq!(cells(&faults, &row, &sample), [1], "not what is old, elsewhere, or later than the sample");
        let story = story(&faults, &row, 16_384, &sample, 5);
        assert_eq!(
            story,
            [
                "2 page faults of the audio thread here",
                "1.0 s ago, minor: no disk, 3.5 µs (monotonic 99.000007)",
                "page 5, byte 21\u{a0}000 at 0x7f0000001000: write-protected (inferred)",
                "by engine::convert (tile.rs:80), instruction 0x5500",
                "10.0 s ago, minor: no disk, 3.5 µs (monotonic 90.000007)",
                "page 4, byte 17\u{a0}000 at 0x7f0000001000: write-protected (inferred)",
                "by engine::convert (tile.rs:80), instruction 0x5500",
            ]
        );
        assert!(super::story(&faults, &row, 8192, &sample, 5).is_empty());
    }

    /// The card of a page showed the faults of the leftmost cell when the page had left the map.
    #[test]
    fn a_pinned_page_that_has_left_the_map_keeps_its_own_faults() {
        let locked = vec![Cell::new(PageState::Locked, Kernel::Mapped, false); 4];
        let row = row(RowKey::Take { uuid: TAKE, key: TakeKey(1) }, 81_920, 8192, locked);
        let sample = sample(100_000, row.clone());
        let faults = [in_take(1, 90_000, TAKE, 17_000), in_take(2, 99_000, TAKE, 83_000)];
        let own = story(&faults, &row, 16_384, &sample, 5);
        assert!(own[0].starts_with("1 page fault") && own[2].starts_with("page 4, "), "{own:?}");
        assert!(story(&faults, &row, 8192, &sample, 5).is_empty());
        assert_eq!(cell_of(&row, 81_919), 73_728..81_920);
    }
}
