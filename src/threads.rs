//! Builds the pairs, starts the threads, joins them. Thread: control.
//!
//! Everything that two threads share is born here, and each thread is given its own ends by value.

use crate::butler::capabilities::{Capabilities, CapturePath};
use crate::butler::commit::{Committer, CommitterSetup};
use crate::butler::plan;
use crate::butler::read_ahead::{Reader, ReaderSetup};
use crate::butler::supply::{Butler, ButlerSetup};
use crate::device::{Device, DeviceError, DeviceFacts, Pace};
use crate::engine::{Engine, drive};
use crate::limits;
use crate::message::disk::{ButlerCommand, CommitCommand, DiskEvent, DiskPublished, ReaderCommand};
use crate::message::published::Published;
use crate::message::replica::Replica;
use crate::message::{AudioCommand, AudioEvent};
use crate::residency::ledger::Ledger;
use crate::rt::counters;
use crate::rt::schedule::{self, Scheduling};
use crate::window::budget::LockBudget;
use crate::window::process;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rtrb::{Consumer, Producer};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Stack of the threads that are not the audio thread. Small: it is brought in whole.
const HELPER_STACK_BYTES: usize = 512 * 1024;

/// What the machine is built from.
#[derive(Clone, Debug)]
pub struct ThreadsSetup {
    /// What kernel and file systems offer.
    pub capabilities: Capabilities,
    /// Where captured sound goes first.
    pub capture_path: CapturePath,
    /// Bytes of memory that may be locked.
    pub lock_bytes_max: u64,
    /// Bytes that the spool may hold.
    pub spool_bytes_max: u64,
    /// Milliseconds of lead to aim at.
    pub lead_ms: u64,
    /// Between two durable headers.
    pub sync_interval: Duration,
}

/// Why the threads could not be started.
#[derive(Debug)]
pub enum ThreadsError {
    /// The system gave no thread.
    Thread {
        /// Which.
        name: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The device did not start.
    Device(DeviceError),
    /// The audio thread ended before it began.
    AudioLost,
}

impl fmt::Display for ThreadsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThreadsError::Thread { name, error } => write!(f, "{name} thread: cannot be started: {error}"),
            ThreadsError::Device(error) => error.fmt(f),
            ThreadsError::AudioLost => f.write_str("audio thread: ended before the device was started"),
        }
    }
}

impl std::error::Error for ThreadsError {}

/// The running threads, seen from control.
pub struct Threads {
    /// To the audio thread.
    pub audio: Producer<AudioCommand>,
    /// From the audio thread; see [`Threads::next_audio_event`].
    audio_events: Consumer<AudioEvent>,
    /// To the butler.
    pub butler: Sender<ButlerCommand>,
    /// To the committer.
    pub commit: Sender<CommitCommand>,
    /// To that of the mirror; see [`Threads::start_mirror`].
    pub mirror: Sender<CommitCommand>,
    /// To the read-ahead.
    pub reader: Sender<ReaderCommand>,
    /// From all three.
    pub disk_events: Receiver<DiskEvent>,
    /// The audio thread's numbers.
    pub published: Arc<Published>,
    /// The disk side's numbers.
    pub disk: Arc<DiskPublished>,
    /// What the disk side believes of its windows.
    pub ledger: Arc<Ledger>,
    /// Locked memory.
    pub budget: Arc<LockBudget>,
    /// What the device settled on.
    pub device: DeviceFacts,
    /// What the audio thread was granted.
    pub scheduling: Scheduling,
    /// What the machine was built from.
    pub setup: ThreadsSetup,
    /// What was told while the audio thread was being ended.
    late_events: VecDeque<AudioEvent>,
    audio_thread: Option<JoinHandle<()>>,
    disk_threads: Vec<JoinHandle<()>>,
    /// What the mirror's committer is started with, when there is a mirror.
    mirror_setup: Option<CommitterSetup>,
    mirror_thread: Option<JoinHandle<()>>,
}

/// The thread that reads what is played.
const READ_AHEAD: &str = "read-ahead";

/// How long the end of the program waits for a mirror whose disk stands still.
const MIRROR_PATIENCE: Duration = Duration::from_secs(10);

/// Starts everything; when it returns, the device runs and the transport stands at 0.
pub fn start(device: Box<dyn Device>, setup: ThreadsSetup) -> Result<Threads, ThreadsError> {
    let facts = device.facts().clone();
    let (audio, commands) = process::ring(limits::AUDIO_COMMANDS);
    let (events, audio_events) = process::ring(limits::AUDIO_EVENTS);
    let published = Arc::new(Published::new(facts.inputs));
    let disk = Arc::new(DiskPublished::default());
    let ledger = Arc::new(Ledger::default());
    let budget = LockBudget::new(setup.lock_bytes_max);
    let engine = Engine::new(commands, events, Arc::clone(&published), facts.inputs, facts.rate);

    let (butler, butler_commands) = bounded(limits::CHANNEL_MESSAGES);
    let (commit, commit_commands) = bounded(limits::CHANNEL_MESSAGES);
    let (mirror, mirror_commands) = bounded(limits::CHANNEL_MESSAGES);
    let (reader, reader_commands) = bounded(limits::CHANNEL_MESSAGES);
    // Told and drained in the same loop that draws; bounded by what can happen to open takes and tracks.
    let (disk_tell, disk_events) = unbounded();

    let committer = |replica, commands, events| CommitterSetup {
        replica,
        capabilities: setup.capabilities.clone(),
        capture_path: setup.capture_path,
        sync_interval: setup.sync_interval,
        spool_bytes_max: setup.spool_bytes_max,
        published: Arc::clone(&published),
        disk: Arc::clone(&disk),
        ledger: Arc::clone(&ledger),
        commands,
        events,
    };
    let mirror_setup = committer(Replica::Mirror, mirror_commands, disk_tell.clone());
    let mut disk_threads = vec![
        spawn("butler", HELPER_STACK_BYTES, {
            let setup = ButlerSetup {
                capabilities: setup.capabilities.clone(),
                capture_path: setup.capture_path,
                budget: Arc::clone(&budget),
                capture_share: plan::capture_share(setup.lock_bytes_max),
                lead_ms: setup.lead_ms,
                period_frames: facts.period_frames,
                keeps_time: facts.pace == Pace::RealTime,
                spool_bytes_max: setup.spool_bytes_max,
                published: Arc::clone(&published),
                disk: Arc::clone(&disk),
                ledger: Arc::clone(&ledger),
                commands: butler_commands,
                commit: vec![commit.clone(), mirror.clone()],
                events: disk_tell.clone(),
            };
            move || Butler::new(setup).run()
        })?,
        spawn("committer", HELPER_STACK_BYTES, {
            let setup = committer(Replica::Session, commit_commands, disk_tell.clone());
            move || Committer::new(setup).run()
        })?,
    ];
    let shared = (&published, &disk, &ledger, &budget);
    let reader_setup = reader_setup(&setup, &facts, shared, reader_commands, disk_tell);
    disk_threads.push(spawn(READ_AHEAD, HELPER_STACK_BYTES, move || Reader::new(reader_setup).run())?);

    let (audio_thread, scheduling) = start_audio(engine, device, &published, &budget)?;
    Ok(Threads {
        audio,
        audio_events,
        butler,
        commit,
        mirror,
        reader,
        disk_events,
        published,
        disk,
        ledger,
        budget,
        device: facts,
        scheduling,
        setup,
        late_events: VecDeque::new(),
        audio_thread: Some(audio_thread),
        disk_threads,
        mirror_setup: Some(mirror_setup),
        mirror_thread: None,
    })
}

/// What everybody shares: the numbers of both sides, what the disk side believes, locked memory.
type Shared<'a> = (&'a Arc<Published>, &'a Arc<DiskPublished>, &'a Arc<Ledger>, &'a Arc<LockBudget>);

fn reader_setup(
    setup: &ThreadsSetup,
    facts: &DeviceFacts,
    (published, disk, ledger, budget): Shared<'_>,
    commands: Receiver<ReaderCommand>,
    events: Sender<DiskEvent>,
) -> ReaderSetup {
    ReaderSetup {
        capabilities: setup.capabilities.clone(),
        budget: Arc::clone(budget),
        playback_share: plan::playback_share(setup.lock_bytes_max),
        lead_ms: setup.lead_ms,
        period_frames: facts.period_frames,
        rate: facts.rate,
        published: Arc::clone(published),
        disk: Arc::clone(disk),
        ledger: Arc::clone(ledger),
        commands,
        events,
    }
}

/// Starts the audio thread, brings the program's memory in, and lets it start the device.
fn start_audio(
    engine: Engine,
    device: Box<dyn Device>,
    published: &Arc<Published>,
    budget: &Arc<LockBudget>,
) -> Result<(JoinHandle<()>, Scheduling), ThreadsError> {
    let (granted, grant) = bounded(1);
    let (go, wait_for_go) = bounded(1);
    let (started, start_result) = bounded(1);
    let audio_thread = spawn("audio", limits::AUDIO_STACK_BYTES, {
        let (published, budget) = (Arc::clone(published), Arc::clone(budget));
        move || audio_thread(engine, device, &published, &budget, &granted, &wait_for_go, &started)
    })?;
    let scheduling = grant.recv().map_err(|_| ThreadsError::AudioLost)?;
    // Everything that the audio thread will touch exists now: code, rings, engine, stacks.
    process::populate();
    go.send(()).map_err(|_| ThreadsError::AudioLost)?;
    start_result.recv().map_err(|_| ThreadsError::AudioLost)?.map_err(ThreadsError::Device)?;
    Ok((audio_thread, scheduling))
}

/// The audio thread's life. Before the device starts and after it has stopped, it is a thread like any other.
fn audio_thread(
    mut engine: Engine,
    mut device: Box<dyn Device>,
    published: &Arc<Published>,
    budget: &Arc<LockBudget>,
    granted: &Sender<Scheduling>,
    go: &Receiver<()>,
    started: &Sender<Result<(), DeviceError>>,
) {
    published.thread_id.store(counters::this_thread_id(), Relaxed);
    let scheduling = schedule::obtain();
    published.stack_locked.store(process::prepare_stack(budget), Relaxed);
    if granted.send(scheduling).is_err() || go.recv().is_err() {
        return;
    }
    let result = device.start().map_err(|error| error.of(&device.facts().name));
    let failed = result.is_err();
    if started.send(result).is_err() || failed {
        return;
    }
    // A panic in the engine must not lose takes: what it was handed goes home, and control is told.
    let driven = catch_unwind(AssertUnwindSafe(|| drive::drive(&mut engine, device, published)));
    if driven.is_err() {
        engine.report(AudioEvent::EngineLost);
        catch_unwind(AssertUnwindSafe(|| engine.give_everything_back())).ok();
    }
}

fn spawn(
    name: &'static str,
    stack: usize,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, ThreadsError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack)
        .spawn(body)
        .map_err(|error| ThreadsError::Thread { name, error })
}

impl Threads {
    /// Whether the audio thread still runs.
    pub fn is_alive(&self) -> bool {
        self.audio_thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Which of butler and committer has failed: they leave only when they are told to. Without the read-ahead recording
    /// goes on.
    pub fn failed_capture_thread(&self) -> Option<&str> {
        let names = self.disk_threads.iter().filter(|thread| thread.is_finished());
        names.filter_map(|thread| thread.thread().name()).find(|name| *name != READ_AHEAD)
    }

    /// Starts the mirror's committer; done once.
    pub fn start_mirror(&mut self) -> Result<(), ThreadsError> {
        if let Some(setup) = self.mirror_setup.take() {
            self.mirror_thread = Some(spawn("mirror", HELPER_STACK_BYTES, move || Committer::new(setup).run())?);
        }
        Ok(())
    }

    /// The next thing that the audio thread has told.
    pub fn next_audio_event(&mut self) -> Option<AudioEvent> {
        self.late_events.pop_front().or_else(|| self.audio_events.pop().ok())
    }

    /// Ends the audio thread; its last events can be read afterwards.
    pub fn end_audio(&mut self) {
        // A full ring means that it does not drain it: dropping our end would not stop it, so try again.
        while self.is_alive() && self.audio.push(AudioCommand::Quit).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        // It leaves when everything it had has found room among its events.
        while self.is_alive() {
            while let Ok(event) = self.audio_events.pop() {
                self.late_events.push_back(event);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(thread) = self.audio_thread.take() {
            // It has told why, if it panicked.
            thread.join().ok();
        }
    }

    /// Lets the disk side finish what it has, and joins it. Waits as long as the disk does.
    pub fn end_disk(&mut self) {
        self.butler.send(ButlerCommand::Quit).ok();
        self.reader.send(ReaderCommand::Quit).ok();
        let mut threads = self.disk_threads.drain(..);
        // One that failed has not said how the takes end, and will not.
        let lost = threads.next().is_some_and(|butler| butler.join().is_err());
        let leave = || if lost { CommitCommand::Abandon } else { CommitCommand::Quit };
        self.commit.send(leave()).ok();
        for thread in threads {
            thread.join().ok();
        }
        self.mirror.try_send(leave()).ok();
        let until = Instant::now() + MIRROR_PATIENCE;
        if let Some(mirror) = self.mirror_thread.take() {
            while !mirror.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            // One whose disk stands still holds nobody up; the system ends it with the program.
            if mirror.is_finished() {
                mirror.join().ok();
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end_audio();
        // A pass that nobody ends any more: with its windows' other ends in what was told, the butler would wait for it.
        while self.next_audio_event().is_some() {}
        self.end_disk();
    }
}
