//! What the butler sends to the committers: in order, without ever waiting for one of them. Thread: butler.

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

/// One queue a copy, so that a disk that stands still holds up nobody but its own committer.
pub(super) struct Outbox {
    queues: Vec<Queue>,
    /// The replicas that the pass has.
    replicas: Vec<Replica>,
}

struct Queue {
    committer: Sender<CommitCommand>,
    waiting: VecDeque<CommitCommand>,
}

impl Outbox {
    /// To the committer of each copy, by [`Replica::index`].
    pub(super) fn new(committers: Vec<Sender<CommitCommand>>) -> Outbox {
        let queue = |committer| Queue { committer, waiting: VecDeque::new() };
        Outbox { queues: committers.into_iter().map(queue).collect(), replicas: vec![Replica::Session] }
    }

    /// From now on sound goes to these.
    pub(super) fn serve(&mut self, replicas: &[Replica]) {
        self.replicas = replicas.iter().copied().filter(|replica| replica.index() < self.queues.len()).collect();
    }

    /// Those that it goes to.
    pub(super) fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.waiting.is_empty())
    }

    /// Whether nothing waits for the session's own committer. What the mirror's cannot take now it will not miss: the
    /// program ends.
    pub(super) fn is_done(&self) -> bool {
        self.queues.first().is_none_or(|queue| queue.waiting.is_empty())
    }

    /// To one.
    pub(super) fn send(&mut self, replica: Replica, command: CommitCommand) {
        if let Some(queue) = self.queues.get_mut(replica.index()) {
            queue.waiting.push_back(command);
        }
    }

    /// To each that sound goes to.
    pub(super) fn send_all(&mut self, command: impl Fn() -> CommitCommand) {
        for replica in self.replicas.clone() {
            self.send(replica, command());
        }
    }

    /// Sound for the disks. A copy whose committer has not come to what it was sent long ago shall get it from the other
    /// copy later: what waits is bounded.
    pub(super) fn send_span(
        &mut self,
        take: TakeKey,
        pair: Option<&Arc<ReplicaPair>>,
        span: SpanToCommit,
        disk: &DiskPublished,
    ) {
        disk.backlog_bytes.fetch_add(span.bytes as u64, Relaxed);
        let span = Arc::new(span);
        for replica in self.replicas.clone() {
            let stands_still = self.queues[replica.index()].waiting.len() > limits::CHANNEL_MESSAGES;
            match pair.filter(|_| stands_still && span.is_wanted(replica.other())) {
                Some(pair) => {
                    pair.miss(replica, span.offset, span.recorded_end());
                    span.release(replica);
                }
                None => self.send(replica, CommitCommand::Captured { take, span: Arc::clone(&span) }),
            }
        }
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self) {
        for queue in &mut self.queues {
            while let Some(command) = queue.waiting.pop_front() {
                match queue.committer.try_send(command) {
                    Ok(()) => {}
                    Err(TrySendError::Full(command)) => {
                        queue.waiting.push_front(command);
                        break;
                    }
                    // Nobody is left to write: the spool keeps what it has.
                    Err(TrySendError::Disconnected(_)) => queue.waiting.clear(),
                }
            }
        }
    }
}
