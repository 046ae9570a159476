//! Words and values of controls for screen readers, and the values that screen readers set. Thread: ui.

use super::{FOOT_DB, db_text};
use egui::accesskit::{Action, ActionData};
use egui::{Rect, Response, Role, Ui, WidgetInfo};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Seconds for which a value that changes with every picture is kept for screen readers. Each change is a message to every
/// reader: without this, eight meters send 500 of them a second.
const KEPT_SECONDS: f64 = 0.5;

/// Names a control for screen readers, with the text that it shows. Most screen readers speak the description, and tests
/// read the value.
pub fn speak(response: &Response, role: Role, name: &str, text: &str) {
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(role, true, name);
        info.current_text_value = Some(text.to_owned());
        info
    });
    describe(response, text);
}

/// Gives a control a description, which screen readers speak after its name. A tooltip does not replace it.
pub fn describe(response: &Response, text: &str) {
    response.ctx.accesskit_node_builder(response.id, |node| node.set_description(text));
}

/// Names a meter for screen readers, with its level in decibels.
pub fn meter_info(response: &Response, name: &str, level: f32, is_dead: bool) {
    let db = if level <= 1e-3 { FOOT_DB } else { (20.0 * level.log10()).max(FOOT_DB) };
    let (db, text) = match level {
        _ if is_dead => (db, "no device".to_owned()),
        level if level <= 1e-3 => (db, "silent".to_owned()),
        _ => kept(response, (db, format!("{} dB", db_text(db)))),
    };
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Meter, true, name);
        info.value = Some(f64::from(db));
        info
    });
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_min_numeric_value(f64::from(FOOT_DB));
        node.set_max_numeric_value(0.0);
        node.set_description(text);
    });
}

/// The value that a screen reader gets for a control whose `value` changes all the time: a new one every half second. A
/// picture follows that shows the last one.
pub fn kept<T: Clone + PartialEq + Send + Sync + 'static>(response: &Response, value: T) -> T {
    if !response.ctx.has_accesskit_node(response.id) {
        return value;
    }
    let id = response.id.with("kept");
    let now = response.ctx.input(|input| input.time);
    let before: Option<(f64, T)> = response.ctx.data(|data| data.get_temp(id));
    match before {
        Some((since, before)) if (0.0..KEPT_SECONDS).contains(&(now - since)) => {
            if before != value {
                response.ctx.request_repaint_after(Duration::from_secs_f64(since + KEPT_SECONDS - now));
            }
            before
        }
        _ => {
            response.ctx.data_mut(|data| data.insert_temp(id, (now, value.clone())));
            value
        }
    }
}

/// Names a part of the window, so that screen readers know where its controls are. Call it before they are drawn.
pub fn name_part(ui: &Ui, role: Role, name: &str, rect: Option<Rect>) {
    ui.ctx().accesskit_node_builder(ui.unique_id(), |node| {
        node.set_role(role);
        node.set_label(name);
        if let Some(Rect { min, max }) = rect {
            let [x0, y0, x1, y1] = [min.x, min.y, max.x, max.y].map(f64::from);
            node.set_bounds(egui::accesskit::Rect { x0, y0, x1, y1 });
        }
    });
}

/// Marks an item of a list, or a tab, as chosen or not. egui would call it checked, as a check box.
pub fn mark_selected(response: &Response, is_selected: bool) {
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.clear_toggled();
        node.set_selected(is_selected);
    });
}

/// Offers the value of a control to screen readers, from a lowest to a highest one, in steps. Returns the value that one has
/// set.
pub fn adjusted(ui: &Ui, response: &Response, value: f64, range: &RangeInclusive<f64>, step: f64) -> Option<f64> {
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_numeric_value(value);
        node.set_min_numeric_value(*range.start());
        node.set_max_numeric_value(*range.end());
        node.set_numeric_value_step(step);
        for action in [Action::SetValue, Action::Increment, Action::Decrement] {
            node.add_action(action);
        }
    })?;
    let (set, steps) = ui.input(|input| {
        let set = input.accesskit_action_requests(response.id, Action::SetValue);
        let set = set.filter_map(|request| match request.data {
            Some(ActionData::NumericValue(value)) if value.is_finite() => Some(value),
            _ => None,
        });
        let count = |action| input.num_accesskit_action_requests(response.id, action) as f64;
        (set.last(), count(Action::Increment) - count(Action::Decrement))
    });
    let stepped = (steps != 0.0).then_some(value + steps * step);
    set.or(stepped).map(|value| value.clamp(*range.start(), *range.end()))
}

/// Whether a screen reader has pressed the control in this picture. Keys and the pointer do not count.
pub fn is_pressed_by_reader(ui: &Ui, response: &Response) -> bool {
    ui.input(|input| input.has_accesskit_action_request(response.id, Action::Click))
}
