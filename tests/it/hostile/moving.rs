//! Files that another program changes while Faultless has them open. Thread: test.

use super::World;
use crate::util::{DEEP, PATIENCE, Started, check, edit, faultless, record, start};
use faultless::session::session_file::open_read_only;
use faultless::time::FramePos;
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A world with two more takes, of three seconds each.
fn long() -> World {
    let world = World::new();
    crate::util::run(record(&world.session(), "--device virtual:free --inputs 2 --seconds 3")).done();
    edit(&world.session(), |session| {
        let takes: Vec<_> = session.takes()[2..].iter().map(|take| (take.track, take.id)).collect();
        for (track, take) in takes {
            session.choose_take(track, take, FramePos(0), FramePos(144_000)).unwrap();
        }
    });
    world
}

fn play(world: &World) -> Started {
    let program = start(faultless("play", &world.session(), &format!("--device virtual --seconds 2.5 --json {DEEP}")));
    std::thread::sleep(Duration::from_millis(700));
    program
}

#[test]
fn minute_a_take_that_is_changed_while_it_plays_blocks_nothing() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 7] = [
        ("cut to nothing", |take| File::options().write(true).open(take).unwrap().set_len(0).unwrap()),
        ("cut and grown", |take| {
            let file = File::options().write(true).open(take).unwrap();
            file.set_len(5_000).unwrap();
            file.set_len(1 << 40).unwrap();
        }),
        ("overwritten", |take| {
            let mut file = File::options().read(true).write(true).open(take).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(&vec![0xff; bytes.len()]).unwrap();
        }),
        ("another in its place", |take| {
            fs::write(take.with_extension("new"), "RIFF").unwrap();
            fs::rename(take.with_extension("new"), take).unwrap();
        }),
        ("removed", |take| fs::remove_file(take).unwrap()),
        ("a link in its place", |take| {
            fs::remove_file(take).unwrap();
            symlink("/dev/zero", take).unwrap();
        }),
        ("a pipe in its place", |take| {
            fs::remove_file(take).unwrap();
            assert!(Command::new("mkfifo").arg(take).status().unwrap().success());
        }),
    ];
    let worlds: Vec<_> = changes.iter().map(|(what, change)| (what, change, long())).collect();
    let playing: Vec<_> = worlds.iter().map(|(what, change, world)| (what, change, world, play(world))).collect();
    for (_, change, world, _) in &playing {
        change(&world.session().join("audio/In 1-2.wav"));
    }
    for (what, _, _, program) in playing {
        let run = program.wait(PATIENCE);
        // A file that was cut is silent after its end. Every other change leaves the file that is open as it was.
        assert!(matches!(run.code, Some(0 | 1)), "{what}: {}", run.err);
        assert_eq!(run.code == Some(1), run.err.contains("cut short by another program"), "{what}: {}", run.err);
        assert_eq!(run.json()["frames"], json!(120_000), "{what}: {}", run.err);
        assert!(!run.err.contains("panicked"), "{what}: {}", run.err);
    }
}

/// Waits until the session lists the takes that are being recorded.
fn await_takes(folder: &Path) {
    let until = Instant::now() + PATIENCE;
    while open_read_only(folder).is_ok_and(|session| session.takes().len() < 4) {
        assert!(Instant::now() < until, "no take");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn minute_another_programs_version_of_the_session_is_kept_and_nothing_recorded_is_lost() {
    for kind in ["other text", "another session", "a link", "a pipe", "nothing"] {
        let world = World::new();
        let folder = world.session();
        let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 1.2 {DEEP}")));
        await_takes(&folder);
        let file = folder.join("session.json");
        let other = r#"{"version": 1, "id": "00000000-0000-4000-8000-000000000001", "rate": 48000, "format": "s16", "next_id": 1}"#;
        let swap = |make: &dyn Fn()| {
            fs::remove_file(&file).unwrap();
            make();
        };
        match kind {
            "other text" => fs::write(&file, "a letter").unwrap(),
            "another session" => fs::write(&file, other).unwrap(),
            "a link" => swap(&|| symlink(world.outside().join("letter"), &file).unwrap()),
            "a pipe" => swap(&|| assert!(Command::new("mkfifo").arg(&file).status().unwrap().success())),
            _ => swap(&|| {}),
        }
        let run = program.wait(PATIENCE).done();
        assert!(!run.err.contains("panicked"), "{kind}: {}", run.err);
        let session = open_read_only(&folder).unwrap();
        assert_eq!(session.takes().len(), 4, "{kind}");
        assert_eq!(check(&folder).last().map(|pass| (pass.takes, pass.frames)), Some((2, 57_600)), "{kind}");
        assert_eq!(fs::read_to_string(world.outside().join("letter")).unwrap(), "dear", "{kind}");
        if kind == "other text" || kind == "another session" {
            let kept = fs::read_dir(folder.join("history")).unwrap();
            let found = kept.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
            let want = if kind == "other text" { "a letter" } else { other };
            assert!(found.into_iter().any(|text| text == want), "{kind}: what was there is kept");
        }
    }
}

#[test]
fn a_session_that_cannot_be_saved_any_more_says_so_and_its_takes_are_recovered() {
    let world = World::new();
    let folder = world.session();
    let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 1.2 {DEEP}")));
    await_takes(&folder);
    let file = folder.join("session.json");
    let good = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let run = program.wait(PATIENCE);
    assert!(run.err.contains("session.json is a link or a special file"), "{}", run.err);
    fs::remove_dir(&file).unwrap();
    fs::write(&file, good).unwrap();
    world.survives("put right", "recover").done();
    assert_eq!(check(&folder).last().map(|pass| (pass.takes, pass.frames)), Some((2, 57_600)));
}

#[test]
fn minute_a_take_that_is_changed_while_it_is_recorded_is_no_worse_than_was_asked_for() {
    for kind in ["cut", "removed", "a link"] {
        let world = World::new();
        let folder = world.session();
        let program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 1.5 {DEEP}")));
        await_takes(&folder);
        std::thread::sleep(Duration::from_millis(500));
        let take = folder.join("audio/In 1-2.wav");
        match kind {
            "cut" => File::options().write(true).open(&take).unwrap().set_len(0).unwrap(),
            _ => fs::remove_file(&take).unwrap(),
        }
        if kind == "a link" {
            symlink(world.outside().join("letter"), &take).unwrap();
        }
        let run = program.wait(PATIENCE);
        assert!(matches!(run.code, Some(0 | 1)) && !run.err.contains("panicked"), "{kind}: {:?} {}", run.code, run.err);
        assert_eq!(fs::read_to_string(world.outside().join("letter")).unwrap(), "dear", "{kind}");
        // The other take is complete.
        let (_, samples) = crate::util::read_wav(&folder.join("audio/In 2-2.wav"));
        assert_eq!(samples.len(), 72_000, "{kind}");
    }
}
