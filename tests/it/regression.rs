//! Defects that were once found, each with the test that shows it. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::play::{Player, landing, recorded, wave};
use crate::record::{await_sound, on_a_disk_that_refuses, record_through, refuse_above, setup};
use crate::util::{DEEP, PATIENCE, check, faultless, place, read_wav, record, run, skip, spools, start};
use crate::waiting::joined;
use crossbeam_channel::Sender;
use faultless::butler::capabilities::{Capabilities, CapturePath};
use faultless::butler::commit::{Committer, CommitterSetup};
use faultless::butler::spool::{self, SpoolPlace};
use faultless::control::Control;
use faultless::device::signal::ramp;
use faultless::format::TakeFormat;
use faultless::message::disk::CommitCommand;
use faultless::message::offset::SpoolByte;
use faultless::message::published::Published;
use faultless::message::replica::Replica;
use faultless::message::span_to_commit::SpanToCommit;
use faultless::message::spool_file::CapturedSlot;
use faultless::message::take::{PassKey, TakeEnd, TakeKey, TakePlan};
use faultless::residency::ledger::Ledger;
use faultless::session::TakeState;
use faultless::session::session_file::open_read_only;
use faultless::time::Frames;
use faultless::wav::header::Header;
use faultless::wav::header::{HEADER_BYTES, header_data_bytes};
use serde_json::json;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The outputs ran dry 130 times before 5,000 frames were lost. The events without a lost frame had taken the places of
/// the take's losses, so the loss was listed nowhere.
#[test]
fn a_loss_after_many_xruns_of_the_outputs_is_listed_and_they_are_counted_apart() {
    let place = place();
    let folder = place.path().join("session");
    let orders: Vec<String> = (1..=130).map(|at| format!("playback-xrun={}", at * 400)).collect();
    let arguments = format!("--device virtual:free,{},xrun=64000+5000 --inputs 1 --seconds 2", orders.join(","));
    let found = run(record(&folder, &arguments)).done().json();
    let counts = ["xruns", "playback_xruns", "frames_lost"].map(|key| found[key].clone());
    assert_eq!(json!(counts), json!([1, 130, 5000]));
    let session = open_read_only(&folder).unwrap();
    let take = &session.takes()[0];
    let losses: Vec<_> = take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!((losses, take.losses_unlisted), (vec![(64_000, 5_000)], 0));
    assert_eq!(take.accounts.as_ref().unwrap().xruns, 1);
}

#[test]
fn more_losses_than_a_take_lists_are_counted() {
    let place = place();
    let folder = place.path().join("session");
    let orders: Vec<String> = (1..=200).map(|at| format!("xrun={}+7", at * 400)).collect();
    let arguments = format!("--device virtual:free,{} --inputs 1 --seconds 2", orders.join(","));
    let found = run(record(&folder, &arguments)).done().json();
    assert_eq!((&found["xruns"], &found["frames_lost"]), (&json!(200), &json!(1400)));
    let session = open_read_only(&folder).unwrap();
    let take = &session.takes()[0];
    assert_eq!(take.losses.len() as u64 + take.losses_unlisted, 200, "no loss is silent");
    assert_eq!(take.accounts.as_ref().unwrap().frames_lost, 1400);
}

/// The regular end of a pass threw the places of all but 64 losses away, although the session on the disk had them.
#[test]
fn a_hundred_losses_that_were_listed_during_a_pass_keep_their_places_at_its_end() {
    let place = place();
    let folder = place.path().join("session");
    let orders: Vec<String> = (1..=100).map(|at| format!("xrun={}+7", at * 1000)).collect();
    let arguments = format!("--device virtual:{} --inputs 1 --seconds 3", orders.join(","));
    let found = run(record(&folder, &arguments)).done().json();
    let losses = &found["xruns"].as_u64().unwrap();
    let session = open_read_only(&folder).unwrap();
    let take = &session.takes()[0];
    assert_eq!((take.losses.len() as u64, take.losses_unlisted), (*losses, 0));
    assert!(64 < take.losses.len(), "{} losses", take.losses.len());
}

#[test]
fn a_disk_that_refuses_to_the_end_is_reported_and_the_spool_is_kept() {
    let place = place();
    let folder = place.path().join("session");
    let program = on_a_disk_that_refuses(&folder, &format!("--device virtual --inputs 2 --seconds 2.5 {DEEP}"));
    await_sound(&folder.join("audio/In 1-1.wav"));
    refuse_above(&program, "100000");
    let run = program.wait(PATIENCE);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("what is missing is kept in"), "{}", run.err);
    let session = open_read_only(&folder).unwrap();
    for take in session.takes() {
        assert_eq!(take.state, TakeState::Recording, "to be recovered");
        let kept: Vec<_> = spools(take).into_iter().filter(|path| path.exists()).collect();
        assert_eq!(kept.len(), 1, "{}", run.err);
        // The file has the ramp, and its header claims no more.
        let (_, samples) = read_wav(&folder.join(take.path()));
        let first = (samples[0] + (1 << 23)) as u64;
        assert!(samples.iter().zip(first..).all(|(value, frame)| *value == ramp(frame, 0)));
    }
    // On a disk that works again the takes become complete.
    crate::util::run(faultless("recover", &folder, "")).done();
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames, found.lost), (2, 120_000, 0));
}

#[test]
fn more_tracks_than_the_spool_has_memory_for_are_refused_in_words() {
    let place = place();
    let folder = place.path().join("session");
    let run = run(record(&folder, "--device virtual:free --inputs 24 --seconds 1 --spool-limit 1"));
    run.refused(&["not enough memory for the sound of so many tracks"]);
    let session = open_read_only(&folder).unwrap();
    assert!(session.takes().iter().flat_map(spools).all(|spool| !spool.exists()));
}

#[test]
fn a_pipe_or_a_link_in_place_of_a_take_blocks_nothing() {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 3 --seconds 0.5")).done();
    let take = |number: u32| folder.join(format!("audio/In {number}-1.wav"));
    fs::rename(take(2), place.path().join("elsewhere.wav")).unwrap();
    std::os::unix::fs::symlink(place.path().join("elsewhere.wav"), take(2)).unwrap();
    fs::remove_file(take(3)).unwrap();
    assert!(Command::new("mkfifo").arg(take(3)).status().unwrap().success());
    let run = run(faultless("play", &folder, "--device virtual:free --json"));
    assert_eq!((&run.json()["frames"], &run.json()["dropouts"]), (&json!(24_000), &json!(0)));
    assert_eq!((run.code, &run.json()["frames_unheard"]), (Some(1), &json!(24_000)), "{}", run.err);
    let told: Vec<&str> = run.err.lines().filter(|line| line.contains(", silent there: ")).collect();
    assert_eq!(told.len(), 2, "{}", run.err);
    assert!(told[0].contains("it is a link") && told[1].contains("not a regular file"), "{}", run.err);
}

#[test]
fn wrong_arguments_are_one_line_and_make_nothing() {
    let place = place();
    let folder = place.path().join("session");
    let cases = [
        ("--seconds NaN", "--seconds NaN"),
        ("--seconds -3", "--seconds -3"),
        ("--seconds 0", "--seconds 0"),
        ("--seconds inf", "--seconds inf"),
        ("--seconds 0.000001", "less than one frame"),
        ("--seconds soon", "--seconds"),
        ("--format s20", "s20"),
        ("--capture-path tape", "tape"),
        ("--inputs 0", "--inputs 0"),
        ("--inputs -1", "-1"),
        ("--period 0", "--period 0"),
        ("--rate 0 --seconds 1", "--rate 0: a rate has"),
        ("--seconds 1e300", "--seconds 1e300: at most"),
        ("--buffer 0", "--buffer 0"),
        ("--spool-limit 0", "--spool-limit"),
        ("--signal file=", "--signal file=: unknown"),
        ("--frequency 5", "--frequency"),
        ("--signal noise", "noise"),
    ];
    for (arguments, word) in cases {
        run(faultless("record", &folder, &format!("--device virtual:free {arguments}"))).refused(&[word]);
        assert!(!folder.exists(), "{arguments}");
    }
}

#[test]
fn a_locate_out_of_a_gap_is_no_dropout_and_blocks_nothing() {
    let place = place();
    let folder = place.path().join("session");
    recorded(&folder, 1, 48_000, "s24");
    crate::util::edit(&folder, |session| {
        let track = session.track_ids().next().unwrap();
        session.track_mut(track).unwrap().set_pan(-1.0);
    });
    let mut player = Player::open(&folder);
    player.roll();
    // The position is past the end, where no region is.
    player.play_to(64_000);
    player.locate(1000);
    let played = player.play_to(66_560);
    let lands = landing(&played, 64_000, 1000);
    for (at, [left, _]) in played.iter().enumerate().skip(lands + 256) {
        assert_eq!(*left, wave(1000 + at - lands, 0), "frame {at}");
    }
    assert_eq!(player.told, Vec::<String>::new());
    assert_eq!(player.running.published.dropouts.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn a_take_shorter_than_a_period_is_as_long_as_was_asked_for() {
    let place = place();
    for (frames, period) in [(1_u64, 64), (24, 64), (63, 64), (65, 64), (480, 8192), (1025, 8192), (17, 16)] {
        let folder = place.path().join(format!("{frames}-{period}"));
        // A quarter of a frame more is rounded down.
        let seconds = (frames as f64 + 0.25) / 48_000.0;
        let arguments = format!("--device virtual:free --inputs 2 --period {period} --seconds {seconds}");
        assert_eq!(run(record(&folder, &arguments)).done().json()["frames"], frames, "{period}");
        assert_eq!(crate::util::check(&folder)[0].frames, frames);
    }
}

/// A committer on a thread of its own, and the channel for its commands. Its events are dropped.
fn committer(capture_path: CapturePath, without: &[String]) -> (Sender<CommitCommand>, JoinHandle<()>) {
    let (commands, obeyed) = crossbeam_channel::unbounded();
    let setup = CommitterSetup {
        replica: Replica::Session,
        spool_bytes_max: 1 << 20,
        published: Arc::new(Published::new(1)),
        capabilities: Capabilities::probe(without),
        capture_path,
        sync_interval: Duration::from_millis(20),
        disk: Arc::default(),
        ledger: Arc::new(Ledger::default()),
        commands: obeyed,
        events: crossbeam_channel::unbounded().0,
    };
    (commands, std::thread::spawn(move || Committer::new(setup).run()))
}

#[test]
fn windows_that_were_ready_ahead_are_never_promised_by_a_header() {
    const FRAMES: u64 = 4096;
    let place = place();
    let path = place.path().join("t-1.wav");
    let (commands, thread) = committer(CapturePath::InPlace, &[]);
    let (take, header) = (TakeKey(1), Header::new(1, 48_000, TakeFormat::S24));
    let plan = TakePlan {
        key: take,
        identity: Uuid::nil(),
        session: Uuid::nil(),
        path: path.clone(),
        header,
        pair: None,
        head: Frames(0),
    };
    let send = |command| commands.send(command).unwrap();
    send(CommitCommand::Open { pass: PassKey(1), takes: vec![plan] });
    // A window of sound, and the last window of the lead behind it, in the order in which they come back when a pass
    // ends.
    for (at, passed) in [(0, FRAMES), (30 * FRAMES, 0)] {
        let (bytes, recorded_bytes, touched) = (3 * FRAMES as usize, 3 * passed as usize, passed > 0);
        let span = SpanToCommit::new(SpoolByte(4096 + 3 * at), bytes, recorded_bytes, touched, &[Replica::Session]);
        send(CommitCommand::Captured { take, span: Arc::new(span) });
    }
    let claimed = || hound::WavReader::open(&path).map_or(0, |reader| u64::from(reader.duration()));
    let until = Instant::now() + PATIENCE;
    while claimed() == 0 {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(claimed(), FRAMES);
    send(CommitCommand::Finish { take, end: TakeEnd { frames: Frames(FRAMES), ..TakeEnd::default() } });
    send(CommitCommand::Quit);
    joined(thread, PATIENCE);
    assert_eq!(claimed(), FRAMES);
}

#[test]
fn a_header_never_claims_what_was_made_ahead_and_not_reached() {
    const FRAMES: u64 = 48_000;
    let place = place();
    let folder = place.path().join("session");
    let mut setup = setup(&folder, "free", 2, 48_000, TakeFormat::S24);
    // The committer writes a header each time it looks for work, also at the end of a pass.
    setup.run.sync_interval = Duration::ZERO;
    let mut control = Control::open(setup).unwrap();
    control.arm_inputs(2).unwrap();
    let recorder = std::thread::spawn(move || record_through(control, FRAMES, |_| ()));
    let (mut most, mut page) = (0, [0; HEADER_BYTES]);
    while !recorder.is_finished() {
        for entry in fs::read_dir(folder.join("audio")).into_iter().flatten().flatten() {
            let read = File::open(entry.path()).and_then(|file| file.read_exact_at(&mut page, 0));
            most = most.max(read.ok().and_then(|()| header_data_bytes(&page)).unwrap_or(0));
        }
    }
    joined(recorder, PATIENCE);
    assert_eq!(most, FRAMES * 3, "bytes of sound that a header has claimed");
    assert_eq!(check(&folder)[0].frames, FRAMES);
}

#[test]
fn a_folder_in_which_a_session_was_about_to_be_made_when_the_power_went_is_not_in_the_way() {
    let place = place();
    let folder = place.path().join("session");
    fs::create_dir_all(folder.join("audio")).unwrap();
    // No process has a number of ten digits.
    let left = format!("{}.4000000000.0", faultless::file_system::TRIAL_FILE);
    for name in ["session.lock", ".session.json.new", ".session.reserve", faultless::file_system::TRIAL_FILE, &left] {
        fs::write(folder.join(name), "cut off").unwrap();
    }
    run(record(&folder, "--device virtual:free --inputs 1 --seconds 0.2")).done();
    assert_eq!(check(&folder)[0].frames, 9600);
    assert!(!folder.join(faultless::file_system::TRIAL_FILE).exists() && !folder.join(left).exists());
}

#[test]
fn sound_is_written_to_the_disk_once() {
    const INPUTS: u64 = 8;
    let place = place();
    let arguments = format!("--device virtual --inputs {INPUTS} --format f32 --period 128 --seconds 7");
    let mut program = start(record(&place.path().join("session"), &arguments));
    let io = format!("/proc/{}/io", program.pid());
    let mut written = 0;
    while program.is_running() {
        let told = fs::read_to_string(&io).unwrap_or_default();
        let bytes = told.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
        written = u64::max(written, bytes.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    program.wait(PATIENCE).done();
    if written == 0 {
        return skip("writing once", "this file system does not count what is written");
    }
    let sound = INPUTS * 48_000 * 4 * 7;
    // Every sync writes the page of a header, and control saves the session.
    assert!(written < sound * 5 / 4, "{written} bytes for {sound} of sound");
}

#[test]
fn a_header_never_claims_what_another_take_of_its_pass_has_not() {
    for without in [vec![], vec!["io_uring".to_owned()]] {
        claims_with(&without);
    }
}

/// Records two takes of which one lags, with the capabilities of this machine except for some.
fn claims_with(without: &[String]) {
    const FRAMES: u64 = 4096;
    let place = place();
    let (commands, thread) = committer(CapturePath::Spool, without);
    let plans: Vec<TakePlan> = [1, 2]
        .map(|number| TakePlan {
            key: TakeKey(number),
            identity: Uuid::from_u128(number.into()),
            session: Uuid::nil(),
            path: place.path().join(format!("t-{number}.wav")),
            header: Header::new(1, 48_000, TakeFormat::S24),
            pair: None,
            head: Frames(0),
        })
        .into();
    let send = |command| commands.send(command).unwrap();
    send(CommitCommand::Open { pass: PassKey(1), takes: plans.clone() });
    let mut spools = Vec::new();
    for plan in &plans {
        let made = spool::create(&SpoolPlace::Memory, plan, plans[0].identity, 3 * FRAMES as usize);
        let spool = Arc::new(made.unwrap());
        spools.push(Arc::clone(&spool));
        send(CommitCommand::Spooled { take: plan.key, spool });
    }
    let window = |take: &TakePlan, at: u64| {
        let span = SpanToCommit::new(
            SpoolByte(4096 + 3 * at),
            3 * FRAMES as usize,
            3 * FRAMES as usize,
            true,
            &[Replica::Session],
        );
        let spool = &spools[take.key.0 as usize - 1];
        let slot = CapturedSlot::new(spool, (at / FRAMES) as u32, SpoolByte(4096 + 3 * at), None);
        send(CommitCommand::Captured { take: take.key, span: Arc::new(span.in_slot(slot)) });
    };
    let claimed = |take: &TakePlan| hound::WavReader::open(&take.path).map_or(0, |reader| u64::from(reader.duration()));
    let until_claimed = |frames: u64| {
        let until = Instant::now() + PATIENCE;
        while plans.iter().any(|plan| claimed(plan) < frames) {
            assert!(Instant::now() < until, "{:?}", plans.iter().map(claimed).collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(5));
        }
        // Long enough for several more syncs.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(plans.iter().map(claimed).collect::<Vec<_>>(), [frames; 2]);
    };
    window(&plans[0], 0);
    std::thread::sleep(Duration::from_millis(300));
    until_claimed(0);
    window(&plans[1], 0);
    window(&plans[1], FRAMES);
    until_claimed(FRAMES);
    window(&plans[0], FRAMES);
    until_claimed(2 * FRAMES);
    // The window lies behind the end of the spool and cannot be written: the disk of one take refuses it, and the
    // other take continues.
    window(&plans[1], (1 << 43) / 3 / FRAMES * FRAMES);
    window(&plans[0], 2 * FRAMES);
    let until = Instant::now() + PATIENCE;
    while claimed(&plans[0]) < 3 * FRAMES {
        assert!(Instant::now() < until, "one that is refused holds up the other");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(claimed(&plans[1]), 2 * FRAMES);
    for plan in &plans {
        let end = TakeEnd { frames: Frames(2 * FRAMES), ..TakeEnd::default() };
        send(CommitCommand::Finish { take: plan.key, end });
    }
    send(CommitCommand::Quit);
    joined(thread, PATIENCE);
    assert_eq!(claimed(&plans[1]), 2 * FRAMES);
}

#[test]
fn a_session_and_an_overflow_folder_with_dots_in_their_paths_are_saved() {
    let place = place();
    fs::create_dir(place.path().join("inner")).unwrap();
    let folder = place.path().join("inner/../session");
    let mut command = record(&folder, "--device virtual:free --inputs 2 --seconds 0.5");
    command.arg("--overflow").arg(place.path().join("inner/../other"));
    let run = run(command).done();
    assert!(!run.err.contains("not saved"), "{}", run.err);
    let real = place.path().canonicalize().unwrap();
    let own = open_read_only(&real.join("session")).unwrap();
    assert_eq!((own.takes().len(), own.tracks().len()), (2, 2));
    assert_eq!(own.overflow_folders(), [real.join("other/session").display().to_string()]);
    let copy = open_read_only(&real.join("other/session")).unwrap();
    let folders: Vec<_> = copy.takes().iter().map(|take| take.folder.clone()).collect();
    assert_eq!(folders, vec![Some(real.join("session").display().to_string()); 2]);
    assert!(copy.takes().iter().all(|take| take.state == TakeState::Complete), "the copy is current");
}

#[test]
fn a_growing_take_that_an_editor_saves_over_is_whole_in_the_session() {
    let place = place();
    let folder = place.path().join("session");
    let take = folder.join("audio/In 1-1.wav");
    let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 4 {DEEP}")));
    await_sound(&take);
    let edited = folder.join("audio/edited.wav");
    fs::copy(&take, &edited).unwrap();
    fs::rename(&edited, &take).unwrap();
    let run = program.wait(PATIENCE).done();
    assert!(run.err.contains("another program replaced it; it is put back, whole"), "{}", run.err);
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames, found.lost), (2, 192_000, 0));
    assert!(folder.join("audio/In 1-1 (of another program 1).wav").exists(), "the editor's file is kept");
}
