//! Finds the engine of a session, or starts one. Thread: link of the window; the thread that stops an engine.

use super::place::{self, Found};
use super::protocol::LinkError;
use crate::app::settings;
use crate::session::session_file::holder;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time for a new engine to make its socket.
const START_LIMIT: Duration = Duration::from_secs(15);

/// Time for an engine that ends to release its session.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Pause between looks.
const PAUSE: Duration = Duration::from_millis(3);

/// How a window gets an engine.
#[derive(Clone, Debug)]
pub struct EngineStart {
    /// The program that has the mode `engine`.
    pub program: PathBuf,
    /// Options of the mode, without the session.
    pub options: Vec<OsString>,
    /// The session's folder; `None`: the last one, or a new one.
    pub session: Option<PathBuf>,
}

/// A connection to an engine, and its process if this program has started it.
#[derive(Debug)]
pub struct Connected {
    pub found: Found,
    pub child: Option<Child>,
}

/// The reason why a window has no engine, a sentence each.
#[derive(Debug)]
pub enum NoEngine {
    /// The engine works, and takes no further client.
    Full(String),
    /// None can be started, or the one that has the session cannot be understood.
    Failed(String),
}

impl EngineStart {
    /// Connects to the engine that has the session open. If no session is named and no option, connects to an engine that
    /// records, or to one that has no window. If there is none, starts one. Waits.
    pub fn connect(&self) -> Result<Connected, NoEngine> {
        let until = Instant::now() + END_LIMIT;
        loop {
            let found = match &self.session {
                Some(folder) => match engine_of(folder) {
                    Ok(found) => found,
                    // Its process is dying: it was there to connect to, and has not answered.
                    Err(LinkError::Ended) if Instant::now() < until => {
                        std::thread::sleep(PAUSE);
                        continue;
                    }
                    Err(LinkError::Full(reason)) => return Err(NoEngine::Full(reason)),
                    Err(error) => return Err(NoEngine::Failed(format!("{}: {error}", folder.display()))),
                },
                None if self.options.is_empty() => any_engine(),
                None => None,
            };
            match found {
                Some(found) if found.facts.ends && Instant::now() < until => std::thread::sleep(PAUSE * 10),
                Some(found) => return Ok(Connected { found, child: None }),
                None => return self.start().map_err(NoEngine::Failed),
            }
        }
    }

    fn start(&self) -> Result<Connected, String> {
        let mut command = Command::new(&self.program);
        command.arg("engine").args(&self.options);
        if let Some(folder) = &self.session {
            // `--` because a folder's name can begin with a dash.
            command.arg("--").arg(folder);
        }
        let failed = |reason: String| format!("the recorder cannot be started: {reason}");
        let spawned = command.stdin(Stdio::null()).spawn();
        let mut child = spawned.map_err(|error| failed(format!("{}: {error}", self.program.display())))?;
        let until = Instant::now() + START_LIMIT;
        loop {
            match place::connect(child.id()) {
                Some(Ok(found)) => return Ok(Connected { found, child: Some(child) }),
                Some(Err(error)) => return Err(failed(error.to_string())),
                None => {}
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(failed(format!("its process has ended ({status})")));
            }
            if until < Instant::now() {
                return Err(failed(format!("process {} does not answer", child.id())));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The engine that has this session open. The session's lock names its process.
pub fn engine_of(folder: &Path) -> Result<Option<Found>, LinkError> {
    match holder(folder).and_then(place::connect) {
        Some(Ok(found)) if is_same(&found.facts.folder, folder) => Ok(Some(found)),
        Some(Err(error)) => Err(error),
        // An engine may be about to open it. The number may be that of a process on another computer.
        Some(Ok(_)) | None => Ok(place::engines().into_iter().find(|found| is_same(&found.facts.folder, folder))),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    // A session that is made just now has no folder yet.
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    real(one).is_some_and(|one| Some(one) == real(other))
}

/// The engine of this home that a window without a session shows: one that records, or one without a window.
fn any_engine() -> Option<Found> {
    let home = settings::user_folder().unwrap_or_default();
    let mut engines = place::engines();
    engines.retain(|found| found.facts.settings == home && (found.facts.records || found.facts.windows == 0));
    engines.into_iter().max_by_key(|found| (found.facts.records, found.facts.windows == 0))
}
