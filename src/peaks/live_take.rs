//! Where to find the sound of a take that is being recorded. Thread: control makes a [`LiveTake`]; peaks-live,
//! peaks-read and peaks-build read it.

use crate::format::TakeFormat;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// The path of a spool without a name. Only its program can read it.
pub const NAMELESS_SPOOL: &str = "/dev/null";

/// A take that is being recorded.
#[derive(Clone)]
pub struct LiveTake {
    pub take: Uuid,
    /// The take's WAV file, in the session's folder.
    pub wav: PathBuf,
    /// The spool file, whose index ([`crate::spool_index`]) lists the parts that it holds. A spool without a name is
    /// [`NAMELESS_SPOOL`]: the waveform then grows with the claim of the WAV's header. None in the capture path `in-place`, where the engine stores samples directly into the WAV.
    pub spool: Option<PathBuf>,
    pub format: TakeFormat,
    /// 1 or 2.
    pub channels: usize,
    /// Frames per second.
    pub rate: u32,
    /// Offset of the first sample in the WAV, in bytes.
    pub data_offset: u64,
    /// Returns the number of recorded frames, or `u64::MAX` while it is unknown. The thread peaks-live calls it about
    /// ten times per second. If it counted too many frames, the waveform is built again after the take has ended.
    pub frames: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for LiveTake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTake").field("take", &self.take).field("wav", &self.wav).finish_non_exhaustive()
    }
}
