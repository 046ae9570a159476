//! The end of a simulated process: its files are unmapped and its descriptors closed, as the kernel does it. Thread: the one
//! of the run.

#![allow(unsafe_code, reason = "memory and descriptors of a process that has ended are released")]

use std::fs;
use std::path::Path;

/// Numbers of the open file descriptors of this process.
pub(crate) fn open_descriptors() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The folder of descriptors itself was open.
    let is_open = |number: &i32| Path::new(&format!("/proc/self/fd/{number}")).exists();
    numbers.into_iter().filter(is_open).collect()
}

/// Unmaps the files of a life, as the kernel does when a process ends. A mapping keeps the lock of its file.
pub(crate) fn unmap_files(folder: &Path) {
    let run = folder.parent().unwrap_or(folder).display().to_string();
    for line in fs::read_to_string("/proc/self/maps").unwrap_or_default().lines().filter(|line| line.contains(&run)) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text: &str| usize::from_str_radix(text, 16).ok();
        let Some((from, to)) = range.and_then(|(from, to)| Some((number(from)?, number(to)?))) else { continue };
        let Some(at) = std::ptr::NonNull::new(std::ptr::without_provenance_mut(from)) else { continue };
        // SAFETY: only threads of the life that has ended knew the mapping, and none of them runs again.
        unsafe { nix::sys::mman::munmap(at, to - from) }.ok();
    }
}

/// Closes the descriptors that a life has left, as the kernel does when a process ends. This releases its locks.
pub(crate) fn close_descriptors_except(own: &[i32]) {
    let end = own.iter().max().map_or(0, |last| last + 1);
    for number in (0..end).filter(|number| !own.contains(number)) {
        nix::unistd::close(number).ok();
    }
    // SAFETY: no code that knows one of these descriptors runs again.
    unsafe { nix::libc::syscall(nix::libc::SYS_close_range, end, u32::MAX, 0) };
}
