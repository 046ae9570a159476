//! Takes are facts: nothing that a user does while a pass is prepared, recorded or finished takes them away. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use crate::record::setup;
use crate::util::{check, faultless, place, record, run, start};
use faultless::butler::spool::{folders, path_of};
use faultless::control::edit::Edit;
use faultless::control::{Control, SaveState, Severity};
use faultless::format::TakeFormat;
use faultless::session::session_file::open_read_only;
use faultless::session::{TakeState, TrackId};
use faultless::time::{FramePos, Frames};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn opened(folder: &Path, device: &str, inputs: usize) -> Control {
    let mut control = Control::open(setup(folder, device, inputs, 48_000, TakeFormat::S24)).unwrap();
    control.arm_inputs(inputs).unwrap();
    control
}

/// Polls until `done`.
fn poll_until(control: &mut Control, mut done: impl FnMut(&mut Control) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        control.poll();
        if done(control) {
            return;
        }
        assert!(Instant::now() < until, "it does not come to pass");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn to_the_end(control: &mut Control) {
    poll_until(control, |control| !control.is_recording());
}

fn first_track(control: &Control) -> TrackId {
    control.session().track_ids().next().unwrap()
}

#[test]
fn undo_and_refused_edits_while_the_files_are_made_keep_the_takes() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free", 4);
    let track = first_track(&control);
    control.edit(Edit::Mute(vec![track], true)).unwrap();
    control.record(Frames(24_000)).unwrap();
    // No poll: the files are not made yet.
    control.undo().unwrap();
    control.edit(Edit::Mute(vec![TrackId(9_999)], true)).unwrap_err();
    assert_eq!(control.shared().takes().len(), 4);
    to_the_end(&mut control);
    assert!(!control.session().track(track).unwrap().mute, "the undo itself stays");
    assert!(control.session().takes().iter().all(|take| take.state == TakeState::Complete));
    control.record(Frames(24_000)).unwrap();
    to_the_end(&mut control);
    let (reports, _) = control.close();
    assert!(reports.iter().all(|report| report.takes.iter().all(|take| !take.file.is_empty())));
    assert_eq!(check(&folder).iter().map(|pass| pass.takes).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn undo_at_every_moment_of_the_end_of_a_pass_unfinishes_no_take() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free", 16);
    let track = first_track(&control);
    for step in 0..150 {
        control.edit(Edit::Gain(vec![(track, -(step as f32) - 1.0), (track, -(step as f32))])).unwrap();
        control.edit(Edit::Mute(vec![track], step % 2 == 0)).unwrap();
    }
    control.record(Frames(48_000)).unwrap();
    poll_until(&mut control, |control| {
        if control.pass_status().is_some_and(|status| status.has_ended()) {
            control.undo().ok();
        }
        !control.is_recording()
    });
    let takes = control.session().takes();
    assert!(takes.iter().all(|take| take.state == TakeState::Complete && take.frames == Frames(48_000)));
    let placed: Vec<usize> = control.session().tracks().iter().map(|track| track.regions().len()).collect();
    assert!(placed.iter().all(|count| *count == placed[0]), "all or none: {placed:?}");
    control.close();
    assert_eq!(check(&folder)[0].takes, 16);
}

#[test]
fn a_file_that_has_the_name_of_the_next_take_costs_a_number_and_no_pass_and_no_edit() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free", 2);
    fs::write(folder.join("audio/In 2-1.wav"), "another program's").unwrap();
    fs::write(folder.join("audio/in 2-2.WAV"), "another program's").unwrap();
    control.record(Frames(24_000)).unwrap();
    control.edit(Edit::AddMarker(FramePos(7), "meanwhile".to_owned())).unwrap();
    to_the_end(&mut control);
    assert_eq!(control.session().markers().len(), 1);
    let files: Vec<&str> = control.session().takes().iter().map(|take| take.file.as_str()).collect();
    assert_eq!(files, ["audio/In 1-1.wav", "audio/In 2-3.wav"]);
    let (reports, _) = control.close();
    assert_eq!((reports.len(), reports[0].frames), (1, 24_000));
    assert_eq!(fs::read(folder.join("audio/In 2-1.wav")).unwrap(), b"another program's");
}

#[test]
fn undo_does_not_remove_a_track_that_is_recording() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free", 2);
    control.edit(Edit::AddTrack(Some(vec![1]))).unwrap();
    let added = control.session().tracks()[2].id();
    // Arming is a step of its own: two undos would remove the track.
    control.edit(Edit::Arm(vec![added], true)).unwrap();
    control.record(Frames(24_000)).unwrap();
    control.undo().unwrap();
    let refused = control.undo().unwrap_err().to_string();
    assert!(refused.contains("In 2: it is being recorded"), "{refused}");
    control.edit(Edit::RemoveTracks(vec![added])).unwrap_err();
    to_the_end(&mut control);
    assert_eq!(control.session().track(added).unwrap().regions().len(), 1);
    control.close();
    assert_eq!(check(&folder)[0].takes, 3);
}

#[test]
fn faders_of_two_tracks_are_two_steps_of_undo_and_one_drag_is_one() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free", 2);
    let tracks: Vec<TrackId> = control.session().track_ids().collect();
    for (track, db) in [(0, -1.0), (0, -2.0), (1, -3.0)] {
        control.edit(Edit::Gain(vec![(tracks[track], db)])).unwrap();
    }
    let gains = |control: &Control| {
        control.session().tracks().iter().map(faultless::session::Shared::gain_db).collect::<Vec<_>>()
    };
    control.undo().unwrap();
    assert_eq!(gains(&control), [-2.0, 0.0]);
    control.undo().unwrap();
    assert_eq!(gains(&control), [0.0, 0.0]);
    control.close();
}

#[test]
fn an_edit_waits_for_the_next_save_and_a_save_that_something_waits_for_does_not() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free", 2);
    let track = first_track(&control);
    // No poll: only what goes to the saver at once is saved.
    let await_saved = |control: &Control| {
        let until = Instant::now() + PATIENCE;
        while control.saved_revision() < control.revision() {
            assert!(Instant::now() < until, "it is not saved");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    control.save_now();
    await_saved(&control);
    for mute in [true, false] {
        let asked = Instant::now();
        control.save_now();
        control.edit(Edit::Mute(vec![track], mute)).unwrap();
        // On a busy machine a second may have passed.
        let is_soon = asked.elapsed() < Duration::from_millis(900);
        std::thread::sleep(Duration::from_millis(100));
        assert!(!is_soon || control.saved_revision() < control.revision(), "the last save was a moment ago");
        control.save_now();
        await_saved(&control);
        assert_eq!(open_read_only(&folder).unwrap().track(track).unwrap().mute, mute);
    }
    control.edit(Edit::Mute(vec![track], true)).unwrap();
    control.close();
    assert!(open_read_only(&folder).unwrap().track(track).unwrap().mute, "closing saves at once");
}

/// Puts a file in place of the folder of kept versions: session.json cannot be saved then.
fn refuse_saves(folder: &Path) {
    let history = folder.join("history");
    fs::remove_dir_all(&history).unwrap();
    fs::write(&history, "").unwrap();
}

#[test]
fn nothing_is_recorded_while_the_session_cannot_be_saved_and_the_user_learns_why() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free", 2);
    refuse_saves(&folder);
    // A folder in place of the list of takes that Record adds.
    let added = folder.join("session.takes.json");
    fs::create_dir(&added).unwrap();
    control.record(Frames(24_000)).unwrap();
    to_the_end(&mut control);
    assert!(control.take_report().is_none(), "no frame was recorded");
    let told: Vec<_> = std::iter::from_fn(|| control.take_notice()).collect();
    let lines = |severity| told.iter().filter(|it| it.severity == severity && it.text.contains("history")).count();
    assert_eq!((lines(Severity::Caution), lines(Severity::Loss)), (1, 1), "{told:?}");
    assert!(matches!(control.save_state(), SaveState::Failing(_)));
    // When saves work again, Record does.
    fs::remove_file(folder.join("history")).unwrap();
    fs::remove_dir(&added).unwrap();
    poll_until(&mut control, |control| control.save_state() == SaveState::Saved);
    control.record(Frames(24_000)).unwrap();
    to_the_end(&mut control);
    assert_eq!(control.take_report().unwrap().frames, 24_000);
    control.close();
}

#[test]
fn record_fails_if_the_session_cannot_be_saved_at_its_end() {
    let place = place();
    let folder = place.path().join("session");
    let program = start(record(&folder, "--device virtual --inputs 2 --seconds 3"));
    crate::record::await_sound(&folder.join("audio/In 1-1.wav"));
    refuse_saves(&folder);
    let ended = program.wait(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.lines().last().unwrap().contains("the session is not saved"), "{}", ended.err);
    // The takes are whole, and the last session on the disk lists them: the next start puts them right.
    fs::remove_file(folder.join("history")).unwrap();
    assert_eq!(open_read_only(&folder).unwrap().takes().len(), 2);
    run(faultless("recover", &folder, "")).done();
    assert_eq!(check(&folder)[0].takes, 2);
}

#[test]
fn a_pass_whose_end_cannot_be_saved_keeps_its_memory_and_the_next_start_lists_its_losses() {
    let place = place();
    let folder = place.path().join("session");
    let mut control = opened(&folder, "free,xrun=9600+480", 2);
    let history = folder.join("history");
    control.record(Frames(24_000)).unwrap();
    poll_until(&mut control, |control| control.pass_status().is_some_and(|status| status.is_ready));
    // A file in place of the folder of kept versions: session.json cannot be replaced.
    fs::remove_dir_all(&history).unwrap();
    fs::write(&history, "").unwrap();
    to_the_end(&mut control);
    let identities: Vec<_> = control.session().takes().iter().map(|take| take.uuid).collect();
    let spools: Vec<_> = folders().iter().map(|folder| path_of(folder, identities[0])).collect();
    assert!(spools.iter().any(|spool| spool.exists()), "{spools:?}");
    control.close();
    assert!(spools.iter().any(|spool| spool.exists()), "no session that lists the takes as complete is on the disk");
    fs::remove_file(&history).unwrap();
    let mut control = opened(&folder, "free,xrun=9600+480", 2);
    let notices: Vec<String> = std::iter::from_fn(|| control.take_notice()).map(|notice| notice.text).collect();
    assert!(!notices.iter().any(|text| text.contains("gone")), "{notices:?}");
    for take in control.session().takes() {
        let lost: u64 = take.losses.iter().map(|loss| loss.frames.0).sum();
        assert_eq!((take.state, take.frames, lost), (TakeState::Recovered, Frames(24_000), 480));
    }
    // A pass that ends as usual leaves nothing in memory.
    control.record(Frames(24_000)).unwrap();
    to_the_end(&mut control);
    let identity = control.session().takes().last().unwrap().uuid;
    poll_until(&mut control, |_| folders().iter().all(|folder| !path_of(folder, identity).exists()));
    control.close();
    assert!(spools.iter().all(|spool| !spool.exists()));
}
