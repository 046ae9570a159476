//! Counters of the kernel for a report: the machine's (`/proc/vmstat`) and the memory of this process (`smaps_rollup`), by
//! how much they have changed. Thread: watcher takes the readings, a front end asks for the changes.

use crate::limits::RESIDENCY_HISTORY_MS;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::Arc;

/// Milliseconds between two readings of the machine's counters that are kept.
const KEEP_EVERY_MS: u64 = 10_000;

/// Readings that are kept beside the first one.
const KEPT: usize = (RESIDENCY_HISTORY_MS / KEEP_EVERY_MS) as usize;

/// The machine's counters at one moment. Readings of one kernel share the names.
#[derive(Clone, Debug, Default)]
pub(super) struct Vmstat {
    names: Arc<[Box<str>]>,
    values: Box<[u64]>,
}

impl Vmstat {
    /// Reads the counters. `before` gives the names.
    pub(super) fn now(before: Option<&Vmstat>) -> Vmstat {
        Vmstat::parse(&fs::read_to_string("/proc/vmstat").unwrap_or_default(), before)
    }

    fn parse(text: &str, before: Option<&Vmstat>) -> Vmstat {
        let counts = || text.lines().filter_map(|line| line.split_once(' '));
        let values: Box<[u64]> = counts().filter_map(|(_, value)| value.trim().parse().ok()).collect();
        let names = match before {
            Some(before) if before.names.len() == values.len() => Arc::clone(&before.names),
            _ => {
                counts().filter(|(_, value)| value.trim().parse::<u64>().is_ok()).map(|(name, _)| name.into()).collect()
            }
        };
        Vmstat { names, values }
    }

    /// The counter of this name; 0 if the kernel has none.
    pub(super) fn get(&self, name: &str) -> u64 {
        let at = self.names.iter().position(|other| &**other == name);
        at.and_then(|at| self.values.get(at)).copied().unwrap_or(0)
    }

    /// The counters that changed since an earlier reading.
    fn since(&self, earlier: &Vmstat) -> BTreeMap<String, i64> {
        let change = |(name, now): (&str, &u64)| {
            let change = *now as i64 - earlier.get(name) as i64;
            (change != 0).then(|| (name.to_owned(), change))
        };
        self.names.iter().map(|name| &**name).zip(&self.values).filter_map(change).collect()
    }
}

/// The change of the counters, without those that did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelDeltas {
    /// `/proc/vmstat` over the last minute: counts and pages.
    pub vmstat_last_minute: BTreeMap<String, i64>,
    /// Length of that minute in milliseconds. It is shorter shortly after the start.
    pub last_minute_ms: u64,
    /// `/proc/vmstat` since the session was opened.
    pub vmstat: BTreeMap<String, i64>,
    /// Bytes of the recorder's process since the session was opened, from `smaps_rollup`.
    pub memory_bytes: BTreeMap<String, i64>,
    /// The same bytes as they are now.
    pub memory_bytes_now: BTreeMap<String, u64>,
    /// Milliseconds since the session was opened.
    pub since_open_ms: u64,
}

/// The readings of an open session.
#[derive(Debug, Default)]
pub(super) struct KernelCounters {
    first: Option<(u64, Vmstat, BTreeMap<String, u64>)>,
    /// Readings of the last minute with their times, the oldest first.
    kept: VecDeque<(u64, Vmstat)>,
}

impl KernelCounters {
    /// Takes the first reading.
    pub(super) fn start(&mut self, at_ms: u64) {
        let vmstat = Vmstat::now(None);
        self.first = Some((at_ms, vmstat.clone(), rollup()));
        self.kept.push_back((at_ms, vmstat));
    }

    /// Keeps a reading if the last one is old enough. Returns the reading.
    pub(super) fn read(&mut self, at_ms: u64) -> Vmstat {
        let now = Vmstat::now(self.kept.back().map(|(_, vmstat)| vmstat));
        if self.kept.back().is_none_or(|(last, _)| last + KEEP_EVERY_MS <= at_ms) {
            if KEPT < self.kept.len() {
                self.kept.pop_front();
            }
            self.kept.push_back((at_ms, now.clone()));
        }
        now
    }

    /// The changes until now. Asks the kernel, which takes milliseconds.
    pub(super) fn deltas(&self, at_ms: u64) -> KernelDeltas {
        let Some((first_ms, first, memory)) = &self.first else { return KernelDeltas::default() };
        let (now, memory_now) = (Vmstat::now(Some(first)), rollup());
        let minute_ago = at_ms.saturating_sub(RESIDENCY_HISTORY_MS);
        // The oldest reading that is not older than a minute.
        let recent = self.kept.iter().find(|(at, _)| minute_ago <= *at);
        let change = |(name, now): (&String, &u64)| {
            let change = *now as i64 - memory.get(name).copied().unwrap_or(0) as i64;
            (change != 0).then(|| (name.clone(), change))
        };
        KernelDeltas {
            vmstat_last_minute: recent.map(|(_, then)| now.since(then)).unwrap_or_default(),
            last_minute_ms: recent.map_or(0, |(at, _)| at_ms.saturating_sub(*at)),
            vmstat: now.since(first),
            memory_bytes: memory_now.iter().filter_map(change).collect(),
            memory_bytes_now: memory_now,
            since_open_ms: at_ms.saturating_sub(*first_ms),
        }
    }
}

/// Bytes of this process, by the names of `smaps_rollup`.
fn rollup() -> BTreeMap<String, u64> {
    parse_rollup(&fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default())
}

fn parse_rollup(text: &str) -> BTreeMap<String, u64> {
    // `Rss:    123 kB`. The first line has the range of addresses.
    let bytes = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let kib: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some((name.to_owned(), kib * 1024))
    };
    text.lines().filter_map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_and_only_those_that_changed_are_in_the_deltas() {
        let then = Vmstat::parse("pgfault 10\npgmajfault 2\nno number\nnr_dirty 4\n", None);
        assert_eq!((then.get("pgfault"), then.get("nr_dirty"), then.get("nr_writeback")), (10, 4, 0));
        let now = Vmstat::parse("pgfault 15\npgmajfault 2\nnr_dirty 1\n", Some(&then));
        assert!(Arc::ptr_eq(&now.names, &then.names));
        assert_eq!(now.since(&then), BTreeMap::from([("nr_dirty".to_owned(), -3), ("pgfault".to_owned(), 5)]));
        let rollup = parse_rollup("55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:     100 kB\nLocked:   4 kB\n");
        assert_eq!((rollup["Rss"], rollup["Locked"], rollup.len()), (102_400, 4096, 2));
    }

    #[test]
    fn this_kernel_has_both_files_and_the_readings_of_a_minute_are_kept() {
        let mut counters = KernelCounters::default();
        assert_eq!(counters.deltas(5), KernelDeltas::default());
        counters.start(0);
        for at in 0..400 {
            assert!(counters.read(at * 500).get("pgfault") > 0);
        }
        assert_eq!(counters.kept.len(), KEPT + 1);
        let deltas = counters.deltas(199_500);
        assert!(50_000 <= deltas.last_minute_ms && deltas.last_minute_ms <= 60_000, "{}", deltas.last_minute_ms);
        assert_eq!(deltas.since_open_ms, 199_500);
        // The kernel adds up the counters of its processors about once a second, so none may have changed yet.
        let page_faults = |changes: &BTreeMap<String, i64>| changes.get("pgfault").copied().unwrap_or(0);
        assert!(page_faults(&deltas.vmstat_last_minute) <= page_faults(&deltas.vmstat), "{deltas:?}");
        assert!(0 < deltas.memory_bytes_now["Rss"]);
    }
}
