//! The budget of locked memory. Thread: butler and read-ahead take and give back, audio takes once for its stack, any
//! thread reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of memory that the program may lock, and bytes that are locked now.
///
/// The kernel counts whole mappings against `RLIMIT_MEMLOCK`, and so does this budget.
#[derive(Debug)]
pub struct LockBudget {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
    refused: AtomicU64,
}

/// A part of the budget. Dropping the grant gives it back.
#[derive(Debug)]
pub struct LockGrant {
    bytes: u64,
    budget: Arc<LockBudget>,
}

impl LockBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<LockBudget> {
        Arc::new(LockBudget { limit, used: AtomicU64::new(0), peak: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }

    /// Takes `bytes` from the budget. `None`: not enough is left; the budget counts the refusal.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Option<LockGrant> {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit)
        });
        let Ok(before) = taken else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        Some(LockGrant { bytes, budget: Arc::clone(self) })
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
}
