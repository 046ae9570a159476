//! The card of the kernel that returns at its second device what is played to its first one: snd-aloop. Where the module is
//! not loaded, the tests are skipped by name. Thread: test.

use super::evidence::recorder;
use super::overdub::lies_where_it_was_heard;
use super::{Server, all_is_heard, installed};
use crate::util::skip;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A cable of the card. Each test has a cable of its own, because tests run at the same time.
struct Loopback {
    folder: TempDir,
}

impl Loopback {
    fn start(cable: usize) -> Result<Loopback, String> {
        installed(&["arecord"])?;
        if !Path::new(&format!("/proc/asound/Loopback/pcm0p/sub{cable}")).exists() {
            return Err(
                "snd-aloop is not loaded, or has too few cables: modprobe snd-aloop pcm_substreams=8".to_owned()
            );
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let pcm = |name: &str, device: usize| {
            format!("pcm.{name} {{ type hw card Loopback device {device} subdevice {cable} }}\n")
        };
        let text = format!(
            "</usr/share/alsa/alsa.conf>\n{}{}{}",
            pcm("out", 0),
            pcm("monitor", 1),
            recorder("given", "out", folder.path())
        );
        fs::write(folder.path().join("asound.conf"), text).map_err(|e| e.to_string())?;
        Ok(Loopback { folder })
    }
}

impl Server for Loopback {
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        client.env("ALSA_CONFIG_PATH", self.folder.path().join("asound.conf"))
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn output(&self) -> &'static str {
        "out"
    }

    fn monitor(&self) -> (&'static str, usize, &'static str) {
        ("monitor", 2, "S32_LE")
    }
}

#[test]
fn a_session_is_heard_through_snd_aloop() {
    match Loopback::start(0) {
        Ok(card) => all_is_heard(&card, &[0, 64, 128, 256, 512, 1024, 2048]),
        Err(reason) => skip("servers::loopback::a_session_is_heard_through_snd_aloop", &reason),
    }
}

/// Takes were late by two periods.
#[test]
fn an_overdub_through_snd_aloop_lies_where_it_was_heard_to_the_frame() {
    match Loopback::start(1) {
        Ok(card) => {
            let found = lies_where_it_was_heard(&card, &[0, 64, 256, 512, 1024, 2048], 0);
            for found in &found {
                found.tells("driver", true, false);
            }
        }
        Err(reason) => {
            skip("servers::loopback::an_overdub_through_snd_aloop_lies_where_it_was_heard_to_the_frame", &reason);
        }
    }
}
