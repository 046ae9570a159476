//! `faultless bench samples`: times the sample loops of the engine against each other. Thread: the caller of [`run`].
//!
//! Each loop records periods of a device into windows that are not in the processor's caches, as in a recording: 70 MiB
//! of them and more are filled in turn. The loops take turns too, so that a busy moment of the machine meets all of them.

use super::BenchError;
use crate::butler::plan;
use crate::device::Input;
use crate::engine::convert::tile::SampleLoop;
use crate::engine::meters::InputMeters;
use crate::engine::outbox::Outbox;
use crate::engine::recorder::Block;
use crate::engine::take_loop::{TakeLoop, TakeReports};
use crate::format::{DeviceFormat, TakeFormat};
use crate::instructions::Instructions;
use crate::limits;
use crate::message::published::Published;
use crate::message::{Capture, Pass, PassRange};
use crate::time::{FramePos, Frames, SampleRate};
use crate::window::capture::{ButlerCaptureWindows, CaptureWindow, capture_windows};
use crate::window::map::{Mapping, Populate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct SampleOptions {
    /// Frames in a period.
    pub period: usize,
    /// Seconds to measure each row.
    pub seconds: f64,
}

/// The times of all loops for one device and one take format.
#[derive(Clone, Debug, Serialize)]
pub struct SampleRow {
    /// Sample format of the device.
    pub device: String,
    /// Sample format of the takes.
    pub take: TakeFormat,
    /// Inputs of the device, each with a mono take.
    pub channels: usize,
    /// The loops, in the order of [`SampleReport::loops`].
    pub ns: Vec<LoopTime>,
}

/// Nanoseconds a sample of one loop.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoopTime {
    /// Half of the rounds were faster.
    pub median: f64,
    /// The fastest round.
    pub best: f64,
}

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct SampleReport {
    /// Frames in a period.
    pub period: usize,
    /// Names of the loops that were measured.
    pub loops: Vec<String>,
    /// One row for each pair of formats and each number of channels.
    pub rows: Vec<SampleRow>,
}

const CHANNELS: [usize; 4] = [24, 64, 256, 1024];
const FORMATS: [(DeviceFormat, TakeFormat); 4] = [
    (DeviceFormat::S32, TakeFormat::S24),
    (DeviceFormat::S32, TakeFormat::F32),
    (DeviceFormat::S16, TakeFormat::S16),
    (DeviceFormat::F32, TakeFormat::F32),
];

/// Bytes of a window: whole pages and whole frames of every format.
const WINDOW_BYTES: usize = 48 * 1024;

/// Bytes of windows that are filled in turn: more than the caches of a processor hold.
const CYCLED_BYTES: usize = 96 << 20;

/// Periods that are timed before the next loop takes its turn.
const ROUND_PERIODS: usize = 16;

/// Periods of the device's memory that differ from each other.
const INPUT_PERIODS: usize = 16;

/// Measures all loops. `progress` receives the name of each step.
pub fn run(
    options: SampleOptions,
    progress: &mut dyn FnMut(&str),
    cancel: &AtomicBool,
) -> Result<SampleReport, BenchError> {
    if !(limits::PERIOD_FRAMES_MIN..=limits::BLOCK_FRAMES_MAX).contains(&options.period) {
        let (least, most) = (limits::PERIOD_FRAMES_MIN, limits::BLOCK_FRAMES_MAX);
        return Err(BenchError::Option(format!("period of {} frames: use {least} to {most}", options.period)));
    }
    if !(0.01..=3600.0).contains(&options.seconds) {
        return Err(BenchError::Option(format!("{} seconds: use 0.01 to 3600", options.seconds)));
    }
    let loops = loops();
    let names = loops.iter().map(|(name, _)| name.clone()).collect();
    let mut report = SampleReport { period: options.period, loops: names, rows: Vec::new() };
    for (device, take) in FORMATS {
        for channels in CHANNELS {
            progress(&format!("{device} to {take}, {channels} channels"));
            let mut rig = Rig::new(device, take, channels, options.period).map_err(BenchError::Thread)?;
            let ns = rig.measure(&loops, Duration::from_secs_f64(options.seconds), cancel);
            if cancel.load(Ordering::Relaxed) {
                return Err(BenchError::Cancelled);
            }
            report.rows.push(SampleRow { device: device.to_string(), take, channels, ns });
        }
    }
    Ok(report)
}

/// Samples between -1 and 1.
fn sound(device: DeviceFormat, samples: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in 0..samples as u32 {
        let value = at.wrapping_mul(0x9E37_79B9).cast_signed();
        let sample = match device {
            DeviceFormat::F32 => (value as f32 / 2_147_483_648.0).to_le_bytes(),
            _ => value.to_le_bytes(),
        };
        bytes.extend_from_slice(&sample[4 - device.bytes()..]);
    }
    bytes
}

fn loops() -> Vec<(String, SampleLoop)> {
    let mut sets = vec![Instructions::BASELINE, Instructions::of_this_processor()];
    sets.dedup();
    let tiles = sets.into_iter().map(|set| (format!("tiles, {}", set.name()), SampleLoop::ByTile(set)));
    std::iter::once(("by take".to_owned(), SampleLoop::ByTake)).chain(tiles).collect()
}

/// A pass with a mono take for each input, and the butler's side of it.
struct Rig {
    device: DeviceFormat,
    channels: usize,
    period: usize,
    pass: Pass,
    butlers: Vec<ButlerCaptureWindows>,
    /// Frame at which the next window of every take begins.
    supplied: FramePos,
    take_loop: TakeLoop,
    meters: InputMeters,
    outbox: Outbox,
    published: Arc<Published>,
    input: Vec<u8>,
    input_period: usize,
}

impl Rig {
    fn new(device: DeviceFormat, take: TakeFormat, channels: usize, period: usize) -> io::Result<Rig> {
        let windows = (CYCLED_BYTES / channels / WINDOW_BYTES).clamp(3, limits::RING_WINDOWS - 2);
        let file = File::from(memfd_create(c"faultless-bench-samples", MFdFlags::MFD_CLOEXEC)?);
        file.set_len((channels * windows * WINDOW_BYTES) as u64)?;
        let frames = Frames((WINDOW_BYTES / take.bytes()) as u64);
        debug_assert!(WINDOW_BYTES.is_multiple_of(plan::granule_bytes(take.bytes())));
        let (mut captures, mut butlers) = (Vec::new(), Vec::new());
        for channel in 0..channels {
            let (audio, mut butler) = capture_windows(take.bytes());
            for window in 0..windows {
                let at = ((channel * windows + window) * WINDOW_BYTES) as u64;
                let mut map = Mapping::writable(&file, at, WINDOW_BYTES)?;
                map.populate(Populate::Advise).or_else(|_| map.populate(Populate::Touch))?;
                let start = FramePos(window as u64 * frames.0);
                butler.hand_over(CaptureWindow { map, start, frames, recorded: Frames(0), touched: false }).ok();
            }
            captures.push(Capture::new(audio, [channel, 0], 1, take));
            butlers.push(butler);
        }
        let published = Arc::new(Published::new(channels));
        let (events, _) = rtrb::RingBuffer::new(1);
        let bytes = INPUT_PERIODS * period * channels * device.bytes();
        Ok(Rig {
            device,
            channels,
            period,
            pass: Pass::new(captures, PassRange::Now(Frames(u64::MAX)), false),
            butlers,
            supplied: FramePos(windows as u64 * frames.0),
            take_loop: TakeLoop::default(),
            meters: InputMeters::new(channels, SampleRate(48_000)),
            outbox: Outbox::new(events, Arc::clone(&published)),
            published,
            input: sound(device, bytes / device.bytes()),
            input_period: 0,
        })
    }

    fn measure(&mut self, loops: &[(String, SampleLoop)], time: Duration, cancel: &AtomicBool) -> Vec<LoopTime> {
        let samples = (ROUND_PERIODS * self.period * self.channels) as f64;
        let mut rounds = vec![Vec::new(); loops.len()];
        let start = Instant::now();
        // The first round of each loop brings code and meters into the caches.
        let mut warm = false;
        while (!warm || rounds[0].is_empty() || start.elapsed() < time) && !cancel.load(Ordering::Relaxed) {
            for ((_, sample_loop), rounds) in loops.iter().zip(&mut rounds) {
                let nanos = self.round(*sample_loop).as_nanos() as f64 / samples;
                if warm {
                    rounds.push(nanos);
                }
            }
            warm = true;
        }
        let time_of = |mut rounds: Vec<f64>| {
            rounds.sort_by(f64::total_cmp);
            let hundredths = |nanos: Option<&f64>| nanos.map_or(0.0, |nanos| (nanos * 100.0).round() / 100.0);
            LoopTime { median: hundredths(rounds.get(rounds.len() / 2)), best: hundredths(rounds.first()) }
        };
        rounds.into_iter().map(time_of).collect()
    }

    /// Records a few periods. The supply of windows between them is not timed.
    fn round(&mut self, sample_loop: SampleLoop) -> Duration {
        let mut time = Duration::ZERO;
        let period_bytes = self.period * self.channels * self.device.bytes();
        for _ in 0..ROUND_PERIODS {
            self.supply();
            let from = self.input_period * period_bytes;
            self.input_period = (self.input_period + 1) % INPUT_PERIODS;
            let input = Input::interleaved(&self.input[from..from + period_bytes], self.device, self.channels);
            let block = Block { input: &input, from: 0, frames: self.period };
            let Rig { meters, outbox, published, .. } = self;
            let start = Instant::now();
            meters.begin();
            let reports = &mut TakeReports { meters, outbox, published, open_overrun: &mut 0 };
            self.take_loop.record(sample_loop, &mut self.pass, &block, reports);
            self.pass.frames += Frames(self.period as u64);
            self.meters.end(sample_loop, &input, &self.published.inputs);
            time += start.elapsed();
        }
        time
    }

    /// Hands every window that came back to the audio thread again, behind the last one.
    fn supply(&mut self) {
        let mut end = self.supplied;
        for butler in &mut self.butlers {
            let mut next = self.supplied;
            while let Some(mut window) = butler.collect() {
                (window.start, window.recorded, window.touched) = (next, Frames(0), false);
                next += window.frames;
                butler.hand_over(window).ok();
            }
            end = next;
        }
        self.supplied = end;
    }
}

impl fmt::Display for SampleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "nanoseconds a sample, median (best), period {}, cold buffers", self.period)?;
        write!(f, "{:<10} {:<5} {:>8}", "device", "take", "channels")?;
        for name in &self.loops {
            write!(f, "  {name:>16}")?;
        }
        for row in &self.rows {
            write!(f, "\n{:<10} {:<5} {:>8}", row.device, row.take.to_string(), row.channels)?;
            for LoopTime { median, best } in &row.ns {
                write!(f, "  {:>16}", format!("{median:.2} ({best:.2})"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_records_every_frame_of_every_row() {
        for (device, take) in FORMATS {
            let mut rig = Rig::new(device, take, 24, 64).unwrap();
            let (loops, supplied) = (loops(), rig.supplied);
            let times = rig.measure(&loops, Duration::from_millis(200), &AtomicBool::new(false));
            assert!(times.len() == loops.len() && times.iter().all(|time| 0.0 < time.best && time.best <= time.median));
            assert!(rig.pass.captures.iter().all(|capture| capture.overrun.0 == 0), "windows are always there");
            assert!(supplied < rig.supplied, "windows were used again");
        }
    }

    #[test]
    fn a_period_that_the_engine_does_not_take_is_refused() {
        let options = SampleOptions { period: 4096, seconds: 1.0 };
        assert!(matches!(run(options, &mut |_| (), &AtomicBool::new(false)), Err(BenchError::Option(_))));
    }
}
