//! Takes that the session lists and whose files were never made, and files of other programs that have their names. Thread:
//! test.

use super::*;
use crate::session::CopyKind;
use crate::session::session_file::takes_in_copies_only;

const SPLIT: u64 = 2 * WINDOW;
const FOREIGN: &[u8] = b"of another program";

/// Two takes whose pass was cut off by a power cut after `frames` frames. The first one was refused at frame `SPLIT`, and the session
/// lists its next file in an overflow folder, which was never made. Returns that folder and the path of the file.
fn scene(frames: u64) -> (Scene, PathBuf, PathBuf) {
    let scene = Scene::bare(2);
    scene.write_wav(0, Cut { committed: 2, claimed: SPLIT }, SPLIT);
    scene.write_wav(1, Cut { committed: 3, claimed: frames }, frames);
    let overflow = scene.folder.path().join("overflow");
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let (id, mut names) = (session.takes()[0].id, session.taken_names());
    session.remember_overflow_folder(overflow.display().to_string());
    let folder = Some(overflow.display().to_string());
    let next = session.add_continuation(id, Uuid::new_v4(), Frames(SPLIT), folder, &mut names).unwrap();
    let path = overflow.join(&session.take(next).unwrap().file);
    store.save(&session).unwrap();
    let copy = session.copy_for_folder(&overflow.display().to_string(), &scene.root().display().to_string());
    let (mut other, _) = OpenSession::open_on_other_disk(&overflow, &copy).unwrap();
    other.save(&copy).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    (scene, overflow, path)
}

/// Both takes have `frames` frames, in one file each. The first one lists what it lacks.
#[track_caller]
fn is_ended(session: &Session, frames: u64) {
    session.validate().unwrap();
    let facts: Vec<_> = session.takes().iter().map(|take| (take.state, take.offset.0, take.frames.0)).collect();
    assert_eq!(facts, [(TakeState::Recovered, 0, frames); 2]);
    let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!(losses, [(SPLIT, frames - SPLIT)]);
    assert!(session.takes()[1].losses.is_empty());
}

/// The take counted as being recorded for ever, and the takes of its pass had two ends.
#[test]
fn a_take_ends_before_a_next_file_that_is_another_programs() {
    const FRAMES: u64 = 3 * WINDOW;
    let (scene, _, path) = scene(FRAMES);
    fs::write(&path, FOREIGN).unwrap();
    let (report, session) = scene.recover();
    is_ended(&session, FRAMES);
    let [line] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
    assert!(line.contains(&path.display().to_string()) && line.contains("not the file that was recorded"), "{line}");
    assert_eq!(fs::read(&path).unwrap(), FOREIGN, "the file is left alone");
    // The copy in the overflow folder lists the file still.
    assert_eq!(takes_in_copies_only(&scene.root(), &session, super::take_wav::may_be_file_of), 0);
    let before = scene.files();
    let (report, again) = scene.recover();
    assert!(report.passes.is_empty() && report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(again == session && before == scene.files());
}

#[test]
fn a_next_file_that_was_taken_out_of_the_session_does_not_come_back_from_the_copy_in_the_overflow_folder() {
    const FRAMES: u64 = 3 * WINDOW;
    let (scene, overflow, path) = scene(FRAMES);
    let (_, mut session) = scene.recover();
    is_ended(&session, FRAMES);
    // Only now another program makes a file of the name that is free again.
    fs::write(&path, FOREIGN).unwrap();
    let (report, again) = scene.recover();
    assert!(report.passes.is_empty() && report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(again == session, "a start");
    let (mut store, found) = OpenSession::open_on_other_disk(&overflow, &session).unwrap();
    let mut copy = found.copy.unwrap();
    assert!(copy.takes().len() > session.takes().len());
    let report = copy::recover_copy(&mut store, &mut copy, &session, &[]);
    assert!(report.passes.is_empty() && report.troubles.is_empty(), "{:?}", report.troubles);
    let may_have_sound = |take: &Take| copy::may_have_sound(&store, &copy, take);
    let adopted = copy.copy_for_folder(&scene.root().display().to_string(), &overflow.display().to_string());
    let with_sound: Vec<Uuid> = copy.takes().iter().filter(|take| may_have_sound(take)).map(|take| take.uuid).collect();
    session.merge_newer_takes(&adopted, CopyKind::Recovered, |take| with_sound.contains(&take.uuid));
    assert_eq!(session.takes().len(), 2, "the folder is named again");
}

/// A header without an identity may be one that a power cut has emptied, so the file may be the take's own.
#[test]
fn a_next_file_whose_header_a_power_cut_emptied_is_the_takes_own() {
    let (scene, _, path) = scene(3 * WINDOW);
    fs::write(&path, [0; 4096]).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    let facts: Vec<_> = session.takes().iter().map(|take| (take.offset.0, take.frames.0)).collect();
    assert_eq!(facts, [(0, SPLIT), (0, 3 * WINDOW), (SPLIT, WINDOW)]);
}

/// The recovery forgot the file, could not, and began again without an end.
#[test]
fn a_next_file_that_has_frames_in_the_session_and_is_gone_is_left_and_said() {
    let (scene, _, _) = scene(3 * WINDOW);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let next = session.takes()[2].id;
    session.set_take_frames(next, Frames(WINDOW)).unwrap();
    store.save(&session).unwrap();
    drop(store);
    let (report, session) = scene.recover();
    assert_eq!(report.troubles.len(), 1, "{:?}", report.troubles);
    assert_eq!((session.takes()[2].state, session.takes()[2].frames), (TakeState::Recording, Frames(WINDOW)));
}

#[test]
fn a_take_that_never_began_and_whose_name_another_program_used_is_not_listed_and_its_file_stays() {
    let scene = Scene::bare(2);
    fs::write(&scene.plans[1].path, FOREIGN).unwrap();
    let (report, session) = scene.recover();
    let facts: Vec<_> = session.takes().iter().map(|take| (take.uuid, take.state, take.frames.0)).collect();
    assert_eq!(facts, [(scene.plans[0].identity, TakeState::Recovered, 0)]);
    let lines = report.troubles.join("\n");
    assert!(lines.contains("not listed any more") && lines.contains("without sound"), "{lines}");
    assert_eq!(fs::read(&scene.plans[1].path).unwrap(), FOREIGN);
    let (report, again) = scene.recover();
    assert!(report.passes.is_empty() && report.troubles.is_empty() && again == session, "{:?}", report.troubles);
}

/// A pass that was begun again under other names: the session lists the first takes, because its own disk was slow, and the
/// copy in the overflow folder those of the second attempt. The files of the first two names belong to the second attempt,
/// and another program has made the third. Returns the identities of the second attempt.
fn scene_of_a_pass_begun_again(frames: u64) -> (Scene, Vec<Uuid>) {
    let mut scene = Scene::bare(3);
    let overflow = scene.folder.path().join("overflow").display().to_string();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    session.remember_overflow_folder(overflow.clone());
    let mut again = session.clone();
    let first: Vec<Take> = again.takes().to_vec();
    for take in &first {
        again.forget_take(take.id).unwrap();
    }
    let mut names = again.taken_names();
    names.insert(first[2].file_name());
    for (index, take) in first.iter().enumerate() {
        let new = NewTake {
            uuid: Uuid::new_v4(),
            track: take.track,
            pass: take.pass,
            inputs: take.inputs.clone(),
            channels: take.channels,
            rate: take.rate,
            format: take.format,
            start: take.start,
            started: take.started.clone(),
        };
        let identity = new.uuid;
        let id = again.add_take(new, &mut names).unwrap();
        let plan = &mut scene.plans[index];
        (plan.identity, plan.path) =
            (identity, scene.folder.path().join("session").join(&again.take(id).unwrap().file));
        plan.header.bext.originator_reference = identity.simple().to_string();
        scene.write_wav(index, Cut { committed: 0, claimed: frames }, frames);
    }
    fs::write(scene.root().join(&first[2].file), FOREIGN).unwrap();
    assert_eq!(
        (again.takes()[0].file.clone(), again.takes()[1].file.clone()),
        (first[0].file.clone(), first[1].file.clone())
    );
    store.save(&session).unwrap();
    let copy = again.copy_for_folder(&overflow, &scene.root().display().to_string());
    OpenSession::open_on_other_disk(Path::new(&overflow), &copy).unwrap();
    let identities = scene.plans.iter().map(|plan| plan.identity).collect();
    (scene, identities)
}

/// The first recovery said that the files were not those that were recorded, and only the second one took the takes of the
/// copy over.
#[test]
fn the_first_recovery_finds_the_takes_of_a_pass_that_was_begun_again_under_the_same_names() {
    for frames in [0, 2 * WINDOW] {
        let (scene, identities) = scene_of_a_pass_begun_again(frames);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        session.validate().unwrap();
        let facts: Vec<_> =
            session.takes().iter().map(|take| (take.uuid, take.pass, take.state, take.frames.0)).collect();
        let want: Vec<_> = identities.iter().map(|uuid| (*uuid, 1, TakeState::Recovered, frames)).collect();
        assert_eq!(facts, want);
        let before = scene.files();
        let (report, again) = scene.recover();
        assert!(report.passes.is_empty() && report.troubles.is_empty(), "{:?}", report.troubles);
        assert!(again == session && before == scene.files());
    }
}

/// The power went before the files of the second attempt were durable: the files of the first one are there.
#[test]
fn takes_whose_files_are_those_of_the_first_attempt_stay_out_and_the_rest_of_the_copy_is_taken_over() {
    let (mut scene, identities) = scene_of_a_pass_begun_again(0);
    let (_, session) = OpenSession::open(&scene.root()).unwrap();
    for (index, take) in session.takes().iter().take(2).enumerate() {
        scene.plans[index].header.bext.originator_reference = take.uuid.simple().to_string();
        scene.write_wav(index, Cut { committed: 0, claimed: 0 }, 0);
    }
    let (_, session) = scene.recover();
    session.validate().unwrap();
    let has = |uuid: Uuid| session.takes().iter().any(|take| take.uuid == uuid);
    assert_eq!(identities.iter().map(|uuid| has(*uuid)).collect::<Vec<_>>(), [false, false, true]);
    assert!(session.takes().iter().all(|take| take.state == TakeState::Recovered));
    let before = scene.files();
    let (report, again) = scene.recover();
    assert!(report.passes.is_empty() && report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(again == session && before == scene.files());
}
