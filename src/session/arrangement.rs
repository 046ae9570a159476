//! The arrangement: the part of a session that edits change and undo restores. Thread: any; control owns the session,
//! the history owns arrangements.
//!
//! The other part is the ledger of takes: facts that recording and recovery append. An [`Arrangement`] has no take, no
//! overflow folder and no next identity, so going back to one cannot forget a recorded file.

use super::region::clear;
use super::{
    EditError, Marker, Region, RegionId, Session, Shared, Take, TakeFormat, TakeId, TakeState, Track, TrackId,
};
use crate::limits::TRACK_COUNT_MAX;
use crate::time::Frames;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The tracks with their regions, the markers, the name, the format of new takes, and which takes are in the trash.
#[derive(Clone, Debug)]
pub struct Arrangement {
    name: String,
    format: TakeFormat,
    tracks: Vec<Track>,
    markers: Shared<Vec<Marker>>,
    /// The takes in the trash, sorted.
    trashed: Arc<[TakeId]>,
}

impl Arrangement {
    /// Shares the list of the trash with another arrangement if both lists are equal.
    pub(super) fn share_with(&mut self, other: &Arrangement) {
        if self.trashed == other.trashed {
            self.trashed = Arc::clone(&other.trashed);
        }
    }

    /// Whether a region plays one of `takes`, which are sorted.
    pub(super) fn plays(&self, takes: &[TakeId]) -> bool {
        self.tracks.iter().flat_map(Track::regions).any(|region| takes.binary_search(&region.take).is_ok())
    }

    fn has_track(&self, id: TrackId) -> bool {
        self.tracks.iter().any(|track| track.id == id)
    }

    fn is_trashed(&self, id: TakeId) -> bool {
        self.trashed.binary_search(&id).is_ok()
    }
}

/// The takes of a session, and which of them are in the trash. Arrangements of sessions with the same takes share the list.
#[derive(Debug, Default)]
pub struct TrashList {
    /// The takes of the last session.
    takes: Option<Shared<Vec<Take>>>,
    trashed: Arc<[TakeId]>,
}

impl Session {
    /// The present arrangement. It shares the tracks with the session.
    pub fn arrangement(&self) -> Arrangement {
        self.arrangement_sharing(&mut TrashList::default())
    }

    /// The present arrangement. Looks at the takes only if they are not those of the last call with the same `list`.
    pub fn arrangement_sharing(&self, list: &mut TrashList) -> Arrangement {
        if !list.takes.as_ref().is_some_and(|takes| Shared::is_same(takes, &self.takes)) {
            list.trashed = self.takes.iter().filter(|take| take.trashed).map(|take| take.id).collect();
            list.takes = Some(self.takes.clone());
        }
        Arrangement {
            name: self.name.clone(),
            format: self.format,
            tracks: self.tracks.clone(),
            markers: self.markers.clone(),
            trashed: Arc::clone(&list.trashed),
        }
    }

    /// Goes back to an earlier arrangement of this session. The takes and all facts about them stay as they are.
    /// A track that the arrangement lacks stays if it has sound that is not in the trash there: only a track leads the
    /// user to the sound. Refused if a track that is recording would go: its take could not be placed at the end.
    pub fn restore(&mut self, arrangement: &Arrangement) -> Result<(), EditError> {
        let goes = |id| self.track(id).is_some() && !arrangement.has_track(id);
        if let Some(take) = self.takes.iter().find(|take| take.state == TakeState::Recording && goes(take.track)) {
            return Err(EditError::Recording(take.id));
        }
        let kept = self.tracks_kept_beside(arrangement);
        if TRACK_COUNT_MAX < arrangement.tracks.len() + kept.len() {
            return Err(EditError::TooMany("tracks"));
        }
        self.name.clone_from(&arrangement.name);
        self.format = arrangement.format;
        self.markers = arrangement.markers.clone();
        let before = std::mem::replace(&mut self.tracks, arrangement.tracks.clone());
        self.tracks.extend(kept);
        if self.takes.iter().any(|take| take.trashed != arrangement.is_trashed(take.id)) {
            for take in self.takes.iter_mut().filter(|take| take.trashed != arrangement.is_trashed(take.id)) {
                take.trashed = !take.trashed;
            }
        }
        // A track whose regions did not change fits its takes already.
        let changed: Vec<usize> = (0..self.tracks.len())
            .filter(|at| before.get(*at).is_none_or(|b| !Shared::is_same(&b.regions, &self.tracks[*at].regions)))
            .collect();
        for track in changed {
            self.fit_regions(track);
        }
        Ok(())
    }

    /// The tracks that `arrangement` lacks and that have sound which is not in the trash there, with the regions that can
    /// stay beside it.
    fn tracks_kept_beside(&self, arrangement: &Arrangement) -> Vec<Track> {
        let present: HashSet<TrackId> = arrangement.tracks.iter().map(|track| track.id).collect();
        let needs_track = |take: &&Take| {
            take.frames > Frames(0) && !present.contains(&take.track) && !arrangement.is_trashed(take.id)
        };
        let needed: BTreeSet<TrackId> = self.takes.iter().filter(needs_track).map(|take| take.track).collect();
        let mut kept: Vec<Track> = self.tracks.iter().filter(|track| needed.contains(&track.id)).cloned().collect();
        if kept.is_empty() {
            return kept;
        }
        let there: HashSet<RegionId> = arrangement.tracks.iter().flat_map(Track::regions).map(|it| it.id).collect();
        // A region that was moved here from another track is there again.
        let stays = |region: &Region| !arrangement.is_trashed(region.take) && !there.contains(&region.id);
        for track in &mut kept {
            // Mutable access copies a list that a step of undo shares.
            if !track.regions.iter().all(stays) {
                track.regions.retain(stays);
            }
        }
        kept
    }

    /// Adds the track of a take again if the session does not have it any more: only a track leads the user to the sound.
    pub fn ensure_track_of(&mut self, id: TakeId) -> Result<(), EditError> {
        let take = self.take(id).ok_or(EditError::NoSuchTake(id))?.clone();
        if self.track(take.track).is_some() {
            return Ok(());
        }
        let inputs = if take.inputs.is_empty() { (0..take.channels).collect() } else { take.inputs.clone() };
        let stem = take.file_name().rsplit_once('.').map_or(take.file_name(), |(stem, _)| stem);
        let name = stem.strip_suffix(&format!("-{}", take.number)).unwrap_or(stem);
        let new = self.add_track(name, &inputs)?;
        if self.is_new_identity(take.track.0) || self.has_identity(take.track.0) {
            // This session has not given the identity to a track: an older file was opened, and began to count there.
            for other in self.takes.iter_mut().filter(|other| other.track == take.track) {
                other.track = new;
            }
        } else if let Some(track) = self.track_mut(new) {
            // All files of the take name the track by this identity.
            track.id = take.track;
        }
        Ok(())
    }

    /// Whether a track, a take, a region or a marker has this identity.
    pub(super) fn has_identity(&self, id: u64) -> bool {
        self.tracks.iter().any(|track| track.id.0 == id)
            || self.takes.binary_search_by_key(&TakeId(id), |take| take.id).is_ok()
            || self.markers.iter().any(|marker| marker.id.0 == id)
            || self.tracks.iter().flat_map(Track::regions).any(|region| region.id.0 == id)
    }

    /// Moves takes to the trash and shows again what their regions cover. `earlier`: the arrangement before they were
    /// placed. A track whose other regions were changed since then gets a gap.
    pub fn discard_takes(&mut self, takes: &[TakeId], earlier: Option<&Arrangement>) -> Result<(), EditError> {
        let mut sorted = takes.to_vec();
        sorted.sort_unstable();
        let covered: Vec<(usize, Track)> = (earlier.iter().flat_map(|earlier| &earlier.tracks))
            .filter_map(|track| Some((self.tracks.iter().position(|own| own.id == track.id)?, track.clone())))
            .filter(|(at, track)| is_covered(&self.tracks[*at], track, &sorted))
            .collect();
        self.trash_takes(takes)?;
        for (at, track) in covered {
            // A covered take may have gone to the trash since.
            let is_kept = |region: &&Region| self.take(region.take).is_some_and(|take| !take.trashed);
            let regions: Vec<Region> = track.regions.iter().filter(is_kept).cloned().collect();
            *self.tracks[at].regions = regions;
            self.fit_regions(at);
        }
        Ok(())
    }
}

/// Whether the regions of `now` are those of `earlier` with the regions of `takes` placed over them. `takes` are sorted.
fn is_covered(now: &Track, earlier: &Track, takes: &[TakeId]) -> bool {
    let (above, rest): (Vec<&Region>, Vec<&Region>) =
        now.regions.iter().partition(|region| takes.binary_search(&region.take).is_ok());
    let mut below = earlier.clone();
    for region in &above {
        // The parts are compared and dropped, so their identities do not matter.
        clear(&mut below, region.start, region.end(), &mut || region.id);
    }
    let content = |region: &Region| (region.take, region.start, region.take_start, region.length, region.muted);
    !above.is_empty() && rest.into_iter().map(content).eq(below.regions.iter().map(content))
}
