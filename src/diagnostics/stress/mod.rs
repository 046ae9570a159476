//! The stress test. Thread: the caller of [`run`], which starts and joins all others.
//!
//! For each stress, the real engine records a rehearsal: it records the built-in device's ramp signal while the stress
//! disturbs the machine. Afterwards every sample is compared. [`scratch`] makes the folder, [`disturb`] runs the
//! stress, [`rehearsal`] records, [`check`] compares, [`sheet`] judges.

pub mod check;
mod disturb;
mod freeze;
mod scratch;
mod rehearsal;
pub mod sheet;
mod throttle;
#[cfg(test)]
mod tests;

use crate::flight::facts;
use crate::limits;
use disturb::Disturbance;
use scratch::ScratchFolder;
use serde::{Deserialize, Serialize};
use sheet::{Row, Sheet, Verdict};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Sample rate of a rehearsal, in Hz.
pub const RATE: u32 = 48_000;

/// Bytes of a sample in a rehearsal: 24 bit.
pub const SAMPLE_BYTES: u64 = 3;

/// A kind of disturbance of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StressKind {
    /// No disturbance, for comparison.
    None,
    /// A thread calls `syncfs` without pause, as any program may.
    Sync,
    /// A thread reads a large file from the disk again and again, and so fills the page cache.
    Cache,
    /// Two threads write random blocks and make each durable.
    Disk,
    /// A memory limit that is little larger than the working set, and a reader that fills it.
    Memory,
    /// A disk that is throttled to 20 MB/s, with the two threads of [`StressKind::Disk`] writing to it.
    Slow,
    /// The file system is frozen for seconds and accepts no write.
    Freeze,
    /// The device is unplugged and returns.
    Unplug,
}

impl StressKind {
    /// All kinds, in the order in which they run.
    pub const ALL: [StressKind; 8] = [
        StressKind::None,
        StressKind::Sync,
        StressKind::Cache,
        StressKind::Disk,
        StressKind::Memory,
        StressKind::Slow,
        StressKind::Freeze,
        StressKind::Unplug,
    ];

    /// The name on the screen.
    pub fn title(self) -> &'static str {
        match self {
            StressKind::None => "no stress",
            StressKind::Sync => "constant sync",
            StressKind::Cache => "full page cache",
            StressKind::Disk => "busy disk",
            StressKind::Memory => "little memory",
            StressKind::Slow => "slow disk",
            StressKind::Freeze => "frozen disk",
            StressKind::Unplug => "unplugged device",
        }
    }

    /// A description for the screen.
    pub fn description(self) -> &'static str {
        match self {
            StressKind::None => "nothing beside",
            StressKind::Sync => "another program calls sync all the time",
            StressKind::Cache => "another program reads more than the page cache keeps",
            StressKind::Disk => "two programs write and make every block durable",
            StressKind::Memory => "little more memory than the program needs; needs root",
            StressKind::Slow => "a disk of 20 MB/s with two busy neighbours; needs root",
            StressKind::Freeze => "the file system takes no write for seconds; needs root and a loop image",
            StressKind::Unplug => "the device is unplugged and comes back",
        }
    }

    /// Whether it disturbs the disk. On a file system in memory such a stress would prove nothing.
    fn needs_disk(self) -> bool {
        matches!(self, StressKind::Sync | StressKind::Cache | StressKind::Disk | StressKind::Slow | StressKind::Freeze)
    }
}

impl fmt::Display for StressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StressKind::None => "none",
            StressKind::Sync => "sync",
            StressKind::Cache => "cache",
            StressKind::Disk => "disk",
            StressKind::Memory => "memory",
            StressKind::Slow => "slow",
            StressKind::Freeze => "freeze",
            StressKind::Unplug => "unplug",
        })
    }
}

impl FromStr for StressKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = StressKind::ALL.into_iter().find(|kind| kind.to_string() == text);
        known.ok_or_else(|| {
            let all: Vec<String> = StressKind::ALL.iter().map(StressKind::to_string).collect();
            format!("{text}: unknown stress; use {} or all", all.join(", "))
        })
    }
}

/// Parses names of kinds. The result is in the order in which they run, without duplicates. `all` means all kinds.
pub fn kinds(names: &[String]) -> Result<Vec<StressKind>, String> {
    if names.iter().any(|name| name == "all") {
        return Ok(StressKind::ALL.to_vec());
    }
    let named = names.iter().map(|name| name.parse()).collect::<Result<Vec<StressKind>, String>>()?;
    Ok(StressKind::ALL.into_iter().filter(|kind| named.contains(kind)).collect())
}

/// The options of a test.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder in which the test makes a new folder for its rehearsals.
    pub scratch: PathBuf,
    /// The stresses to run.
    pub kinds: Vec<StressKind>,
    /// Seconds to record under each stress.
    pub seconds: f64,
    /// Number of inputs to record.
    pub inputs: usize,
    /// Frames in a period.
    pub period: usize,
    /// Frames in the device's buffer, which is how late the audio thread may be. `None`: the device's default.
    pub buffer: Option<usize>,
    /// Freeze the file system of `scratch` even if it is no loop image.
    pub may_freeze: bool,
    /// Do not remove the rehearsals.
    pub keep: bool,
}

/// Progress of a test.
pub enum Update<'a> {
    /// The present step, and the progress of the whole test.
    Doing {
        /// From 0 to 1.
        fraction: f32,
        /// The step, for the screen.
        doing: String,
    },
    /// A stress has ended with this row.
    Row(&'a Row),
}

/// The reason why a test gave no sheet.
#[derive(Debug)]
pub enum StressError {
    /// An option is out of its range.
    Option(String),
    /// The scratch folder cannot be used.
    Scratch {
        /// The folder that the user named.
        path: PathBuf,
        /// The reason, and what to do.
        reason: String,
    },
    /// The caller set `cancel`.
    Cancelled,
}

impl fmt::Display for StressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StressError::Option(text) => f.write_str(text),
            StressError::Scratch { path, reason } => write!(f, "{}: {reason}", path.display()),
            StressError::Cancelled => f.write_str("stress test: stopped, the test recordings are removed"),
        }
    }
}

impl std::error::Error for StressError {}

/// Runs one stress after the other. It removes the rehearsals and undoes every change of the stresses before it
/// returns, also after an error or when `cancel` is set.
pub fn run(options: &Options, update: &mut dyn FnMut(Update<'_>), cancel: &AtomicBool) -> Result<Sheet, StressError> {
    check_options(options)?;
    let scratch = ScratchFolder::make(&options.scratch, options.keep)?;
    let mut sheet = Sheet {
        folder: scratch.path().to_path_buf(),
        file_system: scratch.file_system().to_owned(),
        kernel: facts::kernel(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        inputs: options.inputs,
        rate: RATE,
        period: options.period,
        seconds: options.seconds,
        scheduling: String::new(),
        rows: Vec::with_capacity(options.kinds.len()),
    };
    for (at, kind) in options.kinds.iter().enumerate() {
        if cancel.load(Relaxed) {
            return Err(StressError::Cancelled);
        }
        let (before, each) = (at as f32 / options.kinds.len() as f32, 1.0 / options.kinds.len() as f32);
        let mut doing = |fraction: f32, text: &str| {
            update(Update::Doing { fraction: before + each * fraction, doing: format!("{kind}: {text}") });
        };
        doing(0.0, "preparing");
        let row = run_one(*kind, options, &scratch, &mut sheet.scheduling, &mut doing, cancel);
        if cancel.load(Relaxed) {
            return Err(StressError::Cancelled);
        }
        update(Update::Row(&row));
        sheet.rows.push(row);
    }
    Ok(sheet)
}

fn run_one(
    kind: StressKind,
    options: &Options,
    scratch: &ScratchFolder,
    scheduling: &mut String,
    doing: &mut dyn FnMut(f32, &str),
    cancel: &AtomicBool,
) -> Row {
    let skipped = |reason: String| Row::without_figures(kind, Verdict::Skipped, reason);
    if kind.needs_disk() && scratch.is_in_memory() {
        return skipped(format!("the folder lies in memory ({}); name one on a disk", scratch.file_system()));
    }
    let folder = match scratch.session(&kind.to_string()) {
        Ok(folder) => folder,
        Err(reason) => return Row::without_figures(kind, Verdict::Failed, reason),
    };
    let row = match Disturbance::prepare(kind, options, scratch, &folder) {
        Err(reason) => skipped(reason),
        Ok(disturbance) => match rehearsal::record(kind, options, &folder, &disturbance, doing, cancel) {
            Err(reason) => Row::without_figures(kind, Verdict::Failed, reason),
            Ok(rehearsal) => {
                // End the stress before the comparison.
                drop(disturbance);
                scheduling.clone_from(&rehearsal.scheduling);
                doing(0.9, "comparing every sample");
                sheet::judge(kind, options.period, &rehearsal, &check::check(&folder))
            }
        },
    };
    scratch.remove(&folder);
    row
}

fn check_options(options: &Options) -> Result<(), StressError> {
    let refused = |text: String| Err(StressError::Option(text));
    if options.kinds.is_empty() {
        return refused("--stress: none is named".to_owned());
    }
    if !(1..=limits::TRACK_COUNT_MAX).contains(&options.inputs) {
        return refused(format!("--inputs {}: use 1 to {}", options.inputs, limits::TRACK_COUNT_MAX));
    }
    let periods = limits::PERIOD_FRAMES_MIN..=limits::PERIOD_FRAMES_MAX;
    if !periods.contains(&options.period) {
        return refused(format!("--period {}: use {} to {}", options.period, periods.start(), periods.end()));
    }
    if !(2.0..=3600.0).contains(&options.seconds) {
        return refused(format!("--seconds {}: use 2 to 3600", options.seconds));
    }
    Ok(())
}
