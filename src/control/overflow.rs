//! The overflow folder: a take whose disk is full or fails continues there in another file, its continuation.
//! Thread: control.
//!
//! ```text
//!   committer: Stuck -> take_refused -> list_continuations: a second take in session.json
//!                                    -> continue_refused_takes, once that is durable: Continue -> committer
//!   committer: Continued -> take_continued: the take is in the next file, or is listed again for another frame
//!   committer: EarlierFileFinished -> earlier_file_finished
//! ```
//!
//! A disk that refuses a take may accept some of its sound a moment later. The listed file then begins at the wrong
//! frame. Control drops such a listing and makes another one, and the committer refuses it.
//!
//! A take that several files of a folder have refused at the same frame stays where it is until another folder is named.
//!
//! A take on FAT that reaches 4 GiB continues the same way in another file of the session's own folder.

use super::Control;
use super::companion::Companion;
use super::recording::{Placement, PlacementEffect, PlacementEvent, RecordingTake, Refusal, has_name_of};
use crate::butler::capabilities::CapturePath;
use crate::host;
use crate::message::disk::{CommitCommand, Continuation, FilesRefused};
use crate::message::take::{ContinuationPlan, TakeKey, TakePlan};
use crate::session::names::SESSION_FILE;
use crate::session::{Session, TakeId};
use crate::time::{FramePos, Frames};
use std::path::Path;

/// Bytes from which a size limit counts as that of the file system (4 GiB on FAT). Then another file on the same disk helps. A
/// smaller limit is that of the process (`ulimit -f`), and another file would end as early. It is less than 1 GiB, because the
/// sound before a limit of 1 GiB ends up to a page earlier. A simulated recording is short, and so are the largest files there.
fn large_file_bytes() -> u64 {
    if host::is_simulated() { 1 << 13 } else { 1_000_000_000 }
}

/// Files of one take that are tried in one folder without a frame in any of them. Another one would be refused too, whatever
/// the cause, and each of them delays the moment at which the committer gives an ended take up.
const EMPTY_FILES_MAX: usize = 3;

/// The next file of a take, as the session lists it.
#[derive(Clone)]
pub(super) struct Listing {
    id: TakeId,
    plan: ContinuationPlan,
}

impl Listing {
    /// The session folder in the overflow folder that gets the file; `None`: it is in the session's own folder.
    fn overflow_folder(&self) -> Option<&Path> {
        self.plan.copy.as_ref()?.parent()
    }
}

/// A file of a take that is complete, because the take has continued in another one.
pub(super) struct EarlierFile {
    pub(super) id: TakeId,
    /// Frames of the pass up to the end of this file.
    pub(super) end: Frames,
    pub(super) trouble: Option<String>,
}

impl Control {
    /// Names the folder in which takes continue when their disk is full or fails. Takes that are refused at this moment
    /// continue there too. `None`: takes wait for their own disk. A folder that was refused is opened again when it is named
    /// again.
    pub fn set_overflow(&mut self, dir: Option<&Path>) {
        if !Companion::is_named(self.companions.overflow.as_ref(), dir) && !self.is_read_only() {
            self.companions.set_overflow(dir, &self.folder, &self.session);
            self.unlist_in_other_folders();
            self.expect_overflow();
        }
    }

    /// Forgets the continuations in a folder that is not the overflow folder any more, as far as the committer has not got
    /// them. Its disk may hang, and the committer would wait for it.
    fn unlist_in_other_folders(&mut self) {
        let overflow = self.companions.overflow.as_ref().and_then(Companion::open_folder);
        let is_elsewhere = |listing: &Listing| listing.overflow_folder().is_some_and(|folder| Some(folder) != overflow);
        for key in self.keys_of(|placement| placement.waits_for_save().is_some_and(is_elsewhere)) {
            self.on_placement_event(key, PlacementEvent::FolderChanged);
        }
    }

    /// Warns that a pass in `in-place` does not use the overflow folder: its windows map the first file of each take.
    pub(super) fn tell_of_unused_overflow(&mut self) {
        let in_place = self.running.setup.capture_path == CapturePath::InPlace;
        if in_place && self.companions.overflow.is_some() {
            self.caution(
                "in-place: takes stay in their own files, and the overflow folder is not used; to use it, choose the \
                 capture path 'spool'"
                    .to_owned(),
            );
        }
    }

    /// Lists the overflow folder in the session before it is open. Opening can take long, and the session's own disk may
    /// fail meanwhile. After a power cut only session.json on that disk leads to takes that continued there.
    fn expect_overflow(&mut self) {
        let expected = self.companions.expected_overflow(&self.folder);
        let new = expected.filter(|folder| self.session.is_new_overflow_folder(folder));
        if let Some(folder) = new.filter(|folder| self.session.remember_overflow_folder(folder.clone())) {
            self.companions.overflow_is_expected(folder);
            self.save_at_once();
        }
    }

    /// The session folder inside the overflow folder, or why it cannot be used. `None`: none is named, or it is being
    /// opened.
    pub fn overflow(&self) -> Option<Result<&Path, &str>> {
        let overflow = self.companions.overflow.as_ref();
        overflow.and_then(|it| it.folder.as_ref()).map(|it| it.as_deref().map_err(String::as_str))
    }

    /// The folder in which takes of the pass continue, because their own disk refused them.
    pub fn continues_in(&self) -> Option<&Path> {
        let moved = self.pass.iter().flat_map(|run| &run.takes).filter(|take| !take.earlier_files.is_empty());
        let mut folders = moved.filter_map(|take| take.plan.path.parent());
        folders.find(|folder| !folder.starts_with(&self.folder))
    }

    /// The disk of a take refuses it from frame `from` of the pass on.
    pub(super) fn take_refused(&mut self, key: TakeKey, from: Frames, is_size_limit: bool) {
        self.on_placement_event(key, PlacementEvent::Stuck(Refusal { from, is_size_limit }));
    }

    /// The session's disk takes sound again.
    pub(super) fn clear_refusals(&mut self) {
        for key in self.keys_of(|placement| placement.unlisted().is_some()) {
            self.on_placement_event(key, PlacementEvent::DiskWorks);
        }
    }

    fn keys_of(&self, is_wanted: impl Fn(&Placement<Listing>) -> bool) -> Vec<TakeKey> {
        let takes = self.pass.iter().flat_map(|run| &run.takes);
        takes.filter(|take| is_wanted(&take.placement)).map(|take| take.plan.key).collect()
    }

    fn pass_take(&mut self, key: TakeKey) -> Option<&mut RecordingTake> {
        self.pass.as_mut()?.takes.iter_mut().find(|take| take.plan.key == key)
    }

    /// Lists a continuation for every take that its disk refuses, and sends it to the committer once a session that
    /// lists it is durable: sound in an unlisted file could not be found after a kill. The saver of the overflow folder has
    /// tried that session too: it finds out that the folder was moved, and makes one again that was removed.
    pub(super) fn continue_refused_takes(&mut self) {
        self.list_continuations();
        let overflow = self.companions.overflow.as_ref().filter(|overflow| overflow.open_folder().is_some());
        let tried = overflow.map_or(u64::MAX, Companion::tried_revision);
        let (durable, recoverable) = (self.durable_revision().min(tried), self.recoverable_revision().min(tried));
        let takes = self.pass.iter().flat_map(|run| &run.takes);
        let waiting =
            takes.filter_map(|take| Some((take.plan.key, take.placement.waits_for_save()?.plan.copy.is_some())));
        for (key, is_in_overflow) in waiting.collect::<Vec<_>>() {
            // The memory of a take names the overflow folder, so its copy of the session is found. A file in the own folder is
            // found only through a session to which the own one leads.
            let saved = if is_in_overflow { durable } else { recoverable };
            self.on_placement_event(key, PlacementEvent::Saved(saved));
        }
    }

    /// Gives the placement of a take an event and carries out what follows from it.
    fn on_placement_event(&mut self, key: TakeKey, event: PlacementEvent<Listing>) {
        let Some(take) = self.pass_take(key) else { return };
        for effect in take.placement.on(event) {
            match effect {
                PlacementEffect::Send(listing) => {
                    let command = CommitCommand::Continue { plan: Box::new(listing.plan) };
                    // A committer that is gone is found by `poll_pass`.
                    self.running.commit.send(command).ok();
                }
                PlacementEffect::Continued(listing) => self.take_is_in_next_file(key, listing),
                // The take stays in its file, and its next file has no frame.
                PlacementEffect::Forget(listing) => {
                    self.session.forget_take(listing.id).ok();
                    self.save();
                }
                PlacementEffect::RefuseFolder { listing, reason } => self.refuse_folder(&listing, &reason),
            }
        }
    }

    /// The next file of a take cannot be made. Its folder is not tried again, unless the user has named another one meanwhile.
    fn refuse_folder(&mut self, listing: &Listing, reason: &str) {
        if let Some(folder) = listing.overflow_folder() {
            let overflow = self.companions.overflow.as_mut().filter(|it| it.open_folder() == Some(folder));
            let Some(overflow) = overflow else { return };
            overflow.folder = Some(Err(reason.to_owned()));
        }
        if self.is_other_notice(reason) {
            self.caution(format!("{reason}; name another folder"));
        }
    }

    /// Adds a take to the session for the next file of every refused take that can continue: an overflow folder is open,
    /// or the file has reached the largest size of the file system.
    fn list_continuations(&mut self) {
        let overflow = self.companions.overflow.as_ref().and_then(Companion::open_folder).map(Path::to_owned);
        let folder = overflow.as_ref().map(|folder| folder.display().to_string());
        let refused = |take: &RecordingTake| {
            let refusal = take.placement.unlisted()?;
            let bytes = (refusal.from - take.offset()).0.saturating_mul(take.plan.frame_bytes() as u64);
            let next_file_helps = refusal.is_size_limit && large_file_bytes() <= bytes;
            let tried = take.empty_files(refusal.from, folder.as_deref(), &self.session);
            (overflow.is_some() || next_file_helps).then_some((take.plan.key, take.id, refusal.from, tried))
        };
        let refused = self.pass.iter().flat_map(|run| &run.takes).filter_map(refused);
        let (waiting, refused): (Vec<_>, Vec<_>) = refused.partition(|(.., tried)| EMPTY_FILES_MAX <= *tried);
        if let (false, Some(folder)) = (waiting.is_empty(), &folder) {
            let text = format!(
                "{folder}: takes were refused here in {EMPTY_FILES_MAX} files each; they wait in memory; name another \
                 overflow folder"
            );
            if self.is_other_notice(&text) {
                self.caution(text);
            }
        }
        if refused.is_empty() {
            return;
        }
        // A continuation has the latency of the take that it continues.
        self.settle_latency();
        let mut names = self.names_in_use();
        let mut listings = Vec::new();
        for (key, id, from, _) in refused {
            let identity = host::new_uuid();
            let Ok(next) = self.session.add_continuation(id, identity, from, folder.clone(), &mut names) else {
                continue;
            };
            let Some(new) = self.session.take(next) else { continue };
            let (path, place) = (self.folder.join(new.path()), new.place());
            let Some(take) = self.pass_take(key) else { continue };
            let mut plan = TakePlan { identity, path, ..take.plan.clone() };
            plan.header.bext.originator_reference = identity.simple().to_string();
            plan.header.bext.time_reference = place.start.0;
            plan.head = Frames(place.take_start.0);
            let copy = overflow.as_ref().map(|folder| folder.join(SESSION_FILE));
            listings.push((key, Listing { id: next, plan: ContinuationPlan { from, take: plan, copy } }));
        }
        self.save_at_once();
        let listed_by = self.session.revision();
        for (key, listing) in listings {
            self.on_placement_event(key, PlacementEvent::Listed { listing, listed_by });
        }
    }

    /// The committer has answered `Continue`. A file of the same name can be one of an older copy of the session. It says
    /// nothing about the folder: the take gets another name.
    pub(super) fn take_continued(&mut self, key: TakeKey, outcome: Continuation) {
        let is_taken = if let Continuation::Refused(FilesRefused { names, .. }) = &outcome {
            let found = self.learn_file_names(names.clone());
            let listing = self.pass_take(key).and_then(|take| take.placement.sent());
            listing.is_some_and(|listing| has_name_of(&found, &listing.plan.take))
        } else {
            false
        };
        let event = if is_taken { PlacementEvent::NameTaken } else { PlacementEvent::Answered(outcome) };
        self.on_placement_event(key, event);
    }

    fn take_is_in_next_file(&mut self, key: TakeKey, Listing { id, plan }: Listing) {
        let Some(take) = self.pass_take(key) else { return };
        let in_old = plan.from - take.offset();
        let old = std::mem::replace(&mut take.id, id);
        take.earlier_files.push(EarlierFile { id: old, end: plan.from, trouble: None });
        let folder = plan.take.path.parent().map_or_else(String::new, |folder| folder.display().to_string());
        take.plan.path = plan.take.path;
        // The latency and the start may be known better since the next file was listed.
        let mut has_losses_behind = false;
        if let Some(before) = self.session.take(old).cloned() {
            has_losses_behind = before.losses.iter().any(|loss| in_old.0 < (loss.at + loss.frames).0);
            self.session.set_take_latency(id, before.latency).ok();
            self.session.set_take_start(id, FramePos(before.start.0.saturating_sub(before.offset.0))).ok();
        }
        // Losses that were reported, or a pass that ended, while the take was refused are listed in the file before.
        self.session.move_losses(old, id, in_old).ok();
        if has_losses_behind {
            // The headers of the next file claim this silence.
            self.losses_listed_in = self.session.revision();
            self.save_at_once();
        }
        if self.is_other_notice(&folder) {
            self.info(format!("{folder}: takes continue here, without a gap"));
        }
    }

    /// Whether the pass has not had this notice last. Remembers it.
    fn is_other_notice(&mut self, text: &str) -> bool {
        let last = self.pass.as_mut().map(|run| std::mem::replace(&mut run.continuation_notice, text.to_owned()));
        last.is_none_or(|last| last != text)
    }

    /// A file before the present one of a take is whole, or was given up.
    pub(super) fn earlier_file_finished(&mut self, key: TakeKey, index: usize, trouble: Option<String>) {
        if let Some(file) = self.pass_take(key).and_then(|take| take.earlier_files.get_mut(index)) {
            file.trouble.clone_from(&trouble);
        }
        if let Some(reason) = trouble {
            self.loss(reason);
        }
    }
}

impl RecordingTake {
    /// The session's take for the first file, with which the pass began.
    pub(super) fn first_file(&self) -> TakeId {
        self.earlier_files.first().map_or(self.id, |file| file.id)
    }

    /// Frames of the pass before the first frame of the present file.
    pub(super) fn offset(&self) -> Frames {
        self.earlier_files.last().map_or(Frames(0), |file| file.end)
    }

    /// Number of files of this take in `folder`, the present one included, that have begun at frame `from` of the pass and
    /// have no frame although the take is refused at `from` again.
    fn empty_files(&self, from: Frames, folder: Option<&str>, session: &Session) -> usize {
        let is_here = |id| session.take(id).is_some_and(|take| take.folder.as_deref() == folder);
        let files = self.spans(from).into_iter().filter(|(_, start, _)| start.0 == from.0);
        files.filter(|(id, ..)| is_here(*id)).count()
    }

    /// The session's takes for the files of this take, the oldest first.
    pub(super) fn file_ids(&self) -> impl Iterator<Item = TakeId> + '_ {
        self.earlier_files.iter().map(|file| file.id).chain([self.id])
    }

    /// The problem of the file that is take `id`, one of this take's files.
    pub(super) fn trouble_of(&self, id: TakeId) -> Option<String> {
        let file = self.earlier_files.iter().find(|file| file.id == id);
        file.map_or(&self.trouble, |file| &file.trouble).clone()
    }

    /// The files of this take: the take's id, the first frame of the pass in it, and the frame after the last one.
    /// `frames` is the length of the pass.
    pub(super) fn spans(&self, frames: Frames) -> Vec<(TakeId, FramePos, FramePos)> {
        let mut at = FramePos(0);
        let ends = self.earlier_files.iter().map(|file| (file.id, file.end)).chain([(self.id, frames)]);
        ends.map(|(id, end)| (id, std::mem::replace(&mut at, FramePos(end.0)), FramePos(end.0))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_take_that_is_refused_at_the_same_frame_in_file_after_file_counts_the_files_of_one_folder() {
        let (mut session, mut take) = RecordingTake::example();
        let mut names = session.taken_names();
        assert_eq!(take.empty_files(Frames(0), Some("/b"), &session), 0, "its first file is in no overflow folder");
        let mut found = Vec::new();
        for (number, (from, folder)) in
            [(0, "/b"), (100, "/b"), (100, "/b"), (100, "/c"), (100, "/b"), (250, "/b")].into_iter().enumerate()
        {
            let identity = Uuid::from_u128(10 + number as u128);
            let folder = Some(folder.to_owned());
            let next = session.add_continuation(take.id, identity, Frames(from), folder, &mut names).unwrap();
            let old = std::mem::replace(&mut take.id, next);
            take.earlier_files.push(EarlierFile { id: old, end: Frames(from), trouble: None });
            found.push(["/b", "/c"].map(|folder| take.empty_files(Frames(from), Some(folder), &session)));
        }
        assert_eq!(found, [[1, 0], [1, 0], [2, 0], [2, 1], [3, 1], [1, 0]]);
        assert_eq!(take.empty_files(Frames(300), Some("/b"), &session), 0, "its present file has frames");
    }
}
