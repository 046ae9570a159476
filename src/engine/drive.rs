//! The audio thread's loop: waits for the device, moves one period, publishes how long that took. Owns the device.
//! Thread: audio.
//!
//! Besides the device, the loop sleeps in four cases:
//!
//! * With a device without a clock ([`Pace::Free`]), until the transport rolls and windows are there. Here the disk can
//!   delay the audio thread.
//! * After a loss or a reconnect, while capture windows are missing: the loss may lead past all windows, and the butler
//!   needs time to supply more. The device's buffer holds the input meanwhile, so this lasts as long as half of the buffer
//!   is free, for at most the time of half the buffer, and for at most 400 ms. A ring that a late thread has left full has
//!   no room: its periods do not wait.
//! * While there is no device, between two looks for commands.
//! * When the kernel has warned that the thread uses too much processor time without waiting ([`cpu_limit`]).
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::{Engine, Next};
use crate::device::{Device, Latency, LossCause, Pace, Reckoning, Wake, is_outputs_failure, monotonic};
use crate::host;
use crate::message::AudioEvent;
use crate::message::published::Published;
use crate::rt::cpu_limit;
use crate::time::Frames;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Longest wait for the device before the loop looks for commands again.
const DEVICE_WAIT: Duration = Duration::from_millis(20);

/// Sleep between two checks for missing windows.
const WINDOW_PAUSE: Duration = Duration::from_micros(200);

/// Longest wait for windows after a loss, however deep the device's buffer is.
const WINDOWS_WAIT_MAX: Duration = Duration::from_millis(400);

/// Sleep between two looks for commands while there is no device.
const NO_DEVICE_PAUSE: Duration = Duration::from_millis(5);

/// Runs the engine on the device in `device`, which was started, until the control side sends [`AudioCommand::Quit`].
///
/// On return `device` has the stopped device, and the caller closes it. It is `None` if the device is gone at that moment. After a
/// panic `device` has the device too, so unwinding does not close it: closing may wait for a driver. This is not realtime-safe: it
/// is the loop itself, which waits.
///
/// [`AudioCommand::Quit`]: crate::message::AudioCommand::Quit
pub fn drive(engine: &mut Engine, device: &mut Option<Box<dyn Device>>, published: &Arc<Published>) {
    let mut slot = DeviceSlot {
        has_outputs: device.as_ref().is_some_and(|device| 0 < device.facts().outputs),
        device,
        gap_clock: None,
        fraction: 0.0,
        windows_until: None,
        has_waited: false,
        slept: 0,
        unheard: 0,
        skipped: 0,
        failure: None,
        wrong_rate: None,
        openings: 0,
    };
    loop {
        if engine.apply_commands() == Next::Leave {
            if let Some(device) = slot.device {
                device.stop();
            }
            return;
        }
        if let Some(next) = engine.take_device() {
            slot.take_over(engine, next);
        } else if engine.is_release_due() {
            slot.device_gone(engine);
        }
        // Under rtkit the kernel kills a real-time thread that never waits. Sleep when it has sent its warning.
        cpu_limit::yield_if_warned();
        slot.run_one_period(engine, published);
        slot.publish(published);
    }
}

/// The device, and the clock that replaces it while there is none.
struct DeviceSlot<'d> {
    /// `None` while the device is gone.
    device: &'d mut Option<Box<dyn Device>>,
    /// The first device had outputs. Nobody hears the output of a device that takes over without them.
    has_outputs: bool,
    /// Clock of the timeline from the loss of one device to the first period of the next.
    gap_clock: Option<GapClock>,
    /// Rounding error of the last reconnect, in frames. Carried over, because the errors of many reconnects would add
    /// up.
    fraction: f64,
    /// Set after a loss: until this moment, as of [`monotonic`], periods without windows stay in the device's buffer.
    windows_until: Option<Duration>,
    /// A period has waited for windows since the last one was moved.
    has_waited: bool,
    /// Sleeps of earlier devices, and of this loop in place of a device.
    slept: u64,
    /// Output frames that earlier devices did not play.
    unheard: u64,
    /// Output frames that earlier devices skipped.
    skipped: u64,
    /// The failure of the device that was reported last.
    failure: Option<&'static str>,
    /// The wrong rate of the device that was reported last.
    wrong_rate: Option<&'static str>,
    /// Devices that took over from another one.
    openings: u32,
}

/// The timeline without a device: the last device's frame counter, extrapolated by the monotonic clock.
struct GapClock {
    /// The engine's device frame at which `reckoning` begins.
    from: u64,
    /// [`DeviceSlot::fraction`] at that frame.
    fraction: f64,
    reckoning: Reckoning,
}

impl GapClock {
    /// Frames from the engine's device frame `frame` to the timeline at `moment`, less the `ahead` frames that a new
    /// device has captured by then.
    fn frames_to(&self, frame: u64, moment: Duration, ahead: f64) -> f64 {
        self.from as f64 - self.fraction + self.reckoning.ahead_at(moment) - ahead - frame as f64
    }
}

impl DeviceSlot<'_> {
    /// Publishes the counters of the device.
    fn publish(&self, published: &Published) {
        let device = self.device.as_ref();
        published.counted_sleeps.store(self.slept + device.map_or(0, |device| device.sleeps()), Relaxed);
        published.frames_unheard.store(self.unheard + device.map_or(0, |device| device.unheard_frames()), Relaxed);
        published.frames_skipped.store(self.skipped + device.map_or(0, |device| device.skipped_frames()), Relaxed);
        let drift = device.and_then(|device| device.drift_ppm()).map_or(0, |ppm| ppm.round() as i32);
        published.drift_ppm.store(drift, Relaxed);
        if let Some(device) = device {
            let latency = device.latency();
            let starts = latency.starts.wrapping_add(self.openings << 16);
            published.set_latency(Latency { starts, ..latency });
            published.outputs_live.store(device.has_live_outputs(), Relaxed);
        }
    }

    /// Moves one period, or waits for one.
    fn run_one_period(&mut self, engine: &mut Engine, published: &Published) {
        let Some(device) = self.device.as_mut() else {
            self.fill_with_silence(engine);
            pause(NO_DEVICE_PAUSE);
            self.slept += 1;
            return;
        };
        let frames = Frames(device.facts().period_frames as u64);
        if device.facts().pace == Pace::Free && !engine.is_ready(frames) {
            // In place of the device's wait, which returns at once for a device without a clock.
            pause(WINDOW_PAUSE);
            self.slept += 1;
            return;
        }
        if self.windows_until.is_some_and(|until| until <= monotonic()) {
            self.windows_until = None;
        }
        // The card's buffer has periods that waited: they are moved faster than windows are made.
        if self.windows_until.is_some() && engine.lacks_windows(frames) && !device.is_near_full() {
            pause(WINDOW_PAUSE);
            self.slept += 1;
            self.has_waited = true;
            return;
        }
        match device.wait(DEVICE_WAIT) {
            Wake::Ready if self.place_on_timeline(engine) => {}
            Wake::Ready => {
                let Some(device) = self.device.as_mut() else { return };
                let (from, late, signal_time) = (host::now(), device.lateness(), device.signal_time());
                let moved = device.cycle(&mut |input, mut output| engine.process(&input, &mut output));
                self.has_waited &= moved == 0;
                if self.has_outputs && device.facts().outputs == 0 {
                    self.unheard += moved as u64;
                }
                // A cycle is the work of the engine and of the driver. What the built-in device does in place of a card's
                // converters is counted apart.
                let signal = device.signal_time().saturating_sub(signal_time);
                let length = host::elapsed(from).saturating_sub(signal);
                published.cycles.count(length.as_nanos() as u64);
                published.cycle_log.push(from, length, late);
                published.signal_nanos.fetch_add(signal.as_nanos() as u64, Relaxed);
            }
            Wake::Timeout => {}
            Wake::PlaybackXrun => engine.count_playback_xrun(),
            Wake::Changed => {
                self.report_failure(engine);
                self.report_rate(engine);
            }
            Wake::Lost { frames, cause } => {
                // Frames that a new device loses before it is placed on the timeline are part of the silence before it.
                if !self.place_on_timeline(engine) {
                    engine.lose(frames, cause);
                    self.allow_time_for_windows();
                }
                self.report_failure(engine);
            }
            Wake::Gone => self.device_gone(engine),
        }
    }

    /// The device is gone: sends it to control. The reconnect thread closes it, because the driver may wait. The timeline
    /// continues without a device.
    fn device_gone(&mut self, engine: &mut Engine) {
        let reason = self.device.as_ref().and_then(|device| device.failure());
        self.stop_and_keep_time(engine);
        if let Some(device) = self.device.take() {
            engine.send(AudioEvent::DeviceGone { device, reason });
        }
    }

    /// Starts the clock that replaces the device, and stops the device, which stays here. A clock that runs already, because
    /// the device never delivered, keeps running.
    fn stop_and_keep_time(&mut self, engine: &mut Engine) {
        let Some(device) = self.device.as_mut() else { return };
        let reckoning = device.reckoning();
        self.gap_clock.get_or_insert(GapClock { from: engine.device_frames(), fraction: self.fraction, reckoning });
        device.stop();
        self.slept += device.sleeps();
        self.unheard += device.unheard_frames();
        self.skipped += device.skipped_frames();
        (self.failure, self.wrong_rate) = (None, None);
        self.fill_with_silence(engine);
    }

    /// Starts `next` in place of the current device. Its position on the timeline is known when it delivers.
    fn take_over(&mut self, engine: &mut Engine, next: Box<dyn Device>) {
        self.stop_and_keep_time(engine);
        if let Some(device) = self.device.take() {
            engine.send(AudioEvent::CloseDevice(device));
        }
        self.fill_with_silence(engine);
        let next = self.device.insert(next);
        if next.start().is_ok() {
            self.openings = self.openings.wrapping_add(1);
            self.has_waited = false;
        } else if let Some(device) = self.device.take() {
            let reason = Some(device.failure().unwrap_or("the device did not start"));
            engine.send(AudioEvent::DeviceGone { device, reason });
        }
    }

    /// Counts the frames since the device was lost as silence.
    fn fill_with_silence(&mut self, engine: &mut Engine) {
        if let Some(gap_clock) = &self.gap_clock {
            lose(engine, gap_clock.frames_to(engine.device_frames(), monotonic(), 0.0).floor());
        }
    }

    /// Before the first period of a new device: counts silence up to the frame that the period begins with. Returns
    /// whether the device is new.
    fn place_on_timeline(&mut self, engine: &mut Engine) -> bool {
        let Some(device) = self.device.as_ref() else { return false };
        let Some(gap_clock) = self.gap_clock.take() else { return false };
        let Reckoning { at, ahead, .. } = device.reckoning();
        let frames = gap_clock.frames_to(engine.device_frames(), at, ahead);
        let lost = frames.round().max(0.0);
        lose(engine, lost);
        self.fraction = lost - frames;
        self.allow_time_for_windows();
        engine.send(AudioEvent::DeviceBack);
        true
    }

    /// Lets the next periods wait for windows, as the header says. A loss after a wait, before a period was moved, gives
    /// no new time: the wait may be its cause, and the thread would wait and lose in turn for ever.
    fn allow_time_for_windows(&mut self) {
        let Some(device) = self.device.as_ref().filter(|_| !self.has_waited) else { return };
        let facts = device.facts();
        let half = Frames(facts.buffer_frames as u64 / 2).duration(facts.rate);
        self.windows_until = Some(monotonic() + half.min(WINDOWS_WAIT_MAX));
    }

    /// Reports the failure of a device that continues, once per failure, and the end of a failure of the outputs.
    fn report_failure(&mut self, engine: &mut Engine) {
        let Some(device) = self.device.as_ref() else { return };
        let failure = device.failure();
        if failure == self.failure {
            return;
        }
        let of_outputs = |failure: Option<&str>| failure.is_some_and(is_outputs_failure);
        if of_outputs(self.failure) && !of_outputs(failure) {
            engine.send(AudioEvent::OutputsBack { silent: Frames(device.outage_frames()) });
        }
        if let Some(reason) = failure {
            engine.send(AudioEvent::DeviceFailed { reason });
        }
        self.failure = failure;
    }

    /// Reports that the device runs at a wrong rate, or at the right one again.
    fn report_rate(&mut self, engine: &mut Engine) {
        let wrong = self.device.as_ref().and_then(|device| device.wrong_rate());
        if wrong != self.wrong_rate {
            engine.send(AudioEvent::RateChanged { wrong });
        }
        self.wrong_rate = wrong;
    }
}

fn lose(engine: &mut Engine, frames: f64) {
    if 0.0 < frames {
        engine.lose(frames as u64, LossCause::Unplug);
    }
}

#[expect(clippy::disallowed_methods, reason = "no clock, no device, or no windows after a loss: see the header")]
fn pause(time: Duration) {
    host::sleep(time);
}
