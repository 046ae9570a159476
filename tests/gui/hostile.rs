//! Tests with hostile sessions and settings. The window opens or refuses each of them with a message, and keeps
//! drawing. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::rig::{Home, Rig};
use faultless::app::snapshot::Stage;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time limit of one picture of the most crowded session, on a busy machine.
const PICTURE_TIME_MAX: Duration = Duration::from_secs(4);

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Opens a window with a session, draws it, and closes it. Returns the stage that it reached.
fn opened(home: Home, session: Option<PathBuf>, what: &str) -> Stage {
    let mut rig = Rig::with_any_letters(home, "virtual", 2, session);
    rig.until(what, |rig| rig.snapshot().stage != Stage::Opening);
    rig.step(5);
    let stage = rig.snapshot().stage;
    rig.close();
    rig.until(what, |rig| rig.app().is_closed());
    stage
}

#[test]
fn minute_every_session_of_the_corpus_is_opened_or_refused_in_one_line() {
    let mut open = 0;
    for path in corpus("session") {
        let home = Home::new();
        let folder = home.path().join("session");
        fs::create_dir_all(folder.join("audio")).unwrap();
        fs::copy(&path, folder.join("session.json")).unwrap();
        let before = fs::read(&path).unwrap();
        match opened(home, Some(folder), &path.display().to_string()) {
            Stage::Open => open += 1,
            Stage::NoSession { reason, .. } => assert!(!reason.contains(char::is_control), "{reason:?}"),
            other => panic!("{}: {other:?}", path.display()),
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    assert!(3 <= open, "{open}");
}

#[test]
fn minute_every_file_of_settings_of_the_corpus_opens_the_window() {
    for path in corpus("settings") {
        let home = Home::new();
        fs::create_dir_all(home.path().join("config")).unwrap();
        fs::copy(&path, home.path().join("config/settings.json")).unwrap();
        assert_eq!(opened(home, None, &path.display().to_string()), Stage::Open, "{}", path.display());
    }
}

#[test]
fn minute_a_crowded_session_is_still_drawn() {
    let home = Home::new();
    let folder = home.path().join("session");
    fs::create_dir_all(folder.join("audio")).unwrap();
    let (tracks, regions, markers) = (64_u64, 4_000_u64, 60_000_u64);
    let take = json!({"id": 1, "uuid": "00000000-0000-4000-8000-000000000010", "track": 2, "pass": 1, "number": 1,
        "file": "audio/gone-1.wav", "channels": 1, "rate": 48_000, "format": "s24", "start": 0, "frames": 480_000_000,
        "state": "complete"});
    let region = |track: u64, at: u64| json!({"id": 1_000_000 + track * regions + at, "take": 1, "start": at * 900, "take_start": at, "length": 800});
    let track = |number: u64| {
        let regions: Vec<Value> = (0..regions).map(|at| region(number, at)).collect();
        json!({"id": 2 + number, "name": format!("Track {number}"), "inputs": [0], "regions": regions})
    };
    let marker = |number: u64| json!({"id": 10_000 + number, "at": number * 50, "name": "x".repeat(100)});
    let session = json!({"version": 1, "id": "00000000-0000-4000-8000-000000000001", "rate": 48_000, "format": "s24",
        "next_id": 100_000_000, "tracks": (0..tracks).map(track).collect::<Vec<_>>(),
        "markers": (0..markers).map(marker).collect::<Vec<_>>(), "takes": [take]});
    fs::write(folder.join("session.json"), session.to_string()).unwrap();
    let mut rig = Rig::at(home, "virtual", 2, Some(folder));
    rig.until("it is open", |rig| rig.snapshot().stage == Stage::Open);
    let from = Instant::now();
    rig.step(8);
    let took = from.elapsed() / 8;
    eprintln!("a picture of {} regions and {markers} markers: {took:?}", tracks * regions);
    assert!(took < PICTURE_TIME_MAX, "{took:?} a picture");
}
