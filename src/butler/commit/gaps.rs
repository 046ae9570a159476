//! Fills the gaps of a replica from the files of the other one, a few runs in each tick. Thread: committer.

use super::Committer;
use crate::butler::take_file::TakeFile;
use crate::host::{self, disk};
use crate::limits;
use crate::message::replica::{Replica, ReplicaPair};
use memmap2::MmapMut;
use std::io;
use std::time::Duration;

/// The time of a tick after which no further run of each take is filled. Sound that arrives meanwhile waits, and gaps must
/// not keep it waiting.
const FILL_TIME: Duration = Duration::from_millis(40);

/// Runs of each take that are filled in one tick. The next sync makes them durable, so more of them would make it slow.
const FILL_RUNS_MAX: usize = 8;

impl Committer {
    /// Fills gaps of this replica from the other one, for takes that have no span to write. Finishes the files before
    /// the present ones, also for a take that has ended and cannot be written.
    pub(super) fn fill_gaps(&mut self) {
        if self.takes.iter().all(|take| take.earlier.is_empty() && (take.missing_bytes() == 0 || take.has_pending())) {
            return;
        }
        let Some(mut scratch) = self.take_scratch() else { return };
        self.advance_earlier_files(&mut scratch);
        let until = self.next_sync.min(host::now() + FILL_TIME);
        for _ in 0..FILL_RUNS_MAX {
            if !self.fill_runs(&mut scratch) || until <= host::now() {
                break;
            }
        }
        self.scratch = Some(scratch);
    }

    fn advance_earlier_files(&mut self, scratch: &mut MmapMut) {
        for at in 0..self.takes.len() {
            let take = &mut self.takes[at];
            if take.has_pending() && take.end.is_none() {
                continue;
            }
            for event in take.advance_earlier(scratch) {
                self.send_event(event);
            }
        }
    }

    /// Fills one run of each take. Returns whether there was one.
    fn fill_runs(&mut self, scratch: &mut MmapMut) -> bool {
        let mut has_filled = false;
        for at in 0..self.takes.len() {
            let take = &mut self.takes[at];
            if take.has_pending() || self.retry_at.is_some() || take.is_held() {
                continue;
            }
            match take.fill_gaps(scratch) {
                Ok(filled) => {
                    has_filled |= filled;
                    // Such a take makes no other writes that would show that its disk accepts sound again.
                    if filled && take.copies_from_session() {
                        (take.trouble, take.failures) = (None, 0);
                    }
                }
                Err(error) => self.on_write_failure(at, &error),
            }
        }
        has_filled
    }

    fn take_scratch(&mut self) -> Option<MmapMut> {
        self.scratch.take().or_else(|| MmapMut::map_anon(limits::COPY_RUN_BYTES_MAX).ok())
    }
}

/// Fills a part of a gap in `file`, a file of `replica`, from the file of the other replica. Returns whether there was a
/// gap to fill. The gap remains one until `file` is durable. `is_ending`: the take writes nothing more before its end. Then
/// sound that neither replica has is an error.
pub(super) fn fill_gap(
    file: &mut TakeFile,
    (pair, replica): (&ReplicaPair, Replica),
    is_ending: bool,
    scratch: &mut MmapMut,
) -> io::Result<bool> {
    let Some(gap) = pair.next_gap(replica, file.start(), file.filled_end(), scratch.len() as u64) else {
        let nobody_has_it = pair.has_ended(replica.other()) || (is_ending && pair.is_in_neither(replica, file.start()));
        let waits_for_ever = nobody_has_it && file.filled_end() == file.start().0;
        if waits_for_ever && pair.missing_bytes(replica, file.start()) > 0 {
            return Err(io::Error::other("parts of it are in neither copy"));
        }
        return Ok(false);
    };
    let missing = gap.bytes() as usize;
    let bytes = &mut scratch[..missing.next_multiple_of(limits::PAGE_BYTES)];
    // A source that is too short is an error: zeros in its place would count as sound.
    pair.read_source(replica, &gap, |source, at| disk::read_exact_at(source, &mut bytes[..missing], at.0))?;
    bytes[missing..].fill(0);
    file.fill(gap, bytes)?;
    Ok(true)
}
