//! Tests of an evening's work: each shows a mistake of the window that a musician met. Thread: test.

use super::rig::Rig;
use eframe::App as _;
use egui::{Key, Modifiers, ViewportCommand, ViewportId};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use faultless::app::command::Command;
use faultless::control::edit::Edit;
use faultless::session::{Monitor, Region};
use faultless::time::FramePos;
use faultless::ui::bottom_panel::Tab;
use std::time::Duration;

fn is_shown(rig: &Rig, text: &str) -> bool {
    rig.harness.query_by_label_contains(text).is_some()
}

/// Takes and starts of all regions.
fn regions(rig: &mut Rig) -> Vec<(u64, u64)> {
    let session = rig.session();
    let all: Vec<Region> = session.tracks().iter().flat_map(|track| track.regions().to_vec()).collect();
    all.iter().map(|region| (region.take.0, region.length.0)).collect()
}

fn record(rig: &mut Rig, seconds: f64) {
    rig.press(Key::Home);
    rig.click("Record");
    rig.record_for(seconds);
    rig.stop();
}

/// The switch went out, as if the track were not recorded.
#[test]
fn a_track_that_is_disarmed_while_it_is_recorded_says_that_it_is_still_recorded() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.2);
    let said = |rig: &Rig| rig.harness.get_by_label("Arm In 1").accesskit_node().description().unwrap_or_default();
    assert_eq!(said(&rig), "being recorded");
    rig.click("Arm In 1");
    rig.until("it is disarmed", |rig| !rig.snapshot().session.tracks()[0].armed);
    assert_eq!(said(&rig), "being recorded, not armed");
    rig.stop();
    assert!(!said(&rig).contains("being recorded"), "{}", said(&rig));
}

/// A clip that came while the window was minimized left its lamp dark.
#[test]
fn a_clip_while_the_window_is_hidden_lights_the_lamp() {
    let mut rig = Rig::new("virtual", 2);
    record(&mut rig, 1.5);
    let first = rig.session().tracks()[0].id();
    rig.send(Command::Edit(Edit::Gain(vec![(first, 24.0)])));
    rig.send(Command::ToStart);
    rig.until("it is at the start", |rig| rig.position() == 0);
    let (mut frame, ctx) = (eframe::Frame::_new_kittest(), rig.harness.ctx.clone());
    let mut hide_for = |rig: &mut Rig, looks: u32| {
        for _ in 0..looks {
            let window = rig.harness.state_mut();
            drop(ctx.run_logic(&egui::RawInput::default(), |ctx| window.logic(ctx, &mut frame)));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    rig.harness.state_mut().apply(Command::Play);
    hide_for(&mut rig, 24);
    rig.harness.state_mut().apply(Command::Stop);
    hide_for(&mut rig, 12);
    let meter = rig.harness.get_by_label("Meter In 1").rect().center();
    rig.harness.event(egui::Event::PointerMoved(meter));
    rig.until("the tip says so", |rig| is_shown(rig, "Clipped: click to put the lamp out"));
    rig.until("the clip is over", |rig| rig.level("Meter In 1") < 0.0);
}

/// A musician disarmed a track, or let it monitor its takes, and its meter fell to nothing while it was recorded.
#[test]
fn the_meter_of_a_track_that_is_recorded_moves_although_it_monitors_its_takes() {
    let mut rig = Rig::new("virtual", 2);
    let tracks: Vec<_> = rig.session().track_ids().collect();
    rig.send(Command::Edit(Edit::Monitor(vec![tracks[0]], Monitor::Disk)));
    rig.click("Record");
    rig.record_for(0.2);
    rig.send(Command::Edit(Edit::Arm(tracks, false)));
    // In 2.5 s a meter falls from full scale to below -40 dB, so a level above that comes from new sound.
    rig.record_for(2.5);
    for meter in ["Meter In 1", "Meter In 2"] {
        rig.until("the meter moves", |rig| rig.level(meter) > -40.0);
    }
    assert!(rig.is_recording());
    rig.stop();
}

/// The second recording covered the first one, and Discard left an empty timeline.
#[test]
fn a_recording_that_is_discarded_shows_the_takes_that_it_covered() {
    let mut rig = Rig::new("virtual", 2);
    record(&mut rig, 0.3);
    let first = regions(&mut rig);
    record(&mut rig, 0.8);
    let second = regions(&mut rig);
    assert!(first.len() == 2 && second.iter().all(|region| !first.contains(region)), "{first:?} {second:?}");
    rig.click("Discard the recording");
    assert_eq!(regions(&mut rig), first);
    rig.until("it is said", |rig| is_shown(rig, "The recording is in the trash; Undo brings it back"));
    rig.press_with(Modifiers::CTRL, Key::Z);
    assert_eq!(regions(&mut rig), second);
    let session = rig.session();
    assert!(session.takes().iter().all(|take| !take.trashed));
    // The same is true for one take.
    let track = session.tracks()[0].id();
    let last = session.takes().iter().rfind(|take| take.track == track).unwrap().id;
    rig.send(Command::Edit(Edit::TrashTake(last)));
    let shown = regions(&mut rig);
    assert!(shown.contains(&first[0]) && !shown.contains(&first[1]), "{shown:?}");
}

/// Restore had no visible effect, and a recording of many tracks needed a click for each.
#[test]
fn the_trash_gives_all_takes_back_with_one_click_and_says_where_they_are() {
    let mut rig = Rig::new("virtual", 3);
    record(&mut rig, 0.3);
    rig.click("Discard the recording");
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Takes);
    rig.step(4);
    rig.click("Trash");
    rig.click("Restore all");
    assert!(rig.session().takes().iter().all(|take| !take.trashed));
    rig.until("it is said", |rig| is_shown(rig, "Back among the takes; click a take there to use it"));
}

/// The markers were numbered by place, so the number of a marker in somebody's notes became wrong.
#[test]
fn a_marker_keeps_its_number_when_another_one_is_dropped_before_it() {
    let mut rig = Rig::new("virtual", 2);
    record(&mut rig, 0.5);
    for at in [20_000, 10_000] {
        rig.send(Command::Locate(FramePos(at)));
        rig.until("it is there", |rig| rig.position() == at);
        rig.press(Key::M);
    }
    let x = |label: &str| rig.harness.get_by_label_contains(label).rect().left();
    assert!(x("Marker 2") < x("Marker 1"));
}

/// Record on a full disk did nothing that could be seen.
#[test]
fn a_recording_that_cannot_begin_says_so_where_the_user_looks() {
    let mut rig = Rig::new("virtual", 2);
    let audio = rig.snapshot().folder.join("audio");
    std::fs::remove_dir(&audio).unwrap();
    std::fs::write(&audio, "no folder").unwrap();
    rig.click("Record");
    rig.until("it is said", |rig| is_shown(rig, "Nothing is recorded."));
    assert!(!rig.is_recording());
}

/// Playback from behind the loop ran away from it, with Loop lit.
#[test]
fn play_with_loop_on_goes_back_into_the_loop() {
    let mut rig = Rig::new("virtual", 2);
    record(&mut rig, 0.8);
    rig.send(Command::Range(Some((FramePos(2_400), FramePos(14_400)))));
    rig.press(Key::L);
    rig.press(Key::End);
    rig.until("it is at the end", |rig| rig.position() > 14_400);
    rig.press(Key::Space);
    rig.until("it plays", |rig| rig.is_rolling() && rig.position() < 14_400);
    rig.press(Key::Space);
}

/// The field lay over the input and the monitoring of the track, and both could be read through it.
#[test]
fn the_field_of_a_name_lies_over_no_other_text() {
    let mut rig = Rig::new("virtual", 2);
    rig.step(20);
    let name = rig.harness.get_by_label("Name In 1");
    name.click();
    name.click();
    rig.step(4);
    let field = rig.harness.get_by_label("Name In 1").rect();
    for label in ["Input In 1", "Monitor In 1", "Arm In 1"] {
        let Some(other) = rig.harness.query_by_label(label) else { continue };
        let both = field.intersect(other.rect());
        assert!(both.width() < 0.5 || both.height() < 0.5, "{label}: {:?} under {field:?}", other.rect());
    }
    rig.press(Key::Escape);
    assert!(rig.harness.query_by_label("Input In 1").is_some() && rig.harness.query_by_label("Monitor In 1").is_some());
}

/// All windows were called "Faultless".
#[test]
fn the_title_of_the_window_names_the_session_and_the_recording() {
    let mut rig = Rig::new("virtual", 2);
    let has_title = |rig: &Rig, wanted: &str| {
        let output = &rig.harness.output().viewport_output[&ViewportId::ROOT];
        output.commands.iter().any(|it| matches!(it, ViewportCommand::Title(title) if title == wanted))
    };
    rig.send(Command::Edit(Edit::RenameSession("Gig".to_owned())));
    rig.harness.state_mut().app().settled(std::time::Duration::from_secs(5));
    let session = rig.session();
    assert_eq!(session.name(), "Gig");
    rig.harness.state_mut().apply(Command::Record);
    rig.until("it is in the title", |rig| has_title(rig, "Recording: Gig - Faultless"));
    rig.record_for(0.2);
    rig.harness.state_mut().apply(Command::Stop);
    rig.until("it is out of the title", |rig| has_title(rig, "Gig - Faultless"));
}

/// The menu was 400 points high in every window, and most of its lines were out of sight.
#[test]
fn the_menu_shows_as_many_lines_as_the_window_has_room_for() {
    let mut rig = Rig::new("virtual", 2);
    let follow = rig.settings().follow;
    rig.click("Menu");
    rig.step(4);
    let line = rig.harness.get_by_label_contains("Follow the playhead").rect();
    assert!(line.bottom() < 900.0, "{line:?}");
    rig.click_at(line.center());
    rig.until("the click reached the line", |rig| rig.settings().follow != follow);
}

/// The card about a recording lay over the last lanes while it was played.
#[test]
fn the_card_about_a_recording_is_gone_while_it_plays_and_comes_back_after_it() {
    let mut rig = Rig::new("virtual", 2);
    record(&mut rig, 0.4);
    assert!(is_shown(&rig, "Discard the recording"));
    rig.press(Key::Space);
    rig.until("it plays without the card", |rig| rig.is_rolling() && !is_shown(rig, "Discard the recording"));
    rig.press(Key::Space);
    rig.until("the card is back", |rig| !rig.is_rolling() && is_shown(rig, "Discard the recording"));
}
