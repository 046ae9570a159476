//! Sound at the inputs, looked for a few times a second, so that an idle front end wakes when somebody plays. Thread:
//! input-watch reads the meters; control asks.

use super::Wake;
use crate::message::Motion;
use crate::message::published::Published;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const READ_INTERVAL: Duration = Duration::from_millis(150);

/// RMS above which an input counts as sounding; full scale is 1.0. Below it a meter shows nothing.
const AUDIBLE_RMS: f32 = 1e-3;

/// Control's side of the thread.
pub(super) struct InputWatch {
    engines: Sender<Option<Arc<Published>>>,
    is_audible: Arc<AtomicBool>,
}

impl InputWatch {
    /// Starts the thread. It waits until [`InputWatch::watch`] gives it an engine's meters.
    pub(super) fn start(wake: Wake) -> InputWatch {
        let (engines, received) = bounded(8);
        let is_audible = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&is_audible);
        let thread =
            std::thread::Builder::new().name("input-watch".to_owned()).spawn(move || run(&received, &shared, &wake));
        // Without the thread an idle front end draws when the user touches it.
        drop(thread);
        InputWatch { engines, is_audible }
    }

    /// Watches the meters of this engine from now on.
    pub(super) fn watch(&self, published: Option<Arc<Published>>) {
        self.is_audible.store(false, Relaxed);
        self.engines.try_send(published).ok();
    }

    /// Whether an input sounded at the last reading.
    pub(super) fn is_audible(&self) -> bool {
        self.is_audible.load(Relaxed)
    }
}

fn run(engines: &Receiver<Option<Arc<Published>>>, is_audible: &AtomicBool, wake: &Wake) {
    let mut watched: Option<Arc<Published>> = None;
    loop {
        let next = match &watched {
            Some(_) => match engines.try_recv() {
                Ok(next) => Some(next),
                Err(crossbeam_channel::TryRecvError::Empty) => None,
                Err(crossbeam_channel::TryRecvError::Disconnected) => return,
            },
            None => match engines.recv() {
                Ok(next) => Some(next),
                Err(_) => return,
            },
        };
        if let Some(next) = next {
            watched = next;
        }
        if let Some(published) = &watched {
            let loud = published.inputs.iter().any(|cell| cell.rms() > AUDIBLE_RMS);
            let moves = loud || published.motion() != Motion::Stopped;
            if moves && !is_audible.swap(loud, Relaxed) {
                wake();
            }
            if !loud {
                is_audible.store(false, Relaxed);
            }
            std::thread::sleep(READ_INTERVAL);
        }
    }
}
