//! Reordering of tracks: a user drags the number of a track. Thread: ui.

use crate::app::command::Command;
use crate::control::edit::Edit;
use crate::session::{Track, TrackId};
use crate::ui::panel_context::PanelContext;
use egui::{DragAndDrop, Rect, Ui, pos2, vec2};

/// A drag of a track, if one is in progress.
#[derive(Default)]
pub(super) struct Drag {
    track: Option<TrackId>,
}

/// Index of the gap between rows that is nearest to `y`: 0 is above the first of `count` rows, `count` below the last.
fn nearest_gap(y: f32, top: f32, row: f32, count: usize) -> usize {
    (((y - top) / row).round().max(0.0) as usize).min(count)
}

/// Shows the gap where the dragged track would go, and moves the track there when the user releases it.
pub(super) fn show(ui: &Ui, drag: &mut Drag, list: Rect, tracks: &[Track], context: &mut PanelContext<'_>) {
    let is_released = ui.input(|input| input.pointer.any_released());
    match DragAndDrop::payload::<TrackId>(ui.ctx()) {
        Some(id) => drag.track = Some(*id),
        // egui drops the payload when the user presses Esc.
        None if !is_released => drag.track = None,
        None => {}
    }
    let Some(id) = drag.track else { return };
    let Some(from) = tracks.iter().position(|track| track.id() == id) else {
        drag.track = None;
        return;
    };
    let row = context.view.row_height();
    let top = list.top() - context.view.scroll;
    let pointer = ui.input(|input| input.pointer.latest_pos());
    let to = pointer.map_or(from, |at| nearest_gap(at.y, top, row, tracks.len()));
    if is_released {
        drag.track = None;
        // The track is removed first, so the rows below it move up by one.
        let target = if from < to { to - 1 } else { to };
        if target != from && pointer.is_some_and(|at| list.expand(40.0).contains(at)) {
            context.send(Command::Edit(Edit::MoveTrack(id, target)));
        }
        return;
    }
    let y = top + to as f32 * row;
    let line = Rect::from_min_size(pos2(list.left(), y - 1.5), vec2(list.width(), 3.0));
    ui.painter().rect_filled(line, 1, context.theme.accent);
    let own = Rect::from_min_size(pos2(list.left(), top + from as f32 * row), vec2(list.width(), row));
    ui.painter().rect_filled(own, 0, context.theme.background.gamma_multiply(0.5));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_gap_is_chosen() {
        assert_eq!(
            [
                nearest_gap(-5.0, 0.0, 40.0, 3),
                nearest_gap(19.0, 0.0, 40.0, 3),
                nearest_gap(21.0, 0.0, 40.0, 3),
                nearest_gap(500.0, 0.0, 40.0, 3)
            ],
            [0, 0, 1, 3]
        );
    }
}
