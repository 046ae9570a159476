//! Decides when a margin (lead, spool, write time) is so small that an event is due. Thread: control. Pure: control
//! passes the measured values in; the return value says whether an event is due.

use crate::limits;
use std::time::Duration;

/// Near misses: the lead fell to a small part of its aim. At most one event a minute, with the shortest lead of that
/// time.
#[derive(Debug, Default)]
pub struct Lead {
    reported_at: Option<Duration>,
    /// The shortest lead since the last event, if it was short enough.
    least: Option<u64>,
    /// The shortest lead of the pass, as of the last update.
    lowest: Option<u64>,
}

impl Lead {
    /// `lead`: the present one; `lowest`: the shortest of the pass; both in frames. Returns the shortest lead if an
    /// event is due.
    pub fn update(&mut self, now: Duration, aim: u64, lead: u64, lowest: u64) -> Option<u64> {
        // No measurement yet: `lowest` is unset and `lead` belongs to the previous pass.
        if aim == 0 || aim == u64::MAX || lowest == u64::MAX {
            return None;
        }
        let fell = self.lowest.is_none_or(|before| lowest < before);
        self.lowest = Some(lowest);
        let least = if fell { lead.min(lowest) } else { lead };
        if least < aim / limits::NEAR_MISS_DIVISOR {
            self.least = Some(self.least.map_or(least, |before| before.min(least)));
        }
        if self.reported_at.is_some_and(|at| now.saturating_sub(at) < limits::NEAR_MISS_EVERY) {
            return None;
        }
        let reported = self.least.take()?;
        self.reported_at = Some(now);
        Some(reported)
    }

    /// The pass is over: returns a short lead that had no event yet, and resets everything.
    pub fn end(&mut self) -> Option<u64> {
        std::mem::take(self).least
    }
}

/// A change of the spool's use that is worth an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolStep {
    /// Half or more is in use.
    Half,
    /// 98 % or more is in use.
    Full,
    /// Less than a quarter is in use again.
    Room,
}

/// How much of the spool is in use.
#[derive(Debug, Default)]
pub struct Spool {
    last: Option<SpoolStep>,
}

impl Spool {
    /// Takes the bytes in use and the limit. Returns the step if it is a new one.
    pub fn update(&mut self, used: u64, max: u64) -> Option<SpoolStep> {
        if max == 0 {
            return None;
        }
        let now = match () {
            () if used >= max - max / 50 => SpoolStep::Full,
            () if used >= max / 2 => SpoolStep::Half,
            () if used < max / 4 => SpoolStep::Room,
            // Between a quarter and a half the last step stays.
            () => return None,
        };
        let new = match (self.last, now) {
            // From full to half full is no event: the danger is not over.
            (None | Some(SpoolStep::Room), SpoolStep::Room) | (Some(SpoolStep::Full), SpoolStep::Half) => false,
            (last, now) => last != Some(now),
        };
        if new {
            self.last = Some(now);
        }
        new.then_some(now)
    }
}

/// A maximum that another thread raises and resets. An event is due when it grows and is past a threshold.
#[derive(Debug, Default)]
pub struct Longest {
    reported: u64,
}

impl Longest {
    /// Returns the maximum if an event is due. A smaller value than before means that the maximum was reset.
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
