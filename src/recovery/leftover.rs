//! Spool files and progress pages that remain after the recovery of a session's passes. Files whose sound is in the
//! takes are removed; all others are listed for the user. Thread: any that may wait for the disk.

use super::evidence::{FoundProgress, FoundSpool, Rejected, files_named};
use super::recover_pass::progress_is_needed;
use super::take_wav::{TakeWav, is_in_another_copy};
use super::{StepHook, remove};
use crate::butler::spool::progress_path_of;
use crate::session::session_file::{OpenSession, is_in_use, open_read_only};
use crate::session::{Session, Take, TakeState};
use crate::time::Frames;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A spool file for the list that a user sees.
#[derive(Clone, Debug, Serialize)]
pub struct Leftover {
    pub spool: PathBuf,
    /// Bytes of memory that the file holds.
    pub bytes: u64,
    /// The WAV file that the spool belongs to, at the path of the time of recording.
    pub wav: Option<PathBuf>,
    /// The session's folder at the time of recording.
    pub session: Option<PathBuf>,
    /// The state of the file and the advice to the user, as a sentence.
    pub state: String,
}

/// Removes the spool files of a session's finished takes, if all of their sound is in the takes, and the files of a
/// pass that never had a frame. Removes nothing else. Returns the problems.
pub(super) fn sweep(store: &OpenSession, session: &Session, folders: &[PathBuf], hook: StepHook<'_>) -> Vec<String> {
    let mut troubles = Vec::new();
    let mut wanted: Vec<Uuid> = Vec::new();
    for path in folders.iter().flat_map(|folder| files_named(folder, "spool")) {
        let Ok(spool) = FoundSpool::open(&path) else { continue };
        let its = &spool.identity;
        if its.session != session.id {
            continue;
        }
        let whole = session.takes().iter().find(|take| take.uuid == its.take).is_some_and(|first| {
            let of_it = |take: &&Take| take.pass == first.pass && take.track == first.track;
            session.takes().iter().filter(of_it).all(|take| {
                let Ok(wav) = TakeWav::open(store, session, take) else { return false };
                take.state != TakeState::Recording
                    && wav.has_all_of(&spool, take.frames).unwrap_or(false)
                    && (take.id != first.id || !is_in_another_copy(&its.wav, take, wav.file_id()))
            })
        });
        // The program was killed before the session listed the take. The progress page tells whether the pass had a
        // frame.
        let is_empty_pass =
            || !session.takes().iter().any(|take| take.uuid == its.take) && never_began(&path, its.pass, session);
        if whole || is_empty_pass() {
            troubles.extend(remove(&path, hook).err());
        } else {
            // The take is still cut off, differs from its spool, or a copy of the session may need the spool: keep it.
            wanted.push(its.pass);
        }
    }
    for path in folders.iter().flat_map(|folder| files_named(folder, "progress")) {
        let Ok(progress_page) = FoundProgress::open(&path) else { continue };
        let its = &progress_page.identity;
        let is_empty_pass =
            || !session.takes().iter().any(|take| take.uuid == its.pass) && never_began(&path, its.pass, session);
        let needless = || !progress_is_needed(store, session, &progress_page) || is_empty_pass();
        if its.session == session.id && !wanted.contains(&its.pass) && needless() {
            troubles.extend(remove(&path, hook).err());
        }
    }
    troubles
}

/// Whether the progress page in the folder of `path` says that the pass has no frame. Without a readable page: no.
fn never_began(path: &Path, pass: Uuid, session: &Session) -> bool {
    let progress_page = path.parent().and_then(|folder| FoundProgress::open(&progress_path_of(folder, pass)).ok());
    progress_page
        .filter(|progress_page| progress_page.identity.session == session.id)
        .and_then(|progress_page| progress_page.read().ok())
        .is_some_and(|progress| progress.began.is_none() && progress.frames == Frames(0))
}

/// Lists every spool file in the folders, those of a running recording included.
pub fn list(folders: &[PathBuf]) -> Vec<Leftover> {
    folders.iter().flat_map(|folder| files_named(folder, "spool")).map(|path| describe(&path)).collect()
}

fn describe(path: &Path) -> Leftover {
    match FoundSpool::open(path) {
        Ok(spool) => {
            let wav = spool.identity.wav.clone();
            let session = wav.parent().and_then(Path::parent).map(Path::to_owned);
            let state =
                session.as_ref().map_or_else(|| "its session is not known".to_owned(), |folder| advice(folder, &spool));
            Leftover { spool: path.to_owned(), bytes: spool.memory_bytes(), wav: Some(wav), session, state }
        }
        Err(rejected) => {
            let found = std::fs::symlink_metadata(path).ok().filter(|_| rejected != Rejected::Missing);
            let bytes = found.map_or(0, |found| found.blocks() * 512);
            Leftover { spool: path.to_owned(), bytes, wav: None, session: None, state: rejected.to_string() }
        }
    }
}

/// The advice for a spool whose session was in `folder`.
fn advice(folder: &Path, spool: &FoundSpool) -> String {
    let its = &spool.identity;
    match open_read_only(folder) {
        Ok(session) if session.id == its.session => {
            let state = session.takes().iter().find(|take| take.uuid == its.take).map(|take| take.state);
            match state {
                _ if is_in_use(folder) => "its session is open in another program".to_owned(),
                Some(TakeState::Recording) => format!("to be recovered: faultless recover {}", folder.display()),
                Some(_) => "its take is finished and differs from it; kept for you to judge".to_owned(),
                None => "its session does not list its take; kept for you to judge".to_owned(),
            }
        }
        _ => format!("its session is not at {} any more; if it was moved: faultless recover FOLDER", folder.display()),
    }
}
