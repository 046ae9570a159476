//! `faultless stress`: runs the stress test and prints its table. Thread: main.

use super::args::StressArgs;
use super::live_line::LiveLine;
use super::{Failure, end_on_signals, output, print, print_stderr};
use crate::diagnostics::stress::sheet::Verdict;
use crate::diagnostics::stress::{self, Options, Update};
use serde_json::json;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runs the stress test.
pub fn run(args: &StressArgs) -> Result<(), Failure> {
    let stop_flag = end_on_signals();
    output::start();
    let options = Options {
        scratch: args.scratch.clone(),
        kinds: stress::kinds(&args.stress).map_err(|reason| Failure(format!("--stress {reason}")))?,
        seconds: args.seconds,
        inputs: args.inputs,
        period: args.period,
        buffer: args.buffer,
        may_freeze: args.may_freeze,
        keep: args.keep,
    };
    if args.told {
        stop_at_end_of_input(&stop_flag);
    }
    let line = LiveLine::new(!args.json && !args.told);
    let mut show = |update: Update<'_>| match update {
        Update::Doing { fraction, doing } if args.told => {
            print(&json!({ "part": fraction, "doing": doing }).to_string());
        }
        Update::Row(row) if args.told => print(&json!({ "row": row }).to_string()),
        Update::Doing { fraction, doing } => line.draw(&format!("{:3.0} %  {doing}", 100.0 * fraction)),
        Update::Row(row) => {
            print_stderr(&format!("{}: {} {}", row.stress, row.verdict, row.reason));
        }
    };
    let sheet = stress::run(&options, &mut show, &stop_flag);
    line.clear();
    let sheet = sheet?;
    print(&if args.json || args.told { serde_json::to_string(&sheet)? } else { sheet.to_string() });
    if args.keep {
        print_stderr(&format!("the test recordings are in {}", sheet.folder.display()));
    }
    let failed: Vec<String> =
        sheet.rows.iter().filter(|row| row.verdict == Verdict::Failed).map(|row| row.stress.to_string()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure(format!("stress test: not passed under {}; the table says why", failed.join(", "))))
}

/// Stops the test when standard input closes. The GUI starts the test as a process and closes its input to stop it; the
/// input also closes when the GUI crashes.
fn stop_at_end_of_input(stop_flag: &Arc<AtomicBool>) {
    let stop_flag = Arc::clone(stop_flag);
    let thread = std::thread::Builder::new().name("listener".to_owned()).spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut byte = [0];
        while input.read(&mut byte).is_ok_and(|got| got > 0) {}
        stop_flag.store(true, Relaxed);
    });
    // Without this thread, signals still end the test.
    drop(thread);
}
