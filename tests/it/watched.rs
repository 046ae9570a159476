//! `faultless watch` from the command line: files, processes, refusals. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{DEEP, PATIENCE, Started, faultless, is_root, place, record, run, skip, start};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde_json::Value;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn sample(path: &Path, arguments: &str) -> Value {
    run(faultless("watch", path, &format!("--once --json {arguments}"))).done().json()
}

#[test]
fn a_file_is_in_memory_after_a_read_and_not_after_its_cache_was_dropped() {
    let folder = place();
    let path = folder.path().join("a.wav");
    std::fs::write(&path, vec![1; 64 * 4096]).unwrap();
    let file = File::open(&path).unwrap();
    file.sync_all().unwrap();
    let look = |wanted: u64, letter: &str| {
        let sample = sample(&path, "");
        assert_eq!((&sample["kind"], &sample["process"]), (&"faultless-watch".into(), &Value::Null));
        let look = &sample["files"][0];
        assert_eq!(look["cached_bytes"], wanted, "{look}");
        assert_eq!(look["cells"].as_str().unwrap(), letter.repeat(64));
    };
    std::fs::read(&path).unwrap();
    look(64 * 4096, "=");
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    look(0, ".");
    let table = run(faultless("watch", &path, "--once")).done().out;
    assert!(table.contains("/a.wav") && table.contains("on disk"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

fn recording(folder: &Path) -> Started {
    let started = start(record(folder, &format!("--device virtual --inputs 2 {DEEP}")));
    let wav = folder.join("audio");
    let until = Instant::now() + PATIENCE;
    while std::fs::read_dir(&wav).map_or(0, Iterator::count) < 2 {
        assert!(Instant::now() < until, "{}", started.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    started
}

#[test]
fn the_locked_windows_of_a_recorder_are_shown_as_locked_and_its_threads_with_their_faults() {
    let folder = place();
    let session = folder.path().join("s");
    let started = recording(&session);
    let pid = started.pid();
    let until = Instant::now() + PATIENCE;
    let sample = loop {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faultless"));
        command.args(["watch", "--once", "--json", "--pid", &pid.to_string()]);
        let sample = run(command).done().json();
        let has_locked = |look: &&Value| look["mapped"]["locked_bytes"].as_u64() > Some(0);
        if sample["files"].as_array().unwrap().iter().any(|look| has_locked(&look)) || until < Instant::now() {
            break sample;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let files = sample["files"].as_array().unwrap();
    // Files with most locked memory come first.
    let locked = &files[0];
    assert!(locked["mapped"]["locked_bytes"].as_u64() >= Some(4096), "{sample}");
    assert!(locked["cells"].as_str().unwrap().contains('L'), "{locked}");
    let threads = sample["process"]["threads"].as_array().unwrap();
    let audio = threads.iter().find(|thread| thread["name"] == "audio").unwrap();
    assert!(audio["minor_faults"].is_u64() && audio["major_faults"].is_u64(), "{audio}");
    // Without a recorded frame the recorder would call the recording a failure.
    std::thread::sleep(Duration::from_secs(2));
    started.signal("INT");
    started.wait(PATIENCE).done();
}

#[test]
fn a_watcher_prints_a_sample_each_second_and_ends_with_its_process() {
    let folder = place();
    let session = folder.path().join("s");
    let recorder = recording(&session);
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultless"));
    command.args(["watch", "--json", "--pid", &recorder.pid().to_string()]);
    let watcher = start(command);
    std::thread::sleep(Duration::from_millis(2500));
    recorder.signal("INT");
    recorder.wait(PATIENCE).done();
    let out = watcher.wait(PATIENCE).done().out;
    let lines: Vec<&str> = out.lines().collect();
    let samples: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(2 <= samples.len() && samples.len() + 1 == lines.len(), "{out}");
    let rate = |sample: &Value| sample["process"]["threads"][0]["minor_faults_per_second"].is_f64();
    assert!(!rate(&samples[0]) && rate(&samples[1]), "{out}");
    assert!(lines.last().unwrap().contains("there is no such process, or it has ended"), "{out}");
}

#[test]
fn a_watch_of_nothing_or_of_something_that_is_not_there_is_one_line() {
    let folder = place();
    let missing = folder.path().join("missing");
    run(faultless("watch", &missing, "--once")).refused(&["missing: there is no such file"]);
    let mut nothing = Command::new(env!("CARGO_BIN_EXE_faultless"));
    nothing.arg("watch");
    run(nothing).refused(&["nothing to watch", "--pid"]);
    run(faultless("watch", folder.path(), "--once --pid 4194303"))
        .refused(&["process 4194303: there is no such process"]);
}

/// The program as a user without rights.
fn as_nobody(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faultless"));
    command.uid(65534).gid(65534).args(arguments);
    command
}

#[test]
fn files_and_processes_of_others_say_what_is_needed() {
    const TEST: &str = "watched::files_and_processes_of_others_say_what_is_needed";
    if !is_root() {
        return skip(TEST, "only root can run a program as another user");
    }
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = |name: &str, mode| {
        let path = folder.path().join(name);
        std::fs::write(&path, vec![1; 8192]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let (private, readable) = (path("private", 0o600), path("readable", 0o644));
    let version = as_nobody(&["--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        return skip(TEST, "another user may not start the program in the folder of the build");
    }
    let said = run(as_nobody(&["watch", "--once", "--json", &private, &readable])).done().json();
    let problem = said["files"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("may not be read by this user") && problem.contains("sudo"), "{said}");
    assert_eq!(said["files"][1]["cached_bytes"], Value::Null);
    assert!(said["notes"][0].as_str().unwrap().contains("only to its owner"), "{said}");
    let pid = std::process::id().to_string();
    let said = run(as_nobody(&["watch", "--once", "--json", "--pid", &pid])).done().json();
    assert!(said["notes"].to_string().contains("its mappings are not known: not permitted"), "{said}");
    assert!(said["process"]["threads"].as_array().unwrap().len() > 1, "counters of faults are for everybody");
}
