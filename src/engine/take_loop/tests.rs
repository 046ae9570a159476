//! Compares the sample loops: tiles with each set of instructions against the loop take by take. Thread: test.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros, reason = "no audio thread")]

use super::*;
use crate::device::Input;
use crate::engine::convert::tile::TILE_CHANNELS;
use crate::format::{DeviceFormat, TakeFormat};
use crate::message::PassRange;
use crate::message::published::MeterCell;
use crate::time::SampleRate;
use crate::window::budget::LockBudget;
use crate::window::capture::{CaptureWindow, capture_windows};
use crate::window::map::{Mapping, Populate};
use crate::window::overrun_places::{FIRST_PAGE_PLACES, TakeMark};
use crate::window::progress_page::{self, PAGE_AT, Progress};
use std::fs::File;
use std::os::unix::fs::FileExt;
use uuid::Uuid;

const DEVICES: [DeviceFormat; 5] =
    [DeviceFormat::S16, DeviceFormat::S24, DeviceFormat::S24In3, DeviceFormat::S32, DeviceFormat::F32];
const TAKES: [TakeFormat; 3] = [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32];

/// Bytes of the mapping of each window.
const WINDOW_BYTES: usize = 4096;

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// One take: its inputs and format, and the length of its windows. `gap`: the window that is missing.
#[derive(Clone, Debug)]
struct Take {
    inputs: Vec<usize>,
    format: TakeFormat,
    window_frames: usize,
    gap: usize,
}

/// Some periods of a device, and what records them.
#[derive(Clone, Debug)]
struct Case {
    device: DeviceFormat,
    channels: usize,
    /// Frames of each period.
    period: usize,
    periods: usize,
    /// Frames at the start of the first period that are not recorded, as before a punch-in.
    late: usize,
    takes: Vec<Take>,
    /// Whether the sound has NaN and infinity in it.
    wild: bool,
    seed: u64,
}

impl Case {
    /// A case for a device with so many channels. Some inputs have no take, some have two.
    fn random(device: DeviceFormat, channels: usize, period: usize, seed: u64) -> Case {
        let mut dice = Dice(seed);
        let mut takes = Vec::new();
        let armed = 1 + dice.below(4);
        for input in 0..channels {
            if dice.below(4) < armed {
                let second = match dice.below(4) {
                    0 => vec![(input + 1) % channels],
                    1 => vec![dice.below(channels + 1)],
                    _ => Vec::new(),
                };
                let format = TAKES[dice.below(3)];
                let frame_bytes = format.bytes() * (1 + second.len());
                let most = if dice.below(2) == 0 { 100 } else { WINDOW_BYTES / frame_bytes };
                takes.push(Take {
                    inputs: [vec![input], second].concat(),
                    format,
                    window_frames: 1 + dice.below(most),
                    gap: dice.below(30),
                });
            }
        }
        // The takes are in no order.
        for index in (1..takes.len()).rev() {
            takes.swap(index, dice.below(index + 1));
        }
        let late = if dice.below(2) == 0 { 0 } else { dice.below(period) };
        Case { device, channels, period, periods: 3, late, takes, wild: dice.below(3) == 0, seed }
    }

    /// A device whose inputs all have a mono take of the same format and windows of the same length.
    fn plain(device: DeviceFormat, format: TakeFormat, channels: usize, period: usize, window_frames: usize) -> Case {
        let take = |input| Take { inputs: vec![input], format, window_frames, gap: usize::MAX };
        let (takes, seed) = ((0..channels).map(take).collect(), (period * 10_000 + window_frames) as u64);
        Case { device, channels, period, periods: 3, late: 0, takes, wild: false, seed }
    }

    fn sound(&self) -> Vec<u8> {
        let mut dice = Dice(self.seed);
        let mut bytes = Vec::new();
        for _ in 0..self.period * self.periods * self.channels {
            let bits = dice.next();
            let sample = match self.device {
                DeviceFormat::F32 if self.wild && bits.is_multiple_of(97) => {
                    [f32::NAN, f32::INFINITY, -f32::INFINITY, 1e30, -1e-40][bits as usize / 97 % 5].to_le_bytes()
                }
                DeviceFormat::F32 => ((bits as i32) as f32 / (1_u64 << (30 + bits % 3)) as f32).to_le_bytes(),
                _ if bits.is_multiple_of(13) => {
                    [i32::MAX, i32::MIN, 0, -1, 1 << 7, -(1 << 15)][bits as usize / 13 % 6].to_le_bytes()
                }
                _ => (bits as i32).to_le_bytes(),
            };
            bytes.extend_from_slice(&sample[4 - self.device.bytes()..]);
        }
        bytes
    }

    fn is_wild(&self) -> bool {
        self.wild && self.device == DeviceFormat::F32
    }
}

/// The result of a loop for a case.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// The windows' memory of each take.
    sound: Vec<Vec<u8>>,
    /// Overruns of each take, and their places.
    lost: Vec<(Frames, Vec<LossMark>)>,
    /// The places of the overruns of each take that were reported, and of the one that is open.
    reported: Vec<Vec<OverrunPlace>>,
    /// The places of the overruns of each take in the progress page, which has room for the last ones.
    noted: Vec<Vec<OverrunPlace>>,
    overrun: u64,
    /// Largest peak of each input.
    peaks: Vec<f32>,
    /// The meters' mean squares of each input, after every period.
    mean_squares: Vec<f32>,
}

fn identity(take: usize) -> Uuid {
    Uuid::from_u128(take as u128 + 1)
}

fn outcome(case: &Case, sample_loop: SampleLoop) -> Outcome {
    let frames = case.period * case.periods;
    let (mut captures, mut butlers, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for take in &case.takes {
        let frame_bytes = take.format.bytes() * take.inputs.len();
        let (audio, mut butler) = capture_windows(frame_bytes);
        let windows = frames.div_ceil(take.window_frames).min(60);
        let file: File = tempfile::tempfile().unwrap();
        file.set_len((windows * WINDOW_BYTES) as u64).unwrap();
        for window in (0..windows).filter(|window| *window != take.gap) {
            let window = CaptureWindow {
                map: Mapping::writable(&file, (window * WINDOW_BYTES) as u64, WINDOW_BYTES).unwrap(),
                start: FramePos((window * take.window_frames) as u64),
                frames: Frames(take.window_frames as u64),
                recorded: Frames(0),
                touched: false,
            };
            butler.hand_over(window).unwrap();
        }
        let inputs = [take.inputs[0], *take.inputs.last().unwrap()];
        let capture = Capture::new(audio, inputs, take.inputs.len(), take.format);
        captures.push(capture.marked(TakeMark::of(identity(captures.len()))));
        butlers.push(butler);
        files.push((file, windows));
    }
    let mut pass = Pass::new(captures, PassRange::Now(Frames(u64::MAX)), false);
    let page: File = tempfile::tempfile().unwrap();
    page.set_len(progress_page::file_bytes(case.takes.len())).unwrap();
    pass.progress_page = Some(ProgressPage::new(&page, Populate::Advise, &LockBudget::new(0)).unwrap());
    let published = Published::new(case.channels);
    let (events, mut from_audio) = rtrb::RingBuffer::new(16 + 4 * case.takes.len());
    let mut outbox = Outbox::new(events, std::sync::Arc::new(Published::new(0)));
    let mut meters = InputMeters::new(case.channels, SampleRate(48_000));
    let mut take_loop = TakeLoop::default();
    let sound = case.sound();
    let mut mean_squares = Vec::new();
    let mut late = case.late;
    for bytes in sound.chunks(case.period * case.channels * case.device.bytes()) {
        let input = Input::interleaved(bytes, case.device, case.channels);
        meters.begin();
        let block = Block { input: &input, from: late, frames: case.period - late };
        let open_overrun = &mut 0;
        let reports =
            &mut TakeReports { meters: &mut meters, outbox: &mut outbox, published: &published, open_overrun };
        take_loop.record(sample_loop, &mut pass, &block, reports);
        pass.frames += Frames(block.frames as u64);
        meters.end(sample_loop, &input, &published.inputs);
        mean_squares.extend(published.inputs.iter().map(MeterCell::mean_square));
        late = 0;
    }
    let memory = |(file, windows): &(File, usize)| {
        let mut bytes = vec![0; windows * WINDOW_BYTES];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    let mut reported = vec![Vec::new(); case.takes.len()];
    while let Ok(event) = from_audio.pop() {
        let AudioEvent::Overrun { capture, at, frames } = event else { panic!("another event") };
        reported[capture].push(OverrunPlace { at, frames });
    }
    for (reported, capture) in reported.iter_mut().zip(&pass.captures) {
        reported.extend(capture.open.map(|open| open.unreported()));
    }
    let mut words = vec![0; progress_page::bytes_of_pages(page.metadata().unwrap().len())];
    page.read_exact_at(&mut words, PAGE_AT).unwrap();
    let overruns = Progress::read(&words).unwrap().overruns;
    Outcome {
        noted: (0..case.takes.len()).map(|take| overruns.of(identity(take))).collect(),
        reported,
        sound: files.iter().map(memory).collect(),
        lost: pass.captures.iter().map(|capture| (capture.overrun, capture.losses.marks())).collect(),
        overrun: published.frames_overrun.load(Relaxed),
        peaks: published.inputs.iter().map(MeterCell::take_peak).collect(),
        mean_squares,
    }
}

/// Both are sums of the same squares, added in another order.
fn is_near(left: f32, right: f32) -> bool {
    (left - right).abs() <= left.abs() * 1e-5 + 1e-12
}

fn compare(case: &Case) {
    let by_take = outcome(case, SampleLoop::ByTake);
    let by_tile = outcome(case, SampleLoop::ByTile(Instructions::BASELINE));
    assert!(by_take.sound == by_tile.sound, "other sound: {case:?}");
    assert_eq!((&by_take.lost, by_take.overrun), (&by_tile.lost, by_tile.overrun), "{case:?}");
    // Reports and notes of a take that is recorded are those that its log has at the end.
    let places = |(_, marks): &(Frames, Vec<LossMark>)| -> Vec<OverrunPlace> {
        marks.iter().map(|mark| OverrunPlace { at: mark.at, frames: mark.frames }).collect()
    };
    for outcome in [&by_take, &by_tile] {
        let lost: Vec<Vec<OverrunPlace>> = outcome.lost.iter().map(places).collect();
        assert_eq!(outcome.reported, lost, "{case:?}");
        if lost.iter().flatten().count() <= FIRST_PAGE_PLACES {
            assert_eq!(outcome.noted, lost, "{case:?}");
        }
    }
    // An input with two takes, of which each missed a part, is measured in part by takes and in full by tiles.
    let is_whole = case.late == 0 && by_take.overrun == 0;
    if is_whole {
        assert_eq!(by_take.peaks, by_tile.peaks, "{case:?}");
    }
    if is_whole && !case.is_wild() {
        for (at, (left, right)) in by_take.mean_squares.iter().zip(&by_tile.mean_squares).enumerate() {
            // The loop by takes measures an input that has two takes twice, so that its meter moves faster.
            let takes = case.takes.iter().flat_map(|take| &take.inputs).filter(|input| **input == at % case.channels);
            assert!(1 < takes.count() || is_near(*left, *right), "mean {at}: {left}, {right}, {case:?}");
        }
    }
    let fastest = Instructions::of_this_processor();
    if fastest != Instructions::BASELINE {
        assert!(by_tile == outcome(case, SampleLoop::ByTile(fastest)), "other with {}: {case:?}", fastest.name());
    }
}

#[test]
fn tiles_store_what_the_loop_by_takes_stores_for_every_format_and_channel_count() {
    for channels in (1..=70).chain([256, 1024]) {
        for (index, device) in DEVICES.into_iter().enumerate() {
            let seed = (channels * 10 + index) as u64;
            compare(&Case::random(device, channels, 1 + Dice(seed).below(150), seed));
        }
    }
}

#[test]
fn tiles_store_what_the_loop_by_takes_stores_for_every_period_length() {
    for period in (1..=200).chain([441, 1000, 1024]) {
        let device = DEVICES[period % 5];
        compare(&Case::random(device, 20, period, period as u64));
        compare(&Case::plain(device, TAKES[period / 5 % 3], 24, period, 1000));
    }
}

#[test]
fn tiles_store_what_the_loop_by_takes_stores_for_every_end_of_a_window() {
    for window_frames in 1..=200 {
        for format in TAKES {
            let device = DEVICES[window_frames % 5];
            compare(&Case::plain(device, format, 17, 64, window_frames));
        }
    }
}

#[test]
fn every_device_format_is_packed_into_every_take_format() {
    for device in DEVICES {
        for format in TAKES {
            for channels in [1, 2, 3, 24, TILE_CHANNELS * 2 + 15] {
                compare(&Case::plain(device, format, channels, 64, 64));
            }
        }
    }
}

/// The place of an overrun only grew, so that the recorded frames counted as lost, and as many at its end as recorded.
#[test]
fn two_overruns_with_a_few_recorded_frames_between_them_in_one_block_are_two_places() {
    // Windows of one frame up to frame 60, without frame 30: each block misses its rest.
    let take = Take { inputs: vec![0], format: TakeFormat::S24, window_frames: 1, gap: 30 };
    let case = Case {
        device: DeviceFormat::S24,
        channels: 2,
        period: 40,
        periods: 3,
        late: 0,
        takes: vec![take.clone(), take],
        wild: false,
        seed: 1,
    };
    compare(&case);
    let place = |at, frames| OverrunPlace { at: FramePos(at), frames: Frames(frames) };
    for sample_loop in [SampleLoop::ByTake, SampleLoop::ByTile(Instructions::BASELINE)] {
        let places = vec![place(30, 10), place(60, 60)];
        assert_eq!(outcome(&case, sample_loop).reported, [places.clone(), places]);
    }
}
