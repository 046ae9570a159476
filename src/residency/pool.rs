//! The pool of slots of a take's spool: which part of the take each slot holds, and the state of its pages. Thread: watcher;
//! a front end reads it. Pure.
//!
//! A row of the pool shows the spool file in the order of its slots, so that recycling can be seen: a slot is ready, is filled,
//! waits for the disk, is free, and is ready again for a later part of the take.

use super::ledger::TakeView;
use super::state::{ByteRange, Facts, Kernel, PageState, TakeContext, UnconfirmedCell, span_at, take_believed};
use crate::limits::PAGE_BYTES;
use crate::message::spool_file::SpoolFile;
use serde::{Deserialize, Serialize};

/// The part of a take that a slot holds. Offsets are those of the take's WAV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPart {
    /// Offset of the first byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// The slots of a spool, in the order of the file. A byte of the pool is a byte of the slots put side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// Bytes of a slot; whole pages.
    pub slot_bytes: u64,
    /// The part that each slot holds; `None`: the slot is free.
    pub parts: Vec<Option<HeldPart>>,
}

impl Slots {
    /// The slots that a spool has used so far, at most `most`.
    pub fn of(spool: &SpoolFile, most: usize) -> Slots {
        let mut parts = vec![None; (spool.slots_made() as usize).min(most)];
        for part in spool.listed_all() {
            if let Some(held) = parts.get_mut(part.slot as usize) {
                *held = Some(HeldPart { offset: part.offset, bytes: part.bytes });
            }
        }
        Slots { slot_bytes: spool.shape.slot_bytes() as u64, parts }
    }

    /// Bytes of a cell of a row that has at most `most` cells: a whole number of cells in each slot, and whole pages.
    pub fn bytes_per_cell(&self, most: usize) -> u64 {
        let pages = (self.slot_bytes / PAGE_BYTES as u64).max(1);
        let in_slot = (most / self.parts.len().max(1)).max(1) as u64;
        let fitting = (1..=pages).find(|cell| pages.is_multiple_of(*cell) && pages / cell <= in_slot);
        fitting.unwrap_or(pages) * PAGE_BYTES as u64
    }

    /// The slot that contains byte `byte` of the pool.
    pub fn slot_at(&self, byte: u64) -> usize {
        (byte / self.slot_bytes.max(1)) as usize
    }

    /// The byte of the take that lies at byte `byte` of the pool; `None`: that byte of the slot holds nothing of the take.
    pub fn take_byte(&self, byte: u64) -> Option<u64> {
        let part = (*self.parts.get(self.slot_at(byte))?)?;
        let skip = byte % self.slot_bytes;
        (skip < part.bytes).then_some(part.offset + skip)
    }

    /// The byte of the pool that holds byte `byte` of the take.
    pub fn pool_byte(&self, byte: u64) -> Option<u64> {
        let holds =
            |part: &Option<HeldPart>| part.is_some_and(|part| (part.offset..part.offset + part.bytes).contains(&byte));
        let slot = self.parts.iter().position(holds)?;
        let part = self.parts[slot]?;
        Some(slot as u64 * self.slot_bytes + (byte - part.offset))
    }

    /// The range of the take that the slots hold, with what lies between their parts.
    pub fn held(&self) -> (u64, u64) {
        let parts = || self.parts.iter().flatten();
        let end = parts().map(|part| part.offset + part.bytes).max().unwrap_or(0);
        (parts().map(|part| part.offset).min().unwrap_or(0), end)
    }

    /// Number of free slots.
    pub fn free(&self) -> usize {
        self.parts.iter().filter(|part| part.is_none()).count()
    }

    /// The address of a byte of the pool in a window that is out, and the bytes of that window from there on in its slot.
    pub fn address(&self, view: &TakeView, byte: u64) -> Option<(usize, u64)> {
        let at = self.take_byte(byte)?;
        let span = span_at(&view.spans, at).filter(|span| span.is_out())?;
        let in_slot = self.slot_bytes - byte % self.slot_bytes;
        Some((span.address + (at - span.offset) as usize, in_slot.min(span.end() - at)))
    }
}

/// The cell for a range of the pool. The page cache always has the memory of a spool, and never counts it as dirty: the
/// kernel does not write memory back. So the state of the sound comes from the ledger alone.
pub fn pool_cell(take: &TakeContext, slots: &Slots, range: ByteRange, facts: &Facts) -> UnconfirmedCell {
    let believed = match slots.take_byte(range.from) {
        Some(byte) => take_believed(take, ByteRange { from: byte, ..range }),
        None if slots.parts.get(slots.slot_at(range.from)).is_some_and(Option::is_none) => PageState::Free,
        None => PageState::None,
    };
    let kernel = match facts {
        Facts { asked, present, .. } if 0 < *asked && present < asked => Kernel::Absent,
        Facts { asked, .. } if 0 < *asked => facts.whole(),
        Facts { cache: None, .. } => Kernel::Unknown,
        Facts { cache: Some(stat), .. } if stat.cached > 0 => Kernel::Cached,
        Facts { cache: Some(stat), .. } if stat.evicted > 0 => Kernel::Swapped,
        Facts { cache: Some(_), .. } => Kernel::Absent,
    };
    let suspicious =
        kernel == Kernel::Absent && matches!(believed, PageState::Locked | PageState::Resident | PageState::Recorded);
    UnconfirmedCell { believed, kernel, suspicious }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::ledger::{Actor, LedgerSpan, Marks, Stamp};
    use crate::window::kernel_pages::CacheStat;

    const PAGE: u64 = PAGE_BYTES as u64;

    /// Slots of four pages: one that waits for the disk, a free one, one that is being filled with three pages.
    fn slots() -> Slots {
        let held = |offset, bytes| Some(HeldPart { offset, bytes });
        Slots { slot_bytes: 4 * PAGE, parts: vec![held(PAGE, 4 * PAGE), None, held(5 * PAGE, 3 * PAGE)] }
    }

    #[test]
    fn a_byte_of_the_pool_and_a_byte_of_the_take_are_found_by_each_other() {
        let slots = slots();
        assert_eq!(slots.take_byte(9 * PAGE + 7), Some(6 * PAGE + 7));
        assert_eq!(slots.pool_byte(6 * PAGE + 7), Some(9 * PAGE + 7));
        assert_eq!(
            (slots.take_byte(4 * PAGE), slots.take_byte(11 * PAGE), slots.take_byte(12 * PAGE)),
            (None, None, None)
        );
        assert_eq!((slots.pool_byte(8 * PAGE), slots.pool_byte(0)), (None, None));
        assert_eq!(slots.free(), 1);
    }

    #[test]
    fn no_cell_of_the_pool_lies_in_two_slots_and_no_row_is_longer_than_was_asked_for() {
        for pages in [1, 3, 15, 16] {
            for count in [1, 7, 40] {
                let slots = Slots { slot_bytes: pages * PAGE, parts: vec![None; count] };
                for most in [16, 40, 112, 400] {
                    let cell = slots.bytes_per_cell(most);
                    assert!(
                        cell.is_multiple_of(PAGE) && slots.slot_bytes.is_multiple_of(cell),
                        "{pages} {count} {most}"
                    );
                    let cells = slots.slot_bytes / cell * count as u64;
                    assert!(cells <= most.max(count) as u64, "{pages} {count} {most}: {cells}");
                }
            }
        }
    }

    #[test]
    fn a_slot_is_free_ready_or_holds_sound_and_its_cells_say_which() {
        let span = |offset: u64, pages: u64, is_out: bool| LedgerSpan {
            offset,
            bytes: (pages * PAGE) as u32,
            address: 0x10_000,
            locked: true,
            touched: true,
            commit_us: 0,
            supplied: Stamp(1),
            collected: if is_out { Stamp::NEVER } else { Stamp(2) },
            committed: Stamp::NEVER,
            durable: Stamp::NEVER,
        };
        let marks = Marks {
            supplied: 8 * PAGE,
            collected: 5 * PAGE,
            committed: PAGE,
            durable: PAGE,
            commit_us: 0,
            last: (Actor::Nobody, Stamp::NEVER),
        };
        let view = TakeView { spans: vec![span(PAGE, 4, false), span(5 * PAGE, 3, true)], marks, version: 1 };
        let take = TakeContext { view: &view, in_place: false, head: 6 * PAGE, now: Stamp(9) };
        let cached = Facts { cache: Some(CacheStat { cached: 1, ..CacheStat::default() }), ..Facts::default() };
        let mapped = Facts { asked: 1, present: 1, ..cached };
        let gone = Facts { asked: 1, present: 0, ..cached };
        let cell = |page: u64, facts: &Facts| {
            let cell = pool_cell(&take, &slots(), ByteRange { from: page * PAGE, bytes: PAGE }, facts);
            (cell.believed, cell.kernel, cell.suspicious)
        };
        assert_eq!(cell(0, &cached), (PageState::Recorded, Kernel::Cached, false));
        assert_eq!(cell(4, &cached), (PageState::Free, Kernel::Cached, false));
        let (_, _, suspicious) = cell(4, &Facts { cache: Some(CacheStat::default()), ..gone });
        assert!(!suspicious, "a free slot may have no memory");
        assert_eq!(cell(8, &mapped), (PageState::Recorded, Kernel::Mapped, false));
        assert_eq!(cell(9, &mapped), (PageState::Locked, Kernel::Mapped, false));
        assert_eq!(cell(9, &Facts { by_mincore: true, ..mapped }), (PageState::Locked, Kernel::Cached, false));
        assert_eq!(cell(9, &gone), (PageState::Locked, Kernel::Absent, true));
        assert_eq!(cell(11, &cached).0, PageState::None, "the part is shorter than its slot");
        assert_eq!(slots().address(&view, 9 * PAGE), Some((0x10_000 + PAGE as usize, 2 * PAGE)));
        assert_eq!(slots().address(&view, 0), None, "it came back from the audio thread");
    }
}
