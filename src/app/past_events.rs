//! Events of the flight recorder as a face shows them. Thread: control. Pure.

use super::snapshot::Told;
use crate::flight::Events;
use crate::flight::record::{Kind, Record, Severity};
use jiff::tz::TimeZone;
use std::time::Duration;

/// Those before this start, which begins with the last [`Kind::Opened`].
pub(super) fn earlier(events: &Events) -> Vec<Told> {
    let now = events.iter().rposition(|event| event.kind == Kind::Opened).unwrap_or(events.len());
    let recalled = events[..now].iter().map(|event| Told {
        at: Duration::ZERO,
        clock: local(event, "%-d %b %H:%M"),
        severity: event.severity,
        text: event.text.clone(),
        seen: true,
    });
    recalled.collect()
}

/// An event of this run that came without a notice. An event that is merely good to know is acknowledged already.
pub(super) fn quiet(event: &Record, at: Duration) -> Told {
    Told {
        at,
        clock: local(event, "%H:%M:%S"),
        severity: event.severity,
        text: event.text.clone(),
        seen: event.severity == Severity::Info,
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
    fn what_was_before_the_last_opening_is_of_earlier_starts() {
        let kinds = [Kind::Opened, Kind::Lost, Kind::Closed, Kind::Opened, Kind::Limit];
        let events = kinds.map(|kind| Arc::new(Record::new(kind, Severity::Info, &kind.to_string(), &[])));
        let texts: Vec<String> = earlier(&Arc::new(events.to_vec())).into_iter().map(|told| told.text).collect();
        assert_eq!(texts, ["opened", "lost", "closed"]);
    }

    #[test]
    fn a_caution_that_came_quietly_is_not_acknowledged_and_an_information_is() {
        let seen = |kind, severity| quiet(&Record::new(kind, severity, "x", &[]), Duration::ZERO).seen;
        assert!(!seen(Kind::NearMiss, Severity::Caution));
        assert!(seen(Kind::Opened, Severity::Info));
    }
}
