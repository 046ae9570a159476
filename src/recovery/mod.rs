//! Recovery makes whole takes of the recording that a killed program left behind. Thread: any that may wait for the
//! disk; control at a start, or the command line.
//!
//! ```text
//!   spool files (sound that was not on the disk yet) --+
//!   progress page (frames that every take had) --------+--> WAV files --> session.json --> spool files are removed
//!   WAV files (sound that the committer had written) --+
//! ```
//!
//! The order makes recovery safe. First session.json lists the losses that only the memory knows. Then the WAV files of a
//! pass are written and made durable; each byte has only one place. Then session.json says that the takes are whole. Only
//! then the spool files are removed. A recovery that is stopped anywhere can be started again and finds at least as much as
//! before.
//!
//! Nothing is ended early and nothing is removed on a mere absence. A spool file that is not found proves that its sound
//! is gone only if the recovery looks from the right place ([`viewpoint`]); otherwise the takes stay as they are. A spool
//! file is removed only after a comparison with its takes has shown that they have all of it.
//!
//! Recovery holds the session lock. A running recorder also locks each spool file, so recovery of a copied session
//! never touches audio that is being recorded.
#![forbid(unsafe_code)]

pub mod copy;
pub mod evidence;
pub mod extract;
pub mod found_files;
pub mod leftover;
pub mod length;
pub mod mirror_gain;
pub mod viewpoint;
mod another_copy;
mod damage;
mod fill_holes;
mod ranges;
mod take_wav;
mod next_file;
mod part_files;
pub mod page_losses;
mod listed_losses;
mod lost_ranges;
mod recover_pass;
mod reopened;
mod replica;
#[cfg(test)]
mod tests;
mod messages;

use crate::host::disk;
use crate::session::session_file::{OpenSession, merge_copies, takes_in_copies_only};
use crate::session::{Session, Take, TakeState};
use crate::time::{Frames, SampleRate};
use evidence::FoundSpool;
use found_files::{find_files, may_have_file};
use length::Basis;
pub use messages::cause_of_absence;
use recover_pass::{NeverMade, PassRecovery, end_never_made};
use replica::Replica;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use take_wav::TakeWav;
use uuid::Uuid;
use viewpoint::Viewpoint;

/// A step of a recovery that changes something on a disk.
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

/// Called before each step. An error stops the recovery there, as if the program had been killed. For tests.
pub type StepHook<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

/// The result of a recovery.
#[derive(Debug, Default)]
pub struct Report {
    /// Passes that are whole now, by their number in the session.
    pub passes: Vec<RecoveredPass>,
    /// Takes whose files have other names than the session listed, takes whose copies got their names, in the session or in a
    /// mirror, and takes that had no track, a sentence each. The session lists the present names and the tracks now.
    pub found: Vec<String>,
    /// Problems, path first. The files that they name were kept.
    pub troubles: Vec<String>,
}

/// A pass that was cut off and is recovered.
#[derive(Clone, Debug)]
pub struct RecoveredPass {
    /// Length of the pass.
    pub frames: Frames,
    pub rate: SampleRate,
    /// The evidence for the length.
    pub basis: Basis,
    /// Session folders of mirrors that had sound which no file of the session and no memory had.
    pub from_mirrors: Vec<PathBuf>,
    /// Why the sound in memory is gone, if a file of the pass was not found and the session says where it was.
    pub memory_gone: Option<String>,
    /// Frames that the device lost. They are silence.
    pub lost: Frames,
    /// Frames for which there was no window, summed over the takes. They are silence.
    pub overrun: Frames,
    /// Frames that are neither in a file nor in memory, of the take that misses most. They are silence, and the takes
    /// list them.
    pub missing: Frames,
    /// Frames in which the device had no input for a take, of the take with most of them, without those that the session
    /// listed before. They are silence, and the takes list them.
    pub absent: Frames,
    /// The takes that this recovery finished.
    pub takes: Vec<RecoveredTake>,
}

/// A take that was cut off and is recovered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveredTake {
    /// The track's name.
    pub track: String,
    /// 0-based device channel of its first input.
    pub input: u32,
    /// The file, relative to the session.
    pub file: String,
    /// Frames in the file.
    pub frames: u64,
    /// Frames that were copied from the spool.
    pub recovered_frames: u64,
}

/// A take that was cut off and whose file can be written.
struct CutTake {
    take: Take,
    wav: TakeWav,
    /// The spool file. All files of a track in a pass share one spool, named after the first of them.
    spool: Option<FoundSpool>,
    /// The replica in the mirror that the spool names, or the session if no spool is left.
    mirror: Option<Replica>,
    /// Identity of the first file of the track in the pass. The progress page names the take by it.
    first: Uuid,
    /// The frame of the pass at which the take continues in another file. `None`: this is its last file.
    until: Option<Frames>,
    /// Whether the sound behind `until` stays in the file, because the file in which the take continues does not have it: it
    /// cannot be opened, or could not take the sound over.
    keeps_claim: bool,
    /// Frames copied from the spool.
    from_memory: Frames,
}

impl CutTake {
    /// Frames in this file of a pass of `frames` frames.
    fn frames(&self, frames: Frames) -> Frames {
        self.until.unwrap_or(frames) - self.take.offset
    }

    /// The frame of the pass at which this file ends. It is behind the end of the pass if the next files are out of reach.
    fn end(&self, pass_frames: Frames) -> Frames {
        self.take.offset + self.frames(pass_frames)
    }

    /// The frame of the pass up to which this file claims sound, if the take continues in another file before that frame.
    fn claim_behind_next(&self) -> Option<Frames> {
        let claim = self.take.offset + self.wav.claimed;
        self.until.filter(|until| *until < claim).map(|_| claim)
    }
}

impl Report {
    fn add_parts(&mut self, parts: Vec<part_files::Part>) {
        for part in parts {
            match part {
                part_files::Part::Taken(text) => self.found.push(text),
                part_files::Part::Left(text) => self.troubles.push(text),
            }
        }
    }
}

/// Whether the session has a take that was cut off or is being recorded.
pub fn is_needed(session: &Session) -> bool {
    session.takes().iter().any(|take| take.state == TakeState::Recording)
}

/// Why a recovery would add sound to a session that is only played or exported; `None`: it would not. A copy in an overflow
/// folder can list takes that the session does not, because its own disk failed first.
pub fn gain(path: &Path, session: &Session) -> Option<String> {
    match takes_in_copies_only(path, session, may_have_file) {
        0 if is_needed(session) => Some("a pass of it was cut off".to_owned()),
        0 => None,
        1 => Some("an overflow folder lists a take that it does not list yet".to_owned()),
        count => Some(format!("overflow folders list {count} takes that it does not list yet")),
    }
}

/// Recovers every pass of a session that was cut off, from the spool files in `folders`, and saves the session.
pub fn recover(store: &mut OpenSession, session: &mut Session, folders: &[PathBuf]) -> Report {
    recover_from(store, session, &Viewpoint::here(folders), &mut |_| Ok(()))
}

/// Recovers like [`recover`] as seen from `view`, and calls `hook` before each step.
pub fn recover_from(store: &mut OpenSession, session: &mut Session, view: &Viewpoint, hook: StepHook<'_>) -> Report {
    let mut report = Report::default();
    let mut merged = session.clone();
    let mut is_changed = next_file::list_folders(&mut merged, &view.folders_of(session));
    is_changed |= merge_copies(store, &mut merged, may_have_file, &mut report.troubles);
    let folders = view.folders_of(&merged);
    let is_in_use = |take: &Take| part_files::is_in_use(&merged, take, &folders);
    let parts = part_files::take_over_all(store.path(), &merged, &is_in_use, hook);
    let searched = find_files(store.path(), &mut merged);
    let placed = merged.add_missing_tracks();
    is_changed |= !searched.found.is_empty() || 0 < placed;
    report.troubles.extend(searched.troubles);
    if is_changed {
        *session = merged;
        report.troubles.extend(store.save(session).err().map(|error| error.to_string()));
    }
    if !searched.found.is_empty() || session.takes().iter().any(|take| take.state == TakeState::Recording) {
        // A restored version may list a take in `audio` whose file is in the trash. Recovery opens a file only where the session
        // lists it.
        let moved = store.move_trashed_files(session);
        report.troubles.extend(moved.err().into_iter().flatten().map(|error| error.to_string()));
    }
    report.found = searched.found;
    report.add_parts(parts);
    report.found.extend((0 < placed).then(|| messages::have_tracks_again(store.path(), placed)));
    let folders = view.folders_of(session);
    let cut_off = session.takes().iter().filter(|take| take.state == TakeState::Recording);
    let passes: BTreeSet<u32> = cut_off.map(|take| take.pass).collect();
    recover_passes(store, session, view, passes, hook, &mut report);
    for trouble in leftover::sweep(store, session, &folders, hook) {
        // The recovery of its pass may have said of a spool why it is kept.
        if !report.troubles.contains(&trouble) {
            report.troubles.push(trouble);
        }
    }
    report
}

fn recover_passes(
    store: &mut OpenSession,
    session: &mut Session,
    view: &Viewpoint,
    passes: BTreeSet<u32>,
    hook: StepHook<'_>,
    report: &mut Report,
) {
    let folders = &view.folders_of(session);
    let mut never_made = NeverMade::default();
    for pass in passes {
        let (found, troubles, never_made) = (&mut report.found, &mut report.troubles, &mut never_made);
        let unopened_replicas = BTreeSet::new();
        let mut recovery =
            PassRecovery { store, session, view, folders, hook, found, troubles, unopened_replicas, never_made };
        match recovery.pass(pass) {
            Ok(Some(recovered)) => report.passes.push(recovered),
            Ok(None) => {}
            Err(reason) => report.troubles.push(reason),
        }
    }
    if report.passes.iter().any(|pass| pass.memory_gone.is_some()) {
        report.troubles.extend(next_file::absent_folders(session).into_iter().map(messages::overflow_not_seen));
    }
    if let Err(reason) = end_never_made(store, session, never_made, &mut report.troubles) {
        report.troubles.push(reason);
    }
}

fn remove(path: &Path, hook: StepHook<'_>) -> Result<(), String> {
    hook(Step::Remove).and_then(|()| disk::remove(path)).map_err(|error| messages::at(path, &error))
}
