//! The page-cache states of many cells of a file, with few calls. Thread: watcher.

use super::state::Facts;
use crate::limits::PAGE_BYTES;
use crate::window::kernel_pages::{CacheStat, cachestat};
use std::fs::File;
use std::io;

const PAGE: u64 = PAGE_BYTES as u64;

/// Stores the page-cache state of each cell from byte `offset` on. Asks the kernel about all cells at once, and about
/// halves of the range if the answer is neither all nor nothing. An even range costs one call, a boundary some more.
pub(super) fn scan(file: &File, offset: u64, bytes_per_cell: u64, facts: &mut [Facts]) -> io::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let cells = facts.len() as u64;
    let stat = cachestat(file, offset, cells * bytes_per_cell)?;
    let pages = cells * bytes_per_cell / PAGE;
    let even = |count: u64| count == 0 || count == pages;
    if cells == 1 || (even(stat.cached) && even(stat.dirty) && even(stat.writeback)) {
        // Evicted pages matter only where nothing is in memory. There the share means "some".
        let share = |count: u64| count.div_ceil(cells);
        let cache = CacheStat {
            cached: share(stat.cached),
            dirty: share(stat.dirty),
            writeback: share(stat.writeback),
            evicted: share(stat.evicted),
            recently_evicted: share(stat.recently_evicted),
        };
        for facts in facts {
            facts.cache = Some(cache);
        }
        return Ok(());
    }
    let (first, second) = facts.split_at_mut(facts.len() / 2);
    let middle = offset + first.len() as u64 * bytes_per_cell;
    scan(file, offset, bytes_per_cell, first)?;
    scan(file, middle, bytes_per_cell, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_in_a_file_is_found_to_the_page() {
        let program = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        file.set_len(64 * PAGE).unwrap();
        let page = [1; PAGE_BYTES];
        for at in [3, 4, 40] {
            std::os::unix::fs::FileExt::write_all_at(&file, &page, at * PAGE).unwrap();
        }
        let mut facts = [Facts::default(); 64];
        if scan(&file, 0, PAGE, &mut facts).is_err() {
            return;
        }
        let dirty: Vec<usize> = (0..64).filter(|page| facts[*page].cache.is_some_and(|stat| stat.dirty > 0)).collect();
        assert_eq!(dirty, [3, 4, 40]);
    }
}
