//! The settings panel. Every change is sent at once. Thread: ui.

use crate::app::command::Command;
use crate::app::naming::default_folder;
use crate::app::settings::{Settings, ThemeChoice, TimeFormat};
use crate::app::settings_change::SettingsChange;
use crate::butler::capabilities::CapturePath;
use crate::format::TakeFormat;
use crate::ui::action::Action;
use crate::ui::announce;
use crate::ui::dialog::{Dialog, NOT_WHOLE, title, whole_path};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{Button, Look, choice, label};
use egui::accesskit::Live;
use egui::{DragValue, Key, Label, RichText, ScrollArea, Slider, TextEdit, Ui};
use std::path::PathBuf;

/// Width in points from which a row has its name at the left of its controls. In a narrower panel the name is above them.
const WIDE: f32 = 560.0;

/// Height of the line with the button, in points: in a wide panel, and in a narrow one, where its text has more lines.
const FOOT: (f32, f32) = (46.0, 64.0);

/// State that the panel keeps between pictures.
#[derive(Default)]
pub struct SettingsState {
    sessions: PathField,
    mirror: FolderField,
    overflow: FolderField,
    /// The folder for new sessions where the settings name none. Found once, because that reads a file of the desktop.
    default_sessions: Option<PathBuf>,
}

/// The folders on other disks that the user has named since the last picture, also the same ones as before.
#[derive(Default)]
struct Named {
    mirror: bool,
    overflow: bool,
}

/// State of a field for the path of a folder.
#[derive(Default)]
struct PathField {
    /// Text of the field while the user types, and after it was refused.
    typed: Option<String>,
    /// Why the typed text was refused.
    refusal: &'static str,
}

/// State of a field for a folder on another disk.
#[derive(Default)]
struct FolderField {
    path: PathField,
    dialog: Dialog,
}

/// Draws the panel into the rest of `ui`.
///
/// Returns whether the panel stays open.
pub fn show(ui: &mut Ui, state: &mut SettingsState, context: &mut PanelContext<'_>) -> bool {
    let mut settings = (*context.snapshot.settings).clone();
    let mut named = Named::default();
    let mut open = !title(ui, "Settings", context.theme);
    ui.add_space(4.0);
    let foot = if ui.available_width() < WIDE { FOOT.1 } else { FOOT.0 };
    let height = (ui.available_height() - foot).max(60.0);
    ScrollArea::vertical().max_height(height).show(ui, |ui| {
        heading(ui, "Recording", context);
        recording(ui, state, &mut settings, context);
        heading(ui, "Other disks", context);
        named = other_disks(ui, state, &mut settings, context);
        heading(ui, "Memory", context);
        memory(ui, &mut settings, context);
        heading(ui, "Window", context);
        appearance(ui, &mut settings, context);
    });
    let changes = changes(&settings, &context.snapshot.settings, &named);
    if !changes.is_empty() {
        context.view.follow = settings.follow;
        context.view.tall = settings.tall;
        context.send(Command::Settings(changes));
    }
    ui.add_space(6.0);
    ui.horizontal(|ui| {
        let free = context.snapshot.transport.pass.is_none();
        let apply = Button::text("Apply now", "Apply now")
            .look(Look::Filled(context.theme.accent))
            .size(96.0, 30.0)
            .enabled(free);
        if apply.show(ui, context.theme).clicked() {
            context.send(Command::Reopen);
            open = false;
        }
        let text = if free {
            "Capture path, lead, memory and period take effect when the device is opened again"
        } else {
            "Not while a pass is recorded; the rest takes effect at once"
        };
        ui.add(Label::new(RichText::new(text).color(context.theme.quiet)).wrap());
    });
    open
}

/// The changes that make `settings` of `before`. A folder that the user has named is among them in any case: one that was
/// refused is opened again when it is named again.
fn changes(settings: &Settings, before: &Settings, named: &Named) -> Vec<SettingsChange> {
    let mut changes = settings.changes_since(before);
    if named.mirror && settings.mirror == before.mirror {
        changes.push(SettingsChange::Mirror(settings.mirror.clone()));
    }
    if named.overflow && settings.overflow == before.overflow {
        changes.push(SettingsChange::Overflow(settings.overflow.clone()));
    }
    changes
}

fn heading(ui: &mut Ui, text: &str, context: &PanelContext<'_>) {
    ui.add_space(8.0);
    ui.label(RichText::new(text).font(Theme::semi(13.0)).color(context.theme.text));
    ui.separator();
}

/// A row: the name at the left or above, controls, and the explanation `what` below the controls.
fn row(ui: &mut Ui, name: &str, what: &str, context: &PanelContext<'_>, add: impl FnOnce(&mut Ui)) {
    let controls = |ui: &mut Ui| {
        ui.horizontal_wrapped(add);
        if !what.is_empty() {
            ui.add(Label::new(RichText::new(what).font(Theme::font(11.0)).color(context.theme.quiet)).wrap());
        }
    };
    if ui.available_width() < WIDE {
        label(ui, name, ui.available_width(), context.theme.text);
        controls(ui);
        ui.add_space(4.0);
        return;
    }
    ui.horizontal(|ui| {
        label(ui, name, 150.0, context.theme.text);
        ui.vertical(controls);
    });
}

fn recording(ui: &mut Ui, state: &mut SettingsState, settings: &mut Settings, context: &mut PanelContext<'_>) {
    let device = context.snapshot.device.title.clone();
    let mut choose = false;
    row(ui, "Device", "", context, |ui| {
        ui.label(if device.is_empty() { "None" } else { &device });
        choose = Button::text("Choose a device", "Choose\u{2026}").size(80.0, 26.0).show(ui, context.theme).clicked();
    });
    if choose {
        context.act(Action::Device);
    }
    row(ui, "Sessions in", "New sessions are folders here, named by date", context, |ui| {
        let default = state.default_sessions.get_or_insert_with(default_folder);
        let shown = settings.sessions.as_ref().unwrap_or(default).display().to_string();
        path_field(ui, &mut state.sessions, ("Folder for sessions", "", 420.0), shown, &mut settings.sessions);
        refusal(ui, &state.sessions, context);
    });
    row(ui, "Format of takes", "For new takes, in this session and in new ones", context, |ui| {
        for (format, name) in
            [(TakeFormat::S16, "16 bit"), (TakeFormat::S24, "24 bit"), (TakeFormat::F32, "32-bit float")]
        {
            choice(ui, "Format of takes", &mut settings.format, format, name);
        }
    });
    let what = match settings.capture_path {
        CapturePath::Spool => "Spool: sound goes to locked memory first. No page fault, whatever the disk does",
        CapturePath::InPlace => {
            "In place: sound goes straight into the files' pages. Faults happen, and can be watched"
        }
    };
    row(ui, "Capture path", what, context, |ui| {
        choice(ui, "Capture path", &mut settings.capture_path, CapturePath::Spool, "Spool");
        choice(ui, "Capture path", &mut settings.capture_path, CapturePath::InPlace, "In place");
    });
    row(
        ui,
        "Hear armed inputs",
        "For tracks set to auto. Automatic: on with more than two inputs, so that a laptop makes no feedback",
        context,
        |ui| {
            for (monitors, name) in [(None, "Automatic"), (Some(true), "Yes"), (Some(false), "No")] {
                choice(ui, "Hear armed inputs", &mut settings.monitors, monitors, name);
            }
        },
    );
    row(ui, "Pre-roll", "", context, |ui| {
        in_seconds(&mut settings.pre_roll_ms, |seconds| {
            let value = DragValue::new(seconds).range(0.0..=60.0).speed(0.01).max_decimals(2).suffix(" s");
            ui.add(value).accessible_name("Pre-roll");
        });
    });
}

fn other_disks(
    ui: &mut Ui,
    state: &mut SettingsState,
    settings: &mut Settings,
    context: &mut PanelContext<'_>,
) -> Named {
    let what = "Every take is written here too, from the next recording on. Better on another disk: either may fail";
    let mirror = folder_row(ui, ("Mirror", what), &mut state.mirror, &mut settings.mirror, context);
    let what = "When the session's disk is full or fails, takes continue here without a gap";
    let overflow = folder_row(ui, ("If the disk is full", what), &mut state.overflow, &mut settings.overflow, context);
    Named { mirror, overflow }
}

/// A row for an optional folder. The user types it or chooses it in the desktop's dialog. Returns whether the user has named
/// a folder, also the same one as before.
fn folder_row(
    ui: &mut Ui,
    (name, what): (&str, &str),
    state: &mut FolderField,
    value: &mut Option<PathBuf>,
    context: &mut PanelContext<'_>,
) -> bool {
    let (mut choose, mut clear, mut is_named) = (false, false, false);
    row(ui, name, what, context, |ui| {
        let shown = value.as_ref().map_or_else(String::new, |path| path.display().to_string());
        is_named = path_field(ui, &mut state.path, (&format!("{name}: folder"), "No folder", 330.0), shown, value);
        let (choosing, clearing) = (format!("{name}: choose a folder"), format!("{name}: none"));
        let button = Button::text(&choosing, "Choose\u{2026}").size(80.0, 26.0);
        choose = button.show(ui, context.theme).clicked();
        let none = Button::text(&clearing, "None").size(60.0, 26.0).enabled(value.is_some());
        clear = none.show(ui, context.theme).clicked();
        refusal(ui, &state.path, context);
    });
    if choose || clear {
        state.path = PathField::default();
    }
    if choose {
        state.dialog.folder(ui, "Choose a folder", value.clone());
    }
    if let Some(folder) = state.dialog.show(ui, context.theme) {
        *value = Some(folder);
        is_named = true;
    }
    if clear {
        *value = None;
    }
    is_named
}

/// Draws the field for the path `value`, which is written as `shown`. The path changes when the user leaves the field; Esc
/// drops what was typed. A text that is not a whole path changes nothing, and stays in the field with the reason. An empty
/// text means no folder. Returns whether the user has named a folder: has typed one, or has pressed Enter in the field.
fn path_field(
    ui: &mut Ui,
    state: &mut PathField,
    (name, hint, width): (&str, &str, f32),
    shown: String,
    value: &mut Option<PathBuf>,
) -> bool {
    let mut text = state.typed.clone().unwrap_or(shown);
    let field = TextEdit::singleline(&mut text).desired_width(width).hint_text(hint);
    let field = ui.add(field).accessible_name(name);
    if field.changed() {
        *state = PathField { typed: Some(text), refusal: "" };
    }
    if !field.lost_focus() {
        return false;
    }
    let (escapes, enters) = ui.input(|input| (input.key_pressed(Key::Escape), input.key_pressed(Key::Enter)));
    let Some(typed) = state.typed.take().filter(|_| !escapes) else {
        *state = PathField::default();
        return enters && value.is_some();
    };
    match whole_path(&typed) {
        Some(path) => *value = Some(path),
        None if typed.trim().is_empty() => *value = None,
        None => {
            *state = PathField { typed: Some(typed), refusal: NOT_WHOLE };
            return false;
        }
    }
    value.is_some()
}

/// Draws why the text of a field was refused.
fn refusal(ui: &mut Ui, state: &PathField, context: &PanelContext<'_>) {
    if !state.refusal.is_empty() {
        let label = ui.label(RichText::new(state.refusal).color(context.theme.caution));
        announce::live(&label, Live::Assertive);
    }
}

fn memory(ui: &mut Ui, settings: &mut Settings, context: &PanelContext<'_>) {
    row(
        ui,
        "Lead",
        "Memory that is ready ahead of the record and play positions, as far as locked memory allows",
        context,
        |ui| {
            in_seconds(&mut settings.lead_ms, |seconds| {
                let lead = Slider::new(seconds, 0.1..=10.0).logarithmic(true).max_decimals(2).suffix(" s");
                ui.add(lead).accessible_name("Lead");
            });
        },
    );
    limit_row(
        ui,
        "Locked memory",
        "Without a limit: what the system allows, up to an eighth of memory (on small machines up to a quarter)",
        &mut settings.lock_kib,
        (8192, " KiB"),
        context,
    );
    limit_row(
        ui,
        "Spool",
        "Memory for a disk that stalls. Without a limit: up to a quarter of memory",
        &mut settings.spool_mib,
        (2048, " MiB"),
        context,
    );
}

/// Edits a number of milliseconds as seconds: the health line and the ruler have seconds, too. A value that the user does
/// not change keeps its milliseconds.
fn in_seconds(ms: &mut u64, edit: impl FnOnce(&mut f64)) {
    let before = *ms as f64 / 1000.0;
    let mut seconds = before;
    edit(&mut seconds);
    if (seconds - before).abs() > 0.0005 {
        *ms = (seconds * 1000.0).round() as u64;
    }
}

/// A row for an optional limit. `usual` is the value when the user switches the limit on.
fn limit_row(
    ui: &mut Ui,
    name: &str,
    what: &str,
    value: &mut Option<u64>,
    (usual, unit): (u64, &str),
    context: &PanelContext<'_>,
) {
    row(ui, name, what, context, |ui| {
        let mut on = value.is_some();
        if ui.checkbox(&mut on, format!("Limit {}", name.to_lowercase())).changed() {
            *value = on.then_some(usual);
        }
        if let Some(value) = value {
            ui.add(DragValue::new(value).range(64..=1 << 24).suffix(unit)).accessible_name(format!("{name} limit"));
        }
    });
}

fn appearance(ui: &mut Ui, settings: &mut Settings, context: &mut PanelContext<'_>) {
    row(ui, "Colours", "", context, |ui| {
        for (theme, name) in
            [(ThemeChoice::Dark, "Dark"), (ThemeChoice::Light, "Light"), (ThemeChoice::System, "As the desktop")]
        {
            choice(ui, "Colours", &mut settings.theme, theme, name);
        }
    });
    row(ui, "Size", "", context, |ui| {
        for percent in [75_u32, 100, 125, 150, 200, 300] {
            let on = (settings.zoom * 100.0 - percent as f32).abs() < 1.0;
            let name = format!("{percent} %");
            if ui.selectable_label(on, &name).accessible_name(format!("Size: {name}")).clicked() {
                settings.zoom = percent as f32 / 100.0;
            }
        }
    });
    row(ui, "Time", "", context, |ui| {
        for (time, name) in [(TimeFormat::Clock, "Hours"), (TimeFormat::Samples, "Samples"), (TimeFormat::Bars, "Bars")]
        {
            choice(ui, "Time", &mut settings.time, time, name);
        }
    });
    row(ui, "Tempo", "For bars and beats", context, |ui| {
        ui.add(DragValue::new(&mut settings.tempo.0).range(20.0..=400.0).speed(0.2).suffix(" a minute"))
            .accessible_name("Tempo");
        ui.add(DragValue::new(&mut settings.tempo.1).range(1..=32).suffix(" beats a bar"))
            .accessible_name("Beats a bar");
    });
    row(ui, "Timeline", "", context, |ui| {
        ui.checkbox(&mut settings.follow, "Follow the playhead");
        ui.checkbox(&mut settings.tall, "Tall rows");
    });
    let mut keys = false;
    row(ui, "Keys", "", context, |ui| {
        keys = Button::text("Keys sheet", "Show and change").size(120.0, 26.0).show(ui, context.theme).clicked();
    });
    if keys {
        context.act(Action::Keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pre-roll was "2000 ms" and the lead "1000 ms", while the health line said "1.0 s lead".
    #[test]
    fn times_are_edited_in_seconds_and_stay_as_they_are_without_a_change() {
        let mut ms = 2000;
        in_seconds(&mut ms, |seconds| {
            assert!((*seconds - 2.0).abs() < 1e-9);
            *seconds = 0.25;
        });
        assert_eq!(ms, 250);
        in_seconds(&mut ms, |_| {});
        assert_eq!(ms, 250);
    }
}
