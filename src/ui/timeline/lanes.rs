//! The lanes: regions, takes that are being recorded, and lost ranges. Thread: ui.

use crate::app::snapshot::PassPhase;
use crate::session::{Region, Session, TakeId, Track};
use crate::time::{FramePos, Frames};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use egui::{Align2, Color32, Rect, Shape, Stroke, StrokeKind, Ui, pos2, vec2};

/// A box with audio in a lane: a region, or a take that is being recorded.
pub(super) struct LaneBlock<'a> {
    /// Index of the track in the session.
    pub(super) row: usize,
    pub(super) track: &'a Track,
    /// `None` for a take that is being recorded.
    pub(super) region: Option<&'a Region>,
    pub(super) take: TakeId,
    /// Position on the timeline.
    pub(super) start: FramePos,
    pub(super) length: Frames,
    /// The frame of the take that is at `start`.
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

/// The blocks in view: for each row its regions in order, then the take that is being recorded.
pub(super) fn lane_blocks<'a>(
    session: &'a Session,
    rows: std::ops::Range<usize>,
    context: &PanelContext<'_>,
) -> Vec<LaneBlock<'a>> {
    let from = FramePos(context.view.start as u64);
    let to = FramePos((context.view.start + context.view.frames()) as u64 + 1);
    let pass = context.snapshot.transport.pass.as_ref();
    let mut blocks = Vec::new();
    for row in rows {
        let Some(track) = session.tracks().get(row) else { continue };
        blocks.extend(track.regions_in(from, to).iter().map(|region| LaneBlock {
            row,
            track,
            region: Some(region),
            take: region.take,
            start: region.start,
            length: region.length,
            take_start: region.take_start,
        }));
        let recorded = pass.and_then(|pass| {
            let (_, take) = pass.takes.iter().find(|(id, _)| *id == track.id())?;
            // A finished take gets its region before the recording is over. Do not draw it twice.
            let placed = track.regions().iter().any(|region| region.take == *take);
            (!placed && pass.frames.0 > 0).then_some((*take, pass.start, pass.frames))
        });
        if let Some((take, start, length)) = recorded {
            blocks.push(LaneBlock { row, track, region: None, take, start, length, take_start: FramePos(0) });
        }
    }
    blocks
}

/// The rectangle of a block on the screen.
pub(super) fn block_rect(block: &LaneBlock<'_>, lanes: Rect, context: &PanelContext<'_>) -> Rect {
    let lane = lane_rect(lanes, block.row, context);
    let from = lanes.left() + context.view.x_of(block.start).max(-4.0);
    let to = lanes.left() + context.view.x_of(block.start + block.length).min(lanes.width() + 4.0);
    Rect::from_min_max(pos2(from, lane.top() + 2.0), pos2(to.max(from + 1.0), lane.bottom() - 2.0))
}

/// Draws the lanes and the blocks. `moving` is a dragged region and the position where it would go.
pub(super) fn draw_regions(
    ui: &Ui,
    lanes: Rect,
    moving: Option<(crate::session::RegionId, FramePos)>,
    context: &PanelContext<'_>,
) {
    let session = std::sync::Arc::clone(&context.snapshot.session);
    let rows = rows_in_view(lanes, context);
    for row in rows.clone() {
        let lane = lane_rect(lanes, row, context);
        ui.painter().hline(lane.x_range(), lane.bottom() - 0.5, (1.0, context.theme.line_soft));
    }
    let soloed = session.tracks().iter().any(|track| track.solo);
    for block in lane_blocks(&session, rows, context) {
        let mut rect = block_rect(&block, lanes, context);
        if let (Some(region), Some((id, to))) = (block.region, moving)
            && region.id == id
        {
            rect = rect.translate(vec2(context.view.x_of(to) - context.view.x_of(region.start), 0.0));
        }
        let colour = context.theme.track(block.track.colour);
        let is_silent = block.track.mute || (soloed && !block.track.solo) || block.region.is_some_and(|r| r.muted);
        let strength = if is_silent { 0.06 } else { 0.15 };
        let base = if block.region.is_none() {
            mixed(context.theme.background, context.theme.record, 0.12)
        } else {
            context.theme.background
        };
        ui.painter().rect_filled(rect, 3, mixed(base, colour, strength));
        if block.region.is_some_and(|region| context.view.selected_regions.contains(&region.id)) {
            ui.painter().rect_stroke(rect, 3, Stroke::new(1.5, context.theme.accent), StrokeKind::Inside);
        }
        if block.region.is_some_and(|region| region.muted) {
            let at = rect.left_top() + vec2(5.0, 8.0);
            ui.painter().text(at, Align2::LEFT_CENTER, "muted", Theme::font(9.5), context.theme.quiet);
        }
    }
}

/// Draws lost ranges of the blocks: hatched, at least two points wide, with a tooltip about the loss.
pub(super) fn draw_losses(ui: &Ui, lanes: Rect, context: &PanelContext<'_>) {
    let session = std::sync::Arc::clone(&context.snapshot.session);
    let all = rows_in_view(lanes, context);
    let pointer = ui.input(|input| input.pointer.hover_pos());
    let mut tooltip = None;
    for block in lane_blocks(&session, all, context) {
        let lane = lane_rect(lanes, block.row, context);
        let mut mark = |at: FramePos, frames: Frames, cause: &str| {
            let from = lanes.left() + context.view.x_of(at);
            let to = (lanes.left() + context.view.x_of(at + frames)).max(from + 2.0);
            let rect = Rect::from_x_y_ranges(from..=to, lane.top() + 2.0..=lane.bottom() - 2.0);
            if rect.intersects(lanes) {
                hatch(ui, rect.intersect(lanes), context.theme.record);
                if pointer.is_some_and(|at| rect.expand(3.0).contains(at)) {
                    tooltip = Some(format!("{} frames lost ({cause}): silence", frames.0));
                }
            }
        };
        let Some(take) = session.take(block.take) else { continue };
        for loss in &take.losses {
            let end = block.take_start + block.length;
            if block.take_start <= loss.at && loss.at < end {
                let at = block.start + loss.at.since(block.take_start);
                mark(at, loss.frames, &loss.cause);
            }
        }
        if block.region.is_none()
            && let Some(pass) = &context.snapshot.transport.pass
            && pass.phase != PassPhase::Preparing
        {
            for (at, frames) in pass.losses.iter() {
                mark(*at, *frames, "while recording");
            }
        }
    }
    if let (Some(text), Some(at)) = (tooltip, pointer) {
        let galley = ui.painter().layout_no_wrap(text, Theme::font(11.5), context.theme.strong);
        let rect = Rect::from_min_size(at + vec2(12.0, 10.0), galley.size() + vec2(14.0, 8.0));
        ui.painter().rect(rect, 6, context.theme.card, Stroke::new(1.0, context.theme.record), StrokeKind::Inside);
        ui.painter().galley(rect.min + vec2(7.0, 4.0), galley, context.theme.strong);
    }
}

/// Fills with red and slanted lines, so that pattern and not only colour shows a loss.
fn hatch(ui: &Ui, rect: Rect, colour: Color32) {
    ui.painter().rect_filled(rect, 0, super::faded(colour, 0.55));
    if rect.width() > 6.0 {
        let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
        let mut x = rect.left() - rect.height();
        while x < rect.right() {
            painter.add(Shape::line_segment(
                [pos2(x, rect.bottom()), pos2(x + rect.height(), rect.top())],
                Stroke::new(1.0, colour),
            ));
            x += 6.0;
        }
    }
}
