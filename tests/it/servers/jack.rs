//! JACK with its dummy driver, through the ALSA plugin of JACK. Thread: test.

use super::evidence::recorder;
use super::overdub::{lies_where_it_was_heard, lies_where_it_was_heard_with};
use super::{Server, Service, all_is_heard, await_ready, installed, module, spawn};
use crate::util::{is_root, skip};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A server whose driver plays to nowhere and returns at its monitors what is played.
struct Jack {
    folder: TempDir,
    name: String,
    _service: Service,
}

impl Jack {
    fn start(period: usize) -> Result<Jack, String> {
        installed(&["jackd", "jack_lsp", "arecord"]).or_else(|_| installed(&["jackd", "arecord"]))?;
        module("jack")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let ports = |kind: &str| format!("{{ 0 system:{kind}_1 1 system:{kind}_2 }}");
        fs::write(
            folder.path().join("asound.conf"),
            format!(
                "</usr/share/alsa/alsa.conf>\npcm.two {{ type jack playback_ports {} capture_ports {} }}\n{}",
                ports("playback"),
                ports("monitor"),
                recorder("given", "two", folder.path())
            ),
        )
        .unwrap();
        let name = format!("faultless-test-{}-{period}", std::process::id());
        let mut server = Command::new("jackd");
        let period = period.to_string();
        // A server without the real-time class skips blocks on a busy machine.
        let class: &[&str] = if is_root() { &["-R", "-P", "60"] } else { &["-r"] };
        server
            .args(["-n", &name])
            .args(class)
            .args(["-d", "dummy", "-r", "48000", "-p", &period, "-C", "2", "-P", "2", "-m"]);
        server.env("JACK_NO_AUDIO_RESERVATION", "1").env_remove("DBUS_SESSION_BUS_ADDRESS");
        let log = folder.path().join("jackd.log");
        let service = spawn(&mut server, &log);
        let jack = Jack { folder, name, _service: service };
        await_ready("jackd", || {
            let mut question = Command::new("arecord");
            question.args(["-q", "-D", "two", "-f", "FLOAT_LE", "-c", "2", "-r", "48000", "-d", "1", "/dev/null"]);
            jack.lead(&mut question).stdout(Stdio::null()).stderr(Stdio::null());
            question.status().is_ok_and(|status| status.success())
        });
        Ok(jack)
    }
}

impl Server for Jack {
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        client.env("JACK_DEFAULT_SERVER", &self.name).env("JACK_NO_START_SERVER", "1");
        client.env("ALSA_CONFIG_PATH", self.folder.path().join("asound.conf"))
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn output(&self) -> &'static str {
        "two"
    }

    fn monitor(&self) -> (&'static str, usize, &'static str) {
        ("two", 2, "FLOAT_LE")
    }
}

#[test]
fn a_session_is_heard_through_jack() {
    match Jack::start(256) {
        Ok(server) => all_is_heard(&server, &[0, 64, 1024]),
        Err(reason) => skip("servers::jack::a_session_is_heard_through_jack", &reason),
    }
}

#[test]
fn an_overdub_through_jack_lies_where_it_was_heard() {
    match Jack::start(256) {
        Ok(server) => {
            // The plugin does not tell that a block is heard by the monitors when the next one begins.
            lies_where_it_was_heard(&server, &[0, 64, 1024], 256);
            lies_where_it_was_heard_with(&server, 0, "--offset 256");
        }
        Err(reason) => skip("servers::jack::an_overdub_through_jack_lies_where_it_was_heard", &reason),
    }
}
