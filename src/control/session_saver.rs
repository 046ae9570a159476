//! Writes session.json on a thread of its own, so that control never waits for the disk. Thread: session saver owns the
//! open folder; control holds [`SessionSaver`].
//!
//! Each folder has one saver: the session's own, the mirror, every overflow folder.

use crate::session::Session;
use crate::session::session_file::OpenSession;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Revisions that may wait in the queue, and problems that may wait for control. Of waiting revisions the saver writes
/// only the newest.
const WAITING: usize = 64;

/// Control's end of a saver thread. Dropping it waits for the thread.
pub struct SessionSaver {
    saves: Option<Sender<(Session, u64)>>,
    problems: Receiver<String>,
    /// The revision that the thread handled last. It is set after a failed save too: a caller that waits for a revision
    /// waits until the saver has tried, not until the revision is on the disk.
    saved: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    opened: Receiver<Result<PathBuf, String>>,
}

/// The longest that the end of the program waits for a companion's saver.
const COMPANION_FINISH_TIME_MAX: Duration = Duration::from_secs(5);

impl SessionSaver {
    /// Starts a saver for an open session.
    pub fn start(store: OpenSession) -> io::Result<SessionSaver> {
        SessionSaver::start_with(move || Ok(store))
    }

    /// Starts a saver whose thread opens the folder with `open`, because opening may wait for a disk. If `open` fails,
    /// the thread ends; `opened` returns the reason.
    pub fn start_with(open: impl FnOnce() -> Result<OpenSession, String> + Send + 'static) -> io::Result<SessionSaver> {
        let (saves, versions) = bounded::<(Session, u64)>(WAITING);
        let (tell, problems) = bounded(WAITING);
        let (opened_sender, opened) = bounded(1);
        let saved = Arc::new(AtomicU64::new(0));
        let done = Arc::clone(&saved);
        let thread =
            std::thread::Builder::new().name("session-saver".to_owned()).stack_size(512 * 1024).spawn(move || {
                let store = open();
                opened_sender.send(store.as_ref().map(|store| store.path().to_owned()).map_err(String::clone)).ok();
                let Ok(mut store) = store else { return };
                while let Ok((mut session, mut revision)) = versions.recv() {
                    // Only the newest revision matters.
                    while let Ok(newer) = versions.try_recv() {
                        (session, revision) = newer;
                    }
                    if let Err(error) = store.reopen_if_removed().and_then(|()| store.save(&session)) {
                        tell.try_send(error.to_string()).ok();
                    }
                    for error in store.move_trashed_files(&session).err().into_iter().flatten() {
                        tell.try_send(error.to_string()).ok();
                    }
                    done.store(revision, Relaxed);
                }
            })?;
        Ok(SessionSaver { saves: Some(saves), problems, saved, thread: Some(thread), opened })
    }

    /// The folder that was opened, or why it was not, path first. Returns it once, then `None`; `None` too while it is
    /// unknown.
    pub fn opened(&self) -> Option<Result<PathBuf, String>> {
        self.opened.try_recv().ok()
    }

    /// Queues a revision without waiting. `false` if the queue is full, because the disk hangs, or the thread has
    /// ended; the caller offers it again.
    pub fn save(&self, session: &Session, revision: u64) -> bool {
        self.saves.as_ref().is_none_or(|saves| !saves.is_full() && saves.try_send((session.clone(), revision)).is_ok())
    }

    /// The revision that the thread handled last, successfully or not.
    pub fn saved(&self) -> u64 {
        self.saved.load(Relaxed)
    }

    /// Problems since the last call, path first.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.try_iter()
    }

    /// Waits without a limit until every queued revision is handled. Returns the problems.
    pub fn finish(&mut self) -> Vec<String> {
        self.saves = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        self.problems.try_iter().collect()
    }

    /// Waits like `finish`, at most [`COMPANION_FINISH_TIME_MAX`].
    pub fn finish_in_time(mut self) -> Vec<String> {
        self.saves = None;
        let until = Instant::now() + COMPANION_FINISH_TIME_MAX;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if until < Instant::now() {
                // The thread hangs in a write. The end of the program ends it.
                drop(self.thread.take());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.finish()
    }
}

impl Drop for SessionSaver {
    fn drop(&mut self) {
        self.finish();
    }
}
