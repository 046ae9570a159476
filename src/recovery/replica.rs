//! The replicas of a pass in its mirror: finds and opens them, exchanges sound with them, and finishes them. Thread: any that may wait
//! for the disk.

use super::evidence::FoundSpool;
use super::fill_holes::FillError;
use super::found_files::find_replica;
use super::listed_losses::note_losses_of_copy;
use super::mirror_gain::{gain_of, take_over_losses};
use super::part_files::{self, Part};
use super::recover_pass::{PassOutcome, PassRecovery};
use super::take_wav::{AtPlace, TakeWav, Unusable};
use super::{CutTake, StepHook, messages};
use crate::host::disk;
use crate::session::session_file::{
    OpenSession, SessionError, TakeFiles, TakeFolder, open_copy_to_write, open_read_only,
};
use crate::session::{CopyKind, Session, Take};
use crate::time::{FramePos, Frames};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The replica of a take in the mirror. It holds the whole pass of its track.
pub(super) struct Replica {
    pub(super) wav: TakeWav,
    /// The session folder of the mirror.
    pub(super) folder: PathBuf,
    /// Frames of the pass that its recording has claimed, if no memory of the take is left. Otherwise the memory knows more.
    pub(super) claimed: Frames,
    /// Whether the file of the session got sound from it that no header of that file claimed.
    pub(super) has_added: bool,
    /// Whether the file of the session got all sound that only this file had.
    is_copied: bool,
    /// Whether the file can be written. If not, it gives its sound and stays as it is.
    may_write: bool,
    /// Why it is not recovered.
    trouble: Option<String>,
}

impl Replica {
    /// Its file, if the take has all sound that only this file had. An error hides which part the take lacks.
    pub(super) fn copied(&self) -> Option<&TakeWav> {
        Some(&self.wav).filter(|_| self.is_copied)
    }
}

impl TakeWav {
    /// Opens the replica of a take in the mirror. `take` is the first file of its track: the replica holds the whole
    /// pass, because only the session's side continues in other files. A file that cannot be written is opened to read; the
    /// second result is then the reason.
    pub(super) fn open_mirror(
        path: &Path,
        session: &Session,
        take: &Take,
    ) -> Result<(TakeWav, Option<String>), Unusable> {
        let (mut path, mut opened) = (path.to_owned(), open_copy_to_write(path, session));
        if matches!(opened, Err(SessionError::Missing { .. }))
            && let Some(found) = find_replica(&path, take)
        {
            opened = open_copy_to_write(&found, session);
            path = found;
        }
        let (file, unwritable) = match opened {
            Ok(file) => (file, None),
            Err(error) => {
                let is_missing = matches!(error, SessionError::Missing { .. });
                let found = if is_missing { AtPlace::Nothing } else { AtPlace::Unknown };
                let reason = error.to_string();
                let file = open_copy(&path, session).ok_or_else(|| Unusable { reason: reason.clone(), found })?;
                (file, Some(reason))
            }
        };
        Ok((TakeWav::of(file, &path, session, take, Frames(0))?, unwritable))
    }

    /// Opens the replica of a take in the mirror to read. `None`: there is none that can be read.
    pub(super) fn read_mirror(path: &Path, session: &Session, take: &Take) -> Option<TakeWav> {
        let named = |path: PathBuf| Some((open_copy(&path, session)?, path));
        let (file, path) = named(path.to_owned()).or_else(|| named(find_replica(path, take)?))?;
        TakeWav::of(file, &path, session, take, Frames(0)).ok()
    }
}

/// Opens a file of a mirror's folder `audio` to read. The mirror must hold a copy of this session.
fn open_copy(path: &Path, session: &Session) -> Option<File> {
    let files = TakeFiles::with_copy_of(path.parent()?.parent()?, session.id).ok()?;
    files.open(TakeFolder::Audio, path.file_name()?.to_str()?).ok()?
}

impl PassRecovery<'_> {
    /// The replica of a take that was cut off, of which `first` is the first file. The spool names it, or the session, if no
    /// spool is left. `takes`: those of the pass. A take that a recovery has finished, and that was opened again, names no mirror
    /// any more, and the file in which it continues does. Reports a replica that cannot be opened.
    pub(super) fn replica_of(&mut self, spool: Option<&FoundSpool>, first: &Take, takes: &[Take]) -> Option<Replica> {
        let mut of_track = takes.iter().filter(|take| take.track == first.track);
        let named = of_track.find_map(|take| take.spool.as_ref()?.mirror.as_ref());
        let path = match spool {
            Some(spool) => spool.identity.mirror.clone()?,
            // The mirror has the name in `audio`, wherever the session's own file is.
            None => Path::new(named?).join(&first.file),
        };
        let folder = path.parent()?.parent()?.to_owned();
        let files = TakeFiles::with_copy_of(&folder, self.session.id).ok();
        let part = files.and_then(|files| part_files::take_over(&files, self.session, first, &|_| false, self.hook));
        match part {
            Some(Part::Taken(text)) => self.found.push(messages::of_replica(&text)),
            Some(Part::Left(text)) => self.troubles.push(messages::of_replica(&text)),
            None => {}
        }
        match TakeWav::open_mirror(&path, self.session, first) {
            Ok((wav, unwritable)) => {
                let claimed = if spool.is_some() { Frames(0) } else { wav.recorded_claim() };
                let may_write = unwritable.is_none();
                let trouble = unwritable.as_deref().map(messages::replica_only_read);
                Some(Replica { wav, folder, claimed, has_added: false, is_copied: false, may_write, trouble })
            }
            Err(Unusable { reason, found }) => {
                let is_there = |path: &Path| disk::metadata(path).is_ok();
                let trouble = match (spool.is_some(), is_there(&folder)) {
                    // The mirror did not get this pass.
                    (false, true) if !is_there(&path) => return None,
                    (_, false) => messages::mirror_not_seen(&folder),
                    _ if found == AtPlace::Unknown => messages::of_replica(&messages::replica_not_opened(&reason)),
                    _ => messages::of_replica(&messages::stays_short(&reason)),
                };
                if !self.troubles.contains(&trouble) {
                    self.troubles.push(trouble);
                }
                self.unopened_replicas.insert(folder);
                None
            }
        }
    }

    /// The folder of the mirror that has sound of a take whose own file is not there. `first`: the first file of the take.
    pub(super) fn mirror_with_sound(&self, spool: Option<&FoundSpool>, take: &Take, first: &Take) -> Option<PathBuf> {
        let named = || Some(Path::new(take.spool.as_ref()?.mirror.as_ref()?).join(&first.file));
        let path = spool.and_then(|spool| spool.identity.mirror.clone()).or_else(named)?;
        let has_sound = TakeWav::read_mirror(&path, self.session, first).is_some_and(|wav| Frames(0) < wav.claimed);
        path.parent()?.parent().filter(|_| has_sound).map(Path::to_owned)
    }

    /// Saves the session in the mirror too, if all replicas there are recovered, and reports the others.
    pub(super) fn save_mirror(&mut self, cut_takes: &[CutTake]) {
        let replicas = || cut_takes.iter().filter_map(|cut| Some((cut, cut.mirror.as_ref()?)));
        for (cut, reason) in replicas().filter_map(|(cut, replica)| Some((cut, replica.trouble.as_ref()?))) {
            self.troubles.push(messages::of_replica(&format!("{}: {reason}", cut.take.file)));
        }
        let folders: BTreeSet<&Path> = replicas().map(|(_, replica)| replica.folder.as_path()).collect();
        let in_trouble = replicas().filter(|(_, replica)| replica.trouble.is_some());
        let mut in_trouble: BTreeSet<&Path> = in_trouble.map(|(_, replica)| replica.folder.as_path()).collect();
        in_trouble.extend(self.unopened_replicas.iter().map(PathBuf::as_path));
        // The copy would list a take as recovered whose file there is not, and no recovery of the mirror would finish that file.
        for folder in folders.difference(&in_trouble) {
            let saved = OpenSession::open_on_other_disk(folder, self.session).and_then(|(mut store, found)| {
                self.troubles.extend(found.damaged);
                let path = store.path().display().to_string();
                let lists_more = |copy: &Session| {
                    let kind = CopyKind::Mirror(&path);
                    let mut merged = self.session.clone();
                    merged.merge_newer_takes(&copy.copy_for_folder("", &path), kind, |_| false)
                        || take_over_losses(&mut merged, copy)
                };
                let has_more = |copy: &Session| {
                    let gain = gain_of(store.path(), copy, self.session, self.store.path());
                    !matches!(gain, Ok(None))
                };
                // A mirror that was recorded into by itself, has more of a take, or lists a loss alone, keeps its list of takes.
                // Naming it as mirror again takes them over.
                let keeps = found.copy.as_ref().is_some_and(|copy| lists_more(copy) || has_more(copy));
                if keeps { Ok(()) } else { store.save(self.session) }
            });
            if let Err(error) = saved {
                self.troubles.push(format!("mirror: {error}"));
            }
        }
    }
}

impl CutTake {
    /// Fills holes of the file from its replica, and those of the replica from the spool and the file.
    pub(super) fn exchange_sound(&mut self, pass_frames: Frames, hook: StepHook<'_>) -> io::Result<()> {
        let frames = self.frames(pass_frames);
        let Some(replica) = &mut self.mirror else { return Ok(()) };
        // The mirror's disk may be gone. Its errors must not stop the recovery of the session's takes.
        match self.wav.fill_holes_from(&replica.wav, frames, hook) {
            Ok(()) => {}
            Err(FillError::Own(error)) => return Err(error),
            Err(FillError::Other(error)) => {
                replica.trouble = Some(messages::replica_not_read(&error));
                return Ok(());
            }
        }
        replica.is_copied = true;
        let are_sure = replica.claimed <= replica.wav.vouched();
        replica.has_added = self.wav.has_now(replica.claimed.min(pass_frames), are_sure, frames);
        if !replica.may_write {
            return Ok(());
        }
        let copied =
            self.spool.as_ref().map_or(Ok(Frames(0)), |spool| replica.wav.copy_from_spool(spool, pass_frames, hook));
        let filled = copied.map_err(FillError::Own);
        let filled = filled.and_then(|_| replica.wav.fill_holes_from(&self.wav, pass_frames, hook));
        replica.trouble = filled.err().map(|error| match error {
            FillError::Own(error) => messages::stays_short(&error.to_string()),
            FillError::Other(error) => {
                messages::stays_short(&format!("the file of the session cannot be read: {error}"))
            }
        });
        Ok(())
    }

    /// Sets length and header of the replica.
    pub(super) fn finish_replica(&mut self, outcome: &PassOutcome, hook: StepHook<'_>) {
        let (pass_frames, began) = (outcome.frames, outcome.begin_for(&self.take));
        let without_memory = self.spool.is_none();
        if let Some(replica) = self.mirror.as_mut().filter(|it| it.trouble.is_none() || (it.is_copied && !it.may_write))
        {
            // Its sound may be true, although nothing says how much of it: another recovery of it has seen the memory.
            if without_memory && pass_frames < replica.wav.claimed {
                replica.trouble = Some(messages::REPLICA_HAS_MORE.to_owned());
            }
            if replica.trouble.is_some() {
                return;
            }
            let finished = replica.wav.finish(pass_frames, began, self.spool.as_ref(), hook);
            replica.trouble = finished.err().map(|error| messages::stays_short(&error.to_string()));
        }
    }
}

/// The session folders of the mirrors from which files got sound.
pub(super) fn mirrors_that_added(cut_takes: &[CutTake]) -> Vec<PathBuf> {
    let replicas = cut_takes.iter().filter_map(|cut| cut.mirror.as_ref()).filter(|replica| replica.has_added);
    replicas.map(|replica| replica.folder.clone()).collect::<BTreeSet<PathBuf>>().into_iter().collect()
}

/// Writes the losses that only the copy of the session in the mirror lists into the takes of which no memory is left. The
/// session's own disk may have refused the save that lists them. A header claims the silence of a loss when the session or the
/// overflow folder lists it, or three seconds after it was reported.
pub(super) fn note_losses_of_mirrors(session: &mut Session, cut_takes: &[CutTake], pass_frames: Frames) {
    let mut copies: Vec<(&Path, Option<Session>)> = Vec::new();
    let without_memory = cut_takes.iter().filter(|cut| cut.spool.is_none());
    for (cut, replica) in without_memory.filter_map(|cut| Some((cut, cut.mirror.as_ref()?))) {
        if !copies.iter().any(|(folder, _)| *folder == replica.folder) {
            copies.push((&replica.folder, open_read_only(&replica.folder).ok()));
        }
        let copy = copies.iter().find(|(folder, _)| *folder == replica.folder).and_then(|(_, copy)| copy.as_ref());
        if let Some(copy) = copy.filter(|copy| copy.id == session.id) {
            let until = FramePos(cut.take.offset.0) + cut.frames(pass_frames);
            note_losses_of_copy(session, copy, &cut.take, cut.first, until);
        }
    }
}
