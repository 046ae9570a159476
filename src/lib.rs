//! Faultless: a multitrack recorder whose audio thread takes no page fault.
//!
//! # Threads
//!
//! The audio thread fills and reads windows and waits for the sound card ([`engine::drive`] lists the exceptions); with
//! `--capture-path in-place` a disk can delay it too. The butler supplies and collects the windows of recording tracks, the read-ahead those of
//! playing tracks; the committer and the mirror's committer write takes. The watcher samples residency, a session
//! saver writes `session.json`, flight writes `events.jsonl`, and three threads (peaks-build, peaks-live, peaks-read)
//! make and load waveforms. The window and the recorder are two processes ([`link`]). In the recorder's, control has a
//! thread of its own ([`app::handle`]), and neither waits for the other. In the other modes control is the main thread. One thread
//! writes to the terminal ([`cli::output`]), because a terminal can stop accepting text. Whatever could make control
//! wait (opening a session, listing devices, asking for free space) has a thread of its own for the one question.
//!
//! `ARCHITECTURE.md` has the table: which thread owns what, and what it may wait for. [`threads`] starts the threads
//! that serve the device.
//!
//! # Modules
//!
//! The list begins with the lowest module. A module imports only from earlier lines. The test
//! `tests/it/tidy/direction.rs` keeps that.

pub mod limits;
pub mod instructions;
pub mod io_ring;
pub mod host;
pub mod time;
pub mod format;
pub mod serial;
pub mod shell_word;
pub mod histogram;
pub mod lock;
pub mod spool_index;
pub mod mailbox;
pub mod reaper;
pub mod rt;
pub mod file_system;
pub mod wav;
pub mod session;
pub mod peaks;
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
pub mod link;
#[cfg(feature = "gui")]
pub mod ui;
pub mod cli;
