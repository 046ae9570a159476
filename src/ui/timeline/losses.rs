//! Lost ranges in the lanes: hatched, at least two points wide, with a tooltip. Thread: ui.
//!
//! The marks of a track are placed on the timeline once for each revision of the session. A picture then searches the
//! marks in view, and marks that lie in the same pixels are one hatch.

use super::blocks::{add_plain, at_pixels};
use super::lanes::{self, block_rect, lane_rect, rows_in_view};
use super::pointer::Preview;
use super::runs::{view_end, view_start};
use crate::app::snapshot::PassPhase;
use crate::device::LossCause;
use crate::session::{Session, Take, TakeId, Track, TrackId};
use crate::time::{FramePos, Frames, SampleRate};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::view::View;
use egui::{Color32, Mesh, Pos2, Rect, Shape, Stroke, StrokeKind, Ui, pos2, vec2};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Smallest width of a mark in points.
const WIDTH_MIN: f32 = 2.0;

/// Distance in points within which the pointer is at a mark.
const NEAR: f32 = 3.0;

/// Marks that a tooltip counts.
const TOOLTIP_MARKS_MAX: usize = 10_000;

/// The marks of the tracks that were in view since the session changed.
#[derive(Default)]
pub(super) struct Losses {
    /// Session, revision and number of takes for which the marks were placed.
    key: Option<(Uuid, u64, usize)>,
    /// The takes that list losses, and the indices of the losses in the order of time.
    lossy: HashMap<TakeId, (Take, Vec<usize>)>,
    marks: HashMap<TrackId, Vec<Mark>>,
    /// The region that was being dragged when the marks of its track were placed.
    preview: Option<Preview>,
}

/// A loss on the timeline.
struct Mark {
    from: FramePos,
    to: FramePos,
    /// The latest end of this mark and all earlier ones of the track.
    reach: FramePos,
    take: TakeId,
    /// Index in the take's list.
    loss: usize,
}

impl Losses {
    /// Draws the lost ranges of all lanes in view. `preview` is the region that is being dragged, as it would be.
    pub(super) fn show(&mut self, ui: &Ui, lanes: Rect, preview: Option<Preview>, context: &PanelContext<'_>) {
        let session = Arc::clone(&context.snapshot.session);
        self.update(&session, context.snapshot.revision);
        self.place_again(&session, preview);
        let rows = rows_in_view(lanes, context);
        let pixel = 1.0 / ui.pixels_per_point();
        let live = live_spans(context, pixel);
        if self.lossy.is_empty() && live.is_empty() {
            return;
        }
        let pointer = ui.input(|input| input.pointer.hover_pos()).filter(|at| lanes.contains(*at));
        let (mut tooltip, mut hatches) = (None, Hatches::default());
        for row in rows {
            let Some(track) = session.tracks().get(row) else { continue };
            let lane = lane_rect(lanes, row, context);
            let mut hatch_span = |(from, to): (f32, f32)| {
                let rect = block_rect(lanes, lane, from, to);
                if rect.intersects(lanes) {
                    hatches.add(rect.intersect(lanes), pixel, context.theme.record);
                }
            };
            let recorded = lanes::recorded_block(track, context);
            if !self.lossy.is_empty() {
                let marks = self.marks_of(track);
                spans(marks, context.view, pixel, &mut hatch_span);
                if let Some(at) = pointer.filter(|at| lane.contains(*at)) {
                    tooltip = self.tooltip(track.id(), at.x - lanes.left(), context.view, session.rate());
                }
            }
            if recorded.is_some() {
                live.iter().copied().for_each(&mut hatch_span);
                if let Some(at) = pointer.filter(|at| lane.contains(*at)) {
                    tooltip = tooltip.or_else(|| live_tooltip(at.x - lanes.left(), context));
                }
            }
        }
        hatches.draw(ui, context.theme.record);
        if let (Some(text), Some(at)) = (tooltip, pointer) {
            show_tooltip(ui, at, text, context.theme);
        }
    }

    fn update(&mut self, session: &Session, revision: u64) {
        let key = Some((session.id, revision, session.takes().len()));
        if self.key == key {
            return;
        }
        *self = Losses { key, ..Losses::default() };
        for take in session.takes().iter().filter(|take| !take.losses.is_empty()) {
            let mut order: Vec<usize> = (0..take.losses.len()).collect();
            order.sort_by_key(|at| take.losses[*at].at);
            self.lossy.insert(take.id, (take.clone(), order));
        }
    }

    /// Forgets the marks of the track whose region is, or was, being dragged, if the drag has changed something.
    fn place_again(&mut self, session: &Session, preview: Option<Preview>) {
        if self.preview == preview || self.lossy.is_empty() {
            return;
        }
        for dragged in [self.preview, preview].into_iter().flatten() {
            if let Some((track, _)) = session.region(dragged.region) {
                self.marks.remove(&track.id());
            }
        }
        self.preview = preview;
    }

    /// The marks of a track, sorted by start.
    fn marks_of(&mut self, track: &Track) -> &[Mark] {
        let (lossy, preview) = (&self.lossy, self.preview);
        self.marks.entry(track.id()).or_insert_with(|| {
            let mut marks = Vec::new();
            for region in track.regions() {
                let Some((take, order)) = lossy.get(&region.take) else { continue };
                let dragged = preview.filter(|preview| preview.region == region.id);
                let (start, take_start, length) = dragged
                    .map_or((region.start, region.take_start, region.length), |to| {
                        (to.start, to.take_start, to.end.since(to.start))
                    });
                let end = take_start + length;
                let first = order.partition_point(|at| take.losses[*at].at < take_start);
                // The loss before may reach into the region. Losses of a take do not overlap.
                for at in &order[first.saturating_sub(1)..] {
                    let loss = &take.losses[*at];
                    if end <= loss.at {
                        break;
                    }
                    let (from, to) = (loss.at.max(take_start), (loss.at + loss.frames).min(end));
                    if from <= to {
                        let [from, to] = [from, to].map(|at| start + at.since(take_start));
                        marks.push(Mark { from, to, reach: to, take: region.take, loss: *at });
                    }
                }
            }
            // A dragged region can lie behind the next one.
            marks.sort_by_key(|mark| mark.from);
            for at in 1..marks.len() {
                marks[at].reach = marks[at].reach.max(marks[at - 1].reach);
            }
            marks
        })
    }

    /// The text for the marks at `x` points from the left edge.
    fn tooltip(&self, track: TrackId, x: f32, view: &View, rate: SampleRate) -> Option<String> {
        let marks = self.marks.get(&track)?;
        let first = marks.partition_point(|mark| mark.reach < view.position_at(x - NEAR - WIDTH_MIN));
        let near = |mark: &&Mark| {
            let from = view.x_of(mark.from);
            (from - NEAR..=view.x_of(mark.to).max(from + WIDTH_MIN) + NEAR).contains(&x)
        };
        let ahead = marks[first..].iter().take_while(|mark| view.x_of(mark.from) <= x + NEAR);
        let (mut count, mut frames, mut cause) = (0, 0, "");
        for mark in ahead.filter(near).take(TOOLTIP_MARKS_MAX) {
            count += 1;
            if let Some((take, _)) = self.lossy.get(&mark.take) {
                frames += take.losses[mark.loss].frames.0;
                cause = &take.losses[mark.loss].cause;
            }
        }
        match count {
            0 => None,
            1 => Some(format!("{} lost ({}): silence", Frames(frames).text(rate), LossCause::words_of(cause))),
            count => Some(format!("{count} losses, {} lost: silence", Frames(frames).text(rate))),
        }
    }
}

/// Calls `draw` for the spans of the marks in view, in points from the left edge. Marks less than a pixel apart are one
/// span.
fn spans(marks: &[Mark], view: &View, pixel: f32, mut draw: impl FnMut((f32, f32))) {
    let end = view_end(view);
    let mut at = marks.partition_point(|mark| mark.reach < view_start(view));
    let mut open: Option<(f32, f32)> = None;
    while let Some(mark) = marks.get(at).filter(|mark| mark.from < end) {
        let from = view.x_of(mark.from);
        // The marks that begin in the same pixel are one span up to the latest end.
        let column_end = view.position_at(from + pixel);
        let same = marks[at + 1..].partition_point(|mark| mark.from < column_end);
        let reach = if same == 0 { mark.to } else { marks[at + same].reach };
        let to = view.x_of(reach).max(from + WIDTH_MIN);
        add_span(&mut open, (from, to), pixel, &mut draw);
        at += 1 + same;
    }
    if let Some(span) = open {
        draw(span);
    }
}

/// Extends the open span, or draws it and opens the next one.
fn add_span(open: &mut Option<(f32, f32)>, next: (f32, f32), pixel: f32, draw: &mut impl FnMut((f32, f32))) {
    match open {
        Some(span) if next.0 - span.1 < pixel => span.1 = span.1.max(next.1),
        _ => {
            if let Some(span) = open.replace(next) {
                draw(span);
            }
        }
    }
}

/// The spans of the losses of the pass that is being recorded, in points from the left edge. Every take of the pass has
/// the same ones.
fn live_spans(context: &PanelContext<'_>, pixel: f32) -> Vec<(f32, f32)> {
    let Some(pass) = &context.snapshot.transport.pass else { return Vec::new() };
    if pass.phase == PassPhase::Preparing {
        return Vec::new();
    }
    let (mut all, mut open) = (Vec::new(), None);
    for (at, frames) in pass.losses.iter() {
        let from = context.view.x_of(*at);
        let to = context.view.x_of(*at + *frames).max(from + WIDTH_MIN);
        add_span(&mut open, (from, to), pixel, &mut |span| all.push(span));
    }
    all.extend(open);
    all
}

fn live_tooltip(x: f32, context: &PanelContext<'_>) -> Option<String> {
    let pass = context.snapshot.transport.pass.as_ref()?;
    let near = |(at, frames): &&(FramePos, Frames)| {
        let from = context.view.x_of(*at);
        (from - NEAR..=context.view.x_of(*at + *frames).max(from + WIDTH_MIN) + NEAR).contains(&x)
    };
    let (_, frames) = pass.losses.iter().find(near)?;
    Some(format!("{} lost (while recording): silence", frames.text(context.snapshot.transport.rate)))
}

fn show_tooltip(ui: &Ui, at: Pos2, text: String, theme: &Theme) {
    let galley = ui.painter().layout_no_wrap(text, Theme::font(11.5), theme.strong);
    let rect = Rect::from_min_size(at + vec2(12.0, 10.0), galley.size() + vec2(14.0, 8.0));
    ui.painter().rect(rect, 6, theme.card, Stroke::new(1.0, theme.record), StrokeKind::Inside);
    ui.painter().galley(rect.min + vec2(7.0, 4.0), galley, theme.strong);
}

/// The hatches of a picture. Their areas are one mesh, because a long edit can have thousands.
#[derive(Default)]
struct Hatches {
    areas: Mesh,
    /// Those that are wide enough for slanted lines, so that pattern and not only colour shows a loss.
    wide: Vec<Rect>,
}

impl Hatches {
    fn add(&mut self, rect: Rect, pixel: f32, colour: Color32) {
        add_plain(&mut self.areas, at_pixels(rect, pixel), super::faded(colour, 0.55));
        if rect.width() > 6.0 {
            self.wide.push(rect);
        }
    }

    fn draw(self, ui: &Ui, colour: Color32) {
        if !self.areas.is_empty() {
            ui.painter().add(Shape::mesh(self.areas));
        }
        for rect in self.wide {
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
}
