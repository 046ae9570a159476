//! Writes the samples of one exported file: converts, dithers, measures, reports progress and checks for cancellation.
//! Thread: export, or main in `faultless export`.

use super::Progress;
use super::error::ExportError;
use super::plan::PlannedFile;
use crate::format::TakeFormat;
use crate::time::Frames;
use crate::wav::sample::Dither;
use crate::wav::write::Writer;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Frames between two checks for cancellation.
pub(super) const PIECE_FRAMES: usize = 16 * 1024;

/// Progress and cancellation of a whole export.
pub(super) struct RunProgress<'a> {
    pub(super) report: &'a mut dyn FnMut(Progress<'_>),
    pub(super) cancel: &'a AtomicBool,
    pub(super) file_index: usize,
    pub(super) file_count: usize,
    pub(super) frames: u64,
    pub(super) frames_total: u64,
}

/// One file that is being written.
pub(super) struct Sink<'a, 'b> {
    writer: Writer,
    planned: &'a PlannedFile,
    progress: &'a mut RunProgress<'b>,
    dither: Dither,
    silence: Vec<u8>,
    /// Measurements of the samples written so far.
    pub(super) measured: Measured,
}

/// Measurements of an exported file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    /// The largest magnitude, full scale 1.0.
    pub(super) peak: f32,
    pub(super) over_full_scale: u64,
    pub(super) dithered: bool,
    /// Samples that are not a number and that a file of integers has as silence.
    no_numbers: u64,
}

impl Measured {
    /// The peak in decibels of full scale. None for silence.
    pub(super) fn peak_dbfs(&self) -> Option<f64> {
        (0.0 < self.peak).then(|| 20.0 * f64::from(self.peak).log10())
    }

    /// The sentence about samples that are not a number. `None`: there are none, or the file has them as they are.
    pub(super) fn no_numbers_text(&self) -> Option<String> {
        match self.no_numbers {
            0 => None,
            1 => Some("1 sample of its takes is not a number; silence in its place".to_owned()),
            count => Some(format!("{count} samples of its takes are not a number; silence in their places")),
        }
    }

    fn measure(&mut self, samples: &[f32]) {
        for sample in samples {
            self.peak = self.peak.max(sample.abs());
            self.over_full_scale += u64::from(1.0 < sample.abs());
        }
    }
}

impl<'a, 'b> Sink<'a, 'b> {
    pub(super) fn open(
        planned: &'a PlannedFile,
        progress: &'a mut RunProgress<'b>,
    ) -> Result<Sink<'a, 'b>, ExportError> {
        let writer = Writer::create_new(&planned.path, planned.header.clone(), planned.existing)?;
        // The seed is the track number. Equal noise in several stems would add up when they are mixed, and a fixed seed
        // makes an export repeatable bit for bit.
        let dither = Dither::new(planned.track().unwrap_or(0) as u64);
        let silence = vec![0; PIECE_FRAMES * planned.header.frame_bytes()];
        Ok(Sink { writer, planned, progress, dither, silence, measured: Measured::default() })
    }

    pub(super) fn format(&self) -> TakeFormat {
        self.planned.header.format
    }

    pub(super) fn channels(&self) -> usize {
        usize::from(self.planned.header.channels)
    }

    /// Appends digital silence, without dither.
    pub(super) fn silence(&mut self, mut frames: u64) -> Result<(), ExportError> {
        while 0 < frames {
            let piece = frames.min(PIECE_FRAMES as u64);
            self.writer.write_bytes(&self.silence[..piece as usize * self.planned.header.frame_bytes()])?;
            self.add_progress(piece)?;
            frames -= piece;
        }
        Ok(())
    }

    /// Appends whole frames that have the format and the channels of the file, byte for byte.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.writer.write_bytes(bytes)?;
        self.add_progress((bytes.len() / self.planned.header.frame_bytes()) as u64)
    }

    /// Appends whole interleaved frames whose take has the format `from`. Dithers them if the file has less depth.
    pub(super) fn samples(&mut self, samples: &[f32], from: TakeFormat) -> Result<(), ExportError> {
        self.measured.measure(samples);
        if self.format() != TakeFormat::F32 {
            self.measured.no_numbers += samples.iter().filter(|sample| sample.is_nan()).count() as u64;
        }
        if self.format().bytes() < from.bytes() {
            self.measured.dithered |= !samples.is_empty();
            self.writer.write_frames_dithered(samples, &mut self.dither)?;
        } else {
            self.writer.write_frames(samples)?;
        }
        self.add_progress((samples.len() / self.channels()) as u64)
    }

    /// Completes the file and renames it to its final name.
    pub(super) fn finish(self) -> Result<Measured, ExportError> {
        assert!(self.writer.frames() == self.planned.frames, "a file has the length that was planned");
        // The last chance to cancel: the next line renames the file.
        self.cancel_check()?;
        self.writer.finish()?;
        Ok(self.measured)
    }

    fn add_progress(&mut self, frames: u64) -> Result<(), ExportError> {
        let RunProgress { file_index, file_count, frames_total, .. } = *self.progress;
        self.progress.frames += frames;
        (self.progress.report)(Progress {
            file: &self.planned.path,
            file_index,
            file_count,
            frames: Frames(self.progress.frames),
            frames_total: Frames(frames_total),
        });
        self.cancel_check()
    }

    fn cancel_check(&self) -> Result<(), ExportError> {
        if self.progress.cancel.load(Relaxed) {
            return Err(ExportError::Cancelled { path: self.planned.path.clone() });
        }
        Ok(())
    }
}
