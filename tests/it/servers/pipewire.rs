//! PipeWire with WirePlumber, through the ALSA plugin of PipeWire. Thread: test.

use super::evidence::{Faults, Kept, Passed, recorder};
use super::overdub::lies_where_it_was_heard;
use super::{Server, Service, all_is_heard, await_ready, installed, module, report_of, spawn};
use crate::alsa::plugin;
use crate::util::{PATIENCE, Run, faultless, place, record, run, skip, start};
use faultless::device::UNMIXED;
use faultless::session::session_file::open_read_only;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A server with two sinks: `two` of 2 channels and `many` of 18. What is played to one can be recorded from its monitor.
struct PipeWire {
    folder: TempDir,
    services: [Service; 2],
}

/// What WirePlumber is to do: nothing but connect streams. No devices, no state on the disk.
const MANAGER: &str = r#"default_access.properties = {}
default_access.enable()
device_defaults.properties["use-persistent-storage"] = false
device_defaults.enable()
load_module("si-node"); load_module("si-audio-adapter"); load_module("si-standard-link")
load_script("create-item.lua")
"#;

impl PipeWire {
    /// Starts a server with blocks of `quantum` frames where no client asks for others.
    fn start(quantum: usize) -> Result<PipeWire, String> {
        PipeWire::start_with(quantum, MANAGER)
    }

    /// The same with more or less work for WirePlumber.
    fn start_with(quantum: usize, manager: &str) -> Result<PipeWire, String> {
        installed(&["pipewire", "wireplumber", "pw-cli", "pw-link", "arecord", "aplay"])?;
        module("pipewire")?;
        let given =
            fs::read_to_string("/usr/share/pipewire/pipewire.conf").map_err(|e| format!("pipewire.conf: {e}"))?;
        if !Path::new("/usr/share/wireplumber/main.lua.d").exists() {
            return Err("WirePlumber is not of the version 0.4, whose configuration the test writes".to_owned());
        }
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).map_err(|e| e.to_string())?;
        let config = folder.path().join("config");
        let write = |path: &str, text: &str| {
            let path = config.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pipewire/pipewire.conf", &configuration(&given, quantum));
        write("wireplumber/main.lua.d/90-enable-all.lua", manager);
        write("wireplumber/bluetooth.lua.d/90-enable-all.lua", "");
        let pcm = |name: &str, node: &str| {
            format!("pcm.{name} {{ type pipewire playback_node \"{node}\" capture_node \"{node}\" }}\n")
        };
        fs::write(
            folder.path().join("asound.conf"),
            format!(
                "</usr/share/alsa/alsa.conf>\n{}{}{}{}{}",
                pcm("two", "two"),
                pcm("many", "many"),
                pcm("!default", "two"),
                recorder("given", "two", folder.path()),
                recorder("seen", "many", folder.path()),
            ),
        )
        .unwrap();
        let server = PipeWire { services: PipeWire::services(folder.path()), folder };
        server.await_sinks();
        Ok(server)
    }

    /// Starts WirePlumber and the server.
    fn services(folder: &Path) -> [Service; 2] {
        let service = |program: &str| {
            let mut command = Command::new(program);
            for (name, part) in [("CONFIG", "config"), ("STATE", "state"), ("CACHE", "cache")] {
                command.env(format!("XDG_{name}_HOME"), folder.join(part));
            }
            command.env("XDG_RUNTIME_DIR", folder).env("PIPEWIRE_RUNTIME_DIR", folder);
            command.env_remove("DBUS_SESSION_BUS_ADDRESS");
            spawn(&mut command, &folder.join(format!("{program}.log")))
        };
        let server = service("pipewire");
        await_ready("pipewire", || folder.join("pipewire-0").exists());
        let manager = service("wireplumber");
        await_ready("wireplumber", || {
            let mut question = Command::new("pw-cli");
            question.args(["ls", "Client"]).env("PIPEWIRE_RUNTIME_DIR", folder).stderr(Stdio::null());
            String::from_utf8_lossy(&question.output().unwrap().stdout).contains("WirePlumber")
        });
        [manager, server]
    }

    /// The manager prepares the sinks after its start. A client that comes before is connected to another sink.
    fn await_sinks(&self) {
        await_ready("the sinks of pipewire", || {
            let ports = self.ports("-o");
            ["two:monitor_", "many:monitor_"].iter().all(|port| ports.contains(port))
        });
        std::thread::sleep(Duration::from_millis(200));
    }

    /// Kills the server, as a crash does.
    fn kill(&mut self) {
        for Service(process) in &mut self.services {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        fs::remove_file(self.folder.path().join("pipewire-0")).unwrap();
    }

    /// Starts the server again after [`PipeWire::kill`].
    fn start_again(&mut self) {
        self.services = PipeWire::services(self.folder.path());
        self.await_sinks();
    }

    /// The ports of the server (`-o`: outputs), or with `-l` what each of them is connected to.
    fn ports(&self, which: &str) -> String {
        let mut question = Command::new("pw-link");
        question.arg(which).env("PIPEWIRE_RUNTIME_DIR", self.folder.path()).stderr(Stdio::null());
        String::from_utf8_lossy(&question.output().unwrap().stdout).into_owned()
    }
}

/// The distribution's own configuration with two sinks and no D-Bus.
fn configuration(given: &str, quantum: usize) -> String {
    let sink = |name: &str, channels: usize| {
        let position: Vec<String> = (0..channels).map(|channel| format!("AUX{channel}")).collect();
        format!(
            "{{ factory = adapter args = {{ factory.name = support.null-audio-sink node.name = {name} \
             media.class = Audio/Sink object.linger = true audio.rate = 48000 audio.channels = {channels} \
             audio.position = [ {} ] session.suspend-timeout-seconds = 0 }} }}\n",
            position.join(" ")
        )
    };
    let mut lines = String::new();
    let mut in_override = false;
    for line in given.lines() {
        // The distribution makes blocks long in a virtual machine.
        in_override |= line.contains("vm.overrides = {");
        if !in_override {
            lines.push_str(line);
            lines.push('\n');
        }
        in_override &= !line.contains('}');
    }
    lines
        .replacen(
            "context.properties = {",
            &format!(
                "context.properties = {{ default.clock.rate = 48000 default.clock.quantum = {quantum} \
                 default.clock.min-quantum = 32 default.clock.max-quantum = 2048 support.dbus = false\n"
            ),
            1,
        )
        .replacen("context.objects = [", &format!("context.objects = [\n{}{}", sink("two", 2), sink("many", 18)), 1)
}

impl Server for PipeWire {
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        client
            .env("PIPEWIRE_RUNTIME_DIR", self.folder.path())
            .env("ALSA_CONFIG_PATH", self.folder.path().join("asound.conf"));
        match client.get_program().to_str() {
            // The listener records what a sink plays.
            Some("arecord") => client.env("PIPEWIRE_ALSA", MONITOR),
            Some("aplay") => client.env("PIPEWIRE_ALSA", UNMIXED.1),
            // The program itself is to set what it needs.
            _ => client.env_remove("PIPEWIRE_ALSA"),
        }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn hear<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        client.env("PIPEWIRE_PROPS", "{ stream.capture.sink = true }")
    }

    fn output(&self) -> &'static str {
        "two"
    }

    /// The manager connects a stream to its node a moment after the stream runs.
    fn has_listener(&self) -> bool {
        let ports = self.ports("-l");
        let behind = ports.lines().skip_while(|line| !line.starts_with("two:monitor_")).skip(1);
        behind.take_while(|line| line.starts_with(' ')).any(|line| line.contains("ALSA Capture:"))
    }

    fn monitor(&self) -> (&'static str, usize, &'static str) {
        ("two", 2, "S32_LE")
    }
}

const MONITOR: &str = "{ stream.capture.sink = true stream.dont-remix = true channelmix.disable = true }";

fn heard_at(quantum: usize, test: &str) {
    match PipeWire::start(quantum) {
        Ok(server) => all_is_heard(&server, &[0, 64, 256]),
        Err(reason) => skip(test, &reason),
    }
}

#[test]
fn a_session_is_heard_through_pipewire_with_short_blocks() {
    heard_at(64, "servers::pipewire::a_session_is_heard_through_pipewire_with_short_blocks");
}

#[test]
fn a_session_is_heard_through_pipewire_with_its_usual_blocks() {
    heard_at(1024, "servers::pipewire::a_session_is_heard_through_pipewire_with_its_usual_blocks");
}

#[test]
fn an_overdub_through_pipewire_lies_where_it_was_heard() {
    for quantum in [64, 1024] {
        match PipeWire::start(quantum) {
            Ok(server) => {
                let found = lies_where_it_was_heard(&server, &[0, 64, 256], 8);
                for found in &found {
                    found.tells("PipeWire", true, false);
                }
            }
            Err(reason) => {
                return skip("servers::pipewire::an_overdub_through_pipewire_lies_where_it_was_heard", &reason);
            }
        }
    }
}

/// Records `many` channels of the ramp while the session plays.
fn overdub(server: &PipeWire, folder: &Path, arguments: &str) -> Run {
    let mut recorder = faultless(
        "record",
        folder,
        &format!("--json --play-along --device alsa:seen,two --inputs 18 --seconds 2 {arguments}"),
    );
    server.lead(&mut recorder).env("PIPEWIRE_PROPS", "{ stream.capture.sink = true }");
    run(recorder)
}

#[test]
fn an_overdub_through_pipewire_loses_no_recorded_frame() {
    let server = match PipeWire::start(1024) {
        Ok(server) => server,
        Err(reason) => {
            return skip("servers::pipewire::an_overdub_through_pipewire_loses_no_recorded_frame", &reason);
        }
    };
    let place = place();
    let ramp = place.path().join("ramp.raw");
    let frame =
        |at: u64| (0..18).flat_map(move |input| (faultless::device::signal::ramp(at, input) << 8).to_le_bytes());
    fs::write(&ramp, (0..48_000 * 30).flat_map(frame).collect::<Vec<u8>>()).unwrap();
    for period in ["", "--period 64", "--period 256"] {
        let folder = place.path().join(format!("session{period}"));
        super::session(&folder);
        let mut source = Command::new("aplay");
        source.args(["-q", "-D", "many", "-f", "S32_LE", "-c", "18", "-r", "48000", "-t", "raw"]);
        source.args(["--period-size=1024", "--buffer-size=16384"]).arg(&ramp);
        let source = spawn(server.lead(&mut source), &place.path().join("source.log"));
        std::thread::sleep(std::time::Duration::from_millis(500));
        let ended = overdub(&server, &folder, period);
        drop(source);
        println!("{period}: status {:?}\n{}{}", ended.code, ended.out, ended.err);
        let session = open_read_only(&folder).unwrap();
        let given = Passed::take("seen", server.folder.path(), 18, false);
        let pass = session.takes().iter().map(|take| take.pass).max().unwrap();
        let kept = Kept::read(&folder, session.takes().iter().filter(|take| take.pass == pass));
        let passed = kept.are_what_was(&given).unwrap_or_else(|fault| panic!("{period}: {fault}\n{}", ended.err));
        let faults = Faults::of(&given, passed);
        println!("{period}: {} frames are listed as lost; {faults}", kept.lost());
        assert_eq!(ended.json()["frames_lost"], kept.lost());
        assert_eq!(ended.json()["xruns"], 0, "{period}: the program was late\n{}", ended.err);
        super::library_threads_are_listed(&ended);
    }
}

/// The server on a machine without a sound card, which the program would choose first.
fn without_card() -> Result<PipeWire, String> {
    if Path::new("/dev/snd").exists() { Err("there is a sound card".to_owned()) } else { PipeWire::start(1024) }
}

#[test]
fn the_last_choice_in_the_window_is_the_first_of_the_command_line() {
    let server = match without_card() {
        Ok(server) => server,
        Err(reason) => {
            return skip("servers::pipewire::the_last_choice_in_the_window_is_the_first_of_the_command_line", &reason);
        }
    };
    let place = place();
    let settings = place.path().join("faultless");
    fs::create_dir(&settings).unwrap();
    for (chosen, taken) in [("alsa:many", "alsa:many"), ("alsa:absent", "alsa:default")] {
        fs::write(settings.join("settings.json"), format!("{{\"device\": \"{chosen}\"}}")).unwrap();
        let folder = place.path().join(taken);
        let mut recorder = faultless("record", &folder, "--json --inputs 2 --seconds 0.5");
        server.lead(&mut recorder).env("PIPEWIRE_PROPS", "{ stream.capture.sink = true }").env("PIPEWIRE_NODE", "two");
        recorder.env("XDG_CONFIG_HOME", place.path());
        let ended = run(recorder).done();
        assert_eq!(ended.json()["device"], taken, "{}", ended.err);
    }
}

#[test]
fn without_a_card_the_default_of_the_server_is_chosen_and_recorded() {
    let server = match without_card() {
        Ok(server) => server,
        Err(reason) => {
            return skip("servers::pipewire::without_a_card_the_default_of_the_server_is_chosen_and_recorded", &reason);
        }
    };
    let place = place();
    let mut recorder = faultless("record", &place.path().join("session"), "--json --inputs 2 --seconds 0.5");
    // The desktop's choice of a source is made by a part of the session manager that does not run here.
    server.lead(&mut recorder).env("PIPEWIRE_PROPS", "{ stream.capture.sink = true }").env("PIPEWIRE_NODE", "two");
    let ended = run(recorder).done();
    assert_eq!(ended.json()["device"], "alsa:default", "{}", ended.err);
    assert!(ended.err.contains("the default of the sound server, since no sound card is free"), "{}", ended.err);
}

/// A source of two channels that ends with its value.
fn source(server: &PipeWire, name: &str) -> Service {
    source_of(server, name, "FL FR")
}

fn source_of(server: &PipeWire, name: &str, position: &str) -> Service {
    let mut maker = Command::new("pw-cli");
    let description = format!("The {name}");
    maker.args(["-m", "create-node", "adapter"]).arg(format!(
        "{{ factory.name = support.null-audio-sink node.name = {name} node.description = \"{description}\" \
         media.class = Audio/Source/Virtual audio.position = [ {position} ] }}"
    ));
    maker.env("PIPEWIRE_RUNTIME_DIR", server.folder());
    let service = spawn(&mut maker, &server.folder().join(format!("{name}.log")));
    await_ready(name, || {
        let mut question = Command::new("pw-dump");
        question.env("PIPEWIRE_RUNTIME_DIR", server.folder()).stderr(Stdio::null());
        String::from_utf8_lossy(&question.output().unwrap().stdout).contains(&description)
    });
    service
}

/// PipeWire gave the sound of another microphone in its place, and nothing was said.
#[test]
fn a_source_of_pipewire_that_goes_away_is_silence_and_said_until_it_is_back() {
    const NAME: &str = "servers::pipewire::a_source_of_pipewire_that_goes_away_is_silence_and_said_until_it_is_back";
    let server = match PipeWire::start(1024).and_then(|server| installed(&["pw-dump"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let (_other, wanted) = (source(&server, "other"), source(&server, "wanted"));
    let arguments = "--json --device alsa:pipewire:NODE=wanted,CHANNELS=2,- --seconds 12";
    let mut recorder = faultless("record", &place.path().join("session"), arguments);
    let recorder = server.lead(&mut recorder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    drop(wanted);
    std::thread::sleep(Duration::from_secs(4));
    let _wanted = source(&server, "wanted");
    let (report, err, status) = report_of(recorder);
    assert!(err.contains("the device is gone (") && err.contains("the device is back"), "{err}");
    assert!(48_000 < report["frames_lost"].as_u64().unwrap(), "{err}");
    // A server that has no other source for the inputs stops them instead.
    let text = "PipeWire took the source The wanted away and gave the inputs the sound of";
    assert!(err.contains(text) == (status == Some(1)), "{err}");
}

/// The source was another one after the outage, nothing was said, and the status was 0.
#[test]
fn a_source_of_pipewires_choice_that_is_another_one_after_an_outage_is_said_and_the_recording_fails() {
    const NAME: &str = "servers::pipewire::a_source_of_pipewires_choice_that_is_another_one_after_an_outage_is_said_and_the_recording_fails";
    let started = PipeWire::start_with(1024, &format!("load_module(\"metadata\")\n{MANAGER}"));
    let mut server = match started.and_then(|server| installed(&["pw-dump"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let first = source(&server, "first");
    // WirePlumber chooses it a moment later.
    std::thread::sleep(Duration::from_secs(1));
    let mut recorder =
        faultless("record", &place.path().join("session"), "--json --device alsa:pipewire,- --inputs 2 --seconds 16");
    let recorder = server.lead(&mut recorder).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    // The source ends with the server. The next server has its sinks alone, and chooses the sound of one of them.
    server.kill();
    drop(first);
    std::thread::sleep(Duration::from_secs(2));
    server.start_again();
    let (report, err, status) = report_of(recorder);
    assert!(err.contains("the device is gone (") && err.contains("the device is back"), "{err}");
    let losses = report["source_losses"].as_array().unwrap();
    let is_said = |line: &serde_json::Value| line.as_str().is_some_and(|line| line.contains("no longer The first"));
    assert_eq!(losses.iter().filter(|line| is_said(line)).count(), 1, "{report}");
    assert_eq!(status, Some(1), "{err}");
}

/// A period of 64 frames, the choice for a card, lost recorded sound when the session played.
#[test]
fn a_recording_through_pipewire_gets_a_period_that_the_server_can_keep_and_says_why() {
    const NAME: &str =
        "servers::pipewire::a_recording_through_pipewire_gets_a_period_that_the_server_can_keep_and_says_why";
    let server = match PipeWire::start(64) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let folder = place.path().join("session");
    let mut recorder =
        faultless("record", &folder, "--json --play-along --device alsa:seen,two --inputs 2 --seconds 1");
    server.lead(&mut recorder).env("PIPEWIRE_PROPS", "{ stream.capture.sink = true }");
    let ended = run(recorder).done();
    assert_eq!(ended.json()["period"], 1024, "{}", ended.err);
    assert!(ended.err.contains("is behind it, so the period is 1024 frames"), "{}", ended.err);
}

#[test]
fn a_source_that_pipewire_does_not_have_is_refused_with_those_that_it_has() {
    const NAME: &str = "servers::pipewire::a_source_that_pipewire_does_not_have_is_refused_with_those_that_it_has";
    let server = match PipeWire::start(1024).and_then(|server| installed(&["pw-dump"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let _other = source(&server, "other");
    let mut recorder = faultless(
        "record",
        &place.path().join("session"),
        "--json --device alsa:pipewire:NODE=absent,CHANNELS=2,- --seconds 1",
    );
    server.lead(&mut recorder);
    run(recorder).refused(&["NODE=absent", "no such device", "PipeWire's sources are: other"]);
}

/// Two of its channels were opened.
#[test]
fn the_source_that_the_desktop_has_chosen_is_opened_by_its_name_with_all_its_channels() {
    const NAME: &str =
        "servers::pipewire::the_source_that_the_desktop_has_chosen_is_opened_by_its_name_with_all_its_channels";
    if Path::new("/dev/snd").exists() {
        return skip(NAME, "there is a sound card");
    }
    let started = PipeWire::start_with(1024, &format!("load_module(\"metadata\")\n{MANAGER}"));
    let server = match started.and_then(|server| installed(&["pw-dump"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let _eight = source_of(&server, "eight", "AUX0 AUX1 AUX2 AUX3 AUX4 AUX5 AUX6 AUX7");
    // WirePlumber chooses it a moment later.
    std::thread::sleep(Duration::from_secs(1));
    let record = |name: &str, arguments: &str| {
        let mut recorder = faultless("record", &place.path().join(name), &format!("--json --seconds 1 {arguments}"));
        server.lead(&mut recorder).env("XDG_CONFIG_HOME", place.path());
        let ended = run(recorder).done();
        assert_eq!(open_read_only(&place.path().join(name)).unwrap().takes().len(), 8, "{}", ended.err);
        ended
    };
    let chosen = record("chosen", "");
    assert_eq!(chosen.json()["device"], "alsa:pipewire:NODE=eight,CHANNELS=8,default", "{}", chosen.err);
    let typed = record("typed", "--device alsa:pipewire,-");
    assert!(typed.err.contains("source is The eight; its 8 channels are opened"), "{}", typed.err);
}

/// The outputs stayed silent until the device was opened again.
#[test]
fn outputs_come_back_during_a_recording_when_pipewire_is_killed_and_started_again() {
    let test = "servers::pipewire::outputs_come_back_during_a_recording_when_pipewire_is_killed_and_started_again";
    if let Some(ended) = killed_and_started_again("two", test) {
        let times = |words: &str| ended.err.matches(words).count();
        assert_eq!((times("the outputs are gone"), times("the outputs play again")), (2, 2), "{}", ended.err);
        assert_eq!((times("the device is gone"), &ended.json()["frames_lost"]), (0, &0.into()), "{}", ended.err);
    }
}

/// They ran dry before the audio thread had them, and were restarted with twice the latency.
#[test]
fn outputs_that_are_named_come_back_without_another_underrun() {
    let test = "servers::pipewire::outputs_that_are_named_come_back_without_another_underrun";
    if let Some(ended) = killed_and_started_again("pipewire:NODE=two", test) {
        assert_eq!(ended.err.matches("the outputs play again").count(), 2, "{}", ended.err);
        // Each outage begins with one, and a busy machine may add one.
        assert!(ended.json()["playback_xruns"].as_u64().is_some_and(|times| times <= 3), "{}", ended.err);
    }
}

/// Records a card while `outputs` play, kills the server twice, and starts it again. `None` if the test is skipped.
fn killed_and_started_again(outputs: &str, test: &str) -> Option<Run> {
    let (mut server, plugin) = match (PipeWire::start(256), plugin()) {
        (Ok(server), Ok(plugin)) => (server, plugin),
        (Err(reason), _) | (_, Err(reason)) => {
            skip(test, &reason);
            return None;
        }
    };
    // The inputs are a card with a clock of its own.
    let (card, config) = (server.folder.path().join("card"), server.folder.path().join("asound.conf"));
    let card = format!("pcm.card {{ type clk bus \"{}\" channels 2 rate 48000 ramp 1 }}\n", card.display());
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}pcm_type.clk {{ lib \"{}\" }}\n{card}", plugin.display())).unwrap();
    let place = place();
    let folder = place.path().join("session");
    let mut program = record(&folder, &format!("--device alsa:card,{outputs} --inputs 2 --play-along"));
    server.lead(&mut program);
    let program = start(program);
    let is_connected = |server: &PipeWire| server.ports("-l").contains("|<- ALSA Playback:");
    await_ready("the outputs", || is_connected(&server));
    crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
    // An outage of less than a second has the notice of outputs that were late.
    for away in [1_500, 2_500] {
        std::thread::sleep(Duration::from_millis(1_000));
        server.kill();
        std::thread::sleep(Duration::from_millis(away));
        server.start_again();
        await_ready("the outputs again", || is_connected(&server));
    }
    std::thread::sleep(Duration::from_millis(1_500));
    program.signal("TERM");
    Some(program.wait(PATIENCE))
}
