//! PulseAudio with a null sink, through alsa-lib's plugin. Thread: test.

use super::evidence::recorder;
use super::overdub::lies_where_it_was_heard_with;
use super::{Server, Service, all_is_heard, await_ready, installed, module, report_of, spawn};
use crate::util::{faultless, place, run, skip};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A server whose only sink plays to nowhere.
struct Pulse {
    folder: TempDir,
    _service: Service,
}

impl Pulse {
    fn start() -> Result<Pulse, String> {
        installed(&["pulseaudio", "arecord"])?;
        module("pulse")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (home, socket) = (folder.path().join("config/pulse"), folder.path().join("native"));
        fs::create_dir_all(&home).map_err(|e| e.to_string())?;
        fs::write(home.join("daemon.conf"), "enable-remixing = no\nflat-volumes = no\ndefault-sample-format = s32le\n")
            .map_err(|e| e.to_string())?;
        let pcm = |name: &str, device: &str| format!("pcm.{name} {{ type pulse device {device} }}\n");
        let text = format!(
            "</usr/share/alsa/alsa.conf>\n{}{}{}",
            pcm("out", "null"),
            pcm("monitor", "null.monitor"),
            recorder("given", "out", folder.path())
        );
        fs::write(folder.path().join("asound.conf"), text).map_err(|e| e.to_string())?;
        let mut server = Command::new("pulseaudio");
        server.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no"]);
        server.args(["-L", "module-null-sink sink_name=null rate=48000 channels=2 format=s32le"]);
        server.args(["-L", &format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display())]);
        server.env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
        server.env("XDG_CONFIG_HOME", folder.path().join("config")).env_remove("DBUS_SESSION_BUS_ADDRESS");
        let service = spawn(&mut server, &folder.path().join("pulseaudio.log"));
        await_ready("pulseaudio", || socket.exists());
        Ok(Pulse { folder, _service: service })
    }
}

impl Server for Pulse {
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        let folder = self.folder.path();
        client.env("PULSE_SERVER", format!("unix:{}", folder.join("native").display()));
        client.env("PULSE_COOKIE", folder.join("cookie")).env("ALSA_CONFIG_PATH", folder.join("asound.conf"))
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(2_500)
    }

    fn output(&self) -> &'static str {
        "out"
    }

    fn monitor(&self) -> (&'static str, usize, &'static str) {
        ("monitor", 2, "S32_LE")
    }
}

#[test]
fn a_session_is_heard_through_pulseaudio() {
    match Pulse::start() {
        Ok(server) => all_is_heard(&server, &[0, 64, 256]),
        Err(reason) => skip("servers::pulse::a_session_is_heard_through_pulseaudio", &reason),
    }
}

#[test]
fn an_idle_pulseaudio_has_time_for_its_first_frame() {
    let server = match Pulse::start() {
        Ok(server) => server,
        Err(reason) => return skip("servers::pulse::an_idle_pulseaudio_has_time_for_its_first_frame", &reason),
    };
    // The monitor of an idle sink delivers its first sound after two seconds.
    let place = place();
    let mut recorder =
        faultless("record", &place.path().join("session"), "--json --device alsa:monitor,- --inputs 2 --seconds 1");
    let ended = run({
        server.lead(&mut recorder);
        recorder
    })
    .done();
    assert_eq!(ended.json()["frames_lost"], 0, "{}", ended.err);
    assert!(!ended.err.contains("is gone") && !ended.err.contains("LOSS"), "{}", ended.err);
}

/// The list gave the name of a source for the outputs too, and the server refused them.
#[test]
fn a_source_of_the_list_is_opened_with_the_outputs_of_the_server() {
    const NAME: &str = "servers::pulse::a_source_of_the_list_is_opened_with_the_outputs_of_the_server";
    let server = match Pulse::start().and_then(|server| installed(&["pactl"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let mut lister = Command::new(env!("CARGO_BIN_EXE_faultless"));
    let listed = run({
        server.lead(lister.args(["devices", "--json"]));
        lister
    })
    .done();
    let names = listed.out.split('"').filter(|word| word.starts_with("alsa:pulse:DEVICE=null.monitor"));
    let names: Vec<&str> = names.collect();
    let [name] = names[..] else { panic!("{}", listed.out) };
    let place = place();
    let arguments = format!("--json --play-along --device {name} --inputs 2 --seconds 1");
    let mut recorder = faultless("record", &place.path().join("session"), &arguments);
    server.lead(&mut recorder);
    let ended = run(recorder).done();
    assert_eq!(ended.json()["device"], name, "{}", ended.err);
}

/// It was placed 0.3 s too early: an idle server tells too long a delay at first.
#[test]
fn an_overdub_through_pulseaudio_lies_where_it_was_heard() {
    match Pulse::start() {
        // The server does not tell the part of a block by which a sink is ahead of its monitor.
        Ok(server) => {
            let found = lies_where_it_was_heard_with(&server, 1_024, "");
            found.tells("PulseAudio", false, true);
            assert!(found.messages.contains("about a period too early or too late: PulseAudio"), "{found:?}");
        }
        Err(reason) => skip("servers::pulse::an_overdub_through_pulseaudio_lies_where_it_was_heard", &reason),
    }
}

/// Loads or unloads a module of the server. Returns what it answers.
fn ask(server: &Pulse, arguments: &[&str]) -> String {
    let mut question = Command::new("pactl");
    String::from_utf8(server.lead(question.args(arguments)).output().unwrap().stdout).unwrap().trim().to_owned()
}

/// The server moved the inputs to another source, and nothing was said.
#[test]
fn a_source_of_pulseaudio_that_goes_away_is_silence_and_said_until_it_is_back() {
    const NAME: &str = "servers::pulse::a_source_of_pulseaudio_that_goes_away_is_silence_and_said_until_it_is_back";
    let server = match Pulse::start().and_then(|server| installed(&["pactl"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let load = || ask(&server, &["load-module", "module-null-sink", "sink_name=wanted", "rate=48000", "format=s32le"]);
    let wanted = load();
    let arguments = "--json --device alsa:pulse:DEVICE=wanted.monitor,- --inputs 2 --seconds 14";
    let mut recorder = faultless("record", &place.path().join("session"), arguments);
    let recorder = server.lead(&mut recorder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(5));
    ask(&server, &["unload-module", &wanted]);
    std::thread::sleep(Duration::from_secs(4));
    load();
    let (report, err, status) = report_of(recorder);
    assert!(err.contains("the device is gone (") && err.contains("the device is back"), "{err}");
    assert!(48_000 < report["frames_lost"].as_u64().unwrap(), "{err}");
    // A server that has no other source for the inputs stops them instead.
    let text = "PulseAudio took the source ";
    assert!(err.contains(text) == (status == Some(1)), "{err}");
}
