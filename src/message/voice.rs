//! The playback of one track. Thread: control makes a voice; the audio thread owns it while it plays.

use crate::mixer::{Mix, PanGains, TrackGains};
use crate::time::{FramePos, Frames};
use crate::window::playback::AudioPlaybackWindows;

/// The playback of one track.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the voice")]
pub struct Voice {
    /// The windows that samples are played from.
    pub windows: AudioPlaybackWindows,
    /// The gains and sources to reach.
    pub mix: Mix,
    /// Gains of the takes now; they ramp to those of `mix`.
    pub gains: TrackGains,
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
    pub input_gains: PanGains,
    /// The voice that this one has replaced. It fades out and then goes back to control.
    pub fading: Option<Box<Voice>>,
    /// Whether the voice is removed or replaced: it fades out and then goes back to control.
    pub is_leaving: bool,
}

impl Voice {
    /// Whether nothing of the voice can be heard now. `is_rolling`: whether takes play. This is realtime-safe.
    pub fn is_silent(&self, is_rolling: bool) -> bool {
        (!is_rolling || self.gains == TrackGains::SILENT) && self.input_gains == PanGains::default()
    }

    /// A voice that starts with the gains of `mix`.
    pub fn new(windows: AudioPlaybackWindows, mix: Mix) -> Voice {
        Voice {
            windows,
            mix,
            gains: if mix.disk || mix.auto { mix.gains } else { TrackGains::SILENT },
            dropped: Frames(0),
            open: None,
            missing: false,
            cut: false,
            cut_told: false,
            input_gains: PanGains::default(),
            fading: None,
            is_leaving: false,
        }
    }
}
