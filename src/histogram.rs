//! A histogram of cycle times with one writer. Thread: the audio thread writes, any thread reads.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets of an octave. The value that is read back is at most 1/32 above the value that was counted.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Buckets of a histogram. The last one ends at 2^36 ns, 68 s.
const BUCKETS: usize = (STEPS * (36 - STEP_BITS as u64 + 1)) as usize;

/// Counts of times in nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

/// The counts of a [`Histogram`] at one moment, or between two moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    buckets: Vec<u64>,
    sum: u64,
    /// The longest time since the last [`Histogram::take_max`], in nanoseconds.
    pub max: u64,
}

fn bucket(nanos: u64) -> usize {
    let octave = (nanos | STEPS).ilog2() - STEP_BITS;
    let index = u64::from(octave) * STEPS
        + ((nanos >> octave) & (STEPS - 1))
        + if octave == 0 && nanos < STEPS { 0 } else { STEPS };
    (index as usize).min(BUCKETS - 1)
}

/// The largest value that falls into `bucket`, in nanoseconds.
fn ceiling(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let octave = bucket / STEPS - 1;
    (((bucket % STEPS) + STEPS + 1) << octave) - 1
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts a time. Only one thread may call this. This is realtime-safe.
    pub fn count(&self, nanos: u64) {
        // With one writer, a load and a store lose no count.
        let cell = &self.counts[bucket(nanos)];
        cell.store(cell.load(Relaxed) + 1, Relaxed);
        self.sum.store(self.sum.load(Relaxed).wrapping_add(nanos), Relaxed);
        self.max.fetch_max(nanos, Relaxed);
    }

    /// The counts at this moment.
    pub fn counts(&self) -> Counts {
        Counts {
            buckets: self.counts.iter().map(|cell| cell.load(Relaxed)).collect(),
            sum: self.sum.load(Relaxed),
            max: self.max.load(Relaxed),
        }
    }

    /// Returns the longest time and resets it to zero.
    pub fn take_max(&self) -> u64 {
        self.max.swap(0, Relaxed)
    }
}

impl Counts {
    /// Words that [`Counts::words`] gives.
    pub const WORDS: usize = BUCKETS + 2;

    /// The counts as words of fixed number, to keep them where another process reads them.
    pub fn words(&self) -> impl Iterator<Item = u64> + '_ {
        let buckets = (0..BUCKETS).map(|bucket| self.buckets.get(bucket).copied().unwrap_or(0));
        [self.sum, self.max].into_iter().chain(buckets)
    }

    /// The counts from words that may have any value. A count is cut to what cannot overflow a sum of all.
    pub fn of_words(mut word: impl FnMut(usize) -> u64) -> Counts {
        let (sum, max) = (word(0), word(1));
        Counts { buckets: (0..BUCKETS).map(|bucket| word(2 + bucket).min(1 << 53)).collect(), sum, max }
    }

    /// The counts since `earlier`, with the longest time of `self`.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Counts {
        Counts {
            buckets: self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| now.saturating_sub(*then)).collect(),
            sum: self.sum.wrapping_sub(earlier.sum),
            max: self.max,
        }
    }

    /// Number of times counted.
    pub fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Mean in microseconds; 0 if nothing was counted.
    pub fn mean_us(&self) -> f64 {
        let total = self.total();
        if total == 0 { 0.0 } else { self.sum as f64 / total as f64 / 1e3 }
    }

    /// The longest time in microseconds.
    pub fn max_us(&self) -> f64 {
        self.max as f64 / 1e3
    }

    /// The time in microseconds that a fraction (0 to 1) of all times do not exceed, to within 1/32.
    pub fn quantile_us(&self, fraction: f64) -> f64 {
        let total = self.total();
        let rank = ((total as f64 * fraction).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if rank <= seen {
                return (ceiling(index).min(self.max.max(1))) as f64 / 1e3;
            }
        }
        0.0
    }

    /// Upper bound in microseconds and count of each bucket that is not empty.
    pub fn bars(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.buckets
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (ceiling(index) as f64 / 1e3, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_whose_ceiling_is_at_most_one_part_in_32_above() {
        for nanos in (0..100_000).chain((17..36).map(|bits| 1_u64 << bits)).chain([999_999_999]) {
            let top = ceiling(bucket(nanos));
            assert!(nanos <= top && top - nanos <= nanos / STEPS + 1, "{nanos} {top}");
            assert!(bucket(nanos) <= bucket(nanos + 1));
        }
    }

    #[test]
    fn counts_come_back_from_their_words_and_words_of_any_value_give_counts() {
        let histogram = Histogram::default();
        for nanos in [0, 7, 10_000, 400_000, u64::MAX >> 20] {
            histogram.count(nanos);
        }
        let counts = histogram.counts();
        let words: Vec<u64> = counts.words().collect();
        assert_eq!((words.len(), Counts::of_words(|index| words[index])), (Counts::WORDS, counts));
        let wild = Counts::of_words(|_| u64::MAX);
        assert!(0 < wild.total() && wild.mean_us().is_finite() && wild.quantile_us(0.5).is_finite());
    }

    #[test]
    fn quantiles_mean_and_maximum_are_those_of_what_was_counted_in_between() {
        let histogram = Histogram::default();
        histogram.count(5_000_000);
        let before = histogram.counts();
        histogram.take_max();
        for _ in 0..9_999 {
            histogram.count(10_000);
        }
        histogram.count(400_000);
        let counts = histogram.counts().since(&before);
        assert_eq!(counts.total(), 10_000);
        assert!((counts.quantile_us(0.5) - 10.0).abs() < 0.4);
        assert!((counts.quantile_us(1.0) - 400.0).abs() < 0.001);
        assert!((counts.max_us() - 400.0).abs() < 0.001);
    }
}
