//! Outputs of a pair that fail or go away while its inputs run. The inputs and the outputs are two simulated cards.
//! Thread: test.

use super::card::{Bus, Fault, on_a_test_card};
use super::reconnect::threads;
use super::{Listener, listen, loop_spec, open, put, sample};
use crate::util::place;
use faultless::control::{Control, Notice, Purpose, Setup};
use faultless::device::alsa::AlsaDevice;
use faultless::device::{Device, DeviceSpec, LossCause, Wake};
use faultless::format::TakeFormat;
use faultless::time::Frames;
use std::path::Path;
use std::time::{Duration, Instant};

/// A pair, its card of the inputs and that of the outputs: outputs like a sound server's, and outputs of a card.
const PAIRS: [(&str, &str, &str); 2] = [("hwloop_m,loop_m", "hwloop", "loop"), ("loop_m,hwloop_m", "loop", "hwloop")];

/// A session that records the inputs of one card, and plays on another one.
struct Recording {
    control: Control,
    told: Vec<Notice>,
    /// Faults of the audio thread during the pass.
    faults: Option<u64>,
}

impl Recording {
    fn start(folder: &Path, name: &str) -> Recording {
        let device = DeviceSpec { period_frames: Some(128), buffer_frames: Some(8_192), ..loop_spec(name) };
        let run = crate::record::threads_setup(256 << 20);
        let setup = Setup { folder: folder.to_owned(), purpose: Purpose::Record, device, format: TakeFormat::S24, run };
        let mut recording = Recording { control: Control::open(setup).unwrap(), told: Vec::new(), faults: None };
        recording.control.arm_inputs(4).unwrap();
        recording.control.record(Frames(u64::MAX)).unwrap();
        recording.until("it records", |it| it.control.pass_reading().is_some());
        recording
    }

    /// Polls until `so` returns true; `what` describes it.
    #[track_caller]
    fn until(&mut self, what: &str, so: impl Fn(&Recording) -> bool) {
        let since = Instant::now();
        loop {
            self.control.poll();
            self.told.extend(std::iter::from_fn(|| self.control.take_notice()));
            if so(self) {
                return;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "not within 20 s: {what}; {:?}", self.told);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn for_ms(&mut self, ms: u64) {
        let since = Instant::now();
        self.until("the time has passed", |_| Duration::from_millis(ms) <= since.elapsed());
    }

    /// Notices so far that contain `words`.
    fn times(&self, words: &str) -> usize {
        self.told.iter().filter(|notice| notice.text.contains(words)).count()
    }

    /// Ends the pass and returns the frames that the takes lack.
    fn stop_recording(&mut self) -> u64 {
        self.control.stop();
        self.until("the pass is over", |it| !it.control.is_recording());
        let report = self.control.take_report().unwrap();
        self.faults = report.audio_thread.faults();
        report.frames_lost
    }

    /// Closes the session: no PCM stays open, and no thread remains.
    fn end(self, inputs: &Bus, outputs: &Bus) {
        self.control.close();
        assert_eq!((inputs.open(), outputs.open()), (0, 0));
        assert!(!threads().contains(&"outputs".to_owned()), "{:?}", threads());
    }
}

/// An error of the outputs at the restart of the inputs gave up the whole device.
#[test]
fn inputs_that_were_suspended_run_again_although_the_outputs_are_gone() {
    on_a_test_card("alsa::outputs::inputs_that_were_suspended_run_again_although_the_outputs_are_gone", || {
        let (inputs, outputs) = (Bus::of("hwloop"), Bus::of("loop"));
        for name in ["hwloop_m,loop_m", "desk"] {
            let mut device = open(&DeviceSpec { period_frames: Some(128), ..loop_spec(name) });
            device.start().unwrap();
            let mut listener = Listener::default();
            assert_eq!(listen(&mut device, &mut listener, 4_000), []);
            outputs.inject(Fault::UnpluggedForGood, 0);
            inputs.inject(Fault::Suspend, 0);
            let wakes = listen(&mut device, &mut listener, 16_000);
            let lost = |wake: &Wake| matches!(wake, Wake::Lost { cause: LossCause::Suspend, .. });
            assert_eq!(wakes.iter().filter(|wake| lost(wake)).count(), 1, "{name}: {wakes:?}");
            assert!(wakes.iter().all(|wake| lost(wake) || *wake == Wake::Changed), "{name}: {wakes:?}");
            let failure = device.failure();
            assert!(failure.is_some_and(|text| text.contains("the outputs are gone")), "{name}: {failure:?}");
            outputs.plug_in();
        }
    });
}

/// The first outage had a notice, its end and each further outage had none.
#[test]
fn each_outage_of_the_outputs_has_a_notice_at_its_begin_and_at_its_end() {
    on_a_test_card("alsa::outputs::each_outage_of_the_outputs_has_a_notice_at_its_begin_and_at_its_end", || {
        let (place, outputs) = (place(), Bus::of("loop"));
        let mut it = Recording::start(&place.path().join("session"), "desk");
        for outage in 1..=2 {
            it.for_ms(300);
            outputs.inject(Fault::PlaybackXrun, 12);
            it.until("a notice of the outage", |it| it.times("playback runs dry again and again") == outage);
            it.until("a notice of its end", |it| it.times("the outputs play again; they were silent for") == outage);
        }
        assert_eq!(it.stop_recording(), 0);
        it.control.close();
    });
}

#[test]
fn inputs_come_back_at_once_while_the_outputs_are_busy_and_the_outputs_follow() {
    on_a_test_card("alsa::outputs::inputs_come_back_at_once_while_the_outputs_are_busy_and_the_outputs_follow", || {
        for (name, inputs, outputs) in PAIRS {
            let (place, inputs, outputs) = (place(), Bus::of(inputs), Bus::of(outputs));
            let mut it = Recording::start(&place.path().join("session"), name);
            it.for_ms(200);
            inputs.inject(Fault::UnpluggedForGood, 0);
            outputs.inject(Fault::UnpluggedForGood, 0);
            it.until("the device is gone", |it| it.control.is_device_gone());
            outputs.inject(Fault::Busy, 0);
            outputs.plug_in_busy();
            let starts = inputs.starts();
            inputs.plug_in();
            it.until("the inputs are back", |it| it.times("the device is back") == 1);
            assert_eq!((inputs.starts(), outputs.open()), (starts + 1, 0));
            assert_eq!(it.times("the outputs are gone and silent; the inputs continue"), 1, "{:?}", it.told);
            it.for_ms(300);
            outputs.inject(Fault::None, 0);
            it.until("the outputs are back", |it| it.times("the outputs play again") == 1);
            assert_eq!((inputs.starts(), outputs.open()), (starts + 1, 1), "{name}");
            it.stop_recording();
            assert_eq!((it.times("the device is gone"), it.times("it came back with")), (1, 0), "{:?}", it.told);
            it.end(&inputs, &outputs);
        }
    });
}

/// Outputs that went away stayed silent until the whole device was opened again.
#[test]
fn outputs_that_go_away_several_times_come_back_during_the_pass_and_cost_no_frame_and_no_fault() {
    on_a_test_card(
        "alsa::outputs::outputs_that_go_away_several_times_come_back_during_the_pass_and_cost_no_frame_and_no_fault",
        || {
            for (name, inputs, outputs) in PAIRS {
                let (place, inputs, outputs) = (place(), Bus::of(inputs), Bus::of(outputs));
                let mut it = Recording::start(&place.path().join("session"), name);
                let starts = inputs.starts();
                for outage in 1..=4 {
                    it.for_ms(200);
                    outputs.inject(Fault::UnpluggedForGood, 0);
                    it.until("the outputs are gone", |it| it.times("the outputs are gone") == outage);
                    it.for_ms(50 * outage as u64);
                    outputs.plug_in();
                    it.until("they are back", |it| it.times("the outputs play again; they were silent for") == outage);
                }
                assert_eq!((inputs.starts(), it.stop_recording()), (starts, 0), "{name}: {:?}", it.told);
                assert_eq!(it.faults, Some(0), "{name}");
                it.end(&inputs, &outputs);
            }
        },
    );
}

/// One name for both directions: the outputs cannot be opened without the inputs.
#[test]
fn outputs_of_the_device_of_the_inputs_are_opened_again_when_nothing_is_recorded() {
    on_a_test_card(
        "alsa::outputs::outputs_of_the_device_of_the_inputs_are_opened_again_when_nothing_is_recorded",
        || {
            let (place, inputs, outputs) = (place(), Bus::of("hwloop"), Bus::of("loop"));
            let mut it = Recording::start(&place.path().join("session"), "desk");
            it.for_ms(200);
            outputs.inject(Fault::UnpluggedForGood, 0);
            it.until("the outputs are gone", |it| it.times("the outputs are gone") == 1);
            let starts = inputs.starts();
            outputs.plug_in();
            it.for_ms(1_500);
            assert_eq!((inputs.starts(), it.stop_recording()), (starts, 0), "{:?}", it.told);
            it.until("the outputs are back", |it| it.times("the device is back") == 1);
            assert_eq!((inputs.starts(), it.times("the device is gone")), (starts + 1, 0), "{:?}", it.told);
            it.end(&inputs, &outputs);
        },
    );
}

#[test]
fn a_stop_while_the_outputs_are_away_leaves_no_thread_and_no_device_behind() {
    on_a_test_card("alsa::outputs::a_stop_while_the_outputs_are_away_leaves_no_thread_and_no_device_behind", || {
        for (name, inputs, outputs) in PAIRS {
            for comes_back in [false, true] {
                let (place, inputs, outputs) = (place(), Bus::of(inputs), Bus::of(outputs));
                let mut it = Recording::start(&place.path().join("session"), name);
                outputs.inject(Fault::UnpluggedForGood, 0);
                it.until("the outputs are gone", |it| it.times("the outputs are gone") == 1);
                if comes_back {
                    outputs.plug_in();
                }
                it.end(&inputs, &outputs);
                outputs.plug_in();
            }
        }
    });
}

/// A sound server that was killed and started again leaves a stream that runs and plays nothing.
#[test]
fn outputs_that_run_and_play_nothing_are_opened_again() {
    on_a_test_card("alsa::outputs::outputs_that_run_and_play_nothing_are_opened_again", || {
        for (name, inputs, outputs) in PAIRS {
            let (place, inputs, outputs) = (place(), Bus::of(inputs), Bus::of(outputs));
            let mut it = Recording::start(&place.path().join("session"), name);
            it.for_ms(300);
            outputs.inject(Fault::Stuck, 0);
            it.until("the outputs are gone", |it| it.times("the outputs are gone") == 1);
            outputs.inject(Fault::None, 0);
            it.until("they are back", |it| it.times("the outputs play again") == 1);
            assert_eq!(it.stop_recording(), 0, "{name}: {:?}", it.told);
            it.end(&inputs, &outputs);
        }
    });
}

#[test]
fn outputs_that_come_back_play_the_frames_of_that_time() {
    on_a_test_card("alsa::outputs::outputs_that_come_back_play_the_frames_of_that_time", || {
        for (name, _, outputs) in PAIRS {
            let bus = Bus::of(outputs);
            let mut device = open(&DeviceSpec { period_frames: Some(128), ..loop_spec(name) });
            device.start().unwrap();
            let mut position = 0;
            for outage in 0..3 {
                play(&mut device, &mut position, |device, _| device.failure().is_none());
                bus.inject(Fault::UnpluggedForGood, 0);
                play(&mut device, &mut position, |device, _| device.failure().is_some());
                bus.plug_in();
                let unheard = device.unheard_frames();
                play(&mut device, &mut position, |device, _| device.failure().is_none());
                // Frame n is played `prefill_frames` after the inputs' frame n. Both cards have the same clock.
                let (begin, stop) = (position, position + 8_000);
                let ear = format!("{outputs}_m,-");
                let ear = std::thread::spawn(move || hear(&ear, 4_000));
                play(&mut device, &mut position, |_, position| stop <= position);
                let heard = ear.join().unwrap();
                // Where the outputs or the ear ran dry there is silence. The frames behind it have the place that they
                // had before.
                let places: Vec<i64> =
                    (0i64..).zip(&heard).filter(|pair| *pair.1 != 0).map(|(n, frame)| i64::from(*frame) - n).collect();
                let spread = places.iter().max().unwrap() - places.iter().min().unwrap();
                let (last, audible) = (u64::from(*heard.iter().rfind(|frame| **frame != 0).unwrap()), places.len());
                println!(
                    "{name} {outage}: {audible} of {} heard, within {spread}, to {last} of {begin}..{stop}, {} silent",
                    heard.len(),
                    device.unheard_frames() - unheard
                );
                assert!(spread <= 8 && (begin..stop).contains(&last), "{name}: {heard:?}");
                assert!(heard.len() <= 2 * audible, "{name}: {heard:?}");
            }
        }
    });
}

/// A loss at the moment at which the outputs came back told the length of the outage before.
#[test]
fn the_end_of_an_outage_is_told_when_its_length_is_known() {
    on_a_test_card("alsa::outputs::the_end_of_an_outage_is_told_when_its_length_is_known", || {
        for (name, _, outputs) in PAIRS {
            let bus = Bus::of(outputs);
            let mut device = open(&DeviceSpec { period_frames: Some(128), ..loop_spec(name) });
            device.start().unwrap();
            let (mut position, mut before) = (0, 0);
            // A pause before an attempt to open the outputs is up to 640 ms.
            for away_ms in [0, 1_500] {
                play(&mut device, &mut position, |device, _| device.failure().is_none());
                bus.inject(Fault::UnpluggedForGood, 0);
                play(&mut device, &mut position, |device, _| device.failure().is_some());
                let since = Instant::now();
                play(&mut device, &mut position, |_, _| Duration::from_millis(away_ms) <= since.elapsed());
                bus.plug_in();
                // After each wait, as the drive loop asks.
                while device.failure().is_some() {
                    assert!(since.elapsed() < Duration::from_secs(20), "{name}: they do not come back");
                    if device.wait(Duration::from_millis(200)) == Wake::Ready && device.failure().is_some() {
                        device.cycle(&mut |_, output| output.bytes.fill(0));
                    }
                }
                assert!(before + 800 < device.outage_frames(), "{name}: {before}, {}", device.outage_frames());
                before = device.outage_frames();
            }
        }
    });
}

/// The inputs stayed silent until the other program let the outputs go.
#[test]
fn inputs_come_back_alone_while_another_program_holds_the_outputs_of_the_same_device() {
    on_a_test_card(
        "alsa::outputs::inputs_come_back_alone_while_another_program_holds_the_outputs_of_the_same_device",
        || {
            let (place, inputs, outputs) = (place(), Bus::of("hwloop"), Bus::of("loop"));
            let mut it = Recording::start(&place.path().join("session"), "desk");
            it.for_ms(200);
            inputs.inject(Fault::UnpluggedForGood, 0);
            outputs.inject(Fault::UnpluggedForGood, 0);
            it.until("the device is gone", |it| it.control.is_device_gone());
            outputs.inject(Fault::Busy, 0);
            outputs.plug_in_busy();
            inputs.plug_in();
            it.until("the inputs are back", |it| it.times("the device is back") == 1);
            let words = "came back without its outputs, which are in use by another program";
            assert_eq!((it.times(words), it.times("it came back with"), outputs.open()), (1, 0, 0), "{:?}", it.told);
            it.for_ms(300);
            it.stop_recording();
            assert_eq!(it.times("the outputs were silent for"), 1, "{:?}", it.told);
            // The device is not opened again before the outputs are free.
            let starts = inputs.starts();
            it.for_ms(2_000);
            assert_eq!(inputs.starts(), starts, "{:?}", it.told);
            outputs.inject(Fault::None, 0);
            it.until("the outputs are back", |it| it.times("the device is back") == 2);
            assert_eq!((inputs.starts(), outputs.open()), (starts + 1, 1), "{:?}", it.told);
            it.end(&inputs, &outputs);
        },
    );
}

/// The device was given back to open the outputs, which failed, and the inputs were gone too.
#[test]
fn outputs_that_come_back_busy_leave_the_inputs_running() {
    on_a_test_card("alsa::outputs::outputs_that_come_back_busy_leave_the_inputs_running", || {
        let (place, inputs, outputs) = (place(), Bus::of("hwloop"), Bus::of("loop"));
        let mut it = Recording::start(&place.path().join("session"), "desk");
        it.for_ms(200);
        outputs.inject(Fault::UnpluggedForGood, 0);
        it.until("the outputs are gone", |it| it.times("the outputs are gone") == 1);
        it.stop_recording();
        let starts = inputs.starts();
        outputs.inject(Fault::Busy, 0);
        outputs.plug_in_busy();
        it.for_ms(2_500);
        assert_eq!((inputs.starts(), it.control.is_device_gone()), (starts, false), "{:?}", it.told);
        outputs.inject(Fault::None, 0);
        it.until("the outputs are back", |it| it.times("the device is back") == 1);
        it.end(&inputs, &outputs);
    });
}

/// The health line said that another program used the card, which lay unplugged on the table.
#[test]
fn a_device_that_came_back_busy_and_is_pulled_again_is_not_called_busy() {
    on_a_test_card("alsa::outputs::a_device_that_came_back_busy_and_is_pulled_again_is_not_called_busy", || {
        let (place, inputs, outputs) = (place(), Bus::of("hwloop"), Bus::of("loop"));
        let mut it = Recording::start(&place.path().join("session"), "desk");
        it.for_ms(200);
        inputs.inject(Fault::UnpluggedForGood, 0);
        it.until("the device is gone", |it| it.control.is_device_gone());
        for times in 1..=2 {
            inputs.inject(Fault::Busy, 0);
            inputs.plug_in_busy();
            it.until("it is called busy", |it| it.control.device_blocked_by().is_some());
            inputs.inject(Fault::UnpluggedForGood, 0);
            it.until("it is called away", |it| it.control.device_blocked_by().is_none());
            assert!(it.control.is_device_gone());
            assert_eq!(it.times("is back, but in use by another program"), times, "{:?}", it.told);
        }
        inputs.plug_in();
        it.until("it is back", |it| it.times("the device is back") == 1);
        it.end(&inputs, &outputs);
    });
}

/// Moves periods and plays the number of each frame, until `so` returns true.
fn play(device: &mut AlsaDevice, position: &mut u64, so: impl Fn(&AlsaDevice, u64) -> bool) {
    let since = Instant::now();
    let mut again = 0;
    while !so(device, *position) || again < 20 {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?} at {position}", device.failure());
        again = if so(device, *position) { again + 1 } else { 0 };
        match device.wait(Duration::from_millis(200)) {
            Wake::Ready => {
                device.cycle(&mut |input, mut output| {
                    for frame in 0..if output.channels == 0 { 0 } else { input.frames } {
                        put(&mut output, frame, 0, (*position + frame as u64) as i32);
                    }
                    *position += input.frames as u64;
                });
            }
            Wake::Lost { frames, .. } => panic!("{frames} frames were lost"),
            Wake::Gone => panic!("it is gone"),
            Wake::Timeout | Wake::Changed | Wake::PlaybackXrun => {}
        }
    }
}

/// The sound of `frames` frames that the card of `name` plays. Frames that were lost while it listened are silence.
fn hear(name: &str, frames: usize) -> Vec<u32> {
    let mut ear = open(&DeviceSpec { period_frames: Some(128), ..loop_spec(name) });
    ear.start().unwrap();
    let mut heard = Vec::new();
    while heard.len() < frames {
        match ear.wait(Duration::from_millis(200)) {
            Wake::Ready => {
                ear.cycle(&mut |input, _| heard.extend((0..input.frames).map(|frame| sample(&input, frame, 0) as u32)));
            }
            Wake::Lost { frames, .. } => heard.resize(heard.len() + frames as usize, 0),
            _ => {}
        }
    }
    heard
}
