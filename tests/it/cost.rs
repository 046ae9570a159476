//! The costs of control in large sessions: edits, undo, saves, the start of a pass, players, polls. Thread: test.
//!
//! Each test prints a line `COST name: figure` for every figure; `tests/stress/cost.sh` prints them all. The bounds are ten
//! times the targets and more, because a busy machine takes a core away for tens of milliseconds.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::setup;
use faultless::control::Control;
use faultless::control::edit::Edit;
use faultless::format::TakeFormat;
use faultless::limits::TRACK_COUNT_MAX;
use faultless::session::history::History;
use faultless::session::session_file::OpenSession;
use faultless::session::{NewTake, RegionId, Session, TakeState, TrackId, TrashList};
use faultless::time::{FramePos, Frames, SampleRate};
use faultless::wav::header::Header;
use faultless::wav::write::{Existing, Writer};
use nix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Frames of each take that the large sessions have.
const TAKE_FRAMES: u64 = 4800;

/// A folder for the session: where `FAULTLESS_COST_FOLDER` says, or on the disk of the build.
fn place() -> TempDir {
    std::env::var_os("FAULTLESS_COST_FOLDER").map_or_else(crate::util::place, |at| tempfile::tempdir_in(at).unwrap())
}

/// A mono take of 48 kHz that begins where the pass before it ended.
fn new_take(track: TrackId, number: usize, pass: u32) -> NewTake {
    NewTake {
        uuid: Uuid::from_u128(number as u128 + 1_000_000),
        track,
        pass,
        inputs: vec![0],
        channels: 1,
        rate: SampleRate(48_000),
        format: TakeFormat::S24,
        start: FramePos(u64::from(pass - 1) * TAKE_FRAMES),
        started: "2026-11-28T10:00:00+00:00".to_owned(),
    }
}

/// A saved session: `tracks` tracks with `takes` takes and `regions` regions each. All takes are links to one WAV file.
fn large(folder: &Path, tracks: usize, takes: usize, regions: usize) -> (OpenSession, Session) {
    let rate = SampleRate(48_000);
    let (mut open, mut session) = OpenSession::create(folder, "Large", rate, TakeFormat::S24).unwrap();
    let sound = folder.join("audio/sound.wav");
    let mut writer = Writer::create_new(&sound, Header::new(1, rate.0, TakeFormat::S24), Existing::Keep).unwrap();
    writer.write_frames(&vec![0.25; TAKE_FRAMES as usize]).unwrap();
    writer.finish().unwrap();
    let mut names = session.taken_names();
    for index in 0..tracks {
        let track = session.add_track(&format!("In {}", index + 1), &[index as u32 % 64]).unwrap();
        let mut ids = Vec::new();
        for pass in 0..takes {
            let new = new_take(track, index * takes + pass + 1, pass as u32 + 1);
            let id = session.add_take(new, &mut names).unwrap();
            session.finish_take(id, Frames(TAKE_FRAMES), TakeState::Complete, None).unwrap();
            fs::hard_link(&sound, folder.join(session.take(id).unwrap().path())).unwrap();
            ids.push(id);
        }
        for at in 0..regions as u64 {
            let take = ids[at as usize % ids.len()];
            session.place_region(track, take, FramePos(at * 2400), FramePos(at % 7 * 300), Frames(1200)).unwrap();
        }
    }
    open.save(&session).unwrap();
    (open, session)
}

/// Opens a large session with the built-in device, which plays and records in real time.
fn opened(folder: &Path) -> Control {
    let mut setup = setup(folder, "", 64, 48_000, TakeFormat::S24);
    setup.device.outputs = Some(2);
    Control::open(setup).unwrap()
}

/// Processor time of this thread. The times of control are measured in it: other programs do not add to it.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn processor_time_since(start: Duration) -> Duration {
    processor_time().saturating_sub(start)
}

fn print(name: &str, figure: impl std::fmt::Display) {
    eprintln!("COST {name}: {figure}");
}

/// Middle and worst, in milliseconds.
fn spread(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    (ms(times[times.len() / 2]), ms(times[times.len() - 1]))
}

/// Bytes of memory that the process has in use.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn poll_for(control: &mut Control, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        control.poll();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Number of the newest kept version: how often session.json was replaced.
fn save_count(folder: &Path) -> u32 {
    let names = fs::read_dir(folder.join("history")).unwrap();
    let number = |name: String| name.strip_prefix("session-")?.strip_suffix(".json")?.parse().ok();
    names.filter_map(|entry| number(entry.unwrap().file_name().into_string().unwrap())).max().unwrap_or(0)
}

/// The edits of a user who works on regions and faders, one after the other.
fn edit_number(step: usize, tracks: &[TrackId], regions: &[RegionId]) -> Edit {
    let (track, region) = (tracks[step * 7 % tracks.len()], regions[step * 7919 % regions.len()]);
    match step % 5 {
        0 => Edit::Mute(vec![track], step.is_multiple_of(2)),
        1 => Edit::MuteRegions(vec![region], true),
        2 => Edit::Gain(vec![(track, -(step as f32) / 10.0)]),
        3 => Edit::AddMarker(FramePos(step as u64), format!("Marker {step}")),
        _ => Edit::Name(track, format!("Track {step}")),
    }
}

#[test]
fn edits_of_64_tracks_with_1000_regions_each_cost_what_they_change() {
    let place = place();
    let folder = place.path().join("session");
    drop(large(&folder, 64, 100, 1000));
    let mut control = opened(&folder);
    let tracks: Vec<TrackId> = control.session().track_ids().collect();
    let regions: Vec<RegionId> =
        control.session().tracks().iter().flat_map(|track| track.regions().iter().map(|region| region.id)).collect();
    control.edit(Edit::Mute(vec![tracks[1]], true)).unwrap();
    poll_for(&mut control, Duration::from_secs(2));
    let (before, saves_before) = (resident_bytes(), save_count(&folder));
    let began = Instant::now();
    let mut times = Vec::new();
    for step in 0..250 {
        let edit = edit_number(step, &tracks, &regions);
        let start = processor_time();
        control.edit(edit).unwrap();
        times.push(processor_time_since(start));
        // As the window does for each picture.
        control.shared();
        poll_for(&mut control, Duration::from_millis(20));
    }
    let seconds = began.elapsed().as_secs_f64();
    poll_for(&mut control, Duration::from_secs(2));
    let grown = resident_bytes().saturating_sub(before) as f64 / f64::from(1 << 20);
    let saves = save_count(&folder) - saves_before;
    let (middle, worst) = spread(&mut times);
    print("64x1000 edit, processor ms, median and worst", format!("{middle} {worst}"));
    print("64x1000 memory of 250 edits MiB", grown.round());
    print("64x1000 saves a second while edits go on", f64::from(saves) / seconds);
    poll_for(&mut control, Duration::from_secs(3));
    let idle = save_count(&folder) - saves_before - saves;
    print("64x1000 saves in 3 idle seconds", idle);
    for _ in 0..200 {
        control.undo().unwrap();
    }
    control.close();
    assert!(middle < 5.0 && grown < 160.0 && idle == 0, "{middle} ms, {grown} MiB, {idle} saves");
    assert!(f64::from(saves) <= seconds * 1.2 + 2.0, "{saves} saves in {seconds} s");
}

#[test]
fn undo_keeps_what_200_edits_changed_and_no_more() {
    let place = place();
    let (open, mut session) = large(&place.path().join("session"), 64, 100, 1000);
    drop(open);
    let tracks: Vec<TrackId> = session.track_ids().collect();
    let regions: Vec<RegionId> =
        session.tracks().iter().flat_map(|track| track.regions().iter().map(|region| region.id)).collect();
    let (mut history, mut list) = (History::default(), TrashList::default());
    for (name, only_regions) in [("of every kind", false), ("of regions", true)] {
        history.clear();
        let before = resident_bytes();
        for step in 0..250 {
            history.push("edit", session.arrangement_sharing(&mut list));
            match (only_regions, step % 5) {
                (true, _) | (false, 1) => {
                    session.mute_regions(&[regions[step * 7919 % regions.len()]], step.is_multiple_of(2)).unwrap();
                }
                (false, 3) => drop(session.add_marker(FramePos(step as u64), "Marker").unwrap()),
                _ => session.track_mut(tracks[step * 7 % 64]).unwrap().set_gain_db(-(step as f32) / 10.0),
            }
        }
        let grown = resident_bytes().saturating_sub(before) as f64 / f64::from(1 << 20);
        print(&format!("64x1000 undo of 250 edits {name} MiB"), (grown * 10.0).round() / 10.0);
        assert!(grown < 64.0, "{name}: {grown} MiB");
    }
}

#[test]
fn a_save_of_64_tracks_with_1000_regions_each_writes_what_it_must() {
    let place = place();
    let folder = place.path().join("session");
    let (mut open, mut session) = large(&folder, 64, 100, 1000);
    print("64x1000 session.json bytes", fs::metadata(folder.join("session.json")).unwrap().len());
    let tracks: Vec<TrackId> = session.track_ids().collect();
    let mut times = Vec::new();
    for step in 0..21 {
        session.track_mut(tracks[step * 7 % 64]).unwrap().mute = step.is_multiple_of(2);
        let start = Instant::now();
        open.save(&session).unwrap();
        times.push(start.elapsed());
    }
    let (middle, worst) = spread(&mut times);
    print("64x1000 save ms, median and worst", format!("{middle} {worst}"));
    let mut times = Vec::new();
    let bytes = fs::read(folder.join("session.json")).unwrap();
    for _ in 0..11 {
        let start = Instant::now();
        let file = fs::File::create(folder.join("plain")).unwrap();
        std::io::Write::write_all(&mut &file, &bytes).unwrap();
        file.sync_all().unwrap();
        fs::File::open(&folder).unwrap().sync_all().unwrap();
        times.push(start.elapsed());
        fs::remove_file(folder.join("plain")).unwrap();
    }
    let (plain, plain_worst) = spread(&mut times);
    print("64x1000 plain write and sync of the same bytes ms, median and worst", format!("{plain} {plain_worst}"));
    // 64 takes in an overflow folder, which has a copy of the session.
    let overflow = place.path().join("overflow");
    let (mut copy, _) = OpenSession::open_on_other_disk(&overflow, &session).unwrap();
    let there = overflow.canonicalize().unwrap().display().to_string();
    let mut names = session.taken_names();
    for (index, track) in tracks.iter().enumerate() {
        let first = new_take(*track, 10_000 + index, 200);
        let id = session.add_take(first, &mut names).unwrap();
        let uuid = Uuid::from_u128(20_000 + index as u128);
        let next = session.add_continuation(id, uuid, Frames(10), Some(there.clone()), &mut names).unwrap();
        for (id, frames) in [(id, 10), (next, 20)] {
            session.finish_take(id, Frames(frames), TakeState::Complete, None).unwrap();
        }
    }
    copy.save(&session).unwrap();
    let start = Instant::now();
    open.move_trashed_files(&session).unwrap();
    print("64x1000 trash after opening ms", spread(&mut [start.elapsed()]).0);
    let start = Instant::now();
    open.move_trashed_files(&session).unwrap();
    print("64x1000 trash after a save ms", spread(&mut [start.elapsed()]).0);
    assert!(middle < 1500.0, "{middle} ms");
}

/// Milliseconds from the command to the first frame of a pass of `armed` tracks. Then stops the pass; returns the longest
/// call of `poll` from then on, too.
fn first_frame(control: &mut Control, armed: usize) -> (f64, f64) {
    let ids: Vec<TrackId> = control.session().track_ids().collect();
    control.edit(Edit::Arm(ids.clone(), false)).unwrap();
    control.edit(Edit::Arm(ids[..armed].to_vec(), true)).unwrap();
    poll_for(control, Duration::from_millis(1500));
    let start = Instant::now();
    control.record(Frames(u64::MAX)).unwrap();
    while !control.pass_status().unwrap().has_begun() {
        control.poll();
        assert!(start.elapsed() < Duration::from_secs(30), "no frame comes");
        std::thread::sleep(Duration::from_micros(500));
    }
    let first = start.elapsed();
    poll_for(control, Duration::from_millis(300));
    control.stop();
    let mut worst = Duration::ZERO;
    let mut rest = 100;
    while control.is_recording() || 0 < rest {
        let start = processor_time();
        control.poll();
        worst = worst.max(processor_time_since(start));
        rest -= i32::from(!control.is_recording());
        std::thread::sleep(Duration::from_millis(2));
    }
    (spread(&mut [first]).0, spread(&mut [worst]).0)
}

/// Milliseconds that the disk alone takes for what must be durable before the first frame: the files of the takes, their
/// folder, session.json and its folder.
fn disk_alone(folder: &Path, armed: usize) -> f64 {
    let bytes = fs::read(folder.join("session.json")).unwrap();
    let place = tempfile::tempdir_in(folder).unwrap();
    let start = Instant::now();
    for index in 0..armed {
        let file = fs::File::create(place.path().join(index.to_string())).unwrap();
        std::io::Write::write_all(&mut &file, &[0; 4096]).unwrap();
        file.sync_all().unwrap();
    }
    fs::File::open(place.path()).unwrap().sync_all().unwrap();
    let file = fs::File::create(place.path().join("new")).unwrap();
    std::io::Write::write_all(&mut &file, &bytes).unwrap();
    file.sync_all().unwrap();
    fs::rename(place.path().join("new"), place.path().join("json")).unwrap();
    fs::File::open(place.path()).unwrap().sync_all().unwrap();
    spread(&mut [start.elapsed()]).0
}

fn starts_of_passes(name: &str, control: &mut Control, armed: usize) {
    let folder = control.folder().to_owned();
    let mut alone = Vec::new();
    let mut runs: Vec<(f64, f64)> = (0..5)
        .map(|_| {
            alone.push(disk_alone(&folder, armed));
            first_frame(control, armed)
        })
        .collect();
    alone.sort_by(f64::total_cmp);
    print(&format!("{name}, {armed} armed: the disk alone for one start ms, median and worst"), {
        format!("{} {}", alone[2], alone[4])
    });
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let longest = runs.iter().fold(0.0_f64, |most, run| most.max(run.1));
    print(&format!("{name}, {armed} armed: Record to the first frame ms, median and worst"), {
        format!("{} {}", runs[2].0, runs[4].0)
    });
    print(&format!("{name}, {armed} armed: longest poll at the end of a pass, processor ms"), longest);
    assert!(runs[2].0 < 2000.0, "{runs:?}");
}

#[test]
fn minute_record_in_large_sessions_begins_soon() {
    let place = place();
    let folder = place.path().join("session");
    drop(large(&folder, 64, 100, 1000));
    let mut control = opened(&folder);
    control.enable_playback();
    poll_for(&mut control, Duration::from_secs(2));
    for armed in [1, 24, 64] {
        starts_of_passes("64x1000", &mut control, armed);
    }
    control.close();
    let folder = place.path().join("wide");
    drop(large(&folder, TRACK_COUNT_MAX, 4, 4));
    let mut control = opened(&folder);
    control.enable_playback();
    poll_for(&mut control, Duration::from_secs(2));
    for armed in [1, 24] {
        starts_of_passes("1024x4", &mut control, armed);
    }
    control.close();
}

#[test]
fn an_edit_of_a_region_reloads_the_players_of_its_track_only() {
    let place = place();
    for (name, tracks, takes, regions) in [("64x1000", 64, 100, 1000), ("1024x4", TRACK_COUNT_MAX, 4, 4)] {
        let folder = place.path().join(name);
        drop(large(&folder, tracks, takes, regions));
        let mut control = opened(&folder);
        control.enable_playback();
        poll_for(&mut control, Duration::from_secs(2));
        let ids: Vec<RegionId> =
            control.session().tracks().iter().map(|track| track.regions()[regions / 2].id).collect();
        let mut times = Vec::new();
        for step in 0..21 {
            let region = ids[step * 7 % ids.len()];
            let start = processor_time();
            control.edit(Edit::MuteRegions(vec![region], step.is_multiple_of(2))).ok();
            control.poll();
            times.push(processor_time_since(start));
            poll_for(&mut control, Duration::from_millis(50));
        }
        let (middle, worst) = spread(&mut times);
        print(
            &format!("{name} region edit with its players, processor ms, median and worst"),
            format!("{middle} {worst}"),
        );
        let mut times = Vec::new();
        for _ in 0..500 {
            let start = processor_time();
            control.poll();
            times.push(processor_time_since(start));
            std::thread::sleep(Duration::from_micros(500));
        }
        let (poll, poll_worst) = spread(&mut times);
        print(&format!("{name} poll, processor ms, median and worst"), format!("{poll} {poll_worst}"));
        control.close();
        assert!(middle < 100.0 && poll < 2.0, "{middle} ms, {poll} ms");
    }
}
