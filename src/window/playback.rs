//! Playback windows and the two ends of their rings. Thread: audio has [`AudioPlaybackWindows`], read-ahead has
//! [`ReaderPlaybackWindows`].
//!
//! Windows are ordered by *stream frames*: frames played since the last locate. That number only grows, also where the
//! timeline loops, so "late" and "early" need no special cases. Every locate begins a new *epoch*; the audio thread
//! gives windows of earlier epochs back without playing them.

use super::map::Mapping;
use super::ring::{AudioEnd, DiskEnd, window_ring};
use crate::format::TakeFormat;
use crate::limits::EDGE_FRAMES;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The position of a frame between the edges of its region, or between two jumps of a loop, as far as the sound fades
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edges {
    /// Frames from the region's start or the last jump to this frame; `u64::MAX`: the sound does not fade in.
    since_start: u64,
    /// Frames from this frame to the region's end or the next jump; `u64::MAX`: the sound does not fade out.
    to_end: u64,
}

impl Edges {
    /// No edge that fades.
    pub const NONE: Edges = Edges { since_start: u64::MAX, to_end: u64::MAX };

    /// The first frame of a region of `frames` frames. `fades`: whether it fades in, and whether it fades out.
    pub const fn new(fades: [bool; 2], frames: u64) -> Edges {
        let [fade_in, fade_out] = fades;
        Edges { since_start: if fade_in { 0 } else { u64::MAX }, to_end: if fade_out { frames } else { u64::MAX } }
    }

    /// The frame that is `frames` frames later. This is realtime-safe.
    #[must_use]
    pub const fn after(self, frames: u64) -> Edges {
        Edges {
            since_start: self.since_start.saturating_add(frames),
            to_end: if self.to_end == u64::MAX { u64::MAX } else { self.to_end.saturating_sub(frames) },
        }
    }

    /// The same frame where playback jumps as well: it jumped here `since_jump` frames before this frame, and jumps away
    /// `to_jump` frames behind it. The sound fades at a jump as at an edge. `u64::MAX`: there is no jump.
    #[must_use]
    pub fn between_jumps(self, since_jump: u64, to_jump: u64) -> Edges {
        Edges { since_start: self.since_start.min(since_jump), to_end: self.to_end.min(to_jump) }
    }

    /// Fades `samples`, the first of which is at this frame: with a ramp of [`EDGE_FRAMES`] inside the region at each edge.
    /// The first and the last frame of a region are silent. This is realtime-safe.
    pub fn fade(self, samples: &mut [f32]) {
        let (whole, count) = (u64::from(EDGE_FRAMES), samples.len() as u64);
        let gain = |frames: u64| frames as f32 * (1.0 / EDGE_FRAMES as f32);
        if self.since_start < whole {
            for (sample, since) in samples.iter_mut().zip(self.since_start..whole) {
                *sample *= gain(since);
            }
        }
        if self.to_end < whole.saturating_add(count) {
            let from = self.to_end.saturating_sub(whole);
            for (at, sample) in samples.iter_mut().enumerate().skip(from as usize) {
                *sample *= gain(self.to_end.saturating_sub(at as u64 + 1));
            }
        }
    }
}

/// A span of one take: mapped to be read, populated, and locked if the lock budget allowed it.
#[derive(Debug)]
pub struct PlaybackWindow {
    /// The memory of the span.
    pub map: Mapping,
    /// The locate that the window belongs to.
    pub epoch: u32,
    /// Stream frame of the first frame to play.
    pub start: u64,
    /// Frames to play.
    pub frames: u64,
    /// Bytes from the start of the mapping to the first frame to play.
    pub skip_bytes: usize,
    /// Sample format of the take.
    pub format: TakeFormat,
    /// Channels of the take.
    pub channels: usize,
    /// The first frame to play, between the edges of its region.
    pub edges: Edges,
}

impl PlaybackWindow {
    /// Bytes of one frame. This is realtime-safe.
    pub fn frame_bytes(&self) -> usize {
        self.format.bytes() * self.channels
    }

    /// The frame that begins at byte `at` of the window's memory, between the edges of its region. This is realtime-safe.
    pub fn edges_at(&self, at: usize) -> Edges {
        self.edges.after((at.saturating_sub(self.skip_bytes) / self.frame_bytes()) as u64)
    }
}

/// Content of a track at a stream frame.
pub enum Playable<'a> {
    /// Sound of a take.
    Sound {
        /// The window that contains it.
        window: &'a PlaybackWindow,
        /// Byte of the first frame in the window's memory.
        at: usize,
        /// Frames of it in this window.
        frames: usize,
    },
    /// There is no region at these frames.
    Silence {
        /// Number of silent frames.
        frames: usize,
    },
    /// The read-ahead has not supplied these frames yet: a dropout.
    Missing {
        /// Number of frames asked for.
        frames: usize,
    },
}

/// The audio thread's end of the rings of one track.
#[derive(Debug)]
pub struct AudioPlaybackWindows {
    ring: AudioEnd<PlaybackWindow>,
    supplied: Arc<AtomicU64>,
}

/// The read-ahead's end of the rings of one track.
#[derive(Debug)]
pub struct ReaderPlaybackWindows {
    /// The rings of windows.
    pub ring: DiskEnd<PlaybackWindow>,
    supplied: Arc<AtomicU64>,
}

/// Bits of the frame number in an atomic word that holds an epoch and the stream frame up to which everything is
/// supplied. 40 bits of frames are 66 days at 192 kHz after a locate.
const FRAME_BITS: u32 = 40;
const FRAME_MASK: u64 = (1 << FRAME_BITS) - 1;

fn pack(epoch: u32, until: u64) -> u64 {
    (u64::from(epoch) << FRAME_BITS) | until.min(FRAME_MASK)
}

fn until(packed: u64, epoch: u32) -> u64 {
    if packed >> FRAME_BITS == u64::from(epoch) & (u64::MAX >> FRAME_BITS) { packed & FRAME_MASK } else { 0 }
}

/// Whether the read-ahead already supplies a later epoch. Windows that are missing for this one will not come, which is
/// no dropout.
fn is_left(packed: u64, epoch: u32) -> bool {
    const EPOCHS: u64 = 1 << (u64::BITS - FRAME_BITS);
    let ahead = (packed >> FRAME_BITS).wrapping_sub(u64::from(epoch)) % EPOCHS;
    0 < ahead && ahead < EPOCHS / 2
}

/// Makes the two ends for one track.
pub fn playback_windows() -> (AudioPlaybackWindows, ReaderPlaybackWindows) {
    let (audio, reader) = window_ring();
    let supplied = Arc::new(AtomicU64::new(0));
    (
        AudioPlaybackWindows { ring: audio, supplied: Arc::clone(&supplied) },
        ReaderPlaybackWindows { ring: reader, supplied },
    )
}

impl AudioPlaybackWindows {
    /// The content of the track from stream frame `at` of `epoch` on, for at most `frames` frames. This is
    /// realtime-safe.
    pub fn at(&mut self, epoch: u32, at: u64, frames: usize) -> Playable<'_> {
        // Load this before looking at the ring: every window that was pushed before this value was stored is then in
        // the ring.
        let supplied = self.supplied.load(Ordering::Acquire);
        self.advance_to(epoch, at);
        let (until, left) = (until(supplied, epoch), is_left(supplied, epoch));
        let next = self.ring.current.as_ref().filter(|window| window.epoch == epoch);
        match next {
            Some(window) if window.start <= at => {
                let from = at - window.start;
                let count = (window.frames - from).min(frames as u64) as usize;
                let frame_bytes = window.frame_bytes();
                Playable::Sound { window, at: window.skip_bytes + from as usize * frame_bytes, frames: count }
            }
            Some(window) => Playable::Silence { frames: (window.start - at).min(frames as u64) as usize },
            None if at < until => Playable::Silence { frames: (until - at).min(frames as u64) as usize },
            None if left => Playable::Silence { frames },
            None => Playable::Missing { frames },
        }
    }

    /// Whether everything up to `frames` frames after stream frame `at` is here or silent. True also if the read-ahead
    /// has moved on to a later epoch. This is realtime-safe.
    pub fn covers(&mut self, epoch: u32, at: u64, frames: u64) -> bool {
        let supplied = self.supplied.load(Ordering::Acquire);
        self.advance_to(epoch, at);
        at + frames <= until(supplied, epoch) || is_left(supplied, epoch)
    }

    /// Gives back every window that ends at or before `at`, or belongs to an earlier epoch. This is realtime-safe.
    pub fn advance_to(&mut self, epoch: u32, at: u64) {
        let is_over = |window: &PlaybackWindow| {
            window.epoch < epoch || (window.epoch == epoch && window.start + window.frames <= at)
        };
        self.ring.advance(is_over, |_| ());
    }

    /// Gives every window back. This is realtime-safe.
    pub fn end(&mut self) {
        self.ring.end(|_| ());
    }
}

impl ReaderPlaybackWindows {
    /// Everything before stream frame `until` of `epoch` has been handed over. From now on the audio thread takes
    /// frames without a window, before `until`, as silence and not as a dropout.
    pub fn supplied_until(&mut self, epoch: u32, until: u64) {
        self.supplied.store(pack(epoch, until), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(epoch: u32, start: u64, frames: u64) -> PlaybackWindow {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let map = Mapping::readable(&file, 0, 8192).unwrap();
        let edges = Edges::NONE;
        PlaybackWindow { map, epoch, start, frames, skip_bytes: 6, format: TakeFormat::S24, channels: 1, edges }
    }

    fn kind_and_frames(playable: &Playable<'_>) -> (&'static str, usize) {
        match playable {
            Playable::Sound { frames, .. } => ("sound", *frames),
            Playable::Silence { frames } => ("silence", *frames),
            Playable::Missing { frames } => ("missing", *frames),
        }
    }

    #[test]
    fn a_region_fades_at_its_edges_whatever_the_length_of_the_pieces() {
        for (fades, frames) in [([true, true], 1000), ([true, false], 300), ([false, true], 200), ([true, true], 70)] {
            let mut whole = vec![1.0; frames];
            Edges::new(fades, frames as u64).fade(&mut whole);
            for piece in [1, 7, 64, 96] {
                let mut pieces = vec![1.0; frames];
                for (index, samples) in pieces.chunks_mut(piece).enumerate() {
                    Edges::new(fades, frames as u64).after((index * piece) as u64).fade(samples);
                }
                assert_eq!(pieces, whole, "{fades:?} {frames} {piece}");
            }
            let end = frames - 1;
            assert_eq!([whole[0] == 0.0, whole[end] == 0.0], fades, "{fades:?} {frames}");
            assert!(whole.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.017), "no step: {whole:?}");
            assert!(frames < 200 || whole[100..130].iter().all(|gain| *gain == 1.0));
        }
    }

    #[test]
    fn silence_sound_and_dropout_are_distinguished() {
        let (mut audio, mut reader) = playback_windows();
        assert_eq!(kind_and_frames(&audio.at(1, 0, 64)), ("missing", 64));
        reader.ring.hand_over(window(1, 100, 50)).unwrap();
        reader.supplied_until(1, 150);
        assert_eq!(kind_and_frames(&audio.at(1, 64, 64)), ("silence", 36));
        assert_eq!(kind_and_frames(&audio.at(1, 100, 64)), ("sound", 50));
        assert_eq!(kind_and_frames(&audio.at(1, 150, 64)), ("missing", 64));
        reader.supplied_until(1, 200);
        assert_eq!(kind_and_frames(&audio.at(1, 150, 64)), ("silence", 50));
    }

    #[test]
    fn a_gap_that_is_left_for_a_later_locate_is_no_dropout() {
        let (mut audio, mut reader) = playback_windows();
        reader.supplied_until(1, 1000);
        assert_eq!(kind_and_frames(&audio.at(1, 500, 64)), ("silence", 64));
        reader.ring.hand_over(window(2, 0, 50)).unwrap();
        reader.supplied_until(2, 50);
        assert_eq!(kind_and_frames(&audio.at(1, 564, 64)), ("silence", 64), "it fades out where it was");
        assert!(audio.covers(1, 564, 64));
        assert_eq!(kind_and_frames(&audio.at(2, 0, 64)), ("sound", 50));
        assert_eq!(
            kind_and_frames(&audio.at(3, 0, 64)),
            ("missing", 64),
            "windows of a locate to come are still missing"
        );
        assert!(!audio.covers(3, 0, 64));
    }

    #[test]
    fn a_window_starts_where_its_first_frame_lies() {
        let (mut audio, mut reader) = playback_windows();
        reader.ring.hand_over(window(0, 10, 50)).unwrap();
        let Playable::Sound { at, frames, .. } = audio.at(0, 12, 8) else { panic!("sound is there") };
        assert_eq!((at, frames), (6 + 2 * 3, 8));
    }

    #[test]
    fn after_a_locate_old_windows_come_back_and_new_ones_wait_their_turn() {
        let (mut audio, mut reader) = playback_windows();
        reader.ring.hand_over(window(1, 0, 50)).unwrap();
        reader.ring.hand_over(window(2, 0, 50)).unwrap();
        reader.supplied_until(2, 50);
        assert_eq!(kind_and_frames(&audio.at(1, 0, 8)), ("sound", 8), "the declick still plays the old place");
        assert_eq!(
            kind_and_frames(&audio.at(1, 50, 8)),
            ("silence", 8),
            "the new place is not heard before the locate"
        );
        assert_eq!(kind_and_frames(&audio.at(2, 0, 8)), ("sound", 8));
        assert_eq!(reader.ring.collect().unwrap().epoch, 1);
        assert!(reader.ring.collect().is_none());
        assert_eq!(reader.ring.out(), 1);
    }
}
