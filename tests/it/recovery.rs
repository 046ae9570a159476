//! Kills at random moments: the takes afterwards have all that the audio thread took from the device before. Thread:
//! test.
//!
//! The progress page of a pass is read before the kill, while the program lives, and after the kill. The takes must
//! have at least the frames of the first reading and exactly those of the second. The spools show that the page does
//! not lag behind the sound.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::setup;
use crate::util::{
    DEEP, Image, PATIENCE, Started, check, contents, faultless, is_root, place, read_wav, record, run, spools, start,
};
use faultless::butler::spool::{folders, progress_path_of};
use faultless::control::{Control, Purpose, Severity};
use faultless::format::TakeFormat;
use faultless::limits::{BLOCK_FRAMES_MAX, PAGE_BYTES};
use faultless::recovery::evidence::FoundSpool;
use faultless::session::session_file::open_read_only;
use faultless::session::{Take, TakeState};
use faultless::window::progress_page::{PAGE_AT, Progress};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Takes of the last pass.
fn last_pass(folder: &Path) -> Vec<Take> {
    let Ok(session) = open_read_only(folder) else { return Vec::new() };
    let last = session.takes().iter().map(|take| take.pass).max();
    session.takes().iter().filter(|take| Some(take.pass) == last).cloned().collect()
}

fn progress_path(take: &Take) -> Option<PathBuf> {
    folders().iter().map(|folder| progress_path_of(folder, take.uuid)).find(|path| path.exists())
}

/// Frames that the progress page of the last pass gives; `None` if there is no page.
fn progress(folder: &Path) -> Option<u64> {
    let file = File::open(progress_path(last_pass(folder).first()?)?).ok()?;
    let mut page = [0; PAGE_BYTES];
    file.read_exact_at(&mut page, PAGE_AT).ok()?;
    Some(Progress::read(&page)?.frames.0)
}

/// Waits until a program has recorded `frames` frames. Returns the number it has recorded.
pub(crate) fn await_frames(folder: &Path, program: &mut Started, frames: u64) -> u64 {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = progress(folder).filter(|_| last_pass(folder)[0].state == TakeState::Recording);
        if let Some(now) = now.filter(|now| frames <= *now) {
            return now;
        }
        assert!(Instant::now() < until && program.is_running(), "it does not record");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A random number below `below`.
fn any(below: u64) -> u64 {
    uuid::Uuid::new_v4().as_u128() as u64 % below
}

/// Progress at the time of the kill.
struct Killed {
    /// Frames that the progress page gave while the program lived.
    at_least: u64,
    /// Frames that the page gives after the kill.
    exactly: u64,
}

/// Records in real time, kills the program somewhere in the first `up_to` frames, and checks the files that it left.
fn kill_amid(folder: &Path, arguments: &str, up_to: u64) -> Killed {
    let mut program = start(record(folder, &format!("--device virtual --seconds 600 {DEEP} {arguments}")));
    await_frames(folder, &mut program, 1);
    std::thread::sleep(Duration::from_micros(any(up_to * 1_000_000 / 48_000)));
    let at_least = progress(folder).unwrap();
    program.signal("KILL");
    program.wait(PATIENCE);
    let exactly = progress(folder).unwrap();
    assert!(0 < at_least && at_least <= exactly);
    for take in last_pass(folder) {
        // The takes can be read before recovery: they are the ramp as far as their headers go.
        let (_, samples) = read_wav(&folder.join(&take.file));
        assert!(samples.windows(2).all(|pair| pair[1] == pair[0] + 1), "{}", take.file);
        assert!(samples.len() as u64 <= exactly, "no header is ahead of the progress page");
        // The sound is not ahead of the page either: at most by the block that was being stored.
        let spool = spools(&take).into_iter().find(|path| path.exists());
        if let Some(spool) = spool {
            let heard = FoundSpool::open(&spool).unwrap().last_sound().unwrap();
            assert!(heard <= exactly + BLOCK_FRAMES_MAX as u64, "{}: {heard} frames of {exactly}", take.file);
        }
    }
    Killed { at_least, exactly }
}

/// Checks that the last pass is complete: `takes` takes of exactly the frames of the progress page, every sample the
/// ramp, and nothing left in memory.
#[track_caller]
fn whole(folder: &Path, takes: usize, killed: &Killed) {
    let found = *check(folder).last().unwrap();
    assert_eq!((found.takes, found.frames, found.lost), (takes, killed.exactly, 0));
    assert!(killed.at_least <= found.frames);
    let pass = last_pass(folder);
    assert!(pass.iter().all(|take| take.state == TakeState::Recovered));
    assert_eq!(progress_path(&pass[0]), None, "the progress page is gone");
}

fn recover(folder: &Path) -> Value {
    run(faultless("recover", folder, "--json")).done().json()
}

/// Kills a recording of 24 tracks `kills` times, each in a session of its own. The recover command and the next
/// recording recover them by turns.
fn kills(folder: &Path, kills: u64) {
    for kill in 0..kills {
        let session = folder.join(format!("session-{kill}"));
        let killed = kill_amid(&session, "--inputs 24", 48_000 * 5 / 2);
        if kill % 2 == 0 {
            let told = recover(&session);
            let takes = told["takes"].as_array().unwrap();
            assert_eq!(takes.len(), 24);
            assert!(takes.iter().all(|take| take["frames_lost"] == 0), "{takes:?}");
            let files: Vec<&Value> = takes.iter().map(|take| &take["file"]).collect();
            let pass = json!({
                "frames": killed.exactly, "basis": "progress-page", "lost": 0, "overrun": 0, "missing": 0, "absent": 0,
                "memory_gone": null, "from_mirrors": [], "takes": files,
            });
            assert_eq!(told["passes"], json!([pass]));
            for (index, take) in takes.iter().enumerate() {
                assert_eq!((&take["input"], &take["frames"]), (&Value::from(index), &Value::from(killed.exactly)));
                assert!(
                    take["recovered_frames"].as_u64().unwrap() <= killed.exactly.next_multiple_of(PAGE_BYTES as u64)
                );
            }
            whole(&session, 24, &killed);
        } else {
            let told = run(record(&session, "--device virtual:free --inputs 1 --seconds 0.1")).done();
            assert!(told.err.contains("Recovered 24 takes of the pass that was cut off"), "{}", told.err);
            let found = check(&session);
            assert_eq!((found[0].takes, found[0].frames, found[0].lost), (24, killed.exactly, 0));
        }
        fs::remove_dir_all(session).unwrap();
    }
}

#[test]
fn a_killed_recording_is_whole_to_the_frame_after_the_next_start() {
    kills(place().path(), 2);
}

#[test]
fn minute_twenty_kills_lose_no_frame() {
    kills(place().path(), 20);
}

#[test]
fn root_kills_on_ext4_lose_no_frame() {
    kills(Image::up("ext4", "2G").path(), 4);
}

#[test]
fn root_kills_on_xfs_lose_no_frame() {
    kills(Image::up("xfs", "2G").path(), 4);
}

#[test]
fn root_kills_on_btrfs_lose_no_frame() {
    kills(Image::up("btrfs", "2G").path(), 4);
}

#[test]
fn a_recovery_that_is_killed_again_and_again_is_finished_by_the_last() {
    let place = place();
    for _ in 0..2 {
        let folder = place.path().join(any(u64::MAX).to_string());
        let killed = kill_amid(&folder, "--inputs 24", 48_000 * 3 / 2);
        for _ in 0..8 {
            let program = start(faultless("recover", &folder, "--json"));
            std::thread::sleep(Duration::from_micros(any(40_000)));
            program.signal("KILL");
            program.wait(PATIENCE);
        }
        recover(&folder);
        whole(&folder, 24, &killed);
    }
}

#[test]
fn in_place_float_and_16_bit_takes_are_recovered_alike() {
    let place = place();
    for (name, arguments) in [
        ("in-place", "--inputs 3 --capture-path in-place"),
        ("float", "--inputs 3 --format f32"),
        ("s16", "--inputs 2 --format s16"),
    ] {
        let folder = place.path().join(name);
        // 16-bit takes are compared with the ramp where the value of its upper bits changes.
        let killed = kill_amid_of_any_format(&folder, arguments);
        recover(&folder);
        let found = check(&folder);
        assert_eq!((found[0].frames, found[0].lost), (killed.exactly, 0), "{name}");
    }
}

/// Like [`kill_amid`], but does not read the samples.
fn kill_amid_of_any_format(folder: &Path, arguments: &str) -> Killed {
    let mut program = start(record(folder, &format!("--device virtual --seconds 600 {DEEP} {arguments}")));
    let at_least = await_frames(folder, &mut program, 30_000);
    program.signal("KILL");
    program.wait(PATIENCE);
    Killed { at_least, exactly: progress(folder).unwrap() }
}

#[test]
fn losses_before_a_kill_are_silence_in_their_place_and_listed() {
    let place = place();
    let folder = place.path().join("session");
    let arguments = format!("--device virtual:xrun=60000+700,xrun=70000+11 --inputs 2 --seconds 600 {DEEP}");
    let mut program = start(record(&folder, &arguments));
    await_frames(&folder, &mut program, 100_000);
    program.signal("KILL");
    program.wait(PATIENCE);
    let frames = progress(&folder).unwrap();
    let told = run(faultless("recover", &folder, "")).done();
    assert!(told.out.contains("711 frames that the device lost are silence"), "{}", told.out);
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames, found.lost), (2, frames, 711));
}

#[test]
fn a_session_that_is_being_recorded_is_left_alone_and_one_that_moved_is_found() {
    let place = place();
    let (folder, moved) = (place.path().join("session"), place.path().join("moved"));
    let mut program = start(record(&folder, &format!("--device virtual --inputs 2 --seconds 600 {DEEP}")));
    await_frames(&folder, &mut program, 10_000);
    run(faultless("recover", &folder, "")).refused(&["open in another program"]);
    let played = run(faultless("play", &folder, "--device virtual:free --seconds 0.1"));
    assert!(!played.err.contains("cut off"), "{}", played.err);
    // A copy of the session, made while it records, does not touch the memory of the running program.
    let copy = place.path().join("copy");
    assert!(Command::new("cp").arg("-a").arg(&folder).arg(&copy).status().unwrap().success());
    let told = run(faultless("recover", &copy, ""));
    assert!(told.code == Some(1) && told.err.contains("a program that is running holds it"), "{}", told.err);
    fs::remove_dir_all(&copy).unwrap();
    assert!(program.is_running());
    program.signal("KILL");
    program.wait(PATIENCE);
    let killed = Killed { at_least: 10_000, exactly: progress(&folder).unwrap() };
    let played = run(faultless("play", &folder, "--device virtual:free --seconds 0.1"));
    assert!(played.err.contains("a pass of it was cut off"), "{}", played.err);
    fs::rename(&folder, &moved).unwrap();
    let list = run(faultless("recover", Path::new("--json"), "")).done().json();
    let ours = |left: &&Value| left["session"].as_str() == Some(&folder.display().to_string());
    let left: Vec<&Value> = list["spools"].as_array().unwrap().iter().filter(ours).collect();
    assert_eq!(left.len(), 2, "{list}");
    assert!(left[0]["state"].as_str().unwrap().contains("recover FOLDER"), "{list}");
    recover(&moved);
    whole(&moved, 2, &killed);
    let before = contents(&moved);
    assert_eq!(recover(&moved)["takes"].as_array().unwrap().len(), 2);
    assert!(before == contents(&moved), "again is the same");
}

#[test]
fn without_its_memory_a_pass_is_cut_to_what_all_takes_have_on_the_disk() {
    let place = place();
    let folder = place.path().join("session");
    let mut program = start(record(&folder, &format!("--device virtual --inputs 24 --seconds 600 {DEEP}")));
    await_frames(&folder, &mut program, 120_000);
    program.signal("KILL");
    program.wait(PATIENCE);
    let frames = progress(&folder).unwrap();
    let takes = last_pass(&folder);
    // The claim of one take holds for all. The other headers may be two syncs older.
    let longest = takes.iter().map(|take| read_wav(&folder.join(&take.file)).1.len() as u64).max().unwrap();
    fs::remove_file(progress_path(&takes[0]).unwrap()).unwrap();
    for take in &takes {
        for spool in spools(take).iter().filter(|path| path.exists()) {
            fs::remove_file(spool).unwrap();
        }
    }
    let told = run(faultless("recover", &folder, "")).done();
    assert!(told.out.contains("what was in memory only is gone"), "{}", told.out);
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames, found.lost), (24, longest, 0));
    // One sync interval, and what a window and a tick of the committer may add.
    assert!(frames - longest < 48_000 * 2, "{frames} {longest}");
}

#[test]
fn a_start_reports_a_recovery_as_information_and_a_loss_as_a_loss() {
    let place = place();
    let folder = place.path().join("session");
    kill_amid(&folder, "--inputs 2", 20_000);
    let open = || {
        let mut control = Control::open(setup(&folder, "free", 2, 48_000, TakeFormat::S24)).unwrap();
        let told: Vec<_> = std::iter::from_fn(|| control.take_notice()).collect();
        control.close();
        told
    };
    let told = open();
    let about = |notice: &&faultless::control::Notice| notice.text.contains("cut off");
    let notice = told.iter().find(about).unwrap();
    assert_eq!(notice.severity, Severity::Info);
    assert!(
        notice.text.starts_with("Recovered 2 takes") && notice.text.ends_with("s came from memory"),
        "{}",
        notice.text
    );
    assert!(!open().iter().any(|notice| about(&notice)), "once");
    kill_amid(&folder, "--inputs 2", 20_000);
    let takes = last_pass(&folder);
    let gone = takes.iter().flat_map(spools).chain(progress_path(&takes[0])).filter(|path| path.exists());
    for path in gone {
        fs::remove_file(path).unwrap();
    }
    let played = Control::open(faultless::control::Setup {
        purpose: Purpose::Play,
        ..setup(&folder, "free", 2, 48_000, TakeFormat::S24)
    });
    let mut played = played.unwrap();
    assert!(std::iter::from_fn(|| played.take_notice()).any(|notice| about(&&notice)));
    played.close();
    assert_eq!(open().iter().find(about).unwrap().severity, Severity::Loss);
}

/// The refusal was all that the user saw, and no later start says what was recovered.
#[test]
fn a_recording_that_is_refused_says_what_was_recovered_before() {
    let place = place();
    let folder = place.path().join("session");
    kill_amid(&folder, "--inputs 2", 20_000);
    let other_rate = run(record(&folder, "--device virtual:free --inputs 2 --seconds 1 --rate 44100"));
    assert!(!other_rate.err.contains("Recovered"), "{}", other_rate.err);
    other_rate.refused(&["the session's rate"]);
    File::create(place.path().join("file")).unwrap();
    let mut command = record(&folder, "--device virtual:free --inputs 2 --seconds 1");
    command.arg("--mirror").arg(place.path().join("file/dir"));
    let no_mirror = run(command);
    assert!(no_mirror.err.contains("Recovered 2 takes"), "{}", no_mirror.err);
    no_mirror.refused(&["--mirror"]);
}

#[test]
fn root_a_disk_that_is_full_stops_a_recovery_which_is_finished_when_there_is_room() {
    assert!(is_root());
    let image = Image::up("ext4", "256M");
    let folder = image.path().join("session");
    let killed = kill_amid(&folder, "--inputs 24", 96_000);
    // The reserved blocks are cut off, so that the sound in memory needs blocks and no block is free.
    let paths: Vec<PathBuf> = last_pass(&folder).iter().map(|take| folder.join(&take.file)).collect();
    // Every take has what the header of one claims.
    let claimed = paths.iter().map(|path| read_wav(path).1.len() as u64).max().unwrap();
    for path in &paths {
        File::options().write(true).open(path).unwrap().set_len(4096 + claimed * 3).unwrap();
    }
    let filler = File::create(image.path().join("filler")).unwrap();
    let stat = nix::sys::statvfs::statvfs(image.path()).unwrap();
    let mut bytes = stat.blocks_available() * stat.fragment_size();
    let mut at = 0;
    while 4096 <= bytes {
        match nix::fcntl::fallocate(&filler, nix::fcntl::FallocateFlags::empty(), at, bytes as i64) {
            Ok(()) => at += bytes as i64,
            Err(_) => bytes /= 2,
        }
    }
    let before: Vec<_> = last_pass(&folder).iter().map(|take| read_wav(&folder.join(&take.file)).1).collect();
    let told = run(faultless("recover", &folder, ""));
    assert!(told.code == Some(1) && told.err.contains("make room on the disk"), "{}", told.err);
    let pass = last_pass(&folder);
    assert!(pass.iter().all(|take| take.state == TakeState::Recording));
    assert!(pass.iter().flat_map(spools).filter(|path| path.exists()).count() >= 24, "memory is kept");
    for (take, before) in pass.iter().zip(&before) {
        assert!(read_wav(&folder.join(&take.file)).1.starts_with(before), "{}", take.file);
    }
    drop(filler);
    fs::remove_file(image.path().join("filler")).unwrap();
    recover(&folder);
    whole(&folder, 24, &killed);
}
