//! A pass that is being recorded, its captures and its losses. Thread: control makes a pass; the audio thread owns it
//! while it records; control gets it back in [`AudioEvent::PassEnded`](super::AudioEvent::PassEnded).

use crate::device::LossCause;
use crate::format::TakeFormat;
use crate::limits;
use crate::time::{FramePos, Frames};
use crate::window::capture::AudioCaptureWindows;
use crate::window::overrun_places::{OverrunPlace, TakeMark};
use crate::window::progress_page::{NotedOverrun, ProgressLoss, ProgressPage};

/// A recording of several takes that begin and end with the same frame.
pub struct Pass {
    /// One capture for each take.
    pub captures: Vec<Capture>,
    /// Indexes of the captures, in the order of their lowest input. The audio thread goes through the takes in this
    /// order, because neighbouring inputs lie side by side in the device's memory.
    pub by_input: Vec<usize>,
    /// The part of the timeline that the pass records.
    pub range: PassRange,
    /// Whether the transport stops when the pass ends.
    pub stop_with_it: bool,
    /// Frames recorded so far, lost frames included. Every take has this length.
    pub frames: Frames,
    /// Frames that the device did not deliver.
    pub lost: Frames,
    /// Losses of the device.
    pub losses: LossLog,
    /// Number of xruns of the device's inputs.
    pub xruns: u32,
    /// Number of xruns of the device's outputs. They cost no recorded frame.
    pub playback_xruns: u32,
    /// Timeline position of the first frame that was recorded.
    pub began: FramePos,
    /// The page that tells a recovery how far the pass has come if the program is killed.
    pub progress_page: Option<ProgressPage>,
}

/// The part of the timeline that a pass records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassRange {
    /// From the next frame on, for so many frames; `Frames(u64::MAX)`: until a command ends the pass.
    Now(Frames),
    /// A punch. The pass begins when the playhead is at or past `from`, and ends at `to`. A punch that begins late does
    /// not end later, because the sound behind `to` must stay.
    Punch {
        /// The first frame to record.
        from: FramePos,
        /// The frame behind the last one.
        to: FramePos,
    },
}

impl PassRange {
    /// Whether a pass begins at `position`. This is realtime-safe.
    pub fn has_begun(self, position: FramePos) -> bool {
        match self {
            PassRange::Now(_) => true,
            PassRange::Punch { from, .. } => from <= position,
        }
    }

    /// The length of a pass whose first frame is at `began`. This is realtime-safe.
    pub fn length_from(self, began: FramePos) -> Frames {
        match self {
            PassRange::Now(length) => length,
            PassRange::Punch { to, .. } => to.since(began),
        }
    }
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
    /// The mark of the take in the progress page.
    pub mark: TakeMark,
    /// Frames for which there was no window.
    pub overrun: Frames,
    /// The overruns of this take, with their positions in the take.
    pub losses: LossLog,
    /// The overrun that has not ended yet.
    pub open: Option<OpenOverrun>,
    /// The overrun before, which ended in the block that is being recorded. The block reports it.
    pub ended: Option<OpenOverrun>,
    /// Frames at the end of the block that is being recorded for which there was no window.
    pub missed: Frames,
}

/// An overrun that has not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOverrun {
    /// Where it began, and its length so far.
    pub place: OverrunPlace,
    /// Its entry in the progress page, once it has one.
    pub noted: Option<NotedOverrun>,
    /// Frames at its start that were reported already.
    pub reported: Frames,
}

impl Capture {
    /// A capture of device channels `inputs`. `channels` is 1 or 2.
    pub fn new(windows: AudioCaptureWindows, inputs: [usize; 2], channels: usize, format: TakeFormat) -> Capture {
        assert!((1..=limits::TAKE_CHANNEL_COUNT_MAX).contains(&channels), "mono or stereo");
        Capture {
            windows,
            inputs,
            channels,
            format,
            mark: TakeMark::default(),
            overrun: Frames(0),
            losses: LossLog::default(),
            open: None,
            ended: None,
            missed: Frames(0),
        }
    }

    /// The same capture for the take with mark `mark`.
    #[must_use]
    pub fn marked(self, mark: TakeMark) -> Capture {
        Capture { mark, ..self }
    }

    /// The device channels of the take, one for each of its channels. This is realtime-safe.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs[..self.channels]
    }

    /// The lowest and the highest of [`Capture::inputs`]. This is realtime-safe.
    pub fn input_range(&self) -> (usize, usize) {
        self.inputs().iter().fold((usize::MAX, 0), |(low, high), input| (low.min(*input), high.max(*input)))
    }
}

impl Pass {
    /// A pass that records `range`.
    pub fn new(captures: Vec<Capture>, range: PassRange, stop_with_it: bool) -> Pass {
        let mut by_input: Vec<usize> = (0..captures.len()).collect();
        by_input.sort_by_key(|index| captures[*index].input_range());
        Pass {
            captures,
            by_input,
            range,
            stop_with_it,
            frames: Frames(0),
            lost: Frames(0),
            losses: LossLog::default(),
            xruns: 0,
            playback_xruns: 0,
            began: FramePos(0),
            progress_page: None,
        }
    }

    /// Frames that the pass has yet to record, once it has begun. This is realtime-safe.
    pub fn frames_left(&self) -> Frames {
        self.range.length_from(self.began) - self.frames
    }

    /// Adds frames that the device lost to the log and to the progress page. This is realtime-safe.
    pub fn add_loss(&mut self, loss: LossMark) {
        let slot = self.losses.add(loss);
        let Some(progress_page) = self.progress_page.as_ref().filter(|_| 0 < loss.frames.0) else { return };
        let mark = slot.map(|(slot, mark)| {
            let cause = mark.cause.map_or(0, LossCause::code);
            (slot, ProgressLoss { at: mark.at, frames: mark.frames, cause })
        });
        progress_page.add_loss(self.losses.count(), mark, loss.frames);
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

/// The losses of a pass: all of them counted, the 64 longest with their positions. A loss has at least one frame, so
/// that an event without a lost frame never takes the place of a loss.
#[derive(Clone, Debug)]
pub struct LossLog {
    /// In no order: a longer loss replaces the shortest one.
    marks: [LossMark; LossLog::MARKS],
    last: LossMark,
    /// The slot of `last` in `marks`; `None`: it is shorter than all that have a slot.
    last_slot: Option<usize>,
    count: usize,
}

impl Default for LossLog {
    fn default() -> Self {
        LossLog { marks: [LossMark::default(); LossLog::MARKS], last: LossMark::default(), last_slot: None, count: 0 }
    }
}

impl LossLog {
    const MARKS: usize = 64;

    /// Adds a loss; one of 0 frames is ignored. A loss that begins where the last one ended, with the same cause, extends
    /// it. When all slots are in use, a loss replaces the shortest one if it is longer. Returns the slot that changed and
    /// its content. This is realtime-safe.
    pub fn add(&mut self, mark: LossMark) -> Option<(usize, LossMark)> {
        if mark.frames.0 == 0 {
            return None;
        }
        let continues_last =
            self.count > 0 && self.last.at + self.last.frames == mark.at && self.last.cause == mark.cause;
        if continues_last {
            self.last.frames += mark.frames;
        } else {
            self.last_slot = Some(self.count).filter(|slot| *slot < LossLog::MARKS);
            self.last = mark;
            self.count += 1;
        }
        let slot = self.last_slot.or_else(|| self.slot_of_shorter_loss())?;
        self.last_slot = Some(slot);
        let place = self.marks.get_mut(slot)?;
        *place = self.last;
        Some((slot, self.last))
    }

    /// The slot of the shortest loss, if it is shorter than the last one.
    fn slot_of_shorter_loss(&self) -> Option<usize> {
        let (slot, shortest) = self.marks.iter().enumerate().min_by_key(|(_, mark)| mark.frames)?;
        (shortest.frames < self.last.frames).then_some(slot)
    }

    /// The losses that have a position, in the order of the timeline. This is not realtime-safe: it allocates.
    pub fn marks(&self) -> Vec<LossMark> {
        let mut marks = self.marks[..self.count.min(LossLog::MARKS)].to_vec();
        marks.sort_unstable_by_key(|mark| mark.at);
        marks
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
        assert_eq!(log.count(), 100, "a loss that continues is one loss, past the marks too");
    }

    #[test]
    fn a_long_loss_keeps_its_position_however_many_short_ones_and_empty_events_came_before() {
        let mut log = LossLog::default();
        let xrun =
            |at: u64, frames: u64| LossMark { at: FramePos(at), frames: Frames(frames), cause: Some(LossCause::Xrun) };
        for at in 0..200 {
            assert_eq!(log.add(xrun(at * 100, 0)), None, "nothing was lost");
        }
        assert_eq!((log.count(), log.marks()), (0, Vec::new()));
        for at in 0..100 {
            log.add(xrun(at * 100, 3));
        }
        // The last loss grows piece by piece, until it is the longest one.
        let slot = log.add(xrun(50_000, 2));
        assert_eq!(slot, None, "it is shorter than all that have a slot");
        for piece in 0..5 {
            log.add(xrun(50_002 + piece * 1000, 1000));
        }
        let marks = log.marks();
        assert_eq!((log.count(), marks.len(), marks.last()), (101, 64, Some(&xrun(50_000, 5_002))));
        assert!(marks.is_sorted_by_key(|mark| mark.at));
    }
}
