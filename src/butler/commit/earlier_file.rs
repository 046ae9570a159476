//! The files of a take before its present one, until they are finished. Thread: committer.
//!
//! A take whose disk refuses sound continues in another file. The file before may still have gaps, which only the other
//! replica can fill. It stays open until they are filled, because a finished header claims every frame.

use super::changed::{Changes, enter_change, look_for_change, note_target, trouble_text};
use super::disk_error::describe;
use super::end::RETRIES_AT_END;
use super::gaps::{GapWait, fill_gap};
use super::{OpenTake, RETRY};
use crate::butler::put_back::keep_if_removed;
use crate::butler::take_file::TakeFile;
use crate::host;
use crate::message::disk::DiskEvent;
use crate::message::offset::{FileByte, SpoolByte};
use crate::message::replica::{Replica, ReplicaPair};
use crate::message::take::TakeEnd;
use memmap2::MmapMut;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// A file of a take that continues in another one.
pub(super) struct EarlierFile {
    /// Number of files before this one.
    index: usize,
    file: TakeFile,
    end: TakeEnd,
    /// The state that both replicas share. `None`: there is no mirror, or no sound is in this file.
    pair: Option<(Arc<ReplicaPair>, Replica)>,
    failures: u32,
    trouble: Option<String>,
    retry_at: Option<Instant>,
    changes: Changes,
    gap_wait: GapWait,
}

impl EarlierFile {
    /// The file before the `index + 1`th one. `end`: its own length and start.
    pub(super) fn new(
        index: usize,
        file: TakeFile,
        end: TakeEnd,
        pair: Option<(Arc<ReplicaPair>, Replica)>,
        changes: Changes,
    ) -> EarlierFile {
        let gap_wait = GapWait::default();
        EarlierFile { index, file, end, pair, failures: 0, trouble: None, retry_at: None, changes, gap_wait }
    }

    /// The number of files before this one, and the file.
    pub(super) fn place(&self) -> (usize, &TakeFile) {
        (self.index, &self.file)
    }

    /// Whether the last attempt to fill or to finish it failed.
    pub(super) fn is_troubled(&self) -> bool {
        self.trouble.is_some()
    }

    #[cfg(test)]
    pub(super) fn gap_wait(&mut self) -> &mut GapWait {
        &mut self.gap_wait
    }

    fn may_lack_sound(&self) -> bool {
        self.changes.may_lack_sound(&self.file, self.pair.as_ref().map(|(pair, replica)| (&**pair, *replica)))
    }

    /// The first byte that the file lacks.
    pub(super) fn first_gap(&self) -> Option<SpoolByte> {
        self.pair.as_ref().and_then(|(pair, replica)| pair.first_gap(*replica, self.file.start()))
    }

    /// Fills a part of a gap, or finishes a file without gaps. Returns whether it is finished. Adds the messages for the
    /// user if another program had removed or changed the file. `has_ended`: the take has ended.
    fn advance(&mut self, has_ended: bool, scratch: &mut MmapMut, messages: &mut Vec<String>) -> io::Result<bool> {
        // The end gives the file its length, and would make silence of a part that was cut off.
        let pair = self.pair.as_ref().map(|(pair, replica)| (&**pair, *replica));
        if let Some(seen) = look_for_change(&mut self.file, pair, false) {
            let found = enter_change(&mut self.file, pair, seen.change.had, &seen);
            self.changes.add(&found);
            messages.push(found.text);
        }
        // The header that says so is durable before anything else is written, as for the present file.
        if self.file.is_header_due() || self.file.lacks_durable_mark() {
            if !self.file.write_header(FileByte::DATA)? {
                return Err(io::Error::other("another program writes to it"));
            }
            self.sync_file()?;
        }
        if let Some((pair, replica)) = self.pair.clone().filter(|_| self.first_gap().is_some()) {
            let put_back = self.file.put_back_if_removed()?;
            if put_back.is_some() {
                pair.replace_file(replica, self.file.start(), self.file.file());
            }
            messages.extend(put_back);
            let wait = has_ended.then_some(&mut self.gap_wait);
            fill_gap(&mut self.file, (&pair, replica), true, wait, scratch)?;
            self.sync_file()?;
            return Ok(false);
        }
        messages.extend(self.file.finish(self.end.frames, &self.end)?);
        Ok(true)
    }

    /// Makes the file durable. Gaps that were written to it are filled then.
    fn sync_file(&mut self) -> io::Result<()> {
        for filled in self.file.sync()? {
            if let Some((pair, replica)) = &self.pair {
                pair.gap_filled(*replica, &filled);
            }
        }
        Ok(())
    }
}

impl OpenTake {
    /// Forgets the pause after a failure, for tests.
    #[cfg(test)]
    pub(super) fn retry_earlier_now(&mut self) {
        self.earlier.iter_mut().for_each(|earlier| earlier.retry_at = None);
    }

    /// Fills and finishes the earlier files. Returns an event for each that is finished, or that is given up because
    /// the take has ended. A file that is given up keeps its last header, which claims no gap.
    pub(super) fn advance_earlier(&mut self, scratch: &mut MmapMut) -> Vec<DiskEvent> {
        let (mut events, mut messages) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < self.earlier.len() {
            let earlier = &mut self.earlier[at];
            let finished = earlier.retry_at.is_none_or(|until| until <= host::now()) && {
                let facts = |file: &TakeFile| (file.lasting_number(), file.is_marked_changed());
                let before = facts(&earlier.file);
                let result = earlier.advance(self.end.is_some(), scratch, &mut messages);
                if let Some(spool) = self.spool.as_ref().filter(|_| before != facts(&earlier.file)) {
                    note_target(spool, self.replica, earlier.place());
                }
                let path = earlier.file.path.display();
                let error = result.as_ref().err().map(|error| format!("{path}: {}", describe(error)));
                earlier.trouble = error.or_else(|| earlier.may_lack_sound().then(|| trouble_text(&earlier.file)));
                earlier.failures = if result.is_ok() { 0 } else { earlier.failures + 1 };
                earlier.retry_at = result.is_err().then(|| host::now() + RETRY);
                result.is_ok_and(|finished| finished)
            };
            if finished || (self.end.is_some() && RETRIES_AT_END < earlier.failures) {
                let mut earlier = self.earlier.remove(at);
                self.earlier_troubled |= earlier.is_troubled();
                let kept = keep_if_removed(earlier.file.file()).filter(|_| earlier.is_troubled());
                earlier.trouble = earlier.trouble.map(|trouble| match kept {
                    Some(place) => format!("{trouble}; {place}"),
                    None => trouble,
                });
                events.push(DiskEvent::EarlierFileFinished {
                    take: self.key,
                    index: earlier.index,
                    trouble: earlier.trouble,
                });
            } else {
                at += 1;
            }
        }
        let put_back = |text| DiskEvent::PutBack { replica: self.replica(), text };
        events.extend(messages.into_iter().map(put_back));
        events
    }
}
