//! Tests of the commands. Thread: test.

use super::*;
use crate::format::TakeFormat;
use crate::session::tests::recorded;
use crate::time::SampleRate;
use uuid::Uuid;

/// OK below "The computer may fall asleep" also took away "Test tones, no sound card", which the user had not seen.
#[test]
fn ok_in_the_health_line_acknowledges_what_it_shows_and_the_next_caution_follows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, settings, _) = super::super::settings::SettingsStore::load(
        Some(folder.path().to_path_buf()),
        super::super::settings::DamagedFile::Leave,
        Arc::new(|| ()),
    );
    let mut app = App::empty(super::super::Options::default(), Arc::new(|| ()), (store, settings.into(), None));
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
    let mut control = Control::open(crate::control::setup::test_setup(&at("song"))).unwrap();
    control.set_mirror(Some(&at("mirror")));
    control.set_overflow(Some(&at("overflow")));
    while !control.companions_are_known() {
        control.poll();
        std::thread::sleep(Duration::from_millis(2));
    }
    let config = (Some(at("config")), super::super::settings::DamagedFile::Leave);
    let (store, settings, _) = super::super::settings::SettingsStore::load(config.0, config.1, Arc::new(|| ()));
    let mut app = App::empty(super::super::Options::default(), Arc::new(|| ()), (store, settings.into(), None));
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

#[test]
fn a_locked_recording_names_the_key_that_ends_it() {
    let texts = [None, Some("F9 Escape"), Some("Ctrl+Escape"), Some("")].map(stop_and_key);
    assert_eq!(texts, ["Stop or Esc", "Stop or F9", "Stop or Ctrl+Esc", "Stop"]);
}

/// The card said "no session and no device is open; choose a device", and so did an event.
#[test]
fn a_key_while_the_session_opens_is_answered_and_is_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let config = (Some(folder.path().to_path_buf()), super::super::settings::DamagedFile::Leave);
    let (store, settings, _) = super::super::settings::SettingsStore::load(config.0, config.1, Arc::new(|| ()));
    let mut app = App::empty(super::super::Options::default(), Arc::new(|| ()), (store, settings.into(), None));
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
