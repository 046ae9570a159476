//! Lists the losses of a pass that was cut off in the session. Thread: any that may wait for the disk.

use super::CutTake;
use super::messages::cause_of_absence;
use super::page_losses::losses_of;
use super::recover_pass::PassOutcome;
use super::replica::Replica;
use crate::session::Session;
use crate::time::{FramePos, Frames};

/// Writes the silence of inputs that the device did not have any more into a take. Returns its frames, without those that
/// were listed already.
pub(super) fn note_absent_inputs(session: &mut Session, cut: &CutTake, outcome: &PassOutcome) -> Frames {
    let (id, first) = (cut.take.id, FramePos(cut.take.offset.0));
    let last = first + cut.frames(outcome.frames);
    let before = session.frames_lost_of(id);
    for absence in &outcome.progress.absences {
        let Some(input) = absence.missing_of(cut.take.inputs.iter().map(|input| u64::from(*input))) else { continue };
        let (at, end) = (absence.from.max(first), absence.until.map_or(last, |until| until.min(last)));
        if at < end {
            session.list_loss(id, FramePos(at.since(first).0), end.since(at), &cause_of_absence(input)).ok();
        }
    }
    session.frames_lost_of(id) - before
}

/// Writes the losses that the progress page of the pass has into a take.
pub(super) fn note_known_losses(session: &mut Session, cut: &CutTake, outcome: &PassOutcome) {
    let (id, progress) = (cut.take.id, &outcome.progress);
    let (first, frames) = (FramePos(cut.take.offset.0), cut.frames(outcome.frames));
    for loss in losses_of(progress, cut.first) {
        let (at, end) = (loss.at.max(first), (loss.at + loss.frames).min(first + frames));
        if at < end {
            session.list_loss(id, FramePos(at.since(first).0), end.since(at), &loss.cause).ok();
        }
    }
    session.raise_unlisted_losses(id, progress.losses.saturating_sub(progress.marks.len() as u64)).ok();
}

/// Writes losses that an earlier file of the take lists behind its end into a take, as far as this take has only the sound of
/// that file there. The earlier file is cut, and forgets them.
pub(super) fn note_losses_of_earlier(session: &mut Session, cut: &CutTake, cut_takes: &[CutTake], pass_frames: Frames) {
    let begin = FramePos(cut.take.offset.0);
    let (first, last) = (cut.wav.own_end().max(begin), begin + cut.frames(pass_frames));
    let is_earlier = |it: &&CutTake| it.first == cut.first && it.take.offset < cut.take.offset;
    for earlier in cut_takes.iter().filter(is_earlier).filter(|it| it.claim_behind_next().is_some()) {
        let losses = session.take(earlier.take.id).map(|take| take.losses.clone()).unwrap_or_default();
        for loss in losses {
            let at = loss.at + earlier.take.offset;
            let (at, end) = (at.max(first), (at + loss.frames).min(last));
            if at < end {
                session.list_loss(cut.take.id, FramePos(at.since(begin).0), end.since(at), &loss.cause).ok();
            }
        }
    }
}

/// Writes sound that is neither in the file nor in memory into a take. Returns its frames.
pub(super) fn note_missing(session: &mut Session, cut: &CutTake, outcome: &PassOutcome) -> Frames {
    let (id, frames) = (cut.take.id, cut.frames(outcome.frames));
    let before = session.frames_lost_of(id);
    let listed = session.take(id).map(|take| take.losses.clone()).unwrap_or_default();
    for (at, frames) in cut.wav.lost_by_others(frames, cut.spool.as_ref()).unwrap_or_default() {
        session.list_loss(id, FramePos(at.0), frames, "another program changed the file").ok();
    }
    let (lost, cause) = match &cut.spool {
        Some(spool) => (
            cut.wav.missing(frames, spool, cut.mirror.as_ref().and_then(Replica::copied)),
            "neither on the disk nor in memory",
        ),
        None if outcome.all_on_disk => return session.frames_lost_of(id) - before,
        None => (cut.wav.lost_without_memory(frames, &listed), "what was in memory is gone"),
    };
    for (at, frames) in lost.unwrap_or_default() {
        session.list_loss(id, FramePos(at.0), frames, cause).ok();
    }
    session.frames_lost_of(id) - before
}
