//! Keeps the computer awake while a pass runs. Thread: control owns [`Inhibitor`]; inhibit waits for the system's
//! answer.

use crate::limits::SPARE_FILES;
use crate::rt::process;
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
    /// Whether the request is only a trial, and no pass runs.
    is_trial: bool,
}

impl Inhibitor {
    /// Asks the system once whether it grants the lock, so that a refusal is known before the first recording.
    pub(super) fn try_once(&mut self) {
        self.is_trial = !self.reported;
    }

    /// Requests the lock, or releases it.
    pub(super) fn set_active(&mut self, on: bool) {
        if !on && !self.is_trial {
            self.answer = None;
            self.lock = None;
            return;
        }
        if let Some(answer) = self.answer.as_ref().and_then(|answer| answer.try_recv().ok()) {
            self.is_trial = false;
            match answer {
                Ok(lock) => self.lock = Some(lock),
                Err(reason) => self.problem = Some(reason),
            }
        }
        if self.answer.is_none() {
            let (sender, answer) = bounded(1);
            // A thread of its own, because the bus may block.
            let thread = std::thread::Builder::new().name("inhibit".to_owned()).spawn(move || {
                // The library of the bus panics if the system gives no file to its thread.
                let answer = match process::open_files_check(SPARE_FILES) {
                    Ok(()) => request_lock().map_err(|error| short(&error.to_string())),
                    Err(limit) => Err(format!("only {limit} files may be open, see ulimit -n")),
                };
                sender.send(answer).ok();
            });
            if let Err(error) = thread {
                self.problem = Some(format!("inhibit thread: cannot be started: {error}"));
            }
            self.answer = Some(answer);
        }
    }

    /// The reason why the system refused. Only the first refusal is returned.
    pub(super) fn problem(&mut self) -> Option<String> {
        let reason = self.problem.take()?;
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        Some(format!(
            "sleep: Faultless cannot keep the computer awake ({reason}); switch sleep off in the settings of the system"
        ))
    }
}

/// An error of the bus in few words.
fn short(error: &str) -> String {
    let error = error.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let text = if is(&["too many open files"]) {
        "too many files are open, see ulimit -n"
    } else if is(&["connect", "address", "no such file"]) {
        "there is no system bus"
    } else if is(&["serviceunknown", "not provided", "not activatable", "namehasnoowner"]) {
        "there is no login service"
    } else if is(&["denied", "permission", "interactive"]) {
        "this user may not"
    } else {
        "the login service refuses"
    };
    text.to_owned()
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
