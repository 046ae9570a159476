//! Overdubs through JACK. The dummy driver returns at its monitors what is played. The simulated card of the ALSA tests returns it
//! at its inputs, with all blocks that JACK and a card hold. Thread: test.

use super::jack::Jack;
use super::overdub::{lies_where_it_was_heard, lies_where_it_was_heard_on_new, lies_where_it_was_heard_with};
use super::{Server, installed};
use crate::alsa::plugin;
use crate::util::skip;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// JACK, whose ports the program finds by client.
struct ByClient {
    jack: Jack,
    /// The device whose inputs are recorded.
    inputs: &'static str,
}

const MONITORS: &str = "jack:CLIENT=system,PORTS=monitor_*";

const CARD: &str = "jack:CLIENT=system";

impl Server for ByClient {
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        self.jack.lead(client)
    }

    fn folder(&self) -> &Path {
        self.jack.folder()
    }

    fn output(&self) -> &'static str {
        CARD
    }

    fn monitor(&self) -> (&'static str, usize, &'static str) {
        (self.inputs, 2, "FLOAT_LE")
    }
}

/// JACK on a simulated card, and the folder of the card.
struct OnCard(ByClient, #[expect(dead_code, reason = "the folder is removed after the server has ended")] TempDir);

impl Server for OnCard {
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        self.0.lead(client)
    }

    fn folder(&self) -> &Path {
        self.0.folder()
    }

    fn output(&self) -> &'static str {
        self.0.output()
    }

    fn monitor(&self) -> (&'static str, usize, &'static str) {
        self.0.monitor()
    }
}

/// A server on a simulated card whose outputs are connected to its inputs. `periods`: blocks in the card's buffer.
fn on_a_card(period: usize, periods: &str) -> Result<(Jack, TempDir), String> {
    installed(&["jack_lsp"])?;
    let (plugin, folder) = (plugin()?, tempfile::tempdir_in("/dev/shm").map_err(|e| e.to_string())?);
    let bus = folder.path().join("bus");
    let pcm = format!("type clk bus \"{}\" channels 2 rate 48000 kernel 1 latency 0 access \"m\"", bus.display());
    let pcms = format!("pcm_type.clk {{ lib \"{}\" }}\npcm.card {{ {pcm} }}\n", plugin.display());
    Ok((Jack::start_with(&["alsa", "-d", "card", "-n", periods], period, &pcms)?, folder))
}

#[test]
fn an_overdub_through_jack_lies_where_it_was_heard() {
    match Jack::start(256) {
        Ok(server) => {
            // The plugin does not tell that a block is heard by the monitors when the next one begins.
            let found = lies_where_it_was_heard(&server, &[0, 64, 1024], 256);
            for found in &found {
                found.tells("JACK's ALSA plugin", false, true);
            }
            let found = lies_where_it_was_heard_with(&server, 0, "--offset 256");
            found.tells("JACK's ALSA plugin", false, false);
        }
        Err(reason) => skip("servers::jack_overdub::an_overdub_through_jack_lies_where_it_was_heard", &reason),
    }
}

/// It was late by a block of JACK.
#[test]
fn an_overdub_through_ports_that_are_chosen_by_client_lies_where_it_was_heard() {
    const NAME: &str =
        "servers::jack_overdub::an_overdub_through_ports_that_are_chosen_by_client_lies_where_it_was_heard";
    for period in [256, 1024] {
        match installed(&["jack_lsp"]).and_then(|()| Jack::start(period)) {
            Ok(server) => {
                let found = lies_where_it_was_heard(&ByClient { jack: server, inputs: MONITORS }, &[0, 64], 0);
                for found in &found {
                    found.tells("JACK", true, false);
                }
            }
            Err(reason) => return skip(NAME, &reason),
        }
    }
}

/// It was late by two to four blocks of JACK.
#[test]
fn minute_an_overdub_through_the_card_of_jack_lies_where_it_was_heard() {
    const NAME: &str = "servers::jack_overdub::minute_an_overdub_through_the_card_of_jack_lies_where_it_was_heard";
    for (period, periods) in [(256, "2"), (256, "3"), (1024, "2"), (1024, "3")] {
        let start = || on_a_card(period, periods).map(|(jack, folder)| OnCard(ByClient { jack, inputs: CARD }, folder));
        let mut first = match start() {
            Ok(server) => Some(server),
            Err(reason) => return skip(NAME, &reason),
        };
        // JACK starts the two sides of the card one after the other. A busy machine may come between, and the sides then keep
        // that distance.
        let next = || first.take().unwrap_or_else(|| start().unwrap());
        lies_where_it_was_heard_on_new(16, next).tells("JACK", true, false);
    }
}
