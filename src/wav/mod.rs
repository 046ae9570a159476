//! WAV files: headers, sample formats, reading and writing. Thread: any but audio.
//!
//! [`header`] builds the first page of a take or an export, [`parse`] makes sense of any WAV file, and
//! both are pure: bytes in, values out. Only [`read`] and [`mod@write`] open files.
#![forbid(unsafe_code)]

pub mod bext;
pub mod header;
pub mod ixml;
pub mod parse;
pub mod read;
pub mod sample;
pub mod write;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a WAV file could not be read or written.
///
/// The pure functions return a bare reason; whoever knows the file adds its name with [`WavError::at`].
#[derive(Debug)]
pub enum WavError {
    /// `reason` happened to the file `path`. Never nested.
    At {
        /// The file.
        path: PathBuf,
        /// What happened to it.
        reason: Box<WavError>,
    },
    /// The operating system refused; `doing` is the verb that fits after "cannot".
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The path leads to a directory, a pipe or a device.
    NotAFile,
    /// No RIFF, RF64 or BW64 header of form WAVE.
    NotWav,
    /// No `fmt ` chunk: nothing says what the samples are.
    NoFormat,
    /// No `data` chunk: there is no sound.
    NoData,
    /// The `fmt ` chunk contradicts itself.
    BadFormat {
        /// The field that cannot be true.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A kind of sample that this program does not read.
    Unsupported {
        /// `wFormatTag`, or the sub-format of WAVEFORMATEXTENSIBLE; 0xFFFE for a foreign sub-format.
        tag: u16,
        /// Bits of a sample.
        bits: u16,
    },
    /// More chunks than any honest file has, and no sound among them.
    TooManyChunks,
    /// The file became shorter while it was being read: sound that its header promised is gone.
    Shrunk {
        /// The first frame that is missing.
        frame: u64,
    },
    /// The file to be written is there already and was not to be replaced.
    Exists,
}

impl WavError {
    /// The same error with the file it happened to. A name that is there already stays.
    #[must_use]
    pub fn at(self, path: &Path) -> WavError {
        match self {
            named @ WavError::At { .. } => named,
            reason => WavError::At { path: path.to_owned(), reason: Box::new(reason) },
        }
    }

    /// What happened, without the file.
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
                 or 32 bit float"
            ),
            WavError::TooManyChunks => f.write_str(
                "too many chunks before any sound; the file is damaged or hostile, save it anew with another program",
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
        let error = WavError::NotWav.at(Path::new("audio/voice-01.wav")).at(Path::new("elsewhere.wav"));
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
