//! Placing, moving, trimming and splitting regions. Thread: any; control calls them on the session that it owns.
//!
//! Regions of a track never overlap. A region that is placed over others plays; those that it covers are trimmed,
//! split or removed. The takes keep every frame.

use super::{EditError, Other, POSITION_MAX, REGION_COUNT_MAX, Region, RegionId, Session, TakeId, Track, TrackId};
use crate::time::{FramePos, Frames};

impl Session {
    /// Places `length` frames of a take, from its frame `take_start` on, at `start` on a track. Regions below are
    /// covered.
    pub fn place_region(
        &mut self,
        track: TrackId,
        take: TakeId,
        start: FramePos,
        take_start: FramePos,
        length: Frames,
    ) -> Result<RegionId, EditError> {
        self.span_check(take, start, take_start, length)?;
        let index = self.capacity_check(track)?;
        let id = RegionId(self.fresh_id()?);
        let region = Region { id, take, start, take_start, length, muted: false, other: Other::new() };
        self.insert_over(index, region);
        Ok(id)
    }

    /// Places a whole take on a track where its sound belongs, see [`Take::place`](super::Take::place).
    pub fn place_take(&mut self, track: TrackId, take: TakeId) -> Result<RegionId, EditError> {
        let place = self.take(take).ok_or(EditError::NoSuchTake(take))?.place();
        self.place_region(track, take, place.start, place.take_start, place.length)
    }

    /// Makes a take play between two positions as far as it has sound there, at the place where its sound belongs.
    /// This is the choice of one cell in the grid of takes.
    pub fn choose_take(
        &mut self,
        track: TrackId,
        take: TakeId,
        from: FramePos,
        to: FramePos,
    ) -> Result<RegionId, EditError> {
        let chosen = self.take(take).ok_or(EditError::NoSuchTake(take))?.place();
        let start = from.max(chosen.start);
        let length = to.min(chosen.end()).since(start);
        let take_start = chosen.take_start + start.since(chosen.start);
        self.place_region(track, take, start, take_start, length)
    }

    /// Moves a region to `start` on a track, its own or another. Regions below are covered.
    pub fn move_region(&mut self, id: RegionId, track: TrackId, start: FramePos) -> Result<(), EditError> {
        let (from, at) = self.region_index(id)?;
        let region = self.tracks[from].regions[at].clone();
        self.span_check(region.take, start, region.take_start, region.length)?;
        let to = self.capacity_check(track)?;
        self.tracks[from].regions.remove(at);
        self.insert_over(to, Region { start, ..region });
        Ok(())
    }

    /// Sets the start and the end of a region. Its sound does not move, so both must lie within its take.
    pub fn trim_region(&mut self, id: RegionId, start: FramePos, end: FramePos) -> Result<(), EditError> {
        let (track, at) = self.region_index(id)?;
        let region = self.tracks[track].regions[at].clone();
        let outside = EditError::OutsideTake(region.take);
        let take_start = region.take_start.0.checked_add(start.0).ok_or(outside)?;
        let take_start = FramePos(take_start.checked_sub(region.start.0).ok_or(outside)?);
        let length = end.since(start);
        self.span_check(region.take, start, take_start, length)?;
        self.capacity_check(self.tracks[track].id)?;
        self.tracks[track].regions.remove(at);
        self.insert_over(track, Region { start, take_start, length, ..region });
        Ok(())
    }

    /// Splits a region at `at`. The left part keeps its identity; the identity of the right part is returned.
    pub fn split_region(&mut self, id: RegionId, at: FramePos) -> Result<RegionId, EditError> {
        let (track, index) = self.region_index(id)?;
        let region = &self.tracks[track].regions[index];
        if at <= region.start || region.end() <= at {
            return Err(EditError::OutsideTake(region.take));
        }
        self.capacity_check(self.tracks[track].id)?;
        let right_id = RegionId(self.fresh_id()?);
        let regions = &mut self.tracks[track].regions;
        let right = Region { id: right_id, ..part_from(&regions[index], at) };
        regions[index].length = at.since(regions[index].start);
        regions.insert(index + 1, right);
        Ok(right_id)
    }

    /// Removes a region from the timeline and returns it. Its take stays.
    pub fn remove_region(&mut self, id: RegionId) -> Result<Region, EditError> {
        let (track, at) = self.region_index(id)?;
        Ok(self.tracks[track].regions.remove(at))
    }

    /// Mutes a region or unmutes it.
    pub fn mute_region(&mut self, id: RegionId, muted: bool) -> Result<(), EditError> {
        self.mute_regions(&[id], muted)
    }

    /// Removes regions from the timeline: all of them, or none if one is missing.
    pub fn remove_regions(&mut self, ids: &[RegionId]) -> Result<(), EditError> {
        let (sorted, tracks) = self.tracks_with(ids)?;
        for track in tracks {
            self.tracks[track].regions.retain(|region| sorted.binary_search(&region.id).is_err());
        }
        Ok(())
    }

    /// Mutes regions or unmutes them: all of them, or none if one is missing.
    pub fn mute_regions(&mut self, ids: &[RegionId], muted: bool) -> Result<(), EditError> {
        let (sorted, tracks) = self.tracks_with(ids)?;
        for track in tracks {
            let named = |region: &&mut Region| sorted.binary_search(&region.id).is_ok();
            self.tracks[track].regions.iter_mut().filter(named).for_each(|region| region.muted = muted);
        }
        Ok(())
    }

    /// The sorted identities, and the indices of the tracks that have these regions.
    fn tracks_with(&self, ids: &[RegionId]) -> Result<(Vec<RegionId>, Vec<usize>), EditError> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut is_found = vec![false; sorted.len()];
        let mut tracks = Vec::new();
        for (index, track) in self.tracks.iter().enumerate() {
            let mut has_one = false;
            for at in track.regions.iter().filter_map(|region| sorted.binary_search(&region.id).ok()) {
                (is_found[at], has_one) = (true, true);
            }
            if has_one {
                tracks.push(index);
            }
        }
        match is_found.iter().position(|found| !found) {
            Some(missing) => Err(EditError::NoSuchRegion(sorted[missing])),
            None => Ok((sorted, tracks)),
        }
    }

    /// Lets regions that play a take to the end that it had, frame `before`, play to its present end, as far as their track has
    /// nothing there.
    pub fn lengthen_regions(&mut self, id: TakeId, before: Frames) {
        let Some(frames) = self.take(id).map(|take| take.frames).filter(|frames| before < *frames) else { return };
        let ends_there = |region: &Region| region.take == id && region.take_start.0 + region.length.0 == before.0;
        for track in &mut self.tracks {
            // Mutable access copies a list that a step of undo shares.
            for at in (0..track.regions.len()).filter(|at| ends_there(&track.regions[*at])).collect::<Vec<_>>() {
                let next = track.regions.get(at + 1).map_or(FramePos(POSITION_MAX), |next| next.start);
                let free = next.since(track.regions[at].end());
                track.regions[at].length += free.min(frames - before);
            }
        }
    }

    /// Puts `region` on a track and covers the regions below. It cannot fail: callers have used `span_check` and
    /// `capacity_check`.
    fn insert_over(&mut self, track: usize, region: Region) {
        let next_id = &mut self.next_id;
        let mut fresh_id = || {
            *next_id += 1;
            RegionId(*next_id - 1)
        };
        clear(&mut self.tracks[track], region.start, region.end(), &mut fresh_id);
        let regions = &mut self.tracks[track].regions;
        let index = regions.partition_point(|other| other.start < region.start);
        regions.insert(index, region);
    }

    fn span_check(&self, take: TakeId, start: FramePos, take_start: FramePos, length: Frames) -> Result<(), EditError> {
        let found = self.take(take).ok_or(EditError::NoSuchTake(take))?;
        if found.trashed {
            return Err(EditError::Trashed(take));
        }
        let take_end = take_start.0.checked_add(length.0).ok_or(EditError::OutsideTake(take))?;
        if length == Frames(0) || found.frames.0 < take_end {
            return Err(EditError::OutsideTake(take));
        }
        let end = start.0.checked_add(length.0).ok_or(EditError::BeyondTimeline)?;
        if POSITION_MAX < end { Err(EditError::BeyondTimeline) } else { Ok(()) }
    }

    /// Refuses a change that the track or the identities have no capacity for. One call of `insert_over` adds a
    /// region and may split another in two. Returns the index of the track.
    fn capacity_check(&self, track: TrackId) -> Result<usize, EditError> {
        let index = self.track_index(track)?;
        if REGION_COUNT_MAX < self.tracks[index].regions.len() + 2 {
            return Err(EditError::TooMany("regions on this track"));
        }
        if super::ID_MAX < self.next_id + 2 {
            return Err(EditError::TooMany("identities"));
        }
        Ok(index)
    }

    fn region_index(&self, id: RegionId) -> Result<(usize, usize), EditError> {
        for (index, track) in self.tracks.iter().enumerate() {
            if let Some(at) = track.regions.iter().position(|region| region.id == id) {
                return Ok((index, at));
            }
        }
        Err(EditError::NoSuchRegion(id))
    }
}

/// Frees the span from `start` to `end`: regions in it are trimmed, split or removed.
pub(super) fn clear(track: &mut Track, start: FramePos, end: FramePos, fresh_id: &mut impl FnMut() -> RegionId) {
    let first = track.regions.partition_point(|region| region.end() <= start);
    let after = track.regions.partition_point(|region| region.start < end);
    if after <= first {
        return;
    }
    let mut kept = Vec::with_capacity(2);
    for region in track.regions.drain(first..after) {
        let left = (region.start < start).then(|| Region { length: start.since(region.start), ..region.clone() });
        let right = (end < region.end()).then(|| part_from(&region, end));
        match (left, right) {
            (Some(left), Some(right)) => kept.extend([left, Region { id: fresh_id(), ..right }]),
            (left, right) => kept.extend(left.or(right)),
        }
    }
    track.regions.splice(first..first, kept);
}

/// The part of a region from `at` to its end.
fn part_from(region: &Region, at: FramePos) -> Region {
    let skipped = at.since(region.start);
    Region { start: at, take_start: region.take_start + skipped, length: region.length - skipped, ..region.clone() }
}
