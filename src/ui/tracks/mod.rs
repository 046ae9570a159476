//! The track list: one row for each track, at the height of the track's lane. Thread: ui.

mod input;
mod layout;
mod order;
mod row;

use super::action::Action;
use super::format;
use super::icon::Icon;
use super::panel_context::PanelContext;
use super::theme::Theme;
use super::widget::{Ballistics, Meters, meter_info, name_part};
use crate::app::command::Command;
use crate::app::snapshot::{Meter, Snapshot};
use crate::control::edit::Edit;
use crate::session::{Track, TrackId};
use egui::{Align2, CursorIcon, Id, Memory, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use std::collections::HashMap;

/// State that the list keeps between pictures.
#[derive(Default)]
pub struct TracksState {
    /// Request to start editing the name of the first selected track. The next picture takes it.
    pub rename: bool,
    /// The row whose name the user edits next, because of Tab in the name before.
    rename_row: Option<usize>,
    /// The control that had the focus in the last picture.
    focused: Option<Id>,
    /// Whether that control is in a row.
    has_focus: bool,
    meters: HashMap<TrackId, Ballistics>,
    drag: order::Drag,
}

impl TracksState {
    /// Whether a meter still shows something.
    pub fn moves(&self) -> bool {
        self.meters.values().any(|meter| !meter.is_at_rest())
    }

    /// Whether a control of a row has the keyboard focus.
    pub fn has_focus(&self) -> bool {
        self.has_focus
    }

    /// Applies the levels of a snapshot to the meters, at `now` seconds. While nothing is open there are no levels, and the
    /// meters fall.
    pub fn update_meters(&mut self, snapshot: &Snapshot, now: f64) {
        let tracks = snapshot.session.tracks();
        let levels = snapshot.tracks.iter().copied().chain(std::iter::repeat(Meter::default()));
        for (track, level) in tracks.iter().zip(levels) {
            self.meters.entry(track.id()).or_default().update(level, now);
        }
        if self.meters.len() > tracks.len() {
            self.meters.retain(|id, _| tracks.iter().any(|track| track.id() == *id));
        }
    }

    /// Switches off the clip lamps.
    pub fn acknowledge(&mut self) {
        for meter in self.meters.values_mut() {
            meter.clipped = false;
        }
    }
}

/// Draws the heading into `head` and the rows into `list`.
pub fn show(ui: &mut Ui, state: &mut TracksState, head: Rect, list: Rect, context: &mut PanelContext<'_>) {
    ui.painter().rect_filled(head.union(list), 0, context.theme.panel);
    // The heading comes first, because the Tab key and screen readers follow the order of drawing.
    let session = std::sync::Arc::clone(&context.snapshot.session);
    let tracks = session.tracks();
    let row = context.view.row_height();
    heading(ui, head, tracks, context);
    scroll(ui, list, context);
    // One row more than is visible on both sides, so that Tab reaches the next one.
    let first = ((context.view.scroll / row) as usize).saturating_sub(1);
    let count = (list.height() / row) as usize + 3;
    let rename = std::mem::take(&mut state.rename);
    let rename_row = state.rename_row.take();
    let is_dead = context.snapshot.device.gone;
    let mut meters = Meters::default();
    let mut lanes = ui.new_child(egui::UiBuilder::new().max_rect(list).id_salt("rows"));
    lanes.shrink_clip_rect(list);
    name_part(&lanes, Role::List, "Track list", Some(list));
    // Screen readers leave out the rows that are not visible.
    lanes.ctx().accesskit_node_builder(lanes.unique_id(), egui::accesskit::Node::set_clips_children);
    for (at, track) in tracks.iter().enumerate().skip(first).take(count) {
        let y = list.top() + at as f32 * row - context.view.scroll;
        let rect = Rect::from_min_size(pos2(list.left(), y), vec2(list.width(), row));
        let is_selected = context.view.selected_tracks.first() == Some(&track.id());
        let begin = (rename && is_selected) || rename_row == Some(at);
        let shown = state.meters.get(&track.id()).copied().unwrap_or_default();
        let step = row::show(&mut lanes, rect, at, track, begin, context);
        if let Some(next) = step.and_then(|step| at.checked_add_signed(step)).filter(|next| *next < tracks.len()) {
            state.rename_row = Some(next);
            context.view.scroll_to(next);
            ui.request_repaint();
        }
        let meter_rect = layout::row(rect, context.view.tall).meter;
        meters.upright(meter_rect, &shown, is_dead, context.theme);
        meter_button(&mut lanes, meter_rect, at, track, shown, is_dead, state);
    }
    meters.paint(lanes.painter());
    follow_focus(&lanes, state, list, tracks.len(), context);
    order::show(&lanes, &mut state.drag, list, tracks, context);
    let below = list.top() + tracks.len() as f32 * row - context.view.scroll;
    empty_below(&lanes, Rect::from_min_max(pos2(list.left(), below.max(list.top())), list.max), context);
    ui.painter().vline(list.right() - 0.5, list.y_range(), (1.0, context.theme.line));
}

/// Scrolls the rows with the wheel, and keeps the list filled.
fn scroll(ui: &Ui, list: Rect, context: &mut PanelContext<'_>) {
    let over = ui.rect_contains_pointer(list);
    let wheel = ui.input(|input| if input.modifiers.any() { 0.0 } else { input.smooth_scroll_delta().y });
    if over && wheel != 0.0 {
        context.view.scroll -= wheel;
    }
    context.view.scroll = context.view.scroll.clamp(0.0, context.view.scroll_max());
}

/// Scrolls to the row whose control has got the focus by Tab, or by a screen reader.
fn follow_focus(rows: &Ui, state: &mut TracksState, list: Rect, count: usize, context: &mut PanelContext<'_>) {
    let focused = rows.memory(Memory::focused);
    let is_of_row = |id: &Id| {
        let parent = rows.ctx().viewport(|viewport| viewport.this_pass.widgets.get(*id).map(|widget| widget.parent_id));
        parent == Some(rows.unique_id())
    };
    let in_row = focused.filter(is_of_row);
    state.has_focus = in_row.is_some();
    if std::mem::replace(&mut state.focused, focused) == focused || rows.input(|input| input.pointer.any_down()) {
        return;
    }
    let Some(control) = in_row.and_then(|id| rows.ctx().read_response(id)) else { return };
    let row = ((control.rect.center().y - list.top() + context.view.scroll) / context.view.row_height()).floor();
    if row >= 0.0 && (row as usize) < count {
        context.view.scroll_to(row as usize);
        rows.request_repaint();
    }
}

fn meter_button(
    ui: &mut Ui,
    rect: Rect,
    at: usize,
    track: &Track,
    shown: Ballistics,
    is_dead: bool,
    state: &mut TracksState,
) {
    let response = ui.interact(rect, ui.scope_id().with(("meter", at)), Sense::click());
    meter_info(&response, &format!("Meter {}", track.name()), shown.peak, is_dead);
    let db = |level: f32| {
        if level < 1e-3 { "\u{2212}\u{221e}".to_owned() } else { super::widget::db_text(20.0 * level.log10()) }
    };
    let clipped = if shown.clipped { ". Clipped: click to put the lamp out" } else { "" };
    let text = if is_dead {
        "The device is gone".to_owned()
    } else {
        format!("Peak {} dB, mean {} dB{clipped}", db(shown.hold), db(shown.rms))
    };
    if response.on_hover_text(text).clicked()
        && let Some(meter) = state.meters.get_mut(&track.id())
    {
        meter.clipped = false;
    }
}

/// Draws the heading: number of tracks, buttons that act on all tracks, and the button that adds a track.
fn heading(ui: &mut Ui, head: Rect, tracks: &[Track], context: &mut PanelContext<'_>) {
    let theme = context.theme;
    ui.painter().rect_filled(head, 0, theme.background);
    ui.painter().hline(head.x_range(), head.bottom() - 0.5, (1.0, theme.line));
    let text = format::count(tracks.len(), "track");
    let y = head.center().y;
    ui.painter().text(pos2(head.left() + 12.0, y), Align2::LEFT_CENTER, text, Theme::font(11.0), theme.quiet);
    let places = layout::row(Rect::from_min_size(head.min, vec2(head.width(), head.height())), context.view.tall);
    let ids: Vec<TrackId> = tracks.iter().map(Track::id).collect();
    let some = |of: fn(&Track) -> bool| tracks.iter().any(of);
    let every = tracks.iter().all(|track| track.armed);
    let columns: [(Option<Rect>, &str, &str, bool, Edit); 3] = [
        (
            Some(places.arm),
            "R",
            if every { "Arm none" } else { "Arm all" },
            every && !tracks.is_empty(),
            Edit::Arm(ids.clone(), !every),
        ),
        (places.mute, "M", "Unmute all", some(|track| track.mute), Edit::Mute(ids.clone(), false)),
        (places.solo, "S", "Solo none", some(|track| track.solo), Edit::Solo(ids.clone(), false)),
    ];
    for (column, letter, name, on, edit) in columns {
        let Some(column) = column else { continue };
        let rect = Rect::from_center_size(pos2(column.center().x, y), vec2(column.width(), 18.0));
        let response = ui.interact(rect, ui.scope_id().with(("all", letter)), Sense::click());
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, on, name));
        let colour = if on || response.hovered() { theme.text } else { theme.quiet };
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, letter, Theme::medium(11.0), colour);
        if response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(name).clicked() {
            context.send(Command::Edit(edit));
        }
    }
    let plus = Rect::from_center_size(pos2(head.right() - 16.0, y), vec2(20.0, 20.0));
    let response = ui.interact(plus, ui.scope_id().with("add"), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Add track"));
    let colour = if response.hovered() { theme.strong } else { theme.quiet };
    Icon::Plus.paint(ui.painter(), plus.center(), 11.0, colour);
    let tip = context.tip("Add a track", Action::AddTrack);
    if response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(tip).clicked() {
        context.act(Action::AddTrack);
    }
}

/// The area below the last row. A click there clears the selection.
fn empty_below(ui: &Ui, rect: Rect, context: &mut PanelContext<'_>) {
    if rect.height() < 1.0 {
        return;
    }
    // The Tab key passes it by: Ctrl+Shift+A does the same.
    if ui.interact(rect, ui.scope_id().with("below"), Sense::CLICK).clicked() {
        context.act(Action::SelectNone);
    }
}
