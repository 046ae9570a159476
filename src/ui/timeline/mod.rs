//! The timeline: ruler, lanes with regions and waveforms, markers, range and playhead. Thread: ui.

mod blocks;
mod lanes;
mod losses;
mod markers;
mod pointer;
mod ruler;
mod runs;
mod short_regions;
mod tree;
mod waves;

use super::action::Action;
use super::panel_context::PanelContext;
use super::theme::Theme;
use super::widget::{centred, name_part};
use crate::app::snapshot::{PassPhase, Stage};
use crate::message::Motion;
use crate::time::FramePos;
use egui::{Color32, Rect, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

/// State that the timeline keeps between pictures.
#[derive(Default)]
pub struct TimelineState {
    blocks: blocks::Blocks,
    waves: waves::Waves,
    losses: losses::Losses,
    pointer: pointer::Pointer,
    markers: markers::MarkersState,
    /// The user scrolled or zoomed. The view does not follow the playhead until the transport starts again.
    user_moved_view: bool,
    /// Whether the transport was rolling in the last picture.
    was_rolling: bool,
    /// The playhead of the last picture.
    playhead: Option<FramePos>,
}

/// Parts of the width: where the playhead may go before the view moves, and where the playhead is after that.
const FOLLOW: (f64, f64) = (0.92, 0.25);

/// Draws the ruler into `ruler` and the lanes into `lanes`. The lane of row `n` is `n` times
/// [`super::view::View::row_height`] below the top of `lanes`, less [`super::view::View::scroll`].
pub fn show(ui: &mut Ui, state: &mut TimelineState, ruler: Rect, lanes: Rect, context: &mut PanelContext<'_>) {
    ui.painter().rect_filled(ruler.union(lanes), 0, context.theme.background);
    follow(state, context);
    let mut picture = ui.new_child(egui::UiBuilder::new().max_rect(lanes).id_salt("picture"));
    picture.shrink_clip_rect(lanes);
    ruler::grid(&picture, lanes, context);
    let preview = state.pointer.preview(&context.snapshot.session);
    lanes::draw_regions(&picture, &mut state.blocks, lanes, preview, context);
    state.waves.show(&picture, lanes, preview, context);
    state.losses.show(&picture, lanes, preview, context);
    if context.snapshot.session.end() == FramePos(0) && context.snapshot.transport.pass.is_none() {
        invitation(&picture, lanes, context);
    }
    // The ruler with its markers is above the controls of the lanes, also for screen readers.
    ruler::show(ui, ruler, context);
    state.user_moved_view |= pointer::scrub(ui, &mut state.pointer, ruler, context);
    range(ui, ruler, lanes, context);
    markers::show(ui, &mut state.markers, ruler, lanes, context);
    let mut inner = ui.new_child(egui::UiBuilder::new().max_rect(lanes).id_salt("lanes"));
    inner.shrink_clip_rect(lanes);
    name_part(&inner, Role::List, "Region list", Some(lanes));
    pointer::show(&mut inner, &mut state.pointer, lanes, &mut state.user_moved_view, context);
    pointer::overview(&mut inner, lanes, &mut state.user_moved_view, context);
    tree::describe(&inner, lanes, state.pointer.preview(&context.snapshot.session), context);
    playhead(ui, ruler, lanes, context);
    ui.painter().hline(ruler.x_range(), ruler.bottom() - 0.5, (1.0, context.theme.line));
}

/// Keeps a rolling playhead in view, page by page, unless the user has moved the view.
fn follow(state: &mut TimelineState, context: &mut PanelContext<'_>) {
    let is_rolling = context.snapshot.transport.motion != Motion::Stopped;
    if is_rolling && !state.was_rolling {
        state.user_moved_view = false;
    }
    state.was_rolling = is_rolling;
    let playhead = context.snapshot.transport.position;
    // A playhead that jumped, because of End or a marker, is shown.
    if state.playhead.replace(playhead).is_some_and(|before| before != playhead) && !is_rolling {
        context.view.bring_into_view(playhead);
    }
    if is_rolling && context.view.follow && !state.user_moved_view {
        let x = f64::from(context.view.x_of(context.snapshot.transport.position));
        let width = f64::from(context.view.width);
        if x > width * FOLLOW.0 || x < 0.0 {
            context.view.follow_playhead(context.snapshot.transport.position, FOLLOW.1);
        }
    }
}

/// Draws the range: shaded in the lanes, marked in the ruler.
fn range(ui: &Ui, ruler: Rect, lanes: Rect, context: &PanelContext<'_>) {
    let Some((from, to)) = context.snapshot.transport.range else { return };
    let [from, to] =
        [from, to].map(|at| (lanes.left() + context.view.x_of(at)).clamp(lanes.left() - 2.0, lanes.right() + 2.0));
    let transport = &context.snapshot.transport;
    let colour = if transport.punches { context.theme.record } else { context.theme.accent };
    let shade = colour.gamma_multiply(if transport.loops || transport.punches { 0.14 } else { 0.09 });
    ui.painter().rect_filled(Rect::from_x_y_ranges(from..=to, lanes.y_range()), 0, shade);
    let bar = Rect::from_x_y_ranges(from..=to, ruler.bottom() - 4.0..=ruler.bottom());
    ui.painter().rect_filled(bar, 0, colour);
    for x in [from, to] {
        ui.painter().vline(x, ruler.bottom() - 4.0..=lanes.bottom(), (1.0, colour.gamma_multiply(0.6)));
    }
}

fn playhead(ui: &Ui, ruler: Rect, lanes: Rect, context: &PanelContext<'_>) {
    let x = lanes.left() + context.view.x_of(context.snapshot.transport.position);
    if !(lanes.left() - 6.0..=lanes.right() + 6.0).contains(&x) {
        return;
    }
    let recording = context.snapshot.transport.pass.as_ref().is_some_and(|pass| pass.phase != PassPhase::Finishing);
    let colour = if recording { context.theme.record } else { context.theme.strong };
    ui.painter().vline(x, ruler.top()..=lanes.bottom(), (1.5, colour));
    let top = ruler.top();
    let head = vec![pos2(x - 6.0, top), pos2(x + 6.0, top), pos2(x, top + 9.0)];
    ui.painter().add(Shape::convex_polygon(head, colour, Stroke::NONE));
}

/// The text of an empty timeline: the first step for the user, or why nothing is open.
fn invitation(ui: &Ui, lanes: Rect, context: &PanelContext<'_>) {
    let (large, small) = match &context.snapshot.stage {
        Stage::Opening => ("Opening", String::new()),
        Stage::NoSession { .. } => {
            ("The session cannot be opened", "Events has the reason, and earlier versions to restore".to_owned())
        }
        Stage::NoDevice { .. } => ("No device", "Click the device above to choose another".to_owned()),
        // The health line says more: the recorder may have ended, or this window is not attached to it.
        Stage::Failed { .. } => {
            (context.snapshot.health.head.trim_end_matches('.'), "Close the window and start again".to_owned())
        }
        _ if context.snapshot.session.takes().iter().any(|take| !take.trashed) => {
            ("No regions here", context.tip("The takes are in Takes", Action::Takes))
        }
        _ => {
            let press = context.tip("Press Record", Action::Record);
            let what = "every armed input becomes a WAV file of its own. With none armed, all are.";
            ("Ready to record", format!("{press}: {what}"))
        }
    };
    let (theme, width) = (context.theme, lanes.width() - 32.0);
    let head = centred(ui, large, Theme::semi(17.0), theme.text, width);
    let body = centred(ui, &small, Theme::font(12.5), theme.quiet, width);
    let height = head.size().y + 10.0 + body.size().y;
    let middle = lanes.top() + (lanes.height() * 0.38).max(40.0) - head.size().y;
    // In low lanes the text is higher, so that its last line is not cut off.
    let top = middle.min(lanes.bottom() - height - 8.0).max(lanes.top() + 4.0);
    let below = pos2(lanes.center().x, top + head.size().y + 10.0);
    let rect = Rect::from_center_size(
        pos2(lanes.center().x, top + height / 2.0),
        vec2(head.size().x.max(body.size().x), height),
    );
    let response = ui.interact(rect, ui.scope_id().with("empty"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{large}. {small}")));
    ui.painter().galley(pos2(lanes.center().x, top), head, theme.text);
    ui.painter().galley(below, body, theme.quiet);
}

/// A translucent colour: `part` 0.0 is invisible, 1.0 opaque.
fn faded(colour: Color32, part: f32) -> Color32 {
    colour.gamma_multiply(part)
}
