//! A file of a take that another program has changed while it was open: what is lost, and the message. Thread: committer.

use super::OpenTake;
use crate::butler::take_file::{Change, TakeFile};
use crate::limits;
use crate::message::offset::FileByte;
use crate::message::replica::{Replica, ReplicaPair};
use crate::message::spool_file::SpoolFile;
use crate::spool_index::Target;

/// A change of a file by another program, before it is entered.
pub(super) struct SeenChange {
    pub(super) change: Change,
    /// Whether the other replica may have copied sound from the file after the change.
    is_copied: bool,
}

/// A change of a file that was entered.
pub(super) struct FoundChange {
    /// The message for the user.
    pub(super) text: String,
    /// Whether no other replica surely has the sound of the file.
    is_lost: bool,
}

/// The changes of one file of a take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    /// Whether another program has changed the file.
    is_changed: bool,
    /// Whether one did that when no other replica surely had the sound.
    is_lost: bool,
}

impl Changes {
    /// Adds a change that was found.
    pub(super) fn add(&mut self, found: &FoundChange) {
        self.is_changed = true;
        self.is_lost |= found.is_lost;
    }

    /// Whether the file may lack sound, or have sound that is not the take's: its sound was in no other replica, or was copied
    /// from one that another program has changed too.
    pub(super) fn may_lack_sound(self, file: &TakeFile, pair: Option<(&ReplicaPair, Replica)>) -> bool {
        let is_from_changed = |(pair, replica): (&ReplicaPair, Replica)| {
            pair.has_copied_change(replica, file.start()) || (self.is_changed && pair.are_both_changed())
        };
        self.is_lost || pair.is_some_and(is_from_changed)
    }
}

/// Checks whether another program has changed `file`, a file of one of the replicas of `pair`. `is_cut`: see
/// [`TakeFile::find_change`]. If the file itself may have a copy of what another program had changed, its header says so: after
/// a kill, nothing else would.
pub(super) fn look_for_change(
    file: &mut TakeFile,
    pair: Option<(&ReplicaPair, Replica)>,
    is_cut: bool,
) -> Option<SeenChange> {
    if pair.is_some_and(|(pair, replica)| pair.has_copied_change(replica, file.start())) {
        file.note_copied_change();
    }
    let (change, is_copied) = match pair {
        Some((pair, replica)) => pair.with_copies_checked(replica, file.start(), || file.find_change(is_cut))?,
        None => (file.find_change(is_cut)?, false),
    };
    Some(SeenChange { change, is_copied })
}

/// Enters that another program has changed `file`, a file of one of the replicas of `pair`. All of its sound up to `end` is a
/// gap, if the other replica has it, because nobody knows which part that program has changed.
pub(super) fn enter_change(
    file: &mut TakeFile,
    pair: Option<(&ReplicaPair, Replica)>,
    end: FileByte,
    SeenChange { change, is_copied }: &SeenChange,
) -> FoundChange {
    if let Some((pair, replica)) = pair {
        pair.note_changed(replica);
    }
    // They may be gone too, and the next sync must not make sound of them.
    file.forget_filled();
    let source = pair.filter(|(pair, replica)| pair.has_sound(replica.other()) && !pair.are_both_changed());
    let is_lost = source.is_none() || *is_copied;
    file.note_changed(is_lost, change.cut_at);
    let outcome = match source {
        Some((pair, replica)) => {
            let (start, end) = (file.start(), file.start().to_spool(end));
            pair.add_gap(replica, start.0, end);
            if *is_copied {
                "its sound is copied from the other replica, which may have copied a part of it after the change: that part \
                 may be lost in both"
            } else if pair.lacks(replica.other(), start.0, end) {
                "its sound is copied from the other replica, which lacks a part of it: that part may be lost"
            } else {
                "its sound is copied from the other replica"
            }
        }
        None => "sound that it had may be lost, and the recording continues behind it",
    };
    let (name, deed) = (file.path.display(), if change.is_shorter { "cut it short" } else { "wrote to it" });
    let text = format!(
        "{name}: another program {deed}; {outcome}; do not save takes in other programs while they are recorded"
    );
    FoundChange { text, is_lost }
}

impl OpenTake {
    /// Checks the length and the header of the file. If another program has cut it short or written to it, all of its sound is
    /// a gap, because nobody knows which part that program has changed. The spool says so too, because the disk may refuse the
    /// header. Returns the message for the user.
    pub(super) fn find_change(&mut self) -> Option<String> {
        let met_cut = std::mem::take(&mut self.met_cut);
        let pair = self.pair.as_deref().map(|pair| (pair, self.replica));
        let was_marked = self.file.is_marked_changed();
        let seen = look_for_change(&mut self.file, pair, met_cut);
        if was_marked != self.file.is_marked_changed() {
            self.note_targets();
        }
        let seen = seen?;
        if let Some(pair) = self.pair.as_ref().filter(|_| met_cut) {
            // Sound that was to be copied from this file is in no file.
            pair.note_changed(self.replica.other());
        }
        // A gap is filled in whole pages. The take writes the page of the record position again when it is complete, so
        // only the last page of the take belongs to the gap. Windows that were ready ahead and were not used are not written.
        let is_last = self.end.is_some() && !self.pending.iter().any(|span| span.touched);
        let (page, had) = (limits::PAGE_BYTES as u64, seen.change.had);
        let end = if is_last { had } else { FileByte(had.0 / page * page) };
        let found = enter_change(&mut self.file, pair, end, &seen);
        self.changes.add(&found);
        if seen.change.is_shorter && self.spool.is_some() {
            // Memory still has what was not durable, and the cut may have taken it.
            self.file.forget_unsynced();
            self.requeue_unsynced();
        }
        self.note_targets();
        Some(found.text)
    }
}

/// Writes into the spool that `file`, with `files_before` files of the take before it, gets sound, and whether another program has
/// changed it. The mirror's files are named elsewhere.
pub(super) fn note_target(spool: &SpoolFile, replica: Replica, (files_before, file): (usize, &TakeFile)) {
    if replica == Replica::Session {
        let (bytes_before, is_changed) = (file.start().bytes_before(), file.is_marked_changed());
        let target = file.lasting_number().map(|file| Target { file, bytes_before, is_changed });
        // The page is there already, so this does not fail.
        spool.note_target(files_before, target).ok();
    }
}

/// The trouble of a file that has ended and may lack sound, because another program has changed it.
pub(super) fn trouble_text(file: &TakeFile) -> String {
    let name = file.path.display();
    format!(
        "{name}: another program changed it while it was recorded; sound is missing or is not the take's; listen to it"
    )
}
