//! Keeps playback in line with the session: players, mixes, input monitoring, loop. Thread: control.

use super::Control;
use crate::time::FramePos;
use std::sync::atomic::Ordering::Relaxed;

impl Control {
    /// Loads the regions of every track into a player. Does nothing while a pass is on.
    pub fn load_players(&mut self) {
        if self.is_recording() {
            // Loading locates to the playhead, and a locate would end the pass.
            return;
        }
        self.players_outdated = false;
        let session = self.shared();
        self.players.load(&session, &self.folder, &mut self.running);
    }

    /// Makes new players for tracks that have changed. Does nothing while a pass is on.
    fn update_players(&mut self) {
        if self.is_recording() {
            return;
        }
        self.players_outdated = false;
        let session = self.shared();
        self.players.update(&session, &self.folder, &mut self.running);
    }

    /// Frames of the timeline from `from` to `end` for which a track that is played has no sound, because a take is missing,
    /// foreign, short or cut off. They are in no count of the device.
    pub fn frames_without_sound(&self, from: FramePos, end: FramePos) -> u64 {
        self.players.frames_without_sound(from, end)
    }

    /// Plays every track from now on. Players follow changes of the session; while a pass is on they wait.
    pub fn enable_playback(&mut self) {
        self.playback_enabled = true;
        self.players_outdated = true;
        self.update_playback();
    }

    /// Sets the range that playback loops in; `None` or an empty range: no loop.
    pub fn set_loop(&mut self, loop_range: Option<(FramePos, FramePos)>) {
        self.players.set_loop(loop_range.filter(|(from, to)| from < to));
        if !self.is_recording() {
            self.locate_to_playhead();
        }
    }

    /// Locates to where the playhead is, so that the present loop is in force.
    pub(super) fn locate_to_playhead(&mut self) {
        let at = FramePos(self.published().position.load(Relaxed));
        self.players.locate(&mut self.running, at);
    }

    /// Replaces players that are outdated, and updates the mixes.
    pub(super) fn update_playback(&mut self) {
        if self.players_outdated {
            self.update_players();
        }
        self.update_mixes();
    }

    /// Sets whether armed tracks with `Monitor::Auto` let their input through while recording and while stopped.
    pub fn set_monitoring(&mut self, on: bool) {
        self.auto_monitoring = on;
        self.update_mixes();
    }

    /// Sends the audio thread the mixes that have changed.
    pub(super) fn update_mixes(&mut self) {
        if self.playback_enabled {
            let revision = self.session.revision();
            self.players.mix(&self.session, revision, self.auto_monitoring, &mut self.running);
        }
    }
}
