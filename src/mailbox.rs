//! A queue of one place, for messages of which only the newest counts. Thread: any but audio.
//!
//! A message that nobody has taken yet is replaced by the next one. So the queue is bounded, and its sender never waits
//! for a receiver that hangs.

use crate::host;
use crate::lock::lock;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The sender's end. Dropping it ends the receiver.
#[derive(Debug)]
pub struct Poster<T> {
    place: Arc<Mutex<Option<T>>>,
    bell: Sender<()>,
}

/// The receiver's end.
#[derive(Debug)]
pub struct Mailbox<T> {
    place: Arc<Mutex<Option<T>>>,
    bell: Receiver<()>,
}

/// Makes an empty mailbox.
pub fn mailbox<T>() -> (Poster<T>, Mailbox<T>) {
    let (ring, bell) = bounded(1);
    let place = Arc::new(Mutex::new(None));
    (Poster { place: Arc::clone(&place), bell: ring }, Mailbox { place, bell })
}

impl<T> Poster<T> {
    /// Puts the message into the place of one that waits. Returns whether there is still a receiver. Does not wait.
    pub fn post(&self, message: T) -> bool {
        // The old message is dropped after the lock is released.
        let old = lock(&self.place).replace(message);
        drop(old);
        !matches!(self.bell.try_send(()), Err(TrySendError::Disconnected(())))
    }
}

impl<T> Mailbox<T> {
    /// Waits for a message, until `deadline` if there is one.
    pub fn take(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        loop {
            let rung = match deadline {
                Some(deadline) => host::receive_timeout(&self.bell, deadline.saturating_duration_since(host::now())),
                None => host::receive(&self.bell).map_err(|_| RecvTimeoutError::Disconnected),
            };
            // The last message counts even if its sender is gone.
            match (lock(&self.place).take(), rung) {
                (Some(message), _) => return Ok(message),
                (None, Err(error)) => return Err(error),
                // An earlier call took the message of this ring.
                (None, Ok(())) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn of_messages_that_nobody_takes_the_newest_stays_and_the_sender_never_waits() {
        let (poster, mailbox) = mailbox();
        for message in 0..100_000 {
            assert!(poster.post(message));
        }
        assert_eq!(mailbox.take(None), Ok(99_999));
        let soon = Some(Instant::now() + Duration::from_millis(1));
        assert_eq!(mailbox.take(soon), Err(RecvTimeoutError::Timeout));
    }

    #[test]
    fn the_last_message_arrives_although_its_sender_is_gone_and_then_the_receiver_ends() {
        let (poster, mailbox) = mailbox();
        poster.post("save");
        drop(poster);
        assert_eq!(mailbox.take(None), Ok("save"));
        assert_eq!(mailbox.take(None), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_sender_learns_that_the_receiver_is_gone() {
        let (poster, mailbox) = mailbox();
        drop(mailbox);
        assert!(!poster.post(1));
    }
}
