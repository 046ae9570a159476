//! Sessions that are played and recorded through real sound servers. Each server runs in a folder of its own and ends with
//! its test; the user's own session is not touched. A server that is not installed is skipped by name. Thread: test.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod evidence;
#[cfg(feature = "gui")]
mod first_minute;
mod jack;
mod jack_overdub;
mod loopback;
mod overdub;
mod pipewire;
mod pulse;

use crate::util::{Run, edit, faultless, is_root, place, recorded_ramp, run};
use evidence::{Passed, integers};
use faultless::device::signal::ramp;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Frames of the session that is played.
const FRAMES: usize = 48_000;

/// A process that ends with the test.
struct Service(Child);

impl Drop for Service {
    /// Ends the process in order and waits for it: a server that is killed leaves its entries in shared memory, and the
    /// registry of JACK has room for eight servers.
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        Command::new("sh").args(["-c", &format!("kill -TERM {}", self.0.id())]).status().ok();
        let until = Instant::now() + Duration::from_secs(5);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Waits for a recording that was started with `--json`. Returns its report, its messages and its exit status.
fn report_of(recorder: Child) -> (serde_json::Value, String, Option<i32>) {
    let ended = recorder.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    println!("{out}{err}");
    (serde_json::from_str(out.lines().last().unwrap()).unwrap(), err.into_owned(), ended.status.code())
}

/// A running server, as its clients find it.
trait Server {
    /// Sets what a client needs to find the server.
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command;

    /// The folder in which the PCM `given` writes down what the program plays.
    fn folder(&self) -> &Path;

    /// Sets what a recorder needs to hear what is played.
    fn hear<'c>(&self, client: &'c mut Command) -> &'c mut Command {
        client
    }

    /// Whether a program that records is connected to the monitor of [`Server::output`].
    fn has_listener(&self) -> bool {
        true
    }

    /// The PCM that a client plays to, without anything between.
    fn output(&self) -> &'static str;

    /// The longest time in which what was played reaches the listener.
    fn delay(&self) -> Duration {
        Duration::from_millis(400)
    }

    /// The PCM at which what was played to [`Server::output`] can be heard, its number of channels and its format.
    fn monitor(&self) -> (&'static str, usize, &'static str);
}

/// The program or the reason why it is not there.
fn installed(programs: &[&str]) -> Result<(), String> {
    let is_there = |name: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(name).exists())
    };
    match programs.iter().find(|name| !is_there(name)) {
        Some(name) => Err(format!("{name} is not installed")),
        None => Ok(()),
    }
}

/// Whether a module of alsa-lib is installed.
fn module(name: &str) -> Result<(), String> {
    let file = format!("alsa-lib/libasound_module_pcm_{name}.so");
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found =
        libraries.chain(["/usr/lib", "/usr/lib64"].map(PathBuf::from)).any(|folder| folder.join(&file).exists());
    if found { Ok(()) } else { Err(format!("alsa-lib's module for {name} is not installed")) }
}

fn spawn(command: &mut Command, log: &Path) -> Service {
    let log = fs::File::create(log).unwrap();
    Service(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
}

/// Waits until `is_ready`. The server gets long, because the machine may be busy.
fn await_ready(what: &str, mut is_ready: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_ready() {
        assert!(Instant::now() < until, "{what} did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The thread of the server's library that stores the samples is in the account. Without real-time rights it has no
/// class that tells it from others.
fn library_threads_are_listed(ended: &Run) {
    let threads = ended.json()["audio_thread"]["library_threads"].clone();
    let is_known = |thread: &serde_json::Value| thread["name"].is_string() && thread["minor_faults"].is_u64();
    let listed = threads.as_array().is_some_and(|threads| threads.iter().all(is_known) && !threads.is_empty());
    assert!(listed || !is_root(), "{threads}\n{}", ended.err);
}

/// The frames of a session of two tracks that passed a PCM. The first track is on the left, the second on the right.
#[derive(Debug, Default)]
struct Heard {
    /// Frames that are the ramp in one piece, from 1,000 frames behind the first sound on.
    exact: usize,
    /// Frames that are a frame of the ramp, in any order.
    right: usize,
}

/// A session that was played: what the program ended with, gave to the server, and was heard at the server's monitor.
struct Played {
    ended: Run,
    given: Heard,
    heard: Heard,
}

/// Plays the session of `folder` to the server, and listens.
fn play(server: &dyn Server, folder: &Path, arguments: &str) -> Played {
    let place = place();
    let file = place.path().join("heard.raw");
    let (monitor, channels, format) = server.monitor();
    let mut listener = Command::new("arecord");
    listener.args(["-q", "-t", "raw", "-r", "48000", "--period-size=1024", "--buffer-size=16384"]);
    listener.args(["-D", monitor, "-f", format, "-c", &channels.to_string()]).arg(&file);
    let listener = spawn(server.lead(&mut listener), &place.path().join("listener.log"));
    await_ready("the listener", || fs::metadata(&file).is_ok_and(|file| 0 < file.len()) && server.has_listener());
    let mut player = faultless("play", folder, &format!("--json --device alsa:-,given {arguments}"));
    server.lead(&mut player);
    let ended = run(player);
    // What was played is still on its way to the listener.
    std::thread::sleep(server.delay());
    drop(listener);
    let float = format == "FLOAT_LE";
    let heard = Passed::new(channels, integers(&fs::read(&file).unwrap(), float).collect());
    let given = Passed::take("given", server.folder(), 2, float);
    Played { ended, given: Heard::of(&given), heard: Heard::of(&heard) }
}

impl Heard {
    fn of(passed: &Passed) -> Heard {
        let frames: Vec<[i32; 2]> =
            (0..passed.frames()).map(|number| passed.frame(number)).map(|frame| [frame[0], frame[1]]).collect();
        let sounds = |frame: &[i32; 2]| *frame != [0, 0];
        let Some(first) = frames.iter().position(sounds) else { return Heard::default() };
        let last = frames.iter().rposition(sounds).unwrap();
        let number = |frame: &[i32; 2]| i64::from(frame[0]) + 0x80_0000;
        let is_ramp =
            |number: i64, frame: &[i32; 2]| number >= 0 && [0, 1].map(|input| ramp(number as u64, input)) == *frame;
        let right = frames[first..=last].iter().filter(|frame| is_ramp(number(frame), frame)).count();
        // The region fades in for 64 frames, and the transport declicks for longer.
        let steady = &frames[(first + 1_000).min(frames.len())..];
        let begin = steady.first().map_or(0, number);
        let is_next = |(at, frame): &(usize, &[i32; 2])| is_ramp(begin + *at as i64, frame);
        let exact = steady.iter().enumerate().take_while(is_next).count();
        Heard { exact, right }
    }
}

/// A session of two tracks of the ramp, the first on the left, the second on the right.
fn session(folder: &Path) {
    recorded_ramp(folder, 2, FRAMES as u64);
    edit(folder, |session| {
        let tracks: Vec<_> = session.track_ids().collect();
        session.track_mut(tracks[0]).unwrap().set_pan(-1.0);
        session.track_mut(tracks[1]).unwrap().set_pan(1.0);
    });
}

/// Plays at each of `periods` (0: the program's choice). The program must give the server all of it, and it must be heard.
/// A busy machine makes a server give silence for some blocks. Such blocks must be the exception.
#[track_caller]
fn all_is_heard(server: &dyn Server, periods: &[usize]) {
    let place = place();
    let folder = place.path().join("session");
    session(&folder);
    for period in periods {
        let arguments = if *period == 0 { String::new() } else { format!("--period {period}") };
        let Played { ended, given, heard } = play(server, &folder, &arguments);
        println!(
            "period {period}: given {given:?}, heard {heard:?}, status {:?}\n{}{}",
            ended.code, ended.out, ended.err
        );
        // A server that takes no block for a while makes playback run dry. Then the program says so.
        let ran_dry = ["xruns", "playback_xruns", "frames_unheard"].iter().any(|count| ended.json()[*count] != 0);
        let shown = format!("period {period}: given {given:?}, heard {heard:?}");
        assert!(ran_dry || FRAMES - 2_000 < given.exact, "{shown}, and nothing is said");
        assert_eq!(ended.code, Some(0), "{shown}");
        let audio = &ended.json()["audio_thread"];
        assert_eq!((&audio["minor_faults"], &audio["major_faults"]), (&0.into(), &0.into()), "{shown}: page faults");
        assert!(FRAMES / 2 < heard.right, "{shown}, and no error");
    }
}
