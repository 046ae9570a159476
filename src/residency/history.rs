//! The samples of the last minute, bounded in time and memory. Thread: any.

use super::packed::PackedSample;
use super::sample::Sample;
use crate::limits;
use std::collections::VecDeque;
use std::sync::Arc;

/// The samples of the last minute, oldest first.
#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<PackedSample>,
    last: Option<Arc<Sample>>,
    bytes: usize,
}

impl History {
    /// Adds a sample. Drops the oldest ones that exceed [`limits::RESIDENCY_HISTORY_MS`] or
    /// [`limits::RESIDENCY_HISTORY_BYTES_MAX`].
    pub fn push(&mut self, sample: Arc<Sample>) {
        let now = sample.at;
        let packed = PackedSample::new(&sample, self.samples.back());
        self.bytes += packed.bytes();
        self.samples.push_back(packed);
        self.last = Some(sample);
        while self.samples.front().is_some_and(|first| {
            limits::RESIDENCY_HISTORY_MS < first.at().age_ms(now).unwrap_or(0)
                || limits::RESIDENCY_HISTORY_BYTES_MAX < self.bytes
        }) {
            let Some(first) = self.samples.pop_front() else { return };
            self.bytes -= first.bytes();
        }
    }

    pub fn samples(&self) -> Vec<Arc<Sample>> {
        self.samples.iter().map(|packed| Arc::new(packed.unpack())).collect()
    }

    pub fn last(&self) -> Option<&Arc<Sample>> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::RowKey;
    use super::super::sample::tests::{row, sample as sample_of};
    use super::super::state::{Cell, Kernel, PageState};
    use super::*;
    use crate::residency::ledger::Stamp;

    fn sample(ms: u64, cells: usize) -> Arc<Sample> {
        let cells = vec![Cell::new(PageState::Locked, Kernel::Mapped, false); cells];
        Arc::new(sample_of(ms, row(RowKey::Slot(0), 4096, 4096, cells)))
    }

    #[test]
    fn samples_of_one_minute_are_kept() {
        let mut history = History::default();
        (0..1000).for_each(|index| history.push(sample(index * 100, 112)));
        let kept = history.samples();
        assert_eq!(kept.len(), limits::RESIDENCY_HISTORY_MS as usize / 100 + 1);
        assert_eq!((kept[0].at, history.last().unwrap().at), (Stamp(39_900), Stamp(99_900)));
    }

    #[test]
    fn memory_is_bounded_whatever_is_asked_for() {
        // No two cells that follow each other are equal.
        let mut large = Sample::clone(&sample(0, 1 << 20));
        for cell in large.rows[0].cells.iter_mut().step_by(2) {
            *cell = Cell::new(PageState::None, Kernel::Mapped, false);
        }
        let mut history = History::default();
        (0..20).for_each(|index| history.push(Arc::new(Sample { at: Stamp(index), ..large.clone() })));
        let kept = history.samples();
        assert!((1..limits::RESIDENCY_HISTORY_BYTES_MAX >> 20).contains(&kept.len()), "{}", kept.len());
        assert!(history.bytes <= limits::RESIDENCY_HISTORY_BYTES_MAX);
        assert_eq!(kept.last().map(|sample| &sample.rows[0].cells), Some(&large.rows[0].cells));
    }
}
