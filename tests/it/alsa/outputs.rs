//! Outputs of a pair that fail or go away while its inputs run. The inputs and the outputs are two simulated cards.
//! Thread: test.

use super::card::{Bus, Fault, on_a_test_card};
use super::{Listener, listen, loop_spec, open};
use faultless::device::{Device, DeviceSpec, LossCause, Wake};

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
