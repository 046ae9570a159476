//! Limits how many events of the same kind are written in a time span. The limiter counts the others. Thread: control.
//! Pure.

use super::record::{Kind, Record, Severity};
use crate::limits;
use std::collections::BTreeMap;
use std::time::Duration;

/// Names of numbers whose sum is useful.
const SUMMED: [&str; 1] = ["frames"];

/// The events of a kind in the present span.
struct Run {
    /// When the span began.
    since: Duration,
    written: u32,
    /// Events that were only counted.
    withheld: u64,
    worst: Severity,
    sums: BTreeMap<String, u64>,
}

/// The state of all kinds.
#[derive(Default)]
pub(super) struct Limiter {
    runs: BTreeMap<Kind, Run>,
}

impl Limiter {
    /// Returns the events to write: counts that are due, and `record` unless its kind has reached the limit of the
    /// span.
    pub(super) fn admit(&mut self, now: Duration, record: Record) -> Vec<Record> {
        let mut admitted = self.take_due_counts(now);
        let fresh = || Run { since: now, written: 0, withheld: 0, worst: record.severity, sums: BTreeMap::new() };
        let run = self.runs.entry(record.kind).or_insert_with(fresh);
        if run.written < limits::FLIGHT_SAME_KIND_MAX {
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

    /// Returns the counts of the kinds whose span is over, and forgets them.
    pub(super) fn take_due_counts(&mut self, now: Duration) -> Vec<Record> {
        let over = |run: &Run| now.saturating_sub(run.since) >= limits::FLIGHT_SAME_KIND_SPAN;
        let counted = self.runs.iter().filter(|(_, run)| over(run)).filter_map(|(kind, run)| counted(*kind, run));
        let counted = counted.collect();
        self.runs.retain(|_, run| !over(run));
        counted
    }

    /// Returns the counts of all kinds, and forgets them.
    pub(super) fn take_all_counts(&mut self) -> Vec<Record> {
        self.take_due_counts(Duration::MAX)
    }
}

fn counted(kind: Kind, run: &Run) -> Option<Record> {
    if run.withheld == 0 {
        return None;
    }
    let frames = run.sums.get("frames").map_or_else(String::new, |frames| format!(", {frames} frames in all"));
    let text = format!("{kind}: {} more within {} s{frames}", run.withheld, limits::FLIGHT_SAME_KIND_SPAN.as_secs());
    let sums = run.sums.iter().map(|(name, value)| (name.as_str(), *value));
    let numbers: Vec<(&str, u64)> = std::iter::once(("events", run.withheld)).chain(sums).collect();
    Some(Record::new(Kind::Repeated, run.worst, &text, &numbers))
}
