//! Ends things whose end may wait: joins threads, closes devices, saves caches. Thread: any but audio hands them over;
//! reaper ends them, one thread for each.
//!
//! Control and the front end may not wait for a disk or a driver. Each hands over what it no longer needs and goes on.
//! Each thing has a thread of its own, because a disk that hangs must not hold up the end of the others. So there is no
//! queue that could be full.

use crate::host;
use crate::lock::lock;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Stack of a reaper thread in bytes. Closing a device runs code of its driver's library.
const STACK_BYTES: usize = 512 * 1024;

/// The end of a thing on its own thread. Dropping this does not wait.
#[derive(Debug)]
pub struct Ending(Receiver<Infallible>);

/// Does `work`, which ends something, on a thread of its own. Returns at once. If the system gives no thread, `work` is
/// never done, and what it owns stays as it is until the program ends.
pub fn end(work: impl FnOnce() + Send + 'static) -> Ending {
    let (over, ended) = bounded::<Infallible>(0);
    let kept = Arc::new(Mutex::new(Some(work)));
    let shared = Arc::clone(&kept);
    let spawned = host::spawn("reaper", STACK_BYTES, move || {
        let _over = over;
        let work = lock(&shared).take();
        if let Some(work) = work {
            work();
        }
    });
    if spawned.is_err() {
        // Dropping the work here would do on this thread what must not be done on it.
        std::mem::forget(kept);
    }
    Ending(ended)
}

impl Ending {
    /// Whether the thing has ended, or never will.
    pub fn is_over(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits until the thing has ended, at most for `limit`. Returns whether it has ended.
    pub fn wait(&self, limit: Duration) -> bool {
        host::receive_timeout(&self.0, limit) == Err(RecvTimeoutError::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_whose_end_hangs_holds_up_neither_its_owner_nor_another_end() {
        let (thaw, frozen) = bounded::<()>(0);
        let began = std::time::Instant::now();
        let hangs = end(move || {
            frozen.recv().ok();
        });
        let quick = end(|| ());
        assert!(began.elapsed() < Duration::from_secs(2), "the owner does not wait");
        assert!(quick.wait(Duration::from_secs(20)) && !hangs.is_over());
        drop(thaw);
        assert!(hangs.wait(Duration::from_secs(20)));
    }
}
