//! The audio thread's loop: wait for the device, move one period, say how long it took. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::{Engine, Next};
use crate::device::{Device, LossCause, Pace, Reckoning, Wake, monotonic};
use crate::message::AudioEvent;
use crate::message::published::Published;
use crate::rt::overrun;
use crate::time::Frames;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long a wait may last before commands are looked at again.
const DEVICE_WAIT: Duration = Duration::from_millis(20);

/// How long a free-running device is left alone when windows are not there yet.
const WINDOW_PAUSE: Duration = Duration::from_micros(200);

/// How long windows are waited for after a loss at the most, however deep the device's buffer is.
const WINDOWS_MAX: Duration = Duration::from_millis(400);

/// How long the thread rests between two looks while there is no device.
const NO_DEVICE_PAUSE: Duration = Duration::from_millis(5);

/// Runs the engine on `device` until it is told to quit. The device must have been started.
///
/// Returns the device, stopped, for the caller to close; none while it was gone.
pub fn drive(engine: &mut Engine, device: Box<dyn Device>, published: &Arc<Published>) -> Option<Box<dyn Device>> {
    let mut slot = DeviceSlot {
        device: Some(device),
        gap_clock: None,
        fraction: 0.0,
        windows_until: None,
        slept: 0,
        failure: None,
    };
    loop {
        if engine.apply_commands() == Next::Leave {
            if let Some(device) = &mut slot.device {
                device.stop();
            }
            return slot.device;
        }
        if let Some(next) = engine.take_device() {
            slot.take_over(engine, next);
        }
        // Under rtkit a thread that never rests is killed: rest when the kernel has warned.
        overrun::yield_if_warned();
        slot.run_one_period(engine, published);
        let sleeps = slot.device.as_ref().map_or(0, |device| device.sleeps());
        published.device_sleeps.store(slot.slept + sleeps, Relaxed);
    }
}

/// The device, and the line on which the timeline counts on while there is none.
struct DeviceSlot {
    /// `None`: it is gone.
    device: Option<Box<dyn Device>>,
    /// Where the timeline would be. Stays until the next device has delivered, and its place is known.
    gap_clock: Option<GapClock>,
    /// By what part of a frame the device's frames stand after their true place. Kept, or the parts of many comebacks would
    /// add up.
    fraction: f64,
    /// After a loss, until when the device's buffer may hold what comes next: a jump may lead beyond all windows that
    /// there are, and the butler has to be given the time to follow.
    windows_until: Option<Duration>,
    /// Sleeps of devices that were before this one, and our own in their stead.
    slept: u64,
    /// What the device said last of its failures.
    failure: Option<&'static str>,
}

/// The timeline without a device: the last one's frame counter, reckoned by the monotonic clock.
struct GapClock {
    /// The engine's frame from which on the reckoning counts, and the part of a frame that it is off.
    from: u64,
    fraction: f64,
    reckoning: Reckoning,
}

impl GapClock {
    /// Frames from `place` to where the timeline is at `moment`, if frame `ahead` of a device is to be heard then.
    fn frames_to(&self, frame: u64, moment: Duration, ahead: f64) -> f64 {
        self.from as f64 - self.fraction + self.reckoning.ahead_at(moment) - ahead - frame as f64
    }
}

impl DeviceSlot {
    /// One period, or the wait for one.
    fn run_one_period(&mut self, engine: &mut Engine, published: &Published) {
        let Some(device) = &mut self.device else {
            self.fill_with_silence(engine);
            pause(NO_DEVICE_PAUSE);
            self.slept += 1;
            return;
        };
        let frames = Frames(device.facts().period_frames as u64);
        if device.facts().pace == Pace::Free && !engine.is_ready(frames) {
            // Stands for the device's wait: a device without a clock has none of its own.
            pause(WINDOW_PAUSE);
            self.slept += 1;
            return;
        }
        match self.windows_until {
            Some(until) if engine.lacks_windows(frames) && monotonic() < until => {
                pause(WINDOW_PAUSE);
                self.slept += 1;
                return;
            }
            _ => self.windows_until = None,
        }
        match device.wait(DEVICE_WAIT) {
            Wake::Ready if self.place_on_timeline(engine) => {}
            Wake::Ready => {
                let Some(device) = &mut self.device else { return };
                let from = Instant::now();
                device.cycle(&mut |input, mut output| engine.process(&input, &mut output));
                published.cycles.count(from.elapsed().as_nanos() as u64);
            }
            Wake::Timeout => {}
            Wake::Lost { frames, cause } => {
                // What a device loses before its place is known lies before that place.
                if !self.place_on_timeline(engine) {
                    engine.lose(frames, cause);
                    self.allow_time_for_windows();
                }
                self.report_failure(engine);
            }
            Wake::Gone => self.device_gone(engine),
        }
    }

    /// The device is gone: it goes home to be closed, since its driver may wait for that, and the timeline counts on.
    fn device_gone(&mut self, engine: &mut Engine) {
        let Some(mut device) = self.device.take() else { return };
        let reason = device.failure();
        self.keep_time_of(engine, &mut *device);
        engine.hand_over(AudioEvent::DeviceGone { device, reason });
    }

    /// Draws the line on which the timeline counts on, unless `device` never had a place on the one before.
    fn keep_time_of(&mut self, engine: &mut Engine, device: &mut dyn Device) {
        let reckoning = device.reckoning();
        self.gap_clock.get_or_insert(GapClock { from: engine.device_frames(), fraction: self.fraction, reckoning });
        device.stop();
        self.slept += device.sleeps();
        self.failure = None;
        self.fill_with_silence(engine);
    }

    /// Goes on with another device. Where it has its place on the timeline is known when it has delivered.
    fn take_over(&mut self, engine: &mut Engine, mut next: Box<dyn Device>) {
        if let Some(mut device) = self.device.take() {
            self.keep_time_of(engine, &mut *device);
            engine.hand_over(AudioEvent::Replaced(device));
        }
        self.fill_with_silence(engine);
        if next.start().is_ok() {
            self.device = Some(next);
        } else {
            let reason = Some(next.failure().unwrap_or("the device did not start"));
            engine.hand_over(AudioEvent::DeviceGone { device: next, reason });
        }
    }

    /// Without a device: frames that have gone by are silence.
    fn fill_with_silence(&mut self, engine: &mut Engine) {
        if let Some(gap_clock) = &self.gap_clock {
            lose(engine, gap_clock.frames_to(engine.device_frames(), monotonic(), 0.0).floor());
        }
    }

    /// The first period of a device that took over: fills with silence up to its place, to the frame. Says whether
    /// there was something to settle.
    fn place_on_timeline(&mut self, engine: &mut Engine) -> bool {
        let (Some(device), Some(gap_clock)) = (&self.device, self.gap_clock.take()) else { return false };
        let Reckoning { at, ahead, .. } = device.reckoning();
        let frames = gap_clock.frames_to(engine.device_frames(), at, ahead);
        let lost = frames.round().max(0.0);
        lose(engine, lost);
        self.fraction = lost - frames;
        self.allow_time_for_windows();
        engine.report(AudioEvent::DeviceBack);
        true
    }

    /// Half of what the device's buffer holds may pass before the next period is moved.
    fn allow_time_for_windows(&mut self) {
        let Some(device) = &self.device else { return };
        let facts = device.facts();
        let half = Frames(facts.buffer_frames as u64 / 2).duration(facts.rate);
        self.windows_until = Some(monotonic() + half.min(WINDOWS_MAX));
    }

    /// Tells once what is wrong with a device that goes on.
    fn report_failure(&mut self, engine: &mut Engine) {
        let failure = self.device.as_ref().and_then(|device| device.failure());
        if let Some(reason) = failure.filter(|_| failure != self.failure) {
            engine.report(AudioEvent::DeviceFailed { reason });
        }
        self.failure = failure;
    }
}

fn lose(engine: &mut Engine, frames: f64) {
    if 0.0 < frames {
        engine.lose(frames as u64, LossCause::Unplug);
    }
}

#[expect(clippy::disallowed_methods, reason = "the wait of a device that has no clock, or is not there")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
