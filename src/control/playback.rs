//! Players: which track plays in which slot, with which mix, and the last locate. Thread: control.
//!
//! A change of regions makes a new player for each track that it changed, and no locate: the other tracks play on. The
//! old player of a track plays until the read-ahead has filled windows for the new one, and the engine fades over.

use crate::message::disk::{PlayRegions, ReaderCommand};
use crate::message::published::Published;
use crate::message::{AudioCommand, PlayFile, PlayPath, PlayRegion, Voice};
use crate::mixer::{AudibleRegion, Mix, TrackGains, audible_regions, mixes_of};
use crate::session::session_file::is_in_use;
use crate::session::{Monitor, Region, Session, Shared, Take, TakeId, TakeState, Track, TrackId};
use crate::threads::Threads;
use crate::time::{FramePos, Frames};
use crate::wav::take_sound::{TakeProgress, TakeSound};
use crate::window::playback::{Edges, playback_windows};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Control's record of the slots, kept equal to those of the audio thread and the read-ahead.
#[derive(Default)]
pub struct Players {
    slots: Vec<Slot>,
    /// Slots in which the audio thread may have a player. The last ones are surplus if the session has fewer tracks now.
    slots_in_use: usize,
    loop_range: Option<(FramePos, FramePos)>,
    /// The loop that playback follows since the last locate.
    loop_in_force: Option<(FramePos, FramePos)>,
    /// Number of the last locate.
    epoch: u32,
    /// The session and the folder that the players were made for.
    loaded: Option<(Arc<Session>, PathBuf)>,
    /// Number of the next player that replaces another one.
    next_key: u64,
    /// Revision of the session and setting of the monitoring that the last mixes were made for.
    mixed: Option<(u64, bool)>,
}

/// A slot: the track that plays in it.
struct Slot {
    track: TrackId,
    /// The mix that was sent last.
    mix: Mix,
    /// The player that replaces the present one as soon as it has windows.
    next: Option<NextPlayer>,
    /// The key of the player that was installed last; `None`: it replaced no other one.
    installed: Option<u64>,
    /// The parts of the timeline where that player is silent, because a take does not have the sound that is listed.
    silent: Vec<Range<FramePos>>,
}

struct NextPlayer {
    key: u64,
    voice: Box<Voice>,
    /// Whether the present player plays another track. Mixes are for the next one only.
    is_other_track: bool,
    /// Whether the audio thread can have it.
    is_ready: bool,
}

impl Slot {
    /// Gives the audio thread the next player.
    fn install(&mut self, slot: usize, running: &mut Threads) {
        if let Some(NextPlayer { voice, .. }) = self.next.take() {
            self.mix = voice.mix;
            running.audio.send(AudioCommand::Install { slot, voice }).ok();
        }
    }
}

impl Players {
    /// Number of the last locate; 0 before the first one.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The name of the track in a slot.
    pub fn name(&self, slot: usize, session: &Session) -> String {
        let track = self.slots.get(slot).and_then(|slot| session.track(slot.track));
        track.map_or_else(|| format!("track {}", slot + 1), |track| track.name().to_owned())
    }

    /// The track in a slot, in messages about its takes.
    pub fn title(&self, slot: usize, session: &Session) -> String {
        let id = self.slots.get(slot).map(|slot| slot.track);
        let found = session.tracks().iter().enumerate().find(|(_, track)| Some(track.id()) == id);
        found.map_or_else(|| format!("track {}", slot + 1), |(index, track)| track.title(index + 1))
    }

    /// Notes that the player that command `installed` has put into a slot is silent there. `false`: another player has
    /// replaced it, and opens the files again.
    pub fn note_silence(&mut self, slot: usize, installed: Option<u64>, silent: Vec<Range<FramePos>>) -> bool {
        let Some(present) = self.slots.get_mut(slot).filter(|present| present.installed == installed) else {
            return false;
        };
        present.silent.extend(silent);
        true
    }

    /// Notes that a file was cut short under the playhead: the track is silent from there to the end of the region.
    pub fn note_cut_short(&mut self, slot: usize, at: FramePos, session: &Session) {
        let Some(present) = self.slots.get_mut(slot) else { return };
        let end = session.track(present.track).and_then(|track| track.region_at(at)).map(Region::end);
        present.silent.extend(end.map(|end| at..end));
    }

    /// Frames from `from` to `end` for which a track whose takes are played has no sound, though the session lists it.
    /// Frames that several tracks lack count once.
    pub fn frames_without_sound(&self, from: FramePos, end: FramePos) -> u64 {
        let plays = |slot: &&Slot| slot.mix.sources(true).0 && slot.mix.gains != TrackGains::SILENT;
        let ranges = self.slots.iter().filter(plays).flat_map(|slot| &slot.silent);
        frames_covered(ranges.map(|range| range.start.max(from)..range.end.min(end)).collect())
    }

    /// Installs every track of the session in a slot, and locates to the playhead.
    pub fn load(&mut self, session: &Arc<Session>, folder: &Path, running: &mut Threads) {
        self.remove_slots(session.tracks().len(), running);
        self.slots.clear();
        self.slots_in_use = session.tracks().len();
        let mut voices = Vec::with_capacity(session.tracks().len());
        for (slot, (track, mix)) in session.tracks().iter().zip(mixes_of(session)).enumerate() {
            self.slots.push(Slot { track: track.id(), mix, next: None, installed: None, silent: Vec::new() });
            let (audio, windows) = playback_windows();
            voices.push(Box::new(Voice::new(audio, mix)));
            let regions = play_regions(slot, session, folder);
            running.reader.send(ReaderCommand::Install { slot, windows, regions, replaces: None }).ok();
        }
        // The rings and voices are new memory. Touch every page now, so that the audio thread does not fault on them.
        crate::window::process::populate();
        for (slot, voice) in voices.into_iter().enumerate() {
            running.audio.send(AudioCommand::Install { slot, voice }).ok();
        }
        self.loaded = Some((Arc::clone(session), folder.to_owned()));
        self.mixed = None;
        let at = FramePos(running.published.position.load(Relaxed));
        self.locate(running, at);
    }

    /// Makes new players for the tracks whose regions or takes changed since the players were made. There is no locate,
    /// so this may be done while the transport rolls.
    pub fn update(&mut self, session: &Arc<Session>, folder: &Path, running: &mut Threads) {
        let Some((before, folder_before)) = self.loaded.take() else {
            return self.load(session, folder, running);
        };
        let moved = changed_takes(before.takes(), session.takes());
        let is_same = |slot: usize, track: &Track| {
            folder == folder_before
                && before.tracks().get(slot).is_some_and(|old| old.id() == track.id() && old.has_regions_of(track))
                && (moved.is_empty() || !track.regions().iter().any(|region| moved.contains(&region.take)))
        };
        self.slots.truncate(session.tracks().len());
        for (slot, (track, mix)) in session.tracks().iter().zip(mixes_of(session)).enumerate() {
            if is_same(slot, track) {
                continue;
            }
            // The rings are populated when they are made, and the voice is written here: the audio thread takes no fault.
            let (audio, windows) = playback_windows();
            let voice = Box::new(Voice::new(audio, mix));
            self.next_key += 1;
            let key = self.next_key;
            let regions = play_regions(slot, session, folder);
            running.reader.send(ReaderCommand::Install { slot, windows, regions, replaces: Some(key) }).ok();
            let mut next = NextPlayer { key, voice, is_other_track: true, is_ready: false };
            match self.slots.get_mut(slot) {
                None => {
                    let (track, installed, silent) = (track.id(), Some(key), Vec::new());
                    self.slots.push(Slot { track, mix, next: Some(next), installed, silent });
                }
                Some(present) => {
                    next.is_other_track = present.track != track.id()
                        || present.next.as_ref().is_some_and(|before| before.is_other_track);
                    present.track = track.id();
                    present.next = Some(next);
                    present.installed = Some(key);
                    present.silent.clear();
                }
            }
        }
        self.slots_in_use = self.slots_in_use.max(self.slots.len());
        self.loaded = Some((Arc::clone(session), folder.to_owned()));
        self.mixed = None;
        self.move_tracks(running);
    }

    /// Gives windows of players that wait for others back when the playhead has passed them. Nobody else does: such a ring
    /// would stay full, and the player would be silent between the windows that were filled for it and the playhead.
    pub fn keep_up(&mut self, published: &Published) {
        // In this order: the audio thread stores the frame of a new locate before its number.
        let epoch = published.epoch.load(Acquire);
        let stream = published.stream.load(Relaxed);
        for next in self.slots.iter_mut().filter_map(|slot| slot.next.as_mut()) {
            next.voice.windows.advance_to(epoch, stream);
        }
    }

    fn remove_slots(&mut self, from: usize, running: &mut Threads) {
        for slot in from..self.slots_in_use {
            running.reader.send(ReaderCommand::Remove { slot }).ok();
            running.audio.send(AudioCommand::Remove { slot }).ok();
        }
        self.slots_in_use = self.slots_in_use.min(from);
    }

    /// The audio thread can have player `key`. It gets it at once, or together with the others if tracks move to other
    /// slots.
    pub fn player_ready(&mut self, slot: usize, key: u64, running: &mut Threads) {
        let Some(present) = self.slots.get_mut(slot) else { return };
        let Some(next) = present.next.as_mut().filter(|next| next.key == key) else { return };
        next.is_ready = true;
        if next.is_other_track {
            self.move_tracks(running);
        } else {
            present.install(slot, running);
        }
    }

    /// Gives the audio thread the players of all slots that play another track from now on, and removes the surplus slots,
    /// as soon as all of these players are ready. A track that moves to another slot fades out here and in there at the
    /// same time. If the slots changed one by one, it would be silent or heard twice meanwhile.
    fn move_tracks(&mut self, running: &mut Threads) {
        let moves = |slot: &Slot, is_ready: bool| {
            slot.next.as_ref().is_some_and(|next| next.is_other_track && next.is_ready == is_ready)
        };
        if self.slots.iter().any(|slot| moves(slot, false)) {
            return;
        }
        for (slot, present) in self.slots.iter_mut().enumerate().filter(|(_, present)| moves(present, true)) {
            present.install(slot, running);
        }
        self.remove_slots(self.slots.len(), running);
    }

    /// Whether a track that is installed can be heard between `from` and `end` while a pass records, or, with a pre-roll,
    /// before it.
    pub fn play_between(&self, session: &Session, from: FramePos, end: FramePos, has_pre_roll: bool) -> bool {
        self.slots.iter().enumerate().any(|(index, slot)| {
            let takes_play = slot.mix.sources(true).0 || (has_pre_roll && slot.mix.sources(false).0);
            if !takes_play || slot.mix.gains == TrackGains::SILENT {
                return false;
            }
            // There can be a thousand slots. Most have the place of their track, so a search through all tracks is rarely needed.
            let in_order = session.tracks().get(index).filter(|track| track.id() == slot.track);
            let track = in_order.or_else(|| session.track(slot.track));
            track.is_some_and(|track| track.regions_in(from, end).iter().any(|region| !region.muted))
        })
    }

    /// Whether a track can be heard while a pass that began at `began` records its frames from `from` to `to`. Follows the
    /// loop.
    pub fn play_along(&self, session: &Session, began: FramePos, from: Frames, to: Frames) -> bool {
        let path = PlayPath { start: began, loop_range: self.loop_in_force };
        let mut at = from.0;
        // The rest of one turn of the loop, a whole turn, and the begin of another one: no more are different.
        for _ in 0..3 {
            let frames = path.straight(at).min(to.0.saturating_sub(at));
            if frames == 0 {
                return false;
            }
            let place = path.at(at);
            if self.play_between(session, place, place + Frames(frames), false) {
                return true;
            }
            at += frames;
        }
        false
    }

    /// Sets the loop. It is in force from the next locate on.
    pub fn set_loop(&mut self, loop_range: Option<(FramePos, FramePos)>) {
        self.loop_range = loop_range;
    }

    /// Whether the loop was set after the last locate, so that it is not in force.
    pub fn is_loop_outdated(&self) -> bool {
        self.loop_range != self.loop_in_force
    }

    /// Whether playback loops from the next locate on.
    pub fn is_looping(&self) -> bool {
        self.loop_range.is_some()
    }

    /// Sends the audio thread the mixes that have changed. `auto`: armed tracks with `Monitor::Auto` play their input
    /// while stopped and while recording. `revision`: the number of the session's content. Costs nothing if neither
    /// changed.
    pub fn mix(&mut self, session: &Session, revision: u64, auto: bool, running: &mut Threads) {
        if self.mixed == Some((revision, auto)) {
            return;
        }
        self.mixed = Some((revision, auto));
        let mixes: Vec<(&Track, Mix)> = session.tracks().iter().zip(mixes_of(session)).collect();
        for (slot, present) in self.slots.iter_mut().enumerate() {
            let is_it = |found: &&(&Track, Mix)| found.0.id() == present.track;
            // While a pass is on, the order of the tracks may change and the players stay.
            let found = mixes.get(slot).filter(is_it).or_else(|| mixes.iter().find(is_it));
            let Some((track, mut mix)) = found.copied() else { continue };
            mix.auto = auto && track.armed && track.monitor == Monitor::Auto;
            if let Some(next) = &mut present.next {
                next.voice.mix = mix;
                if next.is_other_track {
                    continue;
                }
            }
            if mix != present.mix && running.audio.send(AudioCommand::Mix { slot, mix }).is_ok() {
                present.mix = mix;
            }
        }
    }

    /// Sends a locate to both threads, to the read-ahead first, so that it already fills windows when the audio thread
    /// asks for them.
    pub fn locate(&mut self, running: &mut Threads, to: FramePos) {
        self.epoch += 1;
        self.loop_in_force = self.loop_range;
        let path = PlayPath { start: to, loop_range: self.loop_range };
        running.reader.send(ReaderCommand::Locate { path, epoch: self.epoch }).ok();
        if self.slots.is_empty() {
            // Without tracks the read-ahead sleeps, and no window has to be filled: the locate is ready at once.
            running.published.ready_epoch.store(self.epoch, Release);
        }
        running.audio.send(AudioCommand::Locate { path, epoch: self.epoch }).ok();
    }
}

/// The takes whose sound is somewhere else now, or that follow another take. New takes are left out: a list of regions
/// that did not change has none of them. Both lists are sorted by identity.
fn changed_takes(before: &[Take], now: &[Take]) -> BTreeSet<TakeId> {
    let what_plays = |take: &Take| (take.path(), take.track, take.pass, take.offset);
    let mut now = now.iter().peekable();
    let mut changed = BTreeSet::new();
    for old in before {
        if now.next_if(|now| Shared::is_same(now, old)).is_some() {
            continue;
        }
        while now.next_if(|now| now.id < old.id).is_some() {}
        let found = now.next_if(|now| now.id == old.id);
        if found.is_none_or(|now| what_plays(now) != what_plays(old)) {
            changed.insert(old.id);
        }
    }
    changed
}

/// Frames in at least one of the ranges.
fn frames_covered(mut ranges: Vec<Range<FramePos>>) -> u64 {
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut frames, mut done) = (0, FramePos(0));
    for range in ranges {
        let from = range.start.max(done);
        if from < range.end {
            frames += range.end.since(from).0;
            done = range.end;
        }
    }
    frames
}

/// The regions of the track in a slot. The read-ahead makes the list, because that takes a while for a long one.
fn play_regions(slot: usize, session: &Arc<Session>, folder: &Path) -> PlayRegions {
    let (session, folder) = (Arc::clone(session), folder.to_owned());
    Box::new(move || {
        let Some(track) = session.tracks().get(slot) else { return Vec::new() };
        let mut files: HashMap<TakeId, Arc<PlayFile>> = HashMap::new();
        let mut in_use: Option<bool> = None;
        let mut file_of = |take: &Take| {
            let progress = match take.state {
                TakeState::Recording if take.may_be_recorded() && *in_use.get_or_insert_with(|| is_in_use(&folder)) => {
                    TakeProgress::BeingRecorded
                }
                TakeState::Recording => TakeProgress::CutOff,
                _ => TakeProgress::Finished,
            };
            Arc::new(PlayFile {
                path: Arc::new(folder.join(take.path())),
                earlier_path: folder.join(take.earlier_path()),
                sound: TakeSound { channels: take.channels, rate: take.rate.0, format: take.format, progress },
            })
        };
        let regions = audible_regions(track, &session).into_iter();
        regions
            .map(|AudibleRegion { region, take, fades }| PlayRegion {
                start: region.start,
                length: region.length,
                take_start: region.take_start,
                file: Arc::clone(files.entry(take.id).or_insert_with(|| file_of(take))),
                edges: Edges::new(fades, region.length.0),
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::window::map::Mapping;
    use crate::window::playback::PlaybackWindow;

    /// Tracks that were moved to other slots while they played were silent for a while, if one of them was read slowly.
    #[test]
    fn a_player_that_waits_for_others_gives_passed_windows_back_so_that_it_is_filled_up_to_the_playhead() {
        let (audio, mut reader) = playback_windows();
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let mut supply = |epoch, start| {
            let map = Mapping::readable(&file, 0, 8192).unwrap();
            let (format, edges) = (TakeFormat::S16, Edges::NONE);
            let window = PlaybackWindow { map, epoch, start, frames: 1_000, skip_bytes: 0, format, channels: 1, edges };
            reader.ring.hand_over(window).unwrap();
            reader.ring.out()
        };
        for window in 0..4 {
            assert_eq!(supply(3, 1_000 * window), window as usize + 1);
        }
        let mix = Mix { gains: TrackGains::SILENT, disk: true, input: false, auto: false, inputs: [0, 1], channels: 1 };
        let voice = Box::new(Voice::new(audio, mix));
        let next = Some(NextPlayer { key: 1, voice, is_other_track: true, is_ready: true });
        let slot = Slot { track: TrackId(1), mix, next, installed: Some(1), silent: Vec::new() };
        let mut players = Players { slots: vec![slot], ..Players::default() };
        let published = Published::new(1);
        let mut back = |epoch, stream| {
            published.stream.store(stream, Relaxed);
            published.epoch.store(epoch, Release);
            players.keep_up(&published);
            std::iter::from_fn(|| reader.ring.collect()).count()
        };
        assert_eq!([back(2, 9_000), back(3, 999), back(3, 2_500), back(3, 2_500)], [0, 0, 2, 0]);
        assert_eq!(back(4, 0), 2, "windows of the locate before");
    }

    #[test]
    fn frames_that_several_tracks_lack_count_once() {
        let covered = |ranges: &[(u64, u64)]| {
            frames_covered(ranges.iter().map(|(from, to)| FramePos(*from)..FramePos(*to)).collect())
        };
        assert_eq!(covered(&[]), 0);
        assert_eq!(covered(&[(10, 20), (0, 5)]), 15);
        assert_eq!(covered(&[(0, 100), (20, 30), (90, 110)]), 110);
        assert_eq!(covered(&[(50, 40), (0, 10)]), 10, "a range outside of what was played is empty");
    }
}
