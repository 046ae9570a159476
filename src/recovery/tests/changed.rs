//! Files that count as changed by another program, and files that do not. Thread: test.

use super::*;
use crate::session::Loss;
use crate::wav::bext::CHANGED_BY_OTHERS;
use std::ops::Range;

/// Windows that the header claims, and the window with which the memory begins. More than eight seconds are between the two, and
/// no header can be behind by that much.
const CLAIMED: u64 = 2;
const MEMORY: u64 = 98;

/// Silence that was recorded. The low byte of the sample behind it is zero.
const SILENCE: Range<u64> = WINDOW + 154..WINDOW + 254;

fn write_silence(path: &Path, frames: Range<u64>) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0; ((frames.end - frames.start) * BYTES) as usize], at(frames.start)).unwrap();
}

fn coding_history(path: &Path) -> String {
    crate::wav::read::Reader::open(path).unwrap().layout().bext.clone().unwrap().coding_history
}

/// The losses of the take: the first frame, and the frame behind the last one. The high byte of a sample before lost ones can be zero,
/// like theirs. So a loss may begin up to two frames earlier, which is left out here.
fn losses_and_edges(session: &Session) -> Vec<(u64, u64)> {
    let edges = |loss: &Loss| {
        let first = [100, WINDOW, WINDOW + 100].into_iter().find(|first| (loss.at.0..loss.at.0 + 3).contains(first));
        (first.unwrap_or(loss.at.0), loss.at.0 + loss.frames.0)
    };
    // The next recovery lists these frames alone if the first one has listed the others.
    session.takes()[0].losses.iter().map(edges).filter(|(first, end)| first < end).collect()
}

/// The session's disk stood still, and the mirror's committer freed memory that the session's file still needed. The whole file
/// counted as changed, and all silence in it as lost.
#[test]
fn a_file_that_lacks_eight_seconds_which_the_mirror_has_is_not_changed_by_another_program() {
    assert_eq!(sample(0, SILENCE.end)[0], 0);
    let cut = Cut { committed: MEMORY, claimed: CLAIMED * WINDOW };
    let (scene, mirror) = Scene::mirrored(&[cut], (MEMORY + 1) * WINDOW);
    let own = &scene.plans[0].path;
    let replica = mirror.join("audio").join(own.file_name().unwrap());
    let silence = SILENCE.start + 20 * WINDOW..SILENCE.end + 20 * WINDOW;
    write_silence(&replica, silence.clone());
    write_silence(own, CLAIMED * WINDOW..MEMORY * WINDOW);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(session.takes()[0].losses.is_empty(), "{:?}", session.takes()[0].losses);
    scene.check(&session, (MEMORY + 1) * WINDOW, |_, frame| silence.contains(&frame));
    assert!(!coding_history(own).contains(CHANGED_BY_OTHERS));
}

/// A take that continued in another file eight seconds before the kill. Its first file counted as changed, because the memory
/// begins far behind the end of that file.
#[test]
fn a_file_that_ended_eight_seconds_before_the_memory_begins_is_not_changed_by_another_program() {
    const SPLIT: u64 = CLAIMED * WINDOW;
    for last in 0.. {
        let scene = Scene::bare(1);
        scene.write_wav(0, Cut { committed: CLAIMED, claimed: SPLIT }, SPLIT);
        let own = scene.plans[0].path.clone();
        write_silence(&own, SILENCE);
        let (mut store, mut session) = OpenSession::open(&scene.root()).unwrap();
        let (id, mut names) = (session.takes()[0].id, session.taken_names());
        session.add_continuation(id, Uuid::new_v4(), Frames(SPLIT), None, &mut names).unwrap();
        store.save(&session).unwrap();
        let next = session.takes()[1].clone();
        let bext = Bext { originator_reference: next.uuid.simple().to_string(), ..scene.plans[0].header.bext.clone() };
        let data_bytes = (MEMORY - CLAIMED) * WINDOW * BYTES;
        let header = Header { data_bytes, bext, ..scene.plans[0].header.clone() };
        let file = [&header.build()[..], &sound(0, SPLIT..MEMORY * WINDOW)].concat();
        fs::write(store.path().join(&next.file), file).unwrap();
        drop(store);
        scene.write_spool(0, MEMORY, (MEMORY + 1) * WINDOW);
        scene.write_progress((MEMORY + 1) * WINDOW, true, &[]);
        let was_killed = scene.recover_until_killed(last);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        let facts: Vec<_> = session.takes().iter().map(|take| (take.frames.0, take.losses.len())).collect();
        assert_eq!(facts, [(SPLIT, 0), ((MEMORY + 1 - CLAIMED) * WINDOW, 0)], "killed after {last} steps");
        let mut want = sound(0, 0..SPLIT);
        want[(SILENCE.start * BYTES) as usize..(SILENCE.end * BYTES) as usize].fill(0);
        assert!(fs::read(&own).unwrap()[at(0) as usize..] == want, "killed after {last} steps");
        assert!(!coding_history(&own).contains(CHANGED_BY_OTHERS));
        if !was_killed {
            break;
        }
    }
}

/// Another program has changed the file, and its zeros count as lost. The sample behind recorded silence has a zero as its low
/// byte. Its other bytes were cleared too, although it came from memory, and no loss was listed.
#[test]
fn a_sample_from_memory_beside_recorded_silence_stays_in_a_file_that_was_changed() {
    // From here on, no sample has a zero as its high byte.
    const FIRST: u64 = 20;
    let silence = SILENCE.start + FIRST * WINDOW..SILENCE.end + FIRST * WINDOW;
    assert_eq!(sample(0, silence.end)[0], 0);
    let scene = Scene::bare(1);
    let mut changed = scene.plans[0].header.clone();
    changed.bext.note(CHANGED_BY_OTHERS);
    scene.write_wav(0, Cut { committed: FIRST + 1, claimed: 0 }, (FIRST + 1) * WINDOW);
    let own = &scene.plans[0].path;
    let file = OpenOptions::new().write(true).open(own).unwrap();
    file.write_all_at(&*Header { data_bytes: FIRST * WINDOW * BYTES, ..changed }.build(), 0).unwrap();
    // The other program has left a part of the first frame.
    let lost = (FIRST - 1) * WINDOW..(FIRST - 1) * WINDOW + 200;
    file.write_all_at(&vec![0; (200 * BYTES - 1) as usize], at(lost.start) + 1).unwrap();
    scene.write_spool(0, FIRST + 1, (FIRST + 2) * WINDOW);
    // The first slot in use has the first window of the memory.
    let spool = OpenOptions::new().write(true).open(scene.spool(0)).unwrap();
    let shape = crate::spool_index::Shape::new(scene.plans[0].identity.as_u128(), (WINDOW * BYTES) as usize);
    let bytes = vec![0; ((silence.end - silence.start) * BYTES) as usize];
    spool.write_all_at(&bytes, shape.slot_at(40) + (silence.start - (FIRST + 1) * WINDOW) * BYTES).unwrap();
    scene.write_progress((FIRST + 2) * WINDOW, true, &[]);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
    assert_eq!(losses, [(lost.start, lost.end - lost.start)]);
    scene.check(&session, (FIRST + 2) * WINDOW, |_, frame| lost.contains(&frame) || silence.contains(&frame));
}

/// A recovery that was stopped had written memory behind the cut. The file was long again, its header claimed all of it, and the
/// next recovery called the take whole.
#[test]
fn a_cut_is_a_loss_to_its_last_frame_also_after_a_recovery_that_was_stopped() {
    let cut_at = WINDOW + 100;
    for last in 0.. {
        let scene = Scene::new(&[Cut { committed: 2, claimed: 2 * WINDOW }], 3 * WINDOW + 77);
        let own = &scene.plans[0].path;
        OpenOptions::new().write(true).open(own).unwrap().set_len(at(cut_at)).unwrap();
        let was_killed = scene.recover_until_killed(last);
        let (report, session) = scene.recover();
        let losses = losses_and_edges(&session);
        assert_eq!(losses, [(cut_at, 2 * WINDOW)], "killed after {last} steps: {:?}", report.troubles);
        assert!(coding_history(own).contains(CHANGED_BY_OTHERS), "killed after {last} steps");
        if !was_killed {
            break;
        }
    }
}

/// One page that cannot be read made all losses of a changed file disappear.
#[test]
fn zeros_of_a_file_that_was_changed_are_losses_although_a_page_of_it_cannot_be_read() {
    let scene = Scene::new(&[Cut { committed: 3, claimed: 3 * WINDOW }], 4 * WINDOW);
    let own = &scene.plans[0].path;
    let mut changed = scene.plans[0].header.clone();
    changed.bext.note(CHANGED_BY_OTHERS);
    let file = OpenOptions::new().write(true).open(own).unwrap();
    file.write_all_at(&*Header { data_bytes: 3 * WINDOW * BYTES, ..changed }.build(), 0).unwrap();
    write_silence(own, 100..400);
    let bad = at(WINDOW)..at(WINDOW) + crate::limits::PAGE_BYTES as u64;
    let installed = super::mirrored::bad_range(own, bad);
    let (report, session) = scene.recover();
    drop(installed);
    let bad_end = WINDOW + 4096_u64.div_ceil(BYTES);
    assert_eq!(losses_and_edges(&session), [(100, 400), (WINDOW, bad_end)], "{:?}", report.troubles);
}

/// The silence in the last page before the memory counted as a part of the silence that the memory has, which nobody writes.
#[test]
fn silence_before_the_memory_and_in_it_is_no_loss() {
    let scene = Scene::bare(1);
    scene.write_wav(0, Cut { committed: 2, claimed: WINDOW }, 2 * WINDOW);
    write_silence(&scene.plans[0].path, 2 * WINDOW - 500..2 * WINDOW);
    scene.write_spool(0, 2, 4 * WINDOW);
    // The first slot in use has the first window of the memory.
    let spool = OpenOptions::new().write(true).open(scene.spool(0)).unwrap();
    let shape = crate::spool_index::Shape::new(scene.plans[0].identity.as_u128(), (WINDOW * BYTES) as usize);
    spool.write_all_at(&vec![0; (WINDOW * BYTES) as usize], shape.slot_at(40)).unwrap();
    drop(spool);
    scene.write_progress(4 * WINDOW, true, &[]);
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert!(session.takes()[0].losses.is_empty(), "{:?}", session.takes()[0].losses);
}

/// The cut fell between two writes, the kill came before the committer looked again, and the header claimed what was cut off.
#[test]
fn sound_that_is_missing_in_front_of_later_sound_was_cut_off() {
    let scene = Scene::bare(1);
    scene.write_wav(0, Cut { committed: 4, claimed: 3 * WINDOW }, 4 * WINDOW);
    let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    file.set_len(at(WINDOW + 100)).unwrap();
    file.write_all_at(&sound(0, 3 * WINDOW..4 * WINDOW), at(3 * WINDOW)).unwrap();
    if !crate::file_system::knows_holes(&file) {
        println!("PART SKIPPED a cut between two writes: this file system has no holes");
        return;
    }
    scene.write_spool(0, 2, 5 * WINDOW);
    scene.write_progress(5 * WINDOW, true, &[]);
    let (report, session) = scene.recover();
    assert_eq!(losses_and_edges(&session), [(WINDOW + 100, 2 * WINDOW)], "{:?}", report.troubles);
}

/// The disk refused the header that says so.
#[test]
fn a_change_that_only_the_memory_tells_makes_losses_of_zeros() {
    let scene = Scene::new(&[Cut { committed: 2, claimed: 2 * WINDOW }], 3 * WINDOW);
    let own = &scene.plans[0].path;
    write_silence(own, 100..400);
    let shape = crate::spool_index::Shape::new(scene.plans[0].identity.as_u128(), (WINDOW * BYTES) as usize);
    let target =
        |is_changed| crate::spool_index::Target { file: fs::metadata(own).unwrap().ino(), bytes_before: 0, is_changed };
    let spool = OpenOptions::new().write(true).open(scene.spool(0)).unwrap();
    spool.write_all_at(&shape.target_bytes(target(true)), crate::spool_index::target_at(0)).unwrap();
    drop(spool);
    let (report, session) = scene.recover();
    assert_eq!(losses_and_edges(&session), [(100, 400)], "{:?}", report.troubles);
}

/// The next sound begins with the next page. Fewer than 64 frames of zeros before it counted as sound.
#[test]
fn the_rest_of_a_page_behind_a_cut_is_a_loss_to_the_frame_in_which_the_cut_was() {
    for (cut_at, frame) in [(at(WINDOW) - 5 * BYTES, WINDOW - 5), (at(WINDOW) - 1, WINDOW - 1)] {
        for is_remarked in [true, false] {
            let scene = Scene::new(&[Cut { committed: 2, claimed: 2 * WINDOW }], 2 * WINDOW);
            let mut changed = Header { data_bytes: 2 * WINDOW * BYTES, ..scene.plans[0].header.clone() };
            changed.bext.note_change(is_remarked.then_some(cut_at));
            let file = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
            file.write_all_at(&*changed.build(), 0).unwrap();
            file.write_all_at(&vec![0; (at(WINDOW) - cut_at) as usize], cut_at).unwrap();
            drop(file);
            // The second recovery has the remark too.
            let was_killed = scene.recover_until_killed(3);
            let (_, session) = scene.recover();
            let losses: Vec<_> = session.takes()[0].losses.iter().map(|loss| (loss.at.0, loss.frames.0)).collect();
            assert_eq!(losses, if is_remarked { vec![(frame, WINDOW - frame)] } else { vec![] }, "{was_killed}");
        }
    }
}
