//! The search for an action: a user types a part of its name. Thread: ui.

use crate::ui::action::{ACTIONS, Action};
use crate::ui::announce;
use crate::ui::icon::Icon;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{Button, Look, describe, mark_selected};
use egui::{Align2, Key, Role, ScrollArea, Sense, TextEdit, Ui, WidgetInfo, vec2};

/// State that the search keeps between pictures.
#[derive(Default)]
pub struct PaletteState {
    text: String,
    /// Index of the chosen line.
    chosen: usize,
}

/// Cost of a match, less is better: the position of the typed text in the name. If the name does not contain the text
/// but its letters in order, the cost is above 100 and grows with their positions. `None` if nothing matches.
fn match_cost(name: &str, typed: &str) -> Option<usize> {
    let name = name.to_lowercase();
    if let Some(at) = name.find(&typed.to_lowercase()) {
        return Some(at);
    }
    let mut apart = 100;
    let mut letters = name.char_indices();
    for wanted in typed.to_lowercase().chars().filter(|c| !c.is_whitespace()) {
        let (at, _) = letters.by_ref().find(|(_, letter)| *letter == wanted)?;
        apart += at;
    }
    Some(apart)
}

/// The actions that match the typed text, best first.
fn matches(typed: &str) -> Vec<Action> {
    let mut matches: Vec<(usize, usize, Action)> = ACTIONS
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.action != Action::Palette)
        .filter_map(|(at, entry)| Some((match_cost(entry.name, typed)?, at, entry.action)))
        .collect();
    matches.sort_by_key(|(cost, at, _)| (*cost, *at));
    matches.into_iter().map(|(_, _, action)| action).collect()
}

/// Draws the search. Returns whether it stays open.
pub fn show(ui: &mut Ui, state: &mut PaletteState, context: &mut PanelContext<'_>) -> bool {
    let (up, down, enter) = ui.input_mut(|input| {
        (
            input.consume_key(egui::Modifiers::NONE, Key::ArrowUp),
            input.consume_key(egui::Modifiers::NONE, Key::ArrowDown),
            input.key_pressed(Key::Enter),
        )
    });
    let field = TextEdit::singleline(&mut state.text)
        .hint_text("What do you want to do?")
        .font(Theme::font(15.0))
        .margin(egui::Margin::symmetric(8, 6));
    let mut closes = false;
    let field = ui
        .horizontal(|ui| {
            let width = ui.available_width() - 40.0;
            let field = ui.add_sized([width, 32.0], field).accessible_name("Find an action");
            let close = Button::icon("Close", Icon::Close).look(Look::Quiet).size(28.0, 28.0).tip("Close (Esc)");
            closes = close.show(ui, context.theme).clicked();
            field
        })
        .inner;
    field.request_focus();
    let actions = matches(&state.text);
    let typed = field.changed();
    if typed {
        state.chosen = 0;
    }
    state.chosen =
        (state.chosen + usize::from(down)).saturating_sub(usize::from(up)).min(actions.len().saturating_sub(1));
    let mut done = None;
    let height = ui.available_height().clamp(60.0, 380.0);
    ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for (at, action) in actions.iter().enumerate() {
            let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 28.0), Sense::click());
            let chosen = at == state.chosen;
            response.widget_info(|| WidgetInfo::selected(Role::ListItem, true, chosen, action.name()));
            mark_selected(&response, chosen);
            let keys = context.keys.text(*action);
            describe(&response, &keys);
            // The focus stays in the field, so a screen reader does not see which line is chosen.
            if chosen && (up || down || typed) {
                announce::say(ui.ctx(), &format!("{} {keys}", action.name()));
            }
            if chosen || response.hovered() {
                ui.painter().rect_filled(rect, 6, context.theme.button);
            }
            if chosen && (up || down) {
                response.scroll_to_me(None);
            }
            let left = rect.left_center() + vec2(10.0, 0.0);
            ui.painter().text(left, Align2::LEFT_CENTER, action.name(), Theme::font(13.0), context.theme.text);
            let right = rect.right_center() - vec2(10.0, 0.0);
            ui.painter().text(right, Align2::RIGHT_CENTER, keys, Theme::font(11.5), context.theme.quiet);
            if response.clicked() || (chosen && enter) {
                done = Some(*action);
            }
        }
        if actions.is_empty() {
            ui.label(egui::RichText::new("No action has such a name").color(context.theme.quiet));
        }
    });
    if let Some(action) = done {
        *state = PaletteState::default();
        context.act(action);
    }
    done.is_none() && !closes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_found_by_a_part_of_its_name_or_by_letters_of_it() {
        assert_eq!(matches("marker")[0], Action::Marker);
        assert_eq!(matches("rsd")[0..3].iter().find(|action| **action == Action::Residency), Some(&Action::Residency));
        assert!(matches("zzz").is_empty() && matches("").len() > 50);
    }
}
