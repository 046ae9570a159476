//! The pointer in the timeline: locate, select, move, trim, scroll, zoom. Thread: ui.

use crate::app::command::Command;
use crate::control::edit::Edit;
use crate::session::{Region, RegionId, Session, TrackId};
use crate::time::{FramePos, Frames};
use crate::ui::panel_context::PanelContext;
use crate::ui::widget::{is_drag_cancelled, value_before_cancelled_drag};
use egui::{CursorIcon, PointerButton, Pos2, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use std::sync::Arc;

/// Distance in points within which the pointer grabs an edge.
const EDGE_POINTS: f32 = 5.0;

/// A drag in progress.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drag {
    /// A new range that starts here.
    Range(FramePos),
    /// One end of the range. The value is the other end, which stays.
    RangeEdge(FramePos),
    /// A region. `grip` is the distance from its start to the pointer in frames, `to` its new start.
    Move { region: RegionId, track: TrackId, grip: u64, to: FramePos },
    /// The start of a region, and its new position.
    TrimStart(RegionId, FramePos),
    /// The end of a region, and its new position.
    TrimEnd(RegionId, FramePos),
}

/// State that the pointer keeps between pictures.
#[derive(Default)]
pub(super) struct Pointer {
    drag: Option<Drag>,
    /// Where a drag in the ruler began.
    ruler_drag: Option<FramePos>,
    /// The range before a drag that changes it. Esc brings it back.
    range_before: Option<(FramePos, FramePos)>,
    /// The region whose menu is open.
    menu: Option<RegionId>,
}

/// A region as it would be if the user released the pointer now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Preview {
    pub(super) region: RegionId,
    pub(super) start: FramePos,
    pub(super) end: FramePos,
    /// Position inside the take of the frame that plays at `start`.
    pub(super) take_start: FramePos,
}

impl Pointer {
    /// The region that is being moved or trimmed.
    pub(super) fn preview(&self, session: &Session) -> Option<Preview> {
        let (region, (start, end)) = match self.drag? {
            Drag::Move { region, to, .. } => (region, (to, to + session.region(region)?.1.length)),
            Drag::TrimStart(region, to) => (region, trimmed(session, region, |of| (to, of.end()))?),
            Drag::TrimEnd(region, to) => (region, trimmed(session, region, |of| (of.start, to))?),
            Drag::Range(_) | Drag::RangeEdge(_) => return None,
        };
        let (_, of) = session.region(region)?;
        // A region that moves plays the same frames. A trimmed one leaves its frames where they are.
        let take_start = match self.drag? {
            Drag::Move { .. } => of.take_start,
            _ => FramePos((of.take_start.0 + start.0).saturating_sub(of.start.0)),
        };
        Some(Preview { region, start, end, take_start })
    }
}

/// Clicks and drags of the pointer. The Tab key passes lanes, ruler and overview by, because keys do what they do: arrows,
/// Home and End locate, brackets make a range, plus and minus zoom.
const POINTER_ONLY: Sense = Sense::CLICK.union(Sense::DRAG);

/// The region under a point of the screen.
fn region_at<'a>(
    session: &'a Session,
    at: Pos2,
    lanes: Rect,
    context: &PanelContext<'_>,
) -> Option<(TrackId, &'a Region)> {
    let row = ((at.y - lanes.top() + context.view.scroll) / context.view.row_height()).floor();
    let track = session.tracks().get(row.max(0.0) as usize)?;
    let region = track.region_at(context.view.position_at(at.x - lanes.left()))?;
    Some((track.id(), region))
}

/// Handles the pointer in the lanes. Sets `has_moved` if the user moves the view in time.
pub(super) fn show(
    ui: &mut Ui,
    state: &mut Pointer,
    lanes: Rect,
    has_moved: &mut bool,
    context: &mut PanelContext<'_>,
) {
    let response = ui.interact(lanes, ui.scope_id().with("timeline"), POINTER_ONLY);
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, "Timeline"));
    let session = Arc::clone(&context.snapshot.session);
    let pointer = response.hover_pos().or(response.interact_pointer_pos());
    if let Some(at) = pointer {
        cursor(ui, &session, at, lanes, context);
    }
    start_drag(&response, state, &session, lanes, context);
    continue_drag(ui, &response, state, lanes, context);
    if response.clicked()
        && let Some(at) = response.interact_pointer_pos()
    {
        click(ui, &session, at, lanes, context);
    }
    if response.double_clicked()
        && let Some((_, region)) =
            response.interact_pointer_pos().and_then(|at| region_at(&session, at, lanes, context))
    {
        context.send(Command::Range(Some((region.start, region.end()))));
    }
    if response.secondary_clicked() {
        let at = response.interact_pointer_pos();
        state.menu = at.and_then(|at| region_at(&session, at, lanes, context)).map(|(_, region)| region.id);
    }
    if let Some(region) = state.menu {
        response.context_menu(|ui| menu(ui, region, &session, context));
    }
    pan(&response, has_moved, context);
    *has_moved |= wheel(ui, lanes, context);
}

fn cursor(ui: &Ui, session: &Session, at: Pos2, lanes: Rect, context: &PanelContext<'_>) {
    if range_edge(at.x, lanes, context).is_some() || region_edge(session, at, lanes, context).is_some() {
        ui.set_cursor_icon(CursorIcon::ResizeHorizontal);
    } else if region_at(session, at, lanes, context).is_some() {
        ui.set_cursor_icon(CursorIcon::Grab);
    }
}

/// If an end of the range is under `x`, returns the other end, which stays during a drag.
fn range_edge(x: f32, lanes: Rect, context: &PanelContext<'_>) -> Option<FramePos> {
    let (from, to) = context.snapshot.transport.range?;
    let near = |at: FramePos| (lanes.left() + context.view.x_of(at) - x).abs() < EDGE_POINTS;
    if near(to) { Some(from) } else { near(from).then_some(to) }
}

/// The edge of a region under the pointer: `true` for its start, `false` for its end. A region that is not much wider than
/// its edges has none, so that it can be moved.
fn region_edge(session: &Session, at: Pos2, lanes: Rect, context: &PanelContext<'_>) -> Option<(RegionId, bool)> {
    let near = |dx: f32| region_at(session, at + vec2(dx, 0.0), lanes, context);
    let (_, region) = near(0.0).or_else(|| near(EDGE_POINTS)).or_else(|| near(-EDGE_POINTS))?;
    if context.view.x_of(region.end()) - context.view.x_of(region.start) < 4.0 * EDGE_POINTS {
        return None;
    }
    let far = |position: FramePos| (lanes.left() + context.view.x_of(position) - at.x).abs() >= EDGE_POINTS;
    if far(region.start) { (!far(region.end())).then_some((region.id, false)) } else { Some((region.id, true)) }
}

fn start_drag(response: &Response, state: &mut Pointer, session: &Session, lanes: Rect, context: &PanelContext<'_>) {
    if !response.drag_started_by(PointerButton::Primary) {
        return;
    }
    let Some(at) = response.ctx.input(|input| input.pointer.press_origin()) else { return };
    let position = context.view.position_at(at.x - lanes.left());
    // Alt makes a range over regions, too.
    let alt = response.ctx.input(|input| input.modifiers.alt);
    let region = region_at(session, at, lanes, context);
    state.range_before = context.snapshot.transport.range;
    state.drag = Some(match (range_edge(at.x, lanes, context), region_edge(session, at, lanes, context), region) {
        (Some(other_end), _, _) => Drag::RangeEdge(other_end),
        (_, Some((region, true)), _) if !alt => Drag::TrimStart(region, position),
        (_, Some((region, false)), _) if !alt => Drag::TrimEnd(region, position),
        (_, _, Some((track, region))) if !alt => {
            Drag::Move { region: region.id, track, grip: position.since(region.start).0, to: region.start }
        }
        _ => Drag::Range(position),
    });
}

fn continue_drag(ui: &Ui, response: &Response, state: &mut Pointer, lanes: Rect, context: &mut PanelContext<'_>) {
    let Some(drag) = &mut state.drag else { return };
    if is_drag_cancelled(response) {
        if matches!(drag, Drag::Range(_) | Drag::RangeEdge(_)) {
            context.send(Command::Range(state.range_before));
        }
        state.drag = None;
        return;
    }
    let Some(at) = ui.input(|input| input.pointer.latest_pos()) else { return };
    let position = context.view.position_at((at.x - lanes.left()).clamp(0.0, lanes.width()));
    match drag {
        Drag::Range(from) | Drag::RangeEdge(from) => send_range(*from, position, context),
        Drag::Move { grip, to, .. } => *to = FramePos(position.0.saturating_sub(*grip)),
        Drag::TrimStart(_, to) | Drag::TrimEnd(_, to) => *to = position,
    }
    if response.dragged() {
        return;
    }
    let preview = state.preview(&context.snapshot.session);
    let edit = match (state.drag.take(), preview) {
        (Some(Drag::Move { region, track, to, .. }), _) => Edit::MoveRegion(region, track, to),
        (Some(Drag::TrimStart(..) | Drag::TrimEnd(..)), Some(to)) => Edit::TrimRegion(to.region, to.start, to.end),
        _ => return,
    };
    context.send(Command::Edit(edit));
}

/// Sends the range between two ends of a drag. While both are at one place the range stays as it is: a button that is held
/// still is a drag too.
fn send_range(from: FramePos, to: FramePos, context: &mut PanelContext<'_>) {
    if from != to {
        context.send(Command::Range(Some((from.min(to), from.max(to)))));
    }
}

/// Start and end of a region after a trim, limited to the frames of the take. `None` if it would leave less than two
/// frames.
fn trimmed(
    session: &Session,
    id: RegionId,
    to: impl Fn(&Region) -> (FramePos, FramePos),
) -> Option<(FramePos, FramePos)> {
    let (_, region) = session.region(id)?;
    let take = session.take(region.take)?;
    let (start, end) = to(region);
    let first = FramePos(region.start.0.saturating_sub(region.take_start.0));
    let last = first + take.frames;
    let (start, end) = (start.max(first), end.min(last));
    (start + Frames(1) < end).then_some((start, end))
}

fn click(ui: &Ui, session: &Session, at: Pos2, lanes: Rect, context: &mut PanelContext<'_>) {
    let add = ui.input(|input| input.modifiers.command || input.modifiers.shift);
    match region_at(session, at, lanes, context) {
        Some((track, region)) => {
            if !add {
                context.view.selected_regions.clear();
            }
            if !context.view.selected_regions.insert(region.id) {
                context.view.selected_regions.remove(&region.id);
            }
            context.view.selected_tracks = std::iter::once(track).collect();
        }
        None => context.view.selected_regions.clear(),
    }
    if !add && context.snapshot.transport.pass.is_none() {
        if context.snapshot.transport.range.is_some()
            && !context.snapshot.transport.loops
            && !context.snapshot.transport.punches
        {
            context.send(Command::Range(None));
        }
        let position = context.view.position_at(at.x - lanes.left());
        context.send(Command::Locate(position));
    }
}

/// The menu of a region.
fn menu(ui: &mut Ui, id: RegionId, session: &Session, context: &mut PanelContext<'_>) {
    let Some((_, region)) = session.region(id) else {
        ui.label("It is gone");
        return;
    };
    let at = context.snapshot.transport.position;
    let lines: [(&str, bool, Edit); 4] = [
        (if region.muted { "Unmute" } else { "Mute" }, true, Edit::MuteRegions(vec![id], !region.muted)),
        ("Split at the playhead", region.start < at && at < region.end(), Edit::SplitRegions(vec![id], at)),
        ("Remove (its take stays)", true, Edit::RemoveRegions(vec![id])),
        ("Take to the trash", true, Edit::TrashTake(region.take)),
    ];
    for (text, enabled, edit) in lines {
        if ui.add_enabled(enabled, egui::Button::new(text)).clicked() {
            context.send(Command::Edit(edit));
            ui.close();
        }
    }
}

/// Scrolls in both directions with the middle button. Esc scrolls back.
fn pan(response: &Response, has_moved: &mut bool, context: &mut PanelContext<'_>) {
    let pans = response.drag_started_by(PointerButton::Middle) || response.dragged_by(PointerButton::Middle);
    let place = (pans, context.view.start, context.view.scroll, *has_moved);
    if let Some((true, start, scroll, had_moved)) = value_before_cancelled_drag(response, place) {
        (context.view.start, context.view.scroll, *has_moved) = (start, scroll, had_moved);
    }
    if !response.dragged_by(PointerButton::Middle) {
        return;
    }
    let by = response.drag_delta();
    context.view.start = (context.view.start - f64::from(by.x) * context.view.frames_per_point).max(0.0);
    context.view.scroll -= by.y;
    *has_moved = true;
}

/// Scrolls rows with the wheel and time with Shift; Ctrl zooms at the pointer. Returns whether the view moved in time.
fn wheel(ui: &Ui, lanes: Rect, context: &mut PanelContext<'_>) -> bool {
    if !ui.rect_contains_pointer(lanes) {
        return false;
    }
    let (wheel, zoom, shift, at) = ui.input(|input| {
        (input.smooth_scroll_delta(), input.zoom_delta(), input.modifiers.shift, input.pointer.hover_pos())
    });
    if (zoom - 1.0).abs() > 1e-3 {
        context.view.zoom(1.0 / f64::from(zoom), at.map_or(0.0, |at| at.x - lanes.left()));
        return true;
    }
    let (x, y) = if shift { (wheel.x + wheel.y, 0.0) } else { (wheel.x, wheel.y) };
    if y != 0.0 {
        context.view.scroll = (context.view.scroll - y).clamp(0.0, context.view.scroll_max());
    }
    if x != 0.0 {
        context.view.start = (context.view.start - f64::from(x) * context.view.frames_per_point).max(0.0);
    }
    x != 0.0
}

/// Handles the pointer in the ruler: a click locates, a drag makes a range, the wheel zooms. Returns whether the wheel was
/// used.
pub(super) fn scrub(ui: &Ui, state: &mut Pointer, ruler: Rect, context: &mut PanelContext<'_>) -> bool {
    let response = ui.interact(ruler, ui.scope_id().with("ruler"), POINTER_ONLY);
    response.widget_info(|| WidgetInfo::labeled(Role::ScrollBar, true, "Ruler"));
    let place = |at: Pos2| context.view.position_at((at.x - ruler.left()).clamp(0.0, ruler.width()));
    let pressed = ui.input(|input| input.pointer.press_origin()).map(place);
    let now = response.interact_pointer_pos().map(place);
    if response.clicked()
        && context.snapshot.transport.pass.is_none()
        && let Some(position) = now
    {
        context.send(Command::Locate(position));
    }
    if response.drag_started_by(PointerButton::Primary) {
        state.ruler_drag = pressed;
        state.range_before = context.snapshot.transport.range;
    }
    if is_drag_cancelled(&response) {
        if state.ruler_drag.take().is_some() {
            context.send(Command::Range(state.range_before));
        }
    } else if let (Some(from), Some(to)) = (state.ruler_drag, now) {
        send_range(from, to, context);
    }
    if !response.dragged() {
        state.ruler_drag = None;
    }
    if !ui.rect_contains_pointer(ruler) {
        return false;
    }
    let (wheel, at) = ui.input(|input| (input.smooth_scroll_delta().y, input.pointer.hover_pos()));
    if wheel != 0.0 {
        context.view.zoom((-f64::from(wheel) / 200.0).exp(), at.map_or(0.0, |at| at.x - ruler.left()));
    }
    wheel != 0.0
}

/// Draws the overview at the lower edge: the strip is the whole session, its bright part the view. A drag scrolls, and Esc
/// scrolls back. Sets `has_moved` if the user moves the view.
pub(super) fn overview(ui: &mut Ui, lanes: Rect, has_moved: &mut bool, context: &mut PanelContext<'_>) {
    let end = context.snapshot.session.end().max(context.snapshot.transport.position).0 as f64;
    let whole = end.max(context.view.start + context.view.frames());
    if end <= context.view.frames() && context.view.start < 1.0 {
        return;
    }
    let strip = Rect::from_min_max(pos2(lanes.left(), lanes.bottom() - 9.0), lanes.max);
    let response = ui.interact(strip, ui.scope_id().with("overview"), POINTER_ONLY);
    response.widget_info(|| WidgetInfo::labeled(Role::ScrollBar, true, "Overview"));
    if let Some(before) = value_before_cancelled_drag(&response, (context.view.start, *has_moved)) {
        (context.view.start, *has_moved) = before;
    }
    let hot = response.hovered() || response.dragged();
    let x_of = |frame: f64| strip.left() + (frame / whole) as f32 * strip.width();
    let from = x_of(context.view.start);
    let to = x_of(context.view.start + context.view.frames()).max(from + 24.0);
    let bar = Rect::from_x_y_ranges(from..=to, strip.top() + 2.0..=strip.bottom() - 2.0);
    let colour = if hot { context.theme.faint } else { context.theme.button_hover };
    ui.painter().rect_filled(bar, 3, colour);
    if let Some(at) = response.interact_pointer_pos().filter(|_| response.dragged() || response.clicked()) {
        let by = if response.dragged() { f64::from(response.drag_delta().x / strip.width()) * whole } else { 0.0 };
        let inside = bar.expand(6.0).contains(at);
        context.view.start = if inside || response.dragged() {
            (context.view.start + by).max(0.0)
        } else {
            (f64::from((at.x - strip.left()) / strip.width()) * whole - context.view.frames() / 2.0).max(0.0)
        };
        *has_moved = true;
    }
}
