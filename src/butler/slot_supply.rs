//! The slots of one take's spool file: made, wiped and handed out again, and given back when they are too many. Thread:
//! butler.
//!
//! A slot that is used again costs a wipe. A new one costs its pages: ten to twenty times as much. So a spool makes new
//! slots only at the start of a pass and while a disk is slow, and gives their memory back when it has not needed them for
//! some time. `message::spool_file` has the order of the steps.

use super::plan::{KeptSlots, PlannedSpan};
use super::spool;
use crate::limits;
use crate::message::offset::SpoolByte;
use crate::message::spool_file::{CapturedSlot, FreeSlot, SpoolFile};
use crate::window::budget::LockBudget;
use crate::window::map::{Mapping, Populate};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A slot that was not needed for so long is given back, if the take has more slots than it usually needs.
const SPARE_FOR: Duration = Duration::from_secs(5);

/// The slots of one take.
pub(super) struct SlotSupply {
    spool: Arc<SpoolFile>,
    populate: Populate,
    kept: KeptSlots,
    /// Free slots with memory. The last one is used first, because its pages are the warmest.
    ready: Vec<FreeSlot>,
    /// Free slots whose memory was given back.
    empty: Vec<FreeSlot>,
    /// Number of the first slot that was never used.
    next: u32,
    /// Locked slots without a window: free, or with sound that waits for the disk.
    locked: usize,
    /// Slots that come back, before they are sorted.
    returned: Vec<FreeSlot>,
    /// The fewest slots that were ready at once since `spare_since`: nobody needed these.
    spare: usize,
    spare_since: Instant,
    /// Slots whose memory is to be given back.
    surplus: usize,
}

impl SlotSupply {
    /// A supply that has made no slot yet.
    pub(super) fn new(spool: Arc<SpoolFile>, populate: Populate, kept: KeptSlots, now: Instant) -> SlotSupply {
        let (ready, empty, returned) = (Vec::new(), Vec::new(), Vec::new());
        let (spare, spare_since, surplus) = (0, now, 0);
        SlotSupply { spool, populate, kept, ready, empty, next: 0, locked: 0, returned, spare, spare_since, surplus }
    }

    /// The memory of a window for `span`, and the number of its slot. The memory reads as silence, and the index lists it.
    pub(super) fn make(&mut self, span: &PlannedSpan, budget: &Arc<LockBudget>) -> io::Result<(u32, Mapping)> {
        let unused = || FreeSlot { number: self.next, map: None };
        let mut slot = self.ready.pop().or_else(|| self.empty.pop()).unwrap_or_else(unused);
        if limits::SPOOL_SLOTS_MAX <= slot.number {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.next = self.next.max(slot.number + 1);
        self.spare = self.spare.min(self.ready.len());
        let was_locked = slot.map.as_ref().is_some_and(Mapping::is_locked);
        let number = slot.number;
        match self.wipe(&mut slot).and_then(|()| self.spool.list(number, span.offset, span.bytes)) {
            Ok(()) => {}
            Err(error) => {
                self.add_free(slot);
                return Err(error);
            }
        }
        let mut map = slot.map.ok_or(io::ErrorKind::NotFound)?;
        self.locked -= usize::from(was_locked);
        map.lock(budget);
        Ok((number, map))
    }

    /// Makes the memory of a free slot silence.
    fn wipe(&self, slot: &mut FreeSlot) -> io::Result<()> {
        if let Some(map) = &mut slot.map {
            map.wipe();
            return Ok(());
        }
        if self.populate == Populate::Touch {
            spool::reserve(&self.spool, slot.number)?;
        }
        let (at, bytes) = (self.spool.shape.slot_at(slot.number), self.spool.shape.slot_bytes());
        let mut map = Mapping::writable(&self.spool.file, at, bytes)?;
        map.populate(self.populate)?;
        slot.map = Some(map);
        Ok(())
    }

    /// The slot of a window that came back with the sound from `offset` on. `unmap`: too many slots are mapped.
    pub(super) fn captured(&mut self, number: u32, offset: SpoolByte, mut map: Mapping, unmap: bool) -> CapturedSlot {
        if map.is_locked() && (unmap || self.kept.locked <= self.locked) {
            map.unlock();
        }
        self.locked += usize::from(map.is_locked());
        CapturedSlot::new(&self.spool, number, offset, (!unmap).then_some(map))
    }

    /// The slot of a window that did not come back.
    pub(super) fn not_returned(&self, number: u32, offset: SpoolByte) -> CapturedSlot {
        CapturedSlot::new(&self.spool, number, offset, None)
    }

    /// Takes back the slots that are free, and gives back the memory of at most `most` slots that are too many. Reduces
    /// `most` by their number. `is_short`: other takes need memory, so spare slots are too many at once.
    pub(super) fn collect_free(&mut self, now: Instant, is_short: bool, most: &mut usize) {
        let in_use = self.spool.take_returned(&mut self.returned);
        for slot in std::mem::take(&mut self.returned) {
            self.add_free(slot);
        }
        let too_many = (in_use + self.ready.len()).saturating_sub(self.kept.slots).min(self.ready.len());
        if is_short {
            self.surplus = too_many;
        } else if SPARE_FOR <= now.saturating_duration_since(self.spare_since) {
            self.surplus = too_many.min(self.spare);
            (self.spare, self.spare_since) = (self.ready.len(), now);
        }
        self.surplus = self.surplus.min(too_many);
        while self.surplus > 0 && *most > 0 {
            // The first one was not used for the longest time.
            let slot = self.ready.swap_remove(0);
            (self.surplus, *most) = (self.surplus - 1, *most - 1);
            self.spare = self.spare.min(self.ready.len());
            self.locked -= usize::from(slot.map.as_ref().is_some_and(Mapping::is_locked));
            // A slot whose memory stays is not used again.
            self.empty.extend(self.spool.empty(slot));
        }
    }

    fn add_free(&mut self, slot: FreeSlot) {
        if slot.map.is_some() { self.ready.push(slot) } else { self.empty.push(slot) }
    }

    /// The pass is about to end: no slot stays locked when its window comes back.
    pub(super) fn unlock_from_now_on(&mut self) {
        self.kept.locked = 0;
    }

    /// The pass is over: gives the memory of all free slots back, now and when further ones come back.
    pub(super) fn close(self) {
        self.spool.close();
        for slot in self.ready {
            self.spool.empty(slot).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool_index::Shape;
    use crate::time::{FramePos, Frames};
    use std::os::unix::fs::MetadataExt;

    const SLOT: usize = 12_288;

    /// A supply, and the budget that it locks its slots with.
    struct Rig {
        spool: Arc<SpoolFile>,
        supply: SlotSupply,
        budget: Arc<LockBudget>,
        windows: u64,
        start: Instant,
    }

    /// A window that is out.
    type Window = (u32, SpoolByte, Mapping);

    impl Rig {
        fn new(slots: usize, locked: usize, budget: usize) -> Rig {
            let (file, shape) = (tempfile::tempfile_in("/dev/shm").unwrap(), Shape::new(7, SLOT));
            file.set_len(shape.file_bytes()).unwrap();
            let (spool, start) = (Arc::new(SpoolFile::new(file, None, shape)), Instant::now());
            let supply = SlotSupply::new(Arc::clone(&spool), Populate::Advise, KeptSlots { slots, locked }, start);
            Rig { spool, supply, budget: LockBudget::new((budget * SLOT) as u64), windows: 0, start }
        }

        fn window(&mut self) -> Window {
            let offset = SpoolByte::DATA + self.windows * SLOT as u64;
            let (start, frames) = (FramePos(self.windows * 4096), Frames(4096));
            self.windows += 1;
            let span = PlannedSpan { start, frames, offset, bytes: SLOT };
            let (slot, map) = self.supply.make(&span, &self.budget).unwrap();
            (slot, offset, map)
        }

        fn captured(&mut self, (slot, offset, mut map): Window) -> CapturedSlot {
            map.bytes_mut().fill(9);
            self.supply.captured(slot, offset, map, false)
        }

        fn collect_free(&mut self, seconds: u64, is_short: bool) {
            self.supply.collect_free(self.start + Duration::from_secs(seconds), is_short, &mut 100);
        }

        fn slots_with_memory(&self) -> u64 {
            // Index and header hold two pages.
            (self.spool.file.metadata().unwrap().blocks() * 512).saturating_sub(4096) / SLOT as u64
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the owner gives it back")]
    fn free(slot: CapturedSlot) {
        slot.set_free();
    }

    #[test]
    fn a_slot_is_used_again_and_reads_as_silence() {
        let mut rig = Rig::new(3, 3, 10);
        let mut numbers = Vec::new();
        for _ in 0..50 {
            let (first, second) = (rig.window(), rig.window());
            assert!([&first, &second].iter().all(|window| window.2.bytes().iter().all(|byte| *byte == 0)));
            assert!(first.2.is_locked() && second.2.is_locked());
            numbers.extend([first.0, second.0]);
            let slots = [first, second].map(|window| rig.captured(window));
            slots.into_iter().for_each(free);
            rig.collect_free(0, false);
        }
        assert!(numbers.iter().all(|number| *number < 2), "two slots are enough");
        assert_eq!((rig.slots_with_memory(), rig.budget.refused()), (2, 0));
    }

    #[test]
    fn slots_are_made_while_a_disk_stands_still_and_given_back_when_nobody_has_needed_them_for_some_time() {
        let mut rig = Rig::new(3, 3, 5);
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let window = rig.window();
                rig.captured(window)
            })
            .collect();
        assert_eq!((rig.slots_with_memory(), rig.budget.used()), (20, 3 * SLOT as u64), "the windows need the rest");
        waiting.into_iter().for_each(free);
        rig.collect_free(1, false);
        assert_eq!(rig.slots_with_memory(), 20, "a disk that is slow now and then costs no new pages each time");
        rig.collect_free(6, false);
        rig.collect_free(12, false);
        assert_eq!(rig.slots_with_memory(), 3);
        // A slot without memory is used again too.
        let again: Vec<_> = (0..20).map(|_| rig.window()).collect();
        assert!(again.iter().all(|window| window.0 < 20 && window.2.bytes().iter().all(|byte| *byte == 0)));
    }

    #[test]
    fn spare_slots_are_given_back_at_once_when_memory_is_short_and_never_more_than_are_spare() {
        let mut rig = Rig::new(3, 0, 0);
        let slots: Vec<_> = (0..10)
            .map(|_| {
                let window = rig.window();
                rig.captured(window)
            })
            .collect();
        rig.collect_free(1, true);
        assert_eq!(rig.slots_with_memory(), 10, "every slot has sound that waits");
        slots.into_iter().for_each(free);
        rig.collect_free(1, true);
        assert_eq!((rig.slots_with_memory(), rig.budget.used()), (3, 0));
    }

    #[test]
    fn after_the_pass_no_slot_holds_memory_when_its_sound_is_durable() {
        let mut rig = Rig::new(3, 3, 10);
        let (out, ready) = (rig.window(), rig.window());
        let (out, ready) = (rig.captured(out), rig.captured(ready));
        free(ready);
        rig.collect_free(0, false);
        let Rig { supply, spool, budget, .. } = rig;
        supply.close();
        let slots = || spool.file.metadata().unwrap().blocks() * 512 / SLOT as u64;
        assert_eq!((slots(), budget.used()), (1, SLOT as u64));
        free(out);
        assert_eq!((slots(), budget.used()), (0, 0));
    }
}
