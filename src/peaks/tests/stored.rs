//! Finished takes, and cache files: valid, damaged and hostile. Thread: tests.

use super::super::cache::{self, CacheWriter, Fingerprint};
use super::super::columns::Column;
use super::super::pyramid::Grower;
use super::super::store::{PeakStore, Quality, WaveformState};
use super::{exact_columns, expected_columns, folder, sound, take, wait_until, wait_until_ready};
use crate::format::TakeFormat;
use proptest::prelude::*;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use uuid::Uuid;

/// Builds the cache file of a take with a store. Returns the take's identity.
fn built(folder: &Path, wav: &Path) -> Uuid {
    let id = Uuid::new_v4();
    let mut store = PeakStore::start(folder).unwrap();
    store.request(id, wav);
    wait_until_ready(&store, id);
    assert!(store.cache_path(id).exists());
    id
}

fn fingerprint(path: &Path) -> Fingerprint {
    Fingerprint::of(&fs::metadata(path).unwrap())
}

#[test]
fn every_zoom_of_every_format_matches_every_sample() {
    let folder = folder();
    let mut store = PeakStore::start(folder.path()).unwrap();
    for (format, channels) in [(TakeFormat::S16, 1), (TakeFormat::S24, 1), (TakeFormat::F32, 2), (TakeFormat::S24, 2)] {
        let name = format!("{format:?}-{channels}.wav");
        let (path, samples) = take(folder.path(), &name, format, channels, &sound(channels, 1_200_000));
        let id = Uuid::new_v4();
        store.request(id, &path);
        store.request(id, &path);
        wait_until_ready(&store, id);
        assert_eq!(store.frames_of(id), 1_200_000);
        for per in [0.3, 1.0, 7.5, 16.0, 100.0, 255.0, 256.0, 700.0, 1024.0, 9000.0, 400_000.0] {
            for from in [-3.0 * per, 0.0, 16_380.0, 65_530.0, 1_048_570.0, 1_199_990.0] {
                for channel in 0..channels {
                    let seen = exact_columns(&mut store, id, channel, from, per, 40);
                    let expected = expected_columns(&samples, channels, channel, from, per, 40);
                    assert_eq!(seen, expected, "{name}: {per} a column from {from}");
                }
            }
        }
    }
    assert!(!store.is_busy());
}

#[test]
fn a_cache_comes_back_as_it_was_and_only_for_its_own_wav() {
    let folder = folder();
    let (path, samples) = take(folder.path(), "a-1.wav", TakeFormat::S24, 1, &sound(1, 1_100_000));
    let id = built(folder.path(), &path);
    let cached = cache::open(&cache::path_of(&folder.path().join("peaks"), id), fingerprint(&path)).unwrap();
    let mut fresh = Grower::new(1);
    fresh.push(&samples);
    for per in [1024.0, 5000.0, 30_000.0, 600_000.0] {
        let (mut a, mut b) = (vec![Column::EMPTY; 100], vec![Column::EMPTY; 100]);
        cached.columns(0, 0.0, per, &mut a);
        fresh.pyramid().columns(0, 0.0, per, &mut b);
        assert_eq!(a, b);
    }
    // A second store finds the cache file and draws the base from it.
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.request(id, &path);
    let made = fs::metadata(store.cache_path(id)).unwrap().modified().unwrap();
    assert_eq!(exact_columns(&mut store, id, 0, 0.0, 256.0, 4300), expected_columns(&samples, 1, 0, 0.0, 256.0, 4300));
    assert_eq!(fs::metadata(store.cache_path(id)).unwrap().modified().unwrap(), made, "the cache was not built again");
    drop(store);

    // Another sound of the same length under the same name: the waveform is built again.
    let (path, samples) = take(folder.path(), "a-1.wav", TakeFormat::S24, 1, &vec![0.125; 1_100_000]);
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.request(id, &path);
    wait_until_ready(&store, id);
    assert_eq!(exact_columns(&mut store, id, 0, 0.0, 256.0, 100), expected_columns(&samples, 1, 0, 0.0, 256.0, 100));
}

#[test]
fn damage_anywhere_in_a_cache_is_noticed_or_drawn_from_the_wav() {
    let folder = folder();
    let (path, samples) = take(folder.path(), "a-1.wav", TakeFormat::S16, 1, &sound(1, 40_000));
    let id = built(folder.path(), &path);
    let cache = cache::path_of(&folder.path().join("peaks"), id);
    let good = fs::read(&cache).unwrap();
    // The header has 64 bytes, the lowest level 40 entries at the end of the file.
    for at in (0..64).chain(good.len() - 160..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        fs::write(&cache, bad).unwrap();
        assert!(cache::open(&cache, fingerprint(&path)).is_none(), "byte {at}");
    }
    for len in [0, 1, 63, 64, good.len() - 1] {
        fs::write(&cache, &good[..len]).unwrap();
        assert!(cache::open(&cache, fingerprint(&path)).is_none(), "{len} bytes");
    }
    // In the base: an entry that no samples have.
    let mut bad = good.clone();
    bad[64..68].copy_from_slice(&[0xff, 0x7f, 0, 0x80]);
    fs::write(&cache, bad).unwrap();
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.request(id, &path);
    assert_eq!(exact_columns(&mut store, id, 0, 0.0, 256.0, 150), expected_columns(&samples, 1, 0, 0.0, 256.0, 150));
    drop(store);

    // A pipe and a symlink under its name.
    fs::remove_file(&cache).unwrap();
    nix::unistd::mkfifo(&cache, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(cache::open(&cache, fingerprint(&path)).is_none());
    fs::remove_file(&cache).unwrap();
    let target = folder.path().join("target");
    fs::write(&target, &good).unwrap();
    std::os::unix::fs::symlink(&target, &cache).unwrap();
    assert!(cache::open(&cache, fingerprint(&path)).is_none());
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.request(id, &path);
    wait_until_ready(&store, id);
    assert!(fs::symlink_metadata(&cache).unwrap().is_file(), "the link is replaced");
    assert_eq!(fs::read(&target).unwrap(), good, "and its target is not changed");
}

#[test]
fn huge_counts_allocate_nothing() {
    let folder = folder();
    let (path, _) = take(folder.path(), "a-1.wav", TakeFormat::S16, 1, &sound(1, 5_000));
    let id = built(folder.path(), &path);
    let cache = cache::path_of(&folder.path().join("peaks"), id);
    let good = fs::read(&cache).unwrap();
    for frames in [u64::MAX, u64::MAX - 255, 1 << 63, 1 << 40, 1 << 34, 5_001 * 1024] {
        let mut bad = good.clone();
        bad[24..32].copy_from_slice(&frames.to_le_bytes());
        fs::write(&cache, &bad).unwrap();
        assert!(cache::open(&cache, fingerprint(&path)).is_none(), "{frames}");
    }
    for channels in [0u32, 3, 1 << 20, u32::MAX] {
        let mut bad = good.clone();
        bad[12..16].copy_from_slice(&channels.to_le_bytes());
        fs::write(&cache, &bad).unwrap();
        assert!(cache::open(&cache, fingerprint(&path)).is_none(), "{channels}");
    }
}

#[test]
fn a_cache_of_holes_that_is_longer_than_its_wav_allocates_nothing() {
    let folder = folder();
    let (path, _) = take(folder.path(), "a-1.wav", TakeFormat::S16, 1, &sound(1, 5_000));
    let id = built(folder.path(), &path);
    let cache = cache::path_of(&folder.path().join("peaks"), id);
    let mut header = fs::read(&cache).unwrap()[..cache::HEADER_BYTES].to_vec();
    // Six hours, in a sparse file of the right length whose checksum is correct for its zeros.
    let frames = 1_u64 << 30;
    header[24..32].copy_from_slice(&frames.to_le_bytes());
    let words = header[..56].as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let words = words.chain(std::iter::repeat_n(0, (frames / 1024) as usize));
    let sum =
        words.fold(0xcbf2_9ce4_8422_2325_u64, |sum, word| (sum ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01b3));
    header[56..].copy_from_slice(&sum.to_le_bytes());
    fs::write(&cache, &header).unwrap();
    fs::File::options().write(true).open(&cache).unwrap().set_len(64 + frames / 256 * 4 + frames / 1024 * 4).unwrap();
    assert!(cache::open(&cache, fingerprint(&path)).is_none());
}

#[test]
fn a_missing_wav_fails_and_a_short_one_is_drawn_to_its_end() {
    let folder = folder();
    let mut store = PeakStore::start(folder.path()).unwrap();
    let absent = folder.path().join("audio/absent-1.wav");
    let id = Uuid::new_v4();
    store.request(id, &absent);
    wait_until(|| matches!(store.state_of(id), Some(WaveformState::Failed { .. })));
    let Some(WaveformState::Failed { reason }) = store.state_of(id) else { panic!("it can't be there") };
    assert!(reason.contains("absent-1.wav") && reason.ends_with("check the name"), "{reason}");
    let mut out = [Column { min: 0.0, max: 0.0 }; 3];
    assert_eq!(store.columns(id, 0, 0.0, 1024.0, &mut out), Quality::Missing);
    assert!(out.iter().all(|column| column.is_empty()));
    assert_eq!(store.columns(Uuid::new_v4(), 0, 0.0, 1024.0, &mut out), Quality::Missing);

    let (path, samples) = take(folder.path(), "cut-1.wav", TakeFormat::S24, 1, &sound(1, 100_000));
    OpenOptions::new().write(true).open(&path).unwrap().set_len(4096 + 3 * 60_001 + 1).unwrap();
    let id = Uuid::new_v4();
    store.request(id, &path);
    wait_until_ready(&store, id);
    assert_eq!(store.frames_of(id), 60_001);
    for per in [1.0, 20.0, 256.0, 3000.0] {
        let expected = expected_columns(&samples[..60_001], 1, 0, 59_000.0, per, 60);
        assert_eq!(exact_columns(&mut store, id, 0, 59_000.0, per, 60), expected);
    }

    let path = folder.path().join("audio/empty-1.wav");
    fs::write(&path, b"RIFF").unwrap();
    let id = Uuid::new_v4();
    store.request(id, &path);
    wait_until(|| matches!(store.state_of(id), Some(WaveformState::Failed { .. })));

    let (path, _) = take(folder.path(), "none-1.wav", TakeFormat::S24, 1, &[]);
    let id = Uuid::new_v4();
    store.request(id, &path);
    wait_until_ready(&store, id);
    assert_eq!(store.columns(id, 0, 0.0, 1024.0, &mut out), Quality::Exact);
    assert!(out.iter().all(|column| column.is_empty()));
}

#[test]
fn a_take_in_the_trash_is_found_and_a_forgotten_one_can_be_requested_again() {
    let folder = folder();
    let (path, samples) = take(folder.path(), "a-1.wav", TakeFormat::F32, 1, &sound(1, 30_000));
    let mut store = PeakStore::start(folder.path()).unwrap();
    let id = Uuid::new_v4();
    store.request(id, &path);
    wait_until_ready(&store, id);
    fs::rename(&path, folder.path().join("trash/a-1.wav")).unwrap();
    assert_eq!(exact_columns(&mut store, id, 0, 0.0, 1.0, 500), expected_columns(&samples, 1, 0, 0.0, 1.0, 500));
    assert!(store.loaded_bytes() > 0);
    store.forget(id);
    assert_eq!((store.loaded_bytes(), store.state_of(id), store.generation_of(id)), (0, None, 0));
    store.request(id, &path);
    wait_until_ready(&store, id);
    assert_eq!(exact_columns(&mut store, id, 0, 0.0, 1.0, 500), expected_columns(&samples, 1, 0, 0.0, 1.0, 500));
}

#[test]
fn the_generation_changes_when_more_can_be_drawn_and_columns_are_coarse_until_then() {
    let folder = folder();
    let (path, samples) = take(folder.path(), "a-1.wav", TakeFormat::S24, 1, &sound(1, 8_000_000));
    let mut store = PeakStore::start(folder.path()).unwrap();
    let (id, mut out) = (Uuid::new_v4(), [Column::EMPTY; 100]);
    assert_eq!((store.generation(), store.generation_of(id)), (0, 0));
    store.request(id, &path);
    assert!(store.is_busy());
    // While it is built, the part that is there is correct.
    wait_until(|| {
        let whole = store.state_of(id) == Some(WaveformState::Ready);
        let quality = store.columns(id, 0, 0.0, 1024.0, &mut out);
        assert!(whole || quality != Quality::Exact || store.state_of(id) == Some(WaveformState::Ready));
        let there = out.iter().take_while(|column| !column.is_empty()).count().saturating_sub(1);
        assert_eq!(out[..there], expected_columns(&samples, 1, 0, 0.0, 1024.0, there));
        whole
    });
    let before = (store.generation(), store.generation_of(id));
    assert!(before.0 > 0 && before.1 > 0);
    wait_until(|| !store.is_busy());
    let before = (store.generation(), store.generation_of(id));
    assert_eq!(store.columns(id, 0, 4_000_000.0, 1.0, &mut out), Quality::Coarse);
    assert!(out.iter().all(|column| !column.is_empty()), "coarse is better than nothing");
    wait_until(|| store.generation() != before.0 && store.generation_of(id) != before.1);
    assert_eq!(store.columns(id, 0, 4_000_000.0, 1.0, &mut out), Quality::Exact);
    assert_eq!(out[..], expected_columns(&samples, 1, 0, 4_000_000.0, 1.0, 100));
}

#[test]
fn a_store_that_is_dropped_while_it_builds_leaves_no_partial_file() {
    let folder = folder();
    let (path, _) = take(folder.path(), "a-1.wav", TakeFormat::S24, 1, &sound(1, 8_000_000));
    for _ in 0..3 {
        let mut store = PeakStore::start(folder.path()).unwrap();
        let ids: Vec<Uuid> = (0..50).map(|_| Uuid::new_v4()).collect();
        for id in &ids {
            store.request(*id, &path);
        }
        wait_until(|| store.frames_of(ids[0]) > 0);
        // Forget the take that is being built as well.
        store.forget(ids[0]);
        drop(store);
    }
    for entry in fs::read_dir(folder.path().join("peaks")).unwrap() {
        let entry = entry.unwrap().path();
        assert!(cache::open(&entry, fingerprint(&path)).is_some(), "{}", entry.display());
    }
}

#[test]
fn clipping_is_seen_at_every_zoom_of_a_float_take() {
    let folder = folder();
    let mut samples = vec![0.5; 2_000_000];
    samples[1_000_000] = 3.0;
    samples[1_000_001] = -f32::INFINITY;
    let (path, _) = take(folder.path(), "hot-1.wav", TakeFormat::F32, 1, &samples);
    let mut store = PeakStore::start(folder.path()).unwrap();
    let id = Uuid::new_v4();
    store.request(id, &path);
    wait_until_ready(&store, id);
    for per in [1.0, 16.0, 300.0, 2000.0, 500_000.0] {
        let seen = exact_columns(&mut store, id, 0, 999_999.0 - per * 3.0, per, 8);
        assert!(seen.iter().any(|column| column.is_clipped()), "{per}");
        let within = |column: &Column| column.is_empty() || (-1.0 <= column.min && column.max <= 1.0);
        assert!(seen.iter().all(within), "{per}: {seen:?}");
        assert!(!exact_columns(&mut store, id, 0, 0.0, per, 1)[0].is_clipped());
    }
}

#[test]
fn without_a_cache_folder_waveforms_are_drawn_all_the_same() {
    let folder = folder();
    fs::remove_dir(folder.path().join("peaks")).unwrap();
    fs::write(folder.path().join("peaks"), "in the way").unwrap();
    let (path, samples) = take(folder.path(), "a-1.wav", TakeFormat::S16, 2, &sound(2, 1_500_000));
    let mut store = PeakStore::start(folder.path()).unwrap();
    let id = Uuid::new_v4();
    store.request(id, &path);
    wait_until_ready(&store, id);
    for per in [2.0, 256.0, 1024.0] {
        let expected = expected_columns(&samples, 2, 1, 1_048_000.0, per, 900);
        assert_eq!(exact_columns(&mut store, id, 1, 1_048_000.0, per, 900), expected);
    }
}

#[test]
fn partial_files_of_a_killed_program_are_removed_and_nothing_else() {
    let folder = folder();
    let peaks = folder.path().join("peaks");
    let part = cache::part_path_of(&peaks, Uuid::new_v4());
    fs::write(&part, "half").unwrap();
    fs::write(peaks.join(".mine.peaks.part"), "not a take").unwrap();
    let store = PeakStore::start(folder.path()).unwrap();
    wait_until(|| !part.exists());
    drop(store);
    assert!(peaks.join(".mine.peaks.part").exists());
    // Dropping an unfinished writer removes its file.
    let id = Uuid::new_v4();
    drop(CacheWriter::create(&peaks, id).unwrap());
    assert!(!cache::part_path_of(&peaks, id).exists() && !cache::path_of(&peaks, id).exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_random_file_is_accepted_as_a_cache(
        tail in prop::collection::vec(any::<u8>(), 0..4_000),
        frames in 0u64..100_000,
        channels in 0u32..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (wav, path) = (folder.path().join("a.wav"), folder.path().join("x.peaks"));
        fs::write(&wav, [0; 100]).unwrap();
        fs::write(&path, &tail).unwrap();
        prop_assert!(cache::open(&path, fingerprint(&wav)).is_none());
        cache::read_block(&path, 1, frames, frames / 4096).ok();
        // Random bytes behind a header that fits the WAV.
        let mut file = b"FLTPEAKS".to_vec();
        for word in [1, channels, 48_000, 256] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        let data = fs::metadata(&wav).unwrap();
        for long in [frames, data.len(), data.mtime() as u64, data.mtime_nsec() as u64] {
            file.extend_from_slice(&long.to_le_bytes());
        }
        file.extend_from_slice(&tail);
        let fit = 64 + 4 * u64::from(channels) * (frames.div_ceil(256) + frames.div_ceil(1024));
        if fit < 2_000_000 {
            file.resize(fit as usize, 0);
        }
        fs::write(&path, &file).unwrap();
        prop_assert!(cache::open(&path, fingerprint(&wav)).is_none());
    }
}
