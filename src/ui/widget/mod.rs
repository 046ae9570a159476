//! The controls of the panels. Each has an accessible name. Thread: ui.

mod button;
mod fader;
mod meter;
mod text;

pub use button::{Button, Look, toggle};
pub use fader::{Fader, Pan, db_text, pan_text};
pub use meter::{Ballistics, Meters, height_of};
pub use text::{elided, name_field, text_at};

use super::theme::{RADIUS, Theme};
use crate::control::Severity;
use egui::{Color32, Rect, Response, Stroke, StrokeKind, Ui};

/// Draws a ring around a control that has the keyboard focus.
pub fn focus_ring(ui: &Ui, response: &Response, rect: Rect, theme: &Theme) {
    if response.has_focus() {
        ui.painter().rect_stroke(rect.expand(1.5), RADIUS, Stroke::new(1.5, theme.accent), StrokeKind::Outside);
    }
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
