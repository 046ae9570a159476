//! A track as it was recorded: its regions in their places, silence between them. Thread: workers.

use super::error::ExportError;
use super::plan::Span;
use super::sink::{PIECE_FRAMES, Sink};
use super::source::{Deck, Source};
use crate::wav::sample;
use std::path::Path;

/// Writes `frames` frames. Sound is copied byte for byte where the take stores it as the file does.
pub(super) fn write(folder: &Path, spans: &[Span], frames: u64, sink: &mut Sink<'_, '_>) -> Result<(), ExportError> {
    let (mut deck, mut at) = (Deck::default(), 0);
    let mut pieces = Pieces::default();
    for span in spans {
        sink.silence(span.at - at)?;
        pieces.play(deck.load(folder, span)?, span, sink)?;
        at = span.end();
    }
    sink.silence(frames - at)
}

/// Room for what is on its way.
#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
    samples: Vec<f32>,
    twice: Vec<f32>,
}

impl Pieces {
    fn play(&mut self, source: &Source, span: &Span, sink: &mut Sink<'_, '_>) -> Result<(), ExportError> {
        let as_it_is = source.format == sink.format() && source.channels == sink.channels();
        let mut done = 0;
        while done < span.frames {
            let frames = (span.frames - done).min(PIECE_FRAMES as u64) as usize;
            self.bytes.resize(frames * source.frame_bytes(), 0);
            let frames = source.read(span.take_frame + done, &mut self.bytes)?;
            if frames == 0 {
                // A take that is still being recorded: further than this it does not go.
                return sink.silence(span.frames - done);
            }
            let bytes = &self.bytes[..frames * source.frame_bytes()];
            if as_it_is {
                sink.bytes(bytes)?;
            } else {
                self.samples.resize(frames * source.channels, 0.0);
                sample::decode_to_f32(source.format.into(), bytes, &mut self.samples);
                sink.samples(wide(&self.samples, source.channels, sink.channels(), &mut self.twice), source.format)?;
            }
            done += frames as u64;
        }
        Ok(())
    }
}

/// A mono take in a stereo file sounds on both sides.
fn wide<'a>(samples: &'a [f32], from: usize, to: usize, twice: &'a mut Vec<f32>) -> &'a [f32] {
    if from == to {
        return samples;
    }
    assert!((from, to) == (1, 2), "a stem is as wide as its widest take");
    twice.clear();
    twice.extend(samples.iter().flat_map(|sample| [*sample; 2]));
    twice
}
