//! Turns records of the flight recorder into entries of the Events panel. Thread: control. Pure.

use super::snapshot::EventEntry;
use crate::flight::Events;
use crate::flight::record::{Kind, Record, Severity};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The entries of earlier starts: all before the last [`Kind::Opened`], with which this start begins.
pub(super) fn earlier(events: &Events) -> Vec<EventEntry> {
    let this_start = events.iter().rposition(|event| event.kind == Kind::Opened).unwrap_or(events.len());
    let entries = events[..this_start].iter().map(|event| EventEntry {
        at: Duration::ZERO,
        clock: local(event, "%-d %b %H:%M"),
        severity: event.severity,
        text: event.text.clone(),
        seen: true,
        headline: None,
    });
    entries.collect()
}

/// An event of this run that came without a notice. An event that is merely good to know is acknowledged already.
pub(super) fn unannounced(event: &Record, at: Duration) -> EventEntry {
    EventEntry {
        at,
        clock: local(event, "%H:%M:%S"),
        severity: event.severity,
        text: event.text.clone(),
        seen: event.severity == Severity::Info,
        headline: None,
    }
}

fn local(event: &Record, form: &str) -> String {
    event.stamp().map_or_else(String::new, |stamp| stamp.to_zoned(TimeZone::system()).strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn events_before_the_last_opening_belong_to_earlier_starts() {
        let kinds = [Kind::Opened, Kind::Lost, Kind::Closed, Kind::Opened, Kind::Limit];
        let events = kinds.map(|kind| Arc::new(Record::new(kind, Severity::Info, &kind.to_string(), &[])));
        let texts: Vec<String> = earlier(&Arc::new(events.to_vec())).into_iter().map(|entry| entry.text).collect();
        assert_eq!(texts, ["opened", "lost", "closed"]);
    }

    #[test]
    fn a_caution_that_came_quietly_is_not_acknowledged_and_an_information_is() {
        let seen = |kind, severity| unannounced(&Record::new(kind, severity, "x", &[]), Duration::ZERO).seen;
        assert!(!seen(Kind::NearMiss, Severity::Caution));
        assert!(seen(Kind::Opened, Severity::Info));
    }
}
