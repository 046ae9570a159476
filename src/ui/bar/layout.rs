//! The layout of the transport bar. Pure. Thread: ui.
//!
//! A wide bar shows everything. A narrower one takes the steps of [`STEPS`] in order until its parts fit side by side.
//! The menu has the parts that the bar does not show.

use crate::ui::action::Action;
use egui::{Rect, pos2, vec2};

/// Widths of the parts in points. 0: the part is not shown.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Widths {
    name: f32,
    to_start: f32,
    stop: f32,
    play: f32,
    record: f32,
    to_end: f32,
    loops: f32,
    punch: f32,
    time: f32,
    master: f32,
    room: f32,
    device: f32,
    settings: f32,
    menu: f32,
}

const WIDEST: Widths = Widths {
    name: 198.0,
    to_start: 38.0,
    stop: 122.0,
    play: 38.0,
    record: 132.0,
    to_end: 38.0,
    loops: 44.0,
    punch: 44.0,
    time: TIME_WIDTHS[0],
    master: 15.0,
    room: 132.0,
    device: 176.0,
    settings: 38.0,
    menu: 38.0,
};

/// Widths of the time display in its three sizes.
const TIME_WIDTHS: [f32; 3] = [240.0, 162.0, 118.0];

/// The parts that a bar that is too narrow gives up, one after the other.
const STEPS: &[fn(&mut Widths)] = &[
    |of| of.name = 136.0,
    |of| (of.room, of.device) = (104.0, 132.0),
    |of| of.time = TIME_WIDTHS[1],
    |of| of.settings = 0.0,
    |of| of.to_end = 0.0,
    |of| of.to_start = 0.0,
    |of| (of.stop, of.record) = (114.0, 112.0),
    |of| of.name = 100.0,
    |of| of.room = 88.0,
    |of| of.punch = 0.0,
    |of| of.loops = 0.0,
    |of| of.name = 0.0,
    |of| of.room = 0.0,
    |of| of.stop = 38.0,
    |of| of.device = 0.0,
    |of| of.record = 44.0,
    |of| of.time = TIME_WIDTHS[2],
    |of| of.master = 0.0,
    |of| of.time = 0.0,
];

/// Space at both ends of the bar.
const MARGIN: f32 = 16.0;
/// Space between two buttons.
const GAP: f32 = 6.0;
/// Space between two groups.
const GROUP_GAP: f32 = 12.0;

/// The rectangles of the parts. `None`: the part is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Layout {
    pub(super) name: Option<Rect>,
    pub(super) to_start: Option<Rect>,
    pub(super) stop: Option<Rect>,
    pub(super) play: Option<Rect>,
    pub(super) record: Option<Rect>,
    pub(super) to_end: Option<Rect>,
    pub(super) loops: Option<Rect>,
    pub(super) punch: Option<Rect>,
    pub(super) time: Option<Rect>,
    pub(super) master: Option<Rect>,
    pub(super) room: Option<Rect>,
    pub(super) device: Option<Rect>,
    pub(super) settings: Option<Rect>,
    pub(super) menu: Option<Rect>,
}

impl Layout {
    /// Lays the bar out in `bar`.
    pub(super) fn new(bar: Rect) -> Layout {
        let mut of = WIDEST;
        for step in STEPS {
            if of.sum() <= bar.width() {
                break;
            }
            step(&mut of);
        }
        let y = bar.center().y;
        let mut x = bar.left() + MARGIN;
        let mut next = |width: f32, height: f32, gap: f32| {
            (width > 0.0).then(|| {
                let rect = Rect::from_min_size(pos2(x, y - height / 2.0), vec2(width, height));
                x = rect.right() + gap;
                rect
            })
        };
        let mut layout = Layout {
            name: next(of.name, bar.height(), GROUP_GAP),
            to_start: next(of.to_start, 36.0, GAP),
            stop: next(of.stop, 36.0, GAP),
            play: next(of.play, 36.0, GAP),
            record: next(of.record, 44.0, GAP),
            to_end: next(of.to_end, 36.0, GAP),
            loops: next(of.loops, 44.0, GAP),
            punch: next(of.punch, 44.0, GAP),
            ..Layout::default()
        };
        let left = x - GAP + GROUP_GAP;
        let mut x = bar.right() - MARGIN;
        let mut before = |width: f32, height: f32, gap: f32| {
            (width > 0.0).then(|| {
                let rect = Rect::from_min_size(pos2(x - width, y - height / 2.0), vec2(width, height));
                x = rect.left() - gap;
                rect
            })
        };
        layout.menu = before(of.menu, 36.0, GAP);
        layout.settings = before(of.settings, 36.0, GROUP_GAP);
        layout.device = before(of.device, 44.0, GAP + 2.0);
        layout.room = before(of.room, 44.0, GROUP_GAP);
        layout.master = before(of.master, bar.height() - 22.0, GROUP_GAP);
        let space = (x - left).max(of.time);
        let middle = left + space / 2.0;
        layout.time =
            (of.time > 0.0).then(|| Rect::from_center_size(pos2(middle, y), vec2(of.time, bar.height() - 8.0)));
        layout
    }

    /// The actions whose buttons are not shown, for the menu.
    pub(super) fn hidden(&self) -> Vec<Action> {
        let all = [
            (self.to_start, Action::ToStart),
            (self.to_end, Action::ToEnd),
            (self.loops, Action::Loop),
            (self.punch, Action::Punch),
        ];
        all.into_iter().filter(|(rect, _)| rect.is_none()).map(|(_, action)| action).collect()
    }

    /// The size of the time display, 0 for the largest.
    pub(super) fn time_size(&self) -> usize {
        let width = self.time.map_or(0.0, |rect| rect.width());
        TIME_WIDTHS.iter().position(|size| *size <= width + 0.5).unwrap_or(TIME_WIDTHS.len() - 1)
    }

    #[cfg(test)]
    fn all(&self) -> Vec<(&'static str, Rect)> {
        let all = [
            ("name", self.name),
            ("to start", self.to_start),
            ("stop", self.stop),
            ("play", self.play),
            ("record", self.record),
            ("to end", self.to_end),
            ("loop", self.loops),
            ("punch", self.punch),
            ("time", self.time),
            ("master", self.master),
            ("room", self.room),
            ("device", self.device),
            ("settings", self.settings),
            ("menu", self.menu),
        ];
        all.into_iter().filter_map(|(name, rect)| Some((name, rect?))).collect()
    }
}

impl Widths {
    /// The width of a bar that has all parts side by side.
    fn sum(&self) -> f32 {
        let part = |width: f32, gap: f32| if width > 0.0 { width + gap } else { 0.0 };
        let left = part(self.name, GROUP_GAP)
            + [self.to_start, self.stop, self.play, self.record, self.to_end, self.loops, self.punch]
                .into_iter()
                .map(|width| part(width, GAP))
                .sum::<f32>();
        let right = part(self.menu, GAP)
            + part(self.settings, GROUP_GAP)
            + part(self.device, GAP + 2.0)
            + part(self.room, GROUP_GAP)
            + part(self.master, GROUP_GAP);
        2.0 * MARGIN + left - GAP + GROUP_GAP + self.time + right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At a zoom of 161 % the time lay over the free disk space, at 259 % Record over both cards.
    #[test]
    fn no_two_parts_of_the_bar_intersect_at_any_size_and_zoom() {
        for screen in [1024.0, 1280.0, 1366.0, 1440.0, 1920.0, 2560.0, 3840.0] {
            for zoom in [0.6, 0.75, 1.0, 1.25, 1.5, 1.61, 1.75, 1.95, 2.0, 2.59, 3.0] {
                let bar = Rect::from_min_size(pos2(0.0, 0.0), vec2(screen / zoom, 68.0));
                let layout = Layout::new(bar);
                let parts = layout.all();
                for needed in ["stop", "play", "record", "time", "menu"] {
                    assert!(parts.iter().any(|(name, _)| *name == needed), "{needed} at {screen}, {zoom}");
                }
                for (at, (name, part)) in parts.iter().enumerate() {
                    assert!(bar.contains_rect(*part), "{name} at {screen}, {zoom}: {part:?}");
                    for (other_name, other) in &parts[at + 1..] {
                        let both = part.intersect(*other);
                        assert!(
                            both.width() <= 0.01 || both.height() <= 0.01,
                            "{name} and {other_name} at {screen}, {zoom}: {part:?} and {other:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_wide_bar_shows_everything_and_a_narrow_one_lists_the_rest() {
        let layout = |width: f32| Layout::new(Rect::from_min_size(pos2(0.0, 0.0), vec2(width, 68.0)));
        assert!(layout(1440.0).hidden().is_empty() && layout(1440.0).settings.is_some());
        let small = layout(1024.0);
        assert!(small.stop.is_some_and(|stop| stop.width() > 100.0), "Hold to stop is readable");
        assert_eq!(small.hidden(), [Action::ToStart, Action::ToEnd]);
        assert_eq!(layout(480.0).hidden().len(), 4);
    }
}
