//! The track list. Thread: ui.

use super::cx::Cx;
use egui::{Rect, Ui};

/// What it keeps between frames.
#[derive(Default)]
pub struct State {
    /// Begin to edit the name of the selected track.
    pub rename: bool,
}

/// Draws the head into `head` and the rows into `list`.
pub fn show(ui: &mut Ui, _state: &mut State, head: Rect, list: Rect, cx: &mut Cx<'_>) {
    ui.painter().rect_filled(head.union(list), 0, cx.theme.panel);
}
