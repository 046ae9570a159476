//! JACK's ports by client: their list, and the PCM that is connected to chosen ones. Thread: lister, opener, reconnect,
//! control.
//!
//! A client of JACK has single ports. A device here is a client, or some of its ports: `jack:CLIENT=NAME` or
//! `jack:CLIENT=NAME,PORTS=NAME+NAME`, where `*` and `?` stand for any letters. `jack_lsp` lists the ports at each opening,
//! because clients come and go. alsa-lib's PCM for JACK takes no argument, and its configuration names the ports. alsa-lib
//! takes such a configuration as the argument of its PCM `plug`, which passes the samples on as they are when nothing is to
//! be converted.

use super::answer::answer;
use super::jack_watch::JackWatch;
use super::list::{Abilities, JACK, Listed, Listing, jack_may_run, probe};
use crate::device::DeviceError;
use crate::format::DeviceFormat;
use crate::limits::CHANNEL_COUNT_MAX;
use ::alsa::Direction;

/// The name of this program among the clients of JACK. Of several streams, the later ones get a number behind it.
const OWN_CLIENT: &str = "Faultless";

/// The sentence for a machine without the program that lists JACK's ports.
const MISSING: &str = "its other ports are not known without the program jack_lsp: install jack-example-tools, on Debian 12 \
                       and before jackd2";

/// A port that carries sound.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    client: String,
    name: String,
    /// The direction in which a program can use it: one can record what comes out of a port.
    direction: Direction,
    /// The port is a connector of the card that JACK uses.
    physical: bool,
    /// Frames between the port and the card in the direction of the sound, as JACK reports them.
    delay: Option<u64>,
}

/// Whose the chosen ports are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortOwner {
    /// The card: they are its connectors.
    Card,
    /// The client of the card, which returns what is played before the card plays it.
    CardMonitor,
    /// A client that is not the card's.
    Client,
}

/// The delay of chosen ports, as JACK reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PortDelay {
    pub(super) frames: u64,
    pub(super) owner: PortOwner,
}

/// The ports that a device name asks for, as patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted<'n> {
    client: &'n str,
    /// `None`: the ports of the card, or all ports of a client that has none of a card.
    ports: Option<&'n str>,
}

/// The ports that a device name means now.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    /// Full names, `CLIENT:PORT`, one for each channel.
    names: Vec<String>,
    direction: Direction,
    /// `None`: JACK's program does not tell it.
    delay: Option<PortDelay>,
    /// The name of this program's client.
    own: String,
}

impl Ports {
    /// The ports behind `pcm`; `None` if it is no name of JACK's ports. `device` is the name for errors. `channels` are those
    /// that are wanted: the first ports.
    pub(super) fn find(
        device: &str,
        pcm: &str,
        direction: Direction,
        channels: Option<usize>,
    ) -> Result<Option<Ports>, DeviceError> {
        let Some(wanted) = Wanted::parse(pcm) else { return Ok(None) };
        let told = tell().ok_or_else(|| no_answer(device))?;
        let all = ports_in(&told);
        let found = find(&all, wanted, direction);
        let mut names: Vec<String> = found.iter().copied().map(full_name).collect();
        if names.is_empty() {
            return Err(DeviceError::Unknown { name: device.to_owned(), hint: what_is_there(&all, direction) });
        }
        if let Some(channels) = channels.filter(|channels| names.len() < *channels) {
            return Err(DeviceError::Unsupported {
                name: device.to_owned(),
                what: format!("{channels} channels"),
                offers: format!("it has {}: {}", names.len(), names.join(", ")),
            });
        }
        names.truncate(channels.unwrap_or(CHANNEL_COUNT_MAX));
        let delay = delay_of(&all, &found[..names.len()]);
        Ok(Some(Ports { names, direction, delay, own: free_name(&told) }))
    }

    /// The delay of the ports; `None` if it is not known.
    pub(super) fn delay(&self) -> Option<PortDelay> {
        self.delay
    }

    /// The watch over the connections of this program's inputs.
    pub(super) fn watch(&self) -> JackWatch {
        JackWatch::new(&self.own, &self.names)
    }

    pub(super) fn channels(&self) -> usize {
        self.names.len()
    }

    /// The name of a PCM that is connected to the ports.
    pub(super) fn pcm(&self) -> String {
        let side = match self.direction {
            Direction::Capture => "capture_ports",
            Direction::Playback => "playback_ports",
        };
        let quoted = |name: &String| name.replace('\\', "\\\\").replace('"', "\\\"");
        let ports = self.names.iter().enumerate().map(|(channel, name)| format!("{channel} \"{}\"", quoted(name)));
        let ports = ports.collect::<Vec<_>>().join(" ");
        format!("plug:{{SLAVE={{type jack name \"{}\" {side} {{{ports}}}}}}}", self.own)
    }
}

impl<'n> Wanted<'n> {
    fn parse(pcm: &'n str) -> Option<Wanted<'n>> {
        let arguments = pcm.strip_prefix("jack:")?;
        let (client, ports) = match arguments.split_once(",PORTS=") {
            Some((client, ports)) => (client, Some(ports)),
            None => (arguments, None),
        };
        Some(Wanted { client: client.strip_prefix("CLIENT=").unwrap_or(client), ports })
    }
}

/// Whether `pcm` is a name of JACK's ports, and they are there.
pub(super) fn is_there(pcm: &str, direction: Direction) -> Option<bool> {
    let wanted = Wanted::parse(pcm)?;
    Some(ask().is_some_and(|ports| !find(&ports, wanted, direction).is_empty()))
}

/// The clients of JACK as devices. Where the program that lists them is missing, the first two ports of its card are one.
pub(super) fn list() -> Vec<Listed> {
    if !jack_may_run() {
        return Vec::new();
    }
    let Some(ports) = ask() else { return unlisted() };
    let groups = groups(&ports);
    // All ports of a server have one rate. One of them tells it.
    let first = groups.iter().find_map(|group| group.capture.as_ref().or(group.playback.as_ref()));
    let found = first.map(|first| probe(&first.pcm(), first.direction));
    let Some(Listing::Free(found)) = found else { return Vec::new() };
    groups.iter().map(|group| group.listed(&found)).collect()
}

/// The PCM of alsa-lib's configuration.
fn unlisted() -> Vec<Listed> {
    let usable = |direction| Some(probe(JACK, direction)).filter(|found| !matches!(found, Listing::Refused { .. }));
    let (capture, playback) = (usable(Direction::Capture), usable(Direction::Playback));
    if capture.is_none() && playback.is_none() {
        return Vec::new();
    }
    let title = format!("JACK, the first two ports of its card ({MISSING})");
    vec![Listed { name: format!("alsa:{JACK}"), title, hardware: false, capture, playback }]
}

/// The device of the card behind JACK, and the number of its ports in a direction; `None` if no server runs.
pub fn jack_card(capture: bool) -> Option<(String, usize)> {
    let direction = if capture { Direction::Capture } else { Direction::Playback };
    let ports = if jack_may_run() { ask()? } else { return None };
    let client = card(&ports, direction)?;
    let count =
        ports.iter().filter(|port| port.physical && port.client == client && port.direction == direction).count();
    Some((format!("alsa:jack:CLIENT={}", pattern(client)), count))
}

/// The note for alsa-lib's PCM `pcm` of JACK, if that is taken because JACK's ports cannot be listed.
pub(super) fn note_unlisted(pcm: &str) -> Option<String> {
    (pcm == JACK && tell().is_none()).then(|| format!("JACK: the first two ports of its card are used; {MISSING}"))
}

fn no_answer(device: &str) -> DeviceError {
    DeviceError::Failed {
        name: device.to_owned(),
        call: "jack_lsp",
        reason:
            "the program is not installed or JACK does not answer; it lists JACK's ports, and the package jack-example-tools \
                 has it, on Debian 12 and before jackd2"
                .to_owned(),
    }
}

/// The ports of the server; none if no server runs. `None`: the program that lists them is missing or hangs.
fn ask() -> Option<Vec<Port>> {
    tell().map(|text| ports_in(&text))
}

fn tell() -> Option<String> {
    answer("jack_lsp", &["-l", "-p", "-t"])
}

/// A name for this program's client that no other client has. `told`: the answer of `jack_lsp`. JACK would find a free name
/// by itself, and not say which.
fn free_name(told: &str) -> String {
    let is_taken =
        |name: &str| told.lines().any(|line| line.strip_prefix(name).is_some_and(|port| port.starts_with(':')));
    let names = (1..100).map(|number| format!("{OWN_CLIENT}-{number:02}"));
    let mut names = std::iter::once(OWN_CLIENT.to_owned()).chain(names);
    names.find(|name| !is_taken(name)).unwrap_or_else(|| OWN_CLIENT.to_owned())
}

/// The answer of `jack_lsp -l -p -t`: a line for each port, and lines that begin with a blank for its delays, properties and
/// type.
fn ports_in(answer: &str) -> Vec<Port> {
    let mut ports = Vec::new();
    let mut name = None;
    let mut properties = "";
    let mut delays = [None; 2];
    for line in answer.lines() {
        let Some(detail) = line.strip_prefix([' ', '\t']).map(str::trim) else {
            (name, properties, delays) = (line.split_once(':'), "", [None; 2]);
            continue;
        };
        if let Some(found) = detail.strip_prefix("properties:") {
            properties = found;
        } else if let Some(found) = detail.strip_prefix("port capture latency = [") {
            delays[0] = longest(found);
        } else if let Some(found) = detail.strip_prefix("port playback latency = [") {
            delays[1] = longest(found);
        } else if let Some((client, name)) = name.filter(|_| detail.contains("audio"))
            && !is_own(client)
        {
            let has = |word: &str| properties.split(',').any(|property| property.trim() == word);
            ports.push(Port {
                client: client.to_owned(),
                name: name.to_owned(),
                direction: if has("output") { Direction::Capture } else { Direction::Playback },
                physical: has("physical"),
                delay: delays[usize::from(!has("output"))],
            });
        }
    }
    ports
}

/// The second number of "256 512 ] frames".
fn longest(range: &str) -> Option<u64> {
    range.split_whitespace().nth(1)?.parse().ok()
}

/// The delay of `chosen` ports among `all`: the longest, because takes of one pass have one place.
fn delay_of(all: &[Port], chosen: &[&Port]) -> Option<PortDelay> {
    let has_card = |client: &str| all.iter().any(|port| port.physical && port.client == client);
    let owner = if chosen.iter().all(|port| port.physical) {
        PortOwner::Card
    } else if chosen.iter().all(|port| !port.physical && has_card(&port.client)) {
        PortOwner::CardMonitor
    } else {
        PortOwner::Client
    };
    let delays: Option<Vec<u64>> = chosen.iter().map(|port| port.delay).collect();
    Some(PortDelay { frames: delays?.into_iter().max()?, owner })
}

fn is_own(client: &str) -> bool {
    client.strip_prefix(OWN_CLIENT).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The ports that are wanted: in the order in which they are named, else in that of the server.
fn find<'p>(ports: &'p [Port], wanted: Wanted<'_>, direction: Direction) -> Vec<&'p Port> {
    let is_of = |port: &&Port| port.direction == direction && matches(wanted.client, &port.client);
    let of_client: Vec<&Port> = ports.iter().filter(is_of).collect();
    match wanted.ports {
        Some(names) => names
            .split('+')
            .flat_map(|name| of_client.iter().copied().filter(move |port| matches(name, &port.name)))
            .collect(),
        None if of_client.iter().any(|port| port.physical) => {
            of_client.into_iter().filter(|port| port.physical).collect()
        }
        None => of_client,
    }
}

/// Whether `text` is of a pattern in which `*` stands for any letters and `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last star, and the first letter of the text that it does not stand for.
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// `name` as a part of a device name. Letters that have a meaning there are replaced by one that stands for any.
fn pattern(name: &str) -> String {
    let is_special = |c: char| c.is_control() || matches!(c, ',' | '+' | '*' | '\'' | '"' | '{' | '}');
    name.chars().map(|c| if is_special(c) { '?' } else { c }).collect()
}

fn full_name(port: &Port) -> String {
    format!("{}:{}", port.client, port.name)
}

/// The client whose ports are those of the card.
fn card(ports: &[Port], direction: Direction) -> Option<&str> {
    ports.iter().find(|port| port.physical && port.direction == direction).map(|port| port.client.as_str())
}

/// The end of the error for ports that are not there.
fn what_is_there(ports: &[Port], direction: Direction) -> String {
    let mut clients: Vec<&str> = Vec::new();
    for port in ports.iter().filter(|port| port.direction == direction) {
        if !clients.contains(&port.client.as_str()) {
            clients.push(&port.client);
        }
    }
    let to = match direction {
        Direction::Capture => "record from",
        Direction::Playback => "play to",
    };
    if ports.is_empty() {
        "no JACK server runs for this user".to_owned()
    } else if clients.is_empty() {
        format!("no client of JACK has ports to {to}")
    } else {
        format!("these clients of JACK have ports to {to}: {}; 'faultless devices' lists them", clients.join(", "))
    }
}

/// Ports of one client that are one line of the list.
struct Group {
    name: String,
    title: String,
    capture: Option<Ports>,
    playback: Option<Ports>,
}

impl Group {
    /// `found`: what one port can do.
    fn listed(&self, found: &Abilities) -> Listed {
        let side = |ports: &Option<Ports>| {
            ports.as_ref().map(|ports| {
                let channels = ports.channels().min(CHANNEL_COUNT_MAX) as u32;
                Listing::Free(Abilities {
                    channels_min: channels,
                    channels_max: channels,
                    formats: vec![DeviceFormat::F32],
                    server: true,
                    ..found.clone()
                })
            })
        };
        let (capture, playback) = (side(&self.capture), side(&self.playback));
        Listed { name: format!("alsa:{}", self.name), title: self.title.clone(), hardware: false, capture, playback }
    }
}

/// The lines of the list: the card's ports first, then those of other clients. What is recorded from a client without a card
/// is heard through the card.
fn groups(ports: &[Port]) -> Vec<Group> {
    let mut clients: Vec<&str> = Vec::new();
    for port in ports {
        if !clients.contains(&port.client.as_str()) {
            clients.push(&port.client);
        }
    }
    let of = |client: &str, direction: Direction, physical: bool| -> Vec<&Port> {
        let is_of = |port: &&Port| port.client == client && port.direction == direction && port.physical == physical;
        ports.iter().filter(is_of).collect()
    };
    let some = |ports: &[&Port], direction: Direction| {
        let names: Vec<String> = ports.iter().copied().map(full_name).collect();
        (!names.is_empty()).then_some(Ports { names, direction, delay: None, own: OWN_CLIENT.to_owned() })
    };
    let heard = card(ports, Direction::Playback);
    let (mut cards, mut others) = (Vec::new(), Vec::new());
    for client in clients {
        let name = format!("jack:CLIENT={}", pattern(client));
        let (ins, outs) = (of(client, Direction::Capture, true), of(client, Direction::Playback, true));
        let has_card = !ins.is_empty() || !outs.is_empty();
        if has_card {
            let texts = [counted(&ins, "capture"), counted(&outs, "playback")];
            let title = format!("JACK, {client}: {}", texts.into_iter().flatten().collect::<Vec<_>>().join(", "));
            let (capture, playback) = (some(&ins, Direction::Capture), some(&outs, Direction::Playback));
            cards.push(Group { name: name.clone(), title, capture, playback });
        }
        let (ins, outs) = (of(client, Direction::Capture, false), of(client, Direction::Playback, false));
        if let Some(text) = counted(&ins, "output") {
            let only = if of(client, Direction::Capture, true).is_empty() { String::new() } else { only(ports, &ins) };
            let (output, playback) = match heard {
                Some(card) => (
                    format!("jack:CLIENT={}", pattern(card)),
                    some(&of(card, Direction::Playback, true), Direction::Playback),
                ),
                None => ("-".to_owned(), None),
            };
            let capture = some(&ins, Direction::Capture);
            others.push(Group {
                name: format!("{name}{only},{output}"),
                title: format!("JACK, {client}: {text}"),
                capture,
                playback,
            });
        }
        if let Some(text) = counted(&outs, "input") {
            let only =
                if of(client, Direction::Playback, true).is_empty() { String::new() } else { only(ports, &outs) };
            others.push(Group {
                name: format!("-,{name}{only}"),
                title: format!("JACK, {client}: {text}"),
                capture: None,
                playback: some(&outs, Direction::Playback),
            });
        }
    }
    cards.append(&mut others);
    cards
}

/// "2 capture ports (capture_1 to capture_2)"; `None` for no port.
fn counted(ports: &[&Port], kind: &str) -> Option<String> {
    Some(match ports {
        [] => return None,
        [port] => format!("1 {kind} port ({})", port.name),
        [first, second] => format!("2 {kind} ports ({}, {})", first.name, second.name),
        [first, .., last] => format!("{} {kind} ports ({} to {})", ports.len(), first.name, last.name),
    })
}

/// The part of a device name that means `some` of the ports of their client and no others.
fn only(all: &[Port], some: &[&Port]) -> String {
    let Some(first) = some.first() else { return String::new() };
    let stem = first.name.trim_end_matches(|c: char| c.is_ascii_digit());
    let short = format!("{}*", pattern(stem));
    let wanted = Wanted { client: &first.client, ports: Some(&short) };
    if find(all, wanted, first.direction) == some {
        return format!(",PORTS={short}");
    }
    let names: Vec<String> = some.iter().map(|port| pattern(&port.name)).collect();
    format!(",PORTS={}", names.join("+"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::super::name::split_names;
    use super::*;

    const ANSWER: &str = "system:capture_1\n\tproperties: output,physical,terminal,\n\t32 bit float mono audio\n\
        system:capture_2\n\tproperties: output,physical,terminal,\n\t32 bit float mono audio\n\
        system:playback_1\n\tproperties: input,physical,terminal,\n\t32 bit float mono audio\n\
        system:monitor_1\n\tproperties: output,\n\t32 bit float mono audio\n\
        system:midi_capture_1\n\tproperties: output,physical,terminal,\n\t8 bit raw midi\n\
        my synth, 2:left: front\n\tproperties: output,\n\t32 bit float mono audio\n\
        my synth, 2:right\n\tproperties: output,\n\t32 bit float mono audio\n\
        my synth, 2:in\n\tproperties: input,\n\t32 bit float mono audio\n\
        Faultless-01:in_000\n\tproperties: input,\n\t32 bit float mono audio\n";

    fn names(pcm: &str, direction: Direction) -> Vec<String> {
        find(&ports_in(ANSWER), Wanted::parse(pcm).unwrap(), direction).into_iter().map(full_name).collect()
    }

    #[test]
    fn jacks_ports_are_listed_by_client_with_names_that_open_them() {
        let groups = groups(&ports_in(ANSWER));
        let shown: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.title.as_str())).collect();
        let synth = "jack:CLIENT=my synth? 2";
        assert_eq!(
            shown,
            [
                (
                    "jack:CLIENT=system",
                    "JACK, system: 2 capture ports (capture_1, capture_2), 1 playback port (playback_1)"
                ),
                ("jack:CLIENT=system,PORTS=monitor_*,jack:CLIENT=system", "JACK, system: 1 output port (monitor_1)"),
                (&*format!("{synth},jack:CLIENT=system"), "JACK, my synth, 2: 2 output ports (left: front, right)"),
                (&*format!("-,{synth}"), "JACK, my synth, 2: 1 input port (in)"),
            ]
        );
        for group in &groups {
            let (capture, playback) = split_names(&group.name);
            for (pcm, side, direction) in
                [(capture, &group.capture, Direction::Capture), (playback, &group.playback, Direction::Playback)]
            {
                let found = Wanted::parse(pcm).map(|_| names(pcm, direction)).unwrap_or_default();
                assert_eq!(found, side.as_ref().map_or(Vec::new(), |ports| ports.names.clone()), "{}", group.name);
            }
        }
    }

    #[test]
    fn the_delay_of_ports_is_that_of_their_direction_and_the_longest_of_several() {
        let port = |name: &str, properties: &str, capture: u64, playback: u64| {
            format!(
                "{name}\n\tport playback latency = [ 0 {playback} ] frames\n\tport capture latency = [ {capture} {capture} ] \
                 frames\n\tproperties: {properties},\n\t32 bit float mono audio\n"
            )
        };
        let told = port("system:capture_1", "output,physical,terminal", 256, 0)
            + &port("system:capture_2", "output,physical,terminal", 300, 0)
            + &port("system:playback_1", "input,physical,terminal", 0, 768)
            + &port("system:monitor_1", "output", 256, 0)
            + &port("synth:out", "output", 7, 1_000);
        let delay = |told: &str, pcm: &str, direction| {
            let all = ports_in(told);
            delay_of(&all, &find(&all, Wanted::parse(pcm).unwrap(), direction))
        };
        for (pcm, direction, frames, owner) in [
            ("jack:CLIENT=system", Direction::Capture, 300, PortOwner::Card),
            ("jack:CLIENT=system,PORTS=capture_1", Direction::Capture, 256, PortOwner::Card),
            ("jack:CLIENT=system", Direction::Playback, 768, PortOwner::Card),
            ("jack:CLIENT=system,PORTS=monitor_*", Direction::Capture, 256, PortOwner::CardMonitor),
            ("jack:CLIENT=synth", Direction::Capture, 7, PortOwner::Client),
        ] {
            assert_eq!(delay(&told, pcm, direction), Some(PortDelay { frames, owner }), "{pcm}");
        }
        assert_eq!(delay(ANSWER, "jack:CLIENT=system", Direction::Capture), None, "the delays are not told");
    }

    #[test]
    fn chosen_ports_of_a_client_come_in_the_order_in_which_they_are_named() {
        assert_eq!(names("jack:CLIENT=system", Direction::Capture), ["system:capture_1", "system:capture_2"]);
        let chosen = names("jack:CLIENT=system,PORTS=monitor_1+capture_2", Direction::Capture);
        assert_eq!(chosen, ["system:monitor_1", "system:capture_2"]);
        assert_eq!(names("jack:system,PORTS=*_1", Direction::Capture), ["system:capture_1", "system:monitor_1"]);
        assert!(names("jack:CLIENT=system,PORTS=capture_3", Direction::Capture).is_empty());
        assert!(names("jack:CLIENT=other", Direction::Capture).is_empty());
        assert_eq!(Wanted::parse("jack"), None);
    }

    #[test]
    fn ports_become_a_configuration_of_alsa_lib() {
        let names = vec!["a:b\"c".to_owned(), "d\\:e f".to_owned()];
        let odd = Ports { names, direction: Direction::Capture, delay: None, own: free_name("") };
        assert_eq!(
            odd.pcm(),
            "plug:{SLAVE={type jack name \"Faultless\" capture_ports {0 \"a:b\\\"c\" 1 \"d\\\\:e f\"}}}"
        );
    }

    #[test]
    fn this_program_takes_a_name_that_no_client_has() {
        assert_eq!(free_name(ANSWER), "Faultless");
        assert_eq!(free_name("Faultless:in_000\n\tproperties: input,\nFaultless-01:in_000\n"), "Faultless-02");
    }

    #[test]
    fn a_missing_client_is_answered_with_those_that_are_there() {
        let ports = ports_in(ANSWER);
        let hint = what_is_there(&ports, Direction::Playback);
        assert!(hint.starts_with("these clients of JACK have ports to play to: system, my synth, 2;"), "{hint}");
        assert_eq!(what_is_there(&[], Direction::Capture), "no JACK server runs for this user");
    }

    #[test]
    fn a_star_stands_for_any_letters_and_a_question_mark_for_one() {
        for (pattern, text, is_of) in [
            ("*", "", true),
            ("capture_*", "capture_12", true),
            ("*_1*", "capture_1", true),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("capture_1", "capture_12", false),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), is_of, "{pattern} {text}");
        }
    }
}
