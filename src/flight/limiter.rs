//! Not more of the same than somebody can read: the rest is counted. Thread: control. Pure.

use super::record::{Kind, Record, Severity};
use crate::limits;
use std::collections::BTreeMap;
use std::time::Duration;

/// Numbers that make sense added up.
const SUMMED: [&str; 1] = ["frames"];

/// What is known of a kind.
struct Run {
    since: Duration,
    written: u32,
    withheld: u64,
    worst: Severity,
    sums: BTreeMap<String, u64>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Limiter {
    runs: BTreeMap<Kind, Run>,
}

impl Limiter {
    /// What is to be written now that `record` came: itself, unless there were too many of its kind a moment ago.
    pub(super) fn admit(&mut self, now: Duration, record: Record) -> Vec<Record> {
        let mut admitted = self.take_due_counts(now);
        let fresh = || Run { since: now, written: 0, withheld: 0, worst: record.severity, sums: BTreeMap::new() };
        let run = self.runs.entry(record.kind).or_insert_with(fresh);
        if run.written < limits::FLIGHT_SAME_MAX {
            run.written += 1;
            admitted.push(record);
        } else {
            run.withheld += 1;
            run.worst = run.worst.max(record.severity);
            for name in SUMMED {
                if let Some(value) = record.numbers.get(name) {
                    let sum = run.sums.entry(name.to_owned()).or_default();
                    *sum = sum.saturating_add(*value);
                }
            }
        }
        admitted
    }

    /// The counts of kinds whose time is over.
    pub(super) fn take_due_counts(&mut self, now: Duration) -> Vec<Record> {
        let over = |run: &Run| now.saturating_sub(run.since) >= limits::FLIGHT_SAME_SPAN;
        let counted = self.runs.iter().filter(|(_, run)| over(run)).filter_map(|(kind, run)| counted(*kind, run));
        let counted = counted.collect();
        self.runs.retain(|_, run| !over(run));
        counted
    }

    /// The counts of all.
    pub(super) fn take_all_counts(&mut self) -> Vec<Record> {
        self.take_due_counts(Duration::MAX)
    }
}

fn counted(kind: Kind, run: &Run) -> Option<Record> {
    if run.withheld == 0 {
        return None;
    }
    let frames = run.sums.get("frames").map_or_else(String::new, |frames| format!(", {frames} frames in all"));
    let text = format!("{kind}: {} more within {} s{frames}", run.withheld, limits::FLIGHT_SAME_SPAN.as_secs());
    let sums = run.sums.iter().map(|(name, value)| (name.as_str(), *value));
    let numbers: Vec<(&str, u64)> = std::iter::once(("events", run.withheld)).chain(sums).collect();
    Some(Record::new(Kind::Repeated, run.worst, &text, &numbers))
}
