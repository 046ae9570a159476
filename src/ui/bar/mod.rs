//! The transport bar: session name, transport buttons, time, master meter, free disk space, device, menu. Thread: ui.

mod chips;
mod hold;
mod menu;
mod time;

use super::action::Action;
use super::format;
use super::icon::Icon;
use super::panel_context::PanelContext;
use super::theme::{Theme, mixed};
use super::widget::{Button, Look, Meters, name_field, text_at};
use crate::app::command::Command;
use crate::app::snapshot::{PassPhase, Stage};
use crate::control::edit::Edit;
use crate::message::Motion;
use crate::ui::widget::Ballistics;
use egui::{Align2, Layout, Rect, Ui, UiBuilder, pos2, vec2};

/// State that the bar keeps between pictures.
#[derive(Default)]
pub struct BarState {
    /// Request to start editing the session's name. The next picture takes it.
    pub rename: bool,
    hold: hold::Hold,
    time: time::TimeState,
    master: [Ballistics; 2],
}

impl BarState {
    /// Whether something moves although the snapshot stays the same: the ring of a long press, a falling meter.
    pub fn moves(&self) -> bool {
        self.hold.is_on() || self.master.iter().any(|meter| !meter.is_at_rest())
    }

    /// Switches off the clip lamps.
    pub fn acknowledge(&mut self) {
        for meter in &mut self.master {
            meter.clipped = false;
        }
    }
}

/// Width in points below which the bar is drawn in its narrow form. At this width the full time just fits.
const NARROW: f32 = 1424.0;

/// Draws the bar into `rect`.
pub fn show(ui: &mut Ui, state: &mut BarState, rect: Rect, context: &mut PanelContext<'_>) {
    ui.painter().rect_filled(rect, 0, context.theme.panel);
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, context.theme.line));
    let narrow = rect.width() < NARROW;
    let name_width = if narrow { 136.0 } else { 206.0 };
    let inner = rect.shrink2(vec2(16.0, 0.0));
    let name = Rect::from_min_size(inner.min, vec2(name_width, rect.height()));
    session(ui, state, name, context);

    let right = chips::show(ui, inner, narrow, context);
    let left = Rect::from_min_max(pos2(name.right() + 12.0, rect.top()), pos2(right, rect.bottom()));
    let mut row = ui.new_child(
        UiBuilder::new().max_rect(left).layout(Layout::left_to_right(egui::Align::Center)).id_salt("transport"),
    );
    row.spacing_mut().item_spacing.x = 6.0;
    let end = transport(&mut row, state, narrow, context);

    let rest = Rect::from_min_max(pos2(end + 10.0, rect.top()), pos2(right - 10.0, rect.bottom()));
    time::show(ui, &mut state.time, rest, narrow, context);
    master(ui, state, rest, context);
}

/// The session's name. Below it: number of takes, file format, sample rate.
fn session(ui: &mut Ui, state: &mut BarState, rect: Rect, context: &mut PanelContext<'_>) {
    let session = &context.snapshot.session;
    let line = Rect::from_min_size(pos2(rect.left(), rect.top() + 14.0), vec2(rect.width() - 18.0, 20.0));
    let begin = std::mem::take(&mut state.rename);
    let shown = if session.name().is_empty() { "Untitled" } else { session.name() };
    let (response, name) = name_field(ui, context.theme, line, "Session name", shown, Theme::semi(15.0), begin);
    if response.hovered() {
        Icon::Pencil.paint(ui.painter(), pos2(rect.right() - 8.0, line.center().y), 11.0, context.theme.quiet);
    }
    if let Some(name) = name {
        context.send(Command::Edit(Edit::RenameSession(name)));
    }
    let rate = session.rate().0;
    let rate = if rate.is_multiple_of(1000) {
        format!("{} kHz", rate / 1000)
    } else {
        format!("{:.1} kHz", f64::from(rate) / 1e3)
    };
    let passes = session.next_pass() - 1;
    let takes = match (&context.snapshot.stage, &context.snapshot.transport.pass) {
        (Stage::Opening, _) => "Opening".to_owned(),
        (_, Some(_)) => format!("Take {}", passes.max(1)),
        (_, None) if passes == 0 => "Nothing recorded yet".to_owned(),
        (_, None) => format::count(passes as usize, "take"),
    };
    let kind = match session.format {
        crate::format::TakeFormat::S16 => "16-bit WAV",
        crate::format::TakeFormat::S24 => "24-bit WAV",
        crate::format::TakeFormat::F32 => "float WAV",
    };
    let below = format!("{takes} · {kind} · {rate}");
    let at = pos2(rect.left(), rect.top() + 46.0);
    text_at(ui, at, Align2::LEFT_CENTER, &below, Theme::font(11.5), context.theme.quiet, rect.width());
}

/// The transport buttons from left to right. Returns the x of their right edge.
fn transport(ui: &mut Ui, state: &mut BarState, narrow: bool, context: &mut PanelContext<'_>) -> f32 {
    let transport = &context.snapshot.transport;
    let phase = transport.pass.as_ref().map(|pass| pass.phase);
    let free = phase.is_none();
    let usable = matches!(context.snapshot.stage, Stage::Open | Stage::ReadOnly(_));
    let rolls = transport.motion != Motion::Stopped;
    let theme = context.theme;
    let step = |ui: &mut Ui,
                context: &mut PanelContext<'_>,
                name: &str,
                icon: Icon,
                action: Action,
                enabled: bool,
                on: Option<bool>| {
        let mut button = Button::icon(name, icon).enabled(enabled).tip(context.tip(action.name(), action));
        if let Some(on) = on {
            button = button.on(on);
        }
        if button.show(ui, theme).clicked() {
            context.act(action);
        }
    };
    step(ui, context, "To start", Icon::ToStart, Action::ToStart, usable && free, None);
    hold::show(ui, &mut state.hold, narrow, rolls, context);
    step(ui, context, "Play", Icon::Play, Action::PlayOrStop, usable && free, Some(rolls && free));
    record(ui, phase, narrow, context);
    if !narrow {
        step(ui, context, "To end", Icon::ToEnd, Action::ToEnd, usable && free, None);
    }
    let ranged = transport.range.is_some();
    step(ui, context, "Loop", Icon::Loop, Action::Loop, usable && (ranged || transport.loops), Some(transport.loops));
    if narrow {
        return ui.min_rect().right();
    }
    step(
        ui,
        context,
        "Punch",
        Icon::Punch,
        Action::Punch,
        usable && (ranged || transport.punches),
        Some(transport.punches),
    );
    ui.min_rect().right()
}

/// The Record button, the largest one of the window.
fn record(ui: &mut Ui, phase: Option<PassPhase>, narrow: bool, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    let enabled = context.snapshot.stage == Stage::Open && phase.is_none();
    let text = match phase {
        None => "Record",
        Some(PassPhase::Preparing) => "Starting",
        Some(PassPhase::Waiting) => "Rolling in",
        Some(PassPhase::Recording) => "Recording",
        Some(PassPhase::Finishing) => "Finishing",
    };
    let armed = context.snapshot.session.tracks().iter().filter(|track| track.armed).count();
    let all = context.snapshot.session.tracks().len();
    let what = if armed == 0 {
        format!("Record all {all} tracks")
    } else {
        format!("Record {}", format::count(armed, "armed track"))
    };
    let on = phase.is_some();
    let fill = if on || enabled { theme.record } else { mixed(theme.button, theme.record, 0.25) };
    // The accessible name stays "Record". A screen reader gets the state from `on`.
    let button = Button::text("Record", text)
        .with_icon(Icon::Record)
        .look(Look::Filled(fill))
        .size(if narrow { 118.0 } else { 132.0 }, 44.0)
        .on(on)
        .enabled(enabled)
        .tip(context.tip(&what, Action::Record));
    let response = button.show(ui, theme);
    if on {
        let glow = mixed(theme.panel, theme.record, 0.30);
        let ring = response.rect.expand(2.0);
        ui.painter().rect_stroke(ring, 10, (3.0, glow), egui::StrokeKind::Outside);
    }
    if response.clicked() {
        context.act(Action::Record);
    }
}

/// The master meter, left and right channel, at the right end of `rest`.
fn master(ui: &mut Ui, state: &mut BarState, rest: Rect, context: &mut PanelContext<'_>) {
    for (shown, level) in state.master.iter_mut().zip(context.snapshot.master) {
        shown.update(level, context.now);
    }
    let rect = Rect::from_min_size(pos2(rest.right() - 15.0, rest.top() + 11.0), vec2(15.0, rest.height() - 22.0));
    let mut meters = Meters::default();
    let [left, right] = [0.0, 8.0].map(|x| Rect::from_min_size(rect.min + vec2(x, 0.0), vec2(7.0, rect.height())));
    meters.upright(left, &state.master[0], context.theme);
    meters.upright(right, &state.master[1], context.theme);
    meters.paint(ui.painter());
    let response = ui.interact(rect, ui.scope_id().with("master"), egui::Sense::click());
    let level = f64::from(state.master[0].peak.max(state.master[1].peak));
    response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::Meter, true, "Meter master");
        info.value = Some(level);
        info
    });
    if response.on_hover_text("What is heard, left and right. Click to put the clip lamps out").clicked() {
        state.acknowledge();
    }
}
