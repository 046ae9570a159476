//! Compares every sample of a rehearsal with the ramp signal. Thread: the stress test's.

use crate::device::signal::{RAMP_CHANNEL_STEP, ramp};
use crate::session::session_file::open_read_only;
use crate::session::{Take, TakeState};
use crate::wav::read::Reader;
use std::path::Path;

/// Number of values in one period of the ramp.
const RAMP_PERIOD: u64 = 1 << 24;

/// Frames that are read at a time.
const CHUNK_FRAMES: usize = 64 * 1024;

/// The result of the comparison over all takes of a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Number of takes.
    pub takes: usize,
    /// Length of each take; if the lengths differ, the shortest.
    pub frames: u64,
    /// Samples that differ from the ramp, or from silence within a loss that the session lists.
    pub samples_wrong: u64,
    /// Frames that the session lists as lost, of the take that lost most.
    pub frames_lost: u64,
    /// Everything else that is wrong, one sentence each.
    pub problems: Vec<String>,
}

/// Checks every take of the session in `folder`.
pub fn check(folder: &Path) -> Checked {
    let mut checked = Checked::default();
    let session = match open_read_only(folder) {
        Ok(session) => session,
        Err(error) => {
            checked.problems.push(error.to_string());
            return checked;
        }
    };
    let mut first: Option<(u64, Option<u64>)> = None;
    for take in session.takes() {
        let lost = take.losses.iter().map(|loss| loss.frames.0).sum();
        checked.takes += 1;
        checked.frames_lost = checked.frames_lost.max(lost);
        if take.state != TakeState::Complete {
            checked.problems.push(format!("{}: the session does not call it complete", take.file));
        }
        if take.losses_unlisted > 0 {
            checked.problems.push(format!("{}: {} losses have no place", take.file, take.losses_unlisted));
        }
        match compare(&folder.join(take.path()), take) {
            Ok((frames, began, wrong)) => {
                checked.samples_wrong += wrong;
                checked.frames = if checked.takes == 1 { frames } else { checked.frames.min(frames) };
                if frames != take.frames.0 {
                    let text = format!("{}: {frames} frames, the session says {}", take.file, take.frames.0);
                    checked.problems.push(text);
                }
                let (all_frames, all_began) = *first.get_or_insert((frames, began));
                if (all_frames, all_began) != (frames, began) {
                    checked.problems.push(format!("{}: does not begin and end with the others", take.file));
                }
            }
            Err(reason) => checked.problems.push(reason),
        }
    }
    checked
}

/// Compares one take. Returns the frames of its file, the device frame of its first frame (modulo the ramp's period;
/// `None` if the take is all loss), and the number of wrong samples.
fn compare(path: &Path, take: &Take) -> Result<(u64, Option<u64>, u64), String> {
    let reader = Reader::open(path).map_err(|error| error.to_string())?;
    let layout = reader.layout();
    if layout.channels != 1 || layout.encoding.bytes() != 3 {
        return Err(format!("{}: is no mono file of 24 bit", path.display()));
    }
    let frames = layout.frames;
    let channel = u64::from(take.inputs.first().copied().unwrap_or(0));
    let mut losses = take.losses.iter().map(|loss| (loss.at.0, loss.at.0 + loss.frames.0)).peekable();
    let (mut began, mut wrong, mut at) = (None, 0, 0);
    let mut chunk = vec![0; CHUNK_FRAMES * 3];
    while at < frames {
        let got = reader.read_bytes(at, &mut chunk).map_err(|error| error.to_string())? / 3;
        if got == 0 {
            return Err(format!("{}: ends at frame {at} of {frames}", path.display()));
        }
        for bytes in chunk[..got * 3].chunks_exact(3) {
            let value = i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8;
            while losses.next_if(|(_, end)| *end <= at).is_some() {}
            let is_lost = losses.peek().is_some_and(|(start, _)| *start <= at);
            let want =
                if is_lost { 0 } else { ramp(*began.get_or_insert_with(|| origin(value, at, channel)) + at, channel) };
            wrong += u64::from(value != want);
            at += 1;
        }
    }
    Ok((frames, began, wrong))
}

/// The device frame of a take's frame 0, modulo the ramp's period, given that the take's frame `at` holds `value`.
fn origin(value: i32, at: u64, channel: u64) -> u64 {
    let position = (i64::from(value) + (1 << 23)) as u64;
    (position + 2 * RAMP_PERIOD - at % RAMP_PERIOD - channel * RAMP_CHANNEL_STEP % RAMP_PERIOD) % RAMP_PERIOD
}
