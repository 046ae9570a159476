//! `faultless recover`: recovers a recording that was cut off. Thread: main.

use super::args::RecoverArgs;
use super::{Failure, print, print_stderr, printable};
use crate::butler::spool;
use crate::recovery::extract::{Extracted, extract};
use crate::recovery::viewpoint::Viewpoint;
use crate::recovery::{RecoveredPass, Report, leftover, recover_from};
use crate::session::session_file::{self, OpenSession, unlisted_files};
use crate::session::{Session, TakeState};
use crate::time::{Frames, SampleRate};
use serde_json::{Value, json};
use std::path::Path;

/// Recovers a session, or lists what is left in memory.
pub fn run(args: &RecoverArgs) -> Result<(), Failure> {
    match (&args.session, &args.extract) {
        (Some(session), _) => one(session, args),
        (None, Some(folder)) => extract_to(folder, args),
        (None, None) => {
            list(args.json);
            Ok(())
        }
    }
}

fn one(path: &Path, args: &RecoverArgs) -> Result<(), Failure> {
    crate::window::page_bytes_check()?;
    if let Some(number) = args.restore {
        session_file::restore(path, number)?;
        print_stderr(&printable(&format!("{}: version {number} is the session again", path.display())));
    }
    let (mut store, mut session) = OpenSession::open(path)?;
    let view = Viewpoint { without_memory: args.without_memory, ..Viewpoint::here(&spool::folders()) };
    let report = recover_from(&mut store, &mut session, &view, &mut |_| Ok(()));
    for found in &report.found {
        print_stderr(&printable(found));
    }
    for trouble in &report.troubles {
        print_stderr(&format!("caution: {}", printable(trouble)));
    }
    if let Some(text) = args.restore.and_then(|_| unlisted_files(path, &session)) {
        print_stderr(&format!("caution: {}", printable(&text)));
    }
    let unrecovered = session.takes().iter().filter(|take| take.state == TakeState::Recording).count();
    if args.json {
        let passes: Vec<Value> = report.passes.iter().map(pass_json).collect();
        let session_path = path.to_string_lossy();
        print(&json!({ "session": session_path, "passes": passes, "takes": takes(&session, &report) }).to_string());
    } else {
        for pass in &report.passes {
            print(&pass.to_string());
        }
        if report.passes.is_empty() && report.found.is_empty() && unrecovered == 0 {
            print(&printable(&format!("{}: nothing was cut off", path.display())));
        }
    }
    match unrecovered {
        0 => Ok(()),
        1 => Err(Failure(format!("{}: one take is not recovered; see above", path.display()))),
        unrecovered => Err(Failure(format!("{}: {unrecovered} takes are not recovered; see above", path.display()))),
    }
}

/// A pass that this run recovered.
fn pass_json(pass: &RecoveredPass) -> Value {
    let mirrors: Vec<_> = pass.from_mirrors.iter().map(|folder| folder.to_string_lossy()).collect();
    json!({
        "frames": pass.frames.0,
        "basis": pass.basis,
        "lost": pass.lost.0,
        "overrun": pass.overrun.0,
        "missing": pass.missing.0,
        "absent": pass.absent.0,
        "memory_gone": pass.memory_gone,
        "from_mirrors": mirrors,
        "takes": pass.takes.iter().map(|take| take.file.as_str()).collect::<Vec<_>>(),
    })
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
            "frames_lost": session.frames_lost_of(take.id).0,
            "recovered_frames": now(&take.file).map_or(0, |take| take.recovered_frames),
        })
    });
    value.collect()
}

/// Takes the sound of leftover spool files out of memory.
fn extract_to(folder: &Path, args: &RecoverArgs) -> Result<(), Failure> {
    let (extracted, troubles) = extract(&spool::folders(), folder, args.discard);
    for trouble in &troubles {
        print_stderr(&format!("caution: {}", printable(trouble)));
    }
    if args.json {
        print(&json!({ "extracted": extracted }).to_string());
    } else {
        for one in &extracted {
            print(&printable(&extracted_line(one)));
        }
        if extracted.is_empty() && troubles.is_empty() {
            print("no spool file was left behind that needs this");
        }
    }
    match troubles.len() {
        0 => Ok(()),
        count => Err(Failure(format!("{}: {count} spool files are kept; see above", folder.display()))),
    }
}

fn extracted_line(one: &Extracted) -> String {
    let spool = one.spool.display();
    let removed = if one.removed { "; removed from memory" } else { "" };
    let Some(wav) = &one.wav else { return format!("{spool}: has no sound{removed}") };
    let seconds = Frames(one.frames).seconds(SampleRate(one.rate));
    let guess = if one.format_guessed { "; its format is a guess" } else { "" };
    format!(
        "{}: {seconds:.2} s from frame {} of its take on, from {spool}{guess}{removed}",
        wav.display(),
        one.first_frame
    )
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
