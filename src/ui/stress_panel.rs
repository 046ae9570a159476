//! The stress lab and its sheet. Thread: ui.

use super::cx::Cx;
use super::theme::Theme;
use super::widget::{Button, Look, sign};
use super::words::micros;
use crate::bench::stress::StressKind;
use crate::studio::command::Command;
use crate::studio::jobs::{StressRequest, StressRow};
use crate::studio::snapshot::Level;
use egui::{DragValue, Frame, Grid, Margin, ProgressBar, Rect, RichText, ScrollArea, Sense, Ui, vec2};

/// What it keeps between frames.
pub struct State {
    chosen: [bool; 4],
    tracks: usize,
    seconds: f64,
}

impl Default for State {
    fn default() -> State {
        State { chosen: [true, true, true, false], tracks: 24, seconds: 3.0 }
    }
}

/// What can be run, and what it is.
const KINDS: [(StressKind, &str, &str); 4] = [
    (StressKind::None, "nothing", "Nothing beside"),
    (StressKind::Sync, "sync", "Another program calls sync all the time"),
    (StressKind::Disk, "disk", "Two programs write and make it durable"),
    (StressKind::Memory, "memory", "Too little memory for the page cache; needs root"),
];

/// Draws it into what is left of `ui`.
pub fn show(ui: &mut Ui, state: &mut State, cx: &mut Cx<'_>) {
    let theme = cx.theme;
    Frame::NONE.inner_margin(Margin::symmetric(16, 10)).show(ui, |ui| {
        ui.horizontal(|ui| {
            choose(ui, state);
            let busy = cx.snapshot.stress.progress.is_some();
            let recording = cx.snapshot.transport.pass.is_some();
            if busy {
                if Button::text("Stop the stress lab", "Stop").size(64.0, 28.0).show(ui, theme).clicked() {
                    cx.ask(Command::CancelStress);
                }
            } else {
                let run = Button::text("Run", "Run").look(Look::Filled(theme.accent)).size(64.0, 28.0);
                let ready = !recording && state.chosen.contains(&true);
                if run.enabled(ready).show(ui, theme).clicked() {
                    let kinds = KINDS.iter().zip(state.chosen).filter(|(_, on)| *on).map(|((kind, ..), _)| *kind);
                    let request =
                        StressRequest { kinds: kinds.collect(), tracks: state.tracks, seconds: state.seconds };
                    cx.ask(Command::Stress(request));
                }
            }
            let text = if recording {
                "Not while a pass is recorded"
            } else {
                "In a scratch folder beside your sessions, never in one"
            };
            ui.label(RichText::new(text).color(theme.quiet));
        });
        let stress = &cx.snapshot.stress;
        if let Some(part) = stress.progress {
            ui.horizontal(|ui| {
                ui.add(ProgressBar::new(part).desired_width(280.0).desired_height(8.0));
                ui.label(RichText::new(&stress.doing).color(theme.quiet));
            });
        }
        if let Some(reason) = &stress.failed {
            ui.label(RichText::new(reason).color(theme.caution));
        }
        if !stress.rows.is_empty() {
            ui.label(RichText::new(summary(&stress.rows)).font(Theme::semi(13.0)).color(theme.text));
        }
        ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
            Grid::new("sheet").num_columns(6).spacing(vec2(18.0, 5.0)).show(ui, |ui| {
                for row in stress.rows.iter() {
                    line(ui, row, cx);
                    ui.end_row();
                }
            });
        });
    });
}

fn choose(ui: &mut Ui, state: &mut State) {
    for ((_, name, what), on) in KINDS.iter().zip(&mut state.chosen) {
        ui.checkbox(on, *name).on_hover_text(*what);
    }
    ui.add(DragValue::new(&mut state.tracks).range(1..=256).suffix(" tracks"))
        .accessible_name("Tracks of the stress lab");
    let seconds = DragValue::new(&mut state.seconds).range(0.5..=600.0).speed(0.1).suffix(" s each");
    ui.add(seconds).accessible_name("Seconds of each row");
}

/// The verdict over the ways that the program itself uses.
fn summary(rows: &[StressRow]) -> String {
    let ours: Vec<&StressRow> = rows.iter().filter(|row| row.ours).collect();
    let failed: Vec<String> =
        ours.iter().filter(|row| !row.passed).map(|row| format!("{} under {}", row.scheme, row.stress)).collect();
    if failed.is_empty() {
        format!("Passed: {} of {} rows that Faultless relies on took no fault and lost nothing", ours.len(), ours.len())
    } else {
        format!("Not passed: {}", failed.join(", "))
    }
}

fn line(ui: &mut Ui, row: &StressRow, cx: &Cx<'_>) {
    let theme = cx.theme;
    let level = match (row.passed, row.ours) {
        (true, _) => Level::Good,
        (false, true) => Level::Loss,
        (false, false) => Level::Caution,
    };
    sign(ui, level, theme);
    ui.label(RichText::new(&row.stress).color(theme.quiet));
    let font = if row.ours { Theme::semi(12.5) } else { Theme::font(12.5) };
    ui.label(RichText::new(&row.scheme).font(font).color(theme.text));
    ui.label(RichText::new(format!("{} faults", row.faults)).font(Theme::mono(11.5)).color(theme.text));
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(90.0, 8.0), Sense::hover());
        ui.painter().rect_filled(rect, 2, theme.well);
        let part = (row.worst_us / row.deadline_us.max(1.0)).min(1.0) as f32;
        let colour = if part >= 1.0 { theme.record } else { theme.good };
        ui.painter().rect_filled(Rect::from_min_size(rect.min, vec2(90.0 * part, 8.0)), 2, colour);
        let text = format!("{} of {}", micros(row.worst_us), micros(row.deadline_us));
        ui.label(RichText::new(text).font(Theme::mono(11.0)).color(theme.quiet));
    });
    ui.label(RichText::new(&row.finding).font(Theme::font(11.5)).color(theme.quiet));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_over_the_ways_that_the_program_uses() {
        let row = |ours: bool, passed: bool| StressRow {
            stress: "sync".to_owned(),
            scheme: "capture spool".to_owned(),
            ours,
            faults: 0,
            worst_us: 1.0,
            deadline_us: 1333.0,
            frames_lost: 0,
            passed,
            finding: String::new(),
        };
        assert!(summary(&[row(true, true), row(false, false)]).starts_with("Passed: 1 of 1"));
        assert_eq!(summary(&[row(true, false)]), "Not passed: capture spool under sync");
    }
}
