//! A program that asks an engine for one thing and shows nothing. Thread: any that may wait.

use super::place;
use super::protocol::{self, Answer, LinkError, Request, message};
use crate::app::handle::Phase;
use crate::diagnostics::trace::Trace;
use std::io;
use std::time::Duration;

/// The last minute of a recording engine. `None`: no session is open there.
pub fn trace(found: place::Found, limit: Duration) -> Result<Option<Trace>, LinkError> {
    let mut stream = found.stream;
    stream.set_read_timeout(Some(limit))?;
    protocol::send(&mut stream, &message(&Request::Trace)?)?;
    let mut bytes = Vec::new();
    loop {
        protocol::receive(&mut stream, protocol::ANSWER_BYTES_MAX, &mut bytes)?;
        match protocol::parse(&bytes)? {
            Answer::Trace(trace) => return Ok(trace.map(|trace| *trace)),
            Answer::Full(reason) => return Err(LinkError::Io(io::Error::other(reason))),
            _ => {}
        }
    }
}

/// Ends the pass and the engine, and waits until everything is saved, at most for `limit` between two answers.
pub fn stop(found: place::Found, limit: Duration) -> Result<(), LinkError> {
    let mut stream = found.stream;
    stream.set_read_timeout(Some(limit))?;
    protocol::send(&mut stream, &message(&Request::Stop)?)?;
    let mut bytes = Vec::new();
    loop {
        protocol::receive(&mut stream, protocol::ANSWER_BYTES_MAX, &mut bytes)?;
        match protocol::parse(&bytes)? {
            Answer::Phase(phase) if Phase::of(phase) == Phase::Closed => return Ok(()),
            Answer::Phase(phase) if Phase::of(phase) == Phase::Failed => {
                return Err(LinkError::Io(io::Error::other("the recorder has failed; what was recorded is kept")));
            }
            Answer::Full(reason) => return Err(LinkError::Io(io::Error::other(reason))),
            _ => {}
        }
    }
}
