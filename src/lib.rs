//! Faultless: a multitrack recorder whose audio thread takes no page fault.
//!
//! # Threads
//!
//! | thread | owns | may wait for |
//! |---|---|---|
//! | audio | the device, the engine, the windows it was handed | the sound card, nothing else |
//! | butler | supply and collection of capture windows | tmpfs (in `direct`: the disk) |
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
pub mod ground;
pub mod wav;
pub mod session;
pub mod peaks;
pub mod rt;
pub mod device;
pub mod window;
pub mod message;
pub mod engine;
pub mod butler;
pub mod recovery;
pub mod heard;
pub mod flight;
pub mod run;
pub mod watch;
pub mod control;
pub mod export;
pub mod bench;
pub mod lab;
pub mod doctor;
pub mod studio;
pub mod ui;
pub mod cli;
