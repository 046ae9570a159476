//! Saves the session so that nobody who draws has to wait for the disk. Thread: keeper (its other end:
//! control).

use crate::session::Session;
use crate::session::session_file::OpenSession;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// Versions that may wait. More are not needed: only the last one counts.
const WAITING: usize = 64;

/// Control's end.
pub struct Keeper {
    saves: Option<Sender<(Session, u64)>>,
    problems: Receiver<String>,
    /// The revision that was saved last, whether or not that went well.
    saved: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts it on an open session.
    pub fn start(mut store: OpenSession) -> io::Result<Keeper> {
        let (saves, versions) = bounded::<(Session, u64)>(WAITING);
        let (tell, problems) = bounded(WAITING);
        let saved = Arc::new(AtomicU64::new(0));
        let done = Arc::clone(&saved);
        let thread = std::thread::Builder::new().name("keeper".to_owned()).stack_size(512 * 1024).spawn(move || {
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
        Ok(Keeper { saves: Some(saves), problems, saved, thread: Some(thread) })
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
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish();
    }
}
