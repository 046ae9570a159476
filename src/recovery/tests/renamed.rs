//! Takes whose files have other names than the session lists. Thread: test.

use super::found_files::find_files;
use super::*;
use crate::session::session_file::open_read_only;

const FRAMES: u64 = 3 * WINDOW + 100;

impl Scene {
    fn audio(&self, name: &str) -> PathBuf {
        self.root().join("audio").join(name)
    }

    fn rename(&self, index: usize, name: &str) {
        fs::rename(&self.plans[index].path, self.audio(name)).unwrap();
    }

    /// Names of the files that the session lists.
    #[track_caller]
    fn listed(&self, names: [&str; 2]) {
        let (store, session) = OpenSession::open(&self.root()).unwrap();
        drop(store);
        assert_eq!(session.takes().iter().map(Take::file_name).collect::<Vec<_>>(), names);
    }
}

#[test]
fn a_take_that_was_cut_off_is_recovered_under_the_name_that_its_file_has_now() {
    let scene = Scene::new(&TWO, FRAMES);
    scene.rename(0, "Kick.wav");
    let (report, session) = scene.recover();
    assert_eq!(report.found, ["take 'audio/In 1-1.wav' was found as 'audio/Kick.wav'"]);
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, whole);
    scene.listed(["Kick.wav", "In 2-1.wav"]);
    let before = scene.files();
    let (report, again) = scene.recover();
    assert!(report.found.is_empty() && report.passes.is_empty() && report.troubles.is_empty(), "{report:?}");
    assert!(again == session && before == scene.files());
}

#[test]
fn a_recovery_that_is_killed_after_it_found_a_file_is_finished_by_the_next_one() {
    for last in 0.. {
        let scene = Scene::new(&TWO, FRAMES);
        scene.rename(1, "Snare.wav");
        let was_killed = scene.recover_until_killed(last);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        scene.check(&session, FRAMES, whole);
        if !was_killed {
            break;
        }
    }
}

#[test]
fn a_finished_take_is_listed_under_the_name_that_its_file_has_now_also_by_a_reader() {
    let scene = Scene::new(&TWO, FRAMES);
    scene.recover();
    scene.rename(0, "Kick.wav");
    let mut read = open_read_only(&scene.root()).unwrap();
    let searched = find_files(&scene.root(), &mut read);
    assert_eq!((searched.found.len(), searched.troubles.len()), (1, 0));
    assert_eq!(read.takes()[0].file, "audio/Kick.wav");
    scene.listed(["In 1-1.wav", "In 2-1.wav"]);
    let (report, session) = scene.recover();
    assert_eq!(report.found, searched.found);
    assert!(session == read && report.passes.is_empty());
    scene.listed(["Kick.wav", "In 2-1.wav"]);
}

#[test]
fn an_older_session_file_that_lists_the_name_before_leads_to_the_take() {
    let scene = Scene::new(&TWO, FRAMES);
    let older = fs::read(scene.root().join("session.json")).unwrap();
    scene.recover();
    scene.rename(0, "Kick-1.wav");
    // A later take got the name that was free.
    fs::copy(scene.audio("In 2-1.wav"), scene.audio("In 1-1.wav")).unwrap();
    scene.recover();
    fs::write(scene.root().join("session.json"), older).unwrap();
    let (report, session) = scene.recover();
    assert_eq!(report.found.len(), 1, "{report:?}");
    assert_eq!(session.takes()[0].file, "audio/Kick-1.wav");
    scene.check(&session, FRAMES, whole);
}

#[test]
fn of_several_files_with_the_identity_of_a_missing_take_none_is_chosen_and_the_user_learns_it() {
    let scene = Scene::new(&TWO, FRAMES);
    scene.recover();
    fs::copy(scene.audio("In 1-1.wav"), scene.audio("copy.wav")).unwrap();
    let (report, _) = scene.recover();
    assert!(report.found.is_empty() && report.troubles.is_empty(), "the file is there: {report:?}");
    scene.rename(0, "other.wav");
    let (report, _) = scene.recover();
    let [trouble] = &report.troubles[..] else { panic!("{report:?}") };
    assert!(["In 1-1.wav", "copy.wav", "other.wav"].iter().all(|name| trouble.contains(name)), "{trouble}");
    scene.listed(["In 1-1.wav", "In 2-1.wav"]);
    // A copy that is cut short does not count.
    let copy = OpenOptions::new().write(true).open(scene.audio("copy.wav")).unwrap();
    copy.set_len(at(FRAMES - 1)).unwrap();
    let (report, _) = scene.recover();
    assert!(report.found.len() == 1 && report.troubles.is_empty(), "{report:?}");
    scene.listed(["other.wav", "In 2-1.wav"]);
}

/// The copy that another program had put into the place of a take has the take's identity, and may have all of its sound.
#[test]
fn a_copy_of_another_program_that_was_moved_aside_is_not_chosen_for_a_take_that_has_another_name() {
    let scene = Scene::new(&TWO, FRAMES);
    scene.recover();
    fs::copy(scene.audio("In 1-1.wav"), scene.audio("In 1-1 (of another program 1).wav")).unwrap();
    scene.rename(0, "other.wav");
    let (report, _) = scene.recover();
    assert!(report.found.len() == 1 && report.troubles.is_empty(), "{report:?}");
    scene.listed(["other.wav", "In 2-1.wav"]);
}

#[test]
fn a_stem_that_was_exported_from_a_missing_take_is_not_the_take() {
    let scene = Scene::new(&TWO, FRAMES);
    scene.recover();
    let plan = &scene.plans[0];
    let history = format!("A=PCM,T={}", crate::wav::bext::EXPORT_REMARK);
    let bext = Bext { coding_history: history, ..plan.header.bext.clone() };
    let header = Header { bext, data_bytes: FRAMES * BYTES, ..plan.header.clone() };
    let stem = [&header.build()[..], &sound(0, 0..FRAMES)].concat();
    fs::write(scene.audio("01 In 1.wav"), stem).unwrap();
    fs::rename(&plan.path, scene.folder.path().join("away.wav")).unwrap();
    let (report, _) = scene.recover();
    assert!(report.found.is_empty() && report.troubles.is_empty(), "{report:?}");
    scene.listed(["In 1-1.wav", "In 2-1.wav"]);
}

#[test]
fn a_file_that_a_restored_session_lists_and_that_is_in_the_trash_comes_back() {
    let scene = Scene::new(&TWO, FRAMES);
    scene.recover();
    fs::rename(scene.audio("In 1-1.wav"), scene.root().join("trash/Kick-1.wav")).unwrap();
    let (report, session) = scene.recover();
    assert_eq!(report.found.len(), 1, "{report:?}");
    assert!(scene.audio("Kick-1.wav").exists());
    scene.check(&session, FRAMES, whole);
}

#[test]
fn the_replica_of_a_take_in_a_mirror_is_found_by_its_identity_too() {
    let (scene, mirror) = Scene::mirrored(&TWO, FRAMES);
    // The program was killed when it had renamed one file of two.
    fs::rename(mirror.join("audio/In 1-1.wav"), mirror.join("audio/Kick-1.wav")).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, whole);
    let replicas = ["Kick-1.wav", "In 2-1.wav"].map(|name| fs::read(mirror.join("audio").join(name)).unwrap());
    for (replica, take) in replicas.iter().zip(session.takes()) {
        assert!(*replica == fs::read(scene.root().join(&take.file)).unwrap(), "{}", take.file);
    }
    // The mirror, opened as a session, lists the file under the name that it has.
    let (mut store, mut session) = OpenSession::open(&mirror).unwrap();
    let report = recover_from(&mut store, &mut session, &scene.view(), &mut |_| Ok(()));
    assert_eq!(report.found, ["take 'audio/In 1-1.wav' was found as 'audio/Kick-1.wav'"]);
}
