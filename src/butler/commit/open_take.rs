//! One open take: spans that wait for its file, spans in the file, and spans that are durable. Thread: committer.
//!
//! ```text
//!   pending --write--> written --sync--> given back, or lent to the other replica until that has it too
//! ```
//!
//! A span stays in memory until the disk has reported it durable. After a failed sync the take writes it again.
//!
//! Spans go with O_DIRECT from the mappings of their slots. At each sync the take also writes the recorded part of the
//! window that is still being filled (the open window), so that a power cut does not cost the time in which a window
//! fills. It reads that part through a second mapping of the slot. `round` has the writes.

use super::SpoolUse;
use super::changed::{Changes, note_target};
use super::earlier_file::EarlierFile;
use super::gaps::{GapWait, fill_gap};
use crate::butler::spool;
use crate::butler::take_file::TakeFile;
use crate::host::{self, disk};
use crate::message::offset::{FileByte, FileStart, SpoolByte};
use crate::message::replica::{FilledGap, Replica, ReplicaPair};
use crate::message::span_to_commit::SpanToCommit;
use crate::message::spool_file::{ProgressFile, SpoolFile};
use crate::message::stats::DiskPublished;
use crate::message::take::{PassKey, TakeEnd, TakeKey, TakePlan};
use crate::residency::ledger::TakeLedger;
use crate::time::{FramePos, Frames};
use crate::window::map::write_behind;
use memmap2::MmapMut;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// In `in-place`, the take starts no writeback this close to the record position: it would write-protect pages that the
/// audio thread is about to store to.
const WRITE_BEHIND_BYTES: u64 = 2 << 20;

/// The longest that a take waits for a continuation that begins where it is stuck. Longer than a save of a large
/// session takes.
const HOLD: Duration = Duration::from_secs(4);

/// The longest time for which a gap keeps the headers of the other takes of its pass back. To fill a gap can take minutes, and
/// a power cut in that time must not cost more sound of all takes than this.
const GAP_HOLD: Duration = Duration::from_secs(3);

/// An open take. Offsets are those of the spool, except where the type is `FileByte`.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the file")]
pub(super) struct OpenTake {
    pub(super) key: TakeKey,
    pub(super) pass: PassKey,
    pub(super) replica: Replica,
    /// The ledger entry; `None` in the mirror, which the residency map does not show.
    pub(super) entry: Option<Arc<TakeLedger>>,
    pub(super) file: TakeFile,
    /// The files before `file`, as far as they are not finished.
    pub(super) earlier: Vec<EarlierFile>,
    /// Number of files before `file`.
    earlier_count: usize,
    /// Whether an earlier file was given up. Recovery then needs the spool, which names the mirror's file.
    pub(super) earlier_troubled: bool,
    /// Ranges of `file` that were gaps and are durable.
    refilled: Vec<FilledGap>,
    pub(super) spool: Option<Arc<SpoolFile>>,
    pub(super) progress_page: Option<Arc<ProgressFile>>,
    pub(super) pair: Option<Arc<ReplicaPair>>,
    pub(super) pending: VecDeque<Arc<SpanToCommit>>,
    pub(super) written: VecDeque<Arc<SpanToCommit>>,
    /// Spans that are durable here and that the other replica still wants.
    lent: VecDeque<Arc<SpanToCommit>>,
    /// End of the spans that have arrived.
    pub(super) collected: SpoolByte,
    /// End of the sound that was written from the open window.
    pub(super) written_ahead: SpoolByte,
    /// The end of the take. `None`: more spans will come.
    pub(super) end: Option<TakeEnd>,
    pub(super) failures: u32,
    /// The last error of the disk; `None` when the disk accepts writes.
    pub(super) trouble: Option<String>,
    /// The position at which the failure was last reported.
    pub(super) stuck_reported_at: Option<SpoolByte>,
    /// Whether the report said that the file has reached the largest size that a file may have there.
    pub(super) is_size_limit: bool,
    /// Until this moment nothing is written to the file, so that the position at which the take is stuck remains the
    /// one that control was sent.
    pub(super) held_until: Option<Instant>,
    /// Whether another program has removed the present file and it could not be put back. A kill would free the file, so the
    /// spool keeps the sound until the file is put back.
    is_nameless: bool,
    /// Whether the disk refuses to reserve blocks.
    pub(super) unreserved: bool,
    /// Whether a sync failed while there was no spool to write the sound from again. A later success proves nothing
    /// about that sound.
    damaged: bool,
    /// The changes of the present file by other programs.
    pub(super) changes: Changes,
    /// When a sync has found a gap, if each later one has found one too.
    gap_since: Option<Instant>,
    /// How long the end of the take waits for the other replica.
    gap_wait: GapWait,
    /// Whether a window in the file met a page that is gone, because another program has cut the file short.
    pub(super) met_cut: bool,
    pub(super) behind: WriteBehind,
}

/// In `in-place`: end of the range whose writeback was started.
pub(super) struct WriteBehind {
    from: FileByte,
}

impl OpenTake {
    pub(super) fn new(
        pass: PassKey,
        plan: &TakePlan,
        replica: Replica,
        file: TakeFile,
        entry: Option<Arc<TakeLedger>>,
    ) -> OpenTake {
        if let Some(pair) = &plan.pair {
            pair.continue_in(replica, FileStart::FIRST, Arc::clone(file.file()));
        }
        OpenTake {
            key: plan.key,
            pass,
            replica,
            entry,
            file,
            earlier: Vec::new(),
            earlier_count: 0,
            earlier_troubled: false,
            refilled: Vec::new(),
            spool: None,
            progress_page: None,
            pair: plan.pair.clone(),
            pending: VecDeque::new(),
            written: VecDeque::new(),
            lent: VecDeque::new(),
            collected: SpoolByte::DATA,
            written_ahead: SpoolByte::DATA,
            end: None,
            failures: 0,
            trouble: None,
            stuck_reported_at: None,
            is_size_limit: false,
            held_until: None,
            is_nameless: false,
            unreserved: false,
            damaged: false,
            changes: Changes::default(),
            gap_since: None,
            gap_wait: GapWait::default(),
            met_cut: false,
            behind: WriteBehind { from: FileByte::DATA },
        }
    }

    /// Writes into the spool which files get its sound. Without it, a recovery believes a copy that another program puts into
    /// the place of a file. Earlier files count too until they are finished: a file that another program has removed may
    /// not be put back before that.
    pub(super) fn note_targets(&self) {
        let Some(spool) = &self.spool else { return };
        let earlier = self.earlier.iter().map(EarlierFile::place);
        for place in earlier.chain([(self.earlier_count, &self.file)]) {
            note_target(spool, self.replica, place);
        }
    }

    pub(super) fn replica(&self) -> Replica {
        self.replica
    }

    pub(super) fn add_pending(&mut self, span: Arc<SpanToCommit>) {
        self.collected = self.collected.max(span.end());
        self.met_cut |= span.is_cut && self.replica == Replica::Session;
        self.pending.push_back(span);
    }

    pub(super) fn pending_bytes(&self) -> u64 {
        self.pending.iter().map(|span| span.bytes as u64).sum()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Bytes of the present file that this replica gave up and has to copy from the other one.
    pub(super) fn missing_bytes(&self) -> u64 {
        self.pair.as_ref().map_or(0, |pair| pair.missing_bytes(self.replica, self.file.start()))
    }

    /// The mirror's file, if only that has a part of the sound, because memory was given up before this replica had written it.
    pub(super) fn only_in_mirror(&self) -> Option<&Path> {
        let pair = self.pair.as_ref().filter(|_| self.replica == Replica::Session && self.first_gap().is_some())?;
        Some(pair.first_path(Replica::Mirror))
    }

    /// Whether memory has sound that the file lacks: what waits for a write, and what the mirror has not written yet.
    pub(super) fn is_in_memory(&self) -> bool {
        let lacks = |span: &SpanToCommit| {
            self.pair.as_ref().is_some_and(|pair| pair.lacks(self.replica, span.offset, span.recorded_end()))
        };
        self.has_pending() || self.lent.iter().any(|span| span.is_wanted(self.replica.other()) && lacks(span))
    }

    /// End of the sound that is in the file after the first `run` spans; in `in-place`, whose writeback was started.
    pub(super) fn committed_by(&self, run: usize) -> SpoolByte {
        let last = self.pending.get(run.saturating_sub(1)).filter(|_| self.spool.is_some());
        last.map_or_else(|| self.file.start().to_spool(self.behind.from), |span| span.recorded_end())
    }

    /// Makes the sound in the file durable, and gives its memory back.
    pub(super) fn sync(&mut self, spool_use: &SpoolUse) -> io::Result<()> {
        let result = if self.needs_sync()? { Some(disk::sync_data(self.file.file())) } else { None };
        self.synced(result, spool_use)
    }

    /// Whether the file must be made durable before [`OpenTake::synced`].
    pub(super) fn needs_sync(&self) -> io::Result<bool> {
        if self.is_nameless {
            return Err(io::Error::other("another program removed the file"));
        }
        Ok(self.file.is_unsynced())
    }

    /// The file was made durable, with this result. `None`: it did not need it. Gives the memory of durable sound back.
    pub(super) fn synced(&mut self, result: Option<io::Result<()>>, spool_use: &SpoolUse) -> io::Result<()> {
        if let Some(result) = result {
            self.file_synced(result)?;
            if let Some(entry) = &self.entry {
                entry.durable(self.durable());
            }
        }
        if let Some(pair) = &self.pair {
            let end = self.written.back().map_or(SpoolByte::DATA, |span| span.end());
            pair.set_durable(self.replica, end.max(self.written_ahead.min(self.durable())));
        }
        while let Some(span) = self.written.pop_front() {
            self.on_durable(span, spool_use);
        }
        Ok(())
    }

    /// Makes the present file durable. Gaps that were written to it are filled then.
    pub(super) fn sync_file(&mut self) -> io::Result<()> {
        let result = disk::sync_data(self.file.file());
        self.file_synced(result)
    }

    fn file_synced(&mut self, result: io::Result<()>) -> io::Result<()> {
        let synced = self.file.synced(result);
        if synced.is_err() {
            // A range that the mirror has copied remains a gap, and is copied again.
            self.damaged |= self.spool.is_none() && !self.copies_from_session();
            self.requeue_unsynced();
        }
        for filled in synced? {
            self.pair.iter().for_each(|pair| pair.gap_filled(self.replica, &filled));
            self.refilled.push(filled);
        }
        Ok(())
    }

    /// After a failed sync: requeues every unsynced span, and forgets how much of the open window was written.
    pub(super) fn requeue_unsynced(&mut self) {
        while let Some(span) = self.written.pop_back() {
            self.pending.push_front(span);
        }
        self.written_ahead = SpoolByte::DATA;
    }

    /// The span is durable here. Gives its memory back, or lends it to the other replica.
    pub(super) fn on_durable(&mut self, span: Arc<SpanToCommit>, spool_use: &SpoolUse) {
        if !span.is_wanted(self.replica) {
            return;
        }
        if span.release(self.replica) {
            give_back(&span, &spool_use.disk);
        } else {
            self.lent.push_back(span);
        }
    }

    /// Releases lent spans that the other replica no longer wants. While memory is short, gives up in its name those
    /// that it still wants: the other replica copies them from the file of this one later.
    pub(super) fn release_lent(&mut self, spool_use: &SpoolUse) {
        let (Some(pair), other) = (&self.pair, self.replica.other()) else { return };
        while let Some(span) = self.lent.pop_front_if(|span| !span.is_wanted(other) || spool_use.is_short()) {
            if span.is_wanted(other) {
                // The order matters: a span is a gap before it is not wanted, and not wanted before its memory is given
                // back.
                pair.add_gap(other, span.offset, span.recorded_end());
                if span.release(other) {
                    give_back(&span, &spool_use.disk);
                }
            }
        }
    }

    /// Whether the take gets its sound from the session's file only. In `in-place` no memory has the sound of a span: it
    /// lies in the session's file, and the mirror copies it from there.
    pub(super) fn copies_from_session(&self) -> bool {
        self.spool.is_none() && self.replica == Replica::Mirror
    }

    /// Turns the spans that have arrived into gaps of this replica. The gaps come first: a span that is not wanted any
    /// more must be a gap.
    pub(super) fn leave_to_gaps(&mut self, spool_use: &SpoolUse) {
        for span in self.pending.drain(..).filter(|span| span.is_wanted(self.replica)) {
            if let Some(pair) = &self.pair {
                pair.add_gap(self.replica, span.offset, span.recorded_end());
            }
            if span.release(self.replica) {
                give_back(&span, &spool_use.disk);
            }
        }
    }

    /// In `in-place`: the other replica may copy the sound before `end` from the file. It reads what the audio thread has
    /// stored, whether or not the disk has it.
    pub(super) fn lend_file(&self, end: SpoolByte) {
        if let Some(pair) = self.pair.as_ref().filter(|_| self.replica == Replica::Session) {
            pair.set_durable(self.replica, end);
        }
    }

    /// Fills a part of a gap in the present file from the file of the other replica. Returns whether there was a gap to
    /// fill.
    pub(super) fn fill_gaps(&mut self, scratch: &mut MmapMut) -> io::Result<bool> {
        match &self.pair {
            Some(pair) => {
                let has_ended = self.end.is_some();
                let wait = has_ended.then_some(&mut self.gap_wait);
                fill_gap(&mut self.file, (pair, self.replica), has_ended, wait, scratch)
            }
            None => Ok(false),
        }
    }

    /// End of the durable sound in the file, as an offset in the spool.
    fn durable(&self) -> SpoolByte {
        self.file.start().to_spool(self.file.durable())
    }

    /// Frames of the pass that are in the file, durable or not.
    pub(super) fn written_frames(&self) -> Frames {
        self.frame_of(self.file.start().to_spool(self.file.written()))
    }

    /// Frames of the pass that are durable in this take without a gap before them.
    pub(super) fn durable_frames(&self) -> Frames {
        self.frame_of(self.first_gap().unwrap_or(SpoolByte(u64::MAX)).min(self.durable()))
    }

    /// Frames of the pass before the first one that is not durable in this take, in whichever file.
    pub(super) fn whole_frames(&self) -> Frames {
        let earlier = self.earlier.iter().filter_map(EarlierFile::first_gap).min();
        self.frame_of(earlier.unwrap_or(SpoolByte(u64::MAX))).min(self.durable_frames())
    }

    /// The first byte that the take lacks. A gap in an earlier file whose disk reports errors does not count: it must not keep
    /// the headers of all takes of the pass back.
    fn first_gap(&self) -> Option<SpoolByte> {
        let present = self.pair.as_ref().and_then(|pair| pair.first_gap(self.replica, self.file.start()));
        let earlier = self.earlier.iter().filter(|earlier| !earlier.is_troubled());
        earlier.filter_map(EarlierFile::first_gap).chain(present).min()
    }

    /// Looks whether sound of the take is in the other replica only. Looks at each sync tell whether a gap lasts.
    pub(super) fn look_for_gap(&mut self) {
        if self.missing_bytes() == 0 && self.file.note_repaired() {
            self.note_targets();
        }
        self.gap_since = self.first_gap().map(|_| self.gap_since.unwrap_or_else(host::now));
    }

    /// Whether each look for some seconds has found a gap.
    pub(super) fn has_lasting_gap(&self) -> bool {
        self.gap_since.is_some_and(|since| GAP_HOLD <= host::elapsed(since))
    }

    /// The offset in the file at which frame `end` of the pass begins; the start of the file's sound if that frame lies
    /// in an earlier file.
    pub(super) fn end_in_file(&self, end: Frames) -> FileByte {
        let bytes = (end.0 * self.file.frame_bytes() as u64).saturating_sub(self.file.start().bytes_before());
        FileByte::DATA + bytes
    }

    /// The offset from which on the sound may not be durable in the file: the start of a page and of a frame.
    pub(super) fn stuck_at(&self) -> SpoolByte {
        let first = self.written.front().or(self.pending.front());
        first.map_or(self.collected, |span| span.offset)
    }

    /// Whether the take has ended at or before frame `from`. Only its length and its header are missing then, and another
    /// file would begin behind the end of the pass.
    pub(super) fn has_sound_up_to(&self, from: Frames) -> bool {
        self.end.as_ref().is_some_and(|end| end.frames <= from)
    }

    /// Keeps the take where it is stuck for some time, and remembers that control was sent this position.
    pub(super) fn hold(&mut self) {
        self.stuck_reported_at = Some(self.stuck_at());
        self.held_until = Some(host::now() + HOLD);
    }

    /// Whether nothing is to be written to the file now.
    pub(super) fn is_held(&mut self) -> bool {
        self.held_until = self.held_until.filter(|until| host::now() < *until);
        self.held_until.is_some()
    }

    /// The frame of the pass at offset `at`.
    pub(super) fn frame_of(&self, at: SpoolByte) -> Frames {
        Frames((at - SpoolByte::DATA) / self.file.frame_bytes() as u64)
    }

    /// Writes the next file into the first page of the spool, for a recovery. The page exists, so the write needs no
    /// memory. If it fails, the take continues all the same: the session that lists the file is on a disk.
    pub(super) fn note_next_file(&self, next: &TakePlan) {
        if let Some(spool) = &self.spool {
            spool::note_next_file(&spool.file, next).ok();
        }
    }

    /// Continues in `file`, which begins where the take is stuck. The file before is finished later. `began`: timeline
    /// position at which the sound of `file` begins.
    pub(super) fn continue_in_file(&mut self, file: TakeFile, began: FramePos) {
        let at = file.start().0;
        debug_assert_eq!(at, self.stuck_at(), "the caller compares the two");
        self.requeue_unsynced();
        self.written_ahead = at;
        if let Some(pair) = &self.pair {
            pair.continue_in(self.replica, file.start(), Arc::clone(file.file()));
            // The file before ends at `at`. What was filled there behind that is to be filled in the new file.
            for (start, end) in self.refilled.drain(..).filter_map(|filled| filled.from(at)) {
                pair.add_gap(self.replica, start, end);
            }
        }
        self.gap_wait = GapWait::default();
        let mut before = std::mem::replace(&mut self.file, file);
        before.forget_filled();
        let frames = self.frame_of(at) - self.frame_of(before.start().0);
        let began = FramePos(began.0.saturating_sub(frames.0));
        let end = TakeEnd { frames, began, ..TakeEnd::default() };
        let pair = self.pair.clone().filter(|_| frames > Frames(0));
        let (pair, changes) = (pair.map(|pair| (pair, self.replica)), std::mem::take(&mut self.changes));
        self.earlier.push(EarlierFile::new(self.earlier_count, before, end, pair, changes));
        self.earlier_count += 1;
        self.note_targets();
        (self.trouble, self.stuck_reported_at, self.failures, self.held_until) = (None, None, 0, None);
        // The file before had no name, or the largest size. The next one is new.
        (self.is_nameless, self.is_size_limit) = (false, false);
    }

    /// Puts the file back if another program has removed it. Returns the message for the user. In `in-place` the windows
    /// map the file, so that only its end can put it back.
    pub(super) fn put_back_if_removed(&mut self) -> io::Result<Option<String>> {
        if self.spool.is_none() {
            return Ok(None);
        }
        if self.file.has_name() {
            // Another program can also give the file its name back.
            self.is_nameless = false;
            return Ok(None);
        }
        let message = self.file.put_back_if_removed().inspect_err(|_| self.is_nameless = true)?;
        self.is_nameless = false;
        if message.is_some() {
            self.note_targets();
            if let Some(pair) = &self.pair {
                pair.replace_file(self.replica, self.file.start(), self.file.file());
            }
            if let Some(entry) = self.entry.as_ref().filter(|_| self.earlier_count == 0) {
                entry.opened(self.file.file());
            }
        }
        Ok(message)
    }

    /// Whether the present file may lack sound because of other programs.
    pub(super) fn may_lack_sound(&self) -> bool {
        // A file that gets all of its sound from the session's file lacks what that file has lost.
        let lacks_too = || self.copies_from_session() && self.pair.as_ref().is_some_and(|pair| pair.are_both_changed());
        self.changes.may_lack_sound(&self.file, self.pair.as_deref().map(|pair| (pair, self.replica))) || lacks_too()
    }

    /// Ends the file of a take that has all its spans. Returns the message for the user if the file was put back.
    pub(super) fn end_with(&mut self, end: &TakeEnd) -> io::Result<Option<String>> {
        if !self.pending.is_empty() || !self.written.is_empty() {
            return Err(io::Error::other("sound is left in the spool"));
        }
        if self.missing_bytes() > 0 || !self.earlier.is_empty() {
            return Err(io::Error::other("parts are in the other copy only"));
        }
        // Its length would hide the change.
        if self.waits_for_mark() {
            return Err(io::Error::other(
                "another program cut it short or wrote to it, and its header cannot be written",
            ));
        }
        let before = self.frame_of(self.file.start().0);
        let began = end.began + before;
        let number = self.file.lasting_number();
        let finished = self.file.finish(end.frames - before, &TakeEnd { began, ..end.clone() });
        // The file may have been put back.
        if number != self.file.lasting_number() {
            self.note_targets();
        }
        finished
    }

    /// Whether sound may be missing from the file although every later call succeeded.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Gives the take up. Spans that the session's file lacks stay in the spool, whatever the mirror has.
    pub(super) fn abandon(&mut self, disk: &DiskPublished) {
        if self.spool.is_none() {
            // The file has this sound too, although its header does not give it.
            self.lend_file(self.collected);
        }
        if let Some(pair) = &self.pair {
            pair.set_ended(self.replica);
        }
        for span in self.pending.drain(..).chain(self.written.drain(..)) {
            match self.replica {
                Replica::Session => account(&span, disk),
                Replica::Mirror if span.release(Replica::Mirror) => give_back(&span, disk),
                Replica::Mirror => {}
            }
        }
    }
}

impl WriteBehind {
    /// Starts writeback of the sound that lies far enough behind the newest of `run` spans.
    pub(super) fn start_writing(&mut self, file: &File, spans: &VecDeque<Arc<SpanToCommit>>, run: usize) {
        let Some(newest) = spans.get(run.saturating_sub(1)) else { return };
        // In `in-place` a take stays in its first file.
        let end = FileByte(FileStart::FIRST.to_file(newest.end()).0.saturating_sub(WRITE_BEHIND_BYTES));
        if self.from < end {
            // The sync at the end of the take reports a failure.
            write_behind(file, self.from.0, end - self.from).ok();
            self.from = end;
        }
    }
}

/// Frees the slot of a span that no replica wants.
fn give_back(span: &SpanToCommit, disk: &DiskPublished) {
    account(span, disk);
    span.free_slot();
}

fn account(span: &SpanToCommit, disk: &DiskPublished) {
    disk.spans_mapped.fetch_sub(u64::from(span.is_mapped), Relaxed);
    disk.spool_bytes.fetch_sub(span.bytes as u64, Relaxed);
    disk.backlog_bytes.fetch_sub(span.bytes as u64, Relaxed);
}

#[cfg(test)]
impl OpenTake {
    /// Lets time pass for a gap.
    pub(super) fn make_gap_older(&mut self) {
        self.gap_since = self.gap_since.and_then(|since| since.checked_sub(GAP_HOLD));
    }

    /// Lets time pass for an end that waits for the mirror.
    pub(super) fn make_gap_wait_older(&mut self) {
        let waits = self.earlier.iter_mut().map(EarlierFile::gap_wait);
        waits.chain([&mut self.gap_wait]).for_each(GapWait::make_older);
    }
}
