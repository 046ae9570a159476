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
