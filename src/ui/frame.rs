//! The window's frame: owns app and shell, passes commands from the shell to the app, sets the pace of drawing, and
//! asks before it closes during a recording. Thread: ui.
//!
//! eframe calls `logic` also while the window is hidden, so `logic` polls the app. `ui` draws.

use super::dialog::Dialog;
use super::effect::FrameRequest;
use super::pace::Pace;
use super::shell::Shell;
use super::theme::Theme;
use super::widget::{Button, Look};
use crate::app::command::Command;
use crate::app::shared_app::SharedApp;
use crate::app::snapshot::Snapshot;
use crate::app::waves::Waves;
use crate::app::{App, LiveSources, Options, Repaint};
use crate::residency::watcher::Watcher;
use egui::{Align, Color32, Layout, Rect, Ui, UiBuilder, ViewportCommand, vec2};
use nix::sys::resource::{UsageWho, getrusage};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

/// The user's request to close the window. The app itself knows whether it closes and is closed: a signal closes it
/// without this request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CloseRequest {
    /// The window stays open.
    #[default]
    None,
    /// A recording runs. The window asks whether to end it.
    Asking,
    /// The recording ends; then the app shuts down.
    Ending,
}

/// Interval of polls while the window is hidden and the app is active.
const HIDDEN_POLL: Duration = Duration::from_millis(200);

/// The app, the shell, and the window around them.
pub struct WindowFrame {
    app: SharedApp,
    shell: Shell,
    waves: Waves,
    /// The watcher that has a view and therefore samples.
    watcher: Option<Arc<Watcher>>,
    pace: Pace,
    close_request: CloseRequest,
    /// Asks for the session to open.
    dialog: Dialog,
    /// Asks for the overflow folder.
    overflow_dialog: Dialog,
    /// Zoom factor that was given to egui.
    zoom: f32,
    full_screen: bool,
    /// Changes of the drawing rate, not yet reported as events.
    pace_notes: Vec<String>,
}

impl WindowFrame {
    /// Starts the app and makes the window. Does not wait for the session or the device.
    pub fn new(ctx: &egui::Context, options: Options) -> WindowFrame {
        super::theme::install_fonts(ctx);
        Theme::dark().install(ctx);
        // `guard_close` handles closing, and the settings hold the zoom. egui must not do either by itself.
        ctx.options_mut(|options| {
            options.quit_shortcuts.clear();
            options.zoom_with_keyboard = false;
        });
        let waker = ctx.clone();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || waker.request_repaint());
        let app = SharedApp::start(Options { wake: Some(wake), ..options });
        WindowFrame {
            app,
            shell: Shell::default(),
            waves: Waves::default(),
            watcher: None,
            pace: Pace::default(),
            close_request: CloseRequest::None,
            dialog: Dialog::default(),
            overflow_dialog: Dialog::default(),
            zoom: 0.0,
            full_screen: false,
            pace_notes: Vec::new(),
        }
    }

    /// The app, locked.
    pub fn app(&self) -> MutexGuard<'_, App> {
        self.app.lock()
    }

    /// A handle of the app that outlives the window.
    pub fn shared_app(&self) -> SharedApp {
        self.app.clone()
    }

    pub fn shell(&mut self) -> &mut Shell {
        &mut self.shell
    }

    /// The state that a picture would show now.
    pub fn snapshot(&mut self) -> Snapshot {
        self.app().snapshot()
    }

    /// Gives a command to the app, as a panel does.
    pub fn apply(&mut self, command: Command) {
        self.app().apply(command);
    }

    /// Target rate in pictures per second.
    pub fn rate(&self) -> u32 {
        self.pace.rate()
    }

    /// Refuses to close until everything is on the disk, and asks first if a recording runs. Closes the window as soon as
    /// the app is closed, by the user or by a signal.
    fn guard_close(&mut self, ctx: &egui::Context, app: &mut App) {
        let is_requested = ctx.input(|input| input.viewport().close_requested());
        if app.is_closed() {
            if !is_requested {
                ctx.send_viewport_cmd(ViewportCommand::Close);
            }
            return;
        }
        if is_requested {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            if self.close_request == CloseRequest::None {
                self.close_request = if app.is_recording() { CloseRequest::Asking } else { CloseRequest::Ending };
            }
        }
        if self.close_request == CloseRequest::Asking && !app.is_recording() {
            self.close_request = CloseRequest::Ending;
        }
        if self.close_request == CloseRequest::Ending && !app.is_recording() {
            app.shutdown();
        }
        if self.close_request == CloseRequest::Ending || app.is_closing() {
            ctx.request_repaint_after(Duration::from_millis(30));
        }
    }

    /// Draws the question, or the progress of saving, over the health line. The recording continues meanwhile.
    fn close_question(&mut self, ui: &mut Ui, theme: &Theme, app: &mut App) {
        let whole = ui.max_rect();
        let top = whole.top() + super::theme::BAR;
        let rect = Rect::from_min_size(egui::pos2(whole.left(), top), vec2(whole.width(), 48.0));
        let tint = theme.tint(theme.record);
        ui.painter().rect_filled(rect, 0, tint.fill);
        ui.painter().hline(rect.x_range(), rect.bottom(), (1.0, tint.line));
        let inner = rect.shrink2(vec2(16.0, 6.0));
        let mut row =
            ui.new_child(UiBuilder::new().max_rect(inner).layout(Layout::left_to_right(Align::Center)).id_salt("ask"));
        let asks = self.close_request == CloseRequest::Asking && !app.is_closing();
        let text = if asks {
            "Still recording. Nothing is lost while you decide."
        } else {
            "Saving. The window closes when everything is on the disk."
        };
        row.label(egui::RichText::new(text).font(Theme::semi(13.0)).color(tint.text));
        if !asks {
            return;
        }
        row.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let end = Button::text("Stop and quit", "Stop and quit").look(Look::Filled(theme.record));
            if end.show(ui, theme).clicked() {
                app.apply(Command::Stop);
                self.close_request = CloseRequest::Ending;
            }
            if Button::text("Keep recording", "Keep recording").show(ui, theme).clicked() {
                self.close_request = CloseRequest::None;
            }
        });
    }

    /// Lets the watcher sample while the residency panel is visible, and only then.
    fn update_watcher(&mut self, app: &mut App) {
        let wanted = if self.shell.bottom.shows_residency() { app.watcher() } else { None };
        if let Some(before) = self.watcher.take()
            && wanted.is_none()
        {
            before.set_view(None);
            self.shell.bottom.residency.hide();
        }
        self.watcher = wanted;
    }

    fn apply_frame_requests(&mut self, ctx: &egui::Context, app: &mut App) {
        for request in std::mem::take(&mut self.shell.frame_requests) {
            match request {
                FrameRequest::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
                FrameRequest::ToggleFullScreen => {
                    self.full_screen = !self.full_screen;
                    ctx.send_viewport_cmd(ViewportCommand::Fullscreen(self.full_screen));
                }
                FrameRequest::OpenSession => self.dialog.open_session(ctx),
                FrameRequest::ChooseOverflowFolder => {
                    self.overflow_dialog.folder(ctx, "Choose a folder for when the disk is full", None);
                }
            }
        }
        if let Some(folder) = self.dialog.chosen() {
            app.apply(Command::OpenSession(folder));
        }
        if let Some(folder) = self.overflow_dialog.chosen() {
            app.apply(Command::SetOverflowFolder(folder));
        }
    }
}

impl eframe::App for WindowFrame {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        let shared = self.app.clone();
        let mut app = shared.lock();
        app.poll();
        self.guard_close(ctx, &mut app);
        let now = ctx.input(|input| input.time);
        let hidden = ctx.input(|input| input.viewport().visible() == Some(false));
        match app.wants_repaint() {
            Repaint::Never => {}
            Repaint::Moving if hidden => ctx.request_repaint_after(HIDDEN_POLL),
            Repaint::Moving => ctx.request_repaint_after(self.pace.wait(now)),
        }
        if !hidden && (self.shell.moves() || self.waves.is_busy()) {
            ctx.request_repaint_after(self.pace.wait(now));
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let shared = self.app.clone();
        let mut app = shared.lock();
        let snapshot = app.snapshot();
        let zoom = snapshot.settings.zoom.clamp(0.5, 3.0);
        if (zoom - self.zoom).abs() > 0.001 {
            self.zoom = zoom;
            ui.ctx().set_zoom_factor(zoom);
        }
        self.waves.update(&snapshot);
        self.update_watcher(&mut app);
        let live_sources = LiveSources { waves: self.waves.store(), watcher: self.watcher.as_deref() };
        let commands = self.shell.show(ui, &snapshot, live_sources);
        if self.close_request != CloseRequest::None || app.is_closing() {
            let theme = self.shell.theme.clone().unwrap_or_else(Theme::dark);
            self.close_question(ui, &theme, &mut app);
        }
        for command in commands {
            app.apply(command);
        }
        self.apply_frame_requests(ui.ctx(), &mut app);
        let now = ui.input(|input| input.time);
        if let Ok(used) = getrusage(UsageWho::RUSAGE_SELF) {
            let time = |of: nix::sys::time::TimeVal| Duration::new(of.tv_sec() as u64, of.tv_usec() as u32 * 1000);
            self.pace_notes.extend(self.pace.record_picture(now, time(used.user_time()) + time(used.system_time())));
        }
        for text in self.pace_notes.drain(..) {
            app.notify(crate::control::Severity::Info, text);
        }
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        let background = self.shell.theme.as_ref().map_or(Color32::BLACK, |theme| theme.background);
        background.to_normalized_gamma_f32()
    }
}
