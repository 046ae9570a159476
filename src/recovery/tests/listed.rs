//! Takes that have ended, or were recovered before: which losses the session lists, and when. Thread: test.

use super::messages::losses_of;
use super::mirrored::ahead;
use super::*;
use crate::host::refusing::without_folder_syncs;
use crate::limits::PAGE_BYTES;
use nix::errno::Errno;

/// A take of two windows without memory, whose header claims them and has this remark.
fn ended(remark: &str) -> Scene {
    let cut = Cut { committed: 2, claimed: 2 * WINDOW };
    let scene = Scene::new(&[cut], 2 * WINDOW);
    scene.lose_memory();
    let mut header = Header { data_bytes: 2 * WINDOW * BYTES, ..scene.plans[0].header.clone() };
    header.bext.coding_history = format!("A=PCM,T=Faultless; {remark}");
    let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    file.write_all_at(&*header.build(), 0).unwrap();
    scene
}

/// An older session.json, which the user restores, lists the take as being recorded. The file counted as whole.
#[test]
fn a_take_whose_header_tells_of_a_loss_that_the_session_does_not_list_has_a_loss_without_a_place() {
    for (lost, unlisted) in [(0, 0), (500, 1)] {
        let scene = ended(&format!("faults=0 xruns=1 frames_lost={lost} cycle_us_max=3.1 path=spool"));
        let (_, session) = scene.recover();
        assert_eq!((losses_of(&session, 0), session.takes()[0].losses_unlisted), (vec![], unlisted));
    }
}

/// The frame before a hole had its first bytes only, and was no part of the loss.
#[test]
fn a_frame_of_which_a_hole_takes_a_part_belongs_to_the_listed_loss() {
    let scene = ended("cut off and recovered");
    let bytes = fs::read(&scene.plans[0].path).unwrap();
    let page = PAGE_BYTES;
    let file = File::create(&scene.plans[0].path).unwrap();
    file.write_all_at(&bytes[..3 * page], 0).unwrap();
    file.write_all_at(&bytes[4 * page..], 4 * page as u64).unwrap();
    let (_, session) = scene.recover();
    // The second page of sound ends within frame 2,730.
    assert_eq!(losses_of(&session, 0), [(2730, 4096 - 2730)]);
}

/// A kill came between the rename of session.json and the sync of its folder. The headers claimed a loss that a power cut could
/// take from the list.
#[test]
fn no_header_claims_a_listed_loss_before_the_name_of_the_saved_session_is_durable() {
    let cut = Cut { committed: 2, claimed: 2 * WINDOW };
    let scene = Scene::new(&[cut], 2 * WINDOW);
    scene.lose_memory();
    let before = fs::read(&scene.plans[0].path).unwrap();
    let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
    let refused = without_folder_syncs(Errno::EIO);
    let report = recover_from(&mut store, &mut session, &scene.view(), &mut |_| Ok(()));
    drop(refused);
    assert!(!report.troubles.is_empty() && report.passes.is_empty(), "{report:?}");
    assert!(before == fs::read(&scene.plans[0].path).unwrap());
}

/// Everything behind the end of the file as it was found was listed as lost, although the mirror had given a part of it.
#[test]
fn what_the_mirror_gave_behind_the_end_of_the_file_is_no_loss() {
    let (scene, mirror) = ahead("being recorded");
    scene.write_replica(&mirror, 1, 5 * WINDOW, "being recorded");
    let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    file.set_len(at(2 * WINDOW)).unwrap();
    let (_, session) = scene.recover();
    assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![(4 * WINDOW, WINDOW)], vec![]));
}

/// A header claims sound up to a loss of the device that has not ended, within a page. The sound behind it was there, and its
/// first frames were silence.
#[test]
fn silence_behind_the_claim_of_a_header_makes_no_loss_of_the_sound_behind_it() {
    let scene = Scene::bare(2);
    let claimed = WINDOW + 1001;
    scene.write_wav(0, Cut { committed: 4, claimed }, 4 * WINDOW);
    scene.write_wav(1, Cut { committed: 4, claimed: 4 * WINDOW }, 4 * WINDOW);
    let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    let rest = at(claimed).next_multiple_of(PAGE_BYTES as u64) - at(claimed);
    file.write_all_at(&vec![0; rest as usize], at(claimed)).unwrap();
    let (_, session) = scene.recover();
    assert_eq!(losses_of(&session, 0), [(claimed, rest.div_ceil(BYTES))]);
}

/// The recovery wrote into the header that the file was changed, and not where it was cut. A recovery of an older session.json
/// called the take whole.
#[test]
fn a_cut_of_fewer_frames_than_a_run_of_zeros_is_listed_however_often_the_recovery_is_stopped() {
    for last in 0.. {
        let scene = Scene::bare(2);
        for index in 0..2 {
            scene.write_wav(index, Cut { committed: 2, claimed: 2 * WINDOW }, 2 * WINDOW);
        }
        OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap().set_len(at(2 * WINDOW - 40)).unwrap();
        let list = scene.root().join("session.json");
        let older = fs::read(&list).unwrap();
        let was_killed = scene.recover_until_killed(last);
        let (_, session) = scene.recover();
        assert_eq!(losses_of(&session, 0), [(2 * WINDOW - 40, 40)], "{last}");
        // The user restores an older version, which does not list the loss. Only the header knows it then.
        fs::write(&list, older).unwrap();
        let (_, session) = scene.recover();
        assert_eq!(losses_of(&session, 0), [(2 * WINDOW - 40, 40)], "{last}, an older version");
        if !was_killed {
            break;
        }
    }
}
