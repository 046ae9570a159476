//! Handles the events of the audio thread and of the disk threads: changes the state of control and writes the notices.
//! Owns nothing. Thread: control.

use super::recording::Event;
use super::repeats::LostFrames;
use super::{Control, Severity};
use crate::device;
use crate::flight::record::Kind;
use crate::host;
use crate::message::AudioEvent;
use crate::message::disk::DiskEvent;
use crate::message::replica::Replica;
use crate::reaper;
use crate::time::{Clock, FramePos, Frames};

impl Control {
    pub(super) fn on_audio_event(&mut self, event: AudioEvent) {
        let rate = self.running.device.rate;
        let clock = |at: FramePos| Clock(Frames(at.0).duration(rate));
        match event {
            AudioEvent::PassBegan { at, .. } => {
                self.on_pass_event(Event::Began(at));
                self.note_pass_began(at.0);
                self.note_wrong_rate(Frames(0));
                self.pass_begins_with_outputs();
            }
            AudioEvent::PassEnded(pass) => self.pass_ended(&pass),
            AudioEvent::Lost { at, frames: Frames(0), cause, .. } => self.inputs_were_late(at, cause),
            AudioEvent::Lost { at, frames, recorded, cause } => {
                self.device_lost(at, frames, &cause.to_string());
                self.loss_listed(frames);
                self.frames_were_lost(at, LostFrames { times: 1, frames, recorded, cause });
            }
            AudioEvent::PlaybackXrun { at } => self.outputs_were_late(at),
            AudioEvent::Overrun { capture, at, frames } => {
                self.take_lost(capture, at, frames);
                self.loss_listed(frames);
                self.take_had_no_window(capture, at, frames);
            }
            AudioEvent::Dropout { slot, at, frames } => {
                let name = self.players.name(slot, &self.session);
                let text = format!("{name} {}: {} not heard, the disk was late", clock(at), frames.text(rate));
                self.notify(Kind::Dropout, Severity::Caution, text, &[("at", at.0), ("frames", frames.0)]);
            }
            AudioEvent::CutShort { slot, at } => {
                self.players.note_cut_short(slot, at, &self.session);
                let name = self.players.name(slot, &self.session);
                let text =
                    format!("{name} {}: its file was cut short by another program; the rest is silent", clock(at));
                self.notify(Kind::CutShort, Severity::Loss, text, &[("at", at.0)]);
            }
            AudioEvent::DeviceGone { device, reason } => self.device_gone(device, reason),
            AudioEvent::DeviceBack => self.device_back(),
            AudioEvent::DeviceFailed { reason } => {
                self.outputs_failed(reason);
                if device::are_outputs_gone(reason) {
                    self.outputs_watch.outputs_are_away(host::now());
                }
            }
            AudioEvent::RateChanged { wrong } => self.rate_changed(wrong),
            AudioEvent::OutputsBack { silent } => self.outputs_back(silent),
            AudioEvent::EngineLost => {
                let text = "audio thread: it failed; what was recorded is being saved, start again".to_owned();
                self.notify(Kind::Failed, Severity::Loss, text, &[]);
            }
            AudioEvent::Removed(voice) => drop(voice),
            AudioEvent::CloseDevice(device) => {
                self.wrong_rate = None;
                // Closing a device may wait for its driver.
                reaper::end(move || drop(device));
            }
        }
    }

    pub(super) fn on_disk_event(&mut self, event: DiskEvent) {
        match event {
            DiskEvent::TakesOpened { replica: Replica::Session, pass, files, notes } => {
                self.takes_opened(pass, files, notes);
            }
            DiskEvent::TakesOpened { replica: Replica::Mirror, pass, files, .. } => {
                self.mirror_opened(pass, files.err());
            }
            DiskEvent::PassReady { pass, windows, notes } => self.pass_ready(pass, windows, notes),
            DiskEvent::TakeFinished { replica: Replica::Session, take, frames, trouble, memory } => {
                self.take_finished(take, frames, trouble, memory);
            }
            DiskEvent::TakeFinished { replica: Replica::Mirror, take, trouble, .. } => {
                self.mirror_finished(take, trouble);
            }
            DiskEvent::Stuck { take, from, is_size_limit } => self.take_refused(take, from, is_size_limit),
            DiskEvent::PutBack { replica: Replica::Session, text } => self.caution(text),
            DiskEvent::PutBack { replica: Replica::Mirror, text } => self.caution(format!("mirror: {text}")),
            DiskEvent::EarlierFileFinished { take, index, trouble } => self.earlier_file_finished(take, index, trouble),
            DiskEvent::Continued { take, outcome } => self.take_continued(take, outcome),
            DiskEvent::PlayerReady { slot, key } => self.players.player_ready(slot, key, &mut self.running),
            DiskEvent::PlaybackTrouble { slot, install, reason, silent } => {
                if self.players.note_silence(slot, install, silent) {
                    // The words of an export.
                    let title = self.players.title(slot, &self.session);
                    self.caution(format!("{title}, silent there: {reason}"));
                }
            }
            DiskEvent::Trouble { replica: Replica::Mirror, reason } => {
                self.caution(format!("mirror: {reason}"));
                self.set_mirror_error(Some(reason));
            }
            DiskEvent::TroubleOver { replica: Replica::Mirror, reason } => {
                self.info(format!("mirror: {reason}"));
                self.set_mirror_error(None);
            }
            DiskEvent::Trouble { replica: Replica::Session, reason } => {
                self.disk_trouble = Some(reason.clone());
                self.notify(Kind::DiskTrouble, Severity::Caution, reason, &[]);
            }
            DiskEvent::TroubleOver { replica: Replica::Session, reason } => {
                self.disk_trouble = None;
                self.clear_refusals();
                self.notify(Kind::DiskTroubleOver, Severity::Info, reason, &[]);
            }
        }
    }
}
