//! `faultless engine`: the recorder without a window. The window starts it in a process of its own, so that the recording
//! does not depend on the window. Thread: main.
//!
//! Nothing of the toolkit and of a graphics driver runs in this process. It ends when it has neither a window nor a pass for
//! some seconds, when a window or `faultless stop` closes it, or by a signal.

use super::args::WindowArgs;
use super::{Failure, output, print_stderr, printable};
use crate::app::handle::{AppHandle, CLOSE_LIMIT, Phase};
use crate::app::snapshot::Snapshot;
use crate::app::{DeviceWish, Options, Wake};
use crate::limits;
use crate::link::place::Place;
use crate::link::server::{Bells, Owner, Server};
use crate::rt::process;
use signal_hook::iterator::Signals;

/// The sentence about an end that has not come in time.
const NOT_CLOSED: &str = "not everything is saved, because a disk is full or fails, or a disk or a device does not \
     answer; sound of the takes that is in memory is recovered, if you make room and start again before you switch the \
     machine off";

/// Runs the recorder until nobody needs it.
pub fn run(args: &WindowArgs) -> Result<(), Failure> {
    // The end of the window's terminal must not end the recording. A shell that starts this mode by hand has made a
    // group of it already; then there is nothing to do.
    nix::unistd::setsid().ok();
    // A terminal that takes no text must not delay the end of the engine.
    output::start();
    let place = Place::make().map_err(|error| Failure(format!("the recorder's socket cannot be made: {error}")))?;
    let bells = Bells::default();
    let app = AppHandle::start(options(args, bells.wake()))?;
    close_on_signals(app.clone())?;
    let print = |line: &str| print_stderr(&format!("faultless: {}", printable(line)));
    let server = Server::start(place, app.clone(), bells, args.session.as_deref(), Owner::Windows, print)?;
    let is_saved = server.wait_for_end();
    server.tell_end();
    if is_saved { Ok(()) } else { Err(Failure(not_saved(app.phase(), &app.look()))) }
}

/// The reason why a recorder has not come to its end with everything on the disk: the reason that its windows show, or
/// [`NOT_CLOSED`] if it is not at its end yet.
pub fn not_saved(phase: Phase, latest: &Snapshot) -> String {
    let advice = latest.health.advice.clone().filter(|_| phase == Phase::Failed);
    advice.unwrap_or_else(|| NOT_CLOSED.to_owned())
}

fn options(args: &WindowArgs, wake: Wake) -> Options {
    let named = args.device.is_some() || args.rate.is_some() || args.period.is_some() || args.inputs.is_some();
    let signalled = args.signal.is_some();
    let device = (named || signalled).then(|| DeviceWish {
        name: args.device.clone().unwrap_or_default(),
        rate: args.rate,
        period: args.period,
        inputs: args.inputs,
        signal: args.signal.clone(),
    });
    Options {
        session: args.session.clone(),
        device,
        capture_path: args.capture_path,
        wake: Some(wake),
        ..Options::default()
    }
}

/// Ends the pass and saves everything at Ctrl-C, at a log-out or shutdown. If a disk does not answer, the program ends
/// without it.
fn close_on_signals(app: AppHandle) -> Result<(), Failure> {
    let mut signals = Signals::new(process::end_signals())?;
    std::thread::Builder::new().name("signals".to_owned()).stack_size(limits::HELPER_STACK_BYTES).spawn(move || {
        if signals.forever().next().is_none() {
            return;
        }
        // In `Phase::Failed` the app is closed, but something is not on the disk. The main thread prints what, and sets the
        // exit status.
        if !app.close_within(CLOSE_LIMIT) && app.phase() != Phase::Failed {
            print_stderr(&format!("faultless: {NOT_CLOSED}"));
            output::exit(1);
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recorder whose program was not there, or whose control had panicked, was said to have a full disk.
    #[test]
    fn the_terminal_names_the_reason_that_the_window_shows_and_a_disk_only_after_the_time_limit() {
        let failed = Snapshot::empty().failed("the recorder cannot be started: /usr/bin/faultless: No such file");
        let text = not_saved(Phase::Failed, &failed);
        assert!(text.starts_with("the recorder cannot be started: ") && !text.contains("a disk is full"), "{text}");
        let unsaved = Snapshot::empty().unsaved("the takes of gig are not whole");
        assert_eq!(not_saved(Phase::Failed, &unsaved), "the takes of gig are not whole");
        assert_eq!(not_saved(Phase::Closing, &failed), NOT_CLOSED);
    }
}
