//! A device that is gone is looked for until it is back. Thread: comeback, and control asks.

use crate::device::{self, Device, DeviceSpec};
use crossbeam_channel::{Receiver, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(700);

/// Looks from a thread of its own, since a driver may make it wait; dropped, it ends at its next look.
pub(super) struct Comeback {
    found: Receiver<(Box<dyn Device>, Instant)>,
    given_up: Arc<AtomicBool>,
}

impl Comeback {
    /// Begins to look. `None` if the system gives no thread.
    pub(super) fn start(spec: DeviceSpec) -> Option<Comeback> {
        let (tell, found) = bounded(1);
        let given_up = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&given_up);
        let looking = std::thread::Builder::new().name("comeback".to_owned()).spawn(move || {
            while !over.load(Relaxed) {
                std::thread::sleep(LOOK);
                let Ok(mut device) = device::open(&spec) else { continue };
                let started = Instant::now();
                if device.start().is_ok() {
                    tell.send((device, started)).ok();
                    return;
                }
            }
        });
        looking.ok().map(|_| Comeback { found, given_up })
    }

    /// The device, running, and when it was started; once it is back.
    pub(super) fn found(&self) -> Option<(Box<dyn Device>, Instant)> {
        self.found.try_recv().ok()
    }
}

impl Drop for Comeback {
    fn drop(&mut self) {
        self.given_up.store(true, Relaxed);
    }
}
