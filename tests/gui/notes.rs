//! Tests of the card over the timeline: what undo took back, what was removed, what was recorded. Thread: test.

use super::rig::Rig;
use egui::{Key, Modifiers, Rect};
use egui_kittest::kittest::Queryable as _;
use faultless::app::command::Command;
use faultless::control::edit::Edit;
use faultless::time::FramePos;

fn is_shown(rig: &Rig, text: &str) -> bool {
    rig.harness.query_by_label_contains(text).is_some()
}

/// Undo said nothing, the card still offered the takes, and the timeline said "Ready to record".
#[test]
fn undo_and_redo_say_what_they_did_and_the_card_of_an_undone_recording_closes() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    assert!(is_shown(&rig, "Discard the recording"));
    rig.press_with(Modifiers::CTRL, Key::Z);
    rig.until("it is said", |rig| is_shown(rig, "Undone: record 2 takes"));
    rig.until("the timeline is empty", |rig| is_shown(rig, "No regions here. The takes are in Takes (Ctrl+5)"));
    rig.press(Key::Escape);
    rig.step(3);
    assert!(!is_shown(&rig, "Undone") && !is_shown(&rig, "Discard the recording"));
    rig.press_with(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::Z);
    rig.until("it is said", |rig| is_shown(rig, "Redone: record 2 takes"));
}

#[test]
fn removed_tracks_and_regions_are_counted_and_the_way_back_is_named() {
    let mut rig = Rig::new("virtual", 8);
    rig.press_with(Modifiers::CTRL, Key::A);
    rig.press(Key::Delete);
    rig.until("they are gone", |rig| rig.tracks() == 0);
    rig.until("it is said", |rig| is_shown(rig, "8 tracks removed; Undo brings them back"));
    rig.press_with(Modifiers::CTRL, Key::Z);
    rig.until("they are back", |rig| rig.tracks() == 8);
    rig.until("it is said", |rig| is_shown(rig, "Undone: remove tracks"));
}

/// One press was a step of undo for each track: the steps before it were lost, and the notice named one region.
#[test]
fn one_undo_takes_back_a_split_a_duplication_and_a_solo_of_many_tracks() {
    let mut rig = Rig::new("virtual", 4);
    rig.click("Record");
    rig.record_for(0.6);
    rig.stop();
    let regions = |rig: &mut Rig| -> usize { rig.session().tracks().iter().map(|track| track.regions().len()).sum() };
    rig.send(Command::Locate(FramePos(12_000)));
    rig.until("it is there", |rig| rig.position() == 12_000);
    rig.press(Key::X);
    assert_eq!(regions(&mut rig), 8);
    rig.press_with(Modifiers::CTRL, Key::Z);
    rig.until("it is said", |rig| is_shown(rig, "Undone: split regions"));
    assert_eq!(regions(&mut rig), 4);
    rig.press_with(Modifiers::CTRL, Key::A);
    rig.press_with(Modifiers::CTRL, Key::D);
    rig.until("they are there", |rig| rig.tracks() == 8);
    rig.press_with(Modifiers::CTRL, Key::Z);
    rig.until("they are gone", |rig| rig.tracks() == 4);
    let soloed = |rig: &mut Rig| -> Vec<bool> { rig.session().tracks().iter().map(|track| track.solo).collect() };
    let tracks: Vec<_> = rig.session().track_ids().collect();
    rig.send(Command::Edit(Edit::Solo(tracks[..2].to_vec(), true)));
    rig.send(Command::Edit(Edit::SoloOnly(vec![tracks[2]])));
    assert_eq!(soloed(&mut rig), [false, false, true, false]);
    rig.press_with(Modifiers::CTRL, Key::Z);
    assert_eq!(soloed(&mut rig), [true, true, false, false]);
    // The inputs and the armed tracks that the button for missing inputs chooses are one step, too.
    rig.send(Command::Edit(Edit::Inputs(tracks[0], vec![9])));
    rig.send(Command::Edit(Edit::Arm(tracks.clone(), true)));
    let armed = |rig: &mut Rig| -> Vec<bool> { rig.session().tracks().iter().map(|track| track.armed).collect() };
    rig.send(Command::UseInputs);
    assert_eq!(armed(&mut rig), [false, true, true, true]);
    rig.press_with(Modifiers::CTRL, Key::Z);
    assert_eq!(armed(&mut rig), [true; 4]);
}

/// The banner hid the ruler and the head of the track list, and Esc did not answer it.
#[test]
fn the_question_before_closing_hides_no_control_and_escape_keeps_recording() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.4);
    rig.close();
    rig.step(4);
    let question = rig.harness.get_by_label_contains("Still recording").rect();
    let keep = rig.harness.get_by_label("Keep recording").rect();
    let strip = question.union(keep);
    for label in ["Ruler", "Arm all", "Arm none", "Health", "Stop", "Add track"] {
        let Some(control) = rig.harness.query_by_label(label) else { continue };
        assert!(!overlap(strip, control.rect()), "{label}: {:?} under {strip:?}", control.rect());
    }
    rig.press(Key::Escape);
    rig.step(3);
    assert!(rig.is_recording() && !is_shown(&rig, "Still recording"));
    rig.hold_escape();
    rig.until("a long press still ends it", |rig| !rig.is_recording());
}

fn overlap(one: Rect, other: Rect) -> bool {
    let both = one.intersect(other);
    both.width() > 0.5 && both.height() > 0.5
}
