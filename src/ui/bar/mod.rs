//! The transport bar: session name, transport buttons, time, master meter, free disk space, device, menu. Thread: ui.

mod chips;
mod hold;
mod layout;
mod menu;
mod time;

use super::action::Action;
use super::format;
use super::icon::Icon;
use super::panel_context::PanelContext;
use super::theme::{Theme, mixed};
use super::widget::{Button, Look, Meters, Named, describe, meter_info, name_field, text_at};
use crate::app::command::Command;
use crate::app::snapshot::{PassPhase, Snapshot, Stage};
use crate::control::edit::Edit;
use crate::message::Motion;
use crate::ui::widget::Ballistics;
use egui::{Align2, Rect, Ui, pos2, vec2};

/// State that the bar keeps between pictures.
#[derive(Default)]
pub struct BarState {
    /// Request to start editing the session's name. The next picture takes it.
    pub rename: bool,
    /// Whether the field for the session's name is open in a bar that does not show the name.
    renames: bool,
    hold: hold::Hold,
    time: time::TimeState,
    master: [Ballistics; 2],
}

impl BarState {
    /// Whether something moves although the snapshot stays the same: the ring of a long press, a falling meter.
    pub fn moves(&self) -> bool {
        self.hold.is_on() || self.master.iter().any(|meter| !meter.is_at_rest())
    }

    /// The key of Stop, if it is down, is meant for something else. It does not count for a long press until it is released.
    pub fn ignore_stop_key(&mut self) {
        self.hold.ignores_key = true;
    }

    /// Applies the levels of a snapshot to the master meter, at `now` seconds.
    pub fn update_meters(&mut self, snapshot: &Snapshot, now: f64) {
        for (shown, level) in self.master.iter_mut().zip(snapshot.master) {
            shown.update(level, now);
        }
    }

    /// Switches off the clip lamps.
    pub fn acknowledge(&mut self) {
        for meter in &mut self.master {
            meter.clipped = false;
        }
    }
}

/// Draws the bar into `rect`, from left to right, because the Tab key follows this order.
pub fn show(ui: &mut Ui, state: &mut BarState, rect: Rect, context: &mut PanelContext<'_>) {
    ui.painter().rect_filled(rect, 0, context.theme.panel);
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, context.theme.line));
    let places = layout::Layout::new(rect);
    match places.name {
        Some(name) => session(ui, state, name, context),
        None => rename_elsewhere(ui, state, rect, context),
    }
    transport(ui, state, &places, context);
    if let Some(time) = places.time {
        time::show(ui, &mut state.time, time, places.time_size(), context);
    }
    if let Some(meter) = places.master {
        master(ui, state, meter, context);
    }
    chips::show(ui, &places, context);
}

/// The session's name. Below it: number of passes, file format, sample rate.
fn session(ui: &mut Ui, state: &mut BarState, rect: Rect, context: &mut PanelContext<'_>) {
    let session = &context.snapshot.session;
    let line = Rect::from_min_size(pos2(rect.left(), rect.top() + 14.0), vec2(rect.width() - 18.0, 20.0));
    let begin = std::mem::take(&mut state.rename);
    // A name that is a date and a time fits.
    let size = if rect.width() < 150.0 { 13.0 } else { 15.0 };
    let shown = if session.name().is_empty() { "Untitled" } else { session.name() };
    let Named { response, name, is_open, .. } =
        name_field(ui, context.theme, line, ("Session name", 0), shown, Theme::semi(size), begin);
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
    let passes = session.next_pass().saturating_sub(1);
    let takes = match (&context.snapshot.stage, &context.snapshot.transport.pass) {
        (Stage::Opening, _) => "Opening".to_owned(),
        (_, Some(_)) => format!("Pass {}", passes.max(1)),
        (_, None) if passes == 0 => "Empty".to_owned(),
        (_, None) if passes == 1 => "1 pass".to_owned(),
        (_, None) => format!("{passes} passes"),
    };
    let kind = match session.format {
        crate::format::TakeFormat::S16 => "16-bit WAV",
        crate::format::TakeFormat::S24 => "24-bit WAV",
        crate::format::TakeFormat::F32 => "float WAV",
    };
    if is_open {
        return;
    }
    let below = format!("{takes} · {kind} · {rate}");
    if !ui.ctx().text_edit_focused() {
        describe(&response, &format!("{shown}, {takes}, {kind}, {rate}. Enter renames it"));
    }
    let at = pos2(rect.left(), rect.top() + 46.0);
    text_at(ui, at, Align2::LEFT_CENTER, &below, Theme::font(11.5), context.theme.quiet, rect.width());
}

/// The session's name is not shown in a narrow bar. To rename the session, its field covers the bar for a while.
fn rename_elsewhere(ui: &mut Ui, state: &mut BarState, bar: Rect, context: &mut PanelContext<'_>) {
    let begin = std::mem::take(&mut state.rename);
    state.renames |= begin;
    if !state.renames {
        return;
    }
    let line = Rect::from_min_size(bar.min + vec2(12.0, 2.0), vec2((bar.width() - 24.0).min(240.0), 20.0));
    let name = context.snapshot.session.name();
    let named = name_field(ui, context.theme, line, ("Session name", 0), name, Theme::semi(13.0), begin);
    if let Some(name) = named.name {
        context.send(Command::Edit(Edit::RenameSession(name)));
    }
    state.renames = begin || ui.ctx().text_edit_focused();
}

/// The transport buttons from left to right.
fn transport(ui: &mut Ui, state: &mut BarState, places: &layout::Layout, context: &mut PanelContext<'_>) {
    let transport = &context.snapshot.transport;
    let phase = transport.pass.as_ref().map(|pass| pass.phase);
    let free = phase.is_none();
    let usable = matches!(context.snapshot.stage, Stage::Open | Stage::ReadOnly(_));
    let rolls = transport.motion != Motion::Stopped;
    let ranged = transport.range.is_some();
    let theme = context.theme;
    let step = |ui: &mut Ui,
                context: &mut PanelContext<'_>,
                rect: Option<Rect>,
                name: &str,
                icon: Icon,
                action: Action,
                (enabled, on): (bool, Option<bool>)| {
        let Some(rect) = rect else { return };
        let mut button = Button::icon(name, icon).enabled(enabled).tip(context.tip(action.name(), action));
        if rect.width() > 40.0 {
            button = button.caption(name);
        }
        if let Some(on) = on {
            button = button.on(on);
        }
        if button.show_in(ui, theme, rect).clicked() {
            context.act(action);
        }
    };
    let moves = (usable && free, None);
    step(ui, context, places.to_start, "To start", Icon::ToStart, Action::ToStart, moves);
    if let Some(stop) = places.stop {
        hold::show(ui, &mut state.hold, stop, rolls, context);
    }
    let plays = (usable && free, Some(rolls && free));
    step(ui, context, places.play, "Play", Icon::Play, Action::PlayOrStop, plays);
    if let Some(rect) = places.record {
        record(ui, phase, rect, context);
    }
    step(ui, context, places.to_end, "To end", Icon::ToEnd, Action::ToEnd, moves);
    let loops = (usable && (ranged || transport.loops), Some(transport.loops));
    step(ui, context, places.loops, "Loop", Icon::Loop, Action::Loop, loops);
    let punches = (usable && (ranged || transport.punches), Some(transport.punches));
    step(ui, context, places.punch, "Punch", Icon::Punch, Action::Punch, punches);
}

/// The Record button, the largest one of the window.
fn record(ui: &mut Ui, phase: Option<PassPhase>, rect: Rect, context: &mut PanelContext<'_>) {
    let theme = context.theme;
    let enabled = context.snapshot.stage == Stage::Open && phase.is_none();
    let text = match phase {
        None => "Record",
        Some(PassPhase::Preparing) => "Starting",
        Some(PassPhase::Waiting) => "Pre-roll",
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
    let tip = if on { text.to_owned() } else { context.tip(&what, Action::Record) };
    let fill = if on || enabled { theme.record } else { mixed(theme.button, theme.record, 0.25) };
    // The accessible name stays "Record". A screen reader gets the state from `on`.
    let button = Button::text("Record", if rect.width() < 100.0 { "" } else { text })
        .with_icon(Icon::Record)
        .look(Look::Filled(fill))
        .on(on)
        .enabled(enabled)
        .tip(tip);
    let response = button.show_in(ui, theme, rect);
    if on {
        let glow = mixed(theme.panel, theme.record, 0.30);
        let ring = response.rect.expand(2.0);
        ui.painter().rect_stroke(ring, 10, (3.0, glow), egui::StrokeKind::Outside);
    }
    if response.clicked() {
        context.act(Action::Record);
    }
}

/// The master meter, left and right channel.
fn master(ui: &mut Ui, state: &mut BarState, rect: Rect, context: &mut PanelContext<'_>) {
    let mut meters = Meters::default();
    let [left, right] = [0.0, 8.0].map(|x| Rect::from_min_size(rect.min + vec2(x, 0.0), vec2(7.0, rect.height())));
    let is_dead = context.snapshot.device.gone;
    meters.upright(left, &state.master[0], is_dead, context.theme);
    meters.upright(right, &state.master[1], is_dead, context.theme);
    meters.paint(ui.painter());
    let response = ui.interact(rect, ui.scope_id().with("master"), egui::Sense::click());
    let level = state.master[0].peak.max(state.master[1].peak);
    meter_info(&response, "Meter master", level, is_dead);
    if response.on_hover_text("What is heard, left and right. Click to put the clip lamps out").clicked() {
        state.acknowledge();
    }
}
