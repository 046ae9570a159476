//! Tests of drags: what is dragged follows the pointer, the edit is sent at the release, and Esc cancels. Thread: test.

use super::rig::{Rig, skip};
use egui::{Event, Key, Rangef, Rect, pos2, vec2};
use egui_kittest::kittest::Queryable as _;
use faultless::app::command::Command;
use faultless::session::Region;
use faultless::time::FramePos;
use faultless::ui::bottom_panel::Tab;
use faultless::ui::effect::Overlay;

/// A window with two tracks, each with a take of a second.
fn recorded() -> Rig {
    let mut rig = Rig::new("virtual", 2);
    rig.click("Record");
    rig.record_for(1.0);
    rig.stop();
    rig.press(Key::F);
    rig
}

fn shown(rig: &Rig) -> Rect {
    rig.harness.get_by_label_contains("Region In 1").rect()
}

fn region(rig: &mut Rig) -> Region {
    rig.session().tracks()[0].regions()[0].clone()
}

fn has_card(rig: &Rig) -> bool {
    rig.harness.query_by_label("Close the card").is_some()
}

/// Nothing moved until the release, and Esc trimmed.
#[test]
fn an_edge_follows_the_pointer_and_escape_cancels_the_trim_and_nothing_else() {
    let mut rig = recorded();
    let (before, rect) = (region(&mut rig), shown(&rig));
    let edge = pos2(rect.right() - 1.0, rect.center().y);
    let to = edge - vec2(rect.width() / 2.0, 0.0);
    rig.hold_drag(edge, to);
    assert!(shown(&rig).width() < rect.width() * 0.6, "{:?} of {rect:?}", shown(&rig));
    assert_eq!(region(&mut rig), before, "nothing is edited before the release");
    assert!(has_card(&rig));
    rig.press(Key::Escape);
    assert!((shown(&rig).width() - rect.width()).abs() < 1.0, "{:?}", shown(&rig));
    assert!(has_card(&rig), "the card stays");
    rig.release(to);
    assert_eq!(region(&mut rig), before);
    rig.press(Key::Escape);
    assert!(!has_card(&rig), "the next Esc closes it");
    rig.drag(edge, to);
    assert!(region(&mut rig).length < before.length, "without Esc it is trimmed");
}

#[test]
fn escape_cancels_the_move_of_a_region_and_the_order_of_tracks_and_leaves_a_sheet_open() {
    let mut rig = recorded();
    let (before, rect) = (region(&mut rig), shown(&rig));
    let to = rect.center() + vec2(200.0, 0.0);
    rig.hold_drag(rect.center(), to);
    assert!(shown(&rig).left() > rect.left() + 100.0, "{:?} of {rect:?}", shown(&rig));
    rig.harness.state_mut().shell().overlay = Overlay::Keys;
    rig.press(Key::Escape);
    assert_eq!(rig.harness.state_mut().shell().overlay, Overlay::Keys);
    rig.harness.state_mut().shell().overlay = Overlay::Nothing;
    rig.release(to);
    assert_eq!(region(&mut rig), before);
    let order: Vec<_> = rig.session().track_ids().collect();
    let [first, second] = ["Track In 1", "Track In 2"].map(|track| rig.harness.get_by_label(track).rect());
    let below = second.center_bottom() + vec2(0.0, 30.0);
    rig.hold_drag(first.center(), below);
    rig.press(Key::Escape);
    rig.release(below);
    assert_eq!(rig.session().track_ids().collect::<Vec<_>>(), order);
    rig.drag(first.center(), below);
    assert_ne!(rig.session().track_ids().collect::<Vec<_>>(), order, "without Esc it is moved");
}

#[test]
fn escape_cancels_a_range_a_marker_and_a_fader() {
    let mut rig = recorded();
    let ruler = rig.harness.get_by_label("Ruler").rect();
    let at = |part: f32| pos2(ruler.left() + ruler.width() * part, ruler.bottom() - 4.0);
    rig.drag(at(0.5), at(0.6));
    let range = rig.snapshot().transport.range;
    assert!(range.is_some());
    rig.hold_drag(at(0.7), at(0.9));
    assert_ne!(rig.snapshot().transport.range, range);
    rig.press(Key::Escape);
    rig.release(at(0.9));
    assert_eq!(rig.snapshot().transport.range, range);

    rig.press(Key::M);
    let marker = rig.session().markers()[0].at;
    let flag = rig.harness.get_by_label_contains("Marker 1").rect();
    let to = flag.center() + vec2(150.0, 0.0);
    rig.hold_drag(flag.center(), to);
    let moved = rig.harness.get_by_label_contains("Marker 1").rect();
    assert!(moved.left() > flag.left() + 100.0, "{moved:?} of {flag:?}");
    rig.press(Key::Escape);
    rig.release(to);
    assert_eq!(rig.session().markers()[0].at, marker);
    rig.drag(flag.center(), to);
    assert!(marker < rig.session().markers()[0].at, "without Esc it is moved");

    let fader = rig.harness.get_by_label("Gain In 1").rect();
    let to = fader.center() - vec2(fader.width() / 3.0, 0.0);
    let gain = rig.session().tracks()[0].gain_db();
    rig.hold_drag(fader.center(), to);
    assert!(rig.session().tracks()[0].gain_db() < gain - 1.0);
    rig.press(Key::Escape);
    rig.release(to);
    let after = rig.session().tracks()[0].gain_db();
    assert!((after - gain).abs() < 0.05, "{after}");
}

/// A range was empty for a picture while its end was dragged over its start, or while the button was held still in a lane.
/// Loop and Punch went off, and a recording that was to punch out had no end.
#[test]
fn a_range_that_is_dragged_through_its_start_and_a_button_that_is_held_still_leave_loop_and_punch_on() {
    let mut rig = recorded();
    let lanes = rig.harness.get_by_label("Timeline").rect();
    // The card after the recording lies over the lower lanes.
    let row = rig.harness.get_by_label("Track In 1").rect();
    let at = |x: f32| pos2(lanes.left() + x, row.center().y);
    let position = rig.harness.state_mut().shell().view.position_at(200.0);
    rig.send(Command::Range(Some((FramePos(0), position))));
    rig.press(Key::L);
    rig.press(Key::P);
    let switches = |rig: &mut Rig| {
        let transport = rig.snapshot().transport;
        (transport.loops, transport.punches)
    };
    assert_eq!(switches(&mut rig), (true, true));
    rig.hold_drag(at(200.0), at(-60.0));
    assert_eq!(switches(&mut rig), (true, true), "the end is at the start");
    rig.harness.event(Event::PointerMoved(at(120.0)));
    rig.step(2);
    rig.release(at(120.0));
    let is_shorter =
        |range: Option<(FramePos, FramePos)>| range.is_some_and(|(from, to)| from == FramePos(0) && to < position);
    rig.until("the range is shorter", |rig| is_shorter(rig.snapshot().transport.range));
    assert_eq!(switches(&mut rig), (true, true));
    let range = rig.snapshot().transport.range;

    let still = at(400.0);
    rig.hold_drag(still, still);
    // egui takes a button that is held for more than 0.8 s for a drag.
    rig.step(40);
    assert_eq!((rig.snapshot().transport.range, switches(&mut rig)), (range, (true, true)));
    rig.release(still);
    assert_eq!((rig.snapshot().transport.range, switches(&mut rig)), (range, (true, true)));
}

/// Esc ended these drags and left what they had moved where it was.
#[test]
fn escape_brings_back_the_height_of_the_lower_panel_and_the_view_of_the_timeline() {
    let mut rig = recorded();
    rig.harness.state_mut().shell().bottom.open = true;
    rig.step(3);
    let height = |rig: &mut Rig| rig.harness.state_mut().shell().bottom.height;
    let before = height(&mut rig);
    let grip = rig.harness.get_by_label("Height of the lower panel").rect().center();
    let to = grip + vec2(0.0, 60.0);
    rig.hold_drag(grip, to);
    assert!(height(&mut rig) < before - 40.0, "{} of {before}", height(&mut rig));
    rig.press(Key::Escape);
    assert!((height(&mut rig) - before).abs() < 0.5, "{} of {before}", height(&mut rig));
    rig.release(to);
    assert!((height(&mut rig) - before).abs() < 0.5);
    rig.drag(grip, to);
    assert!(height(&mut rig) < before - 40.0, "without Esc it has the new height");

    for _ in 0..4 {
        rig.press(Key::Plus);
    }
    let start = |rig: &mut Rig| rig.harness.state_mut().shell().view.start;
    let before = start(&mut rig);
    let strip = rig.harness.get_by_label("Overview").rect();
    // The grip of the strip is where the view is. A drag moves the view by as much, wherever it begins.
    let (from, to) = (strip.left_center() + vec2(12.0, 0.0), strip.left_center() + vec2(140.0, 0.0));
    rig.hold_drag(from, to);
    let moved = start(&mut rig);
    assert!(before + 1000.0 < moved, "{moved} of {before}");
    rig.press(Key::Escape);
    assert!((start(&mut rig) - before).abs() < 1.0, "{} of {before}", start(&mut rig));
    rig.release(to);
    assert!((start(&mut rig) - before).abs() < 1.0);
    rig.drag(from, to);
    assert!(before + 1000.0 < start(&mut rig), "without Esc it is scrolled");
}

#[test]
fn escape_makes_the_map_live_again_that_a_drag_in_the_graphs_has_frozen() {
    let mut rig = recorded();
    let bottom = &mut rig.harness.state_mut().shell().bottom;
    (bottom.open, bottom.tab) = (true, Tab::Residency);
    rig.until("the graphs have figures", |rig| {
        rig.harness.query_by_label_contains("Late wake-up, last minute: max ").is_some()
    });
    let is_frozen = |rig: &Rig| rig.harness.query_by_label("Look back").is_some();
    let graphs = rig.harness.get_by_label("Figures over the last minute").rect();
    let to = graphs.center() + vec2(80.0, 0.0);
    rig.hold_drag(graphs.center(), to);
    rig.step(1);
    assert!(is_frozen(&rig));
    rig.press(Key::Escape);
    assert!(!is_frozen(&rig));
    rig.release(to);
    assert!(!is_frozen(&rig));
    rig.drag(graphs.center(), to);
    assert!(is_frozen(&rig), "without Esc it stays frozen");
}

/// The columns of a picture, in points, whose middle row of the lane `lane` is as bright as a waveform.
fn bright_columns(rig: &mut Rig, lane: Rect) -> Vec<f32> {
    let picture = rig.harness.render().expect("a picture");
    let scale = rig.harness.ctx.pixels_per_point();
    let y = (lane.center().y * scale) as u32;
    let is_bright = |x: &u32| picture.get_pixel(*x, y).0[..3].iter().max().is_some_and(|value| 110 < *value);
    (0..picture.width()).filter(is_bright).map(|x| x as f32 / scale).collect()
}

/// Waits until the waveform fills `wanted` in the lane of `lane`, and no column of `empty`.
fn until_waves_fill(rig: &mut Rig, lane: Rect, wanted: Rangef, empty: Rangef) {
    let fill = |columns: &[f32], range: Rangef| {
        let inside = columns.iter().filter(|x| range.shrink(4.0).contains(**x)).count();
        inside as f32 / range.shrink(4.0).span()
    };
    let mut filled = (0.0, 0.0);
    for _ in 0..100 {
        rig.step(1);
        let columns = bright_columns(rig, lane);
        filled = (fill(&columns, wanted), fill(&columns, empty));
        if 0.8 < filled.0 && filled.1 < 0.1 {
            return;
        }
    }
    panic!("the waveform fills {filled:?} of {wanted:?} and {empty:?}");
}

/// The waveform stood still during a trim, and only the box changed.
#[test]
fn the_waveform_of_a_region_is_drawn_again_while_it_is_trimmed_and_moved() {
    let mut rig = recorded();
    if let Err(reason) = rig.harness.render() {
        return skip("pictures of waveforms", &reason);
    }
    let rect = shown(&rig);
    let edge = pos2(rect.right() - 1.0, rect.center().y);
    let half = edge - vec2(rect.width() / 2.0, 0.0);
    until_waves_fill(&mut rig, rect, rect.x_range(), Rangef::new(rect.right() + 8.0, rect.right() + 100.0));
    rig.hold_drag(edge, half);
    let end = shown(&rig).right();
    assert!(end < rect.right() - 20.0);
    until_waves_fill(&mut rig, rect, Rangef::new(rect.left(), end), Rangef::new(end, rect.right()));
    rig.press(Key::Escape);
    rig.release(half);

    let to = rect.center() + vec2(200.0, 0.0);
    rig.hold_drag(rect.center(), to);
    let moved = shown(&rig);
    assert!(rect.left() + 20.0 < moved.left());
    until_waves_fill(&mut rig, rect, moved.x_range(), Rangef::new(rect.left(), moved.left()));
    rig.press(Key::Escape);
    rig.release(to);
}
