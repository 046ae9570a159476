//! The butler by hand: one take's tmpfs file, cut into windows on the test's thread. Thread: test.

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

/// One take and its windows. As small as they can be, so that they change often.
pub(super) struct Reel {
    file: File,
    windows: ButlerCaptureWindows,
    budget: Arc<LockBudget>,
    format: TakeFormat,
    inputs: Vec<usize>,
    phase: usize,
    next: FramePos,
    /// Windows that came back: first frame, frames, frames passed, whether written.
    pub(super) back: Vec<(u64, u64, u64, bool)>,
}

impl Reel {
    /// A take of `inputs`, and what the audio thread needs of it.
    pub(super) fn new(format: TakeFormat, inputs: &[usize], phase: usize) -> (Reel, Capture) {
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
    pub(super) fn window_frames(&self) -> u64 {
        (plan::window_bytes(self.frame_bytes(), WINDOW_BYTES_MIN) / self.frame_bytes()) as u64
    }

    /// Hands over `count` windows more, mapped, populated and locked. Returns where the last one ends.
    pub(super) fn supply(&mut self, count: usize) -> u64 {
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

    /// Leaves out what lies before `frame`: the next window begins there or a little before.
    pub(super) fn skip_to(&mut self, frame: u64) {
        self.next = self.next.max(plan::window_start(FramePos(frame), self.frame_bytes()));
    }

    /// Keeps at least `ahead` windows in the ring, and takes up what came back.
    pub(super) fn turn(&mut self, ahead: usize) {
        self.collect();
        self.supply(ahead.saturating_sub(self.windows.waiting()));
    }

    /// Takes up what came back, and unmaps it.
    pub(super) fn collect(&mut self) {
        while let Some(window) = self.windows.collect() {
            self.back.push((window.start.0, window.frames.0, window.recorded.0, window.touched));
        }
    }

    /// Everything came back, in order, nothing left out, passed up to `end`.
    #[track_caller]
    pub(super) fn assert_returned(&mut self, end: u64) {
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

    /// Frames `frames` of the take are the inputs' ramps, frame `frames.start` being frame `device_frame` of a
    /// device that speaks `format`.
    #[track_caller]
    pub(super) fn assert_ramp(&self, frames: Range<u64>, device_frame: u64, format: DeviceFormat) {
        assert!(frames.start < frames.end, "{frames:?}");
        let bytes = self.bytes(&frames);
        for (at, sample) in bytes.chunks_exact(self.format.bytes()).enumerate() {
            let frame = (at / self.inputs.len()) as u64;
            let heard = input_24(device_frame + frame, self.inputs[at % self.inputs.len()], format);
            let wanted = stored(heard, self.format, format);
            assert_eq!(sample, &wanted[..self.format.bytes()], "frame {} of {:?}", frames.start + frame, self.format);
        }
    }

    /// Frames `frames` of the take are exact silence.
    #[track_caller]
    pub(super) fn assert_silent(&self, frames: Range<u64>) {
        assert!(frames.start < frames.end, "{frames:?}");
        let bytes = self.bytes(&frames);
        assert!(bytes.iter().all(|byte| *byte == 0), "{frames:?} of {:?} are not silent", self.format);
    }
}

/// Keeps at least `ahead` windows in every ring, and takes up what came back.
pub(super) fn turn_all(reels: &mut [Reel], ahead: usize) {
    for reel in reels {
        reel.turn(ahead);
    }
}

/// A 24-bit sample that came from `device`, as a take stores it.
fn stored(heard: i32, take: TakeFormat, device: DeviceFormat) -> [u8; 4] {
    match take {
        TakeFormat::F32 => (f64::from(heard) / 8_388_608.0) as f32,
        TakeFormat::S24 => return heard.to_le_bytes(),
        TakeFormat::S16 => {
            let parts = f64::from(heard) / 256.0;
            // Halves: integers go up, floats away from zero.
            let nearest = if device == DeviceFormat::F32 { parts.round() } else { (parts + 0.5).floor() };
            let [low, high] = (nearest.min(32_767.0) as i16).to_le_bytes();
            return [low, high, 0, 0];
        }
    }
    .to_le_bytes()
}
