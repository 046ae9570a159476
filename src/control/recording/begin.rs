//! The commands that begin and end a pass; its takes, their names and their files. Thread: control.

use super::losses::{AbsentInputs, ReportedLosses};
use super::machine::Event;
use super::pass::{PassMachine, PassRequest, RecordingPass, RecordingTake, take_description, track_name};
use super::pass_report::counted;
use crate::butler::capabilities::CapturePath;
use crate::control::companion::Companion;
use crate::control::{Control, ControlError};
use crate::host;
use crate::limits::{SPARE_FILES, TAKE_CHANNEL_COUNT_MAX};
use crate::message::disk::{CommitCommand, FilesRefused};
use crate::message::take::{PassKey, TakeKey, TakePlan};
use crate::message::{AudioCommand, Motion, PassRange};
use crate::recovery::viewpoint::spool_record;
use crate::rt::process as system_process;
use crate::session::file_name::TakenNames;
use crate::session::{NewTake, TrackId};
use crate::time::{FramePos, Frames};
use crate::wav::bext::{Bext, UNFINISHED, UNFINISHED_IN_PLACE, coding_history_line};
use crate::wav::header::Header;
use crate::window::process;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Names of tracks in one sentence.
const NAMES_SHOWN: usize = 4;

/// Open files of a take: its WAV file twice, and its spool file.
const FILES_OF_TAKE: u64 = 3;

/// Open files of a take in the mirror.
const FILES_OF_MIRRORED_TAKE: u64 = 2;

impl Control {
    /// Begins to record every armed track, for `length` frames (`u64::MAX`: until `stop`). Returns before the first
    /// frame: the pass is prepared by `poll`.
    pub fn record(&mut self, length: Frames) -> Result<(), ControlError> {
        let tracks = self.tracks_to_record()?;
        let range = PassRange::Now(length);
        let latency = self.latency_of_pass(range, FramePos(self.published().position.load(Relaxed)));
        self.begin_pass(PassRequest { tracks, range, punch: None, latency, pre_roll_from: None, name_collisions: 0 })
    }

    /// Records every armed track from `from` up to `to`. A transport that rolls towards `from` rolls on; otherwise the
    /// `pre_roll` frames before `from` are played first. What is recorded while something plays comes later by the
    /// latency of the pass, so recording begins and ends later by as much.
    pub fn punch(&mut self, from: FramePos, to: FramePos, pre_roll: Frames) -> Result<(), ControlError> {
        if to <= from {
            return Err(ControlError::State("punch: the range is empty".to_owned()));
        }
        let tracks = self.tracks_to_record()?;
        let pre_roll_from = FramePos(from.0.saturating_sub(pre_roll.0));
        let rolls_on = self.rolls_towards(from);
        let latency = self.latency_of_pass(PassRange::Punch { from, to }, pre_roll_from);
        let later = latency.frames();
        let range = PassRange::Punch { from: from + later, to: to + later };
        let (punch, late_start) = (Some((from, to)), rolls_on.then_some(pre_roll_from));
        self.begin_pass(PassRequest { tracks, range, punch, latency, pre_roll_from: late_start, name_collisions: 0 })?;
        if !rolls_on {
            self.wait_at(pre_roll_from);
        }
        Ok(())
    }

    /// Whether the transport rolls, has carried out every locate, and comes to `at`.
    fn rolls_towards(&self, at: FramePos) -> bool {
        let published = self.published();
        published.motion() == Motion::Rolling
            && self.players.epoch() == published.epoch.load(Relaxed)
            && !self.players.is_looping()
            && FramePos(published.position.load(Relaxed)) < at
    }

    /// Stops the transport at `at`. The audio thread rolls from there when it has the pass, so that a punch begins at its
    /// punch-in however long the preparation takes.
    pub(super) fn wait_at(&mut self, at: FramePos) {
        self.send(AudioCommand::Stop);
        self.players.locate(&mut self.running, at);
    }

    /// Stops the transport. Ends the pass if one is on; a pass that has not begun to roll records nothing.
    pub fn stop(&mut self) {
        if !self.pass.as_ref().is_some_and(|run| run.machine.is_rolling()) {
            self.send(AudioCommand::Stop);
        }
        self.on_pass_event(Event::Stop);
    }

    /// Refuses a second pass at a time, and a pass in a session that was opened to be played only.
    fn recordable_check(&self) -> Result<(), ControlError> {
        if self.pass.is_some() {
            return Err(ControlError::State("record: a recording is already running; stop it first".to_owned()));
        }
        self.writable_check()
    }

    /// Adds the takes to the session in memory and asks the committers for their files. `takes_opened` saves the session
    /// or forgets the takes.
    pub(super) fn begin_pass(&mut self, request: PassRequest) -> Result<(), ControlError> {
        if request.tracks.is_empty() {
            return Err(ControlError::State(
                "record: the tracks to record were removed; arm a track (R in its row) and record again".to_owned(),
            ));
        }
        self.check_folder(true);
        let start = match request.range {
            PassRange::Now(_) => FramePos(self.published().position.load(Relaxed)),
            PassRange::Punch { from, .. } => from,
        };
        self.open_files_check(request.tracks.len() as u64)?;
        let mut takes = Vec::new();
        if let Err(error) = self.plan_takes(start, request.latency.frames(), &request.tracks, &mut takes) {
            self.forget_takes(&takes);
            return Err(error);
        }
        // A pass that begins again because of its files' names has said this already.
        if request.name_collisions == 0 {
            self.tell_of_unused_overflow();
        }
        let key = PassKey(self.fresh_key());
        let mirror = self.open_mirror(key, &mut takes);
        let plans = takes.iter().map(|take| take.plan.clone()).collect();
        let mirror_since = mirror.is_opening().then(host::now);
        self.pass = Some(RecordingPass {
            key,
            machine: PassMachine::new(start, mirror_since, request.name_collisions),
            latency: request.latency.clone(),
            request,
            takes,
            mirror,
            continuation_notice: String::new(),
            space_warnings: [0; 2],
            progress_file: None,
            start_reading: None,
            audio_report: None,
            losses: ReportedLosses::default(),
            absent_inputs: AbsentInputs::default(),
            source_losses: Vec::new(),
            has_told_of_silence: false,
        });
        self.pass_begins_without_device();
        self.running.commit.send(CommitCommand::Open { pass: key, takes: plans }).ok();
        self.prepare_save();
        // The audio thread may not have run the code of a pass yet, or the kernel may have taken pages back since. Control
        // has nothing to do until the disk has created the files.
        process::populate();
        Ok(())
    }

    /// Refuses a pass whose takes are more files than this program may open, before one of them is made.
    fn open_files_check(&self, takes: u64) -> Result<(), ControlError> {
        if host::is_simulated() {
            return Ok(());
        }
        let mirrored = if self.companions.mirror.is_some() { FILES_OF_MIRRORED_TAKE } else { 0 };
        let files = takes * (FILES_OF_TAKE + mirrored) + SPARE_FILES;
        system_process::open_files_check(files).map_err(|limit| {
            let takes = counted(takes, "take");
            ControlError::State(format!(
                "record: {takes} need {files} more open files, and this program may have {limit} open in all; raise \
                 the limit (ulimit -n), or record fewer inputs"
            ))
        })
    }

    /// Inputs of the device that can be recorded now. It may have come back with fewer than it had.
    pub fn inputs_now(&self) -> usize {
        self.present_inputs.min(self.running.device.inputs)
    }

    /// The tracks that a pass is to record, for a command that the user gives now. Tells of armed tracks that are left out.
    fn tracks_to_record(&mut self) -> Result<Vec<(TrackId, Vec<u32>)>, ControlError> {
        self.recordable_check()?;
        let (armed, left_out) = self.armed_tracks();
        if armed.is_empty() {
            return Err(ControlError::State(if left_out.is_empty() {
                "record: no track is armed; arm one (R in its row)".to_owned()
            } else {
                format!("record: {}; choose other inputs or another device", self.missing_inputs(&left_out))
            }));
        }
        if !left_out.is_empty() {
            self.caution(format!("not recorded: {}", self.missing_inputs(&left_out)));
        }
        Ok(armed)
    }

    /// The armed tracks with inputs that the device has, and the names of the armed tracks without.
    fn armed_tracks(&self) -> (Vec<(TrackId, Vec<u32>)>, Vec<String>) {
        let device_inputs = self.inputs_now();
        let (mut armed, mut left_out) = (Vec::new(), Vec::new());
        for track in self.session.tracks().iter().filter(|track| track.armed) {
            if track.inputs().iter().all(|input| (*input as usize) < device_inputs) {
                armed.push((track.id(), track.inputs().to_vec()));
            } else {
                left_out.push(track.name().to_owned());
            }
        }
        (armed, left_out)
    }

    /// The sentence about armed tracks whose inputs the device does not have.
    fn missing_inputs(&self, left_out: &[String]) -> String {
        let (device, inputs) = (&self.running.device, self.inputs_now());
        let has = if inputs == 1 { "1 input".to_owned() } else { format!("{inputs} inputs") };
        let more = left_out.len().saturating_sub(NAMES_SHOWN);
        let names = left_out[..left_out.len() - more].join(", ");
        let names = if more > 0 { format!("{names} and {more} more") } else { names };
        format!("{names}: no such input, {} has {has}", device.name)
    }

    /// Adds a take to the session for every one of `tracks`, and plans its file and header. After an error `takes` has
    /// the takes that were added.
    fn plan_takes(
        &mut self,
        start: FramePos,
        latency: Frames,
        tracks: &[(TrackId, Vec<u32>)],
        takes: &mut Vec<RecordingTake>,
    ) -> Result<(), ControlError> {
        let refusal = |reason: String| ControlError::State(format!("record: {reason}"));
        let now = host::zoned();
        let (pass, rate, format) = (self.session.next_pass(), self.session.rate(), self.format);
        let mut names = self.names_in_use();
        let mirror = self.companions.mirror.as_ref().and_then(Companion::open_folder);
        let memory = spool_record(&self.running.setup.capabilities.spool, mirror);
        let remark = &format!("Faultless; {}", remark_of(self.running.setup.capture_path));
        for (track, inputs) in tracks {
            if !(1..=TAKE_CHANNEL_COUNT_MAX).contains(&inputs.len()) {
                return Err(refusal(format!(
                    "a track has {} inputs, and a take has one or two channels",
                    inputs.len()
                )));
            }
            let channels = inputs.len() as u32;
            let new = NewTake {
                uuid: host::new_uuid(),
                track: *track,
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
            self.session.set_take_latency(id, latency).map_err(|error| refusal(error.to_string()))?;
            let Some(take) = self.session.take(id) else { continue };
            let place = take.place();
            let header = Header {
                bext: Bext {
                    description: take_description(&track_name(&self.session, id), take.number),
                    originator: "Faultless".to_owned(),
                    originator_reference: identity.simple().to_string(),
                    date: now.strftime("%Y-%m-%d").to_string(),
                    time: now.strftime("%H:%M:%S").to_string(),
                    time_reference: place.start.0,
                    coding_history: coding_history_line(format, rate.0, channels as u16, remark),
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
                head: Frames(place.take_start.0),
            };
            let inputs = inputs.iter().map(|input| *input as usize).collect();
            takes.push(RecordingTake::new(id, plan, inputs));
        }
        Ok(())
    }

    /// Removes takes without a frame from the session, because their files were not created. Everything else that
    /// happened to the session since stays.
    pub(super) fn forget_takes(&mut self, takes: &[RecordingTake]) {
        for take in takes {
            self.session.forget_take(take.id).ok();
        }
    }

    /// A number that no take and no pass of this run has.
    fn fresh_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key - 1
    }

    /// The committer has created the files of the pass, or could not.
    pub(in crate::control) fn takes_opened(
        &mut self,
        key: PassKey,
        files: Result<Vec<Arc<File>>, FilesRefused>,
        notes: Vec<String>,
    ) {
        for note in notes {
            self.caution(note);
        }
        if self.pass.as_ref().is_none_or(|pass| pass.key != key) {
            return;
        }
        let event = match files {
            Ok(files) => Event::FilesCreated(files),
            Err(FilesRefused { reason, names }) => {
                let found = self.learn_file_names(names);
                let takes = self.pass.iter().flat_map(|run| &run.takes);
                let names_taken = takes.into_iter().any(|take| has_name_of(&found, &take.plan));
                Event::FilesRefused { reason, names_taken }
            }
        };
        self.on_pass_event(event);
    }

    /// Forgets the takes of a pass whose files could not be created, and ends the pass.
    pub(super) fn forget_pass(&mut self) {
        let Some(run) = self.pass.take() else { return };
        self.forget_takes(&run.takes);
        self.running.mirror.send(CommitCommand::Forget { pass: run.key }).ok();
    }

    /// Remembers the names of files in a folder of takes, so that no new take gets one of them.
    pub(in crate::control) fn learn_file_names(&mut self, names: Vec<String>) -> TakenNames {
        let found: TakenNames = names.iter().map(String::as_str).collect();
        self.file_names_found.extend(names);
        self.file_names_found.sort_unstable();
        self.file_names_found.dedup();
        found
    }
}

/// Whether the name of a planned file is among names that were found.
pub(in crate::control) fn has_name_of(found: &TakenNames, plan: &TakePlan) -> bool {
    plan.path.file_name().is_some_and(|name| found.contains(&name.to_string_lossy()))
}

/// The remark in the headers of takes that are being recorded by this path. Without a spool, a recovery after a power cut knows
/// only by the remark that the headers claim sound that need not be durable.
fn remark_of(path: CapturePath) -> &'static str {
    match path {
        CapturePath::Spool => UNFINISHED,
        CapturePath::InPlace => UNFINISHED_IN_PLACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_take_that_is_recorded_in_place_says_so_and_that_it_is_not_finished() {
        let [spool, in_place] = [CapturePath::Spool, CapturePath::InPlace].map(remark_of);
        assert!(in_place.contains(UNFINISHED) && in_place.contains(UNFINISHED_IN_PLACE));
        assert!(spool.contains(UNFINISHED) && !spool.contains(UNFINISHED_IN_PLACE));
    }
}
