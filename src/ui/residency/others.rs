//! The line below the graphs: which program synced last, and which thread of the kernel wrote back. Thread: ui.

use super::ResidencyState;
use crate::limits::RESIDENCY_HISTORY_MS;
use crate::residency::disk_work::{SeenWork, summary};
use crate::residency::ledger::Stamp;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::Theme;
use crate::ui::widget::text_at;
use egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, pos2};

/// Height of the line, in points.
const LINE: f32 = 18.0;

/// Least height of a map with the line above it, in points.
const MAP_MIN: f32 = 60.0;

/// Pieces of work in the line's tip.
const LISTED: usize = 8;

/// Draws the line at the upper edge of `map`, if there is room. Returns the rectangle that is left for the map.
pub(super) fn show(ui: &Ui, state: &ResidencyState, map: Rect, context: &PanelContext<'_>) -> Rect {
    let Some(now) = state.sample.as_ref().map(|sample| sample.at) else { return map };
    if map.height() < LINE + MAP_MIN {
        return map;
    }
    let line = Rect::from_min_max(map.min, pos2(map.right(), map.top() + LINE));
    let refusal = state.no_disk_work_because.as_deref();
    let gaps = state.disk_work_gaps.as_deref();
    let text = text(&state.disk_work, refusal, gaps, now);
    let at = pos2(line.left() + 12.0, line.center().y);
    let theme = context.theme;
    text_at(ui, at, Align2::LEFT_CENTER, &text, Theme::font(10.5), theme.quiet, line.width() - 24.0);
    ui.painter().hline(line.x_range(), line.bottom() - 0.5, (1.0, theme.line_soft));
    let response = ui.interact(line, ui.scope_id().with("others"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
    response.on_hover_text(tip(&state.disk_work, refusal, gaps, now));
    Rect::from_min_max(pos2(map.left(), line.bottom()), map.max)
}

fn text(all: &[SeenWork], refusal: Option<&str>, gaps: Option<&str>, now: Stamp) -> String {
    match refusal {
        Some(reason) => format!("Syncs and writeback by others are not known: {reason}"),
        None => format!("Others: {}", summary(all, now, RESIDENCY_HISTORY_MS, gaps)),
    }
}

/// The last pieces of work, the latest first, and what they may lack; or the way to permit them.
fn tip(all: &[SeenWork], refusal: Option<&str>, gaps: Option<&str>, now: Stamp) -> String {
    if let Some(reason) = refusal {
        return format!(
            "Syncs and writeback by others are not known: {reason}. The Doctor panel has a command that permits it."
        );
    }
    let about =
        "Syncs and writeback that this recorder did not ask for. A page that is written back is write-protected.";
    let line = |seen: &SeenWork| {
        let age = seen.age_ms(now)?;
        Some(format!("{} {:.1} s ago", seen.work.text(), age as f64 / 1000.0))
    };
    let lines = all.iter().rev().filter_map(line).take(LISTED);
    let gaps = gaps.map(|gaps| format!("Not all is seen: {gaps}."));
    std::iter::once(about.to_owned()).chain(gaps).chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::disk_work::WorkKind;
    use crate::residency::disk_work::tests::work;
    use std::sync::Arc;

    #[test]
    fn the_line_names_the_last_sync_or_says_why_none_is_known() {
        let dpkg = Arc::new(work(1600, WorkKind::SystemSync, "dpkg", "sync"));
        let all = [SeenWork { number: 1, at: Stamp(1600), work: dpkg }];
        assert_eq!(text(&all, None, None, Stamp(2000)), "Others: sync by dpkg 0.4 s ago");
        assert!(text(&all, None, None, Stamp(1000)).contains("no sync"), "it was later than the sample");
        assert!(text(&[], Some("only root may read it"), None, Stamp(1)).ends_with("not known: only root may read it"));
        assert!(tip(&all, None, Some("x"), Stamp(2000)).ends_with("\nNot all is seen: x.\nsync by dpkg 0.4 s ago"));
        assert!(tip(&[], Some("x"), None, Stamp(1)).contains("Doctor panel"));
    }
}
