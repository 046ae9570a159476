//! Recent events next to the residency map: a column if there is space, else the last event in a line below the map.
//! Thread: ui.

use crate::app::snapshot::EventEntry;
use crate::control::Severity;
use crate::ui::action::Action;
use crate::ui::health_line;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::text_at;
use egui::{Align2, CursorIcon, Rect, Role, ScrollArea, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};

/// Width of the column, in points.
const COLUMN: f32 = 268.0;
/// Minimum width of the map next to the column, in points.
const MAP_MIN: f32 = 640.0;

/// Height of the line, in points.
const LINE: f32 = 26.0;

/// Number of events in the column.
const SHOWN: usize = 60;

/// Rectangle of the events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Placement {
    Column(Rect),
    Line(Rect),
}

/// Chooses column or line. `cards` is the x of the left edge of the cards.
pub(super) fn placement(whole: Rect, cards: f32) -> Placement {
    if cards - whole.left() >= MAP_MIN + COLUMN {
        Placement::Column(Rect::from_min_max(pos2(cards - COLUMN, whole.top()), pos2(cards, whole.bottom())))
    } else {
        Placement::Line(Rect::from_min_max(pos2(whole.left(), whole.bottom() - LINE), pos2(cards, whole.bottom())))
    }
}

/// Draws the events. A click on the line opens the events panel.
pub(super) fn show(ui: &mut Ui, placement: Placement, context: &mut PanelContext<'_>) {
    let events = || context.snapshot.notices.iter().rev().chain(context.snapshot.earlier.iter().rev());
    match placement {
        Placement::Column(rect) => {
            ui.painter().vline(rect.left() + 0.5, rect.y_range(), (1.0, context.theme.line_soft));
            let inner = rect.shrink2(vec2(12.0, 8.0));
            let mut column = ui.new_child(UiBuilder::new().max_rect(inner).id_salt("news"));
            let (head, _) = column.allocate_exact_size(vec2(inner.width(), 18.0), Sense::hover());
            let at = head.left_center();
            text_at(
                &column,
                at,
                Align2::LEFT_CENTER,
                "Last events",
                Theme::semi(12.0),
                context.theme.text,
                head.width(),
            );
            ScrollArea::vertical().auto_shrink(false).id_salt("last events").show(&mut column, |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                if events().next().is_none() {
                    ui.label(
                        egui::RichText::new("Nothing has happened yet")
                            .font(Theme::font(11.5))
                            .color(context.theme.quiet),
                    );
                }
                for event in events().take(SHOWN) {
                    row(ui, event, context);
                }
            });
        }
        Placement::Line(rect) => {
            ui.painter().hline(rect.x_range(), rect.top() + 0.5, (1.0, context.theme.line_soft));
            let Some(event) = events().next() else { return };
            let inner = rect.shrink2(vec2(12.0, 0.0));
            let response = ui.interact(inner, ui.scope_id().with("last event"), Sense::click());
            let text = format!("Last event, {}: {}", event.clock, event.text);
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, text.clone()));
            sign(ui, event, pos2(inner.left() + 6.0, inner.center().y), context);
            let line = format!("{}   {}", event.clock, event.text);
            let at = pos2(inner.left() + 20.0, inner.center().y);
            text_at(ui, at, Align2::LEFT_CENTER, &line, Theme::font(11.5), context.theme.quiet, inner.width() - 20.0);
            let response = response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(text);
            if response.clicked() {
                context.act(Action::Events);
            }
        }
    }
}

/// Draws an event in the column: sign and time in one line, the text below.
fn row(ui: &mut Ui, event: &EventEntry, context: &PanelContext<'_>) {
    let width = ui.available_width();
    let colour = if event.seen { context.theme.quiet } else { context.theme.text };
    let text = ui.painter().layout(event.text.clone(), Theme::font(11.5), colour, width - 18.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, text.size().y + 18.0), Sense::hover());
    let name = match event.severity {
        Severity::Info => "Note",
        Severity::Caution => "Caution",
        Severity::Loss => "Loss",
    };
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name}, {}: {}", event.clock, event.text)));
    if ui.is_rect_visible(rect) {
        sign(ui, event, pos2(rect.left() + 6.0, rect.top() + 8.0), context);
        let at = pos2(rect.left() + 18.0, rect.top() + 8.0);
        ui.painter().text(at, Align2::LEFT_CENTER, &event.clock, Theme::mono(10.5), context.theme.quiet);
        ui.painter().galley(pos2(rect.left() + 18.0, rect.top() + 16.0), text, colour);
    }
}

fn sign(ui: &Ui, event: &EventEntry, at: egui::Pos2, context: &PanelContext<'_>) {
    let severity = event.severity;
    health_line::sign(ui, severity, at, health_line::tint(severity, context.theme));
}
