//! The kernel's limit on locked memory, the bytes that it counts as locked, and how much the program locks by itself.
//! Thread: any but audio.

use crate::limits;
use nix::sys::resource::{Resource, getrlimit};

/// The kernel's limit on the memory that this process may lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockLimit {
    /// `CAP_IPC_LOCK` or an infinite `RLIMIT_MEMLOCK`.
    Unlimited,
    /// Bytes of `RLIMIT_MEMLOCK`.
    Bytes(u64),
}

/// Reads the limit. `CAP_IPC_LOCK` is bit 14 of `CapEff` in `/proc/self/status`.
pub fn lock_limit() -> LockLimit {
    let capable = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    if capable.is_some_and(|mask| mask & (1 << 14) != 0) {
        return LockLimit::Unlimited;
    }
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, _)) if soft == nix::libc::RLIM_INFINITY => LockLimit::Unlimited,
        Ok((soft, _)) => LockLimit::Bytes(soft),
        Err(_) => LockLimit::Bytes(0),
    }
}

/// Bytes of memory that the program locks if the user names no amount and the system allows it. `memory`: bytes of the
/// machine, or of the control group. Only what is needed is locked: the windows of 24 tracks take 15 MiB, whatever this
/// limit is.
pub fn default_lock_bytes(memory: u64) -> u64 {
    let small = limits::LOCKED_BYTES_WANTED.min(memory / limits::LOCKED_SMALL_RAM_DIVISOR);
    small.max(memory / limits::LOCKED_RAM_DIVISOR)
}

/// Bytes of locked memory as the kernel counts them (`VmLck`).
pub fn locked_bytes_now() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let kib = status.lines().find_map(|line| line.strip_prefix("VmLck:"))?;
            kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_of_the_memory_is_locked_and_a_quarter_of_a_small_one() {
        const GIB: u64 = 1 << 30;
        assert_eq!(default_lock_bytes(16 * GIB), 2 * GIB);
        assert_eq!(default_lock_bytes(2 * GIB), limits::LOCKED_BYTES_WANTED);
        assert_eq!(default_lock_bytes(GIB), GIB / 4);
        assert_eq!(default_lock_bytes(0), 0);
    }
}
