//! The overflow folder: takes whose disk is full or fails continue there, in another file. Thread: control.

use super::Control;
use super::companion::Companion;
use super::pass::PassTake;
use crate::message::disk::{CommitCommand, Continuation, TakeKey, TakePlan};
use crate::session::TakeId;
use crate::time::{FramePos, Frames};
use std::path::Path;
use uuid::Uuid;

/// Bytes from which on a refusal for a file's size is the file system's (4 GiB on FAT): the take goes on in another file.
const LARGE_FILE_BYTES: u64 = 1 << 30;

/// A take on its way into another file.
pub(super) struct Next {
    id: TakeId,
    plan: TakePlan,
    /// The revision of the session that lists it.
    listed_by: u64,
    sent: bool,
}

/// A file that a take was in before, and the frame of the pass at which it ends.
pub(super) struct Part {
    pub(super) id: TakeId,
    pub(super) end: Frames,
    pub(super) trouble: Option<String>,
}

impl Control {
    /// Has takes go on in `dir` when their disk is full or fails; those too that wait for room now.
    pub fn set_overflow(&mut self, dir: Option<&Path>) {
        if self.elsewhere.overflow.as_ref().map(|overflow| overflow.named.as_path()) != dir && !self.is_read_only() {
            self.elsewhere.former.extend(self.elsewhere.overflow.take());
            self.elsewhere.overflow = dir.and_then(|dir| Companion::start(dir, &self.folder, &self.session));
        }
    }

    /// The same for the folder in which takes go on.
    pub fn overflow(&self) -> Option<Result<&Path, &str>> {
        let overflow = self.elsewhere.overflow.as_ref();
        overflow.and_then(|it| it.folder.as_ref()).map(|it| it.as_deref().map_err(String::as_str))
    }

    pub(super) fn take_stuck(&mut self, key: TakeKey, from: Frames, code: Option<i32>) {
        if let Some(take) = self.pass_take(key) {
            take.stuck = Some((from, code));
        }
    }

    pub(super) fn nobody_is_stuck(&mut self) {
        for take in self.pass.iter_mut().flat_map(|run| &mut run.takes).filter(|take| take.next.is_none()) {
            take.stuck = None;
        }
    }

    fn pass_take(&mut self, key: TakeKey) -> Option<&mut PassTake> {
        self.pass.as_mut()?.takes.iter_mut().find(|take| take.plan.key == key)
    }

    /// Lists the takes in which stuck ones go on, and sends them there once the session on a disk lists them.
    pub(super) fn continue_stuck(&mut self) {
        self.list_continued();
        let saved = self.saved_revision();
        let copied = self.elsewhere.overflow.as_ref().map_or(u64::MAX, |it| it.saver.saved());
        let Some(run) = &mut self.pass else { return };
        for take in &mut run.takes {
            let (key, Some((from, _)), Some(next)) = (take.plan.key, take.stuck, &mut take.next) else { continue };
            if next.listed_by <= saved.max(copied) && !std::mem::replace(&mut next.sent, true) {
                let command = CommitCommand::Continue { take: key, from, plan: Box::new(next.plan.clone()) };
                next.sent = self.running.commit.try_send(command).is_ok();
            }
        }
    }

    fn list_continued(&mut self) {
        let overflow = self.elsewhere.overflow.as_ref().and_then(Companion::open).map(Path::to_owned);
        let Some(run) = &mut self.pass else { return };
        let ready = |take: &PassTake| {
            let too_large = take.stuck.is_some_and(|(from, code)| {
                let bytes = (from - take.offset()).0 * take.plan.frame_bytes() as u64;
                code == Some(libc::EFBIG) && LARGE_FILE_BYTES <= bytes
            });
            take.stuck.is_some() && take.next.is_none() && (overflow.is_some() || too_large)
        };
        if !run.takes.iter().any(&ready) {
            return;
        }
        let mut names = self.session.taken_names();
        self.names_found.iter().for_each(|name| names.insert(name));
        let mut listed = Vec::new();
        for (index, take) in run.takes.iter_mut().enumerate().filter(|(_, take)| ready(take)) {
            let Some((from, _)) = take.stuck else { continue };
            let identity = Uuid::new_v4();
            let folder = overflow.as_ref().map(|folder| folder.display().to_string());
            let Ok(id) = self.session.continue_take(take.id, identity, from, folder, &mut names) else { continue };
            let Some(new) = self.session.take(id) else { continue };
            let mut plan = TakePlan { identity, path: self.folder.join(new.path()), ..take.plan.clone() };
            plan.header.bext.originator_reference = identity.simple().to_string();
            plan.header.bext.time_reference = new.start.0;
            take.next = Some(Next { id, plan, listed_by: u64::MAX, sent: false });
            listed.push(index);
        }
        self.save();
        let revision = self.revision;
        for take in self
            .pass
            .iter_mut()
            .flat_map(|run| &mut run.takes)
            .filter(|take| !listed.is_empty() && take.stuck.is_some())
        {
            if let Some(next) = take.next.as_mut().filter(|next| next.listed_by == u64::MAX) {
                next.listed_by = revision;
            }
        }
    }

    pub(super) fn take_continued(&mut self, key: TakeKey, outcome: Continuation) {
        let Some(take) = self.pass_take(key) else { return };
        let (Some(next), Some((from, _))) = (take.next.take(), take.stuck.take()) else { return };
        match outcome {
            Continuation::Done(trouble) => {
                let old = std::mem::replace(&mut take.id, next.id);
                take.parts.push(Part { id: old, end: from, trouble });
                let folder = next.plan.path.parent().map_or_else(String::new, |folder| folder.display().to_string());
                take.plan.path = next.plan.path;
                // Once for all takes of a pass.
                let told = self.pass.as_mut().is_none_or(|run| std::mem::replace(&mut run.elsewhere_told, true));
                if !told {
                    self.info(format!("{folder}: takes go on here, without a gap"));
                }
            }
            Continuation::Needless => self.forget_next(&next),
            Continuation::Refused(reason) => {
                self.forget_next(&next);
                // The same folder would refuse again: another one can be named.
                if let Some(overflow) = &mut self.elsewhere.overflow {
                    overflow.folder = Some(Err(reason.clone()));
                }
                self.caution(format!("{reason}; name another folder"));
            }
        }
    }

    /// The take stays where it is: the one that was listed for it never began.
    fn forget_next(&mut self, next: &Next) {
        self.session.forget_take(next.id).ok();
        self.save();
    }
}

impl PassTake {
    /// Frames of the pass before the file that it is in now.
    pub(super) fn offset(&self) -> Frames {
        self.parts.last().map_or(Frames(0), |part| part.end)
    }

    /// What is wrong with the file that it was in as a take, if something is.
    pub(super) fn trouble_of(&self, id: TakeId) -> Option<String> {
        let part = self.parts.iter().find(|part| part.id == id);
        part.map_or(&self.trouble, |part| &part.trouble).clone()
    }

    /// The takes that it is in: each with its first frame of the pass and the one after its last, when the pass has `frames`.
    pub(super) fn spans(&self, frames: Frames) -> Vec<(TakeId, FramePos, FramePos)> {
        let mut at = FramePos(0);
        let ends = self.parts.iter().map(|part| (part.id, part.end)).chain([(self.id, frames)]);
        ends.map(|(id, end)| (id, std::mem::replace(&mut at, FramePos(end.0)), FramePos(end.0))).collect()
    }
}
