//! The ranges of a take's file that are lost: they were never written, or another program has changed them, and nothing else has
//! their sound. Thread: any that may wait for the disk.
//!
//! The gaps of a replica are in memory only while a pass runs, and a kill takes that list away. Recovery finds them in the file:
//! as holes, or as pages of zeros where the file system has no holes ([`never_written`]).

use super::damage::zeros_or_unreadable;
use super::evidence::{Extent, FoundSpool};
use super::ranges::{holes, never_written, pages_of_zeros, read_as_far_as_possible, without};
use super::take_wav::TakeWav;
use crate::file_system::knows_holes;
use crate::host::disk;
use crate::limits::{DATA_OFFSET, PAGE_BYTES};
use crate::session::Loss;
use crate::time::Frames;
use std::io;

/// The shortest run of zeros that counts as lost in a file that another program has changed. A changed part that is shorter as a
/// whole counts as lost if all of it is zeros.
pub(super) const ZERO_FRAMES_LEAST: Frames = Frames(64);

impl TakeWav {
    /// The ranges of this file up to frame `frames` that are lost if no memory is left: first frame and length. Behind the
    /// header's claim, everything from the first block on that was never written is lost. If an earlier recovery wrote the
    /// claim, or the take was recorded in place, each block before it that was never written is lost, too.
    ///
    /// Nothing writes the silence of a loss, so its blocks are not the end of the sound. `listed`: the losses that the session
    /// lists for the take. `mirror`: the other replica, if this file has all of its sound. Up to the claim of its recording it
    /// has no gap, so blocks that were not written there are silence.
    pub(super) fn lost_without_memory(
        &self,
        frames: Frames,
        listed: &[Loss],
        mirror: Option<&TakeWav>,
    ) -> Vec<(Frames, Frames)> {
        let byte = |frame: Frames| DATA_OFFSET + self.bytes_of(frame.min(frames));
        let claimed = self.claimed.min(frames);
        let (vouched, claim, end) = (byte(self.vouched().min(claimed)), byte(claimed), byte(frames));
        let known: Vec<Extent> = self.bytes_of_losses(listed, frames).collect();
        let mut before_claim = self.with_zeros_before(vouched, self.gaps(vouched, claim, true), &known);
        before_claim.extend(self.zeros_to_end_of_page(vouched, claim));
        let in_mirror =
            mirror.map(|mirror| (DATA_OFFSET, DATA_OFFSET + self.bytes_of(self.frames_here(mirror.vouched()))));
        let mut lost = self.in_frames(without(before_claim, known.iter().copied().chain(in_mirror)));
        if claimed < frames {
            let frame = |at: u64| Frames((at - DATA_OFFSET) / self.frame_bytes()).max(claimed);
            let behind_claim = self.with_zeros_before(claim, self.gaps(claim, end, true), &known);
            let first = behind_claim.first().map(|(start, _)| frame(*start));
            // The sound that was copied from another file of the take can end behind the end that this file had.
            let first = first.into_iter().chain(self.short_of(frames).map(|there| there.max(claimed))).min();
            lost.extend(first.map(|first| (first, frames - first)));
            // A header in place claims a part of a page. The rest of that page can be recorded silence.
            let rest = self.zeros_to_end_of_page(claim, end).filter(|_| !self.is_in_place());
            lost.extend(self.in_frames(without(rest.into_iter().collect(), known.into_iter())));
        }
        lost
    }

    /// The parts of `ranges` that are not known, each with the zeros before it in its page, but not before byte `from`. The sound of
    /// another file of the take can have ended there, or another program has cut the file.
    fn with_zeros_before(&self, from: u64, ranges: Vec<Extent>, known: &[Extent]) -> Vec<Extent> {
        // Known ranges are taken out first: the zeros before a known range belong to no gap.
        let mut found = without(ranges, known.iter().copied());
        for (start, _) in &mut found {
            *start = self.begin_of_zeros(from, *start);
        }
        without(found, known.iter().copied())
    }

    /// The ranges of this file from byte `from` to byte `end` that were never written. `may_be_zeros`: where the file system does not
    /// track holes, pages of zeros count. A file that does not say what it has lacks its zeros.
    fn gaps(&self, from: u64, end: u64, may_be_zeros: bool) -> Vec<Extent> {
        let found = if may_be_zeros { never_written(&self.file, from, end) } else { holes(&self.file, from, end) };
        found.unwrap_or_else(|_| pages_of_zeros(&self.file, from, end))
    }

    /// The range from byte `from` to the end of its page, or to byte `end`, if it has zeros only. A recording writes whole pages,
    /// but the sound of another file of the take can end within a page of this one, and the rest is no gap of whole pages then.
    /// The part of a frame at the end of a page does not count: it belongs to the next page.
    fn zeros_to_end_of_page(&self, from: u64, end: u64) -> Option<Extent> {
        let rest = (from, from.next_multiple_of(PAGE_BYTES as u64).min(end));
        let has_frame = from + self.frame_bytes() <= rest.1;
        (has_frame && zeros_or_unreadable(&self.file, rest.0, rest.1, 1) == [rest]).then_some(rest)
    }

    /// The bytes of losses that the session lists for this file of `frames` frames.
    fn bytes_of_losses(&self, listed: &[Loss], frames: Frames) -> impl Iterator<Item = Extent> {
        let byte = move |frame: Frames| DATA_OFFSET + self.bytes_of(frame.min(frames));
        listed.iter().map(move |loss| (byte(Frames(loss.at.0)), byte(Frames(loss.at.0) + loss.frames)))
    }

    /// The ranges of this file from its header's claim up to frame `frames` that were never written, and of which neither
    /// the spool nor the other replica has anything: first frame and length. `listed`: the losses that the session lists for
    /// the take.
    ///
    /// Without holes, recorded silence looks like a gap. So pages of zeros count only where a gap can be: the take has a
    /// mirror, whose committer may have freed memory that this file still needed, or a part of the index is not believed.
    pub(super) fn missing(
        &self,
        frames: Frames,
        spool: &FoundSpool,
        listed: &[Loss],
        mirror: Option<&TakeWav>,
    ) -> io::Result<Vec<(Frames, Frames)>> {
        let (from, end) = (DATA_OFFSET + self.bytes_of(self.vouched()), DATA_OFFSET + self.bytes_of(frames));
        let may_have_gaps = spool.identity.mirror.is_some() || spool.damaged_slots() > 0;
        let mut missing = self.gaps(from, end, may_have_gaps);
        missing.extend(self.zeros_to_end_of_page(from, end).filter(|_| may_have_gaps));
        // The rest of a page behind the end of the file is no page of its own.
        let page = PAGE_BYTES as u64;
        let rest = (self.bytes_there.max(from), self.bytes_there.next_multiple_of(page).min(end));
        missing.extend(Some(rest).filter(|(start, end)| start < end));
        let mut known = self.in_memory(frames, Some(spool))?;
        known.extend(self.bytes_of_losses(listed, frames));
        missing = self.with_zeros_before(from, missing, &known);
        if let Some(mirror) = mirror.filter(|_| !missing.is_empty()) {
            let theirs = |at: u64| at + self.offset_bytes();
            let mut at = from;
            let mut there = Vec::new();
            // A mirror that does not say what it has has nothing. A copy that another program has made of it has no holes.
            let unknown = |_| vec![(theirs(from), theirs(end))];
            let lacks = if mirror.is_changed() || !knows_holes(&mirror.file) {
                let rest = mirror.zeros_to_end_of_page(theirs(from), theirs(end));
                rest.into_iter().chain(pages_of_zeros(&mirror.file, theirs(from), theirs(end))).collect()
            } else {
                holes(&mirror.file, theirs(from), theirs(end)).unwrap_or_else(unknown)
            };
            for (start, hole) in lacks {
                there.push((at, start - self.offset_bytes()));
                at = at.max(hole - self.offset_bytes());
            }
            there.push((at, end));
            missing = without(missing, there.into_iter());
        }
        Ok(self.in_frames(missing))
    }

    /// The begin of the frame in which the zeros right before byte `start` begin, within a page and not before byte `from`. A page
    /// in which a file was cut ends with zeros, and is no hole. Without zeros it is the frame that has byte `start`.
    fn begin_of_zeros(&self, from: u64, start: u64) -> u64 {
        let page = (start.saturating_sub(1) / PAGE_BYTES as u64 * PAGE_BYTES as u64).max(from);
        let mut bytes = vec![0; start.saturating_sub(page) as usize];
        read_as_far_as_possible(&self.file, &mut bytes, page);
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count() as u64;
        let begin = DATA_OFFSET + (start - zeros - DATA_OFFSET) / self.frame_bytes() * self.frame_bytes();
        begin.max(from)
    }

    /// The ranges of this file up to frame `frames` that are lost because another program has changed the file: first frame and
    /// length. Silence counts as lost where that program may have written, because nothing tells the two apart.
    pub(super) fn lost_by_others(
        &self,
        frames: Frames,
        spool: Option<&FoundSpool>,
    ) -> io::Result<Vec<(Frames, Frames)>> {
        Ok(self.in_frames(self.zeros_of_others(frames, spool)?))
    }

    /// Runs of zeros in the part of this file that another program may have changed, without what came from memory. None if
    /// nothing says that one did.
    fn zeros_of_others(&self, frames: Frames, spool: Option<&FoundSpool>) -> io::Result<Vec<Extent>> {
        if !self.is_changed() {
            return Ok(Vec::new());
        }
        let byte = |frames: Frames| DATA_OFFSET + self.bytes_of(frames);
        // The part that may be changed can have fewer frames than the shortest run.
        let least = ZERO_FRAMES_LEAST.min(frames - self.vouched()).max(Frames(1));
        let mut zeros = zeros_or_unreadable(&self.file, byte(self.vouched()), byte(frames), self.bytes_of(least));
        // Behind a cut is the rest of a page, which can be shorter.
        for cut in self.cuts().filter(|cut| (DATA_OFFSET..byte(frames)).contains(cut)) {
            let end = (cut + 1).next_multiple_of(PAGE_BYTES as u64).min(byte(frames));
            let is_known = zeros.iter().any(|(start, known)| *start <= cut && end <= *known);
            if !is_known && zeros_or_unreadable(&self.file, cut, end, 1) == [(cut, end)] {
                zeros.push((cut, end));
            }
        }
        zeros.sort_unstable();
        Ok(without(zeros, self.in_memory(frames, spool)?.into_iter()))
    }

    /// Makes silence of the frames of which another program has left a part: they are at the edges of its zeros. What came from
    /// memory is true, also at the edge of silence.
    pub(super) fn silence_torn_frames(&self, frames: Frames, spool: Option<&FoundSpool>) -> io::Result<()> {
        // If the memory cannot be read, nothing is known to be torn.
        let zeros = self.zeros_of_others(frames, spool).unwrap_or_default();
        let frame_bytes = self.frame_bytes();
        let in_memory = if zeros.is_empty() { Vec::new() } else { self.in_memory(frames, spool)? };
        for (start, end) in zeros {
            let (first, last) = ((start - DATA_OFFSET) / frame_bytes, (end - DATA_OFFSET).div_ceil(frame_bytes));
            let edges = vec![(DATA_OFFSET + first * frame_bytes, start), (end, DATA_OFFSET + last * frame_bytes)];
            for (from, to) in without(edges, in_memory.iter().copied()) {
                if from < to {
                    disk::write_all_at(&self.file, &vec![0; (to - from) as usize], from)?;
                }
            }
        }
        Ok(())
    }
}
