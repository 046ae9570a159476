//! The sending end of a queue for a thread that must not wait. Thread: control, to all other threads; butler, to control.
//!
//! Every queue has a bound. A message that finds no room waits in the outbox, in order, and the owner offers it again in its
//! next turn. So no command is dropped, and two threads that send to each other cannot wait for each other.

use crossbeam_channel::{Sender, TrySendError};
use rtrb::{Producer, PushError};
use std::collections::VecDeque;

/// A message that may wait in an [`Outbox`].
pub trait Message {
    /// Whether the thread needs no longer get `earlier`, which still waits, if this message follows. What waits is bounded
    /// by this: of the messages that a user can send again and again, the last one of each kind waits.
    fn replaces(&self, _earlier: &Self) -> bool {
        false
    }
}

/// The receiver of the queue is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// A queue with a bound. `Err(Some(message))`: it has no room; `Err(None)`: its receiver is gone.
pub trait Queue<T> {
    /// Puts a message into the queue, without waiting.
    fn offer(&mut self, message: T) -> Result<(), Option<T>>;
}

impl<T> Queue<T> for Sender<T> {
    fn offer(&mut self, message: T) -> Result<(), Option<T>> {
        self.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) => Some(message),
            TrySendError::Disconnected(_) => None,
        })
    }
}

impl<T> Queue<T> for Producer<T> {
    fn offer(&mut self, message: T) -> Result<(), Option<T>> {
        if self.is_abandoned() {
            return Err(None);
        }
        self.push(message).map_err(|PushError::Full(message)| Some(message))
    }
}

/// The sending end of a queue, and the messages that found no room in it.
pub struct Outbox<T, Q = Sender<T>> {
    queue: Q,
    waiting: VecDeque<T>,
}

impl<T: Message, Q: Queue<T>> Outbox<T, Q> {
    /// An outbox for `queue`.
    pub fn new(queue: Q) -> Self {
        Outbox { queue, waiting: VecDeque::new() }
    }

    /// Sends a message without waiting. A message that finds no room waits here.
    pub fn send(&mut self, message: T) -> Result<(), Gone> {
        self.waiting.retain(|earlier| !message.replaces(earlier));
        self.waiting.push_back(message);
        self.flush()
    }

    /// Sends a message if there is room for it now. Otherwise the message is dropped.
    pub fn try_send(&mut self, message: T) -> Result<(), Gone> {
        self.flush()?;
        if self.waiting.is_empty() { self.queue.offer(message).map_err(|_| Gone) } else { Err(Gone) }
    }

    /// Offers the waiting messages again. Call it in every turn.
    pub fn flush(&mut self) -> Result<(), Gone> {
        while let Some(message) = self.waiting.pop_front() {
            match self.queue.offer(message) {
                Ok(()) => {}
                Err(Some(message)) => {
                    self.waiting.push_front(message);
                    break;
                }
                Err(None) => {
                    self.waiting.clear();
                    return Err(Gone);
                }
            }
        }
        Ok(())
    }

    /// Whether no message waits here.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The queue itself.
    pub fn queue(&self) -> &Q {
        &self.queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::AudioCommand;
    use crate::time::FramePos;
    use crossbeam_channel::bounded;
    use rtrb::RingBuffer;

    impl Message for u32 {
        fn replaces(&self, earlier: &u32) -> bool {
            self.is_multiple_of(10) && earlier.is_multiple_of(10)
        }
    }

    #[test]
    fn what_finds_no_room_waits_in_order_and_a_queue_without_a_receiver_is_known() {
        let (sender, receiver) = bounded(2);
        let mut outbox = Outbox::new(sender);
        for message in [1, 2, 10, 3, 20, 4] {
            outbox.send(message).unwrap();
        }
        assert!(!outbox.is_empty() && outbox.try_send(5).is_err());
        let mut received = Vec::new();
        while let Ok(message) = receiver.try_recv() {
            received.push(message);
            outbox.flush().unwrap();
        }
        // 10 was replaced while it waited.
        assert_eq!(received, [1, 2, 3, 20, 4]);
        assert!(outbox.is_empty() && outbox.try_send(5).is_ok());
        drop(receiver);
        assert_eq!(outbox.send(6), Err(Gone));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_full_command_ring_drops_neither_record_nor_stop() {
        let (ring, mut commands) = RingBuffer::new(1);
        let mut outbox: Outbox<AudioCommand, _> = Outbox::new(ring);
        let path = |frame| crate::message::PlayPath { start: FramePos(frame), loop_range: None };
        outbox.send(AudioCommand::Roll).unwrap();
        for epoch in 1..=10_000 {
            outbox.send(AudioCommand::Locate { path: path(u64::from(epoch)), epoch }).unwrap();
            outbox.send(AudioCommand::Stop).unwrap();
            outbox.send(AudioCommand::Roll).unwrap();
        }
        outbox.send(AudioCommand::PunchOut).unwrap();
        outbox.send(AudioCommand::Stop).unwrap();
        assert!(outbox.waiting.len() < 10, "{}", outbox.waiting.len());
        let mut seen = Vec::new();
        while let Ok(command) = commands.pop() {
            seen.push(match command {
                AudioCommand::Roll => "roll".to_owned(),
                AudioCommand::Stop => "stop".to_owned(),
                AudioCommand::PunchOut => "punch out".to_owned(),
                AudioCommand::Locate { epoch, .. } => epoch.to_string(),
                _ => "other".to_owned(),
            });
            outbox.flush().unwrap();
        }
        assert_eq!(seen, ["roll", "10000", "stop"]);
    }
}
