//! Recoveries that do not see the memory of the recording, or see it from another place. Thread: test.

use super::*;
use crate::recovery::viewpoint::spool_record;
use crate::session::SpoolRecord;

/// A user that the tests do not run as.
const OTHER_USER: u32 = 4242;

const FRAMES: u64 = 3 * WINDOW + 77;

/// A recording that was cut off and that names its memory, changed by `change`.
fn scene(change: impl Fn(&mut SpoolRecord)) -> Scene {
    let scene = Scene::new(&TWO, FRAMES);
    let mut record = spool_record(&SpoolPlace::Folder(scene.memory.path().to_owned()), None);
    change(&mut record);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    for id in session.takes().iter().map(|take| take.id).collect::<Vec<_>>() {
        session.set_take_spool(id, record.clone()).unwrap();
    }
    store.save(&session).unwrap();
    scene
}

/// A program of another folder for memory, as with another `XDG_RUNTIME_DIR`.
fn no_folders() -> Viewpoint {
    Viewpoint::here(&[])
}

fn recover_as(scene: &Scene, view: &Viewpoint) -> (Report, Session) {
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let report = recover_from(&mut store, &mut session, view, &mut |_| Ok(()));
    drop(store);
    assert_eq!(OpenSession::open(&scene.root()).unwrap().1, session);
    (report, session)
}

/// The recovery from `view` changes nothing and says why in one line; the one by the owner then loses no frame.
#[track_caller]
fn is_left_for_its_owner(scene: &Scene, view: &Viewpoint, owner: &Viewpoint, words: &[&str]) {
    let before = scene.files();
    let (report, session) = recover_as(scene, view);
    assert!(report.passes.is_empty(), "{report:?}");
    let [line] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
    assert!(words.iter().all(|word| line.contains(word)) && line.contains("faultless recover"), "{line}");
    assert!(session.takes().iter().all(|take| take.state == TakeState::Recording));
    assert!(before == scene.files(), "nothing is changed and nothing is removed");
    let (report, session) = recover_as(scene, owner);
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, whole);
    assert!(session.takes().iter().all(|take| take.spool.is_none()), "a finished take has no memory");
}

#[test]
fn a_recovery_with_another_folder_for_memory_finds_the_one_that_the_session_names() {
    let scene = scene(|_| {});
    let (report, session) = recover_as(&scene, &no_folders());
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, whole);
}

#[test]
fn a_recovery_by_another_user_leaves_the_takes_for_their_owner() {
    let scene = scene(|_| {});
    let view = Viewpoint { uid: OTHER_USER, ..no_folders() };
    is_left_for_its_owner(&scene, &view, &scene.view(), &["2 takes", "belongs to user", "as that user"]);
}

#[test]
fn root_reads_the_memory_of_the_user_who_recorded() {
    if !nix::unistd::getuid().is_root() {
        return;
    }
    let scene = scene(|record| record.uid = OTHER_USER);
    for path in [scene.memory.path().to_owned(), scene.spool(0), scene.spool(1), scene.progress_page()] {
        std::os::unix::fs::chown(path, Some(OTHER_USER), None).unwrap();
    }
    let (report, session) = recover_as(&scene, &no_folders());
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, whole);
}

#[test]
fn a_recovery_in_a_container_with_another_file_system_for_memory_leaves_the_takes() {
    let scene = scene(|record| {
        // The folder exists for the owner only.
        record.folder = Some("/nowhere/faultless-1".to_owned());
        record.device = "999:999".to_owned();
        record.mounts = "mnt:[1]".to_owned();
    });
    is_left_for_its_owner(&scene, &no_folders(), &scene.view(), &["/nowhere/faultless-1", "another one here"]);
}

#[test]
fn a_session_that_was_carried_to_another_machine_is_left_until_the_user_does_without_the_memory() {
    let change = |record: &mut SpoolRecord| {
        (record.machine, record.boot) = ("another".to_owned(), "another".to_owned());
    };
    let place = scene(change);
    is_left_for_its_owner(&place, &no_folders(), &place.view(), &["another machine", "--without-memory"]);
    let place = scene(change);
    let (report, session) = recover_as(&place, &Viewpoint { without_memory: true, ..no_folders() });
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(session.takes().iter().all(|take| take.state == TakeState::Recovered));
    assert!(report.passes[0].to_string().contains("asked to do without it"), "{}", report.passes[0]);
    let (_, _) = place.recover();
    assert!(place.spool(0).exists() && place.spool(1).exists() && place.progress_page().exists(), "nothing is lost");
}

#[test]
fn memory_of_another_boot_is_gone_for_certain_and_the_reason_is_named() {
    let scene = scene(|record| record.boot = "another".to_owned());
    for path in [scene.spool(0), scene.spool(1), scene.progress_page()] {
        fs::remove_file(path).unwrap();
    }
    let (report, session) = recover_as(&scene, &Viewpoint { uid: OTHER_USER, ..no_folders() });
    scene.check(&session, 2 * WINDOW, |take, frame| take == 1 && WINDOW <= frame);
    let text = report.passes[0].to_string();
    assert!(text.contains("what was in memory only is gone (the machine was restarted since)"), "{text}");
}

#[test]
fn a_file_that_its_own_folder_does_not_have_any_more_is_gone_for_certain() {
    // The second case: the whole folder was removed from its file system.
    for folder_too in [false, true] {
        let scene = scene(|_| {});
        for path in [scene.spool(0), scene.spool(1), scene.progress_page()] {
            fs::remove_file(path).unwrap();
        }
        if folder_too {
            fs::remove_dir(scene.memory.path()).unwrap();
        }
        let (report, session) = recover_as(&scene, &no_folders());
        assert!(session.takes().iter().all(|take| (take.state, take.frames.0) == (TakeState::Recovered, 2 * WINDOW)));
        assert!(report.passes[0].to_string().contains("does not have it any more"), "{}", report.passes[0]);
    }
}

#[test]
fn a_file_system_for_memory_that_is_mounted_nowhere_any_more_is_gone_for_certain() {
    let scene = scene(|record| {
        record.folder = Some("/nowhere/faultless-1".to_owned());
        record.device = "999:999".to_owned();
    });
    let (report, _) = recover_as(&scene, &no_folders());
    assert!(report.passes[0].to_string().contains("as at a logout"), "{}", report.passes[0]);
}

#[test]
fn a_spool_with_more_sound_than_its_finished_take_is_kept_and_listed() {
    // With and without the page that counts the frames. An earlier program has ended the takes early.
    for with_page in [true, false] {
        let scene = Scene::new(&TWO, FRAMES);
        if !with_page {
            fs::remove_file(scene.progress_page()).unwrap();
        }
        let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
        let report = recover_from(&mut store, &mut session, &no_folders(), &mut |_| Ok(()));
        assert_eq!((report.passes[0].basis, report.passes[0].frames), (Basis::Disk, Frames(2 * WINDOW)));
        drop(store);
        scene.recover();
        assert!(scene.spool(0).exists() && scene.spool(1).exists());
        assert_eq!(scene.progress_page().exists(), with_page);
        let listed = leftover::list(&[scene.memory.path().to_owned()]);
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|left| left.state.contains("without the last 0.09 s")), "{listed:?}");
    }
}

#[test]
fn sound_of_a_period_that_the_kill_interrupted_does_not_keep_a_spool() {
    let scene = Scene::new(&TWO, FRAMES);
    // The page counts whole periods only.
    scene.write_page(FRAMES - 64);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES - 64, whole);
}

#[test]
fn the_spool_of_a_take_whose_first_file_is_out_of_reach_is_kept() {
    let scene = Scene::new(&TWO, FRAMES);
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let take = session.takes()[0].clone();
    let mut names = session.taken_names();
    session.add_continuation(take.id, Uuid::new_v4(), Frames(2 * WINDOW), None, &mut names).unwrap();
    store.save(&session).unwrap();
    let next = session.takes()[2].clone();
    let bext = Bext { originator_reference: next.uuid.simple().to_string(), ..Bext::default() };
    let header = Header { bext, ..Header::new(1, 48_000, TakeFormat::S24) };
    fs::write(store.path().join(&next.file), &header.build()[..]).unwrap();
    drop(store);
    fs::rename(&scene.plans[0].path, scene.folder.path().join("away.wav")).unwrap();
    let (_, session) = scene.recover();
    assert_eq!(session.takes()[0].state, TakeState::Recording);
    assert!(scene.spool(0).exists(), "the first file may need it");
}
