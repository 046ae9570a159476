//! Links, pipes, devices and hard links in place of a session's files and folders. Thread: test.

use super::World;
use crate::util::{contents, faultless, is_root, run, skip_part};
use faultless::peaks::{PeakStore, WaveformState};
use faultless::session::session_file::open_read_only;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn minute_a_folder_of_the_session_that_is_a_link_is_not_written_through() {
    for name in ["audio", "trash", "history", "peaks", "export"] {
        let world = World::new();
        let folder = world.session().join(name);
        fs::remove_dir_all(&folder).unwrap();
        symlink(world.outside().join("folder"), &folder).unwrap();
        for mode in ["record", "recover"] {
            let run = world.survives(name, mode);
            assert_eq!(run.code, Some(1), "{name}: {}", run.err);
            assert!(run.err.contains(&format!("{name} is a link")), "{name}: {}", run.err);
        }
        for mode in ["play", "export"] {
            let run = world.survives(name, mode);
            assert_eq!(run.code, Some(i32::from(name == "audio")), "{name}: {}", run.err);
        }
        world.survives(name, "doctor");
    }
}

#[test]
fn minute_a_take_that_is_no_file_of_the_session_is_named_and_the_other_is_played() {
    type Make = fn(&World, &Path);
    let mut kinds: Vec<(&str, Make)> = vec![
        ("link", |world, path| symlink(world.outside().join("x.wav"), path).unwrap()),
        ("link to nothing", |_, path| symlink("nowhere", path).unwrap()),
        ("link to itself", |_, path| symlink(path, path).unwrap()),
        ("link to a device", |_, path| symlink("/dev/zero", path).unwrap()),
        ("pipe", |_, path| fifo(path)),
        ("folder", |_, path| fs::create_dir(path).unwrap()),
        ("socket", |_, path| drop(UnixListener::bind(path).unwrap())),
    ];
    if is_root() {
        kinds.push(("device", |_, path| {
            assert!(Command::new("mknod").arg(path).args(["c", "1", "5"]).status().unwrap().success());
        }));
    } else {
        skip_part("a take that is a device", "needs root");
    }
    for (kind, make) in kinds {
        let world = World::new();
        fs::remove_file(world.take(1)).unwrap();
        make(&world, &world.take(1));
        let played = world.survives(kind, "play");
        assert!(
            played.code == Some(1) && played.err.contains("In 1-1.wav") && played.err.contains(", silent there: "),
            "{kind}: {}",
            played.err
        );
        for mode in ["export", "mix"] {
            let run = world.survives(kind, mode);
            assert_eq!(run.code, Some(1), "{kind}: {}", run.err);
            assert!(run.err.contains("In 1-1.wav"), "{kind}: {}", run.err);
        }
        world.survives(kind, "recover").done();
        world.survives(kind, "record").done();
    }
}

#[test]
fn a_take_that_was_cut_off_and_is_no_file_of_the_session_is_left_alone() {
    for kind in ["link", "pipe", "second name of a letter"] {
        let world = World::new();
        world.rewrite(|session| {
            session["takes"][0]["state"] = "recording".into();
        });
        fs::remove_file(world.take(1)).unwrap();
        match kind {
            "link" => symlink(world.outside().join("x.wav"), world.take(1)).unwrap(),
            "pipe" => fifo(&world.take(1)),
            _ => fs::hard_link(world.outside().join("letter"), world.take(1)).unwrap(),
        }
        let run = world.survives(kind, "recover");
        assert_eq!(run.code, Some(1), "{kind}: {}", run.err);
        assert!(run.err.contains("In 1-1.wav"), "{kind}: {}", run.err);
    }
}

#[test]
fn a_sessions_file_or_lock_that_is_something_else_is_refused_without_waiting() {
    for name in ["session.json", "session.lock"] {
        for kind in ["link", "pipe", "folder"] {
            let world = World::new();
            let path = world.session().join(name);
            fs::remove_file(&path).unwrap();
            match kind {
                "link" => symlink(world.outside().join("letter"), &path).unwrap(),
                "pipe" => fifo(&path),
                _ => fs::create_dir(&path).unwrap(),
            }
            let what = format!("{name} is a {kind}");
            for run in world.survives_all(&what).iter().skip(if name == "session.lock" { 3 } else { 0 }) {
                assert_eq!(run.code, Some(1), "{what}: {}", run.err);
                assert!(run.err.contains(name) && run.err.contains("link or a special file"), "{what}: {}", run.err);
            }
        }
    }
}

#[test]
fn a_lock_or_a_sessions_file_with_a_second_name_outside_leaves_that_as_it_is() {
    let world = World::new();
    let lock = world.session().join("session.lock");
    fs::remove_file(&lock).unwrap();
    fs::hard_link(world.outside().join("letter"), &lock).unwrap();
    let file = world.session().join("session.json");
    fs::rename(&file, world.outside().join("session.json")).unwrap();
    fs::hard_link(world.outside().join("session.json"), &file).unwrap();
    world.survives("record", "record").done();
    assert_eq!(fs::read_to_string(world.outside().join("letter")).unwrap(), "dear");
    // The lock worked nevertheless.
    assert_eq!(open_read_only(&world.session()).unwrap().takes().len(), 4);
}

#[test]
fn names_among_the_kept_versions_that_nobody_gave_do_no_harm() {
    let world = World::new();
    let history = world.session().join("history");
    for name in
        ["session-4294967295.json", "session-999999999.json", "session--1.json", "session-01.json", "a\nb", "\u{202e}"]
    {
        fs::write(history.join(name), "{}").unwrap();
    }
    fs::create_dir(history.join("session-999999998.json")).unwrap();
    symlink(world.outside().join("letter"), history.join("session-999999997.json")).unwrap();
    fifo(&history.join("session-999999996.json"));
    world.survives_all("history");
    fs::write(world.session().join("session.json"), "{").unwrap();
    for run in world.survives_all("history") {
        assert!(run.err.contains("session.json: damaged"), "{}", run.err);
    }
}

#[test]
fn waveforms_are_not_kept_in_a_folder_that_leads_out_of_the_session() {
    let world = World::new();
    let session = open_read_only(&world.session()).unwrap();
    let take = &session.takes()[0];
    let wave = |folder: &Path| {
        let mut store = PeakStore::start(folder).unwrap();
        store.request(take.uuid, &folder.join(take.path()));
        let until = Instant::now() + Duration::from_secs(20);
        while store.state_of(take.uuid) != Some(WaveformState::Ready) {
            assert!(Instant::now() < until, "{:?}", store.state_of(take.uuid));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let peaks = world.session().join("peaks");
    wave(&world.session());
    assert_eq!(contents(&peaks).len(), 1);
    fs::remove_dir_all(&peaks).unwrap();
    let folder = world.outside().join("folder");
    let part = folder.join(format!(".{}.peaks.part", take.uuid));
    fs::write(&part, "somebody's").unwrap();
    symlink(&folder, &peaks).unwrap();
    wave(&world.session());
    assert_eq!(contents(&folder).into_keys().collect::<Vec<_>>(), [part]);
}

#[test]
fn a_pipe_as_a_signal_blocks_nothing() {
    let world = World::new();
    let pipe = world.outside().join("pipe.wav");
    fifo(&pipe);
    let arguments = format!("--device virtual:free --inputs 1 --seconds 0.1 --signal file={}", pipe.display());
    run(faultless("record", &world.place.path().join("new"), &arguments)).refused(&["pipe.wav", "not a regular file"]);
}

#[test]
fn a_spool_whose_name_would_write_to_the_terminal_is_listed_in_one_plain_line() {
    let world = World::new();
    let folder = world.place.path().join(format!("run/faultless-{}", nix::unistd::getuid()));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let id = "00000000-0000-4000-8000-000000000001";
    let page = serde_json::json!({"faultless_spool": 1, "take": id, "session": id, "pass": id, "frame_bytes": 3,
        "wav": "/x\n\u{1b}[2J/audio/a\nb.wav"});
    for name in ["a.spool", "b\nc\u{1b}[2J.spool"] {
        let path = folder.join(name);
        fs::write(&path, format!("{page}\n{}", " ".repeat(8192))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultless"));
    command.arg("recover").env("XDG_RUNTIME_DIR", world.place.path().join("run"));
    let run = run(command).done();
    let ours: Vec<&str> = run.out.lines().filter(|line| line.contains("its session is not at")).collect();
    assert!(2 <= ours.len() && !run.out.contains('\u{1b}'), "{}", run.out);
    assert!(run.out.lines().all(|line| line.contains(".spool")), "{}", run.out);
}
