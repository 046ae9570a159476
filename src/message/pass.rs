//! A pass that is being recorded, its captures and its losses. Thread: control makes a pass; the audio thread owns it
//! while it records; control gets it back in [`AudioEvent::PassEnded`](super::AudioEvent::PassEnded).

use crate::device::LossCause;
use crate::format::TakeFormat;
use crate::limits;
use crate::time::{FramePos, Frames};
use crate::window::capture::AudioCaptureWindows;
use crate::window::progress_page::{ProgressLoss, ProgressPage};

/// A recording of several takes that begin and end with the same frame.
pub struct Pass {
    /// One capture for each take.
    pub captures: Vec<Capture>,
    /// Timeline position of the first frame; `None`: the next frame.
    pub begin: Option<FramePos>,
    /// Frames after which the pass ends without a command; `Frames(u64::MAX)`: never.
    pub length: Frames,
    /// Whether the transport stops when the pass ends.
    pub stop_with_it: bool,
    /// Frames recorded so far, lost frames included. Every take has this length.
    pub frames: Frames,
    /// Frames that the device did not deliver.
    pub lost: Frames,
    /// Losses of the device. The first ones keep their position.
    pub losses: LossLog,
    /// Number of xruns of the device.
    pub xruns: u32,
    /// Timeline position of the first frame that was recorded.
    pub began: FramePos,
    /// The page that tells a recovery how far the pass has come if the program is killed.
    pub progress_page: Option<ProgressPage>,
}

/// The recording of one take.
pub struct Capture {
    /// The windows that receive the samples.
    pub windows: AudioCaptureWindows,
    /// Device channels, counted from 0; only the first `channels` entries are used.
    pub inputs: [usize; limits::TAKE_CHANNEL_COUNT_MAX],
    /// Channels of the take, 1 or 2.
    pub channels: usize,
    /// Sample format of the take.
    pub format: TakeFormat,
    /// Frames for which there was no window.
    pub overrun: Frames,
    /// Overruns. The first ones keep their position.
    pub losses: LossLog,
    /// The overrun that has not ended yet: first frame in the take, length so far.
    pub open: Option<(FramePos, Frames)>,
}

impl Capture {
    /// A capture of device channels `inputs`. `channels` is 1 or 2.
    pub fn new(windows: AudioCaptureWindows, inputs: [usize; 2], channels: usize, format: TakeFormat) -> Capture {
        assert!((1..=limits::TAKE_CHANNEL_COUNT_MAX).contains(&channels), "mono or stereo");
        Capture { windows, inputs, channels, format, overrun: Frames(0), losses: LossLog::default(), open: None }
    }
}

impl Pass {
    /// A pass that begins at `begin` (`None`: at once) and ends after `length` frames.
    pub fn new(captures: Vec<Capture>, begin: Option<FramePos>, length: Frames, stop_with_it: bool) -> Pass {
        Pass {
            captures,
            begin,
            length,
            stop_with_it,
            frames: Frames(0),
            lost: Frames(0),
            losses: LossLog::default(),
            xruns: 0,
            began: FramePos(0),
            progress_page: None,
        }
    }

    /// Stores the loss that was just added to `losses` in the progress page. This is realtime-safe.
    pub fn note_loss(&self, lost: Frames) {
        let Some(progress_page) = &self.progress_page else { return };
        let count = self.losses.count();
        let mark = self.losses.marks().get(count.wrapping_sub(1)).map(|mark| ProgressLoss {
            at: mark.at,
            frames: mark.frames,
            cause: mark.cause.map_or(0, LossCause::code),
        });
        progress_page.add_loss(count, mark, lost);
    }
}

/// A range of silence in place of lost frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossMark {
    /// First lost frame, counted from the start of the pass.
    pub at: FramePos,
    /// Number of lost frames.
    pub frames: Frames,
    /// The device's cause; `None`: there was no window.
    pub cause: Option<LossCause>,
}

/// The losses of a pass: all of them counted, the first 64 with their positions.
#[derive(Clone, Debug)]
pub struct LossLog {
    marks: [LossMark; LossLog::MARKS],
    last: LossMark,
    count: usize,
}

impl Default for LossLog {
    fn default() -> Self {
        LossLog { marks: [LossMark::default(); LossLog::MARKS], last: LossMark::default(), count: 0 }
    }
}

impl LossLog {
    const MARKS: usize = 64;

    /// Adds a loss. After the first 64 only the count grows. A loss that begins where the last one ended, with the same
    /// cause, extends it. This is realtime-safe.
    pub fn add(&mut self, mark: LossMark) {
        let continues_last =
            self.count > 0 && self.last.at + self.last.frames == mark.at && self.last.cause == mark.cause;
        if continues_last {
            self.last.frames += mark.frames;
        } else {
            self.last = mark;
            self.count += 1;
        }
        if let Some(slot) = self.marks.get_mut(self.count - 1) {
            *slot = self.last;
        }
    }

    /// The losses that kept their position.
    pub fn marks(&self) -> &[LossMark] {
        &self.marks[..self.count.min(LossLog::MARKS)]
    }

    /// The number of losses.
    pub fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_losses_are_one_mark_and_the_count_grows_past_the_marks() {
        let mut log = LossLog::default();
        for at in [0, 64] {
            log.add(LossMark { at: FramePos(at), frames: Frames(64), cause: None });
        }
        assert_eq!(log.marks(), [LossMark { at: FramePos(0), frames: Frames(128), cause: None }]);
        for at in 1..100 {
            log.add(LossMark { at: FramePos(at * 1000), frames: Frames(1), cause: Some(LossCause::Xrun) });
        }
        assert_eq!((log.count(), log.marks().len()), (100, 64));
        log.add(LossMark { at: FramePos(99_001), frames: Frames(1), cause: Some(LossCause::Xrun) });
        assert_eq!(log.count(), 100, "a loss that goes on is one loss, past the marks too");
    }
}
