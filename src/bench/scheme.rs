//! The schemes that are compared, and the paced thread that every one of them is measured on.
//! Thread: bench (starts the others), audio (`measure` and every `Cycle`).

use super::BenchError;
use super::stress::Stress;
use crate::limits;
use crate::time::SampleRate;
use crate::window::budget::LockBudget;
use crate::window::map::Mapping;
use crate::window::process;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use rtrb::Producer;
use serde::Serialize;
use std::fmt;
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

/// Which way the sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// From the card into files.
    Capture,
    /// From files to the card.
    Playback,
}

/// How the audio thread comes by resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// As in 2000: the audio thread maps the file itself; on playback a butler touches its pages first.
    Touch,
    /// A butler maps the file and populates it; nothing is locked.
    Populate,
    /// The same, locked.
    Locked,
    /// Locked, unmapped when passed, and written behind at a distance.
    Direct,
    /// Locked windows of a tmpfs file, committed to the disk by another thread.
    Spool,
}

impl Scheme {
    /// Those that capture is measured with.
    pub const CAPTURE: [Scheme; 5] = [Scheme::Touch, Scheme::Populate, Scheme::Locked, Scheme::Direct, Scheme::Spool];
    /// Those that playback is measured with.
    pub const PLAYBACK: [Scheme; 3] = [Scheme::Touch, Scheme::Populate, Scheme::Locked];

    /// Whether its windows are locked in memory.
    pub(super) fn locks(self) -> bool {
        matches!(self, Scheme::Locked | Scheme::Direct | Scheme::Spool)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Side::Capture => "capture",
            Side::Playback => "playback",
        })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Scheme::Touch => "touch",
            Scheme::Populate => "populate",
            Scheme::Locked => "locked",
            Scheme::Direct => "direct",
            Scheme::Spool => "spool",
        })
    }
}

/// The rate of the imagined card.
pub(super) const RATE: SampleRate = SampleRate(48_000);
/// Bytes of one f32 sample.
pub(super) const SAMPLE_BYTES: usize = 4;
/// Bytes of a window.
pub(super) const WINDOW_BYTES: usize = limits::WINDOW_BYTES_DEFAULT;
/// Frames of a window: the files are mono.
pub(super) const WINDOW_FRAMES: u64 = (WINDOW_BYTES / SAMPLE_BYTES) as u64;
/// Windows that wait for the audio thread beside the one it uses: 24 tracks then lock 6 MiB, under the
/// 8 MiB that a desktop allows.
pub(super) const LEAD_WINDOWS: usize = 3;
/// Time between two passes of a butler.
pub(super) const BUTLER_PAUSE: Duration = Duration::from_millis(2);

const PRIORITY: u8 = 20;
/// A run that is this many times as long as it should be is ended: its scheme has lost.
const OVERTIME: u64 = 3;

/// How much is recorded or played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) tracks: usize,
    pub(super) period: usize,
    pub(super) cycles: u64,
}

impl Shape {
    pub(super) fn new(tracks: usize, period: usize, seconds: f64) -> Shape {
        let frames = (seconds * f64::from(RATE.0)).ceil() as u64;
        Shape { tracks, period, cycles: frames.div_ceil(period as u64).max(1) }
    }

    /// Windows of one track.
    pub(super) fn windows(&self) -> u64 {
        (self.cycles * self.period as u64).div_ceil(WINDOW_FRAMES)
    }

    /// Bytes of one track's file: a page for the header, then whole windows.
    pub(super) fn file_bytes(&self) -> u64 {
        limits::DATA_OFFSET + self.windows() * WINDOW_BYTES as u64
    }

    fn period_nanos(&self) -> u64 {
        self.period as u64 * 1_000_000_000 / u64::from(RATE.0)
    }
}

/// The sample of `track` at `frame`: never zero, exact in f32, different on each track.
pub(super) fn ramp(track: usize, frame: u64) -> f32 {
    let step = (frame + track as u64 * 4099) & 0x3F_FFFF;
    (step + 1) as f32 / 8_388_608.0
}

/// Fills `out` with the samples of `track` from `frame` on, as a file holds them.
pub(super) fn fill_ramp(track: usize, frame: u64, out: &mut [u8]) {
    for (sample, frame) in out.as_chunks_mut::<SAMPLE_BYTES>().0.iter_mut().zip(frame..) {
        *sample = ramp(track, frame).to_le_bytes();
    }
}

/// Frames of `bytes` that are not what `track` has from `frame` on.
pub(super) fn wrong_frames(track: usize, frame: u64, bytes: &[u8]) -> u64 {
    let samples = bytes.as_chunks::<SAMPLE_BYTES>().0.iter().zip(frame..);
    samples.filter(|(sample, frame)| **sample != ramp(track, *frame).to_le_bytes()).count() as u64
}

/// One period of every track in the card's memory, track after track.
pub(super) struct Card {
    pub(super) bytes: Vec<u8>,
    track_bytes: usize,
}

impl Card {
    pub(super) fn new(shape: Shape) -> Card {
        let track_bytes = shape.period * SAMPLE_BYTES;
        Card { bytes: vec![0; shape.tracks * track_bytes], track_bytes }
    }

    /// What the card has recorded of every track. This is realtime-safe.
    pub(super) fn record(&mut self, at: u64) {
        for (track, bytes) in self.bytes.chunks_exact_mut(self.track_bytes).enumerate() {
            fill_ramp(track, at, bytes);
        }
    }

    /// Frames that the card was given and that are not the ramp. This is realtime-safe.
    pub(super) fn wrong(&self, at: u64) -> u64 {
        let tracks = self.bytes.chunks_exact(self.track_bytes).enumerate();
        tracks.map(|(track, bytes)| wrong_frames(track, at, bytes)).sum()
    }

    /// Each track's period.
    pub(super) fn tracks(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_exact_mut(self.track_bytes)
    }
}

/// The mappings of an audio thread that makes them itself, as in 2000. It never undoes one: the butler does.
pub(super) struct OwnMaps {
    pub(super) current: Vec<Option<(u64, Mapping)>>,
    pub(super) done: Producer<Mapping>,
    pub(super) bytes: usize,
}

impl OwnMaps {
    /// The mapping of `track` that holds `frame`, and the byte of that frame in it; made here and now by
    /// `make` (from a byte of the file) where the current one is another.
    pub(super) fn at(
        &mut self,
        track: usize,
        frame: u64,
        make: impl FnOnce(u64, usize) -> io::Result<Mapping>,
    ) -> Option<(&mut Mapping, usize)> {
        let start = frame - frame % (self.bytes / SAMPLE_BYTES) as u64;
        if self.current[track].as_ref().is_none_or(|(mapped, _)| *mapped != start) {
            self.give_back(track);
            let offset = limits::DATA_OFFSET + start * SAMPLE_BYTES as u64;
            self.current[track] = make(offset, self.bytes).ok().map(|map| (start, map));
        }
        let (_, map) = self.current[track].as_mut()?;
        Some((map, (frame - start) as usize * SAMPLE_BYTES))
    }

    /// Hands everything to the butler.
    pub(super) fn end(&mut self) {
        for track in 0..self.current.len() {
            self.give_back(track);
        }
    }

    fn give_back(&mut self, track: usize) {
        if let Some((_, map)) = self.current[track].take()
            && let Err(rtrb::PushError::Full(map)) = self.done.push(map)
        {
            // Leaked rather than unmapped on the audio thread.
            std::mem::forget(map);
        }
    }
}

/// The audio thread's work in one scheme.
pub(super) trait Cycle: Send {
    /// What the card does before the audio thread wakes. Not timed.
    fn before(&mut self, at: u64);
    /// Copies one period of every track. Returns how many tracks found no window.
    fn cycle(&mut self, at: u64) -> u64;
    /// Looks at what was copied and returns the wrong frames. Not timed.
    fn after(&mut self, at: u64) -> u64;
    /// Gives everything back.
    fn end(&mut self, at: u64);
}

/// What butler and audio thread know of each other.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The butler has supplied everything that must be there at the start, or has failed.
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

    /// Frames that the audio thread has done.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }
}

/// What was seen on the audio thread.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    /// Nanoseconds of each cycle, in order of time.
    pub(super) cycle_nanos: Vec<u64>,
    pub(super) misses: u64,
    pub(super) woken_late: u64,
    pub(super) windows_missing: u64,
    pub(super) frames_wrong: u64,
    pub(super) scheduling: String,
    pub(super) stress: String,
}

/// What a row needs from the run.
pub(super) struct Ground<'a> {
    pub(super) shape: Shape,
    pub(super) folder: &'a Path,
    pub(super) spool: &'a Path,
    pub(super) stress: &'a Stress,
    pub(super) budget: &'a Arc<LockBudget>,
    pub(super) cancel: &'a AtomicBool,
}

/// Runs one scheme: `audio` on a real-time thread, `butler` on an ordinary one, the stress beside them.
/// The butler calls [`Gate::primed`] when the first windows are out and returns some time after [`Gate::is_over`].
pub(super) fn perform<T: Send>(
    ground: &Ground<'_>,
    audio: &mut impl Cycle,
    butler: impl FnOnce(&Gate) -> Result<T, BenchError> + Send,
) -> Result<(Tally, T), BenchError> {
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
        let heard = (|| {
            let (ready_in, ready) = crossbeam_channel::bounded(1);
            let audio = thread::Builder::new()
                .name("bench-audio".into())
                .stack_size(limits::AUDIO_STACK_BYTES)
                .spawn_scoped(scope, move || {
                    let mut tally = prepare(ground);
                    // The bench thread waits for this one word; nothing is timed yet.
                    ready_in.send(()).ok();
                    measure(ground, gate, audio, &mut tally);
                    tally
                })
                .map_err(thread_failed)?;
            ready.recv().ok();
            process::populate();
            let running = ground.stress.start();
            gate.go.store(true, Ordering::Release);
            let tally = audio.join().map_err(|_| BenchError::Lost("audio"));
            let (mut tally, stress) = (tally?, running?.stop());
            tally.stress = stress;
            Ok(tally)
        })();
        gate.over.store(true, Ordering::Release);
        let done = butler.join().map_err(|_| BenchError::Lost("butler"))??;
        if ground.cancel.load(Ordering::Relaxed) {
            return Err(BenchError::Cancelled);
        }
        Ok((heard?, done))
    })
}

/// Scheduling class, stack and the memory for the measurements: the last allocation of the thread.
fn prepare(ground: &Ground<'_>) -> Tally {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let priority = ThreadPriority::try_from(PRIORITY).unwrap_or(ThreadPriority::Min);
    let scheduling = match set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        Ok(()) => format!("SCHED_FIFO {PRIORITY}"),
        Err(error) => format!("ordinary: SCHED_FIFO was refused ({error:?})"),
    };
    process::prepare_stack(ground.budget);
    // Not zeros: those would be one shared page until the first store.
    let mut cycle_nanos = vec![u64::MAX; ground.shape.cycles as usize];
    cycle_nanos.clear();
    Tally { cycle_nanos, scheduling, ..Tally::default() }
}

/// The measured loop. The card delivers period `n` at `start + n * period`; a cycle must end before
/// the next is delivered. The imagined card has an endless buffer: late periods are made up, and each
/// of them is a miss.
fn measure(ground: &Ground<'_>, gate: &Gate, audio: &mut impl Cycle, tally: &mut Tally) {
    while !gate.go.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(1));
    }
    let shape = ground.shape;
    let period = shape.period_nanos();
    let (minor, major) = faults();
    let start = now() + period;
    let last = start + OVERTIME * shape.cycles * period + 1_000_000_000;
    for cycle in 0..shape.cycles {
        let (at, due) = (cycle * shape.period as u64, start + (cycle + 1) * period);
        let slept = now() < due;
        wait_until(due);
        if ground.cancel.load(Ordering::Relaxed) || last < now() {
            break;
        }
        let woken = now();
        audio.before(at);
        let began = now();
        tally.windows_missing += audio.cycle(at);
        let ended = now();
        tally.frames_wrong += audio.after(at);
        // Within the capacity, so this never allocates.
        tally.cycle_nanos.push(ended - began);
        tally.misses += u64::from(due + period < ended);
        tally.woken_late += u64::from(slept && due + period < woken);
        gate.position.store(at + shape.period as u64, Ordering::Release);
    }
    let (minor_now, major_now) = faults();
    tally.minor_faults = minor_now - minor;
    tally.major_faults = major_now - major;
    audio.end(tally.cycle_nanos.len() as u64 * shape.period as u64);
}

fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

fn wait_until(nanos: u64) {
    let time = TimeSpec::new((nanos / 1_000_000_000) as i64, (nanos % 1_000_000_000) as i64);
    // An early return (a signal) is seen as an early wake and harms nothing.
    clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &time).ok();
}

/// Minor and major faults of the calling thread since it began.
fn faults() -> (u64, u64) {
    getrusage(UsageWho::RUSAGE_THREAD)
        .map_or((0, 0), |usage| (usage.minor_page_faults() as u64, usage.major_page_faults() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_is_never_silent_and_no_two_neighbours_are_alike() {
        for track in [0, 1, 23, 1023] {
            for frame in [0, 1, 0x3F_FFFE, 0x3F_FFFF, 1 << 40] {
                assert!(ramp(track, frame) > 0.0);
                assert!(ramp(track, frame).to_bits() != ramp(track, frame + 1).to_bits());
                assert!(ramp(track, frame).to_bits() != ramp(track + 1, frame).to_bits());
            }
        }
    }

    #[test]
    fn one_changed_sample_is_one_wrong_frame() {
        let mut bytes = vec![0; 64 * SAMPLE_BYTES];
        fill_ramp(3, 100, &mut bytes);
        assert_eq!(wrong_frames(3, 100, &bytes), 0);
        bytes[17] ^= 1;
        assert_eq!(wrong_frames(3, 100, &bytes), 1);
        assert_eq!(wrong_frames(3, 101, &bytes), 64);
    }

    #[test]
    fn a_file_has_whole_windows_and_every_cycle_fits() {
        let shape = Shape::new(2, 64, 0.3);
        assert_eq!(shape.cycles, 225);
        assert_eq!(shape.windows(), 1);
        assert_eq!(Shape::new(2, 64, 10.0).windows(), 30);
        assert_eq!(shape.file_bytes(), 4096 + 65_536);
    }
}
