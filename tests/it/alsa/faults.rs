//! Faults of a card under the ALSA device: suspend, xruns during recovery, another rate. Thread: test.

use super::card::{Bus, Fault, on_a_test_card};
use super::{Listener, capture_spec, listen, open};
use faultless::device::alsa::{AlsaDevice, Gone};
use faultless::device::{Device, LossCause, Wake};
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// The sum of reported losses, all of which have the cause `cause`.
pub(super) fn lost(wakes: &[Wake], cause: LossCause) -> u64 {
    let frames = |wake: &Wake| match wake {
        Wake::Lost { frames, cause: said } if *said == cause => *frames,
        other => panic!("{other:?} in {wakes:?}"),
    };
    wakes.iter().map(frames).sum()
}

#[test]
fn an_xrun_while_it_recovers_from_an_xrun_is_one_silence_of_the_right_length() {
    on_a_test_card("alsa::faults::an_xrun_while_it_recovers_from_an_xrun_is_one_silence_of_the_right_length", || {
        let bus = Bus::of("ramp");
        for name in ["ramp_m", "ramp_r", "ramp_n"] {
            let mut device = open(&capture_spec(name));
            device.start().unwrap();
            let mut listener = Listener::default();
            assert_eq!(listen(&mut device, &mut listener, 20_000), []);
            for more in [1, 3, 5] {
                let before = (bus.lost(), bus.xruns());
                bus.inject(Fault::CaptureXrun, more);
                let wakes = listen(&mut device, &mut listener, 10_000);
                assert_eq!(bus.xruns() - before.1, 1 + u64::from(more), "{wakes:?}");
                let (said, jump) = (lost(&wakes, LossCause::Xrun), listener.jumps.pop());
                println!("{name}: {} xruns in one, said {said}, the ramp jumped {jump:?}", 1 + more);
                assert!(jump.is_some_and(|jump| said.abs_diff(jump) <= 8), "{name}: said {said}, jumped {jump:?}");
            }
            assert_eq!((listener.wrong, &listener.jumps[..]), (0, &[][..]));
        }
    });
}

#[test]
fn many_xruns_in_a_row_add_up() {
    on_a_test_card("alsa::faults::many_xruns_in_a_row_add_up", || {
        let bus = Bus::of("ramp");
        let mut device = open(&capture_spec("ramp_m"));
        device.start().unwrap();
        let mut listener = Listener::default();
        assert_eq!(listen(&mut device, &mut listener, 20_000), []);
        let (mut said, before) = (0, bus.lost());
        for _ in 0..50 {
            bus.inject(Fault::CaptureXrun, 0);
            said += lost(&listen(&mut device, &mut listener, 512), LossCause::Xrun);
        }
        let (lost, jumped) = (bus.lost() - before, listener.jumps.iter().sum::<u64>());
        println!("50 xruns: said {said}, the card lost {lost}, the ramp jumped {jumped}");
        assert_eq!((listener.wrong, jumped), (0, lost));
        // Errors do not add up, because each gap is measured by the clock and not from the last gap.
        assert!(said.abs_diff(lost) <= 8, "said {said}, lost {lost}");
    });
}

#[test]
fn a_suspended_card_is_restarted_whether_it_can_resume_or_not() {
    on_a_test_card("alsa::faults::a_suspended_card_is_restarted_whether_it_can_resume_or_not", || {
        let bus = Bus::of("ramp");
        for name in ["ramp_m", "ramp_r", "ramp_n"] {
            for can_resume in [0, 1] {
                let mut device = open(&capture_spec(name));
                device.start().unwrap();
                let mut listener = Listener::default();
                assert_eq!(listen(&mut device, &mut listener, 20_000), []);
                bus.inject(Fault::Suspend, can_resume);
                // No thread runs while the machine is suspended.
                assert!(!matches!(device.wait(Duration::ZERO), Wake::Gone));
                std::thread::sleep(Duration::from_millis(300));
                let wakes = listen(&mut device, &mut listener, 10_000);
                let (said, jump) = (lost(&wakes, LossCause::Suspend), listener.jumps.pop());
                println!("{name}, resumes {can_resume}: said {said}, the ramp jumped {jump:?}");
                assert!(jump.is_some_and(|jump| said.abs_diff(jump) <= 8), "{name}: said {said}, jumped {jump:?}");
                assert_eq!((listener.wrong, &listener.jumps[..]), (0, &[][..]));
            }
        }
    });
}

#[test]
fn minute_a_card_whose_rate_changes_is_still_recorded_and_the_change_is_reported() {
    on_a_test_card(
        "alsa::faults::minute_a_card_whose_rate_changes_is_still_recorded_and_the_change_is_reported",
        || {
            let bus = Bus::of("ramp");
            for (ppm, words) in [(-81_250, "44100 Hz"), (1_000_000, "96000 Hz")] {
                let mut device = open(&capture_spec("ramp_m"));
                device.start().unwrap();
                let mut listener = Listener::default();
                assert_eq!(listen(&mut device, &mut listener, 20_000), []);
                bus.set(8, ppm);
                let wakes = listen(&mut device, &mut listener, 700_000);
                assert_eq!(wakes, [Wake::Changed], "it is said once");
                assert!(device.wrong_rate().is_some_and(|text| text.contains(words)), "{:?}", device.wrong_rate());
                assert_eq!((listener.wrong, &listener.jumps[..]), (0, &[][..]), "and nothing is lost");
                bus.set(8, 0);
                listen(&mut device, &mut listener, 500_000);
                assert_eq!((device.wrong_rate(), listener.wrong), (None, 0), "and it is over");
            }
        },
    );
}

/// The error number was dropped: such a device counted as stuck after a second, and a card never did.
#[test]
fn a_card_whose_samples_cannot_be_read_is_gone_at_once_and_nothing_spins() {
    on_a_test_card("alsa::faults::a_card_whose_samples_cannot_be_read_is_gone_at_once_and_nothing_spins", || {
        for name in ["ramp_r", "ramp_n", "hw_r"] {
            let bus = Bus::of(if name == "hw_r" { "hw" } else { "ramp" });
            let mut device = open(&capture_spec(name));
            device.start().unwrap();
            assert_eq!(listen(&mut device, &mut Listener::default(), 4_000), []);
            bus.inject(Fault::Broken, 0);
            let (since, mut waits) = (Instant::now(), 0);
            let wake = loop {
                waits += 1;
                match device.wait(Duration::from_millis(100)) {
                    Wake::Ready => drop(device.cycle(&mut |_, _| {})),
                    Wake::Timeout if since.elapsed() < Duration::from_secs(3) => {}
                    wake => break wake,
                }
            };
            assert_eq!((wake, device.gone()), (Wake::Gone, Some(Gone::Failed(libc::EIO))), "{name}");
            assert!(waits < 50, "{name}: {waits} waits in {:?}", since.elapsed());
            bus.inject(Fault::None, 0);
        }
    });
}

/// Processor time of the calling thread.
fn thread_time() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
}

/// A device that once ran many times too fast counts as one without a clock. When it was slower than the system's clock later,
/// the thread spun, and when it stopped, nobody noticed.
#[test]
fn a_device_without_a_clock_that_becomes_slow_is_waited_for_and_one_that_stops_is_gone() {
    on_a_test_card(
        "alsa::faults::a_device_without_a_clock_that_becomes_slow_is_waited_for_and_one_that_stops_is_gone",
        || {
            let bus = Bus::of("hw");
            bus.set(8, 9_000_000);
            let mut device = open(&capture_spec("hw_m"));
            device.start().unwrap();
            let cycle = |device: &mut AlsaDevice, until: Duration, has: &mut dyn FnMut(&AlsaDevice) -> bool| {
                let since = Instant::now();
                while since.elapsed() < until && !has(device) {
                    match device.wait(Duration::from_millis(20)) {
                        Wake::Ready => drop(device.cycle(&mut |_, _| {})),
                        Wake::Gone => return,
                        _ => {}
                    }
                }
            };
            let has_no_clock = |device: &AlsaDevice| device.facts().notes.iter().any(|note| note.contains("no clock"));
            cycle(&mut device, Duration::from_secs(2), &mut |device| has_no_clock(device));
            bus.set(8, -500_000);
            assert!(has_no_clock(&device), "{:?}", device.facts().notes);
            // The device was ahead of the system's clock. It falls behind it after less than a second.
            cycle(&mut device, Duration::from_secs(2), &mut |_| false);
            let (cpu, sleeps) = (thread_time(), device.sleeps());
            cycle(&mut device, Duration::from_secs(1), &mut |_| false);
            let (cpu, sleeps) = (thread_time().saturating_sub(cpu), device.sleeps() - sleeps);
            println!("{cpu:?} of processor time and {sleeps} sleeps in a second");
            assert!(cpu < Duration::from_millis(300) && sleeps < 1_100, "{cpu:?}, {sleeps} sleeps");
            bus.inject(Fault::Stuck, 0);
            cycle(&mut device, Duration::from_secs(3), &mut |device| device.gone().is_some());
            assert_eq!(device.gone(), Some(Gone::Stuck));
        },
    );
}

#[test]
fn the_drift_of_two_cards_is_measured() {
    on_a_test_card("alsa::faults::the_drift_of_two_cards_is_measured", || {
        // The card that plays is faster by 20,000 ppm, or 160 frames a second, so that the test is short.
        let mut device = open(&super::DeviceSpec { period_frames: Some(512), ..super::loop_spec("hwloop_m,loop_m") });
        Bus::of("loop").set(8, 20_000);
        device.start().unwrap();
        let mut listener = Listener::default();
        for _ in 0..400 {
            listen(&mut device, &mut listener, 1_000);
            if device.drift_ppm().is_some() {
                break;
            }
        }
        println!("{:?} ppm", device.drift_ppm());
        assert!(device.drift_ppm().is_some_and(|ppm| (ppm + 20_000.0).abs() < 2_000.0), "{:?}", device.drift_ppm());
    });
}

/// The buffer of the outputs filled up first, a third of a second at the usual length.
#[test]
fn outputs_of_a_slower_card_are_never_later_than_the_prefill_and_10_ms() {
    on_a_test_card("alsa::faults::outputs_of_a_slower_card_are_never_later_than_the_prefill_and_10_ms", || {
        // Slower by 2,500 ppm, or 20 frames a second, so that the test is short.
        let mut device = open(&super::DeviceSpec { period_frames: Some(1_024), ..super::loop_spec("hwloop_m,slow") });
        Bus::of("slow").set(8, -2_500);
        device.start().unwrap();
        let (mut listener, mut wakes, mut latest) = (Listener::default(), Vec::new(), 0);
        for _ in 0..200 {
            wakes.extend(listen(&mut device, &mut listener, 512));
            latest = latest.max(device.latency().sum());
        }
        println!("{wakes:?}, {latest} frames late, {:?}", device.latency());
        // The sound jumps, and the outputs are neither silent nor started again.
        assert_eq!((device.unheard_frames(), device.latency().starts), (0, 1));
        assert!(2 <= device.latency().skips && 2 * 64 <= device.skipped_frames(), "{:?}", device.latency());
        let late = latest.saturating_sub(device.prefill_frames() as u64);
        assert!(late <= 80, "{late} frames late");
        assert!(2 <= wakes.len() && wakes.iter().all(|wake| *wake == Wake::PlaybackXrun), "{wakes:?}");
    });
}

/// Capture waited for room in a playback buffer of three periods. So it was as slow as playback, and lost frames.
#[test]
fn a_short_playback_buffer_that_is_slower_or_stuck_costs_output_and_no_captured_frame() {
    on_a_test_card(
        "alsa::faults::a_short_playback_buffer_that_is_slower_or_stuck_costs_output_and_no_captured_frame",
        || {
            let bus = Bus::of("short");
            let spec = super::loop_spec("hwloop_m,short");
            let spec = super::DeviceSpec { period_frames: Some(512), buffer_frames: Some(4_096), ..spec };
            let mut device = open(&spec);
            assert!(
                device.facts().notes.iter().any(|note| note.contains("only 3 periods")),
                "{:?}",
                device.facts().notes
            );
            device.start().unwrap();
            let mut listener = Listener::default();
            assert_eq!(listen(&mut device, &mut listener, 16_000), [], "in step nothing is dropped");
            bus.set(8, -81_250);
            let slower = listen(&mut device, &mut listener, 60_000);
            bus.inject(Fault::Stuck, 0);
            let stuck = listen(&mut device, &mut listener, 30_000);
            println!("{} and {} drops, {} frames not heard", slower.len(), stuck.len(), device.unheard_frames());
            assert!(!slower.is_empty() && slower.iter().all(|wake| *wake == Wake::PlaybackXrun), "{slower:?}");
            // Outputs that are stuck for a second are opened again.
            let costs_no_frame = |wake: &Wake| matches!(wake, Wake::PlaybackXrun | Wake::Changed);
            assert!(!stuck.is_empty() && stuck.iter().all(costs_no_frame), "{stuck:?}");
            assert!(2_000 < device.unheard_frames());
        },
    );
}

/// A card's output was delayed by up to 50 ms until the device was opened again, because the thread had been late or had
/// waited for windows.
#[test]
fn a_thread_that_is_late_makes_no_cards_prefill_longer() {
    on_a_test_card("alsa::faults::a_thread_that_is_late_makes_no_cards_prefill_longer", || {
        let bus = Bus::of("hwloop");
        for name in ["hwloop_m", "hwloop_n"] {
            let mut device = open(&super::DeviceSpec { period_frames: Some(64), ..super::loop_spec(name) });
            let before = device.prefill_frames();
            device.start().unwrap();
            let mut listener = Listener::default();
            for _ in 0..3 {
                listen(&mut device, &mut listener, 512);
                // The prefill is two periods of 8 ms.
                std::thread::sleep(Duration::from_millis(60));
                let wakes = listen(&mut device, &mut listener, 512);
                assert!(wakes.contains(&Wake::PlaybackXrun), "{name}: {wakes:?}");
                assert_eq!(device.prefill_frames(), before, "{name}");
            }
            // The thread is in time, and playback runs dry: the prefill was too short.
            bus.inject(Fault::PlaybackXrun, 3);
            listen(&mut device, &mut listener, 2_048);
            assert!(before < device.prefill_frames(), "{name}");
        }
    });
}

#[test]
fn playback_that_runs_dry_again_and_again_is_tried_until_it_plays_and_costs_no_captured_frame() {
    on_a_test_card(
        "alsa::faults::playback_that_runs_dry_again_and_again_is_tried_until_it_plays_and_costs_no_captured_frame",
        || {
            let bus = Bus::of("loop");
            let mut device = open(&super::DeviceSpec { period_frames: Some(512), ..super::loop_spec("loop_m") });
            device.start().unwrap();
            let mut listener = Listener::default();
            assert_eq!(listen(&mut device, &mut listener, 8_000), []);
            let (before, unheard) = (device.prefill_frames(), device.unheard_frames());
            bus.inject(Fault::PlaybackXrun, 11);
            let (mut wakes, mut late) = (Vec::new(), None);
            for _ in 0..20 {
                wakes.extend(listen(&mut device, &mut listener, 1_024));
                late = late.or(device.failure());
            }
            println!("{wakes:?}, {late:?}, {} frames not heard", device.unheard_frames() - unheard);
            assert!(late.is_some_and(|late| late.contains("it is tried again")), "{late:?}");
            assert!(wakes.iter().all(|wake| matches!(wake, Wake::PlaybackXrun | Wake::Changed)), "{wakes:?}");
            assert_eq!((bus.xruns(), bus.lost(), device.failure()), (12, 0, None));
            // Doubled, up to 200 ms in whole periods.
            assert_eq!(device.prefill_frames(), 2 * before);
            let silent = device.unheard_frames() - unheard;
            assert!((4_000..20_480).contains(&silent), "{silent} frames not heard");
            // It plays.
            assert_eq!(listen(&mut device, &mut listener, 8_000), []);
        },
    );
}
