//! A program that asks an engine for one thing and shows nothing. Thread: any that may wait.

use super::place;
use super::protocol::{self, Answer, LinkError, Request, message};
use crate::app::handle::Phase;
use crate::diagnostics::trace::Trace;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The last minute of a recording engine. `None`: no session is open there.
pub fn trace(found: place::Found, limit: Duration) -> Result<Option<Trace>, LinkError> {
    ask(found, &Request::Trace, limit, |answer| match answer {
        Answer::Trace(trace) => Some(Ok(trace.map(|trace| *trace))),
        _ => None,
    })
}

/// Ends the pass and the engine, and waits until everything is saved, at most for `limit` between two answers.
pub fn stop(found: place::Found, limit: Duration) -> Result<(), LinkError> {
    ask(found, &Request::Stop, limit, |answer| match answer {
        Answer::Phase(phase) if Phase::of(phase) == Phase::Closed => Some(Ok(())),
        Answer::Phase(phase) if Phase::of(phase) == Phase::Failed => Some(Err(LinkError::NotSaved)),
        _ => None,
    })
}

/// Sends a request, and reads answers until `end` has a result for one of them. The engine may take no further client.
fn ask<T>(
    found: place::Found,
    request: &Request,
    limit: Duration,
    end: impl FnMut(Answer) -> Option<Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let process = found.facts.pid;
    ask_through(found.stream, request, limit, end).map_err(|error| error.of_process(process))
}

fn ask_through<T>(
    mut stream: UnixStream,
    request: &Request,
    limit: Duration,
    mut end: impl FnMut(Answer) -> Option<Result<T, LinkError>>,
) -> Result<T, LinkError> {
    stream.set_read_timeout(Some(limit))?;
    protocol::send(&mut stream, &message(request)?)?;
    let mut bytes = Vec::new();
    loop {
        protocol::receive(&mut stream, protocol::ANSWER_BYTES_MAX, &mut bytes)?;
        match protocol::parse(&bytes)? {
            Answer::Full(reason) => return Err(LinkError::Full(reason)),
            answer => {
                if let Some(result) = end(answer) {
                    return result;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::protocol::Facts;
    use std::path::PathBuf;

    #[test]
    fn a_recorder_that_does_not_answer_is_named_by_its_process() {
        let (stream, _silent) = UnixStream::pair().unwrap();
        let facts = Facts {
            pid: 4711,
            folder: PathBuf::new(),
            settings: PathBuf::new(),
            records: true,
            windows: 0,
            ends: false,
            is_of_terminal: false,
        };
        let said = stop(place::Found { stream, facts }, Duration::from_millis(20)).unwrap_err().to_string();
        assert!(said.contains("the recorder, process 4711, does not answer") && said.contains("try again"), "{said}");
    }
}
