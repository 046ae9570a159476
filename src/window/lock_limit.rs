//! The kernel's limit on locked memory, and the bytes that it counts as locked. Thread: any but audio.

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
