//! Text that is cut to a width, and names that a user edits in place. Thread: ui.

use super::describe;
use crate::ui::theme::Theme;
use egui::{Align, Align2, Color32, FontId, Galley, Key, Pos2, Rect, Response, Sense, TextEdit, Ui, text::LayoutJob};
use std::sync::Arc;

/// Lays out one line of text. A line longer than `width` ends with an ellipsis.
pub fn elided(ui: &Ui, text: &str, font: FontId, colour: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.to_owned(), font, colour);
    job.wrap.max_width = width.max(8.0);
    job.wrap.max_rows = 1;
    job.wrap.break_anywhere = true;
    ui.painter().layout_job(job)
}

/// Lays out a text in as many lines as it needs in `width`. The lines are centred at the x at which it is drawn.
pub fn centred(ui: &Ui, text: &str, font: FontId, colour: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple(text.to_owned(), font, colour, width.max(8.0));
    job.halign = Align::Center;
    ui.painter().layout_job(job)
}

/// Draws one line of text, cut to `width`. `at` is the point of the text that `align` names. Returns its rectangle.
pub fn text_at(ui: &Ui, at: Pos2, align: Align2, text: &str, font: FontId, colour: Color32, width: f32) -> Rect {
    let galley = elided(ui, text, font, colour, width);
    let rect = align.anchor_size(at, galley.size());
    ui.painter().galley(rect.min, galley, colour);
    rect
}

/// The outcome of a picture of a name field.
pub struct Named {
    pub response: Response,
    /// The new name, after a change.
    pub name: Option<String>,
    /// Whether the field is open. It is higher than the name.
    pub is_open: bool,
    /// The user pressed Tab to name the next thing (1) or, with Shift, the one before (-1).
    pub step: Option<isize>,
}

/// A name that the user can edit in place, after a double click, after Enter on the focused name, or if `begin` is set.
/// Esc and an empty text change nothing. Tab ends the edit as Enter does.
pub fn name_field(
    ui: &mut Ui,
    theme: &Theme,
    rect: Rect,
    (label, salt): (&str, impl std::hash::Hash + std::fmt::Debug),
    name: &str,
    font: FontId,
    begin: bool,
) -> Named {
    let id = ui.scope_id().with(("name", salt));
    let editing: Option<String> = ui.data(|data| data.get_temp(id));
    if let Some(mut text) = editing {
        let field = TextEdit::singleline(&mut text)
            .id(id.with("field"))
            .font(font)
            .margin(egui::Margin::symmetric(3, 1))
            .char_limit(200)
            .desired_width(rect.width());
        let response = ui.put(rect.expand2(egui::vec2(4.0, 2.0)), field).accessible_name(label);
        let first = !ui.data(|data| data.get_temp::<bool>(id.with("focused")).unwrap_or(false));
        if first {
            response.request_focus();
            // Select the whole name, so that typing replaces it.
            let mut state = egui::text_edit::TextEditState::load(ui, response.id).unwrap_or_default();
            let all = egui::text::CCursorRange::two(
                egui::text::CCursor::new(0),
                egui::text::CCursor::new(text.chars().count()),
            );
            state.cursor.set_char_range(Some(all));
            state.store(ui, response.id);
            ui.data_mut(|data| data.insert_temp(id.with("focused"), true));
        }
        let (escaped, tab, shift) =
            ui.input(|input| (input.key_pressed(Key::Escape), input.key_pressed(Key::Tab), input.modifiers.shift));
        let step = (tab && !first).then_some(if shift { -1 } else { 1 });
        let done = step.is_some() || (!first && response.lost_focus());
        if done || escaped {
            ui.data_mut(|data| {
                data.remove::<String>(id);
                data.remove::<bool>(id.with("focused"));
            });
            let changed = !escaped && text.trim() != name && !text.trim().is_empty();
            let name = changed.then(|| text.trim().to_owned());
            return Named { response, name, is_open: true, step: step.filter(|_| !escaped) };
        }
        ui.data_mut(|data| data.insert_temp(id, text));
        return Named { response, name: None, is_open: true, step: None };
    }
    let response = ui.interact(rect, id.with("shown"), Sense::click());
    response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::Button, true, label);
        info.current_text_value = Some(name.to_owned());
        info
    });
    describe(&response, &format!("{name}. Enter renames it"));
    if ui.is_rect_visible(rect) {
        let colour = if response.hovered() { theme.strong } else { theme.text };
        text_at(ui, rect.left_center(), Align2::LEFT_CENTER, name, font, colour, rect.width());
    }
    let typed = response.has_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    if begin || response.double_clicked() || typed {
        ui.data_mut(|data| data.insert_temp(id, name.to_owned()));
        ui.request_repaint();
    }
    Named { response: response.on_hover_text("Double-click to rename"), name: None, is_open: false, step: None }
}
