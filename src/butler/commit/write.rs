//! The writes and syncs of all takes, in batches. Thread: committer.

use super::open_window::OpenWindow;
use super::round::Round;
use super::{Committer, OpenTake};
use crate::host;
use crate::host::batch::BatchWrite;
use crate::limits;
use crate::message::offset::{FileByte, SpoolByte};
use crate::message::replica::Replica;
use crate::message::stats::DiskPublished;
use nix::errno::Errno;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;

fn byte_count(parts: &[IoSlice<'_>]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}

impl Committer {
    /// Writes one run of every take that has spans to write. Returns whether it should be called again. Outside of a
    /// sync it stops when a sync is due.
    pub(super) fn write_some(&mut self, in_sync: bool) -> bool {
        if self.retry_at.is_some() {
            return false;
        }
        let recorded = if in_sync { self.recorded() } else { None };
        let (mut wrote, mut from) = (false, 0);
        while from < self.takes.len() {
            let until = if in_sync { self.takes.len() } else { self.end_of_batch(from) };
            wrote |= self.write_round(from..until, recorded);
            from = until;
            if !in_sync && self.next_sync <= host::now() {
                return false;
            }
        }
        // A sync writes one round only, so that it keeps its time. Spans that arrived late wait for the next sync.
        wrote && !in_sync
    }

    /// The take after those whose sound fits into one batch with that of take `from`.
    fn end_of_batch(&self, from: usize) -> usize {
        let mut bytes = 0;
        let fits = |take: &&OpenTake| {
            bytes += take.pending_bytes().min(limits::COMMIT_RUN_BYTES_MAX as u64);
            bytes <= limits::COMMIT_BATCH_BYTES_MAX
        };
        from + self.takes[from..].iter().take_while(fits).count().max(1)
    }

    /// Makes a round of writes of some takes. The next write of each goes to the disk in one batch, until none has a write
    /// left. Returns whether there was anything to write.
    fn write_round(&mut self, takes: Range<usize>, recorded: Option<(u64, bool)>) -> bool {
        let mut rounds = Vec::with_capacity(takes.len());
        for at in takes {
            let take = &mut self.takes[at];
            if take.is_held() || take.waits_for_mark() {
                continue;
            }
            let open_window = recorded.map(|(recorded, rests)| OpenWindow {
                recorded: SpoolByte::DATA + recorded * take.file.frame_bytes() as u64,
                rests,
            });
            rounds.push((at, take.begin_round(&self.spool_use, open_window)));
        }
        loop {
            let active: Vec<&mut (usize, Round)> = rounds.iter_mut().filter(|(_, round)| round.has_write()).collect();
            if active.is_empty() {
                break;
            }
            let results = self.write_batch(&active);
            for ((at, round), result) in active.into_iter().zip(results) {
                self.takes[*at].advance(round, result);
            }
        }
        let mut wrote = false;
        for (at, round) in rounds {
            match self.takes[at].end_round(round, &self.spool_use) {
                Ok(false) => {}
                Ok(true) => {
                    wrote = true;
                    (self.takes[at].trouble, self.takes[at].failures) = (None, 0);
                }
                Err(error) => self.on_write_failure(at, &error),
            }
        }
        wrote
    }

    /// Gives the next write of each round to the disk. Returns the result of each.
    fn write_batch(&mut self, rounds: &[&mut (usize, Round)]) -> Vec<Result<usize, Errno>> {
        let parts: Vec<Vec<IoSlice>> = rounds.iter().map(|(_, round)| round.parts()).collect();
        let write = |((at, round), parts): (&&mut (usize, Round), _)| {
            let (file, offset) = self.takes[*at].place_of(round);
            BatchWrite { file: file.as_fd(), offset: offset.0, parts }
        };
        let writes: Vec<BatchWrite> = rounds.iter().zip(parts.iter().map(Vec::as_slice)).map(write).collect();
        let results = self.batcher.write(&writes);
        let ends: Vec<u64> = writes.iter().map(|write| write.offset + byte_count(write.parts)).collect();
        for ((((at, round), parts), end), result) in rounds.iter().zip(&parts).zip(ends).zip(&results) {
            if let (Ok(bytes), Some(last)) = (result, parts.last())
                && *bytes as u64 == byte_count(parts)
                && round.ends_with_sound()
            {
                self.takes[*at].file.note_tail(FileByte(end), last);
            }
        }
        if self.setup.replica == Replica::Session {
            let longest = self.batcher.longest_wait().as_micros() as u64;
            DiskPublished::raise(&self.spool_use.disk.commit_us_max, longest);
        }
        results
    }

    /// Makes the files of takes durable, in one batch, and gives the memory of their sound back. Each take has the result of
    /// its own file.
    pub(super) fn sync_takes(&mut self, takes: &[usize]) {
        let needs: Vec<io::Result<bool>> = takes.iter().map(|at| self.takes[*at].needs_sync()).collect();
        let due = takes.iter().zip(&needs).filter(|(_, needs)| matches!(needs, Ok(true)));
        let files: Vec<&File> = due.map(|(at, _)| &**self.takes[*at].file.file()).collect();
        let mut results = self.batcher.sync_files(&files).into_iter();
        for (at, needs) in takes.iter().zip(needs) {
            let mut result = || results.next().map(|result| Ok(result.map(drop)?));
            let synced = needs.map(|needs| if needs { result() } else { None });
            if let Err(error) = synced.and_then(|result| self.takes[*at].synced(result, &self.spool_use)) {
                self.on_write_failure(*at, &error);
            }
        }
    }
}
