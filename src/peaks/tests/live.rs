//! Waveforms of takes that are being recorded. Thread: tests.

use super::super::cache;
use super::super::columns::Column;
use super::super::live_take::{LiveTake, NAMELESS_SPOOL};
use super::super::store::{PeakStore, Quality, WaveformState};
use super::{exact_columns, expected_columns, folder, sound, wait_until, wait_until_ready, wav};
use crate::format::TakeFormat;
use crate::limits::{DATA_OFFSET, STORE_LAG_FRAMES};
use crate::spool_index::{FREE, HEADER_AT, Shape};
use crate::wav::header::Header;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use uuid::Uuid;

/// A take that is recorded into a spool and committed in spans.
struct Recording {
    take: LiveTake,
    frames: Arc<AtomicU64>,
    wav: File,
    spool: File,
    file: Vec<u8>,
    samples: Vec<f32>,
    frame_bytes: usize,
    shape: Shape,
}

/// Pages of a slot.
const SLOT_PAGES: u64 = 5;

/// Slots of the spool. Windows use them one after the other and then again.
const SLOTS: u64 = 1 << 12;

impl Recording {
    fn start(folder: &Path, spools: &Path, format: TakeFormat, channels: usize, frames: usize) -> Recording {
        let (file, samples) = wav(format, channels, &sound(channels, frames));
        let id = Uuid::new_v4();
        let paths: (PathBuf, PathBuf) =
            (folder.join("audio").join(format!("{id}.wav")), spools.join(format!("{id}.spool")));
        let open = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
        let (wav, spool) = (open(&paths.0), open(&paths.1));
        let shape = Shape::new(id.as_u128(), (SLOT_PAGES * 4096) as usize);
        spool.set_len(shape.file_bytes()).unwrap();
        spool.write_all_at(&shape.header(), HEADER_AT).unwrap();
        wav.write_all_at(&file[..DATA_OFFSET as usize], 0).unwrap();
        let frames = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&frames);
        let take = LiveTake {
            take: id,
            wav: paths.0,
            spool: Some(paths.1),
            format,
            channels,
            rate: 48_000,
            data_offset: DATA_OFFSET,
            frames: Arc::new(move || count.load(SeqCst)),
        };
        Recording { take, frames, wav, spool, file, samples, frame_bytes: channels * format.bytes(), shape }
    }

    /// The slot of window `window`.
    fn slot(window: u64) -> u32 {
        (window * 7 % SLOTS) as u32
    }

    /// Does what butler and audio thread do: lists the windows up to `end`, and stores their frames.
    fn record(&self, end: u64) {
        let bytes = |frame: u64| DATA_OFFSET + frame * self.frame_bytes as u64;
        let (from, to) = (bytes(self.frames.load(SeqCst)), bytes(end));
        let slot_bytes = self.shape.slot_bytes() as u64;
        for window in (from - DATA_OFFSET) / slot_bytes..(to - DATA_OFFSET).div_ceil(slot_bytes) {
            let (slot, offset) = (Recording::slot(window), DATA_OFFSET + window * slot_bytes);
            let (first, last) = (from.max(offset), to.min(offset + slot_bytes));
            let word = self.shape.word(slot, offset, slot_bytes).unwrap();
            self.spool.write_all_at(&word.to_ne_bytes(), self.shape.word_at(slot)).unwrap();
            let sound = &self.file[first as usize..last as usize];
            self.spool.write_all_at(sound, self.shape.slot_at(slot) + (first - offset)).unwrap();
        }
        self.frames.store(end, SeqCst);
    }

    /// Does what the committer does: writes the windows before page `end` to the WAV from page `from` on, and frees their
    /// slots, which then hold other sound. Returns the page after the last one.
    fn commit(&self, from: u64, end: u64) -> u64 {
        let windows = (from - 1) / SLOT_PAGES..(end - 1) / SLOT_PAGES;
        let (from, end) = ((1 + windows.start * SLOT_PAGES) * 4096, (1 + windows.end * SLOT_PAGES) * 4096);
        self.wav.write_all_at(&self.file[from as usize..end as usize], from).unwrap();
        for slot in windows.clone().map(Recording::slot) {
            self.spool.write_all_at(&FREE.to_ne_bytes(), self.shape.word_at(slot)).unwrap();
            self.spool.write_all_at(&vec![99; self.shape.slot_bytes()], self.shape.slot_at(slot)).unwrap();
        }
        1 + windows.end * SLOT_PAGES
    }

    /// Ends the take: writes the whole WAV and removes the spool.
    fn end(&self) {
        self.wav.write_all_at(&self.file, 0).unwrap();
        fs::remove_file(self.take.spool.as_ref().unwrap()).unwrap();
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        fs::remove_file(self.take.spool.as_ref().unwrap()).ok();
    }
}

/// A spool in memory, as in use, and one on a disk.
fn spool_folders(folder: &Path) -> Vec<PathBuf> {
    vec![PathBuf::from("/dev/shm"), folder.join("trash")]
}

#[test]
fn a_growing_take_is_drawn_from_its_spool_and_its_wav() {
    let folder = folder();
    let all = 2_600_000u64;
    for (spools, format, channels) in spool_folders(folder.path()).into_iter().flat_map(|spools| {
        [(spools.clone(), TakeFormat::S24, 1), (spools.clone(), TakeFormat::S16, 2), (spools, TakeFormat::F32, 1)]
    }) {
        let take = Recording::start(folder.path(), &spools, format, channels, all as usize);
        let id = take.take.take;
        let mut store = PeakStore::start(folder.path()).unwrap();
        store.watch_live(take.take.clone());
        let mut out = [Column::EMPTY; 4];
        store.columns(id, 0, 0.0, 1024.0, &mut out);
        assert!(out.iter().all(|column| column.is_empty()), "nothing is there yet");
        let mut committed = 1;
        for end in [700, 5_000, 100_001, 1_100_000, 1_100_256, 2_400_000] {
            take.record(end);
            // Every other time the committer is faster than peaks-live.
            if end % 2 == 0 {
                let pages = (DATA_OFFSET + end * take.frame_bytes as u64) / 4096 - 1;
                if committed < pages {
                    committed = take.commit(committed, pages);
                }
            }
            let seen = end.saturating_sub(STORE_LAG_FRAMES);
            wait_until(|| store.frames_of(id) == seen);
            let samples = &take.samples[..seen as usize * channels];
            for per in [1.0, 20.0, 256.0, 1024.0, 50_000.0] {
                let from = (seen as f64 - 300.0 * per).max(0.0);
                let expected = expected_columns(samples, channels, channels - 1, from, per, 310);
                assert_eq!(exact_columns(&mut store, id, channels - 1, from, per, 310), expected, "{per} at {end}");
            }
        }
        assert_eq!(store.state_of(id), Some(WaveformState::Live));
        take.record(all);
        take.end();
        store.finish(id, all);
        wait_until_ready(&store, id);
        assert_eq!(store.frames_of(id), all);
        for per in [1.0, 20.0, 256.0, 1024.0, 50_000.0] {
            let expected = expected_columns(&take.samples, channels, 0, 1_040_000.0, per, 50);
            assert_eq!(exact_columns(&mut store, id, 0, 1_040_000.0, per, 50), expected);
        }
        // The cache file was saved.
        let wav = cache::Fingerprint::of(&take.wav.metadata().unwrap());
        assert!(cache::open(&store.cache_path(id), wav).is_some());
    }
}

#[test]
fn lost_frames_are_drawn_as_silence() {
    let folder = folder();
    let take = Recording::start(folder.path(), Path::new("/dev/shm"), TakeFormat::F32, 1, 200_000);
    let id = take.take.take;
    take.record(200_000);
    // There was no window for pages 51 to 60, and the WAV ends before them.
    for slot in [10, 11].map(Recording::slot) {
        take.spool.write_all_at(&FREE.to_ne_bytes(), take.shape.word_at(slot)).unwrap();
    }
    let mut samples = take.samples.clone();
    samples[50 * 1024..60 * 1024].fill(0.0);
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.watch_live(take.take.clone());
    wait_until(|| store.frames_of(id) == 200_000 - STORE_LAG_FRAMES);
    let seen = exact_columns(&mut store, id, 0, 0.0, 256.0, 700);
    assert_eq!(seen, expected_columns(&samples, 1, 0, 0.0, 256.0, 700));
    assert_eq!(seen[50 * 4], Column { min: 0.0, max: 0.0 });
}

/// Without a spool folder the waveform stayed empty until the take had ended.
#[test]
fn a_take_whose_spool_has_no_name_is_drawn_as_far_as_the_header_of_its_wav_claims() {
    let folder = folder();
    let take = Recording::start(folder.path(), Path::new("/dev/shm"), TakeFormat::S24, 2, 300_000);
    let id = take.take.take;
    let claim = |frames: u64| {
        let header = Header { data_bytes: 6 * frames, ..Header::new(2, 48_000, TakeFormat::S24) };
        take.wav.write_all_at(&header.build()[..], 0).unwrap();
    };
    claim(0);
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.watch_live(LiveTake { spool: Some(NAMELESS_SPOOL.into()), ..take.take.clone() });
    // The file is longer than its sound.
    take.wav.set_len(take.file.len() as u64).unwrap();
    take.wav.write_all_at(&take.file[4096..4096 + 6 * 100_000], 4096).unwrap();
    take.frames.store(250_000, SeqCst);
    claim(100_000);
    wait_until(|| store.frames_of(id) == 100_000);
    let seen = exact_columns(&mut store, id, 1, 0.0, 256.0, 390);
    assert_eq!(seen, expected_columns(&take.samples[..200_000], 2, 1, 0.0, 256.0, 390));
    take.wav.write_all_at(&take.file, 0).unwrap();
    wait_until(|| store.frames_of(id) == 250_000 - STORE_LAG_FRAMES);
    store.finish(id, 300_000);
    wait_until_ready(&store, id);
    assert_eq!(store.frames_of(id), 300_000);
}

#[test]
fn a_take_recorded_in_place_is_drawn_as_far_as_its_wav_reaches() {
    let folder = folder();
    let take = Recording::start(folder.path(), Path::new("/dev/shm"), TakeFormat::S24, 2, 300_000);
    let id = take.take.take;
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.watch_live(LiveTake { spool: None, ..take.take.clone() });
    take.wav.write_all_at(&take.file[..4096 + 6 * 100_000], 0).unwrap();
    take.frames.store(90_000, SeqCst);
    wait_until(|| store.frames_of(id) == 90_000 - STORE_LAG_FRAMES);
    take.frames.store(300_000, SeqCst);
    wait_until(|| store.frames_of(id) == 100_000);
    take.frames.store(u64::MAX, SeqCst);
    take.wav.write_all_at(&take.file, 0).unwrap();
    store.finish(id, 300_000);
    // The store is dropped at once. A take that has ended is saved all the same.
    drop(store);
    let mut store = PeakStore::start(folder.path()).unwrap();
    let wav = cache::Fingerprint::of(&take.wav.metadata().unwrap());
    assert!(cache::open(&store.cache_path(id), wav).is_some());
    store.request(id, &take.take.wav);
    assert_eq!(
        exact_columns(&mut store, id, 1, 0.0, 256.0, 1200),
        expected_columns(&take.samples, 2, 1, 0.0, 256.0, 1200)
    );
}

#[test]
fn a_take_that_ends_before_its_drawn_part_is_built_again() {
    let folder = folder();
    let take = Recording::start(folder.path(), Path::new("/dev/shm"), TakeFormat::S16, 1, 100_000);
    let id = take.take.take;
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.watch_live(take.take.clone());
    take.record(100_000);
    wait_until(|| store.frames_of(id) == 100_000 - STORE_LAG_FRAMES);
    // Only half of the take reached the disk.
    let (half, _) = wav(TakeFormat::S16, 1, &take.samples[..50_000]);
    take.wav.write_all_at(&half, 0).unwrap();
    store.finish(id, 100_000);
    wait_until(|| store.frames_of(id) == 50_000);
    wait_until_ready(&store, id);
    let expected = expected_columns(&take.samples[..50_000], 1, 0, 0.0, 1024.0, 60);
    assert_eq!(exact_columns(&mut store, id, 0, 0.0, 1024.0, 60), expected);
}

#[test]
fn a_take_whose_file_vanishes_fails_and_keeps_its_drawn_part() {
    let folder = folder();
    let take = Recording::start(folder.path(), Path::new("/dev/shm"), TakeFormat::S16, 1, 100_000);
    let id = take.take.take;
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.watch_live(take.take.clone());
    take.record(100_000);
    wait_until(|| store.frames_of(id) > 0);
    fs::remove_file(&take.take.wav).unwrap();
    store.finish(id, 100_000);
    wait_until(|| matches!(store.state_of(id), Some(WaveformState::Failed { .. })));
    let mut out = [Column::EMPTY; 4];
    assert_eq!(store.columns(id, 0, 0.0, 1024.0, &mut out), Quality::Exact);
    assert!(out.iter().all(|column| !column.is_empty()));
    store.forget(id);
    store.watch_live(take.take.clone());
    assert_eq!(store.state_of(id), Some(WaveformState::Live));
}
