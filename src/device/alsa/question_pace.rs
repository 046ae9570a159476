//! When a sound server is asked next what it gives to the inputs. Thread: source-watch.
//!
//! A question starts a program, which costs 12 to 21 ms of processor time. So the server is asked after an event of its own.
//! Where its events cannot be read, it is asked less and less often while nothing changes.

use std::time::{Duration, Instant};

/// Pauses between questions while events are read. The first two are there because the program that prints them takes a
/// while to start, the last one because an event can be missed.
const PAUSES_WITH_EVENTS: &[Duration] = &[Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(60)];

/// Pauses between questions while no events are read, or while something is to be repaired.
const PAUSES_WITHOUT_EVENTS: &[Duration] =
    &[Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// Shortest pause while nothing is recorded and no events are read.
const PAUSE_IDLE: Duration = Duration::from_secs(5);

/// Pause after many questions without an answer: the server's program may not be installed.
const PAUSE_UNANSWERED: Duration = Duration::from_secs(60);

/// Questions without an answer, one after the other, that are many.
const UNANSWERED_MAX: u32 = 5;

/// Time between a question and the next one, if there was an event.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// A change of the server is a series of events. The question comes when there was none for this long.
const QUIET: Duration = Duration::from_millis(150);

/// Longest time from an event to its question, if the question before is long past.
const SERIES_MAX: Duration = Duration::from_millis(500);

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The inputs get the sound of other ports or sources than before.
    Changed,
    Same,
    /// Ports are back and could not be connected yet.
    Unsettled,
    Nothing,
}

/// The pace of the questions.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own, and any set of them can hold")]
pub(super) struct QuestionPace {
    /// Events of the server are read.
    has_events: bool,
    /// Something is recorded.
    records: bool,
    /// When the last question was answered.
    asked: Instant,
    /// The pause that comes next.
    step: usize,
    unsettled: bool,
    unanswered: u32,
    /// The first and the last event since the last question began.
    series: Option<(Instant, Instant)>,
    /// The last question found a change that no event had announced.
    is_unannounced: bool,
}

impl QuestionPace {
    pub(super) fn new(now: Instant, has_events: bool) -> QuestionPace {
        QuestionPace {
            has_events,
            records: false,
            asked: now,
            step: 0,
            unsettled: false,
            unanswered: 0,
            series: None,
            is_unannounced: false,
        }
    }

    /// Events are read from now on, or no longer.
    pub(super) fn set_has_events(&mut self, has_events: bool) {
        self.has_events = has_events;
        self.is_unannounced = false;
        self.step = 0;
    }

    /// A recording that begins makes the pauses short.
    pub(super) fn set_records(&mut self, records: bool) {
        if records && !self.records && !self.has_events {
            self.step = 0;
        }
        self.records = records;
    }

    pub(super) fn event(&mut self, now: Instant) {
        let first = self.series.map_or(now, |(first, _)| first);
        self.series = Some((first, now));
        self.is_unannounced = false;
    }

    fn pauses(&self) -> &'static [Duration] {
        if self.has_events && !self.unsettled { PAUSES_WITH_EVENTS } else { PAUSES_WITHOUT_EVENTS }
    }

    /// The time of the next question.
    pub(super) fn due(&self) -> Instant {
        let pauses = self.pauses();
        let mut pause = pauses[self.step.min(pauses.len() - 1)];
        if UNANSWERED_MAX <= self.unanswered {
            pause = PAUSE_UNANSWERED;
        } else if !self.has_events && !self.records && 0 < self.step {
            pause = pause.max(PAUSE_IDLE);
        }
        let planned = self.asked + pause;
        let after_event =
            |(first, last): (Instant, Instant)| (last + QUIET).min(first + SERIES_MAX).max(self.asked + PAUSE_MIN);
        self.series.map_or(planned, |series| planned.min(after_event(series)))
    }

    /// A question begins. Returns whether there was an event since the last one.
    pub(super) fn begin(&mut self) -> bool {
        self.series.take().is_some()
    }

    /// A question has ended. `announced`: the result of [`QuestionPace::begin`].
    pub(super) fn end(&mut self, now: Instant, announced: bool, answered: Answered) {
        let was_late = self.has_events && PAUSES_WITH_EVENTS.len() - 1 <= self.step;
        self.asked = now;
        self.unanswered = if answered == Answered::Nothing { self.unanswered + 1 } else { 0 };
        // An event that comes at the same time arrives a moment later.
        self.is_unannounced = answered == Answered::Changed && was_late && !announced && self.series.is_none();
        let is_new = answered == Answered::Changed || (answered == Answered::Unsettled && !self.unsettled);
        self.step = if is_new { 0 } else { self.step.saturating_add(1) };
        self.unsettled = answered == Answered::Unsettled || (self.unsettled && answered == Answered::Nothing);
    }

    /// Whether the events that are read do not announce changes. Ask it when the next question is due.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_unannounced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses in milliseconds of the questions that have these answers, without an event.
    fn pauses(pace: &mut QuestionPace, answers: &[Answered]) -> Vec<u128> {
        answers
            .iter()
            .map(|answered| {
                let (before, due) = (pace.asked, pace.due());
                let announced = pace.begin();
                pace.end(due, announced, *answered);
                (due - before).as_millis()
            })
            .collect()
    }

    #[test]
    fn a_server_whose_events_are_read_is_asked_once_a_minute_while_nothing_happens() {
        let mut pace = QuestionPace::new(Instant::now(), true);
        assert_eq!(pauses(&mut pace, &[Answered::Same; 5]), [1_000, 5_000, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn an_event_is_followed_by_one_question_within_a_second() {
        let start = Instant::now();
        let mut pace = QuestionPace::new(start, true);
        pauses(&mut pace, &[Answered::Same; 3]);
        let at = pace.asked + Duration::from_secs(30);
        for event in [0, 10, 100] {
            pace.event(at + Duration::from_millis(event));
        }
        let due = pace.due();
        assert_eq!(due, at + Duration::from_millis(250));
        assert!(pace.begin());
        pace.end(due, true, Answered::Changed);
        assert!(!pace.is_deaf());
        // Events without an end.
        let at = at + Duration::from_secs(30);
        for event in 0..100 {
            pace.event(at + Duration::from_millis(event * 100));
        }
        assert!(pace.due() <= at + SERIES_MAX);
        // Events that follow a question at once.
        pace.begin();
        pace.end(at, true, Answered::Changed);
        pace.begin();
        pace.end(at, true, Answered::Same);
        pace.event(at + Duration::from_millis(1));
        assert_eq!(pace.due(), at + PAUSE_MIN);
    }

    #[test]
    fn a_server_without_events_is_asked_less_and_less_until_something_changes() {
        let mut pace = QuestionPace::new(Instant::now(), false);
        pace.set_records(true);
        let answers =
            [Answered::Same, Answered::Same, Answered::Same, Answered::Same, Answered::Changed, Answered::Same];
        assert_eq!(pauses(&mut pace, &answers), [1_000, 2_000, 5_000, 10_000, 10_000, 1_000]);
        pace.set_records(false);
        assert_eq!(pauses(&mut pace, &[Answered::Same; 3]), [5_000, 5_000, 10_000]);
        pace.set_records(true);
        assert_eq!(pauses(&mut pace, &[Answered::Same; 2]), [1_000, 2_000]);
    }

    #[test]
    fn a_server_that_never_answers_is_asked_seldom_and_not_forgotten() {
        for has_events in [true, false] {
            let mut pace = QuestionPace::new(Instant::now(), has_events);
            pace.set_records(true);
            pauses(&mut pace, &[Answered::Nothing; 5]);
            assert_eq!(pauses(&mut pace, &[Answered::Nothing, Answered::Same]), [60_000, 60_000]);
        }
    }

    #[test]
    fn ports_that_cannot_be_connected_yet_are_tried_again_soon_and_then_less_often() {
        let mut pace = QuestionPace::new(Instant::now(), true);
        let answers =
            [Answered::Changed, Answered::Unsettled, Answered::Unsettled, Answered::Unsettled, Answered::Same];
        assert_eq!(pauses(&mut pace, &answers), [1_000, 1_000, 1_000, 2_000, 5_000]);
        assert_eq!(pauses(&mut pace, &[Answered::Same; 1]), [60_000]);
    }

    #[test]
    fn events_that_announce_no_change_are_not_relied_on() {
        let mut pace = QuestionPace::new(Instant::now(), true);
        pauses(&mut pace, &[Answered::Same, Answered::Same, Answered::Changed]);
        assert!(pace.is_deaf());
        // The event was on its way.
        pace.event(pace.asked + Duration::from_millis(20));
        assert!(!pace.is_deaf());
        // The program that prints the events may still be starting.
        let mut pace = QuestionPace::new(Instant::now(), true);
        pauses(&mut pace, &[Answered::Changed, Answered::Same, Answered::Changed]);
        assert!(!pace.is_deaf());
        // Nothing is expected of events that are not read.
        let mut pace = QuestionPace::new(Instant::now(), false);
        pauses(&mut pace, &[Answered::Same, Answered::Same, Answered::Same, Answered::Changed]);
        assert!(!pace.is_deaf());
    }
}
