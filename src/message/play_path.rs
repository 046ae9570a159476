//! The playhead's path through the timeline, and the regions on a track. Thread: any. Pure.

use crate::time::{FramePos, Frames};
use crate::wav::take_sound::TakeSound;
use crate::window::playback::Edges;
use std::path::PathBuf;
use std::sync::Arc;

/// The path of the playhead from a locate on: a position, and a range to loop if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayPath {
    /// Timeline position of the first frame.
    pub start: FramePos,
    /// Start and end of the loop. Playback that reaches the end continues at the start. Never empty.
    pub loop_range: Option<(FramePos, FramePos)>,
}

impl PlayPath {
    /// Timeline position of stream frame `stream` (frames played since the locate).
    pub fn at(&self, stream: u64) -> FramePos {
        let plain = self.start + Frames(stream);
        match self.loop_range {
            Some((from, to)) if from < to && self.start < to && to <= plain => {
                from + Frames(plain.since(to).0 % to.since(from).0)
            }
            _ => plain,
        }
    }

    /// Frames from the last jump of the loop to stream frame `stream`; `u64::MAX` before the first jump.
    pub fn since_jump(&self, stream: u64) -> u64 {
        match self.loop_range {
            Some((from, to)) if from < to && self.start < to && to <= self.start + Frames(stream) => {
                self.at(stream).since(from).0
            }
            _ => u64::MAX,
        }
    }

    /// Frames from stream frame `stream` to the next jump of the loop; `u64::MAX` without a loop.
    pub fn straight(&self, stream: u64) -> u64 {
        match self.loop_range {
            Some((from, to)) if from < to && self.start < to => to.since(self.at(stream)).0,
            _ => u64::MAX,
        }
    }
}

/// A range of a take, placed on the timeline.
#[derive(Clone, Debug)]
pub struct PlayRegion {
    /// Timeline position of the first frame.
    pub start: FramePos,
    /// Length of the region.
    pub length: Frames,
    /// Position in the take of the first frame.
    pub take_start: FramePos,
    /// The WAV file of the take. All regions of a take share it.
    pub file: Arc<PlayFile>,
    /// The first frame, between the edges of the region.
    pub edges: Edges,
}

/// The WAV file of a take, and the sound that the session lists for it.
#[derive(Clone, Debug)]
pub struct PlayFile {
    /// The path of the file.
    pub path: Arc<PathBuf>,
    /// The path that the file has until the session saver has moved it out of the trash.
    pub earlier_path: PathBuf,
    /// The sound that the file should have.
    pub sound: TakeSound,
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
        let positions: Vec<u64> = (0..16).map(|stream| path.at(stream).0).collect();
        assert_eq!(positions, [95, 96, 97, 98, 99, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 90]);
        assert_eq!((path.straight(0), path.straight(5), path.straight(14)), (5, 10, 1));
        assert_eq!([4, 5, 14, 15].map(|stream| path.since_jump(stream)), [u64::MAX, 0, 9, 0]);
    }

    #[test]
    fn a_path_that_begins_behind_its_loop_never_loops() {
        let path = PlayPath { start: FramePos(100), loop_range: Some((FramePos(90), FramePos(100))) };
        assert_eq!(path.at(50), FramePos(150));
    }
}
