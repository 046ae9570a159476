//! Faultless: a multitrack recorder whose audio thread takes no page fault.
//!
//! # Threads
//!
//! | thread | owns | may wait for |
//! |---|---|---|
//! | audio | the device, the engine, the windows it was handed | the sound card, nothing else |
//! | butler | supply and collection of capture windows | tmpfs (in `in-place`: the disk) |
//! | read-ahead | supply and collection of playback windows | disk reads |
//! | committer | open takes: data, headers, durability, reserve | disk writes |
//! | flight | `events.jsonl` | the disk |
//! | watcher | residency samples, only while something shows them | the kernel's page tables |
//! | peaks-build, -live, -read | waveforms and their caches | the disk |
//! | control | the session, the snapshot that a face draws | nothing |
//!
//! Modules stand in reading order.

pub mod limits;
pub mod time;
pub mod format;
pub mod histogram;
pub mod file_system;
pub mod wav;
pub mod session;
pub mod peaks;
pub mod rt;
pub mod window;
pub mod device;
pub mod mixer;
pub mod message;
pub mod residency;
pub mod engine;
pub mod butler;
pub mod recovery;
pub mod flight;
pub mod threads;
pub mod export;
pub mod control;
pub mod diagnostics;
pub mod app;
pub mod ui;
pub mod cli;
