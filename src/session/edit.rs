//! Changes to a session. Each leaves the session valid. Thread: any; control calls them on the session that it owns.
//!
//! A change that is refused has changed nothing. No change deletes sound: the takes of covered or removed regions and
//! of removed tracks stay in the session, and a take that the user deletes is in the trash.

use super::file_name::{TakenNames, is_file_name};
use super::names::audio_path;
use super::{
    GAIN_DB_MAX, GAIN_DB_MIN, ID_MAX, LATENCY_MAX, LOSS_COUNT_MAX, MARKER_COUNT_MAX, Marker, MarkerId, Monitor, Other,
    POSITION_MAX, Region, RegionId, Session, Shared, SpoolRecord, TAKE_COUNT_MAX, TAKE_NUMBER_MAX, Take, TakeAccounts,
    TakeFields, TakeId, TakeState, Track, TrackFields, TrackId, clean_name,
};
use crate::format::TakeFormat;
use crate::limits::{CHANNEL_COUNT_MAX, RATE_HZ_MAX, RATE_HZ_MIN, TAKE_CHANNEL_COUNT_MAX, TRACK_COUNT_MAX};
use crate::time::{FramePos, Frames, SampleRate};
use std::fmt;
use uuid::Uuid;

/// Why a change was refused. The session is as it was before.
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
    /// The sample rate is below [`RATE_HZ_MIN`] or above [`RATE_HZ_MAX`].
    Rate(SampleRate),
    /// The span is empty or reaches beyond its take.
    OutsideTake(TakeId),
    /// The position lies behind [`POSITION_MAX`].
    BeyondTimeline,
    /// The take is in the trash.
    Trashed(TakeId),
    /// The take is still being recorded.
    Recording(TakeId),
    /// No file of a take can have this name, or another take's file has it.
    FileName(TakeId),
    /// The session holds as many of these as it can.
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
            EditError::FileName(id) => write!(f, "take {id}: its file cannot have that name"),
            EditError::TooMany(what) => write!(f, "the session holds no more {what}"),
        }
    }
}

impl std::error::Error for EditError {}

/// The properties of a take that are known before its first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTake {
    /// The identity that its WAV file and its spool file will carry.
    pub uuid: Uuid,
    /// The track it is recorded on.
    pub track: TrackId,
    /// The pass it belongs to ([`Session::next_pass`]).
    pub pass: u32,
    /// Device channels it is recorded from. Empty for an imported file.
    pub inputs: Vec<u32>,
    /// Channels of its file.
    pub channels: u32,
    /// Sample rate of its file.
    pub rate: SampleRate,
    /// Sample format of its file.
    pub format: TakeFormat,
    /// Position on the timeline of its first frame.
    pub start: FramePos,
    /// Time at which recording starts, RFC 3339.
    pub started: String,
}

impl Track {
    /// Renames the track. Control characters become spaces. The files of earlier takes keep their names; those of a pass
    /// that is being recorded get the new one at its end.
    pub fn rename(&mut self, name: &str) {
        self.name = clean_name(name);
    }

    /// Sets the gain, rounded to a hundredth of a decibel and clamped to [`GAIN_DB_MIN`] and [`GAIN_DB_MAX`].
    /// Not-a-number becomes 0 dB.
    pub fn set_gain_db(&mut self, gain_db: f32) {
        let gain_db = if gain_db.is_nan() { 0.0 } else { gain_db.clamp(GAIN_DB_MIN, GAIN_DB_MAX) };
        // Adding 0 makes 0 of minus 0, which is equal to it and has other bytes in the file.
        self.gain_db = (gain_db * 100.0).round() / 100.0 + 0.0;
    }

    /// Sets the pan, rounded to a thousandth and clamped to left (-1) and right (1). Not-a-number becomes the middle.
    pub fn set_pan(&mut self, pan: f32) {
        let pan = if pan.is_nan() { 0.0 } else { pan.clamp(-1.0, 1.0) };
        self.pan = (pan * 1000.0).round() / 1000.0 + 0.0;
    }

    /// Sets the device channels that the track records: one, or two for stereo.
    pub fn set_inputs(&mut self, inputs: &[u32]) -> Result<(), EditError> {
        inputs_check(inputs)?;
        self.inputs = inputs.to_vec();
        Ok(())
    }
}

impl Session {
    /// Renames the session. Its folder keeps its name.
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
        self.tracks.push(Shared::new(TrackFields {
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
            regions: Shared::default(),
            other: Other::new(),
        }));
        Ok(id)
    }

    /// Removes a track and its regions. Changes no take. `control::edit` moves the track's takes to the trash first.
    /// Refused while one of the takes is being recorded.
    pub fn remove_track(&mut self, id: TrackId) -> Result<Track, EditError> {
        let index = self.track_index(id)?;
        if let Some(take) = self.takes_of(id).find(|take| take.state == TakeState::Recording) {
            return Err(EditError::Recording(take.id));
        }
        Ok(self.tracks.remove(index))
    }

    /// Moves a track to index `to` in the order. An index behind the last track means the last place.
    pub fn move_track(&mut self, id: TrackId, to: usize) -> Result<(), EditError> {
        let index = self.track_index(id)?;
        let track = self.tracks.remove(index);
        self.tracks.insert(to.min(self.tracks.len()), track);
        Ok(())
    }

    /// File names and numbers of all takes. The caller adds the names that it finds on the disk.
    pub fn taken_names(&self) -> TakenNames {
        let mut names: TakenNames = self.takes.iter().map(Take::file_name).collect();
        names.set_numbers(self.takes.iter().map(|take| (take.track, take.number)));
        names
    }

    /// Adds a take that is about to be recorded. Chooses its number and its file name, and adds the name to `names`.
    /// Places no region.
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
        let numbers = || self.takes.iter().filter(|take| take.track == new.track).map(|take| take.number);
        let last = names.last_number(new.track).unwrap_or_else(|| numbers().max().unwrap_or(0));
        let (number, file_name) = names.choose(&self.tracks[track_index].name, last.saturating_add(1));
        if number > TAKE_NUMBER_MAX {
            return Err(EditError::TooMany("takes on this track"));
        }
        let id = TakeId(self.fresh_id()?);
        names.insert(&file_name);
        names.note_number(new.track, number);
        self.takes.push(Shared::new(TakeFields {
            id,
            uuid: new.uuid,
            track: new.track,
            pass: new.pass,
            number,
            file: audio_path(&file_name),
            inputs: new.inputs,
            channels: new.channels,
            rate: new.rate,
            format: new.format,
            start: new.start,
            offset: Frames(0),
            latency: Frames(0),
            folder: None,
            frames: Frames(0),
            state: TakeState::Recording,
            trashed: false,
            started: clean_name(&new.started),
            losses: Vec::new(),
            losses_unlisted: 0,
            accounts: None,
            spool: None,
            other: Other::new(),
        }));
        Ok(id)
    }

    /// Adds the take that continues take `id`, which is being recorded, from frame `from` of their pass on. Its file
    /// is in `folder` (absolute; `None`: the session's own folder). Take `id` ends there. Places no region.
    pub fn add_continuation(
        &mut self,
        id: TakeId,
        uuid: Uuid,
        from: Frames,
        folder: Option<String>,
        names: &mut TakenNames,
    ) -> Result<TakeId, EditError> {
        let continued = self.take(id).ok_or(EditError::NoSuchTake(id))?.clone();
        let start = FramePos(continued.start.0.saturating_sub(continued.offset.0)) + from;
        if from < continued.offset || POSITION_MAX < start.0 {
            return Err(EditError::BeyondTimeline);
        }
        let new = NewTake {
            uuid,
            track: continued.track,
            pass: continued.pass,
            inputs: continued.inputs.clone(),
            channels: continued.channels,
            rate: continued.rate,
            format: continued.format,
            start,
            started: continued.started.clone(),
        };
        let next = self.add_take(new, names)?;
        let take = self.take_mut(next)?;
        (take.offset, take.latency) = (from, continued.latency);
        (take.folder, take.spool) = (folder, continued.spool.clone());
        Ok(next)
    }

    /// Lists the file of a take under another name, `NAME.wav`, because the file has that name now.
    pub fn set_take_file_name(&mut self, id: TakeId, name: &str) -> Result<(), EditError> {
        let folder = self.take(id).ok_or(EditError::NoSuchTake(id))?.folder.clone();
        let file = audio_path(name);
        let is_taken =
            |other: &Take| other.id != id && other.folder == folder && other.file.to_lowercase() == file.to_lowercase();
        if !is_file_name(name) || self.takes.iter().any(is_taken) {
            return Err(EditError::FileName(id));
        }
        self.take_mut(id)?.file = file;
        Ok(())
    }

    /// Lists the file of a take in the session's own folder, under the name `NAME.wav`: it is there, and the folder that was
    /// listed is not.
    pub fn set_take_in_own_folder(&mut self, id: TakeId, name: &str) -> Result<(), EditError> {
        let before = self.take(id).ok_or(EditError::NoSuchTake(id))?.folder.clone();
        self.take_mut(id)?.folder = None;
        let named = self.set_take_file_name(id, name);
        if named.is_err() {
            self.take_mut(id)?.folder = before;
        }
        named
    }

    /// Removes a take that has no frames, because its file could not be made. No region plays it.
    pub fn forget_take(&mut self, id: TakeId) -> Result<(), EditError> {
        if self.take_mut(id)?.frames > Frames(0) {
            return Err(EditError::OutsideTake(id));
        }
        self.takes.retain(|take| take.id != id);
        Ok(())
    }

    /// Moves the pass of a take that is being recorded to its true start. The take starts `offset` frames later.
    pub fn set_take_start(&mut self, id: TakeId, start: FramePos) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        if start.0.checked_add(take.offset.0).is_none_or(|start| POSITION_MAX < start) {
            return Err(EditError::BeyondTimeline);
        }
        take.start = start + take.offset;
        Ok(())
    }

    /// Notes that a take that is being recorded has frames. Their number is not known before its end.
    pub fn note_has_frames(&mut self, id: TakeId) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        take.frames = take.frames.max(Frames(1));
        Ok(())
    }

    /// Sets the latency of a take, see [`TakeFields::latency`]. Places no region.
    pub fn set_take_latency(&mut self, id: TakeId, latency: Frames) -> Result<(), EditError> {
        self.take_mut(id)?.latency = latency.min(Frames(LATENCY_MAX));
        Ok(())
    }

    /// Sets the known length of a take. Regions that would reach beyond it are shortened.
    pub fn set_take_frames(&mut self, id: TakeId, frames: Frames) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        if take.start.0.checked_add(frames.0).is_none_or(|end| POSITION_MAX < end) {
            return Err(EditError::BeyondTimeline);
        }
        let shrinks = frames < take.frames;
        take.frames = frames;
        if shrinks {
            (0..self.tracks.len()).for_each(|track| self.fit_regions(track));
        }
        Ok(())
    }

    /// Ends a take: sets its final length, its state and its accounts.
    pub fn finish_take(
        &mut self,
        id: TakeId,
        frames: Frames,
        state: TakeState,
        accounts: Option<TakeAccounts>,
    ) -> Result<(), EditError> {
        self.set_take_frames(id, frames)?;
        let take = self.take_mut(id)?;
        // Losses are listed when they are reported, and the end of the take may come before the end of one.
        take.losses.retain(|loss| loss.at.0 < frames.0);
        for loss in &mut take.losses {
            loss.frames = loss.frames.min(Frames(frames.0.saturating_sub(loss.at.0)));
        }
        take.state = state;
        take.spool = take.spool.take().filter(|_| state == TakeState::Recording);
        take.accounts = accounts.map(|accounts| TakeAccounts {
            capture_path: clean_name(&accounts.capture_path),
            device: clean_name(&accounts.device),
            placing: clean_name(&accounts.placing),
            source_losses: accounts.source_losses.iter().take(LOSS_COUNT_MAX).map(|text| clean_name(text)).collect(),
            ..accounts
        });
        Ok(())
    }

    /// Remembers where the sound of a take that is about to be recorded lies in memory.
    pub fn set_take_spool(&mut self, id: TakeId, spool: SpoolRecord) -> Result<(), EditError> {
        self.take_mut(id)?.spool = Some(spool);
        Ok(())
    }

    /// Makes of the session what is saved in `folder`: a take that is recorded there, in the mirror, has no other mirror.
    pub fn forget_mirror_in(&mut self, folder: &str) {
        let is_there = |take: &&Take| take.spool.as_ref().is_some_and(|spool| spool.mirror.as_deref() == Some(folder));
        let ids: Vec<TakeId> = self.takes.iter().filter(is_there).map(|take| take.id).collect();
        for id in ids {
            if let Some(spool) = self.take_mut(id).ok().and_then(|take| take.spool.as_mut()) {
                spool.mirror = None;
            }
        }
    }

    /// Marks a take as deleted and removes its regions. A take that is being recorded is refused.
    pub fn trash_take(&mut self, id: TakeId) -> Result<(), EditError> {
        self.trash_takes(&[id])
    }

    /// Marks takes as deleted and removes their regions. If one is being recorded or is missing, none is deleted.
    pub fn trash_takes(&mut self, ids: &[TakeId]) -> Result<(), EditError> {
        for id in ids {
            let take = self.take(*id).ok_or(EditError::NoSuchTake(*id))?;
            if take.state == TakeState::Recording {
                return Err(EditError::Recording(*id));
            }
        }
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        for id in ids {
            self.take_mut(*id)?.trashed = true;
        }
        let plays_one = |region: &Region| sorted.binary_search(&region.take).is_ok();
        for track in &mut self.tracks {
            // Mutable access copies a list that a step of undo shares.
            if track.regions.iter().any(plays_one) {
                track.regions.retain(|region| !plays_one(region));
            }
        }
        Ok(())
    }

    /// Takes back [`Session::trash_take`], except for the regions. Brings back the track of the take too.
    pub fn untrash_take(&mut self, id: TakeId) -> Result<(), EditError> {
        self.ensure_track_of(id)?;
        self.take_mut(id)?.trashed = false;
        Ok(())
    }

    /// Adds a marker, sorted by position.
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

    /// Renames a marker. Control characters become spaces.
    pub fn rename_marker(&mut self, id: MarkerId, name: &str) -> Result<(), EditError> {
        let index = self.marker_index(id)?;
        self.markers[index].name = clean_name(name);
        Ok(())
    }

    /// Moves a marker and keeps the markers sorted.
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

    /// Shortens or removes the regions of the track at `index` that reach beyond their takes.
    pub(super) fn fit_regions(&mut self, index: usize) {
        let takes = &self.takes;
        let frames_of =
            |id: TakeId| takes.binary_search_by_key(&id, |take| take.id).map_or(Frames(0), |index| takes[index].frames);
        let room = |region: &Region| frames_of(region.take) - Frames(region.take_start.0);
        let track = &mut self.tracks[index];
        // Mutable access copies a list that a step of undo shares.
        if track.regions.iter().all(|region| region.length <= room(region)) {
            return;
        }
        track.regions.retain_mut(|region| {
            region.length = region.length.min(room(region));
            region.length != Frames(0)
        });
    }

    /// Returns an identity that was never given out before.
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

    pub(super) fn take_mut(&mut self, id: TakeId) -> Result<&mut Take, EditError> {
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
