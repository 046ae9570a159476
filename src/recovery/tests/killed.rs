//! Recoveries that are killed before they have saved the session. Thread: test.

use super::*;

impl Scene {
    /// Recovers, and is killed after so many steps. Returns whether the recovery needs more.
    pub(super) fn recover_until_killed(&self, steps_max: usize) -> bool {
        let mut steps = 0;
        self.recover_in_steps(&mut |_| {
            steps += 1;
            if steps_max < steps { Err(io::Error::other("killed")) } else { Ok(()) }
        });
        steps_max < steps
    }
}

/// A recovery wrote the length of the pass into the header of a take that has less, and was killed before it saved the
/// session. The next one believed the header.
#[test]
fn a_recovery_that_was_killed_hides_no_loss_from_the_next_one() {
    let losses = |session: &Session| -> Vec<Vec<(u64, u64)>> {
        session.takes().iter().map(|take| take.losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect()).collect()
    };
    // The disk refused the second window of the second take, and the power went.
    let without_memory = || {
        let cuts = [Cut { committed: 2, claimed: 2 * WINDOW }, Cut { committed: 1, claimed: WINDOW }];
        let scene = Scene::new(&cuts, 2 * WINDOW + 100);
        for entry in fs::read_dir(scene.memory.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        scene
    };
    // The second window of the second take is neither on the disk nor in memory.
    let with_memory = || {
        let scene = Scene::bare(2);
        for (take, first) in [1, 2].into_iter().enumerate() {
            scene.write_wav(take, Cut { committed: 1, claimed: WINDOW }, WINDOW);
            scene.write_spool(take, first, 3 * WINDOW);
        }
        scene.write_progress(3 * WINDOW, true, &[]);
        scene
    };
    for scene in [&without_memory as &dyn Fn() -> Scene, &with_memory] {
        for last in 0.. {
            let scene = scene();
            let was_killed = scene.recover_until_killed(last);
            let (report, session) = scene.recover();
            assert!(report.troubles.is_empty(), "{:?}", report.troubles);
            assert_eq!(losses(&session), [vec![], vec![(WINDOW, WINDOW)]], "killed after {last} steps");
            if !was_killed {
                break;
            }
        }
    }
}
