//! Saving the session: gives revisions to the savers, repeats a save that failed, and reports to the user once that saves
//! fail and once that they work again. Owns the times of saves and the state of failing ones. Thread: control.
//!
//! While changes go on there is a save a second, because a save writes the whole file and makes it durable, and the takes
//! need the same disk. A save that something waits for goes at once: Record, a continuation, the end of a pass, the user.

use super::session_saver::{Problem, SessionSaver};
use super::{Control, Severity};
use crate::butler::spool;
use crate::flight::record::Kind;
use crate::host;
use crate::message::disk::ButlerCommand;
use crate::session::names::SESSION_FILE;
use std::time::{Duration, Instant};

/// Pause between two tries of a save that fails.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Pause from one save to the next while changes go on.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Whether the session's last content is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveState {
    /// The present revision is durable, or the session is not saved at all because it is only played.
    Saved,
    /// The saver has not tried the present revision yet.
    Pending,
    /// The last save failed, for this reason. It is tried again.
    Failing(String),
}

/// When changes are saved for which nothing waits.
#[derive(Default)]
pub(super) struct SavePace {
    /// Whether the savers lack the present revision.
    is_behind: bool,
    /// When the savers got the last revision.
    last: Option<Instant>,
}

impl SavePace {
    /// Whether the present revision goes to the savers now.
    fn is_due(&self, now: Instant) -> bool {
        self.is_behind && self.last.is_none_or(|last| last + SAVE_INTERVAL <= now)
    }
}

/// The state of saves that fail. A single failure begins it, a save that succeeds ends it.
#[derive(Default)]
pub(super) struct SaveWatch {
    /// The reason of the last failure, path first.
    reason: Option<String>,
    /// When the next try is due. `None`: saves do not fail.
    retry_at: Option<Instant>,
}

/// The next step of [`SaveWatch`].
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// Offer the present revision to the saver again.
    Retry,
    /// Tell the user that saves fail.
    Announce,
    /// Tell the user that saves work again.
    AnnounceEnd,
}

impl SaveWatch {
    /// `is_failing`: whether the last save failed, or the saver's thread has ended.
    fn step(&mut self, is_failing: bool, now: Instant) -> Step {
        match self.retry_at {
            None if is_failing => {
                self.retry_at = Some(now + RETRY_PAUSE);
                Step::Announce
            }
            Some(_) if !is_failing => {
                self.retry_at = None;
                Step::AnnounceEnd
            }
            Some(at) if at <= now => {
                self.retry_at = Some(now + RETRY_PAUSE);
                Step::Retry
            }
            _ => Step::Nothing,
        }
    }
}

impl Control {
    /// The session changed: gives it a new revision, and saves it a second after the last save at the latest.
    pub(super) fn save(&mut self) {
        self.session.raise_revision();
        self.save_pace.is_behind = true;
        self.save_if_due();
    }

    /// The session changed and something waits until it is saved.
    pub(super) fn save_at_once(&mut self) {
        self.session.raise_revision();
        self.hand_to_saver();
    }

    /// Saves the session now, without a change, for a user who asks for it.
    pub fn save_now(&mut self) {
        self.save_at_once();
    }

    /// The session is going to be saved soon, and something will wait for that.
    pub(super) fn prepare_save(&self) {
        if let Some(saver) = &self.saver {
            saver.prepare(&self.session);
        }
    }

    fn save_if_due(&mut self) {
        if self.save_pace.is_due(host::now()) {
            self.hand_to_saver();
        }
    }

    /// Gives the present revision to the savers without waiting. One that is not taken is given again by `poll`.
    fn hand_to_saver(&mut self) {
        let revision = self.session.revision();
        let is_behind = self.saver.as_ref().is_some_and(|saver| !saver.save(&self.session, revision));
        self.save_pace = SavePace { is_behind, last: Some(host::now()) };
        self.save_companions();
    }

    /// The last revision that session.json on the session's own disk has. Of a session that is not saved at all, the
    /// present revision.
    pub fn saved_revision(&self) -> u64 {
        self.saver.as_ref().map_or(self.session.revision(), SessionSaver::durable)
    }

    /// The last revision that is on a disk: in session.json on the session's own disk, or in the copy in the overflow
    /// folder. A failed save does not count.
    pub fn durable_revision(&self) -> u64 {
        let overflow = self.companions.overflow.as_ref().filter(|overflow| overflow.is_usable());
        self.saved_revision().max(overflow.map_or(0, |overflow| overflow.saver.durable()))
    }

    /// The last revision that recovery would find after a kill. Like `durable_revision`, but the copy in the overflow
    /// folder counts only if session.json on the own disk lists the folder, because recovery looks nowhere else.
    pub(super) fn recoverable_revision(&self) -> u64 {
        let own = self.saved_revision();
        let is_listed = self.companions.overflow.as_ref().is_some_and(|overflow| overflow.listed_by <= own);
        if is_listed { self.durable_revision() } else { own }
    }

    /// Has the butler remove the files in memory of takes that recovery would find complete after a kill.
    pub(super) fn remove_finished_memory(&mut self) {
        let recoverable = self.recoverable_revision();
        let butler = &mut self.running.butler;
        self.finished_memory.retain(|(revision, memory)| {
            let command = ButlerCommand::RemoveMemory { memory: memory.clone() };
            recoverable < *revision || butler.send(command).is_err()
        });
    }

    /// Removes the files in memory that are left after the last save. Files of takes that the session does not list as
    /// complete stay for the next start.
    fn remove_last_memory(&mut self) {
        let recoverable = self.recoverable_revision();
        for (_, memory) in self.finished_memory.extract_if(.., |(revision, _)| *revision <= recoverable) {
            spool::remove(&memory);
        }
    }

    /// Whether the present content of the session is on the disk.
    pub fn save_state(&self) -> SaveState {
        match &self.saver {
            None => SaveState::Saved,
            Some(saver) if saver.durable() == self.session.revision() => SaveState::Saved,
            Some(saver) if saver.is_failing() || saver.has_ended() => SaveState::Failing(self.save_failure()),
            Some(_) => SaveState::Pending,
        }
    }

    /// The reason of the last failed save, path first.
    pub(super) fn save_failure(&self) -> String {
        let unknown = || format!("{}: the thread that saves it has ended", self.folder.join(SESSION_FILE).display());
        self.save_watch.reason.clone().unwrap_or_else(unknown)
    }

    /// The last revision that the saver has tried to save; `u64::MAX` if it cannot try any more, 0 without a saver.
    pub(super) fn tried_revision(&self) -> u64 {
        let tried = |saver: &SessionSaver| if saver.has_ended() { u64::MAX } else { saver.handled() };
        self.saver.as_ref().map_or(0, tried)
    }

    /// Reports the problems of the saver, and repeats a save that failed.
    pub(super) fn poll_saver(&mut self) {
        self.save_if_due();
        let Some(saver) = &self.saver else { return };
        // Before the problems are read: a problem is sent before the save counts as handled.
        let is_failing = saver.is_failing() || saver.has_ended();
        let problems: Vec<Problem> = saver.problems().collect();
        for problem in problems {
            match problem {
                Problem::Save(reason) | Problem::Moved(reason) => self.save_watch.reason = Some(reason),
                Problem::Trash(text) => self.caution(text),
            }
        }
        match self.save_watch.step(is_failing, host::now()) {
            Step::Nothing => {}
            Step::Retry => self.hand_to_saver(),
            Step::Announce => {
                let text = format!("{}; changes are not saved, it is tried again until they are", self.save_failure());
                self.notify(Kind::Notice, Severity::Caution, text, &[]);
            }
            Step::AnnounceEnd => {
                self.save_watch.reason = None;
                self.info(format!("{}: saved again", self.folder.join(SESSION_FILE).display()));
            }
        }
    }

    /// Saves the last revision and ends the savers. Waits for the session's own disk without a limit, but not for a
    /// saver whose thread has ended.
    pub(super) fn finish_saving(&mut self) {
        self.save_at_once();
        let problems = self.saver.as_mut().map(SessionSaver::finish).unwrap_or_default();
        for problem in problems {
            match problem {
                Problem::Save(reason) | Problem::Moved(reason) => self.save_watch.reason = Some(reason),
                Problem::Trash(text) => self.caution(text),
            }
        }
        if self.saved_revision() < self.session.revision() {
            let text = format!("{}; the last changes are not saved", self.save_failure());
            self.loss(text);
        }
        self.remove_last_memory();
        for text in std::mem::take(&mut self.companions).finish() {
            self.caution(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_saved_at_once_after_a_pause_and_then_once_a_second() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = SavePace::default();
        assert!(!pace.is_due(at(0)), "nothing changed");
        let mut saves = Vec::new();
        for ms in (0..5000).step_by(20) {
            pace.is_behind = true;
            if pace.is_due(at(ms)) {
                pace = SavePace { is_behind: false, last: Some(at(ms)) };
                saves.push(ms);
            }
        }
        assert_eq!(saves, [0, 1000, 2000, 3000, 4000]);
        pace.is_behind = true;
        assert!(pace.is_due(at(60_000)));
    }

    #[test]
    fn saves_that_keep_failing_are_repeated_and_reported_once() {
        let (mut watch, start) = (SaveWatch::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(watch.step(false, at(0)), Step::Nothing);
        assert_eq!(watch.step(true, at(1)), Step::Announce);
        assert_eq!(watch.step(true, at(2)), Step::Nothing);
        assert_eq!(watch.step(true, at(501)), Step::Retry);
        assert_eq!(watch.step(true, at(502)), Step::Nothing);
        assert_eq!(watch.step(true, at(1001)), Step::Retry);
        assert_eq!(watch.step(false, at(1002)), Step::AnnounceEnd);
        assert_eq!(watch.step(false, at(1003)), Step::Nothing);
    }
}
