//! The simulated sound card of these tests, an ALSA plugin whose state is a file: builds it, configures it, injects
//! faults. Thread: test.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const CHILD: &str = "FAULTLESS_TEST_CARD";
const SESSION_BUS: &str = "session-bus";

/// Faults of the card, as in pcm_clk.c.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    None = 0,
    Unplugged = 1,
    Stuck = 2,
    CaptureXrun = 3,
    PlaybackXrun = 4,
    UnpluggedForGood = 5,
    SilentLoss = 6,
    Busy = 7,
    Suspend = 8,
    Broken = 9,
}

/// The card's shared file.
pub(super) struct Bus(File);

impl Bus {
    pub(super) fn of(name: &str) -> Bus {
        let path = card_folder().join(name);
        Bus(File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap())
    }

    pub(super) fn inject(&self, fault: Fault, argument: u32) {
        self.0.write_at(&argument.to_ne_bytes(), 12).unwrap();
        self.0.write_at(&(fault as u32).to_ne_bytes(), 4).unwrap();
    }

    pub(super) fn number(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    }

    pub(super) fn lost(&self) -> u64 {
        self.number(24)
    }

    pub(super) fn xruns(&self) -> u64 {
        self.number(32)
    }

    /// Open PCMs of the card.
    pub(super) fn open(&self) -> u32 {
        self.number(68) as u32
    }

    pub(super) fn starts(&self) -> u32 {
        self.number(72) as u32
    }

    pub(super) fn set(&self, at: u64, value: i32) {
        self.0.write_at(&value.to_ne_bytes(), at).unwrap();
    }

    /// Plugs in a new card. PCMs of the previous one stay gone.
    pub(super) fn plug_in_busy(&self) {
        self.set(48, self.number(48) as i32 + 1);
    }

    pub(super) fn plug_in(&self) {
        self.plug_in_busy();
        self.inject(Fault::None, 0);
    }
}

/// The socket of the session bus in a process of [`on_a_test_card`].
pub(super) fn session_bus() -> PathBuf {
    card_folder().join(SESSION_BUS)
}

fn card_folder() -> PathBuf {
    PathBuf::from(std::env::var_os(CHILD).unwrap())
}

/// Runs `body` in a process of its own whose ALSA configuration has the test cards. `test` is the full name of the
/// test.
pub(super) fn on_a_test_card(test: &str, body: fn()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let plugin = match plugin() {
        Ok(plugin) => plugin,
        Err(reason) => return crate::util::skip(test, &reason),
    };
    // On tmpfs, because on a disk the kernel write-protects the card's page at each writeback. The next store would
    // then fault on the audio thread, because of the test and not because of the device.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let config = folder.path().join("asound.conf");
    fs::write(&config, configuration(&plugin, folder.path())).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, folder.path())
        .env("ALSA_CONFIG_PATH", &config)
        // The user's own bus is not touched. Nothing listens here unless a test starts a bus.
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", folder.path().join(SESSION_BUS).display()))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    println!("{text}");
}

/// The plugin's library, built once per process.
pub(crate) fn plugin() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

/// Builds the plugin if its source is newer than the library.
fn build() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alsa/pcm_clk.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libasound_module_pcm_clk.so");
    let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    if changed(&source) < changed(&library) {
        return Ok(library);
    }
    // Built under a temporary name, because another process may be building it too.
    let built = library.with_extension(format!("{}.so", std::process::id()));
    let gcc = Command::new("gcc")
        .args(["-O2", "-Wall", "-shared", "-fPIC", "-DPIC", "-o"])
        .args([&built, &source])
        .arg("-lasound")
        .output()
        .map_err(|e| format!("gcc: {e}"))?;
    if !gcc.status.success() {
        let text = String::from_utf8_lossy(&gcc.stderr).into_owned();
        assert!(text.contains("asoundlib.h") || text.contains("-lasound"), "{text}");
        return Err("libasound's headers are missing".to_owned());
    }
    fs::rename(&built, &library).unwrap();
    Ok(library)
}

fn configuration(plugin: &Path, folder: &Path) -> String {
    let mut text = format!("</usr/share/alsa/alsa.conf>\npcm_type.clk {{ lib \"{}\" }}\n", plugin.display());
    let mut card = |name: &str, bus: &str, fields: &str| {
        let bus = folder.join(bus);
        let hint = format!("hint {{ show on description \"Test card {name}\" }}");
        writeln!(text, "pcm.{name} {{ type clk bus \"{}\" {fields} {hint} }}", bus.display()).unwrap();
    };
    for access in ["m", "r", "n"] {
        card(&format!("ramp_{access}"), "ramp", &format!("channels 6 rate 48000 ramp 1 access \"{access}\""));
        card(&format!("loop_{access}"), "loop", &format!("channels 4 rate 8000 delay 64 access \"{access}\""));
        card(&format!("hw_{access}"), "hw", &format!("channels 6 rate 48000 ramp 1 kernel 1 access \"{access}\""));
        card(&format!("hwloop_{access}"), "hwloop", &format!("channels 4 rate 8000 kernel 1 access \"{access}\""));
    }
    card("slow", "slow", "channels 4 rate 8000 kernel 1 access \"m\"");
    card("step", "step", "channels 6 rate 48000 ramp 1 step 192");
    card("served", "served", "channels 6 rate 48000 ramp 1 step 64 served 1 access \"m\"");
    card("short", "short", "channels 4 rate 8000 periods 3 access \"m\"");
    card("elastic", "elastic", "channels 2 most 8 rate 48000 ramp 1");
    card("wide", "wide", "channels 24 rate 48000 ramp 1");
    // A name that belongs to a card with a number, and is one of the simulated cards here.
    let front = folder.join("front");
    let card_of_number = format!(
        "pcm.!front {{ @args [ CARD ] @args.CARD {{ type string default \"0\" }} type clk bus \"{}\" channels 2 \
         rate 48000 ramp 1 access \"m\" }}\n",
        front.display()
    );
    text + &card_of_number
        + "pcm.wrong { type hw server \"none\" card 0 }\n"
        + "pcm.converted { type rate slave { pcm \"ramp_m\" rate 48000 } }\n"
        + "pcm.desk { type asym capture.pcm \"hwloop_m\" playback.pcm \"loop_m\" }\n"
        + "pcm.mic { type asym capture.pcm \"ramp_m\" }\npcm.speaker { type asym playback.pcm \"loop_m\" }\n"
}
