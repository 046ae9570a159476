//! Questions to a session. None of them changes it. Thread: any.

use super::names::{name_in_audio, trash_path};
use super::{Marker, Region, RegionId, Session, Take, TakeId, TakeState, Track, TrackId};
use crate::time::{FramePos, Frames, SampleRate};

impl Session {
    /// Name of the session, empty if the user has given none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Time at which the session was made, RFC 3339.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Sample rate of the timeline and of every take recorded in this session.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// The tracks in the order of the screen.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Whether a track is soloed, so that those that are not are silent.
    pub fn is_any_soloed(&self) -> bool {
        self.tracks.iter().any(|track| track.solo)
    }

    /// The identities of the tracks, in the order of the screen.
    pub fn track_ids(&self) -> impl Iterator<Item = TrackId> + '_ {
        self.tracks.iter().map(|track| track.id)
    }

    /// The track with this identity.
    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// The track with this identity, to change the fields that depend on nothing else in the session.
    pub fn track_mut(&mut self, id: TrackId) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|track| track.id == id)
    }

    /// All takes in the order in which they were made, including those in the trash.
    pub fn takes(&self) -> &[Take] {
        &self.takes
    }

    /// The take with this identity.
    pub fn take(&self, id: TakeId) -> Option<&Take> {
        let index = self.takes.binary_search_by_key(&id, |take| take.id).ok()?;
        Some(&self.takes[index])
    }

    /// The takes of one track without those in the trash.
    pub fn takes_of(&self, track: TrackId) -> impl Iterator<Item = &Take> {
        self.takes.iter().filter(move |take| take.track == track && !take.trashed)
    }

    /// The region with this identity, and the track it is on.
    pub fn region(&self, id: RegionId) -> Option<(&Track, &Region)> {
        self.tracks.iter().find_map(|track| Some((track, track.regions.iter().find(|region| region.id == id)?)))
    }

    /// The regions at a position of the timeline: at most one for each track. Muted regions are included.
    pub fn regions_at(&self, at: FramePos) -> impl Iterator<Item = (TrackId, &Region)> {
        self.tracks.iter().filter_map(move |track| Some((track.id, track.region_at(at)?)))
    }

    /// The markers, sorted by position.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// The end of the last region; zero if there is no region.
    pub fn end(&self) -> FramePos {
        self.tracks.iter().filter_map(|track| track.regions.last()).map(Region::end).max().unwrap_or_default()
    }

    /// The overflow folders that may hold takes of this session, as absolute paths, oldest first.
    pub fn overflow_folders(&self) -> &[String] {
        &self.overflow_folders
    }

    /// The take that continues `take`, if there is one. If the disk took nothing of `take`, its continuation has the
    /// same offset.
    pub fn continuation_of(&self, take: &Take) -> Option<&Take> {
        let later = self.takes.iter().filter(|other| {
            other.pass == take.pass && other.track == take.track && take.id < other.id && take.offset <= other.offset
        });
        later.min_by_key(|other| (other.offset, other.id))
    }

    /// Whether `take` continues an earlier take of the same track and pass.
    pub fn is_continuation(&self, take: &Take) -> bool {
        let is_earlier = |other: &Take| other.pass == take.pass && other.track == take.track && other.id < take.id;
        take.offset > Frames(0) || self.takes.iter().any(is_earlier)
    }

    /// The files that hold the same recording as take `id`: the takes of its track and its pass, in the order of time. A
    /// take that continued in another file has several.
    pub fn files_of_take(&self, id: TakeId) -> impl Iterator<Item = &Take> {
        let found = self.take(id).map(|take| (take.track, take.pass));
        self.takes.iter().filter(move |take| Some((take.track, take.pass)) == found)
    }

    /// Number for the next pass: one more than the largest one of any take.
    pub fn next_pass(&self) -> u32 {
        self.takes.iter().map(|take| take.pass).max().unwrap_or(0).saturating_add(1)
    }
}

impl Track {
    /// Identity of the track.
    pub fn id(&self) -> TrackId {
        self.id
    }

    /// Name of the track.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nothing of the track is heard. `is_any_soloed`: see [`Session::is_any_soloed`].
    pub fn is_silent(&self, is_any_soloed: bool) -> bool {
        self.mute || (is_any_soloed && !self.solo)
    }

    /// The track in messages, for example `track 3 (Snare)`. `number`: its place on the screen, from 1.
    pub fn title(&self, number: usize) -> String {
        if self.name.is_empty() { format!("track {number}") } else { format!("track {number} ({})", self.name) }
    }

    /// Device channels that the track records, counted from 0: one, or two for stereo.
    pub fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    /// Gain in decibels, from [`GAIN_DB_MIN`](super::GAIN_DB_MIN) to [`GAIN_DB_MAX`](super::GAIN_DB_MAX).
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    /// Pan, from left (-1) to right (1).
    pub fn pan(&self) -> f32 {
        self.pan
    }

    /// The regions, sorted by start. No two overlap.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Whether both tracks have the same regions. Costs nothing if neither list was changed since one was a clone.
    pub fn has_regions_of(&self, other: &Track) -> bool {
        self.regions == other.regions
    }

    /// The region at a position of the timeline.
    pub fn region_at(&self, at: FramePos) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= at);
        self.regions[..after].last().filter(|region| at < region.end())
    }

    /// The regions that touch the span from `start` to `end`, `end` not included.
    pub fn regions_in(&self, start: FramePos, end: FramePos) -> &[Region] {
        let first = self.regions.partition_point(|region| region.end() <= start);
        let after = self.regions.partition_point(|region| region.start < end);
        &self.regions[first.min(after)..after]
    }
}

impl Region {
    /// The position of the timeline behind the region's last frame.
    pub fn end(&self) -> FramePos {
        self.start + self.length
    }
}

impl Take {
    /// Whether a running program may record the take now. A take gets its frames when it ends, so one that has frames and is
    /// not finished was cut off.
    pub fn may_be_recorded(&self) -> bool {
        self.state == TakeState::Recording && self.frames == Frames(0)
    }

    /// The path of the file: in `trash/` if the take is in the trash. It is relative to the session's folder, or
    /// absolute if the file is in an overflow folder.
    pub fn path(&self) -> String {
        let file = if self.trashed { trash_path(self.file_name()) } else { self.file.clone() };
        self.folder.as_ref().map_or(file.clone(), |folder| format!("{folder}/{file}"))
    }

    /// The path that the file may still have: the session saver moves a file into the trash, or out of it, after the save
    /// that lists it there.
    pub fn earlier_path(&self) -> String {
        let file = if self.trashed { self.file.clone() } else { trash_path(self.file_name()) };
        self.folder.as_ref().map_or(file.clone(), |folder| format!("{folder}/{file}"))
    }

    /// The name of the file without its folder.
    pub fn file_name(&self) -> &str {
        name_in_audio(&self.file).unwrap_or(&self.file)
    }

    /// The part of the timeline to which the take's sound belongs: [`Take::latency`](super::TakeFields) frames before
    /// the position at which it was recorded. The part that would lie before the timeline is left out.
    pub fn place(&self) -> TakePlace {
        let take_start = FramePos(self.latency.0.saturating_sub(self.start.0));
        let start = FramePos(self.start.0.saturating_sub(self.latency.0));
        TakePlace { start, take_start, length: self.frames - Frames(take_start.0) }
    }
}

/// The part of the timeline to which the sound of a take belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakePlace {
    /// The position of the first frame.
    pub start: FramePos,
    /// The frame of the take that belongs there. It is not 0 only if the take begins before the timeline.
    pub take_start: FramePos,
    /// Frames from there to the end of the take.
    pub length: Frames,
}

impl TakePlace {
    /// The position of the timeline behind the last frame.
    pub fn end(&self) -> FramePos {
        self.start + self.length
    }
}
