//! The cards: page faults, lead, cycle times, locked memory, commit times, and audio that waits for the disk.
//! Thread: ui.

use super::ResidencyState;
use crate::ui::format::{memory_bytes, micros};
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::{card, text_at};
use egui::{Align2, Color32, Rect, Role, ScrollArea, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

/// Height of a card with one figure, in points.
const HEIGHT: f32 = 62.0;
/// Height of the histogram's card, in points.
const TALL: f32 = 88.0;

/// Draws the cards into the rest of `ui`.
pub(super) fn show(ui: &mut Ui, state: &ResidencyState, context: &PanelContext<'_>) {
    let theme = context.theme;
    let figures = &context.snapshot.figures;
    let sample = state.sample.as_ref().map(|sample| sample.figures);
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(9.0, 9.0);
        let half = (ui.available_width() - 9.0) / 2.0;
        let faults = figures.minor_faults.zip(figures.major_faults);
        let has_faults = faults.is_some_and(|(minor, major)| minor + major > 0);
        let text = faults.map_or_else(|| "not known".to_owned(), |(minor, major)| format!("{minor} + {major}"));
        let lead = figures.lead_s.map_or_else(|| "\u{2013}".to_owned(), |lead| format!("{lead:.2} s"));
        let is_low = figures.lead_s.is_some_and(|lead| lead < figures.lead_aim_s / 4.0);
        ui.horizontal(|ui| {
            let rect = figure(
                ui,
                half,
                "Audio thread faults",
                &text,
                match faults {
                    None => theme.quiet,
                    Some(_) if has_faults => theme.record,
                    Some(_) => theme.good,
                },
                theme,
            );
            draw_faults(ui, rect, state, theme);
            let colour = match figures.lead_s {
                None => theme.quiet,
                Some(_) if is_low => theme.caution,
                Some(_) => theme.good,
            };
            figure(ui, half, "Lead, worst track", &lead, colour, theme);
        });
        histogram(ui, context);
        ui.horizontal(|ui| {
            let text = memory_bytes(figures.locked_bytes);
            let disagrees = sample.is_some_and(|sample| sample.lock_disagrees);
            let rect = figure(ui, half, "Locked", &text, if disagrees { theme.record } else { theme.strong }, theme);
            bar(ui, rect, figures.locked_bytes, figures.locked_limit, theme.accent, theme);
            let rect = figure(ui, half, "Commit, worst", &micros(figures.commit_us_max as f64), theme.strong, theme);
            draw_commits(ui, rect, state, theme);
        });
        ui.horizontal(|ui| {
            let backlog = memory_bytes(figures.backlog_bytes);
            let rect = figure(ui, half, "Waits for the disk", &backlog, theme.strong, theme);
            bar(ui, rect, figures.spool_bytes, figures.spool_bytes_max, theme.caution, theme);
            figure(ui, half, "Buffer made in, worst", &micros(figures.supply_us_max as f64), theme.strong, theme);
        });
        ui.horizontal(|ui| {
            let (dirty, writeback) = sample.map_or((0, 0), |sample| (sample.dirty_bytes, sample.writeback_bytes));
            figure(ui, half, "Dirty in the page cache", &memory_bytes(dirty), theme.strong, theme);
            figure(ui, half, "In writeback", &memory_bytes(writeback), theme.strong, theme);
        });
    });
}

/// Draws a card with a name and a figure. Returns its rectangle.
fn figure(ui: &mut Ui, width: f32, name: &str, text: &str, colour: Color32, theme: &Theme) -> Rect {
    let (rect, response) = ui.allocate_exact_size(vec2(width, HEIGHT), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name}: {text}")));
    card(ui, rect, theme);
    let inner = rect.shrink2(vec2(11.0, 0.0));
    text_at(
        ui,
        pos2(inner.left(), rect.top() + 16.0),
        Align2::LEFT_CENTER,
        name,
        Theme::font(11.0),
        theme.quiet,
        inner.width(),
    );
    ui.painter().text(pos2(inner.left(), rect.top() + 36.0), Align2::LEFT_CENTER, text, Theme::mono(18.0), colour);
    rect
}

/// Draws a bar at the lower edge of a card: `used` of `limit`.
fn bar(ui: &Ui, rect: Rect, used: u64, limit: u64, colour: Color32, theme: &Theme) {
    let well = Rect::from_min_max(
        pos2(rect.left() + 11.0, rect.bottom() - 11.0),
        pos2(rect.right() - 11.0, rect.bottom() - 7.0),
    );
    ui.painter().rect_filled(well, 2, theme.well);
    let fraction = if limit == 0 { 0.0 } else { (used as f64 / limit as f64).min(1.0) as f32 };
    let full = Rect::from_min_size(well.min, vec2(well.width() * fraction, well.height()));
    ui.painter().rect_filled(full, 2, if fraction > 0.9 { theme.record } else { colour });
}

/// Draws a strip of the last minute at the lower edge of a card, with a line for each page fault.
fn draw_faults(ui: &Ui, rect: Rect, state: &ResidencyState, theme: &Theme) {
    let well = Rect::from_min_max(
        pos2(rect.left() + 11.0, rect.bottom() - 12.0),
        pos2(rect.right() - 11.0, rect.bottom() - 6.0),
    );
    ui.painter().rect_filled(well, 2, theme.well);
    let all = 60.0 * super::HZ as f32;
    let first = all - state.history.len() as f32;
    for (at, (before, now)) in state.history.iter().zip(state.history.iter().skip(1)).enumerate() {
        if now.0 > before.0 {
            let x = well.left() + (first + at as f32 + 1.0) / all * well.width();
            ui.painter().vline(x, well.y_range(), (1.5, theme.record));
        }
    }
}

/// Draws a curve of the longest commit over the last minute.
fn draw_commits(ui: &Ui, rect: Rect, state: &ResidencyState, theme: &Theme) {
    let well = Rect::from_min_max(
        pos2(rect.left() + 11.0, rect.bottom() - 16.0),
        pos2(rect.right() - 11.0, rect.bottom() - 5.0),
    );
    let max = state.history.iter().map(|(_, us)| *us).max().unwrap_or(0).max(1) as f32;
    let all = 60.0 * super::HZ as f32;
    let first = all - state.history.len() as f32;
    let points: Vec<_> = state
        .history
        .iter()
        .enumerate()
        .step_by(6)
        .map(|(at, (_, us))| {
            let x = well.left() + (first + at as f32) / all * well.width();
            pos2(x, well.bottom() - *us as f32 / max * well.height())
        })
        .collect();
    if points.len() > 1 {
        ui.painter().add(Shape::line(points, Stroke::new(1.0, theme.caution)));
    }
}

/// Number of bars of the histogram.
const BARS: usize = 36;

/// Draws the histogram of cycle times, with the deadline.
fn histogram(ui: &mut Ui, context: &PanelContext<'_>) {
    let theme = context.theme;
    let figures = &context.snapshot.figures;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), TALL), Sense::hover());
    card(ui, rect, theme);
    let text = figures.cycles.as_ref().filter(|cycles| cycles.total() > 0).map_or_else(
        || "Audio cycle: none yet".to_owned(),
        |cycles| {
            let (median, worst) = (micros(cycles.quantile_us(0.5)), micros(cycles.max_us()));
            format!("Audio cycle: {median} median, {worst} worst of {}", micros(figures.deadline_us))
        },
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
    let inner = rect.shrink2(vec2(11.0, 8.0));
    text_at(
        ui,
        pos2(inner.left(), rect.top() + 16.0),
        Align2::LEFT_CENTER,
        &text,
        Theme::font(11.0),
        theme.quiet,
        inner.width(),
    );
    let plot = Rect::from_min_max(pos2(inner.left(), rect.top() + 28.0), inner.max);
    let Some(cycles) = &figures.cycles else { return };
    // A logarithmic scale from 1 µs to 1.5 times the deadline.
    let (low, high) = (1.0_f64, figures.deadline_us.max(10.0) * 1.5);
    let scale = |us: f64| (us.max(low) / low).ln() / (high / low).ln();
    let mut bars = [0_u64; BARS];
    for (us, count) in cycles.bars() {
        bars[((scale(us) * BARS as f64) as usize).min(BARS - 1)] += count;
    }
    let max = bars.iter().copied().max().unwrap_or(0).max(1) as f32;
    let width = plot.width() / BARS as f32;
    for (index, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
        // Rare long cycles matter most. The root makes their bars visible.
        let height = ((*count as f32 / max).powf(0.35) * plot.height()).max(2.0);
        let x = plot.left() + index as f32 * width;
        let late = (index as f64 + 0.5) / BARS as f64 > scale(figures.deadline_us);
        let colour = if late { theme.record } else { theme.heat.committed };
        let bar = Rect::from_min_max(pos2(x, plot.bottom() - height), pos2(x + width - 1.5, plot.bottom()));
        ui.painter().rect_filled(bar, 0, colour);
    }
    let x = plot.left() + scale(figures.deadline_us) as f32 * plot.width();
    ui.painter().vline(x, plot.y_range(), (1.5, theme.record));
    ui.painter().text(
        pos2(x - 4.0, plot.top() + 4.0),
        Align2::RIGHT_CENTER,
        "deadline",
        Theme::font(10.0),
        theme.quiet,
    );
}
