//! Where and as whom a recovery runs, and so the meaning of a spool file that it does not find. Thread: any that may
//! wait for the disk.
//!
//! An absent file is proof of lost memory only if the recovery looks at the same folder, in the same boot, as a user
//! who may look into it. Otherwise the sound may still be in memory, and ending the takes would lose it.

use super::evidence::SpoolFolder;
use crate::butler::spool::SpoolPlace;
use crate::file_system::is_mounted;
use crate::host::{self, disk};
use crate::session::{Session, SpoolRecord, TakeState};
use nix::sys::stat::{major, minor};
use nix::unistd::getuid;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The identity of the user who may look into every folder.
const ROOT: u32 = 0;

/// Where and as whom a recovery runs.
#[derive(Clone, Debug)]
pub struct Viewpoint {
    /// The user who runs the recovery.
    pub uid: u32,
    /// The kernel's identity of the boot; empty if it is not known.
    pub boot: String,
    /// A number that is made from the identity of the machine; empty if there is none.
    pub machine: String,
    /// The mount namespace; empty if it is not known.
    pub mounts: String,
    /// The spool folders of this user that exist here.
    pub folders: Vec<PathBuf>,
    /// The user wants the takes to end with the sound on the disk, wherever their memory may be.
    pub without_memory: bool,
}

/// The meaning of a spool file that was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// The sound in memory is gone for certain, for this reason.
    Gone(String),
    /// The memory may still hold sound.
    Unproven(Hidden),
}

/// Why the memory of a take cannot be seen, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hidden {
    pub(super) reason: String,
    pub(super) advice: String,
}

impl Viewpoint {
    /// This program as it runs now.
    pub fn here(folders: &[PathBuf]) -> Viewpoint {
        Viewpoint {
            uid: getuid().as_raw(),
            boot: boot(),
            machine: machine(),
            mounts: mounts(),
            folders: folders.to_vec(),
            without_memory: false,
        }
    }

    /// The folders to search for the memory of a session: those of this user, and those that its unfinished takes name
    /// and that this user may look into.
    pub(super) fn folders_of(&self, session: &Session) -> Vec<SpoolFolder> {
        let own = |path: &PathBuf| SpoolFolder { path: path.clone(), owner: self.uid };
        let mut folders: Vec<SpoolFolder> = self.folders.iter().map(own).collect();
        let cut_off = session.takes().iter().filter(|take| take.state == TakeState::Recording);
        for record in cut_off.filter_map(|take| take.spool.as_ref()).filter(|record| self.elsewhere(record).is_none()) {
            let Some(path) = record.folder.as_ref().map(PathBuf::from) else { continue };
            let folder = SpoolFolder { path, owner: record.uid };
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// The meaning of a spool file that was not found in the folders of [`folders_of`](Self::folders_of).
    pub(super) fn absence(&self, record: &SpoolRecord) -> Absence {
        let found = self.elsewhere(record).unwrap_or_else(|| self.look(record));
        match found {
            Absence::Unproven(_) if self.without_memory => {
                Absence::Gone("the recovery was asked to do without it".to_owned())
            }
            found => found,
        }
    }

    /// The answer that needs no look into the folder. `None`: the folder is to be looked into.
    fn elsewhere(&self, record: &SpoolRecord) -> Option<Absence> {
        if self.machine != record.machine {
            return Some(hidden(
                "it was recorded on another machine",
                "recover it there; if that machine was switched off since, add --without-memory",
            ));
        }
        if !self.boot.is_empty() && !record.boot.is_empty() && self.boot != record.boot {
            return Some(Absence::Gone("the machine was restarted since".to_owned()));
        }
        if record.folder.is_none() {
            return Some(Absence::Gone("it had no name and ended with the program".to_owned()));
        }
        if self.uid != record.uid && self.uid != ROOT {
            let reason = format!("it belongs to user {}", record.uid);
            return Some(hidden(&reason, "recover it as that user or as root"));
        }
        None
    }

    /// Looks at the folder itself. The folder does not have the files in question.
    fn look(&self, record: &SpoolRecord) -> Absence {
        let Some(folder) = record.folder.as_deref().map(Path::new) else {
            return Absence::Gone("it had no name".to_owned());
        };
        let unreadable = |error: io::Error| hidden(&format!("the folder cannot be read: {error}"), IN_SAME_PLACE);
        let (exists, device) = match nearest(folder) {
            Ok(found) => found,
            Err(error) => return unreadable(error),
        };
        if exists && let Err(error) = disk::list(folder) {
            return unreadable(error);
        }
        if device == record.device {
            return Absence::Gone("its folder does not have it any more".to_owned());
        }
        // Another file system is at this path now. The one with the memory is gone only if it is nowhere in the mounts
        // that the recording program saw.
        if self.mounts == record.mounts && !self.mounts.is_empty() && is_mounted(&record.device) == Some(false) {
            return Absence::Gone("its folder was removed, as at a logout".to_owned());
        }
        hidden("that folder is another one here", IN_SAME_PLACE)
    }
}

const IN_SAME_PLACE: &str =
    "recover it where it was recorded (same container or service); if its user logged out since, add --without-memory";

fn hidden(reason: &str, advice: &str) -> Absence {
    Absence::Unproven(Hidden { reason: reason.to_owned(), advice: advice.to_owned() })
}

/// The record for takes that are about to be recorded by this program, with spools in `place`. `mirror`: the session folder of
/// the mirror.
pub fn spool_record(place: &SpoolPlace, mirror: Option<&Path>) -> SpoolRecord {
    let folder = match place {
        SpoolPlace::Folder(folder) => Some(folder),
        SpoolPlace::Memory => None,
    };
    let device = folder.and_then(|folder| nearest(folder).ok()).map_or_else(String::new, |(_, device)| device);
    SpoolRecord {
        folder: folder.map(|folder| folder.to_string_lossy().into_owned()),
        uid: getuid().as_raw(),
        boot: boot(),
        machine: machine(),
        mounts: mounts(),
        device,
        mirror: mirror.and_then(Path::to_str).map(str::to_owned),
        other: serde_json::Map::default(),
    }
}

/// Whether the folder exists, and the device number of it or of the nearest folder above it that exists.
fn nearest(folder: &Path) -> io::Result<(bool, String)> {
    for above in folder.ancestors() {
        match disk::metadata(above) {
            Ok(found) => return Ok((above == folder, format!("{}:{}", major(found.dev()), minor(found.dev())))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn boot() -> String {
    let real = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    host::boot().unwrap_or_else(real)
}

fn mounts() -> String {
    fs::read_link("/proc/self/ns/mnt").map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

/// A number for the machine. The identity itself is confidential (machine-id(5)), and sessions are given to others, so
/// the session gets only a number of half its length (FNV-1a).
fn machine() -> String {
    let text = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
