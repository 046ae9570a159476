//! The open files on tmpfs that outlive a killed program: spool files and progress pages. Thread: butler makes them,
//! the committers share them.
//!
//! A spool file is divided into slots. The order in which a slot is used keeps every promise of a recovery:
//!
//! 1. The butler lists in the index what the slot is going to hold. Only then the audio thread gets the window.
//! 2. The audio thread stores samples, and then advances the progress page.
//! 3. Every replica that wants the span has it durable, or has given it up.
//! 4. The index says that the slot is free. Only then the slot is wiped, or its memory is given back.
//! 5. The slot is used again.
//!
//! A program that is killed between two of these steps leaves a slot that is listed with its own sound, or with silence
//! that was not stored to, or that is not listed. If the wipe came before step 4, a recovery would take zeros for sound.

use super::offset::SpoolByte;
use crate::host::disk;
use crate::lock::lock;
use crate::spool_index::{FREE, Part, Shape};
use crate::window::map::Mapping;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex};

/// The file of a pass's progress page.
#[derive(Debug)]
pub struct ProgressFile {
    /// The open file. This program holds a lock on it, so that no recovery uses it.
    pub file: File,
    /// Path of the file; `None` for memory without a name.
    pub path: Option<PathBuf>,
    /// Takes of the pass whose files in memory were not removed yet.
    pub unfinished: AtomicUsize,
}

/// A spool file: slots in memory that hold the windows of one take, so that no disk can delay a store.
#[derive(Debug)]
pub struct SpoolFile {
    /// The open file. This program holds a lock on it, so that no recovery uses it.
    pub file: File,
    /// Path of the file; `None` for memory without a name, which does not outlive the program.
    pub path: Option<PathBuf>,
    /// Size of the slots.
    pub shape: Shape,
    state: Mutex<SpoolState>,
}

#[derive(Debug, Default)]
struct SpoolState {
    /// The parts of the take that the index lists, by their offsets.
    listed: BTreeMap<u64, Part>,
    /// Free slots that wait for the butler.
    returned: Vec<FreeSlot>,
    /// Whether the pass is over: no slot is used again.
    is_closed: bool,
}

/// A slot that the index lists as free.
///
/// Holding one tells you: nobody else uses the slot. It may hold former sound: wipe it before a window uses it.
#[derive(Debug)]
pub struct FreeSlot {
    /// Number of the slot.
    pub number: u32,
    /// The mapping of the slot. `None`: the slot holds no memory.
    pub map: Option<Mapping>,
}

/// A slot with captured sound. Committers that write it share it.
///
/// The last holder gives a slot that was freed back to the butler. So no slot is used again while a committer reads it. A
/// slot that was not freed keeps its sound in the file, where a recovery finds it.
#[derive(Debug)]
pub struct CapturedSlot {
    spool: Arc<SpoolFile>,
    number: u32,
    offset: SpoolByte,
    /// The mapping of the slot. `None`: too many are mapped. The committer maps the slot again.
    map: Option<Mapping>,
    is_free: AtomicBool,
}

/// The files in memory that a recovery of one take would need.
#[derive(Clone, Debug)]
pub struct MemoryFiles {
    /// The spool file. `None` in `in-place`.
    pub spool: Option<Arc<SpoolFile>>,
    /// The progress page of the pass, which the takes of the pass share.
    pub progress_page: Option<Arc<ProgressFile>>,
}

impl SpoolFile {
    /// A spool file whose index is empty.
    pub fn new(file: File, path: Option<PathBuf>, shape: Shape) -> SpoolFile {
        SpoolFile { file, path, shape, state: Mutex::default() }
    }

    /// Lists in the index that a free slot is going to hold `bytes` bytes of the take from `offset` on.
    pub fn list(&self, number: u32, offset: SpoolByte, bytes: usize) -> io::Result<()> {
        let (offset, bytes) = (offset.0, bytes as u64);
        let word = self.shape.word(number, offset, bytes).ok_or(io::ErrorKind::InvalidInput)?;
        self.write_word(number, word)?;
        lock(&self.state).listed.insert(offset, Part { slot: number, offset, bytes, skip: 0 });
        Ok(())
    }

    /// Says in the index that a slot is free. From now on nobody may read its sound.
    fn unlist(&self, number: u32, offset: SpoolByte) -> io::Result<()> {
        lock(&self.state).listed.remove(&offset.0);
        self.write_word(number, FREE)
    }

    /// Writes a word of the index. A kill leaves the word before or this one: both lie in one aligned word of a page.
    fn write_word(&self, number: u32, word: u64) -> io::Result<()> {
        disk::write_all_at(&self.file, &word.to_ne_bytes(), self.shape.word_at(number))
    }

    /// Which slots hold what lies in `from..end` of the take, in order.
    pub fn listed(&self, from: SpoolByte, end: SpoolByte) -> Vec<Part> {
        let state = lock(&self.state);
        let first = state.listed.range(..=from.0).next_back().map_or(from.0, |(offset, _)| *offset);
        state.listed.range(first..).map(|(_, part)| *part).filter_map(|part| part.within(from.0, end.0)).collect()
    }

    /// Whether the slot of a part still holds it. A part that was read is valid only if this is true afterwards.
    pub fn still_holds(&self, part: &Part) -> bool {
        let begin = part.offset - part.skip;
        lock(&self.state).listed.get(&begin).is_some_and(|listed| listed.slot == part.slot)
    }

    /// Moves the free slots that came back to the end of `slots`. Returns the number of slots in use: those that hold
    /// windows or captured sound.
    pub fn take_returned(&self, slots: &mut Vec<FreeSlot>) -> usize {
        let mut state = lock(&self.state);
        slots.append(&mut state.returned);
        state.listed.len()
    }

    /// The pass is over. Slots that come back from now on give their memory back.
    pub fn close(&self) {
        let returned = {
            let mut state = lock(&self.state);
            state.is_closed = true;
            std::mem::take(&mut state.returned)
        };
        for slot in returned {
            self.empty(slot).ok();
        }
    }

    /// Unmaps a free slot and gives its memory back. Returns the slot without memory.
    pub fn empty(&self, slot: FreeSlot) -> io::Result<FreeSlot> {
        let FreeSlot { number, map } = slot;
        drop(map);
        disk::punch(&self.file, self.shape.slot_at(number), self.shape.slot_bytes() as u64)?;
        Ok(FreeSlot { number, map: None })
    }

    /// A slot came back.
    fn give_back(&self, slot: FreeSlot) {
        let without_memory = {
            let mut state = lock(&self.state);
            if slot.map.is_some() && !state.is_closed {
                state.returned.push(slot);
                return;
            }
            slot
        };
        // A failure costs the memory of the slot until the take ends.
        if let Ok(slot) = self.empty(without_memory) {
            lock(&self.state).returned.push(slot);
        }
    }
}

impl CapturedSlot {
    /// Slot `number` of `spool` with the sound from `offset` on.
    pub fn new(spool: &Arc<SpoolFile>, number: u32, offset: SpoolByte, map: Option<Mapping>) -> CapturedSlot {
        CapturedSlot { spool: Arc::clone(spool), number, offset, map, is_free: AtomicBool::new(false) }
    }

    /// The memory of the slot, if it is mapped.
    pub fn memory(&self) -> Option<&[u8]> {
        self.map.as_ref().map(Mapping::bytes)
    }

    /// Maps the memory of the slot once more, to read it.
    pub fn map_again(&self) -> io::Result<Mapping> {
        Mapping::of_captured(&self.spool.file, self.spool.shape.slot_at(self.number), self.spool.shape.slot_bytes())
    }

    /// No replica wants the sound any more.
    pub fn set_free(&self) {
        self.is_free.store(true, Release);
    }
}

impl Drop for CapturedSlot {
    fn drop(&mut self) {
        if !self.is_free.load(Acquire) {
            return;
        }
        // A slot that stays listed is not used again.
        if self.spool.unlist(self.number, self.offset).is_ok() {
            self.spool.give_back(FreeSlot { number: self.number, map: self.map.take() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool_index::{Table, WORDS_AT};
    use crate::window::map::Populate;
    use std::os::unix::fs::FileExt;

    const SLOT: usize = 12_288;

    fn spool() -> Arc<SpoolFile> {
        let (file, shape) = (tempfile::tempfile().unwrap(), Shape::new(7, SLOT));
        file.set_len(shape.file_bytes()).unwrap();
        Arc::new(SpoolFile::new(file, None, shape))
    }

    fn mapped(spool: &SpoolFile, number: u32) -> Mapping {
        let mut map = Mapping::writable(&spool.file, spool.shape.slot_at(number), SLOT).unwrap();
        map.populate(Populate::Advise).unwrap();
        map
    }

    /// The offsets that the index in the file lists.
    fn in_index(spool: &SpoolFile) -> Vec<u64> {
        let mut words = [0; 4096];
        spool.file.read_exact_at(&mut words, WORDS_AT).unwrap();
        let mut table = Table::default();
        table.add(&spool.shape, 0, &words);
        table.sort();
        assert_eq!(table.damaged, 0);
        table.parts().iter().map(|part| part.offset).collect()
    }

    #[test]
    fn a_slot_comes_back_only_when_nobody_wants_its_sound_and_nobody_reads_it() {
        let spool = spool();
        spool.list(0, SpoolByte(4096), SLOT).unwrap();
        let slot = Arc::new(CapturedSlot::new(&spool, 0, SpoolByte(4096), Some(mapped(&spool, 0))));
        let reader = Arc::clone(&slot);
        slot.set_free();
        drop(slot);
        let mut free = Vec::new();
        spool.take_returned(&mut free);
        assert!(free.is_empty() && in_index(&spool) == [4096], "a committer reads it");
        drop(reader);
        spool.take_returned(&mut free);
        assert!(free.len() == 1 && free[0].map.is_some() && in_index(&spool).is_empty());
        assert_eq!(spool.take_returned(&mut free), 0);
    }

    #[test]
    fn a_slot_that_nobody_has_freed_keeps_its_sound_for_a_recovery() {
        let spool = spool();
        spool.list(0, SpoolByte(4096), SLOT).unwrap();
        let mut map = mapped(&spool, 0);
        map.bytes_mut().fill(9);
        drop(CapturedSlot::new(&spool, 0, SpoolByte(4096), Some(map)));
        let mut sound = [0; SLOT];
        spool.file.read_exact_at(&mut sound, spool.shape.slot_at(0)).unwrap();
        let mut free = Vec::new();
        spool.take_returned(&mut free);
        assert!(free.is_empty() && in_index(&spool) == [4096] && sound == [9; SLOT]);
    }

    #[test]
    fn the_memory_of_slots_that_come_back_after_the_pass_is_given_back() {
        use std::os::unix::fs::MetadataExt;
        let spool = spool();
        let blocks = || spool.file.metadata().unwrap().blocks();
        let slot = |number: u32| {
            let offset = SpoolByte(4096 + u64::from(number) * SLOT as u64);
            spool.list(number, offset, SLOT).unwrap();
            let slot = CapturedSlot::new(&spool, number, offset, Some(mapped(&spool, number)));
            slot.set_free();
            slot
        };
        let (first, second) = (slot(0), slot(1));
        let with_both = blocks();
        drop(first);
        assert_eq!(blocks(), with_both, "it is kept for the next window");
        spool.close();
        drop(second);
        assert_eq!(blocks() + 2 * SLOT as u64 / 512, with_both);
        assert!(in_index(&spool).is_empty());
    }

    #[test]
    fn what_is_listed_is_found_by_its_place_in_the_take() {
        let spool = spool();
        for (number, offset) in [(2, 4096), (0, 16_384), (1, 40_960)] {
            spool.list(number, SpoolByte(offset), SLOT).unwrap();
        }
        let found = spool.listed(SpoolByte(8192), SpoolByte(45_056));
        let found: Vec<_> = found.iter().map(|part| (part.slot, part.offset, part.bytes, part.skip)).collect();
        assert_eq!(found, [(2, 8192, 8192, 4096), (0, 16_384, 12_288, 0), (1, 40_960, 4096, 0)]);
        let part = spool.listed(SpoolByte(8192), SpoolByte(12_288))[0];
        assert!(spool.still_holds(&part));
        spool.unlist(2, SpoolByte(4096)).unwrap();
        assert!(!spool.still_holds(&part));
    }
}
