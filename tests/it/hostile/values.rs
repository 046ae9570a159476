//! Hostile values in a session's file. Thread: test.

use super::World;
use crate::util::{faultless, run};
use serde_json::{Value, json};
use std::fs;
use std::time::Instant;

/// Changes one value of the file. Every mode refuses the session and names the file.
#[track_caller]
fn refused(what: &str, change: impl Fn(&mut Value)) {
    let world = World::new();
    world.rewrite(change);
    let before = fs::read(world.session().join("session.json")).unwrap();
    for run in world.survives_all(what) {
        assert_eq!(run.code, Some(1), "{what}: {}", run.err);
        assert!(run.err.contains("session.json: damaged"), "{what}: {}", run.err);
    }
    assert_eq!(fs::read(world.session().join("session.json")).unwrap(), before, "{what}: it is kept");
}

#[test]
fn minute_a_take_whose_name_leads_out_of_the_session_is_refused() {
    for name in ["../x.wav", "audio/../../outside/x.wav", "/etc/passwd", "audio/", "audio/..", "audio/a/b.wav", ""] {
        refused(name, |session| session["takes"][0]["file"] = json!(name));
    }
    for name in ["audio/a\nb.wav", "audio/a\u{1b}[2Jb.wav", "audio/\u{202e}vaw.wav", "audio/a\0.wav"] {
        refused(name, |session| session["takes"][0]["file"] = json!(name));
    }
}

#[test]
fn minute_names_that_would_write_to_the_terminal_are_refused_in_one_plain_line() {
    let bad = "x\n\u{1b}]0;owned\u{7}y";
    refused("session", |session| session["name"] = json!(bad));
    refused("track", |session| session["tracks"][0]["name"] = json!(bad));
    refused("marker", |session| session["markers"] = json!([{"id": 1_000, "at": 0, "name": bad}]));
    refused("device", |session| session["takes"][0]["accounts"]["device"] = json!(bad));
    // These must be one of a few words. The error message quotes the wrong one.
    refused("format", |session| session["format"] = json!(bad));
    refused("monitor", |session| session["tracks"][0]["monitor"] = json!(bad));
    refused("state", |session| session["takes"][0]["state"] = json!(bad));
    refused("id", |session| session["id"] = json!(bad));
    refused("long", |session| session["format"] = json!("x".repeat(1 << 20)));
}

#[test]
fn minute_numbers_that_overflow_are_refused() {
    for number in [u64::MAX, i64::MAX as u64, (1 << 53) + 1] {
        refused("frames", |session| session["takes"][0]["frames"] = json!(number));
        refused("start", |session| session["takes"][0]["start"] = json!(number));
        refused("region", |session| session["tracks"][0]["regions"][0]["start"] = json!(number));
        refused("length", |session| session["tracks"][0]["regions"][0]["length"] = json!(number));
        refused("take_start", |session| session["tracks"][0]["regions"][0]["take_start"] = json!(number));
        refused("next_id", |session| session["next_id"] = json!(number));
    }
    refused("loss", |session| session["takes"][0]["losses"] = json!([{"at": u64::MAX, "frames": u64::MAX}]));
    refused("rate", |session| session["rate"] = json!(u32::MAX));
    refused("channels", |session| session["takes"][0]["channels"] = json!(u32::MAX));
    refused("input", |session| session["tracks"][0]["inputs"] = json!([u32::MAX]));
}

#[test]
fn ten_thousand_tracks_are_refused_by_their_number() {
    let world = World::new();
    world.rewrite(|session| {
        let track = |id: u64| json!({"id": id, "inputs": [0]});
        session["tracks"] = (1..=10_000).map(|id| track(1_000 + id)).collect();
        session["takes"] = json!([]);
        session["next_id"] = json!(100_000);
    });
    for run in world.survives_all("10,000 tracks") {
        assert!(run.err.contains("10000 tracks, where 1024 can be"), "{}", run.err);
    }
}

#[test]
fn minute_as_many_tracks_as_there_can_be_are_played_exported_and_recorded() {
    let world = World::new();
    world.rewrite(|session| {
        let track = |id: u64| json!({"id": 1_000 + id, "name": "", "inputs": [id % 1024], "armed": true,
            "regions": [{"id": 10_000 + id, "take": session["takes"][0]["id"], "start": id, "take_start": 0, "length": 100}]});
        session["tracks"] = (0..1024).map(track).collect();
        session["next_id"] = json!(100_000);
    });
    for run in world.survives_all("1,024 tracks") {
        run.done();
    }
}

#[test]
fn ten_thousand_takes_that_were_cut_off_and_are_not_there_end_in_a_line_each() {
    let world = World::new();
    world.rewrite(|session| {
        let take = session["takes"][0].clone();
        let one = |number: u64| {
            let mut take = take.clone();
            take["id"] = json!(1_000 + number);
            take["uuid"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
            take["file"] = json!(format!("audio/gone-{number}.wav"));
            (take["pass"], take["state"], take["frames"]) = (json!(number), json!("recording"), json!(0));
            take
        };
        session["takes"] = (0..10_000).map(one).collect();
        session["tracks"][0]["regions"] = json!([]);
        session["tracks"][1]["regions"] = json!([]);
        session["next_id"] = json!(1_000_000);
    });
    // Nothing of their passes has a frame, so they ended before they had begun.
    let run = world.survives("10,000 takes", "recover").done();
    assert_eq!(run.err.matches("the take is listed without sound").count(), 10_000, "{}", run.err.lines().count());
    world.survives("10,000 takes", "export");
    world.survives("10,000 takes", "record").done();
}

#[test]
fn a_second_of_sound_at_the_end_of_time_does_not_fill_the_disk() {
    let world = World::new();
    world.rewrite(|session| session["tracks"][0]["regions"][0]["start"] = json!((1_u64 << 53) - 4_800));
    let runs = world.survives_all("far away");
    for run in &runs[1..3] {
        assert!(run.err.contains("would be written") && run.err.contains("are free"), "{}", run.err);
    }
    assert!(!world.to().exists(), "nothing was begun");
}

#[test]
fn minute_two_bytes_of_json_do_not_become_a_hundred_of_memory() {
    let world = World::new();
    let path = world.session().join("session.json");
    let text = fs::read_to_string(&path).unwrap();
    for (piece, count) in [("0,", 40_000_000), ("{},", 28_000_000), ("[],", 28_000_000)] {
        let many = format!("{{\"more\": [{}0],", piece.repeat(count));
        fs::write(&path, text.replacen('{', &many, 1)).unwrap();
        let from = Instant::now();
        let run = world.survives(piece, "export");
        assert!(run.err.contains("more values than a session has"), "{piece}: {}", run.err);
        eprintln!("{piece}: {:?}", from.elapsed());
    }
    // Each of these values has a name.
    let many = (0..14_000_000_u32).map(|number| format!("\"{number:x}\":0")).collect::<Vec<_>>().join(",") + ",";
    fs::write(&path, text.replacen('{', &format!("{{{many}"), 1)).unwrap();
    assert!(world.survives("names", "export").err.contains("more values than a session has"));
}

#[test]
fn nesting_without_end_is_refused() {
    let world = World::new();
    for deep in ["[", "{\"a\":"] {
        fs::write(world.session().join("session.json"), format!("{{\"version\":1,\"x\":{}", deep.repeat(1_000_000)))
            .unwrap();
        for run in world.survives_all("deep") {
            assert!(run.err.contains("recursion limit"), "{}", run.err);
        }
    }
}

#[test]
fn a_damaged_session_is_restored_with_the_command_that_its_message_names() {
    let world = World::new();
    let file = world.session().join("session.json");
    fs::write(&file, "{").unwrap();
    let refused = run(faultless("play", &world.session(), "--device virtual:free"));
    refused.refused(&["session.json: damaged", "'faultless recover SESSION --restore "]);
    let number = refused.err.split("--restore ").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let restored = run(faultless("recover", &world.session(), &format!("--restore {number}"))).done();
    assert!(restored.err.contains(&format!("version {number} is the session again")), "{}", restored.err);
    run(faultless("play", &world.session(), "--device virtual:free")).done();
    run(faultless("recover", &world.session(), "--restore 999")).refused(&["session-999.json"]);
    run(faultless("recover", &world.session(), "")).done();
}

#[test]
fn a_session_in_a_folder_with_a_line_break_in_its_name_is_reported_in_one_line() {
    let world = World::new();
    let folder = world.place.path().join("a\nb\u{1b}[2J");
    fs::rename(world.session(), &folder).unwrap();
    let played = run(faultless("play", &folder, "--device virtual:free --json")).done();
    assert_eq!(played.json()["frames"], 4_800);
    fs::write(folder.join("session.json"), "{").unwrap();
    let refused = run(faultless("play", &folder, "--device virtual:free"));
    refused.refused(&["session.json: damaged"]);
    assert_eq!(refused.err.lines().count(), 1, "{}", refused.err);
    assert!(!refused.err.contains('\u{1b}'), "{}", refused.err);
}
