//! Controls that panels are made of. Each has an accessible name. Thread: ui.

mod button;
mod fader;
mod meter;
mod text;

pub use button::{Button, Look, toggle};
pub use fader::{Fader, Pan, db_text, pan_text};
pub use meter::{Ballistics, Meters, part_of};
pub use text::{elided, name_field, text_at};

use super::theme::{RADIUS, Theme};
use egui::{Color32, Rect, Response, Stroke, StrokeKind, Ui};

/// A ring around what the keyboard would use.
pub fn focus_ring(ui: &Ui, response: &Response, rect: Rect, theme: &Theme) {
    if response.has_focus() {
        ui.painter().rect_stroke(rect.expand(1.5), RADIUS, Stroke::new(1.5, theme.accent), StrokeKind::Outside);
    }
}

/// A card: a raised box with a line around it.
pub fn card(ui: &Ui, rect: Rect, theme: &Theme) {
    ui.painter().rect(rect, RADIUS, theme.card, Stroke::new(1.0, theme.line), StrokeKind::Inside);
}

/// A fill that shows state on a control.
pub fn fill(ui: &Ui, rect: Rect, radius: u8, colour: Color32) {
    ui.painter().rect_filled(rect, radius, colour);
}
