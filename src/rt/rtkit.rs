//! Requests the real-time class from rtkit, the desktop service that grants it, over D-Bus. Thread: a helper; the audio
//! thread waits for it at its start, for a second at most.
//!
//! The interface is `org.freedesktop.RealtimeKit1` on the system bus (rtkit's README, `rtkit.h`):
//! `MakeThreadRealtime(u64 thread, u32 priority)`, properties `MaxRealtimePriority` (i32) and
//! `RTTimeUSecMax` (i64). The thread gets `SCHED_RR` with reset on fork.

use super::overrun;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use zbus::blocking::Connection;
use zbus::zvariant::OwnedValue;

const NAME: &str = "org.freedesktop.RealtimeKit1";
const PATH: &str = "/org/freedesktop/RealtimeKit1";

/// The requested priority: the highest that rtkit allows by default.
const PRIORITY: u32 = 20;

/// Makes thread `tid` of this process real-time and returns its priority, or a sentence with the reason why not.
///
/// Waits for `patience` at most. If the bus hangs longer, the helper thread stays behind.
pub(super) fn make_realtime(tid: i32, patience: Duration) -> Result<u8, String> {
    let deadline = Instant::now() + patience;
    let (answer, answered) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("rtkit".to_owned())
        .spawn(move || {
            // Nobody receives an answer that comes too late.
            answer.send(ask(tid, deadline)).ok();
        })
        .map_err(|error| format!("no thread to ask rtkit with: {error}"))?;
    answered
        .recv_timeout(patience)
        .unwrap_or_else(|_| Err(format!("rtkit did not answer within {} ms", patience.as_millis())))
}

fn ask(tid: i32, deadline: Instant) -> Result<u8, String> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let bus = zbus::blocking::connection::Builder::system()
        .and_then(|builder| builder.method_timeout(left()).build())
        .map_err(|error| format!("no system bus to ask rtkit on: {}", error_text(&error)))?;
    let most_us = property(&bus, "RTTimeUSecMax")?;
    let most_us = u64::try_from(most_us).map_err(|_| format!("rtkit allows {most_us} us"))?;
    let most_priority = property(&bus, "MaxRealtimePriority")?;
    let priority = PRIORITY.min(u32::try_from(most_priority).unwrap_or(0));
    if priority == 0 {
        return Err("rtkit is configured to grant no real-time priority".to_owned());
    }
    // rtkit requires a low hard limit. A lowered limit cannot be raised again, so lower it only after rtkit has
    // answered.
    overrun::arm(Some(most_us)).map_err(|error| format!("cannot lower RLIMIT_RTTIME to {most_us} us: {error}"))?;
    if left().is_zero() {
        return Err("rtkit answered too slowly".to_owned());
    }
    bus.call_method(Some(NAME), PATH, Some(NAME), "MakeThreadRealtime", &(tid as u64, priority))
        .map_err(|error| format!("rtkit refused: {}", error_text(&error)))?;
    Ok(priority as u8)
}

/// An integer property of rtkit. The two properties have different widths.
fn property(bus: &Connection, name: &str) -> Result<i64, String> {
    let reply = bus
        .call_method(Some(NAME), PATH, Some("org.freedesktop.DBus.Properties"), "Get", &(NAME, name))
        .map_err(|error| format!("rtkit is not there: {}", error_text(&error)))?;
    let value: OwnedValue =
        reply.body().deserialize().map_err(|error| format!("rtkit's {name} is no value: {error}"))?;
    i64::try_from(&value)
        .or_else(|_| i32::try_from(&value).map(i64::from))
        .map_err(|error| format!("rtkit's {name} is no number: {error}"))
}

/// The text of an error, without the D-Bus message around it.
fn error_text(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(name, detail, _) => match detail {
            // A bus that refuses appends sender, destination and interface after semicolons.
            Some(detail) if !detail.is_empty() => detail.split("; ").next().unwrap_or(detail).to_owned(),
            _ => name.to_string(),
        },
        other => other.to_string(),
    }
}
