//! Copies that a killed program was putting back under the names of takes. Thread: test.

use super::messages::losses_of;
use super::*;
use crate::file_system::name_of_part;

const FRAMES: u64 = 3 * WINDOW;

fn part_of(path: &Path) -> PathBuf {
    path.with_file_name(name_of_part(path.file_name().unwrap()))
}

/// A file with the header of a take, which claims two windows, and `frames` frames of its sound.
fn write_copy(scene: &Scene, index: usize, path: &Path, frames: u64) {
    let header = Header { data_bytes: 2 * WINDOW * BYTES, ..scene.plans[index].header.clone() };
    let file = File::create(path).unwrap();
    file.write_all_at(&*header.build(), 0).unwrap();
    file.write_all_at(&sound(index, 0..frames), at(0)).unwrap();
    file.set_len(at(2 * WINDOW)).unwrap();
}

/// The file of the take was the one of the other program, or was gone, and the loss was listed.
#[test]
fn a_copy_that_a_killed_program_was_putting_back_is_the_file_of_its_take_again() {
    for other in ["nothing", "an older copy", "of another program"] {
        for last in 0.. {
            let scene = Scene::new(&TWO, FRAMES);
            let own = &scene.plans[0].path;
            fs::rename(own, part_of(own)).unwrap();
            match other {
                "nothing" => {}
                "an older copy" => write_copy(&scene, 0, own, WINDOW),
                foreign => fs::write(own, foreign).unwrap(),
            }
            let was_killed = scene.recover_until_killed(last);
            let (report, session) = scene.recover();
            assert!(report.troubles.is_empty(), "{other}, {last}: {:?}", report.troubles);
            assert!(!part_of(own).exists(), "{other}, {last}");
            scene.check(&session, FRAMES, whole);
            assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![], vec![]));
            let aside = own.with_file_name("In 1-1 (of another program 1).wav");
            assert_eq!(aside.exists(), other != "nothing");
            if !was_killed {
                let text = "it has the sound of the take, and is 'audio/In 1-1.wav' again";
                assert!(report.passes.is_empty() || report.found.iter().any(|it| it.contains(text)), "{report:?}");
                break;
            }
        }
    }
}

/// The header is copied first and claims sound that the copy does not have yet.
#[test]
fn what_a_copy_lacks_that_its_program_could_not_finish_is_a_listed_loss() {
    let scene = Scene::new(&[Cut { committed: 2, claimed: 2 * WINDOW }; 2], FRAMES);
    let own = &scene.plans[1].path;
    fs::remove_file(own).unwrap();
    write_copy(&scene, 1, &part_of(own), WINDOW);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, |take, frame| take == 1 && (WINDOW..2 * WINDOW).contains(&frame));
    assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![], vec![(WINDOW, WINDOW)]));
}

/// The copy was left, because it had no more sound than nothing, and the take had no file.
#[test]
fn a_copy_that_has_only_silence_so_far_is_the_file_of_its_take_if_there_is_no_other() {
    let scene = Scene::new(&[Cut { committed: 2, claimed: 2 * WINDOW }; 2], FRAMES);
    let own = &scene.plans[1].path;
    fs::remove_file(own).unwrap();
    write_copy(&scene, 1, &part_of(own), 0);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(own.exists() && !part_of(own).exists());
    scene.check(&session, FRAMES, |take, frame| take == 1 && (0..2 * WINDOW).contains(&frame));
    assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![], vec![(0, 2 * WINDOW)]));
}

/// The copy of a session is recovered while the session itself records into a folder that both use.
#[test]
fn a_copy_that_a_running_program_is_putting_back_is_left_alone() {
    let scene = Scene::new(&TWO, FRAMES);
    let own = &scene.plans[0].path;
    fs::rename(own, part_of(own)).unwrap();
    let spool = File::open(scene.spool(0)).unwrap();
    spool.lock().unwrap();
    scene.recover();
    assert!(part_of(own).exists() && !own.exists());
    drop(spool);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, FRAMES, whole);
}

#[test]
fn a_copy_that_has_no_more_than_the_file_of_its_take_is_kept_and_named() {
    let scene = Scene::new(&TWO, FRAMES);
    let own = &scene.plans[0].path;
    write_copy(&scene, 0, &part_of(own), WINDOW);
    let (report, session) = scene.recover();
    let [trouble] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
    assert!(trouble.starts_with(&format!("{}: kept; ", part_of(own).display())), "{trouble}");
    assert!(part_of(own).exists());
    scene.check(&session, FRAMES, whole);
    assert!(scene.recover().0.troubles.is_empty());
}

/// A copy of another take, and one that ends before its header, have nothing of this take.
#[test]
fn a_copy_that_does_not_carry_the_identity_of_its_take_is_left_alone() {
    for bytes in [&b""[..], &[0; 8192]] {
        let scene = Scene::new(&TWO, FRAMES);
        let own = &scene.plans[0].path;
        fs::write(part_of(own), bytes).unwrap();
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty() && report.found.is_empty(), "{report:?}");
        scene.check(&session, FRAMES, whole);
        assert!(part_of(own).exists());
    }
}

#[test]
fn a_copy_that_was_put_back_in_the_mirror_gives_its_sound() {
    let cut = Cut { committed: 3, claimed: WINDOW };
    let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW);
    scene.write_wav(0, cut, WINDOW);
    let replica = scene.replica(&mirror, 0);
    fs::rename(&replica, part_of(&replica)).unwrap();
    let (report, session) = scene.recover();
    scene.check(&session, 4 * WINDOW, whole);
    assert_eq!(losses_of(&session, 0), []);
    assert_eq!(report.troubles, [] as [String; 0]);
    let [told] = &report.found[..] else { panic!("{:?}", report.found) };
    assert!(told.starts_with("mirror: ") && told.ends_with("and is 'audio/In 1-1.wav' again"), "{told}");
    assert!(replica.exists() && !part_of(&replica).exists());
}
