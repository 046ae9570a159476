//! Measures the cost of waveforms; `--nocapture` shows the figures. The bounds are wide, because other programs run on
//! the machine. Thread: tests.

use super::super::cache::{self, Fingerprint};
use super::super::columns::Column;
use super::super::store::{PeakStore, Quality};
use super::{folder, wait_until, wait_until_ready};
use crate::format::TakeFormat;
use crate::wav::header::Header;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use uuid::Uuid;

/// Minutes of the long take. An hour takes half a GiB of disk, so the default is 2.
pub(super) fn minutes() -> u64 {
    std::env::var("FAULTLESS_PEAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(2)
}

pub(super) fn long_take(folder: &Path, frames: u64) -> PathBuf {
    let mut header = Header::new(1, 48_000, TakeFormat::S24);
    header.data_bytes = frames * 3;
    let path = folder.join("audio/long-1.wav");
    let mut file = File::create(&path).unwrap();
    file.write_all(&*header.build()).unwrap();
    let second: Vec<u8> = (0..48_000u32).flat_map(|n| ((n * 349) % 0x7f_ffff).to_le_bytes()[..3].to_vec()).collect();
    for _ in 0..frames / 48_000 {
        file.write_all(&second).unwrap();
    }
    path
}

#[test]
fn building_opening_and_drawing_are_fast_enough() {
    let folder = folder();
    let frames = minutes() * 60 * 48_000;
    let path = long_take(folder.path(), frames);
    let ids: Vec<Uuid> = (0..64).map(|_| Uuid::new_v4()).collect();
    let mut store = PeakStore::start(folder.path()).unwrap();
    let start = Instant::now();
    store.request(ids[0], &path);
    wait_until_ready(&store, ids[0]);
    println!("build {} min of mono s24: {:?}", minutes(), start.elapsed());
    let cache = store.cache_path(ids[0]);
    println!("cache: {} bytes", fs::metadata(&cache).unwrap().len());
    drop(store);
    for id in &ids[1..] {
        fs::copy(&cache, cache::path_of(&folder.path().join("peaks"), *id)).unwrap();
    }
    for id in &ids {
        // Drop the file from the page cache, as after a start of the machine.
        let file = File::open(cache::path_of(&folder.path().join("peaks"), *id)).unwrap();
        file.sync_all().unwrap();
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }

    let before = resident_kib();
    let mut store = PeakStore::start(folder.path()).unwrap();
    let start = Instant::now();
    for id in &ids {
        store.request(*id, &path);
    }
    println!("want 64 takes: {:?}", start.elapsed());
    wait_until(|| !store.is_busy());
    let elapsed = start.elapsed();
    println!("open 64 caches from the disk: {elapsed:?}, {} KiB of memory", resident_kib() - before);
    assert!(elapsed.as_secs() < 5);
    let start = Instant::now();
    let fingerprint = Fingerprint::of(&fs::metadata(&path).unwrap());
    assert!(cache::open(&cache, fingerprint).is_some());
    println!("open one cache again: {:?}", start.elapsed());

    let mut out = vec![Column::EMPTY; 1200];
    for per in [frames as f64 / 1200.0, 5000.0, 1024.0, 256.0, 255.0, 16.0, 2.0] {
        let start = Instant::now();
        let mut draw = |store: &mut PeakStore| {
            ids.iter().filter(|id| store.columns(**id, 0, per * 100.0, per, &mut out) != Quality::Exact).count()
        };
        draw(&mut store);
        let first = start.elapsed();
        wait_until(|| draw(&mut store) == 0);
        let all = start.elapsed();
        let again = Instant::now();
        assert_eq!(draw(&mut store), 0, "blocks on the screen do not push each other out");
        println!(
            "{per:.0} frames a column: 64 x 1200 columns at first {first:?}, exact after {all:?}, then {:?}; {} KiB kept",
            again.elapsed(),
            store.loaded_bytes() / 1024
        );
    }
}

pub(super) fn resident_kib() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_builder_hardly_takes_time_from_others_and_still_ends_on_a_busy_machine() {
    // The thread's nice value is field 19, its policy is field 41; the name in brackets is field 2. Policy 0 is the ordinary one.
    let of_builder = |stat: &str| {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some((fields.get(16)?.parse::<i32>().ok()?, fields.get(38)?.parse::<i32>().ok()?))
    };
    let folder = folder();
    let _store = PeakStore::start(folder.path()).unwrap();
    wait_until(|| {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        stats.filter(|stat| stat.contains("(peaks-build)")).any(|stat| of_builder(&stat) == Some((19, 0)))
    });
}
