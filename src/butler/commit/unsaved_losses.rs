//! Headers claim no sound behind a loss that no session on a disk lists. Thread: committer.
//!
//! A lost range is silence in the file, and only the session distinguishes it from recorded silence. After a power cut, a
//! recovery has the headers and the last saved session. So a header claims what lies behind a loss only when the session
//! that lists the loss is durable. Control publishes that
//! ([`DiskPublished::losses_saved`](crate::message::stats::DiskPublished)).

use std::time::{Duration, Instant};

/// The longest time for which a loss keeps the headers back. A session that cannot be saved must not cost more sound at a
/// power cut than this time.
const HOLD: Duration = Duration::from_secs(3);

/// Whether the headers may claim more.
#[derive(Default)]
pub(super) struct UnsavedLosses {
    /// The lost frames at the last claim.
    claimed: u64,
    /// Since when a loss keeps the headers back.
    since: Option<Instant>,
}

impl UnsavedLosses {
    /// Whether the headers may claim everything that is durable. `lost`: the frames that were lost so far, read after what
    /// is durable was determined. `saved`: how many there were when all of them were listed in a session on a disk, read
    /// before `lost`.
    pub(super) fn may_claim(&mut self, saved: u64, lost: u64, now: Instant) -> bool {
        let is_unsaved = lost != saved && lost != self.claimed;
        let since = *self.since.get_or_insert(now);
        if is_unsaved && now.saturating_duration_since(since) < HOLD {
            return false;
        }
        (self.claimed, self.since) = (lost, None);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_keeps_headers_back_until_it_is_saved_and_for_three_seconds_at_most() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut losses = UnsavedLosses::default();
        assert!(losses.may_claim(0, 0, at(0)));
        assert!(!losses.may_claim(0, 64, at(850)) && !losses.may_claim(0, 64, at(1700)));
        assert!(losses.may_claim(64, 64, at(2550)), "it is saved");
        assert!(losses.may_claim(64, 64, at(3400)));
        assert!(!losses.may_claim(64, 128, at(4250)) && !losses.may_claim(64, 192, at(7000)));
        assert!(losses.may_claim(64, 256, at(7250)), "it is not saved in time");
        assert!(losses.may_claim(64, 256, at(8100)), "it keeps nothing back a second time");
        assert!(!losses.may_claim(64, 257, at(8950)), "another one does");
    }
}
