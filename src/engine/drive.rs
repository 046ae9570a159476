//! The audio thread's loop: wait for the device, move one period, say how long it took. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::{Engine, Next};
use crate::device::{Device, LossCause, Pace, Wake};
use crate::message::AudioEvent;
use crate::message::published::Published;
use crate::rt::overrun;
use crate::time::{Frames, SampleRate};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long a wait may last before commands are looked at again.
const WAIT: Duration = Duration::from_millis(20);

/// How long a free-running device is left alone when windows are not there yet.
const PAUSE: Duration = Duration::from_micros(200);

/// Runs the engine on `device` until it is told to quit. The device must have been started.
///
/// Returns the device, stopped, for the caller to close.
pub fn drive(engine: &mut Engine, mut device: Box<dyn Device>, published: &Arc<Published>) -> Box<dyn Device> {
    let mut gone: Option<Absence> = None;
    let mut pauses = 0_u64;
    loop {
        if engine.obey() == Next::Leave {
            device.stop();
            return device;
        }
        if let Some(next) = engine.take_device() {
            take_over(engine, &mut device, next, &mut gone);
        }
        let frames = Frames(device.facts().period_frames as u64);
        if device.facts().pace == Pace::Free && !engine.is_ready(frames) {
            // Stands for the device's wait: a device without a clock has none of its own.
            pause(PAUSE);
            pauses += 1;
            published.device_sleeps.store(device.sleeps() + pauses, Relaxed);
            continue;
        }
        // Under rtkit a thread that never rests is killed: rest when the kernel has warned.
        overrun::breathe();
        match device.wait(WAIT) {
            Wake::Ready => {
                let from = Instant::now();
                device.cycle(&mut |input, mut output| engine.process(&input, &mut output));
                published.cycles.count(from.elapsed().as_nanos() as u64);
            }
            Wake::Timeout => {}
            Wake::Lost { frames, cause } => engine.lose(frames, cause),
            Wake::Gone => {
                let rate = device.facts().rate;
                let absence = gone.get_or_insert_with(|| {
                    engine.tell(AudioEvent::DeviceGone);
                    Absence::begins(rate)
                });
                engine.lose(absence.frames_until(Instant::now()), LossCause::Unplug);
            }
        }
        published.device_sleeps.store(device.sleeps() + pauses, Relaxed);
    }
}

/// Time that goes by without a device: the timeline counts on by the monotonic clock.
struct Absence {
    since: Instant,
    rate: SampleRate,
    counted: u64,
}

impl Absence {
    fn begins(rate: SampleRate) -> Absence {
        Absence { since: Instant::now(), rate, counted: 0 }
    }

    /// Frames that have gone by up to `moment` and were not counted yet.
    fn frames_until(&mut self, moment: Instant) -> u64 {
        let due = self.rate.frames(moment.saturating_duration_since(self.since)).0.saturating_sub(self.counted);
        self.counted += due;
        due
    }
}

/// Goes on with a device that runs since `started`.
fn take_over(
    engine: &mut Engine,
    device: &mut Box<dyn Device>,
    next: (Box<dyn Device>, Instant),
    gone: &mut Option<Absence>,
) {
    let (next, started) = next;
    let mut absence = gone.take().unwrap_or_else(|| Absence::begins(device.facts().rate));
    device.stop();
    engine.send_home(std::mem::replace(device, next));
    engine.lose(absence.frames_until(started), LossCause::Unplug);
    engine.tell(AudioEvent::DeviceBack);
}

#[expect(clippy::disallowed_methods, reason = "the wait of a device that has no clock")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
