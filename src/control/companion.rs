//! Folders with a copy of the session's file: the mirror and the overflow folders. Thread: control.
//!
//! A session saver of its own keeps the copy in each folder current, so that a disk that hangs delays only that saver.
//!
//! A folder that is named again can have a copy that lists more takes than the session: the session's own disk failed, and a
//! power cut ended the program. Such a copy is never replaced before control has taken its takes over (`adopted_copy`).

use super::Control;
use super::adopted_copy::{AdoptedCopy, adopt};
use super::companion_place::{Role, folder_name, place_check};
use super::saving::RETRY_PAUSE;
use super::session_saver::{Problem, SessionSaver};
use crate::host;
use crate::session::Session;
use crate::session::session_file::{FoundCopy, OpenSession, SessionError, other_name};
use crossbeam_channel::{Receiver, bounded};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The companions of the open session.
#[derive(Default)]
pub(super) struct Companions {
    pub(super) mirror: Option<Companion>,
    pub(super) overflow: Option<Companion>,
    /// Overflow folders that a later `set_overflow` replaced. Their copies stay current, because takes have files
    /// there.
    pub(super) earlier_overflows: Vec<Companion>,
    /// Companions that were removed. Their savers handle what is queued, however long their disks take.
    ending: Vec<Companion>,
}

/// The longest that the end of the program waits for the savers of all companions.
const FINISH_TIME_MAX: Duration = Duration::from_secs(5);

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
    /// Whether the copy is behind: the folder is not open yet, or the mirror is opening.
    save_due: bool,
    /// When the saver got the session last.
    offered: Instant,
    /// The last problem of the saver that was shown. A save that keeps failing is shown once.
    shown_problem: Option<String>,
    /// The copy that the folder had when it was opened, if it lists more than the session. It arrives before the saver's
    /// answer that the folder is open.
    adopted: Receiver<AdoptedCopy>,
    /// The folder that the session listed when the user named it, before it was open. `None`: it was listed before.
    expected: Option<String>,
}

impl Companion {
    /// Opens the folder on a new thread, after the savers of `before` have ended: they hold the lock of the same folder.
    ///
    /// `others` are the folders of the other role. The copy in an overflow folder names the session's own folder, so that
    /// path must be text too.
    fn start(
        requested: &Path,
        session_folder: &Path,
        session: &Session,
        before: Vec<Companion>,
        role: Role,
        others: Vec<PathBuf>,
    ) -> Option<Companion> {
        let own = session_folder.to_owned();
        let (dir, session) = (requested.to_owned(), session.clone());
        let name = folder_name(session_folder);
        let (sender, adopted) = bounded(1);
        let saver = SessionSaver::start_with(move || {
            for mut earlier in before {
                earlier.saver.finish();
            }
            if role == Role::Overflow {
                text_check(&own)?;
            }
            place_check(role, &dir, &own, &others)?;
            let (mut store, found) = open_in(&dir, &name, &session)?;
            if let Some(adopted) = adopt(&mut store, found, &session, &own, role == Role::Mirror)? {
                sender.try_send(adopted).ok();
            }
            Ok(store)
        });
        Some(Companion {
            requested: requested.to_owned(),
            folder: None,
            saver: saver.ok()?,
            listed_by: u64::MAX,
            save_due: true,
            offered: host::now(),
            shown_problem: None,
            adopted,
            expected: None,
        })
    }

    /// Whether `dir` is the folder of this companion, which need not be opened again; `None`: no folder is named.
    pub(super) fn is_named(present: Option<&Companion>, dir: Option<&Path>) -> bool {
        present.map(|it| it.requested.as_path()) == dir && present.is_none_or(Companion::is_usable)
    }

    /// Whether the folder is open, or is being opened.
    pub(super) fn is_usable(&self) -> bool {
        !matches!(self.folder, Some(Err(_)))
    }

    /// The last revision that its saver has tried to save, or will never try.
    pub(super) fn tried_revision(&self) -> u64 {
        if self.saver.has_ended() { u64::MAX } else { self.saver.handled() }
    }

    /// Whether the last save failed and it is time to try it again. Nothing else offers the same revision once more.
    fn is_retry_due(&self) -> bool {
        self.saver.is_failing() && !self.saver.has_ended() && RETRY_PAUSE <= host::elapsed(self.offered)
    }

    /// The problems of the saver that were not shown before.
    fn new_problems(&mut self) -> Vec<String> {
        // Before the problems are read: a problem is sent before the save counts as handled.
        if !self.saver.is_failing() {
            self.shown_problem = None;
        }
        let mut texts = Vec::new();
        for problem in self.saver.problems() {
            if let Problem::Moved(reason) = &problem {
                self.folder = Some(Err(reason.clone()));
            }
            let text = problem.text();
            if self.shown_problem.as_ref() != Some(&text) {
                self.shown_problem = Some(text.clone());
                texts.push(text);
            }
        }
        texts
    }

    pub(super) fn open_folder(&self) -> Option<&Path> {
        self.folder.as_ref().and_then(|folder| folder.as_deref().ok())
    }
}

/// Opens or creates the folder of `session` inside `dir`. Its name is the session's; if another session has a folder of
/// that name, the first digits of the identity are added. Refuses a path that is not text: session.json and the spool
/// store it as text, and a path that is changed on the way leads to another folder.
fn open_in(dir: &Path, name: &Path, session: &Session) -> Result<(OpenSession, FoundCopy), String> {
    let dir = std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    text_check(&dir.join(name))?;
    let second = other_name(&name.display().to_string(), session.id);
    match OpenSession::open_on_other_disk(&dir.join(name), session) {
        Err(SessionError::Exists { .. }) => OpenSession::open_on_other_disk(&dir.join(second), session),
        other => other,
    }
    .map_err(|error| error.to_string())
    .and_then(|(store, found)| text_check(store.path()).map(|()| (store, found)))
}

fn text_check(path: &Path) -> Result<(), String> {
    let reason = || format!("{}: its path is not UTF-8 text; rename the folder, or name another one", path.display());
    path.to_str().map(|_| ()).ok_or_else(reason)
}

impl Companions {
    /// Names another mirror, or none. Returns at once: the saver of the mirror before may hang on its disk.
    pub(super) fn set_mirror(&mut self, dir: Option<&Path>, session_folder: &Path, session: &Session) {
        self.end(|companions| companions.mirror.take());
        self.mirror = dir.and_then(|dir| {
            let before = self.take_ending(dir);
            let overflows = self.overflow.iter().chain(&self.earlier_overflows);
            let others = overflows.filter(|it| it.is_usable()).map(|it| it.requested.clone()).collect();
            Companion::start(dir, session_folder, session, before, Role::Mirror, others)
        });
    }

    /// Names another overflow folder, or none. The copy in the one before stays current.
    pub(super) fn set_overflow(&mut self, dir: Option<&Path>, session_folder: &Path, session: &Session) {
        self.earlier_overflows.extend(self.overflow.take());
        let Some(dir) = dir else { return };
        self.overflow = match self.earlier_overflows.iter().position(|it| it.requested == dir && it.is_usable()) {
            Some(at) => Some(self.earlier_overflows.remove(at)),
            None => {
                let refused = self.earlier_overflows.iter().position(|it| it.requested == dir);
                self.end(|companions| refused.map(|at| companions.earlier_overflows.remove(at)));
                let before = self.take_ending(dir);
                let mirror = self.mirror.iter().filter(|mirror| mirror.is_usable());
                let others = mirror.map(|mirror| mirror.requested.clone()).collect();
                Companion::start(dir, session_folder, session, before, Role::Overflow, others)
            }
        };
    }

    /// The folder that the new overflow folder will most likely have, as the session can list it: absolute text. `None` if
    /// no folder is being opened. Asks no disk.
    pub(super) fn expected_overflow(&self, session_folder: &Path) -> Option<String> {
        let overflow = self.overflow.as_ref().filter(|overflow| overflow.folder.is_none())?;
        let path = std::path::absolute(&overflow.requested).ok()?.join(folder_name(session_folder));
        path.to_str().map(str::to_owned)
    }

    /// Notes that the session lists the overflow folder before it is open.
    pub(super) fn overflow_is_expected(&mut self, folder: String) {
        if let Some(overflow) = &mut self.overflow {
            overflow.expected = Some(folder);
        }
    }

    fn end(&mut self, take: impl FnOnce(&mut Companions) -> Option<Companion>) {
        if let Some(mut companion) = take(self) {
            companion.saver.close_queue();
            self.ending.push(companion);
        }
    }

    /// The companions for `dir` that were removed and whose savers have not ended.
    fn take_ending(&mut self, dir: &Path) -> Vec<Companion> {
        self.ending.extract_if(.., |companion| companion.requested == dir).collect()
    }

    /// Gives the session to the savers of all companions; a copy that was not taken stays due.
    ///
    /// The mirror gets the session as it is, because it has the same files. A copy in an overflow folder names the
    /// session's own files by absolute path. `mirror_waits`: the copy in the mirror is held back.
    pub(super) fn save(&mut self, own: &Path, session: &Session, revision: u64, mirror_waits: bool) {
        if let Some(mirror) = &mut self.mirror {
            mirror.save_due = mirror_waits || mirror.open_folder().is_none() || !mirror.saver.save(session, revision);
            mirror.offered = host::now();
        }
        let own = own.display().to_string();
        for companion in self.overflow.iter_mut().chain(&mut self.earlier_overflows) {
            companion.save_due =
                companion.open_folder().is_none() || !companion.saver.save_copy(session, revision, &own);
            companion.offered = host::now();
        }
    }

    /// Whether the copy of a folder that is open is behind, or must be saved again.
    fn is_due(&self, mirror_waits: bool) -> bool {
        let mut all = self.mirror.iter().filter(|_| !mirror_waits).chain(&self.overflow).chain(&self.earlier_overflows);
        let is_due = |companion: &Companion| companion.save_due || companion.is_retry_due();
        all.any(|companion| is_due(companion) && companion.open_folder().is_some())
    }

    /// Writes nothing more to the folder that the user named as `requested`, because its copy cannot be taken over.
    fn refuse(&mut self, requested: &Path, reason: &str) {
        for companion in self.all().filter(|companion| companion.requested == requested) {
            companion.folder = Some(Err(reason.to_owned()));
            companion.saver.close_queue();
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Companion> {
        let named = self.mirror.iter_mut().chain(&mut self.overflow);
        named.chain(&mut self.earlier_overflows).chain(&mut self.ending)
    }

    /// Waits for all savers, at most [`FINISH_TIME_MAX`]. Returns their problems.
    pub(super) fn finish(self) -> Vec<String> {
        self.finish_within(FINISH_TIME_MAX)
    }

    fn finish_within(self, time_max: Duration) -> Vec<String> {
        let named = self.mirror.into_iter().chain(self.overflow);
        let mut all: Vec<Companion> = named.chain(self.earlier_overflows).chain(self.ending).collect();
        for companion in &mut all {
            companion.saver.close_queue();
        }
        let until = host::now() + time_max;
        while !all.iter().all(|companion| companion.saver.has_ended()) && host::now() < until {
            host::sleep(Duration::from_millis(2));
        }
        let mut problems = Vec::new();
        for companion in all {
            problems.extend(companion.saver.problems().map(Problem::text));
            if !companion.saver.has_ended() {
                let dir = companion.requested.display();
                problems
                    .push(format!("{dir}: its disk does not answer; the copy of the session there is not up to date"));
            }
        }
        problems
    }
}

impl Control {
    /// Whether the mirror and the overflow folder, as far as they were named, are open or refused.
    pub fn companions_are_known(&self) -> bool {
        let known = |companion: &Option<Companion>| companion.as_ref().is_none_or(|it| it.folder.is_some());
        known(&self.companions.mirror) && known(&self.companions.overflow)
    }

    /// Learns which companions have opened or failed, takes over the takes of the copies in them, lists a new overflow folder
    /// in the session, and offers copies that are behind.
    pub(super) fn poll_companions(&mut self) {
        let (mut problems, mut adopted, mut unexpected) = (Vec::new(), Vec::new(), Vec::new());
        for companion in self.companions.all() {
            if let Some(opened) = companion.saver.opened() {
                if let Err(reason) = &opened {
                    problems.push(format!("{reason}; nothing is written there"));
                }
                adopted.extend(companion.adopted.try_recv().map(|copy| (companion.requested.clone(), copy)));
                let path = opened.as_ref().ok().and_then(|path| path.to_str());
                unexpected.extend(companion.expected.take().filter(|expected| path != Some(expected)));
                companion.folder = Some(opened);
            }
            problems.extend(companion.new_problems());
        }
        self.companions.ending.retain(|companion| !companion.saver.has_ended());
        for (requested, copy) in adopted {
            if let Err(reason) = self.adopt_copy(&copy) {
                self.companions.refuse(&requested, &reason);
                problems.push(format!("{reason}; nothing is written there"));
            }
        }
        self.list_overflow_folder(&unexpected);
        for text in problems {
            self.caution(text);
        }
    }

    /// Lists the overflow folder that is open, and no longer the one that was expected in its place.
    fn list_overflow_folder(&mut self, unexpected: &[String]) {
        let overflow = self.companions.overflow.as_ref().and_then(Companion::open_folder);
        let overflow = overflow.map(|folder| folder.display().to_string());
        // Asked first: mutable access to the session raises its revision.
        let new = overflow.filter(|folder| self.session.is_new_overflow_folder(folder));
        let mut is_changed = new.is_some_and(|folder| self.session.remember_overflow_folder(folder));
        for folder in unexpected {
            is_changed |= self.session.forget_overflow_folder(folder);
        }
        if is_changed {
            // Recovery finds continuations through this list. Save it now, while the session's own disk still takes it.
            self.save_at_once();
        } else if self.companions.is_due(self.mirror_copy_waits()) {
            self.save_companions();
        }
        let revision = self.session.revision();
        if let Some(overflow) = self.companions.overflow.as_mut().filter(|it| it.open_folder().is_some()) {
            overflow.listed_by = overflow.listed_by.min(revision);
        }
    }

    /// Offers the present session to all companions.
    pub(super) fn save_companions(&mut self) {
        let mirror_waits = self.mirror_copy_waits();
        self.companions.save(&self.folder, &self.session, self.session.revision(), mirror_waits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::session::Take;
    use crate::time::{FramePos, Frames, SampleRate};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn session() -> Session {
        Session::new(uuid::Uuid::from_u128(7), "Test", "", SampleRate(48_000), TakeFormat::S24)
    }

    #[test]
    fn a_mirror_whose_disk_hangs_is_removed_at_once_and_named_at_the_end() {
        let (thaw, frozen) = crossbeam_channel::bounded::<()>(1);
        let hangs = SessionSaver::start_with(move || {
            frozen.recv().ok();
            Err("thawed".to_owned())
        });
        let requested = PathBuf::from("/frozen");
        let mirror = Companion {
            requested,
            folder: None,
            saver: hangs.unwrap(),
            listed_by: u64::MAX,
            save_due: true,
            offered: host::now(),
            shown_problem: None,
            adopted: bounded(1).1,
            expected: None,
        };
        let mut companions = Companions { mirror: Some(mirror), ..Companions::default() };
        let began = std::time::Instant::now();
        companions.set_mirror(None, Path::new("/session"), &session());
        assert!(companions.mirror.is_none());
        let problems = companions.finish_within(Duration::from_millis(20));
        assert!(began.elapsed() < Duration::from_secs(2), "nothing waits for the disk");
        assert!(matches!(&problems[..], [text] if text.contains("/frozen") && text.contains("not up to date")));
        drop(thaw);
    }

    /// The mirror counted as whole, and its copy did not list the last pass until something else changed.
    #[test]
    fn a_copy_whose_save_failed_is_due_again_after_a_pause_and_its_problem_is_shown_once() {
        let (place, mut session) = (tempfile::tempdir().unwrap(), session());
        let (dir, own) = (place.path().join("other"), place.path().join("song"));
        let mut companions = Companions::default();
        companions.set_mirror(Some(&dir), &own, &session);
        let until = |is_so: &mut dyn FnMut() -> bool| {
            let until = Instant::now() + Duration::from_secs(10);
            while !is_so() {
                assert!(Instant::now() < until, "it takes too long");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        let mirror = companions.mirror.as_mut().unwrap();
        until(&mut || {
            mirror.folder = mirror.folder.take().or_else(|| mirror.saver.opened());
            mirror.folder.is_some()
        });
        // A file in place of the folder of kept versions: session.json cannot be replaced.
        let history = dir.join("song/history");
        std::fs::remove_dir_all(&history).unwrap();
        std::fs::write(&history, "").unwrap();
        session.add_track("Kick", &[0]).unwrap();
        let mut shown = Vec::new();
        for _ in 0..2 {
            companions.save(&own, &session, 7, false);
            assert!(!companions.is_due(false), "not at once");
            until(&mut || companions.is_due(false));
            shown.extend(companions.mirror.as_mut().unwrap().new_problems());
        }
        assert_eq!(shown.len(), 1, "{shown:?}");
        std::fs::remove_file(&history).unwrap();
        companions.save(&own, &session, 7, false);
        until(&mut || companions.mirror.as_ref().unwrap().saver.durable() == 7);
        std::thread::sleep(RETRY_PAUSE);
        assert!(!companions.is_due(false) && companions.mirror.as_mut().unwrap().new_problems().is_empty());
    }

    #[test]
    fn a_folder_is_known_by_the_path_that_was_opened_and_a_path_that_is_no_text_is_refused() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("inner")).unwrap();
        std::os::unix::fs::symlink(place.path(), place.path().join("link")).unwrap();
        let real = place.path().canonicalize().unwrap();
        let name = Path::new("song");
        for dir in ["inner/../other", "link/other"] {
            let (store, _) = open_in(&place.path().join(dir), name, &session()).unwrap();
            assert_eq!(store.path(), real.join("other/song"), "{dir}");
        }
        let refused = open_in(&place.path().join(OsStr::from_bytes(b"tra\xffck")), name, &session());
        assert!(refused.is_err_and(|reason| reason.contains("not UTF-8 text")));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 3, "no folder is made under another name");
    }

    #[test]
    fn the_copy_in_a_folder_that_is_named_again_is_not_replaced_before_its_takes_are_taken_over() {
        for role in [Role::Mirror, Role::Overflow] {
            let place = tempfile::tempdir().unwrap();
            let (dir, own) = (place.path().join("other"), place.path().join("song"));
            let (mut store, _) = open_in(&dir, Path::new("song"), &session()).unwrap();
            let there = store.path().to_owned();
            let mut copy = session();
            let track = copy.add_track("Kick", &[0]).unwrap();
            let take = crate::session::tests::recorded(&mut copy, track, FramePos(0), Frames(100));
            let file = copy.take(take).unwrap().file.clone();
            store.save(&copy).unwrap();
            drop(store);
            let before = std::fs::read(there.join("session.json")).unwrap();
            let companion = Companion::start(&dir, &own, &session(), Vec::new(), role, Vec::new()).unwrap();
            let opened = loop {
                if let Some(opened) = companion.saver.opened() {
                    break opened;
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            assert_eq!(opened.unwrap(), there);
            assert_eq!(std::fs::read(there.join("session.json")).unwrap(), before, "it is as it was");
            let mut merged = session();
            assert!(companion.adopted.try_recv().unwrap().merge(&mut merged));
            merged.validate().unwrap();
            let path = format!("{}/{file}", there.display());
            assert_eq!(merged.takes().iter().map(Take::path).collect::<Vec<_>>(), [path]);
            assert_eq!(merged.track(track).unwrap().regions().len(), 1, "it has its track and is placed");
        }
    }

    #[test]
    fn one_folder_for_the_mirror_and_the_overflow_is_refused_whichever_is_named_last() {
        for mirror_first in [true, false] {
            let (place, session) = (tempfile::tempdir().unwrap(), session());
            let (dir, own) = (place.path().join("other"), place.path().join("song"));
            let mut companions = Companions::default();
            if mirror_first {
                companions.set_mirror(Some(&dir), &own, &session);
                companions.set_overflow(Some(&dir), &own, &session);
            } else {
                companions.set_overflow(Some(&dir), &own, &session);
                companions.set_mirror(Some(&dir), &own, &session);
            }
            let last = if mirror_first { &companions.overflow } else { &companions.mirror };
            let opened = loop {
                if let Some(opened) = last.as_ref().unwrap().saver.opened() {
                    break opened;
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            assert!(opened.is_err_and(|reason| reason.contains("are the same folder")));
        }
    }

    #[test]
    fn an_overflow_folder_that_is_named_again_is_the_same_one() {
        let (place, session) = (tempfile::tempdir().unwrap(), session());
        let own = place.path().join("song");
        let mut companions = Companions::default();
        for dir in ["a", "b", "a"] {
            companions.set_overflow(Some(&place.path().join(dir)), &own, &session);
        }
        assert_eq!(companions.earlier_overflows.len(), 1);
        let opened = loop {
            if let Some(opened) = companions.overflow.as_ref().and_then(|it| it.saver.opened()) {
                break opened;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(opened.is_ok_and(|path| path.ends_with("a/song")));
    }
}
