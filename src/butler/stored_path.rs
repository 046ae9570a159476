//! A path in the first page of a file in memory. A path may contain bytes that are not text, and JSON has only text, so
//! such a path is written as the hexadecimal digits of its bytes. Thread: any; pure.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    Bytes { hex: String },
}

impl Stored {
    fn of(path: &Path) -> Stored {
        let hex = || {
            path.as_os_str().as_bytes().iter().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").ok();
                hex
            })
        };
        path.to_str().map_or_else(|| Stored::Bytes { hex: hex() }, |text| Stored::Text(text.to_owned()))
    }

    fn path<E: de::Error>(self) -> Result<PathBuf, E> {
        let digits = match self {
            Stored::Text(text) => return Ok(PathBuf::from(text)),
            Stored::Bytes { hex } => hex,
        };
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        let bytes = bytes.ok_or_else(|| E::custom("a path that is no row of hexadecimal digits"))?;
        Ok(PathBuf::from(OsString::from_vec(bytes)))
    }
}

pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    Stored::of(path).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Stored::deserialize(from)?.path()
}

/// Writes and reads a path that may be missing.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, PathBuf, Serialize, Serializer, Stored};

    #[expect(clippy::ref_option, reason = "as serde asks it")]
    pub(in crate::butler) fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Stored::of).serialize(to)
    }

    pub(in crate::butler) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        Option::<Stored>::deserialize(from)?.map(Stored::path).transpose()
    }
}
