//! The timeline: ruler, regions with their waves, markers, the playhead. Thread: ui.

use super::cx::Cx;
use egui::{Rect, Ui};

/// What it keeps between frames.
#[derive(Default)]
pub struct State {}

/// Draws the ruler into `ruler` and the lanes into `lanes`: row `n` of the session stands `n` times
/// [`super::view::View::row`] below the top of `lanes`, less [`super::view::View::scroll`].
pub fn show(ui: &mut Ui, _state: &mut State, ruler: Rect, lanes: Rect, cx: &mut Cx<'_>) {
    ui.painter().rect_filled(ruler.union(lanes), 0, cx.theme.background);
}
