//! The report of a finished pass. Thread: control makes it; any thread reads it.

use crate::control::Severity;
use crate::control::mirror::MirrorReport;
use crate::control::report::AudioReport;
use crate::time::{Clock, Frames, SampleRate};
use serde::Serialize;

/// The report of a finished pass.
#[derive(Clone, Debug, Serialize)]
pub struct PassReport {
    /// Frames of the pass.
    pub frames: u64,
    /// Xruns of the device's inputs during the pass.
    pub xruns: u64,
    /// Xruns of the device's outputs during the pass. They cost no recorded frame.
    pub playback_xruns: u64,
    /// Frames of silence in place of lost sound, in the take that lost most.
    pub frames_lost: u64,
    /// Faults, switches and cycle times of the audio thread.
    pub audio_thread: AudioReport,
    /// The files of the pass; a take that continued has several.
    pub takes: Vec<TakeReport>,
    /// The shortest lead, in frames; `None` (`null`) if the butler measured none during the pass.
    pub lead_frames_min: Option<u64>,
    /// The longest write of a run to the disk, in microseconds.
    pub commit_us_max: u64,
    /// Time to copy a period's bytes to as many places on this machine, in microseconds.
    pub bare_copy_us: f64,
    /// The mean cycle divided by `bare_copy_us`.
    pub bare_copy_ratio: f64,
    /// The result of the mirror, if the pass had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorReport>,
}

/// A file of a finished pass.
#[derive(Clone, Debug, Serialize)]
pub struct TakeReport {
    /// The track's name.
    pub track: String,
    /// 0-based device channel of its first input.
    pub input: u32,
    /// The file: relative to the session's folder, or absolute in an overflow folder.
    pub file: String,
    /// Frames in this file.
    pub frames: u64,
    /// Frames of silence in place of lost sound, in all files of the take together.
    pub frames_lost: u64,
    /// Xruns of the device during the pass.
    pub xruns: u64,
    /// Why the file is not whole on the disk. `None`: it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl PassReport {
    /// Takes that are not whole on the disk.
    pub fn takes_troubled(&self) -> usize {
        self.takes.iter().filter(|take| take.trouble.is_some()).count()
    }

    /// [`Severity::Loss`] if a frame was lost or a take is not whole.
    pub fn severity(&self) -> Severity {
        if self.frames_lost > 0 || self.takes_troubled() > 0 { Severity::Loss } else { Severity::Info }
    }

    /// The report in one line, for a notice and for the events of the session.
    pub fn summary(&self, rate: SampleRate) -> String {
        let audio = &self.audio_thread;
        let mut text = format!(
            "{} takes of {}: {} frames lost, {} xruns, {} page faults, worst cycle {:.0} µs",
            self.takes.len(),
            Clock(Frames(self.frames).duration(rate)),
            self.frames_lost,
            self.xruns,
            audio.faults_text(),
            audio.cycle_us_max,
        );
        let troubled = self.takes_troubled();
        if troubled > 0 {
            text.push_str(&format!("; {troubled} are not whole on the disk, see above"));
        }
        text
    }
}
