//! The arrangement: the part of a session that edits change and undo restores. Thread: any; control owns the session,
//! the history owns arrangements.
//!
//! The other part is the ledger of takes: facts that recording and recovery append. An [`Arrangement`] has no take, no
//! overflow folder and no next identity, so going back to one cannot forget a recorded file.

use super::region::clear;
use super::{EditError, Marker, Region, Session, Shared, Take, TakeFormat, TakeId, TakeState, Track, TrackId};
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
    /// Refused if a track that is recording would go: its take could not be placed at the end.
    pub fn restore(&mut self, arrangement: &Arrangement) -> Result<(), EditError> {
        let goes = |id| self.track(id).is_some() && !arrangement.has_track(id);
        if let Some(take) = self.takes.iter().find(|take| take.state == TakeState::Recording && goes(take.track)) {
            return Err(EditError::Recording(take.id));
        }
        self.name.clone_from(&arrangement.name);
        self.format = arrangement.format;
        self.markers = arrangement.markers.clone();
        let before = std::mem::replace(&mut self.tracks, arrangement.tracks.clone());
        let is_trashed = |id: TakeId| arrangement.trashed.binary_search(&id).is_ok();
        if self.takes.iter().any(|take| take.trashed != is_trashed(take.id)) {
            for take in self.takes.iter_mut().filter(|take| take.trashed != is_trashed(take.id)) {
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
