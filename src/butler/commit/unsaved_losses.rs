//! Headers claim no sound behind a loss that no session on a disk lists. Thread: committer.
//!
//! A lost range is silence in the file, and only the session distinguishes it from recorded silence. After a power cut, a
//! recovery has the headers and the last saved session. So a header claims what lies behind a loss only when the session
//! that lists the loss is durable. Control publishes that
//! ([`DiskPublished::losses_saved`](crate::message::stats::DiskPublished)).
//!
//! A loss that has not ended is listed nowhere: while the device is away, the frames of its absence are counted on, and the
//! event comes when it is back. No header claims anything behind the start of such a loss, however long it takes
//! ([`Published::open_loss`]).

use crate::message::published::Published;
use crate::message::stats::DiskPublished;
use crate::time::Frames;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

/// The longest time for which a loss that was reported keeps the headers back. A session that cannot be saved must not
/// cost more sound at a power cut than this time.
const HOLD: Duration = Duration::from_secs(3);

/// The losses of the recording, as the audio thread and control have published them.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossesNow {
    /// Frames of the reported losses that are listed in a session on a disk.
    saved: u64,
    /// Frames of the losses that were reported.
    reported: u64,
    /// The frame of the pass at which the first loss begins that was not reported.
    open: u64,
}

impl LossesNow {
    /// Reads the numbers, after it was determined what is durable: each loss before that is open or reported then.
    pub(super) fn read(published: &Published, disk: &DiskPublished) -> LossesNow {
        let saved = disk.losses_saved.load(Acquire);
        // In this order: a loss that is not open any more is reported.
        let open = published.open_loss.load(Acquire);
        LossesNow { saved, reported: published.losses_reported.load(Relaxed), open }
    }
}

/// The sound of a pass whose headers wait for a save of the session.
#[derive(Debug, Default)]
pub(super) struct UnsavedLosses {
    waiting: VecDeque<Waiting>,
    /// The frame of the pass up to which headers may claim sound.
    end: Frames,
    /// Frames of the reported losses for which the headers do not wait any longer.
    passed: u64,
    /// Whether the last call of [`UnsavedLosses::claimable`] has passed a loss. Each header of the pass is due then: a recovery
    /// takes silence behind the claim of a header, which was never written, for the end of the sound.
    has_passed_loss: bool,
}

/// Sound that a header may claim when so many frames of losses are saved.
#[derive(Debug)]
struct Waiting {
    reported: u64,
    end: Frames,
    since: Instant,
}

impl UnsavedLosses {
    /// For a pass that begins when so many frames of losses were reported.
    pub(super) fn since(reported: u64) -> UnsavedLosses {
        UnsavedLosses { passed: reported, ..UnsavedLosses::default() }
    }

    /// Whether the headers claim more than at the sync before, with a loss in it.
    pub(super) fn has_passed_loss(&self) -> bool {
        self.has_passed_loss
    }

    /// The frame of the pass up to which headers may claim sound. `durable`: up to where the sound is durable. `is_over`: the
    /// pass has ended, so that each of its losses was reported.
    pub(super) fn claimable(&mut self, durable: Frames, losses: LossesNow, is_over: bool, now: Instant) -> Frames {
        let LossesNow { saved, reported, open } = losses;
        let end = if is_over { durable } else { durable.min(Frames(open)) };
        match self.waiting.back_mut().filter(|last| last.reported == reported) {
            Some(last) => last.end = last.end.max(end),
            None => self.waiting.push_back(Waiting { reported, end, since: now }),
        }
        self.has_passed_loss = false;
        while let Some(first) = self.waiting.front() {
            let is_late = HOLD <= now.saturating_duration_since(first.since);
            if !is_late && saved.max(self.passed) < first.reported {
                break;
            }
            self.end = self.end.max(first.end);
            self.has_passed_loss |= self.passed < first.reported;
            self.passed = self.passed.max(first.reported);
            self.waiting.pop_front();
        }
        self.end
    }
}

#[cfg(test)]
impl UnsavedLosses {
    /// Lets time pass for what waits.
    pub(super) fn make_older(&mut self, time: Duration) {
        self.waiting.iter_mut().for_each(|waiting| waiting.since -= time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::published::NO_PASS;

    struct Rig {
        losses: UnsavedLosses,
        start: Instant,
    }

    impl Rig {
        fn new() -> Rig {
            Rig { losses: UnsavedLosses::default(), start: Instant::now() }
        }

        /// The frame up to which headers claim sound `ms` milliseconds after the start, with these numbers of [`LossesNow`].
        fn at(&mut self, ms: u64, durable: u64, saved: u64, reported: u64, open: u64) -> u64 {
            let now = self.start + Duration::from_millis(ms);
            self.losses.claimable(Frames(durable), LossesNow { saved, reported, open }, false, now).0
        }
    }

    #[test]
    fn a_reported_loss_keeps_headers_back_until_it_is_saved_and_for_three_seconds_at_most() {
        let mut rig = Rig::new();
        assert_eq!(rig.at(0, 100, 0, 0, NO_PASS), 100);
        assert_eq!(rig.at(850, 200, 0, 64, NO_PASS), 100);
        assert_eq!(rig.at(1700, 300, 0, 64, NO_PASS), 100);
        assert!(!rig.losses.has_passed_loss());
        assert_eq!(rig.at(2550, 400, 64, 64, NO_PASS), 400, "it is saved");
        assert!(rig.losses.has_passed_loss(), "each header is due");
        assert_eq!(rig.at(3400, 500, 64, 128, NO_PASS), 400);
        assert_eq!(rig.at(6300, 600, 64, 128, NO_PASS), 400);
        assert_eq!(rig.at(6400, 700, 64, 128, NO_PASS), 700, "it is not saved in time");
        assert_eq!(rig.at(7250, 800, 64, 128, NO_PASS), 800, "it keeps nothing back a second time");
        assert_eq!(rig.at(8100, 900, 64, 129, NO_PASS), 800, "another one does");
    }

    #[test]
    fn headers_claim_up_to_a_loss_that_has_not_ended_however_long_it_takes() {
        let mut rig = Rig::new();
        assert_eq!(rig.at(0, 100, 0, 0, NO_PASS), 100);
        for ms in (700..60_000).step_by(700) {
            assert_eq!(rig.at(ms, 150 + ms, 0, 0, 130), 130);
        }
        assert_eq!(rig.at(60_000, 60_200, 0, 59_000, NO_PASS), 130, "it is reported, and not saved");
        assert_eq!(rig.at(60_700, 60_900, 59_000, 59_000, NO_PASS), 60_900);
    }

    #[test]
    fn losses_before_a_pass_keep_none_of_its_headers_back() {
        let mut rig = Rig { losses: UnsavedLosses::since(640), ..Rig::new() };
        assert_eq!(rig.at(0, 100, 64, 640, NO_PASS), 100, "an event was lost, and they are never saved");
        assert_eq!(rig.at(700, 200, 64, 700, NO_PASS), 100);
    }

    #[test]
    fn losses_that_follow_each_other_hold_back_only_what_lies_behind_the_first_that_is_not_saved() {
        let mut rig = Rig::new();
        for sync in 1..50 {
            // Each save lists the losses up to the sync before.
            let claims = rig.at(sync * 700, sync * 100, (sync - 1) * 64, sync * 64, NO_PASS);
            assert_eq!(claims, (sync - 1) * 100);
        }
    }
}
