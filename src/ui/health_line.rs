//! The health line: the sentence below the transport bar that says whether all is well. On its right it says how much
//! audio a crash or a power cut would cost now. Thread: ui.

use super::action::Action;
use super::panel_context::PanelContext;
use super::theme::{Theme, Tint};
use super::widget::text_at;
use crate::app::snapshot::Health;
use crate::control::Severity;
use egui::{Align2, CursorIcon, Rect, Role, Sense, Ui, WidgetInfo, pos2};

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

/// Draws the line into `rect`. A click shows the events.
pub fn show(ui: &mut Ui, rect: Rect, context: &mut PanelContext<'_>) {
    let health = &context.snapshot.health;
    let tint = tint(health.severity, context.theme);
    ui.painter().rect_filled(rect, 0, tint.fill);
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, tint.line));
    let response = ui.interact(rect, ui.scope_id().with("health"), Sense::click());
    let spoken = sentence(health);
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Status, true, "Health");
        info.current_text_value = Some(spoken.clone());
        info
    });
    let y = rect.center().y;
    sign(ui, health.severity, pos2(rect.left() + 20.0, y), tint);
    let right_width = safety(ui, rect, health, tint);
    let left = rect.left() + 34.0;
    let width_max = rect.width() - 34.0 - right_width - 40.0;
    let head = text_at(ui, pos2(left, y), Align2::LEFT_CENTER, &health.head, Theme::semi(12.5), tint.text, width_max);
    let mut rest = health.parts.join("  ·  ");
    if let Some(advice) = &health.advice {
        if !rest.is_empty() {
            rest.push_str("  ·  ");
        }
        rest.push_str(advice);
    }
    let x = head.right() + 10.0;
    text_at(ui, pos2(x, y), Align2::LEFT_CENTER, &rest, Theme::font(12.5), tint.text, (left + width_max - x).max(20.0));
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
}

/// Draws the safety texts at the right, within 45 % of the line. If they do not fit, the first ones are left out: the
/// last one changes most. Returns the width that was used.
fn safety(ui: &Ui, rect: Rect, health: &Health, tint: Tint) -> f32 {
    if health.advice.is_some() || health.safety.is_empty() || rect.width() < 900.0 {
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
