//! Tests of a window whose thread stands still while it records: everything that a recording needs happens on time.
//! Thread: test, which is the window's thread.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::rig::{Home, Rig};
use faultless::app::command::Command;
use faultless::app::settings::Settings;
use faultless::app::snapshot::Stage;
use faultless::control::edit::Edit;
use faultless::session::TakeState;
use faultless::session::session_file::open_read_only;
use faultless::time::FramePos;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time that a step of the app may take on a busy machine.
const SOON: Duration = Duration::from_secs(4);

/// A window that records `inputs` inputs of `device`.
fn recording(device: &str, inputs: usize) -> Rig {
    let mut rig = Rig::new(device, inputs);
    rig.click("Record");
    rig.record_for(0.2);
    rig
}

/// Lets the window's thread stand still for `still`. Returns when notices with each of `texts` came meanwhile, counted from
/// the start of the app. Another thread looks at the snapshots, because the app keeps the last notices only.
fn stand_still<const N: usize>(rig: &Rig, still: Duration, texts: [&'static str; N]) -> [Option<Duration>; N] {
    let app = rig.app().clone();
    let observer = std::thread::spawn(move || {
        let (mut times, until) = ([None; N], Instant::now() + still);
        while Instant::now() < until {
            let snapshot = app.snapshot();
            for (time, text) in times.iter_mut().zip(texts) {
                let found = snapshot.notices.iter().find(|notice| notice.text.contains(text));
                *time = time.or(found.map(|notice| notice.at));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        times
    });
    std::thread::sleep(still);
    observer.join().unwrap()
}

/// Checks that every take of the session is complete and at least `frames` long.
#[track_caller]
fn complete(folder: &Path, takes: usize, frames: u64) {
    let session = open_read_only(folder).unwrap();
    let ended = |take: &&faultless::session::Take| take.state == TakeState::Complete && frames <= take.frames.0;
    assert_eq!(session.takes().iter().filter(ended).count(), takes, "{:#?}", session.takes());
}

/// A signal comes while the window's thread stands still for `still`.
fn a_signal_ends_the_pass(still: Duration) {
    let mut rig = recording("virtual", 2);
    let folder = rig.snapshot().folder;
    let app = rig.app().clone();
    // The thread for signals does this.
    let signals = std::thread::spawn(move || {
        let at = Instant::now();
        assert!(app.close_within(Duration::from_secs(60)));
        at.elapsed()
    });
    let began = Instant::now();
    std::thread::sleep(still);
    assert!(signals.is_finished(), "it is over while the window stands still");
    let took = signals.join().unwrap();
    assert!(took < SOON && took < began.elapsed(), "{took:?}");
    complete(&folder, 2, 9_600);
}

/// A card leaves and comes back while the window's thread stands still for `still`.
fn a_card_is_taken_back(still: Duration) {
    // Devices of one name are one card in this process, and tests run beside each other.
    let name = format!("virtual:pull={}+24000", 72_000 + still.as_secs());
    let mut rig = recording(&name, 2);
    let [gone, back] = stand_still(&rig, still, ["the device is gone", "the device is back"]);
    let away = back.unwrap().saturating_sub(gone.unwrap());
    assert!(Duration::from_millis(400) < away && away < SOON, "{away:?}");
    rig.step(1);
    rig.record_for(0.2);
    rig.stop();
    let losses = rig.session().takes()[0].losses.clone();
    assert!(losses.len() == 1 && losses[0].frames.0 < 48_000 * SOON.as_secs(), "{losses:?}");
}

/// A pass with an end ends by itself while the window's thread stands still for `still`.
fn a_pass_ends_at_its_end(still: Duration) {
    let mut rig = Rig::new("virtual", 2);
    let all = rig.session().track_ids().collect();
    rig.with_settings(|settings| settings.pre_roll_ms = 500);
    rig.send(Command::Edit(Edit::Arm(all, true)));
    rig.send(Command::Range(Some((FramePos(48_000), FramePos(96_000)))));
    rig.send(Command::Punch(true));
    let folder = rig.snapshot().folder;
    rig.send(Command::Record);
    let [began, ended] = stand_still(&rig, still, ["recording of 2 takes began", "2 takes of"]);
    // The range has one second.
    let took = ended.unwrap().saturating_sub(began.unwrap());
    assert!(took < Duration::from_secs(1) + SOON, "{took:?}");
    assert!(!rig.is_recording());
    complete(&folder, 2, 48_000);
    let session = open_read_only(&folder).unwrap();
    assert!(session.takes().iter().all(|take| take.frames.0 == 48_000), "it ended with the frame before the punch-out");
}

#[test]
fn a_signal_ends_the_pass_of_a_window_that_stands_still() {
    a_signal_ends_the_pass(Duration::from_secs(6));
}

#[test]
fn a_card_that_comes_back_is_taken_back_by_a_window_that_stands_still() {
    a_card_is_taken_back(Duration::from_secs(6));
}

#[test]
fn a_pass_with_an_end_ends_in_a_window_that_stands_still() {
    a_pass_ends_at_its_end(Duration::from_secs(6));
}

#[test]
fn minute_a_window_that_stands_still_for_30_seconds_delays_nothing() {
    let tests: [fn(Duration); 3] = [a_signal_ends_the_pass, a_card_is_taken_back, a_pass_ends_at_its_end];
    let threads = tests.map(|test| std::thread::spawn(move || test(Duration::from_secs(30))));
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_window_that_is_dropped_while_it_records_ends_the_pass_and_saves() {
    let mut rig = recording("virtual", 2);
    let folder = rig.snapshot().folder;
    let home: Home = rig.leave();
    complete(&folder, 2, 9_600);
    let mut rig = Rig::at(home, "virtual", 2, Some(folder));
    rig.until("it is open again", |rig| rig.snapshot().stage == Stage::Open);
    let texts: Vec<String> = rig.snapshot().notices.iter().map(|notice| notice.text.clone()).collect();
    assert!(!texts.iter().any(|text| text.contains("recovered")), "nothing is left to recover: {texts:?}");
}

#[test]
fn two_changes_of_settings_in_one_picture_both_survive() {
    let mut rig = Rig::new("virtual", 2);
    let shown = rig.settings();
    let changes: [fn(&mut Settings); 2] = [|settings| settings.period = 256, |settings| settings.tall = false];
    for change in changes {
        let mut settings = (*shown).clone();
        change(&mut settings);
        rig.harness.state_mut().apply(Command::Settings(settings.changes_since(&shown)));
    }
    let settings = rig.settings();
    assert_eq!((settings.period, settings.tall), (256, false));
}

/// A tmpfs that a test has mounted; it is unmounted at the end.
pub(super) struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    pub(super) fn mount<'a>(at: &'a Path, bytes: &str) -> SmallDisk<'a> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={bytes}");
        let mount = ["-t", "tmpfs", "-o", &options, "faultless-test"];
        let status = std::process::Command::new("mount").args(mount).arg(at).status();
        assert!(status.is_ok_and(|status| status.success()), "it cannot be mounted");
        SmallDisk(at)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("--lazy").arg(self.0).status().ok();
    }
}

#[test]
fn root_takes_continue_in_the_overflow_folder_while_the_window_stands_still() {
    let home = Home::new();
    let (sessions, overflow) = (home.path().join("sessions"), home.path().join("overflow"));
    std::fs::create_dir(&overflow).unwrap();
    // 16 takes of 144,000 bytes a second fill it within some five seconds.
    let disk = SmallDisk::mount(&sessions, "12m");
    let mut rig = Rig::at(home, "virtual", 16, None);
    rig.until("it is open", |rig| rig.snapshot().stage == Stage::Open);
    rig.send(Command::SetOverflowFolder(overflow));
    rig.click("Record");
    rig.record_for(0.5);
    let [full, continued] = stand_still(&rig, Duration::from_secs(12), ["No space left", "takes continue here"]);
    let took = continued.unwrap().saturating_sub(full.unwrap_or_default());
    assert!(full.is_none() || took < SOON, "{full:?} {continued:?} {}", rig.story());
    rig.stop();
    let session = rig.session();
    let parts = session.takes().iter().filter(|take| take.folder.is_some()).count();
    assert_eq!(parts, 16, "every take has a part in the overflow folder: {}", rig.story());
    let lost: u64 = session.takes().iter().flat_map(|take| &take.losses).map(|loss| loss.frames.0).sum();
    assert_eq!(lost, 0);
    let home = rig.leave();
    drop(disk);
    drop(home);
}
