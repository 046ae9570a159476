//! The menu of the transport bar. Thread: ui.

use super::layout::Layout;
use crate::ui::action::Action;
use crate::ui::panel_context::PanelContext;
use egui::{Button, Popup, Response, Ui};

/// Lines of the menu. A separator is drawn between two groups.
const GROUPS: &[&[Action]] = &[
    &[
        Action::NewSession,
        Action::OpenSession,
        Action::RenameSession,
        Action::Save,
        Action::OpenFolder,
        Action::ChooseOverflowFolder,
        Action::Export,
    ],
    &[Action::Undo, Action::Redo],
    &[Action::AddTrack, Action::ArmAll, Action::ArmNone, Action::Unsolo, Action::Tall],
    &[Action::ZoomAll, Action::ZoomRange, Action::Follow, Action::Marker],
    &[Action::Residency, Action::Stress, Action::Doctor, Action::Events, Action::Takes],
    &[Action::Theme, Action::Larger, Action::Smaller, Action::FullScreen],
    &[Action::Device, Action::Settings, Action::Keys, Action::Palette, Action::Acknowledge, Action::Quit],
];

/// Shows the menu below `button` after a click.
pub(super) fn show(button: &Response, places: &Layout, context: &mut PanelContext<'_>) {
    Popup::menu(button).width(300.0).show(|ui| {
        let height = (ui.ctx().content_rect().bottom() - button.rect.bottom() - 40.0).max(120.0);
        // Without this a popup is at most 400 points high, whatever the window is.
        ui.set_max_height(height);
        egui::ScrollArea::vertical().max_height(height).show(ui, |ui| {
            hidden(ui, places, context);
            for (at, group) in GROUPS.iter().enumerate() {
                if at > 0 {
                    ui.separator();
                }
                for action in *group {
                    line(ui, *action, context);
                }
            }
        });
    });
}

/// The parts that a narrow bar does not show.
fn hidden(ui: &mut Ui, places: &Layout, context: &mut PanelContext<'_>) {
    let quiet = |text: String| egui::RichText::new(text).color(context.theme.quiet);
    let mut is_empty = true;
    if places.name.is_none() {
        ui.label(quiet(context.snapshot.session.name().to_owned()));
        is_empty = false;
    }
    if places.device.is_none() {
        let device = &context.snapshot.device;
        ui.label(quiet(format!("{}, {} in", device.title, device.inputs)));
        is_empty = false;
    }
    if let Some((left, free)) = super::chips::room_texts(context).filter(|_| places.room.is_none()) {
        ui.label(quiet(format!("{left}, {free}")));
        is_empty = false;
    }
    for action in places.hidden() {
        line(ui, action, context);
        is_empty = false;
    }
    if !is_empty {
        ui.separator();
    }
}

fn line(ui: &mut Ui, action: Action, context: &mut PanelContext<'_>) {
    let (name, enabled) = match action {
        Action::Undo => named("Undo", context.snapshot.undo.as_deref()),
        Action::Redo => named("Redo", context.snapshot.redo.as_deref()),
        Action::Loop | Action::Punch => (action.name().to_owned(), context.snapshot.transport.range.is_some()),
        _ => (action.name().to_owned(), true),
    };
    let button =
        Button::new(name).shortcut_text(context.keys.text(action)).frame(false).min_size(egui::vec2(284.0, 24.0));
    if ui.add_enabled(enabled, button).clicked() {
        context.act(action);
        ui.close();
    }
}

fn named(verb: &str, step: Option<&str>) -> (String, bool) {
    (step.map_or_else(|| verb.to_owned(), |step| format!("{verb}: {step}")), step.is_some())
}
