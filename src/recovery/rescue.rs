//! One pass that was cut off: evidence, length, files, session, and only then the spool. Thread: any that may wait for the
//! disk.

use super::evidence::{Doubt, LeftSpool, LeftTally};
use super::length::{Basis, PassKnown, TakeKnown, length};
use super::mend::{TakeWav, is_elsewhere_too};
use super::{GoOn, Patient, RecoveredPass, RecoveredTake, Step, remove, words};
use crate::butler::spool::{path_of, tally_path_of};
use crate::device::LossCause;
use crate::session::session_file::OpenSession;
use crate::session::{EditError, Session, Take, TakeState};
use crate::time::{FramePos, Frames};
use crate::window::tally::Tallied;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Seconds by which the clock on the wall may have been set meanwhile.
const CLOCK_SLACK_SECONDS: u64 = 60;

/// What a recovery has in hand.
pub(super) struct Rescue<'a> {
    pub(super) store: &'a mut OpenSession,
    pub(super) session: &'a mut Session,
    pub(super) folders: &'a [PathBuf],
    pub(super) go_on: GoOn<'a>,
    pub(super) troubles: &'a mut Vec<String>,
}

/// What the session is to be told.
struct Verdict {
    frames: Frames,
    began: Option<FramePos>,
    tallied: Tallied,
    /// What headers do not claim yet is in the files all the same: they were recorded into, without a spool.
    all_on_disk: bool,
}

impl Rescue<'_> {
    /// Recovers a pass. `None`: none of its takes could be looked at. The error says why it was left as it is.
    pub(super) fn pass(&mut self, pass: u32) -> Result<Option<RecoveredPass>, String> {
        let takes: Vec<Take> = self.session.takes().iter().filter(|take| take.pass == pass).cloned().collect();
        let Some(first) = takes.first() else { return Ok(None) };
        let tally = self.tally_of(first)?;
        let tallied = tally.as_ref().and_then(|tally| {
            let told = |doubt: &Doubt| self.troubles.push(format!("{}: {doubt}", tally.path.display()));
            tally.read().inspect_err(told).ok()
        });
        let mut patients = Vec::new();
        for take in takes.iter().filter(|take| take.state == TakeState::Recording) {
            let spool = self.spool_of(take)?;
            match TakeWav::open(self.store, self.session, take) {
                Ok(wav) => patients.push(Patient { take: take.clone(), wav, spool, from_memory: Frames(0) }),
                Err(reason) => self.troubles.push(words::left_alone(&reason, spool.as_ref())),
            }
        }
        if patients.is_empty() {
            return Ok(None);
        }
        let known = known(&takes, &patients, tallied.as_ref())?;
        let (frames, basis) = length(&known, || heard(&patients))?;
        // What else the tally says is believed where its length is.
        let tallied = tallied.filter(|_| basis == Basis::Tally);
        let verdict = Verdict {
            frames: Frames(frames),
            began: tallied.as_ref().and_then(|tallied| tallied.began),
            all_on_disk: tallied.is_some() && tally.as_ref().is_some_and(|tally| !tally.identity.spooled),
            tallied: tallied.unwrap_or_default(),
        };
        // The sound of all of them first: should the power go meanwhile, memory goes with it, and no header may say how long
        // the pass is that is ahead of another take's sound.
        for patient in &mut patients {
            let taken = patient.take_over(verdict.frames, self.go_on);
            taken.map_err(|error| words::not_mended(self.store.path(), patient, &error))?;
        }
        for patient in &mut patients {
            let began = verdict.began.unwrap_or(patient.take.start);
            let finished = patient.wav.finish(verdict.frames, began, self.go_on);
            finished.map_err(|error| words::not_mended(self.store.path(), patient, &error))?;
        }
        self.save(&patients, &verdict)?;
        let recovered = RecoveredPass {
            frames: verdict.frames,
            rate: first.rate,
            basis,
            lost: verdict.tallied.lost,
            overrun: verdict.tallied.overrun,
            takes: patients.iter().map(|patient| patient.recovered(self.session, verdict.frames)).collect(),
        };
        if let Err(reason) = self.clear_away(patients, tally) {
            // It is recovered all the same; what is left goes at the next start.
            self.troubles.push(reason);
        }
        Ok(Some(recovered))
    }

    /// The session says that the takes are whole, and lasts.
    fn save(&mut self, patients: &[Patient], verdict: &Verdict) -> Result<(), String> {
        let before = self.session.clone();
        let mut save = || {
            for patient in patients {
                settle(self.session, &patient.take, verdict).map_err(|error| error.to_string())?;
                note_losses(self.session, patient, verdict);
            }
            (self.go_on)(Step::Session).map_err(|error| words::at(self.store.path(), &error))?;
            self.store.save(self.session).map_err(|error| error.to_string())
        };
        save().inspect_err(|_| *self.session = before)
    }

    /// Removes the files whose sound is in the takes. What a copy of the session may still want stays.
    fn clear_away(&mut self, patients: Vec<Patient>, tally: Option<LeftTally>) -> Result<(), String> {
        let mut wanted = false;
        for patient in patients {
            let Some(spool) = patient.spool else { continue };
            if is_elsewhere_too(&spool.identity.wav, &patient.take, patient.wav.place()) {
                wanted = true;
            } else {
                remove(&spool.path, self.go_on)?;
            }
        }
        if let Some(tally) = tally.filter(|_| !wanted)
            && !tally_is_needed(self.store, self.session, &tally)
        {
            remove(&tally.path, self.go_on)?;
        }
        Ok(())
    }

    /// The spool of a take, if there is one to be believed. One that is not is told and stays.
    fn spool_of(&mut self, take: &Take) -> Result<Option<LeftSpool>, String> {
        let (session, frame_bytes) = (self.session.id, take.format.bytes() * take.channels as usize);
        self.find(take.uuid, path_of, |path| {
            let spool = LeftSpool::open(path)?;
            let its = &spool.identity;
            let ours = its.take == take.uuid && its.session == session && its.frame_bytes == frame_bytes;
            // Where the session was then does not matter; it may have been moved.
            Ok((ours && its.wav.ends_with(&take.file), spool))
        })
    }

    /// The tally of the pass whose first take is `first`, likewise.
    fn tally_of(&mut self, first: &Take) -> Result<Option<LeftTally>, String> {
        let session = self.session.id;
        self.find(first.uuid, tally_path_of, |path| {
            let tally = LeftTally::open(path)?;
            let its = &tally.identity;
            Ok((its.pass == first.uuid && its.session == session && its.wav.ends_with(&first.file), tally))
        })
    }

    fn find<T>(
        &mut self,
        identity: Uuid,
        name: fn(&Path, Uuid) -> PathBuf,
        open: impl Fn(&Path) -> Result<(bool, T), Doubt>,
    ) -> Result<Option<T>, String> {
        for folder in self.folders {
            let path = name(folder, identity);
            let doubt = match open(&path) {
                Ok((true, found)) => return Ok(Some(found)),
                Ok((false, _)) => Doubt::NotOurs("it names another take or session"),
                Err(Doubt::Missing) => continue,
                // A passing reason: what is in there must not be given up for it.
                Err(doubt @ (Doubt::InUse | Doubt::Io(_))) => {
                    return Err(format!("{}: {doubt}; its pass is left as it is", path.display()));
                }
                Err(doubt) => doubt,
            };
            self.troubles.push(format!("{}: {doubt}; it is kept", path.display()));
        }
        Ok(None)
    }
}

impl Patient {
    fn take_over(&mut self, frames: Frames, go_on: GoOn<'_>) -> io::Result<()> {
        if let Some(spool) = &self.spool {
            self.from_memory = self.wav.take_over(spool, frames, go_on)?;
        }
        Ok(())
    }

    fn recovered(&self, session: &Session, frames: Frames) -> RecoveredTake {
        RecoveredTake {
            track: session.track(self.take.track).map_or_else(String::new, |track| track.name().to_owned()),
            input: self.take.inputs.first().copied().unwrap_or(0),
            file: self.take.file.clone(),
            frames: frames.0,
            recovered_frames: self.from_memory.0,
        }
    }
}

/// Whether a recovery, of this session or of a copy of it, may still ask the tally. One of a pass that the session does not
/// know is not ours to judge.
pub(super) fn tally_is_needed(store: &OpenSession, session: &Session, tally: &LeftTally) -> bool {
    let Some(first) = session.takes().iter().find(|take| take.uuid == tally.identity.pass) else { return true };
    let cut_off = |take: &Take| take.pass == first.pass && take.state == TakeState::Recording;
    let place = || TakeWav::open(store, session, first).ok().and_then(|wav| wav.place());
    session.takes().iter().any(cut_off) || is_elsewhere_too(&tally.identity.wav, first, place())
}

/// Everything that is known about the length of a pass.
fn known(takes: &[Take], patients: &[Patient], tallied: Option<&Tallied>) -> Result<PassKnown, String> {
    let mut known = Vec::with_capacity(takes.len());
    for take in takes {
        let patient = patients.iter().find(|patient| patient.take.id == take.id);
        let is_finished = take.state != TakeState::Recording || take.frames > Frames(0);
        let finished = is_finished.then_some(take.frames.0);
        // A take that cannot be looked at and was not finished says nothing.
        if patient.is_none() && finished.is_none() {
            continue;
        }
        let spool = patient.and_then(|patient| patient.spool.as_ref());
        let held =
            spool.map(|spool| spool.frames_held().map_err(|error| words::at(&spool.path, &error))).transpose()?;
        let header = patient.map_or(0, |patient| patient.wav.claimed.0);
        known.push(TakeKnown { header, held, finished });
    }
    let clock = takes.first().and_then(|take| {
        let began: jiff::Timestamp = take.started.parse().ok()?;
        let seconds = u64::try_from(jiff::Timestamp::now().duration_since(began).as_secs()).ok()?;
        Some((seconds + CLOCK_SLACK_SECONDS).saturating_mul(u64::from(take.rate.0)))
    });
    Ok(PassKnown { takes: known, tally: tallied.map(|tallied| tallied.frames.0), clock })
}

/// Up to where any take has sound in memory.
fn heard(patients: &[Patient]) -> Result<u64, String> {
    let mut most = 0;
    for spool in patients.iter().filter_map(|patient| patient.spool.as_ref()) {
        most = most.max(spool.frames_heard().map_err(|error| words::at(&spool.path, &error))?);
    }
    Ok(most)
}

/// The take is whole: its place, its length, its region.
fn settle(session: &mut Session, take: &Take, verdict: &Verdict) -> Result<(), EditError> {
    let (frames, start) = (verdict.frames, verdict.began.unwrap_or(take.start));
    session.set_take_start(take.id, start)?;
    // What it cost is known only if the pass came to its end and the disk did not take it.
    session.finish_take(take.id, frames, TakeState::Recovered, take.accounts.clone())?;
    let placed = session.tracks().iter().any(|track| track.regions().iter().any(|region| region.take == take.id));
    if frames > Frames(0) && !placed && session.track(take.track).is_some() {
        // A track that is full of regions keeps the take, unplaced.
        session.place_region(take.track, take.id, start, FramePos(0), frames).ok();
    }
    Ok(())
}

/// What is silence in a take because it was lost.
fn note_losses(session: &mut Session, patient: &Patient, verdict: &Verdict) {
    let (id, claimed, frames, tallied) = (patient.take.id, patient.wav.claimed, verdict.frames, &verdict.tallied);
    for mark in &tallied.marks {
        let within = mark.frames.min(Frames(frames.0.saturating_sub(mark.at.0)));
        if within > Frames(0) {
            let cause = LossCause::from_code(mark.cause).map_or_else(|| "lost".to_owned(), |cause| cause.to_string());
            session.add_loss(id, mark.at, within, &cause).ok();
        }
    }
    session.add_unlisted_losses(id, tallied.losses.saturating_sub(tallied.marks.len() as u64)).ok();
    if patient.spool.is_none() && claimed < frames && !verdict.all_on_disk {
        session.add_loss(id, FramePos(claimed.0), frames - claimed, "what was in memory is gone").ok();
    }
}
