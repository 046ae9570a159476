//! The built-in device: clocked or free-running, scripted, with faults on demand. Thread: audio.

use std::path::PathBuf;

/// What a virtual device hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Sample at device frame n on channel c: `((n + c * 1000003) mod 2^24) - 2^23` as a 24-bit integer.
    Ramp,
    /// A different pitch and level per channel.
    Tones,
    /// Nothing.
    Silence,
    /// A WAV file's channels as inputs, repeated.
    File(PathBuf),
}
