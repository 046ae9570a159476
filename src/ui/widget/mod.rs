//! The controls of the panels. Each has an accessible name. Thread: ui.

mod button;
mod fader;
mod meter;
mod spoken;
mod text;

pub use button::{Button, Look, toggle};
pub use fader::{Fader, Pan, db_text, pan_text};
pub use meter::{Ballistics, FOOT_DB, Meters, height_of};
pub use spoken::{adjusted, describe, is_pressed_by_reader, kept, mark_selected, meter_info, name_part, speak};
pub use text::{Named, centred, elided, name_field, text_at};

use super::theme::{RADIUS, Theme};
use crate::control::Severity;
use egui::{Color32, Id, Key, Rect, Response, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder, vec2};

/// Draws a ring around the control that has the keyboard focus, whichever it is. Call it after all controls.
pub fn focus_ring(ui: &Ui, theme: &Theme) {
    let Some(focused) = ui.memory(egui::Memory::focused).and_then(|id| ui.ctx().read_response(id)) else { return };
    let rect = focused.rect.intersect(focused.interact_rect.expand(2.0)).intersect(ui.ctx().content_rect());
    let above = egui::LayerId::new(egui::Order::Tooltip, egui::Id::unique("focus"));
    let stroke = Stroke::new(1.5, theme.accent);
    ui.ctx().layer_painter(above).rect_stroke(rect.expand(1.5), RADIUS, stroke, StrokeKind::Outside);
}

/// Whether the user has just cancelled a drag of the control with Esc. egui ends the drag then, as if the pointer were
/// released.
pub fn is_drag_cancelled(response: &Response) -> bool {
    response.drag_stopped() && response.ctx.input(|input| input.key_pressed(Key::Escape))
}

/// Remembers `value` when a drag of the control begins. Returns that value if the user has just cancelled the drag with Esc.
/// Call it before the drag changes the value.
pub fn value_before_cancelled_drag<T: Clone + Send + Sync + 'static>(response: &Response, value: T) -> Option<T> {
    let before: Id = response.id.with("before the drag");
    if response.drag_started() {
        response.ctx.data_mut(|data| data.insert_temp(before, value));
    }
    if !is_drag_cancelled(response) {
        return None;
    }
    response.ctx.data(|data| data.get_temp(before))
}

/// Draws a panel that needs `height_min` points of height. Where there is less, the panel scrolls.
pub fn with_height(ui: &mut Ui, name: &str, height_min: f32, add: impl FnOnce(&mut Ui)) {
    if height_min <= ui.available_height() {
        return add(ui);
    }
    ScrollArea::vertical().id_salt(name).auto_shrink(false).show(ui, |ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), height_min), Sense::hover());
        add(&mut ui.new_child(UiBuilder::new().max_rect(rect).id_salt(name)));
    });
}

/// Draws the background of a card: a box with a border.
pub fn card(ui: &Ui, rect: Rect, theme: &Theme) {
    ui.painter().rect(rect, RADIUS, theme.card, Stroke::new(1.0, theme.line), StrokeKind::Inside);
}

/// A disc, a triangle or a square, so that shape and not only colour shows the severity.
pub fn sign(ui: &mut Ui, severity: Severity, theme: &Theme) -> Response {
    let (rect, response) = ui.allocate_exact_size(egui::vec2(16.0, 18.0), egui::Sense::hover());
    let at = rect.center();
    match severity {
        Severity::Info => {
            ui.painter().circle_filled(at, 4.0, theme.good);
        }
        Severity::Caution => {
            let points = [(0.0, -5.5), (6.0, 5.0), (-6.0, 5.0)].map(|(x, y)| at + egui::vec2(x, y));
            ui.painter().add(egui::Shape::convex_polygon(points.to_vec(), theme.caution, Stroke::NONE));
        }
        Severity::Loss => {
            ui.painter().rect_filled(Rect::from_center_size(at, egui::vec2(10.0, 10.0)), 1, theme.record);
        }
    }
    response
}

/// A label at the left of a line, in a column of `width` points.
pub fn label(ui: &mut Ui, text: &str, width: f32, colour: Color32) {
    let (rect, response) = ui.allocate_exact_size(egui::vec2(width, 24.0), egui::Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, text));
    text_at(ui, rect.left_center(), egui::Align2::LEFT_CENTER, text, Theme::font(12.5), colour, width);
}

/// A choice of a setting. Its accessible name begins with the name of the setting, because "Yes" alone says nothing to
/// somebody who does not see the line.
pub fn choice<T: PartialEq>(ui: &mut Ui, setting: &str, value: &mut T, this: T, text: &str) -> Response {
    ui.selectable_value(value, this, text).accessible_name(format!("{setting}: {text}"))
}
