//! The stress test panel: choices, progress and the table of results. Thread: ui.

use crate::app::command::Command;
use crate::app::jobs::StressRequest;
use crate::control::Severity;
use crate::diagnostics::stress::StressKind;
use crate::diagnostics::stress::sheet::{Row, StressFigures, Verdict};
use crate::ui::format::micros;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{Button, Look, elided, sign};
use egui::{
    Align2, DragValue, Frame, Margin, ProgressBar, Rect, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2,
};

/// State that the panel keeps between pictures.
pub struct StressState {
    /// The chosen stresses, in the order of `StressKind::ALL`.
    chosen: [bool; StressKind::ALL.len()],
    tracks: usize,
    /// Length of each test recording, in seconds.
    seconds: f64,
}

impl Default for StressState {
    fn default() -> StressState {
        StressState { chosen: [true; StressKind::ALL.len()], tracks: 24, seconds: 10.0 }
    }
}

/// Height of a row, in points.
const ROW: f32 = 22.0;

/// Columns of the table: heading and left edge in points. The reason takes the rest of the width.
const COLUMNS: [(&str, f32); 9] = [
    ("Stress", 22.0),
    ("Faults", 136.0),
    ("Waits", 186.0),
    ("Xruns", 232.0),
    ("Lost", 280.0),
    ("Wrong", 344.0),
    ("Worst cycle of a period", 398.0),
    ("Least lead", 600.0),
    ("Longest write", 680.0),
];

/// Left edge of the reason, in points.
const REASON: f32 = 774.0;

/// Least width of the table, in points. A narrower panel scrolls it sideways.
const TABLE_MIN: f32 = REASON + 120.0;

/// Free width in points, next to the buttons, that the verdict needs there. With less, the verdict gets its own line.
const VERDICT_MIN: f32 = 380.0;

/// Draws the panel into the rest of `ui`.
pub fn show(ui: &mut Ui, state: &mut StressState, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    Frame::NONE.inner_margin(Margin::symmetric(16, 10)).show(ui, |ui| {
        let recording = context.snapshot.transport.pass.is_some();
        let stress = &context.snapshot.stress;
        let verdict = if recording {
            Some("Not while a pass is recorded".to_owned())
        } else {
            (!stress.rows.is_empty()).then(|| summary(&stress.rows))
        };
        let verdict = verdict.map(|text| RichText::new(text).font(Theme::semi(13.0)).color(theme.text));
        let below = ui
            .horizontal_wrapped(|ui| {
                choose(ui, state);
                run(ui, state, context);
                match verdict {
                    Some(text) if ui.available_size_before_wrap().x >= VERDICT_MIN => {
                        ui.label(text);
                        None
                    }
                    other => other,
                }
            })
            .inner;
        if let Some(fraction) = stress.progress {
            ui.horizontal_wrapped(|ui| {
                ui.add(ProgressBar::new(fraction).desired_width(280.0).desired_height(8.0));
                ui.label(RichText::new(&stress.doing).color(theme.quiet));
            });
        } else if stress.rows.is_empty() && stress.failed.is_none() {
            let text = "Makes test recordings while the machine is under load, and compares every sample. They lie in a \
                folder of their own beside your sessions, never in a session.";
            ui.label(RichText::new(text).color(theme.quiet));
        }
        if let Some(text) = below {
            ui.label(text);
        }
        if let Some(reason) = &stress.failed {
            ui.label(RichText::new(reason).color(theme.caution));
        }
        if !stress.rows.is_empty() {
            sheet(ui, &stress.rows, theme);
        }
    });
}

fn choose(ui: &mut Ui, state: &mut StressState) {
    ui.spacing_mut().item_spacing.x = 10.0;
    for (kind, on) in StressKind::ALL.iter().zip(&mut state.chosen) {
        ui.checkbox(on, kind.title()).on_hover_text(kind.description());
    }
    ui.add(DragValue::new(&mut state.tracks).range(1..=256).suffix(" inputs"))
        .accessible_name("Inputs of the stress test");
    let seconds = DragValue::new(&mut state.seconds).range(2.0..=600.0).speed(0.1).max_decimals(0).suffix(" s each");
    ui.add(seconds).accessible_name("Seconds of each test recording");
}

fn run(ui: &mut Ui, state: &StressState, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    if context.snapshot.stress.progress.is_some() {
        if Button::text("Stop the stress test", "Stop").size(64.0, 28.0).show(ui, theme).clicked() {
            context.send(Command::CancelStress);
        }
        return;
    }
    let recording = context.snapshot.transport.pass.is_some();
    let button = Button::text("Run", "Run").look(Look::Filled(theme.accent)).size(64.0, 28.0);
    let tip = if recording { "Not while a pass is recorded" } else { "Run what is chosen, one after the other" };
    if button.enabled(!recording && state.chosen.contains(&true)).tip(tip).show(ui, theme).clicked() {
        let kinds = StressKind::ALL.into_iter().zip(state.chosen).filter(|(_, on)| *on).map(|(kind, _)| kind);
        let request = StressRequest { kinds: kinds.collect(), tracks: state.tracks, seconds: state.seconds };
        context.send(Command::Stress(request));
    }
}

/// The verdict about all results.
fn summary(rows: &[Row]) -> String {
    let of = |verdict: Verdict| rows.iter().filter(move |row| row.verdict == verdict);
    let (passed, skipped) = (of(Verdict::Passed).count(), of(Verdict::Skipped).count());
    let failed: Vec<&str> = of(Verdict::Failed).map(|row| row.stress.title()).collect();
    let left_out = if skipped > 0 { format!("; {skipped} skipped") } else { String::new() };
    if failed.is_empty() {
        format!("Passed: {passed} of {}, no fault, nothing lost that was not taken away{left_out}", rows.len())
    } else {
        format!("Not passed: {}{left_out}", failed.join(", "))
    }
}

fn sheet(ui: &mut Ui, rows: &[Row], theme: &Theme) {
    ui.spacing_mut().item_spacing.y = 0.0;
    let width = ui.available_width();
    if width < TABLE_MIN {
        ScrollArea::both().auto_shrink(false).show(ui, |ui| {
            heading(ui, TABLE_MIN, theme);
            for row in rows {
                line(ui, row, TABLE_MIN, theme);
            }
        });
        return;
    }
    heading(ui, width, theme);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let width = ui.available_width();
        for row in rows {
            line(ui, row, width, theme);
        }
    });
}

fn heading(ui: &mut Ui, width: f32, theme: &Theme) {
    let (head, _) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
    for (name, x) in COLUMNS {
        let at = pos2(head.left() + x, head.center().y);
        ui.painter().text(at, Align2::LEFT_CENTER, name, Theme::font(11.0), theme.quiet);
    }
    ui.painter().hline(head.x_range(), head.bottom() - 0.5, (1.0, theme.line_soft));
}

fn line(ui: &mut Ui, row: &Row, width: f32, theme: &Theme) {
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::hover());
    let (level, word) = match row.verdict {
        Verdict::Passed => (Severity::Info, "passed"),
        Verdict::Failed => (Severity::Loss, "not passed"),
        Verdict::Skipped => (Severity::Caution, "skipped"),
    };
    response.widget_info(|| {
        WidgetInfo::labeled(Role::ListItem, true, format!("{}: {word}, {}", row.stress.title(), row.reason))
    });
    if !ui.is_rect_visible(rect) {
        return;
    }
    let sign_rect = Rect::from_min_size(rect.min, vec2(16.0, ROW));
    sign(&mut ui.new_child(egui::UiBuilder::new().max_rect(sign_rect.translate(vec2(0.0, 3.0)))), level, theme);
    let y = rect.center().y;
    let put = |x: f32, text: &str, font: egui::FontId, colour: egui::Color32| {
        ui.painter().text(pos2(rect.left() + x, y), Align2::LEFT_CENTER, text, font, colour);
    };
    put(COLUMNS[0].1, row.stress.title(), Theme::semi(12.5), theme.text);
    let reason = match row.verdict {
        Verdict::Skipped => format!("Skipped: {}", row.reason),
        _ => row.reason.clone(),
    };
    let from = if row.figures.is_some() { REASON } else { COLUMNS[1].1 };
    let colour = if row.verdict == Verdict::Failed { theme.record } else { theme.quiet };
    let text = elided(ui, &reason, Theme::font(11.5), colour, rect.width() - from - 8.0);
    ui.painter().galley(pos2(rect.left() + from, y - text.size().y / 2.0), text, colour);
    if let Some(figures) = &row.figures {
        for ((text, bad), (_, x)) in cells(figures).iter().zip(&COLUMNS[1..6]) {
            put(*x, text, Theme::mono(11.5), if *bad { theme.record } else { theme.text });
        }
        cycle(ui, pos2(rect.left() + COLUMNS[6].1, y), figures, theme);
        let lead = figures.lead_frames_min.map_or_else(|| "\u{2013}".to_owned(), lead_ms);
        put(COLUMNS[7].1, &lead, Theme::mono(11.5), theme.text);
        put(COLUMNS[8].1, &micros(figures.commit_us_max as f64), Theme::mono(11.5), theme.text);
    }
    response.on_hover_text(format!("{}\n{reason}", row.stress.description()));
}

fn lead_ms(frames: u64) -> String {
    format!("{:.0} ms", 1000.0 * frames as f64 / f64::from(crate::diagnostics::stress::RATE))
}

/// Faults, waits, xruns, frames lost and samples wrong, each with whether the value is bad.
fn cells(figures: &StressFigures) -> [(String, bool); 5] {
    let known = |count: Option<u64>| (count.map_or_else(|| "?".to_owned(), |n| n.to_string()), count != Some(0));
    let faults = figures.minor_faults.zip(figures.major_faults).map(|(minor, major)| minor + major);
    [
        known(faults),
        known(figures.voluntary_switches),
        (figures.xruns.to_string(), figures.xruns > 0),
        (figures.frames_lost.to_string(), figures.frames_lost != figures.frames_lost_wanted),
        (figures.samples_wrong.to_string(), figures.samples_wrong > 0),
    ]
}

/// Draws the worst cycle time as a part of the period.
fn cycle(ui: &Ui, at: egui::Pos2, figures: &StressFigures, theme: &Theme) {
    let bar = Rect::from_min_size(pos2(at.x, at.y - 4.0), vec2(60.0, 8.0));
    ui.painter().rect_filled(bar, 2, theme.well);
    let fraction = (figures.cycle_us_max / figures.period_us.max(1.0)).min(1.0) as f32;
    let colour = if fraction >= 1.0 { theme.caution } else { theme.good };
    ui.painter().rect_filled(Rect::from_min_size(bar.min, vec2(60.0 * fraction, 8.0)), 2, colour);
    let text = format!("{} of {}", micros(figures.cycle_us_max), micros(figures.period_us));
    let after = pos2(bar.right() + 8.0, at.y);
    ui.painter().text(after, Align2::LEFT_CENTER, text, Theme::mono(11.0), theme.quiet);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_counts_all_results() {
        let row = |stress: StressKind, verdict: Verdict| Row { stress, verdict, reason: String::new(), figures: None };
        let rows = [row(StressKind::Sync, Verdict::Passed), row(StressKind::Freeze, Verdict::Skipped)];
        assert_eq!(summary(&rows), "Passed: 1 of 2, no fault, nothing lost that was not taken away; 1 skipped");
        assert_eq!(summary(&[row(StressKind::Sync, Verdict::Failed)]), "Not passed: constant sync");
    }

    #[test]
    fn bad_values_are_marked_and_a_wanted_loss_is_not() {
        let figures = StressFigures {
            minor_faults: Some(0),
            major_faults: Some(0),
            voluntary_switches: Some(1),
            frames_lost: 24_000,
            frames_lost_wanted: 24_000,
            ..StressFigures::default()
        };
        let marked: Vec<bool> = cells(&figures).into_iter().map(|(_, bad)| bad).collect();
        assert_eq!(marked, [false, true, false, false, false]);
        assert!(cells(&StressFigures::default())[0].1, "unknown faults count as bad");
    }
}
