//! Losses of the pass: each goes into the session's takes when it is reported, so that a kill or a power cut before the
//! end of the pass hides none. The exact lists of the audio thread replace them at the end. Thread: control.

use super::pass::{RecordingPass, RecordingTake};
use crate::control::Control;
use crate::host::disk;
use crate::message::{LossLog, Pass};
use crate::recovery::cause_of_absence;
use crate::recovery::page_losses::{OVERRUN, losses_of};
use crate::session::{Loss, Session, TakeId};
use crate::time::{FramePos, Frames};
use crate::window::progress_page::{ABSENCES_AT, InputAbsence, Progress, absence_words};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

/// Time between two saves of reported losses. Every loss is saved, and a card that loses frames all the time costs one
/// save in this time.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Lost ranges of a pass that are kept for display.
const LOSSES_SHOWN: usize = 1000;

/// The losses of a pass that were reported.
#[derive(Default)]
pub(super) struct ReportedLosses {
    /// The first lost ranges of the timeline, for display.
    pub(super) shown: Vec<(FramePos, Frames)>,
    is_save_due: bool,
    saved_at: Option<Instant>,
}

/// The inputs that the device lacks since it came back, in frames of the pass.
#[derive(Clone, Default)]
pub(super) struct AbsentInputs(Vec<InputAbsence>);

impl AbsentInputs {
    /// From frame `at` on the device has `inputs` inputs.
    fn change(&mut self, at: FramePos, inputs: usize) {
        if let Some(last) = self.0.last_mut() {
            last.until.get_or_insert(at);
        }
        self.0.push(InputAbsence { inputs: inputs as u64, from: at, until: None });
    }

    /// The ranges in which one of these inputs is absent: it, the first frame, and the frame after the last one.
    fn ranges(&self, inputs: &[usize], end: FramePos) -> Vec<(usize, FramePos, FramePos)> {
        let range = |absence: &InputAbsence| {
            let input = absence.missing_of(inputs.iter().map(|input| *input as u64))?;
            Some((input as usize, absence.from, absence.until.unwrap_or(end).min(end)))
        };
        self.0.iter().filter_map(range).filter(|(_, from, until)| from < until).collect()
    }
}

impl RecordingPass {
    /// Shows lost frames at the place of the takes' sound.
    fn show_loss(&mut self, at: FramePos, frames: Frames) {
        let latency = self.latency.frames();
        let end = FramePos((at + frames).0.saturating_sub(latency.0));
        let at = FramePos(at.0.saturating_sub(latency.0));
        let shown = &mut self.losses.shown;
        let has_room = shown.len() < LOSSES_SHOWN;
        // Takes report the same range, and a long overrun comes in parts.
        match shown.last_mut().filter(|(from, frames)| *from <= at && at <= *from + *frames) {
            Some((from, frames)) => *frames = (*frames).max(end.since(*from)),
            None if has_room => shown.push((at, end.since(at))),
            None => {}
        }
    }

    /// Writes the ranges in which inputs were absent into the progress page, where a recovery finds them if no save of the
    /// session succeeds any more. `next`: a device that was found and has not delivered yet.
    pub(super) fn note_absent_inputs(&self, next: Option<(FramePos, usize)>) {
        let Some(page) = &self.progress_file else { return };
        let mut absent = self.absent_inputs.clone();
        if let Some((at, inputs)) = next {
            absent.change(at, inputs);
        }
        // The page has its memory already, so this does not fail.
        disk::write_all_at(&page.file, &absence_words(&absent.0), ABSENCES_AT).ok();
    }
}

impl Control {
    /// The device has lost frames of the timeline. Those of the pass are listed in its takes.
    pub(in crate::control) fn device_lost(&mut self, at: FramePos, frames: Frames, cause: &str) {
        let Some(run) = &mut self.pass else { return };
        if !run.machine.has_begun() {
            // The event of the first frame is missing if the queue was full, and the start is a guess.
            return;
        }
        let start = run.machine.start();
        let first = at.max(start);
        let end = (at + frames).min(start + run.request.range.length_from(start));
        if end <= first {
            return;
        }
        run.show_loss(first, end.since(first));
        let take_count = run.takes.len();
        for index in 0..take_count {
            self.list_reported_loss(index, FramePos(first.since(start).0), end.since(first), cause);
        }
    }

    /// A take had no window for frames from frame `at` of the pass on.
    pub(in crate::control) fn take_lost(&mut self, capture: usize, at: FramePos, frames: Frames) {
        let Some(run) = &mut self.pass else { return };
        run.show_loss(run.machine.start() + Frames(at.0), frames);
        self.list_reported_loss(capture, at, frames, OVERRUN);
    }

    /// The device is back, and has `inputs` inputs. It went away at frame `at` of the pass. A take of an input that it lacks
    /// is silent from there on. The loss is listed without an end, which the end of the take or a recovery gives it, so that
    /// a kill does not hide a part of it.
    pub(in crate::control) fn inputs_changed(&mut self, at: FramePos, inputs: usize) {
        // The takes of a pass that has ended have all their frames.
        let Some(run) = self.pass.as_mut().filter(|run| run.machine.ended().is_none()) else { return };
        run.absent_inputs.change(at, inputs);
        run.note_absent_inputs(None);
        run.losses.is_save_due = true;
        let last = |take: &RecordingTake| take.spans(Frames(u64::MAX)).pop();
        let takes: Vec<_> = run.takes.iter().filter_map(|take| Some((last(take)?, take.inputs.clone()))).collect();
        for ((id, from, _), wanted) in takes {
            let first = FramePos(at.since(from).0);
            self.session.end_losses(id, first).ok();
            if let Some(input) = wanted.into_iter().find(|input| inputs <= *input) {
                self.session.list_open_loss(id, first, &cause_of_absence(input as u64)).ok();
            }
        }
        self.losses_listed_in = self.session.revision();
    }

    /// A pass was begun again with the tracks of its command. Since then the device may have come back without inputs of theirs.
    pub(super) fn list_absent_inputs(&mut self) {
        let inputs = self.inputs_now();
        let mut takes = self.pass.iter().flat_map(|run| &run.takes);
        if takes.any(|take| take.inputs.iter().any(|input| inputs <= *input)) {
            self.inputs_changed(FramePos(0), inputs);
        }
    }

    /// A device was found that replaces the one that went away at frame `at` of the pass. Its inputs are written down before
    /// it delivers: a kill may come before control knows its first frame. `None`: it delivers, or the same inputs.
    pub(in crate::control) fn note_inputs_found(&self, found: Option<(FramePos, usize)>) {
        if let Some(run) = self.pass.as_ref().filter(|run| run.machine.ended().is_none()) {
            run.note_absent_inputs(found);
        }
    }

    fn list_reported_loss(&mut self, capture: usize, at: FramePos, frames: Frames, cause: &str) {
        let Some(run) = &mut self.pass else { return };
        run.losses.is_save_due = true;
        let Some(take) = run.takes.get_mut(capture) else { return };
        take.lost += frames;
        for (id, from, to) in take.spans(Frames(u64::MAX)) {
            let (first, end) = (at.max(from), (at + frames).min(to));
            if first < end {
                self.session.list_loss(id, FramePos(first.since(from).0), end.since(first), cause).ok();
            }
        }
        self.losses_listed_in = self.session.revision();
    }

    /// Lists the losses of a progress page that were not reported.
    pub(super) fn list_progress_losses(&mut self, progress: &Progress) {
        let takes = self.pass.iter().flat_map(|run| &run.takes);
        let takes: Vec<_> = takes.map(|take| (take.plan.identity, take.spans(progress.frames))).collect();
        for (identity, spans) in takes {
            for loss in losses_of(progress, identity) {
                for (id, from, to) in &spans {
                    let (at, end) = (loss.at.max(*from), (loss.at + loss.frames).min(*to));
                    if at < end {
                        self.session.list_loss(*id, FramePos(at.since(*from).0), end.since(at), &loss.cause).ok();
                    }
                }
            }
            if let Some((id, ..)) = spans.last() {
                let unlisted = progress.losses.saturating_sub(progress.marks.len() as u64);
                self.session.raise_unlisted_losses(*id, unlisted).ok();
            }
        }
    }

    /// Saves the reported losses.
    pub(super) fn save_reported_losses(&mut self, now: Instant) {
        let Some(run) = &mut self.pass else { return };
        let losses = &mut run.losses;
        let is_early = losses.saved_at.is_some_and(|at| now.duration_since(at) < SAVE_INTERVAL);
        if losses.is_save_due && !is_early {
            (losses.is_save_due, losses.saved_at) = (false, Some(now));
            self.save();
        }
    }

    /// A loss of so many frames is listed in the session that is in memory, if it lies in a pass.
    pub(in crate::control) fn loss_listed(&mut self, frames: Frames) {
        self.running.disk.losses_listed.fetch_add(frames.0, Relaxed);
    }

    /// Publishes for the committers that all reported losses are saved.
    pub(in crate::control) fn publish_saved_losses(&self) {
        let (reported, disk) = (self.running.published.losses_reported.load(Relaxed), &self.running.disk);
        if disk.losses_listed.load(Relaxed) == reported && self.losses_listed_in <= self.recoverable_revision() {
            disk.losses_saved.store(reported, Release);
        }
    }

    /// Saves the losses of a pass that has ended. Its takes end when they are saved.
    pub(super) fn save_last_losses(&mut self) {
        if self.running.disk.losses_saved.load(Relaxed) != self.running.published.losses_reported.load(Relaxed) {
            self.save_at_once();
            self.losses_listed_in = self.session.revision();
        }
    }

    /// Writes the losses of a pass that has ended into the session's takes, in place of the reported ones.
    pub(super) fn list_losses(&mut self, pass: &Pass) {
        let Some(run) = &mut self.pass else { return };
        for (take, capture) in run.takes.iter_mut().zip(&pass.captures) {
            list_losses_of(&mut self.session, take, [&pass.losses, &capture.losses], pass.frames);
            list_absence_of(&mut self.session, take, &run.absent_inputs, pass.frames);
        }
    }

    /// Gives the absences of inputs that last their end, because the pass has ended after so many frames. Nobody else lists the
    /// losses of the pass any more.
    pub(super) fn end_absences(&mut self, frames: Frames) {
        let Some(run) = &mut self.pass else { return };
        for take in &mut run.takes {
            list_absence_of(&mut self.session, take, &run.absent_inputs, frames);
        }
    }
}

/// Lists the losses in `logs`, the lists of the audio thread, for a take of a pass of so many frames. If there are more than
/// these lists have kept, the reported losses have places that they do not know, so these stay.
fn list_losses_of(session: &mut Session, take: &RecordingTake, logs: [&LossLog; 2], frames: Frames) {
    let spans = take.spans(frames);
    let has_all = logs.iter().all(|log| log.count() == log.marks().len());
    for (id, ..) in &spans {
        if has_all {
            session.clear_losses(*id).ok();
        } else {
            // An absence without an end would cover losses behind its start, and be covered itself when its end is listed.
            unlist_absences(session, *id);
        }
    }
    for mark in logs.iter().flat_map(|log| log.marks()) {
        let cause = mark.cause.map_or_else(|| OVERRUN.to_owned(), |cause| cause.to_string());
        for (id, from, to) in &spans {
            let (at, end) = (mark.at.max(*from), (mark.at + mark.frames).min(*to));
            if at < end {
                session.list_loss(*id, FramePos(at.since(*from).0), end.since(at), &cause).ok();
            }
        }
    }
    let count: usize = logs.iter().map(|log| log.count()).sum();
    let listed: usize = spans.iter().filter_map(|(id, ..)| Some(session.take(*id)?.losses.len())).sum();
    session.raise_unlisted_losses(take.id, count.saturating_sub(listed) as u64).ok();
}

/// Lists the silence of inputs that the device did not have any more, as far as nothing else is listed there, and counts it as
/// lost. Short losses inside it whose places are not known any more count twice, so that the report never gives too few.
fn list_absence_of(session: &mut Session, take: &mut RecordingTake, absent: &AbsentInputs, frames: Frames) {
    let ranges = absent.ranges(&take.inputs, FramePos(frames.0));
    for (id, first, last) in take.spans(frames) {
        unlist_absences(session, id);
        for (input, from, until) in &ranges {
            let (at, end) = ((*from).max(first), (*until).min(last));
            if at < end {
                let before = session.frames_lost_of(id);
                let cause = cause_of_absence(*input as u64);
                session.list_loss(id, FramePos(at.since(first).0), end.since(at), &cause).ok();
                take.lost += session.frames_lost_of(id) - before;
            }
        }
    }
    take.lost = take.lost.min(frames);
}

/// Takes the absences of inputs off the list of a file.
fn unlist_absences(session: &mut Session, id: TakeId) {
    let Some(take) = session.take(id) else { return };
    let causes: Vec<String> = take.inputs.iter().map(|input| cause_of_absence(u64::from(*input))).collect();
    let (absences, kept): (Vec<Loss>, Vec<Loss>) =
        take.losses.iter().cloned().partition(|loss| causes.contains(&loss.cause));
    if absences.is_empty() {
        return;
    }
    let unlisted = take.losses_unlisted;
    session.clear_losses(id).ok();
    for Loss { at, frames, cause } in kept {
        session.add_loss(id, at, frames, &cause).ok();
    }
    session.raise_unlisted_losses(id, unlisted).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::LossCause;
    use crate::message::LossMark;

    #[test]
    fn an_input_is_absent_from_the_loss_of_its_device_until_one_with_it_is_back() {
        let mut absent = AbsentInputs::default();
        assert!(absent.ranges(&[0, 1], FramePos(100)).is_empty());
        absent.change(FramePos(10), 1);
        absent.change(FramePos(40), 0);
        absent.change(FramePos(50), 2);
        absent.change(FramePos(90), 1);
        let ranges = |inputs: &[usize]| {
            let ranges = absent.ranges(inputs, FramePos(100));
            ranges.into_iter().map(|(input, from, until)| (input, from.0, until.0)).collect::<Vec<_>>()
        };
        assert_eq!(ranges(&[0]), [(0, 40, 50)]);
        assert_eq!(ranges(&[1]), [(1, 10, 40), (1, 40, 50), (1, 90, 100)]);
        assert_eq!(absent.ranges(&[1], FramePos(20)).len(), 1, "the pass has ended before");
    }

    /// The loss without an end, which stayed in the list, covered the absence, so the report counted the xruns only.
    #[test]
    fn the_absence_of_an_input_counts_as_lost_also_if_more_was_lost_than_the_audio_thread_has_kept() {
        for xruns in [10_u64, 70] {
            let (mut session, mut take) = RecordingTake::example();
            let mut log = LossLog::default();
            for number in 0..xruns {
                let (at, frames) = (FramePos(100 * number), Frames(10));
                log.add(LossMark { at, frames, cause: Some(LossCause::Xrun) });
                session.list_loss(take.id, at, frames, &LossCause::Xrun.to_string()).unwrap();
            }
            let mut absent = AbsentInputs::default();
            absent.change(FramePos(8_000), 0);
            session.list_open_loss(take.id, FramePos(8_000), &cause_of_absence(0)).unwrap();
            take.lost = Frames(10 * xruns);
            list_losses_of(&mut session, &take, [&log, &LossLog::default()], Frames(10_000));
            list_absence_of(&mut session, &mut take, &absent, Frames(10_000));
            let wanted = Frames(10 * xruns + 2_000);
            assert_eq!((take.lost, session.frames_lost_of(take.id)), (wanted, wanted), "{xruns} xruns");
        }
    }

    #[test]
    fn an_absence_that_lasts_ends_with_a_pass_that_the_audio_thread_has_taken_along() {
        let (mut session, mut take) = RecordingTake::example();
        let mut absent = AbsentInputs::default();
        absent.change(FramePos(8_000), 0);
        session.list_open_loss(take.id, FramePos(8_000), &cause_of_absence(0)).unwrap();
        list_absence_of(&mut session, &mut take, &absent, Frames(10_000));
        assert_eq!((take.lost, session.frames_lost_of(take.id)), (Frames(2_000), Frames(2_000)));
        // The device went away at the last frame.
        list_absence_of(&mut session, &mut take, &absent, Frames(8_000));
        assert_eq!(session.frames_lost_of(take.id), Frames(0));
    }
}
