//! Takes whose files do not exist. Thread: test.

use super::*;
use crate::session::CopyKind;
use crate::window::progress_page::{ABSENCES_AT, InputAbsence, absence_words};

/// Adds a take to the session whose file does not exist.
fn add_take(session: &mut Session, uuid: Uuid) {
    let (track, pass, mut names) = (session.tracks()[0].id(), session.next_pass(), session.taken_names());
    let new = NewTake {
        uuid,
        track,
        pass,
        inputs: vec![0],
        channels: 1,
        rate: session.rate(),
        format: TakeFormat::S24,
        start: FramePos(0),
        started: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    };
    session.add_take(new, &mut names).unwrap();
}

#[test]
fn takes_whose_files_were_never_made_end_without_frames_and_a_removed_file_does_not() {
    let scene = Scene::bare(2);
    let (report, session) = scene.recover();
    assert!(report.passes.is_empty() && report.troubles.len() == 2, "{report:?}");
    assert!(report.troubles[0].contains("In 1-1.wav") && report.troubles[0].contains("before it had begun"));
    assert!(session.takes().iter().all(|take| (take.state, take.frames) == (TakeState::Recovered, Frames(0))));
    let (report, _) = scene.recover();
    assert!(report.troubles.is_empty(), "it is said once: {report:?}");
    // One of two files was made.
    let scene = Scene::bare(2);
    scene.write_wav(0, Cut { committed: 0, claimed: 0 }, 0);
    let (_, session) = scene.recover();
    assert!(session.takes().iter().all(|take| (take.state, take.frames) == (TakeState::Recovered, Frames(0))));
    // The other file has sound: the pass had begun, and somebody has removed this one.
    let scene = Scene::bare(2);
    scene.write_wav(0, Cut { committed: 1, claimed: WINDOW }, WINDOW);
    let (report, session) = scene.recover();
    assert_eq!((session.takes()[0].frames, session.takes()[1].state), (Frames(WINDOW), TakeState::Recording));
    assert!(report.troubles[0].contains("In 2-1.wav"), "{report:?}");
}

#[test]
fn the_silence_of_inputs_that_a_device_came_back_without_is_listed_from_the_progress_page() {
    const FRAMES: u64 = 3 * WINDOW;
    let scene = Scene::new(&TWO, FRAMES);
    let range =
        |inputs, from, until: Option<u64>| InputAbsence { inputs, from: FramePos(from), until: until.map(FramePos) };
    let file = OpenOptions::new().write(true).open(scene.progress_page()).unwrap();
    // The last range lies beyond the end, and one before it lasts to the end.
    let ranges =
        [range(1, 100, Some(150)), range(2, 150, Some(200)), range(1, FRAMES - 10, None), range(0, FRAMES, None)];
    file.write_all_at(&absence_words(&ranges), ABSENCES_AT).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{report:?}");
    let losses = |index: usize| {
        let losses = session.takes()[index].losses.iter();
        losses.map(|loss| (loss.at.0, loss.frames.0, loss.cause.as_str())).collect::<Vec<_>>()
    };
    let cause = "the device came back without input 2";
    assert_eq!((losses(0), losses(1)), (vec![], vec![(100, 50, cause), (FRAMES - 10, 10, cause)]));
    let pass = &report.passes[0];
    assert_eq!((pass.absent, pass.is_short()), (Frames(60), true));
    assert!(pass.to_string().contains("the device came back without its input"), "{pass}");
    let (report, _) = scene.recover();
    assert!(report.passes.is_empty() && report.troubles.is_empty(), "{report:?}");
}

#[test]
fn hostile_ranges_of_a_progress_page_are_bounded() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    let file = OpenOptions::new().write(true).open(scene.progress_page()).unwrap();
    for at in (0..400).step_by(8) {
        let word = [0_u64, 1, u64::MAX - 1, u64::MAX][at / 8 % 4];
        file.write_all_at(&word.to_ne_bytes(), ABSENCES_AT + 8 + at as u64).unwrap();
    }
    file.write_all_at(&[0xff; 8], ABSENCES_AT).unwrap();
    let (_, session) = scene.recover();
    for take in session.takes() {
        assert_eq!((take.state, take.frames), (TakeState::Recovered, Frames(3 * WINDOW)));
        assert!(take.losses.iter().all(|loss| loss.at + loss.frames <= FramePos(3 * WINDOW)), "{:?}", take.losses);
    }
    session.validate().unwrap();
}

#[test]
fn a_session_that_is_only_played_says_that_a_copy_lists_more_takes() {
    let scene = Scene::bare(1);
    scene.recover();
    let overflow = scene.folder.path().join("overflow").display().to_string();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    session.remember_overflow_folder(overflow.clone());
    store.save(&session).unwrap();
    assert_eq!(gain(&scene.root(), &session), None);
    let mut more = session.clone();
    add_take(&mut more, Uuid::new_v4());
    let copy = more.copy_for_folder(&overflow, &scene.root().display().to_string());
    drop(OpenSession::open_on_other_disk(Path::new(&overflow), &copy).unwrap());
    let text = gain(&scene.root(), &session).unwrap();
    assert!(text.contains("lists a take that it does not list yet"), "{text}");
    drop(store);
    let (_, session) = scene.recover();
    assert_eq!((session.takes().len(), gain(&scene.root(), &session)), (2, None));
}

#[test]
fn takes_that_only_a_copy_lists_and_whose_files_were_never_made_end_when_the_folder_is_named_again() {
    let scene = Scene::bare(1);
    let (_, own) = scene.recover();
    let overflow = scene.folder.path().join("overflow");
    let root = scene.root().display().to_string();
    let mut more = own.clone();
    let identity = Uuid::new_v4();
    add_take(&mut more, identity);
    let copy = more.copy_for_folder(&overflow.display().to_string(), &root);
    drop(OpenSession::open_on_other_disk(&overflow, &copy).unwrap());
    let (mut store, found) = OpenSession::open_on_other_disk(&overflow, &own).unwrap();
    let mut copy = found.copy.unwrap();
    let report = copy::recover_copy(&mut store, &mut copy, &own, &[]);
    assert!(report.passes.is_empty() && report.troubles.len() == 1, "{report:?}");
    assert!(report.troubles[0].contains("before it had begun"), "{report:?}");
    let copy = copy.copy_for_folder(&root, &overflow.display().to_string());
    let mut merged = own.clone();
    assert!(merged.merge_newer_takes(&copy, CopyKind::Recovered, |_| false));
    let take = merged.takes().iter().find(|take| take.uuid == identity).unwrap();
    assert_eq!((take.state, take.frames), (TakeState::Recovered, Frames(0)));
    // A take that the session has forgotten is left alone.
    let mut given = own.clone();
    add_take(&mut given, Uuid::new_v4());
    let mut copy = more.copy_for_folder(&overflow.display().to_string(), &root);
    let report = copy::recover_copy(&mut store, &mut copy, &given, &[]);
    assert!(report.troubles.is_empty(), "{report:?}");
}
