//! Peaks that stay in the snapshots until every front end has had them. Thread: control.
//!
//! Building a snapshot resets the meters, and each front end takes snapshots at its own times. So a peak stays until
//! somebody has taken it, and from then on for [`PEAK_HOLD`].

use super::snapshot::{Peaks, Snapshot};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time for which a peak that one front end has taken stays for the others. Longer than the time between two looks of a
/// front end.
const PEAK_HOLD: Duration = Duration::from_millis(150);

/// The peaks of the snapshots before.
#[derive(Default)]
pub(super) struct PeakHold {
    /// Peaks that nobody has taken yet.
    unseen: Peaks,
    /// Peaks that somebody has taken, and when.
    seen: VecDeque<(Instant, Peaks)>,
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
        snapshot.raise_peaks(&self.unseen);
        self.unseen = snapshot.peaks();
        self.seen.iter().for_each(|(_, peaks)| snapshot.raise_peaks(peaks));
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
}
