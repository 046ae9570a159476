//! The health line: the sentence below the transport bar that says whether all is well. On its right it says how much
//! audio a crash or a power cut would cost now, or it has a button that does what its advice says. Thread: ui.

use super::action::Action;
use super::panel_context::PanelContext;
use super::theme::{Theme, Tint};
use super::widget::{Button, Look, speak, text_at};
use crate::app::command::Command;
use crate::app::settings_change::SettingsChange;
use crate::app::snapshot::{Cure, Health};
use crate::control::Severity;
use egui::{Align2, CursorIcon, Rect, Role, Sense, Ui, pos2};

/// The whole sentence, for tooltip and screen reader.
pub fn sentence(health: &Health) -> String {
    let mut text = health.head.clone();
    if !health.parts.is_empty() {
        text.push(' ');
        text.push_str(&health.parts.join(", "));
    }
    if let Some(advice) = &health.advice {
        text.push_str(". ");
        text.push_str(advice);
    }
    text
}

/// The colours of a severity.
pub fn tint(severity: Severity, theme: &Theme) -> Tint {
    theme.tint(match severity {
        Severity::Info => theme.good,
        Severity::Caution => theme.caution,
        Severity::Loss => theme.record,
    })
}

/// Draws the line into `rect`. A click shows the events; a button does what the advice says.
pub fn show(ui: &mut Ui, rect: Rect, context: &mut PanelContext<'_>) {
    let health = &context.snapshot.health;
    let tint = tint(health.severity, context.theme);
    ui.painter().rect_filled(rect, 0, tint.fill);
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, tint.line));
    let button = health.cure.as_ref().map(|cure| cure_rect(ui, rect, &cure.label()));
    let line =
        Rect::from_min_max(rect.min, pos2(button.map_or(rect.right(), |button| button.left() - 8.0), rect.bottom()));
    let response = ui.interact(line, ui.scope_id().with("health"), Sense::click());
    let spoken = sentence(health);
    speak(&response, Role::Status, "Health", &spoken);
    let y = rect.center().y;
    sign(ui, health.severity, pos2(rect.left() + 20.0, y), tint);
    let right_width = safety(ui, line, health, tint);
    let left = rect.left() + 34.0;
    let width_max = line.width() - 34.0 - right_width - if right_width > 0.0 { 40.0 } else { 8.0 };
    let head = text_at(ui, pos2(left, y), Align2::LEFT_CENTER, &health.head, Theme::semi(12.5), tint.text, width_max);
    // The advice first: where the line is short, the figures are cut off.
    let mut rest = health.advice.clone().unwrap_or_default();
    for part in &health.parts {
        if !rest.is_empty() {
            rest.push_str("  ·  ");
        }
        rest.push_str(part);
    }
    let x = head.right() + 10.0;
    let width = left + width_max - x;
    if width > 24.0 {
        text_at(ui, pos2(x, y), Align2::LEFT_CENTER, &rest, Theme::font(12.5), tint.text, width);
    }
    let tip = context.tip("What happened, with times", Action::Events);
    let response = response.on_hover_cursor(CursorIcon::PointingHand).on_hover_ui(|ui| {
        ui.label(&spoken);
        for safe in &health.safety {
            ui.label(safe);
        }
        ui.label(egui::RichText::new(tip).weak());
    });
    if response.clicked() {
        context.act(Action::Events);
    }
    if let (Some(cure), Some(button)) = (&health.cure, button) {
        let label = cure.label();
        let look = Look::Filled(tint.button());
        if Button::text(&label, &label).look(look).show_in(ui, context.theme, button).clicked() {
            apply(cure, context);
        }
    }
}

/// The place of the button at the right end of the line.
fn cure_rect(ui: &Ui, line: Rect, label: &str) -> Rect {
    let width =
        ui.painter().layout_no_wrap(label.to_owned(), Theme::medium(12.5), egui::Color32::WHITE).size().x + 22.0;
    let right = line.right() - 12.0;
    Rect::from_min_max(pos2(right - width, line.top() + 3.0), pos2(right, line.bottom() - 4.0))
}

/// Does what a button next to an advice says.
pub fn apply(cure: &Cure, context: &mut PanelContext<'_>) {
    match cure {
        Cure::ChooseOverflowFolder => context.act(Action::ChooseOverflowFolder),
        Cure::ChooseDevice => context.act(Action::Device),
        Cure::OpenSession => context.act(Action::OpenSession),
        Cure::UseDevice(name) => {
            // The inputs of the card that is not there say nothing about the server.
            let changes = vec![SettingsChange::Device(Some(name.clone())), SettingsChange::Inputs(None)];
            context.send(Command::Settings(changes));
            context.send(Command::Reopen);
        }
        Cure::UseInputs(_) => context.send(Command::UseInputs),
        Cure::Examine => {
            context.act(Action::Doctor);
            context.send(Command::Doctor);
        }
        Cure::ShowVersions => context.act(Action::Events),
        Cure::SwitchLoopOff => context.send(Command::Loop(false)),
        Cure::Acknowledge => context.send(Command::AcknowledgeLine),
    }
}

/// Draws the safety texts at the right, within 45 % of the line. If they do not fit, the first ones are left out: the
/// last one changes most. Returns the width that was used.
fn safety(ui: &Ui, rect: Rect, health: &Health, tint: Tint) -> f32 {
    if health.advice.is_some() || health.cure.is_some() || health.safety.is_empty() || rect.width() < 900.0 {
        return 0.0;
    }
    let (colour, width_max) = (tint.text.gamma_multiply(0.75), rect.width() * 0.45);
    let width = |text: &str| ui.painter().layout_no_wrap(text.to_owned(), Theme::font(12.0), colour).size().x;
    let fits = |text: &String| width(text) <= width_max;
    let last = health.safety.len() - 1;
    let text = (0..=last).map(|from| health.safety[from..].join("   ·   ")).find(fits);
    let text = text.unwrap_or_else(|| health.safety[last].clone());
    let at = pos2(rect.right() - 16.0, rect.center().y);
    text_at(ui, at, Align2::RIGHT_CENTER, &text, Theme::font(12.0), colour, width_max).width()
}

/// Draws a disc, a triangle or a square, so that shape and not only colour shows the severity.
pub fn sign(ui: &Ui, severity: Severity, at: egui::Pos2, tint: Tint) {
    match severity {
        Severity::Info => {
            ui.painter().circle_filled(at, 4.0, tint.sign);
        }
        Severity::Caution => {
            let points = vec![pos2(at.x, at.y - 5.5), pos2(at.x + 6.0, at.y + 5.0), pos2(at.x - 6.0, at.y + 5.0)];
            ui.painter().add(egui::Shape::convex_polygon(points, tint.sign, egui::Stroke::NONE));
        }
        Severity::Loss => {
            ui.painter().rect_filled(Rect::from_center_size(at, egui::vec2(10.0, 10.0)), 1, tint.sign);
        }
    }
}
