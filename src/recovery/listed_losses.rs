//! The losses that a recovery lists in the session, and those that it removes. Thread: any that may wait for the disk.

use super::CutTake;
use super::damage::zero_runs;
use super::evidence::Extent;
use super::lost_ranges::ZERO_FRAMES_LEAST;
use super::messages::cause_of_absence;
use super::page_losses::losses_of;
use super::ranges::without;
use super::recover_pass::{PassOutcome, first_take_of_track};
use super::replica::Replica;
use super::take_wav::TakeWav;
use crate::limits::DATA_OFFSET;
use crate::session::losses::{CHANGED, MEMORY_GONE, MISSING};
use crate::session::{Loss, Session, Take, TakeState};
use crate::time::{FramePos, Frames};
use std::io;
use uuid::Uuid;

/// The frames that the device lost in a pass. Without the progress page, only the session knows them: the most that it lists for
/// a track, without those that a recovery did not find, and without the `absent` ones of inputs.
pub(super) fn lost_by_device(
    session: &Session,
    cut_takes: &[CutTake],
    outcome: &PassOutcome,
    absent: Frames,
) -> Frames {
    if outcome.progress.lost + outcome.progress.overrun > Frames(0) {
        return outcome.progress.lost;
    }
    // Another file of the take may have ended in order before the program was killed.
    let of_track = |cut: &CutTake| {
        let files = session.takes().iter().filter(|take| (take.pass, take.track) == (cut.take.pass, cut.take.track));
        let losses = files.flat_map(|take| &take.losses).filter(|loss| !loss.is_not_found());
        Frames(losses.map(|loss| loss.frames.0).sum())
    };
    cut_takes.iter().map(of_track).max().unwrap_or_default() - absent
}

/// Removes the losses of an earlier recovery from a take as far as the mirror has given their sound back since. What is zeros in
/// the file stays listed, unless the mirror vouches for that silence and no other program has changed the file.
pub(super) fn forget_filled_losses(session: &mut Session, cut: &CutTake) {
    let Some(mirror) = cut.mirror.as_ref().and_then(Replica::copied) else { return };
    let Some(take) = session.take(cut.take.id).filter(|take| take.losses.iter().any(Loss::is_not_found)) else {
        return;
    };
    let (id, losses) = (take.id, take.losses.clone());
    session.list_instead(id, losses.into_iter().flat_map(|loss| rest_of(loss, &cut.wav, mirror))).ok();
}

/// Removes losses of an earlier recovery from a take as far as memory has their sound. That recovery was stopped, and did not see
/// the memory.
pub(super) fn forget_losses_in_memory(session: &mut Session, cut: &CutTake, outcome: &PassOutcome) -> io::Result<()> {
    let id = cut.take.id;
    let losses = session.take(id).map(|take| take.losses.clone()).unwrap_or_default();
    if cut.spool.is_none() || !losses.iter().any(Loss::is_of_recovery) {
        return Ok(());
    }
    let (wav, frame_bytes) = (&cut.wav, cut.wav.frame_bytes());
    let in_memory = wav.in_memory(cut.frames(outcome.frames), cut.spool.as_ref())?;
    let byte = |at: u64| DATA_OFFSET + at * frame_bytes;
    let rest = losses.into_iter().flat_map(|loss| {
        if !loss.is_of_recovery() {
            return vec![loss];
        }
        let range = (byte(loss.at.0), byte(loss.at.0 + loss.frames.0));
        let parts = wav.in_frames(without(vec![range], in_memory.iter().copied())).into_iter();
        parts.map(|(at, frames)| Loss { at: FramePos(at.0), frames, cause: loss.cause.clone() }).collect()
    });
    session.list_instead(id, rest.collect::<Vec<_>>()).ok();
    Ok(())
}

/// Writes the losses that the copy of the session in a mirror lists for a file of a take into the session. `first`: the first
/// file of the take, whose replica has all of it. `until`: the end of this file, as a position in the pass.
///
/// The losses of a take that the copy calls recovered are those of the mirror's file alone, found by a recovery of the mirror.
pub(super) fn note_losses_of_copy(session: &mut Session, copy: &Session, take: &Take, first: Uuid, until: FramePos) {
    let Some(listed) = copy.takes().iter().find(|take| take.uuid == first) else { return };
    let begin = FramePos(take.offset.0);
    // The copy lists a loss in the take of the file that has it.
    let files = copy.takes().iter().filter(|take| take.pass == listed.pass && take.track == listed.track);
    let files = files.filter(|take| take.state != TakeState::Recovered);
    let same = files.clone().find(|file| file.uuid == take.uuid);
    session.raise_unlisted_losses(take.id, same.map_or(0, |take| take.losses_unlisted)).ok();
    // A recovery of the mirror that was stopped has listed what it did not find in the mirror's file.
    let losses = files.flat_map(|file| file.losses.iter().map(|loss| (loss, file.offset)));
    for (loss, offset) in losses.filter(|(loss, _)| !loss.is_of_recovery()) {
        let at = loss.at + offset;
        let (at, end) = (at.max(begin), (at + loss.frames).min(until));
        if at < end {
            let (at, frames) = (FramePos(at.since(begin).0), end.since(at));
            let known = Loss { at, frames, cause: loss.cause.clone() };
            // The session has the end of a loss that lasts in an older copy, and maybe in an earlier file of the take.
            let of_take = |mine: &&Take| (mine.pass, mine.track) == (take.pass, take.track);
            let is_same = |mine: &Take, its: &Loss| its.at + mine.offset == loss.at + offset && its.cause == loss.cause;
            let has_end = |mine: &Take, its: &Loss| {
                let is_here = mine.id == take.id && (its.at, &its.cause) == (known.at, &known.cause);
                is_here || (is_same(mine, its) && its.at + mine.offset + its.frames < begin)
            };
            let has_ended = |mine: &Take| mine.losses.iter().any(|its| has_end(mine, its));
            let is_ended = loss.lasts() && session.takes().iter().filter(of_take).any(has_ended);
            if !is_ended {
                session.list_known_loss(take.id, &known).ok();
            }
        }
    }
}

/// The parts of a loss that the file still lacks. A file that cannot be read lacks all of it.
fn rest_of(loss: Loss, wav: &TakeWav, mirror: &TakeWav) -> Vec<Loss> {
    if !loss.is_not_found() {
        return vec![loss];
    }
    let byte = |frame: Frames| DATA_OFFSET + wav.bytes_of(frame);
    let (at, end) = (Frames(loss.at.0), Frames(loss.at.0) + loss.frames);
    let Ok(zeros) = zero_runs(&wav.file, byte(at), byte(end), wav.frame_bytes()) else { return vec![loss] };
    // At its edges the loss may continue in a shorter run.
    let is_lost =
        |run: &Extent| wav.bytes_of(ZERO_FRAMES_LEAST) <= run.1 - run.0 || run.0 == byte(at) || run.1 == byte(end);
    let zeros: Vec<Extent> = zeros.into_iter().filter(is_lost).collect();
    let vouched = wav.frames_here(mirror.vouched()).clamp(at, end);
    let theirs = |frame: Frames| byte(frame) + wav.offset_bytes();
    let silence = zero_runs(&mirror.file, theirs(at), theirs(vouched), wav.frame_bytes()).unwrap_or_default();
    let silence = silence.into_iter().map(|(from, to)| (from - wav.offset_bytes(), to - wav.offset_bytes()));
    // A frame that is zero only in part is sound.
    let (first, last) = (|at: u64| at.div_ceil(wav.frame_bytes()), |at: u64| at / wav.frame_bytes());
    let rest = without(zeros, silence).into_iter();
    let rest = rest.map(|(from, to)| (first(from - DATA_OFFSET), last(to - DATA_OFFSET)));
    rest.filter(|(from, to)| from < to)
        .map(|(from, to)| Loss { at: FramePos(from), frames: Frames(to - from), cause: loss.cause.clone() })
        .collect()
}

/// Writes the losses that the progress page of a pass has into all of its takes that were cut off. A take whose file cannot be
/// opened needs them too: a later recovery of it may not have the page any more. Returns the most frames that were not listed
/// before, in which the input of a take of `cut_takes` was absent.
pub(super) fn note_progress_page(session: &mut Session, cut_takes: &[CutTake], outcome: &PassOutcome) -> Frames {
    let Some(pass) = cut_takes.first().map(|cut| cut.take.pass) else { return Frames(0) };
    let takes: Vec<Take> = session.takes().iter().filter(|take| take.pass == pass).cloned().collect();
    let mut absent = Frames(0);
    for take in takes.iter().filter(|take| take.state == TakeState::Recording) {
        note_known_losses(session, take, first_take_of_track(&takes, take).uuid, outcome);
        let frames = note_absent_inputs(session, take, outcome);
        if cut_takes.iter().any(|cut| cut.take.id == take.id) {
            absent = absent.max(frames);
        }
    }
    absent
}

/// The end of the file of a take, as a position in the pass.
fn end_of(session: &Session, take: &Take, outcome: &PassOutcome) -> FramePos {
    let next = session.continuation_of(take).map(|next| next.offset.min(outcome.frames));
    FramePos(next.unwrap_or(outcome.frames).0)
}

/// Writes the silence of inputs that the device did not have any more into a take. Returns its frames, without those that
/// were listed already.
fn note_absent_inputs(session: &mut Session, take: &Take, outcome: &PassOutcome) -> Frames {
    let (id, first) = (take.id, FramePos(take.offset.0));
    let last = end_of(session, take, outcome);
    let before = session.frames_lost_of(id);
    for absence in &outcome.progress.absences {
        let Some(input) = absence.missing_of(take.inputs.iter().map(|input| u64::from(*input))) else { continue };
        let (at, end) = (absence.from.max(first), absence.until.map_or(last, |until| until.min(last)));
        if at < end {
            session.list_loss(id, FramePos(at.since(first).0), end.since(at), &cause_of_absence(input)).ok();
        }
    }
    session.frames_lost_of(id) - before
}

/// Writes the losses that the progress page of the pass has into a take. `first`: the first file of the take.
fn note_known_losses(session: &mut Session, take: &Take, first: Uuid, outcome: &PassOutcome) {
    let (id, progress) = (take.id, &outcome.progress);
    let (begin, until) = (FramePos(take.offset.0), end_of(session, take, outcome));
    for loss in losses_of(progress, first) {
        let (at, end) = (loss.at.max(begin), (loss.at + loss.frames).min(until));
        if at < end {
            session.list_loss(id, FramePos(at.since(begin).0), end.since(at), &loss.cause).ok();
        }
    }
    session.raise_unlisted_losses(id, progress.losses.saturating_sub(progress.marks.len() as u64)).ok();
}

/// Writes losses that an earlier file of a take lists behind its end into the file that has the place. The earlier file is cut, and
/// forgets them. What the device lost is lost in whichever file has the place: the list may have been saved before the take
/// continued. What an earlier recovery did not find is lost as far as a file has only the sound of the earlier one there.
///
/// A loss that lasts may have ended in the next file: the progress page, or a later copy of the session, knows where.
pub(super) fn note_losses_of_earlier(session: &mut Session, cut_takes: &[CutTake], outcome: &PassOutcome) {
    for (cut, earlier) in cut_takes.iter().flat_map(|cut| cut_takes.iter().map(move |it| (cut, it))) {
        if earlier.first != cut.first || cut.take.offset <= earlier.take.offset {
            continue;
        }
        let begin = FramePos(cut.take.offset.0);
        let (own_end, last) = (cut.wav.own_end().max(begin), begin + cut.frames(outcome.frames));
        let losses = session.take(earlier.take.id).map(|take| take.losses.clone()).unwrap_or_default();
        let here = session.take(cut.take.id).map(|take| take.losses.clone()).unwrap_or_default();
        let has_ended = |loss: &Loss| {
            loss.lasts()
                && (!outcome.progress.absences.is_empty() || here.iter().any(|known| known.cause == loss.cause))
        };
        for loss in losses.into_iter().filter(|loss| !has_ended(loss)) {
            let first = match loss.is_not_found() {
                false => begin,
                true if earlier.claim_behind_next().is_some() => own_end,
                true => continue,
            };
            let at = loss.at + earlier.take.offset;
            let (at, end) = (at.max(first), (at + loss.frames).min(last));
            if at < end {
                session.list_loss(cut.take.id, FramePos(at.since(begin).0), end.since(at), &loss.cause).ok();
            }
        }
    }
}

/// Raises the number of losses without a place if the header of a take that has ended tells of more lost frames than the session
/// lists: the user may have restored a session.json that is older than the last losses.
fn note_losses_of_header(session: &mut Session, cut: &CutTake) {
    let files = session.takes().iter().filter(|take| (take.pass, take.track) == (cut.take.pass, cut.take.track));
    let known = files.flat_map(|take| &take.losses).filter(|loss| !loss.is_not_found());
    let known = Frames(known.map(|loss| loss.frames.0).sum());
    if cut.wav.lost_by_header().is_some_and(|lost| known < lost) {
        session.raise_unlisted_losses(cut.take.id, 1).ok();
    }
}

/// Writes sound that is neither in the file nor in memory into a take. Returns the frames of such losses that the take has now: an
/// earlier recovery that was killed before it told them may have listed some.
pub(super) fn note_missing(session: &mut Session, cut: &CutTake, outcome: &PassOutcome) -> io::Result<Frames> {
    let (id, frames) = (cut.take.id, cut.frames(outcome.frames));
    note_losses_of_header(session, cut);
    let unlisted_of = |session: &Session| session.take(id).map_or(0, |take| take.losses_unlisted);
    let (listed, unlisted) =
        (session.take(id).map(|take| take.losses.clone()).unwrap_or_default(), unlisted_of(session));
    for (at, frames) in cut.wav.lost_by_others(frames, cut.spool.as_ref())? {
        session.list_loss(id, FramePos(at.0), frames, CHANGED).ok();
    }
    let mirror = cut.mirror.as_ref().and_then(Replica::copied);
    let (lost, cause) = match &cut.spool {
        Some(spool) => (cut.wav.missing(frames, spool, &listed, mirror)?, MISSING),
        None if outcome.all_on_disk => (Vec::new(), MISSING),
        None => (cut.wav.lost_without_memory(frames, &listed, mirror), MEMORY_GONE),
    };
    for (at, frames) in lost {
        session.list_loss(id, FramePos(at.0), frames, cause).ok();
    }
    // A recovery that was stopped has counted the same losses, for which the list has no room. They are not counted again.
    let without_room = unlisted_of(session) - unlisted;
    session.set_unlisted_losses(id, unlisted.max(without_room)).map_err(io::Error::other)?;
    // A loss behind the end of the file belongs to the next one.
    let here = |loss: &Loss| loss.frames.min(frames - Frames(loss.at.0));
    let losses = session.take(id).map_or(&[][..], |take| &take.losses);
    Ok(Frames(losses.iter().filter(|loss| loss.is_not_found()).map(|loss| here(loss).0).sum()))
}
