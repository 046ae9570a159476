//! Fader and pan control. Both take a drag, a fine drag with Shift or Ctrl, Alt and the wheel, arrow keys, and a double
//! click for the default. Thread: ui.

use super::{adjusted, value_before_cancelled_drag};
use crate::session::{GAIN_DB_MAX, GAIN_DB_MIN};
use crate::ui::theme::Theme;
use egui::{Align2, CursorIcon, Id, Key, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// Factor of a fine drag.
const FINE_FACTOR: f32 = 0.1;

/// Steps of a screen reader: decibels of a gain, and the part of a side of a pan.
const READER_STEPS: (f64, f64) = (1.0, 0.05);

/// A horizontal fader for a gain.
pub struct Fader<'a> {
    /// Accessible name, for example `Gain 1`.
    pub name: &'a str,
    /// Tells it from other faders of the panel, which may have the same name.
    pub salt: u64,
    /// Gain in decibels.
    pub db: f32,
}

/// A horizontal slider for a pan.
pub struct Pan<'a> {
    /// Accessible name, for example `Pan 1`.
    pub name: &'a str,
    /// Tells it from other sliders of the panel, which may have the same name.
    pub salt: u64,
    /// Pan from -1 (left) to 1 (right).
    pub pan: f32,
}

/// Fader position of a gain, 0 to 1. The scale gives most of the way to gains near 0 dB, which are used most.
pub(super) fn position_of_db(db: f32) -> f32 {
    let position = |db: f32| 10.0_f32.powf(db / 48.0);
    let (low, high) = (position(-72.0), position(12.0));
    if db <= -72.0 { 0.0 } else { ((position(db) - low) / (high - low)).clamp(0.0, 1.0) }
}

/// Gain at a fader position, 0 to 1. Position 0 is silence.
pub(super) fn db_of_position(position: f32) -> f32 {
    let (low, high) = (10.0_f32.powf(-72.0 / 48.0), 10.0_f32.powf(12.0 / 48.0));
    if position <= 0.0 { GAIN_DB_MIN } else { 48.0 * (low + position.min(1.0) * (high - low)).log10() }
}

/// "−2.6", "+1.0", "0.0", "−∞".
pub fn db_text(db: f32) -> String {
    if db <= GAIN_DB_MIN + 0.1 {
        return "\u{2212}\u{221e}".to_owned();
    }
    let tenth = (db * 10.0).round() / 10.0;
    match tenth {
        t if t < 0.0 => format!("\u{2212}{:.1}", -t),
        t if t > 0.0 => format!("+{t:.1}"),
        _ => "0.0".to_owned(),
    }
}

/// "C", "L 20", "R 100".
pub fn pan_text(pan: f32) -> String {
    let hundredth = (pan * 100.0).round() as i32;
    match hundredth {
        0 => "C".to_owned(),
        h if h < 0 => format!("L {}", -h),
        h => format!("R {h}"),
    }
}

/// New position, 0 to 1, if the user moved the slider by drag, wheel or keys in this picture.
fn new_position(ui: &Ui, response: &Response, position: f32, width: f32, key_step: f32) -> Option<f32> {
    let dragged_to: Id = response.id.with("held");
    if response.drag_started() {
        ui.data_mut(|data| data.insert_temp(dragged_to, position));
    }
    if let Some(before) = value_before_cancelled_drag(response, position) {
        return Some(before);
    }
    if response.dragged() {
        let fine = ui.input(|input| input.modifiers.shift || input.modifiers.ctrl);
        let step = response.drag_delta().x / width * if fine { FINE_FACTOR } else { 1.0 };
        let now = ui.data_mut(|data| {
            let value: &mut f32 = data.get_temp_mut_or(dragged_to, position);
            *value += step;
            *value
        });
        return (step != 0.0).then_some(now.clamp(0.0, 1.0));
    }
    if response.has_focus() {
        let (less, more) = ui.input_mut(|input| {
            (
                input.num_presses(Key::ArrowLeft) + input.num_presses(Key::ArrowDown),
                input.num_presses(Key::ArrowRight) + input.num_presses(Key::ArrowUp),
            )
        });
        let step = (more as f32 - less as f32) * key_step;
        return (step != 0.0).then_some((position + step).clamp(0.0, 1.0));
    }
    if response.hovered() && ui.input(|input| input.modifiers.alt) {
        let wheel = ui.input(|input| input.smooth_scroll_delta().y);
        return (wheel != 0.0).then_some((position + wheel / 1000.0).clamp(0.0, 1.0));
    }
    None
}

/// Keeps the arrow keys for a slider that has the focus. egui would move the focus with them.
fn lock_arrows(ui: &Ui, response: &Response) {
    if response.has_focus() {
        let arrows = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    }
}

impl Fader<'_> {
    /// Draws the fader in `rect`. Returns the new gain if the user moved it.
    pub fn show(&self, ui: &mut Ui, theme: &Theme, rect: Rect, with_text: bool) -> (Response, Option<f32>) {
        let response = ui.interact(rect, ui.scope_id().with(("fader", self.salt)), Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::slider(true, f64::from(self.db), self.name));
        let gains = f64::from(GAIN_DB_MIN)..=f64::from(GAIN_DB_MAX);
        let set = adjusted(ui, &response, f64::from(self.db), &gains, READER_STEPS.0);
        lock_arrows(ui, &response);
        let y = if with_text { rect.top() + rect.height() * 0.32 } else { rect.center().y };
        let position = position_of_db(self.db);
        let width = rect.width() - 4.0;
        if ui.is_rect_visible(rect) {
            let rail = Rect::from_center_size(pos2(rect.center().x, y), vec2(rect.width(), 3.0));
            ui.painter().rect_filled(rail, 1, theme.button_hover);
            let unity = rect.left() + 2.0 + position_of_db(0.0) * width;
            ui.painter().vline(unity, y - 4.0..=y + 4.0, (1.0, theme.faint));
            let knob = Rect::from_center_size(pos2(rect.left() + 2.0 + position * width, y), vec2(4.0, 12.0));
            let hot = response.hovered() || response.dragged();
            ui.painter().rect_filled(knob, 2, if hot { theme.strong } else { theme.text });
            if with_text {
                let at = pos2(rect.center().x, rect.bottom());
                let text = db_text(self.db);
                ui.painter().text(at, Align2::CENTER_BOTTOM, text, Theme::font(10.0), theme.quiet);
            }
        }
        let to = new_position(ui, &response, position, width, 0.01).map(db_of_position);
        let to = if response.double_clicked() { Some(0.0) } else { to };
        let to = set.map(|db| db as f32).or(to);
        let text = format!("Gain {} dB. Drag, Shift for fine steps, double-click for 0 dB", db_text(self.db));
        (response.on_hover_cursor(CursorIcon::ResizeHorizontal).on_hover_text(text), to.map(|db| db.min(GAIN_DB_MAX)))
    }
}

impl Pan<'_> {
    /// Draws the slider in `rect`. Returns the new pan if the user moved it.
    pub fn show(&self, ui: &mut Ui, theme: &Theme, rect: Rect) -> (Response, Option<f32>) {
        let response = ui.interact(rect, ui.scope_id().with(("pan", self.salt)), Sense::click_and_drag());
        response.widget_info(|| {
            let mut info = WidgetInfo::labeled(Role::Slider, true, self.name);
            info.value = Some(f64::from(self.pan));
            info
        });
        let set = adjusted(ui, &response, f64::from(self.pan), &(-1.0..=1.0), READER_STEPS.1);
        lock_arrows(ui, &response);
        let position = f32::midpoint(self.pan, 1.0);
        let width = rect.width() - 4.0;
        if ui.is_rect_visible(rect) {
            let y = rect.center().y;
            let rail = Rect::from_center_size(rect.center(), vec2(rect.width(), 3.0));
            ui.painter().rect_filled(rail, 1, theme.button_hover);
            let x = rect.left() + 2.0 + position * width;
            let from = Rect::from_two_pos(pos2(rect.center().x, y - 1.5), pos2(x, y + 1.5));
            ui.painter().rect_filled(from, 1, theme.accent);
            ui.painter().circle_filled(pos2(x, y), 3.5, if response.hovered() { theme.strong } else { theme.text });
        }
        let to = new_position(ui, &response, position, width, 0.01).map(|position| {
            let pan = position * 2.0 - 1.0;
            // Positions near the middle snap to it, so that the middle is easy to find.
            if pan.abs() < 0.015 { 0.0 } else { pan }
        });
        let to = if response.double_clicked() { Some(0.0) } else { to };
        let to = set.map(|pan| pan as f32).or(to);
        let text = format!("Pan {}. Drag, Shift for fine steps, double-click for the middle", pan_text(self.pan));
        (response.on_hover_cursor(CursorIcon::ResizeHorizontal).on_hover_text(text), to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_and_gain_of_a_fader_convert_back() {
        for db in [-60.0_f32, -24.0, -6.0, 0.0, 6.0, 12.0] {
            assert!((db_of_position(position_of_db(db)) - db).abs() < 0.01, "{db}");
        }
        assert!(position_of_db(0.0) > 0.5 && position_of_db(GAIN_DB_MIN) == 0.0 && db_of_position(0.0) == GAIN_DB_MIN);
    }

    #[test]
    fn gains_and_pans_are_written_with_true_minus_signs() {
        assert_eq!([db_text(-2.64), db_text(0.01), db_text(1.0), db_text(-144.0)], ["−2.6", "0.0", "+1.0", "−∞"]);
        assert_eq!([pan_text(0.0), pan_text(-0.2), pan_text(1.0)], ["C", "L 20", "R 100"]);
    }
}
