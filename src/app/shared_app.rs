//! The app as the front end and the thread for signals share it. Thread: ui, and signals while the app closes.
//!
//! A window draws nothing while its screen is locked, while another window covers it on Wayland, or when the display
//! server hangs; its thread may then wait inside the graphics driver. A signal must end the program all the same, so
//! the thread for signals drives the app to its end by itself. The front end holds the lock only while it uses the app,
//! never while it waits for the screen.

use super::{App, Options};
use crate::lock::lock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Pause between two polls while the app closes.
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// A handle of an app. Clones share the app.
#[derive(Clone)]
pub struct SharedApp(Arc<Mutex<App>>);

impl SharedApp {
    /// Starts an app, see [`App::start`].
    pub fn start(options: Options) -> SharedApp {
        SharedApp(Arc::new(Mutex::new(App::start(options))))
    }

    /// The app, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, App> {
        lock(&self.0)
    }

    /// Closes the app in order: ends a recording, saves the session, joins the threads. Returns whether everything is
    /// on the disk; `false` if that takes longer than `limit`. It waits, also for the front end's lock.
    pub fn close_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let app = match self.0.try_lock() {
                Ok(app) => Some(app),
                Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(mut app) = app {
                app.shutdown();
                app.poll();
                if app.is_closed() {
                    return true;
                }
            }
            if deadline < Instant::now() {
                return false;
            }
            std::thread::sleep(POLL_PAUSE);
        }
    }
}
