//! One mapping of a file: made, populated, locked and unmapped. Thread: butler, read-ahead and committer make and drop
//! mappings; audio only reads and writes through them.
#![expect(unsafe_code, reason = "mapped memory is reached through raw pointers")]

use super::budget::{LockBudget, LockGrant};
use super::guard::Guard;
use super::wipe::wipe;
use crate::host;
use crate::limits::PAGE_BYTES;
use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How pages are populated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Populate {
    /// `MADV_POPULATE_READ` or `MADV_POPULATE_WRITE` (Linux 5.14). Errors come back as errors.
    Advise,
    /// One access to each page, for kernels without `MADV_POPULATE`.
    Touch,
}

/// A shared mapping of a page-aligned span of a file.
///
/// Holding one tells you: the memory stays mapped; if it is writable, nobody else in this program has a writable mapping
/// of the same span; and if [`Mapping::is_locked`], the kernel keeps the pages in memory. It does *not* tell you that a store takes no
/// fault: the kernel write-protects pages of a file on a disk whenever it writes them back. It never does so on tmpfs. It may
/// also move a locked page to another place in memory (compaction, memory that is taken out), and an access meanwhile takes a
/// fault.
///
/// # Other processes
///
/// Another process can change a file or cut it short while it is mapped. Capture maps only spool files, which this
/// program made with mode 0600, and in `in-place` WAV files that it has just created and preallocated. Playback never
/// hands out a reference into the memory: [`Mapping::copy_out`] copies. [`Guard`] handles the SIGBUS of a file cut short: the
/// missing page is memory of zeros then, also for a store in `in-place`.
#[derive(Debug)]
pub struct Mapping {
    // Field order is drop order: the guard ends before the memory is unmapped, and the grant is given back after the
    // kernel has unlocked the pages.
    guard: Option<Guard>,
    raw: MmapRaw,
    grant: Option<LockGrant>,
    writable: bool,
}

impl Mapping {
    /// Maps `bytes` bytes of `file` from `offset` for writing. Both must be whole pages. The caller guarantees that no
    /// other writable mapping of the span exists in this program: the butler maps each slot of a spool once for writing.
    pub fn writable(file: &File, offset: u64, bytes: usize) -> io::Result<Mapping> {
        check_span(offset, bytes)?;
        let raw = MmapOptions::new().offset(offset).len(bytes).map_raw(file)?;
        Ok(Mapping { guard: None, raw, grant: None, writable: true })
    }

    /// Like [`Mapping::writable`], for the WAV file of a take, which another program can cut short. A page that is missing
    /// then is memory that is in no file, and sets [`Mapping::is_broken`].
    pub fn of_take(file: &File, offset: u64, bytes: usize) -> io::Result<Mapping> {
        let mut map = Mapping::writable(file, offset, bytes)?;
        // Without a place for it, a file that is cut short ends the program.
        map.guard = Guard::new(map.address(), bytes, true);
        Ok(map)
    }

    /// Maps `bytes` bytes of `file` from `offset` for reading. Both must be whole pages. A missing page reads as zeros
    /// and sets [`Mapping::is_broken`].
    pub fn readable(file: &File, offset: u64, bytes: usize) -> io::Result<Mapping> {
        check_span(offset, bytes)?;
        let raw = MmapOptions::new().offset(offset).len(bytes).map_raw_read_only(file)?;
        let guard = Guard::new(raw.as_ptr() as usize, bytes, false)
            .ok_or_else(|| io::Error::other("more mapped pieces of takes than the program has room for"))?;
        Ok(Mapping { guard: Some(guard), raw, grant: None, writable: false })
    }

    /// Maps `bytes` bytes of `file` from `offset` for reading, so that the committer can write them to the disk. Both must
    /// be whole pages. Nobody cuts the file short. The audio thread no longer writes to the parts that the caller reads.
    pub fn of_captured(file: &File, offset: u64, bytes: usize) -> io::Result<Mapping> {
        check_span(offset, bytes)?;
        let raw = MmapOptions::new().offset(offset).len(bytes).map_raw_read_only(file)?;
        Ok(Mapping { guard: None, raw, grant: None, writable: false })
    }

    /// Brings every page into memory, for the access that the mapping allows. After `Ok`, the next access to a page
    /// takes no fault, unless the kernel has taken the page back since.
    pub fn populate(&mut self, how: Populate) -> io::Result<()> {
        match (how, self.writable) {
            (Populate::Advise, true) => self.raw.advise(Advice::PopulateWrite),
            (Populate::Advise, false) => self.raw.advise(Advice::PopulateRead),
            (Populate::Touch, _) => {
                self.touch();
                Ok(())
            }
        }
    }

    /// Starts to read the span from the disk. Does not wait for the end of the read. May wait for a place in the disk's queue,
    /// and for the file system to find the blocks.
    pub fn will_need(&self) -> io::Result<()> {
        self.raw.advise(Advice::WillNeed)
    }

    /// Accesses each page once. On a writable mapping this is a store that changes nothing.
    fn touch(&mut self) {
        for at in (0..self.raw.len()).step_by(PAGE_BYTES) {
            if self.writable {
                // SAFETY: `at` lies inside the mapping, which is writable and which only this value can reach.
                unsafe {
                    let page = self.raw.as_mut_ptr().add(at);
                    page.write_volatile(page.read_volatile());
                }
            } else {
                // SAFETY: `at` lies inside the mapping; the guard handles a missing page.
                std::hint::black_box(unsafe { self.raw.as_ptr().add(at).read_volatile() });
            }
        }
    }

    /// Takes the pages of shared memory out of the page tables. They stay in the file, and the next reader finds them there.
    pub fn drop_from_page_tables(&self) {
        // SAFETY: the mapping is shared, so its bytes are those of the file, before and afterwards. A failure only leaves the
        // pages where they are.
        unsafe { self.raw.unchecked_advise(UncheckedAdvice::DontNeed) }.ok();
    }

    /// Locks the pages if the budget and the kernel allow it. Returns whether the pages are locked now.
    pub fn lock(&mut self, budget: &Arc<LockBudget>) -> bool {
        if self.grant.is_some() {
            return true;
        }
        let Some(grant) = budget.take(self.raw.len() as u64) else { return false };
        // A simulated machine locks nothing: the budget is what its program sees.
        if host::is_simulated() || self.raw.lock().is_ok() {
            self.grant = Some(grant);
        } else {
            // The kernel may have locked a part of the pages. Unlock it: only what is in the budget stays locked.
            self.raw.unlock().ok();
            budget.count_refused();
        }
        self.grant.is_some()
    }

    /// Unlocks the pages and gives their part of the budget back.
    pub fn unlock(&mut self) {
        if let Some(grant) = self.grant.take() {
            // After a failure the pages stay locked until they are unmapped, shortly afterwards.
            self.raw.unlock().ok();
            drop(grant);
        }
    }

    /// Whether the pages are locked in memory.
    pub fn is_locked(&self) -> bool {
        self.grant.is_some()
    }

    /// Bytes of the mapping.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Address of the first byte, to ask the kernel about the pages.
    pub fn address(&self) -> usize {
        self.raw.as_ptr() as usize
    }

    /// Always false: a mapping has at least one page.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether an accessed page was missing, because the file was cut short. This is realtime-safe.
    pub fn is_broken(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::was_hit)
    }

    /// The memory of a writable mapping, for writing. This is realtime-safe.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(self.writable, "a playback window is never written");
        // SAFETY: the mapping is alive, writable and `len` bytes long; any byte is a valid `u8`; `&mut self` is the
        // only writable access to it in this program; no other process writes to the file (see the type). The committer
        // may have a view of the same pages at another address (`captured`). It reads only bytes that lie before the
        // record position, and nobody stores to those through this slice any more.
        unsafe { std::slice::from_raw_parts_mut(self.raw.as_mut_ptr(), self.raw.len()) }
    }

    /// Fills the memory of a writable mapping with zeros, which read as silence.
    pub fn wipe(&mut self) {
        wipe(self.bytes_mut());
    }

    /// The memory of captured sound, for the committer to write to the disk.
    pub fn bytes(&self) -> &[u8] {
        assert!(self.guard.is_none(), "bytes of a playback window are copied out");
        // SAFETY: the mapping is alive, readable and `len` bytes long; any byte is a valid `u8`. No thread of this
        // program stores to the span: `&self` excludes a writer if this mapping is writable, and a mapping of
        // `of_captured` whose windows are still out is read through `captured` only. The slot of a spool is not used
        // again while a committer holds it.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr(), self.raw.len()) }
    }

    /// A part of the memory of captured sound: `bytes` bytes from `at` on. The rest of the mapping may be written meanwhile.
    pub fn captured(&self, at: usize, bytes: usize) -> &[u8] {
        assert!(self.guard.is_none() && !self.writable, "only a mapping that was made of captured sound");
        assert!(at <= self.raw.len() && bytes <= self.raw.len() - at, "inside the mapping");
        // SAFETY: in bounds by the assertion; the mapping is alive and readable; any byte is a valid `u8`. No thread
        // stores to the part, although the audio thread may have the window of the same pages at another address: the
        // part lies before the record position, which the audio thread published (Release) after its stores and the
        // caller has read (Acquire), and its slot is not used again while the committer holds it.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(at), bytes) }
    }

    /// Word `index` of a writable mapping, as an atomic that other processes can read meanwhile. This is realtime-safe.
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins with a page")]
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(
            self.writable && index < self.raw.len() / size_of::<AtomicU64>(),
            "inside a mapping that can be written"
        );
        // SAFETY: in bounds by the assertion; aligned, because mappings begin with a page; alive and writable as long
        // as `self`. No reference to its bytes exists: `bytes_mut` needs `&mut self`, and a mapping with words is never
        // read as bytes.
        unsafe { AtomicU64::from_ptr(self.raw.as_mut_ptr().cast::<u64>().add(index)) }
    }

    /// Copies the bytes from `at` on into `out`. This is realtime-safe if the pages are resident.
    pub fn copy_out(&self, at: usize, out: &mut [u8]) {
        assert!(at <= self.raw.len() && out.len() <= self.raw.len() - at, "inside the mapping");
        // SAFETY: the source is in bounds by the assertion, and `out` is another allocation. The file may change
        // meanwhile: bytes of any value are fine, and a missing page reads as zero through the guard.
        unsafe { std::ptr::copy_nonoverlapping(self.raw.as_ptr().add(at), out.as_mut_ptr(), out.len()) }
    }

    /// Whether every page is in the page cache, so that [`Mapping::populate`] would not wait for the disk. Of a file that the
    /// user neither owns nor may write, the kernel (from 5.2 on) answers for every page that it is there.
    pub fn is_cached(&self) -> io::Result<bool> {
        let mut pages = [0_u8; 64];
        for at in (0..self.raw.len()).step_by(pages.len() * PAGE_BYTES) {
            let bytes = (self.raw.len() - at).min(pages.len() * PAGE_BYTES);
            // SAFETY: the span lies inside the mapping and `pages` has a byte for each of its pages.
            let done = unsafe { libc::mincore(self.raw.as_mut_ptr().add(at).cast(), bytes, pages.as_mut_ptr()) };
            if done != 0 {
                return Err(io::Error::last_os_error());
            }
            if pages[..bytes.div_ceil(PAGE_BYTES)].iter().any(|page| page & 1 == 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn check_span(offset: u64, bytes: usize) -> io::Result<()> {
    let page = PAGE_BYTES as u64;
    if offset.is_multiple_of(page) && bytes.is_multiple_of(PAGE_BYTES) && bytes > 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{bytes} bytes from byte {offset} are not whole pages")))
}

/// Starts to write a range of a file to the disk (`sync_file_range` with `SYNC_FILE_RANGE_WRITE`). Does not wait for the
/// end of the write. May wait for a place in the disk's queue.
pub fn write_behind(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    // SAFETY: a system call on an open descriptor with plain numbers.
    let done =
        unsafe { libc::sync_file_range(file.as_raw_fd(), offset as i64, bytes as i64, libc::SYNC_FILE_RANGE_WRITE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_behind_the_cut_of_a_take_is_kept_apart_and_noted() {
        let file = file(16_384);
        let mut map = Mapping::of_take(&file, 4096, 8192).unwrap();
        map.bytes_mut().fill(7);
        assert!(!map.is_broken());
        file.set_len(5000).unwrap();
        map.bytes_mut()[100..8000].fill(9);
        assert!(map.is_broken(), "the second page is gone");
        assert_eq!(map.bytes_mut()[5000], 9);
        assert_eq!(file.metadata().unwrap().len(), 5000);
    }

    fn file(bytes: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes).unwrap();
        file
    }

    #[test]
    fn a_span_that_is_not_whole_pages_is_refused() {
        let file = file(8192);
        assert!(Mapping::writable(&file, 1, 4096).is_err());
        assert!(Mapping::writable(&file, 0, 100).is_err());
        assert!(Mapping::writable(&file, 0, 0).is_err());
    }

    #[test]
    fn bytes_written_through_one_mapping_are_read_through_another() {
        let file = file(16384);
        for how in [Populate::Advise, Populate::Touch] {
            let mut map = Mapping::writable(&file, 4096, 8192).unwrap();
            map.populate(how).unwrap();
            map.bytes_mut()[4096] = 7;
            drop(map);
            let mut map = Mapping::readable(&file, 8192, 4096).unwrap();
            map.populate(how).unwrap();
            let mut out = [0; 2];
            map.copy_out(0, &mut out);
            assert_eq!(out, [7, 0]);
            assert!(map.is_cached().unwrap());
        }
    }

    #[test]
    fn a_lock_is_counted_and_given_back() {
        let (file, budget) = (file(8192), LockBudget::new(8192));
        let mut map = Mapping::writable(&file, 0, 8192).unwrap();
        assert!(map.lock(&budget) && map.is_locked());
        assert_eq!(budget.used(), 8192);
        map.unlock();
        assert_eq!(budget.used(), 0);
        assert!(!map.is_locked());
    }

    #[test]
    fn a_file_cut_short_reads_as_zeros_and_says_so() {
        let file = file(8192);
        std::os::unix::fs::FileExt::write_all_at(&file, &[9; 8192], 0).unwrap();
        let mut map = Mapping::readable(&file, 0, 8192).unwrap();
        map.populate(Populate::Advise).unwrap();
        file.set_len(4096).unwrap();
        let mut out = [1; 8192];
        map.copy_out(0, &mut out);
        assert_eq!((out[0], out[4095], out[4096], out[8191]), (9, 9, 0, 0));
        assert!(map.is_broken());
    }
}
