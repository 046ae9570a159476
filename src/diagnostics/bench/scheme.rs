//! The schemes that are compared, what is recorded, and the card's memory. Thread: any; `Card` and `OwnMaps`
//! belong to audio.

use crate::limits;
use crate::time::SampleRate;
use crate::window::map::Mapping;
use rtrb::Producer;
use serde::Serialize;
use std::fmt;
use std::io;
use std::time::Duration;

/// Which way the sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// From the card into files.
    Capture,
    /// From files to the card.
    Playback,
}

/// How the audio thread comes by resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// As in 2000: the audio thread maps the file itself; on playback a butler touches its pages first.
    Touch,
    /// A butler maps the file and populates it; nothing is locked.
    Populate,
    /// The same, locked.
    Locked,
    /// Locked, unmapped when passed, and written behind at a distance.
    InPlace,
    /// Locked windows of a tmpfs file, committed to the disk by another thread.
    Spool,
}

impl Scheme {
    /// Those that capture is measured with.
    pub const CAPTURE: [Scheme; 5] = [Scheme::Touch, Scheme::Populate, Scheme::Locked, Scheme::InPlace, Scheme::Spool];
    /// Those that playback is measured with.
    pub const PLAYBACK: [Scheme; 3] = [Scheme::Touch, Scheme::Populate, Scheme::Locked];

    /// Whether its windows are locked in memory.
    pub(super) fn locks(self) -> bool {
        matches!(self, Scheme::Locked | Scheme::InPlace | Scheme::Spool)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Side::Capture => "capture",
            Side::Playback => "playback",
        })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Scheme::Touch => "touch",
            Scheme::Populate => "populate",
            Scheme::Locked => "locked",
            Scheme::InPlace => "in-place",
            Scheme::Spool => "spool",
        })
    }
}

/// The rate of the imagined card.
pub(super) const RATE: SampleRate = SampleRate(48_000);
/// Bytes of one f32 sample.
pub(super) const SAMPLE_BYTES: usize = 4;
/// Bytes of a window.
pub(super) const WINDOW_BYTES: usize = limits::WINDOW_BYTES_DEFAULT;
/// Frames of a window: the files are mono.
pub(super) const WINDOW_FRAMES: u64 = (WINDOW_BYTES / SAMPLE_BYTES) as u64;
/// Windows that wait for the audio thread beside the one it uses: 24 tracks then lock 6 MiB, under the
/// 8 MiB that a desktop allows.
pub(super) const LEAD_WINDOWS: usize = 3;
/// Time between two passes of a butler.
pub(super) const BUTLER_PAUSE: Duration = Duration::from_millis(2);

/// How much is recorded or played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) tracks: usize,
    pub(super) period: usize,
    pub(super) cycles: u64,
}

impl Shape {
    pub(super) fn new(tracks: usize, period: usize, seconds: f64) -> Shape {
        let frames = (seconds * f64::from(RATE.0)).ceil() as u64;
        Shape { tracks, period, cycles: frames.div_ceil(period as u64).max(1) }
    }

    /// Windows of one track.
    pub(super) fn windows(&self) -> u64 {
        (self.cycles * self.period as u64).div_ceil(WINDOW_FRAMES)
    }

    /// Bytes of one track's file: a page for the header, then whole windows.
    pub(super) fn file_bytes(&self) -> u64 {
        limits::DATA_OFFSET + self.windows() * WINDOW_BYTES as u64
    }

    pub(super) fn period_nanos(&self) -> u64 {
        self.period as u64 * 1_000_000_000 / u64::from(RATE.0)
    }
}

/// The sample of `track` at `frame`: never zero, exact in f32, different on each track.
pub(super) fn ramp(track: usize, frame: u64) -> f32 {
    let step = (frame + track as u64 * 4099) & 0x3F_FFFF;
    (step + 1) as f32 / 8_388_608.0
}

/// Fills `out` with the samples of `track` from `frame` on, as a file holds them.
pub(super) fn fill_ramp(track: usize, frame: u64, out: &mut [u8]) {
    for (sample, frame) in out.as_chunks_mut::<SAMPLE_BYTES>().0.iter_mut().zip(frame..) {
        *sample = ramp(track, frame).to_le_bytes();
    }
}

/// Frames of `bytes` that are not what `track` has from `frame` on.
pub(super) fn wrong_frames(track: usize, frame: u64, bytes: &[u8]) -> u64 {
    let samples = bytes.as_chunks::<SAMPLE_BYTES>().0.iter().zip(frame..);
    samples.filter(|(sample, frame)| **sample != ramp(track, *frame).to_le_bytes()).count() as u64
}

/// One period of every track in the card's memory, track after track.
pub(super) struct Card {
    pub(super) bytes: Vec<u8>,
    track_bytes: usize,
}

impl Card {
    pub(super) fn new(shape: Shape) -> Card {
        let track_bytes = shape.period * SAMPLE_BYTES;
        Card { bytes: vec![0; shape.tracks * track_bytes], track_bytes }
    }

    /// What the card has recorded of every track. This is realtime-safe.
    pub(super) fn record(&mut self, at: u64) {
        for (track, bytes) in self.bytes.chunks_exact_mut(self.track_bytes).enumerate() {
            fill_ramp(track, at, bytes);
        }
    }

    /// Frames that the card was given and that are not the ramp. This is realtime-safe.
    pub(super) fn wrong(&self, at: u64) -> u64 {
        let tracks = self.bytes.chunks_exact(self.track_bytes).enumerate();
        tracks.map(|(track, bytes)| wrong_frames(track, at, bytes)).sum()
    }

    /// Each track's period.
    pub(super) fn tracks(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_exact_mut(self.track_bytes)
    }
}

/// The mappings of an audio thread that makes them itself, as in 2000. It never undoes one: the butler does.
pub(super) struct OwnMaps {
    pub(super) current: Vec<Option<(u64, Mapping)>>,
    pub(super) done: Producer<Mapping>,
    pub(super) bytes: usize,
}

impl OwnMaps {
    /// The mapping of `track` that holds `frame`, and the byte of that frame in it; made here and now by
    /// `make` (from a byte of the file) where the current one is another.
    pub(super) fn at(
        &mut self,
        track: usize,
        frame: u64,
        make: impl FnOnce(u64, usize) -> io::Result<Mapping>,
    ) -> Option<(&mut Mapping, usize)> {
        let start = frame - frame % (self.bytes / SAMPLE_BYTES) as u64;
        if self.current[track].as_ref().is_none_or(|(mapped, _)| *mapped != start) {
            self.give_back(track);
            let offset = limits::DATA_OFFSET + start * SAMPLE_BYTES as u64;
            self.current[track] = make(offset, self.bytes).ok().map(|map| (start, map));
        }
        let (_, map) = self.current[track].as_mut()?;
        Some((map, (frame - start) as usize * SAMPLE_BYTES))
    }

    /// Hands everything to the butler.
    pub(super) fn end(&mut self) {
        for track in 0..self.current.len() {
            self.give_back(track);
        }
    }

    fn give_back(&mut self, track: usize) {
        if let Some((_, map)) = self.current[track].take()
            && let Err(rtrb::PushError::Full(map)) = self.done.push(map)
        {
            // Leaked rather than unmapped on the audio thread.
            std::mem::forget(map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_is_never_silent_and_no_two_neighbours_are_alike() {
        for track in [0, 1, 23, 1023] {
            for frame in [0, 1, 0x3F_FFFE, 0x3F_FFFF, 1 << 40] {
                assert!(ramp(track, frame) > 0.0);
                assert!(ramp(track, frame).to_bits() != ramp(track, frame + 1).to_bits());
                assert!(ramp(track, frame).to_bits() != ramp(track + 1, frame).to_bits());
            }
        }
    }

    #[test]
    fn one_changed_sample_is_one_wrong_frame() {
        let mut bytes = vec![0; 64 * SAMPLE_BYTES];
        fill_ramp(3, 100, &mut bytes);
        assert_eq!(wrong_frames(3, 100, &bytes), 0);
        bytes[17] ^= 1;
        assert_eq!(wrong_frames(3, 100, &bytes), 1);
        assert_eq!(wrong_frames(3, 101, &bytes), 64);
    }

    #[test]
    fn a_file_has_whole_windows_and_every_cycle_fits() {
        let shape = Shape::new(2, 64, 0.3);
        assert_eq!(shape.cycles, 225);
        assert_eq!(shape.windows(), 1);
        assert_eq!(Shape::new(2, 64, 10.0).windows(), 30);
        assert_eq!(shape.file_bytes(), 4096 + 65_536);
    }
}
