//! Peaks that stay in the snapshots until every front end has had them. Thread: control.
//!
//! Building a snapshot resets the meters, and each front end takes snapshots at its own times. So a peak stays until
//! somebody has taken it, and from then on for [`PEAK_HOLD`].

use super::snapshot::{Meters, Snapshot};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time for which a peak that one front end has taken stays for the others. Longer than the time between two looks of a
/// front end.
const PEAK_HOLD: Duration = Duration::from_millis(150);

/// The peaks of the snapshots before.
#[derive(Default)]
pub(super) struct PeakHold {
    /// Peaks that nobody has taken yet.
    unseen: Meters,
    /// Peaks that somebody has taken, and when.
    seen: VecDeque<(Instant, Meters)>,
}

impl PeakHold {
    /// Raises the peaks of a new snapshot to those that a front end may not have had. `is_taken`: somebody has taken the
    /// snapshot before.
    pub(super) fn hold(&mut self, snapshot: &mut Snapshot, is_taken: bool, now: Instant) {
        if is_taken {
            self.seen.push_back((now, std::mem::take(&mut self.unseen)));
        }
        while self.seen.front().is_some_and(|(at, _)| PEAK_HOLD < now.duration_since(*at)) {
            self.seen.pop_front();
        }
        let mut meters = snapshot.meters();
        meters.raise_peaks(&self.unseen);
        self.unseen.clone_from(&meters);
        self.seen.iter().for_each(|(_, seen)| meters.raise_peaks(seen));
        snapshot.set_meters(meters);
    }

    /// Notes peaks that were read for the live page, so that the next snapshot has them too.
    pub(super) fn note(&mut self, meters: &Meters) {
        let before = std::mem::replace(&mut self.unseen, meters.clone());
        self.unseen.raise_peaks(&before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Meter;
    use super::*;

    #[test]
    fn a_peak_stays_until_somebody_has_taken_it_and_then_for_the_others() {
        let start = Instant::now();
        let mut peaks = PeakHold::default();
        let mut built = |at_ms: u64, peak: f32, is_taken: bool| {
            let mut snapshot = Snapshot::empty();
            snapshot.inputs = vec![Meter { peak, rms: 0.0 }];
            peaks.hold(&mut snapshot, is_taken, start + Duration::from_millis(at_ms));
            snapshot.inputs[0].peak
        };
        assert_eq!(built(0, 0.9, false), 0.9);
        // Nobody has taken it for a long time.
        assert_eq!(built(1_000, 0.2, false), 0.9);
        // One front end has taken it now; the other one looks up to 150 ms later.
        assert_eq!(built(1_010, 0.1, true), 0.9);
        assert_eq!(built(1_100, 0.3, true), 0.9);
        assert_eq!(built(1_160, 0.1, true), 0.9);
        // A peak that was held is not held a second time.
        assert_eq!(built(1_161, 0.1, true), 0.3);
        assert_eq!(built(2_000, 0.1, true), 0.1);
    }
    #[test]
    fn a_peak_that_went_into_the_live_page_is_in_the_next_snapshot_too() {
        let mut peaks = PeakHold::default();
        let meters = |peak| Meters { inputs: vec![Meter { peak, rms: 0.0 }], ..Meters::default() };
        peaks.note(&meters(0.8));
        peaks.note(&meters(0.1));
        let mut snapshot = Snapshot::empty();
        snapshot.set_meters(meters(0.0));
        peaks.hold(&mut snapshot, false, Instant::now());
        assert_eq!(snapshot.inputs[0].peak, 0.8);
    }
}
