//! When margin is used up: lead, spool, slow writes. Thread: control. Pure: each is shown figures, and says what is new.

use crate::limits;
use std::time::Duration;

/// Leads that came close to nothing: at most one a minute, with the least there was.
#[derive(Debug, Default)]
pub struct Lead {
    reported_at: Option<Duration>,
    /// The least since it was told last.
    least: Option<u64>,
    /// The least of the pass, as seen last.
    lowest: Option<u64>,
}

impl Lead {
    /// Shows the lead of now and the least of the pass, both in frames. Says the least, when it is time to.
    pub fn update(&mut self, now: Duration, aim: u64, lead: u64, lowest: u64) -> Option<u64> {
        // Until somebody has measured, the least is none, and the lead an old one.
        if aim == 0 || aim == u64::MAX || lowest == u64::MAX {
            return None;
        }
        let fell = self.lowest.is_none_or(|before| lowest < before);
        self.lowest = Some(lowest);
        let least = if fell { lead.min(lowest) } else { lead };
        if least < aim / limits::NEAR_MISS_PART {
            self.least = Some(self.least.map_or(least, |before| before.min(least)));
        }
        if self.reported_at.is_some_and(|at| now.saturating_sub(at) < limits::NEAR_MISS_EVERY) {
            return None;
        }
        let reported = self.least.take()?;
        self.reported_at = Some(now);
        Some(reported)
    }

    /// The pass is over: what was not told yet, and everything anew.
    pub fn end(&mut self) -> Option<u64> {
        std::mem::take(self).least
    }
}

/// What became of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolStep {
    /// More than half is in use.
    Half,
    /// All of it is.
    Full,
    /// Less than a quarter is again.
    Room,
}

/// How much of the spool is in use.
#[derive(Debug, Default)]
pub struct Spool {
    last: Option<SpoolStep>,
}

impl Spool {
    /// Shows bytes in use and the limit.
    pub fn update(&mut self, used: u64, max: u64) -> Option<SpoolStep> {
        if max == 0 {
            return None;
        }
        let now = match () {
            () if used >= max - max / 50 => SpoolStep::Full,
            () if used >= max / 2 => SpoolStep::Half,
            () if used < max / 4 => SpoolStep::Room,
            // In between nothing is new.
            () => return None,
        };
        let new = match (self.last, now) {
            // Full and half full again is not over yet.
            (None | Some(SpoolStep::Room), SpoolStep::Room) | (Some(SpoolStep::Full), SpoolStep::Half) => false,
            (last, now) => last != Some(now),
        };
        if new {
            self.last = Some(now);
        }
        new.then_some(now)
    }
}

/// A maximum that others raise: says when it grew past a threshold.
#[derive(Debug, Default)]
pub struct Longest {
    reported: u64,
}

impl Longest {
    /// Shows the maximum; a smaller one than before is one that began anew.
    pub fn update(&mut self, max: u64, threshold: u64) -> Option<u64> {
        if max < self.reported {
            self.reported = 0;
        }
        (threshold <= max && self.reported < max).then(|| {
            self.reported = max;
            max
        })
    }
}
