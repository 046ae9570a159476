//! Fills the gaps of a replica from the files of the other one, a few runs in each tick. Thread: committer.

use super::Committer;
use crate::butler::take_file::TakeFile;
use crate::host::{self, disk};
use crate::limits;
use crate::message::offset::SpoolByte;
use crate::message::replica::{Replica, ReplicaPair};
use memmap2::MmapMut;
use std::io;
use std::time::{Duration, Instant};

/// The time of a tick after which no further run of each take is filled. Sound that arrives meanwhile waits, and gaps must
/// not keep it waiting.
const FILL_TIME: Duration = Duration::from_millis(40);

/// Runs of each take that are filled in one tick. The next sync makes them durable, so more of them would make it slow.
const FILL_RUNS_MAX: usize = 8;

/// The longest that an ended take waits for a mirror that does not fill its gap. `MIRROR_FINISH_TIME_MAX` of control
/// (`src/control/recording/machine/mod.rs`) is as long.
const GAP_WAIT_MAX: Duration = Duration::from_secs(20);

impl Committer {
    /// Fills gaps of this replica from the other one, for takes that have no span to write. Finishes the files before
    /// the present ones, also for a take that has ended and cannot be written.
    pub(super) fn fill_gaps(&mut self) {
        if self.takes.iter().all(|take| take.earlier.is_empty() && (take.missing_bytes() == 0 || take.has_pending())) {
            return;
        }
        let Some(mut scratch) = self.take_scratch() else { return };
        self.advance_earlier_files(&mut scratch);
        // A fill makes zeros of a part that was cut off behind it.
        for at in 0..self.takes.len() {
            if 0 < self.takes[at].missing_bytes() && !self.takes[at].has_pending() {
                self.find_change(at);
            }
        }
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
            if take.has_pending() || self.retry_at.is_some() || take.is_held() || take.waits_for_mark() {
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

/// The time for which nothing has filled the gaps of a file of an ended take, and the other replica has not come closer to them.
#[derive(Default)]
pub(super) struct GapWait {
    /// The missing bytes and the end of the other replica's durable sound, and since when both are the same.
    progress: Option<((u64, SpoolByte), Instant)>,
}

impl GapWait {
    /// Whether both numbers of [`GapWait::progress`] have stayed for longer than [`GAP_WAIT_MAX`].
    fn is_too_long(&mut self, now: (u64, SpoolByte)) -> bool {
        let (_, since) = self.progress.filter(|(before, _)| *before == now).unwrap_or_else(|| {
            let begins = (now, host::now());
            self.progress = Some(begins);
            begins
        });
        GAP_WAIT_MAX < host::elapsed(since)
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(super) fn make_older(&mut self) {
        let earlier = |since: Instant| since.checked_sub(GAP_WAIT_MAX + Duration::from_secs(1));
        self.progress = self.progress.and_then(|(progress, since)| Some((progress, earlier(since)?)));
    }
}

/// Fills a part of a gap in `file`, a file of `replica`, from the file of the other replica. Returns whether there was a
/// gap to fill. The gap remains one until `file` is durable. `is_ending`: the take writes nothing more before its end. Then
/// sound that neither replica has is an error. `wait`: that of the file, if its take has ended. Then a gap of the session's
/// file that the mirror does not fill for a long time is an error: Stop waits for the file, and the mirror's disk may hang.
pub(super) fn fill_gap(
    file: &mut TakeFile,
    (pair, replica): (&ReplicaPair, Replica),
    is_ending: bool,
    wait: Option<&mut GapWait>,
    scratch: &mut MmapMut,
) -> io::Result<bool> {
    let Some(gap) = pair.next_gap(replica, file.start(), file.filled_end(), scratch.len() as u64) else {
        let missing_bytes = pair.missing_bytes(replica, file.start());
        // The bytes that were filled count after the next sync.
        if missing_bytes == 0 || file.filled_end() != file.start().0 {
            return Ok(false);
        }
        if pair.has_ended(replica.other()) || (is_ending && pair.is_in_neither(replica, file.start())) {
            return Err(io::Error::other("parts of it are in neither copy"));
        }
        let progress = (missing_bytes, pair.durable_end(replica.other()));
        if wait.filter(|_| replica == Replica::Session).is_some_and(|wait| wait.is_too_long(progress)) {
            return Err(io::Error::other(
                "a part of it waits for the mirror, whose disk does not answer; connect that disk, and start Faultless again",
            ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_that_comes_closer_to_a_gap_is_waited_for_and_one_that_stands_still_is_not() {
        let mut wait = GapWait::default();
        for there in [1, 2, 3] {
            assert!(!wait.is_too_long((5, SpoolByte(there))));
            wait.make_older();
        }
        assert!(wait.is_too_long((5, SpoolByte(3))));
    }
}
