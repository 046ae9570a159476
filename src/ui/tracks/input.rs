//! The input control of a row: the one or two device channels that the track records. Thread: ui.

use crate::app::command::Command;
use crate::control::edit::Edit;
use crate::session::Track;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{speak, text_at};
use egui::{Align2, CursorIcon, Popup, Rect, Role, ScrollArea, Sense, Ui};

/// "In 1", "In 3+4".
pub(super) fn input_text(inputs: &[u32]) -> String {
    let numbers: Vec<String> = inputs.iter().map(|input| (input + 1).to_string()).collect();
    format!("In {}", numbers.join("+"))
}

/// Draws the control. A click opens the choice.
pub(super) fn show(ui: &mut Ui, rect: Rect, track: &Track, context: &mut PanelContext<'_>) {
    let inputs_max = context.snapshot.device.inputs;
    let missing = track.inputs().iter().any(|input| inputs_max <= *input as usize) && inputs_max > 0;
    let text = input_text(track.inputs());
    let response = ui.interact(rect, ui.scope_id().with(("input", track.id())), Sense::click());
    let spoken = if missing { format!("{text}, which the device does not have") } else { text.clone() };
    speak(&response, Role::Button, &format!("Input {}", track.name()), &spoken);
    let colour = match (missing, response.hovered()) {
        (true, _) => context.theme.record,
        (false, true) => context.theme.text,
        (false, false) => context.theme.quiet,
    };
    text_at(ui, rect.left_center(), Align2::LEFT_CENTER, &text, Theme::font(10.5), colour, rect.width());
    let tip = if missing { "The device has no such input: choose another" } else { "Choose the inputs of this track" };
    let response = response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(tip);
    Popup::menu(&response).width(230.0).show(|ui| choose(ui, track, inputs_max.max(1) as u32, context));
}

/// The choice: one channel in the left column, two adjacent channels in the right one.
fn choose(ui: &mut Ui, track: &Track, inputs_max: u32, context: &mut PanelContext<'_>) {
    let mut chosen: Option<Vec<u32>> = None;
    ScrollArea::vertical().max_height(360.0).show(ui, |ui| {
        ui.columns(2, |columns| {
            columns[0].label("Mono");
            columns[1].label("Stereo");
            for input in 0..inputs_max {
                let mut choice = |ui: &mut Ui, inputs: Vec<u32>| {
                    if ui.selectable_label(track.inputs() == inputs, input_text(&inputs)).clicked() {
                        chosen = Some(inputs);
                    }
                };
                choice(&mut columns[0], vec![input]);
                if input + 1 < inputs_max {
                    choice(&mut columns[1], vec![input, input + 1]);
                }
            }
        });
    });
    if let Some(inputs) = chosen {
        context.send(Command::Edit(Edit::Inputs(track.id(), inputs)));
        ui.close();
    }
}
