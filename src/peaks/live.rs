//! Grows the waveforms of takes that are being recorded. Thread: peaks-live.
//!
//! In the capture path `spool` the samples come from memory, so waveforms grow even while the disk is frozen.

use super::live_take::LiveTake;
use super::pyramid::Grower;
use super::shared::{BuildJob, NOT_FINISHED, SharedStore, SharedTake, Stage};
use super::source::{self, LiveTakeReader};
use crate::limits::STORE_LAG_FRAMES;
use crate::wav::read::Reader;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

/// Time between two checks of the record position.
const TICK: Duration = Duration::from_millis(80);

/// Frames per read.
const PIECE_FRAMES: usize = 64 * 1024;

/// Reads that a take may do before it is the next take's turn.
const PIECES_A_TURN: usize = 8;

pub(super) struct LiveWorker {
    common: Arc<SharedStore>,
    takes: Receiver<Arc<SharedTake>>,
    jobs: Sender<BuildJob>,
    growing: Vec<GrowingTake>,
    samples: Vec<f32>,
}

struct GrowingTake {
    shared: Arc<SharedTake>,
    grower: Grower,
    reader: LiveTakeReader,
    /// Open once the take has ended.
    finished_wav: Option<Reader>,
    /// Complete base blocks that peaks-build was asked to write.
    flushed: u64,
}

/// The result of a take's turn.
#[derive(PartialEq, Eq)]
enum Turn {
    /// Every recorded frame was read.
    UpToDate,
    /// There are more frames to read.
    Behind,
    /// The take needs no further turn.
    Done,
}

impl LiveWorker {
    pub(super) fn new(
        common: Arc<SharedStore>,
        takes: Receiver<Arc<SharedTake>>,
        jobs: Sender<BuildJob>,
    ) -> LiveWorker {
        LiveWorker { common, takes, jobs, growing: Vec::new(), samples: Vec::new() }
    }

    /// Works until the store is dropped. Then it still reads the takes that have ended to their end.
    pub(super) fn run(mut self) {
        let mut behind = false;
        loop {
            let quitting = self.receive(behind);
            if quitting {
                self.growing.retain(|take| take.shared.final_frames.load(Acquire) != NOT_FINISHED);
                if self.growing.is_empty() {
                    return;
                }
            }
            behind = self.turns();
        }
    }

    /// Waits for the next tick, or for a first take, and adds the takes that were sent. Returns true if the store is
    /// gone.
    fn receive(&mut self, behind: bool) -> bool {
        if self.growing.is_empty() {
            match self.takes.recv() {
                Ok(take) => self.add(take),
                Err(_) => return true,
            }
        } else if !behind && !self.common.is_quitting() {
            std::thread::sleep(TICK);
        }
        loop {
            match self.takes.try_recv() {
                Ok(take) => self.add(take),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn add(&mut self, shared: Arc<SharedTake>) {
        let Some(live) = &shared.live else { return };
        let (grower, reader) = (Grower::new(live.channels), LiveTakeReader::new(live));
        shared.set_pyramid(grower.pyramid());
        self.growing.push(GrowingTake { shared, grower, reader, finished_wav: None, flushed: 0 });
    }

    /// Gives each take a turn. Returns true if some take has more to read.
    fn turns(&mut self) -> bool {
        let mut behind = false;
        let (common, jobs, samples) = (&self.common, &self.jobs, &mut self.samples);
        self.growing.retain_mut(|take| {
            if take.shared.is_forgotten() {
                return false;
            }
            let before = take.grower.pyramid().frames();
            let turn = take.turn(common, jobs, samples);
            if take.grower.pyramid().frames() != before || turn == Turn::Done {
                common.mark_changed(&take.shared);
            }
            take.flush(jobs);
            behind |= turn == Turn::Behind;
            turn != Turn::Done
        });
        behind
    }
}

impl GrowingTake {
    fn turn(&mut self, common: &SharedStore, jobs: &Sender<BuildJob>, samples: &mut Vec<f32>) -> Turn {
        let end = self.shared.final_frames.load(Acquire);
        if end != NOT_FINISHED {
            return match self.read_finished_wav(end, samples) {
                Ok(Turn::Done) => {
                    self.shared.being_saved.store(true, Release);
                    self.shared.set_stage(Stage::Ready);
                    common.add_pending();
                    jobs.send(BuildJob::Save(Arc::clone(&self.shared))).ok();
                    Turn::Done
                }
                Ok(turn) => turn,
                Err(None) => {
                    // The pyramid does not match the file: build it again from the whole file.
                    common.add_pending();
                    self.shared.set_stage(Stage::Waiting);
                    jobs.send(BuildJob::Build(Arc::clone(&self.shared))).ok();
                    Turn::Done
                }
                Err(Some(reason)) => {
                    self.shared.fail(reason);
                    Turn::Done
                }
            };
        }
        let Some(live) = &self.shared.live else { return Turn::Done };
        let recorded = recorded(live);
        // After a read error the next turn tries again. When the take has ended, the rest is read from the WAV.
        self.read_live(recorded, samples).unwrap_or(Turn::UpToDate)
    }

    /// Reads the frames up to `recorded` that are not in the pyramid yet, from the spool or the WAV.
    fn read_live(&mut self, recorded: u64, samples: &mut Vec<f32>) -> io::Result<Turn> {
        let channels = self.grower.pyramid().channels();
        for _ in 0..PIECES_A_TURN {
            let at = self.grower.pyramid().frames();
            let frames = recorded.saturating_sub(at).min(PIECE_FRAMES as u64) as usize;
            samples.resize(frames * channels, 0.0);
            let read = self.reader.read(at, samples)?;
            self.grower.push(&samples[..read * channels]);
            if read < PIECE_FRAMES || self.grower.pyramid().frames() == at {
                return Ok(Turn::UpToDate);
            }
        }
        Ok(Turn::Behind)
    }

    /// Reads the rest of a take of `end` frames from its finished WAV. `Err(None)`: the pyramid has more frames or
    /// other channels than the file. `Err(Some)`: the file could not be read, for this reason.
    fn read_finished_wav(&mut self, end: u64, samples: &mut Vec<f32>) -> Result<Turn, Option<String>> {
        let channels = self.grower.pyramid().channels();
        if self.finished_wav.is_none() {
            let reader = source::open_wav(&self.shared.wav()).map_err(|error| Some(error.to_string()))?;
            let frames = end.min(reader.layout().frames);
            if usize::from(reader.layout().channels) != channels || frames < self.grower.pyramid().frames() {
                return Err(None);
            }
            self.finished_wav = Some(reader);
        }
        let Some(wav) = &mut self.finished_wav else { return Ok(Turn::Done) };
        for _ in 0..PIECES_A_TURN {
            let at = self.grower.pyramid().frames();
            let frames = end.saturating_sub(at).min(PIECE_FRAMES as u64) as usize;
            samples.resize(frames * channels, 0.0);
            let read = wav.read_frames(at, samples).map_err(|error| Some(error.to_string()))?;
            self.grower.push(&samples[..read * channels]);
            if self.grower.pyramid().frames() == at {
                return Ok(Turn::Done);
            }
        }
        Ok(Turn::Behind)
    }

    /// Asks peaks-build to write the complete blocks. If its queue is full, the next turn asks again.
    fn flush(&mut self, jobs: &Sender<BuildJob>) {
        let blocks = self.grower.pyramid().frames() / super::block::Scale::Base.block_frames();
        if self.flushed < blocks && jobs.try_send(BuildJob::Flush(Arc::clone(&self.shared))).is_ok() {
            self.flushed = blocks;
        }
    }
}

/// Frames to draw: the recorded frames without the last block, as a margin.
fn recorded(live: &LiveTake) -> u64 {
    match (live.frames)() {
        u64::MAX => 0,
        frames => frames.saturating_sub(STORE_LAG_FRAMES),
    }
}
