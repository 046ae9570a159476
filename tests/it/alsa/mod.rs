//! The ALSA device on a simulated sound card (tests/alsa/pcm_clk.c). Thread: test.
//!
//! alsa-lib reads its configuration once per process. So each test runs itself again in a child process with its own
//! `ALSA_CONFIG_PATH`. That works under `cargo test` and `cargo nextest`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod card;
mod configuration;
mod reported;
mod wrong_rate;
mod reconnect;
mod reserved;
mod faults;
mod outputs;
mod overwritten;
mod witnessed;

pub(crate) use card::plugin;
use card::{Bus, Fault, on_a_test_card};
use faultless::device::alsa::{AlsaDevice, Gone};
use faultless::device::signal::Signal;
use faultless::device::{
    Access, Device, DeviceError, DeviceSpec, Input, Listing, LossCause, NO_PLAYBACK, Output, Wake, list,
};
use faultless::format::DeviceFormat;
use faultless::time::SampleRate;
use std::time::{Duration, Instant};

const RATE: u32 = 48_000;
/// Frames of the buffer: long enough for late wakes on a busy machine.
const BUFFER: usize = 16_384;
const FORMATS: [DeviceFormat; 5] =
    [DeviceFormat::S32, DeviceFormat::S24In3, DeviceFormat::S24, DeviceFormat::F32, DeviceFormat::S16];

fn spec(name: &str) -> DeviceSpec {
    DeviceSpec {
        name: format!("alsa:{name}"),
        rate: SampleRate(RATE),
        period_frames: Some(256),
        buffer_frames: Some(BUFFER),
        inputs: None,
        outputs: None,
        format: None,
        signal: Signal::Silence,
    }
}

fn capture_spec(name: &str) -> DeviceSpec {
    DeviceSpec { outputs: Some(0), ..spec(name) }
}

/// A spec at such a low rate that two periods of playback are longer than any late wake.
fn loop_spec(name: &str) -> DeviceSpec {
    DeviceSpec { rate: SampleRate(8_000), period_frames: Some(2048), ..spec(name) }
}

fn open(spec: &DeviceSpec) -> AlsaDevice {
    AlsaDevice::open(spec, spec.name.strip_prefix("alsa:").unwrap()).unwrap()
}

fn error(spec: &DeviceSpec) -> DeviceError {
    match AlsaDevice::open(spec, spec.name.strip_prefix("alsa:").unwrap()) {
        Ok(_) => panic!("{} was opened", spec.name),
        Err(error) => error,
    }
}

/// The top 24 bits of the sample of channel `channel` in frame `frame`.
fn sample(input: &Input<'_>, frame: usize, channel: usize) -> i32 {
    let at = frame * input.frame_step + channel * input.channel_step;
    let b = &input.bytes[at..at + input.format.bytes()];
    match input.format {
        DeviceFormat::S16 => i32::from(i16::from_le_bytes([b[0], b[1]])) << 8,
        DeviceFormat::S24 | DeviceFormat::S24In3 => i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8,
        DeviceFormat::S32 => i32::from_le_bytes([b[0], b[1], b[2], b[3]]) >> 8,
        DeviceFormat::F32 => (f32::from_le_bytes([b[0], b[1], b[2], b[3]]) * 8_388_608.0) as i32,
    }
}

fn put(output: &mut Output<'_>, frame: usize, channel: usize, value: i32) {
    let at = frame * output.frame_step + channel * output.channel_step;
    let bytes = &mut output.bytes[at..at + output.format.bytes()];
    let full = value << 8;
    match output.format {
        DeviceFormat::S16 => bytes.copy_from_slice(&full.to_le_bytes()[2..]),
        DeviceFormat::S24In3 => bytes.copy_from_slice(&full.to_le_bytes()[1..]),
        DeviceFormat::S24 => bytes.copy_from_slice(&value.to_le_bytes()),
        DeviceFormat::S32 => bytes.copy_from_slice(&full.to_le_bytes()),
        DeviceFormat::F32 => bytes.copy_from_slice(&(value as f32 / 8_388_608.0).to_le_bytes()),
    }
}

fn ramp(frame: u64, channel: usize) -> i32 {
    ((frame + channel as u64 * 1_000_003) & 0xff_ffff) as i32 - 0x80_0000
}

/// `value` with only the bits that `format` stores.
fn kept(value: i32, format: DeviceFormat) -> i32 {
    if format == DeviceFormat::S16 { value >> 8 << 8 } else { value }
}

/// Checks the card's ramp frame by frame, and notes lost and repeated frames.
#[derive(Default)]
struct Listener {
    /// The card's number of the next expected frame, modulo 2^24.
    next: Option<u64>,
    frames: u64,
    wrong: u64,
    /// Frames missing at each discontinuity.
    jumps: Vec<u64>,
}

impl Listener {
    fn check(&mut self, input: &Input<'_>) {
        for frame in 0..if input.channels == 0 { 0 } else { input.frames } {
            if input.format != DeviceFormat::S16 {
                let value = (sample(input, frame, 0) + 0x80_0000) as u64;
                let next = self.next.unwrap_or(value);
                if value != next {
                    self.jumps.push((value + 0x100_0000 - next) & 0xff_ffff);
                }
                self.next = Some(value);
            } else if self.next.is_none() {
                // In 16 bits 256 frames have one value. Wait for the first frame of the next value.
                let value = (sample(input, frame, 0) + 0x80_0000) as u64;
                if frame == 0 || value == (sample(input, frame - 1, 0) + 0x80_0000) as u64 {
                    continue;
                }
                self.next = Some(value);
            }
            let next = self.next.unwrap();
            for channel in 0..input.channels {
                let expected = kept(ramp(next, channel), input.format);
                self.wrong += u64::from(sample(input, frame, channel) != expected);
            }
            self.next = Some((next + 1) & 0xff_ffff);
            self.frames += 1;
        }
    }
}

/// Captures `frames` frames. Returns every wake except [`Wake::Ready`] and [`Wake::Timeout`].
fn listen(device: &mut AlsaDevice, listener: &mut Listener, frames: u64) -> Vec<Wake> {
    let until = Instant::now() + Duration::from_secs(20);
    let (mut wakes, mut captured) = (Vec::new(), 0);
    while captured < frames && Instant::now() < until {
        match device.wait(Duration::from_millis(100)) {
            Wake::Ready => {
                captured += device.cycle(&mut |input, mut output| {
                    assert!(input.frames <= 1024 && (output.channels == 0 || output.frames == input.frames));
                    output.bytes.fill(0);
                    output.bytes = &mut [];
                    listener.check(&input);
                }) as u64;
            }
            Wake::Timeout => {}
            wake @ (Wake::Lost { .. } | Wake::PlaybackXrun | Wake::Changed) => wakes.push(wake),
            Wake::Gone => {
                wakes.push(Wake::Gone);
                return wakes;
            }
        }
    }
    assert!(frames <= captured, "only {captured} frames came");
    wakes
}

#[test]
fn every_format_and_access_captures_the_ramp_exactly() {
    on_a_test_card("alsa::every_format_and_access_captures_the_ramp_exactly", || {
        for (name, access) in [("ramp_m", Access::Mapped), ("ramp_r", Access::Copied), ("ramp_n", Access::Copied)] {
            for format in FORMATS {
                let mut device = open(&DeviceSpec { format: Some(format), ..capture_spec(name) });
                let facts = device.facts().clone();
                assert_eq!((facts.input_format, facts.inputs, facts.outputs, facts.access), (format, 6, 0, access));
                assert_eq!((facts.period_frames, facts.buffer_frames), (256, BUFFER));
                device.start().unwrap();
                let mut listener = Listener::default();
                // More frames than the buffer holds, so that the ring wraps.
                assert_eq!(listen(&mut device, &mut listener, 20_000), [], "{name} {format}");
                assert_eq!((listener.wrong, listener.jumps), (0, vec![]), "{name} {format}");
                assert!(19_000 < listener.frames);
            }
        }
    });
}

#[test]
fn an_odd_period_wraps_and_is_lent_in_blocks() {
    on_a_test_card("alsa::an_odd_period_wraps_and_is_lent_in_blocks", || {
        let mut device = open(&DeviceSpec { period_frames: Some(3000), ..capture_spec("ramp_m") });
        device.start().unwrap();
        let mut listener = Listener::default();
        assert_eq!(listen(&mut device, &mut listener, 60_000), []);
        assert_eq!((listener.wrong, listener.jumps), (0, vec![]));
    });
}

#[test]
fn playback_is_captured_as_late_as_the_device_tells() {
    on_a_test_card("alsa::playback_is_captured_as_late_as_the_device_tells", || {
        for (name, format) in [
            ("loop_m", DeviceFormat::S32),
            ("loop_m,loop_r", DeviceFormat::S24In3),
            ("loop_n,loop_m", DeviceFormat::F32),
            ("loop_r,loop_n", DeviceFormat::S24),
        ] {
            let mut device = open(&DeviceSpec { format: Some(format), ..loop_spec(name) });
            assert_eq!((device.facts().inputs, device.facts().outputs, device.facts().linked), (4, 4, false));
            let shift = device.prefill_frames() as u64 + 64;
            device.start().unwrap();
            let (mut position, mut right, mut wrong, mut skew) = (0_u64, 0_u64, 0_u64, None);
            while position < 4 * 8_000 {
                match device.wait(Duration::from_millis(200)) {
                    Wake::Timeout => continue,
                    Wake::Ready => {}
                    other => panic!("{other:?} after {position} frames"),
                }
                device.cycle(&mut |input, mut output| {
                    for frame in 0..input.frames {
                        let now = position + frame as u64;
                        for channel in 0..4 {
                            put(&mut output, frame, channel, ramp(now + 0x80_0001, channel));
                        }
                        let value = sample(&input, frame, 0);
                        if skew.is_none() && shift <= now && value != 0 {
                            // Earlier input is the end of what the previous device played. Capture and playback start
                            // one after the other, a few frames apart.
                            skew = Some(now - shift);
                        }
                        let Some(skew) = skew else { continue };
                        for channel in 0..4 {
                            let expected = ramp(now - shift - skew + 0x80_0001, channel);
                            if sample(&input, frame, channel) == expected { right += 1 } else { wrong += 1 }
                        }
                    }
                    position += input.frames as u64;
                });
            }
            println!(
                "{name}: right {right}, wrong {wrong}, started {skew:?} frames apart, told {:?}",
                device.latency()
            );
            let late = shift + skew.unwrap();
            assert!(device.latency().sum().abs_diff(late) <= 1, "{name}: {:?}, heard after {late}", device.latency());
            assert_eq!(device.latency().input, 32, "{name}");
            assert_eq!(wrong, 0, "{name}");
            assert!(80_000 < right && skew.unwrap() < 400, "{name}: {right} {skew:?}");
        }
    });
}

#[test]
fn a_capture_xrun_is_counted_to_the_period() {
    on_a_test_card("alsa::a_capture_xrun_is_counted_to_the_period", || {
        let bus = Bus::of("ramp");
        for name in ["ramp_m", "ramp_r", "ramp_n"] {
            let mut device = open(&capture_spec(name));
            device.start().unwrap();
            let mut listener = Listener::default();
            assert_eq!(listen(&mut device, &mut listener, 30_000), []);
            for round in 0..4 {
                let lost_before = bus.lost();
                if round == 3 {
                    // A real xrun: the test is later than the buffer is long.
                    std::thread::sleep(Duration::from_millis(450));
                } else {
                    std::thread::sleep(Duration::from_millis(40));
                    bus.inject(Fault::CaptureXrun, 0);
                }
                let wakes = listen(&mut device, &mut listener, 10_000);
                let lost = bus.lost() - lost_before;
                let [Wake::Lost { frames, cause: LossCause::Xrun }] = wakes[..] else { panic!("{name}: {wakes:?}") };
                let jump = listener.jumps.pop();
                println!("{name}: said {frames}, the card lost {lost}, the ramp jumped {jump:?}");
                assert_eq!(jump, Some(lost));
                assert!(frames.abs_diff(lost) <= 256, "{name}: said {frames}, the card lost {lost}");
            }
            assert_eq!((listener.wrong, listener.jumps), (0, vec![]));
        }
    });
}

/// A silence was longer than the gap by as much as a step, because one reading of the counter was late by as much.
#[test]
fn a_gap_is_measured_to_some_frames_on_a_card_that_counts_in_steps() {
    on_a_test_card("alsa::a_gap_is_measured_to_some_frames_on_a_card_that_counts_in_steps", || {
        let bus = Bus::of("step");
        let mut device = open(&capture_spec("step"));
        device.start().unwrap();
        let mut listener = Listener::default();
        assert_eq!(listen(&mut device, &mut listener, 60_000), []);
        let mut errors = Vec::new();
        for round in 0..8 {
            let lost_before = bus.lost();
            std::thread::sleep(Duration::from_millis(20 + 7 * round));
            bus.inject(Fault::CaptureXrun, 0);
            let wakes = listen(&mut device, &mut listener, 20_000);
            let [Wake::Lost { frames, cause: LossCause::Xrun }] = wakes[..] else { panic!("{wakes:?}") };
            let lost = bus.lost() - lost_before;
            assert_eq!(listener.jumps.pop(), Some(lost));
            errors.push(frames as i64 - lost as i64);
        }
        println!("said too much by {errors:?} frames");
        // With one reading it was half a step, 96 frames, in the mean. A busy machine reads late now and then.
        let mean = errors.iter().map(|error| error.abs()).sum::<i64>() / errors.len() as i64;
        assert!(mean <= 40, "{errors:?}");
        assert_eq!((listener.wrong, listener.jumps), (0, vec![]));
    });
}

/// The pauses between the readings were rounded up to whole milliseconds, so there were 35 in the time of 45 ms.
#[test]
fn the_counter_is_read_many_times_while_a_gap_is_measured() {
    on_a_test_card("alsa::the_counter_is_read_many_times_while_a_gap_is_measured", || {
        let bus = Bus::of("step");
        let mut device = open(&capture_spec("step"));
        device.start().unwrap();
        let (mut most, until) = (0, Instant::now() + Duration::from_secs(20));
        // A busy machine wakes the thread late.
        while most <= 60 && Instant::now() < until {
            assert_eq!(listen(&mut device, &mut Listener::default(), 8_000), []);
            bus.inject(Fault::CaptureXrun, 0);
            let sleeps = device.sleeps();
            while !matches!(device.wait(Duration::from_millis(200)), Wake::Lost { .. }) {
                assert!(Instant::now() < until, "the card does not tell the loss");
            }
            most = most.max(device.sleeps() - sleeps);
        }
        println!("{most} pauses");
        assert!(60 < most, "{most} pauses");
    });
}

#[test]
fn a_playback_xrun_loses_no_captured_frame_and_shifts_nothing() {
    on_a_test_card("alsa::a_playback_xrun_loses_no_captured_frame_and_shifts_nothing", || {
        let bus = Bus::of("loop");
        let mut device = open(&loop_spec("loop_m"));
        let shift = device.prefill_frames() as u64 + 64;
        device.start().unwrap();
        let (mut position, mut lags, mut wakes) = (0_u64, Vec::new(), Vec::new());
        let mut injected = false;
        while position < 80_000 {
            if !injected && 30_000 < position {
                injected = true;
                std::thread::sleep(Duration::from_millis(50));
                bus.inject(Fault::PlaybackXrun, 0);
            }
            match device.wait(Duration::from_millis(200)) {
                Wake::Timeout => {}
                Wake::Ready => {
                    device.cycle(&mut |input, mut output| {
                        for frame in 0..input.frames {
                            let now = position + frame as u64;
                            for channel in 0..4 {
                                put(&mut output, frame, channel, now as i32 + 1);
                            }
                            let value = sample(&input, frame, 0);
                            if 0 < value && shift <= now {
                                lags.push((now, now as i64 + 1 - i64::from(value) - shift as i64));
                            }
                        }
                        position += input.frames as u64;
                    });
                }
                other => wakes.push(other),
            }
        }
        assert_eq!(wakes, [Wake::PlaybackXrun]);
        assert_eq!((bus.xruns(), bus.lost()), (1, 0));
        let (first, last) = (lags[0].1, lags[lags.len() - 1].1);
        let gap = lags.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
        println!("output came {first} frames after its due place before the xrun, {last} after it; silent for {gap}");
        assert!(first.abs_diff(last) <= 40, "{first} {last}");
    });
}

#[test]
fn a_loss_that_no_call_reports_is_found() {
    on_a_test_card("alsa::a_loss_that_no_call_reports_is_found", || {
        let bus = Bus::of("ramp");
        let mut device = open(&capture_spec("ramp_m"));
        device.start().unwrap();
        let mut listener = Listener::default();
        assert_eq!(listen(&mut device, &mut listener, 60_000), []);
        bus.inject(Fault::SilentLoss, 9_600);
        let wakes = listen(&mut device, &mut listener, 40_000);
        assert_eq!(listener.jumps, [9_600]);
        let [Wake::Lost { frames, cause: LossCause::Silent }] = wakes[..] else { panic!("{wakes:?}") };
        println!("said {frames} of 9600");
        assert!(frames.abs_diff(9_600) <= 256, "{frames}");
    });
}

#[test]
fn an_unplugged_card_is_gone_within_a_second_and_nothing_spins() {
    on_a_test_card("alsa::an_unplugged_card_is_gone_within_a_second_and_nothing_spins", || {
        for name in ["ramp_m", "ramp_r", "ramp_n", "-,loop_m", "loop_m"] {
            let bus = Bus::of(if name.contains("ramp") { "ramp" } else { "loop" });
            bus.inject(Fault::None, 0);
            let spec = if name.contains("ramp") { capture_spec(name) } else { loop_spec(name) };
            let mut device = open(&spec);
            device.start().unwrap();
            listen(&mut device, &mut Listener::default(), 4_000);
            bus.inject(Fault::Unplugged, 0);
            let since = Instant::now();
            let said = loop {
                match device.wait(Duration::from_millis(100)) {
                    Wake::Gone => break Wake::Gone,
                    Wake::Ready => assert!(device.cycle(&mut |_, _| {}) <= spec.period_frames.unwrap()),
                    _ if Duration::from_secs(2) < since.elapsed() => break Wake::Timeout,
                    _ => {}
                }
            };
            assert_eq!(said, Wake::Gone, "{name}");
            assert!(since.elapsed() < Duration::from_secs(1), "{name}: {:?}", since.elapsed());
            assert_eq!(device.gone(), Some(Gone::Unplugged), "{name}");
            let mut waits = 0;
            let since = Instant::now();
            while since.elapsed() < Duration::from_millis(300) {
                assert_eq!(device.wait(Duration::from_millis(100)), Wake::Gone);
                waits += 1;
            }
            assert!(waits <= 60, "{name}: {waits} waits in 300 ms");
            device.stop();
        }
    });
}

#[test]
fn a_card_that_stops_delivering_is_gone() {
    on_a_test_card("alsa::a_card_that_stops_delivering_is_gone", || {
        let bus = Bus::of("ramp");
        let mut device = open(&capture_spec("ramp_m"));
        device.start().unwrap();
        listen(&mut device, &mut Listener::default(), 4_000);
        bus.inject(Fault::Stuck, 0);
        let (since, sleeps) = (Instant::now(), device.sleeps());
        let wakes = listen(&mut device, &mut Listener::default(), 1_000_000);
        assert_eq!((wakes, device.gone()), (vec![Wake::Gone], Some(Gone::Stuck)));
        assert_eq!(device.failure(), Some(Gone::Stuck.text()));
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        assert!(device.sleeps() - sleeps < 100);
    });
}

#[test]
fn a_playback_only_device_keeps_its_pace_and_survives_an_xrun() {
    on_a_test_card("alsa::a_playback_only_device_keeps_its_pace_and_survives_an_xrun", || {
        let bus = Bus::of("loop");
        let mut device = open(&loop_spec("-,loop_m"));
        assert_eq!((device.facts().inputs, device.facts().outputs), (0, 4));
        device.start().unwrap();
        let since = Instant::now();
        assert_eq!(listen(&mut device, &mut Listener::default(), 12 * 1024), []);
        // A period is ready when the buffer is filled to the prefill or less. So 6 periods take the time of 6 periods.
        assert!(Duration::from_millis(1400) < since.elapsed(), "{:?}", since.elapsed());
        bus.inject(Fault::PlaybackXrun, 0);
        let wakes = listen(&mut device, &mut Listener::default(), 4 * 1024);
        assert!(matches!(wakes[..], [Wake::Lost { cause: LossCause::Xrun, .. }]), "{wakes:?}");
    });
}

#[test]
fn a_device_without_a_clock_is_paced_by_the_systems() {
    on_a_test_card("alsa::a_device_without_a_clock_is_paced_by_the_systems", || {
        for name in ["null", "null,-", "-,null"] {
            let spec = DeviceSpec { inputs: Some(2), outputs: Some(2), ..spec(name) };
            let mut device = open(&spec);
            device.start().unwrap();
            let since = Instant::now();
            assert_eq!(listen(&mut device, &mut Listener::default(), 24_000), []);
            let took = since.elapsed();
            assert!(Duration::from_millis(480) < took && took < Duration::from_millis(900), "{name}: {took:?}");
            assert!(device.facts().notes.iter().any(|note| note.contains("no clock")), "{:?}", device.facts().notes);
        }
    });
}

#[test]
fn a_device_with_more_channels_than_wanted_opens_them_all() {
    on_a_test_card("alsa::a_device_with_more_channels_than_wanted_opens_them_all", || {
        let device = open(&DeviceSpec { inputs: Some(2), ..capture_spec("wide") });
        assert_eq!(device.facts().inputs, 24);
    });
}

#[test]
fn a_name_with_one_direction_opens_that_one() {
    on_a_test_card("alsa::a_name_with_one_direction_opens_that_one", || {
        let device = open(&spec("mic"));
        assert_eq!((device.facts().inputs, device.facts().outputs), (6, 0));
        assert!(device.facts().notes.contains(&NO_PLAYBACK.to_owned()), "{:?}", device.facts().notes);
        let device = open(&loop_spec("speaker"));
        assert_eq!((device.facts().inputs, device.facts().outputs), (0, 4));
        let error = error(&DeviceSpec { inputs: Some(2), ..loop_spec("speaker") });
        assert!(matches!(error, DeviceError::Unknown { .. }), "{error}");
    });
}

#[test]
fn a_device_that_cannot_be_opened_gives_the_reason() {
    on_a_test_card("alsa::a_device_that_cannot_be_opened_gives_the_reason", || {
        let text = |spec: DeviceSpec| error(&spec).to_string();
        assert_eq!(
            text(DeviceSpec { rate: SampleRate(44_100), ..capture_spec("ramp_m") }),
            "alsa:ramp_m: 44100 Hz is not offered; it offers 48000 Hz"
        );
        assert_eq!(
            text(DeviceSpec { inputs: Some(32), ..capture_spec("wide") }),
            "alsa:wide: 32 capture channels at 48000 Hz is not offered; it has 24"
        );
        let unknown = text(capture_spec("nosuch"));
        assert!(unknown.starts_with("alsa:nosuch: no such device; "), "{unknown}");
        Bus::of("ramp").inject(Fault::Busy, 0);
        assert_eq!(
            text(capture_spec("ramp_m")),
            "alsa:ramp_m: the device is in use by another program; close that program and try again"
        );
        let pair = |name| text(DeviceSpec { rate: SampleRate(RATE), ..spec(name) });
        assert!(
            pair("ramp_m,wide").starts_with("alsa:ramp_m,wide: its inputs are in use by "),
            "{}",
            pair("ramp_m,wide")
        );
        assert!(
            pair("wide,ramp_r").starts_with("alsa:wide,ramp_r: its outputs are in use by "),
            "{}",
            pair("wide,ramp_r")
        );
        let wrong = text(capture_spec("wrong"));
        assert!(wrong.contains("ALSA says: ") && wrong.contains("server"), "{wrong}");
        assert!(text(spec("-,-")).contains("neither capture nor playback"));
        assert!(text(spec("a\0b")).contains("zero byte"));
    });
}

#[test]
fn the_list_has_every_device_with_its_channels() {
    on_a_test_card("alsa::the_list_has_every_device_with_its_channels", || {
        Bus::of("ramp").inject(Fault::Busy, 0);
        let listed = list();
        let of = |name: &str| listed.iter().find(|device| device.name == name).unwrap();
        let wide = of("alsa:wide");
        assert_eq!(wide.title, "Test card wide");
        for side in [&wide.capture, &wide.playback] {
            let Some(Listing::Free(abilities)) = side else { panic!("{side:?}") };
            assert_eq!((abilities.channels_min, abilities.channels_max), (24, 24));
            assert_eq!(
                (&abilities.rates[..], &abilities.formats[..], abilities.mapped),
                (&[48_000][..], &FORMATS[..], true)
            );
            assert_eq!(abilities.to_string(), "24 channels, 48000 Hz, S32_LE/S24_3LE/S24_LE/FLOAT_LE/S16_LE, mmap");
        }
        // What has no clock or only converts is no device.
        assert!(listed.iter().all(|device| device.name != "alsa:null" && !device.name.contains("speexrate")));
        assert!(matches!(of("alsa:ramp_m").capture, Some(Listing::Busy { holder: None })));
    });
}
