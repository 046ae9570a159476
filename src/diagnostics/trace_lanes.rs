//! The records of a trace in the format of the viewers: their lanes, names and times. Thread: any. Pure.

use super::trace::TracedStep;
use crate::residency::disk_work::{DiskWork, WorkKind};
use crate::residency::rates::RatePoint;
use crate::residency::window_events::WindowStep;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use serde_json::{Value, json};
use std::io::{self, Write};

/// The process number of all lanes.
pub(super) const PROCESS: u32 = 1;

/// The lanes of the trace, in their order on the screen.
pub(super) const LANES: [(u32, &str); 13] = [
    (AUDIO, "audio thread: cycles"),
    (LATE, "audio thread: late wake-ups"),
    (FAULTS, "audio thread: page faults"),
    (HANDED_OVER, "butler: buffers handed over"),
    (GIVEN_BACK, "audio thread: buffers given back"),
    (COMMITS, "committer: writes"),
    (DURABLE, "committer: durable"),
    (SYNCS, "committer: syncs"),
    (PASSES, "passes"),
    (EVENTS, "events"),
    (OTHERS, "syncs and writeback by others"),
    (OTHERS + 1, "syncs and writeback by others, at the same time"),
    (OTHERS + 2, "syncs and writeback by others, at the same time"),
];

pub(super) const AUDIO: u32 = 1;
pub(super) const LATE: u32 = 2;
pub(super) const FAULTS: u32 = 3;
const HANDED_OVER: u32 = 4;
const GIVEN_BACK: u32 = 5;
const COMMITS: u32 = 6;
const DURABLE: u32 = 7;
const SYNCS: u32 = 8;
pub(super) const PASSES: u32 = 9;
pub(super) const EVENTS: u32 = 10;
pub(super) const OTHERS: u32 = 11;

/// One event of the format, by the names of its fields there. The order of the fields matters: old viewers look for the times
/// before the arguments.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    #[serde(rename = "ph")]
    pub(super) phase: &'static str,
    #[serde(rename = "ts", serialize_with = "micros")]
    pub(super) at_ns: u64,
    #[serde(rename = "dur", serialize_with = "micros_of_some", skip_serializing_if = "Option::is_none")]
    pub(super) took_ns: Option<u64>,
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// The scope of a moment: its thread.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<&'static str>,
    pub(super) args: Value,
}

/// Writes nanoseconds as microseconds, the unit of the format, with three decimals at the most.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks it")]
fn micros<S: Serializer>(ns: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(*ns as f64 / 1e3)
}

#[expect(clippy::ref_option, reason = "as serde asks it")]
fn micros_of_some<S: Serializer>(ns: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    micros(&ns.unwrap_or(0), to)
}

/// The text without what viewers cannot read outside of the arguments: control characters and backslashes. A program can have
/// any name.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() || letter == '\\' { '?' } else { letter }).collect()
}

/// JSON without a backslash for a backslash. A viewer takes one before the last quote of a text for an escape of that quote,
/// and leaves out everything behind it.
pub(super) struct ViewerJson;

impl Formatter for ViewerJson {
    fn write_char_escape<W: ?Sized + Write>(&mut self, to: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::ReverseSolidus => to.write_all(b"\\u005c"),
            other => CompactFormatter.write_char_escape(to, other),
        }
    }
}

/// The entries of all lanes.
pub(super) struct Lanes {
    /// The start of the trace.
    pub(super) origin_ns: u64,
    pub(super) entries: Vec<Entry>,
}

impl Lanes {
    pub(super) fn slice(&mut self, tid: u32, name: &str, from_ns: u64, to_ns: u64, args: Value) {
        self.add(tid, name, "X", from_ns, Some(to_ns.saturating_sub(from_ns.max(self.origin_ns))), args);
    }

    pub(super) fn moment(&mut self, tid: u32, name: &str, at_ns: u64, args: Value) {
        self.add(tid, name, "i", at_ns, None, args);
    }

    fn add(&mut self, tid: u32, name: &str, phase: &'static str, at_ns: u64, took_ns: Option<u64>, args: Value) {
        let scope = (phase == "i").then_some("t");
        let at_ns = at_ns.saturating_sub(self.origin_ns);
        self.entries.push(Entry { name: plain(name), phase, at_ns, took_ns, pid: PROCESS, tid, scope, args });
    }

    /// The figures as counters: the viewers draw one graph for each name.
    pub(super) fn rates(&mut self, at_ns: u64, point: &RatePoint) {
        let counters = [
            (
                "dirty bytes",
                json!({ "takes": point.dirty_bytes, "other": other(point.machine_dirty_bytes, point.dirty_bytes) }),
            ),
            (
                "writeback bytes",
                json!({ "takes": point.writeback_bytes, "other": other(point.machine_writeback_bytes, point.writeback_bytes) }),
            ),
        ];
        // Figures that are not known have no value: a zero would claim that there was nothing.
        let faults = point.minor_faults.zip(point.major_faults);
        let faults = faults.map(|(minor, major)| ("page faults", json!({ "minor": minor, "major": major })));
        let delay = point.run_delay_us.map(|delay_us| ("run delay us", json!({ "audio thread": delay_us })));
        for (name, args) in counters.into_iter().chain(faults).chain(delay) {
            self.add(0, name, "C", at_ns, None, args);
        }
    }

    pub(super) fn window(&mut self, event: &TracedStep, file: &str) {
        let args = json!({ "file": file, "byte": event.byte, "bytes": event.bytes });
        let (tid, name) = match event.step {
            WindowStep::HandedOver => (HANDED_OVER, "capture buffer"),
            WindowStep::PlaybackHandedOver => (HANDED_OVER, "playback buffer"),
            WindowStep::GivenBack => (GIVEN_BACK, "capture buffer"),
            WindowStep::PlaybackGivenBack => (GIVEN_BACK, "playback buffer"),
            WindowStep::Committed => (COMMITS, "write"),
            WindowStep::Durable => (DURABLE, "durable"),
            WindowStep::Synced => (SYNCS, "sync"),
        };
        if event.took_ns == 0 {
            self.moment(tid, name, event.at_ns, args);
        } else {
            self.slice(tid, name, event.at_ns.saturating_sub(event.took_ns), event.at_ns, args);
        }
    }

    /// Work of others by the name of its program. A sync and the writeback that it waits for take place at the same time,
    /// so each piece has a lane that is free when it begins. Writeback of one take is a moment within that of its run.
    pub(super) fn work_of_others(&mut self, all: &[DiskWork]) {
        let mut all: Vec<&DiskWork> = all.iter().collect();
        all.sort_by_key(|work| work.at_ns.saturating_sub(work.took_ns));
        let mut ends_ns = [0_u64; 3];
        for work in all {
            let name = match work.kind {
                WorkKind::Writeback | WorkKind::TakeWriteback => format!("writeback: {}", work.program_name()),
                WorkKind::FileSync | WorkKind::SystemSync => format!("{}: {}", work.word, work.program_name()),
            };
            let args = json!({ "text": work.text(), "work": work });
            if work.took_ns == 0 || work.kind == WorkKind::TakeWriteback {
                self.moment(OTHERS, &name, work.at_ns, args);
                continue;
            }
            let began_ns = work.at_ns.saturating_sub(work.took_ns);
            let free = ends_ns.iter().position(|end| *end <= began_ns).unwrap_or(ends_ns.len() - 1);
            ends_ns[free] = work.at_ns;
            self.slice(OTHERS + free as u32, &name, began_ns, work.at_ns, args);
        }
    }

    /// The entries in the order of their begins. Slices of a lane follow each other: one that was measured to begin before the
    /// end of its predecessor begins there, and a nanosecond later. Viewers cut off fractions of nanoseconds, which would let
    /// the two overlap, and leave out slices that overlap.
    pub(super) fn without_overlaps(mut self) -> Vec<Entry> {
        self.entries.sort_by_key(|entry| entry.at_ns);
        let mut free_ns = [0_u64; LANES.len() + 1];
        for entry in &mut self.entries {
            let (Some(took), Some(free)) = (&mut entry.took_ns, free_ns.get_mut(entry.tid as usize)) else { continue };
            let begin = entry.at_ns.max(*free);
            let end = (entry.at_ns + *took).max(begin);
            (entry.at_ns, *took, *free) = (begin, end - begin, end + 1);
        }
        self.entries.sort_by_key(|entry| entry.at_ns);
        self.entries
    }
}

/// The bytes of the machine without those of the takes.
fn other(machine: u64, takes: u64) -> u64 {
    machine.saturating_sub(takes)
}
