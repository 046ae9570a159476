//! Commands to the audio thread and events from it. Thread: control sends commands, audio sends events.

use super::outbox::Message;
use super::{Pass, PlayPath, Voice};
use crate::device::{Device, LossCause};
use crate::mixer::Mix;
use crate::time::{FramePos, Frames};

/// A command from the control side to the audio thread. The audio thread applies all waiting commands at the start of
/// every period.
pub enum AudioCommand {
    /// Start playback at the playhead.
    Roll,
    /// End the pass, if one is recorded, with the frame before this one; declick and stop.
    Stop,
    /// End the pass with the frame before this one. The transport keeps rolling.
    PunchOut,
    /// Move the playhead. Control sends the read-ahead the same `epoch` first.
    Locate {
        /// The position to play from, and the range to loop.
        path: PlayPath,
        /// The number of the locate. Each locate has a greater one than all before it.
        epoch: u32,
    },
    /// Record a pass. Starts the transport if it is stopped.
    Record(Box<Pass>),
    /// Install a track's playback in `slot`. The audio thread returns the voice that it replaces as
    /// [`AudioEvent::Removed`].
    Install {
        /// Index of the slot, below [`crate::limits::TRACK_COUNT_MAX`].
        slot: usize,
        /// The playback of the track.
        voice: Box<Voice>,
    },
    /// Remove the playback from `slot`. It fades out, then the audio thread returns it as [`AudioEvent::Removed`].
    Remove {
        /// Index of the slot, below [`crate::limits::TRACK_COUNT_MAX`].
        slot: usize,
    },
    /// Change the gains and the monitoring of a track.
    Mix {
        /// Index of the slot, below [`crate::limits::TRACK_COUNT_MAX`].
        slot: usize,
        /// The new gains and monitoring. The audio thread ramps to the gains.
        mix: Mix,
    },
    /// Start this device and use it from now on. Frames between the last frame of the old device and the first of this
    /// one count as lost.
    Device(Box<dyn Device>),
    /// Give the device to control as [`AudioEvent::DeviceGone`], because it is to be opened again. Not while a pass is
    /// recorded.
    ReleaseDevice,
    /// End the pass, give every window back, and end the thread.
    Quit,
}

impl Message for AudioCommand {
    /// A pass, a device and `Quit` are never replaced. A stop does what the waiting commands of the transport would have
    /// ended with.
    fn replaces(&self, earlier: &AudioCommand) -> bool {
        use AudioCommand::{Install, Locate, Mix, PunchOut, Remove, Roll, Stop};
        match (self, earlier) {
            (Roll, Roll) | (Stop, Roll | Stop | PunchOut) | (PunchOut, PunchOut) | (Locate { .. }, Locate { .. }) => {
                true
            }
            (Mix { slot, .. }, Mix { slot: of, .. })
            | (
                Install { slot, .. } | Remove { slot },
                Install { slot: of, .. } | Remove { slot: of } | Mix { slot: of, .. },
            ) => slot == of,
            _ => false,
        }
    }
}

/// An event from the audio thread to the control side.
pub enum AudioEvent {
    /// The first frame of a pass was recorded.
    PassBegan {
        /// Timeline position of that frame.
        at: FramePos,
        /// Frame of the device's clock.
        device_frame: u64,
    },
    /// A pass has ended. Every window of it is on its way back to the butler.
    PassEnded(Box<Pass>),
    /// The device did not deliver some frames. A pass that records has silence in their place.
    Lost {
        /// Timeline position of the first lost frame.
        at: FramePos,
        /// Number of lost frames; 0 after an xrun from which the device recovered without a loss.
        frames: Frames,
        /// The frames of these that are silence in every take. The others were lost before the first frame of a pass, after
        /// its last one, or without one.
        recorded: Frames,
        /// The cause that the device reported.
        cause: LossCause,
    },
    /// The device's outputs ran dry or over. Every recorded frame arrived.
    PlaybackXrun {
        /// Timeline position at which the audio thread noticed it.
        at: FramePos,
    },
    /// A take had no capture window for some frames. The take has silence in their place.
    Overrun {
        /// Index of the capture in its pass.
        capture: usize,
        /// Position of the first missing frame in the take.
        at: FramePos,
        /// Number of missing frames.
        frames: Frames,
    },
    /// A track's playback window was late. The track was silent for some frames.
    Dropout {
        /// Index of the track's slot.
        slot: usize,
        /// Timeline position of the first silent frame.
        at: FramePos,
        /// Number of silent frames.
        frames: Frames,
    },
    /// Another process cut a file short while a playback window mapped it. The missing part is silent.
    CutShort {
        /// Index of the track's slot.
        slot: usize,
        /// Timeline position at which the audio thread noticed it.
        at: FramePos,
    },
    /// The device is lost, or a device that control sent did not start. The reconnect thread closes it and opens another
    /// one, which control sends. The timeline position keeps advancing.
    DeviceGone {
        /// The lost device. The reconnect thread closes it.
        device: Box<dyn Device>,
        /// The reason in plain words; `None` if the device gave none.
        reason: Option<&'static str>,
    },
    /// The device that control sent delivers frames.
    DeviceBack,
    /// The device continues to run, but not as configured.
    DeviceFailed {
        /// The problem and its remedy.
        reason: &'static str,
    },
    /// The clock of the device runs at another rate than the session's, or at that rate again.
    RateChanged {
        /// The start of a sentence about the wrong rate; `None` if it is right again.
        wrong: Option<&'static str>,
    },
    /// The outputs play again after a [`AudioEvent::DeviceFailed`] that told of their silence.
    OutputsBack {
        /// Output frames that were not heard meanwhile.
        silent: Frames,
    },
    /// The playback of a track, removed from its slot. Control drops it.
    Removed(Box<Voice>),
    /// A device that the audio thread does not use any more: another one replaced it, or the engine panicked. Control closes it,
    /// because closing may wait for a driver.
    CloseDevice(Box<dyn Device>),
    /// The engine panicked. The audio thread ends; every window is on its way back.
    EngineLost,
}

impl AudioEvent {
    /// Whether a full ring may drop the event: it owns no memory, and [`Published`] or the pass has the sum of such events. Every
    /// other event arrives: control's picture of the device or of a pass would stay wrong without it.
    ///
    /// [`Published`]: super::published::Published
    pub fn may_be_dropped(&self) -> bool {
        use AudioEvent as Event;
        match self {
            Event::Lost { .. } | Event::PlaybackXrun { .. } | Event::Overrun { .. } | Event::Dropout { .. } => true,
            Event::PassBegan { .. }
            | Event::PassEnded(_)
            | Event::CutShort { .. }
            | Event::DeviceGone { .. }
            | Event::DeviceBack
            | Event::DeviceFailed { .. }
            | Event::RateChanged { .. }
            | Event::OutputsBack { .. }
            | Event::Removed(_)
            | Event::CloseDevice(_)
            | Event::EngineLost => false,
        }
    }
}
