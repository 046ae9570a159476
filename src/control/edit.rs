//! Changes of the session that a front end can ask for and that can be undone. Owns the steps of undo. Thread: control.

use super::recording::{RecordingTake, track_name};
use super::{Control, ControlError};
use crate::format::TakeFormat;
use crate::host;
use crate::session::history::History;
use crate::session::{EditError, MarkerId, Monitor, RegionId, Session, TakeId, Track, TrackId, TrashList};
use crate::time::{FramePos, Frames};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A change of the session. A change that names several tracks is one step of undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Edit {
    /// Arms or disarms. The pass that is on keeps its tracks.
    Arm(Vec<TrackId>, bool),
    /// Arms these tracks and no others, after it has given inputs to some tracks.
    ArmOnly(Vec<TrackId>, Vec<(TrackId, Vec<u32>)>),
    Mute(Vec<TrackId>, bool),
    Solo(Vec<TrackId>, bool),
    /// Solos these tracks and no others.
    SoloOnly(Vec<TrackId>),
    /// Sets whether a track plays its takes or its input.
    Monitor(Vec<TrackId>, Monitor),
    /// Sets the inputs of a track: one or two device channels, counted from 0.
    Inputs(TrackId, Vec<u32>),
    /// Gain in decibels, track by track. Changes of one drag are one step.
    Gain(Vec<(TrackId, f32)>),
    /// Pan, -1 to 1. Changes of one drag are one step.
    Pan(Vec<TrackId>, f32),
    Name(TrackId, String),
    /// Index into the theme's colours.
    Colour(Vec<TrackId>, u8),
    /// Moves a track to this index.
    MoveTrack(TrackId, usize),
    /// Adds a track for these device channels; `None`: for the first input that no track has.
    AddTrack(Option<Vec<u32>>),
    /// Adds a copy of each of these tracks below it, without regions and takes.
    DuplicateTracks(Vec<TrackId>),
    /// Removes tracks. Their takes go to the trash; undo brings both back.
    RemoveTracks(Vec<TrackId>),
    AddMarker(FramePos, String),
    RenameMarker(MarkerId, String),
    MoveMarker(MarkerId, FramePos),
    RemoveMarker(MarkerId),
    /// Changes the session's name. The folder keeps its name.
    RenameSession(String),
    /// Sample format of the next takes.
    Format(TakeFormat),
    /// Places the whole take where it was recorded, in place of what is there.
    ChooseTake(TakeId),
    /// Moves a take to the trash, and shows again what it covers.
    TrashTake(TakeId),
    /// Moves the takes of a recording to the trash, and shows again what they cover.
    TrashTakes(Vec<TakeId>),
    UntrashTake(TakeId),
    /// Takes several takes out of the trash, as one step.
    UntrashTakes(Vec<TakeId>),
    /// Moves a region to a start, perhaps on another track.
    MoveRegion(RegionId, TrackId, FramePos),
    /// Gives a region another start and end on the timeline.
    TrimRegion(RegionId, FramePos, FramePos),
    /// Splits regions at a place of the timeline.
    SplitRegions(Vec<RegionId>, FramePos),
    /// Removes regions. Their takes stay.
    RemoveRegions(Vec<RegionId>),
    /// Mutes or unmutes regions.
    MuteRegions(Vec<RegionId>, bool),
}

impl Edit {
    /// The things whose values a drag changes, as identities. `Some`: an edit with the same label and the same things
    /// shortly after belongs to the same step of undo.
    fn dragged(&self) -> Option<Vec<u64>> {
        match self {
            Edit::Gain(gains) => Some(gains.iter().map(|(id, _)| id.0).collect()),
            Edit::Pan(ids, _) => Some(ids.iter().map(|id| id.0).collect()),
            Edit::MoveMarker(id, _) => Some(vec![id.0]),
            Edit::MoveRegion(id, ..) | Edit::TrimRegion(id, ..) => Some(vec![id.0]),
            _ => None,
        }
    }

    /// The name of the step of undo.
    fn label(&self) -> &'static str {
        match self {
            Edit::Arm(_, true) | Edit::ArmOnly(..) => "arm",
            Edit::Arm(_, false) => "disarm",
            Edit::Mute(_, true) => "mute",
            Edit::Mute(_, false) => "unmute",
            Edit::Solo(_, true) | Edit::SoloOnly(_) => "solo",
            Edit::Solo(_, false) => "unsolo",
            Edit::Monitor(..) => "monitoring",
            Edit::Inputs(..) => "choose inputs",
            Edit::Gain(_) => "gain",
            Edit::Pan(..) => "pan",
            Edit::Name(..) => "name a track",
            Edit::Colour(..) => "colour",
            Edit::MoveTrack(..) => "move a track",
            Edit::AddTrack(_) => "add a track",
            Edit::DuplicateTracks(ids) if ids.len() > 1 => "duplicate tracks",
            Edit::DuplicateTracks(_) => "duplicate a track",
            Edit::RemoveTracks(_) => "remove tracks",
            Edit::AddMarker(..) => "add a marker",
            Edit::RenameMarker(..) => "name a marker",
            Edit::MoveMarker(..) => "move a marker",
            Edit::RemoveMarker(_) => "remove a marker",
            Edit::RenameSession(_) => "rename the session",
            Edit::Format(_) => "format of takes",
            Edit::ChooseTake(_) => "choose a take",
            Edit::TrashTake(_) => "take to the trash",
            Edit::TrashTakes(_) => "takes to the trash",
            Edit::UntrashTake(_) => "take out of the trash",
            Edit::UntrashTakes(_) => "takes out of the trash",
            Edit::MoveRegion(..) => "move a region",
            Edit::TrimRegion(..) => "trim a region",
            Edit::SplitRegions(ids, _) if ids.len() > 1 => "split regions",
            Edit::SplitRegions(..) => "split a region",
            Edit::RemoveRegions(_) => "remove regions",
            Edit::MuteRegions(..) => "mute regions",
        }
    }
}

/// Carries out an edit on a copy of the session. A refused edit may be half done; the caller drops the copy. `history`: the
/// steps before it.
fn apply(session: &mut Session, edit: Edit, history: &History) -> Result<(), EditError> {
    match edit {
        Edit::Arm(ids, on) => each_track(session, &ids, |track| track.armed = on),
        Edit::ArmOnly(ids, inputs) => {
            inputs.iter().try_for_each(|(id, inputs)| set_inputs(session, *id, inputs))?;
            let all: Vec<TrackId> = session.track_ids().collect();
            each_track(session, &all, |track| track.armed = ids.contains(&track.id()))
        }
        Edit::Mute(ids, on) => each_track(session, &ids, |track| track.mute = on),
        Edit::Solo(ids, on) => each_track(session, &ids, |track| track.solo = on),
        Edit::SoloOnly(ids) => {
            let all: Vec<TrackId> = session.track_ids().collect();
            each_track(session, &all, |track| track.solo = ids.contains(&track.id()))
        }
        Edit::Monitor(ids, monitor) => each_track(session, &ids, |track| track.monitor = monitor),
        Edit::Inputs(id, inputs) => set_inputs(session, id, &inputs),
        Edit::Gain(gains) => {
            gains.iter().try_for_each(|(id, db)| each_track(session, &[*id], |track| track.set_gain_db(*db)))
        }
        Edit::Pan(ids, pan) => each_track(session, &ids, |track| track.set_pan(pan)),
        Edit::Name(id, name) => each_track(session, &[id], |track| track.rename(&name)),
        Edit::Colour(ids, colour) => each_track(session, &ids, |track| track.colour = colour),
        Edit::MoveTrack(id, to) => session.move_track(id, to),
        Edit::AddTrack(inputs) => add_track(session, inputs),
        Edit::DuplicateTracks(ids) => ids.into_iter().try_for_each(|id| duplicate_track(session, id)),
        Edit::RemoveTracks(ids) => ids.iter().try_for_each(|id| remove_track(session, *id)),
        Edit::AddMarker(at, name) => session.add_marker(at, &name).map(drop),
        Edit::RenameMarker(id, name) => session.rename_marker(id, &name),
        Edit::MoveMarker(id, at) => session.move_marker(id, at),
        Edit::RemoveMarker(id) => session.remove_marker(id).map(drop),
        Edit::RenameSession(name) => {
            session.rename(&name);
            Ok(())
        }
        Edit::Format(format) => {
            session.format = format;
            Ok(())
        }
        Edit::ChooseTake(id) => choose_take(session, id),
        Edit::TrashTake(id) => {
            let files: Vec<TakeId> = session.files_of_take(id).map(|take| take.id).collect();
            if files.is_empty() {
                return Err(EditError::NoSuchTake(id));
            }
            session.discard_takes(&files, history.before_placing(&files))
        }
        Edit::TrashTakes(ids) => session.discard_takes(&ids, history.before_placing(&ids)),
        Edit::UntrashTake(id) => each_file(session, id, Session::untrash_take),
        Edit::UntrashTakes(ids) => ids.into_iter().try_for_each(|id| each_file(session, id, Session::untrash_take)),
        Edit::MoveRegion(id, track, start) => session.move_region(id, track, start),
        Edit::TrimRegion(id, start, end) => session.trim_region(id, start, end),
        Edit::SplitRegions(ids, at) => ids.into_iter().try_for_each(|id| session.split_region(id, at).map(drop)),
        Edit::RemoveRegions(ids) => session.remove_regions(&ids),
        Edit::MuteRegions(ids, on) => session.mute_regions(&ids, on),
    }
}

fn each_track(session: &mut Session, ids: &[TrackId], mut change: impl FnMut(&mut Track)) -> Result<(), EditError> {
    for id in ids {
        change(session.track_mut(*id).ok_or(EditError::NoSuchTrack(*id))?);
    }
    Ok(())
}

fn set_inputs(session: &mut Session, id: TrackId, inputs: &[u32]) -> Result<(), EditError> {
    session.track_mut(id).ok_or(EditError::NoSuchTrack(id))?.set_inputs(inputs)
}

/// `inputs`: `None` means the first input that no track has.
fn add_track(session: &mut Session, inputs: Option<Vec<u32>>) -> Result<(), EditError> {
    let inputs = inputs.unwrap_or_else(|| {
        let used: Vec<u32> = session.tracks().iter().flat_map(|track| track.inputs().to_vec()).collect();
        vec![(0..=used.len() as u32).find(|input| !used.contains(input)).unwrap_or(0)]
    });
    let first = inputs.first().map_or(1, |input| input + 1);
    session.add_track(&format!("In {first}"), &inputs).map(drop)
}

fn duplicate_track(session: &mut Session, id: TrackId) -> Result<(), EditError> {
    let like = session.track(id).ok_or(EditError::NoSuchTrack(id))?.clone();
    let at = session.tracks().iter().position(|track| track.id() == id).unwrap_or(0);
    let new = session.add_track(like.name(), like.inputs())?;
    each_track(session, &[new], |track| {
        track.set_gain_db(like.gain_db());
        track.set_pan(like.pan());
        (track.mute, track.solo, track.armed) = (like.mute, like.solo, like.armed);
        (track.monitor, track.colour) = (like.monitor, like.colour);
    })?;
    session.move_track(new, at + 1)
}

/// Moves the track's takes to the trash and removes the track. Refused while one of its takes is being recorded.
fn remove_track(session: &mut Session, id: TrackId) -> Result<(), EditError> {
    let takes: Vec<TakeId> = session.takes_of(id).map(|take| take.id).collect();
    session.trash_takes(&takes)?;
    session.remove_track(id).map(drop)
}

/// Places the whole take on its track where it was recorded. A take that continued in other files is all of them.
fn choose_take(session: &mut Session, id: TakeId) -> Result<(), EditError> {
    if session.take(id).is_some_and(|take| take.trashed) {
        return Err(EditError::Trashed(id));
    }
    each_file(session, id, |session, file| {
        let take = session.take(file).ok_or(EditError::NoSuchTake(file))?;
        let track = take.track;
        // A file has no frame if its disk refused the take from the beginning; the next file has the sound.
        let is_part = file != id && (take.trashed || take.frames == Frames(0));
        if is_part { Ok(()) } else { session.place_take(track, file).map(drop) }
    })
}

/// Changes every file of the take that `id` is a file of.
fn each_file(
    session: &mut Session,
    id: TakeId,
    mut change: impl FnMut(&mut Session, TakeId) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let files: Vec<TakeId> = session.files_of_take(id).map(|take| take.id).collect();
    if files.is_empty() {
        return Err(EditError::NoSuchTake(id));
    }
    files.into_iter().try_for_each(|file| change(session, file))
}

/// The steps of undo and redo.
#[derive(Default)]
pub struct UndoSteps {
    history: History,
    /// The step that the next edit may join.
    open_step: Option<OpenStep>,
    /// The trash of the last step.
    trash: TrashList,
}

/// A step of a drag: its label, the things that it changes, and the time of its last edit.
struct OpenStep {
    label: String,
    dragged: Vec<u64>,
    at: Instant,
}

/// The longest pause between two edits of one drag.
const DRAG_PAUSE_MAX: Duration = Duration::from_millis(800);

impl UndoSteps {
    /// Adds a step with the arrangement `before` it, unless the edit joins the last step: it drags the same things.
    pub(super) fn record(&mut self, label: &str, dragged: Option<Vec<u64>>, before: &Session) {
        let now = host::now();
        let joins = self.open_step.as_ref().is_some_and(|open| {
            open.label == label
                && Some(&open.dragged) == dragged.as_ref()
                && now.duration_since(open.at) < DRAG_PAUSE_MAX
        });
        if !joins {
            self.history.push(label, before.arrangement_sharing(&mut self.trash));
        }
        self.open_step = dragged.map(|dragged| OpenStep { label: label.to_owned(), dragged, at: now });
    }
}

impl Control {
    /// Changes the session in a step that can be undone. Gain, pan, mute, solo and monitoring sound at once; regions
    /// and tracks after the pass that is on. A refused edit changes nothing.
    pub fn edit(&mut self, edit: Edit) -> Result<(), ControlError> {
        self.writable_check()?;
        let before = self.shared();
        let (label, dragged) = (edit.label(), edit.dragged());
        let mut after = Session::clone(&self.session);
        apply(&mut after, edit, &self.undo_steps.history).map_err(|error| self.refusal(&error))?;
        if after != *before {
            self.undo_steps.record(label, dragged, &before);
            self.format = after.format;
            *self.session = after;
            self.changed(&before);
        }
        Ok(())
    }

    /// The reason why an edit or a step of undo was refused, with what to do where the user can do something.
    fn refusal(&self, error: &EditError) -> ControlError {
        ControlError::State(match error {
            EditError::Recording(take) => {
                let mut recorded = self.pass.iter().flat_map(|run| &run.takes).flat_map(RecordingTake::file_ids);
                let reason = if recorded.any(|id| id == *take) {
                    "it is being recorded; stop recording first"
                } else {
                    // A disk refused its end. Only a recovery makes it whole.
                    "it is not whole yet; open the session again, with its disks connected, so that it is recovered"
                };
                format!("{}: {reason}", track_name(&self.session, *take))
            }
            error => error.to_string(),
        })
    }

    /// Takes the last step back. Takes that were recorded since then stay.
    pub fn undo(&mut self) -> Result<(), ControlError> {
        self.step(History::undo, "nothing to undo")
    }

    /// Repeats the step that was undone last.
    pub fn redo(&mut self) -> Result<(), ControlError> {
        self.step(History::redo, "nothing to redo")
    }

    fn step(
        &mut self,
        restore: fn(&mut History, &mut Session) -> Result<bool, EditError>,
        nothing: &str,
    ) -> Result<(), ControlError> {
        self.writable_check()?;
        let before = self.shared();
        self.undo_steps.open_step = None;
        match restore(&mut self.undo_steps.history, &mut self.session) {
            Err(error) => return Err(self.refusal(&error)),
            Ok(false) => return Err(ControlError::State(nothing.to_owned())),
            Ok(true) => {}
        }
        self.format = self.session.format;
        self.changed(&before);
        Ok(())
    }

    /// The labels of the steps that undo and redo would act on.
    pub fn undo_labels(&self) -> (Option<&str>, Option<&str>) {
        (self.undo_steps.history.undo_label(), self.undo_steps.history.redo_label())
    }

    /// Refuses a change of a session that was opened to be played only.
    pub(super) fn writable_check(&self) -> Result<(), ControlError> {
        if self.is_read_only() {
            return Err(ControlError::State(
                "session: it is open to be played only; nothing of it is changed".to_owned(),
            ));
        }
        Ok(())
    }

    /// Saves the session after a change, and has playback follow it.
    fn changed(&mut self, before: &Session) {
        self.save();
        let same_regions = before.tracks().len() == self.session.tracks().len()
            && before
                .tracks()
                .iter()
                .zip(self.session.tracks())
                .all(|(a, b)| a.id() == b.id() && a.has_regions_of(b) && a.inputs().len() == b.inputs().len());
        if !same_regions {
            self.players_outdated = self.playback_enabled;
        }
        self.update_mixes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::setup::test_setup;
    use crate::session::tests::recording;

    /// Discard was refused with "it is being recorded; stop recording first" while nothing was recorded.
    #[test]
    fn a_take_whose_disk_refused_its_end_is_not_called_one_that_is_being_recorded() {
        let place = tempfile::tempdir().unwrap();
        let mut control = Control::open(test_setup(&place.path().join("song"))).unwrap();
        let track = control.session.add_track("Kick", &[0]).unwrap();
        let take = recording(&mut control.session, track, FramePos(0));
        let said = control.edit(Edit::TrashTakes(vec![take])).unwrap_err().to_string();
        assert!(said.contains("not whole yet") && !said.contains("stop recording"), "{said}");
        control.close();
    }
}
