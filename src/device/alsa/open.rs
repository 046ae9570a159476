//! Opening of the two directions of a device. Thread: opener, reconnect, control.

use super::pcm::Want;
use super::side::Side;
use crate::device::{DeviceError, DeviceSpec};
use crate::limits::PERIOD_FRAMES_MIN;
use ::alsa::Direction;

/// Default frames of the buffer: at 48 kHz the program may be a third of a second late.
const BUFFER_FRAMES_DEFAULT: usize = 16_384;

/// The note of a device that was to be opened with outputs and has none.
pub const NO_PLAYBACK: &str = "the device has no playback, so nothing is heard; choose a device with outputs, or name one for each direction \
     (alsa:INPUTS,OUTPUTS)";

/// Result of opening one direction.
pub(super) enum Opened {
    Side(Box<Side>),
    /// The direction was not requested.
    Unwanted,
    /// The device has no such direction.
    Absent(DeviceError),
}

impl Opened {
    pub(super) fn side(self) -> Option<Side> {
        match self {
            Opened::Side(side) => Some(*side),
            _ => None,
        }
    }
}

pub(super) fn open_side(
    spec: &DeviceSpec,
    pcm: Option<&str>,
    direction: Direction,
    channels: Option<usize>,
    one_name: bool,
    notes: &mut Vec<String>,
) -> Result<Opened, DeviceError> {
    let (Some(pcm), false) = (pcm, channels == Some(0)) else { return Ok(Opened::Unwanted) };
    let want = Want {
        device: &spec.name,
        pcm,
        direction,
        rate: spec.rate,
        period_frames: spec.period_frames.map(|frames| frames.max(PERIOD_FRAMES_MIN)),
        buffer_frames: spec.buffer_frames.unwrap_or(BUFFER_FRAMES_DEFAULT),
        channels,
        format: spec.format,
    };
    match Side::open(&want, notes) {
        Ok(side) => Ok(Opened::Side(Box::new(side))),
        // One name was given for both directions, so the device may have only the other one.
        Err(error @ DeviceError::Unknown { .. }) if one_name && channels.is_none() => Ok(Opened::Absent(error)),
        Err(error) => Err(error),
    }
}

pub(super) fn note_absent(opened: &Opened, direction: Direction, notes: &mut Vec<String>) {
    if matches!(opened, Opened::Absent(_)) {
        notes.push(match direction {
            Direction::Capture => {
                "the device has no capture, so nothing can be recorded; choose a device with inputs".to_owned()
            }
            Direction::Playback => NO_PLAYBACK.to_owned(),
        });
    }
}

/// Whether the driver can start both sides together, as every start tries to.
pub(super) fn link_is_possible(capture: Option<&Side>, playback: Option<&Side>) -> bool {
    let (Some(capture), Some(playback)) = (capture, playback) else { return false };
    let linked = capture.pcm.link(&playback.pcm).is_ok();
    if linked {
        capture.pcm.unlink().ok();
    }
    linked
}
