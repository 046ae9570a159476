//! Makes a sound card's mapped ring resident before the audio thread goes round it. Thread: control.
//!
//! A plugin's ring is ordinary memory of alsa-lib, and some drivers map a page of theirs only when it is
//! touched: the first round would fault on every page.
#![expect(unsafe_code, reason = "madvise takes an address; the crate gives no slice of the whole ring")]

use crate::limits::PAGE_BYTES;
use ::alsa::PCM;
use nix::errno::Errno;
use nix::sys::mman::{MmapAdvise, madvise};
use std::ffi::c_void;
use std::ptr::NonNull;

/// Populates the ring of `pcm`, which is prepared, mapped interleaved and has `ring_bytes` bytes.
/// A kernel that refuses leaves it as it was: it will then fault once round. The ring is not locked: the limit
/// on locked memory is for the windows, and pages that are used three times a second are not reclaimed.
pub(super) fn make_resident(pcm: &PCM, ring_bytes: usize) -> bool {
    if pcm.avail_update().is_err() {
        return false;
    }
    let mut resident = false;
    // No frames are asked for: the slice is empty, and starts where the ring does, for nothing was moved yet.
    let looked = pcm.io_bytes().mmap(0, |ring| {
        resident = populate(ring.as_ptr() as usize, ring_bytes);
        0
    });
    looked.is_ok() && resident
}

fn populate(from: usize, bytes: usize) -> bool {
    let first = from & !(PAGE_BYTES - 1);
    let length = (from + bytes).next_multiple_of(PAGE_BYTES) - first;
    let Some(address) = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(first)) else { return false };
    // SAFETY: populating changes no byte, is harmless whatever the pages are, and an address range that is not
    // mapped is refused with ENOMEM.
    let populated = unsafe {
        madvise(address, length, MmapAdvise::MADV_POPULATE_WRITE)
            .or_else(|_| madvise(address, length, MmapAdvise::MADV_POPULATE_READ))
    };
    // EINVAL is how the kernel refuses a card's DMA memory: that was mapped whole, there is nothing to populate.
    matches!(populated, Ok(()) | Err(Errno::EINVAL))
}
