//! Asks the program of a sound server. Thread: lister, opener, reconnect, control; node-list reads the answer, because the
//! program may hang.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Time for the program to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most bytes of its answer.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Standard output of a program that ends in time; `None` if it cannot be started or hangs.
pub(super) fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let out = child.stdout.take()?;
    let (sender, received) = sync_channel(1);
    let reader = std::thread::Builder::new().name("node-list".to_owned()).spawn(move || {
        let mut text = String::new();
        let read = out.take(ANSWER_BYTES_MAX).read_to_string(&mut text);
        sender.send(read.is_ok().then_some(text)).ok();
    });
    let text = reader.ok().and_then(|_| received.recv_timeout(PATIENCE).ok()).flatten();
    // It has ended, or it hangs.
    child.kill().ok();
    child.wait().ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let began = std::time::Instant::now();
        assert_eq!(answer("sleep", &["60"]), None);
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(answer("echo", &["[]"]).as_deref(), Some("[]\n"));
        assert_eq!(answer("a-program-that-is-not-there", &[]), None);
    }
}
