//! The window's frame: has the handle of the app and the shell, passes commands from the shell to the app, sets the pace
//! of drawing, and asks before it closes during a recording. Thread: ui.
//!
//! The app runs on the thread control. Nothing here waits for it, except the end of the window. eframe calls `logic`
//! before each picture, and also while the window is hidden. `ui` draws.

use super::announce;
use super::dialog::Dialog;
use super::effect::FrameRequest;
use super::health_line;
use super::open_folder::FolderOpener;
use super::pace::Pace;
use super::shell::{Shell, Strip, title_of};
use super::theme::Theme;
use super::widget::{Button, Look};
use crate::app::command::Command;
use crate::app::handle::{AppHandle, CLOSE_LIMIT, Phase};
use crate::app::snapshot::{Snapshot, Stage};
use crate::app::waves::Waves;
use crate::app::{LiveSources, Options, Questions, Wake};
use crate::control::Severity;
use crate::link::Recorder;
use crate::message::Motion;
use crate::residency::sample::{Pages, View};
use crate::residency::watcher::ResidencySamples;
use egui::accesskit::Live;
use egui::{Color32, Rect, Ui, UiBuilder, ViewportCommand, vec2};
use nix::sys::resource::{UsageWho, getrusage};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The user's request to close the window. The app itself knows whether it closes and is closed: a signal closes it
/// without this request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CloseRequest {
    /// The window stays open.
    #[default]
    None,
    /// The user has asked. The next step waits until the app has carried out all commands, such as Record.
    Requested,
    /// A recording runs. The window asks whether to end it.
    Asking,
    /// The recording ends; then the app shuts down.
    Ending,
}

/// Size of the window at the start, in points.
pub const SIZE: egui::Vec2 = vec2(1440.0, 900.0);

/// Space that panels of the desktop and a title bar take of a screen, in points.
const MARGIN_OF_SCREEN: egui::Vec2 = vec2(16.0, 96.0);

/// Interval of pictures while the window is hidden and something moves.
const HIDDEN_POLL: Duration = Duration::from_millis(200);

/// Interval of pictures while the window closes.
const CLOSING_POLL: Duration = Duration::from_millis(30);

/// The samples that are taken while something rolls and the residency panel is not visible.
const BACKGROUND_VIEW: View = View { cells: 96, pages: Pages::AroundHead { back_ms: 2400, ahead_ms: 1300 }, hz: 2 };

/// Time of saving after which the window can be closed before its end, in seconds. The disk may not answer.
const SAVING_SHORT: f64 = 2.0;

/// The longest that the first picture waits for the recorder.
const FIRST_LIMIT: Duration = Duration::from_millis(400);

/// The longest that the end of the window waits for waveforms that are being saved.
const WAVES_LIMIT: Duration = Duration::from_secs(2);

/// The shell and the window around it. Its drop ends a recording and closes the app in order, also when a panic drops
/// it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the window")]
pub struct WindowFrame {
    app: Recorder,
    /// The state that the present picture shows.
    snapshot: Arc<Snapshot>,
    shell: Shell,
    waves: Waves,
    /// The residency samples, once a session is open.
    watcher: Option<Arc<dyn ResidencySamples>>,
    /// Whether the last picture showed the residency panel.
    was_shown: bool,
    /// Whether the watcher has a view and therefore samples.
    is_sampling: bool,
    pace: Pace,
    close_request: CloseRequest,
    /// When the window began to show that everything is being saved, in seconds.
    saving_since: Option<f64>,
    /// The state that was shown when the app did not take the user's last command.
    refused_at: Option<Arc<Snapshot>>,
    /// Asks for the session to open.
    dialog: Dialog,
    /// Asks for the overflow folder.
    overflow_dialog: Dialog,
    folder_opener: FolderOpener,
    /// Zoom factor that was given to egui.
    zoom: f32,
    full_screen: bool,
    /// Whether the window was made to fit the screen.
    has_size: bool,
    /// The title that the window has.
    title: String,
}

/// Wakes the window of `ctx`.
fn wake_of(ctx: &egui::Context) -> Wake {
    let ctx = ctx.clone();
    Arc::new(move || ctx.request_repaint())
}

impl WindowFrame {
    /// Starts an app in this process and makes the window. Does not wait for the session or the device. Fails if the
    /// system gives no threads.
    pub fn new(ctx: &egui::Context, options: Options) -> io::Result<WindowFrame> {
        let app = AppHandle::start(Options { wake: Some(wake_of(ctx)), ..options })?;
        Ok(WindowFrame::of(ctx, Recorder::InProcess(app)))
    }

    /// Makes the window of a recorder.
    pub fn of(ctx: &egui::Context, app: Recorder) -> WindowFrame {
        app.set_wake(wake_of(ctx));
        // The first picture has the user's colours and zoom.
        app.wait_for_first(FIRST_LIMIT);
        super::theme::install_fonts(ctx);
        Theme::dark().install(ctx);
        // `guard_close` handles closing, and the settings hold the zoom. egui must not do either by itself.
        ctx.options_mut(|options| {
            options.quit_shortcuts.clear();
            options.zoom_with_keyboard = false;
        });
        WindowFrame {
            snapshot: app.snapshot(),
            app,
            shell: Shell::default(),
            waves: Waves::default(),
            watcher: None,
            was_shown: false,
            is_sampling: false,
            pace: Pace::default(),
            close_request: CloseRequest::None,
            saving_since: None,
            refused_at: None,
            dialog: Dialog::default(),
            overflow_dialog: Dialog::default(),
            folder_opener: FolderOpener::default(),
            zoom: 0.0,
            full_screen: false,
            has_size: false,
            title: String::new(),
        }
    }

    /// A handle of the app, which may outlive the window.
    pub fn app(&self) -> &Recorder {
        &self.app
    }

    pub fn shell(&mut self) -> &mut Shell {
        &mut self.shell
    }

    /// Gives a command to the app, as a panel does.
    pub fn apply(&mut self, command: Command) {
        // A notice comes from the window. The user has not asked for it, so the loss of one is no refusal.
        let is_user = !matches!(command, Command::Notice(..));
        let is_taken = self.app.apply(command);
        if is_user {
            self.refused_at = (!is_taken).then(|| Arc::clone(&self.snapshot));
        }
    }

    /// Forgets that a command was refused as soon as the recorder answers again: it has sent another state, in which a
    /// session is not being opened.
    fn forget_refusal(&mut self) {
        let is_new = self.refused_at.as_ref().is_some_and(|at| !Arc::ptr_eq(at, &self.snapshot));
        if is_new && self.snapshot.stage != Stage::Opening && self.app.answers() {
            self.refused_at = None;
        }
    }

    /// Target rate in pictures per second.
    pub fn rate(&self) -> u32 {
        self.pace.rate()
    }

    fn is_recording(&self) -> bool {
        self.snapshot.transport.pass.is_some() || self.app.records()
    }

    /// Refuses to close until everything is on the disk, and asks first if a recording runs. Closes the window as soon as
    /// the app is closed, by the user or by a signal.
    fn guard_close(&mut self, ctx: &egui::Context) {
        let is_requested = ctx.input(|input| input.viewport().close_requested());
        if is_requested && !self.app.answers() {
            // Nobody can be asked to save. What was recorded is in memory and on the disk.
            self.app.leave();
        }
        let phase = self.app.phase();
        let may_close = match phase {
            _ if self.app.has_left() => true,
            Phase::Closed => true,
            // Nothing runs any more. The window stays until the user has read why, also if the user has asked it to close
            // before.
            Phase::Failed => is_requested,
            Phase::Running | Phase::Closing | Phase::Failing => false,
        };
        if phase == Phase::Failed {
            self.close_request = CloseRequest::None;
        }
        if may_close {
            if !is_requested {
                ctx.send_viewport_cmd(ViewportCommand::Close);
            }
            return;
        }
        if is_requested {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            if self.close_request == CloseRequest::None {
                self.close_request = CloseRequest::Requested;
            }
        }
        if phase == Phase::Running && self.app.is_up_to_date(&self.snapshot) {
            let recording = self.is_recording();
            self.close_request = match self.close_request {
                CloseRequest::Requested if recording => CloseRequest::Asking,
                CloseRequest::Requested => CloseRequest::Ending,
                CloseRequest::Asking if !recording => CloseRequest::Ending,
                unchanged => unchanged,
            };
            if self.close_request == CloseRequest::Ending && !recording {
                self.app.shutdown();
            }
        }
        let waits = matches!(self.close_request, CloseRequest::Requested | CloseRequest::Ending);
        if waits || matches!(phase, Phase::Closing | Phase::Failing) {
            ctx.request_repaint_after(CLOSING_POLL);
        }
    }

    /// Maximizes the window once, at the start, if the screen has no place for it beside panels and a title bar. The window
    /// manager then keeps it within the area that is free.
    fn fit_screen(&mut self, ctx: &egui::Context) {
        if self.has_size {
            return;
        }
        let monitor = ctx.input(|input| input.viewport().monitor_size);
        let Some(monitor) = monitor.filter(|size| size.x > 1.0 && size.y > 1.0) else { return };
        self.has_size = true;
        let needed = (SIZE + MARGIN_OF_SCREEN) / ctx.zoom_factor();
        if monitor.x < needed.x || monitor.y < needed.y {
            ctx.send_viewport_cmd(ViewportCommand::Maximized(true));
        }
    }

    /// Draws a strip with a text, and behind it what `add` draws, below the health line. The strip has as many lines as
    /// they need. The panels leave the space free from the next picture on.
    fn strip<R>(
        ui: &mut Ui,
        (theme, severity): (&Theme, Severity),
        strip: &mut Strip,
        text: &str,
        add: impl FnOnce(&mut Ui) -> R,
    ) -> R {
        let whole = ui.max_rect();
        let top = whole.top() + super::theme::BAR + super::theme::HEALTH;
        let rect = Rect::from_min_size(egui::pos2(whole.left(), top), vec2(whole.width(), strip.height));
        let tint = health_line::tint(severity, theme);
        ui.painter().rect_filled(rect, 0, tint.fill);
        ui.painter().hline(rect.x_range(), rect.bottom(), (1.0, tint.line));
        let inner = Rect::from_min_max(rect.min + vec2(16.0, 6.0), whole.max - vec2(16.0, 0.0));
        let mut rows = ui.new_child(UiBuilder::new().max_rect(inner).id_salt("ask"));
        let added = rows.horizontal_wrapped(|ui| {
            let label = ui.label(egui::RichText::new(text).font(Theme::semi(13.0)).color(tint.text));
            announce::live(&label, Live::Assertive);
            add(ui)
        });
        let height = rows.min_rect().height() + 12.0;
        if (height - strip.height).abs() > 0.5 {
            strip.height = height;
            ui.request_repaint();
        }
        added.inner
    }

    /// Draws the question, or the progress of saving, below the health line. The recording continues meanwhile. Esc means
    /// "Keep recording". A window whose recorder saves for long can be closed alone.
    fn close_question(&mut self, ui: &mut Ui, theme: &Theme) {
        let asks = self.close_request == CloseRequest::Asking && self.app.phase() == Phase::Running;
        let now = ui.input(|input| input.time);
        let since = self.saving_since.take().filter(|_| !asks).unwrap_or(now);
        self.saving_since = (!asks).then_some(since);
        let (is_long, can_leave) = (SAVING_SHORT < now - since, self.app.can_outlive_window());
        let text = match (asks, is_long) {
            (true, _) => "Still recording. Nothing is lost while you decide.",
            (false, false) => "Saving. The window closes when everything is on the disk.",
            (false, true) => "Saving. A disk or a device takes long. The window closes when everything is on the disk.",
        };
        let answer = WindowFrame::strip(ui, (theme, Severity::Loss), &mut self.shell.strip, text, |ui| {
            if asks { ask(ui, theme, can_leave) } else { ask_to_leave(ui, theme, is_long && can_leave) }
        });
        let escaped = std::mem::take(&mut self.shell.strip.escaped) && asks;
        self.shell.strip.asks = asks;
        match answer.or_else(|| escaped.then_some(Answer::Keep)) {
            Some(Answer::Keep) => self.close_request = CloseRequest::None,
            Some(Answer::Leave) => self.app.leave(),
            Some(Answer::End) => {
                self.apply(Command::Stop);
                self.close_request = CloseRequest::Ending;
            }
            None => {}
        }
    }

    /// Draws what matters most now: the question before closing, or that a command was not taken.
    fn show_strip(&mut self, ui: &mut Ui) {
        let theme = self.shell.theme.clone().unwrap_or_else(Theme::dark);
        let closes = matches!(self.app.phase(), Phase::Closing | Phase::Failing | Phase::Closed);
        if closes || !matches!(self.close_request, CloseRequest::None | CloseRequest::Requested) {
            self.close_question(ui, &theme);
        } else if !self.app.answers() && self.app.phase() == Phase::Running {
            let text =
                "The recorder does not answer. What it has recorded is kept: wait, or close the window and start again";
            WindowFrame::strip(ui, (&theme, Severity::Loss), &mut self.shell.strip, text, |_| ());
        } else if self.refused_at.is_some() && self.app.phase() == Phase::Running {
            let (severity, text) = refusal_text(&self.snapshot);
            WindowFrame::strip(ui, (&theme, severity), &mut self.shell.strip, text, |_| ());
        } else {
            self.shell.strip = Strip::default();
        }
        if self.close_request == CloseRequest::None && !closes {
            self.saving_since = None;
        }
    }

    /// Lets the watcher sample: as the residency panel wants while that is visible, and coarsely while something rolls, so
    /// that the last minute can always be looked back at.
    fn update_watcher(&mut self) {
        let is_shown = self.shell.bottom.shows_residency();
        let rolls = self.snapshot.transport.motion != Motion::Stopped;
        self.watcher = self.app.samples();
        if !is_shown && let Some(watcher) = &self.watcher {
            self.shell.bottom.residency.hide();
            if rolls != self.is_sampling || self.was_shown {
                watcher.set_view(rolls.then_some(BACKGROUND_VIEW));
                self.is_sampling = rolls;
            }
        }
        if is_shown {
            // The panel asks for its own view.
            self.is_sampling = true;
        }
        self.was_shown = is_shown;
    }

    fn apply_frame_requests(&mut self, ui: &Ui) {
        let ctx = ui.ctx();
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
                FrameRequest::OpenFolder(folder) => self.folder_opener.open(ctx, folder),
            }
        }
        while let Some(failure) = self.folder_opener.failure() {
            self.apply(Command::Refusal(failure));
        }
        let theme = self.shell.theme.clone().unwrap_or_else(Theme::dark);
        if let Some(folder) = self.dialog.show(ui, &theme) {
            self.apply(Command::OpenSession(folder));
        }
        if let Some(folder) = self.overflow_dialog.show(ui, &theme) {
            self.apply(Command::SetOverflowFolder(folder));
        }
    }
}

/// The sentence about a command that the recorder did not take.
fn refusal_text(snapshot: &Snapshot) -> (Severity, &'static str) {
    if snapshot.stage == Stage::Opening {
        return (Severity::Caution, "Still opening. Press again when it is open.");
    }
    let text = if snapshot.transport.pass.is_some() {
        "The recorder does not answer: the last command was not carried out. A recording continues; \
         try again, or end the program by a signal"
    } else {
        "The recorder does not answer: the last command was not carried out. Try again, or end the program by a signal"
    };
    (Severity::Loss, text)
}

/// The answer to the question before closing.
enum Answer {
    Keep,
    Leave,
    End,
}

/// Draws the answers. `can_leave`: the recording continues without the window.
fn ask(ui: &mut Ui, theme: &Theme, can_leave: bool) -> Option<Answer> {
    let button = |name: &'static str| Button::text(name, name).size(38.0, 30.0);
    let mut answer = None;
    if button("Keep recording").tip("Keep recording (Esc)").show(ui, theme).clicked() {
        answer = Some(Answer::Keep);
    }
    if can_leave {
        let hint = "The recording continues. Start Faultless again to see it";
        if button("Close the window only").tip(hint).show(ui, theme).clicked() {
            answer = Some(Answer::Leave);
        }
    }
    if button("Stop and quit").look(Look::Filled(theme.record)).show(ui, theme).clicked() {
        answer = Some(Answer::End);
    }
    answer
}

/// Draws the button of a window whose recorder saves for long. `can_leave`: the recorder saves without the window too.
fn ask_to_leave(ui: &mut Ui, theme: &Theme, can_leave: bool) -> Option<Answer> {
    if !can_leave {
        return None;
    }
    let name = "Close the window only";
    let hint = "The recorder saves the rest by itself. Start Faultless again to see it";
    let button = Button::text(name, name).size(38.0, 30.0).tip(hint);
    button.show(ui, theme).clicked().then_some(Answer::Leave)
}

impl eframe::App for WindowFrame {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.snapshot = self.app.snapshot();
        if self.app.take_refusal() {
            self.refused_at = Some(Arc::clone(&self.snapshot));
        }
        self.forget_refusal();
        self.guard_close(ctx);
        self.fit_screen(ctx);
        let title = title_of(&self.snapshot);
        if self.title != title {
            self.title.clone_from(&title);
            ctx.send_viewport_cmd(ViewportCommand::Title(title));
        }
        let now = ctx.input(|input| input.time);
        self.shell.update_meters(&self.snapshot, now);
        let hidden = ctx.input(|input| input.viewport().visible() == Some(false));
        if self.snapshot.moves {
            ctx.request_repaint_after(if hidden { HIDDEN_POLL } else { self.pace.wait(now) });
        }
        if !hidden && (self.shell.moves() || self.waves.is_busy()) {
            ctx.request_repaint_after(self.pace.wait(now));
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let snapshot = Arc::clone(&self.snapshot);
        let zoom = snapshot.settings.zoom.clamp(0.5, 3.0);
        if (zoom - self.zoom).abs() > 0.001 {
            self.zoom = zoom;
            ui.ctx().set_zoom_factor(zoom);
        }
        self.waves.update(&snapshot);
        self.update_watcher();
        let questions: Arc<dyn Questions> = Arc::new(self.app.clone());
        let (waves, watcher) = (self.waves.store(), self.watcher.as_deref());
        let live_sources = LiveSources { waves, watcher, questions: Some(questions) };
        let commands = self.shell.show(ui, &snapshot, live_sources);
        self.show_strip(ui);
        for command in commands {
            self.apply(command);
        }
        self.apply_frame_requests(ui);
        let now = ui.input(|input| input.time);
        if let Ok(used) = getrusage(UsageWho::RUSAGE_SELF) {
            let time = |of: nix::sys::time::TimeVal| Duration::new(of.tv_sec() as u64, of.tv_usec() as u32 * 1000);
            if let Some(text) = self.pace.record_picture(now, time(used.user_time()) + time(used.system_time())) {
                self.apply(Command::Notice(Severity::Info, text));
            }
        }
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        let background = self.shell.theme.as_ref().map_or(Color32::BLACK, |theme| theme.background);
        background.to_normalized_gamma_f32()
    }
}

impl Drop for WindowFrame {
    fn drop(&mut self) {
        // A panic of the window, and an event loop that ends by an error, come here too. A recording in another process
        // continues.
        self.app.begin_end_with_window();
        self.waves.close(WAVES_LIMIT);
        self.app.end_with_window(CLOSE_LIMIT);
    }
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::ui::demo;
    use crate::ui::panel_context::test_panel;
    use egui_kittest::kittest::Queryable as _;
    use std::cell::Cell;
    use std::rc::Rc;

    /// The window of a recorder whose disk hung had no button that closed it.
    #[test]
    fn a_window_whose_recorder_saves_for_long_can_be_closed_alone_where_the_recorder_lives_on() {
        let (can_leave, leaves) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let (can, left) = (Rc::clone(&can_leave), Rc::clone(&leaves));
        let (mut harness, _) = test_panel::harness(demo::stopped(2, 1), [400.0, 100.0], move |ui, context| {
            left.set(left.get() | ask_to_leave(ui, context.theme, can.get()).is_some());
        });
        assert!(harness.query_by_label("Close the window only").is_none());
        can_leave.set(true);
        harness.run_steps(2);
        harness.get_by_label("Close the window only").click();
        harness.run_steps(2);
        assert!(leaves.get());
    }

    /// The banner said that a recording continues although none ran.
    #[test]
    fn a_command_that_is_not_taken_is_told_of_with_a_recording_only_where_one_runs() {
        let (severity, opening) = refusal_text(&Snapshot::empty());
        assert_eq!((severity, opening), (Severity::Caution, "Still opening. Press again when it is open."));
        assert!(!refusal_text(&demo::stopped(2, 1)).1.contains("A recording continues"));
        assert!(refusal_text(&demo::recording(2, 1)).1.contains("A recording continues"));
    }
}
