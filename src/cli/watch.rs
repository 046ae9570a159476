//! `faultless watch`: shows the pages of any files, or of the files that a process maps. Thread: main.

use super::args::WatchArgs;
use super::live_line::knows_control_sequences;
use super::watch_table::table;
use super::{Failure, end_on_signals, is_set, note_output, print, printable};
use crate::residency::watch::{Watch, WatchSample, Watched};
use std::io::{IsTerminal, Write};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use terminal_size::terminal_size_of;

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sampling takes at most one part in this many of the time, because the kernel holds the memory map of a process
/// meanwhile.
const SHARE: u32 = 10;

/// Longest sleep between two looks at the flag that signals set.
const NAP: Duration = Duration::from_millis(50);

/// Columns of an output that is no terminal, and of a terminal that does not tell its width.
const COLUMNS_DEFAULT: usize = 80;

/// Cells of a lane in JSON.
const JSON_CELLS: usize = 128;

/// Columns beside the cells of a lane.
const INDENT: usize = 2;

/// Runs `faultless watch`.
pub fn run(args: &WatchArgs) -> Result<(), Failure> {
    let stop_flag = end_on_signals();
    if args.paths.is_empty() && args.pid.is_none() {
        return Err(Failure("nothing to watch: name a file, or a process with --pid".to_owned()));
    }
    let redraws = std::io::stdout().is_terminal() && knows_control_sequences() && !args.json && !args.once;
    let (columns, _) = size();
    let cells = if args.json { JSON_CELLS } else { columns.saturating_sub(INDENT) };
    let mut watch = Watch::new(Watched { paths: args.paths.clone(), pid: args.pid, cells });
    let mut is_first = true;
    while !is_set(&stop_flag) {
        let started = Instant::now();
        let sample = match watch.sample() {
            Ok(sample) => sample,
            // A process that ends while it is watched is the usual end.
            Err(reason) if !is_first => {
                print(&printable(&reason));
                return Ok(());
            }
            Err(reason) => return Err(Failure(reason)),
        };
        if args.once && !args.json {
            of_paths(&sample)?;
        }
        if args.json {
            print(&serde_json::to_string(&sample)?);
        } else {
            show(&sample, redraws, is_first);
        }
        is_first = false;
        if args.once {
            return of_paths(&sample);
        }
        pause(started + INTERVAL.max(started.elapsed() * SHARE), &stop_flag);
    }
    Ok(())
}

/// With `--once`: fails if nothing that was named could be shown.
fn of_paths(sample: &WatchSample) -> Result<(), Failure> {
    match sample.files.iter().find_map(|look| look.problem.as_ref().map(|problem| (look, problem))) {
        Some((look, problem)) if sample.process.is_none() && sample.files.iter().all(|look| look.problem.is_some()) => {
            Err(Failure(format!("{}: {problem}", look.path)))
        }
        _ => Ok(()),
    }
}

fn show(sample: &WatchSample, redraws: bool, is_first: bool) {
    let (columns, rows) = size();
    let lines = table(sample, columns, rows.filter(|_| redraws));
    let mut out = String::new();
    if redraws {
        // To the upper left corner; what is longer than the new text is erased.
        out.push_str(if is_first { "\x1b[2J\x1b[H" } else { "\x1b[H" });
        for line in lines {
            out.push_str(&format!("{line}\x1b[K\n"));
        }
        out.push_str("\x1b[J");
    } else {
        if !is_first {
            out.push('\n');
        }
        for line in lines {
            out.push_str(&format!("{line}\n"));
        }
    }
    let mut terminal = std::io::stdout().lock();
    note_output(terminal.write_all(out.as_bytes()).and_then(|()| terminal.flush()));
}

/// Columns, and rows of a terminal.
fn size() -> (usize, Option<usize>) {
    match terminal_size_of(std::io::stdout()) {
        // Some terminals go to the next line when the last column is written.
        Some((columns, rows)) if columns.0 > 1 => (usize::from(columns.0) - 1, Some(usize::from(rows.0))),
        _ => (COLUMNS_DEFAULT, None),
    }
}

fn pause(until: Instant, stop_flag: &AtomicBool) {
    while Instant::now() < until && !is_set(stop_flag) {
        std::thread::sleep(NAP.min(until.saturating_duration_since(Instant::now())));
    }
}
