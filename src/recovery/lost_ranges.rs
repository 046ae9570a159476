//! The ranges of a take's file that are lost: they were never written, or another program has changed them, and nothing else has
//! their sound. Thread: any that may wait for the disk.
//!
//! The gaps of a replica are in memory only while a pass runs, and a kill takes that list away. Recovery finds them in the file:
//! as holes, or as pages of zeros where the file system has no holes ([`never_written`]).

use super::damage::zero_runs;
use super::evidence::{Extent, FoundSpool};
use super::ranges::{holes, never_written, without};
use super::take_wav::TakeWav;
use crate::host::disk;
use crate::limits::DATA_OFFSET;
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
    ) -> io::Result<Vec<(Frames, Frames)>> {
        let byte = |frame: Frames| DATA_OFFSET + self.bytes_of(frame.min(frames));
        let claimed = self.claimed.min(frames);
        let before_claim = never_written(&self.file, byte(self.vouched().min(claimed)), byte(claimed))?;
        let in_mirror =
            mirror.map(|mirror| (DATA_OFFSET, DATA_OFFSET + self.bytes_of(self.frames_here(mirror.vouched()))));
        let mut lost = self.in_frames(without(before_claim, in_mirror.into_iter()));
        if claimed < frames {
            let frame = |at: u64| Frames((at - DATA_OFFSET) / self.frame_bytes()).max(claimed);
            let begin = |loss: &Loss| Frames(loss.at.0);
            let listed = listed.iter().map(|loss| (byte(begin(loss)), byte(begin(loss) + loss.frames)));
            let behind_claim = without(never_written(&self.file, byte(claimed), byte(frames))?, listed);
            let first = behind_claim.first().map(|(start, _)| frame(*start));
            let first = first.into_iter().chain(self.short_of(frames)).min();
            lost.extend(first.map(|first| (first, frames - first)));
        }
        Ok(lost)
    }

    /// The ranges of this file from its header's claim up to frame `frames` that were never written, and of which neither
    /// the spool nor the other replica has anything: first frame and length.
    ///
    /// Without holes, recorded silence looks like a gap. So pages of zeros count only where a gap can be: the take has a
    /// mirror, whose committer may have freed memory that this file still needed, or a part of the index is not believed.
    pub(super) fn missing(
        &self,
        frames: Frames,
        spool: &FoundSpool,
        mirror: Option<&TakeWav>,
    ) -> io::Result<Vec<(Frames, Frames)>> {
        let (from, end) = (DATA_OFFSET + self.bytes_of(self.vouched()), DATA_OFFSET + self.bytes_of(frames));
        let may_have_gaps = spool.identity.mirror.is_some() || spool.damaged_slots() > 0;
        let mut missing =
            if may_have_gaps { never_written(&self.file, from, end)? } else { holes(&self.file, from, end)? };
        missing = without(missing, self.in_memory(frames, Some(spool))?.into_iter());
        if let Some(mirror) = mirror.filter(|_| !missing.is_empty()) {
            let theirs = |at: u64| at + self.offset_bytes();
            let mut at = from;
            let mut there = Vec::new();
            // A mirror that does not say what it has has nothing.
            let unknown = |_| vec![(theirs(from), theirs(end))];
            for (start, hole) in never_written(&mirror.file, theirs(from), theirs(end)).unwrap_or_else(unknown) {
                there.push((at, start - self.offset_bytes()));
                at = hole - self.offset_bytes();
            }
            there.push((at, end));
            missing = without(missing, there.into_iter());
        }
        Ok(self.in_frames(missing))
    }

    /// The ranges of this file up to frame `frames` that are lost because another program has changed the file: first frame and
    /// length. Silence counts as lost where that program may have written, because nothing tells the two apart.
    pub(super) fn lost_by_others(
        &self,
        frames: Frames,
        spool: Option<&FoundSpool>,
    ) -> io::Result<Vec<(Frames, Frames)>> {
        let lost = self.zeros_of_others(frames, spool)?;
        let (frame_bytes, byte) = (self.frame_bytes(), |at: u64| at - DATA_OFFSET);
        let whole = |(start, end): Extent| (byte(start) / frame_bytes, byte(end).div_ceil(frame_bytes));
        Ok(lost.into_iter().map(whole).map(|(from, to)| (Frames(from), Frames(to - from))).collect())
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
        let zeros = zero_runs(&self.file, byte(self.vouched()), byte(frames), self.bytes_of(least))?;
        Ok(without(zeros, self.in_memory(frames, spool)?.into_iter()))
    }

    /// Makes silence of the frames of which another program has left a part: they are at the edges of its zeros. What came from
    /// memory is true, also at the edge of silence.
    pub(super) fn silence_torn_frames(&self, frames: Frames, spool: Option<&FoundSpool>) -> io::Result<()> {
        // Where the file cannot be read, nothing is known to be torn.
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
