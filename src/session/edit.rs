//! What can be done to a session, each step keeping it valid. Thread: any; a face edits it, nobody shares it.
//!
//! A step that is refused has changed nothing. No step deletes sound: covered or removed regions and
//! removed tracks leave their takes behind, and a take goes to the trash at most.

use super::file_name::TakenNames;
use super::{
    FOLDER_BYTES_MAX, GAIN_DB_MAX, GAIN_DB_MIN, ID_MAX, LOSS_COUNT_MAX, Loss, MARKER_COUNT_MAX, Marker, MarkerId,
    Monitor, OVERFLOW_FOLDER_COUNT_MAX, Other, POSITION_MAX, RegionId, Session, TAKE_COUNT_MAX, TAKE_NUMBER_MAX, Take,
    TakeAccounts, TakeId, TakeState, Track, TrackId, clean_name,
};
use crate::format::TakeFormat;
use crate::limits::{CHANNEL_COUNT_MAX, RATE_HZ_MAX, RATE_HZ_MIN, TAKE_CHANNEL_COUNT_MAX, TRACK_COUNT_MAX};
use crate::time::{FramePos, Frames, SampleRate};
use std::fmt;
use uuid::Uuid;

/// Why a step was refused. The session is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The session has no such track.
    NoSuchTrack(TrackId),
    /// The session has no such take.
    NoSuchTake(TakeId),
    /// The session has no such region.
    NoSuchRegion(RegionId),
    /// The session has no such marker.
    NoSuchMarker(MarkerId),
    /// A track has one input or two, each a channel a device can have.
    Inputs,
    /// A take has one channel or two.
    Channels,
    /// No device runs at this rate.
    Rate(SampleRate),
    /// The span is empty, or reaches beyond its take.
    OutsideTake(TakeId),
    /// The place lies beyond the timeline.
    BeyondTimeline,
    /// The take lies in the trash.
    Trashed(TakeId),
    /// The take is still being recorded.
    Recording(TakeId),
    /// The session has as many of these as it can hold.
    TooMany(&'static str),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditError::NoSuchTrack(id) => write!(f, "track {id}: not in this session"),
            EditError::NoSuchTake(id) => write!(f, "take {id}: not in this session"),
            EditError::NoSuchRegion(id) => write!(f, "region {id}: not in this session"),
            EditError::NoSuchMarker(id) => write!(f, "marker {id}: not in this session"),
            EditError::Inputs => write!(f, "a track has one input or two, below channel {CHANNEL_COUNT_MAX}"),
            EditError::Channels => write!(f, "a take has one channel or two"),
            EditError::Rate(rate) => write!(f, "{rate}: no such sample rate"),
            EditError::OutsideTake(id) => write!(f, "take {id}: has no sound there"),
            EditError::BeyondTimeline => write!(f, "the place lies beyond the timeline"),
            EditError::Trashed(id) => write!(f, "take {id}: lies in the trash"),
            EditError::Recording(id) => write!(f, "take {id}: is still being recorded"),
            EditError::TooMany(what) => write!(f, "the session holds no more {what}"),
        }
    }
}

impl std::error::Error for EditError {}

/// What a take is before its first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTake {
    /// The identity that its file and its spool will carry.
    pub uuid: Uuid,
    /// The track it is recorded on.
    pub track: TrackId,
    /// The pass it belongs to ([`Session::next_pass`]).
    pub pass: u32,
    /// Device channels it is recorded from; none for an import.
    pub inputs: Vec<u32>,
    /// Channels of its file.
    pub channels: u32,
    /// Frames a second.
    pub rate: SampleRate,
    /// How it stores its samples.
    pub format: TakeFormat,
    /// Where it starts on the timeline.
    pub start: FramePos,
    /// When, RFC 3339.
    pub started: String,
}

impl Track {
    /// Renames it; files already made keep their names. Control characters become spaces.
    pub fn rename(&mut self, name: &str) {
        self.name = clean_name(name);
    }

    /// Sets its gain to a hundredth of a decibel, within what there is. Not a number is 0 dB.
    pub fn set_gain_db(&mut self, gain_db: f32) {
        let gain_db = if gain_db.is_nan() { 0.0 } else { gain_db.clamp(GAIN_DB_MIN, GAIN_DB_MAX) };
        self.gain_db = (gain_db * 100.0).round() / 100.0;
    }

    /// Sets its pan to a thousandth, within left (-1) and right (1). Not a number is the middle.
    pub fn set_pan(&mut self, pan: f32) {
        let pan = if pan.is_nan() { 0.0 } else { pan.clamp(-1.0, 1.0) };
        self.pan = (pan * 1000.0).round() / 1000.0;
    }

    /// Sets its device channels: one, or two for stereo.
    pub fn set_inputs(&mut self, inputs: &[u32]) -> Result<(), EditError> {
        inputs_check(inputs)?;
        self.inputs = inputs.to_vec();
        Ok(())
    }
}

impl Session {
    /// Renames the session; its folder keeps its name.
    pub fn rename(&mut self, name: &str) {
        self.name = clean_name(name);
    }

    /// Adds a track below the others.
    pub fn add_track(&mut self, name: &str, inputs: &[u32]) -> Result<TrackId, EditError> {
        inputs_check(inputs)?;
        if self.tracks.len() >= TRACK_COUNT_MAX {
            return Err(EditError::TooMany("tracks"));
        }
        let id = TrackId(self.fresh_id()?);
        self.tracks.push(Track {
            id,
            name: clean_name(name),
            inputs: inputs.to_vec(),
            gain_db: 0.0,
            pan: 0.0,
            mute: false,
            solo: false,
            monitor: Monitor::Auto,
            armed: false,
            colour: (self.tracks.len() % 256) as u8,
            regions: Vec::new(),
            other: Other::new(),
        });
        Ok(id)
    }

    /// Removes a track and its regions. Its takes stay in the session and on the disk.
    pub fn remove_track(&mut self, id: TrackId) -> Result<Track, EditError> {
        let index = self.track_index(id)?;
        Ok(self.tracks.remove(index))
    }

    /// Moves a track to a place in the order; a place behind the last is the last.
    pub fn move_track(&mut self, id: TrackId, to: usize) -> Result<(), EditError> {
        let index = self.track_index(id)?;
        let track = self.tracks.remove(index);
        self.tracks.insert(to.min(self.tracks.len()), track);
        Ok(())
    }

    /// The file names that are taken, to which those found on the disk can be added.
    pub fn taken_names(&self) -> TakenNames {
        self.takes.iter().map(Take::file_name).collect()
    }

    /// Adds a take that is about to be recorded and chooses its number and its file's name, which it
    /// adds to `names`. Nothing is placed on the timeline.
    pub fn add_take(&mut self, new: NewTake, names: &mut TakenNames) -> Result<TakeId, EditError> {
        let track_index = self.track_index(new.track)?;
        if !(1..=TAKE_CHANNEL_COUNT_MAX).contains(&(new.channels as usize)) {
            return Err(EditError::Channels);
        }
        if !new.inputs.is_empty() {
            inputs_check(&new.inputs)?;
        }
        if !(RATE_HZ_MIN..=RATE_HZ_MAX).contains(&new.rate.0) {
            return Err(EditError::Rate(new.rate));
        }
        if new.start.0 > POSITION_MAX {
            return Err(EditError::BeyondTimeline);
        }
        if self.takes.len() >= TAKE_COUNT_MAX {
            return Err(EditError::TooMany("takes"));
        }
        let last = self.takes.iter().filter(|take| take.track == new.track).map(|take| take.number).max().unwrap_or(0);
        let (number, file_name) = names.choose(&self.tracks[track_index].name, last.saturating_add(1));
        if number > TAKE_NUMBER_MAX {
            return Err(EditError::TooMany("takes on this track"));
        }
        let id = TakeId(self.fresh_id()?);
        names.insert(&file_name);
        self.takes.push(Take {
            id,
            uuid: new.uuid,
            track: new.track,
            pass: new.pass,
            number,
            file: format!("audio/{file_name}"),
            inputs: new.inputs,
            channels: new.channels,
            rate: new.rate,
            format: new.format,
            start: new.start,
            offset: Frames(0),
            folder: None,
            frames: Frames(0),
            state: TakeState::Recording,
            trashed: false,
            started: clean_name(&new.started),
            losses: Vec::new(),
            losses_unlisted: 0,
            accounts: None,
            other: Other::new(),
        });
        Ok(id)
    }

    /// Adds the take in which another one, that is being recorded, goes on from frame `from` of their pass, in a file in
    /// `folder` (absolute; `None`: the session's own). The other one ends there. Nothing is placed on the timeline.
    pub fn continue_take(
        &mut self,
        id: TakeId,
        uuid: Uuid,
        from: Frames,
        folder: Option<String>,
        names: &mut TakenNames,
    ) -> Result<TakeId, EditError> {
        let of = self.take(id).ok_or(EditError::NoSuchTake(id))?.clone();
        let start = FramePos(of.start.0.saturating_sub(of.offset.0)) + from;
        if from < of.offset || POSITION_MAX < start.0 {
            return Err(EditError::BeyondTimeline);
        }
        let new = NewTake {
            uuid,
            track: of.track,
            pass: of.pass,
            inputs: of.inputs,
            channels: of.channels,
            rate: of.rate,
            format: of.format,
            start,
            started: of.started,
        };
        let next = self.add_take(new, names)?;
        let take = self.take_mut(next)?;
        (take.offset, take.folder) = (from, folder);
        Ok(next)
    }

    /// Remembers a folder on another disk in which takes may go on. Whether it is a new one; of too many the oldest goes.
    pub fn remember_overflow_folder(&mut self, folder: String) -> bool {
        if self.overflow_folders.contains(&folder) || FOLDER_BYTES_MAX < folder.len() {
            return false;
        }
        if OVERFLOW_FOLDER_COUNT_MAX <= self.overflow_folders.len() {
            self.overflow_folders.remove(0);
        }
        self.overflow_folders.push(folder);
        true
    }

    /// Learns from a newer copy of the session what has become of takes since: those that it does not know, and those that it
    /// believes are being recorded. Whether there was any.
    pub fn catch_up_with(&mut self, newer: &Session) -> bool {
        let news = |take: &&Take| match self.take(take.id) {
            None => self.next_id <= take.id.0,
            Some(own) => {
                own.state == TakeState::Recording && take.state != TakeState::Recording && own.uuid == take.uuid
            }
        };
        let takes: Vec<Take> = newer.takes.iter().filter(news).cloned().collect();
        if takes.is_empty() {
            return false;
        }
        let placed: Vec<(TakeId, TrackId, FramePos, Frames)> =
            takes.iter().map(|take| (take.id, take.track, take.start, take.frames)).collect();
        self.adopt_takes(&Session { takes, ..newer.clone() });
        for (take, track, start, frames) in placed {
            let is_placed = self.tracks.iter().any(|track| track.regions.iter().any(|region| region.take == take));
            if !is_placed && frames > Frames(0) {
                // A track that was removed since keeps the take, unplaced.
                self.place_region(track, take, start, FramePos(0), frames).ok();
            }
        }
        true
    }

    /// Forgets a take that never began: its file was not made, nothing plays it.
    pub fn forget_take(&mut self, id: TakeId) -> Result<(), EditError> {
        if self.take_mut(id)?.frames > Frames(0) {
            return Err(EditError::OutsideTake(id));
        }
        self.takes.retain(|take| take.id != id);
        Ok(())
    }

    /// Sets where the pass of a take that is being recorded really began.
    pub fn set_take_start(&mut self, id: TakeId, start: FramePos) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        if start.0.checked_add(take.offset.0).is_none_or(|start| POSITION_MAX < start) {
            return Err(EditError::BeyondTimeline);
        }
        take.start = start + take.offset;
        Ok(())
    }

    /// Sets the length that a take is known to have. Regions that would reach beyond it are shortened.
    pub fn set_take_frames(&mut self, id: TakeId, frames: Frames) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        if take.start.0.checked_add(frames.0).is_none_or(|end| POSITION_MAX < end) {
            return Err(EditError::BeyondTimeline);
        }
        let shrinks = frames < take.frames;
        take.frames = frames;
        if shrinks {
            self.fit_regions();
        }
        Ok(())
    }

    /// Ends a take: its final length, what became of it and what it cost.
    pub fn finish_take(
        &mut self,
        id: TakeId,
        frames: Frames,
        state: TakeState,
        accounts: Option<TakeAccounts>,
    ) -> Result<(), EditError> {
        self.set_take_frames(id, frames)?;
        let take = self.take_mut(id)?;
        take.state = state;
        take.accounts = accounts.map(|accounts| TakeAccounts {
            capture_path: clean_name(&accounts.capture_path),
            device: clean_name(&accounts.device),
            ..accounts
        });
        Ok(())
    }

    /// Notes a lost stretch of a take: in the list while that has room, in its count always.
    pub fn add_loss(&mut self, id: TakeId, at: FramePos, frames: Frames, cause: &str) -> Result<(), EditError> {
        if at.0.checked_add(frames.0).is_none_or(|end| POSITION_MAX < end) {
            return Err(EditError::BeyondTimeline);
        }
        let take = self.take_mut(id)?;
        if take.losses.len() < LOSS_COUNT_MAX {
            take.losses.push(Loss { at, frames, cause: clean_name(cause) });
        } else {
            take.losses_unlisted = take.losses_unlisted.saturating_add(1);
        }
        Ok(())
    }

    /// Counts losses of a take whose places are not known.
    pub fn add_unlisted_losses(&mut self, id: TakeId, count: u64) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        take.losses_unlisted = take.losses_unlisted.saturating_add(count);
        Ok(())
    }

    /// Sends a take to the trash and removes its regions.
    pub fn trash_take(&mut self, id: TakeId) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        if take.state == TakeState::Recording {
            return Err(EditError::Recording(id));
        }
        take.trashed = true;
        for track in &mut self.tracks {
            track.regions.retain(|region| region.take != id);
        }
        Ok(())
    }

    /// Takes a take out of the trash. Nothing is placed on the timeline.
    pub fn untrash_take(&mut self, id: TakeId) -> Result<(), EditError> {
        self.take_mut(id)?.trashed = false;
        Ok(())
    }

    /// Sets a marker.
    pub fn add_marker(&mut self, at: FramePos, name: &str) -> Result<MarkerId, EditError> {
        if POSITION_MAX < at.0 {
            return Err(EditError::BeyondTimeline);
        }
        if self.markers.len() >= MARKER_COUNT_MAX {
            return Err(EditError::TooMany("markers"));
        }
        let id = MarkerId(self.fresh_id()?);
        self.insert_marker(Marker { id, at, name: clean_name(name), other: Other::new() });
        Ok(id)
    }

    /// Renames a marker.
    pub fn rename_marker(&mut self, id: MarkerId, name: &str) -> Result<(), EditError> {
        let index = self.marker_index(id)?;
        self.markers[index].name = clean_name(name);
        Ok(())
    }

    /// Moves a marker.
    pub fn move_marker(&mut self, id: MarkerId, at: FramePos) -> Result<(), EditError> {
        if POSITION_MAX < at.0 {
            return Err(EditError::BeyondTimeline);
        }
        let index = self.marker_index(id)?;
        let marker = self.markers.remove(index);
        self.insert_marker(Marker { at, ..marker });
        Ok(())
    }

    /// Removes a marker.
    pub fn remove_marker(&mut self, id: MarkerId) -> Result<Marker, EditError> {
        let index = self.marker_index(id)?;
        Ok(self.markers.remove(index))
    }

    /// Goes on from an earlier snapshot without forgetting what has been recorded since: takes and what
    /// is known of them come from `now`, the rest, and what lies in the trash, from the snapshot.
    pub(super) fn adopt_takes(&mut self, now: &Session) {
        self.next_id = self.next_id.max(now.next_id);
        for take in &now.takes {
            match self.takes.binary_search_by_key(&take.id, |own| own.id) {
                Ok(index) => self.takes[index] = Take { trashed: self.takes[index].trashed, ..take.clone() },
                Err(index) => self.takes.insert(index, take.clone()),
            }
        }
        self.fit_regions();
    }

    /// Shortens regions to their takes.
    fn fit_regions(&mut self) {
        let takes = &self.takes;
        for track in &mut self.tracks {
            track.regions.retain_mut(|region| {
                let frames = takes
                    .binary_search_by_key(&region.take, |take| take.id)
                    .map_or(Frames(0), |index| takes[index].frames);
                region.length = region.length.min(frames - Frames(region.take_start.0));
                region.length != Frames(0)
            });
        }
    }

    /// Uses up one identity.
    pub(super) fn fresh_id(&mut self) -> Result<u64, EditError> {
        let id = self.next_id;
        if ID_MAX <= id {
            return Err(EditError::TooMany("identities"));
        }
        self.next_id += 1;
        Ok(id)
    }

    pub(super) fn track_index(&self, id: TrackId) -> Result<usize, EditError> {
        self.tracks.iter().position(|track| track.id == id).ok_or(EditError::NoSuchTrack(id))
    }

    fn marker_index(&self, id: MarkerId) -> Result<usize, EditError> {
        self.markers.iter().position(|marker| marker.id == id).ok_or(EditError::NoSuchMarker(id))
    }

    fn take_mut(&mut self, id: TakeId) -> Result<&mut Take, EditError> {
        let index = self.takes.binary_search_by_key(&id, |take| take.id).map_err(|_| EditError::NoSuchTake(id))?;
        Ok(&mut self.takes[index])
    }

    fn insert_marker(&mut self, marker: Marker) {
        let index = self.markers.partition_point(|other| other.at <= marker.at);
        self.markers.insert(index, marker);
    }
}

fn inputs_check(inputs: &[u32]) -> Result<(), EditError> {
    let count_fits = (1..=TAKE_CHANNEL_COUNT_MAX).contains(&inputs.len());
    let each_fits = inputs.iter().all(|&input| (input as usize) < CHANNEL_COUNT_MAX);
    if count_fits && each_fits { Ok(()) } else { Err(EditError::Inputs) }
}
