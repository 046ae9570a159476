//! What a panel is given: what to draw, and where to put what was asked for. Thread: ui.

use super::action::{Action, KeyMap};
use super::theme::Theme;
use super::view::View;
use crate::app::command::Command;
use crate::app::snapshot::Snapshot;
use crate::peaks::PeakStore;
use crate::residency::watcher::Watcher;

/// Lent to every panel, every frame.
pub struct PanelContext<'a> {
    /// What is drawn.
    pub snapshot: &'a Snapshot,
    /// How.
    pub theme: &'a Theme,
    /// Seconds since the window opened.
    pub now: f64,
    /// Waveforms; `None` while no session is open.
    pub waves: Option<&'a mut PeakStore>,
    /// Which pages are where; `None` while no device is open.
    pub watcher: Option<&'a Watcher>,
    /// Which keys mean which action.
    pub keys: &'a KeyMap,
    /// Which part of the timeline is shown, and what is selected.
    pub view: &'a mut View,
    /// What was asked of the app.
    pub commands: &'a mut Vec<Command>,
    /// What was asked of the window.
    pub actions: &'a mut Vec<Action>,
}

impl PanelContext<'_> {
    /// Asks the app.
    pub fn send(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Asks the window.
    pub fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// A tooltip: what it does, and its keys.
    pub fn tip(&self, what: &str, action: Action) -> String {
        let keys = self.keys.text(action);
        if keys.is_empty() { what.to_owned() } else { format!("{what} ({keys})") }
    }
}
