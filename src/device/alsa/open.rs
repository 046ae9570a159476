//! Opening: which PCMs a name means, and what became of each direction. Thread: control.

use super::side::{self, Side, Want};
use crate::device::{DeviceError, DeviceSpec};
use crate::limits::PERIOD_FRAMES_MIN;
use ::alsa::Direction;

/// Frames of the buffer where none are asked for: at 48 kHz the program may be a third of a second late.
const BUFFER_FRAMES_DEFAULT: usize = 16_384;

/// What became of one direction at opening.
pub(super) enum Opened {
    Side(Box<Side>),
    /// Not asked for.
    Unwanted,
    /// The name has no such direction.
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
        period_frames: spec.period_frames.max(PERIOD_FRAMES_MIN),
        buffer_frames: spec.buffer_frames.unwrap_or(BUFFER_FRAMES_DEFAULT).max(4 * spec.period_frames),
        channels,
        format: spec.format,
    };
    match Side::open(&want, notes) {
        Ok(side) => Ok(Opened::Side(Box::new(side))),
        // One name for both: the other direction may be all there is to it.
        Err(error @ DeviceError::Unknown { .. }) if one_name && channels.is_none() => Ok(Opened::Absent(error)),
        Err(error) => Err(error),
    }
}

pub(super) fn note_absent(opened: &Opened, direction: Direction, notes: &mut Vec<String>) {
    if matches!(opened, Opened::Absent(_)) {
        notes.push(format!("the device has no {}", side::direction_name(direction)));
    }
}

/// Tries the link that each start makes.
pub(super) fn link_is_possible(capture: Option<&Side>, playback: Option<&Side>) -> bool {
    let (Some(capture), Some(playback)) = (capture, playback) else { return false };
    let linked = capture.pcm.link(&playback.pcm).is_ok();
    if linked {
        capture.pcm.unlink().ok();
    }
    linked
}

/// The PCM names of capture and playback.
pub(super) fn names<'n>(spec: &DeviceSpec, pcm: &'n str) -> Result<(Option<&'n str>, Option<&'n str>), DeviceError> {
    let malformed = |reason: &str| DeviceError::Malformed { name: spec.name.clone(), reason: reason.to_owned() };
    if pcm.contains('\0') {
        return Err(malformed("a device name has no zero byte"));
    }
    let (capture, playback) = split_names(pcm);
    if capture.is_empty() || playback.is_empty() {
        return Err(malformed("a PCM name is missing; use alsa:NAME or alsa:CAPTURE,PLAYBACK with - for none"));
    }
    let some = |name: &'n str| (name != "-").then_some(name);
    match (some(capture), some(playback)) {
        (None, None) => Err(malformed("neither capture nor playback is named")),
        names => Ok(names),
    }
}

/// Splits `CAPTURE,PLAYBACK`. Commas are part of many names (`hw:0,1`, `hw:CARD=UMC,DEV=0`): the one that counts
/// is followed by `-` or by what can begin a name, and lies outside of quotes and braces.
pub(super) fn split_names(pcm: &str) -> (&str, &str) {
    let (mut quote, mut depth) = (None, 0_u32);
    for (at, c) in pcm.char_indices() {
        match (c, quote) {
            (_, Some(open)) => quote = (c != open).then_some(open),
            ('\'' | '"', None) => quote = Some(c),
            ('{', None) => depth += 1,
            ('}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 && begins_a_name(&pcm[at + 1..]) => return (&pcm[..at], &pcm[at + 1..]),
            _ => {}
        }
    }
    (pcm, pcm)
}

fn begins_a_name(rest: &str) -> bool {
    let head = rest.split([',', ':']).next().unwrap_or("");
    rest.is_empty() || rest == "-" || (head.starts_with(|c: char| c.is_alphabetic() || c == '_') && !head.contains('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_told_from_the_commas_of_a_name() {
        for (text, capture, playback) in [
            ("default", "default", "default"),
            ("hw:0,0", "hw:0,0", "hw:0,0"),
            ("hw:CARD=UMC,DEV=0", "hw:CARD=UMC,DEV=0", "hw:CARD=UMC,DEV=0"),
            ("hw:0,0,hw:1,0", "hw:0,0", "hw:1,0"),
            ("hw:CARD=A,DEV=0,hw:CARD=B,DEV=1", "hw:CARD=A,DEV=0", "hw:CARD=B,DEV=1"),
            ("mic,speaker", "mic", "speaker"),
            ("-,hw:0,1", "-", "hw:0,1"),
            ("hw:0,1,-", "hw:0,1", "-"),
            ("plug:'hw:0,dev',speaker", "plug:'hw:0,dev'", "speaker"),
            ("plug:{SLAVE=\"a,b\"}", "plug:{SLAVE=\"a,b\"}", "plug:{SLAVE=\"a,b\"}"),
            ("mic,", "mic", ""),
        ] {
            assert_eq!(split_names(text), (capture, playback), "{text}");
        }
    }
}
