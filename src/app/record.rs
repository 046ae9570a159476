//! Record, as a face asks for it: what it means depends on arming, punch and loop. Thread: control.

use super::{App, OpenState};
use crate::control::ControlError;
use crate::time::Frames;
use std::time::Duration;

impl App {
    /// Records every armed track; if none is armed, arms all of them first.
    pub(super) fn record(&mut self) -> Result<(), ControlError> {
        let (range, punches) = (self.transport.range, self.transport.punches);
        let pre_roll = self.settings.pre_roll_ms;
        let OpenState::Open(control) = &mut self.state else { return Ok(()) };
        if control.is_recording() {
            return Ok(());
        }
        if control.session().tracks().iter().all(|track| !track.armed) {
            let all = control.session().track_ids().collect();
            control.edit(crate::control::edit::Edit::Arm(all, true))?;
        }
        if self.transport.loops {
            // A pass goes on and on; what it plays along with does not go back.
            self.transport.loops = false;
            control.set_loop(None);
        }
        match range.filter(|_| punches) {
            Some((from, to)) => {
                let rate = control.session().rate();
                control.punch(from, to, rate.frames(Duration::from_millis(pre_roll)))
            }
            None => control.record(Frames(u64::MAX)),
        }
    }
}
