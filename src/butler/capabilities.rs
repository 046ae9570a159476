//! What kernel and file systems offer here, and what stands in where they do not. Thread: control, at start.

use super::spool::SpoolPlace;
use crate::window::map::{Mapping, Populate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::str::FromStr;

/// Where captured sound goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapturePath {
    /// Into locked windows of a spool file on tmpfs, from where the committer writes the WAV. No disk can
    /// hold it up and no writeback can protect its pages.
    #[default]
    Spool,
    /// Into locked windows of the WAV itself: the scheme of 2000 with the calls of today. It takes faults
    /// whenever the kernel writes the file back; it is there to be looked at.
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

/// What the disk side may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How pages are brought in.
    pub populate: Populate,
    /// Whether `O_DIRECT` is tried. A file system that refuses it is written through the page cache.
    pub o_direct: bool,
    /// Whether blocks are reserved with `fallocate`. Without, a file only grows.
    pub reserve: bool,
    /// Where captured sound waits.
    pub spool: SpoolPlace,
    /// What could not be had, in words.
    pub notes: Vec<String>,
}

/// Names of parts that can be done without, for [`Capabilities::probe`] and `FAULTLESS_WITHOUT`.
pub const PARTS: [&str; 4] = ["populate", "o_direct", "fallocate", "tmpfs"];

impl Capabilities {
    /// Tries what there is. `without` names parts (see [`PARTS`]) that are to be treated as missing, so that a
    /// fallback can be tried on a machine that has everything.
    pub fn probe(without: &[String]) -> Capabilities {
        let lacks = |part: &str| without.iter().any(|name| name == part);
        let mut notes = Vec::new();
        let populate = if lacks("populate") || !populate_works() {
            notes.push("no MADV_POPULATE (before Linux 5.14): pages are touched one by one".to_owned());
            Populate::Touch
        } else {
            Populate::Advise
        };
        let folder = if lacks("tmpfs") { None } else { super::spool::folder() };
        let spool = match folder {
            Some((folder, _)) => SpoolPlace::Folder(folder),
            None => {
                notes.push(
                    "no tmpfs that this user can write: the spool is nameless memory, and what is not yet on the disk is lost if the program is killed"
                        .to_owned(),
                );
                SpoolPlace::Memory
            }
        };
        Capabilities { populate, o_direct: !lacks("o_direct"), reserve: !lacks("fallocate"), spool, notes }
    }

    /// Parts named by the environment variable `FAULTLESS_WITHOUT`, separated by commas.
    pub fn without_from_environment() -> Vec<String> {
        let value = std::env::var("FAULTLESS_WITHOUT").unwrap_or_default();
        value.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

fn populate_works() -> bool {
    let Ok(file) = memfd_create(c"faultless-probe", MFdFlags::MFD_CLOEXEC).map(File::from) else { return false };
    file.set_len(crate::limits::PAGE_BYTES as u64).is_ok()
        && Mapping::writable(&file, 0, crate::limits::PAGE_BYTES)
            .and_then(|mut map| map.populate(Populate::Advise))
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_to_be_done_without_is_replaced_and_named() {
        let all = Capabilities::probe(&PARTS.map(str::to_owned));
        assert_eq!(
            (all.populate, all.o_direct, all.reserve, &all.spool),
            (Populate::Touch, false, false, &SpoolPlace::Memory)
        );
        assert!(all.notes.iter().any(|note| note.contains("MADV_POPULATE")));
        assert!(all.notes.iter().any(|note| note.contains("tmpfs")));
        assert!(Capabilities::probe(&[]).notes.len() < 2);
    }
}
