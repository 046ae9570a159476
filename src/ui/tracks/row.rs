//! A row of the track list: name, input, input monitoring, arm, mute, solo, gain, pan. Thread: ui.

use super::{input, layout};
use crate::app::command::Command;
use crate::control::edit::Edit;
use crate::session::{GAIN_DB_MAX, GAIN_DB_MIN, Monitor, Track, TrackId};
use crate::ui::action::Action;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use crate::ui::widget::{Fader, Pan, mark_selected, name_field, pan_text, speak, toggle};
use egui::{Align2, CursorIcon, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// The edit that switches something of tracks on or off.
type SwitchEdit = fn(Vec<TrackId>, bool) -> Edit;

/// Draws the row of the track with index `at`. `rename` starts to edit its name. Returns the distance of the row whose
/// name the user edits next.
pub(super) fn show(
    ui: &mut Ui,
    rect: Rect,
    at: usize,
    track: &Track,
    rename: bool,
    context: &mut PanelContext<'_>,
) -> Option<isize> {
    let theme = context.theme;
    let parts = layout::row(rect, context.view.tall);
    let selected = context.view.selected_tracks.contains(&track.id());
    let is_silent = track.is_silent(context.snapshot.session.is_any_soloed());
    if selected {
        ui.painter().rect_filled(rect, 0, mixed(theme.panel, theme.accent, 0.13));
    }
    let colour = theme.track(track.colour);
    ui.painter().rect_filled(parts.strip, 0, if is_silent { mixed(theme.panel, colour, 0.4) } else { colour });
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, theme.line_soft));
    handle(ui, parts.number, at, track, selected, context);

    let font = Theme::medium(if context.view.tall { 12.5 } else { (rect.height() * 0.74).min(12.0) });
    let mut dim = theme.clone();
    if is_silent {
        dim.text = theme.quiet;
    }
    let label = format!("Name {}", track.name());
    let named = name_field(ui, &dim, parts.name, (&label, track.id()), track.name(), font, rename);
    if named.response.clicked() {
        select(ui, track.id(), context);
    }
    if let Some(name) = named.name {
        context.send(Command::Edit(Edit::Name(track.id(), name)));
    }
    named.response.context_menu(|ui| menu(ui, track, context));
    // In a tall row the open field lies over the line below the name.
    let covers = named.is_open && context.view.tall;
    if let Some(rect) = parts.input.filter(|_| !covers) {
        input::show(ui, rect, track, context);
    }
    if let Some(rect) = parts.monitor.filter(|_| !covers) {
        monitor(ui, rect, track, context);
    }
    switches(ui, &parts, track, context);
    gain_and_pan(ui, &parts, track, context);
    named.step
}

/// The tracks that a change of `track` applies to: all selected tracks if `track` is one of them, else `track` alone.
pub(super) fn affected_tracks(track: TrackId, context: &PanelContext<'_>) -> Vec<TrackId> {
    if context.view.selected_tracks.contains(&track) && context.view.selected_tracks.len() > 1 {
        context.snapshot.session.track_ids().filter(|id| context.view.selected_tracks.contains(id)).collect()
    } else {
        vec![track]
    }
}

/// Selects a track. Ctrl adds or removes it. Shift extends the selection up to it.
pub(super) fn select(ui: &Ui, track: TrackId, context: &mut PanelContext<'_>) {
    let modifiers = ui.input(|input| input.modifiers);
    // The last selection counts: what Delete removes must be what the user has just chosen.
    context.view.selected_regions.clear();
    let selected = &mut context.view.selected_tracks;
    if modifiers.command {
        if !selected.remove(&track) {
            selected.insert(track);
        }
    } else if modifiers.shift && !selected.is_empty() {
        let ids: Vec<TrackId> = context.snapshot.session.track_ids().collect();
        let at = |id: &TrackId| ids.iter().position(|other| other == id);
        let rows = selected.iter().chain(std::iter::once(&track)).filter_map(at);
        if let (Some(from), Some(to)) = (rows.clone().min(), rows.max()) {
            selected.extend(&ids[from..=to]);
        }
    } else {
        *selected = std::iter::once(track).collect();
    }
}

/// The track number: a click selects, a drag moves, a right click opens the menu.
fn handle(ui: &Ui, rect: Rect, at: usize, track: &Track, selected: bool, context: &mut PanelContext<'_>) {
    let response = ui.interact(rect, ui.scope_id().with(("handle", track.id())), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::selected(Role::ListItem, true, selected, format!("Track {}", track.name())));
    mark_selected(&response, selected);
    let colour = if selected || response.hovered() { context.theme.text } else { context.theme.quiet };
    let text = (at + 1).to_string();
    let font = Theme::font((rect.height() * 0.74).min(11.0));
    ui.painter().text(pos2(rect.right() - 4.0, rect.center().y), Align2::RIGHT_CENTER, text, font, colour);
    if response.clicked() {
        select(ui, track.id(), context);
    }
    if response.drag_started() {
        response.dnd_set_drag_payload(track.id());
    }
    response.context_menu(|ui| menu(ui, track, context));
    response.on_hover_and_drag_cursor(CursorIcon::Grab);
}

fn monitor(ui: &mut Ui, rect: Rect, track: &Track, context: &mut PanelContext<'_>) {
    let monitor_name = |monitor: Monitor| match monitor {
        Monitor::Auto => "auto",
        Monitor::Input => "input",
        Monitor::Disk => "disk",
    };
    let response = ui.interact(rect, ui.scope_id().with(("monitor", track.id())), Sense::click());
    let now = monitor_name(track.monitor);
    speak(&response, Role::Button, &format!("Monitor {}", track.name()), now);
    let theme = context.theme;
    let colour = match (track.monitor, response.hovered()) {
        (Monitor::Auto, false) => theme.quiet,
        (_, true) => theme.text,
        (_, false) => theme.accent,
    };
    ui.painter().text(rect.left_center(), Align2::LEFT_CENTER, now, Theme::font(10.5), colour);
    let tip = "What is heard: auto (the input while armed and not playing), input, or disk";
    if response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(tip).clicked() {
        let next = match track.monitor {
            Monitor::Auto => Monitor::Input,
            Monitor::Input => Monitor::Disk,
            Monitor::Disk => Monitor::Auto,
        };
        let edit = Edit::Monitor(affected_tracks(track.id(), context), next);
        context.send(Command::Edit(edit));
    }
}

/// Strength of the red of a track that is being recorded and is not armed any more.
const RECORDED_ONLY: f32 = 0.55;

/// Whether the running pass records the track.
fn is_recorded(track: &Track, context: &PanelContext<'_>) -> bool {
    let pass = context.snapshot.transport.pass.as_ref();
    pass.is_some_and(|pass| pass.takes.iter().any(|(id, _)| *id == track.id()))
}

fn switches(ui: &mut Ui, parts: &layout::Row, track: &Track, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    let (ids, name) = (affected_tracks(track.id(), context), track.name());
    let salt = track.id();
    let recorded = is_recorded(track, context);
    // The switch of a track in the pass stays lit, because switching it off does not end the recording of this track.
    let fill = if track.armed { theme.record } else { mixed(theme.button, theme.record, RECORDED_ONLY) };
    let arm = toggle(ui, theme, parts.arm, (&format!("Arm {name}"), salt), "R", track.armed || recorded, fill);
    if recorded {
        let text = if track.armed { "being recorded" } else { "being recorded, not armed" };
        arm.ctx.accesskit_node_builder(arm.id, |node| node.set_description(text));
    }
    let tip = match (recorded, track.armed) {
        (false, _) => "Record this track",
        (true, true) => "It is being recorded. A click leaves it out of the next recording",
        (true, false) => "It is being recorded, and left out of the next recording",
    };
    if arm.on_hover_text(context.tip(tip, Action::ArmSelected)).clicked() {
        context.send(Command::Edit(Edit::Arm(ids.clone(), !track.armed)));
    }
    if let Some(rect) = parts.mute {
        let mute = toggle(ui, theme, rect, (&format!("Mute {name}"), salt), "M", track.mute, theme.mute);
        if mute.on_hover_text(context.tip("Mute", Action::MuteSelected)).clicked() {
            context.send(Command::Edit(Edit::Mute(ids.clone(), !track.mute)));
        }
    }
    let Some(rect) = parts.solo else { return };
    let solo = toggle(ui, theme, rect, (&format!("Solo {name}"), salt), "S", track.solo, theme.solo);
    if solo.on_hover_text(context.tip("Solo. Ctrl: this one alone", Action::SoloSelected)).clicked() {
        let alone = ui.input(|input| input.modifiers.command);
        context.send(Command::Edit(if alone { Edit::SoloOnly(ids) } else { Edit::Solo(ids, !track.solo) }));
    }
}

fn gain_and_pan(ui: &mut Ui, parts: &layout::Row, track: &Track, context: &mut PanelContext<'_>) {
    if let Some(rect) = parts.gain {
        gain(ui, rect, track, context);
    }
    let Some(rect) = parts.pan else { return };
    let tall = context.view.tall;
    pan(ui, if tall { Rect::from_min_size(rect.min, vec2(rect.width(), 18.0)) } else { rect }, track, context);
    if tall {
        let at = pos2(rect.center().x, rect.bottom() + 0.5);
        ui.painter().text(at, Align2::CENTER_BOTTOM, pan_text(track.pan()), Theme::font(10.0), context.theme.quiet);
    }
}

fn gain(ui: &mut Ui, rect: Rect, track: &Track, context: &mut PanelContext<'_>) {
    let ids = affected_tracks(track.id(), context);
    let name = format!("Gain {}", track.name());
    let fader = Fader { name: &name, salt: track.id().0, db: track.gain_db() };
    let (_, to) = fader.show(ui, context.theme, rect, context.view.tall);
    if let Some(db) = to {
        // Other selected tracks change by the same number of decibels, which keeps their balance.
        let by = db - track.gain_db();
        let gain = |id: &TrackId| {
            let own = context.snapshot.session.track(*id)?.gain_db();
            Some((*id, (own + by).clamp(GAIN_DB_MIN, GAIN_DB_MAX)))
        };
        let gains = if ids.len() == 1 { vec![(track.id(), db)] } else { ids.iter().filter_map(gain).collect() };
        context.send(Command::Edit(Edit::Gain(gains)));
    }
}

fn pan(ui: &mut Ui, rect: Rect, track: &Track, context: &mut PanelContext<'_>) {
    let ids = affected_tracks(track.id(), context);
    let name = format!("Pan {}", track.name());
    let (_, to) = Pan { name: &name, salt: track.id().0, pan: track.pan() }.show(ui, context.theme, rect);
    if let Some(pan) = to {
        context.send(Command::Edit(Edit::Pan(ids, pan)));
    }
}

/// The controls that have no place in a narrow or low row, in the menu of the track.
fn in_menu(ui: &mut Ui, track: &Track, ids: &[TrackId], context: &mut PanelContext<'_>) {
    let theme = context.theme;
    for (text, fader) in [("Gain", true), ("Pan", false)] {
        ui.horizontal(|ui| {
            ui.label(egui::RichText::new(text).color(theme.quiet));
            let (rect, _) = ui.allocate_exact_size(vec2(120.0, 20.0), Sense::hover());
            if fader { gain(ui, rect, track, context) } else { pan(ui, rect, track, context) }
        });
    }
    let switches: [(&str, bool, SwitchEdit); 2] = [("Muted", track.mute, Edit::Mute), ("Solo", track.solo, Edit::Solo)];
    for (text, mut on, edit) in switches {
        if ui.checkbox(&mut on, text).changed() {
            context.send(Command::Edit(edit(ids.to_vec(), on)));
        }
    }
}

/// The menu of a track.
fn menu(ui: &mut Ui, track: &Track, context: &mut PanelContext<'_>) {
    ui.set_min_width(190.0);
    let ids = affected_tracks(track.id(), context);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        ui.set_max_width(180.0);
        for colour in 0..context.theme.tracks.len() as u8 {
            let (rect, response) = ui.allocate_exact_size(vec2(22.0, 22.0), Sense::click());
            let on = track.colour as usize % context.theme.tracks.len() == colour as usize;
            response
                .widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, format!("Colour {}", colour + 1)));
            ui.painter().rect_filled(rect.shrink(2.0), 5, context.theme.track(colour));
            if on {
                ui.painter().rect_stroke(rect, 6, (1.5, context.theme.strong), egui::StrokeKind::Inside);
            }
            if response.clicked() {
                context.send(Command::Edit(Edit::Colour(ids.clone(), colour)));
                ui.close();
            }
        }
    });
    ui.separator();
    // The row of a narrow or low list has no place for these.
    let size = vec2(context.view.list_width, context.view.row_height());
    let parts = layout::row(Rect::from_min_size(egui::Pos2::ZERO, size), context.view.tall);
    if parts.gain.is_none() {
        in_menu(ui, track, &ids, context);
        ui.separator();
    }
    if ui.button("Rename").clicked() {
        context.view.selected_tracks = std::iter::once(track.id()).collect();
        context.act(Action::RenameTrack);
        ui.close();
    }
    if ui.button("Duplicate").clicked() {
        context.send(Command::Edit(Edit::DuplicateTracks(vec![track.id()])));
        ui.close();
    }
    let what = if ids.len() > 1 { format!("Remove {} tracks", ids.len()) } else { "Remove".to_owned() };
    if ui.button(what).on_hover_text("Its takes go to the trash folder; undo brings both back").clicked() {
        context.send(Command::Edit(Edit::RemoveTracks(ids)));
        ui.close();
    }
}
