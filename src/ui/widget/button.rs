//! Buttons with icon or text, and letter switches. Thread: ui.

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
    /// A word below the icon.
    caption: &'a str,
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
            caption: "",
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

    /// Adds a word below the icon.
    #[must_use]
    pub fn caption(mut self, caption: &'a str) -> Self {
        self.caption = caption;
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

    /// Draws the button at the next place of the layout.
    pub fn show(self, ui: &mut Ui, theme: &Theme) -> Response {
        let (content, _) = self.content(ui, theme);
        let padding = if self.text.is_empty() { 12.0 } else { 26.0 };
        let (rect, _) = ui.allocate_exact_size(vec2(self.size.x.max(content + padding), self.size.y), Sense::hover());
        // The ids that egui gives to places of a layout depend on what was drawn before. The name does not.
        self.show_in(ui, theme, rect)
    }

    /// Draws the button into `rect`.
    pub fn show_in(self, ui: &Ui, theme: &Theme, rect: Rect) -> Response {
        let sense = if self.enabled { Sense::click() } else { Sense::hover() };
        let response = ui.interact(rect, ui.scope_id().with(("button", self.name)), sense);
        let (name, on, enabled) = (self.name.to_owned(), self.on, self.enabled);
        response.widget_info(|| match on {
            Some(on) => WidgetInfo::selected(Role::Button, enabled, on, &name),
            None => WidgetInfo::labeled(Role::Button, enabled, &name),
        });
        if ui.is_rect_visible(rect) {
            let (content, text_from) = self.content(ui, theme);
            self.paint(ui, theme, rect, &response, content, text_from);
        }
        let response = if enabled { response.on_hover_cursor(CursorIcon::PointingHand) } else { response };
        if self.tip.is_empty() { response } else { response.on_hover_text(&self.tip) }
    }

    /// Width of icon and text, and the distance of the text from their left edge.
    fn content(&self, ui: &Ui, theme: &Theme) -> (f32, f32) {
        let text_width = if self.text.is_empty() {
            0.0
        } else {
            ui.painter().layout_no_wrap(self.text.to_owned(), Theme::medium(12.5), theme.text).rect.width()
        };
        let icon_width = if self.icon.is_some() { 14.0 } else { 0.0 };
        let gap = if self.icon.is_some() && text_width > 0.0 { 8.0 } else { 0.0 };
        (icon_width + gap + text_width, icon_width + gap)
    }

    fn paint(&self, ui: &Ui, theme: &Theme, rect: Rect, response: &Response, content: f32, text_from: f32) {
        let hot = self.enabled && response.hovered();
        let (fill, mut colour) = match self.look {
            Look::Plain if self.on == Some(true) => (mixed(theme.button, theme.accent, 0.30), theme.strong),
            Look::Plain => (if hot { theme.button_hover } else { theme.button }, theme.text),
            Look::Quiet => (if hot { theme.button_hover } else { Color32::TRANSPARENT }, theme.quiet),
            Look::Filled(colour) => (if hot { mixed(colour, Color32::WHITE, 0.10) } else { colour }, Theme::on(colour)),
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
            let up = if self.caption.is_empty() { 0.0 } else { 7.0 };
            icon.paint(ui.painter(), centre - vec2(0.0, up), size, colour);
        }
        if !self.caption.is_empty() {
            let at = egui::pos2(rect.center().x, rect.bottom() - 10.0);
            ui.painter().text(at, Align2::CENTER_CENTER, self.caption, Theme::medium(10.0), colour);
        }
        if !self.text.is_empty() {
            let at = egui::pos2(left + text_from, rect.center().y);
            ui.painter().text(at, Align2::LEFT_CENTER, self.text, Theme::medium(12.5), colour);
        }
    }
}

/// A small square switch with a letter. It has `colour` while it is on.
pub fn toggle(
    ui: &mut Ui,
    theme: &Theme,
    rect: Rect,
    (name, salt): (&str, impl std::hash::Hash + std::fmt::Debug),
    letter: &str,
    on: bool,
    colour: Color32,
) -> Response {
    let response = ui.interact(rect, ui.scope_id().with(("toggle", letter, salt)), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, on, name));
    if ui.is_rect_visible(rect) {
        let fill = match (on, response.hovered()) {
            (true, false) => colour,
            (true, true) => mixed(colour, Color32::WHITE, 0.12),
            (false, true) => theme.button_hover,
            (false, false) => theme.button,
        };
        ui.painter().rect_filled(rect, 5, fill);
        let text = if on { Theme::on(colour) } else { theme.quiet };
        let font = Theme::semi((rect.height() * 0.7).min(10.5));
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, letter, font, text);
    }
    response.on_hover_cursor(CursorIcon::PointingHand)
}
