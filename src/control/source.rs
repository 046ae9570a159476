//! A device whose sound is not right: the source of the inputs that a sound server takes away, and a clock at another rate. A
//! notice, and a line of the report. Thread: control.

use super::{Control, Severity};
use crate::device::SourceNotice;
use crate::flight::record::Kind;
use crate::message::published::NO_PASS;
use crate::time::{Clock, Frames};
use std::sync::atomic::Ordering::Relaxed;

/// Lines that a report keeps. The notices have all of them.
const LINES_MAX: usize = 64;

/// The consequence of a wrong rate for a recording.
const RECORDED: &str = "what is recorded from there on plays at the wrong speed";

/// The same for playback.
const PLAYED: &str = "what is played has the wrong speed and pitch";

fn wrong_rate_text(fact: &str, consequence: &str) -> String {
    format!(
        "{fact}: {consequence}; set the rate back in the program that changed it, or at the source of its word clock"
    )
}

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

    /// The clock of the device runs at another rate than the session's, or at the right one again.
    pub(super) fn rate_changed(&mut self, wrong: Option<&'static str>) {
        self.wrong_rate = wrong;
        let name = &self.running.device.name;
        match wrong {
            Some(fact) => {
                let consequence = if self.is_read_only() { PLAYED } else { RECORDED };
                let text = format!("{name}: {}", wrong_rate_text(fact, consequence));
                self.notify(Kind::DeviceGone, Severity::Loss, text, &[]);
            }
            None => self.info(format!("{name}: its clock runs at the session's rate again")),
        }
        // A pass that has not begun notes it when it begins.
        let frames = self.published().pass_frames.load(Relaxed);
        if frames != NO_PASS && self.pass_status().is_some_and(|pass| pass.has_begun()) {
            self.note_wrong_rate(Frames(frames));
        }
    }

    /// If the clock of the device runs at another rate, the takes are whole, and none of the sound from frame `at` of the pass
    /// on has the right speed: the report says it and the command fails.
    pub(super) fn note_wrong_rate(&mut self, at: Frames) {
        let Some(fact) = self.wrong_rate else { return };
        let at = Clock(at.duration(self.running.device.rate));
        if let Some(pass) = self.pass.as_mut().filter(|pass| pass.source_losses.len() < LINES_MAX) {
            let text = format!("{at}: {}", wrong_rate_text(fact, RECORDED));
            pass.source_losses.push(SourceNotice { text, is_loss: true, inputs: None });
        }
    }

    /// The wrong rate at which the device runs now and its consequence for playback, as a sentence; `None` while its rate is
    /// right.
    pub fn plays_at_wrong_rate(&self) -> Option<String> {
        self.wrong_rate.map(|fact| wrong_rate_text(fact, PLAYED))
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
