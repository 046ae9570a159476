//! Readings of the audio thread's counters, and the report made from two of them. Thread: control.
//!
//! Page faults and switches come from the kernel; cycle times, xruns and losses from the audio thread.

use crate::histogram::Counts;
use crate::host;
use crate::message::published::Published;
use crate::rt::counters::{RealTimeThread, ThreadCounters, real_time_threads};
use crate::rt::schedule::Scheduling;
use crate::threads::Threads;
use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// All counters at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// `None`: the thread had ended.
    counters: Option<ThreadCounters>,
    /// Voluntary switches minus the sleeps that the thread counted itself, read while it slept. `None`: no reading was
    /// taken during a sleep, as on a machine so busy that the thread slept and woke during each of them.
    extra_switches: Option<i64>,
    /// The other threads of this process that have a real-time class, with an ALSA device.
    library_threads: Vec<RealTimeThread>,
    cycles: Counts,
    signal_nanos: u64,
    pub xruns: u64,
    /// Xruns of the device's outputs, which cost no recorded frame.
    pub playback_xruns: u64,
    /// Frames of the device's clock that the device did not deliver.
    pub frames_lost: u64,
    /// Output frames that were computed and not played, because the outputs had failed or ran late.
    pub frames_unheard: u64,
    /// Frames of tracks that were not played, because the read-ahead was late.
    pub frames_dropped: u64,
    /// Number of such gaps.
    pub dropouts: u64,
    /// Frames for which a take had no capture window, added up over all takes.
    pub frames_overrun: u64,
}

/// The work of the audio thread between two readings.
#[derive(Clone, Debug, Serialize)]
pub struct AudioReport {
    /// Scheduling class and priority, and which service granted them.
    pub scheduling: String,
    /// Number of periods processed.
    pub cycles: u64,
    /// Page faults without a wait; `None` (`null`) if the thread had ended before the kernel's counters were read.
    pub minor_faults: Option<u64>,
    /// Page faults that waited for the disk or for a locked page; `None` as above.
    pub major_faults: Option<u64>,
    /// Threads with a real-time class that a library runs in this process. With JACK and PipeWire such a thread stores
    /// the samples that the audio thread then reads; with a card there is none.
    pub library_threads: Vec<LibraryThread>,
    /// Times that the thread gave up the processor other than to wait for the device; `None` as above, and if the machine
    /// was too busy to tell them apart.
    pub voluntary_switches: Option<u64>,
    /// Mean time of a cycle in microseconds, without the wait for the device.
    pub cycle_us_mean: f64,
    /// 99.99 % of the cycles took no longer, in microseconds.
    pub cycle_us_p9999: f64,
    /// The longest cycle in microseconds.
    pub cycle_us_max: f64,
    /// Processor time of the thread in seconds.
    pub cpu_seconds: f64,
    /// Seconds in which the built-in device made its signal. They are a part of `cpu_seconds`, and of no cycle; 0 with a
    /// card.
    pub signal_seconds: f64,
    /// Output frames that were computed and not played, because the outputs had failed or ran late. The report of a pass
    /// adds those for which a track had no sound.
    pub frames_unheard: u64,
    /// Frames of tracks that had no playback window in time, summed over tracks.
    pub frames_dropped: u64,
}

/// The page faults of a library's thread between two readings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LibraryThread {
    pub name: String,
    pub minor_faults: u64,
    pub major_faults: u64,
}

impl AudioReport {
    /// Minor and major page faults of the threads of libraries.
    pub fn library_faults(&self) -> u64 {
        self.library_threads.iter().map(|thread| thread.minor_faults + thread.major_faults).sum()
    }

    /// The page faults of the threads of libraries, for a sentence; `None`: there are no such threads.
    pub fn library_text(&self) -> Option<String> {
        let names: Vec<&str> = self.library_threads.iter().map(|thread| thread.name.as_str()).collect();
        let faults = self.library_faults();
        let thing = if faults == 1 { "page fault" } else { "page faults" };
        (!names.is_empty()).then(|| format!("{faults} {thing} in the sound server's library ({})", names.join(", ")))
    }

    /// Minor and major page faults; `None` if unknown.
    pub fn faults(&self) -> Option<u64> {
        self.minor_faults.zip(self.major_faults).map(|(minor, major)| minor + major)
    }

    /// The time that the built-in device added to a cycle, for a sentence; empty with a card.
    pub fn signal_text(&self) -> String {
        if self.signal_seconds == 0.0 || self.cycles == 0 {
            return String::new();
        }
        format!(" and {:.1} µs for the built-in device's signal", self.signal_seconds * 1e6 / self.cycles as f64)
    }

    /// The number of page faults for a sentence.
    pub fn faults_text(&self) -> String {
        self.faults().map_or_else(|| "an unknown number of".to_owned(), |faults| faults.to_string())
    }
}

impl Reading {
    /// Reads all counters. Pauses 8 times 150 us. `restart_max`: the longest cycle is measured from here on.
    pub fn now(published: &Published, restart_max: bool) -> Reading {
        let (counters, extra_switches) = counters_and_extra_switches(published);
        if restart_max {
            published.cycles.take_max();
        }
        Reading {
            at_ns: host::monotonic().as_nanos() as u64,
            counters,
            extra_switches,
            library_threads: library_threads(published),
            cycles: published.cycles.counts(),
            signal_nanos: published.signal_nanos.load(Relaxed),
            xruns: published.xruns.load(Relaxed),
            playback_xruns: published.playback_xruns.load(Relaxed),
            frames_lost: published.frames_lost.load(Relaxed),
            frames_unheard: published.frames_unheard.load(Relaxed),
            frames_overrun: published.frames_overrun.load(Relaxed),
            frames_dropped: published.frames_dropped.load(Relaxed),
            dropouts: published.dropouts.load(Relaxed),
        }
    }

    /// Histogram of the cycle times since this reading.
    pub fn cycles_since(&self, published: &Published) -> Counts {
        published.cycles.counts().since(&self.cycles)
    }

    /// The difference to `earlier`.
    pub fn since(&self, earlier: &Reading, scheduling: &Scheduling) -> AudioReport {
        let counters = self.counters.zip(earlier.counters).map(|(now, then)| now.since(&then));
        let cycles = self.cycles.since(&earlier.cycles);
        AudioReport {
            scheduling: scheduling.to_string(),
            cycles: cycles.total(),
            minor_faults: counters.map(|counters| counters.minor_faults),
            major_faults: counters.map(|counters| counters.major_faults),
            library_threads: self
                .library_threads
                .iter()
                .map(|thread| LibraryThread::new(thread, &earlier.library_threads))
                .collect(),
            voluntary_switches: counters.and(
                self.extra_switches
                    .zip(earlier.extra_switches)
                    .map(|(now, then)| u64::try_from(now.saturating_sub(then)).unwrap_or(0)),
            ),
            cycle_us_mean: round(cycles.mean_us()),
            cycle_us_p9999: round(cycles.quantile_us(0.9999)),
            cycle_us_max: round(cycles.max_us()),
            cpu_seconds: counters.map_or(0.0, |counters| counters.cpu_ns as f64 / 1e9),
            signal_seconds: self.signal_nanos.saturating_sub(earlier.signal_nanos) as f64 / 1e9,
            frames_unheard: self.frames_unheard.saturating_sub(earlier.frames_unheard),
            frames_dropped: self.frames_dropped.saturating_sub(earlier.frames_dropped),
        }
    }
}

/// Minor and major faults from `earlier` until now; `None` if the kernel's counters cannot be read.
pub fn faults_by_kind(running: &Threads, earlier: &Reading) -> Option<(u64, u64)> {
    let counters = counters(&running.published).zip(earlier.counters).map(|(now, then)| now.since(&then));
    counters.map(|counters| (counters.minor_faults, counters.major_faults))
}

impl LibraryThread {
    /// The faults of `now` since the earlier readings. A thread that has none began later, and all its faults count.
    fn new(now: &RealTimeThread, earlier: &[RealTimeThread]) -> LibraryThread {
        let is_it = |then: &&RealTimeThread| (then.tid, then.started) == (now.tid, now.started);
        let spent = earlier.iter().find(is_it).map_or(now.counters, |then| now.counters.since(&then.counters));
        LibraryThread { name: now.name.clone(), minor_faults: spent.minor_faults, major_faults: spent.major_faults }
    }
}

/// The threads of this process with a real-time class, without those of the program.
fn library_threads(published: &Published) -> Vec<RealTimeThread> {
    if host::is_simulated() || !published.is_alsa.load(Relaxed) {
        return Vec::new();
    }
    of_libraries(real_time_threads(), published.thread_id.load(Relaxed), std::process::id())
}

/// The threads of `threads` that a library runs. The audio thread `audio` is the program's only one with a real-time class.
/// If the main thread, whose id is `process`, has such a class too, the program was started with it (`chrt`), and each thread
/// of the program has inherited it: none can be told from a library's.
fn of_libraries(mut threads: Vec<RealTimeThread>, audio: i32, process: u32) -> Vec<RealTimeThread> {
    if threads.iter().any(|thread| u32::try_from(thread.tid) == Ok(process)) {
        return Vec::new();
    }
    threads.retain(|thread| thread.tid != audio);
    threads
}

fn counters(published: &Published) -> Option<ThreadCounters> {
    // The threads of a simulated machine have no counters of their own.
    if host::is_simulated() { None } else { ThreadCounters::of(published.thread_id.load(Relaxed)).ok() }
}

/// The counters, and voluntary switches minus sleeps. The kernel counts a switch when the thread goes to sleep; the
/// thread counts the sleep when it wakes. So the difference is one larger while the thread sleeps. It sleeps most of
/// the time, so the largest of a few readings was taken during a sleep, and two such results can be subtracted.
fn counters_and_extra_switches(published: &Published) -> (Option<ThreadCounters>, Option<i64>) {
    const READINGS: usize = 8;
    let mut best = (counters(published), None);
    for _ in 0..READINGS {
        let before = published.counted_sleeps.load(Relaxed);
        let now = counters(published);
        if before == published.counted_sleeps.load(Relaxed) {
            let extra = now.map(|now| (now.voluntary_switches as i64).saturating_sub(before as i64));
            best = (now, best.1.max(extra));
        }
        host::sleep(Duration::from_micros(150));
    }
    best
}

fn round(us: f64) -> f64 {
    (us * 100.0).round() / 100.0
}

/// Median time, in microseconds, to copy `bytes` for each of `tracks` tracks to places that are a window apart. No
/// cycle of the audio thread can be shorter. Runs the copy 64 times.
pub fn bare_copy_us(tracks: usize, bytes: usize) -> f64 {
    const ROUNDS: usize = 64;
    if host::is_simulated() {
        return 0.0;
    }
    let stride = crate::limits::WINDOW_BYTES_DEFAULT;
    let bytes = bytes.min(stride);
    let (from, mut to) = (vec![1_u8; tracks * bytes], vec![0_u8; tracks * stride]);
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let at = round * bytes % (stride - bytes.min(stride - 1));
        let started = std::time::Instant::now();
        for (from, window) in from.chunks_exact(bytes.max(1)).zip(to.chunks_exact_mut(stride)) {
            window[at..at + bytes].copy_from_slice(from);
        }
        std::hint::black_box(&mut to);
        times.push(started.elapsed().as_nanos() as u64);
    }
    times.sort_unstable();
    times[ROUNDS / 2] as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The difference of two readings overflowed when neither was taken during a sleep of the thread, and the panic
    /// ended control.
    #[test]
    fn readings_of_which_none_was_taken_during_a_sleep_give_an_unknown_number_and_no_panic() {
        let published = Published::new(1);
        let reading = |extra_switches| Reading {
            counters: Some(ThreadCounters::default()),
            extra_switches,
            ..Reading::now(&published, false)
        };
        let scheduling = Scheduling::Fifo { priority: 1 };
        for (now, then, wanted) in [
            (None, None, None),
            (None, Some(5), None),
            (Some(5), None, None),
            (Some(7), Some(5), Some(2)),
            (Some(-7), Some(i64::MAX), Some(0)),
            (Some(i64::MAX), Some(i64::MIN), Some(i64::MAX as u64)),
        ] {
            assert_eq!(reading(now).since(&reading(then), &scheduling).voluntary_switches, wanted);
        }
    }

    /// The thread that stores the samples of JACK and PipeWire was in no account.
    #[test]
    fn the_page_faults_of_a_librarys_thread_are_those_between_two_readings_of_the_same_thread() {
        let published = Published::new(1);
        let thread = |tid, started, minor_faults| RealTimeThread {
            tid,
            started,
            name: format!("loop {tid}"),
            counters: ThreadCounters { minor_faults, major_faults: 1, ..ThreadCounters::default() },
        };
        let reading = |library_threads| Reading { library_threads, ..Reading::now(&published, false) };
        let then = reading(vec![thread(5, 100, 40), thread(6, 100, 7), thread(7, 100, 9)]);
        // Thread 6 has ended, and its id belongs to a new thread. Thread 7 has ended.
        let now = reading(vec![thread(5, 100, 42), thread(6, 200, 3)]);
        let report = now.since(&then, &Scheduling::Fifo { priority: 1 });
        let found: Vec<_> = report.library_threads.iter().map(|all| (all.minor_faults, all.major_faults)).collect();
        assert_eq!(found, [(2, 0), (3, 1)]);
        let text = report.library_text().unwrap();
        assert_eq!(text, "6 page faults in the sound server's library (loop 5, loop 6)");
        assert_eq!(then.since(&then, &Scheduling::Fifo { priority: 1 }).library_faults(), 0);
        assert_eq!(reading(Vec::new()).since(&then, &Scheduling::Fifo { priority: 1 }).library_text(), None);
    }

    /// With `chrt -f 10 faultless ...` the page faults of its own threads were said to be a sound server's.
    #[test]
    fn threads_of_a_program_that_was_started_with_a_real_time_class_are_no_librarys() {
        let thread =
            |tid| RealTimeThread { tid, started: 1, name: "butler".to_owned(), counters: ThreadCounters::default() };
        let found = |process| -> Vec<i32> {
            of_libraries([70, 71, 72].map(thread).to_vec(), 71, process).iter().map(|thread| thread.tid).collect()
        };
        assert_eq!((found(69), found(70)), (vec![70, 72], Vec::new()));
    }

    #[test]
    fn the_copy_of_a_period_is_measured_for_every_size_and_number_of_tracks() {
        for (tracks, bytes) in [(0, 512), (1, 0), (1, 1), (2, 64 * 1024), (1, 64 * 1024 + 8)] {
            assert!(bare_copy_us(tracks, bytes) >= 0.0, "{tracks} {bytes}");
        }
    }
}
