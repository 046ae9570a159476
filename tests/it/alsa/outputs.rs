//! Outputs of a pair that fail or go away while its inputs run. The inputs and the outputs are two simulated cards.
//! Thread: test.

use super::card::{Bus, Fault, on_a_test_card};
use super::{Listener, listen, loop_spec, open};
use crate::util::place;
use faultless::control::{Control, Notice, Purpose, Setup};
use faultless::device::{Device, DeviceSpec, LossCause, Wake};
use faultless::format::TakeFormat;
use faultless::time::Frames;
use std::path::Path;
use std::time::{Duration, Instant};

/// A session that records the inputs of one card, and plays on another one.
struct Recording {
    control: Control,
    told: Vec<Notice>,
}

impl Recording {
    fn start(folder: &Path, name: &str) -> Recording {
        let device = DeviceSpec { period_frames: Some(128), buffer_frames: Some(8_192), ..loop_spec(name) };
        let run = crate::record::threads_setup(256 << 20);
        let setup = Setup { folder: folder.to_owned(), purpose: Purpose::Record, device, format: TakeFormat::S24, run };
        let mut recording = Recording { control: Control::open(setup).unwrap(), told: Vec::new() };
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
        self.control.take_report().unwrap().frames_lost
    }
}

/// An error of the outputs at the restart of the inputs gave up the whole device.
#[test]
fn inputs_that_were_suspended_run_again_although_the_outputs_are_gone() {
    on_a_test_card("alsa::outputs::inputs_that_were_suspended_run_again_although_the_outputs_are_gone", || {
        let (inputs, outputs) = (Bus::of("hwloop"), Bus::of("loop"));
        let mut device = open(&DeviceSpec { period_frames: Some(128), ..loop_spec("hwloop_m,loop_m") });
        device.start().unwrap();
        let mut listener = Listener::default();
        assert_eq!(listen(&mut device, &mut listener, 4_000), []);
        outputs.inject(Fault::UnpluggedForGood, 0);
        inputs.inject(Fault::Suspend, 0);
        let wakes = listen(&mut device, &mut listener, 8_000);
        let lost = |wake: &Wake| matches!(wake, Wake::Lost { cause: LossCause::Suspend, .. });
        assert_eq!(wakes.iter().filter(|wake| lost(wake)).count(), 1, "{wakes:?}");
        assert!(wakes.iter().all(|wake| lost(wake) || *wake == Wake::Changed), "{wakes:?}");
        assert!(device.failure().is_some_and(|text| text.contains("the outputs are gone")), "{:?}", device.failure());
    });
}

/// The first outage had a notice, its end and each further outage had none.
#[test]
fn each_outage_of_the_outputs_has_a_notice_at_its_begin_and_at_its_end() {
    on_a_test_card("alsa::outputs::each_outage_of_the_outputs_has_a_notice_at_its_begin_and_at_its_end", || {
        let (place, outputs) = (place(), Bus::of("loop"));
        let mut it = Recording::start(&place.path().join("session"), "hwloop_m,loop_m");
        for outage in 1..=2 {
            it.for_ms(300);
            outputs.inject(Fault::PlaybackXrun, 12);
            it.until("the outage is told", |it| it.times("playback runs dry again and again") == outage);
            it.until("its end is told", |it| it.times("the outputs play again; they were silent for") == outage);
        }
        assert_eq!(it.stop_recording(), 0);
        it.control.close();
    });
}

#[test]
fn inputs_come_back_at_once_while_the_outputs_are_busy() {
    on_a_test_card("alsa::outputs::inputs_come_back_at_once_while_the_outputs_are_busy", || {
        let (place, inputs, outputs) = (place(), Bus::of("hwloop"), Bus::of("loop"));
        let mut it = Recording::start(&place.path().join("session"), "hwloop_m,loop_m");
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
        assert_eq!(it.times("it came back with its inputs alone"), 1, "{:?}", it.told);
        it.for_ms(300);
        // The outputs are free again. They are not opened while something is recorded, because that interrupts the inputs.
        outputs.inject(Fault::None, 0);
        it.for_ms(1_500);
        assert_eq!((inputs.starts(), outputs.open()), (starts + 1, 0));
        it.stop_recording();
        it.until("the outputs are back", |it| it.times("the device is back") == 2);
        assert_eq!((it.times("its outputs are there again"), it.times("the device is gone")), (1, 1), "{:?}", it.told);
        assert_eq!((inputs.open(), outputs.open()), (1, 1));
        it.control.close();
        assert_eq!((inputs.open(), outputs.open()), (0, 0));
    });
}

#[test]
fn outputs_that_went_away_are_opened_again_when_nothing_is_recorded() {
    on_a_test_card("alsa::outputs::outputs_that_went_away_are_opened_again_when_nothing_is_recorded", || {
        let (place, inputs, outputs) = (place(), Bus::of("hwloop"), Bus::of("loop"));
        let mut it = Recording::start(&place.path().join("session"), "hwloop_m,loop_m");
        it.for_ms(200);
        outputs.inject(Fault::UnpluggedForGood, 0);
        it.until("the outputs are gone", |it| it.times("the outputs are gone") == 1);
        let starts = inputs.starts();
        outputs.plug_in();
        it.for_ms(1_500);
        assert_eq!((inputs.starts(), it.stop_recording()), (starts, 0), "{:?}", it.told);
        it.until("the outputs are back", |it| it.times("the device is back") == 1);
        assert_eq!((inputs.starts(), it.times("the device is gone")), (starts + 1, 0), "{:?}", it.told);
        it.control.close();
        assert_eq!((inputs.open(), outputs.open()), (0, 0));
    });
}
