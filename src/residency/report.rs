//! The last minute of samples as a JSON document. Thread: any.

use super::sample::{Row, RowKey, Sample};
use super::state::Cell;
use serde::Serialize;
use std::sync::Arc;

/// Samples in a report at the most: one minute at two samples a second.
const SAMPLES_MAX: usize = 120;

/// The document; see [`report`].
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub kind: &'static str,
    pub version: u32,
    /// The meaning of the letters in [`ReportRow`].
    pub legend: &'static str,
    pub seconds: f64,
    /// Number of samples taken in that time, of which `samples` contains some.
    pub samples_taken: usize,
    /// Cells that disagree, summed over all samples taken.
    pub disagreements: usize,
    /// The samples, thinned evenly.
    pub samples: Vec<ReportSample>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ReportSample {
    /// Milliseconds since the session was opened.
    pub at_ms: u64,
    /// Duration of the sample in microseconds.
    pub took_us: u32,
    /// The playhead, as a timeline frame.
    pub position: u64,
    /// Faults of the audio thread that did not wait for the disk, since its start; `null`: unknown.
    pub minor_faults: Option<u64>,
    /// Faults of the audio thread that waited for the disk or for a locked page.
    pub major_faults: Option<u64>,
    /// Locked bytes: according to the program, and according to the kernel.
    pub locked_bytes: [u64; 2],
    /// Bytes of the takes: dirty, in writeback, in the page cache.
    pub cache_bytes: [u64; 3],
    /// Bytes that wait for the disk.
    pub backlog_bytes: u64,
    /// Bytes of the spool in use.
    pub spool_bytes: u64,
    /// Frames of lead: capture, playback; `null` while there is none.
    pub lead_frames: [Option<u64>; 2],
    /// Microseconds of the longest write, making of a window, and sync.
    pub longest_us: [u64; 3],
    pub rows: Vec<ReportRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ReportRow {
    /// Name of the track; empty if it was removed.
    pub track: String,
    /// `take UUID` or `slot N`.
    pub row: String,
    /// Path of the file.
    pub file: String,
    /// Offset in the file of the first cell.
    pub first_byte: u64,
    pub bytes_per_cell: u64,
    /// Offset in the file of the record or play position.
    pub head_byte: u64,
    /// Offset in the file of the end of the windows that are out.
    pub lead_byte: u64,
    /// State of each cell according to the ledger, in runs: `12L3R`.
    pub believed: String,
    /// State of each cell according to the kernel, in runs.
    pub kernel: String,
    /// State that the map shows for each cell, in runs.
    pub shown: String,
    /// Number of cells that disagree.
    pub disagreements: usize,
}

const LEGEND: &str = "believed, shown: - nothing, o on disk, c cached, r resident, L locked, R recorded (waits for the \
     disk), w writeback, P write-protected (inferred), C committed, D durable, s silence. kernel: - does not say, \
     a absent, c cached, m mapped, d dirty, w writeback, P write-protected (inferred), s swapped";

/// A report of `history`, which is ordered from old to new. It always contains the last sample. `name` gives the name of
/// a row's track.
pub fn report(history: &[Arc<Sample>], name: &dyn Fn(&RowKey) -> Option<String>) -> Report {
    let step = history.len().div_ceil(SAMPLES_MAX).max(1);
    let thinned = history.iter().rev().step_by(step).map(|sample| report_sample(sample, name));
    let mut samples: Vec<ReportSample> = thinned.collect();
    samples.reverse();
    let ends = history.first().zip(history.last());
    Report {
        kind: "faultless-residency",
        version: 1,
        legend: LEGEND,
        seconds: ends.map_or(0.0, |(first, last)| last.at.0.saturating_sub(first.at.0) as f64 / 1000.0),
        samples_taken: history.len(),
        disagreements: history.iter().map(|sample| sample.disagreements()).sum(),
        samples,
    }
}

fn report_sample(sample: &Sample, name: &dyn Fn(&RowKey) -> Option<String>) -> ReportSample {
    let figures = &sample.figures;
    ReportSample {
        at_ms: sample.at.0,
        took_us: sample.took_us,
        position: sample.position,
        minor_faults: figures.minor_faults,
        major_faults: figures.major_faults,
        locked_bytes: [figures.locked_bytes_believed, figures.locked_bytes_kernel],
        cache_bytes: [figures.dirty_bytes, figures.writeback_bytes, figures.cached_bytes],
        backlog_bytes: figures.backlog_bytes,
        spool_bytes: figures.spool_bytes,
        lead_frames: [figures.lead_frames, figures.play_lead_frames],
        longest_us: [figures.commit_us_max, figures.supply_us_max, figures.sync_us_max],
        rows: sample.rows.iter().map(|row| report_row(row, name(&row.key))).collect(),
    }
}

fn report_row(row: &Row, name: Option<String>) -> ReportRow {
    ReportRow {
        track: name.unwrap_or_default(),
        row: match row.key {
            RowKey::Take { uuid, .. } => format!("take {uuid}"),
            RowKey::Slot(slot) => format!("slot {slot}"),
        },
        file: row.path.display().to_string(),
        first_byte: row.first_byte,
        bytes_per_cell: row.bytes_per_cell,
        head_byte: row.head_byte,
        lead_byte: row.lead_byte,
        believed: runs(&row.cells, |cell| cell.believed().letter()),
        kernel: runs(&row.cells, |cell| cell.kernel().letter()),
        shown: runs(&row.cells, |cell| cell.shown().letter()),
        disagreements: row.cells.iter().filter(|cell| cell.disagrees()).count(),
    }
}

/// Run-length encoding: `aaab` becomes `3a1b`.
fn runs(cells: &[Cell], letter: impl Fn(Cell) -> char) -> String {
    let letters: Vec<char> = cells.iter().map(|cell| letter(*cell)).collect();
    let mut text = String::new();
    for run in letters.chunk_by(|a, b| a == b) {
        text.push_str(&run.len().to_string());
        text.push(run[0]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::state::{Kernel, PageState};
    use super::*;

    #[test]
    fn cells_are_written_in_runs() {
        let cell = |state| Cell::new(state, Kernel::Mapped, false);
        let cells = [PageState::Durable, PageState::Durable, PageState::Recorded, PageState::Locked].map(cell);
        assert_eq!(runs(&cells, |cell| cell.believed().letter()), "2D1R1L");
        assert_eq!(runs(&cells, |cell| cell.kernel().letter()), "4m");
        assert_eq!(runs(&[], |cell| cell.kernel().letter()), "");
    }

    #[test]
    fn no_history_is_an_empty_report() {
        let json = serde_json::to_value(report(&[], &|_| None)).unwrap();
        assert_eq!((&json["kind"], &json["version"]), (&"faultless-residency".into(), &1.into()));
        assert_eq!(json["samples"].as_array().map(Vec::len), Some(0));
    }
}
