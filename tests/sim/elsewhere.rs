//! A recovery by somebody who cannot see the memory of the session: another user. Thread: the one of the run.

use crate::told::{Told, ended_takes};
use crate::user::Places;
use faultless::control::Severity;
use faultless::host;
use faultless::recovery::evidence::FoundSpool;
use faultless::recovery::recover_from;
use faultless::recovery::viewpoint::Viewpoint;
use faultless::session::session_file::{OpenSession, open_read_only};
use faultless::session::{Session, TakeState};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Frames of sound beyond its takes from which on a spool counts as needed. The last period may be in it only in part.
const FRAMES_MORE: u64 = 1024;

/// A spool with sound that no file has.
pub(crate) struct KeptSpool {
    path: PathBuf,
    take: Uuid,
    /// The frame of the pass after its last sound.
    last: u64,
}

/// Recovers the session as another user. Returns the passes that were cut off in this boot and have ended now, without those
/// that a copy of the session lists as ended.
pub(crate) fn recover(places: &Places, without_memory: bool, told: &mut Told) -> BTreeSet<u32> {
    let Ok((mut store, mut session)) = OpenSession::open(&places.session) else { return BTreeSet::new() };
    let uid = nix::unistd::getuid().as_raw() + 1000;
    let view = Viewpoint { uid, without_memory, ..Viewpoint::here(&[]) };
    let boot = host::boot().unwrap_or_default();
    let copies = [&places.mirror, &places.overflow].map(|folder| open_read_only(&folder.join("song")));
    let has_ended_in_copy = |pass: &u32| {
        let takes = copies.iter().flatten().flat_map(Session::takes);
        takes.filter(|take| take.pass == *pass).any(|take| take.state != TakeState::Recording)
    };
    let before = cut_off(&session, &boot);
    let ended = ended_takes(&places.session);
    let report = recover_from(&mut store, &mut session, &view, &mut |_| Ok(()));
    told.opened(&ended, &session);
    for pass in report.passes {
        let severity = if pass.is_short() { Severity::Loss } else { Severity::Info };
        told.notice(severity, &pass.to_string(), None);
    }
    told.looked();
    let left = cut_off(&session, &boot);
    before.difference(&left).copied().filter(|pass| !has_ended_in_copy(pass)).collect()
}

/// The passes whose memory of this boot may exist.
fn cut_off(session: &Session, boot: &str) -> BTreeSet<u32> {
    let takes = session.takes().iter().filter(|take| take.state == TakeState::Recording);
    let of_boot = takes.filter(|take| take.spool.as_ref().is_some_and(|record| record.boot == boot));
    of_boot.map(|take| take.pass).collect()
}

/// The spools with more sound than their takes have.
pub(crate) fn spools_with_more(places: &Places) -> Vec<KeptSpool> {
    let Ok(session) = open_read_only(&places.session) else { return Vec::new() };
    let entries = fs::read_dir(&places.spool).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "spool")).collect();
    paths.sort();
    let kept = |path: PathBuf| {
        let spool = FoundSpool::open(&path).ok()?;
        let (take, last) = (spool.identity.take, spool.last_sound().ok()?);
        (end_of(&session, take)? + FRAMES_MORE < last).then_some(KeptSpool { path, take, last })
    };
    paths.into_iter().filter_map(kept).collect()
}

/// The frame of the pass after the last one that the files of a take have.
fn end_of(session: &Session, take: Uuid) -> Option<u64> {
    let first = session.takes().iter().find(|other| other.uuid == take)?;
    session.files_of_take(first.id).map(|part| part.offset.0 + part.frames.0).max()
}

/// The spools that are removed although no file has their sound, a sentence each.
pub(crate) fn removed(kept: &[KeptSpool], folder: &Path) -> Vec<String> {
    let Ok(session) = open_read_only(folder) else { return Vec::new() };
    let is_lost = |spool: &&KeptSpool| {
        !spool.path.exists() && end_of(&session, spool.take).is_none_or(|end| end + FRAMES_MORE < spool.last)
    };
    let name = |spool: &KeptSpool| spool.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    kept.iter()
        .filter(is_lost)
        .map(|spool| format!("{}: it had sound that no file has, and is removed", name(spool)))
        .collect()
}
