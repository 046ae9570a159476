//! The report of a run, as JSON and as a table with one sentence for each row. Thread: any.

use super::load::LoadKind;
use super::paced::Measurements;
use super::scheme::{Scheme, Side};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// The report of a run.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// The folder that was measured.
    pub dir: PathBuf,
    /// The type of its file system: `ext4`, `xfs`, `btrfs`, `tmpfs`, ...
    pub file_system: String,
    /// The kernel's release.
    pub kernel: String,
    /// Number of tracks that were recorded and played.
    pub tracks: usize,
    /// Frames in a period.
    pub period: usize,
    /// Seconds of each row.
    pub seconds: f64,
    pub load: LoadKind,
    /// Scheduling class and priority of the audio thread.
    pub scheduling: String,
    /// Reasons why the figures prove less than they should.
    pub warnings: Vec<String>,
    /// One row for each side and scheme.
    pub rows: Vec<Row>,
}

/// The figures of one scheme.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub side: Side,
    pub scheme: Scheme,
    /// Page faults of the audio thread that needed no read from the disk.
    pub minor_faults: u64,
    /// Page faults of the audio thread that waited for a read from the disk.
    pub major_faults: u64,
    /// Periods that were copied.
    pub cycles: u64,
    /// Mean duration of a cycle's copying.
    pub cycle_us_mean: f64,
    /// One in ten thousand cycles takes longer than this.
    pub cycle_us_p9999: f64,
    /// Duration of the longest cycle.
    pub cycle_us_max: f64,
    /// Cycles that ended after their deadline, for any reason. A real card would have lost sound.
    pub misses: u64,
    /// Misses that began with a wake-up more than a period late. The scheduler causes these, not the scheme.
    pub woken_late: u64,
    /// How often a track had no window in a period.
    pub windows_missing: u64,
    /// Frames that differ from the signal, including frames without a window.
    pub frames_wrong: u64,
    /// Remarks on the scheme and the load.
    pub note: String,
}

impl Row {
    pub(super) fn new(side: Side, scheme: Scheme, measurements: Measurements, note: &str) -> Row {
        let mut nanos = measurements.cycle_nanos;
        nanos.sort_unstable();
        let us = |nanos: u64| (nanos as f64 / 100.0).round() / 10.0;
        let mean = nanos.iter().sum::<u64>() / (nanos.len() as u64).max(1);
        let parts = [note, &measurements.load];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Row {
            side,
            scheme,
            minor_faults: measurements.minor_faults,
            major_faults: measurements.major_faults,
            cycles: nanos.len() as u64,
            cycle_us_mean: us(mean),
            cycle_us_p9999: us(quantile(&nanos, 9999, 10_000)),
            cycle_us_max: us(nanos.last().copied().unwrap_or(0)),
            misses: measurements.misses,
            woken_late: measurements.woken_late,
            windows_missing: measurements.windows_missing,
            frames_wrong: measurements.frames_wrong,
            note: parts.join("; "),
        }
    }

    /// Minor and major page faults together.
    pub fn faults(&self) -> u64 {
        self.minor_faults + self.major_faults
    }

    /// The row as a sentence.
    pub fn finding(&self) -> String {
        let Row { side, scheme, minor_faults, major_faults, .. } = self;
        let faults = match (self.faults(), side, scheme) {
            (0, _, _) => format!("{side} {scheme}: 0 faults of the audio thread"),
            (_, _, Scheme::Touch) => format!(
                "{side} {scheme}: {} faults, {} of them major: the audio thread maps for itself",
                grouped(self.faults()),
                grouped(*major_faults)
            ),
            (_, Side::Capture, Scheme::Spool) => {
                format!("{side} {scheme}: {minor_faults} minor and {major_faults} major faults, where none may be")
            }
            (_, Side::Capture, Scheme::Populate) if 0 < *major_faults => format!(
                "{side} {scheme}: {} minor and {} major faults: pages were taken back before they were filled",
                grouped(*minor_faults),
                grouped(*major_faults)
            ),
            (_, Side::Capture, _) => format!(
                "{side} {scheme}: {} faults: the kernel write-protects the pages of a file that it writes back",
                grouped(self.faults())
            ),
            (_, Side::Playback, _) => format!(
                "{side} {scheme}: {} minor and {} major faults: pages were taken back before they were heard",
                grouped(*minor_faults),
                grouped(*major_faults)
            ),
        };
        let misses = match (self.misses, self.woken_late) {
            (0, _) => String::new(),
            (misses, 0) => format!("; deadlines missed: {}", grouped(misses)),
            (misses, late) => {
                format!("; deadlines missed: {}, {} of them by a late wake-up", grouped(misses), grouped(late))
            }
        };
        let frames = match (self.frames_wrong, side) {
            (0, Side::Capture) => "files sample-exact".to_owned(),
            (0, Side::Playback) => "heard sample-exact".to_owned(),
            (wrong, _) => format!("{} frames WRONG", grouped(wrong)),
        };
        format!("{faults}; worst cycle {} µs{misses}; {frames}", self.cycle_us_max)
    }
}

/// The value at the quantile `part / whole` of sorted values; zero if there are none.
fn quantile(sorted: &[u64], part: usize, whole: usize) -> u64 {
    let rank = (sorted.len() * part).div_ceil(whole);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Formats 18858 as `18,858`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if 0 < index && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BenchReport { tracks, period, seconds, load, .. } = self;
        writeln!(f, "{}: {}, Linux {}", self.dir.display(), self.file_system, self.kernel)?;
        writeln!(f, "{tracks} tracks, f32, 48000 Hz, period {period}, {seconds} s a row, load: {load}")?;
        writeln!(f, "audio thread: {}", self.scheduling)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(
            f,
            "\n{:<8} {:<8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>7} {:>7} {:>8} {:>9}  note",
            "side",
            "scheme",
            "minor",
            "major",
            "cycles",
            "mean µs",
            "p99.99 µs",
            "worst µs",
            "misses",
            "(late)",
            "missing",
            "wrong"
        )?;
        for row in &self.rows {
            let line = format!(
                "{:<8} {:<8} {:>8} {:>8} {:>8} {:>8.1} {:>9.1} {:>9.1} {:>7} {:>7} {:>8} {:>9}  {}",
                row.side,
                row.scheme,
                row.minor_faults,
                row.major_faults,
                row.cycles,
                row.cycle_us_mean,
                row.cycle_us_p9999,
                row.cycle_us_max,
                row.misses,
                row.woken_late,
                row.windows_missing,
                row.frames_wrong,
                row.note
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        for row in &self.rows {
            writeln!(f, "{}", row.finding())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(side: Side, scheme: Scheme, minor_faults: u64) -> Row {
        let measurements =
            Measurements { minor_faults, cycle_nanos: vec![3_000, 1_000, 2_000], ..Measurements::default() };
        Row::new(side, scheme, measurements, "")
    }

    #[test]
    fn a_row_has_mean_worst_and_tail_of_its_cycles() {
        let row = row(Side::Capture, Scheme::Spool, 0);
        assert_eq!((row.cycles, row.cycle_us_mean, row.cycle_us_max, row.cycle_us_p9999), (3, 2.0, 3.0, 3.0));
        let many: Vec<u64> = (1..=20_000).collect();
        assert_eq!(quantile(&many, 9999, 10_000), 19_998);
        assert_eq!(quantile(&[], 9999, 10_000), 0);
    }

    #[test]
    fn a_finding_says_how_many_faults_and_why() {
        assert_eq!(
            row(Side::Capture, Scheme::Spool, 0).finding(),
            "capture spool: 0 faults of the audio thread; worst cycle 3 µs; files sample-exact"
        );
        let locked = row(Side::Capture, Scheme::Locked, 18_858).finding();
        assert!(locked.starts_with("capture locked: 18,858 faults: the kernel write-protects"), "{locked}");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
