//! Recording under the witnesses: formats, memory layouts, changes of windows, overruns, losses. Thread: test.

use super::account::{alone, assert_rt, prepare};
use super::reel::{Reel, refill_all};
use super::rig::{Rig, ended, input_24, interleaved, planar};
use faultless::device::{Device, LossCause};
use faultless::engine::Next;
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::message::published::NO_PASS;
use faultless::message::{AudioCommand, AudioEvent, Capture, LossMark, Pass, PassRange};
use faultless::time::{FramePos, Frames};
use faultless::window::overrun_places::{FIRST_PAGE_PLACES, OverrunPlace, TakeMark};
use faultless::window::progress_page::ProgressLoss;
use std::sync::atomic::Ordering::Relaxed;
use uuid::Uuid;

const DEVICE_FORMATS: [DeviceFormat; 5] =
    [DeviceFormat::S16, DeviceFormat::S24, DeviceFormat::S24In3, DeviceFormat::S32, DeviceFormat::F32];
const TAKE_FORMATS: [TakeFormat; 3] = [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32];
const FOR_EVER: Frames = Frames(u64::MAX);
const TAKE: Uuid = Uuid::from_u128(1 << 100 | 7);
const OTHER: Uuid = Uuid::from_u128(1 << 100 | 8);

/// The frames from `at` up to `end`.
fn place(at: u64, end: u64) -> OverrunPlace {
    OverrunPlace { at: FramePos(at), frames: Frames(end - at) }
}

/// A mono and a stereo take of each format. Their windows end at different frames.
fn takes() -> (Vec<Reel>, Vec<Capture>) {
    let inputs: [&[usize]; 6] = [&[0], &[1], &[2], &[3, 4], &[5, 0], &[2, 1]];
    (0..6).map(|index| Reel::new(TAKE_FORMATS[index % 3], inputs[index], index)).unzip()
}

/// Records `cycles` periods in every take format. Windows are always there.
fn record_all(device: Box<dyn Device>, cycles: usize) {
    let (format, period) = (device.facts().input_format, device.facts().period_frames as u64);
    let mut rig = Rig::on(device);
    let (mut reels, captures) = takes();
    refill_all(&mut reels, 3);
    rig.record(Pass::new(captures, PassRange::Now(FOR_EVER), false));
    for _ in 0..cycles {
        rig.cycles(1);
        refill_all(&mut reels, 3);
    }
    rig.send(AudioCommand::Stop);
    rig.cycles(1);
    let pass = ended(rig.reports());
    let frames = cycles as u64 * period;
    assert_eq!((pass.frames, pass.lost, pass.captures.len()), (Frames(frames), Frames(0), 6));
    assert_eq!(rig.published.frames_overrun.load(Relaxed), 0);
    for (reel, capture) in reels.iter_mut().zip(&pass.captures) {
        assert_eq!((capture.overrun, capture.losses.count()), (Frames(0), 0));
        reel.assert_ramp(0..frames, 0, format);
        reel.assert_silent(frames..frames + 500);
        reel.assert_returned(frames);
        assert!(2 < reel.back.len(), "windows changed: {:?}", reel.back);
    }
    for channel in 0..6 {
        let loudest = (0..frames).map(|frame| input_24(frame, channel, format).unsigned_abs()).max().unwrap();
        let peak = rig.published.inputs[channel].take_peak();
        assert!((peak - loudest as f32 / 8_388_608.0).abs() < 1e-6, "input {channel}: {peak}");
    }
}

#[test]
fn every_device_format_is_recorded_in_every_take_format_from_interleaved_memory() {
    for format in DEVICE_FORMATS {
        record_all(interleaved("", 6, format, 64), 200);
    }
}

#[test]
fn every_device_format_is_recorded_in_every_take_format_from_planar_memory() {
    for format in DEVICE_FORMATS {
        record_all(planar(6, format, 64), 200);
    }
}

#[test]
fn periods_that_fit_no_window_are_recorded_across_its_end() {
    for (period, cycles) in [(16, 700), (100, 130), (1000, 14), (3000, 5)] {
        record_all(interleaved("", 6, DeviceFormat::S32, period), cycles);
    }
    record_all(planar(6, DeviceFormat::S24In3, 441), 31);
}

#[test]
fn without_a_window_frames_are_lost_and_counted_and_later_sound_keeps_its_position() {
    let mut rig = Rig::on(interleaved("", 2, DeviceFormat::S32, 64));
    let ((mut reel, capture), (mut fed, fed_capture)) =
        (Reel::new(TakeFormat::S24, &[0], 0), Reel::new(TakeFormat::S16, &[1], 0));
    let end = reel.supply(1);
    fed.refill(3);
    let captures = vec![capture.marked(TakeMark::of(TAKE)), fed_capture.marked(TakeMark::of(OTHER))];
    rig.record(Pass::new(captures, PassRange::Now(FOR_EVER), false));
    let cycles = |rig: &mut Rig, fed: &mut Reel, count: usize| {
        for _ in 0..count {
            rig.cycles(1);
            fed.refill(3);
        }
    };
    cycles(&mut rig, &mut fed, 100);
    assert!(end < 6400);
    assert_eq!(rig.published.frames_overrun.load(Relaxed), 6400 - end);
    // A kill at this moment: the overrun has not ended, and nobody knows it but the progress page.
    assert_eq!(rig.progress().overruns.of(TAKE), [place(end, 6400)]);
    // No header claims anything behind its start.
    let losses = |rig: &Rig| (rig.published.open_loss.load(Relaxed), rig.published.losses_reported.load(Relaxed));
    assert_eq!(losses(&rig), (end, 0));
    // The butler continues at the record position.
    reel.skip_to(6400);
    reel.supply(1);
    cycles(&mut rig, &mut fed, 1);
    assert_eq!(losses(&rig), (NO_PASS, 6400 - end));
    cycles(&mut rig, &mut fed, 49);
    reel.supply(2);
    cycles(&mut rig, &mut fed, 50);
    rig.send(AudioCommand::Stop);
    rig.cycles(1);
    let reports = rig.reports();
    assert_eq!(losses(&rig), (NO_PASS, rig.published.losses()));
    let overruns: Vec<_> = reports
        .iter()
        .filter_map(|event| match event {
            AudioEvent::Overrun { capture, at, frames } => Some((*capture, at.0, frames.0)),
            _ => None,
        })
        .collect();
    let pass = ended(reports);
    reel.assert_returned(12_800);
    fed.assert_returned(12_800);
    fed.assert_ramp(0..12_800, 0, DeviceFormat::S32);
    // A late window is used from the record position on.
    let resumed = 6400;
    reel.assert_ramp(0..end, 0, DeviceFormat::S32);
    reel.assert_silent(end..resumed);
    let third = reel.back[1].0 + reel.back[1].1;
    let second_gap = 50 * 64 + 6400;
    assert!(third < second_gap, "the second window ran out as well: {third}");
    reel.assert_ramp(resumed..third, resumed, DeviceFormat::S32);
    reel.assert_silent(third..second_gap);
    reel.assert_ramp(second_gap..12_800, second_gap, DeviceFormat::S32);
    assert_eq!(overruns, [(0, end, resumed - end), (0, third, second_gap - third)]);
    let marks = pass.captures[0].losses.marks();
    let mark = |at: u64, end: u64| LossMark { at: FramePos(at), frames: Frames(end - at), cause: None };
    assert_eq!(marks, [mark(end, resumed), mark(third, second_gap)]);
    assert_eq!(rig.progress().overrun, pass.captures[0].overrun);
    assert_eq!(rig.progress().overruns.of(TAKE), [place(end, resumed), place(third, second_gap)]);
    assert_eq!(rig.progress().overruns.of(OTHER), []);
    assert_eq!((pass.captures[1].overrun, pass.frames), (Frames(0), Frames(12_800)));
}

/// The other takes have sound meanwhile, and their headers claim none of it behind an overrun that was not reported.
#[test]
fn a_long_overrun_is_reported_in_parts_and_is_one_place_in_the_progress_page() {
    let mut rig = Rig::on(interleaved("", 1, DeviceFormat::S16, 64));
    let (_reel, capture) = Reel::new(TakeFormat::F32, &[0], 0);
    let frames = 2 * 32_768 + 640;
    rig.record(Pass::new(vec![capture.marked(TakeMark::of(TAKE))], PassRange::Now(Frames(frames)), true));
    let losses = |rig: &Rig| (rig.published.open_loss.load(Relaxed), rig.published.losses_reported.load(Relaxed));
    rig.cycles(511);
    assert_eq!(losses(&rig), (0, 0));
    rig.cycles(1);
    assert_eq!(losses(&rig), (32_768, 32_768));
    rig.cycles(530);
    assert_eq!(losses(&rig), (NO_PASS, frames));
    let overruns: Vec<_> = rig
        .reports()
        .iter()
        .filter_map(|event| match event {
            AudioEvent::Overrun { at, frames, .. } => Some((at.0, frames.0)),
            _ => None,
        })
        .collect();
    assert_eq!(overruns, [(0, 32_768), (32_768, 32_768), (65_536, 640)]);
    assert_eq!(rig.progress().overruns.of(TAKE), [place(0, frames)]);
}

/// An overrun that lasted while the device lost frames was reported as one range from its start on. So the frames behind the
/// loss were said to lie within it, and were silence that no loss covered.
#[test]
fn an_overrun_around_lost_frames_is_reported_as_two() {
    let mut rig = Rig::on(interleaved("xrun=640+100", 1, DeviceFormat::S16, 64));
    let (mut reel, capture) = Reel::new(TakeFormat::F32, &[0], 0);
    let capture = capture.marked(TakeMark::of(TAKE));
    rig.record(Pass::new(vec![capture], PassRange::Now(Frames(1_380)), true));
    rig.cycles(11);
    // The card has lost 100 frames, and may lose more before it delivers.
    let losses = |rig: &Rig| (rig.published.open_loss.load(Relaxed), rig.published.losses_reported.load(Relaxed));
    assert_eq!(losses(&rig), (640, 640));
    rig.cycles(1);
    assert_eq!(losses(&rig), (740, 740), "the loss is reported, and the next overrun has begun");
    rig.cycles(18);
    assert_eq!(losses(&rig), (NO_PASS, 1_380));
    let reports = rig.reports();
    let overruns: Vec<_> = reports
        .iter()
        .filter_map(|event| match event {
            AudioEvent::Overrun { at, frames, .. } => Some((at.0, frames.0)),
            _ => None,
        })
        .collect();
    assert_eq!(overruns, [(0, 640), (740, 640)]);
    assert_eq!(rig.progress().overruns.of(TAKE), [place(0, 640), place(740, 1_380)]);
    let pass = ended(reports);
    assert_eq!((pass.captures[0].overrun, pass.lost), (Frames(1_280), Frames(100)));
    reel.assert_returned(1_380);
}

#[test]
fn overruns_of_many_takes_at_once_are_noted_as_far_as_the_progress_pages_have_places() {
    let takes: Vec<Uuid> = (0..FIRST_PAGE_PLACES as u128 + 3).map(Uuid::from_u128).collect();
    for (places_for, count) in [(1, FIRST_PAGE_PLACES), (takes.len(), takes.len())] {
        let mut rig = Rig::on(interleaved("", 1, DeviceFormat::S16, 64));
        let (mut reels, captures): (Vec<_>, Vec<_>) = takes
            .iter()
            .map(|take| {
                let (reel, capture) = Reel::new(TakeFormat::S16, &[0], 0);
                (reel, capture.marked(TakeMark::of(*take)))
            })
            .unzip();
        rig.record_with_places_for(places_for, Pass::new(captures, PassRange::Now(FOR_EVER), false));
        rig.cycles(10);
        let progress = rig.progress();
        let noted: Vec<_> =
            takes.iter().map(|take| progress.overruns.of(*take)).filter(|places| !places.is_empty()).collect();
        assert_eq!(noted, vec![vec![place(0, 640)]; count], "those that are noted are noted whole");
        assert_eq!(progress.overrun, Frames(640 * takes.len() as u64), "all are counted");
        rig.send(AudioCommand::Stop);
        rig.cycles(1);
        ended(rig.reports());
        for reel in &mut reels {
            reel.assert_returned(640);
        }
    }
}

#[test]
fn an_overrun_that_lasts_to_the_end_of_the_pass_is_reported() {
    let mut rig = Rig::on(interleaved("", 1, DeviceFormat::S16, 64));
    let (mut reel, capture) = Reel::new(TakeFormat::F32, &[0], 0);
    rig.record(Pass::new(vec![capture], PassRange::Now(Frames(640)), true));
    rig.cycles(20);
    let reports = rig.reports();
    assert!(
        reports
            .iter()
            .any(|event| matches!(event, AudioEvent::Overrun { capture: 0, at: FramePos(0), frames: Frames(640) }))
    );
    assert_eq!(ended(reports).captures[0].overrun, Frames(640));
    reel.assert_returned(640);
    reel.assert_silent(0..640);
}

/// Records `cycles` cycles on a device with options `options`. Checks that `lost` frames from `at` on are silent in
/// every take, and that all other frames keep their position.
fn record_with_loss(options: &str, cycles: usize, at: u64, lost: u64, cause: LossCause) {
    let mut rig = Rig::on(interleaved(options, 6, DeviceFormat::S24, 64));
    let (mut reels, captures) = takes();
    refill_all(&mut reels, 12);
    rig.record(Pass::new(captures, PassRange::Now(FOR_EVER), false));
    for _ in 0..cycles {
        rig.cycles(1);
        refill_all(&mut reels, 12);
    }
    rig.send(AudioCommand::Stop);
    rig.cycles(1);
    let reports = rig.reports();
    let losses: Vec<_> = reports
        .iter()
        .filter_map(|event| match event {
            AudioEvent::Lost { at, frames, cause, .. } => Some((at.0, frames.0, *cause)),
            _ => None,
        })
        .collect();
    assert_eq!(losses, [(at, lost, cause)]);
    let pass = ended(reports);
    let xruns = u32::from(cause == LossCause::Xrun);
    assert_eq!((pass.lost, pass.xruns), (Frames(lost), xruns));
    assert_eq!(pass.losses.marks(), [LossMark { at: FramePos(at), frames: Frames(lost), cause: Some(cause) }]);
    let progress = rig.progress();
    assert_eq!(
        (progress.losses, progress.lost, progress.frames, progress.began),
        (1, Frames(lost), pass.frames, Some(pass.began))
    );
    assert_eq!(progress.marks, [ProgressLoss { at: FramePos(at), frames: Frames(lost), cause: cause.code() }]);
    let end = pass.frames.0;
    assert!(at + lost + 1000 < end);
    assert_eq!(rig.published.device_frames.load(Relaxed), end + 64, "the clock counts on, by the period of the stop");
    assert_eq!(rig.published.frames_lost.load(Relaxed), lost);
    for reel in &mut reels {
        reel.assert_ramp(0..at, 0, DeviceFormat::S24);
        reel.assert_silent(at..at + lost);
        reel.assert_ramp(at + lost..end, at + lost, DeviceFormat::S24);
        reel.assert_returned(end);
        let inside = reel.back.iter().filter(|(start, frames, ..)| at <= *start && start + frames <= at + lost);
        let untouched = inside.filter(|(.., touched)| !touched).count() as u64;
        assert!((lost / reel.window_frames()).saturating_sub(1) <= untouched, "jumped over: {untouched}");
    }
}

#[test]
fn an_xrun_is_silence_at_its_position() {
    record_with_loss("xrun=640+100", 100, 640, 100, LossCause::Xrun);
}

#[test]
fn an_xrun_jumps_over_whole_windows() {
    record_with_loss("xrun=1920+9001", 150, 1920, 9001, LossCause::Xrun);
}

#[test]
fn a_device_that_was_away_leaves_silence_over_many_windows() {
    record_with_loss("unplug=1280+8000", 300, 1280, 8000, LossCause::Unplug);
}

#[test]
fn a_loss_that_reaches_past_the_end_of_the_pass_ends_it_there() {
    let mut rig = Rig::on(interleaved("xrun=640+50000", 1, DeviceFormat::S32, 64));
    let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0], 0);
    reel.supply(4);
    rig.record(Pass::new(vec![capture], PassRange::Now(Frames(9_000)), true));
    rig.cycles(40);
    let pass = ended(rig.reports());
    assert_eq!((pass.frames, pass.lost), (Frames(9_000), Frames(9_000 - 640)));
    reel.assert_ramp(0..640, 0, DeviceFormat::S32);
    reel.assert_silent(640..9_000);
    reel.assert_returned(9_000);
    assert_eq!(rig.published.frames_lost.load(Relaxed), 50_000, "the device lost them all");
}

#[test]
fn quitting_within_a_pass_returns_everything() {
    let mut rig = Rig::on(interleaved("", 6, DeviceFormat::F32, 64));
    let (mut reels, captures) = takes();
    refill_all(&mut reels, 5);
    rig.record(Pass::new(captures, PassRange::Now(FOR_EVER), false));
    rig.cycles(33);
    rig.send(AudioCommand::Quit);
    assert_eq!(rig.cycle(), Next::Leave);
    assert_eq!(ended(rig.reports()).frames, Frames(33 * 64));
    for reel in &mut reels {
        reel.assert_returned(33 * 64);
        reel.assert_ramp(0..33 * 64, 0, DeviceFormat::F32);
    }
}

#[test]
fn the_slots_of_a_ring_are_in_memory_before_its_first_window() {
    // Only the constructors of the rings populate memory here.
    alone("witness::recording::the_slots_of_a_ring_are_in_memory_before_its_first_window", || {
        prepare();
        let (reels, captures): (Vec<_>, Vec<_>) = (0..200).map(|phase| Reel::new(TakeFormat::S24, &[0], phase)).unzip();
        for (mut reel, mut capture) in reels.into_iter().zip(captures) {
            // Twice 60 windows, so that the return ring wraps once.
            for _ in 0..2 {
                let end = reel.supply(60);
                assert_rt(|| capture.windows.end(FramePos(end)));
                reel.collect();
            }
            assert_eq!(reel.back.len(), 120);
        }
    });
}
