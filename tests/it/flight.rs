//! The flight recorder's file after real recordings: its content, its size, and its state after a kill. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::await_sound;
use crate::util::{
    DEEP, Image, PATIENCE, check, contents, faultless, is_root, place, record, run, skip, start, stress_script,
};
use faultless::flight::read;
use faultless::flight::record::{Kind, Record, Severity};
use faultless::limits;
use std::fs;
use std::path::Path;
use std::process::Command;

fn events(folder: &Path) -> Vec<Record> {
    read::last(folder, usize::MAX)
}

/// The kinds of the events, without those that depend on the machine: its limits, and whether it can be kept awake.
fn kinds(events: &[Record]) -> Vec<Kind> {
    let is_of_machine = |event: &&Record| event.kind == Kind::Limit || event.text.starts_with("sleep:");
    events.iter().filter(|event| !is_of_machine(event)).map(|event| event.kind).collect()
}

#[test]
fn a_recording_leaves_its_start_its_losses_with_their_place_and_its_account() {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free,xrun=10000+500 --inputs 2 --seconds 1")).done();
    let found = events(&folder);
    let expected = [Kind::Opened, Kind::PassBegan, Kind::Lost, Kind::PassEnded, Kind::Closed];
    assert_eq!(kinds(&found), expected, "{found:?}");
    let of = |kind: Kind| found.iter().find(|event| event.kind == kind).unwrap();
    assert!(of(Kind::Opened).text.contains(env!("CARGO_PKG_VERSION")), "{}", of(Kind::Opened).text);
    assert_eq!(of(Kind::Opened).numbers["inputs"], 2);
    assert_eq!(of(Kind::PassBegan).numbers["takes"], 2);
    let lost = of(Kind::Lost);
    assert_eq!((lost.severity, lost.numbers["frames"]), (Severity::Loss, 500));
    let ended = of(Kind::PassEnded);
    let number = |name: &str| ended.numbers[name];
    assert_eq!((number("frames"), number("frames_lost"), number("xruns")), (48_000, 500, 1));
    assert_eq!(ended.severity, Severity::Loss);
    assert!(found.iter().all(|event| event.stamp().is_some()));
    // The next start appends to the same file, and a start that only plays does not change it.
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.5")).done();
    assert_eq!(kinds(&events(&folder))[5..], [Kind::Opened, Kind::PassBegan, Kind::PassEnded, Kind::Closed]);
    let before = contents(&folder);
    run(faultless("play", &folder, "--device virtual:free --seconds 0.2")).done();
    assert!(before == contents(&folder), "what was only played has changed");
}

#[test]
fn a_flood_of_losses_is_counted_frame_by_frame_and_written_in_a_few_lines() {
    let place = place();
    let folder = place.path().join("session");
    let orders: Vec<String> = (1..=200).map(|at| format!("xrun={}+7", at * 400)).collect();
    run(record(&folder, &format!("--device virtual:free,{} --inputs 1 --seconds 2", orders.join(",")))).done();
    let found = events(&folder);
    let one_by_one: u64 =
        found.iter().filter(|event| event.kind == Kind::Lost).map(|event| event.numbers["frames"]).sum();
    let repeated: Vec<&Record> = found.iter().filter(|event| event.kind == Kind::Repeated).collect();
    let counted: u64 = repeated.iter().map(|event| event.numbers["frames"]).sum();
    assert_eq!(one_by_one + counted, 1400, "{found:?}");
    assert!(found.len() < 40, "{} lines", found.len());
    let times: u64 = found.iter().filter(|event| event.kind == Kind::Lost).map(|event| event.numbers["times"]).sum();
    assert!(repeated.is_empty() && times == 200, "{times} losses, {repeated:?}");
}

#[test]
fn a_killed_program_leaves_its_events_and_the_next_start_reports_what_it_recovered() {
    let place = place();
    let folder = place.path().join("session");
    let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 60 {DEEP}")));
    await_sound(&folder.join("audio/In 1-1.wav"));
    program.signal("KILL");
    assert_eq!(program.wait(PATIENCE).code, None);
    assert_eq!(kinds(&events(&folder)), [Kind::Opened, Kind::PassBegan]);
    // The file ends within a line, as after a write that was cut off.
    let path = folder.join("events.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"time\":\"2026-");
    fs::write(&path, bytes).unwrap();
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.5")).done();
    let found = kinds(&events(&folder));
    assert_eq!(found[..4], [Kind::Opened, Kind::PassBegan, Kind::Opened, Kind::Recovered], "{found:?}");
    assert_eq!(found.last(), Some(&Kind::Closed));
    assert_eq!(check(&folder).len(), 2);
}

#[test]
fn a_file_that_cannot_be_written_is_reported_and_stops_no_recording() {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 1 --seconds 0.2")).done();
    let elsewhere = place.path().join("precious");
    fs::write(&elsewhere, "mine").unwrap();
    fs::remove_file(folder.join("events.jsonl")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.join("events.jsonl")).unwrap();
    let told = run(record(&folder, "--device virtual:free --inputs 1 --seconds 0.5")).done();
    assert!(told.err.contains("events are not kept"), "{}", told.err);
    assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
    assert_eq!(check(&folder)[1].frames, 24_000);
}

#[test]
fn a_lead_that_was_nearly_used_up_is_a_near_miss() {
    const LEAD: u64 = 48_000;
    for _ in 0..8 {
        let place = place();
        let folder = place.path().join("session");
        let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 4 --lead 1000 {DEEP}")));
        await_sound(&folder.join("audio/In 1-1.wav"));
        // All threads are stopped. Afterwards the audio thread catches up before the butler does, or nearly so.
        program.signal("STOP");
        std::thread::sleep(std::time::Duration::from_millis(1800));
        program.signal("CONT");
        program.wait(PATIENCE).done();
        let found = events(&folder);
        let least = found.iter().find_map(|event| event.numbers.get("lead_frames_min")).copied().unwrap();
        let missed = found.iter().filter(|event| event.kind == Kind::NearMiss).collect::<Vec<_>>();
        if missed.is_empty() {
            assert!(LEAD / limits::NEAR_MISS_DIVISOR <= least, "{found:?}");
            continue;
        }
        assert_eq!(missed.len(), 1, "{found:?}");
        let of = |name: &str| missed[0].numbers[name];
        assert!(of("lead_frames") * limits::NEAR_MISS_DIVISOR < of("aim_frames"), "{missed:?}");
        assert!(!missed[0].text.contains("lost"), "a loss may be known only later: {missed:?}");
        return;
    }
    panic!("the butler was never late");
}

#[test]
fn root_freeze_a_disk_that_stalled_is_reported_with_its_time() {
    if !is_root() {
        skip("events of a frozen disk", "needs root");
        return;
    }
    let image = Image::up("ext4", "512M");
    let folder = image.path().join("session");
    let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 7 {DEEP}")));
    await_sound(&folder.join("audio/In 1-1.wav"));
    let mut freeze = Command::new(stress_script("freeze.sh"));
    freeze.arg(image.path()).args(["0.5", "3"]);
    run(freeze).done();
    program.wait(PATIENCE).done();
    let found = events(&folder);
    let stood = found.iter().filter(|event| matches!(event.kind, Kind::SlowCommit | Kind::SlowSync));
    let longest = stood.map(|event| event.numbers["microseconds"]).max();
    assert!(longest.is_some_and(|micros| (1_000_000..6_000_000).contains(&micros)), "{found:#?}");
    assert_eq!(found.last().map(|event| event.kind), Some(Kind::Closed), "what waited was written");
    assert!(found.iter().all(|event| event.kind != Kind::Lost && event.kind != Kind::Overrun));
}
