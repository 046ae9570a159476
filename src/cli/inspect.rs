//! `faultless export`, `devices`, `doctor` and `bench`: the modes that need no session in control. Thread: main.

use super::args::{BenchArgs, BenchMode, DevicesArgs, DoctorArgs, ExportArgs, ResidencyArgs, SamplesArgs};
use super::live_line::LiveLine;
use super::{Failure, end_on_signals, output, print, print_stderr, printable, unfinished_pass};
use crate::butler::spool;
use crate::device::{Listed, Listing, cards, configuration_fault, list};
use crate::diagnostics::bench;
use crate::diagnostics::bench::samples::SampleOptions;
use crate::diagnostics::doctor;
use crate::export::error::ExportError;
use crate::export::plan::plan;
use crate::export::position_text::parse_position;
use crate::export::run::run as write_files;
use crate::export::{ExportOptions, Exported, Progress};
use crate::recovery::found_files::find_files;
use crate::session::session_file::open_read_only;
use serde_json::{Value, json};

/// Runs `faultless export`.
pub fn export(args: &ExportArgs) -> Result<(), Failure> {
    let stop_flag = end_on_signals();
    output::start();
    let mut session = open_read_only(&args.session)?;
    let searched = find_files(&args.session, &mut session);
    for note in searched.found.iter().chain(&searched.troubles) {
        print_stderr(&format!("note: {}", printable(note)));
    }
    let time = |text: &Option<String>| text.as_ref().map(|text| parse_position(text, session.rate())).transpose();
    let options = ExportOptions {
        folder: args.session.clone(),
        to: args.to.clone(),
        tracks: args.tracks.clone(),
        from: time(&args.from)?,
        until: time(&args.until)?,
        format: args.format,
        mix: args.mix,
        force: args.force,
    };
    let unfinished = unfinished_pass(&args.session, &session);
    let plan = match (plan(&session, &options), &unfinished) {
        (Ok(plan), _) => plan,
        // The sound that the user looks for is most likely in the pass that is not finished.
        (Err(ExportError::NoSound { .. }), Some(advice)) => {
            return Err(Failure(format!("{}: no track has finished sound there; {advice}", args.session.display())));
        }
        (Err(error), _) => return Err(error.into()),
    };
    for note in plan.notes.iter().chain(&unfinished) {
        print_stderr(&format!("note: {}", printable(note)));
    }
    let live = LiveLine::new(!args.json);
    let outcome = write_files(&plan.files, &mut |progress| show(&live, &progress), &stop_flag);
    live.clear();
    let outcome = outcome?;
    for problem in &outcome.problems {
        print_stderr(&format!("caution: {}", printable(problem)));
    }
    if args.json {
        let session = args.session.to_string_lossy();
        print(&json!({ "session": session, "files": outcome.files, "problems": outcome.problems }).to_string());
    } else {
        for file in &outcome.files {
            print(&line(file));
        }
    }
    match outcome.problems.len() {
        0 => Ok(()),
        1 => Err(Failure("one take is not whole in the export; see above".to_owned())),
        takes => Err(Failure(format!("{takes} takes are not whole in the export; see above"))),
    }
}

fn show(live: &LiveLine, progress: &Progress<'_>) {
    let percent = progress.frames.0 * 100 / progress.frames_total.0.max(1);
    let name = progress.file.file_name().unwrap_or_default().to_string_lossy();
    let (at, of) = (progress.file_index + 1, progress.file_count);
    live.draw(&format!("{percent:3} %  {at} of {of}: {name}"));
}

fn line(file: &Exported) -> String {
    let mut line = format!("{} ({} frames, {}", file.file.display(), file.frames, file.format);
    if file.dithered {
        line.push_str(", dithered");
    }
    if let Some(clipped) = file.clipped() {
        line.push_str(&format!(", {clipped}"));
    }
    line.push(')');
    for note in &file.notes {
        line.push_str(&format!("\n  {note}"));
    }
    line
}

/// Runs `faultless devices`.
pub fn devices(args: &DevicesArgs) -> Result<(), Failure> {
    let (cards, fault, devices) = (cards(), configuration_fault(), list());
    if args.json {
        let alsa: Vec<Value> = devices.iter().map(as_json).collect();
        print(
            &json!({
                "cards": cards.to_string(),
                "configuration_fault": fault,
                "devices": alsa,
                "virtual": "any number of inputs and outputs",
            })
            .to_string(),
        );
        return Ok(());
    }
    print(&cards.to_string());
    if let Some(fault) = fault {
        print(&printable(&fault));
    }
    for device in &devices {
        print(&format!("\n{}  {}", device.name, device.title.replace('\n', ", ")));
        for (direction, listing) in [("inputs ", &device.capture), ("outputs", &device.playback)] {
            if let Some(listing) = listing {
                print(&format!("  {direction}  {listing}"));
            }
        }
    }
    print("\nvirtual  built in: any number of inputs and outputs, keeps time without a card");
    Ok(())
}

fn as_json(device: &Listed) -> Value {
    let direction = |listing: &Option<Listing>| match listing {
        None => Value::Null,
        Some(Listing::Free(able)) => json!({
            "channels_min": able.channels_min,
            "channels_max": able.channels_max,
            "rates": able.rates,
            "formats": able.formats.iter().map(|format| format.name()).collect::<Vec<_>>(),
            "mapped": able.mapped,
        }),
        Some(other) => json!({ "problem": other.to_string() }),
    };
    json!({
        "name": device.name,
        "title": device.title,
        "hardware": device.hardware,
        "capture": direction(&device.capture),
        "playback": direction(&device.playback),
    })
}

/// Runs `faultless doctor`.
pub fn doctor(args: &DoctorArgs) -> Result<(), Failure> {
    if !args.folder.is_dir() {
        return Err(Failure(format!(
            "{}: there is no such folder; make it, or name the one that sessions go to",
            args.folder.display()
        )));
    }
    let findings = doctor::examine(&args.folder, args.tracks, args.rate, args.format);
    if args.json {
        print(
            &json!({ "folder": args.folder.to_string_lossy(), "tracks": args.tracks, "findings": findings })
                .to_string(),
        );
    } else {
        print(&doctor::render(&findings));
    }
    Ok(())
}

/// Runs `faultless bench`.
pub fn bench(args: &BenchArgs) -> Result<(), Failure> {
    match &args.what {
        BenchMode::Residency(args) => residency(args),
        BenchMode::Samples(args) => samples(args),
    }
}

fn samples(args: &SamplesArgs) -> Result<(), Failure> {
    let stop_flag = end_on_signals();
    output::start();
    let options = SampleOptions { period: args.period, seconds: args.seconds };
    let live = LiveLine::new(!args.json);
    let report = bench::samples::run(options, &mut |step| live.draw(step), &stop_flag);
    live.clear();
    let report = report?;
    print(&if args.json { serde_json::to_string(&report)? } else { report.to_string() });
    Ok(())
}

fn residency(args: &ResidencyArgs) -> Result<(), Failure> {
    let stop_flag = end_on_signals();
    output::start();
    let mut options = bench::Options::new(args.dir.clone());
    if let Some((folder, _)) = spool::folder() {
        options.spool_dir = folder;
    }
    options.tracks = args.tracks;
    options.period = args.period;
    options.seconds = args.seconds;
    options.load = args.load.parse()?;
    let live = LiveLine::new(!args.json);
    let report = bench::run(&options, &mut |step| live.draw(step), &stop_flag);
    live.clear();
    let report = report?;
    print(&if args.json { serde_json::to_string(&report)? } else { report.to_string() });
    Ok(())
}
