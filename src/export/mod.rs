//! Exports WAV files: stems, one per track, or the stereo mix as the engine plays it. Thread: any but audio.
//!
//! [`plan`](plan::plan) is pure and decides which files to write. [`run`](run::run) writes all of them or none. An
//! export only reads takes, so it may run during a recording.
#![forbid(unsafe_code)]

pub mod error;
mod mixdown;
pub mod plan;
pub mod run;
mod second_reader;
mod sink;
mod source;
mod stem;
#[cfg(test)]
pub(crate) mod tests;
pub mod position_text;

use crate::format::TakeFormat;
use crate::time::{FramePos, Frames};
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// The options of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// The session's folder.
    pub folder: PathBuf,
    /// The folder for the files. Created if it does not exist.
    pub to: PathBuf,
    /// Numbers of tracks as on the screen, from 1. None: all tracks.
    pub tracks: Option<Vec<usize>>,
    /// The first frame. None: the start of the timeline.
    pub from: Option<FramePos>,
    /// The frame behind the last one. None: the end of the session's last region. Frames behind that end are silence.
    pub until: Option<FramePos>,
    /// The sample format of the files. None: a stem has the widest format of its takes, so that no bit is lost, and the
    /// mix has the format of the session.
    pub format: Option<TakeFormat>,
    /// Write one stereo mix of the chosen tracks in place of their stems.
    pub mix: bool,
    /// Replace files that exist.
    pub force: bool,
}

/// Progress of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being written.
    pub file: &'a Path,
    /// Index of that file, from 0.
    pub file_index: usize,
    pub file_count: usize,
    /// Frames written so far, in all files together.
    pub frames: Frames,
    /// Frames to write, in all files together.
    pub frames_total: Frames,
}

/// The result of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The files that were written, in their order.
    pub files: Vec<Exported>,
    /// Takes whose sound is not in the files, because they cannot be read: one sentence each. Not empty means that the
    /// export is not a success.
    pub problems: Vec<String>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    #[serde(serialize_with = "readable")]
    pub file: PathBuf,
    /// Number of the track, from 1. None for the mix.
    pub track: Option<usize>,
    /// 1 or 2.
    pub channels: u16,
    pub frames: u64,
    pub format: TakeFormat,
    /// Length of the file.
    pub bytes: u64,
    /// Whether some samples lost depth and were dithered.
    pub dithered: bool,
    /// Number of samples over full scale. They are clamped in integer files and kept in float files. Samples that were
    /// copied byte for byte are not counted.
    pub over_full_scale: u64,
    /// The largest magnitude in decibels of full scale, before clamping. None for silence, and if all samples were
    /// copied byte for byte.
    pub peak_dbfs: Option<f64>,
    /// Sentences for the user, for example about takes that are not finished.
    pub notes: Vec<String>,
}

impl Exported {
    /// A sentence about samples over full scale that the file could not hold. `None`: there are none. A float file holds them.
    pub fn clipped(&self) -> Option<String> {
        let count = self.over_full_scale;
        (count > 0 && self.format != TakeFormat::F32)
            .then(|| format!("CLIPPED: {count} samples over full scale; lower the gain or export f32"))
    }
}

fn readable<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
