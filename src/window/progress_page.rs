//! The length of the current pass, in pages of shared memory that outlive the program: the audio thread stores it, a
//! recovery reads it. Thread: butler makes the pages, audio writes it, recovery reads it.
//!
//! The butler populates spool windows ahead, so the spool alone does not show where the sound ends. The page does: the
//! audio thread first stores samples in the windows of *every* take and then, with one store, their number in the page.
//! The page belongs to a file on tmpfs, so it keeps the number when the program is killed.
//!
//! | word | content |
//! |---|---|
//! | 0 | frames that every take has, lost frames included |
//! | 1 | timeline position of the first frame plus 1; 0: the pass has not begun |
//! | 2 | frames for which a take had no window, summed over takes |
//! | 3 | number of losses of the device |
//! | 4 | frames in those losses |
//! | 8 .. 199 | the 64 longest losses: position in the take, frames, cause |
//! | 200 | number of ranges in which the device had fewer inputs; pages of earlier programs have 0 |
//! | 201 .. 392 | these ranges: inputs that the device had, first frame in the take, frame after the last one (0: none yet) |
//! | 393 | number of overruns that were noted; pages of earlier programs have 0 from here on |
//! | 394 .. | the places of the last of them ([`super::overrun_places`]): 59 in the first page, and two for each take |
//!
//! Control writes the words from 200 to 392 through the file ([`absence_words`]), the audio thread all others.
//!
//! Words have 8 bytes in the machine's byte order, because the pages never leave the machine. A pass with few takes has one
//! page, as in earlier programs. The file has another page before them, which identifies the pass (`butler::spool`).

use super::budget::LockBudget;
use super::map::{Mapping, Populate};
use super::overrun_places::{ENTRY_WORDS, FIRST_PAGE_PLACES, OverrunPlace, OverrunPlaces, PLACES_PER_TAKE, TakeMark};
use crate::limits::{PAGE_BYTES, TRACK_COUNT_MAX};
use crate::time::{FramePos, Frames};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Offset of the pages in the file.
pub const PAGE_AT: u64 = PAGE_BYTES as u64;

/// Pages for a pass with the most takes.
pub const PAGES_MAX: usize = pages_for(TRACK_COUNT_MAX);

/// Losses that are stored with their position.
pub const LOSSES_MAX: usize = 64;

const FRAMES: usize = 0;
const BEGAN: usize = 1;
const OVERRUN: usize = 2;
const LOSSES: usize = 3;
const LOST: usize = 4;
const MARKS: usize = 8;
const MARK_WORDS: usize = 3;
/// Ranges with fewer inputs that are stored.
pub const ABSENCES_MAX: usize = 64;

const ABSENCES: usize = MARKS + MARK_WORDS * LOSSES_MAX;
const ABSENCE_WORDS: usize = 3;
const NOTED: usize = ABSENCES + 1 + ABSENCE_WORDS * ABSENCES_MAX;
const PLACES: usize = NOTED + 1;
const _: () = assert!(places_in(PAGE_BYTES) == FIRST_PAGE_PLACES);

/// Offset in the file of the words that control writes.
pub const ABSENCES_AT: u64 = PAGE_AT + (ABSENCES * size_of::<u64>()) as u64;

/// Overruns whose places fit into so many bytes of pages.
const fn places_in(bytes: usize) -> usize {
    (bytes / size_of::<u64>() - PLACES) / ENTRY_WORDS
}

const fn pages_for(takes: usize) -> usize {
    let more = (takes * PLACES_PER_TAKE).saturating_sub(FIRST_PAGE_PLACES);
    1 + (more * ENTRY_WORDS * size_of::<u64>()).div_ceil(PAGE_BYTES)
}

/// Length of the file for a pass with so many takes.
pub fn file_bytes(takes: usize) -> u64 {
    PAGE_AT + (pages_for(takes) * PAGE_BYTES) as u64
}

/// Bytes of the pages in a file of `file_bytes` bytes: one page at least, and not more than a pass can have.
pub fn bytes_of_pages(file_bytes: u64) -> usize {
    let pages = file_bytes.saturating_sub(PAGE_AT) / PAGE_BYTES as u64;
    pages.clamp(1, PAGES_MAX as u64) as usize * PAGE_BYTES
}

/// The writer's end of the pages. Holding one tells you: a store takes no fault (the pages are resident and on tmpfs,
/// where the kernel writes nothing back), and nobody else writes to its words.
#[derive(Debug)]
pub struct ProgressPage {
    map: Mapping,
    /// Overruns whose places fit into the pages.
    places: u64,
}

/// The number of an overrun in the list of their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedOverrun(u64);

/// A loss of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressLoss {
    /// Position in the take of the first lost frame.
    pub at: FramePos,
    /// Number of lost frames.
    pub frames: Frames,
    /// A number for the cause, defined by the writer.
    pub cause: u64,
}

/// A range of a pass in which the device had fewer inputs than the takes record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputAbsence {
    /// Inputs that the device had.
    pub inputs: u64,
    /// The first frame of the pass.
    pub from: FramePos,
    /// The frame after the last one. `None`: it lasts.
    pub until: Option<FramePos>,
}

impl InputAbsence {
    /// Of the 0-based inputs of a take, one that the device did not have.
    pub fn missing_of(&self, mut inputs: impl Iterator<Item = u64>) -> Option<u64> {
        inputs.find(|input| self.inputs <= *input)
    }
}

/// Content of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames that every take has, lost frames included.
    pub frames: Frames,
    /// Timeline position of the first frame; `None`: the pass had not begun.
    pub began: Option<FramePos>,
    /// Frames for which a take had no window, summed over takes.
    pub overrun: Frames,
    /// Number of losses of the device, including those without a position.
    pub losses: u64,
    /// Frames in those losses.
    pub lost: Frames,
    /// The longest losses, in the order of their positions.
    pub marks: Vec<ProgressLoss>,
    /// The ranges in which the device had fewer inputs.
    pub absences: Vec<InputAbsence>,
    /// The places of the last overruns.
    pub overruns: OverrunPlaces,
}

impl ProgressPage {
    /// Maps the pages of `file` (on tmpfs, as long as [`file_bytes`] says), populates them, and locks them if the budget
    /// allows.
    pub fn new(file: &File, populate: Populate, budget: &Arc<LockBudget>) -> io::Result<ProgressPage> {
        let bytes = bytes_of_pages(file.metadata()?.len());
        let mut map = Mapping::writable(file, PAGE_AT, bytes)?;
        map.populate(populate)?;
        map.lock(budget);
        Ok(ProgressPage { map, places: places_in(bytes) as u64 })
    }

    /// Stores the timeline position of the first frame. This is realtime-safe.
    pub fn begin(&self, at: FramePos) {
        self.map.word(BEGAN).store(at.0.saturating_add(1), Release);
    }

    /// Stores that every take has `frames` frames. Call it after their samples are stored. This is realtime-safe.
    pub fn advance_to(&self, frames: Frames) {
        // Release: a reader that sees the number also sees the samples. On x86 this is a plain store.
        self.map.word(FRAMES).store(frames.0, Release);
    }

    /// Counts `frames` frames for which a take had no window. This is realtime-safe.
    pub fn overrun(&self, frames: Frames) {
        self.map.word(OVERRUN).fetch_add(frames.0, Relaxed);
    }

    /// Notes where the take with mark `take` had no window. `noted`: the answer of the call before for the same overrun,
    /// which was shorter then. Call it before the pass advances past the place. This is realtime-safe.
    pub fn note_overrun(&self, take: TakeMark, place: OverrunPlace, noted: Option<NotedOverrun>) -> NotedOverrun {
        let count = self.map.word(NOTED).load(Relaxed);
        // A later overrun may have taken the entry of this one.
        let still = noted.filter(|noted| count.saturating_sub(noted.0) <= self.places);
        let number = still.unwrap_or(NotedOverrun(count));
        let at = PLACES + ENTRY_WORDS * (number.0 % self.places) as usize;
        let [first, second] = place.words(take);
        if still.is_none() {
            // If the program is killed between the stores, the entry is empty and not a mixture of two.
            self.map.word(at + 1).store(0, Release);
            self.map.word(at).store(first, Release);
            self.map.word(NOTED).store(count.wrapping_add(1), Relaxed);
        }
        self.map.word(at + 1).store(second, Release);
        number
    }

    /// Counts `lost` more frames that the device lost. `count` is the number of losses; `mark` is the slot that changed,
    /// if one did, and its content. This is realtime-safe.
    pub fn add_loss(&self, count: usize, mark: Option<(usize, ProgressLoss)>, lost: Frames) {
        if let Some((slot, mark)) = mark
            && slot < LOSSES_MAX
        {
            let at = MARKS + MARK_WORDS * slot;
            if self.map.word(at).load(Relaxed) != mark.at.0 {
                // The slot has another loss. If the program is killed between the stores, the slot is empty and not a
                // mixture of both.
                self.map.word(at + 1).store(0, Release);
            }
            self.map.word(at).store(mark.at.0, Release);
            self.map.word(at + 2).store(mark.cause, Release);
            self.map.word(at + 1).store(mark.frames.0, Release);
        }
        self.map.word(LOST).fetch_add(lost.0, Relaxed);
        self.map.word(LOSSES).store(count as u64, Release);
    }
}

/// The bytes for [`ABSENCES_AT`]. They lie inside the page, so one write stores them whole or not at all. If there are too
/// many ranges, the last one stored covers the rest, with the fewest inputs of them.
pub fn absence_words(absences: &[InputAbsence]) -> Vec<u8> {
    let mut stored = absences.to_vec();
    // An end at frame 0 would read as none.
    stored.retain(|absence| absence.until.is_none_or(|until| absence.from < until));
    if ABSENCES_MAX < stored.len() {
        let rest = stored.split_off(ABSENCES_MAX - 1);
        let inputs = rest.iter().map(|absence| absence.inputs).min().unwrap_or(0);
        let until = rest.last().and_then(|absence| absence.until);
        stored.extend(rest.first().map(|first| InputAbsence { inputs, from: first.from, until }));
    }
    let words = stored.iter().flat_map(|it| [it.inputs, it.from.0, it.until.map_or(0, |until| until.0)]);
    [stored.len() as u64].into_iter().chain(words).flat_map(u64::to_ne_bytes).collect()
}

impl Progress {
    /// Reads the pages of a file. `None`: `pages` does not have the length of one or more pages. Any bytes are accepted: the
    /// caller judges the numbers.
    pub fn read(pages: &[u8]) -> Option<Progress> {
        if pages.is_empty() || !pages.len().is_multiple_of(PAGE_BYTES) || PAGES_MAX < pages.len() / PAGE_BYTES {
            return None;
        }
        let words: Vec<u64> = pages.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        let listed = words[LOSSES].min(LOSSES_MAX as u64) as usize;
        let mark = |mark: &[u64]| ProgressLoss { at: FramePos(mark[0]), frames: Frames(mark[1]), cause: mark[2] };
        let mut marks: Vec<ProgressLoss> = words[MARKS..].chunks_exact(MARK_WORDS).take(listed).map(mark).collect();
        marks.sort_by_key(|mark| (mark.frames.0 == 0, mark.at));
        let stored = words[ABSENCES].min(ABSENCES_MAX as u64) as usize;
        let absence = |range: &[u64]| {
            let until = Some(FramePos(range[2])).filter(|until| until.0 != 0);
            InputAbsence { inputs: range[0], from: FramePos(range[1]), until }
        };
        let absences = words[ABSENCES + 1..].chunks_exact(ABSENCE_WORDS).take(stored).map(absence);
        Some(Progress {
            absences: absences.filter(|it| it.until.is_none_or(|until| it.from < until)).collect(),
            frames: Frames(words[FRAMES]),
            began: words[BEGAN].checked_sub(1).map(FramePos),
            overrun: Frames(words[OVERRUN]),
            overruns: OverrunPlaces::read(&words[PLACES..]),
            losses: words[LOSSES],
            lost: Frames(words[LOST]),
            marks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use uuid::Uuid;

    fn page(file: &File) -> Progress {
        let mut page = vec![0; PAGE_BYTES];
        file.read_exact_at(&mut page, PAGE_AT).unwrap();
        Progress::read(&page).unwrap()
    }

    #[test]
    fn stored_numbers_are_in_the_file_at_once_and_stay_after_the_writer() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(file_bytes(1)).unwrap();
        file.write_all_at(b"{}\n", 0).unwrap();
        let progress_page = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(PAGE_BYTES as u64)).unwrap();
        assert_eq!(page(&file), Progress::default());
        progress_page.begin(FramePos(0));
        progress_page.advance_to(Frames(64));
        assert_eq!((page(&file).began, page(&file).frames), (Some(FramePos(0)), Frames(64)));
        let loss = ProgressLoss { at: FramePos(64), frames: Frames(10), cause: 1 };
        progress_page.add_loss(1, Some((0, loss)), Frames(10));
        progress_page.add_loss(1, Some((0, ProgressLoss { frames: Frames(15), ..loss })), Frames(5));
        progress_page.add_loss(100, None, Frames(1));
        progress_page.overrun(Frames(7));
        drop(progress_page);
        let found = page(&file);
        assert_eq!((found.losses, found.lost, found.overrun, found.frames), (100, Frames(16), Frames(7), Frames(64)));
        assert_eq!(found.marks[0], ProgressLoss { frames: Frames(15), ..loss });
        assert_eq!(found.marks.len(), LOSSES_MAX);
    }

    #[test]
    fn an_overrun_keeps_its_entry_while_it_lasts_and_a_later_one_takes_the_oldest() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(file_bytes(1)).unwrap();
        let progress_page = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(PAGE_BYTES as u64)).unwrap();
        let take = |number: u64| Uuid::from_u128(u128::from(number) + 1);
        let place = |frames: u64| OverrunPlace { at: FramePos(640), frames: Frames(frames) };
        let note = |number: u64, frames: u64, noted: Option<NotedOverrun>| {
            progress_page.note_overrun(TakeMark::of(take(number)), place(frames), noted)
        };
        let first = note(0, 64, None);
        assert_eq!(note(0, 128, Some(first)), first);
        assert_eq!(page(&file).overruns.of(take(0)), [place(128)]);
        let last = (1..=FIRST_PAGE_PLACES as u64).fold(first, |_, number| note(number, 64, None));
        assert_eq!(page(&file).overruns.of(take(0)), [], "the oldest one");
        assert_eq!(page(&file).overruns.of(take(1)), [place(64)]);
        let again = note(0, 192, Some(first));
        assert_ne!(again, first, "an overrun whose entry was taken gets another one");
        assert_eq!((page(&file).overruns.of(take(0)), page(&file).overruns.of(take(1))), (vec![place(192)], vec![]));
        assert_eq!(note(FIRST_PAGE_PLACES as u64, 128, Some(last)), last);
        let ranges = [InputAbsence { inputs: 1, from: FramePos(1), until: None }; ABSENCES_MAX];
        file.write_all_at(&absence_words(&ranges), ABSENCES_AT).unwrap();
        assert_eq!(page(&file).overruns.of(take(0)), [place(192)], "the words of control are others");
    }

    #[test]
    fn each_of_the_most_takes_has_places_for_two_overruns() {
        assert_eq!((file_bytes(0), file_bytes(29), file_bytes(30)), (8192, 8192, 12_288));
        assert_eq!((bytes_of_pages(0), bytes_of_pages(12_288), bytes_of_pages(u64::MAX)), (4096, 8192, 36_864));
        let file = tempfile::tempfile().unwrap();
        file.set_len(file_bytes(TRACK_COUNT_MAX)).unwrap();
        let pages = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(u64::MAX)).unwrap();
        let place = |at| OverrunPlace { at: FramePos(at), frames: Frames(64) };
        let takes = || (1..=TRACK_COUNT_MAX as u128).map(Uuid::from_u128);
        for at in [640, 6400] {
            for take in takes() {
                pages.note_overrun(TakeMark::of(take), place(at), None);
            }
        }
        let mut bytes = vec![0; PAGES_MAX * PAGE_BYTES];
        file.read_exact_at(&mut bytes, PAGE_AT).unwrap();
        let found = Progress::read(&bytes).unwrap();
        assert!(takes().all(|take| found.overruns.of(take) == [place(640), place(6400)]));
        assert_eq!(
            page(&file).overruns.of(Uuid::from_u128(1)),
            [place(640)],
            "an earlier program reads the first page"
        );
    }

    #[test]
    fn any_bytes_are_accepted_and_the_list_of_losses_is_bounded() {
        let found = Progress::read(&[0xff; PAGE_BYTES]).unwrap();
        assert_eq!((found.frames, found.marks.len()), (Frames(u64::MAX), LOSSES_MAX));
        assert_eq!(found.overruns.of(Uuid::max()), []);
        assert!(found.absences.is_empty(), "a range that ends where it begins is none");
        let mut page = vec![0xff; PAGE_BYTES];
        page[(ABSENCES + 1) * 8..].as_chunks_mut().0.iter_mut().step_by(2).for_each(|word| *word = 1_u64.to_ne_bytes());
        assert!(Progress::read(&page).unwrap().absences.len() <= ABSENCES_MAX);
        assert_eq!(Progress::read(&[0; PAGE_BYTES - 1]), None);
    }

    #[test]
    fn ranges_with_fewer_inputs_are_stored_beside_the_numbers_of_the_audio_thread() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(file_bytes(1)).unwrap();
        let progress_page = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(PAGE_BYTES as u64)).unwrap();
        progress_page.advance_to(Frames(64));
        (0..LOSSES_MAX).for_each(|slot| {
            let loss = ProgressLoss { at: FramePos(slot as u64), frames: Frames(1), cause: 1 };
            progress_page.add_loss(slot + 1, Some((slot, loss)), Frames(1));
        });
        let range = |at: u64| InputAbsence { inputs: 100 - at, from: FramePos(at), until: Some(FramePos(at + 1)) };
        let lasting = InputAbsence { until: None, ..range(70) };
        let store = |absences: &[InputAbsence]| file.write_all_at(&absence_words(absences), ABSENCES_AT).unwrap();
        store(&[range(0), lasting]);
        assert_eq!((page(&file).absences, page(&file).frames), (vec![range(0), lasting], Frames(64)));
        assert_eq!(page(&file).marks[LOSSES_MAX - 1].at, FramePos(LOSSES_MAX as u64 - 1), "the losses are untouched");
        // It counted as one that lasts.
        store(&[InputAbsence { until: Some(FramePos(0)), ..range(0) }, range(1)]);
        assert_eq!(page(&file).absences, [range(1)]);
        let mut many: Vec<InputAbsence> = (0..70).map(range).collect();
        many.push(lasting);
        store(&many);
        let found = page(&file).absences;
        assert_eq!((found.len(), found[..63] == many[..63]), (ABSENCES_MAX, true));
        assert_eq!(found[63], InputAbsence { inputs: 30, from: FramePos(63), until: None }, "it covers the rest");
        store(&[range(1)]);
        assert_eq!(page(&file).absences, [range(1)], "an earlier list is replaced");
        assert_eq!(range(1).missing_of([98, 99].into_iter()), Some(99));
        assert_eq!(range(1).missing_of([97, 98].into_iter()), None);
    }
}
