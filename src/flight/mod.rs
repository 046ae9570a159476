//! The flight recorder: events of a session, kept in its folder as `events.jsonl`. Thread: control notes events and
//! never waits for the disk; flight owns the file and writes.
//!
//! ```text
//!   control --- note() --> limiter --> queue (bounded) --> flight: events.jsonl, at its limit events.1.jsonl
//!      ^                                                     |
//!      +------------- problems (bounded) --------------------+
//! ```
//!
//! If the disk hangs, the queue fills up. Further events are counted, and the count is written when the queue has space
//! again. Events that are read back are bounded in size and number: see [`read`].

pub mod facts;
mod journal;
mod limiter;
pub mod margin;
pub mod read;
pub mod record;
#[cfg(test)]
mod tests;

use crate::host;
use crate::limits;
use crate::session::names::EVENTS_FILE;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use journal::Journal;
use limiter::Limiter;
use record::{Kind, Record, Severity};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// The last events, the oldest first.
pub type Events = Arc<Vec<Arc<Record>>>;

/// Stack of the flight thread.
const STACK_BYTES: usize = limits::HELPER_STACK_BYTES;

/// Problems that may wait for control.
const PROBLEMS: usize = 4;

/// Control's end of the flight recorder. Dropping it waits until all events are written.
pub struct Flight {
    queue: Option<Sender<Record>>,
    problems: Option<Receiver<String>>,
    thread: Option<JoinHandle<()>>,
    limiter: Limiter,
    started: Instant,
    /// Events that did not fit into the queue and are not yet reported.
    dropped: u64,
    recent: Events,
    /// Events without a notice, for a front end to show.
    unannounced: VecDeque<Arc<Record>>,
}

impl Flight {
    /// Reads the events in the folder and, if `writes`, appends to them. May wait for the disk. If the file cannot be
    /// written, the reason is in [`Flight::problems`], and the last events are kept in memory.
    pub fn start(folder: &Path, writes: bool) -> Flight {
        let mut flight = Flight {
            queue: None,
            problems: None,
            thread: None,
            limiter: Limiter::default(),
            started: host::now(),
            dropped: 0,
            recent: Arc::new(read::last(folder, limits::FLIGHT_EVENTS_KEPT).into_iter().map(Arc::new).collect()),
            unannounced: VecDeque::new(),
        };
        if writes {
            let (queue, records) = bounded(limits::FLIGHT_QUEUE);
            let (problem_sender, problems) = bounded(PROBLEMS);
            flight.problems = Some(problems);
            let sender_if_spawn_fails = problem_sender.clone();
            let spawned = Journal::open(folder).and_then(|journal| {
                let thread = std::thread::Builder::new().name("flight".to_owned()).stack_size(STACK_BYTES);
                thread.spawn(move || write(&records, journal, &problem_sender))
            });
            match spawned {
                Ok(thread) => (flight.queue, flight.thread) = (Some(queue), Some(thread)),
                Err(error) => {
                    let path = folder.join(EVENTS_FILE);
                    let text =
                        format!("{}: events are not kept: {error}; the recording is not affected", path.display());
                    sender_if_spawn_fails.try_send(text).ok();
                }
            }
        }
        flight
    }

    /// Keeps an event that the front end shows by other means, as a notice or a report. Does not wait.
    pub fn note(&mut self, kind: Kind, severity: Severity, text: &str, numbers: &[(&str, u64)]) {
        let record = Record::new(kind, severity, text, numbers);
        for record in self.limiter.admit(host::elapsed(self.started), record) {
            self.keep(record);
        }
    }

    /// Keeps an event that comes without a notice, and queues it for the front end. Does not wait.
    pub fn note_without_notice(&mut self, kind: Kind, severity: Severity, text: &str, numbers: &[(&str, u64)]) {
        let record = Record::new(kind, severity, text, numbers);
        for record in self.limiter.admit(host::elapsed(self.started), record) {
            let kept = self.keep(record);
            if self.unannounced.len() >= limits::FLIGHT_QUEUE {
                self.unannounced.pop_front();
            }
            self.unannounced.push_back(kept);
        }
    }

    /// Writes the counts of events that the limiter withheld. Call it now and then; it does not wait.
    pub fn tick(&mut self) {
        for record in self.limiter.take_due_counts(host::elapsed(self.started)) {
            self.keep(record);
        }
    }

    fn keep(&mut self, record: Record) -> Arc<Record> {
        let kept = Arc::new(record.clone());
        let recent = Arc::make_mut(&mut self.recent);
        if recent.len() >= limits::FLIGHT_EVENTS_KEPT {
            recent.remove(0);
        }
        recent.push(Arc::clone(&kept));
        let Some(queue) = &self.queue else { return kept };
        if self.dropped > 0 {
            let text = format!("flight recorder: {} events were not kept, the disk stood still", self.dropped);
            let dropped = Record::new(Kind::Dropped, Severity::Caution, &text, &[("events", self.dropped)]);
            if queue.try_send(dropped).is_ok() {
                self.dropped = 0;
            }
        }
        if let Err(TrySendError::Full(_)) = queue.try_send(record) {
            self.dropped += 1;
        }
        kept
    }

    /// The last events, those of earlier starts included.
    pub fn recent(&self) -> Events {
        Arc::clone(&self.recent)
    }

    /// The next event without a notice.
    pub fn take_unannounced(&mut self) -> Option<Arc<Record>> {
        self.unannounced.pop_front()
    }

    /// Events that did not fit into the queue and are not yet reported.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Problems since the last call, path first.
    pub fn problems(&self) -> Vec<String> {
        self.problems.iter().flat_map(Receiver::try_iter).collect()
    }

    /// Waits until everything is on the disk.
    pub fn finish(&mut self) {
        for record in self.limiter.take_all_counts() {
            self.keep(record);
        }
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The flight thread: writes all waiting events at once.
fn write(records: &Receiver<Record>, mut journal: Journal, problems: &Sender<String>) {
    let mut reported = false;
    while let Ok(first) = records.recv() {
        let batch: Vec<Record> = std::iter::once(first).chain(records.try_iter()).collect();
        if let Err(error) = journal.append(&batch) {
            // Once is enough. If the disk is full, the committer reports it too.
            if !std::mem::replace(&mut reported, true) {
                problems.try_send(format!("{}: events are not kept: {error}", journal.path().display())).ok();
            }
        }
    }
}
