//! Explains why a PCM cannot be opened: no card, no permission, or another program that holds it. Thread: opener,
//! reconnect, control.

use super::configuration::{configuration_fault, first_said};
use super::name::{card_of, hardware_address};
use super::pcm::{Want, system_says};
use crate::device::DeviceError;
use ::alsa::Direction;
use nix::unistd::{AccessFlags, access};
use std::fmt;
use std::fs;
use std::path::Path;

/// The sound cards of the machine, and whether this user may open them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cards {
    /// There is no sound card.
    Absent,
    /// There are cards, but this user may not open them. ALSA itself reports that there are none.
    Forbidden {
        /// Names of the cards.
        names: Vec<String>,
    },
    /// There are cards, and this user may open them.
    Present {
        /// Names of the cards.
        names: Vec<String>,
    },
}

impl fmt::Display for Cards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cards::Absent => f.write_str("this machine has no sound card"),
            Cards::Forbidden { names } => write!(
                f,
                "no permission to use the sound card ({}): /dev/snd may not be opened; \
                 add yourself to the group 'audio' or log in at the machine itself",
                names.join(", ")
            ),
            Cards::Present { names } => write!(f, "the sound cards are: {}", names.join(", ")),
        }
    }
}

/// The cards according to the kernel. ALSA does not list cards that this user may not open.
pub fn cards() -> Cards {
    cards_in(Path::new("/proc/asound"), Path::new("/dev/snd"))
}

/// The error for a PCM whose opening failed with `errno`. `said` is what alsa-lib has written meanwhile.
pub(super) fn open_error(want: &Want<'_>, errno: i32, said: &str) -> DeviceError {
    let name = want.device.to_owned();
    let failed = |reason: String| DeviceError::Failed { name: name.clone(), call: "snd_pcm_open", reason };
    match errno {
        libc::EBUSY => {
            let part = (want.device.strip_prefix("alsa:") != Some(want.pcm)).then_some(match want.direction {
                Direction::Capture => "inputs",
                Direction::Playback => "outputs",
            });
            DeviceError::Busy { name, part, holder: holder_of(want.pcm, want.direction), instead: None }
        }
        libc::EACCES | libc::EPERM => failed(format!("{}; {}", system_says(errno), cards())),
        libc::EHOSTDOWN | libc::ECONNREFUSED => {
            failed(format!("{}; the sound server behind it is not running", system_says(errno)))
        }
        libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::EINVAL => match (configuration_fault(), cards()) {
            (Some(fault), _) => failed(fault),
            // A name that does not exist has another number.
            (None, _) if errno == libc::EINVAL && !said.trim().is_empty() && !lacks_direction(said) => failed(format!(
                "ALSA says: {}; if the device is defined in ~/.asoundrc or /etc/asound.conf, correct it there",
                first_said(said).unwrap_or_default()
            )),
            (None, forbidden @ Cards::Forbidden { .. }) => failed(forbidden.to_string()),
            (None, cards) => {
                let says = reason_in(said, want.pcm).map_or_else(String::new, |text| format!("ALSA says: {text}; "));
                let hint = format!("{says}{cards}; 'faultless devices' lists what can be opened");
                DeviceError::Unknown { name, hint }
            }
        },
        _ => failed(system_says(errno)),
    }
}

/// Whether alsa-lib said that a PCM has no device for this direction. Such a PCM is defined rightly: a microphone has no
/// playback, an encoder has no capture.
fn lacks_direction(said: &str) -> bool {
    ["slave is not defined", "is only for playback", "is only for capture"].iter().any(|words| said.contains(words))
}

/// The words of alsa-lib about a device that it does not find, unless they are no more than the name of the device.
fn reason_in<'s>(said: &'s str, pcm: &str) -> Option<&'s str> {
    first_said(said).filter(|text| text.strip_prefix("Unknown PCM ") != Some(pcm))
}

fn cards_in(proc_asound: &Path, dev_snd: &Path) -> Cards {
    let names: Vec<String> = fs::read_to_string(proc_asound.join("cards"))
        .unwrap_or_default()
        .lines()
        // " 0 [Loopback       ]: Loopback - Loopback", followed by a line of details without a bracket.
        .filter_map(|line| line.split_once("]: ").map(|(_, name)| name.trim().to_owned()))
        .collect();
    if names.is_empty() {
        return Cards::Absent;
    }
    let mut nodes = fs::read_dir(dev_snd).into_iter().flatten().flatten().map(|entry| entry.path());
    let usable = nodes.any(|node| {
        let is_control = node.file_name().is_some_and(|name| name.to_string_lossy().starts_with("controlC"));
        is_control && access(&node, AccessFlags::R_OK | AccessFlags::W_OK).is_ok()
    });
    if usable { Cards::Present { names } } else { Cards::Forbidden { names } }
}

/// Whether the program that holds a device may be a sound server. `holder`: its name, if it is known.
pub(super) fn may_be_server(holder: Option<&str>) -> bool {
    const SERVERS: [&str; 3] = ["pipewire", "wireplumber", "pulseaudio"];
    let is_server = |holder: &str| SERVERS.iter().any(|server| holder.to_ascii_lowercase().starts_with(server));
    holder.is_none_or(is_server)
}

/// Whether `holder`, of [`holder_of`], is this program.
pub(super) fn is_this_program(holder: &str) -> bool {
    holder.ends_with(&in_process(&std::process::id().to_string()))
}

fn in_process(process: &str) -> String {
    format!(" (process {process})")
}

/// The program that holds a card's PCM, e.g. "jackd (process 1234)".
pub(super) fn holder_of(pcm: &str, direction: Direction) -> Option<String> {
    holder_in(Path::new("/proc"), pcm, direction)
}

fn holder_in(proc: &Path, pcm: &str, direction: Direction) -> Option<String> {
    let card = card_of(pcm)?;
    let suffix = match direction {
        Direction::Capture => 'c',
        Direction::Playback => 'p',
    };
    let asound = proc.join("asound");
    // /proc/asound has a directory cardN for every card and a link to it under the card's id.
    let card_folder =
        if card.chars().all(|c| c.is_ascii_digit()) { asound.join(format!("card{card}")) } else { asound.join(card) };
    // Names such as `hdmi:CARD=PCH,DEV=1` have another number than the device of the kernel.
    let device = hardware_address(pcm).map(|(_, device)| format!("pcm{device}{suffix}"));
    let is_of_pcm = |name: &str| {
        device.as_deref().map_or_else(|| name.starts_with("pcm") && name.ends_with(suffix), |device| name == device)
    };
    let devices = fs::read_dir(card_folder).ok()?.flatten();
    let devices = devices.filter(|device| device.file_name().to_str().is_some_and(is_of_pcm));
    let substreams = devices.filter_map(|device| fs::read_dir(device.path()).ok()).flatten();
    substreams.flatten().find_map(|substream| {
        let status = fs::read_to_string(substream.path().join("status")).ok()?;
        let thread = field(&status, "owner_pid")?;
        // `owner_pid` is the thread that opened the device.
        let of_thread = fs::read_to_string(proc.join(thread).join("status")).ok();
        let process = of_thread.as_deref().and_then(|status| field(status, "Tgid")).unwrap_or(thread);
        let name = fs::read_to_string(proc.join(process).join("comm")).ok()?;
        Some(format!("{}{}", name.trim(), in_process(process)))
    })
}

/// The value of `key` in lines of the form "key : value".
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn the_holder_of_a_busy_card_is_named() {
        let proc = tempfile::tempdir().unwrap();
        let substream = proc.path().join("asound/card1/pcm0c/sub0");
        create_dir_all(&substream).unwrap();
        create_dir_all(proc.path().join("77")).unwrap();
        create_dir_all(proc.path().join("70")).unwrap();
        write(substream.join("status"), "state: RUNNING\nowner_pid   : 77\ntrigger_time: 1.5\n").unwrap();
        write(proc.path().join("77/status"), "Name:\tdata-loop\nTgid:\t70\n").unwrap();
        write(proc.path().join("70/comm"), "jackd\n").unwrap();
        let holder = |direction| holder_in(proc.path(), "hw:1,0", direction);
        assert_eq!(holder(Direction::Capture).as_deref(), Some("jackd (process 70)"));
        assert_eq!(holder(Direction::Playback), None);
        assert!(is_this_program(&format!("faultless (process {})", std::process::id())));
        assert!(!is_this_program("jackd (process 0)"));
    }

    /// The error said "another program".
    #[test]
    fn the_holder_of_a_port_for_a_monitor_is_named() {
        let proc = tempfile::tempdir().unwrap();
        let substream = proc.path().join("asound/PCH/pcm7p/sub0");
        create_dir_all(&substream).unwrap();
        create_dir_all(proc.path().join("asound/PCH/pcm0c/sub0")).unwrap();
        create_dir_all(proc.path().join("70")).unwrap();
        write(substream.join("status"), "state: RUNNING\nowner_pid   : 70\n").unwrap();
        write(proc.path().join("70/comm"), "jackd\n").unwrap();
        for pcm in ["hdmi:CARD=PCH,DEV=1", "iec958:CARD=PCH", "surround51:CARD=PCH,DEV=0", "default:CARD=PCH"] {
            let holder = |direction| holder_in(proc.path(), pcm, direction);
            assert_eq!(holder(Direction::Playback).as_deref(), Some("jackd (process 70)"), "{pcm}");
            assert_eq!(holder(Direction::Capture), None, "{pcm}");
        }
        assert_eq!(holder_in(proc.path(), "hw:CARD=PCH,DEV=0", Direction::Playback), None);
    }

    /// The advice to use the sound server came also when a recorder held the card.
    #[test]
    fn a_recorder_that_holds_a_device_is_no_sound_server() {
        for server in
            ["pipewire (process 7)", "PipeWire Media Server", "PulseAudio Sound Server", "wireplumber (process 1)"]
        {
            assert!(may_be_server(Some(server)), "{server}");
        }
        assert!(may_be_server(None));
        for other in ["arecord (process 7)", "the program that asked for it", "jackd (process 1)"] {
            assert!(!may_be_server(Some(other)), "{other}");
        }
    }

    #[test]
    fn a_missing_card_and_a_missing_permission_are_different_errors() {
        let root = tempfile::tempdir().unwrap();
        let (proc, dev) = (root.path().join("proc"), root.path().join("dev"));
        create_dir_all(&proc).unwrap();
        create_dir_all(&dev).unwrap();
        assert_eq!(cards_in(&proc, &dev), Cards::Absent);
        write(proc.join("cards"), "--- no soundcards ---\n").unwrap();
        assert_eq!(cards_in(&proc, &dev), Cards::Absent);
        let text = " 0 [UMC            ]: USB-Audio - UMC1820\n                      Behringer at usb-1\n";
        write(proc.join("cards"), text).unwrap();
        let names = vec!["USB-Audio - UMC1820".to_owned()];
        // The node is missing, so it cannot be opened even by root.
        assert_eq!(cards_in(&proc, &dev), Cards::Forbidden { names: names.clone() });
        write(dev.join("controlC0"), "").unwrap();
        assert_eq!(cards_in(&proc, &dev), Cards::Present { names });
    }
}
