//! Populates the program's own memory before the audio thread uses it: code, data, heap and the audio thread's stack.
//! Thread: control, opener and reconnect (memory), audio (its stack, once, before the device starts).
#![expect(
    unsafe_code,
    reason = "advice on address ranges that the program owns; the environment before a second thread"
)]

use crate::host;
use crate::limits::{AUDIO_STACK_BYTES, PAGE_BYTES};
use std::sync::Arc;

/// Larger mappings are not populated: they are reserved address space, not working memory. A heap that glibc gives to a
/// thread grows up to this size. The main heap is populated whatever its size.
const MAPPING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Libraries that only draw. The audio thread never runs them, and the compiler of a renderer alone has over 100 MiB.
const DRAWING: [&str; 9] = ["LLVM", "/dri/", "gallium", "libGL", "libEGL", "libX", "libxcb", "libwayland", "libz3"];

/// Pools of blocks that PulseAudio's library shares with its server. The audio thread writes into a block of 64 KiB, and a
/// block that is used for the first time costs a fault for each page.
const PULSE_POOLS: [&str; 2] = ["/memfd:pulseaudio", "/dev/shm/pulse-shm-"];

/// The part of such a pool that is populated. The library uses the first blocks first, and a stream has a few of them.
const PULSE_POOL_BYTES: usize = 4 * 1024 * 1024;

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

/// Brings every mapped page of code and private data into memory, so that running code for the first time takes no
/// fault. Skips pages that cannot be populated. Returns the number of bytes visited.
///
/// Call it when new memory exists, and before the audio thread uses that memory: before the device starts, before a pass,
/// before playback of other tracks, and before the audio thread gets a new device.
pub fn populate() -> u64 {
    if host::is_simulated() {
        return 0;
    }
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return 0 };
    maps.lines().filter_map(populate_line).sum()
}

/// Brings the pages of `bytes` bytes from address `start` into memory. Returns whether they are there now. `EINVAL`
/// counts as success: the kernel has nothing to populate there (for example DMA memory of a card, which is mapped
/// whole).
pub fn populate_range(start: usize, bytes: usize) -> bool {
    let first = start & !(PAGE_BYTES - 1);
    let length = (start + bytes).next_multiple_of(PAGE_BYTES) - first;
    [libc::MADV_POPULATE_WRITE, libc::MADV_POPULATE_READ].into_iter().any(|advice| {
        // SAFETY: populating changes no byte, whatever the pages are; the kernel refuses a range that is not mapped
        // with ENOMEM.
        let done = unsafe { libc::madvise(first as *mut libc::c_void, length, advice) };
        done == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
    })
}

fn populate_line(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let name = fields.nth(3).unwrap_or("");
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
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
    (done == 0).then_some(bytes as u64)
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
    use memmap2::MmapOptions;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

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
