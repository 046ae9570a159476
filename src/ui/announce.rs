//! Sentences that a screen reader speaks by itself: that a recording has begun or ended, and that the health line has turned
//! to a caution or a loss. Each is a node of the tree without a place on the screen. Thread: ui.

use super::format;
use crate::app::snapshot::{PassPhase, Snapshot};
use crate::control::Severity;
use egui::accesskit::Live;
use egui::{Context, Id, Response, Role};

/// Seconds for which a sentence stays in the tree.
const SHOWN_SECONDS: f64 = 10.0;

/// Lets a screen reader speak a sentence when this picture is finished.
pub fn say(ctx: &Context, text: &str) {
    ctx.data_mut(|data| data.get_temp_mut_or_default::<Vec<String>>(queue()).push(text.to_owned()));
}

/// Lets a screen reader speak the text of a label when it appears or changes.
pub fn live(label: &Response, urgency: Live) {
    label.ctx.accesskit_node_builder(label.id, |node| node.set_live(urgency));
}

/// The place of the sentences that wait for the end of the picture.
fn queue() -> Id {
    Id::unique("announcements")
}

/// The facts of which the user has heard, and the sentence that is in the tree.
#[derive(Default)]
pub struct Announcer {
    is_recording: bool,
    health: Option<(Severity, String)>,
    /// Number of the last sentence. Each one is a new node, because a reader speaks no text twice.
    number: u64,
    /// The last sentence, and the time of it in seconds.
    shown: Option<(f64, Live, String)>,
}

impl Announcer {
    /// Puts the sentence of this picture into the tree. Call it after everything is drawn.
    pub fn show(&mut self, ctx: &Context, snapshot: &Snapshot) {
        let waiting: Vec<String> = ctx.data_mut(|data| data.remove_temp(queue())).unwrap_or_default();
        let now = ctx.input(|input| input.time);
        if let Some((urgency, text)) = self.next_sentence(snapshot, waiting) {
            self.number += 1;
            self.shown = Some((now, urgency, text));
        }
        let Some((since, urgency, text)) = &self.shown else { return };
        if now - since > SHOWN_SECONDS {
            self.shown = None;
            return;
        }
        ctx.accesskit_node_builder(Id::unique(("announcement", self.number)), |node| {
            node.set_role(Role::Status);
            node.set_label(text.as_str());
            node.set_live(*urgency);
        });
    }

    /// The sentence about everything that has changed since the last picture.
    fn next_sentence(&mut self, snapshot: &Snapshot, mut sentences: Vec<String>) -> Option<(Live, String)> {
        let pass = snapshot.transport.pass.as_ref();
        let has_begun = pass.is_some_and(|pass| pass.phase == PassPhase::Recording);
        if has_begun && !self.is_recording {
            let tracks = pass.map_or(0, |pass| pass.takes.len());
            sentences.push(format!("Recording {}.", format::count(tracks, "track")));
        }
        if pass.is_none() && self.is_recording {
            sentences.push("Recording has ended.".to_owned());
        }
        self.is_recording = has_begun || (self.is_recording && pass.is_some());
        let health = &snapshot.health;
        // Figures that grow in the headline, such as lost seconds, are not a change.
        let key = (health.severity, health.head.replace(|letter: char| letter.is_ascii_digit() || letter == '.', ""));
        let before = self.health.replace(key.clone());
        let was_trouble = before.as_ref().is_some_and(|(severity, _)| *severity != Severity::Info);
        let is_trouble = health.severity != Severity::Info;
        if before.as_ref() != Some(&key) && (is_trouble || was_trouble) {
            sentences.push(health.head.clone());
            sentences.extend(health.advice.clone());
        }
        let urgency = if health.severity == Severity::Loss { Live::Assertive } else { Live::Polite };
        (!sentences.is_empty()).then(|| (urgency, sentences.join(" ")))
    }
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::session::{TakeId, TrackId};
    use crate::ui::demo;
    use std::sync::Arc;

    fn said(announcer: &mut Announcer, snapshot: &Snapshot) -> String {
        announcer.next_sentence(snapshot, Vec::new()).map(|(_, text)| text).unwrap_or_default()
    }

    #[test]
    fn the_begin_and_the_end_of_a_recording_are_said_once() {
        let mut announcer = Announcer::default();
        assert_eq!(said(&mut announcer, &demo::stopped(8, 10)), "");
        let mut recording = demo::recording(8, 20);
        recording.transport.pass.as_mut().unwrap().takes = Arc::new(vec![(TrackId(1), TakeId(1)); 8]);
        assert_eq!(said(&mut announcer, &recording), "Recording 8 tracks.");
        assert_eq!(said(&mut announcer, &recording), "");
        let mut finishing = recording;
        finishing.transport.pass.as_mut().unwrap().phase = PassPhase::Finishing;
        assert_eq!(said(&mut announcer, &finishing), "", "the takes are not on the disk yet");
        assert_eq!(said(&mut announcer, &demo::stopped(8, 21)), "Recording has ended.");
        assert_eq!(said(&mut announcer, &demo::stopped(8, 21)), "");
    }

    #[test]
    fn a_health_line_that_turns_is_said_and_growing_figures_are_not() {
        let mut announcer = Announcer::default();
        let health = |severity, head: &str| {
            let mut snapshot = demo::stopped(8, 10);
            snapshot.health.severity = severity;
            snapshot.health.head = head.to_owned();
            snapshot.health.advice = Some("Plug it in again".to_owned());
            snapshot
        };
        assert_eq!(said(&mut announcer, &health(Severity::Info, "All is well.")), "");
        let lost = announcer.next_sentence(&health(Severity::Loss, "1.2 s lost."), Vec::new());
        assert_eq!(lost, Some((Live::Assertive, "1.2 s lost. Plug it in again".to_owned())));
        assert_eq!(said(&mut announcer, &health(Severity::Loss, "1.7 s lost.")), "");
        assert_eq!(said(&mut announcer, &health(Severity::Loss, "12 s lost.")), "");
        let behind = said(&mut announcer, &health(Severity::Caution, "The disk is behind."));
        assert_eq!(behind, "The disk is behind. Plug it in again");
        assert_eq!(said(&mut announcer, &health(Severity::Info, "All is well.")), "All is well. Plug it in again");
        assert_eq!(said(&mut announcer, &health(Severity::Info, "Opening.")), "");
    }
}
