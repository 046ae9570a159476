//! Everything that the audio thread and the control side can say to each other, and what the audio thread
//! publishes for all to read. Thread: any; each type says who writes it.
//!
//! ```text
//!   control --- AudioCommand (ring) --> audio
//!   control <-- AudioEvent   (ring) --- audio
//!   anyone  <-- Published  (atomics) -- audio
//!   butler, read-ahead <-> audio: rings of windows, see `window`
//! ```
//!
//! Nothing here is freed on the audio thread: what it was given in a box goes back in an event.
#![warn(missing_docs)]

pub mod disk;
pub mod replica;
pub mod captured;
pub mod published;

use crate::device::{Device, LossCause};
use crate::format::TakeFormat;
use crate::limits;
use crate::mixer::{Mix, PanGains};
use crate::time::{FramePos, Frames};
use crate::window::capture::AudioCaptureWindows;
use crate::window::playback::AudioPlaybackWindows;
use crate::window::progress_page::{ProgressLoss, ProgressPage};

/// What the control side asks of the audio thread. Drained at the head of every period.
pub enum AudioCommand {
    /// Start to play from where the playhead stands.
    Roll,
    /// End the pass, if one is on, with the frame before this one; declick and stop.
    Stop,
    /// End the pass with the frame before this one and keep rolling.
    PunchOut,
    /// Go elsewhere. The read-ahead was told the same `epoch` before.
    Locate {
        /// What to play from there.
        path: PlayPath,
        /// The locate's number, greater than all before.
        epoch: u32,
    },
    /// Record. Rolls if the transport stands.
    Record(Box<Pass>),
    /// Put a track's playback into `slot`, in place of what is there.
    Install {
        /// Index below [`limits::TRACK_COUNT_MAX`].
        slot: usize,
        /// The track.
        voice: Box<Voice>,
    },
    /// Take what plays in `slot` out.
    Remove {
        /// Index below [`limits::TRACK_COUNT_MAX`].
        slot: usize,
    },
    /// Change what a track sounds like.
    Mix {
        /// Index below [`limits::TRACK_COUNT_MAX`].
        slot: usize,
        /// Its new gains and monitoring.
        mix: Mix,
    },
    /// Start this device and go on with it; the frames in between are lost.
    Device(Box<dyn Device>),
    /// End the pass, give everything back, leave.
    Quit,
}

/// What the audio thread tells the control side.
pub enum AudioEvent {
    /// A pass records its first frame.
    PassBegan {
        /// Where on the timeline.
        at: FramePos,
        /// Which frame of the device's clock that is.
        device_frame: u64,
    },
    /// A pass is over; every window is on its way back.
    PassEnded(Box<Pass>),
    /// Frames of the device's clock were never delivered. They are silence in every take.
    Lost {
        /// Where on the timeline.
        at: FramePos,
        /// How many.
        frames: Frames,
        /// Why.
        cause: LossCause,
    },
    /// A capture had no window: frames of one take were not recorded. They are silence.
    Overrun {
        /// Index of the capture in its pass.
        capture: usize,
        /// Where in the take.
        at: FramePos,
        /// How many.
        frames: Frames,
    },
    /// A track's window was late: frames were not heard.
    Dropout {
        /// The track's slot.
        slot: usize,
        /// Where on the timeline.
        at: FramePos,
        /// How many.
        frames: Frames,
    },
    /// A file was cut short under a playback window; what is missing is silent.
    CutShort {
        /// The track's slot.
        slot: usize,
        /// Where on the timeline.
        at: FramePos,
    },
    /// The device is gone for good, or the one that was sent did not start; close it and send another, or quit. The
    /// timeline counts on.
    DeviceGone {
        /// It.
        device: Box<dyn Device>,
        /// Why, in plain words.
        reason: Option<&'static str>,
    },
    /// The device that was sent delivers.
    DeviceBack,
    /// The device goes on, but not as it was.
    DeviceFailed {
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// A track's playback, taken out.
    Removed(Box<Voice>),
    /// A device that was replaced, to be closed elsewhere.
    Replaced(Box<dyn Device>),
    /// The audio thread panicked; its windows are on their way back.
    EngineLost,
}

/// What plays from a locate on: a place, and perhaps a stretch that repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayPath {
    /// Where it begins.
    pub start: FramePos,
    /// From its end back to its start, over and over. Never empty.
    pub loop_range: Option<(FramePos, FramePos)>,
}

impl PlayPath {
    /// The timeline place of stream frame `stream` (frames played since the locate).
    pub fn at(&self, stream: u64) -> FramePos {
        let plain = self.start + Frames(stream);
        match self.loop_range {
            Some((from, to)) if from < to && self.start < to && to <= plain => {
                from + Frames((plain.0 - to.0) % (to.0 - from.0))
            }
            _ => plain,
        }
    }

    /// Frames from stream frame `stream` on that lie side by side on the timeline too.
    pub fn straight(&self, stream: u64) -> u64 {
        match self.loop_range {
            Some((from, to)) if from < to && self.start < to => to.0 - self.at(stream).0,
            _ => u64::MAX,
        }
    }
}

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

/// One track's playback.
pub struct Voice {
    /// Where its samples come from.
    pub windows: AudioPlaybackWindows,
    /// What it should sound like.
    pub mix: Mix,
    /// Gains of the takes now; they ramp to those of `mix`.
    pub gains: PanGains,
    /// Frames that were not heard since the voice was made.
    pub dropped: Frames,
    /// The dropout that is going on: where on the timeline, how long.
    pub open: Option<(FramePos, Frames)>,
    /// Whether the last stretch had no window.
    pub missing: bool,
    /// Whether a file was found cut short.
    pub cut: bool,
    /// Whether that has been told.
    pub cut_told: bool,
    /// Gains of the monitored inputs now; they ramp to those of `mix`, or to silence without monitoring.
    pub input_gains: PanGains,
}

impl Voice {
    /// A track that is heard as `mix` says.
    pub fn new(windows: AudioPlaybackWindows, mix: Mix) -> Voice {
        Voice {
            windows,
            mix,
            gains: if mix.disk { mix.gains } else { PanGains::default() },
            dropped: Frames(0),
            open: None,
            missing: false,
            cut: false,
            cut_told: false,
            input_gains: PanGains::default(),
        }
    }
}

/// What the transport does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Motion {
    /// It stands.
    Stopped = 0,
    /// It rolls.
    Rolling = 1,
    /// It rolls out, to stop.
    Stopping = 2,
    /// It rolls out, to go elsewhere.
    DeclickToLocate = 3,
    /// It is there and waits for windows.
    WaitingForData = 4,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_loop_is_a_straight_line() {
        let path = PlayPath { start: FramePos(100), loop_range: None };
        assert_eq!(path.at(0), FramePos(100));
        assert_eq!(path.at(1 << 40), FramePos(100 + (1 << 40)));
        assert_eq!(path.straight(7), u64::MAX);
    }

    #[test]
    fn a_path_loops_from_the_end_of_its_range_to_its_start() {
        let path = PlayPath { start: FramePos(95), loop_range: Some((FramePos(90), FramePos(100))) };
        let places: Vec<u64> = (0..16).map(|stream| path.at(stream).0).collect();
        assert_eq!(places, [95, 96, 97, 98, 99, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 90]);
        assert_eq!((path.straight(0), path.straight(5), path.straight(14)), (5, 10, 1));
    }

    #[test]
    fn a_path_that_begins_behind_its_loop_never_loops() {
        let path = PlayPath { start: FramePos(100), loop_range: Some((FramePos(90), FramePos(100))) };
        assert_eq!(path.at(50), FramePos(150));
    }

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
