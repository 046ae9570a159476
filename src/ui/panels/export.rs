//! The export panel: choices, names of the files to write, and progress. Thread: ui.

use crate::app::command::Command;
use crate::app::jobs::{ExportRequest, options};
use crate::export::plan;
use crate::format::TakeFormat;
use crate::session::names::EXPORT;
use crate::ui::dialog::{Dialog, NOT_WHOLE, whole_path};
use crate::ui::format;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{GRID, Theme};
use crate::ui::widget::{Button, Look, choice, label};
use egui::{Frame, Margin, ProgressBar, RichText, ScrollArea, TextEdit, Ui};

/// State that the panel keeps between pictures.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate choice of the user")]
pub struct ExportState {
    /// Export one stereo mix, not a file for each track.
    mix: bool,
    /// Export the selected tracks only.
    selected: bool,
    /// Export the range only.
    ranged: bool,
    /// Replace files that exist.
    replace: bool,
    /// `None`: the format of the takes.
    format: Option<TakeFormat>,
    /// Text of the folder field. `None`: the folder `export` of the session.
    to: Option<String>,
    dialog: Dialog,
    /// The plan for a request and a revision of the session. Computed again only if one of them changes.
    planned: Option<(ExportRequest, u64, Planned)>,
}

/// Names and sizes in bytes of the files to write, or the reason why none can be written.
type Planned = Result<Vec<(String, u64)>, String>;

/// Width in points from which the files are beside the choices. In a narrower panel they are below them.
const TWO_COLUMNS: f32 = 800.0;

/// Number of file names that the panel shows.
const NAMES_SHOWN: usize = 40;

/// Draws the panel into the rest of `ui`.
pub fn show(ui: &mut Ui, state: &mut ExportState, context: &mut PanelContext<'_>) {
    Frame::NONE.inner_margin(Margin::symmetric(16, 10)).show(ui, |ui| {
        if ui.available_width() < TWO_COLUMNS {
            ScrollArea::vertical().id_salt("export").auto_shrink(false).show(ui, |ui| {
                choose(ui, state, context);
                ui.add_space(GRID);
                let request = request(state, context);
                preview(ui, state, request.as_ref(), false, context);
            });
            return;
        }
        ui.columns(2, |columns| {
            let choices = ScrollArea::vertical().id_salt("choices").auto_shrink(false);
            choices.show(&mut columns[0], |ui| choose(ui, state, context));
            let request = request(state, context);
            preview(&mut columns[1], state, request.as_ref(), true, context);
        });
    });
}

/// The request of the choices. `None`: the text of the folder is not a whole path.
fn request(state: &ExportState, context: &PanelContext<'_>) -> Option<ExportRequest> {
    let folder = match &state.to {
        Some(text) => whole_path(text)?,
        None => context.snapshot.folder.join(EXPORT),
    };
    let selected =
        context.snapshot.session.track_ids().filter(|id| context.view.selected_tracks.contains(id)).collect();
    Some(ExportRequest {
        to: folder,
        tracks: state.selected.then_some(selected),
        range: context.snapshot.transport.range.filter(|_| state.ranged),
        format: state.format,
        mix: state.mix,
        replace: state.replace,
    })
}

fn choose(ui: &mut Ui, state: &mut ExportState, context: &mut PanelContext<'_>) {
    let line = |ui: &mut Ui, what: &str, add: &mut dyn FnMut(&mut Ui)| {
        ui.horizontal_wrapped(|ui| {
            label(ui, what, 72.0, context.theme.quiet);
            add(ui);
        });
    };
    line(ui, "What", &mut |ui| {
        choice(ui, "What", &mut state.mix, false, "A file for each track");
        choice(ui, "What", &mut state.mix, true, "One stereo mix");
    });
    line(ui, "Tracks", &mut |ui| {
        choice(ui, "Tracks", &mut state.selected, false, "All");
        let text = match context.view.selected_tracks.len() {
            0 => "No track is selected".to_owned(),
            number => format!("The {number} selected"),
        };
        let has_selection = !context.view.selected_tracks.is_empty();
        ui.add_enabled_ui(has_selection, |ui| choice(ui, "Tracks", &mut state.selected, true, &text));
    });
    state.selected &= !context.view.selected_tracks.is_empty();
    let transport = &context.snapshot.transport;
    line(ui, "Range", &mut |ui| {
        choice(ui, "Range", &mut state.ranged, false, "Whole session");
        let text = transport.range.map_or_else(
            || "No range is selected".to_owned(),
            |(from, to)| {
                let position = |at| {
                    format::position(
                        at,
                        transport.rate,
                        context.snapshot.settings.time,
                        context.snapshot.settings.tempo,
                    )
                };
                format!("{} to {}", position(from), position(to))
            },
        );
        let has_range = transport.range.is_some();
        ui.add_enabled_ui(has_range, |ui| choice(ui, "Range", &mut state.ranged, true, &text));
    });
    state.ranged &= transport.range.is_some();
    line(ui, "Format", &mut |ui| {
        let formats = [
            (None, "As recorded"),
            (Some(TakeFormat::S16), "16 bit"),
            (Some(TakeFormat::S24), "24 bit"),
            (Some(TakeFormat::F32), "32-bit float"),
        ];
        for (format, name) in formats {
            choice(ui, "Format", &mut state.format, format, name);
        }
    });
    line(ui, "Folder", &mut |ui| {
        let shown = context.snapshot.folder.join(EXPORT).display().to_string();
        let mut text = state.to.clone().unwrap_or(shown);
        let width = (ui.available_width() - 196.0).max(120.0);
        if ui.add(TextEdit::singleline(&mut text).desired_width(width)).accessible_name("Export folder").changed() {
            state.to = Some(text.clone());
        }
        if Button::text("Choose a folder", "Choose\u{2026}").size(74.0, 26.0).show(ui, context.theme).clicked() {
            state.dialog.folder(ui, "Export to", whole_path(&text).filter(|start| start.is_dir()));
        }
    });
    if let Some(folder) = state.dialog.show(ui, context.theme) {
        state.to = Some(folder.display().to_string());
    }
    ui.checkbox(&mut state.replace, "Replace files that are there");
}

/// Makes the plan for the request, unless the panel has it.
fn update_plan(state: &mut ExportState, request: &ExportRequest, context: &PanelContext<'_>) {
    let revision = context.snapshot.revision;
    if state.planned.as_ref().is_none_or(|(planned, at, _)| planned != request || *at != revision) {
        let session = &context.snapshot.session;
        let made = plan::plan(session, &options(request, context.snapshot.folder.clone(), session));
        let names = made.map_err(|error| error.to_string()).map(|plan| {
            let name = |planned: &plan::PlannedFile| {
                let name =
                    planned.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                (name, planned.sound_bytes())
            };
            plan.files.iter().map(name).collect()
        });
        state.planned = Some((request.clone(), revision, names));
    }
}

/// Draws the button and the files to write. Without a `request` there is nothing to write, and the reason takes the place of
/// the files. `scrolls`: the files scroll by themselves.
fn preview(
    ui: &mut Ui,
    state: &mut ExportState,
    request: Option<&ExportRequest>,
    scrolls: bool,
    context: &mut PanelContext<'_>,
) {
    let theme = context.theme;
    if let Some(request) = request {
        update_plan(state, request, context);
    }
    let not_whole: Planned = Err(NOT_WHOLE.to_owned());
    let planned = match (&state.planned, request) {
        (Some((_, _, planned)), Some(_)) => planned,
        _ => &not_whole,
    };
    ui.horizontal_wrapped(|ui| {
        let running = context.snapshot.export.progress;
        if let Some(fraction) = running {
            if Button::text("Cancel export", "Cancel").size(72.0, 30.0).show(ui, theme).clicked() {
                context.send(Command::CancelExport);
            }
            ui.add(ProgressBar::new(fraction).desired_width(200.0).desired_height(8.0));
            ui.label(RichText::new(&context.snapshot.export.file).color(theme.quiet));
            return;
        }
        let count = planned.as_ref().map_or(0, Vec::len);
        let text = if count == 1 { "Export 1 file".to_owned() } else { format!("Export {count} files") };
        let button = Button::text("Export now", &text).look(Look::Filled(theme.accent)).size(110.0, 30.0);
        let clicked = button.enabled(count > 0).show(ui, theme).clicked();
        if let Some(request) = request.filter(|_| clicked) {
            context.send(Command::Export(Box::new(request.clone())));
        }
        match &context.snapshot.export.ended {
            Some(Ok(files)) => {
                ui.label(RichText::new(format!("{} written", format::count(files.len(), "file"))).color(theme.good));
                let button = Button::text("Open the export folder", "Open folder").size(90.0, 26.0);
                if let Some(request) = request
                    && button.show(ui, theme).clicked()
                {
                    context.open_folder(request.to.clone());
                }
            }
            Some(Err(reason)) => {
                ui.label(RichText::new(reason).color(theme.caution));
            }
            None => {}
        }
    });
    match planned {
        Err(reason) => {
            ui.label(RichText::new(reason).color(theme.quiet));
        }
        Ok(files) => {
            let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
            ui.label(RichText::new(format!("{} in all:", format::disk_bytes(bytes))).color(theme.quiet));
            if scrolls {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| names(ui, files, theme));
            } else {
                names(ui, files, theme);
            }
        }
    }
}

/// The files to write, with their sizes.
fn names(ui: &mut Ui, files: &[(String, u64)], theme: &Theme) {
    for (name, bytes) in files.iter().take(NAMES_SHOWN) {
        let text = format!("{name}   {}", format::disk_bytes(*bytes));
        ui.label(RichText::new(text).font(Theme::font(11.5)).color(theme.text));
    }
    if files.len() > NAMES_SHOWN {
        ui.label(RichText::new(format!("and {} more", files.len() - NAMES_SHOWN)).color(theme.quiet));
    }
}
