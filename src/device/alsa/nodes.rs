//! The sources and sinks of a sound server, as the desktop names them. Thread: lister, opener, control.
//!
//! alsa-lib has one PCM for a server. The PCM takes the name of a source or sink as an argument. PipeWire's `pw-dump` and
//! PulseAudio's `pactl` list the names. Without these programs the server has one line in the list. JACK's clients are in
//! [`super::jack`].

use super::answer::answer;
use super::graph::{channels, missing_node, pipewire_pcm, pulse_pcm};
use super::jack;
use super::list::{Abilities, Listed, Listing, list_pcms, probe};
use super::name::split_names;
use super::open_error::{is_this_program, may_be_server};
use super::pcm::{FORMATS, quiet};
use crate::limits::CHANNEL_COUNT_MAX;
use ::alsa::Direction;
use serde_json::Value;

/// Every device that can be opened or is in use: the cards, the PCMs of the configuration, the sources and sinks of the
/// sound server, and the clients of JACK.
pub fn list() -> Vec<Listed> {
    let mut listed = list_pcms();
    let _quiet = quiet();
    listed.extend(jack::list());
    // PulseAudio's PCM reaches PipeWire too, where PipeWire stands in for it.
    let is_listed = |pcm: &&&str| listed.iter().any(|other| other.name == format!("alsa:{pcm}"));
    if let Some(server) = ["pipewire", "pulse"].iter().find(is_listed) {
        listed.extend(of_server(server));
    }
    listed
}

/// Whether the PCM that `pcm` names for a direction is there, free or in use.
pub fn is_present(pcm: &str, capture: bool) -> bool {
    is_there(pcm, capture, |found| !matches!(found, Listing::Refused { .. }))
}

/// Whether the PCM that `pcm` names for a direction is there, and can be opened once this program has closed it. A card that
/// a sound server holds is asked for then.
pub fn is_free(pcm: &str, capture: bool) -> bool {
    is_there(pcm, capture, |found| match found {
        Listing::Free(_) => true,
        Listing::Busy { holder: Some(holder) } => is_this_program(holder) || may_be_server(Some(holder)),
        Listing::Busy { holder: None } | Listing::Refused { .. } => false,
    })
}

/// Whether the PCM that `pcm` names for a direction is there, and `suits` what opening it for a moment has found.
fn is_there(pcm: &str, capture: bool, suits: impl FnOnce(&Listing) -> bool) -> bool {
    let _quiet = quiet();
    let (inputs, outputs) = split_names(pcm);
    let (pcm, direction) = if capture { (inputs, Direction::Capture) } else { (outputs, Direction::Playback) };
    if pcm == "-" {
        return false;
    }
    jack::is_there(pcm, direction)
        .unwrap_or_else(|| missing_node(pcm, capture).is_none() && suits(&probe(pcm, direction)))
}

/// The sources and sinks of the server behind the PCM `server`.
fn of_server(server: &str) -> Vec<Listed> {
    match server {
        "pipewire" => answer("pw-dump", &["--no-colors"]).map_or_else(Vec::new, |text| pipewire(&text)),
        "pulse" => {
            let ask = |kind| answer("pactl", &["--format=json", "list", kind]).unwrap_or_default();
            let mut listed = pulseaudio(&ask("sources"), true);
            listed.extend(pulseaudio(&ask("sinks"), false));
            listed
        }
        _ => Vec::new(),
    }
}

fn pipewire(dump: &str) -> Vec<Listed> {
    let Ok(Value::Array(objects)) = serde_json::from_str(dump) else { return Vec::new() };
    let rate = objects.iter().filter_map(|object| object["metadata"].as_array()).flatten();
    let rate = rate.filter(|entry| entry["key"] == "clock.rate").find_map(|entry| entry["value"].as_u64());
    let rate = rate.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(48_000);
    let node = |object: &Value| {
        let properties = &object["info"]["props"];
        let class = properties["media.class"].as_str()?;
        let (records, plays) = match class.strip_prefix("Audio/")?.split('/').next()? {
            "Source" => (true, false),
            "Sink" => (false, true),
            "Duplex" => (true, true),
            _ => return None,
        };
        let name = properties["node.name"].as_str()?;
        let channels = channels(object)?;
        let title = ["node.description", "node.nick"].into_iter().find_map(|key| properties[key].as_str());
        let pcm = with_outputs(pipewire_pcm(name, channels)?, "pipewire", (records, plays));
        Some(listed(&pcm, title.unwrap_or(name), channels, rate, (records, plays)))
    };
    objects.iter().filter_map(node).collect()
}

fn pulseaudio(list: &str, records: bool) -> Vec<Listed> {
    let Ok(Value::Array(entries)) = serde_json::from_str(list) else { return Vec::new() };
    let node = |entry: &Value| {
        let name = entry["name"].as_str()?;
        // "s16le 2ch 44100Hz"
        let sample = entry["sample_specification"].as_str()?;
        let number = |unit: &str| sample.split(' ').find_map(|word| word.strip_suffix(unit)?.parse::<u32>().ok());
        let title = entry["description"].as_str().unwrap_or(name);
        let directions = (records, !records);
        let pcm = with_outputs(pulse_pcm(name)?, "pulse", directions);
        Some(listed(&pcm, title, number("ch")?.into(), number("Hz")?, directions))
    };
    entries.iter().filter_map(node).collect()
}

/// The name of a source, with the server's own choice for the outputs. PulseAudio refuses outputs under the name of a source,
/// and PipeWire plays them somewhere else.
fn with_outputs(pcm: String, server: &str, directions: (bool, bool)) -> String {
    if directions == (true, false) { format!("{pcm},{server}") } else { pcm }
}

fn listed(pcm: &str, title: &str, channels: u64, rate: u32, (records, plays): (bool, bool)) -> Listed {
    let channels = channels.clamp(1, CHANNEL_COUNT_MAX as u64) as u32;
    let abilities = Abilities {
        channels_min: channels,
        channels_max: channels,
        rates: vec![rate],
        formats: FORMATS.to_vec(),
        mapped: pcm.starts_with("pipewire"),
        server: true,
    };
    let side = |is_there: bool| is_there.then(|| Listing::Free(abilities.clone()));
    let title = title.chars().filter(|c| !c.is_control()).collect();
    Listed { name: format!("alsa:{pcm}"), title, hardware: false, capture: side(records), playback: side(plays) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn pipewires_sources_and_sinks_have_the_desktops_names_and_their_channels() {
        let dump = r#"[
            {"type": "PipeWire:Interface:Node", "info": {"props": {"media.class": "Audio/Source", "object.serial": 44,
             "node.name": "alsa_input.usb-UMC-00.multi", "node.description": "UMC1820", "audio.channels": 18}}},
            {"type": "PipeWire:Interface:Node", "info": {"props": {"media.class": "Audio/Sink", "object.serial": 45,
             "node.name": "odd name,", "node.nick": "HDMI"}, "params": {"EnumFormat": [{"channels": 2}]}}},
            {"type": "PipeWire:Interface:Node", "info": {"props": {"media.class": "Stream/Output/Audio"}}},
            {"type": "PipeWire:Interface:Metadata", "metadata": [{"key": "clock.rate", "value": 96000}]}]"#;
        let found = pipewire(dump);
        let names: Vec<_> = found.iter().map(|listed| (listed.name.as_str(), listed.title.as_str())).collect();
        let source = "alsa:pipewire:NODE=alsa_input.usb-UMC-00.multi,CHANNELS=18,pipewire";
        assert_eq!(names, [(source, "UMC1820"), ("alsa:pipewire:NODE='odd name,',CHANNELS=2", "HDMI")]);
        let Some(Listing::Free(abilities)) = &found[0].capture else { panic!("{found:?}") };
        assert_eq!((abilities.channels_max, abilities.rates.as_slice()), (18, [96_000].as_slice()));
        assert!(found[0].playback.is_none() && found[1].capture.is_none() && found[1].playback.is_some());
        assert!(pipewire("no answer").is_empty());
    }

    #[test]
    fn pulseaudios_sources_have_the_desktops_names_and_their_channels() {
        let list = r#"[{"name": "null.monitor", "description": "Monitor of Null", "sample_specification": "s32le 2ch 48000Hz"},
                       {"name": "no sample"}]"#;
        let found = pulseaudio(list, true);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].title.as_str()),
            ("alsa:pulse:DEVICE=null.monitor,pulse", "Monitor of Null")
        );
        assert_eq!(pulseaudio(list, false)[0].name, "alsa:pulse:DEVICE=null.monitor");
    }
}
