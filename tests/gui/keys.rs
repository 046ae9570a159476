//! Tests of where keys and typed texts go: to fields, sheets, commands, and the long press of Stop. Thread: test.

use super::rig::{Rig, skip};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use faultless::app::command::Command;
use faultless::time::FramePos;
use faultless::ui::bottom_panel::Tab;
use faultless::ui::effect::Overlay;
use std::path::PathBuf;

fn is_shown(rig: &Rig, text: &str) -> bool {
    rig.harness.query_by_label_contains(text).is_some()
}

/// Types a text in place of that of a field.
fn replace(rig: &mut Rig, field: &str, text: &str) {
    rig.harness.get_by_label(field).focus();
    rig.step(2);
    rig.press_with(Modifiers::CTRL.plus(Modifiers::COMMAND), Key::A);
    rig.type_in(field, text);
}

fn show_overlay(rig: &mut Rig, overlay: Overlay) {
    rig.harness.state_mut().shell().overlay = overlay;
    rig.step(3);
}

/// No key worked any more, and Esc did not end a recording.
#[test]
fn a_field_for_a_folder_that_left_the_screen_with_its_panel_takes_no_keys() {
    if faultless::ui::dialog::has_chooser() {
        return skip("the keys of a field for a folder", "this desktop has a dialog for folders");
    }
    let mut rig = Rig::new("virtual", 2);
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Export);
    rig.step(3);
    rig.click("Choose a folder");
    rig.until("the field is there", |rig| is_shown(rig, "This desktop has no dialog for folders"));
    rig.press(Key::R);
    assert!(!rig.is_recording(), "the letters belong to the field");
    rig.harness.state_mut().shell().bottom.tab = Tab::Takes;
    rig.step(3);
    assert!(!is_shown(&rig, "This desktop has no dialog for folders"));
    rig.press(Key::R);
    rig.record_for(0.3);
    rig.hold_escape();
    rig.until("Esc, held, ended it", |rig| !rig.is_recording());
}

/// A typing error, and Esc, removed the mirror.
#[test]
fn a_folder_that_is_not_a_whole_path_and_escape_keep_the_mirror_and_only_an_empty_text_removes_it() {
    let mut rig = Rig::new("virtual", 2);
    let mirror = rig.home.path().join("mirror");
    std::fs::create_dir(&mirror).unwrap();
    rig.with_settings(|settings| settings.mirror = Some(mirror.clone()));
    show_overlay(&mut rig, Overlay::Settings);
    let (field, other) = ("Mirror: folder", PathBuf::from("/nowhere/mirror"));
    replace(&mut rig, field, "mirror");
    rig.press(Key::Enter);
    assert_eq!(rig.settings().mirror.as_deref(), Some(mirror.as_path()));
    assert!(is_shown(&rig, "Type the whole path, from the first /"));
    replace(&mut rig, field, &other.display().to_string());
    assert!(!is_shown(&rig, "Type the whole path"), "the user is at it");
    rig.press(Key::Escape);
    assert_eq!(rig.settings().mirror.as_deref(), Some(mirror.as_path()));
    assert_eq!(rig.value(field), mirror.display().to_string(), "what was typed is dropped");
    replace(&mut rig, field, " ");
    rig.press(Key::Enter);
    assert_eq!(rig.settings().mirror, None);
    let sessions = rig.settings().sessions.clone();
    replace(&mut rig, "Folder for sessions", "music");
    rig.press(Key::Enter);
    assert_eq!(rig.settings().sessions, sessions);
    assert!(is_shown(&rig, "Type the whole path, from the first /"));
}

/// The same path was no change for the settings, so the disk that was connected again was not used.
#[test]
fn a_mirror_that_was_refused_is_opened_again_when_it_is_named_again() {
    let mut rig = Rig::new("virtual", 2);
    let mirror = rig.home.path().join("mirror");
    std::fs::write(&mirror, "no folder").unwrap();
    rig.with_settings(|settings| settings.mirror = Some(mirror.clone()));
    let told = |rig: &mut Rig| rig.snapshot().notices.iter().filter(|notice| notice.text.contains("mirror")).count();
    rig.until("it is refused", |rig| told(rig) == 1);
    show_overlay(&mut rig, Overlay::Settings);
    let field = "Mirror: folder";
    rig.harness.get_by_label(field).focus();
    rig.step(2);
    rig.press(Key::Enter);
    rig.until("it is refused again", |rig| told(rig) == 2);
    std::fs::remove_file(&mirror).unwrap();
    std::fs::create_dir(&mirror).unwrap();
    replace(&mut rig, field, &mirror.display().to_string());
    rig.press(Key::Enter);
    let has_session = |mirror: &std::path::Path| {
        let folders = std::fs::read_dir(mirror).unwrap().flatten();
        folders.map(|entry| entry.path().join("session.json")).any(|file| file.exists())
    };
    rig.until("it is a mirror", |_| has_session(&mirror));
    assert_eq!(told(&mut rig), 2);
}

/// "~/Music" became a folder "~" below the working folder of the recorder, and an empty text the folder itself.
#[test]
fn an_export_goes_to_a_whole_path_or_below_the_home_folder_and_nowhere_else() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Export);
    rig.step(3);
    let (field, reason) = ("Export folder", "Type the whole path, from the first /");
    let is_enabled = |rig: &Rig| !rig.harness.get_by_label("Export now").accesskit_node().is_disabled();
    assert!(is_enabled(&rig) && !is_shown(&rig, reason));
    for text in ["mixes", " ", "./mixes"] {
        replace(&mut rig, field, text);
        assert!(!is_enabled(&rig) && is_shown(&rig, reason), "{text}");
    }
    let to = rig.home.path().join("mixes");
    replace(&mut rig, field, &to.display().to_string());
    rig.click("Export now");
    rig.until("it is exported", |_| to.join("01 In 1.wav").exists());
}

/// The field scrolled away with the marker while the recording went on, and "r" of "Verse" was a command.
#[test]
fn the_field_for_the_name_of_a_marker_stays_while_the_marker_scrolls_away() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.3);
    rig.press(Key::M);
    rig.step(20);
    let flag = rig.harness.get_by_label_contains("Marker 1 at");
    flag.click();
    flag.click();
    rig.step(4);
    replace(&mut rig, "Marker name", "Ver");
    rig.harness.state_mut().shell().view.frames_per_point = 10.0;
    rig.record_for(1.0);
    let (start, at) = (rig.harness.state_mut().shell().view.start, rig.session().markers()[0].at);
    assert!((at.0 as f64) < start, "{at:?} is out of view");
    let ruler = rig.harness.get_by_label("Ruler").rect().expand(1.0);
    let field = rig.harness.get_by_label("Marker name").rect();
    assert!(ruler.left() <= field.left() && field.right() <= ruler.right(), "{field:?} in {ruler:?}");
    rig.type_in("Marker name", "se");
    rig.press(Key::M);
    rig.press(Key::Enter);
    let session = rig.session();
    let names: Vec<&str> = session.markers().iter().map(|marker| marker.name.as_str()).collect();
    assert_eq!(names, ["Verse"]);
    rig.stop();
}

/// Punch stayed lit, and Record went on without an end.
#[test]
fn a_range_that_is_cleared_takes_punch_and_loop_with_it_and_says_so() {
    let mut rig = Rig::new("virtual", 2);
    for (key, text) in [(Key::P, "Punch is off: the range is cleared"), (Key::L, "Loop is off: the range is cleared")] {
        rig.send(Command::Range(Some((FramePos(0), FramePos(48_000)))));
        rig.press(key);
        let transport = rig.snapshot().transport;
        assert!(transport.punches != transport.loops, "{transport:?}");
        rig.press_with(Modifiers::SHIFT, Key::Escape);
        let transport = rig.snapshot().transport;
        assert!(!transport.punches && !transport.loops && transport.range.is_none(), "{transport:?}");
        rig.until("it is said", |rig| is_shown(rig, text));
    }
    rig.send(Command::Range(Some((FramePos(0), FramePos(48_000)))));
    rig.press_with(Modifiers::SHIFT, Key::Escape);
    assert!(rig.snapshot().note.is_none(), "nothing was switched off");
}

/// Esc ended the recording, and the key that the user had given to Stop did not.
#[test]
fn the_key_that_stop_has_ends_a_recording_and_no_other_one() {
    let mut rig = Rig::new("virtual", 2);
    rig.with_settings(|settings| settings.keys = [("Stop".to_owned(), "F9".to_owned())].into());
    rig.click("Record");
    rig.record_for(0.3);
    rig.press(Key::Space);
    rig.harness.get_by_label_contains("Hold Stop or F9 to end it");
    rig.press(Key::Escape);
    rig.hold_escape();
    assert!(rig.is_recording());
    rig.harness.key_down(Key::F9);
    rig.step(40);
    rig.harness.key_up(Key::F9);
    rig.until("F9, held, ended it", |rig| !rig.is_recording());
}

/// The timeline said "Press Record (): ...".
#[test]
fn the_invitation_to_record_names_no_key_where_record_has_none() {
    let mut rig = Rig::new("virtual", 2);
    assert!(is_shown(&rig, "Press Record (R): every armed input"));
    rig.with_settings(|settings| settings.keys = [("Record".to_owned(), String::new())].into());
    rig.step(2);
    assert!(is_shown(&rig, "Press Record: every armed input"));
}

/// The action of the key was taken out of the input, so that the sheet never saw it.
#[test]
fn the_sheet_of_keys_says_that_a_key_is_taken_and_waits_no_longer_than_it_is_open() {
    let mut rig = Rig::new("virtual", 2);
    show_overlay(&mut rig, Overlay::Keys);
    rig.click("Keys of Drop a marker");
    rig.press(Key::R);
    assert!(is_shown(&rig, "R means \u{201c}Record\u{201d} already") && !rig.is_recording());
    rig.press(Key::Enter);
    assert!(is_shown(&rig, "Enter means \u{201c}Name the selected track\u{201d} already"));
    rig.press(Key::F9);
    assert_eq!(rig.settings().keys.get("Marker").map(String::as_str), Some("F9"));
    assert!(!is_shown(&rig, "means \u{201c}") && is_shown(&rig, "Click a line, then press the new keys"));
    rig.click("Keys of Drop a marker");
    for overlay in [Overlay::Nothing, Overlay::Keys] {
        show_overlay(&mut rig, overlay);
    }
    rig.press(Key::F8);
    assert_eq!(rig.settings().keys.get("Marker").map(String::as_str), Some("F9"));
    rig.press(Key::F9);
    assert_eq!(rig.session().markers().len(), 1, "the key has its new action");
}
