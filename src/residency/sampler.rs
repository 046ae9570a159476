//! Takes samples: reads the ledger, asks the kernel, compares. Thread: watcher.
//!
//! The sampler reads the ledger before and after it asks about the pages of a row. If both readings are the same, no
//! window came or went meanwhile. If the ledger changes faster than that, the sampler shows the row and reports no
//! contradiction in it.

use super::pool::{Slots, pool_cell};
use super::sample::{Pages, Row, RowKey, Sample, SampleFigures, Sources, View};
use super::scan::scan;
use super::state::{ByteRange, Cell, Facts, TakeContext, UnconfirmedCell, slot_cell, take_cell};
use crate::limits::{DATA_OFFSET, PAGE_BYTES, RESIDENCY_CELLS_MAX};
use crate::message::offset::SpoolByte;
use crate::message::published::NO_PASS;
use crate::message::spool_file::SpoolFile;
use crate::message::take::TakeKey;
use crate::residency::ledger::{LedgerSpan, SlotLedger, SlotSpan, Stamp, TakeLedger, TakeView};
use crate::rt::counters::ThreadCounters;
use crate::time::{FramePos, Frames};
use crate::window::kernel_pages::{CacheStat, Pagemap, cachestat, mincore};
use crate::window::lock_limit::locked_bytes_now;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Instant;

/// Milliseconds between two readings of the slow figures: locked memory, dirty pages of whole files.
const SLOW_MS: u64 = 500;

/// Bytes before the end of a take in which dirty pages are counted: minutes of sound, but bounded.
const FIGURE_BYTES: u64 = 64 << 20;

/// Attempts to read a row whose account in the ledger does not change meanwhile.
const TRIES: usize = 3;

const PAGE: u64 = PAGE_BYTES as u64;

/// The suspicious cells of a row in one sample.
#[derive(Debug)]
struct Suspects {
    first_byte: u64,
    bytes_per_cell: u64,
    cells: Vec<bool>,
}

/// Takes samples, and compares each with the one before.
#[derive(Debug)]
pub struct Sampler {
    sources: Sources,
    pagemap: Option<Pagemap>,
    /// The suspicious rows of the sample before.
    suspects: HashMap<RowKey, Suspects>,
    /// The suspicious rows of the sample that is being taken.
    next_suspects: HashMap<RowKey, Suspects>,
    /// The last record position of each take. Nothing else gives it between the end of a pass and the return of the
    /// last window.
    heads: HashMap<TakeKey, u64>,
    slow: SampleFigures,
    slow_at: Option<Stamp>,
    lock_suspicious: bool,
    facts: Vec<Facts>,
}

/// Position and size of the cells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grid {
    first: u64,
    bytes_per_cell: u64,
    cells: usize,
}

impl Grid {
    /// A grid for sound from byte `data` to byte `end` of a file, with the position at byte `head`.
    fn new(view: &View, data: u64, end: u64, head: u64, bytes_per_second: u64) -> Grid {
        let most = view.cells.clamp(1, RESIDENCY_CELLS_MAX) as u64;
        let origin = data / PAGE * PAGE;
        let (from, bytes, bytes_per_cell) = match view.pages {
            Pages::AroundHead { back_ms, ahead_ms } => {
                let bytes = |ms: u32| bytes_per_second * u64::from(ms) / 1000;
                let all = bytes(back_ms) + bytes(ahead_ms);
                let from = head.saturating_sub(bytes(back_ms)).max(origin);
                (from, all, all.div_ceil(most).next_multiple_of(PAGE).max(PAGE))
            }
            Pages::WholeFile => {
                // A power of two, so that cells keep their positions while the file grows.
                let all = end.saturating_sub(origin);
                (origin, all, all.div_ceil(most).max(PAGE).next_power_of_two())
            }
            Pages::Pool => return Grid { first: 0, bytes_per_cell: PAGE, cells: 0 },
        };
        let first = origin + (from - origin) / bytes_per_cell * bytes_per_cell;
        let cells = (from + bytes - first).div_ceil(bytes_per_cell).min(most);
        Grid { first, bytes_per_cell, cells: cells as usize }
    }

    fn end(self) -> u64 {
        self.first + self.cells as u64 * self.bytes_per_cell
    }

    /// Index of the cell that contains `byte`; the number of cells if `byte` lies after the last one.
    fn index(self, byte: u64) -> usize {
        ((byte.saturating_sub(self.first)) / self.bytes_per_cell).min(self.cells as u64) as usize
    }

    /// Number of cells that begin before `byte`.
    fn before(self, byte: u64) -> usize {
        byte.saturating_sub(self.first).div_ceil(self.bytes_per_cell).min(self.cells as u64) as usize
    }

    fn range(self, cell: usize) -> ByteRange {
        ByteRange { from: self.first + cell as u64 * self.bytes_per_cell, bytes: self.bytes_per_cell }
    }
}

impl Sampler {
    /// A sampler without a sample to compare with.
    pub fn new(sources: Sources) -> Sampler {
        Sampler {
            sources,
            pagemap: Pagemap::open().ok(),
            suspects: HashMap::new(),
            next_suspects: HashMap::new(),
            heads: HashMap::new(),
            slow: SampleFigures::default(),
            slow_at: None,
            lock_suspicious: false,
            facts: Vec::new(),
        }
    }

    /// Forgets the sample before: an old sample confirms nothing.
    pub fn forget(&mut self) {
        self.suspects.clear();
        (self.slow_at, self.lock_suspicious) = (None, false);
    }

    pub fn sample(&mut self, view: &View) -> Sample {
        let (started, at) = (Instant::now(), self.sources.ledger.now());
        let (takes, slots) = (self.sources.ledger.takes(), self.sources.ledger.slots());
        self.heads.retain(|key, _| takes.iter().any(|take| take.key == *key));
        let mut rows = Vec::with_capacity(takes.len() + slots.len());
        if view.pages == Pages::Pool {
            rows.extend(takes.iter().filter_map(|take| self.pool_row(take, view)));
        } else {
            rows.extend(takes.iter().map(|take| self.take_row(take, view)));
            rows.extend(slots.iter().filter_map(|slot| self.slot_row(slot, view)));
        }
        self.suspects = std::mem::take(&mut self.next_suspects);
        if self.slow_at.is_none_or(|slow| SLOW_MS <= slow.age_ms(at).unwrap_or(0)) {
            self.slow_at = Some(at);
            self.sample_slow_figures(&takes);
        }
        let figures = self.figures();
        let position = self.sources.published.position.load(Relaxed);
        Sample { at, took_us: started.elapsed().as_micros() as u32, view: *view, position, rows, figures }
    }

    fn take_row(&mut self, take: &Arc<TakeLedger>, view: &View) -> Row {
        let frame = take.frame_bytes as u64;
        let in_place = take.spool().is_none();
        let mut tries = 0;
        loop {
            tries += 1;
            let marks = take.marks();
            let head = self.head_of(take, marks.collected);
            let end = marks.supplied.max(head);
            let grid = Grid::new(view, DATA_OFFSET, end, head, u64::from(take.rate) * frame);
            let entry = take.view(grid.first, grid.end());
            self.take_facts(take, &entry, grid, in_place);
            let unchanged = entry.version == take.version();
            if !unchanged && tries < TRIES {
                continue;
            }
            let context = TakeContext { view: &entry, in_place, head, now: self.sources.ledger.now() };
            let cell = |(at, facts): (usize, &Facts)| {
                let cell = take_cell(&context, grid.range(at), facts);
                UnconfirmedCell { suspicious: unchanged && cell.suspicious, ..cell }
            };
            let cells: Vec<UnconfirmedCell> = self.facts.iter().enumerate().map(cell).collect();
            let key = RowKey::Take { uuid: take.identity, key: take.key };
            return Row {
                key,
                path: Arc::clone(&take.path),
                rate: take.rate,
                frame_bytes: take.frame_bytes,
                data_offset: DATA_OFFSET,
                start: take.start,
                head: take.head,
                first_byte: grid.first,
                bytes_per_cell: grid.bytes_per_cell,
                cells: self.confirm(key, grid, &cells),
                slots: None,
                head_byte: head,
                lead_byte: entry.marks.supplied,
            };
        }
    }

    /// The record position of a take, as an offset in its file. `collected`: the end of what came back.
    fn head_of(&mut self, take: &TakeLedger, collected: u64) -> u64 {
        let head = match self.sources.published.pass_frames.load(Relaxed) {
            NO_PASS => collected.max(self.heads.get(&take.key).copied().unwrap_or(0)),
            frames => DATA_OFFSET + frames * take.frame_bytes as u64,
        };
        self.heads.insert(take.key, head);
        head
    }

    /// The slots of a take's spool. `None`: it has none, because windows map the take's file.
    fn pool_row(&mut self, take: &Arc<TakeLedger>, view: &View) -> Option<Row> {
        let spool = take.spool()?;
        let most = view.cells.clamp(1, RESIDENCY_CELLS_MAX);
        let mut tries = 0;
        loop {
            tries += 1;
            let head = self.head_of(take, take.marks().collected);
            let slots = Slots::of(spool, RESIDENCY_CELLS_MAX);
            let (from, end) = slots.held();
            let entry = take.view(from, end);
            let bytes_per_cell = slots.bytes_per_cell(most);
            let bytes = slots.slot_bytes * slots.parts.len() as u64;
            let grid = Grid { first: 0, bytes_per_cell, cells: (bytes / bytes_per_cell) as usize };
            self.facts.clear();
            self.facts.resize(grid.cells, Facts::default());
            scan(&spool.file, spool.shape.slot_at(0), grid.bytes_per_cell, &mut self.facts).ok();
            for byte in (0..bytes).step_by(spool.shape.slot_bytes()) {
                if let Some((address, bytes)) = slots.address(&entry, byte) {
                    self.query_window(grid, &MappedSpan { offset: byte, bytes, address });
                }
            }
            let unchanged = entry.version == take.version();
            if !unchanged && tries < TRIES {
                continue;
            }
            let context = TakeContext { view: &entry, in_place: false, head, now: self.sources.ledger.now() };
            let cell = |(at, facts): (usize, &Facts)| {
                let cell = pool_cell(&context, &slots, grid.range(at), facts);
                UnconfirmedCell { suspicious: unchanged && cell.suspicious, ..cell }
            };
            let cells: Vec<UnconfirmedCell> = self.facts.iter().enumerate().map(cell).collect();
            let key = RowKey::Take { uuid: take.identity, key: take.key };
            return Some(Row {
                key,
                path: Arc::new(spool.path.clone().unwrap_or_default()),
                rate: take.rate,
                frame_bytes: take.frame_bytes,
                data_offset: DATA_OFFSET,
                start: take.start,
                head: take.head,
                first_byte: 0,
                bytes_per_cell,
                cells: self.confirm(key, grid, &cells),
                head_byte: slots.pool_byte(head).unwrap_or(bytes),
                lead_byte: bytes,
                slots: Some(slots),
            });
        }
    }

    /// Asks the kernel about the pages of a take: about those in windows by address, about the others in the file that
    /// contains their sound now.
    fn take_facts(&mut self, take: &TakeLedger, entry: &TakeView, grid: Grid, in_place: bool) {
        self.facts.clear();
        self.facts.resize(grid.cells, Facts::default());
        let marks = &entry.marks;
        // In `in-place` everything is in the WAV file. With a spool, the WAV file contains the committed sound, and the
        // spool the sound that came back since.
        let in_wav = if in_place { grid.cells } else { grid.before(marks.committed) };
        if let Some(wav) = take.wav() {
            scan(&wav, grid.first, grid.bytes_per_cell, &mut self.facts[..in_wav]).ok();
        }
        if let Some(spool) = take.spool() {
            let end = grid.before(marks.collected).max(in_wav);
            scan_slots(spool, grid, in_wav, &mut self.facts[in_wav..end]).ok();
        }
        for span in entry.spans.iter().filter(|span| span.is_out()) {
            self.query_window(grid, &MappedSpan::from(span));
        }
    }

    fn slot_row(&mut self, slot: &Arc<SlotLedger>, view: &View) -> Option<Row> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (spans, version) = slot.view();
            let (current, head) = self.playing(&spans)?;
            let rate = u64::from(slot.rate) * current.frame_bytes as u64;
            let end = current.file_bytes;
            let mut grid = Grid::new(view, current.data_offset, end, head, rate);
            grid.cells = grid.cells.min((end.saturating_sub(grid.first)).div_ceil(grid.bytes_per_cell) as usize);
            let shown: Vec<&SlotSpan> = spans.iter().filter(|span| Arc::ptr_eq(&span.file, &current.file)).collect();
            self.facts.clear();
            self.facts.resize(grid.cells, Facts::default());
            scan(&current.file, grid.first, grid.bytes_per_cell, &mut self.facts).ok();
            for span in &shown {
                self.query_window(grid, &MappedSpan::from(*span));
            }
            let unchanged = version == slot.version();
            if !unchanged && tries < TRIES {
                continue;
            }
            let cell = |(at, facts): (usize, &Facts)| {
                let cell = slot_cell(&shown, grid.range(at), facts);
                UnconfirmedCell { suspicious: unchanged && cell.suspicious, ..cell }
            };
            let cells: Vec<UnconfirmedCell> = self.facts.iter().enumerate().map(cell).collect();
            let key = RowKey::Slot(slot.slot);
            return Some(Row {
                key,
                path: Arc::clone(&current.path),
                rate: slot.rate,
                frame_bytes: current.frame_bytes,
                data_offset: current.data_offset,
                start: FramePos(0),
                head: Frames(0),
                first_byte: grid.first,
                bytes_per_cell: grid.bytes_per_cell,
                cells: self.confirm(key, grid, &cells),
                slots: None,
                head_byte: head,
                lead_byte: shown.iter().map(|span| span.end()).max().unwrap_or(head),
            });
        }
    }

    /// The window that plays now, or else the next one, and the offset in its file of the play position.
    fn playing<'a>(&self, spans: &'a [SlotSpan]) -> Option<(&'a SlotSpan, u64)> {
        let published = &self.sources.published;
        let (epoch, stream) = (published.epoch.load(Acquire), published.stream.load(Relaxed));
        let ahead = spans.iter().find(|span| span.epoch == epoch && stream < span.start + span.frames);
        let span = ahead.or(spans.last())?;
        let played = if ahead.is_some() { stream.saturating_sub(span.start) } else { 0 };
        Some((span, span.offset + span.skip_bytes as u64 + played * span.frame_bytes as u64))
    }

    /// Asks the kernel which pages of a window are in memory, and adds them to their cells.
    fn query_window(&mut self, grid: Grid, span: &MappedSpan) {
        let (from, to) = (span.offset.max(grid.first), (span.offset + span.bytes).min(grid.end()));
        if to <= from {
            return;
        }
        let (address, pages) = (span.address + (from - span.offset) as usize, ((to - from) / PAGE) as usize);
        let facts = &mut self.facts;
        let mut note = |page: usize, present: bool, by_mincore: bool| {
            let cell = grid.index(from + page as u64 * PAGE);
            if let Some(facts) = facts.get_mut(cell) {
                facts.asked += 1;
                facts.present += u32::from(present);
                facts.by_mincore |= by_mincore;
            }
        };
        if let Some(pagemap) = &mut self.pagemap {
            if let Ok(present) = pagemap.present(address, pages) {
                present.enumerate().for_each(|(page, present)| note(page, present, false));
                return;
            }
            self.pagemap = None;
        }
        // `mincore` is coarser: it does not tell a mapped page from one that is only in the page cache.
        let mut found = vec![0; pages];
        if mincore(address, &mut found).is_ok() {
            found.iter().enumerate().for_each(|(page, found)| note(page, found & 1 != 0, true));
        }
    }

    /// Turns the cells of a row into those to show, and keeps the suspicious ones for the next sample.
    fn confirm(&mut self, key: RowKey, grid: Grid, cells: &[UnconfirmedCell]) -> Vec<Cell> {
        let before = self.suspects.get(&key).filter(|before| before.bytes_per_cell == grid.bytes_per_cell);
        let confirm = |(at, cell): (usize, &UnconfirmedCell)| {
            cell.confirm(before.is_some_and(|before| before.had(grid.range(at).from)))
        };
        let confirmed = cells.iter().enumerate().map(confirm).collect();
        if cells.iter().any(|cell| cell.suspicious) {
            let cells = cells.iter().map(|cell| cell.suspicious).collect();
            let (first_byte, bytes_per_cell) = (grid.first, grid.bytes_per_cell);
            self.next_suspects.insert(key, Suspects { first_byte, bytes_per_cell, cells });
        }
        confirmed
    }

    fn sample_slow_figures(&mut self, takes: &[Arc<TakeLedger>]) {
        let budget = &self.sources.budget;
        let before = budget.used();
        let kernel = locked_bytes_now();
        // The budget counts a lock before the kernel makes it and until after the kernel has undone it.
        let suspicious = kernel < before.min(budget.used());
        let disagrees = suspicious && std::mem::replace(&mut self.lock_suspicious, suspicious);
        self.lock_suspicious = suspicious;
        let sum = cache_of(takes);
        self.slow = SampleFigures {
            locked_bytes_kernel: kernel,
            lock_disagrees: disagrees,
            dirty_bytes: sum.dirty * PAGE,
            writeback_bytes: sum.writeback * PAGE,
            cached_bytes: sum.cached * PAGE,
            ..SampleFigures::default()
        };
    }

    fn figures(&self) -> SampleFigures {
        let Sources { published, disk, budget, .. } = &self.sources;
        let counters = ThreadCounters::of(published.thread_id.load(Relaxed)).ok();
        let known = |frames: u64| (frames != u64::MAX).then_some(frames);
        SampleFigures {
            minor_faults: counters.map(|counters| counters.minor_faults),
            major_faults: counters.map(|counters| counters.major_faults),
            locked_bytes_believed: budget.used(),
            lock_limit: budget.limit(),
            commit_us_max: disk.commit_us_max.load(Relaxed),
            supply_us_max: disk.supply_us_max.load(Relaxed),
            sync_us_max: disk.sync_us_max.load(Relaxed),
            backlog_bytes: disk.backlog_bytes.load(Relaxed),
            spool_bytes: disk.spool_bytes.load(Relaxed),
            lead_frames: known(disk.lead_frames.load(Relaxed)),
            play_lead_frames: known(disk.play_lead_frames.load(Relaxed)),
            ..self.slow
        }
    }
}

/// The page cache of the takes, see [`FIGURE_BYTES`].
fn cache_of(takes: &[Arc<TakeLedger>]) -> CacheStat {
    let mut sum = CacheStat::default();
    for take in takes {
        let end = take.marks().supplied;
        let from = end.saturating_sub(FIGURE_BYTES).max(DATA_OFFSET);
        let Some(stat) = take.wav().and_then(|wav| cachestat(&wav, from, end.saturating_sub(from)).ok()) else {
            continue;
        };
        sum.dirty += stat.dirty;
        sum.writeback += stat.writeback;
        sum.cached += stat.cached;
    }
    sum
}

/// Dirty bytes of the takes that are recorded, and those in writeback.
pub(super) fn unwritten(sources: &Sources) -> (u64, u64) {
    let sum = cache_of(&sources.ledger.takes());
    (sum.dirty * PAGE, sum.writeback * PAGE)
}

impl Suspects {
    fn had(&self, byte: u64) -> bool {
        let at = byte.checked_sub(self.first_byte).map(|bytes| (bytes / self.bytes_per_cell) as usize);
        at.and_then(|at| self.cells.get(at)).copied().unwrap_or(false)
    }
}

/// Address and range of a window.
struct MappedSpan {
    offset: u64,
    bytes: u64,
    address: usize,
}

impl From<&LedgerSpan> for MappedSpan {
    fn from(span: &LedgerSpan) -> MappedSpan {
        MappedSpan { offset: span.offset, bytes: u64::from(span.bytes), address: span.address }
    }
}

impl From<&SlotSpan> for MappedSpan {
    fn from(span: &SlotSpan) -> MappedSpan {
        MappedSpan { offset: span.offset, bytes: u64::from(span.bytes), address: span.address }
    }
}

/// Stores the page-cache state of the cells from cell `first` on, whose sound lies in the slots of a spool. Of a cell that
/// lies in several slots, the first one is asked about.
fn scan_slots(spool: &SpoolFile, grid: Grid, first: usize, facts: &mut [Facts]) -> io::Result<()> {
    let range = |at: usize| grid.range(first + at);
    let end = range(facts.len()).from;
    for part in spool.listed(SpoolByte(range(0).from), SpoolByte(end)) {
        let begin = facts.len().min(grid.before(part.offset).saturating_sub(first));
        // The cells that lie in the part as a whole. A cell that the part ends in is asked about by itself.
        let whole = ((part.end() - range(begin).from.min(part.end())) / grid.bytes_per_cell) as usize;
        let at = spool.shape.part_at(&part) + (range(begin).from.min(part.end()) - part.offset);
        scan(&spool.file, at, grid.bytes_per_cell, &mut facts[begin..begin + whole])?;
        let rest = part.end().saturating_sub(range(begin + whole).from);
        if let Some(facts) = facts.get_mut(begin + whole).filter(|_| rest > 0) {
            facts.cache = Some(cachestat(&spool.file, at + whole as u64 * grid.bytes_per_cell, rest)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::published::Published;
    use crate::message::stats::DiskPublished;
    use crate::window::budget::LockBudget;
    use crate::window::map::{Mapping, Populate};

    fn view(cells: usize, pages: Pages) -> View {
        View { cells, pages, hz: 10 }
    }

    #[test]
    fn cells_around_the_head_keep_their_places_while_it_moves() {
        let around = |back_ms, ahead_ms| Pages::AroundHead { back_ms, ahead_ms };
        let grid = |cells, head| Grid::new(&view(cells, around(1000, 500)), DATA_OFFSET, 0, head, 144_000);
        assert_eq!(grid(112, DATA_OFFSET), Grid { first: 4096, bytes_per_cell: 4096, cells: 53 });
        // 216,000 bytes are 53 pages. With half as many cells, each represents two pages.
        let (one, later) = (grid(27, 1_000_000), grid(27, 1_004_096));
        assert_eq!((one.bytes_per_cell, one.cells), (8192, 27));
        assert_eq!((later.first - one.first) % one.bytes_per_cell, 0);
        assert!(one.first <= 1_000_000 - 144_000 && 1_000_000 + 60_000 < one.end(), "{one:?}");
        assert_eq!(grid(0, 1 << 40).cells, 1, "no cells are asked for");
    }

    #[test]
    fn a_whole_file_fits_whatever_it_grows_to_and_its_cells_seldom_change() {
        let mut sizes = std::collections::BTreeSet::new();
        for end in (4096..50_000_000_u64).step_by(40_960) {
            let grid = Grid::new(&view(112, Pages::WholeFile), DATA_OFFSET, end, end, 144_000);
            assert!(grid.cells <= 112 && end <= grid.end() && grid.first == DATA_OFFSET, "{grid:?} {end}");
            sizes.insert(grid.bytes_per_cell);
        }
        assert!(sizes.len() < 10, "{sizes:?}");
    }

    #[test]
    fn without_pagemap_the_sampler_uses_mincore() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * PAGE).unwrap();
        let mut map = Mapping::writable(&file, 2 * PAGE, 4 * PAGE_BYTES).unwrap();
        map.populate(Populate::Advise).unwrap();
        let sources = Sources {
            ledger: Arc::default(),
            published: Arc::new(Published::new(0)),
            disk: Arc::new(DiskPublished::default()),
            budget: LockBudget::new(0),
            faults: Arc::default(),
        };
        // Cells of two pages from page 1 on: the window of pages 2 to 5 begins and ends inside a cell.
        let grid = Grid { first: PAGE, bytes_per_cell: 2 * PAGE, cells: 4 };
        let span = MappedSpan { offset: 2 * PAGE, bytes: 4 * PAGE, address: map.address() };
        let mut sampler = Sampler::new(sources);
        for with_pagemap in [true, false] {
            if !with_pagemap {
                sampler.pagemap = None;
            }
            sampler.facts = vec![Facts::default(); grid.cells];
            sampler.query_window(grid, &span);
            let found: Vec<_> = sampler.facts.iter().map(|facts| (facts.asked, facts.present)).collect();
            assert_eq!(found, [(1, 1), (2, 2), (1, 1), (0, 0)], "pagemap: {with_pagemap}");
            let by_mincore = sampler.facts.iter().map(|facts| facts.by_mincore);
            assert!(by_mincore.eq([!with_pagemap, !with_pagemap, !with_pagemap, false]), "pagemap: {with_pagemap}");
        }
        // A window that is gone: the kernel knows nothing about it, which is no error.
        let gone = MappedSpan { address: PAGE_BYTES, ..span };
        sampler.facts = vec![Facts::default(); grid.cells];
        sampler.query_window(grid, &gone);
        assert!(sampler.facts.iter().all(|facts| *facts == Facts::default()));
    }
}
