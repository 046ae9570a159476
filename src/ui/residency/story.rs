//! The card of a page: its position, its states in the ledger and in the kernel, and its history. Thread: ui.

use crate::residency::sample::{Row, Sample};
use crate::time::{Clock, Frames, SampleRate};
use crate::ui::format::grouped;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::elided;
use egui::{Color32, Pos2, Rect, Stroke, StrokeKind, Ui, pos2, vec2};

/// Maximum width of the card's text, in points.
const WIDTH: f32 = 380.0;

/// Draws the card next to `at`, within `map`. A pinned card shows ten lines of history, another one three.
#[expect(clippy::too_many_arguments, reason = "a page, and the place of its card")]
pub(super) fn card(
    ui: &Ui,
    at: Pos2,
    map: Rect,
    row: &Row,
    byte: u64,
    name: &str,
    sample: &Sample,
    pinned: bool,
    context: &PanelContext<'_>,
) {
    let theme = context.theme;
    let rate = SampleRate(row.rate);
    let frames = byte.saturating_sub(row.data_offset) / row.frame_bytes.max(1) as u64;
    let time = Clock(Frames(row.start.0 + frames).duration(rate));
    let page = byte / crate::limits::PAGE_BYTES as u64;
    let mut lines: Vec<(String, Color32, bool)> = vec![
        (format!("{name}, page {}", grouped(page)), theme.strong, true),
        (format!("{time}  ·  byte {}", grouped(byte)), theme.text, false),
    ];
    if let Some(cell) = row.cell_at(byte) {
        let text = format!("butler: {}  ·  kernel: {}", cell.believed().words(), cell.kernel().words());
        let colour = if cell.disagrees() { theme.record } else { theme.text };
        lines.push((text, colour, false));
        if cell.disagrees() {
            lines.push(("They disagree".to_owned(), theme.record, true));
        }
    }
    let story = context.watcher.map(|watcher| watcher.page_story_at(sample, &row.key, byte)).unwrap_or_default();
    let keep = if pinned { 10 } else { 3 };
    lines.extend(story.into_iter().rev().take(keep).rev().map(|line| (line, theme.quiet, false)));
    if !pinned {
        lines.push(("Click to pin".to_owned(), theme.faint, false));
    }
    let galleys: Vec<_> = lines
        .into_iter()
        .map(|(text, colour, strong)| {
            let font = if strong { Theme::semi(11.5) } else { Theme::font(11.0) };
            (elided(ui, &text, font, colour, WIDTH), colour)
        })
        .collect();
    let width = galleys.iter().map(|(galley, _)| galley.size().x).fold(160.0, f32::max) + 24.0;
    let height = galleys.iter().map(|(galley, _)| galley.size().y + 4.0).sum::<f32>() + 18.0;
    let x = if at.x + 16.0 + width < map.right() { at.x + 16.0 } else { (at.x - 16.0 - width).max(map.left()) };
    let y = (at.y - height / 2.0).clamp(map.top() - 40.0, (map.bottom() - height - 4.0).max(map.top() - 40.0));
    let rect = Rect::from_min_size(pos2(x, y), vec2(width, height));
    // The tooltip layer is above everything, and the panel does not clip it.
    let painter = ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Tooltip, egui::Id::unique("page")));
    painter.rect(
        rect,
        8,
        theme.card,
        Stroke::new(1.0, if pinned { theme.accent } else { theme.line }),
        StrokeKind::Inside,
    );
    let mut y = rect.top() + 10.0;
    for (galley, colour) in galleys {
        let size = galley.size().y;
        painter.galley(pos2(rect.left() + 12.0, y), galley, colour);
        y += size + 4.0;
    }
}
