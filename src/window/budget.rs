//! The budget of locked memory. Thread: butler and read-ahead take and give back, audio takes once for its stack, any
//! thread reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of memory that the program may lock, and bytes that are locked now.
///
/// The kernel counts whole mappings against `RLIMIT_MEMLOCK`, and so does this budget. A part of it can be a budget of its own:
/// what takes from the part can never take what the rest is for.
#[derive(Debug)]
pub struct LockBudget {
    limit: u64,
    /// The budget of which this one is a part.
    whole: Option<Arc<LockBudget>>,
    used: AtomicU64,
    peak: AtomicU64,
    refused: AtomicU64,
}

/// A part of the budget. Dropping the grant gives it back.
#[derive(Debug)]
pub struct LockGrant {
    bytes: u64,
    budget: Arc<LockBudget>,
    /// The same bytes of the budget of which `budget` is a part.
    of_whole: Option<Box<LockGrant>>,
}

impl LockBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<LockBudget> {
        LockBudget::with(limit, None)
    }

    /// A budget of `limit` bytes that are also taken from `whole`.
    pub fn part_of(whole: &Arc<LockBudget>, limit: u64) -> Arc<LockBudget> {
        LockBudget::with(limit, Some(Arc::clone(whole)))
    }

    fn with(limit: u64, whole: Option<Arc<LockBudget>>) -> Arc<LockBudget> {
        let zero = || AtomicU64::new(0);
        Arc::new(LockBudget { limit, whole, used: zero(), peak: zero(), refused: zero() })
    }

    /// Takes `bytes` from the budget. `None`: not enough is left; the budget counts the refusal.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Option<LockGrant> {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit)
        });
        let Ok(before) = taken else {
            self.count_refused();
            return None;
        };
        // Dropping the grant gives the bytes back, also where the whole has none left.
        let mut grant = LockGrant { bytes, budget: Arc::clone(self), of_whole: None };
        if let Some(whole) = &self.whole {
            grant.of_whole = Some(Box::new(whole.take(bytes)?));
        }
        self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        Some(grant)
    }

    /// Bytes that may be locked at once.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are locked now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever locked at once.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Locks that the budget or the kernel refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a lock that the kernel refused although the budget allowed it.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_refused();
        }
    }
}

impl Drop for LockGrant {
    fn drop(&mut self) {
        let before = self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        debug_assert!(self.bytes <= before, "more given back than taken");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_comes_back_when_it_is_dropped() {
        let budget = LockBudget::new(100);
        let first = budget.take(60).unwrap();
        assert!(budget.take(41).is_none());
        assert_eq!((budget.used(), budget.refused()), (60, 1));
        drop(first);
        assert!(budget.take(100).is_some());
        assert_eq!((budget.used(), budget.peak()), (0, 100));
    }

    #[test]
    fn a_part_takes_from_the_whole_and_never_more_than_it_has() {
        let whole = LockBudget::new(100);
        let part = LockBudget::part_of(&whole, 40);
        let first = part.take(40).unwrap();
        assert!(part.take(1).is_none(), "the rest is for others");
        assert_eq!((part.used(), whole.used(), whole.refused()), (40, 40, 1));
        let second = whole.take(60).unwrap();
        drop(first);
        assert_eq!((part.used(), whole.used()), (0, 60));
        drop(second);
        let others = whole.take(90).unwrap();
        assert!(part.take(20).is_none(), "others have taken it");
        drop(others);
        assert_eq!((part.used(), whole.used()), (0, 0));
    }
}
