//! The copies of takes that a killed program was putting back under their names (`butler::put_back`). Thread: any that may wait
//! for the disk.
//!
//! Another program had replaced the file of a growing take. The kernel freed that file when the recorder was killed, so its copy
//! `.NAME.wav.part` is the only file with the sound. The copy may end anywhere, so its header's claim proves nothing.

use super::evidence::{FoundSpool, Rejected, SpoolFolder};
use super::ranges::{holes, read_as_far_as_possible};
use super::take_wav::{PIECE_BYTES, TakeWav, identity_of, may_be_take};
use super::{Step, StepHook, messages};
use crate::butler::spool::path_of;
use crate::file_system::{name_for_other, name_of_part};
use crate::limits::DATA_OFFSET;
use crate::session::session_file::{TakeFiles, TakeFolder};
use crate::session::{Session, Take, TakeState};
use crate::time::Frames;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

/// Names that are tried for the file that has the name of the take.
const NAME_COUNT_MAX: u32 = 1000;

/// The result of a look at a copy.
pub(super) enum Part {
    /// It has the name of the take now. The sentence says so.
    Taken(String),
    /// It stays as it is. The sentence names it.
    Left(String),
}

/// Gives the copies of takes that were cut off the names of these takes, if they have more sound than the files that are there.
/// `path`: the session's own folder. `is_in_use`: the take may be one that is being recorded now.
pub(super) fn take_over_all(
    path: &Path,
    session: &Session,
    is_in_use: &dyn Fn(&Take) -> bool,
    hook: StepHook<'_>,
) -> Vec<Part> {
    let mut by_folder: BTreeMap<Option<&str>, Vec<&Take>> = BTreeMap::new();
    for take in session.takes().iter().filter(|take| take.state == TakeState::Recording) {
        by_folder.entry(take.folder.as_deref()).or_default().push(take);
    }
    let mut parts = Vec::new();
    for takes in by_folder.into_values() {
        // The recovery of a take reports a folder that cannot be opened.
        let Some(Ok(files)) = takes.first().map(|take| TakeFiles::of_take(path, session, take)) else { continue };
        parts.extend(takes.iter().filter_map(|take| take_over(&files, session, take, is_in_use, hook)));
    }
    parts
}

/// Gives the copy of one take the name of the take, if the copy has more sound. The take's file is in `files`. `None`: there is
/// no copy of it that may be used.
pub(super) fn take_over(
    files: &TakeFiles,
    session: &Session,
    take: &Take,
    is_in_use: &dyn Fn(&Take) -> bool,
    hook: StepHook<'_>,
) -> Option<Part> {
    let part = name_of_part(OsStr::new(take.file_name())).into_string().ok()?;
    let file = files.open(TakeFolder::Audio, &part).ok().flatten()?;
    // A copy without a header has no sound either: the header is copied first.
    if identity_of(&file) != Some(take.uuid) || is_in_use(take) {
        return None;
    }
    let path = files.path(TakeFolder::Audio, &part);
    let has_more = sound_end(&file).map_err(|error| messages::at(&path, &error));
    let has_more = has_more.and_then(|end| Ok(end_of_others(files, take)?.is_none_or(|others| others < end)));
    let taken = has_more
        .and_then(|has_more| if has_more { give_name(files, session, take, &part, hook).map(Some) } else { Ok(None) });
    Some(match taken {
        Ok(Some(aside)) => Part::Taken(messages::part_taken(&path, take, aside.as_deref())),
        Ok(None) => Part::Left(messages::part_left(&path, take)),
        Err(reason) => Part::Left(messages::part_not_taken(&path, take, &reason)),
    })
}

/// Whether a program that runs holds the memory of a take. It may be putting the copy back now: this session is then a copy of
/// the one that is recorded.
pub(super) fn is_in_use(session: &Session, take: &Take, folders: &[SpoolFolder]) -> bool {
    let of_track = |first: &&Take| first.pass == take.pass && first.track == take.track && first.offset == Frames(0);
    let first = session.takes().iter().find(of_track).unwrap_or(take);
    let open = |folder: &SpoolFolder| FoundSpool::open_of(&path_of(&folder.path, first.uuid), folder.owner);
    folders.iter().any(|folder| matches!(open(folder), Err(Rejected::InUse)))
}

/// The largest end of sound of the files that may be this take's, without the copy. `None`: there is no such file, and the copy
/// is the take's even if it has only silence so far.
fn end_of_others(files: &TakeFiles, take: &Take) -> Result<Option<u64>, String> {
    let mut most = None;
    for (place, name) in files.names().map_err(|error| error.to_string())? {
        let is_named = name == take.file_name();
        let opened = files.open(place, &name);
        // A file that cannot be opened may be the take's only if it has the take's name.
        let opened = if is_named { opened.map_err(|error| error.to_string())? } else { opened.ok().flatten() };
        let Some(file) = opened else { continue };
        if identity_of(&file) == Some(take.uuid) || (is_named && may_be_take(&file, take)) {
            let end = sound_end(&file).map_err(|error| messages::at(&files.path(place, &name), &error))?;
            most = most.max(Some(end));
        }
    }
    Ok(most)
}

/// The byte after the last one of a file's sound that is not zero.
pub(super) fn sound_end(file: &File) -> io::Result<u64> {
    let mut until = file.metadata()?.len();
    let mut holes = holes(file, DATA_OFFSET, until)?;
    let mut piece = vec![0; PIECE_BYTES];
    while DATA_OFFSET < until {
        let start = holes.pop_if(|(_, end)| until <= *end).map(|(start, _)| start);
        if let Some(start) = start {
            until = start;
            continue;
        }
        let first = holes.last().map_or(DATA_OFFSET, |(_, end)| *end);
        let from = until.saturating_sub(PIECE_BYTES as u64).max(first);
        let bytes = &mut piece[..(until - from) as usize];
        read_as_far_as_possible(file, bytes, from);
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            return Ok(from + last as u64 + 1);
        }
        until = from;
    }
    Ok(0)
}

/// Marks the copy as changed and gives it the name of the take. A file that has the name gets another one, which is the result.
fn give_name(
    files: &TakeFiles,
    session: &Session,
    take: &Take,
    part: &str,
    hook: StepHook<'_>,
) -> Result<Option<String>, String> {
    let path = files.path(TakeFolder::Audio, part);
    let failed = |error: io::Error| messages::at(&path, &error);
    let opened = files.open_to_write(part).map_err(|error| error.to_string())?;
    let file = opened.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let mut wav = TakeWav::of(file, &path, session, take, take.offset).map_err(|unusable| unusable.reason)?;
    hook(Step::Header).and_then(|()| wav.mark_changed()).map_err(failed)?;
    let rename = |from: &str, to: &str| files.rename_to_free_name(from, to).map_err(|error| error.to_string());
    let mut aside = None;
    if !rename(part, take.file_name())? {
        let stem = Path::new(take.file_name()).file_stem().unwrap_or_default();
        let free = (1..=NAME_COUNT_MAX).filter_map(|number| name_for_other(stem, number).into_string().ok());
        for name in free {
            if rename(take.file_name(), &name)? {
                aside = Some(name);
                break;
            }
        }
        if !rename(part, take.file_name())? {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
    }
    hook(Step::Durable).map_err(failed)?;
    files.sync().map_err(|error| error.to_string())?;
    Ok(aside)
}
