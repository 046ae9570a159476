//! Tracks by takes: which one plays, and the trash. Thread: ui.

use super::cx::Cx;
use super::theme::{Theme, mixed};
use super::widget::{Button, text_at};
use crate::control::edit::Edit;
use crate::session::{Take, TakeState, Track};
use crate::studio::command::Command;
use crate::time::Clock;
use egui::{
    Align2, CursorIcon, Rect, RichText, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};
use std::sync::Arc;

/// What it keeps between frames.
#[derive(Default)]
pub struct State {
    trash: bool,
}

/// Width of a column, height of a row, width of the names.
const CELL: (f32, f32) = (150.0, 32.0);
const NAMES: f32 = 130.0;

/// Draws it into what is left of `ui`.
pub fn show(ui: &mut Ui, state: &mut State, cx: &mut Cx<'_>) {
    let session = Arc::clone(&cx.snapshot.session);
    egui::Frame::NONE.inner_margin(egui::Margin::symmetric(16, 8)).show(ui, |ui| {
        ui.horizontal(|ui| {
            let trashed = session.takes().iter().filter(|take| take.trashed).count();
            let text = format!("Trash: {trashed}");
            if Button::text("Trash", &text).on(state.trash).size(84.0, 26.0).show(ui, cx.theme).clicked() {
                state.trash = !state.trash;
            }
            let text = if state.trash {
                "Takes in the trash. Nothing is deleted: they lie in the session's folder 'trash'"
            } else {
                "Click a take to hear it where it was recorded. The newest pass stands first"
            };
            ui.label(RichText::new(text).color(cx.theme.quiet));
        });
        let mut passes: Vec<u32> =
            session.takes().iter().filter(|take| take.trashed == state.trash).map(|take| take.pass).collect();
        passes.sort_unstable_by(|a, b| b.cmp(a));
        passes.dedup();
        if passes.is_empty() {
            ui.add_space(40.0);
            let text = if state.trash { "The trash is empty" } else { "Nothing is recorded yet" };
            ui.vertical_centered(|ui| ui.label(RichText::new(text).color(cx.theme.quiet)));
            return;
        }
        ScrollArea::both().auto_shrink([false, false]).show_viewport(ui, |ui, view| {
            grid(ui, view, &passes, session.tracks(), state.trash, cx);
        });
    });
}

/// Only what is in view is drawn.
fn grid(ui: &mut Ui, view: Rect, passes: &[u32], tracks: &[Track], trash: bool, cx: &mut Cx<'_>) {
    let size = vec2(NAMES + passes.len() as f32 * CELL.0, 22.0 + tracks.len() as f32 * CELL.1);
    let (whole, _) = ui.allocate_exact_size(size, Sense::hover());
    let session = Arc::clone(&cx.snapshot.session);
    let first = ((view.top() - 22.0) / CELL.1).max(0.0) as usize;
    let last = ((view.bottom() / CELL.1) as usize + 1).min(tracks.len());
    for (column, pass) in passes.iter().enumerate() {
        let x = whole.left() + NAMES + column as f32 * CELL.0;
        if x - whole.left() > view.right() || x - whole.left() + CELL.0 < view.left() {
            continue;
        }
        let at = pos2(x + 4.0, whole.top() + 11.0);
        ui.painter().text(at, Align2::LEFT_CENTER, format!("Pass {pass}"), Theme::font(11.0), cx.theme.quiet);
        for (row, track) in tracks.iter().enumerate().take(last).skip(first) {
            let take = session
                .takes()
                .iter()
                .find(|take| take.track == track.id() && take.pass == *pass && take.trashed == trash);
            if let Some(take) = take {
                let place = pos2(x, whole.top() + 22.0 + row as f32 * CELL.1);
                cell(ui, Rect::from_min_size(place, vec2(CELL.0 - 6.0, CELL.1 - 4.0)), row, track, take, cx);
            }
        }
    }
    for (row, track) in tracks.iter().enumerate().take(last).skip(first) {
        let y = whole.top() + 22.0 + row as f32 * CELL.1;
        let strip = Rect::from_min_size(pos2(whole.left(), y), vec2(3.0, CELL.1 - 4.0));
        ui.painter().rect_filled(strip, 1, cx.theme.track(track.colour));
        let at = pos2(whole.left() + 10.0, y + CELL.1 / 2.0 - 2.0);
        text_at(ui, at, Align2::LEFT_CENTER, track.name(), Theme::medium(12.0), cx.theme.text, NAMES - 16.0);
    }
}

fn cell(ui: &Ui, rect: Rect, row: usize, track: &Track, take: &Take, cx: &mut Cx<'_>) {
    let theme = cx.theme;
    let heard = track.regions().iter().any(|region| region.take == take.id);
    let response = ui.interact(rect, ui.scope_id().with(("take", take.id)), Sense::click());
    let name = format!("Take {} of track {}", take.number, row + 1);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, heard, &name));
    let fill = mixed(theme.card, theme.track(track.colour), if heard { 0.30 } else { 0.08 });
    ui.painter().rect_filled(rect, 5, if response.hovered() { mixed(fill, theme.strong, 0.08) } else { fill });
    if heard {
        ui.painter().rect_stroke(rect, 5, Stroke::new(1.5, theme.accent), StrokeKind::Inside);
    }
    let length = Clock(take.frames.duration(take.rate)).to_string();
    let at = rect.left_center() + vec2(8.0, 0.0);
    ui.painter().text(at, Align2::LEFT_CENTER, length, Theme::mono(11.0), theme.text);
    let (badge, good) = badge(take);
    let colour = if good { theme.good } else { theme.record };
    ui.painter().text(rect.right_center() - vec2(8.0, 0.0), Align2::RIGHT_CENTER, &badge, Theme::font(10.5), colour);
    if response.clicked() {
        cx.ask(Command::Edit(if take.trashed { Edit::UntrashTake(take.id) } else { Edit::ChooseTake(take.id) }));
    }
    response.context_menu(|ui| {
        let (text, edit) = if take.trashed {
            ("Restore", Edit::UntrashTake(take.id))
        } else {
            ("To the trash", Edit::TrashTake(take.id))
        };
        if ui.button(text).clicked() {
            cx.ask(Command::Edit(edit));
            ui.close();
        }
    });
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(story(take));
}

/// The proof of a take in two words, and whether it is good.
fn badge(take: &Take) -> (String, bool) {
    let lost: u64 = take.losses.iter().map(|loss| loss.frames.0).sum();
    match (&take.accounts, take.state) {
        (_, TakeState::Recording) => ("recording".to_owned(), true),
        _ if lost > 0 => (format!("{lost} lost"), false),
        (Some(accounts), _) => {
            let faults = accounts.minor_faults + accounts.major_faults;
            (format!("{faults} faults"), faults == 0 && accounts.xruns == 0)
        }
        (None, TakeState::Recovered) => ("recovered".to_owned(), true),
        (None, TakeState::Complete) => ("whole".to_owned(), true),
    }
}

fn story(take: &Take) -> String {
    let mut text = take.file.clone();
    if let Some(accounts) = &take.accounts {
        text.push_str(&format!(
            "\n{} + {} page faults, {} xruns, {} frames lost\nworst cycle {} µs, {} path, {}",
            accounts.minor_faults,
            accounts.major_faults,
            accounts.xruns,
            accounts.frames_lost,
            accounts.cycle_us_max,
            accounts.capture_path,
            accounts.device
        ));
    }
    for loss in take.losses.iter().take(5) {
        text.push_str(&format!(
            "\n{}: {} frames silent ({})",
            Clock(crate::time::Frames(loss.at.0).duration(take.rate)),
            loss.frames.0,
            loss.cause
        ));
    }
    text
}
