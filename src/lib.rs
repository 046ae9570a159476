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
//! | control | the session, the snapshot that a face draws | nothing |
//!
//! Modules stand in reading order.

pub mod device;
pub mod doctor;
pub mod engine;
pub mod format;
pub mod histogram;
pub mod limits;
pub mod message;
pub mod rt;
pub mod time;
pub mod window;
