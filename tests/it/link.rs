//! The engine's process and its windows: each is killed, stopped or goes mad while tracks record, and every sample is in the
//! takes. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::disks::fill;
use crate::util::{Checked, Image, PATIENCE, Run, Started, check, place, run, skip_part, start};
use crate::viewers::refused;
use faultless::app::command::Command as Request;
use faultless::app::handle::Phase;
use faultless::app::live::LiveReader;
use faultless::app::snapshot::{PassPhase, Snapshot, Stage};
use faultless::control::Severity;
use faultless::control::edit::Edit;
use faultless::limits::FAULTS_KEPT;
use faultless::link::client::Client;
use faultless::link::place::{Place, connect, engines};
use faultless::link::protocol;
use faultless::link::server::WINDOWS_MAX;
use faultless::link::start::EngineStart;
use faultless::residency::rates::{POINTS_MAX, RatePoint};
use faultless::residency::sample::{Pages, View};
use faultless::residency::watcher::ResidencySamples;
use faultless::session::TakeState;
use faultless::session::session_file::{holder, open_read_only};
use faultless::window::shared_words::receive_file;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Inputs that are recorded.
const INPUTS: usize = 8;

/// The variable that makes this program a window, and names its session.
const WINDOW: &str = "FAULTLESS_TEST_WINDOW";

/// A home of its own, with a program that uses it.
struct World {
    place: TempDir,
    session: PathBuf,
}

impl World {
    fn new() -> World {
        let place = place();
        let session = place.path().join("gig");
        World::with(place, session)
    }

    /// A home whose session is somewhere else.
    fn with(place: TempDir, session: PathBuf) -> World {
        let world = World { place, session };
        let home = world.place.path().join("home");
        fs::create_dir(&home).unwrap();
        let text = format!(
            "#!/bin/sh\nexport HOME='{0}' XDG_CONFIG_HOME='{0}/config'\nexec '{1}' \"$@\"\n",
            home.display(),
            env!("CARGO_BIN_EXE_faultless")
        );
        fs::write(world.program(), text).unwrap();
        fs::set_permissions(world.program(), fs::Permissions::from_mode(0o755)).unwrap();
        world
    }

    fn program(&self) -> PathBuf {
        self.place.path().join("faultless")
    }

    fn session(&self) -> PathBuf {
        self.session.clone()
    }

    fn command(&self, mode: &str) -> Command {
        let mut command = Command::new(self.program());
        command.arg(mode).arg(self.session());
        command
    }

    fn options() -> Vec<String> {
        ["--device=virtual", "--signal=ramp", "--period=1024"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("--inputs={INPUTS}")])
            .collect()
    }

    /// An engine without a window.
    fn engine(&self) -> Started {
        let mut command = self.command("engine");
        command.args(World::options());
        let engine = start(command);
        until("the engine has the session", || {
            holder(&self.session()) == Some(engine.pid()) && connect(engine.pid()).is_some_and(|found| found.is_ok())
        });
        engine
    }

    /// A recording that a terminal owns.
    fn terminal(&self) -> Started {
        let mut command = self.command("record");
        command.args(World::options());
        let terminal = start(command);
        until("the terminal records", || records(&terminal));
        terminal
    }

    /// A window of this session in this process. Starts an engine if none runs.
    fn window(&self) -> Client {
        let options = World::options().into_iter().map(Into::into).collect();
        Client::start(EngineStart { program: self.program(), options, session: Some(self.session()) }).unwrap()
    }

    /// A window in a process of its own, which records and then shows the recording.
    fn window_process(&self) -> Started {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "link::a_window_in_a_process_of_its_own", "--nocapture"]);
        command.env(WINDOW, self.session());
        start(command)
    }

    fn stop(&self) -> Run {
        run(self.command("stop"))
    }

    /// Checks that all takes of one pass are whole and longer than `frames`.
    #[track_caller]
    fn whole(&self, frames: u64) {
        let found = check(&self.session());
        assert!(
            matches!(found[..], [Checked { takes: INPUTS, lost: 0, frames: long, .. }] if frames < long),
            "{found:?}"
        );
    }
}

/// Waits until `so` is true.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for a snapshot of which `so` is true, as a window that draws all the time.
#[track_caller]
fn shown(window: &Client, what: &str, so: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let snapshot = window.snapshot();
        if so(&snapshot) {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "{what}: {:?} {:#?}", snapshot.stage, snapshot.notices);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn recorded(snapshot: &Snapshot) -> u64 {
    let pass = snapshot.transport.pass.as_ref().filter(|pass| pass.phase == PassPhase::Recording);
    pass.map_or(0, |pass| pass.frames.0)
}

/// Lets the window record, and returns when it has half a second.
#[track_caller]
fn record(window: &Client) {
    shown(window, "it is open", |snapshot| snapshot.stage == Stage::Open);
    assert!(window.apply(Request::Record));
    shown(window, "it records", |snapshot| 24_000 < recorded(snapshot));
}

fn records(engine: &Started) -> bool {
    connect(engine.pid()).is_some_and(|found| found.unwrap().facts.records)
}

fn windows(engine: &Started) -> usize {
    connect(engine.pid()).map_or(0, |found| found.unwrap().facts.windows)
}

#[test]
fn a_window_in_a_process_of_its_own() {
    let Some(session) = std::env::var_os(WINDOW) else { return };
    let start =
        EngineStart { program: PathBuf::from("/bin/false"), options: Vec::new(), session: Some(session.into()) };
    let window = Client::start(start).unwrap();
    record(&window);
    loop {
        std::thread::sleep(Duration::from_millis(30));
        window.snapshot();
    }
}

#[test]
fn a_window_that_is_killed_while_it_records_costs_nothing_and_the_next_one_shows_the_recording() {
    let world = World::new();
    let mut engine = world.engine();
    let window = world.window_process();
    until("it records", || records(&engine));
    std::thread::sleep(Duration::from_millis(700));
    window.signal("KILL");
    until("the engine says so", || engine.said().contains("the recording continues in process"));
    assert!(engine.said().contains("faultless stop"), "{}", engine.said());
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let window = world.window();
    let first = shown(&window, "it is shown", |snapshot| 0 < recorded(snapshot));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((first.session.tracks().len(), first.session.takes().len()), (INPUTS, INPUTS));
    let notice = first.notices.iter().find(|notice| notice.text.contains("the window is gone"));
    assert_eq!(notice.map(|notice| notice.severity), Some(Severity::Caution), "{:#?}", first.notices);
    shown(&window, "it records on", |snapshot| recorded(&first) + 24_000 < recorded(snapshot));
    assert_eq!(world.stop().done().out, format!("{}: stopped and saved\n", world.session().display()));
    until("the engine has ended", || !engine.is_running());
    assert_eq!(window.phase(), Phase::Closed);
    world.whole(60_000);
}

#[test]
fn a_window_that_is_stopped_costs_nothing_and_another_one_works_beside_it() {
    let world = World::new();
    let engine = world.engine();
    let stopped = world.window_process();
    until("it records", || records(&engine));
    stopped.signal("STOP");
    let before = resident_kib(&engine);
    let window = world.window();
    let first = shown(&window, "it is shown", |snapshot| 0 < recorded(snapshot));
    shown(&window, "it records on", |snapshot| recorded(&first) + 3 * 48_000 < recorded(snapshot));
    let grown = resident_kib(&engine).saturating_sub(before);
    assert!(grown < 8 * 1024, "the engine has grown by {grown} KiB");
    stopped.signal("CONT");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(windows(&engine), 2);
    assert!(window.apply(Request::Stop));
    shown(&window, "it has stopped", |snapshot| snapshot.transport.pass.is_none());
    world.stop().done();
    world.whole(3 * 48_000);
}

#[test]
fn the_process_of_an_engine_that_records_has_nothing_of_a_desktop_in_its_memory() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    let maps = fs::read_to_string(format!("/proc/{}/maps", engine.pid())).unwrap();
    let files: Vec<&str> = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5)).collect();
    assert!(files.iter().any(|file| file.ends_with("/faultless")), "{files:#?}");
    for word in ["faultless-window", "libGL", "libEGL", "libX", "libxcb", "libxkb", "libwayland", "/dri/", "libvulkan"]
    {
        assert!(!files.iter().any(|file| file.contains(word)), "{word}: {files:#?}");
    }
    // It was 60 MiB with the toolkit.
    let resident = resident_kib(&engine) / 1024;
    assert!(resident < 40, "{resident} MiB are resident");
    world.stop().done();
    world.whole(24_000);
}

fn resident_kib(engine: &Started) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_mad_client_is_sent_away_and_the_recording_does_not_notice() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    let raw = || {
        let mut stream = connect(engine.pid()).unwrap().unwrap().stream;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.flush().unwrap();
        stream
    };
    // Each of these clients is closed: what is read ends.
    let closed = |mut stream: UnixStream| {
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest).map(|_| ());
        let waits = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
        assert!(ended.as_ref().is_ok() || ended.is_err_and(|error| !waits.contains(&error.kind())), "it is closed");
    };
    let attach = protocol::message(&protocol::Request::Attach).unwrap();
    for bytes in [
        // Garbage, an unknown message, a length without end, a session from a window, two messages in one frame.
        vec![0xff; 64],
        protocol::frame(protocol::Kind::Message, &[200, 1, 2, 3]),
        [&u32::MAX.to_le_bytes()[..], &[0]].concat(),
        [&(protocol::REQUEST_BYTES_MAX as u32 + 1).to_le_bytes()[..], &[0]].concat(),
        protocol::frame(protocol::Kind::Message, &[&attach[5..], &attach[5..]].concat()),
        // A window attaches twice.
        [&attach[..], &attach[..]].concat(),
    ] {
        let mut stream = raw();
        stream.write_all(&bytes).unwrap();
        closed(stream);
    }
    // Half a message, and the end.
    let mut stream = raw();
    stream.write_all(&attach[..attach.len() - 1]).unwrap();
    drop(stream);
    // A window that asks all the time and never reads.
    let mut deaf = raw();
    deaf.write_all(&attach).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let next = protocol::message(&protocol::Request::Next).unwrap();
    let history = protocol::message(&protocol::Request::History).unwrap();
    let asks = [&next[..], &history[..]].concat();
    let before = resident_kib(&engine);
    for _ in 0..20_000 {
        if deaf.write_all(&asks).is_err() {
            break;
        }
    }
    // Connections that say nothing fill the places; the window that is attached keeps its own.
    let silent: Vec<_> = (0..20).filter_map(|_| connect(engine.pid())?.ok()).collect();
    assert!(silent.len() < protocol_places(), "{}", silent.len());
    let first = shown(&window, "it is shown", |snapshot| 0 < recorded(snapshot));
    shown(&window, "it records on", |snapshot| recorded(&first) + 48_000 < recorded(snapshot));
    let grown = resident_kib(&engine).saturating_sub(before);
    assert!(grown < 8 * 1024, "the engine has grown by {grown} KiB");
    drop((silent, deaf));
    assert!(window.apply(Request::Stop));
    shown(&window, "it has stopped", |snapshot| snapshot.transport.pass.is_none());
    assert!(window.close_within(PATIENCE));
    world.whole(60_000);
}

/// How often the threads of an engine with this name have slept and woken.
fn sleeps(engine: &Started, name: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", engine.pid())).unwrap().flatten().map(|task| task.path());
    let named = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    let of = |task: PathBuf| {
        let status = fs::read_to_string(task.join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
    };
    named.filter_map(of).sum()
}

#[test]
fn pictures_of_a_recording_that_runs_make_the_engine_answer_nothing() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    // The samples that a window takes while the residency panel is not open.
    let pages = Pages::AroundHead { back_ms: 2400, ahead_ms: 1300 };
    window.samples().set_view(Some(View { cells: 96, pages, hz: 2 }));
    std::thread::sleep(Duration::from_millis(500));
    let count = || sleeps(&engine, "link-read") + sleeps(&engine, "link-write");
    let (before, began, mut seen) = (count(), Instant::now(), std::collections::BTreeSet::new());
    let mut pictures = 0;
    while began.elapsed() < Duration::from_secs(3) {
        let snapshot = window.snapshot();
        assert!(snapshot.inputs.len() == INPUTS && snapshot.tracks.len() == INPUTS);
        seen.insert((snapshot.transport.position, recorded(&snapshot)));
        pictures += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    let woken = count() - before;
    // Texts of the health line change up to five times a second, and each is asked for, as is each sample.
    assert!(woken < 100, "its link was woken {woken} times in 3 s");
    // The engine writes a state in 33 ms. On a busy machine it comes later, and so do the pictures.
    assert!(pictures < 6 * seen.len(), "{} states in {pictures} pictures", seen.len());
    let states: Vec<_> = seen.into_iter().collect();
    assert!(states.is_sorted_by_key(|(_, frames)| *frames), "{states:?}");
    assert!(window.apply(Request::Stop));
    shown(&window, "it has stopped", |snapshot| snapshot.transport.pass.is_none());
    world.stop().done();
    world.whole(3 * 48_000);
}

#[test]
fn a_client_that_has_the_live_page_cannot_change_what_other_windows_see() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    let mut stream = connect(engine.pid()).unwrap().unwrap().stream;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&protocol::message(&protocol::Request::Attach).unwrap()).unwrap();
    let mut bytes = Vec::new();
    loop {
        protocol::receive(&mut stream, protocol::ANSWER_BYTES_MAX, &mut bytes).unwrap();
        if matches!(protocol::parse(&bytes).unwrap(), protocol::Answer::Page) {
            break;
        }
    }
    let page = receive_file(&stream).unwrap();
    assert!(page.set_len(0).is_err(), "it can be cut short");
    assert!(page.write_all_at(&[0xff; 4096], 0).is_err(), "it can be written");
    let again = fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", page.as_raw_fd()));
    assert!(again.is_err() || again.is_ok_and(|page| page.write_all_at(&[0xff; 4096], 0).is_err()));
    assert!(LiveReader::new(&page).is_ok());
    drop(stream);
    // Its memory is there for as long as the client has the file, and the engine does not wait for it.
    let first = recorded(&window.snapshot());
    shown(&window, "it records on", |snapshot| first + 24_000 < recorded(snapshot));
    assert!(window.close_within(PATIENCE));
    assert!(LiveReader::new(&page).is_ok());
    world.whole(48_000);
}

#[test]
fn a_window_that_gets_the_changes_of_a_session_has_the_same_one_as_a_window_that_gets_it_whole() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    assert!(window.apply(Request::Stop));
    let open = shown(&window, "it has stopped", |snapshot| snapshot.transport.pass.is_none());
    let mut raw = connect(engine.pid()).unwrap().unwrap().stream;
    raw.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = |request| protocol::message(&request).unwrap();
    raw.write_all(&[message(protocol::Request::Attach), message(protocol::Request::Next)].concat()).unwrap();
    let mut bytes = Vec::new();
    // The kind of the next session, and its bytes.
    let mut next_session = || {
        loop {
            let kind = protocol::receive(&mut raw, protocol::ANSWER_BYTES_MAX, &mut bytes).unwrap();
            if kind != protocol::Kind::Message {
                raw.write_all(&message(protocol::Request::Next)).unwrap();
                return (kind, bytes.len());
            }
            match protocol::parse(&bytes).unwrap() {
                protocol::Answer::Page => drop(receive_file(&raw).unwrap()),
                protocol::Answer::Update(_) => raw.write_all(&message(protocol::Request::Next)).unwrap(),
                _ => {}
            }
        }
    };
    let (kind, whole) = next_session();
    assert_eq!(kind, protocol::Kind::Session);
    let tracks: Vec<_> = open.session.tracks().iter().map(|track| (track.id(), track.regions()[0].clone())).collect();
    let at = faultless::time::FramePos(tracks[2].1.start.0 + 10_000);
    let edits = [
        Edit::Gain(vec![(tracks[0].0, -6.0), (tracks[3].0, -3.0)]),
        Edit::Name(tracks[1].0, "Kick".to_owned()),
        Edit::SplitRegions(vec![tracks[2].1.id], at),
        Edit::AddMarker(at, "Verse".to_owned()),
        Edit::AddTrack(None),
        Edit::MoveTrack(tracks[0].0, 5),
        Edit::RemoveRegions(vec![tracks[4].1.id, tracks[5].1.id]),
        Edit::RemoveTracks(vec![tracks[6].0]),
    ];
    let commands = edits.into_iter().map(Request::Edit).chain([Request::Undo, Request::Undo, Request::Redo]);
    for command in commands {
        let said = format!("{command:?}");
        let before = window.snapshot().revision;
        assert!(window.apply(command));
        let changed = shown(&window, &said, |snapshot| window.is_up_to_date(snapshot));
        assert!(before < changed.revision && changed.refusal.is_none(), "{said}: {:?}", changed.refusal);
        let other = world.window();
        let whole = shown(&other, &said, |snapshot| snapshot.revision == changed.revision);
        assert_eq!(*changed.session, *whole.session, "{said}");
        other.leave();
    }
    let (kind, changed) = next_session();
    assert!(kind == protocol::Kind::Difference && changed < whole, "{kind:?} {changed} {whole}");
    // The engine counts this window until it hears that it is gone, and a window that closes beside another one only leaves.
    raw.write_all(&message(protocol::Request::Leave)).unwrap();
    while protocol::receive(&mut raw, protocol::ANSWER_BYTES_MAX, &mut bytes).is_ok() {}
    let last = window.snapshot();
    assert!(window.close_within(PATIENCE));
    assert_eq!(*last.session, open_read_only(&world.session()).unwrap());
}

#[test]
fn a_window_says_so_while_the_engine_stands_still_and_keeps_what_it_shows() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    let idle = Instant::now();
    while idle.elapsed() < Duration::from_millis(2500) {
        window.snapshot();
        assert!(window.answers(), "it works");
        std::thread::sleep(Duration::from_millis(30));
    }
    engine.signal("STOP");
    let before = recorded(&window.snapshot());
    until("the window notices", || {
        let frames = recorded(&window.snapshot());
        assert!(before <= frames && frames < before + 48_000, "{before} {frames}");
        !window.answers()
    });
    engine.signal("CONT");
    until("it works again", || {
        window.snapshot();
        window.answers()
    });
    assert!(window.close_within(PATIENCE));
}

fn protocol_places() -> usize {
    faultless::link::server::CLIENTS_MAX
}

#[test]
fn a_program_of_another_version_is_told_so_in_one_sentence() {
    let mut greeting = protocol::greeting();
    assert!(protocol::read_greeting(&mut &greeting[..]).is_ok());
    greeting[8] += 1;
    let error = protocol::read_greeting(&mut &greeting[..]).unwrap_err().to_string();
    let other = format!("protocol {}", protocol::VERSION + 1);
    assert!(error.contains(&other) && error.contains("end that recording"), "{error}");
    greeting[0] = 0;
    let error = protocol::read_greeting(&mut &greeting[..]).unwrap_err().to_string();
    assert!(error.contains("not Faultless"), "{error}");
}

#[test]
fn an_engine_that_is_killed_is_started_again_and_its_recording_is_recovered() {
    let world = World::new();
    let window = world.window();
    record(&window);
    let pid = engines().into_iter().find(|found| found.facts.folder == world.session()).unwrap().facts.pid;
    let before = recorded(&shown(&window, "it has a second", |snapshot| 48_000 < recorded(snapshot)));
    let done = Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(done.success());
    let killed = Instant::now();
    let dead = shown(&window, "it says so", |snapshot| snapshot.health.head.contains("ended unexpectedly"));
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    assert_eq!((dead.health.severity, recorded(&dead)), (Severity::Loss, 0));
    let open = shown(&window, "it is open again", |snapshot| {
        snapshot.stage == Stage::Open && snapshot.notices.iter().any(|notice| notice.text.contains("(it was killed)"))
    });
    let takes = open.session.takes();
    assert!(takes.iter().all(|take| take.state == TakeState::Recovered && before <= take.frames.0), "{takes:#?}");
    assert!(open.notices.iter().any(|notice| notice.headline.as_deref() == Some("A recording was cut off.")));
    let advice = open.health.advice.clone().unwrap_or_default();
    assert!(advice.starts_with("It was started again. Recovered 8 takes of the pass"), "{:?}", open.health);
    assert!(window.close_within(PATIENCE));
    // The window says it while the next engine still opens the session.
    let events = fs::read_to_string(world.session().join("events.jsonl")).unwrap();
    assert!(events.contains("The recorder ended unexpectedly (it was killed)"), "{events}");
    world.whole(before - 1);
}

#[test]
fn a_signal_to_the_engine_ends_the_pass_in_order_and_the_window_hears_it() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    engine.signal("TERM");
    until("the window hears it", || window.phase() == Phase::Closed);
    assert_eq!(engine.wait(PATIENCE).code, Some(0));
    world.whole(24_000);
    let session = open_read_only(&world.session()).unwrap();
    assert!(session.takes().iter().all(|take| take.state == TakeState::Complete));
}

#[test]
fn an_engine_without_a_window_and_a_pass_saves_and_ends() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    let open = shown(&window, "it is open", |snapshot| snapshot.stage == Stage::Open);
    let track = open.session.tracks()[0].id();
    let edit = Edit::Name(track, "Kick".to_owned());
    assert!(window.apply(Request::Edit(edit)));
    window.settled(PATIENCE);
    let left = Instant::now();
    drop(window);
    let ended = engine.wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(Duration::from_secs(4) < left.elapsed(), "another window could have come: {:?}", left.elapsed());
    assert!(!ended.err.contains("continues"), "{}", ended.err);
    assert_eq!(open_read_only(&world.session()).unwrap().tracks()[0].name(), "Kick");
    assert!(connect_file(&world).is_none(), "its socket is gone");
}

fn connect_file(world: &World) -> Option<u32> {
    engines().into_iter().find(|found| found.facts.folder == world.session()).map(|found| found.facts.pid)
}

#[test]
fn a_window_that_leaves_lets_the_recording_continue_and_a_window_that_closes_ends_it() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    window.leave();
    assert_eq!(window.phase(), Phase::Closed);
    std::thread::sleep(Duration::from_millis(300));
    assert!(records(&engine) && windows(&engine) == 0);
    assert!(!engine.said().contains("continues"), "the user wanted it: {}", engine.said());
    let [one, other] = [world.window(), world.window()];
    for window in [&one, &other] {
        shown(window, "it is shown", |snapshot| 0 < recorded(snapshot));
    }
    assert!(one.close_within(PATIENCE), "the other window shows the session");
    shown(&other, "it records on", |snapshot| 0 < recorded(snapshot));
    assert!(other.close_within(PATIENCE));
    assert_eq!(engine.wait(PATIENCE).code, Some(0));
    world.whole(24_000);
}

/// Fills the disk until the window says that the takes are in memory. Returns the file that fills it.
fn fill_until_in_memory(disk: &Path, window: &Client) -> PathBuf {
    let filler = fill(disk, 0);
    shown(window, "the disk is full", |snapshot| snapshot.health.head == "Recording into memory.");
    filler
}

/// It said "stopped and saved", and the sound was in memory only.
#[test]
fn root_a_stop_after_which_takes_are_not_whole_fails_and_names_the_memory() {
    let image = Image::up("ext4", "400M");
    let world = World::with(place(), image.path().join("gig"));
    let engine = world.engine();
    let window = world.window();
    record(&window);
    let filler = fill_until_in_memory(image.path(), &window);
    let stop = world.stop();
    assert!(stop.code == Some(1) && stop.out.is_empty(), "{}{}", stop.out, stop.err);
    assert!(
        stop.err.contains("is in memory") && stop.err.contains("before you switch the machine off"),
        "{}",
        stop.err
    );
    let ended = engine.wait(PATIENCE);
    assert!(ended.code == Some(1) && ended.err.contains("is in memory"), "{:?} {}", ended.code, ended.err);
    let last = shown(&window, "the window says so", |snapshot| matches!(snapshot.stage, Stage::Failed { .. }));
    assert_eq!((window.phase(), last.health.head.as_str()), (Phase::Failed, "Not everything is saved."));
    assert!(last.health.advice.as_ref().is_some_and(|advice| advice.contains("not whole on the disk")), "{last:?}");
    fs::remove_file(filler).unwrap();
    run(world.command("recover")).done();
    world.whole(24_000);
}

/// The window took the end of the terminal's recording for that of an engine that has died.
#[test]
fn root_a_terminal_whose_takes_are_not_whole_ends_in_order_for_its_window_which_recovers_them() {
    let image = Image::up("ext4", "400M");
    let world = World::with(place(), image.path().join("gig"));
    let terminal = world.terminal();
    let window = world.window();
    shown(&window, "it is shown", |snapshot| 24_000 < recorded(snapshot));
    let filler = fill_until_in_memory(image.path(), &window);
    assert!(window.apply(Request::Stop));
    shown(&window, "it has stopped", |snapshot| snapshot.transport.pass.is_none());
    fs::remove_file(filler).unwrap();
    let own = shown(&window, "it has an engine of its own", |snapshot| {
        let has_said = |text: &str| snapshot.notices.iter().any(|notice| notice.text.contains(text));
        snapshot.stage == Stage::Open
            && has_said("the recording in the terminal has ended, and not everything was saved")
    });
    assert!(!own.notices.iter().any(|notice| notice.text.contains("ended unexpectedly")), "{:#?}", own.notices);
    assert_eq!(terminal.wait(PATIENCE).code, Some(1));
    assert!(window.close_within(PATIENCE));
    world.whole(24_000);
}

#[test]
fn the_figures_of_the_last_minute_are_there_after_a_stop_and_for_a_window_that_comes_later() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    shown(&window, "it has two seconds", |snapshot| 96_000 < recorded(snapshot));
    assert!(window.apply(Request::Stop));
    shown(&window, "it has stopped", |snapshot| snapshot.transport.pass.is_none());
    drop(window);
    // Nobody has looked at the residency so far.
    let window = world.window();
    let samples = window.samples();
    let pages = Pages::AroundHead { back_ms: 2400, ahead_ms: 1300 };
    samples.set_view(Some(View { cells: 96, pages, hz: 12 }));
    until("the figures come", || 4 <= samples.rates().len());
    let rates = samples.rates();
    assert!(rates.is_sorted_by_key(|point| point.at_ms) && rates.len() <= POINTS_MAX, "{rates:?}");
    let known =
        |point: &&RatePoint| point.faults().is_some() && point.run_delay_us.is_some() && point.cycle_us_max.is_some();
    assert!(4 <= rates.iter().filter(known).count(), "{rates:?}");
    assert!(rates.iter().any(|point| 0 < point.commits && 0.0 < point.commit_us_max), "{rates:?}");
    assert!(rates.iter().any(|point| 0.0 < point.sync_us_max), "{rates:?}");
    let deltas = window.kernel_deltas(PATIENCE).unwrap();
    assert!(deltas.vmstat["pgfault"] > 0 && deltas.memory_bytes_now["Rss"] > 0 && deltas.since_open_ms > 2000);
    assert!(!deltas.vmstat_last_minute.is_empty() && deltas.last_minute_ms <= deltas.since_open_ms, "{deltas:?}");
    // A later window of the same engine gets all of them at once.
    let other = world.window();
    other.samples().set_view(Some(View { cells: 96, pages, hz: 12 }));
    until("they come again", || rates.len() <= other.samples().rates().len());
    assert!(connect(engine.pid()).is_some());
    world.stop().done();
}

#[test]
fn a_trace_of_a_recording_that_runs_is_written_and_the_recording_does_not_notice() {
    let world = World::new();
    let _engine = world.engine();
    let window = world.window();
    record(&window);
    shown(&window, "it has a second", |snapshot| 48_000 < recorded(snapshot));
    let path = world.place.path().join("one.json");
    let trace = |output: Option<&Path>| {
        let mut command = world.command("trace");
        if let Some(path) = output {
            command.arg("--output").arg(path);
        }
        run(command)
    };
    let told = trace(Some(&path)).done().out;
    assert!(told.contains("one.json: ") && told.contains(" cycles, "), "{told}");
    let bytes = fs::read(&path).unwrap();
    assert_eq!(refused(&bytes), Vec::<String>::new());
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let events = json["traceEvents"].as_array().unwrap();
    let count = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert!(40 < count("cycle") && 0 < count("capture buffer") && 0 < count("sync"), "{}", events.len());
    let pass = events.iter().find(|event| event["name"] == "pass").unwrap();
    assert_eq!(pass["args"]["text"], "it is not finished");
    assert!(0 < count("dirty bytes") && events.iter().any(|event| event["ph"] == "C"));
    trace(Some(&path)).refused(&["one.json", "exists"]);
    // Without a name it lies beside the reports.
    trace(None).done();
    let reports = fs::read_dir(world.session().join("reports")).unwrap().flatten();
    assert!(reports.map(|file| file.file_name().into_string().unwrap()).any(|name| name.starts_with("trace 20")));
    let out: serde_json::Value = serde_json::from_str(&trace(Some(Path::new("-"))).done().out).unwrap();
    assert!(out["traceEvents"].is_array());
    let over_link = window.trace(PATIENCE).unwrap().unwrap();
    assert!(40 < over_link.cycles.len() && over_link.files.iter().any(|file| file.starts_with("In 1")));
    world.stop().done();
    world.whole(48_000);
    trace(None).refused(&["gig", "no recorder has this session open"]);
}

/// In `in-place` another program's sync write-protects the pages ahead of the record head.
#[test]
fn the_page_faults_of_a_recording_come_to_the_window_with_their_pages() {
    let world = World::new();
    let mut command = world.command("engine");
    command.args(World::options()).args(["--capture-path", "in-place"]);
    let engine = start(command);
    until("the engine has the session", || connect(engine.pid()).is_some_and(|found| found.is_ok()));
    let window = world.window();
    record(&window);
    let samples = window.samples();
    let pages = Pages::AroundHead { back_ms: 4000, ahead_ms: 1300 };
    samples.set_view(Some(View { cells: 400, pages, hz: 12 }));
    let began = Instant::now();
    let on_the_map = || {
        let takes = fs::read_dir(world.session().join("audio")).into_iter().flatten().flatten();
        takes.for_each(|take| drop(fs::File::open(take.path()).and_then(|take| take.sync_data())));
        let latest = samples.latest();
        let faults = samples.faults();
        latest.into_iter().flat_map(|sample| sample.rows.clone()).any(|row| {
            faults.iter().filter_map(|seen| row.byte_of(&seen.fault)).any(|byte| row.cell_at(byte).is_some())
        })
    };
    while !on_the_map() && began.elapsed() < Duration::from_secs(8) {
        window.snapshot();
        std::thread::sleep(Duration::from_millis(100));
    }
    if let Some(reason) = samples.no_faults_because() {
        skip_part("link: the pages of faults", &reason);
    } else if samples.faults().is_empty() {
        skip_part("link: the pages of faults", "nothing was written back while it recorded");
    } else {
        assert!(on_the_map(), "{:?}", samples.faults());
        let faults = samples.faults();
        assert!(faults.is_sorted_by(|a, b| a.number < b.number) && faults.len() <= FAULTS_KEPT);
    }
    // The syncs of this test are the work of another program for the recorder, and its pages tell them.
    if let Some(reason) = samples.no_disk_work_because() {
        skip_part("link: who synced", &reason);
    } else if !samples.disk_work().iter().any(|seen| seen.work.is_sync()) {
        skip_part("link: who synced", "this file system has no tracepoints of syncs");
    } else {
        let is_told = || {
            on_the_map();
            let sample = samples.latest()?;
            let row = sample.rows.first()?;
            let story = samples.page_story_at(&sample, &row.key, row.head_byte);
            story.iter().any(|line| line.contains("fdatasync of the take by ")).then_some(())
        };
        until("a page tells who synced", || is_told().is_some());
    }
    world.stop().done();
}

/// The window had no state yet, so its end closed the engine, which ended the pass.
#[test]
fn a_window_that_is_closed_before_it_has_heard_from_the_engine_lets_the_recording_continue() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    window.leave();
    for _ in 0..5 {
        let early = world.window();
        early.shutdown();
        assert!(early.close_within(PATIENCE) && early.has_left());
        assert!(records(&engine));
    }
    world.stop().done();
    world.whole(24_000);
}

#[test]
fn a_window_that_is_closed_beside_a_terminal_lets_the_recording_of_the_terminal_continue() {
    let world = World::new();
    let terminal = world.terminal();
    let window = world.window();
    shown(&window, "it is shown", |snapshot| 24_000 < recorded(snapshot));
    assert!(window.close_within(PATIENCE));
    std::thread::sleep(Duration::from_millis(300));
    assert!(records(&terminal));
    world.stop().done();
    assert_eq!(terminal.wait(PATIENCE).code, Some(0));
    world.whole(24_000);
}

/// The window of a recorder whose disk hung could not be closed.
#[test]
fn a_window_that_closes_can_leave_before_everything_is_saved() {
    let world = World::new();
    let engine = world.engine();
    let window = world.window();
    record(&window);
    window.shutdown();
    window.leave();
    assert!(window.has_left());
    assert_eq!(window.phase(), Phase::Closed);
    assert_eq!(engine.wait(PATIENCE).code, Some(0), "it saves without the window");
    world.whole(24_000);
}

/// The fifth window said that the recorder had ended unexpectedly, four times.
#[test]
fn a_window_for_which_the_recorder_has_no_place_says_so_and_starts_nothing() {
    let world = World::new();
    let engine = world.engine();
    let windows: Vec<Client> = (0..WINDOWS_MAX).map(|_| world.window()).collect();
    for window in &windows {
        shown(window, "it is open", |snapshot| snapshot.stage == Stage::Open);
    }
    let fifth = world.window();
    let refused = shown(&fifth, "it is sent away", |snapshot| matches!(snapshot.stage, Stage::Failed { .. }));
    assert_eq!(refused.health.head, "This window is not attached.");
    let advice = refused.health.advice.as_deref().unwrap();
    assert!(advice.starts_with("Four windows show the recorder already; close one of them"), "{advice}");
    assert!(refused.notices.iter().all(|notice| !notice.text.contains("unexpectedly")), "{:?}", refused.notices);
    until("it is over", || fifth.phase() == Phase::Failed);
    assert_eq!(connect_file(&world), Some(engine.pid()));
    record(&windows[0]);
    world.stop().done();
}

#[test]
fn stopping_what_does_not_record_is_refused_in_one_line() {
    let world = World::new();
    world.stop().refused(&["gig", "no recorder has this session open"]);
    assert!(!Path::new(&world.session()).exists());
}

#[test]
fn windows_come_and_go_at_a_recording_in_a_terminal_and_the_one_that_stops_it_keeps_the_session() {
    let world = World::new();
    let terminal = world.terminal();
    let killed = world.window_process();
    until("a window is attached", || windows(&terminal) == 1);
    killed.signal("KILL");
    let window = world.window();
    let first = shown(&window, "it is shown", |snapshot| 24_000 < recorded(snapshot));
    assert_eq!((first.session.tracks().len(), first.session.takes().len()), (INPUTS, INPUTS));
    assert!(first.inputs.iter().any(|meter| 0.0 < meter.peak), "{:?}", first.inputs);
    window.leave();
    assert!(records(&terminal) && !terminal.said().contains("continues"), "{}", terminal.said());
    let window = world.window();
    shown(&window, "it is shown again", |snapshot| recorded(&first) < recorded(snapshot));
    assert!(window.apply(Request::Marker) && window.apply(Request::Stop));
    let ended = terminal.wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let own = shown(&window, "it has an engine of its own", |snapshot| {
        snapshot.stage == Stage::Open
            && snapshot.notices.iter().any(|notice| notice.text.contains("recording in the terminal has ended"))
    });
    assert_eq!((window.phase(), own.session.takes().len()), (Phase::Running, INPUTS));
    assert_eq!(own.session.markers().len(), 1);
    assert!(window.close_within(PATIENCE));
    world.whole(24_000);
}

#[test]
fn a_window_cannot_take_the_session_of_a_terminal_away_and_stop_ends_both_in_order() {
    let world = World::new();
    let terminal = world.terminal();
    let window = world.window();
    shown(&window, "it is shown", |snapshot| 0 < recorded(snapshot));
    for command in [Request::NewSession, Request::Reopen, Request::OpenSession(world.place.path().join("other"))] {
        let said = format!("{command:?}");
        let before = window.snapshot().refusal.as_ref().map_or(0, |refusal| refusal.number);
        assert!(window.apply(command));
        let refused = shown(&window, "it is refused", |snapshot| {
            snapshot.refusal.as_ref().is_some_and(|refusal| before < refusal.number)
        });
        let text = &refused.refusal.as_ref().unwrap().text;
        assert!(text.contains("faultless record"), "{said}: {text}");
    }
    assert_eq!(world.stop().done().out, format!("{}: stopped and saved\n", world.session().display()));
    let ended = terminal.wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(window.close_within(PATIENCE));
    world.whole(1_000);
}

#[test]
fn a_window_recovers_the_recording_of_a_terminal_that_is_killed() {
    let world = World::new();
    let terminal = world.terminal();
    let window = world.window();
    let before = recorded(&shown(&window, "it has a second", |snapshot| 48_000 < recorded(snapshot)));
    terminal.signal("KILL");
    let open = shown(&window, "it is open again", |snapshot| {
        snapshot.stage == Stage::Open && snapshot.notices.iter().any(|notice| notice.severity == Severity::Loss)
    });
    let takes = open.session.takes();
    assert!(takes.iter().all(|take| take.state == TakeState::Recovered && before <= take.frames.0), "{takes:#?}");
    assert!(window.close_within(PATIENCE));
    world.whole(before - 1);
}

/// A socket that had its name before it listened was taken for that of a dead engine, and removed.
#[test]
fn an_engine_is_found_although_others_look_for_engines_all_the_time_while_it_starts() {
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    engines();
                }
            });
        }
        let troubles: Vec<String> = (0..2_000)
            .filter_map(|round| match Place::make() {
                Ok(place) if place.path().exists() => {
                    place.remove();
                    None
                }
                Ok(_) => Some(format!("round {round}: it was removed")),
                Err(error) => Some(format!("round {round}: {error}")),
            })
            .collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(troubles.is_empty(), "{troubles:#?}");
    });
}
