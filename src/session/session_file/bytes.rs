//! The bytes of a session's file: from them, to them, and what can be wrong with them. Thread: any. Pure.
//!
//! They are not trusted. How much memory they take is decided before anything is kept of them: two bytes of JSON can be a
//! value of 32.

use super::error::SessionError;
use super::folder::Folder;
use super::{FILE_VERSION, numbers};
use crate::session::Session;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Values of JSON in the largest session, names counted as well. What is written here has a line for each and more than
/// [`VALUE_BYTES_MIN`] bytes for one of the two, so a session that could be saved can be opened.
pub const VALUE_COUNT_MAX: u32 = (super::SESSION_BYTES_MAX / VALUE_BYTES_MIN) as u32;

/// Bytes that a value or a name takes at least, on average, in a file that was written here.
const VALUE_BYTES_MIN: u64 = 10;

/// Bytes of a reason that are shown: what was found may be as long as the file.
const REASON_BYTES_MAX: usize = 200;

/// What is wrong with the bytes of a session's file.
#[derive(Debug)]
pub enum Fault {
    /// They are no session.
    Damaged {
        /// Line and column, counted from 1, where reading ended.
        place: Option<(usize, usize)>,
        /// What was found there: one line, not long.
        reason: String,
    },
    /// A newer program wrote them.
    Newer(u64),
}

impl Fault {
    /// The error for a file of this folder.
    pub(super) fn into_error(self, path: PathBuf, folder: &Folder) -> SessionError {
        match self {
            Fault::Damaged { place, reason } => {
                // Versions that can't be listed can't be restored either; the damage is what to tell.
                let kept = numbers(folder).unwrap_or_default();
                SessionError::Damaged { path, place, reason, kept }
            }
            Fault::Newer(found) => SessionError::NewerVersion { path, found, known: FILE_VERSION },
        }
    }

    fn damaged(reason: &str) -> Fault {
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

/// A text from the file as one line that does nothing to a terminal.
fn printable(text: &str) -> String {
    let cut = text.floor_char_boundary(REASON_BYTES_MAX);
    let mut shown: String = text[..cut].chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if cut < text.len() {
        shown.push_str("...");
    }
    shown
}

/// Reads a session. Any bytes are refused or valid.
pub fn parse(bytes: &[u8]) -> Result<Session, Fault> {
    // The version first: what a newer program wrote is not damaged because it can't be read here.
    let version = head(bytes)?.ok_or_else(|| Fault::damaged("it has no version"))?;
    if FILE_VERSION < version {
        return Err(Fault::Newer(version));
    }
    if version == 0 {
        return Err(Fault::damaged("there is no version 0"));
    }
    let mut session: Session = serde_json::from_slice(bytes)?;
    session.other.remove("version");
    session.validate().map_err(|reason| Fault::damaged(&reason))?;
    Ok(session)
}

/// A session as it is written.
pub fn to_bytes(session: &Session) -> io::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Written<'a> {
        version: u64,
        #[serde(flatten)]
        session: &'a Session,
    }
    let mut bytes = serde_json::to_vec_pretty(&Written { version: FILE_VERSION, session })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The version that the bytes give. Fails if they are no JSON object, or one of more values than a session has.
fn head(bytes: &[u8]) -> Result<Option<u64>, serde_json::Error> {
    let values_left = Cell::new(VALUE_COUNT_MAX);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let version = Head(&values_left).deserialize(&mut reader)?;
    reader.end()?;
    Ok(version)
}

/// Reads the version of an object and weighs the rest.
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

/// Reads over a value and takes the number of values in it off what is left.
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
            // A name is kept as well.
            self.count_one()?;
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}
