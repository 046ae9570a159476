//! A pass that is being recorded, its captures, and the losses in them. Thread: control makes a pass, audio records it.

use crate::device::LossCause;
use crate::format::TakeFormat;
use crate::limits;
use crate::time::{FramePos, Frames};
use crate::window::capture::AudioCaptureWindows;
use crate::window::progress_page::{ProgressLoss, ProgressPage};

/// One stretch of recording: takes that begin and end with the same frame.
pub struct Pass {
    /// One per take.
    pub captures: Vec<Capture>,
    /// Where on the timeline to begin; `None`: with the next frame.
    pub begin: Option<FramePos>,
    /// Frames after which it ends by itself; [`Frames`] of `u64::MAX` for never.
    pub length: Frames,
    /// Whether the transport stops with it.
    pub stop_with_it: bool,
    /// Frames recorded so far, lost ones included: the length of every take.
    pub frames: Frames,
    /// Frames the device did not deliver.
    pub lost: Frames,
    /// Losses of the device, the first ones with their place.
    pub losses: LossLog,
    /// Xruns of the device.
    pub xruns: u32,
    /// Where on the timeline it began.
    pub began: FramePos,
    /// Where it is kept how far the pass has come, for the day the program is killed.
    pub progress_page: Option<ProgressPage>,
}

/// One take being recorded.
pub struct Capture {
    /// Where its samples go.
    pub windows: AudioCaptureWindows,
    /// Device channels, 0-based; the first `channels` count.
    pub inputs: [usize; limits::TAKE_CHANNEL_COUNT_MAX],
    /// Channels of the take.
    pub channels: usize,
    /// How samples are stored.
    pub format: TakeFormat,
    /// Frames for which there was no window.
    pub overrun: Frames,
    /// Overruns, the first ones with their place.
    pub losses: LossLog,
    /// The overrun that is going on: where in the take, how long.
    pub open: Option<(FramePos, Frames)>,
}

impl Capture {
    /// A take of `channels` channels that records `inputs`.
    pub fn new(windows: AudioCaptureWindows, inputs: [usize; 2], channels: usize, format: TakeFormat) -> Capture {
        assert!((1..=limits::TAKE_CHANNEL_COUNT_MAX).contains(&channels), "mono or stereo");
        Capture { windows, inputs, channels, format, overrun: Frames(0), losses: LossLog::default(), open: None }
    }
}

impl Pass {
    /// A pass over `captures`, to begin at `begin` or at once and to end after `length`.
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

    /// Tells the progress page of the loss that was just added to `losses`. This is realtime-safe.
    pub fn note_loss(&self, lost: Frames) {
        let Some(progress_page) = &self.progress_page else { return };
        let count = self.losses.count();
        let mark = self.losses.marks().get(count.wrapping_sub(1)).map(|mark| ProgressLoss {
            at: mark.at,
            frames: mark.frames,
            cause: mark.cause.map_or(0, LossCause::code),
        });
        progress_page.lose(count, mark, lost);
    }
}

/// A stretch of silence where sound was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossMark {
    /// First lost frame, counted from the start of the pass.
    pub at: FramePos,
    /// How many.
    pub frames: Frames,
    /// Why; `None`: no window was there.
    pub cause: Option<LossCause>,
}

/// The first losses of a pass with their places; all of them by number.
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

    /// Adds a mark; past the first 64 only the number grows. A mark that goes on where the last one ended,
    /// for the same reason, makes that one longer. This is realtime-safe.
    pub fn add(&mut self, mark: LossMark) {
        let goes_on = self.count > 0 && self.last.at + self.last.frames == mark.at && self.last.cause == mark.cause;
        if goes_on {
            self.last.frames += mark.frames;
        } else {
            self.last = mark;
            self.count += 1;
        }
        if let Some(place) = self.marks.get_mut(self.count - 1) {
            *place = self.last;
        }
    }

    /// The marks that were kept.
    pub fn marks(&self) -> &[LossMark] {
        &self.marks[..self.count.min(LossLog::MARKS)]
    }

    /// All losses.
    pub fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_side_by_side_are_one_mark_and_the_number_grows_past_the_marks() {
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
