//! Sessions that are played and recorded through real sound servers. Each server runs in a folder of its own and ends with
//! its test; the user's own session is not touched. A server that is not installed is skipped by name. Thread: test.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod jack;
mod pipewire;
mod pulse;

use crate::util::{Run, edit, faultless, place, recorded_ramp, run};
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
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A running server, as its clients find it.
trait Server {
    /// Sets what a client needs to find the server.
    fn lead<'c>(&self, client: &'c mut Command) -> &'c mut Command;

    /// The PCM that a client plays to.
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
    let found = libraries.chain([PathBuf::from("/usr/lib")]).any(|folder| folder.join(&file).exists());
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

/// What a listener at a monitor heard of a session of two tracks, the first on the left and the second on the right.
#[derive(Debug, Default)]
struct Heard {
    /// Frames between the first and the last frame that is not silent.
    frames: usize,
    /// Frames of these that are the ramp, in one piece from the first on.
    exact: usize,
}

/// Plays the session of `folder` to the server, and listens.
fn play(server: &dyn Server, folder: &Path, arguments: &str) -> (Run, Heard) {
    let place = place();
    let file = place.path().join("heard.raw");
    let (monitor, channels, format) = server.monitor();
    let mut listener = Command::new("arecord");
    listener.args(["-q", "-t", "raw", "-r", "48000", "--period-size=1024", "--buffer-size=16384"]);
    listener.args(["-D", monitor, "-f", format, "-c", &channels.to_string()]).arg(&file);
    let listener = spawn(server.lead(&mut listener), &place.path().join("listener.log"));
    await_ready("the listener", || fs::metadata(&file).is_ok_and(|file| 0 < file.len()));
    let mut player = faultless("play", folder, &format!("--json --device alsa:-,{} {arguments}", server.output()));
    server.lead(&mut player);
    let ended = run(player);
    // What was played is still on its way to the listener.
    std::thread::sleep(server.delay());
    drop(listener);
    (ended, heard(&fs::read(&file).unwrap(), channels, format == "FLOAT_LE"))
}

fn heard(bytes: &[u8], channels: usize, float: bool) -> Heard {
    let sample = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if float { (f32::from_le_bytes(bytes) * 8_388_608.0).round() as i32 } else { i32::from_le_bytes(bytes) >> 8 }
    };
    let frames: Vec<[i32; 2]> =
        bytes.chunks_exact(4 * channels).map(|frame| [sample(frame), sample(&frame[4..])]).collect();
    let sounds = |frame: &[i32; 2]| *frame != [0, 0];
    let Some(first) = frames.iter().position(sounds) else { return Heard::default() };
    let last = frames.iter().rposition(sounds).unwrap();
    // The region fades in for 64 frames, and the transport declicks for longer.
    let steady = first + 1_000;
    let Some(number) = frames.get(steady).map(|frame| i64::from(frame[0]) + 0x80_0000) else { return Heard::default() };
    let is_ramp = |(at, frame): (usize, &[i32; 2])| {
        let number = number + at as i64;
        u64::try_from(number).is_ok_and(|number| [0, 1].map(|input| ramp(number, input)) == *frame)
    };
    let exact = frames[steady..].iter().enumerate().take_while(|(at, frame)| is_ramp((*at, frame))).count();
    Heard { frames: last - first + 1, exact }
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

/// Plays at each of `periods` (0: the program's choice). All of it must be heard. A busy machine makes the server itself
/// lose sound, so one of eight rounds must be exact.
#[track_caller]
fn all_is_heard(server: &dyn Server, periods: &[usize]) {
    let place = place();
    let folder = place.path().join("session");
    session(&folder);
    for period in periods {
        let arguments = if *period == 0 { String::new() } else { format!("--period {period}") };
        let mut rounds = Vec::new();
        for _ in 0..8 {
            let (ended, heard) = play(server, &folder, &arguments);
            println!("period {period}: {heard:?}, status {:?}\n{}{}", ended.code, ended.out, ended.err);
            // What the program says must be true: without an error it was heard.
            if ended.code == Some(0) {
                assert!(FRAMES / 2 < heard.frames, "period {period}: {heard:?}, and no error");
            }
            let is_whole = ended.code == Some(0) && FRAMES - 2_000 < heard.exact;
            rounds.push(heard);
            if is_whole {
                break;
            }
        }
        let exact = rounds.iter().map(|heard| heard.exact).max().unwrap();
        assert!(FRAMES - 2_000 < exact, "period {period}: {rounds:?}");
    }
}
