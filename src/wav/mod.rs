//! WAV files: headers, sample formats, reading and writing. Thread: any but audio.
//!
//! [`header`] builds the first page of a take or an export. [`parse`] reads the header of any WAV file. [`take_sound`]
//! compares a file with its take. All three are pure.
//! Only [`read`] and [`mod@write`] open files.
#![forbid(unsafe_code)]

pub mod bext;
pub mod header;
pub mod ixml;
pub mod parse;
pub mod read;
pub mod sample;
pub mod take_sound;
pub mod write;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a WAV file could not be read or written.
///
/// The pure functions return a reason without a file name. Their caller adds the name with [`WavError::at`].
#[derive(Debug)]
pub enum WavError {
    /// An error with the name of its file. `reason` is never an `At` itself.
    At { path: PathBuf, reason: Box<WavError> },
    /// A system call failed.
    Io {
        /// A verb that fits after "cannot".
        doing: &'static str,
        error: io::Error,
    },
    /// The path leads to a directory, a pipe or a device.
    NotAFile,
    /// No RIFF, RF64 or BW64 header of form WAVE.
    NotWav,
    /// No usable `fmt ` chunk, so the format of the samples is unknown.
    NoFormat,
    /// No `data` chunk, so no sound.
    NoData,
    /// The `fmt ` chunk contradicts itself.
    BadFormat {
        /// The field whose value is impossible.
        field: &'static str,
        value: u64,
    },
    /// A sample format that this program does not read.
    Unsupported {
        /// `wFormatTag`, or the sub-format of WAVEFORMATEXTENSIBLE. 0xFFFE for an unknown sub-format.
        tag: u16,
        /// Bits per sample.
        bits: u16,
    },
    /// [`parse::CHUNK_COUNT_MAX`] chunks and no sound among them.
    TooManyChunks,
    /// The file became shorter after it was opened.
    Shrunk {
        /// The first missing frame.
        frame: u64,
    },
    /// The file to write exists, and replacing it was not allowed.
    Exists,
}

impl WavError {
    /// Adds the name of the file. An error that has a name keeps it.
    #[must_use]
    pub fn at(self, path: &Path) -> WavError {
        match self {
            named @ WavError::At { .. } => named,
            reason => WavError::At { path: path.to_owned(), reason: Box::new(reason) },
        }
    }

    /// The error without the name of the file.
    pub fn reason(&self) -> &WavError {
        match self {
            WavError::At { reason, .. } => reason,
            bare => bare,
        }
    }

    fn io(doing: &'static str) -> impl Fn(io::Error) -> WavError {
        move |error| WavError::Io { doing, error }
    }
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WavError::At { path, reason } => write!(f, "{}: {reason}", path.display()),
            WavError::Io { doing, error } => write!(f, "cannot {doing}: {error}; {}", io_advice(error.kind())),
            WavError::NotAFile => f.write_str("not a regular file; choose a wav file"),
            WavError::NotWav => f.write_str("not a wav file; choose a RIFF, RF64 or BW64 file"),
            WavError::NoFormat => {
                f.write_str("the wav header has no usable 'fmt ' chunk; the file is damaged, take it from a copy")
            }
            WavError::NoData => {
                f.write_str("the wav file has no 'data' chunk, so no sound; the file is damaged, take it from a copy")
            }
            WavError::BadFormat { field, value } => {
                write!(f, "the wav header says {field} {value}; the file is damaged, take it from a copy")
            }
            WavError::Unsupported { tag, bits } => write!(
                f,
                "samples of format 0x{tag:04x} with {bits} bits cannot be read; convert the file to 16, 24 or 32 bit pcm \
                 or to float"
            ),
            WavError::TooManyChunks => f.write_str(
                "too many chunks before any sound; the file is damaged or hostile, save it again with another program",
            ),
            WavError::Shrunk { frame } => write!(
                f,
                "the file ends at frame {frame}, before the end it had when it was opened; stop what shortens it and open \
                 it again"
            ),
            WavError::Exists => f.write_str("the file exists and is kept; choose another name or ask to replace it"),
        }
    }
}

impl std::error::Error for WavError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WavError::Io { error, .. } => Some(error),
            WavError::At { reason, .. } => Some(reason.as_ref()),
            _ => None,
        }
    }
}

fn io_advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "check the name",
        io::ErrorKind::PermissionDenied => "check who may use the file and its folder",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written",
        _ => "check the disk it is on",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_once_then_the_reason_then_what_to_do() {
        let error = WavError::NotWav.at(Path::new("audio/voice-01.wav")).at(Path::new("other.wav"));
        assert_eq!(error.to_string(), "audio/voice-01.wav: not a wav file; choose a RIFF, RF64 or BW64 file");
        assert!(matches!(error.reason(), WavError::NotWav));
    }

    #[test]
    fn a_full_disk_is_answered_with_advice() {
        let full = WavError::Io { doing: "write the sound", error: io::ErrorKind::StorageFull.into() };
        let text = full.at(Path::new("export/mix.wav")).to_string();
        assert!(text.starts_with("export/mix.wav: cannot write the sound: "), "{text}");
        assert!(text.ends_with("; make room on the disk"), "{text}");
    }
}
