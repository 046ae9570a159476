//! The time display: position of the playhead in large digits. A user can type a time to locate. Thread: ui.

use crate::app::command::Command;
use crate::app::settings::TimeFormat;
use crate::app::settings_change::SettingsChange;
use crate::export::position_text::parse_position;
use crate::message::Motion;
use crate::ui::format;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{kept, speak, text_at};
use egui::{Align2, CursorIcon, Key, Rect, Role, Sense, TextEdit, Ui, pos2, vec2};

/// State that the display keeps between pictures.
#[derive(Default)]
pub(super) struct TimeState {
    /// Text of the field, while the user types a time.
    typed: Option<String>,
    needs_focus: bool,
}

/// Height of the digits in the three sizes of the display.
const SIZES: [f32; 3] = [32.0, 21.0, 15.0];

/// Draws the display into `space`, in one of the sizes.
pub(super) fn show(ui: &mut Ui, state: &mut TimeState, space: Rect, size: usize, context: &mut PanelContext<'_>) {
    let narrow = size > 0;
    let (transport, settings) = (&context.snapshot.transport, &context.snapshot.settings);
    let rolls = transport.motion != Motion::Stopped;
    let (at, rate, tempo) = (transport.position, transport.rate, settings.tempo);
    let (seconds, ms) = format::clock(at, rate);
    let samples = format!("{} samples", format::grouped(at.0));
    let bar = format!("bar {}", format::bars(at, rate, tempo));
    let (large, small, below) = match settings.time {
        TimeFormat::Clock if narrow => (seconds, ms, samples),
        TimeFormat::Clock => (seconds, ms, format!("{bar}  ·  {samples}")),
        TimeFormat::Samples => (format::grouped(at.0), String::new(), format!("{seconds}{ms}  ·  {bar}")),
        TimeFormat::Bars => (format::bars(at, rate, tempo), String::new(), format!("{seconds}{ms}  ·  {samples}")),
    };
    let size = SIZES[size.min(SIZES.len() - 1)];
    let font = Theme::mono(size);
    let cell = ui.painter().layout_no_wrap("0".to_owned(), font.clone(), context.theme.text).rect.width();
    // Wide enough for the longest text, so that nothing moves when a digit is added.
    let width = cell * 12.0;
    let centre = space.center().x;
    let main = Rect::from_center_size(pos2(centre, space.top() + 23.0), vec2(width + 8.0, size * 1.16));
    if state.typed.is_some() {
        type_in(ui, state, main, context);
    } else {
        let response = ui.interact(main, ui.scope_id().with("time"), Sense::click());
        let spoken = format!("{large}{small}");
        let spoken = if rolls { kept(&response, spoken) } else { spoken };
        speak(&response, Role::Button, "Time", &spoken);
        let left =
            if small.is_empty() { main.right() - 4.0 - cell * large.chars().count() as f32 } else { main.left() + 4.0 };
        let head = ui.painter().text(
            pos2(left, main.center().y),
            Align2::LEFT_CENTER,
            &large,
            font.clone(),
            context.theme.strong,
        );
        ui.painter().text(pos2(head.right(), main.center().y), Align2::LEFT_CENTER, &small, font, context.theme.faint);
        if response.on_hover_cursor(CursorIcon::Text).on_hover_text("Click to type a place to go to").clicked() {
            state.typed = Some(String::new());
            state.needs_focus = true;
        }
    }
    let line = Rect::from_center_size(pos2(centre, space.top() + 50.0), vec2(width + 8.0, 14.0));
    let response = ui.interact(line, ui.scope_id().with("format"), Sense::click());
    let spoken = if rolls { kept(&response, below.clone()) } else { below.clone() };
    speak(&response, Role::Button, "Time format", &spoken);
    let colour = if response.hovered() { context.theme.text } else { context.theme.quiet };
    let font = Theme::font(if narrow { 10.0 } else { 11.0 });
    text_at(ui, line.center(), Align2::CENTER_CENTER, &below, font, colour, line.width());
    let tip = "Click for hours, samples, or bars";
    if response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(tip).clicked() {
        let next = match settings.time {
            TimeFormat::Clock => TimeFormat::Samples,
            TimeFormat::Samples => TimeFormat::Bars,
            TimeFormat::Bars => TimeFormat::Clock,
        };
        context.send(Command::Settings(vec![SettingsChange::Time(next)]));
    }
}

fn type_in(ui: &mut Ui, state: &mut TimeState, rect: Rect, context: &mut PanelContext<'_>) {
    let Some(text) = state.typed.as_mut() else { return };
    let field = TextEdit::singleline(text).font(Theme::mono(18.0)).hint_text("1:23.5").char_limit(40);
    let response = ui.put(rect, field).accessible_name("Go to a time");
    if std::mem::take(&mut state.needs_focus) {
        response.request_focus();
        return;
    }
    if response.lost_focus() {
        let entered = ui.input(|input| input.key_pressed(Key::Enter));
        if entered && let Ok(at) = parse_position(text.trim(), context.snapshot.transport.rate) {
            context.send(Command::Locate(at));
        }
        state.typed = None;
    }
}
