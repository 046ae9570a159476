//! A window over a session of its own, and what a user does with it. Thread: test.

use egui::{Event, Key, Modifiers, PointerButton, ViewportEvent, ViewportId};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use egui_kittest::{Harness, HarnessBuilder};
use faultless::app::command::Command;
use faultless::app::settings::Settings;
use faultless::app::snapshot::{PassPhase, Snapshot, Stage};
use faultless::app::{DeviceWish, Options};
use faultless::session::Session;
use faultless::ui::frame::WindowFrame;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Rig {
    pub(super) harness: Harness<'static, WindowFrame>,
    pub(super) home: Home,
    device: (String, usize),
}

/// A folder that stands for the user's home.
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

impl Rig {
    /// Opens the window, with `inputs` inputs of `device`, and waits until the session is open.
    pub(super) fn new(device: &str, inputs: usize) -> Rig {
        let mut rig = Rig::at(Home::new(), device, inputs, None);
        rig.until("it is open", |rig| rig.snapshot().stage == Stage::Open);
        rig
    }

    /// Opens it in a home that is there; waits for nothing.
    pub(super) fn at(home: Home, device: &str, inputs: usize, session: Option<PathBuf>) -> Rig {
        Rig::with(Harness::builder(), home, device, inputs, session)
    }

    /// The same where letters may be shown that no font has: as boxes, as in the program.
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
            .build_eframe(move |cc| WindowFrame::new(&cc.egui_ctx, options));
        Rig { harness, home, device: (device.to_owned(), inputs) }
    }

    /// Closes the window and opens it again.
    pub(super) fn again(mut self) -> Rig {
        self.close();
        self.until("it is closed", |rig| rig.harness.state().app().is_closed());
        let Rig { harness, home, device } = self;
        drop(harness);
        let mut rig = Rig::at(home, &device.0, device.1, None);
        rig.until("it is open again", |rig| rig.snapshot().stage == Stage::Open);
        rig
    }

    /// Puts the window away, and keeps the home.
    pub(super) fn leave(self) -> Home {
        let Rig { harness, home, .. } = self;
        drop(harness);
        home
    }

    /// Draws some pictures.
    pub(super) fn step(&mut self, pictures: usize) {
        for _ in 0..pictures {
            self.harness.step();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Draws until something is so.
    pub(super) fn until(&mut self, what: &str, mut so: impl FnMut(&mut Rig) -> bool) {
        let started = Instant::now();
        loop {
            self.harness.step();
            if so(self) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.story());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What was told, and how things stand.
    pub(super) fn story(&mut self) -> String {
        let snapshot = self.snapshot();
        let texts: Vec<&str> = snapshot.notices.iter().map(|notice| notice.text.as_str()).collect();
        format!("{:?}\n{:?}\n{}", snapshot.stage, snapshot.transport, texts.join("\n"))
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.harness.state_mut().snapshot()
    }

    pub(super) fn session(&mut self) -> Arc<Session> {
        self.step(2);
        self.snapshot().session
    }

    pub(super) fn settings(&mut self) -> Arc<Settings> {
        self.snapshot().settings
    }

    pub(super) fn with_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = (*self.settings()).clone();
        change(&mut settings);
        self.send(Command::Settings(Box::new(settings)));
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

    pub(super) fn level(&self, label: &str) -> f64 {
        self.harness.get_by_label(label).accesskit_node().numeric_value().unwrap_or(0.0)
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

    /// Gives a named thing another name, as a user does: a double click, the name, Enter.
    pub(super) fn rename(&mut self, label: &str, name: &str) {
        // Long enough after the last click not to be its second.
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

    /// Waits until so many seconds more are recorded.
    pub(super) fn record_for(&mut self, seconds: f64) {
        self.until("it records", |rig| {
            rig.snapshot().transport.pass.is_some_and(|pass| pass.phase == PassPhase::Recording)
        });
        let until = self.position() + (seconds * 48_000.0) as u64;
        self.until("it has recorded", |rig| rig.position() >= until || !rig.is_recording());
    }

    /// Holds Stop until the take is over and on the disk.
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

    /// What the desktop says when the window's close button is pressed.
    pub(super) fn close(&mut self) {
        let input = self.harness.input_mut();
        if let Some(viewport) = input.viewports.get_mut(&ViewportId::ROOT) {
            viewport.events.push(ViewportEvent::Close);
        }
        self.step(2);
    }
}
