//! Waveforms: the lowest and highest samples of each take, at every zoom. Thread: control and the front end (request
//! and draw); peaks-build, peaks-live and peaks-read (do the work).
//!
//! Waveforms are cached in the session's folder `peaks/`. The waveform of a take that is being recorded grows with it.
//!
//! [`entry`], [`pyramid`] and [`columns`] are pure. [`cache`] is the file format. [`source`] reads samples from the WAV
//! or from the spool. [`store`] is the interface for the front end; its calls never wait for a thread or a disk.
#![forbid(unsafe_code)]

mod block;
mod build;
pub mod cache;
pub mod columns;
pub mod entry;
mod live;
mod live_take;
mod loaded_blocks;
pub mod pyramid;
mod read;
mod shared;
mod source;
pub mod store;
#[cfg(test)]
mod tests;

pub use columns::{Column, Span};
pub use live_take::{LiveTake, NAMELESS_SPOOL};
pub use store::{PeakStore, Quality, WaveformState};
