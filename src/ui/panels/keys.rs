//! The key sheet: all actions with their keys, which the user can change. Thread: ui.

use crate::app::command::Command;
use crate::app::settings_change::SettingsChange;
use crate::ui::action::{ACTIONS, Action, Entry, parse};
use crate::ui::dialog::title;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{Button, describe, text_at};
use egui::{Align2, CursorIcon, Event, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

/// Width in points from which the actions are in two columns.
const TWO_COLUMNS: f32 = 560.0;

/// State that the panel keeps between pictures.
#[derive(Default)]
pub struct KeysState {
    /// The action that gets the next keys that the user presses.
    waits_for_keys: Option<Action>,
    /// Why the last keys were refused.
    refusal: Option<String>,
}

/// The gestures of the pointer in the timeline and the rows. They cannot be changed.
const GESTURES: &[(&str, &str)] = &[
    ("Move a region", "drag it"),
    ("Trim a region", "drag its edge"),
    ("Make a range", "drag in the ruler"),
    ("Make a range in a lane", "Alt+drag, or drag beside regions"),
    ("Range of a region", "double-click"),
    ("Select regions", "click, Ctrl+click"),
    ("Go to a place", "click"),
    ("Zoom", "Ctrl+wheel, or wheel in the ruler"),
    ("Scroll in time", "Shift+wheel, or drag with the middle button"),
    ("Move a marker", "drag its flag; double-click to name it"),
    ("Move a track", "drag its number"),
    ("Fine steps of fader and pan", "Shift+drag, Alt+wheel; double-click resets"),
];

impl KeysState {
    /// Whether the sheet waits for the new keys of an action.
    pub fn is_waiting(&self) -> bool {
        self.waits_for_keys.is_some()
    }

    /// Stops to wait for new keys, and forgets why the last ones were refused. Returns whether the sheet waited for some.
    pub fn cancel(&mut self) -> bool {
        self.refusal = None;
        self.waits_for_keys.take().is_some()
    }
}

/// Draws the panel into the rest of `ui`. Returns whether it stays open.
pub fn show(ui: &mut Ui, state: &mut KeysState, context: &mut PanelContext<'_>) -> bool {
    read_new_keys(ui, state, context);
    let open = !title(ui, "Keys and gestures", context.theme);
    ui.horizontal_wrapped(|ui| {
        let text = state
            .refusal
            .clone()
            .unwrap_or_else(|| "Click a line, then press the new keys. Backspace removes the keys.".to_owned());
        ui.label(RichText::new(text).color(context.theme.quiet));
        if !context.snapshot.settings.keys.is_empty()
            && Button::text("Reset all keys", "Reset all").size(80.0, 26.0).show(ui, context.theme).clicked()
        {
            context.change_settings(|settings| settings.keys.clear());
        }
    });
    let height = ui.available_height().max(60.0);
    ScrollArea::vertical().max_height(height).show(ui, |ui| {
        // All groups of `ACTIONS`. A group that is missing here is not shown.
        let groups = ["Transport", "Timeline", "Tracks", "Session", "Panels", "Window"];
        let count = if ui.available_width() < TWO_COLUMNS { 1 } else { 2 };
        ui.columns(count, |columns| {
            for (at, group) in groups.iter().enumerate() {
                let ui = &mut columns[(at / 3).min(count - 1)];
                ui.add_space(8.0);
                ui.label(RichText::new(*group).font(Theme::semi(12.5)).color(context.theme.text));
                for entry in ACTIONS.iter().filter(|entry| entry.group == *group) {
                    action_line(ui, state, entry, context);
                }
            }
            let ui = &mut columns[0];
            ui.add_space(8.0);
            ui.label(RichText::new("Pointer").font(Theme::semi(12.5)).color(context.theme.text));
            for (what, how) in GESTURES {
                gesture_line(ui, what, how, context);
            }
        });
    });
    open
}

fn gesture_line(ui: &mut Ui, what: &str, how: &str, context: &PanelContext<'_>) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{what}: {how}")));
    let left = rect.left_center() + vec2(6.0, 0.0);
    let (font, width) = (Theme::font(12.0), rect.width());
    let used = text_at(ui, left, Align2::LEFT_CENTER, what, font, context.theme.text, width * 0.5).width();
    let right = rect.right_center() - vec2(6.0, 0.0);
    text_at(ui, right, Align2::RIGHT_CENTER, how, Theme::font(11.5), context.theme.quiet, width - used - 24.0);
}

fn action_line(ui: &mut Ui, state: &mut KeysState, entry: &Entry, context: &PanelContext<'_>) {
    let theme = context.theme;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 20.0), Sense::click());
    let waits_for_keys = state.waits_for_keys == Some(entry.action);
    response
        .widget_info(|| WidgetInfo::selected(Role::Button, true, waits_for_keys, format!("Keys of {}", entry.name)));
    if waits_for_keys || response.hovered() {
        ui.painter().rect_filled(rect, 4, theme.button);
    }
    let left = rect.left_center() + vec2(6.0, 0.0);
    ui.painter().text(left, Align2::LEFT_CENTER, entry.name, Theme::font(12.0), theme.text);
    let keys = if waits_for_keys { "press keys".to_owned() } else { context.keys.text(entry.action) };
    describe(&response, if keys.is_empty() { "no keys" } else { &keys });
    let changed = context.snapshot.settings.keys.contains_key(&entry.action.id());
    let colour = if waits_for_keys || changed { theme.accent } else { theme.quiet };
    ui.painter().text(rect.right_center() - vec2(6.0, 0.0), Align2::RIGHT_CENTER, keys, Theme::font(11.5), colour);
    if response.on_hover_cursor(CursorIcon::PointingHand).clicked() {
        state.waits_for_keys = (!waits_for_keys).then_some(entry.action);
        state.refusal = None;
    }
}

/// Binds the next pressed keys to the action that waits for them, unless another action has them.
fn read_new_keys(ui: &Ui, state: &mut KeysState, context: &mut PanelContext<'_>) {
    let Some(action) = state.waits_for_keys else { return };
    let is_press = |event: &Event| matches!(event, Event::Key { pressed: true, repeat: false, .. });
    // The line that has the focus must not take Enter or Space as a click.
    let pressed = ui.input_mut(|input| {
        let at = input.events.iter().position(is_press)?;
        Some(input.events.remove(at))
    });
    let Some(Event::Key { key, modifiers, .. }) = pressed else { return };
    let mut text = String::new();
    for (on, name) in [(modifiers.ctrl, "Ctrl+"), (modifiers.shift, "Shift+"), (modifiers.alt, "Alt+")] {
        if on {
            text.push_str(name);
        }
    }
    text.push_str(key.name());
    if key == egui::Key::Backspace {
        text.clear();
    }
    let settings = &context.snapshot.settings;
    let other_owner = ACTIONS.iter().find(|entry| {
        let own = settings.keys.get(&entry.action.id());
        let keys: Vec<&str> = own.map_or_else(|| entry.keys.to_vec(), |own| own.split(' ').collect());
        entry.action != action && !text.is_empty() && keys.iter().any(|keys| parse(keys) == parse(&text))
    });
    if let Some(other) = other_owner {
        state.refusal = Some(format!("{text} means \u{201c}{}\u{201d} already", other.name));
        return;
    }
    context.send(Command::Settings(vec![SettingsChange::Keys { action: action.id(), keys: Some(text) }]));
    state.cancel();
}
