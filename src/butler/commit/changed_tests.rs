//! A take whose file another program changes, removes or replaces while it is recorded. Thread: test.

use super::tests::{FRAME_BYTES, Rig, TAKE, WINDOW, byte_of, claimed, sound};
use super::*;
use crate::host::Installed;
use crate::host::disk::{DiskCall, Proceed};
use crate::host::refusing::refusing;
use crate::message::offset::{FileByte, SpoolByte};
use crate::message::take::TakeEnd;
use crate::time::Frames;
use crate::wav::bext::CHANGED_BY_OTHERS;
use nix::errno::Errno;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

#[test]
fn an_earlier_file_that_is_cut_short_before_it_is_finished_is_whole_again_from_the_mirror() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.captured(1);
    rig.work();
    rig.committer.on_write_failure(0, &io::Error::from_raw_os_error(libc::ENOSPC));
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
    File::options().write(true).open(&rig.plan.path).unwrap().set_len(5000).unwrap();
    rig.captured(2);
    assert_eq!(rig.finish(3), (None, None));
    rig.check_files(2 * WINDOW, 3 * WINDOW);
}

#[test]
fn a_file_that_was_changed_before_its_take_continued_elsewhere_is_the_one_that_is_not_whole() {
    let mut rig = Rig::new(3);
    rig.pair.set_ended(Replica::Mirror);
    rig.pair.note_changed(Replica::Mirror);
    rig.captured(0);
    rig.captured(1);
    rig.work();
    File::options().write(true).open(&rig.plan.path).unwrap().set_len(5000).unwrap();
    rig.work();
    rig.committer.on_write_failure(0, &io::Error::from_raw_os_error(libc::ENOSPC));
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
    assert!(!rig.committer.takes[0].may_lack_sound());
    rig.captured(2);
    let (earlier, _) = rig.finish(3);
    assert!(earlier.is_some_and(|trouble| trouble.contains("t-1.wav") && trouble.contains("another program")));
}

/// The account of the take held the removed file open, so that its blocks stayed in use until the end of the pass.
#[test]
fn nothing_holds_a_removed_file_after_the_take_was_put_back() {
    let mut rig = Rig::new(2);
    rig.captured(0);
    rig.work();
    let removed = Arc::downgrade(rig.committer.takes[0].file.file());
    std::fs::remove_file(&rig.plan.path).unwrap();
    rig.captured(1);
    rig.work();
    assert!(rig.plan.path.exists(), "it was put back");
    assert!(removed.upgrade().is_none());
    let entry = rig.committer.takes[0].entry.as_ref().unwrap();
    assert!(Arc::ptr_eq(&entry.wav().unwrap(), rig.committer.takes[0].file.file()));
}

/// The end of a take gives its file the whole length. So a part that was cut off between the last look and the end was
/// silence, and the take counted as whole.
#[test]
fn a_take_that_is_cut_short_just_before_its_end_is_whole_again_from_the_mirror() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.captured(1);
    // The end waits for a save.
    rig.committer.setup.published.losses_reported.store(64, Relaxed);
    let end = TakeEnd { frames: Frames(2 * WINDOW), ..TakeEnd::default() };
    rig.committer.apply(CommitCommand::Finish { take: TAKE, end });
    assert!(rig.work().is_empty());
    File::options().write(true).open(&rig.plan.path).unwrap().set_len(5000).unwrap();
    rig.committer.setup.disk.losses_saved.store(64, Relaxed);
    rig.committer.end_takes();
    let events: Vec<DiskEvent> = rig.events.try_iter().collect();
    assert!(matches!(&events[..], [DiskEvent::PutBack { text, .. }] if text.contains("cut it short")));
    assert!(matches!(rig.work()[..], [DiskEvent::TakeFinished { trouble: None, .. }]));
    assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW));
}

/// The header said so after the next sync only. A power cut before it left the zeros of the part that was cut off, which the sound
/// behind them had made, as sound.
#[test]
fn a_file_that_was_cut_says_so_before_it_gets_more_sound() {
    for waits_for_disk in [false, true] {
        let mut rig = Rig::new(3);
        rig.captured(0);
        rig.work();
        File::options().write(true).open(&rig.plan.path).unwrap().set_len(5000).unwrap();
        rig.captured(1);
        // Another take has failed a moment ago.
        rig.committer.retry_at = waits_for_disk.then(|| Instant::now() + Duration::from_secs(60));
        rig.committer.find_changes();
        let file = std::fs::read(&rig.plan.path).unwrap();
        let says_so = file.windows(CHANGED_BY_OTHERS.len()).any(|bytes| bytes == CHANGED_BY_OTHERS.as_bytes());
        assert_eq!((file.len(), says_so), (5000, true));
        let take = &rig.committer.takes[0].file;
        assert!(!take.is_header_due() && !take.is_unsynced() && !take.lacks_durable_mark());
    }
}

/// The disk refuses the header of the file with this number, until the result is dropped.
fn refuse_headers_of(number: u64) -> Installed {
    refusing(move |call| match call {
        DiskCall::Write { file, offset: 0, .. }
            if File::from(file.try_clone_to_owned().unwrap()).metadata().unwrap().ino() == number =>
        {
            Proceed::Fail(Errno::EIO)
        }
        _ => Proceed::Go,
    })
}

/// Nothing was written to the other take, and Stop waited for ever.
#[test]
fn a_take_that_was_cut_and_whose_disk_refuses_its_header_waits_alone() {
    let mut rig = Rig::new(4);
    let other = rig.open_another(4);
    rig.captured(0);
    rig.captured_by(&other, 0);
    rig.work();
    let cut = File::options().write(true).open(&rig.plan.path).unwrap();
    cut.set_len(5000).unwrap();
    rig.captured(1);
    rig.captured_by(&other, 1);
    let number = cut.metadata().unwrap().ino();
    let refused = refuse_headers_of(number);
    for _ in 0..3 {
        rig.committer.find_changes();
        rig.committer.write_some(true);
        rig.committer.sync();
        rig.committer.fill_gaps();
    }
    drop(refused);
    assert_eq!(cut.metadata().unwrap().len(), 5000, "nothing hides the cut");
    assert!(claimed(&other.path) == sound(0, 2 * WINDOW), "the other take continues");
    rig.committer.takes[0].held_until = None;
    assert_eq!(rig.finish(2), (None, None));
    assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW) && claimed(&other.path) == sound(0, 2 * WINDOW));
}

/// The sync after the cut gave the memory back that had the sound.
#[test]
fn sound_that_was_not_durable_when_its_file_was_cut_is_written_again_from_memory() {
    let mut rig = Rig::new(2);
    let other = rig.open_another(2);
    // No header claims more than the other take has.
    rig.captured(0);
    rig.captured(1);
    rig.captured_by(&other, 0);
    rig.committer.write_some(true);
    File::options().write(true).open(&other.path).unwrap().set_len(5000).unwrap();
    rig.captured_by(&other, 1);
    rig.work();
    let there = claimed(&other.path);
    assert_eq!(there.len() as u64, 2 * WINDOW * FRAME_BYTES);
    assert!(there == sound(0, 2 * WINDOW));
}

/// The length was right again behind the next write, and the cut page has no hole.
#[test]
fn a_cut_of_the_last_page_that_falls_into_a_slow_write_is_found_by_the_last_bytes_before_that_write() {
    for is_cut in [false, true] {
        let mut rig = Rig::new(2);
        let other = rig.open_another(2);
        rig.captured_by(&other, 0);
        rig.work();
        rig.captured_by(&other, 1);
        rig.committer.find_changes();
        if is_cut {
            let bytes = byte_of(WINDOW) - SpoolByte::DATA;
            File::options().write(true).open(&other.path).unwrap().set_len(limits::DATA_OFFSET + bytes - 7).unwrap();
        }
        rig.committer.write_some(true);
        rig.committer.takes.iter_mut().for_each(|take| take.file.look_at_tail());
        rig.committer.find_changes();
        let texts = |event| if let DiskEvent::PutBack { text, .. } = event { Some(text) } else { None };
        let texts: Vec<String> = rig.events.try_iter().filter_map(texts).collect();
        assert_eq!(texts.iter().filter(|text| text.contains("t-2.wav")).count(), usize::from(is_cut), "{texts:?}");
        rig.work();
        assert_eq!(rig.committer.takes[1].may_lack_sound(), is_cut);
    }
}

/// The length of its end made zeros of the part that was cut off, and no header said so.
#[test]
fn a_take_that_was_cut_and_whose_disk_refuses_its_header_does_not_end() {
    let mut rig = Rig::new(2);
    let other = rig.open_another(2);
    rig.captured_by(&other, 0);
    rig.work();
    let cut = File::options().write(true).open(&other.path).unwrap();
    cut.set_len(5000).unwrap();
    let number = cut.metadata().unwrap().ino();
    let refused = refuse_headers_of(number);
    let end = TakeEnd { frames: Frames(WINDOW), ..TakeEnd::default() };
    for take in [TAKE, rig.committer.takes[1].key] {
        rig.committer.apply(CommitCommand::Finish { take, end: end.clone() });
    }
    for _ in 0..3 {
        rig.committer.takes.iter_mut().for_each(|take| take.held_until = None);
        rig.committer.end_takes();
        assert_eq!(cut.metadata().unwrap().len(), 5000);
    }
    drop(refused);
}

/// The sync after the cut counted the part as filled, and the take was called whole.
#[test]
fn a_gap_that_was_filled_before_the_file_was_cut_is_filled_again() {
    let mut rig = Rig::new(2);
    rig.captured(0);
    rig.captured(1);
    rig.work();
    rig.gave_up(0);
    rig.committer.fill_gaps();
    assert_eq!(rig.committer.takes[0].file.filled_end(), byte_of(WINDOW), "it is not durable");
    File::options().write(true).open(&rig.plan.path).unwrap().set_len(5000).unwrap();
    assert_eq!(rig.finish(2), (None, None));
    assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW));
}

/// A part that was filled behind the end of the first file counted as filled in the next one, which had zeros there and was called
/// whole.
#[test]
fn a_gap_that_was_filled_in_a_removed_file_is_filled_again_in_the_file_in_which_the_take_continues() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    rig.gave_up(0);
    rig.gave_up(1);
    std::fs::remove_file(&rig.plan.path).unwrap();
    rig.committer.fill_gaps();
    assert_eq!(rig.committer.takes[0].file.filled_end(), byte_of(2 * WINDOW));
    let refused = refusing(|call| match call {
        DiskCall::Create { .. } => Proceed::Fail(Errno::ENOSPC),
        _ => Proceed::Go,
    });
    rig.committer.find_changes();
    rig.committer.sync();
    drop(refused);
    assert!(rig.committer.takes[0].trouble.is_some(), "the file cannot be put back");
    assert!(matches!(rig.go_on(WINDOW), Continuation::Done));
    rig.captured(2);
    assert_eq!(rig.finish(3), (None, None));
    rig.check_files(WINDOW, 3 * WINDOW);
}

#[test]
fn a_take_that_another_program_replaces_while_it_grows_is_put_back_under_its_name_and_stays_whole() {
    for replaced in [true, false] {
        let mut rig = Rig::new(3);
        rig.captured(0);
        rig.work();
        let other = rig.folder.path().join("saved by an editor");
        std::fs::write(&other, "of the editor").unwrap();
        if replaced {
            std::fs::rename(&other, &rig.plan.path).unwrap();
        } else {
            std::fs::remove_file(&rig.plan.path).unwrap();
        }
        rig.captured(1);
        let events = rig.work();
        assert!(events.iter().any(|event| matches!(event, DiskEvent::PutBack { .. })), "at the next sync");
        assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW), "while it grows");
        rig.captured(2);
        assert_eq!(rig.finish(3), (None, None));
        assert!(claimed(&rig.plan.path) == sound(0, 3 * WINDOW), "at the end");
        let aside = rig.folder.path().join("t-1 (of another program 1).wav");
        let kept = if replaced { aside } else { other };
        assert_eq!(std::fs::read(kept).unwrap(), b"of the editor", "no file of another program is changed");
        let names = std::fs::read_dir(rig.folder.path()).unwrap().count();
        assert_eq!(names, 3, "mirror, take, and the editor's file");
    }
}

#[test]
fn a_take_that_another_program_cuts_short_is_whole_again_from_the_mirror() {
    for length in [0, 5000, 4096 + 12_288] {
        let mut rig = Rig::new(4);
        rig.captured(0);
        rig.captured(1);
        rig.work();
        let other = File::options().write(true).open(&rig.plan.path).unwrap();
        other.set_len(length).unwrap();
        other.write_all_at(&[7; 4000], 0).unwrap();
        rig.captured(2);
        let events = rig.work();
        let is_told =
            |event: &DiskEvent| matches!(event, DiskEvent::PutBack { text, .. } if text.contains("cut it short"));
        assert!(events.iter().any(is_told), "{length}");
        rig.captured(3);
        assert_eq!(rig.finish(4), (None, None));
        assert!(claimed(&rig.plan.path) == sound(0, 4 * WINDOW), "{length}");
    }
}

#[test]
fn sound_is_not_freed_from_memory_while_its_file_has_no_name() {
    let mut rig = Rig::new(2);
    rig.captured(0);
    rig.work();
    rig.captured(1);
    std::fs::remove_file(&rig.plan.path).unwrap();
    // A folder in the place of the copy: the file cannot be put back.
    let part = rig.folder.path().join(".t-1.wav.part");
    std::fs::create_dir(&part).unwrap();
    rig.work();
    let mut bytes = vec![0; (WINDOW * FRAME_BYTES) as usize];
    rig.spool.file.read_exact_at(&mut bytes, rig.spool.shape.slot_at(1)).unwrap();
    assert_eq!(rig.spool.listed(byte_of(WINDOW), byte_of(2 * WINDOW)).len(), 1);
    assert_eq!(bytes, sound(WINDOW, 2 * WINDOW), "a kill now would free the file that has no name");
    std::fs::remove_dir(&part).unwrap();
    assert_eq!(rig.finish(2), (None, None));
    assert_eq!(claimed(&rig.plan.path), sound(0, 2 * WINDOW));
}

#[test]
fn a_take_whose_removed_file_cannot_be_put_back_is_durable_again_in_the_file_in_which_it_continues() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    rig.captured(1);
    std::fs::remove_file(&rig.plan.path).unwrap();
    // A folder in the place of the copy: the file cannot be put back.
    std::fs::create_dir(rig.folder.path().join(".t-1.wav.part")).unwrap();
    assert_eq!(rig.stuck(), Some(WINDOW));
    assert!(matches!(rig.go_on(WINDOW), Continuation::Done));
    rig.captured(2);
    let events = rig.work();
    assert!(!events.iter().any(|event| matches!(event, DiskEvent::Stuck { .. })), "the next file has a name");
    assert!(claimed(&rig.next_path()) == sound(WINDOW, 3 * WINDOW));
    assert_eq!(rig.spool.listed(byte_of(WINDOW), byte_of(3 * WINDOW)), [], "its memory is given back");
    assert!(rig.finish(3).1.is_none());
}

/// The remarks in the header of the take's file that another program has changed it.
fn remarks(rig: &Rig) -> usize {
    let bytes = std::fs::read(&rig.plan.path).unwrap();
    String::from_utf8_lossy(&bytes[..4096]).matches(CHANGED_BY_OTHERS).count()
}

/// After a kill nothing said so, and zeros of the other program counted as sound.
#[test]
fn a_file_that_was_copied_from_one_that_another_program_had_just_changed_says_so_in_its_header() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.work();
    rig.pair.add_gap(Replica::Session, byte_of(0), byte_of(WINDOW));
    rig.work();
    assert_eq!(rig.pair.missing_bytes(Replica::Session, FileStart::FIRST), 0, "it is copied from the mirror");
    rig.captured(1);
    rig.work();
    assert_eq!(remarks(&rig), 0);
    // The committer of the mirror finds that its file was changed.
    assert!(rig.pair.with_copies_checked(Replica::Mirror, FileStart::FIRST, || Some(())).unwrap().1);
    rig.captured(2);
    rig.work();
    assert_eq!(remarks(&rig), 1);
}

/// The header of the other program stayed until the file was copied from the mirror, which took minutes. A recovery after a
/// kill in this time took the file for one of another program.
#[test]
fn a_header_of_another_program_is_replaced_at_the_next_sync_and_says_that_the_file_is_changed_until_it_is_repaired() {
    let mut rig = Rig::new(4);
    rig.captured(0);
    rig.captured(1);
    rig.work();
    let other = File::options().write(true).open(&rig.plan.path).unwrap();
    other.write_all_at(&[7; 4096], 0).unwrap();
    rig.captured(2);
    rig.committer.find_changes();
    rig.committer.write_some(true);
    rig.committer.sync();
    assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW), "a power cut costs nothing that was claimed before");
    assert_eq!(remarks(&rig), 1);
    rig.work();
    assert!(claimed(&rig.plan.path) == sound(0, 3 * WINDOW));
    assert_eq!(remarks(&rig), 0, "it is whole");
    rig.captured(3);
    assert_eq!(rig.finish(4), (None, None));
    assert!(claimed(&rig.plan.path) == sound(0, 4 * WINDOW));
}

/// The first file was whole according to its report, and the next one got the trouble.
#[test]
fn a_file_that_was_copied_from_a_mirror_that_is_cut_short_later_is_the_one_that_is_not_whole() {
    let mut rig = Rig::new(3);
    rig.captured(0);
    rig.captured(1);
    rig.work();
    File::options().write(true).open(&rig.plan.path).unwrap().set_len(5000).unwrap();
    rig.work();
    assert_eq!(rig.pair.missing_bytes(Replica::Session, FileStart::FIRST), 0, "it is copied");
    rig.committer.on_write_failure(0, &io::Error::from_raw_os_error(libc::ENOSPC));
    assert!(matches!(rig.go_on(2 * WINDOW), Continuation::Done));
    // The committer of the mirror finds only now that its file was changed.
    rig.pair.note_changed(Replica::Mirror);
    rig.captured(2);
    let (earlier, present) = rig.finish(3);
    assert!(earlier.is_some_and(|trouble| trouble.contains("t-1.wav") && trouble.contains("another program")));
    assert_eq!(present, None);
}

#[test]
fn a_file_of_the_mirror_that_copies_from_the_session_lacks_what_that_file_has_lost() {
    let mut rig = Rig::new(1);
    let take = &mut rig.committer.takes[0];
    // As in `in-place`: no memory has the sound.
    (take.replica, take.spool) = (Replica::Mirror, None);
    rig.pair.note_changed(Replica::Session);
    assert!(!rig.committer.takes[0].may_lack_sound(), "the session's file can have it");
    rig.pair.note_changed(Replica::Mirror);
    assert!(rig.committer.takes[0].may_lack_sound());
}

/// Both files were wrong, and both counted as whole.
#[test]
fn a_gap_of_the_mirror_that_is_filled_from_a_file_that_was_just_changed_makes_both_files_doubtful() {
    for is_looked_at_between in [false, true] {
        let mut rig = Rig::new(2);
        rig.captured(0);
        rig.captured(1);
        rig.work();
        let change = |rig: &Rig| {
            let other = File::options().write(true).open(&rig.plan.path).unwrap();
            other.write_all_at(&vec![7; 4096 + 30_000], 0).unwrap();
        };
        rig.pair.add_gap(Replica::Mirror, byte_of(WINDOW), byte_of(2 * WINDOW));
        let copy = |rig: &Rig| {
            let gap = rig.pair.next_gap(Replica::Mirror, FileStart::FIRST, byte_of(0), 1 << 20).unwrap();
            let mut bytes = vec![0; gap.bytes() as usize];
            let read = |file: &File, at: FileByte| file.read_exact_at(&mut bytes, at.0);
            rig.pair.read_source(Replica::Mirror, &gap, read).unwrap();
            let write = |at: FileByte| rig.mirror.write_all_at(&bytes, at.0);
            let filled = gap.write_to(FileStart::FIRST, write).unwrap();
            rig.pair.gap_filled(Replica::Mirror, &filled);
        };
        if is_looked_at_between {
            copy(&rig);
            rig.work();
            change(&rig);
        } else {
            change(&rig);
            copy(&rig);
        }
        let (_, trouble) = rig.finish(2);
        let may_lack_sound = rig.pair.has_copied_change(Replica::Mirror, FileStart::FIRST);
        assert_eq!((trouble.is_none(), may_lack_sound), (is_looked_at_between, !is_looked_at_between));
        if is_looked_at_between {
            assert!(claimed(&rig.plan.path) == sound(0, 2 * WINDOW), "it is copied back");
        }
    }
}
