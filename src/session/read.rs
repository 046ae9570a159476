//! What can be asked of a session. Thread: any.

use super::{Marker, Region, RegionId, Session, Take, TakeId, Track, TrackId};
use crate::time::{FramePos, Frames, SampleRate};

impl Session {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was made, RFC 3339.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Frames a second of the timeline and of every take recorded here.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// The tracks in the order of the screen.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Their identities, in that order.
    pub fn track_ids(&self) -> impl Iterator<Item = TrackId> + '_ {
        self.tracks.iter().map(|track| track.id)
    }

    /// One track.
    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// One track, to change what may be changed without the rest of the session.
    pub fn track_mut(&mut self, id: TrackId) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|track| track.id == id)
    }

    /// Every take in the order they were made, those in the trash included.
    pub fn takes(&self) -> &[Take] {
        &self.takes
    }

    /// One take.
    pub fn take(&self, id: TakeId) -> Option<&Take> {
        let index = self.takes.binary_search_by_key(&id, |take| take.id).ok()?;
        Some(&self.takes[index])
    }

    /// The takes of one track that are not in the trash.
    pub fn takes_of(&self, track: TrackId) -> impl Iterator<Item = &Take> {
        self.takes.iter().filter(move |take| take.track == track && !take.trashed)
    }

    /// One region and the track it lies on.
    pub fn region(&self, id: RegionId) -> Option<(&Track, &Region)> {
        self.tracks.iter().find_map(|track| Some((track, track.regions.iter().find(|region| region.id == id)?)))
    }

    /// What lies under a place of the timeline: at most one region a track, muted ones included.
    pub fn regions_at(&self, at: FramePos) -> impl Iterator<Item = (TrackId, &Region)> {
        self.tracks.iter().filter_map(move |track| Some((track.id, track.region_at(at)?)))
    }

    /// The markers, sorted by place.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// The end of the last region; zero when nothing is placed.
    pub fn end(&self) -> FramePos {
        self.tracks.iter().filter_map(|track| track.regions.last()).map(Region::end).max().unwrap_or_default()
    }

    /// Folders on other disks in which takes may have gone on.
    pub fn overflow_folders(&self) -> &[String] {
        &self.overflow_folders
    }

    /// The session as it is kept beside takes in another folder, `there`, when its own is `own`: each take is found from there.
    #[must_use]
    pub fn seen_from(&self, there: &str, own: &str) -> Session {
        let mut seen = self.clone();
        for take in &mut seen.takes {
            take.folder = match take.folder.take() {
                None => Some(own.to_owned()),
                Some(folder) => Some(folder).filter(|folder| folder != there),
            };
        }
        seen
    }

    /// The take that a take goes on in, if it does. Where its disk took nothing of it at all, that one begins at the same
    /// frame, in another folder.
    pub fn continued_in(&self, take: &Take) -> Option<&Take> {
        let later = self.takes.iter().filter(|other| {
            other.pass == take.pass && other.track == take.track && take.id < other.id && take.offset <= other.offset
        });
        later
            .filter(|other| other.offset > Frames(0) || other.folder != take.folder)
            .min_by_key(|other| (other.offset, other.id))
    }

    /// Whether a take is one in which another one goes on.
    pub fn is_continuation(&self, take: &Take) -> bool {
        let before = |other: &Take| other.pass == take.pass && other.track == take.track && other.id < take.id;
        take.offset > Frames(0) || self.takes.iter().any(|other| before(other) && other.folder != take.folder)
    }

    /// The number of the next pass: one more than that of any take.
    pub fn next_pass(&self) -> u32 {
        self.takes.iter().map(|take| take.pass).max().unwrap_or(0).saturating_add(1)
    }
}

impl Track {
    /// Its identity.
    pub fn id(&self) -> TrackId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its device channels, counted from 0: one, or two for stereo.
    pub fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    /// Its gain, [`GAIN_DB_MIN`](super::GAIN_DB_MIN) to [`GAIN_DB_MAX`](super::GAIN_DB_MAX).
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    /// Its place between left (-1) and right (1).
    pub fn pan(&self) -> f32 {
        self.pan
    }

    /// Its regions, sorted by start, none overlapping another.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region under a place of the timeline.
    pub fn region_at(&self, at: FramePos) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= at);
        self.regions[..after].last().filter(|region| at < region.end())
    }

    /// The regions that touch the span from `start` up to, not including, `end`.
    pub fn regions_in(&self, start: FramePos, end: FramePos) -> &[Region] {
        let first = self.regions.partition_point(|region| region.end() <= start);
        let after = self.regions.partition_point(|region| region.start < end);
        &self.regions[first.min(after)..after]
    }
}

impl Region {
    /// The first place of the timeline behind it.
    pub fn end(&self) -> FramePos {
        self.start + self.length
    }
}

impl Take {
    /// Its file: in `trash/` when it is there; relative to the session's folder, unless it is on another disk.
    pub fn path(&self) -> String {
        let file = if self.trashed { format!("trash/{}", self.file_name()) } else { self.file.clone() };
        self.folder.as_ref().map_or(file.clone(), |folder| format!("{folder}/{file}"))
    }

    /// Its file's name without a folder.
    pub fn file_name(&self) -> &str {
        self.file.strip_prefix("audio/").unwrap_or(&self.file)
    }

    /// The first place of the timeline behind it, where it was recorded.
    pub fn end(&self) -> FramePos {
        self.start + self.frames
    }
}
