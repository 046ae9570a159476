//! Tests of what the window says in the moments that matter: what it refuses, what it shows after a stop, where keys go.
//! Thread: test.

use super::rig::{Home, Rig, skip};
use super::stands_still::SmallDisk;
use egui::{Key, Modifiers, Rect, vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use faultless::app::command::Command;
use faultless::app::snapshot::Stage;
use faultless::control::Severity;
use faultless::control::edit::Edit;
use faultless::residency::disk_work_reader;
use faultless::time::FramePos;
use faultless::ui::bottom_panel::Tab;
use faultless::ui::effect::Overlay;

fn is_shown(rig: &Rig, label: &str) -> bool {
    rig.harness.query_by_label(label).is_some()
}

/// The text of the card about the last refused command.
fn refusal(rig: &mut Rig) -> String {
    rig.snapshot().refusal.map_or_else(String::new, |refusal| refusal.text)
}

#[test]
fn tracks_without_an_input_are_red_before_the_recording_and_the_others_are_recorded() {
    let mut rig = Rig::new("virtual", 2);
    rig.press_with(Modifiers::CTRL, Key::T);
    rig.press_with(Modifiers::CTRL, Key::T);
    rig.press(Key::A);
    assert_eq!(rig.snapshot().health.severity, Severity::Loss);
    let health = rig.value("Health");
    assert!(health.starts_with("2 tracks have no input.") && health.contains("takes only 2 of 4"), "{health}");
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    assert_eq!(rig.takes().len(), 2);
    assert!(rig.story().contains("not recorded: In 3, In 4: no such input"), "{}", rig.story());
    rig.click("Use these 2 inputs");
    let armed: Vec<bool> = rig.session().tracks().iter().map(|track| track.armed).collect();
    assert_eq!(armed, [true, true, false, false]);
    assert!(!rig.value("Health").contains("no input"), "{}", rig.value("Health"));
}

#[test]
fn a_recording_of_which_no_track_has_an_input_is_refused_where_the_user_looks() {
    let mut rig = Rig::new("virtual", 2);
    let first = rig.session().tracks()[0].id();
    rig.send(Command::Edit(Edit::Inputs(first, vec![7])));
    rig.click("Arm In 1");
    assert!(rig.value("Health").starts_with("The armed track has no input."), "{}", rig.value("Health"));
    rig.press(Key::R);
    assert!(!rig.is_recording());
    assert!(refusal(&mut rig).contains("In 1: no such input"), "{}", refusal(&mut rig));
    rig.harness.get_by_label_contains("choose other inputs or another device");
    rig.click("Use these 2 inputs");
    assert_eq!(rig.session().tracks()[0].inputs(), [0]);
    rig.press(Key::R);
    rig.record_for(0.2);
    rig.stop();
    assert_eq!(rig.takes().len(), 1);
}

#[test]
fn a_loop_is_not_switched_off_in_silence_and_a_locked_recording_says_how_it_ends() {
    let mut rig = Rig::new("virtual", 2);
    rig.press(Key::P);
    assert!(refusal(&mut rig).contains("drag one in the ruler"), "{}", refusal(&mut rig));
    rig.send(Command::Range(Some((FramePos(0), FramePos(48_000)))));
    rig.press(Key::L);
    rig.press(Key::R);
    assert!(!rig.is_recording() && rig.snapshot().transport.loops);
    rig.harness.get_by_label_contains("a loop cannot be recorded yet");
    rig.click("Switch Loop off");
    assert!(!rig.snapshot().transport.loops);
    rig.press(Key::R);
    rig.record_for(0.2);
    rig.press(Key::Space);
    rig.harness.get_by_label_contains("Hold Stop or Esc to end it");
    assert!(rig.is_recording());
    rig.stop();
}

#[test]
fn escape_closes_what_is_open_cancels_a_rename_and_only_then_stops() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.5);
    rig.harness.key_down(Key::Escape);
    rig.step(40);
    rig.until("the long press ended it", |rig| !rig.is_recording() && rig.snapshot().made.is_some());
    // A key that stays down repeats.
    rig.harness.key_down(Key::Escape);
    rig.step(3);
    assert!(is_shown(&rig, "Close the card"), "the Esc that is still down after a long press closes nothing");
    let card = rig.harness.get_by_label("Close the card").rect();
    assert!(card.bottom() > 800.0 && card.height() < 40.0, "the card is one line at the lower end: {card:?}");
    rig.harness.key_up(Key::Escape);
    rig.step(2);
    rig.press(Key::Escape);
    assert!(!is_shown(&rig, "Close the card"), "the card of the recording");
    rig.click("Play");
    rig.until("it plays", Rig::is_rolling);
    for overlay in [Overlay::Keys, Overlay::Settings, Overlay::Device, Overlay::Palette] {
        rig.harness.state_mut().shell().overlay = overlay;
        rig.step(3);
        assert!(is_shown(&rig, "Close"), "{overlay:?} has a button that closes it");
        rig.press(Key::Escape);
        assert_eq!(rig.harness.state_mut().shell().overlay, Overlay::Nothing, "{overlay:?}");
        rig.harness.state_mut().shell().overlay = overlay;
        rig.step(3);
        rig.click("Close");
        assert_eq!(rig.harness.state_mut().shell().overlay, Overlay::Nothing, "{overlay:?}");
    }
    rig.step(20);
    let node = rig.harness.get_by_label("Name In 1");
    node.click();
    node.click();
    rig.step(4);
    rig.type_in("Name In 1", "Other");
    rig.press(Key::Escape);
    assert_eq!(rig.session().tracks()[0].name(), "In 1");
    rig.send(Command::ToStart);
    rig.send(Command::Play);
    rig.until("it plays", Rig::is_rolling);
    rig.press(Key::Escape);
    rig.until("it has stopped", |rig| !rig.is_rolling());
}

#[test]
fn the_focus_of_a_control_leaves_the_keys_alone_and_tab_in_a_name_goes_to_the_next_one() {
    let mut rig = Rig::new("virtual", 3);
    rig.click("Record");
    rig.record_for(0.2);
    for _ in 0..3 {
        rig.press(Key::Tab);
        rig.press(Key::M);
    }
    assert_eq!(rig.session().markers().len(), 3, "every M drops a marker");
    rig.stop();
    rig.step(20);
    let node = rig.harness.get_by_label("Name In 1");
    node.click();
    node.click();
    rig.step(4);
    for (label, name) in [("Name In 1", "Kick"), ("Name In 2", "Snare")] {
        rig.type_in(label, name);
        rig.press(Key::Tab);
        rig.step(2);
    }
    rig.type_in("Name In 3", "Bass");
    rig.press(Key::Enter);
    let names: Vec<String> = rig.session().tracks().iter().map(|track| track.name().to_owned()).collect();
    assert_eq!(names, ["Kick", "Snare", "Bass"]);
}

#[test]
fn play_after_stop_plays_what_was_just_recorded_and_no_figure_underflows() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.8);
    rig.stop();
    let end = rig.position();
    assert!(end > 38_000);
    rig.click("Play");
    rig.until("it plays from the start", |rig| rig.is_rolling() && rig.position() < end);
    rig.until("it is past the end", |rig| end + 4_800 < rig.position());
    rig.step(10);
    let figures = rig.snapshot().figures;
    assert!(figures.lead_s.is_none_or(|lead| lead < 1e6), "{:?}", figures.lead_s);
    assert!(!rig.value("Health").contains("s lead"), "{}", rig.value("Health"));
    rig.press(Key::Space);
    rig.until("it has stopped", |rig| !rig.is_rolling());
    rig.press(Key::Space);
    rig.until("it plays from the start again", |rig| rig.is_rolling() && rig.position() < end);
    rig.press(Key::Space);
}

#[test]
fn a_card_says_what_was_made_and_discard_can_be_undone() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.3);
    rig.stop();
    let made = rig.snapshot().made.unwrap();
    assert!((made.files, made.takes.len()) == (2, 2) && made.folder.ends_with("audio") && made.trouble.is_empty());
    rig.harness.get_by_label_contains("2 files, 0:0");
    for label in ["Open folder", "Play the recording", "Rename session", "Discard the recording"] {
        assert!(is_shown(&rig, label), "{label}");
    }
    rig.click("Discard the recording");
    assert!(rig.session().takes().iter().all(|take| take.trashed));
    assert!(!is_shown(&rig, "Discard the recording"));
    rig.press_with(Modifiers::CTRL, Key::Z);
    assert!(rig.session().takes().iter().all(|take| !take.trashed));
    rig.click("Record");
    rig.record_for(0.2);
    assert!(rig.snapshot().made.is_none());
    rig.stop();
}

#[test]
fn no_two_controls_of_the_bar_intersect_at_any_size_and_zoom() {
    let mut rig = Rig::new("virtual", 8);
    for (screen, zooms) in [
        (vec2(1440.0, 900.0), [1.0, 1.61, 1.95, 2.59, 3.0]),
        (vec2(1024.0, 700.0), [1.0, 1.25, 1.5, 2.0, 3.0]),
        (vec2(1920.0, 1080.0), [0.6, 1.0, 1.5, 2.0, 3.0]),
    ] {
        for zoom in zooms {
            let size = screen / zoom;
            rig.harness.set_size(size);
            rig.step(3);
            let bar = Rect::from_min_size(egui::pos2(0.0, 0.0), vec2(size.x, faultless::ui::theme::BAR));
            let root = rig.harness.root();
            let mut found: Vec<(String, Rect)> = Vec::new();
            collect(&root, bar, &mut found);
            assert!(found.len() > 4, "{screen} at {zoom}: {found:?}");
            for (at, (name, rect)) in found.iter().enumerate() {
                assert!(bar.expand(0.5).contains_rect(*rect), "{screen} at {zoom}: {name} {rect:?} leaves the window");
                for (other_name, other) in &found[at + 1..] {
                    let both = rect.intersect(*other);
                    let apart = both.width() < 0.5 || both.height() < 0.5;
                    assert!(apart, "{screen} at {zoom}: {name} {rect:?} and {other_name} {other:?}");
                }
            }
        }
    }
}

/// The controls with their centre in `bar`.
fn collect(node: &egui_kittest::Node<'_>, bar: Rect, found: &mut Vec<(String, Rect)>) {
    use egui::accesskit::Role;
    let it = node.accesskit_node();
    let is_control = matches!(it.role(), Role::Button | Role::Meter | Role::TextInput);
    if is_control && bar.contains(node.rect().center()) {
        found.push((it.label().unwrap_or_default(), node.rect()));
    }
    for child in node.children() {
        collect(&child, bar, found);
    }
}

#[test]
fn a_desktop_without_a_dialog_for_folders_gets_a_text_field() {
    if faultless::ui::dialog::has_chooser() {
        return skip("a desktop without a dialog", "this desktop has a dialog for folders");
    }
    let mut rig = Rig::new("virtual", 2);
    let folder = rig.home.path().join("other disk");
    std::fs::create_dir(&folder).unwrap();
    rig.press_with(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::G);
    rig.until("the field is there", |rig| is_shown(rig, "Folder"));
    rig.harness.get_by_label_contains("This desktop has no dialog for folders");
    rig.press(Key::Escape);
    assert!(!is_shown(&rig, "Folder"));
    rig.press_with(Modifiers::CTRL.plus(Modifiers::SHIFT), Key::G);
    rig.until("the field is there", |rig| is_shown(rig, "Folder"));
    rig.type_in("Folder", &folder.display().to_string());
    rig.click("Use this folder");
    assert_eq!(rig.settings().overflow.as_deref(), Some(folder.as_path()));
    assert!(!is_shown(&rig, "Folder"));
}

#[test]
fn the_meters_of_a_device_that_is_gone_fall_and_say_so() {
    let mut rig = Rig::new("virtual:pull=144000+480000", 2);
    rig.until("meters move", |rig| rig.level("Meter In 1") > -59.0);
    rig.until("the device is gone", |rig| rig.snapshot().device.gone);
    rig.until("the meter is empty", |rig| rig.level("Meter In 1") <= -60.0 || !rig.snapshot().device.gone);
    let description = rig.harness.get_by_label("Meter In 1").accesskit_node().description();
    assert_eq!(description.as_deref(), Some("no device"));
    rig.until("it is back", |rig| !rig.snapshot().device.gone);
    rig.until("meters move again", |rig| rig.level("Meter In 1") > -59.0);
}

#[test]
fn the_last_minute_of_residency_is_there_after_a_stop_although_nobody_looked() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(2.5);
    rig.stop();
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    rig.until("the map is shown", |rig| is_shown(rig, "Residency map"));
    rig.click("Freeze");
    rig.until("it is frozen", |rig| is_shown(rig, "Look back"));
    rig.harness.get_by_label("0.0 s before");
    rig.harness.get_by_label("Look back").focus();
    rig.step(2);
    rig.press(Key::ArrowLeft);
    rig.press(Key::ArrowLeft);
    assert!(!is_shown(&rig, "0.0 s before"), "the label follows the slider");
    let at = rig.harness.get_by_label("Residency map").rect().center() - vec2(0.0, 4.0);
    rig.harness.event(egui::Event::PointerMoved(at));
    rig.click_at(at);
    rig.until("a page is pinned", |rig| is_shown(rig, "Close the page's card"));
    rig.click("Close the page's card");
    assert!(!is_shown(&rig, "Close the page's card"));
    rig.click_at(at);
    rig.until("a page is pinned", |rig| is_shown(rig, "Close the page's card"));
    rig.press(Key::Escape);
    assert!(!is_shown(&rig, "Close the page's card"), "Esc closes it, too");
}

/// Only a pointer could pin a page.
#[test]
fn keys_reach_the_pages_of_the_map_and_the_card_can_be_read_aloud() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(1.5);
    rig.stop();
    rig.press_with(Modifiers::CTRL, Key::G);
    rig.until("the map is shown", |rig| is_shown(rig, "Residency map"));
    rig.step(3);
    assert!(!is_shown(&rig, "Close the page's card"), "there was no page fault");
    rig.press(Key::Enter);
    rig.until("a page is pinned", |rig| is_shown(rig, "Close the page's card"));
    let first = rig.value("Card of the page");
    assert!(first.starts_with("In 1, page ") && first.contains("In 1-1.wav"), "{first}");
    rig.press(Key::ArrowLeft);
    let before = rig.value("Card of the page");
    assert!(before.starts_with("In 1, page ") && before.lines().next() != first.lines().next(), "{before}");
    rig.press(Key::ArrowDown);
    assert!(rig.value("Card of the page").starts_with("In 2, page "), "{}", rig.value("Card of the page"));
    rig.press(Key::Enter);
    assert!(!is_shown(&rig, "Close the page's card"), "Enter closes the card");
}

#[test]
fn the_graphs_show_the_last_minute_freeze_the_map_where_they_are_clicked_and_a_trace_is_saved() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(3.0);
    rig.stop();
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    for name in ["Page faults", "Late wake-up", "Commit", "Dirty", "Run delay"] {
        rig.until("the graph is there", |rig| {
            rig.harness.query_by_label_contains(&format!("{name}, last minute: ")).is_some()
        });
    }
    rig.until("it has wake-ups", |rig| {
        rig.harness.query_by_label_contains("Late wake-up, last minute: max ").is_some()
    });
    let graphs = rig.harness.get_by_label("Figures over the last minute").rect();
    // The recording ended at most some seconds ago. A click at the end of the axis shows the last sample.
    let end = egui::pos2(graphs.right() - 1.0, graphs.center().y);
    rig.harness.event(egui::Event::PointerMoved(end));
    rig.click_at(end);
    rig.until("it is frozen", |rig| is_shown(rig, "Look back") && is_shown(rig, "0.0 s before"));
    let begin = egui::pos2(graphs.left() + 1.0, graphs.center().y);
    rig.harness.event(egui::Event::PointerMoved(begin));
    rig.click_at(begin);
    rig.until("the first sample is shown", |rig| !is_shown(rig, "0.0 s before"));
    rig.click("Live");
    rig.until("it is live", |rig| !is_shown(rig, "Look back"));
    rig.click("Save trace");
    rig.until("it is saved", |rig| rig.harness.query_by_label_contains("Saved as").is_some());
    let files = |rig: &mut Rig| -> Vec<String> {
        let reports = std::fs::read_dir(rig.snapshot().folder.join("reports")).into_iter().flatten().flatten();
        reports.map(|file| file.path().display().to_string()).collect()
    };
    let trace = files(&mut rig).into_iter().find(|path| path.contains("/trace 20")).expect("a trace");
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(trace).expect("its bytes")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    assert!(events.iter().filter(|event| event["name"] == "cycle").count() > 50, "{}", events.len());
    let is_report = |path: &String| {
        let is_json = std::path::Path::new(path).extension().is_some_and(|kind| kind == "json");
        path.contains("/reports/report ") && is_json
    };
    rig.click("Save report");
    rig.until("the report has its picture of the map", |rig| {
        let files = files(rig);
        files.iter().any(|path| path.ends_with(" map.svg")) && files.iter().any(is_report)
    });
    let report = files(&mut rig).into_iter().find(is_report).expect("it");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).expect("its bytes")).expect("JSON");
    assert!(report["rates"].as_array().is_some_and(|rates| rates.len() > 4), "{}", report["rates"]);
    assert!(report["kernel_deltas"]["vmstat"]["pgfault"].as_i64() > Some(0), "{}", report["kernel_deltas"]);
}

#[test]
fn the_map_shows_the_pool_of_slots_and_tells_what_a_slot_holds() {
    let mut rig = Rig::new("virtual", 2);
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    rig.click("Record");
    rig.record_for(0.5);
    rig.until("the map is shown", |rig| is_shown(rig, "Residency map"));
    rig.click("Pages shown");
    rig.click("Pages shown");
    rig.until("the pool is shown", |rig| is_shown(rig, "Map of the pool of slots"));
    let map = rig.harness.get_by_label("Map of the pool of slots").rect();
    let at = map.left_center() + vec2(6.0, -2.0);
    rig.harness.event(egui::Event::PointerMoved(at));
    rig.click_at(at);
    rig.until("a slot is pinned", |rig| is_shown(rig, "Close the page's card"));
    rig.click("Pages shown");
    rig.step(2);
    assert!(!is_shown(&rig, "Close the page's card"), "another map has other pages");
    rig.stop();
}

#[test]
fn delete_removes_what_was_selected_last_and_regions_are_in_the_tree() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.6);
    rig.stop();
    rig.press(Key::Escape);
    rig.press(Key::F);
    let at = rig.harness.get_by_label_contains("Region In 1, 00:00:00.000 to").rect().center();
    rig.click_at(at);
    rig.click("Track In 2");
    rig.press(Key::Delete);
    let session = rig.session();
    assert_eq!(session.tracks().len(), 1, "the track goes");
    assert_eq!(session.tracks()[0].regions().len(), 1, "the region stays");
}

#[test]
fn a_drag_in_the_ruler_makes_a_range_and_a_drag_of_a_region_moves_it() {
    let mut rig = Rig::new("virtual", 1);
    rig.click("Record");
    rig.record_for(1.0);
    rig.stop();
    rig.press(Key::Escape);
    rig.press(Key::F);
    let ruler = rig.harness.get_by_label("Ruler").rect();
    let at = |part: f32| egui::pos2(ruler.left() + ruler.width() * part, ruler.center().y);
    rig.drag(at(0.5), at(0.7));
    let range = rig.snapshot().transport.range;
    assert!(range.is_some_and(|(from, to)| from.0 > 48_000 && from < to), "{range:?}");
    rig.send(Command::Range(None));
    let region = rig.harness.get_by_label_contains("Region In 1").rect();
    rig.drag(region.center(), region.center() + vec2(200.0, 0.0));
    let (start, length) = (rig.session().tracks()[0].regions()[0].start, rig.session().tracks()[0].regions()[0].length);
    assert!(start.0 > 24_000, "it moved: {start:?}");
    let region = rig.harness.get_by_label_contains("Region In 1").rect();
    let edge = egui::pos2(region.right() - 1.0, region.center().y);
    rig.drag(edge, edge - vec2(region.width() / 2.0, 0.0));
    assert!(rig.session().tracks()[0].regions()[0].length < length, "it is trimmed although it was not selected");
}

#[test]
fn end_brings_the_playhead_into_view() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(1.0);
    rig.stop();
    rig.press(Key::Home);
    for _ in 0..12 {
        rig.press(Key::Plus);
    }
    rig.press(Key::End);
    rig.step(4);
    let (position, view) = (rig.position(), rig.harness.state_mut().shell().view.clone());
    let x = view.x_of(FramePos(position));
    assert!((0.0..=view.width).contains(&x), "{x} of {}", view.width);
}

#[test]
fn a_session_that_was_cut_off_is_said_in_the_line_until_it_is_read() {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(0.5);
    let folder = rig.snapshot().folder;
    // A copy of the folder in the middle of a recording is what a kill leaves.
    let copy = rig.home.path().join("cut off");
    std::fs::create_dir_all(copy.join("audio")).unwrap();
    std::fs::copy(folder.join("session.json"), copy.join("session.json")).unwrap();
    for take in std::fs::read_dir(folder.join("audio")).unwrap().flatten() {
        std::fs::copy(take.path(), copy.join("audio").join(take.file_name())).unwrap();
    }
    rig.stop();
    rig.send(Command::OpenSession(copy.clone()));
    rig.until("it is open", |rig| rig.snapshot().stage == Stage::Open && rig.snapshot().folder.ends_with("cut off"));
    rig.until("it is said", |rig| rig.value("Health").starts_with("A recording was cut off."));
    assert_ne!(rig.snapshot().health.severity, Severity::Info);
    rig.click("OK");
    assert!(!rig.value("Health").contains("cut off"), "{}", rig.value("Health"));
}

#[test]
fn root_a_full_disk_is_told_in_time_left_and_takes_keep_their_waveforms_in_the_second_folder() {
    let home = Home::new();
    let (sessions, overflow) = (home.path().join("sessions"), home.path().join("overflow"));
    std::fs::create_dir(&overflow).unwrap();
    let disk = SmallDisk::mount(&sessions, "12m");
    let mut rig = Rig::at(home, "virtual", 16, None);
    rig.until("it is open", |rig| rig.snapshot().stage == Stage::Open);
    rig.click("Record");
    rig.until("memory takes over, and the line says so", |rig| {
        rig.value("Health").starts_with("Recording into memory.")
    });
    assert!(rig.value("Health").contains("Memory lasts"), "{}", rig.value("Health"));
    assert!(is_shown(&rig, "Choose another disk\u{2026}"));
    rig.send(Command::SetOverflowFolder(overflow.clone()));
    rig.until("takes continue", |rig| rig.value("Health").starts_with("Recording continues in"));
    assert!(!rig.value("Health").contains("full in 0 s"), "{}", rig.value("Health"));
    rig.until("time left is that of the second disk", |rig| {
        rig.snapshot().disk_space.is_some_and(|space| space.seconds > 60.0)
    });
    let snapshot = rig.snapshot();
    let pass = snapshot.transport.pass.unwrap();
    assert_eq!(pass.start, FramePos(0), "the blocks begin where the recording began");
    assert!(pass.frames.0 <= snapshot.transport.position.0 + 48_000, "and end at the record head");
    assert!(pass.takes.iter().all(|(_, take)| snapshot.session.take(*take).is_some_and(|take| take.folder.is_none())));
    rig.stop();
    let home = rig.leave();
    drop(disk);
    drop(home);
}

#[test]
fn the_panel_shows_the_pages_of_other_files_and_of_a_process_and_the_takes_again() {
    let mut rig = Rig::new("virtual", 2);
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    rig.step(2);
    rig.click("Watch other files");
    let folder = rig.home.path().join("database");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("rows.db"), vec![1; 64 * 4096]).unwrap();
    let field = "Files or process to watch";
    rig.type_in(field, "database");
    rig.click("Watch");
    rig.harness.get_by_label_contains("Type the whole path");
    replace(&mut rig, field, &folder.display().to_string());
    rig.press(Key::Enter);
    rig.until("the file is there", |rig| rig.harness.query_by_label_contains("rows.db: size 256 KiB").is_some());
    rig.harness.get_by_label_contains("in memory 256 KiB");
    assert!(!is_shown(&rig, "Residency map"), "the takes have their place back later");
    replace(&mut rig, field, &std::process::id().to_string());
    rig.click("Watch");
    let own = format!("({})", std::process::id());
    rig.until("the process is there", |rig| rig.harness.query_all_by_label_contains(&own).next().is_some());
    rig.until("its files are there", |rig| rig.harness.query_all_by_label_contains("page tables ").next().is_some());
    replace(&mut rig, field, "99999999");
    rig.click("Watch");
    rig.until("it is gone", |rig| rig.harness.query_by_label_contains("there is no such process").is_some());
    rig.click("Back to the takes");
    assert!(!is_shown(&rig, field) && is_shown(&rig, "Watch other files"));
}

/// Types a text in place of that of a field.
fn replace(rig: &mut Rig, field: &str, text: &str) {
    rig.harness.get_by_label(field).focus();
    rig.step(2);
    rig.press_with(Modifiers::CTRL.plus(Modifiers::COMMAND), Key::A);
    rig.type_in(field, text);
}

#[test]
fn the_line_below_the_graphs_names_the_program_that_synced_or_says_why_none_is_known() {
    let mut rig = Rig::new("virtual", 2);
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    rig.click("Record");
    let file = rig.home.path().join("other");
    // The recorder runs in this process, and what it does itself is not work of others.
    let sync = || {
        std::fs::write(&file, [1; 5000])?;
        std::process::Command::new("sync").arg("--data").arg(&file).status()
    };
    rig.until("somebody is named, or the reason is", |rig| {
        assert!(sync().is_ok_and(|status| status.success()));
        let said = |text: &str| rig.harness.query_by_label_contains(text).is_some();
        said("fdatasync by ")
            || said("Syncs and writeback by others are not known: ")
            || said("Others: ") && disk_work_reader::examine().is_none() && !has_tracepoints(rig.home.path())
    });
    rig.stop();
}

/// Whether the file system of a folder tells its syncs.
fn has_tracepoints(folder: &std::path::Path) -> bool {
    let kind = faultless::file_system::name_of(std::fs::File::open(folder).expect("the folder")).unwrap_or_default();
    ["ext4", "xfs", "btrfs"].iter().any(|known| kind.starts_with(known))
}
