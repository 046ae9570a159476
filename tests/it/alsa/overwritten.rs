//! A card whose ring runs over and that its driver does not stop: what is still in the ring is delivered. Thread: test.

use super::card::{Bus, on_a_test_card};
use super::faults::lost;
use super::{BUFFER, Listener, RATE, capture_spec, listen, loop_spec, open, put, sample};
use crate::witness::account::{Calls, account, prepare};
use crate::witness::reel::Reel;
use faultless::device::alsa::AlsaDevice;
use faultless::device::{Device, DeviceFacts, DeviceSpec, Input, LossCause, Output, StartError, Wake};
use faultless::engine::{Engine, drive};
use faultless::format::TakeFormat;
use faultless::limits;
use faultless::message::published::Published;
use faultless::message::{AudioCommand, AudioEvent, Pass, PassRange};
use faultless::time::{Frames, SampleRate};
use rtrb::{Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

#[test]
fn a_late_reader_loses_the_overwritten_frames_and_delivers_all_others() {
    on_a_test_card("alsa::overwritten::a_late_reader_loses_the_overwritten_frames_and_delivers_all_others", || {
        let bus = Bus::of("hw");
        for name in ["hw_m", "hw_r", "hw_n"] {
            let mut device = open(&capture_spec(name));
            device.start().unwrap();
            let mut listener = Listener::default();
            assert_eq!(listen(&mut device, &mut listener, 20_000), []);
            let starts = bus.starts();
            for sleep_ms in [450, 1500, 360] {
                while device.wait(Duration::ZERO) == Wake::Ready {
                    device.cycle(&mut |input, _| listener.check(&input));
                }
                let from = Instant::now();
                std::thread::sleep(Duration::from_millis(sleep_ms));
                let first = device.wait(Duration::from_millis(100));
                let late = from.elapsed().as_micros() as u64 * 48 / 1000;
                let wakes = [vec![first], listen(&mut device, &mut listener, 2 * BUFFER as u64)].concat();
                let (said, jumped) = (lost(&wakes, LossCause::Xrun), listener.jumps.drain(..).sum::<u64>());
                println!("{name}: {late} frames late, lost {wakes:?}, the ramp jumped {jumped}");
                // The counter of the card goes on, so the count is exact.
                assert_eq!(said, jumped, "{name}: {wakes:?}");
                // Not the 16,384 frames of the ring, but what was overwritten, and at most two periods more.
                let overwritten = late - BUFFER as u64;
                assert!(lost(&[first], LossCause::Xrun) <= overwritten + 512, "{name}: {first:?} of {overwritten}");
            }
            assert_eq!((listener.wrong, bus.starts()), (0, starts), "{name}");
        }
    });
}

#[test]
fn frames_that_the_card_overwrites_while_they_are_read_are_a_loss_and_never_delivered() {
    on_a_test_card(
        "alsa::overwritten::frames_that_the_card_overwrites_while_they_are_read_are_a_loss_and_never_delivered",
        || {
            for name in ["hw_m", "hw_r", "hw_n"] {
                let mut device = open(&capture_spec(name));
                device.start().unwrap();
                let mut listener = Listener::default();
                assert_eq!(listen(&mut device, &mut listener, 20_000), []);
                std::thread::sleep(Duration::from_millis(360));
                // The ring is full, and a period takes longer than its sound: the card overtakes again and again.
                let (mut said, mut cycles) = (0, 0);
                while cycles < 60 {
                    match device.wait(Duration::from_millis(100)) {
                        Wake::Ready => {
                            // Every eighth period is overwritten between the look at the counter and the copy.
                            std::thread::sleep(Duration::from_millis(if cycles % 8 == 7 { 6 } else { 0 }));
                            device.cycle(&mut |input, _| {
                                listener.check(&input);
                                std::thread::sleep(Duration::from_millis(7));
                            });
                            cycles += 1;
                        }
                        Wake::Lost { frames, .. } => said += frames,
                        Wake::Timeout => {}
                        other => panic!("{other:?}"),
                    }
                }
                said += lost(&listen(&mut device, &mut listener, 2 * BUFFER as u64), LossCause::Xrun);
                let jumped = listener.jumps.iter().sum::<u64>();
                println!("{name}: said {said}, the ramp jumped {jumped} in {} places", listener.jumps.len());
                assert_eq!((said, listener.wrong), (jumped, 0), "{name}");
                assert!(3 < listener.jumps.len(), "{name}: the card never overtook");
            }
        },
    );
}

/// A card and a user: the thread is late once, for longer than the ring, and the user quits in the end.
struct Late {
    device: AlsaDevice,
    control: Producer<AudioCommand>,
    moved: usize,
    losses: usize,
}

/// Periods before the thread is late, and at the end.
const PERIODS: [usize; 2] = [40, 240];

/// Losses at which the user gives up.
const LOSSES_MAX: usize = 8;

impl Late {
    fn quit_at(&mut self, is_end: bool) {
        if is_end {
            assert!(self.control.push(AudioCommand::Quit).is_ok());
        }
    }
}

impl Device for Late {
    fn facts(&self) -> &DeviceFacts {
        self.device.facts()
    }

    fn start(&mut self) -> Result<(), StartError> {
        self.device.start()
    }

    fn wait(&mut self, timeout: Duration) -> Wake {
        if self.moved == PERIODS[0] {
            self.moved += 1;
            std::thread::sleep(Duration::from_millis(450));
        }
        let wake = self.device.wait(timeout);
        if matches!(wake, Wake::Lost { .. }) {
            self.losses += 1;
            self.quit_at(self.losses == LOSSES_MAX);
        }
        wake
    }

    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize {
        self.moved += 1;
        self.quit_at(self.moved == PERIODS[1]);
        self.device.cycle(process)
    }

    fn is_near_full(&self) -> bool {
        self.device.is_near_full()
    }

    fn sleeps(&self) -> u64 {
        self.device.sleeps()
    }

    fn stop(&mut self) {
        self.device.stop();
    }
}

/// The thread waited for the windows of one take, the card overwrote the sound of all takes meanwhile, and that loss
/// allowed the next wait: nothing was recorded any more.
#[test]
fn after_the_card_has_overwritten_its_ring_every_take_with_windows_gets_each_frame_that_is_left() {
    on_a_test_card(
        "alsa::overwritten::after_the_card_has_overwritten_its_ring_every_take_with_windows_gets_each_frame_that_is_left",
        || {
            let (mut control, commands) = RingBuffer::new(16);
            let (events, mut reports) = RingBuffer::new(limits::AUDIO_EVENTS);
            let published = Arc::new(Published::new(6));
            let mut engine = Engine::new(commands, events, Arc::clone(&published), 6, SampleRate(RATE));
            let ((mut reel, fed), (_hungry, starved)) =
                (Reel::new(TakeFormat::S16, &[0], 0), Reel::new(TakeFormat::S16, &[1], 0));
            let supplied = reel.supply(50);
            let pass = Pass::new(vec![fed, starved], PassRange::Now(Frames(u64::MAX)), true);
            assert!(control.push(AudioCommand::Record(Box::new(pass))).is_ok());
            let mut late = Late { device: open(&capture_spec("hw_m")), control, moved: 0, losses: 0 };
            late.start().unwrap();
            let mut device: Option<Box<dyn Device>> = Some(Box::new(late));
            prepare();
            let ((), cost) = account(Calls::LetThrough, || drive::drive(&mut engine, &mut device, &published));
            assert!(device.is_some());
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{cost:?}");
            let pass = std::iter::from_fn(|| reports.pop().ok()).find_map(|event| match event {
                AudioEvent::PassEnded(pass) => Some(pass),
                _ => None,
            });
            let pass = pass.unwrap();
            let (moved, pauses) = (pass.frames - pass.lost, published.counted_sleeps.load(Relaxed));
            println!("{} losses of {:?}, {moved:?} moved, {pauses} sleeps", pass.xruns, pass.lost);
            // On a busy machine the card overtakes more than once.
            assert!((1..LOSSES_MAX as u32 / 2).contains(&pass.xruns), "{} losses", pass.xruns);
            assert!(50_000 < moved.0 && pass.frames.0 < supplied, "{:?} of {supplied}", pass.frames);
            assert_eq!([0, 1].map(|take| pass.captures[take].overrun), [Frames(0), moved]);
            reel.assert_returned(pass.frames.0);
        },
    );
}

#[test]
fn playback_is_in_step_again_after_capture_was_overwritten() {
    on_a_test_card("alsa::overwritten::playback_is_in_step_again_after_capture_was_overwritten", || {
        let mut device = open(&DeviceSpec { buffer_frames: Some(8192), ..loop_spec("hwloop_m") });
        let shift = device.prefill_frames() as u64 + 64;
        device.start().unwrap();
        let (mut position, mut lags, mut stalled, mut said) = (0_u64, Vec::new(), false, 0);
        while position < 80_000 {
            if !stalled && 30_000 < position {
                stalled = true;
                std::thread::sleep(Duration::from_millis(1200));
            }
            match device.wait(Duration::from_millis(200)) {
                Wake::Timeout | Wake::PlaybackXrun => {}
                Wake::Ready => {
                    device.cycle(&mut |input, mut output| {
                        for frame in 0..input.frames {
                            let now = position + frame as u64;
                            for channel in 0..4 {
                                put(&mut output, frame, channel, now as i32 + 1);
                            }
                            let value = sample(&input, frame, 0);
                            if 0 < value && shift <= now {
                                lags.push(now as i64 + 1 - i64::from(value) - shift as i64);
                            }
                        }
                        position += input.frames as u64;
                    });
                }
                Wake::Lost { frames, cause: LossCause::Xrun } => {
                    position += frames;
                    said += frames;
                }
                other => panic!("{other:?}"),
            }
        }
        let (first, last) = (lags[0], lags[lags.len() - 1]);
        println!("lost {said}; output came {first} frames after its due place before the loss, {last} after it");
        assert!(0 < said && first.abs_diff(last) <= 40, "{said} {first} {last}");
    });
}
