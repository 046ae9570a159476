//! The last cycles of the audio thread: begin, length and lateness of each, for a trace. Thread: audio writes, any
//! thread reads.
//!
//! The log is a ring of atomics, which is made before the thread runs and is overwritten. The writer makes no call and
//! waits for nobody. A reader leaves out the entries that were overwritten while it read.

use crate::host;
use crate::limits::CYCLES_KEPT;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

/// Cycles that are kept on a simulated machine.
const SIMULATED_CYCLES_KEPT: usize = 16;

/// One cycle: the time from the start of a period's work to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// Nanoseconds of the monotonic clock.
    pub begin_ns: u64,
    /// Nanoseconds from its start to its end.
    pub length_ns: u32,
    /// Nanoseconds from the moment at which the device's wait was to end until the thread ran; 0 if it did not sleep.
    pub late_ns: u32,
}

/// The extremes of some cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extremes {
    /// Number of cycles; 0: there are no extremes.
    pub cycles: u64,
    /// The longest cycle.
    pub length_ns: u32,
    /// The latest wake-up.
    pub late_ns: u32,
}

/// The last [`CYCLES_KEPT`] cycles.
#[derive(Debug)]
pub struct CycleLog {
    /// Begin, and length and lateness, of each cycle.
    entries: Box<[[AtomicU64; 2]]>,
    /// Cycles that were written.
    written: AtomicU64,
    /// A moment, and the monotonic clock at that moment.
    clock: (Instant, u64),
}

impl Default for CycleLog {
    fn default() -> CycleLog {
        // A simulator starts the threads of many programs, and nobody reads their cycles.
        let kept = if host::is_simulated() { SIMULATED_CYCLES_KEPT } else { CYCLES_KEPT };
        CycleLog {
            entries: (0..kept).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
            written: AtomicU64::new(0),
            clock: (host::now(), host::monotonic().as_nanos() as u64),
        }
    }
}

impl CycleLog {
    /// Adds a cycle that began at `begin`. Only one thread may call this. This is realtime-safe.
    pub fn push(&self, begin: Instant, length: Duration, late: Duration) {
        let short = |time: Duration| u64::from(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
        let begin_ns = self.clock.1 + begin.saturating_duration_since(self.clock.0).as_nanos() as u64;
        let at = self.written.load(Ordering::Relaxed);
        let [first, second] = &self.entries[at as usize % self.entries.len()];
        // A reader that sees one of the two stores below sees the count above too, and leaves the old entry out.
        fence(Ordering::Release);
        first.store(begin_ns, Ordering::Relaxed);
        second.store(short(length) << 32 | short(late), Ordering::Relaxed);
        self.written.store(at + 1, Ordering::Release);
    }

    /// The cycles that began at `from_ns` of the monotonic clock or later, the oldest first.
    pub fn since(&self, from_ns: u64) -> Vec<Cycle> {
        let end = self.written.load(Ordering::Acquire);
        let first = end.saturating_sub(self.entries.len() as u64);
        let read = |at: u64| {
            let [begin, rest] = &self.entries[at as usize % self.entries.len()];
            let rest = rest.load(Ordering::Relaxed);
            let begin_ns = begin.load(Ordering::Relaxed);
            (at, Cycle { begin_ns, length_ns: (rest >> 32) as u32, late_ns: rest as u32 })
        };
        let cycles: Vec<(u64, Cycle)> = (first..end).map(read).collect();
        fence(Ordering::Acquire);
        // The writer may be in the middle of the entry behind the last one that it counted.
        let overwritten = (self.written.load(Ordering::Relaxed) + 1).saturating_sub(self.entries.len() as u64);
        let whole = cycles.into_iter().filter(|(at, cycle)| overwritten <= *at && from_ns <= cycle.begin_ns);
        whole.map(|(_, cycle)| cycle).collect()
    }

    /// The extremes of the cycles after the first `from` ones, as far as they are kept. It allocates nothing.
    pub fn extremes_since(&self, from: u64) -> Extremes {
        let end = self.written.load(Ordering::Acquire);
        let first = from.max(end.saturating_sub(CYCLES_KEPT as u64 - 1));
        let mut found = Extremes { cycles: end.saturating_sub(first), ..Extremes::default() };
        for at in first..end {
            // An entry that is overwritten meanwhile is a later cycle: it counts early, and never twice as large.
            let rest = self.entries[at as usize % CYCLES_KEPT][1].load(Ordering::Relaxed);
            found.length_ns = found.length_ns.max((rest >> 32) as u32);
            found.late_ns = found.late_ns.max(rest as u32);
        }
        found
    }

    /// Number of cycles since the start of the thread.
    pub fn count(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    const US: Duration = Duration::from_micros(1);

    #[test]
    fn cycles_come_back_in_order_and_the_oldest_are_overwritten() {
        let log = CycleLog::default();
        let start = host::now();
        for at in 0..CYCLES_KEPT as u32 + 10 {
            log.push(start + US * at, US * 2, Duration::from_nanos(u64::from(at)));
        }
        let cycles = log.since(0);
        // The entry that the writer might be in the middle of is left out.
        assert_eq!((cycles.len(), cycles[0].late_ns), (CYCLES_KEPT - 1, 11));
        assert!(cycles.is_sorted_by_key(|cycle| cycle.begin_ns) && cycles.iter().all(|cycle| cycle.length_ns == 2000));
        let from = cycles[100].begin_ns;
        assert_eq!((log.since(from).len(), log.count()), (CYCLES_KEPT - 101, CYCLES_KEPT as u64 + 10));
        let last = log.extremes_since(CYCLES_KEPT as u64 + 7);
        assert_eq!((last.cycles, last.length_ns, last.late_ns), (3, 2000, CYCLES_KEPT as u32 + 9));
        assert_eq!(log.extremes_since(log.count()), Extremes::default());
        assert_eq!(log.extremes_since(0).cycles, CYCLES_KEPT as u64 - 1);
    }

    #[test]
    fn begins_are_of_the_monotonic_clock() {
        let log = CycleLog::default();
        let before = host::monotonic().as_nanos() as u64;
        log.push(host::now(), Duration::from_secs(9), Duration::ZERO);
        let after = host::monotonic().as_nanos() as u64;
        let cycle = log.since(0)[0];
        // Two clock readings of one moment differ a little.
        assert!(before <= cycle.begin_ns + 50_000_000 && cycle.begin_ns <= after + 50_000_000, "{before} {cycle:?}");
        assert_eq!(cycle.length_ns, u32::MAX, "a longer cycle is cut");
    }

    #[test]
    fn a_reader_never_sees_half_of_a_cycle_that_is_being_written() {
        let log = Arc::new(CycleLog::default());
        let ended = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (log, ended) = (Arc::clone(&log), Arc::clone(&ended));
            move || {
                let start = log.clock.0;
                let mut at = 0_u32;
                while !ended.load(Ordering::Relaxed) {
                    at = at.wrapping_add(1) & 0x0fff_ffff;
                    let time = Duration::from_nanos(u64::from(at));
                    log.push(start + time, time, time);
                }
            }
        });
        while log.count() < 2 * CYCLES_KEPT as u64 {
            std::thread::yield_now();
        }
        for _ in 0..50 {
            for cycle in log.since(0) {
                assert_eq!(cycle.length_ns, cycle.late_ns);
                assert_eq!((cycle.begin_ns - log.clock.1) as u32, cycle.late_ns);
            }
        }
        ended.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }
}
