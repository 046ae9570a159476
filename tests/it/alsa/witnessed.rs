//! Cost of the ALSA device on the audio thread: wait, cycle and recovery under the witnesses. Thread: test.

use super::card::{Bus, Fault, on_a_test_card};
use super::{capture_spec, loop_spec, open};
use crate::witness::account::{Account, Calls, account, prepare};
use faultless::device::alsa::AlsaDevice;
use faultless::device::{Device, DeviceSpec, Input, LossCause, Output, Wake};
use faultless::time::SampleRate;
use std::time::Duration;

/// Moves hundreds of periods with every kind of access. System calls and waits are allowed, because the device makes
/// them.
#[test]
fn the_device_allocates_nothing_and_takes_no_fault() {
    on_a_test_card("alsa::witnessed::the_device_allocates_nothing_and_takes_no_fault", || {
        for name in ["ramp_m", "ramp_r", "ramp_n", "wide"] {
            let mut device = open(&DeviceSpec { period_frames: Some(64), ..capture_spec(name) });
            device.start().unwrap();
            prepare();
            let mut seen = 0_u64;
            // Enough periods to wrap the ring twice.
            let cost = cycles(&mut device, 600, &mut |input, _| {
                seen += input.bytes.iter().map(|b| u64::from(*b)).sum::<u64>();
            });
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            assert!(0 < seen);
        }
        for name in ["loop_m", "loop_r", "loop_n", "-,loop_m"] {
            let mut device = open(&DeviceSpec { period_frames: Some(128), ..loop_spec(name) });
            device.start().unwrap();
            prepare();
            let cost = cycles(&mut device, 200, &mut |_, output| output.bytes.fill(3));
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
        }
    });
}

/// The converters of alsa-lib run on the audio thread.
#[test]
fn alsas_converters_allocate_nothing_and_take_no_fault() {
    on_a_test_card("alsa::witnessed::alsas_converters_allocate_nothing_and_take_no_fault", || {
        for (name, rate) in
            [("plug:ramp_m", 48_000), ("plug:ramp_m", 44_100), ("plug:ramp_r", 96_000), ("converted", 44_100)]
        {
            let rate = SampleRate(rate);
            let mut device = open(&DeviceSpec { rate, period_frames: Some(64), inputs: Some(6), ..capture_spec(name) });
            device.start().unwrap();
            prepare();
            let cost = cycles(&mut device, 600, &mut |_, _| {});
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
        }
        for name in ["plug:loop_m", "-,plug:loop_m"] {
            let rate = SampleRate(11_025);
            let mut device = open(&DeviceSpec { rate, period_frames: Some(128), ..loop_spec(name) });
            device.start().unwrap();
            prepare();
            let cost = cycles(&mut device, 200, &mut |_, output| output.bytes.fill(3));
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
        }
    });
}

#[test]
fn recovery_from_an_xrun_allocates_nothing_and_takes_no_fault() {
    on_a_test_card("alsa::witnessed::recovery_from_an_xrun_allocates_nothing_and_takes_no_fault", || {
        let bus = Bus::of("ramp");
        for name in ["ramp_m", "ramp_r", "ramp_n"] {
            let mut device = open(&capture_spec(name));
            device.start().unwrap();
            prepare();
            let mut wakes = [0_u64; 2];
            for round in 0..4 {
                let cost = cycles(&mut device, 40, &mut |_, _| {});
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
                let (fault, argument) =
                    if round % 2 == 0 { (Fault::CaptureXrun, 0) } else { (Fault::SilentLoss, 9_600) };
                bus.inject(fault, argument);
                let (wake, cost) = account(Calls::LetThrough, || {
                    let mut ignored = 0;
                    loop {
                        match device.wait(Duration::from_millis(100)) {
                            Wake::Ready => ignored += device.cycle(&mut |_, _| {}),
                            Wake::Timeout => {}
                            wake => return wake,
                        }
                        assert!(ignored < 100_000, "nothing was said");
                    }
                });
                let Wake::Lost { cause, .. } = wake else { panic!("{name}: {wake:?}") };
                wakes[usize::from(cause == LossCause::Silent)] += 1;
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            }
            assert_eq!(wakes, [2, 2], "{name}: xruns and silent losses");
        }
    });
}

#[test]
fn suspend_and_reconnect_of_a_card_cost_no_allocation_and_no_fault() {
    on_a_test_card("alsa::witnessed::suspend_and_reconnect_of_a_card_cost_no_allocation_and_no_fault", || {
        let bus = Bus::of("ramp");
        for name in ["ramp_m", "ramp_r", "ramp_n"] {
            // Another thread opens the device, as in a reconnect. The audio thread starts it.
            let mut device = std::thread::spawn(move || open(&capture_spec(name))).join().unwrap();
            prepare();
            let (started, cost) = account(Calls::LetThrough, || device.start());
            assert_eq!(started, Ok(()));
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            for (fault, argument) in [(Fault::Suspend, 0), (Fault::Suspend, 1), (Fault::CaptureXrun, 3)] {
                let cost = cycles(&mut device, 40, &mut |_, _| {});
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
                bus.inject(fault, argument);
                let cost = cycles(&mut device, 40, &mut |_, _| {});
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            }
            bus.inject(Fault::UnpluggedForGood, 0);
            let (gone, cost) = account(Calls::LetThrough, || {
                // Frames that were captured before are lent first.
                let gone = (0..1000).any(|_| match device.wait(Duration::from_millis(20)) {
                    Wake::Ready => device.cycle(&mut |_, _| {}) == 0,
                    wake => wake == Wake::Gone,
                });
                let reckoning = device.reckoning();
                device.stop();
                (gone, reckoning)
            });
            assert!(gone.0 && gone.1.per_second > 47_000.0);
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            bus.plug_in();
        }
    });
}

#[test]
fn a_ring_that_the_card_has_overwritten_costs_no_allocation_and_no_fault() {
    on_a_test_card("alsa::witnessed::a_ring_that_the_card_has_overwritten_costs_no_allocation_and_no_fault", || {
        for name in ["hw_m", "hw_r", "hw_n"] {
            let mut device = open(&capture_spec(name));
            device.start().unwrap();
            prepare();
            for _ in 0..3 {
                let cost = cycles(&mut device, 40, &mut |_, _| {});
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
                // Longer than the ring: the card has overwritten frames, and the next wait discards them.
                std::thread::sleep(Duration::from_millis(450));
                let (losses, cost) = account(Calls::LetThrough, || {
                    let (mut losses, mut moved) = (0, 0);
                    while moved < 12 {
                        match device.wait(Duration::from_millis(100)) {
                            Wake::Ready => {
                                // Longer than a period: the card overwrites the frames before they are copied.
                                std::thread::sleep(Duration::from_millis(6));
                                device.cycle(&mut |_, _| {});
                                moved += 1;
                            }
                            Wake::Lost { cause: LossCause::Xrun, .. } => losses += 1,
                            Wake::Timeout => {}
                            other => panic!("{name}: {other:?}"),
                        }
                    }
                    losses
                });
                assert!(2 <= losses, "{name}: {losses} losses");
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            }
        }
    });
}

#[test]
fn a_prefill_that_is_doubled_costs_no_allocation_and_no_fault() {
    on_a_test_card("alsa::witnessed::a_prefill_that_is_doubled_costs_no_allocation_and_no_fault", || {
        let bus = Bus::of("loop");
        for name in ["loop_m", "loop_r", "loop_n"] {
            let mut device = open(&DeviceSpec { period_frames: Some(512), ..loop_spec(name) });
            device.start().unwrap();
            prepare();
            let cost = cycles(&mut device, 16, &mut |_, output| output.bytes.fill(0));
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            let before = device.prefill_frames();
            // Playback runs dry again and again, as a server's that takes more at once than the prefill.
            bus.inject(Fault::PlaybackXrun, 11);
            let cost = cycles(&mut device, 40, &mut |_, output| output.bytes.fill(0));
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            assert_eq!(device.prefill_frames(), 2 * before, "{name}");
        }
    });
}

#[test]
fn outputs_that_go_away_and_come_back_cost_no_allocation_and_no_fault() {
    on_a_test_card("alsa::witnessed::outputs_that_go_away_and_come_back_cost_no_allocation_and_no_fault", || {
        for (name, outputs) in
            [("hwloop_m,loop_m", "loop"), ("loop_m,hwloop_m", "hwloop"), ("loop_r,hwloop_n", "hwloop")]
        {
            let bus = Bus::of(outputs);
            let mut device = open(&DeviceSpec { period_frames: Some(128), ..loop_spec(name) });
            device.start().unwrap();
            prepare();
            let until_failed = |device: &mut AlsaDevice, failed: bool| {
                for _ in 0..800 {
                    let cost = cycles(device, 4, &mut |_, output| output.bytes.fill(0));
                    assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
                    if device.failure().is_some() == failed {
                        return;
                    }
                }
                panic!("{name}: {:?}", device.failure());
            };
            for _ in 0..3 {
                bus.inject(Fault::UnpluggedForGood, 0);
                until_failed(&mut device, true);
                bus.plug_in();
                until_failed(&mut device, false);
                // A server's outputs are restarted by the thread too.
                bus.inject(Fault::PlaybackXrun, 2);
                let cost = cycles(&mut device, 40, &mut |_, output| output.bytes.fill(0));
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
                until_failed(&mut device, false);
            }
        }
    });
}

#[test]
fn the_measurement_of_drift_costs_no_allocation_and_no_fault() {
    on_a_test_card("alsa::witnessed::the_measurement_of_drift_costs_no_allocation_and_no_fault", || {
        // The card that plays is faster by 20,000 ppm, so that the test is short.
        let mut device = open(&DeviceSpec { period_frames: Some(512), ..loop_spec("hwloop_m,loop_m") });
        Bus::of("loop").set(8, 20_000);
        device.start().unwrap();
        prepare();
        let mut moved = 0;
        while device.drift_ppm().is_none() {
            let cost = cycles(&mut device, 4, &mut |_, output| output.bytes.fill(0));
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{cost:?}");
            moved += 4;
            assert!(moved < 800, "no drift was found");
        }
    });
}

#[test]
fn output_that_is_skipped_because_the_outputs_are_slower_costs_no_allocation_and_no_fault() {
    on_a_test_card(
        "alsa::witnessed::output_that_is_skipped_because_the_outputs_are_slower_costs_no_allocation_and_no_fault",
        || {
            // Slower by 2,500 ppm: some 3 s from one skip to the next.
            let mut device = open(&DeviceSpec { period_frames: Some(1_024), ..loop_spec("hwloop_m,slow") });
            Bus::of("slow").set(8, -2_500);
            device.start().unwrap();
            prepare();
            for _ in 0..60 {
                let cost = cycles(&mut device, 4, &mut |_, output| output.bytes.fill(0));
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{cost:?}");
                if device.latency().skips == 2 {
                    return;
                }
            }
            panic!("{:?}, {} frames skipped", device.latency(), device.skipped_frames());
        },
    );
}

#[test]
fn the_readings_of_latency_cost_no_allocation_and_no_fault() {
    on_a_test_card("alsa::witnessed::the_readings_of_latency_cost_no_allocation_and_no_fault", || {
        for name in ["loop_m", "loop_r", "loop_n"] {
            let mut device = open(&DeviceSpec { period_frames: Some(128), ..loop_spec(name) });
            device.start().unwrap();
            let prefill = device.latency();
            prepare();
            // 1.6 s: all readings at the start, and some of the later ones.
            let cost = cycles(&mut device, 100, &mut |_, output| output.bytes.fill(0));
            assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{name}: {cost:?}");
            assert_ne!(device.latency(), prefill, "{name}: it was read");
        }
    });
}

#[test]
fn the_search_for_blocks_that_a_server_left_out_costs_no_allocation_and_no_fault() {
    on_a_test_card(
        "alsa::witnessed::the_search_for_blocks_that_a_server_left_out_costs_no_allocation_and_no_fault",
        || {
            let mut device = open(&DeviceSpec { period_frames: Some(64), ..capture_spec("served") });
            device.start().unwrap();
            prepare();
            for _ in 0..4 {
                let cost = cycles(&mut device, 100, &mut |_, _| {});
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{cost:?}");
                // One block, which is less than the jitter of the counter: only the times of the blocks show it.
                Bus::of("served").inject(Fault::SilentLoss, 64);
                let (wake, cost) = account(Calls::LetThrough, || {
                    for _ in 0..1_000 {
                        match device.wait(Duration::from_millis(100)) {
                            Wake::Ready => drop(device.cycle(&mut |_, _| {})),
                            Wake::Timeout => {}
                            wake => return wake,
                        }
                    }
                    Wake::Timeout
                });
                let Wake::Lost { frames, cause: LossCause::Silent } = wake else { panic!("{wake:?}") };
                assert!(frames.abs_diff(64) <= 2, "{frames} frames of 64");
                assert_eq!((cost.allocations, cost.minor_faults, cost.major_faults), (0, 0, 0), "{cost:?}");
            }
        },
    );
}

/// Moves `count` periods under the witnesses. Returns the cost of all of them.
fn cycles(device: &mut AlsaDevice, count: usize, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> Account {
    let (lost, cost) = account(Calls::LetThrough, || {
        let (mut done, mut lost) = (0, 0);
        while done < count {
            match device.wait(Duration::from_millis(100)) {
                Wake::Ready => {
                    device.cycle(process);
                    done += 1;
                }
                Wake::Timeout | Wake::Changed | Wake::PlaybackXrun => {}
                Wake::Lost { .. } => lost += 1,
                Wake::Gone => return u32::MAX,
            }
        }
        lost
    });
    // A busy machine causes additional xruns. Their cost is in the account too.
    assert!(lost <= 20, "{lost} losses, or it is gone");
    cost
}
