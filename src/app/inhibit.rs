//! Keeps the computer from falling asleep while a pass is on. Thread: inhibit, and control asks.

use crate::control::Severity;
use crossbeam_channel::{Receiver, bounded};
use std::os::fd::OwnedFd;

/// Holds the system's word while there is a reason to.
#[derive(Default)]
pub(super) struct Inhibitor {
    held: Option<Receiver<Result<OwnedFd, String>>>,
    /// Sleep is off as long as this is open.
    lock: Option<OwnedFd>,
    problem: Option<String>,
    told: bool,
}

impl Inhibitor {
    /// Asks for it, or gives it back.
    pub(super) fn hold(&mut self, on: bool) {
        if !on {
            self.held = None;
            self.lock = None;
            return;
        }
        if let Some(answer) = self.held.as_ref().and_then(|held| held.try_recv().ok()) {
            match answer {
                Ok(lock) => self.lock = Some(lock),
                Err(reason) => self.problem = Some(reason),
            }
        }
        if self.held.is_none() {
            let (tell, held) = bounded(1);
            // The bus may let it wait.
            let asking = std::thread::Builder::new().name("inhibit".to_owned()).spawn(move || {
                tell.send(ask().map_err(|error| error.to_string())).ok();
            });
            drop(asking);
            self.held = Some(held);
        }
    }

    /// Why it could not be had; told once.
    pub(super) fn problem(&mut self) -> Option<(Severity, String)> {
        let reason = self.problem.take()?;
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some((Severity::Info, format!("sleep: it cannot be kept off ({reason}); see that the computer stays awake")))
    }
}

/// `org.freedesktop.login1.Manager.Inhibit`: sleep is off until what comes back is closed.
fn ask() -> zbus::Result<OwnedFd> {
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
