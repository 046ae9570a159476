//! Work that takes its time, on threads of its own: export, doctor, stress lab. Thread: control, and one a job.

use crate::bench::stress::StressKind;
use crate::format::TakeFormat;
use crate::session::TrackId;
use crate::time::FramePos;
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be exported.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportRequest {
    /// The folder for the files.
    pub to: PathBuf,
    /// Tracks; `None`: all.
    pub tracks: Option<Vec<TrackId>>,
    /// From and until; `None`: the whole session.
    pub range: Option<(FramePos, FramePos)>,
    /// Format of the files; `None`: that of the session.
    pub format: Option<TakeFormat>,
    /// One stereo mix rather than a file per track.
    pub mix: bool,
    /// Replace files that are there.
    pub replace: bool,
}

/// What is known of an export.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportView {
    /// The part that is done, 0 to 1; `None` while none runs.
    pub progress: Option<f32>,
    /// The file being written.
    pub file: String,
    /// How the last one ended: the files, or why not.
    pub ended: Option<Result<Arc<Vec<PathBuf>>, String>>,
}

/// What the stress lab is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct StressRequest {
    /// What goes on beside.
    pub kinds: Vec<StressKind>,
    /// Tracks.
    pub tracks: usize,
    /// Seconds of each.
    pub seconds: f64,
}

/// What is known of the stress lab.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StressView {
    /// The part that is done, 0 to 1; `None` while it does not run.
    pub progress: Option<f32>,
    /// What it does now.
    pub doing: String,
    /// The sheet so far.
    pub rows: Arc<Vec<StressRow>>,
    /// Why it ended early.
    pub failed: Option<String>,
}

/// A line of the sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct StressRow {
    /// What went on beside.
    pub stress: String,
    /// Which way of keeping pages was measured.
    pub scheme: String,
    /// Whether it is one that the program uses, and must pass.
    pub ours: bool,
    /// Faults of the audio thread.
    pub faults: u64,
    /// The longest cycle, in microseconds.
    pub worst_us: f64,
    /// Microseconds it had.
    pub deadline_us: f64,
    /// Frames lost.
    pub frames_lost: u64,
    /// No fault, no loss, in time.
    pub passed: bool,
    /// The same in words.
    pub finding: String,
}
