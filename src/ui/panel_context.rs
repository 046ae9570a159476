//! The context of a panel: everything that a panel reads, and the lists that take its requests. Thread: ui.

use super::action::{Action, KeyMap};
use super::effect::FrameRequest;
use super::theme::Theme;
use super::view::View;
use crate::app::Questions;
use crate::app::command::Command;
use crate::app::settings::Settings;
use crate::app::snapshot::Snapshot;
use crate::peaks::PeakStore;
use crate::residency::watcher::ResidencySamples;
use std::path::PathBuf;
use std::sync::Arc;

/// Inputs and outputs of panels for one picture. Each panel borrows the context while it draws.
pub struct PanelContext<'a> {
    /// State of the app.
    pub snapshot: &'a Snapshot,
    pub theme: &'a Theme,
    /// Seconds since the window opened.
    pub now: f64,
    /// Waveforms. `None` while no session is open, and for overlays.
    pub waves: Option<&'a mut PeakStore>,
    /// Residency samples. `None` while no device is open, and for overlays.
    pub watcher: Option<&'a dyn ResidencySamples>,
    /// Questions to the recorder. `None` for overlays.
    pub questions: Option<&'a Arc<dyn Questions>>,
    pub keys: &'a KeyMap,
    /// Visible part of the timeline, and the selection. Panels change it directly.
    pub view: &'a mut View,
    /// Requests to the app, in order.
    pub commands: &'a mut Vec<Command>,
    /// Actions of the user. The shell dispatches them after all panels are drawn.
    pub actions: &'a mut Vec<Action>,
    /// Requests that only the window's frame can carry out.
    pub frame_requests: &'a mut Vec<FrameRequest>,
}

impl PanelContext<'_> {
    /// Sends a command to the app.
    pub fn send(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Sends the changes of settings that `change` makes.
    pub fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = (*self.snapshot.settings).clone();
        change(&mut settings);
        self.send(Command::Settings(settings.changes_since(&self.snapshot.settings)));
    }

    /// Triggers an action.
    pub fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Opens a folder in the file manager of the desktop.
    pub fn open_folder(&mut self, folder: PathBuf) {
        self.frame_requests.push(FrameRequest::OpenFolder(folder));
    }

    /// A tooltip: the text `what`, then the keys of `action` in brackets.
    pub fn tip(&self, what: &str, action: Action) -> String {
        let keys = self.keys.text(action);
        if keys.is_empty() { what.to_owned() } else { format!("{what} ({keys})") }
    }
}

/// The end of a path for display: its last two parts.
pub fn short_path(path: &std::path::Path) -> String {
    short_path_of(path, 2)
}

/// The last `count` parts of a path.
pub fn short_path_of(path: &std::path::Path, count: usize) -> String {
    let parts: Vec<_> = path.iter().rev().take(count).map(|part| part.to_string_lossy()).collect();
    let rest = if path.iter().count() > count + 1 { "\u{2026}/" } else { "" };
    format!("{rest}{}", parts.into_iter().rev().collect::<Vec<_>>().join("/"))
}

/// Panels in tests.
#[cfg(test)]
#[cfg(feature = "gui-tests")]
pub mod test_panel {
    use super::*;
    use crate::ui::theme::install_fonts;
    use egui_kittest::Harness;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// The state that a panel draws from, and the requests that it makes.
    pub struct Surroundings {
        pub snapshot: Snapshot,
        pub theme: Theme,
        pub keys: KeyMap,
        pub view: View,
        pub commands: Vec<Command>,
        pub actions: Vec<Action>,
        pub frame_requests: Vec<FrameRequest>,
    }

    impl Surroundings {
        pub fn new(snapshot: Snapshot) -> Self {
            Self {
                snapshot,
                theme: Theme::dark(),
                keys: KeyMap::default(),
                view: View::default(),
                commands: Vec::new(),
                actions: Vec::new(),
                frame_requests: Vec::new(),
            }
        }

        /// The context of a picture at `now` seconds, as overlays get it.
        pub fn context(&mut self, now: f64) -> PanelContext<'_> {
            PanelContext {
                snapshot: &self.snapshot,
                theme: &self.theme,
                now,
                waves: None,
                watcher: None,
                questions: None,
                keys: &self.keys,
                view: &mut self.view,
                commands: &mut self.commands,
                actions: &mut self.actions,
                frame_requests: &mut self.frame_requests,
            }
        }
    }

    /// The commands that a panel has sent.
    pub type Sent = Rc<RefCell<Vec<Command>>>;

    /// A window of `size` points that shows one panel, which has drawn twice or more.
    pub fn harness(
        snapshot: Snapshot,
        size: [f32; 2],
        mut panel: impl FnMut(&mut egui::Ui, &mut PanelContext<'_>) + 'static,
    ) -> (Harness<'static>, Sent) {
        let sent = Sent::default();
        let sink = Rc::clone(&sent);
        let mut surroundings = Surroundings::new(snapshot);
        let mut has_fonts = false;
        let mut harness = Harness::builder().with_size(size).build_ui(move |ui| {
            if !std::mem::replace(&mut has_fonts, true) {
                install_fonts(ui.ctx());
                ui.request_repaint();
                return;
            }
            panel(ui, &mut surroundings.context(0.0));
            sink.borrow_mut().append(&mut surroundings.commands);
        });
        harness.run_steps(3);
        (harness, sent)
    }
}
