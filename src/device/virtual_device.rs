//! The built-in device (`virtual`): any number of channels, with or without a clock, and every fault on demand.
//! Thread: audio (opening: opener, reconnect, control).
//!
//! Its options follow `virtual:` in its name, separated by commas:
//!
//! | option | meaning |
//! |---|---|
//! | `free` | no clock: the device is as fast as the program moves periods |
//! | `loop=DELAY` | input c repeats what output c played DELAY frames earlier |
//! | `latency=OUTPUT+INPUT` | the device says that its outputs and its inputs are late by so many frames |
//! | `drift=PPM` | the device's clock is faster than the machine's by so many millionths; below 0: slower |
//! | `xrun=FRAME+LOST` | at the first period from FRAME on, LOST frames are never delivered |
//! | `playback-xrun=FRAME` | at the first period from FRAME on, the outputs run dry and no input frame is lost |
//! | `unplug=FRAME+AWAY` | from FRAME on the device delivers nothing for AWAY frames; it stays open, and delivers again by itself |
//! | `suspend=FRAME+ASLEEP` | at FRAME the machine is suspended, and wakes ASLEEP frames later |
//! | `pull=AFTER+AWAY` | AFTER frames after a start it is gone. It must be opened again, which fails for AWAY frames; the n-th `pull` is for the n-th start |
//! | `gone=FRAME` | from FRAME on the device is gone for good |
//! | `crash=FRAME` | from FRAME on [`Device::wait`] panics on the audio thread |
//! | `slow=FRAME+MICROS` | the period at FRAME comes MICROS late |
//! | `busy=N` | after a pull, another program holds the device at the next N openings |
//! | `returns=INPUTS` | after a pull, the device has so many inputs |
//! | `returns-rate=HZ+N` | after a pull, the device takes only this rate at the next N openings |
//! | `returns-period=FRAMES` | after a pull, the device has this period |
//!
//! All openings of a device that can be pulled share one [`VirtualCard`]. The card numbers its frames by the clock from
//! its first start on, so that the ramp shows to the frame how long the device was away.

use super::script::{Script, due_order};
use super::signal::{Signal, Source};
use super::virtual_card::{CardClock, Returned, VirtualCard};
use super::{
    Access, DelayReporter, DelayReporters, Device, DeviceError, DeviceFacts, DeviceSpec, Input, Latency, LossCause,
    Output, Pace, Reckoning, StartError, Wake, monotonic, rest_frames,
};
use crate::format::DeviceFormat;
use crate::host;
use crate::limits::{
    BLOCK_FRAMES_MAX, CHANNEL_COUNT_MAX, PERIOD_FRAMES_DEFAULT, PERIOD_FRAMES_MAX, PERIOD_FRAMES_MIN, RATE_HZ_MAX,
    RATE_HZ_MIN,
};
use crate::time::{Frames, SampleRate};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use std::sync::Arc;
use std::time::Duration;

/// The default buffer is this fraction of a second: long enough that a busy machine causes no xrun that a test did not
/// order.
const BUFFER_PER_SECOND: usize = 3;

/// The loopback: a ring of played frames that the inputs read.
struct Loop {
    bytes: Box<[u8]>,
    delay: usize,
    frames: usize,
}

/// The built-in device.
pub struct VirtualDevice {
    facts: DeviceFacts,
    script: Script,
    source: Source,
    input: Box<[u8]>,
    output: Box<[u8]>,
    looped: Option<Loop>,
    /// The card that all openings share; `None` if the device cannot be unplugged.
    card: Option<Arc<VirtualCard>>,
    /// Whether this opening is gone; the card may come back for another one.
    is_gone: bool,
    /// The next pull: at which frame, and for how many frames.
    pull: Option<(u64, u64)>,
    /// Time of frame 0, as of [`monotonic`].
    started: Duration,
    /// The next frame. All frames before it were delivered or lost.
    frame: u64,
    /// A frame that the clock has certainly reached. No wait is needed for frames before it.
    reached: u64,
    /// Frames to sleep for when no period is ready.
    sleep_frames: u64,
    sleeps: u64,
    /// Lateness of the last wake-up.
    late: Duration,
    /// Time for which the device has made its input.
    signal_time: Duration,
}

impl VirtualDevice {
    /// Opens the device. `options` is the part of the name after `virtual:`.
    pub fn open(spec: &DeviceSpec, options: &str) -> Result<VirtualDevice, DeviceError> {
        let name = spec.name.clone();
        let malformed = |reason: String| DeviceError::Malformed { name: name.clone(), reason };
        let script = Script::parse(options).map_err(malformed)?;
        let unsupported = |what: String, offers: String| DeviceError::Unsupported { name: name.clone(), what, offers };
        let card = (script.gone.is_some() || !script.pulls.is_empty()).then(|| VirtualCard::of(&name));
        let returned = match &card {
            Some(card) => card.open(&script, spec)?,
            None => Returned::default(),
        };
        let period_frames = returned.period_frames.or(spec.period_frames).unwrap_or(PERIOD_FRAMES_DEFAULT);
        if !(RATE_HZ_MIN..=RATE_HZ_MAX).contains(&spec.rate.0) {
            return Err(unsupported(spec.rate.to_string(), format!("it takes {RATE_HZ_MIN} to {RATE_HZ_MAX} Hz")));
        }
        if !(PERIOD_FRAMES_MIN..=PERIOD_FRAMES_MAX).contains(&period_frames) {
            let offers = format!("it takes {PERIOD_FRAMES_MIN} to {PERIOD_FRAMES_MAX} frames");
            return Err(unsupported(format!("a period of {period_frames} frames"), offers));
        }
        let source = Source::open(&spec.signal, spec.rate).map_err(malformed)?;
        let inputs = spec.inputs.or(returned.inputs).unwrap_or_else(|| source.channels().unwrap_or(2));
        let outputs = spec.outputs.unwrap_or(2);
        for (count, what) in [(inputs, "inputs"), (outputs, "outputs")] {
            if CHANNEL_COUNT_MAX < count {
                return Err(unsupported(format!("{count} {what}"), format!("it has at most {CHANNEL_COUNT_MAX}")));
            }
        }
        if let Some(channels) = source.channels().filter(|channels| *channels < inputs) {
            return Err(unsupported(format!("{inputs} inputs"), format!("the file has {channels} channels")));
        }
        let format = spec.format.unwrap_or(DeviceFormat::S32);
        let buffer = spec.buffer_frames.unwrap_or(spec.rate.0 as usize / BUFFER_PER_SECOND).max(2 * period_frames);
        let memory = |channels: usize, frames: usize| vec![0; channels * frames * format.bytes()].into_boxed_slice();
        let block = period_frames.min(BLOCK_FRAMES_MAX);
        let looped = script.loop_delay.map(|delay| {
            let frames = (delay + 2 * BLOCK_FRAMES_MAX).next_power_of_two();
            Loop { bytes: memory(outputs, frames), delay, frames }
        });
        let facts = DeviceFacts {
            name,
            rate: spec.rate,
            period_frames,
            buffer_frames: buffer,
            inputs,
            outputs,
            input_format: format,
            output_format: format,
            access: Access::Mapped,
            pace: if script.free { Pace::Free } else { Pace::RealTime },
            linked: true,
            delays: DelayReporters { output: DelayReporter::BuiltIn, input: DelayReporter::BuiltIn },
            notes: Vec::new(),
            source: None,
        };
        Ok(VirtualDevice {
            source: source.for_inputs(inputs, spec.rate),
            input: memory(inputs, block),
            output: memory(outputs, block),
            looped,
            facts,
            script,
            card,
            is_gone: false,
            pull: None,
            started: Duration::ZERO,
            frame: 0,
            reached: 0,
            sleep_frames: if outputs == 0 { rest_frames(period_frames, buffer, spec.rate) } else { period_frames }
                as u64,
            sleeps: 0,
            late: Duration::ZERO,
            signal_time: Duration::ZERO,
        })
    }

    /// The time at which frame `frame` begins, as of [`monotonic`].
    fn due(&self, frame: u64) -> Duration {
        self.started + self.clock().duration(frame)
    }

    fn clock(&self) -> CardClock {
        CardClock { rate: self.facts.rate, drift_ppm: self.script.drift_ppm }
    }

    /// Sleeps until `moment`, at most for `timeout`. Returns whether the moment has come.
    fn sleep_until(&mut self, moment: Duration, timeout: Duration) -> bool {
        let now = monotonic();
        if moment <= now {
            return true;
        }
        let end = moment.min(now + timeout);
        self.sleeps += 1;
        if host::is_simulated() {
            host::sleep(end.saturating_sub(now));
            return moment <= monotonic();
        }
        // A signal may end the sleep early; the next wait sleeps again.
        clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &TimeSpec::from_duration(end))
            .ok();
        let now = monotonic();
        self.late = now.saturating_sub(end);
        moment <= now
    }

    /// Whether the device is gone. Unplugs it if a pull is due within the next period, after the periods before it.
    fn is_gone_now(&mut self, period: u64, timeout: Duration) -> bool {
        if self.script.gone.is_some_and(|frame| frame <= self.frame) {
            self.is_gone = true;
            self.card.iter().for_each(|card| card.remove());
        }
        if self.is_gone {
            self.sleep_until(monotonic() + Frames(period).duration(self.facts.rate), timeout);
        } else if let Some((at, away)) = self.pull
            && at < self.frame + period
            // A loss is reported as soon as it begins. Its frames pass before the plug is pulled: a card that came back
            // within them would deliver frames that were reported lost.
            && self.sleep_until(self.due(at.max(self.frame)), timeout)
        {
            self.is_gone = true;
            self.card.iter().for_each(|card| card.pull(at + away));
        }
        self.is_gone
    }

    fn fill_input(&mut self, frames: usize) {
        let width = self.facts.input_format.bytes();
        let bytes = &mut self.input[..frames * self.facts.inputs * width];
        match &self.looped {
            Some(looped) => looped.read(bytes, self.facts.inputs, self.facts.outputs, width, self.frame),
            None => self.source.fill(bytes, self.facts.input_format, self.frame),
        }
    }
}

impl Device for VirtualDevice {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn start(&mut self) -> Result<(), StartError> {
        let now = monotonic();
        (self.started, self.frame) = match &self.card {
            Some(card) => card.start(now, self.clock()),
            None => (now, 0),
        };
        self.pull = self.card.as_ref().and_then(|card| card.next_pull(&self.script, self.frame));
        self.script.forget_before(self.frame);
        self.reached = self.frame;
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> Wake {
        let period = self.facts.period_frames as u64;
        self.late = Duration::ZERO;
        if self.is_gone_now(period, timeout) {
            return Wake::Gone;
        }
        assert!(
            self.script.crash.is_none_or(|frame| self.frame < frame),
            "{}: it crashes, as was ordered",
            self.facts.name
        );
        if due_order(&mut self.script.playback_xruns, self.frame).is_some() {
            return Wake::PlaybackXrun;
        }
        if let Some(lost) = due_order(&mut self.script.xruns, self.frame) {
            self.frame += lost;
            return Wake::Lost { frames: lost, cause: LossCause::Xrun };
        }
        let absence = self.script.absence(self.frame, period);
        let step = absence.map_or(period, |absence| absence.frames);
        if self.facts.pace == Pace::RealTime && self.reached < self.frame + step {
            let (sleep_frames, slow) = match self.script.slow.last() {
                Some((at, micros)) if *at <= self.frame => (step, Duration::from_micros(*micros)),
                _ if absence.is_some() => (step, Duration::ZERO),
                _ => (self.sleep_frames, Duration::ZERO),
            };
            if !self.sleep_until(self.due(self.frame + sleep_frames) + slow, timeout) {
                return Wake::Timeout;
            }
            due_order(&mut self.script.slow, self.frame);
            self.reached = self.clock().frames(monotonic().saturating_sub(self.started)).max(self.frame + step);
            if absence.is_none() && self.frame + (self.facts.buffer_frames as u64) < self.reached {
                let frames = self.reached - self.frame;
                self.frame = self.reached;
                return Wake::Lost { frames, cause: LossCause::Xrun };
            }
        }
        if let Some(absence) = absence {
            self.frame += step;
            self.script.forget_absence(absence.cause, self.frame);
            return Wake::Lost { frames: step, cause: absence.cause };
        }
        Wake::Ready
    }

    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize {
        let (format, inputs, outputs) = (self.facts.input_format, self.facts.inputs, self.facts.outputs);
        let mut done = 0;
        while done < self.facts.period_frames {
            let frames = (self.facts.period_frames - done).min(BLOCK_FRAMES_MAX);
            let from = host::now();
            self.fill_input(frames);
            self.signal_time += host::elapsed(from);
            let input =
                Input { frames, ..Input::interleaved(&self.input[..frames * inputs * format.bytes()], format, inputs) };
            let bytes = &mut self.output[..frames * outputs * format.bytes()];
            process(input, Output { frames, ..Output::interleaved(bytes, format, outputs) });
            if let Some(looped) = &mut self.looped {
                let from = host::now();
                looped.write(&self.output, outputs * format.bytes(), self.frame, frames);
                self.signal_time += host::elapsed(from);
            }
            self.frame += frames as u64;
            done += frames;
        }
        done
    }

    fn is_near_full(&self) -> bool {
        let clock = self.facts.rate.frames(monotonic().saturating_sub(self.started)).0;
        let waiting = clock.saturating_sub(self.frame);
        self.facts.pace == Pace::RealTime && self.facts.buffer_frames as u64 / 2 <= waiting
    }

    fn sleeps(&self) -> u64 {
        self.sleeps
    }

    fn lateness(&self) -> Duration {
        self.late
    }

    fn stop(&mut self) {}

    fn signal_time(&self) -> Duration {
        self.signal_time
    }

    fn reckoning(&self) -> Reckoning {
        match self.facts.pace {
            Pace::Free => Reckoning::from_now(self.facts.rate),
            Pace::RealTime => {
                Reckoning { at: self.started, ahead: -(self.frame as f64), per_second: self.clock().per_second() }
            }
        }
    }

    fn latency(&self) -> Latency {
        let (output, input) = self.script.latency;
        Latency { output, input, starts: 1, skips: 0 }
    }

    fn failure(&self) -> Option<&'static str> {
        self.is_gone.then_some("its plug was pulled")
    }
}

impl Loop {
    fn write(&mut self, output: &[u8], frame_bytes: usize, frame: u64, frames: usize) {
        for (at, bytes) in output.chunks_exact(frame_bytes.max(1)).take(frames).enumerate() {
            let offset = (frame as usize + at) % self.frames * frame_bytes;
            self.bytes[offset..offset + frame_bytes].copy_from_slice(bytes);
        }
    }

    /// Fills input channel c with what output channel c played `delay` frames earlier. Input channels beyond the
    /// outputs start again with output 0. Frames that were not played yet, because `delay` is shorter than the block,
    /// are silence.
    fn read(&self, input: &mut [u8], inputs: usize, outputs: usize, width: usize, frame: u64) {
        for (at, bytes) in input.chunks_exact_mut((inputs * width).max(1)).enumerate() {
            let played_frame =
                (frame + at as u64).checked_sub(self.delay as u64).filter(|played_frame| *played_frame < frame);
            match played_frame {
                Some(played_frame) if outputs > 0 => {
                    let offset = played_frame as usize % self.frames * outputs * width;
                    for (channel, sample) in bytes.chunks_exact_mut(width).enumerate() {
                        let from = offset + channel % outputs * width;
                        sample.copy_from_slice(&self.bytes[from..from + width]);
                    }
                }
                _ => bytes.fill(0),
            }
        }
    }
}

/// A spec for the built-in device at 48 kHz with a period of 64 frames and two outputs. Tests and tools adapt it.
pub fn spec(options: &str, inputs: usize, signal: Signal) -> DeviceSpec {
    DeviceSpec {
        name: if options.is_empty() { "virtual".to_owned() } else { format!("virtual:{options}") },
        rate: SampleRate(48_000),
        period_frames: Some(64),
        buffer_frames: None,
        inputs: Some(inputs),
        outputs: Some(2),
        format: None,
        signal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::signal::ramp;

    fn open(options: &str, inputs: usize) -> VirtualDevice {
        let mut device = VirtualDevice::open(&spec(options, inputs, Signal::Ramp), options).unwrap();
        device.start().unwrap();
        device
    }

    /// The first sample of channel 0 of the next period, or the loss in its place.
    fn next(device: &mut VirtualDevice) -> Result<i32, (u64, LossCause)> {
        match device.wait(Duration::from_secs(1)) {
            Wake::Ready => {
                let mut first = 0;
                device.cycle(&mut |input, _| first = i32::from_le_bytes(input.bytes[..4].try_into().unwrap()) >> 8);
                Ok(first)
            }
            Wake::Lost { frames, cause } => Err((frames, cause)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_ramp_runs_on_by_the_devices_clock_over_ordered_losses() {
        let mut device = open("free,xrun=100+7,unplug=200+100", 2);
        let found: Vec<_> = (0..8).map(|_| next(&mut device)).collect();
        let at = |frame: u64| Ok(ramp(frame, 0));
        let away = |frames| Err((frames, LossCause::Unplug));
        let want = [at(0), at(64), Err((7, LossCause::Xrun)), at(135), at(199), away(37), at(300), at(364)];
        assert_eq!(found[..5], want[..5]);
        assert_eq!(found[5..], [away(37), at(300), at(364)]);
    }

    #[test]
    fn a_program_that_is_later_than_the_buffer_loses_the_frames_of_the_clock() {
        let mut device =
            VirtualDevice::open(&DeviceSpec { buffer_frames: Some(128), ..spec("", 1, Signal::Ramp) }, "").unwrap();
        device.start().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        // On a busy machine the test may be late for several periods.
        let mut lost = 0;
        let heard = loop {
            match next(&mut device) {
                Err((frames, LossCause::Xrun)) => lost += frames,
                heard => break heard,
            }
        };
        assert!(960 <= lost, "{lost}");
        assert_eq!(heard, Ok(ramp(lost, 0)));
    }

    #[test]
    fn real_time_passes_between_two_periods() {
        let mut device = open("", 1);
        let from = std::time::Instant::now();
        for _ in 0..75 {
            next(&mut device).unwrap();
        }
        assert!(Duration::from_millis(99) <= from.elapsed());
        assert!(device.sleeps() > 0);
    }

    #[test]
    fn a_looped_device_records_what_it_played() {
        let mut device = open("free,loop=100", 2);
        let (mut played, mut heard) = (0_i32, Vec::new());
        for _ in 0..10 {
            device.cycle(&mut |input, output| {
                heard.extend(input.bytes.chunks(8).map(|frame| i32::from_le_bytes(frame[4..8].try_into().unwrap())));
                for frame in output.bytes.chunks_mut(8) {
                    played += 1;
                    frame[4..8].copy_from_slice(&played.to_le_bytes());
                }
            });
        }
        assert_eq!(heard[..100], [0; 100]);
        assert_eq!(heard[100..], (1..=540).collect::<Vec<i32>>());
    }

    #[test]
    fn the_time_in_which_the_signal_is_made_is_counted_and_the_callers_is_not() {
        let mut device = open("free", 1024);
        assert_eq!(device.signal_time(), Duration::ZERO);
        let from = std::time::Instant::now();
        device.cycle(&mut |_, _| std::thread::sleep(Duration::from_millis(50)));
        let (all, signal) = (from.elapsed(), device.signal_time());
        assert!(Duration::ZERO < signal && signal + Duration::from_millis(50) <= all, "{signal:?} of {all:?}");
    }

    #[test]
    fn a_device_that_is_gone_reports_it_and_does_not_spin() {
        let mut device = open("gone=64", 1);
        assert!(next(&mut device).is_ok());
        let from = std::time::Instant::now();
        assert_eq!(device.wait(Duration::from_millis(20)), Wake::Gone);
        assert!(Duration::from_millis(1) <= from.elapsed());
    }

    #[test]
    fn an_option_that_cannot_be_parsed_is_named_in_the_error() {
        let error =
            |options: &str| VirtualDevice::open(&spec(options, 1, Signal::Ramp), options).err().unwrap().to_string();
        assert_eq!(error("xrun=5"), "virtual:xrun=5: xrun=5: two numbers are meant, as in xrun=48000+512");
        assert!(error("fast").contains("unknown option 'fast'"));
        // Frame numbers are added, so they must not overflow.
        assert!(error("xrun=0+18446744073709551615").contains("is more than"));
    }
}
