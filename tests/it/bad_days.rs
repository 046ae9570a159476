//! Bad input and bad environments: each ends in one line that names the thing and the reason, and nothing is lost.
//! Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::await_sound;
use crate::util::{
    PATIENCE, Run, before, check, contents, faultless, is_root, place, record, run, skip, start, stranger, with_program,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A session with two takes of half a second and an earlier version that is kept.
fn session() -> (TempDir, PathBuf) {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.5")).done();
    (place, folder)
}

/// Checks that the command is refused with these words and changes nothing in the session but the event log.
#[track_caller]
fn refused_and_unchanged(command: Command, folder: &Path, words: &[&str]) -> Run {
    let (mut before, events) = (contents(folder), folder.join("events.jsonl"));
    let run = run(command);
    run.refused(words);
    let mut after = contents(folder);
    before.remove(&events);
    after.remove(&events);
    assert!(before.keys().eq(after.keys()), "{:?} {:?}", before.keys(), after.keys());
    assert!(before == after, "a file has changed: {}", run.err);
    run
}

#[test]
fn a_device_that_is_not_there_is_named_and_makes_no_session() {
    let place = place();
    let folder = place.path().join("session");
    let cases = [
        ("--device tape:1", vec!["tape:1", "virtual", "alsa:NAME"]),
        ("--device alsa:no_such_card_here", vec!["no_such_card_here"]),
        ("--device alsa:hw:CARD=Nowhere,DEV=9", vec!["Nowhere"]),
        ("--device virtual:fast", vec!["virtual:fast", "unknown option"]),
        ("--device virtual:xrun=5", vec!["xrun=5", "two numbers"]),
        ("--device virtual:loop=99999999", vec!["loop=99999999"]),
        ("--device virtual --inputs 5000", vec!["5000 inputs", "1024"]),
        ("--device virtual --rate 1", vec!["1 Hz", "8000"]),
        ("--device virtual --rate 4000000000", vec!["4000000000 Hz", "384000"]),
        ("--device virtual --period 3", vec!["3 frames", "16"]),
        ("--device virtual --period 1000000", vec!["--period 1000000", "8192"]),
        ("--device virtual --signal file=/nowhere/at/all.wav", vec!["/nowhere/at/all.wav"]),
        ("--device virtual --signal file=/dev/null", vec!["/dev/null"]),
        ("--device virtual --signal hum", vec!["hum", "ramp"]),
    ];
    for (arguments, words) in cases {
        let seconds = "--seconds 5";
        run(faultless("record", &folder, &format!("{arguments} {seconds}"))).refused(&words);
        assert!(!folder.exists(), "{arguments}");
    }
}

#[test]
fn a_rate_that_is_not_the_sessions_is_refused() {
    let (_place, folder) = session();
    let wrong = "--device virtual:free --rate 44100 --seconds 1 --inputs 1";
    refused_and_unchanged(record(&folder, wrong), &folder, &["48000 Hz", "44100 Hz"]);
}

#[test]
fn what_is_no_session_is_named_and_left_alone() {
    let place = place();
    let to = place.path().join("to").display().to_string();
    let missing = place.path().join("missing");
    let file = place.path().join("file");
    fs::write(&file, "a letter").unwrap();
    let other = place.path().join("letters");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "dear").unwrap();
    for path in [&missing, &file, &other] {
        let name = path.display().to_string();
        run(faultless("play", path, "--device virtual:free")).refused(&[&name]);
        run(faultless("export", path, &format!("--to {to}"))).refused(&[&name]);
    }
    for path in [&file, &other] {
        run(record(path, "--device virtual:free --inputs 1 --seconds 0.1")).refused(&[&path.display().to_string()]);
    }
    assert!(!missing.exists() && !Path::new(&to).exists());
    assert_eq!(fs::read(&file).unwrap(), b"a letter");
    assert_eq!(contents(&other).len(), 1);
    // No folder can be made below a file.
    let below = file.join("session");
    run(record(&below, "--device virtual:free --inputs 1 --seconds 0.1")).refused(&[&below.display().to_string()]);
}

#[test]
fn a_damaged_or_newer_session_is_refused_by_every_mode_and_kept() {
    let (place, folder) = session();
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.1")).done();
    let good = fs::read_to_string(folder.join("session.json")).unwrap();
    let kept: Vec<String> = fs::read_dir(folder.join("history"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!kept.is_empty());
    let cut = good[..good.len() / 2].to_owned();
    let newer = good.replacen("\"version\": 1", "\"version\": 7", 1);
    assert_ne!(newer, good);
    let cases: Vec<(&str, String, Vec<&str>)> = vec![
        ("cut", cut, vec!["damaged", "line", "kept version"]),
        ("empty", String::new(), vec!["damaged", "kept version"]),
        ("zeros", "\0".repeat(5000), vec!["damaged", "kept version"]),
        ("other", "[1, 2]".to_owned(), vec!["kept version"]),
        ("newer", newer, vec!["newer Faultless", "version 7"]),
        ("out", good.replacen("audio/In 1-1.wav", "../../../etc/passwd", 1), vec!["damaged"]),
    ];
    let to = place.path().join("to").display().to_string();
    for (name, text, mut words) in cases {
        fs::write(folder.join("session.json"), text).unwrap();
        words.push("session.json");
        for command in [
            record(&folder, "--device virtual:free --inputs 2 --seconds 0.1"),
            faultless("play", &folder, "--device virtual:free"),
            faultless("export", &folder, &format!("--to {to}")),
        ] {
            refused_and_unchanged(command, &folder, &words);
        }
        assert!(!Path::new(&to).exists(), "{name}");
    }
    // The file is gone: the kept versions and the takes still belong to a session.
    fs::remove_file(folder.join("session.json")).unwrap();
    refused_and_unchanged(record(&folder, "--device virtual:free --inputs 2 --seconds 0.1"), &folder, &["session"]);
}

#[test]
fn an_export_never_replaces_and_names_what_it_lacks() {
    let (place, folder) = session();
    let to = place.path().join("to");
    let export = |more: &str| faultless("export", &folder, &format!("--to {} {more}", to.display()));
    run(export("")).done();
    let before = contents(&to);
    assert_eq!(before.len(), 2);
    run(export("")).refused(&["In 1", "the file exists"]);
    run(export("--format s16")).refused(&["In 1"]);
    run(export("--tracks 7")).refused(&["7"]);
    run(export("--tracks 0")).refused(&["0"]);
    run(export("--tracks one")).refused(&["one"]);
    run(export("--from 5 --until 3")).refused(&[&folder.display().to_string()]);
    run(export("--from noon")).refused(&["noon"]);
    assert!(before == contents(&to), "files that were there have changed");
    let into = faultless("export", &folder, &format!("--to {}", folder.join("audio").display()));
    refused_and_unchanged(into, &folder, &["audio"]);
    // A take is missing: the other track is exported, and the program says so and fails.
    fs::remove_file(folder.join("audio/In 2-1.wav")).unwrap();
    let elsewhere = place.path().join("elsewhere");
    let told = run(faultless("export", &folder, &format!("--to {}", elsewhere.display())));
    assert!(told.code == Some(1) && told.err.contains("track 2 (In 2), silent there: "), "{}", told.err);
    assert!(told.err.contains("In 2-1.wav: the take's file is missing"), "{}", told.err);
    assert!(contents(&elsewhere).keys().eq([&elsewhere.join("01 In 1.wav")]), "{:?}", contents(&elsewhere).keys());
}

#[test]
fn an_export_says_how_to_get_the_sound_of_a_pass_that_runs_or_was_cut_off_and_removes_killed_exports() {
    let place = place();
    let (folder, to) = (place.path().join("session"), place.path().join("to"));
    let export = |more: &str| run(faultless("export", &folder, &format!("--to {} {more}", to.display())));
    let program = start(record(&folder, "--device virtual --inputs 2 --seconds 600"));
    await_sound(&folder.join("audio/In 2-1.wav"));
    export("").refused(&["being recorded"]);
    program.signal("KILL");
    program.wait(PATIENCE);
    let name = format!("faultless recover {}", folder.display());
    export("").refused(&[&name]);
    export("--mix").refused(&[&name]);
    assert!(!to.exists());
    run(faultless("recover", &folder, "")).done();
    fs::create_dir(&to).unwrap();
    fs::write(to.join(".faultless-4194304-0.part"), "half a stem").unwrap();
    export("").done();
    let files = contents(&to);
    assert!(files.keys().eq([&to.join("01 In 1.wav"), &to.join("02 In 2.wav")]), "{:?}", files.keys());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let Some(stranger) = stranger(8192) else {
        return skip("a_folder_that_cannot_be_written", "needs an ordinary user: setpriv or not being root");
    };
    let folder = stranger.path().join("session");
    run(stranger.program("record", &folder, "--device virtual:free --inputs 2 --seconds 0.5 --signal ramp")).done();
    let closed = |mode: u32| {
        for path in [folder.clone(), folder.join("audio"), folder.join("history"), folder.join("session.json")] {
            let bits = if path.is_dir() { mode } else { mode & 0o666 };
            fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
        }
    };
    closed(0o555);
    let again = "--device virtual:free --inputs 2 --seconds 0.1 --json";
    refused_and_unchanged(stranger.program("record", &folder, again), &folder, &[&folder.display().to_string()]);
    let to = stranger.path().join("to").display().to_string();
    run(stranger.program("export", &folder, &format!("--to {to}"))).done();
    // A folder in which this user may make no session.
    let shut = stranger.path().join("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o555)).unwrap();
    let inside = shut.join("session");
    run(stranger.program("record", &inside, again)).refused(&[&inside.display().to_string()]);
    closed(0o755);
    assert_eq!(check(&folder).len(), 1);
}

#[test]
fn limits_that_deny_everything_are_reported_and_cost_no_frame() {
    let Some(stranger) = stranger(0) else {
        return skip("limits_that_deny_everything", "needs an ordinary user: setpriv or not being root");
    };
    let folder = stranger.path().join("session");
    let arguments = "--device virtual:free --inputs 24 --seconds 1 --signal ramp";
    let told = run(stranger.program("record", &folder, arguments)).done();
    assert!(told.err.contains("locked memory: 0 KiB do not hold"), "{}", told.err);
    assert!(told.err.contains("SCHED_OTHER") && told.err.contains("to change that:"), "{}", told.err);
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames, found.lost), (24, 48_000, 0));
    let played = run(stranger.program("play", &folder, "--device virtual:free --json")).done();
    assert_eq!(played.json()["dropouts"], 0);
}

#[test]
fn too_few_open_files_are_one_line() {
    let place = place();
    let folder = place.path().join("session");
    let program = record(&folder, "--device virtual:free --inputs 64 --seconds 0.1");
    let told = run(before("prlimit --nofile=60:60 --", &program));
    told.refused(&["64 takes need", "open files", "ulimit -n"]);
    assert_eq!(fs::read_dir(folder.join("audio")).unwrap().count(), 0);
}

#[test]
fn a_limit_of_file_sizes_is_an_error_of_every_mode_that_writes_and_leaves_nothing_half() {
    let (place, folder) = session();
    let limited = |bytes: u32, command: &Command| run(before(&format!("prlimit --fsize={bytes}:{bytes} --"), command));
    let to = place.path().join("to");
    let export = faultless("export", &folder, &format!("--to {}", to.display()));
    limited(40_000, &export).refused(&["In 1.wav", "too large"]);
    assert!(!to.exists(), "{:?}", contents(&to));
    let cut_off = place.path().join("cut-off");
    let program = start(record(&cut_off, "--device virtual --inputs 1 --seconds 600"));
    await_sound(&cut_off.join("audio/In 1-1.wav"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    program.signal("KILL");
    program.wait(PATIENCE);
    limited(200_000, &faultless("recover", &cut_off, "")).refused(&["not recovered"]);
    run(faultless("recover", &cut_off, "")).done();
    assert!(check(&cut_off)[0].frames > 90_000, "the sound is still there");
}

#[test]
fn root_a_disk_that_is_full_at_the_start_is_one_line_and_leaves_nothing_half() {
    let image = crate::util::Image::up("ext4", "24M");
    let folder = image.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.2")).done();
    // The disk is filled to the last block.
    let filler = fs::File::create(image.path().join("filler")).unwrap();
    let stat = nix::sys::statvfs::statvfs(image.path()).unwrap();
    let free = stat.blocks_free() * stat.fragment_size();
    let mut at = free - (1 << 20);
    nix::fcntl::posix_fallocate(&filler, 0, at as i64).unwrap();
    while std::os::unix::fs::FileExt::write_all_at(&filler, &[1; 1024], at).is_ok() {
        at += 1024;
    }
    filler.sync_all().unwrap();
    let takes = contents(&folder.join("audio"));
    let again = "--device virtual:free --inputs 2 --seconds 0.2";
    run(record(&folder, again)).refused(&["the disk is full", "In 1-2.wav"]);
    assert!(takes == contents(&folder.join("audio")), "takes are as they were, and no empty one is left");
    run(record(&image.path().join("other"), again)).refused(&["space"]);
    drop(filler);
    fs::remove_file(image.path().join("filler")).unwrap();
    run(record(&folder, again)).done();
    assert_eq!(check(&folder).len(), 2);
}

#[test]
fn root_a_disk_that_is_read_only_is_one_line_and_can_still_be_exported() {
    assert!(is_root());
    let image = crate::util::Image::up("ext4", "64M");
    let folder = image.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 2 --seconds 0.2")).done();
    image.remount("ro");
    let again = "--device virtual:free --inputs 2 --seconds 0.2";
    run(record(&folder, again)).refused(&[&folder.display().to_string()]);
    let place = place();
    run(faultless("export", &folder, &format!("--to {}", place.path().join("to").display()))).done();
    image.remount("rw");
    run(with_program(Command::new(env!("CARGO_BIN_EXE_faultless")), "record", &folder, again)).done();
}
