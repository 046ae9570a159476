//! The butler's room: which pages are where, and the figures beside them. Thread: ui.

use super::cx::Cx;
use egui::Ui;

/// What it keeps between frames.
#[derive(Default)]
pub struct State {}

/// Draws it into what is left of `ui`.
pub fn show(ui: &mut Ui, _state: &mut State, cx: &mut Cx<'_>) {
    ui.label(egui::RichText::new("").color(cx.theme.quiet));
}

/// Draws the legend of the map, right-aligned, and what can be chosen about it.
pub fn legend(_ui: &mut Ui, _state: &mut State, _cx: &mut Cx<'_>) {}

impl State {
    /// Stands still, to be looked at and scrubbed back over; or goes on.
    pub fn toggle_freeze(&mut self) {}
}
