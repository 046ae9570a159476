//! A rig: a window with its own home folder, and functions that act as a user. Thread: test.

use egui::{Event, Key, Modifiers, PointerButton, ViewportEvent, ViewportId};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use egui_kittest::{Harness, HarnessBuilder};
use faultless::app::command::Command;
use faultless::app::settings::Settings;
use faultless::app::snapshot::{PassPhase, Snapshot, Stage};
use faultless::app::{DeviceWish, Options};
use faultless::link::Recorder;
use faultless::session::Session;
use faultless::ui::frame::WindowFrame;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time limit of one wait. A test that needs longer is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reports a test that cannot run here. The runner of the tests counts it as skipped.
pub(super) fn skip(what: &str, reason: &str) {
    println!("SKIPPED {what}: {reason}");
}

/// The window under test.
pub(super) struct Rig {
    pub(super) harness: Harness<'static, WindowFrame>,
    pub(super) home: Home,
    /// Name and number of inputs.
    device: (String, usize),
}

/// A temporary folder in place of the user's home, for settings and sessions.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Home {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Home(tempfile::tempdir_in(target).expect("a folder for the home"))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

fn left_button(pos: egui::Pos2, pressed: bool) -> Event {
    Event::PointerButton { pos, button: PointerButton::Primary, pressed, modifiers: Modifiers::NONE }
}

impl Rig {
    /// Opens a window in a new home with `inputs` inputs of `device`. Waits until the session is open.
    pub(super) fn new(device: &str, inputs: usize) -> Rig {
        let mut rig = Rig::at(Home::new(), device, inputs, None);
        rig.until("it is open", |rig| rig.snapshot().stage == Stage::Open);
        rig
    }

    /// Opens a window in an existing home. Does not wait.
    pub(super) fn at(home: Home, device: &str, inputs: usize, session: Option<PathBuf>) -> Rig {
        Rig::with(Harness::builder(), home, device, inputs, session)
    }

    /// Like [`Rig::at`], but letters that no font has do not fail the test. The window shows boxes for them.
    pub(super) fn with_any_letters(home: Home, device: &str, inputs: usize, session: Option<PathBuf>) -> Rig {
        Rig::with(Harness::builder().allow_missing_glyphs(), home, device, inputs, session)
    }

    fn with(
        builder: HarnessBuilder<WindowFrame>,
        home: Home,
        device: &str,
        inputs: usize,
        session: Option<PathBuf>,
    ) -> Rig {
        let options = Options {
            session,
            config: Some(home.path().join("config")),
            sessions: Some(home.path().join("sessions")),
            program: Some(PathBuf::from(env!("CARGO_BIN_EXE_faultless"))),
            device: Some(DeviceWish { name: device.to_owned(), inputs: Some(inputs), ..DeviceWish::default() }),
            ..Options::default()
        };
        let harness = builder
            .with_size([1440.0, 900.0])
            .with_step_dt(1.0 / 30.0)
            .build_eframe(move |cc| WindowFrame::new(&cc.egui_ctx, options).expect("threads for the app"));
        Rig { harness, home, device: (device.to_owned(), inputs) }
    }

    /// Closes the window, and opens another one in the same home.
    pub(super) fn again(mut self) -> Rig {
        self.close();
        self.until("it is closed", |rig| rig.app().is_closed());
        let Rig { harness, home, device } = self;
        drop(harness);
        let mut rig = Rig::at(home, &device.0, device.1, None);
        rig.until("it is open again", |rig| rig.snapshot().stage == Stage::Open);
        rig
    }

    /// Drops the window and keeps the home.
    pub(super) fn leave(self) -> Home {
        let Rig { harness, home, .. } = self;
        drop(harness);
        home
    }

    /// Draws `pictures` pictures. Each one shows the effect of everything that was done before it.
    pub(super) fn step(&mut self, pictures: usize) {
        for _ in 0..pictures {
            self.draw();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn draw(&mut self) {
        self.app().settled(PATIENCE);
        self.harness.step();
    }

    pub(super) fn app(&self) -> &Recorder {
        self.harness.state().app()
    }

    /// Draws until `so` returns true, and once more. Fails after [`PATIENCE`], and prints `what`.
    pub(super) fn until(&mut self, what: &str, mut so: impl FnMut(&mut Rig) -> bool) {
        let started = Instant::now();
        loop {
            self.draw();
            if so(self) {
                // `so` may have seen a newer state than the last picture.
                self.draw();
                return;
            }
            assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.story());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stage, transport and notices, for the message of a failed test.
    pub(super) fn story(&mut self) -> String {
        let snapshot = self.snapshot();
        let texts: Vec<&str> = snapshot.notices.iter().map(|notice| notice.text.as_str()).collect();
        format!("{:?}\n{:?}\n{}", snapshot.stage, snapshot.transport, texts.join("\n"))
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        Snapshot::clone(&self.app().settled(PATIENCE))
    }

    pub(super) fn session(&mut self) -> Arc<Session> {
        self.step(2);
        self.snapshot().session
    }

    pub(super) fn settings(&mut self) -> Arc<Settings> {
        self.snapshot().settings
    }

    pub(super) fn with_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        let before = self.settings();
        let mut settings = (*before).clone();
        change(&mut settings);
        self.send(Command::Settings(settings.changes_since(&before)));
    }

    pub(super) fn reopen(&mut self) {
        self.send(Command::Reopen);
    }

    pub(super) fn send(&mut self, command: Command) {
        self.harness.state_mut().apply(command);
        self.step(1);
    }

    pub(super) fn tracks(&mut self) -> usize {
        self.snapshot().session.tracks().len()
    }

    pub(super) fn position(&mut self) -> u64 {
        self.snapshot().transport.position.0
    }

    pub(super) fn is_recording(&mut self) -> bool {
        self.snapshot().transport.pass.is_some()
    }

    pub(super) fn is_rolling(&mut self) -> bool {
        self.snapshot().transport.motion != faultless::message::Motion::Stopped
    }

    /// The WAV files of all sessions in the home.
    pub(super) fn takes(&self) -> Vec<PathBuf> {
        let mut takes = Vec::new();
        for session in std::fs::read_dir(self.home.path().join("sessions")).into_iter().flatten().flatten() {
            let audio = std::fs::read_dir(session.path().join("audio")).into_iter().flatten().flatten();
            takes.extend(audio.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "wav")));
        }
        takes.sort();
        takes
    }

    pub(super) fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.step(3);
    }

    /// Clicks a place of the window.
    pub(super) fn click_at(&mut self, at: egui::Pos2) {
        self.harness.event(Event::PointerMoved(at));
        for pressed in [true, false] {
            let button = PointerButton::Primary;
            self.harness.event(Event::PointerButton { pos: at, button, pressed, modifiers: Modifiers::NONE });
            self.step(1);
        }
        self.step(2);
    }

    /// Drags from one place to another with the left button.
    pub(super) fn drag(&mut self, from: egui::Pos2, to: egui::Pos2) {
        self.hold_drag(from, to);
        self.release(to);
    }

    /// Drags from one place to another, and keeps the left button down.
    pub(super) fn hold_drag(&mut self, from: egui::Pos2, to: egui::Pos2) {
        self.harness.event(Event::PointerMoved(from));
        self.step(1);
        self.harness.event(left_button(from, true));
        self.step(1);
        for part in 1..=8 {
            self.harness.event(Event::PointerMoved(from + (to - from) * (part as f32 / 8.0)));
            self.step(1);
        }
    }

    /// Releases the left button.
    pub(super) fn release(&mut self, at: egui::Pos2) {
        self.harness.event(left_button(at, false));
        self.step(3);
    }

    /// The level of a meter, in decibels.
    pub(super) fn level(&self, label: &str) -> f64 {
        self.harness.get_by_label(label).accesskit_node().numeric_value().unwrap_or(-60.0)
    }

    pub(super) fn value(&self, label: &str) -> String {
        self.harness.get_by_label(label).value().unwrap_or_default()
    }

    pub(super) fn press(&mut self, key: Key) {
        self.press_with(Modifiers::NONE, key);
    }

    pub(super) fn press_with(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.step(3);
    }

    /// Renames something as a user does: double click, new name, Enter.
    pub(super) fn rename(&mut self, label: &str, name: &str) {
        // Wait, so that an earlier click does not become part of this double click.
        self.step(20);
        let node = self.harness.get_by_label(label);
        node.click();
        node.click();
        self.step(4);
        self.type_in(label, name);
        self.press(Key::Enter);
    }

    pub(super) fn type_in(&mut self, label: &str, text: &str) {
        self.harness.get_by_label(label).type_text(text);
        self.step(3);
    }

    /// Waits until the recording has grown by `seconds`.
    pub(super) fn record_for(&mut self, seconds: f64) {
        self.until("it records", |rig| {
            rig.snapshot().transport.pass.is_some_and(|pass| pass.phase == PassPhase::Recording)
        });
        let until = self.position() + (seconds * 48_000.0) as u64;
        self.until("it has recorded", |rig| rig.position() >= until || !rig.is_recording());
    }

    /// Holds Stop, and waits until the recording is over.
    pub(super) fn stop(&mut self) {
        let at = self.harness.get_by_label("Stop").rect().center();
        self.harness.event(Event::PointerMoved(at));
        let press = |pressed| Event::PointerButton {
            pos: at,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        self.harness.event(press(true));
        self.step(40);
        self.harness.event(press(false));
        self.until("the take is over", |rig| !rig.is_recording());
        self.step(3);
    }

    pub(super) fn hold_escape(&mut self) {
        self.harness.key_down(Key::Escape);
        self.step(40);
        self.harness.key_up(Key::Escape);
        self.step(2);
    }

    /// Sends the event of the window's close button.
    pub(super) fn close(&mut self) {
        let input = self.harness.input_mut();
        if let Some(viewport) = input.viewports.get_mut(&ViewportId::ROOT) {
            viewport.events.push(ViewportEvent::Close);
        }
        self.step(2);
    }
}
