//! An event: kind, severity, text and numbers, and its line in the file. Thread: any. Pure.

use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The severity of an event or a notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Information; nothing is wrong.
    #[default]
    Info,
    /// A problem without loss of sound.
    Caution,
    /// Sound was lost or will be lost.
    Loss,
}

/// The kind of an event. The file has the name in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A session was opened: by which program, on which machine.
    Opened,
    /// The session was closed.
    Closed,
    /// Takes of a pass that was cut off are whole again.
    Recovered,
    /// The first frame of a pass.
    PassBegan,
    /// A pass is finished; the text is its report.
    PassEnded,
    /// The device did not deliver frames.
    Lost,
    /// No window was there for frames of a take.
    Overrun,
    /// Frames of a track were not played, because the disk was late.
    Dropout,
    /// A file was cut short while it was played.
    CutShort,
    /// The device is gone.
    DeviceGone,
    /// The device is back.
    DeviceBack,
    /// The device is back and differs from before.
    DeviceChanged,
    /// The lead fell to a small part of its aim (`limits::NEAR_MISS_PART`).
    NearMiss,
    /// A write took long.
    SlowCommit,
    /// Making takes durable took long.
    SlowSync,
    /// The disk refuses sound.
    DiskTrouble,
    /// The disk takes sound again.
    DiskTroubleOver,
    /// Half of the spool is in use.
    SpoolHalf,
    /// The spool is full.
    SpoolFull,
    /// The spool has space again.
    SpoolRoom,
    /// The system allows less than the program would use.
    Limit,
    /// A thread failed.
    Failed,
    /// Any other notice.
    #[serde(rename = "told")]
    Notice,
    /// The count of events that the limiter withheld.
    Repeated,
    /// The count of events that could not be written.
    Dropped,
    /// A kind that a later version of the program has written.
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// Whether the event must outlive a power cut whatever its severity.
    pub(super) fn is_synced(self) -> bool {
        matches!(self, Kind::PassBegan | Kind::PassEnded | Kind::Closed | Kind::Recovered)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name in the file, with spaces.
        let word = serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned));
        f.pad(&word.unwrap_or_default().replace('_', " "))
    }
}

/// An event, which is a line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// RFC 3339, local time with its offset.
    pub time: String,
    pub kind: Kind,
    pub severity: Severity,
    /// A sentence: the thing, the reason, what to do.
    pub text: String,
    /// Positions, sizes and counts, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, u64>,
}

impl Record {
    /// An event at the present time.
    pub fn new(kind: Kind, severity: Severity, text: &str, numbers: &[(&str, u64)]) -> Record {
        let time = crate::host::zoned().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        let numbers = numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Record { time, kind, severity, text: text.to_owned(), numbers }.within_bounds()
    }

    /// The line in the file, newline included.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Parses a line. `None` if it is no event, is too long, or has an invalid time.
    pub fn parse(line: &[u8]) -> Option<Record> {
        if limits::FLIGHT_LINE_BYTES_MAX < line.len() {
            return None;
        }
        let record: Record = serde_json::from_slice(line).ok()?;
        record.stamp()?;
        Some(record.within_bounds())
    }

    /// The time as an instant; `None` if it is invalid.
    pub fn stamp(&self) -> Option<jiff::Timestamp> {
        self.time.parse().ok()
    }

    /// Cleans text and numbers. A file name in the text may hold any character; an event must not span lines, move a
    /// terminal's cursor, or exceed the length of a line.
    fn within_bounds(mut self) -> Record {
        self.text = without_control_characters(&self.text, limits::FLIGHT_TEXT_CHARS_MAX);
        if self.numbers.len() > limits::FLIGHT_NUMBERS_MAX || self.numbers.keys().any(|name| !is_name(name)) {
            self.numbers = std::mem::take(&mut self.numbers)
                .into_iter()
                .filter(|(name, _)| is_name(name))
                .take(limits::FLIGHT_NUMBERS_MAX)
                .collect();
        }
        self
    }
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The text with control characters and characters of text direction replaced, cut to `chars_max` characters.
fn without_control_characters(text: &str, chars_max: usize) -> String {
    let is_unsafe = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut safe: String = text.chars().take(chars_max).map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        safe.push('\u{2026}');
    }
    safe
}
