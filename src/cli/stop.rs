//! `faultless stop`: ends the recording of a session, with or without a window. Thread: main.

use super::args::StopArgs;
use super::{Failure, print};
use crate::app::handle::CLOSE_LIMIT;
use crate::link::start::engine_of;
use crate::link::visit::stop;
use crate::session::session_file::holder;

/// Ends the pass and the engine of a session, and waits until everything is saved.
pub fn run(args: &StopArgs) -> Result<(), Failure> {
    let folder = &args.session;
    let name = folder.display();
    let found = engine_of(folder).map_err(|error| Failure(format!("{name}: {error}")))?;
    let Some(found) = found else {
        return Err(Failure(match holder(folder) {
            Some(pid) => format!(
                "{name}: process {pid} has the session open and cannot be asked; if it is on this computer, end it with: \
                 kill -INT {pid}"
            ),
            None => format!("{name}: no recorder has this session open"),
        }));
    };
    stop(found, CLOSE_LIMIT)
        .map_err(|error| Failure(format!("{name}: not everything may be on the disk yet: {error}")))?;
    print(&format!("{name}: stopped and saved"));
    Ok(())
}
