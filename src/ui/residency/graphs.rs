//! The graphs above the residency map: the figures of the last minute, on one axis of time with the samples of the map. The
//! axis is also the slider with which the user looks back. Thread: ui.

use super::{NAMES, ResidencyState};
use crate::limits::RATE_MS;
use crate::message::Motion;
use crate::residency::lanes::{Axis, LANES, Lane, Unit};
use crate::residency::rates::RatePoint;
use crate::residency::sample::Sample;
use crate::residency::watcher::ResidencySamples;
use crate::ui::panel_context::PanelContext;
use crate::ui::theme::{Theme, mixed};
use crate::ui::widget::{Button, text_at, value_before_cancelled_drag};
use egui::{
    Align2, Color32, CursorIcon, EventFilter, Key, Rect, Response, Role, Sense, Shape, Stroke, Ui, UiBuilder,
    WidgetInfo, pos2, vec2,
};
use std::sync::Arc;

/// Width of the values at the right of the graphs, in points.
const VALUES: f32 = 112.0;

/// Height of the line with the axis, in points.
const AXIS: f32 = 20.0;

/// Least and greatest height of a graph, in points.
const LANE: (f32, f32) = (14.0, 22.0);

/// Part of the panel's height that the graphs take at most: of a high panel, and of one that is lower than [`LOW`].
const SHARE: (f32, f32) = (0.42, 0.5);

const LOW: f32 = 150.0;

/// Least height of a panel with graphs, in points.
const PANEL_MIN: f32 = 96.0;

/// Places of the graphs.
struct Layout {
    /// The graphs and the axis.
    whole: Rect,
    /// The graphs alone, from their start to their end in time.
    plot: Rect,
    /// Height of a graph.
    lane: f32,
    lanes: &'static [Lane],
}

impl Layout {
    /// `None`: the panel is too low.
    fn of(map: Rect) -> Option<Layout> {
        if map.height() < PANEL_MIN {
            return None;
        }
        let share = if map.height() < LOW { SHARE.1 } else { SHARE.0 };
        let room = map.height() * share - AXIS;
        let number = ((room / LANE.0) as usize).clamp(1, LANES.len());
        let lane = (room / number as f32).clamp(LANE.0, LANE.1);
        let top = map.top() + 4.0;
        let right = (map.right() - VALUES).max(map.left() + NAMES + 40.0);
        let plot = Rect::from_min_max(pos2(map.left() + NAMES, top), pos2(right, top + lane * number as f32));
        let whole = Rect::from_min_max(map.min, pos2(map.right(), plot.bottom() + AXIS));
        Some(Layout { whole, plot, lane, lanes: LANES.get(..number).unwrap_or(&LANES) })
    }

    fn x(&self, axis: Axis, at_ms: u64) -> f32 {
        self.plot.left() + axis.place(at_ms).clamp(0.0, 1.0) as f32 * self.plot.width()
    }

    fn rect(&self, at: usize) -> Rect {
        let top = self.plot.top() + at as f32 * self.lane;
        Rect::from_min_max(pos2(self.plot.left(), top), pos2(self.plot.right(), top + self.lane))
    }
}

/// Draws the graphs into the upper part of `map`. Returns the rectangle that is left for the map.
pub(super) fn show(ui: &mut Ui, state: &mut ResidencyState, map: Rect, context: &mut PanelContext<'_>) -> Rect {
    let Some(layout) = Layout::of(map) else { return map };
    let axis = axis(state, context);
    let response = ui.interact(layout.plot, ui.scope_id().with("graphs"), Sense::click_and_drag());
    look_back(ui, state, &response, axis, &layout, context);
    let points = axis.within(&state.rates);
    let hovered =
        response.hover_pos().map(|at| axis.moment(f64::from((at.x - layout.plot.left()) / layout.plot.width())));
    let frozen = state.frozen.as_ref().and_then(|(samples, at)| samples.get(*at)).map(|sample| sample.at.0);
    let pointed = hovered.or(frozen);
    let point = pointed.and_then(|at| points.iter().find(|point| at <= point.at_ms));
    grid(ui, &layout, context.theme);
    for (at, lane) in layout.lanes.iter().enumerate() {
        let why = state.no_faults_because.as_deref().filter(|_| lane.unit == Unit::Count);
        draw(ui, lane, layout.rect(at), (axis, points), (point, why), context);
    }
    for (at, colour) in [(hovered, context.theme.quiet), (frozen, context.theme.accent)] {
        if let Some(at) = at {
            ui.painter().vline(layout.x(axis, at), layout.plot.y_range(), (1.0, colour));
        }
    }
    scale(ui, state, &layout, (axis, pointed), context);
    ui.painter().hline(layout.whole.x_range(), layout.whole.bottom() - 0.5, (1.0, context.theme.line_soft));
    about(response, &layout);
    Rect::from_min_max(pos2(map.left(), layout.whole.bottom()), map.max)
}

/// The last minute: up to now while something rolls, else up to the end of the figures, which is shortly after the stop.
fn axis(state: &ResidencyState, context: &PanelContext<'_>) -> Axis {
    let last = state.rates.last().map(|point| point.at_ms);
    let sample = match &state.frozen {
        Some((samples, _)) => samples.last(),
        None => state.sample.as_ref(),
    };
    let now = sample.map(|sample| sample.at.0);
    let transport = &context.snapshot.transport;
    let rolls = transport.pass.is_some() || transport.motion != Motion::Stopped;
    let end_ms = match (last, now) {
        (Some(last), Some(now)) if rolls || state.is_frozen() => last.max(now),
        (last, now) => last.or(now).unwrap_or(0),
    };
    Axis { end_ms }
}

/// The sample that is nearest to a moment.
fn nearest(samples: &[Arc<Sample>], at_ms: u64) -> usize {
    let after = samples.partition_point(|sample| sample.at.0 < at_ms).min(samples.len().saturating_sub(1));
    let before = after.saturating_sub(1);
    let apart = |at: usize| samples.get(at).map_or(u64::MAX, |sample| sample.at.0.abs_diff(at_ms));
    if apart(before) < apart(after) { before } else { after }
}

/// A click or a drag in the graphs freezes the map at that moment. Arrow keys move a frozen map from sample to sample. Esc
/// during a drag shows the moment before the drag again, or makes a map live that the drag has frozen.
fn look_back(
    ui: &Ui,
    state: &mut ResidencyState,
    response: &Response,
    axis: Axis,
    layout: &Layout,
    context: &PanelContext<'_>,
) {
    let shown = state.frozen.as_ref().map(|(_, at)| *at);
    match (value_before_cancelled_drag(response, shown), &mut state.frozen) {
        (Some(Some(before)), Some((samples, at))) => *at = before.min(samples.len().saturating_sub(1)),
        (Some(None), frozen) => *frozen = None,
        _ => {}
    }
    let pointer = response.interact_pointer_pos().filter(|_| response.clicked() || response.dragged());
    if let Some(at) = pointer {
        let moment = axis.moment(f64::from((at.x - layout.plot.left()) / layout.plot.width()));
        if state.frozen.is_none() {
            state.frozen =
                context.watcher.map(ResidencySamples::history).filter(|all| !all.is_empty()).map(|all| (all, 0));
        }
        if let Some((samples, shown)) = &mut state.frozen {
            *shown = nearest(samples, moment);
        }
    }
    let Some((samples, shown)) = &mut state.frozen else {
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, "Figures over the last minute"));
        return;
    };
    let last = samples.len().saturating_sub(1);
    if response.has_focus() {
        let arrows = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        let (back, ahead) = ui.input(|input| (input.num_presses(Key::ArrowLeft), input.num_presses(Key::ArrowRight)));
        *shown = (*shown + ahead).saturating_sub(back).min(last);
    }
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Slider, true, "Look back");
        info.value = Some(*shown as f64);
        info
    });
}

/// Seconds from the last sample back to the one that is shown.
fn seconds_before(samples: &[Arc<Sample>], shown: usize) -> f64 {
    match (samples.last(), samples.get(shown)) {
        (Some(last), Some(now)) => now.at.age_ms(last.at).unwrap_or(0) as f64 / 1000.0,
        _ => 0.0,
    }
}

/// Draws a line at every ten seconds.
fn grid(ui: &Ui, layout: &Layout, theme: &Theme) {
    for step in 0..=6 {
        let x = layout.plot.left() + layout.plot.width() * step as f32 / 6.0;
        ui.painter().vline(x.round(), layout.plot.y_range(), (1.0, mixed(theme.panel, theme.line_soft, 0.6)));
    }
}

/// Draws one graph with its name and its value: the one under the pointer, else the greatest. `not_attributed`: why page
/// faults have no marks on the map.
fn draw(
    ui: &Ui,
    lane: &Lane,
    rect: Rect,
    (axis, points): (Axis, &[RatePoint]),
    (pointed, not_attributed): (Option<&RatePoint>, Option<&str>),
    context: &PanelContext<'_>,
) {
    let theme = context.theme;
    let (top, bottom) = (rect.top() + 2.0, rect.bottom() - 1.0);
    let most = lane.top(points);
    let y = |value: f64| bottom - ((value / most) as f32 * (bottom - top)).max(1.0);
    let x = |at_ms: u64| rect.left() + axis.place(at_ms).clamp(0.0, 1.0) as f32 * rect.width();
    ui.painter().hline(rect.x_range(), bottom + 0.5, (1.0, theme.line_soft));
    let (mut second, mut is_over) = (Vec::new(), false);
    for point in points {
        let (left, right) = (x(point.at_ms.saturating_sub(u64::from(point.ms))), x(point.at_ms));
        if let Some(value) = (lane.value)(point).filter(|value| 0.0 < *value) {
            let (colour, over) = colour(lane, value, context);
            is_over |= over;
            let bar = Rect::from_min_max(pos2(left, y(value)), pos2(right.max(left + 1.0), bottom));
            ui.painter().rect_filled(bar, 0, colour);
        }
        if let Some(value) = lane.second.and_then(|(_, second)| second(point)).filter(|value| 0.0 < *value) {
            second.extend([pos2(left, y(value)), pos2(right, y(value))]);
        }
    }
    if 1 < second.len() {
        ui.painter().add(Shape::line(second, Stroke::new(1.0, theme.text)));
    }
    let middle = rect.center().y;
    text_at(
        ui,
        pos2(rect.left() - 8.0, middle),
        Align2::RIGHT_CENTER,
        lane.name,
        Theme::font(10.0),
        theme.quiet,
        NAMES - 14.0,
    );
    let mut text = pointed.map_or_else(|| lane.summary(points), |point| lane.text(point));
    if is_over && not_attributed.is_some() {
        text.push_str(" unattributed");
    }
    let is_over = match pointed.and_then(|point| (lane.value)(point)) {
        Some(value) => 0.0 < value && colour(lane, value, context).1,
        None => is_over,
    };
    let colour = if is_over { theme.record } else { theme.text };
    let at = pos2(rect.right() + 8.0, middle);
    text_at(ui, at, Align2::LEFT_CENTER, &text, Theme::font(10.0), colour, VALUES - 14.0);
    let name = ui.interact(
        Rect::from_min_max(pos2(rect.left() - NAMES, rect.top()), rect.left_bottom()),
        ui.scope_id().with(lane.name),
        Sense::hover(),
    );
    let label = format!("{}, last minute: {}", lane.name, lane.summary(points));
    name.widget_info(|| WidgetInfo::labeled(Role::Label, true, &label));
    let why = not_attributed.map_or_else(String::new, |why| format!(" They have no marks on the map: {why}."));
    name.on_hover_text(format!("{}{why}", lane.about));
}

/// The colour of a figure, and whether it is one that should not be: a fault, or a wake-up later than a period.
fn colour(lane: &Lane, value: f64, context: &PanelContext<'_>) -> (Color32, bool) {
    let theme = context.theme;
    let deadline = context.snapshot.figures.deadline_us;
    if lane.unit == Unit::Count || (lane.has_deadline && 0.0 < deadline && deadline < value) {
        return (theme.record, true);
    }
    (mixed(theme.panel, theme.accent, 0.55), false)
}

/// Draws the axis. Frozen: with the time of the shown sample, and the button that ends it.
fn scale(
    ui: &mut Ui,
    state: &mut ResidencyState,
    layout: &Layout,
    (axis, pointed): (Axis, Option<u64>),
    context: &PanelContext<'_>,
) {
    let theme = context.theme;
    let y = layout.plot.bottom() + AXIS / 2.0 - 1.0;
    let before = |at_ms: u64| axis.end_ms.saturating_sub(at_ms) as f64 / 1000.0;
    let free = pointed.map(|at| layout.x(axis, at));
    for step in (0..=6).filter(|step| step % 2 == 0) {
        let x = layout.plot.left() + layout.plot.width() * step as f32 / 6.0;
        if free.is_some_and(|free| (free - x).abs() < 54.0) {
            continue;
        }
        let (text, align) = match step {
            0 => ("\u{2212}60 s".to_owned(), Align2::LEFT_CENTER),
            6 => (end_word(state, context).to_owned(), Align2::RIGHT_CENTER),
            _ => (format!("\u{2212}{} s", 60 - step * 10), Align2::CENTER_CENTER),
        };
        ui.painter().text(pos2(x, y), align, text, Theme::font(10.0), theme.quiet);
    }
    let Some((samples, shown)) = &state.frozen else {
        if let Some(at) = pointed {
            let x = layout.x(axis, at).clamp(layout.plot.left() + 20.0, layout.plot.right() - 20.0);
            let text = format!("\u{2212}{:.1} s", before(at));
            ui.painter().text(pos2(x, y), Align2::CENTER_CENTER, text, Theme::font(10.0), theme.text);
        }
        return;
    };
    text_at(
        ui,
        pos2(layout.plot.left() - 8.0, y),
        Align2::RIGHT_CENTER,
        "Frozen",
        Theme::semi(11.0),
        theme.accent,
        NAMES - 14.0,
    );
    let text = format!("{:.1} s before", seconds_before(samples, *shown));
    let x = samples.get(*shown).map_or(layout.plot.right(), |sample| layout.x(axis, sample.at.0));
    let x = x.clamp(layout.plot.left() + 32.0, layout.plot.right() - 32.0);
    let rect = Rect::from_center_size(pos2(x, y), vec2(64.0, AXIS - 4.0));
    ui.interact(rect, ui.scope_id().with("before"), Sense::hover())
        .widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, &text, Theme::font(10.5), theme.text);
    let button = Rect::from_min_size(pos2(layout.plot.right() + 8.0, y - 9.0), vec2(48.0, 18.0));
    let mut place = ui.new_child(UiBuilder::new().max_rect(button).id_salt("live"));
    if Button::text("Live", "Live").size(48.0, 18.0).show(&mut place, theme).clicked() {
        state.freeze_clicked = true;
    }
}

/// The word for the end of the axis. Figures end shortly after a stop.
fn end_word(state: &ResidencyState, context: &PanelContext<'_>) -> &'static str {
    let transport = &context.snapshot.transport;
    let rolls = transport.pass.is_some() || transport.motion != Motion::Stopped;
    let last = state.rates.last().map(|point| point.at_ms);
    let is_old = last.zip(state.sample.as_ref()).is_some_and(|(last, sample)| last + 3 * RATE_MS < sample.at.0);
    match (state.is_frozen(), is_old && !rolls) {
        (true, _) => "end",
        (false, true) => "at the stop",
        (false, false) => "now",
    }
}

/// Shows that the graphs can be clicked.
fn about(response: Response, layout: &Layout) {
    let hovered = response.hover_pos().map(|at| ((at.y - layout.plot.top()) / layout.lane) as usize);
    if hovered.is_some() {
        response.on_hover_cursor(CursorIcon::PointingHand);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::ledger::Stamp;
    use crate::residency::sample::{Pages, SampleFigures, View};

    #[test]
    fn the_sample_that_is_nearest_to_a_moment_is_shown() {
        let sample = |at| {
            let view = View { cells: 1, pages: Pages::WholeFile, hz: 2 };
            let figures = SampleFigures::default();
            Arc::new(Sample { at: Stamp(at), took_us: 0, view, position: 0, rows: Vec::new(), figures })
        };
        let samples: Vec<_> = [100, 600, 700].into_iter().map(sample).collect();
        assert_eq!([0, 340, 360, 640, 660, 9000].map(|at| nearest(&samples, at)), [0, 0, 1, 1, 2, 2]);
        assert_eq!(nearest(&[], 5), 0);
    }

    #[test]
    fn low_panels_have_fewer_graphs_and_leave_the_map_its_place() {
        for height in [100.0_f32, 150.0, 190.0, 250.0, 400.0, 900.0] {
            let map = Rect::from_min_size(pos2(0.0, 400.0), vec2(380.0, height));
            let layout = Layout::of(map).unwrap();
            assert!(layout.whole.height() <= height * 0.55, "{height}: {:?}", layout.whole);
            assert!(map.contains_rect(layout.whole) && LANE.0 <= layout.lane, "{height}");
        }
        let many =
            |height| Layout::of(Rect::from_min_size(pos2(0.0, 0.0), vec2(800.0, height))).map(|of| of.lanes.len());
        assert_eq!([80.0, 100.0, 170.0, 300.0].map(many), [None, Some(2), Some(3), Some(5)]);
    }
}
