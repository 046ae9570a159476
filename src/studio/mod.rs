//! What the window stands on: a session, a device and everything beside them, opened, changed and closed while the
//! window goes on drawing. Thread: control.

pub mod command;
pub mod jobs;
pub mod settings;
pub mod snapshot;
