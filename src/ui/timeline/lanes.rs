//! The lanes: regions, and takes that are being recorded. Thread: ui.

use super::blocks::{Blocks, fill_colour};
use super::pointer::Preview;
use crate::session::{TakeId, TakeState, Track};
use crate::time::{FramePos, Frames};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::mixed;
use egui::{Rect, Ui, pos2, vec2};

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

/// The rectangle of a block in `lane`, from `from` to `to` points behind the left edge of the lanes.
pub(super) fn block_rect(lanes: Rect, lane: Rect, from: f32, to: f32) -> Rect {
    Rect::from_x_y_ranges(lanes.left() + from..=lanes.left() + to, lane.top() + 2.0..=lane.bottom() - 2.0)
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
pub(super) fn draw_regions(
    ui: &Ui,
    blocks: &mut Blocks,
    lanes: Rect,
    preview: Option<Preview>,
    context: &PanelContext<'_>,
) {
    let rows = rows_in_view(lanes, context);
    for row in rows.clone() {
        let lane = lane_rect(lanes, row, context);
        ui.painter().hline(lane.x_range(), lane.bottom() - 0.5, (1.0, context.theme.line_soft));
    }
    blocks.update(ui, lanes, preview, context);
    blocks.draw(ui, context.theme);
    if context.snapshot.transport.pass.is_some() {
        draw_recorded(ui, lanes, rows, context);
    }
    blocks.draw_dragged(ui, context.theme);
}

/// Draws the blocks of the takes that are being recorded.
fn draw_recorded(ui: &Ui, lanes: Rect, rows: std::ops::Range<usize>, context: &PanelContext<'_>) {
    let tracks = context.snapshot.session.tracks();
    let is_any_soloed = context.snapshot.session.is_any_soloed();
    let base = mixed(context.theme.background, context.theme.record, 0.12);
    for row in rows {
        let Some(track) = tracks.get(row) else { continue };
        let Some(block) = recorded_block(track, context) else { continue };
        let lane = lane_rect(lanes, row, context);
        let from = context.view.x_of(block.start).max(-4.0);
        let to = context.view.x_of(block.start + block.length).min(lanes.width() + 4.0);
        if from < lanes.width() && to > 0.0 {
            let rect = block_rect(lanes, lane, from, to.max(from + 1.0));
            let colour = fill_colour(base, context.theme.track(track.colour), track.is_silent(is_any_soloed));
            ui.painter().rect_filled(rect, 3, colour);
        }
    }
}
