//! The machine under the program: clock, threads, waits, disk calls. Thread: any; the module owns nothing.
//!
//! Control, the disk threads, the session savers and recovery use the machine only through this module. Normally each
//! function is the system's own. A simulator installs a [`Host`] for one OS thread. On that thread the whole recorder then
//! runs in simulated time: the host decides which of the program's threads runs, and whether a disk call succeeds.
//!
//! The audio thread uses the clock and the sleep of the loop `engine::drive`, and nothing else here. Without a host, that
//! costs one read of a thread-local flag.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod batch;
mod channel;
pub mod disk;
#[cfg(test)]
pub(crate) mod refusing;
#[cfg(test)]
mod tests;
mod thread;

pub use channel::{bounded, receive, receive_timeout, send};
pub use thread::{HostThread, Thread, spawn};

use disk::{DiskCall, Outcome, Proceed};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A simulated machine. Every function is called on the OS thread for which [`install`] was called.
///
/// A process that the simulator has killed may still run destructors. For such a process `sleep` and `pause` return at
/// once, `pause` and `join` say so, every thread is finished, and `before` refuses every call.
pub trait Host {
    /// Simulated time since the machine was started. It never decreases.
    fn time(&self) -> Duration;

    /// The wall clock.
    fn wall_clock(&self) -> Timestamp;

    /// 128 random bits.
    fn random(&self) -> u128;

    /// Suspends the calling thread for `time`.
    fn sleep(&self, time: Duration);

    /// Suspends the calling thread until another thread may have changed something, at most until `until`, a moment of
    /// [`time`](Host::time). `found_nothing`: since its last pause the thread has only checked its condition, and must continue
    /// to wait. Returns `false` if the process was killed: the thread must end.
    fn pause(&self, until: Option<Duration>, found_nothing: bool) -> bool;

    /// Starts a thread of the process that the calling thread belongs to.
    fn spawn(
        &self,
        name: &'static str,
        stack_bytes: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> io::Result<Box<dyn HostThread>>;

    /// Called before a disk call. Decides what becomes of the call; may suspend.
    fn before(&self, call: &DiskCall<'_>) -> Proceed;

    /// Called after a disk call that [`before`](Host::before) let go on. May suspend.
    fn after(&self, call: &DiskCall<'_>, outcome: Outcome<'_>);

    /// Called in place of [`before`](Host::before) and [`after`](Host::after) for calls that the system gets at once: writes
    /// and syncs. Calls `carry_out` once for each, in any order, with its place in `calls` and the decision about it, and
    /// gets the result. May suspend before each. Returns when all have ended.
    fn batch(&self, calls: &[DiskCall<'_>], carry_out: &mut dyn FnMut(usize, Proceed) -> Result<usize, Errno>);

    /// Bytes that can still be written on the file system of `path`; `None`: the file system does not say. May suspend.
    fn free_bytes(&self, path: &Path) -> Option<u64>;

    /// Folders in memory in which spool folders are looked for. They exist.
    fn memory_folders(&self) -> Vec<PathBuf>;

    /// Identity of the present run of the machine; another one after a restart.
    fn boot(&self) -> String;
}

thread_local! {
    // A flag of its own: unlike the host it has no destructor, so the audio thread may read it.
    static IS_SIMULATED: Cell<bool> = const { Cell::new(false) };
    static HOST: RefCell<Option<(Rc<dyn Host>, Instant)>> = const { RefCell::new(None) };
}

/// While this exists, the machine of the OS thread that made it is simulated.
#[must_use]
pub struct Installed(PhantomData<Rc<()>>);

/// Simulates the machine for the calling OS thread, until the result is dropped.
pub fn install(host: Rc<dyn Host>) -> Installed {
    HOST.set(Some((host, Instant::now())));
    IS_SIMULATED.set(true);
    Installed(PhantomData)
}

impl Drop for Installed {
    fn drop(&mut self) {
        IS_SIMULATED.set(false);
        HOST.set(None);
    }
}

/// Whether the machine of the calling OS thread is simulated. This is realtime-safe.
pub fn is_simulated() -> bool {
    IS_SIMULATED.get()
}

/// The simulated machine, and the moment that stands for its time 0. `None`: the machine is real.
fn simulated() -> Option<(Rc<dyn Host>, Instant)> {
    if is_simulated() { HOST.with_borrow(Clone::clone) } else { None }
}

fn host() -> Option<Rc<dyn Host>> {
    simulated().map(|(host, _)| host)
}

/// The present moment. This is realtime-safe.
pub fn now() -> Instant {
    simulated().map_or_else(Instant::now, |(host, start)| start + host.time())
}

/// The time since a moment of [`now`]. This is realtime-safe.
pub fn elapsed(since: Instant) -> Duration {
    now().saturating_duration_since(since)
}

/// Time by the monotonic clock. Unlike the wall clock it never jumps, and it stops while the machine is suspended: a
/// take does not grow over night under a closed lid. This is realtime-safe.
pub fn monotonic() -> Duration {
    let real = || clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    host().map_or_else(real, |host| host.time())
}

/// The wall clock.
pub fn timestamp() -> Timestamp {
    host().map_or_else(Timestamp::now, |host| host.wall_clock())
}

/// The wall clock in the time zone of the user.
pub fn zoned() -> Zoned {
    host().map_or_else(Zoned::now, |host| host.wall_clock().to_zoned(TimeZone::UTC))
}

/// A new random identity.
pub fn new_uuid() -> Uuid {
    let simulated = |host: Rc<dyn Host>| uuid::Builder::from_random_bytes(host.random().to_le_bytes()).into_uuid();
    host().map_or_else(Uuid::new_v4, simulated)
}

/// Suspends the calling thread for `time`.
pub fn sleep(time: Duration) {
    match host() {
        None => std::thread::sleep(time),
        Some(host) => host.sleep(time),
    }
}

/// Bytes that can still be written on a file system of a simulated machine. `None`: the machine is real.
pub fn free_bytes(path: &Path) -> Option<Option<u64>> {
    host().map(|host| host.free_bytes(path))
}

/// The folders in memory of a simulated machine. `None`: the machine is real.
pub fn memory_folders() -> Option<Vec<PathBuf>> {
    host().map(|host| host.memory_folders())
}

/// The identity of the present run of a simulated machine. `None`: the machine is real.
pub fn boot() -> Option<String> {
    host().map(|host| host.boot())
}
