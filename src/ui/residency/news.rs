//! The last events, beside the map: in a column where there is room, else the last one in a line below it. Thread: ui.

use crate::app::snapshot::EventEntry;
use crate::control::Severity;
use crate::ui::action::Action;
use crate::ui::health;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::text_at;
use egui::{Align2, CursorIcon, Rect, Role, ScrollArea, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};

/// Width of the column, and of a map that leaves room for it.
const COLUMN: f32 = 268.0;
/// See [`COLUMN`].
const MAP_MIN: f32 = 640.0;

/// Height of the line.
const LINE: f32 = 26.0;

/// Events of the column.
const SHOWN: usize = 60;

/// Where they are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Column(Rect),
    Line(Rect),
}

/// The place for them in a panel whose cards begin at `cards`.
pub(super) fn place(whole: Rect, cards: f32) -> Place {
    if cards - whole.left() >= MAP_MIN + COLUMN {
        Place::Column(Rect::from_min_max(pos2(cards - COLUMN, whole.top()), pos2(cards, whole.bottom())))
    } else {
        Place::Line(Rect::from_min_max(pos2(whole.left(), whole.bottom() - LINE), pos2(cards, whole.bottom())))
    }
}

/// Draws them. A click leads to all of them.
pub(super) fn show(ui: &mut Ui, place: Place, context: &mut PanelContext<'_>) {
    let all = || context.snapshot.notices.iter().rev().chain(context.snapshot.earlier.iter().rev());
    match place {
        Place::Column(rect) => {
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
                if all().next().is_none() {
                    ui.label(
                        egui::RichText::new("Nothing has happened yet")
                            .font(Theme::font(11.5))
                            .color(context.theme.quiet),
                    );
                }
                for told in all().take(SHOWN) {
                    row(ui, told, context);
                }
            });
        }
        Place::Line(rect) => {
            ui.painter().hline(rect.x_range(), rect.top() + 0.5, (1.0, context.theme.line_soft));
            let Some(told) = all().next() else { return };
            let inner = rect.shrink2(vec2(12.0, 0.0));
            let response = ui.interact(inner, ui.scope_id().with("last event"), Sense::click());
            let text = format!("Last event, {}: {}", told.clock, told.text);
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, text.clone()));
            sign(ui, told, pos2(inner.left() + 6.0, inner.center().y), context);
            let line = format!("{}   {}", told.clock, told.text);
            let at = pos2(inner.left() + 20.0, inner.center().y);
            text_at(ui, at, Align2::LEFT_CENTER, &line, Theme::font(11.5), context.theme.quiet, inner.width() - 20.0);
            let response = response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(text);
            if response.clicked() {
                context.act(Action::Events);
            }
        }
    }
}

/// Sign and time in one line, the text below them.
fn row(ui: &mut Ui, told: &EventEntry, context: &PanelContext<'_>) {
    let width = ui.available_width();
    let colour = if told.seen { context.theme.quiet } else { context.theme.text };
    let text = ui.painter().layout(told.text.clone(), Theme::font(11.5), colour, width - 18.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, text.size().y + 18.0), Sense::hover());
    let word = match told.severity {
        Severity::Info => "Note",
        Severity::Caution => "Caution",
        Severity::Loss => "Loss",
    };
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{word}, {}: {}", told.clock, told.text)));
    if ui.is_rect_visible(rect) {
        sign(ui, told, pos2(rect.left() + 6.0, rect.top() + 8.0), context);
        let at = pos2(rect.left() + 18.0, rect.top() + 8.0);
        ui.painter().text(at, Align2::LEFT_CENTER, &told.clock, Theme::mono(10.5), context.theme.quiet);
        ui.painter().galley(pos2(rect.left() + 18.0, rect.top() + 16.0), text, colour);
    }
}

fn sign(ui: &Ui, told: &EventEntry, at: egui::Pos2, context: &PanelContext<'_>) {
    health::sign(ui, told.severity, at, health::tint(told.severity, context.theme));
}
