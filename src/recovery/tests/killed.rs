//! Recoveries that are killed before they have saved the session. Thread: test.

use super::mirrored::ahead;
use super::*;
use crate::wav::bext::UNFINISHED_IN_PLACE;

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

/// The first recovery finished the file of the mirror before the one of the session. The second one believed neither the claim
/// of the mirror, which a recovery had written, nor the sound behind the claim of the session, and cut that sound off.
#[test]
fn a_recovery_that_was_killed_keeps_the_sound_that_it_took_from_the_mirror() {
    for last in 0.. {
        let (scene, mirror) = ahead("being recorded");
        let was_killed = scene.recover_until_killed(last);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "killed after {last} steps: {:?}", report.troubles);
        scene.check(&session, 4 * WINDOW, whole);
        for (index, take) in session.takes().iter().enumerate() {
            let replica = fs::read(scene.replica(&mirror, index)).unwrap();
            assert!(replica == fs::read(scene.root().join(&take.file)).unwrap(), "killed after {last} steps");
        }
        if !was_killed {
            break;
        }
    }
}

/// A recovery wrote a header that claims the silence of a loss, and the power went before it saved the session, which lists the
/// loss. The next one had no memory to know it from.
#[test]
fn a_power_cut_in_a_recovery_hides_no_loss_that_the_memory_knew() {
    let loss = ProgressLoss { at: FramePos(WINDOW + 100), frames: Frames(500), cause: 1 };
    for last in 0.. {
        let cut = Cut { committed: 2, claimed: WINDOW };
        let scene = Scene::bare(2);
        for take in 0..2 {
            scene.write_wav(take, cut, 2 * WINDOW);
            let file = OpenOptions::new().write(true).open(&scene.plans[take].path).unwrap();
            file.write_all_at(&[0; 1500], at(loss.at.0)).unwrap();
            scene.write_spool(take, 2, 2 * WINDOW + 100);
        }
        scene.write_progress(2 * WINDOW + 100, true, &[loss]);
        let was_killed = scene.recover_until_killed(last);
        for entry in fs::read_dir(scene.memory.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let (_, session) = scene.recover();
        for take in session.takes() {
            let end = at(take.frames.0) as usize;
            let bytes = fs::read(scene.root().join(&take.file)).unwrap();
            let has_silence = at(loss.at.0) as usize + 3 < end && bytes[at(loss.at.0) as usize..][..3] == [0; 3];
            let lists_it = take.losses.iter().any(|listed| listed.at == loss.at);
            assert!(!has_silence || lists_it, "killed after {last} steps: {take:?}");
        }
        if !was_killed {
            break;
        }
    }
}

/// The silence of a loss was never written, and counted as the end of the sound: all sound behind it was listed as lost.
#[test]
fn sound_behind_a_loss_that_the_session_lists_is_not_lost_when_the_memory_is_gone() {
    // The power cut left the header of the second take before the loss.
    let claims = [6 * WINDOW, 2 * WINDOW];
    for whole_behind in [false, true] {
        let scene = Scene::bare(2);
        for (take, claimed) in claims.into_iter().enumerate() {
            scene.write_wav(take, Cut { committed: 2, claimed }, 2 * WINDOW);
            let file = OpenOptions::new().write(true).open(&scene.plans[take].path).unwrap();
            file.write_all_at(&sound(take, 4 * WINDOW..5 * WINDOW), at(4 * WINDOW)).unwrap();
            if take == 0 || whole_behind {
                file.write_all_at(&sound(take, 5 * WINDOW..6 * WINDOW), at(5 * WINDOW)).unwrap();
            }
        }
        let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
        for id in session.takes().iter().map(|take| take.id).collect::<Vec<_>>() {
            session.list_loss(id, FramePos(2 * WINDOW), Frames(2 * WINDOW), "device away").unwrap();
        }
        store.save(&session).unwrap();
        drop(store);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        let is_lost = |frame: u64| (2 * WINDOW..4 * WINDOW).contains(&frame);
        scene.check(&session, 6 * WINDOW, |take, frame| {
            is_lost(frame) || (take == 1 && !whole_behind && 5 * WINDOW <= frame)
        });
        let of = |take: usize| -> Vec<(u64, u64)> {
            session.takes()[take].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect()
        };
        let loss = (2 * WINDOW, 2 * WINDOW);
        let second = if whole_behind { vec![loss] } else { vec![loss, (5 * WINDOW, WINDOW)] };
        assert_eq!((of(0), of(1)), (vec![loss], second));
    }
}

/// A header of a take that is recorded in place claims what need not be durable. The power went, and the blocks that had not
/// reached the disk counted as recorded silence.
#[test]
fn blocks_that_never_reached_the_disk_are_losses_of_a_take_that_was_recorded_in_place() {
    for last in 0.. {
        let mut scene = Scene::bare(2);
        for plan in &mut scene.plans {
            plan.header.bext.coding_history = format!("A=PCM,T=Faultless; {UNFINISHED_IN_PLACE}");
        }
        let cut = Cut { committed: 0, claimed: 4 * WINDOW };
        scene.write_wav(0, cut, 4 * WINDOW);
        scene.write_wav(1, cut, WINDOW);
        let file = OpenOptions::new().write(true).open(&scene.plans[1].path).unwrap();
        file.write_all_at(&sound(1, 2 * WINDOW..3 * WINDOW), at(2 * WINDOW)).unwrap();
        let was_killed = scene.recover_until_killed(last);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        let is_lost = |frame: u64| frame / WINDOW % 2 == 1;
        scene.check(&session, 4 * WINDOW, |take, frame| take == 1 && is_lost(frame));
        let losses: Vec<_> = session.takes()[1].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
        assert_eq!(losses, [(WINDOW, WINDOW), (3 * WINDOW, WINDOW)], "killed after {last} steps");
        assert!(session.takes()[0].losses.is_empty());
        if !was_killed {
            break;
        }
    }
}

/// A recovery without memory was stopped when it had saved what it did not find. The memory has that sound.
#[test]
fn a_loss_of_a_recovery_that_was_stopped_goes_if_memory_has_its_sound() {
    for last in 0.. {
        let scene = Scene::new(&TWO, 3 * WINDOW + 100);
        let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
        let view = Viewpoint { without_memory: true, ..Viewpoint::here(&[]) };
        let mut steps = 0;
        let report = recover_from(&mut store, &mut session, &view, &mut |_| {
            steps += 1;
            if last < steps { Err(io::Error::other("killed")) } else { Ok(()) }
        });
        drop(store);
        if steps <= last {
            assert_eq!(report.passes[0].missing, Frames(WINDOW));
            break;
        }
        let (_, session) = scene.recover();
        let facts: Vec<_> = session.takes().iter().map(|take| (take.frames.0, take.losses.len())).collect();
        assert_eq!(facts, [(3 * WINDOW + 100, 0); 2], "killed after {last} steps");
    }
}
