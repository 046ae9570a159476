//! Builds waveforms from finished WAVs, and writes every cache file. Thread: peaks-build. It has the nice value 19, so that
//! it hardly takes time from others. It is not of the idle class: on a busy machine, a thread of that class is not run for
//! seconds, also when its process has to end, and the session stays locked until the last thread has ended.

use super::block::Scale;
use super::cache::{CacheWriter, Fingerprint};
use super::pyramid::{Grower, Pyramid};
use super::shared::{BuildJob, SharedStore, SharedTake, Stage};
use super::source;
use crate::limits::{PEAK_FRAMES_MAX, TAKE_CHANNEL_COUNT_MAX};
use crossbeam_channel::Receiver;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;
use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

/// Frames per read.
const PIECE_FRAMES: usize = 64 * 1024;

/// Reads between two announcements that more can be drawn: some 22 s of sound.
const PIECES_A_CHANGE: usize = 16;

pub(super) struct BuildWorker {
    common: Arc<SharedStore>,
    jobs: Receiver<BuildJob>,
    /// The unfinished cache files of growing takes. None: the file could not be created or written.
    open: Vec<(Arc<SharedTake>, Option<CacheWriter>)>,
    samples: Vec<f32>,
}

impl BuildWorker {
    pub(super) fn new(common: Arc<SharedStore>, jobs: Receiver<BuildJob>) -> BuildWorker {
        BuildWorker { common, jobs, open: Vec::new(), samples: Vec::new() }
    }

    /// Works until every sender is gone. After the store was dropped, the thread still saves the takes that have ended.
    pub(super) fn run(mut self) {
        let ordinary = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
        // A sandbox may refuse. Then the thread has normal priority.
        thread_priority::set_thread_priority_and_policy(
            thread_priority::thread_native_id(),
            ThreadPriority::Min,
            ordinary,
        )
        .ok();
        while let Ok(job) = self.jobs.recv() {
            self.open.retain(|(take, _)| !take.is_forgotten());
            match job {
                BuildJob::Build(take) => {
                    self.build(&take);
                    self.common.mark_changed(&take);
                    self.common.remove_pending();
                }
                BuildJob::Flush(take) => self.flush(&take),
                BuildJob::Save(take) => {
                    self.save(&take);
                    take.being_saved.store(false, Release);
                    self.common.remove_pending();
                }
            }
        }
    }

    fn build(&mut self, take: &SharedTake) {
        if self.common.is_quitting() || take.is_forgotten() {
            return;
        }
        let mut reader = match source::open_wav(&take.wav()) {
            Ok(reader) => reader,
            Err(error) => return take.fail(error.to_string()),
        };
        let channels = usize::from(reader.layout().channels);
        if TAKE_CHANNEL_COUNT_MAX < channels {
            return take.fail(format!("{}: {channels} channels, takes have one or two", reader.path().display()));
        }
        let (rate, frames) = (reader.layout().rate, reader.layout().frames.min(PEAK_FRAMES_MAX));
        // Taken before the sound is read: if the file changes meanwhile, the cache does not match it and is built
        // again.
        let wav = std::fs::metadata(reader.path()).ok().map(|data| Fingerprint::of(&data));
        let mut grower = Grower::new(channels);
        take.total_frames.store(frames, Release);
        take.set_pyramid(grower.pyramid());
        take.set_stage(Stage::Building);
        // Without a cache file, peaks-read computes the base from the WAV for each request.
        let mut writer = CacheWriter::create(&self.common.peaks, take.take).ok();
        let mut at = 0;
        for piece in 1.. {
            if self.common.is_quitting() || take.is_forgotten() {
                return;
            }
            self.samples.resize(PIECE_FRAMES.min((frames - at) as usize) * channels, 0.0);
            let read = match reader.read_frames(at, &mut self.samples) {
                Ok(read) => read,
                Err(error) => return take.fail(error.to_string()),
            };
            if read == 0 {
                break;
            }
            grower.push(&self.samples[..read * channels]);
            at += read as u64;
            write_blocks(take, grower.pyramid(), &mut writer, false);
            if piece % PIECES_A_CHANGE == 0 {
                self.common.mark_changed(take);
            }
        }
        write_blocks(take, grower.pyramid(), &mut writer, true);
        if let (Some(writer), Some(wav)) = (writer, wav)
            && writer.finish(grower.pyramid(), rate, wav).is_ok()
        {
            take.saved.store(true, Release);
        }
        grower.pyramid().release(u64::MAX);
        take.set_stage(Stage::Ready);
    }

    /// The unfinished cache file of a growing take. The first call creates it.
    fn writer(&mut self, take: &Arc<SharedTake>) -> &mut Option<CacheWriter> {
        let at = self.open.iter().position(|(other, _)| Arc::ptr_eq(other, take)).unwrap_or_else(|| {
            self.open.push((Arc::clone(take), CacheWriter::create(&self.common.peaks, take.take).ok()));
            self.open.len() - 1
        });
        &mut self.open[at].1
    }

    fn flush(&mut self, take: &Arc<SharedTake>) {
        if let Some(pyramid) = take.pyramid().filter(|_| !take.is_forgotten()) {
            write_blocks(take, &pyramid, self.writer(take), false);
        }
    }

    fn save(&mut self, take: &Arc<SharedTake>) {
        let (Some(pyramid), Some(live)) = (take.pyramid().filter(|_| !take.is_forgotten()), &take.live) else { return };
        let mut writer = self.writer(take).take();
        self.open.retain(|(other, _)| !Arc::ptr_eq(other, take));
        write_blocks(take, &pyramid, &mut writer, true);
        let wav = std::fs::metadata(source::current_path(&take.wav())).ok().map(|data| Fingerprint::of(&data));
        if let (Some(writer), Some(wav)) = (writer, wav)
            && writer.finish(&pyramid, live.rate, wav).is_ok()
        {
            take.saved.store(true, Release);
        }
        pyramid.release(u64::MAX);
    }
}

/// Moves the complete blocks of the base, or all blocks, from memory to the cache file. After a write error the cache
/// file is dropped. The blocks are released all the same: peaks-read computes them from the WAV on request.
fn write_blocks(take: &SharedTake, pyramid: &Pyramid, writer: &mut Option<CacheWriter>, all: bool) {
    let frames = pyramid.frames();
    let blocks = if all { frames.div_ceil(Scale::Base.block_frames()) } else { frames / Scale::Base.block_frames() };
    while let Some(cache) = writer.as_mut().filter(|cache| cache.blocks() < blocks) {
        let block = pyramid.resident_blocking(cache.blocks());
        let written =
            block.ok_or(io::ErrorKind::NotFound.into()).and_then(|block| cache.append(pyramid.channels(), &block));
        if written.is_err() {
            *writer = None;
            take.part_file_blocks.store(0, Release);
            break;
        }
        if !all {
            take.part_file_blocks.store(cache.blocks() as u32, Release);
        }
    }
    // The newest complete block is likely to be on the screen: it stays in memory until the next one is complete.
    pyramid.release(blocks.saturating_sub(1));
}
