//! Rings of windows between the disk side and the audio thread. Thread: audio has [`AudioEnd`]; butler or read-ahead
//! has [`DiskEnd`].
//!
//! ```text
//!   butler or read-ahead  --- ready ring --->  audio
//!   butler or read-ahead  <-- done ring -----  audio
//! ```
//!
//! The disk side counts the windows that are out: those in the ready ring, the one in use, and those in the done ring.
//! It hands over no window while [`limits::RING_WINDOWS`] are out. The done ring has more slots than that, so the audio
//! thread can always give a window back: it never waits and never unmaps memory.

use super::process;
use crate::limits;
use rtrb::{Consumer, Producer, RingBuffer};
use std::mem::MaybeUninit;

/// Slots of the done ring.
const DONE_SLOTS: usize = 2 * limits::RING_WINDOWS;
const _: () = assert!(limits::RING_WINDOWS < DONE_SLOTS, "the done ring has a slot for every window that is out");

/// The audio thread's end of the rings of one take or track.
#[derive(Debug)]
pub(super) struct AudioEnd<W> {
    /// The window in use.
    pub(super) current: Option<W>,
    ready: Consumer<W>,
    done: Producer<W>,
}

/// The disk side's end of the rings of one take or track.
#[derive(Debug)]
pub struct DiskEnd<W> {
    ready: Producer<W>,
    done: Consumer<W>,
    out: usize,
}

/// Makes a ring whose memory is populated, so that neither thread takes a fault when it first reaches a slot. The
/// allocator hands out pages that were never touched, and a ring writes to a slot only at its turn.
pub fn resident_ring<T>(slots: usize) -> (Producer<T>, Consumer<T>) {
    let (mut producer, consumer) = RingBuffer::new(slots);
    if let Ok(mut all) = producer.write_chunk_uninit(slots) {
        let (slots, _) = all.as_mut_slices();
        if !process::populate_range(slots.as_ptr() as usize, size_of_val(slots)) {
            touch(slots);
        }
    }
    (producer, consumer)
}

/// Writes to every slot, for kernels without `MADV_POPULATE`. No slot holds an element yet.
fn touch<T>(slots: &mut [MaybeUninit<T>]) {
    slots.fill_with(MaybeUninit::zeroed);
    std::hint::black_box(slots);
}

/// Makes both ends.
pub(super) fn window_ring<W>() -> (AudioEnd<W>, DiskEnd<W>) {
    let (ready_in, ready_out) = resident_ring(limits::RING_WINDOWS);
    let (done_in, done_out) = resident_ring(DONE_SLOTS);
    (AudioEnd { current: None, ready: ready_out, done: done_in }, DiskEnd { ready: ready_in, done: done_out, out: 0 })
}

impl<W> AudioEnd<W> {
    /// Gives back every window that `is_over`, each after `close`, and takes the next one from the ring.
    /// This is realtime-safe.
    #[inline]
    pub(super) fn advance(&mut self, is_over: impl Fn(&W) -> bool, close: impl Fn(&mut W)) {
        // A window stays in its place while it is in use. It is large: moving it out and back in every period took a third
        // of the time of the sample loop.
        while self.current.as_ref().is_none_or(&is_over) {
            if let Some(mut window) = self.current.take() {
                close(&mut window);
                self.give_back(window);
            }
            match self.ready.pop() {
                Ok(window) => self.current = Some(window),
                Err(_) => return,
            }
        }
    }

    /// Gives every window back, each after `close`. This is realtime-safe.
    pub(super) fn end(&mut self, close: impl Fn(&mut W)) {
        while let Some(mut window) = self.current.take().or_else(|| self.ready.pop().ok()) {
            close(&mut window);
            self.give_back(window);
        }
    }

    /// The window after the current one, if the disk side has handed it over. This is realtime-safe.
    pub(super) fn peek_next(&self) -> Option<&W> {
        self.ready.peek().ok()
    }

    fn give_back(&mut self, window: W) {
        // This cannot fail: see `DONE_SLOTS`. If it did, the window would be leaked, because dropping it would unmap
        // memory on the audio thread.
        if let Err(rtrb::PushError::Full(window)) = self.done.push(window) {
            debug_assert!(false, "the done ring has a slot for every window that is out");
            std::mem::forget(window);
        }
    }
}

impl<W> DiskEnd<W> {
    /// Windows that can be handed over now.
    pub fn free_slots(&self) -> usize {
        self.ready.slots().min(limits::RING_WINDOWS.saturating_sub(self.out))
    }

    /// Windows in the ready ring, which the audio thread has not taken yet.
    pub fn waiting(&self) -> usize {
        limits::RING_WINDOWS - self.ready.slots()
    }

    /// Hands a window to the audio thread. Returns the window if there is no free slot.
    pub fn hand_over(&mut self, window: W) -> Result<(), W> {
        if self.free_slots() == 0 {
            return Err(window);
        }
        match self.ready.push(window) {
            Ok(()) => {
                self.out += 1;
                Ok(())
            }
            Err(rtrb::PushError::Full(window)) => Err(window),
        }
    }

    /// The next window that the audio thread has given back.
    pub fn collect(&mut self) -> Option<W> {
        let window = self.done.pop().ok()?;
        self.out -= 1;
        Some(window)
    }

    /// Windows that are out: in the ready ring, in use, or given back and not collected yet.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Whether the audio thread's end was dropped.
    pub fn is_abandoned(&self) -> bool {
        self.done.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PAGE_BYTES;
    use crate::window::kernel_pages::Pagemap;

    #[test]
    fn slots_that_were_touched_are_in_memory_as_those_that_the_kernel_brought_in() {
        const PAGES: usize = 64;
        // Larger than what the allocator has ready, so that no page was touched before.
        let (mut producer, _consumer) = RingBuffer::<[u8; PAGE_BYTES]>::new(PAGES);
        let mut all = producer.write_chunk_uninit(PAGES).unwrap();
        let (slots, _) = all.as_mut_slices();
        touch(slots);
        let first = (slots.as_ptr() as usize).next_multiple_of(PAGE_BYTES);
        let present: Vec<bool> = Pagemap::open().unwrap().present(first, PAGES - 1).unwrap().collect();
        assert_eq!(present, [true; PAGES - 1]);
    }
}
