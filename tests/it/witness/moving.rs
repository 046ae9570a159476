//! The playhead under the witnesses: locates, loops, starts and stops, and everything at once. Thread: test.

use super::disc::{Disc, sound};
use super::reel::{Reel, refill_all};
use super::rig::{Rig, ended, interleaved};
use faultless::engine::Next;
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::message::{AudioCommand, Motion, Pass, PassRange, PlayPath};
use faultless::time::{FramePos, Frames};
use std::sync::atomic::Ordering::Relaxed;

const FADE: u64 = 256;

fn playing(disc: &mut Disc, frames: u64) {
    disc.supply(0, 0, 0, frames);
}

fn to(start: u64) -> PlayPath {
    PlayPath { start: FramePos(start), loop_range: None }
}

#[test]
fn a_locate_while_stopped_waits_for_its_windows_and_stays_stopped() {
    let mut rig = Rig::on(interleaved("", 0, DeviceFormat::S32, 64));
    let (mut disc, voice) = Disc::new(TakeFormat::S24, 1, 20_000);
    playing(&mut disc, 10_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Locate { path: to(7_000), epoch: 1 });
    rig.cycles(5);
    assert_eq!((rig.motion(), rig.published.epoch.load(Relaxed)), (Motion::WaitingForData, 1));
    assert!(0 < disc.collect(), "windows of the place before came back");
    assert_eq!(disc.out(), 0);
    disc.supply(1, 0, 7_000, 5_000);
    rig.arrive(1);
    rig.cycles(2);
    assert_eq!((rig.motion(), rig.position()), (Motion::Stopped, 7_000));
    rig.send(AudioCommand::Roll);
    rig.cycles(20);
    assert!((7 * 64 + FADE..27 * 64).all(|frame| rig.playback.at(frame) == [sound(7_000 + frame - 7 * 64, 0), 0]));
    assert!((0..7 * 64).all(|frame| rig.playback.at(frame) == [0, 0]));
}

#[test]
fn windows_of_an_older_locate_are_returned_while_the_next_one_waits() {
    let mut rig = Rig::on(interleaved("", 0, DeviceFormat::S32, 64));
    let (mut disc, voice) = Disc::new(TakeFormat::S24, 1, 20_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Locate { path: to(100), epoch: 1 });
    rig.send(AudioCommand::Locate { path: to(7_000), epoch: 2 });
    rig.cycles(1);
    // The read-ahead supplied windows of the first locate before it knew of the second.
    disc.supply(1, 0, 100, 5_000);
    rig.cycles(1);
    assert!(0 < disc.collect(), "nobody plays them, so they come back");
    assert_eq!(disc.out(), 0);
}

#[test]
fn a_new_epoch_is_never_visible_with_the_old_stream_frame() {
    let mut rig = Rig::on(interleaved("", 0, DeviceFormat::S32, 64));
    rig.send(AudioCommand::Roll);
    rig.cycles(20);
    rig.send(AudioCommand::Stop);
    rig.cycles(20);
    assert!(1_000 < rig.published.stream.load(Relaxed));
    rig.send(AudioCommand::Locate { path: to(7_000), epoch: 1 });
    assert_eq!(rig.engine.apply_commands(), Next::Continue);
    let seen = (rig.published.epoch.load(Relaxed), rig.published.stream.load(Relaxed), rig.position());
    assert_eq!(seen, (1, 0, 7_000), "before any period was moved");
}

#[test]
fn a_locate_while_rolling_declicks_and_rolls_at_its_target() {
    let mut rig = Rig::on(interleaved("", 0, DeviceFormat::S32, 64));
    let (mut disc, voice) = Disc::new(TakeFormat::F32, 2, 20_000);
    playing(&mut disc, 10_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Roll);
    rig.cycles(10);
    disc.supply(1, 0, 15_000, 5_000);
    rig.send(AudioCommand::Locate { path: to(15_000), epoch: 1 });
    // A second locate comes during the fade-out of the first. The last one counts.
    rig.cycles(2);
    disc.supply(2, 0, 500, 5_000);
    rig.send(AudioCommand::Locate { path: to(500), epoch: 2 });
    rig.arrive(2);
    rig.cycles(30);
    // Ten periods, four periods of fade-out, then the new position.
    let from = 14 * 64;
    let played = |frame: u64| [sound(frame, 0), sound(frame, 1)];
    assert!((FADE..640).all(|frame| rig.playback.at(frame) == played(frame)));
    assert!((from + FADE..42 * 64).all(|frame| rig.playback.at(frame) == played(500 + frame - from)));
    assert_eq!(rig.position(), 500 + 42 * 64 - from);
    assert_eq!(rig.published.frames_dropped.load(Relaxed), 0);
    rig.send(AudioCommand::Quit);
    assert_eq!(rig.cycle(), Next::Leave);
    disc.collect();
    assert_eq!(disc.out(), 0);
}

#[test]
fn a_loop_repeats_in_step_with_its_windows() {
    let mut rig = Rig::on(interleaved("", 0, DeviceFormat::S32, 64));
    let (mut disc, voice) = Disc::new(TakeFormat::S16, 1, 10_000);
    let path = PlayPath { start: FramePos(2_000), loop_range: Some((FramePos(1_500), FramePos(2_333))) };
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Locate { path, epoch: 1 });
    rig.cycles(1);
    // First up to the end of the loop, then loop after loop.
    disc.supply(1, 0, 2_000, 333);
    for round in 0..5 {
        disc.supply(1, 333 + round * 833, 1_500, 833);
    }
    rig.arrive(1);
    rig.send(AudioCommand::Roll);
    rig.cycles(1);
    let first = 64;
    assert_eq!(rig.position(), 2_064);
    rig.cycles(65);
    for frame in first + FADE..66 * 64 {
        let place = path.at(frame - first).0;
        assert_eq!(rig.playback.at(frame), [sound(place, 0), 0], "frame {frame}, place {place}");
    }
    assert_eq!(rig.published.frames_dropped.load(Relaxed), 0);
}

#[test]
fn repeated_starts_and_stops_end_stopped_and_are_heard() {
    let mut rig = Rig::on(interleaved("", 0, DeviceFormat::S32, 64));
    let (mut disc, voice) = Disc::new(TakeFormat::S24, 1, 20_000);
    playing(&mut disc, 20_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    for round in 0..40_usize {
        rig.send(AudioCommand::Roll);
        rig.cycles(round % 7);
        rig.send(AudioCommand::Stop);
        rig.cycles(round % 5);
        rig.send(AudioCommand::PunchOut);
    }
    rig.cycles(5);
    assert_eq!(rig.motion(), Motion::Stopped);
    assert!(1_000 < rig.position());
    assert!((0..rig.playback.frames()).any(|frame| rig.playback.at(frame) != [0, 0]));
}

#[test]
fn everything_at_once_is_recorded_exactly() {
    let mut rig = Rig::on(interleaved("xrun=9600+1000,unplug=4800+640", 24, DeviceFormat::S24In3, 64));
    let (mut reels, captures): (Vec<_>, Vec<_>) =
        (0..24).map(|input| Reel::new(TakeFormat::S24, &[input], input)).unzip();
    let mut discs = Vec::new();
    for slot in 0..24 {
        let (mut disc, mut voice) = Disc::new(TakeFormat::S24, 1, 20_000);
        voice.mix.input = slot % 4 == 0;
        disc.supply(0, 0, 0, 20_000);
        disc.supplied_until(0, u64::MAX);
        rig.send(AudioCommand::Install { slot, voice });
        discs.push(disc);
    }
    refill_all(&mut reels, 3);
    rig.record(Pass::new(captures, PassRange::Punch { from: FramePos(130), to: FramePos(14130) }, true));
    let mix = super::rig::plain(1);
    for round in 0..260_usize {
        if round % 50 == 0 {
            rig.send(AudioCommand::Mix { slot: round % 24, mix });
        }
        rig.cycles(1);
        // No window is needed after the end of the pass.
        if rig.position() < 14_000 {
            refill_all(&mut reels, 3);
        }
        for disc in &mut discs {
            disc.collect();
        }
    }
    let pass = ended(rig.reports());
    assert_eq!((pass.frames, pass.lost, pass.xruns), (Frames(14_000), Frames(1_640), 1));
    for (reel, capture) in reels.iter_mut().zip(&pass.captures) {
        assert_eq!(capture.overrun, Frames(0));
        let (away, xrun) = (4_800 - 130, 9_600 - 130);
        reel.assert_ramp(0..away, 130, DeviceFormat::S24In3);
        reel.assert_silent(away..away + 640);
        reel.assert_ramp(away + 640..xrun, away + 640 + 130, DeviceFormat::S24In3);
        reel.assert_silent(xrun..xrun + 1_000);
        reel.assert_ramp(xrun + 1_000..14_000, xrun + 1_000 + 130, DeviceFormat::S24In3);
        reel.assert_returned(14_000);
    }
    assert_eq!(rig.motion(), Motion::Stopped);
}
