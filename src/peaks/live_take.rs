//! A take while it is recorded, as the threads here see it. Thread: control (makes it), peaks-live, peaks-read and
//! peaks-build (read it).

use crate::format::TakeFormat;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// A take that is being recorded.
#[derive(Clone)]
pub struct LiveTake {
    /// Its identity in the world.
    pub take: Uuid,
    /// Its WAV file, in the session's folder.
    pub wav: PathBuf,
    /// Its spool file, whose byte n is byte n of the WAV: for one without a name `/proc/self/fd/N`. None: `in-place`, the sound
    /// is in the WAV at once.
    pub spool: Option<PathBuf>,
    /// How it stores its samples.
    pub format: TakeFormat,
    /// 1 or 2.
    pub channels: usize,
    /// Frames a second.
    pub rate: u32,
    /// Byte of the WAV at which its sound starts.
    pub data_offset: u64,
    /// Frames of it that are recorded, asked some ten times a second from another thread; `u64::MAX`: not known now. If
    /// it ever counts frames of another take, the waveform is made anew when the take has ended.
    pub frames: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for LiveTake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTake").field("take", &self.take).field("wav", &self.wav).finish_non_exhaustive()
    }
}
