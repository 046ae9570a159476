//! Writes a stem: the segments of one track at their positions, with silence between them. Thread: export, or
//! main in `faultless export`.

use super::error::ExportError;
use super::plan::Segment;
use super::sink::{PIECE_FRAMES, Sink};
use super::source::{LastSource, TakeSource};
use crate::wav::sample;
use std::path::Path;

/// Writes `frames` frames. Copies a segment byte for byte if its take has the format and the channels of the file.
pub(super) fn write(
    folder: &Path,
    segments: &[Segment],
    frames: u64,
    sink: &mut Sink<'_, '_>,
) -> Result<(), ExportError> {
    let (mut last_source, mut at) = (LastSource::default(), 0);
    let mut copier = StemCopier::default();
    for segment in segments {
        sink.silence(segment.start - at)?;
        copier.play(last_source.load(folder, segment)?, segment, sink)?;
        at = segment.end();
    }
    sink.silence(frames - at)
}

/// Copies segments. Owns the buffers, so that they are allocated once.
#[derive(Default)]
struct StemCopier {
    bytes: Vec<u8>,
    samples: Vec<f32>,
    stereo: Vec<f32>,
}

impl StemCopier {
    fn play(&mut self, source: &TakeSource, segment: &Segment, sink: &mut Sink<'_, '_>) -> Result<(), ExportError> {
        let same_storage = source.format == sink.format() && source.channels == sink.channels();
        let mut done = 0;
        while done < segment.frames {
            let frames = (segment.frames - done).min(PIECE_FRAMES as u64) as usize;
            self.bytes.resize(frames * source.frame_bytes(), 0);
            let frames = source.read(segment.take_start + done, &mut self.bytes)?;
            if frames == 0 {
                // The take is still being recorded, and its file ends here.
                return sink.silence(segment.frames - done);
            }
            let bytes = &self.bytes[..frames * source.frame_bytes()];
            if same_storage {
                sink.bytes(bytes)?;
            } else {
                self.samples.resize(frames * source.channels, 0.0);
                sample::decode_to_f32(source.format.into(), bytes, &mut self.samples);
                sink.samples(
                    match_channels(&self.samples, source.channels, sink.channels(), &mut self.stereo),
                    source.format,
                )?;
            }
            done += frames as u64;
        }
        Ok(())
    }
}

/// Copies a mono take to both channels of a stereo file.
fn match_channels<'a>(samples: &'a [f32], from: usize, to: usize, stereo: &'a mut Vec<f32>) -> &'a [f32] {
    if from == to {
        return samples;
    }
    assert!((from, to) == (1, 2), "a stem is as wide as its widest take");
    stereo.clear();
    stereo.extend(samples.iter().flat_map(|sample| [*sample; 2]));
    stereo
}
