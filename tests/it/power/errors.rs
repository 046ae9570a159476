//! A disk that fails: writes and flushes end in errors, for a while or for good. Nothing of a recording is lost.
//! Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::disk::{Disk, Fails};
use super::{DISK_BYTES, TRACKS, cut, options};
use crate::util::{DEEP, PATIENCE, Run, check, faultless, place, record, run, skip, start};
use faultless::session::session_file::open_read_only;
use std::path::Path;
use std::time::Duration;

const SECONDS: u64 = 9;

/// When the disk begins to fail, and for how long if it recovers.
const FAILS_AFTER: Duration = Duration::from_millis(3200);
const FAILS_FOR: Duration = Duration::from_millis(1500);

fn disk(fs: &str, place: &Path) -> Option<Disk> {
    let image = place.join("disk.img");
    if !cut::make(fs, DISK_BYTES, &image) {
        skip(fs, "mkfs refused");
        return None;
    }
    Some(Disk::up(place, &image, options(fs)).unwrap())
}

/// Records while the disk fails as `fails` says, and calls `meanwhile` once it does.
fn record_on(disk: &Disk, fails: Fails, more: &str, meanwhile: impl FnOnce(&Disk)) -> Run {
    let arguments = format!("--device virtual --inputs {TRACKS} --seconds {SECONDS} {DEEP} {more}");
    let program = start(record(&disk.path().join("session"), &arguments));
    std::thread::sleep(FAILS_AFTER);
    disk.fail(fails);
    meanwhile(disk);
    program.wait(PATIENCE)
}

#[track_caller]
fn whole(session: &Path) {
    let found = check(session);
    assert_eq!((found[0].takes, found[0].frames, found[0].lost), (TRACKS, SECONDS * 48_000, 0));
}

/// The file system's own writes succeed and those of sound fail. This needs xfs, which writes its log in small
/// pieces. ext4 may write its log in pieces as large as sound, and then becomes read-only for good.
fn for_a_while(fs: &str) {
    let place = place();
    let Some(disk) = disk(fs, place.path()) else { return };
    let run = record_on(&disk, Fails::LargeWrites, "", |disk| {
        std::thread::sleep(FAILS_FOR);
        disk.fail(Fails::Nothing);
    })
    .done();
    assert!(disk.failed() > 0, "{fs}: the disk was asked for nothing meanwhile");
    assert!(run.err.contains("the disk reports an error"), "{fs}: {}", run.err);
    assert!(run.err.contains("the disk takes sound again"), "{fs}: {}", run.err);
    whole(&disk.path().join("session"));
}

/// Every write and every flush fails from now on. The takes continue in the overflow folder, which also gets the
/// sound that the disk had accepted and not made durable. The disk is mounted again, as after a restart.
fn for_good(fs: &str) {
    let place = place();
    let Some(disk) = disk(fs, place.path()) else { return };
    let other = place.path().join("other");
    let told = record_on(&disk, Fails::Everything, &format!("--overflow {}", other.display()), |_| ());
    assert!(disk.failed() > 0, "{fs}: the disk was asked for nothing");
    assert!(told.err.contains("takes continue here, without a gap"), "{fs}: {}", told.err);
    // The takes on the broken disk cannot be finished. The program names each file, and counts no frame as lost.
    assert!(told.code == Some(1) && told.json()["frames_lost"] == 0, "{fs}: {:?}\n{}", told.code, told.err);
    let events = disk.down();
    assert!(!events.is_empty());
    let again = Disk::up(place.path(), &place.path().join("disk.img"), options(fs)).unwrap();
    let copy = other.join("session");
    run(faultless("recover", &copy, "")).done();
    let found = open_read_only(&copy).unwrap();
    assert_eq!(found.takes().len(), 2 * TRACKS, "{fs}: two files each");
    whole(&copy);
    drop(again);
}

#[test]
fn root_power_writes_to_xfs_that_fail_for_a_while_are_made_again() {
    for_a_while("xfs");
}

#[test]
fn root_power_a_disk_under_ext4_that_fails_for_good_costs_nothing() {
    for_good("ext4");
}

#[test]
fn root_power_a_disk_under_xfs_that_fails_for_good_costs_nothing() {
    for_good("xfs");
}
