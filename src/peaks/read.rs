//! Reads cache files when takes come into view, and blocks when the user zooms in. Thread: peaks-read.

use super::block::{Block, Scale};
use super::cache::{self, Fingerprint};
use super::shared::{BuildJob, LoadedBlock, NOT_FINISHED, ReadRequest, SharedStore, SharedTake, Stage};
use super::source::{self, LiveTakeReader};
use crate::wav::read::Reader;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

pub(super) struct ReadWorker {
    common: Arc<SharedStore>,
    requests: Receiver<ReadRequest>,
    jobs: Sender<BuildJob>,
    loaded: Sender<LoadedBlock>,
    /// The serial of the take whose finished WAV was read last, and its reader. Saves opening it for each block.
    last: Option<(u64, Reader)>,
    samples: Vec<f32>,
}

impl ReadWorker {
    pub(super) fn new(
        common: Arc<SharedStore>,
        requests: Receiver<ReadRequest>,
        jobs: Sender<BuildJob>,
        loaded: Sender<LoadedBlock>,
    ) -> ReadWorker {
        ReadWorker { common, requests, jobs, loaded, last: None, samples: Vec::new() }
    }

    /// Works until the store is dropped.
    pub(super) fn run(mut self) {
        cache::remove_parts(&self.common.peaks);
        while let Ok(request) = self.requests.recv() {
            if self.common.is_quitting() {
                return;
            }
            match request {
                ReadRequest::Open(take) => {
                    self.open(&take);
                    self.common.opens.fetch_sub(1, AcqRel);
                }
                ReadRequest::Block(take, scale, index) => {
                    let block = if take.is_forgotten() { None } else { self.block(&take, scale, index) };
                    let block = block.map(Arc::new);
                    // The queue is never full: the store sends no more requests than it has slots.
                    self.loaded.try_send(LoadedBlock { serial: take.serial, scale, index, block }).ok();
                    self.common.mark_changed(&take);
                    self.common.remove_pending();
                }
            }
        }
    }

    fn open(&self, take: &Arc<SharedTake>) {
        if !take.is_forgotten() {
            let wav = std::fs::metadata(source::current_path(&take.wav())).ok();
            let path = cache::path_of(&self.common.peaks, take.take);
            let Some(pyramid) = wav.and_then(|wav| cache::open(&path, Fingerprint::of(&wav))) else {
                // If the WAV is missing, peaks-build reports the reason.
                self.jobs.send(BuildJob::Build(Arc::clone(take))).ok();
                return;
            };
            take.set_pyramid(&Arc::new(pyramid.reduced()));
            take.saved.store(true, Release);
            take.set_stage(Stage::Ready);
            self.common.mark_changed(take);
        }
        self.common.remove_pending();
    }

    /// Has the waveform of a finished take built again, because its cache file is gone or damaged.
    fn build_again(&self, take: &Arc<SharedTake>) {
        if take.saved.swap(false, AcqRel) {
            take.set_stage(Stage::Waiting);
            self.common.add_pending();
            self.jobs.send(BuildJob::Build(Arc::clone(take))).ok();
        }
    }

    fn block(&mut self, take: &Arc<SharedTake>, scale: Scale, index: u64) -> Option<Block> {
        let pyramid = take.pyramid()?;
        let (channels, frames) = (pyramid.channels(), pyramid.frames());
        let first = index.checked_mul(scale.block_frames()).filter(|first| *first < frames)?;
        if scale.level().is_some() {
            let path = cache::path_of(&self.common.peaks, take.take);
            let block = cache::read_level_block(&path, channels, frames, scale, index).ok();
            if block.is_none() {
                self.build_again(take);
            }
            return block;
        }
        if scale == Scale::Base {
            let peaks = &self.common.peaks;
            let stored = if take.saved.load(Acquire) {
                cache::read_block(&cache::path_of(peaks, take.take), channels, frames, index).ok()
            } else if index < u64::from(take.part_file_blocks.load(Acquire)) {
                let whole = (index + 1) * scale.block_frames();
                cache::read_block(&cache::part_path_of(peaks, take.take), channels, whole, index).ok()
            } else {
                None
            };
            if stored.is_some() {
                return stored;
            }
        }
        let wanted = (frames - first).min(scale.block_frames()) as usize;
        self.samples.resize(wanted * channels, 0.0);
        let read = match &take.live {
            Some(live) if take.final_frames.load(Acquire) == NOT_FINISHED => {
                LiveTakeReader::new(live).read(first, &mut self.samples).ok()?
            }
            _ => {
                if self.last.as_ref().is_none_or(|(serial, _)| *serial != take.serial) {
                    self.last = Some((take.serial, source::open_wav(&take.wav()).ok()?));
                }
                let (_, reader) = self.last.as_mut()?;
                if usize::from(reader.layout().channels) != channels {
                    return None;
                }
                let read = reader.read_frames(first, &mut self.samples);
                if read.is_err() {
                    // The file became shorter after it was opened. The next request opens it again.
                    self.last = None;
                }
                read.ok()?
            }
        };
        (read > 0).then(|| Block::from_samples(scale, channels, &self.samples[..read * channels]))
    }
}
