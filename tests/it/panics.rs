//! A thread panics while 4 tracks are recorded: every frame is in the takes, at the latest after recovery. Thread:
//! test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::disks::valid;
use crate::record::setup;
use crate::util::{PATIENCE, check, faultless, place, read_wav, record, run};
use faultless::butler::spool::{folders, progress_path_of};
use faultless::control::{Control, Notice, Severity};
use faultless::device::signal::ramp;
use faultless::format::TakeFormat;
use faultless::message::disk::{ButlerCommand, CommitCommand};
use faultless::message::published::NO_PASS;
use faultless::message::take::{PassKey, TakeKey, TakePlan};
use faultless::session::session_file::open_read_only;
use faultless::time::Frames;
use faultless::wav::header::Header;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use uuid::Uuid;

const TRACKS: usize = 4;

/// Starts a recording and returns when it has `frames` frames.
fn recording(folder: &Path, frames: u64) -> Control {
    let mut control = Control::open(setup(folder, "", TRACKS, 48_000, TakeFormat::S24)).unwrap();
    control.arm_inputs(TRACKS).unwrap();
    control.record(Frames(600 * 48_000)).unwrap();
    until(&mut control, frames);
    control
}

/// Polls until `frames` frames are recorded.
fn until(control: &mut Control, frames: u64) {
    let end = Instant::now() + PATIENCE;
    let recorded =
        |control: &Control| Some(control.running().published.pass_frames.load(Relaxed)).filter(|it| *it != NO_PASS);
    while recorded(control).is_none_or(|recorded| recorded < frames) {
        assert!(Instant::now() < end, "it does not record");
        control.poll();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A take with no channels. A thread that divides by its bytes a frame panics.
fn poison(folder: &Path) -> TakePlan {
    TakePlan {
        key: TakeKey(u64::MAX),
        identity: Uuid::new_v4(),
        session: Uuid::nil(),
        path: folder.join("poison.wav"),
        header: Header::new(0, 48_000, TakeFormat::S24),
        pair: None,
        head: Frames(0),
    }
}

/// Recovers the session and checks that every take has at least `frames` frames and no loss.
#[track_caller]
fn whole(folder: &Path, frames: u64) {
    run(faultless("recover", folder, "")).done();
    let found = check(folder)[0];
    assert!(found.takes == TRACKS && found.lost == 0 && frames <= found.frames, "{found:?}");
}

/// Waits for the notice that the disk thread `name` has failed. Checks that nothing of the recording is lost.
#[track_caller]
fn reported_and_kept(mut control: Control, name: &str, folder: &Path) {
    let (end, mut told) = (Instant::now() + PATIENCE, Vec::new());
    let is_it =
        |it: &Notice| it.severity == Severity::Loss && it.text.starts_with(name) && it.text.contains("start again");
    while !told.iter().any(is_it) {
        assert!(Instant::now() < end, "it is not told: {told:?}");
        control.poll();
        told.extend(std::iter::from_fn(|| control.take_notice()));
        std::thread::sleep(Duration::from_millis(5));
    }
    control.close();
    whole(folder, 60_000);
}

#[test]
fn a_committer_that_panics_costs_no_frame() {
    let place = place();
    let folder = place.path().join("session");
    let control = recording(&folder, 60_000);
    let takes = vec![poison(place.path())];
    control.running().commit.queue().send(CommitCommand::Open { pass: PassKey(u64::MAX), takes }).unwrap();
    reported_and_kept(control, "committer", &folder);
}

#[test]
fn a_butler_that_panics_costs_no_frame() {
    let place = place();
    let folder = place.path().join("session");
    let control = recording(&folder, 60_000);
    let (take, pass) = (poison(place.path()), PassKey(u64::MAX));
    let tallies = folders().into_iter().map(|folder| progress_path_of(&folder, take.identity));
    let command =
        ButlerCommand::Prepare { pass, takes: vec![take.clone()], files: Vec::new(), rate: 48_000, mirrored: false };
    control.running().butler.queue().send(command).unwrap();
    reported_and_kept(control, "butler", &folder);
    // The butler may have made this file before it panicked.
    tallies.for_each(|progress_page| drop(fs::remove_file(progress_page)));
}

#[test]
fn an_audio_thread_that_panics_ends_the_takes_with_its_last_frame() {
    let place = place();
    let folder = place.path().join("session");
    let arguments = format!("--device virtual:crash=60000 --inputs {TRACKS} --seconds 600");
    let run = run(record(&folder, &arguments));
    assert!(run.err.contains("audio thread: it failed"), "{}", run.err);
    assert!(run.code == Some(1) && run.err.contains("recording ended by itself at 0:0"), "{}", run.err);
    // There are no accounts, because the thread that counted is gone.
    let (session, frames) = (open_read_only(&folder).unwrap(), valid(&folder));
    assert!(session.takes().len() == TRACKS && session.takes().iter().all(|take| take.frames.0 == frames));
    let (_, samples) = read_wav(&folder.join(session.takes()[0].path()));
    // The device counts its frames from its start.
    let last = (0..60_064).find(|frame| ramp(*frame, 0) == samples[samples.len() - 1]);
    assert!(last.is_some_and(|last| 59_900 <= last), "{last:?}\n{}", run.err);
}

#[test]
fn a_front_end_that_panics_while_recording_ends_the_program_and_not_the_take() {
    let place = place();
    let folder = place.path().join("session");
    let (ended, end) = crossbeam_channel::bounded(1);
    let recorded = folder.clone();
    std::thread::spawn(move || {
        // Dropped after the control, so that the test sees the end of the thread.
        let _ended: crossbeam_channel::Sender<()> = ended;
        let _control = recording(&recorded, 48_000);
        panic!("as intended");
    });
    let told = end.recv_timeout(PATIENCE);
    assert_eq!(told, Err(crossbeam_channel::RecvTimeoutError::Disconnected), "the thread does not come to its end");
    whole(&folder, 48_000);
}
