//! JACK with its dummy driver, through the ALSA plugin of JACK. libjack has room for eight servers on a machine, so a process of
//! tests starts four at most at one time. Thread: test.

use super::evidence::recorder;
use super::{Server, Service, all_is_heard, await_ready, installed, module, spawn};
use crate::util::{PATIENCE, Started, faultless, is_root, place, read_wav, run, skip, start};
use faultless::device::signal::{RAMP_CHANNEL_STEP, ramp};
use faultless::session::session_file::open_read_only;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server whose driver plays to nowhere and returns at its monitors what is played.
pub(super) struct Jack {
    folder: TempDir,
    name: String,
    _service: Service,
    /// The last field, because the server must have ended before the next one starts.
    _turn: Turn,
}

/// Servers of this process that run at one time.
const RUNNING_MAX: u32 = 4;

static RUNNING: Mutex<u32> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run a server. Dropping it lets the next one start.
struct Turn;

impl Turn {
    fn wait() -> Turn {
        let mut running = ENDED.wait_while(RUNNING.lock().unwrap(), |running| RUNNING_MAX <= *running).unwrap();
        *running += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap() -= 1;
        ENDED.notify_one();
    }
}

/// Servers that this process has started. Tests of one process run at the same time, and each has a server of its own.
static STARTED: AtomicU32 = AtomicU32::new(0);

impl Jack {
    pub(super) fn start(period: usize) -> Result<Jack, String> {
        Jack::start_with(&["dummy", "-C", "2", "-P", "2"], period, "")
    }

    /// A server with the driver `driver`, whose first word is its name. `pcms`: more PCMs of the server and its clients.
    pub(super) fn start_with(driver: &[&str], period: usize, pcms: &str) -> Result<Jack, String> {
        installed(&["jackd", "jack_lsp", "arecord"]).or_else(|_| installed(&["jackd", "arecord"]))?;
        module("jack")?;
        let turn = Turn::wait();
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let ports = |kind: &str| format!("{{ 0 system:{kind}_1 1 system:{kind}_2 }}");
        fs::write(
            folder.path().join("asound.conf"),
            format!(
                "</usr/share/alsa/alsa.conf>\n{pcms}pcm.two {{ type jack playback_ports {} capture_ports {} }}\n{SYNTH}{}",
                ports("playback"),
                ports("monitor"),
                recorder("given", "two", folder.path())
            ),
        )
        .unwrap();
        let name = format!("faultless-test-{}-{}", std::process::id(), STARTED.fetch_add(1, Relaxed));
        let mut server = Command::new("jackd");
        let period = period.to_string();
        // A server without the real-time class skips blocks on a busy machine.
        let class: &[&str] = if is_root() { &["-R", "-P", "60"] } else { &["-r"] };
        server.args(["-n", &name]).args(class).arg("-d").args(driver).args(["-r", "48000", "-p", &period, "-m"]);
        server.env("JACK_NO_AUDIO_RESERVATION", "1").env_remove("DBUS_SESSION_BUS_ADDRESS");
        server.env("ALSA_CONFIG_PATH", folder.path().join("asound.conf"));
        let log = folder.path().join("jackd.log");
        let service = spawn(&mut server, &log);
        let jack = Jack { folder, name, _service: service, _turn: turn };
        await_ready("jackd", || {
            let mut question = Command::new("arecord");
            question.args(["-q", "-D", "two", "-f", "FLOAT_LE", "-c", "2", "-r", "48000", "-d", "1", "/dev/null"]);
            jack.lead(&mut question).stdout(Stdio::null()).stderr(Stdio::null());
            question.status().is_ok_and(|status| status.success())
        });
        Ok(jack)
    }
}

/// A client with four outputs of its own. alsa-lib's plugin connects each of them to a port of the card.
const SYNTH: &str = "pcm.synth { type jack name synth playback_ports { 0 system:playback_1 1 system:playback_2 \
                     2 system:playback_1 3 system:playback_2 } }\n";

impl Jack {
    /// The client `synth` with its four outputs, each of which has the ramp of its channel.
    fn synth(&self) -> Service {
        let file = self.folder.path().join("synth.raw");
        // The file has 46 MB, and some tests start the client twice.
        if !file.exists() {
            fs::write(&file, Jack::ramps()).unwrap();
        }
        let mut source = Command::new("aplay");
        source.args(["-q", "-D", "synth", "-f", "FLOAT_LE", "-c", "4", "-r", "48000", "-t", "raw"]);
        source.args(["--period-size=1024", "--buffer-size=8192"]).arg(&file);
        let service = spawn(self.lead(&mut source), &self.folder.path().join("synth.log"));
        await_ready("the client of JACK", || {
            let ports = self.lead(Command::new("jack_lsp").arg("synth")).output().unwrap().stdout;
            4 <= String::from_utf8_lossy(&ports).lines().count()
        });
        service
    }

    /// A minute of four ramps.
    fn ramps() -> Vec<u8> {
        let frame = |at: u64| (0..4).flat_map(move |port| (ramp(at, port) as f32 / 8_388_608.0).to_le_bytes());
        (0..48_000 * 60).flat_map(frame).collect()
    }
}

/// A server, if the program that lists its ports is there too.
fn with_ports() -> Result<Jack, String> {
    installed(&["jack_lsp"]).and_then(|()| Jack::start(256))
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
fn jacks_ports_are_listed_by_client_with_their_channels() {
    let server = match with_ports() {
        Ok(server) => server,
        Err(reason) => {
            return skip("servers::jack::jacks_ports_are_listed_by_client_with_their_channels", &reason);
        }
    };
    let _synth = server.synth();
    let mut lister = Command::new(env!("CARGO_BIN_EXE_faultless"));
    let said = server.lead(lister.args(["devices", "--json"])).output().unwrap();
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let devices = said["devices"].as_array().unwrap();
    let of =
        |name: &str| devices.iter().find(|device| device["name"] == name).unwrap_or_else(|| panic!("{devices:#?}"));
    let card = of("alsa:jack:CLIENT=system");
    let title = "JACK, system: 2 capture ports (capture_1, capture_2), 2 playback ports (playback_1, playback_2)";
    assert_eq!(card["title"], title);
    let synth = of("alsa:jack:CLIENT=synth,jack:CLIENT=system");
    assert_eq!(synth["title"], "JACK, synth: 4 output ports (out_000 to out_003)");
    for (side, channels) in [(&card["capture"], 2), (&card["playback"], 2), (&synth["capture"], 4)] {
        assert_eq!((&side["channels_min"], &side["channels_max"]), (&channels.into(), &channels.into()), "{side}");
        assert_eq!(side["rates"], serde_json::json!([48_000]));
    }
    assert!(devices.iter().all(|device| device["name"] != "alsa:jack"), "the ports are listed once");
}

/// The longest piece of a take that is the ramp of `channel`: its first frame, its number in the ramp, its length.
fn longest_ramp(samples: &[i32], channel: u64) -> (usize, i64, usize) {
    let number =
        |sample: i32| (i64::from(sample) + (1 << 23) - (channel * RAMP_CHANNEL_STEP) as i64).rem_euclid(1 << 24);
    let (mut best, mut from) = ((0, 0, 0), 0);
    for at in 0..samples.len() {
        if from < at && number(samples[at]) != number(samples[at - 1]) + 1 {
            from = at;
        }
        // Silence is no part of the ramp.
        if samples[at] == 0 {
            from = at + 1;
        } else if best.2 < at + 1 - from {
            best = (from, number(samples[from]), at + 1 - from);
        }
    }
    best
}

#[test]
fn what_a_client_of_jack_plays_is_recorded_from_its_chosen_ports() {
    let server = match with_ports() {
        Ok(server) => server,
        Err(reason) => {
            return skip("servers::jack::what_a_client_of_jack_plays_is_recorded_from_its_chosen_ports", &reason);
        }
    };
    let _synth = server.synth();
    let place = place();
    let mut longest = 0;
    // A busy machine makes the server skip blocks. What it gives must be of the chosen ports in every round.
    for round in 0..5 {
        let folder = place.path().join(format!("session-{round}"));
        let arguments = "--json --device alsa:jack:CLIENT=synth,PORTS=out_003+out_001 --seconds 2";
        let mut recorder = faultless("record", &folder, arguments);
        server.lead(&mut recorder);
        let ended = run(recorder).done();
        super::library_threads_are_listed(&ended);
        let session = open_read_only(&folder).unwrap();
        assert_eq!(session.takes().len(), 2, "{}", ended.err);
        let pieces = [(0, 3), (1, 1)].map(|(input, channel)| {
            let take = session.takes().iter().find(|take| take.inputs == [input]).unwrap();
            longest_ramp(&read_wav(&folder.join(take.path())).1, channel)
        });
        println!("{pieces:?}, {}{}", ended.out, ended.err);
        assert!(pieces.iter().all(|piece| 1_000 < piece.2), "the sound is of other ports: {pieces:?}");
        // The ramp rises by one with each frame, so its number less its frame is the same everywhere in step.
        let in_step = pieces[0].1 - pieces[0].0 as i64 == pieces[1].1 - pieces[1].0 as i64;
        longest = longest.max(if in_step { pieces[0].2.min(pieces[1].2) } else { 0 });
        if 48_000 <= longest {
            break;
        }
    }
    assert!(48_000 <= longest, "no round has a second without a hole: {longest}");
}

#[test]
fn the_card_of_jack_is_chosen_and_a_client_that_is_not_there_is_answered_with_those_that_are() {
    const NAME: &str =
        "servers::jack::the_card_of_jack_is_chosen_and_a_client_that_is_not_there_is_answered_with_those_that_are";
    let server = match with_ports() {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    if Path::new("/dev/snd").exists() {
        return skip(NAME, "there is a sound card");
    }
    let place = place();
    let settings = place.path().join("faultless");
    fs::create_dir(&settings).unwrap();
    let _synth = server.synth();
    let record = |name: &str, arguments: &str| {
        let mut recorder = faultless("record", &place.path().join(name), &format!("--json --seconds 0.5 {arguments}"));
        server.lead(&mut recorder).env("XDG_CONFIG_HOME", place.path());
        run(recorder)
    };
    let first = record("first", "").done();
    assert_eq!(first.json()["device"], "alsa:jack:CLIENT=system", "{}", first.err);
    assert!(first.err.contains("the 2 ports of JACK's card"), "{}", first.err);
    let chosen = "alsa:jack:CLIENT=synth,jack:CLIENT=system";
    fs::write(settings.join("settings.json"), format!("{{\"device\": \"{chosen}\"}}")).unwrap();
    let last = record("last", "").done();
    assert_eq!(last.json()["device"], chosen, "{}", last.err);
    assert_eq!(open_read_only(&place.path().join("last")).unwrap().takes().len(), 4);
    let absent = record("absent", "--device alsa:jack:CLIENT=organ");
    absent.refused(&["organ", "these clients of JACK have ports to record from: system, synth"]);
    let many = record("many", "--device alsa:jack:CLIENT=synth --inputs 8");
    many.refused(&["8 channels", "it has 4"]);
}

/// Starts a recording that the test stops.
fn recording(server: &Jack, folder: &Path, arguments: &str) -> Started {
    let mut recorder = faultless("record", folder, &format!("--json {arguments}"));
    server.lead(&mut recorder);
    let program = start(recorder);
    crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
    program
}

/// Waits until a recorder has said it. Looks of the program come seconds apart, and later on a busy machine.
#[track_caller]
fn await_words(recorder: &Started, words: &str) {
    let until = Instant::now() + PATIENCE;
    while !recorder.said().contains(words) {
        assert!(Instant::now() < until, "'{words}' was not said\n{}", recorder.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The take had silence from then on, and nothing was said.
#[test]
fn a_client_of_jack_that_ends_is_said_and_recorded_again_when_it_is_back() {
    const NAME: &str = "servers::jack::a_client_of_jack_that_ends_is_said_and_recorded_again_when_it_is_back";
    let server = match with_ports().and_then(|server| installed(&["jack_connect"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let folder = place.path().join("session");
    let synth = server.synth();
    let recorder = recording(&server, &folder, "--device alsa:jack:CLIENT=synth,-");
    std::thread::sleep(Duration::from_secs(2));
    drop(synth);
    let lost = "the JACK client synth has ended: inputs 1 to 4 record silence until it is back";
    await_words(&recorder, &format!(": {lost}"));
    std::thread::sleep(Duration::from_secs(1));
    let _synth = server.synth();
    // A look may come between the ports of the client, which appear one after the other.
    await_words(&recorder, "the JACK client synth is back: input");
    std::thread::sleep(Duration::from_secs(3));
    recorder.signal("INT");
    let ended = recorder.wait(PATIENCE);
    let (report, err, status) = (ended.json(), ended.err, ended.code);
    let said = report["source_losses"].as_array().unwrap();
    assert!(said.len() == 1 && said[0].as_str().unwrap().contains(lost), "{said:?}");
    assert_eq!(status, Some(1), "{err}");
    // Sound at the beginning, none in the middle, sound again.
    let session = open_read_only(&folder).unwrap();
    for take in session.takes() {
        let samples = read_wav(&folder.join(take.path())).1;
        let silence = samples.iter().filter(|sample| **sample == 0).count();
        assert!((48_000..samples.len() - 48_000).contains(&silence), "{}: {silence} of {}", take.file, samples.len());
        assert!(samples[samples.len() - 48_000..].iter().any(|sample| *sample != 0), "{}", take.file);
    }
}

/// Lines on the terminal that are not the program's own.
fn lines_of_others(err: &str) -> Vec<&str> {
    let is_own = |line: &str| {
        let begins =
            ["alsa:", "takes: ", "capture: ", "scheduling: ", "locked memory: ", "note: ", "caution: ", "LOSS: "];
        line.starts_with("faultless: ") || begins.iter().any(|begin| line.starts_with(begin))
    };
    err.lines().filter(|line| !is_own(line)).collect()
}

/// The library of JACK printed five lines of its own.
#[test]
fn a_jack_that_does_not_run_is_one_line() {
    const NAME: &str = "servers::jack::a_jack_that_does_not_run_is_one_line";
    if let Err(reason) = module("jack") {
        return skip(NAME, &reason);
    }
    let place = place();
    let configuration = place.path().join("asound.conf");
    fs::write(
        &configuration,
        "</usr/share/alsa/alsa.conf>\npcm.mine { type jack capture_ports { 0 system:capture_1 } }\n",
    )
    .unwrap();
    for device in ["alsa:jack", "alsa:mine"] {
        let mut recorder = faultless("record", &place.path().join("session"), "--json --seconds 1 --device");
        recorder.arg(device).env("JACK_DEFAULT_SERVER", "faultless-test-none").env("JACK_NO_START_SERVER", "1");
        recorder.env("ALSA_CONFIG_PATH", &configuration);
        let ended = run(recorder);
        ended.refused(&[device]);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
}

/// The loss was between a hundred lines of JACK's library.
#[test]
fn a_jack_that_ends_while_it_is_recorded_leaves_the_terminal_to_the_program() {
    const NAME: &str = "servers::jack::a_jack_that_ends_while_it_is_recorded_leaves_the_terminal_to_the_program";
    let server = match Jack::start(256) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let recorder = recording(&server, &place.path().join("session"), "--device alsa:two,-");
    let Jack { folder: _folder, name: _, _service: service, _turn } = server;
    drop(service);
    await_words(&recorder, "the device is gone");
    std::thread::sleep(Duration::from_secs(3));
    recorder.signal("INT");
    let ended = recorder.wait(PATIENCE);
    assert_eq!(lines_of_others(&ended.err), Vec::<&str>::new(), "{}", ended.err);
}

/// Blocks of 85 ms were reported as a wrong rate, and two notes named different periods.
#[test]
fn long_blocks_of_jack_are_no_loss_and_the_note_names_the_period_that_is_used() {
    const NAME: &str = "servers::jack::long_blocks_of_jack_are_no_loss_and_the_note_names_the_period_that_is_used";
    let server = match Jack::start(4096) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let mut recorder = faultless("record", &place.path().join("session"), "--json --device alsa:two,- --seconds 10");
    let ended = run({
        server.lead(&mut recorder);
        recorder
    });
    assert!(!ended.err.contains("session's rate"), "{}", ended.err);
    assert!(ended.json()["source_losses"].is_null(), "{}", ended.out);
    assert!(!ended.err.contains("frames, not 1024"), "{}", ended.err);
    println!("{}", ended.err);
}

#[test]
fn a_port_of_jack_that_is_disconnected_while_it_is_recorded_is_said() {
    const NAME: &str = "servers::jack::a_port_of_jack_that_is_disconnected_while_it_is_recorded_is_said";
    let server = match with_ports().and_then(|server| installed(&["jack_disconnect"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let _synth = server.synth();
    let folder = place.path().join("session");
    let recorder = recording(&server, &folder, "--device alsa:jack:CLIENT=synth,-");
    std::thread::sleep(Duration::from_secs(1));
    let mut cut = Command::new("jack_disconnect");
    server.lead(cut.args(["synth:out_001", "Faultless:in_001"])).status().unwrap();
    let lost = "JACK's ports of synth were disconnected: input 2 records silence; connect them again in JACK";
    await_words(&recorder, lost);
    recorder.signal("INT");
    let ended = recorder.wait(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    // The take of this input has it in its account, also when the report is gone. The others have lost nothing.
    for take in open_read_only(&folder).unwrap().takes() {
        let said = &take.accounts.as_ref().unwrap().source_losses;
        assert_eq!(said.len(), usize::from(take.inputs == [1]), "{}: {said:?}", take.file);
        assert!(said.iter().all(|text| text.contains(lost)), "{said:?}");
    }
}

/// A folder for the beginning of PATH, in which `name` is `script`. `$0.real` is the program itself.
fn in_place_of(name: &str, script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.exists()).unwrap();
    std::os::unix::fs::symlink(real, folder.path().join(format!("{name}.real"))).unwrap();
    let program = folder.path().join(name);
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn with_path(recorder: &mut Command, folder: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    recorder.env("PATH", std::env::join_paths(folders).unwrap());
}

/// It was asked each second, which cost more than 1 % of a core.
#[test]
fn a_jack_at_which_nothing_happens_is_asked_twice_in_eleven_seconds() {
    const NAME: &str = "servers::jack::a_jack_at_which_nothing_happens_is_asked_twice_in_eleven_seconds";
    let server = match with_ports().and_then(|server| installed(&["jack_evmon", "stdbuf"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let counted = in_place_of("jack_lsp", "echo \"$1\" >>\"$0.asked\"; exec \"$0.real\" \"$@\"");
    let mut recorder =
        faultless("record", &place.path().join("session"), "--json --device alsa:jack:CLIENT=system,- --seconds 11");
    with_path(server.lead(&mut recorder), counted.path());
    let ended = run(recorder).done();
    let asked = fs::read_to_string(counted.path().join("jack_lsp.asked")).unwrap();
    let questions = asked.lines().filter(|line| *line == "-c").count();
    assert!((1..=3).contains(&questions), "{asked}{}", ended.err);
}

#[test]
fn a_port_of_jack_that_is_disconnected_is_said_where_no_events_can_be_read() {
    const NAME: &str = "servers::jack::a_port_of_jack_that_is_disconnected_is_said_where_no_events_can_be_read";
    let needs = ["jack_disconnect", "jack_evmon"];
    let server = match with_ports().and_then(|server| installed(&needs).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    let place = place();
    let _synth = server.synth();
    let without = in_place_of("jack_evmon", "exit 1");
    let folder = place.path().join("session");
    let mut recorder = faultless("record", &folder, "--json --device alsa:jack:CLIENT=synth,-");
    with_path(server.lead(&mut recorder), without.path());
    let recorder = start(recorder);
    crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
    std::thread::sleep(Duration::from_secs(1));
    let mut cut = Command::new("jack_disconnect");
    server.lead(cut.args(["synth:out_001", "Faultless:in_001"])).status().unwrap();
    await_words(&recorder, "JACK's ports of synth were disconnected: input 2 records silence");
    recorder.signal("INT");
    let ended = recorder.wait(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
}

/// The processes below `pid` that are not ended.
fn below(pid: u32) -> Vec<u32> {
    let children = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().flat_map(|thread| {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        text.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u32>>()
    });
    children.flat_map(|child| std::iter::once(child).chain(below(child))).collect()
}

#[test]
fn the_program_that_prints_jacks_events_ends_with_a_recorder_that_is_killed() {
    const NAME: &str = "servers::jack::the_program_that_prints_jacks_events_ends_with_a_recorder_that_is_killed";
    let server = match with_ports().and_then(|server| installed(&["jack_evmon", "stdbuf"]).map(|()| server)) {
        Ok(server) => server,
        Err(reason) => return skip(NAME, &reason),
    };
    if !Path::new("/proc/self/task").join(std::process::id().to_string()).join("children").exists() {
        return skip(NAME, "the kernel does not list the children of a process");
    }
    let place = place();
    let arguments = "--json --device alsa:jack:CLIENT=system,- --seconds 60";
    let mut recorder = faultless("record", &place.path().join("session"), arguments);
    let mut recorder = server.lead(&mut recorder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let mut processes = Vec::new();
    await_ready("the program that prints JACK's events", || {
        processes = below(recorder.id());
        processes.iter().any(|pid| name(*pid) == "jack_evmon\n")
    });
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    // An ended process that nobody has waited for has a state and no memory.
    let runs =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/statm")).is_ok_and(|memory| !memory.starts_with('0'));
    await_ready("the end of these programs", || !processes.iter().any(runs));
}
