//! A card that is unplugged and comes back, end to end: the program, its takes, and the card's own frame counter.
//! Thread: test.
//!
//! The simulated card counts frames by the machine's clock during the whole test, plugged in or not. So its ramp shows
//! for every frame of a take whether the frame is at its right position.

use super::card::{Bus, Fault, on_a_test_card};
use super::{capture_spec, ramp};
use crate::util::{PATIENCE, Started, place, read_wav, record, start};
use faultless::control::{Control, Purpose, Setup};
use faultless::device::DeviceSpec;
use faultless::format::TakeFormat;
use faultless::session::session_file::open_read_only;
use faultless::time::Frames;
use std::path::Path;
use std::time::{Duration, Instant};

/// Largest error of a position after a gap, in frames of the card's own counter.
const ACCURACY: i64 = 4;

/// Offsets of properties in the card's file.
const CHANNELS_AT: u64 = 52;
const RATE_AT: u64 = 56;
const PERIOD_AT: u64 = 60;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits until `so` returns true; `what` describes it.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(ms(2));
    }
}

/// Starts the program, which records six inputs of the card until SIGINT.
fn recording(folder: &Path) -> Started {
    let program = start(record(folder, "--device alsa:ramp_m --inputs 6 --period 256 --buffer 32768"));
    crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
    program
}

/// Unplugs the card for `away`, lets `heals` change it, and plugs it in again. Waits until the program has started it.
fn unplug(bus: &Bus, away: Duration, heals: impl FnOnce(&Bus)) {
    bus.inject(Fault::UnpluggedForGood, 0);
    std::thread::sleep(away);
    heals(bus);
    let starts = bus.starts();
    bus.plug_in();
    until("the card is taken back", || starts < bus.starts());
}

/// The length of a take, and its ranges with sound: the first frame in the take, and the card's number of that frame.
fn sounding_ranges(folder: &Path, input: usize) -> (u64, Vec<(u64, u64)>) {
    let session = open_read_only(folder).unwrap();
    let take = session.takes().iter().find(|take| take.inputs == [input as u32]).unwrap();
    let (_, samples) = read_wav(&folder.join(take.path()));
    assert_eq!(samples.len() as u64, take.frames.0);
    let (mut found, mut at) = (Vec::new(), 0_u64);
    let ends = take.losses.iter().map(|loss| (loss.at.0, loss.at.0 + loss.frames.0));
    for (silence, until) in ends.chain([(take.frames.0, take.frames.0)]) {
        if at < silence {
            let step = input as u64 * 1_000_003;
            let first = (samples[at as usize] + (1 << 23)) as u64 + (1 << 28) - step;
            for frame in at..silence {
                assert_eq!(samples[frame as usize], ramp(first + frame - at, input), "input {input}, frame {frame}");
            }
            found.push((at, first & 0xff_ffff));
        }
        assert!(samples[silence as usize..until as usize].iter().all(|sample| *sample == 0), "silence at {silence}");
        at = until;
    }
    (take.frames.0, found)
}

/// Compares all takes with the card's counter. Returns the error of each range's position, in frames.
#[track_caller]
fn offsets_from_card(folder: &Path, inputs: usize) -> Vec<i64> {
    let (frames, first) = sounding_ranges(folder, 0);
    for input in 1..inputs {
        assert_eq!(
            sounding_ranges(folder, input),
            (frames, first.clone()),
            "takes of one pass are alike, to the frame"
        );
    }
    let began = first[0].1 as i64 - first[0].0 as i64;
    let off = |(at, card): &(u64, u64)| (*card as i64 - *at as i64 - began + (1 << 23)).rem_euclid(1 << 24) - (1 << 23);
    let off: Vec<i64> = first.iter().map(off).collect();
    println!("{} stretches, off by {off:?} frames", off.len());
    assert!(off.iter().all(|off| off.abs() <= ACCURACY), "{off:?}");
    off
}

fn ended(program: Started) -> String {
    program.signal("TERM");
    program.wait(PATIENCE).done().err
}

fn times(text: &str, words: &str) -> usize {
    text.matches(words).count()
}

#[test]
fn fifty_unplugs_in_one_take_leave_every_take_in_line_with_the_cards_counter() {
    on_a_test_card(
        "alsa::reconnect::fifty_unplugs_in_one_take_leave_every_take_in_line_with_the_cards_counter",
        || {
            let (place, bus) = (place(), Bus::of("ramp"));
            let folder = place.path().join("session");
            let program = recording(&folder);
            for round in 0..50 {
                std::thread::sleep(ms(100));
                unplug(&bus, ms(10 + 7 * (round % 10)), |_| {});
            }
            std::thread::sleep(ms(100));
            let text = ended(program);
            assert_eq!((times(&text, "the device is gone"), times(&text, "the device is back")), (50, 50), "{text}");
            assert_eq!(offsets_from_card(&folder, 6).len(), 51, "{text}");
            assert_eq!(bus.open(), 0);
        },
    );
}

#[test]
fn a_card_that_stops_delivering_is_gone_and_the_gap_is_on_the_timeline() {
    on_a_test_card("alsa::reconnect::a_card_that_stops_delivering_is_gone_and_the_gap_is_on_the_timeline", || {
        let (place, bus) = (place(), Bus::of("ramp"));
        let folder = place.path().join("session");
        let program = recording(&folder);
        std::thread::sleep(ms(300));
        bus.inject(Fault::Stuck, 0);
        // The card can be opened and started again, but delivers nothing each time.
        let starts = bus.starts();
        until("it is tried again", || starts + 2 <= bus.starts());
        bus.inject(Fault::None, 0);
        std::thread::sleep(ms(1500));
        let text = ended(program);
        assert_eq!(times(&text, "the device is gone"), 1, "it is said once: {text}");
        assert_eq!(times(&text, "stopped delivering without reporting an error"), 1, "{text}");
        assert_eq!(times(&text, "the device is back"), 1, "{text}");
        assert_eq!(offsets_from_card(&folder, 6).len(), 2, "{text}");
    });
}

#[test]
fn a_card_that_comes_back_busy_or_at_another_rate_is_waited_for_and_reported() {
    on_a_test_card(
        "alsa::reconnect::a_card_that_comes_back_busy_or_at_another_rate_is_waited_for_and_reported",
        || {
            let (place, bus) = (place(), Bus::of("ramp"));
            let folder = place.path().join("session");
            let program = recording(&folder);
            std::thread::sleep(ms(300));
            bus.inject(Fault::UnpluggedForGood, 0);
            std::thread::sleep(ms(100));
            let starts = bus.starts();
            bus.inject(Fault::Busy, 0);
            bus.plug_in_busy();
            std::thread::sleep(ms(1500));
            bus.set(RATE_AT, 44_100);
            bus.inject(Fault::None, 0);
            std::thread::sleep(ms(1500));
            assert_eq!(bus.starts(), starts);
            bus.set(RATE_AT, 0);
            until("it is taken back", || starts < bus.starts());
            std::thread::sleep(ms(300));
            let text = ended(program);
            for words in [
                "the device is gone (the device was unplugged",
                "is back, but in use by another program; close it there",
                "does not offer 48000 Hz (it offers 44100 Hz). The takes stay silent",
                "the device is back",
            ] {
                assert_eq!(times(&text, words), 1, "{words}: {text}");
            }
            assert_eq!(offsets_from_card(&folder, 6).len(), 2, "{text}");
        },
    );
}

#[test]
fn a_card_that_returns_with_fewer_channels_or_another_period_is_taken_back() {
    on_a_test_card("alsa::reconnect::a_card_that_returns_with_fewer_channels_or_another_period_is_taken_back", || {
        let (place, bus) = (place(), Bus::of("ramp"));
        let folder = place.path().join("session");
        let program = recording(&folder);
        std::thread::sleep(ms(300));
        unplug(&bus, ms(100), |bus| bus.set(PERIOD_AT, 2000));
        std::thread::sleep(ms(300));
        unplug(&bus, ms(100), |bus| bus.set(CHANNELS_AT, 10));
        std::thread::sleep(ms(300));
        unplug(&bus, ms(100), |bus| bus.set(CHANNELS_AT, 4));
        std::thread::sleep(ms(300));
        let text = ended(program);
        assert_eq!(times(&text, "it came back with 4 inputs of 6; the others are silent"), 1, "{text}");
        assert_eq!(times(&text, "it came back with 10 inputs, not 6"), 1, "{text}");
        assert!(times(&text, "it came back with periods of") >= 1, "{text}");
        assert_eq!(offsets_from_card(&folder, 4).len(), 4, "{text}");
        // Takes of missing inputs are silent at their end, and as long as the others.
        let length = |input: usize| read_wav(&folder.join(format!("audio/In {}-1.wav", input + 1))).1;
        let (there, lacking) = (length(0), length(5));
        let silent = there.len() - 10_000;
        assert_eq!(there.len(), lacking.len());
        assert!(
            lacking[silent..].iter().all(|sample| *sample == 0) && there[silent..].iter().any(|sample| *sample != 0)
        );
    });
}

#[test]
fn a_stop_while_the_card_is_gone_leaves_no_thread_and_no_device_behind() {
    on_a_test_card("alsa::reconnect::a_stop_while_the_card_is_gone_leaves_no_thread_and_no_device_behind", || {
        let (place, bus) = (place(), Bus::of("ramp"));
        for comes_back in [false, true] {
            let folder = place.path().join(comes_back.to_string());
            let device = DeviceSpec { inputs: Some(6), buffer_frames: Some(32_768), ..capture_spec("ramp_m") };
            let run = crate::record::threads_setup(256 << 20);
            let mut control =
                Control::open(Setup { folder, purpose: Purpose::Record, device, format: TakeFormat::S24, run })
                    .unwrap();
            control.arm_inputs(6).unwrap();
            control.record(Frames(u64::MAX)).unwrap();
            until("it records", || {
                control.poll();
                control.pass_reading().is_some()
            });
            bus.inject(Fault::UnpluggedForGood, 0);
            until("it is gone", || {
                control.poll();
                control.is_device_gone()
            });
            until("it is looked for", || threads().contains(&"reconnect".to_owned()));
            if comes_back {
                // The card is found, but the program stops before it handles that.
                bus.inject(Fault::None, 0);
                bus.plug_in();
                until("it is opened", || bus.open() > 0);
            }
            let (reports, _) = control.close();
            assert_eq!(reports.len(), 1);
            bus.plug_in();
            assert_eq!((bus.open(), threads().contains(&"reconnect".to_owned())), (0, false), "{:?}", threads());
        }
    });
}

/// The names of this process's threads.
pub(super) fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
fn a_card_that_takes_any_number_of_channels_comes_back_with_those_it_had() {
    on_a_test_card("alsa::reconnect::a_card_that_takes_any_number_of_channels_comes_back_with_those_it_had", || {
        let (place, bus) = (place(), Bus::of("elastic"));
        let folder = place.path().join("session");
        // Another program keeps the card at two channels when it is opened, and has gone when the card comes back.
        bus.set(CHANNELS_AT, 2);
        let program = start(record(&folder, "--device alsa:elastic,- --period 256 --buffer 32768"));
        crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
        unplug(&bus, ms(100), |bus| bus.set(CHANNELS_AT, 0));
        std::thread::sleep(ms(200));
        let text = ended(program);
        assert_eq!(times(&text, "the device is back"), 1, "{text}");
        assert!(!text.contains("it came back with"), "{text}");
        assert_eq!(offsets_from_card(&folder, 2).len(), 2, "{text}");
    });
}
