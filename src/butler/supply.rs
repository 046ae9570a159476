//! The butler: keeps capture windows ahead of the record position and takes them up behind. Thread: butler.
//!
//! It waits for its commands and for tmpfs (in `direct`: for the disk), for nothing else.

use super::means::{CapturePath, Means};
use super::plan::{self, Lead};
use super::spool;
use crate::limits;
use crate::message::disk::{
    ButlerCommand, CapturedSpan, CommitCommand, DiskEvent, DiskPublished, PassKey, SpoolFile, TakeEnd, TakeKey,
    TakePlan,
};
use crate::message::published::{NO_PASS, Published};
use crate::time::{FramePos, Frames};
use crate::window::budget::LockBudget;
use crate::window::capture::{AudioCaptureWindows, ButlerCaptureWindows, CaptureWindow, capture_windows};
use crate::window::map::{Mapping, Populate};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How often rings are looked at while a pass is on. The lead is many times as long.
const TICK: Duration = Duration::from_millis(10);

/// What the butler is told once.
pub struct ButlerSetup {
    /// What it may use.
    pub means: Means,
    /// Where captured sound goes first.
    pub capture_path: CapturePath,
    /// Locked memory.
    pub budget: Arc<LockBudget>,
    /// Bytes of the budget that capture may count on.
    pub capture_share: u64,
    /// Milliseconds of lead to aim at.
    pub lead_ms: u64,
    /// Bytes that the spool may hold.
    pub spool_bytes_max: u64,
    /// The audio thread's numbers.
    pub published: Arc<Published>,
    /// The disk side's numbers.
    pub disk: Arc<DiskPublished>,
    /// Commands.
    pub commands: Receiver<ButlerCommand>,
    /// To the committer.
    pub commit: Sender<CommitCommand>,
    /// To control.
    pub events: Sender<DiskEvent>,
}

/// See the module.
pub struct Butler {
    setup: ButlerSetup,
    pass: Option<Supply>,
    /// What the committer's channel had no room for, in order.
    waiting: VecDeque<CommitCommand>,
    spool_full_told: bool,
    /// A pass for which there were no windows: its takes are open and wait for their end.
    stillborn: Option<(PassKey, Vec<TakeKey>)>,
    quitting: bool,
}

/// One pass's takes.
struct Supply {
    key: PassKey,
    takes: Vec<TakeSupply>,
    lead: Lead,
}

/// One take's windows.
struct TakeSupply {
    key: TakeKey,
    windows: ButlerCaptureWindows,
    memory: Memory,
    frame_bytes: usize,
    window_bytes: usize,
    phase: usize,
    next: FramePos,
}

/// What windows are cut from.
enum Memory {
    Spool(Arc<SpoolFile>),
    Take(Arc<File>),
}

impl Memory {
    fn file(&self) -> &File {
        match self {
            Memory::Spool(spool) => &spool.file,
            Memory::Take(file) => file,
        }
    }
}

impl Butler {
    /// A butler with nothing to do.
    pub fn new(setup: ButlerSetup) -> Butler {
        Butler { setup, pass: None, waiting: VecDeque::new(), spool_full_told: false, stillborn: None, quitting: false }
    }

    /// Works until it is told to quit and every pass is finished.
    pub fn run(mut self) {
        loop {
            let command = if self.pass.is_some() || !self.waiting.is_empty() {
                self.setup.commands.recv_timeout(TICK)
            } else {
                self.setup.commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match command {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.quitting = true,
            }
            self.tick();
            if self.quitting && self.pass.is_none() && self.waiting.is_empty() {
                return;
            }
        }
    }

    fn obey(&mut self, command: ButlerCommand) {
        match command {
            ButlerCommand::Prepare { pass, takes, files, rate } => {
                let mut notes = Vec::new();
                let windows =
                    self.prepare(pass, &takes, &files, rate, &mut notes).map_err(|error| format!("spool: {error}"));
                if windows.is_err() {
                    self.stillborn = Some((pass, takes.iter().map(|take| take.key).collect()));
                }
                self.tell(DiskEvent::PassReady { pass, windows, notes });
            }
            ButlerCommand::Finish { pass, ends } => self.finish(pass, ends),
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
    ) -> io::Result<Vec<AudioCaptureWindows>> {
        let widest = takes.iter().map(TakePlan::frame_bytes).max().unwrap_or(1);
        let setup = &self.setup;
        let speed = u64::from(rate) * widest as u64;
        let lead = plan::lead(setup.capture_share, takes.len(), widest, speed, setup.lead_ms);
        let (mut ends, mut supplies) = (Vec::with_capacity(takes.len()), Vec::with_capacity(takes.len()));
        for (index, take) in takes.iter().enumerate() {
            let memory = match (setup.capture_path, files.get(index)) {
                (CapturePath::Direct, Some(file)) => Memory::Take(Arc::clone(file)),
                _ => {
                    let spool = Arc::new(spool::create(&setup.means.spool, take)?);
                    self.waiting.push_back(CommitCommand::Spooled { take: take.key, spool: Arc::clone(&spool) });
                    Memory::Spool(spool)
                }
            };
            let (audio, windows) = capture_windows(take.frame_bytes());
            ends.push(audio);
            supplies.push(TakeSupply {
                key: take.key,
                windows,
                memory,
                frame_bytes: take.frame_bytes(),
                window_bytes: plan::window_bytes(take.frame_bytes(), lead.window_bytes),
                phase: index,
                next: FramePos(0),
            });
        }
        let before = self.setup.budget.refused();
        self.pass = Some(Supply { key, takes: supplies, lead });
        self.setup.disk.lead_frames_min.store(u64::MAX, Relaxed);
        self.supply();
        let scarce =
            |pass: &mut Supply| pass.takes.iter().any(|take| take.windows.waiting() < limits::LEAD_WINDOWS_MIN);
        if let Some(pass) = self.pass.take_if(scarce) {
            let held = pass.takes.iter().map(|take| take.next.0 * take.frame_bytes as u64).sum();
            self.setup.disk.spool_bytes.fetch_sub(held, Relaxed);
            return Err(io::Error::other("no memory for windows; close programs or lower the track count"));
        }
        if !lead.fits || before < self.setup.budget.refused() {
            notes.push(format!(
                "locked memory: the limit of {} KiB does not hold {} tracks; windows beyond it are resident but not locked",
                self.setup.budget.limit() / 1024,
                takes.len()
            ));
        }
        Ok(ends)
    }

    fn tick(&mut self) {
        self.collect();
        self.supply();
        self.measure_lead();
        while let Some(command) = self.waiting.pop_front() {
            match self.setup.commit.try_send(command) {
                Ok(()) => {}
                Err(TrySendError::Full(command)) => {
                    self.waiting.push_front(command);
                    return;
                }
                // Nobody is left to write: the spool keeps what it has.
                Err(TrySendError::Disconnected(_)) => self.waiting.clear(),
            }
        }
    }

    /// Sends what the audio thread has given back to the disk.
    fn collect(&mut self) {
        let Some(pass) = &mut self.pass else { return };
        let mapped = self.setup.disk.backlog_bytes.load(Relaxed) / limits::WINDOW_BYTES_DEFAULT as u64;
        for take in &mut pass.takes {
            while let Some(window) = take.windows.collect() {
                let span = take.take_up(window, limits::MAPPED_BACKLOG_MAX as u64 <= mapped);
                self.setup.disk.backlog_bytes.fetch_add(span.bytes as u64, Relaxed);
                self.waiting.push_back(CommitCommand::Captured { take: take.key, span });
            }
        }
    }

    /// Brings every take's ring up to its lead.
    fn supply(&mut self) {
        let Some(pass) = &mut self.pass else { return };
        let setup = &self.setup;
        let recorded = match setup.published.pass_frames.load(Relaxed) {
            NO_PASS => FramePos(0),
            frames => FramePos(frames),
        };
        let mut full = false;
        for take in &mut pass.takes {
            // Frames were lost faster than windows came: go on where the record position is.
            take.next = take.next.max(plan::window_start(recorded, take.frame_bytes));
            while take.windows.waiting() < pass.lead.windows && take.windows.room() > 0 {
                let span = plan::capture_span(take.next, take.frame_bytes, take.window_bytes, take.phase);
                let held = setup.disk.spool_bytes.load(Relaxed);
                if setup.spool_bytes_max < held + span.bytes as u64 {
                    full = true;
                    break;
                }
                let started = Instant::now();
                let Ok(window) = take.make(span, setup) else {
                    full = true;
                    break;
                };
                DiskPublished::raise(&setup.disk.supply_us_max, started.elapsed().as_micros() as u64);
                if !window.map.is_locked() {
                    setup.disk.windows_unlocked.fetch_add(1, Relaxed);
                }
                let held = setup.disk.spool_bytes.fetch_add(span.bytes as u64, Relaxed) + span.bytes as u64;
                DiskPublished::raise(&setup.disk.spool_bytes_peak, held);
                take.next += span.frames;
                if take.windows.supply(window).is_err() {
                    debug_assert!(false, "room was asked for before");
                }
            }
        }
        if full != self.spool_full_told {
            self.spool_full_told = full;
            let held = setup.disk.spool_bytes.load(Relaxed) >> 20;
            self.tell(if full {
                DiskEvent::Trouble {
                    reason: format!(
                        "spool: {held} MiB are full or memory is short; recording goes on in the windows that are left"
                    ),
                }
            } else {
                DiskEvent::TroubleOver { reason: "spool: there is room again".to_owned() }
            });
        }
    }

    fn measure_lead(&self) {
        let (Some(pass), disk) = (&self.pass, &self.setup.disk) else {
            self.setup.disk.lead_frames.store(u64::MAX, Relaxed);
            return;
        };
        let recorded = self.setup.published.pass_frames.load(Relaxed);
        if recorded == NO_PASS {
            return;
        }
        let lead = pass.takes.iter().map(|take| take.next.since(FramePos(recorded)).0).min().unwrap_or(0);
        disk.lead_frames.store(lead, Relaxed);
        disk.lead_frames_min.fetch_min(lead, Relaxed);
    }

    fn finish(&mut self, key: PassKey, ends: Vec<TakeEnd>) {
        if let Some((_, takes)) = self.stillborn.take_if(|(pass, _)| *pass == key) {
            let ends = takes.into_iter().zip(ends).map(|(take, end)| CommitCommand::Finish { take, end });
            self.waiting.extend(ends);
            return;
        }
        if self.pass.as_ref().is_none_or(|pass| pass.key != key) {
            return;
        }
        self.collect();
        let Some(pass) = self.pass.take() else { return };
        for (take, end) in pass.takes.iter().zip(ends) {
            debug_assert!(take.windows.out() == 0, "the audio thread gave everything back");
            self.waiting.push_back(CommitCommand::Finish { take: take.key, end });
        }
    }

    fn tell(&self, event: DiskEvent) {
        // Control reads until it has joined this thread; if it is gone, nobody is left to tell.
        self.setup.events.send(event).ok();
    }
}

impl TakeSupply {
    fn make(&self, span: plan::CaptureSpan, setup: &ButlerSetup) -> io::Result<CaptureWindow> {
        let file = self.memory.file();
        if setup.means.populate == Populate::Touch && matches!(self.memory, Memory::Spool(_)) {
            spool::reserve(file, span.offset, span.bytes)?;
        }
        let mut map = Mapping::writable(file, span.offset, span.bytes)?;
        map.populate(setup.means.populate)?;
        map.lock(&setup.budget);
        Ok(CaptureWindow { map, start: span.start, frames: span.frames, passed: Frames(0), touched: false })
    }

    /// A window that comes back: unlocked at once, unmapped at once in `direct` (so that the kernel need not
    /// write-protect its pages) or when very much waits for the disk.
    fn take_up(&self, mut window: CaptureWindow, unmap: bool) -> CapturedSpan {
        window.map.unlock();
        let bytes = window.map.len();
        let keep = matches!(self.memory, Memory::Spool(_)) && !unmap;
        CapturedSpan {
            offset: limits::DATA_OFFSET + window.start.0 * self.frame_bytes as u64,
            bytes,
            passed_bytes: window.passed.0 as usize * self.frame_bytes,
            touched: window.touched,
            map: keep.then_some(window.map),
        }
    }
}
