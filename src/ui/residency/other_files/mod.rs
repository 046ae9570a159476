//! The residency panel while it shows other files: those of a path, or those that a process maps. Thread: ui.

mod lanes;
mod sampler;

use crate::residency::watch::{ProcessLook, WatchSample};
use crate::session::names::AUDIO;
use crate::ui::dialog::Dialog;
use crate::ui::format::{count, memory_bytes};
use crate::ui::panel_context::{PanelContext, short_path};
use crate::ui::theme::Theme;
use crate::ui::widget::{Button, Look, text_at};
use egui::{
    Align, Align2, Key, Layout, Rect, RichText, Role, ScrollArea, Sense, TextEdit, Ui, UiBuilder, WidgetInfo, vec2,
};
use sampler::{OtherSampler, Target};
use std::sync::Arc;

/// Height of the line with the field, in points.
const BAR: f32 = 38.0;

/// State that the panel keeps between pictures.
#[derive(Default)]
pub(super) struct OtherFiles {
    /// The text of the field. `None`: the panel shows the takes.
    text: Option<String>,
    /// Whether the field still needs the focus.
    is_new: bool,
    refusal: &'static str,
    target: Option<Target>,
    /// Samples of the target, while the panel is visible.
    sampler: Option<OtherSampler>,
    /// The last sample. It is shown until the first one of a new target.
    sample: Option<Arc<WatchSample>>,
    dialog: Dialog,
    atlas: lanes::Atlas,
}

impl OtherFiles {
    /// Whether the panel shows other files.
    pub(super) fn is_shown(&self) -> bool {
        self.text.is_some()
    }

    /// Shows other files: the last ones, or a field to name them.
    pub(super) fn show_them(&mut self) {
        self.text = Some(self.target.as_ref().map_or_else(String::new, words));
        self.is_new = true;
    }

    /// Shows the takes again.
    pub(super) fn show_takes(&mut self) {
        (self.text, self.sampler, self.refusal) = (None, None, "");
    }

    /// The panel is not visible any more. Nobody samples until it is.
    pub(super) fn hide(&mut self) {
        self.sampler = None;
    }

    fn watch(&mut self, target: Target) {
        self.text = Some(words(&target));
        if self.target.as_ref() != Some(&target) {
            self.sample = None;
        }
        (self.target, self.sampler, self.refusal) = (Some(target), None, "");
    }
}

/// The text that means a target.
fn words(target: &Target) -> String {
    match target {
        Target::Path(path) => path.display().to_string(),
        Target::Process(pid) => pid.to_string(),
    }
}

/// Draws the panel into the rest of `ui`.
pub(super) fn show(ui: &mut Ui, state: &mut OtherFiles, context: &mut PanelContext<'_>) {
    let whole = ui.max_rect();
    let bar = Rect::from_min_size(whole.min, vec2(whole.width(), BAR));
    let mut line = ui.new_child(UiBuilder::new().max_rect(bar.shrink2(vec2(12.0, 4.0))).id_salt("other files"));
    show_bar(&mut line, state, context);
    if let Some(folder) = state.dialog.show(ui, context.theme) {
        state.watch(Target::Path(folder));
    }
    let below = Rect::from_min_max(bar.left_bottom(), whole.max);
    if let Some(target) = &state.target
        && state.sampler.is_none()
        && state.text.is_some()
    {
        state.sampler = Some(OtherSampler::start(target, ui.ctx()));
    }
    let latest = state.sampler.as_ref().and_then(OtherSampler::latest);
    let problem = match latest {
        Some(Ok(sample)) => {
            state.sample = Some(sample);
            None
        }
        Some(Err(reason)) => Some(reason),
        None => None,
    };
    let mut body = ui.new_child(UiBuilder::new().max_rect(below.shrink2(vec2(12.0, 2.0))).id_salt("their pages"));
    body.shrink_clip_rect(below);
    let problem = (!state.refusal.is_empty()).then(|| state.refusal.to_owned()).or(problem);
    match (&problem, &state.sample) {
        (Some(reason), _) => hint(&body, below, reason, context.theme),
        (None, Some(sample)) => show_sample(&mut body, &mut state.atlas, &Arc::clone(sample), context.theme),
        (None, None) if state.target.is_some() => hint(&body, below, "Looking\u{2026}", context.theme),
        (None, None) => {
            let text = "Type a file, a folder or the number of a process, and press Enter. Its pages show here: cached, \
                        dirty, locked, in the page tables";
            hint(&body, below, text, context.theme);
        }
    }
}

/// Draws a sentence in the middle.
fn hint(ui: &Ui, rect: Rect, text: &str, theme: &Theme) {
    let galley = ui.painter().layout(text.to_owned(), Theme::font(12.5), theme.quiet, rect.width() - 48.0);
    let place = Align2::CENTER_CENTER.anchor_size(rect.center(), galley.size());
    ui.painter().galley(place.min, galley, theme.quiet);
    let response = ui.interact(place, ui.scope_id().with("hint"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
}

/// Draws the way back, the buttons, and the field between them.
fn show_bar(ui: &mut Ui, state: &mut OtherFiles, context: &PanelContext<'_>) {
    let theme = context.theme;
    let audio = context.snapshot.folder.join(AUDIO);
    let is_wide = ui.max_rect().width() > 560.0;
    let mut chosen = None;
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let back = Button::text("Back to the takes", if is_wide { "Back to the takes" } else { "Back" });
        if back.size(0.0, 28.0).tip("Show the pages of this session's takes").show(ui, theme).clicked() {
            return state.show_takes();
        }
        if is_wide {
            let own = Button::text("Watch this session's files", "Session").look(Look::Quiet).size(0.0, 28.0);
            if own.tip("Watch the files of this session").show(ui, theme).clicked() {
                chosen = Some(Target::Path(audio.clone()));
            }
        }
        let folder = Button::text("Choose a folder to watch", "Folder\u{2026}").look(Look::Quiet).size(0.0, 28.0);
        if folder.tip("Choose a folder").show(ui, theme).clicked() {
            let start = state.target.as_ref().and_then(Target::folder).filter(|folder| folder.is_dir());
            let start = start.map_or_else(|| audio.clone(), ToOwned::to_owned);
            state.dialog.folder(ui.ctx(), "Watch the files of a folder", start.is_dir().then_some(start));
        }
        let watches = Button::text("Watch", "Watch").size(0.0, 28.0).show(ui, theme).clicked();
        let Some(text) = &mut state.text else { return };
        let field = TextEdit::singleline(text).hint_text("/path of a file or folder, or the number of a process");
        let field =
            ui.add(field.desired_width(ui.available_width() - 8.0)).accessible_name("Files or process to watch");
        if std::mem::take(&mut state.is_new) && state.target.is_none() {
            field.request_focus();
        }
        let enters = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if watches || enters {
            match Target::of(text) {
                Ok(target) => chosen = Some(target),
                Err(refusal) => state.refusal = refusal,
            }
        }
        if field.changed() {
            state.refusal = "";
        }
    });
    if let Some(target) = chosen {
        state.watch(target);
    }
}

fn show_sample(ui: &mut Ui, atlas: &mut lanes::Atlas, sample: &WatchSample, theme: &Theme) {
    ui.spacing_mut().item_spacing = vec2(0.0, 3.0);
    lanes::legend(ui, theme);
    let summary = summary(sample);
    let (line, _) = ui.allocate_exact_size(vec2(ui.available_width(), 17.0), Sense::hover());
    text_at(ui, line.left_center(), Align2::LEFT_CENTER, &summary, Theme::semi(11.5), theme.text, line.width());
    let response = ui.interact(line, ui.scope_id().with("summary"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &summary));
    let columns = lanes::Columns::of(ui.available_width());
    lanes::head(ui, &columns, theme);
    let row = lanes::ROW;
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().auto_shrink(false).id_salt("lanes").show_rows(
        ui,
        row,
        sample.files.len() + sample.notes.len(),
        |ui, shown| {
            for at in shown {
                match sample.files.get(at) {
                    Some(look) => lanes::show(ui, atlas, look, &columns, theme),
                    None => {
                        let note = sample.notes.get(at - sample.files.len()).map_or("", String::as_str);
                        let text = RichText::new(note).font(Theme::font(11.0)).color(theme.quiet);
                        ui.add_sized(vec2(ui.available_width(), row), egui::Label::new(text).truncate());
                    }
                }
            }
        },
    );
}

/// The whole in one line.
fn summary(sample: &WatchSample) -> String {
    let sum = |of: fn(&crate::residency::watch::FileLook) -> u64| sample.files.iter().map(of).sum::<u64>();
    let mut parts = vec![count(sample.files.len(), "file")];
    parts.push(format!("{} in memory", memory_bytes(sum(|look| look.cached_bytes.unwrap_or(0)))));
    parts.push(format!("{} dirty", memory_bytes(sum(|look| look.dirty_bytes.unwrap_or(0)))));
    if let Some(process) = &sample.process {
        let mapped = |of: fn(&crate::residency::watch::MappedLook) -> u64| {
            sample.files.iter().filter_map(|look| look.mapped.as_ref()).map(of).sum::<u64>()
        };
        parts.push(format!("{} in the page tables", memory_bytes(mapped(|look| look.in_page_tables_bytes))));
        parts.push(format!("{} locked", memory_bytes(mapped(|look| look.locked_bytes))));
        return format!("{}: {}", of_process(process), parts.join("  ·  "));
    }
    match sample.files.first().filter(|_| sample.files.len() == 1) {
        Some(look) => format!("{}: {}", short_path(std::path::Path::new(&look.path)), parts.join("  ·  ")),
        None => parts.join("  ·  "),
    }
}

/// A process with the thread that has most page faults now.
fn of_process(process: &ProcessLook) -> String {
    let rate = |thread: &&crate::residency::watch::ThreadLook| thread.minor_faults_per_second.unwrap_or(0.0);
    let most = process.threads.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)));
    let faults = most.filter(|thread| rate(thread) > 0.0).map_or_else(String::new, |thread| {
        format!(", {:.0} page faults a second in its thread {}", rate(&thread), thread.name)
    });
    format!("{} ({}){faults}", process.name, process.pid)
}
