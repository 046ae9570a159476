//! The schemes, the test signal, and the memory of the simulated card. Thread: any; `Card` and `OwnMaps` belong to the
//! audio thread.

use crate::limits;
use crate::time::SampleRate;
use crate::window::map::Mapping;
use rtrb::Producer;
use serde::Serialize;
use std::fmt;
use std::io;
use std::time::Duration;

/// The direction of the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// From the card into files.
    Capture,
    /// From files to the card.
    Playback,
}

/// A way to give the audio thread memory of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// The scheme of 2000: the audio thread maps the file itself. For playback, a butler touches the pages before.
    Touch,
    /// A butler maps windows of the file and populates them, without locking.
    Populate,
    /// A butler maps windows of the file, populates and locks them.
    Locked,
    /// Like `Locked`. When a window is full, the butler unmaps it and starts to write it back some distance behind.
    InPlace,
    /// A butler supplies locked windows of a tmpfs file. A committer writes them to the disk.
    Spool,
}

impl Scheme {
    /// The schemes for capture.
    pub const CAPTURE: [Scheme; 5] = [Scheme::Touch, Scheme::Populate, Scheme::Locked, Scheme::InPlace, Scheme::Spool];
    /// The schemes for playback.
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

/// The sample rate of the simulated card.
pub(super) const RATE: SampleRate = SampleRate(48_000);
/// Bytes of an f32 sample.
pub(super) const SAMPLE_BYTES: usize = 4;
/// Bytes of a window.
pub(super) const WINDOW_BYTES: usize = limits::WINDOW_BYTES_DEFAULT;
/// Frames of a window. The files are mono.
pub(super) const WINDOW_FRAMES: u64 = (WINDOW_BYTES / SAMPLE_BYTES) as u64;
/// Windows that wait for the audio thread beyond the one in use. With these, 24 tracks lock 6 MiB. A desktop allows 8
/// MiB.
pub(super) const LEAD_WINDOWS: usize = 3;
/// Pause between two rounds of a butler.
pub(super) const BUTLER_PAUSE: Duration = Duration::from_millis(2);

/// The amount of sound in a row.
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

/// The test signal: the sample of `track` at `frame`. It is never zero, exact in f32, and different on each track.
pub(super) fn ramp(track: usize, frame: u64) -> f32 {
    let step = (frame + track as u64 * 4099) & 0x3F_FFFF;
    (step + 1) as f32 / 8_388_608.0
}

/// Fills `out` with the signal of `track` from `frame` on, in the file's encoding.
pub(super) fn fill_ramp(track: usize, frame: u64, out: &mut [u8]) {
    for (sample, frame) in out.as_chunks_mut::<SAMPLE_BYTES>().0.iter_mut().zip(frame..) {
        *sample = ramp(track, frame).to_le_bytes();
    }
}

/// Number of frames in `bytes` that differ from the signal of `track` from `frame` on.
pub(super) fn wrong_frames(track: usize, frame: u64, bytes: &[u8]) -> u64 {
    let samples = bytes.as_chunks::<SAMPLE_BYTES>().0.iter().zip(frame..);
    samples.filter(|(sample, frame)| **sample != ramp(track, *frame).to_le_bytes()).count() as u64
}

/// The memory of the simulated card: one period of every track, track after track.
pub(super) struct Card {
    pub(super) bytes: Vec<u8>,
    track_bytes: usize,
}

impl Card {
    pub(super) fn new(shape: Shape) -> Card {
        let track_bytes = shape.period * SAMPLE_BYTES;
        Card { bytes: vec![0; shape.tracks * track_bytes], track_bytes }
    }

    /// Writes the signal of every track into the card's memory, as if recorded. This is realtime-safe.
    pub(super) fn record(&mut self, at: u64) {
        for (track, bytes) in self.bytes.chunks_exact_mut(self.track_bytes).enumerate() {
            fill_ramp(track, at, bytes);
        }
    }

    /// Number of frames in the card's memory that differ from the signal. This is realtime-safe.
    pub(super) fn wrong(&self, at: u64) -> u64 {
        let tracks = self.bytes.chunks_exact(self.track_bytes).enumerate();
        tracks.map(|(track, bytes)| wrong_frames(track, at, bytes)).sum()
    }

    /// The memory of each track.
    pub(super) fn tracks(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_exact_mut(self.track_bytes)
    }
}

/// The mappings of an audio thread that maps files itself ([`Scheme::Touch`]). The butler unmaps them.
pub(super) struct OwnMaps {
    pub(super) current: Vec<Option<(u64, Mapping)>>,
    pub(super) done: Producer<Mapping>,
    pub(super) bytes: usize,
}

impl OwnMaps {
    /// The mapping of `track` that contains `frame`, and the byte offset of that frame in it. If the current mapping
    /// does not contain the frame, `make` maps the file at the given byte offset and length.
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

    /// Hands all mappings to the butler.
    pub(super) fn end(&mut self) {
        for track in 0..self.current.len() {
            self.give_back(track);
        }
    }

    fn give_back(&mut self, track: usize) {
        if let Some((_, map)) = self.current[track].take()
            && let Err(rtrb::PushError::Full(map)) = self.done.push(map)
        {
            // Leak the mapping: unmapping on the audio thread would take too long.
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
