//! Tests of the window for screen readers and for the keyboard: values that are set, sentences that are spoken, and the way of
//! the focus. Thread: test.

use super::rig::Rig;
use egui::accesskit::Live;
use egui::{Key, Modifiers};
use egui_kittest::Node;
use egui_kittest::kittest::{AccessKitNode, NodeT as _, Queryable as _};
use faultless::session::{GAIN_DB_MAX, GAIN_DB_MIN};
use faultless::ui::bottom_panel::Tab;
use faultless::ui::effect::Overlay;

/// The name of the control that has the focus, and the names of what it is in, innermost first.
fn focused(rig: &Rig) -> Option<(String, Vec<String>)> {
    fn find(node: &Node<'_>) -> Option<(String, Vec<String>)> {
        let it = node.accesskit_node();
        if it.is_focused() && !it.is_root() {
            let ancestors = std::iter::successors(it.parent(), AccessKitNode::parent);
            return Some((it.label().unwrap_or_default(), ancestors.filter_map(|parent| parent.label()).collect()));
        }
        node.children().find_map(|child| find(&child))
    }
    find(&rig.harness.root())
}

fn focused_name(rig: &Rig) -> String {
    focused(rig).map(|(name, _)| name).unwrap_or_default()
}

/// Whether a sentence is in the tree that a screen reader speaks by itself.
fn is_spoken(rig: &Rig, text: &str) -> bool {
    rig.harness.query_all_by_label_contains(text).any(|node| node.accesskit_node().live() != Live::Off)
}

/// A reader could read gain and pan, and a value that it set did nothing. It heard limits of 1e308.
#[test]
fn a_screen_reader_sets_faders_and_hears_their_limits() {
    let mut rig = Rig::new("virtual", 2);
    rig.harness.get_by_label("Gain In 1").set_value_accesskit(-6.0);
    rig.harness.get_by_label("Pan In 2").set_value_accesskit(0.5);
    rig.step(3);
    rig.harness.get_by_label("Gain In 2").decrement_accesskit();
    rig.harness.get_by_label("Pan In 1").set_value_accesskit(-7.0);
    rig.step(3);
    rig.harness.get_by_label("Gain In 1").set_value_accesskit(f64::NAN);
    rig.step(3);
    let session = rig.session();
    let [first, second] = [&session.tracks()[0], &session.tracks()[1]];
    assert_eq!([first.gain_db(), second.gain_db()], [-6.0, -1.0]);
    assert_eq!([first.pan(), second.pan()], [-1.0, 0.5]);
    for (name, limits) in [("Gain In 1", [GAIN_DB_MIN, GAIN_DB_MAX].map(f64::from)), ("Pan In 1", [-1.0, 1.0])] {
        let node = rig.harness.get_by_label(name);
        let it = node.accesskit_node();
        let heard = [it.min_numeric_value(), it.max_numeric_value()].map(Option::unwrap);
        assert_eq!(heard, limits, "{name}");
        assert!(it.numeric_value_step().is_some_and(|step| step > 0.0), "{name}");
    }
}

/// The button has to be held, which a reader cannot do: it could begin a recording and not end it.
#[test]
fn a_screen_reader_ends_a_locked_recording_by_pressing_stop_twice() {
    let mut rig = Rig::new("virtual", 2);
    rig.harness.get_by_label("Record").click_accesskit();
    rig.record_for(0.3);
    rig.harness.get_by_label("Stop").click_accesskit();
    rig.step(2);
    assert!(is_spoken(&rig, "Press Stop again to end it"));
    rig.harness.get_by_label("Stop").click_accesskit();
    rig.step(20);
    assert!(rig.is_recording(), "a second press at once may be a bounce");
    rig.harness.get_by_label("Stop").click_accesskit();
    rig.until("the second press ended it", |rig| !rig.is_recording());
    assert_eq!(rig.takes().len(), 2);
}

#[test]
fn a_recording_and_a_loss_are_spoken_when_they_happen() {
    let mut rig = Rig::new("virtual:xrun=192000+480", 2);
    rig.click("Record");
    rig.record_for(0.2);
    rig.until("the start is spoken", |rig| is_spoken(rig, "Recording 2 tracks."));
    rig.until("the loss is spoken", |rig| is_spoken(rig, "10 ms lost. It is silence in its place"));
    rig.stop();
    rig.until("the end is spoken", |rig| is_spoken(rig, "Recording has ended."));
    rig.until("the files are spoken", |rig| is_spoken(rig, "2 files, 0:0"));
    rig.press_with(Modifiers::CTRL, Key::Z);
    rig.until("a note is spoken", |rig| is_spoken(rig, "Undone: record 2 takes"));
}

/// Tab went from the health line to the lanes, from the last track back to the heading, and to a control without a name.
#[test]
fn the_tab_key_goes_through_the_window_from_the_top_to_the_bottom() {
    let mut rig = Rig::new("virtual", 2);
    let mut names = Vec::new();
    for _ in 0..45 {
        rig.press(Key::Tab);
        names.push(focused_name(&rig));
        if names.last().is_some_and(|name| name == "Export") {
            break;
        }
    }
    assert!(names.iter().all(|name| !name.is_empty()), "{names:?}");
    let at = |name: &str| names.iter().position(|other| other == name).unwrap_or_else(|| panic!("{name}: {names:?}"));
    let order = [
        "Session name",
        "Record",
        "Menu",
        "Health",
        "Arm all",
        "Add track",
        "Track In 1",
        "Arm In 1",
        "Meter In 1",
        "Track In 2",
        "Meter In 2",
        "Residency",
        "Export",
    ]
    .map(at);
    assert!(order.is_sorted(), "{names:?}");
    for name in ["Timeline", "Ruler"] {
        assert!(!names.iter().any(|other| other == name), "{name}: the keyboard does nothing there");
    }
}

/// The list has no nodes for tracks that are out of view, and Tab went past them to the tabs.
#[test]
fn tab_scrolls_to_tracks_below_and_above_the_list() {
    let mut rig = Rig::new("virtual", 24);
    let is_visible = |rig: &Rig, name: &str| {
        let list = rig.harness.get_by_label("Track list").rect();
        list.contains_rect(rig.harness.get_by_label(name).rect())
    };
    rig.harness.get_by_label("Meter In 14").focus();
    rig.step(2);
    for _ in 0..70 {
        rig.press(Key::Tab);
    }
    assert_eq!(focused_name(&rig), "Meter In 21");
    assert!(is_visible(&rig, "Meter In 21") && !is_visible(&rig, "Track In 2"));
    rig.harness.get_by_label("Track In 4").focus();
    rig.step(2);
    for _ in 0..22 {
        rig.press_with(Modifiers::SHIFT, Key::Tab);
    }
    let name = focused_name(&rig);
    assert!(name.ends_with(" In 1") && is_visible(&rig, &name), "{name}");
}

/// The focus stayed behind the sheet, and Esc took it away.
#[test]
fn a_sheet_takes_the_focus_keeps_it_and_gives_it_back() {
    let mut rig = Rig::new("virtual", 2);
    for (overlay, name) in [
        (Overlay::Settings, "Sheet of settings"),
        (Overlay::Device, "Sheet of the device"),
        (Overlay::Keys, "Sheet of keys"),
        (Overlay::Palette, "Search for an action"),
    ] {
        rig.harness.get_by_label("Gain In 2").focus();
        rig.step(2);
        rig.harness.state_mut().shell().overlay = overlay;
        rig.step(4);
        let is_inside = |rig: &Rig| focused(rig).is_some_and(|(_, around)| around.iter().any(|part| part == name));
        assert!(is_inside(&rig), "{name}: {:?}", focused(&rig));
        for _ in 0..24 {
            rig.press(Key::Tab);
            assert!(is_inside(&rig), "{name}: {:?}", focused(&rig));
        }
        rig.harness.state_mut().shell().overlay = Overlay::Nothing;
        rig.step(3);
        assert_eq!(focused_name(&rig), "Gain In 2", "{name}");
        rig.harness.state_mut().shell().overlay = overlay;
        rig.step(4);
        rig.press_with(Modifiers::SHIFT, Key::Tab);
        assert!(is_inside(&rig), "{name}: {:?}", focused(&rig));
        // The first Esc may leave a field.
        rig.press(Key::Escape);
        if rig.harness.state_mut().shell().overlay != Overlay::Nothing {
            rig.press(Key::Escape);
        }
        assert_eq!(rig.harness.state_mut().shell().overlay, Overlay::Nothing);
        assert_eq!(focused_name(&rig), "Gain In 2", "{name}: Esc");
    }
}

/// The focus went to controls of the settings that were scrolled out of view.
#[test]
fn a_control_of_a_sheet_that_tab_reaches_is_scrolled_into_view() {
    let mut rig = Rig::new("virtual", 2);
    rig.harness.set_size(egui::vec2(1440.0, 560.0));
    rig.harness.state_mut().shell().overlay = Overlay::Settings;
    rig.step(4);
    let apply = rig.harness.get_by_label("Apply now").rect();
    assert!(rig.harness.get_by_label("Keys sheet").rect().top() > apply.top(), "it is out of view");
    for _ in 0..80 {
        rig.press(Key::Tab);
        if focused_name(&rig) == "Keys sheet" {
            break;
        }
    }
    rig.step(4);
    let control = rig.harness.get_by_label("Keys sheet").rect();
    assert!(focused_name(&rig) == "Keys sheet" && control.bottom() <= apply.top(), "{control:?}");
}

#[test]
fn tabs_tracks_and_regions_are_chosen_and_not_checked() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.5);
    rig.stop();
    rig.click("Track In 2");
    rig.harness.get_by_label_contains("Region In 1").click_accesskit();
    rig.click("Takes");
    for (label, selected) in
        [("Track In 1", true), ("Track In 2", false), ("Takes", true), ("Export", false), ("Region In 1", true)]
    {
        let node = rig.harness.query_all_by_label_contains(label).find(|node| {
            let it = node.accesskit_node();
            it.is_selected().is_some() && it.toggled().is_none()
        });
        let node = node.unwrap_or_else(|| panic!("{label} is no item that is chosen or not"));
        assert_eq!(node.accesskit_node().is_selected(), Some(selected), "{label}");
    }
    let first = rig.session().tracks()[0].regions()[0].id;
    assert!(rig.harness.state_mut().shell().view.selected_regions.contains(&first), "a reader has selected it");
}

#[test]
fn the_window_names_and_markers_say_which_session_track_and_place_they_mean() {
    let mut rig = Rig::new("virtual", 2);
    rig.rename("Session name", "Evening");
    rig.rename("Name In 1", "Kick");
    rig.press(Key::M);
    assert_eq!(rig.harness.root().accesskit_node().label().as_deref(), Some("Evening - Faultless"));
    rig.harness.get_by_label("Marker 1 at 00:00:00.000");
    let spoken = |rig: &Rig, label: &str| rig.harness.get_by_label(label).accesskit_node().description();
    assert!(spoken(&rig, "Session name").is_some_and(|text| text.starts_with("Evening, Empty, 24-bit")));
    assert!(spoken(&rig, "Name Kick").is_some_and(|text| text.starts_with("Kick. ")));
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    rig.until("the cards are shown", |rig| rig.harness.query_by_label_contains("Lead, worst track: ").is_some());
    rig.harness.get_by_label_contains("Audio thread faults: ");
    rig.harness.state_mut().shell().overlay = Overlay::Settings;
    rig.step(3);
    for label in ["Hear armed inputs: Yes", "Format of takes: 24 bit", "Colours: Dark", "Size: 100 %"] {
        rig.harness.get_by_label(label);
    }
    rig.harness.state_mut().shell().overlay = Overlay::Keys;
    rig.step(3);
    assert_eq!(spoken(&rig, "Keys of Record").as_deref(), Some("R"));
}

/// Each change of a value is a message to every reader. Eight meters sent 500 of them a second.
#[test]
fn the_spoken_level_of_a_meter_changes_twice_a_second_at_most() {
    let mut rig = Rig::new("virtual", 1);
    rig.until("the meter moves", |rig| rig.level("Meter In 1") > -59.0);
    let mut levels = Vec::new();
    for _ in 0..90 {
        rig.step(1);
        levels.push(rig.level("Meter In 1"));
    }
    levels.dedup();
    assert!((2..=8).contains(&levels.len()), "{} levels in three seconds", levels.len());
}
