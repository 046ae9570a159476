//! Starts the threads of an open session and joins them. Thread: control.
//!
//! Everything that two threads share is made here: rings, channels, published numbers, ledger, lock budget. Each thread
//! gets its own ends by value.

use crate::butler::capabilities::{Capabilities, CapturePath};
use crate::butler::capture_ahead::{Butler, ButlerSetup};
use crate::butler::commit::{Committer, CommitterSetup};
use crate::butler::plan;
use crate::butler::read_ahead::{Reader, ReaderSetup};
use crate::device::{Device, DeviceError, DeviceFacts, Pace, silence_this_thread};
use crate::engine::{Engine, drive};
use crate::host::{self, Thread};
use crate::limits;
use crate::message::disk::{ButlerCommand, CommitCommand, DiskEvent, ReaderCommand};
use crate::message::outbox::Outbox;
use crate::message::published::Published;
use crate::message::replica::Replica;
use crate::message::stats::DiskPublished;
use crate::message::{AudioCommand, AudioEvent};
use crate::residency::{self, faults::FaultLog, ledger::Ledger};
use crate::rt::counters;
use crate::rt::schedule::{self, Scheduling};
use crate::window::budget::LockBudget;
use crate::window::process;
use crate::window::ring::resident_ring;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rtrb::{Consumer, Producer};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The settings that the threads are started with.
#[derive(Clone, Debug)]
pub struct ThreadsSetup {
    /// Capabilities of kernel and file systems.
    pub capabilities: Capabilities,
    /// Where the audio thread stores captured sound.
    pub capture_path: CapturePath,
    /// Bytes of memory that may be locked.
    pub lock_bytes_max: u64,
    /// Bytes that the spool may hold.
    pub spool_bytes_max: u64,
    /// Lead to aim at, in milliseconds.
    pub lead_ms: u64,
    /// Time between two durable headers.
    pub sync_interval: Duration,
}

/// The reason why the threads could not be started.
#[derive(Debug)]
pub enum ThreadsError {
    /// The system could not start a thread.
    Thread {
        /// Name of the thread.
        name: &'static str,
        /// The system's reason.
        error: io::Error,
    },
    /// The device did not start.
    Device(DeviceError),
    /// The audio thread ended before it started the device.
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

/// The running threads, and control's ends of their channels.
pub struct Threads {
    /// Commands to the audio thread.
    pub audio: Outbox<AudioCommand, Producer<AudioCommand>>,
    /// Events from the audio thread; see [`Threads::next_audio_event`].
    audio_events: Consumer<AudioEvent>,
    /// Commands to the butler.
    pub butler: Outbox<ButlerCommand>,
    /// Commands to the session's committer.
    pub commit: Outbox<CommitCommand>,
    /// Commands to the mirror's committer; see [`Threads::start_mirror`].
    pub mirror: Outbox<CommitCommand>,
    /// Commands to the read-ahead.
    pub reader: Outbox<ReaderCommand>,
    /// Events from butler, committers and read-ahead; see [`Threads::next_disk_event`].
    disk_events: Receiver<DiskEvent>,
    /// Numbers that the audio thread publishes.
    pub published: Arc<Published>,
    /// Numbers that the disk side publishes.
    pub disk: Arc<DiskPublished>,
    /// The ledger of windows.
    pub ledger: Arc<Ledger>,
    /// The page faults of the audio thread.
    pub faults: Arc<FaultLog>,
    /// The budget of locked memory.
    pub budget: Arc<LockBudget>,
    /// The settings that the device accepted.
    pub device: DeviceFacts,
    /// The scheduling that the audio thread was granted.
    pub scheduling: Scheduling,
    /// The settings that the threads were started with.
    pub setup: ThreadsSetup,
    /// Events that arrived while the audio thread was being ended.
    late_events: VecDeque<AudioEvent>,
    /// Events that arrived while the disk threads were being joined.
    late_disk_events: VecDeque<DiskEvent>,
    audio_thread: Option<Thread>,
    disk_handles: Vec<Thread>,
    /// Everything that the mirror's committer needs to start; `None` once it was started.
    mirror_setup: Option<CommitterSetup>,
    mirror_thread: Option<Thread>,
    /// Ends the thread that keeps the program in memory.
    _keeper: Option<Sender<()>>,
}

/// Name of the read-ahead's thread.
const READ_AHEAD: &str = "read-ahead";

/// Time between two looks at the program's own memory. The kernel takes back what was not used for minutes, and memory that is
/// short makes it sooner.
const KEEP_RESIDENT_INTERVAL: Duration = Duration::from_secs(10);

/// Time that the end of the program waits for a mirror whose disk does not respond.
const MIRROR_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at a thread that is being joined.
const JOIN_PAUSE: Duration = Duration::from_millis(2);

/// Pause between two tries of an audio thread that has failed to send its last events.
const FLUSH_PAUSE: Duration = Duration::from_millis(2);

/// Starts all threads except the mirror's. On return the device runs, and the transport is stopped at 0.
pub fn start(device: Box<dyn Device>, setup: ThreadsSetup) -> Result<Threads, ThreadsError> {
    let facts = device.facts().clone();
    let (audio, commands) = resident_ring(limits::AUDIO_COMMANDS);
    let (events, audio_events) = resident_ring(limits::AUDIO_EVENTS);
    let published = Arc::new(Published::new(facts.inputs));
    let disk = Arc::new(DiskPublished::default());
    let ledger = Arc::new(Ledger::default());
    let budget = LockBudget::new(setup.lock_bytes_max);
    let engine = Engine::new(commands, events, Arc::clone(&published), facts.inputs, facts.rate);

    let (butler, butler_commands) = host::bounded(limits::DISK_COMMANDS);
    let (commit, commit_commands) = host::bounded(limits::DISK_COMMANDS);
    let (mirror, mirror_commands) = host::bounded(limits::DISK_COMMANDS);
    let (reader, reader_commands) = host::bounded(limits::DISK_COMMANDS);
    // Control drains it in every poll. A committer and the read-ahead wait while it is full; the butler never does.
    let (disk_event_sender, disk_events) = host::bounded(limits::DISK_EVENTS);

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
    let mirror_setup = committer(Replica::Mirror, mirror_commands, disk_event_sender.clone());
    let mut disk_handles = vec![
        spawn("butler", limits::HELPER_STACK_BYTES, {
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
                events: disk_event_sender.clone(),
            };
            move || run_butler(setup)
        })?,
        spawn("committer", limits::HELPER_STACK_BYTES, {
            let setup = committer(Replica::Session, commit_commands, disk_event_sender.clone());
            move || Committer::new(setup).run()
        })?,
    ];
    let shared = (&published, &disk, &ledger, &budget);
    let reader_setup = reader_setup(&setup, &facts, shared, reader_commands, disk_event_sender);
    disk_handles.push(spawn(READ_AHEAD, limits::HELPER_STACK_BYTES, move || Reader::new(reader_setup).run())?);

    let keeper = keep_resident()?;
    let (audio_thread, scheduling, faults) = start_audio(engine, device, &published, &budget, &ledger)?;
    Ok(Threads {
        audio: Outbox::new(audio),
        audio_events,
        butler: Outbox::new(butler),
        commit: Outbox::new(commit),
        mirror: Outbox::new(mirror),
        reader: Outbox::new(reader),
        disk_events,
        published,
        disk,
        ledger,
        faults,
        budget,
        device: facts,
        scheduling,
        setup,
        late_events: VecDeque::new(),
        late_disk_events: VecDeque::new(),
        audio_thread: Some(audio_thread),
        disk_handles,
        mirror_setup: Some(mirror_setup),
        mirror_thread: None,
        _keeper: keeper,
    })
}

/// The body of the butler's thread.
fn run_butler(setup: ButlerSetup) {
    // Without this, a busy machine makes the butler late, and the audio thread then lacks windows.
    if !host::is_simulated() {
        schedule::favour();
    }
    Butler::new(setup).run();
}

/// Starts the thread that keeps the program's code and heap in memory, until the answer is dropped. Nothing waits for the
/// thread, because it may wait for the disk that has the program.
fn keep_resident() -> Result<Option<Sender<()>>, ThreadsError> {
    if host::is_simulated() {
        return Ok(None);
    }
    let (keeper, end) = bounded::<()>(0);
    spawn("keep-resident", limits::HELPER_STACK_BYTES, move || {
        while host::receive_timeout(&end, KEEP_RESIDENT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            process::keep_resident();
        }
    })?;
    Ok(Some(keeper))
}

/// The state that the disk threads share: published numbers, ledger, lock budget.
type Shared<'a> = (&'a Arc<Published>, &'a Arc<DiskPublished>, &'a Arc<Ledger>, &'a Arc<LockBudget>);

fn reader_setup(
    setup: &ThreadsSetup,
    facts: &DeviceFacts,
    (published, disk, ledger, budget): Shared<'_>,
    commands: Receiver<ReaderCommand>,
    events: Sender<DiskEvent>,
) -> ReaderSetup {
    let playback_share = plan::playback_share(setup.lock_bytes_max);
    ReaderSetup {
        capabilities: setup.capabilities.clone(),
        // Of its own, so that a session that plays leaves the memory for a recording.
        budget: LockBudget::part_of(budget, playback_share.bytes),
        playback_share,
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

/// Starts the audio thread, populates the program's memory, and lets the thread start the device. Also returns the log of
/// the thread's page faults.
fn start_audio(
    engine: Engine,
    device: Box<dyn Device>,
    published: &Arc<Published>,
    budget: &Arc<LockBudget>,
    ledger: &Arc<Ledger>,
) -> Result<(Thread, Scheduling, Arc<FaultLog>), ThreadsError> {
    published.is_alsa.store(device.facts().name.starts_with("alsa:"), Relaxed);
    let (granted, grant) = bounded(1);
    let (go, wait_for_go) = bounded(1);
    let (started, start_result) = bounded(1);
    let audio_thread = spawn("audio", limits::AUDIO_STACK_BYTES, {
        let (published, budget) = (Arc::clone(published), Arc::clone(budget));
        move || audio_thread(engine, device, &published, &budget, &granted, &wait_for_go, &started)
    })?;
    let scheduling = host::receive(&grant).map_err(|_| ThreadsError::AudioLost)?;
    let faults = Arc::new(FaultLog::default());
    if host::is_simulated() {
        faults.refuse("the machine is simulated");
    } else {
        let stack = published.stack_address.load(Relaxed);
        residency::faults::start(published.thread_id.load(Relaxed), stack, ledger, &faults);
    }
    // Everything that the audio thread will touch exists now: code, rings, engine, stacks.
    process::populate();
    host::send(&go, ()).map_err(|_| ThreadsError::AudioLost)?;
    host::receive(&start_result).map_err(|_| ThreadsError::AudioLost)?.map_err(ThreadsError::Device)?;
    Ok((audio_thread, scheduling, faults))
}

/// The body of the audio thread. Before it starts the device and after it has stopped it, it may allocate and wait.
fn audio_thread(
    mut engine: Engine,
    mut device: Box<dyn Device>,
    published: &Arc<Published>,
    budget: &Arc<LockBudget>,
    granted: &Sender<Scheduling>,
    go: &Receiver<()>,
    started: &Sender<Result<(), DeviceError>>,
) {
    silence_this_thread();
    published.thread_id.store(counters::this_thread_id(), Relaxed);
    published.stack_address.store(&raw const engine as usize, Relaxed);
    // A simulated machine has neither priorities nor a stack of the usual size.
    let scheduling = match host::is_simulated() {
        true => Scheduling::Fifo { priority: schedule::FIFO_PRIORITY },
        false => schedule::obtain(),
    };
    let locked = !host::is_simulated() && process::prepare_stack(budget);
    published.stack_locked.store(locked, Relaxed);
    if host::send(granted, scheduling).is_err() || host::receive(go).is_err() {
        return;
    }
    let result = device.start().map_err(|error| error.of(&device.facts().name));
    let failed = result.is_err();
    if host::send(started, result).is_err() || failed {
        return;
    }
    // A panic in the engine must not lose takes: the windows go back, and control is informed.
    let mut device = Some(device);
    let driven = catch_unwind(AssertUnwindSafe(|| drive::drive(&mut engine, &mut device, published)));
    if driven.is_err() {
        engine.send(AudioEvent::EngineLost);
        catch_unwind(AssertUnwindSafe(|| engine.give_everything_back())).ok();
        // Last: control closes the device, because a driver may wait.
        if let Some(device) = device {
            engine.send(AudioEvent::CloseDevice(device));
        }
        while !engine.flush_events() {
            host::sleep(FLUSH_PAUSE);
        }
    }
}

fn spawn(name: &'static str, stack: usize, body: impl FnOnce() + Send + 'static) -> Result<Thread, ThreadsError> {
    host::spawn(name, stack, body).map_err(|error| ThreadsError::Thread { name, error })
}

impl Threads {
    /// Whether the audio thread still runs.
    pub fn is_alive(&self) -> bool {
        self.audio_thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Name of the butler or committer thread if it has failed: they end on command only. Recording works without the
    /// read-ahead.
    pub fn failed_capture_thread(&self) -> Option<&str> {
        let mut names = self.disk_handles.iter().filter(|thread| thread.is_finished()).map(Thread::name);
        names.find(|name| *name != READ_AHEAD)
    }

    /// Starts the mirror's committer, once.
    pub fn start_mirror(&mut self) -> Result<(), ThreadsError> {
        if let Some(setup) = self.mirror_setup.take() {
            self.mirror_thread =
                Some(spawn("mirror", limits::HELPER_STACK_BYTES, move || Committer::new(setup).run())?);
        }
        Ok(())
    }

    /// The next event of the audio thread.
    pub fn next_audio_event(&mut self) -> Option<AudioEvent> {
        self.late_events.pop_front().or_else(|| self.audio_events.pop().ok())
    }

    /// The queue of the disk threads' events, for a caller that waits for one and takes it by
    /// [`Threads::next_disk_event`].
    pub fn disk_event_queue(&self) -> &Receiver<DiskEvent> {
        &self.disk_events
    }

    /// The next event of a disk thread.
    pub fn next_disk_event(&mut self) -> Option<DiskEvent> {
        self.late_disk_events.pop_front().or_else(|| self.disk_events.try_recv().ok())
    }

    /// Sends what found no room in a queue before. Control calls it in every poll. A thread that is gone is found by
    /// [`Threads::is_alive`] and [`Threads::failed_capture_thread`].
    pub fn flush(&mut self) {
        self.audio.flush().ok();
        self.butler.flush().ok();
        self.commit.flush().ok();
        self.mirror.flush().ok();
        self.reader.flush().ok();
    }

    /// Ends the audio thread. Its last events can be read afterwards.
    pub fn end_audio(&mut self) {
        if self.is_alive() {
            self.audio.send(AudioCommand::Quit).ok();
        }
        // The audio thread ends when all its last events have found space in the ring.
        while self.is_alive() {
            self.audio.flush().ok();
            while let Ok(event) = self.audio_events.pop() {
                self.late_events.push_back(event);
            }
            host::sleep(Duration::from_millis(2));
        }
        if let Some(thread) = self.audio_thread.take() {
            // If it panicked, control has its event already.
            thread.join().ok();
        }
    }

    /// Lets the disk threads finish their takes, and joins them. Waits as long as the disk does.
    pub fn end_disk(&mut self) {
        self.butler.send(ButlerCommand::Quit).ok();
        self.reader.send(ReaderCommand::Quit).ok();
        let mut threads = std::mem::take(&mut self.disk_handles).into_iter();
        // A butler that failed has not sent how the takes end, and will not.
        let lost = threads.next().is_some_and(|butler| self.join(butler).is_err());
        let leave = || if lost { CommitCommand::Abandon } else { CommitCommand::Quit };
        self.commit.send(leave()).ok();
        for thread in threads {
            self.join(thread).ok();
        }
        self.mirror.send(leave()).ok();
        let until = host::now() + MIRROR_PATIENCE;
        if let Some(mirror) = self.mirror_thread.take() {
            while !mirror.is_finished() && host::now() < until {
                self.serve_queues();
                host::sleep(Duration::from_millis(5));
            }
            // A mirror whose disk does not respond is not joined. The system ends its thread with the program.
            if mirror.is_finished() {
                mirror.join().ok();
            }
        }
    }
}

impl Threads {
    /// Waits for a disk thread. Serves the queues meanwhile: the thread may wait for room in one.
    fn join(&mut self, thread: Thread) -> std::thread::Result<()> {
        while !thread.is_finished() {
            self.serve_queues();
            host::sleep(JOIN_PAUSE);
        }
        thread.join()
    }

    fn serve_queues(&mut self) {
        self.flush();
        self.late_disk_events.extend(self.disk_events.try_iter());
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end_audio();
        // The events may contain a pass that control never ended. Drop it: the butler waits for the other ends of its
        // windows.
        while self.next_audio_event().is_some() {}
        self.end_disk();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::control::setup::test_setup;
    use crate::device::{self, DeviceSpec, Input, Output, StartError, Wake};
    use crate::rt::schedule::FAVOURED_NICE;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    /// A device whose wait panics, and which notes that it was closed.
    struct Failing {
        device: Box<dyn Device>,
        waits: u32,
        closed: Arc<AtomicBool>,
    }

    impl Drop for Failing {
        fn drop(&mut self) {
            self.closed.store(true, Relaxed);
        }
    }

    impl Device for Failing {
        fn facts(&self) -> &DeviceFacts {
            self.device.facts()
        }

        fn start(&mut self) -> Result<(), StartError> {
            self.device.start()
        }

        fn wait(&mut self, timeout: Duration) -> Wake {
            self.waits += 1;
            assert!(self.waits < 10, "it fails, as was ordered");
            self.device.wait(timeout)
        }

        fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize {
            self.device.cycle(process)
        }

        fn sleeps(&self) -> u64 {
            self.device.sleeps()
        }

        fn stop(&mut self) {
            self.device.stop();
        }
    }

    /// Unwinding closed the device before anything else. A driver that waits there kept the windows, and nobody noticed.
    #[test]
    fn after_a_panic_control_is_told_before_anybody_closes_the_device() {
        let place = tempfile::tempdir().unwrap();
        let setup = test_setup(&place.path().join("evening"));
        let spec = DeviceSpec { name: "virtual".to_owned(), ..setup.device };
        let closed = Arc::new(AtomicBool::new(false));
        let device = Failing { device: device::open(&spec).unwrap(), waits: 0, closed: Arc::clone(&closed) };
        let mut threads = start(Box::new(device), setup.run).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while threads.is_alive() {
            assert!(Instant::now() < until, "the audio thread still runs");
            std::thread::sleep(Duration::from_millis(2));
        }
        // On a busy machine the device may have lost frames before the panic.
        let is_of_panic = |event: &AudioEvent| matches!(event, AudioEvent::EngineLost | AudioEvent::CloseDevice(_));
        let events: Vec<AudioEvent> = std::iter::from_fn(|| threads.next_audio_event()).filter(is_of_panic).collect();
        assert!(matches!(events[..], [AudioEvent::EngineLost, AudioEvent::CloseDevice(_)]), "{} events", events.len());
        assert!(!closed.load(Relaxed), "the audio thread has closed it");
    }

    /// The threads of this process with the name `butler`, and their nice values.
    fn butlers() -> Vec<(String, i32)> {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let nice_of = |stat: String| {
            let (head, rest) = stat.rsplit_once(')')?;
            let nice = rest.split_ascii_whitespace().nth(16)?.parse().ok()?;
            head.ends_with("(butler").then_some(nice)
        };
        // A thread can end meanwhile.
        let stats = tasks.filter_map(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
            Some((task.file_name().to_string_lossy().into_owned(), nice_of(stat)?))
        });
        stats.collect()
    }

    #[test]
    fn the_butler_of_an_open_session_has_the_nice_value_that_keeps_it_in_time_on_a_busy_machine() {
        if !std::thread::spawn(schedule::favour).join().unwrap() {
            println!("SKIPPED threads: neither the kernel nor rtkit grants a nice value here");
            return;
        }
        let (before, place) = (butlers(), tempfile::tempdir().unwrap());
        let control = Control::open(test_setup(&place.path().join("evening"))).unwrap();
        // A thread of another test may be a butler too, and each asks for its nice value when it begins.
        let is_favoured =
            |(id, nice): &(String, i32)| *nice == FAVOURED_NICE && before.iter().all(|(other, _)| other != id);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !butlers().iter().any(is_favoured) {
            assert!(Instant::now() < deadline, "{:?}", butlers());
            std::thread::sleep(Duration::from_millis(5));
        }
        control.close();
    }
}
