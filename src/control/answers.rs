//! What the audio thread and the disk side have told: what it changes, and in which words it is passed on. Thread: control.

use super::{Control, Severity};
use crate::flight::record::Kind;
use crate::message::AudioEvent;
use crate::message::disk::DiskEvent;
use crate::message::replica::Replica;
use crate::time::{Clock, FramePos, Frames};

impl Control {
    pub(super) fn hear_audio(&mut self, event: AudioEvent) {
        let rate = self.running.device.rate;
        let clock = |at: FramePos| Clock(Frames(at.0).duration(rate));
        match event {
            AudioEvent::PassBegan { at, .. } => {
                self.pass_began(at);
                self.note_pass_began(at.0);
            }
            AudioEvent::PassEnded(pass) => self.pass_ended(&pass),
            AudioEvent::Lost { at, frames, cause } => {
                if let Some(pass) = &mut self.pass {
                    pass.note_loss(at, frames);
                }
                let place =
                    if self.pass.is_some() { "they are silence in every take" } else { "nothing was recorded then" };
                if frames.0 == 0 {
                    // What was to be heard was late; what is recorded is whole.
                    self.caution(format!("{}: {cause} without loss of a recorded frame", clock(at)));
                } else {
                    let text = format!("{}: {} frames lost ({cause}); {place}", clock(at), frames.0);
                    self.told(Kind::Lost, Severity::Loss, text, &[("at", at.0), ("frames", frames.0)]);
                }
            }
            AudioEvent::Overrun { capture, at, frames } => {
                let start = self.pass_now().map_or(FramePos(0), |pass| pass.start);
                if let Some(pass) = &mut self.pass {
                    pass.note_loss(start + Frames(at.0), frames);
                }
                let name = self.pass.as_ref().map_or_else(String::new, |pass| pass.take_name(capture, &self.session));
                let text =
                    format!("{name} {}: {} frames not recorded (no window); they are silence", clock(at), frames.0);
                self.told(Kind::Overrun, Severity::Loss, text, &[("at", at.0), ("frames", frames.0)]);
            }
            AudioEvent::Dropout { slot, at, frames } => {
                let name = self.players.name(slot, &self.session);
                let text = format!("{name} {}: {} frames not heard, the disk was late", clock(at), frames.0);
                self.told(Kind::Dropout, Severity::Caution, text, &[("at", at.0), ("frames", frames.0)]);
            }
            AudioEvent::CutShort { slot, at } => {
                let name = self.players.name(slot, &self.session);
                let text =
                    format!("{name} {}: its file was cut short by another program; the rest is silent", clock(at));
                self.told(Kind::CutShort, Severity::Loss, text, &[("at", at.0)]);
            }
            AudioEvent::DeviceGone { device, reason } => self.device_gone(device, reason),
            AudioEvent::DeviceBack => self.device_back(),
            AudioEvent::DeviceFailed { reason } => {
                let text = format!("{}: {reason}", self.running.device.name);
                self.told(Kind::DeviceGone, Severity::Loss, text, &[]);
            }
            AudioEvent::EngineLost => {
                let text = "audio thread: it failed; what was recorded is being saved, start again".to_owned();
                self.told(Kind::Failed, Severity::Loss, text, &[]);
            }
            AudioEvent::Removed(voice) => drop(voice),
            AudioEvent::Replaced(device) => drop(device),
        }
    }

    pub(super) fn hear_disk(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::TakesOpened { replica: Replica::Session, pass, files, notes } => {
                self.takes_opened(pass, files, notes)
            }
            DiskEvent::TakesOpened { replica: Replica::Mirror, pass, files, .. } => {
                self.mirror_opened(pass, files.err())
            }
            DiskEvent::PassReady { pass, windows, notes } => self.pass_ready(pass, windows, notes),
            DiskEvent::TakeFinished { replica: Replica::Session, take, frames, trouble } => {
                self.take_finished(take, frames, trouble);
            }
            DiskEvent::TakeFinished { replica: Replica::Mirror, take, trouble, .. } => {
                self.mirror_finished(take, trouble)
            }
            DiskEvent::Stuck { take, from, code } => self.take_stuck(take, from, code),
            DiskEvent::Continued { take, outcome } => self.take_continued(take, outcome),
            DiskEvent::PlaybackTrouble { reason, .. } => self.caution(reason),
            DiskEvent::Trouble { replica: Replica::Mirror, reason } => {
                self.caution(format!("mirror: {reason}"));
                self.mirror_refuses(Some(reason));
            }
            DiskEvent::TroubleOver { replica: Replica::Mirror, reason } => {
                self.info(format!("mirror: {reason}"));
                self.mirror_refuses(None);
            }
            DiskEvent::Trouble { replica: Replica::Session, reason } => {
                self.trouble = Some(reason.clone());
                self.told(Kind::DiskTrouble, Severity::Caution, reason, &[]);
            }
            DiskEvent::TroubleOver { replica: Replica::Session, reason } => {
                self.trouble = None;
                self.nobody_is_stuck();
                self.told(Kind::DiskTroubleOver, Severity::Info, reason, &[]);
            }
        }
    }
}
