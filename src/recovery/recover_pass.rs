//! Recovers a pass that was cut off, in this order: evidence, length, WAV files, session.json, and only then the spool.
//! Thread: any that may wait for the disk.

use super::another_copy::{OtherFile, is_in_another_copy, other_file};
use super::evidence::{FoundProgress, FoundSpool, Rejected, SpoolFolder};
use super::fill_holes::FillError;
use super::leftover::{has_spool, is_in_takes};
use super::length::{Basis, PassKnown, TakeKnown, length};
use super::listed_losses::{
    forget_filled_losses, forget_losses_in_memory, lost_by_device, note_losses_of_earlier, note_missing,
    note_progress_page,
};
use super::replica::{Replica, mirrors_that_added, note_losses_of_mirrors};
use super::take_wav::{AtPlace, TakeWav};
use super::viewpoint::{Absence, Viewpoint};
use super::{CutTake, RecoveredPass, RecoveredTake, Step, StepHook, messages, next_file, remove};
use crate::butler::spool::{path_of, progress_path_of};
use crate::host;
use crate::session::session_file::{OpenSession, sync_take_folders};
use crate::session::{EditError, Session, Take, TakeId, TakeState};
use crate::time::{FramePos, Frames};
use crate::window::progress_page::Progress;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Seconds by which the wall clock may have been set back since the pass began.
const CLOCK_SLACK_SECONDS: u64 = 60;

/// The recovery of the passes of a session, one after the other.
pub(super) struct PassRecovery<'a> {
    pub(super) store: &'a mut OpenSession,
    pub(super) session: &'a mut Session,
    pub(super) view: &'a Viewpoint,
    pub(super) folders: &'a [SpoolFolder],
    pub(super) hook: StepHook<'a>,
    /// The messages for [`Report::found`](super::Report::found).
    pub(super) found: &'a mut Vec<String>,
    pub(super) troubles: &'a mut Vec<String>,
    /// Session folders of mirrors that have a replica which could not be opened.
    pub(super) unopened_replicas: BTreeSet<PathBuf>,
    /// Takes whose files were never made. [`end_never_made`] ends them, all with one save.
    pub(super) never_made: &'a mut NeverMade,
}

/// Takes that the session listed and whose files were never made.
#[derive(Default)]
pub(super) struct NeverMade {
    /// Takes of passes that never began. They end without frames.
    pub(super) empty: Vec<TakeId>,
    /// Takes of passes that never began, of which another program has made a file of the same name. A take without frames
    /// would have that file, so these are not listed any more.
    pub(super) foreign: Vec<TakeId>,
    /// Takes of passes that have begun, whose files are gone. The session notes that: a power cut takes the memory that shows it.
    pub(super) begun: Vec<TakeId>,
    /// Whether continuations were taken out of the session in memory.
    pub(super) has_withdrawn: bool,
}

/// A take that was cut off and whose file was never made, or is gone.
struct Absent {
    id: TakeId,
    found: AtPlace,
    reason: String,
    /// Whether the mirror has sound of this take.
    is_in_mirror: bool,
}

/// The decided facts of a pass, for the WAV headers and the session.
pub(super) struct PassOutcome {
    pub(super) frames: Frames,
    /// The start on the timeline. `None`: the progress page does not know; the session's value counts.
    began: Option<FramePos>,
    pub(super) progress: Progress,
    /// The pass was recorded in place, without spools: the files have sound beyond the claims of their headers.
    pub(super) all_on_disk: bool,
}

impl PassOutcome {
    /// The start of the pass on the timeline, for one of its takes.
    pub(super) fn begin_for(&self, take: &Take) -> FramePos {
        self.began.unwrap_or(FramePos(take.start.0.saturating_sub(take.offset.0)))
    }
}

impl PassRecovery<'_> {
    /// Recovers a pass. `None`: none of its takes could be opened. The error says why the pass was left as it is.
    pub(super) fn pass(&mut self, pass: u32) -> Result<Option<RecoveredPass>, String> {
        self.reopen_longer_files(pass);
        let takes: Vec<Take> = self.session.takes().iter().filter(|take| take.pass == pass).cloned().collect();
        let Some(first) = takes.first() else { return Ok(None) };
        let progress_page = self.progress_of(first)?;
        let progress = progress_page.as_ref().and_then(|progress_page| {
            let report_trouble =
                |rejected: &Rejected| self.troubles.push(format!("{}: {rejected}", progress_page.path.display()));
            progress_page.read().inspect_err(report_trouble).ok()
        });
        let cut_off: Vec<&Take> = takes.iter().filter(|take| take.state == TakeState::Recording).collect();
        let mut spools = Vec::with_capacity(cut_off.len());
        let mut is_rejected = false;
        for take in &cut_off {
            let told = self.troubles.len();
            let spool = self.spool_of(first_take_of_track(&takes, take))?;
            is_rejected |= spool.is_none() && told < self.troubles.len();
            spools.push(spool);
        }
        let memory_gone = self.memory_gone(&cut_off, &spools, progress_page.as_ref())?;
        let memory_gone =
            memory_gone.map(|reason| if is_rejected { messages::NOT_BELIEVED.to_owned() } else { reason });
        self.next_files_are_listed(cut_off.len(), &spools)?;
        let has_evidence = spools.iter().any(Option::is_some) || has_frames(progress.as_ref(), &takes);
        let lost = progress.as_ref().map_or(Frames(0), |progress| progress.lost + progress.overrun);
        let Some((mut cut_takes, absent)) = self.open_files(&takes, cut_off, spools, lost) else {
            return self.pass(pass);
        };
        let in_mirror = |cut: &CutTake| cut.mirror.as_ref().map_or(Frames(0), |replica| replica.claimed);
        let has_begun = has_evidence || cut_takes.iter().any(|cut| cut.wav.claimed.max(in_mirror(cut)) > Frames(0));
        self.decide_absent(absent, has_begun);
        if cut_takes.is_empty() {
            return Ok(None);
        }
        let known = pass_known(self.session, &takes, &cut_takes, progress.as_ref())?;
        let (frames, basis) = length(&known, || last_sound(&cut_takes))?;
        // A progress page whose length is not credible is not used for start and losses either.
        let progress = progress.filter(|progress| match basis {
            Basis::ProgressPage => true,
            // Another take of the pass was finished, and this one was not.
            Basis::Finished => progress.frames == Frames(frames),
            Basis::Spool | Basis::Disk => false,
        });
        let outcome = PassOutcome {
            frames: Frames(frames),
            began: progress.as_ref().and_then(|progress| progress.began),
            all_on_disk: progress.is_some()
                && progress_page.as_ref().is_some_and(|progress_page| !progress_page.identity.spooled),
            progress: progress.unwrap_or_default(),
        };
        // The sound of all takes before the first header. A power cut now destroys the spools, and the next recovery
        // then takes the longest header as the length: no header may claim more than every take has on its disk.
        for cut in &mut cut_takes {
            let copied = cut.copy_sound(outcome.frames, self.hook);
            copied.map_err(|error| messages::not_recovered(self.store.path(), cut, &error))?;
        }
        self.fill_next_files(&mut cut_takes, outcome.frames)?;
        let (absent, missing) = self.list_losses(&cut_takes, &outcome)?;
        // All files of the session before the first one of the mirror. The header that a recovery writes vouches for nothing:
        // beside a replica that is finished, a file of the session that is not would keep its shorter claim. The last file of a
        // take before the first one, which can claim more as long as it is not cut.
        for cut in cut_takes.iter_mut().rev() {
            let finished = cut.wav.check_length().and_then(|()| cut.finish(&outcome, self.hook));
            finished.map_err(|error| messages::not_recovered(self.store.path(), cut, &error))?;
        }
        for cut in &mut cut_takes {
            cut.finish_replica(&outcome, self.hook);
        }
        self.save(&cut_takes, &outcome)?;
        self.save_mirror(&cut_takes);
        let recovered = RecoveredPass {
            frames: cut_takes.iter().map(|cut| cut.end(outcome.frames)).fold(outcome.frames, Frames::max),
            rate: first.rate,
            basis,
            from_mirrors: mirrors_that_added(&cut_takes),
            memory_gone,
            lost: lost_by_device(self.session, &cut_takes, &outcome, absent),
            overrun: outcome.progress.overrun,
            missing,
            absent,
            takes: cut_takes.iter().map(|cut| cut.recovered(self.session, outcome.frames)).collect(),
        };
        if let Err(reason) = self.remove_evidence(cut_takes, progress_page) {
            // The pass is recovered. The next start removes the files that remain.
            self.troubles.push(reason);
        }
        Ok(Some(recovered))
    }

    /// Opens the files of the takes that were cut off. Returns those that can be written and those that were never made.
    /// `None`: a continuation was taken out of the session, so the takes of the pass are others now.
    fn open_files(
        &mut self,
        takes: &[Take],
        cut_off: Vec<&Take>,
        spools: Vec<Option<FoundSpool>>,
        lost: Frames,
    ) -> Option<(Vec<CutTake>, Vec<Absent>)> {
        let (mut cut_takes, mut absent) = (Vec::new(), Vec::new());
        for (take, spool) in cut_off.into_iter().zip(spools) {
            let first = first_take_of_track(takes, take);
            let unusable = match TakeWav::open(self.store, self.session, take) {
                Ok(wav) => {
                    // A mirror that is opened as a session is no second replica of itself.
                    let mirror = self.replica_of(spool.as_ref(), first, takes);
                    let mirror = mirror.filter(|mirror| mirror.wav.file_id() != wav.file_id());
                    cut_takes.push(self.cut_take(take.clone(), first.uuid, wav, spool, mirror, lost));
                    continue;
                }
                Err(unusable) => unusable,
            };
            let is_never_made = was_never_made(take, unusable.found, spool.as_ref());
            // The program ended after it listed a continuation and before the committer created its file. Drop the
            // continuation: the earlier file is then the last one of the take.
            if is_never_made && self.session.is_continuation(take) && self.session.forget_take(take.id).is_ok() {
                self.troubles.extend(messages::not_continued(&unusable, take, spool.as_ref()));
                self.never_made.has_withdrawn = true;
                self.reopen_last_of(take);
                return None;
            }
            let mirror = self.mirror_with_sound(spool.as_ref(), take, first);
            let reason = messages::left_alone(&unusable.reason, spool.as_ref(), mirror.as_deref());
            if is_never_made {
                absent.push(Absent { id: take.id, found: unusable.found, reason, is_in_mirror: mirror.is_some() });
            } else {
                self.troubles.push(reason);
            }
        }
        Some((cut_takes, absent))
    }

    /// A take that was cut off, with what was found of it.
    fn cut_take(
        &self,
        take: Take,
        first: Uuid,
        mut wav: TakeWav,
        spool: Option<FoundSpool>,
        mirror: Option<Replica>,
        lost: Frames,
    ) -> CutTake {
        let next = self.session.continuation_of(&take);
        let until = next.map(|next| next.offset);
        let is_away = |next: &Take| TakeWav::open(self.store, self.session, next).is_err();
        let keeps_claim = next.is_some_and(|next| wav.may_have_part(next) && is_away(next));
        if let Some(spool) = &spool {
            // A spool that cannot be read is said where its sound is copied.
            wav.compare_with_memory(spool, lost, until).ok();
        }
        CutTake { take, wav, spool, mirror, first, until, keeps_claim, from_memory: Frames(0) }
    }

    /// Copies sound behind the place where a take continues into its next files. An earlier recovery has made the file before
    /// longer, because it could not see the next one. This recovery cuts that file.
    fn fill_next_files(&mut self, cut_takes: &mut [CutTake], pass_frames: Frames) -> Result<(), String> {
        for at in 1..cut_takes.len() {
            let (before, next) = cut_takes.split_at_mut(at);
            let (first, next) = (next[0].first, &mut next[0]);
            for earlier in before.iter_mut().filter(|earlier| earlier.first == first) {
                let claim = earlier.claim_behind_next().map(|claim| claim.min(next.until.unwrap_or(pass_frames)));
                let Some(claim) = claim.filter(|claim| next.take.offset < *claim) else { continue };
                match next.wav.fill_holes_from(&earlier.wav, claim - next.take.offset, self.hook) {
                    Ok(()) => next.wav.has_from_earlier(claim),
                    Err(FillError::Own(error)) => return Err(messages::not_recovered(self.store.path(), next, &error)),
                    Err(FillError::Other(error)) => {
                        earlier.keeps_claim = true;
                        self.troubles.push(messages::earlier_not_read(self.store.path(), &earlier.take, &error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Decides on the takes whose files do not exist. If nothing of the pass has a frame, the program was killed after it had
    /// saved the session and before it created the files: the takes end without frames. Otherwise somebody has removed the
    /// files, and the takes are left as they are.
    fn decide_absent(&mut self, absent: Vec<Absent>, has_begun: bool) {
        let has_begun = has_begun || absent.iter().any(|absent| absent.is_in_mirror);
        for Absent { id, found, reason, .. } in absent {
            match found {
                _ if has_begun => {
                    self.troubles.push(reason);
                    self.never_made.begun.push(id);
                }
                AtPlace::Foreign => self.never_made.foreign.push(id),
                AtPlace::Nothing | AtPlace::Unknown => self.never_made.empty.push(id),
            }
        }
    }

    /// The reason why memory of the pass is gone; `None` if all of its files were found, or if the session is of an
    /// earlier program and says nothing. An error if the memory may exist out of sight: the pass then stays as it is.
    fn memory_gone(
        &self,
        cut_off: &[&Take],
        spools: &[Option<FoundSpool>],
        progress_page: Option<&FoundProgress>,
    ) -> Result<Option<String>, String> {
        let needs_spools = progress_page.is_none_or(|progress_page| progress_page.identity.spooled);
        if progress_page.is_some() && (!needs_spools || spools.iter().all(Option::is_some)) {
            return Ok(None);
        }
        let Some(record) = cut_off.iter().find_map(|take| take.spool.as_ref()) else { return Ok(None) };
        match self.view.absence(record) {
            Absence::Gone(reason) => Ok(Some(reason)),
            Absence::Unproven(hidden) => {
                Err(messages::memory_not_seen(self.store.path(), cut_off.len(), record, &hidden))
            }
        }
    }

    /// Saves the losses of the takes: those that only the memory of the pass knows, and the sound that was not found. This comes
    /// before the headers, because these claim the silence of the losses, and a power cut takes the memory away. Returns the most
    /// frames in which the input of a take was absent, and the most missing ones of a take.
    fn list_losses(&mut self, cut_takes: &[CutTake], outcome: &PassOutcome) -> Result<(Frames, Frames), String> {
        let mut listed = self.session.clone();
        let absent = note_progress_page(&mut listed, cut_takes, outcome);
        note_losses_of_earlier(&mut listed, cut_takes, outcome);
        note_losses_of_mirrors(&mut listed, cut_takes, outcome.frames);
        let mut missing = Frames(0);
        for cut in cut_takes {
            forget_filled_losses(&mut listed, cut);
            let lost = forget_losses_in_memory(&mut listed, cut, outcome)
                .and_then(|()| note_missing(&mut listed, cut, outcome))
                // A file that another program cuts just now lacks sound that the next recovery may find.
                .and_then(|lost| cut.wav.check_length().map(|()| lost));
            missing = missing.max(lost.map_err(|error| messages::not_recovered(self.store.path(), cut, &error))?);
        }
        if listed.takes() != self.session.takes() {
            (self.hook)(Step::Session).map_err(|error| messages::at(self.store.path(), &error))?;
        }
        // Also if it lists nothing new: a kill may have come before the name of the saved file was durable.
        self.store.save(&listed).map_err(|error| error.to_string())?;
        *self.session = listed;
        Ok((absent, missing))
    }

    /// Saves a session in which the takes are recovered. The session in memory becomes that one only when it is saved.
    fn save(&mut self, cut_takes: &[CutTake], outcome: &PassOutcome) -> Result<(), String> {
        let takes = cut_takes.iter().map(|cut| &cut.take);
        sync_take_folders(self.store, self.session, takes).map_err(|error| error.to_string())?;
        let mut recovered = self.session.clone();
        for cut in cut_takes {
            mark_recovered(&mut recovered, cut, outcome).map_err(|error| error.to_string())?;
            recovered.account_for_listed_losses(cut.take.id).map_err(|error| error.to_string())?;
        }
        (self.hook)(Step::Session).map_err(|error| messages::at(self.store.path(), &error))?;
        self.store.save(&recovered).map_err(|error| error.to_string())?;
        *self.session = recovered;
        Ok(())
    }

    /// An error if a take went on in a file that the session does not list, although the copies of the session that are
    /// connected were asked. The pass then stays as it is, because its sound is in that file.
    fn next_files_are_listed(&self, takes: usize, spools: &[Option<FoundSpool>]) -> Result<(), String> {
        let unlisted = spools.iter().flatten().find_map(|spool| next_file::unlisted(self.session, spool));
        match unlisted.filter(|_| !self.view.without_memory) {
            Some(next) => Err(messages::next_file_not_seen(self.store.path(), takes, &next.folder)),
            None => Ok(()),
        }
    }

    /// Removes the spool files whose sound is in the takes. Keeps files that a copy of the session may still need.
    fn remove_evidence(&mut self, cut_takes: Vec<CutTake>, progress_page: Option<FoundProgress>) -> Result<(), String> {
        let recorded = progress_page.as_ref().and_then(|page| page.read().ok()).map(|progress| progress.frames);
        let (mut wanted, mut kept) = (false, Vec::new());
        for cut in cut_takes {
            let Some(spool) = cut.spool else { continue };
            let own = cut.until.is_some() || self.session.is_continuation(&cut.take);
            // The spool has the path of the first file only.
            let is_first = cut.take.uuid == spool.identity.take;
            let other = if is_first { other_file(&spool, &cut.take, Some(&cut.wav)) } else { OtherFile::None };
            if other == OtherFile::Away {
                self.troubles.push(messages::kept_for_absent(&spool));
                kept.push(spool.identity.take);
            }
            if kept.contains(&spool.identity.take) || (other == OtherFile::There && !own) {
                wanted = true;
            } else if cut.until.is_some() {
                // The spool goes with the last file of the take.
            } else if is_in_takes(self.store, self.session, &spool, recorded) {
                remove(&spool.path, self.hook)?;
            } else {
                wanted = true;
                // A damaged index was reported before.
                self.troubles.extend((spool.damaged_slots() == 0).then(|| messages::has_more(&spool)));
            }
        }
        if let Some(progress_page) = progress_page.filter(|_| !wanted)
            && !progress_is_needed(self.store, self.session, &progress_page)
            && !has_spool(self.session, &progress_page)
        {
            remove(&progress_page.path, self.hook)?;
        }
        Ok(())
    }

    /// The spool of a take, if an acceptable one exists. Reports and keeps a file that is rejected.
    fn spool_of(&mut self, take: &Take) -> Result<Option<FoundSpool>, String> {
        let (session, frame_bytes) = (self.session.id, take.format.bytes() * take.channels as usize);
        self.find(take.uuid, path_of, |path, owner| {
            let spool = FoundSpool::open_of(path, owner)?;
            let its = &spool.identity;
            let ours = its.take == take.uuid && its.session == session && its.frame_bytes == frame_bytes;
            // The path says nothing: the session may have been moved since, and the file may have another name.
            Ok((ours, spool))
        })
        .inspect(|spool| self.troubles.extend(spool.as_ref().and_then(messages::damaged_slots)))
    }

    /// The progress page of the pass whose first take is `first`, if an acceptable one exists.
    fn progress_of(&mut self, first: &Take) -> Result<Option<FoundProgress>, String> {
        let session = self.session.id;
        self.find(first.uuid, progress_path_of, |path, owner| {
            let progress_page = FoundProgress::open_of(path, owner)?;
            let its = &progress_page.identity;
            Ok((its.pass == first.uuid && its.session == session, progress_page))
        })
    }

    /// Opens the first acceptable file with this name in the spool folders. `open` returns whether the file belongs to
    /// the take in question.
    fn find<T>(
        &mut self,
        identity: Uuid,
        name: fn(&Path, Uuid) -> PathBuf,
        open: impl Fn(&Path, u32) -> Result<(bool, T), Rejected>,
    ) -> Result<Option<T>, String> {
        for folder in self.folders {
            let path = name(&folder.path, identity);
            let rejected = match open(&path, folder.owner) {
                Ok((true, found)) => return Ok(Some(found)),
                Ok((false, _)) => Rejected::NotOurs("it names another take or session"),
                Err(Rejected::Missing) => continue,
                // The reason may be gone at the next start. Leave the pass alone until then, or its sound would be
                // lost.
                Err(rejected @ (Rejected::InUse | Rejected::Io(_))) => {
                    return Err(format!("{}: {rejected}; its pass is left as it is", path.display()));
                }
                Err(rejected) => rejected,
            };
            self.troubles.push(format!("{}: {rejected}; it is kept", path.display()));
        }
        Ok(None)
    }
}

/// Whether the file of a take was never made: it does not exist although its folder does, or another program has made a
/// file of its name, and the committer never went on in it. No disk has more of a take that has frames in the session
/// already, so such a take is left as it is.
fn was_never_made(take: &Take, found: AtPlace, spool: Option<&FoundSpool>) -> bool {
    let went_on_in = |spool: &FoundSpool| spool.next_file().is_some_and(|next| next.take == take.uuid);
    found != AtPlace::Unknown && take.frames == Frames(0) && !spool.is_some_and(went_on_in)
}

/// Ends takes without frames whose files were never made, and saves the session.
pub(super) fn end_never_made(
    store: &mut OpenSession,
    session: &mut Session,
    takes: NeverMade,
    troubles: &mut Vec<String>,
) -> Result<(), String> {
    let mut ended = session.clone();
    for id in takes.begun {
        ended.note_has_frames(id).map_err(|error| error.to_string())?;
    }
    if takes.empty.is_empty() && takes.foreign.is_empty() && !takes.has_withdrawn && ended == *session {
        return Ok(());
    }
    let path_of =
        |session: &Session, id: TakeId| store.path().join(session.take(id).map_or_else(String::new, Take::path));
    for id in takes.empty {
        let path = path_of(&ended, id);
        ended.finish_take(id, Frames(0), TakeState::Recovered, None).map_err(|error| error.to_string())?;
        troubles.push(messages::never_made(&path));
    }
    for id in takes.foreign {
        let path = path_of(&ended, id);
        ended.forget_take(id).map_err(|error| error.to_string())?;
        troubles.push(messages::taken_by_another(&path));
    }
    store.save(&ended).map_err(|error| error.to_string())?;
    *session = ended;
    Ok(())
}

impl CutTake {
    /// Copies the sound that is in the spool, and fills holes from the other replica, in both directions.
    fn copy_sound(&mut self, pass_frames: Frames, hook: StepHook<'_>) -> io::Result<()> {
        let frames = self.frames(pass_frames);
        self.wav.keep_change(hook)?;
        if let Some(spool) = &self.spool {
            self.from_memory = self.wav.copy_from_spool(spool, frames, hook)?;
        }
        self.exchange_sound(pass_frames, hook)?;
        self.wav.note_length()
    }

    /// Sets length and header of the file.
    fn finish(&mut self, outcome: &PassOutcome, hook: StepHook<'_>) -> io::Result<()> {
        let (frames, began) = (self.frames(outcome.frames), outcome.begin_for(&self.take));
        // While the next file is out of reach, nothing is cut off: it may never have been made, and the disk of this one may have
        // taken sound again, without a header that claims it. A mirror that is opened as a session has the whole pass here.
        let there = || self.wav.frames_of_sound().min(outcome.frames - self.take.offset);
        let kept = if self.keeps_claim { frames.max(self.wav.claimed).max(there()) } else { frames };
        self.wav.finish(kept, began, self.spool.as_ref(), hook)
    }

    fn recovered(&self, session: &Session, frames: Frames) -> RecoveredTake {
        RecoveredTake {
            track: session.track(self.take.track).map_or_else(String::new, |track| track.name().to_owned()),
            input: self.take.inputs.first().copied().unwrap_or(0),
            file: self.take.file.clone(),
            frames: self.frames(frames).0,
            recovered_frames: self.from_memory.0,
        }
    }
}

/// Whether a recovery of this session or of a copy of it may still need the progress page. Yes for a pass that the
/// session does not list.
pub(super) fn progress_is_needed(store: &OpenSession, session: &Session, progress_page: &FoundProgress) -> bool {
    let Some(first) = session.takes().iter().find(|take| take.uuid == progress_page.identity.pass) else { return true };
    let cut_off = |take: &Take| take.pass == first.pass && take.state == TakeState::Recording;
    let file_id = || TakeWav::open(store, session, first).ok().and_then(|wav| wav.file_id());
    session.takes().iter().any(cut_off) || is_in_another_copy(&progress_page.identity.wav, first, file_id())
}

/// Whether the progress page or a take says that the pass has frames.
fn has_frames(progress: Option<&Progress>, takes: &[Take]) -> bool {
    progress.is_some_and(|progress| progress.frames > Frames(0))
        || takes.iter().any(|take| take.state != TakeState::Recording || take.frames > Frames(0))
}

/// The first file of the take's track in the pass.
pub(super) fn first_take_of_track<'a>(takes: &'a [Take], take: &'a Take) -> &'a Take {
    takes.iter().find(|first| first.track == take.track && first.offset == Frames(0)).unwrap_or(take)
}

/// Collects the evidence for the length of a pass.
fn pass_known(
    session: &Session,
    takes: &[Take],
    cut_takes: &[CutTake],
    progress: Option<&Progress>,
) -> Result<PassKnown, String> {
    let mut known = Vec::with_capacity(takes.len());
    for take in takes {
        let cut = cut_takes.iter().find(|cut| cut.take.id == take.id);
        // A file that has a continuation says nothing about the end of the pass, unless a recovery that could not see the
        // continuation has made it longer.
        if session.continuation_of(take).is_some() {
            continue;
        }
        // A take of a pass that ended and whose disk then failed has accounts. One that was opened again has none.
        let has_ended = take.frames > Frames(0) && take.accounts.is_some();
        let is_finished = take.state != TakeState::Recording || has_ended;
        let finished = is_finished.then_some((take.offset + take.frames).0);
        // A take whose file cannot be opened and that was not finished says nothing.
        if cut.is_none() && finished.is_none() {
            continue;
        }
        let spool = cut.and_then(|cut| cut.spool.as_ref());
        let memory_end =
            spool.map(|spool| spool.memory_end().map_err(|error| messages::at(&spool.path, &error))).transpose()?;
        let in_mirror = cut.and_then(|cut| cut.mirror.as_ref()).map_or(Frames(0), |replica| replica.claimed);
        let of_track = |cut: &&CutTake| first_take_of_track(takes, &cut.take).id == first_take_of_track(takes, take).id;
        let earlier =
            cut_takes.iter().filter(of_track).filter_map(CutTake::claim_behind_next).max().unwrap_or(Frames(0));
        let claimed_frames = cut.map_or(0, |cut| (take.offset + cut.wav.claimed).max(in_mirror).max(earlier).0);
        known.push(TakeKnown { claimed_frames, memory_end, finished });
    }
    let clock = takes.first().and_then(|take| {
        let began: jiff::Timestamp = take.started.parse().ok()?;
        let seconds = u64::try_from(host::timestamp().duration_since(began).as_secs()).ok()?;
        Some((seconds + CLOCK_SLACK_SECONDS).saturating_mul(u64::from(take.rate.0)))
    });
    Ok(PassKnown { takes: known, progress_page: progress.map(|progress| progress.frames.0), clock })
}

/// The frame after the last one that is not silent in any spool.
fn last_sound(cut_takes: &[CutTake]) -> Result<u64, String> {
    let mut most = 0;
    for spool in cut_takes.iter().filter_map(|cut| cut.spool.as_ref()) {
        most = most.max(spool.last_sound().map_err(|error| messages::at(&spool.path, &error))?);
    }
    Ok(most)
}

/// Writes a recovered take into the session: start, length, state, and a region if it has none.
fn mark_recovered(session: &mut Session, cut: &CutTake, outcome: &PassOutcome) -> Result<(), EditError> {
    let take = &cut.take;
    let frames = cut.frames(outcome.frames);
    session.set_take_start(take.id, outcome.begin_for(take))?;
    // The accounts are known only if the pass ended regularly and its disk then failed. Keep them.
    session.finish_take(take.id, frames, TakeState::Recovered, take.accounts.clone())?;
    session.lengthen_regions(take.id, take.frames);
    if frames == Frames(0) || take.trashed {
        return Ok(());
    }
    // An earlier session.json that the user has restored lacks the track. Without room for it, the take is listed alone.
    session.ensure_track_of(take.id).ok();
    let placed = session.tracks().iter().any(|track| track.regions().iter().any(|region| region.take == take.id));
    let track = session.take(take.id).map(|take| take.track).filter(|track| session.track(*track).is_some());
    if let Some(track) = track.filter(|_| !placed) {
        // If the track cannot have more regions, the take stays without one.
        session.place_take(track, take.id).ok();
    }
    Ok(())
}
