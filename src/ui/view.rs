//! The view: the visible part of the timeline, and the selection. Thread: ui.

use super::theme;
use crate::session::{RegionId, TrackId};
use crate::time::FramePos;
use std::collections::BTreeSet;

/// Visible part and selection. Track list, timeline and actions share it.
#[derive(Clone, Debug)]
pub struct View {
    /// Timeline frame at the left edge. It has a fraction, because one frame can be many points wide.
    pub start: f64,
    /// Frames per point; smaller is closer.
    pub frames_per_point: f64,
    /// Width of the timeline in points, from the last picture.
    pub width: f32,
    /// Distance in points that the rows are scrolled up.
    pub scroll: f32,
    /// Whether the view keeps a rolling playhead visible.
    pub follow: bool,
    /// Whether track rows are tall.
    pub tall: bool,
    pub selected_tracks: BTreeSet<TrackId>,
    pub selected_regions: BTreeSet<RegionId>,
}

/// Limits of the zoom in frames per point: from one frame over 32 points to a day in a small window.
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
    /// Height of a track row in points, with the line below it.
    pub fn row_height(&self) -> f32 {
        if self.tall { theme::ROW_TALL } else { theme::ROW_COMPACT }
    }

    /// Distance of a position from the left edge, in points. Negative if the position is left of the view.
    pub fn x_of(&self, at: FramePos) -> f32 {
        ((at.0 as f64 - self.start) / self.frames_per_point) as f32
    }

    /// The position at `x` points from the left edge, at least the start of the timeline.
    pub fn position_at(&self, x: f32) -> FramePos {
        FramePos((self.start + f64::from(x) * self.frames_per_point).round().max(0.0) as u64)
    }

    /// Number of frames in view.
    pub fn frames(&self) -> f64 {
        f64::from(self.width) * self.frames_per_point
    }

    /// Multiplies the frames per point by `factor` (below 1 zooms in). The position at `x` points stays at `x`.
    pub fn zoom(&mut self, factor: f64, x: f32) {
        let fixed = self.start + f64::from(x) * self.frames_per_point;
        self.frames_per_point =
            (self.frames_per_point * factor).clamp(FRAMES_PER_POINT_RANGE.0, FRAMES_PER_POINT_RANGE.1);
        self.start = (fixed - f64::from(x) * self.frames_per_point).max(0.0);
    }

    /// Shows a range, with a margin of 3 % on both sides.
    pub fn show_range(&mut self, from: FramePos, to: FramePos) {
        let frames = (to.0.saturating_sub(from.0) as f64).max(16.0);
        let wanted = frames * 1.06 / f64::from(self.width.max(1.0));
        self.frames_per_point = wanted.clamp(FRAMES_PER_POINT_RANGE.0, FRAMES_PER_POINT_RANGE.1);
        self.start = (from.0 as f64 - frames * 0.03).max(0.0);
    }

    /// Moves the view if the playhead is left of it or beyond `part_of_width`. The playhead is then at `part_of_width`,
    /// which is 0.0 at the left edge and 1.0 at the right one.
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
    fn zooming_keeps_the_position_under_the_pointer() {
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
    fn a_range_that_is_shown_is_in_view() {
        let mut view = View::default();
        view.show_range(FramePos(1_000_000), FramePos(2_000_000));
        assert!(view.x_of(FramePos(1_000_000)) >= 0.0 && view.x_of(FramePos(2_000_000)) <= view.width);
    }
}
