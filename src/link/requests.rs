//! The way from a window to the engine of the present link. Thread: any that may have a handle of the engine. It never waits.

use super::protocol::Request;
use crossbeam_channel::Sender;

/// The way to the engine. The queue and the count are under one lock, so a command is counted exactly if it is queued.
#[derive(Default)]
pub(super) struct Requests {
    /// The queue of the present link; `None` while there is none.
    pub(super) queue: Option<Sender<Request>>,
    /// Commands that were given so far.
    pub(super) commands: u64,
    /// Whether the engine records, and the window has had no state of this link. Its user has not seen the recording, so the
    /// end of the window must not end it.
    pub(super) has_unseen_recording: bool,
}

impl Requests {
    /// The link has ended.
    pub(super) fn close(&mut self) {
        (self.queue, self.has_unseen_recording) = (None, false);
    }

    /// Sends a request if the engine is there and takes it. Does not wait.
    pub(super) fn send(&self, request: Request) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send(request).is_ok())
    }
}
