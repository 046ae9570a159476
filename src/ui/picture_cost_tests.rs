//! Tests of the processor time that a picture needs. Thread: test.

use super::demo;
use super::shell::Shell;
use crate::app::LiveSources;
use crate::app::snapshot::Snapshot;
use crate::peaks::{PeakStore, WaveformState, cache};
use egui::epaint::Primitive;
use egui::{Rect, pos2, vec2};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Pictures at the beginning that do not count: they lay out texts and read waveforms.
const FIRST: usize = 5;

/// Pictures that count.
const COUNTED: usize = 60;

/// The goal for the processor time of a picture with many regions, in milliseconds.
const GOAL_MS: f64 = 4.0;

/// Factor on the goal for the best of the pictures, because the machine that runs tests may be slow or busy.
const BUSY: f64 = 5.0;

/// The longest that the best picture may take while the zoom changes, in milliseconds: all waveforms are drawn again for each.
const ZOOMING_MS_MAX: f64 = 60.0;

/// The CPU time of this thread in milliseconds.
fn cpu_ms() -> f64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e3 + time.tv_nsec() as f64 / 1e6
}

/// CPU times of pictures in milliseconds, user interface and tessellation.
struct Cost {
    best: f64,
    median: f64,
    worst: f64,
    /// Vertices of the last picture.
    vertices: usize,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.2} ({:.2} to {:.2}) ms", self.median, self.best, self.worst)
    }
}

/// Draws pictures of 1440 x 900 points. `step` prepares each of them.
fn cost(
    shell: &mut Shell,
    snapshot: &Snapshot,
    waves: &mut Option<PeakStore>,
    mut step: impl FnMut(&mut Shell, usize),
) -> Cost {
    let ctx = egui::Context::default();
    super::theme::install_fonts(&ctx);
    let (mut times, mut vertices) = (Vec::new(), 0);
    for frame in 0..FIRST + COUNTED {
        let input = egui::RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(1440.0, 900.0))),
            time: Some(frame as f64 / 30.0),
            ..egui::RawInput::default()
        };
        step(shell, frame);
        let started = cpu_ms();
        let mut out = ctx.run_ui(input, |ui| {
            shell.update_meters(snapshot, ui.input(|input| input.time));
            shell.show(ui, snapshot, LiveSources { waves: waves.as_mut(), ..LiveSources::default() });
        });
        let shapes = std::mem::take(&mut out.shapes);
        let meshes = ctx.tessellate(shapes, out.pixels_per_point);
        times.push(cpu_ms() - started);
        let of = |mesh: &egui::ClippedPrimitive| match &mesh.primitive {
            Primitive::Mesh(mesh) => mesh.vertices.len(),
            Primitive::Callback(_) => 0,
        };
        vertices = meshes.iter().map(of).sum();
        out.textures_delta.clear();
    }
    times.drain(..FIRST);
    times.sort_by(f64::total_cmp);
    Cost { best: times[0], median: times[COUNTED / 2], worst: times[COUNTED - 1], vertices }
}

#[test]
fn drawing_the_window_costs_milliseconds_at_most() {
    for (tracks, most_ms) in [(24, 8.0), (64, 12.0)] {
        let (snapshot, mut shell) = (demo::recording(tracks, 2537), Shell::default());
        shell.bottom.open = true;
        let cost = cost(&mut shell, &snapshot, &mut None, |_, _| {});
        println!("{tracks} tracks: {cost} a picture");
        // Far above the usual time, because the machine that runs tests may be slow and the build not optimised.
        assert!(cost.median < most_ms, "{tracks} tracks: {cost}");
    }
}

/// Waveforms for the takes of `snapshot`, all of the same file: `samples`, and silence behind them.
pub(super) fn waves_of(snapshot: &Snapshot, folder: &Path, samples: &[i16]) -> PeakStore {
    let takes = snapshot.session.takes();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for name in ["audio", "peaks"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    let path = folder.join("audio/all-1.wav");
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for sample in samples {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
    // The silence is a hole, so the two lengths in the header of 44 bytes are written here.
    let data_bytes = u32::try_from(takes[0].frames.0 * 2).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&(data_bytes + 36).to_le_bytes(), 4).unwrap();
    file.write_all_at(&data_bytes.to_le_bytes(), 40).unwrap();
    file.set_len(44 + u64::from(data_bytes)).unwrap();
    let mut store = PeakStore::start(folder).unwrap();
    store.request(takes[0].uuid, &path);
    while store.state_of(takes[0].uuid) != Some(WaveformState::Ready) || store.is_busy() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let built = store.cache_path(takes[0].uuid);
    for take in &takes[1..] {
        std::fs::hard_link(&built, cache::path_of(&folder.join("peaks"), take.uuid)).unwrap();
    }
    for take in takes {
        store.add(take.uuid, &path);
    }
    store
}

/// Part of the session in view, and how far the rows are scrolled.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The first regions of all tracks, in low rows.
    Begin,
    /// The middle of the session and of the tracks, in tall rows.
    Middle,
}

/// Widths of a region in points. 0: the whole session is in view.
const WIDTHS: [f64; 13] = [0.0, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 40.0, 60.0, 100.0, 200.0];

#[test]
fn a_picture_of_64_tracks_with_1000_regions_costs_milliseconds_at_every_zoom() {
    let length = 48_000;
    let snapshot = demo::edited(64, 1000, length);
    let folder = tempfile::tempdir().unwrap();
    let mut waves = Some(waves_of(&snapshot, folder.path(), &[]));
    for (place, points) in
        [Place::Begin, Place::Middle].into_iter().flat_map(|place| WIDTHS.map(|width| (place, width)))
    {
        // The view moves, so that the waveforms are drawn for each picture, or does not.
        let step = |shell: &mut Shell, speed: f64, frame: usize| {
            let view = &mut shell.view;
            let zoom = if points == 0.0 { f64::INFINITY } else { length as f64 / points };
            let start = if points == 0.0 { 0.0 } else { 100_000.0 };
            view.frames_per_point = zoom;
            let far = 400.0 * length as f64;
            (view.start, view.tall, view.scroll) = match place {
                Place::Begin => (start, false, 0.0),
                Place::Middle if points == 0.0 => (start, true, 900.0),
                Place::Middle => (start + far, true, 900.0),
            };
            view.start += frame as f64 * speed;
        };
        let mut shell = Shell::default();
        cost(&mut shell, &snapshot, &mut waves, |shell, _| step(shell, 0.0, 0));
        let still = cost(&mut shell, &snapshot, &mut waves, |shell, _| step(shell, 0.0, 0));
        let speed = 3.0 * length as f64 / points.max(1.0);
        let moving = cost(&mut shell, &snapshot, &mut waves, |shell, frame| step(shell, speed, frame));
        // Each picture has another zoom, so that all waveforms are drawn again.
        let zooming = cost(&mut shell, &snapshot, &mut waves, |shell, frame| {
            step(shell, 0.0, 0);
            shell.view.frames_per_point *= 1.0 + frame as f64 / 1000.0;
        });
        println!(
            "{place:?}, regions of {points} points: {still}, in motion {moving}, while zooming {zooming}, {} vertices",
            still.vertices
        );
        assert!(still.vertices < 200_000, "{points}: {}", still.vertices);
        assert!(still.best < GOAL_MS * BUSY, "{place:?}, {points}: {still}");
        assert!(moving.best < GOAL_MS * BUSY, "{place:?}, {points}, in motion: {moving}");
        assert!(zooming.best < ZOOMING_MS_MAX, "{place:?}, {points}, while zooming: {zooming}");
    }
}
