//! The window's frame: drains, paces, asks before it closes. Thread: ui.
//!
//! `logic` runs also while the window is hidden, and keeps the studio going; `ui` draws.

use super::action::Action;
use super::dialog::Dialog;
use super::pace::Pace;
use super::theme::Theme;
use super::widget::{Button, Look};
use super::window::Window;
use crate::studio::command::Command;
use crate::studio::snapshot::Snapshot;
use crate::studio::{Options, Repaint, Studio};
use egui::{Align, Color32, Layout, Rect, Ui, UiBuilder, ViewportCommand, vec2};
use nix::sys::resource::{UsageWho, getrusage};
use std::sync::Arc;
use std::time::Duration;

/// How far the window is on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Leaving {
    /// It stays.
    #[default]
    No,
    /// A pass is on: asks whether to end it.
    Asking,
    /// The pass is being ended, then the window closes.
    Ending,
    /// The session is being closed.
    Closing,
    /// Everything is on the disk.
    Gone,
}

/// Between two looks while nothing is drawn but something goes on.
const HIDDEN_TICK: Duration = Duration::from_millis(200);

/// See the module.
pub struct App {
    studio: Studio,
    window: Window,
    pace: Pace,
    leaving: Leaving,
    dialog: Dialog,
    /// For the folder in which takes go on.
    elsewhere: Dialog,
    zoom: f32,
    full_screen: bool,
    /// Told by the pace, to be shown among the events.
    told: Vec<String>,
}

impl App {
    /// A window over a studio that is being opened. Waits for nothing.
    pub fn new(ctx: &egui::Context, options: Options) -> App {
        super::theme::install_fonts(ctx);
        Theme::dark().install(ctx);
        // Closing goes through the guard, and zoom through the settings.
        ctx.options_mut(|options| {
            options.quit_shortcuts.clear();
            options.zoom_with_keyboard = false;
        });
        let waker = ctx.clone();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || waker.request_repaint());
        let studio = Studio::start(Options { wake: Some(wake), ..options });
        App {
            studio,
            window: Window::default(),
            pace: Pace::default(),
            leaving: Leaving::No,
            dialog: Dialog::default(),
            elsewhere: Dialog::default(),
            zoom: 0.0,
            full_screen: false,
            told: Vec::new(),
        }
    }

    /// What it stands on.
    pub fn studio(&self) -> &Studio {
        &self.studio
    }

    /// The panels.
    pub fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// How things stand, as a picture would show it.
    pub fn look(&mut self) -> Snapshot {
        self.studio.snapshot()
    }

    /// Asks the studio, as a panel would.
    pub fn ask(&mut self, command: Command) {
        self.studio.apply(command);
    }

    /// Pictures a second that it aims at.
    pub fn rate(&self) -> u32 {
        self.pace.rate()
    }

    fn close_guard(&mut self, ctx: &egui::Context) {
        if ctx.input(|input| input.viewport().close_requested()) && self.leaving != Leaving::Gone {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            if self.leaving == Leaving::No {
                self.leaving = if self.studio.is_recording() { Leaving::Asking } else { Leaving::Ending };
            }
        }
        // A signal ends the studio without the window's close button.
        if matches!(self.leaving, Leaving::No | Leaving::Asking) && self.studio.is_closing() {
            self.leaving = Leaving::Closing;
        }
        match self.leaving {
            Leaving::Asking if !self.studio.is_recording() => self.leaving = Leaving::Ending,
            Leaving::Ending if !self.studio.is_recording() => {
                self.studio.shutdown();
                self.leaving = Leaving::Closing;
            }
            Leaving::Closing if self.studio.is_closed() => {
                self.leaving = Leaving::Gone;
                ctx.send_viewport_cmd(ViewportCommand::Close);
            }
            _ => {}
        }
        if matches!(self.leaving, Leaving::Ending | Leaving::Closing) {
            ctx.request_repaint_after(Duration::from_millis(30));
        }
    }

    /// In the window, over the health line: nothing stops while it asks.
    fn question(&mut self, ui: &mut Ui, theme: &Theme) {
        let whole = ui.max_rect();
        let top = whole.top() + super::theme::BAR;
        let rect = Rect::from_min_size(egui::pos2(whole.left(), top), vec2(whole.width(), 48.0));
        let tint = theme.tint(theme.record);
        ui.painter().rect_filled(rect, 0, tint.fill);
        ui.painter().hline(rect.x_range(), rect.bottom(), (1.0, tint.line));
        let inner = rect.shrink2(vec2(16.0, 6.0));
        let mut row =
            ui.new_child(UiBuilder::new().max_rect(inner).layout(Layout::left_to_right(Align::Center)).id_salt("ask"));
        let text = if self.leaving == Leaving::Asking {
            "Still recording. Nothing is lost while you decide."
        } else {
            "Saving. The window closes when everything is on the disk."
        };
        row.label(egui::RichText::new(text).font(Theme::semi(13.0)).color(tint.text));
        if self.leaving != Leaving::Asking {
            return;
        }
        row.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let end = Button::text("Stop and quit", "Stop and quit").look(Look::Filled(theme.record));
            if end.show(ui, theme).clicked() {
                self.studio.apply(Command::Stop);
                self.leaving = Leaving::Ending;
            }
            if Button::text("Keep recording", "Keep recording").show(ui, theme).clicked() {
                self.leaving = Leaving::No;
            }
        });
    }

    fn wishes(&mut self, ctx: &egui::Context) {
        for wish in std::mem::take(&mut self.window.wishes) {
            match wish {
                Action::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
                Action::FullScreen => {
                    self.full_screen = !self.full_screen;
                    ctx.send_viewport_cmd(ViewportCommand::Fullscreen(self.full_screen));
                }
                Action::OpenSession => self.dialog.open_session(ctx),
                Action::GoOnElsewhere => self.elsewhere.folder(ctx, "Go on in", None),
                _ => {}
            }
        }
        if let Some(folder) = self.dialog.chosen() {
            self.studio.apply(Command::OpenSession(folder));
        }
        if let Some(folder) = self.elsewhere.chosen() {
            self.studio.go_on_in(folder);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.studio.poll();
        self.close_guard(ctx);
        let now = ctx.input(|input| input.time);
        let hidden = ctx.input(|input| input.viewport().visible() == Some(false));
        match self.studio.wants_repaint() {
            Repaint::Never => {}
            Repaint::Moving if hidden => ctx.request_repaint_after(HIDDEN_TICK),
            Repaint::Moving => ctx.request_repaint_after(self.pace.wait(now)),
        }
        if !hidden && self.window.moves() {
            ctx.request_repaint_after(self.pace.wait(now));
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let snapshot = self.studio.snapshot();
        let zoom = snapshot.settings.zoom.clamp(0.5, 3.0);
        if (zoom - self.zoom).abs() > 0.001 {
            self.zoom = zoom;
            ui.ctx().set_zoom_factor(zoom);
        }
        let residency = self.window.lower.shows_residency();
        let commands = self.window.show(ui, &snapshot, self.studio.instruments(residency));
        if self.leaving != Leaving::No {
            let theme = self.window.theme.clone().unwrap_or_else(Theme::dark);
            self.question(ui, &theme);
        }
        for command in commands {
            self.studio.apply(command);
        }
        self.wishes(ui.ctx());
        let now = ui.input(|input| input.time);
        if let Ok(used) = getrusage(UsageWho::RUSAGE_SELF) {
            let time = |of: nix::sys::time::TimeVal| Duration::new(of.tv_sec() as u64, of.tv_usec() as u32 * 1000);
            self.told.extend(self.pace.drawn(now, time(used.user_time()) + time(used.system_time())));
        }
        for text in self.told.drain(..) {
            self.studio.tell(crate::control::Severity::Info, text);
        }
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        let background = self.window.theme.as_ref().map_or(Color32::BLACK, |theme| theme.background);
        background.to_normalized_gamma_f32()
    }
}
