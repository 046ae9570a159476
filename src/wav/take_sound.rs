//! Decides whether a WAV file has the sound that a session lists for a take. Playback and export both ask here, so that
//! they say the same. Thread: any. Pure.

use super::parse::Layout;
use crate::format::TakeFormat;
use std::fmt;

/// The sound that a session lists for a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeSound {
    /// 1 or 2.
    pub channels: u32,
    /// Frames per second.
    pub rate: u32,
    pub format: TakeFormat,
    pub progress: TakeProgress,
}

/// Whether the file of a take may be shorter than the session says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeProgress {
    /// The file is complete.
    Finished,
    /// A running program records the take, so the rest of the file follows.
    BeingRecorded,
    /// The recording of the take was cut off, and the take is not recovered yet.
    CutOff,
}

/// Why the sound of a take is missing, all of it or a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeDefect {
    /// The file is not there.
    Missing,
    /// The file does not have the format in the session, or its rate is not that of the session.
    Foreign { reason: String },
    /// The file is shorter than the session says.
    Short {
        /// Frames in the file.
        frames: u64,
        /// Frames that the session plays.
        needed: u64,
    },
    /// The take was cut off, and its file is shorter than the session says.
    CutOff {
        /// Frames in the file.
        frames: u64,
        /// Frames that the session plays.
        needed: u64,
    },
}

impl TakeSound {
    /// Fails if the take has another rate than its session, so that it would sound at another speed.
    pub fn rate_check(&self, session_rate: u32) -> Result<(), TakeDefect> {
        if self.rate == session_rate {
            return Ok(());
        }
        Err(TakeDefect::Foreign { reason: format!("a take of {} Hz in a session of {session_rate} Hz", self.rate) })
    }

    /// Fails if the file has other channels, another rate or another format than the take.
    pub fn layout_check(&self, layout: &Layout) -> Result<(), TakeDefect> {
        let format = layout.encoding.take_format();
        let found = (u32::from(layout.channels), layout.rate, format);
        if found == (self.channels, self.rate, Some(self.format)) {
            return Ok(());
        }
        let stored = format.map_or_else(|| "32-bit integers".to_owned(), |format| format.to_string());
        let reason = format!(
            "the file holds {} channels, {} Hz, {stored}, and the take {} channels, {} Hz, {}",
            layout.channels, layout.rate, self.channels, self.rate, self.format
        );
        Err(TakeDefect::Foreign { reason })
    }

    /// Fails if a file of `frames` frames ends before frame `needed`, up to which the session plays it. The file of a take
    /// that is being recorded may.
    pub fn length_check(&self, frames: u64, needed: u64) -> Result<(), TakeDefect> {
        match self.progress {
            _ if needed <= frames => Ok(()),
            TakeProgress::BeingRecorded => Ok(()),
            TakeProgress::Finished => Err(TakeDefect::Short { frames, needed }),
            TakeProgress::CutOff => Err(TakeDefect::CutOff { frames, needed }),
        }
    }
}

impl fmt::Display for TakeDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeDefect::Missing => f.write_str("the take's file is missing; bring it back, or remove its regions"),
            TakeDefect::Foreign { reason } => {
                write!(f, "{reason}; bring the take's own file back, or remove its regions")
            }
            TakeDefect::Short { frames, needed } => write!(
                f,
                "the file ends at frame {frames}, and the session plays it up to frame {needed}; bring the whole file back, \
                 or trim its regions"
            ),
            TakeDefect::CutOff { frames, needed } => write!(
                f,
                "not finished; silence from its frame {frames} to frame {needed}; 'faultless recover' completes the take"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::parse::Encoding;

    fn sound(progress: TakeProgress) -> TakeSound {
        TakeSound { channels: 1, rate: 48_000, format: TakeFormat::S24, progress }
    }

    #[test]
    fn a_file_with_another_rate_format_or_number_of_channels_is_not_that_of_the_take() {
        let layout = |channels, rate, encoding| Layout {
            channels,
            rate,
            encoding,
            data_offset: 44,
            data_bytes: 0,
            frames: 0,
            bext: None,
            truncated: false,
        };
        let take = sound(TakeProgress::Finished);
        assert_eq!(take.layout_check(&layout(1, 48_000, Encoding::Pcm24)), Ok(()));
        for other in [
            layout(2, 48_000, Encoding::Pcm24),
            layout(1, 44_100, Encoding::Pcm24),
            layout(1, 48_000, Encoding::Pcm16),
            layout(1, 48_000, Encoding::Float32),
        ] {
            let found = take.layout_check(&other);
            assert!(matches!(found, Err(TakeDefect::Foreign { .. })), "{other:?}");
        }
        assert_eq!(take.rate_check(48_000), Ok(()));
        let text = take.rate_check(44_100).map_err(|defect| defect.to_string());
        let told = "a take of 48000 Hz in a session of 44100 Hz; bring the take's own file back, or remove its regions";
        assert_eq!(text, Err(told.to_owned()));
    }

    #[test]
    fn a_short_file_is_a_defect_unless_the_take_is_being_recorded() {
        let lengths = |progress| [0, 10, 11].map(|needed| sound(progress).length_check(10, needed));
        let (frames, needed) = (10, 11);
        assert_eq!(lengths(TakeProgress::BeingRecorded), [Ok(()), Ok(()), Ok(())]);
        assert_eq!(lengths(TakeProgress::Finished), [Ok(()), Ok(()), Err(TakeDefect::Short { frames, needed })]);
        assert_eq!(lengths(TakeProgress::CutOff), [Ok(()), Ok(()), Err(TakeDefect::CutOff { frames, needed })]);
    }
}
