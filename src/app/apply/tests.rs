//! Tests of the commands. Thread: test.

use super::*;
use crate::app::Options;
use crate::app::settings::{DamagedFile, SettingsStore};
use crate::control::setup::test_setup;
use crate::format::TakeFormat;
use crate::session::session_file::open_read_only;
use crate::session::tests::recorded;
use crate::time::SampleRate;
use std::path::Path;
use uuid::Uuid;

/// An app with the settings of `folder`, in which nothing is open.
fn app_in(folder: &Path) -> App {
    let (store, settings, _) = SettingsStore::load(Some(folder.to_path_buf()), DamagedFile::Leave, Arc::new(|| ()));
    App::empty(Options::default(), Arc::new(|| ()), (store, settings.into(), None))
}

/// An app that has a new session of the built-in device open at `folder`.
fn app_with_session(folder: &Path) -> App {
    let control = Control::open(test_setup(folder)).unwrap();
    let mut app = app_in(&folder.with_file_name("config"));
    app.adopt(Box::new(control));
    app
}

/// OK below "The computer may fall asleep" also took away "Test tones, no sound card", which the user had not seen.
#[test]
fn ok_in_the_health_line_acknowledges_what_it_shows_and_the_next_caution_follows() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = app_in(folder.path());
    let headlines = ["Test tones, no sound card.", "The computer may fall asleep.", "The computer may fall asleep."];
    for headline in headlines {
        app.notify_in_line(headline, "reason".to_owned());
    }
    let unseen = |app: &App| app.notices.iter().filter(|entry| !entry.seen).count();
    app.apply(Command::AcknowledgeLine);
    assert_eq!((unseen(&app), app.notices[0].seen), (1, false));
    app.apply(Command::AcknowledgeLine);
    assert_eq!(unseen(&app), 0);
}

/// The zoom of a window beside `faultless record --mirror M --overflow O` ended both, because the settings name neither.
#[test]
fn a_window_that_zooms_leaves_the_mirror_and_the_overflow_folder_of_a_terminal_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let mut control = Control::open(test_setup(&at("song"))).unwrap();
    control.set_mirror(Some(&at("mirror")));
    control.set_overflow(Some(&at("overflow")));
    while !control.companions_are_known() {
        control.poll();
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut app = app_in(&at("config"));
    app.adopt(Box::new(control));
    let are_used = |app: &App| {
        let OpenState::Open(control) = &app.state else { panic!("it is open") };
        [control.mirror(), control.overflow()].map(|found| found.is_some_and(|found| found.is_ok()))
    };
    app.apply(Command::Settings(vec![SettingsChange::Zoom(1.25)]));
    assert_eq!(are_used(&app), [true, true]);
    app.apply(Command::Settings(vec![SettingsChange::Mirror(None)]));
    assert_eq!(are_used(&app), [false, true]);
    app.take_control().unwrap().close();
}

/// The end of the range was dragged onto its start, or the button was held still in a lane: Loop and Punch went off, and a
/// punch had no end.
#[test]
fn an_empty_range_leaves_the_range_loop_and_punch_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let mut app = app_with_session(&place.path().join("song"));
    let range = (FramePos(100), FramePos(4_800));
    for command in [Command::Range(Some(range)), Command::Loop(true), Command::Punch(true)] {
        app.apply(command);
    }
    for (from, to) in [(100, 100), (0, 0), (4_800, 100)] {
        app.apply(Command::Range(Some((FramePos(from), FramePos(to)))));
        let transport = &app.transport;
        assert_eq!((transport.range, transport.loops, transport.punches), (Some(range), true, true));
        assert!(app.answers.note.is_none());
    }
    app.apply(Command::Range(None));
    assert_eq!((app.transport.range, app.transport.loops, app.transport.punches), (None, false, false));
    assert!(app.answers.note.as_ref().is_some_and(|note| note.text.starts_with("Loop and Punch are off")));
    app.take_control().unwrap().close();
}

/// The button "Export 24 files" did nothing while the sound card was not there, and so did Save.
#[test]
fn a_session_without_a_device_is_exported_and_what_cannot_be_done_is_answered() {
    let place = tempfile::tempdir().unwrap();
    let mut app = app_with_session(&place.path().join("song"));
    let session = {
        let OpenState::Open(control) = &mut app.state else { panic!("it is open") };
        control.make_tracks(2).unwrap();
        let tracks = control.session().track_ids().collect();
        control.edit(Edit::Arm(tracks, true)).unwrap();
        control.record(Frames(4_800)).unwrap();
        while control.take_report().is_none() {
            control.poll();
            std::thread::sleep(Duration::from_millis(2));
        }
        control.shared()
    };
    app.take_control().unwrap().close();
    let folder = place.path().join("song");
    (app.session_info.folder, app.session_info.session) = (folder.clone(), open_read_only(&folder).unwrap().into());
    assert_eq!(app.session_info.session.takes().len(), session.takes().len());
    app.state = OpenState::Empty(Stage::NoDevice { reason: "it is not there".to_owned(), instead: None });
    let request = ExportRequest {
        to: place.path().join("out"),
        tracks: None,
        range: None,
        format: None,
        mix: false,
        replace: false,
    };
    let export = || Command::Export(Box::new(request.clone()));
    app.apply(export());
    assert!(app.answers.refusal.is_none() && app.jobs.is_exporting());
    while app.jobs.is_exporting() {
        app.poll();
        std::thread::sleep(Duration::from_millis(2));
    }
    let ended = app.jobs.export_view().ended;
    assert!(matches!(&ended, Some(Ok(files)) if files.len() == 2), "{ended:?}");
    let refusal = |app: &mut App, command: Command| {
        app.apply(command);
        app.answers.refusal.clone().map(|refusal| refusal.text)
    };
    assert!(refusal(&mut app, Command::Save).is_some_and(|text| text.starts_with("no session and no device is open")));
    app.state = OpenState::Empty(Stage::Opening);
    assert!(refusal(&mut app, export()).is_some_and(|text| text.starts_with("still opening")));
}

#[test]
fn a_locked_recording_names_the_key_that_ends_it() {
    let texts = [None, Some("F9 Escape"), Some("Ctrl+Escape"), Some("")].map(stop_and_key);
    assert_eq!(texts, ["Stop or Esc", "Stop or F9", "Stop or Ctrl+Esc", "Stop"]);
}

/// The card said "no session and no device is open; choose a device", and so did an event.
#[test]
fn a_key_while_the_session_opens_is_answered_and_is_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = app_in(folder.path());
    app.apply(Command::Record);
    let refusal = app.answers.refusal.as_ref().map(|refusal| refusal.text.as_str());
    assert_eq!((refusal, app.notices.len()), (Some("still opening; press again when it is open"), 0));
}

/// Markers were numbered by place: one that was dropped earlier in the song renamed all later ones.
#[test]
fn a_marker_keeps_its_number_if_another_one_is_dropped_before_it() {
    let mut session = Session::new(Uuid::from_u128(1), "x", "", SampleRate(48_000), TakeFormat::S24);
    for at in [6000, 7000, 4000] {
        let name = next_marker_name(&session);
        session.add_marker(FramePos(at), &name).unwrap();
    }
    let shown: Vec<_> = session.markers().iter().map(|marker| (marker.at.0, marker.name.as_str())).collect();
    assert_eq!(shown, [(4000, "3"), (6000, "1"), (7000, "2")]);
    let second = session.markers()[2].id;
    session.rename_marker(second, "Chorus").unwrap();
    assert_eq!(next_marker_name(&session), "4");
}

#[test]
fn the_last_recording_begins_at_its_first_region() {
    let rate = SampleRate(48_000);
    let mut session = Session::new(Uuid::from_u128(1), "x", "", rate, TakeFormat::S24);
    assert_eq!(last_pass_start(&session, None), None);
    let track = session.add_track("In 1", &[0]).unwrap();
    for start in [0, 96_000] {
        let take = recorded(&mut session, track, FramePos(start), Frames(48_000));
        session.place_region(track, take, FramePos(start), FramePos(0), Frames(48_000)).unwrap();
    }
    assert_eq!(last_pass_start(&session, None), Some(FramePos(96_000)));
    // Takes of a copy that were taken over during the pass have a higher number.
    assert_eq!(last_pass_start(&session, Some(1)), Some(FramePos(0)));
    let first = session.takes()[0].id;
    session.trash_take(first).unwrap();
    assert_eq!(last_pass_start(&session, Some(1)), Some(FramePos(96_000)));
}
