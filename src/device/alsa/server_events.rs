//! Events of a sound server. Thread: source-watch, reconnect; source-events reads them.
//!
//! A program of the server prints lines for each event as long as it runs. It must not outlive this process, and it would
//! until it prints again. So a shell stands between: it waits at its standard input, which the kernel closes when this
//! process ends in any way, and ends the program. The kernel could send the program a signal instead, but only a child that
//! is made by `fork` can ask for it (see [`command`]).

use super::answer::command;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Starts its arguments as a program, and ends it when standard input is closed. A client of a server that hangs may not end
/// when it is asked to. The shell closes its own end of the pipe, so the pipe ends with the program.
const GUARD: &str = "\"$@\" &
exec >&-
read -r _
if kill $!; then
    for pause in 0.1 0.2 0.3 0.4; do sleep $pause; kill -0 $! || exit 0; done
    kill -KILL $!
fi
";

/// Number of times that a reader starts the program. One that ends again and again cannot be read.
pub(super) const STARTS_MAX: u32 = 3;

/// Time for the guard to end the program. It takes 1 s if the program hangs.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of a line that are looked at.
const LINE_BYTES_MAX: usize = 256;

/// Links of PipeWire that are remembered. If there are more, each object that is removed counts as a link.
const LINKS_MAX: usize = 4096;

/// A server whose events can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventServer {
    PipeWire,
    PulseAudio,
    Jack,
}

/// The events that a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// The connections of the inputs may have changed.
    Connections,
    /// A source, a sink or a port may have arrived.
    Devices,
}

impl EventServer {
    /// The program that prints the events. `jack_evmon` would keep them until it has 4 KiB.
    fn program(self) -> &'static [&'static str] {
        match self {
            EventServer::PipeWire => &["pw-dump", "--monitor", "--no-colors"],
            EventServer::PulseAudio => &["pactl", "subscribe"],
            EventServer::Jack => &["stdbuf", "-oL", "jack_evmon"],
        }
    }
}

/// A program that prints a server's events. Dropping it ends the program, and waits for 3 s at most.
#[derive(Debug)]
pub(super) struct ServerEvents {
    guard: Child,
    received: Receiver<()>,
}

impl ServerEvents {
    /// Starts the program; `None` if the system permits no process or no thread.
    pub(super) fn start(server: EventServer, interest: Interest) -> Option<ServerEvents> {
        ServerEvents::start_program(Sieve::new(server, interest), server.program())
    }

    fn start_program(mut sieve: Sieve, program: &[&str]) -> Option<ServerEvents> {
        let arguments = [&["-c", GUARD, "sh"], program].concat();
        let mut guard = command("sh", &arguments).stdin(Stdio::piped()).spawn().ok()?;
        let out = guard.stdout.take();
        let (sender, received) = bounded(1);
        let events = ServerEvents { guard, received };
        let mut out = out?;
        let reader = move || {
            let (mut bytes, mut lines) = ([0; 4096], Lines::default());
            loop {
                match out.read(&mut bytes) {
                    // One event that waits stands for all.
                    Ok(length @ 1..) => {
                        lines.feed(&bytes[..length], |line| sieve.passes(line).then(|| sender.try_send(()).ok()));
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(_) | Err(_) => return,
                }
            }
        };
        std::thread::Builder::new().name("source-events".to_owned()).spawn(reader).ok()?;
        Some(events)
    }

    /// Receives when there was an event. It is disconnected when the program has ended.
    pub(super) fn received(&self) -> &Receiver<()> {
        &self.received
    }

    fn await_end(&self) -> bool {
        let until = Instant::now() + END_PATIENCE;
        loop {
            match self.received.recv_deadline(until) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Drop for ServerEvents {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        if !self.await_end() {
            // Somebody has ended the guard alone. The number of its group cannot be another's while the program has it.
            killpg(Pid::from_raw(self.guard.id() as i32), Signal::SIGKILL).ok();
        }
        self.guard.wait().ok();
    }
}

/// Divides output into lines. Of a long line it keeps the beginning.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
}

impl Lines {
    fn feed<T>(&mut self, bytes: &[u8], mut each: impl FnMut(&str) -> T) {
        for byte in bytes {
            if *byte == b'\n' {
                each(&String::from_utf8_lossy(&self.line));
                self.line.clear();
            } else if self.line.len() < LINE_BYTES_MAX {
                self.line.push(*byte);
            }
        }
    }
}

/// Finds the events that are wanted. The others must not count, because each question is a client
/// of the server that comes and goes, so each question would be followed by another one.
struct Sieve {
    server: EventServer,
    interest: Interest,
    /// The number of PipeWire's object whose lines are read.
    object: Option<u32>,
    /// The numbers of PipeWire's links. When an object is removed, only its number is printed.
    links: BTreeSet<u32>,
}

impl Sieve {
    fn new(server: EventServer, interest: Interest) -> Sieve {
        Sieve { server, interest, object: None, links: BTreeSet::new() }
    }

    fn passes(&mut self, line: &str) -> bool {
        let line = line.trim();
        match (self.server, self.interest) {
            (EventServer::PipeWire, Interest::Connections) => self.is_of_link(line),
            (EventServer::PipeWire, Interest::Devices) => {
                line.starts_with("\"type\":") && line.contains("PipeWire:Interface:Node\"")
            }
            (EventServer::PulseAudio, Interest::Connections) => line.contains("on source-output #"),
            (EventServer::PulseAudio, Interest::Devices) => {
                line.starts_with("Event 'new' on source #") || line.starts_with("Event 'new' on sink #")
            }
            (EventServer::Jack, _) => line.starts_with("Port"),
        }
    }

    /// Whether a line of `pw-dump --monitor` says that a link was made, has changed or is gone. The source of a stream is the
    /// node that it has a link from.
    fn is_of_link(&mut self, line: &str) -> bool {
        let Some((name, value)) = line.split_once(':') else { return false };
        let value = value.trim().trim_end_matches(',');
        match (name, self.object) {
            ("\"id\"", _) => {
                // Parameters of an object have words in that place.
                self.object = value.parse().ok().or(self.object);
                false
            }
            ("\"type\"", Some(object)) if value.starts_with("\"PipeWire:Interface:") => {
                let is_link = value.ends_with(":Link\"");
                if is_link && self.links.len() < LINKS_MAX {
                    self.links.insert(object);
                } else if !is_link {
                    // PipeWire gives the number of an object that is gone to another one.
                    self.links.remove(&object);
                }
                is_link
            }
            ("\"info\"", Some(object)) if value == "null" => {
                let is_uncertain = self.links.len() == LINKS_MAX;
                self.links.remove(&object) || is_uncertain
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use std::fs;

    /// The number of events in `output`.
    fn passed(server: EventServer, output: &str) -> usize {
        let (mut lines, mut sieve, mut count) = (Lines::default(), Sieve::new(server, Interest::Connections), 0);
        for part in output.as_bytes().chunks(7) {
            lines.feed(part, |line| count += usize::from(sieve.passes(line)));
        }
        count
    }

    fn object(id: u32, kind: &str) -> String {
        format!(
            "[\n  {{\n    \"id\": {id},\n    \"type\": \"PipeWire:Interface:{kind}\",\n    \"version\": 3,\n    \"info\": {{\n      \
             \"params\": {{\n        \"id\": \"Buffers\",\n        \"type\": \"Header\"\n      }}\n    }}\n  }}\n]\n"
        )
    }

    fn removed(id: u32) -> String {
        format!("[\n  {{\n    \"id\": {id},\n    \"info\": null\n  }}\n]\n")
    }

    #[test]
    fn a_question_that_comes_and_goes_is_no_event() {
        let question = object(51, "Client") + &object(51, "Client") + &removed(51);
        assert_eq!(passed(EventServer::PipeWire, &question), 0);
        let question = "Event 'new' on client #7\nEvent 'change' on source #0\nEvent 'remove' on client #7\n";
        assert_eq!(passed(EventServer::PulseAudio, question), 0);
        let question = "Client lsp registered\nGraph reordered\nClient lsp unregistered\nGraph reordered\n";
        assert_eq!(passed(EventServer::Jack, question), 0);
    }

    #[test]
    fn a_connection_that_is_made_or_gone_is_an_event() {
        assert_eq!(passed(EventServer::PipeWire, &object(60, "Link")), 1);
        assert_eq!(
            passed(EventServer::PipeWire, &(object(60, "Link") + &removed(61) + &removed(60) + &removed(60))),
            2
        );
        // The number belongs to another object meanwhile.
        assert_eq!(passed(EventServer::PipeWire, &(object(60, "Link") + &object(60, "Client") + &removed(60))), 1);
        let moved = "Event 'change' on source-output #0\nEvent 'remove' on source-output #0\n";
        assert_eq!(passed(EventServer::PulseAudio, moved), 2);
        let ports = "Port 4 unregistered\nPorts 1 and 3 connected\nPorts 1 and 3 disconnected\n";
        assert_eq!(passed(EventServer::Jack, ports), 3);
    }

    #[test]
    fn a_server_with_many_links_and_long_lines_takes_little_memory() {
        let mut sieve = Sieve::new(EventServer::PipeWire, Interest::Connections);
        let mut lines = Lines::default();
        for id in 0..2 * LINKS_MAX as u32 {
            lines.feed(object(id, "Link").as_bytes(), |line| sieve.passes(line));
        }
        lines.feed(&vec![b'a'; 1 << 20], |line| sieve.passes(line));
        assert_eq!((sieve.links.len(), lines.line.len()), (LINKS_MAX, LINE_BYTES_MAX));
        // The last link was not remembered.
        let mut count = 0;
        lines.feed(format!("\n{}", removed(2 * LINKS_MAX as u32 - 1)).as_bytes(), |line| {
            count += usize::from(sieve.passes(line));
        });
        assert_eq!(count, 1);
    }

    fn ports() -> Sieve {
        Sieve::new(EventServer::Jack, Interest::Connections)
    }

    #[test]
    fn a_source_or_sink_that_arrives_is_an_event_and_a_client_is_none() {
        for (server, output, count) in [
            (EventServer::PipeWire, object(51, "Client") + &object(60, "Link") + &object(61, "Node") + &removed(61), 1),
            (EventServer::PulseAudio, "Event 'new' on source #4\nEvent 'remove' on source #4\n".to_owned(), 1),
            (EventServer::PulseAudio, "Event 'new' on sink #4\nEvent 'new' on source-output #4\n".to_owned(), 1),
        ] {
            let (mut lines, mut sieve, mut passed) = (Lines::default(), Sieve::new(server, Interest::Devices), 0);
            lines.feed(output.as_bytes(), |line| passed += usize::from(sieve.passes(line)));
            assert_eq!(passed, count, "{output}");
        }
    }

    /// Starts `script` as the program. It writes its number into the file.
    fn started(script: &str, file: &std::path::Path) -> (ServerEvents, String) {
        let script = format!("echo $$ >{}; {script}", file.display());
        let events = ServerEvents::start_program(ports(), &["sh", "-c", &script]).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let number = fs::read_to_string(file).unwrap_or_default();
            if number.ends_with('\n') {
                return (events, format!("/proc/{}", number.trim()));
            }
            assert!(Instant::now() < until, "the program did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_running(process: &str) -> bool {
        let status = fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
        status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    }

    /// A process that was killed ends a moment later.
    fn ends(process: &str) -> bool {
        let until = Instant::now() + Duration::from_secs(10);
        while is_running(process) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        !is_running(process)
    }

    #[test]
    fn an_event_arrives_and_the_program_ends_with_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let (events, process) = started("echo Port 1 registered; exec sleep 60", &folder.path().join("number"));
        let limit = Duration::from_secs(60);
        assert_eq!(events.received().recv_timeout(limit), Ok(()));
        assert!(is_running(&process));
        drop(events);
        assert!(ends(&process));
    }

    #[test]
    fn a_program_that_hangs_or_has_lost_its_guard_is_ended_too() {
        let folder = tempfile::tempdir().unwrap();
        let deaf = "trap '' TERM; while :; do sleep 1; done";
        let (events, process) = started(deaf, &folder.path().join("deaf"));
        drop(events);
        assert!(ends(&process));
        let (mut events, process) = started("exec sleep 60", &folder.path().join("unguarded"));
        events.guard.kill().unwrap();
        drop(events);
        assert!(ends(&process));
    }

    #[test]
    fn the_end_of_a_program_is_noticed() {
        for program in [&["true"][..], &["a-program-that-is-not-there"]] {
            let events = ServerEvents::start_program(ports(), program).unwrap();
            let received = events.received().recv_timeout(Duration::from_secs(60));
            assert_eq!(received, Err(RecvTimeoutError::Disconnected), "{program:?}");
        }
    }
}
