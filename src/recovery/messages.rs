//! What a recovery says, in words: the thing, the reason, what to do. Thread: any.

use super::evidence::FoundSpool;
use super::length::Basis;
use super::{CutTake, RecoveredPass};
use crate::time::{Clock, Frames};
use std::fmt;
use std::io;
use std::path::Path;

impl RecoveredPass {
    /// The most that any of its takes got from memory.
    pub fn from_memory(&self) -> Frames {
        Frames(self.takes.iter().map(|take| take.recovered_frames).max().unwrap_or(0))
    }

    /// Whether sound is known to be missing.
    pub fn is_short(&self) -> bool {
        self.basis == Basis::Disk || self.lost > Frames(0) || self.overrun > Frames(0)
    }
}

impl fmt::Display for RecoveredPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takes = match self.takes.len() {
            1 => "1 take".to_owned(),
            count => format!("{count} takes"),
        };
        let clock = Clock(self.frames.duration(self.rate));
        write!(f, "Recovered {takes} of the pass that was cut off: {clock} each")?;
        let memory = self.from_memory().seconds(self.rate);
        match self.basis {
            Basis::Disk => write!(f, ", as much as was on the disk; what was in memory only is gone")?,
            _ if self.frames == Frames(0) => write!(f, "; it had not begun")?,
            _ => write!(f, "; {memory:.2} s came from memory")?,
        }
        if self.lost > Frames(0) {
            write!(f, "; {} frames that the device lost are silence", self.lost.0)?;
        }
        if self.overrun > Frames(0) {
            write!(f, "; {} frames for which there was no window are silence", self.overrun.0)?;
        }
        Ok(())
    }
}

/// A take that is left as it is.
pub(super) fn left_alone(reason: &str, spool: Option<&FoundSpool>) -> String {
    match spool {
        Some(spool) => format!("{reason}; its last seconds are kept in {}", spool.path.display()),
        None => reason.to_owned(),
    }
}

/// A pass whose mending came to a stop at a take.
pub(super) fn not_recovered(folder: &Path, cut: &CutTake, error: &io::Error) -> String {
    let path = folder.join(cut.take.path());
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk and start again",
        io::ErrorKind::ReadOnlyFilesystem => "mount the disk for writing and start again",
        _ => "check the disk and start again",
    };
    let kept = match &cut.spool {
        Some(spool) => format!("; what is missing is kept in {}", spool.path.display()),
        None => String::new(),
    };
    format!("{}: not recovered: {error}; {advice}{kept}", path.display())
}

/// An error of a file.
pub(super) fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
