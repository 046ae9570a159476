//! Runs one scheme: a paced audio thread, a butler and a load. Thread: bench (`perform`), audio (`prepare`, `measure`
//! and every `Cycle`).

use super::BenchError;
use super::load::Load;
use super::scheme::Shape;
use crate::limits;
use crate::window::budget::LockBudget;
use crate::window::process;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

const PRIORITY: u8 = 20;
/// A run is ended when it takes this many times as long as it should.
const OVERTIME: u64 = 3;

/// The work of the audio thread in one scheme.
pub(super) trait Cycle: Send {
    /// Does the card's part before the audio thread wakes. Not timed.
    fn before(&mut self, at: u64);
    /// Copies one period of every track. Returns how many tracks had no window.
    fn cycle(&mut self, at: u64) -> u64;
    /// Compares the copied frames and returns how many are wrong. Not timed.
    fn after(&mut self, at: u64) -> u64;
    /// Gives all windows and mappings back to the butler.
    fn end(&mut self, at: u64);
}

/// Flags and position that bench, butler and audio thread share.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The butler has supplied the first windows, or has failed.
    primed: AtomicBool,
    go: AtomicBool,
    over: AtomicBool,
    position: AtomicU64,
}

impl Gate {
    pub(super) fn primed(&self) {
        self.primed.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Frames that the audio thread has processed.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }
}

/// Measurements of the audio thread, and a description of the load.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    /// Duration of each cycle, in order of time.
    pub(super) cycle_nanos: Vec<u64>,
    pub(super) misses: u64,
    pub(super) woken_late: u64,
    pub(super) windows_missing: u64,
    pub(super) frames_wrong: u64,
    pub(super) scheduling: String,
    pub(super) load: String,
}

/// Values of the run that every row needs.
pub(super) struct RunContext<'a> {
    pub(super) shape: Shape,
    pub(super) folder: &'a Path,
    pub(super) spool: &'a Path,
    pub(super) load: &'a Load,
    pub(super) budget: &'a Arc<LockBudget>,
    pub(super) cancel: &'a AtomicBool,
}

/// Runs one scheme: `audio` on a real-time thread, `butler` on an ordinary thread, and the load. The butler calls
/// [`Gate::primed`] when it has supplied the first windows, and returns after [`Gate::is_over`].
pub(super) fn perform<T: Send>(
    context: &RunContext<'_>,
    audio: &mut impl Cycle,
    butler: impl FnOnce(&Gate) -> Result<T, BenchError> + Send,
) -> Result<(Measurements, T), BenchError> {
    let gate = &Gate::default();
    let thread_failed = |error: io::Error| BenchError::Thread(error);
    thread::scope(|scope| {
        let butler = thread::Builder::new().name("bench-butler".into()).spawn_scoped(scope, move || {
            let done = butler(gate);
            gate.primed();
            done
        });
        let butler = butler.map_err(thread_failed)?;
        while !gate.primed.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        let measured = (|| {
            let (ready_in, ready) = crossbeam_channel::bounded(1);
            let audio = thread::Builder::new()
                .name("bench-audio".into())
                .stack_size(limits::AUDIO_STACK_BYTES)
                .spawn_scoped(scope, move || {
                    let mut measurements = prepare(context);
                    // The bench thread waits for this message. Nothing is timed yet.
                    ready_in.send(()).ok();
                    measure(context, gate, audio, &mut measurements);
                    measurements
                })
                .map_err(thread_failed)?;
            ready.recv().ok();
            process::populate();
            let running = context.load.start();
            gate.go.store(true, Ordering::Release);
            let measurements = audio.join().map_err(|_| BenchError::Lost("audio"));
            let (mut measurements, load) = (measurements?, running?.stop());
            measurements.load = load;
            Ok(measurements)
        })();
        gate.over.store(true, Ordering::Release);
        let done = butler.join().map_err(|_| BenchError::Lost("butler"))??;
        if context.cancel.load(Ordering::Relaxed) {
            return Err(BenchError::Cancelled);
        }
        Ok((measured?, done))
    })
}

/// Sets the scheduling class, touches the stack, and allocates the memory for the measurements. The audio thread
/// allocates nothing after this.
fn prepare(context: &RunContext<'_>) -> Measurements {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let priority = ThreadPriority::try_from(PRIORITY).unwrap_or(ThreadPriority::Min);
    let scheduling = match set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        Ok(()) => format!("SCHED_FIFO {PRIORITY}"),
        Err(thread_priority::Error::OS(code)) => {
            format!("ordinary: SCHED_FIFO was refused: {}", io::Error::from_raw_os_error(code))
        }
        Err(error) => format!("ordinary: SCHED_FIFO was refused: {error:?}"),
    };
    process::prepare_stack(context.budget);
    // Fill with another value than zero. Zeroed memory is one shared page until the first store, which would fault.
    let mut cycle_nanos = vec![u64::MAX; context.shape.cycles as usize];
    cycle_nanos.clear();
    Measurements { cycle_nanos, scheduling, ..Measurements::default() }
}

/// The measured loop. The card delivers period `n` at `start + n * period`, and a cycle must end before the card
/// delivers the next period. The simulated card has an endless buffer: late periods are processed, and each counts as a
/// miss.
fn measure(context: &RunContext<'_>, gate: &Gate, audio: &mut impl Cycle, measurements: &mut Measurements) {
    while !gate.go.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(1));
    }
    let shape = context.shape;
    let period = shape.period_nanos();
    let (minor, major) = faults();
    let start = now() + period;
    let last = start + OVERTIME * shape.cycles * period + 1_000_000_000;
    let mut lag_is_the_schedulers = false;
    for cycle in 0..shape.cycles {
        let (at, due) = (cycle * shape.period as u64, start + (cycle + 1) * period);
        let slept = now() < due;
        wait_until(due);
        if context.cancel.load(Ordering::Relaxed) || last < now() {
            break;
        }
        if slept {
            lag_is_the_schedulers = due + period < now();
        }
        audio.before(at);
        let began = now();
        measurements.windows_missing += audio.cycle(at);
        let ended = now();
        measurements.frames_wrong += audio.after(at);
        // The capacity is reserved, so this does not allocate.
        measurements.cycle_nanos.push(ended - began);
        let missed = due + period < ended;
        measurements.misses += u64::from(missed);
        measurements.woken_late += u64::from(missed && lag_is_the_schedulers);
        gate.position.store(at + shape.period as u64, Ordering::Release);
    }
    let (minor_now, major_now) = faults();
    measurements.minor_faults = minor_now - minor;
    measurements.major_faults = major_now - major;
    audio.end(measurements.cycle_nanos.len() as u64 * shape.period as u64);
}

fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

fn wait_until(nanos: u64) {
    let time = TimeSpec::new((nanos / 1_000_000_000) as i64, (nanos % 1_000_000_000) as i64);
    // A signal can end the sleep early, which does no harm.
    clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &time).ok();
}

/// Minor and major page faults of the calling thread since it started.
fn faults() -> (u64, u64) {
    getrusage(UsageWho::RUSAGE_THREAD)
        .map_or((0, 0), |usage| (usage.minor_page_faults() as u64, usage.major_page_faults() as u64))
}
