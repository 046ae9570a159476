//! The playback of one track. Thread: control makes a voice; the audio thread owns it while it plays.

use crate::limits;
use crate::time::{FramePos, Frames};
use crate::window::playback::AudioPlaybackWindows;

/// The playback of one track.
pub struct Voice {
    /// The windows that samples are played from.
    pub windows: AudioPlaybackWindows,
    /// The gains and sources to reach.
    pub mix: Mix,
    /// Gains of the takes now; they ramp to those of `mix`.
    pub levels: Levels,
    /// Frames of dropouts since the voice was made.
    pub dropped: Frames,
    /// The dropout that has not ended yet: timeline position, length so far.
    pub open: Option<(FramePos, Frames)>,
    /// Whether the last block found no window.
    pub missing: bool,
    /// Whether a mapped file was found to be cut short.
    pub cut: bool,
    /// Whether `cut` was reported.
    pub cut_told: bool,
    /// Gains of the monitored inputs now; they ramp to those of `mix`.
    pub input_levels: Levels,
}

impl Voice {
    /// A voice that starts with the gains of `mix`.
    pub fn new(windows: AudioPlaybackWindows, mix: Mix) -> Voice {
        Voice {
            windows,
            mix,
            levels: if mix.disk { mix.levels } else { Levels::default() },
            dropped: Frames(0),
            open: None,
            missing: false,
            cut: false,
            cut_told: false,
            input_levels: Levels::default(),
        }
    }
}

/// Gains from each channel of a track to the left and the right bus.
pub type Levels = [[f32; 2]; limits::TAKE_CHANNEL_COUNT_MAX];

/// How a track sounds. Control computes it from gain, pan, mute and solo of all tracks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Gains to ramp to.
    pub levels: Levels,
    /// Whether the track's takes are played.
    pub disk: bool,
    /// Whether the track's inputs are played (input monitoring).
    pub input: bool,
    /// Device channels, counted from 0; only the first `channels` entries are used.
    pub inputs: [usize; limits::TAKE_CHANNEL_COUNT_MAX],
    /// Channels of the track, 1 or 2.
    pub channels: usize,
}
