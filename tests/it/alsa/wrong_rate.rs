//! A card whose clock somebody sets to another rate: said whatever else is wrong, and a failure of each mode. Thread: test.

use super::card::{Bus, Fault, on_a_test_card};
use super::reported::{SPEED_AT, await_words};
use super::{Listener, listen, loop_spec, open, spec};
use crate::record::threads_setup;
use crate::util::{PATIENCE, faultless, place, record, run};
use faultless::control::{Control, Purpose, Setup};
use faultless::device::{Device, DeviceSpec, Wake};
use faultless::format::TakeFormat;
use faultless::time::Frames;
use std::time::{Duration, Instant};

/// Parts per million of 44,100 Hz in place of 48,000 Hz.
const SLOW: i32 = -81_250;

/// The outputs were gone, and the wrong rate was not reported.
#[test]
fn a_wrong_rate_is_reported_although_the_outputs_are_gone_and_each_without_the_other() {
    on_a_test_card(
        "alsa::wrong_rate::a_wrong_rate_is_reported_although_the_outputs_are_gone_and_each_without_the_other",
        || {
            let mut device = open(&DeviceSpec { period_frames: Some(512), ..loop_spec("hwloop_m,loop_m") });
            device.start().unwrap();
            let mut listener = Listener::default();
            listen(&mut device, &mut listener, 4_000);
            Bus::of("loop").inject(Fault::UnpluggedForGood, 0);
            let wakes = listen(&mut device, &mut listener, 4_000);
            assert!(wakes.contains(&Wake::Changed), "{wakes:?}");
            let gone = device.failure();
            assert!(gone.is_some() && device.wrong_rate().is_none(), "{gone:?}");
            Bus::of("hwloop").set(SPEED_AT, SLOW);
            let wakes = listen(&mut device, &mut listener, 90_000);
            assert_eq!(wakes, [Wake::Changed]);
            assert!(device.wrong_rate().is_some_and(|text| text.contains("the session's rate")));
            assert_eq!(device.failure(), gone, "neither hides the other");
        },
    );
}

/// The outputs of a recording were gone. Then its clock was set to another rate: nothing was said, and the status was 0.
#[test]
fn a_recording_whose_outputs_are_gone_tells_of_a_wrong_rate_too() {
    on_a_test_card("alsa::wrong_rate::a_recording_whose_outputs_are_gone_tells_of_a_wrong_rate_too", || {
        let place = place();
        let folder = place.path().join("session");
        let program = super::reported::recording_whose_outputs_are_gone(&folder);
        Bus::of("hwloop").set(SPEED_AT, SLOW);
        await_words(&program, "its clock does not run at the session's rate");
        program.signal("INT");
        let ended = program.wait(PATIENCE);
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        let report = ended.json();
        let said = report["source_losses"].as_array().unwrap();
        assert!(said.len() == 1 && said[0].as_str().unwrap().contains("plays at the wrong speed"), "{said:?}");
    });
}

/// A wrong rate that was found before a pass was in no report.
#[test]
fn a_pass_that_begins_at_a_wrong_rate_says_so_in_its_report() {
    on_a_test_card("alsa::wrong_rate::a_pass_that_begins_at_a_wrong_rate_says_so_in_its_report", || {
        let place = place();
        let setup = Setup {
            folder: place.path().join("session"),
            purpose: Purpose::Record,
            device: DeviceSpec { buffer_frames: Some(32_768), ..spec("ramp_m,-") },
            format: TakeFormat::S24,
            run: threads_setup(256 << 20),
        };
        let mut control = Control::open(setup).unwrap();
        control.arm_inputs(2).unwrap();
        for (ppm, words, said) in [
            (SLOW, "alsa:ramp_m,-: its clock runs at 44100 Hz", 1),
            (0, "alsa:ramp_m,-: its clock runs at the session's rate again", 0),
        ] {
            Bus::of("ramp").set(SPEED_AT, ppm);
            let until = Instant::now() + Duration::from_secs(40);
            let is_said = |control: &mut Control| {
                std::iter::from_fn(|| control.take_notice()).any(|notice| notice.text.contains(words))
            };
            while !is_said(&mut control) {
                assert!(Instant::now() < until, "'{words}' was not said");
                control.poll();
                std::thread::sleep(Duration::from_millis(5));
            }
            control.record(Frames(4_800)).unwrap();
            while control.is_recording() {
                assert!(Instant::now() < until, "it does not end");
                control.poll();
                std::thread::sleep(Duration::from_millis(2));
            }
            let report = control.take_report().unwrap();
            let lines: Vec<&str> = report.source_losses.iter().map(String::as_str).collect();
            assert_eq!(lines.len(), said, "{lines:?}");
            assert!(lines.iter().all(|line| line.contains("44100 Hz") && line.contains("wrong speed")), "{lines:?}");
        }
        control.close();
    });
}

/// It ended with status 0, and with a sentence about what is recorded.
#[test]
fn a_playback_at_a_wrong_rate_fails_and_says_nothing_of_a_recording() {
    on_a_test_card("alsa::wrong_rate::a_playback_at_a_wrong_rate_fails_and_says_nothing_of_a_recording", || {
        let place = place();
        let folder = place.path().join("session");
        run(record(&folder, "--device virtual:free --inputs 1 --rate 8000 --seconds 20")).done();
        // The card runs at 11,025 Hz.
        Bus::of("loop").set(SPEED_AT, 378_125);
        let played = run(faultless("play", &folder, "--device alsa:loop_m --period 128 --json"));
        assert_eq!(played.code, Some(1), "{}", played.err);
        let lines: Vec<&str> = played.err.lines().filter(|line| line.starts_with("faultless: ")).collect();
        assert!(
            matches!(lines[..], [line] if line.contains("11025 Hz") && line.contains("has the wrong speed")),
            "{}",
            played.err
        );
        assert!(!played.err.contains("what is recorded"), "{}", played.err);
    });
}
