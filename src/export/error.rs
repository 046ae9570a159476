//! The errors of an export. Each message names the file, the reason and what to do. Thread: any.

use crate::session::session_file::SessionError;
use crate::time::FramePos;
use crate::wav::WavError;
use crate::wav::take_sound::TakeDefect;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an export failed. The takes are unchanged. The target folder is unchanged too, except that files that were
/// replaced on request before the error stay replaced; each of them is complete.
#[derive(Debug)]
pub enum ExportError {
    /// The session has no track of this number.
    UnknownTrack {
        /// The session's folder.
        session: PathBuf,
        /// The requested number.
        number: usize,
        /// Number of tracks in the session.
        count: usize,
    },
    /// The range holds no frame.
    EmptyRange {
        /// The session's folder.
        session: PathBuf,
        from: FramePos,
        /// The frame behind the last one.
        until: FramePos,
    },
    /// The range ends behind the longest possible timeline.
    BeyondTimeline {
        /// The session's folder.
        session: PathBuf,
        until: FramePos,
    },
    /// None of the tracks has sound in the range.
    NoSound {
        /// The session's folder.
        session: PathBuf,
        /// Whether the mix was requested. Mute and solo apply to it, but not to stems.
        mix: bool,
    },
    /// A take's file does not have the sound that the session lists for it.
    Take { path: PathBuf, defect: TakeDefect },
    /// A second WAV parser does not find in a finished file what was written.
    Unreadable { path: PathBuf, reason: String },
    /// The target folder is one in which the session keeps its own files.
    OwnFolder { path: PathBuf },
    /// A file exists, and replacing it was not allowed.
    Exists { path: PathBuf },
    /// The disk has too little free space for the files.
    NoRoom {
        /// The target folder.
        path: PathBuf,
        /// Bytes of all files together.
        needed: u64,
        /// Free bytes on the disk.
        free: u64,
    },
    /// A system call failed.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// A verb that fits after "cannot".
        doing: &'static str,
        error: io::Error,
    },
    /// A take can't be opened.
    Session(SessionError),
    /// A file can't be read or written.
    Wav(WavError),
    /// The user cancelled the export.
    Cancelled {
        /// The file that was being written.
        path: PathBuf,
    },
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportError::UnknownTrack { session, number, count: 0 } => {
                write!(f, "{}: there is no track {number}; the session has no tracks yet", session.display())
            }
            ExportError::UnknownTrack { session, number, count } => {
                write!(f, "{}: there is no track {number}; choose from 1 to {count}", session.display())
            }
            ExportError::EmptyRange { session, from, until } => write!(
                f,
                "{}: nothing lies between frame {} and frame {}; choose an end behind the start",
                session.display(),
                from.0,
                until.0
            ),
            ExportError::BeyondTimeline { session, until } => {
                write!(f, "{}: frame {} lies beyond the timeline; choose an earlier end", session.display(), until.0)
            }
            ExportError::NoSound { session, mix: false } => {
                write!(f, "{}: no track has sound there; choose other tracks or another range", session.display())
            }
            ExportError::NoSound { session, mix: true } => write!(
                f,
                "{}: no track is heard there; choose another range, or look at mute, solo and monitoring",
                session.display()
            ),
            ExportError::Take { path, defect } => write!(f, "{}: {defect}", path.display()),
            ExportError::OwnFolder { path } => {
                write!(f, "{}: the session keeps its own files here; choose another folder", path.display())
            }
            ExportError::Exists { path } => {
                write!(f, "{}: the file exists and is kept; choose another folder, or --force", path.display())
            }
            ExportError::Unreadable { path, reason } => write!(
                f,
                "{}: a second WAV parser does not read it as it was written ({reason}); do not use this file, and please \
                 report this",
                path.display()
            ),
            ExportError::NoRoom { path, needed, free } => write!(
                f,
                "{}: {} MB would be written and {} MB are free; make room, or choose a shorter range",
                path.display(),
                needed / 1_000_000,
                free / 1_000_000
            ),
            ExportError::Io { path, doing, error } => {
                write!(f, "{}: cannot {doing}: {error}; choose a folder that can be written", path.display())
            }
            ExportError::Session(error) => error.fmt(f),
            ExportError::Wav(error) => error.fmt(f),
            ExportError::Cancelled { path } => write!(f, "{}: cancelled; nothing of it was kept", path.display()),
        }
    }
}

impl std::error::Error for ExportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ExportError::Io { error, .. } => Some(error),
            ExportError::Session(error) => Some(error),
            ExportError::Wav(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SessionError> for ExportError {
    fn from(error: SessionError) -> ExportError {
        ExportError::Session(error)
    }
}

impl From<WavError> for ExportError {
    fn from(error: WavError) -> ExportError {
        match error {
            WavError::At { path, reason } if matches!(*reason, WavError::Exists) => ExportError::Exists { path },
            other => ExportError::Wav(other),
        }
    }
}
