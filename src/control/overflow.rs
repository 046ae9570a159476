//! Takes that are in other folders than the session's: the mirror, and where takes go on when their disk has no more room.
//! Thread: control.
//!
//! Such a folder is known by a copy of the session's file in it, which a session saver of its own keeps current: a disk that stands
//! still holds up nobody but its session saver.

use super::Control;
use super::pass::PassTake;
use super::session_saver::SessionSaver;
use crate::message::disk::{CommitCommand, Continuation};
use crate::message::replica::{Replica, ReplicaPair};
use crate::message::take::{PassKey, TakeKey, TakePlan};
use crate::session::session_file::{OpenSession, SessionError};
use crate::session::{Session, TakeId};
use crate::time::{Clock, FramePos, Frames};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a pass waits for its mirror to be made, and at its end for the mirror's last sound.
const MIRROR_PATIENCE: Duration = Duration::from_secs(3);
/// See [`MIRROR_PATIENCE`].
const MIRROR_PATIENCE_AT_END: Duration = Duration::from_secs(20);

/// Seconds of room at which it is told that the disk will be full, one after the other.
const ROOM_SECONDS: [u64; 3] = [600, 120, 30];

/// Bytes from which on a refusal for a file's size is the file system's (4 GiB on FAT): the take goes on in another file.
const LARGE_FILE_BYTES: u64 = 1 << 30;

/// The folders.
#[derive(Default)]
pub(super) struct Elsewhere {
    mirror: Option<Companion>,
    overflow: Option<Companion>,
    /// Folders that takes went on in before another one was named.
    former: Vec<Companion>,
}

/// A folder with a copy of the session's file.
struct Companion {
    /// What was asked for.
    named: PathBuf,
    /// The folder in it, once it is open.
    folder: Option<Result<PathBuf, String>>,
    saver: SessionSaver,
    /// A revision that could not be handed over yet.
    due: bool,
}

/// A pass's mirror.
#[derive(Default)]
pub(super) enum PassMirror {
    /// It has none.
    #[default]
    None,
    /// It is being made.
    Asked(PathBuf, Instant),
    /// It gets what the session gets.
    On(Mirrored),
}

/// How a mirror stands.
pub(super) struct Mirrored {
    folder: PathBuf,
    open: BTreeSet<TakeKey>,
    whole: usize,
    trouble: Option<String>,
    /// What its disk refuses now.
    refused: Option<String>,
    /// When the session's own takes were finished.
    since: Option<Instant>,
}

/// What became of the mirror of a pass.
#[derive(Clone, Debug, Serialize)]
pub struct MirrorReport {
    /// Its folder, a session like any other.
    pub folder: PathBuf,
    /// Whether every take of the pass is whole in it.
    pub whole: bool,
    /// Takes that are.
    pub takes_whole: usize,
    /// What is wrong with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A take on its way into another file.
pub(super) struct Next {
    id: TakeId,
    plan: TakePlan,
    /// The revision of the session that lists it.
    listed_by: u64,
    sent: bool,
}

/// A file that a take was in before, and the frame of the pass at which it ends.
pub(super) struct Part {
    pub(super) id: TakeId,
    pub(super) end: Frames,
    pub(super) trouble: Option<String>,
}

impl Companion {
    fn start(named: &Path, session_folder: &Path, session: &Session) -> Option<Companion> {
        let (dir, session) = (named.to_owned(), session.clone());
        let name = session_folder.file_name().map_or_else(|| PathBuf::from("session"), PathBuf::from);
        let saver = SessionSaver::start_with(move || open_in(&dir, &name, &session)).ok()?;
        Some(Companion { named: named.to_owned(), folder: None, saver, due: true })
    }

    fn open(&self) -> Option<&Path> {
        self.folder.as_ref().and_then(|folder| folder.as_deref().ok())
    }
}

/// The folder of a session in another one: by the session's name, and if another session has that, by its identity too.
fn open_in(dir: &Path, name: &Path, session: &Session) -> Result<OpenSession, String> {
    let dir = std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let id = session.id.simple().to_string();
    let second = format!("{} {}", name.display(), &id[..8]);
    match OpenSession::open_on_other_disk(&dir.join(name), session) {
        Err(SessionError::Exists { .. }) => OpenSession::open_on_other_disk(&dir.join(second), session),
        other => other,
    }
    .map_err(|error| error.to_string())
}

impl Elsewhere {
    /// Has the session's file copied, where that can be taken; a copy that is due is offered again. In the mirror are the
    /// same files; from where takes go on, those of the session's own folder are seen. While the mirror's files are made its
    /// copy waits: it shall list none that the power may take away.
    pub(super) fn save(&mut self, own: &Path, session: &Session, revision: u64, mirror_waits: bool) {
        if let Some(mirror) = &mut self.mirror {
            mirror.due = mirror_waits || !mirror.saver.save(session, revision);
        }
        for companion in self.overflow.iter_mut().chain(&mut self.former) {
            let there = companion.open().map(|there| there.display().to_string());
            companion.due = there.is_none_or(|there| {
                !companion.saver.save(&session.copy_for_folder(&there, &own.display().to_string()), revision)
            });
        }
    }

    /// Whether a copy can be offered again.
    fn is_due(&self, mirror_waits: bool) -> bool {
        let mut all = self.mirror.iter().filter(|_| !mirror_waits).chain(&self.overflow).chain(&self.former);
        all.any(|companion| companion.due && companion.open().is_some())
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Companion> {
        self.mirror.iter_mut().chain(&mut self.overflow).chain(&mut self.former)
    }

    /// Waits for the replicas that can be made. What went wrong.
    pub(super) fn finish(self) -> Vec<String> {
        let all = self.mirror.into_iter().chain(self.overflow).chain(self.former);
        all.flat_map(|companion| companion.saver.finish_in_time()).collect()
    }
}

impl Control {
    /// Writes every pass from now on to a second folder in `dir` too; `None`: no more. It is made meanwhile.
    pub fn set_mirror(&mut self, dir: Option<&Path>) {
        if self.elsewhere.mirror.as_ref().map(|mirror| mirror.named.as_path()) != dir && !self.is_read_only() {
            self.elsewhere.mirror = dir.and_then(|dir| Companion::start(dir, &self.folder, &self.session));
        }
    }

    /// Has takes go on in `dir` when their disk is full or fails; those too that wait for room now.
    pub fn set_overflow(&mut self, dir: Option<&Path>) {
        if self.elsewhere.overflow.as_ref().map(|overflow| overflow.named.as_path()) != dir && !self.is_read_only() {
            self.elsewhere.former.extend(self.elsewhere.overflow.take());
            self.elsewhere.overflow = dir.and_then(|dir| Companion::start(dir, &self.folder, &self.session));
        }
    }

    /// The mirror's folder, once it is open; or why it is not. `None`: there is none, or it is on its way.
    pub fn mirror(&self) -> Option<Result<&Path, &str>> {
        self.elsewhere.mirror.as_ref().and_then(|it| it.folder.as_ref()).map(|it| it.as_deref().map_err(String::as_str))
    }

    /// The same for the folder in which takes go on.
    pub fn overflow(&self) -> Option<Result<&Path, &str>> {
        let overflow = self.elsewhere.overflow.as_ref();
        overflow.and_then(|it| it.folder.as_ref()).map(|it| it.as_deref().map_err(String::as_str))
    }

    /// Whether every folder that was named is open, or refused.
    pub fn elsewhere_is_known(&self) -> bool {
        let known = |companion: &Option<Companion>| companion.as_ref().is_none_or(|it| it.folder.is_some());
        known(&self.elsewhere.mirror) && known(&self.elsewhere.overflow)
    }

    /// Says, once for each of [`ROOM_SECONDS`], how long a disk will hold what is recorded.
    pub(super) fn warn_of_room(&mut self) {
        let Some(run) = self.pass.as_mut().filter(|run| run.base().is_some()) else { return };
        let mut told = Vec::new();
        for replica in [Replica::Session, Replica::Mirror] {
            let room = self.running.disk.room_ms[replica.index()].load(Relaxed);
            let low = ROOM_SECONDS.iter().filter(|seconds| room > 0 && room < **seconds * 1000).count();
            if std::mem::replace(&mut run.room_told[replica.index()], low) < low {
                let left = Clock(Duration::from_millis(room));
                let folder = match (replica, &run.mirror) {
                    (Replica::Mirror, PassMirror::On(mirror)) => mirror.folder.display().to_string(),
                    _ => self.folder.display().to_string(),
                };
                told.push(format!(
                    "{folder}: the disk has room for {left} more of this recording; make room, or name another folder"
                ));
            }
        }
        for text in told {
            self.caution(text);
        }
    }

    /// Folders that have come to be open, or cannot be; replicas of the session that are due.
    pub(super) fn poll_replicas(&mut self) {
        let mut told = Vec::new();
        for companion in self.elsewhere.all() {
            if let Some(opened) = companion.saver.opened() {
                if let Err(reason) = &opened {
                    told.push(format!("{reason}; nothing is written there"));
                }
                companion.folder = Some(opened);
            }
            told.extend(companion.saver.problems());
        }
        let overflow =
            self.elsewhere.overflow.as_ref().and_then(Companion::open).map(|open| open.display().to_string());
        if overflow.is_some_and(|folder| self.session.remember_overflow_folder(folder)) {
            // Now, while the session's own disk takes it.
            self.save();
        } else if self.elsewhere.is_due(self.mirror_waits()) {
            self.save_elsewhere();
        }
        for text in told {
            self.caution(text);
        }
    }

    /// Has the replicas of the session's file made.
    pub(super) fn save_elsewhere(&mut self) {
        let mirror_waits = self.mirror_waits();
        self.elsewhere.save(&self.folder, &self.session, self.revision, mirror_waits);
    }

    /// Whether the mirror's files are being made.
    fn mirror_waits(&self) -> bool {
        self.pass.as_ref().is_some_and(|run| matches!(run.mirror, PassMirror::Asked(..)))
    }

    /// Asks the mirror's committer for the files of a pass. Their replicas know of each other from now on.
    pub(super) fn open_mirror(&mut self, pass: PassKey, takes: &mut [PassTake]) -> PassMirror {
        let Some(folder) = self.elsewhere.mirror.as_ref().and_then(Companion::open).map(Path::to_owned) else {
            return PassMirror::None;
        };
        if let Err(error) = self.running.start_mirror() {
            self.caution(format!("mirror: {error}; recording goes on without it"));
            return PassMirror::None;
        }
        let mut plans = Vec::with_capacity(takes.len());
        for take in takes {
            let file = self.session.take(take.id).map_or_else(String::new, |take| take.file.clone());
            let path = folder.join(file);
            take.plan.pair = Some(Arc::new(ReplicaPair::new(take.plan.path.clone(), path.clone())));
            plans.push(TakePlan { path, ..take.plan.clone() });
        }
        if self.running.mirror.try_send(CommitCommand::Open { pass, takes: plans }).is_err() {
            self.caution("mirror: its disk does not answer; recording goes on without it".to_owned());
            return PassMirror::None;
        }
        PassMirror::Asked(folder, Instant::now())
    }

    pub(super) fn mirror_opened(&mut self, pass: PassKey, failed: Option<String>) {
        let asked = self.pass.as_mut().filter(|run| run.key == pass && matches!(run.mirror, PassMirror::Asked(..)));
        let Some(run) = asked else {
            // It answers too late; nothing has been written to it.
            self.running.mirror.try_send(CommitCommand::Forget { pass }).ok();
            return;
        };
        let PassMirror::Asked(folder, _) = std::mem::take(&mut run.mirror) else { return };
        match failed {
            None => {
                let open = run.takes.iter().map(|take| take.plan.key).collect();
                run.mirror =
                    PassMirror::On(Mirrored { folder, open, whole: 0, trouble: None, refused: None, since: None });
            }
            Some(reason) => self.loss(format!("mirror: {reason}; recording goes on without it")),
        }
    }

    /// Whether the pass can go on without an answer of the mirror, or has it.
    pub(super) fn mirror_is_settled(&mut self) -> bool {
        let Some(run) = &mut self.pass else { return true };
        let PassMirror::Asked(_, since) = &run.mirror else { return true };
        if since.elapsed() < MIRROR_PATIENCE {
            return false;
        }
        run.mirror = PassMirror::None;
        self.loss("mirror: its disk does not answer; recording goes on without it".to_owned());
        true
    }

    /// What the mirror's disk refuses, as long as it does.
    pub(super) fn mirror_refuses(&mut self, reason: Option<String>) {
        if let Some(PassMirror::On(mirror)) = self.pass.as_mut().map(|run| &mut run.mirror) {
            mirror.refused = reason;
        }
    }

    /// How the mirror of the pass that is on stands: its folder, or what is wrong with it. `None`: there is no pass, none was
    /// asked for, or it is being made.
    pub fn pass_mirror(&self) -> Option<Result<&Path, &str>> {
        match &self.pass.as_ref()?.mirror {
            PassMirror::Asked(..) => None,
            PassMirror::On(mirror) => Some(mirror.refused.as_deref().map_or(Ok(mirror.folder.as_path()), Err)),
            PassMirror::None => self.elsewhere.mirror.as_ref().map(|mirror| match &mirror.folder {
                Some(Err(reason)) => Err(reason.as_str()),
                _ => Err("this recording was begun without it"),
            }),
        }
    }

    pub(super) fn mirror_finished(&mut self, key: TakeKey, trouble: Option<String>) {
        let Some(PassMirror::On(mirror)) = self.pass.as_mut().map(|run| &mut run.mirror) else { return };
        if mirror.open.remove(&key) {
            mirror.whole += usize::from(trouble.is_none());
            if mirror.trouble.is_none() {
                mirror.trouble = trouble;
            }
        }
    }

    pub(super) fn take_stuck(&mut self, key: TakeKey, from: Frames, code: Option<i32>) {
        if let Some(take) = self.pass_take(key) {
            take.stuck = Some((from, code));
        }
    }

    pub(super) fn nobody_is_stuck(&mut self) {
        for take in self.pass.iter_mut().flat_map(|run| &mut run.takes).filter(|take| take.next.is_none()) {
            take.stuck = None;
        }
    }

    fn pass_take(&mut self, key: TakeKey) -> Option<&mut PassTake> {
        self.pass.as_mut()?.takes.iter_mut().find(|take| take.plan.key == key)
    }

    /// Lists the takes in which stuck ones go on, and sends them there once the session on a disk lists them.
    pub(super) fn continue_stuck(&mut self) {
        self.list_continued();
        let saved = self.saved_revision();
        let copied = self.elsewhere.overflow.as_ref().map_or(u64::MAX, |it| it.saver.saved());
        let Some(run) = &mut self.pass else { return };
        for take in &mut run.takes {
            let (key, Some((from, _)), Some(next)) = (take.plan.key, take.stuck, &mut take.next) else { continue };
            if next.listed_by <= saved.max(copied) && !std::mem::replace(&mut next.sent, true) {
                let command = CommitCommand::Continue { take: key, from, plan: Box::new(next.plan.clone()) };
                next.sent = self.running.commit.try_send(command).is_ok();
            }
        }
    }

    fn list_continued(&mut self) {
        let overflow = self.elsewhere.overflow.as_ref().and_then(Companion::open).map(Path::to_owned);
        let Some(run) = &mut self.pass else { return };
        let ready = |take: &PassTake| {
            let too_large = take.stuck.is_some_and(|(from, code)| {
                let bytes = (from - take.offset()).0 * take.plan.frame_bytes() as u64;
                code == Some(libc::EFBIG) && LARGE_FILE_BYTES <= bytes
            });
            take.stuck.is_some() && take.next.is_none() && (overflow.is_some() || too_large)
        };
        if !run.takes.iter().any(&ready) {
            return;
        }
        let mut names = self.session.taken_names();
        self.names_found.iter().for_each(|name| names.insert(name));
        let mut listed = Vec::new();
        for (index, take) in run.takes.iter_mut().enumerate().filter(|(_, take)| ready(take)) {
            let Some((from, _)) = take.stuck else { continue };
            let identity = Uuid::new_v4();
            let folder = overflow.as_ref().map(|folder| folder.display().to_string());
            let Ok(id) = self.session.add_continuation(take.id, identity, from, folder, &mut names) else { continue };
            let Some(new) = self.session.take(id) else { continue };
            let mut plan = TakePlan { identity, path: self.folder.join(new.path()), ..take.plan.clone() };
            plan.header.bext.originator_reference = identity.simple().to_string();
            plan.header.bext.time_reference = new.start.0;
            take.next = Some(Next { id, plan, listed_by: u64::MAX, sent: false });
            listed.push(index);
        }
        self.save();
        let revision = self.revision;
        for take in self
            .pass
            .iter_mut()
            .flat_map(|run| &mut run.takes)
            .filter(|take| !listed.is_empty() && take.stuck.is_some())
        {
            if let Some(next) = take.next.as_mut().filter(|next| next.listed_by == u64::MAX) {
                next.listed_by = revision;
            }
        }
    }

    pub(super) fn take_continued(&mut self, key: TakeKey, outcome: Continuation) {
        let Some(take) = self.pass_take(key) else { return };
        let (Some(next), Some((from, _))) = (take.next.take(), take.stuck.take()) else { return };
        match outcome {
            Continuation::Done(trouble) => {
                let old = std::mem::replace(&mut take.id, next.id);
                take.parts.push(Part { id: old, end: from, trouble });
                let folder = next.plan.path.parent().map_or_else(String::new, |folder| folder.display().to_string());
                take.plan.path = next.plan.path;
                // Once for all takes of a pass.
                let told = self.pass.as_mut().is_none_or(|run| std::mem::replace(&mut run.elsewhere_told, true));
                if !told {
                    self.info(format!("{folder}: takes go on here, without a gap"));
                }
            }
            Continuation::Needless => self.forget_next(&next),
            Continuation::Refused(reason) => {
                self.forget_next(&next);
                // The same folder would refuse again: another one can be named.
                if let Some(overflow) = &mut self.elsewhere.overflow {
                    overflow.folder = Some(Err(reason.clone()));
                }
                self.caution(format!("{reason}; name another folder"));
            }
        }
    }

    /// The take stays where it is: the one that was listed for it never began.
    fn forget_next(&mut self, next: &Next) {
        self.session.forget_take(next.id).ok();
        self.save();
    }
}

impl PassMirror {
    /// Whether the mirror gets what the session gets.
    pub(super) fn is_on(&self) -> bool {
        matches!(self, PassMirror::On(_))
    }

    /// Whether nobody waits for it. Asked when the session's own takes are finished.
    pub(super) fn is_done(&mut self) -> bool {
        let PassMirror::On(mirror) = self else { return true };
        let since = *mirror.since.get_or_insert_with(Instant::now);
        mirror.open.is_empty() || MIRROR_PATIENCE_AT_END < since.elapsed()
    }

    /// What became of it.
    pub(super) fn report(self) -> Option<MirrorReport> {
        let PassMirror::On(mirror) = self else { return None };
        let late =
            format!("{}: its disk does not answer; {} takes are not whole", mirror.folder.display(), mirror.open.len());
        let trouble = mirror.trouble.or((!mirror.open.is_empty()).then_some(late));
        let (folder, whole) = (mirror.folder, trouble.is_none());
        Some(MirrorReport { folder, whole, takes_whole: mirror.whole, trouble })
    }
}

impl PassTake {
    /// Frames of the pass before the file that it is in now.
    pub(super) fn offset(&self) -> Frames {
        self.parts.last().map_or(Frames(0), |part| part.end)
    }

    /// What is wrong with the file that it was in as a take, if something is.
    pub(super) fn trouble_of(&self, id: TakeId) -> Option<String> {
        let part = self.parts.iter().find(|part| part.id == id);
        part.map_or(&self.trouble, |part| &part.trouble).clone()
    }

    /// The takes that it is in: each with its first frame of the pass and the one after its last, when the pass has `frames`.
    pub(super) fn spans(&self, frames: Frames) -> Vec<(TakeId, FramePos, FramePos)> {
        let mut at = FramePos(0);
        let ends = self.parts.iter().map(|part| (part.id, part.end)).chain([(self.id, frames)]);
        ends.map(|(id, end)| (id, std::mem::replace(&mut at, FramePos(end.0)), FramePos(end.0))).collect()
    }
}
