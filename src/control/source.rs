//! The source of the inputs that a sound server takes away: a notice, and a line of the report. Thread: control.

use super::{Control, Severity};
use crate::device::{SourceNotice, is_wrong_rate};
use crate::flight::record::Kind;
use crate::message::published::NO_PASS;
use crate::time::{Clock, Frames};
use std::sync::atomic::Ordering::Relaxed;

/// Lines that a report keeps. The notices have all of them.
const LINES_MAX: usize = 64;

impl Control {
    /// Tells what the device's thread has found out about the source of the inputs.
    pub(super) fn poll_source(&mut self) {
        let Some(news) = self.running.device.source.clone() else { return };
        let recorded = self.published().pass_frames.load(Relaxed) != NO_PASS;
        let mut silent = Vec::new();
        if let Some(pass) = self.pass.as_mut().filter(|pass| recorded && !pass.has_told_of_silence) {
            pass.has_told_of_silence = true;
            silent = news.silent();
        }
        let notices = news.take();
        silent.retain(|silent| notices.iter().all(|notice| notice.text != silent.text));
        for notice in silent.into_iter().chain(notices) {
            self.tell_of_source(notice);
        }
    }

    /// The device has failed. If its clock runs at another rate, the takes are whole, and none of the sound from now on has the
    /// right speed: the report says it and the command fails.
    pub(super) fn note_wrong_rate(&mut self, failure: &str) {
        let frames = self.published().pass_frames.load(Relaxed);
        let at = Clock(Frames(frames).duration(self.running.device.rate));
        let Some(pass) = self.pass.as_mut().filter(|_| is_wrong_rate(failure) && frames != NO_PASS) else { return };
        if pass.source_losses.len() < LINES_MAX {
            let text = format!("{at}: {failure}");
            pass.source_losses.push(SourceNotice { text, is_loss: true, inputs: None });
        }
    }

    fn tell_of_source(&mut self, notice: SourceNotice) {
        let recorded = Some(self.published().pass_frames.load(Relaxed)).filter(|frames| *frames != NO_PASS);
        let rate = self.running.device.rate;
        let text = match recorded {
            Some(frames) => format!("{}: {}", Clock(Frames(frames).duration(rate)), notice.text),
            None => notice.text.clone(),
        };
        let severity = if notice.is_loss { Severity::Caution } else { Severity::Info };
        if let Some(pass) = self.pass.as_mut().filter(|pass| notice.is_loss && pass.source_losses.len() < LINES_MAX) {
            pass.source_losses.push(SourceNotice { text: text.clone(), ..notice });
        }
        self.notify(Kind::Notice, severity, text, &[]);
    }
}
