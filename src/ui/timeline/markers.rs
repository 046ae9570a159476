//! Markers: flags in the ruler. A user clicks them to locate, drags and renames them. Thread: ui.

use crate::app::command::Command;
use crate::control::edit::Edit;
use crate::session::{Marker, MarkerId};
use crate::time::FramePos;
use crate::ui::format;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use crate::ui::widget::{elided, is_drag_cancelled};
use egui::{CursorIcon, Key, PointerButton, Pos2, Rect, Response, Role, Sense, TextEdit, Ui, WidgetInfo, pos2, vec2};
use std::sync::Arc;

/// State that the markers keep between pictures.
#[derive(Default)]
pub(super) struct MarkersState {
    /// The marker that the user renames, the typed text, and whether the field still needs the focus.
    naming: Option<(MarkerId, String, bool)>,
    drag: Option<Drag>,
}

/// A marker that is being dragged. It is drawn at `to`, and moves there when the user releases it.
#[derive(Clone, Copy)]
struct Drag {
    marker: MarkerId,
    /// Distance from the marker to the pointer, in frames.
    grip: u64,
    to: FramePos,
}

/// Width of the widest flag, in points.
const FLAG_WIDTH_MAX: f32 = 140.0;

/// Draws the markers in view.
pub(super) fn show(ui: &mut Ui, state: &mut MarkersState, ruler: Rect, lanes: Rect, context: &mut PanelContext<'_>) {
    let session = Arc::clone(&context.snapshot.session);
    for (at, marker) in session.markers().iter().enumerate() {
        let dragged = state.drag.filter(|drag| drag.marker == marker.id);
        let x = ruler.left() + context.view.x_of(dragged.map_or(marker.at, |drag| drag.to));
        let is_named = state.naming.as_ref().is_some_and(|(id, ..)| *id == marker.id);
        if is_named {
            // The field stays in the ruler while its marker scrolls away: without it, the letters would be commands.
            let left_max = (ruler.right() - FLAG_WIDTH_MAX).max(ruler.left());
            name_field(ui, state, x.clamp(ruler.left(), left_max), ruler, context);
        }
        if x < ruler.left() - FLAG_WIDTH_MAX || x > ruler.right() {
            continue;
        }
        ui.painter().with_clip_rect(ruler.union(lanes)).vline(
            x,
            ruler.top()..=lanes.bottom(),
            (1.0, context.theme.marker.gamma_multiply(0.55)),
        );
        if !is_named {
            flag(ui, state, at, marker, x, ruler, context);
        }
    }
}

fn flag(
    ui: &mut Ui,
    state: &mut MarkersState,
    at: usize,
    marker: &Marker,
    x: f32,
    ruler: Rect,
    context: &mut PanelContext<'_>,
) {
    let theme = context.theme;
    let text = if marker.name.is_empty() { format!("{}", at + 1) } else { marker.name.clone() };
    let galley = elided(ui, &text, Theme::medium(10.5), mixed(theme.marker, theme.strong, 0.45), FLAG_WIDTH_MAX - 12.0);
    let rect = Rect::from_min_size(pos2(x, ruler.top() + 3.0), vec2(galley.size().x + 12.0, 16.0));
    let response =
        ui.interact(rect.intersect(ruler), ui.scope_id().with(("marker", marker.id)), Sense::click_and_drag());
    let settings = &context.snapshot.settings;
    let place = format::position(marker.at, context.snapshot.session.rate(), settings.time, settings.tempo);
    let label = format!("Marker {text} at {place}");
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
    let painter = ui.painter().with_clip_rect(ruler);
    let fill = mixed(theme.background, theme.marker, if response.hovered() { 0.45 } else { 0.28 });
    painter.rect_filled(rect, 3, fill);
    painter.galley(rect.min + vec2(6.0, (16.0 - galley.size().y) / 2.0), galley, theme.strong);
    drag(ui, state, &response, marker, ruler, context);
    if response.double_clicked() {
        state.naming = Some((marker.id, marker.name.clone(), true));
    } else if response.clicked() {
        context.send(Command::Locate(marker.at));
    }
    response.context_menu(|ui| {
        if ui.button("Rename").clicked() {
            state.naming = Some((marker.id, marker.name.clone(), true));
            ui.close();
        }
        if ui.button("Remove").clicked() {
            context.send(Command::Edit(Edit::RemoveMarker(marker.id)));
            ui.close();
        }
    });
    response
        .on_hover_cursor(CursorIcon::PointingHand)
        .on_hover_text("Click to go there, drag to move, double-click to name");
}

/// Follows a drag of the flag. The edit is sent when the user releases it; Esc cancels.
fn drag(
    ui: &Ui,
    state: &mut MarkersState,
    response: &Response,
    marker: &Marker,
    ruler: Rect,
    context: &mut PanelContext<'_>,
) {
    let place = |at: Pos2| context.view.position_at((at.x - ruler.left()).clamp(0.0, ruler.width()));
    if response.drag_started_by(PointerButton::Primary) {
        let pressed = ui.input(|input| input.pointer.press_origin()).map_or(marker.at, place);
        state.drag = Some(Drag { marker: marker.id, grip: pressed.0.saturating_sub(marker.at.0), to: marker.at });
    }
    let Some(drag) = state.drag.as_mut().filter(|drag| drag.marker == marker.id) else { return };
    if let Some(at) = ui.input(|input| input.pointer.latest_pos()) {
        drag.to = FramePos(place(at).0.saturating_sub(drag.grip));
    }
    if response.dragged() {
        return;
    }
    let to = drag.to;
    state.drag = None;
    if !is_drag_cancelled(response) && to != marker.at {
        context.send(Command::Edit(Edit::MoveMarker(marker.id, to)));
    }
}

fn name_field(ui: &mut Ui, state: &mut MarkersState, x: f32, ruler: Rect, context: &mut PanelContext<'_>) {
    let Some((id, text, needs_focus)) = &mut state.naming else { return };
    let rect = Rect::from_min_size(pos2(x, ruler.top() + 1.0), vec2(FLAG_WIDTH_MAX, 20.0));
    let field =
        TextEdit::singleline(text).font(Theme::font(11.0)).char_limit(100).margin(egui::Margin::symmetric(4, 1));
    let response = ui.put(rect, field).accessible_name("Marker name");
    if std::mem::take(needs_focus) {
        response.request_focus();
        return;
    }
    if response.lost_focus() {
        if !ui.input(|input| input.key_pressed(Key::Escape)) {
            context.send(Command::Edit(Edit::RenameMarker(*id, text.trim().to_owned())));
        }
        state.naming = None;
    }
}
