//! What the disk side believes about its windows: which are out, locked, filled, committed, durable. Thread: butler,
//! committer and read-ahead write, the watcher reads; the audio thread never sees it.
//!
//! A ledger entry is stated after the thing is done and withdrawn before it is undone. So whoever finds a window here before
//! and after he asked the kernel about its pages knows that they were mapped all the while.
//!
//! One note a window keeps the cost below a microsecond some times a second and take, watched or not. A ledger entry lives
//! as long as a writer holds it; nobody has to end one.

use crate::limits;
use crate::lock::lock;
use crate::message::offset::SpoolByte;
use crate::message::spool_file::SpoolFile;
use crate::message::take::{TakeKey, TakePlan};
use crate::time::FramePos;
use crate::window::map::Mapping;
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

/// A moment: milliseconds since the ledger entries were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

impl Stamp {
    /// It has not happened.
    pub const NEVER: Stamp = Stamp(u64::MAX);

    /// Whether it has happened.
    pub fn is_past(self) -> bool {
        self != Stamp::NEVER
    }

    /// Milliseconds from here to `now`; `None` if it has not happened.
    pub fn age_ms(self, now: Stamp) -> Option<u64> {
        self.is_past().then(|| now.0.saturating_sub(self.0))
    }
}

/// Everything that is believed now.
#[derive(Debug)]
pub struct Ledger {
    clock: Instant,
    takes: Mutex<Vec<Weak<TakeLedger>>>,
    slots: Mutex<Vec<Weak<SlotLedger>>>,
}

/// One take that is being recorded.
#[derive(Debug)]
pub struct TakeLedger {
    /// Its key.
    pub key: TakeKey,
    /// Its identity, as the session knows it.
    pub identity: uuid::Uuid,
    /// The WAV file.
    pub path: Arc<PathBuf>,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Frames a second.
    pub rate: u32,
    /// Where on the timeline it was to begin.
    pub start: FramePos,
    clock: Instant,
    wav: OnceLock<Arc<File>>,
    spool: OnceLock<Arc<SpoolFile>>,
    state: Mutex<TakeState>,
}

#[derive(Debug)]
struct TakeState {
    marks: Marks,
    spans: VecDeque<LedgerSpan>,
    version: u64,
}

/// How far a take has come, in bytes of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// End of the windows that were handed to the audio thread.
    pub supplied: u64,
    /// End of what the record position has passed in windows that came back.
    pub collected: u64,
    /// End of what was written to the WAV (in `in-place`: whose writing was started).
    pub committed: u64,
    /// End of what is known to outlive a power cut.
    pub durable: u64,
    /// Microseconds that the last commit took.
    pub commit_us: u32,
    /// Who was the last to touch the take, and when.
    pub last: (Actor, Stamp),
}

/// Who touched something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody yet.
    Nobody,
    /// The butler handed a window over.
    Butler,
    /// The audio thread filled a window and gave it back.
    Audio,
    /// The committer wrote.
    Committer,
    /// The committer made it durable.
    Sync,
}

/// One window of a take and what became of it. Kept for [`limits::LEDGER_HISTORY_MS`] after it was supplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerSpan {
    /// Byte of the file where it begins; whole pages.
    pub offset: u64,
    /// Its bytes; whole pages.
    pub bytes: u32,
    /// Where it is mapped, while it is out.
    pub address: usize,
    /// Whether the kernel was made to keep its pages.
    pub locked: bool,
    /// Whether anything was written to it. Said when it comes back.
    pub touched: bool,
    /// Microseconds that the commit took.
    pub commit_us: u32,
    /// When it was handed to the audio thread.
    pub supplied: Stamp,
    /// When it came back.
    pub collected: Stamp,
    /// When it was written.
    pub committed: Stamp,
    /// When it became durable.
    pub durable: Stamp,
}

impl LedgerSpan {
    /// Byte of the file where it ends.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.bytes)
    }

    /// Whether the audio thread has it.
    pub fn is_out(&self) -> bool {
        !self.collected.is_past()
    }
}

/// What is believed about a stretch of a take, copied at one moment.
#[derive(Clone, Debug)]
pub struct TakeView {
    /// How far the take has come.
    pub marks: Marks,
    /// Windows in the stretch, in order; those that are out among them.
    pub spans: Vec<LedgerSpan>,
    /// Changes whenever anything is stated or withdrawn.
    pub version: u64,
}

/// One slot that plays.
#[derive(Debug)]
pub struct SlotLedger {
    /// The slot.
    pub slot: usize,
    /// Frames a second.
    pub rate: u32,
    clock: Instant,
    state: Mutex<(Vec<SlotSpan>, u64)>,
}

/// One playback window that is out.
#[derive(Clone, Debug)]
pub struct SlotSpan {
    /// The file that it shows.
    pub path: Arc<PathBuf>,
    /// The same, open.
    pub file: Arc<File>,
    /// Bytes of the file when it was opened.
    pub file_bytes: u64,
    /// Byte of the file where its sound begins.
    pub data_offset: u64,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Byte of the file where the mapping begins; whole pages.
    pub offset: u64,
    /// Bytes from there to the first frame that is heard.
    pub skip_bytes: usize,
    /// Stream frame of that frame.
    pub start: u64,
    /// Frames that are heard.
    pub frames: u64,
    /// The locate that it belongs to.
    pub epoch: u32,
    /// Bytes of the mapping; whole pages.
    pub bytes: u32,
    /// Where it is mapped.
    pub address: usize,
    /// Whether the kernel was made to keep its pages.
    pub locked: bool,
    /// When it was handed to the audio thread.
    pub supplied: Stamp,
}

impl SlotSpan {
    /// Byte of the file where the mapping ends.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.bytes)
    }
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { clock: Instant::now(), takes: Mutex::default(), slots: Mutex::default() }
    }
}

impl Ledger {
    /// Now.
    pub fn now(&self) -> Stamp {
        stamp(self.clock)
    }

    /// The ledger entry about a take; made if there is none yet.
    pub fn take(&self, plan: &TakePlan) -> Arc<TakeLedger> {
        let mut takes = lock(&self.takes);
        takes.retain(|take| take.strong_count() > 0);
        if let Some(take) = takes.iter().filter_map(Weak::upgrade).find(|take| take.key == plan.key) {
            return take;
        }
        let take = Arc::new(TakeLedger::new(plan, self.clock));
        takes.push(Arc::downgrade(&take));
        take
    }

    /// A new ledger entry about a slot.
    pub fn slot(&self, slot: usize, rate: u32) -> Arc<SlotLedger> {
        let mut slots = lock(&self.slots);
        slots.retain(|slot| slot.strong_count() > 0);
        let entry = Arc::new(SlotLedger { slot, rate, clock: self.clock, state: Mutex::default() });
        slots.push(Arc::downgrade(&entry));
        entry
    }

    /// Every take that is being recorded, in the order of its pass.
    pub fn takes(&self) -> Vec<Arc<TakeLedger>> {
        lock(&self.takes).iter().filter_map(Weak::upgrade).collect()
    }

    /// Every slot that plays, in order.
    pub fn slots(&self) -> Vec<Arc<SlotLedger>> {
        let mut slots: Vec<_> = lock(&self.slots).iter().filter_map(Weak::upgrade).collect();
        slots.sort_by_key(|entry| entry.slot);
        slots
    }
}

impl TakeLedger {
    fn new(plan: &TakePlan, clock: Instant) -> TakeLedger {
        let start = limits::DATA_OFFSET;
        let last = (Actor::Nobody, Stamp::NEVER);
        let marks = Marks { supplied: start, collected: start, committed: start, durable: start, commit_us: 0, last };
        TakeLedger {
            key: plan.key,
            identity: plan.identity,
            path: Arc::new(plan.path.clone()),
            frame_bytes: plan.frame_bytes(),
            rate: plan.header.rate,
            start: FramePos(plan.header.bext.time_reference),
            clock,
            wav: OnceLock::new(),
            spool: OnceLock::new(),
            state: Mutex::new(TakeState { marks, spans: VecDeque::new(), version: 0 }),
        }
    }

    /// The WAV file, once it was made.
    pub fn wav(&self) -> Option<&Arc<File>> {
        self.wav.get()
    }

    /// The spool file; `None` in `in-place`.
    pub fn spool(&self) -> Option<&Arc<SpoolFile>> {
        self.spool.get()
    }

    /// Says that the WAV file is there.
    pub fn opened(&self, wav: &Arc<File>) {
        self.wav.get_or_init(|| Arc::clone(wav));
    }

    /// Says where captured sound goes first.
    pub fn spooled(&self, spool: &Arc<SpoolFile>) {
        self.spool.get_or_init(|| Arc::clone(spool));
    }

    /// Says that a window that begins at byte `offset` is about to be handed to the audio thread.
    pub fn supplied(&self, offset: SpoolByte, window: &Mapping) {
        let span = LedgerSpan {
            offset: offset.0,
            bytes: window.len() as u32,
            address: window.address(),
            locked: window.is_locked(),
            touched: false,
            commit_us: 0,
            supplied: stamp(self.clock),
            collected: Stamp::NEVER,
            committed: Stamp::NEVER,
            durable: Stamp::NEVER,
        };
        self.state().supplied(span);
    }

    /// Says that the window that begins at byte `offset` came back with `recorded_bytes` bytes behind the record
    /// position, and is about to be unlocked.
    pub fn collected(&self, offset: SpoolByte, recorded_bytes: usize, touched: bool) {
        self.state().collected(offset.0, recorded_bytes as u64, touched, stamp(self.clock));
    }

    /// Says that no window is out any more.
    pub fn abandoned(&self) {
        let now = stamp(self.clock);
        let mut state = self.state();
        state.version += 1;
        state.spans.iter_mut().filter(|span| span.is_out()).for_each(|span| span.collected = now);
    }

    /// Says that everything up to byte `end` was written, and how long the last write took.
    pub fn committed(&self, end: SpoolByte, took: Duration) {
        self.state().committed(end.0, took.as_micros() as u32, stamp(self.clock));
    }

    /// Says that everything up to byte `end` outlives a power cut.
    pub fn durable(&self, end: SpoolByte) {
        self.state().durable(end.0, stamp(self.clock));
    }

    /// How far the take has come.
    pub fn marks(&self) -> Marks {
        self.state().marks
    }

    /// What [`TakeView::version`] would be now.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// What is believed about bytes `from..to` of the file.
    pub fn view(&self, from: u64, to: u64) -> TakeView {
        let state = self.state();
        let first = state.spans.partition_point(|span| span.end() <= from);
        let spans = state.spans.range(first..).take_while(|span| span.offset < to).copied().collect();
        TakeView { marks: state.marks, spans, version: state.version }
    }

    fn state(&self) -> MutexGuard<'_, TakeState> {
        lock(&self.state)
    }
}

impl TakeState {
    fn supplied(&mut self, span: LedgerSpan) {
        self.note(Actor::Butler, span.supplied);
        self.marks.supplied = span.end();
        let old = |kept: &LedgerSpan| limits::LEDGER_HISTORY_MS < kept.supplied.age_ms(span.supplied).unwrap_or(0);
        while self
            .spans
            .front()
            .is_some_and(|kept| limits::LEDGER_SPANS_MAX <= self.spans.len() || (!kept.is_out() && old(kept)))
        {
            self.spans.pop_front();
        }
        self.spans.push_back(span);
    }

    fn collected(&mut self, offset: u64, recorded: u64, touched: bool, now: Stamp) {
        self.note(Actor::Audio, now);
        if recorded > 0 {
            self.marks.collected = self.marks.collected.max(offset + recorded);
        }
        let at = self.spans.partition_point(|span| span.offset < offset);
        if let Some(span) = self.spans.get_mut(at).filter(|span| span.offset == offset) {
            (span.collected, span.touched) = (now, touched);
        }
    }

    fn committed(&mut self, end: u64, us: u32, now: Stamp) {
        self.note(Actor::Committer, now);
        let from = self.spans.partition_point(|span| span.committed.is_past());
        for span in self.spans.range_mut(from..).take_while(|span| span.offset < end && !span.is_out()) {
            (span.committed, span.commit_us) = (now, us);
        }
        self.marks.committed = self.marks.committed.max(end);
        self.marks.commit_us = us;
    }

    fn durable(&mut self, end: u64, now: Stamp) {
        self.note(Actor::Sync, now);
        let from = self.spans.partition_point(|span| span.durable.is_past());
        for span in self.spans.range_mut(from..).take_while(|span| span.offset < end && span.committed.is_past()) {
            span.durable = now;
        }
        self.marks.durable = self.marks.durable.max(end);
    }

    fn note(&mut self, actor: Actor, now: Stamp) {
        self.version += 1;
        self.marks.last = (actor, now);
    }
}

impl SlotLedger {
    /// Says that a window is about to be handed to the audio thread. `span` is whole but for what `window` knows.
    pub fn supplied(&self, mut span: SlotSpan, window: &Mapping) {
        span.bytes = window.len() as u32;
        (span.address, span.locked) = (window.address(), window.is_locked());
        span.supplied = stamp(self.clock);
        let mut state = lock(&self.state);
        state.1 += 1;
        state.0.push(span);
    }

    /// Says that a window came back and is about to be unmapped.
    pub fn collected(&self, window: &Mapping) {
        let mut state = lock(&self.state);
        state.1 += 1;
        state.0.retain(|span| span.address != window.address());
    }

    /// Windows that are out, in the order in which they were supplied, and a number that changes with them.
    pub fn view(&self) -> (Vec<SlotSpan>, u64) {
        lock(&self.state).clone()
    }

    /// The number of [`SlotLedger::view`].
    pub fn version(&self) -> u64 {
        lock(&self.state).1
    }
}

fn stamp(clock: Instant) -> Stamp {
    Stamp(clock.elapsed().as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::wav::header::Header;

    fn plan() -> TakePlan {
        TakePlan {
            key: TakeKey(7),
            identity: uuid::Uuid::new_v4(),
            session: uuid::Uuid::new_v4(),
            path: PathBuf::from("/x/audio/In 1-1.wav"),
            header: Header::new(1, 48_000, TakeFormat::S24),
            pair: None,
        }
    }

    fn window(file: &File, offset: u64) -> Mapping {
        Mapping::writable(file, offset, 8192).unwrap()
    }

    #[test]
    fn a_window_goes_its_way_and_every_step_is_noted() {
        let (ledger, file) = (Ledger::default(), tempfile::tempfile().unwrap());
        file.set_len(1 << 20).unwrap();
        let take = ledger.take(&plan());
        for offset in [4096, 12_288, 20_480] {
            take.supplied(SpoolByte(offset), &window(&file, offset));
        }
        assert_eq!(take.marks().supplied, 28_672);
        take.collected(SpoolByte(4096), 8192, true);
        take.collected(SpoolByte(12_288), 100, true);
        take.committed(SpoolByte(12_388), Duration::from_micros(300));
        take.durable(SpoolByte(12_388));
        take.collected(SpoolByte(20_480), 0, false);
        let view = take.view(0, u64::MAX);
        assert_eq!((view.marks.collected, view.marks.committed, view.marks.durable), (12_388, 12_388, 12_388));
        let steps: Vec<_> =
            view.spans.iter().map(|s| (s.is_out(), s.committed.is_past(), s.durable.is_past(), s.commit_us)).collect();
        assert_eq!(steps, [(false, true, true, 300), (false, true, true, 300), (false, false, false, 0)]);
        assert_eq!(view.marks.last.0, Actor::Audio);
        assert_eq!(take.view(12_288, 12_289).spans.len(), 1);
    }

    #[test]
    fn a_ledger_entry_lives_as_long_as_its_holders() {
        let ledger = Ledger::default();
        let (first, again) = (ledger.take(&plan()), ledger.take(&plan()));
        assert!(Arc::ptr_eq(&first, &again));
        drop(first);
        assert_eq!(ledger.takes().len(), 1);
        drop(again);
        assert!(ledger.takes().is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (ledger, file) = (Ledger::default(), tempfile::tempfile().unwrap());
        file.set_len(8192).unwrap();
        let (take, map) = (ledger.take(&plan()), window(&file, 0));
        for index in 0..2 * limits::LEDGER_SPANS_MAX as u64 {
            take.supplied(SpoolByte(4096 + index * 8192), &map);
            take.collected(SpoolByte(4096 + index * 8192), 8192, true);
        }
        assert_eq!(take.view(0, u64::MAX).spans.len(), limits::LEDGER_SPANS_MAX);
    }
}
