//! Helpers of the end-to-end tests: starting the program, checking its output, making sessions, comparing takes with
//! the ramp. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::waiting;
use faultless::device::signal::ramp;
use faultless::format::TakeFormat;
use faultless::session::session_file::{OpenSession, open_read_only};
use faultless::session::{Session, Take, TakeState};
use faultless::time::SampleRate;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The longest time that the program may take for these tests, also on a busy computer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A buffer so deep that a busy computer makes no xrun that a test did not order.
pub(crate) const DEEP: &str = "--buffer 960000";

/// A temporary folder on the disk of the build. Dropping it removes it.
pub(crate) fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says that a test cannot run here. packaging/run_tests.py counts the test as skipped by this line; the test returns.
pub(crate) fn skip(what: &str, reason: &str) {
    eprintln!("SKIPPED {what}: {reason}");
}

/// Says that a part of a test cannot run here. The rest of the test runs and counts.
pub(crate) fn skip_part(what: &str, reason: &str) {
    eprintln!("PART SKIPPED {what}: {reason}");
}

/// The program with a mode, a path, and further arguments separated by blanks.
pub(crate) fn faultless(mode: &str, path: &Path, arguments: &str) -> Command {
    with_program(Command::new(env!("CARGO_BIN_EXE_faultless")), mode, path, arguments)
}

/// The program in mode `record`, with the ramp as its input.
pub(crate) fn record(path: &Path, arguments: &str) -> Command {
    faultless("record", path, &format!("--signal ramp --json {arguments}"))
}

/// Adds a mode, a path and arguments to a command that names the program already. The program has the capabilities of this
/// machine, except for those that `FAULTLESS_TEST_WITHOUT` names: so every test can be run with a fallback.
pub(crate) fn with_program(mut command: Command, mode: &str, path: &Path, arguments: &str) -> Command {
    command.env_remove("FAULTLESS_WITHOUT").arg(mode).arg(path).args(arguments.split_whitespace());
    if let Some(without) = std::env::var_os("FAULTLESS_TEST_WITHOUT") {
        command.env("FAULTLESS_WITHOUT", without);
    }
    command
}

/// A command that starts another command.
pub(crate) fn before(words: &str, command: &Command) -> Command {
    let mut words = words.split_whitespace();
    let mut outer = Command::new(words.next().unwrap());
    outer.args(words).arg(command.get_program()).args(command.get_args()).env_remove("FAULTLESS_WITHOUT");
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(key, value);
        }
    }
    outer
}

/// A running program. Dropping it kills the program.
pub(crate) struct Started {
    child: Child,
    out: File,
    err: File,
    shown: String,
}

/// The result of a program that has ended.
pub(crate) struct Run {
    /// Exit status; `None`: killed by a signal.
    pub(crate) code: Option<i32>,
    /// Text on standard output.
    pub(crate) out: String,
    /// Text on standard error.
    pub(crate) err: String,
    shown: String,
}

/// Starts a program with its output in files, so that it never waits for the test to read.
pub(crate) fn start(mut command: Command) -> Started {
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let shown = format!("{command:?}");
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    Started { child, out, err, shown }
}

/// Runs a program to its end.
pub(crate) fn run(command: Command) -> Run {
    start(command).wait(PATIENCE)
}

impl Started {
    /// Number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, given by name.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.pid())]).status().unwrap();
        assert!(done.success());
    }

    /// The text on standard error so far.
    pub(crate) fn said(&self) -> String {
        let bytes = fs::read(format!("/proc/self/fd/{}", self.err.as_raw_fd())).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the program has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until the program ends. Kills it after `patience` and fails.
    pub(crate) fn wait(mut self, patience: Duration) -> Run {
        let ended = waiting::ended(&mut self.child, patience);
        if ended.is_none() {
            waiting::kill(&mut self.child);
        }
        let (out, err) = (text(&mut self.out), text(&mut self.err));
        let Some(status) = ended else { panic!("{}: not done after {patience:?}\n{out}{err}", self.shown) };
        Run { code: status.code(), out, err, shown: std::mem::take(&mut self.shown) }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Usually the program has ended already.
        waiting::kill(&mut self.child);
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Run {
    /// Checks that the program succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> Run {
        assert_eq!(self.code, Some(0), "{}\n{}{}", self.shown, self.out, self.err);
        self
    }

    /// The last line of standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.out.ends_with('\n'), "{}\n{}{}", self.shown, self.out, self.err);
        let last = self.out.lines().last().unwrap();
        let value: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"));
        assert!(value.is_object(), "{last}");
        value
    }

    /// Checks that the program failed with one line `faultless: ` that contains each of `words`.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) {
        let told = format!("{}\nstatus {:?}\n{}{}", self.shown, self.code, self.out, self.err);
        assert!(matches!(self.code, Some(1..=2)), "{told}");
        let lines: Vec<&str> = self.err.lines().filter(|line| line.starts_with("faultless: ")).collect();
        assert_eq!(lines.len(), 1, "{told}");
        assert_eq!(self.err.lines().last(), Some(lines[0]), "{told}");
        for word in words {
            assert!(lines[0].contains(word), "'{word}' is not in it\n{told}");
        }
        assert!(self.out.is_empty(), "{told}");
    }
}

/// Opens a session, changes it with `change`, and saves it.
pub(crate) fn edit(folder: &Path, change: impl FnOnce(&mut Session)) {
    let (mut store, mut session) = OpenSession::open(folder).unwrap();
    change(&mut session);
    store.save(&session).unwrap();
}

/// Makes a session with tracks of one input each, which hold the ramp from the device's frame 0 on.
pub(crate) fn recorded_ramp(folder: &Path, inputs: usize, frames: u64) {
    let seconds = frames as f64 / 48_000.0;
    let arguments = format!("--device virtual:free --inputs {inputs} --seconds {seconds}");
    assert_eq!(run(record(folder, &arguments)).done().json()["frames"], frames);
}

/// Makes a session with two tracks of the ramp, the first on the left, the second on the right. Their inputs do not exist, so
/// that an overdub records other tracks.
pub(crate) fn two_sides_of_the_ramp(folder: &Path, frames: u64) {
    recorded_ramp(folder, 2, frames);
    edit(folder, |session| {
        let tracks: Vec<_> = session.track_ids().collect();
        for (index, track) in tracks.into_iter().enumerate() {
            let track = session.track_mut(track).unwrap();
            track.set_pan([-1.0, 1.0][index]);
            track.set_inputs(&[40 + index as u32]).unwrap();
            track.armed = false;
        }
    });
}

/// A new session with a track for each list of inputs, all armed.
pub(crate) fn new_session(folder: &Path, rate: u32, format: TakeFormat, tracks: &[&[u32]]) {
    let (mut store, mut session) = OpenSession::create(folder, "test", SampleRate(rate), format).unwrap();
    for (index, inputs) in tracks.iter().enumerate() {
        let id = session.add_track(&format!("Track {}", index + 1), inputs).unwrap();
        session.track_mut(id).unwrap().armed = true;
    }
    store.save(&session).unwrap();
}

/// Every file below a folder with its bytes, except session locks.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            // A lock file names the program that has the session open. It is no content.
            if path.file_name() != Some(OsStr::new("session.lock")) {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The result of checking all takes of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Number of takes.
    pub(crate) takes: usize,
    /// Frames of each take.
    pub(crate) frames: u64,
    /// Lost frames of the take that lost most.
    pub(crate) lost: u64,
    /// The device's frame, modulo 2^24, that is frame 0 of each take; 0 if all is silent.
    pub(crate) began: u64,
}

/// Compares every sample of every take of a session with the ramp. A frame that the session lists as lost must be
/// silent. Takes of a pass must have the same length and start, and no take may leave a spool.
#[track_caller]
pub(crate) fn check(folder: &Path) -> Vec<Checked> {
    let session = open_read_only(folder).unwrap();
    let mut passes: BTreeMap<u32, Checked> = BTreeMap::new();
    for take in session.takes().iter().filter(|take| !session.is_continuation(take)) {
        let (mut lost, mut began) = check_take(folder, take);
        // A continuation begins with the frame after the last one of the take before it.
        let (mut last, mut frames) = (take, take.frames.0);
        while let Some(next) = session.continuation_of(last) {
            let (more, there) = check_take(folder, next);
            assert_eq!((next.offset.0, next.start.0), (frames, take.start.0 + frames), "{}", next.path());
            assert!(there.is_none_or(|there| began.is_none_or(|began| there == began + frames)), "{}", next.path());
            began = began.or(there.map(|there| there - frames));
            (last, frames, lost) = (next, frames + next.frames.0, lost + more);
        }
        let found = Checked { takes: 1, frames, lost, began: began.unwrap_or(0) };
        passes
            .entry(take.pass)
            .and_modify(|pass| {
                assert_eq!((pass.frames, pass.began), (found.frames, found.began), "{}", take.file);
                pass.takes += 1;
                pass.lost = pass.lost.max(lost);
            })
            .or_insert(found);
        for spool in spools(take) {
            assert!(!spool.exists(), "{} was left behind", spool.display());
        }
    }
    assert!(!passes.is_empty(), "{}: no takes", folder.display());
    passes.into_values().collect()
}

/// Paths at which the spool of a take may be.
pub(crate) fn spools(take: &Take) -> Vec<PathBuf> {
    let name = format!("{}.spool", take.uuid);
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
    places
        .flat_map(|place| fs::read_dir(place).into_iter().flatten().flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("faultless-"))
        .map(|entry| entry.path().join(&name))
        .collect()
}

/// Checks one take as any program that reads WAV files sees it. Returns its lost frames and the device's frame of its
/// frame 0.
#[track_caller]
fn check_take(folder: &Path, take: &Take) -> (u64, Option<u64>) {
    let path = folder.join(take.path());
    let (spec, samples) = read_wav(&path);
    assert_eq!(u32::from(spec.channels), take.channels, "{}", take.file);
    assert_eq!(spec.sample_rate, take.rate.0, "{}", take.file);
    let channels = take.channels as usize;
    assert_eq!((samples.len() / channels) as u64, take.frames.0, "{}: length", take.file);
    let bytes = take.frames.0 * (take.format.bytes() * channels) as u64;
    assert_eq!(fs::metadata(&path).unwrap().len(), 4096 + bytes + bytes % 2, "{}: bytes of the file", take.file);
    let (mut lost, mut silent) = (0, vec![false; take.frames.0 as usize]);
    for loss in &take.losses {
        lost += loss.frames.0;
        silent[loss.at.0 as usize..][..loss.frames.0 as usize].fill(true);
    }
    // The accounts of a recording that was cut off are not known.
    let unknown = (take.state == TakeState::Recovered).then_some(lost);
    assert_eq!(take.accounts.as_ref().map(|accounts| accounts.frames_lost).or(unknown), Some(lost), "{}", take.file);
    let began = first_frame(take, &samples, &silent);
    for (frame, values) in samples.chunks_exact(channels).enumerate() {
        for (value, input) in values.iter().zip(&take.inputs) {
            let want = match began {
                Some(began) if !silent[frame] => {
                    stored(ramp(began + frame as u64, u64::from(*input)), spec.bits_per_sample)
                }
                _ => 0,
            };
            assert_eq!(*value, want, "{}: frame {frame} of {}, input {input}", take.file, take.frames.0);
        }
    }
    (lost, began)
}

/// The device's frame that is frame 0 of a take, calculated from the first frames that were not lost. A 16-bit take
/// lacks the ramp's low bits, so the place where its value changes is used.
fn first_frame(take: &Take, samples: &[i32], silent: &[bool]) -> Option<u64> {
    const ROUND: u64 = 1 << 24;
    let first = silent.iter().position(|silent| !silent)?;
    let input = u64::from(take.inputs[0]);
    let value = |frame: usize| samples[frame * take.channels as usize];
    let from_value = |frame: usize, value: i32| {
        let step = input * faultless::device::signal::RAMP_CHANNEL_STEP;
        ((i64::from(value) + (1 << 23)) as u64 + 2 * ROUND - frame as u64 % ROUND - step % ROUND) % ROUND
    };
    if take.format != TakeFormat::S16 {
        return Some(from_value(first, value(first)));
    }
    let turn = (first + 1..silent.len()).find(|frame| !silent[*frame] && value(*frame) != value(frame - 1))?;
    // The smallest value that rounds to it.
    Some(from_value(turn, (value(turn) << 8) - 128))
}

/// A sample of the ramp as a take with `bits` bits stores it: rounded, and clamped at the top.
pub(crate) fn stored(value: i32, bits: u16) -> i32 {
    if bits == 16 { ((value + 128) >> 8).min(32_767) } else { value }
}

/// Reads a WAV file with `hound`. Float samples must be 24-bit integers and are converted to them.
#[track_caller]
pub(crate) fn read_wav(path: &Path) -> (hound::WavSpec, Vec<i32>) {
    let reader = hound::WavReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let spec = reader.spec();
    let samples = match spec.sample_format {
        hound::SampleFormat::Int => reader.into_samples::<i32>().map(Result::unwrap).collect(),
        hound::SampleFormat::Float => reader
            .into_samples::<f32>()
            .map(|sample| {
                let wide = sample.unwrap() * 8_388_608.0;
                assert_eq!(wide.fract(), 0.0, "{}: {wide} is no 24-bit integer", path.display());
                wide as i32
            })
            .collect(),
    };
    (spec, samples)
}

/// The program run by a user without rights: no real-time class, no capability, `memlock` KiB of locked memory, and a
/// folder of their own. `None` where this computer cannot do that.
pub(crate) fn stranger(memlock_kib: u64) -> Option<Stranger> {
    const NOBODY: u32 = 65_534;
    // Every user must be able to reach the program, so it is copied out of the build folder.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("faultless");
    fs::copy(env!("CARGO_BIN_EXE_faultless"), &program).unwrap();
    for path in [folder.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let bytes = memlock_kib * 1024;
    let limits = format!("prlimit --memlock={bytes}:{bytes} --rtprio=0:0 --");
    let words = if is_root() {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        format!(
            "setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --bounding-set=-all --inh-caps=-all --reset-env \
             {limits}"
        )
    } else {
        limits
    };
    let stranger = Stranger { folder, program, words };
    let mut version = Command::new(&stranger.program);
    version.arg("--version");
    let able = before(&stranger.words, &version).output().is_ok_and(|output| output.status.success());
    able.then_some(stranger)
}

/// A user without rights, made by [`stranger`].
pub(crate) struct Stranger {
    folder: TempDir,
    program: PathBuf,
    words: String,
}

impl Stranger {
    /// The user's own folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program, started by this user.
    pub(crate) fn program(&self, mode: &str, path: &Path, arguments: &str) -> Command {
        before(&self.words, &with_program(Command::new(&self.program), mode, path, arguments))
    }
}

/// A script of tests/stress.
pub(crate) fn stress_script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stress").join(name)
}

/// The exit status of a script that is not permitted here, and has said why in a line `skip: NAME: REASON`.
const SCRIPT_SKIPS: i32 = 77;

/// How long an image may take to be unmounted, with all the deadlines of image.sh.
const IMAGE_DOWN: Duration = Duration::from_secs(60);

/// Ends a test that finds out deep inside that it cannot run here. Only packaging/run_tests.py, which gives each test a
/// process of its own, takes that as skipped; elsewhere other tests may share the process, and the test fails.
fn not_here(told: &str) -> ! {
    let reason = told.trim().trim_start_matches("skip: ");
    assert!(std::env::var_os("FAULTLESS_TEST_MARK").is_some(), "this cannot be had here: {reason}");
    skip("an image", reason);
    std::process::exit(SCRIPT_SKIPS);
}

/// A mounted file system in an image. Dropping it unmounts and removes it. Needs root.
pub(crate) struct Image {
    at: PathBuf,
    _place: TempDir,
}

impl Image {
    /// Makes and mounts a file system of this type and size.
    pub(crate) fn up(fs: &str, size: &str) -> Image {
        let place = place();
        let at = place.path().join("disk");
        let up = Command::new(stress_script("image.sh")).args(["up", fs, size]).arg(&at).output().unwrap();
        if up.status.code() == Some(SCRIPT_SKIPS) {
            not_here(&String::from_utf8_lossy(&up.stdout));
        }
        assert!(up.status.success(), "{fs}: {up:?}");
        Image { at, _place: place }
    }

    /// The mount point.
    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Mounts the file system again with other options.
    pub(crate) fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.at).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let mut down = Command::new(stress_script("image.sh"));
        down.arg("down").arg(&self.at);
        let told = match waiting::finished(&mut down, IMAGE_DOWN) {
            Ok(down) if down.status.success() => return,
            Ok(down) => String::from_utf8_lossy(&down.stderr).into_owned(),
            Err(late) => late,
        };
        eprintln!("{}: was not unmounted: {told}", self.at.display());
        waiting::unmount(&self.at);
    }
}
