//! Reading the bytes of `session.json`. Thread: any; pure. `encode` writes them.
//!
//! The bytes are not trusted. The number of JSON values is checked before any of them is stored, because two bytes of
//! JSON can become a value of 32 bytes in memory.

use super::FILE_VERSION;
use super::error::SessionError;
use super::folder::Folder;
use super::versions::numbers;
use crate::session::Session;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use uuid::Uuid;

/// JSON values in the largest session, names included. A value can take a hundred bytes of memory
/// while it is read. A save refuses a session with more values, so a session that could be saved can be opened.
pub const VALUE_COUNT_MAX: u32 = (super::SESSION_BYTES_MAX / 10) as u32;

/// A value with the character that separates it from the next one has at least this many bytes.
const VALUE_BYTES_MIN: u64 = 2;

/// Bytes of a reason that are shown. The text found in the file may be as long as the file.
const REASON_BYTES_MAX: usize = 200;

/// Why the bytes of a session's file were refused.
#[derive(Debug)]
pub enum Fault {
    /// The bytes are no valid session.
    Damaged {
        /// Line and column at which reading ended, counted from 1.
        place: Option<(usize, usize)>,
        /// The reason in one short line.
        reason: String,
    },
    /// A newer program wrote the file, with this version.
    Newer(u64),
}

impl Fault {
    /// The error for the file `path` in `folder`.
    pub(super) fn into_error(self, path: PathBuf, folder: &Folder) -> SessionError {
        match self {
            Fault::Damaged { place, reason } => {
                // If the versions cannot be listed they cannot be restored either. The damage is the error to report.
                let kept = numbers(folder).unwrap_or_default();
                SessionError::Damaged { path, place, reason, kept }
            }
            Fault::Newer(found) => SessionError::NewerVersion { path, found, known: FILE_VERSION },
        }
    }

    pub(super) fn damaged(reason: &str) -> Fault {
        Fault::Damaged { place: None, reason: printable(reason) }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Fault {
        let place = (error.line() != 0).then(|| (error.line(), error.column()));
        let text = error.to_string();
        let tail = format!(" at line {} column {}", error.line(), error.column());
        Fault::Damaged { place, reason: printable(text.strip_suffix(&tail).unwrap_or(&text)) }
    }
}

/// A text from the file as one line without characters that control a terminal.
fn printable(text: &str) -> String {
    let cut = text.floor_char_boundary(REASON_BYTES_MAX);
    let mut shown: String = text[..cut].chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if cut < text.len() {
        shown.push_str("...");
    }
    shown
}

/// Reads a session. It is valid, or the bytes are refused.
pub fn parse(bytes: &[u8]) -> Result<Session, Fault> {
    check_version(bytes)?;
    let mut session: Session = serde_json::from_slice(bytes)?;
    session.other.remove("version");
    session.validate().map_err(|reason| Fault::damaged(&reason))?;
    Ok(session)
}

/// Refuses bytes that this program cannot read. The version is read first: the file of a newer program is not damaged only
/// because it cannot be read here.
pub(super) fn check_version(bytes: &[u8]) -> Result<(), Fault> {
    match head(bytes)? {
        None => Err(Fault::damaged("it has no version")),
        Some(0) => Err(Fault::damaged("there is no version 0")),
        Some(newer) if FILE_VERSION < newer => Err(Fault::Newer(newer)),
        Some(_) => Ok(()),
    }
}

/// Whether a session of these bytes, which were just encoded, can be read again.
pub(super) fn has_readable_size(bytes: &[u8]) -> bool {
    let len = bytes.len() as u64;
    len <= super::SESSION_BYTES_MAX && (len < VALUE_BYTES_MIN * u64::from(VALUE_COUNT_MAX) || head(bytes).is_ok())
}

/// Reads the version. Fails if the bytes are no JSON object or have more values than a session can have.
fn head(bytes: &[u8]) -> Result<Option<u64>, serde_json::Error> {
    let values_left = Cell::new(VALUE_COUNT_MAX);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let version = Head(&values_left).deserialize(&mut reader)?;
    reader.end()?;
    Ok(version)
}

/// The identity in the first bytes of a session's file. The bytes may end anywhere behind it.
pub(super) fn id_at_start(bytes: &[u8]) -> Option<Uuid> {
    let found = Cell::new(None);
    // An error ends the reading behind the identity, or before it if these are no bytes of a session.
    IdAtStart(&found).deserialize(&mut serde_json::Deserializer::from_slice(bytes)).err()?;
    found.get()
}

/// Stores the identity and then fails, because nothing behind it is of interest.
struct IdAtStart<'a>(&'a Cell<Option<Uuid>>);

impl<'de> DeserializeSeed<'de> for IdAtStart<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for IdAtStart<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session with an identity")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Key {
            Id,
            #[serde(other)]
            Other,
        }
        while let Some(key) = map.next_key()? {
            match key {
                Key::Id => {
                    self.0.set(Some(map.next_value()?));
                    break;
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Err(A::Error::custom("the rest is not read"))
    }
}

/// Reads the version of a JSON object and counts the values in the rest of it.
struct Head<'a>(&'a Cell<u32>);

impl<'de> DeserializeSeed<'de> for Head<'_> {
    type Value = Option<u64>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<u64>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Head<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<u64>, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Key {
            Version,
            #[serde(other)]
            Other,
        }
        let mut version = None;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Version if version.is_some() => return Err(A::Error::duplicate_field("version")),
                Key::Version => version = Some(map.next_value()?),
                Key::Other => {
                    CountValues(self.0).count_one()?;
                    map.next_value_seed(CountValues(self.0))?;
                }
            }
        }
        Ok(version)
    }
}

/// Reads over a value and subtracts the number of values in it from those that are left.
#[derive(Clone, Copy)]
struct CountValues<'a>(&'a Cell<u32>);

impl CountValues<'_> {
    fn count_one<E: Error>(self) -> Result<(), E> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| E::custom("more values than a session has"))?;
        self.0.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for CountValues<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.count_one()?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CountValues<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            // A name takes memory as well.
            self.count_one()?;
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}
