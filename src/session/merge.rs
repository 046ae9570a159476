//! Takes over what a copy of the session in another folder knows and the session does not. Thread: any; pure.
//!
//! The session's own disk may have refused the last versions of session.json, while the copy in an overflow folder got
//! them. A mirror that was opened as a session, and recorded into, has takes of its own too. Takes are facts, so the copy's
//! takes are added. The arrangement stays the session's own.

use super::{
    FOLDER_BYTES_MAX, Loss, OVERFLOW_FOLDER_COUNT_MAX, Session, Shared, Take, TakeId, TakeState, TrackFields, TrackId,
};
use crate::limits::TRACK_COUNT_MAX;
use crate::time::Frames;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Component, Path};
use uuid::Uuid;

/// Where a copy of the session comes from, and so which of its facts hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind<'a> {
    /// An overflow folder. A recovery follows. The takes of a pass that was recovered without this copy are opened again,
    /// because the pass is longer than that recovery knew.
    Found,
    /// An overflow folder whose copy was recovered a moment ago: the ends of its takes hold.
    Recovered,
    /// The mirror in this folder. It has files of its own for the takes of the session, so only passes that were recorded
    /// into the mirror alone are taken over.
    Mirror(&'a str),
}

/// The file of a take. No two takes have the same one.
fn file_of(take: &Take) -> (Option<&str>, String) {
    (take.folder.as_deref(), take.file.to_lowercase())
}

impl Session {
    /// Whether this session has never given this identity.
    pub fn is_new_identity(&self, id: u64) -> bool {
        self.next_id <= id
    }

    /// Whether [`Session::remember_overflow_folder`] would add the folder.
    pub fn is_new_overflow_folder(&self, folder: &str) -> bool {
        let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        folder.len() <= FOLDER_BYTES_MAX
            && Path::new(folder).components().all(is_plain)
            && !self.overflow_folders.iter().any(|known| known == folder)
    }

    /// Remembers an overflow folder. Returns whether it was new. When the list is full, the oldest folder that no take
    /// names is dropped, or else the oldest.
    pub fn remember_overflow_folder(&mut self, folder: String) -> bool {
        if !self.is_new_overflow_folder(&folder) {
            return false;
        }
        if OVERFLOW_FOLDER_COUNT_MAX <= self.overflow_folders.len() {
            let unused = self.overflow_folders.iter().position(|known| !self.has_take_in(known));
            self.overflow_folders.remove(unused.unwrap_or(0));
        }
        self.overflow_folders.push(folder);
        true
    }

    /// Forgets an overflow folder that has no take. Returns whether it was known.
    pub fn forget_overflow_folder(&mut self, folder: &str) -> bool {
        let at = self.overflow_folders.iter().position(|known| known == folder).filter(|_| !self.has_take_in(folder));
        at.map(|at| self.overflow_folders.remove(at)).is_some()
    }

    fn has_take_in(&self, folder: &str) -> bool {
        self.takes.iter().any(|take| take.folder.as_deref() == Some(folder))
    }

    /// The takes that this session has and `before` has not, if the two differ in nothing else.
    pub(super) fn takes_added_to(&self, before: &Session) -> Option<&[Take]> {
        // Every field is named here, so that the compiler asks for a new one.
        let Session { id, name, created, rate, format, next_id: _, tracks, markers, takes, overflow_folders, other } =
            before;
        let is_same = self.id == *id
            && self.name == *name
            && self.created == *created
            && self.rate == *rate
            && self.format == *format
            && self.overflow_folders == *overflow_folders
            && self.other == *other;
        let added = self.takes.get(takes.len()..).filter(|added| !added.is_empty() && is_same)?;
        let has_same_lists =
            self.tracks == *tracks && self.markers == *markers && self.takes[..takes.len()] == takes[..];
        has_same_lists.then_some(added)
    }

    /// Adds takes that were listed beside this session and that it does not have.
    pub(super) fn add_listed_takes(&mut self, listed: &[Take], next_id: u64) {
        let ids: BTreeSet<TakeId> = self.takes.iter().map(|take| take.id).collect();
        let uuids: BTreeSet<Uuid> = self.takes.iter().map(|take| take.uuid).collect();
        let missing = listed.iter().filter(|take| !ids.contains(&take.id) && !uuids.contains(&take.uuid));
        let missing: Vec<Take> = missing.cloned().collect();
        if !missing.is_empty() {
            self.takes.extend(missing);
            self.takes.sort_by_key(|take| take.id);
        }
        self.next_id = self.next_id.max(next_id);
    }

    /// The number above all identities that were given.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Takes over what a copy of the session knows about takes: takes that are missing here with their tracks, the end of
    /// takes that are still recording here, and overflow folders. Returns whether there was any.
    ///
    /// The UUID decides whether two takes are the same. A take that is missing here keeps its identity if this session
    /// never gave that identity; otherwise all missing takes get fresh ones. The same holds for the numbers of passes. A
    /// take without frames whose identity was given here may be one that this session has forgotten, so `has_file` decides
    /// about it. It decides too if both list a take with the same file, see [`Session::drop_takes_named_again`];
    /// a take of the copy whose file is another take's here stays out.
    pub fn merge_newer_takes(&mut self, newer: &Session, kind: CopyKind<'_>, has_file: impl Fn(&Take) -> bool) -> bool {
        if kind == CopyKind::Found {
            self.drop_takes_named_again(newer, &has_file);
        }
        let own: HashMap<Uuid, usize> = self.takes.iter().enumerate().map(|(at, take)| (take.uuid, at)).collect();
        let files: HashSet<(Option<&str>, String)> = self.takes.iter().map(file_of).collect();
        let given_here = self.next_id;
        // The number here of each pass of the copy that both know.
        let known = newer.takes.iter().filter_map(|take| Some((take.pass, self.takes[*own.get(&take.uuid)?].pass)));
        let mut passes: BTreeMap<u32, u32> = known.collect();
        // A pass of the mirror alone may have gone on in an overflow folder.
        let is_in = |folder: &str, pass: u32| {
            newer.takes.iter().any(|take| take.pass == pass && take.folder.as_deref() == Some(folder))
        };
        let is_wanted = |take: &Take| match kind {
            CopyKind::Mirror(folder) => !passes.contains_key(&take.pass) && is_in(folder, take.pass),
            CopyKind::Found | CopyKind::Recovered => true,
        };
        // No recovery follows that would end a take of a mirror whose file was never made.
        let is_of_mirror = matches!(kind, CopyKind::Mirror(_));
        let missing: Vec<&Take> = (newer.takes.iter())
            .filter(|take| !own.contains_key(&take.uuid))
            .filter(|take| (given_here <= take.id.0 && !is_of_mirror) || take.frames > Frames(0) || has_file(take))
            .filter(|take| is_wanted(take) && !(kind == CopyKind::Found && files.contains(&file_of(take))))
            .filter(|take| !passes.get(&take.pass).is_some_and(|pass| self.has_passed(take, *pass)))
            .collect();
        let gained: BTreeSet<u32> = missing.iter().map(|take| take.pass).collect();
        let (mut merged, mut changed) = (Vec::new(), false);
        if !is_of_mirror {
            merged = self.merge_known_takes(newer, &own, &gained, kind);
            changed = !merged.is_empty() | self.add_losses_of(newer, &own);
        }
        // Otherwise a take of the copy that stays out now would be taken over when this session is opened the next time.
        changed |= kind == CopyKind::Found && self.next_id < newer.next_id;
        self.next_id = self.next_id.max(newer.next_id);
        let mut next_pass = self.next_pass().max(newer.next_pass());
        for pass in gained {
            if passes.contains_key(&pass) {
                continue;
            }
            let is_given = self.takes.iter().any(|take| take.pass == pass);
            passes.insert(pass, if is_given { next_pass } else { pass });
            next_pass += u32::from(is_given);
        }
        let renumbers = missing.iter().any(|take| take.id.0 < given_here);
        let mut tracks: BTreeMap<TrackId, TrackId> = BTreeMap::new();
        for take in missing {
            let track = *tracks.entry(take.track).or_insert_with(|| self.adopt_track(newer, take.track, given_here));
            let mut take = take.clone();
            if renumbers {
                let Ok(id) = self.fresh_id() else { continue };
                take.id = TakeId(id);
            }
            (take.track, take.pass) = (track, passes.get(&take.pass).copied().unwrap_or(take.pass));
            merged.push(take.id);
            changed = true;
            let at = self.takes.partition_point(|own| own.id < take.id);
            self.takes.insert(at, take);
        }
        (0..self.tracks.len()).for_each(|track| self.fit_regions(track));
        for id in merged {
            self.place_merged(id);
        }
        for folder in &newer.overflow_folders {
            if self.overflow_folders.len() < OVERFLOW_FOLDER_COUNT_MAX {
                changed |= self.remember_overflow_folder(folder.clone());
            }
        }
        changed
    }

    /// Whether a file in which a take of `copy` was to continue is needless here.
    pub fn is_needless(&self, copy: &Session, next: &Take) -> bool {
        let mut of_pass = copy.takes.iter().filter(|take| take.pass == next.pass);
        let known = of_pass.find_map(|take| self.takes.iter().find(|mine| mine.uuid == take.uuid));
        known.is_some_and(|mine| self.has_passed(next, mine.pass))
    }

    /// Whether a file in which a take of `pass` was to continue is needless: the file before it was completed here with sound
    /// behind the place where the other one begins. The copy that lists it could not be saved again.
    fn has_passed(&self, next: &Take, pass: u32) -> bool {
        let is_behind = |take: &&Take| {
            (take.pass, take.track, take.state) == (pass, next.track, TakeState::Complete)
                && next.offset < take.offset + take.frames
        };
        let never_began = next.state == TakeState::Recording && next.frames == Frames(0);
        never_began && self.takes.iter().filter(is_behind).any(|take| take.uuid != next.uuid)
    }

    /// Drops takes without a frame whose names the program has given to other takes since, which `newer` lists: when a file
    /// of a pass cannot be made because its name is taken, the program forgets the takes of the pass and begins again, and
    /// this session may be the older one. `has_file` says whether a file may be the one of a take. If it may be the one of
    /// both, the later identity was given last. With a take, those of its pass go that have no file: that pass never began.
    fn drop_takes_named_again(&mut self, newer: &Session, has_file: &impl Fn(&Take) -> bool) {
        let own: HashMap<(Option<&str>, String), &Take> = self.takes.iter().map(|take| (file_of(take), take)).collect();
        let never_began = |take: &Take| take.state == TakeState::Recording && take.frames == Frames(0);
        let mut passes: BTreeSet<u32> = BTreeSet::new();
        let mut dropped: BTreeSet<TakeId> = BTreeSet::new();
        for take in newer.takes.iter() {
            let Some(mine) = own.get(&file_of(take)).filter(|mine| mine.uuid != take.uuid) else { continue };
            let is_its_file = |has_mine: bool| match has_file(take) {
                true => !has_mine || mine.id < take.id,
                false => !has_mine && take.frames > Frames(0),
            };
            if never_began(mine) && is_its_file(has_file(mine)) {
                dropped.insert(mine.id);
                passes.insert(mine.pass);
            }
        }
        if dropped.is_empty() {
            return;
        }
        self.takes.retain(|take| {
            // The disk of another folder may not be connected.
            let is_left_over =
                || passes.contains(&take.pass) && take.folder.is_none() && never_began(take) && !has_file(take);
            !dropped.contains(&take.id) && !is_left_over()
        });
    }

    /// Takes over the ends of takes that both know, and opens takes again that were recovered without the copy. A copy that
    /// lists further parts of a pass or its end is newer, so it also knows better where the pass began. Returns the takes
    /// that changed.
    ///
    /// The end of a take holds for the file that the copy lists. A mirror, or a session that was moved, has a file of its
    /// own for the take, which may not be finished, so the take stays open here.
    fn merge_known_takes(
        &mut self,
        newer: &Session,
        own: &HashMap<Uuid, usize>,
        gained: &BTreeSet<u32>,
        kind: CopyKind<'_>,
    ) -> Vec<TakeId> {
        let mut merged = Vec::new();
        for take in newer.takes.iter() {
            let Some(&at) = own.get(&take.uuid) else { continue };
            let (mine, is_ended) = (&self.takes[at], take.state != TakeState::Recording);
            let is_same_file = mine.folder == take.folder;
            let was_recovered = mine.state == TakeState::Recovered && gained.contains(&take.pass);
            let takes_over = mine.state == TakeState::Recording || (was_recovered && kind == CopyKind::Recovered);
            let id = mine.id;
            // The take was opened again because another copy knows more of its pass. This one recovered it without that.
            let is_stale = mine.state == TakeState::Recording
                && Frames(0) < mine.frames
                && mine.accounts.is_none()
                && take.state == TakeState::Recovered
                && take.frames <= mine.frames
                && !gained.contains(&take.pass);
            if is_stale {
                continue;
            }
            if is_ended && takes_over && is_same_file {
                let mut take = take.clone();
                (take.id, take.track, take.pass, take.trashed) = (id, mine.track, mine.pass, mine.trashed);
                self.takes[at] = take;
                merged.push(id);
            } else if was_recovered || (takes_over && (is_ended || gained.contains(&take.pass))) {
                let is_known = !gained.contains(&take.pass) && (mine.start, mine.latency) == (take.start, take.latency);
                if is_known {
                    continue;
                }
                if was_recovered {
                    self.reopen_take(id);
                }
                if let Ok(mine) = self.take_mut(id) {
                    (mine.start, mine.latency) = (take.start, take.latency);
                }
                merged.push(id);
            }
        }
        merged
    }

    /// Lists the losses that a copy lists for one take, as [`Session::merge_newer_takes`] does for all of them.
    pub fn merge_losses_of_take(&mut self, copy: &Session, id: TakeId) {
        let own = self.takes.iter().position(|take| take.id == id).map(|at| (self.takes[at].uuid, at));
        self.add_losses_of(copy, &own.into_iter().collect());
    }

    /// Lists the losses of takes that were being recorded when the copy was saved, of those that have ended in another file, and
    /// of those that were recovered here because this copy could not be read. The session's own disk may have refused that save,
    /// and headers claim the silence because the copy lists it.
    /// Returns whether there was a new one.
    fn add_losses_of(&mut self, newer: &Session, own: &HashMap<Uuid, usize>) -> bool {
        let mut has_new = false;
        for take in newer.takes.iter() {
            let Some(mine) = own.get(&take.uuid).map(|at| &self.takes[*at]) else { continue };
            // A recovery of the copy has listed what it did not find, and this session may have found that since.
            if take.state == TakeState::Recovered && mine.folder == take.folder {
                continue;
            }
            // A take that ended in order has the final list.
            let end = match mine.state {
                TakeState::Recording => u64::MAX,
                TakeState::Recovered => mine.frames.0,
                TakeState::Complete => continue,
            };
            let (id, before) = (mine.id, (mine.losses.clone(), mine.losses_unlisted));
            // A recovery of the copy was stopped, and this session may have found the sound.
            let is_found = |loss: &&Loss| mine.state == TakeState::Recovered && loss.is_of_recovery();
            let losses: Vec<&Loss> = take.losses.iter().filter(|loss| loss.at.0 < end && !is_found(loss)).collect();
            for loss in losses {
                let frames = Frames(loss.frames.0.min(end - loss.at.0));
                self.list_known_loss(id, &Loss { frames, ..loss.clone() }).ok();
            }
            if let Ok(mine) = self.take_mut(id) {
                // The losses for which the list has no room are the same ones at every start.
                let without_room = mine.losses_unlisted - before.1;
                mine.losses_unlisted = before.1.max(take.losses_unlisted + without_room);
                has_new |= before != (mine.losses.clone(), mine.losses_unlisted);
            }
        }
        has_new
    }

    /// Opens a recovered take again, so that the next recovery decides its length once more. It keeps its regions.
    pub fn reopen_take(&mut self, id: TakeId) {
        if let Ok(take) = self.take_mut(id) {
            // Accounts would say that the pass has ended at this length.
            (take.state, take.accounts) = (TakeState::Recording, None);
        }
    }

    /// The track here of a take of a copy. Adds a track that the session does not have. A track that the user has removed
    /// comes back with it, because its new sound was never in the trash.
    fn adopt_track(&mut self, newer: &Session, id: TrackId, given_here: u64) -> TrackId {
        let Some(track) = newer.track(id).filter(|_| self.track(id).is_none()) else { return id };
        if TRACK_COUNT_MAX <= self.tracks.len() {
            return id;
        }
        // Undo may bring back a thing that has the identity now, unless it is that of a track.
        let was_track = self.takes.iter().any(|take| take.track == id) && !self.has_identity(id.0);
        let keeps = given_here <= id.0 || was_track;
        let fresh = if keeps { Some(id) } else { self.fresh_id().ok().map(TrackId) };
        let Some(fresh) = fresh else { return id };
        let fields = TrackFields { id: fresh, armed: false, regions: Shared::default(), ..TrackFields::clone(track) };
        self.tracks.push(Shared::new(fields));
        fresh
    }

    /// Adds the tracks of finished takes that have none, and places the takes. Only a track leads the user to the sound.
    /// Returns the number of takes that have a track again.
    pub fn add_missing_tracks(&mut self) -> usize {
        let has_sound = |take: &Take| !take.trashed && take.state != TakeState::Recording && take.frames > Frames(0);
        let without = |session: &Session, take: &Take| has_sound(take) && session.track(take.track).is_none();
        let ids: Vec<TakeId> = self.takes.iter().filter(|take| without(self, take)).map(|take| take.id).collect();
        for id in &ids {
            self.place_merged(*id);
        }
        ids.iter().filter(|id| self.take(**id).is_some_and(|take| self.track(take.track).is_some())).count()
    }

    /// Places a take that was taken over, where its sound belongs, if its track has nothing else there.
    fn place_merged(&mut self, id: TakeId) {
        if self.take(id).is_some_and(|take| !take.trashed && take.frames > Frames(0)) {
            // Without room for a track, the take is listed without one.
            self.ensure_track_of(id).ok();
        }
        let is_placed = self.tracks.iter().any(|track| track.regions.iter().any(|region| region.take == id));
        let Some(take) = self.take(id).filter(|take| !is_placed && !take.trashed && take.frames > Frames(0)) else {
            return;
        };
        let (track, place) = (take.track, take.place());
        if self.track(track).is_some_and(|track| track.regions_in(place.start, place.end()).is_empty()) {
            self.place_take(track, id).ok();
        }
    }
}
