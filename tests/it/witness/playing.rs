//! Playback under the witnesses: sound, silence, dropouts, truncated files, mixing, monitoring, changing voices.
//! Thread: test.

use super::account::{Account, Calls, account, assert_rt};
use super::disc::{Disc, sound};
use super::reel::Reel;
use super::rig::{Rig, cycle, input_24, interleaved, plain, planar};
use faultless::engine::Next;
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::message::{AudioCommand, AudioEvent, Motion, Pass, PassRange, PlayPath};
use faultless::mixer::{Mix, TrackGains, pan_gains};
use faultless::time::{FramePos, Frames};
use std::sync::atomic::Ordering::Relaxed;

const TAKE_FORMATS: [TakeFormat; 3] = [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32];
/// Frames of the declick ramp at the start.
pub(super) const FADE: u64 = 256;

pub(super) fn rig() -> Rig {
    Rig::on(interleaved("", 2, DeviceFormat::S32, 64))
}

/// Left and right that an unchanged voice plays for frame `frame` of its file.
pub(super) fn played(frame: u64, channels: usize) -> [i32; 2] {
    [sound(frame, 0), if channels == 2 { sound(frame, 1) } else { 0 }]
}

pub(super) fn dropouts(events: &[AudioEvent]) -> Vec<(usize, u64, u64)> {
    let found = events.iter().filter_map(|event| match event {
        AudioEvent::Dropout { slot, at, frames } => Some((*slot, at.0, frames.0)),
        _ => None,
    });
    found.collect()
}

pub(super) fn removed(events: Vec<AudioEvent>) -> usize {
    events.into_iter().filter(|event| matches!(event, AudioEvent::Removed(_))).count()
}

/// Plays sound, silence, sound, a dropout, sound again, and silence to the end.
fn play_all(format: TakeFormat, channels: usize, device: DeviceFormat) {
    let (mut disc, voice) = Disc::new(format, channels, 20_000);
    let mut rig = Rig::on(interleaved("", 0, device, 64));
    disc.supply(0, 0, 100, 5_000);
    disc.supply(0, 6_001, 9_000, 3_000);
    rig.send(AudioCommand::Install { slot: 3, voice });
    rig.send(AudioCommand::Roll);
    // Windows end at frame 9,001, in period 140. There are none up to frame 10,240.
    rig.cycles(160);
    disc.supply(0, 10_500, 0, 1_000);
    disc.supplied_until(0, u64::MAX);
    rig.cycles(40);
    let lost = |value: i32| if device == DeviceFormat::S16 { value >> 8 << 8 } else { value };
    for frame in FADE..200 * 64 {
        let wanted = match frame {
            0..5_000 => played(frame + 100, channels),
            6_001..9_001 => played(frame - 6_001 + 9_000, channels),
            10_500..11_500 => played(frame - 10_500, channels),
            _ => [0, 0],
        };
        assert_eq!(rig.playback.at(frame), wanted.map(lost), "{format} with {channels} channels: frame {frame}");
    }
    assert!(rig.playback.at(0) == [0, 0] && rig.playback.at(100) != [0, 0], "it fades in");
    assert_eq!(dropouts(&rig.reports()), [(3, 9_001, 10_240 - 9_001)]);
    assert_eq!(rig.published.frames_dropped.load(Relaxed), 10_240 - 9_001);
    assert_eq!(rig.published.dropouts.load(Relaxed), 1);
    rig.send(AudioCommand::Quit);
    assert_eq!(rig.cycle(), Next::Leave);
    assert!(2 < disc.collect());
    assert_eq!(disc.out(), 0);
}

#[test]
fn every_take_format_is_played_through_gap_and_dropout() {
    for format in TAKE_FORMATS {
        for channels in [1, 2] {
            play_all(format, channels, DeviceFormat::S32);
        }
    }
}

#[test]
fn every_device_format_is_played_to() {
    for device in [DeviceFormat::S16, DeviceFormat::S24, DeviceFormat::S24In3, DeviceFormat::F32] {
        play_all(TakeFormat::S24, 2, device);
    }
}

#[test]
fn planar_memory_is_played_to() {
    let (mut disc, voice) = Disc::new(TakeFormat::F32, 2, 10_000);
    let mut rig = Rig::on(planar(3, DeviceFormat::S24In3, 100));
    disc.supply(0, 0, 0, 10_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Roll);
    rig.cycles(100);
    assert!((FADE..10_000).all(|frame| rig.playback.at(frame) == played(frame, 2)));
}

#[test]
fn a_file_that_is_cut_short_costs_one_system_call_a_page_and_is_silent_from_there() {
    let (mut disc, voice) = Disc::new(TakeFormat::S16, 1, 9_000);
    let mut rig = rig();
    disc.supply(0, 0, 0, 9_000);
    rig.send(AudioCommand::Install { slot: 7, voice });
    rig.send(AudioCommand::Roll);
    rig.cycles(20);
    let gone = disc.cut(3_000);
    assert!((3_000..5_100).contains(&gone));
    let (mut repairs, mut cost) = (0, Account::default());
    for _ in 20..180 {
        let Rig { engine, device, playback, .. } = &mut rig;
        let (_, spent) = account(Calls::Trapped, || cycle(engine, device.as_mut(), playback));
        assert_eq!(spent.allocations, 0);
        // The SIGBUS handler maps a page of zeros in place of a missing one. That is its only system call. It may wait
        // while another thread maps memory. Two faults per page are allowed: the refused one and the resolved one.
        assert!(spent.switches == 0 || spent.call.is_some(), "{spent:?}");
        assert!(spent.call.is_none_or(|call| i64::from(call) == libc::SYS_mmap), "{spent:?}");
        repairs += u64::from(spent != Account::default());
        (cost.minor_faults, cost.major_faults) =
            (cost.minor_faults + spent.minor_faults, cost.major_faults + spent.major_faults);
    }
    let end = 180 * 64;
    // The page of the cut is filled with zeros behind the cut. It and the missing pages fault again.
    let pages = (9_000_u64 * 2).div_ceil(4096) - 3_000 * 2 / 4096;
    assert!(1 <= repairs && repairs <= pages, "{repairs} periods repaired {pages} pages");
    assert!(cost.minor_faults + cost.major_faults <= 3 * pages as i64, "{cost:?}");
    for frame in FADE..3_000 {
        assert_eq!(rig.playback.at(frame), played(frame, 1), "frame {frame}");
    }
    assert!((3_000..end).all(|frame| rig.playback.at(frame) == [0, 0]), "what is missing is silent");
    let reports = rig.reports();
    let cuts: Vec<_> = reports.iter().filter(|event| matches!(event, AudioEvent::CutShort { slot: 7, .. })).collect();
    assert_eq!(cuts.len(), 1, "told once");
    // From here on the engine is realtime-safe again.
    rig.cycles(10);
}

#[test]
fn a_moved_fader_ramps_and_a_muted_track_is_silent() {
    let (mut disc, voice) = Disc::new(TakeFormat::S24, 2, 20_000);
    let mut rig = rig();
    disc.supply(0, 0, 0, 20_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Roll);
    rig.cycles(10);
    let mix = Mix { gains: TrackGains::both([[0.5, 0.0], [0.0, 0.25]]), ..plain(2) };
    rig.send(AudioCommand::Mix { slot: 0, mix });
    rig.cycles(20);
    rig.send(AudioCommand::Mix { slot: 0, mix: Mix { gains: TrackGains::SILENT, ..plain(2) } });
    rig.cycles(20);
    rig.send(AudioCommand::Mix { slot: 0, mix: plain(2) });
    rig.cycles(20);
    // A slot out of range or without a voice is ignored.
    rig.send(AudioCommand::Mix { slot: 900, mix });
    rig.send(AudioCommand::Mix { slot: usize::MAX, mix });
    rig.cycles(1);
    for frame in [FADE, 639, 640 + FADE, 1919, 1920 + FADE, 3199, 3200 + FADE, 4479] {
        let [left, right] = played(frame, 2);
        let wanted = match frame {
            640..1920 => [left / 2, right / 4],
            1920..3200 => [0, 0],
            _ => [left, right],
        };
        assert_eq!(rig.playback.at(frame), wanted, "frame {frame}");
    }
    let glide = |frame: u64| f64::from(rig.playback.at(frame)[0]) / f64::from(played(frame, 2)[0]);
    // A ramp step is 1/256 of full scale, so a quarter of full scale takes 64 frames.
    assert!((0.74..0.76).contains(&glide(640 + 64)), "half way: {}", glide(640 + 64));
}

/// The gains followed the inputs of the track: a mono take on a track that is stereo now was heard on the left only, and
/// a stereo take on a mono track lost its right side.
#[test]
fn a_take_is_panned_by_its_own_channels_and_not_by_the_inputs_of_its_track() {
    for (channels, inputs) in [(1, 2), (2, 1)] {
        let (mut disc, mut voice) = Disc::new(TakeFormat::S24, channels, 5_000);
        let gains = TrackGains { mono: pan_gains(0.0, 0.0, 1), stereo: pan_gains(0.0, 0.0, 2) };
        voice.mix = Mix { gains, ..plain(inputs) };
        voice.gains = gains;
        let mut rig = rig();
        disc.supply(0, 0, 0, 5_000);
        rig.send(AudioCommand::Install { slot: 0, voice });
        rig.send(AudioCommand::Roll);
        rig.cycles(70);
        for frame in FADE..4_000 {
            let centre = (f64::from(sound(frame, 0)) * std::f64::consts::FRAC_1_SQRT_2) as i32;
            let wanted = if channels == 1 { [centre, centre] } else { played(frame, 2) };
            let found = rig.playback.at(frame);
            assert!(
                found.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) <= 2),
                "{channels} channels, frame {frame}: {found:?}, not {wanted:?}"
            );
        }
    }
}

#[test]
fn monitored_inputs_are_played_while_stopped_and_while_rolling() {
    for device in [interleaved("", 4, DeviceFormat::S32, 64), planar(4, DeviceFormat::F32, 64)] {
        let mut rig = Rig::on(device);
        let (mut disc, mut voice) = Disc::new(TakeFormat::S16, 2, 10_000);
        voice.mix = Mix { disk: false, input: true, inputs: [3, 1], ..plain(2) };
        disc.supply(0, 0, 0, 10_000);
        rig.send(AudioCommand::Install { slot: 1, voice });
        rig.cycles(20);
        rig.send(AudioCommand::Roll);
        rig.cycles(20);
        rig.send(AudioCommand::Mix { slot: 1, mix: plain(2) });
        rig.cycles(20);
        let playback = |frame: u64| [input_24(frame, 3, DeviceFormat::S32), input_24(frame, 1, DeviceFormat::S32)];
        assert!((FADE..20 * 64).all(|frame| rig.playback.at(frame) == playback(frame)), "standing");
        // The gains of the takes ramp to zero while the inputs are monitored.
        assert!((20 * 64 + 2 * FADE..40 * 64).all(|frame| rig.playback.at(frame) == playback(frame)), "rolling");
        let from = 40 * 64 + FADE;
        assert!(
            (from..60 * 64).all(|frame| rig.playback.at(frame) == played(frame - 20 * 64, 2)),
            "from the disk again"
        );
    }
}

/// Control switched the tracks to their inputs when a pass was prepared, so the pre-roll of a punch was silent.
#[test]
fn an_armed_track_plays_its_take_up_to_the_punch_in_and_its_input_from_there() {
    let mut rig = Rig::on(interleaved("", 2, DeviceFormat::S32, 64));
    let (mut disc, mut voice) = Disc::new(TakeFormat::S24, 2, 10_000);
    voice.mix = Mix { auto: true, ..plain(2) };
    disc.supply(0, 0, 0, 10_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.cycles(10);
    let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0, 1], 0);
    reel.supply(6);
    let range = PassRange::Punch { from: FramePos(1_000), to: FramePos(2_000) };
    rig.record(Pass::new(vec![capture], range, false));
    rig.cycles(50);
    let input = |frame: u64| [0, 1].map(|channel| input_24(frame, channel, DeviceFormat::S32));
    let (rolled, punched, out) = (640, 640 + 1_000, 640 + 2_000);
    for frame in FADE..60 * 64 {
        let wanted = match frame {
            // The gains of both sources ramp behind each change.
            _ if (rolled..rolled + FADE).contains(&frame) => continue,
            _ if (punched..punched + FADE).contains(&frame) || (out..out + FADE).contains(&frame) => continue,
            _ if frame < rolled || (punched..out).contains(&frame) => input(frame),
            _ => played(frame - rolled, 2),
        };
        assert_eq!(rig.playback.at(frame), wanted, "frame {frame}");
    }
}

/// An input fell silent at every click on the ruler, and dipped at the end of every recording.
#[test]
fn an_input_that_is_monitored_automatically_is_heard_without_a_break_from_rest_through_a_pass_to_rest() {
    let mut rig = Rig::on(interleaved("", 2, DeviceFormat::S32, 64));
    let (mut disc, mut voice) = Disc::new(TakeFormat::S24, 2, 10_000);
    voice.mix = Mix { auto: true, ..plain(2) };
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.cycles(10);
    let to = |start| PlayPath { start: FramePos(start), loop_range: None };
    rig.send(AudioCommand::Locate { path: to(1_000), epoch: 1 });
    rig.cycles(10);
    assert_eq!(rig.motion(), Motion::WaitingForData);
    disc.supply(1, 0, 1_000, 9_000);
    rig.arrive(1);
    rig.cycles(5);
    for stops_by_itself in [true, false] {
        let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0, 1], 0);
        reel.supply(6);
        let length = if stops_by_itself { 1_000 } else { u64::MAX };
        rig.record(Pass::new(vec![capture], PassRange::Now(Frames(length)), true));
        rig.cycles(10);
        if !stops_by_itself {
            rig.send(AudioCommand::Stop);
            rig.send(AudioCommand::Locate { path: to(0), epoch: 2 });
        }
        rig.cycles(30);
        rig.reports();
    }
    assert_eq!(rig.motion(), Motion::WaitingForData);
    for frame in FADE..rig.playback.frames() {
        let input = [0, 1].map(|channel| input_24(frame, channel, DeviceFormat::S32));
        assert_eq!(rig.playback.at(frame), input, "frame {frame}");
    }
}

/// The input was muted from Record on until the tracks had been read at the new place.
#[test]
fn an_input_that_is_monitored_automatically_is_heard_while_a_recording_waits_for_a_locate() {
    let mut rig = rig();
    let (mut disc, mut voice) = Disc::new(TakeFormat::S24, 2, 10_000);
    voice.mix = Mix { auto: true, ..plain(2) };
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.cycles(10);
    rig.send(AudioCommand::Locate { path: PlayPath { start: FramePos(1_000), loop_range: None }, epoch: 1 });
    rig.cycles(2);
    let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0, 1], 0);
    reel.supply(6);
    rig.record(Pass::new(vec![capture], PassRange::Now(Frames(u64::MAX)), true));
    rig.cycles(10);
    assert_eq!(rig.motion(), Motion::WaitingForData);
    disc.supply(1, 0, 1_000, 9_000);
    rig.arrive(1);
    rig.cycles(10);
    assert_eq!(rig.motion(), Motion::Rolling);
    for frame in FADE..rig.playback.frames() {
        let input = [0, 1].map(|channel| input_24(frame, channel, DeviceFormat::S32));
        assert_eq!(rig.playback.at(frame), input, "frame {frame}");
    }
}

/// Playback ended with status 1 because of a muted track whose disk was late.
#[test]
fn frames_without_a_window_that_nobody_was_to_hear_are_no_dropout() {
    let mixes = [
        ("muted", Mix { gains: TrackGains::SILENT, ..plain(2) }),
        ("plays its input", Mix { disk: false, input: true, ..plain(2) }),
    ];
    for (what, mix) in mixes {
        let mut rig = rig();
        let (_disc, mut voice) = Disc::new(TakeFormat::S24, 2, 10_000);
        (voice.mix, voice.gains) = (mix, TrackGains::SILENT);
        rig.send(AudioCommand::Install { slot: 3, voice });
        rig.send(AudioCommand::Roll);
        rig.cycles(20);
        let dropped = |rig: &Rig| (rig.published.frames_dropped.load(Relaxed), rig.published.dropouts.load(Relaxed));
        assert_eq!(dropped(&rig), (0, 0), "{what}");
        assert_eq!(dropouts(&rig.reports()), [], "{what}");
        // It is to be heard from now on, and then it is not again: the dropout has ended.
        rig.send(AudioCommand::Mix { slot: 3, mix: plain(2) });
        rig.cycles(5);
        assert_eq!(dropped(&rig), (320, 1), "{what}");
        rig.send(AudioCommand::Mix { slot: 3, mix });
        rig.cycles(20);
        assert_eq!(dropped(&rig), (320, 1), "{what}");
        assert_eq!(dropouts(&rig.reports()), [(3, 1_280, 320)], "{what}");
    }
}

#[test]
fn a_voice_without_windows_that_fades_out_under_its_successor_is_no_dropout() {
    let mut rig = rig();
    let ((mut first, voice), (mut second, other)) =
        (Disc::new(TakeFormat::S24, 2, 10_000), Disc::new(TakeFormat::S24, 2, 10_000));
    first.supply(0, 0, 0, 640);
    second.supply(0, 0, 0, 10_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Roll);
    rig.cycles(10);
    rig.send(AudioCommand::Install { slot: 0, voice: other });
    rig.cycles(10);
    let reports = rig.reports();
    assert_eq!(dropouts(&reports), []);
    assert_eq!((rig.published.frames_dropped.load(Relaxed), removed(reports)), (0, 1));
    assert!((640 + FADE..1_280).all(|frame| rig.playback.at(frame) == played(frame, 2)));
}

#[test]
fn voices_come_and_go_while_rolling_and_nothing_is_freed() {
    let mut rig = rig();
    let ((mut first, voice), (mut second, other)) =
        (Disc::new(TakeFormat::S24, 1, 10_000), Disc::new(TakeFormat::F32, 2, 10_000));
    first.supply(0, 0, 0, 10_000);
    second.supply(0, 0, 5_000, 5_000);
    rig.send(AudioCommand::Roll);
    rig.cycles(10);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.cycles(10);
    rig.send(AudioCommand::Install { slot: 0, voice: other });
    rig.cycles(10);
    rig.send(AudioCommand::Remove { slot: 0 });
    rig.send(AudioCommand::Remove { slot: 0 });
    rig.send(AudioCommand::Remove { slot: usize::MAX });
    rig.cycles(10);
    let (_, stray) = Disc::new(TakeFormat::S16, 1, 1);
    rig.send(AudioCommand::Install { slot: usize::MAX, voice: stray });
    rig.cycles(1);
    assert_eq!(removed(rig.reports()), 3, "all three came home");
    let half = played(1920 + FADE / 2 + 5_000, 2).map(|sample| sample / 2);
    let found = rig.playback.at(1920 + FADE / 2);
    assert!(found.iter().zip(half).all(|(found, half)| found.abs_diff(half) < 1024), "{found:?} for {half:?}");
    for frame in FADE..41 * 64 {
        let wanted = match frame / 64 {
            // A new voice fades in, and the one that it replaces, or that is removed, fades out.
            _ if [640, 1280, 1920].iter().any(|from| (*from..from + FADE).contains(&frame)) => continue,
            10..20 => played(frame, 1),
            20..30 => played(frame + 5_000, 2),
            _ => [0, 0],
        };
        assert_eq!(rig.playback.at(frame), wanted, "frame {frame}");
    }
    first.collect();
    second.collect();
    assert_eq!((first.out(), second.out()), (0, 0), "their windows too");
}

#[test]
fn a_full_event_ring_loses_no_voice_and_counts_dropped_reports() {
    let mut rig = Rig::with_events(interleaved("", 0, DeviceFormat::S32, 64), 2);
    for _ in 0..3 {
        rig.engine.report(AudioEvent::PlaybackXrun { at: FramePos(0) });
    }
    rig.send(AudioCommand::Roll);
    for _ in 0..10 {
        let (_, voice) = Disc::new(TakeFormat::S16, 1, 1);
        rig.send(AudioCommand::Install { slot: 5, voice });
    }
    rig.cycles(1);
    let before = rig.reports();
    assert_eq!(before.len(), 2, "the ring was full");
    let mut home = removed(before);
    for _ in 0..10 {
        rig.cycles(1);
        home += removed(rig.reports());
    }
    assert_eq!(home, 9, "nine were replaced");
    assert_eq!(rig.published.events_missed.load(Relaxed), 1, "the third report");
    // There is a dropout meanwhile. Nobody reads the ring, but the frames are counted.
    let (mut disc, voice) = Disc::new(TakeFormat::S16, 1, 2_000);
    rig.send(AudioCommand::Install { slot: 5, voice });
    rig.cycles(1);
    disc.supply(0, 0, 0, 2_000);
    disc.supplied_until(0, u64::MAX);
    rig.cycles(10);
    assert!(0 < rig.published.frames_dropped.load(Relaxed));
}

#[test]
fn owning_events_that_find_the_ring_full_are_kept_then_leaked_but_never_freed() {
    let mut rig = Rig::with_events(interleaved("", 0, DeviceFormat::S32, 64), 1);
    for _ in 0..30 {
        let (_, voice) = Disc::new(TakeFormat::S16, 1, 1);
        rig.send(AudioCommand::Install { slot: 0, voice });
    }
    rig.cycles(3);
    rig.send(AudioCommand::Quit);
    // The engine ends only when every waiting event is in the ring.
    assert_eq!(rig.cycle(), Next::Continue);
    let (mut home, mut cycles) = (0, 0);
    while rig.cycle() == Next::Continue {
        home += removed(rig.reports());
        cycles += 1;
        assert!(cycles < 100, "what is kept goes out, one a turn");
    }
    assert!(10 < home, "{home}");
}

#[test]
fn twenty_four_tracks_add_up() {
    let mut rig = Rig::on(interleaved("", 24, DeviceFormat::S32, 64));
    let mut discs = Vec::new();
    for slot in 0..24 {
        let (mut disc, mut voice) = Disc::new(TAKE_FORMATS[slot % 3], 1 + slot % 2, 4_000);
        let (share, mix) = (1.0 / 32.0, plain(1 + slot % 2));
        voice.mix = Mix { gains: TrackGains::both([[share, 0.0], [0.0, share]]), ..mix };
        voice.gains = voice.mix.gains;
        disc.supply(0, 0, 0, 4_000);
        disc.supplied_until(0, u64::MAX);
        rig.send(AudioCommand::Install { slot, voice });
        discs.push(disc);
    }
    rig.send(AudioCommand::Roll);
    rig.cycles(70);
    for frame in FADE..4_000 {
        let playback = rig.playback.at(frame);
        let wanted = [sound(frame, 0) * 3 / 4, sound(frame, 1) * 3 / 8];
        assert!(
            (playback[0] - wanted[0]).abs() < 8 && (playback[1] - wanted[1]).abs() < 8,
            "{playback:?}, wanted {wanted:?}"
        );
    }
    assert_eq!(dropouts(&rig.reports()), []);
}

#[test]
fn lost_frames_are_skipped_and_playback_fades_in_again() {
    let (mut disc, voice) = Disc::new(TakeFormat::S24, 1, 20_000);
    let mut rig = Rig::on(interleaved("xrun=640+5000", 0, DeviceFormat::S32, 64));
    disc.supply(0, 0, 0, 20_000);
    rig.send(AudioCommand::Install { slot: 0, voice });
    rig.send(AudioCommand::Roll);
    rig.cycles(61);
    // The cycle of the xrun moved no frames.
    assert_eq!(rig.playback.frames(), 60 * 64);
    assert!((FADE..640).all(|frame| rig.playback.at(frame) == played(frame, 1)));
    assert!((640 + FADE..60 * 64).all(|frame| rig.playback.at(frame) == played(frame + 5_000, 1)));
    let lost = rig.reports().into_iter().find_map(|event| match event {
        AudioEvent::Lost { at, frames, .. } => Some((at, frames)),
        _ => None,
    });
    assert_eq!(lost, Some((FramePos(640), Frames(5_000))));
    assert_rt(|| rig.engine.is_ready(Frames(64)));
}
