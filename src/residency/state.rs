//! The rules that turn the ledger's and the kernel's statements about a page into the state that the map shows. Thread:
//! any. Pure.
//!
//! `in-place` maps the take itself. The kernel does not say whether a store to a page takes a fault. But the butler
//! populates windows for writing, which marks their pages dirty. If a page after the record position is no longer
//! dirty, the kernel has written it back and write-protected it: the next store takes a fault. This is an inference,
//! and the words of the state say so.

use crate::limits::PAGE_BYTES;
use crate::residency::ledger::{LedgerSpan, SlotSpan, Stamp, TakeView};
use crate::window::kernel_pages::CacheStat;
use serde::{Deserialize, Serialize};

/// Milliseconds that a page may stay dirty after its writeback was started.
const DIRTY_MS_MAX: u64 = 1500;

/// State of a page on the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PageState {
    /// Neither ledger nor kernel says anything.
    None,
    /// Not in memory.
    OnDisk,
    /// In the page cache, in no window that is out.
    Cached,
    /// In a window that is out, not locked: the kernel may take the page back.
    Resident,
    /// In a window that is out, locked.
    Locked,
    /// Filled; waits for the disk.
    Recorded,
    /// The kernel is writing it to the disk.
    Writeback,
    /// In a window that is out, written back since it was populated: the next store takes a fault. Inferred.
    WriteProtected,
    /// Written to the take (in `in-place`: its writeback was started).
    Committed,
    /// Outlives a power cut.
    Durable,
    /// Silence that was never written: the file reads as zeros.
    Silent,
    /// In a slot of the pool that holds no part of the take.
    Free,
}

/// The kernel's statement about a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kernel {
    /// The kernel was not asked, or gives no answer.
    Unknown,
    /// Not in memory; if in a window, not mapped.
    Absent,
    /// In the page cache.
    Cached,
    /// Mapped and in memory.
    Mapped,
    /// Newer than on the disk.
    Dirty,
    /// The kernel is writing it to the disk.
    Writeback,
    /// Mapped, but a store takes a fault. Inferred.
    WriteProtected,
    Swapped,
}

impl PageState {
    /// Every state, in the order of their numbers.
    pub const ALL: [PageState; 12] = [
        PageState::None,
        PageState::OnDisk,
        PageState::Cached,
        PageState::Resident,
        PageState::Locked,
        PageState::Recorded,
        PageState::Writeback,
        PageState::WriteProtected,
        PageState::Committed,
        PageState::Durable,
        PageState::Silent,
        PageState::Free,
    ];

    /// The state in plain words.
    pub fn words(self) -> &'static str {
        match self {
            PageState::None => "nothing is known of it",
            PageState::OnDisk => "on disk, not in memory",
            PageState::Cached => "in the page cache",
            PageState::Resident => "resident, not locked",
            PageState::Locked => "resident and locked",
            PageState::Recorded => "recorded, waits for the disk",
            PageState::Writeback => "on its way to the disk",
            PageState::WriteProtected => "write-protected (inferred): the next store takes a fault",
            PageState::Committed => "committed to the take",
            PageState::Durable => "durable",
            PageState::Silent => "silence, never written",
            PageState::Free => "in a free slot",
        }
    }

    /// The state as one letter, for reports.
    pub fn letter(self) -> char {
        match self {
            PageState::None => '-',
            PageState::OnDisk => 'o',
            PageState::Cached => 'c',
            PageState::Resident => 'r',
            PageState::Locked => 'L',
            PageState::Recorded => 'R',
            PageState::Writeback => 'w',
            PageState::WriteProtected => 'P',
            PageState::Committed => 'C',
            PageState::Durable => 'D',
            PageState::Silent => 's',
            PageState::Free => 'f',
        }
    }
}

impl Kernel {
    const ALL: [Kernel; 8] = [
        Kernel::Unknown,
        Kernel::Absent,
        Kernel::Cached,
        Kernel::Mapped,
        Kernel::Dirty,
        Kernel::Writeback,
        Kernel::WriteProtected,
        Kernel::Swapped,
    ];

    /// The statement in plain words.
    pub fn words(self) -> &'static str {
        match self {
            Kernel::Unknown => "it does not say",
            Kernel::Absent => "not in memory",
            Kernel::Cached => "in the page cache",
            Kernel::Mapped => "mapped and in memory",
            Kernel::Dirty => "dirty",
            Kernel::Writeback => "in writeback",
            Kernel::WriteProtected => "clean since it was armed, so write-protected (inferred)",
            Kernel::Swapped => "swapped out",
        }
    }

    /// The statement as one letter, for reports.
    pub fn letter(self) -> char {
        match self {
            Kernel::Unknown => '-',
            Kernel::Absent => 'a',
            Kernel::Cached => 'c',
            Kernel::Mapped => 'm',
            Kernel::Dirty => 'd',
            Kernel::Writeback => 'w',
            Kernel::WriteProtected => 'P',
            Kernel::Swapped => 's',
        }
    }
}

/// One cell of the map, in a byte: state according to the ledger, statement of the kernel, and whether they disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell(u8);

impl Cell {
    const KERNEL_SHIFT: u8 = 4;
    const DISAGREES: u8 = 0x80;

    pub fn new(believed: PageState, kernel: Kernel, disagrees: bool) -> Cell {
        let flag = if disagrees { Cell::DISAGREES } else { 0 };
        Cell(believed as u8 | (kernel as u8) << Cell::KERNEL_SHIFT | flag)
    }

    /// The state according to the ledger; [`PageState::None`] if the ledger says nothing.
    pub fn believed(self) -> PageState {
        PageState::ALL.get(usize::from(self.0 & 0x0f)).copied().unwrap_or(PageState::None)
    }

    /// The kernel's statement.
    pub fn kernel(self) -> Kernel {
        Kernel::ALL[usize::from(self.0 >> Cell::KERNEL_SHIFT & 0x07)]
    }

    /// Whether ledger and kernel contradict each other, confirmed by two samples in succession.
    pub fn disagrees(self) -> bool {
        self.0 & Cell::DISAGREES != 0
    }

    /// The state to paint.
    pub fn shown(self) -> PageState {
        match (self.believed(), self.kernel()) {
            (PageState::Locked | PageState::Resident, Kernel::WriteProtected) => PageState::WriteProtected,
            (PageState::Recorded | PageState::Committed | PageState::None, Kernel::Writeback) => PageState::Writeback,
            (PageState::None, Kernel::Cached | Kernel::Mapped) => PageState::Cached,
            (PageState::None, Kernel::Dirty) => PageState::Recorded,
            (PageState::None, Kernel::Absent | Kernel::Swapped) => PageState::OnDisk,
            (believed, _) => believed,
        }
    }
}

/// A cell as one sample shows it. Only the next sample confirms a suspicion, because the kernel sets and clears its
/// marks a moment before or after the events that they describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnconfirmedCell {
    /// The state according to the ledger; [`PageState::None`] if the ledger says nothing.
    pub believed: PageState,
    /// The kernel's statement.
    pub kernel: Kernel,
    /// Whether the two contradict each other.
    pub suspicious: bool,
}

impl UnconfirmedCell {
    /// The cell to show. It disagrees if it is suspicious and was suspicious in the sample before.
    pub fn confirm(self, was_suspicious: bool) -> Cell {
        Cell::new(self.believed, self.kernel, self.suspicious && was_suspicious)
    }
}

/// The kernel's answers about the pages of one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Pages that lie in windows that are out.
    pub asked: u32,
    /// Pages among them that are mapped and in memory; with `by_mincore`, pages that are in memory.
    pub present: u32,
    /// Whether `mincore` has answered. It does not tell a mapped page from one that is only in the page cache.
    pub by_mincore: bool,
    /// Page-cache state of the cell, in the file that contains its sound now; `None`: unknown.
    pub cache: Option<CacheStat>,
}

/// The range of a file that one cell represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub from: u64,
    /// Length in bytes; whole pages.
    pub bytes: u64,
}

impl ByteRange {
    fn end(self) -> u64 {
        self.from + self.bytes
    }

    fn pages(self) -> u64 {
        self.bytes / PAGE_BYTES as u64
    }
}

/// The facts about a take that all of its cells need.
#[derive(Clone, Copy, Debug)]
pub struct TakeContext<'a> {
    /// The ledger's account of the take.
    pub view: &'a TakeView,
    /// Whether windows map the WAV file itself.
    pub in_place: bool,
    /// The record position, as an offset in the file.
    pub head: u64,
    pub now: Stamp,
}

/// The window that contains `byte`.
pub fn span_at(spans: &[LedgerSpan], byte: u64) -> Option<&LedgerSpan> {
    let at = spans.partition_point(|span| span.end() <= byte);
    spans.get(at).filter(|span| span.offset <= byte)
}

/// Whether `byte` lies between two windows: its frames were lost before a window for them could be made.
fn is_skipped(spans: &[LedgerSpan], byte: u64) -> bool {
    let at = spans.partition_point(|span| span.end() <= byte);
    0 < at && spans.get(at).is_some_and(|next| byte < next.offset)
}

/// The ledger's state of a range: that of its first page.
pub(super) fn take_believed(take: &TakeContext, range: ByteRange) -> PageState {
    let (marks, spans) = (&take.view.marks, &take.view.spans);
    let span = span_at(spans, range.from);
    if let Some(span) = span.filter(|span| span.is_out()) {
        return match () {
            () if range.from + PAGE_BYTES as u64 <= take.head => PageState::Recorded,
            () if span.locked => PageState::Locked,
            () => PageState::Resident,
        };
    }
    if marks.collected <= range.from {
        return PageState::None;
    }
    match span {
        Some(span) if !span.touched => PageState::Silent,
        None if is_skipped(spans, range.from) => PageState::Silent,
        _ if range.from < marks.durable => PageState::Durable,
        _ if range.from < marks.committed => PageState::Committed,
        _ => PageState::Recorded,
    }
}

/// The page cache's statement, regardless of windows.
fn of_cache(cache: Option<CacheStat>) -> Kernel {
    match cache {
        None => Kernel::Unknown,
        Some(stat) if stat.writeback > 0 => Kernel::Writeback,
        Some(stat) if stat.dirty > 0 => Kernel::Dirty,
        Some(stat) if stat.cached > 0 => Kernel::Cached,
        Some(_) => Kernel::Absent,
    }
}

impl Facts {
    /// The statement about a cell all of whose pages are there.
    pub(super) fn whole(&self) -> Kernel {
        if self.by_mincore { Kernel::Cached } else { Kernel::Mapped }
    }
}

fn take_kernel(take: &TakeContext, range: ByteRange, believed: PageState, facts: &Facts) -> Kernel {
    if facts.asked > 0 {
        if facts.present < facts.asked {
            return Kernel::Absent;
        }
        let whole = u64::from(facts.asked) == range.pages();
        let Some(stat) = facts.cache.filter(|_| take.in_place && whole) else { return facts.whole() };
        return match believed {
            // The audio thread no longer stores to pages before the record position: writeback is expected there.
            PageState::Recorded if stat.writeback > 0 => Kernel::Writeback,
            PageState::Recorded if stat.dirty > 0 => Kernel::Dirty,
            PageState::Recorded => facts.whole(),
            _ if stat.dirty < range.pages() => Kernel::WriteProtected,
            _ => Kernel::Dirty,
        };
    }
    match facts.cache {
        // Memory of the spool that is not mapped now.
        Some(stat) if !take.in_place && believed == PageState::Recorded => match () {
            () if stat.cached > 0 => Kernel::Cached,
            () if stat.evicted > 0 => Kernel::Swapped,
            () => Kernel::Absent,
        },
        cache => of_cache(cache),
    }
}

/// Whether ledger and kernel contradict each other about a range.
fn take_is_suspicious(take: &TakeContext, range: ByteRange, believed: PageState, kernel: Kernel) -> bool {
    // A cell that spans several pages takes its state from the first one. Do not report pages beyond the mark.
    let is_before = |mark: u64| range.end() <= mark.next_multiple_of(PAGE_BYTES as u64);
    let marks = &take.view.marks;
    match (believed, kernel) {
        (PageState::Locked | PageState::Resident | PageState::Recorded, Kernel::Absent) => true,
        (PageState::Durable, Kernel::Dirty | Kernel::Writeback) => is_before(marks.durable),
        (PageState::Committed, Kernel::Dirty) if is_before(marks.committed) => {
            let last = span_at(&take.view.spans, range.end() - 1);
            let age = last.and_then(|span| span.committed.age_ms(take.now));
            // A span that the ledger no longer contains is older than any that it does.
            age.is_none_or(|age| DIRTY_MS_MAX < age)
        }
        _ => false,
    }
}

/// The cell for a range of a take.
pub fn take_cell(take: &TakeContext, range: ByteRange, facts: &Facts) -> UnconfirmedCell {
    let believed = take_believed(take, range);
    let kernel = take_kernel(take, range, believed, facts);
    let suspicious = take_is_suspicious(take, range, believed, kernel);
    UnconfirmedCell { believed, kernel, suspicious }
}

/// The cell for a range of a file that plays through the windows `spans`.
pub fn slot_cell(spans: &[&SlotSpan], range: ByteRange, facts: &Facts) -> UnconfirmedCell {
    let span = spans.iter().find(|span| span.offset < range.end() && range.from < span.end());
    let believed = match span {
        None => PageState::None,
        Some(span) if span.locked => PageState::Locked,
        Some(_) => PageState::Resident,
    };
    let kernel = match facts {
        Facts { asked: 0, cache, .. } => of_cache(*cache),
        Facts { asked, present, .. } if present < asked => Kernel::Absent,
        _ => facts.whole(),
    };
    let suspicious = believed != PageState::None && kernel == Kernel::Absent;
    UnconfirmedCell { believed, kernel, suspicious }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::ledger::{Actor, Marks};

    const PAGE: u64 = PAGE_BYTES as u64;

    /// Windows of two pages from page 1 on: two durable, one committed, one waiting, one being filled, one ahead.
    fn view(locked: bool) -> TakeView {
        let span = |index: u64| LedgerSpan {
            offset: PAGE * (1 + 2 * index),
            bytes: 2 * PAGE as u32,
            address: 0x1000,
            locked,
            touched: index < 5,
            commit_us: 0,
            supplied: Stamp(index),
            collected: if index < 4 { Stamp(100) } else { Stamp::NEVER },
            committed: if index < 3 { Stamp(200) } else { Stamp::NEVER },
            durable: if index < 2 { Stamp(300) } else { Stamp::NEVER },
        };
        let marks = Marks {
            supplied: 13 * PAGE,
            collected: 9 * PAGE,
            committed: 7 * PAGE,
            durable: 5 * PAGE,
            commit_us: 0,
            last: (Actor::Butler, Stamp(0)),
        };
        TakeView { marks, spans: (0..6).map(span).collect(), version: 0 }
    }

    fn cell(view: &TakeView, in_place: bool, page: u64, facts: Facts) -> Cell {
        // In the middle of the second page of the window that is being filled.
        let head = 10 * PAGE + 100;
        let take = TakeContext { view, in_place, head, now: Stamp(1000) };
        take_cell(&take, ByteRange { from: page * PAGE, bytes: PAGE }, &facts).confirm(true)
    }

    fn out(present: u32) -> Facts {
        Facts { asked: 1, present, ..Facts::default() }
    }

    fn cache(cached: u64, dirty: u64, writeback: u64) -> Facts {
        Facts { cache: Some(CacheStat { cached, dirty, writeback, ..CacheStat::default() }), ..Facts::default() }
    }

    fn both(present: u32, cached: u64, dirty: u64, writeback: u64) -> Facts {
        Facts { asked: 1, present, ..cache(cached, dirty, writeback) }
    }

    #[test]
    fn cells_of_a_take_with_a_spool() {
        use Kernel as K;
        use PageState as S;
        let view = view(true);
        let rows = [
            // page, facts, believed, kernel, shown, suspicious
            (1, cache(0, 0, 0), S::Durable, K::Absent, S::Durable, false),
            (4, cache(1, 0, 0), S::Durable, K::Cached, S::Durable, false),
            (4, cache(1, 1, 0), S::Durable, K::Dirty, S::Durable, true),
            (5, cache(0, 0, 0), S::Committed, K::Absent, S::Committed, false),
            (5, cache(1, 1, 0), S::Committed, K::Dirty, S::Committed, false),
            (5, cache(1, 0, 1), S::Committed, K::Writeback, S::Writeback, false),
            (7, cache(1, 0, 0), S::Recorded, K::Cached, S::Recorded, false),
            (7, cache(0, 0, 0), S::Recorded, K::Absent, S::Recorded, true),
            (9, out(1), S::Recorded, K::Mapped, S::Recorded, false),
            (9, out(0), S::Recorded, K::Absent, S::Recorded, true),
            (10, out(1), S::Locked, K::Mapped, S::Locked, false),
            (11, out(1), S::Locked, K::Mapped, S::Locked, false),
            (11, out(0), S::Locked, K::Absent, S::Locked, true),
            (13, Facts::default(), S::None, K::Unknown, S::None, false),
        ];
        for (page, facts, believed, kernel, shown, suspicious) in rows {
            let cell = cell(&view, false, page, facts);
            let found = (cell.believed(), cell.kernel(), cell.shown(), cell.disagrees());
            assert_eq!(found, (believed, kernel, shown, suspicious), "page {page} {facts:?}");
        }
        let swapped = CacheStat { evicted: 1, ..CacheStat::default() };
        let swapped = cell(&view, false, 7, Facts { cache: Some(swapped), ..Facts::default() });
        assert_eq!((swapped.kernel(), swapped.disagrees()), (K::Swapped, false), "slow, not lost");
    }

    #[test]
    fn cells_of_a_take_in_place() {
        use Kernel as K;
        use PageState as S;
        let view = view(false);
        let rows = [
            (7, cache(1, 1, 0), S::Recorded, K::Dirty, S::Recorded, false),
            (7, cache(1, 0, 1), S::Recorded, K::Writeback, S::Writeback, false),
            (7, cache(1, 0, 0), S::Recorded, K::Cached, S::Recorded, false),
            (9, both(1, 1, 1, 0), S::Recorded, K::Dirty, S::Recorded, false),
            (9, both(1, 1, 0, 1), S::Recorded, K::Writeback, S::Writeback, false),
            (9, both(1, 1, 0, 0), S::Recorded, K::Mapped, S::Recorded, false),
            (10, both(1, 1, 1, 0), S::Resident, K::Dirty, S::Resident, false),
            (10, both(1, 1, 0, 0), S::Resident, K::WriteProtected, S::WriteProtected, false),
            (11, both(1, 1, 1, 0), S::Resident, K::Dirty, S::Resident, false),
            (11, both(1, 1, 0, 1), S::Resident, K::WriteProtected, S::WriteProtected, false),
            (11, both(1, 1, 1, 1), S::Resident, K::Dirty, S::Resident, false),
            (11, both(0, 0, 0, 0), S::Resident, K::Absent, S::Resident, true),
            (13, cache(0, 0, 0), S::None, K::Absent, S::OnDisk, false),
            (13, cache(1, 0, 0), S::None, K::Cached, S::Cached, false),
        ];
        for (page, facts, believed, kernel, shown, suspicious) in rows {
            let cell = cell(&view, true, page, facts);
            let found = (cell.believed(), cell.kernel(), cell.shown(), cell.disagrees());
            assert_eq!(found, (believed, kernel, shown, suspicious), "page {page} {facts:?}");
        }
    }

    /// The map called a page "mapped and in memory" that was only in the page cache.
    #[test]
    fn a_page_about_which_only_mincore_has_answered_is_in_the_page_cache_and_not_mapped() {
        use Kernel as K;
        let view = view(true);
        let by_mincore = |facts: Facts| Facts { by_mincore: true, ..facts };
        for page in [9, 10, 11] {
            assert_eq!(cell(&view, false, page, by_mincore(out(1))).kernel(), K::Cached, "page {page}");
            let gone = cell(&view, false, page, by_mincore(out(0)));
            assert_eq!((gone.kernel(), gone.disagrees()), (K::Absent, true), "page {page}");
        }
        let in_place =
            |page, dirty, writeback| cell(&view, true, page, by_mincore(both(1, 1, dirty, writeback))).kernel();
        assert_eq!(
            (in_place(9, 0, 0), in_place(9, 1, 0), in_place(10, 0, 0)),
            (K::Cached, K::Dirty, K::WriteProtected)
        );
        let range = ByteRange { from: PAGE, bytes: PAGE };
        assert_eq!(slot_cell(&[], range, &out(1)).kernel, K::Mapped);
        assert_eq!(slot_cell(&[], range, &by_mincore(out(1))).kernel, K::Cached);
        assert_eq!(slot_cell(&[], range, &by_mincore(out(0))).kernel, K::Absent);
    }

    #[test]
    fn a_page_that_stays_dirty_long_after_its_commit_is_suspicious() {
        let view = view(true);
        let at = |now: u64| {
            let take = TakeContext { view: &view, in_place: true, head: 0, now: Stamp(now) };
            take_cell(&take, ByteRange { from: 5 * PAGE, bytes: PAGE }, &cache(1, 1, 0)).suspicious
        };
        assert!(!at(200 + DIRTY_MS_MAX) && at(201 + DIRTY_MS_MAX));
    }

    #[test]
    fn lost_frames_are_silence() {
        let mut view = view(true);
        view.spans[1].touched = false;
        view.spans.remove(2);
        for page in [3, 4, 5, 6] {
            assert_eq!(cell(&view, false, page, Facts::default()).believed(), PageState::Silent, "page {page}");
        }
        assert_eq!(cell(&view, false, 2, Facts::default()).believed(), PageState::Durable);
    }

    #[test]
    fn a_cell_of_many_pages_is_suspicious_as_soon_as_one_is_missing() {
        let view = view(true);
        let take = TakeContext { view: &view, in_place: false, head: 9 * PAGE, now: Stamp(0) };
        let range = ByteRange { from: 9 * PAGE, bytes: 8 * PAGE };
        assert!(!take_cell(&take, range, &Facts { asked: 4, present: 4, ..Facts::default() }).suspicious);
        assert!(take_cell(&take, range, &Facts { asked: 4, present: 3, ..Facts::default() }).suspicious);
    }

    #[test]
    fn a_cell_across_a_mark_or_the_head_is_not_suspicious() {
        let view = view(true);
        let wide = |from: u64, pages: u64, head: u64, facts: Facts| {
            let take = TakeContext { view: &view, in_place: true, head: head * PAGE, now: Stamp(9000) };
            take_cell(&take, ByteRange { from: from * PAGE, bytes: pages * PAGE }, &facts).confirm(true)
        };
        let dirty = cache(4, 2, 0);
        let cell = wide(3, 4, 10, dirty);
        assert_eq!((cell.believed(), cell.kernel(), cell.disagrees()), (PageState::Durable, Kernel::Dirty, false));
        assert!(wide(1, 4, 10, dirty).disagrees(), "all of it lies before the mark");
        assert_eq!((wide(5, 4, 10, dirty).disagrees(), wide(5, 2, 10, dirty).disagrees()), (false, true));
        // Half of the cell is filled and written back. No thread stores to it any more.
        let half = Facts { asked: 4, present: 4, ..cache(4, 2, 0) };
        assert_eq!(wide(9, 4, 11, half).shown(), PageState::Recorded);
        assert_eq!(wide(9, 4, 9, half).shown(), PageState::WriteProtected);
    }

    #[test]
    fn a_cell_keeps_its_parts_and_every_state_has_a_letter_of_its_own() {
        for (number, believed) in PageState::ALL.into_iter().enumerate() {
            assert_eq!(number, believed as usize);
            for kernel in Kernel::ALL {
                let cell = Cell::new(believed, kernel, true);
                assert_eq!((cell.believed(), cell.kernel(), cell.disagrees()), (believed, kernel, true));
                assert!(!Cell::new(believed, kernel, false).disagrees());
            }
        }
        let letters: std::collections::BTreeSet<char> = PageState::ALL.map(PageState::letter).into();
        assert_eq!(letters.len(), PageState::ALL.len());
        assert_eq!(size_of::<Cell>(), 1);
    }
}
