//! Judges the sound cards: which exist, whether this user may open them, which programs use them. Thread: control.
//!
//! Everything is read from `/proc/asound` and `/dev/snd`. No device is opened, because that could disturb a program
//! that plays.

use super::{Finding, Verdict, read};
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    let cards = cards(&read(root, "proc/asound/cards").unwrap_or_default());
    if cards.is_empty() {
        let sentence = "No sound card is known to the kernel. The built-in device ('virtual') records and plays without one; a \
                        sound server's device may still be there.";
        return vec![Finding::new("sound cards", "none", Verdict::Fair, sentence)];
    }
    cards.iter().map(|card| judge(card, may_open(root, card.number), &holders(root, card.number))).collect()
}

/// The finding about a configuration of ALSA that cannot be read.
pub(super) fn misconfigured(fault: &str) -> Finding {
    let sentence = format!("No card and no sound server can be opened: {fault}.");
    Finding::new("ALSA's configuration", "faulty", Verdict::Poor, sentence)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Card {
    number: u32,
    id: String,
    name: String,
}

/// A program that has a stream of a card open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    process: u32,
    name: String,
}

/// Parses lines like ` 0 [PCH            ]: HDA-Intel - HDA Intel PCH`. The line after each has more details and is
/// skipped.
fn cards(text: &str) -> Vec<Card> {
    text.lines()
        .filter_map(|line| {
            let (number, rest) = line.trim_start().split_once(" [")?;
            let (id, rest) = rest.split_once("]:")?;
            let name = rest.split_once(" - ").map_or(rest, |(_, name)| name);
            Some(Card { number: number.trim().parse().ok()?, id: id.trim().to_owned(), name: name.trim().to_owned() })
        })
        .collect()
}

/// Whether this user may read and write every device node of a card. `None`: the card has no device nodes.
fn may_open(root: &Path, number: u32) -> Option<bool> {
    let (control, stream) = (format!("controlC{number}"), format!("pcmC{number}D"));
    let nodes: Vec<_> = fs::read_dir(root.join("dev/snd"))
        .ok()?
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name == control || name.starts_with(&stream))
        })
        .collect();
    if nodes.is_empty() {
        return None;
    }
    Some(nodes.iter().all(|node| access(&node.path(), AccessFlags::R_OK | AccessFlags::W_OK).is_ok()))
}

/// The programs that have streams of a card open, with the names of the streams (`pcm0c`). The source is `owner_pid` in
/// `pcm*/sub*/status`.
fn holders(root: &Path, number: u32) -> BTreeMap<Holder, Vec<String>> {
    let mut found: BTreeMap<Holder, Vec<String>> = BTreeMap::new();
    let card = root.join(format!("proc/asound/card{number}"));
    for stream in folders(&card, "pcm") {
        for sub in folders(&card.join(&stream), "sub") {
            let status = read(&card, &format!("{stream}/{sub}/status")).unwrap_or_default();
            if let Some(owner) = owner(&status) {
                found.entry(holder(root, owner)).or_default().push(stream.clone());
            }
        }
    }
    for streams in found.values_mut() {
        streams.sort();
        streams.dedup();
    }
    found
}

fn folders(above: &Path, prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(above) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

fn owner(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("owner_pid")?.trim_start().strip_prefix(':')?.trim().parse().ok())
}

/// The process of the thread that opened a stream. The kernel reports the thread, but users know the process.
fn holder(root: &Path, thread: u32) -> Holder {
    let process = read(root, &format!("proc/{thread}/status"))
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok()))
        .unwrap_or(thread);
    let name =
        read(root, &format!("proc/{process}/comm")).unwrap_or_else(|| "a program that cannot be named".to_owned());
    Holder { process, name }
}

fn judge(card: &Card, may_open: Option<bool>, holders: &BTreeMap<Holder, Vec<String>>) -> Finding {
    const TOPIC: &str = "sound card";
    let measured = format!("hw:{} {}", card.id, card.name);
    match may_open {
        Some(false) => {
            let sentence = "This user may not open its device files in /dev/snd. The fix counts from the next login; on a \
                            desktop only the person who sits at the screen has the right.";
            return Finding::new(TOPIC, measured, Verdict::Poor, sentence).fix("sudo usermod -aG audio \"$USER\"");
        }
        None => {
            let sentence = "It has no device files in /dev/snd here, as in a container that was not given them.";
            return Finding::new(TOPIC, measured, Verdict::Poor, sentence);
        }
        Some(true) => {}
    }
    if holders.is_empty() {
        return Finding::new(TOPIC, measured, Verdict::Good, "No program uses it, and this user may open it.");
    }
    let holdings: Vec<String> = holders
        .iter()
        .map(|(holder, streams)| format!("{} (process {}) holds {}", holder.name, holder.process, streams.join(", ")))
        .collect();
    let names = |server: &str| holders.keys().any(|holder| holder.name.starts_with(server));
    let sentence = |advice: &str| format!("{}, so it can't be opened for that at once. {advice}.", holdings.join("; "));
    // The desktop's sound is never stopped: its server lets a card go when it is asked.
    if ["pipewire", "wireplumber", "pulseaudio"].into_iter().any(names) {
        let advice = "Faultless asks for it when it opens it, and gives it back at the end. If that is refused, record \
                      through the sound server (--device alsa:default)";
        return Finding::new(TOPIC, measured, Verdict::Fair, sentence(advice));
    }
    Finding::new(TOPIC, measured, Verdict::Fair, sentence("Close that program first"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARDS: &str = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      HDA Intel PCH at 0xf7 irq 31\n\
                         12 [USB            ]: USB-Audio - Scarlett 18i20 - USB\n                      Focusrite at usb-1\n";

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn cards_are_read_with_number_id_and_name() {
        let read = cards(CARDS);
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].number, read[0].id.as_str(), read[0].name.as_str()), (0, "PCH", "HDA Intel PCH"));
        assert_eq!((read[1].number, read[1].name.as_str()), (12, "Scarlett 18i20 - USB"));
        assert!(cards("--- no soundcards ---\n").is_empty());
    }

    #[test]
    fn the_process_behind_the_thread_that_holds_a_stream_is_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "proc/asound/cards", CARDS);
        write(root, "dev/snd/controlC0", "");
        write(root, "dev/snd/pcmC0D0c", "");
        write(root, "proc/asound/card0/pcm0c/sub0/status", "state: RUNNING\nowner_pid   : 4711\ntrigger_time: 1\n");
        write(root, "proc/asound/card0/pcm0p/sub0/status", "closed\n");
        write(root, "proc/4711/status", "Name:\tdata-loop.0\nTgid:\t4700\nPid:\t4711\n");
        write(root, "proc/4700/comm", "pipewire\n");
        let findings = examine(root);
        assert_eq!(findings.len(), 2);
        assert!(findings[0].sentence.starts_with("pipewire (process 4700) holds pcm0c,"), "{findings:?}");
        assert_eq!(findings[0].fix, None);
        assert!(findings[0].sentence.contains("gives it back at the end"), "{findings:?}");
        assert_eq!(
            (findings[1].measured.as_str(), findings[1].verdict),
            ("hw:USB Scarlett 18i20 - USB", Verdict::Poor)
        );
    }

    #[test]
    fn a_free_card_is_good_and_one_without_rights_has_a_fix() {
        let card = &cards(CARDS)[0];
        assert_eq!(judge(card, Some(true), &BTreeMap::new()).verdict, Verdict::Good);
        assert!(judge(card, Some(false), &BTreeMap::new()).fix.unwrap().contains("audio"));
    }

    #[test]
    fn no_card_is_told_with_what_works_without_one() {
        let findings = examine(Path::new("/nowhere"));
        assert!(findings.len() == 1 && findings[0].sentence.contains("built-in device"));
    }
}
