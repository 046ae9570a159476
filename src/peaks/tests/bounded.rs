//! The bound of the memory for waveforms. Thread: tests.

use super::super::cache;
use super::super::columns::Column;
use super::super::store::{PeakStore, Quality, WaveformState};
use super::speed::{long_take, minutes, resident_kib};
use super::{folder, wait_until, wait_until_ready};
use crate::limits::{PEAK_BLOCK_BYTES_MAX, PEAK_LEVEL_BYTES_MAX, PEAK_OPENS_MAX};
use std::fs;
use uuid::Uuid;

/// Tracks on the screen.
const TRACKS: usize = 24;

/// Passes, one behind the other on the timeline.
fn passes() -> usize {
    std::env::var("FAULTLESS_PEAK_PASSES").ok().and_then(|passes| passes.parse().ok()).unwrap_or(20)
}

/// Draws all takes of some passes. Returns how many are not exact.
fn drawing(store: &mut PeakStore, takes: &[Uuid], from: f64, per: f64, moved: bool, out: &mut [Column]) -> usize {
    store.begin_drawing(moved);
    takes.iter().filter(|take| store.columns(**take, 0, from, per, out) != Quality::Exact).count()
}

#[test]
fn a_view_that_scrolls_over_every_pass_keeps_the_store_within_its_bound() {
    let folder = folder();
    let frames = minutes() * 60 * 48_000;
    let path = long_take(folder.path(), frames);
    let ids: Vec<Uuid> = (0..passes() * TRACKS).map(|_| Uuid::new_v4()).collect();
    let mut store = PeakStore::start(folder.path()).unwrap();
    store.request(ids[0], &path);
    wait_until_ready(&store, ids[0]);
    let cache = store.cache_path(ids[0]);
    drop(store);
    for id in &ids[1..] {
        fs::hard_link(&cache, cache::path_of(&folder.path().join("peaks"), *id)).unwrap();
    }
    let before = resident_kib();
    let mut store = PeakStore::start(folder.path()).unwrap();
    // With few and short takes the real limit would not be reached.
    let limit = PEAK_LEVEL_BYTES_MAX.min(ids.len() * 8 * 1024 / 4);
    store.limit_levels(limit);
    for id in &ids {
        store.add(*id, &path);
    }
    assert_eq!((store.level_bytes(), store.is_busy()), (0, false), "nothing is loaded before it is drawn");
    let mut out = vec![Column::EMPTY; 1200];
    let bytes_of_one = 16 * 1024 + frames as usize / 65_536 * 4 * 2;
    let (mut levels_max, mut blocks_max) = (0, 0);
    for per in [256.0, 1024.0, 20_000.0] {
        for pass in (0..passes()).chain((0..passes()).rev()) {
            let shown = &ids[pass * TRACKS..][..TRACKS];
            let mut left = drawing(&mut store, shown, 0.0, per, true, &mut out);
            wait_until(|| {
                left = if left > 0 { drawing(&mut store, shown, 0.0, per, false, &mut out) } else { 0 };
                levels_max = levels_max.max(store.level_bytes());
                blocks_max = blocks_max.max(store.loaded_bytes());
                left == 0
            });
        }
    }
    println!(
        "{} takes of {} min: at most {} KiB of levels and {} KiB of blocks, {} KiB of memory",
        ids.len(),
        minutes(),
        levels_max / 1024,
        blocks_max / 1024,
        resident_kib() - before
    );
    assert!(levels_max <= limit + TRACKS * bytes_of_one, "{levels_max} bytes of levels, {limit} are permitted");
    assert!(blocks_max <= PEAK_BLOCK_BYTES_MAX);

    // Pictures with more takes than fit: those that fit are drawn, and the store comes to rest.
    let whole = frames as f64 / 10.0;
    let most = limit + PEAK_OPENS_MAX * bytes_of_one;
    let (first, second) = ids.split_at(ids.len() / 2);
    for shown in [&ids[..], first, second] {
        drawing(&mut store, shown, 0.0, whole, true, &mut out);
        let mut generation = None;
        wait_until(|| {
            drawing(&mut store, shown, 0.0, whole, false, &mut out);
            let rests = !store.is_busy() && generation == Some(store.generation());
            generation = Some(store.generation());
            rests
        });
        assert!(store.level_bytes() <= most, "{} bytes of levels, {most} are permitted", store.level_bytes());
        let drawn = shown.iter().filter(|id| store.state_of(**id) == Some(WaveformState::Ready)).count();
        println!("{drawn} of {} takes fit into one picture", shown.len());
        assert!(drawn >= TRACKS);
    }
    // Back to one pass: it is exact again.
    drawing(&mut store, &ids[..TRACKS], 0.0, 1024.0, true, &mut out);
    wait_until(|| drawing(&mut store, &ids[..TRACKS], 0.0, 1024.0, false, &mut out) == 0);
}
