//! The page faults of the audio thread, each with the memory that it hit. Thread: faults writes, any other reads; audio
//! never sees it.
//!
//! ```text
//!   kernel --- perf rings ---> faults: Attributor (ledger, maps, symbols) ---> FaultLog ---> reports, map, trace
//! ```
//!
//! Where perf events are not permitted, the log says why, and faults are counted only.

use super::attribution::Attributor;
use super::ledger::{Ledger, Stamp};
use crate::host;
use crate::limits::{FAULTS_KEPT, FAULTS_LISTED};
use crate::lock::lock;
use crate::rt::counters::ThreadCounters;
use crate::rt::page_faults::{FaultEvents, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use uuid::Uuid;

/// Longest sleep of the thread. It wakes by itself at a fault and at the end of the audio thread.
const REST: Duration = Duration::from_secs(60);

/// Pause after a fault, in which it ends and others may join it. The rings hold those of a storm.
const PAUSE: Duration = Duration::from_millis(10);

/// Stack of the thread in bytes. Symbols are searched on it.
const STACK_BYTES: usize = 1024 * 1024;

/// How the kernel resolved a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Without a wait for a page.
    Minor,
    /// The thread waited for the disk, or for a page that another thread had locked.
    Major,
    /// There was no page: a file cut short, or a refused system call.
    Refused,
}

/// Why an access took a fault, as far as program and kernel tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCause {
    /// The page was not in the page table.
    NotPresent,
    /// The page was populated before, and the kernel has write-protected it to write it back. Inferred.
    WriteProtected,
    /// Either the page was not there, or the program's own copy of it was made.
    NotPresentOrCopied,
}

/// The memory that a fault hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "memory", rename_all = "snake_case")]
pub enum FaultPlace {
    /// A capture window.
    Capture {
        /// Identity of the take.
        take: Uuid,
        file: String,
        /// Page and byte of the take's file.
        page: u64,
        byte: u64,
        /// Whether the window was locked.
        locked: bool,
    },
    /// A playback window.
    Playback { slot: usize, file: String, page: u64, byte: u64, locked: bool },
    /// Another mapping of a file: code and its data, a device.
    File { file: String, byte: u64 },
    /// The heap of the process.
    Heap,
    /// The stack of the audio thread.
    Stack,
    /// Memory without a file: heaps of threads, buffers, other stacks.
    Anonymous,
    /// No mapping that still exists.
    Unmapped,
}

/// One page fault of the audio thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Its end in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    pub kind: FaultKind,
    pub cause: FaultCause,
    /// Microseconds that the kernel took; `None`: not measured.
    pub cost_us: Option<f64>,
    pub address: u64,
    #[serde(with = "crate::serial::as_json")]
    pub place: FaultPlace,
    /// Address of the instruction.
    pub instruction: u64,
    /// Name of the function of the instruction, or file and offset.
    pub code: String,
    /// Whether the kernel accessed the memory in a system call of the thread.
    pub in_kernel: bool,
}

impl Fault {
    /// The fault in words: the memory, why, how long, by which code.
    pub fn text(&self) -> String {
        let place = match &self.place {
            FaultPlace::Capture { file, page, byte, locked, .. } => {
                format!("{}, capture, page {page} (byte {byte}){}", name_of(file), unlocked(*locked))
            }
            FaultPlace::Playback { file, page, byte, locked, .. } => {
                format!("{}, playback, page {page} (byte {byte}){}", name_of(file), unlocked(*locked))
            }
            FaultPlace::File { file, byte } => format!("{} at byte {byte:#x}", name_of(file)),
            FaultPlace::Heap => "the heap".to_owned(),
            FaultPlace::Stack => "the stack of the audio thread".to_owned(),
            FaultPlace::Anonymous => format!("memory without a file at {:#x}", self.address),
            FaultPlace::Unmapped => format!("no mapping, address {:#x}", self.address),
        };
        let kind = match self.kind {
            FaultKind::Minor => "minor",
            FaultKind::Major => "major",
            FaultKind::Refused => "no page",
        };
        let cause = match self.cause {
            FaultCause::NotPresent => "not present",
            FaultCause::WriteProtected => "write-protected (inferred)",
            FaultCause::NotPresentOrCopied => "not present, or copied on write",
        };
        let cost = self.cost_us.map_or_else(String::new, |us| format!(", {us:.1} µs"));
        let by = if self.in_kernel { "the kernel, called by" } else { "by" };
        format!("{place}: {kind}, {cause}{cost}; {by} {}", self.code)
    }
}

fn unlocked(locked: bool) -> &'static str {
    if locked { "" } else { ", not locked" }
}

/// The last part of a path, which tells files of a session apart.
fn name_of(file: &str) -> std::borrow::Cow<'_, str> {
    Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy())
}

/// A fault as a front end gets it: beside samples, whose times it shares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenFault {
    /// Its number since the start of the audio thread, from 1 on.
    pub number: u64,
    pub at: Stamp,
    #[serde(with = "crate::serial::shared")]
    pub fault: Arc<Fault>,
}

/// The faults of the audio thread since its start.
#[derive(Debug, Default)]
pub struct FaultLog {
    /// Why faults are not attributed; empty while they are.
    refusal: OnceLock<Arc<str>>,
    /// The audio thread, and the kernel's counters of it at the moment from which on faults are attributed.
    began: OnceLock<(i32, ThreadCounters)>,
    state: Mutex<LogState>,
}

#[derive(Debug)]
struct LogState {
    /// The last [`FAULTS_KEPT`] faults.
    kept: VecDeque<Arc<Fault>>,
    /// The first faults since the last mark, at most [`FAULTS_LISTED`].
    first: Vec<Arc<Fault>>,
    /// The last mark, the end that belongs to it, and the resolved faults between them.
    mark_ns: u64,
    end_ns: u64,
    since_mark: u64,
    /// All faults that were seen, and those of them that the kernel resolved.
    seen: u64,
    resolved: u64,
    /// Faults that did not fit into the rings of the kernel.
    lost: u64,
}

impl Default for LogState {
    fn default() -> LogState {
        LogState {
            kept: VecDeque::new(),
            first: Vec::new(),
            mark_ns: 0,
            end_ns: u64::MAX,
            since_mark: 0,
            seen: 0,
            resolved: 0,
            lost: 0,
        }
    }
}

/// The page faults of the audio thread since its start: those that were seen, and those that the kernel has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCounts {
    /// Resolved faults that were seen. The kernel does not count one without a page.
    pub attributed: u64,
    /// Faults without and with a wait, as the kernel has counted them; `None`: its counters cannot be read.
    pub counted: Option<(u64, u64)>,
}

impl FaultCounts {
    /// Faults that the kernel has counted and that were not seen.
    pub fn missed(&self) -> Option<u64> {
        self.counted.map(|(minor, major)| (minor + major).saturating_sub(self.attributed))
    }
}

impl FaultLog {
    /// Why faults are not attributed. `None`: they are.
    pub fn refusal(&self) -> Option<&Arc<str>> {
        self.refusal.get()
    }

    /// Faults are not attributed, for this reason.
    pub fn refuse(&self, reason: &str) {
        self.refusal.set(reason.into()).ok();
    }

    /// The last faults, the oldest first.
    pub fn last(&self) -> Vec<Arc<Fault>> {
        lock(&self.state).kept.iter().cloned().collect()
    }

    /// The faults from `from_ns` of the monotonic clock on, the oldest first.
    pub fn since(&self, from_ns: u64) -> Vec<Arc<Fault>> {
        lock(&self.state).kept.iter().filter(|fault| from_ns <= fault.at_ns).cloned().collect()
    }

    /// The faults after the first `number` ones, as far as they are kept, each with its own number.
    pub fn after(&self, number: u64) -> Vec<(u64, Arc<Fault>)> {
        let state = lock(&self.state);
        let first = state.seen - state.kept.len() as u64 + 1;
        (first..).zip(state.kept.iter().cloned()).filter(|(own, _)| number < *own).collect()
    }

    /// Number of faults that were seen, and of those that did not fit into the rings of the kernel.
    pub fn counts(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.seen, state.lost)
    }

    /// The faults since the start of the audio thread, for an account of the whole run.
    pub fn run_counts(&self) -> FaultCounts {
        // The log first: a fault between the two readings is missed then, and not one too many.
        let attributed = lock(&self.state).resolved;
        let since = |(tid, began): &(i32, ThreadCounters)| Some(ThreadCounters::of(*tid).ok()?.since(began));
        let spent = self.began.get().and_then(since);
        FaultCounts { attributed, counted: spent.map(|spent| (spent.minor_faults, spent.major_faults)) }
    }

    /// A pass begins at `at_ns` of the monotonic clock: its first faults are kept whatever follows.
    pub fn mark(&self, at_ns: u64) {
        let mut state = lock(&self.state);
        (state.mark_ns, state.end_ns, state.since_mark) = (at_ns, u64::MAX, 0);
        state.first.clear();
    }

    /// The pass ends at `at_ns` of the monotonic clock. Later faults do not belong to it. Those before may still come:
    /// the faults thread writes them some milliseconds late.
    pub fn mark_end(&self, at_ns: u64) {
        let mut state = lock(&self.state);
        let later = state.first.iter().filter(|fault| at_ns < fault.at_ns && fault.kind != FaultKind::Refused).count();
        state.since_mark -= later as u64;
        state.end_ns = at_ns;
        state.first.retain(|fault| fault.at_ns <= at_ns);
    }

    /// The first faults from the mark to its end, and the number of all that the kernel resolved in this time.
    pub fn since_mark(&self) -> (Vec<Arc<Fault>>, u64) {
        let state = lock(&self.state);
        (state.first.clone(), state.since_mark)
    }

    /// Adds faults. Keeps the last ones, and the first ones from the mark to its end.
    pub fn push(&self, faults: Vec<Fault>, lost: u64) {
        let mut state = lock(&self.state);
        state.seen += faults.len() as u64;
        state.lost += lost;
        for fault in faults.into_iter().map(Arc::new) {
            // The kernel does not count a fault without a page.
            let resolved = u64::from(fault.kind != FaultKind::Refused);
            state.resolved += resolved;
            if (state.mark_ns..=state.end_ns).contains(&fault.at_ns) {
                state.since_mark += resolved;
                if state.first.len() < FAULTS_LISTED {
                    state.first.push(Arc::clone(&fault));
                }
            }
            if FAULTS_KEPT <= state.kept.len() {
                state.kept.pop_front();
            }
            state.kept.push_back(fault);
        }
    }
}

/// Starts to attribute the faults of thread `tid`. The events are open when this returns. The thread that reads them ends
/// with thread `tid`. `stack`: an address on the stack of thread `tid`.
pub fn start(tid: i32, stack: usize, ledger: &Arc<Ledger>, log: &Arc<FaultLog>) {
    if let Ok(counters) = ThreadCounters::of(tid) {
        log.began.set((tid, counters)).ok();
    }
    let events = match FaultEvents::open(tid) {
        Ok(events) => events,
        Err(Refusal { reason, .. }) => return log.refuse(&reason),
    };
    let attributor = Attributor::new(Arc::clone(ledger), stack as u64);
    let written = Arc::clone(log);
    let thread = std::thread::Builder::new().name("faults".to_owned()).stack_size(STACK_BYTES);
    if let Err(error) = thread.spawn(move || run(tid, events, attributor, &written)) {
        log.refuse(&format!("the system cannot start a thread: {error}"));
    }
}

fn run(tid: i32, mut events: FaultEvents, mut attributor: Attributor, log: &FaultLog) {
    let task = format!("/proc/self/task/{tid}");
    loop {
        let limit = events.next_wait(host::monotonic().as_nanos() as u64, REST);
        if !limit.is_zero() {
            events.wait(limit);
        }
        let is_over = !Path::new(&task).exists();
        std::thread::sleep(PAUSE);
        let (faults, lost) = events.drain();
        if !faults.is_empty() || lost > 0 {
            log.push(attributor.attribute(&faults), lost);
        }
        if is_over {
            return;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A fault at the moment `at_ns`, in the memory `place`.
    pub(crate) fn fault(at_ns: u64, place: FaultPlace) -> Fault {
        Fault {
            at_ns,
            kind: FaultKind::Minor,
            cause: FaultCause::WriteProtected,
            cost_us: Some(3.5),
            address: 0x7000,
            place,
            instruction: 1,
            code: "engine::mix".to_owned(),
            in_kernel: false,
        }
    }

    #[test]
    fn a_fault_is_told_in_one_line() {
        let file = "/s/audio/Kick-1.wav".to_owned();
        let place = FaultPlace::Capture { take: Uuid::nil(), file, page: 3, byte: 12_300, locked: true };
        let wanted =
            "Kick-1.wav, capture, page 3 (byte 12300): minor, write-protected (inferred), 3.5 µs; by engine::mix";
        assert_eq!(fault(1, place).text(), wanted);
        assert!(fault(1, FaultPlace::Unmapped).text().starts_with("no mapping, address 0x7000: minor"));
    }

    #[test]
    fn the_last_faults_are_kept_and_all_are_counted() {
        let log = FaultLog::default();
        let faults = |from: u64| (from..from + FAULTS_KEPT as u64).map(|at| fault(at, FaultPlace::Heap)).collect();
        log.push(faults(0), 0);
        log.push(faults(10), 7);
        assert_eq!((log.last().len(), log.last()[0].at_ns), (FAULTS_KEPT, 10));
        assert_eq!(log.counts(), (2 * FAULTS_KEPT as u64, 7));
        assert_eq!(log.since(FAULTS_KEPT as u64 + 8).len(), 2);
        let last = log.after(2 * FAULTS_KEPT as u64 - 1);
        assert_eq!((last.len(), last[0].0, last[0].1.at_ns), (1, 2 * FAULTS_KEPT as u64, FAULTS_KEPT as u64 + 9));
        assert_eq!(log.after(0)[0].0, FAULTS_KEPT as u64 + 1);
        log.mark(5);
        log.push(faults(4), 0);
        log.push(vec![Fault { kind: FaultKind::Refused, ..fault(9, FaultPlace::Heap) }], 0);
        let (first, count) = log.since_mark();
        assert_eq!((first.len(), first[0].at_ns, count), (FAULTS_LISTED, 5, FAULTS_KEPT as u64 - 1));
        assert!(log.refusal().is_none());
        log.refuse("why");
        assert_eq!(log.refusal().map(|reason| &**reason), Some("why"));
    }

    #[test]
    fn the_attributed_and_the_missed_faults_of_a_run_are_those_that_the_kernel_counts() {
        let log = FaultLog::default();
        assert_eq!(log.run_counts(), FaultCounts { attributed: 0, counted: None });
        let tid = crate::rt::this_thread_id();
        log.began.set((tid, ThreadCounters::of(tid).unwrap())).unwrap();
        let mut map = memmap2::MmapMut::map_anon(16 * 4096).unwrap();
        map.advise(memmap2::Advice::NoHugePage).ok();
        (0..16).for_each(|page| map[page * 4096] = 1);
        let refused = Fault { kind: FaultKind::Refused, ..fault(2, FaultPlace::Heap) };
        log.push(vec![fault(1, FaultPlace::Heap), refused], 0);
        let counts = log.run_counts();
        let (minor, major) = counts.counted.unwrap();
        assert_eq!(counts.attributed, 1, "a fault without a page is not counted by the kernel");
        assert!(1 < minor + major && counts.missed() == Some(minor + major - 1), "{counts:?}");
    }

    #[test]
    fn a_fault_is_plain_data_that_comes_back_from_json() {
        let fault = fault(7, FaultPlace::File { file: "/lib/libc.so.6".to_owned(), byte: 4096 });
        let json = serde_json::to_string(&fault).unwrap();
        assert!(json.contains(r#""memory":"file""#), "{json}");
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
    }
}
