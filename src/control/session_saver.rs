//! Writes session.json on a thread of its own, so that control never waits for the disk. Thread: session saver owns the
//! open folder; control holds [`SessionSaver`].
//!
//! Each folder has one saver: the session's own, the mirror, every overflow folder.

use crate::host::{self, Thread};
use crate::session::session_file::OpenSession;
use crate::session::{FolderCopies, Session};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

/// Problems that may wait for control.
const PROBLEMS: usize = 64;

/// Stack of a saver thread. Small, because the program touches the whole stack in advance.
const STACK_BYTES: usize = 512 * 1024;

/// Control's end of a saver thread. Dropping the session's own saver waits for the thread. Dropping another one does
/// not wait, because its disk may hang: the thread handles what is queued and ends.
pub struct SessionSaver {
    saves: Option<Sender<Version>>,
    /// Control's access to the version that waits, to replace it by a newer one.
    waiting: Receiver<Version>,
    problems: Receiver<Problem>,
    progress: Arc<Progress>,
    thread: Option<Thread>,
    waits_on_drop: bool,
    opened: Receiver<Result<PathBuf, String>>,
}

/// A revision of the session to save.
struct Version {
    session: Session,
    revision: u64,
    /// The folder of the session, if this saver keeps a copy in another folder.
    copy_of: Option<String>,
    /// Only to prepare a save of the same session that follows soon.
    is_only_prepared: bool,
}

/// The progress of the thread. A save that failed is handled and not durable.
#[derive(Default)]
struct Progress {
    /// The revision that the thread tried to save last.
    handled: AtomicU64,
    /// The last revision that is on the disk.
    durable: AtomicU64,
}

/// A problem of a saver thread, path first.
pub enum Problem {
    /// A revision was not saved.
    Save(String),
    /// A file was not moved into the trash or out of it.
    Trash(String),
    /// The folder is not at its path any more. The saver saves nothing more there, and its thread ends.
    Moved(String),
}

impl Problem {
    /// The text for the user.
    pub fn text(self) -> String {
        match self {
            Problem::Save(text) | Problem::Trash(text) | Problem::Moved(text) => text,
        }
    }
}

impl SessionSaver {
    /// Starts a saver for an open session.
    pub fn start(store: OpenSession) -> io::Result<SessionSaver> {
        let mut saver = SessionSaver::start_with(move || Ok(store))?;
        saver.waits_on_drop = true;
        Ok(saver)
    }

    /// Starts a saver whose thread opens the folder with `open`, because opening may wait for a disk. If `open` fails,
    /// the thread ends; `opened` returns the reason.
    pub fn start_with(open: impl FnOnce() -> Result<OpenSession, String> + Send + 'static) -> io::Result<SessionSaver> {
        // One place: of waiting revisions only the newest matters.
        let (saves, versions) = bounded::<Version>(1);
        let waiting = versions.clone();
        let (problem_sender, problems) = bounded(PROBLEMS);
        let (opened_sender, opened) = bounded(1);
        let progress = Arc::new(Progress::default());
        let reached = Arc::clone(&progress);
        let thread = host::spawn("session-saver", STACK_BYTES, move || {
            let store = open();
            host::send(&opened_sender, store.as_ref().map(|store| store.path().to_owned()).map_err(String::clone)).ok();
            let Ok(mut store) = store else { return };
            let mut copies = FolderCopies::default();
            while let Ok(Version { mut session, revision, copy_of, is_only_prepared }) = host::receive(&versions) {
                if is_only_prepared {
                    // An error is reported by the save itself.
                    store.prepare_save(&session).ok();
                    continue;
                }
                let is_copy = copy_of.is_some();
                if let Some(own) = copy_of {
                    if store.is_moved() {
                        // A recovery looks for the copy at the path that the session lists. Closing the folder lets the user
                        // name it by the path that it has now.
                        problem_sender.try_send(Problem::Moved(moved_text(store.path()))).ok();
                        return;
                    }
                    session = copies.copy(&session, &store.path().display().to_string(), &own);
                }
                session.forget_mirror_in(&store.path().display().to_string());
                // Takes continue in the folder only if it has the session.
                match store.reopen_if_removed(is_copy).and_then(|()| store.save_only(&session)) {
                    Ok(()) => {
                        // Now: a pass that waits for this save need not wait for the rest.
                        reached.durable.store(revision, Release);
                        store.clean_up();
                        for error in store.move_trashed_files(&session).err().into_iter().flatten() {
                            problem_sender.try_send(Problem::Trash(error.to_string())).ok();
                        }
                    }
                    // The files stay where the session on the disk says they are.
                    Err(error) => drop(problem_sender.try_send(Problem::Save(error.to_string()))),
                }
                // Last: a reader that sees the revision handled sees the problem and `durable` too.
                reached.handled.store(revision, Release);
            }
        })?;
        let (saves, thread) = (Some(saves), Some(thread));
        Ok(SessionSaver { saves, waiting, problems, progress, thread, waits_on_drop: false, opened })
    }

    /// The folder that was opened, or why it was not, path first. Returns it once, then `None`; `None` too while it is
    /// unknown.
    pub fn opened(&self) -> Option<Result<PathBuf, String>> {
        self.opened.try_recv().ok()
    }

    /// Gives the thread a revision to save, in place of one that waits. Never waits itself. `false` if the thread has
    /// ended.
    pub fn save(&self, session: &Session, revision: u64) -> bool {
        self.offer(Version { session: session.clone(), revision, copy_of: None, is_only_prepared: false })
    }

    /// Like [`SessionSaver::save`], in a folder on another disk than the session's own folder, `own`.
    pub fn save_copy(&self, session: &Session, revision: u64, own: &str) -> bool {
        self.offer(Version {
            session: session.clone(),
            revision,
            copy_of: Some(own.to_owned()),
            is_only_prepared: false,
        })
    }

    /// Lets the thread prepare the save of a session, unless a revision waits. A save of the same session then only renames
    /// a file.
    pub fn prepare(&self, session: &Session) {
        if let Some(saves) = &self.saves {
            let session = session.clone();
            saves.try_send(Version { session, revision: 0, copy_of: None, is_only_prepared: true }).ok();
        }
    }

    fn offer(&self, version: Version) -> bool {
        let Some(saves) = &self.saves else { return true };
        if self.has_ended() {
            return false;
        }
        // Only this end adds versions, so there is a place when the one that waited is gone.
        self.waiting.try_recv().ok();
        saves.try_send(version).is_ok()
    }

    /// The last revision that is on the disk. A save that failed does not count.
    pub fn durable(&self) -> u64 {
        self.progress.durable.load(Acquire)
    }

    /// The revision that the thread tried to save last, with success or without.
    pub fn handled(&self) -> u64 {
        self.progress.handled.load(Acquire)
    }

    /// Whether the last save failed. The thread does not try it again by itself.
    pub fn is_failing(&self) -> bool {
        let handled = self.handled();
        self.durable() < handled
    }

    /// Whether the thread has ended: its folder could not be opened, or it failed. It saves nothing more.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(Thread::is_finished)
    }

    /// Problems since the last call.
    pub fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        self.problems.try_iter()
    }

    /// Waits without a limit until every queued revision is handled. Returns the problems.
    pub fn finish(&mut self) -> Vec<Problem> {
        self.saves = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        self.problems.try_iter().collect()
    }

    /// Accepts no further revision. The thread handles what is queued and ends.
    pub fn close_queue(&mut self) {
        self.saves = None;
    }
}

fn moved_text(path: &Path) -> String {
    format!("{}: the folder was moved, or its disk unmounted; name another folder", path.display())
}

impl Drop for SessionSaver {
    fn drop(&mut self) {
        self.close_queue();
        if self.waits_on_drop {
            self.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::time::SampleRate;
    use std::time::{Duration, Instant};

    fn await_handled(saver: &SessionSaver, revision: u64) {
        let until = Instant::now() + Duration::from_secs(10);
        while saver.handled() < revision && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(saver.handled(), revision);
    }

    #[test]
    fn a_save_that_failed_is_handled_and_not_durable() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("session");
        let (store, mut session) =
            OpenSession::create(&folder, "Test", SampleRate(48_000), TakeFormat::S24).expect("made");
        let saver = SessionSaver::start(store).expect("a thread");
        // A file in place of the folder of kept versions: session.json cannot be replaced.
        let history = folder.join("history");
        std::fs::remove_dir_all(&history).expect("removed");
        std::fs::write(&history, "").expect("written");
        session.add_track("Kick", &[0]).expect("room");
        assert!(saver.save(&session, 7));
        await_handled(&saver, 7);
        assert!(saver.durable() < 7 && saver.is_failing());
        assert!(matches!(saver.problems().next(), Some(Problem::Save(_))));
        // Control offers the same revision again.
        std::fs::remove_file(&history).expect("removed");
        assert!(saver.save(&session, 7));
        let until = Instant::now() + Duration::from_secs(10);
        while saver.durable() < 7 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(saver.durable() == 7 && !saver.is_failing());
    }

    #[test]
    fn of_revisions_that_wait_for_a_disk_only_the_newest_is_saved() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("session");
        let (store, mut session) =
            OpenSession::create(&folder, "Test", SampleRate(48_000), TakeFormat::S24).expect("made");
        let (thaw, frozen) = bounded::<()>(0);
        let mut saver = SessionSaver::start_with(move || {
            frozen.recv().ok();
            Ok(store)
        })
        .expect("a thread");
        for revision in 1..200 {
            session.add_marker(crate::time::FramePos(revision), "").expect("room");
            assert!(saver.save(&session, revision));
        }
        drop(thaw);
        await_handled(&saver, 199);
        saver.finish();
        assert_eq!(std::fs::read_dir(folder.join("history")).expect("there").count(), 1, "one save");
        assert_eq!(crate::session::session_file::open_read_only(&folder).expect("whole").markers().len(), 199);
    }

    /// An overflow folder with a copy of a session, and its saver, which has saved revision 1.
    fn copy_in(overflow: &Path) -> (SessionSaver, Session) {
        let session = Session::new(uuid::Uuid::from_u128(1), "Test", "", SampleRate(48_000), TakeFormat::S24);
        let (store, _) = OpenSession::open_on_other_disk(&overflow.join("song"), &session).expect("made");
        let saver = SessionSaver::start_with(move || Ok(store)).expect("a thread");
        assert!(saver.save_copy(&session, 1, "/own/song"));
        await_handled(&saver, 1);
        assert_eq!(saver.durable(), 1);
        (saver, session)
    }

    /// The copy was saved in the folder that was moved, and counted as the one that a recovery finds.
    #[test]
    fn a_copy_in_a_folder_that_was_moved_is_not_durable_and_its_folder_is_closed() {
        let place = tempfile::tempdir().expect("a folder");
        let overflow = place.path().canonicalize().expect("there").join("over");
        let (mut saver, session) = copy_in(&overflow);
        let moved = place.path().join("over2");
        std::fs::rename(&overflow, &moved).expect("moved");
        assert!(saver.save_copy(&session, 2, "/own/song"));
        let [Problem::Moved(text)] = &saver.finish()[..] else { panic!("another problem") };
        assert!(text.contains("over/song") && text.contains("moved"), "{text}");
        assert!(saver.durable() == 1 && saver.has_ended() && !overflow.exists());
        OpenSession::open_on_other_disk(&moved.join("song"), &session).expect("it is locked no more");
    }

    #[test]
    fn a_folder_of_a_copy_that_was_removed_is_made_again_with_the_session() {
        let place = tempfile::tempdir().expect("a folder");
        let overflow = place.path().canonicalize().expect("there").join("over");
        let (saver, session) = copy_in(&overflow);
        std::fs::remove_dir_all(&overflow).expect("removed");
        assert!(saver.save_copy(&session, 2, "/own/song"));
        await_handled(&saver, 2);
        assert!(saver.durable() == 2 && overflow.join("song/session.json").exists());
    }

    #[test]
    fn a_saver_whose_thread_has_ended_is_known_and_takes_no_session() {
        let mut saver = SessionSaver::start_with(|| Err("no disk".to_owned())).expect("a thread");
        let until = Instant::now() + Duration::from_secs(10);
        while !saver.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        let session = Session::new(uuid::Uuid::from_u128(1), "Test", "", SampleRate(48_000), TakeFormat::S24);
        assert!(saver.has_ended() && !saver.save(&session, 1));
        assert_eq!(saver.durable(), 0);
        saver.finish();
    }
}
