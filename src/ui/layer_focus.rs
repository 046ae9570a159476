//! The keyboard focus of sheets and menus. It moves into the one that opens, Tab stays in it, and the focus returns when it
//! closes. egui leaves the focus where it was, behind the sheet. A control that Tab reaches is scrolled into view. Thread: ui.

use egui::accesskit::{Action, ActionRequest, TreeId};
use egui::{Context, Event, Id, Key, LayerId, Memory, Order};

/// Seconds after a click in which a menu counts as opened by the pointer. Such a menu does not take the focus.
const POINTER_SECONDS: f32 = 0.3;

/// A sheet or a menu with controls.
struct Open {
    layer: LayerId,
    /// The control that had the focus before.
    before: Option<Id>,
}

/// The sheets and menus of the last picture, lowest first.
#[derive(Default)]
pub struct LayerFocus {
    open: Vec<Open>,
    /// The control that had the focus.
    focused: Option<Id>,
    /// Whether that control was in the topmost sheet or menu.
    was_inside: bool,
    /// The control that was looked at last, because it had got the focus.
    seen: Option<Id>,
    /// A control with the focus that is scrolled out of view.
    hidden: Option<Id>,
}

impl LayerFocus {
    /// Moves the focus as far as this picture needs it. `sheet` is the layer of the sheet, which takes the focus also if the
    /// pointer opened it. Call this after everything is drawn.
    pub fn follow(&mut self, ctx: &Context, sheet: Option<LayerId>) {
        let layers = layers_with_controls(ctx);
        let controls = |layer: LayerId| {
            layers.iter().find(|(shown, _)| *shown == layer).map_or(&[][..], |(_, ids)| ids.as_slice())
        };
        let is_drawn = |id: Id| ctx.viewport(|viewport| viewport.this_pass.widgets.contains(id));
        let (has_closed, before) = self.close_missing(|layer| !controls(layer).is_empty());
        if has_closed {
            let is_lost = ctx.memory(Memory::focused).is_none_or(|id| !is_drawn(id));
            if let Some(before) = before.filter(|id| is_lost && is_drawn(*id)) {
                focus(ctx, before);
                self.focused = Some(before);
            }
            self.was_inside = false;
        }
        for (layer, ids) in &layers {
            if self.open.iter().any(|open| open.layer == *layer) {
                continue;
            }
            self.open.push(Open { layer: *layer, before: self.focused });
            let is_inside = ctx.memory(Memory::focused).is_some_and(|id| ids.contains(&id));
            self.was_inside = is_inside;
            if !is_inside && (sheet == Some(*layer) || !is_by_pointer(ctx)) {
                focus(ctx, ids[0]);
                self.was_inside = true;
            }
        }
        if let Some(top) = self.open.last() {
            self.was_inside = keep_inside(ctx, controls(top.layer), self.was_inside);
        }
        let focused = ctx.memory(Memory::focused);
        // A sheet that opens may have given the focus to its field before it counts as open.
        let layer = focused.and_then(|id| ctx.read_response(id)).map(|control| control.layer_id);
        let is_counted =
            |layer: LayerId| layer.order != Order::Foreground || self.open.iter().any(|it| it.layer == layer);
        if layer.is_none_or(is_counted) {
            self.focused = focused;
        }
    }

    /// Lets the area around a control scroll to it, if Tab has moved the focus to a control out of view. Call this before
    /// anything is drawn. A request of a screen reader is the one that egui gives to the area that has the control.
    pub fn scroll(&mut self, ctx: &Context) {
        let Some(id) = self.hidden.take() else { return };
        let request = ActionRequest {
            action: Action::ScrollIntoView,
            target_tree: TreeId::ROOT,
            target_node: id.accesskit_id(),
            data: None,
        };
        ctx.input_mut(|input| input.events.push(Event::AccessKitActionRequest(request)));
    }

    /// Finds out whether the control that has got the focus can be seen. Call this after everything is drawn.
    pub fn look(&mut self, ctx: &Context) {
        let focused = ctx.memory(Memory::focused);
        if std::mem::replace(&mut self.seen, focused) == focused || is_by_pointer(ctx) {
            return;
        }
        let control = focused.and_then(|id| ctx.read_response(id));
        if control.is_some_and(|control| !control.interact_rect.expand(1.0).contains_rect(control.rect)) {
            self.hidden = focused;
            ctx.request_repaint();
        }
    }

    /// Forgets what has closed. Returns whether the topmost one has, and the control that had the focus before.
    fn close_missing(&mut self, is_shown: impl Fn(LayerId) -> bool) -> (bool, Option<Id>) {
        let mut back = (false, None);
        for at in (0..self.open.len()).rev() {
            if is_shown(self.open[at].layer) {
                continue;
            }
            let closed = self.open.remove(at);
            match self.open.get_mut(at) {
                Some(above) => above.before = closed.before,
                None => back = (true, closed.before),
            }
        }
        back
    }
}

/// Puts a focus that Tab has moved out of a sheet back to its other end. Returns whether the focus is inside.
fn keep_inside(ctx: &Context, ids: &[Id], was_inside: bool) -> bool {
    let focused = ctx.memory(Memory::focused);
    if focused.is_some_and(|id| ids.contains(&id)) {
        return true;
    }
    let (is_tab, is_back, is_asked) = ctx.input(|input| {
        let is_asked =
            |event: &Event| matches!(event, Event::AccessKitActionRequest(asked) if asked.action == Action::Focus);
        (input.key_pressed(Key::Tab), input.modifiers.shift, input.events.iter().any(is_asked))
    });
    // A text field elsewhere has got the focus because the user edits a name.
    if !was_inside || is_asked || ctx.text_edit_focused() {
        return false;
    }
    let end = if is_back { ids.last() } else { ids.first() };
    if let Some(end) = end.filter(|_| is_tab || focused.is_some()) {
        focus(ctx, *end);
    }
    true
}

fn focus(ctx: &Context, id: Id) {
    ctx.memory_mut(|memory| memory.request_focus(id));
}

fn is_by_pointer(ctx: &Context) -> bool {
    ctx.input(|input| input.pointer.any_down() || input.pointer.time_since_last_click() < POINTER_SECONDS)
}

/// Sheets and menus that were drawn, lowest first, with the controls that can have the focus.
fn layers_with_controls(ctx: &Context) -> Vec<(LayerId, Vec<Id>)> {
    let layers: Vec<LayerId> =
        ctx.memory(|memory| memory.layer_ids().filter(|layer| layer.order == Order::Foreground).collect());
    ctx.viewport(|viewport| {
        let controls = |layer: LayerId| {
            let widgets = viewport.this_pass.widgets.get_layer(layer);
            let ids: Vec<Id> = widgets.filter(|it| it.enabled && it.sense.is_focusable()).map(|it| it.id).collect();
            (layer, ids)
        };
        layers.into_iter().map(controls).filter(|(_, ids)| !ids.is_empty()).collect()
    })
}
