//! Tests of the whole window with engine and built-in device, driven by accessible names as a user would. Thread: test.

mod drags;
mod evening;
mod hostile;
mod keys;
mod flight;
mod labels;
mod notes;
mod opening;
mod readers;
mod rig;
mod sizes;
mod stands_still;
mod trouble;
mod truth;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use faultless::app::command::Command;
use faultless::control::edit::Edit;
use faultless::ui::effect::Overlay;
use rig::Rig;
use std::time::Duration;

#[test]
fn the_first_start_is_ready_by_itself_and_records_with_one_click() {
    let mut rig = Rig::new("virtual", 4);
    rig.until("meters move before anything is clicked", |rig| rig.level("Meter In 1") > -59.0);
    assert_eq!(rig.tracks(), 4, "a track for each input");
    rig.click("Record");
    rig.record_for(1.0);
    rig.stop();
    let takes = rig.takes();
    assert_eq!(takes.len(), 4);
    let lengths: Vec<u32> = takes.iter().map(|take| hound::WavReader::open(take).unwrap().duration()).collect();
    assert!(lengths[0] >= 48_000 && lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
    let health = rig.value("Health");
    assert!(health.contains("0 frames lost, 0 page faults, 0 xruns"), "{health}");
}

#[test]
fn a_locked_take_ends_by_a_long_press_and_by_nothing_else() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.3);
    rig.click("Stop");
    rig.press(Key::Space);
    rig.press(Key::R);
    rig.record_for(0.5);
    assert!(rig.is_recording(), "a click, Space and R leave it alone");
    rig.hold_escape();
    rig.until("Esc, held, ended it", |rig| !rig.is_recording());
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    assert_eq!(rig.takes().len(), 4, "two passes of two tracks");
}

#[test]
fn tracks_are_armed_named_muted_soloed_and_set_by_label() {
    let mut rig = Rig::new("virtual", 3);
    for label in ["Arm In 2", "Mute In 1", "Solo In 3", "Monitor In 2"] {
        rig.click(label);
    }
    rig.rename("Name In 1", "Kick å");
    rig.harness.get_by_label("Gain Kick å").focus();
    rig.step(2);
    for _ in 0..5 {
        rig.press(Key::ArrowLeft);
    }
    rig.harness.get_by_label("Pan In 2").focus();
    rig.step(2);
    rig.press(Key::ArrowRight);
    rig.press(Key::ArrowRight);
    rig.press(Key::ArrowRight);
    rig.press(Key::ArrowRight);
    let session = rig.session();
    let track = |at: usize| session.tracks()[at].clone();
    assert!(track(1).armed && !track(0).armed && track(0).mute && track(2).solo);
    assert_eq!((track(1).monitor, track(0).name()), (faultless::session::Monitor::Input, "Kick å"));
    assert!(track(0).gain_db() < -0.5 && track(1).pan() > 0.02, "{} {}", track(0).gain_db(), track(1).pan());
    // Only the armed track is recorded.
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    assert_eq!(rig.takes().len(), 1);
}

#[test]
fn a_typed_time_locates_and_a_marker_is_dropped_while_recording() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.6);
    rig.press(Key::M);
    rig.record_for(0.3);
    rig.stop();
    let session = rig.session();
    assert_eq!(session.markers().len(), 1);
    assert!((20_000..200_000).contains(&session.markers()[0].at.0), "{:?}", session.markers());
    rig.click("Time");
    rig.type_in("Go to a time", "0.25");
    rig.press(Key::Enter);
    rig.until("the playhead is there", |rig| rig.position() == 12_000);
    rig.press(Key::Home);
    rig.until("the playhead is at the start", |rig| rig.position() == 0);
    rig.click("Play");
    rig.until("it plays", |rig| rig.position() > 4_800);
    rig.press(Key::Space);
    rig.until("it has stopped", |rig| !rig.is_rolling());
}

#[test]
fn a_removed_track_comes_back_with_undo_and_its_takes_with_it() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    rig.click("Track In 2");
    rig.press(Key::Delete);
    rig.until("it is gone", |rig| rig.tracks() == 1);
    assert!(rig.session().takes().iter().any(|take| take.trashed), "its take lies in the trash");
    rig.press_with(Modifiers::CTRL, Key::Z);
    rig.until("it is back", |rig| rig.tracks() == 2);
    assert!(rig.session().takes().iter().all(|take| !take.trashed) && rig.session().tracks()[1].regions().len() == 1);
    rig.until("its file is back", |rig| rig.takes().len() == 2);
}

#[test]
fn settings_and_names_survive_a_restart() {
    let mut rig = Rig::new("virtual", 2);
    rig.press_with(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::L);
    rig.press(Key::T);
    rig.rename("Session name", "Evening");
    rig.rename("Name In 2", "Bass");
    let mut rig = rig.again();
    let settings = rig.settings();
    assert_eq!(settings.theme, faultless::app::settings::ThemeChoice::Light);
    assert!(!settings.tall);
    let session = rig.session();
    assert_eq!((session.name(), session.tracks()[1].name()), ("Evening", "Bass"));
    rig.click("Settings");
    rig.step(3);
}

#[test]
fn a_window_that_is_closed_while_recording_asks_and_loses_nothing() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.4);
    rig.close();
    rig.step(3);
    assert!(rig.is_recording(), "it records on while it asks");
    rig.click("Keep recording");
    rig.record_for(0.2);
    rig.close();
    rig.step(3);
    rig.click("Stop and quit");
    rig.until("everything is on the disk", |rig| rig.app().is_closed());
    let takes = rig.takes();
    assert!(takes.len() == 2 && takes.iter().all(|take| hound::WavReader::open(take).unwrap().duration() > 20_000));
}

#[test]
fn a_signal_ends_a_window_that_records_and_draws_nothing_and_then_the_window_closes() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.4);
    // The thread for signals does this. No picture is drawn meanwhile.
    assert!(rig.app().close_within(Duration::from_secs(20)));
    assert!(!rig.is_recording());
    rig.step(1);
    let commands = &rig.harness.output().viewport_output[&egui::ViewportId::ROOT].commands;
    assert!(commands.contains(&egui::ViewportCommand::Close), "{commands:?}");
    let takes = rig.takes();
    assert!(takes.len() == 2 && takes.iter().all(|take| hound::WavReader::open(take).unwrap().duration() > 10_000));
}

#[test]
fn another_device_is_used_without_a_restart() {
    let mut rig = Rig::new("virtual", 2);
    rig.with_settings(|settings| settings.period = 256);
    rig.reopen();
    rig.until("the period is another", |rig| rig.snapshot().device.period == 256);
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    assert_eq!(rig.takes().len(), 2);
}

#[test]
fn the_placing_offset_of_the_device_moves_the_next_recording_and_is_kept() {
    // The loop is 132 frames longer than the device tells.
    let device = "virtual:loop=900,latency=512+256";
    let mut rig = Rig::new(device, 2);
    rig.click("Record");
    rig.record_for(1.0);
    rig.stop();
    let first = rig.session().tracks()[0].id();
    rig.send(Command::Edit(Edit::Arm(vec![first], false)));
    let overdub = |rig: &mut Rig| {
        rig.send(Command::ToStart);
        rig.click("Record");
        rig.record_for(0.3);
        rig.stop();
        rig.session().takes().iter().max_by_key(|take| take.pass).unwrap().latency.0
    };
    assert_eq!(overdub(&mut rig), 768);
    rig.harness.state_mut().shell().overlay = Overlay::Device;
    rig.step(3);
    rig.harness.get_by_label("Placing offset in frames").set_value_accesskit(132.0);
    rig.until("the offset is set", |rig| rig.settings().offsets.values().eq([&132]));
    let key = rig.settings().offsets.keys().next().unwrap().clone();
    assert_eq!(key, format!("{device}, 48000 Hz, 64 frames"));
    assert!(rig.harness.query_by_label_contains("frames, 2.75 ms, of Built-in").is_some());
    rig.press(Key::Escape);
    assert_eq!(overdub(&mut rig), 900);
    let mut rig = rig.again();
    assert_eq!(overdub(&mut rig), 900, "it is kept");
}

#[test]
fn a_palette_reaches_an_action_by_name() {
    let mut rig = Rig::new("virtual", 2);
    rig.press_with(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::P);
    rig.type_in("Find an action", "add a tr");
    rig.press(Key::Enter);
    rig.until("a track more", |rig| rig.tracks() == 3);
}
