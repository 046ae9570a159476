//! The window that the audio thread is filling, as a committer reads it: from its slot in the spool file. Thread: committer.

use crate::host::disk;
use crate::limits;
use crate::message::offset::SpoolByte;
use crate::message::spool_file::SpoolFile;
use crate::spool_index::Part;
use std::io;

const PAGE: u64 = limits::PAGE_BYTES as u64;

/// The window that is being filled, up to the record position.
pub(super) struct OpenWindow<'a> {
    /// The record position.
    pub(super) recorded: SpoolByte,
    /// Whether the record position rests, because the device is away.
    pub(super) rests: bool,
    /// Buffer for the sound to read from the spool.
    pub(super) scratch: &'a mut [u8],
}

impl OpenWindow<'_> {
    /// Reads the recorded whole pages from `from` on, as many as fit into the buffer. If `may_skip` is set, begins with
    /// the first of them that has a slot: frames without one were lost, or are a gap. Returns where they begin.
    pub(super) fn read(
        &mut self,
        spool: &SpoolFile,
        from: SpoolByte,
        may_skip: bool,
    ) -> io::Result<(SpoolByte, &[u8])> {
        let parts = spool.listed(from, self.whole_pages());
        let begin = parts.first().map(|part| SpoolByte(part.offset)).filter(|_| may_skip).unwrap_or(from);
        let (mut length, room) = (0, self.scratch.len() as u64);
        for part in parts.into_iter().filter_map(|part| part.within(begin.0, begin.0 + room)) {
            let is_next = part.offset == begin.0 + length as u64;
            if !is_next || !read_part(spool, &part, &mut self.scratch[length..][..part.bytes as usize])? {
                break;
            }
            length += part.bytes as usize;
        }
        Ok((if length > 0 { begin } else { from }, &self.scratch[..length]))
    }

    /// Reads the page at `from`, in which the record position rests. Empty if the position moves, or is not in that page, or
    /// if the page has no slot.
    pub(super) fn read_last_page(&mut self, spool: &SpoolFile, from: SpoolByte) -> io::Result<&[u8]> {
        if !self.rests || self.recorded <= from {
            return Ok(&[]);
        }
        let page = &mut self.scratch[..limits::PAGE_BYTES];
        let listed = spool.listed(from, from + PAGE);
        let Some(part) = listed.first().filter(|part| part.bytes == PAGE) else { return Ok(&[]) };
        Ok(if read_part(spool, part, page)? { page } else { &[] })
    }

    /// End of the recorded whole pages.
    pub(super) fn whole_pages(&self) -> SpoolByte {
        SpoolByte(self.recorded.0 / PAGE * PAGE)
    }
}

/// Reads a part from its slot. Returns whether the slot still held the part afterwards: if the replica gave the span up
/// meanwhile, the slot may hold later sound.
fn read_part(spool: &SpoolFile, part: &Part, bytes: &mut [u8]) -> io::Result<bool> {
    disk::read_exact_at(&spool.file, bytes, spool.shape.part_at(part))?;
    Ok(spool.still_holds(part))
}
