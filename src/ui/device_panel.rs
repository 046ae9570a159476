//! Which device, and how it is opened. Thread: ui.

use super::cx::Cx;
use egui::Ui;

/// What it keeps between frames.
#[derive(Default)]
pub struct State {}

/// Draws it into what is left of `ui`.
pub fn show(ui: &mut Ui, _state: &mut State, cx: &mut Cx<'_>) {
    ui.label(egui::RichText::new("").color(cx.theme.quiet));
}
