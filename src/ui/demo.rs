//! Example snapshots for tests of panels without an engine, and tests that compare pictures. Thread: ui.

use super::shell::Shell;
use crate::app::snapshot::{DeviceView, DiskSpace, EventEntry, Health, Meter, PassPhase, PassView, Snapshot, Stage};
use crate::control::Severity;
use crate::control::edit::Edit;
use crate::diagnostics::stress::StressKind;
use crate::diagnostics::stress::sheet::{Row, StressFigures, Verdict};
use crate::format::TakeFormat;
use crate::message::Motion;
use crate::session::{NewTake, Session, TakeState, TrackId};
use crate::time::{FramePos, Frames, SampleRate};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Track names of a band.
pub const NAMES: [&str; 24] = [
    "Kick in",
    "Kick out",
    "Snare top",
    "Snare btm",
    "Hi-hat",
    "Tom 1",
    "Tom 2",
    "Floor tom",
    "OH left",
    "OH right",
    "Bass DI",
    "Bass amp",
    "Gtr L",
    "Gtr R",
    "Keys L",
    "Keys R",
    "Sax",
    "Trumpet",
    "Vox lead",
    "Vox 2",
    "Vox 3",
    "Talkback",
    "Room L",
    "Room R",
];

/// A session of `tracks` tracks. If `seconds` is not 0, each track has one take of that length.
pub fn session(tracks: usize, seconds: u64) -> Session {
    let rate = SampleRate(48_000);
    let mut session =
        Session::new(Uuid::from_u128(7), "Rehearsal, 22 Nov", "2026-11-22T20:00:00+01:00", rate, TakeFormat::S24);
    let mut names = session.taken_names();
    for at in 0..tracks {
        let name = NAMES.get(at).map_or_else(|| format!("In {}", at + 1), ToString::to_string);
        let track = session.add_track(&name, &[at as u32]).unwrap();
        session.track_mut(track).unwrap().colour = (at / 2) as u8;
        if seconds > 0 {
            let take = NewTake {
                uuid: Uuid::from_u128(at as u128 + 100),
                track,
                pass: 1,
                inputs: vec![at as u32],
                channels: 1,
                rate,
                format: TakeFormat::S24,
                start: FramePos(0),
                started: "2026-11-22T20:00:00+01:00".to_owned(),
            };
            let take = session.add_take(take, &mut names).unwrap();
            let frames = Frames(seconds * 48_000);
            session.finish_take(take, frames, TakeState::Complete, None).unwrap();
            session.place_region(track, take, FramePos(0), FramePos(0), frames).unwrap();
        }
    }
    session
}

/// A stopped transport after a long edit: each track has `regions` regions of `length` frames, with a gap of an eighth
/// of that. Every tenth one is muted. Their takes list losses.
pub fn edited(tracks: usize, regions: u64, length: u64) -> Snapshot {
    let mut snapshot = stopped(tracks, regions * length / 48_000 + 1);
    let session = Arc::make_mut(&mut snapshot.session);
    let takes: Vec<_> = session.takes().iter().map(|take| (take.track, take.id)).collect();
    for (track, take) in takes {
        let whole = session.track(track).unwrap().regions()[0].id;
        session.remove_region(whole).unwrap();
        for at in 0..50 {
            session.add_loss(take, FramePos(at * regions * length / 50), Frames(64), "xrun").unwrap();
        }
        for at in 0..regions {
            let (start, from) = (FramePos(at * length * 9 / 8), FramePos(at * length));
            let region = session.place_region(track, take, start, from, Frames(length)).unwrap();
            session.mute_region(region, at % 10 == 9).unwrap();
        }
    }
    snapshot.revision += 1;
    snapshot
}

/// A stopped transport without problems.
pub fn stopped(tracks: usize, seconds: u64) -> Snapshot {
    let mut snapshot = Snapshot::empty();
    snapshot.stage = Stage::Open;
    snapshot.session = Arc::new(session(tracks, seconds));
    snapshot.tracks = (0..tracks)
        .map(|at| Meter { peak: 0.1 + 0.03 * at as f32 % 0.9, rms: 0.05 + 0.02 * at as f32 % 0.6 })
        .collect();
    snapshot.inputs.clone_from(&snapshot.tracks);
    snapshot.device = DeviceView {
        name: "alsa:hw:CARD=Scarlett".to_owned(),
        title: "Scarlett 18i20".to_owned(),
        rate: 48_000,
        inputs: tracks,
        outputs: 2,
        period: 64,
        latency_ms: 3.1,
        is_virtual: false,
        gone: false,
        offset_key: "alsa:hw:CARD=Scarlett, 48000 Hz, 64 frames".to_owned(),
        placing: None,
    };
    snapshot.disk_space = Some(DiskSpace { free_bytes: 412_000_000_000, seconds: 33_120.0, disk: "Music".to_owned() });
    snapshot.health = Health {
        severity: Severity::Info,
        head: "All is well.".to_owned(),
        parts: vec![format!("{tracks} tracks"), "0 page faults".to_owned(), "0 xruns".to_owned()],
        advice: None,
        cure: None,
        safety: Vec::new(),
    };
    snapshot.transport.motion = Motion::Stopped;
    snapshot
}

/// A recording that has run for `seconds`, without problems.
pub fn recording(tracks: usize, seconds: u64) -> Snapshot {
    let mut snapshot = stopped(tracks, 0);
    let frames = Frames(seconds * 48_000 + 18_432);
    let session = Arc::make_mut(&mut snapshot.session);
    let ids: Vec<TrackId> = session.track_ids().collect();
    for id in &ids {
        session.track_mut(*id).unwrap().armed = true;
    }
    session.add_marker(FramePos(seconds * 48_000 / 3), "Verse 2").unwrap();
    snapshot.transport.motion = Motion::Rolling;
    snapshot.transport.position = FramePos(frames.0);
    snapshot.transport.pass = Some(PassView {
        phase: PassPhase::Recording,
        start: FramePos(0),
        head: Frames(0),
        frames,
        takes: Arc::new(Vec::new()),
        losses: Arc::new(Vec::new()),
        spool: None,
    });
    let parts = [
        format!("{tracks} tracks"),
        "1.8 s lead".to_owned(),
        "0 frames lost".to_owned(),
        "0 page faults".to_owned(),
        "0 xruns".to_owned(),
    ];
    snapshot.health.parts = parts.into();
    snapshot.health.safety =
        vec!["safe against a crash: now".to_owned(), "safe against power loss: 0.6 s ago".to_owned()];
    snapshot
}

/// A stopped transport with events of today and of an earlier day.
pub fn eventful(tracks: usize) -> Snapshot {
    let notice = |clock: &str, severity: Severity, text: &str| EventEntry {
        at: Duration::ZERO,
        clock: clock.to_owned(),
        severity,
        text: text.to_owned(),
        seen: clock.contains("Nov"),
        headline: None,
    };
    let mut snapshot = stopped(tracks, 60);
    snapshot.notices = Arc::new(vec![
        notice(
            "20:00:03",
            Severity::Info,
            "opened by faultless 0.1.0 on Linux 6.18.4, ext4; alsa:hw:CARD=Scarlett, 8 inputs",
        ),
        notice("20:14:31", Severity::Caution, "near miss: the lead fell to 212 ms of 1707 ms; nothing is lost"),
        notice("20:20:08", Severity::Loss, "0:20:08.120: 4096 frames lost (xrun); they are silence in every take"),
    ]);
    snapshot.earlier = Arc::new(vec![
        notice(
            "21 Nov 19:02",
            Severity::Caution,
            "disk: one write took 1.4 s; what was recorded meanwhile waited in memory",
        ),
        notice("21 Nov 19:40", Severity::Info, "closed"),
    ]);
    snapshot
}

/// A stopped transport after a stress test.
pub fn stressed(tracks: usize) -> Snapshot {
    let figures = StressFigures {
        takes: 24,
        frames: 480_000,
        minor_faults: Some(0),
        major_faults: Some(0),
        voluntary_switches: Some(0),
        cycle_us_mean: 8.0,
        cycle_us_max: 124.0,
        period_us: 1333.3,
        lead_frames_min: Some(63_696),
        commit_us_max: 15_200,
        ..StressFigures::default()
    };
    let row = |stress: StressKind, verdict: Verdict, reason: &str, figures: Option<StressFigures>| Row {
        stress,
        verdict,
        reason: reason.to_owned(),
        figures,
    };
    let missed = StressFigures { minor_faults: Some(3), frames_lost: 640, cycle_us_max: 2810.0, ..figures.clone() };
    let away = StressFigures { frames_lost: 24_000, frames_lost_wanted: 24_000, ..figures.clone() };
    let mut snapshot = stopped(tracks, 60);
    snapshot.stress.rows = Arc::new(vec![
        row(StressKind::None, Verdict::Passed, "", Some(figures.clone())),
        row(StressKind::Sync, Verdict::Passed, "4843 syncs", Some(figures)),
        row(StressKind::Cache, Verdict::Failed, "3 page faults; 640 frames lost", Some(missed)),
        row(StressKind::Freeze, Verdict::Skipped, "needs root", None),
        row(StressKind::Unplug, Verdict::Passed, "", Some(away)),
    ]);
    snapshot
}

/// An edit for tests to compare with.
pub fn mute(track: TrackId) -> Edit {
    Edit::Mute(vec![track], true)
}

/// Share of the pixels that may differ between two machines, and the difference of a channel that counts.
const TOLERANCE: (f64, u8) = (0.01, 40);

/// Draws the window for a snapshot without a screen. `None` and a printed line if this machine cannot draw.
fn drawn(name: &str, size: [f32; 2], snapshot: &Snapshot, prepare: impl Fn(&mut Shell)) -> Option<image::RgbaImage> {
    let mut shell = Shell::default();
    prepare(&mut shell);
    let mut fonts = false;
    let snapshot = snapshot.clone();
    let mut harness = egui_kittest::Harness::builder().with_size(size).wgpu().build_ui(move |ui| {
        if !std::mem::replace(&mut fonts, true) {
            super::theme::install_fonts(ui.ctx());
            ui.request_repaint();
            return;
        }
        // The harness leaves a margin. The window has none, so draw into the whole area.
        let whole = ui.ctx().content_rect();
        let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(whole));
        ui.set_clip_rect(whole);
        let background = shell.theme.as_ref().map_or(egui::Color32::BLACK, |theme| theme.background);
        ui.painter().rect_filled(whole, 0, background);
        shell.update_meters(&snapshot, ui.input(|input| input.time));
        shell.show(&mut ui, &snapshot, crate::app::LiveSources::default());
    });
    harness.run_steps(4);
    match harness.render() {
        Ok(image) => Some(image),
        Err(reason) => {
            println!("SKIPPED picture {name}: {reason}");
            None
        }
    }
}

/// Draws the window and compares it with the picture in `tests/pictures`. If `UPDATE_PICTURES` is set, replaces that
/// picture instead. The drawing is also saved in `target/pictures`.
pub fn picture(name: &str, size: [f32; 2], snapshot: &Snapshot, prepare: impl Fn(&mut Shell)) {
    let Some(image) = drawn(name, size, snapshot, prepare) else { return };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = root.join("target/pictures");
    std::fs::create_dir_all(&made).unwrap();
    image.save(made.join(format!("{name}.png"))).unwrap();
    let kept_path = root.join(format!("tests/pictures/{name}.png"));
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::create_dir_all(root.join("tests/pictures")).unwrap();
        image.save(kept_path).unwrap();
        return;
    }
    let expected =
        image::open(&kept_path).unwrap_or_else(|error| panic!("{}: {error}", kept_path.display())).into_rgba8();
    assert_eq!(expected.dimensions(), image.dimensions(), "{name}: another size");
    let differs =
        |(a, b): &(&image::Rgba<u8>, &image::Rgba<u8>)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > TOLERANCE.1);
    let differing = expected.pixels().zip(image.pixels()).filter(differs).count();
    let differing_part = differing as f64 / f64::from(image.width() * image.height());
    assert!(
        differing_part < TOLERANCE.0,
        "{name}: {:.1} % of the pixels differ, see target/pictures/{name}.png",
        differing_part * 100.0
    );
}
