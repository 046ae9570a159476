//! The committer: writes captured sound to the takes, keeps their headers current and durable, ends them.
//! Thread: committer. It alone waits for disk writes.
//!
//! A take's spans come in order and are written in order. One that cannot be written stays where it is, in
//! the spool, and is tried again; nothing of a take is given up before its sound is in the file.

use super::means::{CapturePath, Means};
use super::spool;
use super::take_file::TakeFile;
use crate::limits;
use crate::message::belief::{Beliefs, TakeBelief};
use crate::message::disk::{
    CapturedSpan, CommitCommand, DiskEvent, DiskPublished, PassKey, SpoolFile, TakeEnd, TakeKey, TakePlan, TallyFile,
};
use crate::time::Frames;
use crate::window::map::{Mapping, write_behind};
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How often commands are looked at while takes are open.
const TICK: Duration = Duration::from_millis(80);

/// Bytes a take that may wait for the beat; beyond them the disk is behind and is written to without a rest.
const WAITING_BYTES_MAX: u64 = 512 * 1024;

/// How long a failed write rests before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How often a failed write is tried again once the take has ended.
const RETRIES_AT_END: u32 = 6;

/// In `direct`, sound nearer than this to the record position is left alone: writing it back would
/// write-protect pages that are about to be stored to.
const WRITE_BEHIND_BYTES: u64 = 2 << 20;

/// What the committer is told once.
pub struct CommitterSetup {
    /// What it may use.
    pub means: Means,
    /// Where captured sound goes first.
    pub capture_path: CapturePath,
    /// Between two durable headers.
    pub beat: Duration,
    /// The disk side's numbers.
    pub disk: Arc<DiskPublished>,
    /// What the disk side believes.
    pub beliefs: Arc<Beliefs>,
    /// Commands.
    pub commands: Receiver<CommitCommand>,
    /// To control.
    pub events: Sender<DiskEvent>,
}

/// See the module.
pub struct Committer {
    setup: CommitterSetup,
    takes: Vec<Take>,
    started: Instant,
    next_beat: Instant,
    /// When writing goes on after a failure.
    resting: Option<Instant>,
    quitting: bool,
}

struct Take {
    key: TakeKey,
    belief: Arc<TakeBelief>,
    file: TakeFile,
    spool: Option<Arc<SpoolFile>>,
    tally: Option<Arc<TallyFile>>,
    pending: VecDeque<CapturedSpan>,
    /// How it ends, once no more sound comes.
    end: Option<TakeEnd>,
    failures: u32,
    trouble: Option<String>,
    behind: Behind,
}

/// What `direct` has still to start writing.
#[derive(Default)]
struct Behind {
    from: u64,
}

impl Committer {
    /// A committer with nothing to do.
    pub fn new(setup: CommitterSetup) -> Committer {
        let now = Instant::now();
        Committer { setup, takes: Vec::new(), started: now, next_beat: now, resting: None, quitting: false }
    }

    /// Works until it is told to quit and every take is finished.
    pub fn run(mut self) {
        loop {
            self.receive();
            let beat = self.next_beat <= Instant::now();
            // Sound goes to the disk on the beat, in one run a take: a third of the writes that windows one by one
            // would make. Where more waits, the disk is behind and never rests.
            let held = self.setup.disk.backlog_bytes.load(Relaxed);
            if beat
                || WAITING_BYTES_MAX * self.takes.len() as u64 <= held
                || self.takes.iter().any(|take| take.end.is_some())
            {
                while self.write_some(beat) {}
            }
            if beat {
                self.beat();
                self.next_beat = Instant::now() + self.setup.beat;
            }
            self.end_takes();
            if self.quitting && self.takes.is_empty() {
                return;
            }
        }
    }

    /// Sleeps a tick, or until there is anything to do at all, and takes what was sent. A sleep and not a timed receive:
    /// that would spin first, at every tick.
    fn receive(&mut self) {
        if self.takes.is_empty() && !self.quitting {
            match self.setup.commands.recv() {
                Ok(command) => self.obey(command),
                Err(_) => self.quitting = true,
            }
        } else {
            std::thread::sleep(TICK);
        }
        loop {
            match self.setup.commands.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.quitting = true;
                    break;
                }
            }
        }
        if self.resting.is_some_and(|until| until <= Instant::now()) {
            self.resting = None;
        }
    }

    fn obey(&mut self, command: CommitCommand) {
        match command {
            CommitCommand::Open { pass, takes } => self.open(pass, &takes),
            CommitCommand::Spooled { take, spool } => {
                if let Some(take) = self.take(take) {
                    take.spool = Some(spool);
                }
            }
            CommitCommand::Tallied { take, tally } => {
                if let Some(take) = self.take(take) {
                    take.tally = Some(tally);
                }
            }
            CommitCommand::Captured { take, span } => {
                if let Some(take) = self.take(take) {
                    take.pending.push_back(span);
                }
            }
            CommitCommand::Finish { take, end } => {
                if let Some(take) = self.take(take) {
                    take.end = Some(end);
                    take.failures = 0;
                }
            }
            CommitCommand::Quit => self.quitting = true,
        }
    }

    fn take(&mut self, key: TakeKey) -> Option<&mut Take> {
        self.takes.iter_mut().find(|take| take.key == key)
    }

    /// All of them, or none: what was made is removed when one cannot be.
    fn open(&mut self, pass: PassKey, plans: &[TakePlan]) {
        let direct_io = self.setup.capture_path == CapturePath::Spool;
        let mut notes = Vec::new();
        let mut made: Vec<Take> = Vec::with_capacity(plans.len());
        let mut failed = None;
        for plan in plans {
            match TakeFile::create(plan, &self.setup.means, direct_io, &mut notes) {
                Ok(file) => made.push(Take {
                    key: plan.key,
                    belief: self.setup.beliefs.take(plan),
                    file,
                    spool: None,
                    tally: None,
                    pending: VecDeque::new(),
                    end: None,
                    failures: 0,
                    trouble: None,
                    behind: Behind { from: limits::DATA_OFFSET },
                }),
                Err(error) => {
                    failed = Some(format!("{}: cannot make the take: {}", plan.path.display(), words(&error)));
                    break;
                }
            }
        }
        notes.dedup();
        let files = match failed {
            None => {
                let files = made.iter().map(|take| Arc::clone(take.file.file())).collect();
                for take in &made {
                    take.belief.opened(take.file.file());
                }
                self.takes.append(&mut made);
                Ok(files)
            }
            Some(reason) => {
                for take in made {
                    // Made a moment ago, exclusively, and without a sample in it.
                    std::fs::remove_file(&take.file.path).ok();
                }
                Err(reason)
            }
        };
        self.tell(DiskEvent::TakesOpened { pass, files, notes });
    }

    /// Writes one run of every take that has something to write; says whether there was any. Stops when a beat is
    /// due, unless it is being made.
    fn write_some(&mut self, in_beat: bool) -> bool {
        if self.resting.is_some() {
            return false;
        }
        let mut wrote = false;
        for at in 0..self.takes.len() {
            let take = &mut self.takes[at];
            if take.pending.is_empty() {
                continue;
            }
            let started = Instant::now();
            match take.write_run(&self.setup.disk) {
                Ok(()) => {
                    wrote = true;
                    DiskPublished::raise(&self.setup.disk.commit_us_max, started.elapsed().as_micros() as u64);
                    if take.trouble.take().is_some() {
                        let reason = format!("{}: the disk takes sound again", take.file.path.display());
                        self.tell(DiskEvent::TroubleOver { reason });
                    }
                }
                Err(error) => {
                    take.failures += 1;
                    let reason = format!("{}: cannot write: {}", take.file.path.display(), words(&error));
                    let first = take.trouble.replace(reason.clone()).is_none();
                    self.resting = Some(Instant::now() + RETRY);
                    if first {
                        self.tell(DiskEvent::Trouble { reason });
                    }
                }
            }
            if !in_beat && self.next_beat <= Instant::now() {
                return false;
            }
        }
        // Within a beat one round is all: what came late waits for the next, and the beat is kept.
        wrote && !in_beat
    }

    /// Headers and durability of everything that is in the files, and blocks for what comes.
    fn beat(&mut self) {
        let started = Instant::now();
        let mut notes = Vec::new();
        let mut told = Vec::new();
        let mut all_durable = true;
        let durable = self.setup.capture_path == CapturePath::Spool;
        let behind = |take: &&mut Take| take.file.is_behind();
        // All headers first, on their way to the disk together: the syncs then find them there.
        let headers: Vec<io::Result<()>> =
            self.takes.iter_mut().filter(behind).map(|take| take.file.write_header()).collect();
        for (take, header) in self.takes.iter_mut().filter(behind).zip(headers) {
            // In `direct` a durable beat would write the record position back: the header is current, the sync waits.
            let done = header.and_then(|()| if durable { take.sync() } else { Ok(()) });
            all_durable &= done.is_ok();
            let reserved = if take.end.is_some() { Ok(false) } else { take.file.reserve_ahead(&mut notes) };
            if let Err(error) = done.and(reserved.map(|_| ()))
                && take.trouble.is_none()
            {
                let reason = format!("{}: {}", take.file.path.display(), words(&error));
                take.trouble = Some(reason.clone());
                told.push(reason);
            }
        }
        for reason in told {
            self.tell(DiskEvent::Trouble { reason });
        }
        DiskPublished::raise(&self.setup.disk.beat_us_max, started.elapsed().as_micros() as u64);
        if durable && all_durable {
            self.setup.disk.durable_ms.store(self.started.elapsed().as_millis() as u64, Relaxed);
        }
    }

    /// Ends the takes that have everything in their file; gives up, in words, those whose disk stays dead.
    fn end_takes(&mut self) {
        let mut at = 0;
        while at < self.takes.len() {
            let take = &mut self.takes[at];
            let done = take.pending.is_empty() || RETRIES_AT_END < take.failures;
            // What is given up does not wait for the rest that the last failure brought about.
            let due = self.resting.is_none() || RETRIES_AT_END < take.failures;
            let Some(end) = take.end.clone().filter(|_| done && due) else {
                at += 1;
                continue;
            };
            match take.end_with(&end) {
                Err(_) if take.failures < RETRIES_AT_END => {
                    take.failures += 1;
                    self.resting = Some(Instant::now() + RETRY);
                    at += 1;
                }
                result => {
                    let take = self.takes.remove(at);
                    let event = take.farewell(end.frames, result, &self.setup.disk);
                    self.tell(event);
                }
            }
        }
    }

    fn tell(&self, event: DiskEvent) {
        self.setup.events.send(event).ok();
    }
}

impl Take {
    /// Writes the spans at the head of the queue that lie side by side, and gives their memory back.
    fn write_run(&mut self, disk: &DiskPublished) -> io::Result<()> {
        let Some(first) = self.pending.front() else { return Ok(()) };
        let (offset, started) = (first.offset, Instant::now());
        let run = self.run_length();
        if first.touched {
            if let Some(spool) = &self.spool {
                let maps = map_again(&mut self.pending, run, &spool.file, disk)?;
                let spans: Vec<&[u8]> =
                    self.pending.iter().take(run).filter_map(|span| span.map.as_ref()).map(Mapping::bytes).collect();
                debug_assert_eq!((spans.len(), maps), (run, run));
                self.file.write_run(offset, &spans)?;
            } else {
                self.behind.start_writing(self.file.file(), &self.pending, run);
            }
        }
        // Before the spool's pages go: whoever looks meanwhile looks for the sound in the file.
        self.belief.committed(self.committed_by(run), started.elapsed());
        for span in self.pending.drain(..run) {
            // What was made ahead and never reached begins behind the end: it is no sound, and no header may claim it.
            if span.passed_bytes > 0 {
                self.file.note_written(span.offset + span.passed_bytes as u64);
            }
            let (offset, bytes) = (span.offset, span.bytes);
            disk.spans_mapped.fetch_sub(u64::from(span.map.is_some()), Relaxed);
            drop(span);
            if let Some(spool) = &self.spool {
                // Holes are memory given back; a failure costs memory until the take ends.
                spool::punch(&spool.file, offset, bytes).ok();
            }
            disk.spool_bytes.fetch_sub(bytes as u64, Relaxed);
            disk.backlog_bytes.fetch_sub(bytes as u64, Relaxed);
            disk.committed_bytes.fetch_add(bytes as u64, Relaxed);
        }
        Ok(())
    }

    /// End of what is in the file with the first `run` spans; in `direct`, of what was sent on its way there.
    fn committed_by(&self, run: usize) -> u64 {
        let last = self.pending.get(run.saturating_sub(1)).filter(|_| self.spool.is_some());
        last.map_or(self.behind.from, |span| span.offset + span.passed_bytes as u64)
    }

    /// Makes durable what is in the file.
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.belief.durable(limits::DATA_OFFSET + self.file.data_bytes());
        Ok(())
    }

    /// Spans from the head on that can go to the disk in one write.
    fn run_length(&self) -> usize {
        let Some(first) = self.pending.front() else { return 0 };
        let (mut end, mut bytes, mut count) = (first.offset, 0, 0);
        for span in &self.pending {
            let fits = span.offset == end
                && span.touched == first.touched
                && bytes + span.bytes <= limits::COMMIT_RUN_BYTES_MAX;
            if count > 0 && !fits {
                break;
            }
            end = span.offset + span.bytes as u64;
            bytes += span.bytes;
            count += 1;
        }
        count
    }

    fn end_with(&mut self, end: &TakeEnd) -> io::Result<()> {
        if self.pending.is_empty() {
            self.file.finish(end)
        } else {
            Err(io::Error::other("sound is left in the spool"))
        }
    }

    /// Removes the spool of a take that is whole; keeps it, and says where, otherwise.
    fn farewell(self, frames: Frames, result: io::Result<()>, disk: &DiskPublished) -> DiskEvent {
        let mapped = self.pending.iter().filter(|span| span.map.is_some()).count();
        disk.spans_mapped.fetch_sub(mapped as u64, Relaxed);
        let held: usize = self.pending.iter().map(|span| span.bytes).sum();
        disk.backlog_bytes.fetch_sub(held as u64, Relaxed);
        disk.spool_bytes.fetch_sub(held as u64, Relaxed);
        let spool = self.spool.as_ref().and_then(|spool| spool.path.clone());
        let trouble = match result {
            // The spool is gone by now: this much can be said, and no more.
            Ok(()) if self.file.is_damaged() => Some(format!(
                "{}: the disk failed while sound was made durable; parts of the take may be missing, listen to it and replace the disk",
                self.file.path.display()
            )),
            Ok(()) => {
                if let Some(path) = &spool {
                    std::fs::remove_file(path).ok();
                }
                // The length of a pass is known as long as a take of it needs to be told.
                if let Some(tally) = &self.tally
                    && tally.unfinished.fetch_sub(1, Relaxed) == 1
                    && let Some(path) = &tally.path
                {
                    std::fs::remove_file(path).ok();
                }
                None
            }
            Err(error) => {
                let told = self.trouble.unwrap_or_else(|| format!("{}: {}", self.file.path.display(), words(&error)));
                Some(match spool {
                    Some(path) => format!("{told}; what is missing is kept in {}", path.display()),
                    None => told,
                })
            }
        };
        DiskEvent::TakeFinished { take: self.key, frames, trouble }
    }
}

impl Behind {
    /// Starts to write what lies far enough behind the newest of `run` spans.
    fn start_writing(&mut self, file: &File, spans: &VecDeque<CapturedSpan>, run: usize) {
        let Some(newest) = spans.get(run.saturating_sub(1)) else { return };
        let end = (newest.offset + newest.bytes as u64).saturating_sub(WRITE_BEHIND_BYTES);
        if self.from < end {
            // A failure is reported by the sync at the take's end.
            write_behind(file, self.from, end - self.from).ok();
            self.from = end;
        }
    }
}

/// Maps spans again whose mapping had to be given up. Returns how many of the run are mapped.
fn map_again(spans: &mut VecDeque<CapturedSpan>, run: usize, spool: &File, disk: &DiskPublished) -> io::Result<usize> {
    for span in spans.iter_mut().take(run) {
        if span.map.is_none() {
            span.map = Some(Mapping::writable(spool, span.offset, span.bytes)?);
            disk.spans_mapped.fetch_add(1, Relaxed);
        }
    }
    Ok(run)
}

/// The reason of an error and what to do about it, without the number.
fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => "the disk is full; delete or move files from it".to_owned(),
        Some(libc::EDQUOT) => "the quota is used up; delete or move files".to_owned(),
        Some(libc::EROFS) => "the file system is read-only; mount it for writing or record elsewhere".to_owned(),
        Some(libc::EACCES | libc::EPERM) => "no right to write here; choose a folder that is yours".to_owned(),
        Some(libc::EFBIG) => "no file may become that large here; record to another disk".to_owned(),
        Some(libc::EIO) => "the disk reports an error; record to another one".to_owned(),
        Some(libc::EEXIST) => "there is a file of that name already".to_owned(),
        _ => error.to_string(),
    }
}
