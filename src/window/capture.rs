//! Capture windows and the two ends of their rings. Thread: audio has [`AudioCaptureWindows`], butler has
//! [`ButlerCaptureWindows`].
//!
//! The life of a window:
//!
//! 1. The butler makes it from a free slot of the spool: it wipes the slot, or maps and populates a new one, lists it in
//!    the index and locks it (`butler::slot_supply`). In `in-place` it maps a span of the WAV file.
//! 2. The ready ring carries it to the audio thread, which fills it in order. The audio thread receives its end of the
//!    rings in `AudioCommand::Record`, from control, which has it from the butler's `DiskEvent::PassReady`. The first
//!    windows wait in the ring meanwhile.
//! 3. The audio thread gives it back through the done ring when the record position has passed it, or when the pass
//!    ends.
//! 4. The butler collects it. The *window* ends here.
//! 5. Its *mapping* lives on in a [`CapturedSlot`](crate::message::spool_file::CapturedSlot) until each committer that
//!    wants the span has it durable. Then the slot goes back to the butler, which uses it for a later window. The mapping
//!    ends already in step 4 in `in-place`, or if very many spans are mapped.
//!
//! Windows of one take come in order and never overlap. [`ring`](super::ring) explains why giving back cannot fail.

use super::map::Mapping;
use super::ring::{AudioEnd, DiskEnd, window_ring};
use crate::time::{FramePos, Frames};

/// A span of one take: mapped, populated, and locked if the lock budget allowed it.
///
/// The owner of a window is the only one that has its bytes. They are zeros at first, so every byte that the owner does
/// not write reads as silence. The mapping may be longer than the window.
#[derive(Debug)]
pub struct CaptureWindow {
    /// The memory of the span.
    pub map: Mapping,
    /// Position in the take of the first frame.
    pub start: FramePos,
    /// Length of the span.
    pub frames: Frames,
    /// Frames of the span that lie before the record position. The audio thread sets it when it gives the window back.
    pub recorded: Frames,
    /// Whether the audio thread asked for the memory. A window that was not touched is silence, which the file already
    /// contains.
    pub touched: bool,
}

impl CaptureWindow {
    fn end(&self) -> FramePos {
        self.start + self.frames
    }

    fn close(&mut self, at: FramePos) {
        self.recorded = at.since(self.start).min(self.frames);
    }
}

/// The audio thread's end of the rings of one take.
#[derive(Debug)]
pub struct AudioCaptureWindows {
    frame_bytes: usize,
    ring: AudioEnd<CaptureWindow>,
}

/// The butler's end of the rings of one take.
pub type ButlerCaptureWindows = DiskEnd<CaptureWindow>;

/// Makes the two ends for a take whose frames have `frame_bytes` bytes.
pub fn capture_windows(frame_bytes: usize) -> (AudioCaptureWindows, ButlerCaptureWindows) {
    assert!(frame_bytes > 0, "a frame has bytes");
    let (audio, butler) = window_ring();
    (AudioCaptureWindows { frame_bytes, ring: audio }, butler)
}

impl AudioCaptureWindows {
    /// The memory for frames from `at` on: `frames` of them, or fewer if the window ends before. `None`: no window
    /// covers `at` (an overrun). `at` never decreases. This is realtime-safe.
    pub fn span(&mut self, at: FramePos, frames: Frames) -> Option<&mut [u8]> {
        self.advance_to(at);
        let window = self.ring.current.as_mut().filter(|window| window.start <= at)?;
        window.touched = true;
        let from = at.since(window.start);
        let count = frames.min(window.frames - from);
        let bytes = from.0 as usize * self.frame_bytes..(from + count).0 as usize * self.frame_bytes;
        Some(&mut window.map.bytes_mut()[bytes])
    }

    /// Gives back every window that ends at or before `at`, and takes the next one from the ring. This is
    /// realtime-safe.
    pub fn advance_to(&mut self, at: FramePos) {
        self.ring.advance(|window| window.end() <= at, |window| window.close(at));
    }

    /// Gives every window back, because the pass ended at `at`. This is realtime-safe.
    pub fn end(&mut self, at: FramePos) {
        self.advance_to(at);
        self.ring.end(|window| window.close(at));
    }

    /// Whether the windows that are here cover `frames` frames from `at` on. Looks at two windows, which hold at least
    /// a period. This is realtime-safe.
    pub fn covers(&mut self, at: FramePos, frames: Frames) -> bool {
        self.advance_to(at);
        let end = at + frames;
        let Some(window) = &self.ring.current else { return false };
        if end <= window.end() {
            return true;
        }
        self.ring.peek_next().is_some_and(|next| end <= next.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use std::fs::File;

    const FRAMES: u64 = 1024;

    fn window(file: &File, index: u64) -> CaptureWindow {
        CaptureWindow {
            map: Mapping::writable(file, index * 4096, 4096).unwrap(),
            start: FramePos(index * FRAMES),
            frames: Frames(FRAMES),
            recorded: Frames(0),
            touched: false,
        }
    }

    fn file() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file
    }

    #[test]
    fn windows_come_back_in_order_with_their_recorded_frames() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        for index in 0..3 {
            butler.hand_over(window(&file, index)).unwrap();
        }
        assert_eq!(audio.span(FramePos(1000), Frames(100)).unwrap().len(), 24 * 4, "a window's end ends the span");
        assert_eq!(audio.span(FramePos(1024), Frames(76)).unwrap().len(), 76 * 4);
        audio.end(FramePos(1100));
        let passed: Vec<_> =
            std::iter::from_fn(|| butler.collect()).map(|w| (w.start.0, w.recorded.0, w.touched)).collect();
        assert_eq!(passed, [(0, 1024, true), (1024, 76, true), (2048, 0, false)]);
        assert_eq!(butler.out(), 0);
    }

    #[test]
    fn without_a_window_there_is_no_span_and_a_later_window_resumes_at_its_position() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        assert!(audio.span(FramePos(0), Frames(64)).is_none());
        butler.hand_over(window(&file, 2)).unwrap();
        assert!(audio.span(FramePos(64), Frames(64)).is_none(), "the window begins later");
        assert!(audio.span(FramePos(2048), Frames(64)).is_some());
    }

    #[test]
    fn a_jump_over_whole_windows_gives_them_back_untouched() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        for index in 0..4 {
            butler.hand_over(window(&file, index)).unwrap();
        }
        assert!(audio.span(FramePos(3 * FRAMES + 5), Frames(1)).is_some());
        let untouched =
            std::iter::from_fn(|| butler.collect()).filter(|w| !w.touched && w.recorded == w.frames).count();
        assert_eq!(untouched, 3);
    }

    #[test]
    fn never_more_windows_are_out_than_the_rings_hold() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        let mut supplied = 0_u64;
        for _ in 0..4 {
            while butler.free_slots() > 0 {
                butler.hand_over(window(&file, supplied % 200)).unwrap();
                supplied += 1;
            }
            audio.end(FramePos::END);
        }
        assert_eq!(supplied, limits::RING_WINDOWS as u64, "nothing more goes out before something is collected");
    }
}
