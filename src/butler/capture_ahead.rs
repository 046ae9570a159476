//! The butler: makes capture windows ahead of the record position, and collects filled windows behind it. Thread:
//! butler.
//!
//! The butler waits for its commands and for tmpfs (in `in-place`: for the disk), and for nothing else. See
//! [`window::capture`](crate::window::capture) for the life of a window.

use super::capabilities::{Capabilities, CapturePath};
use super::outbox::Outbox;
use super::plan::{self, Lead, Share};
use super::slot_supply::SlotSupply;
use super::spool;
use crate::host;
use crate::limits;
use crate::message::disk::{ButlerCommand, CommitCommand, DiskEvent, PassWindows};
use crate::message::offset::SpoolByte;
use crate::message::outbox::Outbox as EventOutbox;
use crate::message::published::{NO_PASS, Published};
use crate::message::replica::{Replica, ReplicaPair};
use crate::message::span_to_commit::SpanToCommit;
use crate::message::spool_file::ProgressFile;
use crate::message::stats::DiskPublished;
use crate::message::take::{PassKey, TakeEnd, TakeKey, TakePlan};
use crate::residency::ledger::{Ledger, TakeLedger};
use crate::time::{FramePos, Frames};
use crate::window::budget::LockBudget;
use crate::window::capture::{ButlerCaptureWindows, CaptureWindow, capture_windows};
use crate::window::map::{Mapping, Populate};
use crate::window::progress_page::ProgressPage;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Looks at the rings in the time that a window takes to fill. The lead is at least two windows.
const TICKS_PER_WINDOW: u32 = 4;

/// Shortest time between two looks at the rings.
const TICK_MIN: Duration = Duration::from_millis(4);
/// Longest time between two looks at the rings.
const TICK_MAX: Duration = Duration::from_millis(80);

/// Longest time between two looks at all takes, also at those that seem to need nothing. Free slots of a take that stands
/// still are given back in such a look.
const LOOK_AT_ALL: Duration = Duration::from_secs(1);

/// Everything that the butler needs to start.
pub struct ButlerSetup {
    /// Capabilities that it may use.
    pub capabilities: Capabilities,
    /// Where the audio thread stores captured sound.
    pub capture_path: CapturePath,
    /// The budget of locked memory.
    pub budget: Arc<LockBudget>,
    /// Bytes of the budget that capture may use.
    pub capture_share: Share,
    /// Lead to aim at, in milliseconds.
    pub lead_ms: u64,
    /// Frames of the device's period.
    pub period_frames: usize,
    /// Whether the device keeps time. A device that does not waits until the spool has space, so that a full spool
    /// loses nothing and is not reported.
    pub keeps_time: bool,
    /// Bytes that the spool may hold.
    pub spool_bytes_max: u64,
    /// Numbers that the audio thread publishes.
    pub published: Arc<Published>,
    /// Numbers that the disk side publishes.
    pub disk: Arc<DiskPublished>,
    /// The ledger of windows.
    pub ledger: Arc<Ledger>,
    /// Commands from control.
    pub commands: Receiver<ButlerCommand>,
    /// The committer of each replica, indexed by [`Replica::index`].
    pub commit: Vec<Sender<CommitCommand>>,
    /// Events to control.
    pub events: Sender<DiskEvent>,
}

/// The butler, with the pass that it supplies.
pub struct Butler {
    setup: ButlerSetup,
    pass: Option<PreparedPass>,
    /// Commands that wait for the committers.
    outbox: Outbox,
    /// Events that wait for control.
    events: EventOutbox<DiskEvent>,
    spool_full_reported: bool,
    quitting: bool,
}

/// A pass with rings and windows.
struct PreparedPass {
    key: PassKey,
    takes: Vec<PreparedTake>,
    /// The positions of each take.
    positions: Vec<TakePositions>,
    lead: Lead,
    /// The place of the take that is supplied first, among those that need windows.
    first: usize,
    tick: Duration,
    /// The record position at the last look.
    recorded: FramePos,
    /// The time of the last look at all takes.
    looked_at_all: Instant,
}

/// The positions that decide whether a take needs the butler. They lie together, because the butler reads those of all takes at
/// each tick, while most takes need nothing.
#[derive(Clone, Copy)]
struct TakePositions {
    /// Where the next window begins.
    next: FramePos,
    /// A window may have come back when the record position is here. 0: the take has too few windows.
    due: FramePos,
}

/// One take of the pass: its ring and its windows.
struct PreparedTake {
    key: TakeKey,
    pair: Option<Arc<ReplicaPair>>,
    entry: Arc<TakeLedger>,
    windows: ButlerCaptureWindows,
    backing: Backing,
    frame_bytes: usize,
    window_bytes: usize,
    phase: usize,
    /// The spans of the windows that are out, in order, and the slot of each. In `in-place` the number means nothing.
    out: VecDeque<(plan::PlannedSpan, u32)>,
    /// End of the sound in the windows that came back.
    recorded: FramePos,
}

/// The file that windows map.
enum Backing {
    Spool(SlotSupply),
    Take(Arc<File>),
}

impl Butler {
    /// A butler without a pass.
    pub fn new(setup: ButlerSetup) -> Butler {
        let outbox = Outbox::new(setup.commit.clone());
        let events = EventOutbox::new(setup.events.clone());
        Butler { setup, pass: None, outbox, events, spool_full_reported: false, quitting: false }
    }

    /// Runs until it received `Quit` and every pass is finished.
    pub fn run(mut self) {
        loop {
            if self.pass.is_none() && self.outbox.is_empty() && self.events.is_empty() && !self.quitting {
                match host::receive(&self.setup.commands) {
                    Ok(command) => self.apply(command),
                    Err(_) => self.quitting = true,
                }
            } else {
                // A receive with a timeout would spin first, at every tick.
                host::sleep(self.pass.as_ref().map_or(TICK_MIN, |pass| pass.tick));
            }
            loop {
                match self.setup.commands.try_recv() {
                    Ok(command) => self.apply(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.quitting = true;
                        break;
                    }
                }
            }
            self.tick();
            if self.quitting {
                self.finish_orphan();
            }
            if self.quitting && self.pass.is_none() && self.outbox.is_done() && self.events.is_empty() {
                return;
            }
        }
    }

    fn apply(&mut self, command: ButlerCommand) {
        match command {
            ButlerCommand::Prepare { pass, takes, files, rate, mirrored } => {
                let mut notes = Vec::new();
                let replicas = if mirrored { vec![Replica::Session, Replica::Mirror] } else { vec![Replica::Session] };
                self.outbox.set_replicas(&replicas);
                let windows =
                    self.prepare(pass, &takes, &files, rate, &mut notes).map_err(|error| format!("spool: {error}"));
                self.send_event(DiskEvent::PassReady { pass, windows, notes });
            }
            ButlerCommand::Finish { pass, ends } => self.finish(pass, ends),
            ButlerCommand::RemoveMemory { memory } => spool::remove(&memory),
            ButlerCommand::Quit => self.quitting = true,
        }
    }

    fn prepare(
        &mut self,
        key: PassKey,
        takes: &[TakePlan],
        files: &[Arc<File>],
        rate: u32,
        notes: &mut Vec<String>,
    ) -> io::Result<PassWindows> {
        // Made before the windows: it is one page, and the one that must be locked.
        let (progress_page, progress_file) = self.make_progress(takes)?;
        let widest = takes.iter().map(TakePlan::frame_bytes).max().unwrap_or(1);
        let setup = &self.setup;
        let speed = u64::from(rate) * widest as u64;
        let period_bytes = setup.period_frames * widest;
        let lead = plan::lead(setup.capture_share, takes.len(), widest, speed, setup.lead_ms, period_bytes);
        let kept = plan::kept_slots(&lead, setup.capture_share.bytes, takes.len(), speed);
        let (mut ends, mut prepared) = (Vec::with_capacity(takes.len()), Vec::with_capacity(takes.len()));
        for (index, take) in takes.iter().enumerate() {
            let entry = setup.ledger.take(take);
            let window_bytes = plan::window_bytes(take.frame_bytes(), lead.window_bytes);
            let backing = match (setup.capture_path, files.get(index)) {
                (CapturePath::InPlace, Some(file)) => Backing::Take(Arc::clone(file)),
                _ => {
                    let (place, pass) = (&setup.capabilities.spool, spool::pass_of(takes));
                    let spool = Arc::new(spool::create(place, take, pass, window_bytes)?);
                    entry.spooled(&spool);
                    self.outbox.send_all(|| CommitCommand::Spooled { take: take.key, spool: Arc::clone(&spool) });
                    Backing::Spool(SlotSupply::new(spool, setup.capabilities.populate, kept, host::now()))
                }
            };
            let (audio, windows) = capture_windows(take.frame_bytes());
            ends.push(audio);
            prepared.push(PreparedTake {
                key: take.key,
                pair: take.pair.clone(),
                entry,
                windows,
                backing,
                frame_bytes: take.frame_bytes(),
                window_bytes,
                phase: index,
                recorded: FramePos(0),
                out: VecDeque::new(),
            });
        }
        let before = self.setup.budget.refused();
        let window = Duration::from_micros(lead.window_bytes as u64 * 1_000_000 / speed.max(1));
        let tick = (window / TICKS_PER_WINDOW).clamp(TICK_MIN, TICK_MAX);
        let positions = vec![TakePositions { next: FramePos(0), due: FramePos(0) }; prepared.len()];
        let (recorded, looked_at_all) = (FramePos(0), host::now());
        let (takes_of_pass, first) = (prepared, 0);
        self.pass =
            Some(PreparedPass { key, takes: takes_of_pass, positions, lead, first, tick, recorded, looked_at_all });
        self.setup.disk.lead_frames_min.store(u64::MAX, Relaxed);
        self.setup.disk.lead_frames_aim.store((lead.windows * lead.window_bytes / widest.max(1)) as u64, Relaxed);
        self.refill(FramePos(0));
        if self
            .pass
            .as_ref()
            .is_some_and(|pass| pass.takes.iter().any(|take| take.windows.waiting() < limits::LEAD_WINDOWS_MIN))
        {
            for take in self.pass.take().iter().flat_map(|pass| &pass.takes) {
                take.entry.abandoned();
                let spool_bytes: usize = take.out.iter().map(|(span, _)| span.bytes).sum();
                self.setup.disk.spool_bytes.fetch_sub(spool_bytes as u64, Relaxed);
            }
            return Err(io::Error::other(
                "not enough memory for the sound of so many tracks; close other programs, record fewer tracks, or allow more \
                 memory (--spool-limit, or Spool in the settings)",
            ));
        }
        let limit = self.setup.budget.limit() / 1024;
        let ahead = lead.windows as u64 * lead.window_bytes as u64 * 1000 / speed.max(1);
        if !lead.fits || before < self.setup.budget.refused() {
            notes.push(format!(
                "locked memory: {limit} KiB do not hold {} tracks, so the rest of their memory is resident but not locked; \
                 to raise the limit: 'ulimit -l', and --lock-limit or Locked memory in the settings",
                takes.len()
            ));
        } else if ahead < self.setup.lead_ms {
            notes.push(format!(
                "locked memory: {limit} KiB give {} tracks {ahead} ms of lead, and {} ms were asked for; to raise the limit: \
                 'ulimit -l', and --lock-limit or Locked memory in the settings",
                takes.len(),
                self.setup.lead_ms
            ));
        }
        Ok(PassWindows { takes: ends, progress_page, progress_file })
    }

    /// Makes the page that tells a recovery how far the pass has come.
    fn make_progress(&mut self, takes: &[TakePlan]) -> io::Result<(ProgressPage, Arc<ProgressFile>)> {
        let setup = &self.setup;
        let made = spool::create_progress(&setup.capabilities.spool, takes, setup.capture_path == CapturePath::Spool)?;
        let progress_page = ProgressPage::new(&made.file, setup.capabilities.populate, &setup.budget);
        let unfinished = AtomicUsize::new(takes.len());
        let file = Arc::new(ProgressFile { file: made.file, path: made.path, unfinished });
        for take in takes {
            // Only for the session's committer: recovery needs the page only while the session's file is incomplete.
            self.outbox
                .send(Replica::Session, CommitCommand::Progress { take: take.key, progress_page: Arc::clone(&file) });
        }
        Ok((progress_page?, file))
    }

    fn tick(&mut self) {
        let recorded = self.recorded().unwrap_or_default();
        self.collect(recorded);
        // Measured before the refill, because the lead that was left is the one that counts.
        self.measure_lead();
        self.refill(recorded);
        self.outbox.flush();
        self.events.flush().ok();
    }

    /// The record position; `None` while no pass is recorded.
    fn recorded(&self) -> Option<FramePos> {
        Some(self.setup.published.pass_frames.load(Relaxed)).filter(|frames| *frames != NO_PASS).map(FramePos)
    }

    /// Collects the windows that the audio thread has given back, and sends their spans to the committers. Takes back the
    /// slots that the committers have freed. Looks at the takes that are due at `recorded`, and now and then at all.
    fn collect(&mut self, recorded: FramePos) {
        let Some(pass) = &mut self.pass else { return };
        let (now, mut shrink) = (host::now(), limits::SPOOL_SHRINK_SLOTS);
        let is_short = self.setup.disk.is_spool_short(self.setup.spool_bytes_max);
        let every = is_short || LOOK_AT_ALL <= now.saturating_duration_since(pass.looked_at_all);
        if every {
            pass.looked_at_all = now;
        }
        for (take, _) in pass.takes.iter_mut().zip(&pass.positions).filter(|(_, at)| every || at.due <= recorded) {
            if let Backing::Spool(supply) = &mut take.backing {
                supply.collect_free(now, is_short, &mut shrink);
            }
            while let Some(window) = take.windows.collect() {
                // A window without recorded frames was only ready ahead: it says nothing about the record position.
                if window.recorded > Frames(0) {
                    take.recorded = take.recorded.max(window.start + window.recorded);
                }
                let slot = take.out.pop_front().map_or(0, |(_, slot)| slot);
                let mapped = self.setup.disk.spans_mapped.load(Relaxed);
                let unmap = limits::MAPPED_BACKLOG_MAX as u64 <= mapped;
                let span = take.span_of(window, slot, unmap, self.outbox.replicas());
                self.setup.disk.spans_mapped.fetch_add(u64::from(span.is_mapped), Relaxed);
                self.outbox.send_span(take.key, take.pair.as_ref(), span, &self.setup.disk);
            }
        }
    }

    /// Fills the rings of the takes that are due at `recorded` up to the lead. The take with the fewest windows comes first,
    /// because memory that lies ready in one ring does not help a take whose ring is empty.
    fn refill(&mut self, recorded: FramePos) {
        let Some(PreparedPass { takes, positions, lead, first, .. }) = &mut self.pass else { return };
        let setup = &self.setup;
        let mut full = false;
        let mut due: Vec<_> = takes.iter_mut().zip(positions).filter(|(_, at)| at.due <= recorded).collect();
        for (take, at) in &mut due {
            // Frames were lost faster than windows were made: continue at the record position.
            at.next = at.next.max(plan::window_start(recorded, take.frame_bytes));
        }
        let begin = due.len().min(*first);
        for windows in 1..=lead.windows {
            let (before, behind) = due.split_at_mut(begin);
            let mut made = false;
            for (take, at) in behind.iter_mut().chain(before) {
                if take.windows.waiting() < windows && take.windows.free_slots() > 0 {
                    let is_made = take.supply(at, setup);
                    (made, full) = (made || is_made, full || !is_made);
                }
            }
            // A take that gets nothing for a reason of its own does not keep the others from their lead.
            if full && !made {
                break;
            }
        }
        for (take, at) in &mut due {
            at.due = take.due(recorded, lead.windows);
        }
        // While memory is short, another take is the first one at each look.
        *first = if full && begin + 1 < due.len() { begin + 1 } else { 0 };
        setup.disk.memory_refused.store(full, Relaxed);
        if full != self.spool_full_reported && setup.keeps_time {
            self.spool_full_reported = full;
            let mebibytes = setup.disk.spool_bytes.load(Relaxed) >> 20;
            let (name, reason) = match setup.capture_path {
                CapturePath::Spool => ("spool", format!("{mebibytes} MiB are full or memory is short")),
                CapturePath::InPlace => ("in-place", "the disk of the takes is full or memory is short".to_owned()),
            };
            let replica = Replica::Session;
            self.send_event(if full {
                let reason = format!("{name}: {reason}; recording continues in the memory that is left");
                DiskEvent::Trouble { replica, reason }
            } else {
                DiskEvent::TroubleOver { replica, reason: format!("{name}: there is room again") }
            });
        }
    }

    fn measure_lead(&mut self) {
        let recorded = self.recorded();
        let (Some(pass), disk) = (&mut self.pass, &self.setup.disk) else {
            self.setup.disk.lead_frames.store(u64::MAX, Relaxed);
            return;
        };
        let Some(recorded) = recorded else { return };
        pass.recorded = recorded;
        let lead = pass.positions.iter().map(|take| take.next.since(recorded).0).min().unwrap_or(0);
        disk.lead_frames.store(lead, Relaxed);
        disk.lead_frames_min.fetch_min(lead, Relaxed);
    }

    /// Ends every take of the pass, with or without windows: the committers wait for each of them.
    fn finish(&mut self, key: PassKey, ends: Vec<(TakeKey, TakeEnd)>) {
        for take in self.pass.iter_mut().filter(|pass| pass.key == key).flat_map(|pass| &mut pass.takes) {
            if let Backing::Spool(supply) = &mut take.backing {
                supply.unlock_from_now_on();
            }
        }
        self.collect(FramePos::END);
        let mut supplies = Vec::new();
        if let Some(pass) = self.pass.take_if(|pass| pass.key == key) {
            let frames = ends.iter().map(|(_, end)| end.frames).max().unwrap_or_default();
            supplies = self.drop_pass(pass, frames);
        }
        for (take, end) in ends {
            self.outbox.send_all(|| CommitCommand::Finish { take, end: end.clone() });
        }
        // The committers should not wait for it.
        self.outbox.flush();
        supplies.into_iter().for_each(SlotSupply::close);
    }

    /// Ends a pass of `frames` frames. If windows did not come back, because the audio thread is gone, their spans are
    /// written from the spool, which contains their sound. Returns the slots, which the caller closes.
    fn drop_pass(&mut self, pass: PreparedPass, frames: Frames) -> Vec<SlotSupply> {
        let mut supplies = Vec::new();
        for take in pass.takes {
            take.entry.abandoned();
            for (span, slot) in take.out {
                // The span was handed over after the last frame, or its ring was lost. Everything before the end was
                // recorded.
                let recorded = FramePos(frames.0).since(span.start).min(span.frames);
                let recorded_bytes = recorded.0 as usize * take.frame_bytes;
                let replicas = self.outbox.replicas();
                let mut sent = SpanToCommit::new(span.offset, span.bytes, recorded_bytes, recorded.0 > 0, replicas);
                if let Backing::Spool(supply) = &take.backing {
                    sent = sent.in_slot(supply.not_returned(slot, span.offset));
                }
                self.outbox.send_span(take.key, take.pair.as_ref(), sent, &self.setup.disk);
            }
            if let Backing::Spool(supply) = take.backing {
                supplies.push(supply);
            }
        }
        self.setup.disk.memory_refused.store(false, Relaxed);
        if std::mem::take(&mut self.spool_full_reported) {
            let reason = "spool: the pass is over".to_owned();
            self.send_event(DiskEvent::TroubleOver { replica: Replica::Session, reason });
        }
        supplies
    }

    /// Ends a pass whose audio end is gone after `Quit`: nobody will send how it ends.
    fn finish_orphan(&mut self) {
        let orphan = |pass: &mut PreparedPass| pass.takes.iter().all(|take| take.windows.is_abandoned());
        self.collect(FramePos::END);
        let Some(pass) = self.pass.take_if(orphan) else { return };
        let frames = pass.takes.iter().map(|take| take.recorded).max().unwrap_or_default().max(pass.recorded);
        let frames = Frames(frames.0);
        let keys: Vec<TakeKey> = pass.takes.iter().map(|take| take.key).collect();
        let supplies = self.drop_pass(pass, frames);
        let end = TakeEnd { frames, ..TakeEnd::default() };
        for take in keys {
            self.outbox.send_all(|| CommitCommand::Finish { take, end: end.clone() });
        }
        supplies.into_iter().for_each(SlotSupply::close);
    }

    fn send_event(&mut self, event: DiskEvent) {
        // If control is gone, nobody is left to inform.
        self.events.send(event).ok();
    }
}

impl PreparedTake {
    /// The record position from which on the take needs the butler again. The audio thread gives a window back when the
    /// record position has passed its end.
    fn due(&self, recorded: FramePos, lead_windows: usize) -> FramePos {
        if self.windows.waiting() < lead_windows {
            return FramePos(0);
        }
        // The audio thread takes the first window out of the ring when the pass begins: then one more is missing.
        let first = if recorded == FramePos(0) { FramePos(1) } else { FramePos::END };
        self.out.front().map_or(FramePos(0), |(span, _)| (span.start + span.frames).min(first))
    }

    /// Hands over the next window. Returns `false` if there is no memory for it.
    fn supply(&mut self, at: &mut TakePositions, setup: &ButlerSetup) -> bool {
        let span = plan::planned_span(at.next, self.frame_bytes, self.window_bytes, self.phase);
        let spool_bytes = setup.disk.spool_bytes.load(Relaxed);
        if setup.spool_bytes_max < spool_bytes + span.bytes as u64 {
            return false;
        }
        let started = host::now();
        let Ok((slot, window)) = self.make_window(span, setup) else { return false };
        DiskPublished::raise(&setup.disk.supply_us_max, host::elapsed(started).as_micros() as u64);
        if !window.map.is_locked() {
            setup.disk.windows_unlocked.fetch_add(1, Relaxed);
        }
        let spool_bytes = setup.disk.spool_bytes.fetch_add(span.bytes as u64, Relaxed) + span.bytes as u64;
        DiskPublished::raise(&setup.disk.spool_bytes_peak, spool_bytes);
        at.next += span.frames;
        self.out.push_back((span, slot));
        self.entry.supplied(span.offset, span.bytes, &window.map);
        if self.windows.hand_over(window).is_err() {
            debug_assert!(false, "room was asked for before");
        }
        true
    }

    /// A window for `span`, and the number of its slot.
    fn make_window(&mut self, span: plan::PlannedSpan, setup: &ButlerSetup) -> io::Result<(u32, CaptureWindow)> {
        let (slot, map) = match &mut self.backing {
            Backing::Spool(supply) => supply.make(&span, &setup.budget)?,
            Backing::Take(file) => (0, map_in_place(file, &span, setup)?),
        };
        let (start, frames) = (span.start, span.frames);
        Ok((slot, CaptureWindow { map, start, frames, recorded: Frames(0), touched: false }))
    }

    /// Turns a window that came back into a span for the committers. In `in-place` its mapping is dropped here, so that
    /// the kernel does not have to write-protect its pages.
    fn span_of(&mut self, window: CaptureWindow, slot: u32, unmap: bool, replicas: &[Replica]) -> SpanToCommit {
        let offset = SpoolByte::DATA + window.start.0 * self.frame_bytes as u64;
        let bytes = window.frames.0 as usize * self.frame_bytes;
        let recorded_bytes = window.recorded.0 as usize * self.frame_bytes;
        self.entry.collected(offset, recorded_bytes, window.touched);
        let mut span = SpanToCommit::new(offset, bytes, recorded_bytes, window.touched, replicas);
        match &mut self.backing {
            Backing::Spool(supply) => span.in_slot(supply.captured(slot, offset, window.map, unmap)),
            Backing::Take(_) => {
                span.is_cut = window.map.is_broken();
                span
            }
        }
    }
}

/// Maps, populates and locks a span of a WAV file.
fn map_in_place(file: &File, span: &plan::PlannedSpan, setup: &ButlerSetup) -> io::Result<Mapping> {
    let touches = setup.capabilities.populate == Populate::Touch;
    if touches && file.metadata()?.len() < span.offset.0 + span.bytes as u64 {
        // A page after the end of the file cannot be touched. The committer is about to reserve it.
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let mut map = Mapping::of_take(file, span.offset.0, span.bytes)?;
    map.populate(setup.capabilities.populate)?;
    map.lock(&setup.budget);
    Ok(map)
}

#[cfg(test)]
mod tests;
