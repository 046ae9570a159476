//! Figures over the last minute: page faults, dirty and writeback bytes, late wake-ups, run delay, commits. Thread:
//! watcher writes, any other reads.
//!
//! Each point is about half a second. Points are added while something rolls and shortly after it, so that the minute
//! before a stop stays. A session in which nothing has rolled yet has the figures of the idle device.

use super::kernel_counters::Vmstat;
use super::sample::Sources;
use super::window_events::{WindowEvent, WindowStep};
use crate::limits::{PAGE_BYTES, RATE_MS, RATES_AFTER_STOP_MS, RESIDENCY_HISTORY_MS};
use crate::message::Motion;
use crate::message::published::NO_PASS;
use crate::rt::counters::ThreadCounters;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

/// Points that are kept: a minute of them, and room for a clock that is a little fast.
pub const POINTS_MAX: usize = (RESIDENCY_HISTORY_MS / RATE_MS) as usize + 8;

/// The figures of one interval, some [`RATE_MS`] long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RatePoint {
    /// Its end, in milliseconds of the ledger, as in a sample.
    pub at_ms: u64,
    /// Length of the interval in milliseconds.
    pub ms: u32,
    /// Page faults of the audio thread in the interval without a wait, and those that waited for the disk or for a
    /// locked page; `None`: not known.
    pub minor_faults: Option<u32>,
    pub major_faults: Option<u32>,
    /// Dirty bytes of the takes at its end, and those in writeback.
    pub dirty_bytes: u64,
    pub writeback_bytes: u64,
    /// Dirty bytes of the whole machine at its end, and those in writeback.
    pub machine_dirty_bytes: u64,
    pub machine_writeback_bytes: u64,
    /// The latest wake-up of the audio thread in the interval, in microseconds; `None`: it made no cycle.
    pub late_us_max: Option<f32>,
    /// The longest cycle in microseconds.
    pub cycle_us_max: Option<f32>,
    /// Microseconds for which the audio thread could have run and no processor was free for it (`schedstat`).
    pub run_delay_us: Option<f32>,
    /// Writes to the takes in the interval.
    pub commits: u32,
    /// The longest of them, in microseconds.
    pub commit_us_max: f32,
    /// The longest sync of all takes, in microseconds.
    pub sync_us_max: f32,
}

impl RatePoint {
    /// All page faults of the interval.
    pub fn faults(&self) -> Option<u32> {
        Some(self.minor_faults?.saturating_add(self.major_faults?))
    }

    fn add(&mut self, event: &WindowEvent) {
        let took_us = event.took_ns as f32 / 1e3;
        match event.step {
            WindowStep::Committed => {
                self.commits = self.commits.saturating_add(1);
                self.commit_us_max = self.commit_us_max.max(took_us);
            }
            WindowStep::Synced => self.sync_us_max = self.sync_us_max.max(took_us),
            _ => {}
        }
    }
}

/// The points of the last minute, oldest first.
#[derive(Debug, Default)]
pub struct Rates {
    points: VecDeque<RatePoint>,
}

impl Rates {
    pub fn points(&self) -> Vec<RatePoint> {
        self.points.iter().copied().collect()
    }

    /// The points after `at_ms`.
    pub fn after(&self, at_ms: Option<u64>) -> Vec<RatePoint> {
        self.points.iter().filter(|point| at_ms.is_none_or(|at| at < point.at_ms)).copied().collect()
    }

    /// Adds a point. Drops those that are older than a minute.
    pub fn push(&mut self, point: RatePoint) {
        let is_old = |first: &RatePoint| RESIDENCY_HISTORY_MS < point.at_ms.saturating_sub(first.at_ms);
        while POINTS_MAX <= self.points.len() || self.points.front().is_some_and(is_old) {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }
}

/// Makes the points: the readings at the end of the last interval.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    before: Option<Before>,
    /// When something rolled last.
    rolled_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    at_ms: u64,
    at_ns: u64,
    cycles: u64,
    counters: Option<ThreadCounters>,
}

impl RateMeter {
    /// The point of the interval that ends now. `now_ns`: the monotonic clock. `takes`: dirty bytes of the takes, and those
    /// in writeback. `None` for the first interval, and for one that is not to be kept.
    pub(super) fn point(
        &mut self,
        sources: &Sources,
        machine: &Vmstat,
        takes: (u64, u64),
        (at_ms, now_ns): (u64, u64),
    ) -> Option<RatePoint> {
        let published = &sources.published;
        let counters = ThreadCounters::of(published.thread_id.load(Relaxed)).ok();
        let now = Before { at_ms, at_ns: now_ns, cycles: published.cycle_log.count(), counters };
        let before = self.before.replace(now)?;
        if rolls(sources) {
            self.rolled_ms = Some(at_ms);
        }
        if self.rolled_ms.is_some_and(|last| RATES_AFTER_STOP_MS < at_ms.saturating_sub(last)) {
            return None;
        }
        let spent = counters.zip(before.counters).map(|(now, then)| now.since(&then));
        let cycles = Some(published.cycle_log.extremes_since(before.cycles)).filter(|found| 0 < found.cycles);
        let us = |ns: u32| ns as f32 / 1e3;
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let bytes = |name: &str| machine.get(name) * PAGE_BYTES as u64;
        let mut point = RatePoint {
            at_ms,
            ms: count(at_ms.saturating_sub(before.at_ms)),
            minor_faults: spent.map(|spent| count(spent.minor_faults)),
            major_faults: spent.map(|spent| count(spent.major_faults)),
            dirty_bytes: takes.0,
            writeback_bytes: takes.1,
            machine_dirty_bytes: bytes("nr_dirty"),
            machine_writeback_bytes: bytes("nr_writeback"),
            late_us_max: cycles.map(|found| us(found.late_ns)),
            cycle_us_max: cycles.map(|found| us(found.length_ns)),
            run_delay_us: spent.map(|spent| spent.run_delay_ns as f32 / 1e3),
            ..RatePoint::default()
        };
        sources.ledger.events().look_after(before.at_ns, |event| point.add(event));
        Some(point)
    }
}

/// Whether the transport rolls, a pass is on, or takes are not finished.
fn rolls(sources: &Sources) -> bool {
    let published = &sources.published;
    published.motion() != Motion::Stopped
        || published.pass_frames.load(Relaxed) != NO_PASS
        || !sources.ledger.takes().is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::window_events::monotonic_ns;
    use super::*;
    use crate::message::published::Published;
    use crate::message::stats::DiskPublished;
    use crate::rt::this_thread_id;
    use crate::window::budget::LockBudget;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn sources() -> Sources {
        Sources {
            ledger: Arc::default(),
            published: Arc::new(Published::new(0)),
            disk: Arc::new(DiskPublished::default()),
            budget: LockBudget::new(0),
            faults: Arc::default(),
        }
    }

    #[test]
    fn a_point_has_the_latest_wake_up_the_longest_sync_and_the_faults_of_its_interval() {
        let sources = sources();
        sources.published.thread_id.store(this_thread_id(), Relaxed);
        let machine = Vmstat::now(None);
        let mut meter = RateMeter::default();
        assert!(meter.point(&sources, &machine, (0, 0), (0, monotonic_ns())).is_none(), "there was no reading before");
        for late in [3, 9, 1] {
            let (length, late) = (Duration::from_micros(20), Duration::from_micros(late));
            sources.published.cycle_log.push(Instant::now(), length, late);
        }
        sources.ledger.synced(Duration::from_micros(800));
        let point = meter.point(&sources, &machine, (7, 8), (RATE_MS, monotonic_ns())).unwrap();
        assert_eq!((point.late_us_max, point.cycle_us_max, point.sync_us_max), (Some(9.0), Some(20.0), 800.0));
        assert_eq!((point.dirty_bytes, point.writeback_bytes, point.ms, point.commits), (7, 8, RATE_MS as u32, 0));
        assert!(point.faults().is_some() && point.run_delay_us.is_some());
        let point = meter.point(&sources, &machine, (0, 0), (2 * RATE_MS, monotonic_ns())).unwrap();
        assert_eq!((point.late_us_max, point.sync_us_max), (None, 0.0));
    }

    #[test]
    fn the_minute_before_a_stop_stays() {
        let (sources, machine) = (sources(), Vmstat::now(None));
        let (mut meter, mut rates) = (RateMeter::default(), Rates::default());
        let mut tick = |at_ms: u64| {
            let point = meter.point(&sources, &machine, (0, 0), (at_ms, monotonic_ns()));
            if let Some(point) = point {
                rates.push(point);
            }
            rates.points().last().map_or(0, |point| point.at_ms)
        };
        for at in 0..10 {
            tick(at * RATE_MS);
        }
        assert_eq!(tick(10 * RATE_MS), 10 * RATE_MS, "nothing has rolled yet");
        sources.published.motion.store(Motion::Rolling as u8, Relaxed);
        assert_eq!(tick(11 * RATE_MS), 11 * RATE_MS);
        sources.published.motion.store(Motion::Stopped as u8, Relaxed);
        let last = 11 * RATE_MS + RATES_AFTER_STOP_MS;
        let newest = (12..1000).map(|at| tick(at * RATE_MS)).last();
        assert_eq!(newest, Some(last), "the end of the pass, and not the idle time after it");
        sources.published.motion.store(Motion::Rolling as u8, Relaxed);
        assert_eq!(tick(1000 * RATE_MS), 1000 * RATE_MS);
    }

    #[test]
    fn points_of_one_minute_are_kept() {
        let mut rates = Rates::default();
        (0..1000).for_each(|at| rates.push(RatePoint { at_ms: at * RATE_MS, ..RatePoint::default() }));
        let points = rates.points();
        assert_eq!(points.len() as u64, RESIDENCY_HISTORY_MS / RATE_MS + 1);
        assert_eq!(points.last().unwrap().at_ms, 999 * RATE_MS);
        assert_eq!((rates.after(Some(998 * RATE_MS)).len(), rates.after(None).len()), (1, points.len()));
        (0..1000).for_each(|_| rates.push(RatePoint { at_ms: 999 * RATE_MS, ..RatePoint::default() }));
        assert_eq!(rates.points().len(), POINTS_MAX, "whatever the clock says");
    }
}
