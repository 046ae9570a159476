//! Devices that fail and come back, end to end, with the virtual device: checks every frame of the takes. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::util::{Checked, DEEP, Run, check, place, record, run};
use faultless::session::session_file::open_read_only;
use serde_json::json;
use std::path::Path;

/// Records `seconds` seconds of `inputs` inputs of `virtual:OPTIONS`, and compares all takes with the ramp.
#[track_caller]
fn recorded(folder: &Path, options: &str, inputs: usize, seconds: f64) -> (Run, Checked) {
    let arguments = format!("--device virtual:{options} --inputs {inputs} --seconds {seconds} {DEEP}");
    let run = run(record(folder, &arguments)).done();
    let found = check(folder)[0];
    assert_eq!((found.takes, found.frames), (inputs, (seconds * 48_000.0) as u64), "{}", run.err);
    assert_eq!(run.json()["frames_lost"], json!(found.lost), "{}", run.err);
    (run, found)
}

fn times(run: &Run, words: &str) -> usize {
    run.err.matches(words).count()
}

/// Position and length of the first take's losses with cause `cause`.
fn losses(folder: &Path, cause: &str) -> Vec<(u64, u64)> {
    let session = open_read_only(folder).unwrap();
    let take = &session.takes()[0];
    take.losses.iter().filter(|loss| loss.cause == cause).map(|loss| (loss.at.0, loss.frames.0)).collect()
}

#[test]
fn fifty_unplugs_in_one_take_leave_every_take_aligned_to_the_frame() {
    let place = place();
    let folder = place.path().join("session");
    // The first pull comes a second after the start.
    let pulls = format!("pull=48000+2400,{}", vec!["pull=2400+2400"; 49].join(","));
    let arguments = format!("--device virtual:{pulls} --inputs 4 --seconds 20 {DEEP}");
    let run = run(record(&folder, &arguments)).done();
    // `check` compares every frame with the card's counter: the silence is as long as the absence, to the frame.
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames), (4, 960_000), "{}", run.err);
    assert_eq!((times(&run, "the device is gone"), times(&run, "the device is back")), (50, 50), "{}", run.err);
    let gaps = losses(&folder, "device away");
    println!("{} gaps of {:?} frames", gaps.len(), gaps.iter().map(|gap| gap.1).collect::<Vec<_>>());
    assert_eq!(gaps.len(), 50);
    assert!(gaps.iter().all(|(_, frames)| 2400 <= *frames), "{gaps:?}");
    let json = run.json();
    assert_eq!(json["audio_thread"]["voluntary_switches"], 0, "{json}");
    assert_eq!(json["audio_thread"]["major_faults"], 0, "{json}");
    println!("minor faults: {}", json["audio_thread"]["minor_faults"]);
}

#[test]
fn a_card_that_another_program_holds_is_tried_until_it_is_free_and_reported_once() {
    let place = place();
    let folder = place.path().join("session");
    let (run, _) = recorded(&folder, "pull=24000+2400,busy=4", 2, 2.5);
    assert_eq!(times(&run, "in use by another program"), 1, "{}", run.err);
    assert_eq!(times(&run, "the device is back"), 1, "{}", run.err);
    assert_eq!(losses(&folder, "device away").len(), 1);
}

#[test]
fn a_card_at_another_rate_stays_silent_is_reported_once_and_comes_back_at_the_right_rate() {
    let place = place();
    let folder = place.path().join("session");
    // The program opens the device three times per attempt, so it is refused three times.
    let (run, found) = recorded(&folder, "pull=24000+2400,returns-rate=44100+9", 2, 2.5);
    assert_eq!(
        times(&run, "is back, but does not offer 48000 Hz (it offers 44100 Hz). The takes stay silent"),
        1,
        "{}",
        run.err
    );
    assert_eq!(times(&run, "the device is back"), 1, "{}", run.err);
    assert!(2_400 < found.lost && found.lost < 90_000, "{}", run.err);
}

#[test]
fn a_card_that_returns_with_fewer_inputs_leaves_the_others_silent_and_all_aligned() {
    let place = place();
    let folder = place.path().join("session");
    let arguments = format!("--device virtual:pull=24000+2400,returns=2 --inputs 4 --seconds 2.5 {DEEP}");
    let run = run(record(&folder, &arguments)).done();
    assert_eq!(times(&run, "it came back with 2 inputs of 4; the others are silent"), 1, "{}", run.err);
    let gap = losses(&folder, "device away")[0];
    let back = gap.0 + gap.1;
    let samples = |input: usize| crate::util::read_wav(&folder.join(format!("audio/In {}-1.wav", input + 1))).1;
    let first = (samples(0)[0] + (1 << 23)) as u64;
    for input in 0..4 {
        let samples = samples(input);
        assert_eq!(samples.len(), 120_000);
        for (frame, value) in samples.iter().enumerate() {
            let (frame, is_there) = (frame as u64, input < 2);
            let heard = frame < gap.0 || back <= frame && is_there;
            let want = if heard { faultless::device::signal::ramp(first + frame, input as u64) } else { 0 };
            assert_eq!(*value, want, "input {input}, frame {frame}");
        }
    }
    let session = open_read_only(&folder).unwrap();
    for (input, take) in session.takes().iter().enumerate() {
        let listed: Vec<_> = take.losses.iter().map(|loss| (loss.at.0, loss.frames.0, loss.cause.as_str())).collect();
        let absent = format!("the device came back without input {}", input + 1);
        let (away, absent) = ((gap.0, gap.1, "device away"), (back, 120_000 - back, &*absent));
        assert_eq!(listed, if input < 2 { vec![away] } else { vec![away, absent] });
        let lost: u64 = take.losses.iter().map(|loss| loss.frames.0).sum();
        assert_eq!(take.accounts.as_ref().map(|accounts| accounts.frames_lost), Some(lost), "the proof counts it");
    }
}

#[test]
fn a_card_that_returns_with_more_inputs_or_another_period_is_recorded_as_before() {
    let place = place();
    for (options, words) in [
        ("pull=24000+2400,returns=8", "8 inputs, not 4"),
        ("pull=24000+2400,returns-period=1000", "periods of 1000 frames, not 64"),
        ("pull=24000+2400,returns-period=4096", "periods of 4096 frames, not 64"),
    ] {
        let folder = place.path().join(options);
        let arguments = format!("--device virtual:{options} --inputs 4 --seconds 2 {DEEP}");
        let run = run(record(&folder, &arguments)).done();
        assert_eq!(check(&folder)[0].frames, 96_000);
        assert_eq!(times(&run, "the device is back"), 1, "{}", run.err);
        // Only the requested number of inputs is opened, so there is no note about more inputs.
        assert_eq!(times(&run, words), usize::from(!options.contains("returns=8")), "{}", run.err);
        assert_eq!(losses(&folder, "device away").len(), 1);
    }
}

#[test]
fn a_suspend_of_the_machine_is_silence_at_its_position() {
    let place = place();
    let folder = place.path().join("session");
    let (_, found) = recorded(&folder, "suspend=24000+30000,suspend=80000+500", 3, 2.0);
    // The device suspends at the first period of 64 frames after the given frame.
    let gaps = losses(&folder, "suspend");
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    assert!(gaps[0].1.abs_diff(30_000) <= 64 && gaps[1].1.abs_diff(500) <= 64, "{gaps:?}");
    assert_eq!(found.lost, gaps[0].1 + gaps[1].1);
}

/// The suspend leads past all windows that are ready. The next frames wait in the device's buffer until the butler has
/// supplied windows.
#[test]
fn a_suspend_longer_than_the_lead_loses_no_more_frames_than_it_lasted() {
    let place = place();
    let folder = place.path().join("session");
    let arguments = "--device virtual:suspend=48000+192000 --inputs 24 --seconds 6 --buffer 48000";
    let run = run(record(&folder, arguments)).done();
    let found = check(&folder)[0];
    assert_eq!((found.takes, found.frames), (24, 288_000), "{}", run.err);
    assert_eq!(times(&run, "no memory was ready"), 0, "{}", run.err);
    assert!(losses(&folder, "suspend")[0].1.abs_diff(192_000) <= 64, "{}", run.err);
}

#[test]
fn xruns_in_every_period_are_each_silence_at_their_position() {
    let place = place();
    let folder = place.path().join("session");
    let orders: Vec<String> = (0..60).map(|n| format!("xrun={}+{}", 48_000 + n * 64, 1 + n % 7)).collect();
    let (run, found) = recorded(&folder, &orders.join(","), 3, 1.5);
    assert_eq!(run.json()["xruns"], 60);
    assert_eq!(found.lost, (0..60).map(|n| 1 + n % 7).sum::<u64>());
}

#[test]
fn a_recording_can_be_stopped_while_the_card_is_away_and_ends_at_once() {
    let place = place();
    let folder = place.path().join("session");
    let started =
        crate::util::start(record(&folder, &format!("--device virtual:pull=24000+4800000 --inputs 2 {DEEP}")));
    crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let since = std::time::Instant::now();
    started.signal("TERM");
    let run = started.wait(crate::util::PATIENCE).done();
    println!("ended after {:?}", since.elapsed());
    let found = check(&folder)[0];
    assert!(
        found.takes == 2 && 48_000 < found.frames && found.lost + 24_000 - found.began == found.frames,
        "{found:?} {}",
        run.err
    );
}
