//! Passes under the witnesses: where they begin, how they end. Thread: test.

use super::reel::Reel;
use super::rig::{Rig, ended, interleaved};
use faultless::device::LossCause;
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

/// A pass that arrived within the fade of a locate began there, and the jump ended it after a few frames.
#[test]
fn a_pass_that_arrives_within_the_fade_of_a_locate_begins_after_it() {
    for range in [PassRange::Now(Frames(1_000)), PassRange::Punch { from: FramePos(48_200), to: FramePos(49_200) }] {
        let mut rig = rig();
        let (mut reel, capture) = take();
        rig.send(AudioCommand::Roll);
        rig.cycles(10);
        let path = faultless::message::PlayPath { start: FramePos(48_000), loop_range: None };
        rig.send(AudioCommand::Locate { path, epoch: 1 });
        rig.cycles(1);
        rig.record(Pass::new(vec![capture], range, false));
        rig.cycles(10);
        assert_eq!((rig.motion(), began(&rig.reports())), (Motion::WaitingForData, vec![]), "{range:?}");
        rig.arrive(1);
        rig.cycles(30);
        let reports = rig.reports();
        let before = if range == PassRange::Now(Frames(1_000)) { 0 } else { 200 };
        // Ten periods, one of which the fade ends in, and eleven while the transport waits.
        let device_frame = 21 * 64 + before;
        assert_eq!(began(&reports), [(48_000 + before, device_frame)], "{range:?}");
        assert_eq!(ended(reports).frames, Frames(1_000));
        reel.assert_ramp(0..1_000, device_frame, DeviceFormat::S32);
        reel.assert_returned(1_000);
    }
}

/// A punch whose punch-in lay within lost frames began behind them.
#[test]
fn a_punch_whose_punch_in_lies_within_lost_frames_begins_there_with_silence() {
    for (order, from, lost) in
        [("xrun=640+777", 1_001, 416), ("xrun=640+777", 640, 777), ("unplug=640+777", 1_001, 416)]
    {
        let mut rig = Rig::on(interleaved(order, 2, DeviceFormat::S32, 64));
        let (mut reel, capture) = take();
        rig.send(AudioCommand::Roll);
        rig.record(Pass::new(
            vec![capture],
            PassRange::Punch { from: FramePos(from), to: FramePos(from + 2_000) },
            false,
        ));
        rig.cycles(60);
        let reports = rig.reports();
        assert_eq!(began(&reports), [(from, from)], "{order}");
        let pass = ended(reports);
        assert_eq!((pass.began, pass.frames, pass.lost), (FramePos(from), Frames(2_000), Frames(lost)), "{order}");
        let marks: Vec<_> = pass.losses.marks().iter().map(|mark| (mark.at.0, mark.frames.0)).collect();
        assert_eq!(marks, [(0, lost)]);
        assert_eq!(rig.published.device_frames.load(Relaxed), rig.position());
        reel.assert_silent(0..lost);
        reel.assert_ramp(lost..2_000, from + lost, DeviceFormat::S32);
        reel.assert_returned(2_000);
    }
}

/// A whole punch that the device lost is a take of silence with a loss, and not a take without a frame.
#[test]
fn a_punch_that_lies_within_lost_frames_is_silence_from_end_to_end() {
    let mut rig = Rig::on(interleaved("xrun=640+5000", 2, DeviceFormat::S32, 64));
    let (mut reel, capture) = take();
    rig.send(AudioCommand::Roll);
    rig.record(Pass::new(vec![capture], PassRange::Punch { from: FramePos(1_000), to: FramePos(2_000) }, true));
    rig.cycles(30);
    let reports = rig.reports();
    assert_eq!(began(&reports), [(1_000, 1_000)]);
    let pass = ended(reports);
    assert_eq!((pass.frames, pass.lost), (Frames(1_000), Frames(1_000)));
    reel.assert_silent(0..1_000);
    reel.assert_returned(1_000);
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

/// The loss had no report at the jump. A later one was added to it, at a place that was not its own.
#[test]
fn a_loss_within_the_fade_of_a_locate_is_reported_at_its_place_and_ends_the_pass() {
    for (options, lost, cause) in [("xrun=704+100", 100, LossCause::Xrun), ("unplug=704+64", 64, LossCause::Unplug)] {
        let mut rig = Rig::on(interleaved(options, 2, DeviceFormat::S32, 64));
        let (mut reel, capture) = take();
        rig.record(Pass::new(vec![capture], PassRange::Now(FOR_EVER), false));
        rig.cycles(10);
        let path = faultless::message::PlayPath { start: FramePos(48_000), loop_range: None };
        rig.send(AudioCommand::Locate { path, epoch: 1 });
        rig.cycles(2);
        // The fade has begun, and playback is silent behind the loss. So the pass ends there.
        let reports = rig.reports();
        let reported = |event: &AudioEvent| match event {
            AudioEvent::Lost { at, frames, recorded, cause } => Some((at.0, frames.0, recorded.0, *cause)),
            _ => None,
        };
        assert_eq!(reports.iter().filter_map(reported).collect::<Vec<_>>(), [(704, lost, lost, cause)]);
        assert_eq!(rig.motion(), Motion::WaitingForData);
        let pass = ended(reports);
        assert_eq!((pass.frames, pass.lost), (Frames(704 + lost), Frames(lost)));
        reel.assert_ramp(0..704, 0, DeviceFormat::S32);
        reel.assert_silent(704..704 + lost);
        reel.assert_returned(704 + lost);
    }
}
