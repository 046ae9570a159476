//! The rule of the mirror: one that the report of a pass called whole has the same sound as the session. Thread: the one of
//! the run.

use crate::oracle::takes_by_track;
use faultless::session::session_file::open_take;
use faultless::session::{Session, Take};
use faultless::wav::read::Reader;
use std::fs;
use std::path::{Path, PathBuf};

/// A mirror that was called whole has the same sound as the session in its folder. `may_lack`: the session may lack some of it.
pub(crate) fn check_mirror(
    pass: u32,
    mirror: &Path,
    (session, folder): (&Session, &Path),
    may_lack: bool,
    offences: &mut Vec<String>,
) {
    let takes = takes_by_track(session);
    for ((_, track), parts) in takes.iter().filter(|((number, _), _)| *number == pass) {
        let Some(first) = parts.first() else { continue };
        let mut sound = Vec::new();
        for take in parts {
            let Ok(file) = open_take(folder, take) else { continue };
            let Ok(reader) = Reader::from_file(file, folder) else { continue };
            let mut bytes = vec![0; reader.layout().frame_bytes() * take.frames.0 as usize];
            reader.read_bytes(0, &mut bytes).ok();
            sound.extend(bytes);
        }
        let name = Path::new(&first.file).file_name().unwrap_or_default();
        // Another program may have made a file of that name where the take is not.
        let places = if first.trashed { ["trash", "audio"] } else { ["audio", "trash"] };
        let places = places.map(|place| mirror.join(place).join(name));
        let with_name = places.iter().find(|path| path.exists() && is_file_of(path, first));
        // A kill came between the renames of two disks. The mirror, opened as a session, finds the file like this.
        // A copy of another program that the program has moved aside is not the take's.
        let is_aside = |path: &PathBuf| path.to_string_lossy().contains(" (of another program ");
        let found = || ["audio", "trash"].iter().flat_map(|place| wav_files(&mirror.join(place)));
        let found = || found().find(|path| is_file_of(path, first) && !is_aside(path));
        let Some(path) = with_name.cloned().or_else(found) else {
            offences.push(format!("mirror: pass {pass}, track {track}: {} is missing", first.file));
            continue;
        };
        let reader = match Reader::open(&path) {
            Ok(reader) => reader,
            Err(error) => {
                offences.push(format!("mirror: {error}"));
                continue;
            }
        };
        let mut bytes = vec![0; reader.layout().frame_bytes() * reader.layout().frames as usize];
        reader.read_bytes(0, &mut bytes).ok();
        let is_part = || {
            sound.len() <= bytes.len()
                && sound.iter().zip(&bytes).all(|(session, mirror)| session == mirror || *session == 0)
        };
        if bytes != sound && !(may_lack && is_part()) {
            let frame_bytes = reader.layout().frame_bytes();
            let at = bytes.iter().zip(&sound).position(|(a, b)| a != b).unwrap_or(bytes.len().min(sound.len()));
            offences.push(format!(
                "mirror: pass {pass}, track {track}: it was called whole and differs from frame {} on ({} frames, the \
                 session has {})",
                at / frame_bytes,
                bytes.len() / frame_bytes,
                sound.len() / frame_bytes
            ));
        }
    }
}

/// Whether a file carries the identity of a take.
pub(crate) fn is_file_of(path: &Path, take: &Take) -> bool {
    let reference = take.uuid.simple().to_string();
    let layout = Reader::open(path).map(|reader| reader.layout().clone());
    layout.is_ok_and(|layout| layout.bext.is_some_and(|bext| bext.originator_reference == reference))
}

pub(crate) fn wav_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "wav")).collect();
    files.sort();
    files
}
