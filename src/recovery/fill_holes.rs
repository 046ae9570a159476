//! The copy of sound from one replica of a take into the other. Thread: any that may wait for the disk.

use super::Step;
use super::damage::restored_pages;
use super::ranges::{holes, read_as_far_as_possible};
use super::take_wav::{PIECE_BYTES, TakeWav, piece_for};
use crate::host::disk;
use crate::limits::{DATA_OFFSET, PAGE_BYTES};
use crate::time::Frames;
use std::io;

/// The failure of a copy from the other replica.
#[derive(Debug)]
pub(super) enum FillError {
    /// The file that gets the sound, which cannot be written.
    Own(io::Error),
    /// The other replica, which cannot be read.
    Other(io::Error),
}

impl TakeWav {
    /// Copies sound from the other replica where this file has zeros instead, up to its `frames` frames. These are gaps: when
    /// more than half of the spool was in use, the committer that was ahead freed spans that this replica still needed,
    /// or the butler did so because a committer took no commands. The program was killed before this replica's
    /// committer filled the gaps. Or another program has removed the sound.
    ///
    /// A part of the other replica that cannot be read is left out. The last such error is returned when the rest is copied.
    /// A part of this file that cannot be read counts as one without sound.
    pub(super) fn fill_holes_from(
        &self,
        other: &TakeWav,
        frames: Frames,
        hook: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> Result<(), FillError> {
        let (claim, end) =
            (DATA_OFFSET + self.bytes_of(self.vouched().min(frames)), DATA_OFFSET + self.bytes_of(frames));
        let claim = claim / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        // Behind the claim every byte is compared, because a file system need not know which parts were never written.
        let mut gaps = holes(&self.file, DATA_OFFSET, claim).map_err(FillError::Own)?;
        gaps.extend(Some((claim, end)).filter(|(claim, end)| claim < end));
        // The other file may begin later in the pass.
        let first = DATA_OFFSET + other.offset_bytes().saturating_sub(self.offset_bytes());
        for (start, _) in &mut gaps {
            *start = first.max(*start);
        }
        gaps.retain(|(start, hole)| start < hole);
        let (mut piece, mut ours) = (piece_for(&gaps), piece_for(&gaps));
        let (mut wrote, mut unread) = (false, None);
        for (start, hole) in gaps {
            for at in (start..hole).step_by(PIECE_BYTES) {
                let theirs = at + self.offset_bytes() - other.offset_bytes();
                let piece = &mut piece[..(hole - at).min(PIECE_BYTES as u64) as usize];
                let read = match disk::read_available(&other.file, piece, theirs) {
                    Ok(read) => read,
                    Err(error) => {
                        unread = Some(error);
                        continue;
                    }
                };
                wrote |= self.restore(&mut ours, &piece[..read], at, hook).map_err(FillError::Own)?;
            }
        }
        if wrote {
            disk::sync_data(&self.file).map_err(FillError::Own)?;
        }
        unread.map_or(Ok(()), |error| Err(FillError::Other(error)))
    }

    /// Writes the pages of `theirs` that this file lacks at `at`. `ours`: room for as many bytes. Returns whether there were any.
    fn restore(
        &self,
        ours: &mut [u8],
        theirs: &[u8],
        at: u64,
        hook: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> io::Result<bool> {
        let ours = &mut ours[..theirs.len()];
        // The sound of the other replica takes the place of what cannot be read. An error here would stop the recovery at every
        // start.
        read_as_far_as_possible(&self.file, ours, at);
        let restored = restored_pages(ours, theirs);
        for pages in &restored {
            hook(Step::Sound)?;
            disk::write_all_at(&self.file, &theirs[pages.clone()], at + pages.start as u64)?;
        }
        Ok(!restored.is_empty())
    }
}
