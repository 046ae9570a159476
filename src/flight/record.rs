//! One event, and what it is made of. Thread: any. Pure.

use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How bad something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; nothing is wrong.
    #[default]
    Info,
    /// Something is not as it should be; nothing is lost.
    Caution,
    /// Sound was lost, or will be.
    Loss,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A session was opened: by which program, on which machine.
    Opened,
    /// It was closed.
    Closed,
    /// Takes of a pass that was cut off are whole again.
    Recovered,
    /// The first frame of a pass.
    PassBegan,
    /// A pass is on the disk; its account.
    PassEnded,
    /// The device did not deliver frames.
    Lost,
    /// No window was there for frames of a take.
    Overrun,
    /// Frames of a track were not heard in time.
    Dropout,
    /// A file was cut short while it was played.
    CutShort,
    /// The device is gone.
    DeviceGone,
    /// It is back.
    DeviceBack,
    /// It is back, and another than before.
    DeviceChanged,
    /// The lead fell under a quarter of what is aimed at.
    NearMiss,
    /// A write took long.
    SlowCommit,
    /// Making takes durable took long.
    SlowSync,
    /// The disk does not take sound.
    DiskTrouble,
    /// It does again.
    DiskTroubleOver,
    /// Half of the spool is in use.
    SpoolHalf,
    /// All of it is.
    SpoolFull,
    /// There is room again.
    SpoolRoom,
    /// The system gives less than is wished for.
    Limit,
    /// A thread failed.
    Failed,
    /// Anything else that was told.
    Told,
    /// More of the same than is written one by one.
    Repeated,
    /// Events that the disk did not take.
    Dropped,
    /// An event of a later program.
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// Whether it must outlive a power cut.
    pub(super) fn is_weighty(self) -> bool {
        matches!(self, Kind::PassBegan | Kind::PassEnded | Kind::Closed | Kind::Recovered)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The word of the file, spaced.
        let word = serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned));
        f.pad(&word.unwrap_or_default().replace('_', " "))
    }
}

/// One event: one line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, RFC 3339, local with its offset.
    pub time: String,
    /// What.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// In words: the thing, the reason, what to do.
    pub text: String,
    /// Places and sizes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, u64>,
}

impl Record {
    /// An event of now.
    pub fn new(kind: Kind, severity: Severity, text: &str, numbers: &[(&str, u64)]) -> Record {
        let time = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        let numbers = numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Record { time, kind, severity, text: text.to_owned(), numbers }.within_bounds()
    }

    /// Its line, newline included.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The event of a line; `None` for what is none, or claims a time that is none.
    pub fn parse(line: &[u8]) -> Option<Record> {
        if limits::FLIGHT_LINE_BYTES_MAX < line.len() {
            return None;
        }
        let record: Record = serde_json::from_slice(line).ok()?;
        record.stamp()?;
        Some(record.within_bounds())
    }

    /// When it was.
    pub fn stamp(&self) -> Option<jiff::Timestamp> {
        self.time.parse().ok()
    }

    /// A name of a file may hold anything: no event spans lines, moves a cursor or is longer than a line may be.
    fn within_bounds(mut self) -> Record {
        self.text = tame(&self.text, limits::FLIGHT_TEXT_CHARS_MAX);
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

/// Without what steers a terminal or a reader's eye, and not longer than so many characters.
fn tame(text: &str, chars_max: usize) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut tamed: String = text.chars().take(chars_max).map(|c| if steers(c) { ' ' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        tamed.push('\u{2026}');
    }
    tamed
}
