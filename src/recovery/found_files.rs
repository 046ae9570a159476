//! Finds the files of takes that have another name than the session lists, by the identity that each file carries. Thread:
//! any that may wait for the disk.
//!
//! A file has another name if a program was killed after it had given the file the present name of its track and before it
//! saved the session; if the user restored an older session.json, which lists the name before; or if the user renamed the
//! file. A file of the listed name that carries another identity is not the take's.
//!
//! A copy of the session lists files of the session by the path that the session had then. If that folder is gone, because
//! the session was moved, or because its disk is dead and the mirror is opened in its place, the files are in the session's
//! own folder.

use super::take_wav::{identity_of, is_whole, may_be_file_of, may_be_take};
use crate::file_system::is_name_for_other;
use crate::session::names::AUDIO;
use crate::session::session_file::{SessionError, TakeFiles, TakeFolder};
use crate::session::{Session, Take, TakeId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Takes that are named one by one. Further takes are only counted.
const NAMED_MAX: usize = 16;

/// The result of a search for files that have another name.
#[derive(Debug, Default)]
pub struct FoundFiles {
    /// A sentence for each take that is listed under another name now; of many takes the first ones and the number of the
    /// others. Empty: nothing was found.
    pub found: Vec<String>,
    /// Files of which the search cannot decide, path first.
    pub troubles: Vec<String>,
}

/// Lists the takes whose files have other names under the names that the files have now. `path` is the session's own folder
/// or its `session.json`. Changes the session in memory only. Takes in a folder that is not connected are looked for in the
/// session's own folder, where a whole file with their identity is theirs.
pub fn find_files(path: &Path, session: &mut Session) -> FoundFiles {
    let mut result = FoundFiles::default();
    let mut by_folder: BTreeMap<Option<String>, Vec<TakeId>> = BTreeMap::new();
    for take in session.takes() {
        by_folder.entry(take.folder.clone()).or_default().push(take.id);
    }
    for ids in by_folder.into_values() {
        let takes: Vec<Take> = ids.iter().filter_map(|id| session.take(*id)).cloned().collect();
        let opened = takes.first().map(|take| TakeFiles::of_take(path, session, take));
        let is_away = matches!(opened, Some(Err(_)));
        let own = || TakeFiles::of_session(path);
        let Some(Ok(files)) = (if is_away { Some(own()) } else { opened }) else { continue };
        // A folder that cannot be read has nothing that can be found.
        let names = if is_away {
            search_for_absent(&files, session, &takes)
        } else {
            search(&files, &takes, &mut result.troubles)
        };
        for (id, name) in names.unwrap_or_default() {
            let before = session.take(id).map_or_else(String::new, Take::path);
            let listed =
                if is_away { session.set_take_in_own_folder(id, &name) } else { session.set_take_file_name(id, &name) };
            if listed.is_ok() {
                let now = session.take(id).map_or_else(String::new, Take::path);
                result.found.push(format!("take '{before}' was found as '{now}'"));
            }
        }
    }
    if NAMED_MAX < result.found.len() {
        let more = result.found.len() - NAMED_MAX;
        result.found.truncate(NAMED_MAX);
        result.found.push(format!("takes of which the files have other names, beside these: {more}"));
    }
    result
}

/// The names in the session's own folder of the files of `takes`, whose folder is not there. Reads only files that no take
/// in the session's own folder names.
fn search_for_absent(
    files: &TakeFiles,
    session: &Session,
    takes: &[Take],
) -> Result<Vec<(TakeId, String)>, SessionError> {
    let own: HashSet<&str> = session.takes().iter().filter(|it| it.folder.is_none()).map(Take::file_name).collect();
    let wanted: HashMap<Uuid, &Take> = takes.iter().map(|take| (take.uuid, take)).collect();
    let mut whole: BTreeMap<TakeId, Vec<String>> = BTreeMap::new();
    for (place, name) in files.names()?.into_iter().filter(|(_, name)| !own.contains(name.as_str())) {
        let Some(file) = files.open(place, &name).ok().flatten() else { continue };
        let take = identity_of(&file).and_then(|identity| wanted.get(&identity));
        if let Some(take) = take.filter(|take| is_whole(&file, take)) {
            whole.entry(take.id).or_default().push(name);
        }
    }
    // Of several files with the identity none is known to be the take's.
    let only = |(id, names): (TakeId, Vec<String>)| <[String; 1]>::try_from(names).ok().map(|[name]| (id, name));
    Ok(whole.into_iter().filter_map(only).collect())
}

/// The names of the files of `takes` in their folder, as far as they differ from the listed ones.
fn search(
    files: &TakeFiles,
    takes: &[Take],
    troubles: &mut Vec<String>,
) -> Result<Vec<(TakeId, String)>, SessionError> {
    let names = files.names()?;
    let listed: HashSet<&str> = takes.iter().map(Take::file_name).collect();
    // Only files that no take names are read: in almost every session there are none.
    let mut strays: HashMap<Uuid, Vec<&(TakeFolder, String)>> = HashMap::new();
    for stray in names.iter().filter(|(_, name)| !listed.contains(name.as_str())) {
        let file = files.open(stray.0, &stray.1).ok().flatten();
        if let Some(identity) = file.as_ref().and_then(identity_of) {
            strays.entry(identity).or_default().push(stray);
        }
    }
    let mut found = Vec::new();
    for take in takes {
        let Some(strays) = strays.get(&take.uuid) else { continue };
        if has_own_file(files, take) {
            continue;
        }
        let opened = |place: TakeFolder, name: &str| files.open(place, name).ok().flatten();
        let is_whole =
            |(place, name): &&&(TakeFolder, String)| opened(*place, name).is_some_and(|it| is_whole(&it, take));
        let mut whole: Vec<_> = strays.iter().filter(is_whole).collect();
        if whole.iter().any(|(_, name)| !is_name_for_other(name)) {
            // Another program had put a copy into the place of the take, and it got this name.
            whole.retain(|(_, name)| !is_name_for_other(name));
        }
        match whole[..] {
            [(_, name)] => found.push((take.id, name.clone())),
            [] => {}
            [..] => {
                let path = files.path(TakeFolder::Audio, take.file_name());
                let names: Vec<&str> = whole.iter().map(|(_, name)| name.as_str()).collect();
                troubles.push(format!(
                    "{}: not there, and several files have the sound of this take: {}; give one of them this name",
                    path.display(),
                    names.join(", ")
                ));
            }
        }
    }
    Ok(found)
}

/// Whether a file of the take's name exists that may be the take's. A file that cannot be opened may be it.
fn has_own_file(files: &TakeFiles, take: &Take) -> bool {
    [TakeFolder::Audio, TakeFolder::Trash].into_iter().any(|place| match files.open(place, take.file_name()) {
        Ok(Some(file)) => may_be_take(&file, take),
        Ok(None) => false,
        Err(_) => true,
    })
}

/// The file with the identity of `take` in the folder of the file `path`, which is not there: it has another name now.
pub(super) fn find_replica(path: &Path, take: &Take) -> Option<PathBuf> {
    let audio = path.parent().filter(|folder| folder.ends_with(AUDIO))?;
    let files = TakeFiles::of_session(audio.parent()?).ok()?;
    let mut names = files.names().ok()?;
    names.retain(|(place, _)| *place == TakeFolder::Audio);
    // The most likely one first: the mirror has the names of the session.
    names.sort_by_key(|(_, name)| name != take.file_name());
    let found = names.into_iter().find(|(place, name)| is_file_of(&files, *place, name, take.uuid))?;
    Some(audio.join(found.1))
}

/// Whether there is a file at `path` that may be the one of `take`, or one with its identity beside it.
pub(super) fn may_have_file(path: &Path, take: &Take) -> bool {
    may_be_file_of(path, take) || find_replica(path, take).is_some()
}

/// Whether a file carries the identity `take`.
pub fn is_file_of(files: &TakeFiles, place: TakeFolder, name: &str, take: Uuid) -> bool {
    let file: Option<File> = files.open(place, name).ok().flatten();
    file.as_ref().and_then(identity_of) == Some(take)
}
