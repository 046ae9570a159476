//! Tells what a server never gave from what the program lost. Thread: test.
//!
//! A PCM of alsa-lib's type `file` lies between the program and the server's plugin. It writes down every frame that passes,
//! on the thread that moves it. A busy machine makes a server skip blocks, or give silence for some channels of a block. The
//! written frames show that, so such a block does not count against the program, and no other frame may be missing.

use crate::util::read_wav;
use faultless::session::Take;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// A PCM `name` that writes down every frame between the program and the PCM `slave`. Each opening makes a new file.
pub(super) fn recorder(name: &str, slave: &str, folder: &Path) -> String {
    let file = folder.join(name);
    format!("pcm.{name} {{ type file slave.pcm \"{slave}\" file \"{}\" format raw truncate false }}\n", file.display())
}

/// Frames that passed a PCM. Samples are 24-bit integers.
pub(super) struct Passed {
    channels: usize,
    samples: Vec<i32>,
}

impl Passed {
    /// Every frame that passed the PCM `name` of [`recorder`], and forgets them.
    pub(super) fn take(name: &str, folder: &Path, channels: usize, float: bool) -> Passed {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        // alsa-lib makes NAME, NAME.0001, NAME.0002 and so on.
        let is_of = |path: &std::path::PathBuf| path.file_stem().is_some_and(|stem| stem == name);
        let mut files: Vec<_> = entries.filter(is_of).collect();
        files.sort();
        let mut samples = Vec::new();
        for file in files {
            samples.extend(integers(&fs::read(&file).unwrap(), float));
            fs::remove_file(file).unwrap();
        }
        Passed { channels, samples }
    }

    pub(super) fn new(channels: usize, samples: Vec<i32>) -> Passed {
        Passed { channels, samples }
    }

    pub(super) fn frames(&self) -> usize {
        self.samples.len() / self.channels
    }

    pub(super) fn frame(&self, number: usize) -> &[i32] {
        &self.samples[number * self.channels..][..self.channels]
    }
}

/// Samples of four bytes as 24-bit integers.
pub(super) fn integers(bytes: &[u8], float: bool) -> impl Iterator<Item = i32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(move |bytes| {
        if float { (f32::from_le_bytes(*bytes) * 8_388_608.0).round() as i32 } else { i32::from_le_bytes(*bytes) >> 8 }
    })
}

/// The takes of a pass, one channel each, and what they list as lost.
pub(super) struct Kept {
    takes: Passed,
    losses: Vec<Range<usize>>,
}

impl Kept {
    /// Reads `takes`, which are of one pass.
    pub(super) fn read<'t>(folder: &Path, takes: impl Iterator<Item = &'t Take>) -> Kept {
        let mut losses: Option<Vec<Range<usize>>> = None;
        let mut channels = Vec::new();
        for take in takes {
            let range = |at: u64, frames: u64| at as usize..(at + frames) as usize;
            let listed: Vec<_> = take.losses.iter().map(|loss| range(loss.at.0, loss.frames.0)).collect();
            assert_eq!(*losses.get_or_insert_with(|| listed.clone()), listed, "{}: losses", take.file);
            channels.push((take.inputs[0], read_wav(&folder.join(take.path())).1));
        }
        channels.sort_unstable_by_key(|(input, _)| *input);
        let frames = channels[0].1.len();
        let samples = (0..frames).flat_map(|frame| channels.iter().map(move |(_, samples)| samples[frame])).collect();
        Kept { takes: Passed::new(channels.len(), samples), losses: losses.unwrap() }
    }

    /// Frames that the takes list as lost.
    pub(super) fn lost(&self) -> usize {
        self.losses.iter().map(Range::len).sum()
    }

    /// Checks that the takes are the frames that were given, in their order and without a hole. At a listed loss the takes
    /// are silent, and at most as many of the given frames are missing as the loss is long. Returns the range of the given
    /// frames.
    pub(super) fn are_what_was(&self, given: &Passed) -> Result<Range<usize>, String> {
        let mut from = 0;
        let mut pieces = Vec::new();
        for loss in &self.losses {
            if let Some(at) = loss.clone().find(|at| self.takes.frame(*at).iter().any(|sample| *sample != 0)) {
                return Err(format!("frame {at} is listed as lost and is not silent"));
            }
            pieces.push((from..loss.start, loss.len()));
            from = loss.end;
        }
        pieces.push((from..self.takes.frames(), 0));
        let (mut first, mut next) = (None, None);
        let mut skipped = 0;
        for (piece, loss) in pieces {
            if !piece.is_empty() {
                let places = next.map_or(0..given.frames(), |next: usize| next..next + skipped + 1);
                let place = self.find(&piece, places, given)?;
                first = first.or(Some(place));
                (next, skipped) = (Some(place + piece.len()), 0);
            }
            skipped += loss;
        }
        Ok(first.unwrap_or(0)..next.unwrap_or(0))
    }

    /// The place among `places` at which `piece` was given.
    fn find(&self, piece: &Range<usize>, places: Range<usize>, given: &Passed) -> Result<usize, String> {
        let mut longest = 0;
        for place in places {
            let agree = |offset: &usize| {
                place + offset < given.frames() && given.frame(place + offset) == self.takes.frame(piece.start + offset)
            };
            let equal = (0..piece.len()).take_while(agree).count();
            if equal == piece.len() {
                return Ok(place);
            }
            longest = longest.max(equal);
        }
        let at = piece.start + longest;
        Err(format!("frame {at} of {}: {:?} is not what was given there", self.takes.frames(), self.takes.frame(at)))
    }
}

/// Counts of the faulty frames that a server gave of a ramp.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Frames of the source that were never given.
    pub(super) missing: u64,
    /// Frames in which every channel is silent.
    pub(super) silent: u64,
    /// Frames whose channels do not belong together.
    pub(super) torn: u64,
}

impl Faults {
    /// The faults between the first and the last frame with sound in `range`.
    pub(super) fn of(given: &Passed, range: Range<usize>) -> Faults {
        const ROUND: i64 = 1 << 24;
        let number = |(channel, sample): (usize, &i32)| {
            let step = channel as i64 * faultless::device::signal::RAMP_CHANNEL_STEP as i64;
            (i64::from(*sample) + (1 << 23) - step).rem_euclid(ROUND)
        };
        let mut faults = Faults::default();
        let (mut last, mut pending): (Option<(i64, i64)>, Faults) = (None, Faults::default());
        for at in range {
            let frame = given.frame(at);
            let first = number((0, &frame[0]));
            if frame.iter().all(|sample| *sample == 0) {
                pending.silent += 1;
            } else if frame.iter().enumerate().any(|sample| number(sample) != first) {
                pending.torn += 1;
            } else {
                if let Some((before, number_before)) = last {
                    let moved = (first - number_before).rem_euclid(ROUND);
                    faults.missing += u64::try_from(moved - (at as i64 - before)).unwrap_or(0);
                    (faults.silent, faults.torn) = (faults.silent + pending.silent, faults.torn + pending.torn);
                }
                (last, pending) = (Some((at as i64, first)), Faults::default());
            }
        }
        faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { missing, silent, torn } = self;
        write!(f, "the server left out {missing} frames, and gave {silent} silent and {torn} torn ones")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultless::device::signal::ramp;

    fn frames(numbers: impl Iterator<Item = u64>) -> Vec<i32> {
        numbers.flat_map(|number| [ramp(number, 0), ramp(number, 1)]).collect()
    }

    fn kept(samples: Vec<i32>, losses: &[Range<usize>]) -> Kept {
        Kept { takes: Passed::new(2, samples), losses: losses.to_vec() }
    }

    #[test]
    fn a_frame_that_the_program_drops_doubles_or_silences_is_found() {
        let given = Passed::new(2, frames(5000..9000));
        let silence = |count: usize| vec![0; 2 * count];
        let is_right = |samples: Vec<i32>, losses: &[Range<usize>]| kept(samples, losses).are_what_was(&given).is_ok();
        assert!(is_right(frames(5100..6000), &[]));
        // One frame is missing, comes twice, or is silent.
        assert!(!is_right([frames(5100..5500), frames(5501..6000)].concat(), &[]));
        assert!(!is_right([frames(5100..5501), frames(5500..6000)].concat(), &[]));
        assert!(!is_right([frames(5100..5500), silence(1), frames(5501..6000)].concat(), &[]));
        // A listed loss may cost given frames, or stand for frames that were never given. It may not cost more.
        let lossy = |next: u64| [frames(5100..5500), silence(64), frames(next..6000)].concat();
        let listed = 400..464;
        assert!(is_right(lossy(5564), std::slice::from_ref(&listed)));
        assert!(is_right(lossy(5500), std::slice::from_ref(&listed)));
        assert!(!is_right(lossy(5565), std::slice::from_ref(&listed)));
        assert!(!is_right(lossy(5564), &[]));
        assert!(!is_right(lossy(5564), std::slice::from_ref(&(399..463))));
    }

    #[test]
    fn silent_torn_and_missing_blocks_of_a_server_are_counted() {
        let mut torn = frames(164..228);
        torn[1] = 0;
        let given = [frames(100..164), torn, vec![0; 2 * 10], frames(228..300), frames(364..400)].concat();
        let faults = Faults::of(&Passed::new(2, given), 0..246);
        assert_eq!(faults, Faults { missing: 64, silent: 10, torn: 1 });
        assert_eq!(Faults::of(&Passed::new(2, frames(0..1000)), 0..1000), Faults::default());
    }
}
