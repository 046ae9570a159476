//! The card of a page: its position, its states in the ledger and in the kernel, its history, and the page faults of its
//! cell. Thread: ui.

use super::fault_marks;
use crate::residency::faults::SeenFault;
use crate::residency::sample::{Row, Sample};
use crate::time::{Clock, Frames, SampleRate};
use crate::ui::format::grouped;
use crate::ui::icon::Icon;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::speak;
use egui::{
    Color32, CursorIcon, Galley, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2,
};
use std::sync::Arc;

/// Maximum width of the card's text, in points.
const WIDTH: f32 = 430.0;

/// The page of a card.
pub(super) struct Shown<'a> {
    pub(super) row: &'a Row,
    pub(super) byte: u64,
    pub(super) sample: &'a Sample,
    pub(super) faults: &'a [SeenFault],
    /// Name of the row's track.
    pub(super) name: String,
}

/// A line of a card: its text, its colour, and whether it is strong.
type Line = (String, Color32, bool);

/// Faults and lines of history on a card at the most: on a pinned card, and on another one.
const SHARES: [(usize, usize); 2] = [(3, 10), (1, 3)];

/// Draws the card next to `at`, within `map`. A pinned card shows ten lines of history, another one three; fewer where the
/// window is too low. Returns whether the user closed the pinned card.
pub(super) fn card(ui: &Ui, at: Pos2, map: Rect, shown: &Shown<'_>, pinned: bool, context: &PanelContext<'_>) -> bool {
    let theme = context.theme;
    let history = history(shown, context);
    let window = ui.ctx().content_rect();
    let [for_pinned, for_hovered] = SHARES;
    let (mut faults, mut keep) = if pinned { for_pinned } else { for_hovered };
    let (lines, galleys, size) = loop {
        let lines = lines(shown, pinned, (faults, keep, &history), theme);
        let galleys: Vec<_> = lines.iter().map(|line| galley(ui, line)).collect();
        let close_width = if pinned { 26.0 } else { 0.0 };
        let width = galleys.iter().map(|galley| galley.size().x).fold(160.0, f32::max) + 24.0 + close_width;
        let height = galleys.iter().map(|galley| galley.size().y + 4.0).sum::<f32>() + 18.0;
        // The history gives way first, because the row below the title has the states of now.
        if height <= window.height() - 8.0 || (faults, keep) == (1, 0) {
            break (lines, galleys, vec2(width, height));
        }
        (faults, keep) = if 3 < keep || faults == 1 { (faults, keep.saturating_sub(1)) } else { (faults - 1, keep) };
    };
    let rect = place(at, size, map, window);
    // This layer is above the panels, which do not clip it, and below menus and sheets.
    let painter = ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Middle, egui::Id::unique("page")));
    painter.rect(
        rect,
        8,
        theme.card,
        Stroke::new(1.0, if pinned { theme.accent } else { theme.line }),
        StrokeKind::Inside,
    );
    let mut y = rect.top() + 10.0;
    for (galley, (_, colour, _)) in galleys.into_iter().zip(&lines) {
        let height = galley.size().y;
        painter.galley(pos2(rect.left() + 12.0, y), galley, *colour);
        y += height + 4.0;
    }
    if !pinned {
        return false;
    }
    // A click on the card is not one on the map below it.
    let response = ui.interact(rect, ui.scope_id().with("pinned page"), Sense::click());
    let text: Vec<&str> = lines.iter().map(|(text, _, _)| text.as_str()).collect();
    speak(&response, Role::Group, "Card of the page", &text.join("\n"));
    let close = Rect::from_min_size(pos2(rect.right() - 28.0, rect.top() + 4.0), vec2(24.0, 24.0));
    let response = ui.interact(close, ui.scope_id().with("close page"), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Close the page's card"));
    let colour = if response.hovered() { theme.strong } else { theme.quiet };
    Icon::Close.paint(&painter, close.center(), 9.0, colour);
    response.on_hover_cursor(CursorIcon::PointingHand).clicked()
}

/// The history of the page, without its first lines: the card has its own lines for the position and the states.
fn history(shown: &Shown<'_>, context: &PanelContext<'_>) -> Vec<String> {
    let &Shown { row, byte, sample, .. } = shown;
    let story = context.watcher.map(|watcher| watcher.page_story_at(sample, &row.key, byte)).unwrap_or_default();
    let own = 1 + usize::from(row.cell_at(byte).is_some());
    story.into_iter().skip(own).collect()
}

/// The lines of a card with at most `faults` page faults and the last `keep` lines of the history.
fn lines(
    shown: &Shown<'_>,
    pinned: bool,
    (faults, keep, history): (usize, usize, &[String]),
    theme: &Theme,
) -> Vec<Line> {
    let &Shown { row, byte, sample, faults: all, ref name } = shown;
    let page = byte / crate::limits::PAGE_BYTES as u64;
    let slot = row.slots.as_ref().map(|slots| slots.slot_at(byte));
    let title = slot.map_or_else(|| format!("{name}, page {}", grouped(page)), |slot| format!("{name}, slot {slot}"));
    let position = match row.slots.as_ref().map_or(Some(byte), |slots| slots.take_byte(byte)) {
        Some(byte) => {
            let frames = byte.saturating_sub(row.data_offset) / row.frame_bytes.max(1) as u64;
            let time = Clock((Frames(row.start.0 + frames) - row.head).duration(SampleRate(row.rate)));
            format!("{time}  ·  byte {}", grouped(byte))
        }
        None => "holds no sound now".to_owned(),
    };
    let file = row.path.file_name().filter(|_| slot.is_none()).map(|name| name.to_string_lossy());
    let position = file.map_or_else(|| position.clone(), |file| format!("{file}  ·  {position}"));
    let mut lines: Vec<Line> = vec![(title, theme.strong, true), (position, theme.text, false)];
    if let Some(cell) = row.cell_at(byte) {
        let text = format!("butler: {}  ·  kernel: {}", cell.believed().words(), cell.kernel().words());
        let colour = if cell.disagrees() { theme.record } else { theme.text };
        lines.push((text, colour, false));
        if cell.disagrees() {
            lines.push(("They disagree".to_owned(), theme.record, true));
        }
    }
    let story = fault_marks::story(all, row, byte, sample, faults);
    lines.extend(story.into_iter().enumerate().map(|(at, line)| match at {
        0 => (line, theme.record, true),
        _ => (line, theme.text, false),
    }));
    lines.extend(history.iter().rev().take(keep).rev().map(|line| (line.clone(), theme.quiet, false)));
    if !pinned {
        lines.push(("Click to pin".to_owned(), theme.quiet, false));
    }
    lines
}

/// A line of a card, with breaks where it is wider than the card. The name of a function can be long, and its end has the
/// line of the source.
fn galley(ui: &Ui, (text, colour, strong): &Line) -> Arc<Galley> {
    let font = if *strong { Theme::semi(11.5) } else { Theme::font(11.0) };
    ui.painter().layout(text.clone(), font, *colour, WIDTH)
}

/// The place of a card of `size` beside `at`: within the map if that is high enough, and always within the window.
fn place(at: Pos2, size: Vec2, map: Rect, window: Rect) -> Rect {
    let x = if at.x + 16.0 + size.x < map.right() { at.x + 16.0 } else { at.x - 16.0 - size.x };
    let within = |value: f32, low: f32, high: f32| value.min(high).max(low);
    let x = within(x, map.left().max(window.left()) + 4.0, map.right().min(window.right()) - size.x - 4.0);
    let y = within(at.y - size.y / 2.0, map.top(), map.bottom() - size.y - 4.0);
    // A card that is higher than the map reaches above it rather than out of the window.
    let y = within(y, window.top() + 4.0, window.bottom() - size.y - 4.0);
    Rect::from_min_size(pos2(x, y), size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card hung half out of the window at the left.
    #[test]
    fn a_card_stays_within_the_map_wherever_its_page_is() {
        let window = Rect::from_min_size(pos2(0.0, 0.0), vec2(1024.0, 700.0));
        let map = Rect::from_min_max(pos2(0.0, 480.0), pos2(680.0, 700.0));
        for x in [-500.0, 0.0, 90.0, 340.0, 679.0, 2000.0] {
            for y in [400.0, 500.0, 699.0] {
                let card = place(pos2(x, y), vec2(380.0, 180.0), map, window);
                assert!(map.contains_rect(card), "{x}, {y}: {card:?}");
            }
        }
        let high = place(pos2(90.0, 600.0), vec2(380.0, 300.0), map, window);
        assert!(window.contains_rect(high), "{high:?}");
    }
}
