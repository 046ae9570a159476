//! The playback of one track as the audio thread holds it. Thread: control makes a voice, audio plays it.

use crate::limits;
use crate::time::{FramePos, Frames};
use crate::window::playback::AudioPlaybackWindows;

/// One track's playback.
pub struct Voice {
    /// Where its samples come from.
    pub windows: AudioPlaybackWindows,
    /// What it should sound like.
    pub mix: Mix,
    /// Levels now, on their way to those of `mix`: what a channel gives to left and right.
    pub levels: Levels,
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
    /// Levels of the inputs, when they are heard, on their way to those of `mix`.
    pub input_levels: Levels,
}

impl Voice {
    /// A track that is heard as `mix` says.
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

/// What channel 0 and channel 1 of a track give to the left and to the right.
pub type Levels = [[f32; 2]; limits::TAKE_CHANNEL_COUNT_MAX];

/// What a track sounds like. The control side works it out from gain, pan, mute and solo of all tracks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Levels to reach.
    pub levels: Levels,
    /// Whether its takes are heard.
    pub disk: bool,
    /// Whether its inputs are heard.
    pub input: bool,
    /// Device channels, 0-based; the first `channels` count.
    pub inputs: [usize; limits::TAKE_CHANNEL_COUNT_MAX],
    /// Channels of the track.
    pub channels: usize,
}
