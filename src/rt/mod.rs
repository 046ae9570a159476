//! The kernel's side of real-time work: scheduling class, overrun guard, counters and page faults of a thread, limits of
//! the process. Thread: audio once at its start; control, watcher and faults for the rest.

pub mod counters;
pub mod overrun;
pub mod page_faults;
pub mod process;
mod rtkit;
pub mod schedule;

pub use counters::{ThreadCounters, this_thread_id};
pub use schedule::{Scheduling, obtain};
