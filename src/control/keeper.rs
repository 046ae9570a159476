//! Saves the session so that nobody who draws has to wait for the disk. Thread: keeper (its other end:
//! control).

use crate::session::Session;
use crate::session::session_file::OpenSession;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::thread::JoinHandle;

/// Versions that may wait. More are not needed: only the last one counts.
const WAITING: usize = 64;

/// Control's end.
pub struct Keeper {
    saves: Option<Sender<Session>>,
    problems: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts it on an open session.
    pub fn start(mut store: OpenSession) -> io::Result<Keeper> {
        let (saves, versions) = bounded::<Session>(WAITING);
        let (tell, problems) = bounded(WAITING);
        let thread = std::thread::Builder::new().name("keeper".to_owned()).stack_size(512 * 1024).spawn(move || {
            while let Ok(mut session) = versions.recv() {
                // What came meanwhile replaces it.
                while let Ok(newer) = versions.try_recv() {
                    session = newer;
                }
                if let Err(error) = store.save(&session) {
                    tell.try_send(error.to_string()).ok();
                }
                for error in store.settle_trash(&session).err().into_iter().flatten() {
                    tell.try_send(error.to_string()).ok();
                }
            }
        })?;
        Ok(Keeper { saves: Some(saves), problems, thread: Some(thread) })
    }

    /// Has a version saved, soon.
    pub fn save(&self, session: &Session) {
        if let Some(saves) = &self.saves {
            // Full only if the disk has stood still for many versions; then waiting is all that is left.
            saves.send(session.clone()).ok();
        }
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
