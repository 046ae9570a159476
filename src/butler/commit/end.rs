//! The end of takes: all takes of a pass end together; the spool of a take is removed after its file is durable.
//! Thread: committer.

use super::changed::trouble_text;
use super::disk_error::describe;
use super::{Committer, OpenTake};
use crate::butler::put_back::keep_if_removed;
use crate::message::disk::DiskEvent;
use crate::message::replica::Replica;
use crate::message::spool_file::MemoryFiles;
use crate::message::take::PassKey;
use crate::time::Frames;
use std::collections::HashSet;
use std::io;

/// Number of times that a failed write is repeated after the take has ended.
pub(super) const RETRIES_AT_END: u32 = 6;

impl Committer {
    /// Ends the takes whose files contain everything. The takes of a pass end together, because a final header claims
    /// its frames for every take. Gives up takes whose disk keeps failing, and reports them.
    pub(super) fn end_takes(&mut self) {
        let given_up = |take: &OpenTake| RETRIES_AT_END < take.failures;
        // If `Finish` has arrived for some takes of a pass only, the last spans of the others are still on their way.
        let waits = |take: &OpenTake| {
            let others = || self.takes.iter().filter(|other| other.pass == take.pass);
            take.end.is_some()
                && take.failures == 0
                && (take.has_pending() || others().any(|other| other.end.is_none()))
        };
        if self.takes.iter().all(|take| take.end.is_none()) || self.takes.iter().any(waits) {
            return;
        }
        if self.retry_at.is_none() {
            let ends = |at: &usize| self.takes[*at].end.is_some() && !given_up(&self.takes[*at]);
            let ending: Vec<usize> = (0..self.takes.len()).filter(ends).collect();
            self.sync_takes(&ending);
        }
        // The last header of a take claims all of its sound.
        let ending = self.takes.iter().filter(|take| take.end.is_some()).map(|take| take.pass);
        let ending: HashSet<PassKey> = ending.collect();
        if ending.into_iter().any(|pass| self.claimable(pass, Frames(u64::MAX)) < Frames(u64::MAX)) {
            return;
        }
        let mut at = 0;
        while at < self.takes.len() {
            // The end gives the file its length, and would make silence of a part that was cut off since the last look.
            if self.takes[at].end.is_some() {
                self.find_change(at);
            }
            let take = &mut self.takes[at];
            let whole = !take.has_pending() && take.missing_bytes() == 0 && take.earlier.is_empty();
            // A take that is given up does not wait for the next attempt.
            let due = (whole && self.retry_at.is_none() && !take.waits_for_mark())
                || (given_up(take) && take.earlier.is_empty());
            let end = take.end.clone().filter(|_| due);
            let Some(end) = end else {
                at += 1;
                continue;
            };
            let take = &mut self.takes[at];
            match take.end_with(&end) {
                Err(error) if take.failures <= RETRIES_AT_END => {
                    // The calls that end a file may have made it long again after another program had cut it.
                    self.find_change(at);
                    self.on_write_failure(at, &error);
                    at += 1;
                }
                result => {
                    let take = self.takes.remove(at);
                    if let Ok(Some(text)) = &result {
                        self.send_event(DiskEvent::PutBack { replica: self.setup.replica, text: text.clone() });
                    }
                    let event = self.finish_event(take, end.frames, result.map(drop));
                    self.send_event(event);
                }
            }
        }
    }

    /// The event for a take that has ended. It has the files in memory of a complete take. Otherwise its trouble names the spool
    /// file, if a recovery finds there what the file lacks.
    pub(super) fn finish_event(&self, mut take: OpenTake, frames: Frames, result: io::Result<()>) -> DiskEvent {
        let name = take.file.path.display();
        let spool = take.spool.as_ref().and_then(|spool| spool.path.clone());
        let is_session = self.setup.replica == Replica::Session;
        let mut memory = None;
        let trouble = match result {
            // The sound is no longer in memory and cannot be written again, so the report cannot be more precise.
            Ok(()) if take.is_damaged() => Some(format!(
                "{name}: the disk failed while sound was made durable; parts of the take may be missing, listen to it and replace the disk",
            )),
            Ok(()) if take.may_lack_sound() => Some(trouble_text(&take.file)),
            Ok(()) => {
                // Without the page, a recovery would not know the device's losses. Without the spool, it would report that
                // sound is gone. So both stay until the session says that the take is complete.
                if is_session && !take.earlier_troubled {
                    memory = Some(MemoryFiles { spool: take.spool.clone(), progress_page: take.progress_page.clone() });
                }
                None
            }
            Err(error) => {
                let mut failure = take.trouble.clone().unwrap_or_else(|| format!("{name}: {}", describe(&error)));
                if let Some(place) = keep_if_removed(take.file.file()) {
                    failure = format!("{failure}; {place}");
                }
                let in_mirror = take.only_in_mirror().map(|path| format!("{} of the mirror", path.display()));
                // Memory has what waits for a write, what the mirror has not written yet, and what only the end of the file
                // lacks. A part that only the mirror's file has is not in memory any more.
                let is_in_spool = take.is_in_memory() || in_mirror.is_none();
                let in_spool = spool.filter(|_| is_in_spool).map(|path| path.display().to_string());
                let places: Vec<String> = in_spool.into_iter().chain(in_mirror).collect();
                Some(match places.join(" and in ") {
                    places if is_session && !places.is_empty() => {
                        format!("{failure}; what is missing is kept in {places}")
                    }
                    _ => failure,
                })
            }
        };
        take.abandon(&self.spool_use.disk);
        DiskEvent::TakeFinished { replica: self.setup.replica, take: take.key, frames, trouble, memory }
    }
}
