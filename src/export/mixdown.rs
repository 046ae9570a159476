//! Writes the stereo mix with the engine's own buses and constant gains. Thread: export, or main in `faultless export`.
//!
//! Each frame's sum has the same terms in the same order as on the audio thread, so the mix is equal to playback bit
//! for bit.

use super::error::ExportError;
use super::plan::MixTrack;
use super::sink::{PIECE_FRAMES, Sink};
use super::source::LastSource;
use crate::engine::mix::{BUS_COUNT, Buses, TakeSound, is_no_sound};
use crate::format::TakeFormat;
use crate::limits::BLOCK_FRAMES_MAX;
use crate::wav::sample::decode_to_f32;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes `frames` frames. Where no track has sound, it writes digital silence. Returns a sentence for each take with samples
/// that are no sound.
pub(super) fn write(
    folder: &Path,
    tracks: &[MixTrack],
    frames: u64,
    sink: &mut Sink<'_, '_>,
) -> Result<Vec<String>, ExportError> {
    let mut players: Vec<TrackPlayer<'_>> = tracks.iter().map(TrackPlayer::new).collect();
    let mut buses = Box::<Buses>::default();
    let mut out = Vec::with_capacity(PIECE_FRAMES * BUS_COUNT);
    for (from, until) in ranges(tracks, frames) {
        if !players.iter_mut().any(|player| player.has_sound_at(from)) {
            sink.silence(until - from)?;
            continue;
        }
        let mut at = from;
        while at < until {
            let count = (until - at).min(BLOCK_FRAMES_MAX as u64) as usize;
            buses.clear(count);
            for player in &mut players {
                player.play(folder, at, count, &mut buses)?;
            }
            out.extend(buses.sum(0, count).iter().zip(buses.sum(1, count)).flat_map(|(left, right)| [*left, *right]));
            at += count as u64;
            if at == until || PIECE_FRAMES * BUS_COUNT < out.len() + BLOCK_FRAMES_MAX * BUS_COUNT {
                sink.samples(&out, TakeFormat::F32)?;
                out.clear();
            }
        }
    }
    let mut silenced: BTreeMap<String, u64> = BTreeMap::new();
    for (file, count) in players.into_iter().flat_map(|player| player.silenced) {
        *silenced.entry(file).or_default() += count;
    }
    Ok(silenced.into_iter().map(|(file, count)| silenced_text(&file, count)).collect())
}

/// The sentence about the samples of a take that the mix has replaced by silence, as playback does.
fn silenced_text(file: &str, count: u64) -> String {
    let samples = if count == 1 { "1 sample is no sound".to_owned() } else { format!("{count} samples are no sound") };
    format!("{file}: {samples} (not a number, infinite or far too large); silence in their places")
}

/// Splits the output at the start and end of every segment, so that no segment starts or ends inside a range.
fn ranges(tracks: &[MixTrack], frames: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut edges = vec![0, frames];
    edges.extend(tracks.iter().flat_map(|track| &track.segments).flat_map(|segment| [segment.start, segment.end()]));
    edges.sort_unstable();
    edges.dedup();
    let after = edges.split_off(1);
    let mut from = edges[0];
    after.into_iter().map(move |until| (std::mem::replace(&mut from, until), until))
}

/// Plays the segments of one track in order.
struct TrackPlayer<'a> {
    track: &'a MixTrack,
    /// Index of the current segment, or of the next one.
    next: usize,
    last_source: LastSource,
    /// Samples of each take, by its file, that the mix replaces by silence.
    silenced: BTreeMap<String, u64>,
    /// The samples of the piece that is read.
    samples: Vec<f32>,
}

impl<'a> TrackPlayer<'a> {
    fn new(track: &'a MixTrack) -> TrackPlayer<'a> {
        let (last_source, silenced, samples) = (LastSource::default(), BTreeMap::new(), Vec::new());
        TrackPlayer { track, next: 0, last_source, silenced, samples }
    }

    /// Whether the track has a segment at a frame of the output. `at` must not decrease from call to call.
    fn has_sound_at(&mut self, at: u64) -> bool {
        let segments = &self.track.segments;
        while segments.get(self.next).is_some_and(|segment| segment.end() <= at) {
            self.next += 1;
        }
        segments.get(self.next).is_some_and(|segment| segment.start <= at)
    }

    /// Adds `frames` frames to the buses. No segment starts or ends inside them.
    fn play(&mut self, folder: &Path, at: u64, frames: usize, buses: &mut Buses) -> Result<(), ExportError> {
        if !self.has_sound_at(at) {
            return Ok(());
        }
        let segment = &self.track.segments[self.next];
        let source = self.last_source.load(folder, segment)?;
        let take_frame = segment.take_start + (at - segment.start);
        let frames_read = source.read(take_frame, buses.bytes_mut(frames * source.frame_bytes()))?;
        if source.format == TakeFormat::F32 {
            let bytes = &*buses.bytes_mut(frames_read * source.frame_bytes());
            self.samples.resize(frames_read * source.channels, 0.0);
            decode_to_f32(source.format.into(), bytes, &mut self.samples);
            let count = self.samples.iter().filter(|sample| is_no_sound(**sample)).count() as u64;
            if 0 < count {
                *self.silenced.entry(segment.take.path()).or_default() += count;
            }
        }
        let to = self.track.gains.of(source.channels);
        let mut now = *to;
        let edges = segment.edges.after(at - segment.start);
        let sound = TakeSound { format: source.format, channels: source.channels, edges };
        buses.add_bytes(sound, 0, frames_read, &mut now, to);
        Ok(())
    }
}
