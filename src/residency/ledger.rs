//! The ledger: the disk side's own account of its windows, which are out, locked, filled, committed, durable. Thread:
//! butler, committer and read-ahead write, the watcher reads; audio never sees it.
//!
//! A writer enters a fact after the event and withdraws it before the event is undone. A reader that finds a window in
//! the ledger both before and after it has asked the kernel about the window's pages knows that they were mapped
//! meanwhile.
//!
//! Each window costs some entries of less than a microsecond, whether or not someone reads the ledger. A take or slot
//! stays in the ledger as long as a writer holds it.

use crate::limits;
use crate::lock::lock;
use crate::message::offset::SpoolByte;
use crate::message::spool_file::SpoolFile;
use crate::message::take::{TakeKey, TakePlan};
use crate::residency::window_events::{WindowEvents, WindowStep, monotonic_ns};
use crate::time::{FramePos, Frames};
use crate::window::map::Mapping;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

/// A moment, in milliseconds since the ledger was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The event has not happened.
    pub const NEVER: Stamp = Stamp(u64::MAX);

    /// Whether the event has happened.
    pub fn is_past(self) -> bool {
        self != Stamp::NEVER
    }

    /// Milliseconds from this moment to `now`; `None` if the event has not happened.
    pub fn age_ms(self, now: Stamp) -> Option<u64> {
        self.is_past().then(|| now.0.saturating_sub(self.0))
    }
}

/// The takes that are recorded and the slots that play.
#[derive(Debug)]
pub struct Ledger {
    clock: Instant,
    /// Nanoseconds of the monotonic clock at `clock`.
    clock_ns: u64,
    events: Arc<WindowEvents>,
    takes: Mutex<Vec<Weak<TakeLedger>>>,
    slots: Mutex<Vec<Weak<SlotLedger>>>,
}

/// The account of one take that is recorded. Offsets are those of the spool; see [`SpoolByte`].
#[derive(Debug)]
pub struct TakeLedger {
    pub key: TakeKey,
    /// Identity of the take in the session.
    pub identity: uuid::Uuid,
    /// The WAV file that the take began in.
    pub path: Arc<PathBuf>,
    pub frame_bytes: usize,
    /// Sample rate in hertz.
    pub rate: u32,
    /// Timeline position at which the sound of the take was planned to begin.
    pub start: FramePos,
    /// Frames of the take that would lie before the timeline; the next one is at `start`.
    pub head: Frames,
    clock: Instant,
    events: Arc<WindowEvents>,
    wav: Mutex<Option<Arc<File>>>,
    spool: OnceLock<Arc<SpoolFile>>,
    state: Mutex<TakeState>,
}

#[derive(Debug)]
struct TakeState {
    marks: Marks,
    spans: VecDeque<LedgerSpan>,
    version: u64,
}

/// Progress of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// End of the windows that were handed to the audio thread.
    pub supplied: u64,
    /// End of the recorded frames in the windows that came back.
    pub collected: u64,
    /// End of the sound that was written to the WAV file (in `in-place`: whose writeback was started).
    pub committed: u64,
    /// End of the sound that outlives a power cut.
    pub durable: u64,
    /// Duration of the last write, in microseconds.
    pub commit_us: u32,
    /// The last thread or step that changed the take, and the moment.
    pub last: (Actor, Stamp),
}

/// A thread or step that changes a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nothing has changed the take yet.
    Nobody,
    /// The butler, which handed a window over.
    Butler,
    /// The audio thread, which filled a window and gave it back.
    Audio,
    /// The committer, which wrote.
    Committer,
    /// The sync, which made sound durable.
    Sync,
}

/// One window of a take and its later history. The ledger keeps it for [`limits::LEDGER_HISTORY_MS`] after it was
/// handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerSpan {
    /// Offset of the first byte; whole pages.
    pub offset: u64,
    /// Length in bytes; whole pages.
    pub bytes: u32,
    /// Address of the mapping while the window is out.
    pub address: usize,
    /// Whether the pages were locked.
    pub locked: bool,
    /// Whether the audio thread wrote to it. Known when the window comes back.
    pub touched: bool,
    /// Duration of the write, in microseconds.
    pub commit_us: u32,
    /// The butler handed the window to the audio thread.
    pub supplied: Stamp,
    /// The window came back.
    pub collected: Stamp,
    /// The committer wrote it.
    pub committed: Stamp,
    /// The disk reported it durable.
    pub durable: Stamp,
}

impl LedgerSpan {
    /// Offset after the last byte.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.bytes)
    }

    /// Whether the audio thread has the window.
    pub fn is_out(&self) -> bool {
        !self.collected.is_past()
    }
}

/// A copy of the account of a range of a take, made at one moment.
#[derive(Clone, Debug)]
pub struct TakeView {
    pub marks: Marks,
    /// The windows in the range, in order, including those that are out.
    pub spans: Vec<LedgerSpan>,
    /// Changes with every entry.
    pub version: u64,
}

/// The account of one slot that plays.
#[derive(Debug)]
pub struct SlotLedger {
    /// Index of the slot.
    pub slot: usize,
    /// Sample rate in hertz.
    pub rate: u32,
    clock: Instant,
    events: Arc<WindowEvents>,
    state: Mutex<(Vec<SlotSpan>, u64)>,
}

/// One playback window that is out.
#[derive(Clone, Debug)]
pub struct SlotSpan {
    /// Path of the file that it maps.
    pub path: Arc<PathBuf>,
    /// The open file.
    pub file: Arc<File>,
    /// Length of the file when it was opened.
    pub file_bytes: u64,
    /// Offset in the file of the first byte of sound.
    pub data_offset: u64,
    pub frame_bytes: usize,
    /// Offset in the file of the mapping; whole pages.
    pub offset: u64,
    /// Bytes from the start of the mapping to the first frame to play.
    pub skip_bytes: usize,
    /// Stream frame of that frame.
    pub start: u64,
    /// Frames to play.
    pub frames: u64,
    /// The locate that the window belongs to.
    pub epoch: u32,
    /// Length of the mapping in bytes; whole pages.
    pub bytes: u32,
    /// Address of the mapping.
    pub address: usize,
    /// Whether the pages are locked.
    pub locked: bool,
    /// The read-ahead handed the window to the audio thread.
    pub supplied: Stamp,
}

impl SlotSpan {
    /// Offset in the file after the end of the mapping.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.bytes)
    }
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger {
            clock: Instant::now(),
            clock_ns: monotonic_ns(),
            events: Arc::default(),
            takes: Mutex::default(),
            slots: Mutex::default(),
        }
    }
}

impl Ledger {
    pub fn now(&self) -> Stamp {
        stamp(self.clock)
    }

    /// The moment of a reading of the monotonic clock.
    pub fn stamp_at(&self, monotonic_ns: u64) -> Stamp {
        Stamp(monotonic_ns.saturating_sub(self.clock_ns) / 1_000_000)
    }

    /// The last events of all windows.
    pub fn events(&self) -> &WindowEvents {
        &self.events
    }

    /// A committer has made everything recorded durable, and needed `took` for it.
    pub fn synced(&self, took: Duration) {
        self.events.note(WindowStep::Synced, &Arc::default(), 0, 0, took);
    }

    /// The account of a take, made if there is none yet.
    pub fn take(&self, plan: &TakePlan) -> Arc<TakeLedger> {
        let mut takes = lock(&self.takes);
        takes.retain(|take| take.strong_count() > 0);
        if let Some(take) = takes.iter().filter_map(Weak::upgrade).find(|take| take.key == plan.key) {
            return take;
        }
        let take = Arc::new(TakeLedger::new(plan, self.clock, Arc::clone(&self.events)));
        takes.push(Arc::downgrade(&take));
        take
    }

    /// A new account of a slot.
    pub fn slot(&self, slot: usize, rate: u32) -> Arc<SlotLedger> {
        let mut slots = lock(&self.slots);
        slots.retain(|slot| slot.strong_count() > 0);
        let events = Arc::clone(&self.events);
        let entry = Arc::new(SlotLedger { slot, rate, clock: self.clock, events, state: Mutex::default() });
        slots.push(Arc::downgrade(&entry));
        entry
    }

    /// Every take that is recorded, in the order of its pass.
    pub fn takes(&self) -> Vec<Arc<TakeLedger>> {
        lock(&self.takes).iter().filter_map(Weak::upgrade).collect()
    }

    /// Every slot that plays, in the order of their indices.
    pub fn slots(&self) -> Vec<Arc<SlotLedger>> {
        let mut slots: Vec<_> = lock(&self.slots).iter().filter_map(Weak::upgrade).collect();
        slots.sort_by_key(|entry| entry.slot);
        slots
    }
}

impl TakeLedger {
    fn new(plan: &TakePlan, clock: Instant, events: Arc<WindowEvents>) -> TakeLedger {
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
            head: plan.head,
            clock,
            events,
            wav: Mutex::default(),
            spool: OnceLock::new(),
            state: Mutex::new(TakeState { marks, spans: VecDeque::new(), version: 0 }),
        }
    }

    /// The WAV file that the take began in, or the one that was put in its place when another program had removed it. `None`
    /// before the committer has created it.
    pub fn wav(&self) -> Option<Arc<File>> {
        lock(&self.wav).clone()
    }

    /// The spool file; `None` in `in-place`.
    pub fn spool(&self) -> Option<&Arc<SpoolFile>> {
        self.spool.get()
    }

    /// The committer has created the WAV file, or put another one in the place of one that was removed.
    pub fn opened(&self, wav: &Arc<File>) {
        *lock(&self.wav) = Some(Arc::clone(wav));
    }

    /// The butler has created the spool file.
    pub fn spooled(&self, spool: &Arc<SpoolFile>) {
        self.spool.get_or_init(|| Arc::clone(spool));
    }

    /// The butler is about to hand the window with the `bytes` bytes from `offset` on to the audio thread. Its mapping may
    /// be longer.
    pub fn supplied(&self, offset: SpoolByte, bytes: usize, window: &Mapping) {
        let span = LedgerSpan {
            offset: offset.0,
            bytes: bytes as u32,
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
        self.events.note(WindowStep::HandedOver, &self.path, span.offset, u64::from(span.bytes), Duration::ZERO);
    }

    /// The window that begins at `offset` came back with `recorded_bytes` bytes before the record position. The butler
    /// is about to unlock it.
    pub fn collected(&self, offset: SpoolByte, recorded_bytes: usize, touched: bool) {
        self.state().collected(offset.0, recorded_bytes as u64, touched, stamp(self.clock));
        self.events.note(WindowStep::GivenBack, &self.path, offset.0, recorded_bytes as u64, Duration::ZERO);
    }

    /// No window is out any more.
    pub fn abandoned(&self) {
        let now = stamp(self.clock);
        let mut state = self.state();
        state.version += 1;
        state.spans.iter_mut().filter(|span| span.is_out()).for_each(|span| span.collected = now);
    }

    /// The sound before `end` was written; the last write took `took`.
    pub fn committed(&self, end: SpoolByte, took: Duration) {
        let from = self.state().committed(end.0, took.as_micros() as u32, stamp(self.clock));
        self.events.note(WindowStep::Committed, &self.path, from, end.0.saturating_sub(from), took);
    }

    /// The sound before `end` outlives a power cut.
    pub fn durable(&self, end: SpoolByte) {
        let from = self.state().durable(end.0, stamp(self.clock));
        if from < end.0 {
            self.events.note(WindowStep::Durable, &self.path, from, end.0 - from, Duration::ZERO);
        }
    }

    /// The window that was mapped at `address` and out at the moment `at`, and the byte of the take at that address.
    pub fn window_at(&self, address: u64, at: Stamp) -> Option<(LedgerSpan, u64)> {
        let state = self.state();
        // Later windows may have the addresses of earlier ones. A stamp is exact to a millisecond.
        let was_out = |span: &&LedgerSpan| span.supplied <= at && at <= span.collected;

        state.spans.iter().rev().filter(was_out).find_map(|span| {
            let offset = address.checked_sub(span.address as u64)?;
            (offset < u64::from(span.bytes)).then_some((*span, span.offset + offset))
        })
    }

    pub fn marks(&self) -> Marks {
        self.state().marks
    }

    /// The present value of [`TakeView::version`].
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// The account of bytes `from..to` of the take.
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
        let at_offset = self.spans.iter_mut().rev().find(|span| span.offset <= offset);
        if let Some(span) = at_offset.filter(|span| span.offset == offset) {
            (span.collected, span.touched) = (now, touched);
        }
    }

    /// Returns the end of the sound that was written before.
    fn committed(&mut self, end: u64, us: u32, now: Stamp) -> u64 {
        self.note(Actor::Committer, now);
        let from = self.first_without(|span| span.committed);
        for span in self.spans.range_mut(from..).take_while(|span| span.offset < end && !span.is_out()) {
            (span.committed, span.commit_us) = (now, us);
        }
        self.marks.commit_us = us;
        let before = self.marks.committed;
        self.marks.committed = before.max(end);
        before
    }

    /// Returns the end of the sound that was durable before.
    fn durable(&mut self, end: u64, now: Stamp) -> u64 {
        self.note(Actor::Sync, now);
        let from = self.first_without(|span| span.durable);
        for span in self.spans.range_mut(from..).take_while(|span| span.offset < end && span.committed.is_past()) {
            span.durable = now;
        }
        let before = self.marks.durable;
        self.marks.durable = before.max(end);
        before
    }

    /// The first of the last spans to which an event has not happened. They are few: a search among all spans would read more
    /// memory.
    fn first_without(&self, event: impl Fn(&LedgerSpan) -> Stamp) -> usize {
        self.spans.len() - self.spans.iter().rev().take_while(|span| !event(span).is_past()).count()
    }

    fn note(&mut self, actor: Actor, now: Stamp) {
        self.version += 1;
        self.marks.last = (actor, now);
    }
}

impl SlotLedger {
    /// The read-ahead is about to hand a window over. The mapping's own facts in `span` are filled in from `window`.
    pub fn supplied(&self, mut span: SlotSpan, window: &Mapping) {
        span.bytes = window.len() as u32;
        (span.address, span.locked) = (window.address(), window.is_locked());
        span.supplied = stamp(self.clock);
        self.events.note(
            WindowStep::PlaybackHandedOver,
            &span.path,
            span.offset,
            u64::from(span.bytes),
            Duration::ZERO,
        );
        let mut state = lock(&self.state);
        state.1 += 1;
        state.0.push(span);
    }

    /// A window came back. The read-ahead is about to unmap it.
    pub fn collected(&self, window: &Mapping) {
        let mut state = lock(&self.state);
        state.1 += 1;
        if let Some(at) = state.0.iter().position(|span| span.address == window.address()) {
            let span = state.0.remove(at);
            let (byte, bytes) = (span.offset, u64::from(span.bytes));
            self.events.note(WindowStep::PlaybackGivenBack, &span.path, byte, bytes, Duration::ZERO);
        }
    }

    /// The windows that are out, in the order in which they were handed over, and a number that changes with them.
    pub fn view(&self) -> (Vec<SlotSpan>, u64) {
        lock(&self.state).clone()
    }

    /// The present number of [`SlotLedger::view`].
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
            head: Frames(0),
        }
    }

    fn window(file: &File, offset: u64) -> Mapping {
        Mapping::writable(file, offset, 8192).unwrap()
    }

    #[test]
    fn the_ledger_contains_every_step_of_a_window() {
        let (ledger, file) = (Ledger::default(), tempfile::tempfile().unwrap());
        file.set_len(1 << 20).unwrap();
        let take = ledger.take(&plan());
        for offset in [4096, 12_288, 20_480] {
            take.supplied(SpoolByte(offset), 8192, &window(&file, offset));
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
    fn the_ledger_of_a_take_is_bounded() {
        let (ledger, file) = (Ledger::default(), tempfile::tempfile().unwrap());
        file.set_len(8192).unwrap();
        let (take, map) = (ledger.take(&plan()), window(&file, 0));
        for index in 0..2 * limits::LEDGER_SPANS_MAX as u64 {
            take.supplied(SpoolByte(4096 + index * 8192), 8192, &map);
            take.collected(SpoolByte(4096 + index * 8192), 8192, true);
        }
        assert_eq!(take.view(0, u64::MAX).spans.len(), limits::LEDGER_SPANS_MAX);
    }
}
