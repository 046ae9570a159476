//! Commands to the audio thread and events from it. Thread: control sends commands, audio sends events.

use super::{Mix, Pass, PlayPath, Voice};
use crate::device::{Device, LossCause};
use crate::time::{FramePos, Frames};

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
        /// Index below [`crate::limits::TRACK_COUNT_MAX`].
        slot: usize,
        /// The track.
        voice: Box<Voice>,
    },
    /// Take what plays in `slot` out.
    Remove {
        /// Index below [`crate::limits::TRACK_COUNT_MAX`].
        slot: usize,
    },
    /// Change what a track sounds like.
    Mix {
        /// Index below [`crate::limits::TRACK_COUNT_MAX`].
        slot: usize,
        /// Its new levels and monitoring.
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
    /// The transport rolls.
    Rolling {
        /// From where.
        at: FramePos,
    },
    /// The transport stands.
    Stopped {
        /// Where.
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
