//! Carries out the effects of the state machine of a pass, and observes the facts that it needs. Thread: control.

use super::machine::{Effect, Ended, Event, Facts, Problem};
use super::pass::{PassEffect, PassEvent, RecordingTake};
use crate::butler::capabilities::CapturePath;
use crate::butler::spool::SpoolPlace;
use crate::control::Control;
use crate::control::close::spool_in_memory;
use crate::control::mirror::PassMirror;
use crate::control::report::Reading;
use crate::device::LossCause;
use crate::host::{self, disk};
use crate::message::disk::{ButlerCommand, PassWindows};
use crate::message::published::NO_PASS;
use crate::message::spool_file::ProgressFile;
use crate::message::take::PassKey;
use crate::message::{AudioCommand, Capture, Pass, PassRange};
use crate::time::{Clock, FramePos, Frames};
use crate::window::overrun_places::TakeMark;
use crate::window::process;
use crate::window::progress_page::{PAGE_AT, Progress, ProgressLoss, bytes_of_pages};
use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Time that a command needs to the audio thread, besides two periods. A punch-in that is nearer is not reached in time.
const COMMAND_TIME: Duration = Duration::from_millis(20);

impl Control {
    /// Gives the pass an event and carries out what follows from it. Does nothing without a pass.
    pub(in crate::control) fn on_pass_event(&mut self, event: PassEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let Some(run) = &mut self.pass else { return };
            for effect in run.machine.on(event) {
                events.extend(self.carry_out(effect));
            }
        }
    }

    /// Gives the pass the facts that come without an event: the time, saves, threads that have ended.
    pub(in crate::control) fn poll_pass(&mut self) {
        if self.pass.is_none() {
            return;
        }
        if !self.running.is_alive() {
            // Its last events: the pass in `PassEnded` has all losses.
            self.handle_audio_events();
        }
        let Some(facts) = self.pass_facts() else { return };
        self.save_reported_losses(facts.now);
        self.observe_latency();
        self.on_pass_event(Event::Tick(facts));
        // After the tick: a pass whose takes are all finished is reported even if a disk thread has failed since.
        if let Some(name) = self.running.failed_capture_thread() {
            let event = Event::ThreadFailed(name.to_owned());
            self.on_pass_event(event);
        }
    }

    fn pass_facts(&mut self) -> Option<Facts> {
        let rolls = self.pass.as_ref()?.machine.is_rolling();
        let audio_thread_ended = if rolls && !self.running.is_alive() { self.recorded_end() } else { None };
        let now = host::now();
        Some(Facts {
            now,
            recoverable: self.recoverable_revision(),
            tried: self.tried_revision(),
            audio_thread_ended,
            is_mirror_finished: self.pass.as_ref()?.mirror.is_finished(),
            are_files_named: self.naming.is_idle(),
            is_device_reopening: self.outputs_watch.is_reopening(now),
        })
    }

    /// The end of a pass that the audio thread took along when it ended: the progress page has every frame that every
    /// take has, and the losses among them.
    fn recorded_end(&mut self) -> Option<Ended> {
        let run = self.pass.as_ref()?;
        let start = run.machine.start();
        let Some(progress) = run.progress_file.as_deref().and_then(progress_of) else {
            let recorded = self.published().pass_frames.load(Relaxed);
            let frames = Frames(if recorded == NO_PASS { 0 } else { recorded });
            self.end_absences(frames);
            return Some(Ended { frames, began: start, ..Ended::default() });
        };
        self.list_progress_losses(&progress);
        self.end_absences(progress.frames);
        Some(ended_by(&progress, start))
    }

    /// Carries out an effect. Returns the event that follows at once.
    fn carry_out(&mut self, effect: PassEffect) -> Option<PassEvent> {
        match effect {
            Effect::Save => {
                self.save_at_once();
                return Some(Event::Listed(self.session.revision()));
            }
            Effect::GiveUpMirror => {
                if let Some(run) = &mut self.pass {
                    run.mirror = PassMirror::None;
                }
                self.loss("mirror: its disk does not answer; recording continues without it".to_owned());
            }
            Effect::Prepare(files) => self.prepare_windows(files),
            Effect::SendRecord(pass) => self.send_record(pass),
            Effect::SendStop => self.send(AudioCommand::Stop),
            Effect::MoveTakes(at) => self.move_takes(at),
            Effect::Finish(ended) => self.finish_takes(&ended),
            Effect::PlaceTakes => {
                self.place_finished_takes();
                self.save();
            }
            Effect::NameFiles => return (!self.name_files()).then_some(Event::NamesFit),
            Effect::Notify(problem) => self.notify_problem(problem),
            Effect::OpenAgain => {
                let mut again = self.pass.as_ref().map(|run| run.request.clone())?;
                self.forget_pass();
                again.name_collisions += 1;
                // The user may have disarmed tracks since, which changes nothing for a pass that is on, and deleted some.
                again.tracks.retain(|(track, _)| self.session.track(*track).is_some());
                match self.begin_pass(again) {
                    Ok(()) => self.list_absent_inputs(),
                    Err(error) => {
                        self.save();
                        self.loss(error.to_string());
                    }
                }
            }
            Effect::Forget(reason) => {
                self.forget_pass();
                self.save();
                self.loss(reason);
            }
            Effect::Report(ended) => {
                // A file whose disk hangs keeps its name, unless it has the new one already.
                self.naming.give_up();
                if let Some(run) = self.pass.take() {
                    let reports = self.reports.len();
                    self.report_pass(run, &ended);
                    self.note_pass_ended(true, reports);
                }
            }
            Effect::Abandon => {
                let takes = self.pass.take().map(|run| run.takes).unwrap_or_default();
                for take in takes.iter().filter(|take| !take.finished) {
                    self.note_abandoned(take);
                }
                self.save();
            }
        }
        None
    }

    fn notify_problem(&mut self, problem: Problem) {
        let text = match problem {
            Problem::NoWindows(reason) => reason,
            Problem::Unsaved => {
                let reason = self.save_failure();
                format!("record: {reason}; nothing is recorded, because a crash would lose it; save first")
            }
            Problem::ThreadFailed(name) => {
                format!("{name}: it failed, recording has stopped; {}", self.rest_of_sound())
            }
        };
        self.loss(text);
    }

    /// Where the sound of the pass is that its files lack, after a thread has failed, and what to do.
    pub(super) fn rest_of_sound(&self) -> &'static str {
        let setup = &self.running.setup;
        rest_of_sound(setup.capture_path, &setup.capabilities.spool)
    }

    /// Nobody finishes this take in this run.
    fn note_abandoned(&mut self, take: &RecordingTake) {
        for id in take.file_ids() {
            let Some(listed) = self.session.take(id) else { continue };
            let path = self.folder.join(listed.path());
            let rest = match spool_in_memory(&self.session, listed) {
                Some(spool) => format!("what is missing is kept in {}", spool.display()),
                None => self.rest_of_sound().to_owned(),
            };
            let trouble = format!("{}: the take is not finished, because a thread has failed; {rest}", path.display());
            self.troubled_takes.push((id, trouble));
        }
    }

    /// Asks the butler for the windows of the pass. In `in-place` they map `files`.
    fn prepare_windows(&mut self, files: Vec<Arc<File>>) {
        let in_place = self.running.setup.capture_path == CapturePath::InPlace;
        let Some(run) = &self.pass else { return };
        let files = if in_place { files } else { Vec::new() };
        let takes = run.takes.iter().map(|take| take.plan.clone()).collect();
        let (rate, mirrored) = (self.session.rate().0, run.mirror.is_active());
        self.running.butler.send(ButlerCommand::Prepare { pass: run.key, takes, files, rate, mirrored }).ok();
    }

    /// The butler has made the windows of the pass, or could not.
    pub(in crate::control) fn pass_ready(
        &mut self,
        key: PassKey,
        windows: Result<PassWindows, String>,
        notes: Vec<String>,
    ) {
        for note in notes {
            self.caution(note);
        }
        let found = self.inputs_found();
        let Some(run) = self.pass.as_mut().filter(|pass| pass.key == key) else { return };
        let event = match windows {
            Err(reason) => Event::WindowsRefused(reason),
            Ok(windows) => {
                let captures = windows.takes.into_iter().zip(&run.takes).map(|(windows, take)| {
                    let input = |channel: usize| take.inputs.get(channel).copied().unwrap_or(0);
                    let mark = TakeMark::of(take.plan.identity);
                    Capture::new(windows, [input(0), input(1)], take.inputs.len(), take.plan.format()).marked(mark)
                });
                let mut pass = Pass::new(captures.collect(), run.request.range, true);
                pass.progress_page = Some(windows.progress_page);
                run.progress_file = Some(windows.progress_file);
                run.note_absent_inputs(found);
                let pass = Box::new(pass);
                populate_pass(&pass);
                Event::WindowsReady(pass)
            }
        };
        self.on_pass_event(event);
    }

    /// Gives the pass to the audio thread.
    fn send_record(&mut self, pass: Box<Pass>) {
        self.running.disk.commit_us_max.store(0, Relaxed);
        self.running.disk.room_ms.iter().for_each(|room| room.store(0, Relaxed));
        let reading = Reading::now(&self.running.published, true);
        self.running.faults.mark(reading.at_ns);
        let Some(run) = &mut self.pass else { return };
        run.start_reading = Some(reading);
        let request = &run.request;
        if let (PassRange::Punch { from, .. }, Some(pre_roll_from)) = (request.range, request.pre_roll_from)
            && from <= self.position_at_next_command()
        {
            self.wait_at(pre_roll_from);
        }
        self.send(AudioCommand::Record(pass));
    }

    /// A position that the transport has not passed when the audio thread takes a command that is sent now.
    fn position_at_next_command(&self) -> FramePos {
        let device = &self.running.device;
        let ahead = Frames(2 * device.period_frames as u64) + device.rate.frames(COMMAND_TIME);
        FramePos(self.published().position.load(Relaxed)) + ahead
    }

    /// The pass began at `at`, and not where the command had assumed.
    fn move_takes(&mut self, at: FramePos) {
        let Some(run) = &self.pass else { return };
        let ids: Vec<_> = run.takes.iter().flat_map(|take| take.spans(Frames(0))).map(|(id, ..)| id).collect();
        let range = run.request.range;
        for id in ids {
            self.session.set_take_start(id, at).ok();
        }
        self.save();
        if let PassRange::Punch { from, .. } = range {
            let late = Clock(at.since(from).duration(self.running.device.rate));
            self.caution(format!(
                "punch: it began {late} after the punch-in, because the program was late; before that the old sound stays"
            ));
        }
    }
}

/// Brings the memory of a new pass in, so that the audio thread takes no fault on it. The rings of the windows and the
/// progress page are populated where they are made. The rest of the program was populated when the pass was begun, in the
/// time in which the disk created the files.
fn populate_pass(pass: &Pass) {
    let (captures, order) = (&pass.captures[..], &pass.by_input[..]);
    process::populate_range(std::ptr::from_ref(pass).addr(), size_of_val(pass));
    process::populate_range(captures.as_ptr().addr(), size_of_val(captures));
    process::populate_range(order.as_ptr().addr(), size_of_val(order));
}

/// Where the sound of a pass is that its files lack, after a thread has failed, and what to do.
fn rest_of_sound(capture_path: CapturePath, spool: &SpoolPlace) -> &'static str {
    match (capture_path, spool) {
        // The spool files outlive the program and name their takes.
        (CapturePath::Spool, SpoolPlace::Folder(_)) => "what is not in the takes is in memory, start again",
        (CapturePath::Spool, SpoolPlace::Memory) => {
            "what is not in the takes is lost, because no memory here outlives the program; start again, so that the \
             takes are recovered"
        }
        (CapturePath::InPlace, _) => "all sound is in the takes; start again, so that they are recovered",
    }
}

/// The content of a progress page; `None` if it cannot be read.
fn progress_of(file: &ProgressFile) -> Option<Progress> {
    let mut pages = vec![0; bytes_of_pages(file.file.metadata().ok()?.len())];
    disk::read_exact_at(&file.file, &mut pages, PAGE_AT).ok()?;
    Progress::read(&pages)
}

/// The end of a pass as its progress page tells it. `start`: where it begins if the page does not know that.
fn ended_by(progress: &Progress, start: FramePos) -> Ended {
    let is_xrun = |loss: &&ProgressLoss| LossCause::from_code(loss.cause) == Some(LossCause::Xrun);
    Ended {
        frames: progress.frames,
        lost: progress.lost.min(progress.frames),
        xruns: progress.marks.iter().filter(is_xrun).count() as u32,
        playback_xruns: 0,
        began: progress.began.unwrap_or(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::budget::LockBudget;
    use crate::window::map::Populate;
    use crate::window::progress_page::{ProgressPage, file_bytes};
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn after_a_thread_has_failed_sound_is_said_to_be_in_memory_only_where_the_memory_outlives_the_program() {
        let folder = SpoolPlace::Folder("/dev/shm/faultless-0".into());
        let [kept, lost, in_place] =
            [(CapturePath::Spool, &folder), (CapturePath::Spool, &SpoolPlace::Memory), (CapturePath::InPlace, &folder)]
                .map(|(capture_path, spool)| rest_of_sound(capture_path, spool));
        assert!(kept.contains("is in memory") && lost.contains("is lost") && in_place.contains("is in the takes"));
        assert!([kept, lost, in_place].iter().all(|text| text.contains("start again")));
    }

    /// The audio thread panicked while it ended a pass: the pass was lost with it, its published length was reset, and
    /// takes of seconds were finished with no frame.
    #[test]
    fn a_pass_that_the_audio_thread_took_along_has_the_length_of_its_progress_page() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(file_bytes(1)).expect("room");
        let page = ProgressPage::new(&file, Populate::Advise, &LockBudget::new(0)).expect("a page");
        let file = ProgressFile { file, path: None, unfinished: AtomicUsize::new(1) };
        let end = || ended_by(&progress_of(&file).expect("a page"), FramePos(900));
        assert_eq!(end(), Ended { began: FramePos(900), ..Ended::default() });
        page.begin(FramePos(1_000));
        page.advance_to(Frames(48_000));
        let loss = |at, cause: LossCause| ProgressLoss { at: FramePos(at), frames: Frames(64), cause: cause.code() };
        page.add_loss(1, Some((0, loss(100, LossCause::Xrun))), Frames(64));
        page.add_loss(2, Some((1, loss(900, LossCause::Unplug))), Frames(64));
        let wanted =
            Ended { frames: Frames(48_000), lost: Frames(128), xruns: 1, playback_xruns: 0, began: FramePos(1_000) };
        assert_eq!(end(), wanted);
    }
}
