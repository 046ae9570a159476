//! The audio thread's rules as tests: every path of the engine is walked, one period at a time, under four witnesses
//! ([`account`]), and what it recorded and played is compared with what it should have. Thread: test.
//!
//! Nothing here waits: the engine is driven by hand with a device that has no clock, and windows are supplied on
//! the test's own thread between two periods.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

pub(crate) mod account;
mod planted;
mod rig;
mod reel;
mod disc;
mod recording;
mod passes;
mod playing;
mod moving;
mod driving;
mod program;
