//! The regions in view, for screen readers: one node each, named by the track and by where it plays. A press selects the
//! region, and puts the playhead at its start. Thread: ui.

use super::lanes::{lane_rect, rows_in_view};
use super::pointer::Preview;
use super::runs::{view_end, view_start};
use crate::app::command::Command;
use crate::ui::format;
use crate::ui::panel_context::PanelContext;
use crate::ui::widget::{is_pressed_by_reader, mark_selected};
use egui::accesskit::Action;
use egui::{Rect, Role, Sense, Ui, WidgetInfo};
use std::sync::Arc;

/// Nodes at the most. A picture of a long edit has more regions than anybody listens to.
const NODES_MAX: usize = 200;

/// Width in points below which a region has no node.
const WIDTH_MIN: f32 = 6.0;

/// Describes the regions in view. `preview` is the one that is being dragged.
pub(super) fn describe(ui: &Ui, lanes: Rect, preview: Option<Preview>, context: &mut PanelContext<'_>) {
    let is_listened_to = ui.ctx().accesskit_node_builder(ui.unique_id(), |_| ()).is_some();
    if !is_listened_to {
        return;
    }
    let session = Arc::clone(&context.snapshot.session);
    let settings = &context.snapshot.settings;
    let text = |at| format::position(at, session.rate(), settings.time, settings.tempo);
    let mut nodes = 0;
    for row in rows_in_view(lanes, context) {
        let Some(track) = session.tracks().get(row) else { continue };
        let lane = lane_rect(lanes, row, context);
        for region in track.regions_in(view_start(context.view), view_end(context.view)) {
            let (start, end) = match preview {
                Some(preview) if preview.region == region.id => (preview.start, preview.end),
                _ => (region.start, region.end()),
            };
            let [from, to] = [start, end].map(|at| lanes.left() + context.view.x_of(at));
            if to - from < WIDTH_MIN {
                continue;
            }
            if nodes == NODES_MAX {
                return;
            }
            nodes += 1;
            let rect = Rect::from_x_y_ranges(from..=to, lane.y_range()).intersect(lanes);
            let response = ui.interact(rect, ui.scope_id().with(("region", region.id)), Sense::hover());
            let selected = context.view.selected_regions.contains(&region.id);
            let muted = if region.muted { ", muted" } else { "" };
            let name = format!("Region {}, {} to {}{muted}", track.name(), text(start), text(end));
            response.widget_info(|| WidgetInfo::labeled(Role::ListItem, true, &name));
            mark_selected(&response, selected);
            // Only for screen readers: the pointer belongs to the lanes.
            ui.ctx().accesskit_node_builder(response.id, |node| node.add_action(Action::Click));
            if is_pressed_by_reader(ui, &response) {
                context.view.selected_regions = [region.id].into();
                context.view.selected_tracks = [track.id()].into();
                if context.snapshot.transport.pass.is_none() {
                    context.send(Command::Locate(region.start));
                }
            }
        }
    }
}
