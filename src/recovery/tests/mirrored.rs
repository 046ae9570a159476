//! Recovery with a mirror. Thread: test.

use super::messages::losses_of;
use super::*;
use crate::file_system;
use crate::host::Installed;
use crate::host::disk::{DiskCall, Proceed};
use crate::host::refusing::{refusing, without_holes};
use crate::limits::PAGE_BYTES;
use crate::message::replica::ReplicaPair;
use crate::recovery::mirror_gain::{MirrorGain, gain_of};
use crate::session::session_file::open_read_only;
use nix::errno::Errno;
use std::cell::Cell;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Makes a file unreadable from a byte on, until the result is dropped.
fn bad_block(path: &Path, from: u64) -> Installed {
    bad_range(path, from..u64::MAX)
}

/// Makes a range of a file unreadable, until the result is dropped.
pub(super) fn bad_range(path: &Path, range: Range<u64>) -> Installed {
    let bad = fs::metadata(path).unwrap().ino();
    let inode = |file: &BorrowedFd<'_>| File::from(file.try_clone_to_owned().unwrap()).metadata().unwrap().ino();
    refusing(move |call| match call {
        DiskCall::Read { file, offset, bytes }
            if *bytes > 0 && *offset < range.end && range.start < offset + bytes && inode(file) == bad =>
        {
            match range.start.checked_sub(*offset) {
                Some(before) if before > 0 => Proceed::Short(before as usize),
                _ => Proceed::Fail(Errno::EIO),
            }
        }
        _ => Proceed::Go,
    })
}

/// The disks of the takes have no holes, until the result is dropped.
pub(super) fn takes_without_holes() -> Installed {
    without_holes(|file| file_system::path_of(file).is_some_and(|path| path.extension().is_some_and(|it| it == "wav")))
}

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

    /// The file of a take in the mirror.
    pub(super) fn replica(&self, mirror: &Path, index: usize) -> PathBuf {
        mirror.join("audio").join(self.plans[index].path.file_name().unwrap())
    }

    /// Gives the replica of a take `frames` frames, all of which its header claims, with this remark in its header.
    pub(super) fn write_replica(&self, mirror: &Path, index: usize, frames: u64, remark: &str) {
        let plan = &self.plans[index];
        let mut header = Header { data_bytes: frames * BYTES, ..plan.header.clone() };
        header.bext.coding_history = format!("A=PCM,T=Faultless; {remark}");
        let file = File::create(self.replica(mirror, index)).unwrap();
        file.write_all_at(&*header.build(), 0).unwrap();
        file.write_all_at(&sound(index, 0..frames), at(0)).unwrap();
        file.set_len(at(100 * WINDOW)).unwrap();
    }
}

/// Takes that were cut off and whose memory is gone. The mirror claims twice as much as the session.
pub(super) fn ahead(remark: &str) -> (Scene, PathBuf) {
    let cut = Cut { committed: 2, claimed: 2 * WINDOW };
    let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW + 50);
    for index in 0..2 {
        scene.write_replica(&mirror, index, 4 * WINDOW, remark);
    }
    scene.name_memory(Some(&mirror));
    scene.lose_memory();
    (scene, mirror)
}

#[test]
fn without_memory_the_takes_get_what_only_the_mirror_has() {
    let (scene, mirror) = ahead("being recorded");
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    scene.check(&session, 4 * WINDOW, whole);
    assert!(session.takes().iter().all(|take| take.losses.is_empty()));
    let pass = &report.passes[0];
    assert_eq!((pass.basis, pass.missing, &pass.from_mirrors), (Basis::Disk, Frames(0), &vec![mirror.clone()]));
    let text = pass.to_string();
    assert!(text.contains(&format!("as much as was on the disk and in the mirror {}; ", mirror.display())), "{text}");
    for (index, take) in session.takes().iter().enumerate() {
        let replica = fs::read(scene.replica(&mirror, index)).unwrap();
        assert!(replica == fs::read(scene.root().join(&take.file)).unwrap(), "{}", take.file);
    }
}

/// The header of the session's file can claim the silence of the loss, too: it waits for a save three seconds at most.
#[test]
fn without_memory_a_loss_that_only_the_mirror_lists_is_listed() {
    let loss = (WINDOW + 100, 500);
    for in_mirror in [2 * WINDOW, 4 * WINDOW] {
        let (scene, mirror) = ahead("being recorded");
        for index in 0..2 {
            scene.write_replica(&mirror, index, in_mirror, "being recorded");
            for path in [scene.plans[index].path.clone(), scene.replica(&mirror, index)] {
                let file = OpenOptions::new().write(true).open(path).unwrap();
                file.write_all_at(&vec![0; loss.1 * BYTES as usize], at(loss.0)).unwrap();
            }
        }
        let (mut store, mut copy) = OpenSession::open(&mirror).unwrap();
        for id in copy.takes().iter().map(|take| take.id).collect::<Vec<_>>() {
            copy.list_loss(id, FramePos(loss.0), Frames(loss.1 as u64), "device away").unwrap();
        }
        store.save(&copy).unwrap();
        drop(store);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        assert_eq!(session.takes()[0].frames, Frames(in_mirror));
        for take in 0..2 {
            assert_eq!(losses_of(&session, take), [(loss.0, loss.1 as u64)], "{in_mirror} frames in the mirror");
        }
    }
}

/// The losses that a recovery of the mirror had found in the mirror's file were listed in takes that have the sound, also if that
/// recovery was stopped.
#[test]
fn losses_of_a_mirror_that_was_recovered_by_itself_are_not_those_of_the_session() {
    let stopped = (TakeState::Recording, "what was in memory is gone", 0, 7);
    for (state, cause, listed, unlisted) in
        [(TakeState::Recording, "xrun", 1, 7), (TakeState::Recovered, stopped.1, 0, 0), stopped]
    {
        let (scene, mirror) = ahead("being recorded");
        let (mut store, mut copy) = OpenSession::open(&mirror).unwrap();
        for id in copy.takes().iter().map(|take| take.id).collect::<Vec<_>>() {
            copy.list_loss(id, FramePos(WINDOW), Frames(500), cause).unwrap();
            copy.raise_unlisted_losses(id, 7).unwrap();
            copy.finish_take(id, Frames(4 * WINDOW), state, None).unwrap();
        }
        store.save(&copy).unwrap();
        drop(store);
        let (report, session) = scene.recover();
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        for take in 0..2 {
            let losses = vec![(WINDOW, 500); listed];
            assert_eq!((losses_of(&session, take), session.takes()[take].losses_unlisted), (losses, unlisted));
        }
    }
}

#[test]
fn a_mirror_that_is_not_there_when_the_memory_is_gone_is_named_once() {
    let (scene, mirror) = ahead("being recorded");
    fs::rename(&mirror, scene.folder.path().join("unplugged")).unwrap();
    let (report, session) = scene.recover();
    scene.check(&session, 2 * WINDOW, whole);
    let [trouble] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
    assert!(trouble.starts_with(&format!("mirror: {}: it is not there", mirror.display())), "{trouble}");
    assert!(report.passes[0].from_mirrors.is_empty());
}

/// Refuses an attempt to open a file. The first one is to read, the second one to write, and the next one to read again.
fn refused_open(path: &Path, refused: fn(usize) -> bool) -> Installed {
    let (path, opened) = (path.canonicalize().unwrap(), Cell::new(0));
    refusing(move |call| match call {
        DiskCall::Open { name } if name.resolved() == path => {
            opened.set(opened.get() + 1);
            if refused(opened.get()) { Proceed::Fail(Errno::EROFS) } else { Proceed::Go }
        }
        _ => Proceed::Go,
    })
}

/// The disk of the mirror was mounted to be read only, after an error. The takes ended without the sound that only it had.
#[test]
fn a_mirror_that_can_only_be_read_gives_its_sound() {
    let (scene, mirror) = ahead("being recorded");
    let replica = scene.replica(&mirror, 0);
    let before = fs::read(&replica).unwrap();
    let installed = refused_open(&replica, |attempt| attempt == 2);
    let (report, session) = scene.recover();
    drop(installed);
    scene.check(&session, 4 * WINDOW, whole);
    assert!(session.takes().iter().all(|take| take.losses.is_empty()));
    assert_eq!(report.passes[0].from_mirrors, [mirror]);
    let [trouble] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
    assert!(trouble.contains("Read-only") && trouble.ends_with("and this file stays as it is"), "{trouble}");
    assert!(before == fs::read(&replica).unwrap());
}

#[test]
fn a_mirror_that_cannot_be_opened_is_said_to_have_more_perhaps() {
    let (scene, mirror) = ahead("being recorded");
    let installed = refused_open(&scene.replica(&mirror, 0), |_| true);
    let (report, session) = scene.recover();
    drop(installed);
    // The other take has its replica.
    scene.check(&session, 4 * WINDOW, |take, frame| take == 0 && 2 * WINDOW <= frame);
    assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![(2 * WINDOW, 2 * WINDOW)], vec![]));
    let [trouble] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
    assert!(trouble.starts_with("mirror: ") && trouble.contains("it may have more of the take"), "{trouble}");
}

/// The list of takes in the mirror called both recovered, so that no recovery of the mirror finished the other file.
#[test]
fn the_copy_in_a_mirror_is_replaced_only_when_all_of_its_files_are_recovered() {
    let refusals: [fn(usize) -> bool; 2] = [|_| true, |attempt| attempt == 2];
    for refused in refusals {
        let (scene, mirror) = ahead("being recorded");
        let before = fs::read(mirror.join("session.json")).unwrap();
        let installed = refused_open(&scene.replica(&mirror, 0), refused);
        scene.recover();
        drop(installed);
        assert!(before == fs::read(mirror.join("session.json")).unwrap());
        let (mut store, mut session) = OpenSession::open(&mirror).unwrap();
        let report = recover_from(&mut store, &mut session, &scene.view(), &mut |_| Ok(()));
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        assert!(session.takes().iter().all(|take| take.frames == Frames(4 * WINDOW)));
    }
}

/// The takes of [`ahead`], recovered while the disk of the mirror was away. It is connected again.
fn recovered_without_mirror(remark: &str) -> (Scene, PathBuf) {
    let (scene, mirror) = ahead(remark);
    let away = scene.folder.path().join("unplugged");
    fs::rename(&mirror, &away).unwrap();
    let (_, session) = scene.recover();
    scene.check(&session, 2 * WINDOW, whole);
    fs::rename(&away, &mirror).unwrap();
    (scene, mirror)
}

/// The sound that is found when the user names the mirror again, and the session.
pub(super) fn named_again(scene: &Scene, mirror: &Path) -> (Result<Option<MirrorGain>, String>, OpenSession, Session) {
    let (store, session) = OpenSession::open(&scene.root()).unwrap();
    let (_, found) = OpenSession::open_on_other_disk(mirror, &session).unwrap();
    (gain_of(mirror, &found.copy.unwrap(), &session, &scene.root()), store, session)
}

/// The copy of the session in a mirror.
pub(super) fn copy_in(mirror: &Path) -> Session {
    open_read_only(mirror).unwrap()
}

/// The list of the session took the place of the one in the mirror, so that nothing led to the sound any more.
#[test]
fn a_mirror_that_was_away_at_the_recovery_gives_its_sound_when_it_is_named_again() {
    let (scene, mirror) = recovered_without_mirror("being recorded");
    let (gain, mut store, mut session) = named_again(&scene, &mirror);
    let gain = gain.unwrap().unwrap();
    assert!(gain.notice().contains("has more of some takes than the session"), "{}", gain.notice());
    let copy = copy_in(&mirror);
    assert!(gain.reopen_in(&mut session, &copy) && !gain.reopen_in(&mut session, &copy));
    session.validate().unwrap();
    store.save(&session).unwrap();
    drop(store);
    assert_eq!(named_again(&scene, &mirror).0, Ok(None), "the takes name their mirror");
    let (report, session) = scene.recover();
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    assert_eq!(report.passes[0].from_mirrors, std::slice::from_ref(&mirror));
    // The regions are as long as the takes.
    scene.check(&session, 4 * WINDOW, whole);
    assert!(session.takes().iter().all(|take| take.losses.is_empty()));
    assert_eq!(named_again(&scene, &mirror).0, Ok(None));
}

#[test]
fn a_mirror_that_was_recovered_by_itself_and_has_more_is_refused_with_advice() {
    for is_listed in [false, true] {
        let (scene, mirror) = recovered_without_mirror("cut off and recovered");
        if is_listed {
            let (mut store, mut copy) = OpenSession::open(&mirror).unwrap();
            recover_from(&mut store, &mut copy, &scene.view(), &mut |_| Ok(()));
            assert!(copy.takes().iter().all(|take| (take.state, take.frames.0) == (TakeState::Recovered, 4 * WINDOW)));
        }
        let reason = named_again(&scene, &mirror).0.unwrap_err();
        assert!(reason.starts_with(&format!("{}: this mirror has more of 2 takes", mirror.display())), "{reason}");
        assert!(reason.contains("open it as a session"), "{reason}");
    }
}

#[test]
fn a_mirror_without_more_sound_and_one_of_takes_in_the_trash_are_taken_as_they_are() {
    let (scene, mirror) = ahead("being recorded");
    scene.write_replica(&mirror, 0, WINDOW, "being recorded");
    scene.write_replica(&mirror, 1, 2 * WINDOW, "being recorded");
    let away = scene.folder.path().join("unplugged");
    fs::rename(&mirror, &away).unwrap();
    scene.recover();
    fs::rename(&away, &mirror).unwrap();
    assert_eq!(named_again(&scene, &mirror).0, Ok(None));
    let (scene, mirror) = recovered_without_mirror("being recorded");
    let (_, mut store, mut session) = named_again(&scene, &mirror);
    let ids: Vec<_> = session.takes().iter().map(|take| take.id).collect();
    session.trash_takes(&ids).unwrap();
    store.save(&session).unwrap();
    drop(store);
    assert_eq!(named_again(&scene, &mirror).0, Ok(None));
}

/// The claim of a header that a recovery has written may be silence. It may be sound, too, if that recovery saw the memory.
#[test]
fn a_replica_that_another_recovery_has_finished_does_not_lengthen_the_pass_and_keeps_its_sound() {
    let (scene, mirror) = ahead("cut off and recovered");
    let before = fs::read(scene.replica(&mirror, 0)).unwrap();
    let (report, session) = scene.recover();
    scene.check(&session, 2 * WINDOW, whole);
    assert!(before == fs::read(scene.replica(&mirror, 0)).unwrap());
    assert_eq!(report.troubles.len(), 2, "{:?}", report.troubles);
    let told = "mirror: audio/In 1-1.wav: another recovery has finished this file longer than the take; ";
    assert!(report.troubles[0].starts_with(told), "{}", report.troubles[0]);
    assert!(report.passes[0].from_mirrors.is_empty());
}

/// The pass stayed cut off as long as the disk of the mirror was connected.
#[test]
fn a_mirror_that_cannot_be_read_delays_no_take_and_what_only_it_had_is_a_listed_loss() {
    for with_memory in [true, false] {
        // A read that ends at a bad block is no error. The rest counted as copied.
        for from in [at(0) + 1, at(2 * WINDOW) - 4096] {
            let cut = Cut { committed: 3, claimed: WINDOW };
            let (scene, mirror) = Scene::mirrored(&[cut, cut], 4 * WINDOW);
            scene.write_wav(0, cut, WINDOW);
            scene.write_replica(&mirror, 0, 3 * WINDOW, "being recorded");
            scene.name_memory(Some(&mirror));
            if !with_memory {
                scene.lose_memory();
            }
            let installed = bad_block(&scene.replica(&mirror, 0), from);
            let (report, session) = scene.recover();
            drop(installed);
            let frames = if with_memory { 4 * WINDOW } else { 3 * WINDOW };
            scene.check(&session, frames, |take, frame| take == 0 && (WINDOW..3 * WINDOW).contains(&frame));
            assert_eq!((losses_of(&session, 0), losses_of(&session, 1)), (vec![(WINDOW, 2 * WINDOW)], vec![]));
            let pass = &report.passes[0];
            assert_eq!((pass.missing, pass.from_mirrors.len()), (Frames(2 * WINDOW), 0));
            let [trouble] = &report.troubles[..] else { panic!("{:?}", report.troubles) };
            assert!(trouble.starts_with("mirror: audio/In 1-1.wav: cannot be read: "), "{trouble}");
            assert!(trouble.contains("sound that only this file has is not in the take"), "{trouble}");
        }
    }
}

/// The pass stayed cut off at every start. A read that ended at the bad block counted as the end of the file, so that sound
/// behind the block was written over.
#[test]
fn a_bad_block_in_the_file_of_the_session_delays_no_take_and_the_mirror_s_sound_takes_its_place() {
    let (scene, mirror) = ahead("being recorded");
    // Only the session has the third window, but for a page of it that cannot be read.
    let own = OpenOptions::new().write(true).open(&scene.plans[0].path).unwrap();
    own.write_all_at(&sound(0, 2 * WINDOW..3 * WINDOW), at(2 * WINDOW)).unwrap();
    let page = PAGE_BYTES as u64;
    let bad = at(2 * WINDOW)..at(2 * WINDOW) + page;
    let replica = OpenOptions::new().write(true).open(scene.replica(&mirror, 0)).unwrap();
    replica.write_all_at(&vec![0; (WINDOW * BYTES - page) as usize], bad.end).unwrap();
    let installed = bad_range(&scene.plans[0].path, bad);
    let (report, session) = scene.recover();
    drop(installed);
    scene.check(&session, 4 * WINDOW, whole);
    assert!(session.takes().iter().all(|take| take.losses.is_empty()));
    assert!(report.troubles.is_empty(), "{:?}", report.troubles);
}

#[test]
fn takes_that_have_no_track_get_it_back_and_the_report_names_them() {
    let scene = Scene::new(&TWO, 3 * WINDOW);
    scene.recover();
    let path = scene.root().join("session.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    document["tracks"] = serde_json::json!([]);
    fs::write(&path, serde_json::to_vec(&document).unwrap()).unwrap();
    let (report, session) = scene.recover();
    let told = format!("{}: 2 takes had no track; their tracks were added again", scene.root().display());
    assert_eq!((report.found, report.troubles), (vec![told], vec![]));
    scene.check(&session, 3 * WINDOW, whole);
    let (report, _) = scene.recover();
    assert!(report.found.is_empty(), "{:?}", report.found);
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

/// Another program has removed the file of the only take, or made one of its name, and the power was cut. The recovery said that the
/// recording had not begun, and the take had no sound or was not listed any more (seed 830530543).
#[test]
fn a_take_whose_file_is_gone_and_whose_mirror_has_sound_stays_and_the_mirror_is_named() {
    for is_foreign in [false, true] {
        let (scene, mirror) = Scene::mirrored(&[Cut { committed: 2, claimed: 2 * WINDOW }], 2 * WINDOW);
        scene.write_replica(&mirror, 0, 2 * WINDOW, "being recorded");
        scene.name_memory(Some(&mirror));
        scene.lose_memory();
        fs::remove_file(&scene.plans[0].path).unwrap();
        if is_foreign {
            fs::write(&scene.plans[0].path, "of another program").unwrap();
        }
        for _ in 0..2 {
            let (report, session) = scene.recover();
            assert_eq!(session.takes().iter().map(|take| take.state).collect::<Vec<_>>(), [TakeState::Recording]);
            let is_named = |text: &String| {
                text.contains(&format!("its mirror has sound of it: open the session {}", mirror.display()))
            };
            assert!(report.troubles.iter().any(is_named), "{:?}", report.troubles);
        }
        let (mut store, mut session) = OpenSession::open(&mirror).unwrap();
        recover_from(&mut store, &mut session, &scene.view(), &mut |_| Ok(()));
        assert_eq!((session.takes()[0].state, session.takes()[0].frames), (TakeState::Recovered, Frames(2 * WINDOW)));
    }
}
