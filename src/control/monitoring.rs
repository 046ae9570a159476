//! What is heard follows the session: players, levels, monitoring, what repeats. Thread: control.

use super::Control;
use crate::message::Motion;
use crate::time::FramePos;
use std::sync::atomic::Ordering::Relaxed;

impl Control {
    /// Makes every track heard that has something placed on it.
    pub fn load_players(&mut self) {
        if self.is_recording() {
            // It goes to where the playhead stands, and that would end the pass.
            return;
        }
        self.players_outdated = false;
        self.players.load(&self.session, &self.folder, &mut self.running);
    }

    /// Has every track heard from now on, and their players follow the session. They wait while a pass is on.
    pub fn enable_playback(&mut self) {
        self.playback_enabled = true;
        self.players_outdated = true;
        self.update_playback();
    }

    /// Has the stretch from the first place up to the second repeated by whoever plays into it; `None`: nothing.
    pub fn set_loop(&mut self, loop_range: Option<(FramePos, FramePos)>) {
        self.players.set_loop(loop_range.filter(|(from, to)| from < to));
        if !self.is_recording() {
            let at = FramePos(self.published().position.load(Relaxed));
            self.players.locate(&mut self.running, at);
        }
    }

    /// What is heard follows the session: players that are due, monitoring that depends on what rolls.
    pub(super) fn update_playback(&mut self) {
        if self.players_outdated && !self.is_recording() {
            self.load_players();
        }
        self.update_mixes();
    }

    /// Whether inputs of armed tracks are heard where that is left to the program.
    pub fn set_monitoring(&mut self, on: bool) {
        self.auto_monitoring = on;
        self.update_mixes();
    }

    pub(super) fn update_mixes(&mut self) {
        if self.playback_enabled {
            let rolls = self.published().motion() != Motion::Stopped;
            let live = self.auto_monitoring && (self.is_recording() || !rolls);
            self.players.mix(&self.session, live, &mut self.running);
        }
    }
}
