//! Why an export can't be made, in words: where, why, what to do. Thread: any.

use crate::session::session_file::SessionError;
use crate::time::FramePos;
use crate::wav::WavError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an export was not made. Takes are as they were, and so is the folder it was to go to, except that
/// files replaced on request before the error stay replaced, each of them whole.
#[derive(Debug)]
pub enum ExportError {
    /// The session has no track of this number.
    UnknownTrack {
        /// The session's folder.
        session: PathBuf,
        /// The number that was asked for.
        number: usize,
        /// How many tracks there are.
        count: usize,
    },
    /// The range holds no frame.
    EmptyRange {
        /// The session's folder.
        session: PathBuf,
        /// Its first frame.
        from: FramePos,
        /// The first frame that is left out.
        until: FramePos,
    },
    /// The range reaches further than a timeline does.
    BeyondTimeline {
        /// The session's folder.
        session: PathBuf,
        /// Its end.
        until: FramePos,
    },
    /// None of the tracks sounds in the range.
    NoSound {
        /// The session's folder.
        session: PathBuf,
        /// Whether the mix was asked for, in which mute and solo count.
        mix: bool,
    },
    /// A take's file is not what the session says, or can't be exported here.
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A take's file is shorter than the session says.
    Short {
        /// The file.
        path: PathBuf,
        /// Frames that it has.
        frames: u64,
        /// Frames that the timeline plays of it.
        needed: u64,
    },
    /// The files would lie among the session's own.
    OwnFolder {
        /// Where they were to go.
        path: PathBuf,
    },
    /// A file is there already, and was not to be replaced.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The disk cannot hold what would be written.
    NoRoom {
        /// Where the files were to go.
        path: PathBuf,
        /// Bytes of all of them.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The system refused.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The verb that fits after "cannot".
        doing: &'static str,
        /// Its answer.
        error: io::Error,
    },
    /// A take can't be opened.
    Session(SessionError),
    /// A file can't be read or written.
    Wav(WavError),
    /// It was called off.
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
            ExportError::Foreign { path, reason } => {
                write!(f, "{}: {reason}; bring the take's own file back, or remove its regions", path.display())
            }
            ExportError::Short { path, frames, needed } => write!(
                f,
                "{}: the file ends at frame {frames}, and the session plays it up to frame {needed}; bring the whole \
                 file back, or trim its regions",
                path.display()
            ),
            ExportError::OwnFolder { path } => {
                write!(f, "{}: the session keeps its own files here; choose another folder", path.display())
            }
            ExportError::Exists { path } => {
                write!(f, "{}: the file exists and is kept; choose another folder, or --force", path.display())
            }
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
