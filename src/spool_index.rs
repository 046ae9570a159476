//! The index of a spool file: which slot of the file holds which part of a take. Thread: any; pure.
//!
//! A spool file is divided into slots of one size. A slot holds one window of the take, is given back when the window is
//! durable, and then holds a later window. So the place of a byte in the file says nothing about its place in the take:
//! the index says it.
//!
//! | bytes | content |
//! |---|---|
//! | page 0 | the identity of the take (`butler::spool`) |
//! | page 1 | the header of the index: version and shape, with a check; behind it the WAV files that get the sound ([`Target`]) |
//! | the next 512 KiB | one word for each slot; only the pages in use hold memory |
//! | the rest | the slots |
//!
//! A word is 0 if the slot is free. Otherwise it has the first page of the window in the take, its length in pages, and
//! a check over these, the number and size of the slot and the identity of the take. So a damaged word, the word of
//! another slot and the word of another take are not believed. Words have 8 bytes in the machine's byte order, because a
//! spool never leaves the machine.

use crate::limits::{PAGE_BYTES, SPOOL_SLOTS_MAX, WINDOW_BYTES_MAX};

const PAGE: u64 = PAGE_BYTES as u64;

/// Offset of the header of the index in a spool file.
pub const HEADER_AT: u64 = PAGE;

/// Offset of the first word of the index in a spool file.
pub const WORDS_AT: u64 = 2 * PAGE;

/// Bytes of a [`Target`].
pub const TARGET_BYTES: usize = TARGET_WORDS * WORD_BYTES as usize;

/// Bytes of all words.
pub const WORDS_BYTES: u64 = SPOOL_SLOTS_MAX as u64 * WORD_BYTES;

/// The word of a free slot.
pub const FREE: u64 = 0;

const WORD_BYTES: u64 = size_of::<u64>() as u64;
const MAGIC: u64 = u64::from_ne_bytes(*b"FltSlots");
const VERSION: u64 = 1;
const HEADER_WORDS: usize = 6;
const TARGET_WORDS: usize = 3;
/// Offset of the first [`Target`] in the page of the header.
const TARGETS_IN_PAGE: usize = 512;
/// Targets that a spool names. A take that continues in more files forgets the oldest.
const TARGETS_MAX: usize = 128;
const _: () = assert!(TARGETS_IN_PAGE + TARGETS_MAX * TARGET_BYTES <= PAGE_BYTES, "the targets fit into their page");
const LENGTH_BITS: u32 = 11;
const PLACE_BITS: u32 = 31;
const CHECK_SHIFT: u32 = LENGTH_BITS + PLACE_BITS;
const _: () = assert!(WINDOW_BYTES_MAX / PAGE_BYTES < 1 << LENGTH_BITS, "a word holds the length of every window");
const _: () = assert!(WORDS_BYTES.is_multiple_of(PAGE), "the slots begin with a page");

/// Offset in a spool file of the [`Target`] of a take's file with `files_before` files before it.
pub fn target_at(files_before: usize) -> u64 {
    HEADER_AT + (TARGETS_IN_PAGE + files_before % TARGETS_MAX * TARGET_BYTES) as u64
}

/// Size of the slots of a spool file, and the take that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    take: u128,
    slot_bytes: u64,
}

/// A WAV file that sound of a spool went to. Another file at its place is a copy that another program has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Number of the file on its file system.
    pub file: u64,
    /// Bytes of the take before the first byte of the file.
    pub bytes_before: u64,
    /// Whether another program has changed the file, and sound of it may be lost. Its disk may refuse a header that says so.
    pub is_changed: bool,
}

/// The bit of [`Target::is_changed`] in the word of `bytes_before`. No take is that long.
const CHANGED_BIT: u64 = 1 << 63;

/// A part of a take that lies in a slot. Offsets are those of the take's WAV file, in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Number of the slot.
    pub slot: u32,
    /// Offset of the first byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Bytes of the slot before the first byte of the part.
    pub skip: u64,
}

/// The parts of a take that an index lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The parts in the order of their offsets. No two overlap.
    parts: Vec<Part>,
    /// Number of words that are not believed.
    pub damaged: usize,
}

impl Part {
    /// Offset after the last byte.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes
    }

    /// The bytes of the part that lie in `from..end`.
    pub fn within(self, from: u64, end: u64) -> Option<Part> {
        let (first, last) = (self.offset.max(from), self.end().min(end));
        (first < last).then(|| Part {
            offset: first,
            bytes: last - first,
            skip: self.skip + (first - self.offset),
            ..self
        })
    }
}

impl Shape {
    /// The shape for a take whose windows have at most `slot_bytes` bytes: whole pages.
    pub fn new(take: u128, slot_bytes: usize) -> Shape {
        debug_assert!(slot_bytes.is_multiple_of(PAGE_BYTES) && (1..=WINDOW_BYTES_MAX).contains(&slot_bytes));
        Shape { take, slot_bytes: slot_bytes as u64 }
    }

    /// The shape in the second page of a spool file of take `take`. `None`: the page is damaged, or the file has no index.
    pub fn of_header(page: &[u8], take: u128) -> Option<Shape> {
        let words = page.as_chunks().0.get(..HEADER_WORDS)?;
        let slot_bytes = u64::from_ne_bytes(words[2]);
        let fits = slot_bytes.is_multiple_of(PAGE) && (1..=WINDOW_BYTES_MAX as u64).contains(&slot_bytes);
        let shape = Shape { take, slot_bytes };
        let expected = fits.then(|| shape.header_words())?;
        expected.iter().zip(words).all(|(expected, word)| *expected == u64::from_ne_bytes(*word)).then_some(shape)
    }

    /// The bytes at [`target_at`] that name a target.
    pub fn target_bytes(&self, target: Target) -> [u8; TARGET_BYTES] {
        let mut bytes = [0; TARGET_BYTES];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.target_words(target)) {
            *bytes = word.to_ne_bytes();
        }
        bytes
    }

    /// The targets in the second page of a spool file that are not damaged.
    pub fn targets_in(&self, page: &[u8]) -> Vec<Target> {
        let places = page.get(TARGETS_IN_PAGE..).unwrap_or_default().chunks_exact(TARGET_BYTES).take(TARGETS_MAX);
        places.filter_map(|bytes| self.target_in(bytes)).collect()
    }

    fn target_in(&self, bytes: &[u8]) -> Option<Target> {
        let words: [_; TARGET_WORDS] = bytes.as_chunks().0.try_into().ok()?;
        let [file, before, check] = words.map(u64::from_ne_bytes);
        let target = Target { file, bytes_before: before & !CHANGED_BIT, is_changed: before & CHANGED_BIT != 0 };
        (self.target_words(target)[2] == check).then_some(target)
    }

    fn target_words(&self, target: Target) -> [u64; TARGET_WORDS] {
        let before = target.bytes_before | if target.is_changed { CHANGED_BIT } else { 0 };
        let words = [self.take as u64, (self.take >> 64) as u64, target.file, before];
        [target.file, before, words.iter().fold(MAGIC, |check, word| mixed(check ^ word))]
    }

    /// The second page of the spool file.
    pub fn header(&self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        for (bytes, word) in page.as_chunks_mut().0.iter_mut().zip(self.header_words()) {
            *bytes = word.to_ne_bytes();
        }
        page
    }

    fn header_words(&self) -> [u64; HEADER_WORDS] {
        let (low, high) = (self.take as u64, (self.take >> 64) as u64);
        let words = [MAGIC, VERSION, self.slot_bytes, low, high];
        let check = words.iter().fold(MAGIC, |check, word| mixed(check ^ word));
        [words[0], words[1], words[2], words[3], words[4], check]
    }

    /// Bytes of a slot.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes as usize
    }

    /// Offset of a slot in the file.
    pub fn slot_at(&self, slot: u32) -> u64 {
        WORDS_AT + WORDS_BYTES + u64::from(slot) * self.slot_bytes
    }

    /// Offset in the file of the first byte of a part.
    pub fn part_at(&self, part: &Part) -> u64 {
        self.slot_at(part.slot) + part.skip
    }

    /// Offset of the word of a slot in the file.
    pub fn word_at(&self, slot: u32) -> u64 {
        WORDS_AT + u64::from(slot) * WORD_BYTES
    }

    /// Length of the file. It is sparse.
    pub fn file_bytes(&self) -> u64 {
        self.slot_at(SPOOL_SLOTS_MAX)
    }

    /// The word of a slot that holds `bytes` bytes of the take from `offset` on. `None`: no slot can hold them.
    pub fn word(&self, slot: u32, offset: u64, bytes: u64) -> Option<u64> {
        let pages = offset.is_multiple_of(PAGE) && bytes.is_multiple_of(PAGE);
        let fits = pages && (1..=self.slot_bytes).contains(&bytes) && offset / PAGE < 1 << PLACE_BITS;
        fits.then(|| self.with_check(slot, ((offset / PAGE) << LENGTH_BITS) | (bytes / PAGE)))
    }

    fn with_check(&self, slot: u32, body: u64) -> u64 {
        let key = mixed(self.take as u64 ^ mixed((self.take >> 64) as u64 ^ mixed(self.slot_bytes)));
        body | mixed(key ^ mixed(u64::from(slot)) ^ mixed(body)) >> CHECK_SHIFT << CHECK_SHIFT
    }

    /// The part that a word of the index lists. `None`: the slot is free. The error: the word is damaged.
    fn part(&self, slot: u32, word: u64) -> Result<Option<Part>, ()> {
        if word == FREE {
            return Ok(None);
        }
        let body = word & ((1 << CHECK_SHIFT) - 1);
        let (offset, bytes) = ((body >> LENGTH_BITS) * PAGE, (body & ((1 << LENGTH_BITS) - 1)) * PAGE);
        let expected = self.word(slot, offset, bytes).ok_or(())?;
        if expected == word && PAGE <= offset { Ok(Some(Part { slot, offset, bytes, skip: 0 })) } else { Err(()) }
    }
}

impl Table {
    /// The parts that the words from slot `first` on list. `words` has them as bytes.
    pub fn add(&mut self, shape: &Shape, first: u32, words: &[u8]) {
        for (slot, word) in (first..SPOOL_SLOTS_MAX).zip(words.as_chunks().0) {
            match shape.part(slot, u64::from_ne_bytes(*word)) {
                Ok(part) => self.parts.extend(part),
                Err(()) => self.damaged += 1,
            }
        }
    }

    /// Sorts the parts. Parts that claim the same bytes of the take contradict each other, so none of them is believed.
    pub fn sort(&mut self) {
        self.parts.sort_by_key(|part| part.offset);
        let mut believed = vec![true; self.parts.len()];
        let mut end = 0;
        for (at, part) in self.parts.iter().enumerate() {
            if part.offset < end {
                (believed[at - 1], believed[at]) = (false, false);
            }
            end = end.max(part.end());
        }
        self.damaged += believed.iter().filter(|believed| !**believed).count();
        let mut believed = believed.into_iter();
        self.parts.retain(|_| believed.next().unwrap_or(false));
    }

    /// The parts, in the order of their offsets.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts within `from..end` of the take, in order, cut to that range.
    pub fn within(&self, from: u64, end: u64) -> impl Iterator<Item = Part> {
        let first = self.parts.partition_point(|part| part.end() <= from);
        self.parts[first..].iter().map_while(move |part| part.within(from, end))
    }
}

/// A number that depends on every bit of `word` (the finalizer of SplitMix64). This is realtime-safe.
pub fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAKE: u128 = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321;

    fn table(shape: &Shape, first: u32, words: &[u64]) -> Table {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut table = Table::default();
        table.add(shape, first, &bytes);
        table.sort();
        table
    }

    #[test]
    fn the_targets_of_a_spool_are_read_as_they_were_written_and_damaged_ones_are_not() {
        let shape = Shape::new(7, 12_288);
        let target = |number: usize| Target {
            file: 4711 + number as u64,
            bytes_before: number as u64 * 12 * 4096,
            is_changed: number.is_multiple_of(2),
        };
        let mut page = shape.header();
        assert_eq!(shape.targets_in(&page), [], "none was written");
        let mut note = |number: usize| {
            let at = (target_at(number) - HEADER_AT) as usize;
            page[at..at + TARGET_BYTES].copy_from_slice(&shape.target_bytes(target(number)));
            page
        };
        for number in 0..TARGETS_MAX {
            note(number);
        }
        // The oldest one is forgotten.
        let mut page = note(TARGETS_MAX);
        let mut written: Vec<Target> = (1..TARGETS_MAX).map(target).collect();
        written.insert(0, target(TARGETS_MAX));
        assert_eq!((Shape::of_header(&page, 7), shape.targets_in(&page)), (Some(shape), written.clone()));
        assert_eq!(Shape::new(8, 12_288).targets_in(&page), [], "of another take");
        let at = (target_at(0) - HEADER_AT) as usize;
        for byte in 0..TARGET_BYTES {
            page[at + byte] ^= 1;
            assert_eq!(shape.targets_in(&page), written[1..], "{byte}");
            page[at + byte] ^= 1;
        }
        assert_eq!(shape.targets_in(&page[..at + 8]), []);
    }

    #[test]
    fn a_header_is_believed_only_whole_and_only_for_its_take() {
        let shape = Shape::new(TAKE, 61_440);
        let header = shape.header();
        assert_eq!(Shape::of_header(&header, TAKE), Some(shape));
        assert_eq!(Shape::of_header(&header, TAKE + 1), None);
        assert_eq!(Shape::of_header(&[0; PAGE_BYTES], TAKE), None);
        assert_eq!(Shape::of_header(&header[..40], TAKE), None);
        for bit in 0..HEADER_WORDS * 64 {
            let mut damaged = header;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Shape::of_header(&damaged, TAKE), None, "bit {bit}");
        }
    }

    #[test]
    fn a_word_is_believed_only_in_its_own_slot_of_its_own_file() {
        let shape = Shape::new(TAKE, 61_440);
        let word = shape.word(7, 4096, 61_440).unwrap();
        let listed = table(&shape, 7, &[word, FREE]);
        assert_eq!(listed.parts(), [Part { slot: 7, offset: 4096, bytes: 61_440, skip: 0 }]);
        assert_eq!((table(&shape, 8, &[word]).damaged, table(&shape, 8, &[word]).parts().len()), (1, 0));
        assert_eq!(table(&Shape::new(TAKE + 1, 61_440), 7, &[word]).damaged, 1);
        assert_eq!(table(&Shape::new(TAKE, 65_536), 7, &[word]).damaged, 1);
        for bit in 0..64 {
            assert_eq!(table(&shape, 7, &[word ^ (1 << bit)]).damaged, 1, "bit {bit}");
        }
    }

    #[test]
    fn no_slot_holds_more_than_its_size_or_less_than_a_page() {
        let shape = Shape::new(TAKE, 61_440);
        assert!(shape.word(0, 4096, 65_536).is_none() && shape.word(0, 4096, 0).is_none());
        assert!(shape.word(0, 4097, 4096).is_none() && shape.word(0, 1 << 43, 4096).is_none());
        // A header of a WAV file has no place in a slot.
        let first_page = shape.word(0, 0, 4096).unwrap();
        assert_eq!(table(&shape, 0, &[first_page]).damaged, 1);
    }

    #[test]
    fn slots_that_claim_the_same_bytes_are_not_believed_and_the_others_are() {
        let shape = Shape::new(TAKE, 12_288);
        let places = [(4096, 12_288), (16_384, 12_288), (20_480, 4096), (28_672, 12_288)];
        let words: Vec<u64> =
            (0..).zip(places).map(|(slot, (offset, bytes))| shape.word(slot, offset, bytes).unwrap()).collect();
        let listed = table(&shape, 0, &words);
        assert_eq!((listed.damaged, listed.parts().iter().map(|part| part.slot).collect::<Vec<_>>()), (2, vec![0, 3]));
        let within: Vec<_> =
            listed.within(8192, 32_768).map(|part| (part.slot, part.offset, part.bytes, part.skip)).collect();
        assert_eq!(within, [(0, 8192, 8192, 4096), (3, 28_672, 4096, 0)]);
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_table_whose_parts_are_bounded(words in prop::collection::vec(any::<u64>(), 0..200)) {
            let shape = Shape::new(TAKE, 61_440);
            let listed = table(&shape, SPOOL_SLOTS_MAX - 100, &words);
            prop_assert!(listed.parts().len() + listed.damaged <= 100);
            for part in listed.parts() {
                prop_assert!(part.bytes <= 61_440 && part.end() < 1 << 44 && part.slot < SPOOL_SLOTS_MAX);
            }
        }
    }
}
