//! Spool files and progress pages that remain after the recovery of a session's passes. Files whose sound is in the
//! takes are removed; all others are listed for the user. Thread: any that may wait for the disk.

use super::another_copy::{OtherFile, other_file};
use super::evidence::{FoundProgress, FoundSpool, Rejected, SpoolFolder, files_named};
use super::recover_pass::progress_is_needed;
use super::take_wav::TakeWav;
use super::{StepHook, messages, next_file, remove};
use crate::butler::spool::{path_of, progress_path_of};
use crate::host::disk;
use crate::session::session_file::{OpenSession, is_in_use, open_read_only};
use crate::session::{Session, Take, TakeState};
use crate::shell_word::for_shell;
use crate::time::Frames;
use crate::window::progress_page::Progress;
use serde::Serialize;
use std::fmt;
use std::io;
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

/// Removes the spool files of a session's finished takes, if all of their sound is in the takes and no other file of a take may
/// need it, and the files of a pass that never had a frame. Removes nothing else. Returns the problems.
pub(super) fn sweep(
    store: &OpenSession,
    session: &Session,
    folders: &[SpoolFolder],
    hook: StepHook<'_>,
) -> Vec<String> {
    let mut troubles = Vec::new();
    let mut wanted: Vec<Uuid> = Vec::new();
    let in_folders =
        |ending| folders.iter().flat_map(move |it| files_named(it, ending).into_iter().map(move |path| (path, it)));
    for (path, folder) in in_folders("spool") {
        let Ok(spool) = FoundSpool::open_of(&path, folder.owner) else { continue };
        let its = &spool.identity;
        if its.session != session.id {
            continue;
        }
        let progress = progress_of(folder, its.pass, session.id);
        let recorded = progress.as_ref().map(|progress| progress.frames);
        let is_in_takes = is_in_takes(store, session, &spool, recorded);
        let other = if is_in_takes { other_file_of(store, session, &spool) } else { OtherFile::None };
        // Said at each start: memory ends with the machine, and another file may need it.
        troubles.extend((other == OtherFile::Away).then(|| messages::kept_for_absent(&spool)));
        let whole = is_in_takes && other == OtherFile::None;
        // The program was killed before the session listed the take. The progress page tells whether the pass had a
        // frame.
        let is_listed = session.takes().iter().any(|take| take.uuid == its.take);
        let is_empty_pass = !is_listed && progress.as_ref().is_some_and(never_began);
        if whole || is_empty_pass {
            troubles.extend(remove(&path, hook).err());
        } else {
            // The take is still cut off, differs from its spool, or a copy of the session may need the spool: keep it.
            wanted.push(its.pass);
            if !is_in_takes {
                troubles.extend(reason_to_keep(store, session, &spool, recorded));
            }
        }
    }
    for (path, folder) in in_folders("progress") {
        let Ok(progress_page) = FoundProgress::open_of(&path, folder.owner) else { continue };
        let its = &progress_page.identity;
        let is_listed = session.takes().iter().any(|take| take.uuid == its.pass);
        let is_empty_pass =
            || !is_listed && progress_of(folder, its.pass, session.id).as_ref().is_some_and(never_began);
        let needless = || !progress_is_needed(store, session, &progress_page) || is_empty_pass();
        let is_kept = || wanted.contains(&its.pass) || has_spool(session, &progress_page);
        if its.session == session.id && !is_kept() && needless() {
            troubles.extend(remove(&path, hook).err());
        }
    }
    troubles
}

/// Why a spool stays although no later recovery of the session takes its sound. `None`: one will, or the spool has no sound, or
/// the session at the place of the recording is responsible. Said at each start, because memory ends with the machine.
fn reason_to_keep(
    store: &OpenSession,
    session: &Session,
    spool: &FoundSpool,
    recorded: Option<Frames>,
) -> Option<String> {
    let Some(takes) = takes_of(session, spool) else {
        let has_sound = sound_beyond(spool, Frames(0), recorded).is_ok_and(|sound| sound > Frames(0));
        let is_ours = || was_recorded_in(store.path(), spool) || is_orphan(spool);
        return (has_sound && is_ours()).then(|| messages::has_sound_of_unlisted(spool));
    };
    if takes.iter().any(|take| take.state == TakeState::Recording) {
        return None;
    }
    if let Some(Err(unusable)) = takes.iter().map(|take| TakeWav::open(store, session, take)).find(Result::is_err) {
        return Some(messages::not_compared(spool, &unusable.reason));
    }
    Some(messages::damaged_slots(spool).unwrap_or_else(|| messages::has_more(spool)))
}

/// Whether the take of a spool was recorded in this session folder.
fn was_recorded_in(folder: &Path, spool: &FoundSpool) -> bool {
    let Some(recorded_in) = spool.identity.wav.parent().and_then(Path::parent) else { return false };
    let identity = |path: &Path| disk::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    identity(folder).is_some_and(|here| identity(recorded_in) == Some(here))
}

/// Whether the finished takes of the session have all sound of a spool. `recorded`: the frames of the pass according to
/// its progress page, if there is one.
///
/// This comparison comes before every removal of a spool whose take the session lists.
pub(super) fn is_in_takes(
    store: &OpenSession,
    session: &Session,
    spool: &FoundSpool,
    recorded: Option<Frames>,
) -> bool {
    let Some(takes) = takes_of(session, spool) else { return false };
    if next_file::unlisted(session, spool).is_some() || spool.damaged_slots() > 0 {
        return false;
    }
    let end = takes.iter().map(|take| take.offset + take.frames).max().unwrap_or_default();
    takes.iter().all(|take| {
        take.state != TakeState::Recording
            && TakeWav::open(store, session, take).is_ok_and(|wav| wav.has_all_of(spool, take.frames).unwrap_or(false))
    }) && sound_beyond(spool, end, recorded).is_ok_and(|more| more == Frames(0))
}

/// The takes of the spool: its take, and the continuations in other files. `None`: the session does not list the take.
fn takes_of<'a>(session: &'a Session, spool: &FoundSpool) -> Option<Vec<&'a Take>> {
    let first = session.takes().iter().find(|take| take.uuid == spool.identity.take)?;
    let of_it = |take: &&Take| take.pass == first.pass && take.track == first.track;
    Some(session.takes().iter().filter(of_it).collect())
}

/// Frames from frame `end` of the pass up to the last sound in the spool. The last period may be in the spool only in
/// part, because a kill interrupted it: frames beyond the progress page's count are in no take and are not counted.
fn sound_beyond(spool: &FoundSpool, end: Frames, recorded: Option<Frames>) -> io::Result<Frames> {
    let last = spool.last_sound()?.min(recorded.map_or(u64::MAX, |recorded| recorded.0));
    Ok(Frames(last.saturating_sub(end.0)))
}

/// Another file of the spool's take than that of the session.
fn other_file_of(store: &OpenSession, session: &Session, spool: &FoundSpool) -> OtherFile {
    let take = session.takes().iter().find(|take| take.uuid == spool.identity.take);
    let Some(take) = take else { return OtherFile::None };
    other_file(spool, take, TakeWav::open(store, session, take).ok().as_ref())
}

/// Whether a spool file of the page's pass lies beside the page, accepted or not.
pub(super) fn has_spool(session: &Session, progress_page: &FoundProgress) -> bool {
    let Some(folder) = progress_page.path.parent() else { return false };
    let Some(first) = session.takes().iter().find(|take| take.uuid == progress_page.identity.pass) else {
        return false;
    };
    let mut takes = session.takes().iter().filter(|take| take.pass == first.pass);
    takes.any(|take| disk::link_metadata(&path_of(folder, take.uuid)).is_ok())
}

/// The content of the pass's progress page in a folder, if it can be read and is the session's.
pub(super) fn progress_of(folder: &SpoolFolder, pass: Uuid, session: Uuid) -> Option<Progress> {
    let page = FoundProgress::open_of(&progress_path_of(&folder.path, pass), folder.owner).ok()?;
    if page.identity.session == session { page.read().ok() } else { None }
}

/// Whether the pass has no frame.
fn never_began(progress: &Progress) -> bool {
    progress.began.is_none() && progress.frames == Frames(0)
}

/// Lists every spool file in the folders, those of a running recording included.
pub fn list(folders: &[PathBuf]) -> Vec<Leftover> {
    let own = |folder: &PathBuf| files_named(&SpoolFolder::own(folder), "spool");
    folders.iter().flat_map(own).map(|path| describe(&path)).collect()
}

fn describe(path: &Path) -> Leftover {
    match FoundSpool::open(path) {
        Ok(spool) => {
            let wav = spool.identity.wav.clone();
            let session = wav.parent().and_then(Path::parent).map(Path::to_owned);
            let (bytes, state) = (spool.memory_bytes(), Fate::of(&spool).to_string());
            Leftover { spool: path.to_owned(), bytes, wav: Some(wav), session, state }
        }
        Err(rejected) => {
            let found = disk::link_metadata(path).ok().filter(|_| rejected != Rejected::Missing);
            let bytes = found.map_or(0, |found| found.blocks() * 512);
            Leftover { spool: path.to_owned(), bytes, wav: None, session: None, state: rejected.to_string() }
        }
    }
}

/// The state of a spool, as its session at the place of the time of recording shows it.
enum Fate {
    /// The session is open in another program.
    InUse,
    /// A recovery of the session in this folder brings the sound into the take.
    ToRecover(PathBuf),
    /// The take is finished, without this many seconds of the spool's sound at its end.
    Finished { missing: f64 },
    /// The session does not list the take.
    NotListed,
    /// The session is not in this folder any more.
    NoSession(PathBuf),
    /// The path of the take has no folder for a session.
    Nameless,
}

impl Fate {
    fn of(spool: &FoundSpool) -> Fate {
        let its = &spool.identity;
        let Some(folder) = its.wav.parent().and_then(Path::parent) else { return Fate::Nameless };
        let session = match open_read_only(folder) {
            Ok(session) if session.id == its.session => session,
            _ => return Fate::NoSession(folder.to_owned()),
        };
        match takes_of(&session, spool) {
            _ if is_in_use(folder) => Fate::InUse,
            None => Fate::NotListed,
            Some(takes) if takes.iter().any(|take| take.state == TakeState::Recording) => {
                Fate::ToRecover(folder.to_owned())
            }
            Some(takes) => {
                let end = takes.iter().map(|take| take.offset + take.frames).max().unwrap_or_default();
                let folder = spool.path.parent().map(SpoolFolder::own);
                let recorded = folder.and_then(|folder| progress_of(&folder, its.pass, its.session));
                let more = sound_beyond(spool, end, recorded.map(|progress| progress.frames)).unwrap_or_default();
                Fate::Finished { missing: more.seconds(session.rate()) }
            }
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXTRACT: &str = "to take the sound out: faultless recover --extract FOLDER";
        match self {
            Fate::InUse => f.write_str("its session is open in another program"),
            Fate::ToRecover(folder) => write!(f, "to be recovered: faultless recover {}", for_shell(folder)),
            Fate::Finished { missing: 0.0 } => write!(f, "its take is finished and differs from it; {EXTRACT}"),
            Fate::Finished { missing } => {
                write!(f, "its take is finished without the last {missing:.2} s that this file has; {EXTRACT}")
            }
            Fate::NotListed => write!(f, "its session does not list its take; {EXTRACT}"),
            Fate::NoSession(folder) => {
                let folder = folder.display();
                write!(
                    f,
                    "its session is not at {folder} any more; if it was moved: faultless recover FOLDER; {EXTRACT}"
                )
            }
            Fate::Nameless => write!(f, "its session is not known; {EXTRACT}"),
        }
    }
}

/// Whether no recovery at the place of the recording will bring the spool's sound into a take.
pub(super) fn is_orphan(spool: &FoundSpool) -> bool {
    !matches!(Fate::of(spool), Fate::InUse | Fate::ToRecover(_))
}
