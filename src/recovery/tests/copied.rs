//! Sessions that were copied or moved, and whose files at the place of the recording are not there. Thread: test.

use super::*;
use crate::spool_index::{Shape, Target, target_at};

const FRAMES: u64 = 3 * WINDOW + 77;

impl Scene {
    /// Notes in the spools which files get the sound, as a committer does.
    fn note_targets(&self) {
        for (index, plan) in self.plans.iter().enumerate() {
            let shape = Shape::new(plan.identity.as_u128(), (WINDOW * BYTES) as usize);
            let target = Target { file: fs::metadata(&plan.path).unwrap().ino(), bytes_before: 0, is_changed: false };
            let file = OpenOptions::new().write(true).open(self.spool(index)).unwrap();
            file.write_all_at(&shape.target_bytes(target), target_at(0)).unwrap();
        }
    }

    fn recover_at(&self, root: &Path) -> (Report, Session) {
        let (mut store, mut session) = OpenSession::open(root).unwrap();
        let report = recover_from(&mut store, &mut session, &self.view(), &mut |_| Ok(()));
        (report, session)
    }

    fn is_in_memory(&self) -> bool {
        self.progress_page().exists() && (0..self.plans.len()).all(|index| self.spool(index).exists())
    }
}

/// The losses of each take.
fn losses(session: &Session) -> Vec<Vec<(u64, u64)>> {
    let of = |take: &Take| take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    session.takes().iter().map(of).collect()
}

/// The recovery of the copy removed the memory, and the disk came back with a session that had lost its last seconds.
#[test]
fn memory_that_a_session_on_a_disk_that_is_away_may_need_is_kept_and_the_user_learns_it() {
    let cut = Cut { committed: 2, claimed: 2 * WINDOW };
    let scene = Scene::new(&[cut, cut], FRAMES);
    scene.note_targets();
    // The copy was made when each file had one window.
    let copy = scene.folder.path().join("copy");
    fs::create_dir_all(copy.join("audio")).unwrap();
    fs::copy(scene.root().join("session.json"), copy.join("session.json")).unwrap();
    for plan in &scene.plans {
        fs::copy(&plan.path, copy.join(plan.path.strip_prefix(scene.root()).unwrap())).unwrap();
    }
    for plan in &scene.plans {
        let file = OpenOptions::new().write(true).open(copy.join(plan.path.strip_prefix(scene.root()).unwrap()));
        let file = file.unwrap();
        let header = Header { data_bytes: WINDOW * BYTES, ..plan.header.clone() };
        file.write_all_at(&*header.build(), 0).unwrap();
        file.set_len(at(WINDOW)).unwrap();
    }
    let away = scene.folder.path().join("away");
    fs::rename(scene.root(), &away).unwrap();
    // At each start.
    for passes in [1, 0] {
        let (report, session) = scene.recover_at(&copy);
        assert_eq!(report.passes.len(), passes);
        for lost in losses(&session) {
            let [(first, frames)] = lost[..] else { panic!("{lost:?}") };
            // The last byte of a sample can be zero, like those that are lost.
            assert!((WINDOW - 1..=WINDOW).contains(&first) && first + frames == 2 * WINDOW, "{lost:?}");
        }
        assert!(scene.is_in_memory());
        assert_eq!(report.troubles.len(), 2, "once for each spool: {:?}", report.troubles);
        for (index, plan) in scene.plans.iter().enumerate() {
            let names = [scene.spool(index), plan.path.clone()].map(|path| path.display().to_string());
            let line = report.troubles.iter().find(|line| names.iter().all(|name| line.contains(name))).unwrap();
            assert!(line.contains("connect its disk") && line.contains("--discard"), "{line}");
        }
    }
    fs::rename(&away, scene.root()).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, whole);
}

#[test]
fn a_session_that_was_renamed_has_its_own_files_and_gives_its_memory_back() {
    let scene = Scene::new(&TWO, FRAMES);
    scene.note_targets();
    let renamed = scene.folder.path().join("renamed");
    fs::rename(scene.root(), &renamed).unwrap();
    let (report, session) = scene.recover_at(&renamed);
    assert!(report.troubles.is_empty() && report.passes.len() == 1, "{:?}", report.troubles);
    assert!(session.takes().iter().all(|take| take.losses.is_empty() && take.frames == Frames(FRAMES)));
    assert_eq!(fs::read_dir(scene.memory.path()).unwrap().count(), 0, "memory is given back");
}

/// The file of the mirror counted as a copy that another program had made, and its recorded silence as lost. The session's own
/// file lost its last seconds.
#[test]
fn a_mirror_that_is_opened_while_the_sessions_disk_is_away_is_no_copy_and_leaves_the_memory_to_the_session() {
    let cut = Cut { committed: 2, claimed: WINDOW };
    let (scene, mirror) = Scene::mirrored(&[cut], FRAMES);
    scene.note_targets();
    let own = scene.plans[0].path.clone();
    let silence = WINDOW + 500..WINDOW + 700;
    for path in [&own, &mirror.join("audio").join(own.file_name().unwrap())] {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&vec![0; ((silence.end - silence.start) * BYTES) as usize], at(silence.start)).unwrap();
    }
    let away = scene.folder.path().join("away");
    fs::rename(scene.root(), &away).unwrap();
    let (report, session) = scene.recover_at(&mirror);
    assert_eq!((report.passes.len(), losses(&session)), (1, vec![vec![]]), "{:?}", report.troubles);
    assert!(scene.is_in_memory());
    assert_eq!(report.troubles.len(), 1, "{:?}", report.troubles);
    fs::rename(&away, scene.root()).unwrap();
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, |_, frame| silence.contains(&frame));
}
