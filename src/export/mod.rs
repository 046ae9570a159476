//! Getting WAV files out: stems, one for each track, or the stereo mix as the engine plays it. Thread: any but audio.
//!
//! [`plan`](plan::plan) is pure and says what would be written; [`run`](run::run) writes it, all of it or
//! nothing. Takes are only read, so an export may run beside a recording.
#![forbid(unsafe_code)]

pub mod error;
mod mixdown;
pub mod plan;
pub mod run;
mod sink;
mod source;
mod stem;
#[cfg(test)]
mod tests;
pub mod position_text;

use crate::format::TakeFormat;
use crate::time::{FramePos, Frames};
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// The session's folder.
    pub folder: PathBuf,
    /// Where the files go; made if it is not there.
    pub to: PathBuf,
    /// Numbers of tracks as they are shown, from 1. None: all of them.
    pub tracks: Option<Vec<usize>>,
    /// The first frame. None: the start of the timeline.
    pub from: Option<FramePos>,
    /// The first frame that is left out. None: the end of the session's last region. A place behind that
    /// end gives silence.
    pub until: Option<FramePos>,
    /// How samples are stored. None: a stem as its takes, the widest of them where they differ, so that
    /// nothing is lost; the mix as the session.
    pub format: Option<TakeFormat>,
    /// One stereo file of the chosen tracks as they are heard, in place of their stems.
    pub mix: bool,
    /// Files that are there already are replaced.
    pub force: bool,
}

/// How far an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being written.
    pub file: &'a Path,
    /// Which one it is, from 0.
    pub file_index: usize,
    /// How many there will be.
    pub file_count: usize,
    /// Frames written, all files together.
    pub frames: Frames,
    /// Frames there will be, all files together.
    pub frames_total: Frames,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// The file.
    #[serde(serialize_with = "readable")]
    pub file: PathBuf,
    /// The number of its track, from 1; none for the mix.
    pub track: Option<usize>,
    /// Channels, 1 or 2.
    pub channels: u16,
    /// Frames of sound.
    pub frames: u64,
    /// How samples are stored.
    pub format: TakeFormat,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether depth shrank somewhere, and dither was added there.
    pub dithered: bool,
    /// Samples over full scale: clamped in integers, kept in float. Samples that were copied as they are
    /// stored are not looked at.
    pub over_full_scale: u64,
    /// The largest magnitude in decibels of full scale, before clamping. None for silence, and where all
    /// sound was copied as it is stored.
    pub peak_dbfs: Option<f64>,
    /// What else is to be known about it, in sentences.
    pub notes: Vec<String>,
}

fn readable<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
