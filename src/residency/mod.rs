//! Residency: what the disk side believes of its windows against what the kernel says of their pages. Thread: watcher,
//! and whoever shows it.
//!
//! ```text
//!   butler, committer, read-ahead --- Beliefs ---> watcher <--- cachestat, pagemap --- kernel
//!                                                     |
//!                                  latest sample, 60 s of history ---> a face
//! ```
//!
//! The watcher runs only while something shows it. [`state`] has the rules and is pure; [`sampler`] asks the kernel;
//! [`story`] says in words what a page went through.
#![forbid(unsafe_code)]

pub mod ledger;
pub mod state;
pub mod sample;
pub mod sampler;
pub mod history;
pub mod story;
pub mod watcher;
pub mod report;
