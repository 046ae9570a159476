//! Whether anything is heard at the inputs: looked at now and then, so that a window that rests is woken when somebody
//! plays. Thread: lookout, and control asks.

use super::Wake;
use crate::message::Motion;
use crate::message::published::Published;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(150);

/// Full scale 1.0; below it a meter shows nothing.
const HEARD: f32 = 1e-3;

/// See the module.
pub(super) struct InputWatch {
    told: Sender<Option<Arc<Published>>>,
    hears: Arc<AtomicBool>,
}

impl InputWatch {
    /// Begins to look, at nothing.
    pub(super) fn start(wake: Wake) -> InputWatch {
        let (told, heard) = bounded(8);
        let hears = Arc::new(AtomicBool::new(false));
        let hears_here = Arc::clone(&hears);
        let looking =
            std::thread::Builder::new().name("lookout".to_owned()).spawn(move || look(&heard, &hears_here, &wake));
        // Without it the window draws when it is touched.
        drop(looking);
        InputWatch { told, hears }
    }

    /// What to look at from now on.
    pub(super) fn look_at(&self, published: Option<Arc<Published>>) {
        self.hears.store(false, Relaxed);
        self.told.try_send(published).ok();
    }

    /// Whether something was heard at the last look.
    pub(super) fn hears(&self) -> bool {
        self.hears.load(Relaxed)
    }
}

fn look(told: &Receiver<Option<Arc<Published>>>, hears: &AtomicBool, wake: &Wake) {
    let mut at: Option<Arc<Published>> = None;
    loop {
        let next = match &at {
            Some(_) => match told.try_recv() {
                Ok(next) => Some(next),
                Err(crossbeam_channel::TryRecvError::Empty) => None,
                Err(crossbeam_channel::TryRecvError::Disconnected) => return,
            },
            None => match told.recv() {
                Ok(next) => Some(next),
                Err(_) => return,
            },
        };
        if let Some(next) = next {
            at = next;
        }
        if let Some(published) = &at {
            let loud = published.inputs.iter().any(|cell| cell.rms() > HEARD);
            let moves = loud || published.motion() != Motion::Stopped;
            if moves && !hears.swap(loud, Relaxed) {
                wake();
            }
            if !loud {
                hears.store(false, Relaxed);
            }
            std::thread::sleep(LOOK);
        }
    }
}
