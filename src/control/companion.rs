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
pub(super) struct Companions {
    pub(super) mirror: Option<Companion>,
    pub(super) overflow: Option<Companion>,
    /// Folders that takes went on in before another one was named.
    pub(super) earlier_overflows: Vec<Companion>,
}

/// A folder with a copy of the session's file.
pub(super) struct Companion {
    /// What was asked for.
    pub(super) requested: PathBuf,
    /// The folder in it, once it is open.
    pub(super) folder: Option<Result<PathBuf, String>>,
    pub(super) saver: SessionSaver,
    /// A revision that could not be handed over yet.
    save_due: bool,
}

impl Companion {
    pub(super) fn start(requested: &Path, session_folder: &Path, session: &Session) -> Option<Companion> {
        let (dir, session) = (requested.to_owned(), session.clone());
        let name = session_folder.file_name().map_or_else(|| PathBuf::from("session"), PathBuf::from);
        let saver = SessionSaver::start_with(move || open_in(&dir, &name, &session)).ok()?;
        Some(Companion { requested: requested.to_owned(), folder: None, saver, save_due: true })
    }

    pub(super) fn open_folder(&self) -> Option<&Path> {
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

impl Companions {
    /// Has the session's file copied, where that can be taken; a copy that is due is offered again. In the mirror are the
    /// same files; from where takes go on, those of the session's own folder are seen. While the mirror's files are made its
    /// copy waits: it shall list none that the power may take away.
    pub(super) fn save(&mut self, own: &Path, session: &Session, revision: u64, mirror_is_opening: bool) {
        if let Some(mirror) = &mut self.mirror {
            mirror.save_due = mirror_is_opening || !mirror.saver.save(session, revision);
        }
        for companion in self.overflow.iter_mut().chain(&mut self.earlier_overflows) {
            let folder = companion.open_folder().map(|folder| folder.display().to_string());
            companion.save_due = folder.is_none_or(|folder| {
                !companion.saver.save(&session.seen_from(&folder, &own.display().to_string()), revision)
            });
        }
    }

    /// Whether a copy can be offered again.
    fn is_due(&self, mirror_is_opening: bool) -> bool {
        let mut all =
            self.mirror.iter().filter(|_| !mirror_is_opening).chain(&self.overflow).chain(&self.earlier_overflows);
        all.any(|companion| companion.save_due && companion.open_folder().is_some())
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Companion> {
        self.mirror.iter_mut().chain(&mut self.overflow).chain(&mut self.earlier_overflows)
    }

    /// Waits for the replicas that can be made. What went wrong.
    pub(super) fn finish(self) -> Vec<String> {
        let all = self.mirror.into_iter().chain(self.overflow).chain(self.earlier_overflows);
        all.flat_map(|companion| companion.saver.finish_in_time()).collect()
    }
}

impl Control {
    /// Whether every folder that was named is open, or refused.
    pub fn companions_are_known(&self) -> bool {
        let known = |companion: &Option<Companion>| companion.as_ref().is_none_or(|it| it.folder.is_some());
        known(&self.companions.mirror) && known(&self.companions.overflow)
    }

    /// Folders that have come to be open, or cannot be; replicas of the session that are due.
    pub(super) fn poll_companions(&mut self) {
        let mut problems = Vec::new();
        for companion in self.companions.all() {
            if let Some(opened) = companion.saver.opened() {
                if let Err(reason) = &opened {
                    problems.push(format!("{reason}; nothing is written there"));
                }
                companion.folder = Some(opened);
            }
            problems.extend(companion.saver.problems());
        }
        let overflow = self
            .companions
            .overflow
            .as_ref()
            .and_then(Companion::open_folder)
            .map(|folder| folder.display().to_string());
        if overflow.is_some_and(|folder| self.session.remember_overflow_folder(folder)) {
            // Now, while the session's own disk takes it.
            self.save();
        } else if self.companions.is_due(self.mirror_is_opening()) {
            self.save_companions();
        }
        for text in problems {
            self.caution(text);
        }
    }

    /// Has the replicas of the session's file made.
    pub(super) fn save_companions(&mut self) {
        let mirror_is_opening = self.mirror_is_opening();
        self.companions.save(&self.folder, &self.session, self.revision, mirror_is_opening);
    }
}
