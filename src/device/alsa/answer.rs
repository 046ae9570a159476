//! Asks the program of a sound server. Thread: source-watch, lister, opener, reconnect, control; node-list reads the answer,
//! because the program may hang.

use crate::window::process::keep_files_from_children;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Time for the program to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most bytes of its answer.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// A program of a sound server, whose output is read. It gets no file of this process and does not hold the terminal: Ctrl-C
/// there ends this process and not an answer in its middle. It must be made by `posix_spawn`: `fork` makes all memory of this
/// process read-only for a moment, and the audio thread would take page faults. So no function may be set that runs before
/// the program does.
pub(super) fn command(program: &str, arguments: &[&str]) -> Command {
    keep_files_from_children();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    // A program translates the words by which its lines are known.
    command.env("LC_ALL", "C");
    // A client of JACK starts a server where none runs, which would take the card.
    command.env("JACK_NO_START_SERVER", "1");
    command
}

/// Standard output of a program that ends in time; `None` if it cannot be started, hangs or is ended by a signal. A program
/// that finds no server has an empty answer.
pub(super) fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    let mut child = command(program, arguments).spawn().ok()?;
    let out = child.stdout.take()?;
    let (sender, received) = sync_channel(1);
    let reader = std::thread::Builder::new().name("node-list".to_owned()).spawn(move || {
        let mut text = String::new();
        let read = out.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        sender.send(read.is_ok().then_some(text)).ok();
    });
    let text = reader.ok().and_then(|_| received.recv_timeout(PATIENCE).ok()).flatten();
    // The answer of a program that was ended in its middle is a part, which would be taken for the whole.
    let mut status = None;
    while text.is_some() && status.is_none() && Instant::now() < until {
        status = child.try_wait().ok().flatten();
        if status.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // It has ended, or it hangs.
    child.kill().ok();
    child.wait().ok();
    text.filter(|_| status.is_some_and(|status| status.code().is_some()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    #[test]
    fn a_program_that_hangs_is_ended() {
        let began = Instant::now();
        assert_eq!(answer("sleep", &["60"]), None);
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(answer("echo", &["[]"]).as_deref(), Some("[]\n"));
        assert_eq!(answer("a-program-that-is-not-there", &[]), None);
    }

    /// Ctrl-C ended `jack_lsp` in its middle, and the ports that it had not come to counted as gone.
    #[test]
    fn the_answer_of_a_program_that_is_ended_in_its_middle_does_not_count() {
        assert_eq!(answer("sh", &["-c", "echo system:capture_1; kill -KILL $$"]), None);
        assert_eq!(answer("sh", &["-c", "exit 1"]).as_deref(), Some(""));
    }

    #[test]
    fn a_program_gets_no_file_of_this_process_and_is_not_ended_by_the_terminal() {
        // JACK's library opens its sockets without the mark that keeps them from other programs.
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("open")).unwrap();
        fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let told = answer(
            "sh",
            &[
                "-c",
                "read pid name state parent group rest </proc/$$/stat
            echo $LC_ALL; echo $pid; echo $group; for file in /proc/$$/fd/*; do readlink $file; done",
            ],
        );
        let told = told.unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0] == "C" && lines[1] == lines[2], "{told}");
        assert!(5 < lines.len() && !told.contains(folder.path().to_str().unwrap()), "{told}");
    }
}
