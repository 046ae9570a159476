//! The device chooser: device, number of inputs, sample rate and period; and the placing offset of the open device.
//! Thread: ui.

use crate::app::command::Command;
use crate::app::settings_change::SettingsChange;
use crate::control::recording::LATENCY_OFFSET_MAX;
use crate::device::{Listed, Listing, is_virtual};
use crate::ui::dialog::title;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{self, Button, Look, describe, text_at};
use egui::{Align2, DragValue, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

/// State that the panel keeps between pictures.
#[derive(Default)]
pub struct DeviceState {
    /// Whether the panel has asked for the list of devices.
    has_scanned: bool,
    chosen: Option<Choice>,
    /// The offset that was set last, with the device's key, until the settings have it.
    offset: Option<(String, i64)>,
}

/// The device and the format that "Use this device" opens.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    name: String,
    inputs: Option<usize>,
    rate: u32,
    period: usize,
}

/// Least height of the list of devices, and height of what is below the list, in points.
const LIST_MIN: f32 = 100.0;
const FOOT: f32 = 186.0;

/// Periods to choose from, in frames.
const PERIODS: [usize; 7] = [32, 64, 128, 256, 512, 1024, 2048];

/// Channels from which on a device is none: ALSA's `null` has a thousand million of them.
const CHANNELS_ABSURD: usize = 1024;

/// Draws the panel into the rest of `ui`. Returns whether it stays open.
pub fn show(ui: &mut Ui, state: &mut DeviceState, context: &mut PanelContext<'_>) -> bool {
    if !std::mem::replace(&mut state.has_scanned, true) {
        context.send(Command::RescanDevices);
    }
    let theme = context.theme;
    let mut open = !title(ui, "Device", theme);
    if Button::text("Look again", "Look again").size(86.0, 26.0).show(ui, theme).clicked() {
        context.send(Command::RescanDevices);
    }
    ui.add_space(4.0);
    let mut choice = state.chosen.clone().unwrap_or_else(|| open_choice(context));
    let height = ui.available_height();
    if height < LIST_MIN + FOOT {
        // All of it scrolls together.
        ScrollArea::vertical().id_salt("low sheet").max_height(height.max(60.0)).show(ui, |ui| {
            list(ui, &mut choice, context);
            open &= foot(ui, state, &mut choice, context);
        });
    } else {
        let height = (height - FOOT).clamp(LIST_MIN, 280.0);
        ScrollArea::vertical().max_height(height).show(ui, |ui| list(ui, &mut choice, context));
        open &= foot(ui, state, &mut choice, context);
    }
    state.chosen = Some(choice).filter(|_| open);
    open
}

/// The devices that can be chosen.
fn list(ui: &mut Ui, choice: &mut Choice, context: &PanelContext<'_>) {
    let theme = context.theme;
    let mut devices: Vec<&Listed> = context.snapshot.devices.iter().collect();
    devices.sort_by_key(|listed| usefulness(listed));
    for listed in devices {
        let (free, details) = availability(listed);
        let is_chosen = listed.is_opened_by(&choice.name);
        if device_line(ui, &listed.title, &format!("{}  ·  {details}", listed.name), free, is_chosen, context) {
            choice.name.clone_from(&listed.name);
            choice.inputs = None;
        }
    }
    if context.snapshot.devices.is_empty() {
        let text = "No sound card is found. Plug one in and look again; if one is there, add yourself to group 'audio' and log in again.";
        ui.label(RichText::new(text).color(theme.quiet));
    }
    let built_in = is_virtual(&choice.name);
    if device_line(ui, "Built-in", "Plays test tones at its inputs; needs no card", true, built_in, context)
        && !built_in
    {
        "virtual".clone_into(&mut choice.name);
        choice.inputs = Some(crate::control::setup::BUILT_IN_INPUTS);
    }
}

/// Formats, the button that opens the device, and the placing offset. Returns whether the panel stays open.
fn foot(ui: &mut Ui, state: &mut DeviceState, choice: &mut Choice, context: &mut PanelContext<'_>) -> bool {
    let theme = context.theme;
    let mut open = true;
    ui.separator();
    format_choices(ui, choice, context);
    ui.add_space(6.0);
    ui.horizontal_wrapped(|ui| {
        let free = context.snapshot.transport.pass.is_none();
        let button =
            Button::text("Use this device", "Use this device").look(Look::Filled(theme.accent)).size(130.0, 32.0);
        if button.enabled(free).show(ui, theme).clicked() {
            let changes = vec![
                SettingsChange::Device(Some(choice.name.clone())),
                SettingsChange::Inputs(choice.inputs),
                SettingsChange::Rate(choice.rate),
                SettingsChange::Period(choice.period),
            ];
            context.send(Command::Settings(changes));
            context.send(Command::Reopen);
            open = false;
        }
        if !free {
            ui.label(RichText::new("A pass is being recorded: stop it first").color(theme.caution));
        }
    });
    offset_control(ui, state, context);
    open
}

/// The order of the list: cards that are free, then what sound servers offer, then plugins such as `null`.
fn usefulness(listed: &Listed) -> (bool, bool, bool) {
    let channels = |side: &Option<Listing>| match side {
        Some(Listing::Free(abilities)) => Some(abilities.channels_max as usize),
        _ => None,
    };
    let (inputs, outputs) = (channels(&listed.capture), channels(&listed.playback));
    let is_plugin =
        listed.name.ends_with(":null") || inputs.max(outputs).is_some_and(|channels| CHANNELS_ABSURD <= channels);
    (is_plugin, inputs.is_none(), !listed.name.starts_with("alsa:hw:"))
}

/// The choice that is open now.
fn open_choice(context: &PanelContext<'_>) -> Choice {
    let (device, settings) = (&context.snapshot.device, &context.snapshot.settings);
    let name = if device.name.is_empty() { settings.device.clone().unwrap_or_default() } else { device.name.clone() };
    // The number in the settings belongs to the device in the settings. Another one may be open in its place.
    let inputs = settings.inputs.filter(|_| settings.device.as_ref() == Some(&name));
    Choice { name, inputs, rate: settings.rate, period: settings.period }
}

/// Whether a device can be chosen, and a text with its channels or with the reason why not.
fn availability(listed: &Listed) -> (bool, String) {
    // A sound server is asked for a card, and for nothing else.
    let is_asked_for = |side: &Listing| listed.hardware && side.is_asked_for();
    let side = |of: &Option<Listing>, word: &str, subject: &str| {
        let of = of.as_ref()?;
        Some(match of {
            Listing::Free(abilities) if CHANNELS_ABSURD <= abilities.channels_max as usize => {
                format!("any number {word}")
            }
            Listing::Free(abilities) => format!("{} {word}", abilities.channels_max),
            Listing::Busy { holder } => {
                let holder = holder.as_deref().unwrap_or("another program");
                let asked = if is_asked_for(of) { ", which is asked to let the card go" } else { "" };
                format!("{subject} in use by {holder}{asked}")
            }
            Listing::Refused { reason } => format!("{subject} refused: {reason}"),
        })
    };
    let can_be_chosen =
        listed.capture.as_ref().is_some_and(|side| matches!(side, Listing::Free(_)) || is_asked_for(side));
    let sides = [side(&listed.capture, "in", "inputs"), side(&listed.playback, "out", "outputs")];
    (can_be_chosen, sides.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Draws a line of the list. Returns whether the user clicked it.
fn device_line(ui: &mut Ui, title: &str, details: &str, free: bool, on: bool, context: &PanelContext<'_>) -> bool {
    let theme = context.theme;
    let sense = if free { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 40.0), sense);
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, free, on, title));
    describe(&response, details);
    if on || response.hovered() && free {
        ui.painter().rect_filled(rect, 6, if on { theme.button } else { theme.line_soft });
    }
    let colour = if free { theme.text } else { theme.faint };
    ui.painter().circle_stroke(
        rect.left_center() + vec2(14.0, 0.0),
        6.0,
        (1.5, if on { theme.accent } else { theme.faint }),
    );
    if on {
        ui.painter().circle_filled(rect.left_center() + vec2(14.0, 0.0), 3.5, theme.accent);
    }
    let left = rect.left_top() + vec2(32.0, 12.0);
    let width = rect.width() - 40.0;
    text_at(ui, left, Align2::LEFT_CENTER, title, Theme::medium(12.5), colour, width);
    let below = rect.left_top() + vec2(32.0, 28.0);
    text_at(ui, below, Align2::LEFT_CENTER, details, Theme::font(11.0), theme.quiet, width);
    let clicked = response.clicked();
    response.on_hover_text(format!("{title}\n{details}"));
    clicked
}

/// The control for the placing offset of the open device.
fn offset_control(ui: &mut Ui, state: &mut DeviceState, context: &mut PanelContext<'_>) {
    let (device, theme) = (&context.snapshot.device, context.theme);
    if device.offset_key.is_empty() || device.outputs == 0 {
        return;
    }
    let key = device.offset_key.clone();
    let ms = 1000.0 / f64::from(device.rate.max(1));
    let stored = context.snapshot.settings.offset_of(&key);
    // The settings of this picture may be older than the last change.
    state.offset = state.offset.take().filter(|(of, offset)| *of == key && *offset != stored);
    let mut offset = state.offset.as_ref().map_or(stored, |(_, offset)| *offset);
    ui.add_space(4.0);
    ui.separator();
    ui.horizontal_wrapped(|ui| {
        ui.label("Placing offset");
        let most = LATENCY_OFFSET_MAX;
        let field = ui.add(DragValue::new(&mut offset).range(-most..=most)).accessible_name("Placing offset in frames");
        if field.changed() {
            state.offset = Some((key.clone(), offset));
            context.send(Command::Settings(vec![SettingsChange::Offset { key, offset }]));
        }
        let text = format!("frames, {:.2} ms, of {}", offset as f64 * ms, context.snapshot.device.title);
        ui.label(RichText::new(text).color(theme.quiet));
    });
    let what =
        "Takes recorded to playback are placed this much earlier than the device tells; from the next recording on";
    ui.add(egui::Label::new(RichText::new(what).font(Theme::font(11.0)).color(theme.quiet)).wrap());
    if let Some(advice) = &context.snapshot.device.placing {
        ui.add(egui::Label::new(RichText::new(advice).font(Theme::font(11.0)).color(theme.caution)).wrap());
    }
}

/// The controls for inputs, sample rate and period.
fn format_choices(ui: &mut Ui, choice: &mut Choice, context: &PanelContext<'_>) {
    let theme = context.theme;
    ui.horizontal_wrapped(|ui| {
        ui.label("Inputs");
        let mut all = choice.inputs.is_none();
        if ui.checkbox(&mut all, "All").accessible_name("Inputs: all").changed() {
            choice.inputs = (!all).then_some(context.snapshot.device.inputs.max(1));
        }
        if let Some(inputs) = &mut choice.inputs {
            ui.add(DragValue::new(inputs).range(1..=1024)).accessible_name("Inputs to open");
        }
        ui.add_space(16.0);
        let fixed = !context.snapshot.session.takes().is_empty();
        if fixed {
            let text = format!("{} Hz, as the takes of this session", context.snapshot.session.rate().0);
            ui.label(RichText::new(text).color(theme.quiet));
        } else {
            for rate in [44_100, 48_000, 88_200, 96_000, 192_000] {
                let name = if rate % 1000 == 0 {
                    format!("{} kHz", rate / 1000)
                } else {
                    format!("{:.1} kHz", f64::from(rate) / 1e3)
                };
                widget::choice(ui, "Sample rate", &mut choice.rate, rate, &name);
            }
        }
    });
    ui.horizontal_wrapped(|ui| {
        ui.label("Period");
        for period in PERIODS {
            let ms = period as f32 * 1000.0 / choice.rate.max(1) as f32;
            let frames = widget::choice(ui, "Period", &mut choice.period, period, &period.to_string());
            frames.on_hover_text(format!("{ms:.1} ms"));
        }
        let ms = 2000.0 * choice.period as f32 / choice.rate.max(1) as f32;
        ui.label(RichText::new(format!("frames, {ms:.1} ms in and out")).color(theme.quiet));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "gui-tests")]
    use crate::app::settings::Settings;

    /// The line could not be clicked, so the sound server was never asked for the card.
    #[test]
    fn a_card_that_a_sound_server_holds_can_be_chosen_and_one_that_a_recorder_holds_cannot() {
        let busy = |holder: &str| Listing::Busy { holder: Some(holder.to_owned()) };
        let listed = |capture, hardware| {
            let (name, title) = ("alsa:hw:CARD=UMC,DEV=0".to_owned(), "UMC1820, USB Audio".to_owned());
            availability(&Listed { name, title, hardware, capture: Some(capture), playback: Some(busy("arecord")) })
        };
        let (can_be_chosen, text) = listed(busy("pipewire (process 7)"), true);
        let asked = "inputs in use by pipewire (process 7), which is asked to let the card go";
        assert_eq!(text, format!("{asked}, outputs in use by arecord"));
        assert!(can_be_chosen);
        assert!(listed(Listing::Busy { holder: None }, true).0);
        let recorder = (false, "inputs in use by arecord (process 7), outputs in use by arecord".to_owned());
        assert_eq!(listed(busy("arecord (process 7)"), true), recorder);
        // Nobody is asked for a PCM of the configuration.
        assert!(!listed(busy("pipewire (process 7)"), false).0);
    }

    /// The card of the settings was not there, another one was open, and "Use this device" opened it with the number of inputs
    /// of the first one.
    #[cfg(feature = "gui-tests")]
    #[test]
    fn the_number_of_inputs_in_the_settings_is_not_that_of_another_device() {
        use crate::ui::panel_context::test_panel::Surroundings;
        let mut surroundings = Surroundings::new(crate::ui::demo::stopped(2, 1));
        let mut inputs_of = |chosen: &str, open: &str| {
            let settings = Settings { device: Some(chosen.to_owned()), inputs: Some(16), ..Settings::default() };
            surroundings.snapshot.settings = settings.into();
            open.clone_into(&mut surroundings.snapshot.device.name);
            open_choice(&surroundings.context(0.0)).inputs
        };
        assert_eq!(inputs_of("alsa:hw:CARD=UMC,DEV=0", "virtual"), None);
        assert_eq!(inputs_of("virtual", "virtual"), Some(16));
        assert_eq!(inputs_of("virtual", ""), Some(16));
    }
}
