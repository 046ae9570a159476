//! The writes of one take in one round: the first run of adjacent spans, and behind the last span the sound of the open
//! window. Thread: committer.
//!
//! A committer begins a round of each of its takes, gives the next write of each to the disk at once, and hands each take
//! the result of its own write, until no round has a write left. So a write that fails or is cut short concerns its own
//! take only.

use super::open_window::OpenWindow;
use super::{OpenTake, SpoolUse};
use crate::host;
use crate::limits;
use crate::message::offset::{FileByte, SpoolByte};
use crate::message::replica::Replica;
use crate::message::spool_file::{CapturedSlot, HeldParts, SpoolFile};
use crate::window::map::Mapping;
use memmap2::MmapMut;
use nix::errno::Errno;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The writes of one take in one round. Their memory stays as it is as long as this exists.
pub(super) struct Round {
    started: Instant,
    /// Number of spans.
    run: usize,
    /// The slots of the spans with sound, and the bytes of each span. While somebody holds a slot it is not used again,
    /// also if its span is given up meanwhile.
    slots: Vec<(Arc<CapturedSlot>, usize)>,
    /// Mappings of the slots that have none, in order.
    remapped: Vec<Mapping>,
    /// Bytes at the start of the spans that were written while their window was open.
    skip: u64,
    /// Bytes of the spans in the present write.
    span_bytes: u64,
    /// The sound of the open window in the present write.
    ahead: Option<HeldParts>,
    /// The page in which the record position rests, if that is the present write.
    last_page: Option<MmapMut>,
    /// Where the present write begins.
    at: SpoolByte,
    /// Bytes of the present write that are in the file.
    done: u64,
    open_window: Option<OpenWindow>,
    /// Whether anything was written, or silence was passed over.
    wrote: bool,
    /// Whether no write is left. `Err`: a write failed.
    end: Option<io::Result<()>>,
}

impl Round {
    fn new(started: Instant, run: usize) -> Round {
        Round {
            started,
            run,
            slots: Vec::new(),
            remapped: Vec::new(),
            skip: 0,
            span_bytes: 0,
            ahead: None,
            last_page: None,
            at: SpoolByte::DATA,
            done: 0,
            open_window: None,
            wrote: false,
            end: None,
        }
    }

    /// Whether there is a write to make.
    pub(super) fn has_write(&self) -> bool {
        self.end.is_none()
    }

    /// The memory that is to be written next.
    pub(super) fn parts(&self) -> Vec<IoSlice<'_>> {
        let mut parts = Vec::with_capacity(self.slots.len() + 2);
        let mut skip = self.done;
        if self.span_bytes > 0 {
            let mut mapped = self.remapped.iter();
            for (slot, bytes) in &self.slots {
                let memory = slot.memory().or_else(|| mapped.next().map(Mapping::bytes));
                parts.extend(memory.map(|memory| IoSlice::new(&memory[..*bytes])));
            }
            skip += self.skip;
        }
        parts.extend(self.ahead.iter().flat_map(HeldParts::memory).map(IoSlice::new));
        parts.extend(self.last_page.iter().map(|page| IoSlice::new(page)));
        let mut rest = &mut parts[..];
        IoSlice::advance_slices(&mut rest, skip as usize);
        let left = rest.len();
        parts.drain(..parts.len() - left);
        parts
    }

    /// Whether the present write has recorded sound up to its end. The page in which the record position rests has zeros there.
    pub(super) fn ends_with_sound(&self) -> bool {
        self.last_page.is_none()
    }

    /// Bytes of the present write.
    fn bytes(&self) -> u64 {
        let page = self.last_page.as_ref().map_or(0, |page| page.len() as u64);
        self.span_bytes + self.ahead.as_ref().map_or(0, HeldParts::bytes) + page
    }
}

impl OpenTake {
    /// Begins a round. Silence costs no write. So it does not use up the only run that a sync writes: otherwise the sound
    /// after a long loss would wait for the next sync.
    pub(super) fn begin_round(&mut self, spool_use: &SpoolUse, open_window: Option<OpenWindow>) -> Round {
        let (started, mut passed_silence) = (host::now(), false);
        if self.copies_from_session() {
            self.leave_to_gaps(spool_use);
            return Round { end: Some(Ok(())), ..Round::new(started, 0) };
        }
        let (run, slots) = loop {
            // These spans were given up meanwhile: they are gaps of this replica.
            while self.pending.front().is_some_and(|span| !span.is_wanted(self.replica)) {
                self.pending.pop_front();
            }
            let (run, slots) = self.run();
            if self.spool.is_none() || run == 0 || self.pending.front().is_none_or(|first| first.touched) {
                break (run, slots);
            }
            self.enter_run(spool_use, run, started);
            passed_silence = true;
        };
        let mut round = Round::new(started, run);
        round.wrote = passed_silence;
        match self.spool.clone() {
            Some(spool) => {
                if let Err(error) = self.prepare(&mut round, &spool, slots, open_window) {
                    round.end = Some(Err(error));
                }
            }
            None => {
                if self.pending.front().is_some_and(|first| first.touched) {
                    self.behind.start_writing(self.file.file(), &self.pending, run);
                }
                round.end = Some(Ok(()));
            }
        }
        round
    }

    /// The file for the next write of a round, and the place in it.
    pub(super) fn place_of(&self, round: &Round) -> (&File, FileByte) {
        (self.file.sound_file(), self.file.start().to_file(round.at) + round.done)
    }

    /// The next write of a round has ended.
    pub(super) fn advance(&mut self, round: &mut Round, result: Result<usize, Errno>) {
        let end = self.file.start().to_file(round.at) + round.bytes();
        match self.file.accepted(result, end) {
            Ok(bytes) => round.done += bytes,
            // The disk may have no space for both. Write the spans first.
            Err(_) if round.span_bytes > 0 && round.ahead.is_some() => {
                (round.open_window, round.ahead, round.done) = (None, None, 0);
            }
            Err(error) => round.end = Some(Err(error)),
        }
        let Some(spool) = self.spool.clone().filter(|_| round.end.is_none() && round.bytes() <= round.done) else {
            return;
        };
        let start = self.file.start();
        self.file.end_write(start.to_file(round.at), round.done);
        round.wrote = true;
        if let (Some(_), Some(open_window)) = (&round.last_page, &round.open_window) {
            self.file.note_written(start.to_file(open_window.recorded));
            round.end = Some(Ok(()));
            return;
        }
        round.at = round.at + round.done;
        (round.span_bytes, round.done) = (0, 0);
        if round.ahead.take().is_some() {
            self.written_ahead = round.at;
            self.file.note_written(start.to_file(round.at));
        }
        if let Err(error) = self.prepare_next(round, &spool) {
            round.end = Some(Err(error));
        }
    }

    /// Ends a round that has no write left. Returns whether there was anything to write.
    pub(super) fn end_round(&mut self, round: Round, spool_use: &SpoolUse) -> io::Result<bool> {
        round.end.unwrap_or(Ok(()))?;
        self.enter_run(spool_use, round.run, round.started);
        Ok(round.wrote || round.run > 0)
    }

    /// Prepares the first write of a round: the spans, as far as they are not in the file yet, and the sound of the open
    /// window in the same write. `slots`: those of the spans.
    fn prepare(
        &mut self,
        round: &mut Round,
        spool: &Arc<SpoolFile>,
        slots: Vec<Arc<CapturedSlot>>,
        open_window: Option<OpenWindow>,
    ) -> io::Result<()> {
        let run = round.run;
        let end = run.checked_sub(1).and_then(|last| self.pending.get(last)).map_or(self.collected, |last| last.end());
        // With a mirror, both committers may map a slot at once.
        let unmapped = slots.iter().filter(|slot| slot.memory().is_none());
        round.remapped = unmapped.map(|slot| slot.map_again()).collect::<io::Result<_>>()?;
        round.slots = slots.into_iter().zip(self.pending.iter().map(|span| span.bytes)).collect();
        let bytes: u64 = round.slots.iter().map(|(_, bytes)| *bytes as u64).sum();
        let begin = end - bytes;
        // Skip the part that was written while the window was open.
        round.at = begin.max(self.written_ahead);
        round.skip = round.at.min(end) - begin;
        round.span_bytes = bytes - round.skip;
        // If more spans follow, the open window does not follow these. If the take has ended, its span has arrived.
        round.open_window = open_window.filter(|_| self.pending.len() <= run && self.end.is_none());
        self.prepare_next(round, spool)
    }

    /// Prepares the next write of a round: spans that are left, and what the open window has behind them.
    fn prepare_next(&mut self, round: &mut Round, spool: &Arc<SpoolFile>) -> io::Result<()> {
        if let Some(open_window) = &round.open_window {
            round.ahead = open_window.hold(spool, round.at + round.span_bytes, round.span_bytes == 0)?;
            if let Some(ahead) = round.ahead.as_ref().filter(|_| round.span_bytes == 0) {
                round.at = ahead.begin();
            }
            if round.bytes() == 0 {
                self.prepare_last_page(round, spool)?;
            }
        }
        if round.bytes() > 0 {
            self.file.begin_write();
        } else {
            round.end = Some(Ok(()));
        }
        Ok(())
    }

    /// Prepares the write of the page in which the record position rests. While the device is away no sound follows that
    /// would complete the page, and without this its sound would not be durable before the device is back. The page is
    /// written again when it is complete.
    fn prepare_last_page(&self, round: &mut Round, spool: &SpoolFile) -> io::Result<()> {
        let Some(open_window) = round.open_window.as_ref().filter(|open_window| {
            open_window.rests && self.file.start().to_spool(self.file.written()) < open_window.recorded
        }) else {
            return Ok(());
        };
        // Pages between the two have no slot.
        round.at = round.at.max(open_window.whole_pages());
        round.last_page = open_window.read_last_page(spool, round.at)?;
        Ok(())
    }

    /// Enters the first `run` spans as written.
    fn enter_run(&mut self, spool_use: &SpoolUse, run: usize, started: Instant) {
        if run == 0 {
            return;
        }
        if let Some(entry) = &self.entry {
            // Before the slots are freed: from now on a sampler looks for the sound in the WAV file.
            entry.committed(self.committed_by(run), host::elapsed(started));
        }
        for span in self.pending.drain(..run) {
            // The span was given up while it was written: it is a gap.
            if !span.is_wanted(self.replica) {
                continue;
            }
            if span.recorded_bytes > 0 {
                // Sound ends at the record position. The rest of a window that was ready ahead must not enter a header.
                let end = self.file.start().to_file(span.recorded_end());
                self.file.note_written(end);
                if self.spool.is_none() && self.replica == Replica::Session {
                    self.file.note_stored(end);
                }
            }
            spool_use.disk.committed_bytes.fetch_add(span.bytes as u64, Relaxed);
            self.written.push_back(span);
        }
        if self.spool.is_none() {
            // In `in-place` the sound lies in the file itself: there is no memory to keep until it is durable.
            while let Some(span) = self.written.pop_front() {
                self.lend_file(span.end());
                self.on_durable(span, spool_use);
            }
        }
    }

    /// Number of spans at the head of the queue that can be written in one call, and their slots.
    fn run(&self) -> (usize, Vec<Arc<CapturedSlot>>) {
        let (mut bytes, mut count, mut slots) = (0, 0, Vec::new());
        let Some(first) = self.pending.front() else { return (0, slots) };
        let mut end = first.offset;
        for span in &self.pending {
            let fits = span.offset == end
                && span.touched == first.touched
                && span.is_wanted(self.replica)
                && bytes + span.bytes <= limits::COMMIT_RUN_BYTES_MAX;
            if count > 0 && !fits {
                break;
            }
            if self.spool.is_some() {
                // Without a slot the span has been given up a moment ago.
                let Some(slot) = span.slot() else { break };
                slots.push(slot);
            }
            end = span.end();
            bytes += span.bytes;
            count += 1;
        }
        (count, slots)
    }
}
