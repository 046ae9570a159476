//! The overflow folder: takes whose disk is full or fails continue there, in another file. Thread: control.

use super::Control;
use super::companion::Companion;
use super::pass::RecordingTake;
use crate::message::disk::{CommitCommand, Continuation, TakeKey, TakePlan};
use crate::session::TakeId;
use crate::time::{FramePos, Frames};
use std::path::Path;
use uuid::Uuid;

/// Bytes from which on a refusal for a file's size is the file system's (4 GiB on FAT): the take goes on in another file.
const LARGE_FILE_BYTES: u64 = 1 << 30;

/// A take on its way into another file.
pub(super) struct PlannedContinuation {
    id: TakeId,
    plan: TakePlan,
    /// The revision of the session that lists it.
    listed_by: u64,
    sent: bool,
}

/// A file that a take was in before, and the frame of the pass at which it ends.
pub(super) struct EarlierFile {
    pub(super) id: TakeId,
    pub(super) end: Frames,
    pub(super) trouble: Option<String>,
}

impl Control {
    /// Has takes go on in `dir` when their disk is full or fails; those too that wait for room now.
    pub fn set_overflow(&mut self, dir: Option<&Path>) {
        if self.companions.overflow.as_ref().map(|overflow| overflow.requested.as_path()) != dir && !self.is_read_only()
        {
            self.companions.earlier_overflows.extend(self.companions.overflow.take());
            self.companions.overflow = dir.and_then(|dir| Companion::start(dir, &self.folder, &self.session));
        }
    }

    /// The same for the folder in which takes go on.
    pub fn overflow(&self) -> Option<Result<&Path, &str>> {
        let overflow = self.companions.overflow.as_ref();
        overflow.and_then(|it| it.folder.as_ref()).map(|it| it.as_deref().map_err(String::as_str))
    }

    pub(super) fn take_refused(&mut self, key: TakeKey, from: Frames, code: Option<i32>) {
        if let Some(take) = self.pass_take(key) {
            take.refused = Some((from, code));
        }
    }

    pub(super) fn clear_refusals(&mut self) {
        for take in self.pass.iter_mut().flat_map(|run| &mut run.takes).filter(|take| take.continuation.is_none()) {
            take.refused = None;
        }
    }

    fn pass_take(&mut self, key: TakeKey) -> Option<&mut RecordingTake> {
        self.pass.as_mut()?.takes.iter_mut().find(|take| take.plan.key == key)
    }

    /// Lists the takes in which stuck ones go on, and sends them there once the session on a disk lists them.
    pub(super) fn continue_refused_takes(&mut self) {
        self.list_continuations();
        let saved = self.saved_revision();
        let copied = self.companions.overflow.as_ref().map_or(u64::MAX, |it| it.saver.saved());
        let Some(run) = &mut self.pass else { return };
        for take in &mut run.takes {
            let (key, Some((from, _)), Some(continuation)) = (take.plan.key, take.refused, &mut take.continuation)
            else {
                continue;
            };
            if continuation.listed_by <= saved.max(copied) && !std::mem::replace(&mut continuation.sent, true) {
                let command = CommitCommand::Continue { take: key, from, plan: Box::new(continuation.plan.clone()) };
                continuation.sent = self.running.commit.try_send(command).is_ok();
            }
        }
    }

    fn list_continuations(&mut self) {
        let overflow = self.companions.overflow.as_ref().and_then(Companion::open_folder).map(Path::to_owned);
        let Some(run) = &mut self.pass else { return };
        let ready = |take: &RecordingTake| {
            let too_large = take.refused.is_some_and(|(from, code)| {
                let bytes = (from - take.offset()).0 * take.plan.frame_bytes() as u64;
                code == Some(libc::EFBIG) && LARGE_FILE_BYTES <= bytes
            });
            take.refused.is_some() && take.continuation.is_none() && (overflow.is_some() || too_large)
        };
        if !run.takes.iter().any(&ready) {
            return;
        }
        let mut names = self.session.taken_names();
        self.file_names_found.iter().for_each(|name| names.insert(name));
        let mut listed = Vec::new();
        for (index, take) in run.takes.iter_mut().enumerate().filter(|(_, take)| ready(take)) {
            let Some((from, _)) = take.refused else { continue };
            let identity = Uuid::new_v4();
            let folder = overflow.as_ref().map(|folder| folder.display().to_string());
            let Ok(id) = self.session.continue_take(take.id, identity, from, folder, &mut names) else { continue };
            let Some(new) = self.session.take(id) else { continue };
            let mut plan = TakePlan { identity, path: self.folder.join(new.path()), ..take.plan.clone() };
            plan.header.bext.originator_reference = identity.simple().to_string();
            plan.header.bext.time_reference = new.start.0;
            take.continuation = Some(PlannedContinuation { id, plan, listed_by: u64::MAX, sent: false });
            listed.push(index);
        }
        self.save();
        let revision = self.revision;
        for take in self
            .pass
            .iter_mut()
            .flat_map(|run| &mut run.takes)
            .filter(|take| !listed.is_empty() && take.refused.is_some())
        {
            if let Some(continuation) =
                take.continuation.as_mut().filter(|continuation| continuation.listed_by == u64::MAX)
            {
                continuation.listed_by = revision;
            }
        }
    }

    pub(super) fn take_continued(&mut self, key: TakeKey, outcome: Continuation) {
        let Some(take) = self.pass_take(key) else { return };
        let (Some(continuation), Some((from, _))) = (take.continuation.take(), take.refused.take()) else { return };
        match outcome {
            Continuation::Done(trouble) => {
                let old = std::mem::replace(&mut take.id, continuation.id);
                take.earlier_files.push(EarlierFile { id: old, end: from, trouble });
                let folder =
                    continuation.plan.path.parent().map_or_else(String::new, |folder| folder.display().to_string());
                take.plan.path = continuation.plan.path;
                // Once for all takes of a pass.
                let announced =
                    self.pass.as_mut().is_none_or(|run| std::mem::replace(&mut run.continuation_announced, true));
                if !announced {
                    self.info(format!("{folder}: takes go on here, without a gap"));
                }
            }
            Continuation::Needless => self.forget_continuation(&continuation),
            Continuation::Refused(reason) => {
                self.forget_continuation(&continuation);
                // The same folder would refuse again: another one can be named.
                if let Some(overflow) = &mut self.companions.overflow {
                    overflow.folder = Some(Err(reason.clone()));
                }
                self.caution(format!("{reason}; name another folder"));
            }
        }
    }

    /// The take stays where it is: the one that was listed for it never began.
    fn forget_continuation(&mut self, continuation: &PlannedContinuation) {
        self.session.forget_take(continuation.id).ok();
        self.save();
    }
}

impl RecordingTake {
    /// Frames of the pass before the file that it is in now.
    pub(super) fn offset(&self) -> Frames {
        self.earlier_files.last().map_or(Frames(0), |file| file.end)
    }

    /// What is wrong with the file that it was in as a take, if something is.
    pub(super) fn trouble_of(&self, id: TakeId) -> Option<String> {
        let file = self.earlier_files.iter().find(|file| file.id == id);
        file.map_or(&self.trouble, |file| &file.trouble).clone()
    }

    /// The takes that it is in: each with its first frame of the pass and the one after its last, when the pass has `frames`.
    pub(super) fn spans(&self, frames: Frames) -> Vec<(TakeId, FramePos, FramePos)> {
        let mut at = FramePos(0);
        let ends = self.earlier_files.iter().map(|file| (file.id, file.end)).chain([(self.id, frames)]);
        ends.map(|(id, end)| (id, std::mem::replace(&mut at, FramePos(end.0)), FramePos(end.0))).collect()
    }
}
