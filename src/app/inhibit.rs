//! Keeps the computer awake while a pass runs. Thread: control owns [`Inhibitor`]; inhibit waits for the system's
//! answer.

use crate::control::Severity;
use crossbeam_channel::{Receiver, bounded};
use std::os::fd::OwnedFd;

/// The request to the system to stay awake, and the lock that it grants.
#[derive(Default)]
pub(super) struct Inhibitor {
    answer: Option<Receiver<Result<OwnedFd, String>>>,
    /// The system stays awake while this file descriptor is open.
    lock: Option<OwnedFd>,
    problem: Option<String>,
    reported: bool,
}

impl Inhibitor {
    /// Requests the lock, or releases it.
    pub(super) fn set_active(&mut self, on: bool) {
        if !on {
            self.answer = None;
            self.lock = None;
            return;
        }
        if let Some(answer) = self.answer.as_ref().and_then(|answer| answer.try_recv().ok()) {
            match answer {
                Ok(lock) => self.lock = Some(lock),
                Err(reason) => self.problem = Some(reason),
            }
        }
        if self.answer.is_none() {
            let (sender, answer) = bounded(1);
            // A thread of its own, because the bus may block.
            let thread = std::thread::Builder::new().name("inhibit".to_owned()).spawn(move || {
                sender.send(request_lock().map_err(|error| error.to_string())).ok();
            });
            if let Err(error) = thread {
                self.problem = Some(format!("inhibit thread: cannot be started: {error}"));
            }
            self.answer = Some(answer);
        }
    }

    /// The reason why the system refused. Only the first refusal is returned.
    pub(super) fn problem(&mut self) -> Option<(Severity, String)> {
        let reason = self.problem.take()?;
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        Some((Severity::Info, format!("sleep: it cannot be kept off ({reason}); see that the computer stays awake")))
    }
}

/// Calls `org.freedesktop.login1.Manager.Inhibit`. The system stays awake until the returned descriptor is closed.
fn request_lock() -> zbus::Result<OwnedFd> {
    let bus = zbus::blocking::Connection::system()?;
    let arguments = ("sleep:idle", "Faultless", "A recording is being made", "block");
    let path = "/org/freedesktop/login1";
    let reply = bus.call_method(
        Some("org.freedesktop.login1"),
        path,
        Some("org.freedesktop.login1.Manager"),
        "Inhibit",
        &arguments,
    )?;
    let lock: zbus::zvariant::OwnedFd = reply.body().deserialize()?;
    Ok(lock.into())
}
