//! Folders with a copy of the session's file: the mirror and the overflow folders. Thread: control.
//!
//! A session saver of its own keeps the copy in each folder current, so that a disk that hangs delays only that saver.

use super::Control;
use super::session_saver::SessionSaver;
use crate::session::Session;
use crate::session::session_file::{OpenSession, SessionError};
use std::path::{Path, PathBuf};

/// The folders.
#[derive(Default)]
pub(super) struct Elsewhere {
    pub(super) mirror: Option<Companion>,
    pub(super) overflow: Option<Companion>,
    /// Folders that takes went on in before another one was named.
    pub(super) former: Vec<Companion>,
}

/// A folder with a copy of the session's file.
pub(super) struct Companion {
    /// What was asked for.
    pub(super) named: PathBuf,
    /// The folder in it, once it is open.
    pub(super) folder: Option<Result<PathBuf, String>>,
    pub(super) saver: SessionSaver,
    /// A revision that could not be handed over yet.
    due: bool,
}

impl Companion {
    pub(super) fn start(named: &Path, session_folder: &Path, session: &Session) -> Option<Companion> {
        let (dir, session) = (named.to_owned(), session.clone());
        let name = session_folder.file_name().map_or_else(|| PathBuf::from("session"), PathBuf::from);
        let saver = SessionSaver::start_with(move || open_in(&dir, &name, &session)).ok()?;
        Some(Companion { named: named.to_owned(), folder: None, saver, due: true })
    }

    pub(super) fn open(&self) -> Option<&Path> {
        self.folder.as_ref().and_then(|folder| folder.as_deref().ok())
    }
}

/// The folder of a session in another one: by the session's name, and if another session has that, by its identity too.
fn open_in(dir: &Path, name: &Path, session: &Session) -> Result<OpenSession, String> {
    let dir = std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let id = session.id.simple().to_string();
    let second = format!("{} {}", name.display(), &id[..8]);
    match OpenSession::companion(&dir.join(name), session) {
        Err(SessionError::Exists { .. }) => OpenSession::companion(&dir.join(second), session),
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
                !companion.saver.save(&session.seen_from(&there, &own.display().to_string()), revision)
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
    /// Whether every folder that was named is open, or refused.
    pub fn elsewhere_is_known(&self) -> bool {
        let known = |companion: &Option<Companion>| companion.as_ref().is_none_or(|it| it.folder.is_some());
        known(&self.elsewhere.mirror) && known(&self.elsewhere.overflow)
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
        if overflow.is_some_and(|folder| self.session.remember_beside(folder)) {
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
}
