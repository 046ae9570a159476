//! Requests the real-time class, or a nice value, from rtkit, the desktop service that grants them, over D-Bus. Thread: a
//! helper; the audio thread and the butler wait for it at their start, for a second at most.
//!
//! The interface is `org.freedesktop.RealtimeKit1` on the system bus (rtkit's README, `rtkit.h`):
//! `MakeThreadRealtime(u64 thread, u32 priority)`, `MakeThreadHighPriority(u64 thread, i32 nice)`, properties `MaxRealtimePriority` (i32) and
//! `RTTimeUSecMax` (i64). The thread gets `SCHED_RR` with reset on fork.

use super::cpu_limit;
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
    on_a_helper(patience, move || ask_realtime(tid, deadline))
}

/// Gives thread `tid` of this process the nice value `nice`. Returns whether rtkit granted it. Waits for `patience` at
/// most.
pub(super) fn make_high_priority(tid: i32, nice: i32, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let ask = move || {
        let bus = system_bus(deadline.saturating_duration_since(Instant::now()))?;
        bus.call_method(Some(NAME), PATH, Some(NAME), "MakeThreadHighPriority", &(tid as u64, nice))
            .map(|_| ())
            .map_err(|error| format!("rtkit refused: {}", error_text(&error)))
    };
    on_a_helper(patience, ask).is_ok()
}

/// Runs `ask` on a thread of its own and waits for `patience` for its answer.
fn on_a_helper<T: Send + 'static>(
    patience: Duration,
    ask: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (answer, answered) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("rtkit".to_owned())
        .spawn(move || {
            // Nobody receives an answer that comes too late.
            answer.send(ask()).ok();
        })
        .map_err(|error| format!("no thread to ask rtkit with: {error}"))?;
    answered
        .recv_timeout(patience)
        .unwrap_or_else(|_| Err(format!("rtkit did not answer within {} ms", patience.as_millis())))
}

fn system_bus(patience: Duration) -> Result<Connection, String> {
    zbus::blocking::connection::Builder::system()
        .and_then(|builder| builder.method_timeout(patience).build())
        .map_err(|error| format!("no system bus to ask rtkit on: {}", error_text(&error)))
}

fn ask_realtime(tid: i32, deadline: Instant) -> Result<u8, String> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let bus = system_bus(left())?;
    let most_us = property(&bus, "RTTimeUSecMax")?;
    let most_us = u64::try_from(most_us).map_err(|_| format!("rtkit allows {most_us} us"))?;
    let most_priority = property(&bus, "MaxRealtimePriority")?;
    let priority = PRIORITY.min(u32::try_from(most_priority).unwrap_or(0));
    if priority == 0 {
        return Err("rtkit is configured to grant no real-time priority".to_owned());
    }
    // rtkit requires a low hard limit. A lowered limit cannot be raised again, so lower it only after rtkit has
    // answered.
    cpu_limit::arm(Some(most_us)).map_err(|error| format!("cannot lower RLIMIT_RTTIME to {most_us} us: {error}"))?;
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
