//! Residency: compares the disk side's ledger of windows with the kernel's statements about their pages. Thread:
//! watcher takes samples; a front end shows them.
//!
//! ```text
//!   butler, committer, read-ahead --- Ledger ---> watcher <--- cachestat, pagemap --- kernel
//!                                                    |
//!                                 latest sample, 60 s of history ---> front end
//! ```
//!
//! The watcher runs only while a front end shows residency. [`state`] contains the rules and is pure; [`sampler`] asks
//! the kernel; [`story`] describes the history of a page in words; [`watch`] asks about files and processes of others.
#![forbid(unsafe_code)]

pub mod ledger;
pub mod window_events;
mod attribution;
pub mod faults;
pub mod state;
pub mod sample;
pub mod sampler;
pub mod history;
mod packed;
pub mod story;
pub mod watcher;
pub mod report;
pub mod watch;
