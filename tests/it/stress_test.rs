//! Tests of `faultless stress`: it records under each stress, compares, judges, and leaves no files behind. Thread:
//! test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{
    DEEP, Image, PATIENCE, check, contents, faultless, is_root, place, record, run, skip, skip_part, start,
};
use serde_json::Value;
use std::fs;
use std::time::Duration;

/// The row of a stress in the sheet.
#[track_caller]
fn row<'a>(sheet: &'a Value, stress: &str) -> &'a Value {
    let rows = sheet["rows"].as_array().unwrap();
    rows.iter().find(|row| row["stress"] == stress).unwrap_or_else(|| panic!("no row {stress}: {sheet}"))
}

/// Asserts that a stress passed: every sample of the rehearsal was compared and is right.
#[track_caller]
fn assert_passed(sheet: &Value, stress: &str, takes: u64, frames: u64, lost: u64) {
    let row = row(sheet, stress);
    assert_eq!(row["verdict"], "passed", "{row}");
    let figures = &row["figures"];
    for (name, wanted) in [
        ("takes", takes),
        ("frames", frames),
        ("frames_lost", lost),
        ("samples_wrong", 0),
        ("minor_faults", 0),
        ("major_faults", 0),
        ("voluntary_switches", 0),
        ("xruns", 0),
    ] {
        assert_eq!(figures[name], wanted, "{stress} {name}: {row}");
    }
}

#[test]
fn a_rehearsal_under_sync_and_one_unplugged_pass_and_leave_nothing() {
    let place = place();
    let scratch = place.path().join("rehearsal");
    let arguments = format!("--stress sync,unplug --seconds 3 --inputs 4 --json {DEEP}");
    let done = run(faultless("stress", &scratch, &arguments)).done();
    assert_eq!(done.out.lines().count(), 1, "{}", done.out);
    let sheet = done.json();
    assert_passed(&sheet, "sync", 4, 144_000, 0);
    assert!(row(&sheet, "sync")["reason"].as_str().unwrap().ends_with(" syncs"));
    assert_passed(&sheet, "unplug", 4, 144_000, 24_000);
    assert!(!scratch.exists(), "it made the folder, and left it");
}

#[test]
fn a_loss_fails_the_sheet_and_the_exit_status() {
    let place = place();
    let arguments = "--stress none --seconds 3 --inputs 1 --period 64 --buffer 2400 --json";
    let mut program = start(faultless("stress", place.path(), arguments));
    // Stop the program again and again, each time for three times the length of the device's buffer.
    while program.is_running() {
        program.signal("STOP");
        std::thread::sleep(Duration::from_millis(150));
        program.signal("CONT");
        std::thread::sleep(Duration::from_millis(100));
    }
    let done = program.wait(PATIENCE);
    assert_eq!(done.code, Some(1), "{}{}", done.out, done.err);
    assert_eq!(done.json()["rows"][0]["verdict"], "failed", "{}", done.out);
    assert!(
        done.err.lines().last().unwrap().starts_with("faultless: stress test: not passed under none"),
        "{}",
        done.err
    );
}

#[test]
fn a_folder_in_or_around_a_session_is_refused() {
    let place = place();
    let folder = place.path().join("session");
    run(record(&folder, "--device virtual:free --inputs 1 --seconds 0.2")).done();
    let before = contents(place.path());
    for at in [folder.clone(), folder.join("audio"), place.path().to_path_buf()] {
        run(faultless("stress", &at, "--stress none --seconds 2")).refused(&["is a session"]);
    }
    assert!(before == contents(place.path()), "something was changed");
}

#[test]
fn a_stress_that_is_not_permitted_is_skipped_with_the_reason() {
    // In a chroot the kernel's table does not list what the root folder is mounted from.
    const UNKNOWN: &str = "where the folder is mounted is not known";
    let place = place();
    let sheet = run(faultless("stress", place.path(), "--stress freeze --seconds 2 --inputs 1 --json")).done().json();
    let row = row(&sheet, "freeze");
    assert_eq!(row["verdict"], "skipped", "{row}");
    let reason = row["reason"].as_str().unwrap();
    assert!(["no loop image", "needs root", UNKNOWN].iter().any(|words| reason.contains(words)), "{reason}");
    if is_root() {
        let arguments = "--stress freeze --may-freeze --seconds 2 --inputs 1 --json";
        let sheet = run(faultless("stress", place.path(), arguments)).done().json();
        let reason = sheet["rows"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("the machine would stand still") || reason.contains(UNKNOWN), "{reason}");
    }
    let shm = tempfile::tempdir_in("/dev/shm").unwrap();
    let sheet = run(faultless("stress", shm.path(), "--stress sync --seconds 2 --inputs 1 --json")).done().json();
    assert!(sheet["rows"][0]["reason"].as_str().unwrap().contains("lies in memory"), "{sheet}");
    run(faultless("stress", place.path(), "--stress heat")).refused(&["--stress heat", "freeze"]);
}

#[test]
fn an_interrupted_stress_test_ends_soon_and_leaves_nothing() {
    let place = place();
    let arguments = format!("--stress none,sync --seconds 600 --inputs 2 {DEEP}");
    let program = start(faultless("stress", place.path(), &arguments));
    std::thread::sleep(Duration::from_secs(2));
    program.signal("TERM");
    let done = program.wait(PATIENCE);
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(done.err.contains("stopped, the test recordings are removed"), "{}", done.err);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn root_freeze_the_stress_test_freezes_and_slows_a_loop_image_and_nothing_is_lost() {
    if !is_root() {
        skip("the stress test on a loop image", "needs root");
        return;
    }
    let image = Image::up("ext4", "1G");
    let arguments = format!("--stress freeze,slow --seconds 6 --inputs 8 --json {DEEP}");
    let sheet = run(faultless("stress", image.path(), &arguments)).done().json();
    assert_passed(&sheet, "freeze", 8, 288_000, 0);
    assert!(
        row(&sheet, "freeze")["figures"]["commit_us_max"].as_u64().unwrap() > 2_000_000,
        "it was not frozen: {sheet}"
    );
    let slow = row(&sheet, "slow");
    if slow["verdict"] == "skipped" {
        skip_part("the stress test on a slow disk", slow["reason"].as_str().unwrap());
    } else {
        assert_passed(&sheet, "slow", 8, 288_000, 0);
    }
    // The file system accepts writes again even if the program is killed during a freeze.
    let program = start(faultless("stress", image.path(), &format!("--stress freeze --seconds 60 --inputs 1 {DEEP}")));
    std::thread::sleep(Duration::from_secs(14));
    program.signal("KILL");
    assert_eq!(program.wait(PATIENCE).code, None);
    std::thread::sleep(Duration::from_secs(1));
    let written = start({
        let mut touch = std::process::Command::new("touch");
        touch.arg(image.path().join("thawed"));
        touch
    });
    written.wait(Duration::from_secs(10)).done();
    // Recovery moves the sound that was in memory into the rehearsal's takes, as after any kill.
    let mut entries = fs::read_dir(image.path()).unwrap().map(|entry| entry.unwrap().path());
    let stress = entries.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("stress-")).unwrap();
    run(faultless("recover", &stress.join("freeze"), "")).done();
    assert!(check(&stress.join("freeze"))[0].frames > 12 * 48_000);
}

#[test]
fn root_stress_test_that_takes_memory_cache_and_disk_away_loses_nothing() {
    let place = place();
    let arguments = format!("--stress memory,cache,disk --seconds 4 --inputs 8 --json {DEEP}");
    let sheet = run(faultless("stress", place.path(), &arguments)).done().json();
    for stress in ["memory", "cache", "disk"] {
        let row = row(&sheet, stress);
        if row["verdict"] == "skipped" {
            skip_part(&format!("the stress test under {stress}"), row["reason"].as_str().unwrap());
        } else {
            assert_passed(&sheet, stress, 8, 192_000, 0);
        }
    }
}
