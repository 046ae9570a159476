//! From a user's choices to values: device, rate, memory. Every front end uses these functions, so all decide alike.
//! Thread: control.

use crate::butler::capabilities::{Capabilities, CapturePath};
use crate::butler::spool::SpoolPlace;
use crate::device::signal::Signal;
use crate::device::{
    Cards, DeviceSpec, Listed, Listing, cards, configuration_fault, default_output, is_virtual, jack_card, list_cards,
    server_default,
};
use crate::file_system;
use crate::format::{DeviceFormat, TakeFormat};
use crate::limits;
use crate::rt::process;
use crate::threads::ThreadsSetup;
use crate::time::SampleRate;
use crate::window::lock_limit::{LockLimit, default_lock_bytes, lock_limit};
use std::path::PathBuf;
use std::time::Duration;

/// Sample rate in Hz, if neither the user nor a session names one.
pub const RATE_DEFAULT: u32 = 48_000;

/// Locked memory that is left to other users of the same limit.
const LOCKED_BYTES_SPARE: u64 = 128 * 1024;

/// Inputs of the built-in device, if there is no card and the user names no number.
pub const BUILT_IN_INPUTS: usize = 8;

/// The side of a device that a choice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A device to record from.
    Inputs,
    /// A device to play to.
    Outputs,
}

/// The device to use when the user names none, and the reason as a sentence. Every front end chooses by this rule.
///
/// To record: the free card with most channels or the card behind a JACK server, if that has more; else the default of a
/// sound server, else the built-in device. To play: what the desktop plays on, because the card with most outputs is often
/// a port of a monitor that is not connected; a card is taken only without a server and without a default of ALSA.
///
/// It may open every card, which can take seconds. An error is the fault of ALSA's configuration, because of which there
/// seems to be neither a card nor a server.
pub fn best_device(side: Side) -> Result<(String, String), String> {
    if let Some(fault) = configuration_fault() {
        return Err(format!("no device can be chosen: {fault}"));
    }
    Ok(match side {
        Side::Inputs => best_inputs(),
        Side::Outputs => default_outputs().unwrap_or_else(|| {
            let all = list_cards();
            choice(&cards(), best_of(&all, side), None)
        }),
    })
}

fn best_inputs() -> (String, String) {
    let (cards, all) = (cards(), list_cards());
    let card = best_of(&all, Side::Inputs);
    let channels = card.map_or(0, |card| channels(card, Side::Inputs));
    // Somebody has started the server to work with that card, which is not free then.
    if let Some((name, ports)) = jack_card(true).filter(|(_, ports)| channels < *ports as u32) {
        return of_jack(name, ports);
    }
    let server = if card.is_some() { None } else { server_default(true) };
    let card = card.map(|card| with_outputs(card, &all, || server_default(false).or_else(default_output)));
    choice(&cards, card.as_ref(), server)
}

/// `card` with other outputs, if it has none itself: the first free ones of the same card, because the microphones of a laptop
/// are a device of their own, or those of the desktop, `default`, if the card has no outputs at all. For a card with outputs
/// the default of a sound server is no choice, because the server loses the card while this program records from it.
fn with_outputs(card: &Listed, all: &[Listed], default: impl FnOnce() -> Option<String>) -> Listed {
    let id = |listed: &Listed| listed.name.split(",DEV=").next().map(str::to_owned);
    let mut of_card = all.iter().filter(|listed| id(listed) == id(card) && listed.playback.is_some()).peekable();
    let outputs = if card.playback.is_some() {
        None
    } else if of_card.peek().is_none() {
        default()
    } else {
        let mut free = of_card.filter(|listed| 0 < channels(listed, Side::Outputs) && !listed.is_monitor());
        free.next().map(|listed| listed.name.clone())
    };
    let pair = outputs.and_then(|outputs| Some(format!("{},{}", card.name, outputs.strip_prefix("alsa:")?)));
    Listed { name: pair.unwrap_or_else(|| card.name.clone()), ..card.clone() }
}

/// The device on which the desktop plays; `None` if there is neither a server nor a default of ALSA.
fn default_outputs() -> Option<(String, String)> {
    if let Some((name, ports)) = jack_card(false) {
        return Some(of_jack(name, ports));
    }
    let (name, origin) = match server_default(false) {
        Some(name) => (name, "the sound server"),
        None => (default_output()?, "ALSA"),
    };
    let text = format!("device: {name}, the default of {origin} (--device names another)");
    Some((name, text))
}

fn of_jack(name: String, ports: usize) -> (String, String) {
    let text = format!("device: {name}, the {ports} ports of JACK's card (--device names another)");
    (name, text)
}

fn choice(cards: &Cards, card: Option<&Listed>, server: Option<String>) -> (String, String) {
    let built_in =
        |why: &str| ("virtual".to_owned(), format!("device: built-in, its inputs are test tones, since {why}"));
    match (card, server, cards) {
        (Some(card), ..) => {
            let (name, title) = (card.name.clone(), &card.title);
            let why = if card.is_monitor() {
                "a port for a monitor, since no other card is free; without loudspeakers in the monitor nothing is heard"
            } else {
                "the best free card"
            };
            let text = format!("device: {name}, {title}, {why} (--device names another)");
            (name, text)
        }
        (None, Some(name), _) => {
            let text = format!("device: {name}, the default of the sound server, since no sound card is free");
            (name, text)
        }
        (None, None, Cards::Present { .. }) => (
            "alsa:default".to_owned(),
            "device: alsa:default, since there is a sound card (--device names another)".to_owned(),
        ),
        (None, None, Cards::Forbidden { .. }) => {
            built_in("this user may not open the sound card; add it to group 'audio' and log in again")
        }
        (None, None, Cards::Absent) => built_in("there is no sound card and no sound server"),
    }
}

/// The free card with most channels on a side; the first of several with the same number. A port for a monitor is taken
/// only without another card, because it plays as well without a monitor. A card of the kernel that has neither inputs nor
/// outputs to connect comes last.
fn best_of(listed: &[Listed], side: Side) -> Option<&Listed> {
    let of_side = |listed: &Listed| channels(listed, side);
    let free = listed.iter().rev().filter(|listed| of_side(listed) > 0);
    free.max_by_key(|listed| (!listed.is_without_sockets(), !listed.is_monitor(), of_side(listed)))
}

/// Channels of a card on a side; 0 if the side is not free.
fn channels(listed: &Listed, side: Side) -> u32 {
    let listing = if side == Side::Inputs { &listed.capture } else { &listed.playback };
    match listing {
        Some(Listing::Free(abilities)) if listed.hardware => abilities.channels_opened(),
        _ => 0,
    }
}

/// A user's choice of a device.
pub struct DeviceRequest {
    pub name: String,
    pub rate: SampleRate,
    /// Frames of a period; `None`: what fits the device.
    pub period: Option<usize>,
    /// Frames of the buffer; `None`: the device decides.
    pub buffer: Option<usize>,
    /// Numbers of inputs and outputs, as in [`DeviceSpec`].
    pub channels: (Option<usize>, Option<usize>),
    /// Sample format of new takes.
    pub take_format: TakeFormat,
    /// The signal on the inputs of the built-in device.
    pub signal: Signal,
}

/// The device to open for a user's choice.
pub fn device_spec(wanted: DeviceRequest) -> DeviceSpec {
    // A card chooses its own sample format. The built-in device delivers float for float takes, so nothing is
    // converted.
    let format = (is_virtual(&wanted.name) && wanted.take_format == TakeFormat::F32).then_some(DeviceFormat::F32);
    DeviceSpec {
        name: wanted.name,
        rate: wanted.rate,
        period_frames: wanted.period,
        buffer_frames: wanted.buffer,
        inputs: wanted.channels.0,
        outputs: wanted.channels.1,
        format,
        signal: wanted.signal,
    }
}

/// The signal with this name; `None` if there is none.
pub fn signal(name: &str) -> Option<Signal> {
    match name {
        "ramp" => Some(Signal::Ramp),
        "tones" => Some(Signal::Tones),
        "silence" => Some(Signal::Silence),
        _ => {
            let path = name.strip_prefix("file=").filter(|path| !path.is_empty());
            path.map(|path| Signal::File(PathBuf::from(path)))
        }
    }
}

/// Limits that a user sets.
#[derive(Clone, Copy, Debug)]
pub struct UserLimits {
    /// KiB that may be locked; `None`: as much as the system allows, up to a part of the machine's memory.
    pub lock_kib: Option<u64>,
    /// MiB that the spool may hold; `None`: a fraction of the machine's memory.
    pub spool_mib: Option<u64>,
    /// Milliseconds of lead that the butler aims at.
    pub lead_ms: u64,
}

/// The setup of the threads, from the limits of the machine and of the user.
pub fn threads_setup(allowed: UserLimits, capture_path: CapturePath) -> ThreadsSetup {
    // A session of 512 tracks opens 1,024 files, and the usual limit is 1,024 descriptors. `main` has done this already
    // in the program; a test of the library has not.
    process::prepare();
    let capabilities = Capabilities::probe(&Capabilities::without_from_environment());
    let memory = process::memory_bound().unwrap_or(1 << 30);
    let asked = allowed.lock_kib.map_or_else(|| default_lock_bytes(memory), |kib| kib.saturating_mul(1024));
    let lock_bytes_max = match lock_limit() {
        LockLimit::Unlimited => asked,
        LockLimit::Bytes(bytes) => asked.min(bytes.saturating_sub(LOCKED_BYTES_SPARE.min(bytes / 4))),
    };
    let memory = memory / limits::SPOOL_RAM_DIVISOR;
    let free = match &capabilities.spool {
        SpoolPlace::Folder(folder) => file_system::free_bytes(folder).unwrap_or(memory) / 10 * 9,
        SpoolPlace::Memory => memory,
    };
    let spool_bytes_max = allowed.spool_mib.map_or(memory, |mib| mib.saturating_mul(1 << 20)).min(free);
    ThreadsSetup {
        capabilities,
        capture_path,
        lock_bytes_max,
        spool_bytes_max,
        lead_ms: allowed.lead_ms,
        sync_interval: Duration::from_millis(limits::SYNC_INTERVAL_MS_DEFAULT),
    }
}

/// A setup with the built-in device of two inputs, for tests.
#[cfg(test)]
pub(crate) fn test_setup(folder: &std::path::Path) -> super::Setup {
    let format = TakeFormat::S24;
    let wanted = DeviceRequest {
        name: "virtual:free".to_owned(),
        rate: SampleRate(48_000),
        period: None,
        buffer: None,
        channels: (Some(2), Some(2)),
        take_format: format,
        signal: Signal::Ramp,
    };
    let allowed = UserLimits { lock_kib: None, spool_mib: None, lead_ms: limits::LEAD_MS_DEFAULT };
    let run = threads_setup(allowed, CapturePath::Spool);
    let purpose = super::Purpose::Record;
    super::Setup { folder: folder.to_owned(), purpose, device: device_spec(wanted), format, run }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use crate::device::Abilities;

    fn able(channels_min: u32, channels_max: u32) -> Listing {
        Listing::Free(Abilities {
            channels_min,
            channels_max,
            rates: vec![48_000],
            formats: Vec::new(),
            mapped: true,
            server: false,
        })
    }

    fn listed(name: &str, hardware: bool, inputs: u32) -> Listed {
        Listed {
            name: name.to_owned(),
            title: name.to_owned(),
            hardware,
            capture: Some(able(1, inputs)),
            playback: None,
        }
    }

    fn card(name: &str, title: &str, inputs: Option<Listing>, outputs: Option<Listing>) -> Listed {
        let (name, title) = (format!("alsa:hw:CARD={name}"), title.to_owned());
        Listed { name, title, hardware: true, capture: inputs, playback: outputs }
    }

    /// `faultless play` chose the port of a monitor that was not connected, and nothing was heard.
    #[test]
    fn a_port_for_a_monitor_is_chosen_to_play_only_without_another_card() {
        let ports = [
            card("NVidia,DEV=3", "HDA NVidia, HDMI 0", None, Some(able(2, 8))),
            card("Dock,DEV=0", "Dock, DisplayPort Audio", None, Some(able(2, 8))),
            card("vc4hdmi0,DEV=0", "vc4-hdmi-0, MAI PCM i2s-hifi-0", None, Some(able(2, 8))),
        ];
        let with_codec =
            [&ports[..], &[card("PCH,DEV=0", "HDA Intel PCH, ALC257 Analog", Some(able(2, 2)), Some(able(2, 2)))]]
                .concat();
        let best = |all: &[Listed]| best_of(all, Side::Outputs).cloned().unwrap();
        assert_eq!(best(&with_codec).name, "alsa:hw:CARD=PCH,DEV=0");
        let monitor = best(&ports);
        assert_eq!(monitor.name, ports[0].name);
        let (_, why) = choice(&Cards::Present { names: Vec::new() }, Some(&monitor), None);
        assert!(why.contains("a port for a monitor") && why.contains("--device"), "{why}");
    }

    /// The microphones of a laptop became the device of the window, and Play was silent.
    #[test]
    fn inputs_without_outputs_are_opened_with_the_outputs_of_the_same_card() {
        let microphones = card("PCH,DEV=6", "HDA Intel PCH, DMIC", Some(able(4, 4)), None);
        let codec = card("PCH,DEV=0", "HDA Intel PCH, ALC257 Analog", Some(able(2, 2)), Some(able(2, 2)));
        let others = [
            card("Other,DEV=0", "Other, PCM", None, Some(able(2, 2))),
            card("PCH,DEV=3", "HDA Intel PCH, HDMI 0", None, Some(able(2, 8))),
            card("PCH,DEV=5", "HDA Intel PCH, In use", None, Some(Listing::Busy { holder: None })),
        ];
        let all = [&others[..], &[microphones.clone(), codec.clone()]].concat();
        let of_desktop = || Some("alsa:pipewire".to_owned());
        let pair = with_outputs(&microphones, &all, of_desktop);
        assert_eq!(pair.name, "alsa:hw:CARD=PCH,DEV=6,hw:CARD=PCH,DEV=0");
        assert!(microphones.is_opened_by(&pair.name) && !codec.is_opened_by(&pair.name));
        assert_eq!(with_outputs(&codec, &all, of_desktop).name, codec.name);
        assert_eq!(with_outputs(&microphones, &others, of_desktop).name, microphones.name);
    }

    /// A microphone on USB became the device of the window, and Play was silent.
    #[test]
    fn a_card_without_any_outputs_is_opened_with_those_of_the_desktop() {
        let microphone = card("Mic,DEV=0", "USB microphone, USB Audio", Some(able(1, 1)), None);
        let other = card("PCH,DEV=0", "HDA Intel PCH, ALC257 Analog", None, Some(able(2, 2)));
        let all = [microphone.clone(), other];
        let pair = with_outputs(&microphone, &all, || Some("alsa:pipewire".to_owned()));
        assert_eq!(pair.name, "alsa:hw:CARD=Mic,DEV=0,pipewire");
        assert!(microphone.is_opened_by(&pair.name));
        assert_eq!(with_outputs(&microphone, &all, || None).name, microphone.name);
    }

    /// snd-aloop takes 1 to 32 channels and was preferred to every interface. It was then opened with two.
    #[test]
    fn a_card_without_sockets_and_any_number_of_channels_is_never_better_than_an_interface() {
        let any = || card("Loopback,DEV=0", "Loopback, Loopback PCM", Some(able(1, 32)), Some(able(1, 32)));
        let dummy = card("Dummy,DEV=0", "Dummy, Dummy PCM", Some(able(1, 32)), Some(able(1, 32)));
        let odd = card("Virtual,DEV=0", "Virtual card, PCM", Some(able(1, 32)), Some(able(1, 32)));
        for interface in [18, 1] {
            let usb = card("UMC,DEV=0", "UMC1820, USB Audio", Some(able(interface, interface)), Some(able(2, 2)));
            let all = [any(), dummy.clone(), usb];
            assert_eq!(best_of(&all, Side::Inputs).unwrap().name, "alsa:hw:CARD=UMC,DEV=0");
        }
        assert_eq!(channels(&odd, Side::Inputs), 2);
        let usb = card("UMC,DEV=0", "UMC1820, USB Audio", Some(able(18, 18)), None);
        assert_eq!(best_of(&[odd, usb], Side::Inputs).unwrap().title, "UMC1820, USB Audio");
        assert_eq!(best_of(&[any()], Side::Inputs).unwrap().title, "Loopback, Loopback PCM");
    }

    #[test]
    fn the_card_with_most_inputs_is_chosen_and_never_one_that_is_in_use() {
        let mut all = vec![
            listed("alsa:hw:CARD=PCH", true, 2),
            listed("alsa:hw:CARD=USB", true, 18),
            listed("alsa:default", false, 32),
            listed("alsa:hw:CARD=Other", true, 18),
        ];
        assert_eq!(best_of(&all, Side::Inputs).map(|best| best.name.as_str()), Some("alsa:hw:CARD=USB"));
        // None of them has outputs.
        assert!(best_of(&all, Side::Outputs).is_none());
        all[1].capture = Some(Listing::Busy { holder: None });
        assert_eq!(best_of(&all, Side::Inputs).map(|best| best.name.as_str()), Some("alsa:hw:CARD=Other"));
        assert!(best_of(&[], Side::Inputs).is_none());
    }

    #[test]
    fn without_a_free_card_a_sound_server_is_chosen_before_the_test_tones() {
        let card = listed("alsa:hw:CARD=USB", true, 18);
        let server = || Some("alsa:default".to_owned());
        let present = Cards::Present { names: vec!["USB".to_owned()] };
        let chosen = |cards: &Cards, card, server| choice(cards, card, server).0;
        assert_eq!(chosen(&present, Some(&card), None), "alsa:hw:CARD=USB");
        assert_eq!(chosen(&present, None, server()), "alsa:default");
        assert_eq!(chosen(&Cards::Absent, None, server()), "alsa:default");
        assert_eq!(chosen(&Cards::Forbidden { names: Vec::new() }, None, server()), "alsa:default");
        assert_eq!(chosen(&Cards::Absent, None, None), "virtual");
    }
}
