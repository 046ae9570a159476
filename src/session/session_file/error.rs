//! Why a session can't be opened or saved, in words: where, why, what to do. Thread: any.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a session can't be made, opened or saved.
#[derive(Debug)]
pub enum SessionError {
    /// There is nothing at this path.
    Missing {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// A new session can't be made where something is already.
    Exists {
        /// The folder that was asked for.
        path: PathBuf,
    },
    /// What is there is no session, or a trap: links and special files are never followed or opened.
    NotASession {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder can't be written.
    ReadOnly {
        /// The folder.
        path: PathBuf,
    },
    /// The file system lacks what a session needs.
    Unfit {
        /// The folder.
        path: PathBuf,
        /// What the file system is called.
        file_system: String,
        /// What it lacks.
        reason: String,
    },
    /// Another program, or another window of this one, has the session open.
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who, if it had time to say.
        pid: Option<u32>,
    },
    /// The session's file can't be read as one.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line and column, counted from 1, where reading ended. None if it reads but does not make sense.
        place: Option<(usize, usize)>,
        /// What was found there.
        reason: String,
        /// Kept versions that [`super::restore`] can bring back, oldest first.
        kept: Vec<u32>,
    },
    /// The file was written by a newer program.
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version known here.
        known: u64,
    },
    /// The file is larger than a session's may be.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The size it may have.
        bytes_max: u64,
    },
    /// The session in memory breaks its own rules; it was not written, the file is as it was.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which rule.
        reason: String,
    },
    /// The system refused. When saving, the file is as it was.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was asked of the system.
        call: &'static str,
        /// Its answer.
        error: io::Error,
    },
}

impl SessionError {
    /// Whether the disk, or the user's part of it, is full.
    pub(super) fn is_disk_full(&self) -> bool {
        let SessionError::Io { error, .. } = self else { return false };
        matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::Missing { path } => {
                write!(f, "{}: there is nothing here; check the path, or make a new session", path.display())
            }
            SessionError::Exists { path } => {
                write!(f, "{}: something is here already; choose another name, or open it", path.display())
            }
            SessionError::NotASession { path, reason } => {
                write!(f, "{}: not a session: {reason}; choose the folder of a session", path.display())
            }
            SessionError::ReadOnly { path } => write!(
                f,
                "{}: the folder cannot be written; open it for playback and export only, or copy it elsewhere",
                path.display()
            ),
            SessionError::Unfit { path, file_system, reason } => write!(
                f,
                "{}: {file_system} cannot hold a session: {reason}; record to a local disk and copy the session there",
                path.display()
            ),
            SessionError::Locked { path, pid: Some(pid) } => write!(
                f,
                "{}: open in another program, process {pid}; close it there, or open it for playback only",
                path.display()
            ),
            SessionError::Locked { path, pid: None } => {
                write!(f, "{}: open in another program; close it there, or open it for playback only", path.display())
            }
            SessionError::Damaged { path, place, reason, kept } => {
                write!(f, "{}: damaged", path.display())?;
                if let Some((line, column)) = place {
                    write!(f, " at line {line}, column {column}")?;
                }
                write!(f, ": {reason}; ")?;
                match (kept.first(), kept.last()) {
                    (Some(first), Some(last)) if first != last => {
                        write!(f, "restore a kept version, the latest is {last}, the oldest {first}")
                    }
                    (_, Some(last)) => write!(f, "restore the kept version {last}"),
                    _ => write!(f, "no version is kept, but the takes in audio/ are ordinary WAV files"),
                }
            }
            SessionError::NewerVersion { path, found, known } => write!(
                f,
                "{}: written by a newer Faultless, version {found}, and {known} is the newest known here; update Faultless",
                path.display()
            ),
            SessionError::TooLarge { path, bytes, bytes_max } => write!(
                f,
                "{}: {bytes} bytes are more than the {bytes_max} a session may have; restore a kept version",
                path.display()
            ),
            SessionError::Invalid { path, reason } => {
                write!(f, "{}: not saved, the session contradicts itself: {reason}; undo the last step", path.display())
            }
            SessionError::Io { path, call, error } => {
                let advice = match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, then try again",
                    io::ErrorKind::PermissionDenied => "check who may use it, then try again",
                    io::ErrorKind::ReadOnlyFilesystem => "the disk cannot be written; remount it, or copy the session",
                    _ => "check the disk, then try again",
                };
                write!(f, "{}: {call}: {error}; {advice}", path.display())
            }
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SessionError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
