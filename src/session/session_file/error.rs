//! Errors of a session's folder, worded for the user: which file, why, and what to do. Thread: any.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a session cannot be made, opened or saved.
#[derive(Debug)]
pub enum SessionError {
    /// Nothing exists at this path.
    Missing {
        /// The path that the caller gave.
        path: PathBuf,
    },
    /// A new session cannot be made where other files are.
    Exists {
        /// The folder that the caller gave.
        path: PathBuf,
    },
    /// The folder is no session, or part of it is a link or a special file, which are never followed or opened.
    NotASession {
        /// Folder of the session.
        path: PathBuf,
        /// The reason, in words.
        reason: String,
    },
    /// The folder cannot be written to.
    ReadOnly {
        /// Folder of the session.
        path: PathBuf,
    },
    /// The file system cannot do what a session needs.
    Unfit {
        /// Folder of the session.
        path: PathBuf,
        /// Name of the file system.
        file_system: String,
        /// The missing ability, in words.
        reason: String,
    },
    /// Another program, or another running copy of this one, has the session open for recording.
    Locked {
        /// Folder of the session.
        path: PathBuf,
        /// The process that holds the lock, if the lock file names it.
        pid: Option<u32>,
    },
    /// The session's file cannot be read as a session.
    Damaged {
        /// The session's file.
        path: PathBuf,
        /// Line and column at which reading ended, counted from 1. `None` if the JSON is correct and its content is
        /// not.
        place: Option<(usize, usize)>,
        /// The reason, in words.
        reason: String,
        /// Kept versions that [`super::restore`] can bring back, oldest first.
        kept: Vec<u32>,
    },
    /// A newer program wrote the file.
    NewerVersion {
        /// The session's file.
        path: PathBuf,
        /// Version of the file.
        found: u64,
        /// The newest version that this program can read.
        known: u64,
    },
    /// The file is larger than a session's file may be.
    TooLarge {
        /// The session's file.
        path: PathBuf,
        /// Bytes of the file.
        bytes: u64,
        /// Bytes that it may have.
        bytes_max: u64,
    },
    /// The session in memory breaks a rule of `validate`. It was not written, and the file is as it was.
    Invalid {
        /// The session's file.
        path: PathBuf,
        /// The rule that it breaks.
        reason: String,
    },
    /// A file of another program had the name of a take's file. It has another name now.
    NameTaken {
        /// The take's file.
        path: PathBuf,
        /// The other program's file.
        aside: PathBuf,
    },
    /// The system refused a call. After a refused save the file is as it was.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Name of the call, for example `open`.
        call: &'static str,
        /// The system's error.
        error: io::Error,
    },
}

impl SessionError {
    /// Whether the disk, or the user's quota of it, is full.
    pub(super) fn is_disk_full(&self) -> bool {
        let SessionError::Io { error, .. } = self else { return false };
        matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
    }
}

/// Where a kept version can be restored. The number follows.
const HOW_TO_RESTORE: &str = ", in the window or with 'faultless recover SESSION --restore";

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
                        write!(
                            f,
                            "restore a kept version, the latest is {last}, the oldest {first}{HOW_TO_RESTORE} {last}'"
                        )
                    }
                    (_, Some(last)) => write!(f, "restore the kept version {last}{HOW_TO_RESTORE} {last}'"),
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
                "{}: {bytes} bytes are more than the {bytes_max} a session may have; restore a kept version (history/ has their \
                 numbers){HOW_TO_RESTORE} NUMBER'",
                path.display()
            ),
            SessionError::Invalid { path, reason } => {
                write!(f, "{}: not saved, the session contradicts itself: {reason}; undo the last step", path.display())
            }
            SessionError::NameTaken { path, aside } => write!(
                f,
                "{}: another program had made a file of this name; that file is {} now, look into it or remove it",
                path.display(),
                aside.display()
            ),
            SessionError::Io { path, call, error } => {
                let advice = match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, then try again",
                    io::ErrorKind::PermissionDenied => "check its permissions, then try again",
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
