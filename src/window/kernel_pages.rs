//! The kernel's statements about pages: in memory, mapped, dirty, in writeback. Thread: watcher, never audio.
#![expect(unsafe_code, reason = "system calls that fill buffers of ours")]

use crate::limits::PAGE_BYTES;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// `cachestat(2)`, Linux 6.5. The number is the same on every architecture that has a desktop.
const SYS_CACHESTAT: libc::c_long = 451;

/// Whether the kernel has answered that it has no `cachestat`. It is not called again then.
static NO_CACHESTAT: AtomicBool = AtomicBool::new(false);

/// State of a range of a file in the page cache, counted in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CacheStat {
    /// Pages in memory.
    pub cached: u64,
    /// Pages in memory that are newer than on the disk.
    pub dirty: u64,
    /// Pages that the kernel is writing to the disk.
    pub writeback: u64,
    /// Pages that are no longer in memory; for files in memory, swapped out.
    pub evicted: u64,
    /// Pages among the evicted ones that were evicted a short time ago.
    pub recently_evicted: u64,
}

/// The argument of `cachestat`.
#[repr(C)]
struct CacheRange {
    offset: u64,
    bytes: u64,
}

/// State of bytes `offset..offset + bytes` of a file in the page cache. `Unsupported`: this kernel has no `cachestat`.
/// `PermissionDenied`: the file is neither ours nor writable.
///
/// The kernel counts without touching a page or taking a lock of the file system: some 4 µs per MiB.
pub fn cachestat(file: &File, offset: u64, bytes: u64) -> io::Result<CacheStat> {
    if bytes == 0 {
        // The kernel takes a length of 0 as "to the end of the file".
        return Ok(CacheStat::default());
    }
    if NO_CACHESTAT.load(Relaxed) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (range, mut stat) = (CacheRange { offset, bytes }, CacheStat::default());
    // SAFETY: both structures have the layout of the kernel's (5 and 2 words), live for the call, and `stat` is ours.
    let done = unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut stat, 0_u32) };
    if done == 0 {
        return Ok(stat);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOSYS) {
        NO_CACHESTAT.store(true, Relaxed);
        return Err(io::ErrorKind::Unsupported.into());
    }
    Err(error)
}

/// Whether this kernel has [`cachestat`]; true until a call has failed.
pub fn has_cachestat() -> bool {
    !NO_CACHESTAT.load(Relaxed)
}

/// Stores for each page from `address` on whether it is mapped or in the page cache, in bit 0 of a byte of `pages`.
/// `address` must begin a page. A range that is not mapped is an error and nothing worse. Every page of a file that the user
/// neither owns nor may write counts as in the page cache (from Linux 5.2 on).
pub fn mincore(address: usize, pages: &mut [u8]) -> io::Result<()> {
    if pages.is_empty() {
        return Ok(());
    }
    let bytes = pages.len() * PAGE_BYTES;
    // SAFETY: the kernel only reads its page tables, whatever lies at the address, and fills one byte for each page.
    let done = unsafe { libc::mincore(address as *mut libc::c_void, bytes, pages.as_mut_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The page table of a process (`/proc/PID/pagemap`).
#[derive(Debug)]
pub struct Pagemap {
    file: File,
    words: Vec<u8>,
}

/// The entry of one page in a page table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageEntry {
    /// Mapped and in memory, so that only write protection can make an access fault.
    pub present: bool,
    /// Not in memory but in the swap area.
    pub swapped: bool,
    /// Locked. The page table does not say it; the caller fills it in.
    pub locked: bool,
}

impl Pagemap {
    const WORD: usize = size_of::<u64>();

    /// Entries that are read at once.
    const CHUNK: usize = 1 << 16;

    /// Opens the page table of this process.
    pub fn open() -> io::Result<Pagemap> {
        Ok(Pagemap { file: File::open("/proc/self/pagemap")?, words: Vec::new() })
    }

    /// Opens the page table of another process. `PermissionDenied`: it belongs to another user.
    pub fn of(pid: i32) -> io::Result<Pagemap> {
        Ok(Pagemap { file: File::open(format!("/proc/{pid}/pagemap"))?, words: Vec::new() })
    }

    /// For each of `pages` pages from `address` on: whether it is mapped and in memory, so that only write protection
    /// can make an access fault. `address` must begin a page. A page that is not mapped is not in memory.
    pub fn present(&mut self, address: usize, pages: usize) -> io::Result<impl Iterator<Item = bool> + '_> {
        Ok(self.entries(address, pages)?.map(|entry| entry.present))
    }

    /// The entries of `pages` pages from `address` on. `address` must begin a page.
    pub fn entries(&mut self, address: usize, pages: usize) -> io::Result<impl Iterator<Item = PageEntry> + '_> {
        self.words.resize(pages * Self::WORD, 0);
        // The kernel walks the page table of the process for each call, and holds its memory map meanwhile.
        for (at, words) in self.words.chunks_mut(Self::CHUNK * Self::WORD).enumerate() {
            let first = address / PAGE_BYTES + at * Self::CHUNK;
            self.file.read_exact_at(words, (first * Self::WORD) as u64)?;
        }
        // Bits 63 and 62 of a little-endian word.
        Ok(self.words.chunks_exact(Self::WORD).map(|word| {
            let top = word[Self::WORD - 1];
            PageEntry { present: top & 0x80 != 0, swapped: top & 0x40 != 0, locked: false }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::map::{Mapping, Populate};

    /// A file on the disk that contains the test binary. On tmpfs the kernel writes nothing back, so it would prove
    /// nothing.
    fn file(pages: u64) -> File {
        let program = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        file.set_len(pages * PAGE_BYTES as u64).unwrap();
        file
    }

    fn present(address: usize, pages: usize) -> Vec<bool> {
        Pagemap::open().unwrap().present(address, pages).unwrap().collect()
    }

    #[test]
    fn a_page_is_present_after_it_was_populated_and_not_before() {
        let file = file(4);
        let mut map = Mapping::writable(&file, 0, 4 * PAGE_BYTES).unwrap();
        assert_eq!(present(map.address(), 4), [false; 4]);
        let mut pages = [0; 4];
        mincore(map.address(), &mut pages).unwrap();
        assert_eq!(pages.map(|page| page & 1), [0; 4]);
        map.populate(Populate::Advise).unwrap();
        assert_eq!(present(map.address(), 4), [true; 4]);
        mincore(map.address(), &mut pages).unwrap();
        assert_eq!(pages.map(|page| page & 1), [1; 4]);
    }

    #[test]
    fn a_populated_page_is_dirty_until_it_is_written_back_and_again_after_a_store() {
        let file = file(4);
        let mut map = Mapping::writable(&file, 0, 4 * PAGE_BYTES).unwrap();
        map.populate(Populate::Advise).unwrap();
        let Ok(stat) = cachestat(&file, 0, 4 * PAGE_BYTES as u64) else { return };
        assert_eq!((stat.cached, stat.dirty, stat.writeback), (4, 4, 0));
        file.sync_data().unwrap();
        let stat = cachestat(&file, 0, 4 * PAGE_BYTES as u64).unwrap();
        assert_eq!((stat.cached, stat.dirty, stat.writeback), (4, 0, 0));
        map.bytes_mut()[PAGE_BYTES] = 1;
        let dirty: Vec<u64> =
            (0..4).map(|page| cachestat(&file, page * PAGE_BYTES as u64, PAGE_BYTES as u64).unwrap().dirty).collect();
        assert_eq!(dirty, [0, 1, 0, 0]);
    }

    #[test]
    fn asking_about_an_unmapped_range_is_an_error() {
        assert!(mincore(PAGE_BYTES, &mut [0; 2]).is_err());
        assert!(mincore(PAGE_BYTES + 1, &mut [0; 2]).is_err());
        assert_eq!(present(PAGE_BYTES, 2), [false; 2]);
        assert_eq!(cachestat(&file(1), 0, 0).unwrap(), CacheStat::default());
    }
}
