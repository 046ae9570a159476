//! The end of a session: the pass, the threads, the last save. Thread: control. It waits for the disk.

use super::recording::{Event, PassReport, counted};
use super::{Control, Notice};
use crate::host;
use std::time::Duration;

/// The rest of a session that is closed.
pub struct Closed {
    /// Reports that nobody has fetched.
    pub reports: Vec<PassReport>,
    /// Notices that nobody has fetched.
    pub notices: Vec<Notice>,
    /// Why not everything of this run is on the disk, path first. `None`: everything is.
    pub unsaved: Option<String>,
}

impl Control {
    /// Ends the pass, finishes its takes, saves the session and ends all threads. Waits for the disk without a limit.
    /// Returns the reports and notices that nobody has fetched.
    pub fn close(self) -> (Vec<PassReport>, Vec<Notice>) {
        let Closed { reports, notices, unsaved: _ } = self.end();
        (reports, notices)
    }

    /// As [`Control::close`]. Says also whether everything is on the disk.
    pub fn end(mut self) -> Closed {
        // The pass first, while the audio thread can end it.
        while self.pass.is_some() {
            self.on_pass_event(Event::Stop);
            self.poll();
            host::sleep(Duration::from_millis(5));
        }
        if let Some(lost_device) = self.lost_device.take() {
            lost_device.finish();
        }
        self.outputs_watch.finish();
        self.naming.give_up();
        self.running.end_audio();
        self.poll();
        self.running.end_disk();
        self.poll();
        self.finish_saving();
        self.show_held_losses();
        self.close_events();
        let unsaved = self.unsaved();
        Closed { reports: self.reports.drain(..).collect(), notices: self.notices.drain(..).collect(), unsaved }
    }

    /// Why not everything of this run is on the disk after the last save.
    fn unsaved(&self) -> Option<String> {
        if 0 < self.takes_left {
            let (folder, takes) = (self.folder.display(), counted(self.takes_left, "take"));
            let are = if self.takes_left == 1 { "is" } else { "are" };
            return Some(format!(
                "{folder}: {takes} {are} not whole on the disk, and the rest of the sound is in memory; make room, and start \
                 again before you switch the machine off, so that it is recovered"
            ));
        }
        (self.saved_revision() < self.session.revision()).then(|| {
            let reason = self.save_failure();
            format!(
                "{reason}; the last changes are not saved; the takes are on the disk, and the next start finds them"
            )
        })
    }
}
