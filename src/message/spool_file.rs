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
use crate::limits;
use crate::lock::lock;
use crate::spool_index::{FREE, Part, Shape, TARGET_BYTES, Target, WORDS_AT, target_at};
use crate::window::map::{Mapping, Populate};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex};

/// Bytes that are read through a view until its pages are dropped from the page tables. Without this, the slots of a take
/// would be there twice, as windows and in the view, and the process would seem to have twice the memory of its sound. The
/// drop costs a system call, page faults of the committer, and an interrupt on each processor that runs a thread of the program,
/// which the audio thread notices as some microseconds. So it is not done after each read.
const VIEWED_BYTES_MAX: u64 = 128 * 1024;

/// Bytes of a word of the index.
const WORD_BYTES: u64 = 8;

/// Slots that are mapped at once to read them.
const VIEW_SLOTS_MIN: u32 = 16;

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
    /// The first page of the index. A store costs a tenth of a call. `None`: the page could not be mapped.
    words: Option<Mapping>,
    state: Mutex<SpoolState>,
}

#[derive(Debug, Default)]
struct SpoolState {
    /// The parts of the take that the index lists, by their offsets.
    listed: BTreeMap<u64, Part>,
    /// Free slots that wait for the butler.
    returned: Vec<FreeSlot>,
    /// Slots that a committer reads while their windows may be out, once for each reader.
    held: Vec<u32>,
    /// Free slots that somebody holds.
    free_and_held: Vec<FreeSlot>,
    /// The slots from the first one on, mapped to read them.
    view: Option<Arc<Mapping>>,
    /// Bytes that were read through the view since its pages were last dropped from the page tables.
    viewed_bytes: u64,
    /// Number of slots that were used so far.
    made: u32,
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

/// Parts of a take that lie in slots, follow each other, and are read where they lie.
///
/// Holding one tells you: no slot of these parts is used again, also if the sound is given up meanwhile.
#[derive(Debug)]
pub struct HeldParts {
    spool: Arc<SpoolFile>,
    parts: Vec<Part>,
    view: Arc<Mapping>,
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
        // Populated here, so that no store meets a full memory file system.
        let page = Mapping::writable(&file, WORDS_AT, limits::PAGE_BYTES).and_then(|mut page| {
            page.populate(Populate::Advise)?;
            Ok(page)
        });
        SpoolFile { file, path, shape, words: page.ok(), state: Mutex::default() }
    }

    /// Writes down which WAV file gets the sound: the take's file with `files_before` files before it. Recovery compares it with
    /// the file that it finds. `None`: it is not known.
    pub fn note_target(&self, files_before: usize, target: Option<Target>) -> io::Result<()> {
        let bytes = target.map_or([0; TARGET_BYTES], |target| self.shape.target_bytes(target));
        disk::write_all_at(&self.file, &bytes, target_at(files_before))
    }

    /// Lists in the index that a free slot is going to hold `bytes` bytes of the take from `offset` on.
    pub fn list(&self, number: u32, offset: SpoolByte, bytes: usize) -> io::Result<()> {
        let (offset, bytes) = (offset.0, bytes as u64);
        let word = self.shape.word(number, offset, bytes).ok_or(io::ErrorKind::InvalidInput)?;
        self.write_word(number, word)?;
        let mut state = lock(&self.state);
        state.listed.insert(offset, Part { slot: number, offset, bytes, skip: 0 });
        state.made = state.made.max(number + 1);
        Ok(())
    }

    /// Says in the index that a slot is free. From now on nobody may read its sound.
    fn unlist(&self, number: u32, offset: SpoolByte) -> io::Result<()> {
        lock(&self.state).listed.remove(&offset.0);
        self.write_word(number, FREE)
    }

    /// Writes a word of the index. A kill leaves the word before or this one: both lie in one aligned word of a page.
    fn write_word(&self, number: u32, word: u64) -> io::Result<()> {
        let at = self.shape.word_at(number);
        match self.words.as_ref().filter(|_| at < WORDS_AT + limits::PAGE_BYTES as u64) {
            Some(words) => disk::store_word(&self.file, at, words.word(((at - WORDS_AT) / WORD_BYTES) as usize), word),
            None => disk::write_all_at(&self.file, &word.to_ne_bytes(), at),
        }
    }

    /// Which slots hold what lies in `from..end` of the take, in order.
    pub fn listed(&self, from: SpoolByte, end: SpoolByte) -> Vec<Part> {
        lock(&self.state).listed_in(from, end).collect()
    }

    /// All parts that slots hold, in the order of the take.
    pub fn listed_all(&self) -> Vec<Part> {
        lock(&self.state).listed.values().copied().collect()
    }

    /// Number of slots that were used so far: the numbers of slots are below it.
    pub fn slots_made(&self) -> u32 {
        lock(&self.state).made
    }

    /// Holds the parts from the first one of `from..end` on that follow each other, as many as one write takes. Without
    /// `may_skip`, the first one must begin with `from`. `None`: there is no such part.
    pub fn hold(
        self: &Arc<SpoolFile>,
        from: SpoolByte,
        end: SpoolByte,
        may_skip: bool,
    ) -> io::Result<Option<HeldParts>> {
        let mut state = lock(&self.state);
        let mut parts: Vec<Part> = Vec::new();
        for part in state.listed_in(from, end) {
            let next = parts.last().map_or(if may_skip { part.offset } else { from.0 }, Part::end);
            let bytes = part.end() - parts.first().map_or(part.offset, |first| first.offset);
            if part.offset != next || !parts.is_empty() && limits::COMMIT_RUN_BYTES_MAX as u64 <= bytes {
                break;
            }
            parts.push(part);
        }
        let Some(slots) = parts.iter().map(|part| part.slot + 1).max() else { return Ok(None) };
        let bytes = slots.max(VIEW_SLOTS_MIN).next_power_of_two() as usize * self.shape.slot_bytes();
        let view = match &state.view {
            Some(view) if bytes <= view.len() => Arc::clone(view),
            // The slots of a take that are used again are always the same, so this is rare.
            _ => Arc::new(Mapping::of_captured(&self.file, self.shape.slot_at(0), bytes)?),
        };
        state.view = Some(Arc::clone(&view));
        state.held.extend(parts.iter().map(|part| part.slot));
        Ok(Some(HeldParts { spool: Arc::clone(self), parts, view }))
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
            if state.held.contains(&slot.number) {
                state.free_and_held.push(slot);
                return;
            }
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

impl SpoolState {
    fn listed_in(&self, from: SpoolByte, end: SpoolByte) -> impl Iterator<Item = Part> {
        let first = self.listed.range(..=from.0).next_back().map_or(from.0, |(offset, _)| *offset);
        let parts = self.listed.range(first..).map(|(_, part)| *part);
        parts.take_while(move |part| part.offset < end.0).filter_map(move |part| part.within(from.0, end.0))
    }
}

impl HeldParts {
    /// Where the first part begins.
    pub fn begin(&self) -> SpoolByte {
        SpoolByte(self.parts.first().map_or(0, |part| part.offset))
    }

    /// Number of bytes.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// The memory of the parts, which the audio thread has filled.
    pub fn memory(&self) -> impl Iterator<Item = &[u8]> {
        let shape = &self.spool.shape;
        let at = move |part: &Part| (shape.part_at(part) - shape.slot_at(0)) as usize;
        self.parts.iter().map(move |part| self.view.captured(at(part), part.bytes as usize))
    }
}

impl Drop for HeldParts {
    fn drop(&mut self) {
        let (free, is_enough) = {
            let mut state = lock(&self.spool.state);
            state.viewed_bytes += self.parts.iter().map(|part| part.bytes).sum::<u64>();
            let is_enough = VIEWED_BYTES_MAX <= state.viewed_bytes;
            if is_enough {
                state.viewed_bytes = 0;
            }
            for part in &self.parts {
                if let Some(at) = state.held.iter().position(|held| *held == part.slot) {
                    state.held.swap_remove(at);
                }
            }
            let state = &mut *state;
            let held = &state.held;
            (state.free_and_held.extract_if(.., |slot| !held.contains(&slot.number)).collect::<Vec<_>>(), is_enough)
        };
        if is_enough {
            self.view.drop_from_page_tables();
        }
        for slot in free {
            self.spool.give_back(slot);
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
    use crate::spool_index::Table;
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
    fn a_slot_whose_sound_is_given_up_while_a_committer_reads_it_is_not_used_again_before_that() {
        let spool = spool();
        for (number, offset) in [(4, 4096), (1, 4096 + SLOT as u64)] {
            spool.list(number, SpoolByte(offset), SLOT).unwrap();
        }
        let captured = |number: u32, offset: u64| {
            let mut map = mapped(&spool, number);
            map.bytes_mut().fill(number as u8);
            CapturedSlot::new(&spool, number, SpoolByte(offset), Some(map))
        };
        let (first, second) = (captured(4, 4096), captured(1, 4096 + SLOT as u64));
        let (from, end) = (SpoolByte(8192), SpoolByte(4096 + 2 * SLOT as u64));
        let held = spool.hold(from, end, false).unwrap().unwrap();
        let again = spool.hold(from, end, true).unwrap().unwrap();
        for slot in [first, second] {
            slot.set_free();
            drop(slot);
        }
        let memory: Vec<&[u8]> = held.memory().collect();
        assert_eq!((held.begin(), memory), (from, vec![&[4; SLOT - 4096][..], &[1; SLOT][..]]));
        let mut free = Vec::new();
        drop(held);
        assert_eq!(spool.take_returned(&mut free), 0);
        assert!(free.is_empty(), "the other committer still reads them");
        drop(again);
        spool.take_returned(&mut free);
        assert_eq!(free.len(), 2);
    }

    #[test]
    fn the_pages_of_a_view_leave_the_page_tables_and_the_sound_stays() {
        const LARGE: usize = VIEWED_BYTES_MAX as usize / 2;
        let (file, shape) = (tempfile::tempfile().unwrap(), Shape::new(7, LARGE));
        file.set_len(shape.file_bytes()).unwrap();
        let spool = Arc::new(SpoolFile::new(file, None, shape));
        for number in [0, 1] {
            spool.list(number, SpoolByte(4096 + u64::from(number) * LARGE as u64), LARGE).unwrap();
            let mut map = Mapping::writable(&spool.file, spool.shape.slot_at(number), LARGE).unwrap();
            map.bytes_mut().fill(number as u8 + 1);
        }
        let read = |number: u64| {
            let from = SpoolByte(4096 + number * LARGE as u64);
            let held = spool.hold(from, from + LARGE as u64, false).unwrap().unwrap();
            let sound: Vec<u8> = held.memory().flatten().copied().collect();
            assert!(sound.len() == LARGE && sound.iter().all(|byte| u64::from(*byte) == number + 1));
            held.view.address()
        };
        let resident = |address: usize| {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let (_, of_view) = maps.split_once(&format!("{address:x}-")).unwrap();
            let line = of_view.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
        };
        let view = read(0);
        assert!(LARGE <= resident(view));
        read(1);
        assert_eq!(resident(view), 0);
        read(0);
    }

    #[test]
    fn only_parts_that_follow_each_other_are_held() {
        let spool = spool();
        for (number, offset) in [(0, 4096), (1, 4096 + 2 * SLOT as u64)] {
            spool.list(number, SpoolByte(offset), SLOT).unwrap();
            mapped(&spool, number);
        }
        let (lost, end) = (SpoolByte(4096 + SLOT as u64), SpoolByte(u64::MAX >> 1));
        let held = |from: SpoolByte, may_skip: bool| {
            let held = spool.hold(from, end, may_skip).unwrap();
            held.map(|held| (held.begin().0, held.memory().map(<[u8]>::len).sum::<usize>()))
        };
        assert_eq!(held(SpoolByte::DATA, false), Some((4096, SLOT)));
        assert_eq!((held(lost, false), held(lost, true)), (None, Some((4096 + 2 * SLOT as u64, SLOT))));
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
