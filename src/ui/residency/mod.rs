//! The residency panel: a map of memory pages around the heads, figures at the right of the map, and recent events.
//! Thread: ui.

mod cards;
mod fault_marks;
mod graphs;
mod map;
mod map_keys;
mod other_files;
mod others;
mod recent_events;
mod story;

use super::action::Action;
use super::icon::Icon;
use super::panel_context::PanelContext;
use super::save_report::ReportSaver;
use super::theme::Theme;
use super::widget::{Button, Look, centred, text_at};
use crate::residency::disk_work::SeenWork;
use crate::residency::faults::SeenFault;
use crate::residency::rates::RatePoint;
use crate::residency::sample::{Pages, RowKey, Sample, View};
use crate::residency::state::PageState;
use egui::{Align, Align2, Layout, Popup, Rect, Role, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};
use std::collections::VecDeque;
use std::sync::Arc;

/// Samples per second that the panel requests from the watcher.
const HZ: u32 = 12;

/// Time behind and ahead of the heads that the map shows, in milliseconds.
const AROUND_MS: (u32, u32) = (2400, 1300);

/// A pass needs this long at the most from the end of its first take to the end of its last one, in milliseconds.
const ENDING_MS: u64 = 5000;

/// Width of a cell, in points.
const CELL: f32 = 7.0;
/// Width of the track names at the left of the map, in points.
const NAMES: f32 = 92.0;

/// Least width of the map beside the column of cards, in points.
const MAP_MIN: f32 = 300.0;

/// Width of the column of cards, in points.
const CARDS: f32 = 336.0;

/// State that the panel keeps between pictures.
#[derive(Default)]
pub struct ResidencyState {
    /// While the map is frozen: the samples of the last minute, and the index of the shown one.
    frozen: Option<(Vec<Arc<Sample>>, usize)>,
    /// The pages that the map shows.
    shown_pages: ShownPages,
    /// The view that was requested from the watcher.
    view: Option<View>,
    sample: Option<Arc<Sample>>,
    map: map::Map,
    /// The page that the user clicked. Its card stays open.
    pinned: Option<(RowKey, u64)>,
    /// For each sample of the last minute: number of page faults so far, and longest commit so far in microseconds.
    history: VecDeque<(u64, u64)>,
    /// Figures over the last minute, and the page faults, as of `sample`; of a frozen map, as of its freezing.
    rates: Vec<RatePoint>,
    faults: Vec<SeenFault>,
    /// Why page faults are not attributed; `None` if they are.
    no_faults_because: Option<Arc<str>>,
    /// Syncs and writeback by others, why they are not known (`None` if they are), and what they may lack.
    disk_work: Vec<SeenWork>,
    no_disk_work_because: Option<Arc<str>>,
    disk_work_gaps: Option<Arc<str>>,
    /// The files of others, which the panel can show in place of the takes.
    other_files: other_files::OtherFiles,
    saver: ReportSaver,
    /// Request to freeze or unfreeze. The next picture takes it.
    freeze_clicked: bool,
    /// Request to pin the next page with page faults. The next picture takes it.
    asks_for_fault: bool,
    /// Whether the legend fits into the row of the tabs.
    legend_fits: bool,
    /// The last sample that had rows, for the time after a stop.
    last_with_rows: Option<Arc<Sample>>,
}

/// The pages that the map shows, as the user chose them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ShownPages {
    /// Those around the record and play heads.
    #[default]
    Heads,
    /// Those of whole files.
    Files,
    /// Those of the slots of the spools.
    Pool,
}

impl ShownPages {
    /// The choice after this one.
    fn next(self) -> ShownPages {
        match self {
            ShownPages::Heads => ShownPages::Files,
            ShownPages::Files => ShownPages::Pool,
            ShownPages::Pool => ShownPages::Heads,
        }
    }

    fn text(self) -> &'static str {
        match self {
            ShownPages::Heads => "Around the heads",
            ShownPages::Files => "Whole files",
            ShownPages::Pool => "Pool of slots",
        }
    }

    fn pages(self) -> Pages {
        match self {
            ShownPages::Heads => Pages::AroundHead { back_ms: AROUND_MS.0, ahead_ms: AROUND_MS.1 },
            ShownPages::Files => Pages::WholeFile,
            ShownPages::Pool => Pages::Pool,
        }
    }

    /// The states of the legend with their names.
    fn legend(self) -> &'static [(PageState, &'static str)] {
        if self == ShownPages::Pool { &POOL_LEGEND } else { &LEGEND }
    }
}

impl ResidencyState {
    /// Freezes the map, so that the user can look back over the last minute; or makes a frozen map live again.
    pub fn toggle_freeze(&mut self) {
        self.freeze_clicked = true;
    }

    /// Pins the next page with page faults.
    pub fn show_next_fault(&mut self) {
        self.other_files.show_takes();
        self.asks_for_fault = true;
    }

    /// The panel is not visible any more, and the watcher has no view. The next picture of the panel requests one.
    pub fn hide(&mut self) {
        self.view = None;
        self.other_files.hide();
    }

    /// Closes the card of the pinned page. Returns whether there was one.
    pub fn unpin(&mut self) -> bool {
        self.pinned.take().is_some()
    }

    /// Whether the map shows the slots of the spools.
    pub fn shows_pool(&self) -> bool {
        self.shown_pages == ShownPages::Pool
    }

    /// Whether the map is frozen.
    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }
}

/// The states of the legend with their names, in the order of a page's life.
pub(super) const LEGEND: [(PageState, &str); 9] = [
    (PageState::OnDisk, "on disk"),
    (PageState::Cached, "cached"),
    (PageState::Resident, "ready"),
    (PageState::Locked, "locked"),
    (PageState::Recorded, "recorded"),
    (PageState::Writeback, "in writeback"),
    (PageState::Committed, "committed"),
    (PageState::Durable, "durable"),
    (PageState::WriteProtected, "write-protected"),
];

/// The legend of the pool: the states in the order of a slot's life.
pub(super) const POOL_LEGEND: [(PageState, &str); 6] = [
    (PageState::Free, "free"),
    (PageState::Resident, "ready"),
    (PageState::Locked, "locked"),
    (PageState::Recorded, "recorded"),
    (PageState::Committed, "committed"),
    (PageState::Durable, "durable"),
];

/// Width of the buttons of the map without words, in points.
pub const BUTTONS: f32 = 5.0 * 28.0 + 4.0 * 4.0 + 14.0;

/// Draws the buttons of the map, right-aligned, and the legend left of them if it fits there. Otherwise the panel has the
/// legend.
pub fn legend(ui: &mut Ui, state: &mut ResidencyState, context: &mut PanelContext<'_>) {
    let whole = ui.max_rect();
    if state.other_files.is_shown() {
        // They have buttons and a legend of their own.
        return;
    }
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.add_space(8.0);
        let has_words = whole.width() > 400.0;
        let word = |word: &'static str| if has_words { word } else { "" };
        let saves = |label, text, icon| Button::text(label, word(text)).with_icon(icon).look(Look::Quiet).size(28.0, 26.0);
        let tip = "Save the last minute for ui.perfetto.dev, in the session's folder 'reports': each cycle, wake-up, buffer, write, sync and page fault";
        if saves("Save trace", "Trace", Icon::Rows).tip(tip).show(ui, context.theme).clicked() {
            state.saver.start_trace(ui, context);
        }
        let save = saves("Save report", "Report", Icon::Save);
        let tip = "Save what is known as JSON, and pictures, in the session's folder 'reports': the last minute, events, figures, takes";
        if save.tip(tip).show(ui, context.theme).clicked() {
            state.saver.start(ui, context, state.frozen.as_ref().map(|(samples, _)| samples.clone()));
        }
        let tip = context.tip("Freeze, to look back over the last minute", Action::Freeze);
        let freeze = Button::text("Freeze", word("Freeze")).with_icon(Icon::Freeze).on(state.is_frozen());
        let freeze = if state.is_frozen() { freeze } else { freeze.look(Look::Quiet) };
        if freeze.size(28.0, 26.0).tip(tip).show(ui, context.theme).clicked() {
            state.freeze_clicked = true;
        }
        let others = saves("Watch other files", "Other files\u{2026}", Icon::Folder);
        if others.tip("Show the pages of any files, or of the files of a process").show(ui, context.theme).clicked() {
            state.other_files.show_them();
        }
        pages_button(ui, state, has_words, context);
        ui.add_space(6.0);
        let right = ui.cursor().right();
        let entries = state.shown_pages.legend();
        let width: f32 = entries.iter().map(|(_, name)| entry_width(ui, name, context.theme)).sum();
        state.legend_fits = width <= right - whole.left();
        if state.legend_fits {
            let mut x = right - width;
            for (page, name) in entries {
                x += entry(ui, pos2(x, whole.center().y), *page, name, context.theme);
            }
        }
    });
}

/// Draws the button for the pages that the map shows. With words, each click is the next choice. Without, the button has a
/// menu, because an icon does not say which choice is on.
fn pages_button(ui: &mut Ui, state: &mut ResidencyState, has_words: bool, context: &PanelContext<'_>) {
    let tip =
        "Which pages the map shows: those around the heads, whole files, or the slots of memory that are used in turn";
    let before = state.shown_pages;
    if has_words {
        let button = Button::text("Pages shown", before.text()).look(Look::Quiet).size(60.0, 26.0);
        if button.tip(tip).show(ui, context.theme).clicked() {
            state.shown_pages = before.next();
        }
    } else {
        let button = Button::icon("Pages shown", Icon::Menu).look(Look::Quiet).size(28.0, 26.0);
        let button = button.tip(tip).show(ui, context.theme);
        Popup::menu(&button).width(150.0).show(|ui| {
            for pages in [ShownPages::Heads, ShownPages::Files, ShownPages::Pool] {
                if ui.selectable_label(before == pages, pages.text()).clicked() {
                    state.shown_pages = pages;
                    ui.close();
                }
            }
        });
    }
    if state.shown_pages != before {
        state.pinned = None;
    }
}

/// Width of an entry of the legend.
fn entry_width(ui: &Ui, name: &str, theme: &Theme) -> f32 {
    ui.painter().layout_no_wrap(name.to_owned(), Theme::font(11.0), theme.quiet).size().x + 28.0
}

/// Draws an entry of the legend, at its left middle. Returns its width.
fn entry(ui: &Ui, at: egui::Pos2, page: PageState, name: &str, theme: &Theme) -> f32 {
    let galley = ui.painter().layout_no_wrap(name.to_owned(), Theme::font(11.0), theme.quiet);
    let sign = Rect::from_min_size(at - vec2(0.0, 5.0), vec2(10.0, 10.0));
    map::swatch(ui, sign, page, theme);
    let width = galley.size().x + 28.0;
    ui.painter().galley(at + vec2(15.0, -galley.size().y / 2.0), galley, theme.quiet);
    width
}

/// Height of a line of the legend in the panel.
const LEGEND_LINE: f32 = 18.0;

/// Draws the legend in as many lines as it needs. Returns the rectangle below it.
fn legend_lines(ui: &Ui, whole: Rect, entries: &[(PageState, &str)], theme: &Theme) -> Rect {
    let (left, right) = (whole.left() + 12.0, whole.right() - 8.0);
    let mut at = pos2(left, whole.top() + LEGEND_LINE / 2.0 + 4.0);
    for (page, name) in entries {
        if at.x > left && right < at.x + entry_width(ui, name, theme) {
            at = pos2(left, at.y + LEGEND_LINE);
        }
        at.x += entry(ui, at, *page, name, theme);
    }
    Rect::from_min_max(pos2(whole.left(), at.y + LEGEND_LINE / 2.0), whole.max)
}

/// Least height of the panel in points, so that the map has rows that can be read: with the legend in the row of the
/// tabs, and with the legend in the panel.
const HEIGHT_MIN: (f32, f32) = (220.0, 280.0);

/// Height that the panel needs, in points. In a lower place it scrolls.
pub fn height_min(state: &ResidencyState) -> f32 {
    if state.legend_fits { HEIGHT_MIN.0 } else { HEIGHT_MIN.1 }
}

/// Draws the panel into the rest of `ui`.
pub fn show(ui: &mut Ui, state: &mut ResidencyState, context: &mut PanelContext<'_>) {
    if state.other_files.is_shown() {
        return other_files::show(ui, &mut state.other_files, context);
    }
    let whole = ui.max_rect();
    let whole =
        if state.legend_fits { whole } else { legend_lines(ui, whole, state.shown_pages.legend(), context.theme) };
    // A narrow panel is for the map alone.
    let cards = if whole.width() < CARDS + MAP_MIN { 0.0 } else { CARDS };
    let cards = Rect::from_min_max(pos2(whole.right() - cards, whole.top()), whole.max);
    let placement = recent_events::placement(whole, cards.left());
    let map = match placement {
        recent_events::Placement::Column(events) => Rect::from_min_max(whole.min, pos2(events.left(), whole.bottom())),
        recent_events::Placement::Line(events) => Rect::from_min_max(whole.min, pos2(cards.left(), events.top())),
    };
    update_sample(state, map, context);
    recent_events::show(ui, placement, context);
    if cards.width() > 1.0 {
        ui.painter().vline(cards.left() + 0.5, whole.y_range(), (1.0, context.theme.line_soft));
        let mut right = ui.new_child(UiBuilder::new().max_rect(cards.shrink2(vec2(12.0, 10.0))).id_salt("cards"));
        cards::show(&mut right, state, context);
    }
    let map = graphs::show(ui, state, map, context);
    let map = others::show(ui, state, map, context);
    match shown(state) {
        Some(sample) => {
            if !state.is_frozen() && state.sample.as_ref().is_none_or(|sample| sample.rows.is_empty()) {
                let at = map.left_top() + vec2(12.0, 11.0);
                ui.painter().text(at, Align2::LEFT_CENTER, "at the stop", Theme::font(10.0), context.theme.text);
            }
            map::show(ui, state, map, &sample, context);
        }
        None => {
            let text = match state.shown_pages {
                ShownPages::Pool => "Record, and the slots of memory that each take uses in turn show here",
                _ => "Record or play, and the pages around the heads show here",
            };
            let text = centred(ui, text, Theme::font(12.5), context.theme.quiet, map.width() - 16.0);
            let top = map.center() - vec2(0.0, text.size().y / 2.0);
            ui.painter().galley(top, text, context.theme.quiet);
        }
    }
    if let Some(report_result) = state.saver.result() {
        let at = map.left_bottom() + vec2(12.0, -10.0);
        let (font, colour) = (Theme::font(11.0), context.theme.quiet);
        let rect = text_at(ui, at, Align2::LEFT_BOTTOM, &report_result, font, colour, map.width() - 24.0);
        let response = ui.interact(rect, ui.scope_id().with("saved"), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &report_result));
        response.on_hover_text(&report_result);
    }
}

/// The sample to show: the present one, or after a stop the last one with rows.
fn shown(state: &ResidencyState) -> Option<Arc<Sample>> {
    let has_rows = |sample: &&Arc<Sample>| !sample.rows.is_empty();
    state.sample.as_ref().filter(has_rows).or(state.last_with_rows.as_ref()).cloned()
}

/// The sample that a stop leaves on the screen: of `kept` and the `next` one. Takes end one after the other, so the last
/// sample with rows may lack most of them. One that only lacks rows of `kept` replaces it after [`ENDING_MS`].
fn at_stop(kept: Option<Arc<Sample>>, next: Arc<Sample>) -> Option<Arc<Sample>> {
    if next.rows.is_empty() {
        return kept;
    }
    let Some(kept) = kept else { return Some(next) };
    let mut rows = kept.rows.iter();
    let lacks_rows = next.rows.len() < kept.rows.len()
        && next.rows.iter().all(|row| rows.any(|of_kept| of_kept.key == row.key))
        && kept.at.age_ms(next.at).is_some_and(|age| age < ENDING_MS);
    Some(if lacks_rows { kept } else { next })
}

/// Requests samples that fit the width of the map, and takes the latest one.
fn update_sample(state: &mut ResidencyState, map: Rect, context: &PanelContext<'_>) {
    let Some(watcher) = context.watcher else {
        state.view = None;
        return;
    };
    let pages = state.shown_pages.pages();
    let cells = ((map.width() - NAMES - 20.0) / CELL).clamp(16.0, 400.0) as usize;
    let view = View { cells, pages, hz: HZ };
    if state.view != Some(view) {
        watcher.set_view(Some(view));
        state.view = Some(view);
    }
    if std::mem::take(&mut state.freeze_clicked) {
        state.frozen = match state.frozen.take() {
            Some(_) => None,
            None => {
                let samples = watcher.history();
                let last = samples.len().saturating_sub(1);
                (!samples.is_empty()).then_some((samples, last))
            }
        };
    }
    if state.last_with_rows.is_none() {
        state.last_with_rows = watcher.history().into_iter().fold(None, at_stop);
    }
    if let Some((samples, at)) = &state.frozen {
        state.sample = samples.get(*at).cloned();
    } else if let Some(latest) = watcher.latest()
        && state.sample.as_ref().is_none_or(|shown| !Arc::ptr_eq(shown, &latest))
    {
        let faults = latest.figures.minor_faults.unwrap_or(0) + latest.figures.major_faults.unwrap_or(0);
        state.history.push_back((faults, latest.figures.commit_us_max));
        if state.history.len() > 60 * HZ as usize {
            state.history.pop_front();
        }
        (state.rates, state.faults) = (watcher.rates(), watcher.faults());
        state.no_faults_because = watcher.no_faults_because();
        state.disk_work = watcher.disk_work();
        state.no_disk_work_because = watcher.no_disk_work_because();
        state.disk_work_gaps = watcher.disk_work_gaps();
        state.last_with_rows = at_stop(state.last_with_rows.take(), Arc::clone(&latest));
        state.sample = Some(latest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::sample::tests::{row, sample};

    /// A sample with the rows of these slots.
    fn of(at_ms: u64, slots: &[usize]) -> Arc<Sample> {
        let rows = slots.iter().map(|slot| row(RowKey::Slot(*slot), 0, 4096, Vec::new())).collect();
        let first = row(RowKey::Slot(0), 0, 4096, Vec::new());
        Arc::new(Sample { rows, ..sample(at_ms, first) })
    }

    /// The rows that are left after these samples, and the time of their sample.
    fn left(samples: &[Arc<Sample>]) -> Option<(usize, u64)> {
        let sample = samples.iter().cloned().fold(None, at_stop)?;
        Some((sample.rows.len(), sample.at.0))
    }

    #[test]
    fn a_stop_leaves_the_rows_of_all_takes_although_they_end_one_after_the_other() {
        assert_eq!(left(&[of(0, &[])]), None);
        let stop = [of(0, &[1, 2, 3]), of(80, &[1, 2, 3]), of(160, &[2, 3]), of(240, &[3]), of(320, &[])];
        assert_eq!(left(&stop), Some((3, 80)));
        assert_eq!(left(&[&stop[..], &[of(9000, &[4, 5])]].concat()), Some((2, 9000)), "other rows are another pass");
        assert_eq!(left(&[of(0, &[1, 2, 3]), of(80, &[2, 4])]), Some((2, 80)));
    }

    #[test]
    fn a_take_that_ends_long_before_the_stop_is_not_left() {
        let hour = [of(0, &[1, 2, 3]), of(80, &[1, 3]), of(ENDING_MS, &[1, 3]), of(3_600_000, &[1, 3])];
        assert_eq!(left(&hour), Some((2, 3_600_000)));
    }
}
