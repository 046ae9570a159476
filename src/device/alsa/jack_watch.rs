//! Whether this program's inputs on JACK are still connected. Thread: source-watch (made by: opener, reconnect, control).
//!
//! A client of JACK that ends takes its ports along. The inputs that were connected to them then get silence, and JACK
//! reports no error. The user may connect the inputs to other ports, so an input without any connection is the one that is
//! silent.

use super::answer::answer;
use super::source_watch::{Look, SourceNotice};

/// The inputs of this program and the ports that they were connected to.
#[derive(Clone, Debug)]
pub(super) struct JackWatch {
    /// The name of this program's client.
    own: String,
    inputs: Vec<Input>,
}

#[derive(Clone, Debug)]
struct Input {
    /// Full name of the port whose sound is wanted.
    wanted: String,
    /// The input had a connection at the last look.
    is_fed: bool,
    /// The port was not there at some look since it was connected.
    has_vanished: bool,
}

/// Two ports to connect.
type Connection = (String, String);

impl JackWatch {
    pub(super) fn new(own: &str, wanted: &[String]) -> JackWatch {
        let input = |wanted: &String| Input { wanted: wanted.clone(), is_fed: true, has_vanished: false };
        JackWatch { own: own.to_owned(), inputs: wanted.iter().map(input).collect() }
    }

    /// Asks JACK, and connects ports again that are back. `None` if JACK does not answer or no longer has this program's
    /// inputs; the device finds that out by itself.
    pub(super) fn look(&mut self) -> Option<Look> {
        let (notices, connections) = self.judge(&answer("jack_lsp", &["-c"])?)?;
        for (from, to) in &connections {
            answer("jack_connect", &[from, to]);
        }
        Some(Look { notices, is_gone: false, has_connected: !connections.is_empty() })
    }

    /// Judges the answer of `jack_lsp -c`: a line for each port, and below it an indented line for each of its connections.
    fn judge(&mut self, answer: &str) -> Option<(Vec<SourceNotice>, Vec<Connection>)> {
        let mut ports: Vec<(&str, usize)> = Vec::new();
        for line in answer.lines() {
            match (line.starts_with([' ', '\t']), ports.last_mut()) {
                (true, Some((_, connections))) => *connections += 1,
                (true, None) => {}
                (false, _) => ports.push((line, 0)),
            }
        }
        let connections_of =
            |name: &str| ports.iter().find(|(port, _)| *port == name).map(|(_, connections)| *connections);
        let own = |channel: usize| format!("{}:in_{channel:03}", self.own);
        connections_of(&own(0))?;
        let (mut lost, mut found, mut connections) = (Vec::new(), Vec::new(), Vec::new());
        for (channel, input) in self.inputs.iter_mut().enumerate() {
            let is_fed = connections_of(&own(channel)).is_some_and(|connections| 0 < connections);
            let is_there = connections_of(&input.wanted).is_some();
            if is_there && !is_fed && input.has_vanished {
                connections.push((input.wanted.clone(), own(channel)));
            }
            input.has_vanished = !is_fed && (input.has_vanished || !is_there);
            match (input.is_fed, is_fed) {
                (true, false) => lost.push(channel),
                (false, true) => found.push(channel),
                _ => {}
            }
            input.is_fed = is_fed;
        }
        let mut notices: Vec<SourceNotice> = self.losses(&lost);
        for (client, channels) in self.by_client(&found) {
            let (inputs, are) = (numbered(&channels), if channels.len() == 1 { "is" } else { "are" });
            notices
                .push(SourceNotice::back(format!("the JACK client {client} is back: {inputs} {are} connected again")));
        }
        Some((notices, connections))
    }

    /// Sentences about the inputs that are silent now.
    pub(super) fn silent(&self) -> Vec<SourceNotice> {
        let silent: Vec<usize> = (0..self.inputs.len()).filter(|channel| !self.inputs[*channel].is_fed).collect();
        self.losses(&silent)
    }

    fn losses(&self, channels: &[usize]) -> Vec<SourceNotice> {
        let sentence = |(client, channels): (&str, Vec<usize>)| {
            let has_ended = channels.iter().all(|channel| self.inputs[*channel].has_vanished);
            let (inputs, records) = (numbered(&channels), if channels.len() == 1 { "records" } else { "record" });
            let text = if has_ended {
                format!("the JACK client {client} has ended: {inputs} {records} silence until it is back")
            } else {
                format!(
                    "JACK's ports of {client} were disconnected: {inputs} {records} silence; connect them again in JACK"
                )
            };
            SourceNotice { inputs: Some(channels), ..SourceNotice::lost(text) }
        };
        self.by_client(channels).into_iter().map(sentence).collect()
    }

    /// The clients that `channels` are to get sound from, with the channels of each.
    fn by_client(&self, channels: &[usize]) -> Vec<(&str, Vec<usize>)> {
        let mut clients: Vec<(&str, Vec<usize>)> = Vec::new();
        for channel in channels {
            let wanted = &self.inputs[*channel].wanted;
            let client = wanted.split_once(':').map_or(wanted.as_str(), |(client, _)| client);
            match clients.iter_mut().find(|(name, _)| *name == client) {
                Some((_, of_client)) => of_client.push(*channel),
                None => clients.push((client, vec![*channel])),
            }
        }
        clients
    }
}

/// "input 1", "inputs 1 to 8", "inputs 1, 3, 4".
fn numbered(channels: &[usize]) -> String {
    match channels {
        [one] => format!("input {}", one + 1),
        [first, .., last] if last - first + 1 == channels.len() => format!("inputs {} to {}", first + 1, last + 1),
        _ => {
            let numbers: Vec<String> = channels.iter().map(|channel| (channel + 1).to_string()).collect();
            format!("inputs {}", numbers.join(", "))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn watch() -> JackWatch {
        JackWatch::new("Faultless-01", &["synth:out_000".to_owned(), "synth:out_001".to_owned(), "mic:one".to_owned()])
    }

    const ALL: &str = "synth:out_000\n   Faultless-01:in_000\nsynth:out_001\n   Faultless-01:in_001\nmic:one\n   \
        Faultless-01:in_002\nFaultless-01:in_000\n   synth:out_000\nFaultless-01:in_001\n   synth:out_001\n\
        Faultless-01:in_002\n   mic:one\n";
    const ENDED: &str = "mic:one\n   Faultless-01:in_002\nFaultless-01:in_000\nFaultless-01:in_001\nFaultless-01:in_002\n   \
        mic:one\n";
    const BACK: &str = "mic:one\n   Faultless-01:in_002\nsynth:out_000\nsynth:out_001\nFaultless-01:in_000\n\
        Faultless-01:in_001\nFaultless-01:in_002\n   mic:one\n";

    fn texts(notices: &[SourceNotice]) -> Vec<&str> {
        notices.iter().map(|notice| notice.text.as_str()).collect()
    }

    #[test]
    fn a_client_that_ends_is_said_once_and_connected_again_when_it_is_back() {
        let mut watch = watch();
        assert_eq!(watch.judge(ALL), Some((Vec::new(), Vec::new())));
        let (notices, connections) = watch.judge(ENDED).unwrap();
        assert_eq!(texts(&notices), ["the JACK client synth has ended: inputs 1 to 2 record silence until it is back"]);
        assert!(connections.is_empty());
        assert_eq!(watch.judge(ENDED), Some((Vec::new(), Vec::new())));
        assert_eq!(watch.silent(), notices);
        assert!(notices[0].concerns(&[1, 2]) && !notices[0].concerns(&[2]));
        let (notices, connections) = watch.judge(BACK).unwrap();
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let wanted = [pair("synth:out_000", "Faultless-01:in_000"), pair("synth:out_001", "Faultless-01:in_001")];
        assert_eq!((texts(&notices), connections), (Vec::new(), wanted.to_vec()));
        let (notices, connections) = watch.judge(ALL).unwrap();
        assert_eq!(texts(&notices), ["the JACK client synth is back: inputs 1 to 2 are connected again"]);
        assert!(connections.is_empty() && !notices[0].is_loss && watch.silent().is_empty());
    }

    #[test]
    fn ports_that_the_user_disconnects_are_said_and_left_alone() {
        let mut watch = watch();
        let (notices, connections) = watch.judge(BACK).unwrap();
        let text = "JACK's ports of synth were disconnected: inputs 1 to 2 record silence; connect them again in JACK";
        assert_eq!((texts(&notices), connections), (vec![text], Vec::new()));
        assert_eq!(watch.judge(BACK), Some((Vec::new(), Vec::new())));
    }

    #[test]
    fn an_input_that_the_user_connects_to_another_port_is_not_silent() {
        let mut watch = watch();
        let other = ENDED.replace("Faultless-01:in_000\n", "Faultless-01:in_000\n   other:out\n");
        let (notices, _) = watch.judge(&other).unwrap();
        assert_eq!(texts(&notices), ["the JACK client synth has ended: input 2 records silence until it is back"]);
    }

    #[test]
    fn a_jack_without_this_programs_inputs_says_nothing() {
        assert_eq!(watch().judge("system:capture_1\n"), None);
        assert_eq!(watch().judge(""), None);
    }
}
