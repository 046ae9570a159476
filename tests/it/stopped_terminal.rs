//! The program on a terminal that takes no text for a while: Ctrl-S, or a connection that stalls. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{check, faultless, place, record, run};
use crate::waiting;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{FlowArg, tcflow};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Time for the program to show its status line.
const START: Duration = Duration::from_secs(30);

/// Time for a program to end in order while its terminal takes no text. It waits for the terminal for 3 s of it.
const END: Duration = Duration::from_secs(15);

/// A program on a terminal of its own. Dropping it kills the program.
struct OnTerminal {
    child: Child,
    terminal: OwnedFd,
    got: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn start(mut command: Command) -> OnTerminal {
        let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm");
        let child = command.spawn().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (shared, mut master) = (Arc::clone(&got), File::from(pty.master));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the terminal is an error.
            while let Ok(number @ 1..) = master.read(&mut bytes) {
                shared.lock().unwrap().extend(&bytes[..number]);
            }
        });
        OnTerminal { child, terminal: pty.slave, got }
    }

    /// Everything that the terminal has got.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.got.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn await_text(&self, text: &str) {
        let until = Instant::now() + START;
        while !self.text().contains(text) {
            assert!(Instant::now() < until, "'{text}' is not shown: {}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The terminal takes no text from now on.
    fn stop(&self) {
        tcflow(&self.terminal, FlowArg::TCOOFF).unwrap();
    }

    /// The terminal takes text again.
    fn resume(&self) {
        tcflow(&self.terminal, FlowArg::TCOON).unwrap();
    }

    fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
    }

    /// Waits for the end and checks that the program has succeeded.
    #[track_caller]
    fn done_within(&mut self, patience: Duration) {
        let Some(status) = waiting::ended(&mut self.child, patience) else {
            panic!("not done after {patience:?}: {}", self.text())
        };
        assert!(status.success(), "{status}: {}", self.text());
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        self.resume();
        waiting::kill(&mut self.child);
    }
}

/// A recording of the ramp that shows its status line.
fn recording(session: &Path, arguments: &str) -> OnTerminal {
    let command = faultless("record", session, &format!("--signal ramp --inputs 4 {arguments}"));
    let program = OnTerminal::start(command);
    program.await_text("●");
    program
}

#[test]
fn sigterm_ends_a_recording_although_its_terminal_takes_no_text() {
    let folder = place();
    let session = folder.path().join("s");
    let mut program = recording(&session, "--device virtual");
    program.stop();
    std::thread::sleep(Duration::from_secs(1));
    program.terminate();
    program.done_within(END);
    let found = check(&session)[0];
    assert!(found.takes == 4 && found.lost == 0 && found.frames < 10 * 48_000, "{found:?}");
}

#[test]
fn seconds_end_a_recording_although_its_terminal_takes_no_text() {
    let folder = place();
    let session = folder.path().join("s");
    let mut program = recording(&session, "--device virtual --seconds 2");
    program.stop();
    program.done_within(Duration::from_secs(2) + END);
    let found = check(&session)[0];
    assert!(found.takes == 4 && found.lost == 0 && found.frames == 2 * 48_000, "{found:?}");
}

#[test]
fn minute_a_card_comes_back_at_once_although_the_terminal_takes_no_text() {
    let folder = place();
    let session = folder.path().join("s");
    let mut program = recording(&session, "--device virtual:pull=96000+24000 --seconds 8");
    program.stop();
    program.done_within(Duration::from_secs(8) + END);
    let found = check(&session)[0];
    assert!(found.takes == 4 && (24_000..96_000).contains(&found.lost), "half a second was pulled: {found:?}");
}

#[test]
fn minute_the_notices_that_a_stopped_terminal_missed_come_before_the_summary() {
    let folder = place();
    let session = folder.path().join("s");
    let mut program = recording(&session, "--device virtual:pull=96000+24000 --seconds 6");
    program.stop();
    std::thread::sleep(Duration::from_secs(4));
    program.resume();
    program.done_within(Duration::from_secs(6) + END);
    let text = program.text();
    let (loss, summary) = (text.find("LOSS: "), text.rfind("4 takes of 0:06.000"));
    assert!(loss.is_some() && loss < summary, "{text}");
    let after = &text[summary.unwrap()..];
    assert!(!after.contains('●') && !after.contains("LOSS: ") && !text.contains("left out"), "{text}");
}

#[test]
fn sigterm_ends_playback_although_its_terminal_takes_no_text() {
    let folder = place();
    let session = folder.path().join("s");
    run(record(&session, "--device virtual:free --inputs 2 --seconds 60")).done();
    let mut program = OnTerminal::start(faultless("play", &session, "--device virtual"));
    program.await_text("▶");
    program.stop();
    std::thread::sleep(Duration::from_secs(1));
    program.terminate();
    program.done_within(END);
}
