//! The losses of one take, as the progress page of its pass has them. Thread: any. Pure.

use crate::device::LossCause;
use crate::time::{FramePos, Frames};
use crate::window::progress_page::Progress;
use uuid::Uuid;

/// The cause of a loss of the take alone: it had no window.
pub const OVERRUN: &str = "overrun";

/// A loss of a take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageLoss {
    /// The first lost frame, counted from the start of the pass.
    pub at: FramePos,
    /// Number of lost frames.
    pub frames: Frames,
    pub cause: String,
}

/// The losses that the page lists for the take with this identity: those of the device, which all takes share, and the
/// overruns of this take. An overrun that is longer than all overruns that the page counts is damaged, and is left out.
pub fn losses_of(progress: &Progress, take: Uuid) -> Vec<PageLoss> {
    let device = progress.marks.iter().map(|mark| {
        let cause = LossCause::from_code(mark.cause).map_or_else(|| "lost".to_owned(), |cause| cause.to_string());
        PageLoss { at: mark.at, frames: mark.frames, cause }
    });
    let overruns = progress.overruns.of(take).into_iter().filter(|place| place.frames <= progress.overrun);
    let overruns = overruns.map(|place| PageLoss { at: place.at, frames: place.frames, cause: OVERRUN.to_owned() });
    device.chain(overruns).collect()
}
