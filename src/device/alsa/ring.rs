//! Makes a sound card's mapped ring resident before the audio thread goes round it. Thread: control.
//!
//! A plugin's ring is ordinary memory of alsa-lib, and some drivers map a page of theirs only when it is
//! touched: the first round would fault on every page.

use crate::window::process;
use ::alsa::PCM;

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
        resident = process::populate_range(ring.as_ptr() as usize, ring_bytes);
        0
    });
    looked.is_ok() && resident
}
