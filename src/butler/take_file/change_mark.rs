//! The remark in the header of a file that another program has changed it. Thread: committer.

use super::TakeFile;
use crate::message::offset::FileByte;
use crate::wav::bext::{Bext, CHANGED_BY_OTHERS};

impl TakeFile {
    /// Another program has changed the file. Its header is due and says so: without it, a recovery would trust all of its sound, or
    /// take it for that program's file. `is_lost`: sound is gone. Otherwise the remark stays until [`TakeFile::note_repaired`].
    /// `cut_at`: the byte at which the file was cut. A recovery finds a short run of zeros there only by this number.
    pub fn note_changed(&mut self, is_lost: bool, cut_at: Option<FileByte>) {
        if is_lost {
            self.header.bext.note_change(cut_at.map(|byte| byte.0));
        } else {
            self.is_in_repair = true;
            self.repair_cuts.extend(cut_at);
        }
        (self.header_is_due, self.mark_is_volatile) = (true, true);
    }

    /// The file may have a copy of sound that another program had changed. Its header says so as for a changed file.
    pub fn note_copied_change(&mut self) {
        if !self.header.bext.coding_history.contains(CHANGED_BY_OTHERS) {
            self.note_changed(true, None);
        }
    }

    /// Whether the next header says that another program has changed the file.
    pub fn is_marked_changed(&self) -> bool {
        self.is_in_repair || self.header.bext.coding_history.contains(CHANGED_BY_OTHERS)
    }

    /// All sound of the file is from this program, and durable. Returns whether the header said otherwise.
    pub fn note_repaired(&mut self) -> bool {
        self.header_is_due |= self.is_in_repair;
        self.repair_cuts.clear();
        std::mem::take(&mut self.is_in_repair)
    }

    /// Writes the remarks about the change after which the file is being repaired.
    pub(super) fn note_repair(&self, bext: &mut Bext) {
        bext.note_change(None);
        self.repair_cuts.iter().for_each(|byte| bext.note_change(Some(byte.0)));
    }

    /// Whether another program has cut the file since the last look, as far as its length shows.
    pub fn is_cut(&self) -> bool {
        let had = self.stored.min(self.written).0;
        self.file.metadata().is_ok_and(|found| found.len() < had)
    }

    /// Whether another program has changed the file, and a power cut may leave a header that does not say so. What is written to
    /// the file then, or what gives it another length, can hide the change.
    pub fn lacks_durable_mark(&self) -> bool {
        self.is_marked_changed() && self.mark_is_volatile
    }
}
