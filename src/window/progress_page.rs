//! How far a pass has come, kept where it outlives the program: one page of shared memory that the audio thread stores
//! to and a recovery reads. Thread: butler makes it, audio writes it, whoever recovers reads it.
//!
//! Spool windows are populated ahead, so the spool alone does not tell sound from what was still to come. The page does:
//! after the samples of a stretch are in the windows of *every* take, and not before, one store says so. What a killed
//! program has stored is in the page, since the page belongs to a file and not to the program.
//!
//! | word | what it says |
//! |---|---|
//! | 0 | frames that every take has, lost ones included |
//! | 1 | where on the timeline the pass began, and one; 0: it has not begun |
//! | 2 | frames for which a take had no window, summed over takes |
//! | 3 | losses of the device |
//! | 4 | frames in them |
//! | 8 .. 199 | the first 64 losses: where in the take, frames, cause |
//!
//! Words have 8 bytes, in the machine's own order: the page never travels. It is the second of its file: the first one is
//! the maker's.

use super::budget::LockBudget;
use super::map::{Mapping, Populate};
use crate::limits::PAGE_BYTES;
use crate::time::{FramePos, Frames};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Byte of the file at which the page begins.
pub const PAGE_AT: u64 = PAGE_BYTES as u64;

/// Bytes of the file.
pub const FILE_BYTES: u64 = PAGE_AT + PAGE_BYTES as u64;

/// Losses that are kept with their place.
pub const LOSSES_MAX: usize = 64;

const FRAMES: usize = 0;
const BEGAN: usize = 1;
const OVERRUN: usize = 2;
const LOSSES: usize = 3;
const LOST: usize = 4;
const MARKS: usize = 8;
const MARK_WORDS: usize = 3;
const _: () = assert!((MARKS + MARK_WORDS * LOSSES_MAX) * size_of::<u64>() <= PAGE_BYTES);

/// The writer's end. Holding one tells you: a store takes no fault (the page is resident, it belongs to tmpfs, which
/// nothing writes back) and nobody else writes.
#[derive(Debug)]
pub struct ProgressPage {
    map: Mapping,
}

/// A loss of the device as the page keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressLoss {
    /// Where in the take.
    pub at: FramePos,
    /// How long.
    pub frames: Frames,
    /// Why: a number of the writer's.
    pub cause: u64,
}

/// What a page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames that every take has.
    pub frames: Frames,
    /// Where on the timeline the pass began; `None`: it had not.
    pub began: Option<FramePos>,
    /// Frames for which a take had no window, summed over takes.
    pub overrun: Frames,
    /// Losses of the device, listed or not.
    pub losses: u64,
    /// Frames in them.
    pub lost: Frames,
    /// The first of them.
    pub marks: Vec<ProgressLoss>,
}

impl ProgressPage {
    /// Maps the page in `file` (on tmpfs, [`FILE_BYTES`] long), brings it in and locks it, if the budget allows.
    pub fn new(file: &File, populate: Populate, budget: &Arc<LockBudget>) -> io::Result<ProgressPage> {
        let mut map = Mapping::writable(file, PAGE_AT, PAGE_BYTES)?;
        map.populate(populate)?;
        map.lock(budget);
        Ok(ProgressPage { map })
    }

    /// The pass records its first frame. This is realtime-safe.
    pub fn begin(&self, at: FramePos) {
        self.map.word(BEGAN).store(at.0.saturating_add(1), Release);
    }

    /// Every take has `frames` frames. To be said after their samples are stored. This is realtime-safe.
    pub fn advance_to(&self, frames: Frames) {
        // Release: nobody sees the number before the samples. On x86 a plain store.
        self.map.word(FRAMES).store(frames.0, Release);
    }

    /// A take had no window for `frames` frames. This is realtime-safe.
    pub fn overrun(&self, frames: Frames) {
        self.map.word(OVERRUN).fetch_add(frames.0, Relaxed);
    }

    /// The device lost `lost` frames: the last of `count` losses is now `mark`, if it is one of those that are kept with
    /// their place. This is realtime-safe.
    pub fn lose(&self, count: usize, mark: Option<ProgressLoss>, lost: Frames) {
        if let Some(mark) = mark
            && (1..=LOSSES_MAX).contains(&count)
        {
            let at = MARKS + MARK_WORDS * (count - 1);
            for (word, value) in [mark.at.0, mark.frames.0, mark.cause].into_iter().enumerate() {
                self.map.word(at + word).store(value, Relaxed);
            }
        }
        self.map.word(LOST).fetch_add(lost.0, Relaxed);
        self.map.word(LOSSES).store(count as u64, Release);
    }
}

impl Progress {
    /// Reads a page. `None` if it is not a whole one. Any bytes are a page: what it claims is to be judged.
    pub fn read(page: &[u8]) -> Option<Progress> {
        if page.len() != PAGE_BYTES {
            return None;
        }
        let words: Vec<u64> = page.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        let listed = words[LOSSES].min(LOSSES_MAX as u64) as usize;
        let mark = |mark: &[u64]| ProgressLoss { at: FramePos(mark[0]), frames: Frames(mark[1]), cause: mark[2] };
        Some(Progress {
            frames: Frames(words[FRAMES]),
            began: words[BEGAN].checked_sub(1).map(FramePos),
            overrun: Frames(words[OVERRUN]),
            losses: words[LOSSES],
            lost: Frames(words[LOST]),
            marks: words[MARKS..].chunks_exact(MARK_WORDS).take(listed).map(mark).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn page(file: &File) -> Progress {
        let mut page = vec![0; PAGE_BYTES];
        file.read_exact_at(&mut page, PAGE_AT).unwrap();
        Progress::read(&page).unwrap()
    }

    #[test]
    fn what_is_stored_is_in_the_file_at_once_and_stays_when_the_writer_is_gone() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(FILE_BYTES).unwrap();
        file.write_all_at(b"{}\n", 0).unwrap();
        let progress_page = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(PAGE_BYTES as u64)).unwrap();
        assert_eq!(page(&file), Progress::default());
        progress_page.begin(FramePos(0));
        progress_page.advance_to(Frames(64));
        assert_eq!((page(&file).began, page(&file).frames), (Some(FramePos(0)), Frames(64)));
        let loss = ProgressLoss { at: FramePos(64), frames: Frames(10), cause: 1 };
        progress_page.lose(1, Some(loss), Frames(10));
        progress_page.lose(1, Some(ProgressLoss { frames: Frames(15), ..loss }), Frames(5));
        progress_page.lose(100, None, Frames(1));
        progress_page.overrun(Frames(7));
        drop(progress_page);
        let found = page(&file);
        assert_eq!((found.losses, found.lost, found.overrun, found.frames), (100, Frames(16), Frames(7), Frames(64)));
        assert_eq!(found.marks[0], ProgressLoss { frames: Frames(15), ..loss });
        assert_eq!(found.marks.len(), LOSSES_MAX);
    }

    #[test]
    fn any_bytes_are_read_and_bound_nothing() {
        let found = Progress::read(&[0xff; PAGE_BYTES]).unwrap();
        assert_eq!((found.frames, found.marks.len()), (Frames(u64::MAX), LOSSES_MAX));
        assert_eq!(Progress::read(&[0; PAGE_BYTES - 1]), None);
    }
}
