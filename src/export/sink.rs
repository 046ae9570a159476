//! Where an export's sound goes: the file, its dither, what is measured, and who may call it off. Thread: workers.

use super::Progress;
use super::error::ExportError;
use super::plan::Job;
use crate::format::TakeFormat;
use crate::time::Frames;
use crate::wav::sample::Dither;
use crate::wav::write::Writer;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Frames between two looks at whether to go on.
pub(super) const PIECE_FRAMES: usize = 16 * 1024;

/// Who watches all files of an export.
pub(super) struct Watch<'a> {
    pub(super) progress: &'a mut dyn FnMut(Progress<'_>),
    pub(super) cancel: &'a AtomicBool,
    pub(super) file_index: usize,
    pub(super) file_count: usize,
    pub(super) frames: u64,
    pub(super) frames_total: u64,
}

/// One file that is being written.
pub(super) struct Sink<'a, 'b> {
    writer: Writer,
    job: &'a Job,
    watch: &'a mut Watch<'b>,
    dither: Dither,
    silence: Vec<u8>,
    /// What was measured so far.
    pub(super) measured: Measured,
}

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    pub(super) peak: f32,
    pub(super) over_full_scale: u64,
    pub(super) dithered: bool,
}

impl Measured {
    /// The peak in decibels of full scale; none for silence.
    pub(super) fn peak_dbfs(&self) -> Option<f64> {
        (0.0 < self.peak).then(|| 20.0 * f64::from(self.peak).log10())
    }

    fn see(&mut self, samples: &[f32]) {
        for sample in samples {
            self.peak = self.peak.max(sample.abs());
            self.over_full_scale += u64::from(1.0 < sample.abs());
        }
    }
}

impl<'a, 'b> Sink<'a, 'b> {
    pub(super) fn open(job: &'a Job, watch: &'a mut Watch<'b>) -> Result<Sink<'a, 'b>, ExportError> {
        let writer = Writer::create_new(&job.file, job.header.clone(), job.existing)?;
        // Each file has noise of its own, and always the same: noise that is common to stems would add up.
        let dither = Dither::new(job.track().unwrap_or(0) as u64);
        let silence = vec![0; PIECE_FRAMES * job.header.frame_bytes()];
        Ok(Sink { writer, job, watch, dither, silence, measured: Measured::default() })
    }

    pub(super) fn format(&self) -> TakeFormat {
        self.job.header.format
    }

    pub(super) fn channels(&self) -> usize {
        usize::from(self.job.header.channels)
    }

    /// Appends frames of digital silence.
    pub(super) fn silence(&mut self, mut frames: u64) -> Result<(), ExportError> {
        while 0 < frames {
            let piece = frames.min(PIECE_FRAMES as u64);
            self.writer.write_bytes(&self.silence[..piece as usize * self.job.header.frame_bytes()])?;
            self.passed(piece)?;
            frames -= piece;
        }
        Ok(())
    }

    /// Appends whole frames that are stored as the file stores them.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.writer.write_bytes(bytes)?;
        self.passed((bytes.len() / self.job.header.frame_bytes()) as u64)
    }

    /// Appends whole frames, interleaved, that were stored as `from`: with dither where the file has less
    /// depth than that.
    pub(super) fn samples(&mut self, samples: &[f32], from: TakeFormat) -> Result<(), ExportError> {
        self.measured.see(samples);
        if self.format().bytes() < from.bytes() {
            self.measured.dithered |= !samples.is_empty();
            self.writer.write_frames_dithered(samples, &mut self.dither)?;
        } else {
            self.writer.write_frames(samples)?;
        }
        self.passed((samples.len() / self.channels()) as u64)
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<Measured, ExportError> {
        assert!(self.writer.frames() == self.job.frames, "a file has the length that was planned");
        // The last moment: from here on the file is there.
        self.cancel_check()?;
        self.writer.finish()?;
        Ok(self.measured)
    }

    fn passed(&mut self, frames: u64) -> Result<(), ExportError> {
        let Watch { file_index, file_count, frames_total, .. } = *self.watch;
        self.watch.frames += frames;
        (self.watch.progress)(Progress {
            file: &self.job.file,
            file_index,
            file_count,
            frames: Frames(self.watch.frames),
            frames_total: Frames(frames_total),
        });
        self.cancel_check()
    }

    fn cancel_check(&self) -> Result<(), ExportError> {
        if self.watch.cancel.load(Relaxed) {
            return Err(ExportError::Cancelled { path: self.job.file.clone() });
        }
        Ok(())
    }
}
