//! A notification of the desktop. Thread: a thread of its own for each, because the bus may not answer.

use crate::reaper;
use std::collections::HashMap;
use zbus::zvariant::Value;

/// Shows a notification where the desktop has a service for them. Does not wait. A failure has no effect, because the
/// terminal and the events say the same.
pub(super) fn show(summary: &str, body: &str) {
    let (summary, body) = (summary.to_owned(), body.to_owned());
    reaper::end(move || {
        notify(&summary, &body).ok();
    });
}

fn notify(summary: &str, body: &str) -> zbus::Result<()> {
    let bus = zbus::blocking::Connection::session()?;
    let actions: &[&str] = &[];
    let hints: HashMap<&str, Value<'_>> = HashMap::from([("urgency", Value::U8(2))]);
    // The server's own time: -1.
    let arguments = ("Faultless", 0_u32, "faultless", summary, body, actions, hints, -1_i32);
    bus.call_method(
        Some("org.freedesktop.Notifications"),
        "/org/freedesktop/Notifications",
        Some("org.freedesktop.Notifications"),
        "Notify",
        &arguments,
    )?;
    Ok(())
}
