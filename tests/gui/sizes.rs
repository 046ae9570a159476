//! Tests of panels and sheets in small windows and at large zooms: nothing leaves the window, nothing lies over something
//! else. Thread: test.

use super::rig::Rig;
use egui::{Rect, Vec2, vec2};
use egui_kittest::kittest::Queryable as _;
use faultless::ui::bottom_panel::Tab;
use faultless::ui::effect::Overlay;

/// Sizes of the screen in pixels, and zooms.
const SIZES: [(Vec2, f32); 5] = [
    (vec2(1440.0, 900.0), 1.0),
    (vec2(1440.0, 900.0), 2.0),
    (vec2(1440.0, 900.0), 3.0),
    (vec2(1024.0, 700.0), 1.0),
    (vec2(1024.0, 700.0), 2.14),
];

fn no_two_overlap(found: &[(String, Rect)], what: &str) {
    for (at, (name, rect)) in found.iter().enumerate() {
        for (other_name, other) in &found[at + 1..] {
            let both = rect.intersect(*other);
            let apart = both.width() < 1.0 || both.height() < 1.0;
            assert!(apart, "{what}: {name} {rect:?} and {other_name} {other:?}");
        }
    }
}

/// At 300 % the settings were cut at the left, and Apply was outside.
#[test]
fn sheets_are_as_wide_as_the_window_at_most_and_their_buttons_can_be_reached() {
    let mut rig = Rig::new("virtual", 4);
    for (screen, zoom) in SIZES {
        let size = screen / zoom;
        rig.harness.set_size(size);
        for (overlay, button) in [
            (Overlay::Settings, Some("Apply now")),
            (Overlay::Device, None),
            (Overlay::Keys, None),
            (Overlay::Palette, None),
        ] {
            rig.harness.state_mut().shell().overlay = overlay;
            rig.step(4);
            let what = format!("{overlay:?}, {screen} at {zoom}");
            let window = Rect::from_min_size(egui::Pos2::ZERO, size).expand(0.5);
            for name in std::iter::once("Close").chain(button) {
                let rect = rig.harness.get_by_label(name).rect();
                assert!(window.contains_rect(rect), "{what}: {name} {rect:?}");
            }
            if overlay == Overlay::Settings {
                let (row, close) =
                    (rig.harness.get_by_label("Sessions in").rect(), rig.harness.get_by_label("Close").rect());
                assert!(0.0 <= row.left() && row.left() < close.left(), "{what}: the names of the rows, {row:?}");
                for name in ["Folder for sessions", "Mirror: folder", "Mirror: none", "Beats a bar", "Keys sheet"] {
                    let rect = rig.harness.get_by_label(name).rect();
                    assert!(
                        window.x_range().contains(rect.left()) && window.x_range().contains(rect.right()),
                        "{what}: {name} {rect:?}"
                    );
                }
            }
            rig.harness.state_mut().shell().overlay = Overlay::Nothing;
            rig.step(2);
        }
    }
}

/// "Save report" was drawn over "Losses", and "Run" was outside.
#[test]
fn the_heads_of_the_panels_wrap_where_they_do_not_fit() {
    let mut rig = Rig::new("virtual", 4);
    rig.click("Record");
    rig.record_for(0.2);
    rig.stop();
    let heads: [(Tab, &[&str]); 4] = [
        (Tab::Events, &["All", "Cautions", "Losses", "Acknowledge", "Copy all", "Save report"]),
        (Tab::Stress, &["Run", "Inputs of the stress test", "Seconds of each test recording"]),
        (
            Tab::Export,
            &[
                "What: A file for each track",
                "What: One stereo mix",
                "Range: Whole session",
                "Choose a folder",
                "Export now",
            ],
        ),
        (Tab::Takes, &["Trash", "Click a take to use it"]),
    ];
    for (screen, zoom) in SIZES {
        let size = screen / zoom;
        rig.harness.set_size(size);
        for (tab, names) in heads {
            let bottom = &mut rig.harness.state_mut().shell().bottom;
            (bottom.open, bottom.tab) = (true, tab);
            rig.step(4);
            let what = format!("{tab:?}, {screen} at {zoom}");
            let found: Vec<(String, Rect)> =
                names.iter().map(|name| ((*name).to_owned(), rig.harness.get_by_label(name).rect())).collect();
            for (name, rect) in &found {
                assert!(-0.5 <= rect.left() && rect.right() <= size.x + 0.5, "{what}: {name} {rect:?}");
            }
            no_two_overlap(&found, &what);
        }
    }
}

/// The range ran into the list of files.
#[test]
fn the_export_panel_has_its_choices_and_its_files_apart() {
    let mut rig = Rig::new("virtual", 4);
    rig.click("Record");
    rig.record_for(0.4);
    rig.stop();
    rig.press(egui::Key::Escape);
    let range = (faultless::time::FramePos(0), faultless::time::FramePos(9_600));
    rig.send(faultless::app::command::Command::Range(Some(range)));
    for (screen, zoom) in SIZES {
        let size = screen / zoom;
        rig.harness.set_size(size);
        let bottom = &mut rig.harness.state_mut().shell().bottom;
        (bottom.open, bottom.tab) = (true, Tab::Export);
        rig.step(4);
        let names = [
            "What: A file for each track",
            "What: One stereo mix",
            "Range: Whole session",
            "Range: 00:00:00.000 to 00:00:00.200",
            "Format: As recorded",
            "Format: 16 bit",
            "Format: 32-bit float",
            "Export folder",
            "Choose a folder",
            "Export now",
        ];
        let named = names.map(|name| (name.to_owned(), rig.harness.get_by_label(name).rect()));
        let files = rig.harness.query_all_by_label_contains(".wav").map(|file| ("a file".to_owned(), file.rect()));
        let found: Vec<(String, Rect)> = named.into_iter().chain(files).collect();
        let what = format!("{screen} at {zoom}");
        assert!(found.len() == names.len() + 4, "{what}: {found:?}");
        for (name, rect) in &found {
            assert!(-0.5 <= rect.left() && rect.right() <= size.x + 0.5, "{what}: {name} {rect:?}");
        }
        no_two_overlap(&found, &what);
    }
}

/// The map had no height, and the panel did not scroll.
#[test]
fn the_residency_map_keeps_a_height_that_can_be_read() {
    let mut rig = Rig::new("virtual", 8);
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    rig.click("Record");
    rig.record_for(0.5);
    for (screen, zoom) in SIZES {
        rig.harness.set_size(screen / zoom);
        rig.step(8);
        rig.until("the map is shown", |rig| rig.harness.query_by_label("Residency map").is_some());
        let map = rig.harness.get_by_label("Residency map").rect();
        assert!(map.height() > 40.0, "{screen} at {zoom}: {map:?}");
    }
    rig.stop();
}

/// The first sentence for a newcomer was cut at both ends at 200 %.
#[test]
fn the_first_sentence_is_whole_at_every_size() {
    let mut rig = Rig::new("virtual", 2);
    for (screen, zoom) in SIZES {
        rig.harness.set_size(screen / zoom);
        rig.step(4);
        let lanes = rig.harness.get_by_label("Region list").rect();
        let text = rig.harness.get_by_label_contains("Ready to record. Press Record").rect();
        assert!(
            150.0 < text.width() && lanes.expand(0.5).contains_rect(text),
            "{screen} at {zoom}: {text:?} in {lanes:?}"
        );
    }
}

/// Below 400 points the choice was not drawn.
#[test]
fn the_pages_that_the_map_shows_can_be_chosen_at_every_size() {
    let mut rig = Rig::new("virtual", 2);
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    for (screen, zoom) in SIZES {
        let size = screen / zoom;
        rig.harness.set_size(size);
        rig.step(4);
        let what = format!("{screen} at {zoom}");
        let names = ["Pages shown", "Watch other files", "Freeze", "Save report", "Save trace", "Residency"];
        let found = names.map(|name| (name.to_owned(), rig.harness.get_by_label(name).rect()));
        for (name, rect) in &found {
            assert!(-0.5 <= rect.left() && rect.right() <= size.x + 0.5, "{what}: {name} {rect:?}");
        }
        no_two_overlap(&found, &what);
        rig.click("Pages shown");
        if rig.harness.query_by_label("Pool of slots").is_some() {
            rig.click("Pool of slots");
            rig.step(4);
            assert!(rig.harness.query_by_label_contains("Whole files").is_none(), "{what}: the menu is closed");
        }
    }
    assert!(rig.harness.state_mut().shell().bottom.residency.shows_pool());
}

/// At 300 % with the lower panel open, the card after Stop covered the health line.
#[test]
fn the_card_after_a_recording_leaves_the_health_line_free() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.2);
    rig.stop();
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    for (screen, zoom) in SIZES {
        rig.harness.set_size(screen / zoom);
        rig.step(4);
        let health = rig.harness.get_by_label("Health").rect();
        for name in ["Open folder", "Play the recording", "Rename session", "Discard the recording", "Close the card"] {
            let button = rig.harness.get_by_label(name).rect();
            assert!(health.bottom() <= button.top(), "{screen} at {zoom}: {name} {button:?} over {health:?}");
        }
    }
}

/// The tooltip of a resting pointer was drawn over the title of the sheet.
#[test]
fn an_open_sheet_hides_the_tooltips_of_what_is_below_it() {
    let mut rig = Rig::new("virtual", 2);
    let tip = |rig: &Rig| rig.harness.query_by_label_contains("What happened, with times").is_some();
    let at = rig.harness.get_by_label("Health").rect().left_center() + vec2(60.0, 0.0);
    rig.harness.event(egui::Event::PointerMoved(at));
    rig.until("the tooltip is there", |rig| tip(rig));
    rig.harness.state_mut().shell().overlay = Overlay::Settings;
    rig.step(4);
    assert!(!tip(&rig));
    rig.harness.state_mut().shell().overlay = Overlay::Nothing;
    rig.until("the tooltip is there again", |rig| tip(rig));
}
