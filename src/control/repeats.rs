//! Events of the device that may come many times a second: the first is a notice, those after it are one notice a second
//! with their number. Thread: control.

use super::{Control, Severity};
use crate::flight::record::Kind;
use crate::time::{Clock, FramePos, Frames};
use std::sync::atomic::Ordering::Relaxed;

/// Events of one kind. Time is the device's own: without a device there are no such events.
#[derive(Debug, Default)]
struct Repeat {
    /// Device frame from which on the next notice may be shown.
    next: u64,
    /// Events that no notice has told of yet.
    waiting: u64,
}

impl Repeat {
    /// An event came. Returns whether it is to be shown at once.
    fn came(&mut self, now: u64, spacing: u64) -> bool {
        if 0 < self.waiting || now < self.next {
            self.waiting += 1;
            return false;
        }
        self.next = now + spacing;
        true
    }

    /// The number of events that waited, if it is time to tell of them.
    fn due(&mut self, now: u64, spacing: u64) -> Option<u64> {
        if self.waiting == 0 || now < self.next {
            return None;
        }
        self.next = now + spacing;
        Some(std::mem::take(&mut self.waiting))
    }
}

/// The events that control holds back.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    outputs_late: Repeat,
    inputs_late: Repeat,
    /// The drift was told.
    drift_told: bool,
}

impl Control {
    /// The outputs were late; no input frame was lost.
    pub(super) fn outputs_were_late(&mut self, at: FramePos) {
        let (now, second) = self.device_time();
        if self.repeats.outputs_late.came(now, second) {
            let at_clock = Clock(Frames(at.0).duration(self.running.device.rate));
            let text = format!("{at_clock}: the outputs were late; the recorded sound is complete");
            self.notify(Kind::Dropout, Severity::Caution, text, &[("at", at.0)]);
        }
    }

    /// The inputs were late, and no frame was lost.
    pub(super) fn inputs_were_late(&mut self, at: FramePos, cause: crate::device::LossCause) {
        let (now, second) = self.device_time();
        if self.repeats.inputs_late.came(now, second) {
            let at = Clock(Frames(at.0).duration(self.running.device.rate));
            self.caution(format!("{at}: {cause} without loss of a recorded frame"));
        }
    }

    /// Tells once of clocks that differ.
    fn warn_of_drift(&mut self) {
        let ppm = self.running.published.drift_ppm.load(Relaxed);
        if ppm == 0 || self.repeats.drift_told {
            return;
        }
        self.repeats.drift_told = true;
        let faster = if 0 < ppm { "inputs" } else { "outputs" };
        self.caution(format!(
            "{}: the clock of its {faster} is faster by {} ppm, so the outputs drop out now and then; takes are complete; \
             record and play on one card, or connect the word clocks of both",
            self.running.device.name,
            ppm.abs()
        ));
    }

    /// Tells of the events that were held back for a second.
    pub(super) fn show_repeats(&mut self) {
        self.warn_of_drift();
        let (now, second) = self.device_time();
        if let Some(count) = self.repeats.outputs_late.due(now, second) {
            let text = format!("the outputs were late {count} more times; the recorded sound is complete");
            self.notify(Kind::Dropout, Severity::Caution, text, &[("times", count)]);
        }
        if let Some(count) = self.repeats.inputs_late.due(now, second) {
            self.caution(format!("{count} more xruns without loss of a recorded frame"));
        }
    }

    /// The device's frame counter, and the frames of a second.
    fn device_time(&self) -> (u64, u64) {
        (self.running.published.device_frames.load(Relaxed), u64::from(self.running.device.rate.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_shown_at_once_and_the_next_ones_are_one_notice_a_second() {
        let mut repeat = Repeat::default();
        let mut shown = Vec::new();
        for now in 0..250 {
            // An event at each of the first 200 moments.
            if now < 200 && repeat.came(now, 100) {
                shown.push((now, 1));
            }
            shown.extend(repeat.due(now, 100).map(|count| (now, count)));
        }
        assert_eq!(shown, [(0, 1), (100, 100), (200, 99)]);
        // After a quiet second the next one is shown at once again.
        assert!(repeat.came(1000, 100));
    }
}
