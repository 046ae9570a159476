//! Passes under the witnesses: where they begin, how they end. Thread: test.

use super::reel::Reel;
use super::rig::{Rig, ended, interleaved};
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::message::published::NO_PASS;
use faultless::message::{AudioCommand, AudioEvent, Capture, Motion, Pass, PassRange};
use faultless::time::{FramePos, Frames};
use std::sync::atomic::Ordering::Relaxed;

const FOR_EVER: Frames = Frames(u64::MAX);

fn rig() -> Rig {
    Rig::on(interleaved("", 2, DeviceFormat::S32, 64))
}

fn take() -> (Reel, Capture) {
    let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0, 1], 1);
    reel.supply(6);
    (reel, capture)
}

fn began(events: &[AudioEvent]) -> Vec<(u64, u64)> {
    let places = events.iter().filter_map(|event| match event {
        AudioEvent::PassBegan { at, device_frame } => Some((at.0, *device_frame)),
        _ => None,
    });
    places.collect()
}

#[test]
fn a_pass_begins_at_its_position_and_ends_after_its_length_within_a_period() {
    let mut rig = rig();
    let (mut reel, capture) = take();
    rig.send(AudioCommand::Roll);
    rig.cycles(5);
    rig.record(Pass::new(vec![capture], PassRange::Punch { from: FramePos(1001), to: FramePos(3346) }, true));
    rig.cycles(10);
    assert_eq!(rig.published.pass_frames.load(Relaxed), NO_PASS, "its place has not come");
    rig.cycles(50);
    let reports = rig.reports();
    assert_eq!(began(&reports), [(1001, 1001)]);
    assert_eq!(rig.position(), 3602, "the transport stops after 256 frames of declick");
    let pass = ended(reports);
    assert_eq!((pass.frames, pass.began), (Frames(2345), FramePos(1001)));
    assert_eq!((rig.motion(), rig.published.pass_frames.load(Relaxed)), (Motion::Stopped, NO_PASS));
    reel.assert_ramp(0..2345, 1001, DeviceFormat::S32);
    reel.assert_silent(2345..3000);
    reel.assert_returned(2345);
}

/// The pass had a length instead of an end. A punch that began late, because frames were lost or windows came late,
/// recorded as many frames behind its end.
#[test]
fn a_punch_that_begins_late_ends_in_time() {
    let mut rig = rig();
    let (mut reel, capture) = take();
    rig.send(AudioCommand::Roll);
    rig.cycles(20);
    rig.record(Pass::new(vec![capture], PassRange::Punch { from: FramePos(1000), to: FramePos(2000) }, false));
    rig.cycles(20);
    let reports = rig.reports();
    assert_eq!(began(&reports), [(1280, 1280)]);
    let pass = ended(reports);
    assert_eq!((pass.began, pass.frames), (FramePos(1280), Frames(720)));
    reel.assert_ramp(0..720, 1280, DeviceFormat::S32);
    reel.assert_silent(720..1000);
    reel.assert_returned(720);
}

#[test]
fn a_punch_whose_range_has_passed_records_nothing_and_ends() {
    let mut rig = rig();
    let (mut reel, capture) = take();
    rig.send(AudioCommand::Roll);
    rig.cycles(20);
    rig.record(Pass::new(vec![capture], PassRange::Punch { from: FramePos(100), to: FramePos(1280) }, true));
    rig.cycles(10);
    let reports = rig.reports();
    assert_eq!(began(&reports), []);
    assert_eq!((ended(reports).frames, rig.motion()), (Frames(0), Motion::Stopped));
    reel.assert_silent(0..1000);
    reel.assert_returned(0);
}

#[test]
fn a_pass_that_does_not_stop_with_its_end_leaves_the_transport_rolling() {
    let mut rig = rig();
    let (mut reel, capture) = take();
    rig.record(Pass::new(vec![capture], PassRange::Now(Frames(100)), false));
    rig.cycles(10);
    assert_eq!(ended(rig.reports()).frames, Frames(100));
    assert_eq!((rig.motion(), rig.position()), (Motion::Rolling, 640));
    reel.assert_ramp(0..100, 0, DeviceFormat::S32);
    reel.assert_returned(100);
}

#[test]
fn stop_ends_the_pass_with_the_frame_before_it() {
    let mut rig = rig();
    let (mut reel, capture) = take();
    rig.record(Pass::new(vec![capture], PassRange::Now(FOR_EVER), false));
    rig.cycles(30);
    rig.send(AudioCommand::Stop);
    rig.cycles(1);
    assert_eq!(rig.motion(), Motion::Stopping);
    rig.cycles(4);
    assert_eq!((rig.motion(), rig.position()), (Motion::Stopped, 30 * 64 + 256));
    assert_eq!(ended(rig.reports()).frames, Frames(30 * 64));
    reel.assert_ramp(0..30 * 64, 0, DeviceFormat::S32);
    reel.assert_returned(30 * 64);
}

#[test]
fn punching_out_and_in_again_keeps_rolling() {
    let mut rig = rig();
    let ((mut first, capture), (mut second, again)) = (take(), take());
    rig.record(Pass::new(vec![capture], PassRange::Now(FOR_EVER), false));
    rig.cycles(20);
    rig.send(AudioCommand::PunchOut);
    rig.cycles(7);
    assert_eq!((rig.motion(), ended(rig.reports()).frames), (Motion::Rolling, Frames(20 * 64)));
    rig.record(Pass::new(vec![again], PassRange::Now(FOR_EVER), false));
    rig.cycles(11);
    rig.send(AudioCommand::PunchOut);
    rig.cycles(3);
    let reports = rig.reports();
    assert_eq!(began(&reports), [(27 * 64, 27 * 64)]);
    assert_eq!(ended(reports).frames, Frames(11 * 64));
    first.assert_ramp(0..20 * 64, 0, DeviceFormat::S32);
    first.assert_returned(20 * 64);
    second.assert_ramp(0..11 * 64, 27 * 64, DeviceFormat::S32);
    second.assert_returned(11 * 64);
}

#[test]
fn a_pass_over_a_pass_ends_the_first() {
    let mut rig = rig();
    let ((mut first, capture), (mut second, over)) = (take(), take());
    rig.record(Pass::new(vec![capture], PassRange::Now(FOR_EVER), false));
    rig.cycles(9);
    rig.record(Pass::new(vec![over], PassRange::Now(FOR_EVER), true));
    rig.cycles(9);
    assert_eq!(ended(rig.reports()).frames, Frames(9 * 64));
    rig.send(AudioCommand::Stop);
    rig.cycles(1);
    assert_eq!(ended(rig.reports()).frames, Frames(9 * 64));
    first.assert_returned(9 * 64);
    second.assert_ramp(0..9 * 64, 9 * 64, DeviceFormat::S32);
    second.assert_returned(9 * 64);
}

#[test]
fn a_pass_whose_position_is_never_reached_is_returned_empty() {
    let mut rig = rig();
    let (mut reel, capture) = take();
    rig.record(Pass::new(vec![capture], PassRange::Punch { from: FramePos(1 << 30), to: FramePos(1 << 31) }, false));
    rig.cycles(10);
    rig.send(AudioCommand::Stop);
    rig.cycles(10);
    assert_eq!(ended(rig.reports()).frames, Frames(0));
    reel.assert_returned(0);
    reel.assert_silent(0..1000);
    assert!(reel.back.iter().all(|(.., touched)| !touched));
}

#[test]
fn a_locate_ends_the_pass() {
    let mut rig = rig();
    let (mut reel, capture) = take();
    rig.record(Pass::new(vec![capture], PassRange::Now(FOR_EVER), false));
    rig.cycles(10);
    let path = faultless::message::PlayPath { start: FramePos(48_000), loop_range: None };
    rig.send(AudioCommand::Locate { path, epoch: 1 });
    rig.cycles(10);
    // The pass records until the fade-out is over, as long as playback is audible.
    let frames = ended(rig.reports()).frames;
    assert_eq!((frames, rig.motion()), (Frames(10 * 64 + 256), Motion::WaitingForData));
    reel.assert_ramp(0..frames.0, 0, DeviceFormat::S32);
    reel.assert_returned(frames.0);
    rig.arrive(1);
    rig.cycles(2);
    assert_eq!((rig.motion(), rig.position()), (Motion::Rolling, 48_000 + 128));
}
