//! A pass of recording from the command to the last frame; `ended` has the rest. Owns the state of the pass.
//! Thread: control.
//!
//! ```text
//!   record() -> Open: committers create files -> TakesOpened: session is saved, Prepare: butler makes windows
//!            -> PassReady, session saved -> Record: audio thread records -> PassEnded (see ended.rs)
//! ```

use super::mirror::{MirrorReport, PassMirror};
use super::overflow::{EarlierFile, PlannedContinuation};
use super::report::{AudioReport, Reading};
use super::{Control, ControlError, Severity};
use crate::butler::capabilities::CapturePath;
use crate::host::{self, disk};
use crate::message::disk::{ButlerCommand, CommitCommand, PassWindows};
use crate::message::published::NO_PASS;
use crate::message::take::{PassKey, TakeKey, TakePlan};
use crate::message::{AudioCommand, Capture, Pass, PassRange};
use crate::recovery::viewpoint::spool_record;
use crate::session::file_name::TakenNames;
use crate::session::names::{AUDIO, TRASH};
use crate::session::{NewTake, Session, TakeId, TrackId};
use crate::time::{Clock, FramePos, Frames, SampleRate};
use crate::wav::bext::{Bext, coding_history_line};
use crate::wav::header::Header;
use serde::Serialize;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

/// A pass from the command until all its takes are finished.
pub struct RecordingPass {
    pub(super) key: PassKey,
    pub(super) takes: Vec<RecordingTake>,
    pub(super) mirror: PassMirror,
    /// The last notice about continuations. All takes of a pass share one.
    pub(super) continuation_notice: String,
    /// By replica: how many steps of `WARNING_SECONDS` the disk's free space is below.
    pub(super) space_warnings: [usize; 2],
    /// The session's WAV files, once they are created. The butler gets them when the mirror's files are created or
    /// given up.
    files: Option<Vec<Arc<File>>>,
    range: PassRange,
    /// Where the pass was expected to begin at the time of the command. The audio thread decides the real place.
    requested_start: FramePos,
    /// The counters when the pass was sent to the audio thread. `Some` means that the audio thread has the pass.
    pub(super) start_reading: Option<Reading>,
    /// How often the files could not be created because other files had their names.
    name_collisions: usize,
    /// Since when the pass is ready and the session that lists its takes could not be saved.
    unsaved_since: Option<Instant>,
    pub(super) audio_report: Option<AudioReport>,
    /// `Some` after the last frame.
    pub(super) ended: Option<Ended>,
    stop_sent: bool,
    /// The message for the audio thread. It waits until revision `listed_by` is durable.
    prepared: Option<Box<Pass>>,
    /// The first revision of the session that lists the takes of the pass.
    listed_by: u64,
    /// The first lost ranges of the timeline, for display.
    losses: Vec<(FramePos, Frames)>,
}

/// Lost ranges of a pass that are kept for display.
const LOSSES_SHOWN: usize = 1000;

/// The longest that a pass waits while the session that lists its takes cannot be saved.
const UNSAVED_TIME_MAX: Duration = Duration::from_secs(3);

/// How often new names are chosen for the files of a pass.
const NAME_COLLISIONS_MAX: usize = 8;

/// The present state of a pass, for a front end.
pub struct PassStatus {
    /// Whether the windows are ready and the audio thread has the pass.
    pub is_ready: bool,
    /// Whether the first frame was recorded.
    pub has_begun: bool,
    /// Whether the last frame was recorded.
    pub has_ended: bool,
    /// Where on the timeline the pass begins; a guess until the first frame was recorded.
    pub start: FramePos,
    /// Frames recorded so far.
    pub frames: Frames,
    /// The takes and their tracks.
    pub takes: Vec<(TrackId, TakeId)>,
    /// Lost ranges of the timeline, at most [`LOSSES_SHOWN`].
    pub losses: Vec<(FramePos, Frames)>,
}

/// A take of the pass: one track's sound, in one file or, after a continuation, in several. The session lists each file
/// as a take.
pub(super) struct RecordingTake {
    /// The session's take for the present file.
    pub(super) id: TakeId,
    /// As sent to the committer; `plan.path` is the present file.
    pub(super) plan: TakePlan,
    pub(super) inputs: Vec<usize>,
    /// Frames lost by the device and by this take alone.
    pub(super) lost: Frames,
    pub(super) finished: bool,
    /// The problem of the present file.
    pub(super) trouble: Option<String>,
    /// The files before the present one, the oldest first.
    pub(super) earlier_files: Vec<EarlierFile>,
    /// The frame of the pass from which on the disk refuses to write, and the error number.
    pub(super) refused: Option<(Frames, Option<i32>)>,
    /// The next file, until the committer answers.
    pub(super) continuation: Option<PlannedContinuation>,
}

/// Length, losses and start of a pass, as the audio thread reported them at its end.
pub(super) struct Ended {
    pub(super) frames: Frames,
    pub(super) lost: Frames,
    pub(super) xruns: u32,
    pub(super) playback_xruns: u32,
    pub(super) began: FramePos,
}

/// The report of a finished pass.
#[derive(Clone, Debug, Serialize)]
pub struct PassReport {
    /// Frames of the pass.
    pub frames: u64,
    /// Xruns of the device's inputs during the pass.
    pub xruns: u64,
    /// Xruns of the device's outputs during the pass. They cost no recorded frame.
    pub playback_xruns: u64,
    /// Frames of silence in place of lost sound, in the take that lost most.
    pub frames_lost: u64,
    /// Faults, switches and cycle times of the audio thread.
    pub audio_thread: AudioReport,
    /// The files of the pass; a take that continued has several.
    pub takes: Vec<TakeReport>,
    /// The shortest lead, in frames; `None` (`null`) if the butler measured none during the pass.
    pub lead_frames_min: Option<u64>,
    /// The longest write of a run to the disk, in microseconds.
    pub commit_us_max: u64,
    /// Time to copy a period's bytes to as many places on this machine, in microseconds.
    pub bare_copy_us: f64,
    /// The mean cycle divided by `bare_copy_us`.
    pub bare_copy_ratio: f64,
    /// The result of the mirror, if the pass had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorReport>,
}

/// A file of a finished pass.
#[derive(Clone, Debug, Serialize)]
pub struct TakeReport {
    /// The track's name.
    pub track: String,
    /// 0-based device channel of its first input.
    pub input: u32,
    /// The file: relative to the session's folder, or absolute in an overflow folder.
    pub file: String,
    /// Frames in this file.
    pub frames: u64,
    /// Frames of silence in place of lost sound, in all files of the take together.
    pub frames_lost: u64,
    /// Xruns of the device during the pass.
    pub xruns: u64,
    /// Why the file is not whole on the disk. `None`: it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl PassReport {
    /// Takes that are not whole on the disk.
    pub fn takes_troubled(&self) -> usize {
        self.takes.iter().filter(|take| take.trouble.is_some()).count()
    }

    /// [`Severity::Loss`] if a frame was lost or a take is not whole.
    pub fn severity(&self) -> Severity {
        if self.frames_lost > 0 || self.takes_troubled() > 0 { Severity::Loss } else { Severity::Info }
    }

    /// The report in one line, for a notice and for the events of the session.
    pub fn summary(&self, rate: SampleRate) -> String {
        let audio = &self.audio_thread;
        let mut text = format!(
            "{} takes of {}: {} frames lost, {} xruns, {} page faults, worst cycle {:.0} µs",
            self.takes.len(),
            Clock(Frames(self.frames).duration(rate)),
            self.frames_lost,
            self.xruns,
            audio.faults_text(),
            audio.cycle_us_max,
        );
        let troubled = self.takes_troubled();
        if troubled > 0 {
            text.push_str(&format!("; {troubled} are not whole on the disk, see above"));
        }
        text
    }
}

impl RecordingPass {
    /// The counters when the pass was sent to the audio thread.
    pub fn start_reading(&self) -> Option<&Reading> {
        self.start_reading.as_ref()
    }

    /// Keeps a lost range for display.
    pub(super) fn note_loss(&mut self, at: FramePos, frames: Frames) {
        if self.losses.len() < LOSSES_SHOWN {
            self.losses.push((at, frames));
        }
    }

    /// The name of the track that a capture belongs to.
    pub fn take_name(&self, capture: usize, session: &Session) -> String {
        self.takes.get(capture).map_or_else(String::new, |take| track_name(session, take.id))
    }
}

pub(super) fn track_name(session: &Session, take: TakeId) -> String {
    let track = session.take(take).and_then(|take| session.track(take.track));
    track.map_or_else(|| "a track that was removed".to_owned(), |track| track.name().to_owned())
}

impl Control {
    /// Begins to record every armed track, for `length` frames (`u64::MAX`: until `stop`). Returns before the first
    /// frame: the pass is prepared by `poll`.
    pub fn record(&mut self, length: Frames) -> Result<(), ControlError> {
        self.begin_pass(PassRange::Now(length), 0)
    }

    /// The present state of the pass; `None` if none is on.
    pub fn pass_status(&self) -> Option<PassStatus> {
        let run = self.pass.as_ref()?;
        // The reader of the count also reads the recorded sound itself, to draw it.
        let recorded = Some(self.published().pass_frames.load(Acquire)).filter(|frames| *frames != NO_PASS);
        let take = run.takes.first().and_then(|take| self.session.take(take.id));
        let tracks = run.takes.iter().filter_map(|take| Some((self.session.take(take.id)?.track, take.id)));
        let ended = run.ended.as_ref().map(|ended| ended.frames);
        Some(PassStatus {
            is_ready: run.start_reading.is_some(),
            has_begun: recorded.is_some() || ended.is_some(),
            has_ended: ended.is_some(),
            start: take.map_or(run.requested_start, |take| take.start),
            frames: ended.or(recorded.map(Frames)).unwrap_or_default(),
            takes: tracks.collect(),
            losses: run.losses.clone(),
        })
    }

    /// Records every armed track from `from` up to `to`, and plays the `pre_roll` frames before `from`.
    pub fn punch(&mut self, from: FramePos, to: FramePos, pre_roll: Frames) -> Result<(), ControlError> {
        if to <= from {
            return Err(ControlError::State("punch: the range is empty".to_owned()));
        }
        self.recordable_check()?;
        self.locate(FramePos(from.0.saturating_sub(pre_roll.0)))?;
        self.begin_pass(PassRange::Punch { from, to }, 0)
    }

    /// Refuses a second pass at a time, and a pass in a session that was opened to be played only.
    fn recordable_check(&self) -> Result<(), ControlError> {
        if self.pass.is_some() {
            return Err(ControlError::State("record: a pass is on already".to_owned()));
        }
        self.writable_check()
    }

    /// Adds the takes to the session in memory and asks the committers for their files. `takes_opened` saves the session
    /// or forgets the takes. `name_collisions`: how often that failed because other files have the names.
    fn begin_pass(&mut self, range: PassRange, name_collisions: usize) -> Result<(), ControlError> {
        self.recordable_check()?;
        self.check_folder(true);
        let requested_start = match range {
            PassRange::Now(_) => FramePos(self.published().position.load(Relaxed)),
            PassRange::Punch { from, .. } => from,
        };
        let mut takes = Vec::new();
        if let Err(error) = self.plan_takes(requested_start, &mut takes) {
            self.forget_takes(&takes);
            return Err(error);
        }
        if takes.is_empty() {
            return Err(ControlError::State("record: no track is armed".to_owned()));
        }
        let key = PassKey(self.fresh_key());
        let mirror = self.open_mirror(key, &mut takes);
        let plans = takes.iter().map(|take| take.plan.clone()).collect();
        self.pass = Some(RecordingPass {
            key,
            takes,
            mirror,
            continuation_notice: String::new(),
            space_warnings: [0; 2],
            files: None,
            range,
            requested_start,
            start_reading: None,
            name_collisions,
            unsaved_since: None,
            audio_report: None,
            ended: None,
            stop_sent: false,
            prepared: None,
            listed_by: 0,
            losses: Vec::new(),
        });
        self.running.commit.send(CommitCommand::Open { pass: key, takes: plans }).ok();
        Ok(())
    }

    /// Adds a take to the session for every armed track, and plans its file and header. After an error `takes` has the
    /// takes that were added.
    fn plan_takes(&mut self, start: FramePos, takes: &mut Vec<RecordingTake>) -> Result<(), ControlError> {
        let refusal = |reason: String| ControlError::State(format!("record: {reason}"));
        let device_inputs = self.running.device.inputs;
        let now = host::zoned();
        let (pass, rate, format) = (self.session.next_pass(), self.session.rate(), self.format);
        let mut names = self.session.taken_names();
        names.extend(self.file_names_found.iter().map(String::as_str));
        let armed: Vec<_> =
            self.session.tracks().iter().filter(|track| track.armed).map(|t| (t.id(), t.inputs().to_vec())).collect();
        let memory = spool_record(&self.running.setup.capabilities.spool);
        for (track, inputs) in armed {
            if let Some(missing) = inputs.iter().find(|input| device_inputs <= **input as usize) {
                return Err(refusal(format!(
                    "{} has {device_inputs} inputs and a track wants input {}",
                    self.running.device.name,
                    missing + 1
                )));
            }
            let channels = inputs.len() as u32;
            let new = NewTake {
                uuid: host::new_uuid(),
                track,
                pass,
                inputs: inputs.clone(),
                channels,
                rate,
                format,
                start,
                started: now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            };
            let identity = new.uuid;
            let id = self.session.add_take(new, &mut names).map_err(|error| refusal(error.to_string()))?;
            self.session.set_take_spool(id, memory.clone()).map_err(|error| refusal(error.to_string()))?;
            let Some(take) = self.session.take(id) else { continue };
            let header = Header {
                bext: Bext {
                    description: format!("{} take {}", track_name(&self.session, id), take.number),
                    originator: "Faultless".to_owned(),
                    originator_reference: identity.simple().to_string(),
                    date: now.strftime("%Y-%m-%d").to_string(),
                    time: now.strftime("%H:%M:%S").to_string(),
                    time_reference: start.0,
                    coding_history: coding_history_line(format, rate.0, channels as u16, "Faultless; being recorded"),
                    ..Bext::default()
                },
                track_name: track_name(&self.session, id),
                ..Header::new(channels as u16, rate.0, format)
            };
            let key = TakeKey(self.next_key);
            self.next_key += 1;
            let plan = TakePlan {
                key,
                identity,
                session: self.session.id,
                path: self.folder.join(&take.file),
                header,
                pair: None,
            };
            let inputs = inputs.iter().map(|input| *input as usize).collect();
            takes.push(RecordingTake {
                id,
                plan,
                inputs,
                lost: Frames(0),
                finished: false,
                trouble: None,
                earlier_files: Vec::new(),
                refused: None,
                continuation: None,
            });
        }
        Ok(())
    }

    /// Removes takes without a frame from the session, because their files were not created. Everything else that
    /// happened to the session since stays.
    fn forget_takes(&mut self, takes: &[RecordingTake]) {
        for take in takes {
            self.session.forget_take(take.id).ok();
        }
    }

    /// A number that no take and no pass of this run has.
    fn fresh_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key - 1
    }

    /// The committer has created the files of the pass, or could not. Queues a save of the session that lists the takes.
    /// The butler makes windows meanwhile. The pass begins after the session saver has handled the save.
    pub(super) fn takes_opened(&mut self, key: PassKey, files: Result<Vec<Arc<File>>, String>, notes: Vec<String>) {
        for note in notes {
            self.caution(note);
        }
        if self.pass.as_ref().is_none_or(|pass| pass.key != key) {
            return;
        }
        match files {
            Err(reason) => self.takes_not_opened(&reason),
            Ok(files) => {
                self.save();
                let revision = self.session.revision();
                if let Some(run) = &mut self.pass {
                    run.listed_by = revision;
                    run.files = Some(files);
                }
                self.prepare_if_opened();
            }
        }
    }

    /// The committer could not create the files. Forgets the takes. If files of other programs have the names, the pass
    /// is begun again with names that are free.
    fn takes_not_opened(&mut self, reason: &str) {
        let Some(run) = self.pass.take() else { return };
        self.forget_takes(&run.takes);
        self.running.mirror.try_send(CommitCommand::Forget { pass: run.key }).ok();
        let again = if run.name_collisions < NAME_COLLISIONS_MAX && self.learn_file_names(&run.takes) {
            self.begin_pass(run.range, run.name_collisions + 1)
        } else {
            Err(ControlError::State(reason.to_owned()))
        };
        if let Err(error) = again {
            self.save();
            self.loss(error.to_string());
        }
    }

    /// Reads the names of the files that are in the session's folder now. Returns whether one of them is the name of a
    /// planned take.
    fn learn_file_names(&mut self, takes: &[RecordingTake]) -> bool {
        let names_in = |folder: &str| disk::list(&self.folder.join(folder)).unwrap_or_default();
        let names = names_in(AUDIO).into_iter().chain(names_in(TRASH));
        self.file_names_found = names.map(|name| name.to_string_lossy().into_owned()).collect();
        let found: TakenNames = self.file_names_found.iter().map(String::as_str).collect();
        let name_of = |take: &RecordingTake| take.plan.path.file_name().map(|name| name.to_string_lossy().into_owned());
        takes.iter().filter_map(name_of).any(|name| found.contains(&name))
    }

    /// Asks the butler for the windows, once the session's files are created and the mirror's are created or given up.
    pub(super) fn prepare_if_opened(&mut self) {
        if self.pass.as_ref().is_none_or(|run| run.files.is_none()) || !self.mirror_is_open_or_given_up() {
            return;
        }
        let in_place = self.running.setup.capture_path == CapturePath::InPlace;
        let Some(run) = &mut self.pass else { return };
        let files = run.files.take().filter(|_| in_place).unwrap_or_default();
        let takes = run.takes.iter().map(|take| take.plan.clone()).collect();
        let (rate, mirrored) = (self.session.rate().0, run.mirror.is_active());
        self.running.butler.send(ButlerCommand::Prepare { pass: run.key, takes, files, rate, mirrored }).ok();
    }

    /// The butler has made the windows of the pass, or could not.
    pub(super) fn pass_ready(&mut self, key: PassKey, windows: Result<PassWindows, String>, notes: Vec<String>) {
        for note in notes {
            self.caution(note);
        }
        let Some(run) = self.pass.as_mut().filter(|pass| pass.key == key) else { return };
        match windows {
            Err(reason) => {
                // The files exist and are empty. They become takes without a frame.
                self.loss(reason);
                self.finish_takes(
                    &Ended { frames: Frames(0), lost: Frames(0), xruns: 0, playback_xruns: 0, began: FramePos(0) },
                    &[],
                );
            }
            Ok(windows) => {
                let captures = windows.takes.into_iter().zip(&run.takes).map(|(windows, take)| {
                    let inputs = [take.inputs[0], take.inputs.get(1).copied().unwrap_or(0)];
                    Capture::new(windows, inputs, take.inputs.len(), take.plan.format())
                });
                let mut pass = Pass::new(captures.collect(), run.range, true);
                pass.progress_page = Some(windows.progress_page);
                run.prepared = Some(Box::new(pass));
                self.begin_if_saved();
            }
        }
    }

    /// Sends a prepared pass to the audio thread, once a session that lists the takes is durable. Recovery finds sound
    /// only in takes that session.json lists, so no frame is recorded before. A pass whose session cannot be saved for
    /// [`UNSAVED_TIME_MAX`] is given up.
    pub(super) fn begin_if_saved(&mut self) {
        let recoverable = self.recoverable_revision();
        let Some(run) = self.pass.as_ref().filter(|run| run.prepared.is_some()) else { return };
        if recoverable < run.listed_by {
            self.give_up_if_unsaved();
            return;
        }
        let Some(run) = &mut self.pass else { return };
        let Some(pass) = run.prepared.take() else { return };
        // The rings and the pass are new memory. Touch every page now, so that the audio thread does not fault on them.
        crate::window::process::populate();
        self.running.disk.commit_us_max.store(0, Relaxed);
        self.running.disk.room_ms.iter().for_each(|room| room.store(0, Relaxed));
        run.start_reading = Some(Reading::now(&self.running.published, true));
        self.send(AudioCommand::Record(pass));
    }

    /// Gives up a prepared pass if the session that lists its takes cannot be saved. The files have no frame.
    fn give_up_if_unsaved(&mut self) {
        let has_failed = self.pass.as_ref().is_some_and(|run| self.has_failed_to_save(run.listed_by));
        let Some(run) = self.pass.as_mut().filter(|_| has_failed) else { return };
        let since = *run.unsaved_since.get_or_insert_with(host::now);
        if host::elapsed(since) < UNSAVED_TIME_MAX {
            return;
        }
        run.prepared = None;
        let reason = self.save_failure();
        self.loss(format!("record: {reason}; nothing is recorded, because a crash would lose it; save first"));
        self.finish_takes(
            &Ended { frames: Frames(0), lost: Frames(0), xruns: 0, playback_xruns: 0, began: FramePos(0) },
            &[],
        );
    }

    /// Asks the audio thread to stop, once, as soon as it has the pass.
    pub(super) fn stop_pass_once(&mut self) {
        if let Some(run) = &mut self.pass
            && run.start_reading.is_some()
            && !std::mem::replace(&mut run.stop_sent, true)
        {
            self.send(AudioCommand::Stop);
        }
    }

    /// Ends a pass that a thread can no longer end. If the butler or the committer has ended, the pass is dropped: its
    /// sound stays in the spool for a recovery. If the audio thread has ended, the takes are finished with the frames
    /// that it last published.
    pub(super) fn end_lost_pass(&mut self) {
        if self.pass.is_some()
            && let Some(name) = self.running.failed_capture_thread()
        {
            // No thread can finish the takes. The spool files outlive the program and name their takes.
            let text =
                format!("{name}: it failed, recording has stopped; what is not in the takes is in memory, start again");
            self.stop_pass_once();
            self.place_finished_takes();
            self.pass = None;
            self.loss(text);
            return;
        }
        let recorded = self.published().pass_frames.load(Relaxed);
        if !self.running.is_alive()
            && let Some(run) = self.pass.as_ref().filter(|run| run.start_reading.is_some() && run.ended.is_none())
        {
            let frames = Frames(if recorded == NO_PASS { 0 } else { recorded });
            let began = run.requested_start;
            self.finish_takes(&Ended { frames, lost: Frames(0), xruns: 0, playback_xruns: 0, began }, &[]);
        }
    }

    /// The audio thread has recorded the first frame at `at`. Moves the takes there if the command had assumed another
    /// place.
    pub(super) fn pass_began(&mut self, at: FramePos) {
        if let Some(pass) = &self.pass
            && pass.requested_start != at
        {
            let takes = pass.takes.iter().flat_map(|take| take.spans(Frames(0)));
            let ids: Vec<TakeId> = takes.map(|(id, ..)| id).collect();
            for id in ids {
                self.session.set_take_start(id, at).ok();
            }
            self.save();
        }
    }
}
