//! A sound server's sources, and the sources that this program's streams are connected to. Thread: source-watch, lister, opener, reconnect,
//! control.
//!
//! The programs `pw-dump` of PipeWire and `pactl` of PulseAudio are asked. Without them nothing is known.

use super::answer::answer;
use serde_json::Value;

/// A sound server that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoundServer {
    PipeWire,
    PulseAudio,
}

/// A source of a server, or a sink whose sound is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The name that opens it.
    pub(super) name: String,
    /// PipeWire's number of it, which opens it too.
    serial: Option<u64>,
    /// The desktop's name of it.
    pub(super) title: String,
    pub(super) channels: Option<u64>,
}

impl Source {
    /// Whether `argument` of a PCM names this source.
    pub(super) fn is_named(&self, argument: &str) -> bool {
        self.name == argument || self.serial.is_some_and(|serial| serial.to_string() == argument)
    }
}

impl SoundServer {
    /// The server behind a PCM, by alsa-lib's description. No other server is asked: `pactl` starts a PulseAudio where none
    /// runs.
    pub(super) fn behind(description: &str) -> Option<SoundServer> {
        let servers = [SoundServer::PipeWire, SoundServer::PulseAudio];
        servers.into_iter().find(|server| description.contains(&format!("<-> {} PCM", server.name())))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            SoundServer::PipeWire => "PipeWire",
            SoundServer::PulseAudio => "PulseAudio",
        }
    }

    /// The sources that the inputs of the process `pid` are connected to; `None` if the server does not answer or knows no
    /// such inputs.
    pub(super) fn sources_of(self, pid: u32) -> Option<Vec<Source>> {
        match self {
            SoundServer::PipeWire => pipewire_sources_of(&dump()?, pid),
            SoundServer::PulseAudio => {
                let outputs = json("pactl", &["--format=json", "list", "source-outputs"])?;
                pulseaudio_sources_of(&outputs, &pulseaudio_sources()?, pid)
            }
        }
    }

    /// The source that the desktop has chosen.
    fn default_source(self) -> Option<Source> {
        match self {
            SoundServer::PipeWire => pipewire_default(&dump()?),
            SoundServer::PulseAudio => {
                let name = answer("pactl", &["get-default-source"])?;
                pulseaudio_sources()?.iter().filter_map(pulseaudio_source).find(|source| source.name == name.trim())
            }
        }
    }
}

/// The source behind the PCM `pcm` of `server`: the one that it names, or the one that the desktop has chosen.
pub(super) fn source_of(server: SoundServer, pcm: &str) -> Option<Source> {
    let Some((_, name)) = named(pcm).filter(|(named, _)| *named == server) else { return server.default_source() };
    match server {
        SoundServer::PipeWire => nodes(&dump()?).map(|(node, _)| node).find(|node| node.is_named(name)),
        SoundServer::PulseAudio => {
            pulseaudio_sources()?.iter().filter_map(pulseaudio_source).find(|it| it.name == name)
        }
    }
}

/// The name of a PCM that records the source that the desktop has chosen now from `server`.
pub(super) fn default_source_pcm(server: SoundServer) -> Option<String> {
    let source = server.default_source()?;
    match server {
        SoundServer::PipeWire => pipewire_pcm(&source.name, source.channels?),
        SoundServer::PulseAudio => pulse_pcm(&source.name),
    }
}

/// The name of a PCM for a node of PipeWire. The number of a node would open it too, and is no name: after a restart of the
/// server another node has it.
pub(super) fn pipewire_pcm(name: &str, channels: u64) -> Option<String> {
    Some(format!("pipewire:NODE={},CHANNELS={channels}", argument(name)?))
}

/// The name of a PCM for a source or sink of PulseAudio.
pub(super) fn pulse_pcm(name: &str) -> Option<String> {
    Some(format!("pulse:DEVICE={}", argument(name)?))
}

/// `name` as an argument of a PCM: alsa-lib ends an argument without quotes at a blank, a comma or an equals sign. `None` for
/// a name that cannot be written, because it contains a character that alsa-lib escapes, or both quotes.
fn argument(name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '+' | '/');
    if name.is_empty() || name.chars().any(|c| c.is_control() || c == '\\') {
        None
    } else if name.chars().all(is_plain) {
        Some(name.to_owned())
    } else {
        let quote = ['\'', '"'].into_iter().find(|quote| !name.contains(*quote))?;
        Some(format!("{quote}{name}{quote}"))
    }
}

/// The arguments of a PCM. A comma in quotes separates none.
fn arguments_in(text: &str) -> impl Iterator<Item = &str> {
    let mut open = None;
    text.split(move |c| {
        match (c, open) {
            ('\'' | '"', None) => open = Some(c),
            (c, Some(quote)) if c == quote => open = None,
            _ => {}
        }
        c == ',' && open.is_none()
    })
}

/// The source or sink that `pcm` names, if it is one of a server's and not the server's choice. The server that has it,
/// and the name.
pub(super) fn named(pcm: &str) -> Option<(SoundServer, &str)> {
    let (kind, arguments) = pcm.split_once(':')?;
    let value = |key: &str| arguments_in(arguments).find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='));
    let (server, name) = match kind {
        "pipewire" => (SoundServer::PipeWire, value("NODE")?),
        "pulse" => {
            (SoundServer::PulseAudio, value("DEVICE").or_else(|| Some(arguments).filter(|it| !it.contains('=')))?)
        }
        _ => return None,
    };
    let in_quotes = ['\'', '"'].into_iter().find_map(|quote| name.strip_prefix(quote)?.strip_suffix(quote));
    let name = in_quotes.unwrap_or(name);
    (!name.is_empty() && name != "-1").then_some((server, name))
}

/// The names that PipeWire has in place of one that is not there; `None` if `pcm` names none of PipeWire's nodes, if the
/// node is there, or if that is not known. PipeWire itself opens another source in its place. PulseAudio refuses.
pub(super) fn missing_node(pcm: &str, records: bool) -> Option<Vec<String>> {
    let (SoundServer::PipeWire, wanted) = named(pcm)? else { return None };
    missing_in(&dump()?, wanted, records)
}

fn missing_in(objects: &Value, wanted: &str, records: bool) -> Option<Vec<String>> {
    let all: Vec<(Source, &str)> = nodes(objects).collect();
    if all.iter().any(|(node, _)| node.is_named(wanted)) {
        return None;
    }
    let kind = if records { "Audio/Source" } else { "Audio/Sink" };
    Some(all.into_iter().filter(|(_, class)| class.starts_with(kind)).map(|(node, _)| node.name).collect())
}

fn json(program: &str, arguments: &[&str]) -> Option<Value> {
    serde_json::from_str(&answer(program, arguments)?).ok()
}

fn dump() -> Option<Value> {
    json("pw-dump", &["--no-colors"])
}

/// The number of channels of an object of PipeWire.
pub(super) fn channels(object: &Value) -> Option<u64> {
    let format = &object["info"]["params"]["EnumFormat"][0]["channels"];
    object["info"]["props"]["audio.channels"].as_u64().or_else(|| format.as_u64())
}

/// The nodes of PipeWire that are a source, a sink or both, with their class.
fn nodes(objects: &Value) -> impl Iterator<Item = (Source, &str)> {
    objects.as_array().into_iter().flatten().filter_map(|object| {
        let class = object["info"]["props"]["media.class"].as_str()?;
        class.starts_with("Audio/").then_some((pipewire_source(object)?, class))
    })
}

fn pipewire_source(object: &Value) -> Option<Source> {
    let properties = &object["info"]["props"];
    let name = properties["node.name"].as_str()?;
    let title = ["node.description", "node.nick"].into_iter().find_map(|key| properties[key].as_str());
    Some(Source {
        name: name.to_owned(),
        serial: properties["object.serial"].as_u64(),
        title: plain(title.unwrap_or(name)),
        channels: channels(object),
    })
}

fn pipewire_sources_of(objects: &Value, pid: u32) -> Option<Vec<Source>> {
    let objects = objects.as_array()?;
    let with_id = |id: &Value| objects.iter().find(|object| !id.is_null() && object["id"] == *id);
    let is_ours = |properties: &Value| {
        ["application.process.id", "pipewire.sec.pid"]
            .into_iter()
            .any(|key| number(&properties[key]) == Some(pid.into()))
    };
    let is_stream = |object: &&Value| {
        let properties = &object["info"]["props"];
        properties["media.class"] == "Stream/Input/Audio"
            && (is_ours(properties)
                || with_id(&properties["client.id"]).is_some_and(|client| is_ours(&client["info"]["props"])))
    };
    let streams: Vec<&Value> = objects.iter().filter(is_stream).map(|stream| &stream["id"]).collect();
    if streams.is_empty() {
        return None;
    }
    let mut sources: Vec<Source> = Vec::new();
    for link in objects.iter().map(|object| &object["info"]) {
        if streams.contains(&&link["input-node-id"])
            && let Some(source) = with_id(&link["output-node-id"]).and_then(pipewire_source)
            && !sources.contains(&source)
        {
            sources.push(source);
        }
    }
    Some(sources)
}

fn pipewire_default(objects: &Value) -> Option<Source> {
    let entries = objects.as_array()?.iter().filter_map(|object| object["metadata"].as_array()).flatten();
    let name =
        entries.filter(|entry| entry["key"] == "default.audio.source").find_map(|it| it["value"]["name"].as_str())?;
    nodes(objects).map(|(node, _)| node).find(|node| node.name == name)
}

fn pulseaudio_sources() -> Option<Vec<Value>> {
    match json("pactl", &["--format=json", "list", "sources"])? {
        Value::Array(sources) => Some(sources),
        _ => None,
    }
}

fn pulseaudio_source(entry: &Value) -> Option<Source> {
    let name = entry["name"].as_str()?;
    // "s16le 2ch 44100Hz"
    let sample = entry["sample_specification"].as_str().unwrap_or_default();
    let channels = sample.split(' ').find_map(|word| word.strip_suffix("ch")?.parse().ok());
    let title = plain(entry["description"].as_str().unwrap_or(name));
    Some(Source { name: name.to_owned(), serial: None, title, channels })
}

fn pulseaudio_sources_of(outputs: &Value, sources: &[Value], pid: u32) -> Option<Vec<Source>> {
    let is_ours = |entry: &&Value| number(&entry["properties"]["application.process.id"]) == Some(pid.into());
    let ours: Vec<&Value> = outputs.as_array()?.iter().filter(is_ours).map(|entry| &entry["source"]).collect();
    if ours.is_empty() {
        return None;
    }
    let feeds = |source: &&Value| ours.contains(&&source["index"]);
    Some(sources.iter().filter(feeds).filter_map(pulseaudio_source).collect())
}

/// A number, which servers write with or without quotes.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
impl Source {
    pub(super) fn for_test(name: &str) -> Source {
        Source { name: name.to_owned(), serial: None, title: format!("The {name}"), channels: Some(2) }
    }
}

/// A name for the screen.
fn plain(title: &str) -> String {
    title.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::super::name::split_names;
    use super::*;
    use serde_json::json;

    fn node(id: u64, class: &str, name: &str, channels: u64) -> Value {
        json!({"id": id, "info": {"props": {"media.class": class, "node.name": name, "object.serial": id + 100,
            "node.description": format!("The {name}"), "client.id": 7, "audio.channels": channels}}})
    }

    fn graph(from: u64) -> Value {
        json!([
            {"id": 7, "type": "PipeWire:Interface:Client", "info": {"props": {"application.process.id": 4711}}},
            node(40, "Stream/Input/Audio", "ALSA Capture", 2),
            node(41, "Audio/Source", "umc", 8),
            node(42, "Audio/Source/Virtual", "webcam", 2),
            node(43, "Audio/Sink", "speakers", 2),
            {"id": 60, "info": {"output-node-id": from, "input-node-id": 40}},
            {"id": 61, "info": {"output-node-id": from, "input-node-id": 40}},
            {"id": 62, "info": {"output-node-id": 41, "input-node-id": 99}},
            {"metadata": [{"key": "default.audio.source", "value": {"name": "umc"}}]},
        ])
    }

    #[test]
    fn the_source_that_pipewire_connects_to_this_program_is_found() {
        let names = |graph: &Value, pid| {
            let found = pipewire_sources_of(graph, pid);
            found.map(|found| found.into_iter().map(|source| source.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&graph(41), 4711), Some(vec!["umc".to_owned()]));
        assert_eq!(names(&graph(42), 4711), Some(vec!["webcam".to_owned()]));
        assert_eq!(names(&graph(98), 4711), Some(Vec::new()));
        assert_eq!(names(&graph(41), 4712), None);
    }

    #[test]
    fn the_server_behind_a_pcm_is_told_from_its_description() {
        for (text, server) in [
            ("ALSA <-> PipeWire PCM I/O Plugin\nIts setup is:\n", Some(SoundServer::PipeWire)),
            ("Plug PCM: ALSA <-> PulseAudio PCM I/O Plugin\n", Some(SoundServer::PulseAudio)),
            ("ALSA <-> JACK PCM I/O Plugin\n", None),
            ("Hardware PCM card 1 'PipeWire' device 0 subdevice 0\n", None),
        ] {
            assert_eq!(SoundServer::behind(text), server, "{text}");
        }
    }

    #[test]
    fn the_desktops_choice_has_its_channels() {
        let source = pipewire_default(&graph(42)).unwrap();
        assert_eq!((source.name.as_str(), source.title.as_str(), source.channels), ("umc", "The umc", Some(8)));
        assert_eq!(pipewire_default(&json!([])), None);
    }

    #[test]
    fn a_node_that_is_not_there_is_answered_with_those_that_are() {
        for there in ["umc", "webcam", "speakers", "141"] {
            assert_eq!(missing_in(&graph(41), there, true), None, "{there}");
        }
        assert_eq!(missing_in(&graph(41), "absent", true), Some(vec!["umc".to_owned(), "webcam".to_owned()]));
        assert_eq!(missing_in(&graph(41), "absent", false), Some(vec!["speakers".to_owned()]));
    }

    #[test]
    fn a_pcm_that_names_a_source_is_told_from_the_servers_choice() {
        assert_eq!(named("pipewire:NODE=umc,CHANNELS=8"), Some((SoundServer::PipeWire, "umc")));
        assert_eq!(named("pulse:DEVICE=null.monitor"), Some((SoundServer::PulseAudio, "null.monitor")));
        assert_eq!(named("pulse:null.monitor"), Some((SoundServer::PulseAudio, "null.monitor")));
        for pcm in ["default", "pipewire", "pulse", "pipewire:NODE=-1", "pipewire:CHANNELS=2", "hw:0"] {
            assert_eq!(named(pcm), None, "{pcm}");
        }
    }

    /// A Bluetooth microphone was remembered by a number, which another node had after a restart of the server.
    #[test]
    fn the_pcm_of_a_node_has_its_name_and_is_found_by_it() {
        for (name, argument) in [
            ("alsa_input.usb-UMC-00.multi", "alsa_input.usb-UMC-00.multi"),
            ("bluez_input.AA:BB", "bluez_input.AA:BB"),
            ("odd name,=", "'odd name,='"),
            ("Bob's", "\"Bob's\""),
            ("Mikrofon \u{fc}", "'Mikrofon \u{fc}'"),
        ] {
            let pcm = pipewire_pcm(name, 2).unwrap();
            assert_eq!(pcm, format!("pipewire:NODE={argument},CHANNELS=2"));
            assert_eq!(named(&pcm), Some((SoundServer::PipeWire, name)));
            let pair = format!("{pcm},pipewire");
            assert_eq!(split_names(&pair), (pcm.as_str(), "pipewire"));
            assert_eq!(named(&pulse_pcm(name).unwrap()), Some((SoundServer::PulseAudio, name)));
        }
        for name in ["", "a\\b", "a\nb", "'\""] {
            assert_eq!(pipewire_pcm(name, 2), None, "{name}");
        }
    }

    #[test]
    fn the_source_that_pulseaudio_connects_to_this_program_is_found() {
        let outputs = json!([{"source": 3, "properties": {"application.process.id": "4711"}},
                             {"source": 1, "properties": {"application.process.id": "5"}}]);
        let sources = [
            json!({"index": 1, "name": "a", "sample_specification": "s16le 2ch 44100Hz"}),
            json!({"index": 3, "name": "b", "description": "The B", "sample_specification": "s32le 8ch 48000Hz"}),
        ];
        let found = pulseaudio_sources_of(&outputs, &sources, 4711).unwrap();
        let found: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.title.as_str(), it.channels)).collect();
        assert_eq!(found, [("b", "The B", Some(8))]);
        assert_eq!(pulseaudio_sources_of(&outputs, &sources, 4712), None);
    }
}
