//! Which sound cards and ALSA devices there are, what they can do, and who holds them. Thread: control.

use super::open::split_names;
use super::side::{FORMATS, RATES, Want, errno, pcm_format, system_says};
use crate::device::DeviceError;
use crate::format::DeviceFormat;
use ::alsa::card::Card;
use ::alsa::ctl::{Ctl, DeviceIter};
use ::alsa::device_name::HintIter;
use ::alsa::pcm::{Access, HwParams, PCM};
use ::alsa::{Direction, Output};
use nix::unistd::{AccessFlags, access};
use std::fmt;
use std::fs;
use std::path::Path;

/// A device that can be opened by its name.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What to give after `--device`: `alsa:NAME`.
    pub name: String,
    /// What the driver or the configuration calls it.
    pub title: String,
    /// Whether it is a card's own device rather than one made by the configuration.
    pub hardware: bool,
    /// Its inputs, if it has any.
    pub capture: Option<Listing>,
    /// Its outputs, if it has any.
    pub playback: Option<Listing>,
}

/// One direction of a [`Listed`] device.
#[derive(Clone, Debug)]
pub enum Listing {
    /// It can be opened.
    Free(Abilities),
    /// Another program has it.
    Busy {
        /// Which, where that can be told.
        holder: Option<String>,
    },
    /// It cannot be opened.
    Refused {
        /// What the system said.
        reason: String,
    },
}

/// What one direction of a device can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Fewest channels.
    pub channels_min: u32,
    /// Most channels; equal to the fewest for most interfaces.
    pub channels_max: u32,
    /// Rates it runs at by itself, of the usual ones.
    pub rates: Vec<u32>,
    /// Formats it speaks, of those this program does.
    pub formats: Vec<DeviceFormat>,
    /// Whether its memory can be mapped.
    pub mapped: bool,
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listing::Free(abilities) => abilities.fmt(f),
            Listing::Busy { holder: Some(holder) } => write!(f, "in use by {holder}"),
            Listing::Busy { holder: None } => f.write_str("in use by another program"),
            Listing::Refused { reason } => write!(f, "cannot be opened: {reason}"),
        }
    }
}

impl fmt::Display for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.channels_min == self.channels_max {
            write!(f, "{} channels", self.channels_max)?;
        } else {
            write!(f, "{} to {} channels", self.channels_min, self.channels_max)?;
        }
        let rates: Vec<String> = self.rates.iter().map(ToString::to_string).collect();
        let formats: Vec<&str> = self.formats.iter().map(|format| format.name()).collect();
        write!(f, ", {} Hz, {}", rates.join("/"), formats.join("/"))?;
        f.write_str(if self.mapped { ", mmap" } else { ", read/write" })
    }
}

/// Whether there are sound cards and whether they may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cards {
    /// The kernel knows no sound card.
    Absent,
    /// There are cards, but this user may not open them. ALSA would just say that there are none.
    Forbidden {
        /// Their names.
        names: Vec<String>,
    },
    /// There are cards and they may be opened.
    Present {
        /// Their names.
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

/// Whether there are cards, asked of the kernel rather than of ALSA.
pub fn cards() -> Cards {
    cards_in(Path::new("/proc/asound"), Path::new("/dev/snd"))
}

/// Every device that can be opened, is in use, or is a card's and refuses: cards first.
pub fn list() -> Vec<Listed> {
    let _quiet = quiet();
    let mut listed = Vec::new();
    for card in ::alsa::card::Iter::new().flatten() {
        list_card(card, &mut listed);
    }
    list_configured(&mut listed);
    listed
}

/// Keeps alsa-lib from printing on this thread; what it has to say comes back as errors.
pub(super) fn quiet() -> Option<impl Sized> {
    Output::local_error_handler().ok()
}

/// What it means that a PCM can't be opened.
pub(super) fn open_error(want: &Want<'_>, errno: i32) -> DeviceError {
    let name = want.device.to_owned();
    let failed = |reason: String| DeviceError::Failed { name: name.clone(), call: "snd_pcm_open", reason };
    match errno {
        libc::EBUSY => DeviceError::Busy { name, holder: holder_of(want.pcm, want.direction) },
        libc::EACCES | libc::EPERM => failed(format!("{}; {}", system_says(errno), cards())),
        libc::EHOSTDOWN | libc::ECONNREFUSED => {
            failed(format!("{}; the sound server behind it is not running", system_says(errno)))
        }
        libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::EINVAL => match cards() {
            forbidden @ Cards::Forbidden { .. } => failed(forbidden.to_string()),
            cards => {
                DeviceError::Unknown { name, hint: format!("{cards}; 'faultless devices' lists what can be opened") }
            }
        },
        _ => failed(system_says(errno)),
    }
}

fn list_card(card: Card, listed: &mut Vec<Listed>) {
    let Ok(ctl) = Ctl::from_card(&card, true) else { return };
    let Ok(info) = ctl.card_info() else { return };
    let (id, card_name) = (info.get_id().unwrap_or("?"), info.get_name().unwrap_or("?"));
    for device in DeviceIter::new(&ctl) {
        let number = device.unsigned_abs();
        let of = |direction| ctl.pcm_info(number, 0, direction).ok();
        let (capture, playback) = (of(Direction::Capture), of(Direction::Playback));
        let pcm = format!("hw:CARD={id},DEV={device}");
        let device_name = capture.as_ref().or(playback.as_ref()).and_then(|info| info.get_name().ok()).unwrap_or("");
        listed.push(Listed {
            title: format!("{card_name}, {device_name}"),
            hardware: true,
            capture: capture.is_some().then(|| probe(&pcm, Direction::Capture)),
            playback: playback.is_some().then(|| probe(&pcm, Direction::Playback)),
            name: format!("alsa:{pcm}"),
        });
    }
}

/// Devices of the configuration files: `default`, sound servers, the user's own.
fn list_configured(listed: &mut Vec<Listed>) {
    let Ok(hints) = HintIter::new_str(None, "pcm") else { return };
    for hint in hints {
        let Some(pcm) = hint.name else { continue };
        // Every card brings a dozen names for the same few devices.
        if pcm.contains("CARD=") || listed.iter().any(|other| other.name == format!("alsa:{pcm}")) {
            continue;
        }
        let usable = |direction| match hint.direction {
            Some(only) if only != direction => None,
            _ => Some(probe(&pcm, direction)).filter(|found| !matches!(found, Listing::Refused { .. })),
        };
        let (capture, playback) = (usable(Direction::Capture), usable(Direction::Playback));
        if capture.is_none() && playback.is_none() {
            continue; // a plugin without the server or the card that it is for
        }
        let title = hint.desc.unwrap_or_default().replace('\n', ", ");
        listed.push(Listed { name: format!("alsa:{pcm}"), title, hardware: false, capture, playback });
    }
}

fn probe(pcm: &str, direction: Direction) -> Listing {
    let refused = |e: ::alsa::Error| Listing::Refused { reason: system_says(errno(&e)) };
    let opened = match PCM::new(pcm, direction, true) {
        Ok(opened) => opened,
        Err(e) if errno(&e) == libc::EBUSY => return Listing::Busy { holder: holder_of(pcm, direction) },
        Err(e) => return refused(e),
    };
    abilities(&opened).map_or_else(refused, Listing::Free)
}

fn abilities(pcm: &PCM) -> ::alsa::Result<Abilities> {
    let params = HwParams::any(pcm)?;
    // Converters would claim every rate.
    params.set_rate_resample(false).ok();
    Ok(Abilities {
        channels_min: params.get_channels_min()?,
        channels_max: params.get_channels_max()?,
        rates: RATES.into_iter().filter(|rate| params.test_rate(*rate).is_ok()).collect(),
        formats: FORMATS.into_iter().filter(|format| params.test_format(pcm_format(*format)).is_ok()).collect(),
        mapped: params.test_access(Access::MMapInterleaved).is_ok(),
    })
}

fn cards_in(proc_asound: &Path, dev_snd: &Path) -> Cards {
    let names: Vec<String> = fs::read_to_string(proc_asound.join("cards"))
        .unwrap_or_default()
        .lines()
        // " 0 [Loopback       ]: Loopback - Loopback", then a line of details that has no bracket.
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

/// The program that holds a card's PCM, e.g. "jackd (process 1234)".
fn holder_of(pcm: &str, direction: Direction) -> Option<String> {
    holder_in(Path::new("/proc"), pcm, direction)
}

fn holder_in(proc: &Path, pcm: &str, direction: Direction) -> Option<String> {
    let (card, device) = hardware_address(pcm)?;
    let suffix = match direction {
        Direction::Capture => 'c',
        Direction::Playback => 'p',
    };
    let asound = proc.join("asound");
    // /proc/asound has a directory cardN for every card and a link to it under the card's id.
    let card_folder =
        if card.chars().all(|c| c.is_ascii_digit()) { asound.join(format!("card{card}")) } else { asound.join(card) };
    let substreams = fs::read_dir(card_folder.join(format!("pcm{device}{suffix}"))).ok()?;
    substreams.flatten().find_map(|substream| {
        let status = fs::read_to_string(substream.path().join("status")).ok()?;
        let thread = field(&status, "owner_pid")?;
        // The kernel notes the thread that opened it.
        let of_thread = fs::read_to_string(proc.join(thread).join("status")).ok();
        let process = of_thread.as_deref().and_then(|status| field(status, "Tgid")).unwrap_or(thread);
        let name = fs::read_to_string(proc.join(process).join("comm")).ok()?;
        Some(format!("{} (process {process})", name.trim()))
    })
}

/// The value of `key` in lines of the form "key : value".
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// `pcm` with each card by its id, where it is named by its number: a card that is plugged in again may get another number.
pub fn lasting(pcm: &str) -> String {
    lasting_in(Path::new("/proc/asound"), pcm)
}

fn lasting_in(asound: &Path, pcm: &str) -> String {
    let (capture, playback) = split_names(pcm);
    let of = |name: &str| lasting_card(asound, name).unwrap_or_else(|| name.to_owned());
    if std::ptr::eq(capture, playback) { of(pcm) } else { format!("{},{}", of(capture), of(playback)) }
}

fn lasting_card(asound: &Path, name: &str) -> Option<String> {
    let (card, _) = hardware_address(name)?;
    if card.is_empty() || !card.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let id = fs::read_to_string(asound.join(format!("card{card}")).join("id")).ok()?;
    let id = id.trim();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return None;
    }
    let (kind, arguments) = name.split_once(':')?;
    // What stands without a name after the card has one by its place.
    let rest = arguments.split(',').skip(1).zip(["DEV", "SUBDEV"]);
    let rest: String = rest
        .map(|(value, key)| if value.contains('=') { format!(",{value}") } else { format!(",{key}={value}") })
        .collect();
    Some(format!("{kind}:CARD={id}{rest}"))
}

/// Card (number or id) and device of a name like `hw:0`, `hw:0,1`, `plughw:CARD=UMC,DEV=0`.
fn hardware_address(pcm: &str) -> Option<(&str, &str)> {
    let (kind, arguments) = pcm.split_once(':')?;
    if !matches!(kind, "hw" | "plughw" | "sysdefault" | "front" | "dsnoop" | "dmix") {
        return None;
    }
    let mut values = arguments.split(',');
    let card = values.next()?;
    let device = values.next().unwrap_or("0");
    Some((card.strip_prefix("CARD=").unwrap_or(card), device.strip_prefix("DEV=").unwrap_or(device)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn a_cards_address_is_read_from_the_usual_names() {
        assert_eq!(hardware_address("hw:0"), Some(("0", "0")));
        assert_eq!(hardware_address("hw:1,3"), Some(("1", "3")));
        assert_eq!(hardware_address("plughw:CARD=UMC,DEV=2"), Some(("UMC", "2")));
        assert_eq!(hardware_address("default"), None);
        assert_eq!(hardware_address("pulse:x"), None);
    }

    #[test]
    fn a_card_is_remembered_by_its_id_and_not_by_its_number() {
        let asound = tempfile::tempdir().unwrap();
        create_dir_all(asound.path().join("card1")).unwrap();
        write(asound.path().join("card1/id"), "UMC1820\n").unwrap();
        for (name, lasting) in [
            ("hw:1", "hw:CARD=UMC1820"),
            ("hw:1,0", "hw:CARD=UMC1820,DEV=0"),
            ("plughw:1,0,2", "plughw:CARD=UMC1820,DEV=0,SUBDEV=2"),
            ("hw:CARD=1,DEV=0", "hw:CARD=UMC1820,DEV=0"),
            ("hw:1,0,hw:2,0", "hw:CARD=UMC1820,DEV=0,hw:2,0"),
            ("hw:1,-", "hw:CARD=UMC1820,-"),
            ("hw:CARD=PCH", "hw:CARD=PCH"),
            ("hw:2,1", "hw:2,1"),
            ("default", "default"),
            ("pipewire:1", "pipewire:1"),
        ] {
            assert_eq!(lasting_in(asound.path(), name), lasting, "{name}");
        }
    }

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
    }

    #[test]
    fn no_card_and_no_permission_are_told_apart() {
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
        // A node that isn't there can't be opened either, whoever runs this test.
        assert_eq!(cards_in(&proc, &dev), Cards::Forbidden { names: names.clone() });
        write(dev.join("controlC0"), "").unwrap();
        assert_eq!(cards_in(&proc, &dev), Cards::Present { names });
    }
}
