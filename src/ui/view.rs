//! The view: the visible part of the timeline, and the selection. Thread: ui.

use super::theme;
use crate::app::snapshot::Snapshot;
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
    /// Height of the lanes in points, from the last picture. 0 before the first one.
    pub lanes_height: f32,
    /// Width of the track list in points, from the last picture.
    pub list_width: f32,
    /// Number of tracks, from the last picture.
    pub rows: usize,
    /// Frames up to which the view may show the timeline: the session and a quarter more.
    pub longest: f64,
    pub selected_tracks: BTreeSet<TrackId>,
    pub selected_regions: BTreeSet<RegionId>,
}

/// Seconds that can always be shown, however short the session is.
const SHOWN_SECONDS_MIN: f64 = 60.0;

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
            lanes_height: 0.0,
            list_width: theme::TRACKS,
            rows: 0,
            longest: f64::INFINITY,
            selected_tracks: BTreeSet::new(),
            selected_regions: BTreeSet::new(),
        }
    }
}

impl View {
    /// Takes the size of the lanes and the length of the session. Keeps the zoom and the place within the session.
    pub fn fit(&mut self, lanes_height: f32, snapshot: &Snapshot) {
        (self.lanes_height, self.rows) = (lanes_height, snapshot.session.tracks().len());
        let end = snapshot.session.end().max(snapshot.transport.position).0 as f64;
        let least = SHOWN_SECONDS_MIN * f64::from(snapshot.transport.rate.0);
        self.longest = (end * 1.25).max(least);
        let start = self.start;
        self.frames_per_point = self.frames_per_point.min(self.frames_per_point_max());
        self.start = start.min(end.max(0.0));
    }

    /// Height of a track row in points, with the line below it. Tall rows fill the height of the lanes, and compact ones
    /// shrink so that all tracks can be seen.
    pub fn row_height(&self) -> f32 {
        let fitting = (self.lanes_height / self.rows.max(1) as f32).floor();
        match self.tall {
            true => fitting.clamp(theme::ROW_TALL, theme::ROW_TALLEST),
            false if self.lanes_height == 0.0 => theme::ROW_COMPACT,
            false => fitting.clamp(theme::ROW_SMALLEST, theme::ROW_COMPACT),
        }
    }

    /// The farthest that the rows can be scrolled. Rows that do not fit leave space for one more, where a new track would
    /// appear.
    pub fn scroll_max(&self) -> f32 {
        let rows = self.rows as f32 * self.row_height();
        if rows <= self.lanes_height { 0.0 } else { rows + self.row_height() - self.lanes_height }
    }

    /// Scrolls so that a row is in view.
    pub fn scroll_to(&mut self, row: usize) {
        let (top, height) = (row as f32 * self.row_height(), self.row_height());
        self.scroll = self.scroll.clamp((top + height - self.lanes_height).max(0.0), top.max(0.0));
    }

    /// The zoom at which the whole session is in view.
    fn frames_per_point_max(&self) -> f64 {
        (self.longest / f64::from(self.width.max(1.0))).min(FRAMES_PER_POINT_RANGE.1).max(FRAMES_PER_POINT_RANGE.0)
    }

    /// Moves the view if a position is out of it. The position is then in the middle.
    pub fn bring_into_view(&mut self, at: FramePos) {
        let x = self.x_of(at);
        if x < 0.0 || x > self.width {
            self.start = (at.0 as f64 - self.frames() / 2.0).max(0.0);
        }
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
            (self.frames_per_point * factor).clamp(FRAMES_PER_POINT_RANGE.0, self.frames_per_point_max());
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

    /// Zooming out ended at 50 hours for a session of 20 seconds, and nothing could be seen.
    #[test]
    fn zooming_out_ends_at_the_session_and_rows_fill_the_height() {
        let mut snapshot = Snapshot::empty();
        snapshot.transport.position = FramePos(200 * 48_000);
        let mut view = View { start: 9e9, ..View::default() };
        view.fit(700.0, &snapshot);
        for _ in 0..100 {
            view.zoom(1.4, 500.0);
        }
        assert!((view.frames() - 250.0 * 48_000.0).abs() < 1.0 && view.start < 200.0 * 48_000.0, "{view:?}");
        view.bring_into_view(FramePos(0));
        assert!(view.x_of(FramePos(0)) >= 0.0);
        let height = |rows: usize, tall: bool| View { rows, tall, lanes_height: 742.0, ..View::default() }.row_height();
        assert_eq!([height(8, true), height(2, true), height(24, true)], [92.0, 120.0, 41.0]);
        assert_eq!([height(8, false), height(64, false)], [25.0, 11.0]);
    }

    #[test]
    fn a_range_that_is_shown_is_in_view() {
        let mut view = View::default();
        view.show_range(FramePos(1_000_000), FramePos(2_000_000));
        assert!(view.x_of(FramePos(1_000_000)) >= 0.0 && view.x_of(FramePos(2_000_000)) <= view.width);
    }
}
