//! Which part of the timeline is shown, and what is selected. Thread: ui.

use super::theme;
use crate::session::{RegionId, TrackId};
use crate::time::FramePos;
use std::collections::BTreeSet;

/// Shared by the track list, the timeline and the actions.
#[derive(Clone, Debug)]
pub struct View {
    /// Frame of the timeline at the left edge. Fractions matter when a frame is many points wide.
    pub start: f64,
    /// Frames to a point.
    pub frames_per_point: f64,
    /// Width of the timeline in points, as it was last drawn.
    pub width: f32,
    /// Points that the rows are scrolled up.
    pub scroll: f32,
    /// Whether the view goes with the playhead.
    pub follow: bool,
    /// Whether rows are tall.
    pub tall: bool,
    /// Selected tracks.
    pub selected_tracks: BTreeSet<TrackId>,
    /// Selected regions.
    pub selected_regions: BTreeSet<RegionId>,
}

/// Frames to a point: the whole of a day in a small window, and a frame over many points.
const FRAMES_PER_POINT_RANGE: (f64, f64) = (1.0 / 32.0, 8_000_000.0);

impl Default for View {
    fn default() -> View {
        View {
            start: 0.0,
            frames_per_point: 512.0,
            width: 1000.0,
            scroll: 0.0,
            follow: true,
            tall: true,
            selected_tracks: BTreeSet::new(),
            selected_regions: BTreeSet::new(),
        }
    }
}

impl View {
    /// Height of a row, its line included.
    pub fn row_height(&self) -> f32 {
        if self.tall { theme::ROW_TALL } else { theme::ROW_COMPACT }
    }

    /// Points from the left edge at which a place stands.
    pub fn x_of(&self, at: FramePos) -> f32 {
        ((at.0 as f64 - self.start) / self.frames_per_point) as f32
    }

    /// The place at so many points from the left edge; not before the start of the timeline.
    pub fn position_at(&self, x: f32) -> FramePos {
        FramePos((self.start + f64::from(x) * self.frames_per_point).round().max(0.0) as u64)
    }

    /// Frames in view.
    pub fn frames(&self) -> f64 {
        f64::from(self.width) * self.frames_per_point
    }

    /// Zooms by `factor` (below 1: in) and keeps the place at `x` where it is.
    pub fn zoom(&mut self, factor: f64, x: f32) {
        let fixed = self.start + f64::from(x) * self.frames_per_point;
        self.frames_per_point =
            (self.frames_per_point * factor).clamp(FRAMES_PER_POINT_RANGE.0, FRAMES_PER_POINT_RANGE.1);
        self.start = (fixed - f64::from(x) * self.frames_per_point).max(0.0);
    }

    /// Shows a stretch, with a little room on both sides.
    pub fn show_range(&mut self, from: FramePos, to: FramePos) {
        let frames = (to.0.saturating_sub(from.0) as f64).max(16.0);
        let wanted = frames * 1.06 / f64::from(self.width.max(1.0));
        self.frames_per_point = wanted.clamp(FRAMES_PER_POINT_RANGE.0, FRAMES_PER_POINT_RANGE.1);
        self.start = (from.0 as f64 - frames * 0.03).max(0.0);
    }

    /// Goes with a playhead that rolls: it stands at four fifths of the width while recording (`part_of_width` 0.8), and is
    /// never left behind.
    pub fn follow_playhead(&mut self, playhead: FramePos, part_of_width: f64) {
        let at = playhead.0 as f64;
        let edge = self.start + self.frames() * part_of_width;
        if at > edge || at < self.start {
            self.start = (at - self.frames() * part_of_width).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_keeps_what_is_under_the_pointer_where_it_is() {
        let mut view = View { start: 48_000.0, ..View::default() };
        let under = view.position_at(300.0);
        for factor in [0.5, 0.25, 3.0, 1.7] {
            view.zoom(factor, 300.0);
            assert!((view.x_of(under) - 300.0).abs() < 0.5);
        }
    }

    #[test]
    fn the_view_never_begins_before_the_timeline_and_follows_the_playhead() {
        let mut view = View::default();
        view.zoom(4.0, 900.0);
        assert!(view.start >= 0.0);
        view.follow_playhead(FramePos(100_000_000), 0.8);
        let x = view.x_of(FramePos(100_000_000));
        assert!((x - view.width * 0.8).abs() < 1.0, "{x}");
    }

    #[test]
    fn a_stretch_that_is_shown_is_in_view() {
        let mut view = View::default();
        view.show_range(FramePos(1_000_000), FramePos(2_000_000));
        assert!(view.x_of(FramePos(1_000_000)) >= 0.0 && view.x_of(FramePos(2_000_000)) <= view.width);
    }
}
