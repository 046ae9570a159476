//! The Stop button. A click stops playback. A recording is locked: it needs a long press of Stop or of its key, and a ring
//! around the icon shows the progress of that press. A screen reader cannot hold a button, so its second press counts.
//! Thread: ui.

use crate::app::command::Command;
use crate::app::snapshot::PassPhase;
use crate::ui::action::Action;
use crate::ui::announce;
use crate::ui::icon::Icon;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use crate::ui::widget::is_pressed_by_reader;
use egui::{Align2, CursorIcon, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};
use std::f32::consts::TAU;

/// Seconds of a long press.
const HOLD_SECONDS: f64 = 0.8;

/// Seconds after a press by a screen reader in which a second one ends the recording. One that comes sooner may be a bounce of
/// the same press.
const SECOND_PRESS: std::ops::Range<f64> = 0.4..8.0;

/// A press of Stop or of its key.
#[derive(Default)]
pub(super) struct Hold {
    /// Start of the press, in seconds. `None` if nothing is pressed, or after the press took effect.
    since: Option<f64>,
    /// The press took effect. It must be released before another one counts.
    is_done: bool,
    /// The key that is down was meant for something else, and must be released before it counts here.
    pub(super) ignores_key: bool,
    /// Time of the first press by a screen reader, in seconds.
    pressed_by_reader: Option<f64>,
}

impl Hold {
    /// Whether a press is in progress.
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Updates the press. Returns its progress from 0 to 1, and `true` once when it was long enough.
    fn press(&mut self, held: bool, now: f64) -> (f32, bool) {
        if !held {
            (self.since, self.is_done) = (None, false);
            return (0.0, false);
        }
        if self.is_done {
            return (0.0, false);
        }
        let since = *self.since.get_or_insert(now);
        let progress = ((now - since) / HOLD_SECONDS).min(1.0) as f32;
        if progress >= 1.0 {
            self.is_done = true;
            self.since = None;
        }
        (progress, progress >= 1.0)
    }

    /// Takes a press by a screen reader. Returns whether it is the second one.
    fn press_by_reader(&mut self, now: f64) -> bool {
        let since = self.pressed_by_reader.map(|first| now - first);
        match since {
            Some(since) if SECOND_PRESS.contains(&since) => {
                self.pressed_by_reader = None;
                true
            }
            Some(since) if (0.0..SECOND_PRESS.start).contains(&since) => false,
            _ => {
                self.pressed_by_reader = Some(now);
                false
            }
        }
    }
}

/// Draws the button, and sends `Stop` after a click or a long press.
pub(super) fn show(ui: &Ui, hold: &mut Hold, rect: Rect, rolls: bool, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    let locked = context.snapshot.transport.pass.as_ref().is_some_and(|pass| pass.phase != PassPhase::Finishing);
    let narrow = rect.width() < 100.0;
    let text = match (locked, narrow) {
        (_, true) => "",
        (true, false) => "Hold to stop",
        (false, false) => "Stop",
    };
    let response = ui.interact(rect, ui.scope_id().with("stop"), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, locked || rolls, "Stop"));
    let is_key_down = context.keys.is_down(ui.ctx(), Action::Stop);
    hold.ignores_key &= is_key_down;
    let by_key = is_key_down && !hold.ignores_key;
    let (progress, due) = hold.press(locked && (response.is_pointer_button_down_on() || by_key), context.now);
    let mut due = due || (!locked && response.clicked());
    if locked && is_pressed_by_reader(ui, &response) {
        due |= hold.press_by_reader(context.now);
        if !due {
            announce::say(ui.ctx(), "Recording is locked. Press Stop again to end it");
        }
    }
    if due {
        context.send(Command::Stop);
    }
    if hold.is_on() {
        ui.request_repaint();
    }
    let fill = if response.hovered() { theme.button_hover } else { theme.button };
    ui.painter().rect_filled(rect, 8, fill);
    let colour = if locked || rolls { theme.text } else { theme.quiet };
    let centre = if narrow { rect.center() } else { pos2(rect.left() + 20.0, rect.center().y) };
    if locked {
        ring(ui, centre, progress, theme);
        Icon::Stop.paint(ui.painter(), centre, 8.0, colour);
    } else {
        Icon::Stop.paint(ui.painter(), centre, 12.0, colour);
    }
    let at = pos2(rect.left() + 36.0, rect.center().y);
    ui.painter().text(at, Align2::LEFT_CENTER, text, Theme::medium(12.5), colour);
    let keys = context.keys.text(Action::Stop);
    let tip = match (locked, keys.is_empty()) {
        (true, true) => "Recording is locked: hold Stop to end it".to_owned(),
        (true, false) => format!("Recording is locked: hold Stop or {keys} to end it"),
        (false, _) => context.tip("Stop", Action::Stop),
    };
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(tip);
}

/// A ring that is filled from the top clockwise up to `progress`, 0 to 1.
fn ring(ui: &Ui, centre: Pos2, progress: f32, theme: &Theme) {
    const RADIUS: f32 = 9.5;
    ui.painter().circle_stroke(centre, RADIUS, Stroke::new(2.5, mixed(theme.button, theme.text, 0.28)));
    if progress > 0.0 {
        let steps = (48.0 * progress).ceil().max(2.0) as usize;
        let points = (0..=steps).map(|step| {
            let angle = TAU * progress * step as f32 / steps as f32;
            centre + RADIUS * vec2(angle.sin(), -angle.cos())
        });
        ui.painter().add(Shape::line(points.collect(), Stroke::new(2.5, theme.record)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_press_stops_once_and_a_short_one_never() {
        let mut hold = Hold::default();
        assert_eq!(hold.press(true, 1.0), (0.0, false));
        assert!(!hold.press(true, 1.5).1);
        assert!(!hold.press(false, 1.6).1, "released too early");
        hold.press(true, 2.0);
        assert!(hold.press(true, 2.9).1);
        assert!(!hold.press(true, 3.0).1 && !hold.press(true, 9.0).1, "a press that continues stops only once");
        hold.press(false, 9.1);
        hold.press(true, 10.0);
        assert!(hold.press(true, 10.8).1);
    }

    #[test]
    fn the_second_press_of_a_screen_reader_stops_unless_it_is_a_bounce_or_comes_late() {
        let mut hold = Hold::default();
        assert!(!hold.press_by_reader(1.0));
        assert!(!hold.press_by_reader(1.1), "a bounce");
        assert!(hold.press_by_reader(2.0));
        assert!(!hold.press_by_reader(2.5), "the next recording needs two again");
        assert!(!hold.press_by_reader(60.0), "too late");
        assert!(hold.press_by_reader(61.0));
    }
}
