//! Answers that a thread of the window waits for. Thread: link delivers them; any thread that may wait asks.

use crate::lock::lock;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Mutex;

/// The threads that wait for an answer of one kind. All get the next one.
#[derive(Debug)]
pub(super) struct Waiting<T>(Mutex<Vec<Sender<T>>>);

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting(Mutex::default())
    }
}

impl<T: Clone> Waiting<T> {
    /// Notes that somebody waits. The receiver ends without an answer when the link ends.
    pub(super) fn add(&self) -> Receiver<T> {
        let (answer, answered) = bounded(1);
        lock(&self.0).push(answer);
        answered
    }

    pub(super) fn deliver(&self, answer: &T) {
        for waiting in lock(&self.0).drain(..) {
            // Who asked may have stopped waiting.
            waiting.try_send(answer.clone()).ok();
        }
    }

    /// The link has ended: there will be no answer.
    pub(super) fn forget(&self) {
        lock(&self.0).clear();
    }
}
