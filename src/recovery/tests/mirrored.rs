//! Recovery with a mirror. Thread: test.

use super::*;
use crate::message::replica::ReplicaPair;
use std::sync::Arc;

impl Scene {
    /// Like [`Scene::new`], with a mirror whose files have what the session's files have. Returns the mirror's folder.
    pub(super) fn mirrored(cuts: &[Cut], frames: u64) -> (Scene, PathBuf) {
        let mut scene = Scene::bare(cuts.len());
        let mirror = scene.folder.path().join("mirror");
        let (_, session) = OpenSession::open(&scene.root()).unwrap();
        drop(OpenSession::open_on_other_disk(&mirror, &session).unwrap());
        for (index, cut) in cuts.iter().enumerate() {
            scene.write_wav(index, *cut, cut.committed * WINDOW);
            let own = scene.plans[index].path.clone();
            let replica = mirror.join("audio").join(own.file_name().unwrap());
            fs::copy(&own, &replica).unwrap();
            scene.plans[index].pair = Some(Arc::new(ReplicaPair::new(own, replica)));
            scene.write_spool(index, cut.committed, frames);
        }
        scene.write_progress(frames, true, &[]);
        (scene, mirror)
    }
}

#[test]
fn a_gap_that_no_hole_marks_is_filled_from_the_other_replica() {
    let cut = Cut { committed: 3, claimed: WINDOW };
    let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW);
    let replica = |index: usize| mirror.join("audio").join(scene.plans[index].path.file_name().unwrap());
    // The session's disk stood still, and that of the mirror later. Their file systems do not know holes: there are zeros.
    for (path, first) in [(&scene.plans[0].path, WINDOW + 100), (&replica(1), 2 * WINDOW)] {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&vec![0; ((3 * WINDOW - first) * BYTES) as usize], at(first)).unwrap();
    }
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, 4 * WINDOW, |_, _| false);
    for (index, take) in session.takes().iter().enumerate() {
        assert!(take.losses.is_empty());
        assert!(fs::read(replica(index)).unwrap() == fs::read(scene.root().join(&take.file)).unwrap(), "{}", take.file);
    }
}

#[test]
fn an_older_file_that_stands_in_the_place_of_a_take_lists_what_it_lacks() {
    // The header claims a second, the memory begins after nine: more than a header can be behind.
    let (claimed, memory) = (12, 108);
    let scene = Scene::bare(1);
    scene.write_wav(0, Cut { committed: memory, claimed: claimed * WINDOW }, claimed * WINDOW);
    let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    file.write_all_at(&vec![0; ((memory - claimed) * WINDOW * BYTES) as usize], at(claimed * WINDOW)).unwrap();
    scene.write_spool(0, memory, (memory + 1) * WINDOW);
    scene.write_progress((memory + 1) * WINDOW, true, &[]);
    let (report, session) = scene.recover();
    assert_eq!(report.passes[0].missing, Frames((memory - claimed) * WINDOW));
    let losses = &session.takes()[0].losses;
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert_eq!((losses[0].at.0, losses[0].frames.0), (claimed * WINDOW, (memory - claimed) * WINDOW));
}
