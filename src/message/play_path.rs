//! Where playback begins and which range it repeats, and the regions of takes on a track. Thread: any. Pure.

use crate::time::{FramePos, Frames};
use std::path::PathBuf;
use std::sync::Arc;

/// What plays from a locate on: a place, and perhaps a stretch that repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayPath {
    /// Where it begins.
    pub start: FramePos,
    /// From its end back to its start, over and over. Never empty.
    pub loop_range: Option<(FramePos, FramePos)>,
}

impl PlayPath {
    /// The timeline place of stream frame `stream` (frames played since the locate).
    pub fn at(&self, stream: u64) -> FramePos {
        let plain = self.start + Frames(stream);
        match self.loop_range {
            Some((from, to)) if from < to && self.start < to && to <= plain => {
                from + Frames((plain.0 - to.0) % (to.0 - from.0))
            }
            _ => plain,
        }
    }

    /// Frames from stream frame `stream` on that lie side by side on the timeline too.
    pub fn straight(&self, stream: u64) -> u64 {
        match self.loop_range {
            Some((from, to)) if from < to && self.start < to => to.0 - self.at(stream).0,
            _ => u64::MAX,
        }
    }
}

/// A span of a take, placed on the timeline.
#[derive(Clone, Debug)]
pub struct PlayRegion {
    /// Where it begins.
    pub start: FramePos,
    /// How long it is.
    pub length: Frames,
    /// Frame of the take that is heard first.
    pub take_start: FramePos,
    /// The take's file.
    pub path: Arc<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_loop_is_a_straight_line() {
        let path = PlayPath { start: FramePos(100), loop_range: None };
        assert_eq!(path.at(0), FramePos(100));
        assert_eq!(path.at(1 << 40), FramePos(100 + (1 << 40)));
        assert_eq!(path.straight(7), u64::MAX);
    }

    #[test]
    fn a_path_loops_from_the_end_of_its_range_to_its_start() {
        let path = PlayPath { start: FramePos(95), loop_range: Some((FramePos(90), FramePos(100))) };
        let places: Vec<u64> = (0..16).map(|stream| path.at(stream).0).collect();
        assert_eq!(places, [95, 96, 97, 98, 99, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 90]);
        assert_eq!((path.straight(0), path.straight(5), path.straight(14)), (5, 10, 1));
    }

    #[test]
    fn a_path_that_begins_behind_its_loop_never_loops() {
        let path = PlayPath { start: FramePos(100), loop_range: Some((FramePos(90), FramePos(100))) };
        assert_eq!(path.at(50), FramePos(150));
    }
}
