//! The butler's part in these tests: owns a take's file in memory, and supplies its windows. Thread: test.

use super::rig::input_24;
use faultless::butler::plan;
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::limits::{DATA_OFFSET, WINDOW_BYTES_MIN};
use faultless::message::Capture;
use faultless::time::{FramePos, Frames};
use faultless::window::budget::LockBudget;
use faultless::window::capture::{ButlerCaptureWindows, CaptureWindow, capture_windows};
use faultless::window::map::{Mapping, Populate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A take and the butler's end of its window ring. The windows have the smallest size, so that they change often.
pub(crate) struct Reel {
    file: File,
    windows: ButlerCaptureWindows,
    budget: Arc<LockBudget>,
    format: TakeFormat,
    inputs: Vec<usize>,
    phase: usize,
    next: FramePos,
    /// Returned windows: first frame, frames, frames that the engine moved past, whether it wrote to the window.
    pub(crate) back: Vec<(u64, u64, u64, bool)>,
}

impl Reel {
    /// A take of device channels `inputs`, and its capture for the engine.
    pub(crate) fn new(format: TakeFormat, inputs: &[usize], phase: usize) -> (Reel, Capture) {
        let file = File::from(memfd_create(c"faultless-witness", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(64 << 20).unwrap();
        let (audio, windows) = capture_windows(format.bytes() * inputs.len());
        let channels = [inputs[0], inputs.get(1).copied().unwrap_or(0)];
        let capture = Capture::new(audio, channels, inputs.len(), format);
        let (inputs, next) = (inputs.to_vec(), FramePos(0));
        let budget = LockBudget::new(u64::MAX);
        (Reel { file, windows, budget, format, inputs, phase, next, back: Vec::new() }, capture)
    }

    fn frame_bytes(&self) -> usize {
        self.format.bytes() * self.inputs.len()
    }

    /// Frames of a whole window.
    pub(crate) fn window_frames(&self) -> u64 {
        (plan::window_bytes(self.frame_bytes(), WINDOW_BYTES_MIN) / self.frame_bytes()) as u64
    }

    /// Supplies `count` more windows, mapped, populated and locked. Returns the end of the last one, in frames.
    pub(crate) fn supply(&mut self, count: usize) -> u64 {
        for _ in 0..count {
            let bytes = plan::window_bytes(self.frame_bytes(), WINDOW_BYTES_MIN);
            let span = plan::planned_span(self.next, self.frame_bytes(), bytes, self.phase);
            let mut map = Mapping::writable(&self.file, span.offset.0, span.bytes).unwrap();
            map.populate(Populate::Advise).unwrap();
            map.lock(&self.budget);
            self.next += span.frames;
            let window =
                CaptureWindow { map, start: span.start, frames: span.frames, recorded: Frames(0), touched: false };
            self.windows.hand_over(window).unwrap();
        }
        self.next.0
    }

    /// Skips frames before `frame`: the next window begins at `frame`, or a little earlier to stay on a page border.
    pub(crate) fn skip_to(&mut self, frame: u64) {
        self.next = self.next.max(plan::window_start(FramePos(frame), self.frame_bytes()));
    }

    /// Collects returned windows, and supplies windows until `ahead` are in the ring.
    pub(crate) fn refill(&mut self, ahead: usize) {
        self.collect();
        self.supply(ahead.saturating_sub(self.windows.waiting()));
    }

    /// Takes back and unmaps returned windows.
    pub(crate) fn collect(&mut self) {
        while let Some(window) = self.windows.collect() {
            self.back.push((window.start.0, window.frames.0, window.recorded.0, window.touched));
        }
    }

    /// Asserts that every window came back, in order, and that the engine moved past all frames up to `end`.
    #[track_caller]
    pub(crate) fn assert_returned(&mut self, end: u64) {
        self.collect();
        assert_eq!(self.windows.out(), 0, "windows are missing");
        for (start, frames, passed, _) in &self.back {
            assert_eq!(*passed, end.saturating_sub(*start).min(*frames), "window at {start}");
        }
        assert!(self.back.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{:?}", self.back);
    }

    fn bytes(&self, frames: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (frames.end - frames.start) as usize * self.frame_bytes()];
        self.file.read_exact_at(&mut bytes, DATA_OFFSET + frames.start * self.frame_bytes() as u64).unwrap();
        bytes
    }

    /// Asserts that frames `frames` of the take are the ramps of its inputs. Frame `frames.start` is frame
    /// `device_frame` of a device with format `format`.
    #[track_caller]
    pub(crate) fn assert_ramp(&self, frames: Range<u64>, device_frame: u64, format: DeviceFormat) {
        assert!(frames.start < frames.end, "{frames:?}");
        let bytes = self.bytes(&frames);
        for (at, sample) in bytes.chunks_exact(self.format.bytes()).enumerate() {
            let frame = (at / self.inputs.len()) as u64;
            let input = input_24(device_frame + frame, self.inputs[at % self.inputs.len()], format);
            let wanted = stored(input, self.format, format);
            assert_eq!(sample, &wanted[..self.format.bytes()], "frame {} of {:?}", frames.start + frame, self.format);
        }
    }

    /// Asserts that frames `frames` of the take are exact silence.
    #[track_caller]
    pub(crate) fn assert_silent(&self, frames: Range<u64>) {
        assert!(frames.start < frames.end, "{frames:?}");
        let bytes = self.bytes(&frames);
        assert!(bytes.iter().all(|byte| *byte == 0), "{frames:?} of {:?} are not silent", self.format);
    }
}

/// Calls [`Reel::refill`] on every take.
pub(crate) fn refill_all(reels: &mut [Reel], ahead: usize) {
    for reel in reels {
        reel.refill(ahead);
    }
}

/// The bytes that a take of format `take` stores for a 24-bit sample from a device of format `device`.
fn stored(input: i32, take: TakeFormat, device: DeviceFormat) -> [u8; 4] {
    match take {
        TakeFormat::F32 => (f64::from(input) / 8_388_608.0) as f32,
        TakeFormat::S24 => return input.to_le_bytes(),
        TakeFormat::S16 => {
            let parts = f64::from(input) / 256.0;
            // Halves: integers round up, floats round away from zero.
            let nearest = if device == DeviceFormat::F32 { parts.round() } else { (parts + 0.5).floor() };
            let [low, high] = (nearest.min(32_767.0) as i16).to_le_bytes();
            return [low, high, 0, 0];
        }
    }
    .to_le_bytes()
}
