//! The lanes: regions, and takes that are being recorded. Thread: ui.

use super::pointer::Preview;
use super::runs::{Run, runs};
use crate::session::{TakeId, TakeState, Track};
use crate::time::{FramePos, Frames};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use egui::{Align2, Color32, Mesh, Rect, Shape, Stroke, StrokeKind, Ui, pos2, vec2};

/// Width in points from which a block has round corners. A round rectangle costs as much as twenty plain ones.
const ROUND_MIN: f32 = 24.0;

/// Width in points from which a block has cut corners, three plain rectangles.
const CUT_MIN: f32 = 8.0;

/// Width in points from which the word "muted" fits into a block.
const MUTED_MIN: f32 = 34.0;

/// Strength of the track's colour in the left edge of a block.
const EDGE_STRENGTH: f32 = 0.5;

/// A take that is being recorded, in its lane.
pub(super) struct RecordedBlock {
    pub(super) take: TakeId,
    /// Position on the timeline.
    pub(super) start: FramePos,
    pub(super) length: Frames,
    /// The frame of the take at `start`.
    pub(super) take_start: FramePos,
}

/// The indices of the rows in view.
pub(super) fn rows_in_view(lanes: Rect, context: &PanelContext<'_>) -> std::ops::Range<usize> {
    let row = context.view.row_height();
    let first = (context.view.scroll / row).max(0.0) as usize;
    let count = (lanes.height() / row) as usize + 2;
    first..(first + count).min(context.snapshot.session.tracks().len()).max(first)
}

/// The rectangle of a row's lane. It may be partly out of view.
pub(super) fn lane_rect(lanes: Rect, row: usize, context: &PanelContext<'_>) -> Rect {
    let height = context.view.row_height();
    let top = lanes.top() + row as f32 * height - context.view.scroll;
    Rect::from_min_size(pos2(lanes.left(), top), vec2(lanes.width(), height))
}

/// The take that the track is recording.
pub(super) fn recorded_block(track: &Track, context: &PanelContext<'_>) -> Option<RecordedBlock> {
    let pass = context.snapshot.transport.pass.as_ref().filter(|pass| pass.frames.0 > 0)?;
    let (_, take) = pass.takes.iter().find(|(id, _)| *id == track.id())?;
    let (start, length, take_start) = (pass.start, pass.frames - pass.head, FramePos(pass.head.0));
    let block = RecordedBlock { take: *take, start, length, take_start };
    if context.snapshot.session.take(*take).is_some_and(|take| take.state == TakeState::Recording) {
        return Some(block);
    }
    // A finished take gets its region before the recording is over. Do not draw it twice.
    let around = track.regions_in(start, start + length);
    let placed = around.iter().any(|region| region.take == *take);
    (!placed).then_some(block)
}

/// Draws the lanes and the blocks. `preview` is the region that is being dragged, as it would be.
pub(super) fn draw_regions(ui: &Ui, lanes: Rect, preview: Option<Preview>, context: &PanelContext<'_>) {
    let session = std::sync::Arc::clone(&context.snapshot.session);
    let rows = rows_in_view(lanes, context);
    for row in rows.clone() {
        let lane = lane_rect(lanes, row, context);
        ui.painter().hline(lane.x_range(), lane.bottom() - 0.5, (1.0, context.theme.line_soft));
    }
    let soloed = session.tracks().iter().any(|track| track.solo);
    let pixel = 1.0 / ui.pixels_per_point();
    let mut blocks = BlockPainter::new(ui, pixel);
    let mut moved = None;
    for row in rows {
        let Some(track) = session.tracks().get(row) else { continue };
        let lane = lane_rect(lanes, row, context);
        let rect = |from: f32, to: f32| {
            Rect::from_x_y_ranges(lanes.left() + from..=lanes.left() + to, lane.top() + 2.0..=lane.bottom() - 2.0)
        };
        let is_silent = track.mute || (soloed && !track.solo);
        let fill = |muted: bool, base: Color32| {
            let strength = if is_silent || muted { 0.06 } else { 0.15 };
            mixed(base, context.theme.track(track.colour), strength)
        };
        runs(track, context.view, pixel, &mut |run| {
            let colour = fill(run.muted, context.theme.background);
            let colours = (colour, mixed(colour, context.theme.track(track.colour), EDGE_STRENGTH));
            match (run.only, preview) {
                (Some(region), Some(preview)) if region.id == preview.region => {
                    let from = context.view.x_of(preview.start).max(-4.0);
                    let to = context.view.x_of(preview.end).min(lanes.width() + 4.0).max(from + 1.0);
                    moved = Some((run, rect(from, to), colours));
                }
                _ => blocks.add(&run, rect(run.from, run.to), colours, context.theme),
            }
        });
        if let Some(block) = recorded_block(track, context) {
            let from = context.view.x_of(block.start).max(-4.0);
            let to = context.view.x_of(block.start + block.length).min(lanes.width() + 4.0);
            if from < lanes.width() && to > 0.0 {
                let base = mixed(context.theme.background, context.theme.record, 0.12);
                ui.painter().rect_filled(rect(from, to.max(from + 1.0)), 3, fill(false, base));
            }
        }
    }
    blocks.finish(context.theme);
    if let Some((run, rect, colours)) = moved {
        let mut above = BlockPainter::new(ui, pixel);
        above.add(&run, rect, colours, context.theme);
        above.finish(context.theme);
    }
}

/// Draws the blocks of regions. All narrow ones are one mesh.
struct BlockPainter<'a> {
    ui: &'a Ui,
    /// Width of a pixel in points.
    pixel: f32,
    narrow: Mesh,
    selected: Vec<Rect>,
}

impl<'a> BlockPainter<'a> {
    fn new(ui: &'a Ui, pixel: f32) -> BlockPainter<'a> {
        BlockPainter { ui, pixel, narrow: Mesh::default(), selected: Vec::new() }
    }

    fn add(&mut self, run: &Run<'_>, rect: Rect, (colour, edge): (Color32, Color32), theme: &Theme) {
        if rect.width() < ROUND_MIN {
            self.add_narrow(rect, colour);
        } else {
            self.ui.painter().rect_filled(rect, 3, colour);
            self.add_edge(rect, edge);
        }
        if run.selected {
            self.selected.push(rect);
        }
        if run.muted && rect.width() >= MUTED_MIN {
            let at = rect.left_top() + vec2(5.0, 8.0);
            self.ui.painter().text(at, Align2::LEFT_CENTER, "muted", Theme::font(9.5), theme.quiet);
        }
    }

    /// The left edge of a wide block. Without it the seam of two regions side by side could not be seen.
    fn add_edge(&mut self, rect: Rect, colour: Color32) {
        let left = (rect.left() / self.pixel).round() * self.pixel;
        let edge = Rect::from_x_y_ranges(left..=left + self.pixel, rect.top() + 2.0..=rect.bottom() - 2.0);
        self.narrow.add_colored_rect(edge, colour);
    }

    /// A block whose edges are at pixels. Two blocks side by side can be told apart by their corners, or by a pixel
    /// between them.
    fn add_narrow(&mut self, rect: Rect, colour: Color32) {
        let snap = |x: f32| (x / self.pixel).round() * self.pixel;
        let (left, top, bottom) = (snap(rect.left()), snap(rect.top()), snap(rect.bottom()));
        let right = snap(rect.right()).max(left + self.pixel);
        let (one, mesh) = (self.pixel, &mut self.narrow);
        let mut add = |left: f32, right: f32, inset: f32| {
            mesh.add_colored_rect(Rect::from_x_y_ranges(left..=right, top + inset..=bottom - inset), colour);
        };
        if rect.width() < CUT_MIN {
            return add(left, if right - left > 2.5 * one { right - one } else { right }, 0.0);
        }
        add(left, left + one, one);
        add(left + one, right - one, 0.0);
        add(right - one, right, one);
    }

    fn finish(self, theme: &Theme) {
        if !self.narrow.is_empty() {
            self.ui.painter().add(Shape::mesh(self.narrow));
        }
        for rect in self.selected {
            self.ui.painter().rect_stroke(rect, 3, Stroke::new(1.5, theme.accent), StrokeKind::Inside);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::time::FramePos;
    use crate::ui::demo;

    /// The seam of two regions side by side had the colour of both, except for two pixels at the corners.
    #[test]
    fn a_region_that_is_split_shows_its_seam() {
        let mut snapshot = demo::stopped(1, 10);
        let session = std::sync::Arc::make_mut(&mut snapshot.session);
        let whole = session.tracks()[0].regions()[0].clone();
        let at = FramePos(u64::midpoint(whole.start.0, whole.end().0));
        let edges = |session: &crate::session::Session| {
            let ctx = egui::Context::default();
            let mut count = 0;
            drop(ctx.run_ui(egui::RawInput::default(), |ui| {
                let mut blocks = BlockPainter::new(ui, 1.0);
                let theme = Theme::dark();
                for region in session.tracks()[0].regions() {
                    let (from, to) = (region.start.0 as f32 / 100.0, region.end().0 as f32 / 100.0);
                    let run = Run { only: Some(region), from, to, muted: false, selected: false };
                    let rect = Rect::from_x_y_ranges(from..=to, 0.0..=40.0);
                    blocks.add(&run, rect, (theme.panel, theme.accent), &theme);
                }
                let lines = blocks.narrow.vertices.iter().filter(|vertex| vertex.color == theme.accent);
                count = lines.count() / 4;
            }));
            count
        };
        assert_eq!(edges(session), 1);
        session.split_region(whole.id, at).unwrap();
        assert_eq!(edges(session), 2);
    }
}
