//! Saves the session so that nobody who draws has to wait for the disk. Thread: session saver (its other end:
//! control).

use crate::session::Session;
use crate::session::session_file::OpenSession;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Versions that may wait. More are not needed: only the last one counts.
const WAITING: usize = 64;

/// Control's end.
pub struct SessionSaver {
    saves: Option<Sender<(Session, u64)>>,
    problems: Receiver<String>,
    /// The revision that was saved last, whether or not that went well.
    saved: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    opened: Receiver<Result<PathBuf, String>>,
}

/// How long the end of a session waits for the copy of its file on a disk that stands still.
const COMPANION_FINISH_TIME_MAX: Duration = Duration::from_secs(5);

impl SessionSaver {
    /// Starts it on an open session.
    pub fn start(store: OpenSession) -> io::Result<SessionSaver> {
        SessionSaver::start_with(move || Ok(store))
    }

    /// Starts it on the folder that `open` opens, on its thread: a disk may hold that up.
    pub fn start_with(open: impl FnOnce() -> Result<OpenSession, String> + Send + 'static) -> io::Result<SessionSaver> {
        let (saves, versions) = bounded::<(Session, u64)>(WAITING);
        let (tell, problems) = bounded(WAITING);
        let (opened_sender, opened) = bounded(1);
        let saved = Arc::new(AtomicU64::new(0));
        let done = Arc::clone(&saved);
        let thread = std::thread::Builder::new().name("keeper".to_owned()).stack_size(512 * 1024).spawn(move || {
            let store = open();
            opened_sender.send(store.as_ref().map(|store| store.path().to_owned()).map_err(String::clone)).ok();
            let Ok(mut store) = store else { return };
            while let Ok((mut session, mut revision)) = versions.recv() {
                // What came meanwhile replaces it.
                while let Ok(newer) = versions.try_recv() {
                    (session, revision) = newer;
                }
                if let Err(error) = store.follow().and_then(|()| store.save(&session)) {
                    tell.try_send(error.to_string()).ok();
                }
                for error in store.settle_trash(&session).err().into_iter().flatten() {
                    tell.try_send(error.to_string()).ok();
                }
                done.store(revision, Relaxed);
            }
        })?;
        Ok(SessionSaver { saves: Some(saves), problems, saved, thread: Some(thread), opened })
    }

    /// The folder, or why there is none, path first; told once, when it is known.
    pub fn opened(&self) -> Option<Result<PathBuf, String>> {
        self.opened.try_recv().ok()
    }

    /// Has a version saved, soon. `false` if so many wait (the disk stands still) that it was not taken: offer it again.
    pub fn save(&self, session: &Session, revision: u64) -> bool {
        self.saves.as_ref().is_none_or(|saves| !saves.is_full() && saves.try_send((session.clone(), revision)).is_ok())
    }

    /// The revision that was saved last.
    pub fn saved(&self) -> u64 {
        self.saved.load(Relaxed)
    }

    /// What went wrong since the last call, path first.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.try_iter()
    }

    /// Waits until everything is saved. What went wrong, if something did.
    pub fn finish(&mut self) -> Vec<String> {
        self.saves = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        self.problems.try_iter().collect()
    }

    /// The same, but not longer than a disk that works would take.
    pub fn finish_in_time(mut self) -> Vec<String> {
        self.saves = None;
        let until = Instant::now() + COMPANION_FINISH_TIME_MAX;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if until < Instant::now() {
                // It ends with the program.
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
