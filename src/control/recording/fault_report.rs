//! The page faults of a pass, in its report: the memory that each hit, or why that is not known. Thread: control makes
//! it; any thread reads it.

use crate::residency::faults::{Fault, FaultLog, FaultPlace};
use serde::Serialize;
use uuid::Uuid;

/// The page faults of the audio thread during a pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaultReport {
    /// Faults whose memory is known.
    pub attributed: u64,
    /// Faults that the kernel counted beyond those.
    pub unattributed: u64,
    /// Why faults are not attributed; `None` if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_attributed_because: Option<String>,
    /// The first faults.
    pub first: Vec<PassFault>,
}

/// One page fault of a pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PassFault {
    /// Seconds since the audio thread was given the pass.
    pub at_seconds: f64,
    /// Name of the track; `None` if the fault hit no window.
    pub track: Option<String>,
    /// The fault in words.
    pub text: String,
    #[serde(flatten)]
    pub fault: Fault,
}

impl FaultReport {
    /// The faults from the last mark of the log to its end, of which the kernel has counted `counted`. `from_ns`: the
    /// start of the pass. The functions give the track of a take, by its identity, and of a slot.
    pub(super) fn new(
        log: &FaultLog,
        from_ns: u64,
        counted: u64,
        track_of_take: &dyn Fn(Uuid) -> Option<String>,
        track_of_slot: &dyn Fn(usize) -> Option<String>,
    ) -> FaultReport {
        let (first, seen) = log.since_mark();
        let listed = |fault: &std::sync::Arc<Fault>| PassFault {
            at_seconds: fault.at_ns.saturating_sub(from_ns) as f64 / 1e9,
            track: match &fault.place {
                FaultPlace::Capture { take, .. } => track_of_take(*take),
                FaultPlace::Playback { slot, .. } => track_of_slot(*slot),
                _ => None,
            },
            text: fault.text(),
            fault: Fault::clone(fault),
        };
        let attributed = seen.min(counted);
        FaultReport {
            attributed,
            unattributed: counted - attributed,
            not_attributed_because: log.refusal().map(std::string::ToString::to_string),
            first: first.iter().map(listed).collect(),
        }
    }

    /// The faults as lines for a terminal; none without a fault.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.first.iter().map(PassFault::line).collect();
        let more = (self.attributed).saturating_sub(self.first.len() as u64);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        match &self.not_attributed_because {
            Some(reason) if self.unattributed > 0 => lines.push(format!(
                "{} page faults unattributed: {reason}; 'faultless doctor' says what to do",
                self.unattributed
            )),
            None if self.unattributed > 0 => {
                lines.push(format!("{} page faults unattributed: the kernel did not report them", self.unattributed));
            }
            _ => {}
        }
        lines
    }
}

impl PassFault {
    fn line(&self) -> String {
        let track = self.track.as_ref().map_or_else(String::new, |track| format!("{track}, "));
        format!("fault at {:.3} s: {track}{}", self.at_seconds, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::faults::tests::fault;

    #[test]
    fn faults_of_a_pass_have_their_track_and_their_time_in_it() {
        let log = FaultLog::default();
        log.push(vec![fault(5, FaultPlace::Heap)], 0);
        log.mark(1_000_000_000);
        let take = Uuid::from_u128(7);
        let file = "/s/Kick-1.wav".to_owned();
        let place = FaultPlace::Capture { take, file, page: 1, byte: 4096, locked: true };
        log.push(vec![fault(1_500_000_000, place), fault(1_600_000_000, FaultPlace::Stack)], 0);
        let names = |uuid: Uuid| (uuid == take).then(|| "Kick".to_owned());
        let report = FaultReport::new(&log, 1_000_000_000, 5, &names, &|_| None);
        assert_eq!((report.attributed, report.unattributed, report.first.len()), (2, 3, 2));
        let lines = report.lines();
        assert_eq!(
            lines[0],
            "fault at 0.500 s: Kick, Kick-1.wav, capture, page 1 (byte 4096): minor, write-protected \
             (inferred), 3.5 µs; by engine::mix"
        );
        assert!(lines[1].contains("the stack") && lines[2].contains("3 page faults unattributed"), "{lines:?}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["first"][0]["place"]["memory"], "capture");
        assert_eq!((&json["first"][0]["track"], &json["first"][0]["kind"]), (&"Kick".into(), &"minor".into()));
    }

    /// The report of a pass listed faults of what was played after it.
    #[test]
    fn faults_after_the_end_of_a_pass_are_not_in_its_report_and_late_records_of_it_are() {
        let log = FaultLog::default();
        log.mark(1_000);
        log.push(vec![fault(1_100, FaultPlace::Heap), fault(2_050, FaultPlace::Stack)], 0);
        log.mark_end(2_000);
        log.push(vec![fault(1_900, FaultPlace::Heap), fault(2_001, FaultPlace::Stack)], 0);
        let report = FaultReport::new(&log, 1_000, 4, &|_| None, &|_| None);
        let times: Vec<u64> = report.first.iter().map(|found| found.fault.at_ns).collect();
        assert_eq!((times, report.attributed, report.unattributed), (vec![1_100, 1_900], 2, 2));
        log.mark(3_000);
        log.push(vec![fault(3_100, FaultPlace::Heap)], 0);
        assert_eq!(
            FaultReport::new(&log, 3_000, 1, &|_| None, &|_| None).attributed,
            1,
            "the next pass has no end yet"
        );
    }

    #[test]
    fn without_attribution_the_report_says_why() {
        let log = FaultLog::default();
        log.refuse("kernel.perf_event_paranoid is 4");
        assert_eq!(FaultReport::new(&log, 0, 0, &|_| None, &|_| None).lines(), Vec::<String>::new());
        let lines = FaultReport::new(&log, 0, 2, &|_| None, &|_| None).lines();
        assert!(lines[0].contains("2 page faults unattributed: kernel.perf_event_paranoid is 4"), "{lines:?}");
    }
}
