//! Other programs that change a take while it is recorded. Thread: test.

use super::{await_words, recording};
use crate::record::await_sound;
use crate::util::{DEEP, PATIENCE, Started, check, faultless, place, record, run, start};
use faultless::session::Session;
use faultless::session::session_file::open_read_only;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

#[test]
fn a_take_that_another_program_cuts_short_while_it_is_recorded_is_not_called_whole() {
    let place = place();
    let folder = place.path().join("session");
    let program = recording(&folder, 2);
    File::options().write(true).open(folder.join("audio/In 2-1.wav")).unwrap().set_len(4996).unwrap();
    await_words(&program, "cut it short");
    ends_not_whole(program);
    let session = lists_its_losses(&folder);
    // The rest of the page in which the cut is reads as zeros, and belongs to the loss.
    let (lost, sound) = (session.takes()[1].losses[0].at.0, (4996 - 4096) / 3);
    assert!((sound - 2..=sound).contains(&lost), "{lost}");
}

#[test]
fn a_take_that_is_recorded_in_place_and_cut_short_does_not_end_the_recording() {
    let place = place();
    let folder = place.path().join("session");
    let options = format!("--device virtual --inputs 2 --seconds 600 --capture-path in-place {DEEP}");
    let program = start(record(&folder, &options));
    await_sound(&folder.join("audio/In 2-1.wav"));
    File::options().write(true).open(folder.join("audio/In 2-1.wav")).unwrap().set_len(4996).unwrap();
    await_words(&program, "cut it short");
    std::thread::sleep(Duration::from_millis(1500));
    ends_not_whole(program);
    let session = lists_its_losses(&folder);
    assert_eq!(session.takes()[0].frames, session.takes()[1].frames);
    let lost = &session.takes()[1].losses;
    assert!((298..=300).contains(&lost[0].at.0), "{lost:?}");
    // Sound follows the listed losses.
    let end = lost.iter().map(|loss| loss.at.0 + loss.frames.0).max().unwrap();
    assert!(end + 24_000 < session.takes()[1].frames.0, "{lost:?}");
}

#[test]
fn an_older_copy_that_is_saved_over_a_take_while_it_is_recorded_is_noticed() {
    let place = place();
    let folder = place.path().join("session");
    let program = recording(&folder, 2);
    let take = folder.join("audio/In 2-1.wav");
    std::thread::sleep(Duration::from_secs(1));
    let older = fs::read(&take).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    // The copy has the blocks that were reserved for later sound as zeros, so the file is no shorter than before.
    fs::write(&take, older).unwrap();
    await_words(&program, "another program");
    ends_not_whole(program);
    lists_its_losses(&folder);
}

#[test]
fn a_take_that_a_copy_replaces_before_a_kill_lists_what_the_copy_lacks() {
    // A copy that is made in the first seconds of a take is known by its number only, and not by its age.
    for begun in [0, 3200] {
        let place = place();
        let folder = place.path().join("session");
        let program = recording(&folder, 2);
        let (take, copy) = (folder.join("audio/In 2-1.wav"), folder.join("audio/copy"));
        std::thread::sleep(Duration::from_millis(begun));
        fs::copy(&take, &copy).unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        fs::rename(&copy, &take).unwrap();
        program.signal("KILL");
        program.wait(PATIENCE);
        lists_its_losses(&folder);
    }
}

#[test]
fn a_take_that_a_copy_replaces_before_a_kill_is_whole_again_from_the_mirror() {
    let place = place();
    let (folder, mirror) = (place.path().join("session"), place.path().join("mirror"));
    let options = format!("--device virtual --inputs 2 --seconds 600 {DEEP}");
    let mut command = record(&folder, &options);
    command.arg("--mirror").arg(&mirror);
    let program = start(command);
    let (take, copy) = (folder.join("audio/In 2-1.wav"), folder.join("audio/copy"));
    await_sound(&take);
    std::thread::sleep(Duration::from_millis(1000));
    fs::copy(&take, &copy).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    fs::rename(&copy, &take).unwrap();
    program.signal("KILL");
    program.wait(PATIENCE);
    run(faultless("recover", &folder, "")).done();
    let session = open_read_only(&folder).unwrap();
    assert!(session.takes().iter().all(|take| take.losses.is_empty()));
    check(&folder);
}

/// Ends a recording. Checks that its second take is not called whole.
fn ends_not_whole(program: Started) {
    program.signal("TERM");
    let ended = program.wait(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("In 2-1.wav") && ended.err.contains("not whole"), "{}", ended.err);
}

/// Recovers a session of two takes. Checks that the second one lists what it lacks, and that the first one lacks nothing.
fn lists_its_losses(folder: &Path) -> Session {
    let told = run(faultless("recover", folder, "")).done();
    assert!(told.out.contains("the takes list them"), "{}", told.out);
    let session = open_read_only(folder).unwrap();
    let losses: Vec<bool> = session.takes().iter().map(|take| take.losses.is_empty()).collect();
    assert_eq!(losses, [true, false]);
    check(folder);
    session
}
