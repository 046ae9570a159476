//! Folders in a wrong place, mistyped arguments, a system that refuses: the program says so, makes nothing and changes
//! nothing. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::await_sound;
use crate::util::{PATIENCE, before, check, faultless, place, record, run, start};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ONE_INPUT: &str = "--device virtual:free --inputs 1 --seconds 0.2";

/// Runs a program with this standard output.
fn output_to(mut command: Command, out: Stdio) -> Output {
    command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output().unwrap()
}

fn full() -> Stdio {
    Stdio::from(File::options().write(true).open("/dev/full").unwrap())
}

#[test]
fn a_settings_file_that_cannot_be_read_costs_a_recording_one_caution_and_stays_as_it_is() {
    type Make = fn(&Path);
    let kinds: [Make; 3] = [
        |file| fs::write(file, "{\"period\": ").unwrap(),
        |file| fs::write(file, "{\"zoom\": \"large\"}").unwrap(),
        // A link to itself cannot be opened, by root neither.
        |file| std::os::unix::fs::symlink("settings.json", file).unwrap(),
    ];
    for make in kinds {
        let place = place();
        let settings = place.path().join("config/faultless");
        fs::create_dir_all(&settings).unwrap();
        make(&settings.join("settings.json"));
        let before = fs::read(settings.join("settings.json")).ok();
        let mut command = record(&place.path().join("session"), ONE_INPUT);
        command.env("XDG_CONFIG_HOME", place.path().join("config"));
        let run = run(command).done();
        let told: Vec<&str> = run.err.lines().filter(|line| line.contains("settings.json")).collect();
        assert!(matches!(told[..], [line] if line.starts_with("caution: ")), "{}", run.err);
        assert_eq!(fs::read_dir(&settings).unwrap().count(), 1);
        assert_eq!(fs::read(settings.join("settings.json")).ok(), before);
    }
}

#[test]
fn a_mirror_or_an_overflow_folder_in_a_wrong_place_is_refused_and_makes_nothing() {
    let place = place();
    let folder = place.path().join("song");
    let other = place.path().join("other");
    fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(place.path(), other.join("link")).unwrap();
    let cases = [
        (vec![("--mirror", "song")], "the mirror lies inside the session"),
        (vec![("--mirror", "song/audio")], "the mirror lies inside the session"),
        (vec![("--overflow", "other/../song/x")], "the overflow folder lies inside the session"),
        (vec![("--mirror", "other/link/song")], "the mirror lies inside the session"),
        (vec![("--mirror", "")], "the session itself is in this folder"),
        (vec![("--overflow", "other/link")], "the session itself is in this folder"),
        (vec![("--mirror", "other"), ("--overflow", "other")], "are the same folder"),
        (vec![("--mirror", "other"), ("--overflow", "other/song")], "lie in each other"),
        (vec![("--mirror", "gone/mirror")], "the folder above it does not exist"),
        (vec![("--overflow", "gone/overflow")], "the folder above it does not exist"),
        (vec![("--trace", "gone/x.json")], "the folder above it does not exist"),
    ];
    for (options, words) in cases {
        let mut command = record(&folder, ONE_INPUT);
        for (option, path) in &options {
            command.arg(option).arg(place.path().join(path));
        }
        run(command).refused(&[options[options.len() - 1].0, words]);
        assert!(!folder.exists() && fs::read_dir(place.path()).unwrap().count() == 1, "{options:?}");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "{options:?}");
    }
}

#[test]
fn two_recordings_that_begin_one_new_session_at_once_do_not_accuse_the_disk() {
    for _ in 0..5 {
        let place = place();
        let folder = place.path().join("session");
        let both = [0, 1].map(|_| start(record(&folder, ONE_INPUT)));
        let both = both.map(|program| program.wait(PATIENCE));
        assert!(both.iter().any(|run| run.code == Some(0)), "{}{}", both[0].err, both[1].err);
        for run in &both {
            assert!(!run.err.contains("cannot hold a session"), "{}", run.err);
        }
    }
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure_at_the_end_and_the_take_is_whole() {
    let place = place();
    let folder = place.path().join("session");
    let mut help = Command::new(env!("CARGO_BIN_EXE_faultless"));
    help.arg("--help");
    let export = format!("--json --to {}", place.path().join("to").display());
    let mut devices = Command::new(env!("CARGO_BIN_EXE_faultless"));
    devices.args(["devices", "--json"]);
    let commands = [
        record(&folder, ONE_INPUT),
        faultless("export", &folder, &export),
        faultless("recover", &folder, "--json"),
        faultless("doctor", place.path(), "--json"),
        faultless("watch", &folder.join("audio"), "--once"),
        devices,
        help,
    ];
    for command in commands {
        let shown = format!("{command:?}");
        let run = output_to(command, full());
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(told.contains("standard output: cannot be written: No space left on device"), "{shown}\n{told}");
        assert_eq!(run.status.code(), Some(1), "{shown}\n{told}");
    }
    assert_eq!(check(&folder)[0].frames, 9600);
}

#[test]
fn an_output_whose_reader_has_gone_is_no_failure() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultless"));
    command.args(["devices", "--json"]);
    let run = output_to(command, Stdio::from(OwnedFd::from(theirs)));
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn a_limit_of_open_files_that_holds_no_take_is_named_before_a_file_is_made_and_nothing_panics() {
    for limit in [12, 20, 40] {
        let place = place();
        let folder = place.path().join("session");
        let program = record(&folder, "--device virtual:free --inputs 4 --seconds 0.2");
        let run = run(before(&format!("prlimit --nofile={limit}:{limit} --"), &program));
        assert!(run.code == Some(1) && !run.err.contains("panicked"), "{limit}: {:?}\n{}", run.code, run.err);
        let takes = fs::read_dir(folder.join("audio")).map_or(0, Iterator::count);
        assert_eq!(takes, 0, "{limit}: {}", run.err);
        if limit == 40 {
            run.refused(&["4 takes need", "40 open", "ulimit -n"]);
        }
    }
}

#[test]
fn a_recorder_that_is_stopped_is_said_not_to_answer() {
    let place = place();
    let folder = place.path().join("session");
    let program = start(record(&folder, "--device virtual --inputs 1 --seconds 60"));
    await_sound(&folder.join("audio/In 1-1.wav"));
    program.signal("STOP");
    let number = format!("process {},", program.pid());
    for mode in ["stop", "trace"] {
        run(faultless(mode, &folder, "")).refused(&[&number, "does not answer", "try again"]);
    }
    program.signal("CONT");
    program.signal("INT");
    // Other tests look at the sound that was lost while it was stopped.
    program.wait(PATIENCE);
}
