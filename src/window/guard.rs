//! The SIGBUS handler for mapped files that another process cuts short: the missing page becomes memory of zeros, the mapping
//! is marked, the program continues. What is stored to that memory is in no file. Thread: any (the handler runs on the thread
//! that accessed the page).
#![expect(unsafe_code, reason = "a signal handler")]

use crate::limits::{GUARDED_MAPPINGS_MAX, PAGE_BYTES};
use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A mapping that the handler knows. `start == 0`: the slot is free.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    is_writable: AtomicBool,
    hit: AtomicBool,
}

static SLOTS: [Slot; GUARDED_MAPPINGS_MAX] = [const {
    Slot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        is_writable: AtomicBool::new(false),
        hit: AtomicBool::new(false),
    }
}; GUARDED_MAPPINGS_MAX];

/// Index at which the next search for a free slot begins.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// End of the slots that were ever used. The handler searches no further.
static USED: AtomicUsize = AtomicUsize::new(0);
static INSTALLED: Once = Once::new();

/// A registration with the SIGBUS handler. Dropping it ends the registration.
#[derive(Debug)]
pub struct Guard {
    slot: usize,
}

/// Value of `start` while a slot is being filled in.
const CLAIMED: usize = 1;

impl Guard {
    /// Registers `bytes` bytes from address `start`. `None`: [`GUARDED_MAPPINGS_MAX`] mappings are registered.
    pub fn new(start: usize, bytes: usize, is_writable: bool) -> Option<Guard> {
        INSTALLED.call_once(install);
        let from = NEXT.fetch_add(1, Ordering::Relaxed);
        (0..GUARDED_MAPPINGS_MAX).map(|step| (from + step) % GUARDED_MAPPINGS_MAX).find_map(|slot| {
            let cell = &SLOTS[slot];
            cell.start.compare_exchange(0, CLAIMED, Ordering::Acquire, Ordering::Relaxed).ok()?;
            cell.hit.store(false, Ordering::Relaxed);
            cell.end.store(start + bytes, Ordering::Relaxed);
            cell.is_writable.store(is_writable, Ordering::Relaxed);
            USED.fetch_max(slot + 1, Ordering::Relaxed);
            // Release: a thread that sees this start also sees the end that belongs to it.
            cell.start.store(start, Ordering::Release);
            Some(Guard { slot })
        })
    }

    /// Whether an accessed page of the mapping was missing.
    pub fn was_hit(&self) -> bool {
        SLOTS[self.slot].hit.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        SLOTS[self.slot].start.store(0, Ordering::Release);
    }
}

fn install() {
    // SAFETY: `on_sigbus` does only what a signal handler may: atomics, mmap, and putting the old action back.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &raw const action, null_mut());
    }
}

extern "C" fn on_sigbus(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: for SIGBUS the kernel fills si_addr.
    let address = unsafe { (*info).si_addr() } as usize;
    let slots = SLOTS.iter().take(USED.load(Ordering::Relaxed));
    let hit = slots.into_iter().find(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let inside = start > CLAIMED && start <= address && address < slot.end.load(Ordering::Acquire);
        // Another mapping may have taken the slot between the two loads. Its start differs then.
        inside && slot.start.load(Ordering::Relaxed) == start
    });
    if let Some(slot) = hit {
        slot.hit.store(true, Ordering::Relaxed);
        let page = address & !(PAGE_BYTES - 1);
        let write = if slot.is_writable.load(Ordering::Relaxed) { libc::PROT_WRITE } else { 0 };
        // SAFETY: the page lies in one of the registered mappings, which are mapped. Replacing it by a page of zeros
        // takes nothing from anyone else.
        let done = unsafe {
            libc::mmap(
                page as *mut libc::c_void,
                PAGE_BYTES,
                libc::PROT_READ | write,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if done != libc::MAP_FAILED {
            return;
        }
    }
    // Not ours: let the access happen again and end the process as it would have.
    // SAFETY: puts the default action back.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(libc::SIGBUS, &raw const action, null_mut());
    }
}
