//! Tests of failures: the window shows each with its reason and with advice. Thread: test.

use super::rig::{Home, Rig};
use faultless::app::snapshot::Stage;
use faultless::control::Severity;

#[test]
fn a_device_that_cannot_be_opened_is_shown_with_the_reason() {
    let mut rig = Rig::at(Home::new(), "alsa:no-such-card", 2, None);
    rig.until("it is shown", |rig| matches!(rig.snapshot().stage, Stage::NoDevice { .. }));
    let health = rig.snapshot().health;
    assert!(health.severity == Severity::Loss && health.head == "No device.", "{health:?}");
    assert!(rig.value("Device").contains("choose"), "{}", rig.value("Device"));
}

#[test]
fn a_device_that_leaves_and_returns_costs_only_silence_for_its_absence() {
    let mut rig = Rig::new("virtual:unplug=72000+24000", 2);
    rig.click("Record");
    rig.record_for(3.0);
    rig.stop();
    let takes = rig.takes();
    let lengths: Vec<u32> = takes.iter().map(|take| hound::WavReader::open(take).unwrap().duration()).collect();
    assert!(lengths.len() == 2 && lengths[0] == lengths[1] && lengths[0] > 140_000, "{lengths:?}");
    let session = rig.session();
    let lost: u64 = session.takes()[0].losses.iter().map(|loss| loss.frames.0).sum();
    assert_eq!(lost, 24_000, "{:?}", session.takes()[0].losses);
    assert!(rig.value("Health").contains("lost"), "{}", rig.value("Health"));
}

#[test]
fn a_card_that_was_pulled_and_is_in_use_by_another_program_is_reported_and_used_again() {
    let mut rig = Rig::new("virtual:pull=72000+12000,busy=3", 2);
    rig.click("Record");
    rig.until("the health line says that it is gone", |rig| rig.value("Health").contains("is gone"));
    rig.until("it says who has it", |rig| rig.value("Health").contains("in use by another program; close it there"));
    rig.until("it is back", |rig| !rig.snapshot().device.gone);
    rig.record_for(0.5);
    rig.stop();
    let takes = rig.takes();
    let lengths: Vec<u32> = takes.iter().map(|take| hound::WavReader::open(take).unwrap().duration()).collect();
    assert!(lengths.len() == 2 && lengths[0] == lengths[1] && lengths[0] > 90_000, "{lengths:?}");
    let session = rig.session();
    let losses = &session.takes()[0].losses;
    assert!(losses.len() == 1 && losses[0].frames.0 > 12_000 && losses[0].cause == "device away", "{losses:?}");
}

#[test]
fn a_damaged_session_is_not_touched_and_an_earlier_version_is_offered() {
    let mut rig = Rig::new("virtual", 2);
    rig.rename("Name In 1", "Kick");
    // A save keeps the file that it replaces. Without this one, both names would be saved at once, a second later.
    rig.send(faultless::app::command::Command::Save);
    rig.until("it is saved", |rig| rig.snapshot().notices.iter().any(|entry| entry.text == "Saved"));
    rig.rename("Name In 2", "Snare");
    let folder = rig.snapshot().folder;
    rig.close();
    rig.until("it is closed", |rig| rig.app().is_closed());
    let home = rig.leave();
    std::fs::write(folder.join("session.json"), "{ \"version\": 1, \"session\": { \"tra").unwrap();
    let mut rig = Rig::at(home, "virtual", 2, Some(folder));
    rig.until("it is shown", |rig| matches!(rig.snapshot().stage, Stage::NoSession { .. }));
    let Stage::NoSession { versions, .. } = rig.snapshot().stage else { unreachable!() };
    assert!(!versions.is_empty(), "no version was kept");
    rig.send(faultless::app::command::Command::RestoreVersion(versions[0].number));
    rig.until("it is open again", |rig| rig.snapshot().stage == Stage::Open);
    assert_eq!(rig.session().tracks()[0].name(), "Kick");
}

#[test]
fn a_session_that_another_window_has_open_is_read_only_and_names_the_owner() {
    let mut first = Rig::new("virtual", 2);
    let folder = first.snapshot().folder;
    let mut second = Rig::at(Home::new(), "virtual", 2, Some(folder));
    second.until("it is open to be played", |rig| matches!(rig.snapshot().stage, Stage::ReadOnly(_)));
    let health = second.snapshot().health;
    assert!(health.severity == Severity::Caution && health.advice.is_some(), "{health:?}");
    second.click("Record");
    assert!(!second.is_recording());
}
