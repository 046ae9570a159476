//! Changes of the session that a front end can ask for and that can be undone. Owns the steps of undo. Thread: control.

use super::{Control, ControlError};
use crate::format::TakeFormat;
use crate::session::history::History;
use crate::session::{EditError, MarkerId, Monitor, RegionId, Session, TakeId, Track, TrackId};
use crate::time::FramePos;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A change of the session. A change that names several tracks is one step of undo.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Arms or disarms. The pass that is on keeps its tracks.
    Arm(Vec<TrackId>, bool),
    Mute(Vec<TrackId>, bool),
    Solo(Vec<TrackId>, bool),
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
    /// Adds a copy of this track below it, without regions and takes.
    DuplicateTrack(TrackId),
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
    TrashTake(TakeId),
    UntrashTake(TakeId),
    /// Moves a region to a start, perhaps on another track.
    MoveRegion(RegionId, TrackId, FramePos),
    /// Gives a region another start and end on the timeline.
    TrimRegion(RegionId, FramePos, FramePos),
    /// Splits a region at a place of the timeline.
    SplitRegion(RegionId, FramePos),
    /// Removes regions. Their takes stay.
    RemoveRegions(Vec<RegionId>),
    /// Mutes or unmutes regions.
    MuteRegions(Vec<RegionId>, bool),
}

impl Edit {
    /// The name of the step of undo, and whether an edit with the same name shortly after belongs to the same step.
    fn label(&self) -> (&'static str, bool) {
        match self {
            Edit::Arm(_, true) => ("arm", false),
            Edit::Arm(_, false) => ("disarm", false),
            Edit::Mute(_, true) => ("mute", false),
            Edit::Mute(_, false) => ("unmute", false),
            Edit::Solo(_, true) => ("solo", false),
            Edit::Solo(_, false) => ("unsolo", false),
            Edit::Monitor(..) => ("monitoring", false),
            Edit::Inputs(..) => ("choose inputs", false),
            Edit::Gain(_) => ("gain", true),
            Edit::Pan(..) => ("pan", true),
            Edit::Name(..) => ("name a track", false),
            Edit::Colour(..) => ("colour", false),
            Edit::MoveTrack(..) => ("move a track", false),
            Edit::AddTrack(_) => ("add a track", false),
            Edit::DuplicateTrack(_) => ("duplicate a track", false),
            Edit::RemoveTracks(_) => ("remove tracks", false),
            Edit::AddMarker(..) => ("add a marker", false),
            Edit::RenameMarker(..) => ("name a marker", false),
            Edit::MoveMarker(..) => ("move a marker", true),
            Edit::RemoveMarker(_) => ("remove a marker", false),
            Edit::RenameSession(_) => ("rename the session", false),
            Edit::Format(_) => ("format of takes", false),
            Edit::ChooseTake(_) => ("choose a take", false),
            Edit::TrashTake(_) => ("take to the trash", false),
            Edit::UntrashTake(_) => ("take out of the trash", false),
            Edit::MoveRegion(..) => ("move a region", true),
            Edit::TrimRegion(..) => ("trim a region", true),
            Edit::SplitRegion(..) => ("split a region", false),
            Edit::RemoveRegions(_) => ("remove regions", false),
            Edit::MuteRegions(..) => ("mute regions", false),
        }
    }
}

/// Carries out an edit. A refused edit may be half done; the caller puts the session back.
fn apply(session: &mut Session, edit: Edit) -> Result<(), EditError> {
    match edit {
        Edit::Arm(ids, on) => each_track(session, &ids, |track| track.armed = on),
        Edit::Mute(ids, on) => each_track(session, &ids, |track| track.mute = on),
        Edit::Solo(ids, on) => each_track(session, &ids, |track| track.solo = on),
        Edit::Monitor(ids, monitor) => each_track(session, &ids, |track| track.monitor = monitor),
        Edit::Inputs(id, inputs) => session.track_mut(id).ok_or(EditError::NoSuchTrack(id))?.set_inputs(&inputs),
        Edit::Gain(gains) => {
            gains.iter().try_for_each(|(id, db)| each_track(session, &[*id], |track| track.set_gain_db(*db)))
        }
        Edit::Pan(ids, pan) => each_track(session, &ids, |track| track.set_pan(pan)),
        Edit::Name(id, name) => each_track(session, &[id], |track| track.rename(&name)),
        Edit::Colour(ids, colour) => each_track(session, &ids, |track| track.colour = colour),
        Edit::MoveTrack(id, to) => session.move_track(id, to),
        Edit::AddTrack(inputs) => add_track(session, inputs),
        Edit::DuplicateTrack(id) => duplicate_track(session, id),
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
        Edit::TrashTake(id) => session.trash_take(id),
        Edit::UntrashTake(id) => session.untrash_take(id),
        Edit::MoveRegion(id, track, start) => session.move_region(id, track, start),
        Edit::TrimRegion(id, start, end) => session.trim_region(id, start, end),
        Edit::SplitRegion(id, at) => session.split_region(id, at).map(drop),
        Edit::RemoveRegions(ids) => ids.iter().try_for_each(|id| session.remove_region(*id).map(drop)),
        Edit::MuteRegions(ids, on) => ids.iter().try_for_each(|id| session.mute_region(*id, on)),
    }
}

fn each_track(session: &mut Session, ids: &[TrackId], mut change: impl FnMut(&mut Track)) -> Result<(), EditError> {
    for id in ids {
        change(session.track_mut(*id).ok_or(EditError::NoSuchTrack(*id))?);
    }
    Ok(())
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
    takes.into_iter().try_for_each(|take| session.trash_take(take))?;
    session.remove_track(id).map(drop)
}

/// Places the whole take on its track where it was recorded.
fn choose_take(session: &mut Session, id: TakeId) -> Result<(), EditError> {
    let take = session.take(id).ok_or(EditError::NoSuchTake(id))?;
    let (track, start, end) = (take.track, take.start, take.end());
    session.choose_take(track, id, start, end).map(drop)
}

/// The steps of undo and redo.
#[derive(Default)]
pub struct UndoSteps {
    history: History,
    /// The step that the next edit may join: its label, and the time of its last edit. The label alone decides, so gain
    /// changes of two tracks in quick succession are one step.
    open_step: Option<(&'static str, Instant)>,
}

/// The longest pause between two edits of one drag.
const DRAG_PAUSE_MAX: Duration = Duration::from_millis(800);

impl UndoSteps {
    /// Adds a step with the session `before` it, unless the edit joins the last step.
    pub(super) fn record(&mut self, label: &'static str, merges: bool, before: Arc<Session>) {
        let now = Instant::now();
        let same =
            merges && self.open_step.is_some_and(|(open, at)| open == label && now.duration_since(at) < DRAG_PAUSE_MAX);
        if !same {
            self.history.push(label, before);
        }
        self.open_step = merges.then_some((label, now));
    }
}

impl Control {
    /// Changes the session in a step that can be undone. Gain, pan, mute, solo and monitoring sound at once; regions
    /// and tracks after the pass that is on. A refused edit changes nothing.
    pub fn edit(&mut self, edit: Edit) -> Result<(), ControlError> {
        self.writable_check()?;
        let before = self.shared();
        let (label, merges) = edit.label();
        if let Edit::Format(format) = &edit {
            self.format = *format;
        }
        if let Err(error) = apply(&mut self.session, edit) {
            self.session = (*before).clone();
            return Err(ControlError::State(error.to_string()));
        }
        if self.session != *before {
            self.undo_steps.record(label, merges, Arc::clone(&before));
            self.changed(&before);
        }
        Ok(())
    }

    /// Takes the last step back. Takes that were recorded since then stay.
    pub fn undo(&mut self) -> Result<(), ControlError> {
        self.step(History::undo, "nothing to undo")
    }

    /// Repeats the step that was undone last.
    pub fn redo(&mut self) -> Result<(), ControlError> {
        self.step(History::redo, "nothing to do again")
    }

    fn step(
        &mut self,
        restore: fn(&mut History, &Arc<Session>) -> Option<Arc<Session>>,
        nothing: &str,
    ) -> Result<(), ControlError> {
        self.writable_check()?;
        let before = self.shared();
        self.undo_steps.open_step = None;
        let Some(session) = restore(&mut self.undo_steps.history, &before) else {
            return Err(ControlError::State(nothing.to_owned()));
        };
        self.session = Arc::unwrap_or_clone(session);
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
        let same_regions =
            before.tracks().len() == self.session.tracks().len()
                && before.tracks().iter().zip(self.session.tracks()).all(|(a, b)| {
                    a.id() == b.id() && a.regions() == b.regions() && a.inputs().len() == b.inputs().len()
                });
        if !same_regions {
            self.players_outdated = self.playback_enabled;
        }
        self.update_mixes();
    }
}
