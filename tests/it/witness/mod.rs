//! The audio thread's rules as tests. The tests run every path of the engine one period at a time, count its
//! allocations, page faults, waits and system calls ([`account`]), and compare recording and playback with the expected
//! samples. Thread: test.
//!
//! Nothing here waits: the device has no clock, and the test's own thread supplies windows between two periods.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

pub(crate) mod account;
mod planted;
mod rig;
pub(crate) mod reel;
mod disc;
mod recording;
mod passes;
mod playing;
mod moving;
mod leaving;
mod driving;
mod waiting;
mod program;
