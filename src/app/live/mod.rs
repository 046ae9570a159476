//! The live page: the values that change many times a second, in memory that windows of other processes read. Thread:
//! control writes it, at its own pace, while a window is attached; each window reads it for each picture.
//!
//! Neither side waits for the other, and no window makes control work. A window that is stopped, killed or broken cannot
//! change the page, which is sealed ([`SharedWords`](crate::window::shared_words::SharedWords)).
//!
//! | words | content | kept together by |
//! |---|---|---|
//! | 0 | a number for this form of the page | |
//! | 1 | sequence: odd while control writes words 2 to 63 | |
//! | 2 .. 63 | turn, shape, playhead, disk space, counters | the sequence (a seqlock) |
//! | 64 .. | cycle times of the audio thread: sum, longest, buckets | nothing |
//! | then | for each meter its values of the last [`page::TURNS_KEPT`] turns, peak and RMS in one word | the word |
//!
//! The words 2 to 63 belong together: the frames of a pass are those of the pass that the shape names. Hence the seqlock: a
//! reader that has met a writer tries again, a few times, and then shows what it had. Meters and buckets are values of
//! their own, which may be a turn apart, so they are plain atomics, and a thousand meters cost a reader no second try.
//!
//! *Peaks.* Nobody resets a peak in the page. Each turn has its own, and a window takes the highest of the turns since its
//! last picture. So two windows take nothing from each other.
//!
//! *Shape.* The number of inputs and tracks and the pass travel in a snapshot. Values belong to the snapshot with the same
//! number of the shape. A window that does not have it yet shows the values before.

mod page;
mod reader;
#[cfg(test)]
mod tests;

pub use page::LivePage;
pub use reader::LiveReader;

use super::control_loop::Shared;
use super::snapshot::{EngineFigures, PassPhase, Snapshot};
use crate::message::Motion;
use crate::time::{FramePos, Frames};
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Longest time between two turns of control while something moves and a window shows it. While a pass is recorded or
/// something plays, `MOVING_POLL` makes the turns more frequent.
pub(super) const TURN: Duration = Duration::from_millis(33);

/// Time between two looks at the counters and at the texts of the health line.
const LOOK: Duration = Duration::from_millis(200);

/// The playhead at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Playhead {
    pub(super) motion: Motion,
    pub(super) position: FramePos,
    /// Frames of the running pass.
    pub(super) frames: Frames,
}

impl Default for Playhead {
    fn default() -> Playhead {
        Playhead { motion: Motion::Stopped, position: FramePos(0), frames: Frames(0) }
    }
}

/// The facts that decide how many meters there are and whose frames are counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub(super) revision: u64,
    pub(super) inputs: usize,
    /// Phase, start and number of losses of the pass.
    pub(super) pass: Option<(PassPhase, FramePos, usize)>,
    pub(super) is_gone: bool,
}

/// The page of an engine, and the number of its readers.
#[derive(Debug, Default)]
pub(super) struct LiveShare {
    page: OnceLock<LivePage>,
    readers: AtomicUsize,
}

impl LiveShare {
    /// The page while a window is attached.
    pub(super) fn page(&self) -> Option<&LivePage> {
        if self.readers.load(SeqCst) == 0 { None } else { self.page.get() }
    }
}

/// Control writes the page while a window holds this.
pub struct LiveLease(Arc<Shared>);

impl LiveLease {
    /// Makes the page if there is none yet. Fails if the system gives no memory for it.
    pub(super) fn new(shared: &Arc<Shared>) -> io::Result<LiveLease> {
        let live = &shared.live;
        if live.page.get().is_none() {
            // Another thread may have been faster. Then this one is dropped.
            live.page.set(LivePage::new()?).ok();
        }
        live.readers.fetch_add(1, SeqCst);
        // Control builds a snapshot for the window that comes, and writes the first turn.
        shared.is_taken.store(true, SeqCst);
        shared.ring();
        Ok(LiveLease(Arc::clone(shared)))
    }

    /// The page as a file, to send it to the window.
    pub fn file(&self) -> io::Result<&File> {
        self.0.live.page.get().map(LivePage::file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for LiveLease {
    fn drop(&mut self) {
        self.0.live.readers.fetch_sub(1, SeqCst);
    }
}

/// Decides when control looks at what changes rarely, and numbers the shapes.
#[derive(Default)]
pub(super) struct Looks {
    shape: Shape,
    number: u64,
    looked_at: Option<Instant>,
}

impl Looks {
    /// Whether the shape is another one, or it is time to look. `moves`: whether something moves.
    pub(super) fn is_due(&self, shape: &Shape, moves: bool, now: Instant) -> bool {
        self.shape != *shape || (moves && self.looked_at.is_none_or(|at| LOOK <= now.duration_since(at)))
    }

    /// Notes a look. Returns the number of the shape.
    pub(super) fn look(&mut self, shape: Shape, now: Instant) -> u64 {
        self.looked_at = Some(now);
        if self.shape != shape {
            self.shape = shape;
            self.number += 1;
        }
        self.number
    }
}

/// The counters of the page, as words.
const COUNTERS: usize = 14;

/// A word that says that there is no value.
const NONE: u64 = u64::MAX;

/// The highest count that a window shows. A sum of some is no overflow.
const COUNT_MAX: u64 = 1 << 53;

/// The longest time in seconds that a window shows: a century.
const SECONDS_MAX: f64 = 3.2e9;

fn seconds_word(seconds: Option<f64>) -> u64 {
    seconds.map_or(NONE, f64::to_bits)
}

/// The seconds of a word of any value. `NONE` are the bits of a number that is none.
fn seconds_of(word: u64) -> Option<f64> {
    let seconds = f64::from_bits(word);
    (!seconds.is_nan()).then(|| seconds.clamp(0.0, SECONDS_MAX))
}

fn count_of(word: u64) -> Option<u64> {
    (word != NONE).then(|| word.min(COUNT_MAX))
}

/// The counters of the figures as words.
fn counters(figures: &EngineFigures) -> [u64; COUNTERS] {
    [
        figures.minor_faults.unwrap_or(NONE),
        figures.major_faults.unwrap_or(NONE),
        figures.xruns,
        figures.frames_lost,
        figures.frames_dropped,
        seconds_word(figures.lead_s),
        seconds_word(figures.lead_min_s),
        figures.locked_bytes,
        figures.commit_us_max,
        figures.sync_us_max,
        figures.supply_us_max,
        figures.backlog_bytes,
        figures.spool_bytes,
        seconds_word(figures.durable_age.map(|age| age.as_secs_f64())),
    ]
}

/// Replaces the counters of the figures by those of the words, which may have any value.
fn set_counters(figures: &mut EngineFigures, words: &[u64; COUNTERS]) {
    let count = |index: usize| words[index].min(COUNT_MAX);
    figures.minor_faults = count_of(words[0]);
    figures.major_faults = count_of(words[1]);
    (figures.xruns, figures.frames_lost, figures.frames_dropped) = (count(2), count(3), count(4));
    (figures.lead_s, figures.lead_min_s) = (seconds_of(words[5]), seconds_of(words[6]));
    figures.locked_bytes = count(7);
    (figures.commit_us_max, figures.sync_us_max, figures.supply_us_max) = (count(8), count(9), count(10));
    (figures.backlog_bytes, figures.spool_bytes) = (count(11), count(12));
    figures.durable_age = seconds_of(words[13]).map(Duration::from_secs_f64);
}

/// Free bytes of the disk, and seconds of recording that they are enough for, as words.
fn disk_words(snapshot: &Snapshot) -> [u64; 2] {
    let space = snapshot.disk_space.as_ref();
    space.map_or([NONE, NONE], |space| [space.free_bytes, space.seconds.to_bits()])
}
