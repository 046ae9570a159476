//! `faultless trace`: writes the last minute of a recording that runs as a trace for public viewers. Thread: main.

use super::args::TraceArgs;
use super::{Failure, folder_above_check, print};
use crate::diagnostics::trace::{Trace, file_name};
use crate::link::start::engine_of;
use crate::link::visit;
use crate::session::names::REPORTS;
use crate::session::session_file::holder;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;
use std::time::Duration;

/// Time for the engine to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks the engine of a session for its last minute, and writes it.
pub fn run(args: &TraceArgs) -> Result<(), Failure> {
    let folder = &args.session;
    let name = folder.display();
    let found = engine_of(folder).map_err(|error| Failure(format!("{name}: {error}")))?;
    let Some(found) = found else {
        return Err(Failure(match holder(folder) {
            Some(pid) => format!(
                "{name}: process {pid} has the session open and cannot be asked for a trace; if it records on another \
                 computer, run 'faultless trace' there"
            ),
            None => format!("{name}: no recorder has this session open"),
        }));
    };
    let trace = visit::trace(found, LIMIT).map_err(|error| Failure(format!("{name}: there is no trace: {error}")))?;
    let trace = trace.ok_or_else(|| Failure(format!("{name}: the recorder is still opening it; try again")))?;
    match &args.output {
        Some(path) if path.as_os_str() == "-" => to_output(&trace),
        Some(path) => folder_above_check(path).map_err(Failure).and_then(|()| save(&trace, path)),
        None => save(&trace, &folder.join(REPORTS).join(file_name())),
    }
}

fn to_output(trace: &Trace) -> Result<(), Failure> {
    let mut out = BufWriter::new(stdout().lock());
    let written = trace.write(&mut out).and_then(|()| out.flush());
    written.map_err(|error| Failure(format!("the trace was not written: {error}")))
}

fn save(trace: &Trace, path: &Path) -> Result<(), Failure> {
    trace.save(path).map_err(|error| Failure(format!("{}: the trace was not written: {error}", path.display())))?;
    print(&format!("{}: {}; open it with ui.perfetto.dev", path.display(), trace.summary()));
    Ok(())
}
