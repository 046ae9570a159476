//! The part of a delay that no reading of a PCM has. Pure. Thread: opener, reconnect, control, outputs;
//! [`unreported_frames`] audio.
//!
//! alsa-lib's plugin of JACK reports the frames of its own buffer, and not the blocks that JACK and its card hold. JACK reports
//! these for each port. A card's output is heard after the delay of the port that it is played to, and a card's input was
//! captured before the delay of the port that it is recorded from. A monitor of JACK gives what is played before it goes to
//! the card, so the delay of the outputs has no part in what is recorded from it.

use super::graph::SoundServer;
use super::jack::{PortDelay, PortOwner};
use crate::device::{DelayReporter, DelayReporters};

/// The delay of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SideDelay {
    reporter: DelayReporter,
    /// Frames of the delay that the PCM does not report.
    unreported: u64,
    /// The side records a monitor of JACK.
    is_monitor: bool,
}

impl SideDelay {
    /// `description`: alsa-lib's, of the PCM. `ports`: the delay of the ports of JACK that it is connected to, if they are known.
    pub(super) fn of(description: &str, ports: Option<PortDelay>) -> SideDelay {
        if let Some(PortDelay { frames, owner }) = ports {
            let reporter = if owner == PortOwner::Client { DelayReporter::JackClient } else { DelayReporter::Jack };
            return SideDelay { reporter, unreported: frames, is_monitor: owner == PortOwner::CardMonitor };
        }
        let reporter = match SoundServer::behind(description) {
            Some(SoundServer::PipeWire) => DelayReporter::PipeWire,
            Some(SoundServer::PulseAudio) => DelayReporter::PulseAudio,
            None if description.contains("<-> JACK PCM") => DelayReporter::JackPlugin,
            None => DelayReporter::Driver,
        };
        SideDelay { reporter, ..SideDelay::default() }
    }
}

/// Who reports the delays of a device with these sides.
pub(super) fn reporters(capture: Option<SideDelay>, playback: Option<SideDelay>) -> DelayReporters {
    let of = |side: Option<SideDelay>| side.unwrap_or_default().reporter;
    DelayReporters { output: of(playback), input: of(capture) }
}

/// Frames of output and of input that the readings lack. This is realtime-safe.
pub(super) fn unreported_frames(capture: Option<SideDelay>, playback: Option<SideDelay>) -> (u64, u64) {
    let (capture, playback) = (capture.unwrap_or_default(), playback.unwrap_or_default());
    (if capture.is_monitor { 0 } else { playback.unreported }, capture.unreported)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(frames: u64, owner: PortOwner) -> SideDelay {
        SideDelay::of("Plug PCM: ALSA <-> JACK PCM I/O Plugin\n", Some(PortDelay { frames, owner }))
    }

    #[test]
    fn the_reporter_follows_from_the_description_of_the_pcm() {
        for (description, reporter) in [
            ("Hardware PCM card 1 'UMC1820' device 0 subdevice 0\n", DelayReporter::Driver),
            ("Hardware PCM card 0 'Loopback' device 1 subdevice 0\n", DelayReporter::Driver),
            ("Plug PCM: ALSA <-> PipeWire PCM I/O Plugin\n", DelayReporter::PipeWire),
            ("ALSA <-> PulseAudio PCM I/O Plugin\n", DelayReporter::PulseAudio),
            ("File PCM (file=/x)\nSlave: ALSA <-> JACK PCM I/O Plugin\n", DelayReporter::JackPlugin),
        ] {
            let side = SideDelay::of(description, None);
            assert_eq!((side.reporter, side.unreported), (reporter, 0), "{description}");
        }
    }

    /// Overdubs through JACK were placed 2 to 4 blocks of JACK too late.
    #[test]
    fn the_delays_of_the_cards_ports_are_added_on_both_sides() {
        let (capture, playback) = (Some(ports(256, PortOwner::Card)), Some(ports(768, PortOwner::Card)));
        assert_eq!(unreported_frames(capture, playback), (768, 256));
        assert!(reporters(capture, playback).are_complete());
        let none = Some(SideDelay::default());
        assert_eq!(unreported_frames(capture, none), (0, 256));
    }

    #[test]
    fn a_monitor_is_recorded_before_the_delay_of_the_outputs_and_a_client_after_it() {
        let playback = Some(ports(2_048, PortOwner::Card));
        assert_eq!(unreported_frames(Some(ports(1_024, PortOwner::CardMonitor)), playback), (0, 1_024));
        assert!(reporters(Some(ports(1_024, PortOwner::CardMonitor)), playback).are_complete());
        assert_eq!(unreported_frames(Some(ports(0, PortOwner::Client)), playback), (2_048, 0));
        assert_eq!(reporters(Some(ports(0, PortOwner::Client)), playback).input, DelayReporter::JackClient);
    }
}
