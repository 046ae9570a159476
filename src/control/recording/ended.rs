//! The end of a pass: losses and lengths go into the session, takes are finished, the report is made. Thread: control.

use super::fault_report::FaultReport;
use super::machine::{Ended, Event};
use super::pass::{RecordingPass, RecordingTake, track_name};
use super::pass_report::{PassReport, TakeReport, counted};
use crate::control::Control;
use crate::control::report::{AudioReport, Reading, bare_copy_us};
use crate::message::Pass;
use crate::message::disk::ButlerCommand;
use crate::message::spool_file::MemoryFiles;
use crate::message::take::{TakeEnd, TakeKey};
use crate::session::{Session, Take, TakeAccounts, TakeId, TakeState};
use crate::time::{FramePos, Frames};
use crate::wav::bext::coding_history_line;
use std::sync::atomic::Ordering::Relaxed;

impl Control {
    /// The audio thread has recorded the last frame and given every window back.
    pub(in crate::control) fn pass_ended(&mut self, pass: &Pass) {
        let Some(run) = &mut self.pass else { return };
        if let Some(start_reading) = &run.start_reading {
            let reading = Reading::now(&self.running.published, false);
            self.running.faults.mark_end(reading.at_ns);
            run.audio_report = Some(reading.since(start_reading, &self.running.scheduling));
        }
        for (take, capture) in run.takes.iter_mut().zip(&pass.captures) {
            take.lost = pass.lost + capture.overrun;
        }
        let ended = Ended {
            frames: pass.frames,
            lost: pass.lost,
            xruns: pass.xruns,
            playback_xruns: pass.playback_xruns,
            began: pass.began,
        };
        self.list_losses(pass);
        self.save_last_losses();
        self.on_pass_event(Event::AudioEnded(ended));
    }

    /// Sends the butler the ends of the takes.
    pub(super) fn finish_takes(&mut self, ended: &Ended) {
        self.observe_playing(ended.began, ended.frames);
        self.settle_latency();
        self.tell_of_parts_astray();
        self.tell_of_early_latency();
        self.tell_of_incomplete_delay();
        let Some(run) = &self.pass else { return };
        let (audio_report, latency) = (run.audio_report.as_ref(), run.latency.frames());
        let mut ends = Vec::with_capacity(run.takes.len());
        for take in &run.takes {
            let placed = if latency.0 == 0 { String::new() } else { format!(" latency={}", latency.0) };
            let remark = format!(
                "Faultless; faults={} xruns={} frames_lost={} cycle_us_max={} path={}{placed}",
                audio_report
                    .and_then(AudioReport::faults)
                    .map_or_else(|| "unknown".to_owned(), |faults| faults.to_string()),
                ended.xruns,
                take.lost.0,
                audio_report.map_or(0.0, |audio_report| audio_report.cycle_us_max),
                self.running.setup.capture_path,
            );
            let header = &take.plan.header;
            let history = coding_history_line(header.format, header.rate, header.channels, &remark);
            let end = TakeEnd { frames: ended.frames, began: ended.began, latency, history };
            ends.push((take.plan.key, end));
        }
        let key = run.key;
        if self.running.butler.send(ButlerCommand::Finish { pass: key, ends }).is_err() {
            self.loss(format!("butler: it is gone; {}", self.rest_of_sound()));
        }
    }

    /// A take is on the disk, or its committer gave it up. Ends all files of the take in the session. The regions of all
    /// takes are placed together when the last take is finished.
    pub(in crate::control) fn take_finished(
        &mut self,
        key: TakeKey,
        frames: Frames,
        trouble: Option<String>,
        memory: Option<MemoryFiles>,
    ) {
        let Some(run) = &mut self.pass else { return };
        let Some(take) = run.takes.iter_mut().find(|take| take.plan.key == key) else { return };
        take.finished = true;
        take.trouble.clone_from(&trouble);
        let (spans, lost) = (take.spans(frames), take.lost);
        let troubles: Vec<Option<String>> = take.file_ids().map(|id| take.trouble_of(id)).collect();
        let has_several_files = spans.len() > 1;
        let concern = run.source_losses.iter().filter(|loss| loss.concerns(&take.inputs));
        let source_losses = concern.map(|loss| loss.text.clone()).collect();
        // If the kernel's fault counts are unknown, leave the accounts out. A zero would claim that there were no
        // faults.
        let measured = run.audio_report.as_ref().filter(|audio_report| audio_report.faults().is_some());
        let accounts = measured.zip(run.machine.ended()).map(|(audio_report, ended)| TakeAccounts {
            xruns: u64::from(ended.xruns),
            frames_lost: lost.0,
            minor_faults: audio_report.minor_faults.unwrap_or(0),
            major_faults: audio_report.major_faults.unwrap_or(0),
            cycle_us_max: audio_report.cycle_us_max.ceil() as u64,
            capture_path: self.running.setup.capture_path.to_string(),
            device: self.running.device.name.clone(),
            source_losses,
            placing: run.latency.flaw().unwrap_or_default().to_owned(),
            ..TakeAccounts::default()
        });
        // The losses without a known place count for the last file.
        let all_listed: u64 = spans.iter().map(|(id, from, to)| lost_within(&self.session, *id, to.since(*from))).sum();
        let (last, without_place) = (spans.last().map(|(id, ..)| *id), lost.0.saturating_sub(all_listed));
        for ((id, from, to), trouble) in spans.into_iter().zip(troubles) {
            // A file with a problem keeps the state `Recording`, so that the next start recovers it.
            let state = if trouble.is_some() { TakeState::Recording } else { TakeState::Complete };
            self.troubled_takes.extend(trouble.map(|trouble| (id, trouble)));
            let lost_here =
                lost_within(&self.session, id, to.since(from)) + if Some(id) == last { without_place } else { 0 };
            let accounts = accounts.clone().map(|all| TakeAccounts {
                frames_lost: if has_several_files { lost_here } else { all.frames_lost },
                ..all
            });
            let length = to.since(from);
            self.session.finish_take(id, length, state, accounts).ok();
        }
        // The present revision is the first one that lists the take as complete.
        self.finished_memory.extend(memory.map(|memory| (self.session.revision(), memory)));
        if let Some(reason) = trouble {
            self.loss(reason);
        }
        if self.pass.as_ref().is_some_and(|run| run.takes.iter().all(|take| take.finished)) {
            self.on_pass_event(Event::TakesFinished);
        }
    }

    /// The memory that the page faults of the pass hit.
    fn fault_report(&self, run: &RecordingPass, counted: u64) -> FaultReport {
        let from_ns = run.start_reading().map_or(0, |reading| reading.at_ns);
        let track_of_take = |identity| {
            let take = run.takes.iter().find(|take| take.plan.identity == identity)?;
            Some(track_name(&self.session, take.id))
        };
        let track_of_slot = |slot: usize| self.session.tracks().get(slot).map(|track| track.name().to_owned());
        FaultReport::new(&self.running.faults, from_ns, counted, &track_of_take, &track_of_slot)
    }

    /// Places the finished takes of the pass where their sound belongs, as one step of undo. A punch is placed between its
    /// punch-in and its punch-out, whatever was recorded around it. The step is made here and
    /// not before, so that an undo while takes are being finished takes back an earlier step, and never half of this one.
    pub(super) fn place_finished_takes(&mut self) {
        let Some(run) = &self.pass else { return };
        let finished = run.takes.iter().filter(|take| take.finished);
        let ids = finished.flat_map(|take| take.earlier_files.iter().map(|file| file.id).chain([take.id]));
        let (from, to) = run.request.punch.unwrap_or((FramePos(0), FramePos(u64::MAX)));
        let files: Vec<_> = ids
            .filter_map(|id| self.session.take(id))
            .filter(|take| take.place().start.max(from) < take.place().end().min(to))
            .map(|take| (take.track, take.id))
            .collect();
        if files.is_empty() {
            return;
        }
        let tracks: std::collections::BTreeSet<_> = files.iter().map(|(track, _)| *track).collect();
        let label = format!("record {}", counted(tracks.len() as u64, "take"));
        self.undo_steps.record(&label, None, &self.session);
        for (track, id) in files {
            self.session.choose_take(track, id, from, to).ok();
        }
    }

    /// Saves the session and makes the report. A pass that never reached the audio thread has none.
    pub(super) fn report_pass(&mut self, run: RecordingPass, ended: &Ended) {
        self.players_outdated = self.playback_enabled;
        self.show_held_losses();
        self.tell_of_failed_outputs();
        self.save_at_once();
        let Some(mut audio_thread) = run.audio_report.clone() else { return };
        let frames_without_sound = self.frames_without_sound(ended.began, ended.began + ended.frames);
        audio_thread.frames_unheard += frames_without_sound;
        let page_faults = self.fault_report(&run, audio_thread.faults().unwrap_or(0));
        let report_of = |take: &RecordingTake, (id, from, to): (TakeId, FramePos, FramePos)| TakeReport {
            track: track_name(&self.session, id),
            input: take.inputs.first().map_or(0, |input| *input as u32),
            file: self.session.take(id).map_or_else(String::new, Take::path),
            frames: to.since(from).0,
            frames_lost: take.lost.0,
            xruns: u64::from(ended.xruns),
            trouble: take.trouble_of(id),
        };
        let spans =
            run.takes.iter().flat_map(|take| take.spans(ended.frames).into_iter().map(move |span| (take, span)));
        let takes: Vec<TakeReport> = spans.map(|(take, span)| report_of(take, span)).collect();
        let mirror = run.mirror.report();
        let worst = takes.iter().map(|take| take.frames_lost).max().unwrap_or(0);
        let disk = &self.running.disk;
        let frame_bytes = run.takes.first().map_or(1, |take| take.plan.frame_bytes());
        let bare_copy_us = bare_copy_us(run.takes.len(), self.running.device.period_frames * frame_bytes);
        let bare_copy_ratio = (audio_thread.cycle_us_mean / bare_copy_us.max(0.001) * 10.0).round() / 10.0;
        let lead = disk.lead_frames_min.load(Relaxed);
        let pass = run.takes.first().and_then(|take| self.session.take(take.id)).map_or(0, |take| take.pass);
        self.reports.push_back(PassReport {
            pass,
            frames: ended.frames.0,
            xruns: u64::from(ended.xruns),
            playback_xruns: u64::from(ended.playback_xruns),
            frames_lost: worst.max(ended.lost.0),
            frames_without_sound,
            audio_thread,
            page_faults,
            takes,
            latency: run.latency.report(),
            source_losses: run.source_losses.iter().map(|loss| loss.text.clone()).collect(),
            lead_frames_min: (lead != u64::MAX).then_some(lead),
            commit_us_max: disk.commit_us_max.load(Relaxed),
            period_us: self.running.device.period_frames as f64 / f64::from(self.running.device.rate.0.max(1)) * 1e6,
            bare_copy_us,
            bare_copy_ratio,
            mirror: mirror.clone(),
        });
        if let Some(mirror) = mirror {
            match mirror.trouble {
                None => {
                    self.info(format!(
                        "mirror: whole, {} in {}",
                        counted(mirror.takes_whole as u64, "take"),
                        mirror.folder.display()
                    ));
                }
                Some(reason) => self.loss(format!("mirror: not whole: {reason}")),
            }
        }
    }
}

/// Frames that take `id` lists as lost before frame `length`. A loss that is listed without an end has no more than these.
fn lost_within(session: &Session, id: TakeId, length: Frames) -> u64 {
    let losses = session.take(id).map_or(&[][..], |take| &take.losses);
    losses.iter().map(|loss| (loss.at.0 + loss.frames.0).min(length.0).saturating_sub(loss.at.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::session::tests::recording;
    use crate::time::SampleRate;
    use uuid::Uuid;

    /// A file of a take that had continued counted 9 quadrillion lost frames.
    #[test]
    fn a_loss_without_an_end_counts_up_to_the_end_of_its_file() {
        let started = "2026-01-02T03:04:05+00:00";
        let mut session = Session::new(Uuid::from_u128(1), "Test", started, SampleRate(48_000), TakeFormat::S24);
        let track = session.add_track("Kick", &[0]).unwrap();
        let id = recording(&mut session, track, FramePos(0));
        session.list_loss(id, FramePos(100), Frames(50), "xrun").unwrap();
        session.list_open_loss(id, FramePos(700), "unplugged").unwrap();
        assert_eq!([1_000, 600, 120].map(|length| lost_within(&session, id, Frames(length))), [350, 50, 20]);
    }
}
