//! Recovery: what a program that was killed left of a recording becomes whole takes. Thread: any that may wait for the
//! disk; control at a start, or the command line.
//!
//! ```text
//!   spool files (sound that was not on the disk yet) --+
//!   progress page (frames that every take had)                 +--> WAV files --> session.json --> spool files go
//!   WAV files (what the committer had written) --------+
//! ```
//!
//! The order is what makes it safe. A pass's files are written, each byte to the one place where it belongs, and durable,
//! before the session says that they are whole; the session says so before anything is removed. Stopped anywhere, it is
//! begun anew and finds at least as much as before. Whoever recovers holds the session's lock; a recorder holds that of each
//! of its files in memory: what a living program records is left alone, whatever copy of the session asks.
#![forbid(unsafe_code)]

pub mod evidence;
pub mod leftover;
pub mod length;
mod take_wav;
mod recover_pass;
#[cfg(test)]
mod tests;
mod messages;

use crate::session::session_file::{OpenSession, catch_up};
use crate::session::{Session, Take, TakeState};
use crate::time::{Frames, SampleRate};
use evidence::FoundSpool;
use length::Basis;
use recover_pass::PassRecovery;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use take_wav::TakeWav;

/// Something that a recovery is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write a piece of sound.
    Sound,
    /// Set a file's length.
    Length,
    /// Write a header.
    Header,
    /// Wait until a file is durable.
    Durable,
    /// Save the session.
    Session,
    /// Remove a file that is not needed any more.
    Remove,
}

/// Asked before each step; an error stops the recovery there, as if it had been killed.
pub type StepHook<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

/// What a recovery did.
#[derive(Debug, Default)]
pub struct Report {
    /// Passes that are whole now, in the order of the session.
    pub passes: Vec<RecoveredPass>,
    /// What could not be done, the thing first. What it is about was kept.
    pub troubles: Vec<String>,
}

/// A pass that was cut off.
#[derive(Clone, Debug)]
pub struct RecoveredPass {
    /// Frames of every take.
    pub frames: Frames,
    /// Frames a second.
    pub rate: SampleRate,
    /// What the length rests on.
    pub basis: Basis,
    /// Frames in it that the device lost; silence.
    pub lost: Frames,
    /// Frames for which there was no window, summed over takes; silence.
    pub overrun: Frames,
    /// Its takes that were recovered now.
    pub takes: Vec<RecoveredTake>,
}

/// A take that was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveredTake {
    /// The track's name.
    pub track: String,
    /// 0-based device channel of its first input.
    pub input: u32,
    /// The file, relative to the session.
    pub file: String,
    /// Its frames.
    pub frames: u64,
    /// Frames of it that came from memory.
    pub recovered_frames: u64,
}

/// A take that can be mended.
struct CutTake {
    take: Take,
    wav: TakeWav,
    /// That of the first take of its track in the pass: what goes on in another file is in the same spool.
    spool: Option<FoundSpool>,
    /// Its copy in the mirror that the spool names.
    mirror: Option<TakeWav>,
    /// Why that is not mended.
    mirror_trouble: Option<String>,
    /// The frame of the pass at which it goes on in another file.
    until: Option<Frames>,
    from_memory: Frames,
}

/// Whether there is a take that was cut off, or is being recorded.
pub fn is_needed(session: &Session) -> bool {
    session.takes().iter().any(|take| take.state == TakeState::Recording)
}

/// Recovers every pass of a session that was cut off, from the spool files in `folders`, and saves the session.
pub fn recover(store: &mut OpenSession, session: &mut Session, folders: &[PathBuf]) -> Report {
    recover_in_steps(store, session, folders, &mut |_| Ok(()))
}

/// The same; `hook` is asked before each step.
pub fn recover_in_steps(
    store: &mut OpenSession,
    session: &mut Session,
    folders: &[PathBuf],
    hook: StepHook<'_>,
) -> Report {
    let mut report = Report::default();
    if catch_up(store, session)
        && let Err(error) = store.save(session)
    {
        report.troubles.push(error.to_string());
    }
    let cut_off = session.takes().iter().filter(|take| take.state == TakeState::Recording);
    let passes: BTreeSet<u32> = cut_off.map(|take| take.pass).collect();
    for pass in passes {
        let mut recovery = PassRecovery { store, session, folders, hook, troubles: &mut report.troubles };
        match recovery.pass(pass) {
            Ok(Some(recovered)) => report.passes.push(recovered),
            Ok(None) => {}
            Err(reason) => report.troubles.push(reason),
        }
    }
    report.troubles.extend(leftover::sweep(store, session, folders, hook));
    report
}

fn remove(path: &Path, hook: StepHook<'_>) -> Result<(), String> {
    hook(Step::Remove).and_then(|()| std::fs::remove_file(path)).map_err(|error| messages::at(path, &error))
}
