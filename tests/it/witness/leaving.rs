//! Voices that are removed, under the witnesses: whatever comes in between, they fade out and come home with their windows.
//! Thread: test.

use super::account::assert_rt;
use super::disc::Disc;
use super::playing::{FADE, dropouts, played, removed, rig};
use super::rig::{Rig, input_24, plain};
use faultless::engine::Next;
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::message::{AudioCommand, Motion, PlayPath, Voice};
use faultless::mixer::{Mix, TrackGains};
use faultless::time::{FramePos, Frames};
use std::sync::atomic::Ordering::Relaxed;

const REMOVE: AudioCommand = AudioCommand::Remove { slot: 0 };

fn to(start: u64, epoch: u32) -> AudioCommand {
    AudioCommand::Locate { path: PlayPath { start: FramePos(start), loop_range: None }, epoch }
}

/// A disc and a voice that has windows for its first `frames` frames.
fn filled(frames: u64) -> (Disc, Box<Voice>) {
    let (mut disc, voice) = Disc::new(TakeFormat::S24, 2, 10_000);
    if 0 < frames {
        disc.supply(0, 0, 0, frames);
    }
    (disc, voice)
}

/// A rig whose only track has windows for `frames` frames and rolls since 640 frames.
fn rolling(frames: u64) -> (Rig, Disc) {
    let (mut rig, (disc, voice)) = (rig(), filled(frames));
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Roll);
    rig.cycles(10);
    (rig, disc)
}

/// Asserts that `voices` voices came home with all windows of `discs`, that nothing was a dropout, and that nothing is heard any
/// more.
#[track_caller]
fn assert_home(mut rig: Rig, voices: usize, discs: &mut [Disc]) {
    let reports = rig.reports();
    assert_eq!((dropouts(&reports), rig.published.frames_dropped.load(Relaxed)), (Vec::new(), 0));
    assert_eq!(removed(reports), voices);
    for disc in discs {
        disc.collect();
        assert_eq!(disc.out(), 0, "windows too");
    }
    let from = rig.playback.frames();
    rig.cycles(2);
    assert!((from..rig.playback.frames()).all(|frame| rig.playback.at(frame) == [0, 0]));
    assert_eq!(removed(rig.reports()), 0);
}

#[test]
fn a_track_that_is_removed_directly_after_its_player_was_replaced_fades_out_in_both() {
    let (mut rig, first) = rolling(10_000);
    let (second, voice) = filled(10_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.cycles(2);
    rig.send(REMOVE);
    rig.cycles(1);
    assert_eq!(removed(rig.reports()), 0, "both fade out");
    rig.cycles(6);
    // Each gain was one half at the removal, and is a quarter now.
    let half = played(640 + 192, 2).map(|sample| sample / 2);
    let found = rig.playback.at(640 + 192);
    assert!(found.iter().zip(half).all(|(found, half)| found.abs_diff(half) < 1 << 15), "{found:?} for {half:?}");
    assert_home(rig, 2, &mut [first, second]);
}

#[test]
fn a_track_without_windows_that_is_removed_comes_home_with_the_next_period() {
    let (mut rig, disc) = rolling(640);
    rig.send(REMOVE);
    rig.cycles(1);
    assert_home(rig, 1, &mut [disc]);
}

#[test]
fn a_monitored_input_fades_out_when_its_track_is_removed_rolling_and_stopped() {
    for rolls in [true, false] {
        let (mut rig, (disc, mut voice)) = (rig(), filled(0));
        (voice.mix, voice.gains) = (Mix { disk: false, input: true, ..plain(2) }, TrackGains::SILENT);
        rig.send(AudioCommand::Install { slot: 0, voice });
        if rolls {
            rig.send(AudioCommand::Roll);
        }
        rig.cycles(10);
        rig.send(REMOVE);
        rig.cycles(3);
        assert_eq!(removed(rig.reports()), 0, "it fades out");
        let input = |frame: u64| [0, 1].map(|channel| input_24(frame, channel, DeviceFormat::S32));
        assert_eq!(rig.playback.at(639), input(639));
        let half = input(640 + FADE / 2).map(|sample| sample / 2);
        let found = rig.playback.at(640 + FADE / 2);
        assert!(found.iter().zip(half).all(|(found, half)| found.abs_diff(half) < 1 << 16), "{found:?} for {half:?}");
        rig.cycles(3);
        assert_home(rig, 1, &mut [disc]);
    }
}

#[test]
fn a_track_that_is_removed_while_stopped_comes_home_at_once() {
    let (mut rig, (disc, voice)) = (rig(), filled(5_000));
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.cycles(5);
    rig.send(REMOVE);
    assert_eq!(assert_rt(|| rig.engine.apply_commands()), Next::Continue);
    assert_home(rig, 1, &mut [disc]);
}

/// The removal of many tracks took a time that grew with the square of their number, in one period.
#[test]
fn the_removal_of_a_track_looks_at_its_own_slot_only() {
    let mut rig = rig();
    let [(first, voice), (second, other), (third, last)] = [(); 3].map(|()| filled(2_000));
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Install { slot: 0, voice: other });
    rig.send(AudioCommand::Install { slot: 1, voice: last });
    rig.send(AudioCommand::Remove { slot: 1 });
    assert_eq!(assert_rt(|| rig.engine.apply_commands()), Next::Continue);
    assert_eq!(removed(rig.reports()), 1, "the voice of the slot, and not the replaced one of another slot");
    rig.cycles(1);
    assert_eq!(removed(rig.reports()), 1);
    rig.send(REMOVE);
    rig.cycles(1);
    assert_home(rig, 1, &mut [first, second, third]);
}

#[test]
fn a_player_that_is_installed_while_the_one_before_leaves_plays() {
    let (mut rig, first) = rolling(10_000);
    let (second, voice) = filled(10_000);
    rig.send(REMOVE);
    rig.cycles(1);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.cycles(10);
    assert_eq!(removed(rig.reports()), 1);
    assert!((704 + FADE..1_344).all(|frame| rig.playback.at(frame) == played(frame, 2)));
    rig.send(REMOVE);
    rig.cycles(5);
    assert_home(rig, 1, &mut [first, second]);
}

#[test]
fn a_locate_or_the_end_takes_a_leaving_track_home() {
    for remove_first in [true, false] {
        let (mut rig, disc) = rolling(10_000);
        let commands = if remove_first { [REMOVE, to(5_000, 1)] } else { [to(5_000, 1), REMOVE] };
        for command in commands {
            rig.send(command);
            rig.cycles(1);
        }
        rig.cycles(6);
        assert_eq!(rig.motion(), Motion::WaitingForData);
        assert_home(rig, 1, &mut [disc]);
    }
    let (mut rig, mut disc) = rolling(10_000);
    rig.send(REMOVE);
    rig.cycles(1);
    rig.send(AudioCommand::Quit);
    assert_eq!(rig.cycle(), Next::Leave);
    disc.collect();
    assert_eq!((removed(rig.reports()), disc.out()), (1, 0));
}

#[test]
fn a_device_without_a_clock_does_not_wait_for_a_track_that_leaves() {
    let (mut rig, disc) = rolling(640);
    assert!(!rig.engine.is_ready(Frames(64)));
    rig.send(REMOVE);
    assert_eq!(assert_rt(|| rig.engine.apply_commands()), Next::Continue);
    assert!(rig.engine.is_ready(Frames(64)));
    rig.cycles(1);
    assert_home(rig, 1, &mut [disc]);
}
