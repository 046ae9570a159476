//! `faultless record`: records one pass. Thread: main.

use super::args::RecordArgs;
use super::status::StatusLine;
use super::{
    Failure, SILENT_PER_SECOND, choose, end_on_signals, folder_above_check, is_set, output, print, print_stderr,
    printable,
};
use crate::app::settings::{store_offset, stored_offset};
use crate::app::terminal::TerminalApp;
use crate::butler::capabilities::CapturePath;
use crate::control::companion_place::{Role, place_check};
use crate::control::recording::{PassReport, counted};
use crate::control::setup::Side;
use crate::control::{Closed, Control, ControlError, Notice, Purpose, SaveState, Setup, Severity};
use crate::diagnostics::trace;
use crate::format::TakeFormat;
use crate::limits::FAULTS_LISTED;
use crate::link::place::Place;
use crate::link::server::{Bells, Owner, Server};
use crate::session::Session;
use crate::session::names::AUDIO;
use crate::session::session_file::{SessionError, folder_of, open_read_only};
use crate::time::{Clock, Frames, SampleRate};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Time limit for a disk to make the mirror or overflow folder.
const FOLDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for the read-ahead to supply the first windows with `--play-along`.
const WINDOWS_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a sound server to settle on a latency with `--play-along`.
const LATENCY_TIMEOUT: Duration = Duration::from_secs(4);

/// Time limit for the device to deliver the first frame. `--seconds` count from that frame on, so without this limit a
/// device that died before it would be waited for without an end. It is longer than the time after which a device itself
/// reports that it never began.
const FIRST_FRAME_LIMIT: Duration = Duration::from_secs(7);

/// Time for which a session whose saves fail is tried again at the end.
const SAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Time between two looks while the session is saved and while the first windows are supplied.
const SAVE_PACE: Duration = Duration::from_millis(5);

/// Records until `--seconds` are over or a signal comes.
pub fn run(args: &RecordArgs) -> Result<(), Failure> {
    let stop_flag = end_on_signals();
    output::start();
    if let Some(path) = args.trace.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(Failure(format!("--trace {}: the file is there already; name a new one", path.display())));
    }
    if let Some(path) = &args.trace {
        folder_above_check(path).map_err(|reason| Failure(format!("--trace {reason}")))?;
    }
    let (mut control, length) = open(args)?;
    control.watcher().ok(); // Its figures are for windows and traces. Without its thread there are none.
    let bells = Bells::default();
    let mut app = TerminalApp::start(Box::new(control), bells.wake())?;
    let server = serve_windows(&mut app, bells);
    let mut line = StatusLine::new(!args.json);
    if args.play_along {
        app.control().load_players();
        wait_for_windows(&mut app);
        wait_for_latency(&mut app);
    }
    begin(&mut app, length)?;
    let observed = wait_for_end(&mut app, &mut line, &stop_flag);
    line.clear();
    let control = app.control();
    let running = control.running();
    let head = json!({
        "session": control.folder().to_string_lossy(),
        "device": running.device.name,
        "rate": running.device.rate,
        "period": running.device.period_frames,
        "format": control.format(),
        "capture_path": running.setup.capture_path,
        "locked_bytes_peak": running.budget.peak(),
    });
    let (rate, folder) = (running.device.rate, control.folder().join(AUDIO));
    let device = running.device.name.clone();
    let finished = app.take_report();
    let unsaved = await_saved(&mut app);
    let whole_run = counters_of_run(app.control());
    let trace_problem = args.trace.as_deref().and_then(|path| save_trace(app.control(), path).err());
    let was_stopped = is_set(&stop_flag) || app.is_stopped();
    let Closed { reports, notices, unsaved: left } = app.close();
    if let Some(server) = server {
        server.tell_end();
    }
    notices.iter().for_each(print_notice);
    let Some(report) = finished.or_else(|| reports.into_iter().next()) else {
        let what = if observed.began { "it is not finished" } else { "nothing was recorded" };
        return Err(Failure(format!("{}: {what}{}", args.session.display(), observed.reason())));
    };
    // A take without a frame of sound is no success, whatever the user asked for.
    if observed.is_late {
        let limit = FIRST_FRAME_LIMIT.as_secs();
        return Err(Failure(format!(
            "{device}: it delivered no sound within {limit} s, nothing was recorded; check its cable and its clock, then \
             record again"
        )));
    }
    if report.takes.iter().all(|take| report.frames <= take.frames_lost) {
        return Err(Failure(format!("{}: no sound was recorded{}", args.session.display(), observed.reason())));
    }
    if args.json {
        let seconds = json!({ "seconds": Frames(report.frames).seconds(rate) });
        print(&merged(merged(merged(head, seconds), whole_run), serde_json::to_value(&report)?).to_string());
    } else {
        print(&summary(&report, &folder.display().to_string(), rate));
        report.page_faults.lines().iter().for_each(|line| print(&printable(line)));
    }
    if let Some(problem) = trace_problem {
        return Err(Failure(problem));
    }
    judge_saved(&report, unsaved, left)?;
    judge_sound(args, &report, &device, rate)?;
    if report.frames < length && !was_stopped {
        let at = Clock(Frames(report.frames).duration(rate));
        let (session, reason) = (args.session.display(), observed.reason());
        return Err(Failure(format!("{session}: recording ended by itself at {at}{reason}")));
    }
    Ok(())
}

/// Begins the pass. If it is refused, prints the notices that nobody has seen.
fn begin(app: &mut TerminalApp, length: u64) -> Result<(), Failure> {
    let begun = app.control().record(Frames(length));
    if begun.is_err() {
        show_notices(|| app.take_notice());
        show_notices(|| app.control().take_notice());
    }
    Ok(begun?)
}

/// Fails if a take or the session is not on the disk, or a take is not in the mirror. `unsaved`: why the session is not saved.
/// `left`: why not everything was on the disk at the end.
fn judge_saved(report: &PassReport, unsaved: Option<String>, left: Option<String>) -> Result<(), Failure> {
    let troubled = report.takes.iter().filter(|take| take.trouble.is_some()).count();
    if troubled > 0 {
        return Err(Failure(format!("{} not whole on the disk; see above", takes_are(troubled))));
    }
    if let Some(reason) = unsaved {
        return Err(Failure(format!("the takes are on the disk, but the session is not saved: {reason}")));
    }
    // The takes of this pass are on the disk. Those of an earlier one may be in memory only.
    if let Some(reason) = left {
        return Err(Failure(reason));
    }
    if report.mirror.as_ref().is_some_and(|mirror| !mirror.whole) {
        return Err(Failure("the mirror is not whole; the session's own takes are; see above".to_owned()));
    }
    Ok(())
}

/// Fails if sound is not that of the source, or if nothing was heard for a while.
fn judge_sound(args: &RecordArgs, report: &PassReport, device: &str, rate: SampleRate) -> Result<(), Failure> {
    if let Some(text) = report.source_losses.first() {
        return Err(Failure(format!("{device}: the takes are whole, but not all of their sound is right: {text}")));
    }
    let without_sound = report.frames_without_sound;
    let silent = report.audio_thread.frames_unheard - without_sound;
    if args.play_along && u64::from(rate.0) <= silent.saturating_mul(SILENT_PER_SECOND) {
        let silent = Clock(Frames(silent).duration(rate));
        return Err(Failure(format!("{device}: the takes are complete, but the outputs were silent for {silent}")));
    }
    let late = super::play::late_tracks(report.audio_thread.frames_dropped, rate);
    if let Some(text) = late.filter(|_| args.play_along) {
        return Err(Failure(format!("the takes are complete, but {text}")));
    }
    if args.play_along && 0 < without_sound {
        let silent = Clock(Frames(without_sound).duration(rate));
        return Err(Failure(format!(
            "the takes are complete, but for {silent} of what was played a track had no sound; see above"
        )));
    }
    Ok(())
}

/// Lets windows be attached from now on. Without a socket the recording has no window; that is no reason not to record.
fn serve_windows(app: &mut TerminalApp, bells: Bells) -> Option<Server> {
    let folder = app.control().folder().to_path_buf();
    let served = Place::make()
        .and_then(|place| Server::start(place, app.handle(), bells, Some(&folder), Owner::Terminal, |_: &str| ()));
    served.inspect_err(|error| print_stderr(&format!("caution: no window can show this recording: {error}"))).ok()
}

/// Opens device and session and arms the tracks. Also returns the number of frames to record.
fn open(args: &RecordArgs) -> Result<(Control, u64), Failure> {
    let (name, note) = choose::device_name(&args.device, Side::Inputs)?;
    if let Some(text) = note {
        print_stderr(&text);
    }
    let before = match open_read_only(&args.session) {
        Ok(session) => Some(session),
        Err(SessionError::Missing { .. } | SessionError::NotASession { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let format = args.format.or(before.as_ref().map(|session| session.format)).unwrap_or(TakeFormat::S24);
    let rate = before.as_ref().map(Session::rate);
    if args.inputs == Some(0) {
        return Err(Failure("--inputs 0: it must be at least 1".to_owned()));
    }
    let outputs = if args.play_along { None } else { Some(0) };
    let signal = choose::signal(&args.signal)?;
    let device = choose::device_spec(&args.device, name, rate, (args.inputs, outputs), format, signal)?;
    // Check the arguments before a folder is made.
    if let Some(seconds) = args.seconds {
        choose::frames(seconds, device.rate)?;
    }
    check_extra_folders(args)?;
    let run = choose::threads_setup(&args.device, args.capture_path);
    let setup = Setup { folder: args.session.clone(), purpose: Purpose::Record, device, format, run };
    let mut control = Control::open(setup).map_err(|error| match error {
        ControlError::Recovered { error, notices } => {
            notices.iter().for_each(print_notice);
            *error
        }
        error => error,
    })?;
    let length = prepare(&mut control, args, format);
    if length.is_err() {
        // The next start does not repeat those of a recovery.
        show_notices(|| control.take_notice());
    }
    Ok((control, length?))
}

/// Arms the tracks and sets folders and offset. Returns the number of frames to record.
fn prepare(control: &mut Control, args: &RecordArgs, format: TakeFormat) -> Result<u64, Failure> {
    let facts = &control.running().device;
    let length = args.seconds.map(|seconds| choose::frames(seconds, facts.rate)).transpose()?.unwrap_or(u64::MAX);
    let inputs = args.inputs.unwrap_or(facts.inputs);
    if facts.inputs == 0 {
        return Err(Failure(format!("{}: it has no inputs; name another device with --device", facts.name)));
    }
    if facts.inputs < inputs {
        let (name, most) = (&facts.name, facts.inputs);
        let has = counted(most as u64, "input");
        return Err(Failure(format!("--inputs {inputs}: {name} has {has}; name at most {most}, or another device")));
    }
    if args.play_along && facts.outputs == 0 {
        return Err(Failure(format!(
            "{}: it has no outputs, so --play-along would be silent; name a device for the outputs too \
             (--device alsa:INPUTS,OUTPUTS), or record without --play-along",
            facts.name
        )));
    }
    control.arm_inputs(inputs)?;
    set_extra_folders(control, args)?;
    set_offset(control, args);
    if !args.json {
        print_stderr(&introduction(control, inputs, format));
    }
    Ok(length)
}

/// The beginning of a sentence about some takes.
fn takes_are(number: usize) -> String {
    if number == 1 { "one take is".to_owned() } else { format!("{number} takes are") }
}

/// Refuses a mirror or an overflow folder in a wrong place before the session's folder is made. Disks are asked on a thread
/// of their own; one that does not answer is named when its folder is opened.
fn check_extra_folders(args: &RecordArgs) -> Result<(), Failure> {
    let (mirror, overflow) = (args.mirror.clone(), args.overflow.clone());
    if mirror.is_none() && overflow.is_none() {
        return Ok(());
    }
    let session = folder_of(&args.session).to_owned();
    let (sender, answer) = sync_channel(1);
    std::thread::Builder::new().name("places".to_owned()).spawn(move || {
        let mirrors: Vec<_> = mirror.into_iter().collect();
        let of_mirror = mirrors.iter().map(|dir| ("--mirror", place_check(Role::Mirror, dir, &session, &[])));
        let of_overflow =
            overflow.iter().map(|dir| ("--overflow", place_check(Role::Overflow, dir, &session, &mirrors)));
        let refused = of_mirror.chain(of_overflow).find_map(|(option, found)| Some((option, found.err()?)));
        sender.send(refused).ok();
    })?;
    match answer.recv_timeout(FOLDER_TIMEOUT) {
        Ok(Some((option, reason))) => Err(Failure(format!("{option}: {reason}"))),
        _ => Ok(()),
    }
}

/// Sets the mirror and the overflow folder. If one of them cannot be made, nothing is recorded.
fn set_extra_folders(control: &mut Control, args: &RecordArgs) -> Result<(), Failure> {
    control.set_mirror(args.mirror.as_deref());
    control.set_overflow(args.overflow.as_deref());
    let deadline = Instant::now() + FOLDER_TIMEOUT;
    while !control.companions_are_known() && Instant::now() < deadline {
        control.poll();
        std::thread::sleep(Duration::from_millis(5));
    }
    let wanted = [("--mirror", &args.mirror, control.mirror()), ("--overflow", &args.overflow, control.overflow())];
    for (option, dir, found) in wanted {
        match (dir, found) {
            (Some(dir), None) => return Err(Failure(format!("{option} {}: the disk does not answer", dir.display()))),
            (Some(_), Some(Err(reason))) => return Err(Failure(format!("{option}: {reason}"))),
            _ => {}
        }
    }
    Ok(())
}

/// Sets the offset that the user names, or has named before for this device. A settings file that cannot be read or
/// written is no reason not to record.
fn set_offset(control: &mut Control, args: &RecordArgs) {
    if !args.play_along {
        return;
    }
    let key = control.offset_key();
    let offset = match args.offset {
        None => stored_offset(&key).unwrap_or_else(|reason| {
            print_stderr(&format!("caution: the offset of the device is not known: {reason}"));
            0
        }),
        Some(offset) => {
            if let Err(reason) = store_offset(&key, offset) {
                print_stderr(&format!("caution: the offset counts for this recording only: {reason}"));
            }
            offset
        }
    };
    control.set_latency_offset(offset);
}

/// Observations during a pass, for the error message at its end.
#[derive(Default)]
struct Observed {
    /// Whether the audio thread got the pass.
    began: bool,
    /// Whether the pass was stopped because the device delivered no first frame.
    is_late: bool,
    /// The text of the last notice of a loss.
    loss: Option<String>,
}

impl Observed {
    /// The last loss as the end of a message.
    fn reason(&self) -> String {
        self.loss.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
    }
}

/// Waits for the end of the pass. Stops it when a signal sets `stop_flag`, when a window closes the recorder, and when no
/// first frame comes.
fn wait_for_end(app: &mut TerminalApp, line: &mut StatusLine, stop_flag: &AtomicBool) -> Observed {
    let (mut stopped, mut observed) = (false, Observed::default());
    let mut first_frame_deadline = None;
    let mut drawn_at: Option<Instant> = None;
    while app.control().is_recording() {
        observed.began |= app.control().pass_reading().is_some();
        app.turn(line.pace());
        observed.loss = show_notices(|| app.take_notice()).or(observed.loss);
        if drawn_at.is_none_or(|at| line.pace() <= at.elapsed()) {
            line.draw_recording(app);
            drawn_at = Some(Instant::now());
        }
        if app.control().pass_reading().is_some() && !stopped {
            let deadline = *first_frame_deadline.get_or_insert_with(|| Instant::now() + FIRST_FRAME_LIMIT);
            observed.is_late =
                deadline < Instant::now() && app.control().pass_status().is_some_and(|status| !status.has_begun());
            if is_set(stop_flag) || app.is_stopped() || observed.is_late {
                app.control().stop();
                stopped = true;
            }
        }
    }
    observed
}

/// Waits until the session is saved. If saves keep failing, returns the reason.
fn await_saved(app: &mut TerminalApp) -> Option<String> {
    let mut failing_since = None;
    loop {
        app.turn(SAVE_PACE);
        show_notices(|| app.take_notice());
        match app.control().save_state() {
            SaveState::Saved => return None,
            SaveState::Pending => {}
            SaveState::Failing(reason) => {
                let since: Instant = *failing_since.get_or_insert_with(Instant::now);
                if SAVE_TIMEOUT < since.elapsed() {
                    return Some(reason);
                }
            }
        }
    }
}

/// Writes the last minute as a trace.
fn save_trace(control: &Control, path: &Path) -> Result<(), String> {
    let saved = trace::gather(control).save(path);
    saved.map_err(|error| {
        format!("--trace {}: the trace was not written: {error}; the takes are not affected", path.display())
    })
}

/// The counters since the device was opened, in a member of their own. Those of the report count during the pass only.
fn counters_of_run(control: &Control) -> Value {
    let published = control.published();
    let faults = &control.running().faults;
    let counts = faults.run_counts();
    json!({ "run": {
        "page_faults": {
            "minor": counts.counted.map(|(minor, _)| minor),
            "major": counts.counted.map(|(_, major)| major),
            "attributed": counts.attributed,
            "missed": counts.missed(),
            "not_attributed_because": faults.refusal().map(std::string::ToString::to_string),
            "last": faults.last().iter().rev().take(FAULTS_LISTED).rev().map(|fault| &**fault).collect::<Vec<_>>(),
        },
        "xruns": published.xruns.load(Relaxed),
        "playback_xruns": published.playback_xruns.load(Relaxed),
        "frames_lost": published.frames_lost.load(Relaxed),
        "frames_unheard": published.frames_unheard.load(Relaxed),
        "frames_skipped": published.frames_skipped.load(Relaxed),
        "frames_dropped": published.frames_dropped.load(Relaxed),
    }})
}

/// A JSON object with the members of both.
fn merged(mut head: Value, tail: Value) -> Value {
    if let (Value::Object(head), Value::Object(tail)) = (&mut head, tail) {
        head.extend(tail);
    }
    head
}

/// Waits until the device tells one latency for a while, so that a short take is placed right too. An idle PulseAudio tells
/// too long a latency in its first second and a half.
fn wait_for_latency(app: &mut TerminalApp) {
    let deadline = Instant::now() + LATENCY_TIMEOUT;
    while !app.control().latency_is_settled() && Instant::now() < deadline {
        app.turn(SAVE_PACE);
        show_notices(|| app.take_notice());
    }
}

fn wait_for_windows(app: &mut TerminalApp) {
    let deadline = Instant::now() + WINDOWS_TIMEOUT;
    while !app.control().is_ready_to_roll() && Instant::now() < deadline {
        app.turn(SAVE_PACE);
        show_notices(|| app.take_notice());
    }
}

/// Prints all new notices, which `next` returns one by one. Returns the text of the last loss.
pub fn show_notices(mut next: impl FnMut() -> Option<Notice>) -> Option<String> {
    let mut loss = None;
    while let Some(notice) = next() {
        print_notice(&notice);
        if notice.severity == Severity::Loss {
            loss = Some(notice.text);
        }
    }
    loss
}

/// Prints a notice with its severity in front.
pub fn print_notice(notice: &Notice) {
    let label = match notice.severity {
        Severity::Info => "note",
        Severity::Caution => "caution",
        Severity::Loss => "LOSS",
    };
    print_stderr(&format!("{label}: {}", printable(&notice.text)));
}

/// The lines that are printed before recording: device, format, scheduling, memory.
fn introduction(control: &Control, inputs: usize, format: TakeFormat) -> String {
    let running = control.running();
    let (device, setup) = (&running.device, &running.setup);
    let mut text = format!(
        "{}: {inputs} inputs, {}, {} frames a period, {} ({})\ntakes: {format}\ncapture: {}\nscheduling: {}",
        device.name,
        device.rate,
        device.period_frames,
        device.input_format,
        device.access,
        capture_path_text(setup.capture_path),
        running.scheduling,
    );
    text.push_str(&format!("\nlocked memory: up to {} MiB", setup.lock_bytes_max >> 20));
    text
}

fn capture_path_text(path: CapturePath) -> &'static str {
    match path {
        CapturePath::Spool => "spool: sound goes to locked memory first, and from there to the disk",
        CapturePath::InPlace => "in-place: sound goes straight into locked pages of the files",
    }
}

/// The time for which tracks were silent because the disk was late; `None`: they were not. `dropped`: their frames, summed
/// over the tracks.
fn late_text(dropped: u64, rate: SampleRate) -> Option<String> {
    let seconds = Frames(dropped).seconds(rate);
    (0 < dropped).then(|| format!("tracks were silent for {seconds:.2} s together, because the disk was late"))
}

fn summary(report: &PassReport, folder: &str, rate: SampleRate) -> String {
    let audio = &report.audio_thread;
    let switches =
        audio.voluntary_switches.map_or_else(|| "an unknown number of".to_owned(), |count| count.to_string());
    let line = |text: Option<String>| text.map_or_else(String::new, |text| format!("\n{text}"));
    let (of_library, placed) = (line(audio.library_text()), line(report.latency.text()));
    let late = line(late_text(audio.frames_dropped, rate));
    format!(
        "{} of {} in {folder}\n{} lost, {}, {} page faults, {} voluntary switches; cycle {:.1} µs mean ({} times a plain copy of memory){}, {:.1} µs worst; {}",
        counted(report.takes.len() as u64, "take"),
        Clock(Frames(report.frames).duration(rate)),
        counted(report.frames_lost, "frame"),
        counted(report.xruns, "xrun"),
        audio.faults_text(),
        switches,
        audio.cycle_us_mean,
        report.bare_copy_ratio,
        audio.signal_text(),
        audio.cycle_us_max,
        audio.scheduling,
    ) + &late
        + &of_library
        + &placed
        + &report.source_losses.iter().flat_map(|text| ["\n", text.as_str()]).collect::<String>()
}
