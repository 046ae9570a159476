//! The window that the audio thread is filling, as a committer reads it: where it lies in its slot. Thread: committer.

use crate::host::disk;
use crate::limits;
use crate::message::offset::SpoolByte;
use crate::message::spool_file::{HeldParts, SpoolFile};
use crate::spool_index::Part;
use memmap2::MmapMut;
use std::io;
use std::sync::Arc;

const PAGE: u64 = limits::PAGE_BYTES as u64;

/// The window that is being filled, up to the record position.
pub(super) struct OpenWindow {
    /// The record position.
    pub(super) recorded: SpoolByte,
    /// Whether the record position rests, because the device is away.
    pub(super) rests: bool,
}

impl OpenWindow {
    /// Holds the recorded whole pages from `from` on, at most as many as one write takes. If `may_skip` is set, begins with
    /// the first of them that has a slot: frames without one were lost, or are a gap.
    pub(super) fn hold(
        &self,
        spool: &Arc<SpoolFile>,
        from: SpoolByte,
        may_skip: bool,
    ) -> io::Result<Option<HeldParts>> {
        spool.hold(from, self.whole_pages(), may_skip)
    }

    /// Reads the page at `from`, in which the record position rests. `None` if the position is not in that page, or if the
    /// page has no slot.
    pub(super) fn read_last_page(&self, spool: &SpoolFile, from: SpoolByte) -> io::Result<Option<MmapMut>> {
        if self.recorded <= from {
            return Ok(None);
        }
        let listed = spool.listed(from, from + PAGE);
        let Some(part) = listed.first().filter(|part| part.bytes == PAGE) else { return Ok(None) };
        // Page-aligned, because `O_DIRECT` requires it.
        let mut page = MmapMut::map_anon(limits::PAGE_BYTES)?;
        Ok(read_part(spool, part, &mut page)?.then_some(page))
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
