//! The right end of the transport bar: free disk space, device, settings and menu. Thread: ui.

use super::layout::Layout;
use super::menu;
use crate::app::snapshot::{DeviceView, DiskSpace, Stage, THIS_DISK};
use crate::ui::action::Action;
use crate::ui::format;
use crate::ui::icon::Icon;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{Button, speak, text_at};
use egui::{Align2, Color32, CursorIcon, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, pos2};

/// Remaining recording time in seconds below which the colour warns, and below which it alarms.
const SECONDS_LEFT: (f64, f64) = (600.0, 120.0);

/// Draws the parts that have a place.
pub(super) fn show(ui: &mut Ui, places: &Layout, context: &mut PanelContext<'_>) {
    if let Some(rect) = places.room {
        disk_space(ui, rect, rect.width() < 130.0, context);
    }
    if let Some(rect) = places.device {
        device(ui, rect, rect.width() < 160.0, context);
    }
    if let Some(rect) = places.settings {
        let tip = context.tip("Settings", Action::Settings);
        if Button::icon("Settings", Icon::Settings).tip(tip).show_in(ui, context.theme, rect).clicked() {
            context.act(Action::Settings);
        }
    }
    if let Some(rect) = places.menu {
        let response = Button::icon("Menu", Icon::Menu).tip("Everything else").show_in(ui, context.theme, rect);
        menu::show(&response, places, context);
    }
}

/// Recording time that is left, and free space, as two texts.
pub(super) fn room_texts(context: &PanelContext<'_>) -> Option<(String, String)> {
    let room = context.snapshot.disk_space.as_ref()?;
    Some((format!("{} left", format::duration(room.seconds)), free_text(room, false)))
}

/// The free space. A disk without a name of its own needs none: there is only one.
fn free_text(room: &DiskSpace, narrow: bool) -> String {
    let free = format::disk_bytes(room.free_bytes);
    if narrow || room.disk == THIS_DISK { format!("{free} free") } else { format!("{free} free on {}", room.disk) }
}

/// A box that can be clicked. `name` is its accessible name, `spoken` its accessible value.
fn chip(ui: &Ui, rect: Rect, name: &str, spoken: &str, theme: &Theme, line: Color32) -> Response {
    let response = ui.interact(rect, ui.scope_id().with(name), Sense::click());
    speak(&response, Role::Button, name, spoken);
    let fill = if response.hovered() { theme.button } else { theme.card };
    ui.painter().rect(rect, 8, fill, Stroke::new(1.0, line), StrokeKind::Inside);
    response.on_hover_cursor(CursorIcon::PointingHand)
}

/// Two lines of text in a box. At the end of the upper one, `icon` points are kept for an icon.
fn two_lines(ui: &Ui, rect: Rect, above: (&str, Color32), below: (&str, Color32), icon: f32) {
    let width = rect.width() - 22.0;
    let at = pos2(rect.left() + 11.0, rect.top() + 15.0);
    text_at(ui, at, Align2::LEFT_CENTER, above.0, Theme::medium(12.5), above.1, width - icon);
    let at = pos2(rect.left() + 11.0, rect.top() + 31.0);
    text_at(ui, at, Align2::LEFT_CENTER, below.0, Theme::font(11.0), below.1, width);
}

/// Inputs, period and latency of a device. Tenths of a latency of 10 ms and more do not fit beside a period of four digits.
fn figures(device: &DeviceView, narrow: bool) -> String {
    let decimals = usize::from(device.latency_ms < 10.0);
    let latency = format!("{:.*} ms", decimals, device.latency_ms);
    if narrow {
        format!("{} in · {latency}", device.inputs)
    } else {
        format!("{} in · {} frames · {latency}", device.inputs, device.period)
    }
}

fn device(ui: &Ui, rect: Rect, narrow: bool, context: &mut PanelContext<'_>) {
    let (device, theme) = (&context.snapshot.device, context.theme);
    let (title, below, alarm) = match &context.snapshot.stage {
        Stage::NoDevice { .. } => ("No device".to_owned(), "click to choose one".to_owned(), true),
        Stage::Opening => ("Opening".to_owned(), String::new(), false),
        Stage::Failed { .. } => ("No device".to_owned(), "closed".to_owned(), true),
        _ if device.gone => (device.title.clone(), "gone, waiting for it".to_owned(), true),
        _ => (device.title.clone(), figures(device, narrow), false),
    };
    let colour = if alarm { theme.record } else { theme.quiet };
    let response =
        chip(ui, rect, "Device", &format!("{title}, {below}"), theme, if alarm { theme.record } else { theme.line });
    two_lines(ui, rect, (&title, theme.text), (&below, colour), 14.0);
    Icon::Down.paint(ui.painter(), pos2(rect.right() - 14.0, rect.top() + 15.0), 8.0, theme.quiet);
    let what = format!(
        "{}\n{}, {} Hz\n{}",
        device.name,
        below,
        device.rate,
        context.tip("Choose another device", Action::Device)
    );
    if response.on_hover_text(what).clicked() {
        context.act(Action::Device);
    }
}

fn disk_space(ui: &Ui, rect: Rect, narrow: bool, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    let Some(room) = &context.snapshot.disk_space else {
        chip(ui, rect, "Room", "not known yet", theme, theme.line);
        return;
    };
    let colour = match room.seconds {
        s if s < SECONDS_LEFT.1 => theme.record,
        s if s < SECONDS_LEFT.0 => theme.caution,
        _ => theme.text,
    };
    let left = format::duration(room.seconds);
    let left = if narrow { left } else { format!("{left} left") };
    let free = free_text(room, narrow);
    let line = if colour == theme.text { theme.line } else { colour };
    let response = chip(ui, rect, "Room", &format!("{left}, {free}"), theme, line);
    two_lines(ui, rect, (&left, colour), (&free, theme.quiet), 0.0);
    let tip = context.tip("Recording time for the armed tracks. Opens the folder of the takes", Action::OpenFolder);
    if response.on_hover_text(tip).clicked() {
        context.act(Action::OpenFolder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::{RawInput, vec2};

    /// "2 in · 1024 frames · 42.7..." was the device of a sound server in a window of the first start's size.
    #[test]
    fn the_figures_of_a_sound_servers_device_fit_into_their_box() {
        let ctx = egui::Context::default();
        crate::ui::theme::install_fonts(&ctx);
        let width = |text: String| {
            let mut wide = 0.0;
            drop(ctx.run_ui(RawInput::default(), |ui| {
                wide = ui.painter().layout_no_wrap(text.clone(), Theme::font(11.0), Color32::WHITE).size().x;
            }));
            wide
        };
        for (screen, narrow) in [(1440.0, false), (1280.0, true)] {
            let bar = Rect::from_min_size(pos2(0.0, 0.0), vec2(screen, 68.0));
            let device = Layout::new(bar).device.unwrap().width();
            assert_eq!(device < 160.0, narrow, "{screen}");
            for (inputs, period, latency_ms) in [(2, 1024, 42.667), (32, 1024, 42.667), (18, 8192, 341.3), (8, 64, 3.1)]
            {
                let view = DeviceView { inputs, period, latency_ms, ..DeviceView::default() };
                let text = figures(&view, narrow);
                assert!(width(text.clone()) <= device - 22.0, "{text} at {screen}");
            }
        }
    }

    /// "73 GB free on this ..." was all that fitted into a window of the first start's size.
    #[test]
    fn the_free_space_names_a_disk_that_has_a_name() {
        let room = |disk: &str| DiskSpace { free_bytes: 73_000_000_000, seconds: 1.0, disk: disk.to_owned() };
        assert_eq!(free_text(&room(THIS_DISK), false), "73 GB free");
        assert_eq!(free_text(&room("Music"), false), "73 GB free on Music");
        assert_eq!(free_text(&room("Music"), true), "73 GB free");
    }
}
