//! The `alsa` crate in this program's terms: a request for one direction, formats, rates, states, error numbers.
//! Thread: any; only [`errno`] is called by the audio thread.

use super::libjack;
use super::name::hardware_address;
use crate::format::DeviceFormat;
use crate::limits::{PERIOD_FRAMES_DEFAULT, PERIOD_FRAMES_SERVER};
use crate::time::SampleRate;
use ::alsa::pcm::{Format, HwParams, PCM};
use ::alsa::{Direction, Output};

/// Formats in order of preference: the native formats of most cards first.
pub(super) const FORMATS: [DeviceFormat; 5] =
    [DeviceFormat::S32, DeviceFormat::S24In3, DeviceFormat::S24, DeviceFormat::F32, DeviceFormat::S16];

/// Rates that errors and lists name, in Hz.
pub(super) const RATES: [u32; 14] =
    [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000, 352_800, 384_000];

/// Values of `snd_pcm_state_t`. The crate's `state()` panics on values that it does not know.
pub(super) mod state {
    pub(crate) const PREPARED: i32 = 2;
    pub(crate) const RUNNING: i32 = 3;
    pub(crate) const XRUN: i32 = 4;
    pub(crate) const SUSPENDED: i32 = 7;
    pub(crate) const DISCONNECTED: i32 = 8;
}

/// The origin of the sound of a PCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A card, driven by the kernel.
    Card,
    /// A card behind a plugin of alsa-lib: a converter, a mixer.
    Converted,
    /// A sound server, or another plugin that has no card.
    Server,
}

/// Finds the origin behind `pcm`. alsa-lib's description names the plugins one behind the other. The last one is a card.
pub(super) fn kind_of(pcm: &PCM) -> Kind {
    description(pcm).map_or(Kind::Server, |text| kind_in(&text))
}

/// alsa-lib's description of `pcm` and of the plugins behind it.
pub(super) fn description(pcm: &PCM) -> Option<String> {
    let mut text = Output::buffer_open().ok()?;
    pcm.dump(&mut text).ok()?;
    Some(text.buffer_string(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// Whether nothing is behind `pcm`: it takes and gives silence.
pub(super) fn is_null(pcm: &PCM) -> bool {
    description(pcm).is_some_and(|text| text.contains("Null PCM"))
}

fn kind_in(description: &str) -> Kind {
    const CARD: &str = "Hardware PCM card ";
    if description.starts_with(CARD) {
        Kind::Card
    } else if description.contains(CARD) {
        Kind::Converted
    } else {
        Kind::Server
    }
}

impl Kind {
    /// Frames of a period, if the user names none.
    pub(super) fn period_frames(self) -> usize {
        match self {
            Kind::Server => PERIOD_FRAMES_SERVER,
            Kind::Card | Kind::Converted => PERIOD_FRAMES_DEFAULT,
        }
    }
}

/// Requested settings of one side.
pub(super) struct Want<'a> {
    /// Full name of the device, for errors.
    pub(super) device: &'a str,
    pub(super) pcm: &'a str,
    pub(super) direction: Direction,
    pub(super) rate: SampleRate,
    /// Frames of a period; `None`: what fits the origin of the sound.
    pub(super) period_frames: Option<usize>,
    pub(super) buffer_frames: usize,
    pub(super) channels: Option<usize>,
    pub(super) format: Option<DeviceFormat>,
}

/// Opens a PCM without waiting for it.
pub(super) fn open_pcm(pcm: &str, direction: Direction) -> ::alsa::Result<PCM> {
    // Only a card's own name tells that JACK is not behind it: a PCM of the user's configuration may have any name.
    if hardware_address(pcm).is_none() {
        libjack::silence();
    }
    PCM::new(pcm, direction, true)
}

/// The positive error number of `e`. Errors of `poll` and `revents` have a negative one. This is realtime-safe.
pub(super) fn errno(e: &::alsa::Error) -> i32 {
    e.errno().abs()
}

/// The system's text for an error number.
pub(super) fn system_says(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

/// The format of the `alsa` crate for `format`.
pub(super) fn pcm_format(format: DeviceFormat) -> Format {
    match format {
        DeviceFormat::S16 => Format::S16LE,
        DeviceFormat::S24 => Format::S24LE,
        DeviceFormat::S24In3 => Format::S243LE,
        DeviceFormat::S32 => Format::S32LE,
        DeviceFormat::F32 => Format::FloatLE,
    }
}

/// "capture" or "playback".
pub(super) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Capture => "capture",
        Direction::Playback => "playback",
    }
}

/// The rates that `params` allows, as text for an error.
pub(super) fn rates_offered(params: &HwParams<'_>) -> String {
    let offered: Vec<String> =
        RATES.iter().filter(|rate| params.test_rate(**rate).is_ok()).map(ToString::to_string).collect();
    match (offered.is_empty(), params.get_rate_min(), params.get_rate_max()) {
        (false, ..) => format!("it offers {} Hz", offered.join(", ")),
        (true, Ok(min), Ok(max)) if min == max => format!("it offers {min} Hz"),
        (true, Ok(min), Ok(max)) => format!("it offers {min} to {max} Hz"),
        _ => "it offers no rate at all".to_owned(),
    }
}

/// Stops alsa-lib from printing on this thread until the result is dropped. Errors are returned as values anyway.
pub(super) fn quiet() -> Option<impl Sized> {
    Output::local_error_handler().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_told_from_a_converter_before_it_and_from_a_server() {
        let card = "Hardware PCM card 1 'UMC1820' device 0 subdevice 0\nIts setup is:\n";
        assert_eq!(kind_in(card), Kind::Card);
        let converter =
            format!("Plug PCM: Rate conversion PCM (44100)\nIts setup is:\n  stream: CAPTURE\nSlave: {card}");
        assert_eq!(kind_in(&converter), Kind::Converted);
        assert_eq!(kind_in("ALSA <-> PipeWire PCM I/O Plugin\nIts setup is:\n"), Kind::Server);
    }
}
