//! A card whose ring runs over and that its driver does not stop: what is still in the ring is delivered. Thread: test.

use super::card::{Bus, on_a_test_card};
use super::faults::lost;
use super::{BUFFER, Listener, capture_spec, listen, loop_spec, open, put, sample};
use faultless::device::{Device, DeviceSpec, LossCause, Wake};
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
