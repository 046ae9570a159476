//! Populates the program's own memory before the audio thread uses it: code, data, heap and the audio thread's stack.
//! Thread: control, opener and reconnect (memory), audio (its stack, once, before the device starts), any that starts a
//! program ([`keep_files_from_children`]).
#![expect(
    unsafe_code,
    reason = "advice on address ranges that the program owns; the environment before a second thread; a flag of open files"
)]

use crate::host;
use crate::limits::{AUDIO_STACK_BYTES, PAGE_BYTES};
use crate::window::map::{Mapping, Populate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Larger mappings are not populated: they are reserved address space, not working memory. A heap that glibc gives to a
/// thread grows up to this size. The main heap is populated whatever its size.
const MAPPING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Arenas of the heap.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: i32 = 4;

/// Libraries that only draw. The audio thread never runs them, and the compiler of a renderer alone has over 100 MiB.
const DRAWING: [&str; 9] = ["LLVM", "/dri/", "gallium", "libGL", "libEGL", "libX", "libxcb", "libwayland", "libz3"];

/// Pools of blocks that PulseAudio's library shares with its server. The audio thread writes into a block of 64 KiB, and a
/// block that is used for the first time costs a fault for each page.
const PULSE_POOLS: [&str; 2] = ["/memfd:pulseaudio", "/dev/shm/pulse-shm-"];

/// The part of such a pool that is populated. The library uses the first blocks first, and a stream has a few of them.
const PULSE_POOL_BYTES: usize = 4 * 1024 * 1024;

/// The ranges that [`populate`] has brought in last, for [`keep_resident`].
static POPULATED: Mutex<Vec<Populated>> = Mutex::new(Vec::new());

/// An address range that was brought into memory.
#[derive(Clone, Copy)]
struct Populated {
    start: usize,
    bytes: usize,
    /// Whether its pages are brought in for writing. Only of the main heap, which stays what it is.
    for_writing: bool,
}

/// The mappings that can be stacks of helpers, and that [`populate`] has looked at. Only `smaps` has the flag by which a stack is
/// known, and with thousands of windows it takes the kernel several times as long as `maps`.
static LOOKED_AT: Mutex<LookedAt> = Mutex::new(LookedAt { stacks: Vec::new(), others: Vec::new() });

/// Mappings that lie on a guard page, by their addresses.
struct LookedAt {
    /// Start and end of each stack. A stack does not grow.
    stacks: Vec<(usize, usize)>,
    /// The starts of the others, as heaps of threads, which grow.
    others: Vec<usize>,
}

impl LookedAt {
    fn is_stack(&self, region: &Region<'_>) -> bool {
        self.stacks.contains(&(region.start, region.end))
    }

    /// The starts of the stacks among the mappings of a text of `maps`. A mapping that
    /// has no guard page any more is no stack, even if its addresses are known.
    fn stacks_among(&self, regions: &[Region<'_>]) -> Vec<usize> {
        let candidates = regions.windows(2).filter(|pair| can_be_stack_of_helper(&pair[0], &pair[1]));
        candidates.filter(|pair| self.is_stack(&pair[1])).map(|pair| pair[1].start).collect()
    }

    /// Whether all mappings of a text of `maps` that can be stacks were looked at.
    fn knows_all(&self, regions: &[Region<'_>]) -> bool {
        let is_known = |region: &Region<'_>| self.is_stack(region) || self.others.contains(&region.start);
        regions.windows(2).filter(|pair| can_be_stack_of_helper(&pair[0], &pair[1])).all(|pair| is_known(&pair[1]))
    }

    /// Looks at the mappings of a text of `smaps`, which has their flags.
    fn learn(&mut self, regions: &[Region<'_>]) {
        let candidates = regions.windows(2).filter(|pair| can_be_stack_of_helper(&pair[0], &pair[1]));
        let (stacks, others): (Vec<_>, Vec<_>) =
            candidates.map(|pair| &pair[1]).partition(|region| region.without_huge_pages);
        self.stacks = stacks.iter().map(|region| (region.start, region.end)).collect();
        self.others = others.iter().map(|region| region.start).collect();
    }
}

/// Sets a variable of the process's environment, unless the user has set it. Does nothing when the process has a second
/// thread, because that thread could read the environment at the same time. Returns whether the variable was set.
pub fn set_unset_variable(name: &str, value: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if std::env::var_os(name).is_some() || threads != 1 {
        return false;
    }
    // SAFETY: this is the only thread of the process, so nothing reads or changes the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
    true
}

/// Takes `posix/` and `right/` from the beginning of the time zone's name in the environment, `TZ`. They name folders of the zones,
/// and the time would be that of UTC: the library that computes it looks in the folder above. Does nothing when the process
/// has a second thread.
pub fn set_plain_time_zone() {
    let name = std::env::var("TZ").unwrap_or_default();
    let bare = name.strip_prefix(':').unwrap_or(&name);
    let Some(plain) = ["posix/", "right/"].iter().find_map(|folder| bare.strip_prefix(folder)) else { return };
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1) {
        // SAFETY: this is the only thread of the process, so nothing reads or changes the environment meanwhile.
        unsafe { std::env::set_var("TZ", plain) };
    }
}

/// Brings every mapped page of code and private data into memory, so that running code for the first time takes no
/// fault. Skips pages that cannot be populated, and the stacks of other threads. Returns the number of bytes visited.
///
/// Call it when new memory exists, and before the audio thread uses that memory: before the device starts, before a pass,
/// before playback of other tracks, and before the audio thread gets a new device.
pub fn populate() -> u64 {
    if host::is_simulated() {
        return 0;
    }
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}"));
    let Ok(mut text) = read("maps") else { return 0 };
    let mut looked_at = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if !looked_at.knows_all(&regions(&text))
        && let Ok(flagged) = read("smaps")
    {
        looked_at.learn(&regions(&flagged));
        text = flagged;
    }
    let regions = regions(&text);
    let stacks = looked_at.stacks_among(&regions);
    // Populating can take long.
    drop(looked_at);
    let mut populated = Vec::new();
    for region in regions.iter().filter(|region| !stacks.contains(&region.start)) {
        if let Some(bytes) = populate_region(region) {
            populated.push(Populated { start: region.start, bytes, for_writing: region.name == "[heap]" });
        }
    }
    let bytes = populated.iter().map(|range| range.bytes as u64).sum();
    *POPULATED.lock().unwrap_or_else(PoisonError::into_inner) = populated;
    bytes
}

/// Brings in again what [`populate`] has brought in, as far as the kernel has taken it back. Code that has not run for long is
/// the first to go when memory is short, and the code that is needed when a disk stands still may lie on that disk. May wait for
/// the disk. Returns the number of ranges.
pub fn keep_resident() -> usize {
    let ranges = POPULATED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for range in &ranges {
        let advice = if range.for_writing { libc::MADV_POPULATE_WRITE } else { libc::MADV_POPULATE_READ };
        // SAFETY: populating changes no byte, whatever is mapped there by now; the kernel refuses a range that is not mapped.
        unsafe { libc::madvise(range.start as *mut libc::c_void, range.bytes, advice) };
    }
    ranges.len()
}

/// Keeps the kernel from making huge pages of this process's memory. It would take two MiB of the heap out of the page tables
/// while it copies them, and an audio thread that needs one of these pages would wait. Programs that this one becomes or starts
/// inherit it. Returns whether the kernel does it.
pub fn keep_pages_small() -> bool {
    nix::sys::prctl::set_thp_disable(true).is_ok()
}

/// Keeps the heap in few arenas. The C library gives each thread an arena of its own, and the populating brings the whole of
/// it into memory. The audio thread uses none. Call it before a second thread starts.
pub fn limit_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
    }
}

/// Keeps the open files of this process from the programs that it starts. Call it before each of them. JACK's library opens
/// its sockets without the mark that does this, and JACK's server believes in a client until the last process that has its
/// socket has closed it. Kernels before 5.11 do not know the call.
pub fn keep_files_from_children() {
    // SAFETY: marks descriptors and touches no memory. The mark has no effect before a program is started.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// A mapping, from a line of `maps`.
#[derive(Debug, PartialEq, Eq)]
struct Region<'a> {
    start: usize,
    end: usize,
    rights: &'a str,
    name: &'a str,
    /// Whether the kernel makes no huge pages of it. So it is with stacks that the C library makes, from Linux 6.7 on.
    without_huge_pages: bool,
}

/// The mappings that a text of `maps` or of `smaps` lists.
fn regions(text: &str) -> Vec<Region<'_>> {
    let mut regions: Vec<Region<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if let Some(last) = regions.last_mut() {
                last.without_huge_pages = flags.split_ascii_whitespace().any(|flag| flag == "nh");
            }
        } else if let Some(region) = region(line) {
            regions.push(region);
        }
    }
    regions
}

fn region(line: &str) -> Option<Region<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let name = fields.nth(3).unwrap_or("");
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some(Region { start, end, rights, name, without_huge_pages: false })
}

/// Whether a mapping can be the stack of a thread that is not the audio thread: it lies on a guard page, and is larger than the
/// audio thread's. Its thread needs few of its pages, and may take page faults. It is one if the kernel makes no huge pages of
/// it. That flag keeps the kernel from joining the stack with other memory above it, which would be left out too.
fn can_be_stack_of_helper(below: &Region<'_>, region: &Region<'_>) -> bool {
    let is_guarded = below.rights == "---p" && below.end == region.start;
    let is_anonymous = region.rights == "rw-p" && region.name.is_empty();
    is_guarded && is_anonymous && AUDIO_STACK_BYTES < region.end.saturating_sub(region.start)
}

/// Brings the pages of `bytes` bytes from address `start` into memory, for writing where they can be written. Returns whether
/// they are there now. The kernel answers `EINVAL` to an advice that the pages do not permit, to one that it does not know, and
/// for the memory of a device, which is mapped whole. Only the last one counts as success.
pub fn populate_range(start: usize, bytes: usize) -> bool {
    let first = start & !(PAGE_BYTES - 1);
    let length = (start + bytes).next_multiple_of(PAGE_BYTES) - first;
    let advise = |advice| {
        // SAFETY: populating changes no byte, whatever the pages are; the kernel refuses a range that is not mapped
        // with ENOMEM.
        let done = unsafe { libc::madvise(first as *mut libc::c_void, length, advice) };
        if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error()) }
    };
    match advise(libc::MADV_POPULATE_WRITE).or_else(|_| advise(libc::MADV_POPULATE_READ)) {
        Ok(()) => true,
        Err(errno) => errno == Some(libc::EINVAL) && can_populate(),
    }
}

/// Whether the kernel knows `MADV_POPULATE` (Linux 5.14). It is tried once, on a page of a file in memory.
pub fn can_populate() -> bool {
    static TRIED: OnceLock<bool> = OnceLock::new();
    *TRIED.get_or_init(|| {
        let Ok(file) = memfd_create(c"faultless-probe", MFdFlags::MFD_CLOEXEC).map(File::from) else { return false };
        let page = file.set_len(PAGE_BYTES as u64).and_then(|()| Mapping::writable(&file, 0, PAGE_BYTES));
        page.and_then(|mut page| page.populate(Populate::Advise)).is_ok()
    })
}

fn populate_region(region: &Region<'_>) -> Option<usize> {
    let Region { start, end, rights, name, .. } = *region;
    let is_pool = PULSE_POOLS.iter().any(|pool| name.starts_with(pool));
    let bytes = end.checked_sub(start)?.min(if is_pool { PULSE_POOL_BYTES } else { usize::MAX });
    let private = rights.ends_with('p') || is_pool;
    let large = MAPPING_BYTES_MAX < bytes && name != "[heap]";
    // The main thread's stack grows by itself, and no other thread uses it.
    if DRAWING.iter().any(|library| name.contains(library)) {
        return None;
    }
    if !private || !rights.starts_with('r') || large || name.starts_with("[v") || name == "[stack]" {
        return None;
    }
    let advice = if rights.starts_with("rw") { libc::MADV_POPULATE_WRITE } else { libc::MADV_POPULATE_READ };
    // SAFETY: populating changes no byte; the kernel refuses a range that was unmapped meanwhile with ENOMEM.
    let done = unsafe { libc::madvise(start as *mut libc::c_void, bytes, advice) };
    (done == 0).then_some(bytes)
}

/// Touches and locks the part of the calling thread's stack that the thread will use. Returns whether it is locked.
#[inline(never)]
#[expect(clippy::large_stack_frames, clippy::large_stack_arrays, reason = "the frame is the stack that is brought in")]
pub fn prepare_stack(budget: &Arc<super::budget::LockBudget>) -> bool {
    const BYTES: usize = AUDIO_STACK_BYTES / 2;
    let mut depth = [0_u8; BYTES];
    for at in (0..BYTES).step_by(PAGE_BYTES) {
        depth[at] = std::hint::black_box(1);
    }
    std::hint::black_box(&mut depth);
    let Some(grant) = budget.take(BYTES as u64) else { return false };
    // SAFETY: locks pages of the stack that this function runs on; they stay mapped as long as the thread lives.
    let locked = unsafe { libc::mlock(depth.as_ptr().cast(), BYTES) } == 0;
    if locked {
        // The pages stay locked until the thread ends, so their part of the budget is never given back.
        std::mem::forget(grant);
    }
    locked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::kernel_pages::Pagemap;
    use memmap2::MmapOptions;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_stacks_of_helpers_are_known_by_their_guard_their_size_and_their_flag() {
        let text = "\
7f0000000000-7f0000001000 ---p 00000000 00:00 0\nVmFlags: mr mw me nr sd
7f0000001000-7f0000081000 rw-p 00000000 00:00 0 \nRss: 8 kB\nVmFlags: rd wr mr mw me ac sd nh
7f0000081000-7f0000082000 ---p 00000000 00:00 0\nVmFlags: mr mw me nr sd
7f0000082000-7f00000c2000 rw-p 00000000 00:00 0\nVmFlags: rd wr mr mw me ac sd nh
7f00000c2000-7f00000c3000 ---p 00000000 00:00 0\nVmFlags: mr mw me nr sd
7f00000c3000-7f0000143000 rw-p 00000000 00:00 0\nVmFlags: rd wr mr mw me ac sd
7f0000143000-7f00001c3000 rw-p 00000000 00:00 0\nVmFlags: rd wr mr mw me ac sd nh
";
        let flagged = regions(text);
        let mut looked_at = LookedAt { stacks: Vec::new(), others: Vec::new() };
        assert!(!looked_at.knows_all(&flagged), "nothing was looked at");
        looked_at.learn(&flagged);
        assert_eq!(looked_at.stacks_among(&flagged), [0x7f00_0000_1000]);
        let without_flags = text.lines().filter(|line| !line.contains(": ")).collect::<Vec<_>>().join("\n");
        let plain = regions(&without_flags);
        assert!(plain.len() == flagged.len() && plain.iter().all(|region| !region.without_huge_pages));
        assert!(looked_at.knows_all(&plain));
        assert_eq!(looked_at.stacks_among(&plain), [0x7f00_0000_1000]);
        let without_guard = without_flags.replace("7f0000000000-7f0000001000 ---p", "7f0000000000-7f0000001000 rw-p");
        assert!(looked_at.stacks_among(&regions(&without_guard)).is_empty());
        // A heap that has grown is none, and a stack of another size is looked at again.
        let grown = without_flags.replace("-7f0000143000", "-7f0000142000");
        assert!(looked_at.knows_all(&regions(&grown)));
        let other = without_flags.replace("-7f0000081000 rw-p", "-7f0000080000 rw-p");
        assert!(!looked_at.knows_all(&regions(&other)));
        let maps = super::regions("7f0000000000-7f0000001000 r-xp 00001000 fe:00 1234 /usr/lib/libc.so.6\nnonsense\n");
        let code = Region {
            start: 0x7f00_0000_0000,
            end: 0x7f00_0000_1000,
            rights: "r-xp",
            name: "/usr/lib/libc.so.6",
            without_huge_pages: false,
        };
        assert_eq!(maps, [code]);
    }

    /// The stacks of helpers were 10 MiB of the memory of the recorder.
    #[test]
    fn the_stack_of_the_audio_thread_is_brought_in_whole_and_that_of_a_helper_is_not() {
        let resident_of_stack = |bytes: usize| {
            let (sender, ready) = std::sync::mpsc::channel();
            let (release, wait) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::Builder::new().stack_size(bytes).spawn(move || {
                let local = 0_u8;
                sender.send(&raw const local as usize).unwrap();
                wait.recv().ok();
            });
            let local = ready.recv().unwrap();
            populate();
            let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let of_stack = regions(&smaps).into_iter().find(|region| (region.start..region.end).contains(&local));
            let (start, end) = of_stack.map(|region| (region.start, region.end)).unwrap();
            let (_, rest) = smaps.split_once(&format!("{start:x}-{end:x} ")).unwrap();
            let resident = rest.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
            drop(release);
            thread.unwrap().join().unwrap();
            (resident.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024, end - start)
        };
        let (resident, bytes) = resident_of_stack(AUDIO_STACK_BYTES);
        assert_eq!(resident, bytes);
        let (resident, bytes) = resident_of_stack(crate::limits::HELPER_STACK_BYTES);
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        if regions(&text).iter().any(|region| region.without_huge_pages) {
            assert!(resident < bytes / 4, "{resident} of {bytes}");
        } else {
            eprintln!("PART SKIPPED the stack of a helper: the kernel does not mark stacks");
        }
    }

    /// The kernel's answer to the advice for writing counted as success, and the advice for reading was not tried.
    #[test]
    fn a_range_that_can_only_be_read_is_brought_in_and_one_that_is_not_mapped_is_none() {
        const PAGES: usize = 16;
        let file = tempfile::tempfile().unwrap();
        file.set_len((PAGES * PAGE_BYTES) as u64).unwrap();
        // SAFETY: nobody else has the file.
        let map = unsafe { MmapOptions::new().map(&file) }.unwrap();
        let address = map.as_ptr() as usize;
        assert_eq!(populate_range(address, map.len()), can_populate());
        let present: Vec<bool> = Pagemap::open().unwrap().present(address, PAGES).unwrap().collect();
        assert_eq!(present, [can_populate(); PAGES]);
        assert!(!populate_range(PAGE_BYTES, PAGE_BYTES));
    }

    #[test]
    fn code_that_the_kernel_has_taken_back_is_brought_in_again() {
        const BYTES: usize = 1 << 20;
        let program = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        let page = vec![7; BYTES];
        std::os::unix::fs::FileExt::write_all_at(&file, &page, 0).unwrap();
        file.sync_all().unwrap();
        // SAFETY: nobody else has the file.
        let map = unsafe { MmapOptions::new().len(BYTES).map_copy_read_only(&file) }.unwrap();
        let resident = || {
            let mut pages = vec![0_u8; BYTES / PAGE_BYTES];
            // SAFETY: the kernel writes a byte for each page of the mapping.
            assert_eq!(unsafe { libc::mincore(map.as_ptr() as *mut libc::c_void, BYTES, pages.as_mut_ptr()) }, 0);
            pages.iter().filter(|page| **page & 1 == 1).count()
        };
        populate();
        assert_eq!(resident(), BYTES / PAGE_BYTES);
        // SAFETY: the mapping is of a file that does not change, so dropping its pages changes no byte.
        unsafe { libc::madvise(map.as_ptr() as *mut libc::c_void, BYTES, libc::MADV_DONTNEED) };
        let advice = nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        nix::fcntl::posix_fadvise(&file, 0, BYTES as i64, advice).unwrap();
        if resident() == BYTES / PAGE_BYTES {
            eprintln!("PART SKIPPED pages that were taken back: this file system keeps them");
        }
        assert!(keep_resident() > 0);
        assert_eq!(resident(), BYTES / PAGE_BYTES);
    }

    /// A pass through PulseAudio took 1 to 21 page faults.
    #[test]
    fn the_first_blocks_of_a_pool_that_is_shared_with_pulseaudio_are_brought_in() {
        let pool = |name| {
            let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC).unwrap());
            file.set_len(64 << 20).unwrap();
            // SAFETY: nobody else has the file.
            let map = unsafe { MmapOptions::new().map_mut(&file) }.unwrap();
            (file, map)
        };
        let (pulse, other) = (pool(c"pulseaudio"), pool(c"other"));
        populate();
        let bytes = |file: &File| file.metadata().unwrap().blocks() * 512;
        assert_eq!((bytes(&pulse.0), bytes(&other.0)), (PULSE_POOL_BYTES as u64, 0));
        assert!(pulse.1.iter().all(|byte| *byte == 0), "populating changes no byte");
    }
}
