//! Requests for a trace of the last minute. Control only names the sources, and the thread that asked reads them, because that
//! takes milliseconds. Thread: any asks, control answers.

use crate::diagnostics::trace::TraceSources;
use crate::lock::lock;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Mutex;

/// The requests that control has not answered yet.
#[derive(Default)]
pub(super) struct TraceRequests(Mutex<Vec<Sender<TraceSources>>>);

impl TraceRequests {
    /// Adds a request. The receiver ends without an answer if no session is open.
    pub(super) fn add(&self) -> Receiver<TraceSources> {
        let (answer, answered) = bounded(1);
        lock(&self.0).push(answer);
        answered
    }

    /// Answers all requests.
    pub(super) fn answer(&self, sources: impl FnOnce() -> Option<TraceSources>) {
        let requests = std::mem::take(&mut *lock(&self.0));
        if requests.is_empty() {
            return;
        }
        let Some(sources) = sources() else { return };
        for request in requests {
            // Who asked may have stopped waiting.
            request.try_send(sources.clone()).ok();
        }
    }
}
