//! The doctor: examines whether this machine and this folder are fit for recording. Thread: control.
//!
//! Each finding has a figure, a verdict, a sentence and, if the verdict is not good, a command that improves it. The
//! doctor changes nothing. It writes a scratch file of at most 64 MiB and removes it. Files of `/proc` and `/sys` are
//! read below a root folder, which tests replace.

mod card;
mod disk;
mod file_system;
mod io_uring;
mod kernel;
mod memory;
mod page_moving;
mod perf;
mod power;
mod render;
mod scheduling;
mod scratch;
mod spool;

pub use render::render;

use crate::device::configuration_fault;
use crate::format::TakeFormat;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// The verdict of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Fit for recording.
    Good,
    /// Recording works, with less safety margin than possible.
    Fair,
    /// Recording may fail or lose sound.
    Poor,
}

/// The result of one examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The subject, in one to three words.
    pub topic: Cow<'static, str>,
    /// The measured value.
    pub measured: String,
    pub verdict: Verdict,
    /// The consequences for recording.
    pub sentence: String,
    /// A shell command for the user to copy.
    pub fix: Option<String>,
}

impl Finding {
    fn new(topic: &'static str, measured: impl Into<String>, verdict: Verdict, sentence: impl Into<String>) -> Finding {
        Finding { topic: topic.into(), measured: measured.into(), verdict, sentence: sentence.into(), fix: None }
    }

    fn fix(self, command: impl Into<String>) -> Finding {
        Finding { fix: Some(command.into()), ..self }
    }

    /// The same finding with the command that fixes it, if there is one.
    fn fix_if_any(self, command: Option<impl Into<String>>) -> Finding {
        Finding { fix: command.map(Into::into), ..self }
    }
}

/// The recording that the machine must be fit for.
#[derive(Clone, Copy, Debug)]
struct Needs {
    tracks: usize,
    rate: u32,
    format: TakeFormat,
}

impl Needs {
    /// Data rate of all tracks, for recording or for playback.
    fn bytes_per_second(&self) -> f64 {
        self.tracks as f64 * self.track_bytes_per_second()
    }

    fn track_bytes_per_second(&self) -> f64 {
        f64::from(self.rate) * self.format.bytes() as f64
    }

    /// The number of tracks as "24 tracks" or "1 track".
    fn tracks(&self) -> String {
        format!("{} {}", self.tracks, if self.tracks == 1 { "track" } else { "tracks" })
    }
}

/// Examines everything for `tracks` mono tracks at `rate` Hz that are recorded into `folder`, which need not exist yet.
///
/// This takes one to two seconds, and at most 20 if the disk or the bus hangs. A probe that hangs stays behind on its
/// own thread, and the process cannot end before the kernel answers that thread. If something cannot be measured, the
/// finding says so.
pub fn examine(folder: &Path, tracks: usize, rate: u32, format: TakeFormat) -> Vec<Finding> {
    let root = Path::new("/");
    let needs = Needs { tracks: tracks.max(1), rate: rate.max(1), format };
    let folder = existing(folder);
    let mut findings = scheduling::examine();
    findings.extend(memory::examine(needs));
    findings.extend(spool::examine(needs));
    findings.extend(file_system::examine(&folder, needs));
    findings.push(disk::examine(&folder, needs));
    findings.extend(kernel::examine(root, &folder));
    findings.push(io_uring::examine());
    findings.extend(page_moving::examine(root));
    findings.extend(perf::examine());
    findings.extend(power::examine(root));
    findings.extend(card::examine(root));
    findings.extend(configuration_fault().map(|fault| card::misconfigured(&fault)));
    findings
}

/// The folder itself, or its nearest ancestor that exists.
fn existing(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let found = absolute.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    found.canonicalize().unwrap_or_else(|_| found.to_path_buf())
}

/// Reads a small file of `/proc` or `/sys` and trims white space.
fn read(root: &Path, path: &str) -> Option<String> {
    std::fs::read_to_string(root.join(path)).ok().map(|text| text.trim().to_owned())
}

/// Formats bytes as in "8.0 MiB".
fn binary(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while 1024.0 <= value && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Formats a duration as "3.5 h", "12 min", "2.4 s" or "80 ms".
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        s if s < 90.0 => format!("{s:.1} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s if s < 360_000.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_in_the_unit_that_reads_best() {
        assert_eq!([binary(512), binary(8 << 20), binary(3 << 39)], ["512 bytes", "8.0 MiB", "1.5 TiB"]);
        assert_eq!(
            [duration(0.08), duration(2.41), duration(720.0), duration(12_600.0)],
            ["80 ms", "2.4 s", "12 min", "3.5 h"]
        );
    }

    #[test]
    fn a_folder_that_is_yet_to_be_made_is_judged_by_the_one_above() {
        let root = tempfile::tempdir().unwrap();
        let above = root.path().canonicalize().unwrap();
        assert_eq!(existing(&root.path().join("new/session")), above);
        assert_eq!(existing(&above), above);
    }

    #[test]
    fn every_finding_of_this_machine_says_something_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let findings = examine(folder.path(), 24, 48_000, TakeFormat::S24);
        assert!(15 <= findings.len());
        for finding in &findings {
            assert!(!finding.topic.is_empty() && !finding.measured.is_empty(), "{finding:?}");
            assert!(finding.sentence.ends_with('.'), "{finding:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let json = serde_json::to_string(&findings).unwrap();
        assert!(json.contains("\"verdict\":\"good\"") && json.contains("\"topic\":\"scheduling\""));
    }
}
