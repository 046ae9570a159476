//! `faultless recover`: recovers a recording that was cut off. Thread: control.

use super::args::RecoverArgs;
use super::{Failure, print, print_stderr, printable};
use crate::butler::spool;
use crate::recovery::{Report, leftover, recover};
use crate::session::session_file::OpenSession;
use crate::session::{Session, TakeState};
use serde_json::{Value, json};
use std::path::Path;

/// Recovers a session, or lists what is left in memory.
pub fn run(args: &RecoverArgs) -> Result<(), Failure> {
    match &args.session {
        Some(session) => one(session, args.json),
        None => {
            list(args.json);
            Ok(())
        }
    }
}

fn one(path: &Path, as_json: bool) -> Result<(), Failure> {
    crate::window::page_bytes_check()?;
    let (mut store, mut session) = OpenSession::open(path)?;
    let report = recover(&mut store, &mut session, &spool::folders());
    for trouble in &report.troubles {
        print_stderr(&format!("caution: {}", printable(trouble)));
    }
    let unrecovered = session.takes().iter().filter(|take| take.state == TakeState::Recording).count();
    if as_json {
        print(&json!({ "session": path.to_string_lossy(), "takes": takes(&session, &report) }).to_string());
    } else {
        for pass in &report.passes {
            print(&pass.to_string());
        }
        if report.passes.is_empty() && unrecovered == 0 {
            print(&printable(&format!("{}: nothing was cut off", path.display())));
        }
    }
    match unrecovered {
        0 => Ok(()),
        unrecovered => Err(Failure(format!("{}: {unrecovered} takes are not recovered; see above", path.display()))),
    }
}

/// Every recovered take of the session, now or earlier. `recovered_frames` counts only the frames that this run
/// recovered.
fn takes(session: &Session, report: &Report) -> Vec<Value> {
    let now = |file: &str| report.passes.iter().flat_map(|pass| &pass.takes).find(|take| take.file == file);
    let recovered = session.takes().iter().filter(|take| take.state == TakeState::Recovered);
    let value = recovered.map(|take| {
        json!({
            "track": session.track(take.track).map_or("", |track| track.name()),
            "input": take.inputs.first().copied().unwrap_or(0),
            "file": take.path(),
            "frames": take.frames.0,
            "recovered_frames": now(&take.file).map_or(0, |take| take.recovered_frames),
        })
    });
    value.collect()
}

fn list(as_json: bool) {
    let spools = leftover::list(&spool::folders());
    if as_json {
        print(&json!({ "spools": spools }).to_string());
        return;
    }
    for spool in &spools {
        let wav = spool.wav.as_ref().map_or_else(String::new, |wav| format!(" of {}", wav.display()));
        print(&printable(&format!("{}{wav}: {} KiB; {}", spool.spool.display(), spool.bytes >> 10, spool.state)));
    }
    if spools.is_empty() {
        print("no spool file was left behind");
    }
}
