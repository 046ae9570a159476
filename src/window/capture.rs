//! Capture windows and the two ends of their ring. Thread: each end says its own.
//!
//! ```text
//!   butler  --- ready ring --->  audio: fills in order
//!   butler  <-- done ring -----  audio: the record position has passed it, or the pass ended
//! ```
//!
//! Windows of one take come in order and never overlap. At most [`limits::RING_WINDOWS`] and one are out at
//! a time, so the done ring, which is larger, always has room: giving back cannot fail.

use super::map::Mapping;
use super::process;
use crate::limits;
use crate::time::{FramePos, Frames};
use rtrb::{Consumer, Producer};

/// Slots of the done ring: every window there can be.
const DONE_SLOTS: usize = 2 * limits::RING_WINDOWS;
const _: () = assert!(limits::RING_WINDOWS + 1 < DONE_SLOTS);

/// A span of one take, mapped, populated, and locked if the budget allowed it.
///
/// Holding one tells you: bytes of it were never handed out before, so what is not written reads as silence.
#[derive(Debug)]
pub struct CaptureWindow {
    /// The memory.
    pub map: Mapping,
    /// Where in the take its first frame lies.
    pub start: FramePos,
    /// Frames it holds.
    pub frames: Frames,
    /// Frames from its start that the record position has passed. Set when it is given back.
    pub passed: Frames,
    /// Whether any sample was written. An untouched window is silence that the file has already.
    pub touched: bool,
}

impl CaptureWindow {
    fn end(&self) -> FramePos {
        self.start + self.frames
    }
}

/// The audio thread's end.
#[derive(Debug)]
pub struct AudioCaptureWindows {
    frame_bytes: usize,
    current: Option<CaptureWindow>,
    ready: Consumer<CaptureWindow>,
    done: Producer<CaptureWindow>,
}

/// The butler's end.
#[derive(Debug)]
pub struct ButlerCaptureWindows {
    ready: Producer<CaptureWindow>,
    done: Consumer<CaptureWindow>,
    out: usize,
}

/// Makes the two ends for one take whose frames have `frame_bytes` bytes.
pub fn capture_windows(frame_bytes: usize) -> (AudioCaptureWindows, ButlerCaptureWindows) {
    assert!(frame_bytes > 0, "a frame has bytes");
    let (ready_in, ready_out) = process::ring(limits::RING_WINDOWS);
    let (done_in, done_out) = process::ring(DONE_SLOTS);
    (
        AudioCaptureWindows { frame_bytes, current: None, ready: ready_out, done: done_in },
        ButlerCaptureWindows { ready: ready_in, done: done_out, out: 0 },
    )
}

impl AudioCaptureWindows {
    /// The memory for frames from `at` on: at most `frames` of them, less where a window ends.
    /// `None` when no window covers `at` (an overrun). `at` never goes back. This is realtime-safe.
    pub fn span(&mut self, at: FramePos, frames: Frames) -> Option<&mut [u8]> {
        self.pass(at);
        let window = self.current.as_mut().filter(|window| window.start <= at)?;
        window.touched = true;
        let from = at.since(window.start);
        let count = frames.min(window.frames - from);
        let bytes = from.0 as usize * self.frame_bytes..(from + count).0 as usize * self.frame_bytes;
        Some(&mut window.map.bytes_mut()[bytes])
    }

    /// Gives back every window that ends at or before `at`, and takes the next one. This is realtime-safe.
    pub fn pass(&mut self, at: FramePos) {
        loop {
            match self.current.take() {
                Some(window) if window.end() <= at => self.give_back(window, at),
                Some(window) => {
                    self.current = Some(window);
                    return;
                }
                None => match self.ready.pop() {
                    Ok(window) => self.current = Some(window),
                    Err(_) => return,
                },
            }
        }
    }

    /// Gives everything back: the pass ended at `at`. This is realtime-safe.
    pub fn end(&mut self, at: FramePos) {
        self.pass(at);
        while let Some(window) = self.current.take().or_else(|| self.ready.pop().ok()) {
            self.give_back(window, at);
        }
    }

    /// Whether a window covers `at` without waiting for the butler. This is realtime-safe.
    pub fn covers(&mut self, at: FramePos, frames: Frames) -> bool {
        self.pass(at);
        let end = at + frames;
        let Some(window) = &self.current else { return false };
        if end <= window.end() {
            return true;
        }
        self.ready.peek().is_ok_and(|next| end <= next.end())
    }

    fn give_back(&mut self, mut window: CaptureWindow, at: FramePos) {
        window.passed = at.since(window.start).min(window.frames);
        // The ring has a slot for every window there is, so this cannot fail; were it to, the window
        // would be leaked rather than unmapped here.
        if let Err(rtrb::PushError::Full(window)) = self.done.push(window) {
            debug_assert!(false, "the done ring holds every window there is");
            std::mem::forget(window);
        }
    }
}

impl ButlerCaptureWindows {
    /// Windows that may still be handed over now.
    pub fn room(&self) -> usize {
        self.ready.slots().min(limits::RING_WINDOWS.saturating_sub(self.out))
    }

    /// Windows that wait in the ring and are not yet taken by the audio thread.
    pub fn waiting(&self) -> usize {
        limits::RING_WINDOWS - self.ready.slots()
    }

    /// Moves a window to the audio thread. Gives it back when there is no room.
    pub fn supply(&mut self, window: CaptureWindow) -> Result<(), CaptureWindow> {
        if self.room() == 0 {
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
    pub fn collect(&mut self) -> Option<CaptureWindow> {
        let window = self.done.pop().ok()?;
        self.out -= 1;
        Some(window)
    }

    /// Windows that are out: in the ring, being filled, or given back and not collected.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Whether the audio thread's end is gone.
    pub fn is_abandoned(&self) -> bool {
        self.done.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const FRAMES: u64 = 1024;

    fn window(file: &File, index: u64) -> CaptureWindow {
        CaptureWindow {
            map: Mapping::writable(file, index * 4096, 4096).unwrap(),
            start: FramePos(index * FRAMES),
            frames: Frames(FRAMES),
            passed: Frames(0),
            touched: false,
        }
    }

    fn file() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file
    }

    #[test]
    fn windows_come_back_in_order_with_how_far_they_were_passed() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        for index in 0..3 {
            butler.supply(window(&file, index)).unwrap();
        }
        assert_eq!(audio.span(FramePos(1000), Frames(100)).unwrap().len(), 24 * 4, "a window's end ends the span");
        assert_eq!(audio.span(FramePos(1024), Frames(76)).unwrap().len(), 76 * 4);
        audio.end(FramePos(1100));
        let passed: Vec<_> =
            std::iter::from_fn(|| butler.collect()).map(|w| (w.start.0, w.passed.0, w.touched)).collect();
        assert_eq!(passed, [(0, 1024, true), (1024, 76, true), (2048, 0, false)]);
        assert_eq!(butler.out(), 0);
    }

    #[test]
    fn without_a_window_there_is_no_span_and_a_later_window_resumes_at_its_place() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        assert!(audio.span(FramePos(0), Frames(64)).is_none());
        butler.supply(window(&file, 2)).unwrap();
        assert!(audio.span(FramePos(64), Frames(64)).is_none(), "the window begins later");
        assert!(audio.span(FramePos(2048), Frames(64)).is_some());
    }

    #[test]
    fn a_jump_over_whole_windows_gives_them_back_untouched() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        for index in 0..4 {
            butler.supply(window(&file, index)).unwrap();
        }
        assert!(audio.span(FramePos(3 * FRAMES + 5), Frames(1)).is_some());
        let untouched = std::iter::from_fn(|| butler.collect()).filter(|w| !w.touched && w.passed == w.frames).count();
        assert_eq!(untouched, 3);
    }

    #[test]
    fn never_more_windows_are_out_than_the_rings_hold() {
        let (file, (mut audio, mut butler)) = (file(), capture_windows(4));
        let mut supplied = 0_u64;
        for _ in 0..4 {
            while butler.room() > 0 {
                butler.supply(window(&file, supplied % 200)).unwrap();
                supplied += 1;
            }
            audio.end(FramePos::END);
        }
        assert_eq!(supplied, limits::RING_WINDOWS as u64, "nothing more goes out before something is collected");
    }
}
