//! The place in memory of the sound that the disk of a take does not have yet. Thread: any; pure.
//!
//! Recovery must tell "the memory is gone" from "the memory is not visible from here". An absent file proves nothing by
//! itself, because another user, another `XDG_RUNTIME_DIR` or a container sees other folders. This record makes the
//! difference provable.

use super::Other;
use serde::{Deserialize, Serialize};

/// The places where the sound of a take is while it is being recorded, besides its file: its spool file with the progress page
/// of its pass, and its file in the mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolRecord {
    /// The spool folder, as an absolute path. `None`: memory without a name, which ends with the program.
    #[serde(default)]
    pub folder: Option<String>,
    /// The user whose program records.
    pub uid: u32,
    /// The kernel's identity of the boot. Memory of another boot does not exist any more.
    pub boot: String,
    /// A number that is made from the identity of the machine. Empty: the machine has none.
    #[serde(default)]
    pub machine: String,
    /// The mount namespace of the program. A program in the same one sees the same folders.
    #[serde(default)]
    pub mounts: String,
    /// The device number of the spool folder's file system, as in `/proc/self/mountinfo`.
    #[serde(default)]
    pub device: String,
    /// The session folder of the mirror, as an absolute path, if the take is recorded there too. After a power cut only the
    /// session leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Fields that a newer program wrote.
    #[serde(flatten)]
    pub other: Other,
}
