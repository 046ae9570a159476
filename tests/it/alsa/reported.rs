//! Findings of the ALSA device that reach the user: a wrong rate, the drift of two cards, outputs that were late. The program
//! runs as a user runs it. Thread: test.

use super::card::{Bus, Fault, on_a_test_card};
use crate::util::{PATIENCE, Started, place, record, run, start};
use std::path::Path;
use std::time::{Duration, Instant};

/// Offset of the card's speed in its file, in parts per million.
pub(super) const SPEED_AT: u64 = 8;

/// Offset of the switch that lets the plugin tell each preparation as an error message.
const TALKS_AT: u64 = 64;

#[track_caller]
pub(super) fn await_words(program: &Started, words: &str) {
    let until = Instant::now() + Duration::from_secs(40);
    while !program.said().contains(words) {
        assert!(Instant::now() < until, "'{words}' was not said\n{}", program.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The recording ended with status 0.
#[test]
fn a_recording_at_a_wrong_rate_fails_although_its_takes_are_whole() {
    on_a_test_card("alsa::reported::a_recording_at_a_wrong_rate_fails_although_its_takes_are_whole", || {
        let place = place();
        let folder = place.path().join("session");
        let program = start(record(&folder, "--device alsa:ramp_m,- --inputs 2 --period 256 --buffer 32768"));
        crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
        Bus::of("ramp").set(SPEED_AT, -81_250);
        await_words(&program, "LOSS: alsa:ramp_m,-: its clock runs at 44100 Hz");
        program.signal("INT");
        let ended = program.wait(PATIENCE);
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        let lines: Vec<&str> = ended.err.lines().filter(|line| line.starts_with("faultless: ")).collect();
        assert!(matches!(lines[..], [line] if line.contains("44100 Hz")), "{}", ended.err);
        let report = ended.json();
        assert_eq!(report["frames_lost"], 0);
        let said = report["source_losses"].as_array().unwrap();
        assert!(said.len() == 1 && said[0].as_str().unwrap().contains("plays at the wrong speed"), "{said:?}");
    });
}

/// alsa-lib printed the messages of plugins on the terminal, from the audio thread. A terminal that takes no text at that moment
/// would have blocked it.
#[test]
fn a_plugin_that_tells_errors_while_the_card_is_restarted_prints_nothing() {
    on_a_test_card("alsa::reported::a_plugin_that_tells_errors_while_the_card_is_restarted_prints_nothing", || {
        let (place, bus) = (place(), Bus::of("ramp"));
        let folder = place.path().join("session");
        let program = start(record(&folder, "--device alsa:ramp_m,- --inputs 2 --period 256 --buffer 32768"));
        crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
        bus.set(TALKS_AT, 1);
        let starts = bus.starts();
        bus.inject(Fault::CaptureXrun, 2);
        let until = Instant::now() + Duration::from_secs(20);
        while bus.starts() < starts + 3 {
            assert!(Instant::now() < until, "it was not restarted");
            std::thread::sleep(Duration::from_millis(5));
        }
        bus.set(TALKS_AT, 0);
        // A pass that ends before the loss is measured has no xrun.
        await_words(&program, "lost (xrun)");
        program.signal("INT");
        let ended = program.wait(PATIENCE);
        assert!(!ended.err.contains("ALSA lib") && !ended.err.contains("prepared"), "{}", ended.err);
        assert!(0 < ended.json()["xruns"].as_u64().unwrap(), "{}", ended.err);
    });
}

#[test]
fn the_drift_of_two_cards_is_said_once() {
    on_a_test_card("alsa::reported::the_drift_of_two_cards_is_said_once", || {
        let place = place();
        let folder = place.path().join("session");
        // The card that plays is faster by 20,000 ppm, so that the test is short.
        Bus::of("loop").set(SPEED_AT, 20_000);
        let arguments = "--device alsa:hwloop_m,loop_m --rate 8000 --period 512 --play-along";
        let program = start(record(&folder, arguments));
        await_words(&program, "the clock of its outputs is faster by ");
        std::thread::sleep(Duration::from_secs(1));
        program.signal("INT");
        let ended = program.wait(PATIENCE);
        let told: Vec<&str> = ended.err.lines().filter(|line| line.contains("is faster by ")).collect();
        assert!(matches!(told[..], [line] if line.starts_with("caution: ") && line.contains("ppm")), "{}", ended.err);
    });
}

/// The notice had no length.
#[test]
fn outputs_that_were_late_are_said_with_the_length_of_their_silence() {
    on_a_test_card("alsa::reported::outputs_that_were_late_are_said_with_the_length_of_their_silence", || {
        let place = place();
        let folder = place.path().join("session");
        let arguments = "--device alsa:loop_m --rate 8000 --period 512 --play-along";
        let program = start(record(&folder, arguments));
        crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
        Bus::of("loop").inject(Fault::PlaybackXrun, 11);
        await_words(&program, "the outputs were late");
        program.signal("INT");
        let ended = program.wait(PATIENCE);
        let told: Vec<&str> = ended.err.lines().filter(|line| line.contains("the outputs were late")).collect();
        assert!(told.iter().any(|line| line.contains(" silent for ")), "{}", ended.err);
    });
}

/// Nothing was said: the difference was too large for two clocks.
#[test]
fn outputs_at_another_rate_than_the_inputs_are_said_with_both_rates() {
    on_a_test_card("alsa::reported::outputs_at_another_rate_than_the_inputs_are_said_with_both_rates", || {
        let place = place();
        let folder = place.path().join("session");
        Bus::of("loop").set(SPEED_AT, -81_250);
        let arguments = "--device alsa:hwloop_m,loop_m --rate 8000 --period 512 --play-along";
        let program = start(record(&folder, arguments));
        await_words(
            &program,
            "caution: alsa:hwloop_m,loop_m: its outputs run at about 7350 Hz and its inputs at 8000 Hz",
        );
        program.signal("INT");
        program.wait(PATIENCE);
    });
}

/// A recording that plays along and whose outputs have gone away for good. Its messages have said so.
pub(super) fn recording_whose_outputs_are_gone(folder: &Path) -> Started {
    let arguments = "--device alsa:hwloop_m,loop_m --rate 8000 --period 512 --play-along";
    let program = start(record(folder, arguments));
    crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
    Bus::of("loop").inject(Fault::UnpluggedForGood, 0);
    await_words(&program, "caution: alsa:hwloop_m,loop_m: the outputs are gone");
    program
}

/// It was a loss without a length, although no recorded frame was lost.
#[test]
fn outputs_that_are_gone_are_a_caution_with_the_length_of_their_silence() {
    on_a_test_card("alsa::reported::outputs_that_are_gone_are_a_caution_with_the_length_of_their_silence", || {
        let place = place();
        let folder = place.path().join("session");
        let program = recording_whose_outputs_are_gone(&folder);
        std::thread::sleep(Duration::from_secs(1));
        program.signal("INT");
        let ended = program.wait(PATIENCE);
        assert!(!ended.err.contains("LOSS: "), "{}", ended.err);
        let told: Vec<&str> = ended.err.lines().filter(|line| line.contains("the outputs were silent for ")).collect();
        assert!(
            matches!(told[..], [caution, failure] if caution.contains("the recorded sound is complete")
                && failure.starts_with("faultless: ") && failure.contains("the takes are complete")),
            "{}",
            ended.err
        );
        assert_eq!(ended.code, Some(1), "{}", ended.err);
    });
}

/// The recording ended with status 0, and nobody had heard anything.
#[test]
fn a_device_without_outputs_is_refused_for_play_along() {
    on_a_test_card("alsa::reported::a_device_without_outputs_is_refused_for_play_along", || {
        let place = place();
        let folder = place.path().join("session");
        let arguments = "--device alsa:mic --period 256 --buffer 32768 --seconds 0.5";
        run(record(&folder, &format!("{arguments} --play-along")))
            .refused(&["alsa:mic: it has no outputs", "--device alsa:"]);
        run(record(&folder, arguments)).done();
    });
}
