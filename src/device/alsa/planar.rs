//! Transfer of non-interleaved frames, which the `alsa` crate offers through raw pointers only, and resident memory for
//! transfers. Thread: audio (allocation: opener, reconnect, control).
#![expect(unsafe_code, reason = "readn and writen take one raw pointer per channel")]

use ::alsa::pcm::IO;
use memmap2::{MmapMut, MmapOptions};
use std::ops::{Deref, DerefMut};

/// Memory that is populated when it is made, so that the audio thread takes no page fault in it.
pub(super) struct Touched(Option<MmapMut>);

impl Touched {
    /// `bytes` zero bytes.
    pub(super) fn new(bytes: usize) -> Result<Self, std::io::Error> {
        if bytes == 0 {
            return Ok(Touched(None));
        }
        MmapOptions::new().len(bytes).populate().map_anon().map(|map| {
            let mut map = map;
            map.fill(0);
            Touched(Some(map))
        })
    }
}

impl Deref for Touched {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }
}

impl DerefMut for Touched {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or(&mut [])
    }
}

/// A block of planar samples: channel `c` starts at byte `c * channel_step` of `bytes`.
///
/// Holding a `Planar` tells you: `bytes` has at least `channels * channel_step` bytes.
pub(super) struct Planar {
    bytes: Touched,
    channel_step: usize,
    frame_bytes: usize,
    pointers: Vec<*mut u8>,
}

// SAFETY: the pointers are scratch space: each transfer sets them from `bytes` before it reads them.
unsafe impl Send for Planar {}

impl Planar {
    /// A block of `frames` frames of `channels` channels with `sample_bytes` bytes per sample.
    pub(super) fn new(channels: usize, sample_bytes: usize, frames: usize) -> Result<Self, std::io::Error> {
        let channel_step = frames * sample_bytes;
        let bytes = Touched::new(channels * channel_step)?;
        Ok(Planar { bytes, channel_step, frame_bytes: sample_bytes, pointers: vec![std::ptr::null_mut(); channels] })
    }

    /// Bytes from one channel to the next.
    pub(super) fn channel_step(&self) -> usize {
        self.channel_step
    }

    /// The block's memory.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The block's memory, for writing.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Reads up to `frames` frames from the device to the start of the block.
    pub(super) fn read(&mut self, io: &IO<'_, u8>, frames: usize) -> ::alsa::Result<usize> {
        let frames = frames.min(self.channel_step / self.frame_bytes);
        self.set_pointers(0);
        // SAFETY: `set_pointers` set one pointer per channel, each to `channel_step` bytes of its own in `bytes`,
        // and `frames` samples fit into those.
        unsafe { io.readn(&mut self.pointers, frames) }
    }

    /// Writes up to `frames` frames of the block, from its frame `from` on, to the device.
    pub(super) fn write(&mut self, io: &IO<'_, u8>, from: usize, frames: usize) -> ::alsa::Result<usize> {
        let capacity = self.channel_step / self.frame_bytes;
        let from = from.min(capacity);
        let frames = frames.min(capacity - from);
        self.set_pointers(from);
        // SAFETY: a `*mut u8` and a `*const u8` have one layout; `set_pointers` set one pointer per channel, and from
        // each of them `frames` samples lie within that channel's bytes.
        unsafe {
            let pointers = std::slice::from_raw_parts(self.pointers.as_ptr().cast::<*const u8>(), self.pointers.len());
            io.writen(pointers, frames)
        }
    }

    /// Sets the pointers to frame `from` of each channel; `from` is at most the block's capacity.
    fn set_pointers(&mut self, from: usize) {
        let step = self.channel_step;
        debug_assert!(from * self.frame_bytes <= step);
        debug_assert!(self.pointers.len() * step <= self.bytes.len());
        let base = self.bytes.as_mut_ptr();
        for (channel, pointer) in self.pointers.iter_mut().enumerate() {
            *pointer = base.wrapping_add(channel * step + from * self.frame_bytes);
        }
    }
}
