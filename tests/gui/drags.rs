//! Tests of drags: what is dragged follows the pointer, the edit is sent at the release, and Esc cancels. Thread: test.

use super::rig::Rig;
use egui::{ColorImage, Event, ImageData, Key, Pos2, Rect, pos2, vec2};
use egui_kittest::kittest::Queryable as _;
use faultless::session::Region;
use faultless::ui::bottom_panel::Tab;
use faultless::ui::effect::Overlay;
use std::sync::Arc;

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

/// The image of the waveforms, if the last picture has drawn it again.
fn drawn_waves(rig: &Rig) -> Option<Arc<ColorImage>> {
    let textures = rig.harness.ctx.tex_manager();
    let textures = textures.read();
    let mut drawn = rig.harness.output().textures_delta.set.iter();
    let is_waves = |id| textures.meta(id).is_some_and(|texture| texture.name == "waves");
    let (_, deltas) = drawn.find(|(id, _)| is_waves(**id))?;
    let ImageData::Color(image) = &deltas.iter().rev().find(|delta| delta.pos.is_none())?.image;
    Some(Arc::clone(image))
}

/// The columns of the image that have something in the rows of `lane`.
fn filled_columns(image: &ColorImage, lane: Rect, timeline: Rect) -> Vec<usize> {
    let rows =
        (lane.top() - timeline.top()).max(0.0) as usize..((lane.bottom() - timeline.top()) as usize).min(image.size[1]);
    let is_filled = |x: &usize| rows.clone().any(|y| image.pixels[y * image.size[0] + x].a() > 0);
    (0..image.size[0]).filter(is_filled).collect()
}

/// Moves the pointer of a drag to and fro at `at` until the waveforms are drawn again in one of these pictures. Returns the
/// column of it that `choose` chooses.
fn waves_of_drag(
    rig: &mut Rig,
    at: Pos2,
    lane: Rect,
    timeline: Rect,
    choose: impl Fn(&[usize]) -> Option<usize>,
) -> usize {
    for step in 0..500 {
        rig.harness.event(Event::PointerMoved(at + vec2((step % 2) as f32, 0.0)));
        rig.step(1);
        let column = drawn_waves(rig).and_then(|image| choose(&filled_columns(&image, lane, timeline)));
        if let Some(column) = column {
            return column;
        }
    }
    panic!("no waveform was drawn during the drag");
}

/// The waveform stood still during a trim, and only the box changed.
#[test]
fn the_waveform_of_a_region_is_drawn_again_while_it_is_trimmed_and_moved() {
    let mut rig = recorded();
    let timeline = rig.harness.get_by_label("Timeline").rect();
    let rect = shown(&rig);
    let edge = pos2(rect.right() - 1.0, rect.center().y);
    let half = edge - vec2(rect.width() / 2.0, 0.0);
    rig.hold_drag(edge, half);
    let last = waves_of_drag(&mut rig, half, rect, timeline, |columns| columns.last().copied());
    assert!(last.abs_diff((shown(&rig).right() - timeline.left()) as usize) < 6, "{last}");
    rig.press(Key::Escape);
    rig.release(half);

    let to = rect.center() + vec2(200.0, 0.0);
    rig.hold_drag(rect.center(), to);
    let first = waves_of_drag(&mut rig, to, rect, timeline, |columns| columns.first().copied());
    assert!(first.abs_diff((shown(&rig).left() - timeline.left()) as usize) < 6, "{first}");
    rig.press(Key::Escape);
    rig.release(to);
}
