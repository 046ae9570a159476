//! The read-ahead's part in these tests: owns a recorded file on a disk, and supplies its windows. Thread: test.

use faultless::butler::plan;
use faultless::format::TakeFormat;
use faultless::limits::DATA_OFFSET;
use faultless::message::Voice;
use faultless::window::budget::LockBudget;
use faultless::window::map::{Mapping, Populate};
use faultless::window::playback::{Edges, PlaybackWindow, ReaderPlaybackWindows, playback_windows};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::rig::plain;

/// Bytes of a window: the smallest size.
const WINDOW_BYTES: usize = faultless::limits::WINDOW_BYTES_MIN;

/// A file and the reader's end of its window ring.
pub(super) struct Disc {
    file: File,
    windows: ReaderPlaybackWindows,
    budget: Arc<LockBudget>,
    format: TakeFormat,
    channels: usize,
    frames: u64,
}

/// The recorded sample at frame `frame` of channel `channel`, in 24 bits; 16 bits hold it exactly.
pub(super) fn sound(frame: u64, channel: usize) -> i32 {
    ((frame * 37 + channel as u64 * 1_009) % 20_001) as i32 * 256 - 10_000 * 256
}

impl Disc {
    /// A file of `frames` frames on a disk, and a voice that plays it unchanged.
    pub(super) fn new(format: TakeFormat, channels: usize, frames: u64) -> (Disc, Box<Voice>) {
        let file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut bytes = Vec::new();
        for sample in 0..frames * channels as u64 {
            let value = sound(sample / channels as u64, sample as usize % channels);
            match format {
                TakeFormat::S16 => bytes.extend_from_slice(&(value >> 8).to_le_bytes()[..2]),
                TakeFormat::S24 => bytes.extend_from_slice(&value.to_le_bytes()[..3]),
                TakeFormat::F32 => bytes.extend_from_slice(&(value as f32 / 8_388_608.0).to_le_bytes()),
            }
        }
        file.write_all_at(&bytes, DATA_OFFSET).unwrap();
        let (audio, windows) = playback_windows();
        let voice = Box::new(Voice::new(audio, plain(channels)));
        (Disc { file, windows, budget: LockBudget::new(u64::MAX), format, channels, frames }, voice)
    }

    /// Supplies `frames` frames of the file from frame `take_frame` on. They play from stream frame `stream` of locate
    /// `epoch` on.
    pub(super) fn supply(&mut self, epoch: u32, stream: u64, take_frame: u64, frames: u64) {
        assert!(take_frame + frames <= self.frames);
        let frame_bytes = self.format.bytes() * self.channels;
        let mut done = 0;
        while done < frames {
            let span = plan::map_span(take_frame + done, frames - done, frame_bytes, DATA_OFFSET, WINDOW_BYTES);
            let mut map = Mapping::readable(&self.file, span.offset, span.bytes).unwrap();
            map.lock(&self.budget);
            map.populate(Populate::Advise).unwrap();
            let window = PlaybackWindow {
                map,
                epoch,
                start: stream + done,
                frames: span.frames,
                skip_bytes: span.skip_bytes,
                format: self.format,
                channels: self.channels,
                edges: Edges::NONE,
            };
            done += span.frames;
            self.windows.ring.hand_over(window).unwrap();
        }
        self.supplied_until(epoch, stream + frames);
    }

    /// Declares that no further window begins before stream frame `stream`; gaps before it are silence.
    pub(super) fn supplied_until(&mut self, epoch: u32, stream: u64) {
        self.windows.supplied_until(epoch, stream);
    }

    /// Takes back and unmaps returned windows. Returns how many.
    pub(super) fn collect(&mut self) -> usize {
        std::iter::from_fn(|| self.windows.ring.collect()).count()
    }

    /// Windows that the engine holds.
    pub(super) fn out(&self) -> usize {
        self.windows.ring.out()
    }

    /// Truncates the file after frame `frame`, as another program might. Returns the first frame of the first page that
    /// is missing as a whole.
    pub(super) fn cut(&self, frame: u64) -> u64 {
        let frame_bytes = (self.format.bytes() * self.channels) as u64;
        let bytes = DATA_OFFSET + frame * frame_bytes;
        self.file.set_len(bytes).unwrap();
        (bytes.next_multiple_of(4096) - DATA_OFFSET).div_ceil(frame_bytes)
    }
}
