//! The sheet of a stress test: one judged row for each stress, as a table and as JSON. Thread: any. Pure.

use super::check::Checked;
use super::rehearsal::Rehearsal;
use super::{RATE, StressKind};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// The verdict on a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Only the frames that the stress took away were lost, and the audio thread took no page fault.
    Passed,
    /// A promise was broken.
    Failed,
    /// The stress could not run here, or had no effect.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Passed => "pass",
            Verdict::Failed => "FAIL",
            Verdict::Skipped => "skipped",
        })
    }
}

/// The result of one stress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub stress: StressKind,
    pub verdict: Verdict,
    /// If it passed, a description of what the stress did; otherwise the reason.
    pub reason: String,
    /// `None`: nothing was recorded.
    pub figures: Option<StressFigures>,
}

/// The figures of a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StressFigures {
    /// Number of takes.
    pub takes: usize,
    /// Frames of each take.
    pub frames: u64,
    /// Samples that differ from the signal.
    pub samples_wrong: u64,
    /// Frames that were lost.
    pub frames_lost: u64,
    /// Frames that the stress itself took away.
    pub frames_lost_wanted: u64,
    /// Xruns of the device.
    pub xruns: u64,
    /// Page faults of the audio thread that needed no disk; `None`: the kernel did not report them.
    pub minor_faults: Option<u64>,
    /// Page faults of the audio thread that waited for the disk or for a locked page.
    pub major_faults: Option<u64>,
    /// Times that the audio thread waited for anything but the device.
    pub voluntary_switches: Option<u64>,
    /// Mean time of a cycle.
    pub cycle_us_mean: f64,
    /// The longest cycle.
    pub cycle_us_max: f64,
    /// The duration of a period.
    pub period_us: f64,
    /// The shortest lead: frames of windows that were ready.
    pub lead_frames_min: Option<u64>,
    /// The longest commit.
    pub commit_us_max: u64,
    /// The most bytes that the spool held.
    pub spool_bytes_peak: u64,
}

impl Row {
    /// The row of a rehearsal that did not take place or did not finish.
    pub(super) fn without_figures(stress: StressKind, verdict: Verdict, reason: String) -> Row {
        Row { stress, verdict, reason, figures: None }
    }
}

/// The result of a stress test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// The folder of the rehearsals.
    pub folder: PathBuf,
    /// The type of its file system.
    pub file_system: String,
    /// The kernel's release.
    pub kernel: String,
    /// The version of Faultless.
    pub program: String,
    /// Number of inputs that were recorded.
    pub inputs: usize,
    /// Sample rate in Hz.
    pub rate: u32,
    /// Frames in a period.
    pub period: usize,
    /// Seconds of each rehearsal.
    pub seconds: f64,
    /// Scheduling class and priority of the audio thread.
    pub scheduling: String,
    /// One row for each stress.
    pub rows: Vec<Row>,
}

impl Sheet {
    /// Number of rows with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }
}

/// Judges a rehearsal.
pub(super) fn judge(kind: StressKind, period: usize, rehearsal: &Rehearsal, checked: &Checked) -> Row {
    let report = &rehearsal.report;
    let audio = &report.audio_thread;
    let figures = StressFigures {
        takes: checked.takes,
        frames: checked.frames,
        samples_wrong: checked.samples_wrong,
        frames_lost: report.frames_lost.max(checked.frames_lost),
        frames_lost_wanted: rehearsal.lost_wanted,
        xruns: report.xruns,
        minor_faults: audio.minor_faults,
        major_faults: audio.major_faults,
        voluntary_switches: audio.voluntary_switches,
        cycle_us_mean: audio.cycle_us_mean,
        cycle_us_max: audio.cycle_us_max,
        period_us: period as f64 / f64::from(RATE) * 1e6,
        lead_frames_min: report.lead_frames_min,
        commit_us_max: report.commit_us_max,
        spool_bytes_peak: rehearsal.spool_bytes_peak,
    };
    let mut wrong = misses(&figures);
    let taken = report.takes.len();
    if taken != checked.takes {
        wrong.push(format!("{} takes of {taken} are there", checked.takes));
    }
    wrong.extend(report.takes.iter().filter_map(|take| take.trouble.clone()).take(1));
    wrong.extend(checked.problems.iter().take(2).cloned());
    // A broken promise is a failure even if the stress had no effect.
    let (verdict, reason) = match (&rehearsal.effect, wrong.is_empty()) {
        (_, false) => (Verdict::Failed, wrong.join("; ")),
        (Err(reason), true) => (Verdict::Skipped, format!("it proved nothing: {reason}")),
        (Ok(effect), true) => (Verdict::Passed, effect.clone()),
    };
    Row { stress: kind, verdict, reason, figures: Some(figures) }
}

/// Every broken promise, one sentence each.
pub(super) fn misses(figures: &StressFigures) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut count = |number: u64, description: &str| {
        if number > 0 {
            wrong.push(format!("{number} {description}"));
        }
    };
    count(figures.samples_wrong, "samples wrong");
    count(figures.minor_faults.unwrap_or(0), "page faults");
    count(figures.major_faults.unwrap_or(0), "page faults that waited for the disk or a locked page");
    count(figures.voluntary_switches.unwrap_or(0), "waits of the audio thread");
    count(figures.xruns, "xruns: the audio thread was late");
    let (lost, wanted) = (figures.frames_lost, figures.frames_lost_wanted);
    if lost != wanted {
        wrong.push(if wanted == 0 {
            format!("{lost} frames lost")
        } else {
            format!("{lost} frames lost, not {wanted}")
        });
    }
    if figures.minor_faults.is_none() {
        wrong.push("the kernel did not tell the faults".to_owned());
    }
    wrong
}

const COLUMNS: [(&str, usize); 10] = [
    ("stress", 7),
    ("verdict", 8),
    ("faults", 7),
    ("waits", 6),
    ("xruns", 6),
    ("lost", 8),
    ("wrong", 6),
    ("worst us", 9),
    ("lead ms", 8),
    ("commit ms", 10),
];

impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} inputs, {} Hz, periods of {}, {} s each, on {}, Linux {}, {}",
            self.inputs, self.rate, self.period, self.seconds, self.file_system, self.kernel, self.scheduling
        )?;
        for (at, (name, width)) in COLUMNS.iter().enumerate() {
            if at < 2 { write!(f, "{name:<width$} ")? } else { write!(f, "{name:>width$} ")? }
        }
        writeln!(f)?;
        for row in &self.rows {
            let cells = cells(row);
            write!(f, "{:<7} {:<8} ", row.stress, row.verdict)?;
            for (cell, (_, width)) in cells.iter().zip(&COLUMNS[2..]) {
                write!(f, "{cell:>width$} ")?;
            }
            writeln!(f, " {}", row.reason)?;
        }
        let of = |verdict| self.count(verdict);
        write!(f, "{} passed, {} failed, {} skipped", of(Verdict::Passed), of(Verdict::Failed), of(Verdict::Skipped))
    }
}

/// The figures of a row as cells of a table; `-` for a missing figure.
pub fn cells(row: &Row) -> [String; 8] {
    let Some(figures) = &row.figures else { return std::array::from_fn(|_| "-".to_owned()) };
    let known = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let faults = figures.minor_faults.zip(figures.major_faults).map(|(minor, major)| minor + major);
    let ms = |frames: u64| format!("{:.0}", 1000.0 * frames as f64 / f64::from(RATE));
    [
        known(faults),
        known(figures.voluntary_switches),
        figures.xruns.to_string(),
        figures.frames_lost.to_string(),
        figures.samples_wrong.to_string(),
        format!("{:.0}", figures.cycle_us_max),
        figures.lead_frames_min.map_or_else(|| "-".to_owned(), ms),
        format!("{:.1}", figures.commit_us_max as f64 / 1000.0),
    ]
}
