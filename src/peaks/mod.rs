//! Waveforms: the lowest and highest samples of takes at every zoom, kept in `peaks/` and drawn while they grow.
//! Thread: control and the face (ask and draw), peaks-build, peaks-live and peaks-read (work).
//!
//! [`pyramid`] and [`columns`] are pure. [`cache`] is the file, [`source`] reads sound wherever it is by now, and
//! [`store`] is what a face asks; it never waits for a thread or a disk.
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

pub use columns::Column;
pub use live_take::LiveTake;
pub use store::{PeakStore, Quality, WaveformState};
