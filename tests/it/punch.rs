//! Punches and stops through the control side, in real time: where passes begin and end. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::setup;
use crate::recovery::await_frames;
use crate::util::{DEEP, PATIENCE, check, faultless, place, record, run, start};
use faultless::control::Control;
use faultless::format::TakeFormat;
use faultless::message::Motion;
use faultless::session::TakeState;
use faultless::session::session_file::open_read_only;
use faultless::time::{FramePos, Frames};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A session with two armed tracks on a device in real time whose buffer outlasts a busy machine.
fn opened(folder: &Path, plays: bool) -> Control {
    let mut setup = setup(folder, "", 2, 48_000, TakeFormat::S24);
    setup.device.buffer_frames = Some(96_000);
    let mut control = Control::open(setup).unwrap();
    control.arm_inputs(2).unwrap();
    if plays {
        control.enable_playback();
    }
    control
}

fn poll_until(control: &mut Control, mut done: impl FnMut(&Control) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        control.poll();
        if done(control) {
            return;
        }
        assert!(Instant::now() < until, "it does not come to pass");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn position(control: &Control) -> u64 {
    control.published().position.load(Relaxed)
}

fn roll_to(control: &mut Control, at: u64) {
    control.roll();
    poll_until(control, |control| at <= position(control) && control.published().motion() == Motion::Rolling);
}

/// Punches, and returns start and length of the takes of the pass.
fn punched(control: &mut Control, from: u64, to: u64, pre_roll: u64) -> (u64, u64) {
    control.punch(FramePos(from), FramePos(to), Frames(pre_roll)).unwrap();
    poll_until(control, |control| !control.is_recording());
    let last = control.session().takes().iter().map(|take| take.pass).max().unwrap();
    let takes: Vec<_> = control.session().takes().iter().filter(|take| take.pass == last).collect();
    assert!(
        takes.len() == 2 && takes.iter().all(|take| (take.start, take.frames) == (takes[0].start, takes[0].frames))
    );
    (takes[0].start.0, takes[0].frames.0)
}

/// A punch located first and began when its windows were ready, 60 to 80 ms behind the punch-in.
#[test]
fn a_punch_ahead_of_a_rolling_transport_begins_and_ends_at_its_range_without_a_locate() {
    for plays in [false, true] {
        let place = place();
        let folder = place.path().join("session");
        let mut control = opened(&folder, plays);
        poll_until(&mut control, Control::is_ready_to_roll);
        roll_to(&mut control, 12_000);
        let locates = control.published().epoch.load(Relaxed);
        let from = position(&control) + 192_000;
        assert_eq!(punched(&mut control, from, from + 9_600, 0), (from, 9_600));
        if !plays {
            assert_eq!(control.published().epoch.load(Relaxed), locates, "the transport rolled on");
        }
        control.close();
        assert_eq!(check(&folder)[0].frames, 9_600);
    }
}

#[test]
fn a_punch_that_lies_behind_or_just_ahead_of_a_rolling_transport_begins_and_ends_at_its_range() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, true);
    poll_until(&mut control, Control::is_ready_to_roll);
    for pre_roll in [0, 4_800] {
        roll_to(&mut control, 24_000);
        assert_eq!(punched(&mut control, 9_600, 14_400, pre_roll), (9_600, 4_800));
        roll_to(&mut control, 24_000);
        let from = position(&control) + 200;
        assert_eq!(punched(&mut control, from, from + 4_800, pre_roll), (from, 4_800));
        control.stop();
    }
    let (_, notices) = control.close();
    assert!(notices.iter().all(|notice| !notice.text.contains("after the punch-in")), "{notices:?}");
    assert_eq!(check(&folder).len(), 4);
}

#[test]
fn a_punch_of_a_stopped_transport_begins_and_ends_at_its_range() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, false);
    assert_eq!(punched(&mut control, 9_600, 14_400, 2_400), (9_600, 4_800));
    // The command comes within the fade of a locate.
    control.roll();
    control.locate(FramePos(48_000)).unwrap();
    assert_eq!(punched(&mut control, 4_800, 9_600, 0), (4_800, 4_800));
    control.close();
    assert_eq!(check(&folder).len(), 2);
}

/// A stop while the files or windows were made was forgotten, and the pass rolled a moment later.
#[test]
fn a_stop_while_a_pass_is_prepared_is_obeyed() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, false);
    control.record(Frames(u64::MAX)).unwrap();
    control.stop();
    poll_until(&mut control, |control| !control.is_recording());
    assert!(control.session().takes().iter().all(|take| take.frames == Frames(0)));
    control.record(Frames(9_600)).unwrap();
    poll_until(&mut control, |control| !control.is_recording());
    let (reports, _) = control.close();
    assert_eq!(reports.iter().map(|report| report.frames).collect::<Vec<_>>(), [9_600]);
}

/// Losses were written into the session at the end of the pass: a power cut before it left silence that no list had.
#[test]
fn a_loss_is_in_the_session_while_the_pass_goes_on_and_once_after_a_recovery() {
    let place = place();
    let folder = place.path().join("session");
    let arguments = format!("--device virtual:xrun=12000+480 --inputs 2 --seconds 600 {DEEP}");
    let mut program = start(record(&folder, &arguments));
    await_frames(&folder, &mut program, 1);
    let losses = || -> Vec<Vec<(u64, u64)>> {
        let session = open_read_only(&folder).unwrap();
        let takes = session.takes().iter();
        takes.map(|take| take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect()).collect()
    };
    let until = Instant::now() + PATIENCE;
    while losses().iter().any(Vec::is_empty) {
        assert!(Instant::now() < until && program.is_running(), "no loss is listed");
        std::thread::sleep(Duration::from_millis(20));
    }
    let listed = losses();
    assert!(listed.iter().all(|take| take.len() == 1 && take[0].1 == 480), "{listed:?}");
    program.signal("KILL");
    program.wait(PATIENCE);
    run(faultless("recover", &folder, "")).done();
    assert_eq!(losses(), listed);
    assert!(open_read_only(&folder).unwrap().takes().iter().all(|take| take.state == TakeState::Recovered));
    check(&folder);
}
