//! The stress scripts of tests/stress, shortened and on a file system of their own: no fault, no wait, no lost frame.
//! Thread: test.
//!
//! tests/stress/accept.sh runs them for a minute each. Lateness is not checked here, because other programs may run
//! at the same time.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{
    Image, PATIENCE, Run, Started, before, check, faultless, record, run, start, stranger, stress_script,
};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECONDS: u32 = 8;

/// With this buffer no computer is too late, so that a lost frame is the program's fault.
const RECORD: &str = "--device virtual --inputs 24 --period 64 --format s24 --buffer 480000";

fn script(name: &str, path: &Path, words: &str) -> Command {
    let mut command = Command::new(stress_script(name));
    command.arg(path).args(words.split_whitespace());
    command
}

/// The script that puts a running program under stress.
type Stress = fn(&Image, &Started) -> Command;

fn sync_storm(image: &Image, _: &Started) -> Command {
    script("sync-storm.sh", image.path(), "6")
}

fn slow_disk(image: &Image, _: &Started) -> Command {
    let mut command = script("slow-disk.sh", image.path(), "6");
    command.env("NEIGHBOUR_BYTES", "100m");
    command
}

fn freeze(image: &Image, _: &Started) -> Command {
    script("freeze.sh", image.path(), "1 5")
}

fn squeeze(image: &Image, program: &Started) -> Command {
    let mut command = Command::new(stress_script("squeeze.sh"));
    command.arg(program.pid().to_string()).arg(image.path()).args(["30", "4"]);
    command
}

/// Starts a program, and a stress once the program works. Returns the output of both.
fn under(image: &Image, program: Command, stress: Stress) -> (Run, Run) {
    let program = start(program);
    std::thread::sleep(Duration::from_millis(1200));
    let stress = start(stress(image, &program));
    let done = program.wait(PATIENCE).done();
    (done, stress.wait(PATIENCE).done())
}

/// The program in a control group of its own, which counts all of its memory from the start.
fn squeezable(program: &Command) -> Command {
    before(&format!("{} in", stress_script("squeeze.sh").display()), program)
}

/// Checks that the audio thread had no page fault and waited only for the device.
#[track_caller]
fn untroubled(run: &Run) -> Value {
    let found = run.json();
    let thread = &found["audio_thread"];
    for count in ["minor_faults", "major_faults", "voluntary_switches"] {
        assert_eq!(thread[count], 0, "{count}: {found}\n{}", run.err);
    }
    found
}

#[track_caller]
fn recorded(image: &Image, run: &Run) {
    let found = untroubled(run);
    assert_eq!((&found["frames_lost"], &found["xruns"]), (&Value::from(0), &Value::from(0)), "{}", run.err);
    let takes = check(&image.path().join("session"));
    assert_eq!((takes[0].takes, takes[0].frames, takes[0].lost), (24, u64::from(SECONDS) * 48_000, 0));
}

fn recording(image: &Image) -> Command {
    record(&image.path().join("session"), &format!("{RECORD} --seconds {SECONDS}"))
}

#[test]
fn root_24_inputs_under_a_sync_storm_take_no_fault() {
    let image = Image::up("ext4", "1G");
    let (done, _) = under(&image, recording(&image), sync_storm);
    recorded(&image, &done);
}

#[test]
fn root_slow_24_inputs_on_a_slow_disk_take_no_fault() {
    let image = Image::up("ext4", "1G");
    let (done, _) = under(&image, recording(&image), slow_disk);
    recorded(&image, &done);
}

#[test]
fn root_freeze_24_inputs_on_a_frozen_disk_take_no_fault() {
    let image = Image::up("ext4", "1G");
    let (done, _) = under(&image, recording(&image), freeze);
    recorded(&image, &done);
}

#[test]
fn root_squeeze_24_inputs_in_squeezed_memory_take_no_fault() {
    let image = Image::up("ext4", "1G");
    let (done, stress) = under(&image, squeezable(&recording(&image)), squeeze);
    recorded(&image, &done);
    assert!(stress.json()["failcnt"].as_u64().unwrap() > 0, "it did not bite: {}", stress.out);
}

#[test]
fn root_direct_under_a_sync_storm_says_that_it_takes_faults() {
    let image = Image::up("ext4", "1G");
    let arguments = format!("{RECORD} --seconds {SECONDS} --capture-path in-place");
    let (done, _) = under(&image, record(&image.path().join("session"), &arguments), sync_storm);
    let found = done.json();
    assert!(found["audio_thread"]["minor_faults"].as_u64().unwrap() > 0, "{found}");
    assert_eq!(check(&image.path().join("session"))[0].frames, u64::from(SECONDS) * 48_000);
}

/// Three seconds with nothing beside, three under a sync storm.
fn plain_and_sync(fs: &str, size: &str) {
    let image = Image::up(fs, size);
    let folder = image.path().join("session");
    let arguments = format!("{RECORD} --seconds 3");
    untroubled(&run(record(&folder, &arguments)).done());
    let program = start(record(&folder, &arguments));
    let storm = start(script("sync-storm.sh", image.path(), "3"));
    untroubled(&program.wait(PATIENCE).done());
    storm.wait(PATIENCE).done();
    let passes: Vec<_> = check(&folder).iter().map(|pass| (pass.takes, pass.frames, pass.lost)).collect();
    assert_eq!(passes, [(24, 144_000, 0); 2]);
    let played = run(faultless("play", &folder, "--device virtual:free --json")).done().json();
    assert_eq!(played["dropouts"], 0);
}

#[test]
fn root_xfs_takes_no_fault_either() {
    plain_and_sync("xfs", "1G");
}

#[test]
fn root_btrfs_takes_no_fault_either() {
    plain_and_sync("btrfs", "1G");
}

/// A session of 24 takes, recorded as fast as possible, that is no longer in memory.
fn to_be_played(image: &Image) -> Command {
    let folder = image.path().join("session");
    run(record(&folder, &format!("--device virtual:free --inputs 24 --format s24 --seconds {}", SECONDS + 1))).done();
    assert!(Command::new("sync").arg("-f").arg(image.path()).status().unwrap().success());
    let takes = std::fs::read_dir(folder.join("audio")).unwrap().map(|entry| entry.unwrap().path());
    let mut image_file = image.path().to_owned();
    image_file.set_extension("img");
    for path in takes.chain([image_file]) {
        let mut of = std::ffi::OsString::from("of=");
        of.push(path);
        let dd = Command::new("dd").arg(of).args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0"]).output();
        assert!(dd.unwrap().status.success());
    }
    faultless("play", &folder, &format!("--device virtual --period 64 --buffer 480000 --seconds {SECONDS} --json"))
}

#[track_caller]
fn played(run: &Run) {
    let found = untroubled(run);
    assert_eq!((&found["dropouts"], &found["xruns"]), (&Value::from(0), &Value::from(0)), "{}", run.err);
    assert_eq!(found["frames"], SECONDS * 48_000);
}

#[test]
fn root_24_tracks_played_under_a_sync_storm_do_not_drop_out() {
    let image = Image::up("ext4", "1G");
    let (done, _) = under(&image, to_be_played(&image), sync_storm);
    played(&done);
}

#[test]
fn root_slow_24_tracks_played_from_a_slow_disk_do_not_drop_out() {
    let image = Image::up("ext4", "1G");
    let (done, _) = under(&image, to_be_played(&image), slow_disk);
    played(&done);
}

#[test]
fn root_squeeze_24_tracks_played_in_squeezed_memory_do_not_drop_out() {
    let image = Image::up("ext4", "1G");
    let (done, stress) = under(&image, squeezable(&to_be_played(&image)), squeeze);
    played(&done);
    assert!(stress.json()["failcnt"].as_u64().unwrap() > 0, "it did not bite: {}", stress.out);
}

#[test]
fn an_ordinary_user_records_and_plays_24_tracks_at_once_and_is_told_what_is_missing() {
    let Some(stranger) = stranger(8192) else {
        return crate::util::skip("an_ordinary_user", "needs setpriv, or 8 MiB of locked memory");
    };
    let folder = stranger.path().join("session");
    let format = "--inputs 24 --format s24 --signal ramp";
    run(stranger.program("record", &folder, &format!("--device virtual:free --seconds 4 {format} --json"))).done();
    let arguments = format!("--device virtual --seconds 3 {format} --play-along --buffer 480000");
    let told = run(stranger.program("record", &folder, &arguments)).done();
    assert!(told.err.contains("SCHED_OTHER") && told.err.contains("a busy machine can make it late"), "{}", told.err);
    assert!(told.err.contains("to change that:"), "{}", told.err);
    let passes: Vec<_> = check(&folder).iter().map(|pass| (pass.takes, pass.frames, pass.lost)).collect();
    assert_eq!(passes, [(24, 192_000, 0), (24, 144_000, 0)]);
    let again = "--device virtual --seconds 1 --play-along --json --buffer 480000 --inputs 24 --signal ramp";
    let found = run(stranger.program("record", &folder, again)).done().json();
    assert!(found["locked_bytes_peak"].as_u64().unwrap() <= 8 << 20, "{found}");
}
