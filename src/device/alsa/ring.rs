//! Makes a sound card's mapped ring resident before the audio thread uses it. Thread: opener, reconnect,
//! control.
//!
//! The ring of a plugin is ordinary memory of alsa-lib, and some drivers map a page of theirs only when it is touched.
//! Without this the first pass over the ring would fault on every page.

use crate::window::process;
use ::alsa::PCM;

/// Populates the ring of `pcm`, which is prepared, mapped interleaved and has `ring_bytes` bytes. Returns whether the
/// ring is resident; otherwise the first pass over it will fault. The ring is not locked, because the limit on locked
/// memory is needed for windows, and the kernel does not reclaim pages that are used three times a second.
pub(super) fn make_resident(pcm: &PCM, ring_bytes: usize) -> bool {
    if pcm.avail_update().is_err() {
        return false;
    }
    let mut resident = false;
    // A request for 0 frames returns an empty slice. It starts where the ring does, because no frame was moved yet.
    let looked = pcm.io_bytes().mmap(0, |ring| {
        resident = process::populate_range(ring.as_ptr() as usize, ring_bytes);
        0
    });
    looked.is_ok() && resident
}
