//! How paths and shared values become bytes. Thread: any; pure.
//!
//! A text format such as JSON gets a path as text. A binary format gets its bytes, because a path of this system need not
//! be text. A shared value is written as the value itself.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path as it is written, borrowed.
struct Borrowed<'a>(&'a Path);

/// A path as it is read.
struct Owned(PathBuf);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { self.0.serialize(to) } else { to.serialize_bytes(self.0.as_os_str().as_bytes()) }
    }
}

impl Serialize for Owned {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Borrowed(&self.0).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Owned, D::Error> {
        if from.is_human_readable() {
            return PathBuf::deserialize(from).map(Owned);
        }
        // A slice of the message; a reader without one gives no path.
        let bytes = <&[u8]>::deserialize(from)?;
        Ok(Owned(PathBuf::from(OsString::from_vec(bytes.to_vec()))))
    }
}

/// For `#[serde(with)]` on a [`PathBuf`].
pub mod path {
    use super::{Borrowed, Deserialize, Deserializer, Owned, Path, PathBuf, Serialize, Serializer};

    /// Writes the path.
    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        Borrowed(path).serialize(to)
    }

    /// Reads a path.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Owned::deserialize(from).map(|path| path.0)
    }
}

/// For `#[serde(with)]` on an `Option<PathBuf>`.
pub mod optional_path {
    use super::{Borrowed, Deserialize, Deserializer, Owned, PathBuf, Serialize, Serializer};

    /// Writes the path, if there is one.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Borrowed).serialize(to)
    }

    /// Reads a path, if there is one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        Option::<Owned>::deserialize(from).map(|path| path.map(|path| path.0))
    }
}

/// For `#[serde(with)]` on an [`Arc`](std::sync::Arc). Reading makes a value that nothing else shares.
pub mod shared {
    use super::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    /// Writes the shared value.
    pub fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        T::serialize(value, to)
    }

    /// Reads a value.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// For `#[serde(with)]` on an `Arc<PathBuf>`.
pub mod shared_path {
    use super::{Borrowed, Deserialize, Deserializer, Owned, PathBuf, Serialize, Serializer};
    use std::sync::Arc;

    /// Writes the path.
    pub fn serialize<S: Serializer>(path: &Arc<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        Borrowed(path).serialize(to)
    }

    /// Reads a path.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<PathBuf>, D::Error> {
        Owned::deserialize(from).map(|path| Arc::new(path.0))
    }
}

/// For `#[serde(with)]` on the outcome of an export: its files, or the reason of its failure.
pub mod files_or_reason {
    use super::{Deserialize, Deserializer, Owned, PathBuf, Serialize, Serializer};
    use std::sync::Arc;

    /// The outcome of an export that has ended.
    type Outcome = Option<Result<Arc<Vec<PathBuf>>, String>>;

    /// Writes the outcome, if there is one.
    pub fn serialize<S: Serializer>(outcome: &Outcome, to: S) -> Result<S::Ok, S::Error> {
        let outcome = outcome.as_ref().map(Result::as_ref);
        let paths = |files: &Arc<Vec<PathBuf>>| files.iter().cloned().map(Owned).collect::<Vec<_>>();
        outcome.map(|outcome| outcome.map(paths)).serialize(to)
    }

    /// Reads the outcome, if there is one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Outcome, D::Error> {
        let read = Option::<Result<Vec<Owned>, String>>::deserialize(from)?;
        let paths = |files: Vec<Owned>| Arc::new(files.into_iter().map(|file| file.0).collect());
        Ok(read.map(|outcome| outcome.map(paths)))
    }
}

/// For `#[serde(with)]` on a value whose form a binary format cannot have: one with a tag within it, or with members that may
/// be missing. A binary format gets its JSON text.
pub mod as_json {
    use super::{Deserialize, Deserializer, Serialize, Serializer};
    use serde::de::DeserializeOwned;

    /// Writes the value.
    pub fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return value.serialize(to);
        }
        serde_json::to_string(value).map_err(serde::ser::Error::custom)?.serialize(to)
    }

    /// Reads a value.
    pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        if from.is_human_readable() {
            return T::deserialize(from);
        }
        serde_json::from_str(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}
