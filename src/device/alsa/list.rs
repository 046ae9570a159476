//! The list of ALSA devices with their abilities. Thread: lister, opener, control.

use super::graph::{SoundServer, default_source_pcm};
use super::name::split_names;
use super::open_error::{holder_of, may_be_server};
use super::pcm::{
    FORMATS, Kind, RATES, description, errno, is_null, kind_of, open_pcm, pcm_format, quiet, system_says,
};
use crate::device::DeviceError;
use crate::format::DeviceFormat;
use crate::limits::CHANNEL_COUNT_MAX;
use ::alsa::Direction;
use ::alsa::card::Card;
use ::alsa::ctl::{Ctl, DeviceIter};
use ::alsa::device_name::HintIter;
use ::alsa::pcm::{Access, HwParams, PCM};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A device that can be opened by its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Name that opens the device: `alsa:NAME`.
    pub name: String,
    /// Title from the driver or the configuration, for people.
    pub title: String,
    /// Whether the device is a card's own, not one that the configuration defines.
    pub hardware: bool,
    /// The capture direction; `None` if the device has none.
    pub capture: Option<Listing>,
    /// The playback direction; `None` if the device has none.
    pub playback: Option<Listing>,
}

impl Listed {
    /// Whether `name` opens this device, or its inputs with other outputs.
    pub fn is_opened_by(&self, name: &str) -> bool {
        let inputs = |name| split_names(str::strip_prefix(name, "alsa:").unwrap_or(name)).0;
        inputs(name) == inputs(&self.name)
    }

    /// Whether it plays to a monitor. Such a port runs, and has a right clock, also while no monitor is connected.
    pub fn is_monitor(&self) -> bool {
        self.capture.is_none() && (names_monitor(&self.name) || names_monitor(&self.title))
    }

    /// Whether it is a card of the kernel that has nothing to connect: `snd-aloop`, `snd-dummy`.
    pub fn is_without_sockets(&self) -> bool {
        self.hardware && self.title.split(',').next().is_some_and(|card| matches!(card, "Loopback" | "Dummy"))
    }
}

/// Whether the name of a card or of its device is that of a port for a monitor.
fn names_monitor(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("hdmi") || name.contains("displayport")
}

/// State of one direction of a [`Listed`] device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Listing {
    /// The direction can be opened.
    Free(Abilities),
    /// Another program uses the direction.
    Busy {
        /// The program, if it is known.
        holder: Option<String>,
    },
    /// The direction cannot be opened.
    Refused {
        /// The text of the system.
        reason: String,
    },
}

impl Listing {
    /// Whether a sound server may hold the direction. It lets a card go when it is asked for it, which opening the card does.
    pub fn is_asked_for(&self) -> bool {
        matches!(self, Listing::Busy { holder } if may_be_server(holder.as_deref()))
    }
}

/// Abilities of one direction of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Smallest number of channels.
    pub channels_min: u32,
    /// Largest number of channels; the same as the smallest for most interfaces.
    pub channels_max: u32,
    /// Usual rates that the device runs at without conversion, in Hz.
    pub rates: Vec<u32>,
    /// Formats that both the device and this program support.
    pub formats: Vec<DeviceFormat>,
    /// Whether the device's memory can be mapped.
    pub mapped: bool,
    /// Whether a sound server is behind the device, not a card.
    pub server: bool,
}

/// A device that takes any channel count up to this or more has no natural count. It is opened with two channels.
const ELASTIC_CHANNEL_COUNT: u32 = 32;

/// The channels with which a device that takes `min` to `max` is opened if it takes any number; `None` if it has a number
/// of its own.
pub(super) fn channels_of_elastic(min: u32, max: u32) -> Option<u32> {
    (min < max && ELASTIC_CHANNEL_COUNT <= max).then_some(min.max(2))
}

impl Abilities {
    /// The channels with which it is opened if the user names no number.
    pub fn channels_opened(&self) -> u32 {
        let all = self.channels_max.min(CHANNEL_COUNT_MAX as u32);
        channels_of_elastic(self.channels_min, self.channels_max).unwrap_or(all)
    }
}

/// PCMs of alsa-lib's configuration that are no devices: the one that has no clock, converters and effects. Each can be
/// opened by its name.
const NO_DEVICES: [&str; 10] =
    ["null", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "oss", "a52", JACK];

/// The PCM of the configuration for the first two ports of JACK's card. JACK's clients are listed in its place, because its
/// library prints a page of errors when no server runs.
pub(super) const JACK: &str = "jack";

/// PCMs whose sound server is asked for, in order, when no card is free.
pub(super) const SERVERS: [&str; 3] = ["default", "pipewire", "pulse"];

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
        if CHANNEL_COUNT_MAX as u32 <= self.channels_max && self.channels_min < self.channels_max {
            f.write_str("any number of channels")?;
        } else if self.channels_min == self.channels_max {
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

/// Every PCM that can be opened or is in use, and every device of a card. Cards come first.
pub(super) fn list_pcms() -> Vec<Listed> {
    let mut listed = list_cards();
    let _quiet = quiet();
    list_configured(&mut listed);
    listed
}

/// The devices of the sound cards.
pub fn list_cards() -> Vec<Listed> {
    let _quiet = quiet();
    let mut listed = Vec::new();
    for card in ::alsa::card::Iter::new().flatten() {
        list_card(card, &mut listed);
    }
    listed
}

/// The name of a sound server's device that records (`capture`) or plays what the desktop has chosen; `None` without a
/// server that runs. The source has its own name there, because a server that chooses another one meanwhile would record
/// that one.
pub fn server_default(capture: bool) -> Option<String> {
    let _quiet = quiet();
    let direction = if capture { Direction::Capture } else { Direction::Playback };
    let runs = |pcm: &&&str| matches!(probe(pcm, direction), Listing::Free(abilities) if abilities.server);
    let pcm = SERVERS.iter().find(runs)?;
    let behind = |opened: PCM| SoundServer::behind(&description(&opened)?);
    let server = if capture { open_pcm(pcm, direction).ok().and_then(behind) } else { None };
    let source = server.and_then(default_source_pcm);
    Some(source.map_or_else(|| format!("alsa:{pcm}"), |source| format!("alsa:{source},{pcm}")))
}

/// `alsa:default`, if it plays on a card that is free and is no port for a monitor; `None` otherwise.
pub fn default_output() -> Option<String> {
    let _quiet = quiet();
    let [name, ..] = SERVERS;
    let opened = open_pcm(name, Direction::Playback).ok()?;
    let is_of_card = kind_of(&opened) != Kind::Server && !names_monitor(&description(&opened)?);
    is_of_card.then(|| format!("alsa:{name}"))
}

/// `error`, with the sound server that may be used in place of a card that it holds.
pub(super) fn offer_server(mut error: DeviceError) -> DeviceError {
    if let DeviceError::Busy { holder, instead, .. } = &mut error
        && may_be_server(holder.as_deref())
    {
        *instead = server_default(true);
    }
    error
}

/// Whether a JACK server may run, or one was killed.
pub(super) fn jack_may_run() -> bool {
    let entries = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("jack"))
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

/// Lists the devices of the configuration files: `default`, sound servers, the user's own.
fn list_configured(listed: &mut Vec<Listed>) {
    let Ok(hints) = HintIter::new_str(None, "pcm") else { return };
    for hint in hints {
        let Some(pcm) = hint.name else { continue };
        let kind = pcm.split(':').next().unwrap_or_default();
        if NO_DEVICES.contains(&kind) {
            continue;
        }
        // The configuration has a dozen names for the few devices of each card.
        if pcm.contains("CARD=") || listed.iter().any(|other| other.name == format!("alsa:{pcm}")) {
            continue;
        }
        let usable = |direction| match hint.direction {
            Some(only) if only != direction => None,
            _ => Some(probe(&pcm, direction)).filter(|found| !matches!(found, Listing::Refused { .. })),
        };
        let (capture, playback) = (usable(Direction::Capture), usable(Direction::Playback));
        if capture.is_none() && playback.is_none() {
            continue; // a plugin whose sound server or card is missing
        }
        let title = hint.desc.unwrap_or_default().replace('\n', ", ");
        listed.push(Listed { name: format!("alsa:{pcm}"), title, hardware: false, capture, playback });
    }
}

pub(super) fn probe(pcm: &str, direction: Direction) -> Listing {
    let refused = |e: ::alsa::Error| Listing::Refused { reason: system_says(errno(&e)) };
    let opened = match open_pcm(pcm, direction) {
        Ok(opened) => opened,
        Err(e) if errno(&e) == libc::EBUSY => return Listing::Busy { holder: holder_of(pcm, direction) },
        Err(e) => return refused(e),
    };
    abilities(&opened).map_or_else(refused, Listing::Free)
}

fn abilities(pcm: &PCM) -> ::alsa::Result<Abilities> {
    let params = HwParams::any(pcm)?;
    // With resampling, converters would offer every rate.
    params.set_rate_resample(false).ok();
    Ok(Abilities {
        channels_min: params.get_channels_min()?,
        channels_max: params.get_channels_max()?,
        rates: RATES.into_iter().filter(|rate| params.test_rate(*rate).is_ok()).collect(),
        formats: FORMATS.into_iter().filter(|format| params.test_format(pcm_format(*format)).is_ok()).collect(),
        mapped: params.test_access(Access::MMapInterleaved).is_ok(),
        server: kind_of(pcm) == Kind::Server && !is_null(pcm),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_opened_by_its_name_and_as_the_inputs_of_a_pair() {
        let listed = |name: &str| Listed {
            name: name.to_owned(),
            title: String::new(),
            hardware: false,
            capture: None,
            playback: None,
        };
        let is_of = |own: &str, name: &str| listed(own).is_opened_by(name);
        assert!(is_of("alsa:pipewire:NODE=a,CHANNELS=8", "alsa:pipewire:NODE=a,CHANNELS=8,default"));
        assert!(is_of("alsa:pipewire:NODE=a,CHANNELS=8,pipewire", "alsa:pipewire:NODE=a,CHANNELS=8,default"));
        assert!(is_of("alsa:pulse:DEVICE=a,pulse", "alsa:pulse:DEVICE=a,-"));
        assert!(is_of("alsa:hw:CARD=A,DEV=0", "alsa:hw:CARD=A,DEV=0"));
        assert!(is_of("alsa:jack:CLIENT=a,jack:CLIENT=b", "alsa:jack:CLIENT=a,jack:CLIENT=b"));
        assert!(!is_of("alsa:jack:CLIENT=a", "alsa:jack:CLIENT=a,PORTS=x"));
        assert!(!is_of("alsa:pipewire", "alsa:pipewire:NODE=a,CHANNELS=8,default"));
    }
}
