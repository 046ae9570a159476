//! The writer's end of the live page. Thread: control writes.

use super::super::snapshot::{Meter, Meters, Snapshot};
use super::{COUNTERS, Playhead, counters, disk_words};
use crate::histogram::Counts;
use crate::limits::{CHANNEL_COUNT_MAX, TRACK_COUNT_MAX};
use crate::window::shared_words::SharedWords;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::fence;

/// The number of this form of the page. It changes with every change of a word's place or meaning.
pub(super) const FORM: u64 = u64::from_le_bytes(*b"flive 01");

/// Turns whose meters are kept: 320 ms while a pass runs, longer than the time between two pictures.
pub(super) const TURNS_KEPT: u64 = 16;

pub(super) const FORM_AT: usize = 0;
pub(super) const SEQUENCE_AT: usize = 1;
/// The first of the words that the sequence keeps together.
pub(super) const TOGETHER_AT: usize = 2;

/// Places in the words that the sequence keeps together.
pub(super) const TURN: usize = 0;
pub(super) const SHAPE: usize = 1;
/// The first turn with the present shape.
pub(super) const SHAPE_TURN: usize = 2;
pub(super) const INPUTS: usize = 3;
pub(super) const TRACKS: usize = 4;
pub(super) const MOTION: usize = 5;
pub(super) const POSITION: usize = 6;
pub(super) const FRAMES: usize = 7;
pub(super) const DISK: usize = 8;
/// Number of the last change of the cycle times; 0: there are none.
pub(super) const CYCLES: usize = 10;
pub(super) const COUNTERS_AT: usize = 11;
pub(super) const TOGETHER: usize = COUNTERS_AT + COUNTERS;

pub(super) const CYCLES_AT: usize = 64;
const _: () = assert!(TOGETHER_AT + TOGETHER <= CYCLES_AT);

pub(super) const METERS_AT: usize = CYCLES_AT + Counts::WORDS;
const METERS: usize = 2 + CHANNEL_COUNT_MAX + TRACK_COUNT_MAX;
pub(super) const MASTER: usize = 0;
pub(super) const FIRST_INPUT: usize = 2;
pub(super) const FIRST_TRACK: usize = 2 + CHANNEL_COUNT_MAX;

/// Words of the page. The kernel gives memory only for the parts that are used.
pub(super) const WORDS: usize = METERS_AT + METERS * TURNS_KEPT as usize;

/// The place of a meter's values of a turn.
pub(super) fn meter_at(meter: usize, turn: u64) -> usize {
    METERS_AT + meter * TURNS_KEPT as usize + (turn % TURNS_KEPT) as usize
}

pub(super) fn meter_word(meter: Meter) -> u64 {
    u64::from(meter.peak.to_bits()) << 32 | u64::from(meter.rms.to_bits())
}

/// The page of an engine.
#[derive(Debug)]
pub struct LivePage {
    words: SharedWords,
    written: Mutex<Written>,
}

/// The values that control has written so far.
#[derive(Debug, Default)]
struct Written {
    turn: u64,
    shape: u64,
    shape_turn: u64,
    cycles: Option<Arc<Counts>>,
    /// Number of the changes of `cycles`.
    cycles_number: u64,
}

impl LivePage {
    /// Makes a page without values.
    pub(super) fn new() -> io::Result<LivePage> {
        let words = SharedWords::new(c"faultless-live", WORDS)?;
        words.word(FORM_AT).store(FORM, Relaxed);
        Ok(LivePage { words, written: Mutex::default() })
    }

    pub(super) fn file(&self) -> &File {
        self.words.file()
    }

    /// Writes a turn. `snapshot`: the last one, whose shape is that of the meters. Only control calls this.
    pub(in crate::app) fn write(&self, playhead: &Playhead, meters: &Meters, snapshot: &Snapshot) {
        let mut written = crate::lock::lock(&self.written);
        let turn = written.turn + 1;
        written.turn = turn;
        if written.shape != snapshot.shape {
            (written.shape, written.shape_turn) = (snapshot.shape, turn);
        }
        self.write_cycles(&mut written, snapshot.figures.cycles.as_ref());
        let columns = [(MASTER, &meters.master[..]), (FIRST_INPUT, &meters.inputs), (FIRST_TRACK, &meters.tracks)];
        for (first, meters) in columns {
            for (index, meter) in meters.iter().enumerate().take(TRACK_COUNT_MAX) {
                self.words.word(meter_at(first + index, turn)).store(meter_word(*meter), Relaxed);
            }
        }
        let mut together = [0; TOGETHER];
        together[TURN] = turn;
        (together[SHAPE], together[SHAPE_TURN]) = (snapshot.shape, written.shape_turn);
        (together[INPUTS], together[TRACKS]) = (meters.inputs.len() as u64, meters.tracks.len() as u64);
        together[MOTION] = playhead.motion as u64;
        (together[POSITION], together[FRAMES]) = (playhead.position.0, playhead.frames.0);
        together[DISK..DISK + 2].copy_from_slice(&disk_words(snapshot));
        together[CYCLES] = if written.cycles.is_some() { written.cycles_number } else { 0 };
        together[COUNTERS_AT..].copy_from_slice(&counters(&snapshot.figures));
        self.write_together(&together);
    }

    fn write_together(&self, together: &[u64; TOGETHER]) {
        let sequence = self.words.word(SEQUENCE_AT);
        // A writer that panicked between the two stores has left an odd number.
        let odd = sequence.load(Relaxed) | 1;
        sequence.store(odd, Relaxed);
        // A reader that sees a new word sees the odd number too.
        fence(Release);
        for (index, word) in together.iter().enumerate() {
            self.words.word(TOGETHER_AT + index).store(*word, Relaxed);
        }
        // A reader that sees this number sees all words before it, those of the meters too.
        sequence.store(odd.wrapping_add(1), Release);
    }

    fn write_cycles(&self, written: &mut Written, cycles: Option<&Arc<Counts>>) {
        let is_same = match (&written.cycles, cycles) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        written.cycles = cycles.cloned();
        written.cycles_number += 1;
        for (index, word) in cycles.iter().flat_map(|cycles| cycles.words()).enumerate() {
            self.words.word(CYCLES_AT + index).store(word, Relaxed);
        }
    }

    /// A word of the page, for a test that writes what control would not.
    #[cfg(test)]
    pub(super) fn word(&self, index: usize) -> &std::sync::atomic::AtomicU64 {
        self.words.word(index)
    }
}
