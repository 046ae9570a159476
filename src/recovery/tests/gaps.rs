//! Gaps of the session's file that only a mirror could fill, and the mirror is away. Thread: test.

use super::messages::losses_of;
use super::mirrored::{copy_in, named_again, takes_without_holes};
use super::*;
use crate::recovery::mirror_gain::take_over_losses;
use crate::session::tests::recording;
use crate::session::{TakeId, TakeState};
use crate::time::SampleRate;
use crate::wav::bext::CHANGED_BY_OTHERS;

const GAP: std::ops::Range<u64> = WINDOW..2 * WINDOW;

fn silence(path: &Path, frames: std::ops::Range<u64>) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0; ((frames.end - frames.start) * BYTES) as usize], at(frames.start)).unwrap();
}

/// A session with one take that is being recorded.
fn one_take() -> (Session, TakeId) {
    let mut session = Session::new(Uuid::from_u128(7), "Test", "", SampleRate(48_000), TakeFormat::S24);
    let track = session.add_track("Kick", &[0]).unwrap();
    let id = recording(&mut session, track, FramePos(0));
    (session, id)
}

fn unplugged(scene: &Scene) -> PathBuf {
    scene.folder.path().join("unplugged")
}

/// The session's disk stood still, and the memory of the gap went to the mirror only. The zeros in the gap counted as sound.
#[test]
fn a_gap_on_a_disk_without_holes_is_a_listed_loss_while_the_mirror_is_away() {
    let cut = Cut { committed: 2, claimed: WINDOW };
    let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW);
    silence(&scene.plans[0].path, GAP);
    fs::rename(&mirror, unplugged(&scene)).unwrap();
    let installed = takes_without_holes();
    let (report, session) = scene.recover();
    drop(installed);
    scene.check(&session, 4 * WINDOW, |take, frame| take == 0 && GAP.contains(&frame));
    assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![(WINDOW, WINDOW)], vec![]));
    assert_eq!(report.passes[0].missing, Frames(WINDOW));
    assert!(report.passes[0].is_short());
    let told = "name it as mirror again";
    assert!(report.troubles.iter().all(|text| text.contains(told)) && !report.troubles.is_empty(), "{report:?}");
}

/// A part that both replicas lack is a loss, and one that either has is none, also if neither disk has holes.
#[test]
fn a_gap_on_disks_without_holes_is_filled_from_the_mirror_or_listed() {
    for mirror_has_it in [true, false] {
        let cut = Cut { committed: 2, claimed: WINDOW };
        let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW);
        silence(&scene.plans[0].path, GAP);
        if !mirror_has_it {
            silence(&scene.replica(&mirror, 0), GAP);
        }
        let installed = takes_without_holes();
        let (report, session) = scene.recover();
        drop(installed);
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        scene.check(&session, 4 * WINDOW, |take, frame| take == 0 && !mirror_has_it && GAP.contains(&frame));
        let lost = if mirror_has_it { vec![] } else { vec![(WINDOW, WINDOW)] };
        assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (lost, vec![]));
    }
}

/// A copy that another program had put in the place of the mirror's file has no holes, and its zeros counted as sound.
#[test]
fn a_gap_that_is_zeros_in_a_mirror_that_another_program_has_changed_is_a_listed_loss() {
    for (remark, lost) in [("being recorded", vec![]), (CHANGED_BY_OTHERS, vec![(WINDOW, WINDOW)])] {
        let cut = Cut { committed: 2, claimed: WINDOW };
        let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW);
        scene.write_wav(0, cut, WINDOW);
        scene.write_replica(&mirror, 0, 2 * WINDOW, remark);
        silence(&scene.replica(&mirror, 0), GAP);
        let (_, session) = scene.recover();
        scene.check(&session, 4 * WINDOW, |take, frame| take == 0 && GAP.contains(&frame));
        assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (lost, vec![]), "{remark}");
    }
}

/// Without a mirror no memory is freed before the sound is in the file.
#[test]
fn silence_on_a_disk_without_holes_is_no_loss_where_no_gap_can_be() {
    let cut = Cut { committed: 2, claimed: WINDOW };
    let scene = Scene::new(&[cut, cut], 4 * WINDOW);
    silence(&scene.plans[0].path, GAP);
    let installed = takes_without_holes();
    let (report, session) = scene.recover();
    drop(installed);
    assert!(report.troubles.is_empty() && !report.passes[0].is_short(), "{report:?}");
    assert!(losses_of(&session, 0).is_empty());
}

#[test]
fn what_a_disk_without_holes_refused_before_a_power_cut_is_a_listed_loss() {
    let cuts = [Cut { committed: 2, claimed: 2 * WINDOW }, Cut { committed: 1, claimed: WINDOW }];
    let scene = Scene::new(&cuts, 2 * WINDOW + 100);
    scene.lose_memory();
    let installed = takes_without_holes();
    let (report, session) = scene.recover();
    drop(installed);
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![], vec![(WINDOW, WINDOW)]));
}

/// Takes with a gap that only the mirror has, with this remark in its headers. They were recovered while the mirror was away.
fn recovered_with_gap(remark: &str, in_mirror: impl Fn(&Scene, &Path)) -> (Scene, PathBuf) {
    let cut = Cut { committed: 3, claimed: WINDOW };
    let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW);
    for index in 0..2 {
        scene.write_wav(index, cut, WINDOW);
        let own = OpenOptions::new().write(true).open(&scene.plans[index].path).unwrap();
        own.write_all_at(&sound(index, 2 * WINDOW..3 * WINDOW), at(2 * WINDOW)).unwrap();
        scene.write_replica(&mirror, index, 3 * WINDOW, remark);
    }
    in_mirror(&scene, &mirror);
    scene.name_memory(Some(&mirror));
    fs::rename(&mirror, unplugged(&scene)).unwrap();
    let (report, session) = scene.recover();
    assert_eq!(report.passes[0].missing, Frames(WINDOW));
    scene.check(&session, 4 * WINDOW, |_, frame| GAP.contains(&frame));
    assert_eq!(losses_of(&session, 0), [(WINDOW, WINDOW)]);
    fs::rename(unplugged(&scene), &mirror).unwrap();
    (scene, mirror)
}

/// Only the ends of the takes were compared, and the list of the session took the place of the one in the mirror.
#[test]
fn a_mirror_that_was_away_gives_sound_inside_a_take_back_when_it_is_named_again_and_the_loss_leaves_the_list() {
    // Silence that the mirror has recorded is no loss.
    let silent = WINDOW..WINDOW + 2000;
    let (scene, mirror) =
        recovered_with_gap("being recorded", |scene, mirror| silence(&scene.replica(mirror, 0), silent.clone()));
    let (gain, mut store, mut session) = named_again(&scene, &mirror);
    assert!(gain.unwrap().unwrap().reopen_in(&mut session, &copy_in(&mirror)));
    session.validate().unwrap();
    store.save(&session).unwrap();
    drop(store);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, 4 * WINDOW, |take, frame| take == 0 && silent.contains(&frame));
    assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![], vec![]));
    assert_eq!(named_again(&scene, &mirror).0, Ok(None));
}

/// The list of the session replaced the one in the mirror, which alone had the loss of the device. The mirror then vouched for that
/// silence, and the loss that covered it left the list.
#[test]
fn a_loss_of_the_device_that_only_an_absent_mirror_lists_is_listed_when_the_mirror_gives_its_sound_back() {
    let lost = WINDOW + 1000..WINDOW + 1500;
    for is_copy_replaced in [true, false] {
        let (scene, mirror) = recovered_with_gap("being recorded", |scene, mirror| {
            let (mut store, mut copy) = OpenSession::open(mirror).unwrap();
            let id = copy.takes()[0].id;
            copy.list_loss(id, FramePos(lost.start), Frames(lost.end - lost.start), "xrun").unwrap();
            copy.raise_unlisted_losses(id, 3).unwrap();
            store.save(&copy).unwrap();
            silence(&scene.replica(mirror, 0), lost.clone());
        });
        let (gain, mut store, mut session) = named_again(&scene, &mirror);
        let copy = if is_copy_replaced { copy_in(&mirror) } else { session.clone() };
        assert!(gain.unwrap().unwrap().reopen_in(&mut session, &copy));
        session.validate().unwrap();
        store.save(&session).unwrap();
        drop(store);
        if is_copy_replaced {
            fs::copy(scene.root().join("session.json"), mirror.join("session.json")).unwrap();
        }
        let (_, session) = scene.recover();
        scene.check(&session, 4 * WINDOW, |take, frame| take == 0 && lost.contains(&frame));
        assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![(WINDOW + 1000, 500)], vec![]));
        let take = &session.takes()[0];
        assert_eq!((take.losses[0].cause.as_str(), take.losses_unlisted), ("xrun", 3));
    }
}

/// The mirror had no more sound, so the list of the session replaced the one in the mirror, and nothing listed the loss.
#[test]
fn a_loss_that_only_the_copy_in_a_mirror_lists_is_taken_over_by_a_recovered_take_and_an_end_that_is_known_stays() {
    let (mut session, id) = one_take();
    let mut copy = session.clone();
    session.list_loss(id, FramePos(200), Frames(30), "In 2 is absent").unwrap();
    session.finish_take(id, Frames(500), TakeState::Recovered, None).unwrap();
    copy.list_loss(id, FramePos(100), Frames(50), "xrun").unwrap();
    // The copy was saved before the input was back.
    copy.list_open_loss(id, FramePos(200), "In 2 is absent").unwrap();
    assert!(take_over_losses(&mut session, &copy));
    session.validate().unwrap();
    let mut losses = losses_of(&session, 0);
    losses.sort_unstable();
    assert_eq!(losses, [(100, 50), (200, 30)]);
    assert!(!take_over_losses(&mut session, &copy), "a second time there is nothing");
}

#[test]
fn a_loss_that_only_the_copy_in_a_mirror_lists_is_taken_over_by_a_take_that_is_still_to_be_recovered() {
    let (mut session, id) = one_take();
    let mut copy = session.clone();
    copy.list_loss(id, FramePos(100), Frames(50), "xrun").unwrap();
    assert_eq!(session.takes()[0].state, TakeState::Recording);
    assert!(take_over_losses(&mut session, &copy));
    session.validate().unwrap();
    assert_eq!(losses_of(&session, 0), [(100, 50)]);
    assert!(!take_over_losses(&mut session, &copy), "a second time there is nothing");
}

/// The second mirror ends ten frames before the loss does: these were fewer than the frames that count in a changed file.
#[test]
fn only_the_part_of_a_loss_that_the_mirror_gives_back_leaves_the_list() {
    for end in [WINDOW + WINDOW / 2, 2 * WINDOW - 10] {
        let keep = |scene: &Scene, mirror: &Path| {
            for index in 0..2 {
                scene.write_replica(mirror, index, end, "being recorded");
            }
        };
        let (scene, mirror) = recovered_with_gap("being recorded", keep);
        let (gain, mut store, mut session) = named_again(&scene, &mirror);
        assert!(gain.unwrap().unwrap().reopen_in(&mut session, &copy_in(&mirror)));
        store.save(&session).unwrap();
        drop(store);
        let (_, session) = scene.recover();
        scene.check(&session, 4 * WINDOW, |_, frame| (end..2 * WINDOW).contains(&frame));
        assert_eq!(losses_of(&session, 0), [(end, 2 * WINDOW - end)]);
        assert_eq!(named_again(&scene, &mirror).0, Ok(None));
    }
}

#[test]
fn a_mirror_that_lacks_the_sound_of_a_loss_too_is_taken_as_it_is() {
    let (scene, mirror) = recovered_with_gap("being recorded", |scene, mirror| {
        for index in 0..2 {
            silence(&scene.replica(mirror, index), GAP);
        }
    });
    assert_eq!(named_again(&scene, &mirror).0, Ok(None));
}

#[test]
fn a_mirror_that_was_recovered_by_itself_and_has_sound_inside_a_take_is_refused_with_advice() {
    let (scene, mirror) = recovered_with_gap("cut off and recovered", |_, _| {});
    let before = fs::read(mirror.join("session.json")).unwrap();
    let reason = named_again(&scene, &mirror).0.unwrap_err();
    assert!(reason.contains("has more of 2 takes") && reason.contains("open it as a session"), "{reason}");
    assert!(before == fs::read(mirror.join("session.json")).unwrap());
}
