//! Playback windows and the two ends of their ring. Thread: each end says its own.
//!
//! A window's place is given in *stream frames*: frames played since the last locate. That number only
//! grows, also where the timeline loops, so "late" and "early" need no special cases. A locate opens a
//! new *epoch*; windows of an older one are given back unheard.

use super::map::Mapping;
use super::ring::{AudioEnd, DiskEnd, window_ring};
use crate::format::TakeFormat;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A span of one take, mapped for reading, populated, and locked if the budget allowed it.
#[derive(Debug)]
pub struct PlaybackWindow {
    /// The memory.
    pub map: Mapping,
    /// The locate it belongs to.
    pub epoch: u32,
    /// Stream frame of the first frame to be heard.
    pub start: u64,
    /// Frames to be heard.
    pub frames: u64,
    /// Bytes from the start of the mapping to the first frame to be heard.
    pub skip_bytes: usize,
    /// How samples are stored.
    pub format: TakeFormat,
    /// Channels of the take.
    pub channels: usize,
}

/// What the audio thread finds at a stream position.
pub enum Playable<'a> {
    /// `frames` frames of sound, from byte `at` of the window on.
    Sound {
        /// Where it lies.
        window: &'a PlaybackWindow,
        /// Byte of the first frame in the window's memory.
        at: usize,
        /// How many frames of it.
        frames: usize,
    },
    /// Nothing is placed here for `frames` frames.
    Silence {
        /// How many.
        frames: usize,
    },
    /// Sound may be placed here, but the window has not come: a dropout.
    Missing {
        /// How many frames are asked for in vain.
        frames: usize,
    },
}

/// The audio thread's end.
#[derive(Debug)]
pub struct AudioPlaybackWindows {
    ring: AudioEnd<PlaybackWindow>,
    supplied: Arc<AtomicU64>,
}

/// The read-ahead's end.
#[derive(Debug)]
pub struct ReaderPlaybackWindows {
    /// The rings of windows.
    pub ring: DiskEnd<PlaybackWindow>,
    supplied: Arc<AtomicU64>,
}

/// Packs an epoch and the stream frame up to which everything is supplied into one atomic word.
/// 40 bits of frames: 66 days at 192 kHz after a locate.
const FRAME_BITS: u32 = 40;
const FRAME_MASK: u64 = (1 << FRAME_BITS) - 1;

fn pack(epoch: u32, until: u64) -> u64 {
    (u64::from(epoch) << FRAME_BITS) | until.min(FRAME_MASK)
}

fn until(packed: u64, epoch: u32) -> u64 {
    if packed >> FRAME_BITS == u64::from(epoch) & (u64::MAX >> FRAME_BITS) { packed & FRAME_MASK } else { 0 }
}

/// Whether the read-ahead supplies a later epoch by now: what is not there for this one will not come, and nobody
/// was late.
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
    /// What is to be heard from stream frame `at` of `epoch` on, for at most `frames` frames.
    /// This is realtime-safe.
    pub fn at(&mut self, epoch: u32, at: u64, frames: usize) -> Playable<'_> {
        // Read before the ring: a window pushed before this value was stored is in the ring now.
        let supplied = self.supplied.load(Ordering::Acquire);
        self.advance_to(epoch, at);
        let (until, left) = (until(supplied, epoch), is_left(supplied, epoch));
        let next = self.ring.current.as_ref().filter(|window| window.epoch == epoch);
        match next {
            Some(window) if window.start <= at => {
                let from = at - window.start;
                let count = (window.frames - from).min(frames as u64) as usize;
                let frame_bytes = window.format.bytes() * window.channels;
                Playable::Sound { window, at: window.skip_bytes + from as usize * frame_bytes, frames: count }
            }
            Some(window) => Playable::Silence { frames: (window.start - at).min(frames as u64) as usize },
            None if at < until => Playable::Silence { frames: (until - at).min(frames as u64) as usize },
            None if left => Playable::Silence { frames },
            None => Playable::Missing { frames },
        }
    }

    /// Whether the next `frames` frames from stream frame `at` on are there or silent, or nothing more will come
    /// since the next locate is on its way. This is realtime-safe.
    pub fn covers(&mut self, epoch: u32, at: u64, frames: u64) -> bool {
        let supplied = self.supplied.load(Ordering::Acquire);
        self.advance_to(epoch, at);
        at + frames <= until(supplied, epoch) || is_left(supplied, epoch)
    }

    /// Gives back every window that ends at or before `at`, or belongs to an earlier epoch.
    /// This is realtime-safe.
    pub fn advance_to(&mut self, epoch: u32, at: u64) {
        let is_over = |window: &PlaybackWindow| {
            window.epoch < epoch || (window.epoch == epoch && window.start + window.frames <= at)
        };
        self.ring.advance(is_over, |_| ());
    }

    /// Gives everything back. This is realtime-safe.
    pub fn end(&mut self) {
        self.ring.end(|_| ());
    }
}

impl ReaderPlaybackWindows {
    /// Says that everything placed before stream frame `until` of `epoch` has been supplied, so that
    /// what is not there is silence and no dropout.
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
        PlaybackWindow { map, epoch, start, frames, skip_bytes: 6, format: TakeFormat::S24, channels: 1 }
    }

    fn told(heard: &Playable<'_>) -> (&'static str, usize) {
        match heard {
            Playable::Sound { frames, .. } => ("sound", *frames),
            Playable::Silence { frames } => ("silence", *frames),
            Playable::Missing { frames } => ("missing", *frames),
        }
    }

    #[test]
    fn silence_sound_and_dropout_are_told_apart() {
        let (mut audio, mut reader) = playback_windows();
        assert_eq!(told(&audio.at(1, 0, 64)), ("missing", 64));
        reader.ring.hand_over(window(1, 100, 50)).unwrap();
        reader.supplied_until(1, 150);
        assert_eq!(told(&audio.at(1, 64, 64)), ("silence", 36));
        assert_eq!(told(&audio.at(1, 100, 64)), ("sound", 50));
        assert_eq!(told(&audio.at(1, 150, 64)), ("missing", 64));
        reader.supplied_until(1, 200);
        assert_eq!(told(&audio.at(1, 150, 64)), ("silence", 50));
    }

    #[test]
    fn a_gap_that_is_left_for_a_later_locate_is_no_dropout() {
        let (mut audio, mut reader) = playback_windows();
        reader.supplied_until(1, 1000);
        assert_eq!(told(&audio.at(1, 500, 64)), ("silence", 64));
        reader.ring.hand_over(window(2, 0, 50)).unwrap();
        reader.supplied_until(2, 50);
        assert_eq!(told(&audio.at(1, 564, 64)), ("silence", 64), "it fades out where it was");
        assert!(audio.covers(1, 564, 64));
        assert_eq!(told(&audio.at(2, 0, 64)), ("sound", 50));
        assert_eq!(told(&audio.at(3, 0, 64)), ("missing", 64), "windows of a locate to come are still missing");
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
        assert_eq!(told(&audio.at(1, 0, 8)), ("sound", 8), "the declick still plays the old place");
        assert_eq!(told(&audio.at(1, 50, 8)), ("silence", 8), "the new place is not heard before the locate");
        assert_eq!(told(&audio.at(2, 0, 8)), ("sound", 8));
        assert_eq!(reader.ring.collect().unwrap().epoch, 1);
        assert!(reader.ring.collect().is_none());
        assert_eq!(reader.ring.out(), 1);
    }
}
