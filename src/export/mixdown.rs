//! The stereo mix: the engine's own sums over the takes, with every level at rest. Thread: workers.
//!
//! Each frame's sum has the same terms in the same order as on the audio thread, so each bit is the same.

use super::error::ExportError;
use super::plan::Lane;
use super::sink::{PIECE_FRAMES, Sink};
use super::source::Deck;
use crate::engine::mix::{BUS_COUNT, Buses};
use crate::format::TakeFormat;
use crate::limits::BLOCK_FRAMES_MAX;
use std::path::Path;

/// Writes `frames` frames. Where no track sounds, it is digital silence.
pub(super) fn write(folder: &Path, lanes: &[Lane], frames: u64, sink: &mut Sink<'_, '_>) -> Result<(), ExportError> {
    let mut players: Vec<Player<'_>> =
        lanes.iter().map(|lane| Player { lane, next: 0, deck: Deck::default() }).collect();
    let mut buses = Box::<Buses>::default();
    let mut out = Vec::with_capacity(PIECE_FRAMES * BUS_COUNT);
    for (from, until) in stretches(lanes, frames) {
        if !players.iter_mut().any(|player| player.is_heard(from)) {
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
    Ok(())
}

/// Stretches of the output in which no track begins or ends.
fn stretches(lanes: &[Lane], frames: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut edges = vec![0, frames];
    edges.extend(lanes.iter().flat_map(|lane| &lane.spans).flat_map(|span| [span.at, span.end()]));
    edges.sort_unstable();
    edges.dedup();
    let after = edges.split_off(1);
    let mut from = edges[0];
    after.into_iter().map(move |until| (std::mem::replace(&mut from, until), until))
}

/// A track that is mixed, and how far it has come.
struct Player<'a> {
    lane: &'a Lane,
    next: usize,
    deck: Deck,
}

impl Player<'_> {
    /// Whether it sounds at a frame of the output. Asked about later and later frames.
    fn is_heard(&mut self, at: u64) -> bool {
        let spans = &self.lane.spans;
        while spans.get(self.next).is_some_and(|span| span.end() <= at) {
            self.next += 1;
        }
        spans.get(self.next).is_some_and(|span| span.at <= at)
    }

    /// Adds `frames` frames, in which it does not begin or end.
    fn play(&mut self, folder: &Path, at: u64, frames: usize, buses: &mut Buses) -> Result<(), ExportError> {
        if !self.is_heard(at) {
            return Ok(());
        }
        let span = &self.lane.spans[self.next];
        let source = self.deck.load(folder, span)?;
        let take_frame = span.take_frame + (at - span.at);
        let found = source.read(take_frame, buses.bytes_mut(frames * source.frame_bytes()))?;
        let mut now = self.lane.gains;
        buses.add_bytes(source.format, source.channels, 0, found, &mut now, &self.lane.gains);
        Ok(())
    }
}
