//! Opens the takes of an export and compares them with the session. Thread: export, or main in `faultless export`.

use super::error::ExportError;
use super::plan::{PlannedFile, Segment};
use crate::format::TakeFormat;
use crate::session::session_file::{SessionError, is_in_use, open_take};
use crate::session::{Take, TakeId, TakeState};
use crate::wav::read::Reader;
use crate::wav::take_sound::{TakeDefect, TakeProgress, TakeSound};
use std::collections::HashMap;
use std::path::Path;

/// An open take. A value of this type guarantees that rate, channels and format are those in the session.
pub(super) struct TakeSource {
    id: TakeId,
    reader: Reader,
    pub(super) format: TakeFormat,
    /// 1 or 2.
    pub(super) channels: usize,
    /// The take is being recorded or was cut off, so its file may be shorter than the session says.
    unfinished: bool,
}

/// The sound that the session lists for a take.
pub(super) fn sound_of(take: &Take, progress: TakeProgress) -> TakeSound {
    TakeSound { channels: take.channels, rate: take.rate.0, format: take.format, progress }
}

impl TakeSource {
    pub(super) fn open(folder: &Path, take: &Take) -> Result<TakeSource, ExportError> {
        let path = folder_of(folder).join(take.path());
        // This call refuses a path that leads out of the session.
        let file = match open_take(folder, take) {
            Ok(file) => file,
            Err(SessionError::Missing { path }) => {
                return Err(ExportError::Take { path, defect: TakeDefect::Missing });
            }
            Err(error) => return Err(error.into()),
        };
        let reader = Reader::from_file(file, &path).map_err(|reason| reason.at(&path))?;
        let sound = sound_of(take, TakeProgress::Finished);
        sound.layout_check(reader.layout()).map_err(|defect| ExportError::Take { path, defect })?;
        let unfinished = take.state == TakeState::Recording;
        Ok(TakeSource { id: take.id, reader, format: take.format, channels: take.channels as usize, unfinished })
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.channels * self.format.bytes()
    }

    /// Reads whole frames from frame `at` on. Returns the number of frames: as many as `bytes` holds, fewer only at the
    /// end of a take that is not finished.
    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) -> Result<usize, ExportError> {
        let wanted = bytes.len() / self.frame_bytes();
        let frames = self.reader.read_bytes(at, bytes)? / self.frame_bytes();
        if frames < wanted {
            self.length_check(at + wanted as u64)?;
        }
        Ok(frames)
    }

    fn length_check(&self, needed: u64) -> Result<(), ExportError> {
        let frames = self.reader.layout().frames;
        if self.unfinished || needed <= frames {
            return Ok(());
        }
        Err(ExportError::Take { path: self.reader.path().to_owned(), defect: TakeDefect::Short { frames, needed } })
    }
}

/// The take of a track that was read last. It stays open, because the next segment often needs the same take.
#[derive(Default)]
pub(super) struct LastSource(Option<TakeSource>);

impl LastSource {
    /// The take of `segment`. Opens it unless it is the one that is open.
    pub(super) fn load(&mut self, folder: &Path, segment: &Segment) -> Result<&TakeSource, ExportError> {
        let source = match self.0.take().filter(|source| source.id == segment.take.id) {
            Some(source) => source,
            None => TakeSource::open(folder, &segment.take)?,
        };
        Ok(self.0.insert(source))
    }
}

/// The files of an export with the takes that can be read.
pub(super) struct Checked {
    /// The files to write, each with its notes. A segment without sound to read is left out of them, and so is a file
    /// without a segment.
    pub(super) files: Vec<(PlannedFile, Vec<String>)>,
    /// Takes that cannot be read as the session plays them, and takes that were cut off: one sentence each, with the
    /// track, the file, the reason and the remedy.
    pub(super) problems: Vec<String>,
}

/// The result of opening a take.
enum Found {
    /// Frames in its file, and whether it may be shorter than the session says.
    Readable {
        frames: u64,
        unfinished: bool,
    },
    Unreadable,
}

/// Opens every take and compares its length with the frames that the session plays of it, before anything is written.
///
/// A take that cannot be read costs its own place, as in playback, and not the other tracks. The error is that of the
/// first take if no file is left. A take that a running program records is read as far as its file reaches, and a note
/// says so.
pub(super) fn check(files: &[PlannedFile]) -> Result<Checked, ExportError> {
    let mut found: HashMap<TakeId, Found> = HashMap::new();
    let mut in_use: Option<bool> = None;
    let (mut checked, mut first) = (Checked { files: Vec::new(), problems: Vec::new() }, None);
    for planned in files {
        let (mut planned, mut notes) = (planned.clone(), Vec::new());
        let folder = planned.folder.clone();
        let mut noted: HashMap<TakeId, u64> = HashMap::new();
        planned.retain_segments(|title, segment| {
            let mut refuse = |error: ExportError| {
                checked.problems.push(format!("{title}, silent there: {error}"));
                first.get_or_insert(error);
            };
            let take = found.entry(segment.take.id).or_insert_with(|| match TakeSource::open(&folder, &segment.take) {
                Ok(source) => Found::Readable { frames: source.reader.layout().frames, unfinished: source.unfinished },
                Err(error) => {
                    refuse(error);
                    Found::Unreadable
                }
            });
            let Found::Readable { frames, unfinished } = *take else { return false };
            let needed = segment.take_start + segment.frames;
            if needed <= frames {
                return true;
            }
            let is_new = noted.insert(segment.take.id, needed).is_none_or(|before| before < needed);
            let progress = match unfinished {
                false => TakeProgress::Finished,
                true if segment.take.may_be_recorded() && *in_use.get_or_insert_with(|| is_in_use(&folder)) => {
                    TakeProgress::BeingRecorded
                }
                true => TakeProgress::CutOff,
            };
            match sound_of(&segment.take, progress).length_check(frames, needed) {
                Err(defect) if is_new => {
                    refuse(ExportError::Take { path: folder_of(&folder).join(segment.take.path()), defect });
                }
                Ok(()) if is_new => {
                    let file = segment.take.path();
                    notes.push(format!("{file}: not finished; silence from its frame {frames} to frame {needed}"));
                }
                _ => {}
            }
            if unfinished {
                return true;
            }
            segment.frames = frames.saturating_sub(segment.take_start);
            0 < segment.frames
        });
        if planned.segments().next().is_some() {
            checked.files.push((planned, notes));
        }
    }
    match first {
        Some(error) if checked.files.is_empty() => Err(error),
        _ => Ok(checked),
    }
}

/// The folder of a session that is given as its folder or as the file in it.
pub(super) fn folder_of(session: &Path) -> &Path {
    match session.parent() {
        Some(parent) if session.is_file() && parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) if session.is_file() => parent,
        _ => session,
    }
}
