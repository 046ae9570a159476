//! What a track sounds like among the others: the one place where gain, pan, mute and solo become levels. Thread:
//! any but audio; playing and exporting ask here, so that a mixdown is what was heard.

use crate::engine::mix;
use crate::limits::TAKE_CHANNEL_COUNT_MAX;
use crate::message::Mix;
use crate::session::{Monitor, Session, Track};

/// What a track sounds like among the others: its own gain and pan, its mute, everybody's solo.
pub fn mix_of(track: &Track, session: &Session) -> Mix {
    let soloed = session.tracks().iter().any(|track| track.solo);
    let silent = track.mute || (soloed && !track.solo);
    let channels = track.inputs().len();
    let levels = if silent { [[0.0; 2]; 2] } else { mix::levels(track.gain_db(), track.pan(), channels) };
    let mut inputs = [0; TAKE_CHANNEL_COUNT_MAX];
    for (slot, input) in inputs.iter_mut().zip(track.inputs()) {
        *slot = *input as usize;
    }
    Mix { levels, disk: track.monitor != Monitor::Input, input: track.monitor == Monitor::Input, inputs, channels }
}
