//! The kernel's side of real-time work: scheduling class, the guard against the limit of processor time, counters and
//! page faults of a thread, limits of the process, and the machine's events at tracepoints. Thread: audio once at its
//! start; control, watcher and faults for the rest.

pub mod counters;
pub mod cpu_limit;
pub mod page_faults;
pub mod process;
mod rtkit;
pub mod schedule;
pub mod tracepoint_format;
pub mod tracepoints;

pub use counters::{ThreadCounters, this_thread_id};
pub use schedule::{Scheduling, obtain};
