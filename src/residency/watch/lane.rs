//! The lane of a file: its pages, a few in each cell, and the letter of a cell. Thread: any. Pure.

use crate::limits::PAGE_BYTES;
use crate::window::kernel_pages::CacheStat;

/// The letters of a lane and their meanings, in one line.
pub const LEGEND: &str = ". on disk  - partly in memory  = in memory  m in the page tables  L locked  d dirty  D dirty \
     and locked  w in writeback  s swapped out  ? not known";

const PAGE: u64 = PAGE_BYTES as u64;

/// The pages of one cell, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellFacts {
    /// Pages of the file in the cell; less than a whole cell at the end of the file.
    pub pages: u64,
    /// State in the page cache; `None`: not known.
    pub cache: Option<CacheStat>,
    /// Pages in the page tables of the process.
    pub in_page_tables: u64,
    /// Pages among them that are locked.
    pub locked: u64,
    /// Pages of the mapping that are swapped out.
    pub swapped: u64,
}

/// The cells of a lane over bytes `first_byte..` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub first_byte: u64,
    /// Bytes that a cell represents; whole pages.
    pub cell_bytes: u64,
    pub cells: Vec<CellFacts>,
}

impl Lane {
    /// A lane of at most `cells` cells over a file of `bytes` bytes. An empty file has no cell.
    pub fn new(bytes: u64, cells: usize) -> Lane {
        Lane::over(0, bytes, cells)
    }

    /// A lane over bytes `from..to` of a file.
    pub fn over(from: u64, to: u64, cells: usize) -> Lane {
        let cells = cells.max(1) as u64;
        let first_byte = from / PAGE * PAGE;
        let pages = to.saturating_sub(first_byte).div_ceil(PAGE);
        let pages_per_cell = pages.div_ceil(cells).max(1);
        let count = pages.div_ceil(pages_per_cell);
        let cell =
            |at: u64| CellFacts { pages: pages_per_cell.min(pages - at * pages_per_cell), ..CellFacts::default() };
        Lane { first_byte, cell_bytes: pages_per_cell * PAGE, cells: (0..count).map(cell).collect() }
    }

    /// The cell that contains offset `byte` of the file.
    pub fn cell_at(&mut self, byte: u64) -> Option<&mut CellFacts> {
        let at = byte.checked_sub(self.first_byte)? / self.cell_bytes;
        self.cells.get_mut(usize::try_from(at).ok()?)
    }

    /// One letter for each cell.
    pub fn letters(&self) -> String {
        self.cells.iter().map(letter).collect()
    }
}

/// The letter of a cell: the state of its pages that matters most. A cell is locked if all of its pages are.
fn letter(cell: &CellFacts) -> char {
    let cache = cell.cache.unwrap_or_default();
    let is_locked = cell.pages > 0 && cell.pages <= cell.locked;
    match () {
        () if cache.writeback > 0 => 'w',
        () if cache.dirty > 0 && is_locked => 'D',
        () if cache.dirty > 0 => 'd',
        () if is_locked => 'L',
        () if cell.in_page_tables > 0 => 'm',
        () if cell.pages <= cache.cached && cell.cache.is_some() => '=',
        () if cache.cached > 0 => '-',
        () if cell.swapped > 0 => 's',
        () if cell.cache.is_none() => '?',
        () => '.',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(cached: u64, dirty: u64, writeback: u64) -> CellFacts {
        CellFacts {
            pages: 4,
            cache: Some(CacheStat { cached, dirty, writeback, ..CacheStat::default() }),
            ..CellFacts::default()
        }
    }

    #[test]
    fn a_lane_covers_every_page_of_a_file_with_at_most_the_cells_that_were_asked_for() {
        for pages in [1_u64, 2, 63, 64, 65, 1000, 1_000_000] {
            for cells in [1_usize, 2, 64, 76] {
                let lane = Lane::new(pages * PAGE - 1, cells);
                assert!(lane.cells.len() <= cells, "{pages} {cells}");
                assert_eq!(lane.cells.iter().map(|cell| cell.pages).sum::<u64>(), pages);
                assert!(lane.cells.iter().all(|cell| cell.pages > 0), "{pages} {cells}");
            }
        }
        assert_eq!(Lane::new(0, 10).letters(), "");
        let mut part = Lane::over(3 * PAGE + 7, 9 * PAGE, 3);
        assert_eq!((part.first_byte, part.cell_bytes, part.cells.len()), (3 * PAGE, 2 * PAGE, 3));
        assert!(
            part.cell_at(2 * PAGE).is_none() && part.cell_at(8 * PAGE).is_some() && part.cell_at(9 * PAGE).is_none()
        );
    }

    #[test]
    fn the_letter_of_a_cell_is_the_state_that_matters_most() {
        let locked = CellFacts { in_page_tables: 4, locked: 4, ..cell(4, 0, 0) };
        let rows = [
            (cell(0, 0, 0), '.'),
            (cell(1, 0, 0), '-'),
            (cell(4, 0, 0), '='),
            (cell(4, 1, 0), 'd'),
            (cell(4, 1, 1), 'w'),
            (CellFacts { in_page_tables: 1, ..cell(4, 0, 0) }, 'm'),
            (locked, 'L'),
            (CellFacts { locked: 3, ..locked }, 'm'),
            (CellFacts { cache: cell(4, 2, 0).cache, ..locked }, 'D'),
            (CellFacts { swapped: 1, ..cell(0, 0, 0) }, 's'),
            (CellFacts { pages: 4, ..CellFacts::default() }, '?'),
            // The process has the pages, although nobody may ask about the file.
            (CellFacts { pages: 4, in_page_tables: 2, ..CellFacts::default() }, 'm'),
        ];
        for (facts, wanted) in rows {
            assert_eq!(letter(&facts), wanted, "{facts:?}");
            assert!(LEGEND.contains(&format!("{wanted} ")), "the legend explains {wanted}");
        }
    }
}
