//! Folders with a copy of the session's file: the mirror and the overflow folders. Thread: control.
//!
//! A session saver of its own keeps the copy in each folder current, so that a disk that hangs delays only that saver.

use super::Control;
use super::session_saver::{Problem, SessionSaver};
use crate::session::Session;
use crate::session::session_file::{OpenSession, SessionError};
use std::path::{Path, PathBuf};

/// The companions of the open session.
#[derive(Default)]
pub(super) struct Companions {
    pub(super) mirror: Option<Companion>,
    pub(super) overflow: Option<Companion>,
    /// Overflow folders that a later `set_overflow` replaced. Their copies stay current, because takes have files
    /// there.
    pub(super) earlier_overflows: Vec<Companion>,
}

/// A folder with a copy of session.json and the saver that writes it.
pub(super) struct Companion {
    /// The folder that the user named.
    pub(super) requested: PathBuf,
    /// The session folder inside `requested`, or why it cannot be used. `None` while the saver opens it.
    pub(super) folder: Option<Result<PathBuf, String>>,
    pub(super) saver: SessionSaver,
    /// First revision of the session that lists the folder; `u64::MAX` before it is open. Recovery reads the copy there
    /// only if the session on its own disk lists the folder.
    pub(super) listed_by: u64,
    /// Whether the copy is behind: the saver's queue was full, the folder is not open yet, or the mirror is opening.
    save_due: bool,
}

impl Companion {
    pub(super) fn start(requested: &Path, session_folder: &Path, session: &Session) -> Option<Companion> {
        let (dir, session) = (requested.to_owned(), session.clone());
        let name = session_folder.file_name().map_or_else(|| PathBuf::from("session"), PathBuf::from);
        let saver = SessionSaver::start_with(move || open_in(&dir, &name, &session)).ok()?;
        Some(Companion { requested: requested.to_owned(), folder: None, saver, listed_by: u64::MAX, save_due: true })
    }

    pub(super) fn open_folder(&self) -> Option<&Path> {
        self.folder.as_ref().and_then(|folder| folder.as_deref().ok())
    }
}

/// Opens or creates the folder of `session` inside `dir`. Its name is the session's; if another session has a folder of
/// that name, the first digits of the identity are added.
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

impl Companions {
    /// Offers the session to the savers of all companions; a copy that was not taken stays due.
    ///
    /// The mirror gets the session as it is, because it has the same files. A copy in an overflow folder names the
    /// session's own files by absolute path. While the mirror's WAV files are being created its copy is held back, so
    /// that it never lists a file that a power cut could remove.
    pub(super) fn save(&mut self, own: &Path, session: &Session, revision: u64, mirror_is_opening: bool) {
        if let Some(mirror) = &mut self.mirror {
            mirror.save_due = mirror_is_opening || !mirror.saver.save(session, revision);
        }
        for companion in self.overflow.iter_mut().chain(&mut self.earlier_overflows) {
            let folder = companion.open_folder().map(|folder| folder.display().to_string());
            companion.save_due = folder.is_none_or(|folder| {
                !companion.saver.save(&session.copy_for_folder(&folder, &own.display().to_string()), revision)
            });
        }
    }

    /// Whether the copy of a folder that is open is behind.
    fn is_due(&self, mirror_is_opening: bool) -> bool {
        let mut all =
            self.mirror.iter().filter(|_| !mirror_is_opening).chain(&self.overflow).chain(&self.earlier_overflows);
        all.any(|companion| companion.save_due && companion.open_folder().is_some())
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Companion> {
        self.mirror.iter_mut().chain(&mut self.overflow).chain(&mut self.earlier_overflows)
    }

    /// Waits for each saver, at most some seconds for each. Returns their problems.
    pub(super) fn finish(self) -> Vec<String> {
        let all = self.mirror.into_iter().chain(self.overflow).chain(self.earlier_overflows);
        all.flat_map(|companion| companion.saver.finish_in_time()).map(Problem::text).collect()
    }
}

impl Control {
    /// Whether the mirror and the overflow folder, as far as they were named, are open or refused.
    pub fn companions_are_known(&self) -> bool {
        let known = |companion: &Option<Companion>| companion.as_ref().is_none_or(|it| it.folder.is_some());
        known(&self.companions.mirror) && known(&self.companions.overflow)
    }

    /// Learns which companions have opened or failed, lists a new overflow folder in the session, and offers copies
    /// that are behind.
    pub(super) fn poll_companions(&mut self) {
        let mut problems = Vec::new();
        for companion in self.companions.all() {
            if let Some(opened) = companion.saver.opened() {
                if let Err(reason) = &opened {
                    problems.push(format!("{reason}; nothing is written there"));
                }
                companion.folder = Some(opened);
            }
            problems.extend(companion.saver.problems().map(Problem::text));
        }
        let overflow = self
            .companions
            .overflow
            .as_ref()
            .and_then(Companion::open_folder)
            .map(|folder| folder.display().to_string());
        // Asked first: mutable access to the session raises its revision.
        let new = overflow.filter(|folder| self.session.is_new_overflow_folder(folder));
        if new.is_some_and(|folder| self.session.remember_overflow_folder(folder)) {
            // Recovery finds continuations through this list. Save it now, while the session's own disk still takes it.
            self.save();
        } else if self.companions.is_due(self.mirror_is_opening()) {
            self.save_companions();
        }
        let revision = self.session.revision();
        if let Some(overflow) = self.companions.overflow.as_mut().filter(|it| it.open_folder().is_some()) {
            overflow.listed_by = overflow.listed_by.min(revision);
        }
        for text in problems {
            self.caution(text);
        }
    }

    /// Offers the present session to all companions.
    pub(super) fn save_companions(&mut self) {
        let mirror_is_opening = self.mirror_is_opening();
        self.companions.save(&self.folder, &self.session, self.session.revision(), mirror_is_opening);
    }
}
