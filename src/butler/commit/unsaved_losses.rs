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

use crate::message::published::{NO_PASS, Published};
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
    /// Frames that the pass has, lost ones included; [`NO_PASS`] when it has ended.
    recorded: u64,
}

impl LossesNow {
    /// Reads the numbers, after it was determined what is durable: each loss before that is open or reported then.
    pub(super) fn read(published: &Published, disk: &DiskPublished) -> LossesNow {
        let saved = disk.losses_saved.load(Acquire);
        // In this order: a loss that is not open any more is reported.
        let open = published.open_loss.load(Acquire);
        let reported = published.losses_reported.load(Relaxed);
        LossesNow { saved, reported, open, recorded: published.pass_frames.load(Acquire) }
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
    /// Frames of the losses that were reported at the last call of [`UnsavedLosses::claimable`].
    reported: u64,
    /// Whether more were reported then than at the call before.
    is_reported_now: bool,
    /// The frame of the pass before which each reported loss lies.
    losses_end: u64,
    /// Whether `end` may have passed a loss since the headers were written.
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
        UnsavedLosses { passed: reported, reported, ..UnsavedLosses::default() }
    }

    /// Whether headers may claim more than they did, with a loss in it. Each header of the pass is due then: a recovery takes
    /// silence that was never written, behind the claim of a header, for the end of the sound.
    pub(super) fn has_passed_loss(&self) -> bool {
        self.has_passed_loss
    }

    /// Each header that was due is written.
    pub(super) fn headers_are_written(&mut self) {
        self.has_passed_loss = false;
    }

    /// The frame of the pass up to which headers may claim sound. `durable`: up to where the sound is durable. `is_over`: the
    /// pass has ended, so that each of its losses was reported.
    pub(super) fn claimable(&mut self, durable: Frames, losses: LossesNow, is_over: bool, now: Instant) -> Frames {
        let LossesNow { saved, reported, open, recorded } = losses;
        // Before the first frame of a pass no loss is in it.
        let recorded = if recorded == NO_PASS && durable == Frames(0) { 0 } else { recorded };
        // The audio thread reports a loss before it publishes the length that has the loss in it. So the length at the next call
        // counts too.
        let is_reported_now = self.reported < reported;
        if is_reported_now || self.is_reported_now {
            self.losses_end = self.losses_end.max(recorded);
        }
        (self.reported, self.is_reported_now) = (reported, is_reported_now);
        let before = self.end;
        let end = if is_over { durable } else { durable.min(Frames(open)) };
        match self.waiting.back_mut().filter(|last| last.reported == reported) {
            Some(last) => last.end = last.end.max(end),
            None => self.waiting.push_back(Waiting { reported, end, since: now }),
        }
        while let Some(first) = self.waiting.front() {
            let is_late = HOLD <= now.saturating_duration_since(first.since);
            if !is_late && saved.max(self.passed) < first.reported {
                break;
            }
            self.end = self.end.max(first.end);
            self.passed = self.passed.max(first.reported);
            self.waiting.pop_front();
        }
        // The sound before a loss can become durable after the loss was reported and saved.
        self.has_passed_loss |= before < self.end && before.0 < self.losses_end;
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

    struct Rig {
        losses: UnsavedLosses,
        start: Instant,
    }

    impl Rig {
        fn new() -> Rig {
            Rig { losses: UnsavedLosses::default(), start: Instant::now() }
        }

        /// The frame up to which headers claim sound `ms` milliseconds after the start, with these numbers of [`LossesNow`].
        /// The last 100 frames that were recorded are not durable. The headers before are written.
        fn at(&mut self, ms: u64, durable: u64, saved: u64, reported: u64, open: u64) -> u64 {
            let now = self.start + Duration::from_millis(ms);
            let losses = LossesNow { saved, reported, open, recorded: durable + 100 };
            self.losses.headers_are_written();
            self.losses.claimable(Frames(durable), losses, false, now).0
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
    fn a_loss_before_the_first_frame_of_a_pass_does_not_make_each_header_due_to_its_end() {
        let (mut losses, start) = (UnsavedLosses::since(0), Instant::now());
        let mut is_due = |ms, durable, recorded| {
            let now = LossesNow { saved: 64, reported: 64, open: NO_PASS, recorded };
            losses.headers_are_written();
            losses.claimable(Frames(durable), now, false, start + Duration::from_millis(ms));
            losses.has_passed_loss()
        };
        assert!(!is_due(0, 0, NO_PASS));
        is_due(700, 100, 200);
        is_due(1400, 800, 900);
        assert!(!is_due(2100, 1_500, 1_600));
    }

    #[test]
    fn each_header_is_due_when_the_claims_pass_a_loss_which_can_be_later_than_its_save() {
        let mut rig = Rig::new();
        assert_eq!(rig.at(0, 100, 0, 0, NO_PASS), 100);
        // A loss at frame 250 is reported and saved. The sound before it is not durable yet.
        assert_eq!(rig.at(700, 200, 64, 64, NO_PASS), 200);
        assert_eq!(rig.at(1400, 400, 64, 64, NO_PASS), 400);
        assert!(rig.losses.has_passed_loss(), "now it is behind a header");
        assert_eq!(rig.at(2100, 400, 64, 64, NO_PASS), 400);
        assert!(!rig.losses.has_passed_loss(), "nothing more is claimed");
        assert_eq!(rig.at(2800, 600, 64, 64, NO_PASS), 600);
        assert_eq!(rig.at(3500, 700, 64, 64, NO_PASS), 700);
        assert!(!rig.losses.has_passed_loss(), "without a loss a header can wait");
    }

    #[test]
    fn a_loss_that_is_reported_before_the_length_of_the_pass_has_it_makes_each_header_due() {
        let mut rig = Rig::new();
        assert_eq!(rig.at(0, 100, 0, 0, NO_PASS), 100);
        // The device was away for 1000 frames from frame 200 on.
        assert_eq!(rig.at(700, 200, 1000, 1000, NO_PASS), 200);
        for (ms, durable) in [(1400, 1100), (2100, 1250)] {
            assert_eq!(rig.at(ms, durable, 1000, 1000, NO_PASS), durable);
            assert!(rig.losses.has_passed_loss(), "{durable}");
        }
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
