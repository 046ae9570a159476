//! The drive loop under the witnesses: every wake of a device, a device that is gone, a second device. Thread: test.

use super::account::{Calls, account, assert_rt, can_trap, prepare};
use super::reel::Reel;
use super::rig::{RATE, interleaved};
use faultless::device::{Device, DeviceFacts, Input, LossCause, Output, Pace, Reckoning, StartError, Wake, monotonic};
use faultless::engine::{Engine, drive};
use faultless::format::{DeviceFormat, TakeFormat};
use faultless::limits;
use faultless::message::published::Published;
use faultless::message::{AudioCommand, AudioEvent, Pass, PassRange};
use faultless::time::Frames;
use rtrb::{Producer, RingBuffer};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) type Control = Arc<Mutex<Producer<AudioCommand>>>;

/// A device that returns the wakes of a script, and sends the engine a command with the last one.
pub(super) struct Scripted {
    pub(super) facts: DeviceFacts,
    /// Wakes, the last one first.
    script: Vec<Wake>,
    memory: Box<dyn Device>,
    control: Control,
    command: Option<AudioCommand>,
    /// [`Reckoning::ahead`] of the device, always the same.
    ahead: f64,
    start: Result<(), StartError>,
    /// [`Device::is_near_full`] of the device, always the same.
    pub(super) near_full: bool,
}

impl Scripted {
    fn new(script: Vec<Wake>, control: &Control, command: AudioCommand) -> Box<Scripted> {
        Scripted::with_period(64, script, control, command)
    }

    pub(super) fn with_period(
        period: usize,
        mut script: Vec<Wake>,
        control: &Control,
        command: AudioCommand,
    ) -> Box<Scripted> {
        let memory = interleaved("", 2, DeviceFormat::S32, period);
        // With a clock the loop does not pause for windows.
        let facts = DeviceFacts { pace: Pace::RealTime, ..memory.facts().clone() };
        script.reverse();
        let control = Arc::clone(control);
        let (command, ahead, start, near_full) = (Some(command), 0.0, Ok(()), false);
        Box::new(Scripted { facts, script, memory, control, command, ahead, start, near_full })
    }
}

impl Device for Scripted {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn start(&mut self) -> Result<(), StartError> {
        if self.start.is_err()
            && let Some(command) = self.command.take()
        {
            assert!(self.control.lock().unwrap().push(command).is_ok());
        }
        self.start
    }

    fn wait(&mut self, _: Duration) -> Wake {
        let wake = self.script.pop().unwrap_or(Wake::Timeout);
        if self.script.is_empty()
            && let Some(command) = self.command.take()
        {
            assert!(self.control.lock().unwrap().push(command).is_ok());
        }
        wake
    }

    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize {
        self.memory.cycle(process)
    }

    fn is_near_full(&self) -> bool {
        self.near_full
    }

    fn sleeps(&self) -> u64 {
        0
    }

    fn stop(&mut self) {}

    fn reckoning(&self) -> Reckoning {
        Reckoning { at: Duration::from_secs(1), ahead: self.ahead, per_second: 0.0 }
    }
}

/// Whether reading the clock takes no system call here.
fn clock_is_free(test: &str) -> bool {
    if !can_trap(test) {
        return false;
    }
    let (_, cost) = account(Calls::Trapped, monotonic);
    if cost.call.is_some() {
        crate::util::skip(test, "the clock costs a system call here");
    }
    cost.call.is_none()
}

#[test]
fn the_loop_handles_every_wake_of_a_device_and_a_second_device() {
    if !clock_is_free("witness::driving::the_loop_handles_every_wake_of_a_device_and_a_second_device") {
        return;
    }
    let (control, commands) = RingBuffer::new(16);
    let control = Arc::new(Mutex::new(control));
    let (events, mut reports) = RingBuffer::new(limits::AUDIO_EVENTS);
    let published = Arc::new(Published::new(2));
    let mut engine = Engine::new(commands, events, Arc::clone(&published), 2, RATE);
    let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0], 0);
    reel.supply(20);
    let xrun = vec![Wake::Lost { frames: 300, cause: LossCause::Xrun }];
    let (ready, quiet) = (|count: usize| vec![Wake::Ready; count], vec![Wake::Timeout; 2]);
    // The second device replaces the first one, and the loop ends with its script. Its first `Ready` only places it on
    // the timeline; the period is moved with the next one.
    let after = [ready(11), xrun.clone(), ready(10)].concat();
    let mut second = Scripted::new(after, &control, AudioCommand::Quit);
    second.ahead = -500.0;
    second.facts.outputs = 0;
    let before = [ready(20), quiet, xrun, ready(20), vec![Wake::Gone]].concat();
    let mut first = Scripted::new(before, &control, AudioCommand::Device(second));
    first.ahead = 1_000.2;
    let pass = Box::new(Pass::new(vec![capture], PassRange::Now(Frames(u64::MAX)), false));
    assert!(control.lock().unwrap().push(AudioCommand::Record(pass)).is_ok());
    prepare();
    let mut device: Option<Box<dyn Device>> = Some(first);
    assert_rt(|| drive::drive(&mut engine, &mut device, &published));
    assert_eq!(device.unwrap().facts().inputs, 2);

    let (mut ended, mut gone, mut back) = (None, 0, 0);
    while let Ok(event) = reports.pop() {
        match event {
            AudioEvent::PassEnded(pass) => ended = Some(pass),
            AudioEvent::DeviceGone { .. } => gone += 1,
            AudioEvent::DeviceBack => back += 1,
            _ => {}
        }
    }
    assert_eq!((gone, back), (1, 1));
    // The counter of the first device was 1,000 frames ahead, and frame 0 of the second one is 500 frames later.
    let away = published.frames_lost.load(Relaxed) - 600;
    assert_eq!(away, 1_500);
    let frames = 60 * 64 + 600 + away;
    let pass = ended.expect("a pass ended");
    assert_eq!((pass.frames, pass.lost, pass.xruns), (Frames(frames), Frames(600 + away), 2));
    assert_eq!(published.cycles.counts().total(), 60);
    assert_eq!(published.frames_unheard.load(Relaxed), 20 * 64, "nobody hears the second device");
    reel.assert_ramp(0..1_280, 0, DeviceFormat::S32);
    reel.assert_silent(1_280..1_580);
    reel.assert_ramp(1_580..2_860, 1_280, DeviceFormat::S32);
    let second = 2_860 + away;
    reel.assert_ramp(second..second + 640, 0, DeviceFormat::S32);
    reel.assert_silent(second + 640..second + 940);
    reel.assert_ramp(second + 940..frames, 640, DeviceFormat::S32);
    reel.assert_returned(frames);
}

/// A device that is gone, a second one that does not start, and a thread that ends the loop later.
#[test]
fn without_a_device_the_timeline_follows_the_clock_and_the_thread_sleeps() {
    let (control, commands) = RingBuffer::new(16);
    let control = Arc::new(Mutex::new(control));
    let (events, mut reports) = RingBuffer::new(limits::AUDIO_EVENTS);
    let published = Arc::new(Published::new(2));
    let mut engine = Engine::new(commands, events, Arc::clone(&published), 2, RATE);
    let (mut reel, capture) = Reel::new(TakeFormat::S24, &[0], 0);
    reel.supply(20);
    let pass = Box::new(Pass::new(vec![capture], PassRange::Now(Frames(u64::MAX)), false));
    assert!(control.lock().unwrap().push(AudioCommand::Record(pass)).is_ok());
    let mut device = interleaved("gone=1280", 2, DeviceFormat::S32, 64);
    device.start().unwrap();
    let mut broken = Scripted::new(Vec::new(), &control, AudioCommand::Roll);
    broken.start = Err(StartError { call: "start", errno: 5 });
    let seen = Arc::clone(&published);
    let ender = std::thread::spawn(move || {
        while seen.counted_sleeps.load(Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(150));
        assert!(control.lock().unwrap().push(AudioCommand::Device(broken)).is_ok());
        std::thread::sleep(Duration::from_millis(150));
        assert!(control.lock().unwrap().push(AudioCommand::Quit).is_ok());
    });
    prepare();
    let mut device = Some(device);
    let (left, cost) = account(Calls::LetThrough, || {
        let from = monotonic();
        drive::drive(&mut engine, &mut device, &published);
        (device.is_none(), monotonic().saturating_sub(from))
    });
    ender.join().unwrap();
    assert!(left.0, "it went home");
    assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{cost:?}");
    let (mut frames, mut gone) = (0, Vec::new());
    while let Ok(event) = reports.pop() {
        match event {
            AudioEvent::PassEnded(pass) => frames = pass.frames.0,
            AudioEvent::DeviceGone { device, reason } => gone.push((device.facts().period_frames, reason)),
            _ => {}
        }
    }
    assert_eq!(gone, [(64, Some("its plug was pulled")), (64, Some("the device did not start"))]);
    // All but the last sleep is counted. On a busy machine that sleep is longer than requested.
    let most = 1_280 + RATE.frames(left.1).0;
    assert!((1_280 + (most - 1_280) / 2..=most).contains(&frames), "{frames} of {most}");
    reel.assert_ramp(0..1_280, 0, DeviceFormat::S32);
    reel.assert_silent(1_280..frames);
    let rests = published.counted_sleeps.load(Relaxed);
    assert!((1..=100).contains(&rests), "{rests} rests of 5 ms");
}
