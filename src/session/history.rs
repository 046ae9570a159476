//! Undo and redo. Each step keeps a snapshot of the whole session. Thread: any; control owns the history.
//!
//! Undo never removes a take or a fact about it, such as its length and losses. A take that was recorded after a
//! snapshot stays in the session that undo returns, without its regions. Undo takes back whether a take is in the trash.

use super::Session;
use std::collections::VecDeque;
use std::sync::Arc;

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
    session: Arc<Session>,
}

impl History {
    /// Adds a step. `before` is the session before it. Steps that were undone can no longer be redone.
    pub fn push(&mut self, label: &str, before: Arc<Session>) {
        self.ahead.clear();
        if self.behind.len() == STEP_COUNT_MAX {
            self.behind.pop_front();
        }
        self.behind.push_back(Step { label: label.into(), session: before });
    }

    /// Takes back the last step and returns the session before it. `now` is the current session, to which redo
    /// returns.
    #[must_use = "the session as it is has not been changed"]
    pub fn undo(&mut self, now: &Arc<Session>) -> Option<Arc<Session>> {
        let step = self.behind.pop_back()?;
        self.ahead.push(Step { label: step.label, session: Arc::clone(now) });
        Some(with_takes_of(step.session, now))
    }

    /// Repeats the step that was undone last and returns the session after it.
    #[must_use = "the session as it is has not been changed"]
    pub fn redo(&mut self, now: &Arc<Session>) -> Option<Arc<Session>> {
        let step = self.ahead.pop()?;
        self.behind.push_back(Step { label: step.label, session: Arc::clone(now) });
        Some(with_takes_of(step.session, now))
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

fn with_takes_of(mut session: Arc<Session>, now: &Session) -> Arc<Session> {
    Arc::make_mut(&mut session).adopt_takes(now);
    session
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{empty_session, recorded};
    use crate::time::{FramePos, Frames};

    #[test]
    fn undo_and_redo_walk_the_same_steps() {
        let mut history = History::default();
        let mut now = Arc::new(empty_session());
        for name in ["a", "b", "c"] {
            history.push(&format!("Add {name}"), Arc::clone(&now));
            Arc::make_mut(&mut now).add_track(name, &[0]).expect("room");
        }
        let last = Arc::clone(&now);
        assert_eq!(history.labels().collect::<Vec<_>>(), ["Add c", "Add b", "Add a"]);
        for left in [2, 1, 0] {
            now = history.undo(&now).expect("a step");
            assert_eq!(now.tracks().len(), left);
        }
        assert!(history.undo(&now).is_none());
        assert_eq!(history.redo_label(), Some("Add a"));
        while let Some(next) = history.redo(&now) {
            now = next;
        }
        assert_eq!(now, last);
    }

    #[test]
    fn a_new_step_ends_what_could_be_redone_and_old_steps_fall_off() {
        let mut history = History::default();
        let now = Arc::new(empty_session());
        for step in 0..STEP_COUNT_MAX + 7 {
            history.push(&step.to_string(), Arc::clone(&now));
        }
        assert_eq!(history.labels().count(), STEP_COUNT_MAX);
        assert!(history.undo(&now).is_some());
        history.push("other", Arc::clone(&now));
        assert_eq!(history.redo_label(), None);
    }

    #[test]
    fn undoing_a_recording_keeps_its_take_and_never_gives_an_identity_twice() {
        let mut history = History::default();
        let mut session = empty_session();
        let track = session.add_track("Kick", &[0]).expect("room");
        let mut now = Arc::new(session);
        history.push("Record", Arc::clone(&now));
        let take = recorded(Arc::make_mut(&mut now), track, FramePos(0), Frames(100));
        Arc::make_mut(&mut now).choose_take(track, take, FramePos(0), FramePos(100)).expect("placed");

        let mut now = history.undo(&now).expect("a step");
        assert_eq!(now.track(track).expect("track").regions(), []);
        assert_eq!(now.take(take).expect("still there").frames, Frames(100));
        let other = recorded(Arc::make_mut(&mut now), track, FramePos(0), Frames(50));
        assert_ne!(other, take);
        assert_ne!(now.take(other).expect("made").file, now.take(take).expect("kept").file);
        now.validate().expect("valid");
    }

    #[test]
    fn a_take_put_into_the_trash_comes_back_with_its_region() {
        let mut history = History::default();
        let mut session = empty_session();
        let track = session.add_track("Kick", &[0]).expect("room");
        let take = recorded(&mut session, track, FramePos(0), Frames(100));
        session.choose_take(track, take, FramePos(0), FramePos(100)).expect("placed");
        let mut now = Arc::new(session);
        history.push("Delete take", Arc::clone(&now));
        Arc::make_mut(&mut now).trash_take(take).expect("complete");
        assert_eq!(now.take(take).expect("kept").path(), "trash/Kick-1.wav");
        now.validate().expect("valid");

        let now = history.undo(&now).expect("a step");
        assert_eq!(now.take(take).expect("kept").path(), "audio/Kick-1.wav");
        assert_eq!(now.track(track).expect("track").regions().len(), 1);
        now.validate().expect("valid");
    }
}
