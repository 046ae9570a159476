//! Capabilities of kernel and file systems, and the fallbacks for missing ones. Thread: control, at start.

use super::spool::SpoolPlace;
use crate::io_ring::IoRing;
use crate::window::map::Populate;
use crate::window::process::can_populate;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where the audio thread stores captured sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapturePath {
    /// In locked windows of a spool file on tmpfs, from which the committer writes the WAV file. No disk can delay a
    /// store, and no writeback can write-protect the pages.
    #[default]
    Spool,
    /// In locked windows of the WAV file itself. The kernel write-protects their pages when it writes them back, so the
    /// audio thread takes page faults. This path exists for comparison.
    #[serde(alias = "direct")]
    InPlace,
}

impl fmt::Display for CapturePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CapturePath::Spool => "spool",
            CapturePath::InPlace => "in-place",
        })
    }
}

impl FromStr for CapturePath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "spool" => Ok(CapturePath::Spool),
            "in-place" => Ok(CapturePath::InPlace),
            other => Err(format!("{other}: unknown capture path; use spool or in-place")),
        }
    }
}

/// The capabilities that the disk side may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How pages are populated.
    pub populate: Populate,
    /// Whether takes are opened with `O_DIRECT`. Where the file system refuses it, takes are written through the page
    /// cache.
    pub o_direct: bool,
    /// Whether blocks are reserved with `fallocate`. Otherwise files only get longer.
    pub reserve: bool,
    /// Whether a committer gives the writes and the syncs of its takes to the kernel in batches (io_uring). Otherwise it makes
    /// a call for each.
    pub io_uring: bool,
    /// Where spool files are created.
    pub spool: SpoolPlace,
    /// Missing capabilities in words.
    pub notes: Vec<String>,
}

/// Names of the capabilities that can be switched off, for [`Capabilities::probe`] and `FAULTLESS_WITHOUT`.
pub const PARTS: [&str; 5] = ["populate", "o_direct", "fallocate", "io_uring", "tmpfs"];

/// The note where batches cannot be given to the kernel. The committer then makes a call for each write and each sync.
pub fn note_without_io_uring(reason: &str) -> String {
    format!(
        "no io_uring ({reason}): recording works, and costs more processor time with many tracks; 'faultless doctor' tells more"
    )
}

impl Capabilities {
    /// Tests the capabilities of this machine. Those named in `without` (see [`PARTS`]) count as missing, so that every
    /// fallback can be tested on any machine.
    pub fn probe(without: &[String]) -> Capabilities {
        let lacks = |part: &str| without.iter().any(|name| name == part);
        let mut notes = Vec::new();
        let populate = if !can_populate() {
            notes.push(
                "no MADV_POPULATE: windows are touched page by page, and the program's code and heap are not brought into memory, \
                 so the audio thread may take page faults when it uses them for the first time; use Linux 5.14 or later"
                    .to_owned(),
            );
            Populate::Touch
        } else if lacks("populate") {
            notes.push("MADV_POPULATE is switched off: windows are touched page by page".to_owned());
            Populate::Touch
        } else {
            Populate::Advise
        };
        let refusal = if lacks("io_uring") {
            Some("it is switched off".to_owned())
        } else {
            // The committers make rings of their own.
            IoRing::new().err().map(|refusal| refusal.reason)
        };
        notes.extend(refusal.as_deref().map(note_without_io_uring));
        let folder = if lacks("tmpfs") { None } else { super::spool::folder() };
        let spool = match folder {
            Some((folder, _)) => SpoolPlace::Folder(folder),
            None => {
                notes.push(
                    "no tmpfs that this user can write: sound that is not on the disk yet is lost if the program is killed; \
                     'faultless doctor' has the command for a tmpfs"
                        .to_owned(),
                );
                SpoolPlace::Memory
            }
        };
        let (o_direct, reserve) = (!lacks("o_direct"), !lacks("fallocate"));
        Capabilities { populate, o_direct, reserve, io_uring: refusal.is_none(), spool, notes }
    }

    /// The names in the environment variable `FAULTLESS_WITHOUT`, separated by commas.
    pub fn without_from_environment() -> Vec<String> {
        let value = std::env::var("FAULTLESS_WITHOUT").unwrap_or_default();
        value.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_flags_spell_a_capture_path_alike_and_old_settings_are_read() {
        for path in [CapturePath::Spool, CapturePath::InPlace] {
            assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{path}\""));
        }
        assert_eq!(serde_json::from_str::<CapturePath>("\"direct\"").unwrap(), CapturePath::InPlace);
    }

    #[test]
    fn a_capability_that_is_switched_off_gets_its_fallback_and_a_note() {
        let all = Capabilities::probe(&PARTS.map(str::to_owned));
        assert_eq!(
            (all.populate, all.o_direct, all.reserve, all.io_uring, &all.spool),
            (Populate::Touch, false, false, false, &SpoolPlace::Memory)
        );
        assert!(all.notes.iter().any(|note| note.contains("io_uring")));
        assert!(all.notes.iter().any(|note| note.contains("MADV_POPULATE")));
        assert!(all.notes.iter().any(|note| note.contains("tmpfs")));
        assert!(Capabilities::probe(&[]).notes.len() < 2);
    }
}
