//! The regions of a track as the screen can show them: neighbours that are too narrow to draw apart become one run.
//! Thread: ui. Pure.
//!
//! The cost of a track depends on its width in pixels, not on the number of its regions.

use crate::session::{Region, RegionId, Track};
use crate::time::FramePos;
use crate::ui::view::View;
use std::collections::BTreeSet;

/// Width in points below which a region may merge with its neighbours.
const NARROW: f32 = 3.0;

/// Distance in points from which a gap between two narrow regions stays visible.
const GAP_MIN: f32 = 1.0;

/// Regions that begin in the same column of pixels and are looked at one by one. The search for the next column passes
/// over the others: they are too narrow to see.
const LOOKS_A_COLUMN: usize = 4;

/// One region, or several narrow neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run<'a> {
    /// The only region; `None` if several regions merged.
    pub(super) only: Option<&'a Region>,
    /// Left edge, in points from the left edge of the lanes.
    pub(super) from: f32,
    /// Right edge, at least one point behind `from`.
    pub(super) to: f32,
    /// Whether the regions are muted. Muted and audible regions do not merge.
    pub(super) muted: bool,
    /// Whether the regions are selected. Selected and other regions do not merge.
    pub(super) selected: bool,
}

/// The runs of a track in view, in order. `pixel` is the width of a pixel in points.
pub(super) fn runs<'a>(track: &'a Track, view: &View, pixel: f32, draw: &mut impl FnMut(Run<'a>)) {
    let regions = track.regions_in(view_start(view), view_end(view));
    let mut open: Option<Run<'a>> = None;
    let mut at = 0;
    let (mut column, mut looks) = (f32::NEG_INFINITY, 0);
    while let Some(region) = regions.get(at) {
        let next = run_of(region, view);
        let is_narrow = next.to - next.from < NARROW;
        match &mut open {
            Some(run) if is_narrow && may_merge(run, &next) => {
                run.only = None;
                run.to = run.to.max(next.to);
            }
            _ => {
                if let Some(run) = open.replace(next) {
                    draw(run);
                }
            }
        }
        let own = (next.from / pixel).floor();
        looks = if own == column { looks + 1 } else { 1 };
        column = own;
        at += 1;
        if LOOKS_A_COLUMN <= looks {
            // Of the regions that begin in this column only the last one can reach beyond it.
            let end = view.position_at((column + 1.0) * pixel);
            let behind = regions[at..].partition_point(|region| region.start < end);
            at += behind.saturating_sub(1);
        }
    }
    if let Some(run) = open {
        draw(run);
    }
}

fn run_of<'a>(region: &'a Region, view: &View) -> Run<'a> {
    let from = view.x_of(region.start).max(-4.0);
    let to = view.x_of(region.end()).min(view.width + 4.0).max(from + 1.0);
    let selected = is_selected(&view.selected_regions, region.id);
    Run { only: Some(region), from, to, muted: region.muted, selected }
}

fn is_selected(selected: &BTreeSet<RegionId>, region: RegionId) -> bool {
    !selected.is_empty() && selected.contains(&region)
}

fn may_merge(run: &Run<'_>, next: &Run<'_>) -> bool {
    let run_is_narrow = run.only.is_none() || run.to - run.from < NARROW;
    run_is_narrow && next.from - run.to < GAP_MIN && (run.muted, run.selected) == (next.muted, next.selected)
}

/// The first frame in view.
pub(super) fn view_start(view: &View) -> FramePos {
    FramePos(view.start as u64)
}

/// The frame behind the last one in view.
pub(super) fn view_end(view: &View) -> FramePos {
    FramePos((view.start + view.frames()) as u64 + 1)
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::session::{Session, TrackId};
    use crate::time::Frames;
    use crate::ui::demo;

    /// A session with one track that has regions of `length` frames at the starts.
    fn session(starts: impl Iterator<Item = u64>, length: u64) -> (Session, TrackId) {
        let mut session = demo::session(1, 1000);
        let track = session.tracks()[0].id();
        let take = session.takes()[0].id;
        for region in session.tracks()[0].regions().iter().map(|region| region.id).collect::<Vec<_>>() {
            session.remove_region(region).unwrap();
        }
        for start in starts {
            session.place_region(track, take, FramePos(start), FramePos(0), Frames(length)).unwrap();
        }
        (session, track)
    }

    fn shown<'a>(session: &'a Session, view: &View) -> Vec<Run<'a>> {
        let mut all = Vec::new();
        runs(&session.tracks()[0], view, 1.0, &mut |run| all.push(run));
        all
    }

    #[test]
    fn wide_regions_stay_apart_and_narrow_neighbours_become_one_block() {
        let (session, _) = session((0..100).map(|at| at * 1000), 1000);
        let mut view = View { frames_per_point: 100.0, width: 1000.0, ..View::default() };
        let all = shown(&session, &view);
        assert!(all.len() == 100 && all.iter().all(|run| run.only.is_some() && run.to - run.from == 10.0));
        view.frames_per_point = 1000.0;
        let all = shown(&session, &view);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].only, all[0].from, all[0].to), (None, 0.0, 100.0));
    }

    #[test]
    fn a_gap_that_can_be_seen_and_a_muted_or_selected_region_end_a_block() {
        let (mut session, _) = session((0..100).filter(|at| *at != 50).map(|at| at * 1000), 1000);
        let mut view = View { frames_per_point: 500.0, width: 1000.0, ..View::default() };
        let ends = |all: &[Run<'_>]| all.iter().map(|run| (run.from, run.to)).collect::<Vec<_>>();
        assert_eq!(ends(&shown(&session, &view)), [(0.0, 100.0), (102.0, 200.0)]);
        let id = session.tracks()[0].regions()[10].id;
        session.mute_region(id, true).unwrap();
        assert_eq!(ends(&shown(&session, &view)), [(0.0, 20.0), (20.0, 22.0), (22.0, 100.0), (102.0, 200.0)]);
        session.mute_region(id, false).unwrap();
        view.selected_regions.insert(id);
        assert_eq!(shown(&session, &view).iter().filter(|run| run.selected).count(), 1);
    }

    #[test]
    fn many_regions_in_a_pixel_cost_a_search_and_the_wide_one_behind_them_is_seen() {
        let (mut session, track) = session((0..20_000).map(|at| at * 10), 10);
        let take = session.takes()[0].id;
        session.place_region(track, take, FramePos(200_000), FramePos(0), Frames(400_000)).unwrap();
        let view = View { frames_per_point: 30_000.0, width: 1000.0, ..View::default() };
        let all = shown(&session, &view);
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[1].only.is_some_and(|region| region.length == Frames(400_000)));
    }
}
