//! Waits at a queue between two threads. Thread: any; the module owns nothing.
//!
//! A call that does not wait (`try_recv`, `try_send`) needs no counterpart here. Queues with room for no message are used
//! only to see that the other end was dropped: a simulated machine cannot hand a message over in them.

use super::{is_simulated, simulated};
use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError};
use std::time::Duration;

/// The most messages of a queue on a simulated machine.
const SIMULATED_MESSAGES_MAX: usize = 512;

/// A queue with room for so many messages. A simulated machine makes it smaller: a queue writes to all its memory when it is
/// made, and a simulator starts the threads of many programs, each of which records a few takes.
pub fn bounded<T>(messages: usize) -> (Sender<T>, Receiver<T>) {
    crossbeam_channel::bounded(if is_simulated() { messages.min(SIMULATED_MESSAGES_MAX) } else { messages })
}

/// Waits for a message. `Err`: the senders are gone.
pub fn receive<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    let Some((host, _)) = simulated() else { return from.recv() };
    let mut found_nothing = false;
    loop {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Empty) if host.pause(None, found_nothing) => found_nothing = true,
            Err(_) => return Err(RecvError),
        }
    }
}

/// Waits for a message, at most for `time`.
pub fn receive_timeout<T>(from: &Receiver<T>, time: Duration) -> Result<T, RecvTimeoutError> {
    let Some((host, _)) = simulated() else { return from.recv_timeout(time) };
    let until = host.time() + time;
    let mut found_nothing = false;
    loop {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Empty) if until <= host.time() => return Err(RecvTimeoutError::Timeout),
            Err(TryRecvError::Empty) if host.pause(Some(until), found_nothing) => found_nothing = true,
            Err(_) => return Err(RecvTimeoutError::Disconnected),
        }
    }
}

/// Waits for room in a queue, and sends a message. `Err`: the receivers are gone.
pub fn send<T>(to: &Sender<T>, message: T) -> Result<(), SendError<T>> {
    let Some((host, _)) = simulated() else { return to.send(message) };
    let (mut message, mut found_nothing) = (message, false);
    loop {
        match to.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(back)) if host.pause(None, found_nothing) => (message, found_nothing) = (back, true),
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => return Err(SendError(back)),
        }
    }
}
