//! Decides the length of a pass that was cut off. All its takes get this length. Thread: any. Pure.

use serde::Serialize;
use std::fmt;

/// The evidence for the length from one take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakeKnown {
    /// Frames of the pass that the header of the file claims and the file has.
    pub claimed_frames: u64,
    /// Frames of the pass up to the end of the spool's memory, sound or not. `None`: the take has no spool.
    pub memory_end: Option<u64>,
    /// Frames of the pass if the take was finished, by its committer or by an earlier recovery.
    pub finished: Option<u64>,
}

/// The evidence for the length of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassKnown {
    pub takes: Vec<TakeKnown>,
    /// Frames recorded in every take, according to the progress page.
    pub progress_page: Option<u64>,
    /// Frames that the time since the start of the pass allows, by the wall clock.
    pub clock: Option<u64>,
}

/// The evidence that decided a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Other takes of the pass are finished.
    Finished,
    /// The progress page. The length is exact to the frame.
    ProgressPage,
    /// The last sound in any spool, because no progress page is credible.
    Spool,
    /// The headers on the disk, because no spool is left (after a restart of the machine).
    Disk,
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Basis::Finished => "the takes that were finished",
            Basis::ProgressPage => "the record position",
            Basis::Spool => "the last sound in memory",
            Basis::Disk => "what was on the disk",
        })
    }
}

/// The length of every take of a pass, and the evidence that decided it. `last_sound` returns the frame after the last
/// frame that is not silent in any spool. It reads much, so it is called only when nothing better is known.
pub fn length<E>(known: &PassKnown, last_sound: impl FnOnce() -> Result<u64, E>) -> Result<(u64, Basis), E> {
    if let Some(finished) = known.takes.iter().filter_map(|take| take.finished).max() {
        return Ok((finished, Basis::Finished));
    }
    let longest = known.takes.iter().map(|take| take.claimed_frames).max().unwrap_or(0);
    let shortest = known.takes.iter().map(|take| take.claimed_frames).min().unwrap_or(0);
    let memory_end = known.takes.iter().filter_map(|take| take.memory_end).max();
    // The record position is never beyond the memory that was made for it, except after a long device loss; the wall
    // clock then bounds it. A progress page that claims more than both allow is broken. It must not make files of
    // petabytes.
    let most = longest.max(memory_end.unwrap_or(0)).max(known.clock.unwrap_or(0));
    match known.progress_page {
        // No header can claim more than was recorded. If all claim more than the page, the page is wrong: keep the
        // frames that every take has.
        Some(progress_page) if progress_page <= most => Ok((progress_page.max(shortest), Basis::ProgressPage)),
        _ if memory_end.is_some() => Ok((last_sound()?.max(longest), Basis::Spool)),
        // A header claims a frame only if it is durable in every take whose disk accepts writes. So every such file has
        // the frames of the longest claim, and the others have silence there.
        _ => Ok((longest, Basis::Disk)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn take(claimed_frames: u64, memory_end: Option<u64>) -> TakeKnown {
        TakeKnown { claimed_frames, memory_end, finished: None }
    }

    fn of(takes: &[TakeKnown], progress_page: Option<u64>, clock: Option<u64>, last_sound: u64) -> (u64, Basis) {
        length::<Infallible>(&PassKnown { takes: takes.to_vec(), progress_page, clock }, || Ok(last_sound)).unwrap()
    }

    #[test]
    fn the_progress_counts_where_it_can_be_true() {
        let takes = [take(4000, Some(9000)), take(4096, Some(8000))];
        assert_eq!(of(&takes, Some(6400), None, 6500), (6400, Basis::ProgressPage));
        assert_eq!(of(&takes, Some(9000), None, 6500), (9000, Basis::ProgressPage));
    }

    #[test]
    fn a_progress_beyond_all_memory_counts_only_while_time_allows_it() {
        let takes = [take(4000, Some(9000)), take(4096, Some(8000))];
        assert_eq!(
            of(&takes, Some(50_000), Some(60_000), 6500),
            (50_000, Basis::ProgressPage),
            "the device was away for long"
        );
        assert_eq!(of(&takes, Some(u64::MAX), Some(60_000), 6500), (6500, Basis::Spool));
        assert_eq!(of(&takes, Some(u64::MAX), None, 100), (4096, Basis::Spool), "never less than a header has");
    }

    #[test]
    fn a_progress_behind_the_disk_takes_nothing_from_it() {
        assert_eq!(of(&[take(4000, None), take(4096, None)], Some(0), None, 0), (4000, Basis::ProgressPage));
    }

    #[test]
    fn without_a_progress_the_last_sound_in_any_memory_counts() {
        assert_eq!(of(&[take(4000, Some(9000)), take(4096, None)], None, None, 6500), (6500, Basis::Spool));
    }

    #[test]
    fn after_a_restart_of_the_machine_every_take_has_what_one_of_them_claims() {
        assert_eq!(of(&[take(4000, None), take(4096, None)], None, Some(9000), 0), (4096, Basis::Disk));
        assert_eq!(of(&[], None, None, 0), (0, Basis::Disk));
    }

    #[test]
    fn a_take_that_is_finished_knows() {
        let finished = TakeKnown { claimed_frames: 7000, memory_end: None, finished: Some(7000) };
        assert_eq!(of(&[take(4000, Some(9000)), finished], Some(6999), None, 0), (7000, Basis::Finished));
    }

    #[test]
    fn an_error_of_the_look_into_memory_is_the_answer() {
        let known = PassKnown { takes: vec![take(0, Some(1))], ..PassKnown::default() };
        assert_eq!(length(&known, || Err("eio")), Err("eio"));
    }

    proptest! {
        #[test]
        fn no_claim_makes_takes_longer_than_memory_disk_and_clock_allow(
            headers in prop::collection::vec(0u64..1 << 40, 1..5), memory_end in prop::option::of(0u64..1 << 40),
            progress_page: Option<u64>, clock in prop::option::of(0u64..1 << 40),
        ) {
            let takes: Vec<_> = headers.iter().map(|header| take(*header, memory_end)).collect();
            let most = headers.iter().copied().max().unwrap().max(memory_end.unwrap_or(0));
            let (frames, basis) = of(&takes, progress_page, clock, memory_end.unwrap_or(0));
            prop_assert!(frames <= most.max(clock.unwrap_or(0)));
            prop_assert!(headers.iter().copied().min().unwrap() <= frames, "{:?}", basis);
        }
    }
}
