//! Takes whose files do not exist. Thread: test.

use super::*;

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
