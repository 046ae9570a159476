//! The queues from the butler to the committers: they keep the order and never make the butler wait. Thread: butler.

use crate::limits;
use crate::message::disk::CommitCommand;
use crate::message::replica::{Replica, ReplicaPair};
use crate::message::span_to_commit::SpanToCommit;
use crate::message::stats::DiskPublished;
use crate::message::take::TakeKey;
use crossbeam_channel::{Sender, TrySendError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A queue for each replica, so that a disk that does not respond delays its own committer only.
pub(super) struct Outbox {
    queues: Vec<Queue>,
    /// The replicas of the current pass.
    replicas: Vec<Replica>,
}

struct Queue {
    committer: Sender<CommitCommand>,
    waiting: VecDeque<CommitCommand>,
}

impl Outbox {
    /// An outbox for the committers of the replicas, indexed by [`Replica::index`].
    pub(super) fn new(committers: Vec<Sender<CommitCommand>>) -> Outbox {
        let queue = |committer| Queue { committer, waiting: VecDeque::new() };
        Outbox { queues: committers.into_iter().map(queue).collect(), replicas: vec![Replica::Session] }
    }

    /// Sets the replicas of the next pass.
    pub(super) fn set_replicas(&mut self, replicas: &[Replica]) {
        self.replicas = replicas.iter().copied().filter(|replica| replica.index() < self.queues.len()).collect();
    }

    /// The replicas of the current pass.
    pub(super) fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Whether no queue contains a command.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.waiting.is_empty())
    }

    /// Whether the queue of the session's committer is empty. The butler ends then: a mirror that does not respond must
    /// not delay the end of the program. Spans that are left in the mirror's queue do not reach the mirror.
    pub(super) fn is_done(&self) -> bool {
        self.queues.first().is_none_or(|queue| queue.waiting.is_empty())
    }

    /// Queues a command for the committer of `replica`.
    pub(super) fn send(&mut self, replica: Replica, command: CommitCommand) {
        if let Some(queue) = self.queues.get_mut(replica.index()) {
            queue.waiting.push_back(command);
        }
    }

    /// Queues a command for the committer of each replica.
    pub(super) fn send_all(&mut self, command: impl Fn() -> CommitCommand) {
        for at in 0..self.replicas.len() {
            self.send(self.replicas[at], command());
        }
    }

    /// Queues a span for the committer of each replica. If a committer has not taken its commands for a long time, the
    /// span becomes a gap of its replica, so that the queue does not grow without limit. The committer fills the gap
    /// from the other replica later. In `in-place` the sound is in the session's file already, so the session has no gaps.
    pub(super) fn send_span(
        &mut self,
        take: TakeKey,
        pair: Option<&Arc<ReplicaPair>>,
        span: SpanToCommit,
        disk: &DiskPublished,
    ) {
        disk.backlog_bytes.fetch_add(span.bytes as u64, Relaxed);
        let span = Arc::new(span);
        for at in 0..self.replicas.len() {
            let replica = self.replicas[at];
            let stands_still = self.queues[replica.index()].waiting.len() > limits::WAITING_COMMANDS_MAX;
            let may_lack = replica == Replica::Mirror || span.slot().is_some();
            match pair.filter(|_| stands_still && may_lack && span.is_wanted(replica.other())) {
                Some(pair) => {
                    pair.add_gap(replica, span.offset, span.recorded_end());
                    span.release(replica);
                }
                None => self.send(replica, CommitCommand::Captured { take, span: Arc::clone(&span) }),
            }
        }
    }

    /// Sends as many commands as the channels have space for.
    pub(super) fn flush(&mut self) {
        for queue in &mut self.queues {
            while let Some(command) = queue.waiting.pop_front() {
                match queue.committer.try_send(command) {
                    Ok(()) => {}
                    Err(TrySendError::Full(command)) => {
                        queue.waiting.push_front(command);
                        break;
                    }
                    // The committer is gone. Spool files keep the spans.
                    Err(TrySendError::Disconnected(_)) => queue.waiting.clear(),
                }
            }
        }
    }
}
