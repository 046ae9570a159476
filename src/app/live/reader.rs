//! A window's end of the live page. Thread: any of the window.
//!
//! The page is that of another process, which may die at any moment. Every value is bounded before use. No read waits.

use super::super::snapshot::{Meter, Meters, Snapshot};
use super::page::{
    COUNTERS_AT, CYCLES, CYCLES_AT, DISK, FIRST_INPUT, FIRST_TRACK, FORM, FORM_AT, FRAMES, INPUTS, MASTER, MOTION,
    POSITION, SEQUENCE_AT, SHAPE, SHAPE_TURN, TOGETHER, TOGETHER_AT, TRACKS, TURN, TURNS_KEPT, WORDS, meter_at,
};
use super::{COUNTERS, count_of, seconds_of, set_counters};
use crate::histogram::Counts;
use crate::limits::{CHANNEL_COUNT_MAX, TRACK_COUNT_MAX};
use crate::message::Motion;
use crate::session::POSITION_MAX;
use crate::time::{FramePos, Frames};
use crate::window::shared_words::SeenWords;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::fence;

/// Tries to read words between two writes. Control writes for a microsecond, 50 times a second.
const TRIES: usize = 8;

/// The highest peak that a window shows: 60 dB above full scale.
const PEAK_MAX: f32 = 1000.0;

/// The page of an engine in another process.
#[derive(Debug)]
pub struct LiveReader {
    words: SeenWords,
    /// The last turn whose peaks were taken.
    turn: u64,
    /// Whether the window has a snapshot without the values of that turn.
    is_behind: bool,
    /// The cycle times, and the number of their change.
    cycles: (u64, Option<Arc<Counts>>),
}

impl LiveReader {
    /// Maps the page that an engine has sent. A file that is no such page is refused.
    pub fn new(file: &File) -> io::Result<LiveReader> {
        let words = SeenWords::of(file, WORDS)?;
        if words.load(FORM_AT) != FORM {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the recorder's live page has another form"));
        }
        Ok(LiveReader { words, turn: 0, is_behind: false, cycles: (0, None) })
    }

    /// The number of the last turn. It changes for as long as control works.
    pub fn beat(&self) -> u64 {
        self.words.load(TOGETHER_AT + TURN)
    }

    /// The window has got a snapshot from the engine. Its values are those of an earlier turn than the page has.
    pub fn refresh(&mut self) {
        self.is_behind = true;
    }

    /// The snapshot with the present values of the page. `None`: the page has nothing new for it.
    pub fn over(&mut self, snapshot: &Snapshot) -> Option<Snapshot> {
        let together = self.together()?;
        let turn = together[TURN];
        let is_new = turn != self.turn || self.is_behind;
        if turn == 0 || !is_new || together[SHAPE] != snapshot.shape {
            return None;
        }
        let mut shown = snapshot.clone();
        shown.set_meters(self.meters(&together));
        (self.turn, self.is_behind) = (turn, false);
        shown.transport.motion = motion_of(together[MOTION]);
        shown.transport.position = FramePos(together[POSITION].min(POSITION_MAX));
        if let Some(pass) = &mut shown.transport.pass {
            pass.frames = Frames(together[FRAMES].min(POSITION_MAX));
        }
        if let (Some(space), Some(free_bytes), Some(seconds)) =
            (&mut shown.disk_space, count_of(together[DISK]), seconds_of(together[DISK + 1]))
        {
            (space.free_bytes, space.seconds) = (free_bytes, seconds);
        }
        let counters: &[u64; COUNTERS] = together[COUNTERS_AT..].first_chunk()?;
        set_counters(&mut shown.figures, counters);
        shown.figures.cycles = self.cycles(together[CYCLES]);
        Some(shown)
    }

    /// The words that belong together. `None`: control is writing them, or was killed while it did.
    fn together(&self) -> Option<[u64; TOGETHER]> {
        for _ in 0..TRIES {
            let before = self.words.load(SEQUENCE_AT);
            fence(Acquire);
            let together = std::array::from_fn(|index| self.words.load(TOGETHER_AT + index));
            fence(Acquire);
            if before & 1 == 0 && self.words.load(SEQUENCE_AT) == before {
                return Some(together);
            }
            std::hint::spin_loop();
        }
        None
    }

    fn meters(&self, together: &[u64; TOGETHER]) -> Meters {
        let turn = together[TURN];
        // The oldest turn may be overwritten just now.
        let oldest = turn.saturating_sub(TURNS_KEPT - 2).max(together[SHAPE_TURN]);
        let from = if self.turn < turn { oldest.max(self.turn + 1).min(turn) } else { turn };
        let meter = |meter: usize| {
            let value = |turn: u64| self.words.load(meter_at(meter, turn));
            let peaks = (from..=turn).map(|turn| level((value(turn) >> 32) as u32));
            Meter { peak: peaks.fold(0.0, f32::max), rms: level(value(turn) as u32) }
        };
        let column = |first: usize, count: u64, most: usize| {
            (first..first + (count as usize).min(most)).map(meter).collect::<Vec<Meter>>()
        };
        Meters {
            inputs: column(FIRST_INPUT, together[INPUTS], CHANNEL_COUNT_MAX),
            tracks: column(FIRST_TRACK, together[TRACKS], TRACK_COUNT_MAX),
            master: [meter(MASTER), meter(MASTER + 1)],
        }
    }

    fn cycles(&mut self, number: u64) -> Option<Arc<Counts>> {
        if self.cycles.0 != number {
            let counts = || Arc::new(Counts::of_words(|index| self.words.load(CYCLES_AT + index)));
            self.cycles = (number, (number != 0).then(counts));
        }
        self.cycles.1.clone()
    }
}

/// A level from the bits of any number.
fn level(bits: u32) -> f32 {
    let level = f32::from_bits(bits);
    if level.is_nan() { 0.0 } else { level.clamp(0.0, PEAK_MAX) }
}

fn motion_of(word: u64) -> Motion {
    let all = [Motion::Stopped, Motion::Rolling, Motion::Stopping, Motion::DeclickToLocate, Motion::WaitingForData];
    all.into_iter().find(|motion| *motion as u64 == word).unwrap_or(Motion::Stopped)
}
