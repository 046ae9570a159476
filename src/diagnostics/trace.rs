//! The last minute as a trace: cycles and wake-ups of the audio thread, windows, commits, syncs, page faults, passes and
//! events, and the syncs and writeback of other programs, in the format of Chrome's and Perfetto's trace viewers. Thread:
//! control names the sources; any other thread gathers and writes.
//!
//! All times are of the monotonic clock. The events of the flight recorder have the wall clock; they are moved by the
//! difference of the two clocks at the moment of the trace, so a change of the wall clock in the last minute misplaces
//! them.

use super::trace_lanes::{AUDIO, EVENTS, Entry, FAULTS, LANES, LATE, Lanes, PASSES, PROCESS, ViewerJson, plain};
use crate::control::Control;
use crate::device::monotonic;
use crate::flight::Events;
use crate::flight::record::{Kind, Record};
use crate::limits::{FAULTS_KEPT, TRACE_MS};
use crate::message::cycle_log::Cycle;
use crate::message::published::Published;
use crate::residency::disk_work::DiskWork;
use crate::residency::faults::{Fault, FaultKind, FaultLog};
use crate::residency::ledger::Ledger;
use crate::residency::rates::RatePoint;
use crate::residency::window_events::{WindowEvent, WindowStep};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that a trace shows, as plain values.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The moment of the trace, in nanoseconds of the monotonic clock.
    pub now_ns: u64,
    /// Name of the device and frames of a period.
    pub device: String,
    pub period_frames: usize,
    pub cycles: Vec<Cycle>,
    pub windows: Vec<TracedStep>,
    /// Names of the files of `windows`.
    pub files: Vec<String>,
    /// Figures, with their times in nanoseconds of the monotonic clock.
    pub rates: Vec<(u64, RatePoint)>,
    pub faults: Vec<Fault>,
    /// Page faults that the kernel has counted in the time of `rates`; `None`: its counters were not read.
    pub faults_counted: Option<u64>,
    /// Why faults are not in the trace; `None` if they are.
    pub no_faults_because: Option<String>,
    /// Syncs and writeback by others.
    pub others: Vec<DiskWork>,
    /// The kernel's records of them that did not fit into its rings.
    pub others_lost: u64,
    /// Why those, or some of them, are not in the trace; `None` if they are.
    pub no_others_because: Option<String>,
    /// Events of the flight recorder with their times in nanoseconds of the monotonic clock.
    #[serde(with = "crate::serial::as_json")]
    pub events: Vec<(u64, Record)>,
}

/// A step of a window, or a sync.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TracedStep {
    /// Its end, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Nanoseconds that it took; 0: a moment.
    pub took_ns: u64,
    pub step: WindowStep,
    /// Index of the file in [`Trace::files`]; `None` for a sync of all takes.
    pub file: Option<u32>,
    /// Range of the file, or of its spool, in bytes.
    pub byte: u64,
    pub bytes: u64,
}

/// Name of the file of a trace that is made now.
pub fn file_name() -> String {
    jiff::Zoned::now().strftime("trace %Y-%m-%d %H.%M.%S.json").to_string()
}

/// The parts of an open session that a trace reads. They are shared, so naming them costs no time.
#[derive(Clone)]
pub struct TraceSources {
    published: Arc<Published>,
    ledger: Arc<Ledger>,
    faults: Arc<FaultLog>,
    events: Events,
    rates: Vec<RatePoint>,
    others: Result<(Vec<Arc<DiskWork>>, u64), String>,
    others_unseen: Option<String>,
    device: String,
    period_frames: usize,
}

/// The last minute of an open session, for [`Trace::write`].
pub fn gather(control: &Control) -> Trace {
    TraceSources::of(control).gather()
}

impl TraceSources {
    pub fn of(control: &Control) -> TraceSources {
        let running = control.running();
        TraceSources {
            published: Arc::clone(&running.published),
            ledger: Arc::clone(&running.ledger),
            faults: Arc::clone(&running.faults),
            events: control.events(),
            rates: control.rates(),
            others: control.disk_work((monotonic().as_nanos() as u64).saturating_sub(TRACE_MS * 1_000_000)),
            others_unseen: control.disk_work_unseen(),
            device: running.device.name.clone(),
            period_frames: running.device.period_frames,
        }
    }

    /// The last minute. It takes some milliseconds.
    pub fn gather(self) -> Trace {
        let now_ns = monotonic().as_nanos() as u64;
        let from_ns = now_ns.saturating_sub(TRACE_MS * 1_000_000);
        let now = jiff::Timestamp::now();
        let at_ns = |record: &Record| {
            let ago = now.as_nanosecond() - record.stamp()?.as_nanosecond();
            let at = i128::from(now_ns) - ago;
            u64::try_from(at).ok().filter(|at| from_ns <= *at && *at <= now_ns)
        };
        let mut files = Files::default();
        let windows = self.ledger.events().since(from_ns).iter().map(|event| files.traced(event)).collect();
        let ledger_ns = |at_ms: u64| now_ns.saturating_sub(self.ledger.now().0.saturating_sub(at_ms) * 1_000_000);
        let rates = self.rates.iter().map(|point| (ledger_ns(point.at_ms), *point));
        let rates: Vec<(u64, RatePoint)> = rates.filter(|(at_ns, _)| from_ns <= *at_ns).collect();
        Trace {
            now_ns,
            cycles: self.published.cycle_log.since(from_ns),
            windows,
            files: files.names,
            faults_counted: counted(&rates, from_ns),
            rates,
            faults: self.faults.since(from_ns).iter().map(|fault| Fault::clone(fault)).collect(),
            no_others_because: self.others.as_ref().err().cloned().or(self.others_unseen),
            others_lost: self.others.as_ref().map_or(0, |(_, lost)| *lost),
            others: self.others.iter().flat_map(|(all, _)| all).map(|work| DiskWork::clone(work)).collect(),
            no_faults_because: self.faults.refusal().map(std::string::ToString::to_string),
            events: self.events.iter().filter_map(|record| Some((at_ns(record)?, Record::clone(record)))).collect(),
            device: self.device,
            period_frames: self.period_frames,
        }
    }
}

/// The page faults that the kernel has counted in the intervals that begin at `from_ns` or later; `None`: in no
/// interval.
fn counted(rates: &[(u64, RatePoint)], from_ns: u64) -> Option<u64> {
    let is_within = |(at_ns, point): &&(u64, RatePoint)| from_ns + u64::from(point.ms) * 1_000_000 <= *at_ns;
    let faults = rates.iter().filter(is_within).filter_map(|(_, point)| point.faults());
    faults.fold(None, |sum, faults| Some(sum.unwrap_or(0) + u64::from(faults)))
}

/// The names of files. Tens of thousands of steps share a few of them.
#[derive(Default)]
struct Files {
    names: Vec<String>,
    known: HashMap<Arc<PathBuf>, u32>,
}

impl Files {
    fn traced(&mut self, event: &WindowEvent) -> TracedStep {
        let file = event.file.file_name().map(|name| {
            *self.known.entry(Arc::clone(&event.file)).or_insert_with(|| {
                self.names.push(name.to_string_lossy().into_owned());
                self.names.len() as u32 - 1
            })
        });
        TracedStep {
            at_ns: event.at_ns,
            took_ns: event.took_ns,
            step: event.step,
            file,
            byte: event.byte,
            bytes: event.bytes,
        }
    }
}

impl Trace {
    /// Writes the trace as JSON.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let document = json!({
            "displayTimeUnit": "ms",
            "otherData": {
                "program": concat!("faultless ", env!("CARGO_PKG_VERSION")),
                "device": plain(&self.device),
                "period_frames": self.period_frames,
                "has_all_page_faults": self.has_all_faults(),
                "page_faults_counted": self.faults_counted,
                "no_page_faults_because": self.no_faults_because.as_deref().map(plain),
                "no_work_of_others_because": self.no_others_because.as_deref().map(plain),
                "records_of_others_lost": self.others_lost,
            },
            "traceEvents": null,
        });
        // The events are written one by one: a minute of them is many megabytes as a document.
        let text = document.to_string();
        let (head, tail) = text.strip_suffix("null}").map_or((text.as_str(), ""), |head| (head, "}"));
        to.write_all(head.as_bytes())?;
        let mut separator = b"[".as_slice();
        for entry in self.entries() {
            to.write_all(separator)?;
            separator = b",\n";
            entry.serialize(&mut serde_json::Serializer::with_formatter(&mut *to, ViewerJson))?;
        }
        to.write_all(b"]")?;
        to.write_all(tail.as_bytes())
    }

    /// The contents in words.
    pub fn summary(&self) -> String {
        let seconds = (self.now_ns - self.origin_ns().min(self.now_ns)) as f64 / 1e9;
        let (cycles, windows, faults) = (self.cycles.len(), self.windows.len(), self.faults_text());
        format!("{seconds:.1} s, {cycles} cycles, {windows} steps of buffers, {faults}")
    }

    /// The page faults in words: those that the kernel has counted, and how many of them the trace lacks.
    fn faults_text(&self) -> String {
        let (listed, unlisted) = (self.faults.len() as u64, self.unlisted());
        match (&self.no_faults_because, self.faults_counted) {
            (Some(reason), None) => format!("an unknown number of page faults: {reason}"),
            (reason, _) if self.faults.len() < FAULTS_KEPT && 0 < unlisted => {
                let reason = reason.as_deref().unwrap_or("the kernel did not report them");
                format!("{} page faults, {unlisted} of them unattributed: {reason}", listed + unlisted)
            }
            _ if self.faults.len() < FAULTS_KEPT => format!("{listed} page faults"),
            _ if 0 < unlisted => format!("{} page faults, the last {listed} of them listed", listed + unlisted),
            _ => format!("the last {listed} page faults"),
        }
    }

    /// Page faults that the kernel has counted beyond those in the trace, as far as its counters were read.
    fn unlisted(&self) -> u64 {
        // The kernel does not count a fault without a page.
        let resolved = self.faults.iter().filter(|fault| fault.kind != FaultKind::Refused).count() as u64;
        self.faults_counted.unwrap_or(0).saturating_sub(resolved)
    }

    /// Whether the trace has every page fault of its time. The log keeps a limited number, and only what the kernel
    /// reports; the graphs count all.
    fn has_all_faults(&self) -> bool {
        self.no_faults_because.is_none() && self.faults.len() < FAULTS_KEPT && self.unlisted() == 0
    }

    /// Writes the trace to a new file. Makes its folder if that is missing. A viewer refuses a part of a trace, so no file is
    /// left after an error.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        save_new(path, |file| self.write(file))
    }

    /// The names of the lanes, then all events in the order of their begins.
    fn entries(&self) -> Vec<Entry> {
        let origin_ns = self.origin_ns();
        let mut lane = Lanes { origin_ns, entries: Vec::new() };
        self.add_cycles(&mut lane);
        for fault in &self.faults {
            let cost_ns = (fault.cost_us.unwrap_or(0.0) * 1e3) as u64;
            let name = match fault.kind {
                FaultKind::Minor => "minor fault",
                FaultKind::Major => "major fault",
                FaultKind::Refused => "no page",
            };
            // Addresses of the kernel are beyond the signed numbers of 64 bits, which some viewers have only.
            let args = json!({
                "text": fault.text(),
                "address": format!("{:#x}", fault.address),
                "instruction": format!("{:#x}", fault.instruction),
                "code": fault.code,
                "in_kernel": fault.in_kernel,
                "kind": fault.kind,
                "cause": fault.cause,
                "cost_us": fault.cost_us,
                "place": fault.place,
            });
            lane.slice(FAULTS, name, fault.at_ns.saturating_sub(cost_ns), fault.at_ns, args);
        }
        for event in &self.windows {
            let file = event.file.and_then(|at| self.files.get(at as usize));
            lane.window(event, file.map_or("", String::as_str));
        }
        lane.work_of_others(&self.others);
        for (at_ns, point) in &self.rates {
            lane.rates(*at_ns, point);
        }
        self.add_events(&mut lane);
        let mut entries = lane.without_overlaps();
        let about = |name: &str, tid: u32, args: Value| Entry {
            name: name.to_owned(),
            phase: "M",
            at_ns: 0,
            took_ns: None,
            pid: PROCESS,
            tid,
            scope: None,
            args,
        };
        let mut all = vec![about("process_name", 0, json!({ "name": "faultless" }))];
        for (tid, name) in LANES {
            all.push(about("thread_name", tid, json!({ "name": name })));
            all.push(about("thread_sort_index", tid, json!({ "sort_index": tid })));
        }
        all.append(&mut entries);
        all
    }

    /// The start of the first event: viewers show times from there on.
    fn origin_ns(&self) -> u64 {
        let cycles = self.cycles.iter().map(|cycle| cycle.begin_ns.saturating_sub(u64::from(cycle.late_ns)));
        let windows = self.windows.iter().map(|event| event.at_ns.saturating_sub(event.took_ns));
        let faults = self.faults.iter().map(|fault| fault.at_ns.saturating_sub(1_000_000_000));
        let events = self.events.iter().map(|(at_ns, _)| *at_ns);
        let rates = self.rates.iter().map(|(at_ns, _)| *at_ns);
        let others = self.others.iter().map(|work| work.at_ns.saturating_sub(work.took_ns));
        cycles.chain(windows).chain(faults).chain(events).chain(rates).chain(others).min().unwrap_or(self.now_ns)
    }

    fn add_cycles(&self, lane: &mut Lanes) {
        for cycle in &self.cycles {
            let end_ns = cycle.begin_ns + u64::from(cycle.length_ns);
            let late_us = f64::from(cycle.late_ns) / 1e3;
            lane.slice(AUDIO, "cycle", cycle.begin_ns, end_ns, json!({ "late_us": late_us }));
            if cycle.late_ns > 0 {
                let from_ns = cycle.begin_ns - u64::from(cycle.late_ns);
                lane.slice(LATE, "late", from_ns, cycle.begin_ns, json!({ "us": late_us }));
            }
        }
    }

    fn add_events(&self, lane: &mut Lanes) {
        let mut begun: Option<u64> = None;
        for (at_ns, record) in &self.events {
            let args = json!({ "text": record.text, "severity": record.severity, "numbers": record.numbers });
            lane.moment(EVENTS, &record.kind.to_string(), *at_ns, args.clone());
            match record.kind {
                Kind::PassBegan => begun = Some(*at_ns),
                // The start of a pass that is older than the trace is not known.
                Kind::PassEnded => lane.slice(PASSES, "pass", begun.take().unwrap_or(lane.origin_ns), *at_ns, args),
                _ => {}
            }
        }
        if let Some(from_ns) = begun {
            lane.slice(PASSES, "pass", from_ns, self.now_ns, json!({ "text": "it is not finished" }));
        }
    }
}

/// Makes a new file with what `write` writes. Removes it again after an error.
fn save_new(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut file = io::BufWriter::new(file);
    let written = write(&mut file).and_then(|()| file.flush());
    if written.is_err() {
        std::fs::remove_file(path).ok();
    }
    written
}

#[cfg(test)]
mod tests;
