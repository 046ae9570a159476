//! Helpers for the tests of waveforms. Thread: tests.

mod bounded;
mod live;
mod pure;
mod speed;
mod stored;

use super::columns::Column;
use super::entry::{Entry, Extent};
use super::store::{PeakStore, Quality, WaveformState};
use crate::format::TakeFormat;
use crate::wav::header::Header;
use crate::wav::sample;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A folder with the subfolders of a session, but without `session.json`.
fn folder() -> tempfile::TempDir {
    let disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&disk).unwrap();
    let folder = tempfile::tempdir_in(disk).unwrap();
    for name in ["audio", "trash", "peaks"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

/// Interleaved samples: a tone that swells, and noise, so that no two parts are alike.
fn sound(channels: usize, frames: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut samples = Vec::with_capacity(channels * frames);
    for n in 0..frames {
        for channel in 0..channels {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let tone = (n as f32 * (0.01 + channel as f32 * 0.003)).sin();
            samples.push(tone * (n as f32 * 1e-5).sin() * 0.7 + noise * 0.2);
        }
    }
    samples
}

/// The bytes of a WAV, and its samples as a reader decodes them.
fn wav(format: TakeFormat, channels: usize, samples: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let mut header = Header::new(channels as u16, 48_000, format);
    header.data_bytes = (samples.len() * format.bytes()) as u64;
    let mut bytes = vec![0; samples.len() * format.bytes()];
    sample::encode_f32_to(format, samples, &mut bytes);
    let mut back = vec![0.0; samples.len()];
    sample::decode_to_f32(format.into(), &bytes, &mut back);
    let mut file = header.build().to_vec();
    file.extend_from_slice(&bytes);
    file.resize(header.file_bytes() as usize, 0);
    (file, back)
}

/// Writes a WAV into `audio`. Returns its path and its samples as a reader decodes them.
fn take(folder: &Path, name: &str, format: TakeFormat, channels: usize, samples: &[f32]) -> (PathBuf, Vec<f32>) {
    let path = folder.join("audio").join(name);
    let (file, back) = wav(format, channels, samples);
    fs::write(&path, file).unwrap();
    (path, back)
}

/// The columns that `columns::draw` must return, computed from every sample.
fn expected_columns(
    samples: &[f32],
    channels: usize,
    channel: usize,
    from: f64,
    per: f64,
    count: usize,
) -> Vec<Column> {
    let frames = samples.len() / channels;
    let level = [1usize, 16, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];
    let entry = level.into_iter().rfind(|level| *level as f64 <= per).unwrap_or(1);
    let of = |at: usize| {
        let end = (at * entry + entry).min(frames);
        let mut extent = Extent::NONE;
        for frame in at * entry..end {
            extent.add(samples[frame * channels + channel]);
        }
        if entry == 1 { extent } else { Entry::of(extent).extent() }
    };
    (0..count)
        .map(|n| {
            let (a, b) = (from + n as f64 * per, from + (n + 1) as f64 * per);
            if b <= 0.0 || frames as f64 <= a {
                return Column::EMPTY;
            }
            let mut extent = Extent::NONE;
            let mut any = false;
            let near = (a.max(0.0) as usize / entry).saturating_sub(1)..frames.div_ceil(entry);
            for at in near.take_while(|at| ((at * entry) as f64) < b) {
                if a <= (at * entry) as f64 {
                    extent.merge(of(at));
                    any = true;
                }
            }
            if !any {
                extent = of(a.max(0.0) as usize / entry);
            }
            Column::from(extent)
        })
        .collect()
}

/// Draws again until the columns are exact.
fn exact_columns(store: &mut PeakStore, take: Uuid, channel: usize, from: f64, per: f64, count: usize) -> Vec<Column> {
    let mut out = vec![Column::EMPTY; count];
    wait_until(|| store.columns(take, channel, from, per, &mut out) == Quality::Exact);
    out
}

/// Waits until the waveform of a take is complete and no request is open.
fn wait_until_ready(store: &PeakStore, take: Uuid) {
    wait_until(|| store.state_of(take) == Some(WaveformState::Ready) && !store.is_busy());
}

#[track_caller]
fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "the condition was not met within 20 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}
