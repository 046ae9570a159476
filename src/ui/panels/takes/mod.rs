//! The takes panel: a grid of tracks and passes, where a user chooses the takes to play; and the trash. Thread: ui.

use super::take_facts as facts;
use crate::app::command::Command;
use crate::control::edit::Edit;
use crate::session::{Session, Take, TakeId, TakeState, Track, TrackId};
use crate::time::Frames;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{GRID, Theme, mixed};
use crate::ui::widget::{Button, Look, describe, text_at};
use egui::{
    Align, Align2, Color32, CursorIcon, Layout, Margin, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, Vec2, WidgetInfo, pos2, vec2,
};
use std::collections::HashMap;
use uuid::Uuid;

/// Height of the row above the grid, in points.
const HEAD: f32 = 26.0;
/// Free width in points from which the head says that nothing is deleted. In a narrower one the tip of the button says it.
const SAFE_MIN: f32 = 560.0;
/// Free width in points from which the head explains the frames of the cells.
const LEGEND_MIN: f32 = 360.0;
/// Height of the column headings, in points.
const PASSES: f32 = 24.0;
/// Width of the track names, in points.
const NAMES: f32 = 176.0;
/// Size of a cell, in points.
const CELL: Vec2 = vec2(144.0, 28.0);
/// Space between two cells, in points.
const GAP: Vec2 = vec2(8.0, 4.0);

/// State that the panel keeps between pictures.
#[derive(Default)]
pub struct TakesState {
    /// Whether the trash is shown, not the grid.
    trash: bool,
    index: Index,
}

/// How much of a take is on the timeline in regions that are not muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placed {
    Part,
    Whole,
}

/// A take as the grid shows it: all files of one track and pass together.
struct WholeTake {
    /// The first file, with the length, the losses and the state of all files.
    take: Take,
    placed: Option<Placed>,
}

/// The contents of the grid. Computed when the session changes, not for every picture.
#[derive(Default)]
struct Index {
    /// Session, revision and number of takes for which this was computed.
    key: Option<(Uuid, u64, usize)>,
    /// The columns: number of a pass and its start time as text, the latest first.
    passes: Vec<(u32, String)>,
    /// The takes of the cells. A take that continued in other files is one cell.
    cells: HashMap<(TrackId, u32), WholeTake>,
    /// Takes in the trash, the latest first.
    trashed: Vec<TakeId>,
}

impl Index {
    fn update(&mut self, session: &Session, revision: u64) {
        let key = Some((session.id, revision, session.takes().len()));
        if self.key == key {
            return;
        }
        *self = Index { key, ..Index::default() };
        let mut files: HashMap<(TrackId, u32), Vec<&Take>> = HashMap::new();
        for take in session.takes() {
            if take.trashed {
                self.trashed.push(take.id);
            } else {
                files.entry((take.track, take.pass)).or_default().push(take);
                self.passes.push((take.pass, facts::hour(&take.started)));
            }
        }
        self.trashed.reverse();
        self.passes.sort_by_key(|(pass, _)| std::cmp::Reverse(*pass));
        self.passes.dedup_by_key(|(pass, _)| *pass);
        let placed = placed_takes(session);
        for (key, files) in files {
            if let Some(whole) = WholeTake::of(&files, &placed) {
                self.cells.insert(key, whole);
            }
        }
    }
}

/// The takes on the timeline. One that is split plays whole if all its parts are where it was recorded.
fn placed_takes(session: &Session) -> HashMap<TakeId, Placed> {
    let mut in_place: HashMap<TakeId, Frames> = HashMap::new();
    for region in session.tracks().iter().flat_map(Track::regions).filter(|region| !region.muted) {
        let length = in_place.entry(region.take).or_default();
        let place = session.take(region.take).map(Take::place);
        // A part that was not moved is as far from its first frame of the take as the whole take is.
        if place.is_some_and(|place| region.start.0 + place.take_start.0 == place.start.0 + region.take_start.0) {
            *length += region.length;
        }
    }
    let whole = |id: &TakeId| session.take(*id).map(|take| take.place().length);
    in_place
        .into_iter()
        .map(|(id, length)| (id, if whole(&id) == Some(length) { Placed::Whole } else { Placed::Part }))
        .collect()
}

impl WholeTake {
    /// `files`: the files of one track and pass, in the order of time.
    fn of(files: &[&Take], placed: &HashMap<TakeId, Placed>) -> Option<WholeTake> {
        let mut take = Take::clone(files.first()?);
        for file in &files[1..] {
            take.frames += file.frames;
            take.losses.extend(file.losses.iter().cloned());
            take.losses_unlisted += file.losses_unlisted;
            // The whole take is complete only if each file is.
            if take.state == TakeState::Complete || file.state == TakeState::Recording {
                take.state = file.state;
            }
            if let (Some(all), Some(accounts)) = (&mut take.accounts, &file.accounts) {
                all.frames_lost += accounts.frames_lost;
            }
        }
        let with_sound = || files.iter().filter(|file| file.frames > Frames(0));
        let placed =
            if with_sound().next().is_some() && with_sound().all(|file| placed.get(&file.id) == Some(&Placed::Whole)) {
                Some(Placed::Whole)
            } else {
                files.iter().any(|file| placed.contains_key(&file.id)).then_some(Placed::Part)
            };
        Some(WholeTake { take, placed })
    }
}

/// Draws the panel into the rest of `ui`.
pub fn show(ui: &mut Ui, state: &mut TakesState, context: &mut PanelContext<'_>) {
    state.index.update(&context.snapshot.session, context.snapshot.revision);
    egui::Frame::new().inner_margin(Margin::symmetric(16, 8)).show(ui, |ui| {
        head(ui, state, context);
        ui.add_space(GRID - ui.spacing().item_spacing.y);
        if state.trash {
            trash(ui, &state.index, context);
        } else if state.index.passes.is_empty() {
            empty_text(ui, "No takes yet. Record, and each pass becomes a column here.", context.theme);
        } else {
            grid(ui, &state.index, context);
        }
    });
}

fn empty_text(ui: &mut Ui, text: &str, theme: &Theme) {
    ui.add_space(GRID * 3.0);
    ui.vertical_centered(|ui| ui.label(egui::RichText::new(text).color(theme.quiet)));
}

/// Draws the three frames of a cell, each with its meaning.
fn legend(ui: &mut Ui, theme: &Theme) {
    for (placed, meaning) in
        [(Some(Placed::Whole), "plays"), (Some(Placed::Part), "plays in part"), (None, "not on the timeline")]
    {
        ui.add_space(GRID);
        let (rect, _) = ui.allocate_exact_size(vec2(20.0, 14.0), Sense::hover());
        let (fill, stroke) = frame_of(placed, false, theme);
        ui.painter().rect(rect, 4, fill, stroke, StrokeKind::Inside);
        ui.label(egui::RichText::new(meaning).color(theme.quiet));
    }
}

/// Fill and border of a cell.
fn frame_of(placed: Option<Placed>, hot: bool, theme: &Theme) -> (Color32, Stroke) {
    let fill = match (placed.is_some(), hot) {
        (true, _) => mixed(theme.card, theme.accent, if hot { 0.22 } else { 0.14 }),
        (false, true) => theme.button_hover,
        (false, false) => theme.card,
    };
    let stroke = match placed {
        Some(Placed::Whole) => Stroke::new(1.5, theme.accent),
        Some(Placed::Part) => Stroke::new(1.0, mixed(theme.card, theme.accent, 0.6)),
        None => Stroke::new(1.0, theme.line),
    };
    (fill, stroke)
}

/// Draws the hint at the left, and the buttons of the trash at the right.
fn head(ui: &mut Ui, state: &mut TakesState, context: &mut PanelContext<'_>) {
    ui.allocate_ui_with_layout(vec2(ui.available_width(), HEAD), Layout::right_to_left(Align::Center), |ui| {
        let text = format!("Trash  {}", state.index.trashed.len());
        let safe = "Nothing is deleted: the trash is a folder in the session";
        let tip = format!("Takes in the trash. {safe}");
        let button = Button::text("Trash", &text).size(80.0, HEAD).on(state.trash).tip(tip);
        if button.show(ui, context.theme).clicked() {
            state.trash = !state.trash;
        }
        if state.trash {
            restore_all(ui, &state.index, context);
        }
        // The meaning of the frames comes first.
        let safe_min = if state.trash { SAFE_MIN } else { SAFE_MIN + LEGEND_MIN };
        if safe_min <= ui.available_width() {
            ui.add_space(GRID);
            ui.label(egui::RichText::new(safe).color(context.theme.quiet));
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let text = if state.trash { "Takes in the trash" } else { "Click a take to use it" };
            ui.add(egui::Label::new(egui::RichText::new(text).font(Theme::medium(12.5))).truncate());
            if !state.trash && !state.index.passes.is_empty() && LEGEND_MIN <= ui.available_width() {
                legend(ui, context.theme);
            }
        });
    });
}

/// Draws the grid. The headings stay in place while the cells scroll. Only visible cells are drawn.
fn grid(ui: &mut Ui, index: &Index, context: &mut PanelContext<'_>) {
    let whole = ui.available_rect_before_wrap();
    let body = Rect::from_min_max(whole.min + vec2(NAMES, PASSES), whole.max);
    let pitch = CELL + GAP;
    let session = &context.snapshot.session;
    let (rows, columns) = (session.tracks().len(), index.passes.len());
    let total = vec2(columns as f32 * pitch.x, rows as f32 * pitch.y);
    let mut requested = None;
    let mut inside = ui.new_child(UiBuilder::new().max_rect(body).id_salt("grid"));
    let mut offset = Vec2::ZERO;
    ScrollArea::both().id_salt("takes").auto_shrink(false).show_viewport(&mut inside, |ui, view| {
        ui.set_min_size(total);
        let origin = ui.min_rect().min;
        offset = body.min - origin;
        for row in visible_range(view.y_range(), pitch.y, rows) {
            let track = &session.tracks()[row];
            for column in visible_range(view.x_range(), pitch.x, columns) {
                let at = origin + vec2(column as f32 * pitch.x, row as f32 * pitch.y);
                let position = CellPosition { rect: Rect::from_min_size(at, CELL), row, pass: index.passes[column].0 };
                match index.cells.get(&(track.id(), position.pass)) {
                    Some(whole) => {
                        let asked = cell(ui, &position, track, &whole.take, whole.placed, context);
                        requested = asked.or(requested.take());
                    }
                    None => empty_cell(ui, position.rect, context.theme),
                }
            }
        }
    });
    if let Some(edit) = requested {
        context.send(Command::Edit(edit));
    }
    let left = Rect::from_min_max(pos2(whole.left(), body.top()), body.left_bottom());
    track_names(ui, left, offset.y, context);
    let above = Rect::from_min_max(pos2(body.left(), whole.top()), body.right_top());
    pass_names(ui, above, offset.x, index, context.theme);
    ui.advance_cursor_after_rect(whole);
}

/// The visible ones of `number` rows or columns.
fn visible_range(view: egui::Rangef, pitch: f32, number: usize) -> std::ops::Range<usize> {
    let first = (view.min / pitch).max(0.0) as usize;
    let after = (view.max / pitch).ceil().max(0.0) as usize;
    first.min(number)..after.min(number)
}

/// Draws the track names, left of the cells.
fn track_names(ui: &Ui, rect: Rect, offset: f32, context: &PanelContext<'_>) {
    let mut painter = ui.painter().clone();
    painter.set_clip_rect(ui.clip_rect().intersect(rect));
    let pitch = CELL.y + GAP.y;
    let tracks = context.snapshot.session.tracks();
    for row in visible_range(egui::Rangef::new(offset, offset + rect.height()), pitch, tracks.len()) {
        let track = &tracks[row];
        let top = rect.top() + row as f32 * pitch - offset;
        let stripe = Rect::from_min_size(pos2(rect.left(), top + 4.0), vec2(4.0, CELL.y - 8.0));
        painter.rect_filled(stripe, 2, context.theme.track(track.colour));
        let y = top + CELL.y / 2.0;
        let number = pos2(rect.left() + 32.0, y);
        painter.text(number, Align2::RIGHT_CENTER, row + 1, Theme::mono(11.0), context.theme.faint);
        let galley = crate::ui::widget::elided(ui, track.name(), Theme::medium(12.5), context.theme.text, NAMES - 56.0);
        painter.galley(pos2(rect.left() + 42.0, y - galley.size().y / 2.0), galley, context.theme.text);
    }
}

/// Draws the column headings, above the cells.
fn pass_names(ui: &Ui, rect: Rect, offset: f32, index: &Index, theme: &Theme) {
    let mut painter = ui.painter().clone();
    painter.set_clip_rect(ui.clip_rect().intersect(rect));
    let pitch = CELL.x + GAP.x;
    for column in visible_range(egui::Rangef::new(offset, offset + rect.width()), pitch, index.passes.len()) {
        let (pass, hour) = &index.passes[column];
        let left = rect.left() + column as f32 * pitch - offset;
        let y = rect.center().y - 2.0;
        let name = pos2(left + 10.0, y);
        painter.text(name, Align2::LEFT_CENTER, format!("Pass {pass}"), Theme::semi(12.0), theme.text);
        painter.text(pos2(left + CELL.x - 10.0, y), Align2::RIGHT_CENTER, hour, Theme::font(11.5), theme.quiet);
    }
}

/// Position of a cell.
struct CellPosition {
    rect: Rect,
    row: usize,
    pass: u32,
}

/// Draws the cell of a track that has no take of this pass.
fn empty_cell(ui: &Ui, rect: Rect, theme: &Theme) {
    ui.painter().hline(rect.center().x - 4.0..=rect.center().x + 4.0, rect.center().y, (1.0, theme.line));
}

/// Draws the cell of a take. Returns the edit that the user requested.
fn cell(
    ui: &mut Ui,
    position: &CellPosition,
    track: &Track,
    take: &Take,
    placed: Option<Placed>,
    context: &PanelContext<'_>,
) -> Option<Edit> {
    let (rect, theme) = (position.rect, context.theme);
    let badge = facts::badge(take, theme);
    let response = ui.interact(rect, ui.scope_id().with(("take", take.id)), Sense::click());
    let spoken = format!("{}, {}, {}", track.name(), facts::length(take), badge.0);
    response.widget_info(|| {
        let name = format!("Take {} of track {}", take.number, position.row + 1);
        let mut info = WidgetInfo::selected(Role::Button, true, placed.is_some(), name);
        info.current_text_value = Some(spoken.clone());
        info
    });
    describe(&response, &spoken);
    let hot = response.hovered() || response.context_menu_opened();
    let (fill, stroke) = frame_of(placed, hot, theme);
    ui.painter().rect(rect, 6, fill, stroke, StrokeKind::Inside);
    let length = if placed.is_some() { theme.strong } else { theme.text };
    figures(ui, rect.shrink2(vec2(10.0, 0.0)), take, length, &badge, theme);
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    let recording = take.state == TakeState::Recording;
    let mut requested = None;
    // A take that plays in full already needs no edit.
    if response.clicked() && placed != Some(Placed::Whole) && !recording {
        requested = Some(Edit::ChooseTake(take.id));
    }
    response.context_menu(|ui| {
        if ui.add_enabled(!recording, egui::Button::new("Use all of it")).clicked() {
            requested = Some(Edit::ChooseTake(take.id));
            ui.close();
        }
        if ui.add_enabled(!recording, egui::Button::new("To the trash")).clicked() {
            requested = Some(Edit::TrashTake(take.id));
            ui.close();
        }
    });
    let part = (placed == Some(Placed::Part)).then_some("It plays in part. A click uses all of it.");
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_ui(|ui| facts::tooltip(ui, track.name(), take, part));
    requested
}

/// Draws the length at the left and the badge at the right.
fn figures(ui: &Ui, rect: Rect, take: &Take, length: Color32, badge: &(String, Color32), theme: &Theme) {
    let text = facts::length(take);
    let left = ui.painter().text(rect.left_center(), Align2::LEFT_CENTER, text, Theme::mono(12.0), length);
    let width_max = rect.right() - left.right() - 8.0;
    let colour = theme.tint(badge.1).text;
    text_at(ui, rect.right_center(), Align2::RIGHT_CENTER, &badge.0, Theme::medium(11.5), colour, width_max);
}

/// Draws the button that restores all takes, if these are several. A track that was removed comes back with its takes.
fn restore_all(ui: &mut Ui, index: &Index, context: &mut PanelContext<'_>) {
    let button =
        Button::text("Restore all", "Restore all").size(0.0, HEAD).tip("Back among the takes, with their tracks");
    if index.trashed.len() > 1 && button.show(ui, context.theme).clicked() {
        context.send(Command::Edit(Edit::UntrashTakes(index.trashed.clone())));
    }
}

/// Draws the takes in the trash, the latest first.
fn trash(ui: &mut Ui, index: &Index, context: &mut PanelContext<'_>) {
    if index.trashed.is_empty() {
        empty_text(ui, "The trash is empty.", context.theme);
        return;
    }
    ui.spacing_mut().item_spacing.y = GAP.y;
    let session = &context.snapshot.session;
    let mut requested = None;
    let area = ScrollArea::vertical().id_salt("trash").auto_shrink(false);
    area.show_rows(ui, CELL.y, index.trashed.len(), |ui, rows| {
        for take in index.trashed[rows].iter().filter_map(|id| session.take(*id)) {
            if trash_row(ui, session, take, context.theme) {
                requested = Some(take.id);
            }
        }
    });
    if let Some(id) = requested {
        context.send(Command::Edit(Edit::UntrashTake(id)));
    }
}

/// Draws a take in the trash. Returns whether the user clicked Restore.
fn trash_row(ui: &mut Ui, session: &Session, take: &Take, theme: &Theme) -> bool {
    let row = session.tracks().iter().position(|track| track.id() == take.track);
    let track = row.map(|row| &session.tracks()[row]);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width().min(960.0), CELL.y), Sense::hover());
    let y = rect.center().y;
    let stripe = Rect::from_min_size(rect.min + vec2(0.0, 4.0), vec2(4.0, CELL.y - 8.0));
    ui.painter().rect_filled(stripe, 2, track.map_or(theme.faint, |track| theme.track(track.colour)));
    let name = track.map_or("A removed track", Track::name);
    let badge = facts::badge(take, theme);
    let columns = [
        (16.0, name.to_owned(), Theme::medium(12.5), theme.text, NAMES - 24.0),
        (NAMES, format!("Pass {}", take.pass), Theme::font(12.5), theme.text, 72.0),
        (264.0, facts::length(take), Theme::mono(12.0), theme.text, 80.0),
        (352.0, badge.0, Theme::medium(11.5), theme.tint(badge.1).text, 112.0),
        (480.0, take.path(), Theme::font(12.0), theme.quiet, rect.width() - 480.0 - 96.0),
    ];
    for (x, text, font, colour, width) in columns {
        text_at(ui, pos2(rect.left() + x, y), Align2::LEFT_CENTER, &text, font, colour, width);
    }
    response.on_hover_ui(|ui| facts::tooltip(ui, name, take, None));
    let at = Rect::from_min_max(pos2(rect.right() - 88.0, rect.top()), rect.max);
    let layout = Layout::right_to_left(Align::Center);
    let mut end = ui.new_child(UiBuilder::new().max_rect(at).layout(layout).id_salt(("trashed", take.id)));
    let spoken = match row {
        Some(row) => format!("Restore take {} of track {}", take.number, row + 1),
        None => format!("Restore {}", take.file_name()),
    };
    let tip = if track.is_some() {
        "Back among the takes; a click there uses it"
    } else {
        "Back among the takes, and its track with it"
    };
    Button::text(&spoken, "Restore").look(Look::Plain).size(0.0, 24.0).tip(tip).show(&mut end, theme).clicked()
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests;
