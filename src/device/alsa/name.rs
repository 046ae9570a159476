//! PCM names: splits a pair of names, and replaces card numbers by ids. Thread: any but audio.

use crate::device::{DeviceError, DeviceSpec};
use std::fs;
use std::path::Path;

/// The PCM names of capture and playback in `pcm`; `None` for a direction named `-`.
pub(super) fn names<'n>(spec: &DeviceSpec, pcm: &'n str) -> Result<(Option<&'n str>, Option<&'n str>), DeviceError> {
    let malformed = |reason: &str| DeviceError::Malformed { name: spec.name.clone(), reason: reason.to_owned() };
    if pcm.contains('\0') {
        return Err(malformed("a device name has no zero byte"));
    }
    let (capture, playback) = split_names(pcm);
    if capture.is_empty() || playback.is_empty() {
        return Err(malformed("a PCM name is missing; use alsa:NAME or alsa:CAPTURE,PLAYBACK with - for none"));
    }
    let some = |name: &'n str| (name != "-").then_some(name);
    match (some(capture), some(playback)) {
        (None, None) => Err(malformed("neither capture nor playback is named")),
        names => Ok(names),
    }
}

/// Splits `CAPTURE,PLAYBACK`; returns one name twice if there is no pair. Many names contain commas (`hw:0,1`,
/// `hw:CARD=UMC,DEV=0`). The separating comma is outside of quotes and braces, and `-` or the start of a name follows
/// it.
pub(super) fn split_names(pcm: &str) -> (&str, &str) {
    let (mut quote, mut depth) = (None, 0_u32);
    for (at, c) in pcm.char_indices() {
        match (c, quote) {
            (_, Some(open)) => quote = (c != open).then_some(open),
            ('\'' | '"', None) => quote = Some(c),
            ('{', None) => depth += 1,
            ('}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 && begins_a_name(&pcm[at + 1..]) => return (&pcm[..at], &pcm[at + 1..]),
            _ => {}
        }
    }
    (pcm, pcm)
}

/// Whether `pcm` names a pair whose outputs are not on the card of its inputs.
pub(super) fn are_outputs_apart(pcm: &str) -> bool {
    // One name may have the number of the card, and the other one its id.
    let lasting = lasting(pcm);
    let (capture, playback) = split_names(&lasting);
    if capture == playback || capture == "-" || playback == "-" {
        return false;
    }
    card_of(capture).is_none() || card_of(capture) != card_of(playback)
}

fn begins_a_name(rest: &str) -> bool {
    let head = rest.split([',', ':']).next().unwrap_or("");
    rest.is_empty() || rest == "-" || (head.starts_with(|c: char| c.is_alphabetic() || c == '_') && !head.contains('='))
}

/// `pcm` with card numbers replaced by card ids, because a card that is plugged in again may get another number.
pub fn lasting(pcm: &str) -> String {
    lasting_in(Path::new("/proc/asound"), pcm)
}

fn lasting_in(asound: &Path, pcm: &str) -> String {
    let (capture, playback) = split_names(pcm);
    let of = |name: &str| lasting_card(asound, name).unwrap_or_else(|| name.to_owned());
    if std::ptr::eq(capture, playback) { of(pcm) } else { format!("{},{}", of(capture), of(playback)) }
}

fn lasting_card(asound: &Path, name: &str) -> Option<String> {
    let card = card_of(name)?;
    if card.is_empty() || !card.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let id = fs::read_to_string(asound.join(format!("card{card}")).join("id")).ok()?;
    let id = id.trim();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return None;
    }
    if hardware_address(name).is_none() {
        return Some(name.replacen(&format!("CARD={card}"), &format!("CARD={id}"), 1));
    }
    let (kind, arguments) = name.split_once(':')?;
    // The second and third arguments may lack their keys. The key follows from the position.
    let rest = arguments.split(',').skip(1).zip(["DEV", "SUBDEV"]);
    let rest: String = rest
        .map(|(value, key)| if value.contains('=') { format!(",{value}") } else { format!(",{key}={value}") })
        .collect();
    Some(format!("{kind}:CARD={id}{rest}"))
}

/// Card (number or id) and device number of a name like `hw:0`, `hw:0,1`, `plughw:CARD=UMC,DEV=0`.
pub(super) fn hardware_address(pcm: &str) -> Option<(&str, &str)> {
    let (kind, arguments) = pcm.split_once(':')?;
    if !matches!(kind, "hw" | "plughw" | "sysdefault" | "front" | "dsnoop" | "dmix") {
        return None;
    }
    let mut values = arguments.split(',');
    let card = values.next()?;
    let device = values.next().unwrap_or("0");
    Some((card.strip_prefix("CARD=").unwrap_or(card), device.strip_prefix("DEV=").unwrap_or(device)))
}

/// The card (number or id) that a name is about, also one like `hdmi:CARD=PCH,DEV=1` or `default:CARD=PCH`, whose device
/// number is not the kernel's.
pub(super) fn card_of(pcm: &str) -> Option<&str> {
    let named = || pcm.split_once(':')?.1.split(',').find_map(|argument| argument.strip_prefix("CARD="));
    hardware_address(pcm).map(|(card, _)| card).or_else(named)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    #[test]
    fn the_comma_between_two_names_is_found_among_the_commas_of_a_name() {
        for (text, capture, playback) in [
            ("default", "default", "default"),
            ("hw:0,0", "hw:0,0", "hw:0,0"),
            ("hw:CARD=UMC,DEV=0", "hw:CARD=UMC,DEV=0", "hw:CARD=UMC,DEV=0"),
            ("hw:0,0,hw:1,0", "hw:0,0", "hw:1,0"),
            ("hw:CARD=A,DEV=0,hw:CARD=B,DEV=1", "hw:CARD=A,DEV=0", "hw:CARD=B,DEV=1"),
            ("mic,speaker", "mic", "speaker"),
            ("-,hw:0,1", "-", "hw:0,1"),
            ("hw:0,1,-", "hw:0,1", "-"),
            ("plug:'hw:0,dev',speaker", "plug:'hw:0,dev'", "speaker"),
            ("plug:{SLAVE=\"a,b\"}", "plug:{SLAVE=\"a,b\"}", "plug:{SLAVE=\"a,b\"}"),
            ("mic,", "mic", ""),
        ] {
            assert_eq!(split_names(text), (capture, playback), "{text}");
        }
    }

    #[test]
    fn the_outputs_of_a_pair_are_apart_unless_both_are_of_one_card() {
        for (text, are_apart) in [
            ("hw:CARD=A,DEV=0,hw:CARD=B,DEV=0", true),
            ("hw:CARD=A,DEV=0,hw:CARD=A,DEV=1", false),
            ("hw:CARD=A,default", true),
            ("hw:CARD=A,DEV=0,hdmi:CARD=A,DEV=1", false),
            ("hw:CARD=A,DEV=0,hdmi:CARD=B,DEV=1", true),
            ("mic,speaker", true),
            ("default", false),
            ("hw:0,1", false),
            ("hw:0,-", false),
            ("-,default", false),
        ] {
            assert_eq!(are_outputs_apart(text), are_apart, "{text}");
        }
    }

    #[test]
    fn card_and_device_are_read_from_the_usual_names() {
        assert_eq!(hardware_address("hw:0"), Some(("0", "0")));
        assert_eq!(hardware_address("hw:1,3"), Some(("1", "3")));
        assert_eq!(hardware_address("plughw:CARD=UMC,DEV=2"), Some(("UMC", "2")));
        assert_eq!(hardware_address("default"), None);
        assert_eq!(hardware_address("pulse:x"), None);
        assert_eq!(hardware_address("hdmi:CARD=PCH,DEV=1"), None);
        for (pcm, card) in [("hdmi:CARD=PCH,DEV=1", Some("PCH")), ("hw:1,3", Some("1")), ("pulse:x", None)] {
            assert_eq!(card_of(pcm), card, "{pcm}");
        }
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
            ("hdmi:CARD=1,DEV=1", "hdmi:CARD=UMC1820,DEV=1"),
            ("hw:CARD=PCH", "hw:CARD=PCH"),
            ("hw:2,1", "hw:2,1"),
            ("default", "default"),
            ("pipewire:1", "pipewire:1"),
        ] {
            assert_eq!(lasting_in(asound.path(), name), lasting, "{name}");
        }
    }
}
