//! Residency: compares the disk side's ledger of windows with the kernel's statements about their pages. Thread:
//! watcher takes samples; a front end shows them.
//!
//! ```text
//!   butler, committer, read-ahead --- Ledger ---> watcher <--- cachestat, pagemap --- kernel
//!                                                    |
//!                                 latest sample, 60 s of history ---> front end
//! ```
//!
//! The watcher takes samples while a front end shows residency, and twice a second while something rolls. It takes
//! figures ([`rates`]) and the work of others ([`disk_work`]) as long as a session is open. [`state`] contains the rules
//! and is pure; [`sampler`] asks the kernel; [`story`] describes the history of a page in words; [`watch`] asks about
//! files and processes of others.
#![forbid(unsafe_code)]

pub mod ledger;
pub mod window_events;
mod attribution;
pub mod faults;
pub mod disk_work;
pub mod disk_work_reader;
pub mod state;
pub mod sample;
pub mod sampler;
pub mod history;
mod packed;
mod scan;
mod kernel_counters;
pub mod lanes;
pub mod picture;
pub mod pool;
pub mod rates;
pub mod story;
pub mod watcher;
pub use kernel_counters::KernelDeltas;
pub mod report;
pub mod watch;
