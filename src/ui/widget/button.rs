//! Buttons with icon or text, and letter switches. Thread: ui.

use super::focus_ring;
use crate::ui::icon::Icon;
use crate::ui::theme::{Theme, mixed};
use egui::{Align2, Color32, CursorIcon, Rect, Response, Role, Sense, Ui, Vec2, WidgetInfo, vec2};

/// Appearance of a button.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    /// A filled box.
    Plain,
    /// No box until the pointer is over the button.
    Quiet,
    /// A box in a colour of its own, for the most important button of a panel.
    Filled(Color32),
}

/// A button with an icon, a text or both.
pub struct Button<'a> {
    name: &'a str,
    icon: Option<Icon>,
    text: &'a str,
    look: Look,
    size: Vec2,
    on: Option<bool>,
    enabled: bool,
    tip: String,
}

impl<'a> Button<'a> {
    /// A button with an icon. `name` is its accessible name.
    pub fn icon(name: &'a str, icon: Icon) -> Button<'a> {
        Button { icon: Some(icon), ..Button::text(name, "") }
    }

    /// A button with a text. `name` is its accessible name.
    pub fn text(name: &'a str, text: &'a str) -> Button<'a> {
        Button {
            name,
            icon: None,
            text,
            look: Look::Plain,
            size: vec2(38.0, 36.0),
            on: None,
            enabled: true,
            tip: String::new(),
        }
    }

    /// Adds an icon left of the text.
    #[must_use]
    pub fn with_icon(mut self, icon: Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    #[must_use]
    pub fn look(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    /// Sets the minimum size in points. A long text makes the button wider.
    #[must_use]
    pub fn size(mut self, width: f32, height: f32) -> Self {
        self.size = vec2(width, height);
        self
    }

    /// Makes the button a switch that is on or off.
    #[must_use]
    pub fn on(mut self, on: bool) -> Self {
        self.on = Some(on);
        self
    }

    /// Sets whether the button can be used.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the tooltip.
    #[must_use]
    pub fn tip(mut self, tip: impl Into<String>) -> Self {
        self.tip = tip.into();
        self
    }

    /// Draws the button.
    pub fn show(self, ui: &mut Ui, theme: &Theme) -> Response {
        let font = Theme::medium(12.5);
        let text_width = if self.text.is_empty() {
            0.0
        } else {
            ui.painter().layout_no_wrap(self.text.to_owned(), font.clone(), theme.text).rect.width()
        };
        let icon_width = if self.icon.is_some() { 14.0 } else { 0.0 };
        let gap = if self.icon.is_some() && text_width > 0.0 { 8.0 } else { 0.0 };
        let content = icon_width + gap + text_width;
        let padding = if text_width > 0.0 { 26.0 } else { 12.0 };
        let width = self.size.x.max(content + padding);
        let sense = if self.enabled { Sense::click() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(vec2(width, self.size.y), sense);
        let (name, on, enabled) = (self.name.to_owned(), self.on, self.enabled);
        response.widget_info(|| match on {
            Some(on) => WidgetInfo::selected(Role::Button, enabled, on, &name),
            None => WidgetInfo::labeled(Role::Button, enabled, &name),
        });
        if ui.is_rect_visible(rect) {
            self.paint(ui, theme, rect, &response, content, icon_width + gap);
        }
        let response = if enabled { response.on_hover_cursor(CursorIcon::PointingHand) } else { response };
        if self.tip.is_empty() { response } else { response.on_hover_text(&self.tip) }
    }

    fn paint(&self, ui: &Ui, theme: &Theme, rect: Rect, response: &Response, content: f32, text_from: f32) {
        let hot = self.enabled && response.hovered();
        let (fill, mut colour) = match self.look {
            Look::Plain if self.on == Some(true) => (mixed(theme.button, theme.accent, 0.30), theme.strong),
            Look::Plain => (if hot { theme.button_hover } else { theme.button }, theme.text),
            Look::Quiet => (if hot { theme.button_hover } else { Color32::TRANSPARENT }, theme.quiet),
            Look::Filled(colour) => (if hot { mixed(colour, Color32::WHITE, 0.10) } else { colour }, theme.on_colour),
        };
        if self.look == Look::Quiet && hot {
            colour = theme.strong;
        }
        if !self.enabled && self.on != Some(true) {
            colour = theme.faint;
        }
        let radius = if rect.height() > 28.0 { 8 } else { 6 };
        ui.painter().rect_filled(rect, radius, fill);
        let left = rect.center().x - content / 2.0;
        if let Some(icon) = self.icon {
            let size = (rect.height() * 0.36).clamp(8.0, 14.0);
            let centre = if text_from > 14.0 { egui::pos2(left + 7.0, rect.center().y) } else { rect.center() };
            icon.paint(ui.painter(), centre, size, colour);
        }
        if !self.text.is_empty() {
            let at = egui::pos2(left + text_from, rect.center().y);
            ui.painter().text(at, Align2::LEFT_CENTER, self.text, Theme::medium(12.5), colour);
        }
        focus_ring(ui, response, rect, theme);
    }
}

/// A small square switch with a letter. It has `colour` while it is on.
pub fn toggle(ui: &mut Ui, theme: &Theme, rect: Rect, name: &str, letter: &str, on: bool, colour: Color32) -> Response {
    let response = ui.interact(rect, ui.scope_id().with(("toggle", name)), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, on, name));
    if ui.is_rect_visible(rect) {
        let fill = match (on, response.hovered()) {
            (true, false) => colour,
            (true, true) => mixed(colour, Color32::WHITE, 0.12),
            (false, true) => theme.button_hover,
            (false, false) => theme.button,
        };
        ui.painter().rect_filled(rect, 5, fill);
        let colour = if on { theme.on_colour } else { theme.quiet };
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, letter, Theme::semi(10.5), colour);
        focus_ring(ui, &response, rect, theme);
    }
    response.on_hover_cursor(CursorIcon::PointingHand)
}
