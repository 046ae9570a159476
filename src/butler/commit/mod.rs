//! The committer: writes captured spans to the WAV files of takes, keeps their headers current and durable, ends the
//! takes. Thread: committer; the mirror has a committer of its own, on the thread "mirror". Of the threads that carry
//! sound while recording, only these two wait for disk writes.
//!
//! The spans of a take arrive in order and are written in order. A span that cannot be written stays in the spool, and
//! the committer tries again. No span is given up before its sound is durable in a file.
//!
//! A header claims a frame only if it is durable in every take of the pass whose disk accepts writes. After a power cut,
//! recovery gives all takes of the pass the length of the longest claim. A take whose disk rejected writes has silence
//! there, and so has a take with a gap that lasts. A header claims nothing behind a loss before the loss has ended and a session on a disk lists it, or for three
//! seconds after its end ([`unsaved_losses`]).

mod changed;
mod disk_error;
mod folder;
mod earlier_file;
mod end;
mod gaps;
mod headers;
mod open_take;
mod open_window;
mod round;
mod unsaved_losses;
mod write;
#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod changed_tests;
#[cfg(test)]
mod refused_tests;
#[cfg(test)]
mod tests;

use super::capabilities::{self, Capabilities, CapturePath};
use super::take_file::TakeFile;
use crate::file_system;
use crate::host::batch::Batcher;
use crate::host::{self, disk};
use crate::limits;
use crate::message::disk::{CommitCommand, Continuation, DiskEvent, FilesRefused};
use crate::message::offset::FileStart;
use crate::message::published::{NO_PASS, Published};
use crate::message::replica::Replica;
use crate::message::stats::DiskPublished;
use crate::message::take::{ContinuationPlan, PassKey, TakeKey, TakePlan};
use crate::residency::ledger::Ledger;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use disk_error::describe;
use folder::{copy_is_there, names_beside};
use memmap2::MmapMut;
use open_take::OpenTake;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};
use unsaved_losses::UnsavedLosses;

/// Time between two looks at the commands while takes are open.
const TICK: Duration = Duration::from_millis(80);

/// Bytes of a take that may wait for the sync. If more wait, the disk is behind, and the committer writes without
/// pause.
const WAITING_BYTES_MAX: u64 = 512 * 1024;

/// Recorded time that a power cut may cost, apart from one tick and the time of an unusually slow sync.
const LOSS_AIM: Duration = Duration::from_millis(850);

/// Pause between the end of a sync and the next one, however slow the disk is.
const SYNC_REST: Duration = Duration::from_millis(40);

/// Time that writes may take before the committer looks for changes of other programs again. A disk that stands still makes it
/// longer.
const CHANGES_PATIENCE: Duration = Duration::from_millis(20);

/// If they took longer than this, the last bytes before each write are read again. That reads from the disk.
const TAIL_PATIENCE: Duration = Duration::from_millis(100);

/// Pause between a failed write and the next attempt.
const RETRY: Duration = Duration::from_millis(500);

/// Everything that a committer needs to start.
pub struct CommitterSetup {
    /// The replica that it writes.
    pub replica: Replica,
    /// Capabilities that it may use.
    pub capabilities: Capabilities,
    /// Where the audio thread stores captured sound.
    pub capture_path: CapturePath,
    /// Time between two durable headers.
    pub sync_interval: Duration,
    /// Bytes that the spool may hold.
    pub spool_bytes_max: u64,
    /// Numbers that the audio thread publishes.
    pub published: Arc<Published>,
    /// Numbers that the disk side publishes.
    pub disk: Arc<DiskPublished>,
    /// The ledger of windows.
    pub ledger: Arc<Ledger>,
    /// Commands from control and from the butler.
    pub commands: Receiver<CommitCommand>,
    /// Events to control.
    pub events: Sender<DiskEvent>,
}

/// The committer of one replica.
pub struct Committer {
    setup: CommitterSetup,
    spool_use: SpoolUse,
    takes: Vec<OpenTake>,
    /// Makes the writes of many takes, and their syncs.
    batcher: Batcher,
    /// Buffer for sound that is read to be written. Page-aligned, because `O_DIRECT` requires it.
    scratch: Option<MmapMut>,
    next_sync: Instant,
    /// When to try again after a failed write. `None`: writing works.
    retry_at: Option<Instant>,
    /// Whether control knows that the disk rejects writes.
    trouble_reported: bool,
    quitting: bool,
    /// Whether the takes stay without an end, because the butler failed.
    abandoned: bool,
    /// The number of stored frames at the last sync.
    stored_at_sync: u64,
    /// The losses of each pass for which headers wait.
    losses: HashMap<PassKey, UnsavedLosses>,
    /// Which takes write their headers at the present sync, see [`headers`].
    header_turn: usize,
}

/// Memory of the spool that is in use.
struct SpoolUse {
    disk: Arc<DiskPublished>,
    spool_bytes_max: u64,
}

impl SpoolUse {
    fn is_short(&self) -> bool {
        self.disk.is_spool_short(self.spool_bytes_max)
    }
}

impl Committer {
    /// A committer without takes. It stays on the calling thread.
    pub fn new(setup: CommitterSetup) -> Committer {
        let (now, batcher) = (host::now(), Batcher::new(setup.capabilities.io_uring));
        let spool_use = SpoolUse { disk: Arc::clone(&setup.disk), spool_bytes_max: setup.spool_bytes_max };
        Committer {
            setup,
            spool_use,
            takes: Vec::new(),
            batcher,
            scratch: None,
            next_sync: now,
            retry_at: None,
            trouble_reported: false,
            quitting: false,
            abandoned: false,
            stored_at_sync: NO_PASS,
            losses: HashMap::new(),
            header_turn: 0,
        }
    }

    /// Runs until it received `Quit` and every take is finished.
    pub fn run(mut self) {
        loop {
            self.receive();
            self.work();
            if self.quitting && (self.takes.is_empty() || self.has_written_what_it_can()) {
                return;
            }
        }
    }

    /// Writes what waits, makes it durable when a sync is due, fills gaps, and ends takes.
    fn work(&mut self) {
        let now = host::now();
        let sync = self.next_sync <= now || self.abandoned;
        // Each sync writes the waiting spans of a take in one run, which is a third of the writes that single windows
        // would need. If more spans wait, the disk is behind, and the committer writes without pause.
        let waiting_bytes: u64 = self.takes.iter().map(OpenTake::pending_bytes).sum();
        if sync
            || WAITING_BYTES_MAX * self.takes.len() as u64 <= waiting_bytes
            || self.takes.iter().any(|take| take.end.is_some())
        {
            // Before the writes, which make a file that was cut long again.
            self.find_changes();
            let looked = host::now();
            while self.write_some(sync) {}
            // The headers that are written next would hide what another program has done meanwhile.
            if sync && CHANGES_PATIENCE < host::elapsed(looked) {
                if TAIL_PATIENCE < host::elapsed(looked) {
                    self.takes.iter().for_each(|take| take.file.begin_look_at_tail());
                    self.takes.iter_mut().for_each(|take| take.file.look_at_tail());
                }
                self.find_changes();
            }
        }
        if sync {
            self.sync();
            self.next_sync = self.next_sync_after(now);
        }
        self.fill_gaps();
        self.takes.iter_mut().for_each(|take| take.release_lent(&self.spool_use));
        self.end_takes();
        self.losses.retain(|pass, _| self.takes.iter().any(|take| take.pass == *pass));
        self.report_disk_is_back();
    }

    /// Reports the takes that another program has changed.
    fn find_changes(&mut self) {
        for at in 0..self.takes.len() {
            self.find_change(at);
        }
    }

    /// Looks whether another program has changed the file of a take, and reports it. The header that says so is durable before
    /// anything else is written: after a power cut nothing else says it, and the next write makes zeros of a part that was cut off.
    /// Only the take whose disk refuses that header waits.
    fn find_change(&mut self, at: usize) {
        let take = &mut self.takes[at];
        let text = take.find_change();
        if take.waits_for_mark()
            && !take.is_held()
            && let Err(error) = take.write_mark()
        {
            self.note_failure(at, &error);
            self.takes[at].held_until = Some(host::now() + RETRY);
        }
        if let Some(text) = text {
            self.send_event(DiskEvent::PutBack { replica: self.setup.replica, text });
        }
    }

    /// Whether abandoned takes are as complete as they can be now. Spans that the disk rejects stay in their spools for
    /// recovery.
    fn has_written_what_it_can(&self) -> bool {
        let can_write = |take: &OpenTake| take.has_pending() && !take.waits_for_mark();
        self.abandoned && (self.retry_at.is_some() || !self.takes.iter().any(can_write))
    }

    /// Sleeps for a tick, or without takes until a command arrives; then applies all commands. It sleeps because a
    /// receive with a timeout would spin first, at every tick.
    fn receive(&mut self) {
        if self.takes.is_empty() && !self.quitting {
            match host::receive(&self.setup.commands) {
                Ok(command) => self.apply(command),
                Err(_) => self.quitting = true,
            }
        } else {
            host::sleep(TICK);
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
        if self.retry_at.is_some_and(|until| until <= host::now()) {
            self.retry_at = None;
        }
    }

    fn apply(&mut self, command: CommitCommand) {
        match command {
            CommitCommand::Open { pass, takes } => self.open(pass, &takes),
            CommitCommand::Spooled { take, spool } => {
                if let Some(take) = self.take(take) {
                    take.spool = Some(spool);
                    take.note_targets();
                }
            }
            CommitCommand::Progress { take, progress_page } => {
                if let Some(take) = self.take(take) {
                    take.progress_page = Some(progress_page);
                }
            }
            CommitCommand::Captured { take, span } => {
                if let Some(take) = self.take(take) {
                    take.add_pending(span);
                }
            }
            CommitCommand::Finish { take, end } => {
                if let Some(take) = self.take(take) {
                    take.end = Some(end);
                    take.failures = 0;
                }
            }
            CommitCommand::Continue { plan } => {
                let outcome = self.continue_take(&plan);
                self.send_event(DiskEvent::Continued { take: plan.take.key, outcome });
            }
            CommitCommand::Forget { pass } => {
                for take in self.takes.extract_if(.., |take| take.pass == pass) {
                    // The file was created a moment ago, exclusively, and contains no sample.
                    disk::remove(&take.file.path).ok();
                }
            }
            CommitCommand::Quit => self.quitting = true,
            CommitCommand::Abandon => (self.quitting, self.abandoned) = (true, true),
        }
    }

    fn take(&mut self, key: TakeKey) -> Option<&mut OpenTake> {
        self.takes.iter_mut().find(|take| take.key == key)
    }

    /// Creates the files of all takes of a pass, or of none: if one fails, the others are removed.
    fn open(&mut self, pass: PassKey, plans: &[TakePlan]) {
        let reported = self.setup.published.losses_reported.load(Relaxed);
        self.losses.insert(pass, UnsavedLosses::since(reported));
        let (mut notes, mut refused) = (Vec::new(), None);
        let mut made: Vec<OpenTake> = Vec::with_capacity(plans.len());
        let ahead =
            plans.first().map_or(Duration::ZERO, |plan| reserve_ahead(&plan.path, plans.iter().map(TakePlan::speed)));
        for plan in plans {
            match self.create(plan, FileStart::FIRST, ahead, &mut notes) {
                Ok(file) => {
                    let entry = (self.setup.replica == Replica::Session).then(|| self.setup.ledger.take(plan));
                    made.push(OpenTake::new(pass, plan, self.setup.replica, file, entry));
                }
                Err(error) => {
                    refused = Some((plan, error));
                    break;
                }
            }
        }
        let failed = refused.as_ref().map(|(plan, error)| cannot_make(&plan.path, error));
        let failed =
            failed.or_else(|| made.iter_mut().find_map(|it| self.make_durable(&mut it.file, &mut notes).err()));
        if let Some(folder) = plans.first().and_then(|plan| plan.path.parent())
            && let Err(error) = disk::sync_folder_at(folder)
        {
            for take in &mut made {
                take.file.note_volatile_name();
            }
            notes.push(format!(
                "{}: the names of the new files could not be made durable ({}); a power cut can cost these takes",
                folder.display(),
                describe(&error)
            ));
        }
        notes.dedup();
        if let Some(reason) = self.batcher.refusal() {
            notes.push(capabilities::note_without_io_uring(reason));
        }
        let files = match failed {
            None => {
                let files = made.iter().map(|take| Arc::clone(take.file.file())).collect();
                for take in &made {
                    if let Some(entry) = &take.entry {
                        entry.opened(take.file.file());
                    }
                }
                self.takes.append(&mut made);
                self.setup.disk.durable_frames[self.setup.replica.index()].store(0, Relaxed);
                Ok(files)
            }
            Some(reason) => {
                for take in made {
                    // The file was created a moment ago, exclusively, and contains no sample.
                    disk::remove(&take.file.path).ok();
                }
                let refused = refused.as_ref().map(|(plan, error)| (*plan, error));
                Err(FilesRefused {
                    reason,
                    names: plans.first().map_or(Vec::new(), |plan| names_beside(plan, refused)),
                })
            }
        };
        self.send_event(DiskEvent::TakesOpened { replica: self.setup.replica, pass, files, notes });
    }

    fn create(
        &self,
        plan: &TakePlan,
        start: FileStart,
        ahead: Duration,
        notes: &mut Vec<String>,
    ) -> io::Result<TakeFile> {
        TakeFile::create(plan, start, &self.setup.capabilities, ahead, notes)
    }

    fn make_durable(&self, file: &mut TakeFile, notes: &mut Vec<String>) -> Result<(), String> {
        let o_direct = self.setup.capture_path == CapturePath::Spool;
        file.make_durable(&self.setup.capabilities, o_direct, notes).map_err(|error| cannot_make(&file.path, &error))
    }

    /// Continues a take in another file, if its disk still refuses it from the frame of the plan on. Every answer except
    /// `Moved` forgets which position was reported, so that the next failure is reported again.
    fn continue_take(&mut self, plan: &ContinuationPlan) -> Continuation {
        let Some(take) = self.takes.iter_mut().find(|take| take.key == plan.take.key) else {
            return Continuation::Needless;
        };
        if take.trouble.is_none() {
            take.stuck_reported_at = None;
            return Continuation::Needless;
        }
        // The take is stuck behind the sound that can be made durable where it is.
        take.sync(&self.spool_use).ok();
        let at = take.stuck_at();
        let from = take.frame_of(at);
        if take.has_sound_up_to(from) {
            take.stuck_reported_at = None;
            return Continuation::Needless;
        }
        if from != plan.from {
            take.hold();
            return Continuation::Moved(from);
        }
        take.stuck_reported_at = None;
        match self.create_continuation(plan, FileStart(at)) {
            Err(refused) => Continuation::Refused(refused),
            Ok(file) => {
                self.retry_at = None;
                if let Some(take) = self.take(plan.take.key) {
                    take.note_next_file(&plan.take);
                    take.continue_in_file(file, plan.began());
                }
                Continuation::Done
            }
        }
    }

    /// Creates the next file of a take, and its folder. The session is there already: the saver makes a folder again that was
    /// removed.
    fn create_continuation(&self, plan: &ContinuationPlan, start: FileStart) -> Result<TakeFile, FilesRefused> {
        let refused = |reason| FilesRefused { reason, names: names_beside(&plan.take, None) };
        copy_is_there(plan).map_err(refused)?;
        let plan = &plan.take;
        let folder = plan.path.parent().unwrap_or(Path::new("."));
        file_system::make_durable_folders(folder)
            .map_err(|error| refused(format!("{}: cannot be made: {}", plan.path.display(), describe(&error))))?;
        let mut file = self.create(plan, start, self.ahead_in(&plan.path), &mut Vec::new()).map_err(|error| {
            FilesRefused { reason: cannot_make(&plan.path, &error), names: names_beside(plan, Some((plan, &error))) }
        })?;
        let made = self.make_durable(&mut file, &mut Vec::new()).inspect_err(|_| drop(disk::remove(&plan.path)));
        made.map_err(refused)?;
        if disk::sync_folder_at(folder).is_err() {
            file.note_volatile_name();
        }
        Ok(file)
    }

    /// A write to a take failed. The next attempt of all takes comes later.
    fn on_write_failure(&mut self, at: usize, error: &io::Error) {
        self.note_failure(at, error);
        self.retry_at = Some(host::now() + RETRY);
    }

    /// Reports that a take cannot be written: the position whenever it is another one, and the reason once for all takes.
    fn note_failure(&mut self, at: usize, error: &io::Error) {
        let (is_size_limit, replica) = (error.raw_os_error() == Some(libc::EFBIG), self.setup.replica);
        let take = &mut self.takes[at];
        take.failures += 1;
        let reason = format!("{}: cannot write: {}", take.file.path.display(), describe(error));
        take.trouble = Some(reason.clone());
        // The take is stuck behind the sound that can be made durable where it is.
        take.sync(&self.spool_use).ok();
        let stuck_at_byte = take.stuck_at();
        let (key, from) = (take.key, take.frame_of(stuck_at_byte));
        let is_whole = take.has_sound_up_to(from);
        // The first error at a place need not be the one that lasts.
        let is_first_of_kind = !take.is_size_limit && is_size_limit;
        let already_reported =
            take.stuck_reported_at.replace(stuck_at_byte) == Some(stuck_at_byte) && !is_first_of_kind;
        take.is_size_limit = is_size_limit || (already_reported && take.is_size_limit);
        if !std::mem::replace(&mut self.trouble_reported, true) {
            self.send_event(DiskEvent::Trouble { replica, reason });
        }
        if replica == Replica::Session
            && self.setup.capture_path == CapturePath::Spool
            && !already_reported
            && !is_whole
        {
            self.send_event(DiskEvent::Stuck { take: key, from, is_size_limit });
        }
    }

    /// Reports that the disk accepts writes again, when it does for every take.
    fn report_disk_is_back(&mut self) {
        if self.trouble_reported && self.takes.iter().all(|take| take.trouble.is_none() && !take.unreserved) {
            self.trouble_reported = false;
            self.takes.iter_mut().for_each(|take| take.stuck_reported_at = None);
            if let Some(take) = self.takes.first() {
                let reason = format!("{}: the disk takes sound again", take.file.path.display());
                self.send_event(DiskEvent::TroubleOver { replica: self.setup.replica, reason });
            }
        }
    }

    /// Makes everything recorded durable, updates headers, and reserves blocks.
    fn sync(&mut self) {
        let started = host::now();
        let in_spool = self.setup.capture_path == CapturePath::Spool;
        if in_spool {
            let mut whole = Vec::with_capacity(self.takes.len());
            for at in 0..self.takes.len() {
                match self.takes[at].put_back_if_removed() {
                    Ok(message) => {
                        whole.push(at);
                        if let Some(text) = message {
                            self.send_event(DiskEvent::PutBack { replica: self.setup.replica, text });
                        }
                    }
                    Err(error) => self.on_write_failure(at, &error),
                }
            }
            self.sync_takes(&whole);
        }
        self.write_headers();
        if self.setup.replica == Replica::Session {
            let took = host::elapsed(started);
            DiskPublished::raise(&self.spool_use.disk.sync_us_max, took.as_micros() as u64);
            if !self.takes.is_empty() {
                self.setup.ledger.synced(took);
            }
        }
    }

    /// How far ahead to reserve blocks on the disk of `path`.
    fn ahead_in(&self, path: &Path) -> Duration {
        reserve_ahead(path, self.takes.iter().map(|take| take.file.speed()))
    }

    /// Publishes how much recording time the free and reserved blocks hold.
    fn publish_room(&self) {
        let rolling = || self.takes.iter().filter(|take| take.end.is_none());
        let folder = rolling().next().and_then(|take| take.file.path.parent());
        let Some(free) = folder.and_then(file_system::free_bytes) else { return };
        let (reserved, speed) = rolling()
            .fold((0, 0), |(reserved, speed), take| (reserved + take.file.reserved_bytes(), speed + take.file.speed()));
        let milliseconds = (free + reserved) as f64 * 1000.0 / speed.max(1) as f64;
        self.spool_use.disk.room_ms[self.setup.replica.index()].store((milliseconds as u64).max(1), Relaxed);
    }

    /// Reserves blocks for a take. A failure is reported early, while the blocks reserved before still accept sound.
    fn reserve(&mut self, at: usize, ahead: Duration, notes: &mut Vec<String>) {
        let take = &mut self.takes[at];
        // Blocks would make a file long again that another program has cut. In `in-place` the windows need that at once.
        if take.end.is_some() || (take.spool.is_some() && take.file.is_cut()) || take.waits_for_mark() {
            take.unreserved = false;
            return;
        }
        let Err(error) = take.file.reserve_ahead(ahead, notes) else {
            take.unreserved = false;
            return;
        };
        take.unreserved = true;
        let reason = format!("{}: {}", take.file.path.display(), describe(&error));
        if !std::mem::replace(&mut self.trouble_reported, true) {
            self.send_event(DiskEvent::Trouble { replica: self.setup.replica, reason });
        }
    }

    /// The time of the next sync. A power cut costs everything since the last complete sync *began*, and a sync that is
    /// cut off counts for nothing. So the longer syncs take, the sooner the next one begins.
    fn next_sync_after(&self, began: Instant) -> Instant {
        let took = host::elapsed(began);
        let pause = LOSS_AIM.saturating_sub(took.mul_f64(1.5)).min(self.setup.sync_interval);
        (began + pause).max(host::now() + SYNC_REST.min(self.setup.sync_interval))
    }

    /// Frames that are stored in the windows of every take, and whether the record position rests: it is where it was at
    /// the last sync, because the device is away. `None`: no pass is recorded.
    fn recorded(&mut self) -> Option<(u64, bool)> {
        // Acquire: the samples stored before this number are visible. The committer does not write them a second time.
        let recorded = self.setup.published.pass_frames.load(Acquire);
        let rests = std::mem::replace(&mut self.stored_at_sync, recorded) == recorded;
        // The number counts only stored frames. One block is a margin, while frames are being stored.
        let margin = if rests { 0 } else { limits::STORE_LAG_FRAMES };
        Some((recorded.checked_sub(margin)?, rests)).filter(|_| recorded != NO_PASS)
    }

    fn send_event(&self, event: DiskEvent) {
        // Control reads events until it has joined this thread, so this wait ends.
        host::send(&self.setup.events, event).ok();
    }
}

/// The reason why the file of a take could not be made.
fn cannot_make(path: &Path, error: &io::Error) -> String {
    format!("{}: cannot make the take: {}", path.display(), describe(error))
}

/// How far ahead to reserve blocks for takes of these bytes in a second. On a disk that is nearly full the takes share
/// half of the free bytes.
fn reserve_ahead(path: &Path, speeds: impl Iterator<Item = u64>) -> Duration {
    let speed = speeds.sum::<u64>().max(1);
    let free = path.parent().and_then(file_system::free_bytes).unwrap_or(u64::MAX);
    Duration::from_millis((limits::RESERVE_SECONDS * 1000).min(free / 2 / speed.div_ceil(1000)))
}
