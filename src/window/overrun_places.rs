//! The places in the takes for which there was no window, as words of the progress page. Thread: audio writes the words,
//! a recovery reads them.
//!
//! Control lists an overrun in the session when the overrun has ended, and saves the session up to a second later. If the
//! program is killed before, only these words know the place: the window that came too late is silent there, and a
//! recovery cannot distinguish this silence from recorded silence.
//!
//! The list has places for the last [`PLACES_PER_TAKE`] overruns of each take, since memory that is full gives all takes an
//! overrun at once, and for [`FIRST_PAGE_PLACES`] at least. A later one replaces the oldest one, which the session most probably
//! lists already. An entry has two words:
//!
//! | word | bits | content |
//! |---|---|---|
//! | 0 | 0 .. 47 | first frame in the take |
//! | 0 | 48 .. 63 | a part of the take's mark |
//! | 1 | 0 .. 39 | number of frames; 0: the entry is empty |
//! | 1 | 40 .. 63 | a check over all other bits and the whole mark |
//!
//! The check makes a damaged entry, and an entry that a kill left half written, no entry. An overrun that lasts changes
//! word 1 only, so a kill never costs the part that was noted before.

use crate::spool_index::mixed;
use crate::time::{FramePos, Frames};
use uuid::Uuid;

/// Overruns whose places fit into the first page.
pub const FIRST_PAGE_PLACES: usize = 59;

/// Overruns of each take whose places are stored.
pub const PLACES_PER_TAKE: usize = 2;

/// Words of an entry.
pub(super) const ENTRY_WORDS: usize = 2;

const AT_BITS: u32 = 48;
const FRAMES_BITS: u32 = 40;

/// A number that identifies a take in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakeMark(u64);

/// A range of a take for which there was no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverrunPlace {
    /// The first frame of the take.
    pub at: FramePos,
    /// Number of frames.
    pub frames: Frames,
}

/// The words of the list, as a page has them. Any words are accepted: only entries whose check fits a take are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverrunPlaces {
    entries: Vec<[u64; ENTRY_WORDS]>,
}

impl TakeMark {
    /// The mark of the take with this identity.
    pub fn of(take: Uuid) -> TakeMark {
        let (high, low) = take.as_u64_pair();
        TakeMark(mixed(low ^ mixed(high)))
    }
}

impl OverrunPlace {
    /// The words for this place in a take. An overrun that is too long for them is cut; of one that is too far in the take
    /// they are empty. This is realtime-safe.
    pub(super) fn words(self, take: TakeMark) -> [u64; ENTRY_WORDS] {
        let first = self.at.0 & low_bits(AT_BITS) | take.0 << AT_BITS;
        let frames = if self.at.0 <= low_bits(AT_BITS) { self.frames.0.min(low_bits(FRAMES_BITS)) } else { 0 };
        [first, frames | mixed(take.0 ^ mixed(first ^ mixed(frames))) << FRAMES_BITS]
    }
}

impl OverrunPlaces {
    /// The list in these words.
    pub(super) fn read(words: &[u64]) -> OverrunPlaces {
        let entries = words.as_chunks().0.iter();
        OverrunPlaces { entries: entries.filter(|entry| entry[1] & low_bits(FRAMES_BITS) != 0).copied().collect() }
    }

    /// The places in the take with this identity, in the order of its frames.
    pub fn of(&self, take: Uuid) -> Vec<OverrunPlace> {
        let mark = TakeMark::of(take);
        let place = |entry: &[u64; ENTRY_WORDS]| {
            let (at, frames) = (entry[0] & low_bits(AT_BITS), entry[1] & low_bits(FRAMES_BITS));
            let place = OverrunPlace { at: FramePos(at), frames: Frames(frames) };
            (place.words(mark) == *entry).then_some(place)
        };
        let mut places: Vec<OverrunPlace> = self.entries.iter().filter_map(place).collect();
        places.sort_unstable_by_key(|place| place.at);
        places
    }
}

const fn low_bits(count: u32) -> u64 {
    (1 << count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAKE: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
    const OTHER: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_0fed_cba9_8765_4322);

    fn place(at: u64, frames: u64) -> OverrunPlace {
        OverrunPlace { at: FramePos(at), frames: Frames(frames) }
    }

    #[test]
    fn a_place_is_believed_only_whole_and_only_for_its_take() {
        let words = place(480_000, 1_103).words(TakeMark::of(TAKE));
        let list = OverrunPlaces::read(&words);
        assert_eq!((list.of(TAKE), list.of(OTHER)), (vec![place(480_000, 1_103)], vec![]));
        for bit in 0..128 {
            let mut damaged = words;
            damaged[bit / 64] ^= 1 << (bit % 64);
            assert_eq!(OverrunPlaces::read(&damaged).of(TAKE), [], "bit {bit}");
        }
        let before = place(96_000, 1_103).words(TakeMark::of(TAKE));
        assert_eq!(OverrunPlaces::read(&[words[0], before[1]]).of(TAKE), [], "a mixture of two places is none");
        let longer = place(480_000, 2_206).words(TakeMark::of(TAKE));
        assert_eq!(longer[0], words[0], "an overrun that lasts changes one word only");
    }

    #[test]
    fn a_place_beyond_the_bits_is_cut_and_never_moved() {
        let mark = TakeMark::of(TAKE);
        let list = OverrunPlaces::read(&place(7, u64::MAX).words(mark));
        assert_eq!(list.of(TAKE), [place(7, low_bits(FRAMES_BITS))]);
        assert_eq!(OverrunPlaces::read(&place(7, 0).words(mark)).of(TAKE), []);
        assert_eq!(OverrunPlaces::read(&place(1 << AT_BITS, 7).words(mark)).of(TAKE), []);
    }

    proptest! {
        #[test]
        fn any_words_make_a_list_that_is_bounded(words in prop::collection::vec(any::<u64>(), 0..200)) {
            let list = OverrunPlaces::read(&words);
            prop_assert!(list.entries.len() <= words.len() / ENTRY_WORDS && list.of(TAKE).len() <= list.entries.len());
        }
    }
}
