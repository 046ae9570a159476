//! The last events of windows and of the disk side, with exact times, for a trace. Thread: butler, committer and
//! read-ahead write through the ledger; control reads. Audio never sees it.

use crate::host;
use crate::limits::{TRACE_MS, WINDOW_EVENTS_MAX};
use crate::lock::lock;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowStep {
    /// The butler handed a window to the audio thread.
    HandedOver,
    /// The audio thread gave a window back.
    GivenBack,
    /// The committer wrote sound to the take.
    Committed,
    /// Sound outlives a power cut.
    Durable,
    /// The read-ahead handed a playback window to the audio thread.
    PlaybackHandedOver,
    /// The audio thread gave a playback window back.
    PlaybackGivenBack,
    /// A committer made all takes of a session durable and updated their headers.
    Synced,
}

/// A step of a window, or a sync, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowEvent {
    /// Its end, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// Nanoseconds that it took; 0: a moment.
    pub took_ns: u64,
    pub step: WindowStep,
    /// The file; empty for a sync of all takes.
    pub file: Arc<PathBuf>,
    /// Range of the file, or of its spool, in bytes.
    pub byte: u64,
    pub bytes: u64,
}

/// The events of the last [`TRACE_MS`], at most [`WINDOW_EVENTS_MAX`].
#[derive(Debug, Default)]
pub struct WindowEvents(Mutex<VecDeque<WindowEvent>>);

impl WindowEvents {
    /// Adds an event that ends now.
    pub(super) fn note(&self, step: WindowStep, file: &Arc<PathBuf>, byte: u64, bytes: u64, took: Duration) {
        let at_ns = monotonic_ns();
        let event = WindowEvent { at_ns, took_ns: took.as_nanos() as u64, step, file: Arc::clone(file), byte, bytes };
        let mut events = lock(&self.0);
        let is_old = |first: &WindowEvent| TRACE_MS * 1_000_000 < at_ns.saturating_sub(first.at_ns);
        while WINDOW_EVENTS_MAX <= events.len() || events.front().is_some_and(is_old) {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// The events that ended at `from_ns` of the monotonic clock or later, the oldest first.
    pub fn since(&self, from_ns: u64) -> Vec<WindowEvent> {
        let events = lock(&self.0);
        let first = events.partition_point(|event| event.at_ns < from_ns);
        events.range(first..).cloned().collect()
    }

    /// Gives `look` each event that ended after `after_ns` of the monotonic clock, the oldest first. Writers wait meanwhile.
    pub(super) fn look_after(&self, after_ns: u64, look: impl FnMut(&WindowEvent)) {
        let events = lock(&self.0);
        let first = events.partition_point(|event| event.at_ns <= after_ns);
        events.range(first..).for_each(look);
    }

    /// The events, the oldest first.
    pub fn all(&self) -> Vec<WindowEvent> {
        lock(&self.0).iter().cloned().collect()
    }
}

/// Nanoseconds of the monotonic clock.
pub(super) fn monotonic_ns() -> u64 {
    host::monotonic().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_events_are_kept_in_order() {
        let events = WindowEvents::default();
        let file = Arc::new(PathBuf::from("/a.wav"));
        for byte in 0..WINDOW_EVENTS_MAX as u64 + 5 {
            events.note(WindowStep::HandedOver, &file, byte, 4096, Duration::ZERO);
        }
        let all = events.all();
        assert_eq!((all.len(), all[0].byte), (WINDOW_EVENTS_MAX, 5));
        assert!(all.is_sorted_by_key(|event| event.at_ns));
    }
}
