//! What the kernel grants the audio thread and what it took from it: scheduling class, overrun guard,
//! counters, limits of the process. Thread: audio once at its start, control and watcher for the rest.

pub mod counters;
pub mod overrun;
pub mod process;
mod rtkit;
pub mod schedule;

pub use counters::{ThreadCounters, this_thread_id};
pub use schedule::{Scheduling, obtain};
