//! `faultless stress`: the stress test and its sheet. Thread: control.

use super::args::StressArgs;
use super::{Failure, end_flag, print, say};
use crate::diagnostics::stress::sheet::Verdict;
use crate::diagnostics::stress::{self, News, Options};
use serde_json::json;
use std::io::{IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runs the stress test.
pub fn run(args: &StressArgs) -> Result<(), Failure> {
    let ended = end_flag();
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
        end_with_input(&ended);
    }
    let live = !args.json && !args.told && std::io::stderr().is_terminal();
    let mut tell = |news: News<'_>| match news {
        News::Doing { part, doing } if args.told => print(&json!({ "part": part, "doing": doing }).to_string()),
        News::Row(row) if args.told => print(&json!({ "row": row }).to_string()),
        News::Doing { part, doing } if live => {
            write!(std::io::stderr().lock(), "\r{:3.0} %  {doing}\x1b[K", 100.0 * part).ok();
        }
        News::Row(row) if live => {
            write!(std::io::stderr().lock(), "\r{}: {} {}\x1b[K\n", row.stress, row.verdict, row.reason).ok();
        }
        News::Doing { .. } => {}
        News::Row(row) => say(&format!("{}: {} {}", row.stress, row.verdict, row.reason)),
    };
    let sheet = stress::run(&options, &mut tell, &ended)?;
    print(&if args.json || args.told { serde_json::to_string(&sheet)? } else { sheet.to_string() });
    if args.keep {
        say(&format!("the rehearsals are in {}", sheet.folder.display()));
    }
    let failed: Vec<String> =
        sheet.rows.iter().filter(|row| row.verdict == Verdict::Failed).map(|row| row.stress.to_string()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure(format!("stress test: not passed under {}; the sheet says why", failed.join(", "))))
}

/// Ends what is on when whoever started this program is gone, or has had enough.
fn end_with_input(ended: &Arc<AtomicBool>) {
    let ended = Arc::clone(ended);
    let listening = std::thread::Builder::new().name("listener".to_owned()).spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut byte = [0];
        while input.read(&mut byte).is_ok_and(|got| got > 0) {}
        ended.store(true, Relaxed);
    });
    // Without it the signals still end it.
    drop(listening);
}
