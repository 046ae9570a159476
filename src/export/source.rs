//! The takes of an export, opened and held against what the session says of them. Thread: workers.

use super::error::ExportError;
use super::plan::{Job, Span};
use crate::format::TakeFormat;
use crate::session::session_file::open_take;
use crate::session::{Take, TakeId, TakeState};
use crate::wav::read::Reader;
use std::collections::HashMap;
use std::path::Path;

/// An open take. Holding this tells you: its rate, channels and format are those of the session.
pub(super) struct Source {
    id: TakeId,
    reader: Reader,
    /// How it stores its samples.
    pub(super) format: TakeFormat,
    /// Its channels, 1 or 2.
    pub(super) channels: usize,
    /// It may end early: nobody has said yet how long it is.
    unfinished: bool,
}

impl Source {
    pub(super) fn open(folder: &Path, take: &Take) -> Result<Source, ExportError> {
        // Tells what is missing, and refuses what leads out of the session.
        drop(open_take(folder, take)?);
        let reader = Reader::open(&folder_of(folder).join(take.path()))?;
        let layout = reader.layout();
        let format = layout.encoding.take_format();
        let found = (u32::from(layout.channels), layout.rate, format);
        if found != (take.channels, take.rate.0, Some(take.format)) {
            let stored = format.map_or("32-bit integers".into(), |format| format.to_string());
            let reason = format!(
                "the file holds {} channels, {} Hz, {stored}, and the take {} channels, {}, {}",
                layout.channels, layout.rate, take.channels, take.rate, take.format
            );
            return Err(ExportError::Foreign { path: reader.path().to_owned(), reason });
        }
        let unfinished = take.state == TakeState::Recording;
        Ok(Source { id: take.id, reader, format: take.format, channels: take.channels as usize, unfinished })
    }

    /// Bytes of one frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.channels * self.format.bytes()
    }

    /// Reads whole frames from frame `at` on. Returns how many: all that `bytes` holds, except at the end
    /// of a take that is still being recorded.
    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) -> Result<usize, ExportError> {
        let wanted = bytes.len() / self.frame_bytes();
        let frames = self.reader.read_bytes(at, bytes)? / self.frame_bytes();
        if frames < wanted {
            self.reach_check(at + wanted as u64)?;
        }
        Ok(frames)
    }

    fn reach_check(&self, needed: u64) -> Result<(), ExportError> {
        let frames = self.reader.layout().frames;
        if self.unfinished || needed <= frames {
            return Ok(());
        }
        Err(ExportError::Short { path: self.reader.path().to_owned(), frames, needed })
    }
}

/// The open take of one track: the one that was played last.
#[derive(Default)]
pub(super) struct Deck(Option<Source>);

impl Deck {
    /// The take of `span`, opened unless it is.
    pub(super) fn load(&mut self, folder: &Path, span: &Span) -> Result<&Source, ExportError> {
        let source = match self.0.take().filter(|source| source.id == span.take.id) {
            Some(source) => source,
            None => Source::open(folder, &span.take)?,
        };
        Ok(self.0.insert(source))
    }
}

/// Opens every take once and compares its length with what is played of it, so that what is wrong is told
/// before anything is written. Returns notes about takes that are not finished, by file.
pub(super) fn check(jobs: &[Job]) -> Result<Vec<Vec<String>>, ExportError> {
    let mut reach: HashMap<TakeId, u64> = HashMap::new();
    jobs.iter()
        .map(|job| {
            let mut notes = Vec::new();
            for span in job.spans() {
                let needed = span.take_frame + span.frames;
                if reach.get(&span.take.id).is_some_and(|&checked| needed <= checked) {
                    continue;
                }
                let source = Source::open(&job.folder, &span.take)?;
                source.reach_check(needed)?;
                let frames = source.reader.layout().frames;
                if frames < needed {
                    let file = span.take.path();
                    notes.push(format!("{file}: not finished; silence from its frame {frames} to frame {needed}"));
                }
                reach.insert(span.take.id, needed);
            }
            Ok(notes)
        })
        .collect()
}

/// A session may be named by the file in its folder.
pub(super) fn folder_of(session: &Path) -> &Path {
    match session.parent() {
        Some(parent) if session.is_file() && parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) if session.is_file() => parent,
        _ => session,
    }
}
