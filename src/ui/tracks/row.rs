//! A row of the track list: name, input, input monitoring, arm, mute, solo, gain, pan. Thread: ui.

use super::{input, layout};
use crate::app::command::Command;
use crate::control::edit::Edit;
use crate::session::{GAIN_DB_MAX, GAIN_DB_MIN, Monitor, Track, TrackId};
use crate::ui::action::Action;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use crate::ui::widget::{Fader, Pan, name_field, pan_text, toggle};
use egui::{Align2, CursorIcon, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// Draws the row of the track with index `at`. `rename` starts to edit its name.
pub(super) fn show(ui: &mut Ui, rect: Rect, at: usize, track: &Track, rename: bool, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    let parts = layout::row(rect, context.view.tall);
    let selected = context.view.selected_tracks.contains(&track.id());
    let is_silent = track.mute || (!track.solo && context.snapshot.session.tracks().iter().any(|other| other.solo));
    if selected {
        ui.painter().rect_filled(rect, 0, mixed(theme.panel, theme.accent, 0.13));
    }
    let colour = theme.track(track.colour);
    ui.painter().rect_filled(parts.strip, 0, if is_silent { mixed(theme.panel, colour, 0.4) } else { colour });
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, theme.line_soft));
    handle(ui, parts.number, at, track, selected, context);

    let n = at + 1;
    let font = Theme::medium(if context.view.tall { 12.5 } else { 12.0 });
    let mut dim = theme.clone();
    if is_silent {
        dim.text = theme.quiet;
    }
    let (named, name) = name_field(ui, &dim, parts.name, &format!("Name {n}"), track.name(), font, rename);
    if named.clicked() {
        select(ui, track.id(), context);
    }
    if let Some(name) = name {
        context.send(Command::Edit(Edit::Name(track.id(), name)));
    }
    named.context_menu(|ui| menu(ui, track, context));
    input::show(ui, parts.input, n, track, context);
    monitor(ui, parts.monitor, n, track, context);
    switches(ui, &parts, n, track, context);
    gain_and_pan(ui, &parts, n, track, context);
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
    response.widget_info(|| WidgetInfo::selected(Role::ListItem, true, selected, format!("Track {}", at + 1)));
    let colour = if selected || response.hovered() { context.theme.text } else { context.theme.faint };
    let text = (at + 1).to_string();
    ui.painter().text(pos2(rect.right() - 4.0, rect.center().y), Align2::RIGHT_CENTER, text, Theme::font(11.0), colour);
    if response.clicked() {
        select(ui, track.id(), context);
    }
    if response.drag_started() {
        response.dnd_set_drag_payload(track.id());
    }
    response.context_menu(|ui| menu(ui, track, context));
    response.on_hover_and_drag_cursor(CursorIcon::Grab);
}

fn monitor(ui: &mut Ui, rect: Rect, n: usize, track: &Track, context: &mut PanelContext<'_>) {
    let monitor_name = |monitor: Monitor| match monitor {
        Monitor::Auto => "auto",
        Monitor::Input => "input",
        Monitor::Disk => "disk",
    };
    let response = ui.interact(rect, ui.scope_id().with(("monitor", n)), Sense::click());
    let now = monitor_name(track.monitor);
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Button, true, format!("Monitor {n}"));
        info.current_text_value = Some(now.to_owned());
        info
    });
    let theme = context.theme;
    let colour = match (track.monitor, response.hovered()) {
        (Monitor::Auto, false) => theme.faint,
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

fn switches(ui: &mut Ui, parts: &layout::Row, n: usize, track: &Track, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    let ids = affected_tracks(track.id(), context);
    let name = format!("Arm {n}");
    let arm = toggle(ui, theme, parts.arm, &name, "R", track.armed, theme.record);
    if arm.on_hover_text(context.tip("Record this track", Action::ArmSelected)).clicked() {
        context.send(Command::Edit(Edit::Arm(ids.clone(), !track.armed)));
    }
    let mute = toggle(ui, theme, parts.mute, &format!("Mute {n}"), "M", track.mute, theme.mute);
    if mute.on_hover_text(context.tip("Mute", Action::MuteSelected)).clicked() {
        context.send(Command::Edit(Edit::Mute(ids.clone(), !track.mute)));
    }
    let solo = toggle(ui, theme, parts.solo, &format!("Solo {n}"), "S", track.solo, theme.solo);
    if solo.on_hover_text(context.tip("Solo. Ctrl: this one alone", Action::SoloSelected)).clicked() {
        let alone = ui.input(|input| input.modifiers.command);
        if alone {
            let others = context.snapshot.session.track_ids().filter(|id| *id != track.id()).collect();
            context.send(Command::Edit(Edit::Solo(others, false)));
        }
        context.send(Command::Edit(Edit::Solo(ids, alone || !track.solo)));
    }
}

fn gain_and_pan(ui: &mut Ui, parts: &layout::Row, n: usize, track: &Track, context: &mut PanelContext<'_>) {
    let ids = affected_tracks(track.id(), context);
    let name = format!("Gain {n}");
    let (_, to) = Fader { name: &name, db: track.gain_db() }.show(ui, context.theme, parts.gain, context.view.tall);
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
    let name = format!("Pan {n}");
    let tall = context.view.tall;
    let knob = if tall { Rect::from_min_size(parts.pan.min, vec2(parts.pan.width(), 18.0)) } else { parts.pan };
    let (_, to) = Pan { name: &name, pan: track.pan() }.show(ui, context.theme, knob);
    if tall {
        let at = pos2(parts.pan.center().x, parts.pan.bottom() + 0.5);
        ui.painter().text(at, Align2::CENTER_BOTTOM, pan_text(track.pan()), Theme::font(10.0), context.theme.quiet);
    }
    if let Some(pan) = to {
        context.send(Command::Edit(Edit::Pan(ids, pan)));
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
    if ui.button("Rename").clicked() {
        context.view.selected_tracks = std::iter::once(track.id()).collect();
        context.act(Action::RenameTrack);
        ui.close();
    }
    if ui.button("Duplicate").clicked() {
        context.send(Command::Edit(Edit::DuplicateTrack(track.id())));
        ui.close();
    }
    let what = if ids.len() > 1 { format!("Remove {} tracks", ids.len()) } else { "Remove".to_owned() };
    if ui.button(what).on_hover_text("Its takes go to the trash folder; undo brings both back").clicked() {
        context.send(Command::Edit(Edit::RemoveTracks(ids)));
        ui.close();
    }
}
