//! The transport bar: the session's name, Record and its neighbours, the time, room on the disk, the device. Thread: ui.

use super::cx::Cx;
use egui::{Rect, Ui};

/// What it keeps between frames.
#[derive(Default)]
pub struct State {
    /// Begin to edit the session's name.
    pub rename: bool,
}

/// Draws it into `rect`.
pub fn show(ui: &mut Ui, _state: &mut State, rect: Rect, cx: &mut Cx<'_>) {
    ui.painter().rect_filled(rect, 0, cx.theme.panel);
}
