//! The first minute of an ordinary user on Debian's desktop. PipeWire and WirePlumber run with the distribution's own
//! configuration, the user has a new home, and the window is used with the mouse. Thread: test.

use super::evidence::integers;
use super::{Service, await_ready, installed, module, spawn};
use crate::util::{is_root, read_wav, skip};
use faultless::session::TakeState;
use faultless::session::session_file::open_read_only;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user that tests of an ordinary user have.
const NOBODY: u32 = 65_534;

/// Limits that replace rtkit, which needs the system's bus. On Debian, rtkit grants a program of a desktop the real-time priority 20
/// and the nice value -11. Where root may not raise these limits, the user has no such rights.
const GRANTED: &str = "--rtprio=20:20 --nice=31:31";

/// The desktop has two sources and two sinks. The user has chosen the ones that are not first and have no more channels.
const NODES: [(&str, &str, &str, &str); 4] = [
    ("stage-box", "Stage Box", "Audio/Source/Virtual", "AUX0 AUX1 AUX2 AUX3 AUX4 AUX5 AUX6 AUX7"),
    ("microphone", "Desk Microphone", "Audio/Source/Virtual", "FL FR"),
    ("television", "Television", "Audio/Sink", "FL FR"),
    ("speakers", "Desk Speakers", "Audio/Sink", "FL FR"),
];

/// The file that lets the session's bus start the bus of AT-SPI.
const ACCESSIBILITY: &str = "/usr/share/dbus-1/services/org.a11y.Bus.service";

/// The programs of the desktop, and those with which the test asks it. AT-SPI is looked for elsewhere.
const PROGRAMS: [&str; 12] = [
    "dbus-daemon",
    "Xvfb",
    "openbox",
    "xdotool",
    "import",
    "pipewire",
    "wireplumber",
    "pw-dump",
    "pw-link",
    "pw-metadata",
    "pw-play",
    "pw-record",
];

/// PipeWire moves sound in blocks of this length, or of a multiple of it. A busy machine makes it leave out whole ones.
const BLOCK: usize = 256;

/// The folder of the sockets of X servers.
const X_SOCKETS: &str = "/tmp/.X11-unix";

/// The desktop of a user: the session's bus, a screen with a window manager, and the sound server.
struct Desktop {
    window: Option<Service>,
    /// Whether the user has the rights of [`GRANTED`].
    granted: bool,
    services: Vec<Service>,
    home: TempDir,
    runtime: TempDir,
    display: String,
}

impl Desktop {
    fn start() -> Result<Desktop, String> {
        installed(&PROGRAMS)?;
        module("pipewire")?;
        if !Path::new("/etc/alsa/conf.d/99-pipewire-default.conf").exists() {
            return Err("PipeWire is not the default of alsa-lib: pipewire-alsa is not installed".to_owned());
        }
        if Path::new("/dev/snd").exists() {
            return Err("there is a sound card, which would be chosen".to_owned());
        }
        let folder = |at: &Path, mode: u32| {
            let folder = tempfile::tempdir_in(at).map_err(|error| format!("{}: {error}", at.display()))?;
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            Ok::<_, String>(folder)
        };
        let (home, runtime) = (folder(&std::env::temp_dir(), 0o755)?, folder(Path::new("/dev/shm"), 0o700)?);
        let mut desk =
            Desktop { window: None, granted: is_root(), services: Vec::new(), home, runtime, display: String::new() };
        desk.furnish();
        let is_able = |desk: &Desktop| desk.command("true").output().is_ok_and(|output| output.status.success());
        desk.granted = is_root() && is_able(&desk);
        if !desk.granted && !is_able(&desk) {
            return Err("no program can be started as another user: setpriv".to_owned());
        }
        let readers = desk.command("/usr/bin/python3").arg(desk.home("readers.py")).arg("probe").output();
        if !readers.is_ok_and(|output| output.status.success()) || !Path::new(ACCESSIBILITY).exists() {
            return Err("AT-SPI is not here: at-spi2-core, gir1.2-atspi-2.0 and python3-gi".to_owned());
        }
        desk.switch_on();
        Ok(desk)
    }

    /// Puts the programs, where every user can reach them, and the server's nodes into the home.
    fn furnish(&self) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gui");
        let beside = ["faultless", "faultless-window"]
            .map(|name| Path::new(env!("CARGO_BIN_EXE_faultless")).with_file_name(name));
        for file in beside.iter().cloned().chain(["readers.py", "mouse.py"].map(|name| here.join(name))) {
            fs::copy(&file, self.home.path().join(file.file_name().unwrap())).unwrap();
        }
        let nodes = NODES.map(|(name, description, class, position)| {
            format!(
                "{{ factory = adapter args = {{ factory.name = support.null-audio-sink node.name = {name} \
                 node.description = \"{description}\" media.class = {class} object.linger = true \
                 audio.position = [ {position} ] }} }}\n"
            )
        });
        let parts = self.home(".config/pipewire/pipewire.conf.d");
        fs::create_dir_all(&parts).unwrap();
        fs::create_dir(self.home("Music")).unwrap();
        fs::write(parts.join("desk.conf"), format!("context.objects = [\n{}]\n", nodes.concat())).unwrap();
        if is_root() {
            let own = [".", ".config", ".config/pipewire", "Music"].map(|name| self.home(name));
            for path in own.iter().map(PathBuf::as_path).chain([self.runtime.path()]) {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
    }

    /// Starts what a login starts, and chooses the source and the sink as the settings of a desktop do.
    fn switch_on(&mut self) {
        // Only the X server of root makes this folder, and another user's has no socket without it.
        if fs::create_dir(X_SOCKETS).is_ok() {
            fs::set_permissions(X_SOCKETS, Permissions::from_mode(0o1777)).unwrap();
        }
        let screen = self.run("Xvfb", &["-displayfd", "1", "-screen", "0", "1440x930x24", "-nolisten", "tcp"]);
        // Beside the number there may be warnings.
        let number = || fs::read_to_string(&screen).ok()?.lines().find_map(|line| line.parse::<u32>().ok());
        await_ready("the screen", || number().is_some());
        self.display = format!(":{}", number().unwrap());
        // The bus starts the bus of AT-SPI, which needs the screen.
        let address = format!("--address=unix:path={}", self.runtime.path().join("bus").display());
        self.run("dbus-daemon", &["--session", "--nofork", &address]);
        await_ready("the session's bus", || self.runtime.path().join("bus").exists());
        self.run("openbox", &[]);
        self.run("pipewire", &[]);
        await_ready("pipewire", || self.runtime.path().join("pipewire-0").exists());
        self.run("wireplumber", &[]);
        await_ready("the nodes", || NODES.iter().all(|(name, ..)| self.answer("pw-link", &["-io"]).contains(name)));
        for (key, name) in [("audio.source", "microphone"), ("audio.sink", "speakers")] {
            let chosen = format!("{{\"name\":\"{name}\"}}");
            // WirePlumber takes the choice when it is ready.
            await_ready(&format!("the choice of {name}"), || {
                self.answer("pw-metadata", &["0", &format!("default.configured.{key}"), &chosen, "Spa:String:JSON"]);
                let in_force = self.answer("pw-metadata", &["0", &format!("default.{key}")]);
                in_force.contains(&format!("value:'{chosen}'"))
            });
        }
    }

    fn home(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command of the user.
    fn command(&self, program: &str) -> Command {
        let mut words = Vec::new();
        if is_root() {
            words.extend(
                "setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all --inh-caps=-all".split(' '),
            );
        }
        if self.granted {
            words.splice(0..0, std::iter::once("prlimit").chain(GRANTED.split(' ')));
        }
        words.push(program);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let bus = format!("unix:path={}", self.runtime.path().join("bus").display());
        command.env_clear().current_dir(self.home.path());
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8").env("HOME", self.home.path());
        command.env("XDG_RUNTIME_DIR", self.runtime.path()).env("DBUS_SESSION_BUS_ADDRESS", bus);
        command.env("DISPLAY", &self.display);
        command
    }

    /// Starts a program of the user that runs as long as the desk. Returns the file with what it says.
    fn run(&mut self, program: &str, arguments: &[&str]) -> PathBuf {
        let log = self.home(&format!("{program}.log"));
        self.services.push(spawn(self.command(program).args(arguments), &log));
        log
    }

    /// Starts the program as the desktop's menu does, without an argument.
    fn open_window(&mut self) {
        let program = self.home("faultless").display().to_string();
        self.window = Some(spawn(&mut self.command(&program), &self.home("faultless.log")));
    }

    fn answer(&self, program: &str, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.command(program).args(arguments).output().unwrap().stdout).into_owned()
    }

    /// Uses the window with the mouse, see `tests/gui/mouse.py`, and then takes a picture. Returns what the controls showed.
    fn mouse(&self, picture: &str, steps: &[&str]) -> String {
        let done = self.command("/usr/bin/python3").arg(self.home("mouse.py")).args(steps).output().unwrap();
        self.picture(picture);
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        println!("{picture}: {told}");
        let program = fs::read_to_string(self.home("faultless.log")).unwrap_or_default();
        assert!(done.status.success(), "{told}{}\nthe program: {program}", String::from_utf8_lossy(&done.stderr));
        told
    }

    fn picture(&self, name: &str) {
        let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("pictures").join("first-minute");
        fs::create_dir_all(&pictures).unwrap();
        let picture = self.command("import").args(["-window", "root", "-silent", "png:-"]).output().unwrap();
        fs::write(pictures.join(format!("{name}.png")), picture.stdout).unwrap();
    }

    /// Connects the ports of two nodes, the left ones and the right ones.
    fn connect(&self, from: &str, to: &str) {
        for side in ["FL", "FR"] {
            let [from, to] = [from, to].map(|port| format!("{port}_{side}"));
            await_ready(&format!("the connection from {from} to {to}"), || {
                self.answer("pw-link", &[&from, &to]);
                let links = self.answer("pw-link", &["-l"]);
                let mut behind =
                    links.lines().skip_while(|line| *line != from).skip(1).take_while(|line| line.starts_with(' '));
                behind.any(|line| line.ends_with(&to))
            });
        }
    }

    /// Process numbers of the engines that run. Each has a socket that is named after it.
    fn engines(&self) -> Vec<String> {
        let mut engines = Vec::new();
        let mut folders = vec![self.runtime.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                }
                engines.extend(
                    name.strip_prefix("engine-").and_then(|name| name.strip_suffix(".sock")).map(str::to_owned),
                );
            }
        }
        engines
    }
}

impl Drop for Desktop {
    /// Ends the window, then its engine, which outlives a window that is ended while it records, then the rest.
    fn drop(&mut self) {
        drop(self.window.take());
        for engine in self.engines() {
            Command::new("sh").args(["-c", &format!("kill {engine}")]).status().ok();
        }
        let until = Instant::now() + Duration::from_secs(5);
        while !self.engines().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        while let Some(service) = self.services.pop() {
            drop(service);
        }
    }
}

/// The sound that the microphone has: noise of 24 bits, a quarter of full scale, another one for each of two channels.
fn noise(seconds: usize) -> [Vec<i32>; 2] {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        for (left, shift) in [(true, 13), (false, 17), (true, 5)] {
            state ^= if left { state << shift } else { state >> shift };
        }
        (state >> 10) as i32 - (1 << 21)
    };
    let (left, right) = (0..48_000 * seconds).map(|_| (next(), next())).unzip();
    [left, right]
}

/// Writes the sound as a WAV file that every user can read.
fn write(file: &Path, [left, right]: &[Vec<i32>; 2]) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 24,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).unwrap();
    for sample in left.iter().zip(right).flat_map(|(left, right)| [left, right]) {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
}

/// A piece of a sound that is a piece of another sound.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    at: usize,
    of: usize,
    len: usize,
}

/// The pieces of `sound` that are pieces of `other`, in the order of `other`, and the number of samples that are neither
/// silent nor in a piece. Samples may differ by `tolerance`. The search ends at 5,000 wrong samples.
fn pieces(sound: &[i32], other: &[i32], tolerance: u32) -> (Vec<Piece>, usize) {
    const LEAST: usize = 16;
    let is = |a: i32, b: i32| a.abs_diff(b) <= tolerance;
    let (mut found, mut wrong) = (Vec::new(), 0);
    let (mut at, mut from) = (0, 0);
    while at < sound.len() && wrong < 5_000 {
        let begin = &sound[at..(at + LEAST).min(sound.len())];
        let place = (begin[0] != 0)
            .then(|| {
                other[from..].windows(begin.len()).position(|next| next.iter().zip(begin).all(|(a, b)| is(*a, *b)))
            })
            .flatten();
        if let Some(place) = place {
            let of = from + place;
            let len = sound[at..].iter().zip(&other[of..]).take_while(|(a, b)| is(**a, **b)).count();
            found.push(Piece { at, of, len });
            (at, from) = (at + len, of + len);
        } else {
            wrong += usize::from(begin[0] != 0);
            at += 1;
        }
    }
    (found, wrong)
}

/// Checks that a take is the sound of the source. Whole blocks that the server left out or silenced are permitted, at most
/// a tenth of the take.
fn is_the_source(take: &[i32], source: &[i32]) -> Result<Vec<Piece>, String> {
    let (pieces, wrong) = pieces(take, source, 0);
    let kept: usize = pieces.iter().map(|piece| piece.len).sum();
    // The noise has zeros of its own, so a piece may begin or end a sample late.
    let is_block = |frames: usize| (frames + 1) % BLOCK <= 2;
    let is_hole = |two: &[Piece]| {
        let (silent, left_out) = (two[1].at - two[0].at - two[0].len, two[1].of - two[0].of - two[0].len);
        is_block(silent) && is_block(left_out)
    };
    if wrong == 0 && kept * 10 >= take.len() * 9 && pieces.windows(2).all(is_hole) {
        Ok(pieces)
    } else {
        Err(format!("{wrong} wrong samples, {kept} of {} right ones, in {pieces:?}", take.len()))
    }
}

/// Checks that `heard` is the mix of two takes that are in the middle of the stage. Every start of playback fades in.
fn is_the_mix(heard: &[i32], takes: &[Vec<i32>; 2]) -> Result<(), String> {
    let half = |sum: i32| (f64::from(sum) * std::f64::consts::FRAC_1_SQRT_2).round() as i32;
    let mix: Vec<i32> = takes[0].iter().zip(&takes[1]).map(|(left, right)| half(left + right)).collect();
    let (pieces, wrong) = pieces(heard, &mix, 2);
    let right: usize = pieces.iter().map(|piece| piece.len).sum();
    // A busy machine makes playback run dry, and it fades out and in again.
    if wrong < 5_000 && mix.len() / 2 < right {
        Ok(())
    } else {
        Err(format!("{right} of {} frames were heard, {wrong} others, in {pieces:?}", mix.len()))
    }
}

/// The frames of two channels that `pw-record` has written so far.
fn recorded(file: &Path) -> [Vec<i32>; 2] {
    let bytes = fs::read(file).unwrap_or_default();
    let begin = bytes.windows(4).position(|word| word == b"data").map_or(bytes.len(), |at| (at + 8).min(bytes.len()));
    let samples: Vec<i32> = integers(&bytes[begin..], false).collect();
    [0, 1].map(|channel| samples.iter().skip(channel).step_by(2).copied().collect())
}

/// The two takes of the only session in the home. The session calls them complete, and without a page fault. An error: the server
/// has left out sound, and the session lists that.
fn takes(desk: &Desktop) -> Result<[Vec<i32>; 2], String> {
    let sessions: Vec<PathBuf> =
        fs::read_dir(desk.home("Music/Faultless")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    let mut takes = Vec::new();
    // The button shows the end of the recording, and the session is saved a moment later.
    await_ready("the session with its takes", || {
        takes = open_read_only(&sessions[0]).unwrap().takes().to_vec();
        takes.len() == 2 && takes.iter().all(|take| take.state != TakeState::Recording)
    });
    for take in &takes {
        let accounts = take.accounts.as_ref().unwrap();
        let faults = accounts.minor_faults + accounts.major_faults;
        assert_eq!((take.state, faults), (TakeState::Complete, 0), "{take:?}");
        assert!(accounts.device.contains("NODE=microphone"), "{accounts:?}");
        assert_eq!(take.losses.is_empty(), accounts.frames_lost == 0, "{take:?}");
        if accounts.frames_lost > 0 || accounts.xruns > 0 {
            return Err(format!("{:?}, {accounts:?}", take.losses));
        }
    }
    Ok([0, 1].map(|input| {
        let take = takes.iter().find(|take| take.inputs == [input]).unwrap();
        read_wav(&sessions[0].join(take.path())).1
    }))
}

/// The first minute was tried by hand only. A busy machine makes PipeWire leave out sound, so one of three must be without loss.
#[test]
fn minute_an_ordinary_user_opens_the_window_on_the_desktops_source_records_with_one_click_and_hears_it() {
    const NAME: &str = "servers::first_minute::minute_an_ordinary_user_opens_the_window_on_the_desktops_source_records_with_one_click_and_hears_it";
    let mut troubles = Vec::new();
    for _ in 0..3 {
        let mut desk = match Desktop::start() {
            Ok(desk) => desk,
            Err(reason) if troubles.is_empty() => return skip(NAME, &reason),
            Err(reason) => panic!("{reason}: {troubles:#?}"),
        };
        match first_minute(&mut desk) {
            Ok(()) => return,
            Err(trouble) => troubles.push(trouble),
        }
    }
    panic!("{troubles:#?}");
}

/// Records and plays on the desktop. An error is that of [`takes`].
fn first_minute(desk: &mut Desktop) -> Result<(), String> {
    desk.open_window();
    desk.mouse("1-open", &["shows", "Device", "Desk Microphone, 2 in"]);
    // Somebody speaks.
    let source = noise(90);
    let file = desk.home("noise.wav");
    write(&file, &source);
    desk.run("pw-play", &["--target=0", &file.display().to_string()]);
    desk.connect("pw-play:output", "microphone:input");
    desk.mouse("2-sound", &["shows", "Meter In 1", "dB", "shows", "Meter In 2", "dB"]);
    desk.mouse("3-recording", &["click", "Record", "on", "Record", "reaches", "Time", "00:00:04"]);
    let stop = ["press", "Stop", "off", "Record", "release", "shows", "Health", "2 tracks"];
    let stopped = desk.mouse("4-stopped", &stop);
    let sounds = takes(desk)?;
    assert!(stopped.contains("0 frames lost, 0 page faults, 0 xruns"), "{stopped}");
    let pieces = [0, 1].map(|input| {
        is_the_source(&sounds[input], &source[input]).unwrap_or_else(|fault| panic!("input {}: {fault}", input + 1))
    });
    println!("{} frames were recorded, in {} pieces", sounds[0].len(), pieces[0].len());
    assert_eq!((sounds[0].len(), pieces[0][0].of), (sounds[1].len(), pieces[1][0].of));
    // The monitor of the speakers has what they play.
    let heard = desk.home("heard.wav");
    let listen =
        ["-P", "{ stream.capture.sink = true }", "--target=speakers", "--rate=48000", "--channels=2", "--format=s32"];
    desk.run("pw-record", &[&listen[..], &[&heard.display().to_string()]].concat());
    desk.connect("speakers:monitor", "pw-record:input");
    await_ready("the listener", || recorded(&heard)[0].len() > 4_800);
    desk.mouse("5-playing", &["click", "Play", "on", "Play"]);
    let loud = |sound: &[i32]| sound.iter().filter(|sample| **sample != 0).count();
    let until = Instant::now() + Duration::from_secs(40);
    while loud(&recorded(&heard)[0]) < sounds[0].len() * 9 / 10 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
    }
    desk.picture("6-heard");
    for channel in recorded(&heard) {
        is_the_mix(&channel, &sounds).unwrap_or_else(|fault| panic!("the speakers: {fault}"));
    }
    Ok(())
}

#[test]
fn a_sound_with_a_wrong_sample_or_a_hole_of_any_length_is_not_the_source() {
    let source = &noise(1)[0];
    let take = &source[1_000..41_000];
    let is_refused = |take: Vec<i32>| is_the_source(&take, source).is_err();
    assert_eq!(is_the_source(take, source), Ok(vec![Piece { at: 0, of: 1_000, len: 40_000 }]));
    assert!(!is_refused([&take[..5_000], &take[5_000 + BLOCK..]].concat()), "the server left out a block");
    assert!(is_refused([&take[..5_000], &take[5_100..]].concat()), "frames are missing");
    assert!(is_refused([&take[..5_000], &[0; 100], &take[5_100..]].concat()), "frames are silent");
    assert!(is_refused([&take[..5_000], &[77], &take[5_001..]].concat()), "a sample is wrong");
    assert!(is_refused(noise(2)[0][60_000..90_000].to_vec()), "another sound");
    assert!(is_refused(vec![0; 40_000]), "silence");
    let takes = [take.to_vec(), noise(1)[1][1_000..41_000].to_vec()];
    let mix =
        |gain: f64| takes[0].iter().zip(&takes[1]).map(|(a, b)| (f64::from(a + b) * gain) as i32).collect::<Vec<_>>();
    assert_eq!(is_the_mix(&mix(std::f64::consts::FRAC_1_SQRT_2), &takes), Ok(()));
    assert!(is_the_mix(&mix(0.6), &takes).is_err() && is_the_mix(&vec![0; 40_000], &takes).is_err());
    assert!(is_the_mix(take, &takes).is_err(), "one of the tracks alone");
}
