//! Undo and redo. Each step keeps the arrangement before it, which shares every unchanged track with the session.
//! Thread: any; control owns the history.
//!
//! Undo never removes a take or a fact about it, such as its length and losses. A take that was recorded after a
//! snapshot stays in the session that undo returns, without its regions. Undo takes back whether a take is in the trash.

use super::{Arrangement, EditError, Session, TakeId};
use std::collections::VecDeque;

/// Steps that can be undone. When there are more, the oldest is forgotten.
pub const STEP_COUNT_MAX: usize = 200;

/// The steps before the current session and the steps that were undone.
#[derive(Clone, Debug, Default)]
pub struct History {
    behind: VecDeque<Step>,
    ahead: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    label: String,
    arrangement: Arrangement,
}

impl History {
    /// Adds a step. `before` is the arrangement before it. Steps that were undone can no longer be redone.
    pub fn push(&mut self, label: &str, mut before: Arrangement) {
        self.ahead.clear();
        if self.behind.len() == STEP_COUNT_MAX {
            self.behind.pop_front();
        }
        if let Some(last) = self.behind.back() {
            before.share_with(&last.arrangement);
        }
        self.behind.push_back(Step { label: label.into(), arrangement: before });
    }

    /// Takes the last step back in `session`. Returns whether there was one. A step that is refused remains.
    pub fn undo(&mut self, session: &mut Session) -> Result<bool, EditError> {
        let Some(step) = self.behind.back() else { return Ok(false) };
        let now = session.arrangement();
        session.restore(&step.arrangement)?;
        let label = self.behind.pop_back().map(|step| step.label).unwrap_or_default();
        self.ahead.push(Step { label, arrangement: now });
        Ok(true)
    }

    /// Repeats the step that was undone last in `session`. Returns whether there was one. A step that is refused
    /// remains.
    pub fn redo(&mut self, session: &mut Session) -> Result<bool, EditError> {
        let Some(step) = self.ahead.last() else { return Ok(false) };
        let now = session.arrangement();
        session.restore(&step.arrangement)?;
        let label = self.ahead.pop().map(|step| step.label).unwrap_or_default();
        self.behind.push_back(Step { label, arrangement: now });
        Ok(true)
    }

    /// The last arrangement in which no region plays one of `takes`.
    pub fn before_placing(&self, takes: &[TakeId]) -> Option<&Arrangement> {
        let mut takes = takes.to_vec();
        takes.sort_unstable();
        self.behind.iter().rev().map(|step| &step.arrangement).find(|arrangement| !arrangement.plays(&takes))
    }

    /// Label of the step that undo would take back.
    pub fn undo_label(&self) -> Option<&str> {
        self.behind.back().map(|step| step.label.as_str())
    }

    /// Label of the step that redo would repeat.
    pub fn redo_label(&self) -> Option<&str> {
        self.ahead.last().map(|step| step.label.as_str())
    }

    /// Labels of the steps that can be undone, the latest first.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.behind.iter().rev().map(|step| step.label.as_str())
    }

    /// Forgets every step.
    pub fn clear(&mut self) {
        self.behind.clear();
        self.ahead.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{empty_session, recorded, recording};
    use crate::session::{TakeState, TrackId};
    use crate::time::{FramePos, Frames};

    #[test]
    fn undo_and_redo_walk_the_same_steps() {
        let mut history = History::default();
        let mut now = empty_session();
        for name in ["a", "b", "c"] {
            history.push(&format!("Add {name}"), now.arrangement());
            now.add_track(name, &[0]).expect("room");
        }
        let last = now.clone();
        assert_eq!(history.labels().collect::<Vec<_>>(), ["Add c", "Add b", "Add a"]);
        for left in [2, 1, 0] {
            assert_eq!(history.undo(&mut now), Ok(true));
            assert_eq!(now.tracks().len(), left);
        }
        assert_eq!(history.undo(&mut now), Ok(false));
        assert_eq!(history.redo_label(), Some("Add a"));
        while history.redo(&mut now) == Ok(true) {}
        assert_eq!(now, last);
    }

    #[test]
    fn a_new_step_ends_what_could_be_redone_and_old_steps_fall_off() {
        let mut history = History::default();
        let mut now = empty_session();
        for step in 0..STEP_COUNT_MAX + 7 {
            history.push(&step.to_string(), now.arrangement());
        }
        assert_eq!(history.labels().count(), STEP_COUNT_MAX);
        assert_eq!(history.undo(&mut now), Ok(true));
        history.push("other", now.arrangement());
        assert_eq!(history.redo_label(), None);
    }

    #[test]
    fn undoing_a_recording_keeps_its_take_and_never_gives_an_identity_twice() {
        let mut history = History::default();
        let mut now = empty_session();
        let track = now.add_track("Kick", &[0]).expect("room");
        history.push("Record", now.arrangement());
        let take = recorded(&mut now, track, FramePos(0), Frames(100));
        now.choose_take(track, take, FramePos(0), FramePos(100)).expect("placed");

        assert_eq!(history.undo(&mut now), Ok(true));
        assert_eq!(now.track(track).expect("track").regions(), []);
        assert_eq!(now.take(take).expect("still there").frames, Frames(100));
        let other = recorded(&mut now, track, FramePos(0), Frames(50));
        assert_ne!(other, take);
        assert_ne!(now.take(other).expect("made").file, now.take(take).expect("kept").file);
        now.validate().expect("valid");
    }

    #[test]
    fn a_take_put_into_the_trash_comes_back_with_its_region() {
        let mut history = History::default();
        let mut now = empty_session();
        let track = now.add_track("Kick", &[0]).expect("room");
        let take = recorded(&mut now, track, FramePos(0), Frames(100));
        now.choose_take(track, take, FramePos(0), FramePos(100)).expect("placed");
        history.push("Delete take", now.arrangement());
        now.trash_take(take).expect("complete");
        assert_eq!(now.take(take).expect("kept").path(), "trash/Kick-1.wav");
        now.validate().expect("valid");

        assert_eq!(history.undo(&mut now), Ok(true));
        assert_eq!(now.take(take).expect("kept").path(), "audio/Kick-1.wav");
        assert_eq!(now.track(track).expect("track").regions().len(), 1);
        now.validate().expect("valid");
    }

    /// Discard left a gap where earlier takes had played, so the timeline was empty after a second recording.
    #[test]
    fn a_recording_that_is_discarded_shows_again_what_it_covered_and_undo_brings_it_back() {
        let mut history = History::default();
        let mut now = empty_session();
        let track = now.add_track("Kick", &[0]).expect("room");
        let first = recorded(&mut now, track, FramePos(0), Frames(100));
        now.choose_take(track, first, FramePos(0), FramePos(100)).expect("placed");
        let before = now.track(track).expect("track").regions().to_vec();
        history.push("record", now.arrangement());
        let second = recorded(&mut now, track, FramePos(0), Frames(60));
        now.choose_take(track, second, FramePos(20), FramePos(60)).expect("placed");
        history.push("gain", now.arrangement());
        now.track_mut(track).expect("track").set_gain_db(-3.0);
        let placed = now.track(track).expect("track").regions().to_vec();
        assert_eq!(placed.len(), 3);

        let arrangement = now.arrangement();
        now.discard_takes(&[second], history.before_placing(&[second])).expect("complete");
        history.push("takes to the trash", arrangement);
        assert_eq!(now.track(track).expect("track").regions(), before);
        assert!(now.take(second).expect("kept").trashed && now.track(track).expect("track").gain_db() < -2.0);
        now.validate().expect("valid");
        assert_eq!(history.undo(&mut now), Ok(true));
        assert_eq!(now.track(track).expect("track").regions(), placed);
        now.validate().expect("valid");

        // A take that went to the trash while it was covered does not come back.
        let mut without = now.clone();
        without.choose_take(track, second, FramePos(0), FramePos(100)).expect("placed");
        let earlier = history.before_placing(&[second]).expect("a step").clone();
        without.trash_take(first).expect("complete");
        without.discard_takes(&[second], Some(&earlier)).expect("complete");
        without.validate().expect("valid");

        // A region that was moved after the recording stays where it is.
        let moved = placed[2].id;
        now.move_region(moved, track, FramePos(500)).expect("room");
        now.discard_takes(&[second], history.before_placing(&[second])).expect("complete");
        let starts: Vec<u64> = now.track(track).expect("track").regions().iter().map(|it| it.start.0).collect();
        assert_eq!(starts, [0, 500]);
        now.validate().expect("valid");
    }

    #[test]
    fn undo_keeps_takes_that_are_recording_their_ends_and_the_overflow_folders() {
        let mut history = History::default();
        let mut now = empty_session();
        let track = now.add_track("Kick", &[0]).expect("room");
        history.push("mute", now.arrangement());
        now.track_mut(track).expect("track").mute = true;
        let (one, two) = (recording(&mut now, track, FramePos(0)), recording(&mut now, track, FramePos(0)));
        now.finish_take(one, Frames(100), TakeState::Complete, None).expect("recording");
        now.remember_overflow_folder("/other/session".to_owned());
        assert_eq!(history.undo(&mut now), Ok(true));
        assert!(!now.track(track).expect("track").mute);
        assert_eq!(now.take(one).expect("kept").state, TakeState::Complete);
        assert_eq!(now.take(two).expect("kept").state, TakeState::Recording);
        assert_eq!(now.overflow_folders(), ["/other/session"]);
    }

    #[test]
    fn no_undo_redo_or_edit_removes_a_track_that_is_recording() {
        let mut history = History::default();
        let mut now = empty_session();
        history.push("add a track", now.arrangement());
        let track = now.add_track("Kick", &[0]).expect("room");
        let take = recording(&mut now, track, FramePos(0));
        assert_eq!(history.undo(&mut now), Err(EditError::Recording(take)));
        assert_eq!(history.undo_label(), Some("add a track"), "the refused step remains");
        assert!(now.remove_track(track).is_err());
        assert!(now.track(track).is_some());
        now.finish_take(take, Frames(0), TakeState::Recovered, None).expect("recording");
        assert_eq!(history.undo(&mut now), Ok(true));
        assert!(now.track(track).is_none(), "no take of it has sound");

        // Redo of the removal of a track, while it records.
        let mut history = History::default();
        let track = now.add_track("Snare", &[0]).expect("room");
        history.push("remove tracks", now.arrangement());
        now.remove_track(track).expect("idle");
        assert_eq!(history.undo(&mut now), Ok(true));
        let take = recording(&mut now, track, FramePos(0));
        assert_eq!(history.redo(&mut now), Err(EditError::Recording(take)));
        assert!(now.track(track).is_some());
    }

    /// The take was listed without a track: in no grid, no stem and no trash.
    #[test]
    fn a_track_with_a_recorded_take_stays_when_undo_goes_back_before_the_track_was_added() {
        let mut history = History::default();
        let mut now = empty_session();
        let mut other = now.add_track("Bass", &[1]).expect("room");
        history.push("add a track", now.arrangement());
        let track = now.add_track("Kick", &[0]).expect("room");
        history.push("record 1 take", now.arrangement());
        let take = recorded(&mut now, track, FramePos(0), Frames(100));
        now.choose_take(track, take, FramePos(0), FramePos(100)).expect("placed");
        let placed = now.tracks().to_vec();
        while history.undo(&mut now) == Ok(true) {}
        assert_eq!(now.track_ids().collect::<Vec<_>>(), [other, track]);
        assert_eq!(now.track(track).expect("kept").regions(), []);
        now.validate().expect("valid");
        while history.redo(&mut now) == Ok(true) {}
        assert_eq!(now.tracks(), placed);

        // A track whose takes are in the trash goes, and comes back with them.
        history.push("remove tracks", now.arrangement());
        now.trash_take(take).expect("complete");
        now.remove_track(track).expect("idle");
        for has_track in [true, false] {
            let step = if has_track { History::undo } else { History::redo };
            assert_eq!(step(&mut history, &mut now), Ok(true));
            assert_eq!(now.track(track).is_some(), has_track);
            now.validate().expect("valid");
        }

        // A track that was taken over from a copy has no step of its own, and plays what was moved to it.
        other = now.add_track("Snare", &[2]).expect("room");
        let adopted = recorded(&mut now, other, FramePos(0), Frames(50));
        now.place_take(other, adopted).expect("placed");
        while history.undo(&mut now) == Ok(true) {}
        assert_eq!(now.track(other).expect("kept").regions().len(), 1);
        assert!(now.track(track).is_some() && now.track(TrackId(1)).is_some());
        now.validate().expect("valid");
    }

    #[test]
    fn a_region_that_undo_moves_off_a_track_that_stays_is_there_once() {
        let mut now = empty_session();
        let first = now.add_track("Kick", &[0]).expect("room");
        let take = recorded(&mut now, first, FramePos(0), Frames(100));
        let region = now.place_take(first, take).expect("placed");
        let before = now.arrangement();
        let second = now.add_track("Snare", &[1]).expect("room");
        recorded(&mut now, second, FramePos(0), Frames(100));
        now.move_region(region, second, FramePos(0)).expect("room");
        assert_eq!(now.restore(&before), Ok(()));
        assert_eq!([first, second].map(|id| now.track(id).expect("there").regions().len()), [1, 0]);
        now.validate().expect("valid");
    }

    #[test]
    fn a_step_keeps_only_the_track_that_it_changed() {
        let mut now = empty_session();
        let tracks: Vec<_> = (0..3).map(|_| now.add_track("In", &[0]).expect("room")).collect();
        let before = now.clone();
        now.track_mut(tracks[1]).expect("track").mute = true;
        let same = |at: usize| crate::session::Shared::is_same(&before.tracks[at], &now.tracks[at]);
        assert_eq!([same(0), same(1), same(2)], [true, false, true]);
        let regions = |session: &Session| session.tracks[1].regions.clone();
        assert!(crate::session::Shared::is_same(&regions(&before), &regions(&now)), "muting copies no region");
    }

    #[test]
    fn steps_without_a_change_of_takes_share_the_list_of_the_trash_and_others_do_not() {
        let mut now = empty_session();
        let track = now.add_track("Kick", &[0]).expect("room");
        let take = recorded(&mut now, track, FramePos(0), Frames(100));
        let mut list = crate::session::TrashList::default();
        let mut history = History::default();
        history.push("mute", now.arrangement_sharing(&mut list));
        now.track_mut(track).expect("track").mute = true;
        history.push("trash", now.arrangement_sharing(&mut list));
        now.trash_take(take).expect("complete");
        history.push("unmute", now.arrangement_sharing(&mut list));
        now.track_mut(track).expect("track").mute = false;
        for trashed in [true, false, false] {
            assert_eq!(history.undo(&mut now), Ok(true));
            assert_eq!(now.take(take).expect("kept").trashed, trashed);
        }
    }

    #[test]
    fn a_change_of_many_regions_or_takes_is_made_for_all_or_for_none() {
        let mut now = empty_session();
        let tracks: Vec<_> = (0..3).map(|_| now.add_track("In", &[0]).expect("room")).collect();
        let mut regions = Vec::new();
        for track in &tracks[..2] {
            let take = recorded(&mut now, *track, FramePos(0), Frames(100));
            regions.push(now.choose_take(*track, take, FramePos(0), FramePos(40)).expect("placed"));
            regions.push(now.place_region(*track, take, FramePos(50), FramePos(0), Frames(9)).expect("placed"));
        }
        let before = now.clone();
        let missing = crate::session::RegionId(999);
        assert_eq!(now.mute_regions(&[regions[0], missing], true), Err(EditError::NoSuchRegion(missing)));
        assert_eq!(now.remove_regions(&[missing, regions[0]]), Err(EditError::NoSuchRegion(missing)));
        let still = recording(&mut now, tracks[2], FramePos(0));
        let takes: Vec<_> = now.takes().iter().map(|take| take.id).collect();
        assert_eq!(now.trash_takes(&takes), Err(EditError::Recording(still)));
        assert!(now.tracks() == before.tracks() && now.takes().iter().all(|take| !take.trashed));

        now.mute_regions(&[regions[3], regions[0], regions[3]], true).expect("there");
        assert_eq!(
            regions.iter().map(|id| now.region(*id).expect("there").1.muted).collect::<Vec<_>>(),
            [true, false, false, true]
        );
        now.remove_regions(&regions[1..3]).expect("there");
        assert_eq!([0, 1, 2].map(|at: usize| now.tracks()[at].regions().len()), [1, 1, 0]);
        now.trash_takes(&takes[..2]).expect("complete");
        assert!(now.tracks().iter().all(|track| track.regions().is_empty()));
        now.validate().expect("valid");
    }
}
